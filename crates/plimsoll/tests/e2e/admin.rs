//! The runtime API and the statistics page, as scripts, people and browsers use them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plimsoll_sys::signal::Signal;
use serde_json::Value;

use crate::rig::origin::Origin;
use crate::rig::peer::require_peer;
use crate::rig::{Binary, PLIMSOLL, Rig, ask, free_address, reach, until};

/// What HAProxy 3.x and we write before the columns of modules.
const FIRST_COLUMNS: &str = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,";

/// Two servers behind a web frontend, with a command socket and a page.
fn configuration(rig: &Rig, servers: &[String]) -> String {
    format!(
        "global\n    stats socket {} mode 666 level admin\n    stats socket {} level user\n\
         defaults\n    mode http\n    timeout connect 5s\n    timeout client 10s\n    timeout server 10s\n\
         frontend fe_http\n    bind {{listen}}\n    stats enable\n    stats uri /haproxy?stats\n    stats auth ann:secret\n    \
         stats admin if TRUE\n    default_backend be_app\n\
         backend be_app\n    balance roundrobin\n    {}\n",
        socket(rig).display(),
        rig.path("user.sock").display(),
        servers.join("\n    "),
    )
}

fn socket(rig: &Rig) -> PathBuf {
    rig.path("admin.sock")
}

/// A running balancer with two origins behind it; they live as long as the value.
struct Stage {
    rig: Rig,
    socket: PathBuf,
    _origins: [Origin; 2],
}

fn stage() -> Stage {
    let mut rig = Rig::new();
    let origins = ["app_a", "app_b"].map(|name| rig.origin(name));
    let servers = origins
        .each_ref()
        .map(|origin| format!("{} weight 50", origin.server_line()));
    let text = configuration(&rig, &servers);
    rig.config(&text);
    Stage {
        socket: socket(&rig),
        rig,
        _origins: origins,
    }
}

#[test]
fn a_server_in_maintenance_gets_nothing_and_comes_back() {
    let stage = stage();
    let (rig, socket) = (&stage.rig, &stage.socket);
    let seen = |rig: &Rig| -> Vec<String> { (0..6).map(|_| rig.get("/").text()).collect() };
    assert!(seen(rig).contains(&"app_a".to_owned()));
    assert_eq!(ask(socket, "set server be_app/app_a state maint"), "\n");
    assert_eq!(seen(rig), ["app_b"; 6]);
    assert!(ask(socket, "show stat be_app 4 1").contains(",MAINT,"));
    assert_eq!(ask(socket, "enable server be_app/app_a"), "\n");
    assert!(seen(rig).contains(&"app_a".to_owned()));
    assert_eq!(ask(socket, "set weight be_app/app_b 0"), "\n");
    assert_eq!(seen(rig), ["app_a"; 6]);
}

#[test]
fn a_moved_server_is_found_at_its_new_place() {
    let stage = stage();
    let (rig, socket) = (&stage.rig, &stage.socket);
    let elsewhere = rig.origin("elsewhere");
    ask(socket, "disable server be_app/app_b");
    assert_eq!(rig.get("/").text(), "app_a");
    let line = elsewhere.server_line();
    let (ip, port) = line
        .split(' ')
        .find_map(|word| word.split_once(':'))
        .expect("an address");
    let answer = ask(
        socket,
        &format!("set server be_app/app_a addr {ip} port {port}"),
    );
    assert!(answer.starts_with("port changed from"), "{answer}");
    // Idle connections to the old place are dropped by an order, which takes a turn of the worker.
    assert!(until(|| rig.get("/").text() == "elsewhere"));
}

