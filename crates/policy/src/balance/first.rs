//! `balance first`: the server with the lowest number that has room, so that few servers carry a small load.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::{Algorithm, Arranged, Balance, BalanceSpec, Call, Candidate, Pick};
use crate::model::ServerId;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "first",
    aliases: &[],
    usage: "first",
    doc: "The first server, by identifier, that is below its 'maxconn'; the next ones when it is full.",
    read,
};

fn read(call: Call<'_>, _: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    call.without_argument()?;
    Ok(BalanceSpec::First)
}

#[derive(Debug)]
pub(super) struct First;

impl Balance for First {
    fn arrange(&self, candidates: &[Candidate]) -> Box<dyn Arranged> {
        let mut members = candidates.to_vec();
        members.sort_by_key(|member| member.number);
        Box::new(ByNumber { members })
    }
}

#[derive(Debug)]
struct ByNumber {
    members: Vec<Candidate>,
}

impl Arranged for ByNumber {
    fn pick(&self, pick: &Pick<'_>) -> Option<ServerId> {
        let mut avoided = None;
        for member in self.members.iter().filter(|member| member.live.has_room()) {
            if pick.avoid != Some(member.id) {
                return Some(member.id);
            }
            avoided = Some(member.id);
        }
        avoided
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::super::testing::farm;
    use super::*;

    #[test]
    fn fills_in_the_order_of_numbers() {
        let mut all = farm(&[1, 1, 1]);
        all[2].number = 0;
        for candidate in &all {
            candidate.live.set_maxconn(2);
        }
        let arranged = First.arrange(&all);
        let mut chosen = Vec::new();
        while let Some(id) = arranged.pick(&Pick::default()) {
            all[id.0 as usize].live.current.fetch_add(1, Relaxed);
            chosen.push(id.0);
        }
        assert_eq!(chosen, [2, 2, 0, 0, 1, 1]);
        all[0].live.current.store(1, Relaxed);
        assert_eq!(arranged.pick(&Pick::default()), Some(ServerId(0)));
    }

    #[test]
    fn avoids_a_failed_server_when_there_is_another() {
        let all = farm(&[1, 1]);
        let arranged = First.arrange(&all);
        let avoid = |id| Pick {
            avoid: Some(ServerId(id)),
            ..Pick::default()
        };
        assert_eq!(arranged.pick(&avoid(0)), Some(ServerId(1)));
        all[1].live.set_maxconn(1);
        all[1].live.current.store(1, Relaxed);
        assert_eq!(arranged.pick(&avoid(0)), Some(ServerId(0)));
    }
}
