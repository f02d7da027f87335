//! How important a message is.

/// The severities of syslog (RFC 5424 section 6.2.1), most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

impl Level {
    /// All levels, at the index of their number.
    pub const ALL: [Self; 8] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    /// 0 (emergency) to 7 (debug).
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The level of a number; numbers above 7 are debugging messages.
    pub fn from_number(number: u8) -> Self {
        Self::ALL[usize::from(number.min(7))]
    }

    /// The word used in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Emergency => "emerg",
            Self::Alert => "alert",
            Self::Critical => "crit",
            Self::Error => "err",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for (index, level) in Level::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(level.number()), index);
            assert_eq!(Level::from_number(level.number()), level);
        }
        assert_eq!(Level::from_number(200), Level::Debug);
    }
}
