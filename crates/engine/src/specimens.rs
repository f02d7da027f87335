//! The last messages that were not acceptable, of each frontend and backend.
//!
//! A worker writes to its own shelf. A lock is no burden on a path that ends in closing a connection. What is absent: how
//! they are shown (`policy::specimen`).

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plimsoll_policy::log::WallTime;
use plimsoll_policy::model::{BackendId, ServerId};
use plimsoll_policy::specimen::{Bytes, Direction, Named, Specimen};

use crate::session::Session;

/// Messages kept by each worker: 1 MiB. Beyond it those of some proxies are forgotten, the oldest first.
const SHELF_SPECIMENS_MAX: usize = 64;

/// All of the process.
pub(crate) struct Specimens {
    /// Messages that were ever kept.
    count: AtomicU32,
    shelves: Box<[Mutex<Shelf>]>,
}

/// One worker's, the oldest first: one of each direction and proxy.
type Shelf = Vec<Arc<Specimen>>;

impl Specimens {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            count: AtomicU32::new(0),
            shelves: (0..workers).map(|_| Mutex::default()).collect(),
        }
    }

    /// How many there were, and the last one of each direction and proxy, the oldest first.
    pub(crate) fn all(&self) -> (u32, Vec<Arc<Specimen>>) {
        let mut all = Vec::new();
        for shelf in &self.shelves {
            all.extend(lock(shelf).iter().cloned());
        }
        all.sort_by_key(|specimen| specimen.number);
        let mut last = Shelf::new();
        all.into_iter()
            .for_each(|specimen| replace(&mut last, specimen));
        (self.count.load(Relaxed), last)
    }

    fn put(&self, worker: usize, mut specimen: Specimen) {
        let Some(shelf) = self.shelves.get(worker) else {
            return;
        };
        specimen.number = self.count.fetch_add(1, Relaxed);
        let mut shelf = lock(shelf);
        replace(&mut shelf, Arc::new(specimen));
        if shelf.len() > SHELF_SPECIMENS_MAX {
            shelf.remove(0);
        }
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts one in place of the one before it.
fn replace(shelf: &mut Shelf, specimen: Arc<Specimen>) {
    shelf.retain(|known| {
        known.direction != specimen.direction || known.owner().name != specimen.owner().name
    });
    shelf.push(specimen);
}

/// A client's message was not acceptable.
pub(crate) fn request(session: &Session, backend: Option<BackendId>, bytes: Option<Box<Bytes>>) {
    let place = backend.map(|backend| (backend, None));
    keep(session, Direction::Request, place, bytes);
}

/// A server's was not.
pub(crate) fn response(
    session: &Session,
    (backend, server): (BackendId, ServerId),
    bytes: Option<Box<Bytes>>,
) {
    let place = Some((backend, Some(server)));
    keep(session, Direction::Response, place, bytes);
}

fn keep(
    session: &Session,
    direction: Direction,
    place: Option<(BackendId, Option<ServerId>)>,
    bytes: Option<Box<Bytes>>,
) {
    let Some(bytes) = bytes else { return };
    let tables = &session.tables;
    let frontend = tables.frontend(session.frontend);
    let backend = place.map(|(id, _)| tables.backend(id));
    let server = place.and_then(|(backend, server)| Some(tables.server(backend, server?)));
    let named = |name: &str, number| Named {
        name: name.to_owned(),
        number,
    };
    let specimen = Specimen {
        number: 0,
        seen: WallTime::from_unix_ns(session.worker.reactor.wall_ns()),
        direction,
        frontend: named(&frontend.name, frontend.number),
        backend: backend.map(|backend| named(&backend.name, backend.number)),
        server: server.map(|server| named(&server.name, server.number)),
        source: session.facts.source,
        buffer_bytes: tables.plane.model.global.tune.buffer_bytes as usize,
        bytes: *bytes,
    };
    let specimens = tables.desk.specimens();
    specimens.put(session.worker.index, specimen);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specimen(direction: Direction, frontend: &str) -> Specimen {
        Specimen {
            number: 0,
            seen: WallTime::default(),
            direction,
            frontend: Named {
                name: frontend.to_owned(),
                number: 2,
            },
            backend: None,
            server: None,
            source: None,
            buffer_bytes: 16_384,
            bytes: Bytes::default(),
        }
    }

    #[test]
    fn the_last_one_of_each_proxy_is_kept_whichever_worker_saw_it() {
        let specimens = Specimens::new(2);
        for (worker, direction, name) in [
            (0, Direction::Request, "web"),
            (0, Direction::Request, "web"),
            (1, Direction::Request, "web"),
            (1, Direction::Request, "other"),
            (0, Direction::Response, "web"),
        ] {
            specimens.put(worker, specimen(direction, name));
        }
        let (count, all) = specimens.all();
        let numbers: Vec<_> = all.iter().map(|specimen| specimen.number).collect();
        assert_eq!((count, numbers), (5, vec![2, 3, 4]));
    }

    #[test]
    fn a_shelf_is_bounded() {
        let specimens = Specimens::new(1);
        for number in 0..200 {
            specimens.put(0, specimen(Direction::Request, &number.to_string()));
        }
        let (count, all) = specimens.all();
        assert_eq!((count, all.len()), (200, SHELF_SPECIMENS_MAX));
        assert_eq!(all.last().map(|specimen| specimen.number), Some(199));
    }
}
