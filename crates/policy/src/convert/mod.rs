//! Converters: what can be made of a value (manual, section 7.3.1).
//!
//! One file per topic, each with a sorted list of rows. A converter gets a value of the type its row expects and yields
//! another one, or nothing where it cannot. What is absent: parsing of expressions ([`crate::expression`]).

mod binary;
mod capture;
mod codec;
mod crypto;
mod date;
mod fix;
mod hash;
pub(crate) mod json;
mod jwt;
mod jwt_decrypt;
mod jwt_verify;
mod language;
mod map;
mod mqtt;
mod network;
mod number;
mod packet;
mod protobuf;
mod regsub;
pub(crate) mod rfc7239;
mod server;
mod stick;
mod text;
mod variable;
mod when;

pub(crate) use codec::{decode_percent, decode_url};
pub(crate) use json::Query as JsonQuery;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use plimsoll_config::diagnostic::Diagnostic;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::expression::Scope;
use crate::value::{Type, Value};

/// Most bytes that converters make of a value, as HAProxy's `tune.bufsize` limits them. Some cut off what is beyond
/// it, others yield nothing.
pub(crate) const OUTPUT_BYTES_MAX: usize = 16_384;

/// Makes one value of another.
pub(crate) trait Convert: Send + Sync {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>>;
}

impl<F> Convert for F
where
    F: for<'a, 'b> Fn(Value<'a>, &'a Context<'b>) -> Option<Value<'a>> + Send + Sync,
{
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        self(value, context)
    }
}

/// What a row makes of its arguments.
pub(crate) type Read = fn(&mut Arguments, &Scope<'_>) -> Result<Box<dyn Convert>, Diagnostic>;

/// One converter.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The arguments between parentheses, empty where there are none.
    pub(crate) usage: &'static str,
    /// One sentence.
    pub(crate) doc: &'static str,
    pub(crate) input: Type,
    /// `None`: the type of what came in.
    pub(crate) output: Option<Type>,
    pub(crate) read: Read,
}

/// Boxes a closure as a converter that needs nothing but the value.
#[expect(clippy::unnecessary_wraps, reason = "it is what readers return")]
pub(crate) fn pure<F>(convert: F) -> Result<Box<dyn Convert>, Diagnostic>
where
    F: for<'a> Fn(Value<'a>) -> Option<Value<'a>> + Send + Sync + 'static,
{
    struct Pure<F>(F);
    impl<F> Convert for Pure<F>
    where
        F: for<'a> Fn(Value<'a>) -> Option<Value<'a>> + Send + Sync,
    {
        fn convert<'a>(&'a self, value: Value<'a>, _: &'a Context<'_>) -> Option<Value<'a>> {
            (self.0)(value)
        }
    }
    Ok(Box::new(Pure(convert)))
}

/// A part of a text, borrowed where the text is.
pub(crate) fn part(text: Cow<'_, [u8]>, range: Range<usize>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(mut text) => {
            text.truncate(range.end);
            text.drain(..range.start);
            Cow::Owned(text)
        }
    }
}

/// A text made just now, unless it is too long.
pub(crate) fn text(bytes: Vec<u8>) -> Option<Value<'static>> {
    (bytes.len() <= OUTPUT_BYTES_MAX).then_some(Value::Text(Cow::Owned(bytes)))
}

/// As [`text`], for binary data.
pub(crate) fn binary(bytes: Vec<u8>) -> Option<Value<'static>> {
    (bytes.len() <= OUTPUT_BYTES_MAX).then_some(Value::Binary(Cow::Owned(bytes)))
}

const TOPICS: &[&[Row]] = &[
    binary::ROWS,
    capture::ROWS,
    codec::ROWS,
    crypto::ROWS,
    date::ROWS,
    fix::ROWS,
    hash::ROWS,
    json::ROWS,
    jwt::ROWS,
    jwt_decrypt::ROWS,
    jwt_verify::ROWS,
    language::ROWS,
    map::ROWS,
    mqtt::ROWS,
    network::ROWS,
    number::ROWS,
    packet::ROWS,
    protobuf::ROWS,
    regsub::ROWS,
    rfc7239::ROWS,
    server::ROWS,
    stick::INDEXED,
    stick::OTHERS,
    stick::ROWS,
    text::ROWS,
    variable::ROWS,
    when::ROWS,
];

