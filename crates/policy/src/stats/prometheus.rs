//! Statistics in Prometheus's text format, under the names of HAProxy's exporter, so that dashboards made for it work.
//!
//! A family is one line here: its name and the column of `show stat` it shows. What a proxy or server has no value for, or
//! what is not counted here, is `NaN`, as in HAProxy. What is absent: facts of the process that only HAProxy has,
//! listeners. Families of our own begin with `plimsoll_`.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::rows::{Selection, rows, status};
use super::{Column, Row, RowKind, Value, View, info};
use crate::counters::Summary;
use crate::health::{Health, Which};
use crate::ledger::LINES;
use crate::live::ServerState;
use crate::model::{BackendId, ServerId};
use crate::probe::Status;

pub use super::wish::Wish;

/// The media type of the answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// Upper ends of the buckets of response times, in microseconds and in seconds as they are written.
const BUCKETS: [(u64, &str); 14] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// What a column is called; `milliseconds`: it is written in seconds.
struct Family {
    name: &'static str,
    kind: Kind,
    column: Column,
    milliseconds: bool,
}

const fn family(name: &'static str, kind: Kind, column: Column, milliseconds: bool) -> Family {
    Family {
        name,
        kind,
        column,
        milliseconds,
    }
}

const fn counter(name: &'static str, column: Column) -> Family {
    family(name, Kind::Counter, column, false)
}

const fn gauge(name: &'static str, column: Column) -> Family {
    family(name, Kind::Gauge, column, false)
}

const fn seconds(name: &'static str, column: Column) -> Family {
    family(name, Kind::Gauge, column, true)
}

const FRONTEND: &[Family] = &[
    gauge("current_sessions", Column::SessionsNow),
    gauge("max_sessions", Column::SessionsMax),
    gauge("limit_sessions", Column::SessionLimit),
    counter("sessions_total", Column::Sessions),
    counter("bytes_in_total", Column::BytesIn),
    counter("bytes_out_total", Column::BytesOut),
    counter("requests_denied_total", Column::DeniedRequests),
    counter("responses_denied_total", Column::DeniedResponses),
    counter("request_errors_total", Column::RequestErrors),
    gauge("current_session_rate", Column::Rate),
    gauge("limit_session_rate", Column::RateLimit),
    gauge("max_session_rate", Column::RateMax),
    gauge("http_requests_rate_max", Column::RequestRateMax),
    counter("http_requests_total", Column::Requests),
    gauge("connections_rate_max", Column::ConnectionRateMax),
    counter("connections_total", Column::Connections),
    counter("intercepted_requests_total", Column::Intercepted),
    counter("denied_connections_total", Column::DeniedConnections),
    counter("denied_sessions_total", Column::DeniedSessions),
    counter("failed_header_rewriting_total", Column::FailedRewrites),
    counter("internal_errors_total", Column::InternalErrors),
    counter("req_bytes_in_total", Column::RequestBytesIn),
    counter("req_bytes_out_total", Column::RequestBytesOut),
    counter("res_bytes_in_total", Column::ResponseBytesIn),
    counter("res_bytes_out_total", Column::ResponseBytesOut),
    counter("http_comp_bytes_in_total", Column::CompressedIn),
    counter("http_comp_bytes_out_total", Column::CompressedOut),
    counter(
        "http_comp_bytes_bypassed_total",
        Column::CompressionBypassed,
    ),
    counter("http_comp_responses_total", Column::ResponsesCompressed),
    counter("http_cache_lookups_total", Column::CacheLookups),
    counter("http_cache_hits_total", Column::CacheHits),
    counter("http_cache_hint_hits_total", Column::CacheHintHits),
];

