//! Samples of the first message of a TLS client whose bytes are only relayed (manual, section 7.3.5): names for routing,
//! and what the client offers.
//!
//! What is absent: connections whose TLS ends here; `ssl_fc…` tells of those.

use plimsoll_wire::tls_hello::{Beginning, ClientHello, parse};

use super::{Fetch, Needs, Row, Tested, fetch};
use crate::context::{Context, Payload};
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "rep_ssl_hello_type",
        usage: "",
        doc: "The type of the server's first handshake message: 2 for its hello.",
        needs: Needs::ResponseBytes,
        read: |_, _| fetch(Type::Integer, |context| message_type(context, true)),
    },
    Row {
        name: "req.ssl_alpn",
        usage: "",
        doc: "The protocols that the client's hello offers, one after the other.",
        needs: Needs::RequestBytes,
        read: |_, _| Ok((Box::new(Protocols), Type::Text)),
    },
    Row {
        name: "req.ssl_cipherlist",
        usage: "",
        doc: "The cipher suites that the client's hello offers, two bytes each.",
        needs: Needs::RequestBytes,
        read: |_, _| list(|hello| Some(hello.cipher_suites)),
    },
    Row {
        name: "req.ssl_ec_ext",
        usage: "",
        doc: "Whether the client's hello offers groups for the key exchange.",
        needs: Needs::RequestBytes,
        read: |_, _| {
            fetch(Type::Boolean, |context| {
                hello(context)?.groups.map(|_| Value::Boolean(true))
            })
        },
    },
    Row {
        name: "req.ssl_hello_type",
        usage: "",
        doc: "The type of the client's first handshake message: 1 for its hello.",
        needs: Needs::RequestBytes,
        read: |_, _| fetch(Type::Integer, |context| message_type(context, false)),
    },
    Row {
        name: "req.ssl_keyshare_groups",
        usage: "",
        doc: "The groups for which the client's hello brings a key, two bytes each.",
        needs: Needs::RequestBytes,
        read: |_, _| {
            fetch(Type::Binary, |context| {
                let shares = hello(context)?.key_shares?;
                Some(Value::Binary(share_groups(shares).into()))
            })
        },
    },
    Row {
        name: "req.ssl_sigalgs",
        usage: "",
        doc: "The signature algorithms that the client's hello offers, two bytes each.",
        needs: Needs::RequestBytes,
        read: |_, _| list(|hello| hello.signatures),
    },
    Row {
        name: "req.ssl_sni",
        usage: "",
        doc: "The name of the server that the client's hello asks for.",
        needs: Needs::RequestBytes,
        read: |_, _| server_name(),
    },
    Row {
        name: "req.ssl_st_ext",
        usage: "",
        doc: "What the client's hello says of tickets: 0 nothing, 1 that it knows them, 2 that it has one.",
        needs: Needs::RequestBytes,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                Some(Value::Integer(match hello(context)?.session_ticket {
                    None => 0,
                    Some([]) => 1,
                    Some(_) => 2,
                }))
            })
        },
    },
    Row {
        name: "req.ssl_supported_groups",
        usage: "",
        doc: "The groups that the client's hello offers for the key exchange, two bytes each.",
        needs: Needs::RequestBytes,
        read: |_, _| list(|hello| hello.groups),
    },
    Row {
        name: "req.ssl_ver",
        usage: "",
        doc: "The version in the client's hello, the major number times 65536 plus the minor one; as a pattern 3.1.",
        needs: Needs::RequestBytes,
        read: |_, _| version(),
    },
    Row {
        name: "req_ssl_hello_type",
        usage: "",
        doc: "The type of the client's first handshake message: 1 for its hello.",
        needs: Needs::RequestBytes,
        read: |_, _| fetch(Type::Integer, |context| message_type(context, false)),
    },
    Row {
        name: "req_ssl_sni",
        usage: "",
        doc: "The name of the server that the client's hello asks for.",
        needs: Needs::RequestBytes,
        read: |_, _| server_name(),
    },
    Row {
        name: "req_ssl_ver",
        usage: "",
        doc: "The version in the client's hello, the major number times 65536 plus the minor one; as a pattern 3.1.",
        needs: Needs::RequestBytes,
        read: |_, _| version(),
    },
    Row {
        name: "res.ssl_hello_type",
        usage: "",
        doc: "The type of the server's first handshake message: 2 for its hello.",
        needs: Needs::ResponseBytes,
        read: |_, _| fetch(Type::Integer, |context| message_type(context, true)),
    },
];

