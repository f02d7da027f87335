//! What exchanges are among others on their connections, and what went wrong with those to servers.

use crate::origin::Act;
use crate::rig::frames::frame;
use crate::stage::{Case, case, get, ok, play};

const CLIENT: &str = "fc_nb_streams fc_settings_streams_limit fs.id fs.aborted fs.rst_code";
const SERVER: &str = "bc_err bc_err_name bc_err_str bc_nb_streams bc_settings_streams_limit bs.id bs.aborted bs.rst_code";

/// A line of samples.
fn line(names: &str) -> String {
    let holes: Vec<_> = names.split(' ').map(|name| format!("%[{name}]")).collect();
    format!("log-format \"%ts {}\"", holes.join(" "))
}

/// A case whose line tells all of them.
fn told(name: &str) -> Case {
    case(name).front(&line(&format!("{CLIENT} {SERVER}")))
}

#[test]
fn lines_tell_of_streams() {
    const CUT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello";
    let ends = |name: &str, acts: fn() -> Vec<Act>| {
        told(name)
            .origin(move |_| acts())
            .sends(get("/"), 1)
            .lines(1)
    };
    play(vec![
        told("streams-two").sends(get("/").repeat(2), 2),
        told("streams-refused")
            .back("retries 0;server s1 {dead}")
            .sends(get("/"), 1),
        told("streams-no-server").back("").sends(get("/"), 1),
        told("streams-denied")
            .front(&format!(
                "{};http-request deny",
                line(&format!("{CLIENT} {SERVER}"))
            ))
            .sends(get("/"), 1),
        told("streams-no-request").sends("GET nope\r\n\r\n", 1),
        ends("streams-closed", || vec![Act::Close]),
        ends("streams-reset", || vec![Act::Reset]),
        ends("streams-cut", || vec![Act::Send(CUT.to_vec()), Act::Close]),
        ends("streams-cut-rudely", || {
            vec![Act::Send(CUT.to_vec()), Act::Pause(100), Act::Reset]
        }),
        ends("streams-junk", || {
            vec![Act::Send(b"junk\r\n\r\n".to_vec()), Act::Hold]
        }),
        told("streams-raw")
            .front(&format!("mode tcp;{}", line(&format!("{CLIENT} {SERVER}"))))
            .back("mode tcp;server s1 {s1}")
            .raw(|_| vec![Act::Send(b"hello".to_vec()), Act::Close])
            .sends("", 0)
            .lines(1),
        told("streams-raw-refused")
            .front(&format!("mode tcp;{}", line(&format!("{CLIENT} {SERVER}"))))
            .back("mode tcp;retries 0;server s1 {dead}")
            .sends("", 0)
            .lines(1),
        told("streams-raw-reset")
            .front(&format!("mode tcp;{}", line(&format!("{CLIENT} {SERVER}"))))
            .back("mode tcp;server s1 {s1}")
            .raw(|_| vec![Act::Read(1), Act::Reset])
            .sends("x", 0)
            .lines(1),
    ]);
}

#[test]
fn rules_know_of_streams() {
    let field = |names: &str, rule: &str| -> String {
        let fields = names
            .split(' ')
            .map(|name| format!("{rule} set-header x-{name} %[{name}]"));
        fields.collect::<Vec<_>>().join(";")
    };
    play(vec![
        case("streams-of-clients-in-rules")
            .front(&field(CLIENT, "http-request"))
            .sends(get("/").repeat(2), 2),
        case("streams-of-servers-in-rules")
            .front(&field(&format!("{CLIENT} {SERVER}"), "http-response"))
            .sends(get("/").repeat(2), 2),
    ]);
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[test]
fn clients_cancel_streams() {
    let get = |stream| frame(1, 5, stream, b"\x82\x86\x84\x41\x01a");
    let case = |name: &str, code: Option<u8>| {
        told(name)
            .origin(|_| vec![Act::Gate, Act::Send(ok("late"))])
            .talk(move |stage| {
                let mut client = stage.client();
                client.send([PREFACE, &get(1)].concat());
                assert!(stage.origins[0].wait_for_note("GET / "));
                if let Some(code) = code {
                    client.send(frame(3, 0, 1, &[0, 0, 0, code]));
                    stage.wait_for_line();
                }
                client.leave();
                stage.done(client);
                stage.wait_for_line();
                stage.origins[0].open_gate();
            })
            .lines(1)
    };
    play(vec![
        case("streams-cancelled", Some(8)),
        case("streams-failed", Some(2)),
        case("streams-left", None),
    ]);
}

/// What a line knows of a request of HTTP/2, whose target names the host and which is never the first of its connection.
#[test]
fn lines_know_requests_of_http2() {
    let get = frame(1, 5, 1, b"\x82\x86\x84\x41\x01a");
    let case = |name: &str, rules: &str| {
        let get = get.clone();
        let line = "log-format \"a b %ST %[fc_http_major] %[bc_http_major] %[capture.req.ver] %[capture.req.uri] \
            %[capture.req.method] %r %HM %HU %HP %HPO %HV %[var(txn.a)]\"";
        let seen = "http-request set-var-fmt(txn.a) %[url]|%[capture.req.uri]|%[path]|%[base]|%[http_first_req]|%[fc_http_major]";
        case(name)
            .front(&format!("{line};{seen};{rules}"))
            .talk(move |stage| {
                let mut client = stage.client();
                client.send([PREFACE, &get].concat());
                stage.wait_for_line();
                client.leave();
                stage.done(client);
            })
            .lines(1)
    };
    play(vec![
        case("http2-passed", ""),
        case("http2-answered", "http-request return status 204"),
        case("http2-changed", "http-request set-path /x"),
    ]);
}
