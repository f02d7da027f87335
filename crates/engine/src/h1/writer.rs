//! The body of an outgoing message: what framing the peer was promised, how much of it is owed, and how names are spelled.

use std::io;
use std::sync::Arc;

use plimsoll_wire::h1::{Spelling, body};
use plimsoll_wire::head::{Framing, Head};

use crate::stream::End;
use crate::transport::{Outbox, Transport};

/// Payloads up to this size are copied behind the head so that one `send` carries all; above, `writev` is cheaper.
const COPY_BYTES_MAX: usize = 4_096;

/// A line end, the size of a chunk, and another line end.
const MARK_BYTES_MAX: usize = 20;

/// Frames a body towards one peer.
#[derive(Debug, Default)]
pub(crate) struct BodyWriter {
    framing: Framing,
    /// Whatever is to be sent is thrown away.
    mute: bool,
    /// A chunk was announced whose line end has not been sent.
    in_chunk: bool,
    /// How names of fields are written, where the peer cares.
    spelling: Option<Arc<Spelling>>,
}

impl BodyWriter {
    /// Begins another message.
    pub(crate) fn begin(&mut self, framing: Framing) {
        (self.framing, self.mute, self.in_chunk) = (framing, false, false);
    }

    /// Begins a message that has no body, whatever comes as one.
    pub(crate) fn begin_mute(&mut self) {
        self.begin(Framing::None);
        self.mute = true;
    }

    /// Says how names of fields are to be written, in this message and those that follow; `None`: as they are.
    pub(crate) fn spell_names(&mut self, spelling: Option<&Arc<Spelling>>) {
        self.spelling = spelling.cloned();
    }

    /// Writes the names of encoded fields as the peer wants them.
    pub(crate) fn spell(&self, lines: &mut [u8]) {
        if let Some(spelling) = &self.spelling {
            spelling.apply(lines);
        }
    }

    pub(crate) fn is_mute(&self) -> bool {
        self.mute
    }

    /// Whether something must be said between pieces of the body, or behind it.
    pub(crate) fn adds_marks(&self) -> bool {
        self.framing == Framing::Chunked
    }

    /// Appends what must precede `payload` to `out`.
    fn open(&self, out: &mut Vec<u8>, payload: &[u8]) {
        if self.framing == Framing::Chunked && !payload.is_empty() {
            body::chunk_head(payload.len(), out);
        }
    }

    /// Appends what must follow `payload` to `out`.
    fn close(&self, out: &mut Vec<u8>, payload: &[u8], end: End, trailers: Option<&Head>) {
        if self.framing != Framing::Chunked {
            return;
        }
        if !payload.is_empty() {
            out.extend_from_slice(b"\r\n");
        }
        if end.is_done() {
            let start = out.len();
            body::last_chunk(trailers, out);
            self.spell(&mut out[start..]);
        }
    }

    /// Says that so many bytes of payload follow on another way.
    pub(crate) fn announce(
        &mut self,
        (transport, outbox): (&mut Transport, &mut Outbox),
        bytes: u64,
    ) -> io::Result<()> {
        if !self.adds_marks() {
            return Ok(());
        }
        let mut out = Vec::with_capacity(MARK_BYTES_MAX);
        self.end_chunk(&mut out);
        body::chunk_head(bytes as usize, &mut out);
        self.in_chunk = true;
        outbox.write_one(transport, &out)
    }

    /// What must follow the payload that was announced.
    fn end_chunk(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.in_chunk) {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Sends `payload` behind what `out` already holds (a head, or nothing).
    pub(crate) fn send(
        &mut self,
        (transport, outbox): (&mut Transport, &mut Outbox),
        out: &mut Vec<u8>,
        payload: &[u8],
        end: End,
        trailers: Option<&Head>,
    ) -> io::Result<()> {
        let payload = if self.mute { &[] } else { payload };
        self.end_chunk(out);
        if self.mute && out.is_empty() {
            return Ok(());
        }
        self.open(out, payload);
        if payload.len() <= COPY_BYTES_MAX {
            out.extend_from_slice(payload);
            self.close(out, payload, end, trailers);
            return outbox.write_one(transport, out);
        }
        let split = out.len();
        self.close(out, payload, end, trailers);
        outbox.write_parts(transport, [&out[..split], payload, &out[split..]])
    }
}
