//! Every row of the list, and answers that scripts count on.

use std::sync::Arc;

use super::*;
use crate::context::{self, Nowhere};
use crate::model::names::{Follow, Resolvers, ResolversId};
use crate::plane::Plane;
use crate::stats::{Process, testing};

/// Runs lines one after the other, as one admin, and carries out what they ask of servers and frontends.
struct Desk {
    plane: Plane,
    process: Process,
    session: Session,
}

impl Desk {
    fn new(level: AccessLevel) -> Self {
        Self {
            plane: testing::plane(),
            process: testing::process(),
            session: Session::new(level, 10_000),
        }
    }

    fn ask(&mut self, text: &str) -> String {
        self.tell(text, None)
    }

    fn tell(&mut self, text: &str, payload: Option<&str>) -> String {
        let line = line::parse(text.as_bytes());
        let mut answers = String::new();
        for words in &line.commands {
            let view = testing::view(&self.plane, &self.process);
            answers += &run(Words::new(words, payload), view, &mut self.session);
            for change in std::mem::take(&mut self.session.changes) {
                match change {
                    Change::Server(backend, server, change) => {
                        let live = self.plane.backend(backend).server(server);
                        change.apply(live, testing::NOW_MS / 1_000);
                    }
                    Change::Model(model) => self.plane = Plane::build(*model, Some(&self.plane)),
                    Change::Transactions(transactions) => {
                        self.plane.set_transactions(*transactions);
                    }
                    Change::Variable(name, value) => {
                        let now = context::Now::default();
                        self.plane.set_variable(&name, &value, &Nowhere, now);
                    }
                    _ => {}
                }
            }
        }
        answers
    }
}

fn admin() -> Desk {
    Desk::new(AccessLevel::Admin)
}

#[test]
fn rows_are_sorted_unique_and_documented() {
    for pair in COMMANDS.windows(2) {
        assert!(pair[0].path < pair[1].path, "{:?}", pair[1].path);
    }
    for command in COMMANDS {
        let path = command.path.join(" ");
        assert!(command.usage.starts_with(&path), "{}", command.usage);
        assert!(
            !command.doc.is_empty() && !command.doc.ends_with('.'),
            "{path}"
        );
    }
}

/// No row may panic or leave out the empty line, whatever follows its path.
#[test]
fn every_command_survives_any_words() {
    let tails = [
        "",
        "x",
        "app/a",
        "app/a x y z",
        "nope/x 1",
        "app 4 -1",
        "typed json",
        "web -1",
        "\\ / é",
    ];
    for command in COMMANDS {
        for level in [AccessLevel::User, AccessLevel::Operator, AccessLevel::Admin] {
            for tail in tails {
                let mut desk = Desk::new(level);
                let answer = desk.ask(&format!("{} {tail}", command.path.join(" ")));
                if command.path == ["quit"] {
                    assert!(answer.is_empty() && desk.session.ended);
                    continue;
                }
                assert!(answer == "\n" || answer.ends_with("\n\n"), "{answer:?}");
                let denied = answer == "Permission denied\n\n";
                assert!(denied || level >= command.access, "{:?}", command.path);
                assert!(!denied || level < AccessLevel::Admin, "{:?}", command.path);
            }
        }
    }
}

#[test]
fn answers_that_scripts_count_on() {
    let mut desk = admin();
    for (question, answer) in [
        ("", "\n"),
        (";", "\n\n"),
        ("get weight app/a", "50 (initial 50)\n\n"),
        ("set server app/a weight 50%", "\n"),
        ("get weight app/a", "25 (initial 50)\n\n"),
        (
            "set weight app/a 30;get weight app/a",
            "\n30 (initial 50)\n\n",
        ),
        ("get weight nope/a", "No such backend.\n\n"),
        ("get weight app/nope", "No such server.\n\n"),
        ("get weight", "Require 'backend/server'.\n\n"),
        ("get weight #3/#1", "30 (initial 50)\n\n"),
        ("show servers state nope", "Can't find backend.\n\n"),
        ("show backend", "# name\napp\nraw\n\n"),
        ("show env AB", "AB=2\n\n"),
        ("show env B", "Variable not found\n\n"),
        ("set server app/a addr 127.0.0.1", "nothing changed\n\n"),
        (
            "set server app/a addr 127.0.0.3 port 99",
            "IP changed from '127.0.0.1' to '127.0.0.3', port changed from '8001' to '99' by 'stats socket command'\n\n",
        ),
        (
            "clear counters server app/a",
            "Server counters cleared.\n\n",
        ),
        ("show cli level;user;show cli level", "admin\n\n\nuser\n\n"),
        ("set weight app/a 3", "Permission denied\n\n"),
        ("operator", "Permission denied\n\n"),
    ] {
        assert_eq!(desk.ask(question), answer, "{question}");
    }
}

