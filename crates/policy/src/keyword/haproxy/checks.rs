//! `http-check`, `tcp-check` and `external-check` lines, the options that choose a check, and the words of server lines
//! that are about checks.
//!
//! What the kinds of checks say is written in [`crate::probe`]; here their lines are read and put together.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};

use super::{tls, value};
use crate::draft::{AddressDraft, Draft, Family, HostDraft, Polarity, ServerDraft, Spanned};
use crate::keyword::{Keyword, Sections, Status};
use crate::model::check::{
    AgentCheck, BackendCheck, CheckAction, CheckConnect, CheckSpec, CheckStep,
    ERROR_WINDOW_DEFAULT_MS, Expectation, FieldWanted, Flavour, HttpAsk, InitState, Observe,
    OnError, Pattern, SEND_BYTES_MAX, STEPS_MAX, Tell, TextMatch, Wanted,
};
use crate::probe::{self, DialTls, Status as Outcome};

const FORMATS: &str = "log formats";
const VARIABLES: &str = "variables of checks";
const EXTERNAL: &str = "checks by external programs";

/// What of checks a proxy inherits and writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChecksDraft {
    /// The option that chose the check, with what it says.
    option: Option<(&'static str, CheckSpec)>,
    http: Vec<CheckStep>,
    tcp: Vec<CheckStep>,
    /// A comment for the next step.
    comment: Option<String>,
    disable_on_404: bool,
    send_state: bool,
    log: bool,
    /// How many sections there were when the option was written.
    chosen_in: (usize, usize),
    /// How many sections there were when the steps were written: those of `defaults` give way to a proxy's own.
    written_in: (usize, usize),
}

impl ChecksDraft {
    /// What the lines mean together.
    pub(crate) fn resolve(&self) -> BackendCheck {
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
                check.spec.steps = self.http_steps(&spec.steps);
                check.spec.disable_on_404 = self.disable_on_404;
                check.spec.send_state = self.send_state;
                probe::complete_http(&mut check.spec);
            }
            Flavour::Script if self.tcp.is_empty() => check.spec.flavour = Flavour::Connect,
            Flavour::Script => check.spec.steps.clone_from(&self.tcp),
            Flavour::Connect | Flavour::Protocol | Flavour::Agent => {}
        }
        check
    }

    /// The request of the option comes first, merged with the first one of the lines.
    fn http_steps(&self, option: &[CheckStep]) -> Vec<CheckStep> {
        let mut steps = self.http.clone();
        let implied = option.iter().find_map(|step| match &step.action {
            CheckAction::Ask(ask) => Some(ask),
            _ => None,
        });
        let Some(implied) = implied else {
            return steps;
        };
        let connects = |step: &CheckStep| matches!(step.action, CheckAction::Connect(_));
        let at = usize::from(steps.first().is_some_and(connects));
        match steps.get_mut(at).map(|step| &mut step.action) {
            Some(CheckAction::Ask(ask)) => merge(ask, implied),
            _ => steps.insert(at, CheckAction::Ask(implied.clone()).into()),
        }
        steps
    }
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

/// What a server line says about checks and cannot be said in the model yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerChecksDraft {
    pub(crate) address: Option<AddressDraft>,
    pub(crate) agent_enabled: bool,
    pub(crate) agent: AgentCheck,
    pub(crate) agent_address: Option<AddressDraft>,
    /// `track [BACKEND/]SERVER`.
    pub(crate) track: Option<Spanned<String>>,
    /// `error-window`.
    pub(crate) error_window_ms: Option<u64>,
    /// Where `observe` was written.
    pub(crate) observed_at: Option<Span>,
}

