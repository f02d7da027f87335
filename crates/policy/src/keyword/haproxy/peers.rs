//! `peers` sections: tables by name, and who they are to be shared with.
//!
//! Tables work; nothing is exchanged with other machines yet, and a section that names some says so.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::{stick, value};
use crate::draft::{Draft, PeersDraft, Spanned};
use crate::keyword::{Keyword, Sections, Status};

const PEERS: Sections = Sections::PEERS;

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    deferred("bind", "ADDRESS [WORD...]", "Where peers connect to."),
    deferred("default-bind", "WORD...", "Words of the section's 'bind'."),
    deferred(
        "default-server",
        "WORD...",
        "Words of the peers that follow.",
    ),
    Keyword::new("disabled", PEERS, "", "Shares nothing.", |_, draft| {
        section(draft).disabled = true;
        Ok(())
    }),
    Keyword::new("enabled", PEERS, "", "Shares tables again.", |_, draft| {
        section(draft).disabled = false;
        Ok(())
    }),
    deferred("log", "WORD...", "Logs connections of peers."),
    Keyword::new(
        "peer",
        PEERS,
        "NAME ADDRESS [WORD...]",
        "A machine that has the same tables.",
        member,
    ),
    Keyword::new(
        "server",
        PEERS,
        "NAME [ADDRESS] [WORD...]",
        "A machine that has the same tables.",
        member,
    ),
    deferred("shards", "NUMBER", "Spreads keys over peers."),
    Keyword::new(
        "table",
        PEERS,
        "NAME type TYPE [len NUMBER] size NUMBER [WORD...]",
        "A table of clients, called 'SECTION/NAME' elsewhere.",
        table,
    ),
];

const fn deferred(name: &'static str, usage: &'static str, doc: &'static str) -> Keyword<Draft> {
    let status = Status::Deferred("tables are not shared with other machines in this version");
    Keyword::inert(name, PEERS, usage, doc, status)
}

/// `peers NAME`.
pub(super) fn open(draft: &mut Draft, args: &mut Args<'_>) -> Result<(), Diagnostic> {
    let name = args.word("a name");
    let mut section = PeersDraft {
        span: draft.keyword,
        ..PeersDraft::default()
    };
    if let Ok(word) = name {
        (section.name, section.span) = (word.text.clone(), word.span);
    }
    draft.peers.push(section);
    super::server::check_name(name?)?;
    args.finish()
}

/// The section being read.
fn section(draft: &mut Draft) -> &mut PeersDraft {
    if draft.peers.is_empty() {
        draft.peers.push(PeersDraft::default());
    }
    let last = draft.peers.len() - 1;
    &mut draft.peers[last]
}

fn member(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let name = args.word("the name of a peer")?;
    while args.next().is_some() {}
    let member = Spanned::new(name.text.clone(), name.span);
    section(draft).members.push(member);
    Ok(())
}

fn table(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let name = value::text(args, "the name of a table")?;
    let owner = section(draft).name.clone();
    let mut spec = stick::read_table(args, draft, format!("{owner}/{name}"), true)?;
    spec.peers = Some(owner);
    let line = draft.line;
    section(draft).tables.push(Spanned::new(spec, line));
    Ok(())
}
