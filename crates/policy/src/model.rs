//! The typed model: what a configuration means, as plain data.
//!
//! Every dialect ends here. A model holds no text positions, no sockets and no atomics; two equal models
//! behave the same, so a reload is a comparison of two of these. Names are already resolved to ids,
//! defaults are already applied, and every number is within its range.

pub mod acme;
pub mod check;
mod edit;
mod edit_tls;
pub mod names;
pub mod source;
pub mod status_codes;
pub mod tls;

pub use edit::Referenced;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use plimsoll_wire::h1::Spelling;

use self::acme::Acme;
use self::check::{BackendCheck, CheckSpec, ServerCheck};
use self::names::{Follow, Resolvers};
use self::source::Source;
use self::status_codes::Statuses;
use self::tls::{BindTls, NameExpression, ServerTls};
use crate::balance::{BalanceSpec, HashSpec};
use crate::cookie::CookieSpec;
use crate::expression::Expression;
use crate::jwe::Allowed;
use crate::log::{Profile, Steps};
use crate::log_format::Format;
use crate::pattern::Lists;
use crate::rule::{Place, Rule, Rules};
use crate::stapling::Stapling;
use crate::stats::page::Page;
use crate::stick_table::TableSpec;
use crate::tls::Store;
use crate::users::Userlist;
use crate::variable::Name;

/// Index of a frontend in [`Model::frontends`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrontendId(pub u32);

/// Index of a backend in [`Model::backends`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId(pub u32);

/// Index of a server in [`Backend::servers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(pub u32);

/// One whole configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    pub global: Global,
    /// In order of definition; a `listen` section gives one frontend and one backend of the same name.
    pub frontends: Vec<Frontend>,
    pub backends: Vec<Backend>,
    /// Lists of patterns, for the runtime API; rules hold their own references.
    pub lists: Arc<Lists>,
    /// `resolvers` sections; their names differ.
    pub resolvers: Vec<Resolvers>,
    pub userlists: Vec<Arc<Userlist>>,
    /// `acme` sections; their names differ.
    pub acme: Vec<Arc<Acme>>,
    /// Stick tables; their names differ.
    pub tables: Vec<TableSpec>,
    /// Named `defaults` sections, for backends that are added at run time.
    pub templates: Vec<Template>,
    /// Certificates and the like by name, for the runtime API; binds and servers hold their own references.
    pub store: Arc<Store>,
    /// `healthcheck` sections by name, for servers that are added at run time.
    pub healthchecks: Vec<(String, CheckSpec)>,
}

/// Options of servers (`default-server`), as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Empty for the one that servers take over without being told to.
    pub name: String,
    pub words: Vec<String>,
}

/// What a named `defaults` section makes of a backend that takes everything from it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    pub name: String,
    /// Whether it says `mode`.
    pub has_mode: bool,
    pub backend: Backend,
}

/// Settings of the process as a whole (`global` sections).
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// Worker threads; `None`: one per usable core.
    pub worker_count: Option<u32>,
    /// Highest number of concurrent client connections in the process; `None`: derived from the descriptor limit.
    pub maxconn: Option<u32>,
    pub logs: Vec<LogTarget>,
    /// `log-tag`; `None`: the name the program was called by.
    pub log_tag: Option<String>,
    /// `log-send-hostname`: `Some("")` means the machine's own name.
    pub log_hostname: Option<String>,
    pub daemon: bool,
    pub quiet: bool,
    pub pidfile: Option<PathBuf>,
    /// `stats-file`: counters to begin with.
    pub stats_file: Option<PathBuf>,
    pub user: Option<String>,
    pub group: Option<String>,
    pub chroot: Option<PathBuf>,
    /// `setcap`: which of [`CAPABILITIES`] outlast the change to another user.
    pub capabilities: BTreeSet<&'static str>,
    pub node: Option<String>,
    pub description: Option<String>,
    pub stats_sockets: Vec<Bind>,
    /// The variables behind the last line of the configuration, as `NAME=value`.
    pub environment: Vec<String>,
    pub stats_timeout_ms: u64,
    pub hard_stop_after_ms: Option<u64>,
    pub grace_ms: u64,
    /// `ulimit-n`; `None`: derived from `maxconn`.
    pub descriptor_limit: Option<u32>,
    /// `spread-checks`: intervals between checks vary by this many per cent, 0 to 50.
    pub spread_checks_percent: u32,
    /// `max-spread-checks`: first checks are begun within this time; `None`: within an interval.
    pub spread_checks_max_ms: Option<u64>,
    /// `maxconnrate`, `maxsessrate`: most new client connections per second.
    pub connection_rate: Option<u32>,
    /// Which answers stick tables count as errors and failures.
    pub statuses: Statuses,
    /// `set-var`: variables that the process begins with, in order.
    pub variables: Vec<(Name, Initial)>,
    /// `acme.scheduler`: certificates are renewed by themselves.
    pub acme_scheduler: bool,
    /// How authorities are asked to vouch for certificates.
    pub stapling: Stapling,
    /// How servers are called that are none of a backend: those of authorities. `None`: there are none.
    pub http_client: Option<Arc<ServerTls>>,
    /// `why-sampling`: why one request in so many goes where it goes is written down; 0: never.
    pub why_sampling: u32,
    /// How tokens may be encrypted that are to be decrypted.
    pub tokens: Allowed,
    /// `h1-accept-payload-with-any-method`.
    pub any_method_bodies: bool,
    /// `h1-do-not-close-on-insecure-transfer-encoding`.
    pub trusts_ambiguous: bool,
    /// `h1-case-adjust`, `h1-case-adjust-file`: how proxies that say so write names of fields.
    pub spelling: Arc<Spelling>,
    /// `harden.reject-privileged-ports.tcp`: clients do not come from ports below 1024.
    pub rejects_privileged_ports: bool,
    pub tune: Tune,
}

