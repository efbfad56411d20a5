//! Puts a plain thread to sleep until it is woken: the waiting half of `block_on`.
//!
//! ```text
//! EMPTY ──unpark──▶ NOTIFIED ──park──▶ EMPTY      (one token, one return)
//! ```

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread::{self, Thread};

/// A token that lets one [`Parker::park`] return.
///
/// The token lives here and not in the thread's own park token, because foreign code on the same
/// thread may consume that one.
#[derive(Debug)]
pub(crate) struct Parker {
    notified: AtomicBool,
    thread: Thread,
}

impl Parker {
    /// Makes the parker of the current thread.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            notified: AtomicBool::new(false),
            thread: thread::current(),
        })
    }

    /// Waits for the token and takes it. Only its own thread calls this.
    pub(crate) fn park(&self) {
        // Acquire: sees what `unpark`'s caller did. A swap: only a read-modify-write reads what it
        // replaces.
        while !self.notified.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }

    /// Leaves the token. Several calls before a `park` count once.
    pub(crate) fn unpark(&self) {
        // Release: publishes the caller's work. Pairs with `park`.
        if !self.notified.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(self.clone())
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.unpark();
    }
}

crate::sync::models!();
