//! Networks: the smallest one around an address is found with one look per length of prefix that occurs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::value::embedded_ipv4;

use super::entry::Entry;
use super::filter::Filter;
use super::hash;
use super::row::Row;
use super::trie::{Slot, Trie};

/// The bits of an address that count, and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prefix {
    bits: u128,
    length: u8,
}

impl Prefix {
    fn hash(self) -> u64 {
        hash::number(self.bits, self.length)
    }
}

/// An address or network, as a pattern writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Net {
    V4(Ipv4Addr, u8),
    V6(Ipv6Addr, u8),
    /// A mask with gaps.
    Masked(Ipv4Addr, u32),
}

impl Net {
    /// An address, or one with a prefix length or a mask behind a slash. Of names `localhost` alone is known (RFC 6761
    /// section 6.3).
    ///
    /// # Errors
    /// HAProxy's sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a valid IPv4 or IPv6 address");
        let (address, mask) = match text.rsplit_once('/') {
            Some((address, mask)) => (address, Some(mask)),
            None => (text, None),
        };
        let address = match address.eq_ignore_ascii_case("localhost") {
            true => IpAddr::V4(Ipv4Addr::LOCALHOST),
            false => address.parse().map_err(|_| wrong())?,
        };
        match address {
            IpAddr::V4(address) => {
                let mask = mask.map_or(Some(u32::MAX), ipv4_mask).ok_or_else(wrong)?;
                let length = mask.leading_ones();
                Ok(match mask.count_ones() == length {
                    true => Self::V4(address, length as u8),
                    false => Self::Masked(address, mask),
                })
            }
            IpAddr::V6(address) => {
                let length = mask.map_or(Some(128), |mask| mask.parse().ok());
                let length = length.filter(|&length| length <= 128).ok_or_else(wrong)?;
                Ok(Self::V6(address, length))
            }
        }
    }
}

/// A number of bits, or a mask.
fn ipv4_mask(text: &str) -> Option<u32> {
    if let Ok(mask) = text.parse::<Ipv4Addr>() {
        return Some(mask.to_bits());
    }
    let length: u32 = text.parse().ok().filter(|&length| length <= 32)?;
    Some(u32::MAX.checked_shl(32 - length).unwrap_or(0))
}

/// The networks of one family.
#[derive(Clone, Debug)]
struct Family {
    /// Bits of an address.
    width: u8,
    trie: Trie<Prefix>,
    filter: Filter,
    /// How many different networks there are of each length, the longest first.
    lengths: Arc<Vec<(u8, usize)>>,
}

impl Family {
    fn new(width: u8) -> Self {
        Self {
            width,
            trie: Trie::default(),
            filter: Filter::default(),
            lengths: Arc::default(),
        }
    }

    fn prefix(&self, address: u128, length: u8) -> Prefix {
        let host = u32::from(self.width - length);
        Prefix {
            bits: address.checked_shr(host).unwrap_or(0),
            length,
        }
    }

    fn place(&self, length: u8) -> Result<usize, usize> {
        self.lengths
            .binary_search_by(|(known, _)| length.cmp(known))
    }

    fn add(&mut self, address: u128, length: u8, entry: &Entry) {
        let (prefix, known) = (self.prefix(address, length), self.trie.len());
        let is_it = |slot: &Slot<Prefix>| slot.key == prefix;
        self.trie.insert(prefix.hash(), prefix, entry, is_it);
        if self.trie.len() == known {
            return;
        }
        self.filter.note(prefix.hash(), &self.trie);
        let place = self.place(length);
        let lengths = Arc::make_mut(&mut self.lengths);
        match place {
            Ok(place) => lengths[place].1 += 1,
            Err(place) => lengths.insert(place, (length, 1)),
        }
    }

    fn replace(&mut self, address: u128, length: u8, entry: &Entry) {
        let prefix = self.prefix(address, length);
        self.trie
            .replace(prefix.hash(), entry, |slot| slot.key == prefix);
    }

    fn remove(&mut self, address: u128, length: u8, id: u64) {
        let prefix = self.prefix(address, length);
        let gone = self
            .trie
            .remove(prefix.hash(), id, |slot| slot.key == prefix);
        if let (true, Ok(place)) = (gone, self.place(length)) {
            let lengths = Arc::make_mut(&mut self.lengths);
            lengths[place].1 -= 1;
            if lengths[place].1 == 0 {
                lengths.remove(place);
            }
        }
    }

    fn find(&self, address: u128) -> Option<&Entry> {
        self.lengths.iter().find_map(|&(length, _)| {
            let prefix = self.prefix(address, length);
            let hash = prefix.hash();
            if !self.filter.may_have(hash) {
                return None;
            }
            let slot = self.trie.get(hash, |slot| slot.key == prefix)?;
            Some(&slot.first)
        })
    }
}

#[derive(Clone, Debug)]
pub(super) struct Networks {
    v4: Family,
    v6: Family,
    /// Networks whose mask has gaps, with the mask.
    masked: Row<(u32, u32)>,
}

impl Default for Networks {
    fn default() -> Self {
        Self {
            v4: Family::new(32),
            v6: Family::new(128),
            masked: Row::default(),
        }
    }
}

impl Networks {
    pub(super) fn add(&mut self, net: Net, entry: &Entry) {
        match net {
            Net::V4(address, length) => self.v4.add(address.to_bits().into(), length, entry),
            Net::V6(address, length) => self.v6.add(address.to_bits(), length, entry),
            Net::Masked(address, mask) => {
                self.masked.push((address.to_bits() & mask, mask), entry);
            }
        }
    }

    pub(super) fn replace(&mut self, net: Net, entry: &Entry) {
        match net {
            Net::V4(address, length) => self.v4.replace(address.to_bits().into(), length, entry),
            Net::V6(address, length) => self.v6.replace(address.to_bits(), length, entry),
            Net::Masked(..) => self.masked.replace(entry),
        }
    }

    pub(super) fn remove(&mut self, net: Net, id: u64) {
        match net {
            Net::V4(address, length) => self.v4.remove(address.to_bits().into(), length, id),
            Net::V6(address, length) => self.v6.remove(address.to_bits(), length, id),
            Net::Masked(..) => self.masked.remove(id),
        }
    }

    /// The smallest network around an address, in its own family first. Masks with gaps come last.
    pub(super) fn find(&self, address: IpAddr) -> Option<&Entry> {
        let (found, v4) = match address {
            IpAddr::V4(v4) => {
                let mapped = v4.to_ipv6_mapped().to_bits();
                let own = self.v4.find(v4.to_bits().into());
                (own.or_else(|| self.v6.find(mapped)), Some(v4))
            }
            IpAddr::V6(v6) => {
                let v4 = embedded_ipv4(v6);
                let other = || self.v4.find(v4?.to_bits().into());
                (self.v6.find(v6.to_bits()).or_else(other), v4)
            }
        };
        found.or_else(|| {
            let bits = v4?.to_bits();
            self.masked.find(|(network, mask)| bits & mask == *network)
        })
    }
}
