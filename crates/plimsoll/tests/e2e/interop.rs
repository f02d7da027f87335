//! TLS against other implementations in both directions: OpenSSL's own programs and HAProxy as clients of our binds and
//! as servers behind our server lines, with HTTP/1.1 and HTTP/2.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::rig::origin::Reply;
use crate::rig::peer::require_peer;
use crate::rig::{Outcome, PLIMSOLL, Rig, free_address, run};

const VERSIONS: [(&str, &str); 2] = [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")];

/// Kinds of keys: what makes one, and what OpenSSL calls the signatures of such a peer in TLS 1.2 and 1.3.
const KEYS: [(&str, &[&str], &[&str]); 6] = [
    ("rsa", &["rsa:2048"], &["RSA-PSS", "RSA"]),
    ("rsa4096", &["rsa:4096"], &["RSA-PSS", "RSA"]),
    (
        "p256",
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["ECDSA"],
    ),
    (
        "p384",
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["ECDSA"],
    ),
    (
        "p521",
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
        &["ECDSA"],
    ),
    ("ed25519", &["ed25519"], &["Ed25519", "ed25519"]),
];

/// An authority of OpenSSL's making, and what it signs.
struct Authority<'a> {
    openssl: &'a Path,
    rig: &'a Rig,
}

impl<'a> Authority<'a> {
    fn new(openssl: &'a Path, rig: &'a Rig) -> Self {
        let made = Self { openssl, rig };
        made.request(
            &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "ca",
            &["-subj", "/CN=interop authority"],
        );
        made
    }

    fn ca(&self) -> String {
        self.rig.path("ca.pem").display().to_string()
    }

    /// The path of a certificate with its key.
    fn issue(&self, kind: &[&str], name: &str) -> String {
        let (ca, key) = (self.ca(), self.rig.path("ca.key").display().to_string());
        let subject = format!("/CN={name}");
        let names = format!("subjectAltName=DNS:{name}.test");
        let usage = "basicConstraints=critical,CA:FALSE";
        let words = [
            "-subj", &subject, "-addext", &names, "-addext", usage, "-CA", &ca, "-CAkey", &key,
        ];
        self.request(kind, name, &words);
        let read = |end| {
            std::fs::read_to_string(self.rig.path(&format!("{name}.{end}"))).expect("it was made")
        };
        let both = read("pem") + &read("key");
        let path = self.rig.file(&format!("{name}.both"), &both);
        path.display().to_string()
    }

    fn request(&self, kind: &[&str], name: &str, words: &[&str]) {
        let outcome = run(Command::new(self.openssl)
            .args(["req", "-x509", "-nodes", "-days", "30", "-newkey"])
            .args(kind)
            .arg("-out")
            .arg(self.rig.path(&format!("{name}.pem")))
            .arg("-keyout")
            .arg(self.rig.path(&format!("{name}.key")))
            .args(words));
        assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    }
}

const HEAD: &str = "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n    retries 0\n";

