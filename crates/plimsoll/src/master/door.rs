//! The master's command socket (`-S`): commands for the master itself, and for the worker behind it (`@1 COMMAND`).
//!
//! A thread for each connection: few people have one open. What is absent: the commands of workers, which are passed on
//! as they were written.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use plimsoll_policy::command::line::LINE_BYTES_MAX;
use plimsoll_policy::model::AccessLevel;
use plimsoll_policy::stats::VERSION;

use super::{Event, Told, worker};

/// Connections served at once; further ones are closed.
const CONNECTIONS_MAX: usize = 32;

/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// A pause when nothing can be accepted for want of descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// What somebody hears whose level is too low.
const DENIED: &str = "Permission denied\n\n";

const HELP: &str = "\
The following commands are valid at this level:
  @<worker> [<command>]                   : send a command to a worker: @1, or @!<pid>
  @master [<command>]                     : send a command to the master
  echo <text>                             : answer with the same words
  show cli level                          : this connection's level
  show cli sockets                        : command sockets of the master's own configuration: none
  show env [<variable>]                   : variables of the environment
  show proc                               : processes of the master
  show startup-logs                       : what was said of the configuration
  show version                            : the version of this program
  reload                                  : read the configuration anew; a new binary is taken into use
  hard-reload                             : the same: nobody is cut off by it
  help                                    : this list
  operator                                : lower the level of the current session to operator
  user                                    : lower the level of the current session to user
  prompt                                  : show a prompt and stay connected
  quit                                    : disconnect
";

/// Serves connections for as long as the process lives.
pub(super) fn open(
    socket: OwnedFd,
    is_unix: bool,
    level: AccessLevel,
    events: Sender<Event>,
) -> io::Result<()> {
    let open = Arc::new(AtomicUsize::new(0));
    let serve = move |stream: Box<dyn Stream>| {
        let (events, open) = (events.clone(), Arc::clone(&open));
        if open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        let _ = thread::Builder::new()
            .name("master-cli".to_owned())
            .spawn(move || {
                // Whoever breaks off is not told.
                let _ = hold(stream, level, &events);
                open.fetch_sub(1, Ordering::SeqCst);
            });
    };
    thread::Builder::new()
        .name("master-door".to_owned())
        .spawn(move || match is_unix {
            true => {
                let listener = UnixListener::from(socket);
                let _ = listener.set_nonblocking(false);
                loop {
                    match listener.accept() {
                        Ok((stream, _)) => serve(Box::new(stream)),
                        Err(_) => thread::sleep(EXHAUSTED_PAUSE),
                    }
                }
            }
            false => {
                let listener = TcpListener::from(socket);
                let _ = listener.set_nonblocking(false);
                loop {
                    match listener.accept() {
                        Ok((stream, _)) => serve(Box::new(stream)),
                        Err(_) => thread::sleep(EXHAUSTED_PAUSE),
                    }
                }
            }
        })?;
    Ok(())
}

/// A connection of either family.
trait Stream: Read + Write + AsRawFd + Send {
    fn duplicate(&self) -> io::Result<Box<dyn Stream>>;
    fn be_patient(&self) -> io::Result<()>;
}

macro_rules! stream {
    ($kind:ty) => {
        impl Stream for $kind {
            fn duplicate(&self) -> io::Result<Box<dyn Stream>> {
                Ok(Box::new(self.try_clone()?))
            }

            fn be_patient(&self) -> io::Result<()> {
                self.set_read_timeout(Some(SILENCE))?;
                self.set_write_timeout(Some(SILENCE))
            }
        }
    };
}

stream!(std::net::TcpStream);
stream!(std::os::unix::net::UnixStream);

/// What one connection remembers.
struct Session {
    /// What it may do, here and at workers.
    level: AccessLevel,
    /// The worker that commands without `@` go to; `None`: the master.
    target: Option<String>,
    /// Modes that were switched on for workers.
    modes: Vec<String>,
    prompts: bool,
    ended: bool,
}

