//! PROXY protocol headers of both versions, there and back.

use std::net::SocketAddr;

use plimsoll_wire::proxy_protocol::v2::{self, HEADER_BYTES_MAX, kind};
use plimsoll_wire::proxy_protocol::{Endpoints, Header, Parse, ProxyError, Tlv, Tlvs, parse, v1};
use proptest::prelude::*;

fn endpoints(source: &str, destination: &str) -> Endpoints {
    let address = |text: &str| text.parse::<SocketAddr>().expect("a socket address");
    Endpoints {
        source: address(source),
        destination: address(destination),
    }
}

fn complete(input: &[u8]) -> Result<(Header<'_>, usize), ProxyError> {
    match parse(input)? {
        Parse::Complete(header, length) => Ok((header, length)),
        Parse::Partial => panic!("{} is taken for incomplete", input.escape_ascii()),
    }
}

#[test]
fn lines_are_read() {
    let four = endpoints("192.0.2.1:56324", "198.51.100.1:443");
    let six = endpoints("[2001:db8::1]:1", "[::ffff:192.0.2.1]:65535");
    for (line, expected) in [
        (
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
            Some(four),
        ),
        (
            "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 1 65535\r\n",
            Some(six),
        ),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN whatever 1 2 3\r\n", None),
    ] {
        let input = format!("{line}GET / HTTP/1.1\r\n");
        let (header, length) = complete(input.as_bytes()).expect("a sound line");
        assert_eq!(
            (header.endpoints, length),
            (expected, line.len()),
            "{line:?}"
        );
        for end in 0..line.len() {
            assert_eq!(
                parse(&line.as_bytes()[..end]),
                Ok(Parse::Partial),
                "{:?}",
                &line[..end]
            );
        }
    }
}

#[test]
fn malformed_lines_are_told_apart() {
    use ProxyError as P;
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    let cases: &[(&str, P)] = &[
        ("GET / HTTP/1.1\r\n", P::NotAHeader),
        ("PUT ", P::NotAHeader),
        ("PROXYX", P::NotAHeader),
        ("\x16\x03", P::NotAHeader),
        ("PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n", P::UnknownFamily),
        ("PROXY \r\n", P::UnknownFamily),
        ("PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n", P::UnknownFamily),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n", P::InvalidLine),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", P::InvalidLine),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n", P::InvalidLine),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n", P::InvalidLine),
        ("PROXY TCP4 1.2.3.4  1.2.3.4 1 1\r\n", P::InvalidAddress),
        ("PROXY TCP4 1.2.3.4 ::1 1 1\r\n", P::InvalidAddress),
        ("PROXY TCP6 1.2.3.4 ::1 1 1\r\n", P::InvalidAddress),
        ("PROXY TCP4 1.2.3.04 1.2.3.4 1 1\r\n", P::InvalidAddress),
        ("PROXY TCP4 1.2.3.256 1.2.3.4 1 1\r\n", P::InvalidAddress),
        ("PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n", P::InvalidAddress),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n", P::InvalidPort),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n", P::InvalidPort),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n", P::InvalidPort),
        (&long, P::TooLong),
    ];
    for (input, error) in cases {
        assert_eq!(parse(input.as_bytes()), Err(*error), "{input:?}");
        assert!(error.to_string().len() > 10 && !error.name().is_empty());
    }
    assert_eq!(long.len(), v1::LINE_BYTES_MAX + 1);
}

fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend_from_slice(&[command, family]);
    header.extend_from_slice(&(body.len() as u16).to_be_bytes());
    header.extend_from_slice(body);
    header
}

#[test]
fn binary_headers_are_read() {
    let body = [
        192,
        0,
        2,
        1,
        198,
        51,
        100,
        1,
        0xdc,
        0x04,
        0x01,
        0xbb,
        kind::ALPN,
        0,
        2,
        b'h',
        b'2',
    ];
    let input = binary(0x21, 0x11, &body);
    let (header, length) = complete(&input).expect("a sound header");
    assert_eq!(length, input.len());
    assert_eq!(
        header.endpoints,
        Some(endpoints("192.0.2.1:56324", "198.51.100.1:443"))
    );
    assert_eq!(header.tlvs.find(kind::ALPN), Some(&b"h2"[..]));
    assert_eq!(header.tlvs.find(kind::AUTHORITY), None);
    for end in 0..input.len() {
        assert_eq!(parse(&input[..end]), Ok(Parse::Partial), "{end}");
    }
}

#[test]
fn headers_without_internet_addresses_say_nothing() {
    for input in [
        binary(0x20, 0x00, b""),
        binary(0x20, 0x11, &[0xff; 20]),
        binary(0x21, 0x00, b""),
        binary(0x21, 0x31, &[0; 216]),
    ] {
        let (header, length) = complete(&input).expect("a sound header");
        assert_eq!((header.endpoints, length), (None, input.len()));
        assert_eq!(header.tlvs, Tlvs::default());
    }
}

