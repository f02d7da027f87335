//! Responses of authorities (OCSP): loaded, replaced and fetched, with OpenSSL as authority and as client.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::origin::Reply;
use crate::rig::peer::require_peer;
use crate::rig::{Binary, PLIMSOLL, Rig, ask, free_address, run, until};

/// An authority with its list of what it has issued.
struct Authority<'a> {
    openssl: &'a Path,
    rig: &'a Rig,
}

/// Makes a certificate that has not been asked for, with a key of its own.
const NEW_KEY: [&str; 9] = [
    "req",
    "-x509",
    "-nodes",
    "-days",
    "30",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
];

impl<'a> Authority<'a> {
    fn new(openssl: &'a Path, rig: &'a Rig) -> Self {
        let made = Self { openssl, rig };
        made.call_itself_authority("ca");
        made.state("V", "");
        made
    }

    /// A certificate in the authority's name that has signed itself, in `FILE.pem`, and its key in `FILE.key`.
    fn call_itself_authority(&self, file: &str) {
        let (certificate, key) = (format!("{file}.pem"), format!("{file}.key"));
        let subject = ["-subj", "/C=NL/O=Plimsoll tests/CN=authority"];
        let files = ["-out", &certificate, "-keyout", &key];
        self.run(&[&NEW_KEY[..], &subject, &files].concat());
    }

    fn run(&self, words: &[&str]) -> String {
        let folder = self.rig.path("");
        let outcome = run(Command::new(self.openssl).args(words).current_dir(folder));
        assert_eq!(outcome.status, Some(0), "{words:?}: {}", outcome.stderr);
        outcome.stdout
    }

    /// The certificate `site.pem` has the number 100F, and is in this state.
    fn state(&self, state: &str, revoked: &str) {
        let line = format!("{state}\t491231235959Z\t{revoked}\t100F\tunknown\t/CN=site.test\n");
        // A file of its own, by which a running responder sees that there is another list.
        let path = self.rig.file("index.new", &line);
        fs::rename(path, self.rig.path("index.txt")).expect("a list");
    }

    /// A certificate with its key; `access`: where its responder is.
    fn issue(&self, access: Option<SocketAddr>) -> PathBuf {
        let place = access.map(|address| format!("authorityInfoAccess=OCSP;URI:http://{address}/"));
        let mut words = NEW_KEY.to_vec();
        words.extend([
            "-subj",
            "/CN=site.test",
            "-set_serial",
            "0x100F",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-out",
            "site.crt",
            "-keyout",
            "site.key",
        ]);
        if let Some(place) = &place {
            words.extend(["-addext", place]);
        }
        self.run(&words);
        let read = |name: &str| fs::read_to_string(self.rig.path(name)).expect("it was made");
        let both = read("site.crt") + &read("site.key");
        fs::copy(self.rig.path("ca.pem"), self.rig.path("site.pem.issuer")).expect("a copy");
        self.rig.file("site.pem", &both)
    }

    /// A response about it, in DER; `days`: how long it holds.
    fn respond(&self, file: &str, days: Option<&str>) -> Vec<u8> {
        self.run(&[
            "ocsp",
            "-issuer",
            "ca.pem",
            "-cert",
            "site.crt",
            "-no_nonce",
            "-reqout",
            "request.der",
        ]);
        self.answer("ca", file, days);
        fs::read(self.rig.path(file)).expect("a response")
    }

    /// Answers the last question in a file, signed by `SIGNER.pem` with `SIGNER.key`.
    fn answer(&self, signer: &str, file: &str, days: Option<&str>) {
        let (certificate, key) = (format!("{signer}.pem"), format!("{signer}.key"));
        let mut words = vec![
            "ocsp",
            "-index",
            "index.txt",
            "-CA",
            "ca.pem",
            "-rsigner",
            &certificate,
            "-rkey",
            &key,
            "-reqin",
            "request.der",
            "-respout",
            file,
        ];
        if let Some(days) = days {
            words.extend(["-ndays", days]);
        }
        self.run(&words);
    }

    /// What OpenSSL says of a response, up to its signature.
    fn described(&self, file: &str) -> String {
        let text = self.run(&["ocsp", "-respin", file, "-text", "-noverify"]);
        let end = text.find("    Signature Algorithm").expect("a signature");
        text[..end].to_owned()
    }
}

fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}

/// What OpenSSL's client is told about the certificate.
fn stapled(openssl: &Path, address: SocketAddr) -> String {
    let outcome =
        run(Command::new(openssl).args(["s_client", "-status", "-connect", &address.to_string()]));
    let lines = outcome.stdout.lines();
    let mut states = lines.filter_map(|line| line.trim().strip_prefix("Cert Status: "));
    states.next().unwrap_or("none").to_owned()
}

const TEXT: &str = "global\n    stats socket SOCKET level admin\n\
    defaults\n    mode http\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n\
    frontend web\n    bind {listen} ssl crt SITE\n    http-request return status 200\n";

