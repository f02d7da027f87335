//! Converters of text.

use super::{Row, pure};
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "lower",
        usage: "",
        doc: "ASCII letters in lower case.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |_, _| {
            pure(|value| {
                let mut text = value.into_text().into_owned();
                text.make_ascii_lowercase();
                Some(Value::owned(text))
            })
        },
    },
    Row {
        name: "upper",
        usage: "",
        doc: "ASCII letters in upper case.",
        input: Type::Text,
        output: Some(Type::Text),
        read: |_, _| {
            pure(|value| {
                let mut text = value.into_text().into_owned();
                text.make_ascii_uppercase();
                Some(Value::owned(text))
            })
        },
    },
];
