//! Rules written in another order than they run in.

use super::{Findings, Lint, Proxy, begins};

pub(super) const LINT: Lint = Lint {
    name: "order",
    doc: "Rules run kind by kind, whatever order they are written in: connections, sessions, contents, requests, old redirects, \
          the choice of a backend, the choice of a server.",
    usual: true,
    example: "redirect scheme https if { path /a }\nhttp-request deny if { path /a }",
    better: "http-request deny if { path /a }\nhttp-request redirect scheme https if { path /a }",
    look,
};

/// In the order in which they run.
const STAGES: [&[&str]; 10] = [
    &["tcp-request", "connection"],
    &["tcp-request", "session"],
    &["tcp-request", "content"],
    &["monitor", "fail"],
    &["http-request"],
    &["redirect"],
    &["use_backend"],
    &["use-server"],
    &["tcp-response", "content"],
    &["http-response"],
];

/// Where those for responses begin.
const RESPONSES: usize = 8;

fn look(proxy: &Proxy<'_>, findings: &mut Findings) {
    let mut seen = [false; STAGES.len()];
    for line in proxy.lines() {
        let Some(stage) = STAGES.iter().position(|words| begins(line, words)) else {
            continue;
        };
        let last = if stage < RESPONSES {
            RESPONSES
        } else {
            STAGES.len()
        };
        if let Some(later) = (stage + 1..last).find(|later| seen[*later]) {
            let (own, later) = (STAGES[stage].join(" "), STAGES[later].join(" "));
            let message = format!("this '{own}' rule runs before the '{later}' rules above it");
            findings.add(line.span, message, "write it above them, as it runs");
        }
        seen[stage] = true;
    }
}
