//! Samples of bytes and connections, as log lines and answers show them.

use crate::rig::Rig;
use crate::stage::{Case, case, get, play};

/// What lines show of a message of distcc, and that message.
const DISTCC: &str = "mode tcp;tcp-request inspect-delay 2s;\
    tcp-request content set-var(sess.a) distcc_param(ARGC) if { distcc_param(DOTI) -m found };\
    tcp-request content set-var(sess.b) distcc_body(ARGV,2);\
    tcp-request content set-var(sess.c) distcc_body(ARGV);\
    tcp-request content set-var(sess.d) distcc_param(NONE);\
    tcp-request content reject;\
    log-format \"a b %[var(sess.a)] %[var(sess.b)] %[var(sess.c)] %[var(sess.d)]\"";
const MESSAGE: &str = "DIST00000001ARGC00000002ARGV00000002ccARGV00000003-o DOTI00000003int";

/// Clients of TCP mode, each of which sends one of these and is refused.
fn refused(name: &str, sent: &'static [&'static str]) -> Case {
    case(name)
        .front(DISTCC)
        .back("mode tcp;server s1 {s1}")
        .lines(sent.len())
        .talk(move |stage| {
            for bytes in sent {
                let mut client = stage.client();
                client.send(bytes);
                client.rest();
                stage.done(client);
            }
        })
}

#[test]
fn tokens_of_distcc() {
    play(vec![
        refused("distcc", &[MESSAGE]),
        refused(
            "distcc-odd",
            &[
                "DIST0000000gARGC00000002",
                "ARGC00000005DOTIffffffff",
                "ARGC0000000aARGV00000001xARGV00000001y",
            ],
        ),
    ]);
}

/// Addresses of IPv4 that come in the form of IPv6, as a bind of both families has them, stay so; networks and tables of
/// IPv4 know them.
#[test]
fn addresses_of_both_families() {
    let rig = Rig::new();
    let nets = rig.file("nets", "10.0.0.0/8 old\n::ffff:0:0/96 new\n");
    let nets = nets.display();
    let front = format!(
        "option forwardfor;http-request track-sc0 src table be-{{name}};\
        http-request set-header x-acl yes if {{ src 10.0.0.0/8 }};\
        http-request set-header x-text yes if {{ src -m beg ::ffff:10. }};\
        http-request set-header x-hash %[base32+src,hex];\
        log-format \"a b %ci %fi %[src] %[dst] %[src,ipmask(24)] %[src,bytes(0),hex] %[src,map_ip({nets},none)] \
        %[src,crc32] %[src,table_http_req_cnt(be-{{name}})] %[src_http_req_cnt(be-{{name}})] %[src_is_local]\""
    );
    let told = |name: &str, source: &str, kind: &str| {
        let text = format!("PROXY TCP6 {source} ::ffff:10.9.9.9 1 2\r\n") + &get("/");
        case(name)
            .bind("accept-proxy")
            .front(&front)
            .back(&format!(
                "stick-table type {kind} size 10 store http_req_cnt;server s1 {{s1}}"
            ))
            .sends(text, 1)
            .lines(1)
    };
    play(vec![
        told("mapped", "::ffff:10.1.2.3", "ip"),
        told("mapped-in-new-table", "::ffff:10.1.2.3", "ipv6"),
        told("not-mapped", "2001:db8::1", "ipv6"),
    ]);
}

#[test]
fn connections_of_a_bind() {
    let front = "http-request return status 200 hdr x-open %[dst_conn] hdr x-front %[fe_conn];\
        log-format \"a b %[dst_conn]\"";
    play(vec![case("dst-conn").front(front).talk(|stage| {
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut client = stage.client();
            client.send(get("/"));
            client.answer();
            clients.push(client);
        }
        let mut first = clients.remove(0);
        first.send(get("/"));
        first.answer();
        clients.push(first);
        clients.into_iter().for_each(|client| stage.done(client));
    })]);
}

/// Numbers need a pattern or '-m bool', and a criterion's name says nothing of what converters make of its value.
#[test]
fn ways_of_comparing() {
    let tests = [
        "int(3)",
        "int(3) -m bool",
        "int(3) -m int",
        "path_len",
        "path_len 4",
        "path_beg,lower /ab",
        "path_beg,lower /abc",
        "path_len,lower /abc",
        "method,lower get",
        "method,lower GET",
        "str(3) -m bool",
        "str(3) -m int",
    ];
    let mut front = "http-request return status 200".to_owned();
    for (number, test) in tests.iter().enumerate() {
        front = format!(
            "http-request set-var(txn.t{number}) bool(true) if {{ {test} }};{front} hdr x-{number} %[var(txn.t{number})]"
        );
    }
    play(vec![
        case("ways-of-comparing")
            .front(&front)
            .sends(get("/abc"), 1),
    ]);
}
