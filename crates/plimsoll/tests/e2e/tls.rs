//! TLS towards clients and servers, with openssl and curl as the other side.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::origin::{Origin, Reply};
use crate::rig::peer::require_peer;
use crate::rig::{Outcome, Rig, free_address, pem, run};

/// The certificates that all tests share.
fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../policy/tests/tls")
        .join(name)
}

fn text(bind: &str, server: &str) -> String {
    let text = format!(
        "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         frontend web\n    bind {{listen}} {bind}\n    default_backend app\n\
         backend app\n    {server}\n"
    );
    text.replace("CRT/", &format!("{}/", certificate("").display()))
}

/// An origin that answers with the target of each request.
fn echo(rig: &Rig) -> Origin {
    rig.origin_with("a", |request| {
        let target = request.line.split(' ').nth(1).unwrap_or_default();
        Reply::ok(target)
    })
}

/// What openssl says of a handshake; it sends nothing.
fn s_client(openssl: &Path, address: std::net::SocketAddr, words: &[&str]) -> Outcome {
    run(Command::new(openssl)
        .args(["s_client", "-connect", &address.to_string()])
        .args(words))
}

fn curl(curl: &Path, address: std::net::SocketAddr, words: &[&str]) -> Outcome {
    let port = address.port();
    let resolve = format!("www.site.test:{port}:127.0.0.1");
    run(Command::new(curl)
        .args(["-sS", "--max-time", "60", "--resolve", &resolve, "--cacert"])
        .arg(certificate("ca.pem"))
        .args(words)
        .arg(format!("https://www.site.test:{port}/over-tls")))
}

#[test]
fn a_browser_like_client_is_served_over_both_versions() {
    let Some(program) = require_peer("curl") else {
        return;
    };
    let mut rig = Rig::new();
    let origin = echo(&rig);
    let address = rig.config(&text("ssl crt CRT/site.pem", &origin.server_line()));
    for words in [&["--tls-max", "1.2"][..], &["--tlsv1.3"], &["--http1.1"]] {
        let outcome = curl(&program, address, words);
        assert_eq!(outcome.stdout, "/over-tls", "{words:?}: {}", outcome.stderr);
    }
}

#[test]
fn the_name_asked_for_chooses_the_certificate() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let mut rig = Rig::new();
    let origin = echo(&rig);
    let bind = "ssl crt CRT/pair.pem crt CRT/other.pem";
    let address = rig.config(&text(bind, &origin.server_line()));
    for (words, subject) in [
        (&["-servername", "other.test"][..], "other.test"),
        (&["-servername", "a.site.test"], "www.site.test"),
        (&["-servername", "site.test"], "www.site.test"),
        (
            &[
                "-servername",
                "site.test",
                "-tls1_2",
                "-cipher",
                "ECDHE-RSA-AES128-GCM-SHA256",
            ],
            "rsa.test",
        ),
        (&["-servername", "nobody.test"], "www.site.test"),
        (&["-noservername"], "www.site.test"),
    ] {
        let outcome = s_client(&openssl, address, words);
        let wanted = format!("CN = {subject}");
        assert!(
            outcome.stdout.contains(&wanted),
            "{words:?}: {}",
            outcome.stdout
        );
    }
}

#[test]
fn strict_names_and_lists_of_certificates() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let mut rig = Rig::new();
    let origin = echo(&rig);
    let site = certificate("site.pem");
    let other = certificate("other.pem");
    let list = format!(
        "# names of each\n{} [ssl-min-ver TLSv1.3] *.site.test !no.site.test\n{} other.test\n",
        site.display(),
        other.display()
    );
    let list = rig.file("list", &list);
    let bind = format!("ssl strict-sni crt-list {}", list.display());
    let address = rig.config(&text(&bind, &origin.server_line()));
    for (words, agreed) in [
        (&["-servername", "a.site.test"][..], true),
        (&["-servername", "a.site.test", "-tls1_2"], false),
        (&["-servername", "other.test", "-tls1_2"], true),
        (&["-servername", "no.site.test"], false),
        (&["-servername", "nobody.test"], false),
        (&["-noservername"], false),
    ] {
        let outcome = s_client(&openssl, address, words);
        let said = outcome.stdout.contains("BEGIN CERTIFICATE");
        assert_eq!(
            said, agreed,
            "{words:?}: {}{}",
            outcome.stdout, outcome.stderr
        );
    }
}

