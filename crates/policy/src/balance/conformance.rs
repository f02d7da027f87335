//! What holds for every row of [`ALGORITHMS`], and how the rows are read.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Span};
use proptest::prelude::*;

use super::draw::Draws;
use super::testing::farm;
use super::*;

/// What stands after `balance`, and what it means. Every row has at least one line here.
fn examples() -> Vec<(&'static str, BalanceSpec)> {
    let uri = |length, depth, whole, path_only| BalanceSpec::Uri {
        length,
        depth,
        whole,
        path_only,
    };
    let header = |use_domain_only| BalanceSpec::Header {
        name: "host".into(),
        use_domain_only,
    };
    let param = || BalanceSpec::UrlParam { name: "id".into() };
    let cookie = |name: &str| BalanceSpec::RdpCookie { name: name.into() };
    vec![
        ("roundrobin", BalanceSpec::RoundRobin),
        ("static-rr", BalanceSpec::StaticRoundRobin),
        ("leastconn", BalanceSpec::LeastConnections),
        ("first", BalanceSpec::First),
        ("random", BalanceSpec::Random { draws: 2 }),
        ("random()", BalanceSpec::Random { draws: 2 }),
        ("random(5)", BalanceSpec::Random { draws: 5 }),
        ("peak-ewma", BalanceSpec::PeakEwma),
        ("source", BalanceSpec::Source),
        ("uri", uri(None, None, false, false)),
        ("uri len 12 depth 3", uri(Some(12), Some(3), false, false)),
        ("uri whole path-only", uri(None, None, true, true)),
        ("url_param id", param()),
        ("url_param id check_post", param()),
        ("hdr(host)", header(false)),
        ("hdr(host) use_domain_only", header(true)),
        (
            "hash req.hdr(x),lower",
            BalanceSpec::Hash {
                expression: "req.hdr(x),lower".into(),
            },
        ),
        ("rdp-cookie", cookie("mstshash")),
        ("rdp-cookie(msts)", cookie("msts")),
    ]
}

/// Words with the spans they would have in a file of this one line.
fn words(line: &str) -> Vec<Word> {
    let mut start = 0;
    line.split(' ')
        .map(|text| {
            let span = Span {
                start,
                end: start + text.len() as u32,
                ..Span::default()
            };
            start = span.end + 1;
            Word::new(text, span)
        })
        .collect()
}

