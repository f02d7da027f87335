//! From start to end: signals, exit statuses, pid files, background, inherited sockets, the service manager.

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plimsoll_sys::signal::{self, Signal};

use crate::rig::origin::Reply;
use crate::rig::{
    Binary, DEADLINE, PLIMSOLL, Rig, ask, free_address, listen_again, plimsoll, run, until,
};

/// What stops at once must do so well within this: before any time-out here, and before a master would kill its worker.
const AT_ONCE: Duration = Duration::from_secs(8);

fn text(server: &str) -> String {
    format!(
        "defaults\n    mode http\n    timeout connect 20s\n    timeout client 5m\n    timeout server 5m\n\
         listen web\n    bind {{listen}}\n    {server}\n"
    )
}

#[test]
fn signals_end_it_with_the_status_of_its_mode() {
    let cases = [
        (&["-db"][..], Signal::Interrupt, 0),
        (&["-d"], Signal::Terminate, 0),
        (&["-W", "-db"], Signal::Interrupt, 130),
        (&["-Ws"], Signal::Interrupt, 130),
        (&["-W"], Signal::Terminate, 0),
    ];
    for (flags, signal, status) in cases {
        let mut rig = Rig::new();
        let origin = rig.origin("a");
        rig.config_with(&text(&origin.server_line()), flags);
        // An idle connection must not hold it up.
        let mut idle = rig.client();
        idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(idle.response().status, 200);
        let started = Instant::now();
        rig.binary().signal(signal);
        assert_eq!(
            rig.binary().wait().code(),
            Some(status),
            "{flags:?} {signal:?}"
        );
        assert!(
            started.elapsed() < AT_ONCE,
            "{flags:?} {signal:?} took {:?}",
            started.elapsed()
        );
    }
}

/// What a terminal sends to jobs neither stops nor ends it: listeners pause and go on.
#[test]
fn signals_of_terminals_pause_and_resume() {
    for flags in [&["-db"][..], &["-W", "-db"]] {
        let mut rig = Rig::new();
        let origin = rig.origin("a");
        let address = rig.config_with(&text(&origin.server_line()), flags);
        rig.binary().signal(Signal::Quit);
        rig.binary().signal(Signal::TerminalOutput);
        assert!(
            until(|| rig.binary().said().contains("paused frontend web")),
            "{flags:?}"
        );
        // It waits in the kernel's backlog.
        let mut client = rig.client();
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(origin.requests().is_empty());
        rig.binary().signal(Signal::TerminalInput);
        assert_eq!(client.response().status, 200, "{flags:?} at {address}");
        assert!(
            rig.binary().said().contains("resumed frontend web"),
            "{flags:?}"
        );
    }
}

#[test]
fn control_c_ends_plimsoll_run() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let address = free_address();
    let mut command = Command::new(PLIMSOLL);
    command.args([
        "run",
        "--listen",
        &address.to_string(),
        "--to",
        &origin.address.to_string(),
    ]);
    rig.start(command, address);
    assert_eq!(rig.get("/").text(), "a");
    rig.binary().signal(Signal::Interrupt);
    assert_eq!(rig.binary().wait().code(), Some(0));
}

#[test]
fn a_graceful_stop_lets_requests_end_and_accepts_no_more() {
    let mut rig = Rig::new();
    let held = Arc::new(AtomicBool::new(true));
    let holds = Arc::clone(&held);
    let origin = rig.origin_with("slow", move |_| {
        until(|| !holds.load(Ordering::SeqCst));
        Reply::ok("late")
    });
    let address = rig.config(&text(&origin.server_line()));
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    origin.wait_for_requests(1);
    rig.binary().signal(Signal::User1);
    let refused = until(|| std::net::TcpStream::connect(address).is_err());
    assert!(refused, "it still accepts");
    assert!(rig.binary().is_running(), "a request is under way");
    held.store(false, Ordering::SeqCst);
    assert_eq!(client.response().text(), "late");
    assert_eq!(rig.binary().wait().code(), Some(0));
}

#[test]
fn idle_clients_are_told_of_the_end_with_their_next_answer() {
    for option in ["", "option idle-close-on-response"] {
        let mut rig = Rig::new();
        let origin = rig.origin("a");
        rig.config(&(text(&origin.server_line()) + &format!("    {option}\n")));
        let mut client = rig.client();
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.response().text(), "a");
        rig.binary().signal(Signal::User1);
        if option.is_empty() {
            assert!(
                client.is_closed(),
                "a client at rest is let go after a moment"
            );
        } else {
            // Longer than others are waited for.
            std::thread::sleep(Duration::from_millis(1_500));
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            let answer = client.response();
            assert_eq!(
                (answer.text().as_str(), answer.field("connection")),
                ("a", Some("close"))
            );
        }
        assert_eq!(rig.binary().wait().code(), Some(0));
    }
}

#[test]
fn the_pid_file_names_the_process() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let pidfile = rig.path("pid");
    let path = pidfile.display().to_string();
    rig.config_with(&text(&origin.server_line()), &["-W", "-db", "-p", &path]);
    let id = rig.binary().id();
    assert!(until(
        || fs::read_to_string(&pidfile).is_ok_and(|text| text.trim() == id.to_string())
    ));
}

