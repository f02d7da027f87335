//! Listening sockets on their way from one process to another, over a unix stream.
//!
//! The exchange is the one that HAProxy's processes speak (`_getsocks`), so that either may follow the other: a count;
//! then up to 253 descriptors in a message, with a record for each in its bytes (a namespace's name, an interface's name,
//! four bytes of nothing), which the receiver confirms.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Descriptors in one message: as many as the kernel takes.
const BATCH_MAX: usize = 253;

/// Most descriptors that are taken from another process.
const DESCRIPTORS_MAX: usize = 65_536;

/// Longest names in a record.
const RECORD_BYTES_MAX: usize = 1 + 255 + 1 + 255 + 4;

/// A record without names.
const RECORD: [u8; 6] = [0; 6];

/// The question that begins the exchange.
pub const QUESTION: &[u8] = b"_getsocks\n";

/// Asks the process at the other end for its listening sockets.
///
/// # Errors
/// When the process breaks off, or sends what is not expected.
pub fn ask(mut stream: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    stream.write_all(QUESTION)?;
    let mut count = [0; 4];
    stream.read_exact(&mut count)?;
    let count = usize::try_from(i32::from_ne_bytes(count)).unwrap_or(0);
    if count > DESCRIPTORS_MAX {
        return Err(io::Error::other("too many sockets are offered"));
    }
    let mut sockets = Vec::with_capacity(count);
    let mut bytes = vec![0; BATCH_MAX * RECORD_BYTES_MAX];
    while sockets.len() < count {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(stream.as_fd(), &mut buffers, &mut control, flags)?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = sockets.len();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                sockets.extend(descriptors);
            }
        }
        if sockets.len() > before {
            let known = i32::try_from(sockets.len()).unwrap_or(i32::MAX);
            stream.write_all(&known.to_ne_bytes())?;
        }
    }
    Ok(sockets)
}

/// Answers such a question.
///
/// # Errors
/// When the process at the other end breaks off.
pub fn answer(mut stream: &UnixStream, sockets: &[OwnedFd]) -> io::Result<()> {
    let count = i32::try_from(sockets.len()).unwrap_or(i32::MAX);
    stream.write_all(&count.to_ne_bytes())?;
    for batch in sockets.chunks(BATCH_MAX) {
        let descriptors: Vec<BorrowedFd<'_>> = batch.iter().map(OwnedFd::as_fd).collect();
        let records = RECORD.repeat(batch.len());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("there is no room for the descriptors"));
        }
        let bytes = [IoSlice::new(&records)];
        let sent = sendmsg(stream.as_fd(), &bytes, &mut control, SendFlags::NOSIGNAL)?;
        stream.write_all(&records[sent..])?;
        let mut confirmed = [0; 4];
        stream.read_exact(&mut confirmed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn more_sockets_than_fit_into_a_message_arrive() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let copies: Vec<OwnedFd> = (0..BATCH_MAX + 10)
            .map(|_| listener.try_clone().unwrap().into())
            .collect();
        let sender = thread::spawn(move || {
            let mut question = [0; QUESTION.len()];
            (&theirs).read_exact(&mut question).unwrap();
            assert_eq!(question, QUESTION);
            answer(&theirs, &copies)
        });
        let sockets = ask(&ours).unwrap();
        sender.join().unwrap().unwrap();
        assert_eq!(sockets.len(), BATCH_MAX + 10);
        for socket in sockets {
            let known = crate::socket::local_address(socket.as_fd()).unwrap();
            assert_eq!(known.inet(), Some(address));
        }
    }

    #[test]
    fn a_process_that_breaks_off_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs).write_all(&3_i32.to_ne_bytes()).unwrap();
        drop(theirs);
        assert!(ask(&ours).is_err());
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs).write_all(&i32::MAX.to_ne_bytes()).unwrap();
        assert!(ask(&ours).is_err());
    }
}
