//! Bytes from one half of a connection to the other, and the ends of connections.

use std::io;

use plimsoll_sys::epoll::Readiness;

use super::{Action, Half, Kind, Listening, OVER, World};

impl World {
    /// How many bytes may be sent to `to` now.
    pub(super) fn room(&self, to: u32) -> usize {
        let limit = self.weather.buffer_bytes.max(1);
        // Nobody there: the kernel takes the bytes and learns of that later.
        self.half(to).map_or(limit, |half| {
            limit.saturating_sub(half.inbox.len() + half.coming)
        })
    }

    /// All of `count`, or by chance less, but at least one.
    fn shortened(&mut self, count: usize, millionths: u32) -> usize {
        if count > 1 && self.chance.happens(millionths) {
            1 + self.chance.below(count as u64 - 1) as usize
        } else {
            count
        }
    }

    pub(in crate::reactor::simulated) fn send(
        &mut self,
        id: u32,
        bytes: &[u8],
    ) -> io::Result<Option<usize>> {
        let half = self.half_mut(id).ok_or(io::ErrorKind::NotConnected)?;
        if let Some(error) = half.error.take() {
            return Err(error.into());
        }
        if half.broken || half.shut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !half.established || half.doomed {
            return Ok(None);
        }
        let peer = half.peer;
        if self.chance.happens(self.weather.reset) {
            self.note("storm", id, 0);
            self.schedule(Action::Fail {
                to: peer,
                error: io::ErrorKind::ConnectionReset,
            });
            self.schedule(Action::Fail {
                to: id,
                error: io::ErrorKind::ConnectionReset,
            });
        }
        let fits = bytes.len().min(self.room(peer));
        let taken = self.shortened(fits, self.weather.short_write);
        if taken < bytes.len() {
            self.starve(id, taken < fits);
        }
        if taken == 0 {
            return Ok(if bytes.is_empty() { Some(0) } else { None });
        }
        self.note("send", id, taken);
        match self.half_mut(peer) {
            Some(half) => {
                half.coming += taken;
                self.schedule_in_order(
                    peer,
                    Action::Deliver {
                        from: id,
                        to: peer,
                        bytes: bytes[..taken].to_vec(),
                    },
                );
            }
            None => self.doom(id),
        }
        Ok(Some(taken))
    }

    /// Bytes were sent to a peer that has closed: it answers with a reset.
    fn doom(&mut self, id: u32) {
        let Some(half) = self.half_mut(id) else {
            return;
        };
        if !std::mem::replace(&mut half.doomed, true) {
            self.schedule(Action::Fail {
                to: id,
                error: io::ErrorKind::ConnectionReset,
            });
        }
    }

    /// The writer must wait: until the peer reads, or, when there was room after all, a little.
    fn starve(&mut self, id: u32, room_left: bool) {
        if room_left {
            self.schedule(Action::Room { to: id });
        } else if let Some(half) = self.half_mut(id) {
            half.starved = true;
        }
    }

    pub(super) fn arrived(&mut self, from: u32, to: u32, bytes: &[u8]) {
        let Some(half) = self.half_mut(to) else {
            return self.doom(from);
        };
        half.coming = half.coming.saturating_sub(bytes.len());
        if half.broken {
            return;
        }
        half.inbox.extend(bytes);
        self.note("deliver", to, bytes.len());
        self.edge(to, Readiness::READ);
    }

    pub(in crate::reactor::simulated) fn receive(
        &mut self,
        id: u32,
        buffer: &mut [u8],
    ) -> io::Result<Option<usize>> {
        let available = match self.readable(id, buffer.len())? {
            Some(0) => return Ok(Some(0)),
            Some(available) => available,
            None => return Ok(None),
        };
        let count = self.shortened(available, self.weather.short_read);
        let Some(half) = self.half_mut(id) else {
            return Ok(None);
        };
        for (byte, from) in buffer.iter_mut().zip(half.inbox.drain(..count)) {
            *byte = from;
        }
        let (peer, more) = (half.peer, !half.inbox.is_empty());
        self.note("receive", id, count);
        self.pass_until(self.now_ns + count as u64 * self.weather.byte_ns);
        // A short read says that nothing more is there: what is left counts as arriving later.
        if more && count < buffer.len() {
            self.schedule(Action::More { to: id });
        }
        if let Some(writer) = self.half_mut(peer)
            && std::mem::take(&mut writer.starved)
        {
            self.schedule(Action::Room { to: peer });
        }
        Ok(Some(count))
    }

