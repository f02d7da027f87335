//! The store against a simple model of it, and what a model cannot say.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::*;
use proptest::prelude::*;

fn spec(size: u32, expire_ms: u32, data: &[(Data, u32, u32)]) -> TableSpec {
    let mut spec = TableSpec::new("t", KeyType::Integer, size);
    spec.expire_ms = expire_ms;
    for &(data, elements, period_ms) in data {
        spec.store(DataSpec {
            data,
            elements,
            period_ms,
        });
    }
    spec
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Track(u32),
    Release(usize),
    Drop(usize),
    Count(u32, u64),
    Look(u32),
    Remove(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0_u32..12;
    prop_oneof![
        (0_u64..700).prop_map(Step::Wait),
        key.clone().prop_map(Step::Track),
        (0_usize..8).prop_map(Step::Release),
        (0_usize..8).prop_map(Step::Drop),
        (key.clone(), 0_u64..1_000).prop_map(|(key, amount)| Step::Count(key, amount)),
        key.clone().prop_map(Step::Look),
        key.prop_map(Step::Remove),
    ]
}

/// Entries in a list from the oldest to the newest.
#[derive(Debug, Default)]
struct Model {
    entries: Vec<(u32, Values)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Values {
    users: u32,
    expires_at_ms: u64,
    connections: i64,
    current: i64,
    bytes: i64,
}

const SIZE: usize = 5;
const EXPIRE_MS: u64 = 1_000;

impl Model {
    fn find(&mut self, key: u32, now_ms: u64) -> Option<usize> {
        let place = self.entries.iter().position(|(known, _)| *known == key)?;
        let values = self.entries[place].1;
        if values.expires_at_ms > now_ms {
            return Some(place);
        }
        if values.users == 0 {
            self.entries.remove(place);
            return None;
        }
        Some(self.touch(place, now_ms))
    }

    fn touch(&mut self, place: usize, now_ms: u64) -> usize {
        let mut entry = self.entries.remove(place);
        entry.1.expires_at_ms = now_ms + EXPIRE_MS;
        self.entries.push(entry);
        self.entries.len() - 1
    }

    fn obtain(&mut self, key: u32, now_ms: u64) -> Option<&mut Values> {
        if let Some(place) = self.find(key, now_ms) {
            let place = self.touch(place, now_ms);
            return Some(&mut self.entries[place].1);
        }
        self.purge(now_ms, PURGE);
        if self.entries.len() >= SIZE {
            let oldest = self
                .entries
                .iter()
                .position(|(_, values)| values.users == 0)?;
            self.entries.remove(oldest);
        }
        self.entries.push((key, Values::default()));
        let place = self.touch(self.entries.len() - 1, now_ms);
        Some(&mut self.entries[place].1)
    }

    fn purge(&mut self, now_ms: u64, most: u32) {
        for _ in 0..most {
            match self.entries.first() {
                Some((_, values)) if values.expires_at_ms <= now_ms => {}
                _ => break,
            }
            if self.entries[0].1.users == 0 {
                self.entries.remove(0);
            } else {
                self.touch(0, now_ms);
            }
        }
    }
}

const PURGE: u32 = shard::PURGE_MAX;

/// Keys and users, by the table and by its model.
fn both(
    table: &Table,
    model: &Model,
    now_ms: u64,
) -> (BTreeMap<String, u32>, BTreeMap<String, u32>) {
    let mut seen = BTreeMap::new();
    table.visit(now_ms, |row| {
        seen.insert(format!("{:?}", row.key), row.entry.users());
    });
    let alive = model
        .entries
        .iter()
        .filter(|(_, values)| values.users > 0 || values.expires_at_ms > now_ms);
    let alive: BTreeMap<_, _> = alive
        .map(|(key, values)| (format!("{:?}", KeyValue::Integer(*key)), values.users))
        .collect();
    (seen, alive)
}

proptest! {
    #[test]
    fn a_table_is_its_model(steps in proptest::collection::vec(step(), 1..200)) {
        let data = [(Data::ConnCnt, 1, 0), (Data::ConnCur, 1, 0), (Data::BytesInCnt, 1, 0)];
        let table = Arc::new(Table::new(spec(SIZE as u32, EXPIRE_MS as u32, &data)));
        let (mut model, mut now_ms) = (Model::default(), 0);
        let mut held: Vec<(u32, Tracked)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(ms) => now_ms += ms,
                Step::Track(key) => {
                    let tracked = table.track(&Key::integer(key), now_ms, |_| {});
                    let expected = model.obtain(key, now_ms);
                    prop_assert_eq!(tracked.is_some(), expected.is_some());
                    if let (Some(tracked), Some(values)) = (tracked, expected) {
                        values.users += 1;
                        values.connections += 1;
                        values.current += 1;
                        held.push((key, tracked));
                    }
                }
                Step::Release(which) | Step::Drop(which) if which < held.len() => {
                    let (key, tracked) = held.remove(which);
                    let place = model.entries.iter().position(|(known, _)| *known == key).unwrap();
                    let values = &mut model.entries[place].1;
                    values.users -= 1;
                    values.current -= 1;
                    if matches!(step, Step::Release(_)) {
                        tracked.release(now_ms);
                        model.touch(place, now_ms);
                    }
                }
                Step::Count(key, amount) => {
                    let value = table.update(&Key::integer(key), now_ms, |entry| {
                        entry.add(Data::BytesInCnt, 0, amount)
                    });
                    let expected = model.obtain(key, now_ms).map(|values| {
                        values.bytes += amount as i64;
                        Some(values.bytes)
                    });
                    prop_assert_eq!(value, expected);
                }
                Step::Look(key) => {
                    let value = table.read(&Key::integer(key), now_ms, |entry| Values {
                        users: entry.users(),
                        expires_at_ms: now_ms + entry.remaining_ms(),
                        connections: entry.read(Data::ConnCnt, 0).unwrap(),
                        current: entry.read(Data::ConnCur, 0).unwrap(),
                        bytes: entry.read(Data::BytesInCnt, 0).unwrap(),
                    });
                    let place = model.find(key, now_ms);
                    prop_assert_eq!(value, place.map(|place| model.entries[place].1));
                }
                Step::Remove(key) => {
                    let expected = match model.find(key, now_ms) {
                        None => Removal::Absent,
                        Some(place) if model.entries[place].1.users > 0 => Removal::InUse,
                        Some(place) => {
                            model.entries.remove(place);
                            Removal::Removed
                        }
                    };
                    prop_assert_eq!(table.remove(&Key::integer(key), now_ms), expected);
                }
                Step::Release(_) | Step::Drop(_) => {}
            }
            let (seen, alive) = both(&table, &model, now_ms);
            prop_assert_eq!(seen, alive);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_table_outgrows_its_size(size in 1_u32..20_000, keys in 1_u32..30_000) {
        let table = Arc::new(Table::new(spec(size, 0, &[])));
        for key in 0..keys {
            table.update(&Key::integer(key), 0, |_| {});
        }
        let mut rows = 0;
        table.visit(0, |_| rows += 1);
        prop_assert_eq!(rows, table.used(0));
        prop_assert_eq!(rows, size.min(keys));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// In a table of several parts entries keep their place when they are touched soon again. They expire when they
    /// should, and are counted hardly longer.
    #[test]
    fn large_tables_forget_in_time(
        steps in proptest::collection::vec((0_u32..400, 0_u64..12, any::<bool>()), 1..2_000),
    ) {
        const EXPIRE_MS: u64 = 1_600;
        const SLACK_MS: u64 = EXPIRE_MS / 16;
        let table = Arc::new(Table::new(spec(20_000, EXPIRE_MS as u32, &[(Data::ConnCur, 1, 0)])));
        let (mut now_ms, mut touched, mut held) = (0, BTreeMap::new(), BTreeMap::new());
        for (key, wait_ms, hold) in steps {
            now_ms += wait_ms;
            match held.remove(&key) {
                Some(tracked) => Tracked::release(tracked, now_ms),
                None if hold => {
                    held.insert(key, table.track(&Key::integer(key), now_ms, |_| {}).expect("room"));
                }
                None => table.update(&Key::integer(key), now_ms, |_| {}).expect("room"),
            }
            touched.insert(key, now_ms);
            if key % 16 == 0 {
                let alive = |after_ms| {
                    let lives = |(key, at_ms): &(&u32, &u64)| held.contains_key(*key) || **at_ms + after_ms > now_ms;
                    touched.iter().filter(lives).count()
                };
                let mut shown = 0;
                table.visit(now_ms, |_| shown += 1);
                prop_assert_eq!(shown, alive(EXPIRE_MS));
                let used = table.used(now_ms) as usize;
                prop_assert!((shown..=alive(EXPIRE_MS + SLACK_MS)).contains(&used), "{} of {}", used, shown);
            }
        }
    }
}

#[test]
fn a_full_table_that_must_not_purge_takes_no_more() {
    let mut spec = spec(2, 100, &[]);
    spec.nopurge = true;
    let table = Table::new(spec);
    let add = |key, now_ms| table.update(&Key::integer(key), now_ms, |_| {}).is_some();
    assert_eq!(
        [add(1, 0), add(2, 50), add(3, 50), add(1, 60)],
        [true, true, false, true]
    );
    // The second is the first to expire.
    assert!(add(3, 150));
    assert!(!add(4, 150));
}

#[test]
fn every_kind_of_data_keeps_to_its_place() {
    let all: Vec<_> = ALL
        .iter()
        .map(|description| {
            (
                description.data,
                if description.array { 3 } else { 1 },
                60_000,
            )
        })
        .collect();
    let mut spec = spec(10, 0, &all);
    spec.byte_rate_factor = 10;
    let table = Table::new(spec);
    let value = |place: i64| 1_000 + place * 10;
    table.update(&Key::integer(1), 5, |entry| {
        let mut place = 0;
        for &(data, elements, _) in &all {
            for index in 0..elements {
                assert!(entry.set(data, index, value(place)), "{data}");
                place += 1;
            }
            assert!(!entry.set(data, elements, 1), "{data}");
            assert_eq!(entry.read(data, elements), None, "{data}");
        }
    });
    table.read(&Key::integer(1), 5, |entry| {
        let mut place = 0;
        for &(data, elements, _) in &all {
            for index in 0..elements {
                let factor = if data.is_byte_rate() { 10 } else { 1 };
                assert_eq!(
                    entry.read(data, index),
                    Some(value(place) * factor),
                    "{data}"
                );
                place += 1;
            }
        }
        assert_eq!(
            entry.add(Data::BytesInCnt, 0, u64::from(u32::MAX)).unwrap() >> 32,
            1
        );
        entry.set(Data::ServerId, 0, -1);
        assert_eq!(entry.read(Data::ServerId, 0), Some(-1));
        entry.add(Data::BytesOutRate, 0, 11);
    });
}

#[test]
fn a_reload_keeps_entries_that_mean_the_same() {
    let table = Table::new(spec(10, 1_000, &[(Data::Gpc0, 1, 0)]));
    table.update(&Key::integer(1), 0, |entry| entry.add(Data::Gpc0, 0, 1));
    assert!(table.configure(&spec(20, 500, &[(Data::Gpc0, 1, 0)])));
    assert_eq!((table.size(), table.expire_ms()), (20, 500));
    assert!(!table.configure(&spec(20, 500, &[(Data::Gpc1, 1, 0)])));
    assert_eq!(table.used(900), 1);
}

#[test]
fn workers_count_nothing_twice_and_lose_nothing() {
    const WORKERS: u32 = 4;
    const ROUNDS: u32 = 5_000;
    let data = [(Data::ConnCur, 1, 0), (Data::ConnCnt, 1, 0)];
    let table = Arc::new(Table::new(spec(100_000, 0, &data)));
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let table = &table;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let key = Key::integer((round * (worker + 1)) % 97);
                    let held = table.track(&key, 1, |_| {}).unwrap();
                    held.with(1, |entry| {
                        assert!(entry.read(Data::ConnCur, 0).unwrap() > 0)
                    });
                    if round % 2 == 0 {
                        held.release(1);
                    }
                }
            });
        }
    });
    let (mut current, mut total) = (0, 0);
    table.visit(1, |row| {
        current += row.entry.read(Data::ConnCur, 0).unwrap() + i64::from(row.entry.users());
        total += row.entry.read(Data::ConnCnt, 0).unwrap();
    });
    assert_eq!((current, total), (0, i64::from(WORKERS * ROUNDS)));
}

