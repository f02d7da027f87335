//! The line a [`Record`] leaves in each [`LogFormat`].

use crate::model::{LogFormat, Mode};
use crate::tls::{CipherSuite, Version};

use super::record::{Endpoint, Record, RequestLine};
use super::text::{
    CAPTURED, Escapes, PLAIN, QUOTED, push_escaped, push_ip, push_number, push_optional, put_digits,
};
use super::{Dates, WallTime};

/// Appends the line of `record`, without header and end of line.
///
/// Fields, their order and their spelling are those of HAProxy's manual, section 8.2. No byte outside 32 to 126 is
/// written, whatever the record holds. Nothing is allocated once `out` is large enough.
pub fn format(format: &LogFormat, record: &Record<'_>, dates: &mut Dates, out: &mut Vec<u8>) {
    match format {
        LogFormat::Connect => write_connect(record, out),
        LogFormat::Tcp { clf: false } => write_tcp(record, dates, out),
        LogFormat::Tcp { clf: true } => write_tcp_clf(record, dates, out),
        LogFormat::Http { clf: false } => write_http(record, dates, out),
        LogFormat::Http { clf: true } => write_clf(record, dates, out),
        LogFormat::Https => {
            write_http(record, dates, out);
            write_tls(record, out);
        }
        // It asks for more than a record: whoever has a context writes it.
        LogFormat::Custom(_) => {}
    }
}

/// Appends the line of a session that ended before it could carry anything (manual, section 8.2.5).
pub fn format_error(record: &Record<'_>, reason: &str, dates: &mut Dates, out: &mut Vec<u8>) {
    write_client(record, record.accepted, dates, out);
    push_escaped(out, record.frontend.as_bytes(), &PLAIN);
    out.push(b'/');
    push_bind(record, out);
    out.extend_from_slice(b": ");
    push_escaped(out, reason.as_bytes(), &PLAIN);
}

/// A listener, by its name or else its number.
fn push_bind(record: &Record<'_>, out: &mut Vec<u8>) {
    match record.bind {
        "" => push_number(out, record.bind_number),
        name => push_escaped(out, name.as_bytes(), &PLAIN),
    }
}

fn write_connect(record: &Record<'_>, out: &mut Vec<u8>) {
    match (record.client, record.local) {
        (Endpoint::Unix { bind }, _) => {
            out.extend_from_slice(b"Connect to unix:");
            push_number(out, bind);
        }
        (Endpoint::Unknown, _) => {
            out.extend_from_slice(b"Connect from unknown source to listener ");
            push_number(out, record.bind_number);
        }
        (Endpoint::Inet(_), local) => {
            out.extend_from_slice(b"Connect from ");
            push_endpoint(out, record.client);
            out.extend_from_slice(b" to ");
            match local {
                Endpoint::Inet(_) => push_endpoint(out, local),
                _ => out.extend_from_slice(b"undetermined address:0"),
            }
        }
    }
    out.extend_from_slice(b" (");
    push_escaped(out, record.frontend.as_bytes(), &PLAIN);
    out.extend_from_slice(match record.mode {
        Mode::Http => b"/HTTP)",
        Mode::Tcp => b"/TCP)",
    });
}

fn write_tcp(record: &Record<'_>, dates: &mut Dates, out: &mut Vec<u8>) {
    write_client(record, record.accepted, dates, out);
    write_route(record, out);
    let timers = &record.timers;
    for timer in [timers.queue_ms, timers.connect_ms] {
        push_optional(out, timer);
        out.push(b'/');
    }
    push_final(record, timers.total_ms(), out);
    out.push(b' ');
    push_final(record, record.bytes_sent, out);
    out.push(b' ');
    out.extend_from_slice(&record.termination.letters());
    out.push(b' ');
    write_load(record, b'/', out);
}

