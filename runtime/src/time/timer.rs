//! The timer of a sleep: set and dropped without a lock, because the wheel learns late.
//!
//! ```text
//!           set                      look, due
//! UNSET ───────────▶ deadline ─────────────────────▶ FIRED   (final: the waker is the wheel's)
//!   ▲                 │  │ ▲
//!   └─set: new waker──┘  └─┘ set
//!
//! BUSY ──rest──▶ IDLE ──set──▶ BUSY     (the holder's own word: IDLE deadlines mean nothing)
//! ```
//! A sleep that is dropped leaves its timer behind: idle, its deadline and its waker in place and its
//! entry in the wheel. The next sleep of the thread takes it over and exchanges the deadline; if the
//! wheel looks in time for that (see [`Arming`]), and the waker is the same, there is nothing else to
//! do. A loop that sets and drops a timeout around each operation touches the wheel once per timeout
//! and not once per operation.
//!
//! The holder is the only one who sets; the wheel looks under its lock. Whoever moves the word away
//! from a deadline has the waker's cell: the holder until it sets the next deadline, the wheel for
//! good. The holder remembers whose waker it put there, so that it needs no look into the cell.
#![allow(unsafe_code)] // The cell is guarded by the deadline's word; see the diagram.

use std::sync::Arc;
use std::task::Waker;

use super::arming::Arming;
use crate::poll::direction::{NO_DEADLINE as UNSET, PAST as FIRED};
use crate::sync::UnsafeCell;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the wheel's entry and the holder share.
#[derive(Debug)]
pub(crate) struct Timer {
    /// Nanoseconds on the runtime's clock, or [`UNSET`], or [`FIRED`].
    deadline: AtomicU64,
    /// Nobody waits: the deadline is that of a sleep since dropped. Written by the holder only.
    idle: AtomicBool,
    pub(crate) arming: Arming,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: `waker` is only touched by the holder while the word is UNSET or the timer not yet shared,
// and by the one thread that moved the word to FIRED; and `Waker` is `Send + Sync`.
unsafe impl Sync for Timer {}
// SAFETY: as for `Sync`; the timer owns its waker, which may be dropped on any thread.
unsafe impl Send for Timer {}

/// What the wheel found.
#[derive(Debug)]
pub(crate) enum Look {
    /// It was due: wake this.
    Fired(Option<Waker>),
    /// Nobody waits.
    Idle,
    /// The deadline was moved: look again then.
    Later(u64),
}

/// The timer has fired, and can't be set any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fired;

impl Timer {
    /// Fires if due. The wheel's entry is gone; the caller holds the wheel's lock, enters `Later`
    /// there, and wakes and drops wakers when it no longer holds it.
    pub(crate) fn look(&self, now: u64) -> Look {
        self.arming.disarm();
        // A read-modify-write that changes nothing: see `Arming`.
        let mut deadline = self.deadline.fetch_add(0, Ordering::AcqRel);
        loop {
            // Relaxed: that somebody waits is published with the deadline.
            let is_idle = self.idle.load(Ordering::Relaxed);
            if is_idle || deadline == UNSET || deadline == FIRED {
                return Look::Idle;
            }
            if deadline > now {
                self.arming.arm(deadline);
                return Look::Later(deadline);
            }
            // Acquire: the waker, as the holder put it there. An exchange: a deadline that is moved
            // at this moment is not overwritten.
            match self.deadline.compare_exchange(
                deadline,
                FIRED,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    // SAFETY: the word is FIRED by our exchange, for good, and the holder touches the
                    // cell only after it moved the word from a deadline itself.
                    let waker = self.waker.with_mut(|cell| unsafe { (*cell).take() });
                    return Look::Fired(waker);
                }
                Err(moved) => deadline = moved,
            }
        }
    }

    /// Returns whether somebody waits for it.
    pub(crate) fn is_set(&self) -> bool {
        !self.idle.load(Ordering::Relaxed) && self.deadline.load(Ordering::Relaxed) != FIRED
    }
}

/// The one who sets a timer.
#[derive(Debug)]
pub(crate) struct Holder {
    timer: Arc<Timer>,
    /// Data and vtable of the waker in the cell, which keeps both from being used for another.
    known: (usize, usize),
}

impl Holder {
    /// Makes a timer that is set, and still has to be armed.
    pub(crate) fn new(at: u64, waker: &Waker) -> Self {
        let timer = Timer {
            deadline: AtomicU64::new(at),
            idle: AtomicBool::new(false),
            arming: Arming::new(),
            waker: UnsafeCell::new(Some(waker.clone())),
        };
        Self {
            timer: Arc::new(timer),
            known: identity(waker),
        }
    }

    pub(crate) fn timer(&self) -> &Arc<Timer> {
        &self.timer
    }

    /// Returns whether it wakes `waker`, unless it has fired.
    #[inline]
    pub(crate) fn wakes(&self, waker: &Waker) -> bool {
        self.known == identity(waker)
    }

    #[inline]
    pub(crate) fn is_fired(&self) -> bool {
        self.timer.deadline.load(Ordering::Acquire) == FIRED
    }

    /// Lets the timer wake `waker` at `at`, and nobody at the deadline before. Returns whether it
    /// must be armed, and the former waker, to be dropped after that.
    #[inline]
    pub(crate) fn set(&mut self, at: u64, waker: &Waker) -> Result<(bool, Option<Waker>), Fired> {
        let mut from = self.timer.deadline.load(Ordering::Relaxed);
        let mut former = None;
        if !self.wakes(waker) {
            former = self.replace_waker(from, waker)?;
            from = UNSET;
        }
        let timer = &*self.timer;
        if from == FIRED {
            return Err(Fired);
        }
        timer.idle.store(false, Ordering::Relaxed);
        // Release: the waker and that somebody waits. AcqRel: see `Arming`.
        timer
            .deadline
            .compare_exchange(from, at, Ordering::AcqRel, Ordering::Relaxed)
            .map_err(|_| Fired)?;
        Ok((timer.arming.is_late_for(at), former))
    }

    #[cold]
    fn replace_waker(&mut self, from: u64, waker: &Waker) -> Result<Option<Waker>, Fired> {
        let waker = waker.clone(); // Before the word changes: it may panic.
        if from == FIRED {
            return Err(Fired);
        }
        self.timer
            .deadline
            .compare_exchange(from, UNSET, Ordering::AcqRel, Ordering::Relaxed)
            .map_err(|_| Fired)?;
        self.known = identity(&waker);
        // SAFETY: the word is UNSET by our exchange, so the wheel has not touched the cell and does
        // not until we set a deadline; there is one holder, and it is borrowed mutably.
        let former = self
            .timer
            .waker
            .with_mut(|cell| unsafe { (*cell).replace(waker) });
        Ok(former)
    }

    /// Nobody waits any more. Takes no lock: a look under way may still wake whom it finds.
    #[inline]
    pub(crate) fn rest(&self) {
        // Relaxed: there is nothing to publish, and a look at this moment may still fire.
        self.timer.idle.store(true, Ordering::Relaxed);
    }
}

/// What [`Waker::will_wake`] compares.
#[inline]
fn identity(waker: &Waker) -> (usize, usize) {
    (
        waker.data().addr(),
        std::ptr::from_ref(waker.vtable()).addr(),
    )
}

crate::sync::models!();
