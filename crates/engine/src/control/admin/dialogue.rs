//! One connection to a command socket: lines in, answers out.
//!
//! Without a prompt a connection carries one line, as HAProxy's do; a client that ends its side after the line is
//! answered all the same. With a prompt it goes on until `quit`, its end, or silence.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_policy::command::line::{self, LINE_BYTES_MAX, PAYLOAD_BYTES_MAX};
use plimsoll_policy::command::{Session, Words, prompt_text};
use plimsoll_policy::model::{AccessLevel, Severity};
use plimsoll_sys::handover;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::control::conductor::Conductor;

/// Shown where a line of a payload is awaited.
const PROMPT_PAYLOAD: &[u8] = b"+ ";

/// The first words of commands that read files or change the plane.
const SLOW: [&str; 6] = ["add", "commit", "del", "new", "plan", "reload"];

/// Another that does.
const STAPLE: [&str; 3] = ["set", "ssl", "ocsp-response"];

/// How long a process that follows us may take to accept our sockets.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(5);

/// How long, and for how many bytes, a closing connection is listened to, so that its answer is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 64 << 10;

/// Serves a connection to its end.
pub(super) async fn hold(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    conductor: &Arc<Conductor>,
    (level, severity): (AccessLevel, Severity),
    hand_over: Option<OwnedFd>,
) {
    let mut session = Session::new(level, conductor.desk().timeout_ms());
    session.severity = severity;
    let mut wire = Wire {
        stream,
        ahead: Vec::new(),
        ended: false,
    };
    if let Some(socket) = hand_over
        && wire.asks_for_sockets(&session).await
    {
        return give_sockets(conductor, socket).await;
    }
    // A client that fails or falls silent is not told: it would not listen.
    if converse(&mut wire, conductor, &mut session).await.is_ok() {
        let _ = timeout(LINGER, wire.close()).await;
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    conductor: &Arc<Conductor>,
    session: &mut Session,
) -> io::Result<()> {
    loop {
        let Some(text) = patient(session, wire.line()).await? else {
            return Ok(());
        };
        let parsed = line::parse(&text);
        let payload = match &parsed.payload_end {
            Some(end) => Some(payload(wire, session, end).await?),
            None => None,
        };
        let last = parsed.commands.len() - 1;
        for (index, words) in parsed.commands.iter().enumerate() {
            let payload = payload.as_deref().filter(|_| index == last);
            let words = without_process(words);
            let mut answer = run(conductor, words, payload, session).await?;
            while let Some(again) = session.again.take() {
                tokio::time::sleep(Duration::from_millis(again.after_ms)).await;
                answer = run(conductor, &again.words, None, session).await?;
            }
            patient(session, wire.send(answer.as_bytes())).await?;
            if session.ended {
                return Ok(());
            }
        }
        if !session.interactive {
            return Ok(());
        }
        if session.prompts {
            let prompt = prompt_text(session, conductor.desk().uptime_s());
            patient(session, wire.send(prompt.as_bytes())).await?;
        }
    }
}

/// Gives our listening sockets to a process that follows us.
async fn give_sockets(conductor: &Arc<Conductor>, socket: OwnedFd) {
    let conductor = Arc::clone(conductor);
    let giving = tokio::task::spawn_blocking(move || {
        let stream = StdUnixStream::from(socket);
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(HAND_OVER_PATIENCE))?;
        stream.set_write_timeout(Some(HAND_OVER_PATIENCE))?;
        handover::answer(&stream, &conductor.listening())
    });
    // A process that breaks off has its own reasons.
    let _ = giving.await;
}

/// HAProxy's master asks which process a command is for (`@1`, `@!PID`). There is one.
fn without_process(words: &[String]) -> &[String] {
    match words.split_first() {
        Some((first, rest)) if first.starts_with('@') => rest,
        _ => words,
    }
}

/// Runs a command. What may take its time must not keep other connections waiting.
async fn run(
    conductor: &Arc<Conductor>,
    words: &[String],
    payload: Option<&str>,
    session: &mut Session,
) -> io::Result<String> {
    let first = words.first().is_some_and(|word| SLOW.contains(&&**word));
    let slow = first || words.get(..3).is_some_and(|words| words == STAPLE);
    if !slow {
        return Ok(conductor.run(Words::new(words, payload), session));
    }
    let (conductor, words) = (Arc::clone(conductor), words.to_vec());
    let (payload, mut moved) = (payload.map(str::to_owned), session.clone());
    let running = tokio::task::spawn_blocking(move || {
        let answer = conductor.run(Words::new(&words, payload.as_deref()), &mut moved);
        (answer, moved)
    });
    let (answer, changed) = running.await.map_err(io::Error::other)?;
    *session = changed;
    Ok(answer)
}

/// The lines up to one that equals `end`, or up to the end of what the client says.
async fn payload<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    session: &Session,
    end: &str,
) -> io::Result<String> {
    let mut payload = String::new();
    loop {
        if session.prompts {
            patient(session, wire.send(PROMPT_PAYLOAD)).await?;
        }
        let Some(line) = patient(session, wire.line()).await? else {
            return Ok(payload);
        };
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line == end.as_bytes() {
            return Ok(payload);
        }
        if payload.len() + line.len() > PAYLOAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        payload.push_str(&String::from_utf8_lossy(line));
        payload.push('\n');
    }
}

/// Waits as long as the session allows silence.
async fn patient<T>(session: &Session, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let limit = Duration::from_millis(session.timeout_ms);
    timeout(limit, step)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

struct Wire<S> {
    stream: S,
    /// Received but not consumed.
    ahead: Vec<u8>,
    /// The client has ended its side.
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Whether a process that follows us is at the other end.
    async fn asks_for_sockets(&mut self, session: &Session) -> bool {
        let question = handover::QUESTION;
        while !self.ended && self.ahead.len() < question.len() && question.starts_with(&self.ahead)
        {
            let reading = self.stream.read_buf(&mut self.ahead);
            match patient(session, reading).await {
                Ok(count) => self.ended = count == 0,
                Err(_) => return false,
            }
        }
        self.ahead == question
    }

    /// The next line without its end; what stands before the end of the stream counts as one. `None` behind it.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.ahead) {
                let rest = self.ahead.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.ahead, rest);
                line.truncate(end);
                return Ok(Some(line));
            }
            if self.ended {
                let line = std::mem::take(&mut self.ahead);
                return Ok(Some(line).filter(|line| !line.is_empty()));
            }
            if self.ahead.len() > LINE_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.ended = self.stream.read_buf(&mut self.ahead).await? == 0;
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let mut heard = 0;
        while !self.ended && heard < LINGER_BYTES_MAX {
            self.ahead.clear();
            let count = self.stream.read_buf(&mut self.ahead).await?;
            self.ended = count == 0;
            heard += count;
        }
        Ok(())
    }
}
