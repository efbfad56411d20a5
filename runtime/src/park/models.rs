//! L1: a token left is a token found.

use loom::sync::Arc as LoomArc;

use super::*;
use crate::sync::model::{Plain, model};

/// L1: `unpark` is not lost, whether it comes before or during `park`, and `park` does not return for
/// a foreign `unpark` of the thread. What was done before ours is seen after `park`.
///
/// Mutant: parker_trusts_thread_token: `park` parks the thread once and looks at no flag.
/// Mutant: parker_returns_for_any_unpark: `park` does not look again after the thread woke up.
#[test]
fn parker_finds_its_token_among_foreign_ones() {
    model("parker_foreign", None, || {
        let parker = Parker::new();
        let done = LoomArc::new(Plain::new());
        let ours = (parker.clone(), done.clone());
        thread::spawn(move || {
            ours.1.write();
            ours.0.unpark();
        });
        let foreign = parker.clone();
        thread::spawn(move || {
            // The look makes loom try this before and after our `unpark`.
            let _ = foreign.notified.load(Ordering::Relaxed);
            foreign.thread.unpark();
        });
        parker.park();
        done.read();
        // No thread is joined: a foreign `unpark` would disturb loom's own waiting.
    });
}

/// L1: an `unpark` that finds the token there already still publishes, and an `unpark` after the
/// token was taken leaves a new one.
///
/// Mutant: parker_takes_in_two_steps: `park` loads, then stores, and wipes a token that came in
/// between.
/// Mutant: parker_unpark_is_relaxed: `unpark` publishes nothing.
/// Mutant: parker_park_is_relaxed: `park` acquires nothing.
#[test]
fn parker_hears_both_of_two_callers() {
    model("parker_two", None, || {
        let parker = Parker::new();
        let flags = LoomArc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        for i in 0..2 {
            let (parker, flags) = (parker.clone(), flags.clone());
            thread::spawn(move || {
                flags[i].store(true, Ordering::Relaxed);
                parker.unpark();
            });
        }
        while !flags.iter().all(|flag| flag.load(Ordering::Relaxed)) {
            parker.park();
        }
    });
}
