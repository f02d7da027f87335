//! What an address means where it stands: on a `bind`, `server`, `source` or `log` line.
//!
//! The reading of the text is `config`'s; names stay names until resolution.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_config::values::{AddressText, Family, Host, Port, Transport};

use crate::draft::{AddressDraft, HostDraft, ListenDraft, ServerAddressDraft};
use crate::model::{BindAddress, LogAddress, ServerAddress, ServerPort};

/// Most ports one `bind` address may stand for.
const PORT_RANGE_MAX: u16 = 4096;

/// Room for a name in `sockaddr_un` behind the zero that makes it abstract, in bytes.
const ABSTRACT_NAME_BYTES: usize = 107;

/// Where syslog listens.
const SYSLOG_PORT: u16 = 514;

fn not_yet(span: Span, what: &str) -> Diagnostic {
    Diagnostic::error(
        Kind::NotImplemented,
        span,
        format_args!("{what} is not implemented yet"),
    )
}

fn invalid(span: Span, message: &str) -> Diagnostic {
    Diagnostic::error(Kind::Invalid, span, message)
}

/// Reads an address; when it is malformed and variables stand in it, their values are to blame.
fn blame_variables<T>(
    args: &mut Args<'_>,
    read: fn(&mut Args<'_>) -> Result<T, Diagnostic>,
) -> Result<T, Diagnostic> {
    let variables = args.peek().is_some_and(|word| word.expanded.is_some());
    read(args).map_err(|error| match error.kind {
        Kind::Invalid if variables => Diagnostic {
            kind: Kind::Environment,
            ..error
        }
        .help("set the variables that the address is made of"),
        _ => error,
    })
}

/// Lets only streams pass.
fn stream(address: &AddressText) -> Result<(), Diagnostic> {
    match address.transport {
        None | Some(Transport::Stream) => Ok(()),
        Some(Transport::Quic) => Err(not_yet(address.span, "QUIC")),
        Some(Transport::Multipath) => Err(not_yet(address.span, "multipath TCP")),
        Some(Transport::Datagram) => Err(invalid(
            address.span,
            "a datagram address cannot be used here",
        )),
    }
}

/// An IP address or a name; every other kind of host is an error.
fn inet(address: &AddressText) -> Result<HostDraft, Diagnostic> {
    match &address.host {
        Host::Any if address.family == Family::V6 => {
            Ok(HostDraft::Ip(IpAddr::V6(Ipv6Addr::UNSPECIFIED)))
        }
        Host::Any => Ok(HostDraft::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED))),
        Host::Ip(ip) => Ok(HostDraft::Ip(*ip)),
        Host::Name(name) => {
            let family = match address.family {
                Family::V4 => crate::draft::Family::V4,
                Family::V6 => crate::draft::Family::V6,
                _ => crate::draft::Family::Any,
            };
            Ok(HostDraft::Name(name.clone(), family))
        }
        Host::SocketPair(_) => Err(not_yet(address.span, "a socket pair")),
        Host::ReverseHttp(_) => Err(not_yet(address.span, "reverse HTTP")),
        Host::Path(_) | Host::Abstract { .. } | Host::Descriptor(_) => Err(invalid(
            address.span,
            "only an IP address or a name can stand here",
        )),
    }
}

/// A name as the kernel compares it: `abns@` fills what is left of the address with zeros, `abnsz@` ends with the name.
fn abstract_name(name: &str, zero_terminated: bool) -> String {
    let mut name = name.to_owned();
    if !zero_terminated {
        let zeros = ABSTRACT_NAME_BYTES.saturating_sub(name.len());
        name.extend(std::iter::repeat_n('\0', zeros));
    }
    name
}

fn descriptor(number: u32, span: Span) -> Result<i32, Diagnostic> {
    i32::try_from(number).map_err(|_| invalid(span, "no descriptor has so high a number"))
}

/// The addresses of a `bind` or `stats socket` line.
pub(super) fn listen(args: &mut Args<'_>) -> Result<Vec<ListenDraft>, Diagnostic> {
    blame_variables(args, listen_all)
}

fn listen_all(args: &mut Args<'_>) -> Result<Vec<ListenDraft>, Diagnostic> {
    args.addresses("an address")?
        .iter()
        .map(listen_one)
        .collect()
}

fn listen_one(address: &AddressText) -> Result<ListenDraft, Diagnostic> {
    stream(address)?;
    let span = address.span;
    match &address.host {
        Host::Path(path) => return Ok(ListenDraft::Other(BindAddress::Unix(path.into()))),
        Host::Abstract {
            name,
            zero_terminated,
        } => {
            let name = abstract_name(name, *zero_terminated);
            return Ok(ListenDraft::Other(BindAddress::Abstract(name)));
        }
        Host::Descriptor(number) => {
            return Ok(ListenDraft::Other(BindAddress::Inherited(descriptor(
                *number, span,
            )?)));
        }
        _ => {}
    }
    let host = inet(address)?;
    let (first, last) = match address.port {
        Port::Fixed(port) => (port, port),
        Port::Range(first, last) => (first, last),
        Port::None => {
            return Err(invalid(span, "the address has no port")
                .help("write ':80' or '10.0.0.1:80' for port 80"));
        }
        Port::Offset(_) => return Err(invalid(span, "a listening port cannot be relative")),
    };
    if first == 0 || last - first >= PORT_RANGE_MAX {
        let help = format_args!("write ports from 1 to 65535, at most {PORT_RANGE_MAX} at once");
        return Err(invalid(span, "these ports cannot be listened on").help(help));
    }
    Ok(ListenDraft::Inet {
        address: AddressDraft {
            host,
            port: first,
            span,
        },
        last_port: last,
    })
}

