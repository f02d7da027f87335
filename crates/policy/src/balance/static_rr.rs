//! `balance static-rr`: round robin in the order of the map that map-based hashing uses.

use std::sync::Arc;

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::rotation::{Cursor, Rotation};
use super::roundrobin::InTurn;
use super::{Algorithm, Arranged, Balance, BalanceSpec, Call, Candidate, map};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "static-rr",
    aliases: &[],
    usage: "static-rr",
    doc: "Each server in turn, in proportion to its weight, in HAProxy's fixed order and without slow start.",
    read,
};

fn read(call: Call<'_>, _: &mut Args<'_>) -> Result<BalanceSpec, Diagnostic> {
    call.without_argument()?;
    Ok(BalanceSpec::StaticRoundRobin)
}

#[derive(Debug, Default)]
pub(super) struct StaticRoundRobin {
    cursor: Cursor,
}

impl Balance for StaticRoundRobin {
    fn arrange(&self, candidates: &[Candidate]) -> Box<dyn Arranged> {
        let table = Arc::from(map::table(candidates));
        Box::new(InTurn {
            rotation: Rotation::table(table, &self.cursor),
            members: candidates.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{farm, picks};
    use super::*;

    #[test]
    fn follows_the_map() {
        let arranged = StaticRoundRobin::default().arrange(&farm(&[1, 1, 1]));
        assert_eq!(picks(&*arranged, 4), [0, 1, 2, 0]);
        let arranged = StaticRoundRobin::default().arrange(&farm(&[1, 3]));
        assert_eq!(picks(&*arranged, 8), [0, 1, 1, 1, 0, 1, 1, 1]);
    }
}
