//! Words in, text and exit statuses out; nothing is served.

use crate::rig::{Rig, plimsoll, run};
use std::process::Command;

const GOOD: &str = "\
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:1
    default_backend app
backend app
    server a 127.0.0.1:1
";

const BAD: &str =
    "frontend web\n    bind :99999\n    maxcon 10\nbackend app\n    balance leastcon\n";

#[test]
fn conditions() {
    let cases = [
        ("", 1),
        ("0", 1),
        ("1", 0),
        ("-3 && 200", 0),
        ("version_atleast(3.5-dev5)", 0),
        ("version_atleast(v3.5-dev3)", 0),
        ("version_before(2.0)", 1),
        ("version_atleast(1024)", 1),
        ("streq(\"a b\",'a b')", 0),
        ("feature(OPENSSL)", 0),
        ("feature(THREAD) && !feature(QUIC)", 0),
        (
            "defined(PLIMSOLL_TEST_VARIABLE) && streq(\"$PLIMSOLL_TEST_VARIABLE\",7)",
            0,
        ),
        ("enabled(SPLICE)", 0),
        ("200rrr", 2),
        ("!(0))", 2),
        ("frobnicate(1)", 2),
        ("streq(a,\"a)", 2),
    ];
    for (condition, status) in cases {
        // With other flags before it, and alone.
        for flags in [&["-dM", "-dI", "-dW", "-cc"][..], &["-cc"]] {
            let mut command = Command::new(crate::rig::PLIMSOLL);
            command
                .args(flags)
                .arg(condition)
                .env("PLIMSOLL_TEST_VARIABLE", "7");
            let outcome = run(&mut command);
            assert_eq!(
                outcome.status,
                Some(status),
                "{condition}: {}",
                outcome.stderr
            );
            assert_eq!(
                outcome.stderr.is_empty(),
                status != 2,
                "{condition}: {}",
                outcome.stderr
            );
        }
    }
}

#[test]
fn a_good_file_passes_and_a_bad_one_does_not() {
    let rig = Rig::new();
    let good = rig.file("good.cfg", GOOD).display().to_string();
    let bad = rig.file("bad.cfg", BAD).display().to_string();
    let nothing = rig
        .file("nothing.cfg", "defaults\n    mode http\n")
        .display()
        .to_string();
    let cases: &[(&[&str], i32)] = &[
        (&["-c", "-f", &good], 0),
        (&["-d", "-dM", "-c", "-f", &good], 0),
        (&["-c", "--", &good], 0),
        (&["-c", "-f", &bad], 1),
        (&["-f", &bad], 1),
        (&["-W", "-f", &bad], 1),
        (&["-c", "-f", &nothing], 2),
        (&["-f", &nothing], 1),
        (&["-c", "-f", "no/such/file.cfg"], 1),
        (&["-c"], 1),
        (&["-f"], 1),
        (&["check", &good], 0),
        (&["check", &bad], 1),
        (&["check", "-f", &good], 0),
        (&["check", "-f", &bad], 1),
        (&["check", "--file", &good, "-f", &bad], 1),
        (&["check", "-f", &good, &good], 2),
        (&["check"], 2),
        (&["run"], 2),
        (&["run", "-f", &bad], 1),
        (&["check", "no/such/file.cfg"], 1),
        (&["run", &bad], 1),
    ];
    for (words, status) in cases {
        let outcome = plimsoll(words);
        assert_eq!(
            outcome.status,
            Some(*status),
            "{words:?}: {}{}",
            outcome.stdout,
            outcome.stderr
        );
    }
    for words in [
        &["-f", &bad][..],
        &["-db", "-f", &bad],
        &["-W", "-f", &bad],
        &["run", &bad],
    ] {
        let told = plimsoll(words).stderr;
        assert_eq!(
            told.matches("did you mean 'maxconn'").count(),
            1,
            "{words:?}: {told}"
        );
    }
    assert_eq!(
        plimsoll(&["-c", "-f", &good]).stdout,
        "Configuration file is valid\n"
    );
    assert_eq!(plimsoll(&["-c", "-q", "-f", &good]).stdout, "");
}

