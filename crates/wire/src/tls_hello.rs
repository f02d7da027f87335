//! The first message of a TLS client, read without taking part in the handshake: for routing by name and for samples.
//!
//! Read is what one record carries (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2); clients send their hello in one.
//! What is absent: decryption, and hellos that are spread over several records or come in the form of SSL 2.

/// Length of a record's head.
const RECORD_HEAD_BYTES: usize = 5;

/// Longest content of a record that is not encrypted (RFC 8446 section 5.1).
const RECORD_BYTES_MAX: usize = 1 << 14;

/// Most extensions looked at.
const EXTENSIONS_MAX: usize = 256;

const CONTENT_HANDSHAKE: u8 = 22;
const TYPE_CLIENT_HELLO: u8 = 1;
const TYPE_SERVER_HELLO: u8 = 2;

/// Numbers of extensions (RFC 8446 section 4.2).
mod extension {
    pub(super) const SERVER_NAME: u16 = 0;
    pub(super) const GROUPS: u16 = 10;
    pub(super) const POINT_FORMATS: u16 = 11;
    pub(super) const SIGNATURES: u16 = 13;
    pub(super) const PROTOCOLS: u16 = 16;
    pub(super) const SESSION_TICKET: u16 = 35;
    pub(super) const VERSIONS: u16 = 43;
    pub(super) const KEY_SHARES: u16 = 51;
}

/// What the beginning of a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning<'a> {
    /// It may become a hello when more bytes come.
    Partial,
    /// It is none, and will not become one.
    Other,
    Client(Box<ClientHello<'a>>),
    /// A server's hello, or another message of a handshake, by its type.
    Handshake(u8),
}

impl Beginning<'_> {
    /// The type of the handshake message: 1 for a client's hello, 2 for a server's.
    pub fn message_type(&self) -> Option<u8> {
        match self {
            Self::Partial | Self::Other => None,
            Self::Client(_) => Some(TYPE_CLIENT_HELLO),
            Self::Handshake(number) => Some(*number),
        }
    }
}

/// What a client offers. Lists are as they stand in the message, without their lengths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The version in the message; TLS 1.3 says 0x0303 here (RFC 8446 section 4.1.2).
    pub version: u16,
    pub random: &'a [u8],
    pub session_id: &'a [u8],
    /// Two bytes each.
    pub cipher_suites: &'a [u8],
    /// The name of the server, when a usable one is asked for.
    pub server_name: Option<&'a [u8]>,
    /// Names of protocols, each behind a byte of length.
    pub protocols: Option<&'a [u8]>,
    /// Two bytes each.
    pub versions: Option<&'a [u8]>,
    /// Two bytes each.
    pub groups: Option<&'a [u8]>,
    pub point_formats: Option<&'a [u8]>,
    /// Two bytes each.
    pub signatures: Option<&'a [u8]>,
    pub key_shares: Option<&'a [u8]>,
    /// A ticket: `Some` and empty when the client only says that it knows tickets.
    pub session_ticket: Option<&'a [u8]>,
    /// All extensions.
    pub extensions: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// The protocols that the client offers, the most wanted first.
    pub fn protocol_names(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = Reader(self.protocols.unwrap_or_default());
        std::iter::from_fn(move || rest.short_list())
    }

    /// The numbers of the extensions, in their order.
    pub fn extension_numbers(&self) -> impl Iterator<Item = u16> {
        let mut rest = Reader(self.extensions);
        let next = move || {
            let number = rest.number()?;
            rest.list()?;
            Some(number)
        };
        std::iter::from_fn(next).take(EXTENSIONS_MAX)
    }

    /// Suites, without the meaningless ones that keep servers tolerant (RFC 8701).
    pub fn suites(&self) -> impl Iterator<Item = u16> {
        numbers(self.cipher_suites)
    }

    /// The highest version that the client offers.
    pub fn version_max(&self) -> u16 {
        let offered = numbers(self.versions.unwrap_or_default()).max();
        offered.map_or(self.version, |highest| highest.max(self.version))
    }
}

/// Pairs of bytes as numbers, without GREASE.
fn numbers(list: &[u8]) -> impl Iterator<Item = u16> {
    let pairs = list
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    pairs.filter(|number| number & 0x0f0f != 0x0a0a || number >> 8 != number & 0xff)
}

/// Reads the beginning of what a peer sends.
pub fn parse(bytes: &[u8]) -> Beginning<'_> {
    match bytes {
        [] => return Beginning::Partial,
        [CONTENT_HANDSHAKE] | [CONTENT_HANDSHAKE, 3] => return Beginning::Partial,
        [CONTENT_HANDSHAKE, 3, ..] => {}
        _ => return Beginning::Other,
    }
    let Some(head) = bytes.get(..RECORD_HEAD_BYTES) else {
        return Beginning::Partial;
    };
    let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
    if length == 0 || length > RECORD_BYTES_MAX {
        return Beginning::Other;
    }
    let available = &bytes[RECORD_HEAD_BYTES..];
    match available.first() {
        None => return Beginning::Partial,
        Some(&TYPE_CLIENT_HELLO) => {}
        Some(&other @ (0 | TYPE_SERVER_HELLO..=24)) => return Beginning::Handshake(other),
        Some(_) => return Beginning::Other,
    }
    let Some(record) = available.get(..length) else {
        return Beginning::Partial;
    };
    match hello(&record[1..]) {
        Some(hello) => Beginning::Client(Box::new(hello)),
        None => Beginning::Other,
    }
}

