//! Converters that make a number of bytes for distribution and comparison, not for secrets.

use plimsoll_config::diagnostic::Diagnostic;
use twox_hash::{XxHash3_64, XxHash32, XxHash64};

use super::{Convert, Row, pure};
use crate::arguments::Arguments;
use crate::balance::hash_type::{avalanche, djb2, sdbm, wt6};
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "crc32",
        usage: "[AVALANCHE]",
        doc: "The CRC-32 of Ethernet and gzip.",
        input: Type::Binary,
        output: Some(Type::Integer),
        read: |arguments, _| hash(arguments, crc32fast::hash),
    },
    Row {
        name: "crc32c",
        usage: "[AVALANCHE]",
        doc: "The CRC-32C of SCTP and iSCSI.",
        input: Type::Binary,
        output: Some(Type::Integer),
        read: |arguments, _| hash(arguments, crc32c::crc32c),
    },
    Row {
        name: "djb2",
        usage: "[AVALANCHE]",
        doc: "D. Bernstein's hash of 32 bits.",
        input: Type::Binary,
        output: Some(Type::Integer),
        read: |arguments, _| hash(arguments, djb2),
    },
    Row {
        name: "sdbm",
        usage: "[AVALANCHE]",
        doc: "The hash of the sdbm library, of 32 bits.",
        input: Type::Binary,
        output: Some(Type::Integer),
        read: |arguments, _| hash(arguments, sdbm),
    },
    Row {
        name: "wt6",
        usage: "[AVALANCHE]",
        doc: "HAProxy's own hash of 32 bits.",
        input: Type::Binary,
        output: Some(Type::Integer),
        read: |arguments, _| hash(arguments, wt6),
    },
    Row {
        name: "xxh3",
        usage: "[SEED]",
        doc: "XXH3 of 64 bits, as a signed number.",
        input: Type::Binary,
        output: Some(Type::Integer),
        read: |arguments, _| {
            seeded(arguments, |seed, bytes| {
                XxHash3_64::oneshot_with_seed(seed as u64, bytes) as i64
            })
        },
    },
    Row {
        name: "xxh32",
        usage: "[SEED]",
        doc: "XXH32.",
        input: Type::Binary,
        output: Some(Type::Integer),
        read: |arguments, _| {
            seeded(arguments, |seed, bytes| {
                XxHash32::oneshot(seed as u32, bytes).into()
            })
        },
    },
    Row {
        name: "xxh64",
        usage: "[SEED]",
        doc: "XXH64, as a signed number.",
        input: Type::Binary,
        output: Some(Type::Integer),
        read: |arguments, _| {
            seeded(arguments, |seed, bytes| {
                XxHash64::oneshot(seed as u64, bytes) as i64
            })
        },
    },
];

type Made = Result<Box<dyn Convert>, Diagnostic>;

fn hash(arguments: &mut Arguments, hash: fn(&[u8]) -> u32) -> Made {
    let mix = arguments.optional_integer("0 or 1")?.unwrap_or(0) != 0;
    pure(move |value| {
        let hash = hash(&value.into_binary());
        let hash = if mix { avalanche(hash) } else { hash };
        Some(Value::Integer(hash.into()))
    })
}

fn seeded(arguments: &mut Arguments, hash: fn(i64, &[u8]) -> i64) -> Made {
    let seed = arguments.optional_integer("a seed")?.unwrap_or(0);
    pure(move |value| Some(Value::Integer(hash(seed, &value.into_binary()))))
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    /// Expected values are HAProxy's.
    #[test]
    fn hashes_are_the_known_ones() {
        let bench = Bench::default();
        for (text, expected) in [
            ("str(abc),crc32", "891568578"),
            ("str(abc),crc32(1)", "930845320"),
            ("str(abc),crc32c", "910901175"),
            (
                "str(hello world how are you today my friend),crc32c",
                "573532105",
            ),
            ("str(abc),djb2", "193485963"),
            ("str(abc),djb2(1)", "2235766107"),
            ("str(abc),sdbm", "807794786"),
            ("str(abc),wt6", "2483038440"),
            ("str(abc),xxh32", "852579327"),
            ("str(abc),xxh32(5)", "1562728233"),
            ("str(abc),xxh64", "4952883123889572249"),
            ("str(abc),xxh3", "8696274497037089104"),
            ("str(abc),xxh3(7)", "5260018501835528466"),
            (
                "str(hello world how are you today my friend),xxh3",
                "6973547702088297911",
            ),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), Some(expected), "{text}");
        }
    }
}
