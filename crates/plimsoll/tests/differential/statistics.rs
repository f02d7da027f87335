//! What scripts read of a running process: the columns of `show stat`, `show servers state`, the names of `show info`.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::{Binary, PLIMSOLL, Rig, ask, free_address, reach, until};
use crate::stage::{reference, version};

const CONFIGURATION: &str = "\
global
    maxconn 1000
    stats socket SOCKET level admin
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend web
    bind unix@FRONT
    default_backend app
backend app
    balance roundrobin
    option httpchk
    server one 127.0.0.1:1 weight 7 maxconn 30
    server two 127.0.0.1:1 disabled backup
    server three 127.0.0.1:1 weight 0 maxqueue 4 slowstart 1m
backend other
    mode tcp
    balance leastconn
    server one 10.1.2.3:8080 id 9
backend preset
    balance roundrobin
    default-server rise 5
    cookie SRV insert
    server one 10.1.2.3:8080 cookie a
    server two 10.1.2.3:8080 disabled cookie b
";

/// What one program answers to these commands.
fn answers(rig: &Rig, program: &Path, name: &str, commands: &[&str]) -> Vec<String> {
    let socket = rig.path(&format!("{name}.sock"));
    let front = rig.path(&format!("{name}-front.sock"));
    let text = CONFIGURATION
        .replace("SOCKET", &socket.display().to_string())
        .replace("FRONT", &front.display().to_string());
    let file = rig.file(&format!("{name}.cfg"), &text);
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(file);
    let mut binary = Binary::start(command);
    assert!(
        until(|| std::os::unix::net::UnixStream::connect(&socket).is_ok()),
        "{}",
        binary.said()
    );
    assert!(binary.is_running());
    let operator = [
        "set server app/one weight 3",
        "set server app/three state drain",
        "set server other/one addr 10.1.2.4 port 8081",
        "disable server other/one",
        "enable server other/one",
        "set server preset/one state drain",
    ];
    for line in operator {
        ask(&socket, line);
    }
    commands.iter().map(|line| ask(&socket, line)).collect()
}

/// Rows of a CSV, each as the cells of the columns that are named.
fn cells<'a>(csv: &'a str, names: &[&str]) -> Vec<Vec<&'a str>> {
    let mut lines = csv.lines().filter(|line| !line.is_empty());
    let header = lines.next().unwrap_or_default().trim_start_matches("# ");
    let header: Vec<_> = header.split(',').collect();
    let wanted: Vec<_> = names
        .iter()
        .map(|name| {
            header
                .iter()
                .position(|known| known == name)
                .unwrap_or_else(|| panic!("no column {name}"))
        })
        .collect();
    let row = |line: &'a str| {
        let cells: Vec<_> = line.split(',').collect();
        wanted
            .iter()
            .map(|&at| cells.get(at).copied().unwrap_or_default())
            .collect()
    };
    lines.map(row).collect()
}

#[test]
fn what_scripts_read_is_what_they_know() {
    let Some(haproxy) = reference() else { return };
    let newer = version(&haproxy) >= (3, 0);
    let rig = Rig::new();
    let commands = [
        "show stat",
        "show servers state",
        "show info",
        "show stat typed",
        "show servers conn",
        "show backend",
        "get weight app/one",
    ];
    let theirs = answers(&rig, &haproxy, "theirs", &commands);
    let ours = answers(&rig, Path::new(PLIMSOLL), "ours", &commands);
    compare_stat(&theirs[0], &ours[0]);
    compare_states(&theirs[1], &ours[1], newer);
    compare_info(&theirs[2], &ours[2], newer);
    if newer {
        // A value's kind and type, by the name of its column.
        compare_typed(&theirs[3], &ours[3]);
    }
    let head = |text: &str| {
        text.lines()
            .next()
            .unwrap_or_default()
            .split(' ')
            .take(10)
            .collect::<Vec<_>>()
            .join(" ")
    };
    if newer {
        assert_eq!(head(&theirs[4]), head(&ours[4]), "show servers conn");
    }
    assert_eq!(theirs[5], ours[5], "show backend");
    assert_eq!(theirs[6], ours[6], "get weight");
}

