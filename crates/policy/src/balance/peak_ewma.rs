//! `balance peak-ewma`: the server expected to answer soonest, from its recent response times and its load.
//!
//! Two servers are drawn by weight and the cheaper one is taken. The cost is the moving average of response
//! times, which jumps to a slow answer at once and forgets it over seconds, times the number of outstanding
//! requests, divided by the weight. The engine feeds it through `ServerLive::note_response` and `note_failure`.
//! Drawing two instead of comparing all keeps workers from sending everything to the same server at once.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::draw::{Draws, Lottery};
use super::{Algorithm, Arranged, Balance, BalanceSpec, Call, Candidate, Pick};
use crate::model::ServerId;

/// Servers drawn for one choice.
const DRAWS: usize = 2;

/// Draws in the hope of two different servers that are not to be avoided and have room.
const TRIES_MAX: usize = 8;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "peak-ewma",
    aliases: &[],
    usage: "peak-ewma",
    doc: "The server expected to answer soonest: recent response times, sensitive to peaks, times its load.",
    read,
};

fn read(call: Call<'_>, _: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    call.without_argument()?;
    Ok(BalanceSpec::PeakEwma)
}

#[derive(Debug)]
pub(super) struct PeakEwma;

impl Balance for PeakEwma {
    fn arrange(&self, candidates: &[Candidate]) -> Box<dyn Arranged> {
        Box::new(Soonest {
            lottery: Lottery::new(candidates),
            members: candidates.into(),
        })
    }
}

#[derive(Debug)]
struct Soonest {
    lottery: Lottery,
    members: Box<[Candidate]>,
}

impl Arranged for Soonest {
    fn pick(&self, pick: &Pick<'_>) -> Option<ServerId> {
        let mut draws = Draws::new(pick.random);
        let mut best: Option<(&Candidate, f32)> = None;
        let mut seen = 0;
        for _ in 0..TRIES_MAX {
            let member = self.members.get(self.lottery.draw(draws.next()))?;
            let is_known = best.is_some_and(|(best, _)| best.id == member.id);
            if is_known || pick.avoid == Some(member.id) || !member.live.has_room() {
                continue;
            }
            let cost = member.live.expected_delay_ns(pick.now_ns) / member.scaled_weight() as f32;
            if best.is_none_or(|(_, least)| cost < least) {
                best = Some((member, cost));
            }
            seen += 1;
            if seen == DRAWS {
                break;
            }
        }
        let with_room = || self.members.iter().filter(|member| member.live.has_room());
        best.map(|(member, _)| member)
            .or_else(|| with_room().find(|member| pick.avoid != Some(member.id)))
            .or_else(|| with_room().next())
            .map(|member| member.id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::super::testing::farm;
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    /// A farm served by machines of these response times, one request every millisecond; requests per server.
    fn simulate(weights: &[u32], response_ms: &[u64]) -> Vec<u32> {
        let all = farm(weights);
        let arranged = PeakEwma.arrange(&all);
        let mut counts = vec![0; weights.len()];
        let mut pending: Vec<(u64, usize, u64)> = Vec::new();
        for turn in 0..20_000u64 {
            let now_ns = turn * MILLISECOND;
            pending.retain(|&(end_ns, server, began_ns)| {
                if end_ns <= now_ns {
                    all[server].live.current.fetch_sub(1, Relaxed);
                    all[server].live.note_response(end_ns - began_ns, now_ns);
                }
                end_ns > now_ns
            });
            let pick = Pick {
                random: turn,
                now_ns,
                ..Pick::default()
            };
            let server = arranged.pick(&pick).expect("no limits").0 as usize;
            all[server].live.current.fetch_add(1, Relaxed);
            counts[server] += 1;
            pending.push((now_ns + response_ms[server] * MILLISECOND, server, now_ns));
        }
        counts
    }

    #[test]
    fn a_slow_server_gets_little() {
        let counts = simulate(&[1, 1, 1], &[2, 2, 50]);
        assert!(counts[2] * 5 < counts[0], "{counts:?}");
        assert!(counts[0].abs_diff(counts[1]) < 1_500, "{counts:?}");
    }

    #[test]
    fn equally_fast_servers_follow_their_weights() {
        let counts = simulate(&[3, 1], &[5, 5]);
        let share = f64::from(counts[0]) / f64::from(counts[0] + counts[1]);
        assert!((0.65..0.85).contains(&share), "{counts:?}");
    }

    #[test]
    fn a_server_that_recovers_is_tried_again() {
        let all = farm(&[1, 1]);
        let arranged = PeakEwma.arrange(&all);
        all[0].live.note_response(10 * MILLISECOND, 0);
        all[1].live.note_failure(MILLISECOND, 0);
        let later_ns = 120_000 * MILLISECOND;
        all[0].live.note_response(10 * MILLISECOND, later_ns);
        let pick = |random| Pick {
            random,
            now_ns: later_ns,
            ..Pick::default()
        };
        assert!((0..100).all(|seed| arranged.pick(&pick(seed)) == Some(ServerId(1))));
    }

    #[test]
    fn full_and_failed_servers_are_left_out() {
        let all = farm(&[1, 1, 1]);
        let arranged = PeakEwma.arrange(&all);
        all[0].live.set_maxconn(1);
        all[0].live.current.store(1, Relaxed);
        for random in 0..200 {
            let pick = Pick {
                random,
                avoid: Some(ServerId(1)),
                ..Pick::default()
            };
            assert_eq!(arranged.pick(&pick), Some(ServerId(2)));
        }
        for candidate in &all[1..] {
            candidate.live.set_maxconn(1);
            candidate.live.current.store(1, Relaxed);
        }
        assert_eq!(arranged.pick(&Pick::default()), None);
    }
}
