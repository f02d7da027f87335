//! Version 2: a binary header with addresses and typed fields.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::crc32c::checksum;
use super::{Endpoints, Header, Parse, ProxyError, agrees};

/// Most bytes of a header. The protocol could say 65,551; a header is read before its sender is known to be sane.
pub const HEADER_BYTES_MAX: usize = 8_192;
/// Longest `AUTHORITY`: a host name (RFC 1035 section 2.3.4).
pub const AUTHORITY_BYTES_MAX: usize = 255;
/// Longest `UNIQUE_ID` (PROXY protocol section 2.2.5).
pub const UNIQUE_ID_BYTES_MAX: usize = 128;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const CHECKSUM_BYTES: usize = 4;

/// Types of fields (PROXY protocol section 2.2).
pub mod kind {
    /// The negotiated application protocol.
    pub const ALPN: u8 = 0x01;
    /// The host name that the client asked for: SNI.
    pub const AUTHORITY: u8 = 0x02;
    /// CRC-32C of the whole header.
    pub const CRC32C: u8 = 0x03;
    /// Padding.
    pub const NOOP: u8 = 0x04;
    /// An opaque identifier of the connection.
    pub const UNIQUE_ID: u8 = 0x05;
    /// A byte of flags, four of the verification's result, and more fields.
    pub const SSL: u8 = 0x20;
    /// Within [`SSL`]: the protocol version, as text.
    pub const SSL_VERSION: u8 = 0x21;
    /// Within [`SSL`]: the client certificate's common name.
    pub const SSL_CN: u8 = 0x22;
    /// Within [`SSL`]: the cipher.
    pub const SSL_CIPHER: u8 = 0x23;
    /// Within [`SSL`]: the certificate's signature algorithm.
    pub const SSL_SIG_ALG: u8 = 0x24;
    /// Within [`SSL`]: the certificate's key algorithm.
    pub const SSL_KEY_ALG: u8 = 0x25;
    /// The network namespace.
    pub const NETNS: u8 = 0x30;
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// One of [`kind`], or something the protocol's future or the sender knows.
    pub kind: u8,
    pub value: &'a [u8],
}

/// The fields of a header, which have been checked to fit into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tlvs<'a> {
    bytes: &'a [u8],
}

impl<'a> Tlvs<'a> {
    /// The first field of this kind.
    pub fn find(self, kind: u8) -> Option<&'a [u8]> {
        self.into_iter()
            .find(|tlv| tlv.kind == kind)
            .map(|tlv| tlv.value)
    }

    /// The fields inside an [`kind::SSL`] field; those that do not fit are left out.
    pub fn within_ssl(self) -> Option<Self> {
        let bytes = self.find(kind::SSL)?.get(5..)?;
        Some(Self { bytes })
    }
}

impl<'a> IntoIterator for Tlvs<'a> {
    type Item = Tlv<'a>;
    type IntoIter = TlvIter<'a>;

    fn into_iter(self) -> TlvIter<'a> {
        TlvIter { bytes: self.bytes }
    }
}

/// Walks over [`Tlvs`].
#[derive(Clone, Debug)]
pub struct TlvIter<'a> {
    /// What is left; not empty at the end only if a field did not fit.
    bytes: &'a [u8],
}

impl<'a> Iterator for TlvIter<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let [kind, high, low, rest @ ..] = self.bytes else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length)?;
        self.bytes = rest;
        Some(Tlv { kind: *kind, value })
    }
}

/// Parses a header at the start of `input`.
pub fn parse(input: &[u8]) -> Result<Parse<'_>, ProxyError> {
    if !agrees(input, &SIGNATURE) {
        return Err(ProxyError::NotAHeader);
    }
    let Some(&[command, family, high, low]) = input
        .get(SIGNATURE.len()..FIXED_BYTES)
        .and_then(|four| four.first_chunk())
    else {
        return Ok(Parse::Partial);
    };
    if command & 0xf0 != 0x20 {
        return Err(ProxyError::NotAHeader);
    }
    if command & 0x0f > 1 {
        return Err(ProxyError::UnknownCommand);
    }
    let length = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > HEADER_BYTES_MAX {
        return Err(ProxyError::TooLong);
    }
    let Some(header) = input.get(..length) else {
        return Ok(Parse::Partial);
    };
    if command == LOCAL {
        // Whatever it carries is to be discarded (section 2.2).
        return Ok(Parse::Complete(
            Header {
                endpoints: None,
                tlvs: Tlvs::default(),
            },
            length,
        ));
    }
    let (endpoints, tlvs) = addresses(family, &header[FIXED_BYTES..])?;
    check(tlvs, header)?;
    Ok(Parse::Complete(
        Header {
            endpoints,
            tlvs: Tlvs { bytes: tlvs },
        },
        length,
    ))
}