/// The capabilities that can be kept (capabilities(7)), in lower case.
pub const CAPABILITIES: [&str; 4] = [
    "cap_net_admin",
    "cap_net_bind_service",
    "cap_net_raw",
    "cap_sys_admin",
];

/// What a variable is set to when the configuration is put to use.
#[derive(Clone, Debug, PartialEq)]
pub enum Initial {
    Expression(Expression),
    Format(Format),
}

/// Sizes and caps (`tune.*`).
#[derive(Clone, Debug, PartialEq)]
pub struct Tune {
    /// Longest message head, and the unit of buffering, in bytes (`tune.bufsize`).
    pub buffer_bytes: u32,
    /// Bytes of the buffer kept free for added headers (`tune.maxrewrite`).
    pub rewrite_bytes: u32,
    /// Most header fields in one message (`tune.http.maxhdr`).
    pub max_fields: u32,
    /// Longest logged request line in bytes (`tune.http.logurilen`).
    pub log_uri_bytes: u32,
    /// Most connections taken from a listener in one turn (`tune.maxaccept`).
    pub max_accept: u32,
    /// Most events taken from the kernel at once (`tune.maxpollevents`).
    pub max_events: u32,
    /// How many keys a connection or request may track at once (`tune.stick-counters`).
    pub stick_counters: u32,
    /// Socket buffers in bytes, when set (`tune.rcvbuf.*`, `tune.sndbuf.*`).
    pub receive_buffer_client_bytes: Option<u32>,
    pub receive_buffer_server_bytes: Option<u32>,
    pub send_buffer_client_bytes: Option<u32>,
    pub send_buffer_server_bytes: Option<u32>,
    /// splice(2) for tunnels and large bodies (`-dS`, `nosplice` switch it off).
    pub splice: bool,
    /// Pipe capacity for splicing in bytes; `None`: ours (`tune.pipesize`).
    pub pipe_bytes: Option<u32>,
    /// `tune.h2.*`.
    pub http2: Http2Tune,
    pub tls: TlsTune,
}

/// Caps of TLS (`tune.ssl.*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsTune {
    /// Sessions of clients remembered where tickets are not used (`tune.ssl.cachesize`).
    pub cache_sessions: u32,
    /// Bytes of a client's hello kept for samples (`tune.ssl.capture-buffer-size`).
    pub capture_bytes: u32,
    /// Certificates made on the fly that are remembered for each bind (`tune.ssl.ssl-ctx-cache-size`).
    pub substitutes: u32,
    /// Secrets of connections are kept for rules (`tune.ssl.keylog`).
    pub keeps_secrets: bool,
}

impl Default for TlsTune {
    fn default() -> Self {
        Self {
            cache_sessions: 20_000,
            capture_bytes: 0,
            substitutes: 1_000,
            keeps_secrets: false,
        }
    }
}

/// What HTTP/2 connections allow their peers; `None`: what the words without a side say, or HAProxy's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Tune {
    /// `tune.h2.header-table-size`.
    pub table_bytes: u32,
    /// `tune.h2.max-frame-size`.
    pub frame_bytes: u32,
    /// `tune.h2.initial-window-size`.
    pub window_bytes: u32,
    /// `tune.h2.max-concurrent-streams`.
    pub streams_max: u32,
    /// `h2-workaround-bogus-websocket-clients`: clients are not told that WebSockets may come over HTTP/2.
    pub hides_web_sockets: bool,
    /// `tune.h2.log-errors`.
    pub logged: Http2Log,
    /// `tune.h2.fe.*`.
    pub clients: Http2Side,
    /// `tune.h2.be.*`.
    pub servers: Http2Side,
}

/// Which misdeeds of clients in HTTP/2 leave a line in the log (`tune.h2.log-errors`): each level has those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Http2Log {
    None,
    /// Those that end the connection.
    Connection,
    /// Requests that are none.
    #[default]
    Stream,
}

/// `tune.h2.fe.*` or `tune.h2.be.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http2Side {
    pub window_bytes: Option<u32>,
    pub streams_max: Option<u32>,
    /// `rxbuf`: most unread bytes of a connection.
    pub connection_bytes: Option<u32>,
    /// `max-total-streams`: streams after which a connection is closed; `None`: no limit.
    pub streams_total: Option<u32>,
}

impl Default for Http2Tune {
    fn default() -> Self {
        Self {
            table_bytes: 4_096,
            frame_bytes: 16_384,
            window_bytes: 65_536,
            streams_max: 100,
            hides_web_sockets: false,
            logged: Http2Log::default(),
            clients: Http2Side::default(),
            servers: Http2Side::default(),
        }
    }
}