#[test]
fn commands_of_haproxys_that_are_absent_say_why() {
    for pair in ABSENT.windows(2) {
        assert!(pair[0].path < pair[1].path, "{:?}", pair[1].path);
    }
    let mut desk = admin();
    for absent in ABSENT {
        let path = absent.path.join(" ");
        let known = COMMANDS
            .iter()
            .find(|command| command.path.starts_with(absent.path));
        assert!(known.is_none(), "'{path}' is there");
        assert_eq!(
            desk.ask(&format!("{path} x")),
            format!("'{path}' is not here: {}.\n\n", absent.why)
        );
    }
}

#[test]
fn errors_say_how_bad_they_are_on_request() {
    let mut desk = admin();
    for (question, answer) in [
        ("set severity-output number", "\n"),
        ("get weight nope/a", "[3]: No such backend.\n\n"),
        ("get weight app/a", "50 (initial 50)\n\n"),
        ("set severity-output string", "\n"),
        ("show fd", "[err]: 'show fd' is not here: "),
        ("nonsense", "[info]: Unknown command: 'nonsense'"),
        ("user; set weight app/a 1", "\n[err]: Permission denied\n\n"),
        ("set severity-output none", "\n"),
        ("get weight nope/a", "No such backend.\n\n"),
        (
            "set severity-output",
            "one of 'none', 'number', 'string' is a required argument\n\n",
        ),
    ] {
        assert!(desk.ask(question).starts_with(answer), "{question}");
    }
}

#[test]
fn the_rate_of_connections_is_limited() {
    let mut desk = admin();
    for (words, rate) in [
        ("connections global 7", Some(7)),
        ("sessions global 9", Some(9)),
        ("connections global 0", None),
    ] {
        assert_eq!(desk.ask(&format!("set rate-limit {words}")), "\n");
        assert_eq!(desk.plane.model.global.connection_rate, rate);
    }
    let refused = desk.ask("set rate-limit http-compression global 1");
    assert!(refused.starts_with("'set rate-limit' only supports :\n"));
    let refused = desk.ask("set rate-limit sessions global -1");
    assert_eq!(refused, "Value out of range.\n\n");
}

#[test]
fn what_is_kept_is_shown_in_haproxys_lines() {
    let mut desk = admin();
    let head = "  - Pool head (100 bytes/8) : 4 allocated (400 bytes), 0 used (~4 by thread caches), needed_avg 0, \
                0 failures, 2 users\n";
    let idle = "  - Pool idle_conn (500 bytes/8) : 2 allocated (1000 bytes), 2 used (~0 by thread caches), needed_avg 0, \
                0 failures, 2 users\n";
    for (words, shown) in [
        (
            "byusage 2",
            format!(
                "{idle}{head}Total: 2 pools, 1400 bytes allocated, 1000 used (~400 by thread caches).\n"
            ),
        ),
        (
            "match he",
            format!("{head}Total: 1 pools, 400 bytes allocated, 0 used (~400 by thread caches).\n"),
        ),
    ] {
        let answer = desk.ask(&format!("show pools {words}"));
        assert_eq!(answer, format!("Dumping pools usage.\n{shown}\n"));
    }
    assert!(
        desk.ask("show pools x")
            .starts_with("Expects either 'byname'")
    );
}

