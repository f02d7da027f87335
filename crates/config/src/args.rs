//! The cursor through the words of one line, shared by keywords, actions, probes and commands.

use std::net::IpAddr;

use crate::diagnostic::{Diagnostic, Kind, Span};

/// One word of a line after quotes, escapes and variables have been dealt with.
///
/// Values are bytes as written; configuration files are not always UTF-8, so `text` is lossy for messages
/// and `bytes` is what counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    /// Where the word stands in the file, quotes included.
    pub span: Span,
    /// Whether any part of it was quoted or escaped, so that `""` is a word and `'if'` is no keyword.
    pub quoted: bool,
}

/// Reads the words of one line from left to right; each reader consumes what it accepts.
#[derive(Clone, Debug)]
pub struct Args<'a> {
    words: &'a [Word],
    next: usize,
    /// The whole line, for "something is missing here".
    line: Span,
}

impl<'a> Args<'a> {
    pub fn new(words: &'a [Word], line: Span) -> Self {
        Self { words, next: 0, line }
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
    #[expect(clippy::should_implement_trait, reason = "a cursor, not an iterator: readers of several words sit beside it")]
    pub fn next(&mut self) -> Option<&'a Word> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    /// The next word; `what` names it in the message when it is missing ("a server name").
    pub fn word(&mut self, what: &str) -> Result<&'a Word, Diagnostic> {
        match self.next() {
            Some(word) => Ok(word),
            None => Err(Diagnostic::error(Kind::Invalid, self.end(), format_args!("{what} is missing here"))),
        }
    }

    /// Consumes the next word when it is exactly `keyword`.
    pub fn take(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.text == keyword);
        self.next += usize::from(found);
        found
    }

    /// An unsigned number within `range`.
    pub fn number(&mut self, what: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, Diagnostic> {
        let word = self.word(what)?;
        match word.text.parse::<u64>() {
            Ok(number) if range.contains(&number) => Ok(number),
            Ok(number) => Err(Diagnostic::error(Kind::Invalid, word.span, format_args!("{what} {number} is out of range"))
                .help(format_args!("write a number from {} to {}", range.start(), range.end()))),
            Err(_) => Err(Diagnostic::error(Kind::Invalid, word.span, format_args!("'{}' is not a number", word.text))
                .help(format_args!("{what} is a number from {} to {}", range.start(), range.end()))),
        }
    }

    /// An IP address without a port.
    pub fn ip(&mut self, what: &str) -> Result<IpAddr, Diagnostic> {
        let word = self.word(what)?;
        word.text
            .parse()
            .map_err(|_| Diagnostic::error(Kind::Invalid, word.span, format_args!("'{}' is not an IP address", word.text)))
    }

    /// An error when words are left over.
    pub fn finish(&self) -> Result<(), Diagnostic> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(Diagnostic::error(Kind::Invalid, word.span, format_args!("'{}' is one word too many", word.text))),
        }
    }

    /// The empty span behind the last word read.
    pub fn end(&self) -> Span {
        let last = self.next.min(self.words.len());
        let end = if last == 0 { self.line.start } else { self.words[last - 1].span.end };
        Span { file: self.line.file, start: end, end }
    }
}
