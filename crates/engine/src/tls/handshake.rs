//! Handshakes: with clients, whose hello chooses certificate and settings, and with servers.

use std::sync::Arc;
use std::task::{Poll, ready};

use plimsoll_policy::context::ConnectionError;
use plimsoll_policy::model::Protocol;
use plimsoll_policy::tls::{Certificate, CipherSuite, Facts, Version, facts};
use plimsoll_wire::tls_hello::{self, Beginning};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Accepted, Acceptor};
use rustls::{
    Connection, HandshakeKind, NamedGroup, ProtocolVersion, ServerConfig, ServerConnection,
};

use super::back::Back;
use super::front::Front;
use super::secrets;
use super::stream::Stream;
use crate::reactor::{Reactor, Socket, TimedOut};

/// A hello may come in this many bytes at most; the library has a limit of its own below it.
const HELLO_BYTES_MAX: usize = 65_536;

/// Why a handshake did not come about.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The peer closed before it had said anything.
    Silent,
    /// The peer closed, or the connection broke.
    Closed,
    TimedOut,
    /// The two sides cannot agree, or one broke the rules.
    Refused,
    /// The peer's certificate is not believed.
    Distrusted,
    /// No certificate is for the name asked for (`strict-sni`).
    NoCertificate,
    /// None: an authority has seen what it wanted to, and nothing more is to be said.
    Validated,
}

impl Failure {
    /// What is said of it, with HAProxy's numbers.
    pub(crate) fn error(&self) -> ConnectionError {
        let (number, name, text) = match self {
            // (That of a client which leaves without a word: nothing went wrong.)
            Self::Silent | Self::Validated => {
                (24, "SSL_EMPTY", "Connection closed during SSL handshake")
            }
            Self::Closed => (25, "SSL_ABORT", "Connection error during SSL handshake"),
            Self::TimedOut => (26, "SSL_TIMEOUT", "Timeout during SSL handshake"),
            Self::Distrusted => (31, "SSL_CRT_FAIL", "SSL client certificate not trusted"),
            Self::Refused | Self::NoCertificate => (34, "SSL_HANDSHAKE", "SSL handshake failure"),
        };
        ConnectionError { number, name, text }
    }
}

/// A client through its handshake.
pub(crate) async fn accept(
    reactor: &Reactor,
    front: &Front,
    socket: Socket,
    deadline_ns: u64,
    speaks_first: bool,
) -> Result<(Box<Stream>, Box<Facts>), Failure> {
    let mut hello = Hello {
        captured: (front.capture_bytes() > 0).then(Vec::new),
        ..Hello::default()
    };
    let accepted = reactor
        .until(deadline_ns, || hello.poll(&socket))
        .await
        .map_err(|TimedOut| Failure::TimedOut)??;
    let captured = hello.captured(front.capture_bytes());
    let (mut stream, certificate, judge) = match hello.answer(front, accepted, socket)? {
        Answered::Client {
            stream,
            certificate,
            judge,
        } => (stream, certificate, judge),
        Answered::Validator(mut stream) => {
            finish(reactor, &mut stream, deadline_ns).await?;
            // What is left to say goes with the end of the connection.
            let _ = reactor.until(deadline_ns, || stream.poll_flush()).await;
            return Err(Failure::Validated);
        }
    };
    finish(reactor, &mut stream, deadline_ns).await?;
    if let Some(judge) = judge {
        stream
            .judge_again(&*judge)
            .map_err(|_| Failure::Distrusted)?;
    }
    if speaks_first || !stream.may_delay_tickets() {
        // What is left to say (tickets) travels with the first response where there will be one.
        let sent = reactor.until(deadline_ns, || stream.poll_flush()).await;
        sent.map_err(|TimedOut| Failure::TimedOut)?
            .map_err(|_| Failure::Closed)?;
    }
    let mut facts = told(&mut stream);
    facts.own = Some(certificate);
    facts.hello = captured;
    Ok((stream, Box::new(facts)))
}

/// A server through its handshake.
pub(crate) async fn connect(
    reactor: &Reactor,
    back: &Back,
    (name, protocol): (Option<&str>, Option<Protocol>),
    socket: Socket,
    deadline_ns: u64,
) -> Result<Box<Stream>, Failure> {
    let connection = back.begin(name, protocol).map_err(|_| Failure::Refused)?;
    let mut stream = Box::new(Stream::new(socket, Connection::Client(connection)));
    finish(reactor, &mut stream, deadline_ns).await?;
    let sent = reactor.until(deadline_ns, || stream.poll_flush()).await;
    sent.map_err(|TimedOut| Failure::TimedOut)?
        .map_err(|_| Failure::Closed)?;
    let mut facts = told(&mut stream);
    facts.server_name = name.map(Into::into);
    stream.keep_facts(facts);
    Ok(stream)
}

async fn finish(reactor: &Reactor, stream: &mut Stream, deadline_ns: u64) -> Result<(), Failure> {
    let done = reactor.until(deadline_ns, || stream.poll_handshake()).await;
    done.map_err(|TimedOut| Failure::TimedOut)?
}

/// A client whose hello has been answered.
enum Answered {
    Client {
        stream: Box<Stream>,
        certificate: Arc<Certificate>,
        /// Who judges the client's certificate.
        judge: Option<Arc<dyn ClientCertVerifier>>,
    },
    /// An authority looks whether a name is ours.
    Validator(Box<Stream>),
}

/// A client's first message, until it is complete.
#[derive(Default)]
struct Hello {
    acceptor: Acceptor,
    /// What came behind it in the same read.
    rest: Vec<u8>,
    received: usize,
    /// Its bytes, where samples may ask for them.
    captured: Option<Vec<u8>>,
}