#[test]
fn prompts_take_turns() {
    let mut desk = admin();
    for (command, interactive, prompts, prompt) in [
        ("prompt", true, true, "> "),
        ("prompt", false, false, "> "),
        ("prompt i", true, false, "> "),
        ("prompt", true, true, "> "),
        ("prompt timed", true, true, "[1:01:01:05]> "),
        ("prompt n timed", false, false, "> "),
        ("prompt timed", true, true, "[1:01:01:05]> "),
        ("prompt x", true, true, "[1:01:01:05]> "),
    ] {
        desk.ask(command);
        let session = &desk.session;
        let uptime_s = 86_400 + 3_600 + 65;
        assert_eq!(
            (
                session.interactive,
                session.prompts,
                &*prompt_text(session, uptime_s)
            ),
            (interactive, prompts, prompt),
            "{command}"
        );
    }
}

#[test]
fn name_servers_are_a_domain_of_statistics() {
    let mut desk = admin();
    let head = "# id,pid,sent,send_error,valid,update,cname,cname_error,any_err,nx,timeout,refused,other,invalid,too_big,\
                truncated,outdated,\n";
    assert_eq!(desk.ask("show stat domain resolvers"), format!("{head}\n"));
    for (words, answer) in [
        ("resolvers json", "Name servers are told as CSV only.\n\n"),
        ("clocks", "Invalid statistics domain.\n\n"),
    ] {
        assert_eq!(desk.ask(&format!("show stat domain {words}")), answer);
    }
}

#[test]
fn a_guid_is_given_once() {
    let mut desk = admin();
    let taken = "Another frontend, backend or server has this guid.\n\n";
    for (command, answer) in [
        (
            "add server app/m 127.0.0.1:1 guid x",
            "New server registered.\n\n",
        ),
        ("add server app/n 127.0.0.1:2 guid x", taken),
        (
            "add server app/n 127.0.0.1:2 guid y",
            "New server registered.\n\n",
        ),
    ] {
        assert_eq!(desk.ask(command), answer, "{command}");
    }
    let file = desk.ask("dump stats-file");
    assert!(
        file.starts_with("#fe guid,stot,bin,") && file.contains("\n#be guid,stot,"),
        "{file}"
    );
    assert!(file.contains("\nx,") && file.contains("\ny,"), "{file}");
}

#[test]
fn there_are_no_rings() {
    let mut desk = admin();
    assert!(
        desk.ask("show events")
            .contains("\n    stderr     : type=fd")
    );
    for (sink, answer) in [
        ("stdout", "Nothing to report for this sink\n\n"),
        (
            "buf0",
            "No such event sink: there are no rings, 'buf0' neither.\n\n",
        ),
    ] {
        assert_eq!(desk.ask(&format!("show events {sink}")), answer);
    }
}

#[test]
fn messages_that_were_not_acceptable_are_shown_as_haproxy_does() {
    let mut desk = admin();
    let total = "Total events captured on [14/Nov/2023:22:14:21.500] : 7\n";
    let bytes = concat!(
        "  buffer starts at 0 (including 0 out), 16358 free,\n",
        "  len 26, wraps at 16384, error at position 17\n  invalid_name: a name is none :\n  \n",
        "  00000  GET / HTTP/1.1\\r\\n\n  00016  a/b: c\\r\\n\n  00024  \\r\\n\n",
    );
    let request = format!(
        " \n[14/Nov/2023:22:13:20.000] frontend web (#2): invalid request\n  backend <NONE> (#-1), server <NONE> (#-1), \
         event #0, src 10.0.0.1:99\n{bytes}"
    );
    let response = format!(
        " \n[14/Nov/2023:22:13:20.000] backend app (#3): invalid response\n  frontend web (#2), server b (#2), \
         event #6, src unix:0\n{bytes}"
    );
    for (words, shown) in [
        ("", [&*request, &response].concat()),
        ("-1 response", response.clone()),
        ("web request", request),
        ("app", response.clone()),
        ("2 response", response),
        ("raw", String::new()),
    ] {
        let answer = desk.ask(&format!("show errors {words}"));
        assert_eq!(answer, format!("{total}{shown}\n"), "{words}");
    }
    assert_eq!(desk.ask("show errors nope"), "No such proxy.\n\n");
}

