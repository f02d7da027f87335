//! `track-sc…`, and what changes the entry that a counter follows: `sc-inc-gpc…`, `sc-add-gpc`, `sc-set-gpt…` (manual,
//! section 4.3).

use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Action, Flow, Places, Row, Words, action};
use crate::context::{Context, Phase};
use crate::expression::{self, Expression, Scope};
use crate::stick_table::{Data, Entry, Event, Key, KeyType, Reading, TableId, castable, increase};
use crate::value::Value;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "sc-add-gpc",
        numbered: false,
        usage: "(ELEMENT,NUMBER) NUMBER|EXPRESSION",
        doc: "Adds to a counter of what is tracked, and to its rate.",
        places: Places::EVERYWHERE,
        read: |words, scope| {
            let (index, number) = element_and_counter(words, scope)?;
            let amount = Amount::read(words, scope)?;
            action(move |context: &mut Context<'_>| {
                let amount = amount.value(context).unwrap_or(0);
                if amount > 0 {
                    change(context, number, |entry| {
                        let (count, rate) = ((Data::Gpc, index), (Data::GpcRate, index));
                        increase(entry, count, rate, u64::from(amount));
                    });
                }
                Flow::Continue
            })
        },
    },
    Row {
        name: "sc-inc-gpc",
        numbered: false,
        usage: "(ELEMENT,NUMBER)",
        doc: "Adds one to a counter of what is tracked, and to its rate.",
        places: Places::EVERYWHERE,
        read: |words, scope| {
            let (index, number) = element_and_counter(words, scope)?;
            ask(number, Reading::IncreaseElement(index))
        },
    },
    Row {
        name: "sc-inc-gpc0",
        numbered: false,
        usage: "[(NUMBER)]",
        doc: "Adds one to the first counter of what is tracked, and to its rate.",
        places: Places::EVERYWHERE,
        read: |words, scope| ask(counter_or_first(words, scope)?, Reading::Increase(0)),
    },
    Row {
        name: "sc-inc-gpc1",
        numbered: false,
        usage: "[(NUMBER)]",
        doc: "Adds one to the second counter of what is tracked, and to its rate.",
        places: Places::EVERYWHERE,
        read: |words, scope| ask(counter_or_first(words, scope)?, Reading::Increase(1)),
    },
    Row {
        name: "sc-set-gpt",
        numbered: false,
        usage: "(ELEMENT,NUMBER) NUMBER|EXPRESSION",
        doc: "Sets a tag of what is tracked.",
        places: Places::EVERYWHERE,
        read: |words, scope| {
            let (index, number) = element_and_counter(words, scope)?;
            set_tag(words, scope, number, Data::Gpt, index)
        },
    },
    Row {
        name: "sc-set-gpt0",
        numbered: false,
        usage: "[(NUMBER)] NUMBER|EXPRESSION",
        doc: "Sets the first tag of what is tracked.",
        places: Places::EVERYWHERE,
        read: |words, scope| {
            let number = counter_or_first(words, scope)?;
            set_tag(words, scope, number, Data::Gpt0, 0)
        },
    },
    Row {
        name: "track-sc",
        numbered: true,
        usage: "EXPRESSION [table TABLE]",
        doc: "Tracks a key in a stick table for the rest of the connection or request.",
        places: Places::TCP_REQUEST.and(Places::MESSAGES),
        read: track,
    },
];

/// `track-scN`.
struct Track {
    number: u32,
    expression: Expression,
    table: TableId,
    kind: KeyType,
}

impl Action for Track {
    fn run(&self, context: &mut Context<'_>) -> Flow {
        if context.tracked(self.number).is_some() {
            return Flow::Continue;
        }
        let now_ms = context.now_ms();
        let tracked = {
            let value = self.expression.evaluate(context);
            let value = value.and_then(|value| value.cast(castable(self.kind)));
            let key = value.as_ref().and_then(|value| Key::of(self.kind, value));
            let Some(key) = key else {
                return Flow::Continue;
            };
            let table = context.plane.tables.get(self.table);
            table.track(&key, now_ms, |entry| count(entry, context))
        };
        context.unsure.set(false);
        let Some(tracked) = tracked else {
            return Flow::Continue; // The table is full.
        };
        match context.phase {
            Phase::Connection | Phase::Session => {
                context.session.extra().tracked.put(self.number, tracked);
            }
            _ => context.exchange.tracked.put(self.number, tracked),
        }
        Flow::Continue
    }

    fn waits(&self) -> bool {
        true
    }
}

