//! Properties of head parsing: no panic, no dependence on how bytes arrive, agreement with another parser, and a way
//! back.

mod support;

use std::cell::Cell;

use plimsoll_wire::h1::Limits;
use plimsoll_wire::h1::request::{self, Parse};
use plimsoll_wire::h1::response::{self, Asked};
use plimsoll_wire::head::Head;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use support::picture;

/// Text that is nearly an HTTP head: mostly sound, with everything that has ever confused a parser sprinkled in.
fn nearly_a_head(
    first_lines: &'static [&'static str],
    odd_first_line: &'static str,
) -> impl Strategy<Value = Vec<u8>> {
    let sound_field = prop_oneof![
        4 => Just("Host: h\r\n".to_owned()),
        2 => Just("Content-Length: 5\r\n".to_owned()),
        2 => Just("transfer-encoding:chunked\r\n".to_owned()),
        2 => "Connection: (close|keep-alive|upgrade|x)(, ?(Close|Upgrade|y)){0,2} ?\r\n",
        2 => Just("Upgrade: h2c, foo\r\n".to_owned()),
        1 => "TE: (trailers|gzip)\r\n",
        8 => "[A-Za-z!#-]{1,12}:[ \t]{0,2}[a-z0-9:.,-]{0,24}[ \t]{0,2}\r\n",
    ];
    let odd_field = prop_oneof![
        "(Host|Content-Length|Transfer-Encoding|Connection)[ \t]?: ?(gzip, )?[a-z0-9, -]{0,8}(\r\n|\n|\r|\r\n )",
        "[ -~]{0,6}: ?[\0-\u{ff}]{0,12}\r\n",
        "[ -~]{0,12}(\r\n|\n)",
    ];
    let field = prop_oneof![12 => sound_field, 1 => odd_field];
    let fields = prop::collection::vec(field, 0..6).prop_map(|fields| fields.concat());
    let line = prop_oneof![
        8 => prop::sample::select(first_lines).prop_map(|line| format!("{line}\r\n")),
        1 => odd_first_line,
    ];
    let tail =
        prop_oneof![6 => Just("\r\n"), 1 => Just(""), 1 => Just("\n"), 3 => Just("\r\nbody")];
    (line, fields, tail)
        .prop_map(|(line, fields, tail)| format!("{line}{fields}{tail}").into_bytes())
}

fn nearly_a_request() -> impl Strategy<Value = Vec<u8>> {
    let lines = &[
        "GET / HTTP/1.1",
        "GET /a?b=%41 HTTP/1.0",
        "POST /form HTTP/1.1",
        "\r\nx /y HTTP/1.1",
        "GET http://h:80?q HTTP/1.1",
        "CONNECT h:443 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ];
    nearly_a_head(
        lines,
        "(GET|x|) ?(/[a-z?#%]{0,6}|http://h(:80)?[/?]?|h:80|\\*) ?HTTP/[0-2]\\.[01](\r?\n| )",
    )
}

fn nearly_a_response() -> impl Strategy<Value = Vec<u8>> {
    let lines = &[
        "HTTP/1.1 200 OK",
        "HTTP/1.0 200",
        "HTTP/1.1 100 Continue",
        "HTTP/1.1 101 Switching Protocols",
        "HTTP/1.1 204 ",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.1 503 Down for the night",
    ];
    nearly_a_head(
        lines,
        "HTTP/[0-2]\\.[01] {0,2}[0-9]{2,4}( [ -~]{0,8})?\r?\n",
    )
}

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
    fn requests_do_not_depend_on_how_they_arrive(input in nearly_a_request(), lenient: bool) {
        let limits = Limits { lenient, ..Limits::default() };
        let parse = |bytes: &[u8], head: &mut Head| request::parse(bytes, head, &limits);
        prop_assert_eq!(trickled(&input, parse), at_once(&input, parse));
    }

    #[test]
    fn responses_do_not_depend_on_how_they_arrive(input in nearly_a_response(), lenient: bool, head: bool, upgrade: bool) {
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
        request in nearly_a_request(),
        response in nearly_a_response(),
        asked in 0..8_u8,
    ) {
        support::read_h1_request(&request);
        support::read_h1_response(&[&[asked], &response[..]].concat());
    }
}

/// Whatever we accept, a widely used parser accepts too and sees the same lines in.
#[test]
fn httparse_agrees_on_what_is_accepted() {
    let accepted = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(512));
    let outcome = runner.run(&nearly_a_request(), |input| {
        let mut head = Head::default();
        if let Ok(Parse::Complete(length)) = request::parse(&input, &mut head, &Limits::default()) {
            accepted.set(accepted.get() + 1);
            let mut fields = [httparse::EMPTY_HEADER; 16];
            let mut theirs = httparse::Request::new(&mut fields);
            prop_assert_eq!(theirs.parse(&input), Ok(httparse::Status::Complete(length)));
            prop_assert_eq!(theirs.method.map(str::as_bytes), Some(head.method()));
            let theirs: Vec<_> = theirs
                .headers
                .iter()
                .map(|field| (field.name.to_ascii_lowercase(), field.value))
                .collect();
            for (name, value) in head.fields().filter(|(name, _)| !is_rewritten(name)) {
                let known = theirs
                    .iter()
                    .any(|(theirs, other)| theirs.as_bytes() == name && *other == value);
                prop_assert!(known, "{}", name.escape_ascii());
            }
        }
        Ok(())
    });
    outcome.expect("both parsers agree");
    assert!(
        accepted.get() > 100,
        "only {} requests were acceptable at all",
        accepted.get()
    );
}

/// Fields whose values we may reduce to one form.
fn is_rewritten(name: &[u8]) -> bool {
    matches!(
        name,
        b"host" | b"content-length" | b"transfer-encoding" | b"connection" | b"upgrade" | b"te"
    )
}
