//! Configuration words: one row per word, one folder per dialect.
//!
//! A row says what a word is for, where it may stand, and what becomes of it. Everything else about the vocabulary
//! (`docs/keywords.md`, "did you mean", the check of arguments that nothing reads yet) is derived from the rows.
//! What is absent: text (that is `config`), files, sockets and the resolver (they are asked for through a context).

pub mod haproxy;

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_config::suggest::nearest;

/// Sections in which a word may stand, as a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sections(u16);

impl Sections {
    /// For words that stand within a line.
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const GLOBAL: Self = Self(1);
    pub(crate) const DEFAULTS: Self = Self(1 << 1);
    pub(crate) const FRONTEND: Self = Self(1 << 2);
    pub(crate) const LISTEN: Self = Self(1 << 3);
    pub(crate) const BACKEND: Self = Self(1 << 4);
    pub(crate) const PEERS: Self = Self(1 << 5);
    pub(crate) const CRT_STORE: Self = Self(1 << 6);
    pub(crate) const HTTP_ERRORS: Self = Self(1 << 7);
    pub(crate) const HEALTHCHECK: Self = Self(1 << 8);
    pub(crate) const RESOLVERS: Self = Self(1 << 10);
    pub(crate) const USERLIST: Self = Self(1 << 9);
    pub(crate) const ACME: Self = Self(1 << 11);
    pub(crate) const LOG_PROFILE: Self = Self(1 << 12);

    /// Any proxy section, `defaults` included.
    pub(crate) const PROXY: Self = Self(0b11110);
    /// Proxies that accept clients, and `defaults`.
    pub(crate) const FRONT: Self = Self(0b01110);
    /// Proxies that have servers, and `defaults`.
    pub(crate) const BACK: Self = Self(0b11010);
    /// As [`Sections::PROXY`], but not inherited.
    pub(crate) const OWN: Self = Self(0b11100);
    /// As [`Sections::FRONT`], but not inherited.
    pub(crate) const OWN_FRONT: Self = Self(0b01100);
    /// As [`Sections::BACK`], but not inherited.
    pub(crate) const OWN_BACK: Self = Self(0b11000);

    const NAMES: [(Self, &'static str); 13] = [
        (Self::GLOBAL, "global"),
        (Self::DEFAULTS, "defaults"),
        (Self::FRONTEND, "frontend"),
        (Self::LISTEN, "listen"),
        (Self::BACKEND, "backend"),
        (Self::PEERS, "peers"),
        (Self::CRT_STORE, "crt-store"),
        (Self::HTTP_ERRORS, "http-errors"),
        (Self::HEALTHCHECK, "healthcheck"),
        (Self::RESOLVERS, "resolvers"),
        (Self::USERLIST, "userlist"),
        (Self::ACME, "acme"),
        (Self::LOG_PROFILE, "log-profile"),
    ];

    /// Both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the two sets share a section.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The names of the sections, in the order of the manual.
    pub(crate) fn names(self) -> Vec<&'static str> {
        let named = Self::NAMES
            .iter()
            .filter(|(section, _)| self.meets(*section));
        named.map(|(_, name)| *name).collect()
    }
}

