//! Ctrl-C and SIGTERM as a flag that any loop can look at.
//!
//! There is one flag per process: a signal means the process and not one of its parts. A second
//! signal ends the process at once, for a person who does not want to wait.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Wakes those who wait for the flag; the lock guards nothing but the wait itself.
static WAITING: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
static WATCHER: OnceLock<Result<(), String>> = OnceLock::new();

/// The exit status of a process that was interrupted twice: 128 and SIGINT's number.
const EXIT_IMPATIENT: i32 = 130;

/// Starts to watch for SIGINT and SIGTERM; later calls return the same flag.
///
/// # Errors
/// When the watching thread or its signal handlers could not be made.
pub fn watch() -> io::Result<&'static AtomicBool> {
    WATCHER
        .get_or_init(|| start().map_err(|error| error.to_string()))
        .clone()
        .map_err(io::Error::other)?;
    Ok(&INTERRUPTED)
}

/// Returns when the process has been interrupted.
///
/// # Errors
/// As [`watch`].
pub fn wait() -> io::Result<()> {
    let interrupted = watch()?;
    let (lock, news) = &WAITING;
    let mut guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
    while !interrupted.load(Ordering::Relaxed) {
        guard = news.wait(guard).unwrap_or_else(PoisonError::into_inner);
    }
    Ok(())
}

fn start() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Handlers are in place before this returns, so no signal of the caller's time is lost.
    let (mut interrupt, mut terminate) = {
        let _guard = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        )
    };
    thread::Builder::new()
        .name("interrupt".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                for _ in 0..2 {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if INTERRUPTED.swap(true, Ordering::Relaxed) {
                        std::process::exit(EXIT_IMPATIENT);
                    }
                    let (lock, news) = &WAITING;
                    drop(lock.lock());
                    news.notify_all();
                }
            });
        })?;
    Ok(())
}
