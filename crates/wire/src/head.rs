//! A message head that no longer remembers which protocol it came from.
//!
//! Parsers append to it, rules edit it, encoders read it. It owns one byte arena and one list of fields, both
//! kept between uses, so that a recycled head costs no allocation:
//!
//! ```text
//! arena   GET /path HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n  | values added or replaced later
//! fields        [name span, value span] ...
//! ```

use std::borrow::Cow;
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
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// As indices into the arena.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Whether it spans nothing.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// One header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// In lower case, as HTTP/2 demands and HAProxy writes.
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

impl FieldKind {
    /// The kind of the field called `name`, which must be in lower case.
    pub fn of(name: &[u8]) -> Self {
        match name.len() {
            2 if name == b"te" => Self::Te,
            4 if name == b"host" => Self::Host,
            6 if name == b"expect" => Self::Expect,
            7 if name == b"upgrade" => Self::Upgrade,
            7 if name == b"trailer" => Self::Trailer,
            10 if name == b"connection" => Self::Connection,
            10 if name == b"keep-alive" => Self::KeepAlive,
            14 if name == b"content-length" => Self::ContentLength,
            16 if name == b"proxy-connection" => Self::ProxyConnection,
            17 if name == b"transfer-encoding" => Self::TransferEncoding,
            _ => Self::Other,
        }
    }
}

/// A field that is added to many heads, prepared once: its line as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldLine {
    /// `name: value\r\n`, or `name: ` where the value comes later.
    text: Vec<u8>,
    name_bytes: usize,
    kind: FieldKind,
}

impl FieldLine {
    /// A field whose value is always the same; its name is put in lower case, and CR, LF and NUL in its value become
    /// spaces.
    pub fn new(name: &[u8], value: &[u8]) -> Self {
        let mut line = Self::named(name);
        let start = line.text.len();
        line.text.extend_from_slice(value);
        clean(&mut line.text[start..]);
        line.text.extend_from_slice(b"\r\n");
        line
    }

    /// A field whose value is known only when it is added.
    pub fn named(name: &[u8]) -> Self {
        let name = name.to_ascii_lowercase();
        Self {
            kind: FieldKind::of(&name),
            name_bytes: name.len(),
            text: [&name, &b": "[..]].concat(),
        }
    }

    fn name(&self) -> &[u8] {
        &self.text[..self.name_bytes]
    }
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

impl Version {
    /// As first lines have it; nothing in HTTP/0.9, whose lines have none.
    pub fn name(self) -> &'static str {
        match self {
            Self::H09 => "",
            Self::H10 => "HTTP/1.0",
            Self::H11 => "HTTP/1.1",
            Self::H2 => "HTTP/2.0",
            Self::H3 => "HTTP/3.0",
        }
    }
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
    /// How large edits may make the arena, where that is less than [`ARENA_BYTES_MAX`]; 0: it is not.
    pub arena_max: u32,
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
    /// What HTTP/2 says of a target beside its path; empty where it did not say both.
    pub scheme: Slice,
    pub authority: Slice,
    // -- response
    /// 0 in a request.
    pub status: u16,
    pub reason: Slice,
}

impl Head {
    /// Forgets the message, keeps the memory.
    pub fn clear(&mut self) {
        let (mut arena, mut fields) = (
            std::mem::take(&mut self.arena),
            std::mem::take(&mut self.fields),
        );
        arena.clear();
        fields.clear();
        *self = Self {
            arena,
            fields,
            ..Self::default()
        };
    }

