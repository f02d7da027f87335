//! The exporter for Prometheus: names and labels of its samples are compared, whatever is asked for. Values, help and families
//! of our own are not.

use std::collections::BTreeSet;
use std::path::Path;

use crate::rig::{PLIMSOLL, Rig, free_address};
use crate::stage::{reference, version};

/// What is asked for, in the query.
const QUERIES: [&str; 16] = [
    "scope=frontend",
    "scope=backend",
    "scope=server",
    "scope=resolver",
    "scope=backend&scope=server&no-maint",
    "scope=*&scope=",
    "scope=galaxy",
    "scope=frontend&desc-labels",
    "scope=server&desc-labels",
    "metrics=haproxy_server_status,haproxy_backend_status",
    "metrics=haproxy_server_status%2Chaproxy_process_nbthread",
    "metrics=haproxy_process_nbthread&desc-labels",
    "metrics=-haproxy_server_status&scope=server",
    "metrics=haproxy_server_status&metrics=-haproxy_server_status",
    "metrics=none",
    "metrics",
];

/// The status of each answer, and the samples in it without their values.
fn scrapes(program: &Path) -> Vec<(u16, BTreeSet<String>)> {
    let address = free_address();
    let mut rig = Rig::new();
    let origin = rig.origin("s");
    let text = format!(
        "global\n description the process\n\
         resolvers names\n nameserver one 127.0.0.1:5399\n\
         defaults\n mode http\n timeout client 1m\n timeout server 1m\n timeout connect 20s\n\
         frontend fe\n description a \"front end\"\n bind {address}\n\
         http-request use-service prometheus-exporter if {{ path /metrics }}\n default_backend be\n\
         backend be\n description the back\n {} check inter 10m\n server off 127.0.0.1:1 disabled\n",
        origin.server_line(),
    );
    rig.serve(program, &text, address);
    let scrape = |query| {
        let response = rig.get(&format!("/metrics?{query}"));
        let text = response.text();
        let samples = text.lines().filter(|line| {
            let is_ours = line.starts_with("plimsoll_");
            // HAProxy makes a section of the system's name servers.
            !line.starts_with(['#', '<']) && !is_ours && !line.contains("resolver=\"default\"")
        });
        let names = samples.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()));
        match response.status {
            200 => (200, names.collect()),
            status => (status, BTreeSet::new()),
        }
    };
    QUERIES.into_iter().map(scrape).collect()
}

#[test]
fn samples_have_the_same_names_and_labels() {
    let Some(program) = reference().filter(|program| version(program) >= (3, 0)) else {
        return;
    };
    let (theirs, ours) = (scrapes(&program), scrapes(Path::new(PLIMSOLL)));
    for ((query, theirs), ours) in QUERIES.iter().zip(theirs).zip(ours) {
        assert_eq!(theirs.0, ours.0, "{query}");
        let missing: Vec<_> = theirs.1.difference(&ours.1).collect();
        let more: Vec<_> = ours.1.difference(&theirs.1).collect();
        assert!(
            missing.is_empty() && more.is_empty(),
            "{query}: missing {missing:#?}, more {more:#?}"
        );
    }
}
