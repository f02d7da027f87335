//! Whole files: what they mean, or what is wrong with them, beside each of them in `cases/*.expected`.
//!
//! `UPDATE_CASES=1` writes the expectations again; read what changed before committing it.

mod config_support;

use std::fmt::{Debug, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use config_support::{Outcome, SmallMachine, load_text, shared};
use plimsoll_config::diagnostic::{DIAGNOSTICS_MAX, Diagnostic, Kind, Severity};
use plimsoll_config::source::{Environment, MemoryLoader, Sources};
use plimsoll_policy::keyword::haproxy::{Context, listen_to};
use plimsoll_policy::model::{
    Backend, BackendId, Bind, BindAddress, Frontend, Global, Mode, Model, Server, ServerAddress,
};
use plimsoll_policy::stick_table::{KeyType, TableSpec};
use proptest::prelude::*;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// A problem on one line, with its cause and help.
fn told(problem: &Diagnostic, sources: &Sources) -> String {
    let place = sources.location(problem.span.file, problem.span.start);
    let severity = match problem.severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let mut line = format!(
        "{}:{}: {severity}[{:?}]: {}",
        place.line, place.column, problem.kind, problem.message
    );
    for (name, text) in [("cause", &problem.cause), ("help", &problem.help)] {
        if let Some(text) = text {
            let _ = write!(line, "\n    {name}: {text}");
        }
    }
    line
}

/// The fields of a structure's debug form, at its own level.
fn fields(value: &dyn Debug) -> Vec<String> {
    let text = format!("{value:?}");
    let body = text
        .split_once('{')
        .map_or("", |(_, body)| body)
        .trim_end_matches('}');
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let separates = |character: char| {
        match character {
            '"' if !escaped => quoted = !quoted,
            '{' | '[' | '(' if !quoted => depth += 1,
            '}' | ']' | ')' if !quoted => depth -= 1,
            _ => {}
        }
        escaped = character == '\\' && !escaped;
        character == ',' && depth == 0 && !quoted
    };
    body.split(separates)
        .map(|field| field.trim().to_owned())
        .collect()
}

/// What differs from an empty value, so that a new field does not change every file.
fn show(text: &mut String, title: &str, value: &dyn Debug, empty: &dyn Debug) {
    let usual = fields(empty);
    let mut told: Vec<_> = fields(value)
        .into_iter()
        .filter(|field| !usual.contains(field))
        .collect();
    told.retain(|field| {
        ![
            "binds: [",
            "servers: [",
            "stats_sockets: [",
            "environment: [",
        ]
        .iter()
        .any(|list| field.starts_with(list))
    });
    let _ = writeln!(text, "{title} {}", told.join(", "));
}

fn shown(model: &Model) -> String {
    let mut text = String::new();
    let bind = Bind::new(BindAddress::Abstract(String::new()));
    let server = Server::new("", ServerAddress::Abstract(String::new()));
    show(&mut text, "global", &model.global, &Global::default());
    for socket in &model.global.stats_sockets {
        show(&mut text, "  socket", socket, &bind);
    }
    for frontend in &model.frontends {
        show(&mut text, "frontend", frontend, &Frontend::default());
        for address in &frontend.binds {
            show(&mut text, "  bind", address, &bind);
        }
    }
    for backend in &model.backends {
        show(&mut text, "backend", backend, &Backend::default());
        for member in &backend.servers {
            show(&mut text, "  server", member, &server);
        }
    }
    for table in &model.tables {
        let empty = TableSpec::new("", KeyType::Ipv4, 0);
        show(&mut text, "table", table, &empty);
    }
    text
}

fn expectation(outcome: &Outcome) -> String {
    let mut text = String::new();
    for problem in &outcome.diagnostics {
        let _ = writeln!(text, "{}", told(problem, &outcome.sources));
    }
    match &outcome.model {
        Some(model) => text.push_str(&shown(model)),
        None => text.push_str("no model\n"),
    }
    text
}

#[test]
fn files_mean_what_is_written_beside_them() {
    let mut seen = 0;
    let mut wrong = String::new();
    let files = fs::read_dir(cases()).expect("the cases are part of the checkout");
    let mut files: Vec<_> = files.map(|file| file.expect("a case").path()).collect();
    files.sort();
    for path in files
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "cfg"))
    {
        let text = fs::read(path).expect("a case can be read");
        let loader = MemoryLoader::new().file("/errors/503.http", "HTTP/1.0 503 Busy\r\n\r\n");
        let made = expectation(&load_text("case.cfg", text, loader));
        let beside = path.with_extension("expected");
        if env::var_os("UPDATE_CASES").is_some() {
            fs::write(&beside, &made).expect("an expectation can be written");
        }
        let kept = fs::read_to_string(&beside).unwrap_or_default();
        if kept != made {
            let _ = writeln!(wrong, "--- {}\n{made}", path.display());
        }
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} cases were found");
    assert!(wrong.is_empty(), "{wrong}");
}