/// One request by OpenSSL's client, which reads until the end.
fn s_client(openssl: &Path, address: SocketAddr, words: &[&str]) -> Outcome {
    let mut child = Command::new(openssl)
        .args(["s_client", "-ign_eof", "-connect", &address.to_string()])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl starts");
    let mut input = child.stdin.take().expect("a pipe");
    // It is gone already where the handshake has failed.
    let _ = input.write_all(b"GET /asked HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    drop(input);
    let output = child.wait_with_output().expect("openssl ends");
    Outcome {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Says what the frontend knows of the connection.
const TOLD: &str = "http-request return status 200 content-type text/plain lf-string \
    \"[%[ssl_fc_protocol] %[ssl_fc_cipher] sni=%[ssl_fc_sni] resumed=%[ssl_fc_is_resumed] client=%[ssl_c_s_dn(CN)] \
    http=%[req.ver] path=%[path]]\"";

fn has(outcome: &Outcome, what: &[&str], about: &str) {
    for sign in what {
        assert!(
            outcome.stdout.contains(sign),
            "{about}: {sign} is missing: {}{}",
            outcome.stdout,
            outcome.stderr
        );
    }
}

#[test]
fn openssl_gets_every_kind_of_certificate_by_its_name() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let mut rig = Rig::new();
    let authority = Authority::new(&openssl, &rig);
    let ca = authority.ca();
    let all: Vec<String> = KEYS
        .iter()
        .map(|(name, kind, _)| format!("crt {}", authority.issue(kind, name)))
        .collect();
    let address = rig.config(&format!(
        "{HEAD}frontend web\n    bind {{listen}} ssl strict-sni {}\n    {TOLD}\n",
        all.join(" ")
    ));
    for (name, _, signatures) in KEYS {
        for (version, shown) in VERSIONS {
            let sni = format!("{name}.test");
            let words = [version, "-servername", &sni, "-verify_hostname", &sni];
            let strict = ["-CAfile", &ca, "-verify_return_error"];
            let outcome = s_client(&openssl, address, &[&words[..], &strict].concat());
            let about = format!("{name} {version}");
            has(
                &outcome,
                &[
                    "Verification: OK",
                    &format!("New, {shown}"),
                    &format!("[{shown} "),
                    &format!("sni={sni} "),
                ],
                &about,
            );
            let said = |kind: &&str| {
                outcome
                    .stdout
                    .contains(&format!("Peer signature type: {kind}\n"))
            };
            assert!(signatures.iter().any(said), "{about}: {}", outcome.stdout);
        }
    }
}

#[test]
fn openssl_chooses_each_suite_and_each_curve() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let mut rig = Rig::new();
    let authority = Authority::new(&openssl, &rig);
    let [rsa, ecdsa] = [KEYS[0], KEYS[2]].map(|(name, kind, _)| authority.issue(kind, name));
    let address = rig.config(&format!(
        "{HEAD}frontend web\n    bind {{listen}} ssl crt {ecdsa} crt {rsa}\n    {TOLD}\n"
    ));
    for suite in [
        "AES_128_GCM_SHA256",
        "AES_256_GCM_SHA384",
        "CHACHA20_POLY1305_SHA256",
    ] {
        let suite = format!("TLS_{suite}");
        let outcome = s_client(&openssl, address, &["-tls1_3", "-ciphersuites", &suite]);
        has(&outcome, &[&format!("[TLSv1.3 {suite} ")], &suite);
    }
    for key in ["ECDSA", "RSA"] {
        for cipher in [
            "AES128-GCM-SHA256",
            "AES256-GCM-SHA384",
            "CHACHA20-POLY1305",
        ] {
            let suite = format!("ECDHE-{key}-{cipher}");
            let name = format!("{}.test", if key == "RSA" { "rsa" } else { "p256" });
            let words = ["-tls1_2", "-cipher", &suite, "-servername", &name];
            let outcome = s_client(&openssl, address, &words);
            has(&outcome, &[&format!("[TLSv1.2 {suite} ")], &suite);
        }
    }
    // In TLS 1.2 the certificate's curve would have to be named as well, so the key is RSA.
    for (curve, shown) in [
        ("X25519", "X25519"),
        ("P-256", "prime256v1"),
        ("P-384", "secp384r1"),
        ("P-521", "secp521r1"),
    ] {
        for (version, _) in VERSIONS {
            let words = [version, "-groups", curve, "-servername", "rsa.test"];
            let outcome = s_client(&openssl, address, &words);
            has(&outcome, &["path=/asked]"], &format!("{curve} {version}"));
            let key = outcome
                .stdout
                .lines()
                .find(|line| line.starts_with("Server Temp Key"));
            let key = key.unwrap_or_default();
            assert!(key.contains(shown), "{curve} {version}: {key}");
        }
    }
    // What nobody should speak any more finds nobody.
    for words in [
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1_2", "-cipher", "AES128-SHA"],
        &["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"],
    ] {
        let outcome = s_client(&openssl, address, words);
        assert!(!outcome.stdout.contains("path="), "{words:?}");
    }
}

#[test]
fn openssl_resumes_sessions_of_both_versions() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    for more in ["", "no-tls-tickets"] {
        let mut rig = Rig::new();
        let authority = Authority::new(&openssl, &rig);
        let site = authority.issue(KEYS[2].1, "site");
        let address = rig.config(&format!(
            "global\n    nbthread 2\n{HEAD}frontend web\n    bind {{listen}} ssl crt {site} {more}\n    {TOLD}\n"
        ));
        for (version, shown) in VERSIONS {
            let session = rig.path(version).display().to_string();
            let about = format!("{version} {more}");
            let first = s_client(&openssl, address, &[version, "-sess_out", &session]);
            has(&first, &[&format!("New, {shown}"), "resumed=0"], &about);
            // Whichever worker is met, all know the session.
            for _ in 0..4 {
                let words = [version, "-sess_in", &session, "-sess_out", &session];
                let next = s_client(&openssl, address, &words);
                has(&next, &[&format!("Reused, {shown}"), "resumed=1"], &about);
            }
        }
    }
}

