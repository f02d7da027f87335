//! How much load there is to be at which time: constant, in stages, or by the name of a kind of test.
//!
//! A profile is a chain of straight lines. From it follow the number of connections at a moment
//! (closed loop) or the moment of each arrival (open loop); both are pure arithmetic.

use std::time::Duration;

use crate::duration;

/// Most stages of one profile.
pub const STAGES_MAX: usize = 64;
/// Most requests per second.
pub const RATE_MAX: f64 = 10_000_000.0;
/// Most connections.
pub const CONNECTIONS_MAX: f64 = 100_000.0;

/// What the level of a profile counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Requests per second, whether or not earlier ones have been answered: an open loop.
    Rate,
    /// Connections, each of which asks again as soon as it is answered: a closed loop.
    Connections,
}

/// The kinds of test everybody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Up to the level, hold it, down again: does it bear what is expected?
    Load,
    /// Up to three times the level in steps: where does it break?
    Stress,
    /// Most of the level for most of the time: does it leak?
    Soak,
    /// Quiet, a sudden jump to the level, quiet again: does it survive and recover?
    Spike,
}

impl Preset {
    /// Every preset with its name.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Load, "load"),
        (Self::Stress, "stress"),
        (Self::Soak, "soak"),
        (Self::Spike, "spike"),
    ];

    /// Pairs of (share of the time, share of the level reached at its end).
    fn shape(self) -> &'static [(f64, f64)] {
        match self {
            Self::Load => &[(0.1, 1.0), (0.8, 1.0), (0.1, 0.0)],
            Self::Stress => &[
                (0.05, 0.5),
                (0.15, 0.5),
                (0.05, 1.0),
                (0.15, 1.0),
                (0.05, 1.5),
                (0.15, 1.5),
                (0.05, 2.0),
                (0.15, 2.0),
                (0.05, 3.0),
                (0.15, 3.0),
            ],
            Self::Soak => &[(0.05, 0.7), (0.9, 0.7), (0.05, 0.0)],
            Self::Spike => &[
                (0.0, 0.1),
                (0.3, 0.1),
                (0.02, 1.0),
                (0.26, 1.0),
                (0.02, 0.1),
                (0.4, 0.1),
            ],
        }
    }
}

/// A straight line to a level.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    seconds: f64,
    /// The level at the end of the stage.
    level: f64,
}

/// Load over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    unit: Unit,
    stages: Vec<Stage>,
}

impl Profile {
    /// The same level all the time.
    ///
    /// # Errors
    /// A sentence, when the level is beyond its cap.
    pub fn constant(unit: Unit, level: f64, length: Duration) -> Result<Self, String> {
        let jump = Stage {
            seconds: 0.0,
            level,
        };
        let hold = Stage {
            seconds: length.as_secs_f64(),
            level,
        };
        Self::checked(unit, vec![jump, hold])
    }

