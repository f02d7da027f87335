//! Formats written as HAProxy's ready-made lines are defined yield those lines, whatever the record says.

use proptest::prelude::*;

use super::{Encoding, Format, STANDARD_FORMATS};
use crate::log::{
    Cause, Dates, Endpoint, Load, Phase, Queued, Record, RequestLine, Termination, Timers,
    WallTime, format,
};
use crate::model::{LogFormat, Mode};
use crate::testing::Bench;

/// The ready-made lines, and the variables that stand for them (manual, section 8.2).
const LINES: [(LogFormat, &str); 5] = [
    (LogFormat::Http { clf: false }, "HAPROXY_HTTP_LOG_FMT"),
    (LogFormat::Http { clf: true }, "HAPROXY_HTTP_CLF_LOG_FMT"),
    (LogFormat::Https, "HAPROXY_HTTPS_LOG_FMT"),
    (LogFormat::Tcp { clf: false }, "HAPROXY_TCP_LOG_FMT"),
    (LogFormat::Tcp { clf: true }, "HAPROXY_TCP_CLF_LOG_FMT"),
];

/// The format of a variable.
fn standard(variable: &str) -> &'static str {
    let mut known = STANDARD_FORMATS.into_iter();
    let found = known.find(|(name, _)| *name == variable);
    found.expect("a variable").1
}

fn record<'a>(numbers: &[u32; 16], target: &'a [u8], client: Endpoint) -> Record<'a> {
    let optional = |number: u32| (!number.is_multiple_of(3)).then_some(number);
    Record {
        mode: Mode::Http,
        client,
        frontend: "web",
        backend: "app",
        server: numbers[0].is_multiple_of(2).then_some("s1"),
        accepted: WallTime {
            unix_s: u64::from(numbers[1]),
            micros: numbers[2] % 1_000_000,
        },
        timers: Timers {
            handshake_ms: numbers[3] % 9_999,
            idle_ms: numbers[4] % 9_999,
            request_ms: optional(numbers[5]),
            queue_ms: optional(numbers[6]),
            connect_ms: optional(numbers[7]),
            response_ms: optional(numbers[8]),
            active_ms: numbers[9],
        },
        status: Some((numbers[10] % 600) as u16),
        bytes_sent: u64::from(numbers[11]),
        bytes_received: u64::from(numbers[12]),
        request: (!numbers[13].is_multiple_of(4)).then_some(RequestLine {
            method: b"GET",
            target,
            version: b"HTTP/1.1",
            bytes_max: 2_000,
        }),
        termination: Termination::new(Cause::ServerAborted, Phase::Headers),
        load: Load {
            process: numbers[14],
            ..Load::default()
        },
        retries: numbers[15] % 4,
        redispatched: numbers[15] % 8 > 3,
        queued: Queued {
            server: numbers[14] % 5,
            backend: numbers[15] % 5,
        },
        partial: !numbers[15].is_multiple_of(2),
        ..Record::default()
    }
}

fn custom(bench: &Bench, format: &Format, record: &Record<'_>) -> String {
    let mut out = Vec::new();
    bench.with_record(record, |context| format.write(context, &mut out));
    String::from_utf8(out).expect("ASCII")
}

proptest! {
    #[test]
    fn ready_made_lines_are_formats(
        numbers: [u32; 16],
        target in proptest::collection::vec(any::<u8>(), 0..20),
        unix: bool,
        captures in proptest::collection::vec(proptest::option::of("[ -~]{0,5}"), 0..3),
    ) {
        let mut bench = Bench::default();
        let client = match unix {
            true => Endpoint::Unix { bind: 7 },
            false => Endpoint::Inet("192.0.2.1:4711".parse().unwrap()),
        };
        if unix {
            bench.session.source = None;
        }
        let captured = captures.iter().map(|text| text.as_deref().map(|text| text.as_bytes().into()));
        bench.exchange.request_captures = captured.collect();
        bench.exchange.response_captures.clone_from(&bench.exchange.request_captures);
        let texts: Vec<_> = captures.iter().map(|text| text.as_deref().unwrap_or("").as_bytes()).collect();
        let record = Record {
            request_captures: &texts,
            response_captures: &texts,
            ..record(&numbers, &target, client)
        };
        for (ready, variable) in LINES {
            let text = standard(variable);
            let mut line = Vec::new();
            format(&ready, &record, &mut Dates::default(), &mut line);
            let line = String::from_utf8(line).expect("ASCII");
            prop_assert_eq!(custom(&bench, &bench.read(text, Encoding::Log), &record), line, "{}", variable);
        }
    }
}

#[test]
fn names_that_no_ready_made_line_has() {
    let bench = Bench::default();
    let numbers = [
        2,
        1_000_000_000,
        5_000,
        1,
        2,
        4,
        5,
        7,
        8,
        60,
        200,
        9,
        8,
        1,
        3,
        0,
    ];
    let record = Record {
        server_address: "127.0.0.1:80".parse().ok(),
        server_source: "127.0.0.1:5000".parse().ok(),
        logged: 26,
        ..record(&numbers, b"http://h/a%20b?c=d?e", Endpoint::Unknown)
    };
    for (format, expected) in [
        (
            "%HM %HU %HP %HPO %HQ %HV",
            "GET http://h/a%20b?c=d?e http://h/a%20b /a%20b ?c=d?e HTTP/1.1",
        ),
        ("%Tq %Td %Tu %Tl", "7 36 61 09/Sep/2001:01:46:40 +0000"),
        ("%Ts %{+X}Ts %ms %{+X}ms", "1000000000 3B9ACA00 005 05"),
        (
            "%bi:%bp %si:%sp %{+X}sp",
            "127.0.0.1:5000 127.0.0.1:80 0050",
        ),
        ("%lc %{+X}lc %rt %pid %H", "26 001A 0 0 -"),
        ("%OG %ID %trl", "unspec - 09/Sep/2001:01:46:40 +0000"),
        (
            "%{+json}o %(a)ms%(b)Tt%(c)rc%(d)t",
            r#"{"a": 5, "b": 63, "c": 0, "d": "09/Sep/2001:01:46:40.005"}"#,
        ),
        ("%{+cbor}o %(a)lc", "BF61 61181AFF"),
    ] {
        let expected = if format.contains("cbor") {
            expected.replace(' ', "")
        } else {
            expected.to_owned()
        };
        assert_eq!(
            custom(&bench, &bench.read(format, Encoding::Log), &record),
            expected,
            "{format}"
        );
    }
}