#[test]
fn openssl_shows_certificates_of_every_kind() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let mut rig = Rig::new();
    let authority = Authority::new(&openssl, &rig);
    let (ca, site) = (authority.ca(), authority.issue(KEYS[2].1, "site"));
    let shown: Vec<_> = KEYS
        .iter()
        .map(|(name, kind, _)| (*name, authority.issue(kind, name)))
        .collect();
    let address = rig.config(&format!(
        "{HEAD}frontend web\n    bind {{listen}} ssl crt {site} ca-file {ca} verify required\n    {TOLD}\n"
    ));
    for (version, _) in VERSIONS {
        for (name, path) in &shown {
            let outcome = s_client(&openssl, address, &[version, "-cert", path, "-key", path]);
            has(
                &outcome,
                &[&format!("client={name} ")],
                &format!("{name} {version}"),
            );
        }
        let outcome = s_client(&openssl, address, &[version]);
        assert!(
            !outcome.stdout.contains("path="),
            "{version}: {}",
            outcome.stdout
        );
    }
}

/// Starts OpenSSL's server, whose pages tell of the connection.
fn s_server(rig: &mut Rig, openssl: &Path, words: &[&str]) -> SocketAddr {
    let address = free_address();
    let mut command = Command::new(openssl);
    command
        .args(["s_server", "-www", "-accept", &address.to_string()])
        .args(words);
    rig.start(command, address);
    address
}

#[test]
fn openssl_serves_behind_a_server_line() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let rig = Rig::new();
    let authority = Authority::new(&openssl, &rig);
    let ca = authority.ca();
    let client = authority.issue(KEYS[2].1, "client");
    let certificates: Vec<_> = KEYS
        .iter()
        .map(|(name, kind, _)| (*name, authority.issue(kind, name)))
        .collect();
    for (name, path) in &certificates {
        for (version, shown) in VERSIONS {
            let mut rig = Rig::new();
            let common = [
                version,
                "-cert",
                path,
                "-CAfile",
                &ca,
                "-verify_return_error",
            ];
            let asks = [&common[..], &["-Verify", "2"]].concat();
            let open = s_server(&mut rig, &openssl, &common);
            let strict = s_server(&mut rig, &openssl, &asks);
            let line = format!("ssl verify required ca-file {ca} sni str({name}.test)");
            let address = free_address();
            let text = format!(
                "{HEAD}frontend web\n    bind {address}\n    use_backend %[path,field(2,/)]\n\
                 backend open\n    server s {open} {line}\n\
                 backend strict\n    server s {strict} {line} crt {client}\n\
                 backend nameless\n    server s {strict} {line}\n\
                 backend wrong\n    server s {open} ssl verify required ca-file {ca} sni str(wrong.test)\n"
            );
            rig.serve(Path::new(PLIMSOLL), &text, address);
            let about = format!("{name} {version}");
            // Each page ends its connection, and the next one resumes the session.
            for kind in ["New", "Reused"] {
                for backend in ["open", "strict"] {
                    let page = rig.get(&format!("/{backend}"));
                    assert_eq!(page.status, 200, "{about} {backend}");
                    let wanted = format!("{kind}, {shown}, Cipher is ");
                    assert!(
                        page.text().contains(&wanted),
                        "{about} {backend}: {wanted} {}",
                        page.text()
                    );
                }
            }
            assert!(
                rig.get("/strict").text().contains("CN=client")
                    || rig.get("/strict").text().contains("CN = client"),
                "{about}"
            );
            for refused in ["nameless", "wrong"] {
                // TLS 1.3 tells a client that has shown no certificate only when it has sent its request.
                let status = rig.get(&format!("/{refused}")).status;
                assert!(matches!(status, 502 | 503), "{about} {refused}: {status}");
            }
        }
    }
}

/// The two programs, HAProxy and ours, in both roles; not ours with ours.
fn pairings() -> Vec<(PathBuf, PathBuf)> {
    let named = std::env::var_os("PLIMSOLL_HAPROXY").map(PathBuf::from);
    let Some(haproxy) = named.or_else(|| require_peer("haproxy")) else {
        return Vec::new();
    };
    let ours = PathBuf::from(PLIMSOLL);
    vec![(haproxy.clone(), ours.clone()), (ours, haproxy)]
}