/// The address of a server.
pub(super) fn server(args: &mut Args<'_>) -> Result<ServerAddressDraft, Diagnostic> {
    blame_variables(args, server_one)
}

fn server_one(args: &mut Args<'_>) -> Result<ServerAddressDraft, Diagnostic> {
    let address = args.address("the server's address")?;
    if address.transport == Some(Transport::Datagram) {
        return Err(not_yet(address.span, "sending datagrams to servers"));
    }
    stream(&address)?;
    let span = address.span;
    match &address.host {
        Host::Path(path) => return Ok(ServerAddressDraft::Other(ServerAddress::Unix(path.into()))),
        Host::Abstract {
            name,
            zero_terminated,
        } => {
            let name = abstract_name(name, *zero_terminated);
            return Ok(ServerAddressDraft::Other(ServerAddress::Abstract(name)));
        }
        Host::Descriptor(_) => {
            return Err(invalid(span, "a file descriptor is no address of a server"));
        }
        _ => {}
    }
    let port = match address.port {
        Port::None => ServerPort::Offset(0),
        Port::Offset(offset) => ServerPort::Offset(offset),
        Port::Fixed(0) => ServerPort::Offset(0),
        Port::Fixed(port) => ServerPort::Fixed(port),
        Port::Range(..) => return Err(invalid(span, "a server has one port, not a range")),
    };
    Ok(ServerAddressDraft::Inet {
        host: inet(&address)?,
        port,
        span,
    })
}

/// Where a name server is asked, and whether over TCP.
pub(super) fn name_server(args: &mut Args<'_>) -> Result<(SocketAddr, bool), Diagnostic> {
    blame_variables(args, |args| {
        let address = args.address("the address of a name server")?;
        let stream = match address.transport {
            None | Some(Transport::Datagram) => false,
            Some(Transport::Stream) => true,
            Some(_) => {
                return Err(invalid(
                    address.span,
                    "name servers are asked over UDP or TCP",
                ));
            }
        };
        let ip = match inet(&address)? {
            HostDraft::Ip(ip) if !ip.is_unspecified() => ip,
            _ => {
                let error = invalid(address.span, "a name server has to be given by its address");
                return Err(error.help("write an IP address, with or without a port"));
            }
        };
        let port = match address.port {
            Port::None => super::resolvers::PORT,
            Port::Fixed(port) => port,
            Port::Offset(_) | Port::Range(..) => {
                return Err(invalid(address.span, "a name server has one port"));
            }
        };
        Ok((SocketAddr::new(ip, port), stream))
    })
}

/// Where connections are made from.
pub(super) fn source(args: &mut Args<'_>) -> Result<AddressDraft, Diagnostic> {
    let (address, last_port) = source_range(args)?;
    match last_port {
        None => Ok(address),
        Some(_) => {
            let error = invalid(address.span, "a range of ports has no place here");
            Err(error.help("write it behind 'source' on lines of servers"))
        }
    }
}

/// Where connections are made from, and the last of the ports that they may come from where there are several.
pub(super) fn source_range(args: &mut Args<'_>) -> Result<(AddressDraft, Option<u16>), Diagnostic> {
    let address = args.address("a source address")?;
    stream(&address)?;
    let span = address.span;
    let (port, last_port) = match address.port {
        Port::None => (0, None),
        Port::Fixed(port) => (port, None),
        Port::Range(first, last) if (1..=last).contains(&first) => (first, Some(last)),
        Port::Range(..) | Port::Offset(_) => {
            return Err(invalid(span, "this is no range of source ports"));
        }
    };
    let host = inet(&address)?;
    Ok((AddressDraft { host, port, span }, last_port))
}

/// Where logs go: an address, or a host with a port.
#[derive(Debug)]
pub(super) enum LogPlace {
    Known(LogAddress),
    Host(AddressDraft),
}

/// The address of a `log` line.
pub(super) fn log(args: &mut Args<'_>) -> Result<LogPlace, Diagnostic> {
    blame_variables(args, log_one)
}

