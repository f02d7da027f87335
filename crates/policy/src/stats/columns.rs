//! The columns of `show stat`, in the order that scripts count on: names and positions are HAProxy's.

macro_rules! columns {
    ($($variant:ident $name:literal $help:literal,)+) => {
        /// A column: its discriminant is its position.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Column {
            $(#[doc = $help] $variant,)+
        }

        impl Column {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Where the columns of single modules begin, as HAProxy calls them: in CSV a mark stands before them.
            pub const FIRST_OF_MODULES: Self = Self::H2HeadersReceived;

            /// The name in headers.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// One sentence on what the column holds.
            pub fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => $help,)+
                }
            }
        }
    };
}

columns! {
    ProxyName "pxname" "The proxy's name.",
    ServiceName "svname" "FRONTEND, BACKEND, or the name of a server or listener.",
    QueueNow "qcur" "Requests waiting now.",
    QueueMax "qmax" "Most requests waiting at once.",
    SessionsNow "scur" "Sessions now.",
    SessionsMax "smax" "Most sessions at once.",
    SessionLimit "slim" "Most sessions allowed at once.",
    Sessions "stot" "Sessions in all.",
    BytesIn "bin" "Bytes received from clients.",
    BytesOut "bout" "Bytes sent to clients.",
    DeniedRequests "dreq" "Requests refused by rules.",
    DeniedResponses "dresp" "Responses refused by rules.",
    RequestErrors "ereq" "Requests that were malformed, incomplete or late.",
    ConnectionErrors "econ" "Requests that reached no server.",
    ResponseErrors "eresp" "Responses that were malformed, incomplete or late.",
    Retries "wretr" "Attempts beyond the first.",
    Redispatches "wredis" "Requests moved to another server.",
    Status "status" "OPEN, UP, DOWN, MAINT and the like.",
    Weight "weight" "The effective weight, for a backend the sum of its usable servers.",
    Active "act" "Whether a server is active; for a backend how many usable ones are.",
    Backup "bck" "Whether a server is a backup; for a backend how many usable ones are.",
    ChecksFailed "chkfail" "Failed health checks.",
    TimesDown "chkdown" "Changes from up to down.",
    LastChange "lastchg" "Seconds since the state last changed.",
    Downtime "downtime" "Seconds spent down.",
    QueueLimit "qlimit" "Most requests that may wait.",
    Process "pid" "The process, always 1.",
    ProxyNumber "iid" "The proxy's number.",
    ServiceNumber "sid" "The number of the server or listener.",
    Throttle "throttle" "Share of the weight while warming up, in per cent.",
    Balanced "lbtot" "Requests for which the balancing algorithm chose this one.",
    Tracked "tracked" "The server whose health this one follows.",
    Kind "type" "0 frontend, 1 backend, 2 server, 3 listener.",
    Rate "rate" "Sessions begun in the last second.",
    RateLimit "rate_lim" "Most sessions per second allowed.",
    RateMax "rate_max" "Most sessions begun in one second.",
    CheckStatus "check_status" "Outcome of the last health check.",
    CheckCode "check_code" "Status code of the last health check.",
    CheckDuration "check_duration" "How long the last health check took, in milliseconds.",
    Responses1xx "hrsp_1xx" "Responses with status 100 to 199.",
    Responses2xx "hrsp_2xx" "Responses with status 200 to 299.",
    Responses3xx "hrsp_3xx" "Responses with status 300 to 399.",
    Responses4xx "hrsp_4xx" "Responses with status 400 to 499.",
    Responses5xx "hrsp_5xx" "Responses with status 500 to 599.",
    ResponsesOther "hrsp_other" "Exchanges that ended with another status or none.",
    AnalysisFailed "hanafail" "Failed observations of live traffic.",
    RequestRate "req_rate" "HTTP requests in the last second.",
    RequestRateMax "req_rate_max" "Most HTTP requests in one second.",
    Requests "req_tot" "HTTP requests in all.",
    ClientAborts "cli_abrt" "Transfers broken off by clients.",
    ServerAborts "srv_abrt" "Transfers broken off by servers.",
    CompressedIn "comp_in" "Bytes given to compression.",
    CompressedOut "comp_out" "Bytes that compression made of them.",
    CompressionBypassed "comp_byp" "Bytes that went past compression.",
    ResponsesCompressed "comp_rsp" "Responses that were compressed.",
    LastSession "lastsess" "Seconds since the last session began; -1 when there was none.",
    LastCheck "last_chk" "What the last health check said.",
    LastAgent "last_agt" "What the last agent check said.",
    QueueTime "qtime" "Mean time in queues over the last 1,024, in milliseconds.",
    ConnectTime "ctime" "Mean time to connect over the last 1,024, in milliseconds.",
    ResponseTime "rtime" "Mean time to the response over the last 1,024, in milliseconds.",
    TotalTime "ttime" "Mean time in all over the last 1,024, in milliseconds.",
    AgentStatus "agent_status" "Outcome of the last agent check.",
    AgentCode "agent_code" "Code of the last agent check.",
    AgentDuration "agent_duration" "How long the last agent check took, in milliseconds.",
    CheckText "check_desc" "The outcome of the last health check, in words.",
    AgentText "agent_desc" "The outcome of the last agent check, in words.",
    CheckRise "check_rise" "Good checks in a row that bring a server up.",
    CheckFall "check_fall" "Bad checks in a row that take a server down.",
    CheckHealth "check_health" "Where the server stands between down and up.",
    AgentRise "agent_rise" "Good agent checks in a row that bring a server up.",
    AgentFall "agent_fall" "Bad agent checks in a row that take a server down.",
    AgentHealth "agent_health" "Where the agent stands between down and up.",
    Address "addr" "The server's address; shown to operators only.",
    Cookie "cookie" "The server's cookie; shown to operators only.",
    Mode "mode" "http or tcp.",
    Algorithm "algo" "The balancing algorithm; shown to operators only.",
    ConnectionRate "conn_rate" "Connections accepted in the last second.",
    ConnectionRateMax "conn_rate_max" "Most connections accepted in one second.",
    Connections "conn_tot" "Connections accepted in all.",
    Intercepted "intercepted" "Requests answered here, without a server.",
    DeniedConnections "dcon" "Connections closed by connection rules.",
    DeniedSessions "dses" "Connections closed by session rules.",
    FailedRewrites "wrew" "Headers that could not be changed as rules asked.",
    ConnectionAttempts "connect" "Connections to servers attempted.",
    ConnectionReuses "reuse" "Requests sent on connections that had been idle.",
    CacheLookups "cache_lookups" "Requests looked up in the cache.",
    CacheHits "cache_hits" "Requests answered from the cache.",
    IdleNow "srv_icur" "Idle connections to the server.",
    IdleLimit "src_ilim" "Most idle connections kept to the server.",
    QueueTimeMax "qtime_max" "Longest time in queues, in milliseconds.",
    ConnectTimeMax "ctime_max" "Longest time to connect, in milliseconds.",
    ResponseTimeMax "rtime_max" "Longest time to the response, in milliseconds.",
    TotalTimeMax "ttime_max" "Longest time in all, in milliseconds.",
    InternalErrors "eint" "Exchanges ended by a mistake of ours.",
    UnsafeIdle "idle_conn_cur" "Idle connections that are not known to be safe.",
    SafeIdle "safe_conn_cur" "Idle connections known to be safe.",
    ConnectionsUsed "used_conn_cur" "Connections in use.",
    ConnectionsNeeded "need_conn_est" "Connections thought to be needed.",
    UserWeight "uweight" "The weight given by the configuration or an operator.",
    AggregatedServerStatus "agg_server_status" "Servers of the backend by status; for exporters.",
    AggregatedServerCheckStatus "agg_server_check_status" "The same under its older name.",
    AggregatedCheckStatus "agg_check_status" "Servers of the backend by outcome of their checks; for exporters.",
    ServerRevision "srid" "Rises when a server's number is used again.",
    OtherSessions "sess_other" "Sessions that spoke no HTTP.",
    H1Sessions "h1sess" "HTTP/1 sessions.",
    H2Sessions "h2sess" "HTTP/2 sessions.",
    H3Sessions "h3sess" "HTTP/3 sessions.",
    OtherRequests "req_other" "Requests that were not HTTP.",
    H1Requests "h1req" "HTTP/1 requests.",
    H2Requests "h2req" "HTTP/2 requests.",
    H3Requests "h3req" "HTTP/3 requests.",
    Protocol "proto" "What a listener listens with.",
    PrivateIdle "priv_idle_cur" "Idle connections that belong to one client.",
    RequestBytesIn "reqbin" "Bytes of requests received.",
    RequestBytesOut "reqbout" "Bytes of requests sent on.",
    ResponseBytesIn "resbin" "Bytes of responses received.",
    ResponseBytesOut "resbout" "Bytes of responses sent on.",
    CacheHintHits "cache_hint_hits" "Early hints sent from the cache.",
    H2HeadersReceived "h2_headers_rcvd" "HEADERS frames received.",
    H2DataReceived "h2_data_rcvd" "DATA frames received.",
    H2SettingsReceived "h2_settings_rcvd" "SETTINGS frames received.",
    H2ResetsReceived "h2_rst_stream_rcvd" "RST_STREAM frames received.",
    H2GoawaysReceived "h2_goaway_rcvd" "GOAWAY frames received.",
    H2ConnectionErrors "h2_detected_conn_protocol_errors" "Faults of peers that ended connections.",
    H2StreamErrors "h2_detected_strm_protocol_errors" "Faults of peers that ended streams.",
    H2ResetsSent "h2_rst_stream_resp" "RST_STREAM frames sent.",
    H2GoawaysSent "h2_goaway_resp" "GOAWAY frames sent.",
    H2ConnectionsNow "h2_open_connections" "HTTP/2 connections now.",
    H2StreamsNow "h2_backend_open_streams" "HTTP/2 streams now.",
    H2Connections "h2_total_connections" "HTTP/2 connections in all.",
    H2Streams "h2_backend_total_streams" "HTTP/2 streams in all.",
    TlsHandshakes "ssl_sess" "Handshakes of TLS that came about.",
    TlsResumed "ssl_reused_sess" "Those that resumed an earlier session.",
    TlsFailures "ssl_failed_handshake" "Handshakes of TLS that did not come about.",
    TlsStaples "ssl_ocsp_staple" "Handshakes with a stapled OCSP response.",
    TlsStaplesMissing "ssl_failed_ocsp_staple" "Handshakes for which a stapled OCSP response was asked in vain.",
    H1ConnectionsNow "h1_open_connections" "HTTP/1 connections now.",
    H1StreamsNow "h1_open_streams" "HTTP/1 exchanges now.",
    H1Connections "h1_total_connections" "HTTP/1 connections in all.",
    H1Streams "h1_total_streams" "HTTP/1 exchanges in all.",
    H1BytesIn "h1_bytes_in" "Bytes received in HTTP/1.",
    H1BytesOut "h1_bytes_out" "Bytes sent in HTTP/1.",
    H1SplicedIn "h1_spliced_bytes_in" "Bytes received that the kernel has moved by itself.",
    H1SplicedOut "h1_spliced_bytes_out" "Bytes sent that the kernel has moved by itself.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_the_ones_scripts_use() {
        for (column, position) in [
            (Column::ProxyName, 0),
            (Column::Sessions, 7),
            (Column::Status, 17),
            (Column::ServiceNumber, 28),
            (Column::Responses2xx, 40),
            (Column::LastSession, 55),
            (Column::Mode, 75),
            (Column::UserWeight, 99),
            (Column::CacheHintHits, 118),
            (Column::FIRST_OF_MODULES, 119),
            (Column::TlsHandshakes, 132),
            (Column::H1SplicedOut, 144),
        ] {
            assert_eq!(column as usize, position, "{}", column.name());
        }
        for (index, column) in Column::ALL.iter().enumerate() {
            assert_eq!(*column as usize, index);
        }
    }
}
