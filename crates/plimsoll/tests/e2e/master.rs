//! The master: a process that stays while its workers, and even its program, are replaced.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use plimsoll_sys::signal::{self, Signal};

use crate::rig::origin::Origin;
use crate::rig::{Binary, PLIMSOLL, Rig, ask, free_address, install, plimsoll, until};
use crate::upgrade::{Crowd, text};

/// How many programs follow each other under traffic.
const UPGRADES: usize = 4;

/// A master that runs a program of its own, which can be replaced.
struct Stage {
    rig: Rig,
    program: PathBuf,
    master: Binary,
    address: SocketAddr,
    _origin: Origin,
}

impl Stage {
    fn new() -> Self {
        Self::with("mode,600")
    }

    /// With a command socket of these options.
    fn with(options: &str) -> Self {
        let rig = Rig::new();
        let origin = rig.origin("a");
        let address = free_address();
        let file = rig.file("haproxy.cfg", &text(&rig, address, &origin));
        let program = rig.path("balancer");
        install(&program, Path::new(PLIMSOLL));
        let mut command = Command::new(&program);
        let door = format!("{},{options}", rig.path("master.sock").display());
        command.args(["-W", "-db", "-S", &door, "-f"]).arg(file);
        let mut master = Binary::start(command);
        let up = until(|| !master.is_running() || TcpStream::connect(address).is_ok());
        assert!(up && master.is_running(), "{}", master.said());
        let stage = Self {
            rig,
            program,
            master,
            address,
            _origin: origin,
        };
        assert!(until(|| stage.rig.path("master.sock").exists()));
        stage
    }

    fn ask(&self, line: &str) -> String {
        ask(&self.rig.path("master.sock"), line)
    }

    /// The processes of a kind, the newest first.
    fn workers(&self) -> Vec<u32> {
        let said = self.ask("show proc");
        let rows = said.lines().filter(|row| row.contains(" worker "));
        let id = |row: &str| row.split_whitespace().next()?.parse().ok();
        rows.filter_map(id).collect()
    }
}

fn is_alive(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    !state.is_empty() && !state.starts_with('Z')
}

#[test]
fn a_new_program_is_taken_into_use_and_nobody_is_failed() {
    let mut stage = Stage::new();
    let crowd = Crowd::start(stage.address);
    let id = stage.master.id();
    let mut slowest = Duration::ZERO;
    for round in 0..UPGRADES {
        let before = crowd.answered.load(Ordering::Relaxed);
        let served = || crowd.answered.load(Ordering::Relaxed) > before + 200;
        assert!(until(served), "{}", stage.master.said());
        let worker = stage.workers()[0];
        install(&stage.program, Path::new(PLIMSOLL));
        let asked = Instant::now();
        // By command and by signal in turn.
        if round % 2 == 0 {
            assert_eq!(stage.ask("reload"), "Success=1\n--\n\n");
        } else {
            stage.master.signal(Signal::User2);
            assert!(until(|| stage
                .workers()
                .first()
                .is_some_and(|&now| now != worker)));
        }
        slowest = slowest.max(asked.elapsed());
        assert!(stage.master.is_running(), "{}", stage.master.said());
        assert_eq!(stage.master.id(), id);
        let now = stage.workers()[0];
        assert_ne!(now, worker, "another worker serves");
        assert!(
            stage
                .ask("@1 show info")
                .contains(&format!("\nPid: {now}\n"))
        );
        assert!(until(|| !is_alive(worker)), "the old one finishes");
    }
    let answered = crowd.end();
    let said = stage.ask("show proc");
    let master = said.lines().nth(1).unwrap_or_default();
    let words: Vec<_> = master.split_whitespace().collect();
    assert_eq!(words[..3], [&*id.to_string(), "master", "4"], "{said}");
    eprintln!(
        "{UPGRADES} programs, {answered} requests answered, none failed, the slowest change took {slowest:.1?}"
    );
}

#[test]
fn the_same_program_keeps_its_worker_and_a_bad_one_changes_nothing() {
    let stage = Stage::new();
    let worker = stage.workers();
    assert_eq!(stage.ask("reload"), "Success=1\n--\n\n");
    assert_eq!(stage.workers(), worker, "its state goes on in the process");
    let bad = stage
        .rig
        .file("bad", "#!/bin/sh\necho 'I do not like it' >&2\nexit 1\n");
    install(&stage.program, &bad);
    let answer = stage.ask("reload");
    assert!(answer.starts_with("Success=0\n--\n"), "{answer}");
    assert!(answer.contains("I do not like it"), "{answer}");
    assert_eq!(stage.workers(), worker);
    assert!(TcpStream::connect(stage.address).is_ok());
    // With its own program back, and a file that has a fault, nothing changes either.
    install(&stage.program, Path::new(PLIMSOLL));
    let file = stage.rig.path("haproxy.cfg");
    let good = fs::read_to_string(&file).expect("the file");
    fs::write(&file, good.clone() + "nonsense\n").expect("the file");
    let answer = stage.ask("reload");
    assert!(
        answer.starts_with("Success=0\n--\n") && answer.contains("nonsense"),
        "{answer}"
    );
    let refused = plimsoll(&[
        "ctl",
        "-s",
        &stage.rig.path("master.sock").display().to_string(),
        "reload",
    ]);
    assert_eq!(refused.status, Some(1), "{}", refused.stdout);
    assert!(
        refused.stdout.starts_with("Success=0\n--\n"),
        "{}",
        refused.stdout
    );
    let said = stage.ask("show proc");
    assert!(said.contains(" 1 [failed: 3] "), "{said}");
    fs::write(&file, good).expect("the file");
    assert_eq!(stage.ask("reload"), "Success=1\n--\n\n");
    let said = stage.ask("show proc");
    assert!(said.contains(" 2 [failed: 3] "), "{said}");
    assert_ne!(
        stage.workers(),
        worker,
        "another program has another worker"
    );
}