const BACKEND: &[Family] = &[
    gauge("current_queue", Column::QueueNow),
    gauge("max_queue", Column::QueueMax),
    gauge("current_sessions", Column::SessionsNow),
    gauge("max_sessions", Column::SessionsMax),
    gauge("limit_sessions", Column::SessionLimit),
    counter("sessions_total", Column::Sessions),
    counter("bytes_in_total", Column::BytesIn),
    counter("bytes_out_total", Column::BytesOut),
    counter("requests_denied_total", Column::DeniedRequests),
    counter("responses_denied_total", Column::DeniedResponses),
    counter("connection_errors_total", Column::ConnectionErrors),
    counter("response_errors_total", Column::ResponseErrors),
    counter("retry_warnings_total", Column::Retries),
    counter("redispatch_warnings_total", Column::Redispatches),
    gauge("weight", Column::Weight),
    gauge("uweight", Column::UserWeight),
    gauge("active_servers", Column::Active),
    gauge("backup_servers", Column::Backup),
    counter("check_up_down_total", Column::TimesDown),
    gauge("check_last_change_seconds", Column::LastChange),
    counter("downtime_seconds_total", Column::Downtime),
    counter("loadbalanced_total", Column::Balanced),
    gauge("current_session_rate", Column::Rate),
    gauge("max_session_rate", Column::RateMax),
    counter("http_requests_total", Column::Requests),
    counter("client_aborts_total", Column::ClientAborts),
    counter("server_aborts_total", Column::ServerAborts),
    gauge("last_session_seconds", Column::LastSession),
    seconds("queue_time_average_seconds", Column::QueueTime),
    seconds("connect_time_average_seconds", Column::ConnectTime),
    seconds("response_time_average_seconds", Column::ResponseTime),
    seconds("total_time_average_seconds", Column::TotalTime),
    counter("failed_header_rewriting_total", Column::FailedRewrites),
    counter("connection_attempts_total", Column::ConnectionAttempts),
    counter("connection_reuses_total", Column::ConnectionReuses),
    seconds("max_queue_time_seconds", Column::QueueTimeMax),
    seconds("max_connect_time_seconds", Column::ConnectTimeMax),
    seconds("max_response_time_seconds", Column::ResponseTimeMax),
    seconds("max_total_time_seconds", Column::TotalTimeMax),
    counter("internal_errors_total", Column::InternalErrors),
    counter("req_bytes_in_total", Column::RequestBytesIn),
    counter("req_bytes_out_total", Column::RequestBytesOut),
    counter("res_bytes_in_total", Column::ResponseBytesIn),
    counter("res_bytes_out_total", Column::ResponseBytesOut),
    counter("http_comp_bytes_in_total", Column::CompressedIn),
    counter("http_comp_bytes_out_total", Column::CompressedOut),
    counter(
        "http_comp_bytes_bypassed_total",
        Column::CompressionBypassed,
    ),
    counter("http_comp_responses_total", Column::ResponsesCompressed),
    counter("http_cache_lookups_total", Column::CacheLookups),
    counter("http_cache_hits_total", Column::CacheHits),
    counter("http_cache_hint_hits_total", Column::CacheHintHits),
];