    /// The target as HAProxy sees it, who puts what HTTP/2 says in parts into one: `https://host/path`.
    pub fn whole_target(&self) -> Cow<'_, [u8]> {
        let target = self.bytes(self.target);
        if self.scheme.is_empty() || target.first() != Some(&b'/') {
            return Cow::Borrowed(target);
        }
        let (scheme, authority) = (self.bytes(self.scheme), self.bytes(self.authority));
        Cow::Owned([scheme, b"://", authority, target].concat())
    }

    /// What a slice of this head's arena spans.
    pub fn bytes(&self, slice: Slice) -> &[u8] {
        &self.arena[slice.range()]
    }

    /// The request's method; empty in a response.
    pub fn method(&self) -> &[u8] {
        self.bytes(self.method)
    }

    /// The request's target, in the form it was received; empty in a response.
    pub fn target(&self) -> &[u8] {
        self.bytes(self.target)
    }

    /// The response's reason phrase; often empty.
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

    /// As [`Head::fields`], to be walked from either end.
    pub fn fields_both_ways(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
        self.fields
            .iter()
            .filter(|field| field.kind != FieldKind::Removed)
            .map(|field| (self.bytes(field.name), self.bytes(field.value)))
    }

    /// The values of all fields called `name` (compared without regard to case), in order.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.fields()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The value of the first field called `name`, compared without regard to case.
    pub fn value<'a>(&'a self, name: &'a [u8]) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// The value of the first field of this kind: quicker than by name.
    pub fn find(&self, kind: FieldKind) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| field.kind == kind)?;
        Some(self.bytes(field.value))
    }

    /// Whether an edit of this many bytes still fits ([`ARENA_BYTES_MAX`], [`Head::arena_max`]).
    pub fn has_room(&self, bytes: usize) -> bool {
        let max = match self.arena_max {
            0 => ARENA_BYTES_MAX,
            max => ARENA_BYTES_MAX.min(max as usize),
        };
        self.arena.len().saturating_add(bytes) <= max
    }

    /// Appends a field, its name in lower case; CR, LF and NUL in the value become spaces (RFC 9110 section 5.5).
    ///
    /// Returns `false`, and changes nothing, when the arena is full.
    pub fn add(&mut self, name: &[u8], value: &[u8]) -> bool {
        if !self.has_room(name.len() + value.len() + 4) {
            return false;
        }
        // Laid out as in `FieldLine`.
        let arena = &mut self.arena;
        arena.reserve(name.len() + value.len() + 4);
        let start = arena.len();
        arena.extend_from_slice(name);
        arena[start..].make_ascii_lowercase();
        let kind = FieldKind::of(&arena[start..]);
        let name = Slice::new(start, arena.len());
        arena.extend_from_slice(b": ");
        let start = arena.len();
        arena.extend_from_slice(value);
        clean(&mut arena[start..]);
        let value = Slice::new(start, arena.len());
        arena.extend_from_slice(b"\r\n");
        self.fields.push(Field { name, value, kind });
        true
    }

    /// Appends a field whose value stands in its line. See [`Head::add`].
    pub fn add_line(&mut self, line: &FieldLine) -> bool {
        if !self.has_room(line.text.len()) {
            return false;
        }
        // Laid out as on the wire, so that an encoder may copy it together with its neighbours.
        let start = self.arena.len();
        self.arena.extend_from_slice(&line.text);
        let name = Slice::new(start, start + line.name_bytes);
        let value = Slice::new(name.end as usize + 2, self.arena.len() - 2);
        let kind = line.kind;
        self.fields.push(Field { name, value, kind });
        true
    }

    /// Appends a field with a value of its own. See [`Head::add`].
    pub fn add_value(&mut self, line: &FieldLine, value: &[u8]) -> bool {
        let bytes = line.text.len() + value.len() + 2;
        if !self.has_room(bytes) {
            return false;
        }
        let arena = &mut self.arena;
        arena.reserve(bytes);
        let start = arena.len();
        arena.extend_from_slice(&line.text);
        let name = Slice::new(start, start + line.name_bytes);
        let start = arena.len();
        arena.extend_from_slice(value);
        clean(&mut arena[start..]);
        let value = Slice::new(start, arena.len());
        arena.extend_from_slice(b"\r\n");
        let kind = line.kind;
        self.fields.push(Field { name, value, kind });
        true
    }

    /// Replaces all fields of this name, as [`Head::set_last`] does.
    pub fn replace_by_line(&mut self, line: &FieldLine) -> bool {
        let fits = self.has_room(line.text.len());
        if fits {
            self.remove_named(line);
        }
        fits && self.add_line(line)
    }

    /// Replaces all fields of this name by one with a value of its own.
    pub fn replace_by_value(&mut self, line: &FieldLine, value: &[u8]) -> bool {
        let fits = self.has_room(line.text.len() + value.len() + 2);
        if fits {
            self.remove_named(line);
        }
        fits && self.add_value(line, value)
    }

    /// Removes every field of this name.
    pub fn remove_named(&mut self, line: &FieldLine) {
        let Self { arena, fields, .. } = self;
        // Names of fields are in lower case, as that of the line is.
        for field in fields {
            if field.name.range().len() == line.name_bytes
                && arena[field.name.range()] == *line.name()
            {
                field.kind = FieldKind::Removed;
            }
        }
    }

    /// Replaces all fields called `name` by one, in the place of the first, or appends it.
    ///
    /// Returns `false`, and changes nothing, when the arena is full.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        let mut fields = self.fields.iter();
        let Some(first) = fields.position(|field| self.is_called(field, name)) else {
            return self.add(name, value);
        };
        if !self.has_room(value.len()) {
            return false;
        }
        for index in first + 1..self.fields.len() {
            if self.is_called(&self.fields[index], name) {
                self.fields[index].kind = FieldKind::Removed;
            }
        }
        self.fields[first].value = self.push_value(value);
        true
    }

    /// Replaces all fields called `name` by one behind all others.
    ///
    /// Returns `false`, and changes nothing, when the arena is full.
    pub fn set_last(&mut self, name: &[u8], value: &[u8]) -> bool {
        if !self.has_room(name.len() + value.len() + 4) {
            return false;
        }
        self.remove(name);
        self.add(name, value)
    }

    /// Removes every field called `name`.
    pub fn remove(&mut self, name: &[u8]) {
        for index in 0..self.fields.len() {
            if self.is_called(&self.fields[index], name) {
                self.fields[index].kind = FieldKind::Removed;
            }
        }
    }

    /// Removes every field whose name `test` accepts.
    pub fn remove_where(&mut self, test: impl Fn(&[u8]) -> bool) {
        for index in 0..self.fields.len() {
            if test(self.bytes(self.fields[index].name)) {
                self.fields[index].kind = FieldKind::Removed;
            }
        }
    }

    /// Says that a body of so many bytes follows.
    pub fn set_length(&mut self, bytes: u64) {
        self.remove_kind(FieldKind::TransferEncoding);
        self.set(b"content-length", bytes.to_string().as_bytes());
        self.framing = Framing::Length(bytes);
    }

    /// Whether this is a response that has no body, whatever its fields say (RFC 9110 section 6.4.1). What follows a 101
    /// is no body either, but belongs to another protocol.
    pub fn is_bodiless(&self) -> bool {
        matches!(self.status, 100 | 102..=199 | 204 | 304)
    }

    /// Takes back what promises a body, where a status without one was put in place of another. What a 304 says of a
    /// length is that of the response it stands for (RFC 9110 section 8.6).
    pub fn settle_framing(&mut self) {
        if !self.is_bodiless() || matches!(self.framing, Framing::None | Framing::Length(0)) {
            return;
        }
        self.framing = Framing::None;
        self.remove_kind(FieldKind::TransferEncoding);
        if self.status != 304 {
            self.remove_kind(FieldKind::ContentLength);
        }
    }

    /// Removes every field of this kind.
    pub fn remove_kind(&mut self, kind: FieldKind) {
        for field in &mut self.fields {
            if field.kind == kind {
                field.kind = FieldKind::Removed;
            }
        }
    }

    /// Copies bytes into the arena.
    pub fn push(&mut self, bytes: &[u8]) -> Slice {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        Slice::new(start, self.arena.len())
    }

    /// Copies a field value into the arena, without the bytes that could end it on the wire.
    pub fn push_value(&mut self, value: &[u8]) -> Slice {
        let slice = self.push(value);
        clean(&mut self.arena[slice.range()]);
        slice
    }

    /// Whether a field that has not been removed is called `name`, in whatever case.
    fn is_called(&self, field: &Field, name: &[u8]) -> bool {
        let length = (field.name.end - field.name.start) as usize;
        field.kind != FieldKind::Removed
            && length == name.len()
            && self.bytes(field.name).eq_ignore_ascii_case(name)
    }
}

