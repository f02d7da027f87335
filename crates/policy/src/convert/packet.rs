//! Converters of packet headers, as `fc_saved_syn` yields them: Ethernet (IEEE 802.3), IP (RFC 791, RFC 8200), TCP
//! (RFC 9293).
//!
//! ```text
//! eth: 6 destination, 6 source, [0x8100, 2 tag]..., 2 protocol | data
//! ip4: 4-bit version, 4-bit words of header ..8 TTL, 9 protocol, 12 source, 16 destination
//! ip6: 4-bit version ..6 next header, 7 hop limit, 8 source, 24 destination | extensions
//! tcp: 0 source, 2 destination, 4 sequence ..12 words of header, 13 flags, 14 window | 20 options
//! ```
//! What is too short for what is asked yields nothing.

use std::net::IpAddr;
use std::ops::Range;

use plimsoll_config::diagnostic::Diagnostic;

use super::{Convert, Row, binary, part, pure};
use crate::arguments::Arguments;
use crate::expression::Scope;
use crate::value::{Type, Value};

/// A row whose converter reads a number.
macro_rules! number {
    ($name:literal, $doc:literal, $leaf:expr) => {
        Row {
            name: $name,
            usage: "",
            doc: $doc,
            input: Type::Binary,
            output: Some(Type::Integer),
            read: |_, _| {
                let leaf: fn(&[u8]) -> Option<i64> = $leaf;
                pure(move |value| leaf(&value.into_binary()).map(Value::Integer))
            },
        }
    };
}

/// A row whose converter takes a part out.
macro_rules! bytes {
    ($name:literal, $doc:literal, $leaf:expr) => {
        Row {
            name: $name,
            usage: "",
            doc: $doc,
            input: Type::Binary,
            output: Some(Type::Binary),
            read: |_, _| {
                let leaf: fn(&[u8]) -> Option<Range<usize>> = $leaf;
                pure(move |value| {
                    let packet = value.into_binary();
                    let range = leaf(&packet)?;
                    Some(Value::Binary(part(packet, range)))
                })
            },
        }
    };
}

/// A row whose converter reads the address that stands here in version 4, and there in version 6.
macro_rules! address {
    ($name:literal, $doc:literal, $at4:literal, $at6:literal) => {
        Row {
            name: $name,
            usage: "",
            doc: $doc,
            input: Type::Binary,
            output: Some(Type::Address),
            read: |_, _| pure(|value| Some(Value::Address(ip(&value.into_binary(), $at4, $at6)?))),
        }
    };
}

