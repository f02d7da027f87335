//! What the tests and the fuzz targets share: the promises that hold for any bytes.
#![allow(dead_code, reason = "no test file uses all of it")]

pub(crate) mod h2;

use std::fmt::Debug;

use plimsoll_wire::h1::body::{BodyError, Decoder};
use plimsoll_wire::h1::encode::{self, Connection};
use plimsoll_wire::h1::response::{self, Asked};
use plimsoll_wire::h1::{Limits, Parse, request};
use plimsoll_wire::head::{Framing, Head};
use plimsoll_wire::proxy_protocol::{self, v1, v2};

/// Small, so that short inputs reach the limits.
const LIMITS: Limits = Limits {
    bytes_max: 600,
    fields_max: 12,
    lenient: false,
    any_method_bodies: false,
    trusts_ambiguous: false,
};

/// Everything there is to know about a parsed head.
pub(crate) fn picture(head: &Head) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let fields: Vec<_> = head
        .fields()
        .map(|(name, value)| (text(name), text(value)))
        .collect();
    format!(
        "{} {} {} {} keep-alive {} upgrade {} continue {} {:?} {:?} {fields:?}",
        text(head.method()),
        text(head.target()),
        head.status,
        text(head.reason()),
        head.keep_alive,
        head.upgrade,
        head.expect_continue,
        head.version,
        head.framing,
    )
}

/// Parses the whole input, and before that a part of it, in a head that has been used before; the part must not have said
/// anything that the whole denies.
fn parse_in_parts<E: Debug + PartialEq>(
    input: &[u8],
    mut parse: impl FnMut(&[u8], &mut Head) -> Result<Parse, E>,
) -> Option<Head> {
    let (mut head, mut used) = (Head::default(), Head::default());
    let whole = parse(input, &mut head);
    for cut in [
        input.len() / 3,
        input.len() / 2,
        input.len().saturating_sub(1),
    ] {
        match parse(&input[..cut], &mut used) {
            Ok(Parse::Partial) => {}
            Ok(Parse::Complete(length)) => {
                assert_eq!(whole, Ok(Parse::Complete(length)));
                assert_eq!(picture(&head), picture(&used));
            }
            error => assert_eq!(whole, error),
        }
    }
    match whole {
        Ok(Parse::Complete(length)) => {
            assert!(length <= input.len());
            Some(head)
        }
        _ => None,
    }
}

/// What is written has no line ends but those of lines, which is what a strict reader goes by.
fn assert_clean(out: &[u8], lenient: bool) {
    let mut rest = out;
    while let Some(at) = rest
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n' | 0))
    {
        let is_line_end = rest[at..].starts_with(b"\r\n");
        assert!(
            is_line_end || lenient && rest[at] == 0,
            "{}",
            out.escape_ascii()
        );
        rest = &rest[at + if is_line_end { 2 } else { 1 }..];
    }
}

/// A request head: the same however it arrives, and what is forwarded means the same again.
pub(crate) fn read_h1_request(input: &[u8]) {
    for lenient in [false, true] {
        let limits = Limits { lenient, ..LIMITS };
        let Some(head) = parse_in_parts(input, |bytes, head| request::parse(bytes, head, &limits))
        else {
            continue;
        };
        let connection = if head.upgrade {
            Connection::Upgrade
        } else {
            Connection::Implied
        };
        let mut out = Vec::new();
        encode::request(&head, connection, head.framing, &mut out);
        assert_clean(&out, lenient);
        // Our own version and a normalized target may make it a little longer.
        let limits = Limits {
            bytes_max: LIMITS.bytes_max + 128,
            lenient,
            ..LIMITS
        };
        let mut again = Head::default();
        assert_eq!(
            request::parse(&out, &mut again, &limits),
            Ok(Parse::Complete(out.len()))
        );
        assert_eq!(
            (head.method(), head.target()),
            (again.method(), again.target())
        );
        assert_eq!((head.framing, head.upgrade), (again.framing, again.upgrade));
        assert!(
            head.fields().eq(again.fields()),
            "{}\n{}",
            picture(&head),
            picture(&again)
        );
    }
}

/// A response head, likewise. The first byte says what was asked.
pub(crate) fn read_h1_response(input: &[u8]) {
    let Some((&asked, input)) = input.split_first() else {
        return;
    };
    let asked = Asked {
        head: asked & 1 != 0,
        connect: asked & 2 != 0,
        upgrade: asked & 4 != 0,
    };
    for lenient in [false, true] {
        let limits = Limits { lenient, ..LIMITS };
        let parse = |bytes: &[u8], head: &mut Head| response::parse(bytes, head, &limits, asked);
        let Some(head) = parse_in_parts(input, parse) else {
            continue;
        };
        let connection = if head.upgrade {
            Connection::Upgrade
        } else {
            Connection::Implied
        };
        let mut out = Vec::new();
        encode::response(&head, connection, head.framing, &mut out);
        assert_clean(&out, lenient);
        let limits = Limits {
            bytes_max: LIMITS.bytes_max + 64,
            lenient,
            ..LIMITS
        };
        let mut again = Head::default();
        let parse = response::parse(&out, &mut again, &limits, asked);
        assert_eq!(parse, Ok(Parse::Complete(out.len())));
        // Where the server gives no reason it is the usual one.
        let phrase = match head.reason() {
            b"" => plimsoll_wire::reason::reason(head.status).as_bytes(),
            phrase => phrase,
        };
        assert_eq!(
            (head.status, phrase, head.framing),
            (again.status, again.reason(), again.framing)
        );
        assert!(
            head.fields().eq(again.fields()),
            "{}\n{}",
            picture(&head),
            picture(&again)
        );
    }
}