/// What becomes of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Does what the manual says.
    Implemented,
    /// An old spelling that is still understood; the text is the modern line.
    Legacy(&'static str),
    /// Accepted without effect; the text says why that is safe.
    NoOp(&'static str),
    /// Accepted, checked, and without effect in this version; the text says what is not active.
    #[allow(
        dead_code,
        reason = "no word is dormant at present; the next one will be"
    )]
    Dormant(&'static str),
    /// Accepted, checked and kept, but obeyed by nothing in this version; no request fares differently for it.
    Deferred(&'static str),
    /// Known, but not implemented; the text says what it waits for.
    NotYet(&'static str),
    /// Refused on purpose.
    Refused {
        reason: &'static str,
        instead: &'static str,
    },
}

impl Status {
    /// One word for tables.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Implemented => "implemented",
            Self::Legacy(_) => "legacy",
            Self::NoOp(_) => "no effect",
            Self::Dormant(_) => "dormant",
            Self::Deferred(_) => "deferred",
            Self::NotYet(_) => "not yet",
            Self::Refused { .. } => "refused",
        }
    }

    /// What the use of the word `name` at `span` has to say, if anything. Old spellings speak for themselves,
    /// because only their readers can show the modern line.
    pub(crate) fn diagnostic(self, name: &str, span: Span) -> Option<Diagnostic> {
        match self {
            Self::Implemented | Self::Legacy(_) => None,
            Self::NoOp(why) => {
                let message = format_args!("'{name}' has no effect here");
                Some(Diagnostic::note(Kind::NoEffect, span, message).cause(why))
            }
            Self::Dormant(what) => {
                let message = format_args!("'{name}' is accepted but not active in this version");
                Some(Diagnostic::warning(Kind::NotImplemented, span, message).cause(what))
            }
            Self::Deferred(what) => {
                let message = format_args!("'{name}' is accepted but not active in this version");
                Some(Diagnostic::note(Kind::NotImplemented, span, message).cause(what))
            }
            Self::NotYet(waits) => {
                let message = format_args!("'{name}' is not implemented yet");
                Some(
                    Diagnostic::error(Kind::NotImplemented, span, message)
                        .cause(format_args!("it waits for {waits}")),
                )
            }
            Self::Refused { reason, instead } => {
                let message = format_args!("'{name}' is not supported");
                let refusal = Diagnostic::error(Kind::Refused, span, message).cause(reason);
                Some(if instead.is_empty() {
                    refusal
                } else {
                    refusal.help(instead)
                })
            }
        }
    }
}

/// Reads the words behind a keyword into the thing it configures.
pub(crate) type Reader<Target> = fn(&mut Args<'_>, &mut Target) -> Result<(), Diagnostic>;

/// How the words behind a keyword are read.
pub(crate) enum Reading<Target: 'static> {
    /// Only their form is checked, against the usage.
    Form,
    /// In full.
    Full(Reader<Target>),
    /// There are none: the keyword is on, or off behind `no`.
    Switch(fn(&mut Target, bool)),
}

/// One word of a configuration language. `Target` is what it configures: a draft, a bind line, a server line.
pub(crate) struct Keyword<Target: 'static> {
    /// The word, or two words for families such as `timeout client`.
    pub(crate) name: &'static str,
    /// Where it may stand; meaningless for words within a line.
    pub(crate) sections: Sections,
    /// Its arguments, as [`usage`] understands them.
    pub(crate) usage: &'static str,
    /// One sentence.
    pub(crate) doc: &'static str,
    pub(crate) status: Status,
    /// Whether `no` may stand before it (and `default` before options).
    pub(crate) negatable: bool,
    pub(crate) read: Reading<Target>,
}

impl<Target> Keyword<Target> {
    /// A word that works.
    pub(crate) const fn new(
        name: &'static str,
        sections: Sections,
        usage: &'static str,
        doc: &'static str,
        read: Reader<Target>,
    ) -> Self {
        Self {
            name,
            sections,
            usage,
            doc,
            status: Status::Implemented,
            negatable: false,
            read: Reading::Full(read),
        }
    }

    /// A word that is on or off.
    pub(crate) const fn switch(
        name: &'static str,
        sections: Sections,
        doc: &'static str,
        set: fn(&mut Target, bool),
    ) -> Self {
        let read = Reading::Switch(set);
        Self {
            name,
            sections,
            usage: "",
            doc,
            status: Status::Implemented,
            negatable: true,
            read,
        }
    }

    /// A word of another status, whose arguments are checked by form alone.
    pub(crate) const fn inert(
        name: &'static str,
        sections: Sections,
        usage: &'static str,
        doc: &'static str,
        status: Status,
    ) -> Self {
        Self {
            name,
            sections,
            usage,
            doc,
            status,
            negatable: false,
            read: Reading::Form,
        }
    }

    /// An old spelling of what `modern` says.
    pub(crate) const fn legacy(
        name: &'static str,
        sections: Sections,
        usage: &'static str,
        modern: &'static str,
        read: Reader<Target>,
    ) -> Self {
        let doc = "Old spelling.";
        Self {
            name,
            sections,
            usage,
            doc,
            status: Status::Legacy(modern),
            negatable: false,
            read: Reading::Full(read),
        }
    }

    /// Lets `no` and `default` stand before the word.
    #[must_use]
    pub(crate) const fn negatable(self) -> Self {
        Self {
            negatable: true,
            ..self
        }
    }
}

