//! What the expressions in checks see.

use std::fmt;
use std::sync::Arc;

use plimsoll_policy::context::{Now, World};
use plimsoll_policy::model::{BackendId, ServerId};
use plimsoll_policy::plane::Plane;
use plimsoll_policy::probe::Surroundings;

use crate::control::admin::desk::{self, Desk};

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

impl Surroundings for Around {
    fn plane(&self) -> &Plane {
        self.desk.plane()
    }

    fn world(&self) -> &dyn World {
        &*self.desk
    }

    fn now(&self) -> Now {
        desk::now()
    }

    fn place(&self) -> (BackendId, ServerId) {
        self.place
    }
}
