//! Samples of stick tables: `sc_…` of tracked keys, `src_…` of the client's address, `table_…` of whole tables (manual,
//! section 7.3.2 and 7.3.3).

use plimsoll_config::diagnostic::Diagnostic;

use super::{Fetch, Needs, Row, fetch};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::expression::Scope;
use crate::stick_table::{Data, Key, KeyType, Reading, TableId, Tracked};
use crate::value::{Type, Value};

/// Whose entry is looked at.
#[derive(Clone, Copy)]
enum Whose {
    /// The key of a counter; without a number, the number is an argument.
    Counter(Option<u32>),
    /// The client's address.
    Source,
}

/// What is asked; some want the number of an element as their first argument.
#[derive(Clone, Copy)]
enum Question {
    Plain(Reading),
    Indexed(fn(u32) -> Reading),
}

/// Rows of one prefix. The questions are the same for all of them.
macro_rules! rows {
    ($prefix:literal, $usage:literal, $whose:expr, $needs:expr, [$($name:literal $doc:literal $question:expr,)*]) => {
        &[$(Row {
            name: concat!($prefix, $name),
            usage: $usage,
            doc: $doc,
            needs: $needs,
            read: |arguments, scope| read(arguments, scope, $whose, $question),
        },)*]
    };
}

/// [`rows`] for every prefix that knows all of the plain questions, with those that only some know.
macro_rules! all_rows {
    ($prefix:literal, $usage:literal, $whose:expr, $needs:expr) => {
        rows!($prefix, $usage, $whose, $needs, [
            "bytes_in_rate" "Bytes per period from the client." Question::Plain(Reading::Value(Data::BytesInRate)),
            "bytes_out_rate" "Bytes per period to the client." Question::Plain(Reading::Value(Data::BytesOutRate)),
            "clr_gpc0" "Sets the first counter to 0, and tells what it was." Question::Plain(Reading::Clear(0)),
            "clr_gpc1" "Sets the second counter to 0, and tells what it was." Question::Plain(Reading::Clear(1)),
            "conn_cnt" "Connections so far." Question::Plain(Reading::Value(Data::ConnCnt)),
            "conn_cur" "Connections at present." Question::Plain(Reading::Value(Data::ConnCur)),
            "conn_rate" "Connections per period." Question::Plain(Reading::Value(Data::ConnRate)),
            "get_gpc0" "The first counter." Question::Plain(Reading::Single(Data::Gpc0, Data::Gpc, 0)),
            "get_gpc1" "The second counter." Question::Plain(Reading::Single(Data::Gpc1, Data::Gpc, 1)),
            "get_gpt0" "The first tag." Question::Plain(Reading::Single(Data::Gpt0, Data::Gpt, 0)),
            "glitch_cnt" "Oddities so far." Question::Plain(Reading::Value(Data::GlitchCnt)),
            "glitch_rate" "Oddities per period." Question::Plain(Reading::Value(Data::GlitchRate)),
            "gpc0_rate" "Increases of the first counter per period."
                Question::Plain(Reading::Single(Data::Gpc0Rate, Data::GpcRate, 0)),
            "gpc1_rate" "Increases of the second counter per period."
                Question::Plain(Reading::Single(Data::Gpc1Rate, Data::GpcRate, 1)),
            "http_err_cnt" "Wrong requests so far." Question::Plain(Reading::Value(Data::HttpErrCnt)),
            "http_err_rate" "Wrong requests per period." Question::Plain(Reading::Value(Data::HttpErrRate)),
            "http_fail_cnt" "Failures of servers so far." Question::Plain(Reading::Value(Data::HttpFailCnt)),
            "http_fail_rate" "Failures of servers per period." Question::Plain(Reading::Value(Data::HttpFailRate)),
            "http_req_cnt" "Requests so far." Question::Plain(Reading::Value(Data::HttpReqCnt)),
            "http_req_rate" "Requests per period." Question::Plain(Reading::Value(Data::HttpReqRate)),
            "inc_gpc0" "Adds one to the first counter." Question::Plain(Reading::Increase(0)),
            "inc_gpc1" "Adds one to the second counter." Question::Plain(Reading::Increase(1)),
            "kbytes_in" "Bytes from the client so far, by 1024." Question::Plain(Reading::Kilobytes(Data::BytesInCnt)),
            "kbytes_out" "Bytes to the client so far, by 1024." Question::Plain(Reading::Kilobytes(Data::BytesOutCnt)),
            "sess_cnt" "Sessions so far." Question::Plain(Reading::Value(Data::SessCnt)),
            "sess_rate" "Sessions per period." Question::Plain(Reading::Value(Data::SessRate)),
        ])
    };
}

