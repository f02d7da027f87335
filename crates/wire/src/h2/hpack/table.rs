//! The static table (RFC 7541 appendix A) and a decoder's dynamic one.

use std::collections::VecDeque;

use super::ENTRY_OVERHEAD_BYTES;

/// The static table; its first entry has index 1.
#[rustfmt::skip]
pub(super) static STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""),
    ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""),
    ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""),
    ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""),
    ("www-authenticate", ""),
];

/// The index of the first entry of the static table with this name.
#[rustfmt::skip]
pub(super) fn static_name(name: &[u8]) -> Option<u8> {
    Some(match name {
        b":authority" => 1, b":method" => 2, b":path" => 4, b":scheme" => 6, b":status" => 8,
        b"accept-charset" => 15, b"accept-encoding" => 16, b"accept-language" => 17, b"accept-ranges" => 18,
        b"accept" => 19, b"access-control-allow-origin" => 20, b"age" => 21, b"allow" => 22, b"authorization" => 23,
        b"cache-control" => 24, b"content-disposition" => 25, b"content-encoding" => 26, b"content-language" => 27,
        b"content-length" => 28, b"content-location" => 29, b"content-range" => 30, b"content-type" => 31,
        b"cookie" => 32, b"date" => 33, b"etag" => 34, b"expect" => 35, b"expires" => 36, b"from" => 37, b"host" => 38,
        b"if-match" => 39, b"if-modified-since" => 40, b"if-none-match" => 41, b"if-range" => 42,
        b"if-unmodified-since" => 43, b"last-modified" => 44, b"link" => 45, b"location" => 46, b"max-forwards" => 47,
        b"proxy-authenticate" => 48, b"proxy-authorization" => 49, b"range" => 50, b"referer" => 51, b"refresh" => 52,
        b"retry-after" => 53, b"server" => 54, b"set-cookie" => 55, b"strict-transport-security" => 56,
        b"transfer-encoding" => 57, b"user-agent" => 58, b"vary" => 59, b"via" => 60, b"www-authenticate" => 61,
        _ => return None,
    })
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where the name begins in `bytes`; the value follows it.
    start: u32,
    name: u32,
    value: u32,
}

impl Entry {
    fn bytes(self) -> usize {
        (self.name + self.value) as usize
    }
}

/// What a decoder remembers of earlier fields, newest last.
#[derive(Debug)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    /// Names and values, oldest first; those before `live` belong to entries that are gone.
    bytes: Vec<u8>,
    live: usize,
    /// As the RFC counts: with [`ENTRY_OVERHEAD_BYTES`] for each entry.
    size: usize,
    size_max: usize,
}

impl Table {
    pub(super) fn new(size_max: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: Vec::new(),
            live: 0,
            size: 0,
            size_max,
        }
    }

    pub(super) fn size_max(&self) -> usize {
        self.size_max
    }

    pub(super) fn resize(&mut self, size_max: usize) {
        self.size_max = size_max;
        self.evict(0);
    }

    /// The field with this index, counted over both tables.
    pub(super) fn field(&self, index: usize) -> Option<(&[u8], &[u8])> {
        if let Some((name, value)) = STATIC.get(index.checked_sub(1)?) {
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let newest = self.entries.len().checked_sub(1)?;
        let entry = self.entries[newest.checked_sub(index - STATIC.len() - 1)?];
        let (name, value) =
            self.bytes[entry.start as usize..][..entry.bytes()].split_at(entry.name as usize);
        Some((name, value))
    }

    /// Adds a field, in place of the oldest ones; one larger than the table empties it (RFC 7541 section 4.4).
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + ENTRY_OVERHEAD_BYTES;
        self.evict(size);
        if size > self.size_max {
            return;
        }
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.size += size;
        self.entries.push_back(Entry {
            start,
            name: name.len() as u32,
            value: value.len() as u32,
        });
    }

    /// Makes room for an entry of `size`.
    fn evict(&mut self, size: usize) {
        while self.size + size > self.size_max {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.size -= oldest.bytes() + ENTRY_OVERHEAD_BYTES;
            self.live += oldest.bytes();
        }
        // Moved only when half of it is waste, so each byte is moved once on average.
        if self.live > self.bytes.len() / 2 {
            self.bytes.drain(..self.live);
            for entry in &mut self.entries {
                entry.start -= self.live as u32;
            }
            self.live = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_the_first_entry_that_has_them() {
        for (index, (name, _)) in STATIC.iter().enumerate() {
            let first = STATIC.iter().position(|(known, _)| known == name).unwrap() + 1;
            assert_eq!(
                static_name(name.as_bytes()),
                Some(first as u8),
                "{name} {index}"
            );
        }
        assert_eq!(static_name(b"x-none"), None);
    }

    #[test]
    fn the_oldest_entries_make_room() {
        let mut table = Table::new(100);
        for name in [b"a", b"b", b"c", b"d"] {
            table.add(name, b"12345");
        }
        // 38 each: two fit.
        assert_eq!(table.field(62), Some((&b"d"[..], &b"12345"[..])));
        assert_eq!(table.field(63), Some((&b"c"[..], &b"12345"[..])));
        assert_eq!((table.field(64), table.field(0)), (None, None));
        table.add(b"large", &[b'x'; 100]);
        assert_eq!((table.field(62), table.size), (None, 0));
        table.add(b"a", b"");
        table.resize(32);
        assert_eq!((table.field(62), table.size), (None, 0));
    }

    #[test]
    fn memory_stays_within_twice_the_table() {
        let mut table = Table::new(4_096);
        for round in 0..10_000_usize {
            table.add(&vec![b'n'; round % 50], &vec![b'v'; round % 300]);
            assert!(table.bytes.len() <= 2 * 4_096 + 350 && table.size <= 4_096);
            let (name, value) = table.field(62).unwrap();
            assert_eq!((name.len(), value.len()), (round % 50, round % 300));
        }
    }
}
