//! The atomic word of a task: what it is doing, who is interested, and how many references there
//! are.
//!
//! Every transition is a pure function of the word, applied by compare-and-exchange. A transition
//! that ends a reference's use also drops it, so that a task costs one read-modify-write where it
//! would cost two. The diagram is in [`task`](super).

use crate::sync::atomic::{AtomicU64, Ordering};

const RUNNING: u64 = 1;
const COMPLETE: u64 = 1 << 1;
const NOTIFIED: u64 = 1 << 2;
const CANCELLED: u64 = 1 << 3;
const JOIN_INTEREST: u64 = 1 << 4;
/// The join waker is there, and is the completer's.
const JOIN_WAKER: u64 = 1 << 5;
const REF: u64 = 1 << 6;
/// The count of references.
const REFS: u64 = (1 << HOME_SHIFT) - REF;
/// Above it, never changed: the place in the registry.
const HOME_SHIFT: u32 = 48;

/// The run queue entry, the registry and the `JoinHandle`.
const INITIAL: u64 = NOTIFIED | JOIN_INTEREST | (3 * REF);

/// A task's word.
#[derive(Debug)]
pub(crate) struct State(AtomicU64);

/// What the holder of a run queue entry may do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// Poll the future.
    Poll,
    /// Drop the future and complete as cancelled.
    Cancel,
    /// Somebody else has or had the task. The entry's reference is dropped.
    Nothing,
    /// As `Nothing`, and that was the last reference.
    Free,
}

/// What follows a poll that was pending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// The task waits. The entry's reference is dropped.
    Waits,
    /// As `Waits`, and that was the last reference: nobody can wake the task.
    Free,
    /// It was woken meanwhile: queue it again, with the entry's reference.
    Again,
    /// It was aborted meanwhile and is still ours: cancel it.
    Cancel,
}

/// What is left to the owner of a waker that it gives away.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Nothing; the waker's reference is dropped.
    Nothing,
    /// To queue the task; the waker's reference is the entry's.
    Queue,
    /// The waker's reference was the last.
    Free,
}

/// What is left to the one who completes a task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Completed {
    /// The output is the `JoinHandle`'s, and the references are dropped.
    Done,
    /// The output is the `JoinHandle`'s, the join waker is the caller's; the references are still
    /// to be dropped.
    Wake,
    /// The task is not complete yet, because nobody will take the output: drop it, then
    /// [`State::complete_unwanted`].
    Unwanted,
}

/// What is left to a `JoinHandle` that is dropped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Detached {
    /// Nothing; its reference is dropped.
    Nothing,
    /// Its reference was the last.
    Free,
    /// To drop the join waker, then its reference.
    Waker,
    /// To drop the output if it has not taken it, then its reference.
    Output,
}

fn is_unreferenced(word: u64) -> bool {
    word & REFS == 0
}

impl State {
    pub(crate) fn new(home: u16) -> Self {
        Self(AtomicU64::new(INITIAL | u64::from(home) << HOME_SHIFT))
    }

    /// The part of the registry that the task is in.
    #[inline]
    pub(crate) fn home(&self) -> u16 {
        // Relaxed: it does not change.
        (self.0.load(Ordering::Relaxed) >> HOME_SHIFT) as u16
    }

