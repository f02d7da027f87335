//! Servers that are far slower than their peers: who is ejected, for how long, and who is kept all the same.
//!
//! ```text
//! every interval:  median of each server ── compared with the median of the others' medians ── slow twice in a row?
//!                                                                                               │
//!     readmitted ◄── 10 s, 20 s, 40 s … 300 s later ◄── ejected ◄── room under `max-share`? ◄───┤
//!                                                                                               └── none: kept, counted
//! ```
//! Servers are judged by what all of them did in the very same stretch of time, so that nobody is ejected when all slow
//! down together. A share of them that is named always stays. What is absent: clocks, histograms and log lines; servers
//! that answer nothing at all, which time-outs and `observe` deal with.

/// Judgements in a row that find a server slow before it is ejected.
pub const STRIKES: u32 = 2;

/// Most doublings of the first ejection's time.
const DOUBLINGS_MAX: u32 = 20;

/// What counts as an outlier, and what becomes of it (`option outlier-ejection`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// `factor`: so many times its peers' median is slow.
    pub factor: u32,
    /// `min-gap`: so much more than its peers' median, in microseconds, is worth it.
    pub gap_min_us: u64,
    /// `min-samples`: fewer answers in an interval say nothing.
    pub samples_min: u64,
    /// `max-share`: most servers, in per cent of those in service, that are ejected at once; rounded down.
    pub share_max_percent: u32,
    /// `interval`: how often servers are judged.
    pub interval_ms: u64,
    /// `base-time`: how long the first ejection lasts; each further one lasts twice as long.
    pub base_ms: u64,
    /// `max-time`: how long an ejection lasts at most.
    pub most_ms: u64,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            factor: 3,
            gap_min_us: 2_000,
            samples_min: 5,
            share_max_percent: 50,
            interval_ms: 1_000,
            base_ms: 10_000,
            most_ms: 300_000,
        }
    }
}

/// What is known of one server over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Judgements in a row that found it slow.
    strikes: u32,
    /// How often the next ejection's time is doubled.
    doublings: u32,
    /// Ejected until then; `None`: it is not.
    until_ms: Option<u64>,
    /// When it was readmitted, or forgiven a doubling.
    since_ms: u64,
    /// Ejections so far.
    ejections: u64,
    /// Times that it was kept although it was slow, since enough servers were ejected.
    kept: u64,
    /// Its median and its peers', when they were last compared, in microseconds.
    compared_us: Option<(u64, u64)>,
}

impl Standing {
    pub fn is_ejected(&self) -> bool {
        self.until_ms.is_some()
    }

    pub fn ejections(&self) -> u64 {
        self.ejections
    }

    /// See [`Act::Keep`].
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Its median and its peers', when they were last compared, in microseconds.
    pub fn compared_us(&self) -> Option<(u64, u64)> {
        self.compared_us
    }

    fn time_ms(&self, spec: &Spec) -> u64 {
        let factor = 1_u64 << self.doublings.min(DOUBLINGS_MAX);
        spec.base_ms.saturating_mul(factor).min(spec.most_ms)
    }

    /// After a time without ejections as long as the last one lasted, the next one lasts half as long again.
    fn forgive(&mut self, spec: &Spec, now_ms: u64) {
        if self.doublings > 0 && now_ms.saturating_sub(self.since_ms) >= 2 * self.time_ms(spec) {
            self.doublings -= 1;
            self.since_ms = now_ms;
        }
    }
}

/// What a server did in the last interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// It is in service: nothing but its ejection keeps traffic from it.
    pub in_service: bool,
    /// It is still warming up, and may be slow.
    pub warming: bool,
    /// Answers.
    pub samples: u64,
    /// Their median in microseconds.
    pub median_us: u64,
}

/// What is to be done with the server at an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Eject {
        index: usize,
        for_ms: u64,
        median_us: u64,
        peers_us: u64,
    },
    /// It is slow, but enough others are ejected: it stays (fail-open).
    Keep {
        index: usize,
        median_us: u64,
        peers_us: u64,
    },
    /// `early`: before its time, because too few others are left (fail-open).
    Readmit { index: usize, early: bool },
}

