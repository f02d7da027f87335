//! What is wrong with a configuration, in a form that both people and programs can read.

use std::fmt;

/// Index of a loaded file in a [`crate::source::Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A range of bytes in one file; empty ranges point between two bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    pub file: FileId,
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        Self {
            file,
            start: start as u32,
            end: end as u32,
        }
    }

    /// The smallest span that covers both; `other` must lie in the same file.
    pub fn to(self, other: Self) -> Self {
        Self {
            file: self.file,
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// How bad it is. Only [`Severity::Error`] keeps a configuration from being loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing (`.notice`, `.diag`).
    Note,
    /// Loads, but something has no effect, is old, or is risky.
    Warning,
    Error,
}

impl Severity {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What kind of problem it is, so that tools can sort them without reading prose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The text breaks the grammar.
    Syntax,
    /// A word that no version of the language knows.
    Unknown,
    /// A known word with a wrong or missing argument, or in the wrong place.
    Invalid,
    /// A name that nothing defines.
    Reference,
    /// The machine lacks something: a file, a name that does not resolve, a user, a variable.
    Environment,
    /// Part of the language that Plimsoll does not implement yet.
    NotImplemented,
    /// Part of the language that Plimsoll refuses on purpose.
    Refused,
    /// An old spelling that was understood.
    Legacy,
    /// Accepted without effect, because ignoring it is safe.
    NoEffect,
    /// Anything else worth saying.
    Advice,
}

impl Kind {
    /// The word for it, in programs' output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
            Self::Reference => "reference",
            Self::Environment => "environment",
            Self::NotImplemented => "not-implemented",
            Self::Refused => "refused",
            Self::Legacy => "legacy",
            Self::NoEffect => "no-effect",
            Self::Advice => "advice",
        }
    }
}

/// One problem: where, what, why, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub kind: Kind,
    pub span: Span,
    /// One sentence, lower case, no final stop.
    pub message: String,
    /// Why it matters, or what was expected; shown as a note.
    pub cause: Option<String>,
    /// What to write instead; shown as help.
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(kind: Kind, span: Span, message: impl fmt::Display) -> Self {
        Self {
            severity: Severity::Error,
            kind,
            span,
            message: shortened(message),
            cause: None,
            help: None,
        }
    }

    pub fn warning(kind: Kind, span: Span, message: impl fmt::Display) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(kind, span, message)
        }
    }

    pub fn note(kind: Kind, span: Span, message: impl fmt::Display) -> Self {
        Self {
            severity: Severity::Note,
            ..Self::error(kind, span, message)
        }
    }

    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(shortened(cause));
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(shortened(help));
        self
    }
}

/// Longest message, cause or help, in bytes; they quote words, which may be long.
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// The text, cut at [`MESSAGE_BYTES_MAX`].
fn shortened(text: impl fmt::Display) -> String {
    let mut text = text.to_string();
    if text.len() > MESSAGE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(MESSAGE_BYTES_MAX));
        text.push('\u{2026}');
    }
    text
}

/// Most diagnostics that [`Diagnostics`] keeps; one more counts the rest.
pub const DIAGNOSTICS_MAX: usize = 1000;

/// A list of diagnostics that cannot grow without bound.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    omitted: usize,
    /// Stands for the omitted ones: the last place, the gravest severity.
    rest: Option<(Span, Severity)>,
}

impl Diagnostics {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether further ones are only counted, so that there is no point in making them helpful.
    pub fn is_full(&self) -> bool {
        self.kept.len() >= DIAGNOSTICS_MAX
    }

    /// Adds one, or counts it when there are [`DIAGNOSTICS_MAX`].
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if !self.is_full() {
            self.kept.push(diagnostic);
            return;
        }
        self.omitted += 1;
        let gravest = self.rest.map_or(diagnostic.severity, |(_, severity)| {
            severity.max(diagnostic.severity)
        });
        self.rest = Some((diagnostic.span, gravest));
    }

    /// The diagnostics in the order they came, and one that counts what was not kept.
    pub fn into_vec(mut self) -> Vec<Diagnostic> {
        if let Some((span, severity)) = self.rest {
            let message = format_args!("{} more problems are not shown", self.omitted);
            let note = Diagnostic::note(Kind::Advice, span, message);
            self.kept.push(Diagnostic { severity, ..note });
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_cut_in_messages() {
        let word = "\u{e9}".repeat(MESSAGE_BYTES_MAX);
        let problem = Diagnostic::note(Kind::Advice, Span::default(), format_args!("x{word}"));
        assert_eq!(
            problem.message.len(),
            MESSAGE_BYTES_MAX - 1 + '\u{2026}'.len_utf8()
        );
        assert!(problem.message.ends_with("\u{e9}\u{2026}"));
    }

    #[test]
    fn what_is_not_kept_is_counted_with_its_severity() {
        let mut list = Diagnostics::new();
        let place = |at| Span::new(FileId(0), at, at);
        for at in 0..DIAGNOSTICS_MAX {
            list.push(Diagnostic::note(Kind::Advice, place(at), "kept"));
        }
        assert_eq!(list.clone().into_vec().len(), DIAGNOSTICS_MAX);
        list.push(Diagnostic::error(Kind::Syntax, place(7), "lost"));
        list.push(Diagnostic::warning(Kind::Legacy, place(9), "lost"));
        let all = list.into_vec();
        assert_eq!(all.len(), DIAGNOSTICS_MAX + 1);
        let last = &all[DIAGNOSTICS_MAX];
        assert_eq!(last.message, "2 more problems are not shown");
        assert_eq!((last.severity, last.span.start), (Severity::Error, 9));
    }
}
