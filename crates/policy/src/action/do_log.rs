//! `do-log`: writes a line of the frontend's log at once, whatever is written at the end.

use std::sync::Arc;

use super::{Action, Flow, Places, Row, action};
use crate::context::{Context, Phase};
use crate::counters::BackendCounter;
use crate::log::{
    self, Cause, Endpoint, Load, Origin, Profile, Record, RequestLine, Termination, Timers,
};
use crate::model::FrontendId;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "do-log",
    numbered: false,
    usage: "[profile NAME]",
    doc: "Writes a line of the frontend's log now, in the form that a log profile gives it.",
    places: Places::EVERYWHERE,
    read: |words, scope| {
        let mut profile = None;
        while words.take("profile") {
            let word = words.args.word("the name of a log profile")?;
            profile = Some(scope.profile(&word.text, word.span)?);
        }
        action(DoLog {
            profile,
            origin: Origin::Rule(set(scope.phase)),
        })
    },
}];

/// What HAProxy calls the rule set of a time.
fn set(phase: Phase) -> &'static str {
    match phase {
        Phase::Connection => "tcp-req-conn",
        Phase::Session => "tcp-req-sess",
        Phase::RequestContent => "tcp-req-cont",
        Phase::ResponseContent => "tcp-res-cont",
        Phase::Response => "http-res",
        Phase::AfterResponse => "http-after-res",
        _ => "http-req",
    }
}

struct DoLog {
    /// In place of those of the log's targets.
    profile: Option<Arc<Profile>>,
    origin: Origin,
}

impl Action for DoLog {
    fn run(&self, context: &mut Context<'_>) -> Flow {
        let model = &context.plane.model;
        let Some(frontend) = model.frontends.get(context.frontend.0 as usize) else {
            return Flow::Continue;
        };
        if !frontend.log.targets.is_empty() {
            context.settle();
            write(self, context);
        }
        Flow::Continue
    }
}

/// Texts of a line, copied because the context is lent on while they are looked at.
struct Texts {
    method: Vec<u8>,
    target: Vec<u8>,
    version: &'static [u8],
    request_captures: Vec<Vec<u8>>,
    response_captures: Vec<Vec<u8>>,
    request_cookie: Option<Box<[u8]>>,
    response_cookie: Option<Box<[u8]>>,
}

impl Texts {
    fn of(context: &Context<'_>) -> Self {
        let facts = &*context.exchange;
        let captured = |captures: &[Option<Box<[u8]>>]| {
            let texts = captures.iter();
            texts
                .map(|text| text.as_deref().unwrap_or_default().to_vec())
                .collect()
        };
        let request = context.request.as_deref();
        let (method, target) = match (&facts.original, request) {
            (Some(line), _) => (line.method.clone(), line.target.clone()),
            (None, Some(head)) => (head.method().to_vec(), head.whole_target().into_owned()),
            (None, None) => Default::default(),
        };
        Self {
            method,
            target,
            version: request.map_or("", |head| head.version.name()).as_bytes(),
            request_captures: captured(&facts.request_captures),
            response_captures: captured(&facts.response_captures),
            request_cookie: facts.request_cookie.clone(),
            response_cookie: facts.response_cookie.clone(),
        }
    }
}

fn slices(texts: &[Vec<u8>]) -> Vec<&[u8]> {
    texts.iter().map(Vec::as_slice).collect()
}

fn write(what: &DoLog, context: &mut Context<'_>) {
    let texts = Texts::of(context);
    let (requests, responses) = (
        slices(&texts.request_captures),
        slices(&texts.response_captures),
    );
    let extra = context.session.extra.as_ref();
    let tls = extra.and_then(|extra| extra.tls.clone());
    let level = context.exchange.overrides.log_level;
    let tune = &context.plane.model.global.tune;
    let record = Record {
        tls: tls.as_deref(),
        request: is_read(context).then_some(RequestLine {
            method: &texts.method,
            target: &texts.target,
            version: texts.version,
            bytes_max: tune.log_uri_bytes as usize,
        }),
        request_cookie: texts.request_cookie.as_deref(),
        response_cookie: texts.response_cookie.as_deref(),
        request_captures: &requests,
        response_captures: &responses,
        origin: what.origin,
        ..known(context)
    };
    let (world, progress) = (context.world, context.progress);
    let mut lent = context.lend(&record);
    lent.progress = progress;
    world.log(&lent, level, what.profile.as_deref());
}

