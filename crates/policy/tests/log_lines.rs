//! Log lines: each field, each format, and what hostile text may not do.

use std::net::{Ipv4Addr, SocketAddr};

use plimsoll_policy::log::{
    Cause, Dates, Endpoint, Level, Load, Moment, Phase, Queued, Record, RequestLine, Termination,
    Timers, WallTime, admit, format, format_error, is_abnormal, moment, sample_takes,
    traffic_level,
};
use plimsoll_policy::model::{
    LogAddress, LogEnvelope, LogFormat, LogSample, LogSettings, LogTarget, Mode,
};
use proptest::prelude::*;

const HTTP: LogFormat = LogFormat::Http { clf: false };
const CLF: LogFormat = LogFormat::Http { clf: true };

fn inet(address: &str) -> Endpoint {
    Endpoint::Inet(address.parse().expect("an address and a port"))
}

fn record() -> Record<'static> {
    Record {
        mode: Mode::Http,
        client: inet("10.0.1.2:33317"),
        local: inet("10.0.3.31:8012"),
        frontend: "web",
        bind_number: 1,
        secure: false,
        tls: None,
        backend: "static",
        server: Some("s1"),
        accepted: WallTime {
            unix_s: 1_795_230_057,
            micros: 655_021,
        },
        timers: Timers {
            request_ms: Some(10),
            queue_ms: Some(0),
            connect_ms: Some(30),
            response_ms: Some(69),
            active_ms: 109,
            ..Timers::default()
        },
        status: Some(200),
        bytes_sent: 2_750,
        bytes_received: 120,
        request: Some(RequestLine {
            method: b"GET",
            target: b"/index.html",
            version: b"HTTP/1.1",
            bytes_max: 1_023,
        }),
        request_cookie: None,
        response_cookie: None,
        request_captures: &[],
        response_captures: &[],
        termination: Termination::NORMAL,
        load: Load {
            process: 1,
            frontend: 2,
            backend: 3,
            server: 4,
        },
        retries: 0,
        redispatched: false,
        queued: Queued::default(),
        partial: false,
        ..Record::default()
    }
}

fn line(form: &LogFormat, record: &Record<'_>) -> String {
    let mut out = Vec::new();
    format(form, record, &mut Dates::default(), &mut out);
    String::from_utf8(out).expect("lines are ASCII")
}

#[test]
fn the_http_line() {
    assert_eq!(
        line(&HTTP, &record()),
        "10.0.1.2:33317 [21/Nov/2026:03:00:57.655] web static/s1 10/0/30/69/109 200 2750 - - ---- \
         1/2/3/4/0 0/0 \"GET /index.html HTTP/1.1\""
    );
}

#[test]
fn the_http_line_of_a_failure() {
    let failed = Record {
        secure: true,
        tls: None,
        backend: "web",
        server: None,
        timers: Timers {
            handshake_ms: 2,
            idle_ms: 343,
            active_ms: 5_000,
            ..Timers::default()
        },
        status: None,
        request: None,
        request_cookie: Some(b"SID=1"),
        request_captures: &[b"a.example", b"", b"x{y|z}"],
        response_captures: &[b"12"],
        termination: Termination::new(Cause::ClientTimeout, Phase::Request),
        retries: 3,
        redispatched: true,
        queued: Queued {
            server: 5,
            backend: 6,
        },
        partial: true,
        ..record()
    };
    assert_eq!(
        line(&HTTP, &failed),
        "10.0.1.2:33317 [21/Nov/2026:03:00:58.000] web~ web/<NOSRV> -1/-1/-1/-1/+5000 -1 +2750 SID=1 - \
         cR-- 1/2/3/4/+3 5/6 {a.example||x#7By#7Cz#7D} {12} \"<BADREQ>\""
    );
}

#[test]
fn the_clf_line() {
    let captured = Record {
        request_captures: &[b"a", b""],
        response_cookie: Some(b"S=\"1\""),
        ..record()
    };
    assert_eq!(
        line(&CLF, &captured),
        "10.0.1.2 - - [21/Nov/2026:03:00:57 +0000] \"GET /index.html HTTP/1.1\" 200 2750 \"\" \"\" 33317 655 \
         \"web\" \"static\" \"s1\" 10 0 30 69 109 ---- 1 2 3 4 0 0 0 \"\" \"S=#221#22\" \"a\" \"\" "
    );
}

