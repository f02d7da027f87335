//! `show sess`, `shutdown session` and `shutdown sessions server`: client connections one by one.

use std::fmt::Write as _;

use super::{Answer, Change, Command, Refusal, ServerChange, Session, Words, find};
use crate::log::{Dates, WallTime};
use crate::model::{AccessLevel, Mode, ServerId};
use crate::stats::{View, Visitor};

pub(super) const SHOW: Command = Command {
    path: &["show", "sess"],
    access: AccessLevel::Operator,
    usage: "show sess [<id>|all|help] [older <age>] [frontend <f>] [backend <b>] [server <b/s>]",
    doc: "client connections, or all that is known of one",
    run: show,
};

pub(super) const SHUTDOWN: Command = Command {
    path: &["shutdown", "session"],
    access: AccessLevel::Admin,
    usage: "shutdown session <id>",
    doc: "end a client connection at once",
    run: shutdown,
};

pub(super) const SHUTDOWN_SERVER: Command = Command {
    path: &["shutdown", "sessions", "server"],
    access: AccessLevel::Admin,
    usage: "shutdown sessions server <bk>/<srv>",
    doc: "end what is at a server at once",
    run: |words, view, session| {
        let (backend, server) = find::server(words, view)?;
        let change = ServerChange::Vacate;
        session
            .changes
            .push(Change::Server(backend, server, change));
        Ok(String::new())
    },
};

fn shutdown(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let expected = "Session pointer expected (use 'show sess').";
    let number = words.next().and_then(number).ok_or(expected)?;
    let mut visitors = view.sums.visitors().into_iter();
    if !visitors.any(|visitor| visitor.number == number) {
        return Err("No such session (use 'show sess').".into());
    }
    session.changes.push(Change::ShutSession(number));
    Ok(String::new())
}

/// `0x…`, or the same without its beginning.
fn number(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
}

/// Which connections are wanted.
#[derive(Default)]
struct Filter {
    number: Option<u64>,
    older_s: u64,
    frontend: Option<String>,
    backend: Option<String>,
    server: Option<String>,
    at_length: bool,
}

fn filter(words: &mut Words<'_>) -> Result<Filter, Refusal> {
    let mut filter = Filter::default();
    while let Some(word) = words.next() {
        let word = word.to_owned();
        let mut value = |what: &str| {
            let missing = || Refusal(format!("'{word}' expects {what}."));
            words.next().map(str::to_owned).ok_or_else(missing)
        };
        match word.as_str() {
            "all" => filter.at_length = true,
            "older" => filter.older_s = age(&value("an age")?)?,
            "frontend" => filter.frontend = Some(value("a frontend")?),
            "backend" => filter.backend = Some(value("a backend")?),
            "server" => filter.server = Some(value("a backend and a server, as b/s")?),
            _ => {
                filter.number = Some(number(&word).ok_or_else(|| {
                    Refusal(format!("'{word}' is neither an option nor a session."))
                })?);
                filter.at_length = true;
            }
        }
    }
    Ok(filter)
}

/// Seconds, or a number with a unit.
fn age(text: &str) -> Result<u64, Refusal> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    let age = seconds.and_then(|unit| digits.parse::<u64>().ok()?.checked_mul(unit));
    age.ok_or_else(|| Refusal(format!("'{text}' is no age.")))
}

impl Filter {
    fn wants(&self, visitor: &Visitor, age_s: u64) -> bool {
        let names = Names::of(visitor);
        self.number.is_none_or(|number| number == visitor.number)
            && age_s >= self.older_s
            && self
                .frontend
                .as_ref()
                .is_none_or(|name| name == names.frontend)
            && self
                .backend
                .as_ref()
                .is_none_or(|name| name == names.backend)
            && self
                .server
                .as_ref()
                .is_none_or(|name| *name == format!("{}/{}", names.backend, names.server))
    }
}

const HELP: &str = "\
Usage: show sess [<id> | all | help] [<options>*]
  <id>         the connection of this identifier (0x...), and all that is known of it
  all          all that is known of each
  help         this text
  older <age>  connections that have been open so long, in seconds or with a unit (s, m, h, d)
  frontend <f>, backend <b>, server <b/s>  connections that are there
";

fn show(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    if words.peek() == Some("help") {
        return Ok(HELP.to_owned());
    }
    let filter = filter(words)?;
    let mut text = String::new();
    let mut dates = Dates::default();
    dates.set_utc_offset_s(view.now.utc_offset_s);
    for visitor in view.sums.visitors() {
        let age_s = view.now.wall_ms.saturating_sub(visitor.accepted_us / 1_000) / 1_000;
        if !filter.wants(&visitor, age_s) {
            continue;
        }
        match filter.at_length {
            true => at_length(&visitor, age_s, &mut dates, &mut text),
            false => in_short(&visitor, age_s, &mut text),
        }
    }
    match text.is_empty() {
        true if filter.number.is_some() => Ok("Session not found.\n".to_owned()),
        _ => Ok(text),
    }
}

