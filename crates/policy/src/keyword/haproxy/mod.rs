//! The words of `haproxy.cfg`, and the way from a document of them to a model.
//!
//! Each topic file has a sorted list of rows; [`keywords`] joins them. [`load`] hands every line to its row, which
//! writes into a draft, and resolves the draft. Nothing is ever ignored in silence: a word is obeyed, or it has no
//! effect and the reason is told, or it is refused with the line and a way out.

pub(crate) mod acme;
mod address;
mod balance;
mod bind;
mod check_lines;
mod checks;
mod cookie;
mod dynamic;
mod errors;
mod global;
mod global_tls;
mod global_tune;
mod http_words;
mod legacy;
mod log;
mod log_profile;
pub(crate) mod names;
mod options;
mod outliers;
mod peers;
mod persistence;
mod proxy;
mod reference;
pub(crate) mod resolvers;
mod rules;
mod section;
mod server;
mod source;
mod stats;
mod stick;
mod timeouts;
mod tls;
mod userlist;
pub(crate) mod value;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::OnceLock;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Severity, Span};
use plimsoll_config::haproxy::{Document, Grammar, Line};
use plimsoll_config::source::{Environment, Loader, Sources};
use plimsoll_config::suggest::nearest;

use crate::draft::{Draft, Polarity};
use crate::keyword::{Keyword, Reading, Sections, Status, bare, usage};
use crate::model::acme::KeyKind;
use crate::model::{Bind, Model};

pub(crate) use check_lines::{ChecksDraft, Pending, StepDraft};
pub(crate) use checks::ServerChecksDraft;
pub use dynamic::{dynamic_line, dynamic_server, dynamic_variable, server_words};
pub use reference::{reference, rule_reference};
pub(crate) use server::check_name;
pub(crate) use tls::{
    CertificateDraft, CertificateUse, GlobalTlsDraft, LIST_OPTIONS, LoadDraft, SniDraft, TlsDraft,
};

/// What the parser must know of the language.
pub const GRAMMAR: Grammar = Grammar {
    sections: section::NAMES,
    environment_section: "global",
    scopes: false,
    diagnose: false,
};

/// What the machine knows, asked while names become addresses and numbers.
pub trait Machine {
    /// The addresses of a host, in the order of preference.
    ///
    /// # Errors
    /// Whatever keeps the name from being resolved; shown to the user as it is.
    fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;

    /// Whether servers whose names cannot be resolved are kept all the same, and stay down (`-dr`).
    fn bears_unknown_hosts(&self) -> bool {
        false
    }

    /// The number of a user, or `None` when there is no such user.
    fn user_id(&self, name: &str) -> Option<u32>;

    /// The number of a group, or `None` when there is no such group.
    fn group_id(&self, name: &str) -> Option<u32>;

    /// A certificate in PEM that nobody has signed, with a new key.
    ///
    /// # Errors
    /// Whatever keeps it from being made.
    fn dummy(&self, _: &Dummy) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A certificate that stands in for one; as HAProxy's it has expired, so that nobody takes it for more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dummy {
    pub key: KeyKind,
    /// What it is for; empty: for nothing.
    pub names: Vec<String>,
}

/// What a configuration depends on besides its text.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Reads the files that the text names.
    pub files: &'a dyn Loader,
    pub machine: &'a dyn Machine,
    /// The text itself, to tell where a rule stands.
    pub sources: &'a Sources,
    /// The variables, as they are behind the text's own `setenv` lines.
    pub environment: &'a Environment,
}

/// The outcome of loading; everything that is wrong is found in one pass.
#[derive(Debug, Default)]
pub struct Loaded {
    /// What the configuration means, unless something of [`Severity::Error`] is wrong with it.
    pub model: Option<Model>,
    /// In the order of the lines; what only resolution finds comes last.
    pub diagnostics: Vec<Diagnostic>,
}

/// Finds out what a document means.
pub fn load(document: &Document, context: &Context<'_>) -> Loaded {
    let mut draft = Draft::default();
    for section in &document.sections {
        section::read(&mut draft, section);
    }
    let resolved = crate::resolve::resolve(draft, context);
    let (mut model, mut diagnostics) = (resolved.model, resolved.diagnostics);
    model.global.environment = listed(context.environment, &model.global.stats_sockets);
    let failed = diagnostics
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    if failed {
        diagnostics.extend(template(document));
        diagnostics.sort_by_key(|problem| (problem.span.file, problem.span.start));
    }
    Loaded {
        model: (!failed).then_some(model),
        diagnostics,
    }
}

