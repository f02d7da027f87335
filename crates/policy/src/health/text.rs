//! The lines that changes of health leave in the log, word for word as HAProxy's, because scripts read them.

use std::fmt::Write as _;

use super::{Change, Seen, Tally, Which};
use crate::log::Level;
use crate::outlier::Act;
use crate::probe::{Class, Status};

/// A line and how important it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub level: Level,
    pub text: String,
}

/// What a server is called.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'a> {
    pub backend: &'a str,
    pub server: &'a str,
    pub backup: bool,
    /// Backend and name of the server it tracks.
    pub track: Option<(&'a str, &'a str)>,
}

/// How its backend stands after a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Servers that may be chosen.
    pub active: usize,
    pub backup: usize,
    /// Sessions at the server that changed.
    pub sessions: u32,
    /// Requests that wait for it alone.
    pub queued: u32,
    /// Requests that may choose again, or no longer have to wait.
    pub requeued: u32,
}

/// The line about a verdict; `weight` is the server's.
pub fn check_line(naming: &Naming<'_>, which: Which, tally: &Tally, weight: u32) -> Line {
    let seen = tally.last();
    let class = seen.status.class();
    let (count, of) = tally.fraction();
    let text = format!(
        "{} check for {}server {}/{} {}{}{}, status: {count}/{of} {}.",
        match which {
            Which::Check => "Health",
            Which::Agent => "Agent",
        },
        if naming.backup { "backup " } else { "" },
        naming.backend,
        naming.server,
        match class {
            Class::Conditional => "conditionally ",
            _ => "",
        },
        match class {
            Class::Passed | Class::Conditional => "succeeded",
            _ => "failed",
        },
        reason(seen),
        match (tally.is_up(), weight) {
            (false, _) => "DOWN",
            (true, 0) => "DRAIN",
            (true, _) => "UP",
        },
    );
    Line {
        level: Level::Notice,
        text,
    }
}

/// The line about a change; `seen` is the verdict that led to it.
pub fn change_line(
    naming: &Naming<'_>,
    change: Change,
    seen: Option<&Seen>,
    census: Census,
) -> Line {
    let (level, verb) = match change {
        Change::Suspended { .. } => (Level::Warning, "is suspended"),
        Change::Resumed => (Level::Notice, "is on trial"),
        Change::Up => (Level::Notice, "is UP"),
        Change::Stopping => (Level::Notice, "is stopping"),
        Change::Down { was_leaving: true } => (Level::Notice, "is DOWN"),
        Change::Down { was_leaving: false } => (Level::Alert, "is DOWN"),
    };
    let mut text = format!(
        "{} {}/{} {verb}{}",
        if naming.backup {
            "Backup Server"
        } else {
            "Server"
        },
        naming.backend,
        naming.server,
        seen.map(reason).unwrap_or_default(),
    );
    if let Change::Suspended { errors } = change {
        let _ = write!(text, ", reason: {errors} failures in its traffic");
    }
    if let Some((backend, server)) = naming.track {
        let _ = write!(text, " via {backend}/{server}");
    }
    let on_backup = match census.backup > 0 && census.active == 0 {
        true => " Running on backup.",
        false => "",
    };
    let (active, backup) = (census.active, census.backup);
    let _ = match change {
        Change::Down { .. } | Change::Suspended { .. } => write!(
            text,
            ". {active} active and {backup} backup servers left.{on_backup} {} sessions active, {} requeued, {} \
             remaining in queue.",
            census.sessions, census.requeued, census.queued,
        ),
        Change::Up | Change::Stopping | Change::Resumed => write!(
            text,
            ". {active} active and {backup} backup servers online.{on_backup} {} sessions requeued, {} total in queue.",
            census.requeued, census.queued,
        ),
    };
    Line { level, text }
}

/// The line about a server that is slower than its peers, or was.
pub fn outlier_line(naming: &Naming<'_>, act: Act, census: Census) -> Line {
    let compared = |median_us: u64, peers_us: u64| {
        let ms = |us: u64| us as f64 / 1_000.0;
        format!(
            "median response time {:.1}ms, that of its peers {:.1}ms",
            ms(median_us),
            ms(peers_us)
        )
    };
    let (level, said) = match act {
        Act::Eject {
            for_ms,
            median_us,
            peers_us,
            ..
        } => {
            let compared = compared(median_us, peers_us);
            (
                Level::Warning,
                format!("is ejected for {for_ms}ms, reason: {compared}"),
            )
        }
        Act::Keep {
            median_us,
            peers_us,
            ..
        } => {
            let compared = compared(median_us, peers_us);
            let said = format!("is kept, for enough others are ejected, though: {compared}");
            (Level::Warning, said)
        }
        Act::Readmit { early: true, .. } => (
            Level::Warning,
            "is readmitted early, for it is needed".to_owned(),
        ),
        Act::Readmit { early: false, .. } => (Level::Notice, "is readmitted".to_owned()),
    };
    let (active, backup) = (census.active, census.backup);
    let text = format!(
        "Server {}/{} {said}. {active} active and {backup} backup servers in use.",
        naming.backend, naming.server
    );
    Line { level, text }
}

/// The line about a backend that nobody serves any more; `listen`: it is half of a `listen` section.
pub fn no_server_line(backend: &str, listen: bool) -> Line {
    let noun = if listen { "proxy" } else { "backend" };
    Line {
        level: Level::Emergency,
        text: format!("{noun} {backend} has no server available!"),
    }
}

/// The value of `X-Haproxy-Server-State` (`http-check send-state`).
pub fn report_header(
    naming: &Naming<'_>,
    tally: &Tally,
    stopping: bool,
    node: &str,
    (weight, total_weight): (u32, u32),
    (sessions, backend_sessions, queued): (u32, u32, u32),
) -> String {
    let word = match (tally.is_up(), stopping) {
        (false, _) => "DOWN",
        (true, true) => "NOLB",
        (true, false) => "UP",
    };
    let (count, of) = tally.fraction();
    let sure = match tally.is_up() {
        true => count == of,
        false => count == 0,
    };
    let state = match sure {
        true => word.to_owned(),
        false => format!("{word} {count}/{of}"),
    };
    format!(
        "{state}; name={}/{}; node={node}; weight={weight}/{total_weight}; scur={sessions}/{backend_sessions}; qcur={queued}",
        naming.backend, naming.server,
    )
}

/// `, reason: …, code: …, info: "…", check duration: …ms`.
fn reason(seen: &Seen) -> String {
    let mut text = format!(", reason: {}", seen.status.words());
    if seen.status.has_code() {
        let _ = write!(text, ", code: {}", seen.code);
    }
    if !seen.info.is_empty() {
        text.push_str(", info: \"");
        seen.info.iter().for_each(|&byte| quote(byte, &mut text));
        text.push('"');
    }
    if let Some(duration_ms) = seen.duration_ms.filter(|_| seen.status != Status::Observed) {
        let _ = write!(text, ", check duration: {duration_ms}ms");
    }
    text
}

/// Bytes that could end the text or the line, or mean something on a page, are written as two digits between `<` and `>`.
fn quote(byte: u8, text: &mut String) {
    match byte {
        b' '..=b'~' if !matches!(byte, b'"' | b'<' | b'>') => text.push(char::from(byte)),
        _ => {
            let _ = write!(text, "<{byte:02X}>");
        }
    }
}