#[test]
fn responses_are_shown_replaced_and_stapled() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let mut rig = Rig::new();
    let authority = Authority::new(&openssl, &rig);
    let site = authority.issue(None);
    let good = authority.respond("site.pem.ocsp", Some("1"));
    let text = authority.described("site.pem.ocsp");
    authority.state("R", "260101000000Z,keyCompromise");
    let revoked = authority.respond("revoked.der", Some("1"));
    let revoked_text = authority.described("revoked.der");
    let endless = authority.respond("endless.der", None);
    let socket = rig.path("sock");
    let configuration = TEXT.replace("SOCKET", &socket.display().to_string());
    let site = site.display().to_string();
    let address = rig.config(&configuration.replace("SITE", &site));
    assert_eq!(stapled(&openssl, address), "good");

    let all = ask(&socket, "show ssl ocsp-response");
    let key = all
        .lines()
        .find_map(|line| line.strip_prefix("Certificate ID key : "));
    let key = key.unwrap_or_else(|| panic!("{all}")).to_owned();
    assert!(all.starts_with("# Certificate IDs\n"), "{all}");
    assert!(
        all.contains(&format!(
            "Certificate path : {site}\n Certificate ID:\n   Issuer Name Hash: "
        )),
        "{all}"
    );
    assert!(all.contains("   Serial Number: 100F\n"), "{all}");
    for command in [
        format!("show ssl ocsp-response {key}"),
        format!("show ssl ocsp-response text {key}"),
        format!("show ssl ocsp-response {site}"),
        format!("show ssl cert {site}.ocsp"),
    ] {
        assert_eq!(
            ask(&socket, &command).trim_end(),
            text.trim_end(),
            "{command}"
        );
    }
    let encoded = ask(&socket, &format!("show ssl ocsp-response base64 {key}"));
    assert_eq!(encoded.trim(), base64(&good));

    // What is of no use changes nothing.
    for (given, why) in [
        ("%%", "received invalid base64 encoded response"),
        ("AAAA", "Unable to parse OCSP response"),
        (
            &base64(&endless),
            "OCSP single response: missing nextupdate",
        ),
        (
            &base64(&[0x30, 3, 0x0a, 1, 6]),
            "OCSP response status not successful",
        ),
    ] {
        let answer = ask(&socket, &format!("set ssl ocsp-response {given}"));
        assert!(answer.contains(why), "{given}: {answer}");
    }
    assert_eq!(stapled(&openssl, address), "good");
    let answer = ask(
        &socket,
        &format!("set ssl ocsp-response <<\n{}\n", base64(&revoked)),
    );
    assert_eq!(answer, "OCSP Response updated!\n\n");
    assert_eq!(stapled(&openssl, address), "revoked");
    let shown = ask(&socket, &format!("show ssl ocsp-response {key}"));
    assert_eq!(shown.trim_end(), revoked_text.trim_end());
    assert!(
        ask(&socket, "show ssl ocsp-response 00")
            .contains("expects a valid certid or certificate path")
    );
}

/// Starts OpenSSL's responder, and waits until it says that it listens: a connection without a request would stop it.
fn responder(rig: &Rig, openssl: &Path, address: SocketAddr) -> Binary {
    let mut command = Command::new(openssl);
    command
        .args([
            "ocsp",
            "-index",
            "index.txt",
            "-CA",
            "ca.pem",
            "-rsigner",
            "ca.pem",
            "-rkey",
            "ca.key",
        ])
        .args(["-ndays", "1", "-port", &address.port().to_string()])
        .current_dir(rig.path(""));
    let binary = Binary::start(command);
    let listens = until(|| {
        binary
            .said()
            .contains("waiting for OCSP client connections")
    });
    assert!(listens, "{}", binary.said());
    binary
}

#[test]
fn authorities_are_asked_by_themselves_and_on_demand() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let (mut rig, at) = (Rig::new(), free_address());
    let authority = Authority::new(&openssl, &rig);
    let site = authority.issue(Some(at)).display().to_string();
    let _responder = responder(&rig, &openssl, at);
    let (socket, syslog) = (rig.path("sock"), rig.syslog());
    let list = rig.file("list", &format!("{site} [ocsp-update on] site.test\n"));
    let text = TEXT
        .replace("SOCKET", &socket.display().to_string())
        .replace("crt SITE", &format!("crt-list {}", list.display()))
        .replace(
            "defaults",
            &format!("    log {} local0\ndefaults", syslog.address()),
        );
    let address = rig.config(&text);
    let good = until(|| stapled(&openssl, address) == "good");
    assert!(good, "{}", ask(&socket, "show ssl ocsp-updates"));
    assert!(until(|| syslog.line().contains(&format!(
        "<OCSP-UPDATE> {site} 1 \"Update successful\" 0 1"
    ))));
    let updates = ask(&socket, "show ssl ocsp-updates");
    assert!(
        updates.starts_with("OCSP Certid | Path | Next Update | Last Update | "),
        "{updates}"
    );
    assert!(updates.contains(&format!(" | {site} | ")), "{updates}");
    assert!(
        updates
            .trim_end()
            .ends_with(" | 1 | 0 | 1 | Update successful"),
        "{updates}"
    );
    assert!(ask(&socket, &format!("show ssl cert {site}")).contains("Option: ocsp-update on\n"));
    // Files that are read again have no response; the one that was fetched stays.
    let answer = ask(&socket, "reload");
    assert_eq!(stapled(&openssl, address), "good", "{answer}");
    Authority {
        openssl: &openssl,
        rig: &rig,
    }
    .state("R", "260101000000Z,keyCompromise");
    let told = || ask(&socket, &format!("update ssl ocsp-response {site}"));
    let revoked = until(|| told().contains("    Cert Status: revoked\n"));
    assert!(revoked, "{}", told());
    assert_eq!(stapled(&openssl, address), "revoked");
    let refused = ask(&socket, "update ssl ocsp-response nobody.pem");
    assert!(
        refused.contains("Can't send ocsp request for nobody.pem!"),
        "{refused}"
    );
}

