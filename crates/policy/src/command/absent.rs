//! Commands that HAProxy has and this program has not, each with the reason.
//!
//! Whoever types one learns why, instead of being told that it is unknown.

/// A command of HAProxy's.
pub struct Absent {
    /// The words that it begins with.
    pub path: &'static [&'static str],
    /// Why it is not here, or what is in its place: the rest of a sentence.
    pub why: &'static str,
}

const DEBUGGING: &str =
    "it examines or breaks the program from inside, which is for those who develop HAProxy";
const FROM_OUTSIDE: &str =
    "the system tells that better: 'perf', 'strace' and 'ss' see this process as any other";
const PLAIN: &str = "answers are given as they are; there is no anonymized mode";
const TICKETS: &str =
    "the keys of tickets are not shown or given here; a reload reads 'tls-ticket-keys' files anew";
const TRACES: &str =
    "nothing is traced live; 'set why sampling' writes down why requests went where they went";

/// All of them, in the order of their paths.
pub const ABSENT: &[Absent] = &[
    Absent {
        path: &["acme", "challenge_ready"],
        why: "challenges by DNS are not made, and the others need nobody's help",
    },
    Absent {
        path: &["debug"],
        why: DEBUGGING,
    },
    Absent {
        path: &["httpclient"],
        why: "this process makes no requests of its own for people; 'curl' does",
    },
    Absent {
        path: &["set", "anon"],
        why: PLAIN,
    },
    Absent {
        path: &["set", "profiling"],
        why: FROM_OUTSIDE,
    },
    Absent {
        path: &["set", "ssl", "tls-key"],
        why: TICKETS,
    },
    Absent {
        path: &["show", "anon"],
        why: PLAIN,
    },
    Absent {
        path: &["show", "cache"],
        why: "there is no cache yet",
    },
    Absent {
        path: &["show", "dev"],
        why: DEBUGGING,
    },
    Absent {
        path: &["show", "fd"],
        why: FROM_OUTSIDE,
    },
    Absent {
        path: &["show", "libs"],
        why: "the program is one file and loads nothing but the system's own libraries",
    },
    Absent {
        path: &["show", "peers"],
        why: "there are no peers yet; tables outlast reloads by themselves",
    },
    Absent {
        path: &["show", "profiling"],
        why: FROM_OUTSIDE,
    },
    Absent {
        path: &["show", "ssl", "providers"],
        why: "TLS is rustls on AWS-LC, which has no providers to load",
    },
    Absent {
        path: &["show", "tasks"],
        why: FROM_OUTSIDE,
    },
    Absent {
        path: &["show", "threads"],
        why: FROM_OUTSIDE,
    },
    Absent {
        path: &["show", "tls-keys"],
        why: TICKETS,
    },
    Absent {
        path: &["show", "trace"],
        why: TRACES,
    },
    Absent {
        path: &["trace"],
        why: TRACES,
    },
];

/// What is said to these words, if they are such a command.
pub(super) fn answer(words: &[String]) -> Option<String> {
    let absent = ABSENT
        .iter()
        .find(|absent| super::starts_with(words, absent.path))?;
    let path = absent.path.join(" ");
    Some(format!("'{path}' is not here: {}.", absent.why))
}
