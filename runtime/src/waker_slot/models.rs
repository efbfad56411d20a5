//! L5 and L24: whoever changes a condition and takes, and whoever registers and looks, do not miss
//! each other.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc as StdArc;
use std::task::{Poll, RawWaker, RawWakerVTable, Wake};

use loom::sync::Arc;

use super::*;
use crate::sync::atomic::AtomicBool;
use crate::sync::model::{Wakes, block_on, model};
use crate::sync::thread::{self, ThreadId};

struct Shared {
    slot: WakerSlot,
    conditions: [AtomicBool; 2],
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            slot: WakerSlot::new(),
            conditions: [AtomicBool::new(false), AtomicBool::new(false)],
        })
    }

    fn change(&self, at: usize) {
        self.conditions[at].store(true, Ordering::Relaxed);
        if let Some(waker) = self.slot.take() {
            waker.wake();
        }
    }

    fn holds(&self, at: usize) -> bool {
        self.conditions[at].load(Ordering::Relaxed)
    }

    fn wait(&self, wanted: &[usize]) {
        let all = || wanted.iter().all(|&at| self.holds(at));
        block_on(poll_fn(|cx| {
            if all() {
                return Poll::Ready(());
            }
            self.slot.register(cx.waker());
            if all() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        drop(self.slot.take());
    }
}

/// L5: a change before, during and after `register` wakes the task or is seen by it.
///
/// Mutant: slot_take_publishes_nothing: `take` does not release the caller's change.
/// Mutant: slot_take_acquires_nothing: `take` reads a waker that it did not acquire.
/// Mutant: slot_register_acquires_nothing: `register` touches a cell that it did not acquire.
/// Mutant: slot_register_publishes_nothing: `register` does not release the stored waker.
/// Mutant: slot_take_hands_on_nothing: `take` does not release the cell that it emptied.
#[test]
fn change_racing_register_is_noticed() {
    model("slot_change", None, || {
        let shared = Shared::new();
        let other = shared.clone();
        let taker = thread::spawn(move || other.change(0));
        shared.wait(&[0]);
        taker.join().unwrap();
        // Whatever happened, the slot is usable.
        let (_, waker) = Wakes::new();
        shared.slot.register(&waker);
        assert!(shared.slot.take().is_some(), "the slot is idle");
    });
}

/// L5: of two changes at the same time (an edge and a close) neither is lost, though only one of
/// the two finds the waker.
///
/// Mutant: slot_take_publishes_nothing: `take` does not release the caller's change.
/// Mutant: slot_late_waking_is_ignored: `register` does not wake itself when a taker came between.
/// Mutant: slot_early_waking_is_ignored: `register` returns in silence while a taker is at work.
/// Mutant: slot_late_waking_is_stored: `register` ends with a plain store, and misses what the
/// second taker published.
/// Mutant: slot_take_forgets_others: `take` hands the cell on by a plain store.
#[test]
fn two_changes_racing_register_are_both_noticed() {
    model("slot_two_changes", Some(3), || {
        let shared = Shared::new();
        for at in 0..2 {
            let other = shared.clone();
            thread::spawn(move || other.change(at));
        }
        shared.wait(&[0, 1]);
    });
}

/// L5: when a task registers again with another waker, the new one or the old one is woken by a
/// change, and the old one otherwise dropped once.
///
/// Mutant: slot_keeps_the_old_waker: `register` does not replace a waker that is there.
#[test]
fn replaced_waker_is_woken_or_the_change_is_seen() {
    model("slot_replace", None, || {
        let shared = Shared::new();
        let (old_wakes, old) = Wakes::new();
        let (new_wakes, new) = Wakes::new();
        shared.slot.register(&old);
        let other = shared.clone();
        let taker = thread::spawn(move || other.change(0));
        shared.slot.register(&new);
        let is_seen = shared.holds(0);
        taker.join().unwrap();
        if !is_seen {
            assert_eq!(new_wakes.count(), 1, "the new waker is the one that counts");
        }
        assert!(old_wakes.count() + new_wakes.count() >= 1);
        drop(shared.slot.take());
        drop((old, new));
        assert_eq!(StdArc::strong_count(&old_wakes), 1, "no waker leaks");
        assert_eq!(StdArc::strong_count(&new_wakes), 1, "no waker leaks");
    });
}

/// Uses the slot when the last waker is dropped, as foreign code may.
struct DropHook {
    shared: Arc<Shared>,
    registrar: ThreadId,
}

impl Wake for DropHook {
    fn wake(self: StdArc<Self>) {}
}

impl Drop for DropHook {
    fn drop(&mut self) {
        let slot = &self.shared.slot;
        if thread::current().id() == self.registrar {
            let state = slot.state.load(Ordering::Relaxed);
            assert_eq!(state & REGISTERING, 0, "dropped while the slot is ours");
        }
        drop(slot.take());
    }
}

/// L5: `register` drops the waker that it replaces only after it gave the slot back: the drop may
/// run foreign code.
///
/// Mutant: slot_drops_inside: `register` drops the old waker while the slot is its own.
#[test]
fn replaced_waker_is_dropped_outside() {
    model("slot_drop", None, || {
        let shared = Shared::new();
        let hook = DropHook {
            shared: shared.clone(),
            registrar: thread::current().id(),
        };
        shared.slot.register(&Waker::from(StdArc::new(hook)));
        let other = shared.clone();
        let taker = thread::spawn(move || other.change(0));
        let (_, waker) = Wakes::new();
        shared.slot.register(&waker);
        taker.join().unwrap();
        drop(shared.slot.take());
    });
}

/// A waker that panics when it is cloned.
fn panicking() -> Waker {
    const TABLE: RawWakerVTable =
        RawWakerVTable::new(|_| resume_unwind(Box::new("clone")), |_| (), |_| (), |_| ());
    // SAFETY: the table's functions do not touch the pointer, hold nothing, and may run anywhere.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) }
}

/// L24: after a waker whose clone panicked, the slot takes and gives wakers as before.
///
/// Mutant: slot_clones_inside: `register` clones while the slot is its own, and a panic leaves it
/// so.
#[test]
fn panicking_clone_leaves_the_slot_usable() {
    model("slot_panic", None, || {
        let shared = Shared::new();
        let other = shared.clone();
        let taker = thread::spawn(move || other.change(0));
        let waker = panicking();
        let result = catch_unwind(AssertUnwindSafe(|| shared.slot.register(&waker)));
        assert!(result.is_err());
        shared.wait(&[0]);
        taker.join().unwrap();
        let (_, waker) = Wakes::new();
        shared.slot.register(&waker);
        assert!(shared.slot.take().is_some(), "the slot is idle");
    });
}
