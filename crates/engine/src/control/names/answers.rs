//! What rules want to know of names (`do-resolve`): asked for when it is wanted, and used again for `hold valid`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_policy::ledger::Ledger;
use plimsoll_policy::model::names::{Family, Resolvers};
use plimsoll_sys::clock;
use tokio::sync::oneshot;

use super::{Circle, NS_PER_MS, addresses_of};
use crate::lookup::{Question, Questions};

/// Names whose addresses are kept, or asked for, at the same time. Names come from clients: whatever is beyond this is not
/// asked for.
const NAMES_MAX: usize = 4_096;

/// The name servers, the host, and the family that is preferred.
type Key = (Resolvers, String, Family);

/// What is known of a name.
enum Known {
    /// Its addresses are asked for, and these want to know.
    Asked(Vec<oneshot::Sender<IpAddr>>),
    /// Handed out one after the other, up to a moment in milliseconds.
    Addresses {
        addresses: Vec<IpAddr>,
        next: usize,
        until_ms: u64,
    },
}

type Memory = Rc<RefCell<HashMap<Key, Known>>>;

/// Answers the questions of rules, for as long as it is polled.
pub(super) async fn give(questions: Arc<Questions>) {
    let memory = Memory::default();
    loop {
        let question = questions.next().await;
        let ledger = Arc::clone(&question.plane.ledger);
        // Many names may be asked for at once.
        if let Some(key) = note(question, &memory) {
            tokio::task::spawn_local(ask(key, ledger, Rc::clone(&memory)));
        }
    }
}

/// Answers from memory, or returns what has to be asked for.
fn note(question: Question, memory: &Memory) -> Option<Key> {
    let resolvers = &question.plane.model.resolvers;
    let resolvers = resolvers.get(question.lookup.resolvers.0 as usize)?;
    let host = question.lookup.host.to_ascii_lowercase();
    let key = (resolvers.clone(), host, question.lookup.prefer);
    let now_ms = clock::monotonic_ns() / NS_PER_MS;
    let mut memory = memory.borrow_mut();
    match memory.get_mut(&key) {
        Some(Known::Asked(waiting)) => {
            waiting.push(question.answer);
            return None;
        }
        Some(Known::Addresses {
            addresses,
            next,
            until_ms,
        }) if now_ms < *until_ms => {
            // Whoever has left needs no answer.
            let _ = question.answer.send(addresses[*next % addresses.len()]);
            *next = (*next + 1) % addresses.len();
            return None;
        }
        _ => {}
    }
    if memory.len() >= NAMES_MAX {
        memory.retain(|_, known| match known {
            Known::Asked(_) => true,
            Known::Addresses { until_ms, .. } => now_ms < *until_ms,
        });
        if memory.len() >= NAMES_MAX {
            return None;
        }
    }
    memory.insert(key.clone(), Known::Asked(vec![question.answer]));
    Some(key)
}

async fn ask(key: Key, ledger: Arc<Ledger>, memory: Memory) {
    let (resolvers, host, prefer) = &key;
    let circle = Circle {
        resolvers,
        ledger: &ledger,
    };
    let found = addresses_of(circle, host, *prefer).await;
    let addresses = found.map_or_else(|_| Vec::new(), |(addresses, _)| addresses);
    let until_ms = clock::monotonic_ns() / NS_PER_MS + resolvers.hold.valid_ms;
    let mut memory = memory.borrow_mut();
    let Some(Known::Asked(waiting)) = memory.remove(&key) else {
        return;
    };
    // Without any, those who wait notice that nobody will answer.
    if addresses.is_empty() {
        return;
    }
    let mut turn = addresses.iter().cycle();
    let count = waiting.len();
    for (answer, address) in waiting.into_iter().zip(&mut turn) {
        let _ = answer.send(*address);
    }
    let known = Known::Addresses {
        next: count % addresses.len(),
        addresses,
        until_ms,
    };
    memory.insert(key, known);
}
