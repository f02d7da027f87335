//! `hash-type`, and the hash functions it names: bit for bit those that HAProxy uses, so that keys keep their
//! servers.

use std::net::IpAddr;

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};
use twox_hash::XxHash32;

use super::{HashFunction, HashMethod, HashSpec};
use crate::model::{HashKey, Server, ServerAddress, ServerPort};

/// Ring positions reserved for each server number: the largest scaled weight.
const POSITIONS_PER_SERVER: u32 = 256 * 16;

/// Reads what follows `hash-type`: `<method> [<function>] [avalanche]`.
///
/// Consistent hashing without a function means sdbm with avalanche; map-based hashing means plain sdbm.
pub fn read(args: &mut Args<'_>) -> Result<HashSpec, Diagnostic> {
    let unknown = |span, what, word: &str, known: &str| {
        Diagnostic::error(
            Kind::Invalid,
            span,
            format_args!("'{word}' is not a {what}"),
        )
        .help(format_args!("write one of {known}"))
    };
    let word = args.word("a hashing method")?;
    let method = match word.text.as_str() {
        "map-based" => HashMethod::MapBased,
        "consistent" => HashMethod::Consistent,
        "maglev" => HashMethod::Maglev,
        other => {
            let known = "'map-based', 'consistent' and 'maglev'";
            return Err(unknown(word.span, "hashing method", other, known));
        }
    };
    let Some(word) = args.next() else {
        return Ok(HashSpec {
            method,
            function: HashFunction::Sdbm,
            avalanche: method != HashMethod::MapBased,
        });
    };
    let function = match word.text.as_str() {
        "sdbm" => HashFunction::Sdbm,
        "djb2" => HashFunction::Djb2,
        "wt6" => HashFunction::Wt6,
        "crc32" => HashFunction::Crc32,
        "none" => HashFunction::None,
        other => {
            let known = "'sdbm', 'djb2', 'wt6', 'crc32' and 'none'";
            return Err(unknown(word.span, "hash function", other, known));
        }
    };
    let avalanche = match args.next() {
        None => false,
        Some(word) if word.text == "avalanche" => true,
        Some(word) => {
            return Err(unknown(
                word.span,
                "modifier of a hash",
                &word.text,
                "'avalanche'",
            ));
        }
    };
    args.finish()?;
    Ok(HashSpec {
        method,
        function,
        avalanche,
    })
}

impl HashSpec {
    /// The hash of a key.
    pub(super) fn hash(&self, key: &[u8]) -> u32 {
        let hash = match self.function {
            HashFunction::Sdbm => sdbm(key),
            HashFunction::Djb2 => djb2(key),
            HashFunction::Wt6 => wt6(key),
            HashFunction::Crc32 => crc32fast::hash(key),
            HashFunction::None => number(key),
        };
        self.finish(hash)
    }

    /// The hash of a client address: its 32-bit words combined, whatever the function.
    pub(super) fn hash_address(&self, address: IpAddr) -> u32 {
        self.finish(match address {
            IpAddr::V4(address) => address.to_bits(),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                (0..4).fold(0, |hash, word| hash ^ (bits >> (32 * word)) as u32)
            }
        })
    }

    fn finish(&self, hash: u32) -> u32 {
        if self.avalanche {
            avalanche(hash)
        } else {
            hash
        }
    }
}

/// The hash of the sdbm database library.
pub(crate) fn sdbm(key: &[u8]) -> u32 {
    key.iter().fold(0, |hash: u32, &byte| {
        u32::from(byte)
            .wrapping_add(hash << 6)
            .wrapping_add(hash << 16)
            .wrapping_sub(hash)
    })
}

/// D. Bernstein's hash: times 33 plus byte.
pub(crate) fn djb2(key: &[u8]) -> u32 {
    key.iter().fold(5381, |hash: u32, &byte| {
        hash.wrapping_mul(33).wrapping_add(u32::from(byte))
    })
}

/// Two words that rotate each other by amounts taken from themselves.
pub(crate) fn wt6(key: &[u8]) -> u32 {
    let (mut left, mut right) = (0xa53c_965a_u32, 0x5ca6_953a_u32);
    let (mut left_step, mut right_step) = (6, 18);
    for &byte in key {
        left = !(left ^ u32::from(byte));
        right = !right.wrapping_add(u32::from(byte));
        (left, right) = (right.rotate_left(left_step), left.rotate_left(right_step));
        let steps = ((left >> 16) ^ right) & 0xffff;
        left_step = steps & 0x1f;
        right_step = steps >> 11;
    }
    left ^ right
}

/// A key that is a decimal number already: an optional sign, then digits, anything after them ignored.
/// Out of range means the nearest 64-bit number; the low 32 bits are the hash.
fn number(key: &[u8]) -> u32 {
    let (negative, digits) = match key {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, key),
    };
    let magnitude =
        digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .fold(0u64, |number, &byte| {
                number
                    .saturating_mul(10)
                    .saturating_add(u64::from(byte - b'0'))
            });
    match negative {
        true if magnitude > 1 << 63 => i64::MIN as u32,
        true => magnitude.wrapping_neg() as u32,
        false => magnitude.min(i64::MAX as u64) as u32,
    }
}

