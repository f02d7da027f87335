//! From the text of a format to its pieces.

use plimsoll_config::args::Word;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Encoding, Flags, Format, Item, alias};
use crate::expression::{self, Scope};

/// Most pieces of one format.
const ITEMS_MAX: usize = 1_024;

/// Reads a format. `%%` is a percent sign, and so is one before what begins no hole.
///
/// # Errors
/// Unknown samples, flags and names, holes that are not closed.
pub(crate) fn read(
    word: &Word,
    encoding: Encoding,
    scope: &Scope<'_>,
) -> Result<Format, Diagnostic> {
    let mut reader = Reader {
        word,
        scope,
        items: Vec::new(),
        literal: Vec::new(),
        flags: Flags::default(),
    };
    reader.read(&word.text)?;
    reader.end_literal();
    if reader.items.len() > ITEMS_MAX {
        return Err(reader.wrong(format_args!("a format has at most {ITEMS_MAX} pieces")));
    }
    Ok(Format {
        items: reader.items,
        encoding,
    })
}

struct Reader<'a> {
    word: &'a Word,
    scope: &'a Scope<'a>,
    items: Vec<Item>,
    literal: Vec<u8>,
    /// What `%{…}o` has set for all that follows.
    flags: Flags,
}

impl Reader<'_> {
    fn wrong(&self, message: impl std::fmt::Display) -> Diagnostic {
        Diagnostic::error(Kind::Invalid, self.word.span, message)
    }

    fn end_literal(&mut self) {
        if !self.literal.is_empty() {
            let text = std::mem::take(&mut self.literal);
            self.items.push(Item::Literal(text.into()));
        }
    }

    fn read(&mut self, text: &str) -> Result<(), Diagnostic> {
        let mut rest = text;
        while let Some(mark) = rest.find('%') {
            self.literal.extend_from_slice(&rest.as_bytes()[..mark]);
            rest = &rest[mark + 1..];
            if let Some(behind) = rest.strip_prefix('%') {
                self.literal.push(b'%');
                rest = behind;
                continue;
            }
            rest = self.hole(rest)?;
        }
        self.literal.extend_from_slice(rest.as_bytes());
        Ok(())
    }

    /// Reads what follows a percent sign and returns the rest.
    fn hole<'t>(&mut self, text: &'t str) -> Result<&'t str, Diagnostic> {
        let (mut flags, mut rest) = (self.flags, text);
        if let Some(inner) = text.strip_prefix('{') {
            let end = inner
                .find('}')
                .ok_or_else(|| self.wrong("'%{' is never closed"))?;
            for word in inner[..end].split(',') {
                self.set_flag(word.trim(), &mut flags)?;
            }
            rest = &inner[end + 1..];
        }
        // A name of its own may stand before an expression; it labels fields in encoded formats.
        if rest.starts_with('(')
            && let Some(end) = rest.find(')')
        {
            rest = &rest[end + 1..];
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let end = closing(inner).ok_or_else(|| self.wrong("'%[' is never closed"))?;
            let expression = expression::parse_text(&inner[..end], self.word.span, self.scope)?;
            expression::check_phase(&expression, self.word.span, self.scope)?;
            self.end_literal();
            self.items.push(Item::Expression(expression, flags));
            return Ok(&inner[end + 1..]);
        }
        if let Some(alias) = alias::find(rest) {
            self.end_literal();
            self.items.push(Item::Alias(alias, flags));
            return Ok(&rest[alias.name.len()..]);
        }
        if let Some(rest) = rest.strip_prefix('o') {
            self.flags = flags;
            return Ok(rest);
        }
        if rest.starts_with(|next: char| next.is_ascii_alphabetic()) {
            let end = rest
                .find(|next: char| !next.is_ascii_alphanumeric())
                .unwrap_or(rest.len());
            let name = &rest[..end];
            return Err(self
                .wrong(format_args!("'%{name}' is not a name for formats"))
                .help("write '%%' for a percent sign"));
        }
        self.literal.push(b'%');
        Ok(text)
    }

    fn set_flag(&self, word: &str, flags: &mut Flags) -> Result<(), Diagnostic> {
        let (on, name) = match (word.strip_prefix('+'), word.strip_prefix('-')) {
            (Some(name), _) => (true, name),
            (_, Some(name)) => (false, name),
            _ => (true, word),
        };
        match name {
            "Q" => flags.quote = on,
            "X" => flags.hexadecimal = on,
            "E" => flags.escape = on,
            "M" => flags.mandatory = on,
            "" => {}
            _ => return Err(self.wrong(format_args!("'{word}' is not a flag of formats"))),
        }
        Ok(())
    }
}

/// The place of the bracket that ends an expression.
fn closing(text: &str) -> Option<usize> {
    let (mut quote, mut depth, mut escaped) = (None, 0_u32, false);
    for (index, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            _ if escaped => escaped = false,
            (None | Some(b'"'), b'\\') => escaped = true,
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'(') => depth += 1,
            (None, b')') => depth = depth.saturating_sub(1),
            (None, b']') if depth == 0 => return Some(index),
            _ => {}
        }
    }
    None
}