/// Counts what has happened before the key was tracked. A request counts behind the frontend's rules for contents, so that
/// keys that those track count with it; rules for contents of backends track too late (as in HAProxy).
fn count(entry: &mut Entry<'_>, context: &Context<'_>) {
    if matches!(context.phase, Phase::Request | Phase::Response) {
        Event::Request.count(entry);
    }
    if context.phase == Phase::Response
        && let Some(response) = &context.response
    {
        let statuses = &context.plane.model.global.statuses;
        if statuses.is_error(response.status) {
            Event::Error.count(entry);
        }
        if statuses.is_failure(response.status) {
            Event::Failure.count(entry);
        }
    }
}

fn track(words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let number = words.name.text.trim_start_matches("track-sc").parse();
    let number = counter(words, scope, number.ok())?;
    let word = words.args.word("a key to track")?;
    let expression = expression::parse(word, scope)?;
    if scope.phase == Phase::RequestContent {
        let draft = &mut *scope.captures.borrow_mut();
        match expression.needs().met_at(Phase::Session) {
            false => draft.hasty.push(word.span),
            true => draft.late.push(words.name.span),
        }
    }
    let name = if words.take("table") {
        Some(words.args.word("the name of a stick table")?)
    } else {
        None
    };
    let span = name.map_or(words.name.span, |name| name.span);
    let (table, kind) = scope.table(name.map(|name| name.text.as_str()), span)?;
    if !expression.output().casts_to(castable(kind)) {
        let (have, want) = (expression.output().name(), kind.name());
        let message = format_args!("a value of type {have} cannot be a key of type {want}");
        return Err(Diagnostic::error(Kind::Invalid, word.span, message));
    }
    Ok(Box::new(Track {
        number,
        expression,
        table,
        kind,
    }))
}

fn invalid(words: &Words<'_, '_>, message: String, help: &str) -> Diagnostic {
    Diagnostic::error(Kind::Invalid, words.name.span, message).help(help)
}

/// The number of a counter, which must be one that can follow something.
fn counter(
    words: &Words<'_, '_>,
    scope: &Scope<'_>,
    number: Option<u32>,
) -> Result<u32, Diagnostic> {
    let name = &words.name.text;
    let Some(number) = number else {
        let message = format!("'{name}' lacks the number of a counter");
        return Err(invalid(words, message, "numbers begin at 0"));
    };
    let counters = scope.names.stick_counters;
    if number < counters {
        return Ok(number);
    }
    let message = format!("'{name}': there are only {counters} counters, numbered from 0");
    Err(invalid(
        words,
        message,
        "raise 'tune.stick-counters' in the global section",
    ))
}

/// `(NUMBER)`, or the first counter.
fn counter_or_first(words: &Words<'_, '_>, scope: &Scope<'_>) -> Result<u32, Diagnostic> {
    let number = words.inner().map_or(Some(0), |text| text.parse().ok());
    counter(words, scope, number)
}

/// `(ELEMENT,NUMBER)`.
fn element_and_counter(words: &Words<'_, '_>, scope: &Scope<'_>) -> Result<(u32, u32), Diagnostic> {
    let pair = words.inner().and_then(|inner| inner.split_once(','));
    let Some((Ok(element), number)) = pair.map(|(element, number)| (element.parse(), number))
    else {
        let message = format!("'{}' lacks an element and a counter", words.name.text);
        return Err(invalid(
            words,
            message,
            "write both in parentheses, as in '(0,1)'",
        ));
    };
    Ok((element, counter(words, scope, number.parse().ok())?))
}

/// Changes the entry that a counter follows, if it does.
fn change(context: &Context<'_>, number: u32, change: impl FnOnce(&mut Entry<'_>)) {
    if let Some(tracked) = context.tracked(number) {
        tracked.with(context.now_ms(), change);
    }
}

fn ask(number: u32, reading: Reading) -> Result<Box<dyn Action>, Diagnostic> {
    action(move |context: &mut Context<'_>| {
        change(context, number, |entry| {
            reading.ask(entry);
        });
        Flow::Continue
    })
}

fn set_tag(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    number: u32,
    data: Data,
    index: u32,
) -> Result<Box<dyn Action>, Diagnostic> {
    let amount = Amount::read(words, scope)?;
    action(move |context: &mut Context<'_>| {
        if let Some(value) = amount.value(context) {
            change(context, number, |entry| {
                let value = i64::from(value);
                if !entry.set(data, index, value) && data == Data::Gpt0 {
                    entry.set(Data::Gpt, 0, value);
                }
            });
        }
        Flow::Continue
    })
}

/// A number, or an expression that yields one.
enum Amount {
    Number(u32),
    Expression(Expression),
}

