//! States of servers that one program has written down are what another begins with: HAProxy's in Plimsoll, and Plimsoll's in
//! HAProxy.

use std::fs;
use std::path::Path;

use crate::rig::{PLIMSOLL, Rig, ask, free_address};
use crate::stage::{reference, version};

/// Columns that are compared: who it is, what operators want, weights, whether checks are switched on, and where an agent is.
/// What checks have found, and when, is up to chance.
const COLUMNS: [usize; 9] = [3, 6, 7, 8, 13, 14, 21, 23, 24];

/// Bit of a check that is under way.
const IN_PROGRESS: u32 = 1;

/// Lets a program begin with a file, and do what it is told; returns what it shows then.
fn life(program: &Path, file: &Path, commands: &[&str]) -> String {
    let address = free_address();
    let mut rig = Rig::new();
    let text = format!(
        "global\n stats socket {socket} level admin\n server-state-file {file}\n\
         defaults\n mode http\n load-server-state-from-file global\n timeout client 1m\n timeout server 1m\n timeout connect 20s\n\
         frontend fe\n bind {address}\n http-request return status 200\n\
         backend be\n server a 127.0.0.1:1 weight 5 check inter 10m agent-check agent-port 2 agent-inter 10m\n \
         server b 127.0.0.1:1 check inter 10m addr 127.0.0.9 port 7 agent-check\n server c 127.0.0.1:1 weight 50\n \
         server d 127.0.0.1:1 check inter 10m disabled\n server e 127.0.0.1:1 check inter 10m addr 127.0.0.8\n",
        socket = rig.path("socket").display(),
        file = file.display(),
    );
    rig.serve(program, &text, address);
    let socket = rig.path("socket");
    for command in commands {
        ask(&socket, command);
    }
    ask(&socket, "show servers state be")
}

fn compared(states: &str) -> Vec<Vec<String>> {
    let rows = states.lines().skip(2).filter(|line| !line.is_empty());
    let row = |line: &str| {
        let cells: Vec<_> = line.split(' ').collect();
        let cell = |column: usize| match (column, cells[column].parse::<u32>()) {
            (13 | 14, Ok(bits)) => (bits & !IN_PROGRESS).to_string(),
            _ => cells[column].to_owned(),
        };
        COLUMNS.map(cell).to_vec()
    };
    rows.map(row).collect()
}

#[test]
fn states_go_from_one_program_to_the_other() {
    let Some(program) = reference().filter(|program| version(program) >= (3, 0)) else {
        return;
    };
    let ours = Path::new(PLIMSOLL);
    let folder = Rig::new();
    let nothing = folder.file("nothing", "");
    let commands = [
        "disable health be/a",
        "disable agent be/b",
        "set weight be/a 3",
        "set weight be/c 20%",
        "set server be/c state drain",
        "disable health be/d",
        "set server be/e state maint",
    ];
    let first = [&*program, ours].map(|program| life(program, &nothing, &commands));
    let expected = compared(&first[0]);
    assert_eq!(expected.len(), 5, "{}", first[0]);
    assert_eq!(compared(&first[1]), expected, "{}\n{}", first[0], first[1]);
    for (index, text) in first.iter().enumerate() {
        let file = folder.path(&format!("state-{index}"));
        fs::write(&file, text).expect("a file");
        let next = [&*program, ours].map(|program| life(program, &file, &[]));
        assert_eq!(
            compared(&next[1]),
            compared(&next[0]),
            "{text}\n{}\n{}",
            next[0],
            next[1]
        );
    }
}
