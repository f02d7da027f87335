//! Addresses as `bind`, `server` and their like take them: `:80`, `10.0.0.1:80-90`, `unix@/run/a.sock`, `fd@3`.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use super::Malformed;
use crate::diagnostic::Span;

/// Longest path of a unix socket, in bytes.
pub const UNIX_PATH_BYTES_MAX: usize = 107;

/// Longest name of an abstract socket, in bytes.
pub const ABSTRACT_NAME_BYTES_MAX: usize = 106;

/// Longest host name, in bytes (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// An address as it was written; names are not resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressText {
    /// What runs on it, when the text says so.
    pub transport: Option<Transport>,
    /// The family that a prefix asks for; `host` may still be of any.
    pub family: Family,
    pub host: Host,
    pub port: Port,
    /// The word it was read from.
    pub span: Span,
}

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `stream+`, `tcp@`, `uxst@`.
    Stream,
    /// `dgram+`, `udp@`, `uxdg@`.
    Datagram,
    /// `quic+`, `quic4@`, `quic6@`: streams over datagrams.
    Quic,
    /// `mptcp@`: streams over several paths.
    Multipath,
}

/// The family that a prefix asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Whatever the host is.
    Unspecified,
    V4,
    V6,
    Unix,
    Abstract,
    Descriptor,
    SocketPair,
    ReverseHttp,
}

/// The place behind an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// `*` or nothing: every address of the machine.
    Any,
    Ip(IpAddr),
    /// A name that has yet to be resolved.
    Name(String),
    /// The path of a unix socket.
    Path(String),
    /// A name in Linux's abstract space, padded with zeros unless `zero_terminated` (`abnsz@`).
    Abstract {
        name: String,
        zero_terminated: bool,
    },
    /// `fd@`: a socket this process was started with.
    Descriptor(u32),
    /// `sockpair@`: one end of a pair over which connections are passed.
    SocketPair(u32),
    /// `rhttp@`: the backend and server whose connections are used backwards.
    ReverseHttp(String),
}

/// The port or ports of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// None was written.
    None,
    Fixed(u16),
    /// The first and the last.
    Range(u16, u16),
    /// `+n` or `-n`: added to the port the client came to.
    Offset(i32),
}

struct Prefix {
    name: &'static str,
    family: Family,
    transport: Option<Transport>,
}

const fn prefix(name: &'static str, family: Family, transport: Option<Transport>) -> Prefix {
    Prefix {
        name,
        family,
        transport,
    }
}

const MODIFIERS: [(&str, Transport); 3] = [
    ("stream+", Transport::Stream),
    ("dgram+", Transport::Datagram),
    ("quic+", Transport::Quic),
];

const PREFIXES: [Prefix; 22] = [
    prefix("abns@", Family::Abstract, None),
    prefix("abnsz@", Family::Abstract, None),
    prefix("fd@", Family::Descriptor, None),
    prefix("ip@", Family::Unspecified, None),
    prefix("ipv4@", Family::V4, None),
    prefix("ipv6@", Family::V6, None),
    prefix("mptcp4@", Family::V4, Some(Transport::Multipath)),
    prefix("mptcp6@", Family::V6, Some(Transport::Multipath)),
    prefix("mptcp@", Family::Unspecified, Some(Transport::Multipath)),
    prefix("quic4@", Family::V4, Some(Transport::Quic)),
    prefix("quic6@", Family::V6, Some(Transport::Quic)),
    prefix("rhttp@", Family::ReverseHttp, None),
    prefix("sockpair@", Family::SocketPair, None),
    prefix("tcp4@", Family::V4, Some(Transport::Stream)),
    prefix("tcp6@", Family::V6, Some(Transport::Stream)),
    prefix("tcp@", Family::Unspecified, Some(Transport::Stream)),
    prefix("udp4@", Family::V4, Some(Transport::Datagram)),
    prefix("udp6@", Family::V6, Some(Transport::Datagram)),
    prefix("udp@", Family::Unspecified, Some(Transport::Datagram)),
    prefix("unix@", Family::Unix, None),
    prefix("uxdg@", Family::Unix, Some(Transport::Datagram)),
    prefix("uxst@", Family::Unix, Some(Transport::Stream)),
];