    /// Reads `10s:100,30s:500`: in ten seconds from nothing to 100 requests per second, then in
    /// thirty more to 500. `0s:500` jumps. Levels that end in `c` count connections instead.
    ///
    /// # Errors
    /// A sentence for the person who typed it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut stages = Vec::new();
        let mut units = Vec::new();
        for part in text.split(',').take(STAGES_MAX + 1) {
            let (length, level) = part.split_once(':').ok_or_else(|| {
                format!("`{part}` is not a stage: write LENGTH:LEVEL, as in 10s:100")
            })?;
            let (level, unit) = match level.strip_suffix('c') {
                Some(level) => (level, Unit::Connections),
                None => (level, Unit::Rate),
            };
            let level: f64 = level
                .parse()
                .map_err(|_| format!("`{level}` in `{part}` is not a level: write a number"))?;
            stages.push(Stage {
                seconds: duration::parse(length)?.as_secs_f64(),
                level,
            });
            units.push(unit);
        }
        if units.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err("stages count either requests per second or connections (`c`)".to_owned());
        }
        Self::checked(units.first().copied().unwrap_or(Unit::Rate), stages)
    }

    /// The shape of a kind of test, stretched to a level and a length.
    ///
    /// # Errors
    /// A sentence, when the level is beyond its cap.
    pub fn preset(
        preset: Preset,
        unit: Unit,
        level: f64,
        length: Duration,
    ) -> Result<Self, String> {
        let stage = |&(time, share)| Stage {
            seconds: length.as_secs_f64() * time,
            level: level * share,
        };
        Self::checked(unit, preset.shape().iter().map(stage).collect())
    }

    fn checked(unit: Unit, stages: Vec<Stage>) -> Result<Self, String> {
        if stages.is_empty() || stages.len() > STAGES_MAX {
            return Err(format!("there can be 1 to {STAGES_MAX} stages"));
        }
        let (cap, what) = match unit {
            Unit::Rate => (RATE_MAX, "requests per second"),
            Unit::Connections => (CONNECTIONS_MAX, "connections"),
        };
        if let Some(stage) = stages
            .iter()
            .find(|stage| !(0.0..=cap).contains(&stage.level))
        {
            return Err(format!("{} is not between 0 and {cap} {what}", stage.level));
        }
        let profile = Self { unit, stages };
        if profile.length() > duration::DURATION_MAX {
            return Err("the stages are longer than a week".to_owned());
        }
        Ok(profile)
    }

    /// What the levels count.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The length of the whole test.
    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.stages.iter().map(|stage| stage.seconds).sum())
    }

    /// The highest level.
    pub fn peak(&self) -> f64 {
        self.stages
            .iter()
            .map(|stage| stage.level)
            .fold(0.0, f64::max)
    }

    /// The level at a moment; after the end, that of the end.
    pub fn level(&self, at_seconds: f64) -> f64 {
        let (mut from, mut begin) = (0.0, 0.0);
        for stage in &self.stages {
            let inside = at_seconds - begin;
            if inside < stage.seconds {
                return from + (stage.level - from) * (inside / stage.seconds);
            }
            begin += stage.seconds;
            from = stage.level;
        }
        from
    }

    /// The moments of every `step`th arrival from number `first` on. Several threads share a profile
    /// by taking every n-th arrival each.
    pub fn arrivals(&self, first: u64, step: u64) -> Arrivals<'_> {
        Arrivals {
            stages: &self.stages,
            from: 0.0,
            begin_seconds: 0.0,
            before: 0.0,
            number: first,
            step: step.max(1),
        }
    }
}

/// See [`Profile::arrivals`]; yields seconds since the start, never decreasing.
#[derive(Clone, Debug)]
pub struct Arrivals<'a> {
    /// The stages that have not been passed.
    stages: &'a [Stage],
    /// The level where the first of them begins.
    from: f64,
    begin_seconds: f64,
    /// Arrivals before it begins; the area under the line so far.
    before: f64,
    number: u64,
    step: u64,
}

impl Iterator for Arrivals<'_> {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        loop {
            let (stage, rest) = self.stages.split_first()?;
            let area = (self.from + stage.level) / 2.0 * stage.seconds;
            let number = self.number as f64 - self.before;
            if number < area {
                self.number += self.step;
                return Some(self.begin_seconds + time_of(number, self.from, stage));
            }
            self.before += area;
            self.begin_seconds += stage.seconds;
            self.from = stage.level;
            self.stages = rest;
        }
    }
}