// --- Lines ---

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    later(
        "external-check command",
        "FILE",
        "Program that checks servers.",
        EXTERNAL,
    ),
    later(
        "external-check path",
        "PATH",
        "PATH of that program.",
        EXTERNAL,
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
    later(
        "http-check set-var",
        "EXPRESSION...",
        "Remembers part of an answer.",
        VARIABLES,
    ),
    later(
        "http-check set-var-fmt",
        "FORMAT...",
        "Remembers a text.",
        VARIABLES,
    ),
    later("http-check unset-var", "", "Forgets it.", VARIABLES),
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
    later(
        "tcp-check send-binary-lf",
        "FORMAT [WORD...]",
        "What a server is told.",
        FORMATS,
    ),
    later(
        "tcp-check send-lf",
        "FORMAT [WORD...]",
        "What a server is told.",
        FORMATS,
    ),
    later(
        "tcp-check set-var",
        "EXPRESSION...",
        "Remembers part of an answer.",
        VARIABLES,
    ),
    later(
        "tcp-check set-var-fmt",
        "FORMAT...",
        "Remembers a text.",
        VARIABLES,
    ),
    later("tcp-check unset-var", "", "Forgets it.", VARIABLES),
];

type Read = fn(&mut Args<'_>, &mut Draft) -> Result<(), Diagnostic>;

const fn line(
    name: &'static str,
    usage: &'static str,
    doc: &'static str,
    read: Read,
) -> Keyword<Draft> {
    Keyword::new(name, Sections::BACK, usage, doc, read)
}

const fn later(
    name: &'static str,
    usage: &'static str,
    doc: &'static str,
    waits: &'static str,
) -> Keyword<Draft> {
    Keyword::inert(name, Sections::BACK, usage, doc, Status::NotYet(waits))
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
fn section(draft: &Draft) -> (usize, usize) {
    (draft.defaults.len(), draft.proxies.len())
}

/// The checks of the section being read, rid of steps that were written in another.
fn own(draft: &mut Draft) -> &mut ChecksDraft {
    let here = section(draft);
    let checks = &mut draft.settings().checks;
    if checks.written_in != here {
        checks.written_in = here;
        checks.http.clear();
        checks.tcp.clear();
        checks.comment = None;
    }
    checks
}

fn is_http(draft: &Draft) -> bool {
    draft.name.starts_with("http-check")
}

fn push(draft: &mut Draft, action: CheckAction, comment: Option<String>) -> Result<(), Diagnostic> {
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
    let steps = if http {
        &mut checks.http
    } else {
        &mut checks.tcp
    };
    if steps.len() >= STEPS_MAX {
        let message = format_args!("a check has at most {STEPS_MAX} steps");
        return Err(Diagnostic::error(Kind::Invalid, span, message));
    }
    if http {
        in_order(steps.last().map(|step| &step.action), &action, span)?;
    }
    steps.push(CheckStep { action, comment });
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
    own(draft).comment = Some(value::text(args, "a comment")?);
    Ok(())
}

fn not_yet(word: &Word, waits: &str) -> Diagnostic {
    let message = format_args!("'{}' is not implemented yet", word.text);
    Diagnostic::error(Kind::NotImplemented, word.span, message)
        .cause(format_args!("it waits for {waits}"))
}

fn connect(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let mut connect = CheckConnect {
        tls: DialTls::No,
        ..CheckConnect::default()
    };
    let mut comment = None;
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "default" => connect.tls = DialTls::Usual,
            "ssl" => connect.tls = DialTls::Yes,
            "linger" => {}
            "port" => {
                if let Some(port) = args.peek().filter(|port| port.text.parse::<u16>().is_err()) {
                    return Err(not_yet(port, "expressions in checks"));
                }
                let port = value::number(args, "a port", 1..=u32::from(u16::MAX))?;
                connect.port = u16::try_from(port).ok();
            }
            "addr" => {
                let text = args.peek().map(|word| (word.text.clone(), word.span));
                let (ip, port) = match text.as_ref().and_then(|(text, _)| text.parse().ok()) {
                    Some(std::net::SocketAddr::V4(socket)) => {
                        args.next();
                        (socket.ip().to_owned().into(), Some(socket.port()))
                    }
                    Some(std::net::SocketAddr::V6(socket)) => {
                        args.next();
                        (socket.ip().to_owned().into(), Some(socket.port()))
                    }
                    None => (args.ip("an address")?, None),
                };
                connect.address = Some(ip);
                connect.port = connect.port.or_else(|| port.filter(|&port| port > 0));
            }
            "send-proxy" => connect.send_proxy = true,
            "comment" => comment = Some(value::text(args, "a comment")?),
            "sni" | "alpn" => {
                return Err(not_yet(word, "names and protocols of single steps")
                    .help("write 'check-sni' or 'check-alpn' on the server's line"));
            }
            "via-socks4" => return Err(not_yet(word, "SOCKS")),
            "proto" => {
                let proto = args.word("a protocol")?;
                super::bind::http1_only(&proto.text, proto.span)?;
            }
            _ => {
                return Err(value::unknown(
                    word,
                    "a word of 'connect'",
                    CONNECT.iter().copied(),
                ));
            }
        }
    }
    push(draft, CheckAction::Connect(connect), comment)
}

