//! The smooth weighted order that round robin follows: who is served at the t-th request, for every t.
//!
//! The order is a schedule in the sense of Tijdeman's solution of the chairman assignment problem (R. Tijdeman,
//! "The chairman assignment problem", Discrete Mathematics 32, 1980): with n servers no prefix gives any server
//! more than 1 − 1/(2n−2) requests more or less than its exact share. It is periodic, so it is computed once
//! for one period and then read by position. Equal weights give the servers in their order.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Longest table of one order. All weights that 4,095 servers can have (HAProxy's own limit for `roundrobin`)
/// stay below it; a longer period is folded, see [`Order::new`].
pub(super) const SLOTS_MAX: usize = 1 << 20;

/// How often a period may be folded before what is left over is dropped.
const FOLDS_MAX: u32 = 2;

/// Marks a slot that belongs to the inner order, instead of to a server.
const EXTRA: u32 = 1 << 31;

/// A periodic weighted order of the servers 0, 1, … of an arrangement.
#[derive(Debug)]
pub(super) struct Order {
    /// A server, or [`EXTRA`] plus the how-manieth extra slot of this table it is.
    slots: Box<[u32]>,
    extras: Option<Box<Extras>>,
}

#[derive(Debug)]
struct Extras {
    per_turn: u64,
    order: Order,
}

impl Order {
    /// The order for these weights, all above 0 and fewer than 2³¹ in number.
    ///
    /// A period beyond [`SLOTS_MAX`] is folded: every server gets the whole number of slots that its share of
    /// the table amounts to, and the slots left over are dealt out turn by turn by another smooth order over
    /// the fractions. Shares stay exact in the long run, while a prefix may deviate by one request more per fold.
    pub(super) fn new(weights: &[u32]) -> Self {
        Self::fold(weights, SLOTS_MAX, FOLDS_MAX)
    }

    fn fold(weights: &[u32], slots_max: usize, folds_left: u32) -> Self {
        let divisor = weights
            .iter()
            .copied()
            .fold(0, greatest_common_divisor)
            .max(1);
        let total: u64 = weights
            .iter()
            .map(|&weight| u64::from(weight / divisor))
            .sum();
        let table = (slots_max as u64).max(weights.len() as u64);
        if total <= table {
            let weights: Vec<u32> = weights.iter().map(|weight| weight / divisor).collect();
            return Self {
                slots: schedule(&weights),
                extras: None,
            };
        }

        let scaled = |weight: u32| u64::from(weight / divisor) * table;
        let mut whole: Vec<u32> = weights
            .iter()
            .map(|&weight| (scaled(weight) / total) as u32)
            .collect();
        let left_over = table - whole.iter().map(|&slots| u64::from(slots)).sum::<u64>();
        if left_over == 0 || folds_left == 0 {
            return Self {
                slots: schedule(&whole),
                extras: None,
            };
        }
        // Fractions in units of 2⁻³¹ slots: exact to a few requests in 10¹².
        let fractions: Vec<u32> = weights
            .iter()
            .map(|&weight| {
                (u128::from(scaled(weight) % total) * (1 << 31) / u128::from(total)) as u32
            })
            .collect();
        whole.push(left_over as u32);
        let mut slots = schedule(&whole);
        let last = weights.len() as u32;
        for (ordinal, slot) in slots.iter_mut().filter(|slot| **slot == last).enumerate() {
            *slot = EXTRA | ordinal as u32;
        }
        Self {
            slots,
            extras: Some(Box::new(Extras {
                per_turn: left_over,
                order: Self::fold(&fractions, slots_max, folds_left - 1),
            })),
        }
    }

    /// The server at position `at` of the endless order; `None` only for an order of no servers.
    pub(super) fn at(&self, at: u64) -> Option<u32> {
        let period = self.slots.len() as u64;
        if period == 0 {
            return None;
        }
        let slot = self.slots[(at % period) as usize];
        match &self.extras {
            Some(extras) if slot & EXTRA != 0 => extras
                .order
                .at((at / period).wrapping_mul(extras.per_turn) + u64::from(slot & !EXTRA)),
            _ => Some(slot),
        }
    }
}

/// Greatest common divisor; 0 is neutral.
pub(super) fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The next slot of one server: it may be filled from `release` on, and comes before slots of later deadlines.
///
/// With share s = weight/total, slot number k (from 1) is released at the first request t for which
/// s·t − (k−1) ≥ 1/(2n−2), and its deadline is (k − 1/(2n−2))/s. All is multiplied by 2n−2 to stay whole.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Claim {
    /// (2n−2)·k − 1; the deadline is this over `weight`, the constant factors left out.
    deadline: u64,
    weight: u64,
    server: u32,
}

