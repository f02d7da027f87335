//! What depends on what, and on whose work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::files;

/// The arrows of ARCHITECTURE.md: each crate and the ones it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("engine", &["config", "policy", "sys", "wire"]),
    ("lab", &["config", "sys", "wire"]),
    (
        "plimsoll",
        &["config", "engine", "lab", "policy", "sys", "wire"],
    ),
    ("policy", &["config", "wire"]),
    ("sys", &[]),
    ("wire", &[]),
];

/// Where every package comes from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The names in the tables of a manifest whose header ends with `table`.
fn dependencies(manifest: &str, table: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            inside = header.trim_end_matches(']').ends_with(table);
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            names.insert(name.to_owned());
        }
    }
    names
}

#[test]
fn arrows_point_one_way() {
    let mut complaints = Vec::new();
    for (room, allowed) in ARROWS {
        let manifest = files::text(Path::new(&format!("crates/{room}/Cargo.toml")));
        for name in dependencies(&manifest, "dependencies") {
            let Some(target) = name.strip_prefix("plimsoll-") else {
                continue;
            };
            if !allowed.contains(&target) {
                complaints.push(format!("crates/{room} may not depend on {name}"));
            }
        }
    }
    files::expect_none(&complaints);
}

#[test]
fn every_crate_has_its_arrows() {
    let crates: BTreeSet<String> = files::all()
        .iter()
        .filter(|path| path.ends_with("Cargo.toml") && path.starts_with("crates"))
        .filter_map(|path| path.iter().nth(1))
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let known: BTreeSet<String> = ARROWS.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(crates, known);
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = files::text(Path::new("Cargo.toml"));
    let mut used = dependencies(&manifest, "workspace.dependencies");
    used.retain(|name| !name.starts_with("plimsoll-"));
    let architecture = files::text(Path::new("ARCHITECTURE.md"));
    let (_, section) = architecture
        .split_once("## Dependencies")
        .expect("ARCHITECTURE.md lists dependencies");
    let section = section.split("\n## ").next().unwrap_or_default();
    // A row may explain several: | `a`, `b` | where | why |
    let explained: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split(" | ").next())
        .flat_map(|names| {
            names
                .split(", ")
                .map(|name| name.trim_matches('`').to_owned())
        })
        .collect();
    assert_eq!(used, explained, "left: Cargo.toml, right: ARCHITECTURE.md");
}

#[test]
fn crates_name_versions_only_through_the_workspace() {
    let mut complaints = Vec::new();
    for (room, _) in ARROWS {
        let path = format!("crates/{room}/Cargo.toml");
        let manifest = files::text(Path::new(&path));
        let mut inside = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                inside = line.ends_with("dependencies]");
            } else if inside
                && !line.is_empty()
                && !line.contains("workspace")
                && !line.starts_with('#')
            {
                complaints.push(format!("{path}: {line}"));
            }
        }
    }
    files::expect_none(&complaints);
}

#[test]
fn packages_come_from_the_public_registry() {
    let lock = files::text(Path::new("Cargo.lock"));
    let complaints: Vec<_> = lock
        .lines()
        .filter_map(|line| line.strip_prefix("source = "))
        .filter(|source| source.trim_matches('"') != REGISTRY)
        .map(str::to_owned)
        .collect();
    files::expect_none(&complaints);
}

/// The packages of the lock file as cargo describes them.
fn packages() -> Vec<serde_json::Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(files::root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo speaks JSON");
    let used: BTreeSet<String> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("a resolved graph")
        .iter()
        .filter_map(|node| node["id"].as_str().map(str::to_owned))
        .collect();
    let packages = metadata["packages"].take();
    let serde_json::Value::Array(mut packages) = packages else {
        panic!("cargo lists no packages")
    };
    packages.retain(|package| package["id"].as_str().is_some_and(|id| used.contains(id)));
    packages
}

/// The strings of a list in deny.toml.
fn listed(key: &str) -> BTreeSet<String> {
    let text = files::text(Path::new("deny.toml"));
    let (_, list) = text
        .split_once(&format!("\n{key} = ["))
        .unwrap_or_else(|| panic!("deny.toml has no list '{key}'"));
    let list = list.split("\n]").next().unwrap_or_default();
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn licences_are_those_of_deny_toml() {
    let allowed = listed("allow");
    let complaints: Vec<_> = packages()
        .iter()
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or_default(), &allowed))
        .map(|package| format!("{} is licensed {}", package["name"], package["license"]))
        .collect();
    files::expect_none(&complaints);
}

/// Whether an SPDX expression can be satisfied. Parentheses in the registry only ever hold alternatives.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace(['(', ')'], "").replace('/', " OR ");
    if expression.is_empty() {
        return false;
    }
    expression.split(" AND ").all(|part| {
        part.split(" OR ")
            .any(|licence| allowed.contains(licence.trim()))
    })
}

#[test]
fn licence_expressions() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "Unicode-3.0".to_owned()]);
    let cases = [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("Apache-2.0 OR MIT", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("Apache-2.0 AND MIT", false),
        ("GPL-2.0", false),
        ("", false),
    ];
    for (expression, expected) in cases {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}

#[test]
fn packages_are_locked_once() {
    let accepted = listed("skip");
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        versions
            .entry(text("name"))
            .or_default()
            .insert(text("version"));
    }
    let complaints: Vec<_> = versions
        .iter()
        .filter(|(name, versions)| versions.len() > 1 && !accepted.contains(*name))
        .map(|(name, versions)| format!("{name} is locked in versions {versions:?}"))
        .collect();
    files::expect_none(&complaints);
}
