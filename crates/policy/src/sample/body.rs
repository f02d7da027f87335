//! Samples of bytes: the bodies of messages, and what came over a connection in TCP mode (manual, sections 7.3.5, 7.3.6).

use plimsoll_config::diagnostic::Diagnostic;
use plimsoll_wire::head::{Framing, Head};

use super::{Fetch, Needs, Row, Side, fetch};
use crate::arguments::Arguments;
use crate::context::{Context, Payload};
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "payload",
        usage: "OFFSET,LENGTH",
        doc: "Bytes that were received; all from the offset on where the length is 0.",
        needs: Needs::MessageBytes,
        read: |arguments, _| slice(arguments, Side::AtHand),
    },
    Row {
        name: "payload_lv",
        usage: "OFFSET1,LENGTH[,OFFSET2]",
        doc: "Bytes that were received, as many as a number among them says.",
        needs: Needs::MessageBytes,
        read: |arguments, _| sized(arguments, Side::AtHand),
    },
    Row {
        name: "rdp_cookie",
        usage: "[NAME]",
        doc: "A cookie of the remote desktop protocol.",
        needs: Needs::RequestBytes,
        read: |arguments, _| rdp_cookie(arguments),
    },
    Row {
        name: "rdp_cookie_cnt",
        usage: "[NAME]",
        doc: "Whether there is a cookie of the remote desktop protocol.",
        needs: Needs::RequestBytes,
        read: |arguments, _| rdp_cookie_count(arguments),
    },
    Row {
        name: "req.body",
        usage: "",
        doc: "What has arrived of the request's body.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Binary, |context| {
                Some(Value::Binary(of_request(context)?.into()))
            })
        },
    },
    Row {
        name: "req.body_len",
        usage: "",
        doc: "How much has arrived of the request's body.",
        needs: Needs::RequestHead,
        read: |_, _| {
            fetch(Type::Integer, |context| {
                Some(Value::Integer(of_request(context)?.len() as i64))
            })
        },
    },
    Row {
        name: "req.body_size",
        usage: "",
        doc: "The length the request's body is said to have, otherwise how much has arrived.",
        needs: Needs::RequestHead,
        read: |_, _| body_size(Side::Request),
    },
    Row {
        name: "req.len",
        usage: "",
        doc: "How many bytes have arrived from the client.",
        needs: Needs::RequestBytes,
        read: |_, _| arrived(Side::Request),
    },
    Row {
        name: "req.payload",
        usage: "OFFSET,LENGTH",
        doc: "Bytes of the client; all from the offset on where the length is 0.",
        needs: Needs::RequestBytes,
        read: |arguments, _| slice(arguments, Side::Request),
    },
    Row {
        name: "req.payload_lv",
        usage: "OFFSET1,LENGTH[,OFFSET2]",
        doc: "Bytes of the client, as many as a number among them says.",
        needs: Needs::RequestBytes,
        read: |arguments, _| sized(arguments, Side::Request),
    },
    Row {
        name: "req.rdp_cookie",
        usage: "[NAME]",
        doc: "A cookie of the remote desktop protocol.",
        needs: Needs::RequestBytes,
        read: |arguments, _| rdp_cookie(arguments),
    },
    Row {
        name: "req.rdp_cookie_cnt",
        usage: "[NAME]",
        doc: "Whether there is a cookie of the remote desktop protocol.",
        needs: Needs::RequestBytes,
        read: |arguments, _| rdp_cookie_count(arguments),
    },
    Row {
        name: "req_len",
        usage: "",
        doc: "How many bytes have arrived from the client.",
        needs: Needs::RequestBytes,
        read: |_, _| arrived(Side::Request),
    },
    Row {
        name: "res.body",
        usage: "",
        doc: "What has arrived of the response's body.",
        needs: Needs::ResponseHead,
        read: |_, _| {
            fetch(Type::Binary, |context| {
                let payload = payload(context, Side::Response)?;
                Some(Value::Binary(payload.bytes.into()))
            })
        },
    },
    Row {
        name: "res.body_len",
        usage: "",
        doc: "How much has arrived of the response's body.",
        needs: Needs::ResponseHead,
        read: |_, _| length(Side::Response),
    },
    Row {
        name: "res.body_size",
        usage: "",
        doc: "The length the response's body is said to have, otherwise how much has arrived.",
        needs: Needs::ResponseHead,
        read: |_, _| body_size(Side::Response),
    },
    Row {
        name: "res.len",
        usage: "",
        doc: "How many bytes have arrived from the server.",
        needs: Needs::ResponseBytes,
        read: |_, _| arrived(Side::Response),
    },
    Row {
        name: "res.payload",
        usage: "OFFSET,LENGTH",
        doc: "Bytes of the server; all from the offset on where the length is 0.",
        needs: Needs::ResponseBytes,
        read: |arguments, _| slice(arguments, Side::Response),
    },
    Row {
        name: "res.payload_lv",
        usage: "OFFSET1,LENGTH[,OFFSET2]",
        doc: "Bytes of the server, as many as a number among them says.",
        needs: Needs::ResponseBytes,
        read: |arguments, _| sized(arguments, Side::Response),
    },
];

