//! The routes of the demo service.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::agent::{Advice, Agent};
use super::exposition::{Kind, Row, Snapshot};
use super::options::Options;
use super::vitals::{Ending, Vitals};
use super::work::Work;

/// Most bytes read of a request's body.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Longest request identifier taken over from the client.
const REQUEST_ID_BYTES_MAX: usize = 128;

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

type Answer = Response<Full<Bytes>>;

/// One instance, shared by its connections.
#[derive(Debug)]
pub(super) struct Service {
    options: Options,
    instance: HeaderValue,
    started: Instant,
    state: Mutex<State>,
    connections_refused: AtomicU64,
    /// As many requests burn processor time at once as there are processors; the others wait.
    processors: Arc<Semaphore>,
}

#[derive(Debug)]
struct State {
    vitals: Vitals,
    agent: Agent,
}

impl Service {
    /// An instance with options that have been checked.
    pub(super) fn new(options: Options) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            instance: HeaderValue::from_str(&options.instance)
                .unwrap_or_else(|_| HeaderValue::from_static("backend")),
            started: Instant::now(),
            state: Mutex::new(State {
                vitals: Vitals::new(options.latency_sample),
                agent: Agent::default(),
            }),
            connections_refused: AtomicU64::new(0),
            processors: Arc::new(Semaphore::new(processors)),
            options,
        }
    }

    /// A connection was closed because there are too many.
    pub(super) fn connection_refused(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The weight this instance advises now.
    pub(super) fn advice(&self) -> Advice {
        self.advise(&mut self.state())
    }

    /// Answers one request; every problem is an answer too.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let get = request.method() == Method::GET || request.method() == Method::HEAD;
        let answer = match request.uri().path() {
            "/" => self.work(request).await,
            "/metrics" if get => self.metrics(&request),
            "/healthz" if get => text(StatusCode::OK, PLAIN, "ok\n"),
            "/agent" if get => text(StatusCode::OK, PLAIN, format!("{}\n", self.advice())),
            "/metrics" | "/healthz" | "/agent" => problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET and HEAD are possible here",
            ),
            _ => problem(
                StatusCode::NOT_FOUND,
                "there is only /, /metrics, /healthz and /agent",
            ),
        };
        Ok(answer)
    }

    async fn work(&self, request: Request<Incoming>) -> Answer {
        let request_id = request_id(&request);
        let query = request.uri().query().unwrap_or_default();
        let mut answer = match self.options.base.plus_query(query) {
            Ok(work) => match swallow(request.into_body()).await {
                Ok(()) => self.do_work(&work, &request_id).await,
                Err(answer) => answer,
            },
            Err(message) => {
                self.state().vitals.refused += 1;
                let message = format!("{message} (known: {})", Work::PARAMETERS.join(", "));
                problem(StatusCode::BAD_REQUEST, &message)
            }
        };
        let headers = answer.headers_mut();
        headers.insert("x-backend", self.instance.clone());
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            headers.insert("x-request-id", value);
        }
        answer
    }

    async fn do_work(&self, work: &Work, request_id: &str) -> Answer {
        let flight = Flight::begin(self);
        let wait = work.wait(fastrand::f64());
        if work.cpu_ms > 0.0 {
            self.burn(Duration::from_secs_f64(work.cpu_ms / 1000.0))
                .await;
        }
        if !wait.is_zero() {
            sleep(wait).await;
        }
        let failed = work.fail_rate > 0.0 && fastrand::f64() < work.fail_rate;
        let ending = if failed {
            Ending::Failed
        } else {
            Ending::Served
        };
        let latency_ms = flight.finish(ending);
        let mut body = json!({
            "service": self.options.service,
            "instance": self.options.instance,
            "request_id": request_id,
            "status": if failed { "failed" } else { "ok" },
            "latency_ms": (latency_ms * 1000.0).round() / 1000.0,
            "cpu_ms": work.cpu_ms,
            "wait_ms": (wait.as_secs_f64() * 1e6).round() / 1000.0,
            "metrics_hint": "/metrics",
        });
        if failed {
            body["error"] = "this failure was asked for by fail_rate".into();
            return text(StatusCode::INTERNAL_SERVER_ERROR, JSON, body.to_string());
        }
        if work.payload_bytes > 0 {
            body["payload"] = "x".repeat(work.payload_bytes as usize).into();
        }
        text(StatusCode::OK, JSON, body.to_string())
    }

    /// Keeps one processor busy for `time`, as soon as one is free.
    async fn burn(&self, time: Duration) {
        let Ok(processor) = Arc::clone(&self.processors).acquire_owned().await else {
            return;
        };
        let _ = tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            while started.elapsed() < time {
                std::hint::spin_loop();
            }
            drop(processor);
        })
        .await;
    }

    fn metrics(&self, request: &Request<Incoming>) -> Answer {
        let snapshot = self.snapshot();
        if wants_prometheus(request) {
            text(StatusCode::OK, PROMETHEUS, snapshot.prometheus())
        } else {
            text(StatusCode::OK, JSON, snapshot.json().to_string())
        }
    }

    fn snapshot(&self) -> Snapshot<'_> {
        let mut state = self.state();
        let advice = self.advise(&mut state);
        let vitals = &mut state.vitals;
        let (counter, gauge) = (row(Kind::Counter), row(Kind::Gauge));
        let refused = self.connections_refused.load(Ordering::Relaxed);
        let rows = vec![
            counter(
                "requests_total",
                "Requests finished.",
                vitals.requests as f64,
            ),
            counter(
                "errors_total",
                "Requests that failed.",
                vitals.failed as f64,
            ),
            counter(
                "bad_queries_total",
                "Requests not understood.",
                vitals.refused as f64,
            ),
            counter(
                "abandoned_total",
                "Requests whose client left.",
                vitals.abandoned as f64,
            ),
            counter(
                "connections_refused_total",
                "Connections beyond the cap.",
                refused as f64,
            ),
            gauge(
                "error_ratio",
                "Failed requests among all.",
                vitals.error_ratio(),
            ),
            gauge(
                "inflight",
                "Requests being worked on.",
                f64::from(vitals.inflight),
            ),
            gauge(
                "inflight_peak",
                "Most requests at once.",
                f64::from(vitals.inflight_peak),
            ),
            gauge(
                "weight_percent",
                "Weight advised, 0 when down.",
                f64::from(advice.percent()),
            ),
            gauge(
                "target_latency_ms",
                "Latency aimed at.",
                self.options.target_latency_ms,
            ),
            gauge(
                "max_inflight_safe",
                "Requests at once that do no harm.",
                f64::from(self.options.max_inflight_safe),
            ),
            gauge(
                "uptime_seconds",
                "Age of the instance.",
                self.now_seconds().floor(),
            ),
        ];
        Snapshot {
            service: &self.options.service,
            instance: &self.options.instance,
            advice,
            ewma_latency_ms: vitals.ewma_latency_ms(self.now_seconds()),
            latencies: vitals.latencies(),
            rows,
        }
    }

    fn advise(&self, state: &mut State) -> Advice {
        let condition = state.vitals.condition(
            self.now_seconds(),
            self.options.target_latency_ms,
            self.options.max_inflight_safe,
        );
        state.agent.advise(&condition)
    }

    fn now_seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// The numbers stay usable even when a thread died while it held them.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn row(kind: Kind) -> impl Fn(&'static str, &'static str, f64) -> Row {
    move |name, help, value| Row {
        kind,
        name,
        help,
        value,
    }
}

