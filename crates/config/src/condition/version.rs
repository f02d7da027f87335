//! Versions as conditions compare them.

/// A version of HAProxy: `2.8`, `2.8.3`, `3.5-dev3`, `v3.0-rc1`, `2.4.1-12ab34-5`; missing numbers are zero.
///
/// A development version comes before its candidates, and these before the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    numbers: [u32; 4],
    stage: Stage,
    /// The number behind `dev` or `rc`.
    step: u32,
    /// Commits since; behind the last dash.
    commits: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Development,
    Candidate,
    Release,
}

impl Version {
    /// A release.
    pub const fn release(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            numbers: [major, minor, patch, 0],
            stage: Stage::Release,
            step: 0,
            commits: 0,
        }
    }

    /// A development version such as 3.5-dev5.
    pub const fn development(major: u32, minor: u32, step: u32) -> Self {
        Self {
            numbers: [major, minor, 0, 0],
            stage: Stage::Development,
            step,
            commits: 0,
        }
    }

    /// Reads a version, or `None` when the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (numbers, tail) = text
            .split_once('-')
            .map_or((text, ""), |(numbers, tail)| (numbers, tail));
        let mut version = Self::release(0, 0, 0);
        let mut parts = numbers.split('.');
        for number in &mut version.numbers {
            let Some(part) = parts.next() else { break };
            *number = digits(part)?;
        }
        if parts.next().is_some() || (tail.is_empty() && text.contains('-')) {
            return None;
        }
        let stages = [
            ("dev", Stage::Development),
            ("rc", Stage::Candidate),
            ("pre", Stage::Candidate),
        ];
        let mut rest = tail;
        for (name, stage) in stages {
            if let Some(step) = tail.strip_prefix(name) {
                let (step, commits) = step.split_once('-').unwrap_or((step, ""));
                version.stage = stage;
                version.step = if step.is_empty() { 0 } else { digits(step)? };
                rest = commits;
                break;
            }
        }
        let commits = rest.rsplit('-').next().unwrap_or_default();
        version.commits = digits(commits).unwrap_or(0);
        Some(version)
    }
}

/// A version of a TLS library in OpenSSL's way: `1.1.1`, `1.1.1w`, `3.0.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LibraryVersion {
    numbers: [u32; 3],
    /// The patch letters, 0 for none, 1 for `a`, 27 for `za`.
    letter: u32,
}

impl LibraryVersion {
    /// A version without a patch letter.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            numbers: [major, minor, patch],
            letter: 0,
        }
    }

    /// Reads a version, or `None` when the text is none. What follows a dash is not compared.
    pub fn parse(text: &str) -> Option<Self> {
        let numbers = text.split('-').next()?;
        let bare = numbers.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
        let letters = &numbers[bare.len()..];
        let mut version = Self::new(0, 0, 0);
        let mut parts = bare.split('.');
        for number in &mut version.numbers {
            let Some(part) = parts.next() else { break };
            *number = digits(part)?;
        }
        if parts.next().is_some() || letters.len() > 2 {
            return None;
        }
        for letter in letters.bytes() {
            version.letter += u32::from(letter - b'a') + 1;
        }
        Some(version)
    }
}

fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_stage() {
        let ascending = [
            "1.9",
            "2.0-dev0",
            "2.0-dev3",
            "2.0-dev3-5",
            "2.0-dev12",
            "2.0-rc1",
            "2.0",
            "2.0.1",
            "2.0.10",
            "v3.5-dev3",
            "3.5-dev5",
            "3.5",
            "3.5-4",
            "1024",
        ];
        for pair in ascending.windows(2) {
            let [older, newer] = [pair[0], pair[1]].map(|text| Version::parse(text).expect(text));
            assert!(older < newer, "{older:?} {newer:?}");
        }
        assert_eq!(
            Version::parse("3.5-dev5"),
            Some(Version::development(3, 5, 5))
        );
        assert_eq!(Version::parse("2.8"), Version::parse("2.8.0"));
        assert_eq!(
            Version::parse("2.6.12-1+deb12u1"),
            Some(Version::release(2, 6, 12))
        );
        for text in [
            "",
            "v",
            "x",
            "2.",
            ".5",
            "2-",
            "2.x",
            "1.2.3.4.5",
            "2.0-devx",
            "99999999999",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn library_versions_are_ordered_by_letter() {
        let ascending = [
            "0.9.8", "0.9.8a", "0.9.8z", "0.9.8za", "1.1.1", "1.1.1w", "3.0.2", "3.5.0",
        ];
        for pair in ascending.windows(2) {
            let [older, newer] =
                [pair[0], pair[1]].map(|text| LibraryVersion::parse(text).expect(text));
            assert!(older < newer, "{older:?} {newer:?}");
        }
        for text in ["", "a", "1.1.1www", "1.2.3.4"] {
            assert_eq!(LibraryVersion::parse(text), None, "{text}");
        }
    }
}
