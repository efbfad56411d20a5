//! When the wheel will look at something, told to those who would have it look earlier.
//!
//! ```text
//! DISARMED ──arm──▶ armed at t ──arm, earlier──▶ armed at t' < t
//! armed ──the wheel looks, or the entry is taken out──▶ DISARMED
//! ```
//! Deadlines are words beside it. A setter changes the word, and then looks here whether the wheel
//! will look in time: moving a deadline further away never touches the wheel. The wheel disarms
//! first and reads the words second. Both change or read *the word* by a read-modify-write: of two on
//! one word the later sees what came before the earlier, so either the setter sees `DISARMED` or the
//! wheel sees the new deadline. (That is Dekker's pattern, at the price of an exchange where fences
//! would cost more.)

use crate::sync::atomic::{AtomicU64, Ordering};

/// The wheel has no entry.
const DISARMED: u64 = 0;

/// The wheel's entry for one thing. Changed under the wheel's lock only.
#[derive(Debug)]
pub(crate) struct Arming {
    /// Nanoseconds on the runtime's clock, or [`DISARMED`].
    at: AtomicU64,
    /// The key of the wheel's entry while armed.
    entry: AtomicU64,
}

impl Arming {
    pub(crate) fn new() -> Self {
        Self {
            at: AtomicU64::new(DISARMED),
            entry: AtomicU64::new(0),
        }
    }

    /// Returns whether the wheel will look too late for `deadline`, and must be told. Asked without
    /// the lock, after a read-modify-write of the deadline.
    #[inline]
    pub(crate) fn is_late_for(&self, deadline: u64) -> bool {
        let at = self.at.load(Ordering::Relaxed);
        at == DISARMED || at > deadline
    }

    /// Returns whether the wheel has an entry.
    pub(crate) fn is_armed(&self) -> bool {
        self.at.load(Ordering::Relaxed) != DISARMED
    }

    /// Arms for `deadline` if the wheel would look too late; returns the entry that this replaces,
    /// if so. The caller holds the lock and reports the new entry.
    pub(crate) fn arm(&self, deadline: u64) -> Option<Option<u64>> {
        if !self.is_late_for(deadline) {
            return None;
        }
        let replaced = self.is_armed().then(|| self.entry.load(Ordering::Relaxed));
        self.at.store(deadline, Ordering::Relaxed);
        Some(replaced)
    }

    /// Notes the wheel's entry. The caller holds the lock.
    pub(crate) fn armed_as(&self, entry: u64) {
        self.entry.store(entry, Ordering::Relaxed);
    }

    /// The wheel's entry is out, or is to be taken out if one is returned. The caller holds the lock,
    /// and reads the deadlines afterwards, by a read-modify-write.
    pub(crate) fn disarm(&self) -> Option<u64> {
        let armed = self.is_armed().then(|| self.entry.load(Ordering::Relaxed));
        self.at.store(DISARMED, Ordering::Relaxed);
        armed
    }
}