#[test]
fn another_program_goes_on_with_the_states_of_servers() {
    let stage = Stage::new();
    let worker = stage.workers();
    stage.ask("@1 set server web/a weight 7");
    stage.ask("@1 set server web/a state drain");
    let state = || {
        let said = stage.ask("@1 show servers state web");
        let row = said.lines().nth(2).unwrap_or_default().to_owned();
        let words: Vec<_> = row.split(' ').map(str::to_owned).collect();
        // From its address to its weights; behind them is the time since the last change.
        words[4..9].join(" ")
    };
    let before = state();
    assert!(before.ends_with(" 2 8 7 1"), "{before}");
    install(&stage.program, Path::new(PLIMSOLL));
    assert_eq!(stage.ask("reload"), "Success=1\n--\n\n");
    assert_ne!(stage.workers(), worker);
    assert_eq!(state(), before);
}

#[test]
fn commands_find_their_process() {
    let stage = Stage::new();
    let worker = stage.workers()[0];
    assert!(
        stage
            .ask("@1 show info")
            .contains(&format!("\nPid: {worker}\n"))
    );
    let by_id = format!("@!{worker} show info;@1; show version; @master show proc");
    let said = stage.ask(&by_id);
    assert!(
        said.contains(&format!("\nPid: {worker}\n")) && said.contains("# workers"),
        "{said}"
    );
    let said = stage.ask("@1 set server web/a weight 7;@1 get weight web/a");
    assert!(said.contains("7 (initial 1)"), "{said}");
    assert!(stage.ask("@7 show info").contains("Can't find the target"));
    assert!(
        stage
            .ask("frobnicate")
            .contains("Unknown command: 'frobnicate'")
    );
    assert!(stage.ask("help").contains("show proc"));
    assert_eq!(stage.ask("show cli level"), "admin\n\n");
    assert_eq!(stage.ask("show cli sockets"), "\n");
    assert_eq!(stage.ask("show startup-logs"), "\n");
    assert_eq!(stage.ask("show env NO_SUCH"), "Variable not found\n\n");
    assert!(stage.ask("show env PATH").starts_with("PATH="));
    assert_eq!(stage.ask("echo a  b"), "a b\n\n");
}

/// `level` of the socket counts here and at the worker, and a session may lower its own.
#[test]
fn nobody_may_do_more_than_the_level_of_the_socket() {
    let denied = |answer: &str| answer.contains("Permission denied");
    for (level, allowed) in [
        ("user", [false, false, false, true]),
        ("operator", [true, false, false, true]),
        ("admin", [true, true, true, true]),
    ] {
        let stage = Stage::with(&format!("level,{level}"));
        let commands = [
            "show proc",
            "@1 set weight web/a 1",
            "experimental-mode on",
            "@1 show info",
        ];
        for (command, allowed) in commands.into_iter().zip(allowed) {
            let answer = stage.ask(command);
            assert_eq!(denied(&answer), !allowed, "{level}, {command}: {answer}");
        }
        let shown = stage.ask("@1 show cli level");
        assert_eq!(shown, format!("{level}\n\n"), "{shown}");
        assert!(denied(&stage.ask("user; reload")), "{level}");
        assert!(denied(&stage.ask("user; operator")), "{level}");
        let lowered = stage.ask("user; @1 set weight web/a 1");
        assert!(denied(&lowered), "{level}: {lowered}");
    }
}

#[test]
fn master_and_worker_end_together() {
    let mut stage = Stage::new();
    let worker = stage.workers()[0];
    signal::send(worker, Signal::Terminate).expect("the worker is there");
    let status = stage.master.wait();
    assert_eq!(status.code(), Some(1), "{}", stage.master.said());
    assert!(
        stage.master.said().contains("has ended"),
        "{}",
        stage.master.said()
    );

    let stage = Stage::new();
    let worker = stage.workers()[0];
    drop(stage.master);
    assert!(
        until(|| !is_alive(worker)),
        "a worker without a master ends"
    );

    let mut stage = Stage::new();
    let worker = stage.workers()[0];
    stage.master.signal(Signal::User1);
    assert_eq!(stage.master.wait().code(), Some(0));
    assert!(!is_alive(worker));
}
