//! The limit of open descriptors.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many descriptors the process may open now, and how far it may raise that. `u64::MAX`: without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorLimit {
    pub now: u64,
    pub ceiling: u64,
}

/// The limit in force.
#[must_use]
pub fn descriptor_limit() -> DescriptorLimit {
    let limit = getrlimit(Resource::Nofile);
    DescriptorLimit {
        now: limit.current.unwrap_or(u64::MAX),
        ceiling: limit.maximum.unwrap_or(u64::MAX),
    }
}

/// Raises the limit to `wanted`, or as near as the process may. Never lowers it. Answers with the limit then in force.
pub fn raise_descriptor_limit(wanted: u64) -> io::Result<u64> {
    let found = descriptor_limit();
    if wanted <= found.now {
        return Ok(found.now);
    }
    // Only a privileged process may go above the ceiling; one that may not gets the ceiling.
    if wanted > found.ceiling && set(wanted, wanted).is_ok() {
        return Ok(wanted);
    }
    let granted = wanted.min(found.ceiling);
    set(granted, found.ceiling)?;
    Ok(granted)
}

fn set(now: u64, ceiling: u64) -> io::Result<()> {
    let finite = |value: u64| (value != u64::MAX).then_some(value);
    Ok(setrlimit(
        Resource::Nofile,
        Rlimit {
            current: finite(now),
            maximum: finite(ceiling),
        },
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_never_lowered() {
        let before = descriptor_limit();
        assert_eq!(raise_descriptor_limit(1).unwrap(), before.now);
        let wanted = before.ceiling.min(before.now.saturating_add(1));
        assert!(raise_descriptor_limit(wanted).unwrap() >= wanted);
        assert!(descriptor_limit().now >= wanted);
    }
}
