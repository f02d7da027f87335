//! One check: connections, bytes in both directions, deadlines.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_policy::model::ProxyHeader;
use plimsoll_policy::model::source::Source;
use plimsoll_policy::model::tls::ServerName;
use plimsoll_policy::probe::{
    Dial, DialOffer, DialTls, Dialogue, Fault, Heard, Status, Step, Verdict,
};
use plimsoll_wire::proxy_protocol::{v1, v2};
use plimsoll_wire::socks4;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::tls::back::Back;

/// Bytes taken from a server at once.
const CHUNK_BYTES: usize = 4_096;

/// How long, and for how many bytes, a server is heard out after the verdict.
const DRAIN: Duration = Duration::from_millis(200);
const DRAIN_BYTES_MAX: usize = 64 << 10;

/// Where and how patiently a server is asked.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    pub(super) target: Target,
    /// The SOCKS proxy that leads to the server, and whether connections go through it unless a step says otherwise.
    pub(super) socks: Option<SocketAddr>,
    pub(super) socks_usual: bool,
    pub(super) source: Option<Source>,
    /// The PROXY protocol first, on every connection.
    pub(super) header: Option<ProxyHeader>,
    /// For a connection that a step wants to begin with the PROXY protocol.
    pub(super) header_version: ProxyHeader,
    /// For a connection to come about, and for all of the check unless `answer` says otherwise.
    pub(super) connect: Duration,
    /// From the connection to the end (`timeout check`).
    pub(super) answer: Option<Duration>,
    /// From the first connection to the end, where `answer` is absent.
    pub(super) whole: Duration,
    pub(super) ending: Ending,
    /// How TLS is spoken, when it is.
    pub(super) tls: Option<Arc<Back>>,
    /// Whether connections use it unless a step says otherwise.
    pub(super) tls_usual: bool,
    /// The host that a request is for is the name to ask for in TLS, where nothing else is.
    pub(super) sni_auto: bool,
}

/// How a connection ends that has served its purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a reset, which leaves nothing behind in the kernel; nothing was said that could be lost.
    Reset,
    /// As it comes.
    Close,
    /// After the rest of the answer, so that the server does not find its last bytes refused.
    Drain,
}

/// Where the check of a server goes unless a step says otherwise.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Inet { ip: IpAddr, port: Option<u16> },
    Unix(PathBuf),
}

impl Manner {
    /// How a connection is secured, when it is.
    fn secures(&self, dial: &Dial) -> Option<&Arc<Back>> {
        let wanted = match dial.tls {
            DialTls::Usual => self.tls_usual,
            DialTls::Yes => true,
            DialTls::No => false,
        };
        self.tls.as_ref().filter(|_| wanted)
    }