impl AddressText {
    /// Reads an address; `span` is remembered, not used.
    ///
    /// # Errors
    /// When the prefix is unknown, the host or the port is malformed, or a family does not fit its host.
    pub fn parse(text: &str, span: Span) -> Result<Self, Malformed> {
        if text.is_empty() {
            return Err(Malformed::new(0..0, "the address is empty"));
        }
        let mut reader = Reader { text, at: 0 };
        let modifier = reader.modifier();
        let prefix = reader.prefix()?;
        let transport = prefix
            .as_ref()
            .and_then(|prefix| prefix.transport)
            .or(modifier);
        let family = match &prefix {
            Some(prefix) => prefix.family,
            None if reader.rest().starts_with('/') => Family::Unix,
            None => Family::Unspecified,
        };
        let (host, port) = match family {
            Family::Unspecified | Family::V4 | Family::V6 => reader.internet(family)?,
            Family::Unix => (
                Host::Path(reader.named("path", UNIX_PATH_BYTES_MAX)?),
                Port::None,
            ),
            Family::Abstract => {
                let name = reader.named("name", ABSTRACT_NAME_BYTES_MAX)?;
                let zero_terminated = prefix.is_some_and(|prefix| prefix.name == "abnsz@");
                let host = Host::Abstract {
                    name,
                    zero_terminated,
                };
                (host, Port::None)
            }
            Family::Descriptor => (Host::Descriptor(reader.descriptor()?), Port::None),
            Family::SocketPair => (Host::SocketPair(reader.descriptor()?), Port::None),
            Family::ReverseHttp => (Host::ReverseHttp(reader.rest().to_owned()), Port::None),
        };
        Ok(Self {
            transport,
            family,
            host,
            port,
            span,
        })
    }
}

