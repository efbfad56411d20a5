//! Calls into code that is not ours: wakers of other executors, and what tasks leave behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::task::raw;

/// Wakes, and contains a panic: it must keep neither a worker from its work nor others from being
/// woken. The panic hook has reported it.
#[inline]
pub(crate) fn wake(waker: Waker) {
    // A task's waker is ours: there is nothing to contain, and no need to ask its vtable.
    if let Err(waker) = raw::wake_if_ours(waker) {
        discard_panic(|| waker.wake());
    }
}

/// Drops a value, and contains a panic.
pub(crate) fn drop_contained<T>(value: T) {
    discard_panic(|| drop(value));
}

fn discard_panic(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        // What was thrown may throw again when it is dropped. Such a thing is leaked.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(again);
        }
    }
}
