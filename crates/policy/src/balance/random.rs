//! `balance random(N)`: the least loaded of N servers drawn by weight.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::draw::{Draws, Lottery};
use super::{Algorithm, Arranged, Balance, BalanceSpec, Call, Candidate, Dialect, Pick};
use crate::model::ServerId;

/// Draws when none are asked for.
const DRAWS_DEFAULT: u32 = 2;

/// Most draws for one choice, whatever is asked for: more would only be a slow `leastconn`.
const DRAWS_MAX: u32 = 64;

/// Further draws to get around a server that has just failed.
const REDRAWS_MAX: u32 = 16;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "random",
    aliases: &[(Dialect::Nginx, "random")],
    usage: "random[(<draws>)]",
    doc: "The least loaded of some servers (2, or as many as asked for) drawn at random by weight.",
    read,
};

fn read(call: Call<'_>, _: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    let draws = match call.argument {
        None | Some("") => DRAWS_DEFAULT,
        Some(number) => match number.parse() {
            Ok(draws) if draws >= 1 => draws,
            _ => {
                return Err(call
                    .error(format_args!("'{number}' is not a number of draws"))
                    .help("write a number of at least 1, for example 'random(2)'"));
            }
        },
    };
    Ok(BalanceSpec::Random { draws })
}

#[derive(Debug)]
pub(super) struct Random {
    pub(super) draws: u32,
    /// `hash-balance-factor`: 0, or the load in per cent of the average beyond which a server is not drawn.
    pub(super) balance_factor: u32,
}

impl Balance for Random {
    fn arrange(&self, candidates: &[Candidate]) -> Box<dyn Arranged> {
        Box::new(Drawn {
            draws: self.draws.clamp(1, DRAWS_MAX),
            balance_factor: self.balance_factor.into(),
            weight: candidates
                .iter()
                .map(|member| u64::from(member.scaled_weight()))
                .sum(),
            lottery: Lottery::new(candidates),
            members: candidates.into(),
        })
    }
}

#[derive(Debug)]
struct Drawn {
    draws: u32,
    balance_factor: u64,
    /// Of all members together.
    weight: u64,
    lottery: Lottery,
    members: Box<[Candidate]>,
}

impl Arranged for Drawn {
    fn pick(&self, pick: &Pick<'_>) -> Option<ServerId> {
        let mut draws = Draws::new(pick.random);
        let mut best: Option<&Candidate> = None;
        let mut drawn = 0;
        for _ in 0..self.draws + REDRAWS_MAX {
            let member = self.members.get(self.lottery.draw(draws.next()))?;
            if pick.avoid == Some(member.id) || !self.is_within_bounds(member) {
                continue;
            }
            if best.is_none_or(|best| is_lighter(member, best)) {
                best = Some(member);
            }
            drawn += 1;
            if drawn == self.draws {
                break;
            }
        }
        let bounded = || {
            let mut members = self.members.iter().filter(|_| self.balance_factor > 0);
            members.find(|member| pick.avoid != Some(member.id) && self.is_within_bounds(member))
        };
        best.or_else(bounded)
            .or_else(|| self.other_than(pick.avoid?))
            // If it is full the request waits in the backend's queue, for whichever server is free first.
            .filter(|member| member.live.has_room())
            .map(|member| member.id)
    }
}

impl Drawn {
    /// Bounded loads, as of the hashed algorithms: with this request the backend would serve so many that all servers
    /// together may carry the factor's share more, each its part by weight, rounded up. Some server always may.
    fn is_within_bounds(&self, member: &Candidate) -> bool {
        if self.balance_factor == 0 {
            return true;
        }
        let served = u64::from(member.live.backend().served());
        let slots = ((served + 1) * self.balance_factor).div_ceil(100);
        let allowed = (slots * u64::from(member.scaled_weight())).div_ceil(self.weight.max(1));
        u64::from(member.live.served()) < allowed.max(1)
    }

