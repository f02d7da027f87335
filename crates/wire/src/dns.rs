//! DNS messages as a stub resolver exchanges them (RFC 1035; RFC 2782: services; RFC 6891: larger answers).
//!
//! ```text
//!  id │ flags │ counts of the four sections ║ question ║ answers ║ authority ║ additional
//!  2  │ 2     │ 2 2 2 2                     ║ name type class    ║ name type class ttl length data …
//! ```
//! A question for one name is written, and what belongs to it is taken from an answer: the addresses at the end of its
//! aliases, or its services with the addresses that came along. Nothing that the answer says of other names is believed.
//! What is absent: sockets, retries, and what an address is good for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name in text form, in bytes (RFC 1035 section 3.1 counts 255 with the lengths of its labels).
pub const NAME_BYTES_MAX: usize = 253;

/// Longest label of a name.
const LABEL_BYTES_MAX: usize = 63;

/// Records looked at in one answer; what comes behind is left out.
const RECORDS_MAX: usize = 1_024;

/// Aliases followed from the name that was asked for.
const ALIASES_MAX: usize = 16;

/// Jumps within one compressed name.
const JUMPS_MAX: usize = 32;

const HEADER_BYTES: usize = 12;
const CLASS_INTERNET: u16 = 1;
const TYPE_OPTIONS: u16 = 41;

/// What is asked of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    V4,
    V6,
    Services,
}

impl Kind {
    fn number(self) -> u16 {
        match self {
            Self::V4 => 1,
            Self::V6 => 28,
            Self::Services => 33,
        }
    }
}

const TYPE_ALIAS: u16 = 5;

/// A question about one name.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub id: u16,
    pub name: &'a str,
    pub kind: Kind,
}

/// A place where a service is offered (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    /// The host, in lower case and without a dot at its end.
    pub target: String,
    /// The host's addresses, as far as they came along.
    pub addresses: Vec<IpAddr>,
}

/// What was found; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Addresses(Vec<IpAddr>),
    Services(Vec<Service>),
}

/// Why an answer holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// It answers another question: a late one, or a forged one. The right one may still come.
    NotOurs,
    /// It cannot be read.
    Malformed,
    /// It did not fit and should be asked for over TCP.
    Truncated,
    /// There is no such name (`NXDOMAIN`).
    NoName,
    Refused,
    /// The server failed in another way; its code.
    Failed(u8),
    /// The name exists, but nothing of this kind belongs to it.
    Nothing,
}

