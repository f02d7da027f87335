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

    /// The server that it tracks, unless it is what it is by itself.
    fn via_unless(&self, by_itself: bool) -> String {
        match by_itself {
            true => String::new(),
            false => self.via(),
        }
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
pub fn change_line(naming: &Naming<'_>, change: Change, cause: Cause<'_>, census: Census) -> Line {
    let (level, verb) = match change {
        Change::Suspended { .. } => (Level::Warning, "is suspended"),
        Change::Resumed => (Level::Notice, "is on trial"),
        Change::Up => (Level::Notice, "is UP"),
        Change::Stopping => (Level::Notice, "is stopping"),
        Change::Down { was_leaving: true } => (Level::Notice, "is DOWN"),
        Change::Down { was_leaving: false } => (Level::Alert, "is DOWN"),
    };
    let mut text = format!("{} {verb}{}", naming.subject(), cause.words(),);
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

/// Why the health of a server changed.
#[derive(Clone, Copy, Debug)]
pub enum Cause<'a> {
    /// What a check or an agent has seen.
    Seen(&'a Seen),
    /// An operator has said so.
    Command,
    /// That of the server whose health it shares, or its traffic.
    Unsaid,
}

impl Cause<'_> {
    fn words(self) -> String {
        match self {
            Self::Seen(seen) => reason(seen),
            Self::Command => ", changed from CLI".to_owned(),
            Self::Unsaid => String::new(),
        }
    }
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
    let maintained = maintenance_said(naming, before, after, census);
    // In maintenance nobody cares whether it drains as well.
    let drained = match after.is_maintained() {
        true => None,
        false => drain_said(naming, before, after, census),
    };
    let drained = drained.map(|said| (Level::Notice, said));
    let line = |(level, said): (Level, String)| Line {
        level,
        text: format!("{} {said}", naming.subject()),
    };
    maintained.into_iter().chain(drained).map(line).collect()
}

/// The line about a server whose name leads nowhere any more, and why.
pub fn lost_line(naming: &Naming<'_>, reason: &str, census: Census) -> Line {
    let (subject, count) = (naming.subject(), census.of_loss());
    Line {
        level: Level::Alert,
        text: format!("{subject} is going DOWN for maintenance ({reason}){count}"),
    }
}

/// The line about a server whose name leads somewhere again.
pub fn found_line(naming: &Naming<'_>, host: &str, state: ServerState) -> Line {
    let (subject, down) = (naming.subject(), state.contains(ServerState::DOWN));
    let text = match (state.is_maintained(), down, state.is_draining()) {
        (true, ..) => format!("{subject} ('{host}') resolves again but remains in maintenance."),
        (_, true, _) => format!("{subject} ('{host}') is DOWN/READY (resolves again)."),
        (_, _, true) => format!("{subject} ('{host}') is UP/DRAIN (resolves again)."),
        _ => format!("{subject} ('{host}') is UP/READY (resolves again)."),
    };
    Line {
        level: Level::Notice,
        text,
    }
}

/// What is said of a server that enters maintenance, or leaves it.
fn maintenance_said(
    naming: &Naming<'_>,
    before: ServerState,
    after: ServerState,
    census: Census,
) -> Option<(Level, String)> {
    let own = ServerState::MAINTENANCE;
    let inherited = ServerState::INHERITED_MAINTENANCE;
    let left = |reason| before.contains(reason) && !after.contains(reason);
    let said = match (before.is_maintained(), after.is_maintained()) {
        (false, true) => {
            let via = naming.via_unless(after.contains(own));
            if before.contains(ServerState::DOWN) {
                format!("was DOWN and now enters maintenance{via}.")
            } else {
                let leaving = before.is_draining() || before.contains(ServerState::STOPPING);
                let level = if leaving { Level::Notice } else { Level::Alert };
                let count = census.of_loss();
                return Some((level, format!("is going DOWN for maintenance{via}{count}")));
            }
        }
        (true, false) => {
            let follows_down = naming.track.is_some() && after.contains(ServerState::DOWN);
            let word = if follows_down { "DOWN" } else { "UP" };
            let mood = match after.is_draining() {
                true => "DRAIN",
                false => "READY",
            };
            let forced = if left(own) { "forced " } else { "" };
            format!("is {word}/{mood} (leaving {forced}maintenance).")
        }
        (true, true) if left(own) => {
            let via = naming.via();
            format!("is leaving forced maintenance but remains in maintenance{via}.")
        }
        (true, true) if left(inherited) => "remains in forced maintenance.".to_owned(),
        _ => return None,
    };
    Some((Level::Notice, said))
}

/// What is said of a server that begins to drain, or ends.
fn drain_said(
    naming: &Naming<'_>,
    before: ServerState,
    after: ServerState,
    census: Census,
) -> Option<String> {
    let own = ServerState::DRAIN;
    let (was_own, is_own) = (before.contains(own), after.contains(own));
    match (before.is_draining(), after.is_draining()) {
        (false, true) => {
            let via = naming.via_unless(is_own);
            Some(format!("enters drain state{via}{}", census.of_gain()))
        }
        (true, false) => {
            let word = match after.contains(ServerState::DOWN) {
                true => "DOWN",
                false => "UP",
            };
            Some(match was_own {
                true => format!("is {word} (leaving forced drain)."),
                false => format!("is {word} (leaving drain){}.", naming.via()),
            })
        }
        (true, true) if was_own && !is_own => {
            Some(format!("remains in drain mode{}.", naming.via()))
        }
        (true, true) if !was_own && is_own => Some("remains in forced drain mode.".to_owned()),
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::ServerLive;

    #[test]
    fn operators_deeds_are_told_as_haproxy_tells_them() {
        let naming = Naming {
            backend: "b",
            server: "s",
            backup: false,
            track: Some(("b", "l")),
        };
        let [up, down, own, inherited, drain] = [
            ServerState::UP,
            ServerState::DOWN,
            ServerState::MAINTENANCE,
            ServerState::INHERITED_MAINTENANCE,
            ServerState::DRAIN,
        ];
        let left = ". 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.";
        let online =
            ". 0 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.";
        for (before, after, expected) in [
            (
                &[up][..],
                &[own][..],
                &[format!("is going DOWN for maintenance{left}")][..],
            ),
            (
                &[up],
                &[inherited],
                &[format!("is going DOWN for maintenance via b/l{left}")],
            ),
            (
                &[down],
                &[down, own],
                &["was DOWN and now enters maintenance.".into()],
            ),
            (
                &[own],
                &[up],
                &["is UP/READY (leaving forced maintenance).".into()],
            ),
            (
                &[inherited],
                &[up],
                &["is UP/READY (leaving maintenance).".into()],
            ),
            (
                &[down, own],
                &[down],
                &["is DOWN/READY (leaving forced maintenance).".into()],
            ),
            (
                &[own, inherited],
                &[inherited],
                &["is leaving forced maintenance but remains in maintenance via b/l.".into()],
            ),
            (
                &[own, inherited],
                &[own],
                &["remains in forced maintenance.".into()],
            ),
            (&[up], &[drain], &[format!("enters drain state{online}")]),
            (&[drain], &[up], &["is UP (leaving forced drain).".into()]),
            (
                &[own],
                &[drain],
                &[
                    "is UP/DRAIN (leaving forced maintenance).".into(),
                    format!("enters drain state{online}"),
                ],
            ),
            (&[up], &[up], &[]),
        ] {
            let state = |reasons: &[ServerState]| {
                let live = ServerLive::default();
                reasons.iter().for_each(|&reason| {
                    live.mark(reason);
                });
                live.state()
            };
            let lines = admin_lines(&naming, state(before), state(after), Census::default());
            let texts: Vec<_> = lines.iter().map(|line| line.text.clone()).collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|said: &String| format!("Server b/s {said}"))
                .collect();
            assert_eq!(texts, expected, "{before:?} {after:?}");
        }
    }
}