impl Default for Tune {
    fn default() -> Self {
        Self {
            buffer_bytes: 16_384,
            rewrite_bytes: 1_024,
            max_fields: 101,
            log_uri_bytes: 1_023,
            max_accept: 64,
            max_events: 256,
            stick_counters: crate::stick_table::STICK_COUNTERS_DEFAULT,
            receive_buffer_client_bytes: None,
            receive_buffer_server_bytes: None,
            send_buffer_client_bytes: None,
            send_buffer_server_bytes: None,
            splice: true,
            pipe_bytes: None,
            http2: Http2Tune::default(),
            tls: TlsTune::default(),
        }
    }
}

impl Default for Global {
    fn default() -> Self {
        Self {
            worker_count: None,
            maxconn: None,
            logs: Vec::new(),
            log_tag: None,
            log_hostname: None,
            daemon: false,
            quiet: false,
            pidfile: None,
            stats_file: None,
            user: None,
            group: None,
            chroot: None,
            capabilities: BTreeSet::new(),
            node: None,
            description: None,
            stats_sockets: Vec::new(),
            environment: Vec::new(),
            stats_timeout_ms: 10_000,
            hard_stop_after_ms: None,
            grace_ms: 0,
            descriptor_limit: None,
            spread_checks_percent: 0,
            spread_checks_max_ms: None,
            statuses: Statuses::default(),
            connection_rate: None,
            variables: Vec::new(),
            acme_scheduler: true,
            stapling: Stapling::default(),
            http_client: None,
            why_sampling: 0,
            tokens: Allowed::default(),
            any_method_bodies: false,
            trusts_ambiguous: false,
            spelling: Arc::default(),
            rejects_privileged_ports: false,
            tune: Tune::default(),
        }
    }
}

/// Whether a proxy understands HTTP or only relays bytes (`mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Tcp,
    Http,
}

/// `option http-restrict-req-hdr-names`: fields of requests whose names have other characters than letters, digits and
/// hyphens, which some servers take for one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnusualNames {
    #[default]
    Kept,
    Dropped,
    /// The request is refused.
    Refused,
}

/// Where clients come in (`frontend`, and the front half of `listen`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frontend {
    pub name: String,
    /// The identifier seen in statistics (`id`, or assigned from 2 upwards as HAProxy does).
    pub number: u32,
    pub mode: Mode,
    /// `guid`.
    pub guid: Option<String>,
    /// `disabled`: kept in statistics, listens on nothing.
    pub disabled: bool,
    pub description: Option<String>,
    pub binds: Vec<Bind>,
    /// Most concurrent connections; `None`: the process's limit. Beyond it connections wait in the kernel's backlog.
    pub maxconn: Option<u32>,
    /// `rate-limit sessions`: most new connections per second.
    pub connection_rate: Option<u32>,
    /// `backlog`; `None`: derived from `maxconn`.
    pub backlog: Option<u32>,
    /// `max-session-srv-conns`: idle server connections kept for one client alone; `None`: 5.
    pub session_connections_max: Option<u32>,
    pub timeouts: FrontendTimeouts,
    /// Where requests go for which no rule names a backend.
    pub default_backend: Option<BackendId>,
    pub persistence: ConnectionMode,
    pub forward_for: Option<ForwardFor>,
    /// `option originalto`: as `forward_for`, with the address that the client came to.
    pub original_to: Option<ForwardFor>,
    pub log: LogSettings,
    /// `option dontlognull`: a connection that sent nothing is not logged, and its end is not an error.
    pub ignore_empty_connections: bool,
    /// `option accept-unsafe-violations-in-http-request` (formerly `accept-invalid-http-request`).
    pub lenient_request: bool,
    /// `option idle-close-on-response`: at a soft stop, clients at rest are told of the end with their next response.
    pub idles_on: bool,
    /// `option http-ignore-probes`: neither answers, nor logs, nor counts clients that send nothing.
    pub ignores_probes: bool,
    /// `option clitcpka`.
    pub keepalive_probes: bool,
    /// `clitcpka-idle`, `clitcpka-intvl`, `clitcpka-cnt`.
    pub probes: Probes,
    /// `option nolinger`: connections end with a reset.
    pub linger_zero: bool,
    pub low_latency: bool,
    /// `option independent-streams`: what clients take does not excuse that they say nothing.
    pub independent: bool,
    /// `option h1-case-adjust-bogus-client`: names of fields are written as [`Global::spelling`] says.
    pub adjusts_case: bool,
    /// `option http-drop-response-trailers`.
    pub drops_trailers: bool,
    /// `option http-buffer-request`: wait for the body before choosing a server.
    pub buffer_request: bool,
    pub unusual_names: UnusualNames,
    /// `option disable-h2-upgrade`: clients that speak HTTP/2 where HTTP/1 is expected are refused.
    pub stays_http1: bool,
    /// `option http-use-proxy-header`.
    pub use_proxy_connection_header: bool,
    pub error_files: Vec<ErrorFile>,
    /// `monitor-uri`: the target that is answered here.
    pub monitor_uri: Option<String>,
    /// `unique-id-header`: the field that tells servers the request's name, in lower case.
    pub unique_id_header: Option<String>,
    /// `stats …`: where this proxy answers with the statistics page.
    pub stats_page: Option<Arc<Page>>,
    /// Shared by the halves of a `listen` section.
    pub rules: Arc<Rules>,
}

