//! Log profiles: other lines for some of the moments at which a log is written (manual, section 8.3.5).

use std::sync::Arc;

use super::Origin;
use crate::log_format::Format;

/// A moment that a profile has a line for (`on`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Accept,
    Request,
    Connect,
    Response,
    Close,
    /// A session ended before it could carry anything.
    Error,
    /// Whichever has no line of its own.
    Any,
    /// A rule asks for a line (`do-log`), in the rule set of this name.
    Rule(&'static str),
}

/// Steps by their names, sorted.
pub const STEPS: &[(&str, Step)] = &[
    ("accept", Step::Accept),
    ("any", Step::Any),
    ("close", Step::Close),
    ("connect", Step::Connect),
    ("error", Step::Error),
    ("http-after-res", Step::Rule("http-after-res")),
    ("http-req", Step::Rule("http-req")),
    ("http-res", Step::Rule("http-res")),
    ("quic-init", Step::Rule("quic-init")),
    ("request", Step::Request),
    ("response", Step::Response),
    ("tcp-req-conn", Step::Rule("tcp-req-conn")),
    ("tcp-req-cont", Step::Rule("tcp-req-cont")),
    ("tcp-req-sess", Step::Rule("tcp-req-sess")),
    ("tcp-res-cont", Step::Rule("tcp-res-cont")),
];

impl Step {
    fn of(origin: Origin) -> Self {
        match origin {
            Origin::Unknown => Self::Any,
            Origin::SessionError | Origin::SessionKilled => Self::Error,
            Origin::Accept => Self::Accept,
            Origin::Request => Self::Request,
            Origin::Connect => Self::Connect,
            Origin::Response => Self::Response,
            Origin::Close => Self::Close,
            Origin::Rule(name) => Self::Rule(name),
        }
    }
}

/// What a profile writes at a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Override {
    /// Nothing at all.
    Drop,
    /// Another line, other structured data, or both; the log's own where there is `None`.
    Lines {
        format: Option<Arc<Format>>,
        structured: Option<Arc<Format>>,
    },
}

/// A `log-profile` section, as one proxy reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    pub name: String,
    /// In place of the proxy's `log-tag`.
    pub tag: Option<String>,
    /// At most one for each step.
    pub overrides: Vec<(Step, Override)>,
}

impl Profile {
    /// What is written in place of a line of this origin; `None`: the line itself.
    pub fn find(&self, origin: Origin) -> Option<&Override> {
        let of = |wanted| {
            let mut known = self.overrides.iter();
            known.find(|(step, _)| *step == wanted).map(|(_, own)| own)
        };
        of(Step::of(origin)).or_else(|| of(Step::Any))
    }

    /// All formats in it.
    pub fn formats(&self) -> impl Iterator<Item = &Arc<Format>> {
        self.overrides.iter().flat_map(|(_, own)| {
            let formats = match own {
                Override::Drop => [None, None],
                Override::Lines { format, structured } => [format.as_ref(), structured.as_ref()],
            };
            formats.into_iter().flatten()
        })
    }
}

/// The moments at which lines are written (`log-steps`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps(u8);

impl Steps {
    /// Each of them.
    pub const ALL: Self = Self(0b1_1111);

    /// With the moment of this step; steps that are none of the five are left out.
    #[must_use]
    pub fn with(self, step: Step) -> Self {
        Self(self.0 | Self::bit(step))
    }

    /// Whether a line of this origin is due.
    pub fn include(self, origin: Origin) -> bool {
        self.0 & Self::bit(Step::of(origin)) != 0
    }

    fn bit(step: Step) -> u8 {
        match step {
            Step::Accept => 1,
            Step::Request => 1 << 1,
            Step::Connect => 1 << 2,
            Step::Response => 1 << 3,
            Step::Close => 1 << 4,
            Step::Error | Step::Any | Step::Rule(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted() {
        assert!(STEPS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn the_nearest_override_counts() {
        let profile = Profile {
            overrides: vec![
                (Step::Any, Override::Drop),
                (
                    Step::Rule("http-req"),
                    Override::Lines {
                        format: None,
                        structured: None,
                    },
                ),
            ],
            ..Profile::default()
        };
        assert_eq!(profile.find(Origin::Close), Some(&Override::Drop));
        let own = profile.find(Origin::Rule("http-req"));
        assert!(matches!(own, Some(Override::Lines { .. })));
        assert_eq!(
            profile.find(Origin::Rule("http-res")),
            Some(&Override::Drop)
        );
        assert_eq!(Profile::default().find(Origin::Close), None);
    }

    #[test]
    fn steps_are_the_five_moments() {
        let some = Steps::default().with(Step::Accept).with(Step::Close);
        assert!(some.include(Origin::Accept) && some.include(Origin::Close));
        assert!(!some.include(Origin::Request) && !some.include(Origin::SessionError));
        let five = [
            Step::Accept,
            Step::Request,
            Step::Connect,
            Step::Response,
            Step::Close,
        ];
        let all = five.into_iter().fold(Steps::default(), Steps::with);
        assert_eq!(all, Steps::ALL);
        assert_eq!(
            Steps::default().with(Step::Rule("http-req")),
            Steps::default()
        );
    }
}
