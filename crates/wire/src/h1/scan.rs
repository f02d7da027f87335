//! The syntax of heads: lines, names, values. What fields mean is `framing`'s affair.
//!
//! The head is copied once into the arena and scanned there, so that names can be put into lower case in passing and
//! spans need no translation. A scan that runs out of bytes is simply repeated when more have come.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{HeadError, Limits, Parse};
use crate::head::{ARENA_BYTES_MAX, Field, FieldKind, Head, Slice};

/// Up to here input is copied without looking for the end of the head first.
const BLIND_COPY_BYTES_MAX: usize = 1_024;
/// Most bytes of blank lines skipped before a head (RFC 9112 section 2.2 asks for at least one line).
const BLANK_BYTES_MAX: usize = 64;

static HEAD_END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// Token bytes, with letters mapped to lower case; 0 for all others.
pub(super) static NAME: [u8; 256] = name_table();
/// Whether a byte may stand in a request target: visible ASCII except `#`, which starts a fragment.
static TARGET: [bool; 256] = target_table();

/// Whether a byte may be part of a field name that is in lower case.
pub(crate) fn is_lower_name_byte(byte: u8) -> bool {
    byte != 0 && NAME[byte as usize] == byte
}

/// Whether a byte may be part of a target.
pub(crate) fn is_target_byte(byte: u8) -> bool {
    TARGET[byte as usize]
}

const fn name_table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        let known = byte as u8;
        if known.is_ascii_alphanumeric() || is_token_mark(known) {
            table[byte] = known.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
}

const fn is_token_mark(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'^'
            | b'_'
            | b'`'
            | b'|'
            | b'~'
    )
}

const fn target_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = byte != b'#' as usize;
        byte += 1;
    }
    table
}

/// Why a scan stopped early: for want of bytes, or for good.
#[derive(Debug)]
pub(super) enum Stop<E> {
    OutOfBytes,
    Refused(E),
}

impl<E> From<E> for Stop<E> {
    fn from(error: E) -> Self {
        Self::Refused(error)
    }
}

/// Reads a whole head: copies it into the arena, has `start_line` read the first line, then reads the fields.
///
/// `start_line` returns whether fields follow; they do not in HTTP/0.9.
pub(super) fn head<E: From<HeadError>>(
    input: &[u8],
    head: &mut Head,
    limits: &Limits,
    start_line: impl FnOnce(&mut Scan<'_>, &mut Head) -> Result<bool, Stop<E>>,
) -> Result<Parse, E> {
    head.clear();
    let bytes_max = limits.bytes_max.min(ARENA_BYTES_MAX);
    let input = &input[..input.len().min(bytes_max)];
    let blank = blank_bytes(input, limits)?;
    let window = &input[blank..];
    let mut arena = std::mem::take(&mut head.arena);
    arena.extend_from_slice(until_end(window));
    let mut scan = Scan {
        bytes: &mut arena,
        at: 0,
        lenient: limits.lenient,
    };
    let outcome = match start_line(&mut scan, head) {
        Ok(true) => scan
            .fields(&mut head.fields, limits.fields_max)
            .map_err(|stop| match stop {
                Stop::OutOfBytes => Stop::OutOfBytes,
                Stop::Refused(error) => Stop::Refused(E::from(error)),
            }),
        Ok(false) => Ok(()),
        Err(stop) => Err(stop),
    };
    let end = scan.at;
    arena.truncate(end);
    head.arena = arena;
    match outcome {
        Ok(()) => Ok(Parse::Complete(blank + end)),
        Err(Stop::Refused(error)) => Err(error),
        Err(Stop::OutOfBytes) if input.len() < bytes_max => Ok(Parse::Partial),
        Err(Stop::OutOfBytes) if memchr::memchr(b'\n', window).is_none() => {
            Err(HeadError::StartLineTooLong.into())
        }
        Err(Stop::OutOfBytes) => Err(HeadError::TooLong.into()),
    }
}

/// Which byte of `input` was at fault, when a parser has just refused it and left `head` behind; where fields contradict
/// each other, the head's last one.
pub fn fault_position(input: &[u8], head: &Head) -> usize {
    let is_blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
    let blank = input.iter().take_while(is_blank).count();
    let behind = blank.saturating_add(head.arena.len());
    behind.min(input.len().saturating_sub(1))
}

/// The part of `window` worth copying: up to the end of the head where that lies further down.
fn until_end(window: &[u8]) -> &[u8] {
    if window.len() <= BLIND_COPY_BYTES_MAX {
        return window;
    }
    match HEAD_END.find(window) {
        Some(end) => &window[..end + 4],
        None => window,
    }
}

/// How many bytes of blank lines precede the head (RFC 9112 section 2.2).
fn blank_bytes(input: &[u8], limits: &Limits) -> Result<usize, HeadError> {
    let mut at = 0;
    loop {
        match &input[at..] {
            [b'\r', b'\n', ..] => at += 2,
            [b'\n', ..] if limits.lenient => at += 1,
            [b'\n', ..] => return Err(HeadError::BareLineFeed),
            [b'\r'] => return Ok(input.len()),
            [b'\r', ..] => return Err(HeadError::BareCarriageReturn),
            _ => return Ok(at),
        }
        if at > BLANK_BYTES_MAX {
            return Err(HeadError::TooManyBlankLines);
        }
    }
}

/// A cursor over the arena.
pub(super) struct Scan<'a> {
    pub(super) bytes: &'a mut [u8],
    pub(super) at: usize,
    pub(super) lenient: bool,
}