/// What the parts of a connection's way are called.
struct Names<'a> {
    frontend: &'a str,
    backend: &'a str,
    server: &'a str,
}

impl<'a> Names<'a> {
    fn of(visitor: &'a Visitor) -> Self {
        let model = &visitor.plane.model;
        let frontend = model.frontends.get(visitor.frontend.0 as usize);
        let backend = visitor.at.map(|(id, _)| &model.backends[id.0 as usize]);
        let server = |ServerId(id)| backend.map(|backend| &backend.servers[id as usize]);
        let server = visitor.at.and_then(|(_, id)| server(id));
        Self {
            frontend: frontend.map_or("<NONE>", |frontend| &frontend.name),
            backend: backend.map_or("<NONE>", |backend| &backend.name),
            server: server.map_or("<none>", |server| &server.name),
        }
    }
}

fn protocol(visitor: &Visitor) -> &'static str {
    match visitor.source {
        Some(source) if source.is_ipv4() => "tcpv4",
        Some(_) => "tcpv6",
        None => "unix_stream",
    }
}

fn in_short(visitor: &Visitor, age_s: u64, text: &mut String) {
    let names = Names::of(visitor);
    let _ = write!(text, "{:#x}: proto={}", visitor.number, protocol(visitor));
    let _ = match visitor.source {
        Some(source) => write!(text, " src={}:{}", source.ip(), source.port()),
        None => write!(text, " src=unix:1"),
    };
    let _ = writeln!(
        text,
        " fe={} be={} srv={} ts={:02x} epoch=0 age={} calls={}",
        names.frontend,
        names.backend,
        names.server,
        visitor.worker,
        human(age_s),
        visitor.requests,
    );
}

fn at_length(visitor: &Visitor, age_s: u64, dates: &mut Dates, text: &mut String) {
    let names = Names::of(visitor);
    let model = &visitor.plane.model;
    let mut date = Vec::new();
    let accepted = WallTime {
        unix_s: visitor.accepted_us / 1_000_000,
        micros: (visitor.accepted_us % 1_000_000) as u32,
    };
    dates.push_local_ms(accepted, &mut date);
    let source = match visitor.source {
        Some(source) => format!("{}:{}", source.ip(), source.port()),
        None => "unix:1".to_owned(),
    };
    let _ = writeln!(
        text,
        "{:#x}: [{}] id={} proto={} source={source}",
        visitor.number,
        String::from_utf8_lossy(&date),
        visitor.number,
        protocol(visitor),
    );
    let _ = writeln!(
        text,
        "  age={} requests={} worker={}",
        human(age_s),
        visitor.requests,
        visitor.worker + 1,
    );
    if let Some(frontend) = model.frontends.get(visitor.frontend.0 as usize) {
        let bind = frontend.binds.get(visitor.bind);
        let _ = writeln!(
            text,
            "  frontend={} (id={} mode={}), listener={} (id={})",
            names.frontend,
            frontend.number,
            mode(frontend.mode),
            bind.and_then(|bind| bind.name.as_deref()).unwrap_or("?"),
            bind.map_or(0, |bind| bind.number),
        );
    }
    let Some((backend, server)) = visitor.at else {
        let _ = writeln!(text, "  backend=<NONE> (id=-1 mode=-)");
        return;
    };
    let backend = &model.backends[backend.0 as usize];
    let _ = writeln!(
        text,
        "  backend={} (id={} mode={})\n  server={} (id={})",
        names.backend,
        backend.number,
        mode(backend.mode),
        names.server,
        backend.servers[server.0 as usize].number,
    );
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Http => "http",
        Mode::Tcp => "tcp",
    }
}

/// The two greatest units, as HAProxy writes durations.
fn human(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_numbers() {
        for (text, expected) in [
            ("5", Some(5)),
            ("2m", Some(120)),
            ("1h", Some(3_600)),
            ("x", None),
        ] {
            assert_eq!(age(text).ok(), expected, "{text}");
        }
        for (seconds, expected) in [(0, "0s"), (75, "1m15s"), (3_700, "1h1m"), (90_000, "1d1h")] {
            assert_eq!(human(seconds), expected);
        }
        assert_eq!(
            (number("0x1f"), number("1f"), number("g")),
            (Some(31), Some(31), None)
        );
    }
}
