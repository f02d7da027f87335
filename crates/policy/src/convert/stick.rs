//! Converters that look a value up in a stick table: `in_table`, `table_…` (manual, section 7.3.1).

use plimsoll_config::diagnostic::Diagnostic;

use super::{Convert, Row};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::expression::Scope;
use crate::sample::{element, look_up, table};
use crate::stick_table::{Data, Entry, Key, KeyType, Reading, TableId, castable};
use crate::value::{Type, Value};

/// Rows that ask a question; those of [`indexed`](INDEXED) want the number of an element first.
macro_rules! rows {
    ($usage:literal, [$($name:literal $doc:literal $reading:expr,)*]) => {
        &[$(Row {
            name: $name,
            usage: $usage,
            doc: $doc,
            input: Type::Any,
            output: Some(Type::Integer),
            read: |arguments, scope| {
                let reading = $reading;
                ask(reading(&mut *arguments)?, arguments, scope)
            },
        },)*]
    };
}

/// A question without arguments.
fn plain(reading: Reading) -> impl FnOnce(&mut Arguments) -> Result<Reading, Diagnostic> {
    move |_| Ok(reading)
}

/// A question about an element.
fn indexed(
    reading: fn(u32) -> Reading,
) -> impl FnOnce(&mut Arguments) -> Result<Reading, Diagnostic> {
    move |arguments| element(arguments).map(reading)
}

pub(crate) const ROWS: &[Row] = rows!("[TABLE]", [
    "table_bytes_in_rate" "Bytes per period from the client." plain(Reading::Value(Data::BytesInRate)),
    "table_bytes_out_rate" "Bytes per period to the client." plain(Reading::Value(Data::BytesOutRate)),
    "table_clr_gpc0" "Sets the first counter to 0, and tells what it was." plain(Reading::Clear(0)),
    "table_clr_gpc1" "Sets the second counter to 0, and tells what it was." plain(Reading::Clear(1)),
    "table_conn_cnt" "Connections so far." plain(Reading::Value(Data::ConnCnt)),
    "table_conn_cur" "Connections at present." plain(Reading::Value(Data::ConnCur)),
    "table_conn_rate" "Connections per period." plain(Reading::Value(Data::ConnRate)),
    "table_glitch_cnt" "Oddities so far." plain(Reading::Value(Data::GlitchCnt)),
    "table_glitch_rate" "Oddities per period." plain(Reading::Value(Data::GlitchRate)),
    "table_gpc0" "The first counter." plain(Reading::Single(Data::Gpc0, Data::Gpc, 0)),
    "table_gpc0_rate" "Increases of the first counter per period."
        plain(Reading::Single(Data::Gpc0Rate, Data::GpcRate, 0)),
    "table_gpc1" "The second counter." plain(Reading::Single(Data::Gpc1, Data::Gpc, 1)),
    "table_gpc1_rate" "Increases of the second counter per period."
        plain(Reading::Single(Data::Gpc1Rate, Data::GpcRate, 1)),
    "table_gpt0" "The first tag." plain(Reading::Single(Data::Gpt0, Data::Gpt, 0)),
    "table_http_err_cnt" "Wrong requests so far." plain(Reading::Value(Data::HttpErrCnt)),
    "table_http_err_rate" "Wrong requests per period." plain(Reading::Value(Data::HttpErrRate)),
    "table_http_fail_cnt" "Failures of servers so far." plain(Reading::Value(Data::HttpFailCnt)),
    "table_http_fail_rate" "Failures of servers per period." plain(Reading::Value(Data::HttpFailRate)),
    "table_http_req_cnt" "Requests so far." plain(Reading::Value(Data::HttpReqCnt)),
    "table_http_req_rate" "Requests per period." plain(Reading::Value(Data::HttpReqRate)),
    "table_inc_gpc0" "Adds one to the first counter." plain(Reading::Increase(0)),
    "table_inc_gpc1" "Adds one to the second counter." plain(Reading::Increase(1)),
    "table_kbytes_in" "Bytes from the client so far, by 1024." plain(Reading::Kilobytes(Data::BytesInCnt)),
    "table_kbytes_out" "Bytes to the client so far, by 1024." plain(Reading::Kilobytes(Data::BytesOutCnt)),
    "table_server_id" "The number of the client's server." plain(Reading::Value(Data::ServerId)),
    "table_sess_cnt" "Sessions so far." plain(Reading::Value(Data::SessCnt)),
    "table_sess_rate" "Sessions per period." plain(Reading::Value(Data::SessRate)),
    "table_trackers" "Connections and requests that track the key." plain(Reading::Trackers),
]);

