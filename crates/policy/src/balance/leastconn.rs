//! `balance leastconn`: the server with the fewest connections for its weight.
//!
//! Up to [`EXACT_MAX`] servers all are compared, so the choice is exact. Beyond, looking at every count for
//! every request would cost more than the relay itself; there the best of a weighted random sample is taken,
//! together with the best server of the last choice and the next one in a sweep over all. The sample keeps the
//! loads within a few connections of each other, and the sweep makes sure that no server stays unseen.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::draw::{Draws, Lottery};
use super::rotation::{Cursor, Rotation};
use super::{Algorithm, Arranged, Balance, BalanceSpec, Call, Candidate, Dialect, Pick};
use crate::model::ServerId;

/// Most servers among which the choice is exact.
pub const EXACT_MAX: usize = 128;

/// Servers drawn at random for each choice among more than [`EXACT_MAX`].
const DRAWS: usize = 4;

/// Positions of the weighted order looked at to break a tie.
const TIE_WALK_MAX: usize = 4 * EXACT_MAX;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "leastconn",
    aliases: &[
        (Dialect::Keepalived, "lc"),
        (Dialect::Keepalived, "wlc"),
        (Dialect::Nginx, "least_conn"),
    ],
    usage: "leastconn",
    doc: "The server with the fewest connections for its weight; servers that tie take turns.",
    read,
};

fn read(call: Call<'_>, _: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    call.without_argument()?;
    Ok(BalanceSpec::LeastConnections)
}

#[derive(Debug, Default)]
pub(super) struct LeastConnections {
    cursor: Cursor,
}

impl Balance for LeastConnections {
    fn arrange(&self, candidates: &[Candidate]) -> Box<dyn Arranged> {
        if candidates.len() <= EXACT_MAX {
            return Box::new(Exact {
                rotation: Rotation::smooth(candidates, &self.cursor),
                members: candidates.into(),
            });
        }
        Box::new(Sampled {
            lottery: Lottery::new(candidates),
            found: Found::default(),
            members: candidates.into(),
        })
    }
}

/// A load in proportion to a weight, compared without division. An idle server is lighter than any other,
/// whatever its weight; otherwise it counts what the load would be with this request added.
#[derive(Clone, Copy)]
struct Load {
    count: u64,
    weight: u64,
}

impl Load {
    fn of(member: &Candidate) -> Self {
        let load = u64::from(member.live.load());
        Self {
            count: if load == 0 { 0 } else { load + 1 },
            weight: u64::from(member.scaled_weight()),
        }
    }

    fn is_below(self, other: Self) -> bool {
        self.count * other.weight < other.count * self.weight
    }
}

/// Whether the server could take the request, at once or into its own queue.
fn takes(member: &Candidate) -> bool {
    match member.live.limit() {
        None => true,
        Some(limit) => member.live.load() < limit.saturating_add(member.live.maxqueue()),
    }
}

#[derive(Debug)]
struct Exact {
    rotation: Rotation,
    members: Box<[Candidate]>,
}

impl Exact {
    fn lightest(&self, avoid: Option<ServerId>) -> Option<(&Candidate, Load)> {
        let mut best: Option<(&Candidate, Load)> = None;
        for member in self
            .members
            .iter()
            .filter(|member| avoid != Some(member.id))
        {
            let load = Load::of(member);
            if best.is_none_or(|(_, lightest)| load.is_below(lightest)) && takes(member) {
                best = Some((member, load));
            }
        }
        best
    }
}

impl Arranged for Exact {
    fn pick(&self, pick: &Pick<'_>) -> Option<ServerId> {
        let Some((first, lightest)) = self.lightest(pick.avoid) else {
            // Full, all of them, or all but the one to avoid.
            let (member, _) = pick.avoid.and_then(|_| self.lightest(None))?;
            return Some(member.id);
        };
        // Among those as light as the lightest it is the turn of the next in the weighted order.
        let turn = self.rotation.turn();
        for step in 0..TIE_WALK_MAX.min(2 * self.members.len()) {
            let member = self
                .members
                .get(self.rotation.at(turn.wrapping_add(step as u64))?)?;
            if pick.avoid != Some(member.id)
                && !lightest.is_below(Load::of(member))
                && takes(member)
            {
                return Some(member.id);
            }
        }
        Some(first.id)
    }
}

#[derive(Debug)]
struct Sampled {
    lottery: Lottery,
    members: Box<[Candidate]>,
    found: Found,
}

/// What one choice leaves to the next; written for every request, so on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Found {
    /// The next server of the sweep.
    sweep: AtomicU64,
    /// The server chosen last: after a light one was found it is worth another look.
    best: AtomicU32,
}

impl Sampled {
    fn lightest(
        &self,
        samples: impl Iterator<Item = usize>,
        avoid: Option<ServerId>,
    ) -> Option<usize> {
        let mut best: Option<(usize, Load)> = None;
        for index in samples {
            let Some(member) = self.members.get(index) else {
                continue;
            };
            let load = Load::of(member);
            if best.is_none_or(|(_, lightest)| load.is_below(lightest))
                && avoid != Some(member.id)
                && takes(member)
            {
                best = Some((index, load));
            }
        }
        best.map(|(index, _)| index)
    }
}

