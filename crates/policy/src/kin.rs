//! Who of a new model was there before, by name.
//!
//! What goes on from plane to plane (counters, queues, pools, gates) is found through this, once per change.

use std::collections::HashMap;

use crate::model::{BackendId, FrontendId, Model, ServerId};

/// For everything in a model: the id it had in another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kin {
    frontends: Vec<Option<FrontendId>>,
    backends: Vec<Option<BackendId>>,
    servers: Vec<Vec<Option<ServerId>>>,
}

impl Kin {
    /// Finds what `after` has in common with `before`.
    pub fn new(before: &Model, after: &Model) -> Self {
        let names = before.frontends.iter().map(|frontend| &frontend.name);
        let frontends: HashMap<_, _> = names.zip((0..).map(FrontendId)).collect();
        let names = before.backends.iter().map(|backend| &backend.name);
        let known: HashMap<_, _> = names.zip((0..).map(BackendId)).collect();
        let backends: Vec<_> = after
            .backends
            .iter()
            .map(|backend| known.get(&backend.name).copied())
            .collect();
        let servers = after.backends.iter().zip(&backends).map(|(backend, kin)| {
            let known = kin.map_or(&[][..], |id| &before.backends[id.0 as usize].servers);
            let names = known.iter().map(|server| server.name.as_str());
            let known: HashMap<_, _> = names.zip((0..).map(ServerId)).collect();
            let servers = backend.servers.iter();
            servers
                .map(|server| server.find_in(&known).copied())
                .collect()
        });
        Self {
            frontends: after
                .frontends
                .iter()
                .map(|frontend| frontends.get(&frontend.name).copied())
                .collect(),
            servers: servers.collect(),
            backends,
        }
    }

    /// The frontend's id before; `None`: it is new.
    pub fn frontend(&self, id: FrontendId) -> Option<FrontendId> {
        self.frontends.get(id.0 as usize).copied().flatten()
    }

    /// The backend's id before; `None`: it is new.
    pub fn backend(&self, id: BackendId) -> Option<BackendId> {
        self.backends.get(id.0 as usize).copied().flatten()
    }

    /// Backend and server as they were before; `None`: the server is new.
    pub fn server(&self, backend: BackendId, server: ServerId) -> Option<(BackendId, ServerId)> {
        let servers = self.servers.get(backend.0 as usize)?;
        let before = servers.get(server.0 as usize).copied().flatten()?;
        Some((self.backend(backend)?, before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, Frontend, Server, ServerAddress};

    fn model(backends: &[(&str, &[&str])]) -> Model {
        let server = |name: &&str| Server::new(*name, ServerAddress::Abstract("x".to_owned()));
        Model {
            frontends: vec![Frontend::default()],
            backends: backends
                .iter()
                .map(|(name, servers)| Backend {
                    name: (*name).to_owned(),
                    servers: servers.iter().map(server).collect(),
                    ..Backend::default()
                })
                .collect(),
            ..Model::default()
        }
    }

    #[test]
    fn names_decide() {
        let before = model(&[("x", &["a", "b"]), ("y", &["a"])]);
        let after = model(&[("y", &["c", "a"]), ("z", &["a"])]);
        let kin = Kin::new(&before, &after);
        let [y, z, beyond] = [BackendId(0), BackendId(1), BackendId(2)];
        let [first, second] = [ServerId(0), ServerId(1)];
        assert_eq!(kin.frontend(FrontendId(0)), Some(FrontendId(0)));
        assert_eq!(kin.backend(y), Some(BackendId(1)));
        assert_eq!((kin.backend(z), kin.backend(beyond)), (None, None));
        assert_eq!(kin.server(y, first), None);
        assert_eq!(kin.server(y, second), Some((BackendId(1), first)));
        assert_eq!(kin.server(z, first), None);
    }
}
