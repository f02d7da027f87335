//! Edits of a model that is served: servers and backends that come and go.
//!
//! Ids are positions, and compiled expressions hold them, so nothing may move up when something is taken out: its place
//! stays behind as a gap, which nobody sees and the next one to come fills. A reload from files has no gaps.

use std::sync::Arc;

use super::{Backend, BackendId, Model, Server, ServerAddress, ServerId};
use crate::rule::{BackendTarget, Rules, ServerTarget};

/// Why something cannot be taken out of a model: something else means it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referenced;

impl Server {
    fn gap() -> Self {
        Self {
            removed: true,
            disabled: true,
            weight: 0,
            ..Self::new("", ServerAddress::Abstract(String::new()))
        }
    }
}

impl Model {
    /// Adds a server to a backend.
    pub fn add_server(&mut self, backend: BackendId, server: Server) {
        let servers = &mut self.backends[backend.0 as usize].servers;
        match servers.iter_mut().find(|server| server.removed) {
            Some(gap) => *gap = server,
            None => servers.push(server),
        }
    }

    /// Takes a server out of a backend.
    ///
    /// # Errors
    /// When another server tracks it, or a rule or an expression names it.
    pub fn remove_server(&mut self, backend: BackendId, id: ServerId) -> Result<(), Referenced> {
        self.unreferenced(backend, id)?;
        self.backends[backend.0 as usize].servers[id.0 as usize] = Server::gap();
        Ok(())
    }

    /// Gives a server another name, which nobody else has.
    ///
    /// # Errors
    /// As for [`Model::remove_server`]: what is named elsewhere keeps its name.
    pub fn rename_server(
        &mut self,
        backend: BackendId,
        id: ServerId,
        name: &str,
    ) -> Result<(), Referenced> {
        self.unreferenced(backend, id)?;
        let server = &mut self.backends[backend.0 as usize].servers[id.0 as usize];
        let former = std::mem::replace(&mut server.name, name.to_owned());
        server.former_name = Some(former);
        Ok(())
    }

    /// Has a server's address follow from another name; nothing where it follows nobody.
    pub fn rename_host(&mut self, backend: BackendId, id: ServerId, host: &str) {
        let server = &mut self.backends[backend.0 as usize].servers[id.0 as usize];
        if let Some(follow) = &mut server.follows {
            Arc::make_mut(follow).host = Some(host.to_owned());
        }
    }

    fn unreferenced(&self, backend: BackendId, id: ServerId) -> Result<(), Referenced> {
        let name = &self.backends[backend.0 as usize].servers[id.0 as usize].name;
        let own = &self.backends[backend.0 as usize];
        let place = format!("{}/{name}", own.name);
        let mut servers = self.backends.iter().flat_map(|backend| &backend.servers);
        let tracked = servers.any(|server| server.check.track == Some((backend, id)));
        let chosen = own.rules.use_server.iter();
        let mut chosen = chosen.map(|choice| &choice.target);
        if tracked
            || chosen.any(|target| *target == ServerTarget::Known(id))
            || self.texts().any(|text| names(&text, &place))
            || literals(&format!("{:?}", own.rules)).any(|text| names(text, name))
        {
            return Err(Referenced);
        }
        Ok(())
    }

    /// Adds a backend.
    pub fn add_backend(&mut self, backend: Backend) {
        match self.backends.iter_mut().find(|backend| backend.removed) {
            Some(gap) => *gap = backend,
            None => self.backends.push(backend),
        }
    }

    /// Takes a backend out.
    ///
    /// # Errors
    /// When a frontend leads to it, a server of it is tracked from elsewhere, or a rule or an expression names it.
    pub fn remove_backend(&mut self, id: BackendId) -> Result<(), Referenced> {
        let target = BackendTarget::Known(id);
        let leads = |rules: &Rules| {
            let mut choices = rules.use_backend.iter();
            choices.any(|choice| choice.target == target)
        };
        let mut frontends = self.frontends.iter();
        let led_to =
            frontends.any(|front| front.default_backend == Some(id) || leads(&front.rules));
        let backends = (0..).map(BackendId).zip(&self.backends);
        let others = backends.filter(|(other, _)| *other != id);
        let mut servers = others.flat_map(|(_, backend)| &backend.servers);
        let tracked = servers.any(|server| server.check.track.is_some_and(|(of, _)| of == id));
        let name = &self.backends[id.0 as usize].name;
        if led_to || tracked || self.texts().any(|text| names(&text, name)) {
            return Err(Referenced);
        }
        self.backends[id.0 as usize] = Backend {
            removed: true,
            disabled: true,
            unpublished: true,
            ..Backend::default()
        };
        Ok(())
    }

