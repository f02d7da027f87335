//! Converters of Protocol Buffers, and of gRPC messages, which carry them.
//!
//! ```text
//! message: { varint: field << 3 | kind, value }...
//! gRPC:    1 byte: compressed, 4 bytes: length | message
//! ```
//! (protobuf.dev, "Encoding"; gRPC over HTTP/2.) Paths such as `48.59.1` lead through messages within messages.

use std::ops::Range;

use plimsoll_config::diagnostic::Diagnostic;

use super::{Convert, Row, part, pure};
use crate::arguments::Arguments;
use crate::expression::Scope;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "protobuf",
        usage: "PATH[,TYPE]",
        doc: "The field of a message of Protocol Buffers at a path such as 1.2: its bytes, or the number they stand for.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |arguments, scope| {
            read(arguments, scope, |field, bytes| {
                field.find(0..bytes.len(), bytes)
            })
        },
    },
    Row {
        name: "ungrpc",
        usage: "PATH[,TYPE]",
        doc: "As protobuf, of the messages of gRPC in a body.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |arguments, scope| read(arguments, scope, in_grpc),
    },
];

/// Most steps of a path.
const PATH_MAX: usize = 64;

/// Bytes before each message of gRPC.
const GRPC_HEADER_BYTES: usize = 5;

/// How the bytes of a field are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// As they are.
    Raw,
    Varint,
    /// A varint whose lowest bit is the sign.
    Zigzag,
    Fixed32 {
        signed: bool,
    },
    Fixed64,
    /// A number in floating point, cut off.
    Float,
    Double,
}

const KINDS: &[(&str, Kind)] = &[
    ("int32", Kind::Varint),
    ("uint32", Kind::Varint),
    ("sint32", Kind::Zigzag),
    ("int64", Kind::Varint),
    ("uint64", Kind::Varint),
    ("sint64", Kind::Zigzag),
    ("bool", Kind::Varint),
    ("enum", Kind::Varint),
    ("fixed32", Kind::Fixed32 { signed: false }),
    ("sfixed32", Kind::Fixed32 { signed: true }),
    ("float", Kind::Float),
    ("fixed64", Kind::Fixed64),
    ("sfixed64", Kind::Fixed64),
    ("double", Kind::Double),
];

/// A field that is looked for.
struct Field {
    path: Vec<u64>,
    kind: Kind,
}

/// What was found: a number, or where its bytes are.
enum Found {
    Number(i64),
    Bytes(Range<usize>),
}

type Search = fn(&Field, &[u8]) -> Option<Found>;

fn read(
    arguments: &mut Arguments,
    _: &Scope<'_>,
    search: Search,
) -> Result<Box<dyn Convert>, Diagnostic> {
    let text = arguments.word("the path of a field")?;
    let steps = text
        .split('.')
        .map(|step| step.parse().ok().filter(|step| *step > 0));
    let path: Option<Vec<u64>> = steps.collect();
    let path = path.filter(|path| path.len() <= PATH_MAX);
    let path = path.ok_or_else(|| {
        arguments.invalid(format_args!(
            "'{text}' is not the path of a field, such as 1.2"
        ))
    })?;
    let kind = match arguments.optional() {
        None => Kind::Raw,
        Some(name) => {
            let known = KINDS.iter().find(|(known, _)| *known == name);
            let unknown =
                || arguments.invalid(format_args!("'{name}' is not a type of Protocol Buffers"));
            known.ok_or_else(unknown)?.1
        }
    };
    let field = Field { path, kind };
    pure(move |value| {
        let bytes = value.into_binary();
        Some(match search(&field, &bytes)? {
            Found::Number(number) => Value::Integer(number),
            Found::Bytes(range) => Value::Binary(part(bytes, range)),
        })
    })
}

/// Looks into one message after the other.
fn in_grpc(field: &Field, bytes: &[u8]) -> Option<Found> {
    let mut at = 0;
    while bytes.len() - at > GRPC_HEADER_BYTES {
        let size = bytes[at + 1..].first_chunk().copied()?;
        let start = at + GRPC_HEADER_BYTES;
        let end = start.checked_add(u32::from_be_bytes(size) as usize)?;
        if end > bytes.len() {
            return None;
        }
        if let found @ Some(_) = field.find(start..end, bytes) {
            return found;
        }
        at = end;
    }
    None
}

impl Field {
    /// Looks within a part of `bytes`.
    fn find(&self, within: Range<usize>, bytes: &[u8]) -> Option<Found> {
        let mut rest = within;
        let mut path = self.path.iter();
        let mut wanted = *path.next()?;
        while !rest.is_empty() {
            let key = varint(&mut rest, bytes)?;
            let (number, value) = (key >> 3, value(key & 7, &mut rest, bytes)?);
            if number != wanted {
                continue;
            }
            match path.next() {
                None => return self.read(key & 7, value, bytes),
                // Only what has a length can be a message.
                Some(next) if key & 7 == LENGTH => (rest, wanted) = (value, *next),
                Some(_) => return None,
            }
        }
        None
    }

