//! An alarm that a waiter on epoll hears with the precision of the kernel's own timers.
//!
//! For the few loops that must wake within microseconds (a load generator's arrivals); waits of
//! whole milliseconds need no descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// A timerfd(2) of the monotonic clock; readable once it has gone off, until it is set again.
#[derive(Debug)]
pub struct TimerFd(OwnedFd);

impl TimerFd {
    /// A timer that is not set.
    pub fn new() -> io::Result<Self> {
        Ok(Self(timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?))
    }

    /// Goes off once, `delay` from now, and forgets what it was set to before.
    pub fn set(&self, delay: Duration) -> io::Result<()> {
        // Zero would unset the timer.
        let delay = delay.max(Duration::from_nanos(1));
        let spec = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: Timespec {
                tv_sec: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: delay.subsec_nanos().into(),
            },
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &spec)?;
        Ok(())
    }
}

impl AsFd for TimerFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoll::{Epoll, Events};

    #[test]
    fn wakes_a_waiter_after_the_delay_and_is_quiet_once_set_again() {
        let (timer, epoll) = (TimerFd::new().unwrap(), Epoll::new().unwrap());
        epoll.add_level(timer.as_fd(), 7).unwrap();
        let mut events = Events::with_capacity(4);
        let delay = Duration::from_millis(2);
        let started = std::time::Instant::now();
        timer.set(delay).unwrap();
        epoll.wait(&mut events, None).unwrap();
        assert!(started.elapsed() >= delay);
        assert_eq!(
            events.iter().map(|event| event.token).collect::<Vec<_>>(),
            [7]
        );
        timer.set(Duration::from_secs(3600)).unwrap();
        epoll.wait(&mut events, Some(0)).unwrap();
        assert_eq!(events.iter().count(), 0);
    }
}
