//! Converters of the packets with which MQTT connections begin: CONNECT and CONNACK (MQTT 3.1, 3.1.1 and 5.0).
//!
//! ```text
//! packet:  kind << 4 | flags, varint: length | content
//! CONNECT: name, version, flags, 2 keep-alive, [properties] | client, [will properties, topic, payload], [user], [password]
//! CONNACK: flags, reason, [properties]
//! ```
//! Texts and data have two bytes of length before them; properties have a varint, and each begins with its number.

use std::ops::Range;

use plimsoll_config::diagnostic::Diagnostic;

use super::{Convert, Row};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::expression::Scope;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "mqtt_field_value",
        usage: "PACKET,FIELD",
        doc: "A field, or a property by its number, of MQTT's CONNECT or CONNACK; waits for the whole packet.",
        input: Type::Binary,
        output: Some(Type::Text),
        read: read_field,
    },
    Row {
        name: "mqtt_is_valid",
        usage: "",
        doc: "Whether MQTT begins with a sound CONNECT or CONNACK; waits for the whole packet.",
        input: Type::Binary,
        output: Some(Type::Boolean),
        read: |_, _| Ok(Box::new(Valid)),
    },
];

/// Fewer bytes are no packet yet.
const PACKET_BYTES_MIN: usize = 2;

/// Most bytes of the length of a packet, or of its properties.
const LENGTH_BYTES_MAX: usize = 4;

const CONNECT: u8 = 1;
const CONNACK: u8 = 2;

/// Kinds of packets by their names; the first is number 1.
const PACKETS: [&str; 15] = [
    "connect",
    "connack",
    "publish",
    "puback",
    "pubrec",
    "pubrel",
    "pubcomp",
    "subscribe",
    "suback",
    "unsubscribe",
    "unsuback",
    "pingreq",
    "pingresp",
    "disconnect",
    "auth",
];

/// What a packet has beside its properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Flags,
    ReasonCode,
    ProtocolName,
    ProtocolVersion,
    ClientIdentifier,
    WillTopic,
    WillPayload,
    Username,
    Password,
    KeepAlive,
    Property(u8),
}

const PLACES: [(&str, Place, &[u8]); 10] = [
    ("flags", Place::Flags, &[CONNECT, CONNACK]),
    ("reason_code", Place::ReasonCode, &[CONNACK]),
    ("protocol_name", Place::ProtocolName, &[CONNECT]),
    (
        "protocol_version",
        Place::ProtocolVersion,
        &[CONNECT, CONNACK],
    ),
    ("client_identifier", Place::ClientIdentifier, &[CONNECT]),
    ("will_topic", Place::WillTopic, &[CONNECT]),
    ("will_payload", Place::WillPayload, &[CONNECT]),
    ("username", Place::Username, &[CONNECT]),
    ("password", Place::Password, &[CONNECT]),
    ("keepalive", Place::KeepAlive, &[CONNECT]),
];

/// What a property holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A number of so many bytes, and the range it has to be in.
    Number(usize, u32, u32),
    /// Text or data.
    Text,
    /// Likewise, and not empty.
    SomeText,
    /// Two texts; it may be repeated.
    Pair,
}

const FLAG: Shape = Shape::Number(1, 0, 1);
const U16: Shape = Shape::Number(2, 0, u16::MAX as u32);
const U32: Shape = Shape::Number(4, 0, u32::MAX);
const SOME16: Shape = Shape::Number(2, 1, u16::MAX as u32);
const SOME32: Shape = Shape::Number(4, 1, u32::MAX);

const USER_PROPERTY: u8 = 38;
const AUTHENTICATION_METHOD: u8 = 21;
const AUTHENTICATION_DATA: u8 = 22;

type Shapes = &'static [(u8, Shape)];

/// Properties of CONNECT (MQTT 5.0, section 3.1.2.11).
const OF_CONNECT: Shapes = &[
    (17, U32),
    (AUTHENTICATION_METHOD, Shape::Text),
    (AUTHENTICATION_DATA, Shape::Text),
    (23, FLAG),
    (25, FLAG),
    (33, SOME16),
    (34, U16),
    (USER_PROPERTY, Shape::Pair),
    (39, SOME32),
];

