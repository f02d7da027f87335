//! `option grpc-check`: the health service of gRPC (`grpc.health.v1.Health/Check`), asked over HTTP/2.
//!
//! A word of ours. The call is made by the machine that also speaks to servers ([`plimsoll_wire::h2`]). What is absent:
//! `Watch`, and messages that are compressed.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;
use plimsoll_wire::h1::{Limits, request};
use plimsoll_wire::h2::{Config, Connection, Key, Read, Role};
use plimsoll_wire::head::Head;

use super::{Dial, Dialogue, Fault, HEARD_BYTES_MAX, Heard, Kind, Status, Step, Verdict};
use crate::model::check::{CheckAction, CheckSpec, Flavour};

pub(super) const PROBE: Kind = Kind {
    name: "grpc-check",
    usage: "[SERVICE]",
    doc: "Asks the health service of gRPC for a service, or for the server as a whole.",
    read,
};

/// Longest name of a service, in bytes.
const SERVICE_BYTES_MAX: usize = 255;

const CALL: &[u8] = b"POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: health\r\n\
    content-type: application/grpc\r\nte: trailers\r\nuser-agent: plimsoll-check\r\n\r\n";

/// The names of statuses, by their numbers.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

fn read(args: &mut Args<'_>) -> Result<CheckSpec, Diagnostic> {
    let service = match args.peek() {
        None => "",
        Some(word) if word.text.len() > SERVICE_BYTES_MAX => {
            let message = format_args!("a service's name has at most {SERVICE_BYTES_MAX} bytes");
            let invalid = plimsoll_config::diagnostic::Kind::Invalid;
            return Err(Diagnostic::error(invalid, word.span, message));
        }
        Some(_) => super::token(args, "a service")?,
    };
    Ok(CheckSpec {
        flavour: Flavour::Grpc,
        // The one thing to send is the message of the call.
        steps: vec![CheckAction::Send(message(service)).into()],
        ..CheckSpec::default()
    })
}

/// `HealthCheckRequest`, behind the five bytes that go before every message of gRPC.
fn message(service: &str) -> Vec<u8> {
    const SERVICE_FIELD: u8 = 1 << 3 | 2;
    let mut request = Vec::new();
    if !service.is_empty() {
        request.push(SERVICE_FIELD);
        // A length of up to 255 takes two bytes at most.
        let length = service.len().min(SERVICE_BYTES_MAX);
        if length < 0x80 {
            request.push(length as u8);
        } else {
            request.extend_from_slice(&[length as u8 | 0x80, (length >> 7) as u8]);
        }
        request.extend_from_slice(&service.as_bytes()[..length]);
    }
    let mut message = vec![0];
    message.extend_from_slice(&(request.len() as u32).to_be_bytes());
    message.extend(request);
    message
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Call {
    machine: Connection<()>,
    message: Vec<u8>,
    stream: Option<Key>,
    head: Option<Head>,
    body: Vec<u8>,
    heard: usize,
}

impl Call {
    /// The call that a check makes, where it makes one.
    pub(super) fn new(spec: &CheckSpec) -> Option<Self> {
        if spec.flavour != Flavour::Grpc {
            return None;
        }
        let message = spec.steps.iter().find_map(|step| match &step.action {
            CheckAction::Send(message) => Some(message.clone()),
            _ => None,
        })?;
        Some(Self {
            machine: Connection::new(Role::Client, Config::default()),
            message,
            stream: None,
            head: None,
            body: Vec::new(),
            heard: 0,
        })
    }

    fn ask(&mut self) {
        let mut head = Head::default();
        // The call is a request that we wrote ourselves.
        if request::parse(CALL, &mut head, &Limits::default()).is_ok() {
            self.stream = self.machine.open(&head, b"http", false);
        }
        if let Some(key) = self.stream {
            // The first window of every stream has room for so little.
            self.machine.send_data(key, &self.message, true);
        }
    }

    fn hear_bytes(&mut self, bytes: &[u8]) -> Option<Verdict> {
        self.heard += bytes.len();
        // Clocks are for budgets over time, and a check is short.
        if let Err(fault) = self.machine.receive(bytes, 0, &mut Head::default) {
            return Some(wrong(fault.name()));
        }
        while self.machine.next_event().is_some() {}
        if self.heard > HEARD_BYTES_MAX {
            return Some(wrong("the answer is too long"));
        }
        let key = self.stream?;
        while let Some(head) = self.machine.take_head(key) {
            // Interim heads are followed by others.
            self.head = Some(head);
        }
        let mut chunk = [0; 1024];
        loop {
            match self.machine.read(key, &mut chunk) {
                Read::Data { bytes, end } => {
                    self.body.extend_from_slice(&chunk[..bytes]);
                    if end {
                        return Some(self.judge(key));
                    }
                    if bytes == 0 {
                        return None;
                    }
                }
                Read::Pending => return None,
                Read::Reset(code) => return Some(wrong(code.name())),
            }
        }
    }

    /// Judges an answer that is whole.
    fn judge(&mut self, key: Key) -> Verdict {
        let trailers = self.machine.take_trailers(key);
        let Some(head) = &self.head else {
            return wrong("an answer without a head");
        };
        if head.status != 200 {
            let text = format!("HTTP status {}", head.status);
            return Verdict::new(Status::ReplyWrong, u32::from(head.status), text);
        }
        // A failed call may have all of its fields in the head.
        let field = |name: &'static [u8]| {
            let behind = trailers
                .as_deref()
                .and_then(|trailers| trailers.value(name));
            behind.or_else(|| head.value(name))
        };
        let status = field(b"grpc-status").and_then(|text| std::str::from_utf8(text).ok());
        let Some(status) = status.and_then(|text| text.parse::<u32>().ok()) else {
            return wrong("an answer without grpc-status");
        };
        if status != 0 {
            let name = STATUSES
                .get(status as usize)
                .unwrap_or(&"an unknown status");
            let mut text = name.as_bytes().to_vec();
            if let Some(words) = field(b"grpc-message").filter(|words| !words.is_empty()) {
                text.extend_from_slice(b": ");
                text.extend_from_slice(words);
            }
            return Verdict::new(Status::ReplyWrong, status, text);
        }
        match serving(&self.body) {
            Some(1) => Verdict::new(Status::ReplyOk, 0, "SERVING"),
            Some(0) => Verdict::new(Status::ReplyWrong, 0, "UNKNOWN"),
            Some(2) => Verdict::new(Status::ReplyWrong, 0, "NOT_SERVING"),
            Some(3) => Verdict::new(Status::ReplyWrong, 0, "SERVICE_UNKNOWN"),
            Some(_) => Verdict::new(Status::ReplyWrong, 0, "a status nobody knows"),
            None => wrong("the message cannot be understood"),
        }
    }
}

