//! Who is at work, who waits where, and whether a push must wake somebody.
//!
//! ```text
//!             nobody else is active, or tasks are long
//!    ACTIVE ────────────────out of work───────────────▶ KEEPER    (waits for the network)
//!      │ ▲                                                │
//!      │ └──────────────event, timer, wake-up─────────────┤
//!      └───────────────────out of work────────────────▶ SPARE     (waits in the reserve)
//!
//!    ACTIVE ──seen twice in one task──▶ STUCK ──task returns──▶ ACTIVE
//! ```
//!
//! An active worker looks at the network and the global queue now and then, so a second one that
//! waited for the same would only take its events from it one by one, each at the price of a
//! wake-up. It is a spare instead: woken when there is so much to do that it pays, and to look after
//! the active one (see [`watch`](super::watch)). One that is stuck attends to nothing.
//!
//! One word counts keepers, spares and stuck workers. Nothing is forgotten while *nobody is active*:
//! the last to park looks at all queues once more, and there is a keeper from then on, which a push
//! wakes if it finds nobody active. A push publishes, then reads the word; the last active worker
//! changes the word, then looks. The fences put the two in order, whichever comes first (Dekker).
//! While somebody is active a push needs no wake-up: that worker looks before it parks.
//!
//! A worker is counted as stuck before it learns that it is, and may park meanwhile: then too few
//! count as active, and what follows is a wake-up too many, never one too few.

use crate::sync::atomic::{AtomicU64, Ordering, fence};

const KEEPER: u64 = 1;
const SPARE: u64 = 1 << 16;
const STUCK: u64 = 1 << 32;
const MASK: u64 = SPARE - 1;

/// Where a worker waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the poller, for the network, timers and pushes.
    Keeper,
    /// In the reserve, for a call from an active worker.
    Spare,
}

impl Place {
    fn unit(self) -> u64 {
        match self {
            Self::Keeper => KEEPER,
            Self::Spare => SPARE,
        }
    }
}

/// The count of workers that are not active.
#[derive(Debug)]
pub(crate) struct Idle {
    word: AtomicU64,
    workers: u64,
}

fn keepers(word: u64) -> u64 {
    word & MASK
}

fn spares(word: u64) -> u64 {
    (word / SPARE) & MASK
}

fn stuck(word: u64) -> u64 {
    (word / STUCK) & MASK
}

impl Idle {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            word: AtomicU64::new(0),
            workers: workers as u64,
        }
    }

    fn active(&self, word: u64) -> u64 {
        // A worker may be counted as stuck and as parked, see above.
        self.workers
            .saturating_sub(keepers(word) + spares(word) + stuck(word))
    }

    /// Returns whether nobody is active, so that a push that was just published must wake the
    /// keeper.
    #[must_use]
    pub(crate) fn is_quiet(&self) -> bool {
        // Dekker with `park`: the push is published before the word is read.
        fence(Ordering::SeqCst);
        self.active(self.word.load(Ordering::Relaxed)) == 0
    }

    /// An active worker found nothing to do. Returns where it waits, and whether it must look at all
    /// queues before it does: as the last one, or because tasks are so long that it is `eager`.
    #[must_use]
    pub(crate) fn park(&self, eager: bool) -> (Place, bool) {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let is_last = self.active(word) <= 1;
            let place = if eager || (is_last && keepers(word) == 0) {
                Place::Keeper
            } else {
                Place::Spare
            };
            match self.word.compare_exchange_weak(
                word,
                word + place.unit(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    // Dekker with `is_quiet`: the word is changed before the queues are read.
                    fence(Ordering::SeqCst);
                    return (place, is_last || eager);
                }
                Err(now) => word = now,
            }
        }
    }

    /// A worker comes back from `place`, before it looks at what woke it.
    pub(crate) fn unpark(&self, place: Place) {
        self.word.fetch_sub(place.unit(), Ordering::AcqRel);
    }

    /// Another active worker finds that one is stuck. It tells that one after this.
    pub(crate) fn mark_stuck(&self) {
        self.word.fetch_add(STUCK, Ordering::AcqRel);
    }

    /// A worker that was marked is not stuck any more.
    pub(crate) fn unmark_stuck(&self) {
        self.word.fetch_sub(STUCK, Ordering::AcqRel);
    }

    /// How many workers are active, roughly.
    pub(crate) fn active_now(&self) -> u64 {
        self.active(self.word.load(Ordering::Relaxed))
    }

    /// Returns which worker to wake for a runnable that an active one just queued, if any waits. One
    /// that parks as `eager` meanwhile finds it.
    #[must_use]
    pub(crate) fn helper_for_push(&self) -> Option<Place> {
        // Dekker with `park`, as `is_quiet`.
        fence(Ordering::SeqCst);
        self.helper()
    }

    /// Returns where a worker waits that could help, if one does: a spare rather than a keeper, so
    /// that the network stays attended. A hint.
    #[must_use]
    pub(crate) fn helper(&self) -> Option<Place> {
        let word = self.word.load(Ordering::Relaxed);
        if spares(word) > 0 {
            Some(Place::Spare)
        } else if keepers(word) > 0 {
            Some(Place::Keeper)
        } else {
            None
        }
    }

    /// Returns whether no worker waits for the network though one could. A hint.
    pub(crate) fn lacks_keeper(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        keepers(word) == 0 && spares(word) > 0
    }

    /// How many workers wait. After a fence by the caller, or as a figure.
    pub(crate) fn parked(&self) -> u64 {
        let word = self.word.load(Ordering::Acquire);
        keepers(word) + spares(word)
    }
}

crate::sync::models!();