const SERVER: &[Family] = &[
    gauge("current_queue", Column::QueueNow),
    gauge("max_queue", Column::QueueMax),
    gauge("current_sessions", Column::SessionsNow),
    gauge("max_sessions", Column::SessionsMax),
    gauge("limit_sessions", Column::SessionLimit),
    counter("sessions_total", Column::Sessions),
    counter("bytes_in_total", Column::BytesIn),
    counter("bytes_out_total", Column::BytesOut),
    counter("responses_denied_total", Column::DeniedResponses),
    counter("connection_errors_total", Column::ConnectionErrors),
    counter("response_errors_total", Column::ResponseErrors),
    counter("retry_warnings_total", Column::Retries),
    counter("redispatch_warnings_total", Column::Redispatches),
    gauge("weight", Column::Weight),
    gauge("uweight", Column::UserWeight),
    counter("check_up_down_total", Column::TimesDown),
    gauge("check_last_change_seconds", Column::LastChange),
    counter("downtime_seconds_total", Column::Downtime),
    counter("loadbalanced_total", Column::Balanced),
    gauge("current_session_rate", Column::Rate),
    gauge("max_session_rate", Column::RateMax),
    counter("http_requests_total", Column::Requests),
    counter("client_aborts_total", Column::ClientAborts),
    counter("server_aborts_total", Column::ServerAborts),
    gauge("last_session_seconds", Column::LastSession),
    seconds("queue_time_average_seconds", Column::QueueTime),
    seconds("connect_time_average_seconds", Column::ConnectTime),
    seconds("response_time_average_seconds", Column::ResponseTime),
    seconds("total_time_average_seconds", Column::TotalTime),
    counter("failed_header_rewriting_total", Column::FailedRewrites),
    counter("connection_attempts_total", Column::ConnectionAttempts),
    counter("connection_reuses_total", Column::ConnectionReuses),
    seconds("max_queue_time_seconds", Column::QueueTimeMax),
    seconds("max_connect_time_seconds", Column::ConnectTimeMax),
    seconds("max_response_time_seconds", Column::ResponseTimeMax),
    seconds("max_total_time_seconds", Column::TotalTimeMax),
    counter("internal_errors_total", Column::InternalErrors),
    counter("req_bytes_in_total", Column::RequestBytesIn),
    counter("req_bytes_out_total", Column::RequestBytesOut),
    counter("res_bytes_in_total", Column::ResponseBytesIn),
    counter("res_bytes_out_total", Column::ResponseBytesOut),
    gauge("active", Column::Active),
    gauge("backup", Column::Backup),
    counter("check_failures_total", Column::ChecksFailed),
    gauge("queue_limit", Column::QueueLimit),
    gauge("current_throttle", Column::Throttle),
    gauge("check_code", Column::CheckCode),
    seconds("check_duration_seconds", Column::CheckDuration),
    gauge("agent_code", Column::AgentCode),
    seconds("agent_duration_seconds", Column::AgentDuration),
    gauge("idle_connections_current", Column::IdleNow),
    gauge("idle_connections_limit", Column::IdleLimit),
    gauge("unsafe_idle_connections_current", Column::UnsafeIdle),
    gauge("safe_idle_connections_current", Column::SafeIdle),
    gauge("used_connections_current", Column::ConnectionsUsed),
    gauge("need_connections_current", Column::ConnectionsNeeded),
    gauge("private_idle_connections_current", Column::PrivateIdle),
];

/// Facts of `show info`, by their names there.
const PROCESS: &[(&str, Kind, &str)] = &[
    ("nbthread", Kind::Gauge, "Nbthread"),
    ("nbproc", Kind::Gauge, "Nbproc"),
    ("relative_process_id", Kind::Gauge, "Process_num"),
    ("uptime_seconds", Kind::Gauge, "Uptime_sec"),
    ("max_memory_bytes", Kind::Gauge, "Memmax_bytes"),
    ("max_fds", Kind::Gauge, "Ulimit-n"),
    ("max_sockets", Kind::Gauge, "Maxsock"),
    ("max_connections", Kind::Gauge, "Maxconn"),
    ("hard_max_connections", Kind::Gauge, "Hard_maxconn"),
    ("current_connections", Kind::Gauge, "CurrConns"),
    ("connections_total", Kind::Counter, "CumConns"),
    ("requests_total", Kind::Counter, "CumReq"),
    ("max_ssl_connections", Kind::Gauge, "MaxSslConns"),
    ("current_ssl_connections", Kind::Gauge, "CurrSslConns"),
    ("ssl_connections_total", Kind::Counter, "CumSslConns"),
    ("max_pipes", Kind::Gauge, "Maxpipes"),
    ("pipes_used_total", Kind::Counter, "PipesUsed"),
    ("pipes_free_total", Kind::Counter, "PipesFree"),
    ("current_connection_rate", Kind::Gauge, "ConnRate"),
    ("limit_connection_rate", Kind::Gauge, "ConnRateLimit"),
    ("max_connection_rate", Kind::Gauge, "MaxConnRate"),
    ("current_session_rate", Kind::Gauge, "SessRate"),
    ("limit_session_rate", Kind::Gauge, "SessRateLimit"),
    ("max_session_rate", Kind::Gauge, "MaxSessRate"),
    ("current_ssl_rate", Kind::Gauge, "SslRate"),
    ("limit_ssl_rate", Kind::Gauge, "SslRateLimit"),
    ("max_ssl_rate", Kind::Gauge, "MaxSslRate"),
    (
        "current_frontend_ssl_key_rate",
        Kind::Gauge,
        "SslFrontendKeyRate",
    ),
    (
        "max_frontend_ssl_key_rate",
        Kind::Gauge,
        "SslFrontendMaxKeyRate",
    ),
    (
        "frontend_ssl_reuse",
        Kind::Gauge,
        "SslFrontendSessionReuse_pct",
    ),
    ("current_tasks", Kind::Gauge, "Tasks"),
    ("current_run_queue", Kind::Gauge, "Run_queue"),
    ("idle_time_percent", Kind::Gauge, "Idle_pct"),
    ("stopping", Kind::Gauge, "Stopping"),
    ("jobs", Kind::Gauge, "Jobs"),
    ("unstoppable_jobs", Kind::Gauge, "Unstoppable Jobs"),
    ("listeners", Kind::Gauge, "Listeners"),
    ("active_peers", Kind::Gauge, "ActivePeers"),
    ("connected_peers", Kind::Gauge, "ConnectedPeers"),
    ("dropped_logs_total", Kind::Counter, "DroppedLogs"),
    ("busy_polling_enabled", Kind::Gauge, "BusyPolling"),
    ("bytes_out_total", Kind::Counter, "TotalBytesOut"),
    (
        "spliced_bytes_out_total",
        Kind::Counter,
        "TotalSplicedBytesOut",
    ),
    ("bytes_out_rate", Kind::Gauge, "BytesOutRate"),
    ("pool_allocated_bytes", Kind::Gauge, "PoolAlloc_bytes"),
    ("pool_used_bytes", Kind::Gauge, "PoolUsed_bytes"),
    ("total_warnings", Kind::Counter, "TotalWarnings"),
    ("start_time_seconds", Kind::Gauge, "Start_time_sec"),
    ("nb_thread_groups", Kind::Gauge, "NbThreadGroups"),
];

