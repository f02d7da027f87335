//! What traffic says of one server: failures, counted where they happen, until they are worth a report.
//!
//! ```text
//! HAProxy  observe, error-limit      failures in a row; one success forgets them
//! nginx    max_fails, fail_timeout   failures; a success forgets them only when `fail_timeout` has passed since the last
//!                                    one, and until then each takes a part of the server's share (`effective_weight`)
//! ```
//! Both are one [`Rule`]: they differ in the window. A worker's success costs one load here while all is well. What is
//! absent: what follows from a report ([`crate::health`]), and other servers ([`crate::outlier`]).

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use crate::live::RAMP_FULL;
use crate::model::check::{Observe, OnError, ServerCheck};

/// An exchange with a server, as `observe` sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    Connected,
    ConnectFailed,
    ResponseOk,
    /// A status of 500, 502 or the like.
    ResponseWrong,
    ResponseInvalid,
    ReadError,
    ReadTimeout,
    BrokenPipe,
}

impl Observation {
    /// What a response with this status says. 501 and 505 are the answers to what a client asked for.
    pub fn of_status(status: u16) -> Self {
        match status {
            500 | 502..=504 | 506.. => Self::ResponseWrong,
            _ => Self::ResponseOk,
        }
    }

    /// Whether it counts as an error where `observe` looks; `None`: it is not looked at.
    pub fn is_error(self, observe: Observe) -> Option<bool> {
        match (observe, self) {
            (_, Self::ConnectFailed) => Some(true),
            (Observe::Layer4, Self::Connected) => Some(false),
            (Observe::Layer7, Self::ResponseOk) => Some(false),
            (Observe::Layer7, Self::Connected) | (Observe::Layer4, _) => None,
            (Observe::Layer7, _) => Some(true),
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Connected => "L4 successful connection",
            Self::ConnectFailed => "L4 unsuccessful connection",
            Self::ResponseOk => "Correct http response",
            Self::ResponseWrong => "Wrong http response",
            Self::ResponseInvalid => "Invalid http response (headers)",
            Self::ReadError => "Read error (http)",
            Self::ReadTimeout => "Read timeout (http)",
            Self::BrokenPipe => "Close from server (http)",
        }
    }
}

/// How many failures are worth a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub observe: Observe,
    /// At least 1.
    pub limit: u32,
    /// How long a failure is held against the server whatever follows it; `None`: until the next success.
    pub window_ms: Option<u64>,
}

impl Rule {
    /// The rule of a server; `None`: its traffic is not watched.
    pub fn of(check: &ServerCheck) -> Option<Self> {
        let window_ms = match check.on_error {
            OnError::Suspend { window_ms } => Some(window_ms),
            _ => None,
        };
        Some(Self {
            observe: check.observe?,
            limit: check.error_limit.max(1),
            window_ms,
        })
    }
}

/// What an observation led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// So many failures: it is time for a report.
    pub report: Option<u32>,
    /// The server's share is another now.
    pub share_changed: bool,
}

/// The failures of one server, counted by all workers. A race may lose one of two that fall together.
#[derive(Debug, Default)]
pub struct Failures {
    count: AtomicU32,
    /// Sixteenths of the share that failures have taken.
    lost: AtomicU32,
    /// When the last failure was, in milliseconds of any clock, cut to 32 bits.
    last_ms: AtomicU32,
}

impl Failures {
    /// Takes note of an observation at `now_ms`.
    pub fn note(&self, rule: &Rule, observation: Observation, now_ms: u64) -> Outcome {
        match observation.is_error(rule.observe) {
            None => Outcome::default(),
            Some(false) => Outcome {
                report: None,
                share_changed: self.forgive(rule, now_ms),
            },
            Some(true) => self.count_one(rule, now_ms),
        }
    }

    fn forgive(&self, rule: &Rule, now_ms: u64) -> bool {
        let count = self.count.load(Relaxed);
        let lost = self.lost.load(Relaxed);
        if count == 0 && lost == 0 {
            return false;
        }
        let passed = rule.window_ms.is_none_or(|window_ms| {
            let age_ms = (now_ms as u32).wrapping_sub(self.last_ms.load(Relaxed));
            u64::from(age_ms) >= window_ms
        });
        if passed {
            self.count.store(0, Relaxed);
        }
        // The share comes back by one part for each success, as it does in nginx.
        if lost > 0 {
            self.lost.store(lost - 1, Relaxed);
        }
        lost > 0
    }

    fn count_one(&self, rule: &Rule, now_ms: u64) -> Outcome {
        let count = self.count.fetch_add(1, Relaxed).saturating_add(1);
        self.last_ms.store(now_ms as u32, Relaxed);
        let reached = count >= rule.limit;
        if rule.window_ms.is_none() {
            if reached {
                self.count.store(0, Relaxed);
            }
            return Outcome {
                report: reached.then_some(count),
                share_changed: false,
            };
        }
        let part = RAMP_FULL.div_ceil(rule.limit);
        let lost = self.lost.load(Relaxed);
        let more = (lost + part).min(RAMP_FULL - 1);
        self.lost.store(more, Relaxed);
        if reached {
            // The next failure alone is enough: a server that comes back is on trial.
            self.count.store(rule.limit - 1, Relaxed);
        }
        Outcome {
            report: reached.then_some(count),
            share_changed: more != lost,
        }
    }