pub(crate) const ROWS: &[Row] = &[
    bytes!(
        "eth.data",
        "What follows the header of an Ethernet frame.",
        |frame| { Some(ethernet(frame)?.data..frame.len()) }
    ),
    bytes!(
        "eth.dst",
        "The six bytes of an Ethernet frame's destination.",
        |frame| { (frame.len() >= 6).then_some(0..6) }
    ),
    bytes!(
        "eth.hdr",
        "The header of an Ethernet frame, with its VLANs.",
        |frame| { Some(0..ethernet(frame)?.data) }
    ),
    number!(
        "eth.proto",
        "The protocol (EtherType) of an Ethernet frame.",
        |frame| { Some(ethernet(frame)?.protocol.into()) }
    ),
    bytes!(
        "eth.src",
        "The six bytes of an Ethernet frame's source.",
        |frame| { (frame.len() >= 12).then_some(6..12) }
    ),
    number!(
        "eth.vlan",
        "The last VLAN of an Ethernet frame, if it has one.",
        |frame| {
            let vlan = ethernet(frame)?.vlan;
            (vlan != 0).then_some(vlan.into())
        }
    ),
    bytes!(
        "ip.data",
        "What follows the header of an IP packet, and its extensions.",
        |packet| { Some(internet(packet)?.data..packet.len()) }
    ),
    number!(
        "ip.df",
        "1 for an IP packet that is not to be fragmented, else 0.",
        |packet| {
            match version(packet)? {
                4 => Some((*packet.get(6)? >> 6 & 1).into()),
                _ => Some(1),
            }
        }
    ),
    address!("ip.dst", "The destination of an IP packet.", 16, 24),
    Row {
        name: "ip.fp",
        usage: "[MODE]",
        doc: "What tells the sender of a SYN apart from others at its address, in eight bytes; MODE adds 1: its TTL, 2: its options, 4: its address.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: read_fingerprint,
    },
    bytes!(
        "ip.hdr",
        "The header of an IP packet, with its extensions.",
        |packet| { Some(0..internet(packet)?.data) }
    ),
    number!(
        "ip.proto",
        "The protocol within an IP packet: 6 is TCP, 17 UDP.",
        |packet| {
            match version(packet)? {
                4 => packet.get(9).copied().map(i64::from),
                _ => Some(internet(packet)?.protocol.into()),
            }
        }
    ),
    address!("ip.src", "The source of an IP packet.", 12, 8),
    number!(
        "ip.tos",
        "The type of service of an IP packet, or its traffic class.",
        |packet| { type_of_service(packet).map(i64::from) }
    ),
    number!(
        "ip.ttl",
        "How many more routers may pass an IP packet on.",
        |packet| { time_to_live(packet).map(i64::from) }
    ),
    number!("ip.ver", "The version of an IP packet.", |packet| {
        packet.first().map(|byte| (byte >> 4).into())
    }),
    number!(
        "tcp.dst",
        "The destination port of a TCP segment.",
        |segment| { Some(fixed(segment)?.u16(2).into()) }
    ),
    number!(
        "tcp.flags",
        "The flags of a TCP segment, from FIN, 1, to CWR, 128.",
        |segment| { Some(fixed(segment)?.0[13].into()) }
    ),
    number!(
        "tcp.options.mss",
        "The largest segment its sender takes; 0: it does not say.",
        |segment| {
            option_value(segment, MSS, |value| match value {
                [high, low, ..] => u16::from_be_bytes([*high, *low]).into(),
                _ => 0,
            })
        }
    ),
    number!(
        "tcp.options.sack",
        "1 where selective acknowledgements are permitted, else 0.",
        |segment| { option_value(segment, SACK_PERMITTED, |_| 1) }
    ),
    number!(
        "tcp.options.tsopt",
        "1 where there is a time stamp, else 0.",
        |segment| { option_value(segment, TIME_STAMP, |_| 1) }
    ),
    number!(
        "tcp.options.tsval",
        "The time stamp; 0: there is none.",
        |segment| {
            option_value(segment, TIME_STAMP, |value| match value {
                [a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]).into(),
                _ => 0,
            })
        }
    ),
    number!(
        "tcp.options.wscale",
        "By how many bits windows are scaled; 0: they are not.",
        |segment| {
            option_value(segment, WINDOW_SCALE, |value| {
                value.first().copied().unwrap_or(0).into()
            })
        }
    ),
    number!(
        "tcp.options.wsopt",
        "1 where windows are scaled, else 0.",
        |segment| { option_value(segment, WINDOW_SCALE, |_| 1) }
    ),
    Row {
        name: "tcp.options_list",
        usage: "",
        doc: "The kinds of a TCP segment's options, in order, one byte each.",
        input: Type::Binary,
        output: Some(Type::Binary),
        read: |_, _| {
            pure(|value| {
                let segment = value.into_binary();
                binary(kinds(header(&segment)?).collect())
            })
        },
    },
    number!(
        "tcp.seq",
        "The sequence number of a TCP segment.",
        |segment| {
            let Fixed(bytes) = fixed(segment)?;
            Some(u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]).into())
        }
    ),
    number!("tcp.src", "The source port of a TCP segment.", |segment| {
        Some(fixed(segment)?.u16(0).into())
    }),
    number!(
        "tcp.win",
        "The window of a TCP segment, as it stands there.",
        |segment| { Some(fixed(segment)?.u16(14).into()) }
    ),
];

// ---- Ethernet

const VLAN_TAG: u16 = 0x8100;