/// B. Jenkins's integer mix with full avalanche, then spread over the 32-bit circle by a prime near 3/4 of it.
pub(crate) fn avalanche(hash: u32) -> u32 {
    let mut mixed = hash.wrapping_add(0x7ed5_5d16).wrapping_add(hash << 12);
    mixed = (mixed ^ 0xc761_c23c) ^ (mixed >> 19);
    mixed = mixed.wrapping_add(0x1656_67b1).wrapping_add(mixed << 5);
    mixed = mixed.wrapping_add(0xd3a2_646c) ^ (mixed << 9);
    mixed = mixed.wrapping_add(0xfd70_46c5).wrapping_add(mixed << 3);
    mixed = (mixed ^ 0xb55a_4f09) ^ (mixed >> 16);
    mixed.wrapping_mul(3_221_225_473)
}

/// Where a server's positions on the ring begin, as its `hash-key` asks. A server without what is asked for (an IP address,
/// a `guid`) is placed by its number.
pub(super) fn seed(server: &Server) -> u32 {
    let by_number = server.number.wrapping_mul(POSITIONS_PER_SERVER);
    match server.hash_key {
        HashKey::Id => by_number,
        HashKey::Id32 => avalanche(server.number.to_be()),
        HashKey::Guid => {
            let guid = server.guid.as_deref();
            guid.map_or(by_number, |guid| XxHash32::oneshot(0, guid.as_bytes()))
        }
        HashKey::Addr | HashKey::AddrPort => seed_of_address(server).unwrap_or(by_number),
    }
}

fn seed_of_address(server: &Server) -> Option<u32> {
    let ServerAddress::Inet { ip, port } = &server.address else {
        return None;
    };
    let start = match server.hash_key {
        HashKey::AddrPort => avalanche(match *port {
            ServerPort::Fixed(port) => u32::from(port),
            ServerPort::Offset(offset) => offset as u32,
        }),
        _ => 0,
    };
    Some(match ip {
        // HAProxy reads the address as a number in the machine's byte order, little-endian nearly everywhere.
        IpAddr::V4(ip) => avalanche(start.wrapping_add(u32::from_le_bytes(ip.octets()))),
        IpAddr::V6(ip) => XxHash32::oneshot(start, &ip.octets()),
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn known_hashes() {
        // From the published definitions; the comparison with a running HAProxy covers the rest.
        assert_eq!(djb2(b""), 5381);
        assert_eq!(djb2(b"a"), 5381 * 33 + 97);
        assert_eq!(sdbm(b""), 0);
        assert_eq!(sdbm(b"ab"), 97 * 65_599 + 98);
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn numbers_as_hashes() {
        let cases: [(&[u8], u32); 9] = [
            (b"", 0),
            (b"42", 42),
            (b"+42", 42),
            (b"-1", u32::MAX),
            (b"7abc", 7),
            (b"abc", 0),
            (b"4294967298", 2),
            (b"99999999999999999999999", u32::MAX),
            (b"-99999999999999999999999", 0),
        ];
        for (key, expected) in cases {
            assert_eq!(number(key), expected, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn addresses_combine_their_words() {
        let plain = HashSpec::default();
        assert_eq!(
            plain.hash_address(Ipv4Addr::new(1, 2, 3, 4).into()),
            0x0102_0304
        );
        let v6 = Ipv6Addr::new(1, 2, 3, 4, 5, 6, 7, 8);
        let expected = 0x0001_0002 ^ 0x0003_0004 ^ 0x0005_0006 ^ 0x0007_0008;
        assert_eq!(plain.hash_address(v6.into()), expected);
        let mixed = HashSpec {
            avalanche: true,
            ..plain
        };
        assert_eq!(mixed.hash_address(v6.into()), avalanche(expected));
    }

    #[test]
    fn seeds_follow_the_hash_key() {
        let address = |ip: &str, port| ServerAddress::Inet {
            ip: ip.parse().expect("an address"),
            port: ServerPort::Fixed(port),
        };
        let mut server = Server::new("a", address("10.0.0.1", 80));
        server.number = 3;
        assert_eq!(seed(&server), 3 * 4096);
        for ip in ["10.0.0.1", "2001:db8::1"] {
            server.address = address(ip, 80);
            server.hash_key = HashKey::Addr;
            let by_address = seed(&server);
            server.address = address(ip, 81);
            assert_eq!(seed(&server), by_address, "the port does not count");
            server.hash_key = HashKey::AddrPort;
            let with_port = seed(&server);
            server.address = address(ip, 80);
            assert_ne!(seed(&server), with_port, "the port counts");
        }
        server.address = ServerAddress::Abstract("x".into());
        assert_eq!(seed(&server), 3 * 4096);
        server.hash_key = HashKey::Guid;
        assert_eq!(seed(&server), 3 * 4096, "it has none");
        server.guid = Some("abc".to_owned());
        assert_eq!(seed(&server), 852_579_327);
    }
}
