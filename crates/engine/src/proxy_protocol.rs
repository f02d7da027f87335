//! The PROXY protocol on connections: headers taken from clients, and sent to servers.
//!
//! What is absent: the bytes of headers ([`plimsoll_wire::proxy_protocol`]), and whether a peer is to be believed, which
//! the configuration decides.

use std::task::{Poll, ready};

use plimsoll_policy::context::{ConnectionError, Context, SessionExtra};
use plimsoll_policy::model::{ProxyHeader, Server};
use plimsoll_policy::tls::announce;
use plimsoll_wire::proxy_protocol::{self, Endpoints, Header, Parse, ProxyError, v1, v2};

use crate::reactor::{Scratch, Socket};
use crate::session::Session;

/// Most type-length-value fields that are kept of one header.
const FIELDS_MAX: usize = 32;

/// Why a connection cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It ended before the header did.
    Closed,
    Timeout,
    Malformed(ProxyError),
}

impl Refusal {
    /// What samples tell of it.
    pub(crate) fn error(self) -> ConnectionError {
        let (number, name) = match self {
            Self::Closed => (12, "PRX_ABORT"),
            Self::Timeout => (13, "PRX_TIMEOUT"),
            Self::Malformed(ProxyError::NotAHeader) => (15, "PRX_NOT_HDR"),
            Self::Malformed(_) => (16, "PRX_BAD_HDR"),
        };
        ConnectionError {
            number,
            name,
            text: self.reason(),
        }
    }

    /// What the log says, in HAProxy's words.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Closed => "Connection closed while waiting for PROXY protocol header",
            Self::Timeout => "Timeout while waiting for PROXY protocol header",
            Self::Malformed(ProxyError::NotAHeader) => {
                "Received something which does not look like a PROXY protocol header"
            }
            Self::Malformed(_) => "Received an invalid PROXY protocol header",
        }
    }
}

/// Takes the header that a client's connection begins with, and not a byte of what follows it.
pub(crate) async fn receive(session: &mut Session, socket: &Socket) -> Result<(), Refusal> {
    let worker = std::rc::Rc::clone(&session.worker);
    let timeouts = session.tables.frontend(session.frontend).timeouts;
    let deadline_ns = worker.deadline(timeouts.client_ms);
    let mut seen = 0;
    let received = worker.reactor.until(deadline_ns, || {
        let mut scratch = worker.reactor.scratch();
        let length = ready!(poll_header(session, socket, &mut scratch, &mut seen))?;
        // All of it is there: it has just been seen.
        match ready!(socket.poll_read(&mut scratch[..length])) {
            Ok(taken) if taken == length => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(Refusal::Closed)),
        }
    });
    received.await.unwrap_or(Err(Refusal::Timeout))
}

/// Ready with the length of a header that was understood.
fn poll_header(
    session: &mut Session,
    socket: &Socket,
    scratch: &mut Scratch,
    seen: &mut usize,
) -> Poll<Result<usize, Refusal>> {
    loop {
        let room = v2::HEADER_BYTES_MAX.min(scratch.len());
        let peeked = ready!(socket.poll_peek(&mut scratch[..room], *seen));
        let count = peeked.unwrap_or(0);
        if count <= *seen {
            return Poll::Ready(Err(Refusal::Closed));
        }
        *seen = count;
        match proxy_protocol::parse(&scratch[..count]) {
            Ok(Parse::Partial) => {}
            Ok(Parse::Complete(header, length)) => {
                learn(session, &header);
                return Poll::Ready(Ok(length));
            }
            Err(error) => return Poll::Ready(Err(Refusal::Malformed(error))),
        }
    }
}

/// Takes over what the header says about the client.
fn learn(session: &mut Session, header: &Header<'_>) {
    let facts = &mut session.facts;
    let own = (facts.source, facts.destination);
    let fields = header.tlvs.into_iter().take(FIELDS_MAX);
    let fields: Vec<_> = fields
        .map(|field| (field.kind, field.value.to_vec()))
        .collect();
    let extra: &mut SessionExtra = facts.extra();
    extra.proxied = true;
    extra.proxy_fields = fields;
    let Some(endpoints) = header.endpoints else {
        return;
    };
    extra.own_addresses = Some(own);
    facts.source = Some(endpoints.source);
    session.admission.comes_from(endpoints.source);
    facts.destination = Some(endpoints.destination);
}

/// Whether a header for `server` tells what has to be worked out first; see [`fields`].
pub(crate) fn asks_context(server: &Server) -> bool {
    server.send_proxy.is_some()
        && (server.proxy_options.unique_id || !server.proxy_fields.is_empty())
}

/// The fields that the configuration adds to the header for `server`. The exchange gets its name, where the header tells it.
pub(crate) fn fields(server: &Server, context: &Context<'_>) -> Vec<(u8, Vec<u8>)> {
    if server.proxy_options.unique_id {
        context.unique_id();
    }
    let formats = server.proxy_fields.iter();
    formats
        .map(|(kind, format)| {
            let mut value = Vec::new();
            format.write(context, &mut value);
            (*kind, value)
        })
        .collect()
}

/// The name that the client asked for, where a header of its own has told it.
fn told_name(session: &Session) -> Option<&[u8]> {
    let mut fields = session.facts.extra.as_ref()?.proxy_fields.iter();
    let told = fields.find(|(kind, _)| *kind == v2::kind::AUTHORITY);
    told.map(|(_, name)| name.as_slice())
}

/// The header that opens a connection to `server` on behalf of a client, with fields of the configuration's `own`;
/// `None`: it wants none.
pub(crate) fn header(
    server: &Server,
    session: &Session,
    unique_id: Option<&[u8]>,
    own: &[(u8, Vec<u8>)],
) -> Option<Vec<u8>> {
    let version = server.send_proxy?;
    let facts = &session.facts;
    let endpoints = facts.source.zip(facts.destination);
    let endpoints = endpoints.map(|(source, destination)| Endpoints {
        source,
        destination,
    });
    let mut out = Vec::with_capacity(v1::LINE_BYTES_MAX);
    match version {
        ProxyHeader::V1 => v1::encode(endpoints, &mut out),
        ProxyHeader::V2 => {
            let options = &server.proxy_options;
            let asked = announce::fields(options, facts.tls(), told_name(session), unique_id);
            let fields = own.iter().chain(&asked);
            let fields: Vec<_> = fields
                .map(|&(kind, ref value)| proxy_protocol::Tlv { kind, value })
                .collect();
            let checksum_at = options.checksum.then_some(own.len());
            // Only a header beyond all bounds fails; without it the server could not tell the client.
            v2::encode(endpoints, &fields, checksum_at, &mut out).ok()?;
        }
    }
    Some(out)
}
