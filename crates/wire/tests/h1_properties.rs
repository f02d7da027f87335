//! Properties of head parsing: no panic, no dependence on how bytes arrive, agreement with another parser, and a way
//! back.

mod support;

use plimsoll_wire::h1::Limits;
use plimsoll_wire::h1::request::{self, Parse};
use plimsoll_wire::h1::response::{self, Asked};
use plimsoll_wire::head::Head;
use proptest::prelude::*;
use support::picture;

/// Text that is mostly an HTTP head, with everything that has ever confused a parser sprinkled in.
fn nearly_a_head(first_line: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        4 => Just("Host".to_owned()),
        2 => Just("Content-Length".to_owned()),
        2 => Just("transfer-encoding".to_owned()),
        2 => Just("Connection".to_owned()),
        1 => Just("Upgrade".to_owned()),
        1 => Just("TE".to_owned()),
        4 => "[A-Za-z!#-]{1,12}",
        1 => "[ -~]{0,6}",
    ];
    let value = prop_oneof![
        3 => "[a-z0-9:. ,-]{0,24}",
        1 => Just("chunked".to_owned()),
        1 => Just("gzip, chunked".to_owned()),
        1 => Just("close, upgrade, x".to_owned()),
        1 => "[0-9]{1,3}",
        1 => "[\0-\u{ff}]{0,12}",
    ];
    let colon = prop_oneof![8 => Just(": "), 1 => Just(":"), 1 => Just(" :"), 1 => Just(":\t "), 1 => Just("")];
    let end = prop_oneof![16 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just(" \r\n"), 1 => Just("\r\n ")];
    let field = (name, colon, value, end)
        .prop_map(|(name, colon, value, end)| format!("{name}{colon}{value}{end}"));
    let fields = prop::collection::vec(field, 0..6).prop_map(|fields| fields.concat());
    let tail =
        prop_oneof![6 => Just("\r\n"), 1 => Just(""), 1 => Just("\n"), 2 => Just("\r\nbody")];
    (first_line, fields, tail)
        .prop_map(|(line, fields, tail)| format!("{line}{fields}{tail}").into_bytes())
}

const REQUEST_LINE: &str = "(\r\n){0,2}(GET|POST|CONNECT|OPTIONS|x) (/[a-z?#%]{0,6}|http://h(:80)?[/?]?|h:80|\\*) ?HTTP/1\\.[01]\r?\n";
const STATUS_LINE: &str = "HTTP/1\\.[01] ([1-5]0[0-9]|101|99)( [ -~]{0,8})?\r?\n";

/// Parses ever longer prefixes, as if one byte came at a time, in a head that has been used before.
fn trickled<E: std::fmt::Debug>(
    input: &[u8],
    mut parse: impl FnMut(&[u8], &mut Head) -> Result<Parse, E>,
) -> Result<(Parse, String), String> {
    let mut head = Head::default();
    head.add(b"left", b"over");
    for end in 0..=input.len() {
        match parse(&input[..end], &mut head) {
            Ok(Parse::Partial) if end < input.len() => {}
            Ok(Parse::Partial) => return Ok((Parse::Partial, String::new())),
            Ok(complete) => return Ok((complete, picture(&head))),
            Err(error) => return Err(format!("{error:?}")),
        }
    }
    unreachable!("the loop returns at the whole input")
}

fn at_once<E: std::fmt::Debug>(
    input: &[u8],
    mut parse: impl FnMut(&[u8], &mut Head) -> Result<Parse, E>,
) -> Result<(Parse, String), String> {
    let mut head = Head::default();
    match parse(input, &mut head) {
        Ok(Parse::Partial) => Ok((Parse::Partial, String::new())),
        Ok(complete) => Ok((complete, picture(&head))),
        Err(error) => Err(format!("{error:?}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn requests_do_not_depend_on_how_they_arrive(input in nearly_a_head(REQUEST_LINE), lenient: bool) {
        let limits = Limits { lenient, ..Limits::default() };
        let parse = |bytes: &[u8], head: &mut Head| request::parse(bytes, head, &limits);
        prop_assert_eq!(trickled(&input, parse), at_once(&input, parse));
    }

    #[test]
    fn responses_do_not_depend_on_how_they_arrive(input in nearly_a_head(STATUS_LINE), lenient: bool, head: bool, upgrade: bool) {
        let limits = Limits { lenient, ..Limits::default() };
        let asked = Asked { head, upgrade, connect: false };
        let parse = |bytes: &[u8], head: &mut Head| response::parse(bytes, head, &limits, asked);
        prop_assert_eq!(trickled(&input, parse), at_once(&input, parse));
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(input in prop::collection::vec(any::<u8>(), 0..200)) {
        support::read_h1_request(&input);
        support::read_h1_response(&input);
        support::read_chunks(&input);
    }

    #[test]
    fn what_is_forwarded_means_the_same(
        request in nearly_a_head(REQUEST_LINE),
        response in nearly_a_head(STATUS_LINE),
        asked in 0..8_u8,
    ) {
        support::read_h1_request(&request);
        support::read_h1_response(&[&[asked], &response[..]].concat());
    }

    /// Whatever we accept, a widely used parser accepts too and sees the same lines in.
    #[test]
    fn httparse_agrees_on_what_is_accepted(input in nearly_a_head(REQUEST_LINE)) {
        let mut head = Head::default();
        if let Ok(Parse::Complete(length)) = request::parse(&input, &mut head, &Limits::default()) {
            let mut fields = [httparse::EMPTY_HEADER; 16];
            let mut theirs = httparse::Request::new(&mut fields);
            prop_assert_eq!(theirs.parse(&input), Ok(httparse::Status::Complete(length)));
            prop_assert_eq!(theirs.method.map(str::as_bytes), Some(head.method()));
            let theirs: Vec<_> = theirs.headers.iter().map(|field| (field.name.to_ascii_lowercase(), field.value)).collect();
            for (name, value) in head.fields().filter(|(name, _)| !is_rewritten(name)) {
                let known = theirs.iter().any(|(theirs, other)| theirs.as_bytes() == name && *other == value);
                prop_assert!(known, "{}", name.escape_ascii());
            }
        }
    }
}

/// Fields whose values we may reduce to one form.
fn is_rewritten(name: &[u8]) -> bool {
    matches!(
        name,
        b"host" | b"content-length" | b"transfer-encoding" | b"connection" | b"upgrade" | b"te"
    )
}
