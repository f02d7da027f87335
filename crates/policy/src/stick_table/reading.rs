//! What samples and converters ask of an entry.

use super::data::Data;
use super::entry::Entry;

/// One question about an entry. Some change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A value or a rate.
    Value(Data),
    /// A count of bytes, in units of 1024.
    Kilobytes(Data),
    /// An element of an array.
    Element(Data, u32),
    /// A single counter or tag, or where it is not kept, an element of the array.
    Single(Data, Data, u32),
    /// Adds one to a general purpose counter, by its number, and to its rate.
    Increase(u32),
    /// The same, of an array only.
    IncreaseElement(u32),
    /// Sets a general purpose counter to 0, and tells what it was.
    Clear(u32),
    ClearElement(u32),
    /// Counts a connection.
    Connection,
    /// How many connections and requests track the key.
    Trackers,
}

impl Reading {
    /// Whether an entry is made where there is none.
    pub fn creates(self) -> bool {
        matches!(
            self,
            Self::Increase(_)
                | Self::IncreaseElement(_)
                | Self::Clear(_)
                | Self::ClearElement(_)
                | Self::Connection
        )
    }

    /// The answer; `None` where the table does not keep it.
    pub fn ask(self, entry: &mut Entry<'_>) -> Option<i64> {
        match self {
            Self::Value(data) => entry.read(data, 0),
            Self::Kilobytes(data) => entry
                .read(data, 0)
                .map(|bytes| ((bytes as u64) >> 10) as i64),
            Self::Element(data, index) => entry.read(data, index),
            Self::Single(single, array, index) => {
                entry.read(single, 0).or_else(|| entry.read(array, index))
            }
            Self::Increase(number) => {
                let (count, rate) = (counter(entry, number), rate(entry, number));
                Some(increase(entry, count, rate, 1))
            }
            Self::IncreaseElement(index) => {
                let (count, rate) = ((Data::Gpc, index), (Data::GpcRate, index));
                Some(increase(entry, count, rate, 1))
            }
            Self::Clear(number) => {
                let (data, index) = counter(entry, number);
                clear(entry, data, index)
            }
            Self::ClearElement(index) => clear(entry, Data::Gpc, index),
            Self::Connection => entry.add(Data::ConnCnt, 0, 1),
            Self::Trackers => Some(i64::from(entry.users())),
        }
    }
}

/// Where general purpose counter 0 or 1 is kept: alone, or in the array.
fn counter(entry: &Entry<'_>, number: u32) -> (Data, u32) {
    let single = [Data::Gpc0, Data::Gpc1].get(number as usize);
    match single {
        Some(&single) if entry.has(single, 0) => (single, 0),
        _ => (Data::Gpc, number),
    }
}

/// Where the rate of general purpose counter 0 or 1 is kept.
fn rate(entry: &Entry<'_>, number: u32) -> (Data, u32) {
    let single = [Data::Gpc0Rate, Data::Gpc1Rate].get(number as usize);
    match single {
        Some(&single) if entry.has(single, 0) => (single, 0),
        _ => (Data::GpcRate, number),
    }
}

/// Adds to a counter and its rate, and returns the first of them that is kept.
pub(crate) fn increase(
    entry: &mut Entry<'_>,
    count: (Data, u32),
    rate: (Data, u32),
    amount: u64,
) -> i64 {
    let events = entry.add(rate.0, rate.1, amount);
    let value = entry.add(count.0, count.1, amount);
    value.or(events).unwrap_or(0)
}

fn clear(entry: &mut Entry<'_>, data: Data, index: u32) -> Option<i64> {
    let before = entry.read(data, index)?;
    entry.set(data, index, 0);
    Some(before)
}
