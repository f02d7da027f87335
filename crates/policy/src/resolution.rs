//! Which addresses servers get from what name servers answer.
//!
//! ```text
//!  answer ──► Memory: is it to be believed, or is the last one held? ──► assign: who keeps what, who gets what ──► servers
//! ```
//! Servers that follow one name in one backend share its addresses out among themselves: whoever has one that is still
//! named keeps it, so that an answer in another order moves nobody. What is absent: messages (`wire::dns`), sockets, and
//! when to ask again.

use std::net::{IpAddr, SocketAddr};

use plimsoll_wire::dns::Lack;

use crate::model::names::{Family, Follow, Hold};

/// Weights of services are 16 bits wide, those of servers end at 256.
const SERVICE_WEIGHT_SCALE: u16 = 256;

/// A place that a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    pub ip: IpAddr,
    /// Of a service; a host's servers have their own.
    pub port: Option<u16>,
    pub weight: Option<u32>,
}

impl Spot {
    /// An address of a host.
    pub fn of_host(ip: IpAddr) -> Self {
        Self {
            ip,
            port: None,
            weight: None,
        }
    }

    /// A place of a service, with the weight of the record as HAProxy scales it.
    pub fn of_service(address: SocketAddr, weight: u16) -> Self {
        Self {
            ip: address.ip(),
            port: Some(address.port()),
            weight: Some(u32::from(weight / SERVICE_WEIGHT_SCALE) + 1),
        }
    }

    fn is_at(&self, other: &Self) -> bool {
        self.ip == other.ip && self.port == other.port
    }
}

/// Why a question was not answered usefully.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Timeout,
    Lack(Lack),
}

impl Failure {
    /// As log lines call it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Timeout => "DNS timeout status",
            Self::Lack(Lack::NoName) => "DNS NX status",
            Self::Lack(Lack::Refused) => "DNS refused status",
            Self::Lack(_) => "unspecified DNS error",
        }
    }

    fn hold_ms(self, hold: &Hold) -> u64 {
        match self {
            Self::Timeout => hold.timeout_ms,
            Self::Lack(Lack::NoName) => hold.no_name_ms,
            Self::Lack(Lack::Refused) => hold.refused_ms,
            Self::Lack(_) => hold.other_ms,
        }
    }
}

/// What is remembered of the answers about one name.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// When the last usable answer came; `None`: none has.
    valid_ms: Option<u64>,
    /// What was named, and when it last was.
    spots: Vec<(Spot, u64)>,
}

impl Memory {
    /// Takes in a usable answer; returns what is to be used: it, and what was named a moment ago (`hold obsolete`).
    pub fn learn(&mut self, found: &[Spot], hold: &Hold, now_ms: u64) -> Vec<Spot> {
        self.valid_ms = Some(now_ms);
        self.spots.retain(|(spot, seen_ms)| {
            let is_named = found.iter().any(|named| named.is_at(spot));
            !is_named && now_ms.saturating_sub(*seen_ms) < hold.obsolete_ms
        });
        let mut spots: Vec<_> = found.iter().map(|spot| (*spot, now_ms)).collect();
        spots.append(&mut self.spots);
        self.spots = spots;
        self.spots.iter().map(|(spot, _)| *spot).collect()
    }

    /// Whether servers are to lose their addresses because of this failure.
    pub fn gives_up(&self, failure: Failure, hold: &Hold, now_ms: u64) -> bool {
        self.valid_ms
            .is_none_or(|valid_ms| now_ms.saturating_sub(valid_ms) >= failure.hold_ms(hold))
    }
}

/// Shares `spots` out: for each server where it is now, in their order; returns where each is to be.
pub fn assign(present: &[Option<Spot>], spots: &[Spot], follow: &Follow) -> Vec<Option<Spot>> {
    let mut taken = vec![false; spots.len()];
    let mut places = vec![None; present.len()];
    for (place, now) in places.iter_mut().zip(present) {
        let Some(now) = now else { continue };
        let mut free = (0..spots.len()).filter(|&at| follow.shares_addresses || !taken[at]);
        let kept = free.find(|&at| {
            let spot = &spots[at];
            spot.ip == now.ip && (spot.port.is_none() || spot.port == now.port)
        });
        if let Some(at) = kept {
            taken[at] = true;
            *place = Some(spots[at]);
        }
    }
    for place in places.iter_mut().filter(|place| place.is_none()) {
        let free = (0..spots.len()).filter(|&at| follow.shares_addresses || !taken[at]);
        // Of equal ones the first, as the name server has ordered them.
        let best = free.min_by_key(|&at| rank(&spots[at], follow));
        if let Some(at) = best {
            taken[at] = true;
            *place = Some(spots[at]);
        }
    }
    places
}

