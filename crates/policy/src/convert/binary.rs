//! Converters of binary data: digits of its bytes, parts of it.

use std::borrow::Cow;

use plimsoll_config::diagnostic::Diagnostic;

use super::number::Operand;
use super::{Convert, OUTPUT_BYTES_MAX, Row, binary, part, pure, text};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "base2",
        usage: "",
        doc: "The bits as digits.",
        input: Type::Binary,
        output: Some(Type::Text),
        read: |_, _| {
            pure(|value| {
                let bytes = value.into_binary();
                let fitting = bytes.iter().take(OUTPUT_BYTES_MAX / 8);
                let bit = |byte: u8, place: u8| b'0' + (byte >> place & 1);
                let digits = fitting.flat_map(|&byte| (0..8).rev().map(move |at| bit(byte, at)));
                text(digits.collect())
            })
        },
    },
    Row {
        name: "be2dec",
        usage: "SEPARATOR,SIZE[,TRUNCATE]",
        doc: "Decimal numbers of SIZE bytes each, the most significant byte first.",
        input: Type::Binary,
        output: Some(Type::Text),
        read: |arguments, _| decimals(arguments, true),
    },
    Row {
        name: "be2hex",
        usage: "[SEPARATOR][,[SIZE][,TRUNCATE]]",
        doc: "Hexadecimal digits with a separator every SIZE bytes.",
        input: Type::Binary,
        output: Some(Type::Text),
        read: separated_hex,
    },
    Row {
        name: "bytes",
        usage: "OFFSET[,LENGTH]",
        doc: "The bytes from OFFSET on, at most LENGTH of them.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |arguments, _| {
            let offset = position(arguments)?;
            let length = match arguments.left() {
                0 => None,
                _ => Some(position(arguments)?),
            };
            Ok(Box::new(Bytes { offset, length }))
        },
    },
    Row {
        name: "has_ctl",
        usage: "[MASK]",
        doc: "Whether there is a control character other than a tab, or one of those in the mask, any or http.",
        input: Type::Binary,
        output: Some(Type::Boolean),
        read: |arguments, _| {
            let mask = control_mask(arguments)?;
            pure(move |value| {
                let wanted = |byte: &u8| match byte {
                    0..0x20 => mask >> byte & 1 == 1,
                    0x7f => mask >> 32 & 1 == 1,
                    _ => false,
                };
                Some(Value::Boolean(value.into_binary().iter().any(wanted)))
            })
        },
    },
    Row {
        name: "hex",
        usage: "",
        doc: "Hexadecimal digits.",
        input: Type::Binary,
        output: Some(Type::Text),
        read: |_, _| {
            pure(|value| {
                let bytes = value.into_binary();
                let mut out = Vec::with_capacity(2 * bytes.len().min(OUTPUT_BYTES_MAX / 2));
                for &byte in bytes.iter().take(OUTPUT_BYTES_MAX / 2) {
                    push_hex(byte, &mut out);
                }
                text(out)
            })
        },
    },
    Row {
        name: "hex2i",
        usage: "",
        doc: "The number that hexadecimal digits stand for.",
        input: Type::Text,
        output: Some(Type::Integer),
        read: |_, _| {
            pure(|value| {
                let number = value.into_text().iter().try_fold(0_i64, |number, byte| {
                    let digit = (*byte as char).to_digit(16)?;
                    Some(number << 4 | i64::from(digit))
                });
                number.map(Value::Integer)
            })
        },
    },
    Row {
        name: "htonl",
        usage: "",
        doc: "The low 32 bits as four bytes, the most significant first.",
        input: Type::Integer,
        output: Some(Type::Binary),
        read: |_, _| {
            pure(|value| {
                let bytes = (value.as_integer()? as u32).to_be_bytes();
                binary(bytes.to_vec())
            })
        },
    },
    Row {
        name: "le2dec",
        usage: "SEPARATOR,SIZE[,TRUNCATE]",
        doc: "Decimal numbers of SIZE bytes each, the least significant byte first.",
        input: Type::Binary,
        output: Some(Type::Text),
        read: |arguments, _| decimals(arguments, false),
    },
];

