//! States of servers that an older process has written down: the answer to `show servers state`, read back (manual of
//! management, section 9.3).
//!
//! Weights, maintenance and drain, and whether a checked server is down are taken over; a weight or a `disabled` that was
//! edited in the configuration since wins. What is absent: reading files (whoever starts the engine does).

use std::net::IpAddr;

use crate::live::{ServerLive, ServerState};
use crate::model::{BackendId, Server, ServerAddress, ServerId, ServerPort};
use crate::plane::Plane;

/// The version of the format.
const VERSION: &str = "1";

/// Most rows that are read.
const ROWS_MAX: usize = 1_000_000;

/// Highest weight, as in a configuration.
const WEIGHT_MAX: u32 = 256;

/// Bits of `srv_admin_state`.
const FORCED_MAINTENANCE: u32 = 1;
const CONFIGURED_MAINTENANCE: u32 = 4;
const FORCED_DRAIN: u32 = 8;

/// One server as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub backend: String,
    pub server: String,
    address: Option<IpAddr>,
    port: Option<u16>,
    /// It took no traffic because it was down or in maintenance.
    stopped: bool,
    administration: u32,
    weight: u32,
    configured_weight: u32,
}

/// Reads what `show servers state` has answered.
///
/// # Errors
/// When it is of another version. Rows that make no sense are left out.
pub fn read(text: &str) -> Result<Vec<Saved>, String> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match lines.next() {
        None => return Ok(Vec::new()),
        Some(VERSION) => {}
        Some(other) => return Err(format!("'{other}' is not a version of server states")),
    }
    let rows = lines.filter(|line| !line.starts_with('#'));
    Ok(rows.filter_map(row).take(ROWS_MAX).collect())
}

fn row(line: &str) -> Option<Saved> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u32>().ok();
    let weight = |index: usize| number(index).filter(|weight| *weight <= WEIGHT_MAX);
    Some(Saved {
        backend: (*fields.get(1)?).to_owned(),
        server: (*fields.get(3)?).to_owned(),
        address: fields.get(4)?.parse().ok(),
        stopped: number(5)? == 0,
        administration: number(6)?,
        weight: weight(7)?,
        configured_weight: weight(8)?,
        port: number(18).and_then(|port| u16::try_from(port).ok()),
    })
}

/// What of a state is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What a state file gives: an address only to servers that have none.
    File,
    /// What a process leaves to the one that follows it under the same configuration: addresses too.
    Heritage,
}

/// Gives servers the states that they had; those that are not there any more are left out.
pub fn recall(plane: &Plane, saved: &[Saved], extent: Extent) {
    for state in saved {
        let Some(backend) = plane.find_backend(state.backend.as_bytes()) else {
            continue;
        };
        if let Some(server) = plane.find_server(backend, state.server.as_bytes()) {
            give(plane, (backend, server), state, extent);
        }
    }
}

fn give(plane: &Plane, place: (BackendId, ServerId), saved: &Saved, extent: Extent) {
    let (backend, server) = place;
    let model = &plane.model.backends[backend.0 as usize].servers[server.0 as usize];
    let live = plane.backend(backend).server(server);
    if saved.configured_weight == u32::from(model.weight) {
        live.set_weight(saved.weight);
    }
    let was_disabled = saved.administration & CONFIGURED_MAINTENANCE != 0;
    if was_disabled == model.disabled {
        let turn = |bit, reason| {
            let _ = match saved.administration & bit != 0 {
                true => live.mark(reason),
                false => live.clear(reason),
            };
        };
        turn(FORCED_MAINTENANCE, ServerState::MAINTENANCE);
        turn(FORCED_DRAIN, ServerState::DRAIN);
    }
    let checked = model.check.enabled || model.check.agent.is_some();
    if checked && saved.stopped && saved.administration & FORCED_MAINTENANCE == 0 {
        // Its next check may bring it back.
        live.mark(ServerState::DOWN);
    }
    relocate(model, live, saved, extent);
}