    /// For when chance brings up the avoided server again and again: another one, or that one if it is alone.
    fn other_than(&self, avoid: ServerId) -> Option<&Candidate> {
        let others = || self.members.iter().filter(|member| member.id != avoid);
        others()
            .find(|member| member.live.has_room())
            .or_else(|| others().next())
            .or_else(|| self.members.first())
    }
}

/// Whether `a` serves less for its weight than `b`.
fn is_lighter(a: &Candidate, b: &Candidate) -> bool {
    let in_units = |member: &Candidate, unit: &Candidate| {
        u64::from(member.live.load()) * u64::from(unit.scaled_weight())
    };
    in_units(a, b) < in_units(b, a)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;

    use super::super::testing::farm;
    use super::*;
    use crate::live::{BackendLive, ServerLive};
    use crate::model;

    fn drawing(draws: u32) -> Random {
        Random {
            draws,
            balance_factor: 0,
        }
    }

    fn random(seed: u64) -> Pick<'static> {
        Pick {
            random: seed,
            ..Pick::default()
        }
    }

    #[test]
    fn one_draw_follows_the_weights() {
        let arranged = drawing(1).arrange(&farm(&[1, 2, 7]));
        let mut counts = [0i32; 3];
        for seed in 0..10_000 {
            counts[arranged.pick(&random(seed)).expect("no limits").0 as usize] += 1;
        }
        for (count, ideal) in counts.into_iter().zip([1_000, 2_000, 7_000]) {
            assert!((count - ideal).abs() < 250, "{counts:?}");
        }
    }

    #[test]
    fn two_draws_prefer_the_lighter() {
        let all = farm(&[1, 1]);
        all[0].live.current.store(1, Relaxed);
        let arranged = drawing(2).arrange(&all);
        let heavy = (0..10_000)
            .filter(|&seed| arranged.pick(&random(seed)) == Some(ServerId(0)))
            .count();
        // Only when both draws fall on it.
        assert!((2_200..2_800).contains(&heavy), "{heavy}");
    }

    #[test]
    fn avoids_and_waits() {
        let all = farm(&[256, 1]);
        let arranged = drawing(2).arrange(&all);
        let avoid = |seed, id| Pick {
            avoid: Some(ServerId(id)),
            ..random(seed)
        };
        for seed in 0..1_000 {
            assert_eq!(arranged.pick(&avoid(seed, 0)), Some(ServerId(1)));
        }
        let alone = drawing(2).arrange(&all[..1]);
        assert_eq!(alone.pick(&avoid(1, 0)), Some(ServerId(0)));
        all[0].live.set_maxconn(1);
        all[0].live.current.store(1, Relaxed);
        assert_eq!(alone.pick(&random(1)), None);
    }

    #[test]
    fn bounded_loads_hold_whatever_is_drawn() {
        let backend = Arc::new(BackendLive::new(&model::Backend {
            hash_balance_factor: 120,
            ..model::Backend::default()
        }));
        let mut all = farm(&[1, 1, 2]);
        for candidate in &mut all {
            let server = model::Server::new("a", model::ServerAddress::Abstract("a".into()));
            candidate.live = Arc::new(ServerLive::new(&server, Arc::clone(&backend)));
        }
        let bounded = Random {
            draws: 1,
            balance_factor: 120,
        };
        let arranged = bounded.arrange(&all);
        let mut slots = Vec::new();
        for served in 1..=400_u32 {
            let id = arranged
                .pick(&random(served.into()))
                .expect("some server always may");
            let live = &all[id.0 as usize].live;
            slots.push(live.take());
            let weight = [1, 1, 2][id.0 as usize];
            let bound = f64::from(served * weight) / 4.0 * 1.2 + 1.0;
            assert!(
                f64::from(live.load()) <= bound,
                "{} over {bound}",
                live.load()
            );
        }
        assert_eq!(slots.len(), 400);
    }
}