impl Scan<'_> {
    /// The byte under the cursor.
    pub(super) fn peek(&self) -> Result<u8, Stop<HeadError>> {
        self.bytes.get(self.at).copied().ok_or(Stop::OutOfBytes)
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Passes a run of token bytes, unchanged.
    pub(super) fn token(&mut self) -> Slice {
        let start = self.at;
        let rest = self.rest();
        self.at += rest
            .iter()
            .position(|&byte| NAME[byte as usize] == 0)
            .unwrap_or(rest.len());
        Slice::new(start, self.at)
    }

    /// Passes a run of bytes that may stand in a target; a lenient scan takes `#` and non-ASCII bytes too.
    pub(super) fn target(&mut self) -> Slice {
        let start = self.at;
        let lenient = self.lenient;
        let rest = self.rest();
        let allowed = |byte: u8| TARGET[byte as usize] || lenient && (byte == b'#' || byte >= 0x80);
        self.at += rest
            .iter()
            .position(|&byte| !allowed(byte))
            .unwrap_or(rest.len());
        Slice::new(start, self.at)
    }

    /// Passes spaces and tabs; says how many.
    pub(super) fn blanks(&mut self) -> usize {
        let rest = self.rest();
        let count = rest
            .iter()
            .position(|&byte| byte != b' ' && byte != b'\t')
            .unwrap_or(rest.len());
        self.at += count;
        count
    }

    /// Whether a line end lies under the cursor; passes it.
    pub(super) fn line_end(&mut self) -> Result<bool, Stop<HeadError>> {
        match self.rest() {
            [b'\r', b'\n', ..] => self.at += 2,
            [] | [b'\r'] => return Err(Stop::OutOfBytes),
            [b'\r', ..] => return Err(HeadError::BareCarriageReturn.into()),
            [b'\n', ..] if self.lenient => self.at += 1,
            [b'\n', ..] => return Err(HeadError::BareLineFeed.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Passes the fields and the empty line behind them.
    pub(super) fn fields(
        &mut self,
        fields: &mut Vec<Field>,
        fields_max: usize,
    ) -> Result<(), Stop<HeadError>> {
        while !self.line_end()? {
            if fields.len() >= fields_max {
                return Err(HeadError::TooManyFields.into());
            }
            if let Some(field) = self.field()? {
                fields.push(field);
            }
        }
        Ok(())
    }

    /// Passes one field line. `None`: a lenient scan has dropped it.
    fn field(&mut self) -> Result<Option<Field>, Stop<HeadError>> {
        let name = self.name();
        if self.peek()? != b':' || name.is_empty() {
            self.odd_name(name)?;
            self.value()?;
            return Ok(None);
        }
        self.at += 1;
        let value = self.value()?;
        if value.start == name.end + 2 {
            self.bytes[name.end as usize + 1] = b' '; // it may have been a tab
        }
        let kind = FieldKind::of(&self.bytes[name.range()]);
        Ok(Some(Field { name, value, kind }))
    }

    /// Passes a run of token bytes and puts them into lower case.
    fn name(&mut self) -> Slice {
        let start = self.at;
        // Most names are letters and dashes, which eight at a time are told by arithmetic.
        while let Some(eight) = self.bytes[self.at..].first_chunk_mut::<8>() {
            let (word, count) = lower_prefix(u64::from_le_bytes(*eight));
            *eight = word.to_le_bytes();
            self.at += count;
            if count < 8 {
                break;
            }
        }
        for byte in &mut self.bytes[self.at..] {
            let lower = NAME[*byte as usize];
            if lower == 0 {
                break;
            }
            *byte = lower;
            self.at += 1;
        }
        Slice::new(start, self.at)
    }

    /// Judges a name that is not followed by a colon, or is empty; a lenient scan passes what it could drop.
    #[cold]
    fn odd_name(&mut self, name: Slice) -> Result<(), Stop<HeadError>> {
        let error = match self.peek()? {
            b' ' | b'\t' if name.is_empty() => HeadError::FoldedLine,
            b' ' | b'\t' => HeadError::SpaceBeforeColon,
            b'\r' | b'\n' => return Err(HeadError::MissingColon.into()),
            b':' => return Err(HeadError::EmptyName.into()),
            0 => HeadError::NulByte,
            _ => HeadError::InvalidName,
        };
        let colon = memchr::memchr2(b':', b'\n', self.rest());
        if !self.lenient {
            return Err(error.into());
        }
        match colon {
            Some(offset) if self.rest()[offset] == b':' => self.at += offset + 1,
            Some(_) => return Err(HeadError::MissingColon.into()),
            None => return Err(Stop::OutOfBytes),
        }
        Ok(())
    }

    /// Passes a field value and its line end; the blanks around it are left out of the span.
    fn value(&mut self) -> Result<Slice, Stop<HeadError>> {
        match self.plain_value() {
            Some(value) => Ok(value),
            None => self.any_value(),
        }
    }

    /// Passes a value as nearly all are: one space, visible text that ends with its line, and no folding.
    fn plain_value(&mut self) -> Option<Slice> {
        let (b' ', text) = self.rest().split_first()? else {
            return None;
        };
        let length = plain_prefix(text);
        let (value, behind) = text.split_at(length);
        let [b'\r', b'\n', next, ..] = behind else {
            return None;
        };
        let is_bare = *value.first()? > b' ' && *value.last()? > b' ';
        if !is_bare || matches!(next, b' ' | b'\t') {
            return None;
        }
        let start = self.at + 1;
        self.at = start + length + 2;
        Some(Slice::new(start, start + length))
    }

    fn any_value(&mut self) -> Result<Slice, Stop<HeadError>> {
        self.blanks();
        let mut start = self.at;
        loop {
            self.text()?;
            let mut end = self.at;
            if !self.line_end()? {
                return Err(HeadError::ControlByte.into());
            }
            if matches!(self.peek()?, b' ' | b'\t') {
                self.unfold(end)?;
                continue;
            }
            while end > start && matches!(self.bytes[end - 1], b' ' | b'\t') {
                end -= 1;
            }
            while start < end && matches!(self.bytes[start], b' ' | b'\t') {
                start += 1; // the value began on a folded line
            }
            return Ok(self.spanned(start, end));
        }
    }

    /// Passes what may stand in a value or a reason phrase: anything but control bytes.
    pub(super) fn text(&mut self) -> Result<(), Stop<HeadError>> {
        loop {
            self.at += plain_prefix(self.rest());
            match self.peek()? {
                b'\r' | b'\n' => return Ok(()),
                b'\t' => {}
                0 if !self.lenient => return Err(HeadError::NulByte.into()),
                _ if !self.lenient => return Err(HeadError::ControlByte.into()),
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Replaces the line end at `from`, which the cursor has just passed, by spaces (RFC 9112 section 5.2).
    #[cold]
    fn unfold(&mut self, from: usize) -> Result<(), HeadError> {
        if !self.lenient {
            return Err(HeadError::FoldedLine);
        }
        self.bytes[from..self.at].fill(b' ');
        Ok(())
    }

    /// The span of a value whose line the cursor has just passed.
    fn spanned(&mut self, start: usize, end: usize) -> Slice {
        // An encoder copies neighbours in one go where "\r\n" is all that lies between them; blanks before a bare
        // line feed must not pass for that.
        if self.lenient && self.at == end + 2 {
            self.bytes[end..end + 2].copy_from_slice(b"\r\n");
        }
        Slice::new(start, end)
    }
}

/// A one in each byte of a word, and the highest bit of each.
const ONES: u64 = u64::MAX / 0xff;
const TOPS: u64 = ONES * 0x80;

/// How many bytes at the start of a word are letters or dashes, and the word with those letters in lower case.
fn lower_prefix(word: u64) -> (u64, usize) {
    let low = (word | (ONES * 0x20)) & !TOPS;
    let letters =
        (low + ONES * (0x80 - b'a' as u64)) & !(low + ONES * (0x7f - b'z' as u64)) & !word;
    let undashed = word ^ (ONES * b'-' as u64);
    let dashes = !(((undashed & !TOPS) + ONES * 0x7f) | undashed);
    let odd = !(letters | dashes) & TOPS;
    let count = (odd.trailing_zeros() / 8) as usize;
    // Below the first odd byte; all ones when there is none.
    let kept = (odd & odd.wrapping_neg()).wrapping_sub(1);
    (word | (((letters & TOPS) >> 2) & kept), count)
}

/// How many bytes at the start of `bytes` are neither control bytes nor DEL.
fn plain_prefix(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((eight, behind)) = rest.split_first_chunk() {
        let odd = control_marks(u64::from_le_bytes(*eight));
        if odd != 0 {
            return bytes.len() - rest.len() + (odd.trailing_zeros() / 8) as usize;
        }
        rest = behind;
    }
    let tail = rest.iter().position(u8::is_ascii_control);
    bytes.len() - rest.len() + tail.unwrap_or(rest.len())
}

/// Marks the highest bit of each byte that is below 0x20 or equal to 0x7f. The lowest mark is exact, which is all
/// that is asked for.
fn control_marks(word: u64) -> u64 {
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let flipped = word ^ (ONES * 0x7f);
    let delete = flipped.wrapping_sub(ONES) & !flipped;
    (below_space | delete) & TOPS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Arithmetic on words tells what a look at each byte tells.
        #[test]
        fn words_and_bytes_agree(
            bytes in proptest::array::uniform8(prop_oneof![any::<u8>(), b'@'..=b'{', b'+'..=b'/']),
        ) {
            let is_plain = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
            let count = bytes.iter().position(|byte| !is_plain(byte)).unwrap_or(8);
            let mut lower = bytes;
            lower[..count].make_ascii_lowercase();
            let word = u64::from_le_bytes(bytes);
            prop_assert_eq!(lower_prefix(word), (u64::from_le_bytes(lower), count));
            let visible = bytes.iter().position(u8::is_ascii_control);
            prop_assert_eq!(plain_prefix(&bytes), visible.unwrap_or(8));
        }
    }
}