#[test]
fn server_states_are_numbers_in_columns() {
    let mut desk = admin();
    desk.ask("set server app/a state drain; set server app/b state maint");
    let text = desk.ask("show servers state app");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "1");
    assert_eq!(lines[1].split(' ').count(), 26, "25 columns behind a mark");
    assert_eq!(
        lines[2..5],
        [
            "3 app 1 a 127.0.0.1 2 8 50 50 0 1 0 0 0 0 0 0 - 8001 - 0 0 - - 0",
            "3 app 2 b 127.0.0.1 0 1 20 20 0 1 0 2 14 0 0 0 - 8002 - 0 0 - - 0",
            "3 app 3 c 127.0.0.1 0 5 1 1 61 1 0 0 8 0 0 0 - 8003 - 0 0 - - 0",
        ]
    );
    desk.ask("enable server app/b");
    assert!(desk.ask("show stat app 4 2").contains("app,b,"));
    assert!(desk.ask("show stat app 4 2").contains(",UP 1/3,"));
}

#[test]
fn unknown_words_are_answered_with_what_looks_like_them() {
    let mut desk = admin();
    let answer = desk.ask("set maxconn bogus");
    assert!(answer.starts_with("Unknown command: 'set', but maybe one of"));
    assert!(answer.contains("  set maxconn global <value>              : "));
    assert!(!answer.contains("set server"));
    assert!(answer.contains("\n  quit                                    : disconnect\n"));
    assert!(desk.ask("shwo info").contains("show info"));
    assert!(
        desk.ask("zzzzzz")
            .starts_with("Unknown command: 'zzzzzz'. Please")
    );
}

#[test]
fn help_lists_what_matches() {
    let mut desk = admin();
    let all = desk.ask("help");
    for command in COMMANDS {
        assert!(all.contains(command.usage), "{}", command.usage);
    }
    let some = desk.ask("help weight");
    assert!(some.contains("get weight") && some.contains("set weight"));
    assert!(!some.contains("show info"));
}

