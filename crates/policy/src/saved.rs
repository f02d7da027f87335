//! States of servers that an older process has written down: the answer to `show servers state`, read back (manual of
//! management, section 9.3).
//!
//! Weights, maintenance and drain, whether a checked server is down and whether its checks were switched off are taken over; a
//! weight or a `disabled` that was edited in the configuration since wins. What is absent: reading files (whoever starts the engine does).

use std::net::IpAddr;

use crate::command::{CHECK_CONFIGURED, CHECK_ENABLED, ServerChange};
use crate::live::{ServerLive, ServerState};
use crate::model::{BackendId, Server, ServerAddress, ServerId, ServerPort};
use crate::plane::Plane;

/// The version of the format.
const VERSION: &str = "1";

/// Most rows that are read.
const ROWS_MAX: usize = 1_000_000;

/// Highest weight, as in a configuration.
const WEIGHT_MAX: u32 = 256;

/// Most problems that are told of; more of them are counted.
const PROBLEMS_MAX: usize = 10;

/// Columns that every row has; five more may follow.
const COLUMNS_MIN: usize = 20;
const COLUMNS_MAX: usize = 25;

/// Bits of `srv_admin_state`.
const FORCED_MAINTENANCE: u32 = 1;
const CONFIGURED_MAINTENANCE: u32 = 4;
const FORCED_DRAIN: u32 = 8;
/// All that HAProxy writes, what is inherited and what stands for names included.
const ADMINISTRATION: u32 = 0xff;

/// All bits of `srv_check_state` and `srv_agent_state` that HAProxy writes.
const CHECK_STATE: u32 = 0x1f;

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
    /// Checks, or those of its agent, were switched off at run time.
    check_off: bool,
    agent_off: bool,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States {
    pub servers: Vec<Saved>,
    /// Rows that make no sense, which are left out: where and why.
    pub problems: Vec<String>,
}

/// Reads what `show servers state` has answered.
///
/// # Errors
/// When it is of another version.
pub fn read(text: &str) -> Result<States, String> {
    let mut lines = (1..).zip(text.lines().map(str::trim));
    let mut lines = lines.by_ref().filter(|(_, line)| !line.is_empty());
    match lines.next() {
        None => return Ok(States::default()),
        Some((_, VERSION)) => {}
        Some((_, other)) => {
            let shown: String = other.chars().take(40).collect();
            return Err(format!("'{shown}' is not a version of server states"));
        }
    }
    let mut states = States::default();
    let mut faulty = 0;
    for (number, line) in lines
        .filter(|(_, line)| !line.starts_with('#'))
        .take(ROWS_MAX)
    {
        match row(line) {
            Ok(saved) => states.servers.push(saved),
            Err(problem) => {
                faulty += 1;
                if faulty <= PROBLEMS_MAX {
                    states.problems.push(format!("line {number}: {problem}"));
                }
            }
        }
    }
    if let Some(more @ 1..) = faulty.checked_sub(PROBLEMS_MAX) {
        states
            .problems
            .push(format!("{more} more lines make no sense"));
    }
    Ok(states)
}

