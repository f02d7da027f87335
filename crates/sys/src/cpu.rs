//! Cores, and the time spent on them.

use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The cores this thread may run on, by number, ascending.
pub fn usable_cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .collect())
}

/// How many threads can run at the same time: the usable cores, or fewer when a control group limits them.
#[must_use]
pub fn usable_core_count() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Keeps the calling thread on one core.
pub fn pin_thread(core: usize) -> io::Result<()> {
    if core >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Processor time the calling thread has used.
#[must_use]
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// Processor time and memory the whole process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    pub user: Duration,
    pub system: Duration,
    /// Most memory ever resident, in bytes.
    pub resident_peak_bytes: u64,
}

/// What the process has used so far (getrusage).
#[must_use]
pub fn process_usage() -> ProcessUsage {
    // SAFETY: `rusage` is plain integers, for which zero is valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live local that the call fills.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let duration = |time: libc::timeval| {
        Duration::new(
            time.tv_sec.try_into().unwrap_or(0),
            u32::try_from(time.tv_usec).unwrap_or(0) * 1_000,
        )
    };
    ProcessUsage {
        user: duration(usage.ru_utime),
        system: duration(usage.ru_stime),
        resident_peak_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1_024,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_be_pinned_to_any_usable_core() {
        std::thread::spawn(|| {
            for core in usable_cores().unwrap() {
                pin_thread(core).unwrap();
                assert_eq!(usable_cores().unwrap(), [core]);
            }
        })
        .join()
        .unwrap();
        assert!(pin_thread(usize::MAX).is_err());
    }

    #[test]
    fn work_shows_in_the_times() {
        let (thread, process) = (thread_time(), process_usage());
        let mut sum = 0_u64;
        while thread_time() - thread < Duration::from_millis(30) {
            sum = std::hint::black_box(sum + 1);
        }
        let now = process_usage();
        assert!(now.user + now.system > process.user + process.system);
        assert!(now.resident_peak_bytes > 0);
    }
}
