//! Parts of root's power that a process can keep without being root (capabilities(7)).

use std::io;

use rustix::thread::{self, CapabilitySet, CapabilitySets};

/// One of those that a load balancer may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Marks of packets, and addresses that are not this machine's.
    NetAdmin,
    /// Ports below 1024.
    NetBindService,
    /// Network interfaces, and addresses that are not this machine's.
    NetRaw,
    /// Network namespaces.
    SysAdmin,
}

impl Capability {
    /// All of them, by the names of capabilities(7) in lower case.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("cap_net_admin", Self::NetAdmin),
        ("cap_net_bind_service", Self::NetBindService),
        ("cap_net_raw", Self::NetRaw),
        ("cap_sys_admin", Self::SysAdmin),
    ];

    fn set(self) -> CapabilitySet {
        match self {
            Self::NetAdmin => CapabilitySet::NET_ADMIN,
            Self::NetBindService => CapabilitySet::NET_BIND_SERVICE,
            Self::NetRaw => CapabilitySet::NET_RAW,
            Self::SysAdmin => CapabilitySet::SYS_ADMIN,
        }
    }
}

/// Lets this thread's capabilities outlast the change to another user, without effect until they are [`retain`]ed.
pub fn outlast_root(outlast: bool) -> io::Result<()> {
    Ok(thread::set_keep_capabilities(outlast)?)
}

/// Gives up every capability of this thread but those named, which come into effect if it has them. Threads that it
/// starts later have the same.
pub fn retain(kept: &[Capability]) -> io::Result<()> {
    let wanted = kept
        .iter()
        .fold(CapabilitySet::empty(), |set, one| set | one.set());
    let permitted = thread::capabilities(None)?.permitted & wanted;
    thread::set_capabilities(
        None,
        CapabilitySets {
            effective: permitted,
            permitted,
            inheritable: CapabilitySet::empty(),
        },
    )?;
    Ok(())
}

/// Whether this thread may use addresses that are not this machine's.
pub fn may_use_foreign_addresses() -> bool {
    let enough = CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW;
    thread::capabilities(None).is_ok_and(|sets| sets.effective.intersects(enough))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_retained_is_gone_for_good() {
        // In a thread of its own: others keep what they have.
        let outcome = std::thread::spawn(|| {
            let before = thread::capabilities(None).unwrap().permitted;
            retain(&[Capability::NetRaw]).unwrap();
            let after = thread::capabilities(None).unwrap();
            assert_eq!(after.permitted, before & CapabilitySet::NET_RAW);
            assert_eq!(after.effective, after.permitted);
            assert_eq!(may_use_foreign_addresses(), !after.permitted.is_empty());
            retain(&[]).unwrap();
            retain(&[Capability::NetRaw]).unwrap();
            assert!(!may_use_foreign_addresses());
        });
        outcome.join().unwrap();
    }
}