    pub(in crate::reactor::simulated) fn peek(
        &mut self,
        id: u32,
        buffer: &mut [u8],
    ) -> io::Result<Option<usize>> {
        let available = self.readable(id, buffer.len())?;
        for (byte, from) in buffer.iter_mut().zip(&self.half(id)?.inbox) {
            *byte = *from;
        }
        Ok(available)
    }

    /// Bytes that fit into a buffer of `room`; `Some(0)` at the end, `None` while there are none.
    fn readable(&mut self, id: u32, room: usize) -> io::Result<Option<usize>> {
        let half = self.half_mut(id).ok_or(io::ErrorKind::NotConnected)?;
        if !half.inbox.is_empty() {
            return Ok(Some(half.inbox.len().min(room)));
        }
        if let Some(error) = half.error.take() {
            return Err(error.into());
        }
        Ok(if half.ended || half.broken {
            Some(0)
        } else {
            None
        })
    }

    // ---- Ending

    pub(in crate::reactor::simulated) fn shutdown_write(&mut self, id: u32) -> io::Result<()> {
        let half = self.half_mut(id).ok_or(io::ErrorKind::NotConnected)?;
        if half.broken || !half.established {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if std::mem::replace(&mut half.shut, true) {
            return Ok(());
        }
        let (peer, over) = (half.peer, half.ended);
        self.note("shutdown", id, 0);
        self.schedule_in_order(peer, Action::End { to: peer });
        if over {
            self.edge(id, OVER);
        }
        Ok(())
    }

    pub(super) fn ended(&mut self, to: u32) {
        let Some(half) = self.half_mut(to).filter(|half| !half.broken) else {
            return;
        };
        half.ended = true;
        let over = half.shut;
        self.note("end", to, 0);
        self.edge(to, Readiness::READ.with(Readiness::READ_CLOSED));
        if over {
            self.edge(to, OVER);
        }
    }

    pub(super) fn fail(&mut self, to: u32, error: io::ErrorKind) {
        let Some(half) = self.half_mut(to).filter(|half| !half.broken) else {
            return;
        };
        half.broken = true;
        half.error = Some(error);
        self.note("fail", to, 0);
        self.edge(to, OVER);
    }

    pub(in crate::reactor::simulated) fn close(&mut self, id: u32) {
        let Some(node) = self.nodes.remove(&id) else {
            return;
        };
        self.note("close", id, 0);
        match node.kind {
            Kind::Half(half) => self.close_half(&half),
            Kind::Listening(listening) => self.close_listener(id, listening),
        }
    }

    fn close_half(&mut self, half: &Half) {
        if half.broken {
            return;
        }
        // Closing with bytes unread tells the peer so by a reset, as TCP does.
        if half.reset_on_close || !half.inbox.is_empty() {
            self.schedule(Action::Fail {
                to: half.peer,
                error: io::ErrorKind::ConnectionReset,
            });
        } else if !half.shut {
            self.schedule_in_order(half.peer, Action::End { to: half.peer });
        }
    }

    fn close_listener(&mut self, id: u32, listening: Listening) {
        if let Some(others) = self.listeners.get_mut(&listening.address) {
            others.retain(|&other| other != id);
            if others.is_empty() {
                self.listeners.remove(&listening.address);
            }
        }
        for server in listening.waiting {
            if let Some(half) = self.half_mut(server) {
                half.reset_on_close = true;
            }
            self.close(server);
        }
    }

    pub(in crate::reactor::simulated) fn take_error(&mut self, id: u32) -> io::Result<()> {
        let half = self.half_mut(id).ok_or(io::ErrorKind::NotConnected)?;
        half.error.take().map_or(Ok(()), |error| Err(error.into()))
    }

    pub(in crate::reactor::simulated) fn set_reset_on_close(
        &mut self,
        id: u32,
        on: bool,
    ) -> io::Result<()> {
        self.half_mut(id)
            .ok_or(io::ErrorKind::NotConnected)?
            .reset_on_close = on;
        Ok(())
    }
}