#[test]
fn in_the_background_it_returns_once_it_listens() {
    let rig = Rig::new();
    let origin = rig.origin("a");
    let address = free_address();
    let configuration = text(&origin.server_line()).replace("{listen}", &address.to_string());
    let file = rig.file("haproxy.cfg", &configuration);
    let pidfile = rig.path("pid");
    let status = Command::new(PLIMSOLL)
        .arg("-D")
        .arg("-f")
        .arg(&file)
        .arg("-p")
        .arg(&pidfile)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    // No waiting: the address must answer now.
    let mut client = crate::rig::client::Client::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().text(), "a");
    let id: u32 = fs::read_to_string(&pidfile)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    signal::send(id, Signal::Terminate).unwrap();
    assert!(until(|| !is_alive(id)), "it does not end");
    // A second start on an address that is taken must fail in the parent.
    let _taken = listen_again(address);
    let status = Command::new(PLIMSOLL)
        .arg("-D")
        .arg("-f")
        .arg(&file)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn all_that_cannot_be_listened_on_is_told_with_its_lines() {
    let rig = Rig::new();
    let taken = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [first, second] = taken.each_ref().map(|taken| taken.local_addr().unwrap());
    let text = format!(
        "global\n    stats socket /nowhere/s\ndefaults\n    timeout client 1s\nfrontend f\n    bind {first}\n\
         frontend g\n    bind {}\n    bind {second}\n",
        free_address()
    );
    let file = rig.file("taken.cfg", &text);
    let name = file.display();
    for flags in [&["run"][..], &["-f"]] {
        let outcome = plimsoll(&[flags, &[file.to_str().unwrap()]].concat());
        assert_eq!(outcome.status, Some(1));
        for line in [
            format!("{name}:2: stats socket: cannot listen on /nowhere/s: No such file"),
            format!("{name}:6: frontend f: cannot listen on {first}: Address already in use"),
            format!("{name}:9: frontend g: cannot listen on {second}: Address already in use"),
        ] {
            assert!(outcome.stderr.contains(&line), "{line}\n{}", outcome.stderr);
        }
    }
}

/// Whether a process exists and is no zombie.
fn is_alive(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn an_address_in_use_is_named() {
    let rig = Rig::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let file = rig.file(
        "a.cfg",
        &text("server a 127.0.0.1:1").replace("{listen}", &address),
    );
    let mut command = Command::new(PLIMSOLL);
    command.args(["-db", "-f"]).arg(file);
    let mut binary = Binary::start(command);
    assert_eq!(binary.wait().code(), Some(1));
    assert!(binary.said().contains(&address), "{}", binary.said());
}

#[test]
fn a_listening_socket_can_be_inherited() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let kept = listener.try_clone().unwrap();
    let file = rig.file(
        "a.cfg",
        &text(&origin.server_line()).replace("{listen}", "\"fd@${inherited}\""),
    );
    // The shell puts the socket where the configuration will look for it.
    let script = format!(
        "exec 7<&0 </dev/null; exec {PLIMSOLL} -d -f {}",
        file.display()
    );
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .env("inherited", "7")
        .stdin(OwnedFd::from(listener))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut client = crate::rig::client::Client::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().text(), "a");
    signal::send(child.id(), Signal::Interrupt).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(said, "");
    drop(kept);
    rig.config(&text(&origin.server_line()));
}

#[test]
fn the_service_manager_is_told() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let path = rig.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = free_address();
    let file = rig.file(
        "a.cfg",
        &text(&origin.server_line()).replace("{listen}", &address.to_string()),
    );
    let mut command = Command::new(PLIMSOLL);
    command
        .args(["-Ws", "-f"])
        .arg(file)
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000");
    rig.start(command, address);
    let mut message = [0; 256];
    let length = manager.recv(&mut message).unwrap();
    let text = String::from_utf8_lossy(&message[..length]).into_owned();
    assert!(text.contains("READY=1"), "{text}");
    assert!(
        text.contains(&format!("MAINPID={}", rig.binary().id())),
        "{text}"
    );
    let mut hears = |word: &str| {
        until(|| {
            let length = manager.recv(&mut message).unwrap_or(0);
            String::from_utf8_lossy(&message[..length]).contains(word)
        })
    };
    assert!(hears("WATCHDOG=1"));
    rig.binary().signal(Signal::Hangup);
    assert!(hears("RELOADING=1\nMONOTONIC_USEC="));
    assert!(hears("READY=1"));
}

#[test]
fn a_successor_ends_its_predecessor() {
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let address = rig.config(&text(&origin.server_line()));
    let old = rig.binary().id();
    let file = rig.path("haproxy.cfg").display().to_string();
    let mut command = Command::new(PLIMSOLL);
    command.args(["-db", "-f", &file, "-sf", &old.to_string()]);
    let mut new = Binary::start(command);
    assert_eq!(rig.binary().wait().code(), Some(0), "the old one ends");
    assert!(new.is_running(), "{}", new.said());
    let mut client = crate::rig::client::Client::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().text(), "a");
}