/// An address being read: everything before `at` is understood.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn all(&self) -> Range<usize> {
        self.at..self.text.len()
    }

    fn modifier(&mut self) -> Option<Transport> {
        let rest = self.rest();
        let (name, transport) = MODIFIERS.iter().find(|(name, _)| rest.starts_with(name))?;
        self.at += name.len();
        Some(*transport)
    }

    fn prefix(&mut self) -> Result<Option<&'static Prefix>, Malformed> {
        let rest = self.rest();
        if let Some(prefix) = PREFIXES.iter().find(|prefix| rest.starts_with(prefix.name)) {
            self.at += prefix.name.len();
            return Ok(Some(prefix));
        }
        let Some(at) = rest.find('@').filter(|_| !rest.starts_with('/')) else {
            return Ok(None);
        };
        let unknown = &rest[..=at];
        let message = format_args!("'{unknown}' is no kind of address");
        let fault = Malformed::new(self.at..self.at + unknown.len(), message);
        let names = PREFIXES.map(|prefix| prefix.name);
        Err(match crate::suggest::nearest(unknown, names) {
            Some(near) => fault.help(format_args!("did you mean '{near}'?")),
            None => fault.help(format_args!("the kinds are {}", names.join(" "))),
        })
    }

    /// A host and a port: the last colon outside of brackets stands before the port.
    fn internet(&mut self, family: Family) -> Result<(Host, Port), Malformed> {
        let rest = self.rest();
        let split = rest
            .rfind([':', ']'])
            .filter(|at| rest.as_bytes()[*at] == b':');
        let Some(colon) = split else {
            return Ok((self.host(rest, family)?, Port::None));
        };
        let (host, port) = (&rest[..colon], &rest[colon + 1..]);
        // `fe80::1` has no port, while the `80` of `fe80::1:80` is one.
        if host.ends_with(':') && host != "::" && rest.parse::<Ipv6Addr>().is_ok() {
            return Ok((self.host(rest, family)?, Port::None));
        }
        let host = self.host(host, family)?;
        self.at += colon + 1;
        Ok((host, self.port(port)?))
    }

    fn host(&self, host: &str, family: Family) -> Result<Host, Malformed> {
        let at = self.at..self.at + host.len();
        if host.is_empty() || host == "*" {
            return Ok(Host::Any);
        }
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let ip = match bracketed {
            Some(inner) => Some(IpAddr::V6(inner.parse().map_err(|_| {
                let message = format_args!("'{inner}' is not an IPv6 address");
                Malformed::new(at.clone(), message)
            })?)),
            None => host.parse().ok(),
        };
        match (ip, family) {
            (Some(IpAddr::V6(_)), Family::V4) => Err(Malformed::new(
                at,
                format_args!("'{host}' is not an IPv4 address"),
            )),
            (Some(IpAddr::V4(_)), Family::V6) => Err(Malformed::new(
                at,
                format_args!("'{host}' is not an IPv6 address"),
            )),
            (Some(ip), _) => Ok(Host::Ip(ip)),
            (None, _) => self.name(host, at),
        }
    }

    fn name(&self, host: &str, at: Range<usize>) -> Result<Host, Malformed> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let number = host
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        if host.bytes().all(plain) && host.len() <= NAME_BYTES_MAX && !number {
            return Ok(Host::Name(host.to_owned()));
        }
        let message = format_args!("'{host}' is neither an IP address nor a host name");
        let fault = Malformed::new(at, message);
        Err(if host.contains(':') {
            fault.help("write an IPv6 address in brackets: [fd00::1]:80")
        } else if number {
            fault.help(
                "an IPv4 address has four numbers from 0 to 255; a port stands behind a colon",
            )
        } else {
            fault.help("a host name has letters, digits, dots and dashes")
        })
    }

    fn port(&self, port: &str) -> Result<Port, Malformed> {
        if let Some(rest) = port.strip_prefix('+') {
            return Ok(Port::Offset(self.port_number(rest, 1)?.into()));
        }
        if let Some(rest) = port.strip_prefix('-') {
            return Ok(Port::Offset(-i32::from(self.port_number(rest, 1)?)));
        }
        let Some((first, last)) = port.split_once('-') else {
            return match port {
                "" => Ok(Port::None),
                _ => Ok(Port::Fixed(self.port_number(port, 0)?)),
            };
        };
        let (low, high) = (
            self.port_number(first, 0)?,
            self.port_number(last, first.len() + 1)?,
        );
        if low > high {
            let message = format_args!("the ports {low}-{high} run backwards");
            return Err(
                Malformed::new(self.all(), message).help(format_args!("write {high}-{low}"))
            );
        }
        Ok(Port::Range(low, high))
    }

    /// One port, `offset` bytes into the port part.
    fn port_number(&self, text: &str, offset: usize) -> Result<u16, Malformed> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let start = self.at + offset;
        match text.parse() {
            Ok(port) if digits => Ok(port),
            _ => {
                let message = match text {
                    "" => "a port is missing here".to_owned(),
                    _ => format!("'{text}' is not a port"),
                };
                let fault = Malformed::new(start..start + text.len(), message);
                Err(fault.help("a port is a number from 0 to 65535"))
            }
        }
    }

    fn named(&self, what: &str, bytes_max: usize) -> Result<String, Malformed> {
        let rest = self.rest();
        if rest.is_empty() {
            return Err(Malformed::new(
                self.all(),
                format_args!("the socket's {what} is missing here"),
            ));
        }
        if rest.len() > bytes_max || rest.contains('\0') {
            let message = format_args!("this is no {what} of a socket");
            return Err(Malformed::new(self.all(), message)
                .help(format_args!("the most is {bytes_max} bytes")));
        }
        Ok(rest.to_owned())
    }

    fn descriptor(&self) -> Result<u32, Malformed> {
        let rest = self.rest();
        let digits = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
        let number = rest
            .parse()
            .ok()
            .filter(|number| *number <= i32::MAX as u32);
        number.filter(|_| digits).ok_or_else(|| {
            let message = match rest {
                "" => "the number of a file descriptor is missing here".to_owned(),
                _ => format!("'{rest}' is not the number of a file descriptor"),
            };
            Malformed::new(self.all(), message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AddressText, Malformed> {
        AddressText::parse(text, Span::default())
    }

    fn ip(text: &str) -> Host {
        Host::Ip(text.parse().unwrap())
    }

    #[test]
    fn hosts_and_ports() {
        let name = |name: &str| Host::Name(name.to_owned());
        let cases = [
            (":80", Host::Any, Port::Fixed(80)),
            ("*:80", Host::Any, Port::Fixed(80)),
            ("*", Host::Any, Port::None),
            (":", Host::Any, Port::None),
            ("1.2.3.4", ip("1.2.3.4"), Port::None),
            ("1.2.3.4:80", ip("1.2.3.4"), Port::Fixed(80)),
            ("1.2.3.4:80-90", ip("1.2.3.4"), Port::Range(80, 90)),
            ("1.2.3.4:", ip("1.2.3.4"), Port::None),
            ("[::1]:80", ip("::1"), Port::Fixed(80)),
            ("[::1]", ip("::1"), Port::None),
            ("::1:80", ip("::1"), Port::Fixed(80)),
            (":::80", ip("::"), Port::Fixed(80)),
            ("fe80::1", ip("fe80::1"), Port::None),
            ("fe80::1:80", ip("fe80::1"), Port::Fixed(80)),
            ("1:2:3:4:5:6:7:8:80", ip("1:2:3:4:5:6:7:8"), Port::Fixed(80)),
            ("::ffff:1.2.3.4:80", ip("::ffff:1.2.3.4"), Port::Fixed(80)),
            ("host:80", name("host"), Port::Fixed(80)),
            ("a-b_c.example.", name("a-b_c.example."), Port::None),
            ("host:+100", name("host"), Port::Offset(100)),
            ("host:-7", name("host"), Port::Offset(-7)),
            (":+0", Host::Any, Port::Offset(0)),
            ("h:0", name("h"), Port::Fixed(0)),
        ];
        for (text, host, port) in cases {
            let found = parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
            assert_eq!((found.host, found.port), (host, port), "{text}");
            assert_eq!(
                (found.family, found.transport),
                (Family::Unspecified, None),
                "{text}"
            );
        }
    }

    #[test]
    fn prefixes() {
        use Transport::{Datagram, Multipath, Quic, Stream};
        let abstract_name = |name: &str, zero_terminated| Host::Abstract {
            name: name.to_owned(),
            zero_terminated,
        };
        let path = |path: &str| Host::Path(path.to_owned());
        let cases = [
            ("ipv6@:::80", Family::V6, None, ip("::")),
            ("ipv6@:80", Family::V6, None, Host::Any),
            ("ipv4@*:80", Family::V4, None, Host::Any),
            ("ip@1.2.3.4", Family::Unspecified, None, ip("1.2.3.4")),
            (
                "tcp@1.2.3.4:80",
                Family::Unspecified,
                Some(Stream),
                ip("1.2.3.4"),
            ),
            ("udp6@[::1]:53", Family::V6, Some(Datagram), ip("::1")),
            ("quic4@:443", Family::V4, Some(Quic), Host::Any),
            (
                "mptcp@:443",
                Family::Unspecified,
                Some(Multipath),
                Host::Any,
            ),
            ("/run/a.sock", Family::Unix, None, path("/run/a.sock")),
            ("/run/a@b:80", Family::Unix, None, path("/run/a@b:80")),
            ("unix@a.sock", Family::Unix, None, path("a.sock")),
            (
                "uxdg@/dev/log",
                Family::Unix,
                Some(Datagram),
                path("/dev/log"),
            ),
            (
                "dgram+unix@/dev/log",
                Family::Unix,
                Some(Datagram),
                path("/dev/log"),
            ),
            (
                "abns@name",
                Family::Abstract,
                None,
                abstract_name("name", false),
            ),
            (
                "abnsz@name",
                Family::Abstract,
                None,
                abstract_name("name", true),
            ),
            ("fd@3", Family::Descriptor, None, Host::Descriptor(3)),
            (
                "quic+fd@4",
                Family::Descriptor,
                Some(Quic),
                Host::Descriptor(4),
            ),
            ("sockpair@5", Family::SocketPair, None, Host::SocketPair(5)),
            (
                "rhttp@be/s",
                Family::ReverseHttp,
                None,
                Host::ReverseHttp("be/s".to_owned()),
            ),
        ];
        for (text, family, transport, host) in cases {
            let found = parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
            assert_eq!(
                (found.family, found.transport, found.host),
                (family, transport, host),
                "{text}"
            );
        }
    }

    #[test]
    fn every_prefix_is_in_the_manual() {
        let manual = include_str!("../../../../docs/configuration-language.md");
        let names = PREFIXES.iter().map(|prefix| prefix.name);
        for name in names.chain(MODIFIERS.map(|(name, _)| name)) {
            assert!(manual.contains(&format!("`{name}")), "{name}");
        }
    }

    #[test]
    fn errors_point_at_the_part_to_blame() {
        let cases = [
            ("", 0..0),
            ("1.2.3:80", 0..5),
            ("1.2.3.400:80", 0..9),
            ("1.2.3.4:http", 8..12),
            ("1.2.3.4:65536", 8..13),
            ("1.2.3.4:80-", 11..11),
            ("1.2.3.4:90-80", 8..13),
            ("1.2.3.4:80-x", 11..12),
            ("h:+", 3..3),
            ("h:+x", 3..4),
            ("{{ ip }}:80", 0..8),
            ("a b:80", 0..3),
            ("[1.2.3.4]:80", 0..9),
            ("a:b:80", 0..3),
            ("ipv4@[::1]:80", 5..10),
            ("ipv6@1.2.3.4:80", 5..12),
            ("ipv5@1.2.3.4", 0..5),
            ("unix@", 5..5),
            ("fd@", 3..3),
            ("fd@-1", 3..5),
            ("fd@99999999999", 3..14),
        ];
        for (text, at) in cases {
            let fault = parse(text).expect_err(text);
            assert_eq!(fault.at, at, "{text}: {}", fault.message);
        }
        let long = format!("/{}", "a".repeat(UNIX_PATH_BYTES_MAX));
        assert!(parse(&long).is_err());
    }
}
