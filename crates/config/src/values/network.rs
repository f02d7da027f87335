//! `10.0.0.0/8`: blocks of IP addresses.

use std::net::{IpAddr, Ipv4Addr};

use super::Malformed;

/// A block of addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// Any address of the block, as written.
    pub address: IpAddr,
    /// How many leading bits are shared: up to 32 for IPv4, 128 for IPv6.
    pub prefix_bits: u8,
}

impl Network {
    /// Reads `address`, `address/bits` or, for IPv4, `address/mask`.
    ///
    /// # Errors
    /// When the address, the number of bits or the mask is wrong; a mask must be ones followed by zeros.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let (host, bits) = text
            .split_once('/')
            .map_or((text, None), |(host, bits)| (host, Some(bits)));
        let address: IpAddr = host.parse().map_err(|_| {
            Malformed::new(0..host.len(), format_args!("'{host}' is not an IP address"))
                .help("write an address such as 10.0.0.1, or a network such as 10.0.0.0/8")
        })?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            None => most,
            Some(bits) => prefix_bits(bits, most).ok_or_else(|| {
                let message = format_args!("'{bits}' is not the length of a prefix");
                Malformed::new(host.len() + 1..text.len(), message)
                    .help(format_args!("write a number from 0 to {most}"))
            })?,
        };
        Ok(Self {
            address,
            prefix_bits,
        })
    }

    /// Whether an address lies in the block. The families never match each other.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differing = ours.to_bits() ^ theirs.to_bits();
                u32::from(self.prefix_bits) <= differing.leading_zeros()
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differing = ours.to_bits() ^ theirs.to_bits();
                u32::from(self.prefix_bits) <= differing.leading_zeros()
            }
            _ => false,
        }
    }
}

fn prefix_bits(text: &str, most: u8) -> Option<u8> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|bits| *bits <= most);
    }
    let mask = text
        .parse::<Ipv4Addr>()
        .ok()
        .filter(|_| most == 32)?
        .to_bits();
    let contiguous = mask.leading_ones() + mask.trailing_zeros() >= 32;
    contiguous.then_some(mask.leading_ones() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.2", false),
            ("192.168.0.0/255.255.0.0", "192.168.9.9", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("0.0.0.0/0.0.0.0", "1.2.3.4", true),
            ("fd00::/8", "fdff::1", true),
            ("::1/128", "::2", false),
        ];
        for (network, address, inside) in cases {
            let network = Network::parse(network).expect(network);
            assert_eq!(
                network.contains(address.parse().unwrap()),
                inside,
                "{network:?} {address}"
            );
        }
        for text in [
            "",
            "x",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/255.0.255.0",
            "::/255.0.0.0",
            "1/8",
        ] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }
}