fn write_tcp_clf(record: &Record<'_>, dates: &mut Dates, out: &mut Vec<u8>) {
    push_host(out, record.client);
    out.extend_from_slice(b" - - [");
    dates.push_utc(record.accepted, out);
    out.extend_from_slice(b"] \"TCP \" 000 ");
    push_final(record, record.bytes_sent, out);
    out.extend_from_slice(b" \"\" \"\" ");
    write_clf_route(record, out);
    let timers = &record.timers;
    push_number(out, timers.handshake_ms);
    for timer in [timers.queue_ms, timers.connect_ms] {
        out.push(b' ');
        push_optional(out, timer);
    }
    out.push(b' ');
    push_final(record, timers.total_ms(), out);
    out.push(b' ');
    push_number(out, record.bytes_received);
    out.push(b' ');
    out.extend_from_slice(&record.termination.letters());
    out.extend_from_slice(b"-- ");
    write_load(record, b' ', out);
    out.extend_from_slice(b" \"\" \"\" ");
}

fn write_http(record: &Record<'_>, dates: &mut Dates, out: &mut Vec<u8>) {
    write_client(record, request_time(record), dates, out);
    write_route(record, out);
    write_http_timers(record, b'/', out);
    out.push(b' ');
    push_optional(out, record.status);
    out.push(b' ');
    push_final(record, record.bytes_sent, out);
    for cookie in [record.request_cookie, record.response_cookie] {
        out.push(b' ');
        push_escaped(out, cookie.unwrap_or(b"-"), &PLAIN);
    }
    out.push(b' ');
    out.extend_from_slice(&record.termination.letters_http());
    out.push(b' ');
    write_load(record, b'/', out);
    out.push(b' ');
    for captures in [record.request_captures, record.response_captures] {
        if !captures.is_empty() {
            write_captures(captures, out);
            out.push(b' ');
        }
    }
    out.push(b'"');
    write_request(record.request.as_ref(), out);
    out.push(b'"');
}

/// What `option httpslog` adds: errors of the connection, of the handshake, of the client's certificate and of an
/// authority; whether the session was resumed; name, version and suite. A connection that logs requests has no error of
/// its own, nor has its handshake.
fn write_tls(record: &Record<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b" 0/");
    let Some(facts) = record.tls else {
        out.extend_from_slice(b"-/-/-/0 -/-/-");
        return;
    };
    out.extend_from_slice(b"0000000000000000/");
    push_number(out, u64::from(facts.peer_error));
    out.push(b'/');
    push_number(out, u64::from(facts.authority_error));
    out.extend_from_slice(if facts.resumed { b"/1 " } else { b"/0 " });
    let name = facts.server_name.as_deref().unwrap_or("-");
    push_escaped(out, name.as_bytes(), &PLAIN);
    for text in [
        facts.version.map(Version::name),
        facts.suite.map(CipherSuite::name),
    ] {
        out.push(b'/');
        out.extend_from_slice(text.unwrap_or("-").as_bytes());
    }
}

fn write_clf(record: &Record<'_>, dates: &mut Dates, out: &mut Vec<u8>) {
    push_host(out, record.client);
    out.extend_from_slice(b" - - [");
    dates.push_utc(request_time(record), out);
    out.extend_from_slice(b"] \"");
    write_request(record.request.as_ref(), out);
    out.extend_from_slice(b"\" ");
    push_optional(out, record.status);
    out.push(b' ');
    push_final(record, record.bytes_sent, out);
    out.extend_from_slice(b" \"\" \"\" ");
    write_clf_route(record, out);
    write_http_timers(record, b' ', out);
    out.push(b' ');
    out.extend_from_slice(&record.termination.letters_http());
    out.push(b' ');
    write_load(record, b' ', out);
    for cookie in [record.request_cookie, record.response_cookie] {
        out.push(b' ');
        push_quoted(out, cookie.unwrap_or_default(), &QUOTED);
    }
    // An empty list leaves nothing behind the space before it, and spaces do not add up.
    out.push(b' ');
    for captures in [record.request_captures, record.response_captures] {
        for capture in captures {
            push_quoted(out, capture, &CAPTURED);
            out.push(b' ');
        }
    }
    if !record.response_captures.is_empty() {
        out.pop();
    }
}

/// `33317 655 "frontend~" "backend" "server" `
fn write_clf_route(record: &Record<'_>, out: &mut Vec<u8>) {
    push_port(out, record.client);
    let mut millis = *b" 000 \"";
    put_digits(&mut millis[1..4], u64::from(record.accepted.millis()));
    out.extend_from_slice(&millis);
    push_escaped(out, record.frontend.as_bytes(), &QUOTED);
    if record.secure {
        out.push(b'~');
    }
    out.extend_from_slice(b"\" ");
    push_quoted(out, record.backend.as_bytes(), &QUOTED);
    out.push(b' ');
    push_quoted(out, record.server.unwrap_or("<NOSRV>").as_bytes(), &QUOTED);
    out.push(b' ');
}

