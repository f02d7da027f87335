//! The words between the parentheses of a sample, a converter or an action.

use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};

/// Most arguments of one word, as in HAProxy.
const ARGUMENTS_MAX: usize = 15;

/// Reads arguments from left to right; each reader consumes what it accepts.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    /// Whose arguments these are, for messages.
    name: String,
    list: Vec<String>,
    next: usize,
    /// Where the word stands.
    pub(crate) span: Span,
}

impl Arguments {
    /// Splits the text between two parentheses: commas outside of quotes divide, `\` escapes, quotes vanish.
    ///
    /// # Errors
    /// Too many arguments, or a quote that is never closed.
    pub(crate) fn parse(name: &str, text: Option<&str>, span: Span) -> Result<Self, Diagnostic> {
        let mut list = Vec::new();
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            list = split(text).ok_or_else(|| {
                let message = format_args!("a quote within '{name}(…)' is never closed");
                Diagnostic::error(Kind::Syntax, span, message)
            })?;
        }
        if list.len() > ARGUMENTS_MAX {
            let message = format_args!("'{name}' has more than {ARGUMENTS_MAX} arguments");
            return Err(Diagnostic::error(Kind::Invalid, span, message));
        }
        Ok(Self {
            name: name.to_owned(),
            list,
            next: 0,
            span,
        })
    }

    /// How many arguments have not been read yet.
    pub(crate) fn left(&self) -> usize {
        self.list.len().saturating_sub(self.next)
    }

    /// Whether none has been read yet.
    pub(crate) fn is_first(&self) -> bool {
        self.next == 0
    }

    /// The next argument, if there is one; an empty one counts as absent.
    pub(crate) fn optional(&mut self) -> Option<String> {
        let text = self.list.get(self.next)?;
        self.next += 1;
        (!text.is_empty()).then(|| text.clone())
    }

    /// The next argument, which may be empty but must be there; no arguments at all are one empty argument.
    pub(crate) fn text(&mut self, what: &str) -> Result<String, Diagnostic> {
        let Some(text) = self.list.get(self.next) else {
            if self.list.is_empty() && self.next == 0 {
                self.next = 1;
                return Ok(String::new());
            }
            return Err(self.lacks(what));
        };
        self.next += 1;
        Ok(text.clone())
    }

    /// As [`Arguments::text`], and not empty.
    pub(crate) fn word(&mut self, what: &str) -> Result<String, Diagnostic> {
        let text = self.text(what)?;
        if text.is_empty() {
            return Err(self.lacks(what));
        }
        Ok(text)
    }

    pub(crate) fn integer(&mut self, what: &str) -> Result<i64, Diagnostic> {
        let text = self.word(what)?;
        self.number(&text, what)
    }

    fn lacks(&self, what: &str) -> Diagnostic {
        let message = format_args!("'{}' lacks {what}", self.name);
        Diagnostic::error(Kind::Invalid, self.span, message)
    }

    /// The next argument as a number. It may be left out at the end, with or without its comma.
    pub(crate) fn optional_integer(&mut self, what: &str) -> Result<Option<i64>, Diagnostic> {
        match self.optional() {
            None if self.left() > 0 => Err(self.lacks(what)),
            None => Ok(None),
            Some(text) => self.number(&text, what).map(Some),
        }
    }

    fn number(&self, text: &str, what: &str) -> Result<i64, Diagnostic> {
        text.parse()
            .map_err(|_| self.invalid(format_args!("{what} '{text}' is not a number")))
    }

    /// An error about these arguments.
    pub(crate) fn invalid(&self, message: impl std::fmt::Display) -> Diagnostic {
        Diagnostic::error(
            Kind::Invalid,
            self.span,
            format_args!("'{}': {message}", self.name),
        )
    }

    /// An error when arguments are left over.
    pub(crate) fn finish(&self) -> Result<(), Diagnostic> {
        match self.list.get(self.next) {
            None => Ok(()),
            Some(text) => Err(self.invalid(format_args!("the argument '{text}' is one too many"))),
        }
    }
}

/// What a backslash makes of `character`; `None`: before any other it stands for itself.
pub(crate) fn escaped(character: char) -> Option<char> {
    match character {
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        '\\' | '"' | '\'' | ' ' => Some(character),
        _ => None,
    }
}

fn split(text: &str) -> Option<Vec<String>> {
    let (mut list, mut current, mut quote) = (Vec::new(), String::new(), None);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => current.push(character),
            (_, '\\') => {
                let next = characters.next_if(|next| escaped(*next).is_some());
                current.push(next.and_then(escaped).unwrap_or('\\'));
            }
            (None, '\'' | '"') => quote = Some(character),
            (None, ',') => list.push(std::mem::take(&mut current)),
            _ => current.push(character),
        }
    }
    list.push(current);
    quote.is_none().then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        Arguments::parse("x", Some(text), Span::default())
            .unwrap()
            .list
    }

    #[test]
    fn commas_divide_outside_of_quotes() {
        assert_eq!(read("a,b"), ["a", "b"]);
        assert_eq!(read("a,'b,c',\"d,e\""), ["a", "b,c", "d,e"]);
        assert_eq!(read(r"a\ b,\d+"), ["a b", r"\d+"]);
        assert_eq!(read(r"a\,b\"), [r"a\", r"b\"]);
        assert_eq!(read("a,"), ["a", ""]);
        assert!(read("").is_empty());
        assert!(Arguments::parse("x", Some("'a"), Span::default()).is_err());
        assert!(Arguments::parse("x", Some(&",".repeat(15)), Span::default()).is_err());
    }

    #[test]
    fn readers_consume_and_complain() {
        let mut arguments = Arguments::parse("x", Some("1,,z"), Span::default()).unwrap();
        assert_eq!(arguments.integer("a number"), Ok(1));
        assert_eq!(arguments.optional(), None);
        assert!(arguments.clone().integer("a number").is_err());
        assert!(arguments.finish().is_err());
        assert_eq!(arguments.text("a word").as_deref(), Ok("z"));
        assert_eq!(arguments.finish(), Ok(()));
        assert!(arguments.text("a word").is_err());
        let mut none = Arguments::parse("x", None, Span::default()).unwrap();
        assert!(none.clone().integer("a number").is_err());
        assert_eq!(none.text("a word").as_deref(), Ok(""));
        assert!(none.text("another").is_err());
    }
}
