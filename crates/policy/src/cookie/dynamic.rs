//! Values that follow from a secret and a server's address, so that several balancers agree on them
//! (`dynamic-cookie-key`).

use std::net::IpAddr;

use twox_hash::XxHash64;

use crate::model::{Backend, ServerAddress, ServerPort};

/// Gives the servers of a backend that have no cookie of their own the values that follow from its key, or takes them
/// back, as the backend wants it.
pub(crate) fn compute(backend: &mut Backend) {
    let dynamic = backend.cookie.as_ref().is_some_and(|spec| spec.dynamic);
    let key = backend.cookie_key.as_deref().filter(|_| dynamic);
    for server in &mut backend.servers {
        if server.cookie.is_some() && !server.computed_cookie {
            continue;
        }
        server.cookie = match (key, &server.address) {
            (Some(key), ServerAddress::Inet { ip, port }) => {
                let port = match port {
                    ServerPort::Fixed(port) => *port,
                    ServerPort::Offset(_) => 0,
                };
                Some(value(key, *ip, port))
            }
            _ => None,
        };
        server.computed_cookie = server.cookie.is_some();
    }
}

/// The value of the server at an address.
fn value(key: &str, ip: IpAddr, port: u16) -> String {
    let mut text = key.as_bytes().to_vec();
    match ip {
        IpAddr::V4(ip) => text.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => text.extend_from_slice(&ip.octets()),
    }
    text.extend_from_slice(&u32::from(port).to_be_bytes());
    format!("{:016x}", XxHash64::oneshot(0, &text))
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn keys_and_addresses_tell_servers_apart() {
        let ip = "127.0.0.1".parse().unwrap();
        assert_eq!(value("k", ip, 80).len(), 16);
        assert_ne!(value("k", ip, 80), value("k", ip, 81));
        assert_ne!(value("k", ip, 80), value("l", ip, 80));
    }
}