/// `10.0.1.2:33317 [06/Feb/2009:12:14:14.655] `
fn write_client(record: &Record<'_>, time: WallTime, dates: &mut Dates, out: &mut Vec<u8>) {
    push_endpoint(out, record.client);
    out.extend_from_slice(b" [");
    dates.push_local_ms(time, out);
    out.extend_from_slice(b"] ");
}

/// `frontend~ backend/server `
fn write_route(record: &Record<'_>, out: &mut Vec<u8>) {
    push_escaped(out, record.frontend.as_bytes(), &PLAIN);
    if record.secure {
        out.push(b'~');
    }
    out.push(b' ');
    push_escaped(out, record.backend.as_bytes(), &PLAIN);
    out.push(b'/');
    push_escaped(out, record.server.unwrap_or("<NOSRV>").as_bytes(), &PLAIN);
    out.push(b' ');
}

/// `TR/Tw/Tc/Tr/Ta`
fn write_http_timers(record: &Record<'_>, between: u8, out: &mut Vec<u8>) {
    let timers = &record.timers;
    for timer in [
        timers.request_ms,
        timers.queue_ms,
        timers.connect_ms,
        timers.response_ms,
    ] {
        push_optional(out, timer);
        out.push(between);
    }
    push_final(record, u64::from(timers.active_ms), out);
}

/// `actconn/feconn/beconn/srv_conn/retries srv_queue/backend_queue`
fn write_load(record: &Record<'_>, between: u8, out: &mut Vec<u8>) {
    let load = &record.load;
    for count in [load.process, load.frontend, load.backend, load.server] {
        push_number(out, count);
        out.push(between);
    }
    if record.redispatched {
        out.push(b'+');
    }
    push_number(out, record.retries);
    out.push(b' ');
    push_number(out, record.queued.server);
    out.push(between);
    push_number(out, record.queued.backend);
}

/// `{first|second||fourth}`
fn write_captures(captures: &[&[u8]], out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, capture) in captures.iter().enumerate() {
        if index > 0 {
            out.push(b'|');
        }
        push_escaped(out, capture, &CAPTURED);
    }
    out.push(b'}');
}

/// The request line, cut after its limit. The cut comes before escaping, so that no escape is torn.
fn write_request(request: Option<&RequestLine<'_>>, out: &mut Vec<u8>) {
    let Some(request) = request else {
        out.extend_from_slice(b"<BADREQ>");
        return;
    };
    let mut room = request.bytes_max;
    for part in [request.method, b" ", request.target, b" ", request.version] {
        let part = &part[..part.len().min(room)];
        room -= part.len();
        push_escaped(out, part, &QUOTED);
    }
}

/// The moment the first byte of the request came.
fn request_time(record: &Record<'_>) -> WallTime {
    record.accepted.after_ms(record.timers.before_ms())
}

/// A number that grows until the end; `+` tells that it may still.
fn push_final(record: &Record<'_>, number: u64, out: &mut Vec<u8>) {
    if record.partial {
        out.push(b'+');
    }
    push_number(out, number);
}

fn push_endpoint(out: &mut Vec<u8>, endpoint: Endpoint) {
    push_host(out, endpoint);
    out.push(b':');
    push_port(out, endpoint);
}

fn push_host(out: &mut Vec<u8>, endpoint: Endpoint) {
    match endpoint {
        Endpoint::Inet(address) => push_ip(out, address.ip()),
        Endpoint::Unix { .. } => out.extend_from_slice(b"unix"),
        Endpoint::Unknown => out.push(b'-'),
    }
}

fn push_port(out: &mut Vec<u8>, endpoint: Endpoint) {
    match endpoint {
        Endpoint::Inet(address) => push_number(out, address.port()),
        Endpoint::Unix { bind } => push_number(out, bind),
        Endpoint::Unknown => out.push(b'-'),
    }
}

fn push_quoted(out: &mut Vec<u8>, text: &[u8], escapes: &Escapes) {
    out.push(b'"');
    push_escaped(out, text, escapes);
    out.push(b'"');
}
