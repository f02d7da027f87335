//! Clocks. Nothing here sleeps.

use rustix::time::{ClockId, Timespec, clock_gettime};

const NANOSECONDS: u64 = 1_000_000_000;

/// Nanoseconds of the monotonic clock, which never jumps; its origin means nothing.
#[must_use]
pub fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds since 1970 UTC, as the machine believes them to be.
#[must_use]
pub fn wall_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

fn nanoseconds(time: Timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * NANOSECONDS + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Seconds that local time is ahead of UTC at `unix_seconds`, by the machine's time zone; 0 when it has none.
#[must_use]
pub fn utc_offset_seconds(unix_seconds: i64) -> i32 {
    // SAFETY: `tm` is plain integers and one pointer, for all of which zero is a valid value.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals; localtime_r keeps neither.
    let found = unsafe { libc::localtime_r(&raw const unix_seconds, &raw mut local) };
    if found.is_null() {
        return 0;
    }
    i32::try_from(local.tm_gmtoff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_does_not_go_back() {
        let first = monotonic_ns();
        assert!(monotonic_ns() >= first);
    }

    #[test]
    fn wall_time_agrees_with_std() {
        let ours = wall_ns();
        let theirs = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        assert!(theirs >= ours && theirs - ours < NANOSECONDS);
    }

    #[test]
    fn offsets_are_within_a_day() {
        assert!(utc_offset_seconds(0).abs() < 86_400);
        assert!(utc_offset_seconds(i64::MAX).abs() < 86_400);
    }
}
