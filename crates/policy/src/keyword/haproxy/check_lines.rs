//! What servers are asked: `http-check`, `tcp-check` and `external-check` lines, `healthcheck` sections, and the options
//! that choose a check.
//!
//! What the kinds of checks say is written in [`crate::probe`]; here their lines are read and put together. Texts with
//! holes wait until all names are known ([`Pending`]).

use std::net::SocketAddr;
use std::sync::Arc;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};

use super::value;
use crate::draft::{Draft, Polarity};
use crate::keyword::{Keyword, Sections};
use crate::model::check::{
    BackendCheck, CheckAction, CheckConnect, CheckSpec, CheckStep, Expectation, FieldWanted,
    Flavour, HttpAsk, Pattern, Program, SEND_BYTES_MAX, STEPS_MAX, Slot, Tell, TextMatch, Wanted,
};
use crate::probe::{self, DialOffer, DialTls, Status as Outcome};

/// What of checks a proxy inherits and writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChecksDraft {
    /// The option that chose the check, with what it says.
    option: Option<(&'static str, CheckSpec)>,
    http: Vec<StepDraft>,
    tcp: Vec<StepDraft>,
    /// A comment for the next step, and how many lines have had one since the last step.
    comment: Option<String>,
    comment_lines: u16,
    /// `external-check command`, `external-check path`.
    program: Program,
    disable_on_404: bool,
    send_state: bool,
    log: bool,
    /// How many sections there were when the option was written.
    chosen_in: Here,
    /// How many sections there were when the steps were written: those of `defaults` give way to a proxy's own.
    written_in: Here,
    /// Where the section itself, and no other that it inherits from, has its first step: of `http-check`, of `tcp-check`;
    /// and its first line of `external-check`.
    first: [Option<Span>; 3],
}

/// What tells a section from all others.
type Here = (usize, usize, usize);

/// A step as written.
#[derive(Clone, Debug)]
pub(crate) struct StepDraft {
    /// `None` for a rule such as `set-var`.
    step: Option<CheckStep>,
    pub(crate) pending: Vec<Pending>,
}

/// What can be read only when all names are known.
#[derive(Clone, Debug)]
pub(crate) enum Pending {
    /// A text with holes, or an expression.
    Hole(Slot, Word),
    /// `set-var` and its like: their words, and their line.
    Rule(Vec<Word>, Span),
}

impl StepDraft {
    /// The step without what is pending.
    pub(crate) fn plain(&self) -> Option<CheckStep> {
        self.step.clone()
    }

    fn action(&self) -> Option<&CheckAction> {
        self.step.as_ref().map(|step| &step.action)
    }
}

impl ChecksDraft {
    /// Whether a step waits for names to be known.
    pub(crate) fn is_pending(&self) -> bool {
        let mut steps = self.http.iter().chain(&self.tcp);
        steps.any(|step| !step.pending.is_empty())
    }

    /// Whether an option, or `type`, says what kind of check it is.
    pub(crate) fn is_chosen(&self) -> bool {
        self.option.is_some()
    }

    /// What another section takes over.
    pub(crate) fn inherited(&self) -> Self {
        Self {
            first: [None; 3],
            ..self.clone()
        }
    }

    /// Steps of the section itself that nothing makes use of: where the first is, how they begin, and which option would.
    pub(crate) fn unused(&self) -> impl Iterator<Item = (Span, &'static str, &'static str)> {
        let flavour = self.option.as_ref().map(|(_, spec)| spec.flavour);
        let used = [
            flavour == Some(Flavour::Http),
            matches!(flavour, Some(Flavour::Script | Flavour::Connect)),
            flavour == Some(Flavour::External),
        ];
        let kinds = [
            ("http-check", "httpchk"),
            ("tcp-check", "tcp-check"),
            ("external-check", "external-check"),
        ];
        let all = self.first.into_iter().zip(used).zip(kinds);
        all.filter_map(|((first, used), (line, option))| {
            first.filter(|_| !used).map(|span| (span, line, option))
        })
    }

