//! Fields to blocks.
//!
//! The dynamic table holds only what is likely to come again on the same connection (RFC 7541 section 7.1.3 on what must
//! not): it is small, so that looking is cheap, and its peer's memory is spared too. Values that go into it are in
//! Huffman code, being sent once; all others are sent as they are, since saving bytes is not worth the time.

use std::collections::VecDeque;

use super::huffman;
use super::table::{STATIC, static_name};
use super::{ENTRY_OVERHEAD_BYTES, TABLE_BYTES_DEFAULT};

/// Most bytes of an encoder's table, as the RFC counts them.
pub const ENCODER_BYTES_MAX: usize = 1_024;

/// Longer values are not remembered.
const VALUE_BYTES_MAX: usize = 160;

/// The static names whose values tend to come again: `:authority`, `accept*`, `access-control-allow-origin`,
/// `cache-control`, `content-encoding`, `content-type`, `server`, `strict-transport-security`, `user-agent`, `vary`,
/// `via`.
const RECURRING: &[u8] = &[1, 16, 17, 18, 19, 20, 24, 26, 31, 54, 56, 58, 59, 60];

/// The static names whose values nobody on the way may remember: `authorization`, `cookie`, `proxy-authorization`,
/// `set-cookie`.
const SECRET: &[u8] = &[23, 32, 49, 55];

#[derive(Debug)]
struct Entry {
    /// Index in the static table.
    name: u8,
    value: Box<[u8]>,
}

impl Entry {
    fn size(&self) -> usize {
        STATIC[self.name as usize - 1].0.len() + self.value.len() + ENTRY_OVERHEAD_BYTES
    }
}

/// Encodes the blocks of one direction of a connection.
#[derive(Debug)]
pub struct Encoder {
    /// Newest first, as they are counted.
    entries: VecDeque<Entry>,
    size: usize,
    /// The size the peer's decoder believes in.
    announced: usize,
    /// To be told at the start of the next block.
    update_due: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            announced: TABLE_BYTES_DEFAULT,
            update_due: false,
        }
    }
}

impl Encoder {
    /// The peer allows a table of so many bytes. More than it first believed in is of no use to us.
    pub fn set_size_limit(&mut self, bytes: usize) {
        if bytes < self.announced {
            self.announced = bytes;
            self.update_due = true;
            self.evict(0);
        }
    }

    /// Begins a block.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.update_due) {
            integer(0x20, 5, self.announced, out);
        }
    }

    /// `:status`.
    pub fn status(&mut self, status: u16, out: &mut Vec<u8>) {
        let index = match status {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                let digit = |number: u16| b'0' + (number % 10) as u8;
                out.extend_from_slice(&[
                    0x08,
                    3,
                    digit(status / 100),
                    digit(status / 10),
                    digit(status),
                ]);
                return;
            }
        };
        out.push(0x80 | index);
    }

    /// Any field; its name must be in lower case.
    pub fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let Some(index) = static_name(name) else {
            out.push(0);
            plain(name, out);
            return plain(value, out);
        };
        if let Some(exact) = exact(index, value) {
            return integer(0x80, 7, exact, out);
        }
        if RECURRING.contains(&index) && value.len() <= VALUE_BYTES_MAX {
            return self.recurring(index, value, out);
        }
        let first = if SECRET.contains(&index) { 0x10 } else { 0 };
        integer(first, 4, usize::from(index), out);
        plain(value, out);
    }

    fn recurring(&mut self, name: u8, value: &[u8], out: &mut Vec<u8>) {
        let known = |entry: &Entry| entry.name == name && *entry.value == *value;
        if let Some(position) = self.entries.iter().position(known) {
            return integer(0x80, 7, STATIC.len() + 1 + position, out);
        }
        let entry = Entry {
            name,
            value: value.into(),
        };
        let size = entry.size();
        if size > self.size_max() {
            integer(0, 4, usize::from(name), out);
            return plain(value, out);
        }
        integer(0x40, 6, usize::from(name), out);
        let length = huffman::encoded_len(value);
        if length < value.len() {
            integer(0x80, 7, length, out);
            huffman::encode(value, out);
        } else {
            plain(value, out);
        }
        self.evict(size);
        self.size += size;
        self.entries.push_front(entry);
    }

    fn size_max(&self) -> usize {
        self.announced.min(ENCODER_BYTES_MAX)
    }

    fn evict(&mut self, size: usize) {
        while self.size + size > self.size_max() {
            let Some(oldest) = self.entries.pop_back() else {
                break;
            };
            self.size -= oldest.size();
        }
    }
}

