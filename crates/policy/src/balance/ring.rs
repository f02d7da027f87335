//! `hash-type consistent`: each server owns many points of a circle, a key goes to the server of the nearest
//! point; when a server leaves, only its own keys move.
//!
//! Points lie where HAProxy puts them: a server of scaled weight w owns the points `avalanche(seed + i)` for all
//! i below w.

use super::Candidate;
use super::hash_type::avalanche;

/// Most points of a ring, 32 MB. Weights whose sum, sixteen points per unit, is larger are scaled down, and keys
/// no longer fall as in HAProxy; 1,024 servers of any weight, or 10,000 of weight 26, stay below.
const POINTS_MAX: u64 = 1 << 22;

/// Finest division of the circle for finding the place of a hash, in bits.
const SECTOR_BITS_MAX: u32 = 18;

#[derive(Debug)]
pub(super) struct Ring {
    /// Ascending.
    points: Box<[u32]>,
    /// The member that each point belongs to.
    pub(super) owners: Box<[u32]>,
    /// For each sector of the circle the first point in or after it.
    sectors: Box<[u32]>,
    sector_shift: u32,
}

impl Ring {
    pub(super) fn new(members: &[Candidate]) -> Self {
        let total: u64 = members
            .iter()
            .map(|member| u64::from(member.scaled_weight()))
            .sum();
        let count_of = |member: &Candidate| {
            let weight = u64::from(member.scaled_weight());
            if total <= POINTS_MAX {
                weight as u32
            } else {
                (weight * POINTS_MAX / total).max(1) as u32
            }
        };
        let mut placed: Vec<(u32, u32)> = Vec::with_capacity(total.min(POINTS_MAX) as usize);
        for (member, index) in members.iter().zip(0u32..) {
            placed.extend(
                (0..count_of(member)).map(|i| (avalanche(member.hash_seed.wrapping_add(i)), index)),
            );
        }
        // Where points coincide the server that comes first is met first.
        placed.sort_unstable();

        let bits = (placed.len().max(2).ilog2() + 1).min(SECTOR_BITS_MAX);
        let sector_shift = 32 - bits;
        let mut sectors = Vec::with_capacity(1 << bits);
        let mut next = 0;
        for sector in 0u32..1 << bits {
            while placed
                .get(next)
                .is_some_and(|&(point, _)| point >> sector_shift < sector)
            {
                next += 1;
            }
            sectors.push(next as u32);
        }
        let (points, owners): (Vec<u32>, Vec<u32>) = placed.into_iter().unzip();
        Self {
            points: points.into(),
            owners: owners.into(),
            sectors: sectors.into(),
            sector_shift,
        }
    }

    /// The position of the point nearest to a hash; of two equally near ones the one before it.
    pub(super) fn locate(&self, hash: u32) -> usize {
        let Some(last) = self.points.len().checked_sub(1) else {
            return 0;
        };
        let mut next = self.sectors[(hash >> self.sector_shift) as usize] as usize;
        while self.points.get(next).is_some_and(|&point| point < hash) {
            next += 1;
        }
        let next = if next > last { 0 } else { next };
        let previous = next.checked_sub(1).unwrap_or(last);
        let before = hash.wrapping_sub(self.points[previous]);
        let after = self.points[next].wrapping_sub(hash);
        if before <= after { previous } else { next }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::farm;
    use super::*;

    #[test]
    fn a_ring_of_nobody_is_harmless() {
        assert_eq!(Ring::new(&[]).locate(7), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn locates_the_nearest_point(
            weights in prop::collection::vec(1u32..=256, 1..12),
            hashes in prop::collection::vec(any::<u32>(), 20),
        ) {
            let ring = Ring::new(&farm(&weights));
            for hash in hashes.into_iter().chain([0, u32::MAX]) {
                let distance = |point: u32| hash.wrapping_sub(point).min(point.wrapping_sub(hash));
                let nearest = ring.points.iter().map(|&point| distance(point)).min();
                prop_assert_eq!(Some(distance(ring.points[ring.locate(hash)])), nearest);
            }
        }
    }
}
