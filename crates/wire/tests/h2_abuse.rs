//! Floods: what a peer can make us do is bounded, and says so in its counters.

mod support;

use plimsoll_wire::h2::budget::{IDLE_FRAMES, RESETS};
use plimsoll_wire::h2::frame::{flag, kind};
use plimsoll_wire::h2::{Code, Config, Connection, Event, Fault};
use plimsoll_wire::head::Head;
use support::h2::{frame, frames, headers, receive, server};

const GET: &[u8] = b"\x82\x86\x84\x41\x01a";

/// Sends `part(index)` until the connection ends; returns how many it took, and why it ended.
fn flood(
    server: &mut Connection<u32>,
    most: u32,
    mut part: impl FnMut(u32) -> Vec<u8>,
) -> (u32, Option<Fault>) {
    for index in 0..most {
        let ended = receive(server, &part(index));
        while let Some(event) = server.next_event() {
            if let Event::Request(key) = event {
                server.release(key);
            }
        }
        // A peer that does not read meets back-pressure before this; here it reads everything.
        server.output().clear();
        if let Err(fault) = ended {
            return (index, Some(fault));
        }
    }
    (most, None)
}

/// The next bytes of a flood.
type Part = fn(u32) -> Vec<u8>;

fn stream(index: u32) -> u32 {
    2 * index + 1
}

#[test]
fn rapid_reset() {
    let mut server = server(Config::default());
    let (taken, fault) = flood(&mut server, 10_000, |index| {
        [
            headers(stream(index), 0, GET),
            frame(kind::RST_STREAM, 0, stream(index), &8_u32.to_be_bytes()),
        ]
        .concat()
    });
    // The requests end before their owners see them, or their owners cancel them: either way it is counted.
    assert_eq!(fault, Some(Fault::TooManyResets));
    assert!(taken <= RESETS.burst, "{taken}");
}

#[test]
fn rapid_reset_while_the_owners_are_slow() {
    let mut server = server(Config::default());
    let mut requests = 0;
    let mut index = 0;
    let fault = loop {
        let bytes = [
            headers(stream(index), flag::END_STREAM, GET),
            frame(kind::RST_STREAM, 0, stream(index), &8_u32.to_be_bytes()),
        ]
        .concat();
        index += 1;
        if let Err(fault) = receive(&mut server, &bytes) {
            break fault;
        }
        while let Some(event) = server.next_event() {
            requests += u32::from(matches!(event, Event::Request(_)));
        }
        assert!(
            server.open_streams() <= 200,
            "what nobody has released is bounded"
        );
    };
    assert_eq!((fault, requests), (Fault::TooManyResets, 200));
    assert!(server.counts().cancelled <= u64::from(RESETS.burst) + 1);
}

#[test]
fn made_you_reset() {
    // Each stream gets a frame that forces the server to cancel it, while its request would still be worked on.
    let bad: [Part; 4] = [
        |id| frame(kind::WINDOW_UPDATE, 0, id, &0_u32.to_be_bytes()),
        |id| frame(kind::DATA, 0, id, b"x"),
        |id| frame(kind::PRIORITY, 0, id, b"\0\0\0"),
        |id| headers(id, flag::END_STREAM, GET),
    ];
    for spoil in bad {
        let mut server = server(Config::default());
        let (mut index, mut requests) = (0, 0);
        let fault = loop {
            let id = stream(index);
            index += 1;
            let bytes = [headers(id, flag::END_STREAM, GET), spoil(id)].concat();
            if let Err(fault) = receive(&mut server, &bytes) {
                break fault;
            }
            while let Some(event) = server.next_event() {
                requests += u32::from(matches!(event, Event::Request(_)));
            }
            server.output().clear();
        };
        // A frame on a stream that has been refused is an idle one, or late.
        assert!(
            matches!(fault, Fault::TooManyResets | Fault::TooManyIdleFrames),
            "{fault:?}"
        );
        assert!(
            requests <= 200 && index <= RESETS.burst + IDLE_FRAMES.burst,
            "{requests} {index}"
        );
        assert!(server.counts().stream_faults > 0);
    }
}

#[test]
fn refused_heads() {
    let mut server = server(Config::default());
    let (taken, fault) = flood(&mut server, 10_000, |index| {
        headers(stream(index), flag::END_STREAM, b"\x82")
    });
    assert_eq!((taken, fault), (RESETS.burst, Some(Fault::TooManyResets)));
}