    /// Whether a frontend, a backend or a server has this `guid`.
    pub(crate) fn has_guid(&self, guid: &str) -> bool {
        let fronts = self.frontends.iter().map(|front| &front.guid);
        let backs = self.backends.iter().flat_map(|back| {
            let servers = back.servers.iter().map(|server| &server.guid);
            servers.chain([&back.guid])
        });
        fronts
            .chain(backs)
            .any(|known| known.as_deref() == Some(guid))
    }

    /// Every text in which something may be named: rules, conditions, formats. What is compiled shows its text, so that
    /// a kind of reference that nobody thought of here is found by it too.
    fn texts(&self) -> impl Iterator<Item = String> {
        let fronts = self.frontends.iter().map(|front| {
            let bare = super::Frontend {
                name: String::new(),
                description: None,
                guid: None,
                binds: Vec::new(),
                ..front.clone()
            };
            format!("{bare:?}")
        });
        let backs = self.backends.iter().map(|back| {
            let bare = Backend {
                name: String::new(),
                description: None,
                guid: None,
                servers: Vec::new(),
                ..back.clone()
            };
            format!("{bare:?}")
        });
        let all = fronts.chain(backs);
        all.flat_map(|debug| literals(&debug).map(str::to_owned).collect::<Vec<_>>())
    }
}

/// The contents of the string literals in a debug text, as they are escaped there.
fn literals(debug: &str) -> impl Iterator<Item = &str> {
    let mut rest = debug;
    std::iter::from_fn(move || {
        let start = rest.find('"')? + 1;
        let inner = &rest[start..];
        let mut escaped = false;
        let end = inner.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        rest = &inner[end + 1..];
        Some(&inner[..end])
    })
}

/// Whether a text contains a name, and not only as a part of another.
fn names(text: &str, name: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || ".:-_".contains(letter);
    let mut places = text.match_indices(name);
    !name.is_empty()
        && places.any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + name.len()..].chars().next();
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Frontend;

    /// Two frontends and three backends of two servers; the last server tracks one of the first backend.
    fn model() -> Model {
        let server = |name: &str| Server::new(name, ServerAddress::Abstract("x".to_owned()));
        let backend = |name: &str| Backend {
            name: name.to_owned(),
            servers: vec![server("a"), server("b")],
            ..Backend::default()
        };
        let front = |id| Frontend {
            default_backend: Some(BackendId(id)),
            ..Frontend::default()
        };
        let mut model = Model {
            frontends: vec![front(0), front(2)],
            backends: ["x", "y", "z"].map(backend).into(),
            ..Model::default()
        };
        model.backends[2].servers[1].check.track = Some((BackendId(0), ServerId(1)));
        model
    }

    #[test]
    fn nothing_moves_and_gaps_are_filled() {
        let mut model = model();
        let [x, y, z] = [0, 1, 2].map(BackendId);
        assert_eq!(model.remove_backend(x), Err(Referenced));
        assert_eq!(model.remove_backend(z), Err(Referenced));
        assert_eq!(model.remove_backend(y), Ok(()));
        assert_eq!(model.backends[2].name, "z");
        assert_eq!(model.remove_server(x, ServerId(1)), Err(Referenced));
        assert_eq!(model.remove_server(x, ServerId(0)), Ok(()));
        let new = || Server::new("new", ServerAddress::Abstract("x".to_owned()));
        model.add_server(x, new());
        model.add_server(x, new());
        let servers = model.backends[0].servers.iter();
        let servers: Vec<_> = servers.map(|server| &*server.name).collect();
        assert_eq!(servers, ["new", "b", "new"]);
        model.add_backend(Backend::default());
        assert!(model.backends.len() == 3 && !model.backends[1].removed);
    }

    #[test]
    fn texts_name_things() {
        for (text, name, expected) in [
            ("srv_sess_rate(x/a)", "x/a", true),
            ("srv_sess_rate(x/ab)", "x/a", false),
            ("nbsrv(x) gt 1", "x", true),
            ("nbsrv(x-2)", "x", false),
            ("http-request deny", "http", false),
            ("", "x", false),
            ("x", "", false),
        ] {
            assert_eq!(names(text, name), expected, "{text} {name}");
        }
        let debug = format!("{:?}", ("a", Some("b"), 3));
        assert_eq!(literals(&debug).collect::<Vec<_>>(), ["a", "b"]);
        let debug = format!("{:?}", ("a\"b\\", "c"));
        let found: Vec<_> = literals(&debug).collect();
        assert_eq!(found, [r#"a\"b\\"#, "c"]);
    }
}