const CLASSES: [(&str, Column); 6] = [
    ("1xx", Column::Responses1xx),
    ("2xx", Column::Responses2xx),
    ("3xx", Column::Responses3xx),
    ("4xx", Column::Responses4xx),
    ("5xx", Column::Responses5xx),
    ("other", Column::ResponsesOther),
];

const SERVER_STATES: [&str; 5] = ["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];

/// A row and the labels that all of its samples have.
struct Subject<'a> {
    row: Row<'a>,
    labels: String,
}

impl Subject<'_> {
    fn value(&self, column: Column) -> Option<&Value<'_>> {
        let cells = self.row.cells();
        let at = cells
            .binary_search_by_key(&column, |cell| cell.column)
            .ok()?;
        Some(&cells[at].value)
    }

    /// Whether there is what a column tells of: a server without checks has none of theirs.
    fn has(&self, column: Column) -> bool {
        match column {
            Column::CheckCode | Column::CheckDuration => self.value(Column::CheckStatus).is_some(),
            Column::AgentCode | Column::AgentDuration => self.value(Column::AgentStatus).is_some(),
            _ => true,
        }
    }

    fn text(&self, column: Column) -> &str {
        match self.value(column) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }
}

/// Everything that is wished for.
pub fn render(view: View<'_>, wish: &Wish) -> String {
    let mut out = String::with_capacity(64 << 10);
    if wish.process {
        process(view, wish, &mut out);
    }
    let kinds = [
        (
            wish.frontends,
            RowKind::Frontend,
            "haproxy_frontend_",
            FRONTEND,
        ),
        (wish.backends, RowKind::Backend, "haproxy_backend_", BACKEND),
        (wish.servers, RowKind::Server, "haproxy_server_", SERVER),
    ];
    for (wanted, kind, prefix, families) in kinds {
        if !wanted {
            continue;
        }
        let subjects = subjects(view, kind, wish);
        for family in families {
            shown(prefix, family, &subjects, &mut out);
        }
        responses(prefix, &subjects, &mut out);
        match kind {
            RowKind::Frontend => states(prefix, &subjects, &["DOWN", "UP"], &mut out),
            RowKind::Backend => {
                states(prefix, &subjects, &["DOWN", "UP"], &mut out);
                aggregates(view, &mut out);
                latencies(view, &mut out);
            }
            RowKind::Server => {
                states(prefix, &subjects, &SERVER_STATES, &mut out);
                let checks = [
                    ("check_status", Column::CheckStatus),
                    ("agent_status", Column::AgentStatus),
                ];
                for (name, column) in checks {
                    check_states(prefix, name, column, &subjects, &mut out);
                }
                outliers(view, &mut out);
            }
        }
    }
    if wish.resolvers {
        resolvers(view, &mut out);
    }
    if wish.tables {
        tables(view, &mut out);
    }
    wish.filtered(out)
}

