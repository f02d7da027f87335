//! `do-resolve`: which address a name has, and what is left where it has none.

use crate::rig::names::{NameServer, V4, V6, address};
use crate::stage::{Case, case, play};

/// Names that are asked for, one after the other, in capitals and with a dot at the end too.
const NAMES: [&str; 10] = [
    "one.test",
    "ONE.test",
    "one.test.",
    "six.test",
    "both.test",
    "none.test",
    "10.1.2.3",
    "a..b",
    "",
    "a_b.test",
];

fn asks(names: &[&str]) -> String {
    let request = |name: &&str| format!("GET / HTTP/1.1\r\nHost: x\r\nName: {name}\r\n\r\n");
    names.iter().map(request).collect()
}

fn told(name: &str, server: &NameServer, rules: &str) -> Case {
    let line = "log-format \"a b %[var(txn.a)] %[var(txn.a),length] %ST %ts\"";
    let answer = "http-request return status 200 hdr x-address <%[var(txn.a)]>";
    case(name)
        .front(&format!("{line};{};{answer}", rules.replace("{section}", name)))
        .back(&format!(
            "server s1 {{s1}};resolvers {name};nameserver one {};timeout resolve 100ms;timeout retry 100ms;resolve_retries 1",
            server.address
        ))
        .sends(asks(&NAMES), NAMES.len())
        .lines(NAMES.len())
}

#[test]
fn names_that_requests_bring() {
    let server = NameServer::start(false);
    server.say("one.test", V4, vec![address("192.0.2.1")]);
    server.say("ONE.test", V4, vec![address("192.0.2.1")]);
    server.say("a_b.test", V4, vec![address("192.0.2.5")]);
    server.say("six.test", V6, vec![address("2001:db8::1")]);
    server.say("both.test", V4, vec![address("192.0.2.2")]);
    server.say("both.test", V6, vec![address("2001:db8::2")]);
    let rule =
        |family: &str| format!("http-request do-resolve(txn.a,{{section}}{family}) req.hdr(name)");
    let raw = "mode tcp;tcp-request inspect-delay 2s;\
        tcp-request content do-resolve(sess.a,{section},ipv4) req.payload(0,0) if { req.len gt 0 };\
        tcp-request content reject;log-format \"a b %[var(sess.a)] %ts\"";
    let contents = case("resolved-in-contents")
        .front(&raw.replace("{section}", "resolved-in-contents"))
        .back(&format!(
            "mode tcp;server s1 {{s1}};resolvers resolved-in-contents;nameserver one {}",
            server.address
        ))
        .talk(|stage| {
            for name in ["both.test", "one.test", "both.test"] {
                let mut client = stage.client();
                client.send(name);
                client.finish();
                client.rest();
                stage.done(client);
            }
        })
        .lines(3);
    play(vec![
        told("resolved", &server, &rule("")),
        told("resolved-ipv4", &server, &rule(",ipv4")),
        told("resolved-ipv6", &server, &rule(",ipv6")),
        told(
            "kept-where-none",
            &server,
            &("http-request set-var(txn.a) str(old);".to_owned() + &rule("")),
        ),
        told(
            "resolved-if",
            &server,
            &(rule("") + " if { req.hdr(name) -m end .test }"),
        ),
        contents,
    ]);
}
