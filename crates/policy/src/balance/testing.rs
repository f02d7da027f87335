//! Farms of candidates for the tests of this room.

use std::sync::Arc;

use super::{Arranged, Candidate, Pick};
use crate::live::{RAMP_FULL, ServerLive};
use crate::model::ServerId;

/// Servers of these weights, numbered from 1 as HAProxy does, without limits.
pub(super) fn farm(weights: &[u32]) -> Vec<Candidate> {
    weights
        .iter()
        .zip(0u32..)
        .map(|(&weight, index)| Candidate {
            id: ServerId(index),
            number: index + 1,
            weight,
            ramp_sixteenths: RAMP_FULL,
            hash_seed: (index + 1).wrapping_mul(4096),
            live: Arc::new(ServerLive::default()),
        })
        .collect()
}

/// The first `count` choices for requests without a key.
pub(super) fn picks(arranged: &dyn Arranged, count: usize) -> Vec<u32> {
    (0..count)
        .map(|_| {
            arranged
                .pick(&Pick::default())
                .expect("servers have room")
                .0
        })
        .collect()
}
