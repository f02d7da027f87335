//! `http-check`, `tcp-check`, `external-check`: dialogues of health checks. All are dormant.

use super::CHECKS;
use crate::draft::Draft;
use crate::keyword::{Keyword, Sections, Status};

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    check(
        "external-check command",
        "FILE",
        "Program that checks servers.",
    ),
    check("external-check path", "PATH", "PATH of that program."),
    check("http-check comment", "TEXT", "Names a step."),
    check("http-check connect", "[WORD...]", "Opens a connection."),
    check(
        "http-check disable-on-404",
        "",
        "A server that answers 404 gets no new clients.",
    ),
    check(
        "http-check expect",
        "WORD...",
        "What a healthy server answers.",
    ),
    check("http-check send", "WORD...", "What a server is asked."),
    check("http-check send-state", "", "Tells servers their state."),
    check(
        "http-check set-var",
        "EXPRESSION...",
        "Remembers part of an answer.",
    ),
    check("http-check set-var-fmt", "FORMAT...", "Remembers a text."),
    check("http-check unset-var", "", "Forgets it."),
    check("tcp-check comment", "TEXT", "Names a step."),
    check("tcp-check connect", "[WORD...]", "Opens a connection."),
    check("tcp-check expect", "WORD...", "What a healthy server says."),
    check("tcp-check send", "TEXT [WORD...]", "What a server is told."),
    check(
        "tcp-check send-binary",
        "HEX [WORD...]",
        "What a server is told.",
    ),
    check(
        "tcp-check send-binary-lf",
        "FORMAT [WORD...]",
        "What a server is told.",
    ),
    check(
        "tcp-check send-lf",
        "FORMAT [WORD...]",
        "What a server is told.",
    ),
    check(
        "tcp-check set-var",
        "EXPRESSION...",
        "Remembers part of an answer.",
    ),
    check("tcp-check set-var-fmt", "FORMAT...", "Remembers a text."),
    check("tcp-check unset-var", "", "Forgets it."),
];

const fn check(name: &'static str, usage: &'static str, doc: &'static str) -> Keyword<Draft> {
    Keyword::inert(name, Sections::BACK, usage, doc, Status::Dormant(CHECKS))
}