fn relocate(model: &Server, live: &ServerLive, saved: &Saved, extent: Extent) {
    let Some(ip) = saved.address else { return };
    let port = |usual: ServerPort| match (saved.port, usual) {
        (Some(port @ 1..), ServerPort::Fixed(_)) => ServerPort::Fixed(port),
        (_, usual) => usual,
    };
    let place = match (&model.address, extent) {
        (ServerAddress::Unresolved { port: usual, .. }, _) => port(*usual),
        (ServerAddress::Inet { port: usual, .. }, Extent::Heritage) => port(*usual),
        _ => return,
    };
    let address = ServerAddress::Inet { ip, port: place };
    if address != model.address {
        live.move_to(address);
        live.clear(ServerState::UNRESOLVED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, Model};

    fn plane(edit: impl Fn(&mut Server)) -> Plane {
        let address = |ip: &str| ServerAddress::Inet {
            ip: ip.parse().expect("an address"),
            port: ServerPort::Fixed(80),
        };
        let mut server = Server::new("a", address("10.0.0.1"));
        server.weight = 10;
        server.check.enabled = true;
        edit(&mut server);
        let backend = Backend {
            name: "app".to_owned(),
            servers: vec![server],
            ..Backend::default()
        };
        let model = Model {
            backends: vec![backend],
            ..Model::default()
        };
        Plane::build(model, None)
    }

    fn after(
        row: &str,
        extent: Extent,
        edit: impl Fn(&mut Server),
    ) -> (u32, ServerState, Option<ServerAddress>) {
        let saved = read(&format!("1\n# be_id ...\n{row}\n")).expect("states");
        let plane = plane(edit);
        recall(&plane, &saved, extent);
        let live = plane.backend(BackendId(0)).server(ServerId(0));
        (live.weight(), live.state(), live.moved_to())
    }

    #[test]
    fn states_come_back_and_edits_win() {
        let row = |operational, admin, weight, configured| {
            format!(
                "3 app 1 a 10.0.0.9 {operational} {admin} {weight} {configured} 5 6 3 1 6 0 0 0 - 8080 - 0 0 - - 0"
            )
        };
        let same = |_: &mut Server| {};
        let (up, down) = (ServerState::UP, ServerState::DOWN);
        let file = Extent::File;
        assert_eq!(after(&row(2, 0, 3, 10), file, same), (3, up, None));
        assert_eq!(
            after(&row(2, 0, 3, 9), file, same),
            (10, up, None),
            "the weight was edited"
        );
        assert_eq!(after(&row(0, 0, 10, 10), file, same).1, down);
        assert_eq!(
            after(&row(0, 1, 10, 10), file, same).1,
            ServerState::MAINTENANCE
        );
        assert_eq!(after(&row(2, 8, 10, 10), file, same).1, ServerState::DRAIN);
        let unchecked = |server: &mut Server| server.check.enabled = false;
        assert_eq!(after(&row(0, 0, 10, 10), file, unchecked).1, up);
        let disabled = |server: &mut Server| server.disabled = true;
        assert_eq!(
            after(&row(2, 4, 10, 10), file, disabled).1,
            up,
            "an operator enabled it"
        );
        let moved = after(&row(2, 0, 10, 10), Extent::Heritage, same).2;
        let place = ServerAddress::Inet {
            ip: "10.0.0.9".parse().expect("an address"),
            port: ServerPort::Fixed(8080),
        };
        assert_eq!(moved, Some(place.clone()));
        let named = |server: &mut Server| {
            let host = "a.example".to_owned();
            let port = ServerPort::Fixed(80);
            server.address = ServerAddress::Unresolved { host, port };
        };
        assert_eq!(
            after(&row(2, 0, 10, 10), file, named),
            (10, up, Some(place))
        );
    }

    #[test]
    fn nonsense_is_left_out() {
        assert_eq!(read(""), Ok(Vec::new()));
        assert!(read("2\n3 app").is_err());
        for row in [
            "",
            "3 app 1 a",
            "3 app 1 a - x 0 1 1",
            "3 app 1 a - 2 0 9999 1",
        ] {
            assert_eq!(read(&format!("1\n{row}\n")), Ok(Vec::new()), "{row}");
        }
    }
}