/// Judges the servers of a backend by the interval that ended now.
pub fn judge(spec: &Spec, now_ms: u64, looks: &[Look], standings: &mut [Standing]) -> Vec<Act> {
    let mut acts = Vec::new();
    readmit(spec, now_ms, looks, standings, &mut acts);
    let mut slow = Vec::new();
    let judged = medians(spec, looks, standings);
    for &(median_us, index) in &judged {
        let Some(peers_us) = median_without(&judged, index) else {
            continue;
        };
        let standing = &mut standings[index];
        standing.compared_us = Some((median_us, peers_us));
        let far = median_us > peers_us.saturating_mul(u64::from(spec.factor))
            && median_us - peers_us >= spec.gap_min_us;
        if !far {
            standing.strikes = 0;
            standing.forgive(spec, now_ms);
            continue;
        }
        standing.strikes += 1;
        if standing.strikes >= STRIKES {
            slow.push((median_us, peers_us, index));
        }
    }
    // The slowest first, where there is not room for all.
    slow.sort_unstable_by(|a, b| b.cmp(a));
    for (median_us, peers_us, index) in slow {
        let room = room(spec, looks, standings);
        let standing = &mut standings[index];
        standing.strikes = 0;
        if room == 0 {
            standing.kept += 1;
            acts.push(Act::Keep {
                index,
                median_us,
                peers_us,
            });
            continue;
        }
        let for_ms = standing.time_ms(spec);
        standing.until_ms = Some(now_ms.saturating_add(for_ms));
        standing.doublings = (standing.doublings + 1).min(DOUBLINGS_MAX);
        standing.ejections += 1;
        acts.push(Act::Eject {
            index,
            for_ms,
            median_us,
            peers_us,
        });
    }
    acts
}

/// Ends ejections whose time is over, and those of too many.
fn readmit(
    spec: &Spec,
    now_ms: u64,
    looks: &[Look],
    standings: &mut [Standing],
    acts: &mut Vec<Act>,
) {
    let mut out: Vec<(u64, usize)> = standings
        .iter()
        .enumerate()
        .filter_map(|(index, standing)| Some((standing.until_ms?, index)))
        .collect();
    // Who has the least time left comes first.
    out.sort_unstable();
    for (until_ms, index) in out {
        let early = until_ms > now_ms;
        if early && ejected(looks, standings) <= most(spec, looks) {
            continue;
        }
        let standing = &mut standings[index];
        (standing.until_ms, standing.since_ms, standing.strikes) = (None, now_ms, 0);
        acts.push(Act::Readmit { index, early });
    }
}

/// Most servers that may be ejected.
fn most(spec: &Spec, looks: &[Look]) -> usize {
    let in_service = looks.iter().filter(|look| look.in_service).count();
    // Somebody always stays.
    (in_service * spec.share_max_percent.min(100) as usize / 100).min(in_service.saturating_sub(1))
}

fn ejected(looks: &[Look], standings: &[Standing]) -> usize {
    let both = looks.iter().zip(standings);
    both.filter(|(look, standing)| look.in_service && standing.is_ejected())
        .count()
}

fn room(spec: &Spec, looks: &[Look], standings: &[Standing]) -> usize {
    most(spec, looks).saturating_sub(ejected(looks, standings))
}

/// The medians that say something, in order, with their servers.
fn medians(spec: &Spec, looks: &[Look], standings: &[Standing]) -> Vec<(u64, usize)> {
    let both = looks.iter().zip(standings).enumerate();
    let mut medians: Vec<_> = both
        .filter(|(_, (look, standing))| {
            let speaks = look.samples >= spec.samples_min.max(1);
            speaks && look.in_service && !look.warming && !standing.is_ejected()
        })
        .map(|(index, (look, _))| (look.median_us, index))
        .collect();
    medians.sort_unstable();
    medians
}

