//! Users, their passwords and groups: `userlist` sections (manual, section 12.2).
//!
//! | look in | for |
//! |---|---|
//! | [`Userlist`] | who there is, and whether a password is right |
//! | [`Password`] | a password as written: as it is, or hashed |
//! | [`Credentials`] | what a request says of its user (RFC 7617, RFC 6750) |
//!
//! Hashes are slow on purpose, and a worker that computes one serves nobody meanwhile. So a hash may cost [`COST_US_MAX`]
//! at most, right answers are remembered, and wrong ones may take a share of the time only: whoever asks beyond it is
//! refused unheard, those whose answers are remembered excepted.

mod credentials;
mod md5;
mod password;
mod remembered;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use credentials::{Credentials, Scheme};
pub(crate) use credentials::{is_proxied, split};
pub use password::{COST_US_MAX, COST_US_NOTED, Password};
use remembered::Remembered;

/// For each microsecond that wrong passwords have cost, none is looked at for so many: they have a quarter of one
/// processor's time, whatever comes.
const REST: u64 = 4;

/// Time that wrong passwords may take in advance, in microseconds of rest.
const ADVANCE_US: u64 = 4_000_000;

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `None`: no password is right.
    pub password: Option<Password>,
    pub groups: BTreeSet<String>,
}

/// The users of one section.
pub struct Userlist {
    pub name: String,
    users: HashMap<String, User>,
    /// Every group, be it empty.
    groups: BTreeSet<String>,
    remembered: Remembered,
    /// Until when wrong passwords have used their time up, in microseconds of the monotonic clock.
    used_until_us: AtomicU64,
}

impl Userlist {
    pub fn new(
        name: impl Into<String>,
        users: HashMap<String, User>,
        groups: BTreeSet<String>,
    ) -> Self {
        Self {
            name: name.into(),
            users,
            groups,
            remembered: Remembered::default(),
            used_until_us: AtomicU64::new(0),
        }
    }

    /// Whether there is such a group.
    pub fn has_group(&self, name: &str) -> bool {
        self.groups.contains(name)
    }

    /// The groups of a user whose password is right.
    pub fn admit(&self, user: &[u8], password: &[u8], now_us: u64) -> Option<&BTreeSet<String>> {
        let user = self.users.get(std::str::from_utf8(user).ok()?)?;
        let known = user.password.as_ref()?;
        self.is_right(known, password, now_us)
            .then_some(&user.groups)
    }

    fn is_right(&self, known: &Password, password: &[u8], now_us: u64) -> bool {
        let cost_us = known.cost_us();
        if cost_us == 0 {
            return known.is(password);
        }
        if self.remembered.knows(known.text(), password) {
            return true;
        }
        let used_until_us = self.used_until_us.load(Relaxed);
        if used_until_us > now_us.saturating_add(ADVANCE_US) {
            return false;
        }
        let right = known.is(password);
        if right {
            self.remembered.learn(known.text(), password);
        } else {
            // Two workers at the same moment may forget one of their two: they do not stop each other.
            let next_us = used_until_us.max(now_us) + cost_us * REST;
            self.used_until_us.store(next_us, Relaxed);
        }
        right
    }
}

impl PartialEq for Userlist {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.users, &self.groups) == (&other.name, &other.users, &other.groups)
    }
}

impl fmt::Debug for Userlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Userlist")
            .field("name", &self.name)
            .field("users", &self.users)
            .finish_non_exhaustive()
    }
}

/// All lists, by name.
pub type Userlists = HashMap<String, Arc<Userlist>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Userlist {
        let user = User {
            password: Some(Password::hashed(text).expect("a password")),
            groups: BTreeSet::from(["staff".to_owned()]),
        };
        let users = HashMap::from([("ann".to_owned(), user)]);
        Userlist::new("u", users, BTreeSet::from(["staff".to_owned()]))
    }

    /// `openssl passwd -1 -salt abcdefgh secret`.
    const HASHED: &str = "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1";

    #[test]
    fn users_are_admitted_by_their_passwords() {
        let known = list(HASHED);
        for (user, password, admitted) in [
            ("ann", "secret", true),
            ("ann", "secret", true),
            ("ann", "wrong", false),
            ("ann", "", false),
            ("joe", "secret", false),
        ] {
            let groups = known.admit(user.as_bytes(), password.as_bytes(), 0);
            assert_eq!(groups.is_some(), admitted, "{user} {password}");
        }
        let shown = format!("{known:?}");
        assert!(!shown.contains("cHJi5P"), "{shown}");
    }

    #[test]
    fn wrong_passwords_take_a_share_of_the_time() {
        let known = list(HASHED);
        // Guesses have taken most of the time in advance already.
        let guesses = |known: &Userlist| {
            known.used_until_us.store(ADVANCE_US - 10_000, Relaxed);
            let guess = |_: &i32| {
                known.admit(b"ann", b"wrong", 0);
                known.used_until_us.load(Relaxed) <= ADVANCE_US
            };
            (0..1_000).take_while(guess).count()
        };
        assert!(known.admit(b"ann", b"secret", 0).is_some());
        let tried = guesses(&known);
        assert!((5..10).contains(&tried), "there is time for {tried}");
        // Who was right before is known; others have to wait.
        let fresh = list(HASHED);
        let _ = guesses(&fresh);
        assert!(known.admit(b"ann", b"secret", 1).is_some());
        assert!(fresh.admit(b"ann", b"secret", 1).is_none());
        assert!(fresh.admit(b"ann", b"secret", ADVANCE_US).is_some());
    }
}
