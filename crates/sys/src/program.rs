//! Programs of others: started, waited for without blocking, and never left behind.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// A program that runs, with everything it starts. When this is dropped, all of it is killed.
#[derive(Debug)]
pub struct Program {
    /// `None`: its end has been seen.
    child: Option<Child>,
    /// Readable once it has ended.
    ended: OwnedFd,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Status(u8),
    Signal(i32),
}

impl Program {
    /// Starts a program: nothing to read, nobody who hears it, a process group of its own.
    ///
    /// `environment` is all that it sees, unless `inherits` lets it see ours as well.
    ///
    /// # Errors
    /// When it does not exist or may not be run, and when no process can be had.
    pub fn start<'a>(
        file: &str,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
        inherits: bool,
    ) -> io::Result<Self> {
        let mut command = Command::new(file);
        if !inherits {
            command.env_clear();
        }
        command
            .args(arguments.iter().map(OsStr::new))
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let mut child = command.spawn()?;
        let id = Pid::from_child(&child);
        match pidfd_open(id, PidfdFlags::NONBLOCK) {
            Ok(ended) => Ok(Self {
                child: Some(child),
                ended,
            }),
            Err(error) => {
                end(&mut child);
                reap(child);
                Err(error.into())
            }
        }
    }

    /// How it ended; `None`: it runs.
    ///
    /// # Errors
    /// When somebody else has waited for it.
    pub fn ending(&mut self) -> io::Result<Option<Ending>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        let Some(status) = child.try_wait()? else {
            return Ok(None);
        };
        self.child = None;
        let by_signal = status.signal().map(Ending::Signal);
        // A status is one byte.
        let code = status.code().unwrap_or_default() as u8;
        Ok(Some(by_signal.unwrap_or(Ending::Status(code))))
    }
}

/// Readable once the program has ended.
impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

impl AsRawFd for Program {
    fn as_raw_fd(&self) -> RawFd {
        self.ended.as_raw_fd()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            end(&mut child);
            reap(child);
        }
    }
}

/// Kills a program and what it has started.
fn end(child: &mut Child) {
    // It leads its group, and its number cannot be another's before it is waited for.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
}

/// Waits for a program that was killed; in a thread of its own where the kernel takes its time.
fn reap(mut child: Child) {
    if matches!(child.try_wait(), Ok(None)) {
        let waiting = thread::Builder::new().name("reaper".to_owned());
        // Without a thread it stays a zombie until we end, which is better than waiting here.
        let _ = waiting.spawn(move || child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(program: &mut Program) -> Ending {
        let mut polled = [rustix::event::PollFd::new(
            &*program,
            rustix::event::PollFlags::IN,
        )];
        let limit = rustix::time::Timespec {
            tv_sec: 30,
            tv_nsec: 0,
        };
        assert_eq!(rustix::event::poll(&mut polled, Some(&limit)), Ok(1));
        program.ending().unwrap().expect("it has ended")
    }

    fn shell(script: &str) -> Program {
        Program::start("/bin/sh", &["-c", script], [("A", "b")], false).expect("a shell")
    }

    #[test]
    fn its_end_is_seen() {
        assert_eq!(wait(&mut shell("exit 7")), Ending::Status(7));
        assert_eq!(wait(&mut shell("kill -9 $$")), Ending::Signal(9));
        let seen = "test \"$A\" = b && test -z \"$HOME\" && test $# = 0";
        assert_eq!(wait(&mut shell(seen)), Ending::Status(0));
        assert!(Program::start("/no/such/program", &[], [], false).is_err());
    }

    #[test]
    fn what_it_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("id");
        let script = format!(
            "sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait",
            mark.display()
        );
        let program = shell(&script);
        while !mark.exists() {
            thread::yield_now();
        }
        let grandchild: i32 = std::fs::read_to_string(&mark)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        drop(program);
        let gone = || {
            let status = std::fs::read_to_string(format!("/proc/{grandchild}/stat"));
            status.is_err() || status.unwrap().contains(") Z ")
        };
        while !gone() {
            thread::yield_now();
        }
    }
}
