//! What the verdicts on a server add up to: whether it is up, and when it is asked again.
//!
//! ```text
//! count    0 ─────────── rise-1 │ rise ─────────── rise+fall-1
//!          down, sure           │              up, sure
//!          a pass adds one, and at `rise` jumps to the top; a failure takes one, and below `rise` drops to 0
//! ```
//! A server is up while its check and its agent both count it as up and nobody has it in maintenance. Between the ends
//! its state is unsure, and it is asked more often (`fastinter`). What is absent: sockets, clocks (moments are
//! arguments, in milliseconds), and other servers.

mod text;

use std::collections::VecDeque;

use crate::agent::Reply;
use crate::live::RAMP_FULL;
use crate::model::check::{InitState, OnError, Rhythm, ServerCheck};
use crate::passive::Observation;
use crate::probe::{Class, Status, Verdict};

pub use text::{
    Cause, Census, Line, Naming, admin_lines, change_line, check_line, found_line, lost_line,
    no_server_line, outlier_line, report_header,
};

/// Verdicts kept for display.
pub const HISTORY_MAX: usize = 16;

/// Which of a server's two checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    Check,
    Agent,
}

/// What is thought of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    #[default]
    Up,
    Down,
    /// Up, but it wants no new clients (`http-check disable-on-404`).
    Stopping,
}

/// A verdict as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub status: Status,
    pub code: u32,
    pub info: Vec<u8>,
    /// `None`: it was no check.
    pub duration_ms: Option<u64>,
    pub at_ms: u64,
}

/// The verdicts of one check, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    rise: u32,
    fall: u32,
    count: u32,
    last: Seen,
}

impl Tally {
    fn new(rise: u32, fall: u32, init: InitState) -> Self {
        let (rise, fall) = (rise.max(1), fall.max(1));
        let mut tally = Self {
            rise,
            fall,
            count: 0,
            last: Seen {
                status: Status::Initializing,
                ..Seen::default()
            },
        };
        tally.count = match init {
            InitState::FullyUp => tally.top(),
            InitState::Up => rise,
            InitState::Down => rise - 1,
            InitState::FullyDown => 0,
        };
        tally
    }

    fn top(&self) -> u32 {
        self.rise.saturating_add(self.fall - 1)
    }

    pub fn is_up(&self) -> bool {
        self.count >= self.rise
    }

    /// The count and what it is out of, as logs show it: `2/3` of an unsure server that is up, `0/2` of one that is down.
    pub fn fraction(&self) -> (u32, u32) {
        match self.is_up() {
            true => (self.count - self.rise + 1, self.fall),
            false => (self.count, self.rise),
        }
    }

    /// The count, 0 to `rise + fall - 1`.
    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn rise(&self) -> u32 {
        self.rise
    }

    pub fn fall(&self) -> u32 {
        self.fall
    }

    /// The newest verdict.
    pub fn last(&self) -> &Seen {
        &self.last
    }

    /// Counts a verdict; whether it is worth a line.
    fn take(&mut self, seen: Seen, counts: bool) -> bool {
        let mut news = seen.status != self.last.status;
        let class = seen.status.class();
        self.last = seen;
        match class {
            Class::Failed if counts && self.count > 0 => {
                news = true;
                self.count -= 1;
                if !self.is_up() {
                    self.count = 0;
                }
            }
            Class::Passed | Class::Conditional if self.count < self.top() => {
                news = true;
                self.count += 1;
                if self.is_up() {
                    self.count = self.top();
                }
            }
            Class::Neutral | Class::Unknown => news = false,
            _ => {}
        }
        news
    }
}

/// What a verdict led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reaction {
    /// The verdict is worth a line in the log (`option log-health-checks`).
    pub news: bool,
    /// The server's state is another now.
    pub change: Option<Change>,
    /// An agent's orders, to be carried out by whoever owns weights and limits.
    pub orders: Option<Reply>,
    /// The next check is due `fastinter` from now, where it was due later.
    pub hurry: bool,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Up,
    /// `was_leaving`: it took no new clients before either, so that nobody need be alarmed.
    Down {
        was_leaving: bool,
    },
    Stopping,
    /// Taken out for a while, since its traffic failed so often.
    Suspended {
        errors: u32,
    },
    /// The while is over: the next request is a trial.
    Resumed,
}

/// The health of one server.
#[derive(Clone, Debug)]
pub struct Health {
    rhythm: Rhythm,
    agent_interval_ms: u64,
    slow_start_ms: u64,
    on_error: OnError,
    check: Option<Tally>,
    agent: Option<Tally>,
    condition: Condition,
    maintenance: bool,
    draining: bool,
    /// When it came back, while its share is still rising.
    warming_since_ms: Option<u64>,
    hurry: bool,
    history: VecDeque<Seen>,
    /// The traffic has failed so often that the server was taken out until then.
    suspended_until_ms: Option<u64>,
    sums: HealthSums,
    down_since_ms: Option<u64>,
}