    /// What the field's bytes stand for, if they can be of this kind.
    fn read(&self, wire: u64, range: Range<usize>, bytes: &[u8]) -> Option<Found> {
        let value = &bytes[range.clone()];
        let number = match (wire, self.kind) {
            (_, Kind::Raw) => return Some(Found::Bytes(range)),
            (VARINT, Kind::Varint) => varint(&mut range.clone(), bytes)? as i64,
            (VARINT, Kind::Zigzag) => {
                let number = varint(&mut range.clone(), bytes)?;
                (number >> 1) as i64 ^ -((number & 1) as i64)
            }
            (FOUR, Kind::Fixed32 { signed }) => {
                let number = u32::from_le_bytes(*value.first_chunk()?);
                match signed {
                    true => (number as i32).into(),
                    false => number.into(),
                }
            }
            (FOUR, Kind::Float) => f32::from_le_bytes(*value.first_chunk()?) as i64,
            (EIGHT, Kind::Fixed64) => i64::from_le_bytes(*value.first_chunk()?),
            (EIGHT, Kind::Double) => f64::from_le_bytes(*value.first_chunk()?) as i64,
            _ => return None,
        };
        Some(Found::Number(number))
    }
}

// Kinds of values on the wire; 3 and 4 are given up.
const VARINT: u64 = 0;
const EIGHT: u64 = 1;
const LENGTH: u64 = 2;
const FOUR: u64 = 5;

/// Passes a value, and says where it is.
fn value(wire: u64, rest: &mut Range<usize>, bytes: &[u8]) -> Option<Range<usize>> {
    let start = rest.start;
    let length = match wire {
        VARINT => {
            varint(rest, bytes)?;
            return Some(start..rest.start);
        }
        EIGHT => 8,
        FOUR => 4,
        LENGTH => usize::try_from(varint(rest, bytes)?).ok()?,
        _ => return None,
    };
    if length > rest.len() {
        return None;
    }
    let start = rest.start;
    rest.start += length;
    Some(start..rest.start)
}

/// Passes a number of seven bits per byte, the lowest first, ten bytes at most.
fn varint(rest: &mut Range<usize>, bytes: &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes[rest.next()?];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    /// Fields 1: -1, 2: zigzag -3, 3: fixed32 -2, 4: fixed64 7, 5: "ab", 6: { 1: 150, 2: { 9: "x" } }, 7: float 2.5
    const MESSAGE: &str = "08ffffffffffffffffff01 1005 1dfeffffff 210700000000000000 2a026162 3208 089601 12034a0178 3d00002040";

    fn evaluate(message: &str, converters: &str) -> Option<String> {
        let digits = message.replace(' ', "");
        Bench::default().evaluate(&format!("bin({digits}),{converters}"))
    }

    #[test]
    fn fields_are_found() {
        for (converters, expected) in [
            ("protobuf(1,int64)", Some("-1")),
            ("protobuf(1),hex", Some("FFFFFFFFFFFFFFFFFF01")),
            ("protobuf(2,sint32)", Some("-3")),
            ("protobuf(2,uint32)", Some("5")),
            ("protobuf(3,sfixed32)", Some("-2")),
            ("protobuf(3,fixed32)", Some("4294967294")),
            ("protobuf(4,fixed64)", Some("7")),
            ("protobuf(5)", Some("ab")),
            ("protobuf(6.1,int32)", Some("150")),
            ("protobuf(6.2.9)", Some("x")),
            ("protobuf(6),protobuf(2),protobuf(9)", Some("x")),
            ("protobuf(7,float)", Some("2")),
            ("protobuf(5,int32)", None),
            ("protobuf(1.1)", None),
            ("protobuf(8)", None),
        ] {
            let found = evaluate(MESSAGE, converters);
            assert_eq!(found.as_deref(), expected, "{converters}");
        }
        let length = MESSAGE.replace(' ', "").len() / 2;
        let framed = format!("00 0000000108 0000000000 00{length:08x} {MESSAGE}");
        assert_eq!(
            evaluate(&framed, "ungrpc(5)").as_deref(),
            Some("ab"),
            "behind one that is none, and an empty one"
        );
        let framed = format!("00 00000002 4801 00{length:08x} {MESSAGE}");
        assert_eq!(
            evaluate(&framed, "ungrpc(6.1,int32)").as_deref(),
            Some("150")
        );
        assert_eq!(evaluate(&framed[..40], "ungrpc(6.1,int32)"), None);
    }

    #[test]
    fn nothing_is_read_that_is_not_there() {
        let field = Field {
            path: vec![6, 2, 9],
            kind: Kind::Raw,
        };
        let mut state = 1_u32;
        for length in 0..2_000 {
            let bytes: Vec<u8> = (0..length % 40)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    [0x32, 0x12, 0x4a, 3, 2, 0xff, 0x08][(state >> 8) as usize % 7]
                })
                .collect();
            let _ = (field.find(0..bytes.len(), &bytes), in_grpc(&field, &bytes));
        }
    }

    #[test]
    fn paths_and_types_have_to_be_known() {
        for arguments in ["", "0", "a", "1..2", "1,text"] {
            Bench::default().refused(&format!("str(x),protobuf({arguments})"));
        }
    }
}
