//! What lists of a hundred thousand patterns cost: to load, to search, to change. Prints; asserts nothing about time.
//!
//! `cargo test --release -p plimsoll-policy --test pattern_speed -- --ignored --nocapture`

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant;

use plimsoll_policy::pattern::{Method, Search, Use, file_list};
use plimsoll_policy::value::Value;

const ENTRIES: u32 = 100_000;
const LOOKUPS: u32 = 200_000;
/// Keys that are looked for again and again, in the second measurement.
const HOT: u32 = 1_000;
/// Lookups that are timed together.
const ROUND: u32 = 1_000;

/// Numbers in no order that memory could guess.
fn scattered(number: u32) -> u32 {
    number.wrapping_mul(2_654_435_761)
}

/// A key of a map, of many different lengths, and a text that finds it.
fn key(method: Method, number: u32) -> (String, String) {
    let mixed = scattered(number);
    let name = format!(
        "{mixed:x}{}",
        "abcdefghijklmnopqrstuvwxyz"
            .split_at(number as usize % 26)
            .0
    );
    match method {
        Method::Prefix => {
            let key = format!("/{name}/");
            let text = format!("{key}and/more?of=it");
            (key, text)
        }
        Method::Suffix => {
            let key = format!(".{name}.example");
            let text = format!("www.{name}.example");
            (key, text)
        }
        Method::Directory => (name.clone(), format!("/some/{name}/file.html")),
        Method::Domain => {
            let key = format!("{name}.example");
            let text = format!("www.{key}:8080");
            (key, text)
        }
        Method::Ip => {
            let address = Ipv4Addr::from_bits(mixed);
            let length = 12 + number % 21;
            (format!("{address}/{length}"), address.to_string())
        }
        Method::Integer => (mixed.to_string(), mixed.to_string()),
        _ => (name.clone(), name),
    }
}

fn value(method: Method, text: &str) -> Value<'_> {
    match method {
        Method::Ip => Value::Address(text.parse().expect("an address")),
        Method::Integer => Value::Integer(text.parse().expect("a number")),
        _ => Value::text(text.as_bytes()),
    }
}

fn load(method: Method, text: &str) -> Search {
    let list = file_list("a.map", text.as_bytes(), true).expect("patterns");
    let used = Use {
        values: Some(plimsoll_policy::value::Type::Text),
        ..Use::patterns(method, false)
    };
    Search::new(list, used).expect("patterns of this kind")
}

/// Nanoseconds for each of `ROUND` pieces of work, in the best round of all: the others were disturbed.
fn best_ns(rounds: u32, mut work: impl FnMut(u32)) -> f64 {
    let mut best_ns = f64::INFINITY;
    for round in 0..rounds {
        let start = Instant::now();
        (round * ROUND..(round + 1) * ROUND).for_each(&mut work);
        best_ns = best_ns.min(start.elapsed().as_nanos() as f64 / f64::from(ROUND));
    }
    best_ns
}

fn load_ms(method: Method, text: &str) -> f64 {
    let times = (0..5).map(|_| {
        let start = Instant::now();
        let search = load(method, text);
        let elapsed = start.elapsed();
        drop(search);
        elapsed.as_secs_f64() * 1_000.0
    });
    times.fold(f64::INFINITY, f64::min)
}

#[expect(clippy::print_stdout, reason = "the point of it")]
fn measure(method: Method) {
    let pairs: Vec<_> = (0..ENTRIES).map(|number| key(method, number)).collect();
    let lines = pairs.iter().map(|(key, _)| format!("{key} value\n"));
    let text: String = lines.collect();
    let load_ms = load_ms(method, &text);
    let search = load(method, &text);
    // One after the other in memory: the text that one looks for is at hand.
    let texts = (0..LOOKUPS).map(|number| &*pairs[(scattered(number) % ENTRIES) as usize].1);
    let arena: String = texts.collect::<Vec<_>>().join("\n");
    let values: Vec<_> = arena.split('\n').map(|text| value(method, text)).collect();
    let mut found = 0;
    let hit_ns = best_ns(LOOKUPS / ROUND, |number| {
        let value = values[number as usize].borrowed();
        found += search
            .find(value, |entry| black_box(entry).id().min(1))
            .unwrap_or(0);
    });
    assert_eq!(found, u64::from(LOOKUPS), "{method:?} finds them all");
    let hot_ns = best_ns(LOOKUPS / ROUND, |number| {
        let value = values[(number % HOT) as usize].borrowed();
        black_box(search.find(value, |entry| black_box(entry).id()));
    });
    let missing = match method {
        Method::Ip => value(method, "0.0.0.1"),
        Method::Integer => value(method, "-1"),
        _ => Value::text(b"/nothing/that/any.map.would/have?it=at&all=x"),
    };
    let miss_ns = best_ns(LOOKUPS / ROUND, |_| {
        black_box(search.matches(black_box(missing.borrowed())));
    });
    let edit_ns = best_ns(10, |number| {
        let key = pairs[(scattered(number) % ENTRIES) as usize].0.as_bytes();
        let set = search.list.edit(|editor| editor.set(key, b"other"));
        assert_eq!(set, Ok(true));
    });
    println!(
        "{:<4} load {load_ms:>4.0} ms, any {hit_ns:>4.0} ns, of {HOT} {hot_ns:>4.0} ns, none {miss_ns:>4.0} ns, set {edit_ns:>6.0} ns",
        method.name()
    );
}

#[test]
#[ignore = "prints timings, which mean something in a release build on a quiet machine only"]
fn nanoseconds_per_lookup() {
    for method in [
        Method::Text,
        Method::Prefix,
        Method::Suffix,
        Method::Directory,
        Method::Domain,
        Method::Ip,
        Method::Integer,
    ] {
        measure(method);
    }
}