/// Every row, topic by topic.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    TOPICS.iter().copied().flatten()
}

/// The row called `name`.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    static INDEX: OnceLock<HashMap<&'static str, &'static Row>> = OnceLock::new();
    INDEX
        .get_or_init(|| rows().map(|row| (row.name, row)).collect())
        .get(name)
        .copied()
}

#[cfg(test)]
mod tests {
    use proptest::collection;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;
    use crate::keyword::haproxy::names;
    use crate::testing::Bench;

    #[test]
    fn rows_are_sorted_known_and_documented() {
        for topic in TOPICS {
            assert!(topic.windows(2).all(|pair| pair[0].name < pair[1].name));
        }
        let mut seen = HashMap::new();
        for row in rows() {
            assert!(seen.insert(row.name, ()).is_none(), "{} twice", row.name);
            assert!(row.doc.ends_with('.'), "{}", row.name);
            let known = names::converters::CONVERTERS
                .binary_search(&row.name)
                .is_ok();
            assert!(known, "{} is not HAProxy's", row.name);
        }
    }

    /// What converters of binary data understand, in hexadecimal digits.
    const MEANINGFUL: [&str; 4] = [
        // A SYN within IPv6 with an extension, within Ethernet with a VLAN.
        "0200000000010200000000fe8100000986dd600000000030004020010db800000000000000000000000120010db800000000\
         0000000000000002060000000000000012340050000000010000000\
         0a002faf000000000020405b40402080a000000ff0000000001030307",
        // A SYN within IPv4.
        "4510003c00004000400600000a0000010a00000212340050000000010000000\
         0a002faf000000000020405b40402080a000000ff0000000001030307",
        // CONNECT of MQTT, with a will.
        "102200044d51545405c6003c000002696405180000000900017400017000017500027077",
        // A message of gRPC, with messages in it.
        "000000002e08ffffffffffffffffff0110051dfeffffff2107000000000000002a026162320808960112034a01783d00002040",
    ];

    /// Converters that do not go without arguments.
    const WITH_ARGUMENTS: [&str; 5] = [
        "ip.fp(7)",
        "mqtt_field_value(connect,will_topic)",
        "mqtt_field_value(connack,17)",
        "protobuf(6.2.9)",
        "ungrpc(6.1,int32)",
    ];

    fn bytes_of(digits: &str) -> Vec<u8> {
        let digit = |byte: u8| (byte as char).to_digit(16).expect("a digit") as u8;
        let pairs = digits.as_bytes().chunks(2);
        pairs
            .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
            .collect()
    }

    /// Anything, or something meaningful that was changed and cut.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let anything = collection::vec(any::<u8>(), 0..200);
        let changes = collection::vec((any::<Index>(), any::<u8>()), 0..4);
        let skipped = prop_oneof![Just(0), 0_usize..80];
        let changed = (select(&MEANINGFUL), changes, any::<Index>(), skipped);
        let changed = changed.prop_map(|(digits, changes, end, skipped)| {
            let mut bytes = bytes_of(digits);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(end.index(bytes.len() + 1));
            bytes.drain(..skipped.min(bytes.len()));
            bytes
        });
        prop_oneof![anything, changed]
    }

    proptest! {
        #[test]
        fn hostile_bytes_harm_nobody(bytes in hostile()) {
            let mut bench = Bench::default();
            bench.variable("txn.x", Value::Binary(bytes.into()));
            let plain = rows()
                .filter(|row| row.input == Type::Binary)
                .filter(|row| row.usage.is_empty() || row.usage.starts_with('['));
            for converter in plain.map(|row| row.name).chain(WITH_ARGUMENTS) {
                let value = bench.value(&format!("var(txn.x),{converter}"));
                let made = value.as_ref().and_then(Value::bytes).unwrap_or_default();
                prop_assert!(made.len() <= OUTPUT_BYTES_MAX, "{converter}");
            }
        }
    }
}