struct Ethernet {
    protocol: u16,
    /// The last one; 0: none.
    vlan: u16,
    /// Where the header ends.
    data: usize,
}

fn ethernet(frame: &[u8]) -> Option<Ethernet> {
    let (mut at, mut vlan) = (12, 0);
    loop {
        // A header alone, without a byte of data, is not taken for one.
        let protocol = word(frame, at).filter(|_| at + 2 < frame.len())?;
        if protocol != VLAN_TAG {
            let data = at + 2;
            return Some(Ethernet {
                protocol,
                vlan,
                data,
            });
        }
        vlan = word(frame, at + 2).unwrap_or(0) & 0xfff;
        at += 4;
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

// ---- IP

const TCP: u8 = 6;
const UDP: u8 = 17;

/// 4 or 6.
fn version(packet: &[u8]) -> Option<u8> {
    let version = packet.first()? >> 4;
    matches!(version, 4 | 6).then_some(version)
}

struct Internet {
    protocol: u8,
    /// Where header and extensions end.
    data: usize,
}

fn internet(packet: &[u8]) -> Option<Internet> {
    if version(packet)? == 4 {
        let data = usize::from(packet[0] & 15) * 4;
        let protocol = packet.get(9).copied().unwrap_or(0);
        return (data > 0 && packet.len() >= data).then_some(Internet { protocol, data });
    }
    let (mut data, mut protocol) = (40, *packet.get(6).filter(|_| packet.len() >= 40)?);
    while !matches!(protocol, TCP | UDP) {
        let extension = packet.get(data..data + 2)?;
        protocol = extension[0];
        data += usize::from(extension[1]) * 8 + 8;
    }
    (packet.len() >= data).then_some(Internet { protocol, data })
}

fn ip(packet: &[u8], at4: usize, at6: usize) -> Option<IpAddr> {
    match version(packet)? {
        4 => {
            let address: [u8; 4] = packet.get(..20)?[at4..at4 + 4].try_into().ok()?;
            Some(address.into())
        }
        _ => {
            let address: [u8; 16] = packet.get(..40)?[at6..at6 + 16].try_into().ok()?;
            Some(address.into())
        }
    }
}

fn type_of_service(packet: &[u8]) -> Option<u8> {
    match version(packet)? {
        4 => packet.get(1).copied(),
        _ => word(packet, 0).map(|word| (word >> 4) as u8),
    }
}

fn time_to_live(packet: &[u8]) -> Option<u8> {
    match version(packet)? {
        4 => packet.get(8).filter(|_| packet.len() >= 20).copied(),
        _ => packet.get(7).filter(|_| packet.len() >= 40).copied(),
    }
}

// ---- TCP

const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const TIME_STAMP: u8 = 8;

/// The fixed part of a TCP header.
struct Fixed<'a>(&'a [u8; 20]);

impl Fixed<'_> {
    fn u16(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }
}

fn fixed(segment: &[u8]) -> Option<Fixed<'_>> {
    segment.first_chunk().map(Fixed)
}

/// A whole TCP header, options included.
fn header(segment: &[u8]) -> Option<&[u8]> {
    let length = usize::from(segment.get(12)? >> 4) * 4;
    segment.get(..length).filter(|header| header.len() >= 20)
}

/// The options of a header: kinds, and values where they are whole.
fn options(header: &[u8]) -> impl Iterator<Item = (u8, Option<&[u8]>)> {
    let mut rest = &header[20..];
    std::iter::from_fn(move || {
        let (&kind, after) = rest.split_first().filter(|(kind, _)| **kind != 0)?;
        let length = match (kind, after.first()) {
            (1, _) => 1,
            (_, Some(&length @ 2..)) => usize::from(length),
            // It has no length: nothing behind it can be understood.
            _ => rest.len() + 1,
        };
        let whole = rest.get(..length);
        rest = rest.get(length..).unwrap_or_default();
        let value = whole.map(|option| option.get(2..).unwrap_or_default());
        Some((kind, value))
    })
}

