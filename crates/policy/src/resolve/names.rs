//! Name servers, those of the system among them, and the servers that follow names.

use std::path::Path;

use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};

use super::Resolver;
use super::endpoints::is_service;
use crate::draft::{self, Draft, HostDraft, NameServerDraft, ServerAddressDraft, ServerDraft};
use crate::keyword::haproxy::resolvers::{PORT, SERVERS_MAX};
use crate::model::names::{Family, Follow, NameServer, Resolvers, ResolversId};

/// Where the system writes down whom it asks (resolv.conf(5)).
const SYSTEM_FILE: &str = "/etc/resolv.conf";

/// The section that need not be written.
const DEFAULT: &str = "default";

impl Resolver<'_> {
    /// All sections, and at their end the one that need not be written, if a server names it.
    pub(super) fn name_servers(&mut self, draft: &Draft) -> Vec<Resolvers> {
        let mut all: Vec<Resolvers> = Vec::new();
        for section in &draft.resolvers {
            let mut model = section.model.clone();
            model.servers = self.asked(&section.servers);
            if section.servers.is_empty() {
                let message = format!("nobody is asked by the section '{}'", model.name);
                let warning = Diagnostic::warning(Kind::Advice, section.span, message);
                self.report(warning.help("write 'nameserver' lines, or 'parse-resolv-conf'"));
            }
            all.push(model);
        }
        let names_default = |server: &ServerDraft| {
            let named = server.resolvers.as_ref();
            named.is_some_and(|name| name.value == DEFAULT)
        };
        let servers = draft.proxies.iter().flat_map(|proxy| &proxy.servers);
        let wanted = servers.clone().find(|server| names_default(server));
        if let Some(server) = wanted
            && !all.iter().any(|known| known.name == DEFAULT)
        {
            let mut model = Resolvers::new(DEFAULT);
            model.servers = self.asked(&[NameServerDraft::System(server.name_span)]);
            all.push(model);
        }
        all
    }

    fn asked(&mut self, drafts: &[NameServerDraft]) -> Vec<NameServer> {
        let mut servers = Vec::new();
        for draft in drafts {
            match draft {
                NameServerDraft::Written(server) => servers.push(server.clone()),
                NameServerDraft::System(span) => servers.extend(self.system_servers(*span)),
            }
        }
        servers.truncate(SERVERS_MAX);
        servers
    }

    fn system_servers(&mut self, span: Span) -> Vec<NameServer> {
        let text = match self.context.files.read(Path::new(SYSTEM_FILE)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => {
                let message = format!("'{SYSTEM_FILE}' cannot be read: {error}");
                let help = "name the servers to be asked by 'nameserver' lines";
                self.error(Kind::Environment, span, message, help);
                return Vec::new();
            }
        };
        let addresses = text.lines().filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let is_server = words.next() == Some("nameserver");
            words.next().filter(|_| is_server)?.parse().ok()
        });
        let server = |ip: std::net::IpAddr| NameServer {
            name: ip.to_string(),
            address: (ip, PORT).into(),
            stream: false,
        };
        addresses.map(server).collect()
    }

    /// How a server's address follows from its name, or would from one that it is given later; `None`: it follows nobody.
    pub(super) fn follow(&mut self, draft: &ServerDraft) -> Option<Follow> {
        let ServerAddressDraft::Inet { host, span, .. } = &draft.address else {
            return None;
        };
        let host = match host {
            HostDraft::Name(host, _) => Some(host),
            _ => None,
        };
        let Some(named) = &draft.resolvers else {
            if let Some(host) = host.filter(|host| is_service(host)) {
                let message = format!("'{host}' stands for services, for which nobody is asked");
                let help = "name the section of those to be asked by 'resolvers'";
                self.error(Kind::Reference, *span, message, help);
            }
            return None;
        };
        let mut known = self.resolvers.iter();
        let Some(index) = known.position(|known| known.name == named.value) else {
            let names: Vec<_> = self
                .resolvers
                .iter()
                .map(|known| known.name.clone())
                .collect();
            let names = names.iter().map(String::as_str);
            self.no_such("'resolvers' section", &named.value, named.span, names);
            return None;
        };
        Some(Follow {
            resolvers: ResolversId(index as u32),
            host: host.cloned(),
            prefer: match draft.prefer {
                draft::Family::V4 => Family::V4,
                draft::Family::V6 | draft::Family::Any => Family::V6,
            },
            networks: draft.resolve_networks.clone(),
            shares_addresses: draft.resolve_options.allow_duplicates,
            ignores_weights: draft.resolve_options.ignore_weight,
        })
    }
}