fn compare_stat(theirs: &str, ours: &str) {
    let header = |csv: &str| csv.lines().next().unwrap_or_default().to_owned();
    let (their_header, our_header) = (header(theirs), header(ours));
    // Up to the mark, behind which the columns of single modules stand.
    let columns = |header: &str| {
        let names = header.split(',').take_while(|name| *name != "-");
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let (their_columns, our_columns) = (columns(&their_header), columns(&our_header));
    let shared = their_columns.len().min(our_columns.len());
    assert_eq!(
        their_columns[..shared],
        our_columns[..shared],
        "the columns of 'show stat'"
    );
    assert!(
        our_columns.len() >= their_columns.len(),
        "columns are missing: {their_header}"
    );
    let same = [
        "pxname",
        "svname",
        "qcur",
        "qmax",
        "scur",
        "smax",
        "slim",
        "stot",
        "bin",
        "bout",
        "dreq",
        "dresp",
        "ereq",
        "econ",
        "eresp",
        "wretr",
        "wredis",
        "status",
        "weight",
        "act",
        "bck",
        "chkfail",
        "chkdown",
        "qlimit",
        "pid",
        "iid",
        "sid",
        "lbtot",
        "type",
        "rate",
        "rate_lim",
        "rate_max",
        "hrsp_2xx",
        "hrsp_5xx",
        "mode",
        "algo",
        "conn_rate",
        "conn_tot",
        "intercepted",
        "dcon",
        "dses",
        "wrew",
        "connect",
        "reuse",
        "lastsess",
        "cookie",
    ];
    let (their_rows, our_rows) = (cells(theirs, &same), cells(ours, &same));
    assert_eq!(their_rows.len(), our_rows.len(), "rows of 'show stat'");
    let mut differing = Vec::new();
    for (theirs, ours) in their_rows.iter().zip(&our_rows) {
        for ((name, theirs), ours) in same.iter().zip(theirs).zip(ours) {
            // An age is older when it is looked at later.
            let aged = *name == "lastsess" && (*theirs == "-1") == (*ours == "-1");
            if theirs != ours && !aged {
                differing.push(format!("{name}: {theirs:?}, ours {ours:?}"));
            }
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

fn compare_states(theirs: &str, ours: &str, newer: bool) {
    let rows = |text: &str| -> Vec<Vec<String>> {
        let rows = text.lines().filter(|line| !line.is_empty());
        rows.map(|row| row.split(' ').map(str::to_owned).collect())
            .collect()
    };
    let (their_rows, our_rows) = (rows(theirs), rows(ours));
    assert_eq!(their_rows[..2], our_rows[..2], "version and header");
    assert_eq!(their_rows.len(), our_rows.len());
    let place = |column: &str| {
        let known = their_rows[1].iter().position(|name| name == column);
        // The header begins with a mark.
        known.expect("a column") - 1
    };
    let mut masked = vec![place("srv_time_since_last_change")];
    if !newer {
        // 3.x begins it at 0 where no `default-server` line is in force.
        masked.push(place("srv_check_health"));
    }
    for (theirs, ours) in their_rows[2..].iter().zip(&our_rows[2..]) {
        let mut pair = [theirs.clone(), ours.clone()];
        for row in &mut pair {
            masked.iter().for_each(|&column| row[column].clear());
        }
        assert_eq!(pair[0], pair[1]);
    }
}

/// Facts that only HAProxy has, or that it alone could mean.
const NOT_HERE: &[&str] = &[
    "SslBackend",
    "SslCache",
    "Zlib",
    "Compress",
    "FailedResolutions",
    "BootTime_ms",
    "BlockedTrafficWarnings",
    "Patterns",
    // Versions before 3.x misspell a name that is there.
    "Splicded",
];

fn compare_info(theirs: &str, ours: &str, newer: bool) {
    let names = |text: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        lines.map(|(name, _)| name.to_owned()).collect()
    };
    let (their_names, our_names) = (names(theirs), names(ours));
    let mut theirs_left = their_names.iter();
    for name in &our_names {
        // Ours come in their order.
        let known = theirs_left.any(|known| known == name);
        assert!(
            known || !newer,
            "'{name}' is not HAProxy's, or comes too late"
        );
    }
    let missing: Vec<_> = their_names
        .iter()
        .filter(|name| !our_names.contains(name))
        .collect();
    let unexplained: Vec<_> = missing
        .iter()
        .filter(|name| !NOT_HERE.iter().any(|part| name.contains(part)))
        .collect();
    eprintln!(
        "'show info' lacks {} of {} names: {unexplained:?} without a group",
        missing.len(),
        their_names.len()
    );
    assert!(unexplained.is_empty(), "{unexplained:?}");
}

fn compare_typed(theirs: &str, ours: &str) {
    let kinds = |text: &str| -> std::collections::BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| {
            let mut parts = line.split(':');
            let (field, tags, kind) = (parts.next()?, parts.next()?, parts.next()?);
            let name = field.split('.').nth(4)?;
            let side = field.split('.').next()?;
            Some((format!("{side}.{name}"), format!("{tags}:{kind}")))
        });
        lines.collect()
    };
    let (theirs, ours) = (kinds(theirs), kinds(ours));
    let mut differing = Vec::new();
    for (name, ours) in &ours {
        if let Some(theirs) = theirs.get(name).filter(|theirs| *theirs != ours) {
            differing.push(format!("{name}: {theirs}, ours {ours}"));
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

/// Servers whose checks, agents and leaders say different things.
const STATES: &str = "\
global
    stats socket SOCKET level admin
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
backend h1
    default-server inter 50ms rise 2 fall 3
    server ok ALIVE check
    server dead DEAD check
    server plain ALIVE
backend t
    server ok ALIVE track h1/ok
    server dead ALIVE track h1/dead
    server far ALIVE track t/ok
    server off ALIVE track h1/ok disabled
backend agents
    default-server inter 50ms agent-check agent-addr 127.0.0.1 agent-inter 50ms
    server up ALIVE agent-port UP
    server down ALIVE agent-port DOWN
    server drain ALIVE agent-port DRAIN
    server both ALIVE check agent-port DOWN
    server checked ALIVE check agent-port UP
";

/// Longest wait for checks to have come around in both programs.
const CHECKS_MAX: Duration = Duration::from_secs(5);

/// What an operator says, one after the other.
const ORDERS: &[&str] = &[
    "",
    "disable server h1/ok",
    "enable server h1/ok",
    "set server h1/ok state drain",
    "set server h1/ok state ready",
    "disable server t/ok",
    "enable server t/ok",
    "set server t/ok state drain",
    "set server t/ok state ready",
    "disable health h1/ok",
    "enable health h1/ok",
    "set server agents/up state drain",
    "set server agents/checked state drain",
    "disable agent agents/up",
    "disable agent agents/down",
];

/// An agent that says the same to everybody.
fn agent(said: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // Who asks may have left.
            let _ = stream.write_all(said.as_bytes());
        }
    });
    address
}

#[test]
fn states_are_those_of_checks_agents_and_leaders() {
    let Some(haproxy) = reference() else { return };
    let rig = Rig::new();
    let port = |said| agent(said).port().to_string();
    let text = STATES
        .replace("ALIVE", &agent("hello\n").to_string())
        .replace("DEAD", &free_address().to_string())
        .replace("port UP", &format!("port {}", port("up\n")))
        .replace("port DOWN", &format!("port {}", port("down\n")))
        .replace("port DRAIN", &format!("port {}", port("drain\n")));
    let start = |name: &str, program: &Path| {
        let socket = rig.path(&format!("{name}.sock"));
        let text = text.replace("SOCKET", &socket.display().to_string());
        let file = rig.file(&format!("{name}.cfg"), &text);
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(file);
        let binary = Binary::start(command);
        reach(&socket);
        (binary, socket)
    };
    let (_theirs, their_socket) = start("theirs", &haproxy);
    let (_ours, our_socket) = start("ours", Path::new(PLIMSOLL));
    let columns = [
        "pxname",
        "svname",
        "status",
        "tracked",
        "check_rise",
        "check_fall",
        "check_health",
    ];
    let mut differing = Vec::new();
    for order in ORDERS {
        if !order.is_empty() {
            ask(&their_socket, order);
            ask(&our_socket, order);
        }
        // Checks come around in their own time.
        let (mut theirs, mut ours) = (String::new(), String::new());
        let hurry = Instant::now() + CHECKS_MAX;
        let mut agree = false;
        until(|| {
            (theirs, ours) = (
                ask(&their_socket, "show stat"),
                ask(&our_socket, "show stat"),
            );
            agree = cells(&theirs, &columns) == cells(&ours, &columns)
                && (!order.is_empty() || is_settled(&theirs));
            agree || Instant::now() > hurry
        });
        let rows = cells(&theirs, &columns)
            .into_iter()
            .zip(cells(&ours, &columns));
        for (theirs, ours) in rows.filter(|(theirs, ours)| !agree && theirs != ours) {
            differing.push(format!("{order:?}: {theirs:?}, ours {ours:?}"));
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

/// The first checks and agents have been heard.
fn is_settled(table: &str) -> bool {
    let states = cells(table, &["status"]).concat();
    states.contains(&"DOWN (agent)")
        && states.contains(&"DRAIN (agent)")
        && states.iter().filter(|state| **state == "DOWN").count() >= 2
}