impl Session {
    fn new(level: AccessLevel) -> Self {
        Self {
            level,
            target: None,
            modes: Vec::new(),
            prompts: false,
            ended: false,
        }
    }
}

fn hold(mut stream: Box<dyn Stream>, level: AccessLevel, events: &Sender<Event>) -> io::Result<()> {
    stream.be_patient()?;
    let mut reader = BufReader::new(stream.duplicate()?);
    let mut session = Session::new(level);
    loop {
        let mut line = Vec::new();
        let most = LINE_BYTES_MAX as u64 + 1;
        if (&mut reader).take(most).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\r', '\n']);
        let payload = payload(line, &mut reader)?;
        for command in commands(line) {
            let said = obey(command, &payload, &mut session, events, &*stream)?;
            stream.write_all(&said)?;
            if session.ended {
                return Ok(());
            }
        }
        if !session.prompts {
            return Ok(());
        }
        let target = session.target.as_deref().unwrap_or("master");
        stream.write_all(format!("{target}> ").as_bytes())?;
    }
}

/// The lines that a command ends with, up to an empty one, when its last word announces them.
fn payload(line: &str, reader: &mut impl io::BufRead) -> io::Result<String> {
    let announced = line.split_whitespace().next_back();
    let Some(end) = announced.and_then(|word| word.strip_prefix("<<")) else {
        return Ok(String::new());
    };
    let mut payload = String::from("\n");
    loop {
        let mut next = String::new();
        let most = LINE_BYTES_MAX as u64;
        if reader.take(most).read_line(&mut next)? == 0 || payload.len() > LINE_BYTES_MAX {
            return Ok(payload);
        }
        payload.push_str(&next);
        if next.trim_end() == end {
            return Ok(payload);
        }
    }
}

/// The commands between `;`, as they were written; `\` takes the meaning from what follows it.
fn commands(line: &str) -> Vec<&str> {
    let (mut found, mut start, mut escaped) = (Vec::new(), 0, false);
    for (index, byte) in line.bytes().enumerate() {
        if byte == b';' && !escaped {
            found.push(line[start..index].trim());
            start = index + 1;
        }
        escaped = byte == b'\\' && !escaped;
    }
    found.push(line[start..].trim());
    found
}

fn obey(
    command: &str,
    payload: &str,
    session: &mut Session,
    events: &Sender<Event>,
    stream: &dyn Stream,
) -> io::Result<Vec<u8>> {
    let (target, command) = match command.strip_prefix('@') {
        None => (session.target.clone(), command),
        Some(rest) => {
            let (target, command) = rest.split_once(' ').unwrap_or((rest, ""));
            let target =
                Some(target.to_owned()).filter(|target| target != "master" && target != "0");
            if command.trim().is_empty() {
                // From now on.
                session.target = target;
                return Ok(Vec::new());
            }
            (target, command.trim())
        }
    };
    match target {
        Some(target) => to_worker(&target, command, payload, session, events),
        None => to_master(command, session, events, stream),
    }
}

fn to_worker(
    target: &str,
    command: &str,
    payload: &str,
    session: &mut Session,
    events: &Sender<Event>,
) -> io::Result<Vec<u8>> {
    let is_mode = |command: &str| {
        command.starts_with("expert-mode ") || command.starts_with("experimental-mode ")
    };
    if is_mode(command) {
        if session.level < AccessLevel::Admin {
            return Ok(DENIED.into());
        }
        session.modes.push(command.to_owned());
    }
    let Some(socket) = told(events, |answer| Told::Socket(target.to_owned(), answer))? else {
        return Ok(
            format!("Can't find the target PID matching the prefix '@{target}'.\n\n").into(),
        );
    };
    // Its own socket gives everybody all rights.
    let mut line = match session.level {
        AccessLevel::Admin => String::new(),
        level => format!("{};", level.name()),
    };
    for mode in session.modes.iter().filter(|mode| *mode != command) {
        line.push_str(mode);
        line.push(';');
    }
    let before = line.matches(';').count();
    line.push_str(command);
    line.push_str(payload);
    let mut answer = worker::ask(&socket, &line)?;
    // The level and each mode have answered with an empty line.
    answer.drain(..before.min(answer.len()));
    Ok(answer)
}

