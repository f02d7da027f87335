//! The table of tasks and the queue of those to be polled.
//!
//! A task is a boxed future in a slot; its [`TaskId`] is the slot's index and a generation, so that a wake meant for
//! a task that has ended does not reach the slot's next tenant. Knows neither sockets nor time.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU32;
use std::pin::Pin;

pub(super) type Job = Pin<Box<dyn Future<Output = ()>>>;

/// Names a task for as long as it lives. Waking one that has ended does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TaskId {
    index: u32,
    generation: NonZeroU32,
}

impl TaskId {
    /// The id outside of any task; waking it does nothing.
    pub(super) const NOBODY: Self = Self {
        index: u32::MAX,
        generation: NonZeroU32::MIN,
    };

    pub(super) fn index(self) -> u32 {
        self.index
    }
}

/// No slot is left for another task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFull;

impl fmt::Display for TableFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the table of tasks is full")
    }
}

impl std::error::Error for TableFull {}

struct Slot {
    /// Absent while the slot is free, and while its task is being polled.
    job: Option<Job>,
    generation: NonZeroU32,
    live: bool,
    /// In the run queue. Stays set over the end of a task: the entry then gives the next tenant a spurious poll.
    queued: bool,
}

pub(super) struct TaskTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Each slot is queued at most once, so this never outgrows `slots`.
    queue: VecDeque<u32>,
    cap: usize,
}

impl TaskTable {
    pub(super) fn new(cap: usize) -> Self {
        let cap = cap.min(u32::MAX as usize);
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            queue: VecDeque::new(),
            cap,
        }
    }

    /// Tasks alive.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn has_room(&self) -> bool {
        self.len() < self.cap
    }

    /// Takes a task in and queues it.
    pub(super) fn insert(&mut self, job: Job) -> Result<TaskId, TableFull> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() >= self.cap => return Err(TableFull),
            None => {
                self.slots.push(Slot {
                    job: None,
                    generation: NonZeroU32::MIN,
                    live: false,
                    queued: false,
                });
                (self.slots.len() - 1) as u32
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.job = Some(job);
        slot.live = true;
        let id = TaskId {
            index,
            generation: slot.generation,
        };
        self.push(index);
        Ok(id)
    }

    /// Queues a task, unless it has ended or is queued already.
    #[inline]
    pub(super) fn wake(&mut self, id: TaskId) {
        if self.is_live(id) {
            self.push(id.index);
        }
    }

    /// Queues whatever task has this index.
    pub(super) fn wake_index(&mut self, index: u32) {
        if self.slots.get(index as usize).is_some_and(|slot| slot.live) {
            self.push(index);
        }
    }

    /// Queues every task.
    pub(super) fn wake_all(&mut self) {
        for index in 0..self.slots.len() as u32 {
            self.wake_index(index);
        }
    }

    pub(super) fn is_live(&self, id: TaskId) -> bool {
        self.slots
            .get(id.index as usize)
            .is_some_and(|slot| slot.live && slot.generation == id.generation)
    }

    fn push(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if !slot.queued {
            slot.queued = true;
            self.queue.push_back(index);
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Takes the next queued task out of its slot to be polled. `None`: its entry was stale, go on with the next.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(TaskId, Job)> {
        let index = self.queue.pop_front()?;
        let slot = &mut self.slots[index as usize];
        slot.queued = false;
        let job = slot.job.take()?;
        Some((
            TaskId {
                index,
                generation: slot.generation,
            },
            job,
        ))
    }

    /// Takes one task out of its slot, whether queued or not; it must be put back or ended.
    pub(super) fn take(&mut self, id: TaskId) -> Option<Job> {
        if self.is_live(id) {
            self.slots[id.index as usize].job.take()
        } else {
            None
        }
    }

    /// Returns a task that is not finished. Hands it back when it was cancelled meanwhile.
    #[inline]
    pub(super) fn put_back(&mut self, id: TaskId, job: Job) -> Result<(), Job> {
        if !self.is_live(id) {
            return Err(job);
        }
        self.slots[id.index as usize].job = Some(job);
        Ok(())
    }

    /// Frees the slot of a task whose future is gone or about to go.
    pub(super) fn end(&mut self, id: TaskId) {
        if !self.is_live(id) {
            return;
        }
        let slot = &mut self.slots[id.index as usize];
        slot.live = false;
        // Generations wrap after four thousand million tenants of one slot; zero is skipped.
        slot.generation = slot.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        self.free.push(id.index);
    }

    /// Any one living task that is not being polled.
    pub(super) fn any(&self) -> Option<TaskId> {
        let index = self.slots.iter().position(|slot| slot.job.is_some())?;
        Some(TaskId {
            index: index as u32,
            generation: self.slots[index].generation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle() -> Job {
        Box::pin(std::future::pending())
    }

    #[test]
    fn a_stale_wake_does_not_reach_the_next_tenant() {
        let mut table = TaskTable::new(1);
        let first = table.insert(idle()).unwrap();
        assert!(table.pop().is_some());
        table.end(first);
        let second = table.insert(idle()).unwrap();
        assert_eq!(first.index(), second.index());
        let (_, job) = table.pop().unwrap();
        assert!(table.put_back(second, job).is_ok());
        table.wake(first);
        assert_eq!(table.queued(), 0);
        table.wake(second);
        assert_eq!(table.queued(), 1);
    }

    #[test]
    fn the_cap_holds_and_ends_make_room() {
        let mut table = TaskTable::new(2);
        let first = table.insert(idle()).unwrap();
        table.insert(idle()).unwrap();
        assert_eq!(table.insert(idle()), Err(TableFull));
        table.end(first);
        assert!(table.insert(idle()).is_ok());
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn a_task_is_queued_once() {
        let mut table = TaskTable::new(1);
        let id = table.insert(idle()).unwrap();
        table.wake(id);
        table.wake(id);
        assert_eq!(table.queued(), 1);
    }

    #[test]
    fn a_task_cancelled_while_polled_is_handed_back() {
        let mut table = TaskTable::new(1);
        let id = table.insert(idle()).unwrap();
        let (_, job) = table.pop().unwrap();
        table.end(id);
        assert!(table.put_back(id, job).is_err());
    }
}
