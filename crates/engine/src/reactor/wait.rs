//! Futures that wait for time, alone or together with something else.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use super::Reactor;

/// The deadline came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl std::error::Error for TimedOut {}

impl From<TimedOut> for io::Error {
    fn from(TimedOut: TimedOut) -> Self {
        Self::new(io::ErrorKind::TimedOut, TimedOut)
    }
}

impl Reactor {
    /// Polls `poll` whenever the task is woken, until it is ready or `deadline_ns` has passed.
    ///
    /// What is ready wins over a deadline that passed at the same time.
    pub fn until<T>(
        &self,
        deadline_ns: u64,
        mut poll: impl FnMut() -> Poll<T>,
    ) -> impl Future<Output = Result<T, TimedOut>> {
        poll_fn(move |_| match poll() {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => self.poll_deadline(deadline_ns).map(Err),
        })
    }

    /// Ready when `deadline_ns` has passed; else the current task is woken when it has.
    #[inline]
    pub fn poll_deadline(&self, deadline_ns: u64) -> Poll<TimedOut> {
        if self.now_ns() >= deadline_ns {
            return Poll::Ready(TimedOut);
        }
        self.wake_at(deadline_ns);
        Poll::Pending
    }

    /// Resolves soon (milliseconds) after `deadline_ns`; never for [`NEVER`](super::NEVER).
    pub fn sleep_until(&self, deadline_ns: u64) -> impl Future<Output = ()> + use<> {
        let reactor = self.clone();
        poll_fn(move |_| reactor.poll_deadline(deadline_ns).map(|TimedOut| ()))
    }

    /// Lets every other task that is ready, and events that have happened, go first.
    pub fn yield_now(&self) -> impl Future<Output = ()> + use<> {
        let core = Rc::clone(&self.core);
        let mut yielded = false;
        poll_fn(move |_| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            core.tasks.borrow_mut().wake(core.current.get());
            Poll::Pending
        })
    }

    /// Never resolves; for a task that only hooks and deadlines of others keep alive.
    pub fn forever(&self) -> impl Future<Output = Infallible> + use<> {
        std::future::pending()
    }
}
