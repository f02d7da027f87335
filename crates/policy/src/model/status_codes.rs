//! Sets of HTTP status codes: what counts as an error of a client or a failure of a server (`http-err-codes`,
//! `http-fail-codes`).

/// The codes that there are.
pub const CODES: std::ops::RangeInclusive<u16> = 100..=599;

const WORDS: usize = 8;

/// A set of status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusCodes([u64; WORDS]);

impl StatusCodes {
    pub const fn empty() -> Self {
        Self([0; WORDS])
    }

    /// What a client is to blame for, unless the configuration says otherwise.
    pub fn errors() -> Self {
        let mut codes = Self::empty();
        codes.change(400..=499, true);
        codes
    }

    /// What a server is to blame for: 501 and 505 can be had by asking for them.
    pub fn failures() -> Self {
        let mut codes = Self::empty();
        codes.change(500..=599, true);
        codes.change(501..=501, false);
        codes.change(505..=505, false);
        codes
    }

    pub fn contains(&self, code: u16) -> bool {
        place(code).is_some_and(|(word, bit)| self.0[word] & bit != 0)
    }

    /// Adds codes, or takes them out.
    pub fn change(&mut self, codes: std::ops::RangeInclusive<u16>, contained: bool) {
        for (word, bit) in codes.filter_map(place) {
            if contained {
                self.0[word] |= bit;
            } else {
                self.0[word] &= !bit;
            }
        }
    }

    /// Obeys one word of a configuration, such as `400-499,+500` or `-404`.
    ///
    /// # Errors
    /// The range that cannot be read.
    pub fn obey<'a>(&mut self, word: &'a str) -> Result<(), &'a str> {
        let (contained, ranges) = match word.split_at_checked(1) {
            Some(("+", ranges)) => (true, ranges),
            Some(("-", ranges)) => (false, ranges),
            _ => {
                *self = Self::empty();
                (true, word)
            }
        };
        for range in ranges.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            match (first.parse::<u16>(), last.parse::<u16>()) {
                (Ok(first), Ok(last))
                    if first <= last && CODES.contains(&first) && CODES.contains(&last) =>
                {
                    self.change(first..=last, contained);
                }
                _ => return Err(range),
            }
        }
        Ok(())
    }
}

fn place(code: u16) -> Option<(usize, u64)> {
    let index = usize::from(code.checked_sub(*CODES.start())?);
    (index < WORDS * 64).then(|| (index / 64, 1 << (index % 64)))
}

/// Which codes count as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses {
    pub errors: StatusCodes,
    pub failures: StatusCodes,
}

impl Default for Statuses {
    fn default() -> Self {
        Self {
            errors: StatusCodes::errors(),
            failures: StatusCodes::failures(),
        }
    }
}

impl Statuses {
    /// Whether an answer of this status counts as an error of the client.
    pub fn is_error(&self, status: u16) -> bool {
        self.errors.contains(status)
    }

    /// Whether it counts as a failure of the server.
    pub fn is_failure(&self, status: u16) -> bool {
        self.failures.contains(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_replace_extend_and_reduce() {
        for (words, inside, outside) in [
            (
                &["400,402-444,490"][..],
                &[400, 402, 444, 490][..],
                &[401, 445, 499][..],
            ),
            (
                &["400-499", "-450", "+500"],
                &[400, 449, 451, 500],
                &[450, 501],
            ),
            (&["-450-459"], &[400, 449, 460], &[450, 459]),
            (&["+501,505"], &[499, 501, 505], &[500, 502]),
            (&["100-599"], &[100, 599], &[]),
        ] {
            let mut codes = StatusCodes::errors();
            for word in words {
                assert_eq!(codes.obey(word), Ok(()), "{word}");
            }
            assert!(inside.iter().all(|&code| codes.contains(code)), "{words:?}");
            assert!(
                !outside.iter().any(|&code| codes.contains(code)),
                "{words:?}"
            );
        }
        for wrong in ["", "99", "600", "499-400", "+", "x", "400,"] {
            assert!(StatusCodes::errors().obey(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_usual_codes() {
        let usual = Statuses::default();
        assert!(usual.is_error(404) && !usual.is_error(500) && !usual.is_error(0));
        assert!(usual.is_failure(503) && !usual.is_failure(501) && !usual.is_failure(65_535));
    }
}
