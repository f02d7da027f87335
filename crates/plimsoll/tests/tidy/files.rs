//! The files of the project.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that are never looked at when git cannot be asked.
const FOREIGN: &[&str] = &[".git", "target"];

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .parent()
        .and_then(Path::parent)
        .expect("crates live two folders deep")
}

/// Every tracked file, relative to the root; every file where git has no say (a source archive).
pub(crate) fn all() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output();
    let mut files: Vec<PathBuf> = match listed {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            let names = String::from_utf8(output.stdout).expect("file names are UTF-8");
            names
                .split_terminator('\0')
                .map(PathBuf::from)
                .filter(|path| root().join(path).is_file())
                .collect()
        }
        _ => {
            let mut found = Vec::new();
            walk(root(), &mut found);
            found
        }
    };
    files.sort();
    files
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("a readable folder");
    for path in entries.map(|entry| entry.expect("a readable entry").path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !FOREIGN.contains(&name.as_ref()) {
            walk(&path, found);
        } else if path.is_file() {
            let relative = path.strip_prefix(root()).expect("below the root");
            found.push(relative.to_owned());
        }
    }
}

/// The tracked files with an extension.
pub(crate) fn with_extension(extension: &str) -> Vec<PathBuf> {
    let mut files = all();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files
}

/// A file's text, with what is not UTF-8 replaced.
pub(crate) fn text(path: &Path) -> String {
    let bytes =
        fs::read(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Fails with the list of complaints, if there are any.
pub(crate) fn expect_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