/// Variables for people: those that lines could use, and where commands are heard.
fn listed(environment: &Environment, sockets: &[Bind]) -> Vec<String> {
    let variable = |(name, value): (&[u8], &[u8])| {
        let (name, value) = (
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(value),
        );
        format!("{name}={value}")
    };
    let mut listed: Vec<_> = environment.iter().map(variable).collect();
    if !sockets.is_empty() {
        let addresses: Vec<_> = sockets
            .iter()
            .map(|socket| socket.address.named())
            .collect();
        listed.push(format!("HAPROXY_CLI={}", addresses.join(";")));
    }
    listed
}

/// What opens a placeholder in the languages that configurations are commonly generated with.
const PLACEHOLDERS: &[&str] = &["{{", "{%", "<%"];

/// A hint for a text that a program should have filled in first.
fn template(document: &Document) -> Option<Diagnostic> {
    let placeholder = |word: &&Word| PLACEHOLDERS.iter().any(|open| word.text.contains(open));
    let lines = document.sections.iter().flat_map(|section| &section.lines);
    let word = lines.flat_map(|line| &line.words).find(placeholder)?;
    let note = Diagnostic::note(
        Kind::Advice,
        word.span,
        "this looks like a template for another program",
    );
    Some(note.help("let that program fill it in, and check the result"))
}

/// The model of `--listen ADDRESS --to ADDRESS,ADDRESS…`: one HTTP proxy, round robin, bounded timeouts.
///
/// # Errors
/// Addresses that cannot be listened on or connected to; spans count bytes of the argument at fault.
pub fn listen_to(
    listen: &str,
    servers: &[&str],
    context: &Context<'_>,
) -> Result<Model, Vec<Diagnostic>> {
    section::listen_to(listen, servers, context)
}

/// The rows of all lines, topic by topic.
fn topics() -> [&'static [Keyword<Draft>]; 22] {
    [
        acme::KEYWORDS,
        balance::KEYWORDS,
        bind::KEYWORDS,
        check_lines::KEYWORDS,
        global::KEYWORDS,
        global_tls::KEYWORDS,
        global_tune::KEYWORDS,
        legacy::KEYWORDS,
        log::KEYWORDS,
        log_profile::KEYWORDS,
        options::KEYWORDS,
        peers::KEYWORDS,
        persistence::KEYWORDS,
        proxy::KEYWORDS,
        resolvers::KEYWORDS,
        rules::KEYWORDS,
        server::KEYWORDS,
        stats::KEYWORDS,
        stick::KEYWORDS,
        timeouts::KEYWORDS,
        tls::KEYWORDS,
        userlist::KEYWORDS,
    ]
}

/// Every row of every topic.
fn keywords() -> impl Iterator<Item = &'static Keyword<Draft>> {
    topics().into_iter().flatten()
}

/// Rows by name; a name can stand for one thing in `global` and another in proxies.
fn index() -> &'static HashMap<&'static str, Vec<&'static Keyword<Draft>>> {
    static INDEX: OnceLock<HashMap<&'static str, Vec<&'static Keyword<Draft>>>> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index: HashMap<_, Vec<_>> = HashMap::new();
        for row in keywords() {
            index.entry(row.name).or_default().push(row);
        }
        index
    })
}

/// Reads one line of the section that `draft` is in.
fn read_line(draft: &mut Draft, line: &Line) {
    if draft.is_astray {
        let head = line.words.first().and_then(misspelt_section);
        return draft.findings.extend(head);
    }
    let mut args = line.args();
    draft.line = line.span;
    draft.polarity = match line.words.first().map(|word| word.text.as_str()) {
        Some("no") => Polarity::No,
        Some("default") => Polarity::Default,
        _ => Polarity::Plain,
    };
    if draft.polarity != Polarity::Plain {
        args.next();
    }
    match find(draft, &mut args) {
        Ok(Some(row)) => obey(draft, row, &mut args),
        Ok(None) => {}
        Err(error) => draft.report(error),
    }
    draft.findings.extend(args.warnings());
}

/// The rows of a family such as `timeout client`, whose name is two words.
fn family(
    first: &Word,
    second: Option<&Word>,
) -> Option<(Span, &'static [&'static Keyword<Draft>])> {
    let second = second?;
    let rows = index().get(format!("{} {}", first.text, bare(&second.text)).as_str())?;
    Some((first.span.to(second.span), rows))
}

