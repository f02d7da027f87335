//! What logs say of handshakes that fail.

use std::process::{Command, Stdio};

use crate::rig::peer::require_peer;
use crate::stage::{Case, case, play, with_certificates};

const PLAIN: &str = "ssl crt CRT/site.pem";
const STRICT: &str = "ssl crt CRT/site.pem strict-sni";
const MUTUAL: &str = "ssl crt CRT/site.pem ca-file CRT/ca.pem verify required";
const ONLY_TLS12: &str =
    "ssl crt CRT/site.pem ssl-max-ver TLSv1.2 ciphers ECDHE-ECDSA-AES128-GCM-SHA256";
const ONLY_TLS13: &str = "name public ssl crt CRT/site.pem ssl-min-ver TLSv1.3";
const ONLY_P384: &str = "ssl crt CRT/site.pem curves P-384";

/// Everything that a line of the failure may say, but what HAProxy knows of versions and suites that nobody has agreed on.
const FORMAT: &str = "error-log-format \"a b c d %[fc_err]/%[fc_err_str]/%[ssl_fc_err,hex]/%[ssl_fc_err_str]/%[ssl_fc]/\
    %[ssl_c_used]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_c_ca_err_depth]/%[ssl_c_verify]/%[ssl_c_s_dn(cn)]/%[ssl_fc_is_resumed]/%[ssl_fc_sni]\"";

/// A client that says this instead of a hello; the line is there before it leaves.
fn says(name: &str, bytes: &'static [u8]) -> Case {
    case(name).lines(1).talk(move |stage| {
        let mut client = stage.client();
        client.send(bytes);
        stage.wait_for_line();
        client.leave();
    })
}

/// The same, and leaves.
fn leaves(name: &str, bytes: &'static [u8]) -> Case {
    case(name).lines(1).talk(move |stage| {
        let mut client = stage.client();
        client.send(bytes);
        client.finish();
        stage.wait_for_line();
        client.leave();
    })
}

/// openssl, called so.
fn calls(name: &str, words: &'static str) -> Case {
    case(name).lines(1).talk(move |stage| {
        let Some(openssl) = require_peer("openssl") else {
            return;
        };
        let words = with_certificates(words);
        let address = stage.address().to_string();
        let mut command = Command::new(openssl);
        command.args(["s_client", "-connect", &address, "-quiet"]);
        command.args(words.split(' '));
        command.stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("openssl runs");
        // It holds the line until the proxy has judged.
        stage.wait_for_line();
        drop(child.stdin.take());
        child.kill().expect("it can be ended");
        child.wait().expect("it ends");
    })
}

fn beginnings() -> Vec<Case> {
    vec![
        says("plain-request", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        says("plain-head", b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n"),
        says("plain-connect", b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n"),
        says("plain-http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        says("binary", b"\x00\x01\x02 something binary"),
        says("data-first", b"\x17\x03\x03\x00\x04abcd"),
        says("alert-first", b"\x15\x03\x03\x00\x02\x02\x28"),
        says(
            "record-version",
            b"\x16\x09\x01\x00\x08\x01\x00\x00\x04aaaa",
        ),
        says("server-hello", b"\x16\x03\x03\x00\x08\x02\x00\x00\x04aaaa"),
        says("record-too-long", b"\x16\x03\x01\xff\xff and so on"),
        leaves("leaves-in-hello", b"\x16\x03\x01\x02\x00\x01\x00"),
        leaves("leaves-at-once", b""),
        leaves("leaves-dontlognull", b"\x16\x03\x01\x02\x00\x01\x00")
            .front("option dontlognull")
            .lines(0)
            .talk(|stage| {
                let mut client = stage.client();
                client.send(b"\x16\x03\x01\x02\x00\x01\x00");
                client.finish();
                client.rest();
                stage.done(client);
            }),
    ]
}

/// Causes are told since HAProxy 2.8.
#[test]
fn beginnings_that_are_none() {
    let cases = beginnings().into_iter().map(|case| case.bind(PLAIN));
    play(cases.collect());
}

#[test]
fn hellos_that_cannot_be_agreed_to() {
    play(vec![
        calls("no-cipher", "-tls1_2 -cipher AES256-SHA").bind(ONLY_TLS12),
        calls("too-old", "-tls1_2").bind(ONLY_TLS13),
        calls("too-new", "-tls1_3").bind(ONLY_TLS12),
        calls("no-group-13", "-tls1_3 -curves P-256").bind(ONLY_P384),
        calls("no-group-12", "-tls1_2 -curves P-256").bind(ONLY_P384),
        calls("no-signature-13", "-tls1_3 -sigalgs rsa_pss_rsae_sha256").bind(PLAIN),
        calls("no-signature-12", "-tls1_2 -sigalgs RSA+SHA256").bind(PLAIN),
        calls("tls10", "-tls1 -cipher ALL:@SECLEVEL=0").bind(PLAIN),
        calls("tls11", "-tls1_1 -cipher ALL:@SECLEVEL=0").bind(PLAIN),
        calls("nobody-s-name", "-servername nobody.test").bind(STRICT),
        calls("no-name", "-noservername").bind(STRICT),
    ]);
}

#[test]
fn clients_that_are_not_believed() {
    let stranger = "-cert CRT/self.pem -key CRT/self.pem";
    let mut cases = Vec::new();
    for (name, front) in [("line", ""), ("format", FORMAT)] {
        for version in ["-tls1_2", "-tls1_3"] {
            let client = |kind: &str, words: &str| {
                let words = format!("{version} -servername www.site.test {words}");
                let name = format!("{kind}-{name}{version}").replace('_', "");
                calls(&name, words.trim_end().to_owned().leak())
                    .bind(MUTUAL)
                    .front(front)
            };
            cases.push(client("nobody", ""));
            cases.push(client("stranger", stranger));
        }
    }
    cases.push(
        says("format-plain-request", b"GET / HTTP/1.1\r\n\r\n")
            .bind(MUTUAL)
            .front(FORMAT),
    );
    cases.push(
        leaves("format-leaves", b"\x16\x03\x01")
            .bind(MUTUAL)
            .front(FORMAT),
    );
    play(cases);
}
