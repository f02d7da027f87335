//! What a master knows of itself and its workers, and how it passes through an exec.

use std::fmt::Write as _;
use std::path::PathBuf;

/// Most workers that a state names; older ones are ended before there are more.
pub(super) const WORKERS_MAX: usize = 64;

/// What goes on when the master becomes another program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The folder of the workers' sockets.
    pub(super) folder: PathBuf,
    /// The master's own command socket, by its descriptor.
    pub(super) door: Option<i32>,
    /// Who asked for the upgrade and waits for an answer, by its descriptor.
    pub(super) asker: Option<i32>,
    /// When the master started, in milliseconds since 1970.
    pub(super) started_ms: u64,
    pub(super) reloads: u32,
    /// Reloads that changed nothing, because the configuration was refused.
    pub(super) failed: u32,
    /// The number of the next worker.
    pub(super) next: u32,
    /// The newest last.
    pub(super) workers: Vec<WorkerState>,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WorkerState {
    pub(super) number: u32,
    pub(super) process: u32,
    /// The descriptor over which it tells that it lives.
    pub(super) line: i32,
    pub(super) started_ms: u64,
    /// Reloads it has survived as an old worker.
    pub(super) reloads: u32,
    /// It was told to finish.
    pub(super) leaving: bool,
}

impl State {
    /// As one word of a command line.
    pub(super) fn write(&self) -> String {
        let number = |descriptor: Option<i32>| descriptor.unwrap_or(-1);
        let mut text = format!(
            "{},{},{},{},{},{}",
            number(self.door),
            number(self.asker),
            self.started_ms,
            self.reloads,
            self.next,
            self.failed
        );
        for worker in &self.workers {
            let WorkerState {
                number,
                process,
                line,
                started_ms,
                reloads,
                leaving,
            } = worker;
            let leaving = u8::from(*leaving);
            let _ = write!(
                text,
                ";{number},{process},{line},{started_ms},{reloads},{leaving}"
            );
        }
        let _ = write!(text, ";{}", self.folder.display());
        text
    }

    /// Reads it back; `None`: it is no state.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (own, rest) = text.split_once(';')?;
        let (workers, folder) = rest.rsplit_once(';').unwrap_or(("", rest));
        let mut own = own.split(',');
        let mut next = || own.next()?.parse::<i64>().ok();
        let descriptor = |number: i64| {
            i32::try_from(number)
                .ok()
                .map(|n| Some(n).filter(|n| *n >= 0))
        };
        let mut state = Self {
            door: descriptor(next()?)?,
            asker: descriptor(next()?)?,
            started_ms: next()?.try_into().ok()?,
            reloads: next()?.try_into().ok()?,
            next: next()?.try_into().ok()?,
            // An older program does not tell.
            failed: next().unwrap_or(0).try_into().ok()?,
            folder: folder.into(),
            workers: Vec::new(),
        };
        for worker in workers.split(';').filter(|worker| !worker.is_empty()) {
            let mut fields = worker.split(',').map(|field| field.parse::<u64>().ok());
            let mut next = || fields.next().flatten();
            state.workers.push(WorkerState {
                number: next()?.try_into().ok()?,
                process: next()?.try_into().ok()?,
                line: next()?.try_into().ok()?,
                started_ms: next()?,
                reloads: next()?.try_into().ok()?,
                leaving: next()? == 1,
            });
            if state.workers.len() > WORKERS_MAX {
                return None;
            }
        }
        Some(state)
    }

    /// The workers' processes, with the descriptors over which they tell that they live.
    pub(super) fn lines(&self) -> Vec<(u32, i32)> {
        let workers = self.workers.iter();
        workers
            .map(|worker| (worker.process, worker.line))
            .collect()
    }

    /// The command socket of a worker.
    pub(super) fn socket(&self, number: u32) -> PathBuf {
        self.folder.join(format!("worker-{number}.sock"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let worker = |number, leaving| WorkerState {
            number,
            process: 40 + number,
            line: 7,
            started_ms: 1_700_000_000_001,
            reloads: 2,
            leaving,
        };
        let full = State {
            folder: "/tmp/a b;c".into(),
            door: Some(3),
            asker: None,
            started_ms: 1_700_000_000_000,
            reloads: 5,
            failed: 1,
            next: 3,
            workers: vec![worker(1, true), worker(2, false)],
        };
        let plain = State {
            workers: Vec::new(),
            folder: "/run/x".into(),
            ..full.clone()
        };
        assert_eq!(State::read(&plain.write()), Some(plain));
        let simple = State {
            folder: "/tmp/a b".into(),
            ..full
        };
        assert_eq!(State::read(&simple.write()), Some(simple));
        for text in ["", ";", "1,2;x", "a,b,c,d,e;/tmp", "1,1,1,1,1;1,2;/tmp"] {
            assert_eq!(State::read(text), None, "{text}");
        }
    }
}
