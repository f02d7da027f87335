//! A virtual client's or origin's end of a connection. It reads messages in its own plain and strict way.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use super::stage::Cast;
use crate::reactor::Socket;

/// Longest head a peer puts up with, in bytes.
const HEAD_BYTES_MAX: usize = 65_536;

/// The lines of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) first: String,
    pub(super) fields: Vec<(String, String)>,
}

impl Lines {
    fn parse(text: &[u8]) -> Self {
        let text = std::str::from_utf8(text).expect("a head in ASCII");
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{text}"));
                (name.to_ascii_lowercase(), value.trim().to_owned())
            })
            .collect();
        Self { first, fields }
    }

    /// The value of the only field of that name.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let mut all = self.fields.iter().filter(|(known, _)| known == name);
        let (_, value) = all.next()?;
        assert!(all.next().is_none(), "{name} twice in {self:?}");
        Some(value)
    }

    pub(super) fn is_chunked(&self) -> bool {
        self.value("transfer-encoding") == Some("chunked")
    }

    pub(super) fn length(&self) -> Option<usize> {
        let value = self.value("content-length")?;
        Some(value.parse().unwrap_or_else(|_| panic!("{self:?}")))
    }

    pub(super) fn expects(&self) -> bool {
        self.value("expect") == Some("100-continue")
    }

    pub(super) fn closes(&self) -> bool {
        self.value("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Bytes(usize),
    Chunks,
    ToEnd,
}

/// What has arrived of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) complete: bool,
    /// The number that a trailer named.
    pub(super) trailer: Option<u32>,
}

/// One end of a connection.
pub(super) struct Peer {
    pub(super) cast: Cast,
    pub(super) socket: Rc<Socket>,
    unread: Vec<u8>,
    /// What the trailer of the last body in chunks said.
    trailer: Option<u32>,
    /// Rests so long before it reads, and then takes little.
    pub(super) pause_ns: u64,
}

impl Peer {
    pub(super) fn new(cast: Cast, socket: Rc<Socket>) -> Self {
        Self {
            cast,
            socket,
            unread: Vec::new(),
            trailer: None,
            pause_ns: 0,
        }
    }

    pub(super) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        write_all(&self.socket, bytes).await
    }

    /// Reads more; `false` at the end.
    async fn more(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16_384];
        let room = if self.pause_ns > 0 {
            self.cast.sleep(self.pause_ns).await;
            1_000
        } else {
            piece.len()
        };
        let count = poll_fn(|_| self.socket.poll_read(&mut piece[..room])).await?;
        self.unread.extend_from_slice(&piece[..count]);
        Ok(count > 0)
    }

    /// What has been read and not used, or else what comes next; empty at the end.
    pub(super) async fn piece(&mut self) -> io::Result<Vec<u8>> {
        if self.unread.is_empty() {
            self.more().await?;
        }
        Ok(std::mem::take(&mut self.unread))
    }

    /// The next head; `None` when the connection ends before it begins.
    pub(super) async fn head(&mut self) -> io::Result<Option<Lines>> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return Ok(Some(Lines::parse(&head[..end])));
            }
            assert!(self.unread.len() < HEAD_BYTES_MAX, "a head without end");
            if !self.more().await? {
                return match self.unread.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Exactly `count` bytes.
    pub(super) async fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.unread.drain(..count).collect())
    }

    /// The next piece of a body cut into chunks; empty when it and its trailers have ended.
    pub(super) async fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let digits = self.line().await?;
        let size = usize::from_str_radix(&digits, 16).unwrap_or_else(|_| panic!("{digits:?}"));
        if size == 0 {
            self.trailer = self.trailers().await?;
            return Ok(Vec::new());
        }
        let piece = self.take(size).await?;
        assert_eq!(self.take(2).await?, b"\r\n", "the end of a chunk");
        Ok(piece)
    }

    async fn trailers(&mut self) -> io::Result<Option<u32>> {
        let mut trailer = None;
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            if line.is_empty() {
                return Ok(trailer);
            }
            let number = line.strip_prefix("x-trailer: ");
            let number = number.unwrap_or_else(|| panic!("nobody sent {line:?}"));
            assert_eq!(trailer, None, "a trailer twice");
            trailer = Some(number.parse().expect("a number"));
        }
    }

    /// A short line, without its end.
    async fn line(&mut self) -> io::Result<String> {
        let end = loop {
            if let Some(end) = find(&self.unread, b"\r\n") {
                break end;
            }
            assert!(
                self.unread.len() < 32,
                "no chunk begins or ends so: {:?}",
                self.unread
            );
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let line = self.take(end + 2).await?;
        Ok(String::from_utf8(line[..end].to_vec()).expect("text"))
    }

    /// A body, as far as it comes.
    pub(super) async fn body(&mut self, extent: Extent) -> Body {
        let mut body = Body::default();
        self.trailer = None;
        body.complete = self.read_body(extent, &mut body.bytes).await.is_ok();
        body.trailer = self.trailer.take();
        body
    }

    async fn read_body(&mut self, extent: Extent, bytes: &mut Vec<u8>) -> io::Result<()> {
        match extent {
            Extent::Bytes(count) => {
                while bytes.len() < count {
                    let piece = self.piece().await?;
                    if piece.is_empty() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    let (ours, beyond) = piece.split_at(piece.len().min(count - bytes.len()));
                    bytes.extend_from_slice(ours);
                    self.unread = beyond.to_vec();
                }
            }
            Extent::Chunks => loop {
                let piece = self.chunk().await?;
                if piece.is_empty() {
                    break;
                }
                bytes.extend(piece);
            },
            Extent::ToEnd => loop {
                let piece = self.piece().await?;
                if piece.is_empty() {
                    break;
                }
                bytes.extend(piece);
            },
        }
        Ok(())
    }

    /// Ends the connection by a reset.
    pub(super) fn reset(self) {
        // A connection that is broken already cannot be reset, and need not.
        let _ = self.socket.reset_on_close();
    }
}

pub(super) async fn write_all(socket: &Socket, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|_| socket.poll_write(bytes)).await?;
        bytes = &bytes[count..];
    }
    Ok(())
}

pub(super) fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
