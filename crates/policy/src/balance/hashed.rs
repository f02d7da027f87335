//! What all hashed algorithms share: from a key, by the backend's `hash-type`, to a server that may take it.

use std::sync::Arc;

use super::hash_type::avalanche;
use super::ring::Ring;
use super::rotation::{Cursor, Rotation};
use super::{Arranged, Balance, Candidate, HashMethod, HashSpec, Pick, maglev, map};
use crate::model::{HashPreserveAffinity, ServerId};

/// Positions looked at for a server that may take a key before it goes to the first choice after all.
const WALK_MAX: usize = 4_096;

/// What a hashed algorithm is configured with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settings {
    /// Whether the client's address is the key.
    pub(super) by_source: bool,
    pub(super) hash: HashSpec,
    /// Per cent of the average load that a server may carry; 0: any load.
    pub(super) balance_factor: u32,
    pub(super) affinity: HashPreserveAffinity,
}

/// `source`, `uri`, `url_param`, `hdr`, `hash` and `rdp-cookie`.
#[derive(Debug, Default)]
pub(super) struct Hashed {
    settings: Settings,
    cursor: Cursor,
}

impl Hashed {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            cursor: Cursor::default(),
        }
    }
}

impl Balance for Hashed {
    fn arrange(&self, candidates: &[Candidate]) -> Box<dyn Arranged> {
        let smooth = || Rotation::smooth(candidates, &self.cursor);
        let (places, rotation) = match self.settings.hash.method {
            HashMethod::MapBased => {
                let table: Arc<[u32]> = map::table(candidates).into();
                let rotation = Rotation::table(Arc::clone(&table), &self.cursor);
                (Places::Map(table), rotation)
            }
            HashMethod::Consistent => (Places::Ring(Ring::new(candidates)), smooth()),
            HashMethod::Maglev => (Places::Maglev(maglev::table(candidates)), smooth()),
        };
        let mut weight_before = 0;
        let slices = candidates
            .iter()
            .map(|member| {
                let slice = Slice {
                    before: weight_before,
                    own: u64::from(member.scaled_weight()),
                };
                weight_before += slice.own;
                slice
            })
            .collect();
        Box::new(Keyed {
            settings: self.settings,
            members: candidates.into(),
            slices,
            weight: weight_before,
            places,
            rotation,
        })
    }
}

#[derive(Debug)]
enum Places {
    Map(Arc<[u32]>),
    Ring(Ring),
    Maglev(Box<[u32]>),
}

impl Places {
    /// The member at each position.
    fn owners(&self) -> &[u32] {
        match self {
            Self::Map(table) => table,
            Self::Ring(ring) => &ring.owners,
            Self::Maglev(table) => table,
        }
    }

    /// The position that a hash falls on.
    fn locate(&self, hash: u32) -> usize {
        match self {
            Self::Map(table) => hash as usize % table.len().max(1),
            Self::Ring(ring) => ring.locate(hash),
            // The functions are weak in their low bits, which HAProxy's users accept for the sake of
            // compatibility; here nothing has to be compatible.
            Self::Maglev(table) => avalanche(hash) as usize % table.len().max(1),
        }
    }
}

/// A member's part of the whole weight, which decides its part of the slots under a balance factor.
#[derive(Debug)]
struct Slice {
    before: u64,
    own: u64,
}

#[derive(Debug)]
struct Keyed {
    settings: Settings,
    members: Box<[Candidate]>,
    slices: Box<[Slice]>,
    weight: u64,
    places: Places,
    /// For requests without a key.
    rotation: Rotation,
}

impl Arranged for Keyed {
    fn pick(&self, pick: &Pick<'_>) -> Option<ServerId> {
        let hash = match (self.settings.by_source, pick.source, pick.key) {
            (true, Some(source), _) => self.settings.hash.hash_address(source),
            (false, _, Some(key)) => self.settings.hash.hash(key),
            _ => return self.rotation.next(&self.members, pick),
        };
        let owners = self.places.owners();
        let start = self.places.locate(hash);
        let mut choice = None;
        for step in 0..owners.len().min(WALK_MAX) {
            let index = owners[(start + step) % owners.len()] as usize;
            let member = self.members.get(index)?;
            if pick.avoid == Some(member.id) {
                continue;
            }
            if self.may_take(index, member) {
                return Some(member.id);
            }
            choice.get_or_insert(member.id);
        }
        choice.or_else(|| Some(self.members.get(*owners.get(start)? as usize)?.id))
    }
}

