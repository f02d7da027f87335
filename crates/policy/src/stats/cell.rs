//! One value in a row, with what a program may want to know about it.

use std::borrow::Cow;
use std::fmt;

use super::Column;
use crate::model::{BackendId, ServerId};

/// A value with its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    U32(u32),
    U64(u64),
    S32(i32),
    /// A fraction, in millionths.
    Millionths(u64),
    Text(Cow<'a, str>),
}

impl Value<'_> {
    /// The type, as typed lines and JSON name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::U32(_) => "u32",
            Self::U64(_) => "u64",
            Self::S32(_) => "s32",
            Self::Millionths(_) => "flt",
            Self::Text(_) => "str",
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U32(number) => number.fmt(f),
            Self::U64(number) => number.fmt(f),
            Self::S32(number) => number.fmt(f),
            Self::Millionths(number) => fraction(*number, f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// A number without the zeros that end its fraction.
fn fraction(millionths: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (whole, rest) = (millionths / 1_000_000, millionths % 1_000_000);
    if rest == 0 {
        return write!(f, "{whole}");
    }
    let digits = format!("{rest:06}");
    write!(f, "{whole}.{}", digits.trim_end_matches('0'))
}

/// Where a value comes from, how it moves, what it is about, and whether it survives: four letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags(&'static str);

impl Tags {
    pub const KEY_NAME: Self = Self("KNSV");
    pub const KEY: Self = Self("KGPV");
    pub const KEY_SERVICE: Self = Self("KGSV");
    pub const CONFIG: Self = Self("CGSV");
    pub const CONFIG_LIMIT: Self = Self("CLPV");
    pub const CONFIG_NAME: Self = Self("CNSV");
    pub const CONFIG_TEXT: Self = Self("COSV");
    pub const STATUS: Self = Self("SGPV");
    pub const PRODUCT: Self = Self("POSV");
    pub const GAUGE: Self = Self("MGPV");
    pub const MAXIMUM: Self = Self("MMPV");
    pub const AVERAGE: Self = Self("MaPV");
    pub const RATE: Self = Self("MRPV");
    pub const RATE_KEPT: Self = Self("MRPP");
    pub const COUNTER: Self = Self("MCPV");
    pub const COUNTER_KEPT: Self = Self("MCPP");
    pub const DURATION: Self = Self("MDPV");
    pub const AGE_KEPT: Self = Self("MAPP");
    pub const OUTPUT: Self = Self("MOPV");

    /// The four letters of typed lines.
    pub fn letters(self) -> &'static str {
        self.0
    }

    pub fn origin(self) -> &'static str {
        match self.letter(0) {
            b'K' => "Key",
            b'C' => "Config",
            b'S' => "Status",
            b'P' => "Product",
            _ => "Metric",
        }
    }

    pub fn nature(self) -> &'static str {
        match self.letter(1) {
            b'N' => "Name",
            b'L' => "Limit",
            b'O' => "Output",
            b'M' => "Max",
            b'a' => "Avg",
            b'R' => "Rate",
            b'C' => "Counter",
            b'D' => "Duration",
            b'A' => "Age",
            _ => "Gauge",
        }
    }

    pub fn scope(self) -> &'static str {
        if self.letter(2) == b'S' {
            "Service"
        } else {
            "Process"
        }
    }

    fn letter(self, index: usize) -> u8 {
        self.0.as_bytes()[index]
    }
}

/// A value in its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    pub column: Column,
    pub tags: Tags,
    pub value: Value<'a>,
}

/// What a row is about; the numbers are those of the column `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    Frontend = 0,
    Backend = 1,
    Server = 2,
}

impl RowKind {
    /// The letter that begins typed lines.
    pub fn letter(self) -> char {
        match self {
            Self::Frontend => 'F',
            Self::Backend => 'B',
            Self::Server => 'S',
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Frontend => "Frontend",
            Self::Backend => "Backend",
            Self::Server => "Server",
        }
    }

    /// The bit that selects such rows in `show stat PROXY BITS ID`.
    pub fn bit(self) -> i64 {
        1 << self as i64
    }
}

/// Everything known about one frontend, backend or server.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    pub kind: RowKind,
    /// The proxy's number.
    pub proxy: u32,
    /// The server's number; 0 for others.
    pub service: u32,
    /// The server that it is about.
    pub server: Option<(BackendId, ServerId)>,
    cells: Vec<Cell<'a>>,
}

impl<'a> Row<'a> {
    pub(super) fn new(kind: RowKind, proxy: u32, service: u32) -> Self {
        Self {
            kind,
            proxy,
            service,
            server: None,
            cells: Vec::with_capacity(Column::ALL.len()),
        }
    }

    /// The cells in the order of their columns; what is not known has none.
    pub fn cells(&self) -> &[Cell<'a>] {
        &self.cells
    }

    pub fn value(&self, column: Column) -> Option<&Value<'a>> {
        self.cells
            .iter()
            .find(|cell| cell.column == column)
            .map(|cell| &cell.value)
    }

    /// A number of this row; 0 when it has none there.
    pub fn number(&self, column: Column) -> u64 {
        match self.value(column) {
            Some(Value::U32(number)) => u64::from(*number),
            Some(Value::U64(number)) => *number,
            _ => 0,
        }
    }

    pub(super) fn text(&mut self, column: Column, tags: Tags, text: impl Into<Cow<'a, str>>) {
        self.put(column, tags, Value::Text(text.into()));
    }

    pub(super) fn number_u32(&mut self, column: Column, tags: Tags, number: u32) {
        self.put(column, tags, Value::U32(number));
    }

    pub(super) fn count(&mut self, column: Column, number: u64) {
        self.put(column, Tags::COUNTER_KEPT, Value::U64(number));
    }

    pub(super) fn put(&mut self, column: Column, tags: Tags, value: Value<'a>) {
        self.cells.push(Cell {
            column,
            tags,
            value,
        });
    }

    /// Brings the cells into the order of their columns.
    pub(super) fn sorted(mut self) -> Self {
        self.cells.sort_by_key(|cell| cell.column);
        self
    }
}
