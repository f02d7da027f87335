//! `hash-type maglev`: a large table that the servers fill in turn, each in an order of its own.
//!
//! D. Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4.
//! Shares are nearly exact, where a ring's are off by tens of per cent, and a lookup is one read. When a server
//! leaves, its keys are spread over the others, and about one per cent of the other keys move too.

use super::Candidate;
use super::draw::Draws;

/// Table lengths, both prime. The second serves backends of more than [`SMALL_MEMBERS_MAX`] usable servers;
/// crossing that line moves most keys.
const SMALL: u64 = 65_537;
const LARGE: u64 = 1_048_573;

/// Most servers in a small table: at least 64 slots for each.
const SMALL_MEMBERS_MAX: usize = 1_024;

/// The order in which a member wants the slots: every slot exactly once, because the length is prime.
struct Wish {
    slot: u64,
    skip: u64,
}

impl Wish {
    fn of(member: &Candidate, length: u64) -> Self {
        let mut draws = Draws::new(u64::from(member.hash_seed));
        Self {
            slot: draws.next() % length,
            skip: draws.next() % (length - 1) + 1,
        }
    }

    fn next(&mut self, length: u64) -> usize {
        let slot = self.slot;
        self.slot = (self.slot + self.skip) % length;
        slot as usize
    }
}

/// The table for these members: indices into them.
pub(super) fn table(members: &[Candidate]) -> Box<[u32]> {
    const FREE: u32 = u32::MAX;
    let length = if members.len() <= SMALL_MEMBERS_MAX {
        SMALL
    } else {
        LARGE
    };
    let heaviest = members
        .iter()
        .map(|member| u64::from(member.scaled_weight()))
        .max();
    let Some(heaviest) = heaviest else {
        return Box::default();
    };
    let mut wishes: Vec<Wish> = members
        .iter()
        .map(|member| Wish::of(member, length))
        .collect();
    let mut slots = vec![FREE; length as usize];
    let mut free = length;
    for round in 0u64.. {
        for (index, (member, wish)) in members.iter().zip(&mut wishes).enumerate() {
            let turns = |rounds: u64| rounds * u64::from(member.scaled_weight()) / heaviest;
            if turns(round + 1) == turns(round) {
                continue;
            }
            let slot = loop {
                let slot = wish.next(length);
                if slots[slot] == FREE {
                    break slot;
                }
            };
            slots[slot] = index as u32;
            free -= 1;
            if free == 0 {
                return slots.into();
            }
        }
    }
    slots.into()
}

#[cfg(test)]
mod tests {
    use super::super::testing::farm;
    use super::*;

    #[test]
    fn shares_are_nearly_exact() {
        let weights = [1, 2, 5, 100, 256];
        let table = table(&farm(&weights));
        let mut counts = [0u32; 5];
        for &owner in &table {
            counts[owner as usize] += 1;
        }
        for (count, weight) in counts.into_iter().zip(weights) {
            let ideal = SMALL as f64 * f64::from(weight) / 364.0;
            assert!(
                (f64::from(count) - ideal).abs() <= 2.0,
                "{count} for {ideal}"
            );
        }
    }

    #[test]
    fn many_members_get_a_large_table() {
        let table = table(&farm(&vec![1; SMALL_MEMBERS_MAX + 1]));
        assert_eq!(table.len() as u64, LARGE);
        assert!(super::table(&[]).is_empty());
    }
}
