//! What a tracked key costs, in time and memory. Prints; asserts nothing about either.
//!
//! `cargo test --release -p plimsoll-policy --test stick_table_speed -- --ignored --nocapture`

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use plimsoll_policy::stick_table::{Data, DataSpec, Key, KeyType, Table, TableSpec};

const KEYS: u32 = 1_000_000;
/// The best round counts: the others were disturbed.
const ROUNDS: u32 = 5;
const TRACKS: u32 = 200_000;

fn table() -> Arc<Table> {
    let mut spec = TableSpec::new("t", KeyType::Ipv4, KEYS);
    spec.expire_ms = 600_000;
    spec.store(DataSpec {
        data: Data::HttpReqRate,
        elements: 1,
        period_ms: 10_000,
    });
    Arc::new(Table::new(spec))
}

/// Addresses in no order that memory could guess.
fn key(number: u32) -> Key<'static> {
    Key::ipv4(Ipv4Addr::from_bits(
        (number % KEYS).wrapping_mul(2_654_435_761),
    ))
}

fn request(table: &Arc<Table>, number: u32) -> i64 {
    let mut rate = 0;
    let tracked = table.track(&key(number), 1_000, |entry| {
        entry.count(Data::HttpReqCnt, Data::HttpReqRate, 1);
        rate = entry.read(Data::HttpReqRate, 0).unwrap_or(0);
    });
    tracked.expect("there is room").release(1_000);
    rate
}

/// Numbers of keys as the web has them: the n-th most frequent one comes about 1/n as often as the first.
fn skewed() -> Vec<u32> {
    let mut state = 1_u32;
    let draw = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(KEYS).powf(f64::from(state) / f64::from(u32::MAX)) as u32
    };
    (0..TRACKS).map(draw).collect()
}

/// What memory alone costs: one place of an index for a million keys, then the line of 64 bytes it points to, the next
/// only when that has come, as requests do it one after the other.
fn floor() -> f64 {
    let places = KEYS.next_power_of_two() * 2;
    let index: Vec<[u32; 2]> = (0..places).map(|place| [place, place % KEYS]).collect();
    let mut rows = vec![[0_u32; 16]; KEYS as usize];
    let mut last = 0;
    let mut best_ns = f64::INFINITY;
    for round in 0..ROUNDS {
        let start = Instant::now();
        for turn in 0..TRACKS {
            let mixed = (round * TRACKS + turn).wrapping_mul(2_654_435_761) ^ last;
            let [_, number] = index[(mixed & (places - 1)) as usize];
            let row = &mut rows[number as usize];
            last = row[3];
            row[5] = mixed;
        }
        best_ns = best_ns.min(start.elapsed().as_nanos() as f64 / f64::from(TRACKS));
    }
    assert_eq!(last, 0);
    best_ns
}

/// Memory of this process, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    pages.unwrap_or(0_u64) * 4_096
}

fn nanoseconds(threads: u32, work: impl Fn(u32) + Sync) -> f64 {
    let mut best_ns = f64::INFINITY;
    for round in 0..ROUNDS {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let work = &work;
                scope.spawn(move || {
                    for turn in 0..TRACKS {
                        work((round * threads + thread) * TRACKS + turn);
                    }
                });
            }
        });
        best_ns = best_ns.min(start.elapsed().as_nanos() as f64 / f64::from(TRACKS));
    }
    best_ns
}

#[test]
#[ignore = "prints timings, which mean something in a release build on a quiet machine only"]
#[expect(clippy::print_stdout, reason = "the point of it")]
fn nanoseconds_and_bytes_per_key() {
    let before = resident();
    let table = table();
    for number in 0..KEYS {
        request(&table, number);
    }
    let bytes = (resident() - before) as f64 / f64::from(KEYS);
    println!("{KEYS} addresses with http_req_rate: {bytes:.0} bytes each");
    let scattered = nanoseconds(1, |number| {
        request(&table, number.wrapping_mul(40_503));
    });
    println!("track, count, read and release, any of {KEYS}: {scattered:.0} ns");
    let skewed = skewed();
    let frequent = nanoseconds(1, |number| {
        request(&table, skewed[(number % TRACKS) as usize]);
    });
    println!("the same, some far more frequent than others: {frequent:.0} ns");
    println!(
        "two dependent accesses to as much memory: {:.0} ns",
        floor()
    );
    let few = nanoseconds(1, |number| {
        request(&table, number % 1_000);
    });
    println!("the same with 1000 addresses: {few:.0} ns");
    let read = nanoseconds(1, |number| {
        table.read(&key(number % 1_000), 1_000, |entry| {
            entry.read(Data::HttpReqRate, 0)
        });
    });
    println!("read alone: {read:.0} ns");
    let both = nanoseconds(2, |number| {
        request(&table, number % 1_000);
    });
    println!("two threads, 1000 addresses: {both:.0} ns each");
}
