//! Where connections to servers come from (manual, "source").

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use plimsoll_wire::head::Head;

/// The near end of connections to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// An unspecified address and port 0 are the kernel's choice.
    pub address: SocketAddr,
    /// The address's port begins a range of ports that ends with this one: connections come from any of them.
    pub last_port: Option<u16>,
    /// `interface`: packets leave through it, whatever the routes say.
    pub interface: Option<String>,
    /// `usesrc`: an address that need not be this machine's.
    pub foreign: Option<Foreign>,
}

/// Whose address connections come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// The client's, with its port.
    Client,
    /// The client's, with any port.
    ClientIp,
    Address(SocketAddr),
    /// That which a list in the request's fields names.
    Header {
        /// In lower case.
        name: String,
        /// Counted from the first, 1, or from the last, -1.
        occurrence: i32,
    },
}

impl Default for Source {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::UNSPECIFIED, 0).into(),
            last_port: None,
            interface: None,
            foreign: None,
        }
    }
}

impl Foreign {
    /// The address for a client and its request; `None`: it has none of the kind.
    pub fn address(
        &self,
        client: Option<SocketAddr>,
        request: Option<&Head>,
    ) -> Option<SocketAddr> {
        match self {
            Self::Client => client,
            Self::ClientIp => client.map(|client| (client.ip(), 0).into()),
            Self::Address(address) => Some(*address),
            Self::Header { name, occurrence } => {
                let ip = occurrence_of(request?, name, *occurrence)?;
                Some((ip, 0).into())
            }
        }
    }
}

fn occurrence_of(head: &Head, name: &str, occurrence: i32) -> Option<IpAddr> {
    let values = head.values(name.as_bytes());
    let members: Vec<&[u8]> = values
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let back = usize::try_from(occurrence.unsigned_abs()).ok()?;
    let index = match occurrence > 0 {
        true => back.checked_sub(1)?,
        false => members.len().checked_sub(back)?,
    };
    let text = std::str::from_utf8(members.get(index)?).ok()?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_clients_and_of_lists() {
        let client: SocketAddr = "192.0.2.1:4711".parse().unwrap();
        let mut head = Head::default();
        head.add(b"x-forwarded-for", b"10.0.0.1, 10.0.0.2");
        head.add(b"x-forwarded-for", b"::1,nonsense");
        let header = |occurrence| Foreign::Header {
            name: "x-forwarded-for".to_owned(),
            occurrence,
        };
        for (foreign, expected) in [
            (Foreign::Client, Some("192.0.2.1:4711")),
            (Foreign::ClientIp, Some("192.0.2.1:0")),
            (
                Foreign::Address("[::2]:5".parse().unwrap()),
                Some("[::2]:5"),
            ),
            (header(1), Some("10.0.0.1:0")),
            (header(3), Some("[::1]:0")),
            (header(-2), Some("[::1]:0")),
            (header(-1), None),
            (header(5), None),
            (header(-5), None),
            (header(i32::MIN), None),
        ] {
            let address = foreign.address(Some(client), Some(&head));
            assert_eq!(
                address,
                expected.map(|text| text.parse().unwrap()),
                "{foreign:?}"
            );
        }
        assert_eq!(header(1).address(Some(client), None), None);
        assert_eq!(Foreign::Client.address(None, Some(&head)), None);
    }
}