impl Arranged for Sampled {
    fn pick(&self, pick: &Pick<'_>) -> Option<ServerId> {
        let swept = (self.found.sweep.fetch_add(1, Relaxed) % self.members.len() as u64) as usize;
        let known = [self.found.best.load(Relaxed) as usize, swept];
        let mut draws = Draws::new(pick.random);
        let drawn: [usize; DRAWS] = std::array::from_fn(|_| self.lottery.draw(draws.next()));
        let everyone = || 0..self.members.len();
        let best = match self.lightest(drawn.into_iter().chain(known), pick.avoid) {
            Some(best) => best,
            // Whoever waits in the backend's queue has found all servers full a moment ago.
            None if self.members[swept].live.backend().queued.load(Relaxed) > 0 => return None,
            None => self
                .lightest(everyone(), pick.avoid)
                .or_else(|| pick.avoid.and_then(|_| self.lightest(everyone(), None)))?,
        };
        self.found.best.store(best as u32, Relaxed);
        Some(self.members[best].id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{farm, picks};
    use super::*;

    fn arrange(candidates: &[Candidate]) -> Box<dyn Arranged> {
        LeastConnections::default().arrange(candidates)
    }

    #[test]
    fn idle_servers_take_turns_by_weight() {
        assert_eq!(picks(&*arrange(&farm(&[1, 1, 1])), 4), [0, 1, 2, 0]);
        let mut counts = [0; 3];
        for id in picks(&*arrange(&farm(&[4, 2, 1])), 700) {
            counts[id as usize] += 1;
        }
        assert_eq!(counts, [400, 200, 100]);
    }

    #[test]
    fn fewest_for_the_weight_wins() {
        let all = farm(&[1, 2, 4]);
        let arranged = arrange(&all);
        let cases = [
            ([1, 0, 1], 1),
            ([1, 2, 3], 2),
            ([0, 4, 8], 0),
            ([5, 9, 23], 1),
            ([5, 11, 22], 2),
            ([5, 13, 24], 0),
        ];
        for (loads, expected) in cases {
            for (candidate, load) in all.iter().zip(loads) {
                candidate.live.current.store(load, Relaxed);
            }
            assert_eq!(picks(&*arranged, 2), [expected; 2], "{loads:?}");
        }
    }

    #[test]
    fn a_full_server_is_left_out_until_its_queue_is_too() {
        let all = farm(&[1, 1]);
        let arranged = arrange(&all);
        all[0].live.set_maxconn(1);
        all[0].live.current.store(1, Relaxed);
        all[1].live.current.store(50, Relaxed);
        assert_eq!(picks(&*arranged, 2), [1, 1]);
        all[1].live.set_maxconn(50);
        assert_eq!(arranged.pick(&Pick::default()), None);
    }

    #[test]
    fn large_sets_stay_level() {
        let count = 1_000;
        let all = farm(&vec![1; count]);
        let arranged = arrange(&all);
        let mut draws = Draws::new(7);
        for _ in 0..count * 20 {
            let pick = Pick {
                random: draws.next(),
                ..Pick::default()
            };
            let id = arranged.pick(&pick).expect("no limits");
            all[id.0 as usize].live.current.fetch_add(1, Relaxed);
        }
        let loads = all.iter().map(|candidate| candidate.live.load());
        let (lightest, heaviest) = (loads.clone().min(), loads.max());
        assert!(
            lightest >= Some(18) && heaviest <= Some(22),
            "{lightest:?} {heaviest:?}"
        );
    }

    #[test]
    fn large_sets_find_the_one_with_room() {
        let all = farm(&vec![1; 500]);
        for candidate in &all {
            candidate.live.set_maxconn(1);
            candidate.live.current.store(1, Relaxed);
        }
        let arranged = arrange(&all);
        assert_eq!(arranged.pick(&Pick::default()), None);
        all[321].live.current.store(0, Relaxed);
        assert_eq!(arranged.pick(&Pick::default()), Some(ServerId(321)));
        let avoid = Pick {
            avoid: Some(ServerId(321)),
            ..Pick::default()
        };
        assert_eq!(arranged.pick(&avoid), Some(ServerId(321)));
    }

    proptest! {
        #[test]
        fn exact_choice_has_the_least_load_for_its_weight(
            servers in prop::collection::vec((1u32..=256, 0u32..50), 1..=EXACT_MAX),
        ) {
            let all = farm(&servers.iter().map(|&(weight, _)| weight).collect::<Vec<_>>());
            for (candidate, &(_, load)) in all.iter().zip(&servers) {
                candidate.live.current.store(load, Relaxed);
            }
            let id = arrange(&all).pick(&Pick::default()).expect("no limits");
            let key = |(weight, load): (u32, u32)| if load == 0 { 0.0 } else { f64::from(load + 1) / f64::from(weight) };
            let least = servers.iter().copied().map(key).fold(f64::INFINITY, f64::min);
            prop_assert!(key(servers[id.0 as usize]) <= least * (1.0 + 1e-12));
        }
    }
}