/// What the client's side tells of its connection in a response.
const BACK_TOLD: &str = "http-response set-header X-Back \
    \"%[ssl_bc_protocol] alpn=%[ssl_bc_alpn] resumed=%[ssl_bc_is_resumed]\"";

#[test]
fn haproxy_and_we_are_each_others_clients_and_servers() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    for (before, behind) in pairings() {
        let mut rig = Rig::new();
        let authority = Authority::new(&openssl, &rig);
        let ca = authority.ca();
        let site = authority.issue(KEYS[2].1, "site");
        let client = authority.issue(KEYS[0].1, "client");
        let origin = rig.origin_with("a", |request| {
            Reply::ok(&String::from_utf8_lossy(&request.body))
        });
        let (inner, outer) = (free_address(), free_address());
        let mut text = format!(
            "global\n    nbthread 1\n{HEAD}frontend tls\n    \
             bind {inner} ssl crt {site} alpn h2,http/1.1 ca-file {ca} verify required\n    \
             http-response set-header X-Front \"%[ssl_fc_protocol] http=%[var(txn.version)] sni=%[ssl_fc_sni] \
             resumed=%[ssl_fc_is_resumed] client=%[ssl_c_s_dn(CN)]\"\n    \
             http-request set-var(txn.version) req.ver\n    default_backend app\n\
             backend app\n    {}\n",
            origin.server_line()
        );
        rig.serve(&behind, &text, inner);
        text = format!(
            "global\n    nbthread 1\n{HEAD}frontend web\n    bind {outer}\n    use_backend %[path,field(2,/)]\n"
        );
        for (protocol, _) in PROTOCOLS {
            for version in ["TLSv1.2", "TLSv1.3"] {
                text += &format!(
                    "backend {protocol}-{version}\n    {BACK_TOLD}\n    http-reuse never\n    \
                     server s {inner} ssl verify required ca-file {ca} crt {client} sni str(site.test) alpn {} \
                     ssl-min-ver {version} ssl-max-ver {version}\n",
                    protocol.replace("h1", "http/1.1")
                );
            }
        }
        text += &format!(
            "backend nameless\n    server s {inner} ssl verify required ca-file {ca} sni str(site.test)\n"
        );
        text += &format!(
            "backend wrong\n    server s {inner} ssl verify required ca-file {ca} crt {client} sni str(wrong.test)\n"
        );
        rig.serve(&before, &text, outer);
        let about = format!("{} before {}", before.display(), behind.display());
        speak(&rig, &about);
    }
}

/// Names of protocols, and what the server's side sees.
const PROTOCOLS: [(&str, &str); 2] = [("h1", "http=1.1"), ("h2", "http=2.0")];