/// The configuration in a Markdown page, from the line `first` on, up to the end of its block.
fn excerpt(page: &str, first: &str) -> String {
    let lines = page.lines().skip_while(|line| line.trim() != first);
    let block = lines.take_while(|line| !line.trim_start().starts_with("```"));
    block.map(|line| format!("{line}\n")).collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
fn the_first_users_files_load() {
    for (page, hosts) in [
        ("lab-guide.txt", true),
        ("haproxy-keepalived-deployment.txt", false),
    ] {
        let Ok(text) = fs::read_to_string(shared("seeds").join(page)) else {
            eprintln!("SKIPPED: there are no seeds beside this checkout");
            return;
        };
        let mut text = excerpt(&text, "global");
        if hosts {
            text = text
                .replace("lab-app-a", "app")
                .replace("lab-app-b", "localhost");
        }
        let outcome = load_text(page, text, MemoryLoader::new());
        let told: Vec<_> = outcome
            .diagnostics
            .iter()
            .map(|problem| told(problem, &outcome.sources))
            .collect();
        let model = outcome.model.unwrap_or_else(|| panic!("{page}: {told:#?}"));
        assert_eq!(model.frontends.len(), 2, "{page}");
        assert!(
            model
                .backends
                .iter()
                .any(|backend| backend.servers.len() >= 2),
            "{page}"
        );
        let quiet = |problem: &Diagnostic| {
            problem.kind == Kind::NotImplemented
                || problem.severity == Severity::Note
                // HAProxy warns of this line too.
                || problem.message.ends_with("without 'option httpchk' does nothing")
        };
        assert!(outcome.diagnostics.iter().all(quiet), "{page}: {told:#?}");
    }
}

#[test]
fn a_flood_of_problems_is_cut_and_counted() {
    let notes = "frontend f\nbind :80\ntimeout client 5s\n".to_owned()
        + &"option splice-auto\n".repeat(1_500);
    let outcome = load_text("notes.cfg", notes.clone(), MemoryLoader::new());
    assert!(outcome.model.is_some());
    assert_eq!(outcome.diagnostics.len(), DIAGNOSTICS_MAX + 1);
    assert!(
        outcome
            .diagnostics
            .iter()
            .any(|problem| problem.message == "500 more remarks are not shown")
    );

    let outcome = load_text("both.cfg", notes + "bnid :80\n", MemoryLoader::new());
    assert!(
        outcome
            .diagnostics
            .iter()
            .any(|problem| problem.help.as_deref() == Some("did you mean 'bind'?"))
    );

    let errors = "global\n".to_owned() + &"bnid\n".repeat(100_000);
    let outcome = load_text("errors.cfg", errors, MemoryLoader::new());
    assert!(outcome.model.is_none());
    assert!(outcome.diagnostics.len() <= DIAGNOSTICS_MAX + 2);
}

#[test]
fn more_than_can_be_served_is_refused() {
    let cases = [
        (
            "backend b\n".to_owned() + &"server-template a 10000 192.0.2.1:80\n".repeat(21),
            "200000 servers",
        ),
        (
            "frontend f\n".to_owned() + &"bind :1-4096\n".repeat(17),
            "65536 listening addresses",
        ),
        (
            "backend b\nserver-template a 10001 192.0.2.1:80\n".to_owned(),
            "'10001' is not a number of servers",
        ),
        (
            "frontend f\nbind :1-4097\n".to_owned(),
            "these ports cannot be listened on",
        ),
    ];
    for (text, complaint) in cases {
        let outcome = load_text("many.cfg", text, MemoryLoader::new());
        let told = outcome
            .diagnostics
            .iter()
            .any(|problem| problem.message.contains(complaint));
        assert!(told && outcome.model.is_none(), "{complaint}");
    }
}

#[test]
fn two_addresses_make_a_proxy() {
    let files = MemoryLoader::new();
    let context = Context {
        files: &files,
        machine: &SmallMachine,
        sources: &Sources::new(),
        environment: &Environment::new(),
    };
    let model =
        listen_to(":8080", &["app:80", "192.0.2.8:81"], &context).expect("both can be resolved");
    assert_eq!((model.frontends.len(), model.backends.len()), (1, 1));
    assert_eq!(model.frontends[0].default_backend, Some(BackendId(0)));
    assert_eq!(model.frontends[0].mode, Mode::Http);
    let names: Vec<_> = model.backends[0]
        .servers
        .iter()
        .map(|server| server.name.as_str())
        .collect();
    assert_eq!(names, ["s1", "s2"]);
    assert!(model.backends[0].timeouts.server_ms.is_some());

    let problems =
        listen_to("8080", &["nowhere.example:80", "a b"], &context).expect_err("nothing fits");
    assert_eq!(problems.len(), 3, "{problems:?}");
}

/// Words that mean something somewhere, for texts that come close to configurations.
const WORDS: &[&str] = &[
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "from",
    "bind",
    "server",
    "server-template",
    "default-server",
    "balance",
    "timeout",
    "client",
    "option",
    "httplog",
    "forwardfor",
    "except",
    "log",
    "stdout",
    "local0",
    "no",
    "default",
    "mode",
    "http",
    "tcp",
    "acl",
    "if",
    "{",
    "}",
    "path_beg",
    "a",
    "b",
    "1",
    "-1",
    "80",
    "99999999999999999999",
    ":80",
    "127.0.0.1:1-65535",
    "fd@3",
    "unix@/x",
    "::",
    "hash-type",
    "consistent",
    "uri",
    "len",
    "stick-table",
    "peers",
    "peer",
    "table",
    "store",
    "gpc(3),conn_rate(",
    "10s)",
    "conn_rate(10s),gpc0",
    "write-to",
    "expire",
    "string",
    "type",
    "ip",
    "size",
    "1k",
    "reqrep",
    "^Host:",
    "reqadd",
    "stats",
    "socket",
    "weight",
    "256",
    "check",
    "use_backend",
    "default_backend",
    "maxconn",
    "errorfile",
    "503",
    "retry-on",
    "userlist",
    "id",
    "init-addr",
    "none,libc",
    "random(2)",
    "hdr(",
    ")",
    "\"\"",
    "\\",
    "sample",
    "1-2:3",
    "disabled",
    "dispatch",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_judged(text in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        load_text("any.cfg", text, MemoryLoader::new());
    }

    #[test]
    fn any_words_are_judged(words in proptest::collection::vec((0..WORDS.len(), 0..4_u8), 0..200)) {
        let mut text = String::new();
        for (word, end) in words {
            text.push_str(WORDS[word]);
            text.push(if end == 0 { '\n' } else { ' ' });
        }
        let outcome = load_text("words.cfg", text.clone(), MemoryLoader::new());
        let failed = outcome.diagnostics.iter().any(|problem| problem.severity == Severity::Error);
        prop_assert_eq!(outcome.model.is_none(), failed, "{}", text);
        for problem in &outcome.diagnostics {
            prop_assert!(problem.span.start <= problem.span.end);
            prop_assert!(problem.span.end as usize <= outcome.sources.text(problem.span.file).len());
        }
    }
}
