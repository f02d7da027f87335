//! Words that stand for values: durations, sizes, addresses, networks.
//!
//! Each is a function from text to a value or to what is wrong with it; [`crate::args::Args`] has a reader for each
//! that adds the place. What is absent: what a value is for, and whether a name resolves.

mod address;
mod duration;
mod network;
mod size;

use std::fmt;

pub use address::{
    ABSTRACT_NAME_BYTES_MAX, AddressText, Family, Host, Port, Transport, UNIX_PATH_BYTES_MAX,
};
pub use duration::{DURATION_UNITS_MAX, DurationText, TimeUnit, parse_duration};
pub use network::Network;
pub use size::parse_size;

/// Why a text is not the value it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The bytes of the text that are to blame.
    pub at: std::ops::Range<usize>,
    /// One sentence, lower case, no final stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Malformed {
    pub(crate) fn new(at: std::ops::Range<usize>, message: impl fmt::Display) -> Self {
        Self {
            at,
            message: message.to_string(),
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }
}

/// The length of the digits that `text` begins with, and their value unless it exceeds 64 bits.
fn leading_number(text: &str) -> (usize, Option<u64>) {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    (length, text[..length].parse().ok())
}
