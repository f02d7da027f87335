//! Dates as text. Each form is made once per second and copied from then on.

use super::text::put_digits;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

const SECONDS_PER_DAY: i64 = 86_400;

/// The last second of the year 9999; later ones are written like this one.
const SECOND_MAX: i64 = 253_402_300_799;

/// A moment in universal time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime {
    /// Seconds since 1970.
    pub unix_s: u64,
    /// 0 to 999,999.
    pub micros: u32,
}

impl WallTime {
    /// The moment so many nanoseconds after the beginning of 1970.
    pub fn from_unix_ns(ns: u64) -> Self {
        Self {
            unix_s: ns / 1_000_000_000,
            micros: (ns % 1_000_000_000 / 1_000) as u32,
        }
    }

    /// The moment `ms` milliseconds later.
    #[must_use]
    pub fn after_ms(self, ms: u64) -> Self {
        let micros = u64::from(self.micros) + ms % 1_000 * 1_000;
        Self {
            unix_s: self
                .unix_s
                .saturating_add(ms / 1_000)
                .saturating_add(micros / 1_000_000),
            micros: (micros % 1_000_000) as u32,
        }
    }

    /// The millisecond within the second.
    pub fn millis(self) -> u32 {
        self.micros / 1_000
    }
}

/// Writes dates; remembers the last second of each form.
#[derive(Debug, Default)]
pub struct Dates {
    utc_offset_s: i32,
    local: Cached,
    utc: Cached,
    legacy: Cached,
    iso: Cached,
}

/// The text of one second; `end` is 0 while there is none.
#[derive(Debug, Default)]
struct Cached {
    second: i64,
    text: [u8; 20],
    end: usize,
}

impl Cached {
    fn text(&mut self, second: i64, length: usize, write: fn(&Civil, &mut [u8])) -> &[u8] {
        if self.second != second || self.end == 0 {
            write(&Civil::of(second), &mut self.text[..length]);
            (self.second, self.end) = (second, length);
        }
        &self.text[..self.end]
    }
}

impl Dates {
    /// Sets by how many seconds local time is ahead of universal time; 0 at first.
    pub fn set_utc_offset_s(&mut self, utc_offset_s: i32) {
        self.utc_offset_s = utc_offset_s;
    }

    /// `21/Nov/2026:03:00:57.123`, local time.
    pub(crate) fn push_local_ms(&mut self, time: WallTime, out: &mut Vec<u8>) {
        let second = self.local_second(time);
        out.extend_from_slice(self.local.text(second, 20, write_log));
        push_fraction(out, u64::from(time.millis()), 3);
    }

    /// `21/Nov/2026:03:00:57 +0000`, universal time.
    pub(crate) fn push_utc(&mut self, time: WallTime, out: &mut Vec<u8>) {
        let second = i64::try_from(time.unix_s).unwrap_or(SECOND_MAX);
        out.extend_from_slice(self.utc.text(second, 20, write_log));
        out.extend_from_slice(b" +0000");
    }

    /// `21/Nov/2026:04:00:57 +0100`, local time.
    pub(crate) fn push_local(&mut self, time: WallTime, out: &mut Vec<u8>) {
        let second = self.local_second(time);
        out.extend_from_slice(self.local.text(second, 20, write_log));
        let minutes = u64::from(self.utc_offset_s.unsigned_abs() / 60);
        let mut zone = *b" +0000";
        if self.utc_offset_s < 0 {
            zone[1] = b'-';
        }
        put_digits(&mut zone[2..4], minutes / 60);
        put_digits(&mut zone[4..6], minutes % 60);
        out.extend_from_slice(&zone);
    }

    /// `Nov 21 03:00:57`, local time (RFC 3164 section 4.1.2).
    pub(super) fn push_legacy(&mut self, time: WallTime, out: &mut Vec<u8>) {
        let second = self.local_second(time);
        out.extend_from_slice(self.legacy.text(second, 15, write_legacy));
    }

    /// `2026-11-21T03:00:57.123456+01:00`, local time (RFC 3339).
    pub(super) fn push_iso(&mut self, time: WallTime, out: &mut Vec<u8>) {
        let second = self.local_second(time);
        out.extend_from_slice(self.iso.text(second, 19, write_iso));
        push_fraction(out, u64::from(time.micros), 6);
        let minutes = u64::from(self.utc_offset_s.unsigned_abs() / 60);
        let mut zone = *b"+00:00";
        if self.utc_offset_s < 0 {
            zone[0] = b'-';
        }
        put_digits(&mut zone[1..3], minutes / 60);
        put_digits(&mut zone[4..6], minutes % 60);
        out.extend_from_slice(&zone);
    }

    fn local_second(&self, time: WallTime) -> i64 {
        i64::try_from(time.unix_s)
            .unwrap_or(SECOND_MAX)
            .saturating_add(i64::from(self.utc_offset_s))
    }
}

fn push_fraction(out: &mut Vec<u8>, number: u64, digits: usize) {
    let mut text = *b".000000";
    put_digits(&mut text[1..=digits], number);
    out.extend_from_slice(&text[..=digits]);
}