#[test]
fn pointers_lead_back_to_their_entries() {
    let table = Table::new(spec(100_000, 0, &[]));
    for key in 0..1_000 {
        table.update(&Key::integer(key), 0, |_| {});
    }
    let pointer = table.pointer(&Key::integer(77), 0).unwrap();
    let written = pointer.to_string();
    assert_eq!(Pointer::parse(&written), Some(pointer), "{written}");
    let key = table.at(pointer, 0, |row| row.key.clone());
    assert_eq!(key, Some(KeyValue::Integer(77)));
    assert_eq!(table.remove_at(pointer), Removal::Removed);
    assert_eq!(table.remove_at(pointer), Removal::Absent);
    for wrong in [
        "",
        "0x",
        "0x1",
        "77",
        "0xffffffffffffffff",
        "0xfffff00000001",
    ] {
        let found = Pointer::parse(wrong).and_then(|pointer| table.at(pointer, 0, |_| ()));
        assert_eq!(found, None, "{wrong}");
    }
}

#[test]
fn addresses_are_keys_of_their_family() {
    let table = Table::new(TableSpec::new("t", KeyType::Ipv6, 10));
    let key = Key::parse(KeyType::Ipv6, "10.0.0.1").unwrap();
    table.update(&key, 0, |_| {});
    let mapped = Key::ipv6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
    assert!(table.read(&mapped, 0, |_| {}).is_some());
}