/// [`rows`] of elements of arrays, whose number is the first argument.
macro_rules! indexed_rows {
    ($prefix:literal, $usage:literal, $whose:expr, $needs:expr) => {
        rows!($prefix, $usage, $whose, $needs, [
            "clr_gpc" "Sets a counter to 0, and tells what it was." Question::Indexed(Reading::ClearElement),
            "get_gpc" "A counter." Question::Indexed(|index| Reading::Element(Data::Gpc, index)),
            "get_gpt" "A tag." Question::Indexed(|index| Reading::Element(Data::Gpt, index)),
            "gpc_rate" "Increases of a counter per period."
                Question::Indexed(|index| Reading::Element(Data::GpcRate, index)),
            "inc_gpc" "Adds one to a counter." Question::Indexed(Reading::IncreaseElement),
        ])
    };
}

const ANY: Whose = Whose::Counter(None);

pub(crate) const COUNTER: &[Row] = all_rows!("sc_", "NUMBER[,TABLE]", ANY, Needs::Nothing);
pub(crate) const COUNTER_0: &[Row] =
    all_rows!("sc0_", "[TABLE]", Whose::Counter(Some(0)), Needs::Nothing);
pub(crate) const COUNTER_1: &[Row] =
    all_rows!("sc1_", "[TABLE]", Whose::Counter(Some(1)), Needs::Nothing);
pub(crate) const COUNTER_2: &[Row] =
    all_rows!("sc2_", "[TABLE]", Whose::Counter(Some(2)), Needs::Nothing);
pub(crate) const SOURCE: &[Row] = all_rows!("src_", "[TABLE]", Whose::Source, Needs::Client);
pub(crate) const COUNTER_INDEXED: &[Row] =
    indexed_rows!("sc_", "ELEMENT,NUMBER[,TABLE]", ANY, Needs::Nothing);
pub(crate) const SOURCE_INDEXED: &[Row] =
    indexed_rows!("src_", "ELEMENT[,TABLE]", Whose::Source, Needs::Client);

/// What is there for some prefixes only.
pub(crate) const OTHERS: &[Row] = &[
    followed("sc0_key", |arguments, scope| key(arguments, scope, Some(0))),
    followed("sc0_tracked", |arguments, scope| {
        tracked(arguments, scope, Some(0))
    }),
    followed("sc0_trackers", |arguments, scope| {
        trackers(arguments, scope, Some(0))
    }),
    Row {
        name: "sc1_clr_gpc",
        usage: "ELEMENT[,TABLE]",
        doc: "Sets a counter to 0, and tells what it was.",
        needs: Needs::Nothing,
        read: |arguments, scope| {
            let question = Question::Indexed(Reading::ClearElement);
            read(arguments, scope, Whose::Counter(Some(1)), question)
        },
    },
    followed("sc1_key", |arguments, scope| key(arguments, scope, Some(1))),
    followed("sc1_tracked", |arguments, scope| {
        tracked(arguments, scope, Some(1))
    }),
    followed("sc1_trackers", |arguments, scope| {
        trackers(arguments, scope, Some(1))
    }),
    followed("sc2_key", |arguments, scope| key(arguments, scope, Some(2))),
    followed("sc2_tracked", |arguments, scope| {
        tracked(arguments, scope, Some(2))
    }),
    followed("sc2_trackers", |arguments, scope| {
        trackers(arguments, scope, Some(2))
    }),
    followed("sc_key", |arguments, scope| key(arguments, scope, None)),
    followed("sc_tracked", |arguments, scope| {
        tracked(arguments, scope, None)
    }),
    followed("sc_trackers", |arguments, scope| {
        trackers(arguments, scope, None)
    }),
    Row {
        name: "src_updt_conn_cnt",
        usage: "[TABLE]",
        doc: "Counts a connection of the client's address, and tells how many there were.",
        needs: Needs::Client,
        read: |arguments, scope| {
            let question = Question::Plain(Reading::Connection);
            read(arguments, scope, Whose::Source, question)
        },
    },
    Row {
        name: "table_avl",
        usage: "[TABLE]",
        doc: "Free places in a table.",
        needs: Needs::Nothing,
        read: |arguments, scope| {
            let (id, _) = table(arguments, scope)?;
            fetch(Type::Integer, move |context| {
                let table = context.plane.tables.get(id);
                let free = table.size().saturating_sub(table.used(context.now_ms()));
                Some(Value::Integer(free.into()))
            })
        },
    },
    Row {
        name: "table_cnt",
        usage: "[TABLE]",
        doc: "Keys in a table.",
        needs: Needs::Nothing,
        read: |arguments, scope| {
            let (id, _) = table(arguments, scope)?;
            fetch(Type::Integer, move |context| {
                let used = context.plane.tables.get(id).used(context.now_ms());
                Some(Value::Integer(used.into()))
            })
        },
    },
];

