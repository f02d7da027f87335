//! Blocks to fields.

use std::fmt;

use super::TABLE_BYTES_DEFAULT;
use super::huffman;
use super::table::Table;

/// Largest number a block may contain; no index or length comes near it.
const INTEGER_MAX: usize = 1 << 24;

/// Scratch memory beyond this is given back after each block.
const SCRATCH_KEEP_BYTES: usize = 256;

/// Why a block cannot be decoded. The connection's state is lost with it: `COMPRESSION_ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HpackError {
    /// The block ends within a field.
    Truncated,
    /// A number is larger than any table or block.
    IntegerTooLarge,
    /// No entry has this index.
    InvalidIndex,
    /// A string is not Huffman code, or badly padded.
    InvalidHuffman,
    /// A change of the table's size that exceeds what was allowed, comes late in a block, or is missing.
    InvalidSizeUpdate,
}

impl HpackError {
    /// A short stable name, for counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Truncated => "hpack_truncated",
            Self::IntegerTooLarge => "hpack_integer_too_large",
            Self::InvalidIndex => "hpack_invalid_index",
            Self::InvalidHuffman => "hpack_invalid_huffman",
            Self::InvalidSizeUpdate => "hpack_invalid_size_update",
        }
    }
}

impl fmt::Display for HpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "a header block ends within a field",
            Self::IntegerTooLarge => "a number in a header block is too large",
            Self::InvalidIndex => "a header block names an entry that does not exist",
            Self::InvalidHuffman => "a string in a header block is not Huffman code",
            Self::InvalidSizeUpdate => {
                "a header block resizes its table at the wrong place or size"
            }
        })
    }
}

impl std::error::Error for HpackError {}

/// What takes the fields of a block.
pub trait Sink {
    /// The next field.
    fn field(&mut self, name: &[u8], value: &[u8]);
}

/// Decodes the blocks of one direction of a connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// The largest table the peer may use.
    size_limit: usize,
    /// The limit went below what the peer was using: its next block must begin with an update.
    update_due: bool,
    /// Strings out of Huffman code.
    scratch: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            table: Table::new(TABLE_BYTES_DEFAULT),
            size_limit: TABLE_BYTES_DEFAULT,
            update_due: false,
            scratch: Vec::new(),
        }
    }
}

impl Decoder {
    /// The peer has acknowledged that this is the largest table it may use.
    pub fn set_size_limit(&mut self, bytes: usize) {
        self.size_limit = bytes;
        self.update_due = self.table.size_max() > bytes;
    }

    /// Decodes a whole block. However its fields look, the work is bounded by the block's length and the table's size.
    pub fn decode(&mut self, block: &[u8], sink: &mut impl Sink) -> Result<(), HpackError> {
        let mut reader = Reader { block };
        let mut begun = false;
        while let Some(&first) = reader.block.first() {
            if first & 0xe0 == 0x20 {
                self.resize(reader.integer(5)?, begun)?;
                continue;
            }
            begun = true;
            if self.update_due {
                return Err(HpackError::InvalidSizeUpdate);
            }
            if first & 0x80 != 0 {
                let index = reader.integer(7)?;
                let (name, value) = self.table.field(index).ok_or(HpackError::InvalidIndex)?;
                sink.field(name, value);
                continue;
            }
            let indexed = first & 0x40 != 0;
            self.literal(&mut reader, if indexed { 6 } else { 4 }, indexed, sink)?;
        }
        if self.scratch.capacity() > SCRATCH_KEEP_BYTES {
            self.scratch = Vec::new();
        }
        Ok(())
    }

    /// Decodes a block only for what it does to the table.
    pub fn skip(&mut self, block: &[u8]) -> Result<(), HpackError> {
        struct Nowhere;
        impl Sink for Nowhere {
            fn field(&mut self, _: &[u8], _: &[u8]) {}
        }
        self.decode(block, &mut Nowhere)
    }

    fn resize(&mut self, size: usize, begun: bool) -> Result<(), HpackError> {
        if begun || size > self.size_limit {
            return Err(HpackError::InvalidSizeUpdate);
        }
        self.update_due = false;
        self.table.resize(size);
        Ok(())
    }

    fn literal(
        &mut self,
        reader: &mut Reader<'_>,
        prefix: u32,
        indexed: bool,
        sink: &mut impl Sink,
    ) -> Result<(), HpackError> {
        self.scratch.clear();
        let index = reader.integer(prefix)?;
        let mut name = None;
        if index == 0 {
            name = reader.string(&mut self.scratch)?;
        } else {
            let (known, _) = self.table.field(index).ok_or(HpackError::InvalidIndex)?;
            // The table may move when the field is added to it.
            self.scratch.extend_from_slice(known);
        }
        let split = self.scratch.len();
        let value = reader.string(&mut self.scratch)?;
        let (decoded_name, decoded_value) = self.scratch.split_at(split);
        let (name, value) = (name.unwrap_or(decoded_name), value.unwrap_or(decoded_value));
        sink.field(name, value);
        if indexed {
            self.table.add(name, value);
        }
        Ok(())
    }
}