/// When the area under the line from `from` to the stage's level reaches `number`. This form of the
/// quadratic's solution has no cancellation and holds for level lines too.
fn time_of(number: f64, from: f64, stage: &Stage) -> f64 {
    let slope = (stage.level - from) / stage.seconds;
    let root = (from * from + 2.0 * slope * number).max(0.0).sqrt();
    if from + root > 0.0 {
        (2.0 * number / (from + root)).min(stage.seconds)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced() {
        let profile = Profile::constant(Unit::Rate, 1000.0, seconds(2)).unwrap();
        let arrivals: Vec<f64> = profile.arrivals(0, 1).collect();
        assert_eq!(arrivals.len(), 2000);
        for (number, at) in arrivals.iter().enumerate() {
            assert!((at - number as f64 / 1000.0).abs() < 1e-9, "{number}: {at}");
        }
    }

    #[test]
    fn threads_share_all_arrivals() {
        let profile = Profile::parse("1s:50,2s:70,0s:10,1s:10").unwrap();
        let all: Vec<f64> = profile.arrivals(0, 1).collect();
        let mut shared: Vec<f64> = (0..3)
            .flat_map(|thread| profile.arrivals(thread, 3))
            .collect();
        shared.sort_by(f64::total_cmp);
        assert_eq!(shared, all);
        // The area: 25 + 120 + 0 + 10.
        assert_eq!(all.len(), 155);
    }

    #[test]
    fn arrivals_follow_the_level() {
        let profile = Profile::parse("10s:100,10s:100,5s:0,0s:400,1s:400").unwrap();
        let arrivals: Vec<f64> = profile.arrivals(0, 1).collect();
        assert!(arrivals.windows(2).all(|pair| pair[0] <= pair[1]));
        let between =
            |from: f64, to: f64| arrivals.iter().filter(|&&at| at >= from && at < to).count();
        let cases = [
            (0.0, 5.0, 125),
            (5.0, 10.0, 375),
            (12.0, 13.0, 100),
            (25.0, 26.0, 400),
        ];
        for (from, to, expected) in cases {
            let actual = between(from, to);
            assert!(actual.abs_diff(expected) <= 1, "{from}..{to}: {actual}");
        }
        assert!(arrivals.iter().all(|&at| (0.0..=26.0).contains(&at)));
    }

    #[test]
    fn levels_are_straight_lines() {
        let profile = Profile::parse("10s:100c,0s:20c,10s:40c").unwrap();
        assert_eq!(profile.unit(), Unit::Connections);
        assert_eq!(profile.length(), seconds(20));
        assert_eq!(profile.peak(), 100.0);
        for (at, level) in [
            (0.0, 0.0),
            (5.0, 50.0),
            (10.0, 20.0),
            (15.0, 30.0),
            (99.0, 40.0),
        ] {
            assert_eq!(profile.level(at), level, "at {at}");
        }
    }

    #[test]
    fn presets_have_their_shapes() {
        for (preset, name) in Preset::ALL {
            let profile = Profile::preset(preset, Unit::Rate, 100.0, seconds(100)).unwrap();
            let length = profile.length().as_secs_f64();
            assert!((length - 100.0).abs() < 1e-6, "{name}: {length}");
        }
        let level = |preset, at| {
            Profile::preset(preset, Unit::Rate, 100.0, seconds(100))
                .unwrap()
                .level(at)
        };
        assert_eq!(level(Preset::Load, 50.0), 100.0);
        assert_eq!(level(Preset::Stress, 99.0), 300.0);
        assert_eq!(level(Preset::Soak, 50.0), 70.0);
        assert_eq!(level(Preset::Spike, 10.0), 10.0);
        assert!((level(Preset::Spike, 50.0) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_a_profile_is_refused() {
        let many = vec!["1s:1"; STAGES_MAX + 1].join(",");
        let cases = [
            "",
            "10s",
            "10s:",
            "10s:x",
            ":5",
            "10s:-1",
            "10s:NaN",
            "1s:99999999999",
            "1s:5,1s:5c",
            "1s:5,",
            "100h:5,100h:5",
            &many,
        ];
        for text in cases {
            assert!(Profile::parse(text).is_err(), "{text}");
        }
        assert!(Profile::constant(Unit::Connections, 1e9, seconds(1)).is_err());
    }
}
