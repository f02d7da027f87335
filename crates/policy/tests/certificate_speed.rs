//! What it costs to find the certificate for a name among ten thousand. Prints; asserts nothing about time.
//!
//! `cargo test --release -p plimsoll-policy --test certificate_speed -- --ignored --nocapture`

use std::hint::black_box;
use std::time::Instant;

use plimsoll_policy::tls::KeyKind;
use plimsoll_policy::tls::names::{Names, Verifies};

const CERTIFICATES: usize = 10_000;
/// Lookups that are timed together.
const ROUND: usize = 1_000;
const ROUNDS: usize = 50;

const CLIENT: Verifies = Verifies {
    ecdsa: true,
    rsa: true,
};

/// Nanoseconds for each of `ROUND` picks, in the best round of all: the others were disturbed.
fn best_ns(names: &Names, asked: &[String]) -> f64 {
    let round = |round: usize| {
        let start = Instant::now();
        for number in round * ROUND..(round + 1) * ROUND {
            // In an order that memory cannot guess.
            let name = &asked[number.wrapping_mul(7_919) % asked.len()];
            black_box(names.pick(black_box(Some(name)), CLIENT, true));
        }
        start.elapsed().as_nanos() as f64 / ROUND as f64
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

#[test]
#[ignore = "it measures"]
#[expect(clippy::print_stdout, reason = "the point of it")]
fn ten_thousand_certificates() {
    let exact: Vec<_> = (0..CERTIFICATES)
        .map(|number| format!("host{number}.example.net"))
        .collect();
    let mut names = Names::default();
    for (index, name) in exact.iter().enumerate() {
        let wild = format!("*.{name}");
        let both = [name.as_str(), wild.as_str()];
        names.add(index, KeyKind::Ecdsa, both.into_iter(), &[]);
    }
    let below: Vec<_> = exact.iter().map(|name| format!("www.{name}")).collect();
    let unknown: Vec<_> = exact.iter().map(|name| format!("{name}.org")).collect();
    for asked in [&exact, &below] {
        let found = asked.iter().enumerate();
        let mut found = found.map(|(index, name)| (index, names.pick(Some(name), CLIENT, true)));
        assert!(found.all(|(index, picked)| picked == Some(index)));
    }
    let [exact, below, unknown] = [&exact, &below, &unknown].map(|asked| best_ns(&names, asked));
    println!("exact {exact:.0} ns, by wildcard {below:.0} ns, unknown {unknown:.0} ns");
}
