//! From the text of a format to its pieces.

use plimsoll_config::args::{Word, unspelled};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Cast, Encoding, Flags, Form, Format, Hole, Item, alias};
use crate::context::Phase;
use crate::expression::{self, Expression, Scope, unquoted};
use crate::model::Mode;

/// Most pieces of one format.
const ITEMS_MAX: usize = 1_024;

/// Reads a format. `%%` is a percent sign.
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
        encoding,
        items: Vec::new(),
        literal: Vec::new(),
        flags: Flags {
            mandatory: encoding == Encoding::Log,
            ..Flags::default()
        },
        whole: None,
    };
    reader.read(&word.spelled())?;
    reader.end_literal();
    if reader.items.len() > ITEMS_MAX {
        return Err(reader.wrong(format_args!("a format has at most {ITEMS_MAX} pieces")));
    }
    Ok(Format {
        items: reader.items,
        encoding,
        whole: reader.whole.unwrap_or_default(),
    })
}

struct Reader<'a> {
    word: &'a Word,
    scope: &'a Scope<'a>,
    encoding: Encoding,
    items: Vec<Item>,
    literal: Vec<u8>,
    /// What `%{…}o` has set for all that follows.
    flags: Flags,
    /// What all of them agree on.
    whole: Option<Flags>,
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

    fn push_literal(&mut self, text: &str) {
        for byte in unspelled(text) {
            if byte == b' ' && self.encoding.merges_spaces() {
                self.end_literal();
                if self.items.last() != Some(&Item::Space) {
                    self.items.push(Item::Space);
                }
            } else {
                self.literal.push(byte);
            }
        }
    }

    fn read(&mut self, text: &str) -> Result<(), Diagnostic> {
        let mut rest = text;
        while let Some(mark) = rest.find('%') {
            self.push_literal(&rest[..mark]);
            rest = &rest[mark + 1..];
            match rest.bytes().next() {
                Some(b'%') => {
                    self.literal.push(b'%');
                    rest = &rest[1..];
                }
                None | Some(b' ' | b'\t' | b'0'..=b'9') => {
                    let error = self.wrong("a percent sign stands alone");
                    return Err(error.help("write '%%' for a percent sign"));
                }
                Some(b'(' | b'{' | b'[' | b'a'..=b'z' | b'A'..=b'Z') => rest = self.hole(rest)?,
                // As in HAProxy the sign vanishes.
                Some(_) => {}
            }
        }
        self.push_literal(rest);
        Ok(())
    }

    /// Reads what follows a percent sign and returns the rest.
    fn hole<'t>(&mut self, text: &'t str) -> Result<&'t str, Diagnostic> {
        let mut hole = Hole {
            flags: self.flags,
            ..Hole::default()
        };
        let mut rest = text;
        if let Some(inner) = rest.strip_prefix('(') {
            let end = inner
                .find(')')
                .ok_or_else(|| self.wrong("'%(' is never closed"))?;
            self.label(&inner[..end], &mut hole)?;
            rest = &inner[end + 1..];
        }
        if let Some(inner) = rest.strip_prefix('{') {
            let end = inner
                .find('}')
                .ok_or_else(|| self.wrong("'%{' is never closed"))?;
            for word in inner[..end].split(',') {
                self.set_flag(word.trim(), &mut hole.flags)?;
            }
            rest = &inner[end + 1..];
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let end = closing(inner).ok_or_else(|| self.wrong("'%[' is never closed"))?;
            let text = &inner[..end];
            if text.ends_with(',') {
                let message = format_args!("'{text}' ends in a comma");
                return Err(self.wrong(message).help("remove it, or name a converter"));
            }
            let expression = expression::parse_text(text, self.word.span, self.scope)?;
            expression::check_phase(&expression, self.word.span, self.scope)?;
            self.warn_of_bytes(&expression);
            self.end_literal();
            self.items.push(Item::Expression(expression, hole));
            return Ok(&inner[end + 1..]);
        }
        let end = rest
            .find(|next: char| !next.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        if name == "o" {
            self.set_whole(hole.flags);
            return Ok(behind);
        }
        let alias = alias::find(name).ok_or_else(|| {
            self.wrong(format_args!("'%{name}' is not a name for formats"))
                .help("write '%%' for a percent sign")
        })?;
        if alias.log_only && self.scope.phase != Phase::Log {
            let message = format_args!("'%{name}' is known only when a line is logged");
            return Err(self.wrong(message));
        }
        self.end_literal();
        self.items.push(Item::Alias(alias, hole));
        Ok(behind)
    }

    /// Tells of samples that look below HTTP, where HTTP is spoken.
    fn warn_of_bytes(&self, sample: &Expression) {
        let in_http = self.scope.mode == Mode::Http && self.encoding == Encoding::Http;
        if in_http && sample.needs().is_bytes() {
            let (span, message) = (self.word.span, sample.below_http());
            let warning = Diagnostic::warning(Kind::NoEffect, span, message);
            self.scope.captures.borrow_mut().warnings.push(warning);
        }
    }

    fn set_whole(&mut self, flags: Flags) {
        self.flags = flags;
        let agreed = match self.whole {
            None => flags,
            Some(before) => Flags {
                form: if before.form == flags.form {
                    flags.form
                } else {
                    Form::Plain
                },
                binary: before.binary && flags.binary,
                ..flags
            },
        };
        self.whole = Some(agreed);
    }

    /// `NAME`, `NAME:TYPE` or `:TYPE`.
    fn label(&self, text: &str, hole: &mut Hole) -> Result<(), Diagnostic> {
        let (name, cast) = match text.split_once(':') {
            None => (text, Cast::Same),
            Some((name, kind)) => {
                let cast = match kind {
                    "str" => Cast::Text,
                    "sint" => Cast::Integer,
                    "bool" => Cast::Boolean,
                    "raw" => Cast::Raw,
                    _ => {
                        let error = self.wrong(format_args!("'{kind}' is not a type for a field"));
                        return Err(error.help("write 'str', 'sint', 'bool' or 'raw'"));
                    }
                };
                (name, cast)
            }
        };
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !name.bytes().all(fine) {
            return Err(self.wrong(format_args!("'{name}' is not a name for a field")));
        }
        hole.name = (!name.is_empty()).then(|| name.into());
        hole.cast = cast;
        Ok(())
    }

    fn set_flag(&self, word: &str, flags: &mut Flags) -> Result<(), Diagnostic> {
        // As in HAProxy the last sign counts, and nothing is set without one.
        let Some(sign) = word.rfind(['+', '-']) else {
            if !word.is_empty() {
                self.note_no_sign(word);
            }
            return Ok(());
        };
        let (on, name) = (word.as_bytes()[sign] == b'+', &word[sign + 1..]);
        let switch = match name {
            "Q" => &mut flags.quote,
            "X" => &mut flags.hexadecimal,
            "E" => &mut flags.escape,
            "M" => &mut flags.mandatory,
            "bin" => &mut flags.binary,
            _ => return self.set_form(on, name, flags),
        };
        *switch = on;
        Ok(())
    }

    fn note_no_sign(&self, flag: &str) {
        let message = format_args!("'{flag}' has no sign, so that it sets nothing");
        let note = Diagnostic::note(Kind::NoEffect, self.word.span, message);
        let note = note.help(format_args!("write '+{flag}'"));
        self.scope.captures.borrow_mut().warnings.push(note);
    }

    fn set_form(&self, on: bool, name: &str, flags: &mut Flags) -> Result<(), Diagnostic> {
        let form = match name {
            "" => return Ok(()),
            "json" => Form::Json,
            "cbor" => Form::Cbor,
            _ => return Err(self.wrong(format_args!("'{name}' is not a flag of formats"))),
        };
        // The form that was there first stays, as in HAProxy.
        match (on, flags.form) {
            (true, Form::Plain) => flags.form = form,
            (false, known) if known == form => flags.form = Form::Plain,
            _ => {}
        }
        Ok(())
    }
}

/// The place of the bracket that ends an expression.
fn closing(text: &str) -> Option<usize> {
    let mut inside = false;
    for (index, byte) in unquoted(text) {
        match byte {
            // Arguments end at the first ')', however many '(' they have.
            b'(' => inside = true,
            b')' => inside = false,
            b']' if !inside => return Some(index),
            _ => {}
        }
    }
    None
}
