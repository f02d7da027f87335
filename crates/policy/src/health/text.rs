//! The lines that changes of health leave in the log, word for word as HAProxy's, because scripts read them.

use std::fmt::Write as _;

use super::{Change, Seen, Tally, Which};
use crate::live::ServerState;
use crate::log::Level;
use crate::model::{BackendId, Model, ServerId};
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

impl<'a> Naming<'a> {
    /// What a server of a model is called.
    pub fn of(model: &'a Model, backend: BackendId, server: ServerId) -> Self {
        let find = |backend: BackendId, server: ServerId| {
            let backend = &model.backends[backend.0 as usize];
            (backend, &backend.servers[server.0 as usize])
        };
        let (section, row) = find(backend, server);
        let track = row.check.track.map(|(backend, server)| {
            let (section, row) = find(backend, server);
            (section.name.as_str(), row.name.as_str())
        });
        Self {
            backend: &section.name,
            server: &row.name,
            backup: row.backup,
            track,
        }
    }

    fn subject(&self) -> String {
        let noun = match self.backup {
            true => "Backup Server",
            false => "Server",
        };
        format!("{noun} {}/{}", self.backend, self.server)
    }

    fn via(&self) -> String {
        match self.track {
            Some((backend, server)) => format!(" via {backend}/{server}"),
            None => String::new(),
        }
    }
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
        "{} {verb}{}",
        naming.subject(),
        seen.map(reason).unwrap_or_default(),
    );
    if let Change::Suspended { errors } = change {
        let _ = write!(text, ", reason: {errors} failures in its traffic");
    }
    text.push_str(&naming.via());
    text.push_str(&match change {
        Change::Down { .. } | Change::Suspended { .. } => census.of_loss(),
        Change::Up | Change::Stopping | Change::Resumed => census.of_gain(),
    });
    Line { level, text }
}

impl Census {
    fn on_backup(&self) -> &'static str {
        match self.backup > 0 && self.active == 0 {
            true => " Running on backup.",
            false => "",
        }
    }

    /// What is said of a backend that has one server less.
    fn of_loss(&self) -> String {
        let Self {
            active,
            backup,
            sessions,
            queued,
            requeued,
        } = self;
        format!(
            ". {active} active and {backup} backup servers left.{} {sessions} sessions active, {requeued} requeued, \
             {queued} remaining in queue.",
            self.on_backup(),
        )
    }

    /// What is said of a backend that has not.
    fn of_gain(&self) -> String {
        let (active, backup) = (self.active, self.backup);
        format!(
            ". {active} active and {backup} backup servers online.{} {} sessions requeued, {} total in queue.",
            self.on_backup(),
            self.requeued,
            self.queued,
        )
    }
}

/// The lines about what an operator, an agent or a tracked server has done to a server's administration.
pub fn admin_lines(
    naming: &Naming<'_>,
    before: ServerState,
    after: ServerState,
    census: Census,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let subject = naming.subject();
    let mut say = |level, said: String| {
        let text = format!("{subject} {said}");
        lines.push(Line { level, text });
    };
    let (was_out, is_out) = (before.is_maintained(), after.is_maintained());
    let own = ServerState::MAINTENANCE;
    let inherited = ServerState::INHERITED_MAINTENANCE;
    let via = |forced: bool| match forced {
        true => String::new(),
        false => naming.via(),
    };
    let left_own = before.contains(own) && !after.contains(own);
    match (was_out, is_out) {
        (false, true) => {
            let via = via(after.contains(own));
            if before.contains(ServerState::DOWN) {
                say(Level::Notice, format!("was DOWN and now enters maintenance{via}."));
            } else {
                let leaving = before.is_draining() || before.contains(ServerState::STOPPING);
                let level = if leaving { Level::Notice } else { Level::Alert };
                let count = census.of_loss();
                say(level, format!("is going DOWN for maintenance{via}{count}"));
            }
        }
        (true, false) => {
            let follows_down = naming.track.is_some() && after.contains(ServerState::DOWN);
            let word = if follows_down { "DOWN" } else { "UP" };
            let mood = if after.is_draining() { "DRAIN" } else { "READY" };
            let what = if left_own { "forced maintenance" } else { "maintenance" };
            say(Level::Notice, format!("is {word}/{mood} (leaving {what})."));
        }
        (true, true) if left_own => {
            let via = naming.via();
            let said = format!("is leaving forced maintenance but remains in maintenance{via}.");
            say(Level::Notice, said);
        }
        (true, true) if before.contains(inherited) && !after.contains(inherited) => {
            say(Level::Notice, "remains in forced maintenance.".to_owned());
        }
        _ => {}
    }
    let own = ServerState::DRAIN;
    if is_out {
        return lines;
    }
    let mut say = |said: String| {
        let (level, text) = (Level::Notice, format!("{subject} {said}"));
        lines.push(Line { level, text });
    };
    match (before.is_draining(), after.is_draining()) {
        (false, true) => {
            let via = via(after.contains(own));
            say(format!("enters drain state{via}{}", census.of_gain()));
        }
        (true, false) => {
            let word = match after.contains(ServerState::DOWN) {
                true => "DOWN",
                false => "UP",
            };
            let said = match before.contains(own) {
                true => "(leaving forced drain)".to_owned(),
                false => format!("(leaving drain){}", naming.via()),
            };
            say(format!("is {word} {said}."));
        }
        (true, true) if before.contains(own) && !after.contains(own) => {
            say(format!("remains in drain mode{}.", naming.via()));
        }
        (true, true) if !before.contains(own) && after.contains(own) => {
            say("remains in forced drain mode.".to_owned());
        }
        _ => {}
    }
    lines
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
