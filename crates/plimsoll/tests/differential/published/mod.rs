//! Configurations that people have published, moved to loopback, before both programs: the same requests have to be
//! answered in the same way, by the same server, and logged in the same words.
//!
//! The files lie beside the checkout, where not everyone has them. `DIFFERENTIAL_ONLY=NAME` shows one of them in full;
//! `DIFFERENTIAL_FOLDER=FOLDER` plays the `*.cfg` files of another folder.

mod echo;
mod rewrite;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use std::{env, fs, thread};

use self::rewrite::Published;
use plimsoll_sys::signal::Signal;

use crate::log::Receiver;
use crate::rig::{PLIMSOLL, Rig, free_address, run};
use crate::stage::reference;

/// Least number of files that both programs serve, each with [`rewrite::REQUESTS`].
const FILES_MIN: usize = 50;

/// Longest wait for an answer, and when whoever differed plays again by itself, up to so many times: a busy machine is no
/// difference.
const PATIENCE: Duration = Duration::from_millis(1_500);
const PATIENCE_ALONE: Duration = Duration::from_secs(6);
const REPLAYS: usize = 2;

/// Files that are served at the same time.
const PLAYERS: usize = 4;

/// Files whose answers differ for a reason (`docs/differences.md`), and the reason.
const KNOWN: &[(&str, &str)] = &[(
    "6ee62085f4.cfg",
    "a TCP frontend looks at paths without waiting for them: HAProxy sees them when they come early enough",
)];

/// What one program did with a file.
enum Outcome {
    /// It refused the configuration.
    Refused(String),
    /// What the clients saw and the log said.
    Served(Vec<String>),
}

#[test]
fn published_configurations_serve_as_under_haproxy() {
    let other = env::var_os("DIFFERENTIAL_FOLDER").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/haproxy");
    let folder = other.clone().unwrap_or(beside);
    let Some(names) = names_in(&folder) else {
        eprintln!("SKIPPED: there is no corpus of configurations beside this checkout");
        return;
    };
    let Some(haproxy) = reference() else { return };
    let only = env::var("DIFFERENTIAL_ONLY").ok();
    let origin = echo::start();
    let names = names.into_iter();
    let names = names.filter(|name| only.as_ref().is_none_or(|only| name.contains(only)));
    let files = names.filter_map(|name| {
        let text = fs::read(folder.join(&name)).ok()?;
        let file = rewrite::rewrite(&String::from_utf8_lossy(&text), origin);
        (file.binds > 0).then_some((name, file))
    });
    let files: Vec<_> = files.collect();
    let played = play_all(&haproxy, &files);
    let (mut served, mut requests) = (0, 0);
    let (mut refused, mut report) = (BTreeMap::new(), String::new());
    for ((name, file), (theirs, ours)) in files.iter().zip(played) {
        match (theirs, ours) {
            // Without their environment some mean nothing to anybody.
            (Outcome::Refused(_), _) => {}
            (Outcome::Served(_), Outcome::Refused(why)) => {
                refused.insert(name, why);
            }
            (Outcome::Served(theirs), Outcome::Served(ours)) => {
                served += 1;
                requests += file.requests.len() * file.binds;
                if only.is_some() {
                    eprintln!("{}\n{}", file.text, ours.join("\n"));
                }
                if theirs != ours && !is_known(name) {
                    let _ = writeln!(report, "---- {name}\n{}", difference(&theirs, &ours));
                }
            }
        }
    }
    eprintln!("{served} files, {requests} requests; refused here alone: {refused:#?}");
    assert!(report.is_empty(), "{report}");
    if only.is_none() && other.is_none() {
        let enough = served >= FILES_MIN && requests >= served * rewrite::REQUESTS;
        assert!(enough, "{served} files, {requests} requests");
    }
}

/// The configurations in a folder, in the order of their names; `None`: there is no such folder.
fn names_in(folder: &Path) -> Option<Vec<String>> {
    let files = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".cfg")).collect();
    names.sort();
    Some(names)
}

fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == name)
}

