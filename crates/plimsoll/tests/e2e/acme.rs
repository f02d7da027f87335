//! Certificates from authorities: asked for, kept, renewed, and done without where there are none.

mod authority;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use plimsoll_sys::signal::Signal;
use serde_json::json;

use crate::rig::origin::Reply;
use crate::rig::peer::require_peer;
use crate::rig::syslog::Syslog;
use crate::rig::{PLIMSOLL, Rig, ask, free_address, pem, run, until};

use self::authority::{Authority, Manners};

/// A folder with a configuration that has an authority, and the authority.
struct Stage {
    rig: Rig,
    authority: Authority,
    web: SocketAddr,
    secure: SocketAddr,
    socket: PathBuf,
    syslog: Syslog,
}

impl Stage {
    fn new() -> Self {
        let (rig, web) = (Rig::new(), free_address());
        fs::create_dir(rig.path("kept")).expect("a folder");
        Self {
            authority: Authority::start(web),
            web,
            secure: free_address(),
            socket: rig.path("admin.sock"),
            syslog: rig.syslog(),
            rig,
        }
    }

    /// A configuration with certificates from the authority, as people write them for HAProxy.
    fn configuration(&self, more: &str) -> String {
        let (folder, directory) = (self.rig.path("kept"), self.authority.directory());
        let Self { web, secure, .. } = self;
        format!(
            "global\n    expose-experimental-directives\n    stats socket {} level admin\n    log {} local0\n    nbthread 2\n\
             defaults\n    mode http\n    timeout connect 20s\n    timeout client 2m\n    timeout server 2m\n\
             crt-store kept\n    crt-base {folder}\n    key-base {folder}\n    \
             load crt site.pem acme LE domains \"www.site.test,site.test\"\n\
             acme LE\n    directory {directory}\n    account-key {folder}/account.key\n    contact me@site.test\n    \
             challenge http-01\n    keytype ECDSA\n    curves P-256\n    map virt@acme\n{more}\
             frontend web\n    bind {web}\n    bind {secure} ssl crt @kept/site.pem\n    \
             http-request return status 200 content-type text/plain lf-string \
             \"%[path,field(-1,/)].%[path,field(-1,/),map(virt@acme)]\\n\" \
             if {{ path_beg '/.well-known/acme-challenge/' }}\n    \
             http-request return status 200 content-type text/plain string here\n",
            self.socket.display(),
            self.syslog.address(),
            folder = folder.display(),
        )
    }

    fn start(&mut self, more: &str) {
        let path = self.rig.file("haproxy.cfg", &self.configuration(more));
        let mut command = Command::new(PLIMSOLL);
        command.args(["-db", "-f"]).arg(path);
        self.rig.start(command, self.web);
    }

    fn ask(&self, line: &str) -> String {
        ask(&self.socket, line)
    }