fn log_one(args: &mut Args<'_>) -> Result<LogPlace, Diagnostic> {
    let place = args.peek();
    let named = place.and_then(|word| match word.text.as_str() {
        "stdout" => Some(LogAddress::Descriptor(1)),
        "stderr" => Some(LogAddress::Descriptor(2)),
        _ => None,
    });
    if let Some(known) = named {
        args.next();
        return Ok(LogPlace::Known(known));
    }
    if let Some(word) = place
        && let Some((kind @ ("ring" | "backend"), _)) = word.text.split_once('@')
    {
        return Err(not_yet(word.span, &format!("logging to '{kind}@'")));
    }
    let address = args.address("an address")?;
    let span = address.span;
    if !matches!(address.transport, None | Some(Transport::Datagram)) {
        return Err(not_yet(span, "logging over streams"));
    }
    match &address.host {
        Host::Path(path) => return Ok(LogPlace::Known(LogAddress::Unix(path.into()))),
        Host::Abstract {
            name,
            zero_terminated,
        } => {
            let name = abstract_name(name, *zero_terminated);
            return Ok(LogPlace::Known(LogAddress::Abstract(name)));
        }
        Host::Descriptor(number) => {
            return Ok(LogPlace::Known(LogAddress::Descriptor(descriptor(
                *number, span,
            )?)));
        }
        _ => {}
    }
    let port = match address.port {
        Port::None => SYSLOG_PORT,
        Port::Fixed(port) => port,
        Port::Range(..) | Port::Offset(_) => return Err(invalid(span, "logs go to one port")),
    };
    Ok(LogPlace::Host(AddressDraft {
        host: inet(&address)?,
        port,
        span,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_config::args::Word;

    fn read<T>(
        text: &str,
        read: fn(&mut Args<'_>) -> Result<T, Diagnostic>,
    ) -> Result<T, Diagnostic> {
        let words = [Word::new(text, Span::default())];
        read(&mut Args::new(&words, Span::default()))
    }

    fn shown(address: ListenDraft) -> String {
        match address {
            ListenDraft::Inet {
                address:
                    AddressDraft {
                        host: HostDraft::Ip(ip),
                        port,
                        ..
                    },
                last_port,
            } => {
                format!("{ip} {port}-{last_port}")
            }
            ListenDraft::Inet {
                address:
                    AddressDraft {
                        host: HostDraft::Name(name, family),
                        port,
                        ..
                    },
                ..
            } => {
                format!("{name} {family:?} {port}")
            }
            ListenDraft::Other(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn listening_addresses() {
        let cases = [
            (":80", "0.0.0.0 80-80"),
            ("*:80", "0.0.0.0 80-80"),
            ("127.0.0.1:8000-8003", "127.0.0.1 8000-8003"),
            ("[::1]:80", "::1 80-80"),
            (":::443", ":: 443-443"),
            ("ipv6@:80", ":: 80-80"),
            ("ipv4@localhost:80", "localhost V4 80"),
            ("fd@7", "Inherited(7)"),
            ("/run/x.sock", "Unix(\"/run/x.sock\")"),
            ("abnsz@x", "Abstract(\"x\")"),
        ];
        for (text, expected) in cases {
            let address = read(text, listen).unwrap().pop().unwrap();
            assert_eq!(shown(address), expected, "{text}");
        }
        assert_eq!(read("127.0.0.1:80,:443", listen).unwrap().len(), 2);
    }

    #[test]
    fn abstract_names_fill_the_address() {
        let mut found = read("abns@name", listen).unwrap();
        let Some(ListenDraft::Other(BindAddress::Abstract(name))) = found.pop() else {
            panic!("no abstract name");
        };
        assert_eq!(name.len(), ABSTRACT_NAME_BYTES);
        assert_eq!(name.trim_end_matches('\0'), "name");
    }

    #[test]
    fn addresses_that_cannot_be_listened_on() {
        for text in [
            "localhost",
            ":0",
            ":70000",
            ":90-80",
            ":1-65535",
            "fd@x",
            "udp@:53",
            ":+5",
            "quic4@:443",
        ] {
            assert!(read(text, listen).is_err(), "{text}");
        }
    }

    #[test]
    fn servers_may_lack_a_port() {
        let port = |text: &str| match read(text, server) {
            Ok(ServerAddressDraft::Inet { port, .. }) => Some(port),
            _ => None,
        };
        assert_eq!(port("10.0.0.1:80"), Some(ServerPort::Fixed(80)));
        assert_eq!(port("10.0.0.1"), Some(ServerPort::Offset(0)));
        assert_eq!(port("app:+1000"), Some(ServerPort::Offset(1000)));
        assert_eq!(port("app:-1"), Some(ServerPort::Offset(-1)));
        assert_eq!(port("app:80-81"), None);
        assert_eq!(port("_http._tcp.example"), Some(ServerPort::Offset(0)));
    }

    #[test]
    fn logs_default_to_the_syslog_port() {
        let Ok(LogPlace::Host(address)) = read("10.0.0.1", log) else {
            panic!("no host")
        };
        assert_eq!(address.port, SYSLOG_PORT);
        assert!(matches!(
            read("stdout", log),
            Ok(LogPlace::Known(LogAddress::Descriptor(1)))
        ));
        for text in ["tcp@10.0.0.1:514", "ring@myring"] {
            assert_eq!(
                read(text, log).unwrap_err().kind,
                Kind::NotImplemented,
                "{text}"
            );
        }
    }
}
