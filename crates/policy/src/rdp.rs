//! `persist rdp-cookie`: terminal servers name themselves in a cookie, by which their clients are led back.
//!
//! The cookie is `ADDRESS.PORT.REST` (MS-RDPBCGR section 3.2.5.3.1): the IPv4 address in network order, read as a number
//! whose lowest byte comes first, and the port with its bytes swapped, both in decimal digits.

use std::net::{IpAddr, Ipv4Addr};

use crate::balance::rdp_cookie;
use crate::context::Context;
use crate::model::{BackendId, ServerAddress, ServerId, ServerPort};
use crate::stickiness;

/// The server that a connection's first bytes name, if it is one of the backend's and may be used.
pub fn server(backend: BackendId, context: &Context<'_>) -> Option<ServerId> {
    let model = &context.plane.model.backends[backend.0 as usize];
    let name = model.rdp_persistence.as_deref()?;
    let (ip, port) = address(rdp_cookie::value(context.request_payload.bytes, name)?)?;
    let live = context.plane.backend(backend);
    let mut servers = (0..).map(ServerId).zip(&model.servers);
    let (id, _) = servers.find(|(id, server)| {
        let moved = live.server(*id).moved_to();
        let place = moved.as_ref().unwrap_or(&server.address);
        let named = ServerAddress::Inet {
            ip: IpAddr::V4(ip),
            port: ServerPort::Fixed(port),
        };
        *place == named
    })?;
    stickiness::is_reachable(context, backend, id).then_some(id)
}

fn address(cookie: &[u8]) -> Option<(Ipv4Addr, u16)> {
    let mut parts = std::str::from_utf8(cookie).ok()?.split('.');
    let address: u32 = parts.next()?.parse().ok()?;
    let port: u16 = parts.next()?.parse().ok()?;
    parts.next()?;
    Some((Ipv4Addr::from(address.to_le_bytes()), port.swap_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_terminal_servers() {
        // The example of the specification, and what is none.
        let read = |text: &str| address(text.as_bytes());
        let (ip, port) = read("3640205228.15629.0000").unwrap();
        assert_eq!((ip, port), ("172.31.249.216".parse().unwrap(), 3_389));
        for text in [
            "",
            "1",
            "1.2",
            "x.2.0",
            "1.65536.0",
            "4294967296.1.0",
            "-1.1.0",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
