//! Counters that one program has dumped begin another one: HAProxy's in Plimsoll, and Plimsoll's in HAProxy.

use std::fs;
use std::path::Path;

use crate::rig::{PLIMSOLL, Rig, ask, free_address, until};
use crate::stage::{reference, version};

/// Columns that both programs count alike, of the frontend, the server and the backend.
const ALIKE: [&str; 8] = [
    "stot", "hrsp_2xx", "hrsp_4xx", "req_tot", "ereq", "lbtot", "econ", "connect",
];

/// Lets a program begin with a file and serve some requests; returns what it showed at the beginning, and what it dumped
/// at the end.
fn life(program: &Path, file: &Path, requests: usize) -> (Vec<Vec<String>>, String) {
    let address = free_address();
    let mut rig = Rig::new();
    let origin = rig.origin("s");
    let text = format!(
        "global\n stats socket {socket} level admin\n stats-file {file}\n\
         defaults\n mode http\n option http-ignore-probes\n timeout client 1m\n timeout server 1m\n timeout connect 20s\n\
         frontend fe\n guid fe:1\n bind {address}\n http-request return status 404 if {{ path /none }}\n default_backend be\n\
         backend be\n guid be:1\n {server} guid srv:1\n",
        socket = rig.path("socket").display(),
        file = file.display(),
        server = origin.server_line(),
    );
    rig.serve(program, &text, address);
    let socket = rig.path("socket");
    let shown = columns(&ask(&socket, "show stat"));
    for _ in 0..requests {
        assert_eq!(rig.get("/").status, 200);
    }
    assert_eq!(rig.get("/none").status, 404);
    // An answer may reach its client before it is counted.
    let counted = || {
        let now = columns(&ask(&socket, "show stat"));
        let count = |rows: &[Vec<String>], name, column: usize| {
            let mut rows = rows.iter();
            let row = rows.find(|row| row[0] == name).expect("its row");
            row[column].parse::<usize>().unwrap_or(0)
        };
        let more = |name, column| count(&now, name, column) - count(&shown, name, column);
        // 2xx, 4xx
        let front = (more("FRONTEND", 2), more("FRONTEND", 3));
        front == (requests, 1) && more("BACKEND", 2) == requests && more("s", 2) == requests
    };
    assert!(until(counted), "{}", ask(&socket, "show stat"));
    (shown, ask(&socket, "dump stats-file"))
}

/// The columns that are alike in the rows of `show stat`. What connected to see whether it listens is left out.
fn columns(answer: &str) -> Vec<Vec<String>> {
    let mut lines = answer.trim_start_matches("# ").lines();
    let names: Vec<_> = lines.next().unwrap_or_default().split(',').collect();
    let row = |line: &str| {
        let cells: Vec<_> = line.split(',').collect();
        let cell = |name: &&str| {
            names
                .iter()
                .position(|known| known == name)
                .map(|place| cells[place])
        };
        let alike = ALIKE.iter().filter_map(cell).map(str::to_owned);
        [cells[1].to_owned()]
            .into_iter()
            .chain(alike)
            .collect::<Vec<_>>()
    };
    lines.filter(|line| !line.is_empty()).map(row).collect()
}

#[test]
fn counters_go_from_one_program_to_the_other() {
    let Some(reference) = reference() else { return };
    if version(&reference).0 < 3 {
        eprintln!("SKIPPED: HAProxy before 3.0 has no such files");
        return;
    }
    let folder = Rig::new();
    let own = Path::new(PLIMSOLL);
    for (first, second) in [
        (reference.as_path(), own),
        (own, reference.as_path()),
        (own, own),
    ] {
        let file = folder.path("stats");
        fs::write(&file, "").expect("a file");
        let (_, dumped) = life(first, &file, 5);
        fs::write(&file, &dumped).expect("a file");
        let (shown, dumped_again) = life(second, &file, 2);
        let row = |name: &str| {
            let mut rows = shown.iter();
            rows.find(|row| row[0] == name)
                .unwrap_or_else(|| panic!("{name} in {shown:?}"))
        };
        let (server, backend) = (row("s"), row("BACKEND"));
        // stot, 2xx, 4xx, requests, -, balanced.
        for (row, expected) in [
            (server, ["5", "5", "0", "5"]),
            (backend, ["5", "5", "0", "5"]),
        ] {
            assert_eq!(row[1..5], expected, "{first:?} to {second:?}: {shown:?}");
            assert_eq!(row[6], "5", "{shown:?}");
        }
        let front = row("FRONTEND");
        assert_eq!(
            front[2..4],
            ["5", "1"],
            "{first:?} to {second:?}: {shown:?}"
        );
        let line = dumped_again.lines().find(|line| line.starts_with("srv:1,"));
        let line = line.unwrap_or_else(|| panic!("{dumped_again}"));
        assert!(line.starts_with("srv:1,7,"), "{line}");
        let heads = |text: &str| {
            let heads = text.lines().filter(|line| line.starts_with('#'));
            heads.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(heads(&dumped), heads(&dumped_again), "the same columns");
    }
}

/// What of checks a file tells goes on in either program.
#[test]
fn what_checks_have_counted_goes_on() {
    let Some(reference) = reference() else { return };
    if version(&reference).0 < 3 {
        eprintln!("SKIPPED: HAProxy before 3.0 has no such files");
        return;
    }
    for program in [reference.as_path(), Path::new(PLIMSOLL)] {
        let address = free_address();
        let mut rig = Rig::new();
        let origin = rig.origin("s");
        let (socket, file) = (rig.path("socket"), rig.path("stats"));
        let counted =
            "#fe guid,stot,\n\n#be guid,chkfail,chkdown,hanafail,\nbe:1,0,4,0,\nsrv:1,7,2,3,\n";
        fs::write(&file, counted).expect("a file");
        let text = format!(
            "global\n stats socket {socket} level admin\n stats-file {file}\n\
             defaults\n mode http\n timeout client 1m\n timeout server 1m\n timeout connect 20s\n\
             frontend fe\n bind {address}\n default_backend be\n\
             backend be\n guid be:1\n {server} guid srv:1 check inter 60s observe layer7\n",
            socket = socket.display(),
            file = file.display(),
            server = origin.server_line(),
        );
        rig.serve(program, &text, address);
        let answer = ask(&socket, "show stat be 4 -1");
        let mut lines = answer.trim_start_matches("# ").lines();
        let names: Vec<_> = lines.next().unwrap_or_default().split(',').collect();
        let cells: Vec<_> = lines.next().unwrap_or_default().split(',').collect();
        let shown = ["chkfail", "chkdown", "hanafail"].map(|name| {
            let place = names.iter().position(|known| *known == name);
            cells[place.expect("a column")]
        });
        assert_eq!(shown, ["7", "2", "3"], "{program:?}: {answer}");
        let answer = ask(&socket, "show stat be 2 -1");
        let cells: Vec<_> = answer
            .lines()
            .nth(1)
            .unwrap_or_default()
            .split(',')
            .collect();
        let place = names.iter().position(|known| *known == "chkdown");
        assert_eq!(
            cells[place.expect("a column")],
            "4",
            "{program:?}: {answer}"
        );
    }
}
