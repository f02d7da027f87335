//! What leads a client back to its server by a stick table: `stick match`, `stick on`, `stick store-…` (manual, section
//! 4.2).
//!
//! When a server is to be chosen, [`recall`] looks for the one that a table remembers, and notes under which keys the
//! server is to be remembered; when that server has begun to answer, [`remember`] writes it down. What is absent: what
//! becomes of the choice when the server cannot be reached (that is `option redispatch`, and the engine's).

use crate::acl::{Condition, Truth};
use crate::context::Context;
use crate::expression::Expression;
use crate::live::ServerState;
use crate::model::{BackendId, Server, ServerAddress, ServerId, ServerPort};
use crate::plane::Plane;
use crate::stick_table::{Data, Key, KeyType, KeyValue, ServerKey, Table, TableId, castable};

/// Keys under which one exchange's server is remembered at most, as in HAProxy.
pub const KEYS_MAX: usize = 8;

/// A `stick` line.
#[derive(Clone, Debug, PartialEq)]
pub struct StickRule {
    /// It looks for the client's server.
    pub matches: bool,
    /// It remembers the server.
    pub stores: bool,
    pub expression: Expression,
    pub table: TableId,
    pub key: KeyType,
    pub condition: Option<Condition>,
}

/// The keys under which the server of an exchange is to be remembered, once it answers.
#[derive(Clone, Debug, Default)]
pub struct Remembered(Vec<(TableId, KeyValue)>);

impl Remembered {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, table: TableId) -> bool {
        self.0.iter().any(|(known, _)| *known == table)
    }

    fn push(&mut self, table: TableId, key: KeyValue) {
        if self.0.len() < KEYS_MAX {
            self.0.push((table, key));
        }
    }
}

/// Walks through the rules for requests: the server that a table remembers, if it may be used.
///
/// Of several rules that remember in one table only the first that has a key counts.
pub fn recall(
    rules: &[StickRule],
    backend: BackendId,
    context: &mut Context<'_>,
) -> Option<ServerId> {
    let mut found = None;
    for rule in rules {
        if rule.stores && context.exchange.remembered.has(rule.table) {
            continue;
        }
        let Some(key) = key_of(rule, context) else {
            continue;
        };
        if rule.matches {
            let table = context.plane.tables.get(rule.table);
            let known = look_up(table, &Key::known(rule.key, &key), context.now_ms());
            let server = known.and_then(|known| known.server(context.plane, backend, table));
            found = found.or_else(|| server.filter(|&id| may_use(context, backend, id)));
        }
        if rule.stores {
            context.exchange.remembered.push(rule.table, key);
        }
    }
    found
}

/// Walks through the rules for responses, which add keys.
pub fn recall_response(rules: &[StickRule], context: &mut Context<'_>) {
    for rule in rules {
        if context.exchange.remembered.has(rule.table) {
            continue;
        }
        if let Some(key) = key_of(rule, context) {
            context.exchange.remembered.push(rule.table, key);
        }
    }
}

/// The server has begun to answer: it is remembered under all keys noted so far.
pub fn remember(
    remembered: &mut Remembered,
    plane: &Plane,
    (backend, id): (BackendId, ServerId),
    now_ms: u64,
) {
    let server = &plane.model.backends[backend.0 as usize].servers[id.0 as usize];
    for (table, key) in remembered.0.drain(..) {
        if server.non_stick {
            continue;
        }
        let table = plane.tables.get(table);
        let spec = table.spec();
        let name = match spec.server_key {
            ServerKey::Name => table.server_number(&server.name),
            ServerKey::Address => {
                let moved = plane.backend(backend).server(id).moved_to();
                table.server_number(&address_of(server, moved.as_ref()))
            }
        };
        // A full table remembers nobody else.
        let _ = table.update(&Key::known(spec.key, &key), now_ms, |entry| {
            entry.set(Data::ServerId, 0, server.number.into());
            if let Some(name) = name {
                entry.set(Data::ServerKey, 0, name.into());
            }
        });
    }
}

/// What a table remembers of a server.
struct Known {
    number: i64,
    name: u32,
}

impl Known {
    /// The server of that name or address, or else of that number.
    fn server(&self, plane: &Plane, backend: BackendId, table: &Table) -> Option<ServerId> {
        let servers = &plane.model.backends[backend.0 as usize].servers;
        let ids = || (0..).map(ServerId).zip(servers);
        let by_name = table.server_name(self.name).and_then(|name| {
            let mut ids = ids();
            let found = ids.find(|(id, server)| match table.spec().server_key {
                ServerKey::Name => *server.name == *name,
                ServerKey::Address => {
                    let moved = plane.backend(backend).server(*id).moved_to();
                    address_of(server, moved.as_ref()) == *name
                }
            });
            found.map(|(id, _)| id)
        });
        by_name.or_else(|| {
            let number = self.number;
            let mut ids = ids();
            let found = ids.find(|(_, server)| number > 0 && i64::from(server.number) == number);
            found.map(|(id, _)| id)
        })
    }
}

/// The entry of a key, which lives on because it was looked for.
fn look_up(table: &Table, key: &Key<'_>, now_ms: u64) -> Option<Known> {
    table.read(key, now_ms, |entry| {
        entry.touch();
        Known {
            number: entry.read(Data::ServerId, 0).unwrap_or(0),
            name: entry.read(Data::ServerKey, 0).unwrap_or(0) as u32,
        }
    })
}

fn key_of(rule: &StickRule, context: &Context<'_>) -> Option<KeyValue> {
    let condition = rule.condition.as_ref();
    if condition.is_some_and(|condition| condition.holds(context) != Truth::Pass) {
        return None;
    }
    let value = rule
        .expression
        .evaluate(context)?
        .cast(castable(rule.key))?;
    Key::of(rule.key, &value).map(|key| key.to_value(rule.key))
}

/// A remembered server is used unless it is down; then only with `option persist` or `force-persist`.
fn may_use(context: &Context<'_>, backend: BackendId, id: ServerId) -> bool {
    !context.exchange.overrides.ignore_persist && is_reachable(context, backend, id)
}

/// Whether a client may be led to a server, whatever the load: unless it is down, or with `option persist` or
/// `force-persist` even then.
pub(crate) fn is_reachable(context: &Context<'_>, backend: BackendId, id: ServerId) -> bool {
    let state = context.plane.backend(backend).server(id).state();
    let down = !state.is_in() || state.contains(ServerState::UNRESOLVED);
    let persist = context.plane.model.backends[backend.0 as usize].persist;
    !down || persist || context.exchange.overrides.force_persist
}

/// What a server is called by `srvkey addr`.
fn address_of(server: &Server, moved: Option<&ServerAddress>) -> String {
    match moved.unwrap_or(&server.address) {
        ServerAddress::Inet { ip, port } => {
            let port = match port {
                ServerPort::Fixed(port) => *port,
                _ => 0,
            };
            std::net::SocketAddr::new(*ip, port).to_string()
        }
        // Names of sockets are no addresses of a network, but tell servers apart all the same.
        other => format!("{other:?}"),
    }
}
