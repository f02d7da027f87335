//! Reading the configuration anew while the process serves: by signal, by command, or when a file changes.
//!
//! What is absent: the change itself, which is the engine's. A configuration with a fault changes nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use plimsoll_engine::{Handle, Loaded, Loader, Outcome};
use plimsoll_policy::model::Model;

use crate::configuration::{self, Configuration, Request, Sights};
use crate::console;

/// How often files are looked at. A change is acted on when they have not changed for as long.
const WATCH_PERIOD: Duration = Duration::from_millis(250);

/// Where the configuration comes from.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) request: Request,
    /// A warning is as bad as an error (`-dW`).
    pub(crate) warnings_fatal: bool,
    /// What the command line says beside the files.
    pub(crate) adjust: Arc<dyn Fn(&mut Model) + Send + Sync>,
    /// The files as they were when they were read last.
    pub(crate) seen: Arc<Mutex<Sights>>,
}

impl Source {
    /// Reads and judges; an error is the text for whoever asked.
    pub(crate) fn load(&self) -> Result<Loaded, String> {
        let mut configuration = configuration::load(&self.request);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            std::mem::take(&mut configuration.looked_at);
        self.judge(configuration)
    }

    fn seen(&self) -> Sights {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn judge(&self, configuration: Configuration) -> Result<Loaded, String> {
        let remarks = configuration.plain_problems();
        let (errors, warnings) = configuration.counts();
        if errors > 0 || (self.warnings_fatal && warnings > 0) {
            return Err(remarks);
        }
        if !configuration.has_listener() {
            return Err("nothing to listen on: no frontend has a 'bind' line".to_owned());
        }
        let mut model = configuration.model.ok_or(remarks.as_str())?;
        (self.adjust)(&mut model);
        Ok(Loaded { model, remarks })
    }

    pub(crate) fn into_loader(self) -> Loader {
        Box::new(move |files| match files {
            [] => self.load(),
            files => self.judge(configuration::load(&Request {
                files: files.to_vec(),
                ..self.request.clone()
            })),
        })
    }
}

/// Tells on standard error what came of a reload.
pub(crate) fn tell(outcome: &Result<Outcome, String>, quiet: bool) {
    match outcome {
        Ok(outcome) if !quiet => {
            console::report(&outcome.remarks);
            console::complain("the configuration has been reloaded");
        }
        Ok(_) => {}
        Err(reason) => {
            console::report(&format!("{}\n", reason.trim_end()));
            console::complain("the configuration was not reloaded; going on as before");
        }
    }
}

/// Reloads whenever a file of the configuration has changed, for as long as the process lives.
///
/// # Errors
/// When no thread can be had.
pub(crate) fn watch(source: Source, handle: Handle) -> std::io::Result<()> {
    thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || {
            loop {
                thread::sleep(WATCH_PERIOD);
                let seen = source.seen();
                let now = look(&seen);
                if now != seen {
                    // Editors write in several steps.
                    settle(now);
                    tell(&handle.reload(), false);
                }
            }
        })?;
    Ok(())
}

fn look(seen: &Sights) -> Sights {
    let paths = seen.keys();
    paths
        .map(|path| (path.clone(), configuration::mark(path)))
        .collect()
}

/// Waits until the files look the same twice.
fn settle(mut before: Sights) {
    loop {
        thread::sleep(WATCH_PERIOD);
        let now = look(&before);
        if now == before {
            return;
        }
        before = now;
    }
}