/// A question about what a counter follows rather than about values.
const fn followed(name: &'static str, read: super::Read) -> Row {
    Row {
        name,
        usage: "",
        doc: "The key that a counter follows, whether it follows one, or how many do.",
        needs: Needs::Nothing,
        read,
    }
}

/// The table that the next argument names, or the proxy's own.
pub(crate) fn table(
    arguments: &mut Arguments,
    scope: &Scope<'_>,
) -> Result<(TableId, KeyType), Diagnostic> {
    let name = arguments.optional();
    scope.table(name.as_deref(), arguments.span)
}

/// The number of a counter, which must be one that can follow something.
fn counter(
    arguments: &mut Arguments,
    scope: &Scope<'_>,
    fixed: Option<u32>,
) -> Result<u32, Diagnostic> {
    let number = match fixed {
        Some(number) => number,
        None => {
            let number = arguments.integer("the number of a counter")?;
            u32::try_from(number).unwrap_or(u32::MAX)
        }
    };
    let counters = scope.names.stick_counters;
    if number < counters {
        return Ok(number);
    }
    Err(arguments.invalid(format_args!(
        "there are only {counters} counters ('tune.stick-counters'), numbered from 0"
    )))
}

/// The number of an element of an array.
pub(crate) fn element(arguments: &mut Arguments) -> Result<u32, Diagnostic> {
    let number = arguments.integer("the number of an element")?;
    u32::try_from(number).map_err(|_| arguments.invalid("an element is numbered from 0"))
}

fn read(
    arguments: &mut Arguments,
    scope: &Scope<'_>,
    whose: Whose,
    question: Question,
) -> Result<(Box<dyn Fetch>, Type), Diagnostic> {
    let reading = match question {
        Question::Plain(reading) => reading,
        Question::Indexed(reading) => reading(element(arguments)?),
    };
    match whose {
        Whose::Counter(number) => {
            let number = counter(arguments, scope, number)?;
            let other = other(arguments, scope)?;
            fetch(Type::Integer, move |context| {
                let tracked = context.tracked(number)?;
                ask(tracked, other, reading, context).map(Value::Integer)
            })
        }
        Whose::Source => {
            let (id, kind) = table(arguments, scope)?;
            fetch(Type::Integer, move |context| {
                let address = context.session.source?.ip();
                let answer = look_up(id, kind, Value::Address(address), reading, context)?;
                Some(Value::Integer(answer))
            })
        }
    }
}

/// Another table in which a tracked key is looked up.
fn other(
    arguments: &mut Arguments,
    scope: &Scope<'_>,
) -> Result<Option<(TableId, KeyType)>, Diagnostic> {
    match arguments.optional() {
        Some(name) => scope.table(Some(&name), arguments.span).map(Some),
        None => Ok(None),
    }
}

/// Asks the entry that is followed, or that of the same key in another table.
fn ask(
    tracked: &Tracked,
    other: Option<(TableId, KeyType)>,
    reading: Reading,
    context: &Context<'_>,
) -> Option<i64> {
    let now_ms = context.now_ms();
    let Some((id, kind)) = other else {
        return tracked.with(now_ms, |entry| reading.ask(entry));
    };
    if tracked.table().spec().key != kind {
        return None;
    }
    let known = tracked.key()?;
    let key = Key::known(kind, &known);
    let table = context.plane.tables.get(id);
    let answer = table.read(&key, now_ms, |entry| reading.ask(entry));
    answer.unwrap_or(Some(0))
}

/// Asks the entry of a value in a table; what is not there counts as 0.
pub(crate) fn look_up(
    id: TableId,
    kind: KeyType,
    value: Value<'_>,
    reading: Reading,
    context: &Context<'_>,
) -> Option<i64> {
    let Some(value) = value.cast(crate::stick_table::castable(kind)) else {
        return Some(0);
    };
    let Some(key) = Key::of(kind, &value) else {
        return Some(0);
    };
    let table = context.plane.tables.get(id);
    let answer = if reading.creates() {
        table.update(&key, context.now_ms(), |entry| reading.ask(entry))
    } else {
        table.read(&key, context.now_ms(), |entry| reading.ask(entry))
    };
    answer.unwrap_or(Some(0))
}

type Made = Result<(Box<dyn Fetch>, Type), Diagnostic>;

