//! Memory lent to tasks.
//!
//! A [`Scratch`] is the one large, hot buffer that bytes pass through; it is lent last in, first out, so that in
//! practice every read uses the same cache lines. A [`Buffer`] is small, may be kept across waits, and is recycled.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::{Core, Options, Reactor};

/// Scratch buffers kept. More exist only while tasks hold them across waits.
const SCRATCHES_KEPT: usize = 4;

pub(super) struct Buffers {
    scratches: RefCell<Vec<Box<[u8]>>>,
    scratch_bytes: usize,
    buffers: RefCell<Vec<Vec<u8>>>,
    buffers_max: usize,
    buffer_bytes_max: usize,
}

impl Buffers {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            scratches: RefCell::default(),
            scratch_bytes: options.scratch_bytes.max(1),
            buffers: RefCell::default(),
            buffers_max: options.buffers_max,
            buffer_bytes_max: options.buffer_bytes_max,
        }
    }
}

impl Reactor {
    /// The thread's hot buffer. Its contents are what the last user left. Give it back before waiting when possible:
    /// the next user gets another one, which is correct but cold.
    #[inline]
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        let buffers = &self.core.buffers;
        let kept = buffers.scratches.borrow_mut().pop();
        let bytes = kept.unwrap_or_else(|| vec![0; buffers.scratch_bytes].into());
        Scratch {
            core: Rc::clone(&self.core),
            bytes,
        }
    }

    /// How many hot buffers wait to be lent, and how many bytes they have.
    pub(crate) fn spare_scratches(&self) -> (usize, usize) {
        let buffers = &self.core.buffers;
        let count = buffers.scratches.borrow().len();
        (count, count * buffers.scratch_bytes)
    }

    /// An empty buffer for what must survive a wait: a partial head, bytes a slow peer has not taken.
    #[inline]
    #[must_use]
    pub fn buffer(&self) -> Buffer {
        let bytes = self
            .core
            .buffers
            .buffers
            .borrow_mut()
            .pop()
            .unwrap_or_default();
        Buffer {
            core: Rc::clone(&self.core),
            bytes,
        }
    }
}

/// The hot buffer, until dropped.
pub struct Scratch {
    core: Rc<Core>,
    bytes: Box<[u8]>,
}

impl Deref for Scratch {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Scratch {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Scratch {
    #[inline]
    fn drop(&mut self) {
        let mut kept = self.core.buffers.scratches.borrow_mut();
        if kept.len() < SCRATCHES_KEPT {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch")
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// A recycled buffer, until dropped.
pub struct Buffer {
    core: Rc<Core>,
    bytes: Vec<u8>,
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    #[inline]
    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        let buffers = &self.core.buffers;
        let mut kept = buffers.buffers.borrow_mut();
        let capacity = self.bytes.capacity();
        if capacity > 0 && capacity <= buffers.buffer_bytes_max && kept.len() < buffers.buffers_max
        {
            self.bytes.clear();
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hot_buffer_is_lent_again() {
        let reactor = Reactor::new(Options::default()).unwrap();
        let first = reactor.scratch();
        let address = first.as_ptr();
        let second = reactor.scratch();
        assert_ne!(second.as_ptr(), address);
        drop(second);
        drop(first);
        assert_eq!(reactor.scratch().as_ptr(), address);
    }

    #[test]
    fn buffers_come_back_empty_and_overgrown_ones_do_not() {
        let options = Options {
            buffer_bytes_max: 100,
            buffers_max: 1,
            ..Options::default()
        };
        let reactor = Reactor::new(options).unwrap();
        let mut small = reactor.buffer();
        small.extend_from_slice(b"left over");
        drop(small);
        let mut recycled = reactor.buffer();
        assert!(recycled.is_empty() && recycled.capacity() > 0);
        recycled.resize(101, 0);
        drop(recycled);
        assert_eq!(reactor.buffer().capacity(), 0);
    }
}
