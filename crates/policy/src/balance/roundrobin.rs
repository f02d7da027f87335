//! `balance roundrobin`: each server in turn, in proportion to its weight.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::rotation::{Cursor, Rotation};
use super::{Algorithm, Arranged, Balance, BalanceSpec, Call, Candidate, Dialect, Pick};
use crate::model::ServerId;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "roundrobin",
    aliases: &[(Dialect::Keepalived, "rr"), (Dialect::Keepalived, "wrr")],
    usage: "roundrobin",
    doc: "Each server in turn, in proportion to its weight, as evenly as whole requests allow.",
    read,
};

fn read(call: Call<'_>, _: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    call.without_argument()?;
    Ok(BalanceSpec::RoundRobin)
}

/// The algorithm; its cursor goes on when servers come and go.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    cursor: Cursor,
}

impl Balance for RoundRobin {
    fn arrange(&self, candidates: &[Candidate]) -> Box<dyn Arranged> {
        Box::new(InTurn {
            rotation: Rotation::smooth(candidates, &self.cursor),
            members: candidates.into(),
        })
    }
}

/// Members that take turns; a full one is passed over.
#[derive(Debug)]
pub(super) struct InTurn {
    pub(super) rotation: Rotation,
    pub(super) members: Box<[Candidate]>,
}

impl Arranged for InTurn {
    fn pick(&self, pick: &Pick<'_>) -> Option<ServerId> {
        self.rotation.next(&self.members, pick)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::super::testing::{farm, picks};
    use super::*;

    #[test]
    fn equal_servers_take_turns_in_their_order() {
        let arranged = RoundRobin::default().arrange(&farm(&[1, 1, 1, 1]));
        assert_eq!(picks(&*arranged, 6), [0, 1, 2, 3, 0, 1]);
    }

    #[test]
    fn the_turn_goes_on_after_a_change() {
        let balance = RoundRobin::default();
        let all = farm(&[1, 1, 1, 1]);
        assert_eq!(picks(&*balance.arrange(&all), 3), [0, 1, 2]);
        assert_eq!(picks(&*balance.arrange(&all), 3), [3, 0, 1]);
    }

    #[test]
    fn full_servers_are_passed_over_and_none_means_wait() {
        let all = farm(&[1, 1, 1]);
        let arranged = RoundRobin::default().arrange(&all);
        all[1].live.set_maxconn(1);
        all[1].live.current.store(1, Relaxed);
        assert_eq!(picks(&*arranged, 4), [0, 2, 0, 2]);
        for candidate in &all {
            candidate.live.set_maxconn(1);
            candidate.live.current.store(1, Relaxed);
        }
        assert_eq!(arranged.pick(&Pick::default()), None);
    }

    #[test]
    fn a_failed_server_is_avoided_unless_it_is_the_only_one() {
        let avoid = Pick {
            avoid: Some(ServerId(1)),
            ..Pick::default()
        };
        let two = RoundRobin::default().arrange(&farm(&[1, 200]));
        for _ in 0..500 {
            assert_eq!(two.pick(&avoid), Some(ServerId(0)));
        }
        let all = farm(&[1, 1]);
        let one = RoundRobin::default().arrange(&all[1..]);
        assert_eq!(one.pick(&avoid), Some(ServerId(1)));
    }

    #[test]
    fn exact_across_workers() {
        let weights = [5, 1, 3];
        let arranged = RoundRobin::default().arrange(&farm(&weights));
        let counts: Arc<[AtomicU32; 3]> = Arc::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..9 * 250 {
                        let id = arranged.pick(&Pick::default()).expect("servers have room");
                        counts[id.0 as usize].fetch_add(1, Relaxed);
                    }
                });
            }
        });
        for (count, weight) in counts.iter().zip(weights) {
            assert_eq!(count.load(Relaxed), weight * 1000);
        }
    }
}
