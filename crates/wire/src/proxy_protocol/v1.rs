//! Version 1: one line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Endpoints, Header, Parse, ProxyError, Tlvs, agrees};
use crate::decimal::{self, Digits};

/// Most bytes of a line, its end included (PROXY protocol section 2.1).
pub const LINE_BYTES_MAX: usize = 107;

const PREFIX: &[u8] = b"PROXY ";

/// Parses a line at the start of `input`.
pub fn parse(input: &[u8]) -> Result<Parse<'_>, ProxyError> {
    if !agrees(input, PREFIX) {
        return Err(ProxyError::NotAHeader);
    }
    let window = &input[..input.len().min(LINE_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() == LINE_BYTES_MAX {
            Err(ProxyError::TooLong)
        } else {
            Ok(Parse::Partial)
        };
    };
    let line = window[..end]
        .strip_suffix(b"\r")
        .ok_or(ProxyError::InvalidLine)?;
    let words = line.get(PREFIX.len()..).ok_or(ProxyError::InvalidLine)?;
    let endpoints = endpoints(words)?;
    Ok(Parse::Complete(
        Header {
            endpoints,
            tlvs: Tlvs::default(),
        },
        end + 1,
    ))
}

fn endpoints(words: &[u8]) -> Result<Option<Endpoints>, ProxyError> {
    let mut words = words.split(|&byte| byte == b' ');
    let address: fn(&str) -> Option<IpAddr> = match words.next() {
        Some(b"TCP4") => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        Some(b"TCP6") => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        // Whatever follows is to be ignored (section 2.1).
        Some(b"UNKNOWN") => return Ok(None),
        _ => return Err(ProxyError::UnknownFamily),
    };
    let mut next = || words.next().ok_or(ProxyError::InvalidLine);
    let mut next_address = || {
        let word = std::str::from_utf8(next()?).map_err(|_| ProxyError::InvalidAddress)?;
        address(word).ok_or(ProxyError::InvalidAddress)
    };
    let (source, destination) = (next_address()?, next_address()?);
    let (source_port, destination_port) = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err(ProxyError::InvalidLine);
    }
    Ok(Some(Endpoints {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    }))
}

/// A port without leading zeros.
fn port(word: &[u8]) -> Result<u16, ProxyError> {
    if word.len() > 1 && word[0] == b'0' {
        return Err(ProxyError::InvalidPort);
    }
    let number = decimal::parse(word).ok_or(ProxyError::InvalidPort)?;
    u16::try_from(number).map_err(|_| ProxyError::InvalidPort)
}

/// Appends a line; `None` says that the addresses are unknown.
pub fn encode(endpoints: Option<Endpoints>, out: &mut Vec<u8>) {
    out.extend_from_slice(PREFIX);
    let Some(endpoints) = endpoints else {
        out.extend_from_slice(b"UNKNOWN\r\n");
        return;
    };
    let Endpoints {
        source,
        destination,
    } = endpoints.in_one_family();
    out.extend_from_slice(if source.is_ipv4() { b"TCP4" } else { b"TCP6" });
    for address in [source.ip(), destination.ip()] {
        out.push(b' ');
        out.extend_from_slice(address.to_string().as_bytes());
    }
    for port in [source.port(), destination.port()] {
        out.push(b' ');
        out.extend_from_slice(Digits::of(u64::from(port)).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}