/// Splits the addresses off. Families without Internet addresses leave the endpoints unknown.
fn addresses(family: u8, bytes: &[u8]) -> Result<(Option<Endpoints>, &[u8]), ProxyError> {
    if family & 0x0f > 2 {
        return Err(ProxyError::UnknownFamily);
    }
    match family >> 4 {
        0 => Ok((None, bytes)),
        1 => {
            let (block, rest) = bytes
                .split_first_chunk::<12>()
                .ok_or(ProxyError::TooShort)?;
            let ip =
                |at: usize| Ipv4Addr::new(block[at], block[at + 1], block[at + 2], block[at + 3]);
            let source = (ip(0), be16(block, 8)).into();
            Ok((
                Some(Endpoints {
                    source,
                    destination: (ip(4), be16(block, 10)).into(),
                }),
                rest,
            ))
        }
        2 => {
            let (source, rest) = bytes
                .split_first_chunk::<16>()
                .ok_or(ProxyError::TooShort)?;
            let (destination, rest) = rest.split_first_chunk::<16>().ok_or(ProxyError::TooShort)?;
            let (ports, rest) = rest.split_first_chunk::<4>().ok_or(ProxyError::TooShort)?;
            let source = (Ipv6Addr::from(*source), be16(ports, 0)).into();
            let destination = (Ipv6Addr::from(*destination), be16(ports, 2)).into();
            Ok((
                Some(Endpoints {
                    source,
                    destination,
                }),
                rest,
            ))
        }
        // Two paths of 108 bytes each; we have no use for them.
        3 => Ok((None, bytes.get(216..).ok_or(ProxyError::TooShort)?)),
        _ => Err(ProxyError::UnknownFamily),
    }
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Checks that the fields fill their space exactly, and what is known about their values.
fn check(tlvs: &[u8], header: &[u8]) -> Result<(), ProxyError> {
    let mut fields = Tlvs { bytes: tlvs }.into_iter();
    while let Some(tlv) = fields.next() {
        match tlv.kind {
            kind::CRC32C => {
                let end = header.len() - fields.bytes.len();
                check_sum(tlv.value, &header[..end - tlv.value.len()], &header[end..])?;
            }
            kind::AUTHORITY if tlv.value.len() > AUTHORITY_BYTES_MAX => {
                return Err(ProxyError::InvalidTlv);
            }
            kind::UNIQUE_ID if tlv.value.len() > UNIQUE_ID_BYTES_MAX => {
                return Err(ProxyError::InvalidTlv);
            }
            _ => {}
        }
    }
    if fields.bytes.is_empty() {
        Ok(())
    } else {
        Err(ProxyError::InvalidTlv)
    }
}

/// The checksum covers the header with zeros in the place of the checksum itself (section 2.2.3).
fn check_sum(value: &[u8], before: &[u8], behind: &[u8]) -> Result<(), ProxyError> {
    let expected: [u8; CHECKSUM_BYTES] = value.try_into().map_err(|_| ProxyError::InvalidTlv)?;
    if checksum(&[before, &[0; CHECKSUM_BYTES], behind]) == u32::from_be_bytes(expected) {
        Ok(())
    } else {
        Err(ProxyError::WrongChecksum)
    }
}

/// Appends one field, for the inside of an [`kind::SSL`] field. A value beyond 65,535 bytes is cut.
pub fn push_tlv(out: &mut Vec<u8>, tlv: Tlv<'_>) {
    let length = u16::try_from(tlv.value.len()).unwrap_or(u16::MAX);
    out.push(tlv.kind);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&tlv.value[..usize::from(length)]);
}

/// Appends a header. Without endpoints the command is LOCAL: the sender speaks for itself.
///
/// `checksum_at` adds a [`kind::CRC32C`] field behind so many of the others. Fails, and appends nothing, beyond [`HEADER_BYTES_MAX`].
pub fn encode(
    endpoints: Option<Endpoints>,
    tlvs: &[Tlv<'_>],
    checksum_at: Option<usize>,
    out: &mut Vec<u8>,
) -> Result<(), ProxyError> {
    let start = out.len();
    out.extend_from_slice(&SIGNATURE);
    out.extend_from_slice(&[if endpoints.is_some() { PROXY } else { LOCAL }, 0, 0, 0]);
    if let Some(endpoints) = endpoints {
        out[start + 13] = push_addresses(endpoints.in_one_family(), out);
    }
    let (before, behind) = tlvs.split_at(checksum_at.unwrap_or(0).min(tlvs.len()));
    before.iter().for_each(|tlv| push_tlv(out, *tlv));
    if checksum_at.is_some() {
        let kind = kind::CRC32C;
        let value = &[0; CHECKSUM_BYTES];
        push_tlv(out, Tlv { kind, value });
    }
    let checksum_end = out.len();
    behind.iter().for_each(|tlv| push_tlv(out, *tlv));
    let length = out.len() - start;
    if length > HEADER_BYTES_MAX {
        out.truncate(start);
        return Err(ProxyError::TooLong);
    }
    out[start + 14..start + 16].copy_from_slice(&((length - FIXED_BYTES) as u16).to_be_bytes());
    if checksum_at.is_some() {
        let sum = checksum(&[&out[start..]]);
        out[checksum_end - CHECKSUM_BYTES..checksum_end].copy_from_slice(&sum.to_be_bytes());
    }
    Ok(())
}

/// Appends addresses and ports; returns the family and transport.
fn push_addresses(endpoints: Endpoints, out: &mut Vec<u8>) -> u8 {
    let Endpoints {
        source,
        destination,
    } = endpoints;
    for address in [source, destination] {
        match address {
            SocketAddr::V4(v4) => out.extend_from_slice(&v4.ip().octets()),
            SocketAddr::V6(v6) => out.extend_from_slice(&v6.ip().octets()),
        }
    }
    for address in [source, destination] {
        out.extend_from_slice(&address.port().to_be_bytes());
    }
    if source.is_ipv4() { 0x11 } else { 0x21 }
}