#[test]
fn idle_frames() {
    let floods: [(&str, Part); 8] = [
        ("ping", |_| frame(kind::PING, 0, 0, &[0; 8])),
        ("settings", |_| frame(kind::SETTINGS, 0, 0, b"")),
        ("priority", |_| frame(kind::PRIORITY, 0, 1, b"\0\0\0\0\x10")),
        ("unknown", |_| frame(0x40, 0, 0, b"")),
        ("goaway", |_| frame(kind::GOAWAY, 0, 0, &[0; 8])),
        ("empty data", |_| frame(kind::DATA, 0, 1, b"")),
        ("update of a stream that is gone", |_| {
            frame(kind::WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())
        }),
        ("reset of a stream that is gone", |_| {
            frame(kind::RST_STREAM, 0, 1, &8_u32.to_be_bytes())
        }),
    ];
    for (name, part) in floods {
        let mut server = server(Config::default());
        receive(&mut server, &headers(1, 0, GET)).expect("a request");
        if name.ends_with("gone") {
            while let Some(Event::Request(key)) = server.next_event() {
                server.release(key);
            }
        }
        let (taken, fault) = flood(&mut server, 10_000, part);
        assert_eq!(fault, Some(Fault::TooManyIdleFrames), "{name}");
        assert!(taken <= IDLE_FRAMES.burst, "{name}: {taken}");
        assert!(server.counts().idle_frames > 0);
    }
}

