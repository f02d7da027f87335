//! Numbers of a process that has served nobody.

use super::{Meter, Speed, Sums};
use crate::counters::{BackendCounter, FrontendCounter, ServerCounter, Summary};
use crate::health::Health;
use crate::model::{BackendId, FrontendId, ServerId};

/// Every count is 0: for rules that run where nothing is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Sums for Nothing {
    fn frontend(&self, _: FrontendId, _: FrontendCounter) -> u64 {
        0
    }

    fn backend(&self, _: BackendId, _: BackendCounter) -> u64 {
        0
    }

    fn server(&self, _: BackendId, _: ServerId, _: ServerCounter) -> u64 {
        0
    }

    fn rate(&self, _: Meter) -> Speed {
        Speed::default()
    }

    fn connections(&self, _: FrontendId) -> u32 {
        0
    }

    fn latencies(&self, _: BackendId, _: ServerId) -> Option<Summary> {
        None
    }

    fn health(&self, _: BackendId, _: ServerId) -> Option<Health> {
        None
    }

    fn lost_logs(&self) -> u64 {
        0
    }
}
