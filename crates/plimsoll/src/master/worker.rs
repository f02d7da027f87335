//! One worker of a master: how it is started, how it is asked, how it tells that it lives.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use plimsoll_sys::process;

/// How long a worker may take to read its configuration and to listen.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How long a worker may take to answer a command; reloads of large files take their time.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// The longest answer of a worker that is passed on.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// How this very program was called, to be called so again.
#[derive(Clone, Debug)]
pub(super) struct Calling {
    /// The file, which may have been replaced since.
    pub(super) file: PathBuf,
    /// The name it was called by.
    pub(super) name: OsString,
    /// The words behind it.
    pub(super) words: Vec<OsString>,
    /// Where it was called.
    pub(super) folder: PathBuf,
}

impl Calling {
    /// A command that calls the program with these words in front of the usual ones.
    pub(super) fn command(&self, first: &[&str]) -> Command {
        let mut command = Command::new(&self.file);
        command
            .arg0(&self.name)
            .args(first)
            .args(&self.words)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command
    }
}

/// A worker that serves.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: u32,
    pub(super) line: UnixStream,
}

/// Starts a worker and waits until it serves. `predecessor`: the socket of the one whose listeners it takes over.
///
/// # Errors
/// When it cannot be started or ends before it serves; it has said why itself.
pub(super) fn start(
    calling: &Calling,
    socket: &Path,
    predecessor: Option<&Path>,
) -> io::Result<Started> {
    let listener = UnixListener::bind(socket)?;
    let (mut line, theirs) = UnixStream::pair()?;
    process::inherit(&listener)?;
    process::inherit(&theirs)?;
    let (door, end) = (listener.as_raw_fd(), theirs.as_raw_fd());
    let flag = match predecessor {
        Some(predecessor) => format!("{door},{end},{}", predecessor.display()),
        None => format!("{door},{end}"),
    };
    let child = calling.command(&["-worker", &flag]).spawn()?;
    drop((listener, theirs));
    let started = Started {
        process: child.id(),
        line: line.try_clone()?,
    };
    line.set_read_timeout(Some(START_PATIENCE))?;
    let mut ready = [0];
    match line.read_exact(&mut ready) {
        Ok(()) => {
            line.set_read_timeout(None)?;
            Ok(started)
        }
        Err(error) => {
            // It may hang, and must not serve later when nobody expects it.
            let _ = process::kill(started.process);
            let _ = process::wait(started.process);
            let _ = std::fs::remove_file(socket);
            Err(error)
        }
    }
}

/// Asks a worker, and hands over whatever it answers.
///
/// # Errors
/// When it cannot be reached or breaks off.
pub(super) fn ask(socket: &Path, line: &str) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
    stream.set_write_timeout(Some(ANSWER_PATIENCE))?;
    stream.write_all(line.as_bytes())?;
    stream.write_all(b"\n")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}