impl Question<'_> {
    /// The message that asks it; `payload_bytes` is the size that an answer may have over UDP. `None`: the name cannot be
    /// that of a host.
    #[must_use]
    pub fn message(&self, payload_bytes: u16) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.name.len() + 18);
        let recursion_desired = 0x0100_u16;
        for word in [self.id, recursion_desired, 1, 0, 0, 1] {
            out.extend(word.to_be_bytes());
        }
        write_name(self.name, &mut out)?;
        out.extend(self.kind.number().to_be_bytes());
        out.extend(CLASS_INTERNET.to_be_bytes());
        // RFC 6891 section 6.1.2: the root's name, the type, the size in place of the class, and neither flags nor data.
        out.push(0);
        out.extend(TYPE_OPTIONS.to_be_bytes());
        out.extend(payload_bytes.to_be_bytes());
        out.extend([0; 6]);
        Some(out)
    }

    /// What an answer to it says.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn read(&self, message: &[u8]) -> Result<Found, Lack> {
        let mut reader = Reader {
            bytes: message,
            at: 0,
        };
        let counts = self.header(&mut reader)?;
        let records = reader.records(counts).ok_or(Lack::Malformed)?;
        let name = end_of_aliases(&records, &normal(self.name)).ok_or(Lack::Malformed)?;
        let found = match self.kind {
            Kind::V4 | Kind::V6 => {
                let wanted = |ip: &IpAddr| ip.is_ipv4() == (self.kind == Kind::V4);
                let addresses = addresses_of(&records, &name).filter(wanted).collect();
                Found::Addresses(addresses)
            }
            Kind::Services => Found::Services(services_of(&records, &name)),
        };
        match &found {
            Found::Addresses(list) if list.is_empty() => Err(Lack::Nothing),
            Found::Services(list) if list.is_empty() => Err(Lack::Nothing),
            _ => Ok(found),
        }
    }

    /// Reads the header and the question; returns how many records follow.
    fn header(&self, reader: &mut Reader<'_>) -> Result<usize, Lack> {
        let mut words = [0; 6];
        for word in &mut words {
            *word = reader.word().ok_or(Lack::Malformed)?;
        }
        let [id, flags, questions, answers, authorities, additional] = words;
        let is_response = flags & 0x8000 != 0;
        if id != self.id || !is_response {
            return Err(Lack::NotOurs);
        }
        // Some servers leave the question out of what they refuse.
        if questions == 1 {
            let name = reader.name().ok_or(Lack::Malformed)?;
            let kind = reader.word().ok_or(Lack::Malformed)?;
            reader.word().ok_or(Lack::Malformed)?;
            if name != normal(self.name) || kind != self.kind.number() {
                return Err(Lack::NotOurs);
            }
        }
        let is_truncated = flags & 0x0200 != 0;
        match (flags & 0xf) as u8 {
            0 if questions != 1 => Err(Lack::NotOurs),
            0 if is_truncated => Err(Lack::Truncated),
            0 => Ok([answers, authorities, additional]
                .map(usize::from)
                .iter()
                .sum()),
            3 => Err(Lack::NoName),
            5 => Err(Lack::Refused),
            code => Err(Lack::Failed(code)),
        }
    }
}

/// A name as it is compared: in lower case and without a dot at its end.
fn normal(name: &str) -> String {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase()
}

fn write_name(name: &str, out: &mut Vec<u8>) -> Option<()> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return None;
    }
    for label in name.split('.') {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        let fits = (1..=LABEL_BYTES_MAX).contains(&label.len());
        if !fits || !label.bytes().all(is_plain) {
            return None;
        }
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    Some(())
}

/// A record of a kind that matters here.
struct Record {
    owner: String,
    data: Data,
}

enum Data {
    Alias(String),
    Address(IpAddr),
    Service(Service),
}

fn end_of_aliases(records: &[Record], name: &str) -> Option<String> {
    let mut name = name.to_owned();
    for _ in 0..=ALIASES_MAX {
        let alias = records.iter().find_map(|record| match &record.data {
            Data::Alias(target) if record.owner == name => Some(target),
            _ => None,
        });
        match alias {
            None => return Some(name),
            Some(target) => name.clone_from(target),
        }
    }
    None
}

fn addresses_of<'a>(records: &'a [Record], name: &'a str) -> impl Iterator<Item = IpAddr> + 'a {
    let owned = records.iter().filter(move |record| record.owner == name);
    owned.filter_map(|record| match record.data {
        Data::Address(ip) => Some(ip),
        _ => None,
    })
}

fn services_of(records: &[Record], name: &str) -> Vec<Service> {
    let owned = records.iter().filter(|record| record.owner == name);
    let services = owned.filter_map(|record| match &record.data {
        Data::Service(service) => Some(Service {
            addresses: addresses_of(records, &service.target).collect(),
            ..service.clone()
        }),
        _ => None,
    });
    services.collect()
}

