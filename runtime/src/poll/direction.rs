//! Readiness, deadline and waiter of one direction of a descriptor, after Go's netpoller.
//!
//! ```text
//! readiness:  (nothing) ──notify──▶ READY ──prepare, poll_ready──▶ (nothing)
//! waiter:     (nobody) ──poll_ready──▶ WAITING ──publish──▶ TAKING ──▶ (nobody)   (the publisher has the waker)
//!                                      WAITING ──poll_ready, forget_waiter──▶ (nobody)
//! any ──stop(CLOSED | SHUTDOWN)──▶ the same with the stop bit: final for this generation
//! ```
//! Both stand in one word. *Publishing* is what `notify`, `stop` and an expired deadline do: one
//! exchange that sets their bits and turns `WAITING` into `TAKING`.
//!
//! The protocol that loses no edge: readiness is consumed *before* the system call, and a task
//! waits only *after* the call would have blocked. An edge that arrives in between sets `READY`
//! again and costs one attempt at most. Who begins to wait sets `WAITING` by an exchange of the very
//! word that it looked at, so there is nothing to look at again; only the deadline, which stands in
//! a word of its own, is looked at once more: who lets it expire stores it first and publishes
//! second.
//!
//! The cell of the waker belongs to whoever set `TAKING`, and otherwise to the one task that holds
//! this direction of the [`FdLock`](super::fd_lock::FdLock), while `WAITING` is not set. A task that
//! finds `TAKING` set wakes itself and comes again: the other thread is two instructions from done.
//!
//! `TAKING` outlives an owner: the next one of the slot must not touch the cell either while it is set.
//! The word carries the generation of the slot it lives in: an event of an earlier owner changes
//! nothing.
#![allow(unsafe_code)] // The cell is guarded by the word; see above.

use std::task::{Context, Poll, Waker};

use crate::error::Stop;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{UnsafeCell, width};

/// An edge was delivered and not consumed.
const READY: u64 = 1;
/// A hang-up, an error or urgent data was seen. From then on it proves nothing that a read emptied
/// the queue: the end of the stream may have come with the edge that brought the last bytes, and no
/// other edge will announce it.
const UNHINTED: u64 = 1 << 1;
/// The descriptor was closed.
const CLOSED: u64 = 1 << 2;
/// The runtime has shut down.
const SHUTDOWN: u64 = 1 << 3;
/// The cell holds the waker of a task that waits.
const WAITING: u64 = 1 << 4;
/// A publisher is taking the waker out of the cell.
const TAKING: u64 = 1 << 5;
const GENERATION_SHIFT: u32 = 6;
const GENERATION_MASK: u64 = (1 << width::GENERATION) - 1;

/// No deadline is set.
pub(crate) const NO_DEADLINE: u64 = 0;
/// The deadline has passed.
pub(crate) const PAST: u64 = 1;

/// What [`Direction::prepare`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try the system call.
    Try,
    /// The call would block: wait for an edge.
    Wait,
}

/// One direction of a poll descriptor.
#[derive(Debug)]
pub(crate) struct Direction {
    /// Generation, and the bits above.
    word: AtomicU64,
    /// Nanoseconds on the runtime's clock, or [`NO_DEADLINE`], or [`PAST`].
    deadline: AtomicU64,
    waiter: UnsafeCell<Option<Waker>>,
}

/// The last call emptied the kernel's queue: without an edge since, the next one would block. A note
/// of the lock's holder to the next; an edge outranks it.
///
/// Beside the [`Direction`] and not in it, where it would cost eight bytes.
#[derive(Debug)]
pub(crate) struct Drained(AtomicBool);

impl Drained {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    #[inline]
    pub(crate) fn set(&self, drained: bool) {
        // Relaxed: written by the holder of the lock, for itself and the next one.
        self.0.store(drained, Ordering::Relaxed);
    }

