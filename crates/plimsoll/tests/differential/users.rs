//! Users and passwords: the same requests are answered by HAProxy and by Plimsoll.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use crate::rig::{DEADLINE, PLIMSOLL, Rig, free_address};
use crate::stage::{reference, version};

/// The password of everybody who has one is `secret`; `openssl passwd` and crypt(3) have made the hashes.
const CONFIGURATION: &str = r#"
userlist people
    group staff users ann,bob
    group guests
    group none users none
    user ann insecure-password secret
    user bob password $1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1 groups guests
    user cid password $5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM. groups guests,staff
    user dan password $6$rounds=1000$salt$HNxBeBnDfSfUrTj6KiLnmd7tGCvHEmcExh8kl/S0cZ5WrCciNZgfhbpkeFQ4JfkHX.8vPq45lY0iINnCx1Lkm.
    user eva password $2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a
    user none
frontend fe
    bind {address}
    http-request auth realm Ours if { path /auth } !{ http_auth(people) }
    http-request auth if { path /own } !{ http_auth(people) }
    http-request deny if { path /staff } !{ http_auth_group(people) staff }
    http-request deny if { path /guests } !{ http_auth_group(people) guests none }
    http-request return status 200 content-type text/plain lf-string "<%[http_auth(people)]> <%[http_auth_group(people)]> <%[http_auth_user]> <%[http_auth_pass]> <%[http_auth_type]> <%[http_auth_bearer]> <%[http_auth_bearer(x-token)]>"
"#;

/// Fields of requests.
fn fields() -> Vec<String> {
    let basic = |text: &str| {
        format!(
            "Authorization: Basic {}",
            data_encoding::BASE64.encode(text.as_bytes())
        )
    };
    let mut fields: Vec<_> = ["ann", "bob", "cid", "dan", "eva", "none", "joe"]
        .iter()
        .flat_map(|user| {
            ["secret", "wrong", "", "secret\0x"].map(|word| basic(&format!("{user}:{word}")))
        })
        .collect();
    let others = [
        "X: y",
        "Authorization: Basic",
        "Authorization: Basic !!!!",
        "Authorization: basic   YW5uOnNlY3JldA==",
        "Authorization: Basic YW5uOnNlY3JldA",
        "Authorization: Basic YW5u",
        "Authorization: Digest YW5uOnNlY3JldA==",
        "Authorization: Bearer a.b.c",
        "Authorization: Bearer   a b",
        "Authorization: Bearer",
        "X-Token: Bearer t",
        "X-Token: Basic t",
        "Proxy-Authorization: Basic YW5uOnNlY3JldA==",
        "Authorization: Basic YW5uOnNlY3JldA==\r\nAuthorization: Basic am9lOnNlY3JldA==",
    ];
    fields.extend(others.map(str::to_owned));
    fields
}

const TARGETS: [&str; 6] = [
    "/",
    "/auth",
    "/own",
    "/staff",
    "/guests",
    "http://a.example/auth",
];

/// The status, who is asked to say who they are, and the body of a rule's answer.
fn answer(address: SocketAddr, target: &str, field: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n{field}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let wanted = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("http/") || line.contains("-authenticate:")
    };
    let mut lines: Vec<_> = head.lines().filter(wanted).map(str::to_owned).collect();
    lines.truncate(2);
    // Names of fields have no case.
    let lines = lines
        .join("\n")
        .replace("WWW-A", "www-a")
        .replace("Proxy-A", "proxy-a");
    match lines.contains(" 200 ") {
        true => format!("{lines}\n{body}"),
        false => lines,
    }
}

fn answers(program: &Path) -> Vec<(String, String)> {
    let address = free_address();
    let mut rig = Rig::new();
    let text = CONFIGURATION.replace("{address}", &address.to_string());
    let defaults =
        "defaults\n mode http\n timeout client 1m\n timeout server 1m\n timeout connect 20s\n";
    rig.serve(program, &(defaults.to_owned() + &text), address);
    let fields = fields();
    let asked = TARGETS
        .iter()
        .flat_map(|target| fields.iter().map(move |field| (*target, field)));
    asked
        .map(|(target, field)| (format!("{target} {field}"), answer(address, target, field)))
        .collect()
}

#[test]
fn users_get_the_same_answers() {
    let Some(reference) = reference() else { return };
    let version = version(&reference);
    if version.0 < 3 {
        eprintln!("SKIPPED: HAProxy {version:?} lacks samples that 3.x has");
        return;
    }
    let (theirs, ours) = (answers(&reference), answers(Path::new(PLIMSOLL)));
    let pairs = theirs.iter().zip(&ours);
    let differing: Vec<_> = pairs
        .filter(|((_, their), (_, our))| their != our)
        .map(|((asked, their), (_, our))| format!("{asked}: {their:?}, ours {our:?}"))
        .collect();
    let all = theirs.len();
    assert!(
        differing.is_empty(),
        "{} of {all} differ\n{}",
        differing.len(),
        differing.join("\n")
    );
    let admitted = ours
        .iter()
        .filter(|(_, answer)| answer.contains("<1> <"))
        .count();
    assert!(
        all >= 200 && admitted >= 8,
        "{admitted} of {all} were admitted"
    );
}
