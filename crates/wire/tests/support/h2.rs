//! HTTP/2: the bodies of its fuzz targets, and what tests need to speak it by hand.

use plimsoll_wire::h2::frame::{FrameHead, HEAD_BYTES, PREFACE, flag, kind};
use plimsoll_wire::h2::hpack::{Decoder, Encoder, Sink};
use plimsoll_wire::h2::{Code, Config, Connection, Event, Key, Read, Role};
use plimsoll_wire::head::{Framing, Head};

/// A whole frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    FrameHead {
        length: payload.len(),
        kind,
        flags,
        stream,
    }
    .write(&mut out);
    out.extend_from_slice(payload);
    out
}

/// The frames of an output.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(FrameHead, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some(head) = FrameHead::read(bytes) {
        let end = HEAD_BYTES + head.length;
        frames.push((head, bytes[HEAD_BYTES..end].to_vec()));
        bytes = &bytes[end..];
    }
    assert!(bytes.is_empty(), "the output ends within a frame");
    frames
}

/// A server that has received the preface and a client's settings; its greeting is thrown away.
pub(crate) fn server(config: Config) -> Connection<u32> {
    let mut server = Connection::new(Role::Server, config);
    receive(
        &mut server,
        &[PREFACE, &frame(kind::SETTINGS, 0, 0, b"")].concat(),
    )
    .expect("a preface");
    server.output().clear();
    server
}

/// A client that has received a server's settings; its greeting is thrown away.
pub(crate) fn client(config: Config) -> Connection<u32> {
    let mut client = Connection::new(Role::Client, config);
    receive(&mut client, &frame(kind::SETTINGS, 0, 0, b"")).expect("settings");
    client.output().clear();
    client
}

pub(crate) fn receive(
    connection: &mut Connection<u32>,
    bytes: &[u8],
) -> Result<(), plimsoll_wire::h2::Fault> {
    connection.receive(bytes, 0, &mut Head::default)
}

#[derive(Default)]
struct Fields(Vec<(Vec<u8>, Vec<u8>)>);

impl Sink for Fields {
    fn field(&mut self, name: &[u8], value: &[u8]) {
        // As its users must: a block of a few bytes can stand for megabytes.
        if self.0.len() < 1_000 {
            self.0.push((name.to_vec(), value.to_vec()));
        }
    }
}

/// A header block, on any bytes: what is decoded must survive being encoded and decoded again.
pub(crate) fn read_hpack(input: &[u8]) {
    let (mut decoder, mut encoder, mut again) =
        (Decoder::default(), Encoder::default(), Decoder::default());
    for block in input.chunks(300) {
        let mut fields = Fields::default();
        if decoder.decode(block, &mut fields).is_err() {
            return;
        }
        let (mut out, mut same) = (Vec::new(), Fields::default());
        encoder.begin(&mut out);
        for (name, value) in &fields.0 {
            encoder.field(name, value, &mut out);
        }
        again.decode(&out, &mut same).expect("our own code");
        assert_eq!(fields.0, same.0);
    }
}

/// What a connection has done with some input.
#[derive(Debug, Default, PartialEq)]
struct Story {
    output: Vec<(FrameHead, Vec<u8>)>,
    events: Vec<String>,
    fault: Option<plimsoll_wire::h2::Fault>,
}

/// Takes in bytes in shares of so many units of work.
fn receive_in_shares(
    connection: &mut Connection<u32>,
    mut bytes: &[u8],
    share: u32,
) -> Result<(), plimsoll_wire::h2::Fault> {
    while !bytes.is_empty() {
        let mut units = share;
        let taken = connection.receive_some(bytes, 0, &mut units, &mut Head::default)?;
        assert!(taken == bytes.len() || units == 0, "a share is used up");
        bytes = &bytes[taken..];
    }
    Ok(())
}

