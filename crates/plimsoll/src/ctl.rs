//! `plimsoll ctl`: asks a running balancer through its command socket, HAProxy's as well as ours.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::console;

/// Where sockets usually are, in the order of trying.
const USUAL_PLACES: [&str; 4] = [
    "/run/plimsoll/admin.sock",
    "/run/haproxy/admin.sock",
    "/var/run/haproxy.sock",
    "/var/lib/haproxy/stats",
];

/// How long an answer may take to begin or go on.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest answer in bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// How answers begin that mean that nothing was done, whatever their level.
const FAILURES: [&str; 3] = ["Unknown command", "Permission denied", "Success=0"];

/// Asked first, so that errors are told from answers: they begin with their level of syslog then.
const LEVELS: &str = "set severity-output number";

/// The level of errors; higher numbers are warnings, notices and advice.
const ERROR: u8 = 3;

/// Ask a running balancer, or tell it to change something.
///
/// The words are one command of HAProxy's runtime API, 'help' lists them. Without words, commands are read from standard
/// input, one per line; a line that ends with '<<' is followed by its payload up to an empty line.
///
/// Exits with 0 when every command was carried out, and with 1 when one was refused or the balancer cannot be asked.
#[derive(Args, Debug)]
pub(crate) struct Ctl {
    /// The command socket: a path, 'abns@NAME', or HOST:PORT. Without it, the usual places are tried: /run/plimsoll/admin.sock,
    /// /run/haproxy/admin.sock, /var/run/haproxy.sock, /var/lib/haproxy/stats.
    #[arg(short, long, value_name = "SOCKET")]
    socket: Option<String>,

    /// The command.
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<String>,
}

impl Ctl {
    /// The result is the exit status: 1 when a command was refused.
    ///
    /// # Errors
    /// When the socket cannot be reached, or breaks.
    pub(crate) fn run(&self) -> anyhow::Result<u8> {
        let socket = place(self.socket.as_deref())?;
        if !self.words.is_empty() {
            return ask(socket, &format!("{}\n", self.words.join(" ")));
        }
        let stdin = io::stdin();
        if stdin.is_terminal() {
            bail!("no command; try 'plimsoll ctl help', or write commands to standard input");
        }
        let mut status = 0;
        let mut lines = stdin.lock().lines();
        while let Some(line) = lines.next() {
            let mut text = line? + "\n";
            if text.trim_end().ends_with("<<") {
                for line in lines.by_ref() {
                    let line = line? + "\n";
                    text.push_str(&line);
                    if line == "\n" {
                        break;
                    }
                }
            }
            if !text.trim().is_empty() {
                status = status.max(ask(socket, &text)?);
            }
        }
        Ok(status)
    }
}

/// The socket that was named, or the one in a usual place.
///
/// # Errors
/// When there is none.
pub(crate) fn place(named: Option<&str>) -> anyhow::Result<&str> {
    let usual = || {
        let mut places = USUAL_PLACES.into_iter();
        places.find(|place| Path::new(place).exists())
    };
    named.or_else(usual).with_context(|| {
        format!(
            "no command socket in the usual places ({}); name it with '-s SOCKET'",
            USUAL_PLACES.join(", ")
        )
    })
}

/// One line on a connection of its own, and its answer to standard output.
///
/// # Errors
/// When the socket cannot be reached, or breaks.
pub(crate) fn ask(socket: &str, text: &str) -> anyhow::Result<u8> {
    // Whoever asks for levels shall see them.
    let levels = !text.contains("severity-output");
    let text = match levels {
        true => &format!("{LEVELS};{text}"),
        false => text,
    };
    let mut answer = converse(socket, text).with_context(|| format!("cannot ask {socket}"))?;
    if levels {
        answer = behind_first(&answer).to_owned();
    }
    let (bare, failed) = judge(&answer);
    let answer = if levels { bare } else { answer };
    // Every answer ends with an empty line, which is for programs that read several.
    let answer = answer.strip_suffix('\n').unwrap_or(&answer);
    console::print(answer);
    Ok(u8::from(failed))
}

/// What follows the first answer: an empty line, or of a master, which knows no levels, a text up to one.
fn behind_first(answer: &str) -> &str {
    match answer.strip_prefix('\n') {
        Some(rest) => rest,
        None => answer.split_once("\n\n").map_or("", |(_, rest)| rest),
    }
}

/// The answers without the levels they begin with, and whether one of them is a refusal.
fn judge(answer: &str) -> (String, bool) {
    let (mut text, mut failed, mut begins) = (String::new(), false, true);
    for line in answer.split_inclusive('\n') {
        let mut shown = line;
        if begins {
            let level = line
                .strip_prefix('[')
                .and_then(|rest| rest.split_once("]: "));
            if let Some((level, rest)) = level
                && let Ok(level @ 0..=7) = level.parse::<u8>()
            {
                failed |= level <= ERROR;
                shown = rest;
            }
            failed |= FAILURES.iter().any(|failure| shown.starts_with(failure));
        }
        begins = line == "\n";
        text.push_str(shown);
    }
    (text, failed)
}

/// One line on a connection of its own, and its answer.
pub(crate) fn converse(socket: &str, text: &str) -> io::Result<String> {
    let is_path = socket.contains('/') || !socket.contains(':');
    let answer = match (socket.strip_prefix("abns@"), is_path) {
        (Some(name), _) => {
            let address = SocketAddr::from_abstract_name(name)?;
            of_unix(UnixStream::connect_addr(&address)?, text)?
        }
        (None, true) => of_unix(UnixStream::connect(socket)?, text)?,
        (None, false) => {
            let stream = TcpStream::connect(socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            (&stream).write_all(text.as_bytes())?;
            stream.shutdown(Shutdown::Write)?;
            read(&stream)?
        }
    };
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn of_unix(stream: UnixStream, text: &str) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    (&stream).write_all(text.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    read(&stream)
}

fn read(stream: impl io::Read) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::{behind_first, judge};

    #[test]
    fn refusals_are_told_from_answers() {
        for (answer, text, failed) in [
            ("[3]: No such server.\n\n", "No such server.\n\n", true),
            (
                "[6]: New server registered.\n\n",
                "New server registered.\n\n",
                false,
            ),
            (
                "[5]: All sockets are already enabled.\n\n",
                "All sockets are already enabled.\n\n",
                false,
            ),
            (
                "[6]: Unknown command: 'x'\n\n",
                "Unknown command: 'x'\n\n",
                true,
            ),
            ("Success=0\n--\nwhy\n\n", "Success=0\n--\nwhy\n\n", true),
            ("Success=1\n--\n\n", "Success=1\n--\n\n", false),
            (
                "50 (initial 1)\n\n[3]: No such server.\n\n",
                "50 (initial 1)\n\nNo such server.\n\n",
                true,
            ),
            (
                "# id\n[3]: a line of a table\n\n",
                "# id\n[3]: a line of a table\n\n",
                false,
            ),
            ("", "", false),
        ] {
            assert_eq!(judge(answer), (text.to_owned(), failed), "{answer}");
        }
        assert_eq!(behind_first("\n0.1.0\n\n"), "0.1.0\n\n");
        assert_eq!(
            behind_first("Unknown command: 'set'\n  quit\n\nx\n\n"),
            "x\n\n"
        );
    }
}