#[test]
fn counters_are_summed_and_cleared() {
    let stage = stage();
    let (rig, socket) = (&stage.rig, &stage.socket);
    (0..4).for_each(|_| drop(rig.get("/")));
    let total = |line: &str| line.split(',').nth(7).and_then(|n| n.parse::<u64>().ok());
    let rows = || ask(socket, "show stat be_app 6 -1");
    let sums = |text: &str| -> Vec<Option<u64>> { text.lines().skip(1).map(total).collect() };
    assert!(
        until(|| sums(&rows())[..3] == [Some(2), Some(2), Some(4)]),
        "{}",
        rows()
    );
    let cleared = ask(socket, "clear counters server be_app/app_a");
    assert_eq!(cleared, "Server counters cleared.\n\n");
    assert_eq!(sums(&rows())[..3], [Some(0), Some(2), Some(4)]);
    assert_eq!(ask(socket, "clear counters all"), "\n");
    assert_eq!(sums(&rows())[..3], [Some(0), Some(0), Some(0)]);
}

#[test]
fn levels_modes_and_the_end_of_the_files() {
    let mut stage = stage();
    let (rig, socket) = (&stage.rig, &stage.socket);
    let user = rig.path("user.sock");
    drop(reach(socket));
    let mode = std::fs::metadata(socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    assert_eq!(
        ask(&user, "disable server be_app/app_a"),
        "Permission denied\n\n"
    );
    assert_eq!(ask(&user, "get weight be_app/app_a"), "50 (initial 50)\n\n");
    let socket = socket.clone();
    stage.rig.binary().signal(Signal::Terminate);
    stage.rig.binary().wait();
    assert!(!socket.exists() && !user.exists(), "our files go with us");
}

#[test]
fn a_prompt_keeps_the_connection() {
    let stage = stage();
    let socket = &stage.socket;
    let stream = reach(socket);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut expect = |said: &str, heard: &str| {
        (&stream).write_all(said.as_bytes()).unwrap();
        let mut answer = vec![0; heard.len()];
        reader.read_exact(&mut answer).unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), heard, "{said}");
    };
    expect("prompt\n", "\n> ");
    expect("get weight be_app/app_a\n", "50 (initial 50)\n\n> ");
    expect(
        "set weight be_app/app_a 7;get weight be_app/app_a\n",
        "\n7 (initial 50)\n\n> ",
    );
    expect("echo a\\ b <<\n", "+ ");
    expect("\n", "a b\n\n> ");
    expect("quit\n", "");
    let mut rest = String::new();
    reader.read_line(&mut rest).unwrap();
    assert_eq!(rest, "", "the connection has ended");
}

#[test]
fn disabled_frontends_wait_and_closed_ones_refuse() {
    let stage = stage();
    let (rig, socket) = (&stage.rig, &stage.socket);
    assert_eq!(ask(socket, "disable frontend fe_http"), "\n");
    assert!(ask(socket, "show stat fe_http 1 -1").contains(",PAUSED,"));
    assert_eq!(ask(socket, "enable frontend fe_http"), "\n");
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(ask(socket, "shutdown frontend fe_http"), "\n");
    assert!(until(|| TcpStream::connect(rig.address()).is_err()));
}

/// The commands of a lesson on load balancing, with the tools it uses.
#[test]
fn socat_and_awk_see_columns() {
    if require_peer("socat").is_none() {
        return;
    }
    let stage = stage();
    let socket = &stage.socket;
    let script = format!(
        "echo 'show servers state be_app' | socat stdio {} | awk '{{print $1,$5,$8,$9,$18}}'",
        socket.display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "1");
    assert_eq!(lines[2..4], ["3 127.0.0.1 50 50 -"; 2]);
}

