//! Filling in the holes of a format.

use super::pen::Pen;
use super::{Cast, Encoding, Form, Format, Hole, Item, cbor};
use crate::context::Context;
use crate::expression::Expression;
use crate::value::{Type, Value};

impl Format {
    /// The text with its holes filled in.
    pub(crate) fn text(&self, context: &Context<'_>) -> Vec<u8> {
        let mut text = Vec::new();
        self.write(context, &mut text);
        text
    }

    /// Appends the text with its holes filled in.
    pub fn write(&self, context: &Context<'_>, out: &mut Vec<u8>) {
        if self.whole.form != Form::Plain {
            return self.write_encoded(context, out);
        }
        // Nothing has been written behind which a space could stand.
        let mut spaced = true;
        for item in &self.items {
            let start = out.len();
            match item {
                Item::Literal(text) => out.extend_from_slice(text),
                Item::Space if spaced => continue,
                Item::Space => {
                    out.push(b' ');
                    spaced = true;
                    continue;
                }
                // Even an empty one parts two spaces.
                Item::Expression(expression, hole) => {
                    self.write_expression(expression, hole, context, out);
                    spaced = false;
                }
                Item::Alias(alias, hole) => (alias.write)(context, &mut self.pen(hole, out)),
            }
            spaced &= out.len() == start;
        }
    }

    /// A map of those holes that have names.
    fn write_encoded(&self, context: &Context<'_>, out: &mut Vec<u8>) {
        let json = self.whole.form == Form::Json;
        let byte = |out: &mut Vec<u8>, plain: u8, coded: u8| match json {
            true => out.push(plain),
            false => cbor::Writer {
                out,
                binary: self.whole.binary,
            }
            .byte(coded),
        };
        byte(out, b'{', cbor::MAP);
        let mut first = true;
        for item in &self.items {
            let (Item::Expression(_, hole) | Item::Alias(_, hole)) = item else {
                continue;
            };
            let Some(name) = &hole.name else { continue };
            if json && !first {
                out.extend_from_slice(b", ");
            }
            first = false;
            let key = Hole {
                flags: self.whole,
                ..Hole::default()
            };
            self.pen(&key, out).word(name.as_bytes());
            if json {
                out.extend_from_slice(b": ");
            }
            let start = out.len();
            match item {
                Item::Expression(expression, hole) => {
                    self.write_expression(expression, hole, context, out);
                }
                Item::Alias(alias, hole) => (alias.write)(context, &mut self.pen(hole, out)),
                Item::Literal(_) | Item::Space => {}
            }
            if out.len() == start {
                match json {
                    true => out.extend_from_slice(b"null"),
                    false => byte(out, 0, cbor::NULL),
                }
            }
        }
        byte(out, b'}', cbor::BREAK);
    }

    fn pen<'a>(&self, hole: &Hole, out: &'a mut Vec<u8>) -> Pen<'a> {
        Pen {
            out,
            flags: hole.flags,
            cast: hole.cast,
            encoding: self.encoding,
        }
    }

    fn write_expression(
        &self,
        expression: &Expression,
        hole: &Hole,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let value = expression.evaluate(context);
        let mut pen = self.pen(hole, out);
        let plain = hole.flags.form == Form::Plain;
        // The usual case, without a copy.
        if plain && self.encoding == Encoding::Raw && hole.flags == Default::default() {
            if let Some(value) = value {
                value.write(pen.out);
            }
            return;
        }
        if self.encoding.is_http() {
            match value {
                None => {}
                // No byte of theirs has to be marked.
                Some(value @ (Value::Integer(_) | Value::Address(_) | Value::Boolean(_))) => {
                    value.write(pen.out);
                }
                Some(value) => pen.http(&value.into_text()),
            }
            return;
        }
        match value {
            None => pen.text(None),
            Some(value) if plain && hole.flags.binary && hole.cast != Cast::Text => {
                write_raw(&value, pen.out);
            }
            Some(value) if plain => pen.text(Some(&value.into_text())),
            Some(value) => write_typed(&mut pen, value),
        }
    }
}

/// As text; binary data as it is, zero bytes and all.
fn write_raw(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Binary(bytes) => out.extend_from_slice(bytes),
        value => value.write(out),
    }
}