/// How a silent connection is probed, where it is (TCP keep-alive). `None`: as the system does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Silence before the first probe, in seconds.
    pub idle_s: Option<u32>,
    /// Pause between probes, in seconds.
    pub interval_s: Option<u32>,
    /// Unanswered probes before the connection is given up.
    pub count: Option<u32>,
}

/// `None` means unbounded in HAProxy; resolution replaces a missing one by a bounded default and warns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrontendTimeouts {
    pub client_ms: Option<u64>,
    /// The whole head must arrive within this; `None`: `client_ms` applies to each wait.
    pub http_request_ms: Option<u64>,
    /// Longest wait for the next request; `None`: `http_request_ms`, then `client_ms`.
    pub http_keep_alive_ms: Option<u64>,
    /// Inactivity once the client half-closed; `None`: `client_ms`.
    pub client_fin_ms: Option<u64>,
    /// The whole TLS handshake must be over within this; `None`: `client_ms`.
    pub client_handshake_ms: Option<u64>,
    pub tarpit_ms: Option<u64>,
}

impl Backend {
    /// Where connections to one of its servers come from, if that is said.
    pub fn source_of<'a>(&'a self, server: &'a Server) -> Option<&'a Source> {
        server.source.as_ref().or(self.source.as_ref())
    }
}

/// Where requests go (`backend`, and the back half of `listen`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backend {
    pub name: String,
    /// See [`Frontend::number`]; both halves of a `listen` share one number.
    pub number: u32,
    /// The number is written (`id`).
    pub has_number: bool,
    /// `guid`; both halves of a `listen` share it.
    pub guid: Option<String>,
    pub mode: Mode,
    pub disabled: bool,
    /// Taken out at run time: an empty place that nobody sees, see [`Model::remove_backend`].
    pub removed: bool,
    /// `be-unpublished`: rules do not lead here until it is published.
    pub unpublished: bool,
    pub description: Option<String>,
    pub balance: BalanceSpec,
    /// What `balance hash` hashes.
    pub balance_key: Option<Expression>,
    pub hash: HashSpec,
    /// `hash-balance-factor`: 0 is off, otherwise at least 101 (per cent of the average load).
    pub hash_balance_factor: u32,
    pub hash_preserve_affinity: HashPreserveAffinity,
    /// `load-server-state-from-file`: where its servers' states are read at the start.
    pub state_file: Option<PathBuf>,
    /// `default-server` lines, for servers that are added at run time.
    pub presets: Vec<Preset>,
    pub servers: Vec<Server>,
    /// `option allbackups`: share the load among all backup servers instead of using the first.
    pub all_backups: bool,
    pub timeouts: BackendTimeouts,
    pub retries: u32,
    /// `option redispatch [N]`: 0 is off, 1 every retry, N every Nth retry, -N only the last N.
    pub redispatch: i32,
    pub retry_on: RetryOn,
    pub reuse: Reuse,
    pub persistence: ConnectionMode,
    /// `option http-pretend-keepalive`: servers are not told that their connections will be closed.
    pub pretend_keepalive: bool,
    pub forward_for: Option<ForwardFor>,
    /// See [`Frontend::original_to`].
    pub original_to: Option<ForwardFor>,
    /// Connections at which servers reach their full `maxconn` (`fullconn`); `None`: not written, see
    /// [`crate::queue::fill_fullconn`].
    pub fullconn: Option<u32>,
    /// `option abortonclose`: a request is dropped when its client ends its side before the answer begins.
    pub abort_on_close: bool,
    /// `option http-buffer-request`: wait for the body before choosing a server.
    pub buffer_request: bool,
    pub unusual_names: UnusualNames,
    pub lenient_response: bool,
    /// `option srvtcpka`.
    pub keepalive_probes: bool,
    /// `srvtcpka-idle`, `srvtcpka-intvl`, `srvtcpka-cnt`.
    pub probes: Probes,
    /// See [`Frontend::linger_zero`].
    pub linger_zero: bool,
    /// `option h1-case-adjust-bogus-server`.
    pub adjusts_case: bool,
    /// `option http-drop-request-trailers`.
    pub drops_trailers: bool,
    /// `option checkcache`: responses that a shared cache might store, cookie and all, are refused.
    pub checks_cache: bool,
    pub low_latency: bool,
    /// See [`Frontend::independent`], of servers.
    pub independent: bool,
    /// `option persist`: clients are led back to servers that are down too.
    pub persist: bool,
    /// `persist rdp-cookie`: the cookie by which terminal servers name themselves.
    pub rdp_persistence: Option<String>,
    /// `cookie`.
    pub cookie: Option<Arc<CookieSpec>>,
    /// `dynamic-cookie-key`.
    pub cookie_key: Option<String>,
    /// `http-send-name-header`: the field that tells servers their name, in lower case.
    pub name_header: Option<String>,
    /// `option prefer-last-server`.
    pub prefer_last_server: bool,
    /// What the checks of servers ask.
    pub check: BackendCheck,
    /// `option outlier-ejection`: servers that are far slower than their peers get no traffic for a while.
    pub outliers: Option<crate::outlier::Spec>,
    /// Where connections to servers come from that do not say so themselves.
    pub source: Option<Source>,
    pub log: LogSettings,
    pub error_files: Vec<ErrorFile>,
    /// See [`Frontend::stats_page`].
    pub stats_page: Option<Arc<Page>>,
    /// See [`Frontend::rules`].
    pub rules: Arc<Rules>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendTimeouts {
    pub connect_ms: Option<u64>,
    pub server_ms: Option<u64>,
    /// Longest wait for a free slot; `None`: `connect_ms`.
    pub queue_ms: Option<u64>,
    pub server_fin_ms: Option<u64>,
    /// Inactivity of an upgraded or TCP connection in both directions; `None`: client and server time-outs.
    pub tunnel_ms: Option<u64>,
    pub check_ms: Option<u64>,
    pub tarpit_ms: Option<u64>,
}