/// The lower median of all but one; `None`: there is nobody else.
fn median_without(sorted: &[(u64, usize)], without: usize) -> Option<u64> {
    let others = sorted.len().checked_sub(1).filter(|&others| others > 0)?;
    let mut rest = sorted.iter().filter(|(_, index)| *index != without);
    rest.nth((others - 1) / 2).map(|(median_us, _)| *median_us)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPEC: Spec = Spec {
        factor: 3,
        gap_min_us: 2_000,
        samples_min: 5,
        share_max_percent: 50,
        interval_ms: 1_000,
        base_ms: 10_000,
        most_ms: 80_000,
    };

    /// Servers under the same load for as long as a test wants, judged once a second.
    struct Farm {
        spec: Spec,
        now_ms: u64,
        standings: Vec<Standing>,
        down: Vec<bool>,
    }

    impl Farm {
        fn new(servers: usize) -> Self {
            Self {
                spec: SPEC,
                now_ms: 0,
                standings: vec![Standing::default(); servers],
                down: vec![false; servers],
            }
        }

        fn turn(&mut self, medians_us: &[u64]) -> Vec<Act> {
            self.now_ms += self.spec.interval_ms;
            let looks: Vec<_> = (0..self.standings.len())
                .map(|index| Look {
                    in_service: !self.down[index],
                    warming: false,
                    samples: match self.standings[index].is_ejected() || self.down[index] {
                        true => 0,
                        false => 100,
                    },
                    median_us: medians_us[index],
                })
                .collect();
            judge(&self.spec, self.now_ms, &looks, &mut self.standings)
        }

        fn out(&self) -> Vec<usize> {
            let all = self.standings.iter().enumerate();
            all.filter(|(_, standing)| standing.is_ejected())
                .map(|(index, _)| index)
                .collect()
        }
    }

    #[test]
    fn ten_times_slower_is_ejected_within_five_seconds() {
        let mut farm = Farm::new(4);
        for _ in 0..10 {
            assert_eq!(farm.turn(&[10_000, 11_000, 9_000, 10_000]), []);
        }
        let slow_at_ms = farm.now_ms;
        while farm.out().is_empty() {
            farm.turn(&[10_000, 11_000, 100_000, 10_000]);
            assert!(farm.now_ms - slow_at_ms <= 5_000, "too late");
        }
        assert_eq!(farm.out(), [2]);
        assert_eq!(farm.standings[2].compared_us(), Some((100_000, 10_000)));
    }

    #[test]
    fn one_of_two_can_be_told_and_one_alone_cannot() {
        let mut pair = Farm::new(2);
        pair.turn(&[1_000, 50_000]);
        assert!(matches!(
            pair.turn(&[1_000, 50_000])[..],
            [Act::Eject {
                index: 1,
                for_ms: 10_000,
                median_us: 50_000,
                peers_us: 1_000
            }]
        ));
        let mut single = Farm::new(1);
        for median_us in [1_000, 90_000, 90_000, 90_000] {
            assert_eq!(single.turn(&[median_us]), []);
        }
    }

    #[test]
    fn the_gap_must_be_worth_it_and_last() {
        let mut farm = Farm::new(3);
        for _ in 0..5 {
            assert_eq!(farm.turn(&[300, 300, 2_200]), []);
        }
        for _ in 0..5 {
            assert_eq!(farm.turn(&[10_000, 10_000, 90_000]), []);
            assert_eq!(farm.turn(&[10_000, 10_000, 10_000]), []);
        }
    }

    #[test]
    fn each_ejection_lasts_twice_as_long_and_good_times_are_rewarded() {
        let mut farm = Farm::new(3);
        let mut lengths = Vec::new();
        while lengths.len() < 5 {
            for act in farm.turn(&[10_000, 10_000, 200_000]) {
                if let Act::Eject { for_ms, .. } = act {
                    lengths.push(for_ms);
                }
            }
        }
        assert_eq!(lengths, [10_000, 20_000, 40_000, 80_000, 80_000]);
        for _ in 0..2_000 {
            farm.turn(&[10_000, 10_000, 10_000]);
        }
        assert!(farm.out().is_empty());
        farm.turn(&[10_000, 10_000, 200_000]);
        let acts = farm.turn(&[10_000, 10_000, 200_000]);
        assert!(
            matches!(acts[..], [Act::Eject { for_ms: 10_000, .. }]),
            "{acts:?}"
        );
    }

    #[test]
    fn enough_servers_are_kept_and_that_is_counted() {
        let mut farm = Farm::new(5);
        farm.spec.share_max_percent = 20;
        let medians_us = [10_000, 10_000, 10_000, 200_000, 300_000];
        farm.turn(&medians_us);
        let acts = farm.turn(&medians_us);
        assert!(
            matches!(
                acts[..],
                [Act::Eject { index: 4, .. }, Act::Keep { index: 3, .. }]
            ),
            "{acts:?}"
        );
        assert_eq!(farm.standings[3].kept(), 1);
    }

    #[test]
    fn who_is_needed_comes_back_before_its_time() {
        let mut farm = Farm::new(2);
        farm.turn(&[10_000, 200_000]);
        farm.turn(&[10_000, 200_000]);
        assert_eq!(farm.out(), [1]);
        farm.down[0] = true;
        assert_eq!(
            farm.turn(&[10_000, 200_000]),
            [Act::Readmit {
                index: 1,
                early: true
            }]
        );
    }

    #[test]
    fn servers_that_warm_up_or_say_little_are_not_judged() {
        let look = |samples, warming, median_us| Look {
            in_service: true,
            warming,
            samples,
            median_us,
        };
        let looks = [
            look(9, false, 1_000),
            look(9, false, 1_000),
            look(9, true, 90_000),
            look(4, false, 90_000),
        ];
        let mut standings = [Standing::default(); 4];
        for now_ms in [1_000, 2_000, 3_000, 4_000] {
            assert_eq!(judge(&SPEC, now_ms, &looks, &mut standings), []);
        }
    }

    proptest! {
        /// However latencies move, nobody is ejected while they move together, even if the turn to another level falls
        /// into the middle of an interval and each server is caught by it at another moment.
        #[test]
        fn nobody_is_ejected_when_all_slow_down_together(
            levels_us in proptest::collection::vec(500_u64..2_000_000, 1..40),
            caught in proptest::collection::vec(any::<bool>(), 6),
            noise in proptest::collection::vec(80_u64..120, 6),
        ) {
            let mut farm = Farm::new(6);
            let mut before_us = levels_us[0];
            for &level_us in &levels_us {
                let median = |late: bool, index: usize| {
                    let level_us = if late { before_us } else { level_us };
                    level_us * noise[index] / 100
                };
                // The interval in which the level changes is mixed; then it stays for one more.
                let mixed: Vec<_> = (0..6).map(|index| median(caught[index], index)).collect();
                let settled: Vec<_> = (0..6).map(|index| median(false, index)).collect();
                prop_assert_eq!(farm.turn(&mixed), []);
                prop_assert_eq!(farm.turn(&settled), []);
                before_us = level_us;
            }
        }

        /// Never more than the share, never everybody, and every ejection ends in time.
        #[test]
        fn shares_and_times_are_kept_whatever_happens(
            turns in proptest::collection::vec(
                (proptest::collection::vec(100_u64..500_000, 7), proptest::collection::vec(any::<bool>(), 7)),
                1..120,
            ),
            share in 0_u32..=100,
        ) {
            let mut farm = Farm::new(7);
            farm.spec.share_max_percent = share;
            for (medians_us, down) in turns {
                // Most of the time all are in service.
                farm.down = if down.iter().filter(|down| **down).count() > 4 { down } else { vec![false; 7] };
                let acts = farm.turn(&medians_us);
                let in_service = farm.down.iter().filter(|down| !**down).count();
                let out = farm.out().into_iter().filter(|&index| !farm.down[index]).count();
                prop_assert!(out * 100 <= in_service * share as usize, "{out} of {in_service}");
                prop_assert!(in_service == 0 || out < in_service);
                for standing in &farm.standings {
                    let span_ms = farm.now_ms + 1..=farm.now_ms + SPEC.most_ms;
                    let in_time = standing.until_ms.is_none_or(|until_ms| span_ms.contains(&until_ms));
                    prop_assert!(in_time, "{standing:?}");
                }
                for act in acts {
                    if let Act::Eject { median_us, peers_us, .. } = act {
                        prop_assert!(median_us > 3 * peers_us && median_us >= peers_us + SPEC.gap_min_us);
                    }
                }
            }
        }
    }
}