/// Whether the request is one already: the frontend's rules for contents look at bytes.
fn is_read(context: &Context<'_>) -> bool {
    let is_bytes = context.phase == Phase::RequestContent && context.backend.is_none();
    context.request.is_some() && !is_bytes
}

/// The status, and how it would end. Before there is anything to end, HAProxy takes it for refused.
fn end(context: &Context<'_>) -> (Option<u16>, Termination) {
    match context.phase {
        Phase::Connection | Phase::Session => {
            let refused = Termination::new(Cause::Proxy, log::Phase::Request);
            (Some(0), refused)
        }
        Phase::ResponseContent => (None, context.progress.termination),
        _ => {
            let status = context.response.as_deref().map(|head| head.status);
            (status, context.progress.termination)
        }
    }
}

/// How long each step took. A request is complete when the rules for requests have run.
fn timers(context: &Context<'_>) -> Timers {
    let timers = context.timers();
    match context.phase <= Phase::Request {
        true => Timers {
            request_ms: None,
            ..timers
        },
        false => timers,
    }
}

/// What is known of every line, but its texts.
fn known<'a>(context: &Context<'a>) -> Record<'a> {
    let (plane, progress) = (context.plane, &context.progress);
    let frontend = &plane.model.frontends[context.frontend.0 as usize];
    let backend = context
        .backend
        .map(|id| &plane.model.backends[id.0 as usize]);
    let server = backend.zip(context.server);
    let server = server.and_then(|(backend, id)| backend.servers.get(id.0 as usize));
    let (status, mut termination) = end(context);
    let cookie = &context.exchange.cookie;
    (termination.cookie_seen, termination.cookie_set) = (cookie.seen, cookie.set);
    let response = context.response.as_deref();
    let ends = context.exchange.ends.as_ref();
    let addresses = ends.and_then(|ends| ends.server_addresses);
    Record {
        mode: frontend.mode,
        client: client(context),
        local: context
            .session
            .destination
            .map_or(Endpoint::Unknown, Endpoint::Inet),
        frontend: &frontend.name,
        bind: context
            .bind
            .and_then(|bind| bind.name.as_deref())
            .unwrap_or_default(),
        secure: context.bind.is_some_and(|bind| bind.tls.is_some()),
        backend: backend.map_or(&frontend.name, |backend| &backend.name),
        server: server.map(|server| server.name.as_str()),
        serviced: progress.serviced,
        accepted: context.accepted(),
        timers: timers(context),
        status,
        response_version: response.map(|head| head.version),
        bytes_sent: progress.sent_bytes,
        bytes_received: progress.received_bytes,
        termination,
        load: load(context),
        retries: progress.retries,
        redispatched: progress.redispatched,
        queued: progress.queued,
        server_address: addresses.map(|(address, _)| address),
        server_source: addresses.map(|(_, source)| source),
        ..Record::default()
    }
}

fn client(context: &Context<'_>) -> Endpoint {
    match context.session.source {
        Some(address) => Endpoint::Inet(address),
        None => Endpoint::Unix {
            bind: context.bind.map_or(0, |bind| bind.number),
        },
    }
}

fn load(context: &Context<'_>) -> Load {
    let (plane, sums) = (context.plane, context.world.sums());
    let frontends = (0..plane.model.frontends.len()).map(|id| FrontendId(id as u32));
    let backend = context.backend;
    let served = backend.zip(context.server);
    Load {
        process: frontends.map(|id| sums.connections(id)).sum(),
        frontend: sums.connections(context.frontend),
        backend: backend.map_or(0, |id| sums.backend(id, BackendCounter::SessionsNow) as u32),
        server: served.map_or(0, |(id, server)| plane.backend(id).server(server).served()),
    }
}

#[cfg(test)]
mod tests {
    use crate::context::Phase;
    use crate::testing::Bench;

    #[test]
    fn it_goes_on_wherever_it_stands() {
        let request = || Bench::request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        for phase in [
            Phase::Connection,
            Phase::Session,
            Phase::RequestContent,
            Phase::Request,
        ] {
            let mut bench = request();
            bench.phase = phase;
            assert_eq!(bench.act("do-log"), Ok(()));
        }
        let bench = request().with_response("HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(bench.line_after("do-log"), "200 OK");
        let refused = bench.act("do-log profile nope").unwrap_err();
        assert!(
            refused.contains("no log profile is called 'nope'"),
            "{refused}"
        );
        assert!(
            bench
                .act("do-log profile")
                .unwrap_err()
                .contains("the name")
        );
    }
}