/// Asks for each version and protocol twice, with bodies longer than a window.
///
/// The connection stays open: HAProxy 2.6, before another HAProxy too, loses the end of a response over TLS 1.3 now and
/// then where the server closes behind it.
fn speak(rig: &Rig, about: &str) {
    let body = "0123456789abcdef".repeat(20_000);
    for (protocol, seen) in PROTOCOLS {
        for version in ["TLSv1.2", "TLSv1.3"] {
            for resumed in ["resumed=0", "resumed=1"] {
                let mut client = rig.client();
                client.send(format!(
                    "POST /{protocol}-{version} HTTP/1.1\r\nHost: site.test\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                ));
                let response = client.response();
                let about = format!("{about}: {protocol} {version} {resumed}");
                assert_eq!(response.status, 200, "{about}");
                assert!(
                    response.text() == body,
                    "{about}: the body came back changed"
                );
                let front = response.field("x-front").unwrap_or_default();
                assert_eq!(
                    front,
                    format!("{version} {seen} sni=site.test {resumed} client=client"),
                    "{about}"
                );
                let back = response.field("x-back").unwrap_or_default();
                let alpn = protocol.replace("h1", "http/1.1");
                assert_eq!(back, format!("{version} alpn={alpn} {resumed}"), "{about}");
            }
        }
    }
    for refused in ["nameless", "wrong"] {
        let status = rig.get(&format!("/{refused}")).status;
        assert!(matches!(status, 502 | 503), "{about} {refused}: {status}");
    }
}

#[test]
fn other_clients_speak_http2_over_tls_through_both() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    for (before, behind) in pairings() {
        let mut rig = Rig::new();
        let authority = Authority::new(&openssl, &rig);
        let (ca, site) = (authority.ca(), authority.issue(KEYS[2].1, "site"));
        let origin = rig.origin_with("a", |request| {
            Reply::ok(&String::from_utf8_lossy(&request.body))
        });
        let (inner, outer) = (free_address(), free_address());
        let listen = |address: SocketAddr, server: &str| {
            format!(
                "global\n    nbthread 1\n{HEAD}listen web\n    bind {address} ssl crt {site} alpn h2,http/1.1\n    {server}\n"
            )
        };
        rig.serve(&behind, &listen(inner, &origin.server_line()), inner);
        let server =
            format!("server s {inner} ssl verify required ca-file {ca} sni str(site.test) alpn h2");
        rig.serve(&before, &listen(outer, &server), outer);
        let about = format!("{} before {}", before.display(), behind.display());
        let url = format!("https://{outer}/path");
        if let Some(curl) = require_peer("curl") {
            let body = rig.file("body", &"0123456789".repeat(30_000));
            let outcome = run(Command::new(curl)
                .args([
                    "-sSfk",
                    "--http2",
                    "--max-time",
                    "60",
                    "-w",
                    "|%{http_version}",
                    "-H",
                    "Expect:",
                    "--data-binary",
                ])
                .arg(format!("@{}", body.display()))
                .arg(&url));
            assert_eq!(outcome.stdout.len(), 300_002, "{about}: {}", outcome.stderr);
            assert!(outcome.stdout.ends_with("|2"), "{about}");
        }
        if let Some(nghttp) = require_peer("nghttp") {
            let outcome = run(Command::new(nghttp)
                .args(["-nv", "--no-verify-peer", "-H", "x-a: b"])
                .arg(&url));
            has(
                &outcome,
                &["The negotiated protocol: h2", ":status: 200"],
                &about,
            );
        }
        if let Some(h2load) = require_peer("h2load") {
            let outcome = run(Command::new(h2load)
                .args(["-n500", "-c4", "-m25"])
                .arg(&url));
            let all = "500 total, 500 started, 500 done, 500 succeeded, 0 failed, 0 errored";
            has(&outcome, &[all, "Application protocol: h2"], &about);
        }
    }
}

/// What the bind says, what the client can check, and what the signature is.
const SIGNATURES: [(&str, &str, Option<&str>); 8] = [
    (
        "sigalgs RSA-PSS+SHA512:RSA-PSS+SHA256",
        "rsa_pss_rsae_sha256:rsa_pss_rsae_sha512",
        Some("RSA-PSS SHA512"),
    ),
    (
        "sigalgs RSA-PSS+SHA512:RSA-PSS+SHA256",
        "rsa_pss_rsae_sha256",
        Some("RSA-PSS SHA256"),
    ),
    (
        "sigalgs rsa_pss_rsae_sha384",
        "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384",
        Some("RSA-PSS SHA384"),
    ),
    ("sigalgs rsa_pss_rsae_sha384", "rsa_pss_rsae_sha256", None),
    (
        "sigalgs RSA+SHA512 ssl-max-ver TLSv1.2",
        "RSA+SHA256:RSA+SHA512",
        Some("RSA SHA512"),
    ),
    (
        "sigalgs RSA+SHA384:RSA+SHA256 ssl-max-ver TLSv1.2",
        "RSA+SHA256:RSA+SHA384",
        Some("RSA SHA384"),
    ),
    (
        "sigalgs ECDSA+SHA256",
        "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256",
        None,
    ),
    ("sigalgs RSA+SHA256", "RSA+SHA256:rsa_pss_rsae_sha256", None),
];

#[test]
fn signature_algorithms_are_chosen_as_in_haproxy() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let named = std::env::var_os("PLIMSOLL_HAPROXY").map(PathBuf::from);
    let haproxy = named.or_else(|| require_peer("haproxy"));
    let knows = |program: &PathBuf| {
        let words = run(Command::new(program).args(["-dKall", "-q", "-c", "-f", "/dev/null"]));
        words.stdout.contains("ssl sigalgs") // since 2.8
    };
    let haproxy = haproxy.filter(knows);
    for program in haproxy.into_iter().chain([PathBuf::from(PLIMSOLL)]) {
        let mut rig = Rig::new();
        let authority = Authority::new(&openssl, &rig);
        let site = authority.issue(KEYS[0].1, "rsa");
        let mut text = String::from(HEAD);
        let addresses: Vec<_> = SIGNATURES.iter().map(|_| free_address()).collect();
        for ((bind, ..), address) in SIGNATURES.iter().zip(&addresses) {
            text += &format!(
                "frontend f{}\n    bind {address} ssl crt {site} {bind}\n    {TOLD}\n",
                address.port()
            );
        }
        rig.serve(&program, &text, addresses[0]);
        for ((bind, offered, expected), address) in SIGNATURES.iter().zip(&addresses) {
            let outcome = s_client(&openssl, *address, &["-sigalgs", offered]);
            let field = |name: &str| {
                let line = outcome
                    .stdout
                    .lines()
                    .find_map(|line| line.strip_prefix(name));
                line.map(str::to_owned)
            };
            let kind = field("Peer signature type: ");
            let seen = kind
                .zip(field("Peer signing digest: "))
                .map(|(kind, digest)| format!("{kind} {digest}"));
            let about = format!("{}: {bind}, {offered}", program.display());
            assert_eq!(
                seen.as_deref(),
                *expected,
                "{about}: {}{}",
                outcome.stdout,
                outcome.stderr
            );
        }
    }
}