struct Reader<'a> {
    block: &'a [u8],
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, HpackError> {
        let (&byte, rest) = self.block.split_first().ok_or(HpackError::Truncated)?;
        self.block = rest;
        Ok(byte)
    }

    /// A number whose first bits are the last `prefix` ones of the next byte (RFC 7541 section 5.1).
    fn integer(&mut self, prefix: u32) -> Result<usize, HpackError> {
        let mask = (1_usize << prefix) - 1;
        let mut number = usize::from(self.byte()?) & mask;
        if number < mask {
            return Ok(number);
        }
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            number += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if number > INTEGER_MAX || shift > 28 {
                return Err(HpackError::IntegerTooLarge);
            }
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
    }

    /// A string: where it lies in the block, or `None` when it was Huffman code and has been appended to `scratch`.
    fn string(&mut self, scratch: &mut Vec<u8>) -> Result<Option<&'a [u8]>, HpackError> {
        let coded = self.block.first().is_some_and(|byte| byte & 0x80 != 0);
        let length = self.integer(7)?;
        let (text, rest) = self
            .block
            .split_at_checked(length)
            .ok_or(HpackError::Truncated)?;
        self.block = rest;
        if !coded {
            return Ok(Some(text));
        }
        huffman::decode(text, scratch, usize::MAX).ok_or(HpackError::InvalidHuffman)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Fields(Vec<(String, String)>);

    impl Sink for Fields {
        fn field(&mut self, name: &[u8], value: &[u8]) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            self.0.push((text(name), text(value)));
        }
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect()
    }

    fn decode(decoder: &mut Decoder, hex: &str) -> Vec<(String, String)> {
        let mut fields = Fields::default();
        decoder.decode(&bytes(hex), &mut fields).unwrap();
        fields.0
    }

    /// RFC 7541 appendix C.3 and C.4: three requests on one connection, plain and in Huffman code.
    #[test]
    fn the_rfcs_requests() {
        for blocks in [
            [
                "828684410f7777772e6578616d706c652e636f6d",
                "828684be58086e6f2d6361636865",
                "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
            ],
            [
                "828684418cf1e3c2e5f23a6ba0ab90f4ff",
                "828684be5886a8eb10649cbf",
                "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
            ],
        ] {
            let mut decoder = Decoder::default();
            let first = decode(&mut decoder, blocks[0]);
            assert_eq!(first[3], (":authority".into(), "www.example.com".into()));
            let second = decode(&mut decoder, blocks[1]);
            assert_eq!(
                second[3..],
                [
                    (":authority".to_owned(), "www.example.com".to_owned()),
                    ("cache-control".to_owned(), "no-cache".to_owned()),
                ]
            );
            let third = decode(&mut decoder, blocks[2]);
            assert_eq!(third[2], (":path".into(), "/index.html".into()));
            assert_eq!(third[4], ("custom-key".into(), "custom-value".into()));
        }
    }

    #[test]
    fn faults_are_told_apart() {
        for (hex, error) in [
            ("80", HpackError::InvalidIndex), // RFC 7541 section 6.1: index 0
            ("be", HpackError::InvalidIndex), // the dynamic table is empty
            ("c6", HpackError::InvalidIndex),
            ("7f00", HpackError::InvalidIndex), // literal whose name is not there
            ("40", HpackError::Truncated),
            ("400a6375", HpackError::Truncated),
            ("ff", HpackError::Truncated),
            ("ffffffffffff0f", HpackError::IntegerTooLarge),
            ("ff8080808000", HpackError::IntegerTooLarge), // zeros without end
            ("008100", HpackError::InvalidHuffman),        // padded with zeros
            ("00016185ffffffffff", HpackError::InvalidHuffman),
            ("3fe21f", HpackError::InvalidSizeUpdate), // 4097
            ("8220", HpackError::InvalidSizeUpdate),   // behind a field
        ] {
            let mut decoder = Decoder::default();
            assert_eq!(decoder.skip(&bytes(hex)), Err(error), "{hex}");
        }
    }

    #[test]
    fn a_lowered_limit_must_be_followed_by_an_update() {
        let mut decoder = Decoder::default();
        decoder.set_size_limit(100);
        assert_eq!(decoder.skip(&[0x82]), Err(HpackError::InvalidSizeUpdate));
        assert_eq!(decoder.skip(&bytes("3f4582")), Ok(())); // 100
        assert_eq!(decoder.skip(&[0x82]), Ok(()));
        // Several updates at the start are fine.
        assert_eq!(decoder.skip(&bytes("203f4582")), Ok(()));
    }
}