/// What has happened to a server's health since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthSums {
    /// Failed checks of a server that was not surely down.
    pub checks_failed: u64,
    /// Reports that the traffic failed.
    pub traffic_failed: u64,
    /// Changes from up to down.
    pub times_down: u64,
    /// Milliseconds spent down, without the present time.
    pub down_ms: u64,
}

impl Health {
    pub fn new(settings: &ServerCheck) -> Self {
        let rhythm = settings.rhythm;
        let check = settings
            .enabled
            .then(|| Tally::new(rhythm.rise, rhythm.fall, settings.init_state));
        let agent = settings.agent.as_ref();
        let agent_interval_ms = agent.and_then(|agent| agent.interval_ms);
        let down = check.as_ref().is_some_and(|check| !check.is_up());
        Self {
            rhythm,
            agent_interval_ms: agent_interval_ms.unwrap_or(rhythm.interval_ms),
            slow_start_ms: settings.slow_start_ms,
            on_error: settings.on_error,
            agent: agent.map(|_| Tally::new(1, 1, InitState::Up)),
            check,
            condition: if down { Condition::Down } else { Condition::Up },
            maintenance: false,
            draining: false,
            warming_since_ms: None,
            hurry: false,
            history: VecDeque::new(),
            suspended_until_ms: None,
            sums: HealthSums::default(),
            down_since_ms: down.then_some(0),
        }
    }

    /// The same server under other settings: what is thought of it stays, and so do its verdicts.
    pub fn reconfigured(&self, settings: &ServerCheck) -> Self {
        let mut health = Self::new(settings);
        health.condition = self.condition;
        let tallies = [
            (&mut health.check, &self.check),
            (&mut health.agent, &self.agent),
        ];
        let mut counted = false;
        for (tally, before) in tallies {
            counted |= tally.is_some();
            let (Some(tally), Some(before)) = (tally, before) else {
                continue;
            };
            tally.last = before.last.clone();
            tally.count = match before.is_up() {
                _ if before.count == before.top() => tally.top(),
                true => tally.rise,
                false => before.count.min(tally.rise - 1),
            };
        }
        if !counted && settings.track.is_none() {
            health.condition = Condition::Up;
        }
        health.maintenance = self.maintenance;
        health.draining = self.draining;
        health.warming_since_ms = self.warming_since_ms;
        health.history.clone_from(&self.history);
        health.suspended_until_ms = self.suspended_until_ms.filter(|_| health.suspends());
        (health.sums, health.down_since_ms) = (self.sums, self.down_since_ms);
        health
    }

    pub fn condition(&self) -> Condition {
        self.condition
    }

    pub fn tally(&self, which: Which) -> Option<&Tally> {
        match which {
            Which::Check => self.check.as_ref(),
            Which::Agent => self.agent.as_ref(),
        }
    }

    /// The newest verdicts, oldest first, at most [`HISTORY_MAX`].
    pub fn history(&self) -> impl Iterator<Item = &Seen> {
        self.history.iter()
    }

    /// What has happened since the start; the time that it has been down now comes on top.
    pub fn sums(&self) -> HealthSums {
        self.sums
    }

    /// Begins with what happened under another process.
    pub fn recall(&mut self, sums: HealthSums) {
        self.sums = sums;
    }

    /// Whether checks rest, because an operator has the server.
    pub fn is_paused(&self) -> bool {
        self.maintenance
    }

    /// Takes in a verdict, which took `duration_ms`.
    pub fn hear(
        &mut self,
        which: Which,
        verdict: &Verdict,
        duration_ms: Option<u64>,
        now_ms: u64,
    ) -> Reaction {
        let mut seen = Seen {
            status: verdict.status,
            code: verdict.code,
            info: verdict.info.clone(),
            duration_ms,
            at_ms: now_ms,
        };
        let mut orders = None;
        if let (Some(line), Some(agent)) = (&verdict.agent, &mut self.agent) {
            let reply = Reply::read(line);
            seen.info = reply.info().into_bytes();
            if let Some(health) = reply.health {
                // An agent's word needs no repetition.
                (agent.count, seen.status) = match health.is_up() {
                    true => (agent.top(), Status::ReplyOk),
                    false => (0, Status::ReplyWrong),
                };
            }
            orders = Some(reply);
        }
        self.note(seen.clone());
        let (news, change) = self.count(which, seen, now_ms);
        Reaction {
            news,
            change,
            orders,
            hurry: false,
        }
    }

    fn note(&mut self, seen: Seen) {
        if self.history.len() >= HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(seen);
    }

