//! All tasks of one runtime, so that shutdown finds those that nobody would wake any more.
//!
//! ```text
//! OPEN ──close──▶ CLOSED   (final; a task that comes later is cancelled by whoever spawned it)
//! ```

use slab::Slab;

use super::join::JoinError;
use super::raw::Task;
use crate::sync::Mutex;

#[derive(Debug)]
struct Inner {
    tasks: Slab<Task>,
    closed: bool,
}

/// One reference to each task that is not complete.
#[derive(Debug)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                tasks: Slab::new(),
                closed: false,
            }),
        }
    }

    /// Enters a new task by its registry's reference, or gives it back if the registry is closed.
    pub(crate) fn insert(&self, task: Task) -> Result<(), Task> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(task);
        }
        let entry = inner.tasks.vacant_entry();
        task.set_registry_key(entry.key());
        entry.insert(task);
        Ok(())
    }

    /// Takes a completed task's reference out, for the caller to drop without the lock.
    pub(crate) fn remove(&self, task: &Task) -> Option<Task> {
        let mut inner = self.inner.lock();
        // Shutdown may have taken it, but nobody else can have the place: none is given out after
        // closing.
        let found = inner
            .tasks
            .get(task.registry_key())
            .is_some_and(|entry| entry.same(task));
        found.then(|| inner.tasks.remove(task.registry_key()))
    }

    pub(crate) fn len(&self) -> usize {
        self.inner.lock().tasks.len()
    }

    /// Refuses new tasks, and cancels all there are. Those that run at the moment are cancelled by
    /// their runner.
    ///
    /// Without the lock: dropping a future may wake, abort, spawn or complete others.
    pub(crate) fn close(&self) {
        let tasks = {
            let mut inner = self.inner.lock();
            inner.closed = true;
            std::mem::take(&mut inner.tasks)
        };
        for (_, task) in tasks {
            task.cancel(JoinError::cancelled());
        }
    }
}

crate::sync::models!();
