//! `docs/keywords.md`, made from the rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{bind, keywords, names, section, server};
use crate::context::Phase;
use crate::keyword::{Keyword, Status};
use crate::log_format::alias_rows;
use crate::{action, convert, sample};

/// The statuses in the order of the tables.
const LABELS: [&str; 7] = [
    "implemented",
    "legacy",
    "no effect",
    "dormant",
    "deferred",
    "not yet",
    "refused",
];

/// One line of a table.
struct Entry {
    name: &'static str,
    usage: &'static str,
    places: String,
    doc: &'static str,
    status: Status,
}

/// The reference of all keywords as a Markdown page.
pub fn reference() -> String {
    let tables = [
        ("Lines", lines()),
        ("Words of `bind`", words(bind::OPTIONS)),
        ("Words of `server`", words(server::OPTIONS)),
        ("Sections", sections()),
    ];
    let mut page = String::from(
        "# HAProxy's words, and what Plimsoll makes of them\n\n\
         Made from the rows in `crates/policy/src/keyword/haproxy`; do not edit. `UPDATE_DOCS=1 cargo test -p \
         plimsoll-policy --test keyword` writes it again.\n\n\
         - **implemented**: does what HAProxy's manual says.\n\
         - **legacy**: an old spelling; a warning shows the modern line.\n\
         - **no effect**: accepted, because ignoring it is safe for the reason given; a note says so.\n\
         - **dormant**: accepted and checked, but not active in this version; a warning says so.\n\
         - **deferred**: the same, for words that change no request's fate; a note says so, once.\n\
         - **not yet**: known, and refused until what it waits for is there.\n\
         - **refused**: refused on purpose, with an alternative.\n\n\
         | kind | ",
    );
    let _ = writeln!(page, "{} | total |", LABELS.join(" | "));
    let _ = writeln!(page, "|---|{}", "--:|".repeat(LABELS.len() + 1));
    for (title, entries) in &tables {
        let mut counts = BTreeMap::new();
        for entry in entries {
            *counts.entry(entry.status.label()).or_insert(0_usize) += 1;
        }
        let counts: Vec<_> = LABELS
            .iter()
            .map(|label| counts.get(label).copied().unwrap_or(0).to_string())
            .collect();
        let _ = writeln!(
            page,
            "| {title} | {} | {} |",
            counts.join(" | "),
            entries.len()
        );
    }
    rule_language(&mut page);
    for (title, entries) in &tables {
        let _ = writeln!(
            page,
            "\n## {title}\n\n| word | arguments | where | status | |\n|---|---|---|---|---|"
        );
        for entry in entries {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} | {}{} |",
                escape(entry.name),
                code(entry.usage),
                entry.places,
                entry.status.label(),
                escape(entry.doc),
                remark(entry.status),
            );
        }
    }
    page
}

/// How many names of the rule language can be used.
fn rule_language(page: &mut String) {
    page.push_str(
        "\nNames of the rule language, described in [rule-language.md](rule-language.md):\n\n\
         | names | implemented | known |\n|---|--:|--:|\n",
    );
    for names in language() {
        let _ = writeln!(
            page,
            "| {} | {} | {} |",
            names.title,
            names.rows.len(),
            names.rows.len() + names.missing.len()
        );
    }
}