    /// Claims the stage for the holder of a run queue entry.
    #[inline]
    pub(crate) fn start_running(&self) -> Run {
        self.update(|word| {
            debug_assert!(word & NOTIFIED != 0, "a queued task is notified: {word:#x}");
            if word & (RUNNING | COMPLETE) != 0 {
                // Shutdown was faster.
                let next = (word & !NOTIFIED) - REF;
                let run = if is_unreferenced(next) {
                    Run::Free
                } else {
                    Run::Nothing
                };
                return (run, Some(next));
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
    #[inline]
    pub(crate) fn stop_running(&self) -> Idle {
        self.update(|word| {
            debug_assert!(word & RUNNING != 0, "only the runner stops: {word:#x}");
            if word & CANCELLED != 0 {
                (Idle::Cancel, None)
            } else if word & NOTIFIED != 0 {
                (Idle::Again, Some(word & !RUNNING))
            } else {
                let next = (word & !RUNNING) - REF;
                let idle = if is_unreferenced(next) {
                    Idle::Free
                } else {
                    Idle::Waits
                };
                (idle, Some(next))
            }
        })
    }

    /// Publishes the output, and drops `refs` references of the caller's with it if nothing else is
    /// left to do.
    #[inline]
    pub(crate) fn complete(&self, refs: u64) -> Completed {
        self.update(|word| {
            debug_assert!(
                word & (RUNNING | COMPLETE) == RUNNING,
                "completes once: {word:#x}"
            );
            let complete = word ^ (RUNNING | COMPLETE);
            if word & JOIN_INTEREST == 0 {
                (Completed::Unwanted, None)
            } else if word & JOIN_WAKER != 0 {
                (Completed::Wake, Some(complete))
            } else {
                // Not the last ones: the JoinHandle has a reference.
                (Completed::Done, Some(complete - refs * REF))
            }
        })
    }

    /// Completes a task without a `JoinHandle` and without an output, and drops `refs` references of
    /// the caller's. Returns whether they were the last.
    #[must_use]
    pub(crate) fn complete_unwanted(&self, refs: u64) -> bool {
        self.update(|word| {
            debug_assert!(
                word & (RUNNING | COMPLETE | JOIN_INTEREST) == RUNNING,
                "completes once, and nobody gets interested again: {word:#x}"
            );
            let next = (word ^ (RUNNING | COMPLETE)) - refs * REF;
            (is_unreferenced(next), Some(next))
        })
    }

    /// Wakes on behalf of a reference that the caller keeps. Returns whether the caller must queue
    /// the task; the entry's reference is counted then.
    #[inline]
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

    /// Wakes, and gives the caller's reference away.
    #[inline]
    #[must_use]
    pub(crate) fn wake(&self) -> Wake {
        self.update(|word| {
            if word & (COMPLETE | NOTIFIED | RUNNING) == 0 {
                return (Wake::Queue, Some(word | NOTIFIED));
            }
            let notified = if word & (COMPLETE | NOTIFIED) == 0 {
                word | NOTIFIED
            } else {
                // But for the reference unchanged, and stored as by `wake_by_ref`.
                word
            };
            let next = notified - REF;
            let wake = if is_unreferenced(next) {
                Wake::Free
            } else {
                Wake::Nothing
            };
            (wake, Some(next))
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

    /// Hands the join waker, which the `JoinHandle` has stored, to whoever completes the task.
    /// Returns `false`, and leaves it to the `JoinHandle`, if the task is complete.
    #[inline]
    #[must_use]
    pub(crate) fn offer_join_waker(&self) -> bool {
        self.update(|word| {
            debug_assert!(word & JOIN_WAKER == 0, "one JoinHandle: {word:#x}");
            if word & COMPLETE != 0 {
                (false, None)
            } else {
                (true, Some(word | JOIN_WAKER))
            }
        })
    }

    /// Returns whether a join waker was offered. Asked by the `JoinHandle` alone.
    #[inline]
    pub(crate) fn is_join_waker_offered(&self) -> bool {
        // Relaxed: only the JoinHandle changes it.
        self.0.load(Ordering::Relaxed) & JOIN_WAKER != 0
    }

    /// Takes the join waker back for the `JoinHandle`. Returns `false` if the task is complete, and
    /// the waker the completer's.
    #[must_use]
    pub(crate) fn withdraw_join_waker(&self) -> bool {
        self.update(|word| {
            if word & COMPLETE != 0 {
                (false, None)
            } else {
                (true, Some(word & !JOIN_WAKER))
            }
        })
    }

    /// Gives up the interest in the output, and the `JoinHandle`'s reference if that is all.
    #[inline]
    #[must_use]
    pub(crate) fn drop_join_interest(&self) -> Detached {
        self.update(|word| {
            debug_assert!(word & JOIN_INTEREST != 0, "one JoinHandle: {word:#x}");
            if word & COMPLETE != 0 {
                (Detached::Output, None)
            } else if word & JOIN_WAKER != 0 {
                let next = word & !(JOIN_INTEREST | JOIN_WAKER);
                (Detached::Waker, Some(next))
            } else {
                let next = (word & !JOIN_INTEREST) - REF;
                let detached = if is_unreferenced(next) {
                    Detached::Free
                } else {
                    Detached::Nothing
                };
                (detached, Some(next))
            }
        })
    }

    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        // Acquire: the output is there. Pairs with `complete`.
        self.0.load(Ordering::Acquire) & COMPLETE != 0
    }

    #[inline]
    pub(crate) fn add_ref(&self) {
        // Relaxed: a new reference is made from one that keeps the task alive.
        let before = self.0.fetch_add(REF, Ordering::Relaxed);
        // As `Arc` does: leaking references in a loop must not wrap the count.
        assert!(before & REFS < REFS / 2, "too many references to a task");
    }

    /// Drops references of the caller's. Returns whether they were the last.
    #[inline]
    #[must_use]
    pub(crate) fn drop_refs(&self, refs: u64) -> bool {
        // AcqRel: the last one sees all that the others did to the task before it frees it.
        let before = self.0.fetch_sub(refs * REF, Ordering::AcqRel);
        debug_assert!(
            before & REFS >= refs * REF,
            "a reference was dropped twice: {before:#x}"
        );
        before & REFS == refs * REF
    }

    /// Applies `change` until it sticks; `None` leaves the word alone.
    #[inline]
    fn update<R>(&self, change: impl Fn(u64) -> (R, Option<u64>)) -> R {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            let (result, next) = change(word);
            let Some(next) = next else { return result };
            // AcqRel: a waker's writes before it woke come before the poll that follows, a poll
            // before the next, and all that was done to the task before it is freed.
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
