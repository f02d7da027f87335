//! `when(…)`: passes a value on under a condition, for what only the lines of failures are to say.

use std::sync::Arc;

use plimsoll_config::suggest::nearest;

use super::{Convert, Row};
use crate::acl::{Acl, Truth, named};
use crate::context::{Context, Phase};
use crate::log::{Cause, is_abnormal};
use crate::value::{Type, Value};

/// Status from which on HAProxy calls a response an error of the server's.
const ERROR_STATUS_MIN: u16 = 500;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "when",
    usage: "[!]error|normal|forwarded|toapplet|processed|stopping|acl[,ACL]",
    doc: "The value itself where the condition holds, or with ! does not; else nothing.",
    input: Type::Any,
    output: None,
    read: |arguments, scope| {
        let text = arguments.word("a condition")?;
        let (negated, name) = match text.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, text.as_str()),
        };
        let condition = match name {
            "acl" => {
                let name = arguments.word("the name of an acl")?;
                Condition::Acl(named(&name, arguments.span, scope)?)
            }
            _ => plain(name).ok_or_else(|| {
                let error = arguments.invalid(format_args!("'{name}' is no condition"));
                match nearest(name, NAMES.iter().map(|(name, _)| *name)) {
                    Some(near) => error.help(format_args!("did you mean '{near}'?")),
                    None => error,
                }
            })?,
        };
        Ok(Box::new(When { negated, condition }))
    },
}];

type Make = fn() -> Condition;

/// The conditions that stand alone.
const NAMES: &[(&str, Make)] = &[
    ("error", || Condition::Error),
    ("forwarded", || Condition::Forwarded),
    ("normal", || Condition::Normal),
    ("processed", || Condition::Processed),
    ("stopping", || Condition::Stopping),
    ("toapplet", || Condition::Serviced),
];

fn plain(name: &str) -> Option<Condition> {
    let mut known = NAMES.iter();
    known
        .find(|(known, _)| *known == name)
        .map(|(_, condition)| condition())
}

enum Condition {
    Error,
    Normal,
    /// A server was turned to.
    Forwarded,
    /// A part of this program answered in place of a server.
    Serviced,
    /// Either of them.
    Processed,
    Stopping,
    Acl(Arc<Acl>),
}

struct When {
    negated: bool,
    condition: Condition,
}

impl Convert for When {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let holds = match &self.condition {
            Condition::Error => has_failed(context),
            Condition::Normal => !has_failed(context),
            Condition::Forwarded => is_forwarded(context),
            Condition::Serviced => is_serviced(context),
            Condition::Processed => is_forwarded(context) || is_serviced(context),
            Condition::Stopping => context.world.is_stopping(),
            Condition::Acl(acl) => acl.holds(context) == Truth::Pass,
        };
        (holds != self.negated).then_some(value)
    }
}

/// What `option dontlog-normal` takes for a failure, at the end or so far.
fn has_failed(context: &Context<'_>) -> bool {
    if let Some(record) = context.record {
        return is_abnormal(record);
    }
    let (progress, response) = (&context.progress, context.response.as_deref());
    let status = response.map_or(context.exchange.server_status, |head| head.status);
    progress.redispatched
        || progress.termination.is_error()
        || (progress.termination.cause == Cause::Normal && progress.retries > 0)
        || status >= ERROR_STATUS_MIN
}

/// Whether a server was turned to, which may have been in vain.
fn is_forwarded(context: &Context<'_>) -> bool {
    if is_serviced(context) || context.server.is_none() {
        return false;
    }
    match context.record {
        Some(record) => record.timers.queue_ms.is_some(),
        // A TCP session does not say when its server was turned to, but has its bytes.
        None => context.progress.times.admitted_ns > 0 || context.phase == Phase::ResponseContent,
    }
}

fn is_serviced(context: &Context<'_>) -> bool {
    let at_end = context.record.map(|record| record.serviced);
    at_end.unwrap_or(context.progress.serviced)
}

#[cfg(test)]
mod tests {
    use crate::log::{Cause, Record, Termination};
    use crate::testing::Bench;

    #[test]
    fn values_pass_under_conditions() {
        let mut bench = Bench::request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        for (text, passes) in [
            ("when(error)", false),
            ("when(!error)", true),
            ("when(normal)", true),
            ("when(!normal)", false),
            ("when(forwarded)", false),
            ("when(toapplet)", false),
            ("when(processed)", false),
            ("when(!processed)", true),
            ("when(stopping)", false),
            ("when(acl,METH_GET)", true),
            ("when(acl,METH_POST)", false),
            ("when(!acl,METH_POST)", true),
        ] {
            let value = bench.evaluate(&format!("str(x),{text}"));
            assert_eq!(value.as_deref(), passes.then_some("x"), "{text}");
        }
        bench.progress.serviced = true;
        assert!(bench.evaluate("int(1),when(toapplet)").is_some());
        assert!(bench.evaluate("int(1),when(processed)").is_some());
        bench.progress.retries = 1;
        assert!(bench.evaluate("int(1),when(error)").is_some());
    }

    #[test]
    fn responses_of_servers_that_fail_are_errors() {
        for (status, fails) in [(404, false), (500, true)] {
            let bench = Bench::request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                .with_response(&format!("HTTP/1.1 {status} X\r\n\r\n"));
            assert_eq!(bench.evaluate("int(1),when(error)").is_some(), fails);
        }
    }

    #[test]
    fn records_say_how_it_ended() {
        let bench = Bench::default();
        let holds = |record: &Record<'_>, name: &str| {
            let expression = bench.expression(&format!("int(1),when({name})"));
            bench.with_record(record, |context| expression.evaluate(context).is_some())
        };
        let mut record = Record::default();
        assert!(holds(&record, "normal") && !holds(&record, "toapplet"));
        record.termination = Termination::new(Cause::ServerAborted, crate::log::Phase::Data);
        assert!(holds(&record, "error") && !holds(&record, "normal"));
        record.serviced = true;
        assert!(holds(&record, "toapplet") && holds(&record, "processed"));
        assert!(!holds(&record, "forwarded"));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        let bench = Bench::default();
        assert!(bench.refused("int(1),when").contains("lacks a condition"));
        assert!(
            bench
                .refused("int(1),when(eror)")
                .contains("did you mean 'error'")
        );
        assert!(bench.refused("int(1),when(acl)").contains("lacks the name"));
        assert!(
            bench
                .refused("int(1),when(acl,no)")
                .contains("no acl is called")
        );
        assert!(
            bench
                .refused("int(1),when(error,x)")
                .contains("one too many")
        );
    }
}
