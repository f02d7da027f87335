//! A message head that no longer remembers which protocol it came from.
//!
//! Parsers append to it, rules edit it, encoders read it. It owns one byte arena and one list of fields, both
//! kept between uses, so that a recycled head costs no allocation:
//!
//! ```text
//! arena   GET /path HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n  | values added or replaced later
//! fields        [name span, value span] ...
//! ```

use std::ops::Range;

/// Most bytes of one head's arena; an edit beyond it is refused and counted.
pub const ARENA_BYTES_MAX: usize = 1 << 20;

/// A range of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    pub start: u32,
    pub end: u32,
}

impl Slice {
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// One header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: Slice,
    /// Without surrounding white space.
    pub value: Slice,
    /// Fields that framing and connection handling look at are told apart once, while parsing.
    pub kind: FieldKind,
}

/// The fields that the proxy itself must understand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldKind {
    #[default]
    Other,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Expect,
    KeepAlive,
    ProxyConnection,
    Te,
    Trailer,
    /// Removed by a rule or by the relay; encoders skip it.
    Removed,
}

/// The version a peer spoke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    H09,
    H10,
    #[default]
    H11,
    H2,
    H3,
}

/// How the body that follows the head ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// This many bytes follow.
    Length(u64),
    /// Chunks follow (in H2: data until the end of the stream).
    Chunked,
    /// The body ends with the connection (responses only).
    UntilClose,
}

/// A request or response head. Which one follows from the fields that are set: a response has a status.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub arena: Vec<u8>,
    pub fields: Vec<Field>,
    pub version: Version,
    pub framing: Framing,
    /// The peer's connection may carry another message after this one.
    pub keep_alive: bool,
    /// The message asks for or grants a change of protocol (`Connection: upgrade` with `Upgrade`).
    pub upgrade: bool,
    /// `Expect: 100-continue`.
    pub expect_continue: bool,
    // -- request
    pub method: Slice,
    /// The target as received: origin, absolute, authority or asterisk form.
    pub target: Slice,
    // -- response
    /// 0 in a request.
    pub status: u16,
    pub reason: Slice,
}

impl Head {
    /// Forgets the message, keeps the memory.
    pub fn clear(&mut self) {
        let (mut arena, mut fields) = (std::mem::take(&mut self.arena), std::mem::take(&mut self.fields));
        arena.clear();
        fields.clear();
        *self = Self { arena, fields, ..Self::default() };
    }

    pub fn bytes(&self, slice: Slice) -> &[u8] {
        &self.arena[slice.range()]
    }

    pub fn method(&self) -> &[u8] {
        self.bytes(self.method)
    }

    pub fn target(&self) -> &[u8] {
        self.bytes(self.target)
    }

    pub fn reason(&self) -> &[u8] {
        self.bytes(self.reason)
    }

    /// The fields that have not been removed, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields
            .iter()
            .filter(|field| field.kind != FieldKind::Removed)
            .map(|field| (self.bytes(field.name), self.bytes(field.value)))
    }

    /// The values of all fields called `name` (compared without regard to case), in order.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.fields().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Appends a field.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let name = self.push(name);
        let value = self.push(value);
        self.fields.push(Field { name, value, kind: FieldKind::Other });
    }

    /// Removes every field called `name`.
    pub fn remove(&mut self, name: &[u8]) {
        for index in 0..self.fields.len() {
            if self.bytes(self.fields[index].name).eq_ignore_ascii_case(name) {
                self.fields[index].kind = FieldKind::Removed;
            }
        }
    }

    /// Copies bytes into the arena.
    pub fn push(&mut self, bytes: &[u8]) -> Slice {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        Slice { start, end: self.arena.len() as u32 }
    }
}
