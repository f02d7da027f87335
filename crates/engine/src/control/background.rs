//! A thread of its own for something that goes on beside the traffic until it is told to end.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::Notify;
use tokio::task::LocalSet;

/// The running thread.
pub(super) struct Background {
    ending: Arc<Notify>,
    thread: JoinHandle<()>,
}

impl Background {
    /// Starts a thread of this name, on which `work` begins.
    pub(super) fn start<W: Future<Output = ()>>(
        name: &str,
        work: impl FnOnce() -> W + Send + 'static,
    ) -> io::Result<Self> {
        let ending = Arc::new(Notify::new());
        let ended = Arc::clone(&ending);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let tasks = LocalSet::new();
                tasks.block_on(&runtime, async {
                    tokio::select! {
                        () = work() => {}
                        () = ended.notified() => {}
                    }
                });
                // A name that is being looked up, or a connection in the middle of an answer, is no reason to stay.
                runtime.shutdown_background();
            })?;
        Ok(Self { ending, thread })
    }

    /// Ends the thread; what is under way is broken off.
    pub(super) fn stop(&self) {
        self.ending.notify_one();
    }

    pub(super) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}
