//! `resolvers` sections: who is asked for the addresses of names, and how patiently.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{address, value};
use crate::draft::{Draft, NameServerDraft, ResolversDraft};
use crate::keyword::{Keyword, Sections};
use crate::model::names::{NameServer, Resolvers};

const RESOLVERS: Sections = Sections::RESOLVERS;

/// The port of name servers (RFC 1035 section 4.2).
pub(crate) const PORT: u16 = 53;

/// Most name servers of a section.
pub(crate) const SERVERS_MAX: usize = 64;

/// Shortest time between two questions, so that a slip of the pen does not flood anybody.
const RHYTHM_MIN_MS: u64 = 10;

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "accepted_payload_size",
        RESOLVERS,
        "BYTES",
        "Size that an answer may have over UDP.",
        |args, draft| {
            let bytes = value::number(args, "the size", 512..=u32::from(u16::MAX))?;
            section(draft).payload_bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
            Ok(())
        },
    ),
    Keyword::new(
        "hold",
        RESOLVERS,
        "nx|obsolete|other|refused|timeout|valid TIME",
        "How long the last usable answer outlives a worse one.",
        hold,
    ),
    Keyword::new(
        "nameserver",
        RESOLVERS,
        "NAME [udp@|tcp@]IP[:PORT]",
        "Who is asked.",
        nameserver,
    ),
    Keyword::new(
        "parse-resolv-conf",
        RESOLVERS,
        "",
        "Asks those that the system asks.",
        |args, draft| {
            let span = args.end();
            draft_section(draft)
                .servers
                .push(NameServerDraft::System(span));
            Ok(())
        },
    ),
    Keyword::new(
        "resolve_retries",
        RESOLVERS,
        "NUMBER",
        "How often a question is put before it counts as unanswered.",
        |args, draft| {
            section(draft).tries = value::number(args, "the number", 1..=1_000)?;
            Ok(())
        },
    ),
    Keyword::new(
        "timeout resolve",
        RESOLVERS,
        "TIME",
        "How long after one answer the next is asked for.",
        |args, draft| {
            section(draft).resolve_ms = rhythm_ms(args)?;
            Ok(())
        },
    ),
    Keyword::new(
        "timeout retry",
        RESOLVERS,
        "TIME",
        "How long an answer is waited for.",
        |args, draft| {
            section(draft).retry_ms = rhythm_ms(args)?;
            Ok(())
        },
    ),
];

/// `resolvers NAME`.
pub(super) fn open(draft: &mut Draft, args: &mut Args<'_>) -> Result<(), Diagnostic> {
    let word = args.word("a name")?;
    let again = draft
        .resolvers
        .iter()
        .any(|known| known.model.name == word.text);
    draft.resolvers.push(ResolversDraft {
        model: Resolvers::new(&word.text),
        span: word.span,
        servers: Vec::new(),
    });
    if again {
        let message = format_args!("another 'resolvers' section is called '{}'", word.text);
        let error = Diagnostic::error(Kind::Invalid, word.span, message);
        return Err(error.help("give this one another name"));
    }
    super::server::check_name(word)?;
    let note = super::surplus(args, "the section's name");
    draft.findings.extend(note);
    Ok(())
}

fn draft_section(draft: &mut Draft) -> &mut ResolversDraft {
    if draft.resolvers.is_empty() {
        draft.resolvers.push(ResolversDraft::default());
    }
    let last = draft.resolvers.len() - 1;
    &mut draft.resolvers[last]
}

fn section(draft: &mut Draft) -> &mut Resolvers {
    &mut draft_section(draft).model
}

fn rhythm_ms(args: &mut Args<'_>) -> Result<u64, Diagnostic> {
    let span = value::place(args);
    let ms = value::duration_ms(args, "the time")?;
    if ms < RHYTHM_MIN_MS {
        let message = format_args!("{ms} ms between questions is too short");
        let error = Diagnostic::error(Kind::Invalid, span, message);
        return Err(error.help(format_args!("write {RHYTHM_MIN_MS}ms or more")));
    }
    Ok(ms)
}

fn hold(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let what = args.word("what was answered")?;
    let names = ["nx", "obsolete", "other", "refused", "timeout", "valid"];
    let hold = &mut section(draft).hold;
    let field = match what.text.as_str() {
        "nx" => &mut hold.no_name_ms,
        "obsolete" => &mut hold.obsolete_ms,
        "other" => &mut hold.other_ms,
        "refused" => &mut hold.refused_ms,
        "timeout" => &mut hold.timeout_ms,
        "valid" => &mut hold.valid_ms,
        _ => return Err(value::unknown(what, "a kind of answer", names.into_iter())),
    };
    *field = value::duration_ms(args, "the time")?;
    Ok(())
}

fn nameserver(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let name = value::text(args, "the name of a name server")?;
    let span = value::place(args);
    let (address, stream) = address::name_server(args)?;
    if let Some(option) = args.peek() {
        let message = format_args!("'nameserver … {}' is not implemented yet", option.text);
        return Err(Diagnostic::error(
            Kind::NotImplemented,
            option.span,
            message,
        ));
    }
    let section = draft_section(draft);
    let known = section.servers.iter();
    let again = known
        .clone()
        .any(|known| matches!(known, NameServerDraft::Written(server) if server.name == name));
    if again {
        let message = format_args!("another name server of this section is called '{name}'");
        return Err(Diagnostic::error(Kind::Invalid, span, message));
    }
    if section.servers.len() == SERVERS_MAX {
        let message = format_args!("more than {SERVERS_MAX} name servers");
        return Err(Diagnostic::error(Kind::Invalid, span, message));
    }
    let server = NameServer {
        name,
        address,
        stream,
    };
    section.servers.push(NameServerDraft::Written(server));
    Ok(())
}