#[test]
fn ctl_asks_and_reads_commands() {
    let stage = stage();
    let socket = &stage.socket;
    let place = socket.display().to_string();
    let ctl = |words: &[&str], input: &str| {
        let mut child = Command::new(PLIMSOLL)
            .args(["ctl", "-s", &place])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ctl starts");
        // A command that needs no input may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    assert_eq!(
        ctl(&["get", "weight", "be_app/app_a"], ""),
        (Some(0), "50 (initial 50)\n".into())
    );
    assert_eq!(
        ctl(
            &[],
            "set weight be_app/app_a 9\n\nget weight be_app/app_a\n"
        )
        .1
        .trim(),
        "9 (initial 50)"
    );
    let (status, text) = ctl(&["bogus"], "");
    assert_eq!(status, Some(1));
    assert!(text.starts_with("Unknown command"), "{text}");
    // Refusals are told by the status, also in a chain; what is done or needs no doing is not.
    for (line, status, part) in [
        ("set weight be_app/none 5", 1, "No such server.\n"),
        (
            "set weight be_app/none 5; show version",
            1,
            "No such server.\n\n",
        ),
        (
            "enable frontend fe_http; show version",
            0,
            "All sockets are already enabled.\n\n",
        ),
        (
            "add server be_app/new 127.0.0.1:9",
            0,
            "New server registered.\n",
        ),
        (
            "set severity-output number; get weight be_app/none",
            1,
            "\n[3]: No such server.\n",
        ),
    ] {
        let (found, text) = ctl(&[line], "");
        assert_eq!(
            (found, text.starts_with(part)),
            (Some(status), true),
            "{line}: {text}"
        );
    }
    // The socket may be named from where one is.
    let here = Command::new(PLIMSOLL)
        .args([
            "ctl",
            "-s",
            &socket.file_name().unwrap().to_string_lossy(),
            "show",
            "version",
        ])
        .current_dir(socket.parent().unwrap())
        .output()
        .unwrap();
    assert_eq!(here.status.code(), Some(0), "{here:?}");
}

