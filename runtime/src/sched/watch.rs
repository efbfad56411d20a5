//! Whether a timer is set that has a worker look for stuck ones.
//!
//! ```text
//! UNSET ──set──▶ DUE AT t ──take, from t on──▶ UNSET    (a worker runs a task; the timer rang)
//!                                              UNSET ──renew──▶ DUE AT t (others run)
//! ```
//!
//! A worker counts itself as not parked, then looks here; the watcher unsets it, then looks who is
//! parked. The fences put the two in order, so that one sees the other (Dekker): no worker runs
//! without a watch, and no timer is set twice. The timer may ring at two workers, late, when another
//! has looked, or early, if two that set it overtake each other: [`Ring`] says what to do.

use std::time::Duration;

use super::idle::Idle;
use crate::sync::atomic::{AtomicU64, Ordering, fence};

const UNSET: u64 = 0;
/// Nanoseconds between two looks.
const INTERVAL: u64 = 5_000_000;
/// The same while workers were found stuck of late: where one task blocks, it does so again.
const INTERVAL_SOON: u64 = 1_000_000;
/// For how many looks that is.
const SOON: u64 = 250;

/// What a ring of the timer means to the worker that hears it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ring {
    /// It looks.
    Due,
    /// Another looked, and set the timer anew, or an old setting replaced a newer one. The worker sets
    /// the timer for what is left, or nobody might look.
    Early(Duration),
    /// Another looks.
    Taken,
}

#[derive(Debug)]
pub(crate) struct Watch {
    due: AtomicU64,
    /// How many looks are left that come soon. Written by the one who looks.
    soon: AtomicU64,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            due: AtomicU64::new(UNSET),
            soon: AtomicU64::new(0),
        }
    }

    /// The one who looks says whether a worker was stuck.
    pub(crate) fn tell(&self, found: bool) {
        let left = self.soon.load(Ordering::Relaxed).saturating_sub(1);
        let soon = if found { SOON } else { left };
        self.soon.store(soon, Ordering::Relaxed);
    }

    /// A worker is going to run a task, and has left the count of the parked before. Returns the
    /// delay with which it must set the timer, if it must.
    #[must_use]
    pub(crate) fn set(&self, now: impl FnOnce() -> u64) -> Option<Duration> {
        // Dekker with `renew`: the count is changed before the word is read.
        fence(Ordering::SeqCst);
        // A load first: it is set most of the time, and a load is cheaper than an exchange.
        if self.due.load(Ordering::Relaxed) != UNSET {
            return None;
        }
        let is_soon = self.soon.load(Ordering::Relaxed) > 0;
        let interval = if is_soon { INTERVAL_SOON } else { INTERVAL };
        self.due
            .compare_exchange(
                UNSET,
                now() + interval,
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
            .then(|| Duration::from_nanos(interval))
    }

    /// The timer rang at a worker.
    pub(crate) fn take(&self, now: u64) -> Ring {
        let due = self.due.load(Ordering::Relaxed);
        if due > now {
            return Ring::Early(Duration::from_nanos(due - now));
        }
        let takes = due != UNSET
            && self
                .due
                .compare_exchange(due, UNSET, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if takes { Ring::Due } else { Ring::Taken }
    }

    /// The watcher, one of `workers`, has taken the ring and looked. As [`set`](Self::set), if others
    /// are not parked.
    #[must_use]
    pub(crate) fn renew(
        &self,
        idle: &Idle,
        workers: usize,
        now: impl FnOnce() -> u64,
    ) -> Option<Duration> {
        // Dekker with `set`: the word is changed before the count is read.
        fence(Ordering::SeqCst);
        if idle.parked() + 1 < workers as u64 {
            self.set(now)
        } else {
            None
        }
    }
}

crate::sync::models!();
