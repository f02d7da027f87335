//! Every row of the list, and answers that scripts count on.

use super::*;
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
        let line = line::parse(text.as_bytes());
        let mut answers = String::new();
        for words in &line.commands {
            let view = testing::view(&self.plane, &self.process);
            answers += &run(Words::new(words, None), view, &mut self.session);
            for change in std::mem::take(&mut self.session.changes) {
                if let Change::Server(backend, server, change) = change {
                    let live = self.plane.backend(backend).server(server);
                    change.apply(live, testing::NOW_MS / 1_000);
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
        (
            "show errors",
            "Total events captured on [14/Nov/2023:22:14:21.500] : 0\n\n",
        ),
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
            "3 app 1 a 127.0.0.1 2 8 50 50 0 1 0 2 0 0 0 0 - 8001 - 0 0 - - 0",
            "3 app 2 b 127.0.0.1 0 1 20 20 0 1 0 2 6 0 0 0 - 8002 - 0 0 - - 0",
            "3 app 3 c 127.0.0.1 0 5 1 1 61 1 0 2 0 0 0 0 - 8003 - 0 0 - - 0",
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
