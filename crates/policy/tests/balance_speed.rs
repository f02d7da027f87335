//! What a choice costs, per algorithm and number of servers. Prints; asserts nothing about time.
//!
//! `cargo test --release -p plimsoll-policy --test balance_speed -- --ignored --nocapture`

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use plimsoll_policy::balance::{self, BalanceSpec, HashFunction, HashMethod, HashSpec, Pick};
use plimsoll_policy::live::{BackendLive, ServerLive};
use plimsoll_policy::model::{HashPreserveAffinity, Server, ServerAddress};

const COUNTS: [usize; 6] = [1, 10, 64, 256, 1_000, 10_000];
/// The best round counts: the others were disturbed.
const ROUNDS: u64 = 20;
const PICKS: u64 = 20_000;

fn algorithms() -> Vec<(&'static str, BalanceSpec, HashSpec)> {
    let hash = |method| HashSpec {
        method,
        function: HashFunction::Sdbm,
        avalanche: true,
    };
    let uri = BalanceSpec::Uri {
        length: None,
        depth: None,
        whole: false,
        path_only: false,
    };
    let plain = HashSpec::default();
    vec![
        ("roundrobin", BalanceSpec::RoundRobin, plain),
        ("static-rr", BalanceSpec::StaticRoundRobin, plain),
        ("leastconn", BalanceSpec::LeastConnections, plain),
        ("first", BalanceSpec::First, plain),
        ("random(2)", BalanceSpec::Random { draws: 2 }, plain),
        ("peak-ewma", BalanceSpec::PeakEwma, plain),
        ("source map-based", BalanceSpec::Source, plain),
        ("uri map-based", uri.clone(), hash(HashMethod::MapBased)),
        ("uri consistent", uri.clone(), hash(HashMethod::Consistent)),
        ("uri maglev", uri, hash(HashMethod::Maglev)),
    ]
}

fn servers(count: usize) -> Vec<(Server, Arc<ServerLive>)> {
    let backend = Arc::new(BackendLive::default());
    (1..=count as u32)
        .map(|number| {
            let mut server = Server::new("s", ServerAddress::Abstract("s".into()));
            server.number = number;
            server.weight = 1 + (number % 3) as u16;
            let live = Arc::new(ServerLive::new(&server, Arc::clone(&backend)));
            (server, live)
        })
        .collect()
}

#[test]
#[ignore = "prints timings, which mean something in a release build on a quiet machine only"]
#[expect(clippy::print_stdout, reason = "the point of it")]
fn nanoseconds_per_choice() {
    let counts: String = COUNTS.iter().map(|count| format!("{count:>10}")).collect();
    println!("{:18}{counts}", "ns/pick (arrange)");
    let keys: Vec<String> = (0..1_024)
        .map(|key| format!("/dir{}/object-{key}.html", key % 7))
        .collect();
    for (name, spec, hash) in algorithms() {
        print!("{name:18}");
        let mut arranging = String::new();
        for count in COUNTS {
            let servers = servers(count);
            let candidates =
                balance::usable(servers.iter().map(|(server, live)| (server, live)), false);
            let balance = balance::build(&spec, hash, 0, HashPreserveAffinity::Always);
            let start = Instant::now();
            let arranged = balance.arrange(&candidates);
            arranging += &format!(
                "{:>10}",
                format!("({:.1}ms)", start.elapsed().as_secs_f64() * 1e3)
            );

            let mut random = 1u64;
            let mut best_ns = f64::INFINITY;
            for round in 0..ROUNDS {
                let start = Instant::now();
                for turn in 0..PICKS {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let pick = Pick {
                        key: Some(keys[turn as usize % keys.len()].as_bytes()),
                        source: Some(IpAddr::V4(Ipv4Addr::from_bits(turn as u32))),
                        random,
                        now_ns: (round * PICKS + turn) * 1_000,
                        avoid: None,
                    };
                    let id = arranged.pick(&pick).expect("no limits");
                    // As in life, the chosen server's counts are written.
                    servers[id.0 as usize].1.current.fetch_add(1, Relaxed);
                }
                best_ns = best_ns.min(start.elapsed().as_nanos() as f64 / PICKS as f64);
            }
            print!("{best_ns:>10.1}");
        }
        println!("\n{:18}{arranging}", "");
    }
}