fn wrong(what: &str) -> Verdict {
    Verdict::new(Status::ReplyInvalid, 0, what)
}

impl Dialogue for Call {
    fn hear(&mut self, heard: Heard<'_>, say: &mut Vec<u8>) -> Step {
        let verdict = match heard {
            Heard::Begin => return Step::Connect(Dial::default()),
            Heard::Connected { .. } => {
                self.ask();
                self.stream
                    .is_none()
                    .then(|| wrong("no call could be made"))
            }
            Heard::Bytes(bytes) => self.hear_bytes(bytes),
            Heard::Closed if self.heard == 0 => Some(wrong("TCPCHK got an empty response")),
            Heard::Closed => Some(wrong("closed before the answer was whole")),
        };
        say.append(self.machine.output());
        self.machine.output_taken();
        verdict.map_or(Step::Listen, Step::Done)
    }

    fn fault(&self, fault: &Fault) -> Verdict {
        let (status, words) = fault.verdict(Status::ReplyTimeout);
        Verdict::new(status, 0, words)
    }
}

/// The status in a `HealthCheckResponse`; an absent one is 0. `None`: it is no such message.
fn serving(body: &[u8]) -> Option<u64> {
    const STATUS_FIELD: u64 = 1;
    let (prefix, mut rest) = body.split_first_chunk::<5>()?;
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 || u32::from_be_bytes(length) as usize != rest.len() {
        return None;
    }
    let mut status = 0;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let skipped = match tag & 7 {
            0 => {
                let value = varint(&mut rest)?;
                if tag >> 3 == STATUS_FIELD {
                    status = value;
                }
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut rest)?).ok()?,
            5 => 4,
            _ => return None,
        };
        rest = rest.get(skipped..)?;
    }
    Some(status)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_protocol() {
        assert_eq!(message(""), [0, 0, 0, 0, 0]);
        assert_eq!(message("a.B"), *b"\0\0\0\0\x05\x0a\x03a.B");
        let long = message(&"x".repeat(200));
        assert_eq!(long[..8], *b"\0\0\0\0\xcb\x0a\xc8\x01");
        for (body, expected) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], Some(1)),
            (b"\0\0\0\0\0", Some(0)),
            (b"\0\0\0\0\x05\x12\x01x\x08\x02", Some(2)),
            (b"\x01\0\0\0\x02\x08\x01", None),
            (b"\0\0\0\0\x03\x08\x01", None),
            (b"\0\0\0\0\x02\x12\x09", None),
            (b"\0\0\0\0\x01\x08", None),
            (b"", None),
        ] {
            assert_eq!(serving(body), expected, "{body:?}");
        }
    }

    #[test]
    fn the_call_is_what_servers_expect() {
        let spec = CheckSpec {
            flavour: Flavour::Grpc,
            steps: vec![CheckAction::Send(message("a")).into()],
            ..CheckSpec::default()
        };
        let mut call = Call::new(&spec).expect("a call");
        let mut say = Vec::new();
        assert_eq!(
            call.hear(Heard::Begin, &mut say),
            Step::Connect(Dial::default())
        );
        assert_eq!(
            call.hear(Heard::Connected { http2: false }, &mut say),
            Step::Listen
        );
        let mut server = Connection::<()>::new(Role::Server, Config::default());
        server
            .receive(&say, 0, &mut Head::default)
            .expect("a good client");
        let Some(plimsoll_wire::h2::Event::Request(key)) = server.next_event() else {
            panic!("a request is expected");
        };
        let head = server.take_head(key).expect("its head");
        assert_eq!(head.method(), b"POST");
        assert_eq!(head.target(), b"/grpc.health.v1.Health/Check");
        assert_eq!(head.value(b"te"), Some(&b"trailers"[..]));
        assert_eq!(head.value(b"content-type"), Some(&b"application/grpc"[..]));
        let mut body = [0; 64];
        let Read::Data { bytes, end } = server.read(key, &mut body) else {
            panic!("a body is expected");
        };
        assert_eq!((&body[..bytes], end), (&message("a")[..], true));
    }
}
