//! What commands ask for.

use std::net::IpAddr;

use crate::live::{Probing, ServerLive, ServerState};
use crate::model::{BackendId, FrontendId, Initial, Model, ServerAddress, ServerId};
use crate::tls::store::Transactions;
use crate::variable::Name;

/// A change that a command asks the engine to make.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Server(BackendId, ServerId, ServerChange),
    Frontend(FrontendId, FrontendChange),
    /// The process's `maxconn`; 0: that of the start.
    ProcessMaxconn(u32),
    Clear(Clear),
    /// Read the configuration anew; the answer is what came of it.
    Reload,
    /// Say what these files would change, or, without any, those that a reload would read.
    Plan {
        files: Vec<String>,
        json: bool,
    },
    /// Serve by another model.
    Model(Box<Model>),
    Backend(BackendId, BackendChange),
    /// What has been sent of certificates and not been committed.
    Transactions(Box<Transactions>),
    /// Give a variable of the process this value.
    Variable(Name, Initial),
    /// Ask an authority for this certificate anew.
    Renew(String),
    /// Ask the authority of this certificate whether it vouches for it.
    Inquire(String),
    /// End a client connection, which has this number.
    ShutSession(u64),
    /// Write down why one request in so many goes where it goes; 0: no more.
    Sampling(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendChange {
    /// Rules may lead there.
    Publish,
    /// They may not.
    Unpublish,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerChange {
    /// In service, unless checks say otherwise.
    Ready,
    /// No new clients; persistence may still bring some.
    Drain,
    /// Out of service.
    Maintain,
    /// As if health checks had succeeded, asked for no new requests, or failed.
    Up,
    Stopping,
    Down,
    /// Left alone for a while, or no longer, because its traffic failed.
    Suspend,
    Resume,
    /// Left alone, or no longer, because it is slower than its peers.
    Eject,
    Readmit,
    /// 0 to 256.
    Weight(u32),
    /// 0: no limit.
    Maxconn(u32),
    /// To an address; it has one from now on.
    Move(ServerAddress),
    /// Its name leads nowhere any more.
    Lose,
    Probe(ProbeChange),
    /// Whoever is there now is cut off.
    Vacate,
    /// What the server that it tracks passes on.
    Inherit {
        maintenance: bool,
        drain: bool,
    },
}

/// A change of how a server is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeChange {
    CheckPaused(bool),
    AgentPaused(bool),
    CheckAddress(IpAddr),
    CheckPort(u16),
    AgentAddress(IpAddr),
    AgentPort(u16),
    AgentSend(Vec<u8>),
    /// As if the agent had said so.
    AgentUp(bool),
}

impl ProbeChange {
    fn apply(&self, probing: &mut Probing) {
        match self {
            Self::CheckPaused(paused) => probing.check_paused = *paused,
            Self::AgentPaused(paused) => probing.agent_paused = *paused,
            Self::CheckAddress(ip) => probing.check_address = Some(*ip),
            Self::CheckPort(port) => probing.check_port = Some(*port),
            Self::AgentAddress(ip) => probing.agent_address = Some(*ip),
            Self::AgentPort(port) => probing.agent_port = Some(*port),
            Self::AgentSend(text) => probing.agent_send = Some(text.clone()),
            Self::AgentUp(up) => probing.agent_up = Some(*up),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrontendChange {
    /// Accept again.
    Enable,
    /// Accept nothing for the time being.
    Disable,
    /// Give up the addresses for good.
    Stop,
    Maxconn(u32),
}

/// Which counters begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clear {
    All,
    /// Maxima and peaks only.
    Peaks,
    Server(BackendId, ServerId),
}

impl ServerChange {
    /// Changes what all workers share; the moment is in seconds since 1970. Returns whether anything is different now.
    pub fn apply(&self, live: &ServerLive, now_s: u64) -> bool {
        let changed = match self {
            Self::Ready => {
                let maintained = live.clear(ServerState::MAINTENANCE);
                live.clear(ServerState::DRAIN) || maintained
            }
            Self::Drain => {
                let maintained = live.clear(ServerState::MAINTENANCE);
                live.mark(ServerState::DRAIN) || maintained
            }
            Self::Maintain => {
                let drained = live.clear(ServerState::DRAIN);
                live.mark(ServerState::MAINTENANCE) || drained
            }
            Self::Up => {
                let stopping = live.clear(ServerState::STOPPING);
                live.clear(ServerState::DOWN) || stopping
            }
            Self::Stopping => {
                let down = live.clear(ServerState::DOWN);
                live.mark(ServerState::STOPPING) || down
            }
            Self::Down => live.mark(ServerState::DOWN),
            Self::Suspend => live.mark(ServerState::SUSPENDED),
            Self::Resume => live.clear(ServerState::SUSPENDED),
            Self::Eject => live.mark(ServerState::EJECTED),
            Self::Readmit => live.clear(ServerState::EJECTED),
            Self::Weight(weight) => {
                live.set_weight(*weight);
                return true;
            }
            Self::Maxconn(maxconn) => {
                live.set_maxconn(*maxconn);
                return true;
            }
            Self::Probe(change) => {
                live.set_probing(|probing| change.apply(probing));
                match change {
                    ProbeChange::AgentUp(true) => live.clear(ServerState::DOWN),
                    ProbeChange::AgentUp(false) => live.mark(ServerState::DOWN),
                    _ => return true,
                }
            }
            Self::Inherit { maintenance, drain } => {
                let turn = |reason, on: &bool| match on {
                    true => live.mark(reason),
                    false => live.clear(reason),
                };
                let maintained = turn(ServerState::INHERITED_MAINTENANCE, maintenance);
                turn(ServerState::INHERITED_DRAIN, drain) || maintained
            }
            Self::Move(address) => {
                live.move_to(address.clone());
                let found = live.clear(ServerState::UNRESOLVED);
                if found {
                    live.note_change(now_s);
                }
                return true;
            }
            Self::Lose => live.mark(ServerState::UNRESOLVED),
            Self::Vacate => {
                live.kill();
                return true;
            }
        };
        if changed {
            live.note_change(now_s);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_an_operator_counts() {
        let live = ServerLive::default();
        for (change, state) in [
            (ServerChange::Drain, ServerState::DRAIN),
            (ServerChange::Maintain, ServerState::MAINTENANCE),
            (ServerChange::Drain, ServerState::DRAIN),
            (ServerChange::Ready, ServerState::UP),
            (ServerChange::Stopping, ServerState::STOPPING),
            (ServerChange::Up, ServerState::UP),
            (ServerChange::Down, ServerState::DOWN),
            (ServerChange::Up, ServerState::UP),
        ] {
            assert!(change.apply(&live, 7), "{change:?} is news");
            assert_eq!(live.state(), state, "{change:?}");
        }
        assert_eq!(live.changed_s(), 7);
        assert!(!ServerChange::Ready.apply(&live, 8));
        assert_eq!(live.changed_s(), 7, "nothing changed");
    }
}
