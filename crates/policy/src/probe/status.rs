//! The outcomes of a check, under the names that statistics and logs use for them.

/// What a check found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing is known.
    #[default]
    Unknown,
    /// The first check has not ended.
    Initializing,
    /// An agent answered without an opinion on health.
    Checked,
    /// Errors in the traffic, not a check.
    Observed,
    /// The connection could not be attempted, or broke.
    SocketError,
    ConnectOk,
    ConnectTimeout,
    ConnectError,
    TlsOk,
    TlsTimeout,
    TlsInvalid,
    ReplyTimeout,
    ReplyInvalid,
    ReplyOk,
    /// Healthy, but wants no new clients.
    ReplyConditional,
    ReplyWrong,
    /// A program judged (`external-check`): it failed, did not end in time, or found nothing wrong.
    ProgramError,
    ProgramTimeout,
    ProgramOk,
}

/// What a status means for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Unknown,
    Neutral,
    Failed,
    Passed,
    Conditional,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Unknown,
        Self::Initializing,
        Self::Checked,
        Self::Observed,
        Self::SocketError,
        Self::ConnectOk,
        Self::ConnectTimeout,
        Self::ConnectError,
        Self::TlsOk,
        Self::TlsTimeout,
        Self::TlsInvalid,
        Self::ReplyTimeout,
        Self::ReplyInvalid,
        Self::ReplyOk,
        Self::ReplyConditional,
        Self::ReplyWrong,
        Self::ProgramError,
        Self::ProgramTimeout,
        Self::ProgramOk,
    ];

    fn row(self) -> (&'static str, &'static str, Class) {
        use Class::{Conditional, Failed, Neutral, Passed};
        match self {
            Self::Unknown => ("UNK", "Unknown", Class::Unknown),
            Self::Initializing => ("INI", "Initializing", Class::Unknown),
            Self::Checked => ("CHECKED", "No status change", Neutral),
            Self::Observed => ("HANA", "Health analyze", Failed),
            Self::SocketError => ("SOCKERR", "Socket error", Failed),
            Self::ConnectOk => ("L4OK", "Layer4 check passed", Passed),
            Self::ConnectTimeout => ("L4TOUT", "Layer4 timeout", Failed),
            Self::ConnectError => ("L4CON", "Layer4 connection problem", Failed),
            Self::TlsOk => ("L6OK", "Layer6 check passed", Passed),
            Self::TlsTimeout => ("L6TOUT", "Layer6 timeout", Failed),
            Self::TlsInvalid => ("L6RSP", "Layer6 invalid response", Failed),
            Self::ReplyTimeout => ("L7TOUT", "Layer7 timeout", Failed),
            Self::ReplyInvalid => ("L7RSP", "Layer7 invalid response", Failed),
            Self::ReplyOk => ("L7OK", "Layer7 check passed", Passed),
            Self::ReplyConditional => ("L7OKC", "Layer7 check conditionally passed", Conditional),
            Self::ReplyWrong => ("L7STS", "Layer7 wrong status", Failed),
            Self::ProgramError => ("PROCERR", "External check error", Failed),
            Self::ProgramTimeout => ("PROCTOUT", "External check timeout", Failed),
            Self::ProgramOk => ("PROCOK", "External check passed", Passed),
        }
    }

    /// The name in statistics and configurations.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The words in log lines.
    pub fn words(self) -> &'static str {
        self.row().1
    }

    pub fn class(self) -> Class {
        self.row().2
    }

    /// Whether a code goes with it.
    pub fn has_code(self) -> bool {
        matches!(
            self,
            Self::ReplyOk
                | Self::ReplyConditional
                | Self::ReplyWrong
                | Self::ProgramError
                | Self::ProgramTimeout
                | Self::ProgramOk
        )
    }

    /// Whether a check, or a look at the traffic, has come to it.
    pub fn is_outcome(self) -> bool {
        !matches!(self, Self::Unknown | Self::Initializing | Self::Checked)
    }

    /// The status of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        for status in Status::ALL {
            assert_eq!(Status::named(status.name()), Some(status));
        }
        assert_eq!(Status::named("L8OK"), None);
    }
}
