//! What changes while a plane lives: shared atomics that outlive it, found again by name.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Run-time state of one server, shared by all workers.
#[derive(Debug, Default)]
pub struct ServerLive {
    /// Exchanges or tunnels now served (`scur`).
    pub current: AtomicU32,
    /// Requests waiting for a slot of this server.
    pub queued: AtomicU32,
    /// Peak-sensitive moving average of the response time, and when it was last touched; see `peak-ewma`.
    pub response_ewma_ns: AtomicU64,
    pub response_ewma_at_ns: AtomicU64,
}

impl ServerLive {
    /// The load that `leastconn` and `random` compare: served plus waiting.
    pub fn load(&self) -> u32 {
        self.current.load(Ordering::Relaxed).saturating_add(self.queued.load(Ordering::Relaxed))
    }
}