/// Frames behind a preface, on any bytes: however they are cut, the same happens, and what is said are whole frames.
pub(crate) fn read_h2_frames(input: &[u8]) {
    let tell = |size: usize, share: u32| {
        let mut server = server(Config::default());
        let mut story = Story::default();
        for bytes in input.chunks(size) {
            story.fault = receive_in_shares(&mut server, bytes, share).err();
            while let Some(event) = server.next_event() {
                if let Event::Request(key) = event {
                    server.set_owner(key, key.id());
                    let head = server.take_head(key).expect("a head");
                    story.events.push(format!(
                        "{} {:?}",
                        key.id(),
                        head.fields().collect::<Vec<_>>()
                    ));
                }
            }
            if story.fault.is_some() {
                break;
            }
        }
        story.output = frames(server.output());
        // How much of the connection's window is given back at a time depends on the pieces.
        story
            .output
            .retain(|(head, _)| head.kind != kind::WINDOW_UPDATE || head.stream > 0);
        story
    };
    let whole = tell(input.len().max(1), u32::MAX);
    assert_eq!(tell(1, u32::MAX), whole);
    assert_eq!(tell(7, u32::MAX), whole);
    assert_eq!(tell(input.len().max(1), 1), whole);
}

/// A connection whose peer says anything at all, and whose owner does anything that is allowed, in either role.
pub(crate) fn read_h2_connection(input: &[u8]) {
    let Some((&role, mut input)) = input.split_first() else {
        return;
    };
    let config = Config {
        streams_max: 4,
        window_bytes: 100,
        connection_window_bytes: 0,
        ..Config::default()
    };
    let mut connection = match role % 2 {
        0 => server(config),
        _ => client(config),
    };
    let mut keys: Vec<Key> = Vec::new();
    let mut buffer = [0; 64];
    while let [action, size, rest @ ..] = input {
        let (bytes, rest) = rest.split_at(rest.len().min(usize::from(*size)));
        input = rest;
        let key = keys.get(usize::from(*size) % keys.len().max(1)).copied();
        act(
            &mut connection,
            action % 8,
            bytes,
            key,
            &mut keys,
            &mut buffer,
        );
        while let Some(event) = connection.next_event() {
            if let Event::Request(key) = event {
                connection.set_owner(key, key.id());
                assert!(connection.take_head(key).is_some());
                keys.push(key);
            }
        }
        assert!(connection.open_streams() <= 8 && keys.len() <= 8);
        frames(connection.output());
        if connection.output().len() > 1 << 16 {
            connection.output().clear();
            connection.output_taken();
        }
    }
}

fn act(
    connection: &mut Connection<u32>,
    action: u8,
    bytes: &[u8],
    key: Option<Key>,
    keys: &mut Vec<Key>,
    buffer: &mut [u8],
) {
    match (action, key) {
        (0 | 1, _) => drop(receive(connection, bytes)),
        (2, Some(key)) => {
            if let Read::Data { bytes, .. } = connection.read(key, buffer) {
                assert!(bytes <= buffer.len());
            }
            drop(connection.take_head(key));
        }
        (3, Some(key)) => {
            let mut head = Head {
                status: 200,
                framing: Framing::Chunked,
                ..Head::default()
            };
            head.add(b"x", bytes);
            connection.send_head(key, &head, bytes.is_empty());
        }
        (4, Some(key)) => assert!(connection.send_data(key, bytes, false) <= bytes.len()),
        (5, Some(key)) => connection.cancel(key, Code::CANCEL),
        (6, Some(key)) => {
            connection.release(key);
            keys.retain(|known| *known != key);
        }
        (7, _) => {
            let mut head = Head::default();
            head.method = head.push(b"POST");
            head.target = head.push(b"/");
            if let Some(key) = connection.open(&head, b"http", false) {
                connection.set_owner(key, key.id());
                keys.push(key);
            }
        }
        _ => {}
    }
}

/// `HEADERS` with a whole block.
pub(crate) fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS | flags, stream, block)
}
