//! Responses of authorities (OCSP): loaded, replaced and fetched, with OpenSSL as authority and as client.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::peer::require_peer;
use crate::rig::{Rig, ask, run};

/// An authority with its list of what it has issued.
struct Authority<'a> {
    openssl: &'a Path,
    rig: &'a Rig,
}

impl<'a> Authority<'a> {
    fn new(openssl: &'a Path, rig: &'a Rig) -> Self {
        let made = Self { openssl, rig };
        made.run(&[
            "req",
            "-x509",
            "-nodes",
            "-days",
            "30",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-subj",
            "/C=NL/O=Plimsoll tests/CN=authority",
            "-out",
            "ca.pem",
            "-keyout",
            "ca.key",
        ]);
        made.state("V", "");
        made
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
        self.rig.file("index.txt", &line);
    }

    /// A certificate with its key; `access`: where its responder is.
    fn issue(&self, access: Option<SocketAddr>) -> PathBuf {
        let place = access.map(|address| format!("authorityInfoAccess=OCSP;URI:http://{address}/"));
        let mut words = vec![
            "req",
            "-x509",
            "-nodes",
            "-days",
            "30",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
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
        ];
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
        let mut words = vec![
            "ocsp",
            "-index",
            "index.txt",
            "-CA",
            "ca.pem",
            "-rsigner",
            "ca.pem",
            "-rkey",
            "ca.key",
            "-reqin",
            "request.der",
            "-respout",
            file,
        ];
        if let Some(days) = days {
            words.extend(["-ndays", days]);
        }
        self.run(&words);
        fs::read(self.rig.path(file)).expect("a response")
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
