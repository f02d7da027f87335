//! Handshakes: with clients, whose hello chooses certificate and settings, and with servers.

use std::sync::Arc;
use std::task::{Poll, ready};

use plimsoll_policy::context::ConnectionError;
use plimsoll_policy::model::Protocol;
use plimsoll_policy::tls::{Certificate, CipherSuite, Facts, HandshakeError, Version, facts};
use plimsoll_wire::tls_hello::{self, Beginning};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Accepted, AcceptedAlert, Acceptor, ClientHello};
use rustls::{
    CipherSuite as CipherSuiteNumber, Connection, Error, HandshakeKind, NamedGroup,
    ProtocolVersion, ServerConfig, ServerConnection,
};

use super::back::Back;
use super::cause::{self, BEGINNING_BYTES};
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
    /// The peer closed before its hello was complete.
    Closed,
    /// The connection broke before the hello was complete.
    Aborted,
    /// The connection broke.
    Broken,
    TimedOut,
    /// The two sides cannot agree, or one broke the rules.
    Refused(HandshakeError),
    /// The peer's certificate is not believed.
    Distrusted(HandshakeError),
    /// None: an authority has seen what it wanted to, and nothing more is to be said.
    Validated,
}

impl Failure {
    /// What is said of it, with HAProxy's numbers.
    pub(crate) fn error(&self) -> ConnectionError {
        let (number, name, text) = match self {
            // (That of a client which leaves without a word: nothing went wrong.)
            Self::Silent | Self::Closed | Self::Validated => {
                (24, "SSL_EMPTY", "Connection closed during SSL handshake")
            }
            Self::Aborted => (25, "SSL_ABORT", "Connection error during SSL handshake"),
            Self::TimedOut => (26, "SSL_TIMEOUT", "Timeout during SSL handshake"),
            Self::Distrusted(_) => (31, "SSL_CRT_FAIL", "SSL client certificate not trusted"),
            Self::Refused(_) | Self::Broken => return ConnectionError::HANDSHAKE,
        };
        ConnectionError { number, name, text }
    }

    /// What the two sides could not agree on.
    pub(crate) fn cause(&self) -> Option<&HandshakeError> {
        match self {
            Self::Refused(cause) | Self::Distrusted(cause) => Some(cause),
            _ => None,
        }
    }

    /// Whether the peer has left before a handshake had begun, which need not be told (`option dontlognull`).
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Silent | Self::Closed | Self::Aborted)
    }

    /// With what had been learnt so far.
    fn with(self, facts: Facts) -> Failed {
        let error = self.cause().cloned();
        Failed {
            failure: self,
            facts: Box::new(Facts { error, ..facts }),
        }
    }
}

/// A client's handshake that has failed.
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    /// What it has told all the same.
    pub(crate) facts: Box<Facts>,
}

/// A client through its handshake.
pub(crate) async fn accept(
    reactor: &Reactor,
    front: &Front,
    socket: Socket,
    deadline_ns: u64,
    speaks_first: bool,
) -> Result<(Box<Stream>, Box<Facts>), Failed> {
    let mut hello = Hello {
        captured: (front.capture_bytes() > 0).then(Vec::new),
        ..Hello::default()
    };
    let heard = reactor.until(deadline_ns, || hello.poll(&socket)).await;
    let accepted = match heard.unwrap_or(Err(Failure::TimedOut)) {
        Ok(accepted) => accepted,
        Err(failure) => return Err(failure.with(Facts::default())),
    };
    let captured = hello.captured(front.capture_bytes());
    let (mut stream, certificate, judge) = match hello.answer(front, accepted, socket)? {
        Answered::Client {
            stream,
            certificate,
            judge,
        } => (stream, certificate, judge),
        Answered::Validator(mut stream) => {
            if let Err(failure) = finish(reactor, &mut stream, deadline_ns).await {
                return Err(failure.with(told(&mut stream)));
            }
            // What is left to say goes with the end of the connection.
            let _ = reactor.until(deadline_ns, || stream.poll_flush()).await;
            return Err(Failure::Validated.with(Facts::default()));
        }
    };
    let agreed = agree(reactor, &mut stream, judge, deadline_ns, speaks_first).await;
    let mut facts = told(&mut stream);
    facts.own = Some(certificate);
    facts.early = stream.early().map(Arc::clone);
    facts.hello = captured;
    match agreed {
        Ok(()) => Ok((stream, Box::new(facts))),
        Err(failure) => Err(failure.with(facts)),
    }
}

/// Goes on with a client until both sides are content.
async fn agree(
    reactor: &Reactor,
    stream: &mut Stream,
    judge: Option<Arc<dyn ClientCertVerifier>>,
    deadline_ns: u64,
    speaks_first: bool,
) -> Result<(), Failure> {
    // Whose request comes before the end of the handshake is served at once; that end comes with what is read behind it.
    let is_early = stream.early().is_some();
    if !is_early {
        finish(reactor, stream, deadline_ns).await?;
    }
    if let Some(judge) = judge {
        let judged = stream.judge_again(&*judge);
        judged.map_err(|error| Failure::Distrusted(cause::of(&error)))?;
    }
    if speaks_first || is_early || !stream.may_delay_tickets() {
        // What is left to say (tickets) travels with the first response where there will be one.
        let sent = reactor.until(deadline_ns, || stream.poll_flush()).await;
        sent.map_err(|TimedOut| Failure::TimedOut)?
            .map_err(|_| Failure::Broken)?;
    }
    Ok(())
}

