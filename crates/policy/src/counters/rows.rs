//! The rows. A counter is one line here: variant, kind, exported name, meaning.

use super::{Counter, Kind, Row};

macro_rules! counters {
    ($(#[$about:meta])* $list:ident { $($variant:ident: $kind:ident $name:literal $help:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $list {
            $(#[doc = $help] $variant,)+
        }

        impl Counter for $list {
            const ROWS: &'static [Row] = &[
                $(Row { name: $name, help: $help, kind: Kind::$kind },)+
            ];

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

counters! {
    /// What a frontend counts.
    FrontendCounter {
        Connections: Count "conn_tot" "Connections accepted.",
        ConnectionRateMax: Peak "conn_rate_max" "Most connections accepted in one second.",
        DeniedConnections: Count "dcon" "Connections closed by `tcp-request connection` rules.",
        Sessions: Count "stot" "Sessions begun: connections that shook hands successfully.",
        SessionsMax: Maximum "smax" "Most sessions at once.",
        SessionRateMax: Peak "rate_max" "Most sessions begun in one second.",
        H1Sessions: Count "h1sess" "Sessions that began in HTTP/1.",
        H2Sessions: Count "h2sess" "Sessions that spoke HTTP/2, from the beginning or later.",
        DeniedSessions: Count "dses" "Sessions closed by `tcp-request session` rules.",
        TlsHandshakes: Count "ssl_sess" "Handshakes of TLS that came about.",
        TlsSessions: Level "CurrSslConns" "Connections with TLS now.",
        TlsResumed: Count "ssl_reused_sess" "Those that resumed an earlier session.",
        TlsFailures: Count "ssl_failed_handshake" "Handshakes of TLS that did not come about.",
        BytesIn: Count "bin" "Bytes received from clients.",
        BytesOut: Count "bout" "Bytes sent to clients.",
        SplicedIn: Count "h1_spliced_bytes_in" "Bytes of clients that the kernel has moved by itself.",
        SplicedOut: Count "h1_spliced_bytes_out" "Bytes to clients that the kernel has moved by itself.",
        Requests: Count "req_tot" "HTTP requests received.",
        H2Requests: Count "h2req" "Those of them that came in HTTP/2.",
        RequestRateMax: Peak "req_rate_max" "Most HTTP requests received in one second.",
        RequestErrors: Count "ereq" "Requests that were malformed, incomplete or late.",
        DeniedRequests: Count "dreq" "Requests refused by rules.",
        DeniedResponses: Count "dresp" "Responses refused by rules.",
        Intercepted: Count "intercepted" "Requests answered here, without a server.",
        FailedRewrites: Count "wrew" "Headers that could not be changed as rules asked.",
        Responses1xx: Count "hrsp_1xx" "Responses with status 100 to 199.",
        Responses2xx: Count "hrsp_2xx" "Responses with status 200 to 299.",
        Responses3xx: Count "hrsp_3xx" "Responses with status 300 to 399.",
        Responses4xx: Count "hrsp_4xx" "Responses with status 400 to 499.",
        Responses5xx: Count "hrsp_5xx" "Responses with status 500 to 599.",
        ResponsesOther: Count "hrsp_other" "Exchanges that ended with another status or none.",
        InternalErrors: Count "eint" "Exchanges ended by a mistake of ours.",
    }
}

counters! {
    /// What a backend counts.
    BackendCounter {
        SessionsNow: Level "scur" "Exchanges and tunnels in this backend now, waiting ones included.",
        SessionsPeak: Peak "smax" "Most exchanges and tunnels at once.",
        Sessions: Count "stot" "Exchanges and tunnels directed to this backend.",
        SessionRateMax: Peak "rate_max" "Most exchanges and tunnels begun in one second.",
        LastSession: Maximum "lastsess" "When the last exchange or tunnel began, in seconds since 1970; shown as an age.",
        QueueMax: Maximum "qmax" "Most requests waiting at once.",
        BytesIn: Count "bin" "Bytes received from clients.",
        BytesOut: Count "bout" "Bytes sent to clients.",
        SplicedIn: Count "h1_spliced_bytes_in" "Bytes of servers that the kernel has moved by itself.",
        SplicedOut: Count "h1_spliced_bytes_out" "Bytes to servers that the kernel has moved by itself.",
        Requests: Count "req_tot" "HTTP requests directed to this backend.",
        DeniedRequests: Count "dreq" "Requests refused by rules.",
        DeniedResponses: Count "dresp" "Responses refused by rules.",
        ConnectionErrors: Count "econ" "Requests that reached no server.",
        ResponseErrors: Count "eresp" "Responses that were malformed, incomplete or late.",
        Retries: Count "wretr" "Attempts beyond the first.",
        Redispatches: Count "wredis" "Requests sent to another server than the one first chosen.",
        Balanced: Count "lbtot" "Requests for which the balancing algorithm chose a server.",
        ConnectionAttempts: Count "connect" "Connections to servers attempted.",
        ConnectionReuses: Count "reuse" "Requests sent on connections that had been idle.",
        ClientAborts: Count "cli_abrt" "Transfers broken off by clients.",
        ServerAborts: Count "srv_abrt" "Transfers broken off by servers.",
        FailedRewrites: Count "wrew" "Headers that could not be changed as rules asked.",
        Responses1xx: Count "hrsp_1xx" "Responses with status 100 to 199.",
        Responses2xx: Count "hrsp_2xx" "Responses with status 200 to 299.",
        Responses3xx: Count "hrsp_3xx" "Responses with status 300 to 399.",
        Responses4xx: Count "hrsp_4xx" "Responses with status 400 to 499.",
        Responses5xx: Count "hrsp_5xx" "Responses with status 500 to 599.",
        ResponsesOther: Count "hrsp_other" "Exchanges that ended with another status or none.",
        QueueTime: Average "qtime" "Time in queues, in milliseconds, over the last 1,024.",
        ConnectTime: Average "ctime" "Time to connect, in milliseconds, over the last 1,024.",
        ResponseTime: Average "rtime" "Time to the response's head, in milliseconds, over the last 1,024.",
        TotalTime: Average "ttime" "Time from request to end, in milliseconds, over the last 1,024.",
        QueueTimeMax: Maximum "qtime_max" "Longest time in queues, in milliseconds.",
        ConnectTimeMax: Maximum "ctime_max" "Longest time to connect, in milliseconds.",
        ResponseTimeMax: Maximum "rtime_max" "Longest time to a response's head, in milliseconds.",
        TotalTimeMax: Maximum "ttime_max" "Longest time from request to end, in milliseconds.",
        InternalErrors: Count "eint" "Exchanges ended by a mistake of ours.",
    }
}

counters! {
    /// What a server counts; how many exchanges it has now is in [`crate::live::ServerLive`].
    ServerCounter {
        SessionsMax: Maximum "smax" "Most exchanges and tunnels at once.",
        Sessions: Count "stot" "Exchanges and tunnels sent to this server.",
        SessionRateMax: Peak "rate_max" "Most exchanges and tunnels begun in one second.",
        LastSession: Maximum "lastsess" "When the last exchange or tunnel began, in seconds since 1970; shown as an age.",
        QueueMax: Maximum "qmax" "Most requests waiting for this server at once.",
        BytesIn: Count "bin" "Bytes received from clients.",
        BytesOut: Count "bout" "Bytes sent to clients.",
        Requests: Count "req_tot" "HTTP requests sent to this server.",
        DeniedResponses: Count "dresp" "Responses refused by rules.",
        ConnectionErrors: Count "econ" "Connections that could not be made.",
        ResponseErrors: Count "eresp" "Responses that were malformed, incomplete or late.",
        Retries: Count "wretr" "Attempts that failed here and were repeated.",
        Redispatches: Count "wredis" "Requests that were sent to another server after failing here.",
        Balanced: Count "lbtot" "Requests for which the balancing algorithm chose this server.",
        ConnectionAttempts: Count "connect" "Connections attempted.",
        ConnectionReuses: Count "reuse" "Requests sent on connections that had been idle.",
        ClientAborts: Count "cli_abrt" "Transfers broken off by clients.",
        ServerAborts: Count "srv_abrt" "Transfers broken off by this server.",
        FailedRewrites: Count "wrew" "Headers that could not be changed as rules asked.",
        Responses1xx: Count "hrsp_1xx" "Responses with status 100 to 199.",
        Responses2xx: Count "hrsp_2xx" "Responses with status 200 to 299.",
        Responses3xx: Count "hrsp_3xx" "Responses with status 300 to 399.",
        Responses4xx: Count "hrsp_4xx" "Responses with status 400 to 499.",
        Responses5xx: Count "hrsp_5xx" "Responses with status 500 to 599.",
        ResponsesOther: Count "hrsp_other" "Exchanges that ended with another status or none.",
        QueueTime: Average "qtime" "Time in queues, in milliseconds, over the last 1,024.",
        ConnectTime: Average "ctime" "Time to connect, in milliseconds, over the last 1,024.",
        ResponseTime: Average "rtime" "Time to the response's head, in milliseconds, over the last 1,024.",
        TotalTime: Average "ttime" "Time from request to end, in milliseconds, over the last 1,024.",
        QueueTimeMax: Maximum "qtime_max" "Longest time in queues, in milliseconds.",
        ConnectTimeMax: Maximum "ctime_max" "Longest time to connect, in milliseconds.",
        ResponseTimeMax: Maximum "rtime_max" "Longest time to a response's head, in milliseconds.",
        TotalTimeMax: Maximum "ttime_max" "Longest time from request to end, in milliseconds.",
        InternalErrors: Count "eint" "Exchanges ended by a mistake of ours.",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn check<C: Counter>() {
        let names: BTreeSet<_> = C::ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), C::ROWS.len(), "a name is taken twice");
        for row in C::ROWS {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            assert!(
                !row.name.is_empty() && row.name.chars().all(word),
                "{}",
                row.name
            );
            assert!(row.help.ends_with('.'), "{}", row.help);
        }
    }

    #[test]
    fn names_are_unique() {
        check::<FrontendCounter>();
        check::<BackendCounter>();
        check::<ServerCounter>();
    }
}