/// A message behind its type.
fn hello(message: &[u8]) -> Option<ClientHello<'_>> {
    let mut reader = Reader(message);
    let length = reader.take(3)?;
    let length = u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
    let mut body = Reader(reader.take(length)?);
    let mut hello = ClientHello {
        version: body.number()?,
        random: body.take(32)?,
        session_id: body.short_list()?,
        cipher_suites: body.list()?,
        ..ClientHello::default()
    };
    let _compressions = body.short_list()?;
    if body.0.is_empty() {
        return Some(hello); // extensions are younger than hellos
    }
    hello.extensions = body.list()?;
    let mut extensions = Reader(hello.extensions);
    for _ in 0..EXTENSIONS_MAX {
        if extensions.0.is_empty() {
            return Some(hello);
        }
        let (number, content) = (extensions.number()?, extensions.list()?);
        let mut content = Reader(content);
        match number {
            extension::SERVER_NAME => hello.server_name = server_name(content.list()?),
            extension::GROUPS => hello.groups = Some(content.list()?),
            extension::POINT_FORMATS => hello.point_formats = Some(content.short_list()?),
            extension::SIGNATURES => hello.signatures = Some(content.list()?),
            extension::PROTOCOLS => hello.protocols = Some(content.list()?),
            extension::VERSIONS => hello.versions = Some(content.short_list()?),
            extension::KEY_SHARES => hello.key_shares = Some(content.list()?),
            extension::SESSION_TICKET => hello.session_ticket = Some(content.0),
            _ => {}
        }
    }
    None
}

/// The first name that is the name of a host (RFC 6066 section 3).
fn server_name(list: &[u8]) -> Option<&[u8]> {
    let mut list = Reader(list);
    while !list.0.is_empty() {
        let (kind, name) = (list.take(1)?[0], list.list()?);
        if kind == 0 && !name.is_empty() {
            return Some(name);
        }
    }
    None
}

/// Takes bytes from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Bytes behind two bytes of length.
    fn list(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::from(length))
    }

    /// Bytes behind one byte of length.
    fn short_list(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind_length(bytes: &[u8]) -> Vec<u8> {
        let mut out = (bytes.len() as u16).to_be_bytes().to_vec();
        out.extend_from_slice(bytes);
        out
    }

    /// A hello for `name` with some extensions.
    fn sample(name: &[u8]) -> Vec<u8> {
        let mut extensions = Vec::new();
        let mut add = |number: u16, content: &[u8]| {
            extensions.extend_from_slice(&number.to_be_bytes());
            extensions.extend_from_slice(&behind_length(content));
        };
        let mut entry = vec![0];
        entry.extend_from_slice(&behind_length(name));
        add(extension::SERVER_NAME, &behind_length(&entry));
        add(extension::PROTOCOLS, &behind_length(b"\x02h2\x08http/1.1"));
        add(extension::VERSIONS, b"\x06\x7a\x7a\x03\x04\x03\x03");
        add(extension::GROUPS, &behind_length(&[0x0a, 0x0a, 0, 29]));
        add(0xffff, b"");
        let mut body = vec![3, 3];
        body.extend_from_slice(&[7; 32]);
        body.push(0);
        body.extend_from_slice(&behind_length(&[0x1a, 0x1a, 0x13, 0x01, 0xc0, 0x2f]));
        body.extend_from_slice(&[1, 0]);
        body.extend_from_slice(&behind_length(&extensions));
        let mut message = vec![TYPE_CLIENT_HELLO, 0];
        message.extend_from_slice(&behind_length(&body));
        let mut record = vec![CONTENT_HANDSHAKE, 3, 1];
        record.extend_from_slice(&behind_length(&message));
        record
    }

    #[test]
    fn a_hello_tells_what_is_offered() {
        let bytes = sample(b"www.site.test");
        let Beginning::Client(hello) = parse(&bytes) else {
            panic!("a hello")
        };
        assert_eq!(hello.server_name, Some(&b"www.site.test"[..]));
        let names: Vec<_> = hello.protocol_names().collect();
        assert_eq!(names, [&b"h2"[..], b"http/1.1"]);
        assert_eq!(hello.suites().collect::<Vec<_>>(), [0x1301, 0xc02f]);
        assert_eq!((hello.version, hello.version_max()), (0x0303, 0x0304));
        assert_eq!(parse(&bytes).message_type(), Some(1));
    }

    #[test]
    fn what_is_missing_is_waited_for() {
        let bytes = sample(b"a.test");
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Beginning::Partial, "{end} bytes");
        }
        let mut more = bytes.clone();
        more.extend_from_slice(b"what follows");
        assert!(matches!(parse(&more), Beginning::Client(_)));
    }

    #[test]
    fn what_is_no_hello_is_told_early() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            &[22, 2, 0],
            &[22, 3, 1, 0, 0],
            &[22, 3, 1, 0xff, 0xff],
            &[23, 3, 3, 0, 1, 0],
            &[22, 3, 1, 0, 4, 1, 0, 0, 0],
        ] {
            assert_eq!(parse(bytes), Beginning::Other, "{bytes:?}");
        }
        assert_eq!(parse(&[22, 3, 3, 0, 9, 2]).message_type(), Some(2));
    }

    #[test]
    fn any_single_change_is_survived() {
        let bytes = sample(b"www.site.test");
        for index in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[index] = value;
                if let Beginning::Client(hello) = parse(&changed) {
                    hello.protocol_names().for_each(drop);
                    hello.suites().for_each(drop);
                    hello.version_max();
                }
            }
        }
    }
}