/// The kinds of all options, the last of which may be cut off.
fn kinds(header: &[u8]) -> impl Iterator<Item = u8> {
    options(header).map(|(kind, _)| kind)
}

/// What an option says; 0 where there is none of this kind.
fn option_value(segment: &[u8], kind: u8, read: fn(&[u8]) -> i64) -> Option<i64> {
    let mut options = options(header(segment)?);
    let value = options.find_map(|(known, value)| value.filter(|_| known == kind));
    Some(value.map_or(0, read))
}

// ---- What tells senders apart

/// Parts that are added to a fingerprint.
const WITH_TTL: i64 = 1;
const WITH_OPTIONS: i64 = 2;
const WITH_ADDRESS: i64 = 4;

fn read_fingerprint(
    arguments: &mut Arguments,
    _: &Scope<'_>,
) -> Result<Box<dyn Convert>, Diagnostic> {
    let mode = arguments.optional_integer("a mode")?.unwrap_or(0);
    pure(move |value| binary(fingerprint(&value.into_binary(), mode)?))
}

fn fingerprint(packet: &[u8], mode: i64) -> Option<Vec<u8>> {
    let ip6 = version(packet)? == 6;
    let iplen = internet(packet)?.data;
    let (length, fragments, extended) = match ip6 {
        false => (
            word(packet, 2)?,
            packet.get(6)? & 0x40 == 0,
            packet[0] & 15 != 5,
        ),
        true => {
            let plain = matches!(packet[6], TCP | UDP);
            (word(packet, 4)?.wrapping_add(40), false, !plain)
        }
    };
    let segment = &packet[iplen..];
    let header = header(segment)?;
    let data = usize::from(length)
        .checked_sub(iplen)?
        .checked_sub(header.len())?;
    let ttl = match ip6 {
        false => *packet.get(8)?,
        true => packet[7],
    };
    let ttl_class = match ttl {
        0..=32 => 0,
        33..=64 => 1,
        65..=128 => 2,
        129.. => 3,
    };
    let flags = u8::from(ip6) << 7
        | u8::from(!fragments) << 6
        | ttl_class << 4
        | u8::from(extended) << 3
        | u8::from(data > 0) << 2
        | header[13] >> 6;
    let (mss, scale, mask, listed) = options_of_fingerprint(header);
    let mut print = vec![
        type_of_service(packet)?,
        flags,
        (header.len() as u8) << 2 | scale,
    ];
    print.extend_from_slice(&header[14..16]);
    print.extend_from_slice(&mss);
    print.push(mask);
    if mode & WITH_TTL != 0 {
        print.push(ttl);
    }
    if mode & WITH_OPTIONS != 0 {
        print.extend_from_slice(&listed);
    }
    if mode & WITH_ADDRESS != 0 {
        match ip(packet, 12, 8)? {
            IpAddr::V4(address) => print.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => print.extend_from_slice(&address.octets()),
        }
    }
    Some(print)
}