fn row(line: &str) -> Result<Saved, String> {
    let fields: Vec<_> = line.split_whitespace().take(COLUMNS_MAX + 1).collect();
    if !(COLUMNS_MIN..=COLUMNS_MAX).contains(&fields.len()) {
        return Err(format!(
            "a state has {COLUMNS_MIN} to {COLUMNS_MAX} columns"
        ));
    }
    let number = |index: usize, column: &str, most: u32| {
        let text: &str = fields[index];
        let number = text.parse::<u32>().ok().filter(|number| *number <= most);
        number.ok_or_else(|| format!("'{text}' is no {column}"))
    };
    let off = |state: u32| state & CHECK_CONFIGURED != 0 && state & CHECK_ENABLED == 0;
    for (index, column, most) in [
        (9, "srv_time_since_last_change", u32::MAX),
        (10, "srv_check_status", u32::MAX),
        (11, "srv_check_result", u32::MAX),
        (12, "srv_check_health", u32::MAX),
        (15, "bk_f_forced_id", 1),
        (16, "srv_f_forced_id", 1),
    ] {
        number(index, column, most)?;
    }
    Ok(Saved {
        backend: fields[1].to_owned(),
        server: fields[3].to_owned(),
        address: fields[4].parse().ok(),
        stopped: number(5, "srv_op_state", 3)? == 0,
        administration: number(6, "srv_admin_state", ADMINISTRATION)?,
        weight: number(7, "srv_uweight", WEIGHT_MAX)?,
        configured_weight: number(8, "srv_iweight", WEIGHT_MAX)?,
        check_off: off(number(13, "srv_check_state", CHECK_STATE)?),
        agent_off: off(number(14, "srv_agent_state", CHECK_STATE)?),
        port: u16::try_from(number(18, "srv_port", u32::from(u16::MAX))?).ok(),
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
    follow(plane);
}

/// Lets servers that track others be what those are.
fn follow(plane: &Plane) {
    for (id, backend) in (0..).map(BackendId).zip(&plane.model.backends) {
        for (server, row) in (0..).map(ServerId).zip(&backend.servers) {
            let Some((of, leader)) = row.check.track else {
                continue;
            };
            let leader = plane.backend(of).server(leader).state();
            let live = plane.backend(id).server(server);
            let change = ServerChange::Inherit {
                maintenance: leader.is_maintained(),
                drain: leader.is_draining(),
            };
            // Nothing has changed since the start, which is now.
            change.apply(live, 0);
            if leader.contains(ServerState::DOWN) {
                live.mark(ServerState::DOWN);
            }
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
    if model.check.enabled && saved.check_off {
        live.set_probing(|probing| probing.check_paused = true);
    }
    if model.check.agent.is_some() && saved.agent_off {
        live.set_probing(|probing| probing.agent_paused = true);
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
    use crate::model::check::AgentCheck;
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
        assert!(saved.problems.is_empty(), "{:?}", saved.problems);
        let plane = plane(edit);
        recall(&plane, &saved.servers, extent);
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
    fn checks_that_were_switched_off_stay_so() {
        for (check, agent, expected) in [
            (6, 22, (false, false)),
            (2, 22, (true, false)),
            (10, 18, (true, true)),
            (0, 0, (false, false)),
        ] {
            let row = format!("3 app 1 a - 2 0 9 10 5 6 3 1 {check} {agent} 0 0 - 8080 -");
            let saved = read(&format!("1\n{row}\n")).expect("states");
            let plane = plane(|server| server.check.agent = Some(AgentCheck::default()));
            recall(&plane, &saved.servers, Extent::File);
            let probing = plane.backend(BackendId(0)).server(ServerId(0)).probing();
            let found = (probing.check_paused, probing.agent_paused);
            assert_eq!(found, expected, "{row}");
        }
    }

    #[test]
    fn who_tracks_a_server_is_what_it_was() {
        let mut model = plane(|_| {}).model.clone();
        let servers = &mut model.backends[0].servers;
        let mut follower = Server::new("b", servers[0].address.clone());
        follower.check.track = Some((BackendId(0), ServerId(0)));
        servers.push(follower);
        let plane = Plane::build(model, None);
        let saved = read("1\n3 app 1 a - 0 0 9 10 5 6 3 1 6 0 0 0 - 8080 -\n").expect("states");
        recall(&plane, &saved.servers, Extent::File);
        let follower = plane.backend(BackendId(0)).server(ServerId(1));
        assert_eq!(follower.state(), ServerState::DOWN);
    }

    #[test]
    fn nonsense_is_left_out_and_told() {
        assert_eq!(read(""), Ok(States::default()));
        assert!(read("2\n3 app").is_err());
        assert!(read("\u{1}\u{2}garbage").is_err());
        let row = |change: (usize, &str)| {
            let row = "3 app 1 a 10.0.0.9 2 0 10 10 5 6 3 1 6 0 0 0 - 8080 - 0 0 - - 0";
            let mut fields: Vec<_> = row.split(' ').collect();
            fields[change.0] = change.1;
            fields.join(" ")
        };
        let rows = [
            (
                "3 app 1 a".to_owned(),
                "line 3: a state has 20 to 25 columns",
            ),
            (row((5, "4")), "line 3: '4' is no srv_op_state"),
            (row((5, "x")), "line 3: 'x' is no srv_op_state"),
            (row((6, "999")), "line 3: '999' is no srv_admin_state"),
            (row((7, "9999")), "line 3: '9999' is no srv_uweight"),
            (row((12, "-")), "line 3: '-' is no srv_check_health"),
            (row((13, "32")), "line 3: '32' is no srv_check_state"),
            (row((18, "70000")), "line 3: '70000' is no srv_port"),
            (row((24, "0 0")), "line 3: a state has 20 to 25 columns"),
        ];
        for (row, problem) in rows {
            let read = read(&format!("1\n# be_id\n{row}\n")).expect("a version");
            assert_eq!(read.servers, [], "{row}");
            assert_eq!(read.problems, [problem], "{row}");
        }
        let many = read(&format!("1\n{}", "x\n".repeat(50))).expect("a version");
        assert_eq!(many.problems.len(), PROBLEMS_MAX + 1);
        assert_eq!(many.problems[PROBLEMS_MAX], "40 more lines make no sense");
    }
}
