//! `set-var`, `set-var-fmt`, `unset-var`.

use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Flow, Places, Row, Words, action};
use crate::context::Context;
use crate::expression;
use crate::log_format::{self, Encoding};
use crate::value::Value;
use crate::variable::{self, Name};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "set-var",
        numbered: false,
        usage: "(NAME[,CONDITION...]) EXPRESSION",
        doc: "Sets a variable to the value of an expression.",
        places: Places::EVERYWHERE,
        read: |words, scope| {
            let (name, tests) = name(words)?;
            let word = words.args.word("an expression")?;
            let expression = expression::parse(word, scope)?;
            action(move |context: &mut Context<'_>| {
                let value = expression.evaluate(context).map(Value::into_owned);
                set(context, &name, &tests, value);
                Flow::Continue
            })
        },
    },
    Row {
        name: "set-var-fmt",
        numbered: false,
        usage: "(NAME[,CONDITION...]) FORMAT",
        doc: "Sets a variable to a text with holes.",
        places: Places::EVERYWHERE,
        read: |words, scope| {
            let (name, tests) = name(words)?;
            let word = words.args.word("a format")?;
            let format = log_format::read(word, Encoding::Raw, scope)?;
            action(move |context: &mut Context<'_>| {
                let mut text = Vec::new();
                format.write(context, &mut text);
                set(context, &name, &tests, Some(Value::owned(text)));
                Flow::Continue
            })
        },
    },
    Row {
        name: "unset-var",
        numbered: false,
        usage: "(NAME)",
        doc: "Forgets a variable.",
        places: Places::EVERYWHERE,
        read: |words, _| {
            let (name, _) = name(words)?;
            action(move |context: &mut Context<'_>| {
                context.unset_variable(&name);
                Flow::Continue
            })
        },
    },
];

/// What must be true of the variable or the value for the variable to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    Known,
    Unknown,
    Empty,
    Filled,
    Given,
    Missing,
    Greater,
    Less,
}

impl Only {
    const NAMES: [(&'static str, Self); 8] = [
        ("ifempty", Self::Empty),
        ("ifexists", Self::Known),
        ("ifgt", Self::Greater),
        ("iflt", Self::Less),
        ("ifnotempty", Self::Filled),
        ("ifnotexists", Self::Unknown),
        ("ifnotset", Self::Missing),
        ("ifset", Self::Given),
    ];

    pub(crate) fn find(name: &str) -> Option<Self> {
        let mut known = Self::NAMES.iter();
        known
            .find(|(known, _)| *known == name)
            .map(|(_, only)| *only)
    }

    /// Whether the variable of this name, which has the value `known`, may be set to `value`.
    pub(crate) fn allows(self, name: &Name, known: Option<&Value<'_>>, value: &Value<'_>) -> bool {
        // Variables of the process exist, if without a value, as soon as the configuration names them.
        let exists = known.is_some() || name.scope == variable::Scope::Process;
        let empty = value.bytes().map(<[u8]>::is_empty);
        let numbers = match (known, value) {
            (Some(Value::Integer(known)), Value::Integer(value)) => Some((known, value)),
            _ => None,
        };
        match self {
            Self::Known => exists,
            Self::Unknown => !exists,
            // Numbers and addresses are never empty.
            Self::Empty => empty == Some(true),
            Self::Filled => empty != Some(true),
            Self::Given => known.is_some(),
            Self::Missing => known.is_none(),
            // Only numbers are compared; others do not stand in the way.
            Self::Greater => numbers.is_none_or(|(known, value)| known > value),
            Self::Less => numbers.is_none_or(|(known, value)| known < value),
        }
    }
}

fn set(context: &mut Context<'_>, name: &Name, tests: &[Only], value: Option<Value<'static>>) {
    let Some(value) = value else { return };
    if !tests.is_empty() {
        let known = context.variable(name);
        let known = known.as_ref();
        if !tests.iter().all(|only| only.allows(name, known, &value)) {
            return;
        }
    }
    context.set_variable(name, value);
}

/// The name and the conditions between the parentheses.
fn name(words: &Words<'_, '_>) -> Result<(Name, Vec<Only>), Diagnostic> {
    let wrong = |message: String| Diagnostic::error(Kind::Invalid, words.name.span, message);
    let inner = words.inner().ok_or_else(|| {
        wrong("a variable's name in parentheses is missing".to_owned())
            .help("write it as in 'set-var(txn.name)'")
    })?;
    let mut parts = inner.split(',').map(str::trim);
    let name = Name::parse(parts.next().unwrap_or_default()).map_err(wrong)?;
    let tests = parts.map(|part| {
        Only::find(part).ok_or_else(|| wrong(format!("'{part}' is not a condition of 'set-var'")))
    });
    Ok((name, tests.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_conditions_hold() {
        assert!(Only::NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let (one, two) = (Value::Integer(1), Value::Integer(2));
        let (none, some) = (Value::text(b""), Value::text(b"a"));
        let own = Name::parse("txn.a").unwrap();
        let shared = Name::parse("proc.a").unwrap();
        for (only, name, known, value, expected) in [
            (Only::Unknown, &own, None, &one, true),
            (Only::Unknown, &own, Some(&one), &one, false),
            (Only::Unknown, &shared, None, &one, false),
            (Only::Known, &shared, None, &one, true),
            (Only::Known, &own, None, &one, false),
            (Only::Given, &shared, None, &one, false),
            (Only::Missing, &own, None, &one, true),
            (Only::Greater, &own, Some(&two), &one, true),
            (Only::Greater, &own, Some(&one), &one, false),
            (Only::Less, &own, Some(&two), &one, false),
            (Only::Less, &own, Some(&some), &one, true),
            (Only::Greater, &own, None, &one, true),
            (Only::Empty, &own, None, &none, true),
            (Only::Empty, &own, None, &one, false),
            (Only::Filled, &own, None, &some, true),
            (Only::Filled, &own, None, &one, true),
            (Only::Filled, &own, None, &none, false),
        ] {
            let allows = only.allows(name, known, value);
            assert_eq!(allows, expected, "{only:?} {known:?} {value:?}");
        }
    }
}