const CONNECT: &[&str] = &[
    "addr",
    "comment",
    "default",
    "linger",
    "port",
    "proto",
    "send-proxy",
    "ssl",
];

fn send(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("what to send")?;
    let bytes = match draft.name {
        "tcp-check send-binary" => hexadecimal(word)?,
        _ => word.bytes().to_vec(),
    };
    let comment = match args.take("comment") {
        true => Some(value::text(args, "a comment")?),
        false => None,
    };
    bounded(word, &bytes)?;
    push(draft, CheckAction::Send(bytes), comment)
}

fn bounded(word: &Word, bytes: &[u8]) -> Result<(), Diagnostic> {
    if bytes.len() <= SEND_BYTES_MAX {
        return Ok(());
    }
    let message = format_args!("a check sends at most {SEND_BYTES_MAX} bytes at once");
    Err(Diagnostic::error(Kind::Invalid, word.span, message))
}

fn hexadecimal(word: &Word) -> Result<Vec<u8>, Diagnostic> {
    let digits: Option<Vec<u8>> = word
        .text
        .chars()
        .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
        .collect();
    let pairs = digits.filter(|digits| !digits.is_empty() && digits.len() % 2 == 0);
    let Some(digits) = pairs else {
        let message = "an even number of hexadecimal digits is wanted here";
        return Err(Diagnostic::error(Kind::Invalid, word.span, message));
    };
    Ok(digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect())
}

/// `http-check send`.
fn ask(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let mut ask = HttpAsk::default();
    let mut comment = None;
    while let Some(word) = args.next() {
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
                let text = literal(args.word("the value of a header field")?)?;
                ask.fields.push((name.text.clone(), text));
            }
            "body" => {
                let body = args.word("a body")?;
                bounded(body, body.bytes())?;
                ask.body = body.bytes().to_vec();
            }
            "comment" => comment = Some(value::text(args, "a comment")?),
            "uri-lf" | "body-lf" => return Err(not_yet(word, FORMATS)),
            _ => {
                return Err(value::unknown(
                    word,
                    "a word of 'send'",
                    SEND.iter().copied(),
                ));
            }
        }
    }
    push(draft, CheckAction::Ask(ask), comment)
}

const SEND: &[&str] = &["body", "comment", "hdr", "meth", "uri", "ver"];

