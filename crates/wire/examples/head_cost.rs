//! What a head costs: nanoseconds to parse one, and to write it again.
//!
//! `cargo run --release -p plimsoll-wire --example head_cost`; the least of many rounds is printed, since disturbance only
//! ever adds.
#![allow(clippy::print_stdout, reason = "printing is what this example is for")]

use std::hint::black_box;
use std::time::Instant;

use plimsoll_wire::h1::encode::{self, Connection};
use plimsoll_wire::h1::response::Asked;
use plimsoll_wire::h1::{Limits, request, response};
use plimsoll_wire::head::Head;

const ROUNDS: usize = 200;
const PER_ROUND: usize = 2_000;

const TINY: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const TYPICAL: &[u8] = b"GET /api/v1/items/12345?expand=true&lang=en HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://www.example.com/items\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Cache-Control: max-age=0\r\n\
    If-None-Match: \"5f2b-17a\"\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx/1.22.1\r\n\
    Date: Sat, 21 Nov 2026 03:00:00 GMT\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 128\r\n\
    Last-Modified: Fri, 20 Nov 2026 03:00:00 GMT\r\n\
    Connection: keep-alive\r\n\
    ETag: \"673d0000-80\"\r\n\
    Accept-Ranges: bytes\r\n\r\n";

fn least_ns(mut work: impl FnMut()) -> f64 {
    let round = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        for _ in 0..PER_ROUND {
            work();
        }
        start.elapsed().as_nanos() as f64 / PER_ROUND as f64
    };
    (0..ROUNDS)
        .map(|_| round(&mut work))
        .fold(f64::MAX, f64::min)
}

fn main() {
    let limits = Limits::default();
    let (mut head, mut out) = (Head::default(), Vec::new());
    for (name, input) in [("tiny request", TINY), ("typical request", TYPICAL)] {
        let parse = least_ns(|| {
            let _ = black_box(request::parse(black_box(input), &mut head, &limits));
        });
        let encode = least_ns(|| {
            out.clear();
            encode::request(
                black_box(&head),
                Connection::Implied,
                head.framing,
                &mut out,
            );
        });
        println!(
            "{name}: {} bytes, parse {parse:.0} ns, encode {encode:.0} ns",
            input.len()
        );
    }
    let parse = least_ns(|| {
        let _ = black_box(response::parse(
            black_box(RESPONSE),
            &mut head,
            &limits,
            Asked::default(),
        ));
    });
    let encode = least_ns(|| {
        out.clear();
        encode::response(
            black_box(&head),
            Connection::Implied,
            head.framing,
            &mut out,
        );
    });
    println!(
        "response: {} bytes, parse {parse:.0} ns, encode {encode:.0} ns",
        RESPONSE.len()
    );
}