    fn count(&mut self, which: Which, seen: Seen, now_ms: u64) -> (bool, Option<Change>) {
        let status = seen.status;
        // An agent that cannot be asked says nothing about its server.
        let counts = which == Which::Check || status == Status::ReplyWrong;
        let tally = match which {
            Which::Check => self.check.as_mut(),
            Which::Agent => self.agent.as_mut(),
        };
        let Some(tally) = tally else {
            return (false, None);
        };
        if status.class() == Class::Failed && counts && tally.count > 0 {
            self.sums.checks_failed += 1;
        }
        let news = tally.take(seen, counts);
        let out = tally.count == 0;
        let change = match status.class() {
            Class::Failed if counts && out => self.fall(now_ms),
            Class::Passed if which == Which::Agent && self.condition == Condition::Stopping => None,
            Class::Passed if self.may_rise() => self.rise(now_ms),
            Class::Conditional if which == Which::Check && self.may_rise() => self.stop(now_ms),
            _ => None,
        };
        (news, change)
    }

    /// Nobody counts it as down, and no operator has it.
    fn may_rise(&self) -> bool {
        let up = |tally: &Option<Tally>| tally.as_ref().is_none_or(Tally::is_up);
        !self.maintenance && up(&self.check) && up(&self.agent)
    }

    fn fall(&mut self, now_ms: u64) -> Option<Change> {
        if self.maintenance || self.condition == Condition::Down {
            return None;
        }
        let was_leaving = self.draining || self.condition == Condition::Stopping;
        self.sums.times_down += 1;
        self.down_since_ms = Some(now_ms);
        self.condition = Condition::Down;
        self.warming_since_ms = None;
        Some(Change::Down { was_leaving })
    }

    fn rise(&mut self, now_ms: u64) -> Option<Change> {
        if self.condition == Condition::Up {
            return None;
        }
        if self.condition == Condition::Down && self.slow_start_ms > 0 {
            self.warming_since_ms = Some(now_ms);
        }
        self.is_back(now_ms);
        self.condition = Condition::Up;
        Some(Change::Up)
    }

    fn is_back(&mut self, now_ms: u64) {
        if let Some(since_ms) = self.down_since_ms.take() {
            self.sums.down_ms += now_ms.saturating_sub(since_ms);
        }
    }

    fn stop(&mut self, now_ms: u64) -> Option<Change> {
        if self.condition == Condition::Stopping {
            return None;
        }
        self.is_back(now_ms);
        self.condition = Condition::Stopping;
        Some(Change::Stopping)
    }

    /// Takes over the condition of the server it tracks.
    pub fn follow(&mut self, leader: Condition, now_ms: u64) -> Option<Change> {
        match leader {
            Condition::Up if !self.maintenance => self.rise(now_ms),
            Condition::Down => self.fall(now_ms),
            Condition::Stopping if !self.maintenance => self.stop(now_ms),
            _ => None,
        }
    }

    /// Takes note of what operators and agents ordered. A server that leaves maintenance is up until its next check,
    /// which is due at once: then the answer is true.
    pub fn administer(&mut self, maintenance: bool, draining: bool, now_ms: u64) -> bool {
        self.draining = draining;
        if self.maintenance == maintenance {
            return false;
        }
        self.maintenance = maintenance;
        if let Some(check) = &mut self.check {
            check.count = if maintenance { 0 } else { check.rise };
        }
        if maintenance {
            self.condition = Condition::Down;
            self.warming_since_ms = None;
            self.down_since_ms.get_or_insert(now_ms);
        } else if self.may_rise() {
            self.rise(now_ms);
        }
        !maintenance
    }

    /// Takes over what an operator said of the server's health, which workers know already.
    pub fn heed(&mut self, down: bool, stopping: bool, now_ms: u64) {
        if self.maintenance || (self.check.is_none() && self.agent.is_none()) {
            return;
        }
        let said = match (down, stopping) {
            (true, _) => Condition::Down,
            (false, true) => Condition::Stopping,
            (false, false) => Condition::Up,
        };
        if said == self.condition {
            return;
        }
        for tally in [&mut self.check, &mut self.agent].into_iter().flatten() {
            tally.count = match said {
                Condition::Down => 0,
                Condition::Up | Condition::Stopping => tally.top(),
            };
        }
        if said == Condition::Down {
            // The agent has not said so, and need not take it back.
            if let (Some(_), Some(agent)) = (&self.check, &mut self.agent) {
                agent.count = agent.top();
            }
            self.fall(now_ms);
        } else {
            self.is_back(now_ms);
            self.condition = said;
        }
    }

    /// Takes it that the agent has said `up` or `down`.
    pub fn heed_agent(&mut self, up: bool, now_ms: u64) {
        let Some(agent) = &mut self.agent else { return };
        agent.count = if up { agent.top() } else { 0 };
        if !up {
            self.fall(now_ms);
        } else if self.may_rise() {
            self.rise(now_ms);
        }
    }