fn subjects<'a>(view: View<'a>, kind: RowKind, wish: &Wish) -> Vec<Subject<'a>> {
    let descriptions = match wish.described {
        true => descriptions(view, kind),
        false => HashMap::new(),
    };
    let selection = Selection {
        kinds: kind.bit(),
        without_maintenance: wish.without_maintenance,
        ..Selection::default()
    };
    rows(view, &selection)
        .map(|row| {
            let mut subject = Subject {
                row,
                labels: String::new(),
            };
            let mut labels = String::new();
            label("proxy", subject.text(Column::ProxyName), &mut labels);
            if let Some(description) = descriptions.get(subject.text(Column::ProxyName)) {
                label("desc", description, &mut labels);
            }
            if kind == RowKind::Server {
                label("server", subject.text(Column::ServiceName), &mut labels);
            }
            subject.labels = labels;
            subject
        })
        .collect()
}

/// The descriptions of proxies by their names.
fn descriptions(view: View<'_>, kind: RowKind) -> HashMap<&str, &str> {
    match kind {
        RowKind::Frontend => {
            let all = view.frontends();
            all.filter_map(|(_, proxy)| Some((&*proxy.name, proxy.description.as_deref()?)))
                .collect()
        }
        _ => {
            let all = view.backends();
            all.filter_map(|(_, proxy)| Some((&*proxy.name, proxy.description.as_deref()?)))
                .collect()
        }
    }
}

/// One more label. The format escapes three characters.
fn label(name: &str, value: &str, labels: &mut String) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    for letter in value.chars() {
        match letter {
            '\\' => labels.push_str("\\\\"),
            '"' => labels.push_str("\\\""),
            '\n' => labels.push_str("\\n"),
            letter => labels.push(letter),
        }
    }
    labels.push('"');
}

fn head((prefix, name): (&str, &str), kind: &str, help: &str, out: &mut String) {
    let _ = write!(
        out,
        "# HELP {prefix}{name} {help}\n# TYPE {prefix}{name} {kind}\n"
    );
}

