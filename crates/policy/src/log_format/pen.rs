//! How one value is written: plainly, or in JSON or CBOR, with what its flags ask for.

use std::io::Write as _;

use super::cbor;
use super::{Cast, Encoding, Flags, Form};
use crate::log::text::{Escapes, PLAIN, push_escaped, push_hex};

/// Writes the content of one hole.
pub(super) struct Pen<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) flags: Flags,
    pub(super) cast: Cast,
    pub(super) encoding: Encoding,
}

impl Pen<'_> {
    pub(super) fn cbor(&mut self) -> cbor::Writer<'_> {
        cbor::Writer {
            out: self.out,
            binary: self.flags.binary,
        }
    }

    /// A text that may be missing; quoted where that was asked for.
    pub(super) fn text(&mut self, text: Option<&[u8]>) {
        match (self.flags.form, text) {
            (Form::Cbor, None) => {}
            (Form::Cbor, Some(text)) => self.cbor().text(text),
            (Form::Json, text) => self.quoted(text.unwrap_or_default()),
            (Form::Plain, text) if self.flags.quote => self.quoted(text.unwrap_or_default()),
            (Form::Plain, text) => match text.unwrap_or_default() {
                b"" if self.flags.mandatory => self.out.push(b'-'),
                text => self.body(text),
            },
        }
    }

    /// A text that is never quoted unless the form demands it: dates, letters, digits.
    pub(super) fn word(&mut self, text: &[u8]) {
        match self.flags.form {
            Form::Cbor => self.cbor().text(text),
            Form::Json => self.quoted(text),
            Form::Plain => self.body(text),
        }
    }

    /// Text of our own that holds nothing to be escaped, written by `write`; quoted as [`Pen::text`] is where `quotable`.
    pub(super) fn made(&mut self, quotable: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let quotes = match self.flags.form {
            Form::Json => true,
            Form::Plain => quotable && self.flags.quote,
            Form::Cbor => {
                let mut text = Vec::new();
                write(&mut text);
                return self.cbor().text(&text);
            }
        };
        let quote: &[u8] = if quotes { b"\"" } else { b"" };
        self.out.extend_from_slice(quote);
        write(self.out);
        self.out.extend_from_slice(quote);
    }

    fn quoted(&mut self, text: &[u8]) {
        self.out.push(b'"');
        self.body(text);
        self.out.push(b'"');
    }

    fn body(&mut self, text: &[u8]) {
        if self.flags.form == Form::Json {
            push_json(self.out, text);
        } else if self.flags.escape {
            for &byte in text {
                self.escaped(byte);
            }
        } else if self.encoding == Encoding::Log {
            push_escaped(self.out, text, &PLAIN);
        } else {
            self.out.extend_from_slice(text);
        }
    }

    fn escaped(&mut self, byte: u8) {
        match byte {
            b'"' | b'\\' | b']' => self.out.extend_from_slice(&[b'\\', byte]),
            _ if self.encoding == Encoding::Log && PLAIN.covers(byte) => push_hex(self.out, byte),
            _ => self.out.push(byte),
        }
    }

    pub(super) fn integer(&mut self, number: impl Into<i64>) {
        let number = number.into();
        match self.flags.form {
            Form::Plain => push_integer(self.out, number),
            _ if self.cast == Cast::Boolean => self.boolean(number != 0),
            Form::Json if self.cast == Cast::Text => {
                self.out.push(b'"');
                push_integer(self.out, number);
                self.out.push(b'"');
            }
            Form::Json => push_integer(self.out, number),
            Form::Cbor => self.cbor().integer(number),
        }
    }

    /// In an encoded text.
    pub(super) fn boolean(&mut self, value: bool) {
        match self.flags.form {
            Form::Cbor => self.cbor().boolean(value),
            _ => {
                let word: &[u8] = if value { b"true" } else { b"false" };
                self.out.extend_from_slice(word);
            }
        }
    }

    /// An integer, in hexadecimal digits where that was asked for, `digits` of them at least.
    pub(super) fn hexadecimal(&mut self, number: impl Into<i64>, digits: usize) {
        let number = number.into();
        if self.flags.hexadecimal {
            // Writing to a vector cannot fail.
            self.made(false, |out| drop(write!(out, "{number:0digits$X}")));
        } else {
            self.integer(number);
        }
    }

    /// What is told beside a value, and would spoil it where programs read: `+`.
    pub(super) fn mark(&mut self, sign: u8) {
        if self.flags.form == Form::Plain {
            self.out.push(sign);
        }
    }

    /// Text of strangers, put together by `write` with [`Stroke::push`], between quotes where that was asked for.
    pub(super) fn composed(&mut self, write: impl FnOnce(&mut Stroke<'_>)) {
        let quotes =
            self.flags.form == Form::Json || self.flags.form == Form::Plain && self.flags.quote;
        if quotes {
            self.out.push(b'"');
        }
        let start = self.out.len();
        write(&mut Stroke {
            out: self.out,
            flags: self.flags,
        });
        if quotes {
            self.out.push(b'"');
        }
        if self.flags.form == Form::Cbor {
            let text = self.out.split_off(start);
            let mut writer = self.cbor();
            writer.byte(cbor::TEXTS);
            if !text.is_empty() {
                writer.text(&text);
            }
            writer.byte(cbor::BREAK);
        }
    }

    /// Begins, parts and ends a list of values.
    pub(super) fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        match self.flags.form {
            Form::Json => self.out.push(b'['),
            Form::Cbor => self.cbor().byte(cbor::LIST),
            Form::Plain => {}
        }
        for (index, item) in items.iter().enumerate() {
            match self.flags.form {
                Form::Json if index > 0 => self.out.extend_from_slice(b", "),
                Form::Plain if index > 0 => self.out.push(b' '),
                _ => {}
            }
            write(self, item);
        }
        match self.flags.form {
            Form::Json => self.out.push(b']'),
            Form::Cbor => self.cbor().byte(cbor::BREAK),
            Form::Plain => {}
        }
    }

    /// For header fields and targets: control characters become `%XX`, and nothing is quoted.
    pub(super) fn http(&mut self, text: &[u8]) {
        let control = |byte: u8| (byte < 0x20 && byte != b'\t') || byte == 0x7f;
        let marked = |byte: u8| match self.flags.form {
            Form::Json => matches!(byte, b'"' | b'\\'),
            _ => self.flags.escape && matches!(byte, b'"' | b'\\' | b']'),
        };
        if !text.iter().any(|&byte| control(byte) || marked(byte)) {
            self.out.extend_from_slice(text);
            return;
        }
        for &byte in text {
            if control(byte) {
                let start = self.out.len();
                push_hex(self.out, byte);
                self.out[start] = b'%';
            } else if marked(byte) {
                self.out.extend_from_slice(&[b'\\', byte]);
            } else {
                self.out.push(byte);
            }
        }
    }
}