#[test]
fn the_tcp_line() {
    let relayed = Record {
        mode: Mode::Tcp,
        timers: Timers {
            handshake_ms: 5,
            queue_ms: Some(0),
            connect_ms: None,
            active_ms: 5_002,
            ..Timers::default()
        },
        termination: Termination::new(Cause::ServerAborted, Phase::Connect),
        ..record()
    };
    assert_eq!(
        line(&LogFormat::Tcp { clf: false }, &relayed),
        "10.0.1.2:33317 [21/Nov/2026:03:00:57.655] web static/s1 0/-1/5007 2750 SC 1/2/3/4/0 0/0"
    );
}

#[test]
fn the_default_line() {
    let unix = Record {
        client: Endpoint::Unix { bind: 3 },
        mode: Mode::Tcp,
        ..record()
    };
    let unknown = Record {
        client: Endpoint::Unknown,
        ..record()
    };
    for (record, expected) in [
        (
            record(),
            "Connect from 10.0.1.2:33317 to 10.0.3.31:8012 (web/HTTP)",
        ),
        (unix, "Connect to unix:3 (web/TCP)"),
        (
            unknown,
            "Connect from unknown source to listener 1 (web/HTTP)",
        ),
    ] {
        assert_eq!(line(&LogFormat::Connect, &record), expected);
    }
}

#[test]
fn the_error_line() {
    let mut out = Vec::new();
    let reason = "Timeout during SSL handshake";
    format_error(&record(), reason, &mut Dates::default(), &mut out);
    assert_eq!(
        String::from_utf8_lossy(&out),
        "10.0.1.2:33317 [21/Nov/2026:03:00:57.655] web/1: Timeout during SSL handshake"
    );
    let named = Record {
        bind: "public",
        ..record()
    };
    out.clear();
    format_error(&named, reason, &mut Dates::default(), &mut out);
    assert!(String::from_utf8_lossy(&out).contains(" web/public: "));
}

#[test]
fn clients_of_every_kind() {
    for (client, expected) in [
        (inet("[2001:db8::1]:443"), "2001:db8::1:443 "),
        (Endpoint::Unix { bind: 7 }, "unix:7 "),
        (Endpoint::Unknown, "-:- "),
    ] {
        let record = Record { client, ..record() };
        assert!(line(&HTTP, &record).starts_with(expected), "{expected}");
    }
}

#[test]
fn long_requests_are_cut() {
    let request = RequestLine {
        method: b"GET",
        target: b"/\"abc",
        version: b"HTTP/1.1",
        bytes_max: 7,
    };
    for (bytes_max, expected) in [
        (0, "\"\""),
        (3, "\"GET\""),
        (6, "\"GET /#22\""),
        (8, "\"GET /#22ab\""),
        (99, "\"GET /#22abc HTTP/1.1\""),
    ] {
        let cut = Record {
            request: Some(RequestLine {
                bytes_max,
                ..request
            }),
            ..record()
        };
        assert!(
            line(&HTTP, &cut).ends_with(&format!(" {expected}")),
            "{bytes_max}"
        );
    }
}

fn settings() -> LogSettings {
    LogSettings {
        targets: vec![target(7, 0)],
        format: HTTP,
        ..LogSettings::default()
    }
}

fn target(level_max: u8, level_min: u8) -> LogTarget {
    LogTarget {
        profile: None,
        address: LogAddress::Udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 514))),
        length_bytes: 1_024,
        format: LogEnvelope::Raw,
        sample: None,
        facility: 16,
        level_max,
        level_min,
    }
}

#[test]
fn what_is_abnormal() {
    let ended = |cause, phase| Record {
        termination: Termination::new(cause, phase),
        ..record()
    };
    let retried = Record {
        retries: 1,
        ..record()
    };
    let answered_here = Record {
        retries: 1,
        ..ended(Cause::Local, Phase::Request)
    };
    let server_error = Record {
        status: Some(503),
        ..record()
    };
    let not_found = Record {
        status: Some(404),
        ..record()
    };
    let tcp = Record {
        mode: Mode::Tcp,
        status: Some(503),
        ..record()
    };
    for (record, expected) in [
        (record(), false),
        (retried, true),
        (answered_here, false),
        (
            Record {
                redispatched: true,
                ..record()
            },
            true,
        ),
        (ended(Cause::ClientAborted, Phase::Data), true),
        (server_error, true),
        (not_found, false),
        (tcp, false),
    ] {
        assert_eq!(is_abnormal(&record), expected, "{record:?}");
    }
}