/// A second taken apart by the Gregorian calendar.
#[derive(Debug, PartialEq, Eq)]
struct Civil {
    year: u64,
    /// 1 to 12.
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Civil {
    fn of(second: i64) -> Self {
        let second = second.clamp(0, SECOND_MAX);
        let (days, rest) = (second / SECONDS_PER_DAY, (second % SECONDS_PER_DAY) as u64);
        // Years that begin in March put the leap day last, and every block of 400 years is alike
        // (146,097 days); 719,468 days lie between the first of March of the year 0 and 1970.
        let days = (days + 719_468) as u64;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }

    fn month_name(&self) -> &'static [u8; 3] {
        MONTHS[(self.month - 1) as usize]
    }

    fn put_clock(&self, place: &mut [u8]) {
        place.copy_from_slice(b"00:00:00");
        put_digits(&mut place[0..2], self.hour);
        put_digits(&mut place[3..5], self.minute);
        put_digits(&mut place[6..8], self.second);
    }
}

fn write_log(date: &Civil, text: &mut [u8]) {
    text[..12].copy_from_slice(b"00/Jan/0000:");
    put_digits(&mut text[0..2], date.day);
    text[3..6].copy_from_slice(date.month_name());
    put_digits(&mut text[7..11], date.year);
    date.put_clock(&mut text[12..20]);
}

fn write_legacy(date: &Civil, text: &mut [u8]) {
    text[..7].copy_from_slice(b"Jan  0 ");
    text[..3].copy_from_slice(date.month_name());
    if date.day < 10 {
        put_digits(&mut text[5..6], date.day);
    } else {
        put_digits(&mut text[4..6], date.day);
    }
    date.put_clock(&mut text[7..15]);
}

fn write_iso(date: &Civil, text: &mut [u8]) {
    text[..11].copy_from_slice(b"0000-00-00T");
    put_digits(&mut text[0..4], date.year);
    put_digits(&mut text[5..7], date.month);
    put_digits(&mut text[8..10], date.day);
    date.put_clock(&mut text[11..19]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(unix_s: u64, micros: u32) -> WallTime {
        WallTime { unix_s, micros }
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("only ASCII is written")
    }

    #[test]
    fn every_form() {
        let mut dates = Dates::default();
        let cases = [
            (
                0,
                "01/Jan/1970:00:00:00.000",
                "Jan  1 00:00:00",
                "1970-01-01T00:00:00.000000+00:00",
            ),
            (
                951_782_400,
                "29/Feb/2000:00:00:00.000",
                "Feb 29 00:00:00",
                "2000-02-29T00:00:00.000000+00:00",
            ),
            (
                1_795_230_057,
                "21/Nov/2026:03:00:57.000",
                "Nov 21 03:00:57",
                "2026-11-21T03:00:57.000000+00:00",
            ),
            (
                4_107_542_399,
                "28/Feb/2100:23:59:59.000",
                "Feb 28 23:59:59",
                "2100-02-28T23:59:59.000000+00:00",
            ),
            (
                4_107_542_400,
                "01/Mar/2100:00:00:00.000",
                "Mar  1 00:00:00",
                "2100-03-01T00:00:00.000000+00:00",
            ),
            (
                u64::MAX,
                "31/Dec/9999:23:59:59.000",
                "Dec 31 23:59:59",
                "9999-12-31T23:59:59.000000+00:00",
            ),
        ];
        for (second, local, legacy, iso) in cases {
            let time = time(second, 0);
            assert_eq!(written(|out| dates.push_local_ms(time, out)), local);
            assert_eq!(written(|out| dates.push_legacy(time, out)), legacy);
            assert_eq!(written(|out| dates.push_iso(time, out)), iso);
        }
    }

    #[test]
    fn zones_and_fractions() {
        let mut dates = Dates::default();
        let moment = time(1_795_230_057, 7_089);
        dates.set_utc_offset_s(-(9 * 3_600 + 30 * 60));
        assert_eq!(
            written(|out| dates.push_local_ms(moment, out)),
            "20/Nov/2026:17:30:57.007"
        );
        assert_eq!(
            written(|out| dates.push_iso(moment, out)),
            "2026-11-20T17:30:57.007089-09:30"
        );
        assert_eq!(
            written(|out| dates.push_utc(moment, out)),
            "21/Nov/2026:03:00:57 +0000"
        );
        assert_eq!(
            written(|out| dates.push_local(moment, out)),
            "20/Nov/2026:17:30:57 -0930"
        );
        // The zone changes: what was remembered must not be used.
        dates.set_utc_offset_s(3_600);
        assert_eq!(
            written(|out| dates.push_iso(moment, out)),
            "2026-11-21T04:00:57.007089+01:00"
        );
    }

    #[test]
    fn milliseconds_carry() {
        assert_eq!(time(9, 999_001).after_ms(1_001), time(11, 1));
        assert_eq!(time(9, 0).after_ms(0), time(9, 0));
        assert_eq!(WallTime::from_unix_ns(1_000_002_999), time(1, 2));
    }

    proptest! {
        /// Days follow each other without gaps, whatever the form remembers.
        #[test]
        fn days_are_counted(day in 0..2_932_800_i64) {
            let today = Civil::of(day * SECONDS_PER_DAY);
            let tomorrow = Civil::of((day + 1) * SECONDS_PER_DAY);
            prop_assert!((1..=12).contains(&today.month) && (1..=31).contains(&today.day));
            let next_day = tomorrow.day == today.day + 1 && tomorrow.month == today.month;
            let next_month = tomorrow.day == 1 && tomorrow.month == today.month % 12 + 1 && today.day >= 28;
            prop_assert!(next_day || next_month, "{:?} {:?}", today, tomorrow);
        }
    }
}
