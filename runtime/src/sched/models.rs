//! What the models of the queues share: runnables that are told apart, each with something that its
//! pusher wrote.

use std::future::ready;

use loom::sync::Arc;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::task::raw::{Queue, Schedule, Task};

/// A scheduler for tasks that are never run. The token tells loom of a task that is not freed.
struct Never {
    _token: Arc<()>,
}

impl Schedule for Never {
    type Queue = Self;

    fn queue(&self) -> Self {
        unreachable!("the models' runnables are not woken");
    }

    fn release(&self, _task: &Task) -> Option<Task> {
        unreachable!("the models' runnables do not complete");
    }
}

impl Queue for Never {
    fn push(self, _task: Task) {
        unreachable!("the models' runnables are not woken");
    }
}

/// The runnables of one model.
#[derive(Clone)]
pub(super) struct Runnables(Arc<Vec<Runnable>>);

struct Runnable {
    /// A second reference, to know the runnable by.
    known: Task,
    /// Written by the pusher before it pushes, with `Relaxed`, so that only the queue can bring it
    /// along.
    is_written: AtomicBool,
}

impl Runnables {
    /// Makes runnables with the numbers 0, 1 and so on, and returns their run queue entries too.
    pub(super) fn new(count: usize) -> (Self, Vec<Task>) {
        let mut all = Vec::new();
        let mut entries = Vec::new();
        for _ in 0..count {
            let never = Never {
                _token: Arc::new(()),
            };
            let [entry, known, _join] = Task::new(ready(()), never, 0);
            entries.push(entry);
            all.push(Runnable {
                known,
                is_written: AtomicBool::new(false),
            });
        }
        (Self(Arc::new(all)), entries)
    }

    /// Does what a pusher does before it pushes the runnable.
    pub(super) fn write(&self, task: &Task) {
        let runnable = &self.0[self.number(task)];
        runnable.is_written.store(true, Ordering::Relaxed);
    }

    /// Checks what came with a runnable that was taken, drops it, and returns its number.
    pub(super) fn read(&self, task: Task) -> usize {
        let number = self.number(&task);
        let is_written = self.0[number].is_written.load(Ordering::Relaxed);
        assert!(is_written, "runnable {number} came without its data");
        number
    }

    fn number(&self, task: &Task) -> usize {
        let same = |known: &Runnable| known.known.header_pointer() == task.header_pointer();
        let at = self.0.iter().position(same);
        at.expect("a runnable that was pushed")
    }
}

/// Checks that each of `count` runnables was taken once.
pub(super) fn assert_each_once(mut taken: Vec<usize>, count: usize) {
    taken.sort_unstable();
    let all: Vec<usize> = (0..count).collect();
    assert_eq!(taken, all, "each runnable once");
}