/// The row of the words at the cursor, which moves behind them; nothing when the line has been dealt with.
fn find(
    draft: &mut Draft,
    args: &mut Args<'_>,
) -> Result<Option<&'static Keyword<Draft>>, Diagnostic> {
    let here = draft.section.unwrap_or(Sections::NONE);
    let first = args.word("a keyword")?;
    draft.keyword = first.span;
    let single = index().get(first.text.as_str()).map(Vec::as_slice);
    let meets = |rows: &[&Keyword<Draft>]| rows.iter().any(|row| row.sections.meets(here));
    let rows = match (family(first, args.peek()), single) {
        (Some((span, rows)), single) if single.is_none() || meets(rows) => {
            args.next();
            draft.keyword = span;
            rows
        }
        (_, Some(rows)) => rows,
        (_, None) => return Err(unknown(draft, here, first, args)),
    };
    if let Some(row) = rows.iter().find(|row| row.sections.meets(here)) {
        return Ok(Some(row));
    }
    let mut proxies = rows
        .iter()
        .filter(|row| row.sections.meets(Sections::PROXY));
    let nearest = proxies.next().filter(|_| here.meets(Sections::PROXY));
    let misplaced = misplaced(draft, nearest.unwrap_or(&rows[0]), here);
    draft.report(misplaced);
    Ok(None)
}

/// A word that nothing knows, with the nearest that could stand here.
fn unknown(draft: &mut Draft, here: Sections, first: &Word, args: &Args<'_>) -> Diagnostic {
    let family: Vec<_> = keywords()
        .filter(|row| row.sections.meets(here))
        .filter_map(|row| {
            row.name
                .split_once(' ')
                .filter(|(head, _)| *head == first.text)
        })
        .map(|(_, second)| second)
        .collect();
    if family.is_empty() {
        let names = keywords()
            .filter(|row| row.sections.meets(here))
            .map(|row| row.name.split(' ').next().unwrap_or_default());
        let message = format_args!("'{}' is not a keyword", first.text);
        let error = Diagnostic::error(Kind::Unknown, first.span, message);
        if let Some(head) = misspelt_section(first) {
            draft.is_astray = true;
            return head;
        }
        return match nearest(&first.text, names) {
            Some(near) => error.help(format_args!("did you mean '{near}'?")),
            None => error,
        };
    }
    let Some(second) = args.peek() else {
        let message = format_args!("a word is missing behind '{}'", first.text);
        return Diagnostic::error(Kind::Invalid, args.end(), message)
            .help(format_args!("write one of {}", family.join(", ")));
    };
    let message = format_args!("'{}' is not known behind '{}'", second.text, first.text);
    let error = Diagnostic::error(Kind::Unknown, second.span, message);
    match nearest(&second.text, family.iter().copied()) {
        Some(near) => error.help(format_args!("did you mean '{} {near}'?", first.text)),
        None => error,
    }
}

/// What to say of a word that is no keyword, where it is nearest to the name of a section.
fn misspelt_section(word: &Word) -> Option<Diagnostic> {
    let known = index();
    if known.contains_key(word.text.as_str()) {
        return None;
    }
    let keywords = keywords().map(|row| row.name.split(' ').next().unwrap_or_default());
    let near = nearest(&word.text, keywords.chain(section::NAMES.iter().copied()))?;
    let is_section = section::NAMES.contains(&near) && !known.contains_key(near);
    let message = format_args!("'{}' is not a keyword", word.text);
    let error = Diagnostic::error(Kind::Unknown, word.span, message);
    is_section.then(|| error.help(format_args!("did you mean '{near}'? It begins a section")))
}

/// Words whose misplacement would lose traffic or rules, so that a warning is not enough.
const MISPLACED_IS_ERROR: &[&str] = &[
    "retry-on",
    "server",
    "server-template",
    "tcp-response content",
    "tcp-response inspect-delay",
    "use-server",
];

/// A known word in a section where it cannot stand. A proxy that lacks the half it is about only makes it useless.
fn misplaced(draft: &Draft, row: &Keyword<Draft>, here: Sections) -> Diagnostic {
    let name = row.name;
    let section = here.names().first().copied().unwrap_or("this section");
    let places = row.sections.names().join(", ");
    let useless = row.sections.meets(Sections::OWN) && here.meets(Sections::OWN);
    if useless && !MISPLACED_IS_ERROR.contains(&name) {
        let message = format_args!("'{name}' has no effect in a {section} section");
        let warning = Diagnostic::warning(Kind::NoEffect, draft.keyword, message);
        return warning.help(format_args!("it belongs in {places}"));
    }
    let message = format_args!("'{name}' cannot stand in a {section} section");
    Diagnostic::error(Kind::Invalid, draft.keyword, message)
        .help(format_args!("it belongs in {places}"))
}