/// The static entry that has this value too, of those whose name begins at `index`.
fn exact(index: u8, value: &[u8]) -> Option<usize> {
    let index = usize::from(index);
    let candidates = match index {
        2 | 4 | 6 => 2,
        8 => 7,
        16 => 1,
        _ => return None,
    };
    let found = STATIC[index - 1..][..candidates]
        .iter()
        .position(|(_, known)| known.as_bytes() == value)?;
    Some(index + found)
}

/// A string as it is.
fn plain(text: &[u8], out: &mut Vec<u8>) {
    integer(0, 7, text.len(), out);
    out.extend_from_slice(text);
}

/// A number whose first bits share a byte with `first` (RFC 7541 section 5.1).
fn integer(first: u8, prefix: u32, number: usize, out: &mut Vec<u8>) {
    let mask = (1_usize << prefix) - 1;
    if number < mask {
        return out.push(first | number as u8);
    }
    out.push(first | mask as u8);
    let mut left = number - mask;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::super::{Decoder, Sink};
    use super::*;

    #[derive(Default)]
    struct Fields(Vec<(Vec<u8>, Vec<u8>)>);

    impl Sink for Fields {
        fn field(&mut self, name: &[u8], value: &[u8]) {
            self.0.push((name.to_vec(), value.to_vec()));
        }
    }

    fn around(encoder: &mut Encoder, decoder: &mut Decoder, fields: &[(&str, &str)]) -> usize {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        for (name, value) in fields {
            encoder.field(name.as_bytes(), value.as_bytes(), &mut out);
        }
        let mut decoded = Fields::default();
        decoder.decode(&out, &mut decoded).unwrap();
        let expected: Vec<_> = fields
            .iter()
            .map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec()))
            .collect();
        assert_eq!(decoded.0, expected);
        out.len()
    }

    const REPLY: &[(&str, &str)] = &[
        (":status", "200"),
        ("server", "origin/1.0"),
        ("content-type", "text/html; charset=utf-8"),
        ("x-own", "1"),
        ("set-cookie", "a=b"),
        ("content-length", "1024"),
    ];

    #[test]
    fn what_comes_again_is_short_the_second_time() {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let first = around(&mut encoder, &mut decoder, REPLY);
        let second = around(&mut encoder, &mut decoder, REPLY);
        assert!(second + 20 < first, "{first} {second}");
        assert_eq!(around(&mut encoder, &mut decoder, REPLY), second);
    }

    #[test]
    fn secrets_are_never_indexed() {
        let mut out = Vec::new();
        Encoder::default().field(b"authorization", b"x", &mut out);
        assert_eq!(out, [0x1f, 23 - 15, 1, b'x']);
    }

    #[test]
    fn the_peers_limit_is_kept_and_told() {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        around(&mut encoder, &mut decoder, REPLY);
        for limit in [100, 0, 4_096] {
            encoder.set_size_limit(limit);
            decoder.set_size_limit(limit);
            for _ in 0..3 {
                around(&mut encoder, &mut decoder, REPLY);
                assert!(encoder.size <= limit);
            }
        }
    }

    #[test]
    fn many_values_stay_within_the_table() {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for round in 0..1_000 {
            let (server, kind) = (format!("s{}", round % 7), format!("t/{round}"));
            around(
                &mut encoder,
                &mut decoder,
                &[
                    ("server", &server),
                    ("content-type", &kind),
                    ("vary", &kind),
                ],
            );
            assert!(encoder.size <= ENCODER_BYTES_MAX);
        }
    }

    #[test]
    fn every_status_and_static_pair_comes_back() {
        for status in 100..=999 {
            let (mut out, mut fields) = (Vec::new(), Fields::default());
            Encoder::default().status(status, &mut out);
            Decoder::default().decode(&out, &mut fields).unwrap();
            assert_eq!(
                fields.0,
                [(b":status".to_vec(), status.to_string().into_bytes())]
            );
        }
        for (name, value) in STATIC {
            around(
                &mut Encoder::default(),
                &mut Decoder::default(),
                &[(name, value)],
            );
        }
    }
}