type Made = Result<Box<dyn Convert>, Diagnostic>;

const HEX_DIGITS: &[u8; 16] = b"0123456789ABCDEF";

pub(super) fn push_hex(byte: u8, out: &mut Vec<u8>) {
    out.push(HEX_DIGITS[usize::from(byte >> 4)]);
    out.push(HEX_DIGITS[usize::from(byte & 0xf)]);
}

fn truncate(arguments: &mut Arguments) -> Result<bool, Diagnostic> {
    match arguments.optional_integer("the mark of truncation")? {
        None | Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(other) => Err(arguments.invalid(format_args!("{other} is neither 0 nor 1"))),
    }
}

fn decimals(arguments: &mut Arguments, big_endian: bool) -> Made {
    let separator = arguments.text("a separator")?.into_bytes();
    let size = arguments.optional_integer("a size")?.unwrap_or(0);
    let size = usize::try_from(size)
        .ok()
        .filter(|size| (1..=8).contains(size))
        .ok_or_else(|| arguments.invalid("a number consists of 1 to 8 bytes"))?;
    let truncate = truncate(arguments)?;
    pure(move |value| {
        let bytes = value.into_binary();
        let mut out = Vec::new();
        for chunk in chunks(&bytes, size, truncate) {
            let push = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
            let number = if big_endian {
                chunk.iter().fold(0, push)
            } else {
                chunk.iter().rev().fold(0, push)
            };
            let digits = number.to_string();
            if out.len() + separator.len() + digits.len() > OUTPUT_BYTES_MAX {
                break;
            }
            if !out.is_empty() {
                out.extend_from_slice(&separator);
            }
            out.extend_from_slice(digits.as_bytes());
        }
        text(out)
    })
}

/// Pieces of `size` bytes; the last may be shorter unless `truncate`.
fn chunks(bytes: &[u8], size: usize, truncate: bool) -> impl Iterator<Item = &[u8]> {
    bytes
        .chunks(size)
        .take_while(move |chunk| !truncate || chunk.len() == size)
}

fn separated_hex(arguments: &mut Arguments, _: &crate::expression::Scope<'_>) -> Made {
    let separator = arguments.text("a separator")?.into_bytes();
    let size = arguments.optional_integer("a size")?.unwrap_or(0);
    let truncate = truncate(arguments)?;
    if size <= 0 && (truncate || !separator.is_empty()) {
        return Err(arguments.invalid("the size must be positive"));
    }
    let size = match usize::try_from(size) {
        Ok(size) if truncate || !separator.is_empty() => size,
        _ => usize::MAX,
    };
    pure(move |value| {
        let bytes = value.into_binary();
        let mut out = Vec::new();
        for chunk in chunks(&bytes, size, truncate) {
            if out.len() + separator.len() + 2 * chunk.len() > OUTPUT_BYTES_MAX {
                break;
            }
            if !out.is_empty() {
                out.extend_from_slice(&separator);
            }
            chunk.iter().for_each(|&byte| push_hex(byte, &mut out));
        }
        text(out)
    })
}

fn control_mask(arguments: &mut Arguments) -> Result<u64, Diagnostic> {
    let Some(mask) = arguments.optional() else {
        return Ok(0x1_ffff_fdff);
    };
    let number = match mask.as_str() {
        "any" => Some(0x1_ffff_ffff),
        "http" => Some(0x2401),
        text => match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
    };
    number.filter(|mask| *mask <= 0x1_ffff_ffff).ok_or_else(|| {
        arguments.invalid(format_args!(
            "'{mask}' is neither 'any', 'http' nor a mask of 33 bits"
        ))
    })
}

fn position(arguments: &mut Arguments) -> Result<Operand, Diagnostic> {
    let first = arguments.is_first();
    let text = arguments.text("a number or a variable's name")?;
    if text.is_empty() && !first {
        return Err(arguments.invalid("a positive number or a variable's name is missing"));
    }
    let operand = Operand::parse(&text, arguments)?;
    // An offset may be 0, a length may not.
    let least = i64::from(!first);
    match operand {
        Operand::Number(number) if number < least => {
            Err(arguments.invalid(format_args!("{text} is not positive")))
        }
        operand => Ok(operand),
    }
}