/// Rules in `defaults` run before those of a proxy, so that HAProxy wants them to be asked for by name.
const NAMED_DEFAULTS_ONLY: &[&str] = &[
    "acl",
    "http-after-response",
    "http-request",
    "http-response",
    "quic-initial",
    "tcp-request connection",
    "tcp-request content",
    "tcp-request inspect-delay",
    "tcp-request session",
    "tcp-response content",
    "tcp-response inspect-delay",
];

/// A rule in a `defaults` section that has no name.
fn nameless(draft: &mut Draft, name: &str) -> Option<Diagnostic> {
    let inherited = draft.section == Some(Sections::DEFAULTS);
    if !inherited || !draft.proxy().name.is_empty() || !NAMED_DEFAULTS_ONLY.contains(&name) {
        return None;
    }
    let message = format_args!("'{name}' cannot stand in a 'defaults' section without a name");
    let error = Diagnostic::error(Kind::Invalid, draft.keyword, message);
    Some(error.help("write 'defaults NAME', and 'from NAME' behind the names of proxies"))
}

/// Words behind whose arguments HAProxy looks no further. Files have remarks there, or what they meant to escape.
const LOOSE: &[&str] = &[
    "balance",
    "capture",
    "declare",
    "dynamic-cookie-key",
    "hard-stop-after",
    "hash-preserve-affinity",
    "http-send-name-header",
    "load-server-state-from-file",
    "log-send-hostname",
    "ocsp-update.maxdelay",
    "ocsp-update.mindelay",
    "server-state-base",
    "server-state-file",
    "stats auth",
    "stats enable",
    "stats hide-version",
    "stats maxconn",
    "stats realm",
    "stats refresh",
    "stats scope",
    "stats show-legends",
    "stats show-modules",
    "stats timeout",
    "stats uri",
    "tcp-check comment",
    "tcp-request inspect-delay",
    "tcp-response inspect-delay",
    "tune.stick-counters",
    "unique-id-header",
    "warn-blocked-traffic-after",
];

/// The end of a line that begins with this keyword.
pub(crate) fn finish(args: &mut Args<'_>, name: &str) -> Result<Option<Diagnostic>, Diagnostic> {
    match LOOSE.contains(&name) {
        true => Ok(surplus(args, &format!("'{name}'"))),
        false => args.finish().map(|()| None),
    }
}

/// Passes words that nothing looks at, as many as are left, and tells of them.
fn surplus(args: &mut Args<'_>, behind: &str) -> Option<Diagnostic> {
    let rest = args.rest();
    let span = rest.first()?.span.to(rest.last()?.span);
    while args.next().is_some() {}
    let message = format_args!("what follows {behind} here has no effect");
    let note = Diagnostic::note(Kind::NoEffect, span, message);
    Some(note.help("remove it, or put the argument in quotes if this is part of it"))
}

/// Reads the arguments of a row and says what its status wants said.
fn obey(draft: &mut Draft, row: &'static Keyword<Draft>, args: &mut Args<'_>) {
    if draft.polarity != Polarity::Plain && !row.negatable {
        let word = if draft.polarity == Polarity::No {
            "no"
        } else {
            "default"
        };
        let message = format_args!("'{word}' cannot stand before '{}'", row.name);
        draft.report(
            Diagnostic::error(Kind::Invalid, draft.line, message)
                .help(format_args!("remove '{word}'")),
        );
        return;
    }
    draft.name = row.name;
    if let Some(error) = nameless(draft, row.name) {
        draft.report(error);
        return;
    }
    let read = match row.read {
        Reading::Full(read) => read(args, draft),
        Reading::Form => usage(args, row.name, row.usage),
        Reading::Switch(set) => {
            set(draft, draft.polarity.switch());
            Ok(())
        }
    };
    let off = draft.polarity != Polarity::Plain;
    let idle = off
        && matches!(
            row.status,
            Status::NotYet(_) | Status::Dormant(_) | Status::Deferred(_)
        );
    let read = read.and_then(|()| finish(args, row.name));
    let read = read.map(|note| draft.findings.extend(note));
    if read.is_ok() {
        http_words::note(draft, row.name);
    }
    // What a reader finds wrong is more precise than what the row says about the word.
    if !idle && read.is_ok() {
        draft
            .findings
            .extend(row.status.diagnostic(row.name, draft.keyword));
    }
    draft.findings.extend(read.err());
}

/// The empty place that problems of a whole configuration are told at.
pub(crate) const NOWHERE: Span = Span {
    file: plimsoll_config::diagnostic::FileId(0),
    start: 0,
    end: 0,
};

#[cfg(test)]
mod tests;