/// Puts spaces in place of the bytes that could end a value on the wire.
fn clean(value: &mut [u8]) {
    // Hardly any value has one: eight bytes are looked at together. The highest bit says which of them are below 14.
    let suspects = |bytes: [u8; 8]| {
        let word = u64::from_ne_bytes(bytes);
        word.wrapping_sub(0x0e0e_0e0e_0e0e_0e0e) & !word & 0x8080_8080_8080_8080
    };
    let (words, rest) = value.as_chunks::<8>();
    let suspicious =
        words.iter().any(|word| suspects(*word) != 0) || rest.iter().any(|byte| *byte < 14);
    if suspicious {
        for byte in value {
            if matches!(*byte, b'\r' | b'\n' | 0) {
                *byte = b' ';
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(head: &Head) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        head.fields()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    #[test]
    fn fields_are_added_replaced_and_removed() {
        let mut head = Head::default();
        assert!(head.add(b"X-One", b"1") && head.add(b"Host", b"a") && head.add(b"x-one", b"2"));
        assert_eq!(head.find(FieldKind::Host), Some(&b"a"[..]));
        assert!(head.set(b"X-ONE", b"3") && head.set(b"New", b"4"));
        let expected = [("x-one", "3"), ("host", "a"), ("new", "4")];
        assert_eq!(
            texts(&head),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        head.remove(b"x-One");
        head.remove_kind(FieldKind::Host);
        assert_eq!(head.value(b"New"), Some(&b"4"[..]));
        assert_eq!(
            (
                head.value(b"x-one"),
                head.find(FieldKind::Host),
                texts(&head).len()
            ),
            (None, None, 1)
        );
        head.clear();
        assert!(head.arena.is_empty() && head.fields.is_empty());
    }

    #[test]
    fn prepared_fields_are_as_others() {
        type Edit = fn(&mut Head, &[u8], &[u8]);
        let edits: [Edit; 2] = [
            |head, name, value| {
                assert!(
                    head.add(name, value) && head.set_last(name, value) && head.add(b"b", value)
                );
                head.remove(name);
                assert!(head.set_last(name, value));
            },
            |head, name, value| {
                let (line, named) = (FieldLine::new(name, value), FieldLine::named(name));
                assert!(head.add_line(&line) && head.replace_by_value(&named, value));
                assert!(head.add_value(&FieldLine::named(b"B"), value));
                head.remove_named(&named);
                assert!(head.replace_by_line(&line));
            },
        ];
        for (name, value) in [("X-A", "1"), ("Host", ""), ("x", "a\r\nb"), ("", "v")] {
            let heads = edits.map(|edit| {
                let mut head = Head::default();
                head.add(b"host", b"h");
                edit(&mut head, name.as_bytes(), value.as_bytes());
                head
            });
            assert_eq!(texts(&heads[0]), texts(&heads[1]));
            assert_eq!(heads[0].arena, heads[1].arena);
            assert_eq!(heads[0].fields, heads[1].fields);
        }
    }

    #[test]
    fn a_full_head_takes_no_prepared_field() {
        let mut head = Head {
            arena_max: 10,
            ..Head::default()
        };
        let (line, named) = (FieldLine::new(b"a", b"123456"), FieldLine::named(b"a"));
        assert!(head.add(b"a", b"1"));
        assert!(!head.add_line(&line) && !head.replace_by_line(&line));
        assert!(!head.add_value(&named, b"1") && !head.replace_by_value(&named, b"1"));
        assert_eq!(head.value(b"a"), Some(&b"1"[..]));
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let mut head = Head::default();
        head.add(b"a", b"b\r\nSet-Cookie: evil\0");
        head.set(b"a", b"\n\r\n");
        head.add(b"c", b"\r\n\r\nbody");
        assert!(
            head.fields()
                .all(|(_, value)| !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)))
        );
    }

    #[test]
    fn every_byte_of_a_value_is_looked_at() {
        for length in 1..40 {
            for place in 0..length {
                for byte in [0, b'\r', b'\n', b'\t', 14, 0x80, 0xff] {
                    let mut value = vec![b'x'; length];
                    value[place] = byte;
                    let mut head = Head::default();
                    head.add(b"a", &value);
                    let expected = if matches!(byte, 0 | b'\r' | b'\n') {
                        b' '
                    } else {
                        byte
                    };
                    value[place] = expected;
                    assert_eq!(
                        head.value(b"a"),
                        Some(&value[..]),
                        "{length} {place} {byte}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_full_arena_refuses_edits() {
        let mut head = Head::default();
        let half = vec![b'x'; ARENA_BYTES_MAX / 2];
        assert!(head.add(b"a", &half));
        assert!(!head.add(b"b", &half) && !head.set(b"c", &half) && !head.set(b"a", &half));
        assert_eq!(head.value(b"a"), Some(&half[..]));
        assert_eq!(texts(&head).len(), 1);
        assert!(head.arena.len() <= ARENA_BYTES_MAX);
    }

    #[test]
    fn kinds_are_told_by_lower_case_names() {
        for (name, kind) in [
            ("te", FieldKind::Te),
            ("host", FieldKind::Host),
            ("expect", FieldKind::Expect),
            ("upgrade", FieldKind::Upgrade),
            ("trailer", FieldKind::Trailer),
            ("connection", FieldKind::Connection),
            ("keep-alive", FieldKind::KeepAlive),
            ("content-length", FieldKind::ContentLength),
            ("proxy-connection", FieldKind::ProxyConnection),
            ("transfer-encoding", FieldKind::TransferEncoding),
            ("hosts", FieldKind::Other),
            ("", FieldKind::Other),
        ] {
            assert_eq!(FieldKind::of(name.as_bytes()), kind, "{name}");
        }
    }
}
