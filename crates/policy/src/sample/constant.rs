//! Samples of internal state that depend on no connection: constants, chance, dates, variables.

use std::borrow::Cow;

use plimsoll_config::args::unspelled;
use plimsoll_config::diagnostic::Diagnostic;

use super::{Fetch, Needs, Row, fetch};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::expression::Scope;
use crate::log::WallTime;
use crate::value::{Type, Value};
use crate::variable;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "always_false",
        usage: "",
        doc: "False.",
        needs: Needs::Nothing,
        read: |_, _| constant(Value::Boolean(false)),
    },
    Row {
        name: "always_true",
        usage: "",
        doc: "True.",
        needs: Needs::Nothing,
        read: |_, _| constant(Value::Boolean(true)),
    },
    Row {
        name: "bin",
        usage: "HEX",
        doc: "The bytes written in hexadecimal digits.",
        needs: Needs::Nothing,
        read: |arguments, _| {
            let text = arguments.text("hexadecimal digits")?;
            let bytes = unhex(&text).ok_or_else(|| {
                arguments.invalid(format_args!("'{text}' are no pairs of hexadecimal digits"))
            })?;
            constant(Value::Binary(Cow::Owned(bytes)))
        },
    },
    Row {
        name: "bool",
        usage: "BOOL",
        doc: "The truth value: true, false, 1 or 0.",
        needs: Needs::Nothing,
        read: |arguments, _| {
            let text = arguments.text("a truth value")?;
            match text.as_str() {
                "true" | "1" => constant(Value::Boolean(true)),
                "false" | "0" => constant(Value::Boolean(false)),
                _ => Err(arguments.invalid(format_args!("'{text}' is neither true nor false"))),
            }
        },
    },
    Row {
        name: "date",
        usage: "[OFFSET[,UNIT]]",
        doc: "Seconds (or ms, us) since the beginning of 1970.",
        needs: Needs::Nothing,
        read: date,
    },
    Row {
        name: "int",
        usage: "INTEGER",
        doc: "The number.",
        needs: Needs::Nothing,
        read: |arguments, _| constant(Value::Integer(arguments.integer("a number")?)),
    },
    Row {
        name: "ipv4",
        usage: "ADDRESS",
        doc: "The IPv4 address.",
        needs: Needs::Nothing,
        read: |arguments, _| address(arguments, Type::Ipv4),
    },
    Row {
        name: "ipv6",
        usage: "ADDRESS",
        doc: "The IPv6 address.",
        needs: Needs::Nothing,
        read: |arguments, _| address(arguments, Type::Ipv6),
    },
    Row {
        name: "meth",
        usage: "METHOD",
        doc: "The method.",
        needs: Needs::Nothing,
        read: |arguments, _| {
            let text = arguments.text("a method")?;
            constant(Value::Method(Cow::Owned(text.into_bytes())))
        },
    },
    Row {
        name: "rand",
        usage: "[RANGE]",
        doc: "A random number below RANGE, or of 32 bits.",
        needs: Needs::Nothing,
        read: |arguments, _| {
            let range = arguments.optional_integer("a range")?.unwrap_or(1 << 32);
            let Some(range) = u64::try_from(range).ok().filter(|&range| range > 0) else {
                return Err(arguments.invalid("the range must be positive"));
            };
            fetch(Type::Integer, move |context| {
                let wide = u128::from(context.world.random()) * u128::from(range);
                Some(Value::Integer((wide >> 64) as i64))
            })
        },
    },
    Row {
        name: "str",
        usage: "STRING",
        doc: "The text.",
        needs: Needs::Nothing,
        read: |arguments, _| constant(Value::owned(unspelled(&arguments.text("a text")?))),
    },
    Row {
        name: "var",
        usage: "NAME[,DEFAULT]",
        doc: "The value of a variable, or the default where it is not set.",
        needs: Needs::Nothing,
        read: variable,
    },
];

/// A value that never changes.
struct Constant(Value<'static>);

impl Fetch for Constant {
    fn fetch<'a>(&'a self, _: &'a Context<'_>) -> Option<Value<'a>> {
        Some(self.0.borrowed())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is what readers return")]
pub(super) fn constant(value: Value<'static>) -> Result<(Box<dyn Fetch>, Type), Diagnostic> {
    let kind = value.kind();
    Ok((Box::new(Constant(value)), kind))
}

fn address(arguments: &mut Arguments, wanted: Type) -> Result<(Box<dyn Fetch>, Type), Diagnostic> {
    let text = arguments.text("an address")?;
    let parsed = text.parse().ok().map(Value::Address);
    match parsed.filter(|value| value.kind() == wanted) {
        Some(value) => constant(value),
        None => Err(arguments.invalid(format_args!("'{text}' is not such an address"))),
    }
}

/// Pairs of hexadecimal digits as bytes.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

/// The unit of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
}

impl Unit {
    /// Reads `s`, `ms` or `us`; seconds without any.
    pub(crate) fn read(arguments: &mut Arguments) -> Result<Self, Diagnostic> {
        match arguments.optional().as_deref() {
            None | Some("s") => Ok(Self::Seconds),
            Some("ms") => Ok(Self::Milliseconds),
            Some("us") => Ok(Self::Microseconds),
            Some(other) => Err(arguments.invalid(format_args!("'{other}' is no unit of time"))),
        }
    }

    pub(crate) fn per_second(self) -> i64 {
        match self {
            Self::Seconds => 1,
            Self::Milliseconds => 1_000,
            Self::Microseconds => 1_000_000,
        }
    }

    /// The time, counted from 1970 in this unit.
    pub(crate) fn count(self, time: WallTime) -> i64 {
        let fraction = i64::from(time.micros) * self.per_second() / 1_000_000;
        let whole = (time.unix_s as i64).saturating_mul(self.per_second());
        whole.saturating_add(fraction)
    }
}

fn date(arguments: &mut Arguments, _: &Scope<'_>) -> Result<(Box<dyn Fetch>, Type), Diagnostic> {
    let offset = arguments.optional_integer("an offset")?.unwrap_or(0);
    let unit = Unit::read(arguments)?;
    fetch(Type::Integer, move |context| {
        let time = unit.count(context.now.wall);
        Some(Value::Integer(time.saturating_add(offset)))
    })
}

fn variable(
    arguments: &mut Arguments,
    _: &Scope<'_>,
) -> Result<(Box<dyn Fetch>, Type), Diagnostic> {
    let text = arguments.text("a variable's name")?;
    let name = variable::Name::parse(&text).map_err(|error| arguments.invalid(error))?;
    let default = match arguments.left() {
        0 => None,
        _ => Some(Value::owned(arguments.text("a default")?)),
    };
    Ok((Box::new(Variable { name, default }), Type::Any))
}

struct Variable {
    name: variable::Name,
    default: Option<Value<'static>>,
}

impl Fetch for Variable {
    fn fetch<'a>(&'a self, context: &'a Context<'_>) -> Option<Value<'a>> {
        let found = context.variable(&self.name);
        found.or_else(|| self.default.as_ref().map(Value::borrowed))
    }
}
