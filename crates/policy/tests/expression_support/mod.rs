//! Any text as an expression: read, and evaluated on a request and a response if it is one.

use std::path::PathBuf;

use plimsoll_config::source::MemoryLoader;
use plimsoll_policy::context::{Context, ExchangeFacts, Payload, Phase, SessionFacts, World};
use plimsoll_policy::counters::{BackendCounter, FrontendCounter, ServerCounter, Summary};
use plimsoll_policy::health::Health;
use plimsoll_policy::model::{BackendId, FrontendId, ServerId};
use plimsoll_policy::plane::Plane;
use plimsoll_policy::rule;
use plimsoll_policy::stats::{Meter, Speed, Sums};
use plimsoll_wire::h1::{Limits, request, response};
use plimsoll_wire::head::Head;

use super::config_support::load_text;

/// Whatever an expression makes of a request of this size stays below.
const VALUE_BYTES_MAX: usize = 1 << 17;

struct Still;

impl World for Still {
    fn random(&self) -> u64 {
        1 << 63
    }

    fn sums(&self) -> &dyn Sums {
        self
    }
}

impl Sums for Still {
    fn frontend(&self, _: FrontendId, _: FrontendCounter) -> u64 {
        1
    }

    fn backend(&self, _: BackendId, _: BackendCounter) -> u64 {
        2
    }

    fn server(&self, _: BackendId, _: ServerId, _: ServerCounter) -> u64 {
        3
    }

    fn rate(&self, _: Meter) -> Speed {
        Speed::default()
    }

    fn connections(&self, _: FrontendId) -> u32 {
        4
    }

    fn latencies(&self, _: BackendId, _: ServerId) -> Option<Summary> {
        None
    }

    fn health(&self, _: BackendId, _: ServerId) -> Option<Health> {
        None
    }

    fn lost_logs(&self) -> u64 {
        0
    }
}

const REQUEST: &str = "POST /a/b;c=1?d=e&f=%20g HTTP/1.1\r\nHost: Example.org:80\r\nX: 1, \"2,3\",, 4\r\n\
    Cookie: a=b; c=\"d;e\"\r\nAuthorization: Bearer e30.e30.x\r\nContent-Length: 9\r\n\r\n";
const BODY: &[u8] = b"\x00\x02ab=c&d=e";
const RESPONSE: &str =
    "HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\nAge: 7\r\n\r\n";

/// Reads `text` as an expression and evaluates it where it may stand; returns whether it may anywhere.
pub(crate) fn evaluate(text: &[u8]) -> bool {
    let mut stands = false;
    let text = String::from_utf8_lossy(text);
    let line: String = text
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    let quoted = line
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('$', "\\$");
    for set in ["http-request", "http-response"] {
        let configuration = format!(
            "frontend web\n mode http\n bind :80\n timeout client 1s\n default_backend app\n\
             {set} set-header x-out \"%[{quoted}]\"\n {set} set-var(txn.a) \"{quoted}\"\n\
             {set} set-header x-found yes if {{ \"{quoted}\" -m found }}\n\
             backend app\n mode http\n timeout server 1s\n timeout connect 1s\n server one 127.0.0.1:1\n"
        );
        let files = MemoryLoader::new().file("map", "a 1\nb 2\n/a 3\n");
        if let Some(model) = load_text("expression.cfg", configuration, files).model {
            stands = true;
            run(&Plane::build(model, None), set == "http-response");
        }
    }
    stands
}

fn run(plane: &Plane, of_response: bool) {
    let (mut asked, mut answered) = (Head::default(), Head::default());
    request::parse(REQUEST.as_bytes(), &mut asked, &Limits::default()).expect("a request");
    let limits = Limits::default();
    response::parse(
        RESPONSE.as_bytes(),
        &mut answered,
        &limits,
        response::Asked::default(),
    )
    .expect("a response");
    let (mut session, mut exchange) = (SessionFacts::default(), ExchangeFacts::default());
    session.source = "192.0.2.1:4711".parse().ok();
    session.destination = "[2001:db8::1]:80".parse().ok();
    let phase = if of_response {
        Phase::Response
    } else {
        Phase::Request
    };
    let rules = &plane.model.frontends[0].rules;
    let rules = if of_response {
        &rules.response
    } else {
        &rules.request
    };
    {
        let mut context = Context::new(
            plane,
            &Still,
            phase,
            FrontendId(0),
            &mut session,
            &mut exchange,
        );
        context.backend = Some(BackendId(0));
        context.server = of_response.then_some(ServerId(0));
        context.request = Some(&mut asked);
        context.request_payload = Payload {
            bytes: BODY,
            complete: true,
        };
        context.response = of_response.then_some(&mut answered);
        rule::run(rules, 0, &mut context);
    }
    let head = if of_response { &answered } else { &asked };
    let length = head.value(b"x-out").map_or(0, <[u8]>::len);
    assert!(length <= VALUE_BYTES_MAX, "a value of {length} bytes");
}

/// Where the corpus stands.
pub(crate) fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/policy_expression")
}
