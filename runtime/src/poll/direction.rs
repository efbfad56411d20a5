//! Readiness, deadline and waiter of one direction of a descriptor, after Go's netpoller.
//!
//! ```text
//!            notify                     prepare, poll_ready
//! (nothing) ───────▶ READY ───────────────────────────────▶ (nothing)
//!     │                 ▲
//!     │ mark_drained    │ notify
//!     ▼                 │
//!  DRAINED ─────────────┘
//! any ──stop(CLOSED | SHUTDOWN)──▶ the same with the stop bit: final for this generation, wakes the waiter
//! ```
//!
//! The protocol that loses no edge: readiness is consumed *before* the system call, and a task
//! waits only *after* the call would have blocked. An edge that arrives in between sets `READY`
//! again and costs one attempt at most. Closing and an expired deadline publish first and look for
//! a waiter second; a waiter registers first and looks for them second (see [`WakerSlot`]).
//!
//! The word carries the generation of the slot it lives in: an event of an earlier owner changes
//! nothing. One task waits per direction at a time: the caller holds that direction of the
//! [`FdLock`](super::fd_lock::FdLock).

use std::task::{Context, Poll, Waker};

use crate::error::Stop;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::width;
use crate::waker_slot::WakerSlot;

/// An edge was delivered and not consumed.
const READY: u64 = 1;
/// The last read emptied the kernel's queue: the next one waits for an edge without trying first.
const DRAINED: u64 = 1 << 1;
/// A hang-up, an error or urgent data was seen. From then on `DRAINED` proves nothing: the end of
/// the stream may have come with the edge that brought the last bytes, and no other edge will
/// announce it.
const UNHINTED: u64 = 1 << 2;
/// The descriptor was closed.
const CLOSED: u64 = 1 << 3;
/// The runtime has shut down.
const SHUTDOWN: u64 = 1 << 4;
const GENERATION_SHIFT: u32 = 5;
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
    waiter: WakerSlot,
}

impl Direction {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            deadline: AtomicU64::new(NO_DEADLINE),
            waiter: WakerSlot::new(),
        }
    }

    /// Makes the direction ready for the owner of `generation`. Nobody waits on it.
    pub(crate) fn open(&self, generation: u64, drained: bool) {
        debug_assert!(generation <= GENERATION_MASK);
        self.deadline.store(NO_DEADLINE, Ordering::Relaxed);
        let hint = if drained { DRAINED } else { 0 };
        // Release: an event that carries this generation finds the fields above reset.
        self.word
            .store(generation << GENERATION_SHIFT | hint, Ordering::Release);
    }

    /// Looks before a system call: consumes a stale edge, and reports closing and an expired
    /// deadline.
    #[inline]
    pub(crate) fn prepare(&self) -> Result<Next, Stop> {
        let word = self.check()?;
        if word & READY != 0 {
            self.consume();
            return Ok(Next::Try);
        }
        Ok(if word & (DRAINED | UNHINTED) == DRAINED {
            Next::Wait
        } else {
            Next::Try
        })
    }

    /// Consumes an edge, or registers the task for the next one.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        if let Poll::Ready(result) = self.peek_ready() {
            return Poll::Ready(result);
        }
        self.waiter.register(cx.waker());
        // After registering: whoever changed the word before could not see the waiter.
        let result = self.peek_ready();
        if result.is_ready() {
            self.forget_waiter();
        }
        result
    }

    /// Notes that the last system call emptied the kernel's queue.
    pub(crate) fn mark_drained(&self) {
        // If an edge came since `prepare`, READY stands beside DRAINED and outranks it.
        self.word.fetch_or(DRAINED, Ordering::AcqRel);
    }

    /// Drops the waiter of an operation that was cancelled.
    pub(crate) fn forget_waiter(&self) {
        drop(self.waiter.take());
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
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word >> GENERATION_SHIFT != generation {
                return None;
            }
            // AcqRel: an operation that consumes the edge sees what the poller saw. A full exchange
            // even when the bits are set already, because the consumer must acquire from *this*
            // edge.
            match self.word.compare_exchange_weak(
                word,
                word | bits,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return self.waiter.take(),
                Err(now) => word = now,
            }
        }
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
        self.word.fetch_or(bit, Ordering::AcqRel);
        self.waiter.take()
    }

    pub(crate) fn deadline(&self) -> u64 {
        self.deadline.load(Ordering::Acquire)
    }

    /// Stores a deadline. For [`PAST`] the caller wakes the result; any other still has to be
    /// armed.
    #[must_use]
    pub(crate) fn set_deadline(&self, deadline: u64) -> Option<Waker> {
        self.deadline.store(deadline, Ordering::Release);
        if deadline == PAST {
            self.waiter.take()
        } else {
            None
        }
    }

    /// Lets the deadline expire if it is due at `now`; otherwise returns it if it is still to come.
    pub(crate) fn expire(&self, now: u64) -> Result<Option<Waker>, u64> {
        let mut deadline = self.deadline.load(Ordering::Acquire);
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
                    Ok(_) => return Ok(self.waiter.take()),
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

    fn peek_ready(&self) -> Poll<Result<(), Stop>> {
        match self.check() {
            Err(stop) => Poll::Ready(Err(stop)),
            Ok(word) if word & READY != 0 => {
                self.consume();
                Poll::Ready(Ok(()))
            }
            Ok(_) => Poll::Pending,
        }
    }

    fn consume(&self) {
        // AcqRel: the system call that follows comes after this; what the poller saw is seen.
        self.word.fetch_and(!(READY | DRAINED), Ordering::AcqRel);
    }
}

crate::sync::models!();