/// Properties of its will (section 3.1.3.2).
const OF_WILL: Shapes = &[
    (1, FLAG),
    (2, U32),
    (3, Shape::Text),
    (8, Shape::Text),
    (9, Shape::Text),
    (24, U32),
    (USER_PROPERTY, Shape::Pair),
];

/// Properties of CONNACK (section 3.2.2.3).
const OF_CONNACK: Shapes = &[
    (17, U32),
    (18, Shape::SomeText),
    (19, U16),
    (AUTHENTICATION_METHOD, Shape::Text),
    (AUTHENTICATION_DATA, Shape::Text),
    (26, Shape::Text),
    (28, Shape::Text),
    (31, Shape::Text),
    (33, SOME16),
    (34, U16),
    (36, FLAG),
    (37, FLAG),
    (USER_PROPERTY, Shape::Pair),
    (39, SOME32),
    (40, FLAG),
    (41, FLAG),
    (42, FLAG),
];

const VERSION_3_1_1: u32 = 4;
const VERSION_5_0: u32 = 5;

/// What was read at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Number(u32),
    Text(Range<usize>),
}

/// A whole packet, taken apart.
#[derive(Debug, Default)]
struct Packet {
    kind: u8,
    items: Vec<(Place, Item)>,
}

/// Why there is no packet.
#[derive(Debug, PartialEq, Eq)]
enum NoPacket {
    /// What follows may complete it.
    Partial,
    Bad,
}

/// The part of a packet that has not been read.
struct Reader<'a> {
    bytes: &'a [u8],
    rest: Range<usize>,
}