#[test]
fn sessions_are_resumed_by_tickets_and_by_memory() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    for words in ["", "no-tls-tickets"] {
        let mut rig = Rig::new();
        let origin = echo(&rig);
        let bind = format!("ssl crt CRT/site.pem {words}");
        let address = rig.config(&text(&bind, &origin.server_line()));
        let session = rig.path("session").display().to_string();
        let first = s_client(&openssl, address, &["-tls1_2", "-sess_out", &session]);
        assert!(first.stdout.contains("New, TLSv1.2"), "{}", first.stdout);
        let second = s_client(&openssl, address, &["-tls1_2", "-sess_in", &session]);
        assert!(
            second.stdout.contains("Reused, TLSv1.2"),
            "{words}: {}",
            second.stdout
        );
    }
}

#[test]
fn clients_show_certificates() {
    let Some(program) = require_peer("curl") else {
        return;
    };
    for (verify, with, without) in [("required", true, false), ("optional", true, true)] {
        let mut rig = Rig::new();
        let origin = echo(&rig);
        let bind = format!("ssl crt CRT/site.pem verify {verify} ca-file CRT/ca.pem");
        let address = rig.config(&text(&bind, &origin.server_line()));
        let client = certificate("client.pem").display().to_string();
        let outcome = curl(&program, address, &["--cert", &client]);
        assert_eq!(
            outcome.stdout == "/over-tls",
            with,
            "{verify}: {}",
            outcome.stderr
        );
        let outcome = curl(&program, address, &[]);
        assert_eq!(
            outcome.stdout == "/over-tls",
            without,
            "{verify}: {}",
            outcome.stderr
        );
        // One that nobody the configuration names has signed.
        let stranger = certificate("self.pem").display().to_string();
        let outcome = curl(&program, address, &["--cert", &stranger]);
        assert_ne!(outcome.stdout, "/over-tls", "{verify}");
    }
}