type Made = Result<(Box<dyn Fetch>, Type), Diagnostic>;

/// What has arrived of the request's body. More may come.
pub(super) fn of_request<'a>(context: &'a Context<'_>) -> Option<&'a [u8]> {
    payload(context, Side::Request).map(|payload| payload.bytes)
}

/// What has arrived of the message that rules of this time are about. More may come.
pub(super) fn at_hand<'a>(context: &'a Context<'_>) -> Option<&'a [u8]> {
    payload(context, Side::AtHand).map(|payload| payload.bytes)
}

/// What has arrived on one side.
fn payload<'a>(context: &'a Context<'_>, side: Side) -> Option<Payload<'a>> {
    let payload = match side.is_response(context) {
        true => context.response_payload,
        false => context.request_payload,
    };
    if !payload.complete {
        context.may_change();
    }
    Some(payload)
}

/// How much of a body has arrived.
fn length(side: Side) -> Made {
    fetch(Type::Integer, move |context| {
        let length = payload(context, side)?.bytes.len();
        Some(Value::Integer(length as i64))
    })
}

/// How much has arrived; of a message of HTTP the head is part of that.
fn arrived(side: Side) -> Made {
    fetch(Type::Integer, move |context| {
        let payload = payload(context, side)?;
        let head = match context.is_raw {
            true => None,
            false => side.head(context),
        };
        let length = head.map_or(0, head_bytes) + payload.bytes.len();
        Some(Value::Integer(length as i64))
    })
}

/// How long a head is as HTTP/1 would have it.
fn head_bytes(head: &Head) -> usize {
    let line = match head.method() {
        // "HTTP/1.1 200 reason" and "GET / HTTP/1.1", with the ends of that line and of the head.
        b"" => 13 + head.reason().len(),
        method => method.len() + head.target().len() + 10,
    };
    let fields = head
        .fields()
        .map(|(name, value)| name.len() + value.len() + 4);
    line + 4 + fields.sum::<usize>()
}

fn body_size(side: Side) -> Made {
    fetch(Type::Integer, move |context| {
        let size = match side.head(context)?.framing {
            Framing::Length(length) => length,
            Framing::None => 0,
            _ => payload(context, side)?.bytes.len() as u64,
        };
        Some(Value::Integer(i64::try_from(size).unwrap_or(i64::MAX)))
    })
}

fn place(arguments: &mut Arguments, what: &str) -> Result<usize, Diagnostic> {
    let number = arguments.integer(what)?;
    usize::try_from(number).map_err(|_| arguments.invalid(format_args!("{what} is not negative")))
}

fn slice(arguments: &mut Arguments, side: Side) -> Made {
    let offset = place(arguments, "an offset")?;
    let length = place(arguments, "a length")?;
    fetch(Type::Binary, move |context| {
        let payload = payload(context, side)?;
        if length == 0 {
            let all = payload.bytes.get(offset..)?;
            return (!all.is_empty()).then(|| Value::Binary(all.into()));
        }
        let bytes = payload.bytes.get(offset..offset.checked_add(length)?)?;
        context.unsure.set(false);
        Some(Value::Binary(bytes.into()))
    })
}

/// Where the value of a length begins.
enum Start {
    At(usize),
    /// Relative to the end of the length.
    Behind(isize),
}

fn sized(arguments: &mut Arguments, side: Side) -> Made {
    let offset = place(arguments, "an offset")?;
    let length = place(arguments, "a length")?;
    let start = match arguments.optional() {
        None => Start::Behind(0),
        Some(text) => {
            let number = text.parse::<isize>();
            let number =
                number.map_err(|_| arguments.invalid(format_args!("'{text}' is not an offset")))?;
            match text.starts_with(['+', '-']) {
                true => Start::Behind(number),
                false => Start::At(number.unsigned_abs()),
            }
        }
    };
    if length == 0 {
        return Err(arguments.invalid("the length of the number must be positive"));
    }
    fetch(Type::Binary, move |context| {
        let payload = payload(context, side)?;
        let number = payload.bytes.get(offset..offset.checked_add(length)?)?;
        let size = number.iter().fold(0_u64, |number, byte| {
            number.wrapping_shl(8) | u64::from(*byte)
        });
        let start = match start {
            Start::At(place) => place,
            Start::Behind(more) => (offset + length).checked_add_signed(more)?,
        };
        let size = usize::try_from(size).ok().filter(|size| *size > 0)?;
        let bytes = payload.bytes.get(start..start.checked_add(size)?)?;
        context.unsure.set(false);
        Some(Value::Binary(bytes.into()))
    })
}

