//! How much of a body or of a tunnel may pass now, where rules limit its bandwidth. What is absent: the arithmetic, which is
//! [`Limits`]'s.

use std::task::Poll;

use plimsoll_policy::bandwidth::Limits;

use crate::reactor::Reactor;

/// The limits of one stream; without any everything may pass.
#[derive(Default)]
pub(crate) struct Quota<'a>(Option<&'a mut Limits>);

impl<'a> Quota<'a> {
    pub(crate) fn new(limits: Option<&'a mut Limits>) -> Self {
        Self(limits)
    }

    /// Whether anything limits a direction.
    pub(crate) fn applies(&self, upload: bool) -> bool {
        let limits = self.0.as_ref();
        limits.is_some_and(|limits| limits.apply(upload))
    }

    /// How many bytes may pass in one direction, of so many; wakes the task when any may.
    pub(crate) fn poll(&self, reactor: &Reactor, upload: bool, room: usize) -> Poll<usize> {
        let Some(limits) = &self.0 else {
            return Poll::Ready(room);
        };
        match limits.allowed(upload, reactor.now_ns()) {
            Ok(allowed) => Poll::Ready(room.min(allowed)),
            Err(next_ns) => {
                reactor.wake_at(next_ns);
                Poll::Pending
            }
        }
    }

    /// Takes note of bytes that have passed.
    pub(crate) fn passed(&mut self, reactor: &Reactor, upload: bool, bytes: usize) {
        if let Some(limits) = &mut self.0 {
            limits.passed(upload, reactor.now_ns(), bytes);
        }
    }
}
