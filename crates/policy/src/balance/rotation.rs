//! Walking a weighted order together: one atomic cursor shared by all workers, and who is skipped.
//!
//! Round robin is nothing else; other algorithms use it where they have no preference.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::smooth::Order;
use super::{Candidate, Pick};
use crate::model::ServerId;

/// Positions of the order that are looked at for a server with room before all servers are gone through.
///
/// Each position looked at is used up, so that the turn of a full server is not inherited by its neighbour.
const WALK_MAX: usize = 32;

/// The position in an order. It outlives each arrangement: were it to start again with each change, a backend
/// whose servers come and go often would favour the first ones.
///
/// All workers write it for every request, so it must not share a cache line with anything.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Position(AtomicU64);

pub(super) type Cursor = Arc<Position>;

/// An endless order of members, by position.
#[derive(Debug)]
pub(super) enum Sequence {
    Smooth(Order),
    /// One period, spelled out.
    Table(Arc<[u32]>),
}

impl Sequence {
    fn at(&self, at: u64) -> Option<usize> {
        match self {
            Self::Smooth(order) => order.at(at).map(|member| member as usize),
            Self::Table(table) => {
                let period = (table.len() as u64).max(1);
                table
                    .get((at % period) as usize)
                    .map(|&member| member as usize)
            }
        }
    }
}

/// Members taking turns.
#[derive(Debug)]
pub(super) struct Rotation {
    cursor: Cursor,
    sequence: Sequence,
}

impl Rotation {
    /// Turns in proportion to the weights of `members`.
    pub(super) fn smooth(members: &[Candidate], cursor: &Cursor) -> Self {
        let weights: Vec<u32> = members.iter().map(Candidate::scaled_weight).collect();
        Self {
            cursor: Arc::clone(cursor),
            sequence: Sequence::Smooth(Order::new(&weights)),
        }
    }

    /// Turns as `table` says.
    pub(super) fn table(table: Arc<[u32]>, cursor: &Cursor) -> Self {
        Self {
            cursor: Arc::clone(cursor),
            sequence: Sequence::Table(table),
        }
    }

    /// The next turn's position; every caller gets another one.
    pub(super) fn turn(&self) -> u64 {
        self.cursor.0.fetch_add(1, Relaxed)
    }

    /// The member at a position.
    pub(super) fn at(&self, at: u64) -> Option<usize> {
        self.sequence.at(at)
    }

    /// The next member with room that need not be avoided; the avoided one if it is the only one with room.
    /// `None` when all are full: the request waits for whichever is free first.
    pub(super) fn next(&self, members: &[Candidate], pick: &Pick<'_>) -> Option<ServerId> {
        let mut avoided = None;
        let mut start = 0;
        for _ in 0..WALK_MAX.min(members.len()) {
            start = self.at(self.turn())?;
            let member = members.get(start)?;
            if !member.live.has_room() {
                continue;
            }
            if pick.avoid != Some(member.id) {
                return Some(member.id);
            }
            avoided = Some(member.id);
        }
        // Whoever waits in the backend's queue has found all servers full a moment ago.
        if members.first()?.live.backend().queued.load(Relaxed) > 0 {
            return avoided;
        }
        let (before, after) = members.split_at(start.min(members.len()));
        after
            .iter()
            .chain(before)
            .find(|member| pick.avoid != Some(member.id) && member.live.has_room())
            .map(|member| member.id)
            .or(avoided)
            .or_else(|| with_room(members, pick.avoid?))
    }
}

/// The member of that id, if it has room.
fn with_room(members: &[Candidate], id: ServerId) -> Option<ServerId> {
    members
        .iter()
        .find(|member| member.id == id && member.live.has_room())
        .map(|member| member.id)
}
