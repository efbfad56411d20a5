//! The queue that every thread may push to: runnables from outside, and what a full ring spills.
//!
//! ```text
//! OPEN ──close──▶ CLOSED   (final; what is pushed later is dropped by the pusher, whose task shutdown has cancelled)
//! ```

use std::collections::VecDeque;

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::task::raw::Task;

#[derive(Debug)]
struct Inner {
    queue: VecDeque<Task>,
    closed: bool,
}

/// The global run queue, first in first out.
#[derive(Debug)]
pub(crate) struct Inject {
    inner: Mutex<Inner>,
    /// The queue's length, to look at without the lock.
    len: AtomicUsize,
}

impl Inject {
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                queue: VecDeque::new(),
                closed: false,
            }),
            len: AtomicUsize::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        // Acquire: none needed for memory, the lock gives that; as fresh as can be had without it.
        self.len.load(Ordering::Acquire)
    }

    /// Appends a runnable. Returns whether it was queued: after closing nobody would run it, and it
    /// is dropped.
    pub(crate) fn push(&self, task: Task) -> bool {
        let refused = {
            let mut inner = self.inner.lock();
            if inner.closed {
                Some(task)
            } else {
                inner.queue.push_back(task);
                self.len.store(inner.queue.len(), Ordering::Release);
                None
            }
        };
        // Dropping a task may drop its future, so not under the lock.
        let queued = refused.is_none();
        drop(refused);
        queued
    }

    /// Takes at most `max` of the oldest runnables: returns one and hands the others to `rest`.
    pub(crate) fn pop(&self, max: usize, mut rest: impl FnMut(Task)) -> Option<Task> {
        if self.len() == 0 {
            return None;
        }
        let (first, others) = {
            let mut inner = self.inner.lock();
            let first = inner.queue.pop_front();
            let n = inner.queue.len().min(max.saturating_sub(1));
            let others: Vec<Task> = inner.queue.drain(..n).collect();
            self.len.store(inner.queue.len(), Ordering::Release);
            (first, others)
        };
        others.into_iter().for_each(&mut rest);
        first
    }

    /// Refuses runnables from now on, and drops those that are queued.
    pub(crate) fn close(&self) {
        let queued = {
            let mut inner = self.inner.lock();
            inner.closed = true;
            self.len.store(0, Ordering::Release);
            std::mem::take(&mut inner.queue)
        };
        drop(queued);
    }
}

crate::sync::models!();