    /// What the lines mean together; `read` makes steps of drafts, and leaves out what it cannot.
    pub(crate) fn resolve(
        &self,
        read: &mut dyn FnMut(&StepDraft) -> Option<CheckStep>,
    ) -> BackendCheck {
        let mut check = BackendCheck {
            log: self.log,
            ..BackendCheck::default()
        };
        let Some((_, spec)) = &self.option else {
            return check;
        };
        check.spec = spec.clone();
        match spec.flavour {
            Flavour::Http => {
                let lines = self.http.iter().filter_map(read).collect();
                check.spec.steps = http_steps(lines, &spec.steps);
                check.spec.disable_on_404 = self.disable_on_404;
                check.spec.send_state = self.send_state;
                probe::complete_http(&mut check.spec);
            }
            Flavour::Script if self.tcp.is_empty() => check.spec.flavour = Flavour::Connect,
            Flavour::Script => check.spec.steps = self.tcp.iter().filter_map(read).collect(),
            Flavour::External => check.spec.program = Some(self.program.clone()),
            Flavour::Connect | Flavour::Protocol | Flavour::Agent | Flavour::Grpc => {}
        }
        check
    }
}

/// The request of the option comes first, merged with the first one of the lines.
fn http_steps(lines: Vec<CheckStep>, option: &[CheckStep]) -> Vec<CheckStep> {
    let mut steps = lines;
    let implied = option.iter().find_map(|step| match &step.action {
        CheckAction::Ask(ask) => Some(ask),
        _ => None,
    });
    let Some(implied) = implied else {
        return steps;
    };
    let is_rule = |step: &&CheckStep| matches!(step.action, CheckAction::Rule(_));
    let rules = |from: usize| steps[from..].iter().take_while(is_rule).count();
    let connects = |step: &CheckStep| matches!(step.action, CheckAction::Connect(_));
    let first = rules(0);
    let behind = first + usize::from(steps.get(first).is_some_and(connects));
    let (at, front) = (behind + rules(behind), behind);
    match steps.get_mut(at).map(|step| &mut step.action) {
        Some(CheckAction::Ask(ask)) => merge(ask, implied),
        _ => steps.insert(front, CheckAction::Ask(implied.clone()).into()),
    }
    steps
}

/// Gives a request of a line what only the option says.
fn merge(ask: &mut HttpAsk, implied: &HttpAsk) {
    let usual = HttpAsk::default();
    let pairs = [
        (&mut ask.method, &implied.method, &usual.method),
        (&mut ask.target, &implied.target, &usual.target),
        (&mut ask.version, &implied.version, &usual.version),
    ];
    for (written, implied, usual) in pairs {
        if written == usual {
            written.clone_from(implied);
        }
    }
    let known = |(name, _): &&(String, String)| {
        let same = |(other, _): &(String, String)| other.eq_ignore_ascii_case(name);
        !ask.fields.iter().any(same)
    };
    let more: Vec<_> = implied.fields.iter().filter(known).cloned().collect();
    ask.fields.extend(more);
}

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "external-check command",
        Sections::BACK,
        "FILE",
        "Program that checks servers.",
        |args, draft| {
            program(draft).command = value::text(args, "a program")?;
            Ok(())
        },
    ),
    Keyword::new(
        "external-check path",
        Sections::BACK,
        "PATH",
        "PATH of that program.",
        |args, draft| {
            program(draft).path = value::text(args, "a path")?;
            Ok(())
        },
    ),
    line("http-check comment", "TEXT", "Names a step.", comment),
    line(
        "http-check connect",
        "[WORD...]",
        "Opens a connection.",
        connect,
    ),
    line(
        "http-check disable-on-404",
        "",
        "A server that answers 404 gets no new clients.",
        |_, draft| {
            draft.settings().checks.disable_on_404 = true;
            Ok(())
        },
    ),
    line(
        "http-check expect",
        "WORD...",
        "What a healthy server answers.",
        expect,
    ),
    line("http-check send", "WORD...", "What a server is asked.", ask),
    line(
        "http-check send-state",
        "",
        "Tells servers their state.",
        |_, draft| {
            draft.settings().checks.send_state = true;
            Ok(())
        },
    ),
    line(
        "http-check set-var",
        "EXPRESSION",
        "Remembers part of an answer.",
        rule,
    ),
    line(
        "http-check set-var-fmt",
        "FORMAT",
        "Remembers a text.",
        rule,
    ),
    line("http-check unset-var", "", "Forgets it.", rule),
    line("tcp-check comment", "TEXT", "Names a step.", comment),
    line(
        "tcp-check connect",
        "[WORD...]",
        "Opens a connection.",
        connect,
    ),
    line(
        "tcp-check expect",
        "WORD...",
        "What a healthy server says.",
        expect,
    ),
    line(
        "tcp-check send",
        "TEXT [comment TEXT]",
        "What a server is told.",
        send,
    ),
    line(
        "tcp-check send-binary",
        "HEX [comment TEXT]",
        "What a server is told.",
        send,
    ),
    line(
        "tcp-check send-binary-lf",
        "FORMAT [comment TEXT]",
        "What a server is told.",
        send,
    ),
    line(
        "tcp-check send-lf",
        "FORMAT [comment TEXT]",
        "What a server is told.",
        send,
    ),
    line(
        "tcp-check set-var",
        "EXPRESSION",
        "Remembers part of an answer.",
        rule,
    ),
    line("tcp-check set-var-fmt", "FORMAT", "Remembers a text.", rule),
    line("tcp-check unset-var", "", "Forgets it.", rule),
    Keyword::new(
        "type",
        Sections::HEALTHCHECK,
        "NAME [WORD...]",
        "What kind of check the section describes.",
        kind,
    ),
];

