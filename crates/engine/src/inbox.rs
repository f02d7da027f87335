//! What workers leave for a thread of the control plane: a bounded queue that nobody waits to put something into.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Up to `MAX` pieces of news; more are dropped and counted.
pub(crate) struct Inbox<T, const MAX: usize> {
    waiting: Mutex<VecDeque<T>>,
    arrived: Notify,
    dropped: AtomicU64,
}

impl<T, const MAX: usize> Default for Inbox<T, MAX> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Notify::default(),
            dropped: AtomicU64::default(),
        }
    }
}

impl<T, const MAX: usize> Inbox<T, MAX> {
    pub(crate) fn leave(&self, news: T) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.push_back(news);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Waits for the next piece of news.
    pub(crate) async fn next(&self) -> T {
        loop {
            let news = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.pop_front()
            };
            match news {
                Some(news) => return news,
                None => self.arrived.notified().await,
            }
        }
    }
}
