//! What is kept with one key: reading, counting and setting values.

use super::data::{Data, Kind};
use super::rate;
use super::spec::{Column, Layout};

/// The values of one key, while its shard is locked.
#[derive(Debug)]
pub struct Entry<'a> {
    pub(super) layout: &'a Layout,
    /// The words of data.
    pub(super) words: &'a mut [u32],
    pub(super) now_ms: u64,
    /// Who holds the entry at present: connections and requests that track it.
    pub(super) users: u32,
    /// When it is gone; `None`: never.
    pub(super) expires_at_ms: Option<u64>,
    pub(super) changed: bool,
}

impl Entry<'_> {
    /// How many connections and requests track the key now.
    pub fn users(&self) -> u32 {
        self.users
    }

    /// Time until the key is forgotten; 0 where tables forget nothing.
    pub fn remaining_ms(&self) -> u64 {
        self.expires_at_ms
            .map_or(0, |at_ms| at_ms.saturating_sub(self.now_ms))
    }

    /// Postpones the entry's end although nothing is changed.
    pub fn touch(&mut self) {
        self.changed = true;
    }

    /// Whether element `index` of `data` is kept.
    pub fn has(&self, data: Data, index: u32) -> bool {
        self.range(data, index).is_some()
    }

    /// The value, or the rate, of element `index` of `data`; `None` where it is not kept.
    pub fn read(&self, data: Data, index: u32) -> Option<i64> {
        let (column, range) = self.range(data, index)?;
        let words = &self.words[range];
        Some(match column.kind {
            Kind::Signed => i64::from(words[0] as i32),
            Kind::Number | Kind::ServerKey => i64::from(words[0]),
            Kind::Wide => wide(words) as i64,
            Kind::Rate => {
                let events = rate::read(words, self.now_ms as u32, column.period_ms);
                i64::from(events) * i64::from(column.factor)
            }
        })
    }

    /// Adds `amount`, and returns the new value (of a rate, the events of the present period); `None` where it is not
    /// kept. Counters wrap around, as in HAProxy.
    pub fn add(&mut self, data: Data, index: u32, amount: u64) -> Option<i64> {
        let (column, range) = self.range(data, index)?;
        let words = &mut self.words[range];
        self.changed = true;
        Some(match column.kind {
            Kind::Signed | Kind::Number | Kind::ServerKey => {
                words[0] = words[0].wrapping_add(amount as u32);
                i64::from(words[0])
            }
            Kind::Wide => {
                let value = wide(words).wrapping_add(amount);
                set_wide(words, value);
                value as i64
            }
            Kind::Rate => {
                let events = amount.div_ceil(u64::from(column.factor));
                let events = u32::try_from(events).unwrap_or(u32::MAX);
                let now_ms = self.now_ms as u32;
                i64::from(rate::add(words, now_ms, column.period_ms, events))
            }
        })
    }

    /// Takes one away, unless it is 0 already.
    pub(super) fn decrease(&mut self, data: Data) {
        if let Some((_, range)) = self.range(data, 0) {
            let word = &mut self.words[range][0];
            *word = word.saturating_sub(1);
            self.changed = true;
        }
    }

    /// Sets the value; false where it is not kept. A rate set stays for the rest of a period and fades out then.
    pub fn set(&mut self, data: Data, index: u32, value: i64) -> bool {
        let Some((column, range)) = self.range(data, index) else {
            return false;
        };
        let words = &mut self.words[range];
        self.changed = true;
        match column.kind {
            Kind::Signed | Kind::Number | Kind::ServerKey => words[0] = value as u32,
            Kind::Wide => set_wide(words, value as u64),
            Kind::Rate => rate::set(words, self.now_ms as u32, value as u32),
        }
        true
    }

    /// Counts a new connection or request that tracks the key.
    pub(super) fn begin(&mut self) {
        for data in [Data::ConnCur, Data::ConnCnt, Data::ConnRate] {
            self.add(data, 0, 1);
        }
    }

    /// Counts in both, the total and the rate.
    pub fn count(&mut self, total: Data, rate: Data, amount: u64) {
        self.add(total, 0, amount);
        self.add(rate, 0, amount);
    }

    fn range(&self, data: Data, index: u32) -> Option<(Column, std::ops::Range<usize>)> {
        let column = self.layout.column(data)?;
        if index >= u32::from(column.elements) {
            return None;
        }
        let width = column.kind.words();
        let start = usize::from(column.start) + index as usize * width;
        Some((*column, start..start + width))
    }
}

fn wide(words: &[u32]) -> u64 {
    u64::from(words[0]) | u64::from(words[1]) << 32
}

fn set_wide(words: &mut [u32], value: u64) {
    (words[0], words[1]) = (value as u32, (value >> 32) as u32);
}