/// The cookie of a connection request (MS-RDPBCGR section 2.2.1.1): `Cookie: NAME=VALUE`, ended by CR and LF.
fn rdp(bytes: &[u8], name: Option<&[u8]>) -> Option<Vec<u8>> {
    let body = bytes.get(11..)?;
    // TPKT: version 3; X.224: a connection request.
    if bytes[0] != 3 || bytes[5] != 0xe0 {
        return None;
    }
    let rest = body.strip_prefix(b"Cookie:")?.trim_ascii_start();
    let end = memchr::memmem::find(rest, b"\r\n")?;
    let pair = &rest[..end];
    let equals = memchr::memchr(b'=', pair)?;
    let (known, value) = (&pair[..equals], &pair[equals + 1..]);
    name.is_none_or(|name| name.eq_ignore_ascii_case(known))
        .then(|| value.to_vec())
}

fn find_rdp(context: &Context<'_>, name: Option<&[u8]>) -> Option<Vec<u8>> {
    let found = rdp(payload(context, Side::Request)?.bytes, name);
    if found.is_some() {
        context.unsure.set(false);
    }
    found
}

fn rdp_cookie(arguments: &mut Arguments) -> Made {
    let name = arguments.optional().map(String::into_bytes);
    fetch(Type::Text, move |context| {
        find_rdp(context, name.as_deref()).map(Value::owned)
    })
}

fn rdp_cookie_count(arguments: &mut Arguments) -> Made {
    let name = arguments.optional().map(String::into_bytes);
    fetch(Type::Integer, move |context| {
        let found = find_rdp(context, name.as_deref());
        Some(Value::Integer(found.is_some().into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Truth;
    use crate::testing::Bench;

    #[test]
    fn bytes_are_looked_into() {
        let bench = Bench::request(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n\x00\x02abcdefg",
        );
        for (text, expected) in [
            ("req.body,hex", Some("0002616263646566 67".replace(' ', ""))),
            ("req.body_len", Some("9".into())),
            ("req.body_size", Some("9".into())),
            ("req.len", Some("56".into())),
            ("req.payload(2,3)", Some("abc".into())),
            ("req.payload(2,0)", Some("abcdefg".into())),
            ("req.payload(2,9)", None),
            ("req.payload(9,0)", None),
            ("payload(2,1)", Some("a".into())),
            ("req.payload_lv(0,2)", Some("ab".into())),
            ("req.payload_lv(0,2,3)", Some("bc".into())),
            ("req.payload_lv(0,2,+1)", Some("bc".into())),
            ("req.payload_lv(0,1)", None),
            ("req.payload_lv(2,2)", None),
            ("req.payload_lv(0,9)", None),
        ] {
            assert_eq!(bench.evaluate(text), expected, "{text}");
        }
        for (text, part) in [
            ("req.payload(0)", "lacks"),
            ("req.payload(-1,2)", "not negative"),
            ("req.payload_lv(0,0)", "positive"),
            ("res.payload(0,1)", "not available"),
        ] {
            let error = bench.refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_may_still_come_is_waited_for() {
        let mut bench =
            Bench::request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
        bench.complete = false;
        bench.last = false;
        for (text, expected) in [
            ("if { req.payload(0,2) -m str ab }", Truth::Pass),
            ("if { req.payload(0,2) -m str ac }", Truth::Fail),
            ("if { req.payload(0,4) -m str abcd }", Truth::Unsure),
            ("if { req.len ge 50 }", Truth::Pass),
            ("if { req.len ge 51 }", Truth::Unsure),
            ("if { req.rdp_cookie(a) b }", Truth::Unsure),
        ] {
            assert_eq!(bench.condition(text), Ok(expected), "{text}");
        }
        bench.last = true;
        let late = bench.condition("if { req.len ge 51 }");
        assert_eq!(late, Ok(Truth::Fail));
    }

    #[test]
    fn remote_desktops_have_cookies() {
        let bytes = b"\x03\x00\x00\x2b\x26\xe0\x00\x00\x00\x00\x00Cookie: mstshash=user\r\n\x01\x00\x08\x00\x00\x00\x00\x00";
        assert_eq!(rdp(bytes, Some(b"MSTSHASH")), Some(b"user".to_vec()));
        assert_eq!(rdp(bytes, None), Some(b"user".to_vec()));
        assert_eq!(rdp(bytes, Some(b"msts")), None);
        for end in 0..bytes.len() - 10 {
            assert_eq!(rdp(&bytes[..end], None), None, "{end}");
        }
    }
}
