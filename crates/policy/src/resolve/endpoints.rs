//! Listening addresses and servers: hosts become addresses, ranges become lists, numbers are given.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};

use super::tls::{ServerSecrecy, Uses};
use super::{LISTENERS_MAX, Resolver, SERVERS_MAX, free, in_row};
use crate::draft::{
    AddressDraft, BindDraft, Family, ForeignDraft, HostDraft, InitAddr, ListenDraft, ProxyDraft,
    ServerAddressDraft, ServerDraft, SourceDraft, UnixDraft,
};
use crate::keyword::haproxy::NOWHERE;
use crate::model::source::{Foreign, Source};
use crate::model::{Bind, BindAddress, Mode, Server, ServerAddress, UnixOwner};

impl Resolver<'_> {
    /// One bind per address and port, numbered from `first` where no number is written.
    pub(super) fn binds(
        &mut self,
        drafts: &[BindDraft],
        first: u32,
        (mode, uses): (Mode, Uses<'_>),
    ) -> Vec<Bind> {
        let mut taken = HashSet::new();
        for id in drafts.iter().filter_map(|draft| draft.id.as_ref()) {
            if !taken.insert(id.value) {
                let message = format!("another listener of this proxy has the id {}", id.value);
                self.error(Kind::Invalid, id.span, message, "write a number of its own");
            }
        }
        let mut next = first;
        let mut binds = Vec::new();
        for draft in drafts {
            let mut written = draft.id.as_ref().map(|id| id.value);
            let unix = self.unix(&draft.unix);
            let place = draft.line.map(|line| self.place(line)).unwrap_or_default();
            let tls = self.bind_tls(draft, mode, uses);
            for address in self.listen(&draft.addresses) {
                if self.listeners == LISTENERS_MAX {
                    self.too_many("listening addresses", LISTENERS_MAX);
                    return binds;
                }
                self.listeners += 1;
                let number = written.take().unwrap_or_else(|| free(&taken, &mut next));
                // What has no number follows the one before it, also where that one's is written.
                next = number.saturating_add(1);
                binds.push(Bind {
                    address,
                    place: place.clone(),
                    number,
                    unix,
                    tls: tls.clone(),
                    ..draft.model.clone()
                });
            }
        }
        binds
    }

    fn listen(&mut self, drafts: &[ListenDraft]) -> Vec<BindAddress> {
        let mut addresses = Vec::new();
        for draft in drafts {
            match draft {
                ListenDraft::Other(address) => addresses.push(address.clone()),
                ListenDraft::Inet { address, last_port } => {
                    let Some(first) = self.socket(address) else {
                        continue;
                    };
                    let ports = first.port()..=*last_port;
                    addresses.extend(
                        ports.map(|port| BindAddress::Inet(SocketAddr::new(first.ip(), port))),
                    );
                }
            }
        }
        addresses
    }

    fn too_many(&mut self, what: &str, most: usize) {
        self.error(
            Kind::Invalid,
            NOWHERE,
            format!("there are more than {most} {what}"),
            "",
        );
    }

    fn unix(&mut self, draft: &UnixDraft) -> UnixOwner {
        let user = draft.user.as_ref().map(|name| ("user", name));
        let group = draft.group.as_ref().map(|name| ("group", name));
        let mut numbers = [draft.uid, draft.gid];
        for (number, named) in numbers.iter_mut().zip([user, group]) {
            let Some((what, name)) = named else { continue };
            *number = self.account_number(what, &name.value);
            if number.is_none() {
                let message = format!("this machine has no {what} called '{}'", name.value);
                self.error(
                    Kind::Environment,
                    name.span,
                    message,
                    &format!("create the {what}, or write a number"),
                );
            }
        }
        let [user, group] = numbers;
        UnixOwner {
            mode: draft.mode,
            user,
            group,
        }
    }

    /// The address of a host and a port, or nothing when the host has none (which is told).
    pub(super) fn socket(&mut self, draft: &AddressDraft) -> Option<SocketAddr> {
        let ip = match &draft.host {
            HostDraft::Ip(ip) => *ip,
            HostDraft::Name(host, family) => match self.host(host, *family, Family::Any) {
                Ok(ip) => ip,
                Err(complaint) => {
                    self.unresolved(host, &complaint, draft.span);
                    return None;
                }
            },
        };
        Some(SocketAddr::new(ip, draft.port))
    }

    /// Where connections come from.
    pub(super) fn source(&mut self, draft: &SourceDraft) -> Option<Source> {
        let address = self.socket(&draft.address)?;
        let foreign = match &draft.foreign {
            Some(ForeignDraft::Known(foreign)) => Some(foreign.clone()),
            Some(ForeignDraft::Address(address)) => Some(Foreign::Address(self.socket(address)?)),
            None => None,
        };
        Some(Source {
            address,
            last_port: draft.last_port,
            interface: draft.interface.clone(),
            foreign,
        })
    }

    fn unresolved(&mut self, host: &str, complaint: &str, span: Span) {
        let message = format!("'{host}' cannot be resolved: {complaint}");
        self.error(
            Kind::Environment,
            span,
            message,
            "write an IP address, or make the name known to this machine",
        );
    }

    /// An address of a host: of the family asked for, and of the preferred one where there is a choice.
    fn host(&mut self, host: &str, family: Family, prefer: Family) -> Result<IpAddr, String> {
        let machine = self.context.machine;
        let known = self.hosts.entry(host.to_owned());
        let answer =
            known.or_insert_with(|| machine.addresses(host).map_err(|error| error.to_string()));
        let addresses = answer.as_ref().map_err(String::clone)?;
        let fits = |ip: &&IpAddr, family| match family {
            Family::Any => true,
            Family::V4 => ip.is_ipv4(),
            Family::V6 => ip.is_ipv6(),
        };
        let mut usable = addresses.iter().filter(|ip| fits(ip, family));
        let first = usable
            .clone()
            .next()
            .ok_or("it has no address of the family wanted")?;
        Ok(*usable.find(|ip| fits(ip, prefer)).unwrap_or(first))
    }

    pub(super) fn servers(&mut self, proxy: &ProxyDraft) -> Vec<Server> {
        let mut names = HashSet::new();
        let mut taken = HashSet::new();
        for id in proxy.servers.iter().filter_map(|server| server.id.as_ref()) {
            if !taken.insert(id.value) {
                let message = format!("another server of '{}' has the id {}", proxy.name, id.value);
                self.error(Kind::Invalid, id.span, message, "write a number of its own");
            }
        }
        let mut next = 1;
        let mut servers = Vec::new();
        for draft in &proxy.servers {
            let follows = self.follow(draft).map(Arc::new);
            let (address, source) = self.server_address(draft, proxy.settings.disabled);
            let host = written_host(&draft.address);
            let socks = draft.socks.as_ref().and_then(|socks| self.socket(socks));
            let (minconn, maxconn) = self.limits(draft);
            let mut check = self.server_check(draft);
            let mut secrecy = ServerSecrecy::default();
            if !proxy.settings.disabled {
                secrecy = self.server_tls(draft, proxy.settings.mode);
                check.tls = secrecy.check.take();
                check.tls_usual = check.tls.is_some();
                check.tls_follows = secrecy.check_follows;
                check.sni_auto = !draft.tls.no_check_sni_auto && draft.tls.check_sni.is_none();
                self.check_agent_tls(draft, &check);
            }
            let pool_name = draft
                .pool_name
                .as_ref()
                .map(|name| self.name_expression(name));
            let mut written = draft.id.as_ref().map(|id| id.value);
            let mut guid = draft.model.guid.clone();
            for name in server_names(draft) {
                if self.servers == SERVERS_MAX {
                    self.too_many("servers", SERVERS_MAX);
                    return servers;
                }
                self.servers += 1;
                if !names.insert(name.clone()) {
                    self.same_name(proxy, draft, &name);
                }
                let number = in_row(written.take(), &taken, &mut next);
                let address = address.clone();
                servers.push(Server {
                    minconn,
                    maxconn,
                    name,
                    number,
                    has_number: draft.id.is_some(),
                    address,
                    host: host.clone(),
                    follows: follows.clone(),
                    source: source.clone(),
                    socks,
                    check: check.clone(),
                    tls: secrecy.traffic.clone(),
                    idle_tls: secrecy.idle.clone(),
                    no_tls: secrecy.no_tls,
                    pool_name: pool_name.clone(),
                    // The first one of a template has it, as in HAProxy.
                    guid: guid.take(),
                    ..draft.model.clone()
                });
            }
        }
        servers
    }

    /// Both servers work, but only one of them can be meant by its name.
    fn same_name(&mut self, proxy: &ProxyDraft, draft: &ServerDraft, name: &str) {
        let message = format!("another server of '{}' is called '{name}'", proxy.name);
        let warning = Diagnostic::warning(Kind::Legacy, draft.name_span, message);
        let warning =
            warning.cause("today's HAProxy refuses this, and commands reach only the first");
        self.report(warning.help("give each server a name of its own"));
    }

    /// `minconn` alone, or above `maxconn`, is a `maxconn`.
    fn limits(&mut self, draft: &ServerDraft) -> (Option<u32>, Option<u32>) {
        let (low, high) = (draft.model.minconn, draft.model.maxconn);
        let Some(least) = low.filter(|low| high.is_none_or(|high| *low > high)) else {
            return (low, high);
        };
        if let Some(high) = high {
            let message =
                format!("'minconn {least}' is above 'maxconn {high}' and counts as 'maxconn'");
            let note = Diagnostic::note(Kind::NoEffect, draft.name_span, message);
            self.report(note.help("write the lower number behind 'minconn'"));
        }
        (None, Some(least))
    }

    /// The address of a server and of its connections' near end. Nobody asks for the names of a disabled proxy.
    fn server_address(
        &mut self,
        draft: &ServerDraft,
        disabled: bool,
    ) -> (ServerAddress, Option<Source>) {
        let source = draft.source.as_ref().and_then(|source| self.source(source));
        let address = match &draft.address {
            ServerAddressDraft::None => ServerAddress::Abstract(String::new()),
            ServerAddressDraft::Other(address) => address.clone(),
            ServerAddressDraft::Inet {
                host: HostDraft::Ip(ip),
                port,
                ..
            } => ServerAddress::Inet {
                ip: *ip,
                port: *port,
            },
            ServerAddressDraft::Inet {
                host: HostDraft::Name(host, _),
                port,
                ..
            } if disabled || is_service(host) => ServerAddress::Unresolved {
                host: host.clone(),
                port: *port,
            },
            ServerAddressDraft::Inet {
                host: HostDraft::Name(host, family),
                port,
                span,
            } => match self.first_address(draft, host, *family, *span) {
                Some(ip) => ServerAddress::Inet { ip, port: *port },
                None => ServerAddress::Unresolved {
                    host: host.clone(),
                    port: *port,
                },
            },
        };
        (address, source)
    }

    /// Tries the ways of `init-addr` in their order.
    fn first_address(
        &mut self,
        draft: &ServerDraft,
        host: &str,
        family: Family,
        span: Span,
    ) -> Option<IpAddr> {
        // Whom name servers are asked for may be unknown for now.
        let ways: &[InitAddr] = match draft.init_addr.as_slice() {
            [] if draft.resolvers.is_some() => &[InitAddr::Last, InitAddr::Libc, InitAddr::None],
            [] => &[InitAddr::Last, InitAddr::Libc],
            ways => ways,
        };
        let lenient = self.context.machine.bears_unknown_hosts();
        let last_resort = lenient.then_some(&InitAddr::None);
        let mut failed = false;
        let mut complaint = "none of the ways of 'init-addr' gave an address".to_owned();
        for way in ways.iter().chain(last_resort) {
            match way {
                InitAddr::Last => {}
                InitAddr::None => {
                    if failed {
                        let message = format!("'{host}' cannot be resolved: {complaint}");
                        let note = Diagnostic::note(Kind::Environment, span, message);
                        self.report(note.cause("the server is down until an address is known"));
                    }
                    return None;
                }
                InitAddr::Ip(ip) => return Some(*ip),
                InitAddr::Libc => match self.host(host, family, draft.prefer) {
                    Ok(ip) => return Some(ip),
                    Err(said) => (failed, complaint) = (true, said),
                },
            }
        }
        self.unresolved(host, &complaint, span);
        None
    }
}

/// The name that is written in place of an address.
fn written_host(address: &ServerAddressDraft) -> Option<String> {
    match address {
        ServerAddressDraft::Inet {
            host: HostDraft::Name(host, _),
            ..
        } => Some(host.clone()),
        _ => None,
    }
}

/// Whether the name stands for services (RFC 2782), which the system's resolver does not look for.
pub(super) fn is_service(host: &str) -> bool {
    host.starts_with('_')
}

/// The name of a server, or the names that a template stands for.
pub(super) fn server_names(draft: &ServerDraft) -> Vec<String> {
    let name = &draft.model.name;
    match draft.template {
        None => vec![name.clone()],
        Some((first, last)) => (first..=last)
            .map(|number| format!("{name}{number}"))
            .collect(),
    }
}