/// The address of an entry is where it lies, which differs from run to run.
fn without_pointers(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(": key=") {
        Some((pointer, rest)) if pointer.starts_with("0x") => format!("P: key={rest}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// Commands on tables, in this order, and their answers.
const TABLE_DIALOGUE: &[(&str, &str)] = &[
    (
        "show table",
        "# table: names, type: string, size:10, used:0\n# table: clients, type: ip, size:1024, used:0\n\n",
    ),
    (
        "set table clients key 10.0.0.1 data.gpc0 7 data.conn_rate 5",
        "\n",
    ),
    (
        "show table clients",
        "# table: clients, type: ip, size:1024, used:1\nP: key=10.0.0.1 use=0 exp=60000 shard=0 server_id=0 gpc0=7 \
             conn_rate(10000)=5 server_key=- gpt0=0 gpt1=0\n\n",
    ),
    ("set table clients key 10.0.0.2 data.gpt[1] 3", "\n"),
    (
        "show table clients data.gpc0 gt 0",
        "# table: clients, type: ip, size:1024, used:2\nP: key=10.0.0.1 use=0 exp=60000 shard=0 server_id=0 gpc0=7 \
             conn_rate(10000)=5 server_key=- gpt0=0 gpt1=0\n\n",
    ),
    (
        "show table clients key 10.0.0.2",
        "# table: clients, type: ip, size:1024, used:2\nP: key=10.0.0.2 use=0 exp=60000 shard=0 server_id=0 gpc0=0 \
             conn_rate(10000)=0 server_key=- gpt0=0 gpt1=3\n\n",
    ),
    ("show table clients key 10.0.0.3", "\n"),
    ("show table clients key nobody", "Invalid key\n\n"),
    ("show table nothing", "No such table\n\n"),
    (
        "show table clients data.gpc0 is 1",
        "Filter entry #1: Require and operator among \"eq\", \"ne\", \"le\", \"ge\", \"lt\", \"gt\"\n\n",
    ),
    (
        "show table clients data.gpc1 eq 1",
        "Filter entry #1: Data type not stored in this table\n\n",
    ),
    (
        "show table clients data.gpc0 eq 7 data.what eq 1",
        "Filter entry #2: Unknown data type\n\n",
    ),
    (
        "show table clients data.gpc0 eq x",
        "Filter entry #1: Require a valid integer value to compare against\n\n",
    ),
    (
        "set table clients key 10.0.0.1 gpc0 7",
        "\"data.<type>\" followed by a value expected\n\n",
    ),
    (
        "set table clients key 10.0.0.1 data.gpt[2] 7",
        "index out of range in this data array\n\n",
    ),
    (
        "set table clients data.gpc0 eq 1",
        "content-based lookup is only supported with the \"show\" and \"clear\" actions\n\n",
    ),
    (
        "show table clients ptr 10",
        "Pointer expected (0xffff notation)\n\n",
    ),
    ("show table clients ptr 0xg", "Malformed ptr.\n\n"),
    (
        "show table clients ptr 0x1",
        "No entry can be found matching ptr.\n\n",
    ),
    ("clear table clients data.gpc0 lt 5", "\n"),
    ("clear table clients key 10.0.0.9", "\n"),
    (
        "show table clients",
        "# table: clients, type: ip, size:1024, used:1\nP: key=10.0.0.1 use=0 exp=60000 shard=0 server_id=0 gpc0=7 \
             conn_rate(10000)=5 server_key=- gpt0=0 gpt1=0\n\n",
    ),
    ("clear table clients", "\n"),
    ("set table names key a\\ =\\\\b", "\n"),
    (
        "show table names",
        "# table: names, type: string, size:10, used:1\nP: key=a\\ \\=\\\\b use=0 exp=0 shard=0\n\n",
    ),
    (
        "show table",
        "# table: names, type: string, size:10, used:1\n# table: clients, type: ip, size:1024, used:0\n\n",
    ),
];

#[test]
fn tables_are_shown_set_and_cleared() {
    let mut desk = admin();
    for (line, expected) in TABLE_DIALOGUE {
        assert_eq!(without_pointers(&desk.ask(line)), *expected, "{line}");
    }
}

#[test]
fn entries_in_use_and_strangers_are_kept_apart() {
    let mut desk = admin();
    let table = Arc::clone(desk.plane.tables.named("clients").unwrap());
    let key = crate::stick_table::Key::parse(table.spec().key, "10.0.0.1").unwrap();
    let held = table.track(&key, testing::NOW_MS, |_| {});
    let shown = desk.ask("show table clients");
    assert!(shown.contains(" use=1 "), "{shown}");
    let refused = "Entry currently in use, cannot remove\n\n";
    assert_eq!(desk.ask("clear table clients key 10.0.0.1"), refused);
    assert_eq!(desk.ask("clear table clients"), "\n");
    drop(held);
    let pointer = shown
        .lines()
        .nth(1)
        .and_then(|line| line.split(": ").next());
    let pointer = pointer.unwrap().to_owned();
    let by_pointer = desk.ask(&format!("show table clients ptr {pointer}"));
    assert!(by_pointer.contains("key=10.0.0.1 use=0"), "{by_pointer}");

    let mut guest = Desk::new(AccessLevel::User);
    let told = guest.ask("show table clients");
    assert!(
        told.ends_with("# contents not dumped due to insufficient privileges\n\n"),
        "{told}"
    );
    for line in [
        "clear table clients",
        "set table clients key 1.2.3.4",
        "show table clients key 1.2.3.4",
    ] {
        assert_eq!(guest.ask(line), "Permission denied\n\n", "{line}");
    }
}

// ---- Certificates

fn pem(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/");
    std::fs::read_to_string(format!("{folder}{name}")).expect("a certificate for tests")
}

#[test]
fn a_certificate_is_replaced_in_two_steps() {
    let mut desk = admin();
    let (site, rsa) = (pem("site.pem"), pem("rsa.pem"));
    let set = |desk: &mut Desk, name: &str, payload: &str| {
        desk.tell(&format!("set ssl cert {name} <<"), Some(payload))
    };
    let commit = "commit ssl cert a.pem";
    assert_eq!(
        desk.ask("new ssl cert a.pem"),
        "New empty certificate store 'a.pem'!\n\n"
    );
    assert_eq!(
        desk.ask("new ssl cert a.pem"),
        "Certificate 'a.pem' already exists!\n\n"
    );
    assert!(
        desk.ask("show ssl cert a.pem")
            .contains("\nStatus: Empty\n")
    );
    assert_eq!(
        desk.ask(commit),
        "No ongoing transaction! !\nCan't commit a.pem!\n\n"
    );
    let unknown = set(&mut desk, "b.pem", &site);
    assert!(unknown.ends_with("Can't update b.pem!\n\n"), "{unknown}");
    let nonsense = set(&mut desk, "a.pem", "hello");
    assert!(nonsense.contains("no start line"), "{nonsense}");
    let created = "Transaction created for certificate a.pem!\n\n";
    assert_eq!(set(&mut desk, "a.pem", &site), created);
    assert_eq!(
        desk.ask("show ssl cert"),
        "# transaction\n*a.pem\n# filename\na.pem\n\n"
    );
    assert!(
        desk.ask("show ssl cert *a.pem")
            .contains("\nStatus: Uncommitted\n")
    );
    let updated = "Transaction updated for certificate a.pem!\n\n";
    // Another certificate's key does not fit.
    assert_eq!(set(&mut desk, "a.pem.key", &rsa), updated);
    assert!(desk.ask(commit).starts_with("inconsistencies between"));
    assert_eq!(set(&mut desk, "a.pem.key", &site), updated);
    assert_eq!(desk.ask(commit), "Committing a.pem\nSuccess!\n\n");
    let shown = desk.ask("show ssl cert a.pem");
    assert!(
        shown.contains("\nStatus: Unused\n") && shown.contains("EC256"),
        "{shown}"
    );
    assert!(!shown.contains("PRIVATE"));
    assert_eq!(set(&mut desk, "a.pem", &rsa), created);
    assert!(
        desk.ask("del ssl cert a.pem")
            .contains("ongoing transaction")
    );
    let aborted = "Transaction aborted for certificate 'a.pem'!\n\n";
    assert_eq!(desk.ask("abort ssl cert a.pem"), aborted);
    assert!(desk.ask("show ssl cert a.pem").contains("EC256"));
    assert_eq!(
        desk.ask("del ssl cert a.pem"),
        "Certificate 'a.pem' deleted!\n\n"
    );
    assert_eq!(desk.ask("show ssl cert"), "# filename\n\n");
}

#[test]
fn authorities_are_added_and_counted() {
    let mut desk = admin();
    let (one, two) = (pem("ca.pem"), pem("self.pem"));
    assert_eq!(
        desk.ask("new ssl ca-file c"),
        "New CA file created 'c'!\n\n"
    );
    let set = desk.tell("set ssl ca-file c <<", Some(&one));
    assert_eq!(set, "transaction created for CA c!\n\n");
    let add = desk.tell("add ssl ca-file c <<", Some(&(two + &one)));
    assert_eq!(add, "transaction updated for CA c!\n\n");
    assert_eq!(
        desk.ask("commit ssl ca-file c"),
        "Committing c\nSuccess!\n\n"
    );
    assert_eq!(
        desk.ask("show ssl ca-file"),
        "# filename\nc - 2 certificate(s)\n\n"
    );
    let second = desk.ask("show ssl ca-file c:2");
    assert!(
        second.contains("\nCertificate #2:\n") && !second.contains("#1"),
        "{second}"
    );
    assert!(
        desk.ask("show ssl ca-file c:x")
            .starts_with("wrong CA index after colons")
    );
    let wrong = desk.ask("del ssl crl-file c");
    assert!(
        wrong.contains("'del ssl crl-file' does not work on CA files!"),
        "{wrong}"
    );
    let invalid = desk.tell("set ssl ca-file c <<", Some("hello"));
    assert_eq!(invalid, "Invalid payload\nCan't update c!\n\n");
    assert_eq!(desk.ask("del ssl ca-file c"), "CA file 'c' deleted!\n\n");
}

#[test]
fn variables_of_the_process_are_shown() {
    let mut desk = admin();
    let name = crate::variable::Name::parse("proc.x").expect("a name");
    let value = crate::value::Value::Binary(b"a\x00b".to_vec().into());
    assert!(desk.plane.variables.set(&name, value));
    for (line, answer) in [
        ("get var", "Missing process-wide variable identifier.\n\n"),
        ("get var proc.y", "Variable not found.\n\n"),
        ("get var txn.x", "Variable not found.\n\n"),
        ("get var proc.x", "proc.x: type=bin value=<a>\n\n"),
    ] {
        assert_eq!(desk.ask(line), answer, "{line}");
    }
}

#[test]
fn variables_of_the_process_are_set() {
    let mut desk = admin();
    let locked = "This command is restricted to experimental mode only.\n\n";
    assert_eq!(desk.ask("set var proc.x int(1)"), locked);
    desk.session.experimental = true;
    for (line, answer) in [
        ("set var", "Missing process-wide variable identifier.\n\n"),
        (
            "set var proc.x",
            "Missing either 'expr', 'fmt' or expression.\n\n",
        ),
        (
            "set var proc.x frm a",
            "'set var': arg type must be either 'expr' or 'fmt' but got 'frm'.\n\n",
        ),
        ("set var proc.x int(1)", "\n"),
        ("set var proc.x expr var(proc.x),add(2)", "\n"),
        ("get var proc.x", "proc.x: type=sint value=<3>\n\n"),
        ("set var proc.x fmt a%[var(proc.x)]\\ b", "\n"),
        ("get var proc.x", "proc.x: type=str value=<a3 b>\n\n"),
    ] {
        assert_eq!(desk.ask(line), answer, "{line}");
    }
    for (line, part) in [
        ("set var txn.x int(1)", "not a variable of the process"),
        ("set var proc.x itn(1)", "itn"),
        ("set var proc.x str(a),map(/etc/hosts)", "/etc/hosts"),
        ("set var proc.x req.hdr(host)", "req.hdr"),
    ] {
        let answer = desk.ask(line);
        assert!(answer.contains(part), "{line}: {answer}");
    }
}

#[test]
fn servers_follow_another_name() {
    let mut desk = admin();
    let place = "set server app/a fqdn";
    for (line, answer) in [
        ("", "set server <b>/<s> fqdn requires a FQDN.\n\n"),
        (
            " h.example",
            "set server <b>/<s> fqdn failed because no resolution is configured.\n\n",
        ),
    ] {
        assert_eq!(desk.ask(&format!("{place}{line}")), answer, "{line}");
    }
    let mut model = desk.plane.model.clone();
    model.resolvers = vec![Resolvers::new("dns")];
    let mut backends = model.backends.iter_mut();
    let app = backends
        .find(|backend| backend.name == "app")
        .expect("it is there");
    app.servers[0].follows = Some(Arc::new(Follow::later(ResolversId(0))));
    desk.plane = Plane::build(model, Some(&desk.plane));
    for (host, news) in [
        (
            "h.example",
            "app/a changed its FQDN from (null) to h.example",
        ),
        ("h.example", "no need to change the FDQN"),
        (
            "i.example",
            "app/a changed its FQDN from h.example to i.example",
        ),
        ("a/b", "invalid fqdn 'a/b'"),
    ] {
        let answer = format!("{news} by 'stats socket command'\n\n");
        assert_eq!(desk.ask(&format!("{place} {host}")), answer);
    }
    let table = desk.ask("show servers state app");
    let line = table
        .lines()
        .find(|line| line.contains(" a "))
        .expect("a row");
    assert_eq!(line.split(' ').nth(17), Some("i.example"), "{line}");
}