#[test]
fn malformed_binary_headers_are_told_apart() {
    use ProxyError as P;
    let with_tlv = |tlv: &[u8]| binary(0x21, 0x11, &[&[0; 12], tlv].concat());
    let long_authority = [&[kind::AUTHORITY, 1, 0][..], &[b'a'; 256]].concat();
    let long_id = [&[kind::UNIQUE_ID, 0, 129][..], &[b'a'; 129]].concat();
    let cases: &[(Vec<u8>, P)] = &[
        (b"\r\n\r\nx".to_vec(), P::NotAHeader),
        (binary(0x11, 0x11, &[0; 12]), P::NotAHeader),
        (binary(0x22, 0x11, &[0; 12]), P::UnknownCommand),
        (binary(0x21, 0x41, &[0; 12]), P::UnknownFamily),
        (binary(0x21, 0x13, &[0; 12]), P::UnknownFamily),
        (binary(0x21, 0x11, &[0; 11]), P::TooShort),
        (binary(0x21, 0x21, &[0; 35]), P::TooShort),
        (binary(0x21, 0x31, &[0; 215]), P::TooShort),
        (binary(0x21, 0x11, &[0; HEADER_BYTES_MAX - 15]), P::TooLong),
        (with_tlv(&[1]), P::InvalidTlv),
        (with_tlv(&[1, 0]), P::InvalidTlv),
        (with_tlv(&[1, 0, 2, b'h']), P::InvalidTlv),
        (with_tlv(&[kind::CRC32C, 0, 3, 0, 0, 0]), P::InvalidTlv),
        (
            with_tlv(&[kind::CRC32C, 0, 4, 0, 0, 0, 0]),
            P::WrongChecksum,
        ),
        (with_tlv(&long_authority), P::InvalidTlv),
        (with_tlv(&long_id), P::InvalidTlv),
    ];
    for (input, error) in cases {
        assert_eq!(parse(input), Err(*error), "{}", input.escape_ascii());
    }
}

#[test]
fn fields_nest_in_ssl() {
    let mut ssl = vec![1, 0, 0, 0, 0];
    v2::push_tlv(
        &mut ssl,
        Tlv {
            kind: kind::SSL_VERSION,
            value: b"TLSv1.3",
        },
    );
    v2::push_tlv(
        &mut ssl,
        Tlv {
            kind: kind::SSL_CN,
            value: b"me",
        },
    );
    let mut out = Vec::new();
    let tlvs = [Tlv {
        kind: kind::SSL,
        value: &ssl,
    }];
    v2::encode(
        Some(endpoints("1.2.3.4:5", "6.7.8.9:10")),
        &tlvs,
        Some(0),
        &mut out,
    )
    .expect("it fits");
    let (header, _) = complete(&out).expect("our own header");
    let inside = header.tlvs.within_ssl().expect("the field is there");
    assert_eq!(inside.find(kind::SSL_CN), Some(&b"me"[..]));
    assert_eq!(inside.into_iter().count(), 2);
}

#[test]
fn mixed_families_meet_in_ipv6() {
    let mixed = endpoints("1.2.3.4:5", "[::1]:6");
    let mapped = endpoints("[::ffff:1.2.3.4]:5", "[::1]:6");
    let (mut line, mut header) = (Vec::new(), Vec::new());
    v1::encode(Some(mixed), &mut line);
    v2::encode(Some(mixed), &[], None, &mut header).expect("it fits");
    assert_eq!(line, b"PROXY TCP6 ::ffff:1.2.3.4 ::1 5 6\r\n");
    for input in [line, header] {
        assert_eq!(
            complete(&input).expect("our own header").0.endpoints,
            Some(mapped)
        );
    }
}

#[test]
fn a_header_that_would_not_be_accepted_is_not_written() {
    let mut out = b"before".to_vec();
    let tlvs = [Tlv {
        kind: kind::NOOP,
        value: &[0; HEADER_BYTES_MAX],
    }];
    assert_eq!(
        v2::encode(None, &tlvs, None, &mut out),
        Err(ProxyError::TooLong)
    );
    assert_eq!(out, b"before");
}

fn any_endpoints() -> impl Strategy<Value = Option<Endpoints>> {
    let four = (
        any::<[u8; 4]>(),
        any::<u16>(),
        any::<[u8; 4]>(),
        any::<u16>(),
    )
        .prop_map(|(a, b, c, d)| Endpoints {
            source: (a, b).into(),
            destination: (c, d).into(),
        });
    let six = (
        any::<[u8; 16]>(),
        any::<u16>(),
        any::<[u8; 16]>(),
        any::<u16>(),
    )
        .prop_map(|(a, b, c, d)| Endpoints {
            source: (a, b).into(),
            destination: (c, d).into(),
        });
    prop_oneof![1 => Just(None), 3 => four.prop_map(Some), 3 => six.prop_map(Some)]
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        endpoints in any_endpoints(),
        id in prop::collection::vec(any::<u8>(), 0..=128),
        rest in prop::collection::vec(any::<u8>(), 0..20),
        checksum_at in prop::option::of(0usize..3),
        at in any::<prop::sample::Index>(),
    ) {
        let mut line = Vec::new();
        v1::encode(endpoints, &mut line);
        prop_assert!(line.len() <= v1::LINE_BYTES_MAX);
        prop_assert_eq!(complete(&line), Ok((Header { endpoints, tlvs: Tlvs::default() }, line.len())));

        let mut header = Vec::new();
        let tlvs = [Tlv { kind: kind::UNIQUE_ID, value: &id }];
        v2::encode(endpoints, &tlvs, checksum_at, &mut header).expect("it fits");
        let length = header.len();
        header.extend_from_slice(&rest);
        let (read, consumed) = complete(&header).expect("our own header");
        prop_assert_eq!((read.endpoints, consumed), (endpoints, length));
        if endpoints.is_some() {
            prop_assert_eq!(read.tlvs.find(kind::UNIQUE_ID), Some(&id[..]));
            if checksum_at.is_some() {
                let mut broken = header.clone();
                broken[at.index(length)] ^= 1;
                prop_assert!(!matches!(parse(&broken), Ok(Parse::Complete(other, _)) if other == read));
            }
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(mut input in prop::collection::vec(any::<u8>(), 0..80), prefix in 0..3) {
        let prefix: &[u8] = [&b""[..], b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n\x21"][prefix as usize];
        input.splice(..0, prefix.iter().copied());
        let _ = parse(&input);
    }
}