    /// What is said in the handshake in place of what the server's line says.
    fn offer(&self, dial: &Dial) -> Option<DialOffer> {
        let written = dial.offer.as_deref().cloned();
        let host = dial.host.clone().filter(|_| self.sni_auto);
        if host.is_none() {
            return written;
        }
        let offer = written.unwrap_or_default();
        Some(DialOffer {
            name: offer.name.or(host),
            ..offer
        })
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// An open connection.
pub(super) struct Line {
    stream: Box<dyn Duplex>,
    deadline: Instant,
    /// Something came since we last spoke.
    heard: bool,
    /// It is spoken through TLS.
    secured: bool,
    /// Both sides agreed on HTTP/2.
    http2: bool,
}

/// Leads a dialogue to its verdict; the connection that is still open then is for [`farewell`].
pub(super) async fn hold(
    mut dialogue: Box<dyn Dialogue>,
    manner: &Manner,
) -> (Verdict, Option<Line>) {
    let mut say = Vec::new();
    let mut step = dialogue.hear(Heard::Begin, &mut say);
    let mut line: Option<Line> = None;
    loop {
        let took = match (&mut line, step) {
            (_, Step::Connect(dial)) => {
                // The old connection ends before the new one begins.
                line = None;
                open(&dial, manner).await.map(|opened| {
                    let http2 = opened.http2;
                    line = Some(opened);
                    dialogue.hear(Heard::Connected { http2 }, &mut say)
                })
            }
            (Some(line), Step::Listen) => listen(line, &mut *dialogue, &mut say).await,
            (None, Step::Listen) => Err(Fault::Unable("nobody to listen to".to_owned())),
            (_, Step::Done(verdict)) => return (named(verdict, line.as_ref()), line),
        };
        let spoken = match (took, &mut line) {
            (Ok(next), Some(line)) if !say.is_empty() => speak(line, &mut say).await.map(|()| next),
            (took, _) => took,
        };
        match spoken {
            Ok(next) => step = next,
            Err(fault) => return (dialogue.fault(&fault), None),
        }
    }
}

/// A connection that came about says more when it came about through TLS.
fn named(mut verdict: Verdict, line: Option<&Line>) -> Verdict {
    if verdict.status == Status::ConnectOk && line.is_some_and(|line| line.secured) {
        verdict.status = Status::TlsOk;
    }
    verdict
}

/// Hears a server out that has been understood already.
pub(super) async fn farewell(mut line: Line) {
    let mut chunk = [0; CHUNK_BYTES];
    let mut left = DRAIN_BYTES_MAX;
    let deadline = Instant::now() + DRAIN;
    while let Ok(Ok(count @ 1..)) = timeout_at(deadline, line.stream.read(&mut chunk)).await {
        left = left.saturating_sub(count);
        if left == 0 {
            return;
        }
    }
}

async fn open(dial: &Dial, manner: &Manner) -> Result<Line, Fault> {
    let begun = Instant::now();
    let connected = timeout_at(begun + manner.connect, connect(dial, manner)).await;
    let mut stream = connected.map_err(|_| Fault::ConnectTimeout)??;
    let deadline = match manner.answer {
        Some(answer) => Instant::now() + answer,
        None => begun + manner.whole,
    };
    let header = manner
        .header
        .or_else(|| dial.send_proxy.then_some(manner.header_version));
    if let Some(version) = header {
        let header = proxy_header(version);
        // A new socket takes so few bytes at once.
        stream
            .write_all(&header)
            .await
            .map_err(|error| broken(&error))?;
    }
    let secures = manner.secures(dial);
    let mut http2 = false;
    if let Some(back) = secures {
        let waits = begun + manner.connect.max(manner.answer.unwrap_or_default());
        let offer = manner.offer(dial);
        let secured = timeout_at(waits, secure(back, offer.as_ref(), stream)).await;
        (stream, http2) = secured.map_err(|_| Fault::TlsTimeout)??;
    }
    Ok(Line {
        stream,
        deadline,
        heard: false,
        secured: secures.is_some(),
        http2,
    })
}

/// A header that says: this connection is my own.
fn proxy_header(version: ProxyHeader) -> Vec<u8> {
    let mut header = Vec::new();
    match version {
        ProxyHeader::V1 => v1::encode(None, &mut header),
        // Without fields it is far from the longest a header may be.
        ProxyHeader::V2 => v2::encode(None, &[], None, &mut header).unwrap_or_default(),
    }
    header
}

async fn connect(dial: &Dial, manner: &Manner) -> Result<Box<dyn Duplex>, Fault> {
    let (ip, port) = match (&manner.target, dial.address) {
        (Target::Unix(path), None) => return connect_unix(path).await,
        (Target::Unix(_), Some(ip)) => (ip, dial.port),
        (Target::Inet { ip, port }, address) => (address.unwrap_or(*ip), dial.port.or(*port)),
    };
    let Some(port) = port else {
        return Err(Fault::Unable("no port is configured for checks".to_owned()));
    };
    let unable = |error: io::Error| Fault::Unable(in_words(&error));
    let destination = SocketAddr::new(ip, port);
    let proxy = manner
        .socks
        .filter(|_| manner.socks_usual || dial.via_socks);
    let next = proxy.unwrap_or(destination);
    let socket = match next.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.map_err(unable)?;
    if let Some(source) = &manner.source {
        if let Some(interface) = &source.interface {
            socket
                .bind_device(Some(interface.as_bytes()))
                .map_err(unable)?;
        }
        if source.address.is_ipv4() == next.is_ipv4() {
            let mut address = source.address;
            if source.last_port.is_some() {
                // The range is for traffic.
                address.set_port(0);
            }
            socket.bind(address).map_err(unable)?;
        }
    }
    let mut stream = socket
        .connect(next)
        .await
        .map_err(|error| Fault::Refused(refusal(&error)))?;
    // Neither may fail the check: they only make it cheaper.
    let _ = stream.set_nodelay(true);
    if manner.ending == Ending::Reset {
        let _ = stream.set_zero_linger();
    }
    if proxy.is_some() {
        pass(&mut stream, destination).await?;
    }
    Ok(Box::new(stream))
}

/// Asks a SOCKS proxy for a connection.
async fn pass(stream: &mut TcpStream, destination: SocketAddr) -> Result<(), Fault> {
    let denied = |words: &str| Fault::Refused(words.to_owned());
    let SocketAddr::V4(destination) = destination else {
        return Err(denied("SOCKS4 proxies lead to addresses of IPv4 alone"));
    };
    let mut answer = [0; socks4::ANSWER_BYTES];
    let asked = async {
        stream.write_all(&socks4::request(destination)).await?;
        stream.read_exact(&mut answer).await
    };
    match asked.await {
        Ok(_) if socks4::is_granted(&answer) => Ok(()),
        Ok(_) => Err(denied("SOCKS4 Proxy deny the request")),
        Err(_) => Err(denied("SOCKS4 Proxy handshake aborted")),
    }
}

/// The handshake with a server; whether it ended with HTTP/2 beside the connection.
async fn secure(
    back: &Back,
    offer: Option<&DialOffer>,
    stream: Box<dyn Duplex>,
) -> Result<(Box<dyn Duplex>, bool), Fault> {
    let asked = offer.and_then(|offer| offer.name.as_deref());
    let name = match &back.name {
        _ if asked.is_some() => asked,
        ServerName::Fixed(name) => Some(name.as_str()),
        ServerName::None | ServerName::Host | ServerName::Client | ServerName::Expression(_) => {
            None
        }
    };
    let connector = TlsConnector::from(back.config_for(offer));
    match connector.connect(Back::server_name(name), stream).await {
        Ok(stream) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok((Box::new(stream), http2))
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Fault::TlsInvalid(
            "Connection closed during SSL handshake".to_owned(),
        )),
        Err(error) => Err(Fault::TlsInvalid(format!(
            "SSL handshake failure ({})",
            in_words(&error)
        ))),
    }
}

async fn connect_unix(path: &Path) -> Result<Box<dyn Duplex>, Fault> {
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(Fault::Refused(refusal(&error))),
    }
}

