//! L6 and L7: a slot that changes its owner, and slots that are shut.

use std::future::poll_fn;
use std::task::{Context, Waker};

use loom::sync::Arc;

use super::*;
use crate::poll::direction::Drained;
use crate::sync::model::{block_on, model};
use crate::sync::thread;

fn wait(slots: &Slots, key: Key) -> Result<(), Stop> {
    let direction = &slots.slot(key.index).read;
    block_on(poll_fn(|cx| direction.poll_ready(cx, &Drained::new())))
}

fn deliver(slots: &Slots, key: Key) {
    let direction = &slots.slot(key.index).read;
    if let Some(waker) = direction.notify(key.generation.into(), true) {
        waker.wake();
    }
}

/// L6: an event that was in flight when its owner gave the slot back does not make the next owner
/// ready, also when the generation wraps in between.
///
/// Mutant: slots_generation_stays: the next owner gets the generation of the last.
/// Mutant: slots_event_ignores_generation: an event is for whoever has the slot.
/// Mutant: slots_event_checks_once: an event checks the generation, and not again when the word
/// changed under it.
/// Mutant: slots_generation_starts_again: an owner's generation is zero whatever was before.
#[test]
fn event_in_flight_is_not_for_the_next_owner() {
    for owners_before in 0..4 {
        model(&format!("slots_reuse_{owners_before}"), None, move || {
            let slots = Arc::new(Slots::new());
            for _ in 0..owners_before {
                let key = slots.open(true).unwrap();
                slots.release(key);
            }
            let old = slots.open(true).unwrap();
            let other = slots.clone();
            let poller = thread::spawn(move || deliver(&other, old));
            slots.slot(old.index).stop(Stop::Closed).wake();
            slots.release(old);
            let new = slots.open(true).unwrap();
            assert_eq!(new.index, old.index, "the model is about reuse");
            poller.join().unwrap();
            let direction = &slots.slot(new.index).read;
            let is_ready = direction.is_ready_for(new.generation.into());
            assert!(!is_ready, "the event was for another");
        });
    }
}

/// L6: the next owner's own event arrives, though one of the last owner is delivered at the same
/// time and may take the waiter out.
///
/// Mutant: slots_stale_event_drops_waiter: a stale event throws away whom it finds waiting.
#[test]
fn stale_event_does_not_hide_the_own_one() {
    model("slots_own_event", Some(2), || {
        let slots = Arc::new(Slots::new());
        let old = slots.open(true).unwrap();
        let other = slots.clone();
        thread::spawn(move || deliver(&other, old));
        slots.release(old);
        let new = slots.open(true).unwrap();
        let other = slots.clone();
        thread::spawn(move || deliver(&other, new));
        assert_eq!(wait(&slots, new), Ok(()));
    });
}

/// L6: a publisher that has found the waiter of an owner takes it out of the cell, while that owner
/// leaves and the next one waits in the same slot: the cell is one thread's at a time, and the next
/// owner's own event arrives.
///
/// Mutant: direction_takes_unmarked: a publisher takes the waker without saying so.
/// Mutant: direction_taken_is_relaxed: the emptied cell is handed on without releasing it.
/// Mutant: direction_taking_is_ignored: a task writes the cell while a publisher takes the waker.
/// Mutant: slots_open_forgets_the_taker: the next owner finds the cell free while it is being emptied.
#[test]
fn cell_is_not_handed_over_with_a_publisher_in_it() {
    model("slots_taker", Some(3), || {
        let slots = Arc::new(Slots::new());
        let old = slots.open(true).unwrap();
        let direction = &slots.slot(old.index).read;
        let mut cx = Context::from_waker(Waker::noop());
        assert!(direction.poll_ready(&mut cx, &Drained::new()).is_pending());
        let other = slots.clone();
        thread::spawn(move || deliver(&other, old));
        direction.forget_waiter();
        slots.release(old);
        let new = slots.open(true).unwrap();
        let other = slots.clone();
        thread::spawn(move || deliver(&other, new));
        assert_eq!(wait(&slots, new), Ok(()));
    });
}

/// L7: shutdown ends the wait of every owner, of one who waits and of one who registers and waits
/// at the same time; or the latter is refused.
///
/// Mutant: slots_shut_says_so_last: `shut` refuses owners only after it stopped the present ones.
/// Mutant: slots_shut_wakes_nobody: `shut` publishes only.
/// Mutant: slots_shut_skips_the_last: `shut` leaves the newest slot out.
#[test]
fn shutdown_ends_every_wait() {
    model("slots_shut", Some(3), || {
        let slots = Arc::new(Slots::new());
        let early = slots.open(true).unwrap();
        let other = slots.clone();
        thread::spawn(move || other.shut());
        let other = slots.clone();
        thread::spawn(move || {
            let late = other.open(true);
            let result = late.and_then(|late| wait(&other, late));
            assert_eq!(result, Err(Stop::Shutdown));
        });
        assert_eq!(wait(&slots, early), Err(Stop::Shutdown));
    });
}
