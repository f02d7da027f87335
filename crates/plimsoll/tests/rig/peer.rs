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
    let found = env::var_os("PATH")
        .iter()
        .flat_map(env::split_paths)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        miss(name);
    }
    found
}

/// As [`require_peer`], for a module of Python; the path of the interpreter that has it.
pub fn require_python_module(module: &str) -> Option<PathBuf> {
    let python = require_peer("python3")?;
    let found = Command::new(&python)
        .args(["-c", &format!("import {module}")])
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        miss(module);
    }
    found.then_some(python)
}

fn miss(name: &str) {
    let required = env::var_os(REQUIRE).is_some_and(|value| !value.is_empty() && value != "0");
    assert!(!required, "{name} is not installed, and {REQUIRE} is set");
    eprintln!("SKIPPED: {name} is not installed");
}