/// A cursor over a message.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let piece = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(piece)
    }

    fn word(&mut self) -> Option<u16> {
        let piece = self.take(2)?.first_chunk()?;
        Some(u16::from_be_bytes(*piece))
    }

    /// A name, in its normal form; jumps lead backwards only, so that they end.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let (mut at, mut behind) = (self.at, None);
        for _ in 0..JUMPS_MAX {
            let start = at;
            loop {
                let length = usize::from(*self.bytes.get(at)?);
                match length {
                    0 => {
                        self.at = behind.unwrap_or(at + 1);
                        return Some(name);
                    }
                    1..=LABEL_BYTES_MAX => {
                        let label = self.bytes.get(at + 1..at + 1 + length)?;
                        push_label(label, &mut name)?;
                        at += 1 + length;
                    }
                    0xc0.. => {
                        let low = usize::from(*self.bytes.get(at + 1)?);
                        behind = behind.or(Some(at + 2));
                        at = (length & 0x3f) << 8 | low;
                        break;
                    }
                    _ => return None,
                }
            }
            if at >= start {
                return None;
            }
        }
        None
    }

    /// The records that follow, as far as they matter.
    fn records(&mut self, count: usize) -> Option<Vec<Record>> {
        let mut records = Vec::new();
        for _ in 0..count.min(RECORDS_MAX) {
            let owner = self.name()?;
            let (kind, class) = (self.word()?, self.word()?);
            self.take(4)?; // how long it may be kept: asking again has a rhythm of its own
            let length = usize::from(self.word()?);
            let end = self.at.checked_add(length)?;
            self.bytes.get(self.at..end)?;
            if class == CLASS_INTERNET
                && let Some(data) = self.data(kind, length)?
            {
                records.push(Record { owner, data });
            }
            self.at = end;
        }
        Some(records)
    }

    /// The data of a record; `Some(None)`: it is of another kind.
    fn data(&mut self, kind: u16, length: usize) -> Option<Option<Data>> {
        let data = match (kind, length) {
            (1, 4) => Data::Address(Ipv4Addr::from(*self.take(4)?.first_chunk::<4>()?).into()),
            (28, 16) => Data::Address(Ipv6Addr::from(*self.take(16)?.first_chunk::<16>()?).into()),
            (1 | 28, _) => return None,
            (TYPE_ALIAS, _) => Data::Alias(self.name()?),
            (33, _) => Data::Service(Service {
                priority: self.word()?,
                weight: self.word()?,
                port: self.word()?,
                target: self.name()?,
                addresses: Vec::new(),
            }),
            _ => return Some(None),
        };
        Some(Some(data))
    }
}

