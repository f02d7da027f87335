//! Which servers take part: actives first, backups when none of them is left.

use std::sync::Arc;

use super::{Candidate, hash_type};
use crate::live::ServerLive;
use crate::model::{Server, ServerId};

/// The servers that an arrangement is to be made of, in the order of the configuration.
///
/// These are all usable active servers. When there are none it is the first usable backup server, or with
/// `option allbackups` all usable backup servers. `servers` pairs each server of a backend with its live state.
pub fn usable<'a>(
    servers: impl IntoIterator<Item = (&'a Server, &'a Arc<ServerLive>)>,
    all_backups: bool,
) -> Vec<Candidate> {
    let mut actives = Vec::new();
    let mut backups = Vec::new();
    for (index, (server, live)) in servers.into_iter().enumerate() {
        if !live.is_usable() {
            continue;
        }
        let group = if server.backup {
            &mut backups
        } else {
            &mut actives
        };
        group.push(Candidate {
            id: ServerId(index as u32),
            number: server.number,
            // Read again, since it may have sunk to 0 after the check.
            weight: live.weight().max(1),
            ramp_sixteenths: live.share_sixteenths(),
            hash_seed: hash_type::seed(server),
            live: Arc::clone(live),
        });
    }
    if !actives.is_empty() {
        return actives;
    }
    if !all_backups {
        backups.truncate(1);
    }
    backups
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::live::ServerState;
    use crate::model::{ServerAddress, ServerPort};

    fn farm(spec: &[(&str, bool)]) -> Vec<(Server, Arc<ServerLive>)> {
        let address = ServerAddress::Inet {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: ServerPort::Fixed(80),
        };
        spec.iter()
            .map(|&(name, backup)| {
                let mut server = Server::new(name, address.clone());
                server.backup = backup;
                let live = Arc::new(ServerLive::new(&server, Arc::default()));
                (server, live)
            })
            .collect()
    }

    fn ids(farm: &[(Server, Arc<ServerLive>)], all_backups: bool) -> Vec<u32> {
        usable(
            farm.iter().map(|(server, live)| (server, live)),
            all_backups,
        )
        .iter()
        .map(|candidate| candidate.id.0)
        .collect()
    }

    #[test]
    fn backups_take_over_only_when_no_active_is_left() {
        let farm = farm(&[
            ("a", false),
            ("b", true),
            ("c", false),
            ("d", true),
            ("e", true),
        ]);
        assert_eq!(ids(&farm, false), [0, 2]);
        farm[0].1.mark(ServerState::DOWN);
        assert_eq!(ids(&farm, true), [2]);
        farm[2].1.set_weight(0);
        assert_eq!(ids(&farm, false), [1]);
        assert_eq!(ids(&farm, true), [1, 3, 4]);
        farm[1].1.mark(ServerState::MAINTENANCE);
        assert_eq!(ids(&farm, false), [3]);
        farm[3].1.mark(ServerState::DRAIN);
        farm[4].1.mark(ServerState::UNRESOLVED);
        assert_eq!(ids(&farm, true), [0u32; 0]);
        farm[0].1.clear(ServerState::DOWN);
        assert_eq!(ids(&farm, true), [0]);
    }

    #[test]
    fn every_reason_to_stay_away_counts_on_its_own() {
        let farm = farm(&[("a", false)]);
        let reasons = [
            ServerState::DOWN,
            ServerState::DRAIN,
            ServerState::MAINTENANCE,
        ];
        for reason in reasons {
            farm[0].1.mark(reason);
        }
        for reason in reasons {
            assert!(ids(&farm, true).is_empty());
            farm[0].1.clear(reason);
        }
        assert_eq!(ids(&farm, true), [0]);
    }

    #[test]
    fn disabled_servers_start_in_maintenance() {
        let mut farm = farm(&[("a", false), ("b", false)]);
        farm[0].0.disabled = true;
        farm[0].1 = Arc::new(ServerLive::new(&farm[0].0, Arc::default()));
        assert_eq!(ids(&farm, false), [1]);
    }
}