/// How far from what is preferred an address is.
fn rank(spot: &Spot, follow: &Follow) -> (usize, bool) {
    let networks = &follow.networks;
    let nearest = networks
        .iter()
        .position(|network| network.contains(spot.ip));
    let family = match spot.ip {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    };
    (nearest.unwrap_or(networks.len()), family != follow.prefer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Network;
    use crate::model::names::ResolversId;

    fn follow() -> Follow {
        Follow {
            host: Some("app".into()),
            prefer: Family::V4,
            ..Follow::later(ResolversId(0))
        }
    }

    fn spots(text: &str) -> Vec<Spot> {
        let words = text.split_whitespace();
        words.map(|ip| Spot::of_host(ip.parse().unwrap())).collect()
    }

    /// Addresses by number, `-` for none.
    fn share(present: &str, answer: &str, follow: &Follow) -> String {
        let ip = |word: &str| (word != "-").then(|| Spot::of_host(word.parse().unwrap()));
        let present: Vec<_> = present.split_whitespace().map(ip).collect();
        let places = assign(&present, &spots(answer), follow);
        let texts = places.iter().map(|place| match place {
            Some(spot) => spot.ip.to_string(),
            None => "-".to_owned(),
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn servers_keep_what_is_still_named() {
        for (present, answer, expected) in [
            ("- -", "10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2"),
            (
                "10.0.0.1 10.0.0.2",
                "10.0.0.2 10.0.0.1",
                "10.0.0.1 10.0.0.2",
            ),
            (
                "10.0.0.1 10.0.0.2",
                "10.0.0.3 10.0.0.2",
                "10.0.0.3 10.0.0.2",
            ),
            ("10.0.0.1 10.0.0.2 -", "10.0.0.2", "- 10.0.0.2 -"),
            ("10.0.0.9", "::1 10.0.0.1", "10.0.0.1"),
            ("::1", "10.0.0.1 ::1", "::1"),
        ] {
            assert_eq!(
                share(present, answer, &follow()),
                expected,
                "{present} {answer}"
            );
        }
        let shared = Follow {
            shares_addresses: true,
            ..follow()
        };
        assert_eq!(share("- -", "10.0.0.1", &shared), "10.0.0.1 10.0.0.1");
    }

    #[test]
    fn preferred_networks_come_before_families() {
        let network = |address: &str, prefix| Network {
            address: address.parse().unwrap(),
            prefix,
        };
        let near = Follow {
            prefer: Family::V6,
            networks: vec![network("10.2.0.0", 16), network("10.1.0.0", 16)],
            ..follow()
        };
        assert_eq!(share("-", "::1 10.1.0.1 10.2.0.1", &near), "10.2.0.1");
        assert_eq!(share("-", "10.9.0.1 ::1", &near), "::1");
    }

    #[test]
    fn services_have_ports_and_weights() {
        let service = |text: &str, weight| Spot::of_service(text.parse().unwrap(), weight);
        let named = [service("10.0.0.1:80", 0), service("10.0.0.1:81", 65_535)];
        let present = [Some(service("10.0.0.1:81", 1)), None];
        let places = assign(&present, &named, &follow());
        assert_eq!(places, [Some(named[1]), Some(named[0])]);
        assert_eq!((named[0].weight, named[1].weight), (Some(1), Some(256)));
    }

    #[test]
    fn a_lack_is_overlooked_for_a_while() {
        let hold = Hold {
            no_name_ms: 100,
            obsolete_ms: 50,
            ..Hold::default()
        };
        let no_name = Failure::Lack(Lack::NoName);
        let mut memory = Memory::default();
        assert!(memory.gives_up(no_name, &hold, 0));
        assert_eq!(
            memory.learn(&spots("10.0.0.1"), &hold, 1_000),
            spots("10.0.0.1")
        );
        assert!(!memory.gives_up(no_name, &hold, 1_099));
        assert!(memory.gives_up(no_name, &hold, 1_100));
        assert!(!memory.gives_up(Failure::Timeout, &hold, 1_100));
        let both = spots("10.0.0.2 10.0.0.1");
        assert_eq!(memory.learn(&spots("10.0.0.2"), &hold, 1_020), both);
        assert_eq!(
            memory.learn(&spots("10.0.0.2"), &hold, 1_050),
            spots("10.0.0.2")
        );
    }
}
