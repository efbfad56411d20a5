//! A place for one waker that a task fills and any thread empties, without a lock.
//!
//! ```text
//! IDLE ──register──▶ REGISTERING ──────────────▶ IDLE            (the waker is stored)
//! REGISTERING ──take──▶ REGISTERING|WAKING ────▶ IDLE            (the registrar wakes itself)
//! IDLE ──take──▶ WAKING ───────────────────────▶ IDLE            (the taker has the waker)
//! WAKING ──register──▶ WAKING                                    (the registrar wakes itself)
//! ```
//!
//! Whoever moved the word away from `IDLE` owns the cell until it moves it back. A caller of
//! [`WakerSlot::register`] looks at its condition *after* it registered; a caller of
//! [`WakerSlot::take`] changes the condition *before*: both go through read-modify-writes of the
//! same word, so one of the two always sees the other.
#![allow(unsafe_code)] // The cell is guarded by the state word; see the diagram.

use std::task::Waker;

use crate::sync::UnsafeCell;
use crate::sync::atomic::{AtomicU32, Ordering};

const IDLE: u32 = 0;
const REGISTERING: u32 = 1;
const WAKING: u32 = 2;

/// One waker, registered by one task at a time and taken by anybody.
#[derive(Debug)]
pub(crate) struct WakerSlot {
    state: AtomicU32,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: `waker` is only touched by the thread that moved `state` away from `IDLE`, and `Waker` is
// `Send + Sync`.
unsafe impl Sync for WakerSlot {}
// SAFETY: as for `Sync`; the slot owns its waker, which may be dropped on any thread.
unsafe impl Send for WakerSlot {}

impl WakerSlot {
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU32::new(IDLE),
            waker: UnsafeCell::new(None),
        }
    }

    /// Stores `waker` for the next [`take`](Self::take). If one is under way, wakes at once
    /// instead.
    ///
    /// The caller checks its condition again afterwards. Two tasks must not register at the same
    /// time: the later one is woken at once and tries again.
    pub(crate) fn register(&self, waker: &Waker) {
        // Cloned before the word changes: a panicking clone leaves the slot as it was.
        let waker = waker.clone();
        // Acquire: sees the cell as the last owner left it. Pairs with the releases below and in
        // `take`.
        if self
            .state
            .compare_exchange(IDLE, REGISTERING, Ordering::Acquire, Ordering::Acquire)
            .is_err()
        {
            waker.wake();
            return;
        }
        // SAFETY: the word is REGISTERING by our exchange, so no other thread touches the cell.
        let old = self
            .waker
            .with_mut(|cell| unsafe { (*cell).replace(waker) });
        // AcqRel: publishes the cell to the next taker, and on success orders the caller's re-check
        // after it.
        let stored =
            self.state
                .compare_exchange(REGISTERING, IDLE, Ordering::AcqRel, Ordering::Acquire);
        if stored.is_err() {
            // A taker came in between and left the waking to us; the word is still ours.
            // SAFETY: the word is REGISTERING|WAKING, whose owner is the registrar: this thread.
            let waker = self.waker.with_mut(|cell| unsafe { (*cell).take() });
            self.state.swap(IDLE, Ordering::AcqRel);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        drop(old);
    }

    /// Takes the waker out, for the caller to wake or drop once it holds no lock.
    #[must_use]
    pub(crate) fn take(&self) -> Option<Waker> {
        // AcqRel: publishes the caller's change to a registrar that comes later, acquires the
        // stored waker.
        if self.state.fetch_or(WAKING, Ordering::AcqRel) != IDLE {
            return None;
        }
        // SAFETY: the word was IDLE and is WAKING by our change, so no other thread touches the
        // cell.
        let waker = self.waker.with_mut(|cell| unsafe { (*cell).take() });
        // Release: hands the emptied cell to the next owner.
        self.state.fetch_and(!WAKING, Ordering::Release);
        waker
    }
}

crate::sync::models!();