impl Reader<'_> {
    fn number(&mut self, size: usize) -> Option<u32> {
        let taken = self.take(size)?;
        let bytes = self.bytes[taken].iter();
        Some(bytes.fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn take(&mut self, length: usize) -> Option<Range<usize>> {
        let start = self.rest.start;
        (self.rest.len() >= length).then(|| {
            self.rest.start += length;
            start..start + length
        })
    }

    fn text(&mut self) -> Option<Range<usize>> {
        let length = self.number(2)?;
        self.take(length as usize)
    }

    /// A number of seven bits per byte, the lowest first; `Err`: it is longer than it may be.
    fn varint(&mut self) -> Result<Option<usize>, NoPacket> {
        let mut number = 0;
        for index in 0..LENGTH_BYTES_MAX {
            let Some(byte) = self.number(1) else {
                return Ok(None);
            };
            number |= (byte as usize & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(Some(number));
            }
        }
        Err(NoPacket::Bad)
    }

    /// The properties that may stand here, each once.
    fn properties(&mut self, shapes: Shapes, items: &mut Vec<(Place, Item)>) -> Option<()> {
        let length = self.varint().ok()??;
        let rest = self.take(length)?;
        let mut inner = Reader {
            bytes: self.bytes,
            rest,
        };
        while !inner.rest.is_empty() {
            let id = inner.number(1)? as u8;
            let (_, shape) = shapes.iter().find(|(known, _)| *known == id)?;
            let place = Place::Property(id);
            let item = match *shape {
                Shape::Pair => {
                    inner.text()?;
                    inner.text()?;
                    continue;
                }
                Shape::Text => Item::Text(inner.text()?),
                Shape::SomeText => Item::Text(inner.text().filter(|text| !text.is_empty())?),
                Shape::Number(size, min, max) => {
                    let number = inner.number(size)?;
                    Item::Number((min..=max).contains(&number).then_some(number)?)
                }
            };
            if items.iter().any(|(known, _)| *known == place) {
                return None;
            }
            items.push((place, item));
        }
        Some(())
    }
}

/// Reads the packet that `bytes` begin with.
fn parse(bytes: &[u8]) -> Result<Packet, NoPacket> {
    if bytes.len() < PACKET_BYTES_MIN {
        return Err(NoPacket::Partial);
    }
    let (kind, flags) = (bytes[0] >> 4, bytes[0] & 15);
    if !matches!(kind, CONNECT | CONNACK) || flags != 0 {
        return Err(NoPacket::Bad);
    }
    let mut reader = Reader {
        bytes,
        rest: 1..bytes.len(),
    };
    let length = reader.varint()?.ok_or(NoPacket::Partial)?;
    reader.rest = reader.take(length).ok_or(NoPacket::Partial)?;
    let mut packet = Packet {
        kind,
        items: Vec::new(),
    };
    let read = match kind {
        CONNECT => connect(&mut reader, &mut packet.items),
        _ => connack(&mut reader, &mut packet.items),
    };
    read.filter(|()| reader.rest.is_empty())
        .map(|()| packet)
        .ok_or(NoPacket::Bad)
}

/// CONNECT (MQTT 5.0, section 3.1).
fn connect(reader: &mut Reader<'_>, items: &mut Vec<(Place, Item)>) -> Option<()> {
    const RESERVED: u32 = 0x01;
    const WILL: u32 = 0x04;
    const WILL_DETAILS: u32 = 0x38;
    const PASSWORD: u32 = 0x40;
    const USERNAME: u32 = 0x80;
    let name = reader.text()?;
    let spelled = &reader.bytes[name.clone()];
    let known: [&[u8]; 2] = [b"MQTT", b"MQIsdp"];
    if !known
        .iter()
        .any(|known| spelled.eq_ignore_ascii_case(known))
    {
        return None;
    }
    let (version, flags) = (reader.number(1)?, reader.number(1)?);
    let orphan = flags & WILL == 0 && flags & WILL_DETAILS != 0;
    if !(3..=VERSION_5_0).contains(&version) || flags & RESERVED != 0 || orphan {
        return None;
    }
    items.push((Place::ProtocolName, Item::Text(name)));
    items.push((Place::ProtocolVersion, Item::Number(version)));
    items.push((Place::Flags, Item::Number(flags)));
    items.push((Place::KeepAlive, Item::Number(reader.number(2)?)));
    if version == VERSION_5_0 {
        reader.properties(OF_CONNECT, items)?;
        let filled = |id| {
            let mut items = items.iter();
            items.any(|(place, item)| {
                *place == Place::Property(id)
                    && matches!(item, Item::Text(text) if !text.is_empty())
            })
        };
        if filled(AUTHENTICATION_DATA) && !filled(AUTHENTICATION_METHOD) {
            return None;
        }
    }
    items.push((Place::ClientIdentifier, Item::Text(reader.text()?)));
    if version == VERSION_5_0 && flags & WILL != 0 {
        reader.properties(OF_WILL, items)?;
    }
    for (flag, place) in [
        (WILL, Place::WillTopic),
        (WILL, Place::WillPayload),
        (USERNAME, Place::Username),
        (PASSWORD, Place::Password),
    ] {
        if flags & flag != 0 {
            items.push((place, Item::Text(reader.text()?)));
        }
    }
    Some(())
}

/// CONNACK (MQTT 5.0, section 3.2). What has properties is of version 5.
fn connack(reader: &mut Reader<'_>, items: &mut Vec<(Place, Item)>) -> Option<()> {
    let (flags, reason) = (reader.number(1)?, reader.number(1)?);
    if flags > 1 {
        return None;
    }
    items.push((Place::Flags, Item::Number(flags)));
    items.push((Place::ReasonCode, Item::Number(reason)));
    let version = match reader.rest.is_empty() {
        true => VERSION_3_1_1,
        false => VERSION_5_0,
    };
    items.push((Place::ProtocolVersion, Item::Number(version)));
    if version == VERSION_5_0 {
        reader.properties(OF_CONNACK, items)?;
    }
    Some(())
}

struct Valid;

impl Convert for Valid {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        match parse(&value.into_binary()) {
            Err(NoPacket::Partial) => {
                context.may_change();
                None
            }
            known => {
                context.unsure.set(false);
                Some(Value::Boolean(known.is_ok()))
            }
        }
    }
}

struct Find {
    kind: u8,
    place: Place,
}