/// Status, head and body of a request for the page.
fn page(rig: &Rig, method: &str, rest: &str, user: &str, body: &str) -> (u16, String, String) {
    let mut client = rig.client();
    client.send(format!(
        "{method} /haproxy?stats{rest} HTTP/1.1\r\nHost: rig\r\n{user}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ));
    let response = client.response();
    let location = response.field("location").unwrap_or_default().to_owned();
    (response.status, location, response.text())
}

#[test]
fn the_page_asks_shows_and_changes() {
    const ANN: &str = "Authorization: Basic YW5uOnNlY3JldA==\r\n";
    let stage = stage();
    let (rig, socket) = (&stage.rig, &stage.socket);
    assert_eq!(page(rig, "GET", "", "", "").0, 401);
    let (status, _, html) = page(rig, "GET", "", ANN, "");
    assert!(status == 200 && html.contains("<h2>be_app</h2>"), "{html}");
    let (_, _, csv) = page(rig, "GET", ";csv", ANN, "");
    assert!(csv.starts_with(FIRST_COLUMNS), "{csv}");
    let (_, _, json) = page(rig, "GET", ";json", ANN, "");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(4));
    let form = "s=app_a&s=app_b&action=drain&b=%233";
    assert_eq!(page(rig, "POST", "", "", form).0, 401);
    let (status, location, _) = page(rig, "POST", "", ANN, form);
    assert_eq!((status, location.as_str()), (303, "/haproxy?stats;st=DONE"));
    assert_eq!(
        ask(socket, "show stat be_app 4 -1")
            .matches(",DRAIN,")
            .count(),
        2
    );
    // What is not the page goes where all requests go.
    assert_eq!(rig.get("/haproxy").status, 503);
}

/// A monitor for terminals that was written for HAProxy, and gives up where a fact is missing.
#[test]
fn hatop_shows_the_servers() {
    let (Some(_), Some(script)) = (require_peer("hatop"), require_peer("script")) else {
        return;
    };
    let stage = stage();
    let screen = stage.rig.path("screen");
    let sized = format!("stty cols 160 rows 40; hatop -s {}", stage.socket.display());
    let mut hatop = Command::new(script)
        .args(["-qefc", &sized])
        .arg(&screen)
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let shown = || std::fs::read(&screen).unwrap_or_default();
    let has = |word: &str| String::from_utf8_lossy(&shown()).contains(word);
    let all = until(|| has("Plimsoll") && has("be_app") && has("app_b"));
    let mut keys = hatop.stdin.take().expect("a pipe");
    // It may have given up.
    let _ = keys.write_all(b"q");
    let ended = until(|| matches!(hatop.try_wait(), Ok(Some(_))));
    if !ended {
        let _ = hatop.kill();
    }
    let _ = hatop.wait();
    assert!(all && ended, "{}", String::from_utf8_lossy(&shown()));
}

/// Names and columns as a real HAProxy writes them, as far as its version has them.
#[test]
fn haproxy_writes_the_same_columns() {
    let Some(haproxy) = require_peer("haproxy") else {
        return;
    };
    let stage = stage();
    let (rig, ours) = (&stage.rig, &stage.socket);
    let front = free_address();
    let theirs = rig.path("theirs.sock");
    let text = format!(
        "global\n    stats socket {} level admin\n\
         defaults\n    mode http\n    timeout connect 5s\n    timeout client 10s\n    timeout server 10s\n\
         frontend fe_http\n    bind {front}\n    default_backend be_app\n\
         backend be_app\n    balance roundrobin\n    server app_a 127.0.0.1:1 weight 50\n    server app_b 127.0.0.1:2 weight 50\n",
        theirs.display()
    );
    let mut command = Command::new(haproxy);
    command
        .arg("-db")
        .arg("-f")
        .arg(rig.file("theirs.cfg", &text));
    let _peer = Binary::start(command);
    assert!(until(|| UnixStream::connect(&theirs).is_ok()));
    compare(ours, &theirs);
}

fn compare(ours: &Path, theirs: &Path) {
    let both = |line: &str| (ask(ours, line), ask(theirs, line));
    let (our, their) = both("show servers state");
    let head = |text: &str| text.lines().take(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(head(&our), head(&their));
    let words = |text: &str| text.lines().nth(2).map(|line| line.split(' ').count());
    assert_eq!(words(&our), words(&their));

    let (our, their) = both("show stat");
    let columns = |text: &str| -> Vec<String> {
        let line = text.lines().next().unwrap_or_default();
        let names = line.split(',').take_while(|name| *name != "-");
        names.map(str::to_owned).collect()
    };
    let (our, their) = (columns(&our), columns(&their));
    // Two names changed places after 2.6, and later versions have more at the end.
    let known = their.len().min(100);
    assert_eq!(our[..known], their[..known]);

    let (our, their) = both("show info");
    let names = |text: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        lines.map(|(name, _)| name.to_owned()).collect()
    };
    // Facts of HAProxy 3.x that 2.6 does not have yet.
    let newer = [
        "CurrStreams",
        "CumStreams",
        "NbThreadGroups",
        "TotalWarnings",
        "MaxconnReached",
        "Niced_tasks",
        "TotalSplicedBytesOut",
    ];
    for name in names(&our) {
        let known = names(&their).contains(&name) || newer.contains(&name.as_str());
        assert!(known, "{name} is a name of our own");
    }
    for line in [
        "get weight be_app/app_a",
        "get weight nope/x",
        "set server be_app/app_a state",
        "clear counters",
        "show backend",
        "show cli level",
        "set weight be_app/app_a 300",
    ] {
        let (our, their) = both(line);
        assert_eq!(our, their, "{line}");
    }
}

#[test]
fn top_prints_a_look_and_wants_a_terminal_for_more() {
    let stage = stage();
    for _ in 0..4 {
        stage.rig.get("/");
    }
    let socket = stage.socket.to_str().expect("a path in text");
    let outcome = crate::rig::plimsoll(&["top", "-s", socket, "--once", "--interval", "0.1"]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    let lines: Vec<_> = outcome.stdout.lines().collect();
    assert!(
        lines[0].starts_with("Plimsoll ") && lines[0].contains(" requests "),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("PROXY"), "{lines:?}");
    let server = lines.iter().find(|line| line.contains(" app_a "));
    assert!(
        server.is_some_and(|line| line.contains(" 50 ")),
        "{lines:?}"
    );

    let outcome = crate::rig::plimsoll(&["top", "-s", socket]);
    assert_eq!(outcome.status, Some(1));
    assert!(outcome.stderr.contains("--once"), "{}", outcome.stderr);
    let outcome = crate::rig::plimsoll(&["top", "-s", "/no/such.sock", "--once"]);
    assert!(
        outcome.stderr.contains("cannot ask /no/such.sock"),
        "{}",
        outcome.stderr
    );
}
