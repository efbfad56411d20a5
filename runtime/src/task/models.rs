//! What the models of tasks share: a run queue that threads take runnables from.

use std::collections::VecDeque;
use std::future::Future;

use loom::sync::Arc;

use super::join::JoinHandle;
use super::raw::{Queue, Schedule, Task};
use crate::sync::Mutex;

/// A run queue and a registry, without workers: the model's threads run what is queued.
#[derive(Clone)]
pub(super) struct Runner(Arc<Inner>);

struct Inner {
    queue: Mutex<VecDeque<Task>>,
    registered: Mutex<Vec<Task>>,
}

impl Runner {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            queue: Mutex::new(VecDeque::new()),
            registered: Mutex::new(Vec::new()),
        }))
    }

    /// Spawns a task, which waits in the queue for its first poll.
    pub(super) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let [entry, registered, join] = Task::new(future, self.clone(), 0);
        self.0.registered.lock().push(registered);
        self.0.queue.lock().push_back(entry);
        JoinHandle::new(join)
    }

    /// Runs what is queued until nothing is.
    pub(super) fn run_all(&self) {
        while let Some(task) = self.pop() {
            if let Some(again) = task.run() {
                self.0.queue.lock().push_back(again);
            }
        }
    }

    pub(super) fn pop(&self) -> Option<Task> {
        self.0.queue.lock().pop_front()
    }

    /// The registry's reference to the only task, as shutdown takes it.
    pub(super) fn unregister(&self) -> Option<Task> {
        self.0.registered.lock().pop()
    }

    /// Checks that no task is left, neither queued nor registered.
    pub(super) fn assert_empty(&self) {
        assert!(self.0.queue.lock().is_empty(), "a runnable is left behind");
        assert!(
            self.0.registered.lock().is_empty(),
            "a task was not released"
        );
    }
}

impl Schedule for Runner {
    type Queue = Self;

    fn queue(&self) -> Self {
        self.clone()
    }

    fn release(&self, task: &Task) -> Option<Task> {
        let mut registered = self.0.registered.lock();
        let same = |entry: &Task| entry.header_pointer() == task.header_pointer();
        let at = registered.iter().position(same)?;
        Some(registered.swap_remove(at))
    }
}

impl Queue for Runner {
    fn push(self, task: Task) {
        self.0.queue.lock().push_back(task);
    }
}