/// `hash-preserve-affinity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashPreserveAffinity {
    #[default]
    Always,
    MaxConn,
    MaxQueue,
}

/// How connections outlive requests; the strictest of frontend and backend applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectionMode {
    #[default]
    KeepAlive,
    /// `option http-server-close`: the server's connection ends with the response.
    ServerClose,
    /// `option httpclose`: both do.
    Close,
}

/// Which idle server connections a request may travel on (`http-reuse`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    Never,
    #[default]
    Safe,
    Aggressive,
    Always,
}

/// `option forwardfor` and `option originalto`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardFor {
    /// Addresses in these networks are not told.
    pub except: Option<Network>,
    pub header: String,
    /// `if-none`: only when the request carries no such field.
    pub if_none: bool,
}

/// An address and the number of leading bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub address: IpAddr,
    pub prefix: u8,
}

impl Network {
    /// Whether `address` lies in the network; an IPv4 network also covers its IPv4-mapped form.
    pub fn contains(&self, address: IpAddr) -> bool {
        fn covers(a: u128, b: u128, bits: u32, prefix: u8) -> bool {
            let drop = bits - u32::from(prefix).min(bits);
            drop >= bits || (a >> drop) == (b >> drop)
        }
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => covers(
                u128::from(a.to_bits()),
                u128::from(b.to_bits()),
                32,
                self.prefix,
            ),
            (IpAddr::V6(a), IpAddr::V6(b)) => covers(a.to_bits(), b.to_bits(), 128, self.prefix),
            _ => false,
        }
    }
}

/// The faults after which a request is tried again (`retry-on`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn(pub u32);

impl RetryOn {
    pub const NONE: Self = Self(0);
    pub const CONN_FAILURE: Self = Self(1);
    pub const EMPTY_RESPONSE: Self = Self(1 << 1);
    pub const JUNK_RESPONSE: Self = Self(1 << 2);
    pub const RESPONSE_TIMEOUT: Self = Self(1 << 3);
    pub const ZERO_RTT_REJECTED: Self = Self(1 << 4);
    /// Statuses, one bit each, in the order of [`RetryOn::STATUSES`].
    pub const STATUSES: [u16; 11] = [401, 403, 404, 408, 421, 425, 429, 500, 501, 502, 503];
    pub const STATUS_504: Self = Self(1 << 16);
    const FIRST_STATUS_BIT: u32 = 5;

    /// The bit of a status that may be retried on, or nothing.
    pub fn status(status: u16) -> Self {
        if status == 504 {
            return Self::STATUS_504;
        }
        match Self::STATUSES.iter().position(|&known| known == status) {
            Some(index) => Self(1 << (Self::FIRST_STATUS_BIT + index as u32)),
            None => Self::NONE,
        }
    }

    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any cause of `cause` is among these; false for [`RetryOn::NONE`].
    pub fn covers(self, cause: Self) -> bool {
        self.0 & cause.0 != 0
    }
}

impl Default for RetryOn {
    fn default() -> Self {
        Self::CONN_FAILURE
    }
}