/// A server through its handshake.
pub(crate) async fn connect(
    reactor: &Reactor,
    back: &Back,
    (name, protocol): (Option<&str>, Option<Protocol>),
    socket: Socket,
    deadline_ns: u64,
) -> Result<Box<Stream>, Failure> {
    let begun = back.begin(name, protocol);
    let connection = begun.map_err(|error| Failure::Refused(cause::of(&error)))?;
    let mut stream = Box::new(Stream::new(socket, Connection::Client(connection)));
    finish(reactor, &mut stream, deadline_ns).await?;
    let sent = reactor.until(deadline_ns, || stream.poll_flush()).await;
    sent.map_err(|TimedOut| Failure::TimedOut)?
        .map_err(|_| Failure::Broken)?;
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
    /// Its first bytes.
    head: [u8; BEGINNING_BYTES],
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
                Ok(0) => return Poll::Ready(Err(Failure::Closed)),
                Err(_) => return Poll::Ready(Err(Failure::Aborted)),
                Ok(count) => count,
            };
            let known = self.received.min(BEGINNING_BYTES);
            let (_, missing) = self.head.split_at_mut(known);
            let more = count.min(missing.len());
            missing[..more].copy_from_slice(&scratch[..more]);
            self.received += count;
            if let Some(captured) = &mut self.captured {
                let room = HELLO_BYTES_MAX.saturating_sub(captured.len());
                captured.extend_from_slice(&scratch[..count.min(room)]);
            }
            let mut raw = &scratch[..count];
            while !raw.is_empty() {
                if self.acceptor.read_tls(&mut raw).is_err() {
                    return Poll::Ready(Err(Failure::Aborted));
                }
                match self.acceptor.accept() {
                    Ok(None) => {}
                    Ok(Some(accepted)) => {
                        self.rest.extend_from_slice(raw);
                        return Poll::Ready(Ok(accepted));
                    }
                    Err((error, alert)) => {
                        say(alert, socket);
                        return Poll::Ready(Err(Failure::Refused(self.cause(&error))));
                    }
                }
            }
        }
    }

    /// What is wrong with it.
    fn cause(&self, error: &Error) -> HandshakeError {
        let head = &self.head[..self.received.min(BEGINNING_BYTES)];
        cause::of_beginning(head).unwrap_or_else(|| cause::of(error))
    }

    /// What of it is kept for samples.
    fn captured(&self, bytes_max: usize) -> Option<Box<facts::Hello>> {
        match tls_hello::parse(self.captured.as_ref()?) {
            Beginning::Client(hello) => Some(Box::new(facts::Hello::keep(&hello, bytes_max))),
            _ => None,
        }
    }

    /// Chooses certificate and settings.
    fn answer(self, front: &Front, accepted: Accepted, socket: Socket) -> Result<Answered, Failed> {
        let hello = accepted.client_hello();
        if let Some(config) = front.proofs().answer(&hello) {
            let stream = begin(accepted, config, socket, &self.rest)?;
            return Ok(Answered::Validator(stream));
        }
        let Some(present) = front.pick(&hello) else {
            // RFC 6066 section 3: unrecognized_name, fatal.
            let _ = socket.try_write(&[21, 3, 3, 0, 2, 2, 112]);
            let asked = asked(&hello);
            return Err(Failure::Refused(cause::NO_CERTIFICATE).with(asked));
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
) -> Result<Box<Stream>, Failed> {
    let hello = accepted.client_hello();
    let (asked, is_tls13) = (asked(&hello), are_tls13(&hello, &config));
    // What a handshake has told that came to nothing is nobody's.
    drop(secrets::take());
    let connection = match accepted.into_connection(config) {
        Ok(connection) => connection,
        Err((error, alert)) => {
            say(alert, &socket);
            return Err(Failure::Refused(cause::of_hello(&error, is_tls13)).with(asked));
        }
    };
    let mut stream = Box::new(Stream::new(socket, Connection::Server(connection)));
    stream.hear_secrets();
    match stream.begin_with(rest) {
        Ok(()) => Ok(stream),
        Err(error) => Err(refused(error).with(told(&mut stream))),
    }
}

/// Tells the client why, if its kernel takes it.
fn say(mut alert: AcceptedAlert, socket: &Socket) {
    let mut said = Vec::new();
    if alert.write_all(&mut said).is_ok() {
        let _ = socket.try_write(&said);
    }
}

/// Whether both sides have suites of TLS 1.3.
fn are_tls13(hello: &ClientHello<'_>, config: &ServerConfig) -> bool {
    let is_of_tls13 = |suite: &CipherSuiteNumber| u16::from(*suite) >> 8 == 0x13;
    let mut ours = config.crypto_provider().cipher_suites.iter();
    hello.cipher_suites().iter().any(is_of_tls13) && ours.any(|suite| suite.tls13().is_some())
}

/// What is known of a client that has only asked.
fn asked(hello: &ClientHello<'_>) -> Facts {
    Facts {
        server_name: hello.server_name().map(Into::into),
        ..Facts::default()
    }
}

/// What the library said, or that the connection is gone.
pub(super) fn refused(error: std::io::Error) -> Failure {
    match error.downcast::<Error>() {
        Ok(error) => refused_for(&error),
        Err(_) => Failure::Broken,
    }
}

fn refused_for(error: &Error) -> Failure {
    let cause = cause::of(error);
    match error {
        Error::InvalidCertificate(_) => Failure::Distrusted(cause),
        _ => Failure::Refused(cause),
    }
}

/// What a handshake tells, as far as it has come.
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
        early: None,
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        peer_chain: match verdict.shown.is_empty() {
            true => peer.iter().map(|der| der.as_ref().into()).collect(),
            false => verdict.shown,
        },
        own: None,
        handshake_ms: 0,
        verify_error: verdict.last,
        root: verdict.root,
        hello: None,
        secrets,
        peer_error: verdict.own,
        authority_error: verdict.authority,
        authority_depth: verdict.depth,
        error: None,
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
