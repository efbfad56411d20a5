//! How many workers wait and how many search for work: decides when a push must wake somebody.
//!
//! ```text
//! RUNNING ──out of work──▶ SEARCHING ──found──▶ RUNNING         (the last one to stop searching passes the word on)
//!                              │ nothing found
//!                              ▼
//!    RUNNING ◀── event ──── PARKED ──── claimed by a push ──▶ SEARCHING
//! ```
//!
//! One word counts `PARKED` and `SEARCHING`. A push wakes a worker only if one is parked and none
//! searches: a searcher will find it. So at most one wake-up is under way, and it is passed on as
//! long as there is more work.
//!
//! No runnable is forgotten: a push publishes, then reads the word; a worker counts itself as
//! parked, or as the last that no longer searches, then looks at all queues once more. The fences
//! put the two in order, whichever comes first (Dekker).

use crate::sync::atomic::{AtomicU64, Ordering, fence};

const SEARCHING: u64 = 1;
/// A push has claimed a worker that has not noticed yet. It is counted as searching.
const CLAIMED: u64 = 1 << 31;
const PARKED: u64 = 1 << 32;

/// The count of idle workers.
#[derive(Debug)]
pub(crate) struct Idle {
    word: AtomicU64,
}

fn searching(word: u64) -> u64 {
    word & (CLAIMED - 1)
}

fn parked(word: u64) -> u64 {
    word / PARKED
}

impl Idle {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
        }
    }

    /// Returns whether a push that was just published must wake a worker, and claims one to be
    /// woken.
    #[must_use]
    pub(crate) fn claim(&self) -> bool {
        // Dekker with `park`: the push is published before the word is read.
        fence(Ordering::SeqCst);
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if parked(word) == 0 || searching(word) != 0 {
                return false;
            }
            let claimed = (word + SEARCHING) | CLAIMED;
            match self.word.compare_exchange_weak(
                word,
                claimed,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// A worker is out of work and begins to search.
    pub(crate) fn start_searching(&self) {
        self.word.fetch_add(SEARCHING, Ordering::AcqRel);
    }

    /// A searcher found work. Returns whether it was the last: then it looks whether there is more,
    /// and passes it on.
    #[must_use]
    pub(crate) fn stop_searching(&self) -> bool {
        let is_last = searching(self.word.fetch_sub(SEARCHING, Ordering::AcqRel)) == 1;
        if is_last {
            // Dekker with `claim`, which trusts a searcher: the word is changed before the queues
            // are read.
            fence(Ordering::SeqCst);
        }
        is_last
    }

    /// A searcher gives up. It looks at all queues once more before it waits.
    pub(crate) fn park(&self) {
        self.word
            .fetch_add(PARKED.wrapping_sub(SEARCHING), Ordering::AcqRel);
        // Dekker with `claim`: the word is changed before the queues are read.
        fence(Ordering::SeqCst);
    }

    /// A worker comes back, before it looks at what woke it.
    pub(crate) fn unpark(&self) {
        self.word.fetch_sub(PARKED, Ordering::AcqRel);
    }

    /// A worker took a wake-up out of the poller, and with it the claim of the push that sent it, if
    /// it was one. `is_searching`: it searches already. Returns whether it does now.
    #[must_use]
    pub(crate) fn inherit(&self, is_searching: bool) -> bool {
        let claimed = self.word.fetch_and(!CLAIMED, Ordering::AcqRel) & CLAIMED != 0;
        if claimed && is_searching {
            // Two claims in one hand: one suffices.
            let _ = self.stop_searching();
        }
        claimed || is_searching
    }

    /// How many workers are parked. After a fence by the caller, or as a figure.
    pub(crate) fn parked(&self) -> u64 {
        parked(self.word.load(Ordering::Acquire))
    }
}

crate::sync::models!();