/// A server of a backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub name: String,
    /// `id`, or assigned from 1 upwards.
    pub number: u32,
    /// The number is written (`id`).
    pub has_number: bool,
    pub address: ServerAddress,
    /// The name that is written in place of an address.
    pub host: Option<String>,
    /// Where the address follows from a name while the process runs.
    pub follows: Option<Arc<Follow>>,
    pub weight: u16,
    pub backup: bool,
    /// No client is remembered in a stick table for being served here (`non-stick`).
    pub non_stick: bool,
    /// `redir`: clients that ask by GET or HEAD are sent to this prefix and their path; `/` is an empty one.
    pub redirect: Option<String>,
    /// Starts in maintenance.
    pub disabled: bool,
    /// Taken out at run time, see [`Model::remove_server`].
    pub removed: bool,
    /// Added at run time (`add server`): starts in maintenance until it is enabled.
    pub dynamic: bool,
    /// Its name before it was last given another one at run time (`set server … name`).
    pub former_name: Option<String>,
    /// Most concurrent connections; `None`: no limit. Further requests queue.
    pub maxconn: Option<u32>,
    pub minconn: Option<u32>,
    /// Most requests waiting in this server's own queue; `None`: no limit.
    pub maxqueue: Option<u32>,
    /// `pool-max-conn`: most idle connections kept; `None`: no limit of its own; 0: none are kept.
    pub pool_max: Option<u32>,
    /// `pool-purge-delay`: idle connections beyond need are closed after this long.
    pub pool_purge_delay_ms: u64,
    /// `max-reuse`: requests per connection beyond the first; `None`: no limit.
    pub max_reuse: Option<u32>,
    pub source: Option<Source>,
    /// `socks4`: the SOCKS proxy that leads to it.
    pub socks: Option<SocketAddr>,
    /// `hash-key`.
    pub hash_key: HashKey,
    pub cookie: Option<String>,
    /// The cookie follows from the backend's key.
    pub computed_cookie: bool,
    pub send_proxy: Option<ProxyHeader>,
    /// `proxy-v2-options`.
    pub proxy_options: ProxyOptions,
    /// `set-proxy-v2-tlv-fmt`: types of fields of that header, and what makes their values.
    pub proxy_fields: Vec<(u8, Arc<Format>)>,
    /// `ssl`.
    pub tls: Option<Arc<ServerTls>>,
    /// TLS that `set server … ssl on` takes up: that of a line with `no-ssl` behind a `default-server ssl`, or what was
    /// switched off.
    pub idle_tls: Option<Arc<ServerTls>>,
    /// `no-ssl`, until somebody has changed it at run time.
    pub no_tls: bool,
    /// `proto h2`.
    pub http2: bool,
    /// `ws`.
    pub web_sockets: WebSockets,
    /// `pool-conn-name`: what tells its connections apart, in place of the name asked for in TLS.
    pub pool_name: Option<Arc<NameExpression>>,
    pub check: ServerCheck,
    pub description: Option<String>,
    /// `guid`: tells it from all frontends, backends and servers.
    pub guid: Option<String>,
}

impl Server {
    /// What is known under its name, or else under the one it had before it was renamed.
    pub fn find_in<'a, T>(&self, known: &'a HashMap<&str, T>) -> Option<&'a T> {
        let former = self.former_name.as_deref();
        let former = || former.and_then(|name| known.get(name));
        known.get(self.name.as_str()).or_else(former)
    }

    /// A server with HAProxy's defaults.
    pub fn new(name: impl Into<String>, address: ServerAddress) -> Self {
        Self {
            name: name.into(),
            number: 0,
            has_number: false,
            address,
            host: None,
            follows: None,
            weight: 1,
            non_stick: false,
            redirect: None,
            backup: false,
            disabled: false,
            removed: false,
            dynamic: false,
            former_name: None,
            maxconn: None,
            minconn: None,
            maxqueue: None,
            pool_max: None,
            pool_purge_delay_ms: 5_000,
            max_reuse: None,
            source: None,
            socks: None,
            hash_key: HashKey::Id,
            cookie: None,
            computed_cookie: false,
            send_proxy: None,
            proxy_options: ProxyOptions::default(),
            proxy_fields: Vec::new(),
            tls: None,
            idle_tls: None,
            no_tls: false,
            http2: false,
            web_sockets: WebSockets::Auto,
            pool_name: None,
            check: ServerCheck::default(),
            description: None,
            guid: None,
        }
    }
}

impl Server {
    /// Whether connections to one are as good as connections to the other: they differ in nothing but in what is
    /// decided before a connection is chosen.
    pub fn connects_as(&self, other: &Self) -> bool {
        self.without_choice() == other.without_choice()
    }

    /// The server without what only matters to whoever chooses, counts or checks it. What is new in this type is
    /// compared by [`Self::connects_as`] until somebody says here that it need not be.
    fn without_choice(&self) -> Self {
        Self {
            name: String::new(),
            number: 0,
            weight: 0,
            backup: false,
            disabled: false,
            dynamic: false,
            maxconn: None,
            minconn: None,
            maxqueue: None,
            pool_max: None,
            pool_purge_delay_ms: 0,
            max_reuse: None,
            hash_key: HashKey::Id,
            cookie: None,
            computed_cookie: false,
            idle_tls: None,
            no_tls: false,
            check: ServerCheck::default(),
            description: None,
            guid: None,
            ..self.clone()
        }
    }

    /// The protocol that WebSockets want of a connection; `None`: whatever it speaks will do.
    ///
    /// Where a server may agree on either protocol, HTTP/1.1 is the one in which it surely knows them.
    pub fn web_socket_protocol(&self) -> Option<Protocol> {
        let agrees = |protocol: &[u8]| {
            let offer = self.tls.as_ref().map(|tls| &tls.offer.alpn);
            offer.is_some_and(|offer| offer.iter().any(|own| own == protocol))
        };
        match self.web_sockets {
            WebSockets::Http1 => Some(Protocol::Http1),
            WebSockets::Http2 => Some(Protocol::Http2),
            WebSockets::Auto if !self.http2 && agrees(b"http/1.1") => Some(Protocol::Http1),
            WebSockets::Auto => None,
        }
    }

    /// TLS of all kinds, in use or not.
    pub(crate) fn all_tls(&self) -> impl Iterator<Item = &Arc<ServerTls>> {
        let all = [&self.tls, &self.idle_tls, &self.check.tls];
        all.into_iter().flatten()
    }

    pub(crate) fn all_tls_mut(&mut self) -> impl Iterator<Item = &mut Arc<ServerTls>> {
        let all = [&mut self.tls, &mut self.idle_tls, &mut self.check.tls];
        all.into_iter().flatten()
    }
}