#[test]
fn signature_algorithms_of_a_bind_bind_its_clients() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let mut rig = Rig::new();
    let authority = Authority::new(&openssl, &rig);
    let ca = authority.ca();
    let [rsa, ecdsa] = [KEYS[0], KEYS[2]].map(|(name, kind, _)| authority.issue(kind, name));
    // Clients, by what the bind wants of their certificates.
    let binds = [
        ("client-sigalgs ECDSA+SHA256", [false, true]),
        (
            "client-sigalgs RSA-PSS+SHA256 sigalgs ECDSA+SHA256",
            [true, false],
        ),
        ("sigalgs ECDSA+SHA256", [false, true]),
    ];
    let addresses = binds.map(|_| free_address());
    let mut text = String::from(HEAD);
    for ((words, _), address) in binds.iter().zip(addresses) {
        text += &format!(
            "frontend f{}\n    bind {address} ssl crt {ecdsa} ca-file {ca} verify required {words}\n    {TOLD}\n",
            address.port()
        );
    }
    rig.serve(Path::new(PLIMSOLL), &text, addresses[0]);
    for ((words, agreed), address) in binds.iter().zip(addresses) {
        for (agreed, path) in agreed.iter().zip([&rsa, &ecdsa]) {
            let outcome = s_client(&openssl, address, &["-cert", path, "-key", path]);
            let served = outcome.stdout.contains("path=/asked");
            assert_eq!(served, *agreed, "{words} {path}: {}", outcome.stdout);
        }
    }
}

#[test]
fn signature_algorithms_of_a_server_line_bind_its_server() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let mut rig = Rig::new();
    let authority = Authority::new(&openssl, &rig);
    let ca = authority.ca();
    let [rsa, ecdsa] = [KEYS[0], KEYS[2]].map(|(name, kind, _)| authority.issue(kind, name));
    // They ask for our certificate.
    let common = [
        "-CAfile",
        &ca,
        "-Verify",
        "2",
        "-verify_return_error",
        "-cert",
    ];
    let servers =
        [&rsa, &ecdsa].map(|path| s_server(&mut rig, &openssl, &[&common[..], &[path]].concat()));
    let front = free_address();
    let mut text =
        format!("{HEAD}frontend web\n    bind {front}\n    use_backend %[path,field(2,/)]\n");
    for (kind, server) in ["rsa", "ecdsa"].into_iter().zip(servers) {
        for (name, words) in [
            ("any", "client-sigalgs RSA-PSS+SHA256"),
            ("pss", "sigalgs RSA-PSS+SHA256:RSA-PSS+SHA384"),
            ("ours", "client-sigalgs ECDSA+SHA256"),
        ] {
            text += &format!(
                "backend {kind}-{name}\n    server s {server} ssl verify none crt {rsa} {words}\n"
            );
        }
    }
    rig.serve(Path::new(PLIMSOLL), &text, front);
    for (path, served, shown) in [
        (
            "/rsa-any",
            true,
            "Peer signing digest: SHA256\nPeer signature type: RSA-PSS\n",
        ),
        ("/ecdsa-any", true, ""),
        (
            "/rsa-pss",
            true,
            "Signature Algorithms: RSA-PSS+SHA256:RSA-PSS+SHA384\n",
        ),
        ("/ecdsa-pss", false, ""),
        ("/rsa-ours", false, ""),
    ] {
        let page = rig.get(path);
        assert_eq!(
            page.status == 200,
            served,
            "{path}: {} {}",
            page.status,
            page.text()
        );
        assert!(page.text().contains(shown), "{path}: {}", page.text());
    }
}

