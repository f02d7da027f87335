//! The statistics page: who may see it, who may change servers there, and what its forms do.

use data_encoding::BASE64;

use crate::rig::client::Client;
use crate::stage::{Case, Stage, case, play};

/// What the lines that judge begin with.
const USERS: &str = "stats uri /stats;stats http-request";

/// Asks once, and writes down what can be compared: the status, the challenge, where the client is sent.
fn ask(stage: &mut Stage, method: &str, fields: &str, body: &str) {
    let mut client = Client::connect(stage.address());
    client.send(format!(
        "{method} /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let response = client.response_to(method);
    let field = |name: &str| response.field(name).unwrap_or("-").to_owned();
    stage.note(format!(
        "{method} {}: {} {}",
        response.status,
        field("www-authenticate"),
        field("location")
    ));
}

fn password(text: &str) -> String {
    format!(
        "Authorization: Basic {}\r\n",
        BASE64.encode(text.as_bytes())
    )
}

/// Three clients: one without a password, one with a wrong one, one with that of the userlist.
fn visited(name: &str, front: &str, lines: usize) -> Case {
    case(name)
        .front(front)
        .talk(|stage| {
            ask(stage, "GET", "", "");
            ask(stage, "GET", &password("none:wrong"), "");
            ask(stage, "GET", &password("none:none"), "");
        })
        .lines(lines)
        .except("HAProxy Statistics", "Plimsoll Statistics")
        // HAProxy logs another status than it sends.
        .except("400 N - - LR", "401 N - - LR")
        .except("400 N - - PR", "403 N - - PR")
        .unordered()
}

#[test]
fn who_may_see_it() {
    let counted = |(name, rules): (&str, &str)| visited(name, rules, 0).counted();
    let asked = format!("{USERS} auth unless {{ http_auth(nobody) }}");
    let named = format!("{USERS} auth realm Ours unless {{ http_auth(nobody) }}");
    let denied = format!("{USERS} deny unless {{ http_auth(nobody) }}");
    let allowed = format!("{USERS} allow if {{ http_auth(nobody) }};stats http-request deny");
    play(
        [
            ("page-asks", asked.as_str()),
            ("page-asks-by-name", &named),
            ("page-denies", &denied),
            ("page-allows", &allowed),
            (
                "page-denies-all",
                "stats uri /stats;stats http-request deny",
            ),
            ("page-of-users", "stats uri /stats;stats auth none:none"),
            (
                "page-unless",
                "stats uri /stats;stats http-request deny unless { src 127.0.0.0/8 }",
            ),
        ]
        .map(counted)
        .into(),
    );
}

#[test]
fn who_may_change_servers() {
    let form = |name: &'static str, admin: &str| {
        case(name)
            .front(&format!("stats uri /stats;{admin}"))
            .talk(move |stage| {
                let body = format!("s=s1&action=drain&b=be-{name}");
                ask(stage, "POST", "", &body);
                ask(stage, "POST", "X-Admin: yes\r\n", &body);
            })
            .unordered()
            .lines(0)
    };
    play(vec![
        form("admin-nobody", ""),
        form("admin-all", "stats admin if TRUE"),
        form("admin-local", "stats admin if LOCALHOST"),
        form("admin-by-address", "stats admin if { src 10.0.0.0/8 }"),
        form("admin-by-field", "stats admin if { req.hdr(x-admin) yes }"),
        form(
            "admin-unless",
            "stats admin unless { req.hdr(x-admin) yes }",
        ),
        form(
            "admin-by-acl",
            "acl mine req.hdr(x-admin) yes;stats admin if mine",
        ),
        form(
            "admin-by-either",
            "stats admin if { src 10.0.0.0/8 };stats admin if { req.hdr(x-admin) yes }",
        ),
    ]);
}

/// The states of a case's servers, as the page's table has them.
fn states(stage: &Stage, backend: &str) -> String {
    let mut client = Client::connect(stage.address());
    client.send("GET /stats;csv HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let table = client.response().text();
    let rows = table.lines().filter(|line| line.starts_with(backend));
    let states = rows.filter_map(|line| line.split(',').nth(17));
    states.collect::<Vec<_>>().join(" | ")
}

#[test]
fn what_forms_do() {
    let actions = "ready drain maint disable disable enable enable stop stop start start hdown hnolb hrunn \
        dhlth ehlth dagent eagent arunn adown shutdown explode";
    let form = |name: &'static str, servers: &'static str| {
        case(name)
            .front("stats uri /stats;stats admin if TRUE")
            .back("server s1 {s1};server s2 {s1} disabled")
            .talk(move |stage| {
                for action in actions.split_whitespace() {
                    let backend = format!("be-{name}");
                    let body = format!("{servers}&action={action}&b={backend}");
                    ask(stage, "POST", "", &body);
                    let states = states(stage, &format!("{backend},"));
                    stage.note(format!("{action}: {states}"));
                }
            })
            .lines(0)
            .unordered()
    };
    play(vec![
        form("form-one", "s=s1"),
        form("form-two", "s=s1&s=s2"),
        form("form-none", "x=y"),
        form("form-unknown", "s=zz"),
        form("form-partly-unknown", "s=s1&s=zz"),
    ]);
}
