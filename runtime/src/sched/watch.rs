//! Whether a timer is set that has a worker look for stuck ones.
//!
//! ```text
//! UNSET ──set──▶ DUE AT t ──take, from t on──▶ UNSET    (a worker runs a task; the timer rang)
//!                                              UNSET ──renew──▶ DUE AT t (others run)
//! ```
//!
//! A worker counts itself as not parked, then looks here; the watcher unsets it, then looks who is
//! parked. The fences put the two in order, so that one sees the other (Dekker): no worker runs
//! without a watch, and no timer is set twice. The timer may ring at two workers, or late, after
//! another has taken its ring: `take` is for one, and not before its time.

use super::idle::Idle;
use crate::sync::atomic::{AtomicU64, Ordering, fence};

const UNSET: u64 = 0;

#[derive(Debug)]
pub(crate) struct Watch {
    due: AtomicU64,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            due: AtomicU64::new(UNSET),
        }
    }

    /// A worker is going to run a task, and has left the count of the parked before. Returns
    /// whether it must set the timer, to ring at `due()`.
    #[must_use]
    pub(crate) fn set(&self, due: impl FnOnce() -> u64) -> bool {
        // Dekker with `renew`: the count is changed before the word is read.
        fence(Ordering::SeqCst);
        // A load first: it is set most of the time, and a load is cheaper than an exchange.
        self.due.load(Ordering::Relaxed) == UNSET
            && self
                .due
                .compare_exchange(UNSET, due(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// The timer rang at a worker. Returns whether it is the one to look.
    #[must_use]
    pub(crate) fn take(&self, now: u64) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        due != UNSET
            && due <= now
            && self
                .due
                .compare_exchange(due, UNSET, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// The watcher, one of `workers`, has taken the ring and looked. Returns whether it must set the
    /// timer again, because others are not parked.
    #[must_use]
    pub(crate) fn renew(&self, idle: &Idle, workers: usize, due: impl FnOnce() -> u64) -> bool {
        // Dekker with `set`: the word is changed before the count is read.
        fence(Ordering::SeqCst);
        idle.parked() + 1 < workers as u64 && self.set(due)
    }
}

crate::sync::models!();
