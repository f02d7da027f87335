//! `hash-type map-based`: a table with a slot for each unit of weight; also the order of `static-rr`.
//!
//! The table is slot for slot the one that HAProxy fills. It lays out a weighted order in which, at each slot,
//! every server's credit grows by its weight, the first server of highest *whole* credit (counted in tables, so
//! a small number) gets the slot, and its credit sinks by the table's length.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::Candidate;
use super::smooth::greatest_common_divisor;

/// Longest table. Weights whose sum is larger, once divided by what they have in common, are scaled down, and
/// keys no longer fall as in HAProxy (which would use the memory); 16,384 servers of any weight stay below.
const SLOTS_MAX: u64 = 1 << 22;

/// The table for these members: indices into them.
pub(super) fn table(members: &[Candidate]) -> Box<[u32]> {
    let divisor = members
        .iter()
        .fold(0, |divisor, member| {
            greatest_common_divisor(divisor, member.weight)
        })
        .max(1);
    let mut weights: Vec<u64> = members
        .iter()
        .map(|member| u64::from(member.weight / divisor))
        .collect();
    let total: u64 = weights.iter().sum();
    if total > SLOTS_MAX {
        for weight in &mut weights {
            *weight = (*weight * SLOTS_MAX / total).max(1);
        }
    }
    fill(&weights)
}

/// A server's whole credit rises by one whenever the weight it has been given passes another multiple of the table's
/// length, and falls by one when it gets a slot. The rises are known in advance, so that only those servers are looked at
/// to whom something happens.
fn fill(weights: &[u64]) -> Box<[u32]> {
    let total: u64 = weights.iter().sum();
    let mut credits = vec![0_usize; weights.len()];
    // The servers of each whole credit.
    let mut ranks: Vec<BTreeSet<usize>> = Vec::new();
    // Slot, server, and which of its rises it is.
    let mut rises: BinaryHeap<_> = weights
        .iter()
        .enumerate()
        .filter(|&(_, &weight)| weight > 0)
        .map(|(server, _)| Reverse((0, server, 0)))
        .collect();

    let mut slots = Vec::with_capacity(total as usize);
    for slot in 1..=total {
        while let Some(&Reverse((at, server, rise))) = rises.peek()
            && at <= slot
        {
            rises.pop();
            let next: u64 = rise + 1;
            rises.push(Reverse((
                (next * total).div_ceil(weights[server]),
                server,
                next,
            )));
            move_to(&mut ranks, server, credits[server], credits[server] + 1);
            credits[server] += 1;
        }
        // The credits sum to a whole table, so somebody always has one.
        let richest = ranks.iter().rev().find_map(|rank| rank.first().copied());
        let Some(server) = richest else {
            debug_assert!(false, "nobody for slot {slot}");
            break;
        };
        slots.push(server as u32);
        move_to(&mut ranks, server, credits[server], credits[server] - 1);
        credits[server] -= 1;
    }
    slots.into_boxed_slice()
}

/// Moves a server from one whole credit to another. Those without any are in no set.
fn move_to(ranks: &mut Vec<BTreeSet<usize>>, server: usize, from: usize, to: usize) {
    if from > 0 {
        ranks[from - 1].remove(&server);
    }
    if to > 0 {
        if ranks.len() < to {
            ranks.resize_with(to, BTreeSet::new);
        }
        ranks[to - 1].insert(server);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::farm;
    use super::*;

    /// The definition, slot by slot and server by server.
    fn by_definition(weights: &[u32], slots: usize) -> Vec<u32> {
        let total: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
        let mut credits = vec![0i64; weights.len()];
        (0..slots)
            .map(|_| {
                let mut best: Option<(usize, i64)> = None;
                for (server, &weight) in weights.iter().enumerate() {
                    credits[server] += i64::from(weight);
                    let whole = (credits[server] + total) / total;
                    if best.is_none_or(|(_, most)| whole > most) {
                        best = Some((server, whole));
                    }
                }
                let (server, _) = best.expect("there are servers");
                credits[server] -= total;
                server as u32
            })
            .collect()
    }

    #[test]
    fn small_tables() {
        let cases: [(&[u32], &[u32]); 4] = [
            (&[5], &[0]),
            (&[1, 1, 1], &[0, 1, 2]),
            (&[200, 100], &by_definition(&[2, 1], 3)),
            (&[], &[]),
        ];
        for (weights, expected) in cases {
            assert_eq!(*table(&farm(weights)), *expected, "{weights:?}");
        }
    }

    /// A server with a credit of three tables comes before one with two that stands further ahead.
    #[test]
    fn credits_may_be_large() {
        let weights = [7, 26, 2, 1, 1, 2, 6, 215, 82];
        assert_eq!(*table(&farm(&weights)), *by_definition(&weights, 342));
    }

    proptest! {
        #[test]
        fn equals_its_definition(weights in prop::collection::vec(1u32..=256, 1..20), times in 1u32..4) {
            let table = table(&farm(&weights));
            // A common factor, which we divide out and HAProxy divides out only if down servers have it too,
            // repeats the same table.
            let weights: Vec<u32> = weights.iter().map(|weight| weight * times).collect();
            let total: u32 = weights.iter().sum();
            let long = by_definition(&weights, total as usize);
            for (slot, server) in long.into_iter().enumerate() {
                prop_assert_eq!(server, table[slot % table.len()]);
            }
        }
    }
}