impl Find {
    /// What a packet says; numbers that it leaves out are 0 where it could say them.
    fn find(&self, packet: &Packet, bytes: &[u8]) -> Option<Vec<u8>> {
        if packet.kind != self.kind {
            return None;
        }
        let at = |place| {
            let mut items = packet.items.iter();
            items
                .find(|(known, _)| *known == place)
                .map(|(_, item)| item)
        };
        match at(self.place) {
            Some(Item::Number(number)) => Some(number.to_string().into_bytes()),
            Some(Item::Text(text)) => {
                let text = &bytes[text.clone()];
                (!text.is_empty()).then(|| text.to_vec())
            }
            None => {
                let Place::Property(id) = self.place else {
                    return None;
                };
                let is_5 = at(Place::ProtocolVersion) == Some(&Item::Number(VERSION_5_0));
                let of_will = self.kind == CONNECT && shape(OF_WILL, id).is_some();
                let possible = is_5 && (!of_will || at(Place::WillTopic).is_some());
                let is_number = matches!(property(self.kind, id)?, Shape::Number(..));
                (possible && is_number).then(|| b"0".to_vec())
            }
        }
    }
}

impl Convert for Find {
    fn convert<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let bytes = value.into_binary();
        let packet = parse(&bytes);
        match packet {
            Err(NoPacket::Partial) => context.may_change(),
            _ => context.unsure.set(false),
        }
        super::text(self.find(&packet.ok()?, &bytes)?)
    }
}

fn shape(shapes: Shapes, id: u8) -> Option<Shape> {
    let mut shapes = shapes.iter();
    shapes
        .find(|(known, _)| *known == id)
        .map(|(_, shape)| *shape)
}

/// What a property of a packet holds; `None`: it has none of this number.
fn property(kind: u8, id: u8) -> Option<Shape> {
    match kind {
        CONNECT => shape(OF_CONNECT, id).or_else(|| shape(OF_WILL, id)),
        CONNACK => shape(OF_CONNACK, id),
        _ => None,
    }
}