impl Hello {
    fn poll(&mut self, socket: &Socket) -> Poll<Result<Accepted, Failure>> {
        loop {
            let mut scratch = socket.reactor().scratch();
            let window = scratch.len().min(HELLO_BYTES_MAX);
            let count = match ready!(socket.poll_read(&mut scratch[..window])) {
                Ok(0) if self.received == 0 => return Poll::Ready(Err(Failure::Silent)),
                Ok(0) | Err(_) => return Poll::Ready(Err(Failure::Closed)),
                Ok(count) => count,
            };
            self.received += count;
            if let Some(captured) = &mut self.captured {
                let room = HELLO_BYTES_MAX.saturating_sub(captured.len());
                captured.extend_from_slice(&scratch[..count.min(room)]);
            }
            let mut raw = &scratch[..count];
            while !raw.is_empty() {
                if self.acceptor.read_tls(&mut raw).is_err() {
                    return Poll::Ready(Err(Failure::Closed));
                }
                match self.acceptor.accept() {
                    Ok(None) => {}
                    Ok(Some(accepted)) => {
                        self.rest.extend_from_slice(raw);
                        return Poll::Ready(Ok(accepted));
                    }
                    Err((_, mut alert)) => {
                        let mut said = Vec::new();
                        if alert.write_all(&mut said).is_ok() {
                            let _ = socket.try_write(&said);
                        }
                        return Poll::Ready(Err(Failure::Refused));
                    }
                }
            }
        }
    }

    /// What of it is kept for samples.
    fn captured(&self, bytes_max: usize) -> Option<Box<facts::Hello>> {
        match tls_hello::parse(self.captured.as_ref()?) {
            Beginning::Client(hello) => Some(Box::new(facts::Hello::keep(&hello, bytes_max))),
            _ => None,
        }
    }

    /// Chooses certificate and settings.
    fn answer(
        self,
        front: &Front,
        accepted: Accepted,
        socket: Socket,
    ) -> Result<Answered, Failure> {
        let hello = accepted.client_hello();
        if let Some(config) = front.proofs().answer(&hello) {
            let stream = begin(accepted, config, socket, &self.rest)?;
            return Ok(Answered::Validator(stream));
        }
        let Some(present) = front.pick(&hello) else {
            // RFC 6066 section 3: unrecognized_name, fatal.
            let _ = socket.try_write(&[21, 3, 3, 0, 2, 2, 112]);
            return Err(Failure::NoCertificate);
        };
        let config = present.config(&hello);
        Ok(Answered::Client {
            stream: begin(accepted, config, socket, &self.rest)?,
            certificate: Arc::clone(&present.certificate),
            judge: present.clients.clone(),
        })
    }
}

/// Goes on with settings that have been chosen; `rest` came behind the hello.
fn begin(
    accepted: Accepted,
    config: Arc<ServerConfig>,
    socket: Socket,
    rest: &[u8],
) -> Result<Box<Stream>, Failure> {
    // What a handshake has told that came to nothing is nobody's.
    drop(secrets::take());
    let connection = match accepted.into_connection(config) {
        Ok(connection) => connection,
        Err((_, mut alert)) => {
            let mut said = Vec::new();
            if alert.write_all(&mut said).is_ok() {
                let _ = socket.try_write(&said);
            }
            return Err(Failure::Refused);
        }
    };
    let mut stream = Box::new(Stream::new(socket, Connection::Server(connection)));
    stream.hear_secrets();
    stream.begin_with(rest).map_err(refused)?;
    Ok(stream)
}

/// What the library said, or that the connection is gone.
pub(super) fn refused(error: std::io::Error) -> Failure {
    match error.downcast::<rustls::Error>() {
        Ok(rustls::Error::InvalidCertificate(_)) => Failure::Distrusted,
        Ok(_) => Failure::Refused,
        Err(_) => Failure::Closed,
    }
}

/// What a finished handshake tells.
fn told(stream: &mut Stream) -> Facts {
    let verdict = stream.take_verdict();
    let secrets = stream.take_secrets();
    let connection = stream.connection();
    let suite = connection.negotiated_cipher_suite();
    let peer = connection.peer_certificates().unwrap_or_default();
    let server_name = match connection {
        Connection::Server(server) => ServerConnection::server_name(server),
        Connection::Client(_) => None,
    };
    Facts {
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => Some(Version::Tls13),
            Some(ProtocolVersion::TLSv1_2) => Some(Version::Tls12),
            _ => None,
        },
        suite: suite.and_then(|suite| CipherSuite::numbered(suite.suite().into())),
        server_name: server_name.map(Into::into),
        alpn: connection.alpn_protocol().map(Into::into),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        peer_chain: peer.iter().map(|der| der.as_ref().into()).collect(),
        own: None,
        handshake_ms: 0,
        verify_error: verdict.last,
        root: verdict.root,
        hello: None,
        secrets,
        peer_error: verdict.own,
        authority_error: verdict.authority,
        authority_depth: verdict.depth,
        group: connection
            .negotiated_key_exchange_group()
            .map(|group| group_name(group.name())),
    }
}

/// OpenSSL's name of a group.
fn group_name(group: NamedGroup) -> Box<str> {
    match group {
        NamedGroup::secp256r1 => "prime256v1".into(),
        NamedGroup::secp384r1 => "secp384r1".into(),
        NamedGroup::secp521r1 => "secp521r1".into(),
        other => format!("{other:?}").into(),
    }
}
