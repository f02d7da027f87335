//! One stream of a link, as both sides of an exchange use it: data in, data out, and what could not be sent yet.

use std::rc::Rc;
use std::task::{Poll, ready};

use plimsoll_policy::context::StreamEnd;
use plimsoll_wire::h2::{Code, Key, Read};
use plimsoll_wire::head::Head;

use super::link::Link;
use crate::stream::{End, Piece, StreamError};

pub(super) struct Stream {
    pub(super) link: Rc<Link>,
    pub(super) key: Key,
    /// Handed over, but without room: at most what came along with a head.
    held: Vec<u8>,
    /// How much of that has been sent.
    held_from: usize,
    /// The message ends behind what is held.
    ending: bool,
    /// Trailers to be sent behind what is held.
    trailers_out: Option<Box<Head>>,
    trailers_in: Option<Box<Head>>,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
}

impl Stream {
    pub(super) fn new(link: Rc<Link>, key: Key) -> Self {
        Self {
            link,
            key,
            held: Vec::new(),
            held_from: 0,
            ending: false,
            trailers_out: None,
            trailers_in: None,
            received_bytes: 0,
            sent_bytes: 0,
        }
    }

    /// What it is among the others.
    pub(super) fn end(&self) -> StreamEnd {
        let machine = self.link.look();
        StreamEnd {
            number: self.key.id(),
            open: u32::try_from(machine.open_streams()).unwrap_or(u32::MAX),
            limit: machine.streams_max(),
            reset: machine.received_reset(self.key).map(|code| code.0),
        }
    }

    pub(super) fn reset_code(&self) -> Option<Code> {
        self.link.look().reset_code(self.key)
    }

    pub(super) fn poll_body(&mut self, scratch: &mut [u8]) -> Poll<Result<Piece, StreamError>> {
        match self.link.with(|machine| machine.read(self.key, scratch)) {
            Read::Pending => Poll::Pending,
            Read::Reset(_) => Poll::Ready(Err(StreamError::Reset)),
            Read::Data { bytes, end } => {
                if end {
                    self.trailers_in = self.link.with(|machine| machine.take_trailers(self.key));
                }
                self.received_bytes += bytes as u64;
                Poll::Ready(Ok(Piece {
                    range: 0..bytes,
                    last: end,
                }))
            }
        }
    }

    pub(super) fn trailers(&self) -> Option<&Head> {
        self.trailers_in.as_deref()
    }

    /// Sends data, and keeps what there is no room for.
    pub(super) fn send(
        &mut self,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> Result<(), StreamError> {
        if self.reset_code().is_some() {
            return Err(StreamError::Reset);
        }
        self.sent_bytes += payload.len() as u64;
        if end.is_done() {
            self.ending = true;
            self.trailers_out = trailers.cloned().map(Box::new);
        }
        let mut taken = 0;
        if self.held.is_empty() {
            taken = self.push(payload);
        }
        self.held.extend_from_slice(&payload[taken..]);
        Ok(())
    }

    /// Sends what there is room for, and the end behind the last of it.
    fn push(&mut self, payload: &[u8]) -> usize {
        if payload.is_empty() && !self.ending {
            return 0;
        }
        let plain_end = self.ending && self.trailers_out.is_none();
        self.link.with(|machine| {
            let taken = match payload.is_empty() && !plain_end {
                true => 0,
                false => machine.send_data(self.key, payload, plain_end),
            };
            if taken == payload.len() && self.ending {
                if let Some(trailers) = self.trailers_out.take() {
                    machine.send_trailers(self.key, &trailers);
                }
                self.ending = false;
            }
            taken
        })
    }

    pub(super) fn poll_flush(&mut self) -> Poll<Result<(), StreamError>> {
        if self.held.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if self.reset_code().is_some() {
            return Poll::Ready(Err(StreamError::Reset));
        }
        let held = std::mem::take(&mut self.held);
        self.held_from += self.push(&held[self.held_from..]);
        if self.held_from < held.len() {
            self.held = held;
            return Poll::Pending;
        }
        self.held_from = 0;
        Poll::Ready(Ok(()))
    }

    /// How much would be sent at once.
    pub(super) fn room(&self) -> usize {
        self.link.look().room(self.key)
    }

    /// Ready when more can be handed over, with how much of it will not have to wait.
    pub(super) fn poll_room(&mut self) -> Poll<Result<usize, StreamError>> {
        ready!(self.poll_flush())?;
        // Looked at first: who waits for the other side's data would not learn of it otherwise.
        if self.reset_code().is_some() {
            return Poll::Ready(Err(StreamError::Reset));
        }
        let room = self.room();
        if room > 0 {
            return Poll::Ready(Ok(room));
        }
        self.link.with(|machine| machine.await_room(self.key));
        Poll::Pending
    }

    pub(super) fn is_backlogged(&self) -> bool {
        !self.held.is_empty() || self.room() == 0
    }

    /// Whether something handed over has not been put into frames yet.
    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.link.with(|machine| machine.release(self.key));
        // The connection may have been waiting for just that.
        self.link.ask();
    }
}
