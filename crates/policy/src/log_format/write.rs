//! Filling in the holes of a format.

use super::{Encoding, Flags, Format, Item};
use crate::context::Context;
use crate::value::Value;

impl Format {
    /// Appends the text with its holes filled in.
    pub fn write(&self, context: &Context<'_>, out: &mut Vec<u8>) {
        for item in &self.items {
            match item {
                Item::Literal(text) => out.extend_from_slice(text),
                Item::Expression(expression, flags) => {
                    let value = expression.evaluate(context);
                    self.write_hole(*flags, out, |out| match &value {
                        Some(value) => {
                            write_value(value, *flags, out);
                            true
                        }
                        None => false,
                    });
                }
                Item::Alias(alias, flags) => {
                    self.write_hole(*flags, out, |out| (alias.write)(context, out));
                }
            }
        }
    }

    fn write_hole(
        &self,
        flags: Flags,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) {
        if flags.quote {
            out.push(b'"');
        }
        let start = out.len();
        let written = write(out);
        if written {
            encode(self.encoding, flags, start, out);
        } else if self.encoding == Encoding::Log && !flags.quote || flags.mandatory {
            out.push(b'-');
        }
        if flags.quote {
            out.push(b'"');
        }
    }
}

fn write_value(value: &Value<'_>, flags: Flags, out: &mut Vec<u8>) {
    use std::io::Write as _;
    match value {
        // Writing into a Vec cannot fail.
        Value::Integer(number) if flags.hexadecimal => {
            let _ = write!(out, "{number:02X}");
        }
        value => value.write(out),
    }
}

/// Replaces what must not stand in the line by what may.
fn encode(encoding: Encoding, flags: Flags, start: usize, out: &mut Vec<u8>) {
    let escaped = |byte: u8| flags.escape && matches!(byte, b'"' | b'\\' | b']');
    let mark = match encoding {
        Encoding::Raw => None,
        Encoding::Http => Some(b'%'),
        Encoding::Log => Some(b'#'),
    };
    let coded = |byte: u8| match encoding {
        Encoding::Raw => false,
        Encoding::Http => (byte < 0x20 && byte != b'\t') || byte == 0x7f,
        Encoding::Log => !(0x20..0x7f).contains(&byte),
    };
    if !out[start..]
        .iter()
        .any(|&byte| coded(byte) || escaped(byte))
    {
        return;
    }
    let text = out.split_off(start);
    for byte in text {
        match mark {
            Some(mark) if coded(byte) => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                out.extend([
                    mark,
                    DIGITS[usize::from(byte >> 4)],
                    DIGITS[usize::from(byte & 15)],
                ]);
            }
            _ if escaped(byte) => out.extend([b'\\', byte]),
            _ => out.push(byte),
        }
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
            ("50% off", "50% off"),
            ("%[path]?%[query]", "/a?b"),
            ("%{+Q}[path] %[req.hdr(none)]|", "\"/a\" |"),
            ("%{+E}[req.hdr(x)]", "\\\"q\\\" \\\\ \\]"),
            ("%ci:%cp", "192.0.2.1:4711"),
            ("%{+Q}o%[path]%ci", "\"/a\"\"192.0.2.1\""),
            ("%{+X}[int(10)]", "0A"),
            ("%[str('a]b')]", "a]b"),
        ] {
            assert_eq!(bench.format(format).as_deref(), Ok(expected), "{format}");
        }
        for (format, part) in [
            ("%[path", "never closed"),
            ("%{+Q", "never closed"),
            ("%{+W}[path]", "not a flag"),
            ("%zz", "not a name"),
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
    }
}
