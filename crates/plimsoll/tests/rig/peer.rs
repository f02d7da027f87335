//! Programs of others that judge ours from outside.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Set in CI, where every peer is installed: a test that would be skipped fails instead.
const REQUIRE: &str = "PLIMSOLL_REQUIRE_PEERS";

/// The path of an installed program; nothing, loudly, when it is absent and that is allowed.
///
/// # Panics
/// When it is absent and `PLIMSOLL_REQUIRE_PEERS` is set.
pub fn require_peer(name: &str) -> Option<PathBuf> {
    let found = candidates(name).next();
    if found.is_none() {
        miss(name);
    }
    found
}

/// As [`require_peer`], for a module of Python: the first interpreter of the search path that has it, as a machine may have
/// several and the distribution's packages belong to one.
pub fn require_python_module(module: &str) -> Option<PathBuf> {
    let script = format!("import {module}");
    let has_it = |python: &PathBuf| {
        let output = Command::new(python).args(["-c", &script]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let found = candidates("python3").find(has_it);
    if found.is_none() {
        miss(module);
    }
    found
}

/// The installed programs of that name, in the order of the search path.
fn candidates(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders
        .into_iter()
        .chain([PathBuf::from("/usr/sbin")])
        .map(move |folder| folder.join(name))
        .filter(|path| path.is_file())
}

fn miss(name: &str) {
    let required = env::var_os(REQUIRE).is_some_and(|value| !value.is_empty() && value != "0");
    assert!(!required, "{name} is not installed, and {REQUIRE} is set");
    eprintln!("SKIPPED: {name} is not installed");
}
