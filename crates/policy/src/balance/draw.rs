//! Weighted chance in constant time, from one random number per request.

use super::Candidate;

/// A stream of random numbers from one seed (SplitMix64, public domain by S. Vigna).
#[derive(Debug)]
pub(super) struct Draws {
    state: u64,
}

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Draws members in proportion to their weights: Walker's alias method in the form of Vose.
#[derive(Debug)]
pub(super) struct Lottery {
    urns: Box<[Urn]>,
}

/// Two members share an urn: below the threshold it is the urn's own, otherwise the alias.
#[derive(Clone, Copy, Debug)]
struct Urn {
    threshold: u32,
    alias: u32,
}

impl Lottery {
    pub(super) fn new(members: &[Candidate]) -> Self {
        let count = members.len() as u64;
        let total: u64 = members
            .iter()
            .map(|member| u64::from(member.scaled_weight()))
            .sum();
        let mut urns: Vec<Urn> = (0..members.len() as u32)
            .map(|alias| Urn {
                threshold: u32::MAX,
                alias,
            })
            .collect();
        // What each member still has to place, in units in which an urn holds `total`.
        let mut share: Vec<u64> = members
            .iter()
            .map(|member| u64::from(member.scaled_weight()) * count)
            .collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..members.len()).partition(|&member| share[member] < total);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            let own = u128::from(share[poor]) << 32;
            urns[poor] = Urn {
                threshold: (own / u128::from(total)) as u32,
                alias: rich as u32,
            };
            share[rich] -= total - share[poor];
            if share[rich] < total {
                large.pop();
                small.push(rich);
            }
        }
        Self { urns: urns.into() }
    }

    /// The member that a random number falls on; 0 when there are no members.
    pub(super) fn draw(&self, random: u64) -> usize {
        let index = (((random >> 32) * self.urns.len() as u64) >> 32) as usize;
        match self.urns.get(index) {
            Some(urn) if random as u32 > urn.threshold => urn.alias as usize,
            _ => index,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::farm;
    use super::*;

    #[test]
    fn shares_follow_the_weights() {
        let weights = [1, 2, 3, 94, 256, 44];
        let lottery = Lottery::new(&farm(&weights));
        let mut draws = Draws::new(1);
        let mut counts = [0u32; 6];
        for _ in 0..400_000 {
            counts[lottery.draw(draws.next())] += 1;
        }
        for (count, weight) in counts.into_iter().zip(weights) {
            let ideal = f64::from(weight) * 1_000.0;
            // Five standard deviations.
            assert!(
                (f64::from(count) - ideal).abs() < 5.0 * ideal.sqrt(),
                "{count} for {weight}"
            );
        }
    }

    #[test]
    fn one_or_no_member() {
        assert_eq!(Lottery::new(&farm(&[7])).draw(u64::MAX), 0);
        assert_eq!(Lottery::new(&[]).draw(u64::MAX), 0);
    }
}
