//! Pipes, and splice(2) between them and sockets: bytes move without passing through this process.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice,
};

/// Both ends of a non-blocking pipe.
#[derive(Debug)]
pub struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    capacity_bytes: usize,
}

impl Pipe {
    /// A pipe of about `capacity_bytes`, or of what the kernel gives when it refuses so much.
    pub fn new(capacity_bytes: usize) -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        let capacity_bytes = match fcntl_setpipe_size(&writer, capacity_bytes) {
            Ok(granted) => granted,
            Err(_) => fcntl_getpipe_size(&writer)?,
        };
        Ok(Self {
            reader,
            writer,
            capacity_bytes,
        })
    }

    /// Bytes it can hold, when every page of it is full.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.capacity_bytes
    }

    /// Moves up to `limit` bytes from a socket. `None`: nothing to read, or no room; `Some(0)`: the end.
    pub fn fill(&self, from: BorrowedFd<'_>, limit: usize) -> io::Result<Option<usize>> {
        moved(splice(
            from,
            None,
            &self.writer,
            None,
            limit,
            SpliceFlags::NONBLOCK | SpliceFlags::MOVE,
        ))
    }

    /// Moves up to `limit` bytes to a socket. `None`: nothing held, or the socket takes nothing now.
    ///
    /// `more` says that further bytes will follow at once, so that packets can be filled.
    pub fn drain(&self, to: BorrowedFd<'_>, limit: usize, more: bool) -> io::Result<Option<usize>> {
        let mut flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        flags.set(SpliceFlags::MORE, more);
        moved(splice(&self.reader, None, to, None, limit, flags))
    }
}

fn moved(result: Result<usize, Errno>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
