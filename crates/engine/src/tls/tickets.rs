//! Session tickets: sealed with a key that all workers share and that is replaced by itself.
//!
//! A key seals for [`LIFETIME_S`], and opens for as long again; then it is overwritten, so that what was recorded
//! before cannot be opened later. Keys from `tls-ticket-keys` stay as they are, for several processes that share them:
//! the last but one seals, all of them open, as in HAProxy. The sealing (AES-256-GCM under a key drawn from the file's)
//! is our own, so that tickets are not exchanged with HAProxy.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;
use plimsoll_policy::model::tls::TicketKey;
use rustls::server::ProducesTickets;

use super::SetupError;

/// How long a key seals, in seconds; a ticket can be used for up to twice that.
const LIFETIME_S: u64 = 6 * 3_600;

const NAME_BYTES: usize = 16;
const TAG_BYTES: usize = 16;

/// Longer tickets are not looked at.
const TICKET_BYTES_MAX: usize = 65_535;

struct Key {
    name: [u8; NAME_BYTES],
    sealing: LessSafeKey,
}

impl Key {
    fn new(name: [u8; NAME_BYTES], secret: &[u8]) -> Option<Self> {
        let salt = Salt::new(HKDF_SHA256, b"plimsoll session tickets");
        let extracted = salt.extract(secret);
        let okm = extracted.expand(&[b"aes-256-gcm"], &AES_256_GCM).ok()?;
        Some(Self {
            name,
            sealing: LessSafeKey::new(UnboundKey::from(okm)),
        })
    }

    fn random() -> Option<Self> {
        let mut bytes = zeroize::Zeroizing::new([0; NAME_BYTES + 32]);
        rand::fill(&mut *bytes).ok()?;
        let mut name = [0; NAME_BYTES];
        name.copy_from_slice(&bytes[..NAME_BYTES]);
        Self::new(name, &bytes[NAME_BYTES..])
    }
}

/// The keys of a moment.
struct Keys {
    /// The one that seals, then those that only open.
    keys: Vec<Arc<Key>>,
}

pub(super) struct Tickets {
    keys: ArcSwap<Keys>,
    /// When the sealing key is due for replacement, in monotonic seconds; `u64::MAX`: never.
    due_s: AtomicU64,
    now_s: fn() -> u64,
}

impl Tickets {
    /// Keys of a file, or our own when it has none.
    pub(super) fn new(written: &[TicketKey]) -> Result<Arc<Self>, SetupError> {
        let failed = || SetupError::new("session tickets", "no random numbers can be had");
        let mut keys = Vec::new();
        for TicketKey(bytes) in written {
            let mut name = [0; NAME_BYTES];
            name.copy_from_slice(&bytes[..NAME_BYTES]);
            keys.push(Arc::new(
                Key::new(name, &bytes[NAME_BYTES..]).ok_or_else(failed)?,
            ));
        }
        let now_s = monotonic_s;
        let due_s = if keys.is_empty() {
            keys.push(Arc::new(Key::random().ok_or_else(failed)?));
            now_s() + LIFETIME_S
        } else {
            let sealing = keys.len().saturating_sub(2);
            keys.swap(0, sealing);
            u64::MAX
        };
        Ok(Arc::new(Self {
            keys: ArcSwap::from_pointee(Keys { keys }),
            due_s: AtomicU64::new(due_s),
            now_s,
        }))
    }

    /// Replaces the sealing key when its time is over; whoever notices first does it.
    fn renew(&self) {
        let (now_s, due_s) = ((self.now_s)(), self.due_s.load(Ordering::Relaxed));
        if now_s < due_s {
            return;
        }
        let next_s = now_s + LIFETIME_S;
        let won = self
            .due_s
            .compare_exchange(due_s, next_s, Ordering::AcqRel, Ordering::Relaxed);
        if won.is_err() {
            return;
        }
        let Some(fresh) = Key::random() else { return };
        let mut keys = vec![Arc::new(fresh)];
        // Nobody came for two lifetimes: the last key has nothing to open any more.
        if now_s < due_s.saturating_add(LIFETIME_S) {
            keys.extend(self.keys.load().keys.first().cloned());
        }
        self.keys.store(Arc::new(Keys { keys }));
    }
}

fn monotonic_s() -> u64 {
    plimsoll_sys::clock::monotonic_ns() / 1_000_000_000
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_S as u32
    }

    /// Name, nonce, sealed bytes with their tag.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.renew();
        let keys = self.keys.load();
        let key = keys.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let head = NAME_BYTES + NONCE_LEN;
        let mut ticket = Vec::with_capacity(head + plain.len() + TAG_BYTES);
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key
            .sealing
            .seal_in_place_separate_tag(nonce, Aad::from(key.name), &mut ticket[head..])
            .ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.renew();
        if ticket.len() > TICKET_BYTES_MAX {
            return None;
        }
        let (name, rest) = ticket.split_at_checked(NAME_BYTES)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let keys = self.keys.load();
        let key = keys.keys.iter().find(|key| key.name == name)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = sealed.to_vec();
        let plain = key
            .sealing
            .open_in_place(nonce, Aad::from(key.name), &mut bytes)
            .ok()?
            .len();
        bytes.truncate(plain);
        Some(bytes)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(count: u8) -> Vec<TicketKey> {
        let key = |n| TicketKey(zeroize::Zeroizing::new(vec![n; 80]));
        (1..=count).map(key).collect()
    }

    #[test]
    fn what_is_sealed_opens_and_nothing_else_does() {
        let tickets = Tickets::new(&[]).expect("keys");
        let sealed = tickets.encrypt(b"a session").expect("sealed");
        assert_eq!(tickets.decrypt(&sealed).as_deref(), Some(&b"a session"[..]));
        for index in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[index] ^= 1;
            assert_eq!(tickets.decrypt(&forged), None, "byte {index}");
            assert_eq!(tickets.decrypt(&sealed[..index]), None, "length {index}");
        }
        let others = Tickets::new(&[]).expect("keys");
        assert_eq!(others.decrypt(&sealed), None);
    }

    #[test]
    fn keys_of_a_file_are_shared_and_the_last_but_one_seals() {
        let (one, two) = (Tickets::new(&written(3)), Tickets::new(&written(3)));
        let (one, two) = (one.expect("keys"), two.expect("keys"));
        let sealed = one.encrypt(b"shared").expect("sealed");
        assert_eq!(sealed[..NAME_BYTES], [2; NAME_BYTES]);
        assert_eq!(two.decrypt(&sealed).as_deref(), Some(&b"shared"[..]));
    }

    #[test]
    fn keys_are_renewed_and_forgotten() {
        use std::cell::Cell;
        thread_local!(static NOW: Cell<u64> = const { Cell::new(0) });
        let made = Tickets::new(&[]).expect("keys");
        let mut tickets = Arc::into_inner(made).expect("alone");
        tickets.now_s = || NOW.get();
        tickets.due_s = AtomicU64::new(LIFETIME_S);
        let first = tickets.encrypt(b"first").expect("sealed");
        NOW.set(LIFETIME_S);
        let second = tickets.encrypt(b"second").expect("sealed");
        assert_ne!(first[..NAME_BYTES], second[..NAME_BYTES]);
        assert!(
            tickets.decrypt(&first).is_some(),
            "the key before still opens"
        );
        NOW.set(2 * LIFETIME_S);
        assert!(tickets.decrypt(&second).is_some());
        assert_eq!(tickets.decrypt(&first), None, "older ones do not");
        NOW.set(9 * LIFETIME_S);
        assert_eq!(tickets.decrypt(&second), None, "nor those of long ago");
    }
}