#[test]
fn servers_are_spoken_to_in_tls_and_verified() {
    let mut rig = Rig::new();
    let origin = echo(&rig);
    let inner = free_address();
    let inside = text("ssl crt CRT/site.pem", &origin.server_line());
    let path = rig.file("inner.cfg", &inside.replace("{listen}", &inner.to_string()));
    let mut command = Command::new(crate::rig::PLIMSOLL);
    command.args(["-db", "-f"]).arg(path);
    rig.start(command, inner);
    let ca = "ca-file CRT/ca.pem";
    for (words, status) in [
        ("verify none", 200),
        (&*format!("verify required {ca} sni str(a.site.test)"), 200),
        (
            &*format!("verify required {ca} no-sni-auto verifyhost site.test"),
            200,
        ),
        (&*format!("verify required {ca} no-sni-auto"), 200),
        (&*format!("verify required {ca} sni str(wrong.test)"), 503),
        (
            &*format!("verify required {ca} no-sni-auto verifyhost wrong.test"),
            503,
        ),
        ("verify required ca-file CRT/self.pem no-sni-auto", 503),
        ("verify required ca-file CRT/site.pem no-sni-auto", 200), // pinned
    ] {
        let mut rig = Rig::new();
        let server = format!("retries 0\n    server s {inner} ssl {words}");
        rig.config(&text("", &server));
        let mut client = rig.client();
        for _ in 0..2 {
            client.send("GET /inside HTTP/1.1\r\nHost: a.site.test\r\n\r\n");
            let response = client.response();
            assert_eq!(response.status, status, "{words}");
            if status != 200 {
                break;
            }
            assert_eq!(response.text(), "/inside", "{words}");
        }
    }
    // A client that chooses the name cannot have it left out by one that is none.
    for words in ["", "sni req.hdr(host)"] {
        let mut rig = Rig::new();
        let server = format!("retries 0\n    server s {inner} ssl verify required {ca} {words}");
        rig.config(&text("", &server));
        for (host, status) in [
            ("a.site.test", 200),
            ("*.test", 503),
            ("a..test", 503),
            ("-x.test", 503),
            ("[::1]", 503),
            ("[2001:db8::5]", 503),
            ("0.0.0.0", 503),
            ("255.255.255.255", 503),
            (&*format!("{}.test", "a".repeat(300)), 503),
        ] {
            let mut client = rig.client();
            client.send(format!("GET /inside HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!(client.response().status, status, "{words} {host}");
        }
    }
}

#[test]
fn large_bodies_pass_both_ways() {
    let Some(program) = require_peer("curl") else {
        return;
    };
    let mut rig = Rig::new();
    let origin = rig.origin_with("a", |request| {
        Reply::ok(&String::from_utf8_lossy(&request.body))
    });
    let address = rig.config(&text("ssl crt CRT/site.pem", &origin.server_line()));
    let body: String = (0..300_000)
        .map(|number| format!("{number:07}\n"))
        .collect();
    let path = rig.file("body", &body);
    let outcome = curl(
        &program,
        address,
        &["--data-binary", &format!("@{}", path.display())],
    );
    assert_eq!(outcome.stdout.len(), body.len(), "{}", outcome.stderr);
    assert!(outcome.stdout == body, "the body came back changed");
}

#[test]
fn junk_and_silence_end_quietly() {
    use std::io::{Read as _, Write as _};
    let Some(program) = require_peer("curl") else {
        return;
    };
    let mut rig = Rig::new();
    let origin = echo(&rig);
    let address = rig.config(&text("ssl crt CRT/site.pem", &origin.server_line()));
    for junk in [
        &b"GET / HTTP/1.0\r\n\r\n"[..],
        &[0x16, 3, 1, 0xff, 0xff],
        &[0x16; 5_000],
        &[],
    ] {
        let mut stream = std::net::TcpStream::connect(address).expect("it listens");
        stream.write_all(junk).expect("room for a few bytes");
        // Nothing is left to shut where it has ended already.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        // An alert at most, and the end; a reset is an end too.
        let _ = stream.read_to_end(&mut said);
        assert!(said.len() < 32, "{said:?}");
    }
    let outcome = curl(&program, address, &[]);
    assert_eq!(outcome.stdout, "/over-tls", "{}", outcome.stderr);
}

#[test]
fn rules_and_logs_see_the_handshake() {
    let Some(program) = require_peer("curl") else {
        return;
    };
    let mut rig = Rig::new();
    let origin = rig.origin_with("a", |request| {
        let wanted = |line: &&String| line.to_ascii_lowercase().starts_with("x-tls");
        let seen: Vec<_> = request.fields.iter().filter(wanted).cloned().collect();
        Reply::ok(&seen.join("\n"))
    });
    let syslog = rig.syslog();
    let plain = free_address();
    let bind = format!(
        "ssl crt CRT/site.pem verify optional ca-file CRT/ca.pem\n    bind {plain}\n    \
         log {} local0\n    option httpslog\n    option dontlognull\n    \
         http-request redirect scheme https unless {{ ssl_fc }}\n    \
         http-request set-header X-TLS-Name %[ssl_fc_sni]\n    \
         http-request set-header X-TLS-Version %[ssl_fc_protocol]\n    \
         http-request set-header X-TLS-Alpn %[ssl_fc_alpn]\n    \
         http-request set-header X-TLS-Client %[ssl_c_s_dn(CN)] if {{ ssl_c_used }}\n    \
         http-request set-header X-TLS-Own %[ssl_f_s_dn]",
        syslog.address()
    );
    let address = rig.config(&text(&bind, &origin.server_line()));
    let client = certificate("client.pem").display().to_string();
    let outcome = curl(
        &program,
        address,
        &["--http1.1", "--tls-max", "1.2", "--cert", &client],
    );
    let seen = outcome.stdout.to_ascii_lowercase();
    for wanted in [
        "x-tls-name: www.site.test",
        "x-tls-version: tlsv1.2",
        "x-tls-alpn: http/1.1",
        "x-tls-client: client one",
        "x-tls-own: /cn=www.site.test",
    ] {
        assert!(seen.contains(wanted), "{wanted}: {seen}{}", outcome.stderr);
    }
    let line = syslog.line().trim_end().to_owned();
    assert!(line.contains(" web~ app/"), "{line}");
    let end = "0/0000000000000000/0/0/0 www.site.test/TLSv1.2/ECDHE-ECDSA-AES128-GCM-SHA256";
    assert!(line.ends_with(end), "{line}");
    let mut client = crate::rig::client::Client::connect(plain);
    client.send("GET /a HTTP/1.1\r\nHost: www.site.test\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status, 302);
    assert_eq!(response.field("location"), Some("https://www.site.test/a"));
}

#[test]
fn http2_is_agreed_upon() {
    let Some(program) = require_peer("curl") else {
        return;
    };
    let mut rig = Rig::new();
    let origin = echo(&rig);
    let address = rig.config(&text("ssl crt CRT/site.pem", &origin.server_line()));
    for (words, version) in [
        (&["--http2"][..], "2"),
        (&["--http1.1"], "1.1"),
        (&["--no-alpn"], "1.1"),
    ] {
        let mut all = vec!["-w", "|%{http_version}"];
        all.extend(words);
        let outcome = curl(&program, address, &all);
        assert_eq!(
            outcome.stdout,
            format!("/over-tls|{version}"),
            "{}",
            outcome.stderr
        );
    }
}

/// An authority as `ca-sign-file` has it, on P-384, in a name with more than one part of a kind.
fn signing_authority(rig: &Rig) -> PathBuf {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    let mut parameters = CertificateParams::new([]).expect("no names");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
        .distinguished_name
        .push(DnType::OrganizationName, "ours");
    let own = parameters.self_signed(&key).expect("a certificate");
    let text = pem("CERTIFICATE", own.der()) + &pem("PRIVATE KEY", &key.serialize_der());
    rig.file("authority.pem", &text)
}

#[test]
fn names_without_a_certificate_get_one_from_our_authority() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    for (words, fallback) in [("", true), ("strict-sni", false)] {
        let mut rig = Rig::new();
        let origin = echo(&rig);
        let authority = signing_authority(&rig).display().to_string();
        let bind = format!(
            "ssl crt CRT/site.pem crt CRT/rsa.pem generate-certificates ca-sign-file {authority} {words}"
        );
        let address = rig.config(&text(&bind, &origin.server_line()));
        let shown = |name: &str, more: &[&str]| {
            let words = [
                "-servername",
                name,
                "-verify_return_error",
                "-CAfile",
                &authority,
            ];
            let words = [&words[..], &["-verify_hostname", name], more].concat();
            s_client(&openssl, address, &words)
        };
        let rsa = ["-tls1_2", "-cipher", "aRSA"];
        for more in [&[][..], &["-tls1_2"], &rsa] {
            let outcome = shown("unknown.test", more);
            let whole = outcome.stdout.contains("Verify return code: 0 (ok)");
            assert!(whole, "{more:?}: {}{}", outcome.stdout, outcome.stderr);
        }
        // The same one again, and another one for another name.
        let certificate = |outcome: &Outcome| {
            let start = outcome.stdout.find("-----BEGIN").expect("a certificate");
            let end = outcome.stdout.find("-----END").expect("a certificate");
            outcome.stdout[start..end].to_owned()
        };
        let first = certificate(&shown("unknown.test", &[]));
        assert_eq!(certificate(&shown("UNKNOWN.test", &[])), first);
        assert_ne!(certificate(&shown("other.unknown.test", &[])), first);
        // Names that have a certificate, and what is no name of a host.
        let own = s_client(&openssl, address, &["-servername", "www.site.test"]);
        assert!(own.stdout.contains("CN = www.site.test"), "{}", own.stdout);
        for words in [&["-noservername"][..], &["-servername", "under_score.test"]] {
            let outcome = s_client(&openssl, address, words);
            let said = outcome.stdout.contains("CN = www.site.test");
            assert_eq!(said, fallback, "{words:?}: {}", outcome.stdout);
        }
    }
}

#[test]
fn a_line_of_a_list_names_the_files_that_lie_elsewhere() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let mut rig = Rig::new();
    let (address, socket) = (free_address(), rig.path("sock"));
    let key = rig.path("elsewhere");
    std::fs::copy(certificate("split.pem.key"), &key).unwrap();
    let (site, other) = (certificate("split.pem"), certificate("other.pem"));
    let line = format!(
        "{} [key {} ssl-min-ver TLSv1.3]",
        site.display(),
        key.display()
    );
    let list = rig.file("list", &format!("{}\n{line} site.test\n", other.display()));
    let text = format!(
        "global\n    stats socket {} level admin\n\
         defaults\n    mode http\n    timeout client 5s\n\
         frontend web\n    bind {address} ssl crt-list {}\n    http-request return status 200\n",
        socket.display(),
        list.display()
    );
    rig.serve(Path::new(crate::rig::PLIMSOLL), &text, address);
    for (name, subject) in [
        ("site.test", "www.site.test"),
        ("nobody.test", "other.test"),
    ] {
        let outcome = s_client(&openssl, address, &["-servername", name]);
        let wanted = format!("CN = {subject}");
        assert!(
            outcome.stdout.contains(&wanted),
            "{name}: {}",
            outcome.stdout
        );
    }
    let shown = crate::rig::ask(&socket, &format!("show ssl crt-list {}", list.display()));
    let wanted = format!("{} [ssl-min-ver TLSv1.3] site.test\n", site.display());
    assert!(shown.contains(&wanted), "{shown}");
    let add = format!(
        "add ssl crt-list {} <<\n{line} www.site.test\n\n",
        list.display()
    );
    let refused = crate::rig::ask(&socket, &add);
    assert!(refused.contains("'key' cannot be given here"), "{refused}");
}

#[test]
fn certificates_of_a_frontend_are_those_of_all_its_binds() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let mut rig = Rig::new();
    let (first, second, socket) = (free_address(), free_address(), rig.path("sock"));
    let text = format!(
        "global\n    stats socket {} level admin\n\
         defaults\n    mode http\n    timeout client 1m\n\
         frontend web\n    bind {first} ssl\n    bind {second} ssl ssl-min-ver TLSv1.2\n    \
         ssl-f-use crt CRT/other.pem ssl-min-ver TLSv1.3\n    \
         ssl-f-use crt CRT/split.pem key CRT/split.pem.key\n    http-request return status 200\n",
        socket.display()
    );
    let text = text.replace("CRT/", &certificate("").display().to_string());
    rig.serve(Path::new(crate::rig::PLIMSOLL), &text, first);
    for (address, words, subject) in [
        (first, &["-servername", "site.test"][..], "www.site.test"),
        (second, &["-servername", "site.test"], "www.site.test"),
        (first, &["-servername", "other.test"], "other.test"),
        (first, &["-servername", "nobody.test"], "www.site.test"),
    ] {
        let outcome = s_client(&openssl, address, words);
        let wanted = format!("CN = {subject}");
        assert!(
            outcome.stdout.contains(&wanted),
            "{words:?}: {}",
            outcome.stdout
        );
    }
    // Its own options count.
    let outcome = s_client(&openssl, first, &["-servername", "other.test", "-tls1_2"]);
    assert!(
        !outcome.stdout.contains("BEGIN CERTIFICATE"),
        "{}",
        outcome.stdout
    );
    let list = crate::rig::ask(&socket, "show ssl crt-list @web");
    assert!(list.contains("/split.pem\n"), "{list}");
    assert!(
        list.contains("/other.pem [ssl-min-ver TLSv1.3]\n"),
        "{list}"
    );
    let other = certificate("other.pem").display().to_string();
    let answer = crate::rig::ask(&socket, &format!("del ssl crt-list @web {other}"));
    assert!(answer.contains("deleted in crtlist '@web'"), "{answer}");
    let outcome = s_client(&openssl, first, &["-servername", "other.test"]);
    assert!(
        outcome.stdout.contains("CN = www.site.test"),
        "{}",
        outcome.stdout
    );
}
