//! Converters of numbers. Where one takes a value, a variable's name may stand instead of a number.

use plimsoll_config::diagnostic::Diagnostic;

use super::{Convert, Row, pure};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::value::{Type, Value};
use crate::variable::Name;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "add",
        usage: "VALUE",
        doc: "Adds a number or a variable; the nearest limit where the sum does not fit.",
        input: Type::Integer,
        output: Some(Type::Integer),
        read: |arguments, _| arithmetic(arguments, i64::saturating_add),
    },
    Row {
        name: "and",
        usage: "VALUE",
        doc: "The bits that are set in both.",
        input: Type::Integer,
        output: Some(Type::Integer),
        read: |arguments, _| arithmetic(arguments, |a, b| a & b),
    },
    Row {
        name: "bool",
        usage: "",
        doc: "Whether the number is other than 0.",
        input: Type::Integer,
        output: Some(Type::Boolean),
        read: |_, _| test(|number| number != 0),
    },
    Row {
        name: "cpl",
        usage: "",
        doc: "Every bit inverted.",
        input: Type::Integer,
        output: Some(Type::Integer),
        read: |_, _| change(|number| !number),
    },
    Row {
        name: "div",
        usage: "VALUE",
        doc: "Divides by a number or a variable; the greatest number where that is 0.",
        input: Type::Integer,
        output: Some(Type::Integer),
        read: |arguments, _| {
            arithmetic(arguments, |a, b| match b {
                0 => i64::MAX,
                _ => a.saturating_div(b),
            })
        },
    },
    Row {
        name: "even",
        usage: "",
        doc: "Whether the number is even.",
        input: Type::Integer,
        output: Some(Type::Boolean),
        read: |_, _| test(|number| number & 1 == 0),
    },
    Row {
        name: "mod",
        usage: "VALUE",
        doc: "The remainder of a division; 0 where the divisor is 0.",
        input: Type::Integer,
        output: Some(Type::Integer),
        read: |arguments, _| arithmetic(arguments, |a, b| a.checked_rem(b).unwrap_or(0)),
    },
    Row {
        name: "mul",
        usage: "VALUE",
        doc: "Multiplies by a number or a variable; the nearest limit where the product does not fit.",
        input: Type::Integer,
        output: Some(Type::Integer),
        read: |arguments, _| arithmetic(arguments, i64::saturating_mul),
    },
    Row {
        name: "neg",
        usage: "",
        doc: "The number with the other sign.",
        input: Type::Integer,
        output: Some(Type::Integer),
        read: |_, _| change(i64::saturating_neg),
    },
    Row {
        name: "not",
        usage: "",
        doc: "Whether the number is 0.",
        input: Type::Integer,
        output: Some(Type::Boolean),
        read: |_, _| test(|number| number == 0),
    },
    Row {
        name: "odd",
        usage: "",
        doc: "Whether the number is odd.",
        input: Type::Integer,
        output: Some(Type::Boolean),
        read: |_, _| test(|number| number & 1 == 1),
    },
    Row {
        name: "or",
        usage: "VALUE",
        doc: "The bits that are set in one or both.",
        input: Type::Integer,
        output: Some(Type::Integer),
        read: |arguments, _| arithmetic(arguments, |a, b| a | b),
    },
    Row {
        name: "sub",
        usage: "VALUE",
        doc: "Subtracts a number or a variable; the nearest limit where the difference does not fit.",
        input: Type::Integer,
        output: Some(Type::Integer),
        read: |arguments, _| arithmetic(arguments, i64::saturating_sub),
    },
    Row {
        name: "xor",
        usage: "VALUE",
        doc: "The bits that are set in one but not in both.",
        input: Type::Integer,
        output: Some(Type::Integer),
        read: |arguments, _| arithmetic(arguments, |a, b| a ^ b),
    },
];

/// A number, or a variable that holds one.
pub(crate) enum Operand {
    Number(i64),
    Variable(Name),
}

impl Operand {
    /// Reads one; nothing stands for 0.
    pub(crate) fn read(arguments: &mut Arguments) -> Result<Self, Diagnostic> {
        let text = arguments.text("a number or a variable's name")?;
        Self::parse(&text, arguments)
    }

    /// As [`Operand::read`], for the text of an argument.
    pub(crate) fn parse(text: &str, arguments: &Arguments) -> Result<Self, Diagnostic> {
        if text.is_empty() {
            return Ok(Self::Number(0));
        }
        if let Ok(name) = Name::parse(text) {
            return Ok(Self::Variable(name));
        }
        let number = text.parse().map(Self::Number);
        number.map_err(|_| arguments.invalid(format_args!("'{text}' is not a number")))
    }

    pub(crate) fn value(&self, context: &Context<'_>) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Variable(name) => context.variable(name)?.as_integer(),
        }
    }
}

struct Arithmetic {
    operand: Operand,
    operation: fn(i64, i64) -> i64,
}

impl Convert for Arithmetic {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let result = (self.operation)(value.as_integer()?, self.operand.value(context)?);
        Some(Value::Integer(result))
    }
}

type Made = Result<Box<dyn Convert>, Diagnostic>;

fn arithmetic(arguments: &mut Arguments, operation: fn(i64, i64) -> i64) -> Made {
    Ok(Box::new(Arithmetic {
        operand: Operand::read(arguments)?,
        operation,
    }))
}

fn test(test: fn(i64) -> bool) -> Made {
    pure(move |value| Some(Value::Boolean(test(value.as_integer()?))))
}

fn change(change: fn(i64) -> i64) -> Made {
    pure(move |value| Some(Value::Integer(change(value.as_integer()?))))
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    /// Expected values are HAProxy's.
    #[test]
    fn numbers_are_computed_within_limits() {
        let mut bench = Bench::default();
        bench.variable("txn.n", crate::value::Value::Integer(4));
        for (text, expected) in [
            ("int(5),add(-3)", Some("2")),
            ("int(5),add(txn.n)", Some("9")),
            ("int(5),add(txn.none)", None),
            ("int(3),add", Some("3")),
            (
                "int(9223372036854775807),add(5)",
                Some("9223372036854775807"),
            ),
            (
                "int(-9223372036854775807),sub(5)",
                Some("-9223372036854775808"),
            ),
            (
                "int(5),mul(9223372036854775807)",
                Some("9223372036854775807"),
            ),
            (
                "int(-5),mul(9223372036854775807)",
                Some("-9223372036854775808"),
            ),
            ("int(-7),div(2)", Some("-3")),
            ("int(5),div(0)", Some("9223372036854775807")),
            (
                "int(-9223372036854775808),div(-1)",
                Some("9223372036854775807"),
            ),
            ("int(-7),mod(3)", Some("-1")),
            ("int(7),mod(0)", Some("0")),
            ("int(-9223372036854775808),mod(-1)", Some("0")),
            ("int(-9223372036854775808),neg", Some("9223372036854775807")),
            ("int(5),neg", Some("-5")),
            ("int(5),cpl", Some("-6")),
            ("int(12),and(10)", Some("8")),
            ("int(12),or(10)", Some("14")),
            ("int(12),xor(10)", Some("6")),
            ("int(5),bool", Some("1")),
            ("int(5),not", Some("0")),
            ("int(5),odd", Some("1")),
            ("int(5),even", Some("0")),
            ("str(7up),odd", Some("1")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn operands_are_numbers_or_variables() {
        let bench = Bench::default();
        for (text, part) in [
            ("int(1),add(0x1)", "not a number"),
            ("int(1),sub(date)", "not a number"),
            ("src,mul(2)", "takes a value of type sint"),
        ] {
            let error = bench.refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
