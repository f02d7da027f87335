//! Converters of numbers. Where one takes a value, a variable's name may stand instead of a number.

use plimsoll_config::diagnostic::Diagnostic;

use super::{Convert, Row};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::value::{Type, Value};
use crate::variable::Name;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "add",
    usage: "VALUE",
    doc: "Adds a number or a variable.",
    input: Type::Integer,
    output: Some(Type::Integer),
    read: |arguments, _| arithmetic(arguments, |a, b| Some(a.saturating_add(b))),
}];

/// A number, or a variable that holds one.
pub(crate) enum Operand {
    Number(i64),
    Variable(Name),
}

impl Operand {
    pub(crate) fn read(arguments: &mut Arguments) -> Result<Self, Diagnostic> {
        let text = arguments.text("a number or a variable's name")?;
        if text.starts_with(|first: char| first.is_ascii_alphabetic()) {
            let name = Name::parse(&text);
            return name
                .map(Self::Variable)
                .map_err(|_| arguments.invalid(format_args!("'{text}' is not a number")));
        }
        let number = text.parse();
        number
            .map(Self::Number)
            .map_err(|_| arguments.invalid(format_args!("'{text}' is not a number")))
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
    operation: fn(i64, i64) -> Option<i64>,
}

impl Convert for Arithmetic {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let result = (self.operation)(value.as_integer()?, self.operand.value(context)?)?;
        Some(Value::Integer(result))
    }
}

fn arithmetic(
    arguments: &mut Arguments,
    operation: fn(i64, i64) -> Option<i64>,
) -> Result<Box<dyn Convert>, Diagnostic> {
    Ok(Box::new(Arithmetic {
        operand: Operand::read(arguments)?,
        operation,
    }))
}
