//! TLS: everything that knows the TLS library (rustls on aws-lc-rs) lives in this room.
//!
//! [`front::Front`] is what a bind presents to clients, [`back::Back`] how a server is called; both are made of the
//! model once and shared by all workers. [`stream::Stream`] carries bytes, [`handshake`] makes streams. What is absent:
//! reading files and words, which `policy::tls` does.

mod agree;
pub(crate) mod back;
mod cause;
mod early;
pub(crate) mod forge;
pub(crate) mod front;
pub(crate) mod handshake;
pub(crate) mod proofs;
mod provider;
mod secrets;
pub(crate) mod stream;
mod substitutes;
mod tickets;
mod trust;
mod wide_curve;

use std::fmt;
use std::sync::Arc;

use plimsoll_policy::kin::Kin;
use plimsoll_policy::model::tls::ServerTls;
use plimsoll_policy::model::{BackendId, FrontendId, Model, ServerId};

use self::back::Back;
use self::front::Front;
use self::proofs::Proofs;
use self::provider::Workshop;
pub(crate) use self::trust::is_sound;

/// Why TLS cannot be set up as the model wants it.
#[derive(Debug)]
pub struct SetupError {
    /// What it is about: a file, mostly.
    pub about: String,
    pub reason: String,
}

impl SetupError {
    fn new(about: &str, reason: impl fmt::Display) -> Self {
        Self {
            about: about.to_owned(),
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}': {}", self.about, self.reason)
    }
}

impl std::error::Error for SetupError {}

/// The two sides' settings, by the ids of the model.
#[derive(Default)]
pub(crate) struct Tls {
    binds: Vec<Vec<Option<Arc<Front>>>>,
    servers: Vec<Vec<Option<Arc<Back>>>>,
    checks: Vec<Vec<Option<Arc<Back>>>>,
    /// How authorities are called.
    client: Option<Arc<Back>>,
    /// What validators of authorities are shown.
    proofs: Arc<Proofs>,
}

impl Tls {
    /// Loads keys, trust and names of everything that uses TLS. What is the same as `before` goes on as it is, and so do
    /// the keys of tickets wherever they are our own: clients resume across reloads.
    pub(crate) fn build(
        model: &Model,
        before: Option<(&Model, &Self)>,
    ) -> Result<Self, SetupError> {
        let mut workshop = Workshop::new(model.global.tune.tls.keeps_secrets);
        let mut tls = Self {
            proofs: before
                .map(|(_, tls)| Arc::clone(&tls.proofs))
                .unwrap_or_default(),
            ..Self::default()
        };
        let client = before.and_then(|(_, tls)| tls.client.as_ref());
        tls.client = back(model.global.http_client.as_ref(), client, &mut workshop)?;
        let kin = before.map(|(earlier, _)| Kin::new(earlier, model));
        for (index, frontend) in model.frontends.iter().enumerate() {
            let id = FrontendId(index as u32);
            let earlier = kin.as_ref().and_then(|kin| kin.frontend(id));
            let earlier = before.zip(earlier);
            let mut binds = Vec::with_capacity(frontend.binds.len());
            for bind in &frontend.binds {
                let old =
                    earlier.and_then(|((model, tls), id)| tls.same_bind(model, id, bind.number));
                let front = match &bind.tls {
                    Some(wanted) => Some(Front::build(
                        wanted,
                        old,
                        &model.global.tune.tls,
                        &mut workshop,
                        &tls.proofs,
                    )?),
                    None => None,
                };
                binds.push(front);
            }
            tls.binds.push(binds);
        }
        for (index, backend) in model.backends.iter().enumerate() {
            let (mut servers, mut checks) = (Vec::new(), Vec::new());
            for (position, server) in backend.servers.iter().enumerate() {
                let ids = (BackendId(index as u32), ServerId(position as u32));
                let old = kin.as_ref().and_then(|kin| kin.server(ids.0, ids.1));
                let old = before.zip(old);
                let traffic =
                    old.and_then(|((_, tls), (backend, server))| tls.server(backend, server));
                let check =
                    old.and_then(|((_, tls), (backend, server))| tls.check(backend, server));
                servers.push(back(server.tls.as_ref(), traffic, &mut workshop)?);
                checks.push(back(server.check.tls.as_ref(), check, &mut workshop)?);
            }
            tls.servers.push(servers);
            tls.checks.push(checks);
        }
        Ok(tls)
    }

    /// What the bind of this number presents in an earlier model.
    fn same_bind(&self, model: &Model, frontend: FrontendId, number: u32) -> Option<&Arc<Front>> {
        let binds = &model.frontends.get(frontend.0 as usize)?.binds;
        let index = binds.iter().position(|bind| bind.number == number)?;
        self.bind(frontend, index)
    }

    /// What a bind presents; `None`: it speaks plainly.
    pub(crate) fn bind(&self, frontend: FrontendId, bind: usize) -> Option<&Arc<Front>> {
        self.binds.get(frontend.0 as usize)?.get(bind)?.as_ref()
    }

    /// How a server is called; `None`: plainly.
    pub(crate) fn server(&self, backend: BackendId, server: ServerId) -> Option<&Arc<Back>> {
        let servers = self.servers.get(backend.0 as usize)?;
        servers.get(server.0 as usize)?.as_ref()
    }

    /// How authorities are called; `None`: there are none.
    pub(crate) fn client(&self) -> Option<&Arc<Back>> {
        self.client.as_ref()
    }

    /// What validators of authorities are shown.
    pub(crate) fn proofs(&self) -> &Arc<Proofs> {
        &self.proofs
    }

    /// How the checks of a server call it.
    pub(crate) fn check(&self, backend: BackendId, server: ServerId) -> Option<&Arc<Back>> {
        let servers = self.checks.get(backend.0 as usize)?;
        servers.get(server.0 as usize)?.as_ref()
    }
}

/// Calls a server as `wanted` says, going on with what is the same.
fn back(
    wanted: Option<&Arc<ServerTls>>,
    old: Option<&Arc<Back>>,
    workshop: &mut Workshop,
) -> Result<Option<Arc<Back>>, SetupError> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    match old.filter(|old| old.is_of(wanted, workshop.keeps_secrets)) {
        Some(same) => Ok(Some(Arc::clone(same))),
        None => Back::build(wanted, workshop).map(Some),
    }
}