type Made = Result<(Box<dyn Fetch>, Type), plimsoll_config::diagnostic::Diagnostic>;

/// Whether patterns of this sample are versions such as `3.1`.
pub(crate) fn has_versions(name: &str) -> bool {
    matches!(name, "req.ssl_ver" | "req_ssl_ver")
}

/// `3.1` as the number that [`version`] yields; a missing minor number is 0.
pub(crate) fn version_number(text: &str) -> Option<i64> {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    let (major, minor): (u16, u16) = (major.parse().ok()?, minor.parse().ok()?);
    Some(i64::from(major) << 16 | i64::from(minor))
}

/// What the bytes of a relayed connection begin with. Messages of HTTP are no TLS.
fn beginning<'a>(context: &Context<'a>, payload: Payload<'a>) -> Option<Beginning<'a>> {
    if context.request.is_some() {
        return None;
    }
    let beginning = parse(payload.bytes);
    if beginning == Beginning::Partial && !payload.complete {
        context.may_change();
    }
    Some(beginning)
}

fn message_type(context: &Context<'_>, of_server: bool) -> Option<Value<'static>> {
    let payload = match of_server {
        true => context.response_payload,
        false => context.request_payload,
    };
    let number = beginning(context, payload)?.message_type()?;
    Some(Value::Integer(number.into()))
}

fn hello<'a>(context: &Context<'a>) -> Option<Box<ClientHello<'a>>> {
    match beginning(context, context.request_payload)? {
        Beginning::Client(hello) => Some(hello),
        _ => None,
    }
}

fn list(choose: for<'a> fn(&ClientHello<'a>) -> Option<&'a [u8]>) -> Made {
    fetch(Type::Binary, move |context| {
        let bytes = choose(&*hello(context)?)?;
        Some(Value::Binary(bytes.into()))
    })
}

fn server_name() -> Made {
    fetch(Type::Text, |context| {
        hello(context)?.server_name.map(Value::text)
    })
}

fn version() -> Made {
    fetch(Type::Integer, |context| {
        let version = hello(context)?.version;
        let [major, minor] = version.to_be_bytes();
        Some(Value::Integer(i64::from(major) << 16 | i64::from(minor)))
    })
}

/// The groups of key shares, each of which is a group, a length and a key.
fn share_groups(mut shares: &[u8]) -> Vec<u8> {
    let mut groups = Vec::new();
    while let [first, second, high, low, rest @ ..] = shares {
        groups.extend_from_slice(&[*first, *second]);
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        shares = rest.get(length..).unwrap_or_default();
    }
    groups
}

/// `req.ssl_alpn`: the first protocol as a value, each of them for conditions.
struct Protocols;

impl Fetch for Protocols {
    fn fetch<'a>(&'a self, context: &'a Context<'_>) -> Option<Value<'a>> {
        hello(context)?.protocol_names().next().map(Value::text)
    }

    fn any(&self, context: &Context<'_>, test: &mut dyn FnMut(Value<'_>) -> bool) -> Tested {
        let Some(hello) = hello(context) else {
            return Tested::Missing;
        };
        let mut tested = Tested::Missing;
        for name in hello.protocol_names() {
            if test(Value::text(name)) {
                return Tested::Found;
            }
            tested = Tested::Different;
        }
        tested
    }
}

#[cfg(test)]
mod tests {
    use crate::acl::Truth;
    use crate::context::Phase;
    use crate::testing::Bench;