pub(crate) const INDEXED: &[Row] = rows!("ELEMENT[,TABLE]", [
    "table_clr_gpc" "Sets a counter to 0, and tells what it was." indexed(Reading::ClearElement),
    "table_gpc" "A counter." indexed(|index| Reading::Element(Data::Gpc, index)),
    "table_gpc_rate" "Increases of a counter per period." indexed(|index| Reading::Element(Data::GpcRate, index)),
    "table_gpt" "A tag." indexed(|index| Reading::Element(Data::Gpt, index)),
    "table_inc_gpc" "Adds one to a counter." indexed(Reading::IncreaseElement),
]);

/// Questions about the key rather than about values.
pub(crate) const OTHERS: &[Row] = &[
    Row {
        name: "in_table",
        usage: "[TABLE]",
        doc: "Whether a table has the key.",
        input: Type::Any,
        output: Some(Type::Boolean),
        read: |arguments, scope| {
            let (id, kind) = table(arguments, scope)?;
            boxed(move |value, context| {
                let found = time(id, kind, value, context, |_| 0).is_some();
                Some(Value::Boolean(found))
            })
        },
    },
    Row {
        name: "table_expire",
        usage: "[TABLE[,DEFAULT]]",
        doc: "Milliseconds until the key is forgotten.",
        input: Type::Any,
        output: Some(Type::Integer),
        read: |arguments, scope| {
            let (id, kind) = table(arguments, scope)?;
            let default = arguments.optional_integer("a default")?;
            boxed(move |value, context| {
                let left = time(id, kind, value, context, |entry| {
                    entry.remaining_ms() as i64
                });
                left.or(default).map(Value::Integer)
            })
        },
    },
    Row {
        name: "table_idle",
        usage: "[TABLE[,DEFAULT]]",
        doc: "Milliseconds since the key was last touched.",
        input: Type::Any,
        output: Some(Type::Integer),
        read: |arguments, scope| {
            let (id, kind) = table(arguments, scope)?;
            let default = arguments.optional_integer("a default")?;
            boxed(move |value, context| {
                let whole_ms = u64::from(context.plane.tables.get(id).expire_ms());
                let idle = time(id, kind, value, context, |entry| {
                    whole_ms.saturating_sub(entry.remaining_ms()) as i64
                });
                idle.or(default).map(Value::Integer)
            })
        },
    },
];

type Made = Result<Box<dyn Convert>, Diagnostic>;

#[expect(clippy::unnecessary_wraps, reason = "it is what readers return")]
fn boxed<F>(convert: F) -> Made
where
    F: for<'a, 'b> Fn(Value<'a>, &'a Context<'b>) -> Option<Value<'a>> + Send + Sync + 'static,
{
    Ok(Box::new(convert))
}

fn ask(reading: Reading, arguments: &mut Arguments, scope: &Scope<'_>) -> Made {
    let (id, kind) = table(arguments, scope)?;
    boxed(move |value, context| look_up(id, kind, value, reading, context).map(Value::Integer))
}

/// Something about the entry of a value, if a table has one.
fn time(
    id: TableId,
    kind: KeyType,
    value: Value<'_>,
    context: &Context<'_>,
    tell: impl FnOnce(&mut Entry<'_>) -> i64,
) -> Option<i64> {
    let value = value.cast(castable(kind))?;
    let key = Key::of(kind, &value)?;
    let table = context.plane.tables.get(id);
    table.read(&key, context.now_ms(), tell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn values_are_looked_up() {
        let mut bench = Bench::default();
        let tables = [
            ("web", KeyType::Ipv4),
            ("names", KeyType::Text { length: 10 }),
        ];
        bench.tables(
            &tables,
            &[(Data::Gpc0, 1), (Data::Gpc1Rate, 1), (Data::Gpt, 2)],
        );
        for (text, expected) in [
            ("src,in_table", Some("0")),
            ("src,table_gpc0", Some("0")),
            ("src,table_inc_gpc0", Some("1")),
            ("str(192.0.2.1),table_gpc0(web)", Some("1")),
            ("str(nobody),table_gpc0(web)", Some("0")),
            ("src,in_table(web)", Some("1")),
            ("src,table_trackers(web)", Some("0")),
            ("src,table_conn_cnt(web)", None),
            ("src,table_gpt(1,web)", Some("0")),
            ("src,table_gpt(2,web)", None),
            ("src,table_expire(web)", Some("10000")),
            ("src,table_idle(web)", Some("0")),
            ("str(192.0.2.9),table_expire(web)", None),
            ("str(192.0.2.9),table_expire(web,-1)", Some("-1")),
            ("str(192.0.2.9),table_idle(web,7)", Some("7")),
            ("str(longer-than-ten),table_inc_gpc0(names)", Some("1")),
            ("str(longer-tha),table_gpc0(names)", Some("1")),
            ("str(longer),table_inc_gpc1(names)", Some("1")),
            ("str(longer),table_gpc1_rate(names)", Some("1")),
            ("str(longer),table_inc_gpc1(names)", Some("2")),
            ("str(longer),table_clr_gpc0(names)", Some("0")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
    }
}