    /// Sixteenths of the share that are left, 1 to 16.
    pub fn share_sixteenths(&self) -> u32 {
        RAMP_FULL - self.lost.load(Relaxed).min(RAMP_FULL - 1)
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.count.store(0, Relaxed);
        self.lost.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Observation::{ConnectFailed, Connected, ReadTimeout, ResponseOk, ResponseWrong};

    const HAPROXY: Rule = Rule {
        observe: Observe::Layer7,
        limit: 3,
        window_ms: None,
    };
    const NGINX: Rule = Rule {
        observe: Observe::Layer7,
        limit: 2,
        window_ms: Some(10_000),
    };

    fn reports(failures: &Failures, rule: &Rule, told: &[(u64, Observation)]) -> Vec<u64> {
        let told = told.iter();
        told.filter(|(at_ms, observation)| {
            failures.note(rule, *observation, *at_ms).report.is_some()
        })
        .map(|(at_ms, _)| *at_ms)
        .collect()
    }

    #[test]
    fn failures_in_a_row_are_counted_and_one_success_forgets_them() {
        let told = [
            (1, ResponseWrong),
            (2, ConnectFailed),
            (3, ResponseOk),
            (4, ReadTimeout),
            (5, Connected),
            (6, ResponseWrong),
            (7, ConnectFailed),
            (8, ConnectFailed),
            (9, ConnectFailed),
            (10, ConnectFailed),
        ];
        let failures = Failures::default();
        assert_eq!(reports(&failures, &HAPROXY, &told), [7, 10]);
        assert_eq!(failures.share_sixteenths(), 16);
    }

    #[test]
    fn layer_4_sees_connections_only() {
        let rule = Rule {
            observe: Observe::Layer4,
            ..HAPROXY
        };
        let told = [
            (1, ConnectFailed),
            (2, ResponseWrong),
            (3, ConnectFailed),
            (4, ResponseOk),
            (5, ConnectFailed),
            (6, ConnectFailed),
            (7, Connected),
            (8, ConnectFailed),
            (9, ConnectFailed),
        ];
        assert_eq!(reports(&Failures::default(), &rule, &told), [5]);
    }

    #[test]
    fn within_the_window_successes_forgive_nothing_and_after_it_a_server_is_on_trial() {
        let failures = Failures::default();
        let told = [(0, ResponseWrong), (1, ResponseOk), (9_000, ResponseWrong)];
        assert_eq!(reports(&failures, &NGINX, &told), [9_000]);
        // The first request after the suspension decides.
        assert_eq!(
            reports(&failures, &NGINX, &[(19_001, ResponseWrong)]),
            [19_001]
        );
        let told = [
            (29_002, ResponseOk),
            (29_003, ResponseWrong),
            (29_004, ResponseWrong),
        ];
        assert_eq!(reports(&failures, &NGINX, &told), [29_004]);
    }

    #[test]
    fn each_failure_takes_its_part_of_the_share_and_each_success_brings_some_back() {
        let failures = Failures::default();
        let shares: Vec<_> = [ResponseWrong, ResponseWrong, ResponseOk, ResponseOk]
            .into_iter()
            .map(|observation| {
                failures.note(&NGINX, observation, 0);
                failures.share_sixteenths()
            })
            .collect();
        assert_eq!(shares, [8, 1, 2, 3]);
        failures.clear();
        assert_eq!(failures.share_sixteenths(), 16);
    }

    #[test]
    fn statuses_that_clients_ask_for_are_no_failures() {
        for (status, expected) in [
            (200, ResponseOk),
            (404, ResponseOk),
            (501, ResponseOk),
            (505, ResponseOk),
            (500, ResponseWrong),
            (503, ResponseWrong),
        ] {
            assert_eq!(Observation::of_status(status), expected, "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_report_comes_without_so_many_failures(
            told in proptest::collection::vec((0_u64..5_000, any::<bool>()), 0..300),
            limit in 1_u32..8,
            windowed in any::<bool>(),
        ) {
            let rule = Rule { limit, window_ms: windowed.then_some(1_000), ..HAPROXY };
            let failures = Failures::default();
            let (mut now_ms, mut seen) = (0, 0);
            for (pause_ms, well) in told {
                now_ms += pause_ms;
                let outcome = failures.note(&rule, if well { ResponseOk } else { ResponseWrong }, now_ms);
                seen += u32::from(!well);
                prop_assert!(outcome.report.is_none_or(|count| !well && seen >= limit && count >= limit));
                prop_assert!((1..=16).contains(&failures.share_sixteenths()));
                prop_assert!(windowed || !outcome.share_changed);
            }
            // Successes bring everything back.
            for step in 0..40 {
                failures.note(&rule, ResponseOk, now_ms + 1_000 + step);
            }
            prop_assert_eq!(failures.share_sixteenths(), 16);
            prop_assert_eq!(failures.count.load(Relaxed), 0);
        }
    }
}