    /// The traffic failed `errors` times in a row, or within a window ([`crate::passive`]): `on-error` acts.
    pub fn accuse(&mut self, observation: Observation, errors: u32, now_ms: u64) -> Reaction {
        self.sums.traffic_failed += 1;
        if let OnError::Suspend { window_ms } = self.on_error {
            let until_ms = now_ms.saturating_add(window_ms);
            let news = self.suspended_until_ms.replace(until_ms).is_none();
            return Reaction {
                change: news.then_some(Change::Suspended { errors }),
                ..Reaction::default()
            };
        }
        let Some(check) = &mut self.check else {
            return Reaction::default();
        };
        let hurry = self.rhythm.fast_interval_ms.is_some();
        self.hurry = hurry;
        let hurried = Reaction {
            hurry,
            ..Reaction::default()
        };
        match self.on_error {
            OnError::FastInterval | OnError::Suspend { .. } => return hurried,
            OnError::FailCheck => {}
            OnError::SuddenDeath => check.count = check.count.min(check.rise + 1),
            OnError::MarkDown => check.count = check.count.min(check.rise),
        }
        let info = format!(
            "Detected {errors} consecutive errors, last one was: {}",
            observation.words()
        );
        let verdict = Verdict::new(Status::Observed, 0, info);
        Reaction {
            hurry,
            ..self.hear(Which::Check, &verdict, None, now_ms)
        }
    }

    /// Whether failures of the traffic lead to suspensions.
    pub fn suspends(&self) -> bool {
        matches!(self.on_error, OnError::Suspend { .. })
    }

    /// When the suspension under way ends.
    pub fn suspended_until_ms(&self) -> Option<u64> {
        self.suspended_until_ms
    }

    /// Whether a suspension is over: then it is, and the answer is [`Change::Resumed`]. Otherwise when to ask again.
    pub fn resume(&mut self, now_ms: u64) -> Result<Change, Option<u64>> {
        match self.suspended_until_ms {
            Some(until_ms) if until_ms <= now_ms => {
                self.suspended_until_ms = None;
                Ok(Change::Resumed)
            }
            until_ms => Err(until_ms),
        }
    }

    /// How long to wait before the next check.
    pub fn interval_ms(&mut self, which: Which) -> u64 {
        if which == Which::Agent {
            return self.agent_interval_ms.max(1);
        }
        let hurry = std::mem::take(&mut self.hurry);
        let Rhythm {
            interval_ms,
            fast_interval_ms,
            down_interval_ms,
            ..
        } = self.rhythm;
        let count = self.check.as_ref().map_or(0, |check| check.count);
        let top = self.check.as_ref().map_or(0, Tally::top);
        let chosen = if hurry {
            fast_interval_ms
        } else if count == top {
            None
        } else if count == 0 && self.condition == Condition::Down {
            down_interval_ms
        } else {
            fast_interval_ms
        };
        chosen.unwrap_or(interval_ms).max(1)
    }

    /// How far a server that came back is, 1 to 16 sixteenths, and when to ask again; `None`: nothing changes by itself.
    pub fn ramp(&mut self, now_ms: u64) -> (u32, Option<u64>) {
        let Some(since_ms) = self.warming_since_ms else {
            return (RAMP_FULL, None);
        };
        let elapsed_ms = now_ms.saturating_sub(since_ms);
        if elapsed_ms >= self.slow_start_ms {
            self.warming_since_ms = None;
            return (RAMP_FULL, None);
        }
        let steps = u64::from(RAMP_FULL);
        let step =
            (u128::from(elapsed_ms) * u128::from(steps) / u128::from(self.slow_start_ms)) as u64;
        // The moment of the next step, rounded up so that it has been reached by then.
        let next_ms = since_ms + ((step + 1) * self.slow_start_ms).div_ceil(steps);
        (step as u32 + 1, Some(next_ms))
    }
}

/// When the check at `position` of `total` runs first: they are spread over the shortest long interval, or over their
/// own where that is longer.
pub fn start_delay_ms(position: usize, total: usize, shortest_ms: u64, interval_ms: u64) -> u64 {
    let over = u128::from(shortest_ms.max(interval_ms));
    (over * position as u128 / total.max(1) as u128) as u64
}

/// Intervals below this do not decide how far the first checks are spread, in milliseconds.
pub const SPREAD_INTERVAL_MIN_MS: u64 = 1_000;

/// An interval that is longer or shorter by at most `spread_percent` of itself (`spread-checks`); `chance` is any number.
pub fn jittered_ms(interval_ms: u64, spread_percent: u32, chance: u64) -> u64 {
    let most = u128::from(interval_ms) * u128::from(spread_percent.min(50)) / 100;
    let off = (u128::from(chance) * (2 * most + 1)) >> 64;
    (u128::from(interval_ms) - most + off) as u64
}

#[cfg(test)]
mod tests;
