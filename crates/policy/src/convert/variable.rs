//! Converters that let the value pass and do something on the way: `set-var`, `unset-var`, `when`, `debug`.

use plimsoll_config::diagnostic::Diagnostic;

use super::{Convert, Row};
use crate::action::Only;
use crate::arguments::Arguments;
use crate::context::Context;
use crate::value::{Type, Value};
use crate::variable::Name;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "debug",
        usage: "[PREFIX[,RING]]",
        doc: "Lets the value pass; there are no rings in which it could be shown.",
        input: Type::Any,
        output: None,
        read: |arguments, _| {
            let (_, _) = (arguments.optional(), arguments.optional());
            super::pure(|value| Some(value))
        },
    },
    Row {
        name: "set-var",
        usage: "NAME[,CONDITION...]",
        doc: "Sets a variable to the value; there is none where a condition does not hold.",
        input: Type::Any,
        output: None,
        read: |arguments, _| {
            let name = name(arguments)?;
            let mut tests = Vec::new();
            while let Some(test) = arguments.optional() {
                tests.push(Only::find(&test).ok_or_else(|| {
                    arguments.invalid(format_args!("'{test}' is not a condition"))
                })?);
            }
            Ok(Box::new(Set { name, tests }))
        },
    },
    Row {
        name: "unset-var",
        usage: "NAME",
        doc: "Forgets a variable and lets the value pass.",
        input: Type::Any,
        output: None,
        read: |arguments, _| Ok(Box::new(Unset(name(arguments)?))),
    },
];

fn name(arguments: &mut Arguments) -> Result<Name, Diagnostic> {
    let text = arguments.word("a variable's name")?;
    Name::parse(&text).map_err(|error| arguments.invalid(error))
}

struct Set {
    name: Name,
    tests: Vec<Only>,
}

impl Convert for Set {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        if !self.tests.is_empty() {
            let known = context.variable(&self.name);
            let known = known.as_ref();
            let mut tests = self.tests.iter();
            if !tests.all(|only| only.allows(&self.name, known, &value)) {
                return None;
            }
        }
        let kept = value.borrowed().into_owned();
        context.change_variable(&self.name, Some(kept));
        Some(value)
    }
}

struct Unset(Name);

impl Convert for Unset {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        context.change_variable(&self.0, None);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;
    use crate::value::Value;

    /// Expected values are HAProxy's.
    #[test]
    fn variables_are_set_within_an_expression() {
        let mut bench = Bench::default();
        bench.variable("txn.n", Value::Integer(5));
        for (text, expected) in [
            ("str(a),set-var(txn.q),concat(,txn.q)", Some("aa")),
            ("str(a),set-var(txn.none,ifexists)", None),
            (
                "str(a),set-var(txn.none,ifnotexists),concat(,txn.none)",
                Some("aa"),
            ),
            ("int(4),set-var(txn.n,ifgt)", Some("4")),
            ("int(6),set-var(txn.n,ifgt)", None),
            ("str(a),unset-var(txn.n),concat(,txn.n)", Some("a")),
            ("str(a),concat(,txn.n)", Some("a5")),
            ("str(a),debug", Some("a")),
            ("str(a),debug(x,stderr)", Some("a")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
        for (text, part) in [
            ("str(a),set-var(x)", "no scope"),
            ("str(a),set-var(txn.a,b)", "not a condition"),
            ("str(a),unset-var", "lacks"),
        ] {
            let error = bench.refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_an_expression_sets_stays() {
        use crate::acl::Truth;
        let bench = Bench::default();
        let condition = "if { str(a),set-var(txn.q) -m found } { var(txn.q) -m str a }";
        assert_eq!(bench.condition(condition), Ok(Truth::Pass));
    }
}
