//! Whether lines of a configuration load, load with a warning, or are refused: HAProxy and Plimsoll judge each alike.
//!
//! `verdicts.txt` has one line of a proxy a line, behind its verdict; `;` separates several. Lines that begin with `==` say
//! in which section and mode those below stand. Behind a tab may stand why HAProxy's verdict is another one, which then
//! must differ.

use std::process::Command;

use crate::rig::{PLIMSOLL, Rig, run};
use crate::stage::{reference, version};

const VERDICTS: &str = include_str!("verdicts.txt");

/// One line, and what is said of it.
struct Line {
    /// Where it stands: the section, and the mode.
    section: &'static str,
    mode: &'static str,
    verdict: &'static str,
    text: &'static str,
    /// Why HAProxy's verdict is another one.
    reason: Option<&'static str>,
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    let (mut section, mut mode) = ("frontend", "http");
    for line in VERDICTS.lines().filter(|line| !line.is_empty()) {
        if let Some(place) = line.strip_prefix("== ") {
            (section, mode) = place.split_once(' ').expect("a section and a mode");
            continue;
        }
        let (line, reason) = match line.split_once('\t') {
            Some((line, reason)) => (line, Some(reason)),
            None => (line, None),
        };
        let (verdict, text) = line.split_once(' ').expect("a verdict and a line");
        lines.push(Line {
            section,
            mode,
            verdict,
            text,
            reason,
        });
    }
    lines
}

fn configuration(line: &Line) -> String {
    let Line { section, mode, .. } = line;
    let own = line.text.replace(';', "\n    ");
    let (mut global, mut defaults) = (String::new(), String::new());
    match *section {
        "global" => global = format!("global\n    {own}\n"),
        "defaults" => defaults = format!("    {own}\n"),
        _ => {}
    }
    if matches!(*section, "defaults" | "global") {
        return format!(
            "{global}defaults\n    mode {mode}\n    timeout client 1m\n    timeout connect 1m\n    timeout server 1m\n\
             {defaults}listen p\n    bind 127.0.0.1:1\n    server s 127.0.0.1:1\n"
        );
    }
    let bind = match *section {
        "backend" => "",
        _ => "bind 127.0.0.1:1",
    };
    let server = match *section {
        "frontend" => "default_backend b",
        _ => "server t 127.0.0.1:1",
    };
    format!(
        "defaults\n    mode {mode}\n    timeout client 1m\n    timeout connect 1m\n    timeout server 1m\n\
         {section} p\n    {bind}\n    {own}\n    {server}\nbackend b\n    server s 127.0.0.1:1\n"
    )
}

/// `ok`, `warned` or `refused`, with what was said.
fn verdict(command: &mut Command, warning: &str) -> (&'static str, String) {
    let outcome = run(command);
    let said = outcome.stdout + &outcome.stderr;
    let verdict = match outcome.status {
        Some(0) if said.contains(warning) => "warned",
        Some(0) => "ok",
        _ => "refused",
    };
    (verdict, said)
}

#[test]
fn lines_are_judged_alike() {
    let Some(reference) = reference() else { return };
    let judges = version(&reference).0 >= 3;
    let rig = Rig::new();
    let mut wrong = Vec::new();
    for line in lines() {
        let path = rig.file("line.cfg", &configuration(&line));
        let mut ours = Command::new(PLIMSOLL);
        let (our, said) = verdict(ours.arg("check").arg("-f").arg(&path), "warning:");
        if our != line.verdict {
            wrong.push(format!(
                "{}: {our}, not {}\n{said}",
                line.text, line.verdict
            ));
        }
        if !judges {
            continue;
        }
        let mut theirs = Command::new(&reference);
        let (their, said) = verdict(theirs.arg("-c").arg("-f").arg(&path), "[WARNING]");
        match line.reason {
            None if their != line.verdict => {
                wrong.push(format!("{}: HAProxy says {their}\n{said}", line.text));
            }
            Some(reason) if their == line.verdict => {
                wrong.push(format!("{} no longer differs ({reason})", line.text));
            }
            _ => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are judged otherwise\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// `-dr`: servers whose names cannot be resolved are no error.
#[test]
fn unknown_hosts_may_be_borne() {
    let Some(reference) = reference() else { return };
    let rig = Rig::new();
    let text = "defaults\n    mode http\n    timeout client 1m\n    timeout connect 1m\n    timeout server 1m\n\
                listen p\n    bind 127.0.0.1:1\n    server a nobody.invalid:80\n";
    let path = rig.file("names.cfg", text);
    for program in [reference.as_path(), PLIMSOLL.as_ref()] {
        for (flags, status) in [(&["-c"][..], 1), (&["-dr", "-c"][..], 0)] {
            let outcome = run(Command::new(program).args(flags).arg("-f").arg(&path));
            let said = outcome.stdout + &outcome.stderr;
            assert_eq!(
                outcome.status,
                Some(status),
                "{program:?} {flags:?}: {said}"
            );
        }
    }
}
