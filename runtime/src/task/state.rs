//! The atomic word of a task: what it is doing, who is interested, and how many references there
//! are.
//!
//! Every transition is a pure function of the word, applied by compare-and-exchange. The diagram is
//! in [`task`](super).

use crate::sync::atomic::{AtomicUsize, Ordering};

const RUNNING: usize = 1;
const COMPLETE: usize = 1 << 1;
const NOTIFIED: usize = 1 << 2;
const CANCELLED: usize = 1 << 3;
const JOIN_INTEREST: usize = 1 << 4;
const REF: usize = 1 << 6;

/// The run queue entry, the registry and the `JoinHandle`.
const INITIAL: usize = NOTIFIED | JOIN_INTEREST | (3 * REF);

/// A task's word.
#[derive(Debug)]
pub(crate) struct State(AtomicUsize);

/// What the holder of a run queue entry may do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// Poll the future.
    Poll,
    /// Drop the future and complete as cancelled.
    Cancel,
    /// Somebody else has or had the task; the entry's reference is still to be dropped.
    Nothing,
}

/// What follows a poll that was pending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// The task waits; the entry's reference is still to be dropped.
    Waits,
    /// It was woken meanwhile: queue it again, with a reference that is counted for the new entry;
    /// the old entry's is still to be dropped.
    Again,
    /// It was aborted meanwhile and is still ours: cancel it.
    Cancel,
}

impl State {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(INITIAL))
    }

    /// Claims the stage for the holder of a run queue entry.
    pub(crate) fn start_running(&self) -> Run {
        self.update(|word| {
            debug_assert!(word & NOTIFIED != 0, "a queued task is notified: {word:#x}");
            if word & (RUNNING | COMPLETE) != 0 {
                // Shutdown was faster.
                return (Run::Nothing, Some(word & !NOTIFIED));
            }
            let run = if word & CANCELLED != 0 {
                Run::Cancel
            } else {
                Run::Poll
            };
            (run, Some(word & !NOTIFIED | RUNNING))
        })
    }

    /// Gives the stage up after a poll that was pending.
    pub(crate) fn stop_running(&self) -> Idle {
        self.update(|word| {
            debug_assert!(word & RUNNING != 0, "only the runner stops: {word:#x}");
            if word & CANCELLED != 0 {
                (Idle::Cancel, None)
            } else if word & NOTIFIED != 0 {
                (Idle::Again, Some((word & !RUNNING) + REF))
            } else {
                (Idle::Waits, Some(word & !RUNNING))
            }
        })
    }

    /// Publishes the output. Returns whether a `JoinHandle` will take it.
    pub(crate) fn complete(&self) -> bool {
        // AcqRel: releases the output to the JoinHandle, acquires its giving up.
        let before = self.0.fetch_xor(RUNNING | COMPLETE, Ordering::AcqRel);
        debug_assert!(
            before & (RUNNING | COMPLETE) == RUNNING,
            "completes once: {before:#x}"
        );
        before & JOIN_INTEREST != 0
    }

    /// Wakes on behalf of a reference that the caller keeps. Returns whether the caller must queue
    /// the task; the entry's reference is counted then.
    #[must_use]
    pub(crate) fn wake_by_ref(&self) -> bool {
        self.update(|word| {
            if word & (COMPLETE | NOTIFIED) != 0 {
                // Unchanged, but stored: the poll to come must see what this waker's owner wrote
                // before it woke.
                (false, Some(word))
            } else if word & RUNNING != 0 {
                (false, Some(word | NOTIFIED))
            } else {
                (true, Some((word | NOTIFIED) + REF))
            }
        })
    }

    /// Asks for cancellation. Returns whether the caller must queue the task; the entry's reference
    /// is counted then.
    #[must_use]
    pub(crate) fn abort(&self) -> bool {
        self.update(|word| {
            if word & (COMPLETE | CANCELLED) != 0 {
                (false, None)
            } else if word & (RUNNING | NOTIFIED) != 0 {
                (false, Some(word | CANCELLED))
            } else {
                (true, Some((word | CANCELLED | NOTIFIED) + REF))
            }
        })
    }

    /// Cancels at shutdown. Returns whether the caller now owns the stage and must drop the future.
    #[must_use]
    pub(crate) fn shutdown(&self) -> bool {
        self.update(|word| {
            if word & (RUNNING | COMPLETE) != 0 {
                (false, Some(word | CANCELLED))
            } else {
                (true, Some(word | CANCELLED | RUNNING))
            }
        })
    }

    /// Gives up the interest in the output. Returns whether the caller must drop it.
    #[must_use]
    pub(crate) fn drop_join_interest(&self) -> bool {
        self.update(|word| {
            debug_assert!(word & JOIN_INTEREST != 0, "one JoinHandle: {word:#x}");
            if word & COMPLETE != 0 {
                (true, None)
            } else {
                (false, Some(word & !JOIN_INTEREST))
            }
        })
    }

    pub(crate) fn is_complete(&self) -> bool {
        // Acquire: the output is there. Pairs with `complete`.
        self.0.load(Ordering::Acquire) & COMPLETE != 0
    }

    pub(crate) fn add_ref(&self) {
        // Relaxed: a new reference is made from one that keeps the task alive.
        let before = self.0.fetch_add(REF, Ordering::Relaxed);
        // As `Arc` does: leaking references in a loop must not wrap the count.
        assert!(before < usize::MAX / 2, "too many references to a task");
    }

    /// Drops a reference. Returns whether it was the last.
    #[must_use]
    pub(crate) fn drop_ref(&self) -> bool {
        // AcqRel: the last one sees all that the others did to the task before it frees it.
        let before = self.0.fetch_sub(REF, Ordering::AcqRel);
        debug_assert!(before >= REF, "a reference was dropped twice: {before:#x}");
        before / REF == 1
    }

    /// Applies `change` until it sticks; `None` leaves the word alone.
    fn update<R>(&self, change: impl Fn(usize) -> (R, Option<usize>)) -> R {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            let (result, next) = change(word);
            let Some(next) = next else { return result };
            // AcqRel: a waker's writes before it woke come before the poll that follows, a poll
            // before the next.
            match self
                .0
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return result,
                Err(now) => word = now,
            }
        }
    }
}
