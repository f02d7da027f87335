//! Signals, read like any other input.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;

/// The signals a service answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    Hangup,
    Interrupt,
    Quit,
    Terminate,
    User1,
    User2,
    Child,
    TerminalInput,
    TerminalOutput,
    WindowChanged,
}

impl Signal {
    const ALL: [Self; 10] = [
        Self::Hangup,
        Self::Interrupt,
        Self::Quit,
        Self::Terminate,
        Self::User1,
        Self::User2,
        Self::Child,
        Self::TerminalInput,
        Self::TerminalOutput,
        Self::WindowChanged,
    ];

    fn number(self) -> c_int {
        match self {
            Self::Hangup => libc::SIGHUP,
            Self::Interrupt => libc::SIGINT,
            Self::Quit => libc::SIGQUIT,
            Self::Terminate => libc::SIGTERM,
            Self::User1 => libc::SIGUSR1,
            Self::User2 => libc::SIGUSR2,
            Self::Child => libc::SIGCHLD,
            Self::TerminalInput => libc::SIGTTIN,
            Self::TerminalOutput => libc::SIGTTOU,
            Self::WindowChanged => libc::SIGWINCH,
        }
    }
}

/// Signals taken out of their usual delivery.
///
/// They are blocked in the calling thread and in every thread it starts afterwards, so create this before any other
/// thread. Dropping it leaves them blocked: a signal that comes during an orderly end must not cut it short.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks `signals` and collects them.
    pub fn collect(signals: &[Signal]) -> io::Result<Self> {
        // SAFETY: `sigset_t` is an array of integers, for which zero is valid; sigemptyset then sets it properly.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set is a live local.
        unsafe { libc::sigemptyset(&raw mut set) };
        for signal in signals {
            // SAFETY: the set is a live local and the number is a valid signal.
            unsafe { libc::sigaddset(&raw mut set, signal.number()) };
        }
        // SAFETY: the new set is a live local, and the old one is not asked for.
        let error =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        // SAFETY: the set is a live local; -1 asks for a new descriptor.
        let fd =
            unsafe { libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just made this descriptor, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// The next signal; `None` when none waits. The descriptor is readable while one does.
    pub fn next(&self) -> io::Result<Option<Signal>> {
        let mut record = [0_u8; size_of::<libc::signalfd_siginfo>()];
        loop {
            match rustix::io::read(&self.fd, &mut record) {
                Ok(count) if count == record.len() => {}
                Ok(_) | Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            // `ssi_signo` is the first field of the record.
            let number = c_int::from_ne_bytes([record[0], record[1], record[2], record[3]]);
            if let Some(signal) = Signal::ALL
                .into_iter()
                .find(|signal| signal.number() == number)
            {
                return Ok(Some(signal));
            }
        }
    }

    /// Waits until a signal is there.
    pub fn wait(&self) -> io::Result<Signal> {
        loop {
            if let Some(signal) = self.next()? {
                return Ok(signal);
            }
            let mut waiting = libc::pollfd {
                fd: self.fd.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: the array is one live local.
            unsafe { libc::poll(&raw mut waiting, 1, -1) };
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes a write to a closed connection an error and not the end of the process. Rust programs start like that, but a
/// command that writes to pipes may have changed it.
pub fn ignore_broken_pipes() {
    // SAFETY: SIG_IGN is a valid disposition for this signal, and no handler of ours is involved.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Sends a signal to a process.
pub fn send(process_id: u32, signal: Signal) -> io::Result<()> {
    // 0 and negative numbers would mean groups of processes.
    let Some(process_id) = i32::try_from(process_id).ok().filter(|&id| id > 0) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // SAFETY: kill(2) touches no memory of ours.
    if unsafe { libc::kill(process_id, signal.number()) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collected_signal_is_read() {
        let signals = Signals::collect(&[Signal::WindowChanged]).unwrap();
        assert_eq!(signals.next().unwrap(), None);
        // SAFETY: directed at this very thread, which has the signal blocked.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGWINCH) };
        assert_eq!(signals.wait().unwrap(), Signal::WindowChanged);
        assert_eq!(signals.next().unwrap(), None);
    }

    #[test]
    fn groups_cannot_be_signalled_by_accident() {
        assert!(send(0, Signal::WindowChanged).is_err());
        assert!(send(u32::MAX, Signal::WindowChanged).is_err());
    }
}
