//! Samples that HAProxy has and that will not be here: each with its reason.

use super::ssl;

/// Why a sample that HAProxy has is not here; `None`: it may come.
pub(crate) fn absence(name: &str) -> Option<&'static str> {
    let known = REASONS.iter().find(|(prefix, _)| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || prefix.ends_with(['.', '_']))
    });
    known.map(|(_, why)| *why).or_else(|| ssl::absence(name))
}

const INSIDE: &str = "it shows HAProxy's inner form of a message, which does not exist here; \
    req.hdrs, req.body, res.hdrs and res.body show the message";

const TASKS: &str = "no clock is read around each turn of a task, because that would cost every request; \
    'show info' and the metrics tell how busy workers are";

/// Names, or what names begin with, and why they are not here.
const REASONS: [(&str, &str); 9] = [
    (
        "bs.debug_str",
        "it shows HAProxy's inner state; bs.id, bs.aborted and bs.rst_code tell of the stream",
    ),
    ("cpu_calls", TASKS),
    ("cpu_ns_", TASKS),
    (
        "cpu_usage_",
        "it would be a figure of one turn of a loop; Idle_pct in 'show info' tells how busy workers are",
    ),
    (
        "fs.debug_str",
        "it shows HAProxy's inner state; fs.id, fs.aborted and fs.rst_code tell of the stream",
    ),
    ("internal.htx.", INSIDE),
    ("internal.htx_blk.", INSIDE),
    ("lat_ns_", TASKS),
    (
        "term_events",
        "it lists events within HAProxy's own layers in a form that its manual does not describe; \
        txn.sess_term_state, fc_err, bc_err and last_entity tell how an exchange ended",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::haproxy::names::samples::SAMPLES;
    use crate::sample;

    #[test]
    fn what_is_absent_is_known_and_not_there() {
        for (prefix, _) in REASONS {
            let mut named = SAMPLES.iter().filter(|name| name.starts_with(prefix));
            assert!(named.next().is_some(), "{prefix}");
        }
        for name in SAMPLES {
            assert!(
                absence(name).is_none() || sample::find(name).is_none(),
                "{name}"
            );
        }
    }
}