/// OpenSSL's client sends its first request before the end of the handshake.
#[test]
fn openssl_sends_early_data() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let mut rig = Rig::new();
    let authority = Authority::new(&openssl, &rig);
    let site = authority.issue(KEYS[2].1, "site");
    let origin = rig.origin("a");
    let address = rig.config(&format!(
        "{HEAD}frontend web\n    bind {{listen}} ssl crt {site} allow-0rtt\n    \
         http-request set-header x-early %[ssl_fc_early_rcvd]\n    \
         default_backend app\nbackend app\n    {}\n",
        origin.server_line()
    ));
    let session = rig.path("session").display().to_string();
    let early = rig.file("early", "GET /early HTTP/1.1\r\nHost: x\r\n\r\n");
    let first = s_client(&openssl, address, &["-tls1_3", "-sess_out", &session]);
    has(&first, &["200 OK"], "first");
    let early = early.display().to_string();
    let words = ["-tls1_3", "-sess_in", &session, "-early_data", &early];
    let second = s_client(&openssl, address, &words);
    let signs = ["Reused, TLSv1.3", "Early data was accepted", "200 OK"];
    has(&second, &signs, "second");
    // The session has been used: with it nothing is accepted early any more.
    let third = s_client(&openssl, address, &words);
    has(&third, &["Early data was rejected", "200 OK"], "third");
    let seen = origin.requests();
    let lines = seen.iter().map(|request| {
        let early = request.field("x-early").unwrap_or_default();
        format!("{} {early}", request.line)
    });
    let (early, asked) = ("GET /early HTTP/1.1 1", "GET /asked HTTP/1.1");
    let expected = [
        &format!("{asked} 0"),
        early,
        &format!("{asked} 1"),
        &format!("{asked} 0"),
    ];
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

/// What the other side has written down of a connection's secrets must be what our samples show.
fn assert_told(file: &Path, shown: &str, prefix: &str) {
    let log = std::fs::read_to_string(file).expect("a log of keys");
    let lines: Vec<Vec<&str>> = log
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(' ').collect())
        .collect();
    let field = |name: &str| {
        let name = format!("{prefix}_{name}=");
        let found = shown
            .split_whitespace()
            .find_map(|word| word.strip_prefix(&name));
        found.unwrap_or_default().to_owned()
    };
    assert!(!lines.is_empty(), "nothing is written down");
    let random = field("client_random");
    let of_this: Vec<_> = lines
        .iter()
        .filter(|line| line[1].eq_ignore_ascii_case(&random))
        .collect();
    assert!(!of_this.is_empty(), "{random}: {log}");
    for line in of_this {
        let name = match line[0] {
            "CLIENT_RANDOM" => "session_key".to_owned(),
            label => label.to_ascii_lowercase(),
        };
        let expected = line[2].to_ascii_lowercase();
        assert_eq!(
            field(&name).to_ascii_lowercase(),
            expected,
            "{name}: {shown}"
        );
    }
}

/// A format of all secrets.
fn secrets(prefix: &str) -> String {
    let raw = ["client_random", "session_key"]
        .map(|name| format!("{prefix}_{name}=%[{prefix}_{name},hex]"));
    let text = [
        "client_handshake_traffic_secret",
        "server_handshake_traffic_secret",
        "client_traffic_secret_0",
        "server_traffic_secret_0",
        "exporter_secret",
    ]
    .map(|name| format!("{prefix}_{name}=%[{prefix}_{name}]"));
    [raw.join(" "), text.join(" "), "end".to_owned()].join(" ")
}