/// A log format that formats nothing.
fn literal(word: &Word) -> Result<String, Diagnostic> {
    let text = word.text.replace("%%", "");
    if text.contains('%') {
        return Err(not_yet(word, FORMATS));
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
    let (mut comment, mut found) = (None, false);
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "min-recv" => {
                let least = value::signed(args, "a number of bytes", -1..=i32::MAX)?;
                expectation.receive_min = u32::try_from(least).ok();
            }
            "comment" => comment = Some(value::text(args, "a comment")?),
            "ok-status" => expectation.passed = Some(status(args, &GOOD)?),
            "error-status" => expectation.failed = Some(status(args, &BAD)?),
            "tout-status" => expectation.timed_out = Some(status(args, &LATE)?),
            "on-success" => expectation.on_success = Some(tell(args)?),
            "on-error" => expectation.on_error = Some(tell(args)?),
            "status-code" => return Err(not_yet(word, "expressions in checks")),
            text if !found => {
                let bare = text.strip_prefix('!').unwrap_or(text);
                expectation.negated = bare.len() < text.len();
                expectation.wanted = match bare {
                    "" => {
                        let next = args.word("what is not expected")?;
                        wanted(&next.text, next, args, http)?
                    }
                    bare => wanted(bare, word, args, http)?,
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
    }
    if !found {
        let message = "what is expected is missing";
        let help = match http {
            true => "write status, rstatus, hdr, fhdr, string or rstring with its pattern",
            false => "write string, rstring, binary or rbinary with its pattern",
        };
        return Err(Diagnostic::error(Kind::Invalid, args.end(), message).help(help));
    }
    push(draft, CheckAction::Expect(expectation), comment)
}

const EXPECT: &[&str] = &[
    "comment",
    "error-status",
    "min-recv",
    "ok-status",
    "on-error",
    "on-success",
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

fn tell(args: &mut Args<'_>) -> Result<Tell, Diagnostic> {
    literal(args.word("a text")?).map(Tell::Text)
}

const HTTP_WANTED: &[&str] = &["fhdr", "hdr", "rstatus", "rstring", "status", "string"];
const TCP_WANTED: &[&str] = &["binary", "rbinary", "rstring", "string"];

fn wanted(kind: &str, word: &Word, args: &mut Args<'_>, http: bool) -> Result<Wanted, Diagnostic> {
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
        ("hdr", true) => field(args, false),
        ("fhdr", true) => field(args, true),
        ("string-lf" | "binary-lf", _) => Err(not_yet(word, FORMATS)),
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
fn field(args: &mut Args<'_>, whole: bool) -> Result<Wanted, Diagnostic> {
    let word = args.word("'name'")?;
    match word.text.as_str() {
        "name" => {}
        "name-lf" => return Err(not_yet(word, FORMATS)),
        _ => {
            return Err(value::unknown(
                word,
                "the way to a field",
                ["name"].into_iter(),
            ));
        }
    }
    let name = matching(args, true)?;
    let value = match args.peek().map(|word| word.text.as_str()) {
        Some("value-lf") => return Err(not_yet(args.word("'value-lf'")?, FORMATS)),
        Some("value") => {
            args.next();
            Some(matching(args, false)?)
        }
        _ => None,
    };
    Ok(Wanted::Field(FieldWanted { name, value, whole }))
}

fn matching(args: &mut Args<'_>, ignore_case: bool) -> Result<TextMatch, Diagnostic> {
    let method = match args.take("-m") {
        true => Some(args.word("a method")?),
        false => None,
    };
    let word = args.word("a pattern")?;
    let text = word.text.clone();
    Ok(match method.map_or("str", |method| method.text.as_str()) {
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

// --- Words of server lines ---

const NOWHERE: Sections = Sections::NONE;
const DOC: &str = "Health check.";
const OWN_CONNECTIONS: &str = "every check opens a connection of its own";

type ReadServer = fn(&mut Args<'_>, &mut ServerDraft) -> Result<(), Diagnostic>;

const fn word(name: &'static str, usage: &'static str, read: ReadServer) -> Keyword<ServerDraft> {
    Keyword::new(name, NOWHERE, usage, DOC, read)
}

const fn switch(name: &'static str, set: fn(&mut ServerDraft, bool)) -> Keyword<ServerDraft> {
    Keyword::switch(name, NOWHERE, DOC, set)
}

const fn inert(name: &'static str, usage: &'static str, status: Status) -> Keyword<ServerDraft> {
    Keyword::inert(name, NOWHERE, usage, DOC, status)
}

pub(super) const ADDR: Keyword<ServerDraft> = word("addr", "ADDRESS", |args, server| {
    server.checks.address = Some(host(args)?);
    Ok(())
});
pub(super) const AGENT_ADDR: Keyword<ServerDraft> =
    word("agent-addr", "ADDRESS", |args, server| {
        server.checks.agent_address = Some(host(args)?);
        Ok(())
    });
pub(super) const AGENT_CHECK: Keyword<ServerDraft> =
    switch("agent-check", |server, on| server.checks.agent_enabled = on);
pub(super) const AGENT_INTER: Keyword<ServerDraft> = word("agent-inter", "TIME", |args, server| {
    server.checks.agent.interval_ms = Some(interval(args)?);
    Ok(())
});
pub(super) const AGENT_PORT: Keyword<ServerDraft> = word("agent-port", "NUMBER", |args, server| {
    server.checks.agent.port = port(args)?;
    Ok(())
});
pub(super) const AGENT_SEND: Keyword<ServerDraft> = word("agent-send", "TEXT", |args, server| {
    let word = args.word("a text")?;
    bounded(word, word.bytes())?;
    server.checks.agent.send = word.bytes().to_vec();
    Ok(())
});
pub(super) const CHECK: Keyword<ServerDraft> =
    switch("check", |server, on| server.model.check.enabled = on);
pub(super) const CHECK_ALPN: Keyword<ServerDraft> = tls::check_alpn();
pub(super) const CHECK_POOL_CONN_NAME: Keyword<ServerDraft> = inert(
    "check-pool-conn-name",
    "NAME",
    Status::NoOp(OWN_CONNECTIONS),
);
pub(super) const CHECK_PROTO: Keyword<ServerDraft> = word("check-proto", "NAME", |args, _| {
    let word = args.word("a protocol")?;
    super::bind::http1_only(&word.text, word.span)
});
pub(super) const CHECK_REUSE_POOL: Keyword<ServerDraft> =
    inert("check-reuse-pool", "", Status::NoOp(OWN_CONNECTIONS));
pub(super) const CHECK_SEND_PROXY: Keyword<ServerDraft> =
    switch("check-send-proxy", |server, on| {
        server.model.check.send_proxy = on
    });
pub(super) const CHECK_SNI: Keyword<ServerDraft> = tls::check_sni();
pub(super) const CHECK_SNI_AUTO: Keyword<ServerDraft> = inert(
    "check-sni-auto",
    "",
    Status::NoOp("checks ask for the name of 'check-sni', or for the constant one of 'sni'"),
);
pub(super) const CHECK_SSL: Keyword<ServerDraft> = tls::check_ssl("check-ssl", false);
pub(super) const CHECK_VIA_SOCKS4: Keyword<ServerDraft> =
    inert("check-via-socks4", "", Status::NotYet("SOCKS"));
pub(super) const DOWNINTER: Keyword<ServerDraft> = word("downinter", "TIME", |args, server| {
    server.model.check.rhythm.down_interval_ms = Some(interval(args)?);
    Ok(())
});
pub(super) const ERROR_LIMIT: Keyword<ServerDraft> =
    word("error-limit", "NUMBER", |args, server| {
        server.model.check.error_limit = value::number(args, "a number of errors", 1..=ROW_MAX)?;
        Ok(())
    });
pub(super) const ERROR_WINDOW: Keyword<ServerDraft> =
    word("error-window", "TIME", |args, server| {
        let span = value::place(args);
        let window_ms = value::duration_ms(args, "a time")?;
        if window_ms == 0 {
            let message = "a window without an end or a beginning holds no errors";
            return Err(Diagnostic::error(Kind::Invalid, span, message));
        }
        server.checks.error_window_ms = Some(window_ms);
        Ok(())
    });
pub(super) const FALL: Keyword<ServerDraft> = word("fall", "NUMBER", |args, server| {
    server.model.check.rhythm.fall = row(args)?;
    Ok(())
});
pub(super) const FASTINTER: Keyword<ServerDraft> = word("fastinter", "TIME", |args, server| {
    server.model.check.rhythm.fast_interval_ms = Some(interval(args)?);
    Ok(())
});
pub(super) const HEALTHCHECK: Keyword<ServerDraft> = inert(
    "healthcheck",
    "NAME",
    Status::NotYet("healthcheck sections"),
);
pub(super) const INIT_STATE: Keyword<ServerDraft> = word(
    "init-state",
    "up|fully-up|down|fully-down|none",
    |args, server| {
        let known = [
            ("up", InitState::Up),
            ("fully-up", InitState::FullyUp),
            ("down", InitState::Down),
            ("fully-down", InitState::FullyDown),
            ("none", InitState::Up),
        ];
        server.model.check.init_state = value::choice(args, "a state", &known)?;
        Ok(())
    },
);
pub(super) const INTER: Keyword<ServerDraft> = word("inter", "TIME", |args, server| {
    server.model.check.rhythm.interval_ms = interval(args)?;
    Ok(())
});
pub(super) const NO_AGENT_CHECK: Keyword<ServerDraft> = switch("no-agent-check", |server, on| {
    server.checks.agent_enabled = !on;
});
pub(super) const NO_CHECK: Keyword<ServerDraft> =
    switch("no-check", |server, on| server.model.check.enabled = !on);
pub(super) const NO_CHECK_SEND_PROXY: Keyword<ServerDraft> =
    switch("no-check-send-proxy", |server, on| {
        server.model.check.send_proxy = !on
    });
pub(super) const OBSERVE: Keyword<ServerDraft> =
    word("observe", "layer4|layer7", |args, server| {
        let known = [("layer4", Observe::Layer4), ("layer7", Observe::Layer7)];
        let word = args.peek().map(|word| word.span);
        let observe = value::choice(args, "a layer", &known)?;
        server.model.check.observe = Some(observe);
        server.checks.observed_at = word;
        Ok(())
    });
pub(super) const ON_ERROR: Keyword<ServerDraft> = word(
    "on-error",
    "fastinter|fail-check|sudden-death|mark-down|suspend",
    |args, server| {
        let known = [
            ("fastinter", OnError::FastInterval),
            ("fail-check", OnError::FailCheck),
            ("sudden-death", OnError::SuddenDeath),
            ("mark-down", OnError::MarkDown),
            (
                "suspend",
                OnError::Suspend {
                    window_ms: ERROR_WINDOW_DEFAULT_MS,
                },
            ),
        ];
        server.model.check.on_error = value::choice(args, "a reaction", &known)?;
        Ok(())
    },
);
pub(super) const ON_MARKED_DOWN: Keyword<ServerDraft> =
    word("on-marked-down", "shutdown-sessions", |args, server| {
        value::choice(args, "a reaction", &[("shutdown-sessions", ())])?;
        server.model.check.ends_sessions_when_down = true;
        Ok(())
    });
pub(super) const ON_MARKED_UP: Keyword<ServerDraft> = word(
    "on-marked-up",
    "shutdown-backup-sessions",
    |args, server| {
        value::choice(args, "a reaction", &[("shutdown-backup-sessions", ())])?;
        server.model.check.ends_backup_sessions_when_up = true;
        Ok(())
    },
);
pub(super) const PORT: Keyword<ServerDraft> = word("port", "NUMBER", |args, server| {
    server.model.check.port = Some(port(args)?);
    Ok(())
});
pub(super) const RISE: Keyword<ServerDraft> = word("rise", "NUMBER", |args, server| {
    server.model.check.rhythm.rise = row(args)?;
    Ok(())
});
pub(super) const SLOWSTART: Keyword<ServerDraft> = word("slowstart", "TIME", |args, server| {
    server.model.check.slow_start_ms = value::duration_ms(args, "a time")?;
    Ok(())
});
pub(super) const TRACK: Keyword<ServerDraft> = word("track", "SERVER", |args, server| {
    let word = args.word("a server")?;
    server.checks.track = Some(Spanned::new(word.text.clone(), word.span));
    Ok(())
});

/// Longest row of verdicts that decides anything.
const ROW_MAX: u32 = 1_000_000;

fn row(args: &mut Args<'_>) -> Result<u32, Diagnostic> {
    value::number(args, "the number of checks", 1..=ROW_MAX)
}

fn port(args: &mut Args<'_>) -> Result<u16, Diagnostic> {
    let port = value::number(args, "the port", 1..=u32::from(u16::MAX))?;
    Ok(u16::try_from(port).unwrap_or(u16::MAX))
}

fn interval(args: &mut Args<'_>) -> Result<u64, Diagnostic> {
    let span = value::place(args);
    match value::duration_ms(args, "a time")? {
        0 => {
            let message = "checks cannot follow each other without a pause";
            Err(Diagnostic::error(Kind::Invalid, span, message))
        }
        interval_ms => Ok(interval_ms),
    }
}

/// An address without a port, or a name.
fn host(args: &mut Args<'_>) -> Result<AddressDraft, Diagnostic> {
    let word = args.word("an address")?;
    let (text, family) = match word.text.split_once('@') {
        Some(("ipv4", text)) => (text, Family::V4),
        Some(("ipv6", text)) => (text, Family::V6),
        _ => (word.text.as_str(), Family::Any),
    };
    let host = match text.parse() {
        Ok(ip) => HostDraft::Ip(ip),
        Err(_) => HostDraft::Name(text.to_owned(), family),
    };
    Ok(AddressDraft {
        host,
        port: 0,
        span: word.span,
    })
}