/// Plays all files before both programs, a few at a time; the outcomes in the order of the files.
fn play_all(haproxy: &Path, files: &[(String, Published)]) -> Vec<(Outcome, Outcome)> {
    let next = AtomicUsize::new(0);
    let outcomes: Vec<_> = files.iter().map(|_| OnceLock::new()).collect();
    thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Relaxed);
                    let Some((_, file)) = files.get(index) else {
                        return;
                    };
                    let _ = outcomes[index].set(play_both(haproxy, file, PATIENCE));
                }
            });
        }
    });
    let outcomes = outcomes.into_iter().map(OnceLock::into_inner);
    let outcomes = outcomes.zip(files).map(|(both, (name, file))| {
        let mut both = both.expect("every file is played");
        for _ in 0..REPLAYS {
            match &both {
                (Outcome::Served(theirs), Outcome::Served(ours))
                    if theirs != ours && !is_known(name) =>
                {
                    both = play_both(haproxy, file, PATIENCE_ALONE);
                }
                _ => break,
            }
        }
        both
    });
    outcomes.collect()
}

/// Plays a file before HAProxy and before us.
fn play_both(haproxy: &Path, file: &Published, patience: Duration) -> (Outcome, Outcome) {
    let ours = Path::new(PLIMSOLL);
    (play(haproxy, file, patience), play(ours, file, patience))
}

/// Serves a file by one program and sends it all requests, one after the other.
fn play(program: &Path, file: &Published, patience: Duration) -> Outcome {
    let mut rig = Rig::new();
    let empty = rig.file("empty", "").display().to_string();
    let log = Receiver::start();
    let ready = free_address();
    let binds: Vec<SocketAddr> = (0..file.binds).map(|_| free_address()).collect();
    let mut text = file.text.replace("{log}", &log.address().to_string());
    text = text.replace("{empty}", &empty);
    for (index, bind) in binds.iter().enumerate() {
        text = text.replace(&format!("{{bind{index}}}"), &bind.to_string());
    }
    let _ = write!(
        text,
        "\nfrontend ready-to-serve\n    bind {ready}\n    timeout client 1s\n"
    );
    let path: PathBuf = rig.file("haproxy.cfg", &text);
    let checked = run(Command::new(program).args(["-c", "-f"]).arg(&path));
    if checked.status != Some(0) {
        let error = checked.stderr.lines().find(|line| line.contains("rror"));
        return Outcome::Refused(error.unwrap_or_default().to_owned());
    }
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(&path);
    rig.start(command, ready);
    let mut notes = Vec::new();
    for (index, bind) in binds.iter().enumerate() {
        for request in &file.requests {
            let answer = ask(*bind, request, patience);
            notes.push(format!("bind {index}: {request:?}\n{answer}"));
        }
    }
    // Whoever ends in peace has logged everything.
    rig.binary().signal(Signal::User1);
    rig.binary().wait();
    let mut lines = log.all();
    lines.retain(|line| !line.contains(" stopped (cumulated conns: "));
    // Sessions of TCP end when both sides know of it, which may be after the next one has begun.
    // An HTTP exchange may be logged as a session of TCP, and its bytes are counted otherwise.
    let is_http = file.text.contains("mode http");
    let mut lines: Vec<_> = lines.iter().map(|line| timeless(line, is_http)).collect();
    lines.sort();
    notes.append(&mut lines);
    let hide = |note: &String| {
        let mut note = note.clone();
        for (index, bind) in binds.iter().enumerate() {
            note = renamed(&note, bind.port(), &format!("PORT{index}"));
        }
        note
    };
    Outcome::Served(notes.iter().map(hide).collect())
}

/// One request on a connection of its own: all that comes back, without what chance decides.
fn ask(address: SocketAddr, request: &str, patience: Duration) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return "not accepted".to_owned();
    };
    stream.set_read_timeout(Some(patience)).expect("a time");
    let own = stream.local_addr().map_or(0, |own| own.port());
    let mut answer = Vec::new();
    let _ = stream.write_all(request.as_bytes());
    let mut chunk = [0; 4096];
    let end = loop {
        match stream.read(&mut chunk) {
            Ok(0) => break "closed",
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break "closed",
            Err(_) => break "silent",
        }
    };
    let text = renamed(&String::from_utf8_lossy(&answer), own, "CLIENT");
    format!("{}\n({end})", masked(&text))
}