type Read = fn(&mut Args<'_>, &mut Draft) -> Result<(), Diagnostic>;

const fn line(
    name: &'static str,
    usage: &'static str,
    doc: &'static str,
    read: Read,
) -> Keyword<Draft> {
    Keyword::new(
        name,
        Sections::BACK.and(Sections::HEALTHCHECK),
        usage,
        doc,
        read,
    )
}

/// `option httpchk` and its like; `no` before one takes checks back to connections.
pub(super) fn option(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let name = draft.name.trim_start_matches("option ");
    let Some(kind) = probe::kind(name) else {
        return Ok(());
    };
    if draft.polarity != Polarity::Plain {
        let checks = &mut draft.settings().checks;
        if checks
            .option
            .as_ref()
            .is_some_and(|(chosen, _)| *chosen == kind.name)
        {
            checks.option = None;
        }
        return Ok(());
    }
    choose(kind, args, draft)
}

/// Kinds that a `healthcheck` section cannot be of: they ask no server anything.
const NO_TYPES: &[&str] = &["agent-check", "check"];

/// `type KIND [WORD...]`.
fn kind(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("a kind of check")?;
    let kinds = || {
        probe::PROBES
            .iter()
            .filter(|kind| !NO_TYPES.contains(&kind.name))
    };
    match kinds().find(|kind| kind.name == word.text) {
        Some(kind) => choose(kind, args, draft),
        None => Err(value::unknown(
            word,
            "a kind of check",
            kinds().map(|kind| kind.name),
        )),
    }
}

/// `option external-check`.
pub(super) fn external(draft: &mut Draft, on: bool) {
    const NAME: &str = "external-check";
    let here = section(draft);
    let checks = own(draft);
    if on {
        let spec = CheckSpec {
            flavour: Flavour::External,
            ..CheckSpec::default()
        };
        checks.option = Some((NAME, spec));
        checks.chosen_in = here;
    } else if matches!(checks.option, Some((NAME, _))) {
        checks.option = None;
    }
}

fn choose(
    kind: &'static probe::Kind,
    args: &mut Args<'_>,
    draft: &mut Draft,
) -> Result<(), Diagnostic> {
    if kind.name == "httpchk" {
        let mut old = Args::new(args.rest(), args.line());
        super::legacy::http_check(&mut old, draft)?;
    }
    let spec = (kind.read)(args)?;
    // A proxy that chooses for itself has none of the lines of `defaults`.
    let here = section(draft);
    let checks = own(draft);
    checks.option = Some((kind.name, spec));
    checks.chosen_in = here;
    Ok(())
}

/// `option log-health-checks`.
pub(super) fn log(draft: &mut Draft, on: bool) {
    draft.settings().checks.log = on;
}

/// What tells the section being read from all others.
fn section(draft: &Draft) -> Here {
    (
        draft.defaults.len(),
        draft.proxies.len(),
        draft.healthchecks.len(),
    )
}

/// The checks of the section being read, rid of steps that were written in another.
fn own(draft: &mut Draft) -> &mut ChecksDraft {
    let here = section(draft);
    let checks = &mut draft.settings().checks;
    if checks.written_in != here {
        checks.written_in = here;
        checks.http.clear();
        checks.tcp.clear();
        (checks.comment, checks.comment_lines) = (None, 0);
    }
    checks
}

fn is_http(draft: &Draft) -> bool {
    draft.name.starts_with("http-check")
}

/// Adds a step to the section being read.
fn push(
    draft: &mut Draft,
    action: CheckAction,
    comment: Option<String>,
    pending: Vec<Pending>,
) -> Result<(), Diagnostic> {
    let (http, span) = (is_http(draft), draft.line);
    let here = section(draft);
    let checks = own(draft);
    // A proxy that asks for itself does not ask what `defaults` asks.
    if checks.chosen_in != here
        && matches!(action, CheckAction::Ask(_))
        && let Some(("httpchk", spec)) = &mut checks.option
    {
        spec.steps.clear();
    }
    let comment = comment.or_else(|| checks.comment.take());
    let comment_lines = std::mem::take(&mut checks.comment_lines);
    if http {
        let last = checks.http.iter().rev().find_map(StepDraft::action);
        in_order(last, &action, span)?;
    }
    let step = CheckStep {
        comment,
        comment_lines,
        ..action.into()
    };
    keep(
        draft,
        StepDraft {
            step: Some(step),
            pending,
        },
    )
}

/// `set-var(NAME) EXPRESSION` and its like.
fn rule(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let name = args.taken().last().cloned();
    let words = name.into_iter().chain(args.rest().iter().cloned());
    let pending = vec![Pending::Rule(words.collect(), draft.line)];
    while args.next().is_some() {}
    keep(
        draft,
        StepDraft {
            step: None,
            pending,
        },
    )
}

fn keep(draft: &mut Draft, step: StepDraft) -> Result<(), Diagnostic> {
    let (http, span) = (is_http(draft), draft.line);
    let checks = own(draft);
    let steps = match http {
        true => &mut checks.http,
        false => &mut checks.tcp,
    };
    if steps.len() >= STEPS_MAX {
        let message = format_args!("a check has at most {STEPS_MAX} steps");
        return Err(Diagnostic::error(Kind::Invalid, span, message));
    }
    steps.push(step);
    checks.first[usize::from(!http)].get_or_insert(span);
    Ok(())
}

/// Requests follow connections, and expectations requests.
fn in_order(
    last: Option<&CheckAction>,
    action: &CheckAction,
    span: Span,
) -> Result<(), Diagnostic> {
    use CheckAction::{Ask, Connect, Expect};
    let missing = match (last, action) {
        (Some(Ask(_) | Expect(_)), Ask(_)) => "http-check connect",
        (Some(Connect(_)), Expect(_)) => "http-check send",
        (Some(Ask(_) | Connect(_)), Connect(_)) => "http-check expect",
        _ => return Ok(()),
    };
    let message = format_args!("before this line a '{missing}' is missing");
    Err(Diagnostic::error(Kind::Invalid, span, message))
}

fn comment(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let (http, span) = (is_http(draft), draft.line);
    let checks = own(draft);
    checks.comment = Some(value::text(args, "a comment")?);
    checks.comment_lines = checks.comment_lines.saturating_add(1);
    checks.first[usize::from(!http)].get_or_insert(span);
    Ok(())
}

/// The program of `external-check` lines, of which the present one is one.
fn program(draft: &mut Draft) -> &mut Program {
    let span = draft.line;
    let checks = &mut draft.settings().checks;
    checks.first[2].get_or_insert(span);
    &mut checks.program
}

fn connect(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let mut connect = CheckConnect {
        tls: DialTls::No,
        ..CheckConnect::default()
    };
    let (mut comment, mut pending) = (None, Vec::new());
    let mut offer = DialOffer::default();
    args.options(CONNECT.iter().copied(), |word, args| {
        match word.text.as_str() {
            "default" => connect.tls = DialTls::Usual,
            "ssl" => connect.tls = DialTls::Yes,
            "linger" => {}
            "port" => {
                let starts_name = |port: &&Word| port.text.starts_with(char::is_alphabetic);
                if let Some(port) = args.peek().filter(starts_name) {
                    args.next();
                    pending.push(Pending::Hole(Slot::Port, port.clone()));
                } else {
                    let port = value::number(args, "a port", 1..=u32::from(u16::MAX))?;
                    connect.port = u16::try_from(port).ok();
                }
            }
            "addr" => {
                let socket = args.peek().and_then(|word| word.text.parse().ok());
                let (ip, port) = match socket {
                    Some(socket) => {
                        args.next();
                        (SocketAddr::ip(&socket), Some(socket.port()))
                    }
                    None => (args.ip("an address")?, None),
                };
                connect.address = Some(ip);
                connect.port = connect.port.or_else(|| port.filter(|&port| port > 0));
            }
            "send-proxy" => connect.send_proxy = true,
            "comment" => comment = Some(value::text(args, "a comment")?),
            "sni" => offer.name = Some(value::text(args, "a name")?),
            "alpn" => offer.protocols = super::tls::protocols(args)?.value,
            "via-socks4" => connect.via_socks = true,
            "proto" => {
                connect.http2 = super::checks::protocol(args)?;
            }
            _ => {
                return Err(value::unknown(
                    word,
                    "a word of 'connect'",
                    CONNECT.iter().copied(),
                ));
            }
        }
        Ok(())
    })?;
    connect.offer = (offer != DialOffer::default()).then(|| Arc::new(offer));
    push(draft, CheckAction::Connect(connect), comment, pending)
}

const CONNECT: &[&str] = &[
    "addr",
    "alpn",
    "comment",
    "default",
    "linger",
    "port",
    "proto",
    "send-proxy",
    "sni",
    "ssl",
    "via-socks4",
];

fn send(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("what to send")?;
    let mut pending = Vec::new();
    let bytes = match draft.name {
        "tcp-check send-binary" => hexadecimal(word)?,
        "tcp-check send-binary-lf" => later(Slot::SendDigits, word, &mut pending),
        "tcp-check send-lf" => later(Slot::Send, word, &mut pending),
        _ => word.bytes().to_vec(),
    };
    let comment = match args.take("comment") {
        true => Some(value::text(args, "a comment")?),
        false => None,
    };
    bounded(word, &bytes)?;
    push(draft, CheckAction::Send(bytes), comment, pending)
}

/// Notes a text with holes, and returns what stands in its place until then.
fn later<T: Default>(slot: Slot, word: &Word, pending: &mut Vec<Pending>) -> T {
    pending.push(Pending::Hole(slot, word.clone()));
    T::default()
}

pub(super) fn bounded(word: &Word, bytes: &[u8]) -> Result<(), Diagnostic> {
    if bytes.len() <= SEND_BYTES_MAX {
        return Ok(());
    }
    let message = format_args!("a check sends at most {SEND_BYTES_MAX} bytes at once");
    Err(Diagnostic::error(Kind::Invalid, word.span, message))
}

fn hexadecimal(word: &Word) -> Result<Vec<u8>, Diagnostic> {
    let bytes = probe::hexadecimal_bytes(&word.text);
    bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(|| {
        let message = "an even number of hexadecimal digits is wanted here";
        Diagnostic::error(Kind::Invalid, word.span, message)
    })
}

/// `http-check send`.
fn ask(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let mut ask = HttpAsk::default();
    let (mut comment, mut pending) = (None, Vec::new());
    args.options(SEND.iter().copied(), |word, args| {
        match word.text.as_str() {
            "meth" => ask.method = probe::token(args, "a method")?.to_owned(),
            "uri" => ask.target = probe::token(args, "a URI")?.to_owned(),
            "ver" => {
                let version = args.word("a version")?;
                ask.version = probe::known_version(&version.text)
                    .ok_or_else(|| probe::bad_version(version))?
                    .to_owned();
            }
            "hdr" => {
                let name = args.word("the name of a header field")?;
                if !probe::is_name(&name.text) {
                    let message = format_args!("'{}' cannot name a header field", name.text);
                    return Err(Diagnostic::error(Kind::Invalid, name.span, message));
                }
                let text = args.word("the value of a header field")?;
                let text = text_of(text, Slot::Field(ask.fields.len()), &mut pending)?;
                ask.fields.push((name.text.clone(), text));
            }
            "body" => {
                let body = args.word("a body")?;
                bounded(body, body.bytes())?;
                ask.body = body.bytes().to_vec();
            }
            "comment" => comment = Some(value::text(args, "a comment")?),
            "uri-lf" => ask.target = later(Slot::Target, args.word("a URI")?, &mut pending),
            "body-lf" => ask.body = later(Slot::Body, args.word("a body")?, &mut pending),
            _ => {
                return Err(value::unknown(
                    word,
                    "a word of 'send'",
                    SEND.iter().copied(),
                ));
            }
        }
        Ok(())
    })?;
    push(draft, CheckAction::Ask(ask), comment, pending)
}

const SEND: &[&str] = &[
    "body", "body-lf", "comment", "hdr", "meth", "uri", "uri-lf", "ver",
];

/// A text that may have holes, and then waits.
fn text_of(word: &Word, slot: Slot, pending: &mut Vec<Pending>) -> Result<String, Diagnostic> {
    let text = word.text.replace("%%", "");
    if text.contains('%') {
        return Ok(later(slot, word, pending));
    }
    if word.text.bytes().any(|byte| byte < b' ' && byte != b'\t') {
        let message = "control characters cannot stand here";
        return Err(Diagnostic::error(Kind::Invalid, word.span, message));
    }
    Ok(word.text.replace("%%", "%"))
}

fn expect(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let http = is_http(draft);
    let mut expectation = Expectation::new(Wanted::Text(Vec::new()));
    let (mut comment, mut found, mut pending) = (None, false, Vec::new());
    args.options(EXPECT.iter().copied(), |word, args| {
        match word.text.as_str() {
            "min-recv" => {
                let least = value::signed(args, "a number of bytes", -1..=i32::MAX)?;
                expectation.receive_min = u32::try_from(least).ok();
            }
            "comment" => comment = Some(value::text(args, "a comment")?),
            "ok-status" => expectation.passed = Some(status(args, &GOOD)?),
            "error-status" => expectation.failed = Some(status(args, &BAD)?),
            "tout-status" => expectation.timed_out = Some(status(args, &LATE)?),
            "on-success" => {
                expectation.on_success = Some(tell(args, Slot::OnSuccess, &mut pending)?);
            }
            "on-error" => expectation.on_error = Some(tell(args, Slot::OnError, &mut pending)?),
            "status-code" => {
                expectation.code =
                    later(Slot::StatusCode, args.word("an expression")?, &mut pending);
            }
            text if !found => {
                let bare = text.strip_prefix('!').unwrap_or(text);
                expectation.negated = bare.len() < text.len();
                expectation.wanted = match bare {
                    "" => {
                        let next = args.word("what is not expected")?;
                        wanted(&next.text, next, args, http, &mut pending)?
                    }
                    bare => wanted(bare, word, args, http, &mut pending)?,
                };
                found = true;
            }
            _ => {
                return Err(value::unknown(
                    word,
                    "a word of 'expect'",
                    EXPECT.iter().copied(),
                ));
            }
        }
        Ok(())
    })?;
    if !found {
        let message = "what is expected is missing";
        let help = match http {
            true => "write status, rstatus, hdr, fhdr, string or rstring with its pattern",
            false => "write string, rstring, binary or rbinary with its pattern",
        };
        return Err(Diagnostic::error(Kind::Invalid, args.end(), message).help(help));
    }
    push(draft, CheckAction::Expect(expectation), comment, pending)
}

const EXPECT: &[&str] = &[
    "comment",
    "error-status",
    "min-recv",
    "ok-status",
    "on-error",
    "on-success",
    "status-code",
    "tout-status",
];

const GOOD: [Outcome; 4] = [
    Outcome::ConnectOk,
    Outcome::TlsOk,
    Outcome::ReplyOk,
    Outcome::ReplyConditional,
];
const BAD: [Outcome; 5] = [
    Outcome::ReplyConditional,
    Outcome::ReplyInvalid,
    Outcome::ReplyWrong,
    Outcome::TlsInvalid,
    Outcome::ConnectError,
];
const LATE: [Outcome; 3] = [
    Outcome::ReplyTimeout,
    Outcome::TlsTimeout,
    Outcome::ConnectTimeout,
];

fn status(args: &mut Args<'_>, known: &[Outcome]) -> Result<Outcome, Diagnostic> {
    let word = args.word("a status")?;
    let mut found = known.iter().filter(|status| status.name() == word.text);
    let names = known.iter().map(|status| status.name());
    found
        .next()
        .copied()
        .ok_or_else(|| value::unknown(word, "a status that can be given here", names))
}

fn tell(args: &mut Args<'_>, slot: Slot, pending: &mut Vec<Pending>) -> Result<Tell, Diagnostic> {
    text_of(args.word("a text")?, slot, pending).map(Tell::Text)
}

const HTTP_WANTED: &[&str] = &[
    "fhdr",
    "hdr",
    "rstatus",
    "rstring",
    "status",
    "string",
    "string-lf",
];
const TCP_WANTED: &[&str] = &[
    "binary",
    "binary-lf",
    "rbinary",
    "rstring",
    "string",
    "string-lf",
];

fn wanted(
    kind: &str,
    word: &Word,
    args: &mut Args<'_>,
    http: bool,
    pending: &mut Vec<Pending>,
) -> Result<Wanted, Diagnostic> {
    match (kind, http) {
        ("string", true) => Ok(Wanted::Body(text(args)?)),
        ("string", false) => Ok(Wanted::Text(text(args)?)),
        ("rstring", true) => pattern(args, false).map(Wanted::BodyRegex),
        ("rstring", false) => pattern(args, false).map(Wanted::Regex),
        ("binary", false) => hexadecimal(args.word("hexadecimal digits")?).map(Wanted::Binary),
        // Answers are compared in capital digits.
        ("rbinary", false) => pattern(args, true).map(Wanted::BinaryRegex),
        ("status", true) => ranges(args.word("statuses")?).map(Wanted::Status),
        ("rstatus", true) => pattern(args, false).map(Wanted::StatusRegex),
        ("hdr", true) => field(args, false, pending),
        ("fhdr", true) => field(args, true, pending),
        ("string-lf", true) => {
            let text = later(Slot::Wanted, args.word("a text")?, pending);
            Ok(Wanted::Body(text))
        }
        ("string-lf", false) => {
            let text = later(Slot::Wanted, args.word("a text")?, pending);
            Ok(Wanted::Text(text))
        }
        ("binary-lf", false) => {
            let digits = args.word("hexadecimal digits")?;
            Ok(Wanted::Binary(later(Slot::WantedDigits, digits, pending)))
        }
        (_, true) => Err(value::unknown(
            word,
            "something to expect",
            HTTP_WANTED.iter().copied(),
        )),
        (_, false) => Err(value::unknown(
            word,
            "something to expect",
            TCP_WANTED.iter().copied(),
        )),
    }
}

fn text(args: &mut Args<'_>) -> Result<Vec<u8>, Diagnostic> {
    let word = args.word("a text")?;
    if word.bytes().is_empty() {
        let message = "a text that is empty stands in every answer";
        return Err(Diagnostic::error(Kind::Invalid, word.span, message));
    }
    Ok(word.bytes().to_vec())
}

fn pattern(args: &mut Args<'_>, ignore_case: bool) -> Result<Pattern, Diagnostic> {
    let word = args.word("a regular expression")?;
    compiled(word, ignore_case)
}

fn compiled(word: &Word, ignore_case: bool) -> Result<Pattern, Diagnostic> {
    Pattern::new(&word.text, ignore_case).map_err(|error| {
        let message = format_args!("this regular expression cannot be used: {error}");
        Diagnostic::error(Kind::Invalid, word.span, message)
            .help("patterns have no look-around and no back-references")
    })
}

/// `200,204,300-399`.
fn ranges(word: &Word) -> Result<Vec<(u16, u16)>, Diagnostic> {
    let range = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let range = (low.parse::<u16>().ok()?, high.parse::<u16>().ok()?);
        (100 <= range.0 && range.0 <= range.1 && range.1 <= 999).then_some(range)
    };
    let ranges: Option<Vec<_>> = word.text.split(',').map(range).collect();
    ranges.ok_or_else(|| {
        let message = format_args!("'{}' is no list of statuses", word.text);
        Diagnostic::error(Kind::Invalid, word.span, message)
            .help("write statuses and ranges, as in 200,204,300-399")
    })
}