fn sample(
    (prefix, name): (&str, &str),
    labels: &str,
    value: impl std::fmt::Display,
    out: &mut String,
) {
    out.push_str(prefix);
    out.push_str(name);
    if !labels.is_empty() {
        out.push('{');
        out.push_str(labels);
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

/// A sample with one more label.
fn labelled(
    name: (&str, &str),
    labels: &str,
    (key, value): (&str, &str),
    number: u64,
    out: &mut String,
) {
    out.push_str(name.0);
    out.push_str(name.1);
    let _ = writeln!(out, "{{{labels},{key}=\"{value}\"}} {number}");
}

fn shown(prefix: &str, family: &Family, subjects: &[Subject<'_>], out: &mut String) {
    let name = (prefix, family.name);
    if subjects.iter().any(|subject| subject.has(family.column)) {
        head(name, family.kind.word(), family.column.help(), out);
    }
    for subject in subjects {
        let labels = &subject.labels;
        if !subject.has(family.column) {
            continue;
        }
        match (family.milliseconds, subject.value(family.column)) {
            (_, None | Some(Value::Text(_))) => sample(name, labels, "NaN", out),
            (true, Some(Value::U32(ms))) => {
                sample(name, labels, f64::from(*ms) / 1_000.0, out);
            }
            (true, Some(Value::U64(ms))) => sample(name, labels, *ms as f64 / 1_000.0, out),
            (_, Some(value)) => sample(name, labels, value, out),
        }
    }
}

fn responses(prefix: &str, subjects: &[Subject<'_>], out: &mut String) {
    let name = (prefix, "http_responses_total");
    let mut begun = false;
    for subject in subjects {
        for (class, column) in CLASSES {
            let Some(Value::U64(number)) = subject.value(column) else {
                continue;
            };
            if !begun {
                begun = true;
                head(name, "counter", "HTTP responses by class of status.", out);
            }
            labelled(name, &subject.labels, ("code", class), *number, out);
        }
    }
}

/// The state of which the words of `status` speak.
fn state(status: &str) -> &'static str {
    let word = status.split(' ').next().unwrap_or_default();
    match word {
        "DOWN" | "STOP" | "PAUSED" => "DOWN",
        "MAINT" => "MAINT",
        "DRAIN" => "DRAIN",
        "NOLB" => "NOLB",
        // "UP", "OPEN", and "no check".
        _ => "UP",
    }
}

fn states(prefix: &str, subjects: &[Subject<'_>], known: &[&str], out: &mut String) {
    let name = (prefix, "status");
    if !subjects.is_empty() {
        head(name, "gauge", "1 for the state that holds.", out);
    }
    for subject in subjects {
        let now = state(subject.text(Column::Status));
        for state in known {
            let number = u64::from(*state == now);
            labelled(name, &subject.labels, ("state", state), number, out);
        }
    }
}

fn check_states(
    prefix: &str,
    name: &str,
    column: Column,
    subjects: &[Subject<'_>],
    out: &mut String,
) {
    let name = (prefix, name);
    let mut begun = false;
    for subject in subjects {
        let now = subject.text(column).trim_start_matches("* ");
        if now.is_empty() {
            continue;
        }
        if !begun {
            begun = true;
            head(name, "gauge", column.help(), out);
        }
        for status in Status::ALL.into_iter().filter(|status| status.is_outcome()) {
            let number = u64::from(status.name() == now);
            labelled(name, &subject.labels, ("state", status.name()), number, out);
        }
    }
}

/// How many servers of each backend are in each state; under its old name too.
fn aggregates(view: View<'_>, out: &mut String) {
    for name in ["agg_server_check_status", "agg_server_status"] {
        let count = |id, server, _: Option<&Health>| Some(state(&status(view, id, server)));
        aggregate(
            view,
            (name, "Servers by state."),
            &SERVER_STATES,
            count,
            out,
        );
    }
    let outcomes = Status::ALL.into_iter().filter(|status| status.is_outcome());
    let outcomes: Vec<_> = outcomes.map(Status::name).collect();
    let last = |_, _, health: Option<&Health>| {
        let tally = health?.tally(Which::Check)?;
        Some(tally.last().status.name())
    };
    let name = (
        "agg_check_status",
        "Servers by the outcome of their last check.",
    );
    aggregate(view, name, &outcomes, last, out);
}

fn aggregate(
    view: View<'_>,
    (name, help): (&str, &str),
    known: &[&str],
    word: impl Fn(BackendId, ServerId, Option<&Health>) -> Option<&'static str>,
    out: &mut String,
) {
    let name = ("haproxy_backend_", name);
    let mut begun = false;
    for (id, backend) in view.backends() {
        let mut labels = String::new();
        label("proxy", &backend.name, &mut labels);
        if !std::mem::replace(&mut begun, true) {
            head(name, "gauge", help, out);
        }
        let mut numbers = vec![0_u64; known.len()];
        for (server, _) in view.servers(backend) {
            let health = view.sums.health(id, server);
            let now = word(id, server, health.as_ref());
            if let Some(at) = known.iter().position(|known| Some(*known) == now) {
                numbers[at] += 1;
            }
        }
        for (state, number) in known.iter().zip(numbers) {
            labelled(name, &labels, ("state", state), number, out);
        }
    }
}

/// Stick tables: how many entries they may have and have.
fn tables(view: View<'_>, out: &mut String) {
    let families = [
        ("size", "Most entries of the table."),
        ("used", "Entries of the table now."),
    ];
    for (at, (name, help)) in families.into_iter().enumerate() {
        let name = ("haproxy_sticktable_", name);
        let mut begun = false;
        for table in view.plane.tables.iter() {
            if !std::mem::replace(&mut begun, true) {
                head(name, "gauge", help, out);
            }
            let spec = table.spec();
            let mut labels = String::new();
            label("name", &spec.name, &mut labels);
            label("type", spec.key.name(), &mut labels);
            let numbers = [table.size(), table.used(view.now.monotonic_ms)];
            sample(name, &labels, numbers[at], out);
        }
    }
}

/// What name servers have said.
fn resolvers(view: View<'_>, out: &mut String) {
    for (line, said) in LINES {
        // `show resolvers` has another name for it.
        let name = (
            "haproxy_resolver_",
            if line == "snd_error" {
                "send_error"
            } else {
                line
            },
        );
        let mut begun = false;
        for section in &view.model().resolvers {
            for server in &section.servers {
                if !std::mem::replace(&mut begun, true) {
                    head(name, "gauge", "Answers of a name server, by kind.", out);
                }
                let mut labels = String::new();
                label("resolver", &section.name, &mut labels);
                label("nameserver", &server.name, &mut labels);
                let ledger = &view.plane.ledger;
                let count = said.map_or(0, |said| ledger.read(&section.name, &server.name, said));
                sample(name, &labels, count, out);
            }
        }
    }
}

/// Response times of all servers of each backend together.
fn latencies(view: View<'_>, out: &mut String) {
    let (prefix, name) = ("plimsoll_backend_", "response_time_seconds");
    let mut begun = false;
    for (id, backend) in view.backends() {
        let mut counts = [0_u64; BUCKETS.len()];
        let (mut total, mut sum_us) = (0, 0);
        for (server, _) in view.servers(backend) {
            let Some(summary) = view.sums.latencies(id, server) else {
                continue;
            };
            spread(&summary, &mut counts, &mut total, &mut sum_us);
        }
        if total == 0 {
            continue;
        }
        if !begun {
            begun = true;
            let help = "Time to the head of a response; the sum is off by at most a sixteenth.";
            head((prefix, name), "histogram", help, out);
        }
        let mut labels = String::new();
        label("proxy", &backend.name, &mut labels);
        let bucket = (prefix, "response_time_seconds_bucket");
        for ((_, end), count) in BUCKETS.iter().zip(counts) {
            labelled(bucket, &labels, ("le", end), count, out);
        }
        labelled(bucket, &labels, ("le", "+Inf"), total, out);
        let sum = sum_us as f64 / 1e6;
        sample((prefix, "response_time_seconds_sum"), &labels, sum, out);
        sample((prefix, "response_time_seconds_count"), &labels, total, out);
    }
}

/// Adds a summary to buckets each of which holds all before it.
fn spread(summary: &Summary, counts: &mut [u64; BUCKETS.len()], total: &mut u64, sum_us: &mut u64) {
    for (end_us, number) in summary.buckets() {
        *total += number;
        *sum_us += (end_us - end_us / 16) * number;
        for ((bucket_us, _), count) in BUCKETS.iter().zip(counts.iter_mut()) {
            if end_us <= *bucket_us + 1 {
                *count += number;
            }
        }
    }
}

/// What `option outlier-ejection` has done.
fn outliers(view: View<'_>, out: &mut String) {
    let prefix = "plimsoll_server_";
    let families = [
        (
            "ejected",
            "gauge",
            "1 while the server is ejected for being slower than its peers.",
        ),
        (
            "ejections_total",
            "counter",
            "Ejections for being slower than its peers.",
        ),
        (
            "ejections_kept_total",
            "counter",
            "Times it was kept though it was slow, since enough others were ejected.",
        ),
    ];
    for (at, (name, kind, help)) in families.into_iter().enumerate() {
        let mut begun = false;
        for (id, backend) in view
            .backends()
            .filter(|(_, backend)| backend.outliers.is_some())
        {
            for (server, model) in view.servers(backend) {
                if !begun {
                    begun = true;
                    head((prefix, name), kind, help, out);
                }
                let mut labels = String::new();
                label("proxy", &backend.name, &mut labels);
                label("server", &model.name, &mut labels);
                let number = outlier_numbers(view, id, server)[at];
                sample((prefix, name), &labels, number, out);
            }
        }
    }
}

fn outlier_numbers(view: View<'_>, backend: BackendId, server: ServerId) -> [u64; 3] {
    let live = view.plane.backend(backend).server(server);
    let standing = live.standing();
    let ejected = live.state().contains(ServerState::EJECTED);
    [u64::from(ejected), standing.ejections(), standing.kept()]
}

fn process(view: View<'_>, wish: &Wish, out: &mut String) {
    let prefix = "haproxy_process_";
    let mut common = String::new();
    let description = view.model().global.description.as_deref();
    if let Some(text) = description.filter(|_| wish.described) {
        label("desc", text, &mut common);
    }
    let facts = info::facts(view, false);
    for &(name, kind, fact) in PROCESS {
        let fact = facts.iter().find(|known| known.name == fact);
        if let Some(fact) = fact.filter(|fact| !matches!(fact.value, Value::Text(_))) {
            head((prefix, name), kind.word(), fact.help, out);
            sample((prefix, name), &common, &fact.value, out);
        }
    }
    let name = (prefix, "build_info");
    head(name, "gauge", "The version that runs.", out);
    let mut labels = common;
    label("version", super::VERSION, &mut labels);
    sample(name, &labels, 1, out);
    refused(view, out);
}

fn refused(view: View<'_>, out: &mut String) {
    let name = ("plimsoll_", "refused_messages_total");
    let refusals = view.sums.refusals();
    if !refusals.is_empty() {
        head(name, "counter", "Messages that were not acceptable.", out);
    }
    for refusal in refusals {
        let mut labels = String::new();
        label("side", refusal.side, &mut labels);
        label("fault", refusal.fault, &mut labels);
        sample(name, &labels, refusal.count, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn text(query: &str) -> String {
        let (plane, process) = (testing::plane(), testing::process());
        let wish = Wish::read(query).expect("known scopes");
        render(testing::view(&plane, &process), &wish)
    }

    #[test]
    fn families_come_once_and_their_samples_follow_them() {
        let text = text("");
        let mut seen = std::collections::BTreeSet::new();
        let mut family = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap_or_default();
                assert!(seen.insert(family), "{family} comes twice");
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap_or_default();
                assert!(name.starts_with(family), "{line} stands under {family}");
            }
        }
        for line in [
            "haproxy_server_status{proxy=\"app\",server=\"a\",state=\"UP\"} 1",
            "haproxy_server_status{proxy=\"app\",server=\"c\",state=\"MAINT\"} 1",
            "haproxy_backend_agg_server_status{proxy=\"app\",state=\"MAINT\"} 1",
            "haproxy_frontend_status{proxy=\"web\",state=\"UP\"} 1",
            "haproxy_server_weight{proxy=\"app\",server=\"a\"} 50",
            "haproxy_process_nbproc 1",
            "haproxy_process_idle_time_percent 75",
            "plimsoll_refused_messages_total{side=\"client\",fault=\"invalid_host\"} 2",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in {text}");
        }
    }

    #[test]
    fn scopes_choose_and_unknown_ones_are_told() {
        let servers = text("scope=server&no-maint");
        assert!(servers.contains("haproxy_server_") && !servers.contains("haproxy_backend_"));
        assert!(!servers.contains("server=\"c\""), "it is in maintenance");
        assert_eq!(text("scope="), "");
        assert!(text("scope=global").contains("haproxy_process_"));
        assert_eq!(Wish::read("scope=galaxy"), None);
    }

    #[test]
    fn labels_are_escaped() {
        let mut labels = String::new();
        label("proxy", "a\"b\\c\nd", &mut labels);
        assert_eq!(labels, "proxy=\"a\\\"b\\\\c\\nd\"");
    }

    #[test]
    fn buckets_hold_all_that_came_before_them() {
        let histogram = crate::counters::Histogram::default();
        for us in [400, 900, 3_000, 3_000, 60_000_000] {
            histogram.record(us);
        }
        let (mut counts, mut total, mut sum_us) = ([0; BUCKETS.len()], 0, 0);
        spread(
            &Summary::of([&histogram]),
            &mut counts,
            &mut total,
            &mut sum_us,
        );
        assert_eq!(counts[..4], [1, 2, 2, 4]);
        assert_eq!((counts[BUCKETS.len() - 1], total), (4, 5));
        assert!(sum_us.abs_diff(60_007_300) < 60_007_300 / 16, "{sum_us}");
    }
}
