//! The cursor through the words of one line, shared by keywords, actions, probes and commands.

use std::net::IpAddr;

use crate::diagnostic::{Diagnostic, Kind, Span};

/// One word of a line after quotes, escapes and variables have been dealt with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// The word as text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Where the word stands in the file, quotes included.
    pub span: Span,
    /// Whether any part of it was quoted, escaped or came from a variable. Meaning never depends on it.
    pub quoted: bool,
    /// The exact bytes, when they are not UTF-8; read them through [`Word::bytes`].
    pub raw: Option<Box<[u8]>>,
    /// The text with `$NAME` replaced outside quotes too. Only addresses are read in this way.
    pub expanded: Option<Box<str>>,
}

impl Word {
    /// A plain word.
    pub fn new(text: impl Into<String>, span: Span) -> Self {
        Self {
            text: text.into(),
            span,
            ..Self::default()
        }
    }

    /// A word from bytes of any kind.
    pub fn from_bytes(bytes: Vec<u8>, span: Span) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::new(text, span),
            Err(error) => {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                Self {
                    raw: Some(error.into_bytes().into()),
                    ..Self::new(text, span)
                }
            }
        }
    }

    /// The word as written; configuration files are not always UTF-8.
    pub fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.text.as_bytes())
    }
}

/// Reads the words of one line from left to right; each reader consumes what it accepts.
#[derive(Clone, Debug)]
pub struct Args<'a> {
    words: &'a [Word],
    next: usize,
    /// The whole line, for "something is missing here".
    line: Span,
    /// Where the text before the first word ends.
    start: u32,
}

impl<'a> Args<'a> {
    pub fn new(words: &'a [Word], line: Span) -> Self {
        Self {
            words,
            next: 0,
            line,
            start: line.start,
        }
    }

    /// A cursor through words that follow others of the same line, which end at `start`.
    pub fn after(words: &'a [Word], line: Span, start: u32) -> Self {
        Self {
            start,
            ..Self::new(words, line)
        }
    }

    /// The span of the line.
    pub fn line(&self) -> Span {
        self.line
    }

    pub fn is_empty(&self) -> bool {
        self.next >= self.words.len()
    }

    /// The words not read yet.
    pub fn rest(&self) -> &'a [Word] {
        &self.words[self.next.min(self.words.len())..]
    }

    pub fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.next)
    }

    /// The next word, if there is one.
    #[expect(
        clippy::should_implement_trait,
        reason = "a cursor, not an iterator: readers of several words sit beside it"
    )]
    pub fn next(&mut self) -> Option<&'a Word> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    /// The next word; `what` names it in the message when it is missing ("a server name").
    pub fn word(&mut self, what: &str) -> Result<&'a Word, Diagnostic> {
        match self.next() {
            Some(word) => Ok(word),
            None => Err(Diagnostic::error(
                Kind::Invalid,
                self.end(),
                format_args!("{what} is missing here"),
            )),
        }
    }

    /// Consumes the next word when it is exactly `keyword`.
    pub fn take(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.text == keyword);
        self.next += usize::from(found);
        found
    }

    /// An unsigned number within `range`.
    pub fn number(
        &mut self,
        what: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, Diagnostic> {
        let word = self.word(what)?;
        match word.text.parse::<u64>() {
            Ok(number) if range.contains(&number) => Ok(number),
            Ok(number) => Err(Diagnostic::error(
                Kind::Invalid,
                word.span,
                format_args!("{what} {number} is out of range"),
            )
            .help(format_args!(
                "write a number from {} to {}",
                range.start(),
                range.end()
            ))),
            Err(_) => Err(Diagnostic::error(
                Kind::Invalid,
                word.span,
                format_args!("'{}' is not a number", word.text),
            )
            .help(format_args!(
                "{what} is a number from {} to {}",
                range.start(),
                range.end()
            ))),
        }
    }

    /// An IP address without a port.
    pub fn ip(&mut self, what: &str) -> Result<IpAddr, Diagnostic> {
        let word = self.word(what)?;
        word.text.parse().map_err(|_| {
            Diagnostic::error(
                Kind::Invalid,
                word.span,
                format_args!("'{}' is not an IP address", word.text),
            )
        })
    }

    /// An error when words are left over.
    pub fn finish(&self) -> Result<(), Diagnostic> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(Diagnostic::error(
                Kind::Invalid,
                word.span,
                format_args!("'{}' is one word too many", word.text),
            )),
        }
    }

    /// The empty span behind the last word read.
    pub fn end(&self) -> Span {
        let last = self.next.min(self.words.len());
        let end = if last == 0 {
            self.start
        } else {
            self.words[last - 1].span.end
        };
        Span {
            file: self.line.file,
            start: end,
            end,
        }
    }
}
