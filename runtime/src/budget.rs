//! The cooperative budget: how many operations a task may complete before it must let others run.
//!
//! A task that always finds data would keep its worker for ever. Each poll of a task starts with
//! [`BUDGET`] units; an operation that may wait takes one, and with none left it answers "pending"
//! and puts the task at the end of the queue.

use std::cell::Cell;
use std::task::{Context, Poll};

/// Operations per poll of a task; as many as tokio grants, so that programs move over unchanged.
const BUDGET: u8 = 128;

thread_local! {
    /// Units left to the task that runs on this thread, or [`UNLIMITED`].
    static LEFT: Cell<u8> = const { Cell::new(UNLIMITED) };
}

/// Outside of tasks.
const UNLIMITED: u8 = u8::MAX;

/// Runs `f` with a fresh budget.
pub(crate) fn with_fresh<R>(f: impl FnOnce() -> R) -> R {
    /// Restores what was left, also when `f` panics.
    struct Restore(u8);
    impl Drop for Restore {
        fn drop(&mut self) {
            LEFT.set(self.0);
        }
    }
    let _restore = Restore(LEFT.replace(BUDGET));
    f()
}

/// One unit of the budget. It goes back when dropped, unless the operation [completed](Self::spend):
/// waiting costs nothing, or a task that waits for many things at once would never reach the last.
#[must_use]
pub(crate) struct Unit(());

impl Unit {
    /// The operation has completed.
    #[inline]
    pub(crate) fn spend(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unit {
    #[inline]
    fn drop(&mut self) {
        let left = LEFT.get();
        if left < BUDGET {
            LEFT.set(left + 1);
        }
    }
}

/// Takes one unit, or arranges for the task to be polled again after others had their turn.
#[inline]
pub(crate) fn poll_proceed(cx: &Context<'_>) -> Poll<Unit> {
    match LEFT.get() {
        UNLIMITED => {}
        0 => {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        left => LEFT.set(left - 1),
    }
    Poll::Ready(Unit(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn complete_one(cx: &Context<'_>) -> bool {
        match poll_proceed(cx) {
            Poll::Ready(unit) => {
                unit.spend();
                true
            }
            Poll::Pending => false,
        }
    }

    #[test]
    fn budget_runs_out_and_is_fresh_for_the_next_poll() {
        let cx = Context::from_waker(Waker::noop());
        with_fresh(|| {
            let granted = (0..1000).take_while(|_| complete_one(&cx)).count();
            assert_eq!(granted, usize::from(BUDGET));
            with_fresh(|| assert!(complete_one(&cx), "a nested executor has its own"));
            assert!(!complete_one(&cx));
        });
        assert!(complete_one(&cx), "no budget outside of tasks");
    }

    #[test]
    fn operation_that_waits_costs_nothing() {
        let cx = Context::from_waker(Waker::noop());
        with_fresh(|| {
            for n in 0..1000 {
                assert!(
                    poll_proceed(&cx).is_ready(),
                    "poll {n} of a waiting operation"
                );
            }
            assert!(complete_one(&cx));
        });
    }
}
