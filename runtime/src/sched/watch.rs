//! Whether a timer is set that lets a worker look for stuck ones.
//!
//! ```text
//! UNSET ──set──▶ SET         (a worker runs a task; it sets the timer)
//! SET ──renew──▶ UNSET ──▶ SET   (the timer rang; set again while others run)
//! ```
//!
//! A worker counts itself as not parked, then looks here; the watcher unsets it, then looks who is
//! parked. The fences put the two in order, so that one sees the other (Dekker): no worker runs
//! without a watch, and no timer is set twice.

use super::idle::Idle;
use crate::sync::atomic::{AtomicBool, Ordering, fence};

#[derive(Debug)]
pub(crate) struct Watch {
    is_set: AtomicBool,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            is_set: AtomicBool::new(false),
        }
    }

    /// A worker is going to run a task, and has left the count of the parked before. Returns
    /// whether it must set the timer.
    #[must_use]
    pub(crate) fn set(&self) -> bool {
        // Dekker with `renew`: the count is changed before the word is read.
        fence(Ordering::SeqCst);
        // A load first: it is set most of the time, and a load is cheaper than a swap.
        !self.is_set.load(Ordering::Relaxed) && !self.is_set.swap(true, Ordering::Relaxed)
    }

    /// The timer rang at one of `workers`. Returns whether it must be set again, because others are
    /// not parked.
    #[must_use]
    pub(crate) fn renew(&self, idle: &Idle, workers: usize) -> bool {
        self.is_set.store(false, Ordering::Relaxed);
        // Dekker with `set`: the word is changed before the count is read.
        fence(Ordering::SeqCst);
        idle.parked() + 1 < workers as u64 && self.set()
    }
}

crate::sync::models!();