#[test]
fn honest_work_is_never_counted() {
    let mut server = server(Config::default());
    let response = Head {
        status: 204,
        ..Head::default()
    };
    for index in 0..20_000 {
        receive(&mut server, &headers(stream(index), flag::END_STREAM, GET)).expect("no fault");
        while let Some(event) = server.next_event() {
            if let Event::Request(key) = event {
                server.send_head(key, &response, true);
                server.release(key);
            }
        }
        receive(
            &mut server,
            &frame(kind::WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
        )
        .expect("no fault");
        server.output().clear();
    }
    let counts = server.counts();
    assert_eq!(
        (counts.idle_frames, counts.cancelled, counts.stream_faults),
        (0, 0, 0)
    );
}

#[test]
fn continuation_flood() {
    for piece in [&b""[..], &[0; 1_000]] {
        let mut server = server(Config::default());
        receive(&mut server, &frame(kind::HEADERS, 0, 1, GET)).expect("a beginning");
        let (taken, fault) = flood(&mut server, 10_000, |_| {
            frame(kind::CONTINUATION, 0, 1, piece)
        });
        assert_eq!(fault, Some(Fault::BlockTooLong));
        assert!(taken <= 32, "{taken}");
    }
}

#[test]
fn header_bomb() {
    let mut server = server(Config::default());
    // One large field in the table, then references to it: a byte each stands for four thousand.
    let mut block = GET.to_vec();
    block.extend_from_slice(b"\x40\x01x\x7f\x81\x1e");
    block.extend_from_slice(&[b'v'; 3_968]);
    block.extend(std::iter::repeat_n(0xbe, 10_000));
    receive(&mut server, &headers(1, flag::END_STREAM, &block)).expect("the connection is sound");
    assert_eq!(
        server.next_event(),
        Some(Event::Rejected(Fault::HeadTooLarge, 431))
    );
    let sent = frames(server.output());
    assert_eq!(sent[0].0.kind, kind::HEADERS);
    assert_eq!(&sent[0].1[..], b"\x08\x03431");
    // And many of those are too many.
    let mut index = 1;
    let (_, fault) = flood(&mut server, 10_000, |_| {
        index += 1;
        headers(
            stream(index),
            flag::END_STREAM,
            &[GET, &[0xbf; 5_000]].concat(),
        )
    });
    assert!(fault.is_some());
}

#[test]
fn too_many_fields() {
    let mut server = server(Config::default());
    let block = [GET, &b"\x00\x01x\x01y".repeat(200)].concat();
    receive(&mut server, &headers(1, flag::END_STREAM, &block)).expect("the connection is sound");
    assert_eq!(&frames(server.output())[0].1[..], b"\x08\x03431");
}

#[test]
fn a_stalled_window_holds_nothing() {
    let mut server = server(Config::default());
    let shut = frame(kind::SETTINGS, 0, 0, b"\0\x04\0\0\0\0");
    receive(&mut server, &shut).expect("settings");
    for index in 0..100 {
        receive(&mut server, &headers(stream(index), flag::END_STREAM, GET)).expect("a request");
    }
    server.output().clear();
    let response = Head {
        status: 200,
        ..Head::default()
    };
    let keys: Vec<_> = std::iter::from_fn(|| server.next_event()).collect();
    for event in keys {
        let Event::Request(key) = event else { continue };
        server.send_head(key, &response, false);
        assert_eq!(
            (server.room(key), server.send_data(key, &[0; 60_000], true)),
            (0, 0)
        );
    }
    assert!(server.output().len() < 100 * 32);
}

#[test]
fn a_failed_connection_takes_nothing_more() {
    let mut server = server(Config::default());
    assert!(receive(&mut server, &frame(kind::PING, 0, 1, &[0; 8])).is_err());
    let said = server.output().clone();
    assert!(receive(&mut server, &headers(1, flag::END_STREAM, GET)).is_err());
    assert_eq!((server.output().clone(), server.next_event()), (said, None));
    assert_eq!(server.fault().map(Fault::code), Some(Code::PROTOCOL_ERROR));
}

/// Whoever hands bytes over says how much work they may cause; the rest is handed over again, and nothing is lost between.
#[test]
fn work_comes_in_shares() {
    const SHARE: u32 = 100;
    let reset = |id| frame(kind::RST_STREAM, 0, id, &8_u32.to_be_bytes());
    let cancelled = |index| [headers(stream(index), 0, GET), reset(stream(index))].concat();
    let long = [GET, b"\x00\x01b\x7f\xe1\x5c", &[b'x'; 12_000]].concat();
    fn fifty(part: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
        (0..50).flat_map(part).collect()
    }
    // What comes, how many of it make a share at most, and at least.
    let floods = [
        (
            "frames",
            fifty(|_| frame(kind::PING, 0, 0, &[0; 8])),
            100,
            100,
        ),
        (
            "requests",
            fifty(|index| headers(stream(index), 0, GET)),
            25,
            20,
        ),
        ("cancelled requests", fifty(cancelled), 4, 3),
        (
            "long heads",
            fifty(|index| headers(stream(index), 0, &long)),
            1,
            1,
        ),
    ];
    for (name, bytes, most, least) in floods {
        let mut server = server(Config::default());
        let (mut at, mut shares) = (0, 0);
        while at < bytes.len() {
            let mut units = SHARE;
            let taken = server.receive_some(&bytes[at..], 0, &mut units, &mut Head::default);
            at += taken.expect("nothing is wrong with that");
            shares += 1;
            assert!(at == bytes.len() || units == 0, "{name}: {units} left");
        }
        let range = 50_u32.div_ceil(most)..=50_u32.div_ceil(least);
        assert!(range.contains(&shares), "{name}: {shares} shares");
        assert!(server.receive_some(b"", 0, &mut 0, &mut Head::default) == Ok(0));
        let streams = if name == "frames" { 0 } else { 50 };
        assert_eq!(server.counts().streams, streams, "{name}");
    }
}

/// However many windows one frame names, streams are gone through once: the last one counts, and none may be too large.
#[test]
fn of_many_windows_the_last_one_counts() {
    let windows = |values: &[u32]| {
        let pairs = values
            .iter()
            .flat_map(|value| [&[0, 4][..], &value.to_be_bytes()].concat());
        frame(kind::SETTINGS, 0, 0, &pairs.collect::<Vec<u8>>())
    };
    for (values, fault) in [
        (&[1, 1 << 30, 5][..], None),
        (&[1 << 31, 5], Some(Fault::BadWindowSetting)),
        // Behind an update of as much again, the window would have been too large for a moment.
        (&[(1 << 31) - 1, 5], Some(Fault::BadWindowSetting)),
    ] {
        let mut server = server(Config::default());
        receive(&mut server, &headers(1, 0, GET)).expect("a request");
        let update = frame(kind::WINDOW_UPDATE, 0, 1, &1_000_u32.to_be_bytes());
        receive(&mut server, &update).expect("an update");
        assert_eq!(
            receive(&mut server, &windows(values)).err(),
            fault,
            "{values:?}"
        );
        let Some(Event::Request(key)) = server.next_event() else {
            panic!("a request");
        };
        if fault.is_none() {
            assert_eq!(server.room(key), 1_005, "{values:?}");
        }
    }
}