fn read_line<T>(
    line: &str,
    read: impl Fn(&mut Args<'_>) -> Result<T, Diagnostic>,
) -> Result<T, Diagnostic> {
    read(&mut Args::new(&words(line), Span::default()))
}

#[test]
fn rows_are_sorted_unique_and_documented() {
    let names: Vec<_> = ALGORITHMS.iter().map(|row| row.name).collect();
    assert!(names.is_sorted());
    let mut known = BTreeSet::new();
    for row in ALGORITHMS {
        assert!(known.insert((None, row.name)), "{}", row.name);
        for &(dialect, alias) in row.aliases {
            assert!(known.insert((Some(dialect as u8), alias)), "{alias}");
        }
        assert!(
            row.usage.starts_with(row.name) && row.doc.ends_with('.'),
            "{}",
            row.name
        );
        let has_example =
            |(line, _): &(&str, BalanceSpec)| line.split([' ', '(']).next() == Some(row.name);
        assert!(examples().iter().any(has_example), "{}", row.name);
    }
}

#[test]
fn lines_are_read() {
    for (line, expected) in examples() {
        assert_eq!(read_line(line, read), Ok(expected), "{line}");
    }
}

#[test]
fn mistakes_are_pointed_at() {
    // The line, and the bytes that the message is about.
    let cases = [
        ("roundrobbin", 0..11),
        ("roundrobin(2)", 0..13),
        ("random(0)", 0..9),
        ("random(x)", 0..9),
        ("random(2", 0..8),
        ("uri depth 0", 10..11),
        ("uri len", 7..7),
        ("uri wole", 4..8),
        ("url_param", 9..9),
        ("url_param id post", 13..17),
        ("hdr", 0..3),
        ("hdr()", 0..5),
        ("hdr(host) domain", 10..16),
        ("hash", 4..4),
        ("hash path x", 10..11),
        ("rdp-cookie()", 0..12),
    ];
    for (line, place) in cases {
        let error = read_line(line, read).expect_err(line);
        assert_eq!(
            error.span.start..error.span.end,
            place,
            "{line}: {}",
            error.message
        );
    }
    let error = read_line("roundrobbin", read).expect_err("a slip");
    assert_eq!(error.help.as_deref(), Some("did you mean 'roundrobin'?"));
}

#[test]
fn hash_types_are_read() {
    let spec = |method, function, avalanche| HashSpec {
        method,
        function,
        avalanche,
    };
    let cases = [
        (
            "map-based",
            spec(HashMethod::MapBased, HashFunction::Sdbm, false),
        ),
        (
            "consistent",
            spec(HashMethod::Consistent, HashFunction::Sdbm, true),
        ),
        (
            "consistent sdbm",
            spec(HashMethod::Consistent, HashFunction::Sdbm, false),
        ),
        (
            "map-based wt6 avalanche",
            spec(HashMethod::MapBased, HashFunction::Wt6, true),
        ),
        (
            "consistent none",
            spec(HashMethod::Consistent, HashFunction::None, false),
        ),
        (
            "maglev djb2",
            spec(HashMethod::Maglev, HashFunction::Djb2, false),
        ),
        (
            "maglev crc32",
            spec(HashMethod::Maglev, HashFunction::Crc32, false),
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(read_line(line, read_hash_type), Ok(expected), "{line}");
    }
    for line in [
        "map",
        "avalanche",
        "map-based md5",
        "map-based sdbm full",
        "map-based sdbm avalanche x",
    ] {
        assert!(read_line(line, read_hash_type).is_err(), "{line}");
    }
}

/// Every algorithm once, the hashed ones with every method.
fn everything() -> Vec<(String, Box<dyn Balance>)> {
    const METHODS: [HashMethod; 3] = [
        HashMethod::MapBased,
        HashMethod::Consistent,
        HashMethod::Maglev,
    ];
    let mut all = Vec::new();
    for row in ALGORITHMS {
        let (_, spec) = examples()
            .into_iter()
            .find(|(line, _)| line.split([' ', '(']).next() == Some(row.name))
            .expect("an example for every row");
        let is_hashed = row.doc.contains("By a hash");
        for method in &METHODS[..if is_hashed { 3 } else { 1 }] {
            let hash = HashSpec {
                method: *method,
                ..HashSpec::default()
            };
            let balance = build(&spec, hash, 0, HashPreserveAffinity::Always);
            all.push((format!("{} {method:?}", row.name), balance));
        }
    }
    all
}

/// Choices for `count` different requests, each of which ends at once.
fn chosen(arranged: &dyn Arranged, count: u32, avoid: Option<ServerId>) -> Vec<Option<ServerId>> {
    let mut draws = Draws::new(3);
    (0..count)
        .map(|turn| {
            let key = format!("key-{turn}-{}", draws.next());
            arranged.pick(&Pick {
                key: Some(key.as_bytes()),
                source: Some(IpAddr::V4(Ipv4Addr::from_bits(draws.next() as u32))),
                random: draws.next(),
                now_ns: u64::from(turn),
                avoid,
            })
        })
        .collect()
}

#[test]
fn weights_are_honoured() {
    let weights = [10, 30, 60];
    for (name, balance) in everything()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("first"))
    {
        let mut counts = [0u32; 3];
        for id in chosen(&*balance.arrange(&farm(&weights)), 20_000, None) {
            counts[id.expect("no limits").0 as usize] += 1;
        }
        for (count, weight) in counts.into_iter().zip(weights) {
            let share = f64::from(count) / 200.0 / f64::from(weight);
            // Rings are uneven by nature.
            let tolerance = if name.contains("Consistent") {
                0.25
            } else {
                0.1
            };
            assert!((share - 1.0).abs() < tolerance, "{name}: {counts:?}");
        }
    }
}

#[test]
fn nobody_to_choose_is_no_panic() {
    for (name, balance) in everything() {
        assert_eq!(chosen(&*balance.arrange(&[]), 3, None), [None; 3], "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Whatever the loads and limits: only candidates are chosen, a failed one only where no other can take the
    /// request, and `None` is said only when a server is full.
    #[test]
    fn choices_are_sound(
        servers in prop::collection::vec((1u32..=256, 1u32..=16, 0u32..4, 0u32..3), 1..20),
        avoid in prop::option::of(0u32..20),
    ) {
        let all = farm(&servers.iter().map(|&(weight, ..)| weight).collect::<Vec<_>>());
        // Ids that are not positions: every second server is down.
        let mut members: Vec<Candidate> = all.into_iter().step_by(2).collect();
        for (member, &(_, ramp, current, maxconn)) in members.iter_mut().zip(&servers) {
            member.ramp_sixteenths = ramp;
            member.live = Arc::default();
            member.live.set_maxconn(maxconn);
            member.live.current.store(current, Relaxed);
        }
        let avoid = avoid.map(ServerId);
        let has_room = |id| members.iter().any(|member| member.id == id && member.live.has_room());
        let other_with_room = members.iter().any(|member| Some(member.id) != avoid && member.live.has_room());
        let any_full = members.iter().any(|member| !member.live.has_room());
        for (name, balance) in everything() {
            for id in chosen(&*balance.arrange(&members), 30, avoid) {
                match id {
                    None => prop_assert!(any_full, "{} waits although all have room", name),
                    Some(id) => {
                        prop_assert!(members.iter().any(|member| member.id == id), "{}: {:?}", name, id);
                        let is_last_resort = Some(id) == avoid && has_room(id);
                        prop_assert!(!(is_last_resort && other_with_room), "{} does not avoid", name);
                    }
                }
            }
        }
    }
}