impl Keyed {
    fn may_take(&self, index: usize, member: &Candidate) -> bool {
        if matches!(self.places, Places::Map(_)) {
            return true;
        }
        let affinity_allows = match self.settings.affinity {
            HashPreserveAffinity::Always => true,
            HashPreserveAffinity::MaxConn => {
                let limit = member.live.limit();
                limit.is_none_or(|limit| {
                    member
                        .live
                        .current
                        .load(std::sync::atomic::Ordering::Relaxed)
                        < limit
                })
            }
            HashPreserveAffinity::MaxQueue => match (member.live.limit(), member.live.maxqueue()) {
                (Some(limit), 1..) => {
                    member.live.load() < limit.saturating_add(member.live.maxqueue())
                }
                _ => true,
            },
        };
        affinity_allows && self.is_within_bounds(index, member)
    }

    /// Bounded loads: with this request the backend would serve s, so that all servers together may carry
    /// s × factor, each its part by weight and at least one. The parts are cut so that their sum is exact.
    fn is_within_bounds(&self, index: usize, member: &Candidate) -> bool {
        let factor = u64::from(self.settings.balance_factor);
        if factor == 0 {
            return true;
        }
        let served = u64::from(member.live.backend().served());
        let slots = ((served + 1) * factor).div_ceil(100);
        let slice = &self.slices[index];
        let (each, rest) = (slots / self.weight, slots % self.weight);
        let part = |weight: u64| weight * rest / self.weight;
        let allowed = slice.own * each + part(slice.before + slice.own) - part(slice.before);
        let current = member
            .live
            .current
            .load(std::sync::atomic::Ordering::Relaxed);
        u64::from(current) < allowed.max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use proptest::prelude::*;

    use super::super::HashFunction;
    use super::super::testing::farm;
    use super::*;
    use crate::live::{BackendLive, ServerLive};
    use crate::model;

    fn settings(method: HashMethod) -> Settings {
        Settings {
            hash: HashSpec {
                method,
                function: HashFunction::Sdbm,
                avalanche: true,
            },
            ..Settings::default()
        }
    }

    fn arrange(method: HashMethod, candidates: &[Candidate]) -> Box<dyn Arranged> {
        Hashed::new(settings(method)).arrange(candidates)
    }

    const KEYS: u32 = 4_000;

    fn placement(arranged: &dyn Arranged) -> Vec<u32> {
        (0..KEYS)
            .map(|key| {
                let key = format!("/object/{key}");
                let pick = Pick {
                    key: Some(key.as_bytes()),
                    ..Pick::default()
                };
                arranged.pick(&pick).expect("there are servers").0
            })
            .collect()
    }

    /// Keys that left the server that leaves, and keys that moved between the others, in shares of all keys.
    fn moved(method: HashMethod, count: usize, leaving: usize) -> (f64, f64) {
        let all = farm(&vec![10; count]);
        let before = placement(&*arrange(method, &all));
        let mut rest = all.clone();
        rest.remove(leaving);
        let after = placement(&*arrange(method, &rest));
        let mut counts = (0u32, 0u32);
        for (from, to) in before.into_iter().zip(after) {
            if from as usize == leaving {
                counts.0 += 1;
            } else if from != to {
                counts.1 += 1;
            }
        }
        (
            f64::from(counts.0) / f64::from(KEYS),
            f64::from(counts.1) / f64::from(KEYS),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn consistent_moves_only_the_keys_of_the_server_that_leaves(count in 2usize..40, leaving in any::<prop::sample::Index>()) {
            let (left, others) = moved(HashMethod::Consistent, count, leaving.index(count));
            prop_assert_eq!(others, 0.0);
            let ideal = 1.0 / count as f64;
            prop_assert!((ideal * 0.5..ideal * 1.6).contains(&left), "{} of {}", left, ideal);
        }

        #[test]
        fn maglev_moves_little_else(count in 2usize..40, leaving in any::<prop::sample::Index>()) {
            let (left, others) = moved(HashMethod::Maglev, count, leaving.index(count));
            prop_assert!(others < 0.03, "{}", others);
            let ideal = 1.0 / count as f64;
            // Five standard deviations of the sample of keys.
            let tolerance = 5.0 * (ideal / f64::from(KEYS)).sqrt();
            prop_assert!((left - ideal).abs() < tolerance, "{} of {}", left, ideal);
        }
    }

    #[test]
    fn requests_without_a_key_take_turns() {
        for method in [
            HashMethod::MapBased,
            HashMethod::Consistent,
            HashMethod::Maglev,
        ] {
            let arranged = arrange(method, &farm(&[1, 1, 1]));
            assert_eq!(super::super::testing::picks(&*arranged, 4), [0, 1, 2, 0]);
        }
    }

    #[test]
    fn a_failed_server_is_avoided_and_a_full_one_is_kept() {
        for method in [
            HashMethod::MapBased,
            HashMethod::Consistent,
            HashMethod::Maglev,
        ] {
            let all = farm(&[1, 1, 1]);
            let arranged = arrange(method, &all);
            let pick = Pick {
                key: Some(b"key"),
                ..Pick::default()
            };
            let first = arranged.pick(&pick).expect("there are servers");
            all[first.0 as usize].live.set_maxconn(1);
            all[first.0 as usize].live.current.store(1, Relaxed);
            assert_eq!(arranged.pick(&pick), Some(first));
            let again = Pick {
                avoid: Some(first),
                ..pick
            };
            assert_ne!(arranged.pick(&again), Some(first));
            let alone = arrange(method, &all[first.0 as usize..=first.0 as usize]);
            assert_eq!(alone.pick(&again), Some(first));
        }
    }

    #[test]
    fn affinity_gives_way_as_configured() {
        let pick = Pick {
            key: Some(b"key"),
            ..Pick::default()
        };
        for (affinity, yields_at) in [
            (HashPreserveAffinity::Always, None),
            (HashPreserveAffinity::MaxConn, Some(2)),
            (HashPreserveAffinity::MaxQueue, Some(5)),
        ] {
            let all = farm(&[1, 1, 1]);
            let mut server = model::Server::new("a", model::ServerAddress::Abstract("a".into()));
            server.maxconn = Some(2);
            server.maxqueue = Some(3);
            for candidate in &all {
                candidate.live.configure(&server);
            }
            let arranged = Hashed::new(Settings {
                affinity,
                ..settings(HashMethod::Consistent)
            })
            .arrange(&all);
            let first = arranged.pick(&pick).expect("there are servers");
            let live = &all[first.0 as usize].live;
            let mut yielded_at = None;
            for load in 0..8u32 {
                live.current.store(load.min(2), Relaxed);
                live.queued.store(load.saturating_sub(2), Relaxed);
                if arranged.pick(&pick) != Some(first) {
                    yielded_at = yielded_at.or(Some(load));
                }
            }
            assert_eq!(yielded_at, yields_at, "{affinity:?}");
        }
    }

    #[test]
    fn bounded_loads_hold_even_for_one_hot_key() {
        let backend = Arc::new(BackendLive::new(&model::Backend {
            hash_balance_factor: 150,
            ..model::Backend::default()
        }));
        let mut all = farm(&[1, 1, 2]);
        for candidate in &mut all {
            let server = model::Server::new("a", model::ServerAddress::Abstract("a".into()));
            candidate.live = Arc::new(ServerLive::new(&server, Arc::clone(&backend)));
        }
        let arranged = Hashed::new(Settings {
            balance_factor: 150,
            ..settings(HashMethod::Consistent)
        })
        .arrange(&all);
        let pick = Pick {
            key: Some(b"hot"),
            ..Pick::default()
        };
        let mut slots = Vec::new();
        for served in 1..=400u32 {
            let id = arranged.pick(&pick).expect("there are servers");
            let live = &all[id.0 as usize].live;
            slots.push(live.take());
            let weight = [1, 1, 2][id.0 as usize];
            let bound = f64::from(served * weight) / 4.0 * 1.5 + 1.0;
            assert!(
                f64::from(live.load()) <= bound,
                "{} over {bound}",
                live.load()
            );
        }
        assert_eq!(slots.len(), 400);
    }
}
