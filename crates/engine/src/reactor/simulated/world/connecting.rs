//! Listening, connecting and accepting.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use plimsoll_sys::address::Address;
use plimsoll_sys::connect::ConnectOptions;
use plimsoll_sys::epoll::Readiness;
use plimsoll_sys::listen::ListenOptions;

use super::{Action, FIRST_EPHEMERAL_PORT, Half, Kind, Listening, World};

/// A client whose connection did not fit into the backlog tries again after this.
const BACKLOG_RETRY_NS: u64 = 1_000_000_000;

/// `EMFILE`: too many open files in the process.
const EMFILE: i32 = 24;

impl World {
    fn ephemeral_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
        port
    }

    pub(in crate::reactor::simulated) fn listen(
        &mut self,
        address: &Address,
        options: &ListenOptions,
    ) -> io::Result<u32> {
        let mut address = address.clone();
        if let Address::Inet(inet) = &mut address
            && inet.port() == 0
        {
            inet.set_port(self.ephemeral_port());
        }
        if self.listeners.contains_key(&address) && !options.reuse_port {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let backlog = options.backlog.max(1) as usize;
        let listening = Listening {
            address: address.clone(),
            backlog,
            waiting: VecDeque::new(),
        };
        let id = self.insert(Kind::Listening(listening));
        self.listeners.entry(address).or_default().push(id);
        self.note("listen", id, backlog);
        Ok(id)
    }

    pub(in crate::reactor::simulated) fn accept(
        &mut self,
        id: u32,
    ) -> io::Result<Option<(u32, Address)>> {
        let waiting = match self.nodes.get_mut(&id).map(|node| &mut node.kind) {
            Some(Kind::Listening(listening)) => &mut listening.waiting,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        if waiting.is_empty() {
            return Ok(None);
        }
        if self.chance.happens(self.weather.exhausted) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let Some(server) = waiting.pop_front() else {
            return Ok(None);
        };
        self.note("accept", server, 0);
        let remote = self.half(server)?.remote.clone();
        Ok(Some((server, remote)))
    }

    pub(in crate::reactor::simulated) fn connect(
        &mut self,
        address: &Address,
        options: &ConnectOptions,
    ) -> io::Result<u32> {
        if self.chance.happens(self.weather.exhausted) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let local = self.source(address, options);
        let client = self.insert(Kind::Half(Half::new(local, address.clone())));
        self.note("connect", client, 0);
        if self.chance.happens(self.weather.refused) {
            self.schedule(Action::Fail {
                to: client,
                error: io::ErrorKind::ConnectionRefused,
            });
        } else if !self.chance.happens(self.weather.unanswered) {
            self.schedule(Action::Arrive {
                client,
                address: address.clone(),
            });
        }
        Ok(client)
    }

    fn source(&mut self, target: &Address, options: &ConnectOptions) -> Address {
        if target.is_unix() {
            return Address::Unnamed;
        }
        let wished = options.source.as_ref().and_then(Address::inet);
        let ip = wished.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |inet| inet.ip());
        let port = match wished.map_or(0, |inet| inet.port()) {
            0 => self.ephemeral_port(),
            port => port,
        };
        Address::Inet(SocketAddr::new(ip, port))
    }

    pub(super) fn arrive(&mut self, client: u32, address: Address) {
        let Ok(half) = self.half(client) else { return };
        let remote = half.local.clone();
        let Some(listener) = self.listener_at(&address) else {
            return self.schedule(Action::Fail {
                to: client,
                error: io::ErrorKind::ConnectionRefused,
            });
        };
        let Some(Kind::Listening(listening)) = self.nodes.get(&listener).map(|node| &node.kind)
        else {
            return;
        };
        if listening.waiting.len() >= listening.backlog {
            let at_ns = self.now_ns + BACKLOG_RETRY_NS;
            return self.schedule_at(at_ns, Action::Arrive { client, address });
        }
        let server = self.insert(Kind::Half(Half {
            peer: client,
            established: true,
            ..Half::new(address, remote)
        }));
        if let Some(half) = self.half_mut(client) {
            half.peer = server;
        }
        if let Some(Kind::Listening(listening)) =
            self.nodes.get_mut(&listener).map(|node| &mut node.kind)
        {
            listening.waiting.push_back(server);
        }
        self.note("arrive", server, client as usize);
        self.edge(listener, Readiness::READ);
        self.schedule_in_order(client, Action::Establish { client, server });
    }

    /// One of the listeners on this address, or on the wildcard with its port.
    fn listener_at(&mut self, address: &Address) -> Option<u32> {
        let wildcard = address
            .inet()
            .map(|inet| Address::Inet((Ipv4Addr::UNSPECIFIED, inet.port()).into()));
        let found = [Some(address.clone()), wildcard]
            .into_iter()
            .flatten()
            .find_map(|candidate| self.listeners.get(&candidate))?;
        let index = self.chance.below(found.len() as u64) as usize;
        found.get(index).copied()
    }

    pub(super) fn establish(&mut self, client: u32, server: u32) {
        if let Some(half) = self.half_mut(client).filter(|half| !half.broken) {
            half.established = true;
            self.note("establish", client, server as usize);
            self.edge(client, Readiness::WRITE);
        }
    }
}