impl Ord for Claim {
    fn cmp(&self, other: &Self) -> Ordering {
        let (this, that) = (self.deadline * other.weight, other.deadline * self.weight);
        this.cmp(&that).then(self.server.cmp(&other.server))
    }
}

impl PartialOrd for Claim {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One period, at most [`SLOTS_MAX`] slots: server i occurs `weights[i]` times.
fn schedule(weights: &[u32]) -> Box<[u32]> {
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    let count = weights.iter().filter(|&&weight| weight > 0).count() as u64;
    let scale = (2 * count).saturating_sub(2).max(1);
    let release = |k: u64, weight: u64| (total * (scale * (k - 1) + 1)).div_ceil(weight * scale);

    let mut ready = BinaryHeap::new();
    let mut waiting = BinaryHeap::new();
    for (server, &weight) in weights
        .iter()
        .enumerate()
        .filter(|&(_, &weight)| weight > 0)
    {
        waiting.push(Reverse((release(1, u64::from(weight)), server as u32, 1)));
    }
    let mut slots = Vec::with_capacity(total as usize);
    for t in 1..=total {
        while let Some(&Reverse((at, server, k))) = waiting.peek()
            && at <= t
        {
            waiting.pop();
            ready.push(Reverse((
                Claim {
                    deadline: scale * k - 1,
                    weight: u64::from(weights[server as usize]),
                    server,
                },
                k,
            )));
        }
        // Somebody is always owed something: the shares sum to one.
        let Some(Reverse((claim, k))) = ready.pop() else {
            debug_assert!(false, "nobody to serve at {t}");
            break;
        };
        slots.push(claim.server);
        if k < claim.weight {
            waiting.push(Reverse((release(k + 1, claim.weight), claim.server, k + 1)));
        }
    }
    slots.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(order: &Order, length: u64) -> Vec<u32> {
        (0..length)
            .map(|at| order.at(at).expect("not empty"))
            .collect()
    }

    /// The largest distance of any prefix of `length` requests from the exact share.
    fn deviation(order: &Order, weights: &[u32], length: u64) -> f64 {
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        let mut counts = vec![0u64; weights.len()];
        let mut worst = 0f64;
        for at in 0..length {
            counts[order.at(at).expect("not empty") as usize] += 1;
            for (count, &weight) in counts.iter().zip(weights) {
                let ideal = f64::from(weight) / total * (at + 1) as f64;
                worst = worst.max((*count as f64 - ideal).abs());
            }
        }
        worst
    }

    #[test]
    fn familiar_orders() {
        let cases: [(&[u32], &[u32]); 6] = [
            (&[1], &[0]),
            (&[1, 1, 1], &[0, 1, 2]),
            (&[100, 100], &[0, 1]),
            (&[2, 1], &[0, 1, 0]),
            (&[1, 3], &[1, 0, 1, 1]),
            (&[3, 1, 1], &[0, 1, 0, 2, 0]),
        ];
        for (weights, expected) in cases {
            let order = Order::new(weights);
            assert_eq!(
                prefix(&order, expected.len() as u64),
                expected,
                "{weights:?}"
            );
            assert_eq!(order.slots.len(), expected.len(), "{weights:?}");
        }
        assert_eq!(Order::new(&[]).at(0), None);
    }

    proptest! {
        #[test]
        fn no_prefix_deviates_by_a_request(weights in prop::collection::vec(1u32..=256, 1..24)) {
            let order = Order::new(&weights);
            let length = 2 * order.slots.len() as u64 + 1;
            let count = weights.len() as f64;
            let bound = 1.0 - 1.0 / (2.0 * count - 2.0).max(1.0);
            prop_assert!(deviation(&order, &weights, length) <= bound + 1e-9);
        }

        #[test]
        fn folded_orders_stay_close(
            weights in prop::collection::vec(1u32..=4096, 2..12),
            slots_max in 128usize..256,
        ) {
            let order = Order::fold(&weights, slots_max, FOLDS_MAX);
            prop_assert!(order.slots.len() <= slots_max);
            prop_assert!(deviation(&order, &weights, 20_000) < 1.0 + f64::from(FOLDS_MAX));
        }
    }
}