#[test]
fn check_tells_everything_at_once_in_three_forms() {
    let rig = Rig::new();
    let bad = rig.file("bad.cfg", BAD).display().to_string();
    let text = plimsoll(&["check", &bad]).stdout;
    for part in [
        "99999",
        "maxcon",
        "did you mean 'maxconn'",
        "leastcon",
        "^",
        ":2:11",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    let short = plimsoll(&["check", "--format", "short", &bad]).stdout;
    let place = |line: u32, column: u32| format!("{bad}:{line}:{column}: error: ");
    for place in [place(2, 11), place(3, 5), place(5, 13)] {
        assert!(
            short.lines().any(|line| line.starts_with(&place)),
            "{place} is missing in:\n{short}"
        );
    }
    let json = plimsoll(&["check", "--format", "json", &bad]).stdout;
    let problems: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let errors = problems
        .as_array()
        .unwrap()
        .iter()
        .filter(|problem| problem["severity"] == "error");
    let lines: Vec<_> = errors
        .map(|problem| problem["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [2, 3, 5]);
}

#[test]
fn warnings_can_be_made_fatal() {
    let rig = Rig::new();
    // The timeout of clients is missing.
    let text = GOOD.replace("    timeout client 5s\n", "");
    let file = rig.file("warning.cfg", &text).display().to_string();
    let cases: &[(&[&str], i32)] = &[
        (&["-c", "-f", &file], 0),
        (&["-dW", "-c", "-f", &file], 1),
        (&["check", &file], 0),
        (&["check", "--deny-warnings", &file], 1),
    ];
    for (words, status) in cases {
        let outcome = plimsoll(words);
        assert_eq!(
            outcome.status,
            Some(*status),
            "{words:?}: {}",
            outcome.stderr
        );
    }
    let good = rig.file("good.cfg", GOOD).display().to_string();
    assert_eq!(
        plimsoll(&["-dW", "-c", "-f", &good]).status,
        Some(0),
        "our own warnings must not trigger"
    );
}

#[test]
fn explain_lists_the_limits() {
    let rig = Rig::new();
    let text = GOOD.replace(
        "127.0.0.1:1\n    default",
        "127.0.0.1:1\n    maxconn 321\n    default",
    );
    let file = rig.file("good.cfg", &text).display().to_string();
    let text = plimsoll(&["check", "--explain", &file]).stdout;
    let row = text
        .lines()
        .find(|line| line.contains("frontend web: connections"))
        .unwrap_or_default();
    assert!(row.ends_with(" 321"), "{text}");
}

#[test]
fn a_request_is_explained_as_text_and_as_json() {
    let rig = Rig::new();
    let text = format!("{GOOD}    http-request deny if {{ path_beg /admin }}\n");
    let file = rig.file("why.cfg", &text).display().to_string();
    let told = plimsoll(&["why", "-f", &file, "/admin/x?y"]);
    assert_eq!(told.status, Some(0), "{}", told.stderr);
    for part in [
        "frontend web\nproxy app\n",
        "why.cfg:11  http-request deny  -> answered with 403",
        "path = '/admin/x', matches",
        "=> answered with 403 by ",
    ] {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
    let told = plimsoll(&[
        "why",
        "--json",
        "-f",
        &file,
        "GET / HTTP/1.1",
        "-H",
        "Host: a",
    ]);
    let json: serde_json::Value = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!(
        (&json["backend"], &json["server"]),
        (&"app".into(), &"a".into())
    );
    assert_eq!(json["steps"][0]["line"], 11);
    let told = plimsoll(&["why", "-f", &file, "GET  HTTP/1.1"]);
    assert_eq!(told.status, Some(1));
    assert!(
        told.stderr.contains("no acceptable request"),
        "{}",
        told.stderr
    );
    let told = plimsoll(&["why", "-f", &file, "--frontend", "wob", "/"]);
    assert!(
        told.stderr.contains("no frontend is called 'wob'"),
        "{}",
        told.stderr
    );
}

#[test]
fn lints_are_told_when_they_are_asked_for() {
    let rig = Rig::new();
    let text = format!("{GOOD}    acl nobody path /a\n");
    let file = rig.file("lint.cfg", &text).display().to_string();
    let plain = plimsoll(&["check", &file]);
    assert!(plain.stdout.contains("no problems"), "{}", plain.stdout);
    let told = plimsoll(&["check", "--lint", "--format", "short", &file]);
    assert_eq!(told.status, Some(0));
    let line = "lint.cfg:11:9: warning: no condition asks for the acl 'nobody' [unused-acl]";
    assert!(told.stdout.contains(line), "{}", told.stdout);
    assert_eq!(
        plimsoll(&["check", "--lint", "--deny-warnings", &file]).status,
        Some(1)
    );
}

#[test]
fn files_of_other_programs_get_a_clear_answer() {
    let rig = Rig::new();
    let cases = [
        ("keepalived", "vrrp_instance VI_1 {\n    state MASTER\n}\n"),
        ("nginx", "http {\n    server { listen 80; }\n}\n"),
    ];
    for (name, text) in cases {
        let file = rig
            .file(&format!("{name}.conf"), text)
            .display()
            .to_string();
        for command in ["check", "run"] {
            let outcome = plimsoll(&[command, &file]);
            assert_eq!(outcome.status, Some(1));
            let expected = format!("a configuration of {name}, which is not implemented yet");
            assert!(outcome.stderr.contains(&expected), "{}", outcome.stderr);
        }
    }
}

#[test]
fn the_version_is_honest_and_readable_by_scripts() {
    for name in ["-v", "-vv"] {
        let text = plimsoll(&[name]).stdout;
        assert!(text.starts_with("HAProxy version 3.5-dev5 "), "{text}");
        assert!(text.contains("this is Plimsoll"), "{text}");
    }
    assert!(plimsoll(&["-vv"]).stdout.contains("TARGET  = linux-glibc"));
    assert_eq!(plimsoll(&["-vq"]).stdout, "3.5-dev5\n");
    assert!(plimsoll(&["--version"]).stdout.starts_with("plimsoll "));
}

#[test]
fn called_as_haproxy_it_reads_haproxys_words_only() {
    let rig = Rig::new();
    let link = rig.path("haproxy");
    std::os::unix::fs::symlink(crate::rig::PLIMSOLL, &link).unwrap();
    let outcome = run(Command::new(&link).arg("run"));
    assert_eq!(outcome.status, Some(1));
    assert!(
        outcome.stderr.contains("'run' is no option"),
        "{}",
        outcome.stderr
    );
    let file = rig.file("good.cfg", GOOD);
    let outcome = run(Command::new(&link).args(["-c", "-f"]).arg(file));
    assert_eq!(
        (outcome.status, outcome.stdout.as_str()),
        (Some(0), "Configuration file is valid\n")
    );
}

#[test]
fn several_files_and_a_folder_are_one_configuration() {
    let rig = Rig::new();
    let (head, tail) = GOOD.split_at(GOOD.find("backend app\n    server").unwrap());
    let first = rig.file("first.cfg", head).display().to_string();
    std::fs::create_dir(rig.path("conf.d")).unwrap();
    rig.file("conf.d/20-app.cfg", tail);
    rig.file("conf.d/ignored.txt", "frobnicate\n");
    let folder = rig.path("conf.d").display().to_string();
    assert_eq!(
        plimsoll(&["-c", "-f", &first]).status,
        Some(1),
        "the backend is in the other file"
    );
    let outcome = plimsoll(&["-c", "-f", &first, "-f", &folder]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
}