/// In JSON or CBOR, as the type that it has or that it is to have.
fn write_typed(pen: &mut Pen<'_>, value: Value<'_>) {
    let cast = match (pen.cast, &value) {
        (Cast::Same, Value::Integer(_)) => Cast::Integer,
        (Cast::Same, Value::Boolean(_)) => Cast::Boolean,
        (Cast::Same, _) => Cast::Text,
        (cast, _) => cast,
    };
    match cast {
        Cast::Raw => write_raw(&value, pen.out),
        Cast::Integer => match value.cast(Type::Integer) {
            Some(Value::Integer(number)) => pen.integer(number),
            _ => pen.text(None),
        },
        Cast::Boolean => match value.cast(Type::Boolean) {
            Some(Value::Boolean(value)) => pen.boolean(value),
            _ => pen.text(None),
        },
        Cast::Same | Cast::Text => match value {
            Value::Binary(bytes) if pen.flags.form == Form::Cbor && pen.cast == Cast::Same => {
                pen.cbor().bytes(&bytes);
            }
            value => pen.text(Some(&value.into_text())),
        },
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn holes_are_filled_in() {
        let bench = Bench::request("GET /a?b HTTP/1.1\r\nHost: h\r\nX: \"q\" \\ ]\r\n\r\n");
        for (format, expected) in [
            ("plain", "plain"),
            ("100%%", "100%"),
            ("%[path]?%[query]", "/a?b"),
            ("a  b", "a  b"),
            // Header fields have quotes of their own: expressions are never put into more.
            ("%{+Q}[path] %[req.hdr(none)]|", "/a |"),
            ("%{+E}[req.hdr(x)]", "\\\"q\\\" \\\\ \\]"),
            ("%ci:%cp", "192.0.2.1:4711"),
            ("%{+Q}o%[path]%ci", "/a\"192.0.2.1\""),
            ("%{+X}[int(10)]%{+X}ci", "10C0000201"),
            ("%[str('a]b')]", "a]b"),
            ("%(name)[path]%(:str){+Q}ci", "/a\"192.0.2.1\""),
        ] {
            assert_eq!(bench.format(format).as_deref(), Ok(expected), "{format}");
        }
        for (format, part) in [
            ("%[path", "never closed"),
            ("%{+Q", "never closed"),
            ("%{+W}[path]", "not a flag"),
            ("%zz", "not a name"),
            ("%cix", "not a name"),
            ("50% off", "stands alone"),
            ("%(a b)ci", "not a name for a field"),
            ("%(a:int)ci", "not a type"),
            ("%[res.hdr(a)]", "not available here"),
        ] {
            let error = bench.format(format).unwrap_err();
            assert!(error.contains(part), "{format}: {error}");
        }
    }

    #[test]
    fn control_characters_are_encoded() {
        let bench = Bench::default();
        assert_eq!(
            bench.format("%[bin(410a42)]").as_deref(),
            Ok("A%0AB"),
            "in header fields"
        );
        assert_eq!(
            bench.log("%[bin(410a42c3)]").as_deref(),
            Ok("A#0AB#C3"),
            "in log lines"
        );
    }

    #[test]
    fn lines_merge_spaces_and_mark_what_is_missing() {
        let bench = Bench::request("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        for (format, expected) in [
            ("  a   b  ", "a b "),
            ("%hr   %hs  x", "x"),
            (
                "%[req.hdr(none)] %{+Q}[req.hdr(none)] %{-M}[req.hdr(none)].",
                "- \"\" .",
            ),
            ("%s %b %tsc", "<NOSRV> web ----"),
        ] {
            assert_eq!(bench.log(format).as_deref(), Ok(expected), "{format}");
        }
    }

    #[test]
    fn whole_lines_may_be_json_or_cbor() {
        let bench = Bench::request("GET /\"a HTTP/1.1\r\nHost: h\r\n\r\n");
        for (format, expected) in [
            (
                "%{+json}o x %(a)[int(1)] %ci %(b)cp",
                r#"{"a": 1, "b": 4711}"#,
            ),
            (
                "%{+json}o %(r)r %(p)[path]",
                r#"{"r": "GET /#22a HTTP/1.1", "p": "/\"a"}"#,
            ),
            (
                "%{+json}o %(a:str)[int(1)]%(b:bool)cp",
                r#"{"a": "1", "b": true}"#,
            ),
            (
                "%{+json}o %(a)[req.hdr(none)]%(b)hr",
                r#"{"a": "", "b": null}"#,
            ),
            ("%{+json}[path] %(a){+json}cp", r#""/\"a" 4711"#),
            // A map of one text and one number, by RFC 8949.
            ("%{+cbor}o %(a)[path] %(b)cp", "BF6161632F226161621912 67FF"),
        ] {
            let expected = match format.contains("cbor") {
                true => expected.replace(' ', ""),
                false => expected.to_owned(),
            };
            assert_eq!(bench.log(format).as_deref(), Ok(&*expected), "{format}");
        }
    }
}