/// A version of HTTP that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// How WebSockets are asked for at a server (`ws`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebSockets {
    /// As it is spoken to anyway, but over HTTP/1.1 where that is among the protocols it is offered.
    #[default]
    Auto,
    Http1,
    Http2,
}

/// What places a server on a consistent hash ring (`hash-key`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashKey {
    /// The low bits of its number.
    #[default]
    Id,
    /// All bits of its number, mixed.
    Id32,
    /// Its `guid`.
    Guid,
    Addr,
    AddrPort,
}

/// What a PROXY protocol header of version 2 contains besides addresses.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a word of its own, and they go together in any way"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyOptions {
    /// `crc32c`.
    pub checksum: bool,
    /// `unique-id`: the name that `unique-id-format` gave the request.
    pub unique_id: bool,
    /// `authority`: the name that the client asked for.
    pub authority: bool,
    /// `ssl` and those below: whether and how it came over TLS.
    pub tls: bool,
    /// `cert-cn`: that of its certificate.
    pub common_name: bool,
    /// `ssl-cipher`.
    pub cipher: bool,
    /// `cert-sig`: by which algorithm our certificate is signed.
    pub signature: bool,
    /// `cert-key`: the kind of our key.
    pub key: bool,
}

/// The PROXY protocol header that opens a server connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    V1,
    V2,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerAddress {
    Inet {
        ip: IpAddr,
        port: ServerPort,
    },
    Unix(PathBuf),
    /// A name in Linux's abstract socket space, without the leading zero, with the zeros that `abns@` puts behind it.
    Abstract(String),
    /// Named but not resolved (yet): no traffic until it is.
    Unresolved {
        host: String,
        port: ServerPort,
    },
}

impl ServerAddress {
    /// Whether it depends on where the client wanted to go: the address 0.0.0.0 or `::`, or a port that is none of its own.
    pub fn follows_client(&self) -> bool {
        match self {
            Self::Inet { ip, port } => ip.is_unspecified() || matches!(port, ServerPort::Offset(_)),
            Self::Unresolved { port, .. } => matches!(port, ServerPort::Offset(_)),
            Self::Unix(_) | Self::Abstract(_) => false,
        }
    }
}

/// The port to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerPort {
    Fixed(u16),
    /// The port the client connected to, plus this offset (no port written: 0).
    Offset(i32),
}

/// A listening address with its options (`bind`, `stats socket`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    pub address: BindAddress,
    /// The line, for messages. One that has moved is still the same listener.
    pub place: Place,
    pub name: Option<String>,
    /// `id`, or assigned from 1 upwards within the frontend.
    pub number: u32,
    pub maxconn: Option<u32>,
    pub backlog: Option<u32>,
    /// `accept-proxy`.
    pub accept_proxy: bool,
    /// `proto h2`: clients speak HTTP/2 without saying so first.
    pub http2: bool,
    /// `proto h1`: clients that speak HTTP/2 all the same are refused.
    pub stays_http1: bool,
    /// `proto none`: connections of a TCP frontend never become ones of HTTP.
    pub stays_raw: bool,
    /// `defer-accept`.
    pub defer_accept: bool,
    pub transparent: bool,
    pub fast_open: bool,
    /// `interface`.
    pub interface: Option<String>,
    /// `mss`; negative values are relative to the kernel's.
    pub segment_bytes: Option<i32>,
    /// `tcp-ss`: 0: off, 1: SYN packets are saved from their IP header on, 2: whole.
    pub save_syn: u8,
    /// `tcp-ut`.
    pub user_timeout_ms: Option<u64>,
    pub only_v6: Option<bool>,
    /// Mode, owner and group of a unix socket.
    pub unix: UnixOwner,
    pub level: AccessLevel,
    /// `severity-output`.
    pub severity: Severity,
    /// `expose-fd listeners`: a newer process may ask here for our listening sockets.
    pub exposes_listeners: bool,
    pub nice: i32,
    /// `ssl`.
    pub tls: Option<Arc<BindTls>>,
}

impl Bind {
    pub fn new(address: BindAddress) -> Self {
        Self {
            address,
            place: Place::default(),
            name: None,
            number: 0,
            maxconn: None,
            backlog: None,
            accept_proxy: false,
            http2: false,
            stays_http1: false,
            stays_raw: false,
            defer_accept: false,
            transparent: false,
            fast_open: false,
            interface: None,
            segment_bytes: None,
            user_timeout_ms: None,
            save_syn: 0,
            only_v6: None,
            unix: UnixOwner::default(),
            level: AccessLevel::Operator,
            severity: Severity::None,
            exposes_listeners: false,
            nice: 0,
            tls: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnixOwner {
    /// Permission bits.
    pub mode: Option<u32>,
    pub user: Option<u32>,
    pub group: Option<u32>,
}

/// How the levels of syslog are written before messages on a command socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Severity {
    #[default]
    None,
    Number,
    Word,
}

impl Severity {
    /// What an error begins with.
    pub(crate) fn error(self) -> &'static str {
        self.mark("[3]: ", "[err]: ")
    }

    /// What a warning begins with.
    pub(crate) fn warning(self) -> &'static str {
        self.mark("[4]: ", "[warning]: ")
    }

