//! All tasks of one runtime, so that shutdown finds those that nobody would wake any more.
//!
//! ```text
//! OPEN ──close──▶ CLOSED   (final; a task that comes later is cancelled by whoever spawned it)
//! ```
//!
//! The registry has a part for each worker and one for all other threads. A task is entered in the
//! part of the thread that spawns it, and says which that was. So the lock of a part is one that
//! nobody else wants, but for tasks that complete on another worker than the one they came from.

use super::join::JoinError;
use super::list::List;
use super::raw::Task;
use crate::sync::Mutex;

#[derive(Debug, Default)]
struct Inner {
    tasks: List,
    len: usize,
    /// Tasks that were ever entered.
    spawned: u64,
    closed: bool,
}

/// Tasks that were spawned by one worker, or by a thread that is none. On a cache line of its own:
/// workers do not disturb each other.
#[derive(Debug)]
#[repr(align(128))]
struct Part(Mutex<Inner>);

/// One reference to each task that is not complete.
#[derive(Debug)]
pub(crate) struct Registry {
    /// The last is for threads that are no workers.
    parts: Box<[Part]>,
}

impl Registry {
    pub(crate) fn new(workers: usize) -> Self {
        assert!(
            workers < usize::from(u16::MAX),
            "{workers} workers have no number each"
        );
        let parts = (0..=workers).map(|_| Part(Mutex::new(Inner::default())));
        Self {
            parts: parts.collect(),
        }
    }

    /// The home of tasks that are spawned by a worker, or by a thread that is none.
    #[inline]
    pub(crate) fn home(&self, worker: Option<usize>) -> u16 {
        // Not more than `new` admits.
        worker.unwrap_or(self.parts.len() - 1) as u16
    }

    fn part(&self, task: &Task) -> &Mutex<Inner> {
        &self.parts[usize::from(task.home())].0
    }

    /// Enters a new task by its registry's reference, or gives it back if the registry is closed.
    pub(crate) fn insert(&self, task: Task) -> Result<(), Task> {
        let mut inner = self.part(&task).lock();
        if inner.closed {
            return Err(task);
        }
        inner.len += 1;
        inner.spawned += 1;
        inner.tasks.push(task);
        Ok(())
    }

    /// Takes a completed task's reference out, for the caller to drop without the lock.
    pub(crate) fn remove(&self, task: &Task) -> Option<Task> {
        let mut inner = self.part(task).lock();
        // Shutdown may have taken it.
        let removed = inner.tasks.remove(task);
        inner.len -= usize::from(removed.is_some());
        removed
    }

    /// Tasks that are not complete, and that were ever entered.
    pub(crate) fn counts(&self) -> (usize, u64) {
        self.parts.iter().fold((0, 0), |(len, spawned), part| {
            let inner = part.0.lock();
            (len + inner.len, spawned + inner.spawned)
        })
    }

    /// Refuses new tasks, and cancels all there are. Those that run at the moment are cancelled by
    /// their runner.
    ///
    /// Without a lock: dropping a future may wake, abort, spawn or complete others.
    pub(crate) fn close(&self) {
        for part in &self.parts {
            part.0.lock().closed = true;
        }
        for part in &self.parts {
            while let Some(task) = part.pop() {
                task.cancel(JoinError::cancelled());
            }
        }
    }
}

impl Part {
    fn pop(&self) -> Option<Task> {
        let mut inner = self.0.lock();
        let task = inner.tasks.pop()?;
        inner.len -= 1;
        Some(task)
    }
}

crate::sync::models!();