/// A request being worked on. Dropped unfinished when its client is gone.
struct Flight<'a> {
    service: &'a Service,
    started: Instant,
    finished: bool,
}

impl<'a> Flight<'a> {
    fn begin(service: &'a Service) -> Self {
        service.state().vitals.begin();
        Self {
            service,
            started: Instant::now(),
            finished: false,
        }
    }

    /// Returns how long it took, in milliseconds.
    fn finish(mut self, ending: Ending) -> f64 {
        self.finished = true;
        let latency_ms = self.started.elapsed().as_secs_f64() * 1000.0;
        let now_seconds = self.service.now_seconds();
        self.service
            .state()
            .vitals
            .finish(now_seconds, latency_ms, ending);
        latency_ms
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.service.state().vitals.abandon();
        }
    }
}

/// The identifier the client gave, when it is a decent one, else a new one.
fn request_id<B>(request: &Request<B>) -> String {
    request
        .headers()
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty() && value.len() <= REQUEST_ID_BYTES_MAX)
        .map_or_else(|| format!("{:016x}", fastrand::u64(..)), ToOwned::to_owned)
}

/// `?format=` decides; without it a client that prefers plain text to JSON gets Prometheus text.
fn wants_prometheus<B>(request: &Request<B>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    if let Some(format) = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("format="))
    {
        return format == "prometheus";
    }
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    !accept.contains(JSON)
        && (accept.contains("text/plain") || accept.contains("application/openmetrics-text"))
}

/// Reads a request's body to its end and forgets it.
async fn swallow(mut body: Incoming) -> Result<(), Answer> {
    let mut left = BODY_BYTES_MAX;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(problem(
                StatusCode::BAD_REQUEST,
                "the body of the request is not complete",
            ));
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(bytes) else {
            return Err(problem(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body of the request is larger than 64 MiB",
            ));
        };
        left = rest;
    }
    Ok(())
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn problem(status: StatusCode, message: &str) -> Answer {
    let mut body = json!({ "error": message }).to_string();
    let _ = writeln!(body);
    text(status, JSON, body)
}