/// Names of one kind: those that can be used, and those that are only known.
struct Language {
    title: &'static str,
    /// Name, usage, where it may stand, one sentence.
    rows: Vec<[&'static str; 4]>,
    missing: Vec<&'static str>,
}

fn language() -> Vec<Language> {
    let samples = sample::rows().map(|row| [row.name, row.usage, row.needs.noun(), row.doc]);
    let converters = convert::rows().map(|row| [row.name, row.usage, row.input.name(), row.doc]);
    let mut all = vec![
        gather("samples", samples.collect(), names::samples::SAMPLES),
        gather(
            "converters",
            converters.collect(),
            names::converters::CONVERTERS,
        ),
    ];
    for (title, phase, known) in [
        (
            "actions of `http-request`",
            Phase::Request,
            names::actions::HTTP_REQUEST,
        ),
        (
            "actions of `http-response`",
            Phase::Response,
            names::actions::HTTP_RESPONSE,
        ),
        (
            "actions of `http-after-response`",
            Phase::AfterResponse,
            names::actions::HTTP_AFTER_RESPONSE,
        ),
        (
            "actions of `tcp-request connection`",
            Phase::Connection,
            names::actions::TCP_REQUEST_CONNECTION,
        ),
        (
            "actions of `tcp-request session`",
            Phase::Session,
            names::actions::TCP_REQUEST_SESSION,
        ),
        (
            "actions of `tcp-request content`",
            Phase::RequestContent,
            names::actions::TCP_REQUEST_CONTENT,
        ),
        (
            "actions of `tcp-response content`",
            Phase::ResponseContent,
            names::actions::TCP_RESPONSE_CONTENT,
        ),
    ] {
        let rows: Vec<_> = action::rows()
            .filter(|row| row.places.include(phase))
            .collect();
        // A counter's number is no part of the name of a row.
        let numbered = |name: &&'static str| {
            let bare = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
            let mut rows = rows.iter();
            bare != *name && rows.any(|row| row.numbered && row.name == bare)
        };
        let known: Vec<_> = known
            .iter()
            .copied()
            .filter(|name| !numbered(name))
            .collect();
        let rows = rows.iter().map(|row| [row.name, row.usage, "", row.doc]);
        all.push(gather(title, rows.collect(), &known));
    }
    let aliases = alias_rows().map(|alias| [alias.name, "", "", alias.doc]);
    all.push(gather("short names in formats", aliases.collect(), &[]));
    all
}

fn gather(
    title: &'static str,
    mut rows: Vec<[&'static str; 4]>,
    known: &[&'static str],
) -> Language {
    rows.sort_unstable();
    let has = |name: &&str| !rows.iter().any(|row| row[0] == *name);
    let missing = known.iter().copied().filter(has).collect();
    Language {
        title,
        rows,
        missing,
    }
}

/// The reference of samples, converters, actions and formats as a Markdown page.
pub fn rule_reference() -> String {
    let mut page = String::from(
        "# The rule language\n\n\
         Made from the rows in `crates/policy/src`; do not edit. `UPDATE_DOCS=1 cargo test -p plimsoll-policy --test keyword` \
         writes it again. What each name does in detail is described in HAProxy's manual under the same name.\n",
    );
    for Language {
        title,
        rows,
        missing,
    } in language()
    {
        let mut letters = title.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let title: String = first.into_iter().chain(letters).collect();
        let _ = writeln!(
            page,
            "\n## {title}\n\n| name | arguments | looks at | |\n|---|---|---|---|"
        );
        for [name, usage, place, doc] in rows {
            let _ = writeln!(
                page,
                "| `{name}` | {} | {place} | {} |",
                code(usage),
                escape(doc)
            );
        }
        let (absent, missing): (Vec<_>, Vec<_>) = missing
            .into_iter()
            .partition(|name| sample::absence(name).is_some());
        for (what, names) in [("Not yet", missing), ("Not here, with a reason", absent)] {
            if !names.is_empty() {
                let list: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                let _ = writeln!(page, "\n{what}: {}.", list.join(", "));
            }
        }
    }
    page
}

fn lines() -> Vec<Entry> {
    let mut entries: Vec<_> = keywords()
        .map(|row| entry(row, row.sections.names().join(", ")))
        .collect();
    entries.sort_by_key(|entry| (entry.name, entry.places.clone()));
    entries
}

fn words<Target>(rows: &'static [Keyword<Target>]) -> Vec<Entry> {
    rows.iter().map(|row| entry(row, String::new())).collect()
}

fn sections() -> Vec<Entry> {
    let entry = |known: &'static section::Section| Entry {
        name: known.name,
        usage: "",
        places: String::new(),
        doc: known.doc,
        status: known.status,
    };
    section::SECTIONS.iter().map(entry).collect()
}

fn entry<Target>(row: &'static Keyword<Target>, places: String) -> Entry {
    Entry {
        name: row.name,
        usage: row.usage,
        places,
        doc: row.doc,
        status: row.status,
    }
}

fn remark(status: Status) -> String {
    match status {
        Status::Implemented => String::new(),
        Status::Legacy(modern) => format!(" Write {}.", code(modern)),
        Status::NoOp(why) | Status::Dormant(why) | Status::Deferred(why) => {
            format!(" *{}*", escape(why))
        }
        Status::NotYet(waits) => format!(" *Waits for {}.*", escape(waits)),
        Status::Refused { reason, instead } => {
            format!(" *{}; {}.*", escape(reason), escape(instead))
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}

fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{}`", escape(text))
    }
}
