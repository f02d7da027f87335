//! `set-var`, `set-var-fmt`, `unset-var`.

use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Flow, Places, Row, Words, action};
use crate::context::Context;
use crate::expression;
use crate::log_format::{self, Encoding};
use crate::value::Value;
use crate::variable::Name;

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

    pub(crate) fn holds(self, known: Option<&Value<'_>>, value: Option<&Value<'_>>) -> bool {
        let length = |value: &Value<'_>| value.borrowed().into_text().len();
        let number = |value: Option<&Value<'_>>| value.and_then(Value::as_integer);
        match self {
            Self::Known => known.is_some(),
            Self::Unknown => known.is_none(),
            Self::Empty => value.is_none_or(|value| length(value) == 0),
            Self::Filled => value.is_some_and(|value| length(value) > 0),
            Self::Given => value.is_some(),
            Self::Missing => value.is_none(),
            Self::Greater => {
                matches!((number(known), number(value)), (Some(a), Some(b)) if a > b)
            }
            Self::Less => matches!((number(known), number(value)), (Some(a), Some(b)) if a < b),
        }
    }
}

fn set(context: &mut Context<'_>, name: &Name, tests: &[Only], value: Option<Value<'static>>) {
    if !tests.is_empty() {
        let known = context.variable(name);
        let known = known.as_ref();
        if !tests.iter().all(|only| only.holds(known, value.as_ref())) {
            return;
        }
    }
    if let Some(value) = value {
        context.set_variable(name, value);
    }
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
        assert!(Only::Unknown.holds(None, Some(&one)));
        assert!(Only::Greater.holds(Some(&two), Some(&one)));
        assert!(!Only::Less.holds(Some(&two), Some(&one)));
        assert!(Only::Empty.holds(None, Some(&Value::text(b""))));
    }
}