#[test]
fn secrets_are_told_where_they_are_kept_and_nowhere_else() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    for (version, _) in VERSIONS {
        let mut rig = Rig::new();
        let authority = Authority::new(&openssl, &rig);
        let site = authority.issue(KEYS[2].1, "site");
        let theirs = rig.path("server.log");
        let log = theirs.display().to_string();
        let server = s_server(
            &mut rig,
            &openssl,
            &[version, "-cert", &site, "-keylogfile", &log],
        );
        let front = |keep: &str, address: SocketAddr| {
            format!(
                "global\n    tune.ssl.keylog {keep}\n{HEAD}frontend web\n    bind {address} ssl crt {site}\n    \
                 http-request return status 200 content-type text/plain lf-string \"{}\" if {{ path /asked }}\n    \
                 default_backend app\nbackend app\n    http-response set-header X-Told \"{}\"\n    \
                 server s {server} ssl verify none\n",
                secrets("ssl_fc"),
                secrets("ssl_bc"),
            )
        };
        for keep in ["on", "off"] {
            let address = free_address();
            rig.serve(Path::new(PLIMSOLL), &front(keep, address), address);
            let ours = rig.path(&format!("client-{keep}.log"));
            let outcome = s_client(
                &openssl,
                address,
                &[version, "-keylogfile", &ours.display().to_string()],
            );
            let curl = require_peer("curl").expect("curl, where openssl is");
            let page =
                run(Command::new(curl).args(["-sk", "-i", &format!("https://{address}/page")]));
            let told = page
                .stdout
                .lines()
                .find(|line| line.to_ascii_lowercase().starts_with("x-told:"));
            let told = told.unwrap_or_else(|| panic!("{}{}", page.stdout, page.stderr));
            if keep == "on" {
                assert_told(&ours, &outcome.stdout, "ssl_fc");
                assert_told(&theirs, told, "ssl_bc");
            } else {
                assert!(
                    outcome.stdout.contains("ssl_fc_client_random= "),
                    "{}",
                    outcome.stdout
                );
                let empty = told
                    .split_whitespace()
                    .filter(|word| word.starts_with("ssl_bc"))
                    .all(|word| word.ends_with('='));
                assert!(empty, "{told}");
            }
        }
    }
}

/// What the PROXY protocol tells of a client's TLS is what HAProxy tells, with a certificate and without, and of a client
/// without TLS.
#[test]
fn servers_hear_of_tls_what_haproxy_tells_them() {
    let (Some(openssl), Some(program)) = (require_peer("openssl"), require_peer("curl")) else {
        return;
    };
    let mut told = Vec::new();
    for (_, balancer) in pairings() {
        let mut rig = Rig::new();
        let authority = Authority::new(&openssl, &rig);
        let (site, client) = (
            authority.issue(KEYS[2].1, "site"),
            authority.issue(KEYS[0].1, "client"),
        );
        let (ca, inner, outer, plain) = (
            authority.ca(),
            free_address(),
            free_address(),
            free_address(),
        );
        let teller = format!(
            "{HEAD}frontend inner\n    bind {inner} accept-proxy\n    http-request return status 200 content-type text/plain \
             lf-string \"%[fc_pp_tlv(0x01)] %[fc_pp_authority] %[fc_pp_tlv(0x20),hex]\"\n"
        );
        rig.serve(Path::new(PLIMSOLL), &teller, inner);
        let text = format!(
            "{HEAD}frontend outer\n    bind {plain}\n    bind {outer} ssl crt {site} ca-file {ca} verify optional alpn http/1.1 \
             ssl-min-ver TLSv1.3 ciphersuites TLS_AES_128_GCM_SHA256\n    use_backend %[path,field(2,/)]\n\
             backend all\n    server s {inner} send-proxy-v2-ssl-cn \
             proxy-v2-options ssl,cert-cn,cert-key,cert-sig,ssl-cipher,authority,crc32c\n\
             backend some\n    server s {inner} send-proxy-v2-ssl\n\
             backend none\n    server s {inner} send-proxy-v2\n"
        );
        rig.serve(&balancer, &text, outer);
        let name = format!("site.test:{}:{}", outer.port(), outer.ip());
        for backend in ["all", "some", "none"] {
            let secure = format!("https://site.test:{}/{backend}", outer.port());
            let clear = format!("http://{plain}/{backend}");
            let with = ["--cert", &client];
            for (who, words, url) in [
                ("known", &with[..], &secure),
                ("unknown", &[], &secure),
                ("clear", &[], &clear),
            ] {
                let mut command = Command::new(&program);
                command.args(["-sS", "--cacert", &ca, "--resolve", &name]);
                let outcome = run(command.args(words).arg(url));
                told.push((
                    balancer.clone(),
                    format!("{backend} {who}: {}", outcome.stdout),
                ));
            }
        }
    }
    let of = |haproxy: bool| {
        let ours = |balancer: &Path| balancer == Path::new(PLIMSOLL);
        let told = told
            .iter()
            .filter(|(balancer, _)| ours(balancer) != haproxy);
        told.map(|(_, said)| said.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of(false), of(true));
}