fn key(arguments: &mut Arguments, scope: &Scope<'_>, number: Option<u32>) -> Made {
    let number = counter(arguments, scope, number)?;
    fetch(Type::Any, move |context| {
        Some(context.tracked(number)?.key()?.into_value())
    })
}

fn tracked(arguments: &mut Arguments, scope: &Scope<'_>, number: Option<u32>) -> Made {
    let number = counter(arguments, scope, number)?;
    // Whether it is in that table tells nothing more, as in HAProxy.
    other(arguments, scope)?;
    fetch(Type::Boolean, move |context| {
        Some(Value::Boolean(context.tracked(number).is_some()))
    })
}

fn trackers(arguments: &mut Arguments, scope: &Scope<'_>, number: Option<u32>) -> Made {
    let number = counter(arguments, scope, number)?;
    let other = other(arguments, scope)?;
    fetch(Type::Integer, move |context| {
        let tracked = context.tracked(number)?;
        ask(tracked, other, Reading::Trackers, context).map(Value::Integer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn bench() -> Bench {
        let mut bench = Bench::default();
        bench.tables(
            &[("web", KeyType::Ipv4), ("other", KeyType::Ipv4)],
            &[
                (Data::Gpc0, 1),
                (Data::ConnCnt, 1),
                (Data::BytesInCnt, 1),
                (Data::Gpt, 2),
                (Data::HttpReqRate, 1),
            ],
        );
        bench
    }

    #[test]
    fn the_clients_address_is_looked_up() {
        let bench = bench();
        for (text, expected) in [
            ("src_conn_cnt", Some("0")),
            ("src_updt_conn_cnt", Some("1")),
            ("src_updt_conn_cnt(web)", Some("2")),
            ("src_conn_cnt", Some("2")),
            ("src_conn_cnt(other)", Some("0")),
            ("src_inc_gpc0", Some("1")),
            ("src_inc_gpc0", Some("2")),
            ("src_get_gpc0", Some("2")),
            ("src_clr_gpc0", Some("2")),
            ("src_get_gpc0", Some("0")),
            ("src_get_gpt(1)", Some("0")),
            ("src_get_gpt0", Some("0")),
            ("src_get_gpt(2)", None),
            ("src_sess_cnt", None),
            ("src_http_req_rate", Some("0")),
            ("table_cnt", Some("1")),
            ("table_avl", Some("99")),
            ("table_cnt(other)", Some("0")),
            ("sc0_conn_cnt", None),
            ("sc_tracked(0)", Some("0")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn tracked_keys_are_asked() {
        let bench = bench();
        let table = std::sync::Arc::clone(bench.plane.tables.named("web").unwrap());
        let key = Key::parse(KeyType::Ipv4, "198.51.100.7").unwrap();
        let held = table.track(&key, 1_000, |entry| {
            entry.add(Data::BytesInCnt, 0, 5_000);
        });
        bench.counters.borrow_mut().put(1, held.unwrap());
        for (text, expected) in [
            ("sc1_conn_cnt", Some("1")),
            ("sc_conn_cnt(1)", Some("1")),
            ("sc1_conn_cnt(other)", Some("0")),
            ("sc1_kbytes_in", Some("4")),
            ("sc1_key", Some("198.51.100.7")),
            ("sc1_tracked", Some("1")),
            ("sc1_trackers", Some("1")),
            ("sc0_tracked", Some("0")),
            ("sc1_inc_gpc0", Some("1")),
            ("sc1_get_gpc0", Some("1")),
            ("sc_get_gpt(1,1)", Some("0")),
            ("sc_get_gpt(2,1)", None),
            ("sc2_conn_cnt", None),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let bench = bench();
        for (text, part) in [
            ("sc_conn_cnt(3)", "only 3 counters"),
            ("sc_conn_cnt", "lacks the number of a counter"),
            ("src_conn_cnt(webb)", "did you mean 'web'"),
            ("src_get_gpc(-1)", "numbered from 0"),
        ] {
            let error = bench.refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = Bench::default().refused("src_conn_cnt");
        assert!(error.contains("no stick table of its own"), "{error}");
    }

    #[test]
    fn every_kind_of_data_has_a_sample() {
        let all: Vec<_> = crate::stick_table::ALL
            .iter()
            .map(|known| (known.data, 1))
            .collect();
        let mut bench = Bench::default();
        bench.tables(&[("web", KeyType::Ipv4)], &all);
        for row in SOURCE {
            assert!(bench.evaluate(row.name).is_some(), "{}", row.name);
        }
        for row in SOURCE_INDEXED {
            let text = format!("{}(0)", row.name);
            assert!(bench.evaluate(&text).is_some(), "{text}");
        }
    }
}
