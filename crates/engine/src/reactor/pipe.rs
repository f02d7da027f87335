//! Moving bytes between sockets without reading them.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::{Poll, ready};

use plimsoll_sys::epoll::Readiness;

use super::driver::PipeHandle;
use super::{Core, Reactor, Socket};

/// Pipes kept for reuse while nobody uses them.
const PIPES_KEPT: usize = 32;

/// Idle pipes, and the count of all.
#[derive(Default)]
pub(super) struct Pipes {
    idle: RefCell<Vec<(PipeHandle, usize)>>,
    open: Cell<usize>,
}

impl Pipes {
    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.borrow().len()
    }
}

/// A pipe on loan. Bytes move from a socket into it and from it into another socket, inside the kernel.
///
/// Dropped empty, it is used again; dropped with bytes in it, it is closed.
pub struct Pipe {
    core: Rc<Core>,
    /// Absent only while being dropped.
    handle: Option<PipeHandle>,
    capacity_bytes: usize,
    held_bytes: usize,
}

impl Reactor {
    /// A pipe, when the cap and the kernel allow one; copying is always an alternative.
    #[must_use]
    pub fn pipe(&self) -> Option<Pipe> {
        let core = &self.core;
        let idle = core.pipes.idle.borrow_mut().pop();
        let (handle, capacity_bytes) = match idle {
            Some(found) => found,
            None => match self.open_pipe() {
                Some(opened) => opened,
                None => {
                    core.count(|usage| usage.pipes_refused += 1);
                    return None;
                }
            },
        };
        Some(Pipe {
            core: Rc::clone(core),
            handle: Some(handle),
            capacity_bytes,
            held_bytes: 0,
        })
    }

    fn open_pipe(&self) -> Option<(PipeHandle, usize)> {
        let core = &self.core;
        if core.pipes.open.get() >= core.options.pipes_max {
            return None;
        }
        let opened = core.driver.pipe(core.options.pipe_bytes).ok()?;
        core.pipes.open.set(core.pipes.open.get() + 1);
        Some(opened)
    }
}

impl Pipe {
    /// Bytes in the pipe.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Moves what is there from `source` into the pipe, up to its capacity. `Ok(0)` is the end of `source`.
    ///
    /// Call it with an empty pipe: a full one cannot be told from a silent source.
    pub fn poll_fill(&mut self, source: &Socket) -> Poll<io::Result<usize>> {
        self.poll_fill_at_most(source, usize::MAX)
    }

    /// As [`poll_fill`](Self::poll_fill), but takes no more than `limit` bytes, which must not be 0.
    pub fn poll_fill_at_most(&mut self, source: &Socket, limit: usize) -> Poll<io::Result<usize>> {
        ready!(source.poll_readable());
        let limit = limit.min(self.capacity_bytes.saturating_sub(self.held_bytes));
        let Some(handle) = self.handle.as_ref().filter(|_| limit > 0) else {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        };
        match self.core.driver.fill(handle, source.handle(), limit)? {
            Some(count) => {
                self.held_bytes += count;
                Poll::Ready(Ok(count))
            }
            None => {
                source.blocked(Readiness::READ);
                let registered = source.poll_readable();
                debug_assert!(registered.is_pending());
                Poll::Pending
            }
        }
    }

    /// Moves everything the pipe holds into `sink`.
    pub fn poll_drain(&mut self, sink: &Socket) -> Poll<io::Result<()>> {
        while self.held_bytes > 0 {
            ready!(sink.poll_writable());
            let Some(handle) = &self.handle else {
                return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
            };
            match self
                .core
                .driver
                .drain(handle, sink.handle(), self.held_bytes)?
            {
                Some(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Some(count) => self.held_bytes = self.held_bytes.saturating_sub(count),
                None => sink.blocked(Readiness::WRITE),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let pipes = &self.core.pipes;
        let mut idle = pipes.idle.borrow_mut();
        match self.handle.take() {
            Some(handle) if self.held_bytes == 0 && idle.len() < PIPES_KEPT => {
                idle.push((handle, self.capacity_bytes));
            }
            _ => pipes.open.set(pipes.open.get() - 1),
        }
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe")
            .field("held_bytes", &self.held_bytes)
            .finish_non_exhaustive()
    }
}