/// Decodes `input` in pieces that end at `cuts`; returns the payload and how many bytes belonged to the body.
pub(crate) fn decode(
    decoder: &mut Decoder,
    input: &[u8],
    cuts: &[usize],
) -> Result<(Vec<u8>, usize), BodyError> {
    let (mut payload, mut start) = (Vec::new(), 0);
    for &end in cuts.iter().chain([&input.len()]) {
        let mut buffer = input[start..end].to_vec();
        let decoded = decoder.decode(&mut buffer)?;
        payload.extend_from_slice(&buffer[decoded.payload]);
        assert_eq!(decoded.done, decoder.is_done());
        if decoded.done {
            return Ok((payload, start + decoded.consumed));
        }
        assert_eq!(
            decoded.consumed,
            end - start,
            "bytes are left though the body goes on"
        );
        start = end;
    }
    Ok((payload, input.len()))
}

/// A chunked body: the same wherever it is cut. The first byte says where.
pub(crate) fn read_chunks(input: &[u8]) {
    let Some((&step, input)) = input.split_first() else {
        return;
    };
    let cuts: Vec<usize> = (0..input.len()).step_by(usize::from(step) + 1).collect();
    let (mut at_once, mut in_pieces) = (
        Decoder::new(Framing::Chunked),
        Decoder::new(Framing::Chunked),
    );
    let whole = decode(&mut at_once, input, &[]);
    assert_eq!(whole, decode(&mut in_pieces, input, &cuts));
    assert_eq!(
        at_once.trailers().map(picture),
        in_pieces.trailers().map(picture)
    );
    if let Ok((payload, consumed)) = whole {
        assert!(payload.len() <= consumed && consumed <= input.len());
    }
}

/// A PROXY protocol header: incomplete up to its end, and the same endpoints when written again in either version.
pub(crate) fn read_proxy_protocol(input: &[u8]) {
    let Ok(proxy_protocol::Parse::Complete(header, length)) = proxy_protocol::parse(input) else {
        return;
    };
    for end in [0, length / 2, length - 1] {
        assert_eq!(
            proxy_protocol::parse(&input[..end]),
            Ok(proxy_protocol::Parse::Partial)
        );
    }
    let tlvs: Vec<_> = header
        .tlvs
        .into_iter()
        .filter(|tlv| tlv.kind != v2::kind::CRC32C)
        .collect();
    let (mut line, mut binary) = (Vec::new(), Vec::new());
    v1::encode(header.endpoints, &mut line);
    assert!(line.len() <= v1::LINE_BYTES_MAX);
    // A header that says nothing of endpoints may have been longer than one that says LOCAL.
    v2::encode(header.endpoints, &tlvs, None, &mut binary).expect("it fitted before");
    for written in [line, binary] {
        match proxy_protocol::parse(&written) {
            Ok(proxy_protocol::Parse::Complete(again, _)) => {
                assert_eq!(again.endpoints, header.endpoints)
            }
            other => panic!("{}: {other:?}", written.escape_ascii()),
        }
    }
}

/// An answer of a name server holds nothing but what was asked for.
pub(crate) fn read_dns(input: &[u8]) {
    use plimsoll_wire::dns::{Found, Kind, Question};
    for kind in [Kind::V4, Kind::V6, Kind::Services] {
        let question = Question {
            id: 7,
            name: "app.example",
            kind,
        };
        match (kind, question.read(input)) {
            (_, Err(_)) => {}
            (Kind::Services, Ok(Found::Services(services))) => assert!(!services.is_empty()),
            (Kind::V4, Ok(Found::Addresses(list))) => assert!(list.iter().all(|ip| ip.is_ipv4())),
            (Kind::V6, Ok(Found::Addresses(list))) => assert!(list.iter().all(|ip| ip.is_ipv6())),
            (_, Ok(found)) => panic!("{found:?} answers another question"),
        }
    }
}

/// A hello is understood the same whatever follows it, and no part of it is taken for something else.
pub(crate) fn read_tls_hello(input: &[u8]) {
    use plimsoll_wire::tls_hello::{Beginning, parse};
    let Beginning::Client(hello) = parse(input) else {
        return;
    };
    hello.protocol_names().for_each(drop);
    assert!(hello.suites().count() <= hello.cipher_suites.len() / 2);
    assert!(hello.version_max() >= hello.version);
    let length = 5 + usize::from(u16::from_be_bytes([input[3], input[4]]));
    let whole = Beginning::Client(hello);
    assert_eq!(parse(&input[..length]), whole);
    assert_eq!(parse(&input[..length - 1]), Beginning::Partial);
}
