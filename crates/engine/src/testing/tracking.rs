//! Rules that track keys, for the worlds of other tests, and what must be true of the tables when everybody has left.
//!
//! Whatever the seeds do to connections and exchanges (refusals, resets, time-outs, retries, tunnels), each of them lets
//! go of its key exactly once.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use plimsoll_config::condition::{Conditions, LibraryVersion, Version};
use plimsoll_config::haproxy;
use plimsoll_config::source::{Environment, MemoryLoader};
use plimsoll_policy::keyword::haproxy::{Context, GRAMMAR, Machine, load};
use plimsoll_policy::model::Model;
use plimsoll_policy::plane::Plane;
use plimsoll_policy::stick_table::Data;

struct Nowhere;

impl Machine for Nowhere {
    fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn user_id(&self, _: &str) -> Option<u32> {
        None
    }

    fn group_id(&self, _: &str) -> Option<u32> {
        None
    }
}

impl Conditions for Nowhere {
    fn version(&self) -> Version {
        Version::development(3, 5, 5)
    }

    fn feature(&self, _: &str) -> bool {
        false
    }

    fn openssl_version(&self) -> Option<LibraryVersion> {
        None
    }

    fn ssl_library(&self) -> Option<&str> {
        None
    }
}

/// Gives the first frontend and backend of `model` the rules of `front` and `back`, and the model a table `t`.
pub(super) fn with_rules(model: &mut Model, mode: &str, front: &str, back: &str) {
    let text = format!(
        "frontend front\n mode {mode}\n bind :80\n default_backend back\n timeout client 1s\n{front}\n\
         backend back\n mode {mode}\n timeout server 1s\n timeout connect 1s\n{back}\n\
         backend t\n stick-table type ip size 1m expire 1h store conn_cur,conn_cnt,sess_cnt,http_req_cnt,http_err_cnt,\
         http_fail_cnt,bytes_in_cnt,bytes_out_cnt,gpc0\n"
    );
    let files = MemoryLoader::new().file("rules.cfg", text);
    let mut environment = Environment::default();
    let parsed = haproxy::parse(
        &[PathBuf::from("rules.cfg")],
        &files,
        &mut environment,
        &GRAMMAR,
        &Nowhere,
    );
    let context = Context {
        files: &files,
        machine: &Nowhere,
        sources: &parsed.sources,
        environment: &environment,
    };
    let loaded = load(&parsed.document, &context);
    let rules = loaded
        .model
        .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    model.frontends[0].rules = rules.frontends[0].rules.clone();
    model.backends[0].rules = rules.backends[0].rules.clone();
    model.tables = rules.tables;
}

/// Everything tracked has been let go of, once.
pub(super) fn assert_nothing_is_tracked(plane: &Plane, now_ms: u64) {
    for table in plane.tables.iter() {
        table.visit(now_ms, |row| {
            let current = row.entry.read(Data::ConnCur, 0);
            assert_eq!((row.entry.users(), current), (0, Some(0)), "{:?}", row.key);
        });
    }
}