    #[inline]
    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

// SAFETY: `waiter` is only touched by the thread that set `TAKING`, or by the holder of the
// direction's lock while neither `WAITING` nor `TAKING` is set; `Waker` is `Send + Sync`.
unsafe impl Sync for Direction {}

impl Direction {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            deadline: AtomicU64::new(NO_DEADLINE),
            waiter: UnsafeCell::new(None),
        }
    }

    /// Makes the direction ready for the owner of `generation`. Nobody waits on it.
    pub(crate) fn open(&self, generation: u64) {
        debug_assert!(generation <= GENERATION_MASK);
        // An exchange, and not a store: see `Arming`.
        self.deadline.swap(NO_DEADLINE, Ordering::AcqRel);
        let mut word = self.word.load(Ordering::Relaxed);
        // Release: an event that carries this generation finds the fields above reset. Acquire: a
        // publisher that is done with the former owner's waiter is done with the cell. `TAKING` stays:
        // its publisher, whom that owner did not wait for, has the cell still.
        while let Err(now) = self.word.compare_exchange_weak(
            word,
            generation << GENERATION_SHIFT | (word & TAKING),
            Ordering::AcqRel,
            Ordering::Relaxed,
        ) {
            word = now;
        }
    }

    /// Looks before a system call: consumes a stale edge, and reports closing and an expired
    /// deadline.
    #[inline]
    pub(crate) fn prepare(&self, drained: &Drained) -> Result<Next, Stop> {
        let word = self.check()?;
        if word & READY != 0 {
            self.consume(drained);
            return Ok(Next::Try);
        }
        Ok(if word & UNHINTED == 0 && drained.get() {
            Next::Wait
        } else {
            Next::Try
        })
    }

    /// Returns whether a call would block for all that is known.
    #[inline]
    pub(crate) fn would_block(&self, drained: &Drained) -> bool {
        drained.get() && self.word.load(Ordering::Relaxed) & (READY | UNHINTED) == 0
    }

    /// Consumes an edge, or registers the task for the next one.
    pub(crate) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        drained: &Drained,
    ) -> Poll<Result<(), Stop>> {
        let mut waker = None;
        loop {
            let word = self.check()?;
            if word & READY != 0 {
                self.consume(drained);
                return Poll::Ready(Ok(()));
            }
            if word & TAKING != 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if word & WAITING != 0 {
                // The waker of an earlier poll of the same operation.
                self.forget_waiter();
                continue;
            }
            // A clone that panics leaves everything as it was.
            let ours = waker.take().unwrap_or_else(|| cx.waker().clone());
            // SAFETY: neither WAITING nor TAKING is set, and none but the holder of the lock, who
            // calls this, sets WAITING: nobody else touches the cell.
            self.waiter.with_mut(|cell| unsafe { *cell = Some(ours) });
            // AcqRel: publishes the cell to who takes it, and orders the look at the deadline.
            let waits = self.word.compare_exchange(
                word,
                word | WAITING,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if waits.is_ok() {
                break;
            }
            // SAFETY: as above, since the exchange has failed.
            waker = self.waiter.with_mut(|cell| unsafe { (*cell).take() });
        }
        match self.check() {
            Ok(_) => Poll::Pending,
            Err(stop) => {
                self.forget_waiter();
                Poll::Ready(Err(stop))
            }
        }
    }

    /// Drops the waiter of an operation that is over.
    #[inline]
    pub(crate) fn forget_waiter(&self) {
        // Relaxed: WAITING is set by the caller's own thread, or one that handed the lock on.
        if self.word.load(Ordering::Relaxed) & WAITING != 0 {
            self.take_back();
        }
    }

    #[cold]
    fn take_back(&self) {
        drop(self.publish(0, None));
    }

    /// Returns whether an unconsumed edge is known.
    pub(crate) fn is_ready(&self) -> bool {
        self.word.load(Ordering::Acquire) & READY != 0
    }

    /// Records an edge for the owner of `generation`. The caller wakes the result once it holds no
    /// lock.
    #[must_use]
    pub(crate) fn notify(&self, generation: u64, hinted: bool) -> Option<Waker> {
        let bits = if hinted { READY } else { READY | UNHINTED };
        self.publish(bits, Some(generation))
    }

    /// Ends every wait of this generation with `stop`. The caller wakes the result once it holds no
    /// lock.
    #[must_use]
    pub(crate) fn stop(&self, stop: Stop) -> Option<Waker> {
        let bit = if stop == Stop::Closed {
            CLOSED
        } else {
            SHUTDOWN
        };
        self.publish(bit, None)
    }

    /// Sets `bits`, and takes the waiter out; only for the owner of `generation`, if one is given.
    #[inline]
    fn publish(&self, bits: u64, generation: Option<u64>) -> Option<Waker> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if generation.is_some_and(|generation| word >> GENERATION_SHIFT != generation) {
                return None;
            }
            let waiting = word & WAITING;
            let taking = if waiting == 0 { 0 } else { TAKING };
            // AcqRel: an operation that consumes the edge sees what the poller saw, and a task that
            // begins to wait sees the deadline that was stored before. A full exchange even when
            // nothing changes, because the other must acquire from *this* one.
            match self.word.compare_exchange_weak(
                word,
                (word & !WAITING) | bits | taking,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) if waiting == 0 => return None,
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        // SAFETY: TAKING was set by our exchange, which acquired the cell from who set WAITING.
        let waker = self.waiter.with_mut(|cell| unsafe { (*cell).take() });
        // Release: hands the emptied cell to the next owner.
        self.word.fetch_and(!TAKING, Ordering::Release);
        waker
    }

    pub(crate) fn deadline(&self) -> u64 {
        self.deadline.load(Ordering::Acquire)
    }

    /// Stores a deadline, which still has to be armed, or clears it.
    #[inline]
    pub(crate) fn set_deadline(&self, deadline: u64) {
        // An exchange, and not a store: see `Arming`.
        self.deadline.swap(deadline, Ordering::AcqRel);
    }

    /// Lets the deadline expire if it is due at `now`; otherwise returns it if it is still to come.
    pub(crate) fn expire(&self, now: u64) -> Result<Option<Waker>, u64> {
        // A read-modify-write that changes nothing: see `Arming`.
        let mut deadline = self.deadline.fetch_add(0, Ordering::AcqRel);
        loop {
            match deadline {
                NO_DEADLINE | PAST => return Ok(None),
                later if later > now => return Err(later),
                // An exchange: a deadline that the user moves at this moment is not overwritten.
                due => match self.deadline.compare_exchange(
                    due,
                    PAST,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                ) {
                    Ok(_) => return Ok(self.publish(0, None)),
                    Err(moved) => deadline = moved,
                },
            }
        }
    }

    /// Reports why an operation cannot go on, if so.
    #[inline]
    pub(crate) fn check(&self) -> Result<u64, Stop> {
        let word = self.word.load(Ordering::Acquire);
        if word & (CLOSED | SHUTDOWN) != 0 {
            return Err(if word & CLOSED != 0 {
                Stop::Closed
            } else {
                Stop::Shutdown
            });
        }
        if self.deadline.load(Ordering::Acquire) == PAST {
            Err(Stop::Deadline)
        } else {
            Ok(word)
        }
    }

    #[inline]
    fn consume(&self, drained: &Drained) {
        drained.set(false);
        // AcqRel: the system call that follows comes after this; what the poller saw is seen.
        self.word.fetch_and(!READY, Ordering::AcqRel);
    }
}

crate::sync::models!();
