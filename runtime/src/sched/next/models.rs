//! Models of the next slot.

use loom::sync::Arc;

use super::super::models::{Runnables, assert_each_once};
use super::*;
use crate::sync::model::model;
use crate::sync::thread;

/// L8: the owner of a next slot and a worker that relieves it take each runnable once, with what
/// its pusher wrote.
///
/// Mutant: next_swap_relaxed: the runnable comes without its data.
/// Mutant: next_take_not_atomic: both take the same runnable.
#[test]
fn next_slot_hands_each_to_one() {
    model("next_slot_hands_each_to_one", None, || {
        let (runnables, entries) = Runnables::new(3);
        let slot = Arc::new(NextSlot::new());
        let other = {
            let (slot, runnables) = (slot.clone(), runnables.clone());
            thread::spawn(move || {
                let taken = slot.take();
                taken.map(|task| runnables.read(task))
            })
        };
        let mut taken = Vec::new();
        for task in entries {
            runnables.write(&task);
            taken.extend(slot.replace(task).map(|task| runnables.read(task)));
        }
        taken.extend(slot.take().map(|task| runnables.read(task)));
        taken.extend(other.join().unwrap());
        assert_each_once(taken, 3);
    });
}