#[test]
fn answers_that_nobody_vouches_for_are_not_stapled() {
    let Some(openssl) = require_peer("openssl") else {
        return;
    };
    let mut rig = Rig::new();
    let authority = Authority::new(&openssl, &rig);
    let nowhere = free_address();
    let site = authority.issue(Some(nowhere)).display().to_string();
    // One that somebody else has signed, who has the authority's name.
    authority.call_itself_authority("other");
    authority.respond("good.der", Some("1"));
    authority.answer("other", "forged.der", Some("1"));
    let answer = |kind: &str, file: &str| {
        let body = fs::read(rig.path(file)).expect("a response");
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Reply::SendAndClose([head.as_bytes(), &body].concat())
    };
    const KIND: &str = "application/ocsp-response";
    let answers = [
        Reply::SendAndClose(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()),
        answer("text/plain", "good.der"),
        answer(KIND, "index.txt"),
        answer(KIND, "forged.der"),
        answer(KIND, "good.der"),
    ];
    let proxy = rig.origin_with("proxy", {
        let turn = std::sync::atomic::AtomicUsize::new(0);
        move |_| {
            answers[turn
                .fetch_add(1, std::sync::atomic::Ordering::SeqCst)
                .min(4)]
            .clone()
        }
    });
    let socket = rig.path("sock");
    let text = TEXT
        .replace("SOCKET", &socket.display().to_string())
        .replace("SITE", &site)
        .replace(
            "defaults",
            &format!(
                "    ocsp-update.mode on\n    ocsp-update.httpproxy {}\ndefaults",
                proxy.address
            ),
        );
    let address = rig.config(&text);
    let updates = || ask(&socket, "show ssl ocsp-updates").trim_end().to_owned();
    assert!(
        until(|| updates().ends_with(" | 0 | 1 | 2 | HTTP error (status 404)")),
        "{}",
        updates()
    );
    for ending in [
        "| 0 | 2 | 3 | Missing \"ocsp-response\" header",
        "| 0 | 3 | 4 | OCSP response check failure (Unable to parse OCSP response)",
        "| 0 | 4 | 4 | OCSP response check failure (the authority has not signed it)",
    ] {
        let answer = ask(&socket, &format!("update ssl ocsp-response {site}"));
        assert!(answer.contains("Can't send ocsp request for "), "{answer}");
        assert!(updates().ends_with(ending), "{ending}: {}", updates());
        assert_eq!(stapled(&openssl, address), "none", "{ending}");
    }
    let answer = ask(&socket, &format!("update ssl ocsp-response {site}"));
    assert!(answer.contains("    Cert Status: good\n"), "{answer}");
    assert_eq!(stapled(&openssl, address), "good");
    // A proxy is told whose target it is.
    let request = proxy.requests().pop().expect("requests");
    assert!(
        request.line.starts_with(&format!("GET http://{nowhere}/M")),
        "{}",
        request.line
    );
}

#[test]
fn two_places_must_not_say_different_things() {
    let rig = Rig::new();
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/tls/site.pem");
    let site = site.display().to_string();
    for (mode, switch, agrees) in [
        ("off", "on", false),
        ("on", "off", false),
        ("on", "on", true),
        ("off", "off", true),
    ] {
        let list = rig.file(
            "list",
            &format!("{site} [ocsp-update {switch}] site.test\n"),
        );
        for bind in [
            format!("crt {site} crt-list {}", list.display()),
            format!("crt-list {} crt {site}", list.display()),
        ] {
            let text = format!(
                "global\n    ocsp-update.mode {mode}\nfrontend f\n    mode http\n    timeout client 1s\n    bind :1 ssl {bind}\n"
            );
            let path = rig.file("check.cfg", &text);
            let outcome = run(Command::new(PLIMSOLL).args(["-c", "-f"]).arg(&path));
            assert_eq!(
                outcome.status == Some(0),
                agrees,
                "{text}: {}",
                outcome.stderr
            );
            assert_eq!(
                outcome.stderr.contains("different parameter 'ocsp-update'"),
                !agrees,
                "{}",
                outcome.stderr
            );
        }
    }
}