    /// What begins that which needs no change.
    pub(crate) fn notice(self) -> &'static str {
        self.mark("[5]: ", "[notice]: ")
    }

    /// What advice begins with.
    pub(crate) fn advice(self) -> &'static str {
        self.mark("[6]: ", "[info]: ")
    }

    fn mark(self, number: &'static str, word: &'static str) -> &'static str {
        match self {
            Self::None => "",
            Self::Number => number,
            Self::Word => word,
        }
    }
}

/// Longest `guid`.
const GUID_BYTES_MAX: usize = 127;

/// Whether a text may be a `guid`.
pub(crate) fn is_guid(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_".contains(&byte);
    (1..=GUID_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// What a command socket allows (`level`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessLevel {
    User,
    #[default]
    Operator,
    Admin,
}

impl AccessLevel {
    /// As configurations and commands write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Where a listener listens. A port range has become one bind per port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BindAddress {
    Inet(SocketAddr),
    Unix(PathBuf),
    /// As [`ServerAddress::Abstract`].
    Abstract(String),
    /// A listening descriptor inherited from the parent process (`fd@N`).
    Inherited(i32),
}

impl BindAddress {
    /// The address as a `bind` line may have it, with its family.
    pub fn named(&self) -> String {
        match self {
            Self::Inet(address) if address.is_ipv6() => {
                format!("ipv6@[{}]:{}", address.ip(), address.port())
            }
            Self::Inet(address) => format!("ipv4@{address}"),
            Self::Unix(path) => format!("unix@{}", path.display()),
            Self::Abstract(name) => format!("abns@{}", name.trim_end_matches('\0')),
            Self::Inherited(descriptor) => format!("fd@{descriptor}"),
        }
    }
}

/// A status and the file whose whole content answers it (`errorfile`); the content is read at load.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorFile {
    pub status: u16,
    pub content: Vec<u8>,
    /// `http-error`: the rule that makes the answer, in place of the content.
    pub composed: Option<Rule>,
}

impl ErrorFile {
    /// The answer that a file holds.
    pub fn new(status: u16, content: Vec<u8>) -> Self {
        Self {
            status,
            content,
            composed: None,
        }
    }
}

/// What and how a proxy logs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogSettings {
    /// `log global` has already been replaced by the global targets.
    pub targets: Vec<LogTarget>,
    pub format: LogFormat,
    /// `log-format-sd`: structured data of RFC 5424.
    pub structured: Option<Arc<Format>>,
    /// `error-log-format`: the line of sessions that ended before they could carry anything.
    pub error_format: Option<Arc<Format>>,
    /// `log-tag` of the proxy.
    pub tag: Option<String>,
    /// `option dontlog-normal`.
    pub skip_normal: bool,
    /// `option logasap`.
    pub as_soon_as_possible: bool,
    /// `option log-separate-errors`: errors are logged one level higher.
    pub separate_errors: bool,
    /// `log-steps`: the moments at which a line is written; `None`: once, when all is known that it shows.
    pub steps: Option<Steps>,
}

impl LogSettings {
    /// Every format that lines are written by.
    pub fn formats(&self) -> impl Iterator<Item = &Arc<Format>> {
        let custom = match &self.format {
            LogFormat::Custom(format) => Some(format),
            _ => None,
        };
        let own = [custom, self.structured.as_ref(), self.error_format.as_ref()];
        let profiles = self
            .targets
            .iter()
            .filter_map(|target| target.profile.as_ref());
        let own = own.into_iter().flatten();
        own.chain(profiles.flat_map(|profile| profile.formats()))
    }
}

/// The line that a session or an exchange leaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum LogFormat {
    /// `Connect from ... to ...`.
    #[default]
    Connect,
    /// `option tcplog`; `true`: in CLF form.
    Tcp { clf: bool },
    /// `option httplog`; `true`: in CLF form.
    Http { clf: bool },
    /// `option httpslog`: the line of `option httplog` with what is known of TLS.
    Https,
    /// `log-format`.
    Custom(Arc<Format>),
}

/// One `log` line.
#[derive(Clone, Debug, PartialEq)]
pub struct LogTarget {
    pub address: LogAddress,
    /// Longest message in bytes (`len`).
    pub length_bytes: u32,
    pub format: LogEnvelope,
    /// `sample <ranges>:<size>`.
    pub sample: Option<LogSample>,
    /// 0–23.
    pub facility: u8,
    /// Messages less important than this are not sent (0 emerg … 7 debug).
    pub level_max: u8,
    /// Messages more important than this are sent as this level.
    pub level_min: u8,
    /// `profile`: other lines for some moments.
    pub profile: Option<Arc<Profile>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogAddress {
    Udp(SocketAddr),
    /// A unix datagram socket such as `/dev/log`.
    Unix(PathBuf),
    /// As [`ServerAddress::Abstract`].
    Abstract(String),
    /// An inherited or standard descriptor: `stdout` is 1, `stderr` 2, `fd@N` N.
    Descriptor(i32),
}

/// The header before a log line (`format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogEnvelope {
    Rfc3164,
    Rfc5424,
    Priority,
    Short,
    Timed,
    Iso,
    Raw,
    /// RFC 3164 without the host.
    #[default]
    Local,
}

/// Of each `period` messages those whose 1-based position lies in a range are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSample {
    pub ranges: Vec<(u32, u32)>,
    pub period: u32,
}
