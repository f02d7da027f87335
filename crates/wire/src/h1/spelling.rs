//! How names of fields are written for peers that, against RFC 9110 section 5.1, take their case seriously
//! (manual, "h1-case-adjust").
//!
//! Heads lie in memory with names in lower case. A spelling changes the case of letters and nothing else, so that it
//! can be applied to encoded lines where they lie.

use super::token;

/// Names with their own spelling. Looked up by the name in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spelling {
    /// Sorted by their lower case.
    names: Vec<Box<[u8]>>,
}

/// Why a name cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpellingError {
    /// No field can have this name.
    NotAName,
    /// It has a spelling already.
    Known,
}

impl Spelling {
    /// Adds a name as it is to be written.
    pub fn add(&mut self, name: &[u8]) -> Result<(), SpellingError> {
        if name.is_empty() || !name.iter().copied().all(token::is_token_byte) {
            return Err(SpellingError::NotAName);
        }
        match self.position(name) {
            Ok(_) => Err(SpellingError::Known),
            Err(place) => {
                self.names.insert(place, name.into());
                Ok(())
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Writes the names of fields in encoded lines. The first line of a message is left alone: before its first colon,
    /// if there is any, stands a blank, which no name has.
    pub fn apply(&self, lines: &mut [u8]) {
        let mut at = 0;
        while at < lines.len() {
            let line = &mut lines[at..];
            let length = memchr::memchr(b'\n', line).map_or(line.len(), |end| end + 1);
            let name_bytes = memchr::memchr(b':', &line[..length]).unwrap_or(0);
            if let Ok(place) = self.position(&line[..name_bytes]) {
                line[..name_bytes].copy_from_slice(&self.names[place]);
            }
            at += length;
        }
    }

    fn position(&self, name: &[u8]) -> Result<usize, usize> {
        let lower = |name: &[u8]| name.to_ascii_lowercase();
        let wanted = lower(name);
        self.names
            .binary_search_by(|known| lower(known).cmp(&wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_they_are_to_be() {
        let mut spelling = Spelling::default();
        for name in ["X-ID", "Content-Length", "ETag"] {
            spelling.add(name.as_bytes()).unwrap();
        }
        let mut lines =
            *b"etag: etag\r\ncontent-length: 1\r\nx-id-2: x-id\r\nX-Id: x-id: y\r\n\r\n";
        spelling.apply(&mut lines);
        assert_eq!(
            lines.escape_ascii().to_string(),
            "ETag: etag\\r\\nContent-Length: 1\\r\\nx-id-2: x-id\\r\\nX-ID: x-id: y\\r\\n\\r\\n"
        );
    }

    #[test]
    fn names_are_spelled_once() {
        let mut spelling = Spelling::default();
        spelling.add(b"ETag").unwrap();
        assert_eq!(spelling.add(b"Etag"), Err(SpellingError::Known));
        assert_eq!(spelling.add(b""), Err(SpellingError::NotAName));
        assert_eq!(spelling.add(b"a b"), Err(SpellingError::NotAName));
    }

    #[test]
    fn odd_bytes_pass() {
        let mut spelling = Spelling::default();
        spelling.add(b"A").unwrap();
        for bytes in [
            &b""[..],
            b"\n",
            b":\n:",
            b"a",
            b"a:",
            b"\r\n\r\n",
            b"b\na:\n",
        ] {
            let mut lines = bytes.to_vec();
            spelling.apply(&mut lines);
            assert!(lines.eq_ignore_ascii_case(bytes));
        }
    }
}