/// Text in the making.
pub(super) struct Stroke<'a> {
    out: &'a mut Vec<u8>,
    flags: Flags,
}

impl Stroke<'_> {
    /// Appends a stranger's text; bytes in `escapes` become `#XX`.
    pub(super) fn push(&mut self, text: &[u8], escapes: &Escapes) {
        let backslashed = |byte: u8| match self.flags.form {
            Form::Json => matches!(byte, b'"' | b'\\'),
            Form::Plain => self.flags.escape && matches!(byte, b'"' | b'\\' | b']'),
            Form::Cbor => false,
        };
        if self.flags.form != Form::Json && !self.flags.escape {
            return push_escaped(self.out, text, escapes);
        }
        for &byte in text {
            if escapes.covers(byte) {
                push_hex(self.out, byte);
            } else if backslashed(byte) {
                self.out.extend_from_slice(&[b'\\', byte]);
            } else {
                self.out.push(byte);
            }
        }
    }

    /// Appends text of our own.
    pub(super) fn own(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }
}

fn push_integer(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    crate::log::text::push_number(out, number.unsigned_abs());
}

/// A JSON string without its quotes (RFC 8259 section 7).
fn push_json(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                let start = out.len();
                push_hex(out, byte);
                out.remove(start);
            }
            _ => out.push(byte),
        }
    }
}