/// Reads the words that are left on a line, each of which must be one of `known`, with the words behind it.
///
/// Behind a word that cannot be read the next one is looked for, see [`Args::resume`], so that one pass tells of all of them.
pub(crate) fn read_words<Target>(
    args: &mut Args<'_>,
    known: &'static [Keyword<Target>],
    target: &mut Target,
    what: &str,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    while let Some(word) = args.next() {
        let names = known.iter().map(|row| row.name);
        let Ok(index) = known.binary_search_by(|row| row.name.cmp(bare(&word.text))) else {
            let message = format_args!("'{}' is not {what}", word.text);
            let error = Diagnostic::error(Kind::Unknown, word.span, message);
            found.push(match nearest(&word.text, names.clone()) {
                Some(near) => error.help(format_args!("did you mean '{near}'?")),
                None => error,
            });
            args.resume(names);
            continue;
        };
        let row = &known[index];
        let read = match row.read {
            Reading::Full(read) => read(args, target),
            Reading::Form => usage(args, row.name, row.usage),
            Reading::Switch(set) => {
                set(target, true);
                Ok(())
            }
        };
        let remark = row.status.diagnostic(row.name, word.span);
        found.extend(remark.filter(|remark| !repeats(&found, remark)));
        match read {
            Ok(()) => {}
            // The word and what belongs to it have been understood, so that reading can go on behind them.
            Err(error) if error.kind == Kind::NotImplemented => found.push(error),
            Err(error) => {
                found.push(error);
                args.resume(names);
            }
        }
    }
    found
}

/// A word without the argument in parentheses that some words carry, as in `set-var(txn.a)`.
pub(crate) fn bare(word: &str) -> &str {
    word.split('(').next().unwrap_or_default()
}

/// Whether something with the same reason has been said: twenty words about TLS on one line need one complaint.
fn repeats(found: &[Diagnostic], remark: &Diagnostic) -> bool {
    let same = |earlier: &Diagnostic| earlier.kind == remark.kind && earlier.cause == remark.cause;
    remark.kind == Kind::NotImplemented && found.iter().any(same)
}

/// Checks arguments against a usage text, for words whose values nobody reads.
///
/// A usage is a list of tokens: `NUMBER`, `TIME` and `SIZE` are checked as such, `a|b` is a choice of words, a word
/// without capitals stands for itself, `[X]` may be absent, `X...` takes everything that is left, and any other token stands for one word.
pub(crate) fn usage(args: &mut Args<'_>, name: &str, usage: &str) -> Result<(), Diagnostic> {
    for token in usage.split_whitespace() {
        if let Some(many) = token.trim_end_matches(']').strip_suffix("...") {
            if !many.starts_with('[') {
                args.word(&format!("an argument of '{name}'"))?;
            }
            while args.next().is_some() {}
            return Ok(());
        }
        let (token, optional) = match token
            .strip_prefix('[')
            .and_then(|token| token.strip_suffix(']'))
        {
            Some(token) => (token, true),
            None => (token, false),
        };
        if optional && args.is_empty() {
            continue;
        }
        argument(args, name, token)?;
    }
    Ok(())
}

fn argument(args: &mut Args<'_>, name: &str, token: &str) -> Result<(), Diagnostic> {
    let what = format!("the {} of '{name}'", token.to_lowercase());
    match token {
        "NUMBER" => {
            let word = args.word(&what)?;
            match word.text.parse::<i64>() {
                Ok(_) => Ok(()),
                Err(_) => {
                    let message = format_args!("'{}' is not a number", word.text);
                    Err(Diagnostic::error(Kind::Invalid, word.span, message))
                }
            }
        }
        "TIME" => haproxy::value::duration_ms(args, &what).map(drop),
        "SIZE" => haproxy::value::size_bytes(args, &what).map(drop),
        choice if choice.contains('|') || !choice.contains(char::is_uppercase) => {
            let word = args.word(&what)?;
            let numeric = word.text.parse::<i64>().is_ok();
            let fits = |known: &str| known == word.text || (known == "NUMBER" && numeric);
            if choice.split('|').any(fits) {
                return Ok(());
            }
            let message = format_args!("'{}' is not a value of '{name}'", word.text);
            let error = Diagnostic::error(Kind::Invalid, word.span, message);
            Err(error.help(format_args!("write one of {}", choice.replace('|', ", "))))
        }
        _ => args.word(&what).map(drop),
    }
}
