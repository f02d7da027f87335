//! What a configuration says about a table, and where that puts each value in an entry.

use super::data::{self, Data, Kind};

/// The key that a table keeps (manual, section 11.1, `type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    Ipv4,
    Ipv6,
    /// Unsigned, of 32 bits.
    Integer,
    /// Text of up to `length` bytes; what follows is cut off.
    Text {
        length: u32,
    },
    /// Exactly `length` bytes, cut off or filled with zeros.
    Binary {
        length: u32,
    },
}

/// Length of texts and binary keys without `len`.
pub const KEY_LENGTH_DEFAULT: u32 = 32;

/// Longest key: a buffer's worth.
pub const KEY_LENGTH_MAX: u32 = 16_384;

/// Entries of the largest table.
pub const SIZE_MAX: u32 = 1 << 30;

impl KeyType {
    /// The word for it in HAProxy's answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ip",
            Self::Ipv6 => "ipv6",
            Self::Integer => "integer",
            Self::Text { .. } => "string",
            Self::Binary { .. } => "binary",
        }
    }

    /// Bytes of the longest key.
    pub fn length(self) -> usize {
        match self {
            Self::Ipv4 | Self::Integer => 4,
            Self::Ipv6 => 16,
            Self::Text { length } | Self::Binary { length } => length as usize,
        }
    }
}

/// One kind of data that a table keeps with each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataSpec {
    pub data: Data,
    /// Elements of an array; 1 for all others.
    pub elements: u32,
    /// The period of a rate; 0 for all others.
    pub period_ms: u32,
}

/// What a server is called in `server_key` (`srvkey`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerKey {
    #[default]
    Name,
    Address,
}

/// A `stick-table` line, or a `table` line of a `peers` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSpec {
    /// The proxy's name, or `PEERS/NAME`.
    pub name: String,
    pub key: KeyType,
    /// Most entries.
    pub size: u32,
    /// An entry that nobody touches for so long is gone; 0: it stays until its place is needed.
    pub expire_ms: u32,
    /// In order of [`Data`].
    pub data: Vec<DataSpec>,
    /// A full table takes no more keys, instead of dropping the oldest.
    pub nopurge: bool,
    /// The table only mirrors that of a peer (`recv-only`).
    pub receive_only: bool,
    pub server_key: ServerKey,
    /// Bytes per unit in rates of bytes.
    pub byte_rate_factor: u32,
    /// The `peers` section that it is shared with.
    pub peers: Option<String>,
    /// The table that takes over what peers send to this one, by its name.
    pub write_to: Option<String>,
}

impl TableSpec {
    /// A table of `size` keys that keeps nothing with them.
    pub fn new(name: impl Into<String>, key: KeyType, size: u32) -> Self {
        Self {
            name: name.into(),
            key,
            size,
            expire_ms: 0,
            data: Vec::new(),
            nopurge: false,
            receive_only: false,
            server_key: ServerKey::Name,
            byte_rate_factor: 1,
            peers: None,
            write_to: None,
        }
    }

    /// What is kept about `data`, if it is kept.
    pub fn stored(&self, data: Data) -> Option<&DataSpec> {
        self.data.iter().find(|spec| spec.data == data)
    }

    /// Keeps `data` too; not twice.
    pub fn store(&mut self, spec: DataSpec) {
        if let Err(place) = self
            .data
            .binary_search_by_key(&spec.data, |known| known.data)
        {
            self.data.insert(place, spec);
        }
    }

    /// Whether entries of `other` mean the same here, so that a reload may go on with them.
    pub fn is_compatible(&self, other: &Self) -> bool {
        (self.key, &self.data, self.server_key, self.byte_rate_factor)
            == (
                other.key,
                &other.data,
                other.server_key,
                other.byte_rate_factor,
            )
    }
}

/// Where one kind of data stands in an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) kind: Kind,
    /// Its first word, counted from the first word of data.
    pub(super) start: u16,
    pub(super) elements: u16,
    pub(super) period_ms: u32,
    /// Events per unit of a rate of bytes.
    pub(super) factor: u32,
}

/// Where everything stands in an entry.
#[derive(Debug)]
pub(super) struct Layout {
    columns: [Option<Column>; data::COUNT],
    pub(super) key_words: usize,
    pub(super) data_words: usize,
}

impl Layout {
    pub(super) fn new(spec: &TableSpec) -> Self {
        let mut columns = [None; data::COUNT];
        let mut data_words = 0;
        for stored in &spec.data {
            let description = stored.data.description();
            let elements = stored.elements.clamp(1, data::ARRAY_MAX);
            columns[stored.data as usize] = Some(Column {
                kind: description.kind,
                start: data_words as u16,
                elements: elements as u16,
                period_ms: stored.period_ms.max(1),
                factor: if stored.data.is_byte_rate() {
                    spec.byte_rate_factor.max(1)
                } else {
                    1
                },
            });
            data_words += elements as usize * description.kind.words();
        }
        Self {
            columns,
            key_words: spec.key.length().div_ceil(4),
            data_words,
        }
    }

    pub(super) fn column(&self, data: Data) -> Option<&Column> {
        self.columns[data as usize].as_ref()
    }
}