    /// The line of `acme status` about a certificate.
    fn status(&self, name: &str) -> Vec<String> {
        let said = self.ask("acme status");
        let mut lines = said.lines().map(|line| line.split('\t'));
        let line = lines.find(|line| line.clone().next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not there: {said}"));
        line.map(str::to_owned).collect()
    }

    /// The serial number of what is served under a name.
    fn serial(&self, name: &str) -> String {
        let said = self.ask(&format!("show ssl cert {name}"));
        let found = said.lines().find_map(|line| line.strip_prefix("Serial: "));
        found.unwrap_or_else(|| panic!("{name}: {said}")).to_owned()
    }

    fn wait_until_issued(&self, count: usize) {
        let all = until(|| self.authority.issued() >= count && self.is_scheduled());
        let issued = self.authority.issued();
        assert!(
            all,
            "{issued} issued, not {count}; {}",
            self.ask("acme status")
        );
    }

    fn is_scheduled(&self) -> bool {
        self.status(SITE)[2] == "Scheduled"
    }

    /// Waits for a line of the log.
    fn wait_for_line(&self, part: &str) -> String {
        loop {
            let line = self.syslog.line();
            if line.contains(part) {
                return line;
            }
        }
    }

    fn stop(&mut self) {
        self.rig.binary().signal(Signal::Terminate);
        assert!(self.rig.binary().wait().success(), "it ends well");
    }

    fn file(&self, name: &str) -> String {
        let path = self.rig.path("kept").join(name);
        let text = fs::read_to_string(&path);
        text.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Names of files in the folder of certificates.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.rig.path("kept")).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// That requests are answered whatever the authority does.
    fn serves(&self) {
        assert_eq!(self.rig.get("/").text(), "here");
    }
}

const SITE: &str = "@kept/site.pem";

/// The private key of a PEM text.
fn key_of(text: &str) -> &str {
    let start = text.find("-----BEGIN PRIVATE KEY").expect("a key");
    &text[start..]
}

#[test]
fn certificates_are_issued_kept_and_found_again() {
    let mut stage = Stage::new();
    stage.authority.behave(Manners::Forgetful);
    stage.start("");
    stage.wait_until_issued(1);
    stage.wait_for_line("acme: @kept/site.pem: Successful update of the certificate.");
    let serial = stage.serial(SITE);
    let said = stage.ask(&format!("show ssl cert {SITE}"));
    assert!(
        said.contains("Subject Alternative Name: DNS:www.site.test, DNS:site.test"),
        "{said}"
    );
    let status = stage.status(SITE);
    assert_eq!(
        (status[1].as_str(), status[2].as_str()),
        ("LE", "Scheduled")
    );
    assert!(
        status[6].starts_with("82d "),
        "a twelfth of 90 days before the end: {status:?}"
    );
    // Nothing else lies about, nobody else can read it, and no token is answered any more.
    assert_eq!(stage.files(), ["account.key", "site.pem"]);
    for name in stage.files() {
        let mode = fs::metadata(stage.rig.path("kept").join(name))
            .expect("a file")
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }
    assert_eq!(stage.ask("show map virt@acme").trim(), "");
    stage.ask("reload");
    assert_eq!(stage.serial(SITE), serial);
    stage.stop();
    stage.start("");
    assert_eq!(stage.serial(SITE), serial);
    assert!(stage.is_scheduled());
    assert_eq!(
        (stage.authority.issued(), stage.authority.accounts()),
        (1, 1)
    );
}

#[test]
fn certificates_are_renewed_before_they_end_and_when_told() {
    let mut stage = Stage::new();
    let due = stage.authority.made("site.test", 86_400);
    stage.rig.file("kept/site.pem", &due);
    stage.start("    reuse-key on\n");
    let mut kept = stage.rig.client();
    kept.send("GET / HTTP/1.1\r\nHost: site.test\r\n\r\n");
    assert_eq!(kept.response().text(), "here");
    stage.wait_until_issued(1);
    stage.wait_for_line("Successful update");
    let (first, text) = (stage.serial(SITE), stage.file("site.pem"));
    assert_eq!(
        key_of(&text).replace('\n', ""),
        key_of(&due).replace('\n', "")
    );
    assert_eq!(stage.ask(&format!("acme renew {SITE}")), "\n");
    stage.wait_until_issued(2);
    stage.wait_for_line("Successful update");
    assert_ne!(stage.serial(SITE), first);
    assert_ne!(stage.file("site.pem"), text);
    // A connection of before goes on.
    kept.send("GET / HTTP/1.1\r\nHost: site.test\r\n\r\n");
    assert_eq!(kept.response().text(), "here");
    // Another key is made unless it is to be kept.
    stage.rig.file("haproxy.cfg", &stage.configuration(""));
    assert!(stage.ask("reload").starts_with("Success=1"));
    stage.ask(&format!("acme renew {SITE}"));
    stage.wait_until_issued(3);
    stage.wait_for_line("Successful update");
    assert_ne!(key_of(&stage.file("site.pem")), key_of(&text));
    for (line, refusal) in [
        ("acme renew", ": not enough parameters"),
        ("acme renew x", "Can't find the certificate 'x'."),
    ] {
        assert_eq!(stage.ask(line).trim(), refusal);
    }
}

#[test]
fn a_key_without_its_certificate_keeps_nobody_from_starting() {
    let mut stage = Stage::new();
    let [one, other] = [0, 1].map(|_| stage.authority.made("site.test", 30 * 86_400));
    let chain = one.replace(key_of(&one), "");
    stage.rig.file("kept/site.pem", &(chain + key_of(&other)));
    stage.start("");
    let told = "does not belong to its key";
    let binary = stage.rig.binary();
    assert!(until(|| binary.said().contains(told)), "{}", binary.said());
    stage.wait_until_issued(1);
    stage.wait_for_line("Successful update");
    stage.serves();
}

#[test]
fn authorities_that_fail_are_told_and_change_nothing() {
    for (manners, why) in [
        (
            Manners::Refusing,
            "status 403, \"not you\" (urn:ietf:params:acme:error:rejectedIdentifier)",
        ),
        (Manners::Babbling, "is no directory"),
        (Manners::Endless, "the answer is too long"),
        (Manners::Grasping, "nobody asked for 'bank.test'"),
        (
            Manners::Confused,
            "its private key belongs to another certificate",
        ),
    ] {
        let mut stage = Stage::new();
        stage.authority.behave(manners);
        stage.start("");
        let line = stage.wait_for_line("<131>");
        assert!(
            line.contains("acme: @kept/site.pem: ") && line.contains(why),
            "{manners:?}: {line}"
        );
        stage.serves();
        assert!(
            !stage.files().contains(&"site.pem".to_owned()),
            "{manners:?}"
        );
        // It is asked again later by itself, and now when somebody wants it.
        stage.authority.behave(Manners::Honest);
        assert_eq!(
            stage.ask(&format!("acme renew {SITE}")),
            "\n",
            "{manners:?}"
        );
        stage.wait_for_line("Successful update");
        assert_eq!(stage.files(), ["account.key", "site.pem"], "{manners:?}");
    }
}

#[test]
fn what_is_not_ours_is_not_validated() {
    let mut stage = Stage::new();
    // All names lead to somebody else.
    let other = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwho?";
    let elsewhere = stage
        .rig
        .origin_with("elsewhere", |_| Reply::SendAndClose(other.into()));
    stage.authority = Authority::start(elsewhere.address);
    stage.start("");
    let line = stage.wait_for_line("<131>");
    let why = "'www.site.test' was not validated: it answers something else";
    assert!(line.contains(why), "{line}");
    assert_eq!(
        stage.ask("show map virt@acme").trim(),
        "",
        "the token is taken back"
    );
}

#[test]
fn a_frontend_may_name_the_authority_of_its_certificate() {
    let mut stage = Stage::new();
    let path = stage.rig.path("kept").join("site.pem");
    let path = path.to_str().unwrap().to_owned();
    let text = stage.configuration("");
    let store = text.split("crt-store kept").nth(1).unwrap();
    let store = store.split("acme LE\n").next().unwrap().to_owned();
    let text = text.replace(&format!("crt-store kept{store}"), "");
    let own = format!(" ssl\n    ssl-f-use crt {path} acme LE domains \"www.site.test,site.test\"");
    let text = text.replace(" ssl crt @kept/site.pem", &own);
    let file = stage.rig.file("haproxy.cfg", &text);
    let mut command = Command::new(PLIMSOLL);
    command.args(["-db", "-f"]).arg(file);
    stage.rig.start(command, stage.web);
    stage.wait_for_line("Successful update");
    assert_eq!(stage.authority.issued(), 1);
    assert!(until(|| stage.status(&path)[2] == "Scheduled"));
    assert!(stage.file("site.pem").contains("BEGIN CERTIFICATE"));
    stage.stop();
}

#[test]
fn a_silent_authority_keeps_nobody_waiting() {
    let mut stage = Stage::new();
    let other = Authority::start(stage.web);
    stage.authority.behave(Manners::Silent);
    let more = format!(
        "acme other\n    directory {}\n    keytype ECDSA\n    curves P-256\n    map virt@acme\n    account-key {}\n\
         crt-store other\n    load crt {} acme other domains other.test\n",
        other.directory(),
        stage.rig.path("other.key").display(),
        stage.rig.path("other.pem").display(),
    );
    stage.start(&more);
    stage.wait_for_line("Successful update");
    assert_eq!(other.issued(), 1);
    stage.serves();
    assert_eq!(stage.status(SITE)[2], "Running");
    let refused = stage.ask(&format!("acme renew {SITE}"));
    assert!(refused.contains("Task already exists"), "{refused}");
    stage.stop();
}

#[test]
fn what_cannot_be_written_is_served_and_kept_in_memory() {
    let mut stage = Stage::new();
    let text = stage.configuration("");
    let text = text.replace("load crt site.pem", "load crt missing/site.pem");
    let text = text.replace("@kept/site.pem", "@kept/missing/site.pem");
    let path = stage.rig.file("haproxy.cfg", &text);
    let mut command = Command::new(PLIMSOLL);
    command.args(["-db", "-f"]).arg(path);
    stage.rig.start(command, stage.web);
    let line = stage.wait_for_line("<131>");
    assert!(
        line.contains("it is served, but cannot be written"),
        "{line}"
    );
    let serial = stage.serial("@kept/missing/site.pem");
    assert!(stage.ask("reload").starts_with("Success=1"));
    assert_eq!(
        stage.serial("@kept/missing/site.pem"),
        serial,
        "nothing stands in for it"
    );
    let dumped = stage.ask("dump ssl cert @kept/missing/site.pem");
    assert!(
        dumped.starts_with("-----BEGIN PRIVATE KEY-----\n"),
        "{dumped}"
    );
    assert_eq!(dumped.matches("BEGIN CERTIFICATE").count(), 2, "{dumped}");
}

// ---- Pebble, the authority that Let's Encrypt tests by

/// A running Pebble, with a name server that leads all names to this machine.
struct Pebble {
    rig: Rig,
    directory: String,
    management: String,
}

impl Pebble {
    /// One that binds accounts to another, validates at these addresses and forgets three nonces of ten.
    fn start(pebble: &Path, names: &Path, web: SocketAddr, secure: SocketAddr) -> Self {
        let mut rig = Rig::new();
        let [listen, management, dns, other] = [(); 4].map(|()| free_address());
        let key = rcgen::KeyPair::generate().expect("a key");
        let own = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]);
        let own = own
            .and_then(|own| own.self_signed(&key))
            .expect("a certificate");
        let certificate = rig.file("own.pem", &pem("CERTIFICATE", own.der()));
        let key = rig.file("own.key", &pem("PRIVATE KEY", &key.serialize_der()));
        let settings = json!({ "pebble": {
            "listenAddress": listen.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": certificate,
            "privateKey": key,
            "httpPort": web.port(),
            "tlsPort": secure.port(),
            "externalAccountBindingRequired": true,
            "externalAccountMACKeys": { "kid-1": EXTERNAL_KEY },
        }});
        let settings = rig.file("pebble.json", &settings.to_string());
        let mut command = Command::new(names);
        command.args([
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-defaultIPv6",
            "",
        ]);
        command.args([
            "-dns01",
            &dns.to_string(),
            "-management",
            &other.to_string(),
        ]);
        rig.start(command, dns);
        let mut command = Command::new(pebble);
        command.arg("-config").arg(settings);
        command.args(["-dnsserver", &dns.to_string()]);
        command.env("PEBBLE_VA_NOSLEEP", "1");
        command.env("PEBBLE_WFE_NONCEREJECT", "30");
        rig.start(command, listen);
        Self {
            directory: format!("https://{listen}/dir"),
            management: format!("https://{management}"),
            rig,
        }
    }

    /// The certificate that all of its chains end at.
    fn root(&self, curl: &Path) -> PathBuf {
        let url = format!("{}/roots/0", self.management);
        let outcome = run(Command::new(curl).args(["-sSk", "--max-time", "60", &url]));
        self.rig.file("root.pem", &outcome.stdout)
    }
}