/// The largest segment, how windows are scaled and one more, which options there are, and their kinds.
fn options_of_fingerprint(header: &[u8]) -> ([u8; 2], u8, u8, Vec<u8>) {
    let (mut mss, mut scale, mut mask, mut listed) = ([0; 2], 0, 0, Vec::new());
    for (kind, value) in options(header) {
        let Some(value) = value else { break };
        listed.push(kind);
        match (kind, value) {
            (MSS, [high, low, ..]) => mss = [*high, *low],
            (WINDOW_SCALE, [bits, ..]) => scale = bits.saturating_add(1).min(15),
            _ => {}
        }
        if kind >= 2 {
            mask |= 1 << (kind - 2).min(7);
        }
    }
    (mss, scale, mask, listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    /// An Ethernet frame with a SYN: VLAN 5, IPv4, TTL 64, from 10.0.0.1 port 4660 to 10.0.0.2 port 80.
    const FRAME: &str = "0102030405060708090a0b0c81000005080045b8003c00014000400600000a0000010a000002\
        12340050000000010000000000a002ffff000000000204ffd70402080a0000002a0000000001030307";
    /// The same within IPv6, behind an extension, from 2001:db8::1.
    const SIX: &str = "6b800000003000402001 0db8000000000000000000000001 20010db8000000000000000000000002 0600000000000000 \
        123400500000000100000000a002ffff000000000204ffd70402080a0000002a0000000001030307";

    #[test]
    fn headers_are_taken_apart() {
        let frame = FRAME.replace("0000000000a002", "00000000a002");
        let six = SIX.replace([' ', '\n'], "");
        for (text, converters, expected) in [
            (&frame, "eth.dst,hex", Some("010203040506")),
            (&frame, "eth.src,hex", Some("0708090A0B0C")),
            (&frame, "eth.vlan", Some("5")),
            (&frame, "eth.proto", Some("2048")),
            (
                &frame,
                "eth.hdr,hex",
                Some("0102030405060708090A0B0C810000050800"),
            ),
            (&frame, "eth.data,ip.ver", Some("4")),
            (&frame, "eth.data,ip.src", Some("10.0.0.1")),
            (&frame, "eth.data,ip.dst", Some("10.0.0.2")),
            (&frame, "eth.data,ip.tos", Some("184")),
            (&frame, "eth.data,ip.ttl", Some("64")),
            (&frame, "eth.data,ip.df", Some("1")),
            (&frame, "eth.data,ip.proto", Some("6")),
            (&frame, "eth.data,ip.data,tcp.src", Some("4660")),
            (&frame, "eth.data,ip.data,tcp.dst", Some("80")),
            (&frame, "eth.data,ip.data,tcp.seq", Some("1")),
            (&frame, "eth.data,ip.data,tcp.flags", Some("2")),
            (&frame, "eth.data,ip.data,tcp.win", Some("65535")),
            (&frame, "eth.data,ip.data,tcp.options.mss", Some("65495")),
            (&frame, "eth.data,ip.data,tcp.options.wscale", Some("7")),
            (&frame, "eth.data,ip.data,tcp.options.wsopt", Some("1")),
            (&frame, "eth.data,ip.data,tcp.options.sack", Some("1")),
            (&frame, "eth.data,ip.data,tcp.options.tsval", Some("42")),
            (
                &frame,
                "eth.data,ip.data,tcp.options_list,hex",
                Some("0204080103"),
            ),
            (&frame, "eth.data,ip.fp,hex", Some("B850A8FFFFFFD747")),
            (
                &frame,
                "eth.data,ip.fp(7),hex",
                Some("B850A8FFFFFFD7474002040801030A000001"),
            ),
            (&six, "ip.src", Some("2001:db8::1")),
            (&six, "ip.tos", Some("184")),
            (&six, "ip.proto", Some("6")),
            (&six, "ip.hdr,bytes(38),hex", Some("00020600000000000000")),
            (&six, "ip.data,tcp.dst", Some("80")),
            (&six, "ip.fp,hex", Some("B8D8A8FFFFFFD747")),
            (&frame, "ip.ver", Some("0")),
            (&frame, "ip.src", None),
            (&frame, "eth.data,tcp.options.mss", None),
        ] {
            let found = Bench::default().evaluate(&format!("bin({text}),{converters}"));
            assert_eq!(found.as_deref(), expected, "{converters}");
        }
    }

    #[test]
    fn nothing_is_read_that_is_not_there() {
        let six = SIX.replace([' ', '\n'], "");
        let bytes = |text: &str| -> Vec<u8> {
            let digits = text.as_bytes().chunks(2);
            digits
                .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect()
        };
        for whole in [bytes(FRAME), bytes(&six)] {
            for (start, end) in (0..whole.len())
                .flat_map(|start| (start..=whole.len()).map(move |end| (start, end)))
            {
                let cut = &whole[start..end];
                let _ = (
                    ethernet(cut),
                    internet(cut),
                    fingerprint(cut, 7),
                    ip(cut, 12, 8),
                );
                if let Some(header) = header(cut) {
                    assert!(options(header).count() <= 40);
                }
            }
        }
    }
}
