//! What a client sends before its handshake has ended (0-RTT, RFC 8446 section 2.3).
//!
//! Only sessions that this process remembers by itself are good for it, and each of them once: what somebody has recorded
//! and sends again names a session that is there no more, and is not taken (section 8.1).

use std::io::{self, Read as _};
use std::sync::Arc;

use plimsoll_policy::tls::EarlyData;
use rustls::{Connection, ServerConfig};

use super::front::Sessions;

/// Most bytes that are taken early, as many as HAProxy takes with its usual buffers.
const EARLY_BYTES_MAX: u32 = 15_360;

/// Has clients of `config` remembered in `memory`, and their early data taken.
pub(super) fn allow(config: &mut ServerConfig, memory: &Sessions) {
    config.session_storage = Arc::clone(memory);
    config.max_early_data_size = EARLY_BYTES_MAX;
    // An answer need not wait for the end of the handshake either.
    config.send_half_rtt_data = true;
}

/// The early data of one client, from the library to whoever reads.
pub(super) struct Early {
    bytes: Vec<u8>,
    read: usize,
    pub(super) told: Arc<EarlyData>,
}

impl Early {
    /// That of a client whose hello has just been answered; `None`: it sends none, or none is taken.
    pub(super) fn of(connection: &mut Connection) -> Option<Box<Self>> {
        let Connection::Server(server) = connection else {
            return None;
        };
        server.early_data()?;
        Some(Box::new(Self {
            bytes: Vec::new(),
            read: 0,
            told: Arc::default(),
        }))
    }

    /// Takes what the library has.
    pub(super) fn receive(&mut self, connection: &mut Connection) -> io::Result<()> {
        if let Connection::Server(server) = connection
            && let Some(mut data) = server.early_data()
        {
            // The library sees to it that there is never more than was allowed.
            if data.read_to_end(&mut self.bytes)? > 0 {
                self.told.receive();
            }
        }
        if !connection.is_handshaking() {
            self.told.confirm();
        }
        Ok(())
    }

    /// Moves what fits into `buffer`.
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> usize {
        let waiting = &self.bytes[self.read..];
        let count = waiting.len().min(buffer.len());
        buffer[..count].copy_from_slice(&waiting[..count]);
        self.read += count;
        if self.is_empty() {
            (self.bytes, self.read) = (Vec::new(), 0);
        }
        count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.read == self.bytes.len()
    }
}