impl Amount {
    fn read(words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Self, Diagnostic> {
        let word = words.args.word("a number or an expression")?;
        match word.text.parse::<i64>() {
            Ok(number) => Ok(Self::Number(number as u32)),
            Err(_) => expression::parse(word, scope).map(Self::Expression),
        }
    }

    fn value(&self, context: &Context<'_>) -> Option<u32> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Expression(expression) => {
                let value: Option<Value<'_>> = expression.evaluate(context);
                value?.as_integer().map(|number| number as u32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn bench(data: &[(Data, u32)]) -> Bench {
        let mut bench = Bench::request("GET /a HTTP/1.1\r\nHost: a\r\nX-User: joe\r\n\r\n");
        let tables = [
            ("web", KeyType::Ipv4),
            ("users", KeyType::Text { length: 10 }),
        ];
        bench.tables(&tables, data);
        bench
    }

    #[test]
    fn keys_are_tracked_and_their_entries_changed() {
        let bench = bench(&[
            (Data::ConnCur, 1),
            (Data::HttpReqCnt, 1),
            (Data::Gpc, 2),
            (Data::GpcRate, 2),
            (Data::Gpt, 2),
        ]);
        for (action, sample, expected) in [
            ("track-sc0 src", "sc0_http_req_cnt", Some("1")),
            // Only the first one counts.
            (
                "track-sc0 hdr(x-user) table users",
                "sc0_key",
                Some("192.0.2.1"),
            ),
            ("track-sc1 hdr(x-user) table users", "sc1_key", Some("joe")),
            ("track-sc2 hdr(y) table users", "sc2_tracked", Some("0")),
            ("sc-inc-gpc0", "sc0_get_gpc0", Some("1")),
            ("sc-inc-gpc0(1)", "sc1_get_gpc0", Some("1")),
            ("sc-inc-gpc1(0)", "sc_get_gpc(1,0)", Some("1")),
            ("sc-inc-gpc(1,0)", "sc_get_gpc(1,0)", Some("2")),
            ("sc-add-gpc(1,0) 10", "sc_get_gpc(1,0)", Some("12")),
            ("sc-add-gpc(1,0) int(3)", "sc_gpc_rate(1,0)", Some("15")),
            ("sc-set-gpt0(0) 7", "sc0_get_gpt0", Some("7")),
            ("sc-set-gpt(1,0) src_port", "sc_get_gpt(1,0)", Some("4711")),
            ("sc-set-gpt(5,0) 1", "sc_get_gpt(5,0)", None),
            ("sc-inc-gpc0(2)", "sc2_get_gpc0", None),
            ("sc-inc-gpc0(0)", "sc0_conn_cur", Some("1")),
        ] {
            assert_eq!(bench.act(action), Ok(()), "{action}");
            assert_eq!(
                bench.evaluate(sample).as_deref(),
                expected,
                "{action}, {sample}"
            );
        }
        assert_eq!(bench.evaluate("table_cnt(users)").as_deref(), Some("1"));
        bench.counters.take();
        assert_eq!(bench.evaluate("src_conn_cur").as_deref(), Some("0"));
    }

    #[test]
    fn answers_that_came_before_are_counted() {
        for (status, errors, failures) in [
            (200, "0", "0"),
            (404, "1", "0"),
            (503, "0", "1"),
            (501, "0", "0"),
        ] {
            let data = [
                (Data::HttpErrCnt, 1),
                (Data::HttpFailCnt, 1),
                (Data::HttpReqCnt, 1),
            ];
            let bench = bench(&data).with_response(&format!("HTTP/1.1 {status} X\r\n\r\n"));
            assert_eq!(bench.act("track-sc0 src"), Ok(()));
            for (sample, expected) in [
                ("sc0_http_err_cnt", errors),
                ("sc0_http_fail_cnt", failures),
                ("sc0_http_req_cnt", "1"),
            ] {
                assert_eq!(
                    bench.evaluate(sample).as_deref(),
                    Some(expected),
                    "{status}: {sample}"
                );
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let bench = bench(&[]);
        for (text, part) in [
            ("track-sc3 src", "only 3 counters"),
            ("track-sc src", "lacks the number"),
            ("track-sc0", "a key to track"),
            ("track-sc0 src table nowhere", "no stick table is called"),
            ("track-sc0 bool(true)", "cannot be a key of type ip"),
            ("sc-inc-gpc", "lacks an element and a counter"),
            ("sc-inc-gpc(1)", "lacks an element and a counter"),
            ("sc-inc-gpc0(9)", "only 3 counters"),
            ("sc-set-gpt0(0)", "a number or an expression"),
        ] {
            let error = bench.act(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