/// `text` with `name` where the number `port` stands by itself: there is no port 36000 in 31536000.
fn renamed(text: &str, port: u16, name: &str) -> String {
    let number = port.to_string();
    let mut rest = text;
    let mut masked = String::with_capacity(text.len());
    while let Some(at) = rest.find(&number) {
        let (before, found) = rest.split_at(at);
        let after = &found[number.len()..];
        masked.push_str(before);
        let is_part = masked.ends_with(|last: char| last.is_ascii_digit())
            || after.starts_with(|next: char| next.is_ascii_digit());
        masked.push_str(if is_part { &number } else { name });
        rest = after;
    }
    masked + rest
}

/// An answer without what chance decides, and without what is told in our own words (`docs/differences.md`): reasons
/// and pages of errors, figures of the exporter.
fn masked(text: &str) -> String {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let stock = "cache-control: no-cache\r\ncontent-type: text/html";
    let is_error = body.starts_with("<html><body><h1>") || body.is_empty() && head.contains(stock);
    let is_exporter = head.contains("text/plain; version=0.0.4");
    let mut lines: Vec<String> = head.lines().map(str::to_owned).collect();
    for (index, line) in lines.iter_mut().enumerate() {
        match line.split_once(": ") {
            None if index == 0 && is_error => line.truncate("HTTP/1.1 400".len()),
            Some((name @ ("date" | "Date" | "last-modified"), _)) => {
                *line = format!("{name}: (a date)")
            }
            Some(("content-length", _)) if is_error => *line = "content-length: N".to_owned(),
            Some(("transfer-encoding" | "content-length" | "content-type", _)) if is_exporter => {
                line.clear()
            }
            _ => {}
        }
    }
    lines.retain(|line| !line.is_empty());
    // Where it stands among the fields means nothing (RFC 9110 section 5.3).
    lines.sort_by_key(|line| line == "connection: close");
    let body = if is_error || is_exporter {
        "(our own words)"
    } else {
        body
    };
    format!("{}\n\n{body}", lines.join("\n"))
}

/// A line without what chance and time decide: dates, ports of clients, numbers of connections, bytes of HTTP exchanges,
/// and in lines of Apache's kind all numbers but the status.
fn timeless(line: &str, is_http: bool) -> String {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_apache = line.contains(" [") && line.contains(" +0000] ");
    let mut before = "";
    let words = line.split(' ').map(|word| {
        let last = std::mem::replace(&mut before, word);
        let parts: Vec<&str> = word.split('/').collect();
        match word.rsplit_once(':') {
            // Connections of process, frontend, backend and server, then retries.
            _ if parts.len() == 5 && parts[1..4].iter().all(|part| is_number(part)) => {
                format!("N/N/N/N/{}", parts[4])
            }
            Some((address, port))
                if is_number(port) && address.starts_with("127.0.0.1") && last.starts_with('<') =>
            {
                format!("{address}:CLIENT")
            }
            _ if word.starts_with('[') && word.contains("/20") => "[DATE".to_owned(),
            // Behind a status, or behind the timers of a session.
            _ if is_number(word) && (last.len() == 3 && is_number(last)) => "N".to_owned(),
            _ if is_number(word) && is_http && last.split('/').count() == 3 => "N".to_owned(),
            _ if is_apache && is_number(word) && !last.ends_with("HTTP/1.1\"") => "N".to_owned(),
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The first few notes that differ, and lines that only one of the logs has.
fn difference(theirs: &[String], ours: &[String]) -> String {
    let mut text = String::new();
    let is_line = |note: &&String| note.starts_with("log ");
    let pairs = theirs
        .iter()
        .zip(ours)
        .take_while(|(their, _)| !is_line(their));
    for (their, our) in pairs.filter(|(their, our)| their != our).take(2) {
        let _ = writeln!(text, "theirs: {their}\nours: {our}");
    }
    for (who, one, other) in [("theirs", theirs, ours), ("ours", ours, theirs)] {
        let mut rest: Vec<&String> = other.iter().filter(is_line).collect();
        let alone = one.iter().filter(is_line).filter(|line| {
            let known = rest.iter().position(|other| other == line);
            known.map(|at| rest.swap_remove(at)).is_none()
        });
        for line in alone.take(3) {
            let _ = writeln!(text, "{who}: {line}");
        }
    }
    text
}
