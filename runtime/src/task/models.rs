//! What the models of tasks share: a run queue that threads take runnables from.

use std::collections::VecDeque;
use std::future::Future;

use loom::sync::Arc;

use super::join::JoinHandle;
use super::raw::{Schedule, Task};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering};

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
        let scheduler = Scheduler {
            runner: self.clone(),
            calls: AtomicUsize::new(0),
            former_calls: AtomicUsize::new(0),
        };
        let [entry, registered, join] = Task::new(future, scheduler);
        self.0.registered.lock().push(registered);
        self.0.queue.lock().push_back(entry);
        JoinHandle::new(join)
    }

    /// Runs what is queued until nothing is.
    pub(super) fn run_all(&self) {
        while let Some(task) = self.pop() {
            task.run();
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

/// A task's way to the runner. It lives in the task's cell, and so tells when that is freed.
struct Scheduler {
    runner: Runner,
    /// Calls of `schedule` that have begun, and that have returned. Counted with `Relaxed`, so that
    /// whoever frees the cell reads them right only if all that was done to the task happened
    /// before.
    calls: AtomicUsize,
    former_calls: AtomicUsize,
}

impl Schedule for Scheduler {
    fn schedule(&self, task: Task, _yielded: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.runner.0.queue.lock().push_back(task);
        // Whoever runs the task may be done with it by now; the cell must outlive this call.
        self.former_calls.fetch_add(1, Ordering::Relaxed);
    }

    fn release(&self, task: &Task) -> Option<Task> {
        let mut registered = self.runner.0.registered.lock();
        let at = registered.iter().position(|entry| entry.same(task))?;
        Some(registered.swap_remove(at))
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        assert_eq!(
            self.calls.load(Ordering::Relaxed),
            self.former_calls.load(Ordering::Relaxed),
            "the task was freed while it was being queued"
        );
    }
}