fn to_master(
    command: &str,
    session: &mut Session,
    events: &Sender<Event>,
    stream: &dyn Stream,
) -> io::Result<Vec<u8>> {
    let words: Vec<_> = command.split_whitespace().collect();
    if session.level < needed(&words) {
        return Ok(DENIED.into());
    }
    let said = match words.as_slice() {
        [] => String::new(),
        ["show", "proc", ..] => told(events, Told::Processes)? + "\n",
        ["show", "version"] => format!("{VERSION}\n\n"),
        ["show", "cli", "level"] => format!("{}\n\n", session.level.name()),
        ["show", "cli", "sockets"] => "\n".to_owned(),
        ["show", "env", rest @ ..] => environment(rest.first().copied()),
        ["show", "startup-logs"] => return to_worker("1", command, "", session, events),
        ["echo", text @ ..] => format!("{}\n\n", text.join(" ")),
        ["reload" | "hard-reload"] => {
            let descriptor = stream.as_raw_fd();
            let answer = told(events, |answer| Told::Reload { descriptor, answer })?;
            session.ended = !session.prompts;
            answer
        }
        ["help"] => format!("{HELP}\n"),
        ["prompt"] => {
            session.prompts = !session.prompts;
            "\n".to_owned()
        }
        ["quit"] => {
            session.ended = true;
            String::new()
        }
        ["operator", ..] => {
            session.level = AccessLevel::Operator;
            "\n".to_owned()
        }
        ["user", ..] => {
            session.level = AccessLevel::User;
            "\n".to_owned()
        }
        ["expert-mode" | "experimental-mode" | "mcli-debug-mode", ..] => "\n".to_owned(),
        [first, ..] => {
            format!(
                "Unknown command: '{first}'. Please enter one of the following commands only:\n{HELP}\n"
            )
        }
    };
    Ok(said.into_bytes())
}

/// All variables of the environment, or one.
fn environment(name: Option<&str>) -> String {
    let mut variables = std::env::vars_os().map(|(name, value)| {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        format!("{name}={value}\n")
    });
    match name {
        None => variables.collect::<String>() + "\n",
        Some(name) => {
            let is_wanted = |line: &String| line.split('=').next() == Some(name);
            let line = variables.find(is_wanted);
            line.map_or_else(|| "Variable not found\n\n".to_owned(), |line| line + "\n")
        }
    }
}

/// The lowest level that may give a command to the master.
fn needed(words: &[&str]) -> AccessLevel {
    match words {
        ["show", "proc" | "env", ..]
        | ["show", "cli", "sockets"]
        | ["reload" | "hard-reload"]
        | ["operator", ..] => AccessLevel::Operator,
        ["expert-mode" | "experimental-mode" | "mcli-debug-mode", ..] => AccessLevel::Admin,
        _ => AccessLevel::User,
    }
}

/// Asks whoever has the state.
fn told<T>(events: &Sender<Event>, ask: impl FnOnce(Sender<T>) -> Told) -> io::Result<T> {
    let (answer, answered) = mpsc::channel();
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    events
        .send(Event::Asked(ask(answer)))
        .map_err(|_| io::ErrorKind::BrokenPipe)?;
    answered.recv().map_err(|_| gone(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stay_as_they_are_written() {
        for (line, expected) in [
            ("", &[""][..]),
            ("@1 show info", &["@1 show info"]),
            (
                "@1; expert-mode on; show proc",
                &["@1", "expert-mode on", "show proc"],
            ),
            (
                r"@1 add acl a b\ c\;;@1 show acl a",
                &[r"@1 add acl a b\ c\;", "@1 show acl a"],
            ),
            (r"echo \\;quit", &[r"echo \\", "quit"]),
        ] {
            assert_eq!(commands(line), expected, "{line}");
        }
    }
}
