//! Converters of JSON web tokens (RFC 7515, RFC 7519): what is written in them.
//!
//! What is absent: encrypted tokens, and signatures, which [`super::jwt_verify`] verifies.

use plimsoll_config::diagnostic::Diagnostic;

use super::codec::decode_url;
use super::json::{Query, as_integer};
use super::{Convert, Row, pure, text};
use crate::arguments::Arguments;
use crate::value::Type;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "jwt_header_query",
        usage: "[PATH[,int]]",
        doc: "The header of a token, or a value in it by a path such as $.alg.",
        input: Type::Binary,
        output: Some(Type::Any),
        read: |arguments, _| query(arguments, 0),
    },
    Row {
        name: "jwt_payload_query",
        usage: "[PATH[,int]]",
        doc: "The payload of a token, or a value in it by a path such as $.iss.",
        input: Type::Binary,
        output: Some(Type::Any),
        read: |arguments, _| query(arguments, 1),
    },
];

/// Reads a query of part number `part`, the whole part where there is none.
fn query(arguments: &mut Arguments, part: usize) -> Result<Box<dyn Convert>, Diagnostic> {
    let path = arguments.optional();
    let as_integer = as_integer(arguments)?;
    let query = path.map(|path| Query::parse(&path, as_integer));
    pure(move |value| {
        let token = value.into_binary();
        let mut parts = token.split(|byte| *byte == b'.');
        let encoded = parts.nth(part)?;
        let json = decode_url(encoded)?;
        match &query {
            None => text(json),
            Some(query) => query.find(&json),
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn tokens_are_looked_into() {
        let bench = Bench::default();
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJqb2UiLCJleHAiOjE3MDAwMDAwMDAsImFkbWluIjp0cnVlfQ.x";
        for (converter, expected) in [
            ("jwt_header_query", Some(r#"{"alg":"HS256","typ":"JWT"}"#)),
            ("jwt_header_query($.alg)", Some("HS256")),
            ("jwt_payload_query($.sub)", Some("joe")),
            ("jwt_payload_query($.exp,int)", Some("1700000000")),
            ("jwt_payload_query($.admin)", Some("1")),
            ("jwt_payload_query($.none)", None),
        ] {
            let text = format!("str({token}),{converter}");
            assert_eq!(bench.evaluate(&text).as_deref(), expected, "{text}");
        }
        assert_eq!(bench.evaluate("str('!.a.b'),jwt_header_query"), None);
    }
}