struct Bytes {
    offset: Operand,
    length: Option<Operand>,
}

impl Convert for Bytes {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let bytes = value.into_binary();
        let start = usize::try_from(self.offset.value(context)?).ok()?;
        let length = match &self.length {
            None => usize::MAX,
            Some(length) => usize::try_from(length.value(context)?).ok()?,
        };
        let is_short = start >= bytes.len() || length != usize::MAX && length > bytes.len() - start;
        if is_short && !context.last {
            context.may_change();
            return None;
        }
        let start = start.min(bytes.len());
        let end = bytes.len().min(start.saturating_add(length));
        Some(Value::Binary(match start == end {
            true => Cow::Borrowed(&[]),
            false => part(bytes, start..end),
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;
    use crate::value::Value;

    /// Expected values are HAProxy's.
    #[test]
    fn bytes_are_written_and_cut() {
        let mut bench = Bench::default();
        bench.variable("txn.one", Value::Integer(1));
        bench.variable("txn.minus", Value::Integer(-1));
        for (text, expected) in [
            ("str(abc),base2", Some("011000010110001001100011")),
            ("str(abc),hex", Some("616263")),
            ("str(abc),be2hex", Some("616263")),
            ("str(abc),be2hex(:,1)", Some("61:62:63")),
            ("str(abc),be2hex(:,2)", Some("6162:63")),
            ("str(abc),be2hex(:,2,1)", Some("6162")),
            ("str(abc),be2hex(,2,1)", Some("6162")),
            (
                "bin(0102030405060708),be2dec(:,2)",
                Some("258:772:1286:1800"),
            ),
            ("bin(010203),be2dec(:,2)", Some("258:3")),
            ("bin(010203),be2dec(:,2,1)", Some("258")),
            (
                "bin(ffffffffffffffff),be2dec(,8)",
                Some("18446744073709551615"),
            ),
            ("bin(010203),le2dec(-,2)", Some("513-3")),
            ("str(abc),bytes", Some("abc")),
            ("str(abc),bytes(1)", Some("bc")),
            ("str(abc),bytes(1,1)", Some("b")),
            ("str(abc),bytes(,1)", Some("a")),
            ("str(abc),bytes(txn.one,9)", Some("bc")),
            ("str(abc),bytes(9)", Some("")),
            ("str(abc),bytes(txn.minus)", None),
            ("str(abc),bytes(txn.none)", None),
            ("str(616),hex2i", Some("1558")),
            ("str(ffffffffffffffff),hex2i", Some("-1")),
            ("str(zz),hex2i", None),
            ("str(),hex2i", Some("0")),
            ("int(3),htonl,hex", Some("00000003")),
            ("bin(0961),has_ctl", Some("0")),
            ("bin(0961),has_ctl(any)", Some("1")),
            ("bin(0a),has_ctl(http)", Some("1")),
            ("bin(7f),has_ctl()", Some("1")),
            ("bin(09),has_ctl(0x200)", Some("1")),
            ("bin(09),has_ctl(511)", Some("0")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn arguments_are_checked() {
        let bench = Bench::default();
        for (text, part) in [
            ("str(a),be2dec", "1 to 8"),
            ("str(a),be2dec(:,9)", "1 to 8"),
            ("str(a),be2hex(:)", "positive"),
            ("str(a),be2hex(:,1,2)", "neither 0 nor 1"),
            ("str(a),bytes(-1)", "not positive"),
            ("str(a),bytes(1,)", "missing"),
            ("str(a),bytes(0,0)", "not positive"),
            ("str(a),bytes(0x1)", "not a number"),
            ("str(a),has_ctl(0x3ffffffff)", "33 bits"),
            ("str(a),has_ctl(xy)", "33 bits"),
        ] {
            let error = bench.refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