const EXTERNAL_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// A connection over TLS that stays open.
struct Secure {
    client: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Secure {
    fn open(openssl: &Path, address: SocketAddr, name: &str) -> Self {
        let mut command = Command::new(openssl);
        command.args(["s_client", "-quiet", "-connect", &address.to_string()]);
        command.args(["-servername", name, "-alpn", "http/1.1"]);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = command.stderr(Stdio::null()).spawn().expect("openssl");
        let answers = BufReader::new(client.stdout.take().expect("a pipe"));
        Self { client, answers }
    }

    fn get(&mut self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: site.test\r\n\r\n");
        let stdin = self.client.stdin.as_mut().expect("a pipe");
        stdin
            .write_all(request.as_bytes())
            .expect("it takes a request");
        let (mut head, mut body) = (String::new(), [0; 4]);
        while !head.ends_with("\r\n\r\n") {
            let count = self.answers.read_line(&mut head).expect("an answer");
            assert!(count > 0, "the connection ended after {head:?}");
        }
        std::io::Read::read_exact(&mut self.answers, &mut body).expect("a body");
        String::from_utf8_lossy(&body).into_owned()
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

#[test]
fn pebble_issues_by_both_challenges_and_nobody_is_cut_off() {
    let programs = ["pebble", "pebble-challtestsrv", "openssl", "curl"].map(require_peer);
    let [Some(pebble), Some(names), Some(openssl), Some(curl)] = programs else {
        return;
    };
    let mut stage = Stage::new();
    let pebble = Pebble::start(&pebble, &names, stage.web, stage.secure);
    stage.rig.file("id", "kid-1\n");
    stage.rig.file("mac", &format!("{EXTERNAL_KEY}\n"));
    // A key of RSA takes its time to be made.
    let kept = "../policy/tests/tls/pair.pem.rsa";
    let kept = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(kept));
    stage.rig.file("hands.key", &kept.expect("a key for tests"));
    let folder = stage.rig.path("");
    let folder = folder.display();
    let external = format!("eab-key-id {folder}/id\n    eab-mac-key {folder}/mac\n");
    let more = format!(
        "    {external}acme hands\n    directory {}\n    account-key {folder}/hands.key\n    {external}    \
         challenge tls-alpn-01\n    keytype ECDSA\n    curves P-384\n\
         crt-store hands\n    load crt {folder}/hands.pem alias pair key {folder}/hands.pem.key acme hands domains hands.test ips 127.0.0.1\n",
        pebble.directory,
    );
    let text = stage.configuration(&more);
    let text = text.replace(&stage.authority.directory(), &pebble.directory);
    let both = "crt @kept/site.pem crt @hands/pair";
    let text = text.replace("crt @kept/site.pem", both);
    let believed = format!(
        "global\n    httpclient.ssl.ca-file {}\n",
        pebble.rig.path("own.pem").display()
    );
    let text = text.replacen("global\n", &believed, 1);
    let path = stage.rig.file("haproxy.cfg", &text);
    let mut command = Command::new(PLIMSOLL);
    command.args(["-db", "-f"]).arg(path);
    stage.rig.start(command, stage.web);
    for _ in 0..2 {
        let line = stage.wait_for_line("acme: ");
        let line = match line.contains("Starting") {
            true => stage.wait_for_line("update of the certificate"),
            false => line,
        };
        assert!(!line.contains("<131>"), "{line}");
    }
    let issued = || ["site.test", "hands.test"].map(|name| reached(&curl, &stage, &pebble, name));
    assert!(until(|| issued() == ["here", "here"]), "{:?}", issued());
    // One more of each, under the eyes of a client.
    let mut before = Secure::open(&openssl, stage.secure, "site.test");
    assert_eq!(before.get("/"), "here");
    let serial = stage.serial(SITE);
    assert_eq!(stage.ask(&format!("acme renew {SITE}")), "\n");
    assert!(
        until(|| stage.serial(SITE) != serial),
        "{}",
        stage.ask("acme status")
    );
    assert_eq!(before.get("/"), "here");
    assert_eq!(reached(&curl, &stage, &pebble, "site.test"), "here");
}

/// What a client that believes Pebble alone is answered.
fn reached(curl: &Path, stage: &Stage, pebble: &Pebble, name: &str) -> String {
    let port = stage.secure.port();
    let outcome = run(Command::new(curl)
        .args([
            "-sS",
            "--max-time",
            "60",
            "--resolve",
            &format!("{name}:{port}:127.0.0.1"),
            "--cacert",
        ])
        .arg(pebble.root(curl))
        .arg(format!("https://{name}:{port}/")));
    outcome.stdout
}