/// `name [-m METHOD] NAME [value [-m METHOD] VALUE]`.
fn field(
    args: &mut Args<'_>,
    whole: bool,
    pending: &mut Vec<Pending>,
) -> Result<Wanted, Diagnostic> {
    let word = args.word("'name'")?;
    let slot = match word.text.as_str() {
        "name" => None,
        "name-lf" => Some(Slot::FieldName),
        _ => {
            let known = ["name", "name-lf"].into_iter();
            return Err(value::unknown(word, "the way to a field", known));
        }
    };
    let name = matching(args, true, slot, pending)?;
    let slot = match args.peek().map(|word| word.text.as_str()) {
        Some("value-lf") => Some(Slot::FieldValue),
        Some("value") => None,
        _ => {
            let value = None;
            return Ok(Wanted::Field(FieldWanted { name, value, whole }));
        }
    };
    args.next();
    let value = Some(matching(args, false, slot, pending)?);
    Ok(Wanted::Field(FieldWanted { name, value, whole }))
}

/// `[-m METHOD] PATTERN`; with a slot the pattern has holes.
fn matching(
    args: &mut Args<'_>,
    ignore_case: bool,
    slot: Option<Slot>,
    pending: &mut Vec<Pending>,
) -> Result<TextMatch, Diagnostic> {
    let method = match args.take("-m") {
        true => Some(args.word("a method")?),
        false => None,
    };
    let word = args.word("a pattern")?;
    let text = match slot {
        Some(slot) => later(slot, word, pending),
        None => word.text.clone(),
    };
    Ok(match method.map_or("str", |method| method.text.as_str()) {
        "reg" if slot.is_some() => {
            let message = "a regular expression cannot have holes";
            return Err(Diagnostic::error(Kind::Invalid, word.span, message)
                .help("compare with str, beg, end or sub"));
        }
        "str" => TextMatch::Exact(text),
        "beg" => TextMatch::Begins(text),
        "end" => TextMatch::Ends(text),
        "sub" => TextMatch::Contains(text),
        "reg" => TextMatch::Regex(compiled(word, ignore_case)?),
        _ => {
            let known = ["str", "beg", "end", "sub", "reg"];
            let method = method.unwrap_or(word);
            return Err(value::unknown(
                method,
                "a way to compare",
                known.into_iter(),
            ));
        }
    })
}