    /// A hello of TLS 1.2's form for `a.test`, with two protocols, one group, a key of it, and knowledge of tickets.
    fn sample() -> Vec<u8> {
        let listed = |bytes: &[u8]| {
            let mut out = (bytes.len() as u16).to_be_bytes().to_vec();
            out.extend_from_slice(bytes);
            out
        };
        let mut extensions = Vec::new();
        let mut add = |number: u8, content: &[u8]| {
            extensions.extend_from_slice(&[0, number]);
            extensions.extend_from_slice(&listed(content));
        };
        add(0, &listed(&[&[0][..], &listed(b"a.test")].concat()));
        add(10, &listed(&[0, 29]));
        add(13, &listed(&[4, 3]));
        add(16, &listed(b"\x02h2\x08http/1.1"));
        add(35, b"");
        add(51, &listed(&[&[0, 29][..], &listed(&[7; 32])].concat()));
        let body = [
            &[3, 3][..],
            &[9; 32],
            &[0],
            &listed(&[0x13, 1]),
            &[1, 0],
            &listed(&extensions),
        ]
        .concat();
        let message = [&[1, 0][..], &listed(&body)].concat();
        [&[22, 3, 1][..], &listed(&message)].concat()
    }

    fn bench(bytes: &[u8]) -> Bench {
        Bench {
            body: bytes.to_vec(),
            complete: false,
            last: false,
            phase: Phase::RequestContent,
            ..Bench::default()
        }
    }

    #[test]
    fn a_hello_is_looked_into() {
        let bench = bench(&sample());
        for (text, expected) in [
            ("req.ssl_sni", Some("a.test")),
            ("req_ssl_sni,upper", Some("A.TEST")),
            ("req.ssl_hello_type", Some("1")),
            ("req_ssl_hello_type", Some("1")),
            ("req.ssl_ver", Some("196611")),
            ("req.ssl_alpn", Some("h2")),
            ("req.ssl_ec_ext", Some("1")),
            ("req.ssl_st_ext", Some("1")),
            ("req.ssl_cipherlist,hex", Some("1301")),
            ("req.ssl_supported_groups,hex", Some("001D")),
            ("req.ssl_keyshare_groups,hex", Some("001D")),
            ("req.ssl_sigalgs,hex", Some("0403")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("if { req.ssl_hello_type 1 }", Truth::Pass),
            ("if { req.ssl_sni -i A.TEST }", Truth::Pass),
            ("if { req_ssl_sni -m end .test }", Truth::Pass),
            ("if { req.ssl_sni b.test }", Truth::Fail),
            // A list of converters may go on behind a blank.
            ("if { req.ssl_sni, upper, length 6 }", Truth::Pass),
            ("if { req.ssl_alpn http/1.1 }", Truth::Pass),
            ("if { req.ssl_alpn h3 }", Truth::Fail),
            ("if { req_ssl_ver 3.3 }", Truth::Pass),
            ("if { req.ssl_ver gt 3.2 }", Truth::Pass),
            ("if { req.ssl_ver lt 3.3 }", Truth::Fail),
            ("if { req_ssl_ver 3.1:3.3 }", Truth::Pass),
            ("if { req_ssl_ver :3.2 }", Truth::Fail),
        ] {
            assert_eq!(bench.condition(text), Ok(expected), "{text}");
        }
        let wrong = bench.condition("if { req_ssl_ver three }");
        assert!(wrong.is_err_and(|error| error.contains("not a version")));
    }

    #[test]
    fn half_a_hello_is_waited_for() {
        let bytes = sample();
        let condition = "if { req.ssl_sni a.test }";
        let mut bench = bench(&bytes[..bytes.len() - 1]);
        assert_eq!(bench.condition(condition), Ok(Truth::Unsure));
        bench.complete = true;
        assert_eq!(bench.condition(condition), Ok(Truth::Fail));
        bench.body = b"GET / HTTP/1.1\r\n".to_vec();
        bench.complete = false;
        assert_eq!(bench.condition(condition), Ok(Truth::Fail));
        let mut http = Bench::request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        http.body = bytes;
        assert_eq!(http.evaluate("req.ssl_sni"), None);
    }
}
