//! Text to words, braces and ends.

use super::{Dialect, End, WORD_BYTES_MAX};
use crate::args::Word;
use crate::diagnostic::{Diagnostic, FileId, Kind, Span};
use crate::template;

#[derive(Debug)]
pub(super) enum Token {
    Word(Word),
    Open(Span),
    Close(Span),
    /// A semicolon or a line end, whichever ends statements.
    End(Span),
}

pub(super) struct Tokens<'a> {
    file: FileId,
    text: &'a [u8],
    at: usize,
    dialect: &'a Dialect,
    /// Whether the word that comes now touches a closing quote.
    touching: bool,
    /// Whether a placeholder of a template engine was reported.
    template: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(file: FileId, text: &'a [u8], dialect: &'a Dialect) -> Self {
        Self {
            file,
            text,
            at: 0,
            dialect,
            touching: false,
            template: false,
        }
    }

    /// The empty span at the next byte.
    pub(super) fn place(&self) -> Span {
        self.span(self.at)
    }

    /// The next token, or `None` at the end.
    ///
    /// # Errors
    /// What is wrong at this place. Reading can go on: of two calls, at least one consumes a byte or reaches the end.
    pub(super) fn next(&mut self) -> Result<Option<Token>, Diagnostic> {
        let touching = std::mem::take(&mut self.touching);
        self.skip();
        let start = self.at;
        let Some(&byte) = self.text.get(start) else {
            return Ok(None);
        };
        if let Some(length) = template::leading(&self.text[start..]) {
            return self.placeholder(length).map(Some);
        }
        match byte {
            b'{' | b'}' => {
                self.at += 1;
                let span = self.span(start);
                Ok(Some(if byte == b'{' {
                    Token::Open(span)
                } else {
                    Token::Close(span)
                }))
            }
            _ if self.ends_statement(byte) => {
                self.at += 1;
                Ok(Some(Token::End(self.span(start))))
            }
            0 => {
                self.at += 1;
                let message = "a NUL byte stands in this file";
                Err(self.error(start, message).cause("this may be no text file"))
            }
            _ if touching && self.touches(start) => {
                let message = "a blank is missing behind the quote before this";
                Err(self.error(start, message))
            }
            b'"' | b'\'' => self.quoted(byte).map(Some),
            _ => self.bare().map(Some),
        }
    }

    /// `{{ … }}`, which no dialect has: a word, and an error for the first in a file.
    fn placeholder(&mut self, length: usize) -> Result<Token, Diagnostic> {
        let start = self.at;
        if std::mem::replace(&mut self.template, true) {
            self.at += length;
            return self.word(start, self.text[start..self.at].to_vec(), false);
        }
        // Nothing is consumed, so that it is a word the next time.
        let span = Span::new(self.file, start, start + length);
        Err(Diagnostic::error(Kind::Syntax, span, template::MESSAGE).help(template::HELP))
    }

    /// Whether what begins here directly follows a quote, where the language forbids that; a closing parenthesis may.
    fn touches(&self, start: usize) -> bool {
        let before = start.checked_sub(1).and_then(|at| self.text.get(at));
        !self.dialect.words_touch
            && matches!(before, Some(b'"' | b'\''))
            && self.text.get(start) != Some(&b')')
    }

    fn ends_statement(&self, byte: u8) -> bool {
        match self.dialect.end {
            End::Line => byte == b'\n',
            End::Semicolon => byte == b';',
        }
    }

    /// Skips blanks, comments and joined line ends.
    fn skip(&mut self) {
        while let Some(&byte) = self.text.get(self.at) {
            if self.dialect.comments.contains(&byte) {
                let rest = &self.text[self.at..];
                let length = rest.iter().position(|byte| *byte == b'\n');
                self.at += length.unwrap_or(rest.len());
            } else if self.ends_statement(byte) {
                return;
            } else if byte.is_ascii_whitespace() {
                self.at += 1;
            } else if let Some(length) = self.joined_line() {
                self.at += length;
            } else {
                return;
            }
        }
    }

    /// The length of a backslash and the line end behind it, where these join two lines.
    fn joined_line(&self) -> Option<usize> {
        let rest = &self.text[self.at..];
        match self.dialect.end {
            End::Line if rest.starts_with(b"\\\n") => Some(2),
            End::Line if rest.starts_with(b"\\\r\n") => Some(3),
            _ => None,
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<Token, Diagnostic> {
        let start = self.at;
        let mut bytes = Vec::new();
        self.at += 1;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                _ if byte == quote => {
                    self.at += 1;
                    self.touching = true;
                    return self.word(start, bytes, true);
                }
                b'\n' if self.dialect.end == End::Line => break,
                b'\\' => self.escape(&mut bytes),
                _ => {
                    bytes.push(byte);
                    self.at += 1;
                }
            }
        }
        let span = Span::new(self.file, start, start + 1);
        Err(Diagnostic::error(
            Kind::Syntax,
            span,
            "this quote is never closed",
        ))
    }

    fn bare(&mut self) -> Result<Token, Diagnostic> {
        let start = self.at;
        let mut bytes = Vec::new();
        let mut escaped = false;
        while let Some(&byte) = self.text.get(self.at) {
            let comment =
                self.dialect.comments_split_words && self.dialect.comments.contains(&byte);
            let variable = byte == b'$' && self.text.get(self.at + 1) == Some(&b'{');
            if byte.is_ascii_whitespace() || self.ends_statement(byte) || comment || byte == 0 {
                break;
            } else if variable {
                self.reference(&mut bytes);
            } else if byte == b'{' || (byte == b'}' && self.dialect.end == End::Line) {
                break;
            } else if byte == b'\\' {
                if self.joined_line().is_some() {
                    break;
                }
                escaped = true;
                self.escape(&mut bytes);
            } else {
                bytes.push(byte);
                self.at += 1;
            }
        }
        self.word(start, bytes, escaped)
    }

    /// `${name}`: the braces are part of the word.
    fn reference(&mut self, bytes: &mut Vec<u8>) {
        let rest = &self.text[self.at + 2..];
        let name = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count();
        let length = 2 + name + usize::from(rest.get(name) == Some(&b'}'));
        bytes.extend_from_slice(&self.text[self.at..self.at + length]);
        self.at += length;
    }

    /// A backslash, and the byte behind it if there is one on this line.
    fn escape(&mut self, bytes: &mut Vec<u8>) {
        let next = self.text.get(self.at + 1).copied();
        let known = self.dialect.escapes.iter();
        let mut known = known.filter(|(name, _)| Some(*name) == next);
        match (known.next(), next) {
            (Some((_, meaning)), _) => {
                bytes.push(*meaning);
                self.at += 2;
            }
            (None, Some(next)) if !matches!(next, b'\n' | b'\r' | 0) => {
                bytes.extend([b'\\', next]);
                self.at += 2;
            }
            (None, _) => {
                bytes.push(b'\\');
                self.at += 1;
            }
        }
    }

    fn word(&self, start: usize, bytes: Vec<u8>, quoted: bool) -> Result<Token, Diagnostic> {
        if bytes.len() > WORD_BYTES_MAX {
            let message = format!("this word is longer than {WORD_BYTES_MAX} bytes");
            return Err(self.error(start, &message));
        }
        let mut word = Word::from_bytes(bytes, self.span(start));
        word.quoted = quoted;
        Ok(Token::Word(word))
    }

    fn span(&self, start: usize) -> Span {
        Span::new(self.file, start, self.at)
    }

    fn error(&self, start: usize, message: &str) -> Diagnostic {
        Diagnostic::error(Kind::Syntax, self.span(start), message)
    }
}