#[test]
fn root_is_given_up_once_it_listens() {
    if !plimsoll_sys::user::is_root() {
        eprintln!("SKIPPED: only root can become somebody else");
        return;
    }
    let Some(nobody) = plimsoll_sys::user::user_by_name("nobody").unwrap() else {
        eprintln!("SKIPPED: there is no user 'nobody'");
        return;
    };
    let mut rig = Rig::new();
    let origin = rig.origin("a");
    let folder = rig.path("cage");
    fs::create_dir(&folder).unwrap();
    let global = format!("global\n    user nobody\n    chroot {}\n", folder.display());
    rig.config(&(global + &text(&origin.server_line())));
    let id = rig.binary().id();
    let status = || fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let uid = format!("Uid:\t{0}\t{0}\t{0}\t{0}", nobody.uid);
    assert!(until(|| status().contains(&uid)), "{}", status());
    assert!(
        status().lines().any(|line| line.trim_end() == "Groups:"),
        "{}",
        status()
    );
    let root = fs::read_link(format!("/proc/{id}/root")).unwrap();
    assert_eq!(root, folder.canonicalize().unwrap());
    // Every thread, not only the first.
    for thread in fs::read_dir(format!("/proc/{id}/task")).unwrap() {
        // One that has ended meanwhile is nobody any more.
        let Ok(status) = fs::read_to_string(thread.unwrap().path().join("status")) else {
            continue;
        };
        assert!(status.contains(&uid), "{status}");
    }
    assert_eq!(rig.get("/").text(), "a");
}

#[test]
fn a_cage_and_the_background_go_together() {
    if !plimsoll_sys::user::is_root() {
        eprintln!("SKIPPED: only root can change its root directory");
        return;
    }
    for accounts in ["user nobody\n    chroot CAGE", "uid 65534\n    gid 65533"] {
        let rig = Rig::new();
        let origin = rig.origin("a");
        let (folder, pidfile) = (rig.path("cage"), rig.path("pid"));
        fs::create_dir(&folder).unwrap();
        let accounts = accounts.replace("CAGE", &folder.display().to_string());
        let address = free_address();
        let text = text(&origin.server_line()).replace("{listen}", &address.to_string());
        let global = format!(
            "global\n    daemon\n    {accounts}\n    pidfile {}\n",
            pidfile.display()
        );
        let file = rig.file("cage.cfg", &(global + &text));
        let outcome = run(Command::new(PLIMSOLL).arg("-f").arg(file));
        assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
        let id: u32 = fs::read_to_string(&pidfile)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        signal::send(id, Signal::Terminate).unwrap();
        assert!(!status.contains("Uid:\t0\t"), "{accounts}: {status}");
        let group = status.contains("Gid:\t65533\t");
        assert_eq!(group, accounts.contains("65533"), "{accounts}: {status}");
        let gone = || !Path::new(&format!("/proc/{id}")).exists();
        assert!(until(gone), "{accounts}: it does not end");
    }
}

/// What `show servers state` has told is read by the next process; what is no such text is told and left out.
#[test]
fn states_of_servers_outlive_the_process() {
    let text = |rig: &Rig, extra: &str, weight: u32| {
        format!(
            "global\n    stats socket {} level admin\n    server-state-base {}\n    server-state-file states\n\
             defaults\n    mode http\n    timeout connect 5s\n    timeout client 10s\n    timeout server 10s\n    {extra}\n\
             listen web\n    bind {{listen}}\n    server a 127.0.0.1:1 weight {weight}\n    server b 127.0.0.1:1\n",
            rig.path("sock").display(),
            rig.path("").display(),
        )
    };
    let load = "load-server-state-from-file global";
    let mut old = Rig::new();
    old.config(&text(&old, "", 10));
    ask(
        &old.path("sock"),
        "set server web/a weight 3; set server web/b state maint",
    );
    let states = ask(&old.path("sock"), "show servers state");
    let begin = |states: &str, extra: &str, weight: u32| {
        let mut rig = Rig::new();
        rig.file("states", states);
        rig.config(&text(&rig, extra, weight));
        let weight = ask(&rig.path("sock"), "get weight web/a");
        let maintained = ask(&rig.path("sock"), "show stat web 4 -1").contains(",MAINT,");
        let said = rig.binary().said_to_its_end();
        (weight.trim().to_owned(), maintained, said)
    };
    let (weight, maintained, said) = begin(&states, load, 10);
    assert_eq!((&*weight, maintained), ("3 (initial 10)", true), "{said}");
    let (weight, maintained, _) = begin(&states, load, 11);
    assert_eq!(
        (&*weight, maintained),
        ("11 (initial 11)", true),
        "an edit wins"
    );
    let (weight, maintained, _) = begin(&states, "", 10);
    assert_eq!(
        (&*weight, maintained),
        ("10 (initial 10)", false),
        "nobody asked"
    );
    let (weight, maintained, said) = begin("nonsense\n", load, 10);
    assert_eq!((&*weight, maintained), ("10 (initial 10)", false));
    assert!(
        said.contains("no server states from") && said.contains("'nonsense' is not a version"),
        "{said}"
    );
}
