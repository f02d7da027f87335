//! What the expressions in checks see.

use std::fmt;
use std::sync::Arc;

use plimsoll_policy::context::{Now, World};
use plimsoll_policy::log::WallTime;
use plimsoll_policy::model::{BackendId, ServerId};
use plimsoll_policy::plane::Plane;
use plimsoll_policy::probe::Surroundings;
use plimsoll_policy::stats::Sums;
use plimsoll_sys::clock;

use crate::control::admin::desk::Desk;
use crate::control::log::hostname;
use crate::rules;

/// One check under one plane.
pub(super) struct Around {
    pub(super) desk: Arc<Desk>,
    pub(super) place: (BackendId, ServerId),
}

impl fmt::Debug for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Around")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl World for Around {
    fn random(&self) -> u64 {
        let mut state = clock::monotonic_ns() | 1;
        super::next(&mut state)
    }

    fn sums(&self) -> &dyn Sums {
        &*self.desk
    }

    fn process_id(&self) -> u32 {
        std::process::id()
    }

    fn hostname(&self) -> &str {
        hostname()
    }

    fn utc_offset_s(&self) -> i32 {
        clock::utc_offset_seconds((clock::wall_ns() / 1_000_000_000) as i64)
    }

    fn next_number(&self) -> u32 {
        rules::next_number()
    }
}

impl Surroundings for Around {
    fn plane(&self) -> &Plane {
        self.desk.plane()
    }

    fn world(&self) -> &dyn World {
        self
    }

    fn now(&self) -> Now {
        Now {
            monotonic_ns: clock::monotonic_ns(),
            wall: WallTime::from_unix_ns(clock::wall_ns()),
        }
    }

    fn place(&self) -> (BackendId, ServerId) {
        self.place
    }
}