#[test]
fn who_is_logged_at_which_level() {
    let (normal, failed) = (
        record(),
        Record {
            status: Some(502),
            ..record()
        },
    );
    let empty = Record {
        bytes_received: 0,
        ..record()
    };
    let quiet = LogSettings {
        skip_normal: true,
        separate_errors: true,
        ..settings()
    };
    let (info, error) = (Some(Level::Info), Some(Level::Error));
    for (settings, ignore_empty, record, expected) in [
        (&settings(), false, &normal, info),
        (&settings(), false, &failed, info),
        (&settings(), true, &normal, info),
        (&settings(), true, &empty, None),
        (&settings(), false, &empty, info),
        (&quiet, false, &normal, None),
        (&quiet, false, &failed, error),
        (
            &LogSettings {
                targets: vec![],
                ..settings()
            },
            false,
            &failed,
            None,
        ),
        (
            &LogSettings {
                format: LogFormat::Connect,
                ..quiet.clone()
            },
            true,
            &empty,
            info,
        ),
    ] {
        assert_eq!(traffic_level(settings, ignore_empty, record), expected);
    }
}

#[test]
fn when_lines_are_written() {
    let early = LogSettings {
        as_soon_as_possible: true,
        ..settings()
    };
    assert_eq!(moment(&settings()), Moment::End);
    assert_eq!(moment(&early), Moment::Answer);
    assert_eq!(
        moment(&LogSettings {
            format: LogFormat::Connect,
            ..early
        }),
        Moment::Accept
    );
}

#[test]
fn targets_take_levels() {
    for (level_max, level_min, level, expected) in [
        (7, 0, Level::Debug, Some(Level::Debug)),
        (5, 0, Level::Info, None),
        (5, 0, Level::Notice, Some(Level::Notice)),
        (7, 5, Level::Alert, Some(Level::Notice)),
        (7, 5, Level::Info, Some(Level::Info)),
    ] {
        assert_eq!(admit(&target(level_max, level_min), level), expected);
    }
}

#[test]
fn samples_repeat() {
    let sample = LogSample {
        ranges: vec![(2, 3), (5, 5)],
        period: 5,
    };
    let taken: Vec<u64> = (0..10)
        .filter(|&position| sample_takes(&sample, position))
        .collect();
    assert_eq!(taken, [1, 2, 4, 6, 7, 9]);
}

/// `docs/logs.md` explains the same combinations in the same words.
#[test]
fn the_manual_shows_the_table_of_meanings() {
    let manual =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/logs.md"))
            .expect("docs/logs.md is part of the project");
    // States have two letters; other tables begin with longer words.
    let is_state = |line: &&str| line.starts_with("| `") && line.as_bytes().get(5) == Some(&b'`');
    let shown: Vec<&str> = manual.lines().filter(is_state).collect();
    let expected: Vec<String> = plimsoll_policy::log::MEANINGS
        .iter()
        .map(|row| {
            let letters = Termination::new(row.cause, row.phase).letters();
            format!("| `{}` | {} |", String::from_utf8_lossy(&letters), row.text)
        })
        .collect();
    assert_eq!(shown, expected);
}

proptest! {
    /// Whatever strangers send, a line stays one line of printable ASCII, and its quotation marks stay ours.
    #[test]
    fn lines_hold_no_raw_bytes(
        method: Vec<u8>,
        target: Vec<u8>,
        cookie: Vec<u8>,
        capture: Vec<u8>,
        name: String,
        bytes_max in 0_usize..100,
    ) {
        let captures = [&capture[..], &method[..]];
        let hostile = Record {
            frontend: &name,
            backend: &name,
            server: Some(&name),
            bind: &name,
            request: Some(RequestLine { method: &method, target: &target, version: &cookie, bytes_max }),
            request_cookie: Some(&cookie),
            response_cookie: Some(&cookie),
            request_captures: &captures,
            response_captures: &captures,
            ..record()
        };
        for form in [LogFormat::Connect, LogFormat::Tcp { clf: false }, HTTP, CLF] {
            let mut out = Vec::new();
            format(&form, &hostile, &mut Dates::default(), &mut out);
            format_error(&hostile, &name, &mut Dates::default(), &mut out);
            prop_assert!(out.iter().all(|byte| (32..=126).contains(byte)), "{:?}", form);
        }
        let clf = line(&CLF, &hostile);
        prop_assert_eq!(clf.matches('"').count(), 2 * (1 + 2 + 3 + 2 + 4));
    }
}
