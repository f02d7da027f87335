//! The agent's advice: what share of its normal traffic a server should get now.
//!
//! Pure arithmetic: a [`Condition`] goes in, an [`Advice`] comes out. The only memory is whether the
//! last advice was `down`, so that a server on the edge does not flap.

use std::fmt;

/// Errors take weight away this steeply: 2 % leave 85 %, 10 % leave 43 %, 20 % leave 17 %.
const ERROR_STEEPNESS: i32 = 8;

/// Beyond any of these a server is `down`; it is `up` again when all are below half of them.
const ERROR_RATIO_HOPELESS: f64 = 0.5;
const LATENCY_FACTOR_HOPELESS: f64 = 20.0;
const INFLIGHT_FACTOR_HOPELESS: f64 = 8.0;

/// How a server feels at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// Recent latency, in milliseconds.
    pub latency_ms: f64,
    /// The latency at which a server is still content, in milliseconds; more than 0.
    pub target_latency_ms: f64,
    /// Recent share of failed requests, 0 to 1.
    pub error_ratio: f64,
    /// Requests being worked on.
    pub inflight: u32,
    /// Requests that can be worked on at once without harm; more than 0.
    pub max_inflight_safe: u32,
}

/// What a load balancer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Send this percentage of the normal share, 1 to 100.
    Up(u8),
    /// Send nothing.
    Down,
}

impl Advice {
    /// The advised percentage; 0 when down.
    pub fn percent(self) -> u8 {
        match self {
            Self::Up(percent) => percent,
            Self::Down => 0,
        }
    }

    /// The line of the agent protocol, with its line feed. The percent sign is what makes HAProxy
    /// read the number as a weight: it ignores a bare one.
    pub fn agent_line(self) -> String {
        match self {
            Self::Up(percent) => format!("up {percent}%\n"),
            Self::Down => "down\n".to_owned(),
        }
    }
}

/// As people read it, and as `/agent` answers it: `up 100`, `down`.
impl fmt::Display for Advice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up(percent) => write!(out, "up {percent}"),
            Self::Down => out.write_str("down"),
        }
    }
}

/// Advises, and remembers what it advised last.
#[derive(Debug, Default)]
pub struct Agent {
    down: bool,
}

impl Agent {
    /// The advice for `condition`.
    pub fn advise(&mut self, condition: &Condition) -> Advice {
        let margin = if self.down { 0.5 } else { 1.0 };
        self.down = is_hopeless(condition, margin);
        if self.down {
            Advice::Down
        } else {
            Advice::Up(percent(condition))
        }
    }
}

fn is_hopeless(condition: &Condition, margin: f64) -> bool {
    condition.error_ratio >= ERROR_RATIO_HOPELESS * margin
        || latency_factor(condition) >= LATENCY_FACTOR_HOPELESS * margin
        || inflight_factor(condition) >= INFLIGHT_FACTOR_HOPELESS * margin
}

/// Each of the three complaints takes away its own share; what is left is their product.
fn percent(condition: &Condition) -> u8 {
    let latency = 1.0 / latency_factor(condition).max(1.0);
    let inflight = 1.0 / inflight_factor(condition).max(1.0);
    let errors = (1.0 - condition.error_ratio.clamp(0.0, 1.0)).powi(ERROR_STEEPNESS);
    // A float to integer cast saturates, and the clamp keeps a server that is up from being told 0.
    (100.0 * latency * inflight * errors)
        .round()
        .clamp(1.0, 100.0) as u8
}

/// Latency in multiples of the target.
fn latency_factor(condition: &Condition) -> f64 {
    condition.latency_ms / condition.target_latency_ms.max(f64::MIN_POSITIVE)
}

/// Concurrency in multiples of what is safe.
fn inflight_factor(condition: &Condition) -> f64 {
    f64::from(condition.inflight) / f64::from(condition.max_inflight_safe.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Condition = Condition {
        latency_ms: 0.0,
        target_latency_ms: 80.0,
        error_ratio: 0.0,
        inflight: 0,
        max_inflight_safe: 120,
    };

    #[test]
    fn advice_per_condition() {
        let cases = [
            (REST, "up 100"),
            (
                Condition {
                    latency_ms: 80.0,
                    inflight: 120,
                    ..REST
                },
                "up 100",
            ),
            (
                Condition {
                    latency_ms: 160.0,
                    ..REST
                },
                "up 50",
            ),
            (
                Condition {
                    latency_ms: 800.0,
                    ..REST
                },
                "up 10",
            ),
            (
                Condition {
                    inflight: 240,
                    ..REST
                },
                "up 50",
            ),
            (
                Condition {
                    latency_ms: 160.0,
                    inflight: 240,
                    ..REST
                },
                "up 25",
            ),
            (
                Condition {
                    error_ratio: 0.02,
                    ..REST
                },
                "up 85",
            ),
            (
                Condition {
                    error_ratio: 0.2,
                    ..REST
                },
                "up 17",
            ),
            (
                Condition {
                    error_ratio: 0.49,
                    ..REST
                },
                "up 1",
            ),
            (
                Condition {
                    error_ratio: 0.5,
                    ..REST
                },
                "down",
            ),
            (
                Condition {
                    latency_ms: 1600.0,
                    ..REST
                },
                "down",
            ),
            (
                Condition {
                    inflight: 960,
                    ..REST
                },
                "down",
            ),
            (
                Condition {
                    latency_ms: f64::NAN,
                    ..REST
                },
                "up 100",
            ),
        ];
        for (condition, expected) in cases {
            let advice = Agent::default().advise(&condition);
            assert_eq!(advice.to_string(), expected, "{condition:?}");
        }
    }

    #[test]
    fn each_complaint_only_ever_lowers_the_weight() {
        let mut last = 100;
        for step in 0..200 {
            let worse = Condition {
                latency_ms: f64::from(step) * 5.0,
                inflight: step,
                error_ratio: f64::from(step) / 500.0,
                ..REST
            };
            let percent = Agent::default().advise(&worse).percent();
            assert!(percent <= last, "step {step}: {percent} after {last}");
            last = percent;
        }
        assert!(last < 10);
    }

    #[test]
    fn what_went_down_comes_back_only_when_it_is_clearly_better() {
        let mut agent = Agent::default();
        let mut advise = |error_ratio| {
            agent.advise(&Condition {
                error_ratio,
                ..REST
            })
        };
        assert_eq!(advise(0.6), Advice::Down);
        assert_eq!(advise(0.4), Advice::Down, "still within the margin");
        assert_eq!(advise(0.2), Advice::Up(17));
        assert_eq!(advise(0.4), Advice::Up(2), "up stays up below the limit");
    }

    #[test]
    fn the_agent_line_carries_a_percent_sign() {
        assert_eq!(Advice::Up(100).agent_line(), "up 100%\n");
        assert_eq!(Advice::Down.agent_line(), "down\n");
    }
}