async fn speak(line: &mut Line, say: &mut Vec<u8>) -> Result<(), Fault> {
    let written = timeout_at(line.deadline, line.stream.write_all(say)).await;
    say.clear();
    line.heard = false;
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(broken(&error)),
        Err(_) => Err(Fault::Timeout),
    }
}

async fn listen(
    line: &mut Line,
    dialogue: &mut dyn Dialogue,
    say: &mut Vec<u8>,
) -> Result<Step, Fault> {
    let mut chunk = [0; CHUNK_BYTES];
    let read = timeout_at(line.deadline, line.stream.read(&mut chunk)).await;
    match read.map_err(|_| Fault::Timeout)? {
        Ok(0) => Ok(dialogue.hear(Heard::Closed, say)),
        Ok(count) => {
            line.heard = true;
            Ok(dialogue.hear(Heard::Bytes(&chunk[..count]), say))
        }
        // Many servers reset a connection right behind their answer.
        Err(_) if line.heard => Ok(dialogue.hear(Heard::Closed, say)),
        Err(error) => Err(broken(&error)),
    }
}

fn broken(error: &io::Error) -> Fault {
    Fault::Broken(in_words(error))
}

/// The system's words without its number.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// Why a connection did not come about, by the name of the error and in words.
fn refusal(error: &io::Error) -> String {
    let name = match error.kind() {
        io::ErrorKind::ConnectionRefused => "ECONNREFUSED",
        io::ErrorKind::ConnectionReset => "ECONNRESET",
        io::ErrorKind::HostUnreachable => "EHOSTUNREACH",
        io::ErrorKind::TimedOut => "ETIMEDOUT",
        // What the system knows before it has sent anything.
        _ => return format!("General socket error ({})", in_words(error)),
    };
    format!("{name} returned by OS ({})", in_words(error))
}
