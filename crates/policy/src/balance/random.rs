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
}

impl Balance for Random {
    fn arrange(&self, candidates: &[Candidate]) -> Box<dyn Arranged> {
        Box::new(Drawn {
            draws: self.draws.clamp(1, DRAWS_MAX),
            lottery: Lottery::new(candidates),
            members: candidates.into(),
        })
    }
}

#[derive(Debug)]
struct Drawn {
    draws: u32,
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
            if pick.avoid == Some(member.id) {
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
        best.or_else(|| self.other_than(pick.avoid?))
            // If it is full the request waits in the backend's queue, for whichever server is free first.
            .filter(|member| member.live.has_room())
            .map(|member| member.id)
    }
}

impl Drawn {
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
    use std::sync::atomic::Ordering::Relaxed;

    use super::super::testing::farm;
    use super::*;

    fn random(seed: u64) -> Pick<'static> {
        Pick {
            random: seed,
            ..Pick::default()
        }
    }

    #[test]
    fn one_draw_follows_the_weights() {
        let arranged = Random { draws: 1 }.arrange(&farm(&[1, 2, 7]));
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
        let arranged = Random { draws: 2 }.arrange(&all);
        let heavy = (0..10_000)
            .filter(|&seed| arranged.pick(&random(seed)) == Some(ServerId(0)))
            .count();
        // Only when both draws fall on it.
        assert!((2_200..2_800).contains(&heavy), "{heavy}");
    }

    #[test]
    fn avoids_and_waits() {
        let all = farm(&[256, 1]);
        let arranged = Random { draws: 2 }.arrange(&all);
        let avoid = |seed, id| Pick {
            avoid: Some(ServerId(id)),
            ..random(seed)
        };
        for seed in 0..1_000 {
            assert_eq!(arranged.pick(&avoid(seed, 0)), Some(ServerId(1)));
        }
        let alone = Random { draws: 2 }.arrange(&all[..1]);
        assert_eq!(alone.pick(&avoid(1, 0)), Some(ServerId(0)));
        all[0].live.set_maxconn(1);
        all[0].live.current.store(1, Relaxed);
        assert_eq!(alone.pick(&random(1)), None);
    }
}