fn read_field(arguments: &mut Arguments, _: &Scope<'_>) -> Result<Box<dyn Convert>, Diagnostic> {
    let name = arguments.word("a packet of MQTT")?;
    let named = PACKETS
        .iter()
        .position(|known| name.eq_ignore_ascii_case(known));
    let kind = match named {
        Some(index) => index + 1,
        None => name.parse().unwrap_or(0),
    };
    if !(1..=PACKETS.len()).contains(&kind) {
        return Err(arguments.invalid(format_args!("'{name}' is not a packet of MQTT")));
    }
    let kind = kind as u8;
    let field = arguments.word("a field")?;
    let mut places = PLACES.iter();
    let named =
        places.find(|(known, _, kinds)| field.eq_ignore_ascii_case(known) && kinds.contains(&kind));
    let numbered = || {
        let id = field.parse().ok()?;
        property(kind, id).map(|_| Place::Property(id))
    };
    match named.map(|(_, place, _)| *place).or_else(numbered) {
        Some(place) => Ok(Box::new(Find { kind, place })),
        None => {
            let packet = PACKETS[usize::from(kind) - 1].to_uppercase();
            Err(arguments.invalid(format_args!(
                "'{field}' is no field of {packet} that is read"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn evaluate(packet: &[u8], converter: &str) -> Option<String> {
        use std::fmt::Write as _;
        let mut digits = String::new();
        for byte in packet {
            let _ = write!(digits, "{byte:02x}");
        }
        Bench::default().evaluate(&format!("bin({digits}),{converter}"))
    }

    fn packet(kind: u8, content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        let mut packet = vec![kind << 4, content.len() as u8];
        packet.extend(content);
        packet
    }

    /// A version 5 CONNECT with a will, a user and a password.
    fn whole() -> Vec<u8> {
        packet(
            CONNECT,
            &[
                b"\0\x04MQTT\x05\xc6\0\x3c",
                b"\x0e\x21\0\x14\x26\0\x01k\0\x01v\x17\x01\x19\0",
                b"\0\x02id",
                b"\x06\x18\0\0\0\x09\x01",
                b"\x01\0\x01t",
                b"\0\x01p\0\x01u\0\x02pw",
            ],
        )
    }

    #[test]
    fn packets_are_judged() {
        let old = packet(CONNECT, &[b"\0\x06MQIsdp\x03\x02\0\x0a\0\x01i"]);
        let will = packet(
            CONNECT,
            &[b"\0\x04MQTT\x05\xc6\0\x3c\0\0\x02id\x05\x18\0\0\0\x09\0\x01t\0\x01p\0\x01u\0\x02pw"],
        );
        for (bytes, expected) in [
            (old.clone(), Some("1")),
            (will.clone(), Some("1")),
            ([old.clone(), b"more".to_vec()].concat(), Some("1")),
            (packet(CONNACK, &[b"\0\0"]), Some("1")),
            (packet(CONNACK, &[b"\x01\x05\x03\x24\x01\x25"]), Some("0")),
            (
                packet(CONNACK, &[b"\x01\x05\x04\x24\x01\x25\x01"]),
                Some("1"),
            ),
            (packet(CONNACK, &[b"\x02\0"]), Some("0")),
            (packet(CONNACK, &[b"\0\0\x03\x12\0\0"]), Some("0")),
            (packet(3, &[b"\0\0"]), Some("0")),
            (vec![0x11, 0], Some("0")),
            (vec![0x10, 0xff, 0xff, 0xff, 0xff, 1], Some("0")),
            (vec![0x10, 0xff], None),
            (vec![0x10], None),
            (old[..old.len() - 1].to_vec(), None),
            (
                packet(CONNECT, &[b"\0\x04MQTX\x04\x02\0\x0a\0\x01i"]),
                Some("0"),
            ),
            (
                packet(CONNECT, &[b"\0\x04MQTT\x06\x02\0\x0a\0\x01i"]),
                Some("0"),
            ),
            (
                packet(CONNECT, &[b"\0\x04MQTT\x04\x03\0\x0a\0\x01i"]),
                Some("0"),
            ),
            (
                packet(CONNECT, &[b"\0\x04MQTT\x04\x20\0\x0a\0\x01i"]),
                Some("0"),
            ),
            (
                packet(CONNECT, &[b"\0\x04MQTT\x05\x02\0\x0a\x03\x21\0\0\0\x01i"]),
                Some("0"),
            ),
            (
                packet(
                    CONNECT,
                    &[b"\0\x04MQTT\x05\x02\0\x0a\x04\x16\0\x01x\0\x01i"],
                ),
                Some("0"),
            ),
        ] {
            let found = evaluate(&bytes, "mqtt_is_valid");
            assert_eq!(found.as_deref(), expected, "{}", bytes.escape_ascii());
        }
        for (field, expected) in [
            ("flags", Some("198")),
            ("Protocol_Name", Some("MQTT")),
            ("protocol_version", Some("5")),
            ("keepalive", Some("60")),
            ("client_identifier", Some("id")),
            ("will_topic", Some("t")),
            ("will_payload", Some("p")),
            ("username", Some("u")),
            ("password", Some("pw")),
            ("24", Some("9")),
            ("17", Some("0")),
            ("1", Some("0")),
            ("3", None),
        ] {
            for kind in ["CONNECT", "1"] {
                let found = evaluate(&will, &format!("mqtt_field_value({kind},{field})"));
                assert_eq!(found.as_deref(), expected, "{field}");
            }
        }
        assert_eq!(
            evaluate(&old, "mqtt_field_value(connect,17)"),
            None,
            "not in 3.1"
        );
        assert_eq!(evaluate(&old, "mqtt_field_value(connack,flags)"), None);
        let answer = packet(CONNACK, &[b"\x01\x05\x04\x24\x01\x25\x01"]);
        assert_eq!(
            evaluate(&answer, "mqtt_field_value(connack,reason_code)").as_deref(),
            Some("5")
        );
        assert_eq!(
            evaluate(&answer, "mqtt_field_value(connack,36)").as_deref(),
            Some("1")
        );
    }

    #[test]
    fn nothing_is_read_that_is_not_there() {
        let whole = whole();
        for end in 0..=whole.len() {
            for (place, byte) in
                (0..end).flat_map(|place| [0, 1, 0x7f, 0xff].map(|byte| (place, byte)))
            {
                let mut bytes = whole[..end].to_vec();
                bytes[place] = byte;
                let _ = parse(&bytes);
            }
        }
    }

    #[test]
    fn fields_have_to_be_known() {
        for arguments in [
            "",
            "connect",
            "nobody,flags",
            "0,flags",
            "16,flags",
            "connect,reason_code",
            "connack,24",
            "publish,flags",
        ] {
            Bench::default().refused(&format!("str(x),mqtt_field_value({arguments})"));
        }
    }
}