fn push_label(label: &[u8], name: &mut String) -> Option<()> {
    if !name.is_empty() {
        name.push('.');
    }
    // A dot within a label would make two names look alike.
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'.' | b'\\');
    if !label.iter().all(is_plain) || name.len() + label.len() > NAME_BYTES_MAX {
        return None;
    }
    name.extend(label.iter().map(|byte| byte.to_ascii_lowercase() as char));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUESTION: Question<'_> = Question {
        id: 7,
        name: "App.Example",
        kind: Kind::V4,
    };

    /// An answer with this header behind the id, the question, and these records.
    fn answer(question: &Question<'_>, flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for word in [question.id, 0x8180 | flags, 1, records.len() as u16, 0, 0] {
            out.extend(word.to_be_bytes());
        }
        write_name(question.name, &mut out).unwrap();
        out.extend(question.kind.number().to_be_bytes());
        out.extend([0, 1]);
        out.extend(records.concat());
        out
    }

    /// A record of a name, which is written in full or points to the question's (`""`).
    fn record(owner: &str, kind: u16, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match owner {
            "" => out.extend([0xc0, 12]),
            owner => write_name(owner, &mut out).unwrap(),
        }
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60]);
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
        out
    }

    fn name(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write_name(text, &mut out).unwrap();
        out
    }

    fn addresses(list: &[&str]) -> Result<Found, Lack> {
        let list = list.iter().map(|text| text.parse().unwrap()).collect();
        Ok(Found::Addresses(list))
    }

    #[test]
    fn a_question_is_written_as_the_standards_say() {
        let message = QUESTION.message(512).unwrap();
        let expected = b"\0\x07\x01\0\0\x01\0\0\0\0\0\x01\x03App\x07Example\0\0\x01\0\x01\0\0\x29\x02\0\0\0\0\0\0\0";
        assert_eq!(message, expected);
        let long = "a".repeat(64);
        for name in ["", ".", "a..b", "a b", long.as_str()] {
            assert_eq!(Question { name, ..QUESTION }.message(512), None, "{name}");
        }
    }

    #[test]
    fn addresses_are_those_at_the_end_of_the_aliases() {
        let records = [
            record("", 5, &name("b.example")),
            record("c.example", 1, &[10, 0, 0, 1]),
            record("other.example", 1, &[10, 9, 9, 9]),
            record("b.example", 5, &name("C.example.")),
            record("c.example", 1, &[10, 0, 0, 2]),
            record("c.example", 16, b"\x04text"),
        ];
        let message = answer(&QUESTION, 0, &records);
        assert_eq!(
            QUESTION.read(&message),
            addresses(&["10.0.0.1", "10.0.0.2"])
        );
    }

    #[test]
    fn services_bring_their_addresses() {
        let question = Question {
            name: "_http._tcp.example",
            kind: Kind::Services,
            ..QUESTION
        };
        let service = [&[0, 1, 0, 200, 0x1f, 0x90][..], &name("h1.example")].concat();
        let records = [
            record("", 33, &service),
            record("h1.example", 1, &[10, 0, 0, 7]),
        ];
        let expected = Service {
            priority: 1,
            weight: 200,
            port: 8080,
            target: "h1.example".into(),
            addresses: vec!["10.0.0.7".parse().unwrap()],
        };
        let found = question.read(&answer(&question, 0, &records));
        assert_eq!(found, Ok(Found::Services(vec![expected])));
    }

    #[test]
    fn an_answer_without_an_address_tells_why() {
        let v6 = record("", 28, &[0; 16]);
        let circle = record("", 5, &name(QUESTION.name));
        for (flags, records, lack) in [
            (0, &[][..], Lack::Nothing),
            (0, &[v6][..], Lack::Nothing),
            (0, &[circle][..], Lack::Malformed),
            (0, &[record("", 1, &[1, 2, 3])][..], Lack::Malformed),
            (0x0200, &[][..], Lack::Truncated),
            (3, &[][..], Lack::NoName),
            (5, &[][..], Lack::Refused),
            (2, &[][..], Lack::Failed(2)),
        ] {
            let message = answer(&QUESTION, flags, records);
            assert_eq!(QUESTION.read(&message), Err(lack), "{message:?}");
        }
        let message = answer(&QUESTION, 0, &[record("", 1, &[10, 0, 0, 1])]);
        let other = |question: Question<'_>| question.read(&message);
        assert_eq!(other(Question { id: 8, ..QUESTION }), Err(Lack::NotOurs));
        assert_eq!(
            other(Question {
                name: "b.example",
                ..QUESTION
            }),
            Err(Lack::NotOurs)
        );
        assert_eq!(
            QUESTION.read(&QUESTION.message(512).unwrap()),
            Err(Lack::NotOurs)
        );
    }

    #[test]
    fn names_that_jump_in_circles_end() {
        let mut message = answer(&QUESTION, 0, &[record("", 1, &[10, 0, 0, 1])]);
        let owner = message.len() - 16;
        for target in [owner as u8, 255] {
            message[owner + 1] = target;
            assert_eq!(QUESTION.read(&message), Err(Lack::Malformed));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = QUESTION.read(&bytes);
            // Beyond the header and the question.
            bytes.splice(0..0, answer(&QUESTION, 0, &[]));
            bytes[7] = 4;
            if let Ok(Found::Addresses(list)) = QUESTION.read(&bytes) {
                prop_assert!(!list.is_empty() && list.iter().all(IpAddr::is_ipv4));
            }
        }
    }
}
