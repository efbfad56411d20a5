//! The slot for the runnable that its worker runs next: what a task woke last, while its data is
//! warm.
//!
//! ```text
//! EMPTY ──replace──▶ FULL ──replace──▶ FULL (the old one goes to the ring) ──take──▶ EMPTY
//! ```
//! Other workers leave it alone unless the owner is stuck in a task.
#![allow(unsafe_code)] // The slot holds a runnable as a pointer; whoever swaps it out owns it.

use std::ptr;

use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::task::raw::{Header, Task};

#[derive(Debug)]
pub(crate) struct NextSlot(AtomicPtr<Header>);

impl NextSlot {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Puts `task` in and returns what was there.
    pub(crate) fn replace(&self, task: Task) -> Option<Task> {
        self.swap(task.into_raw())
    }

    /// Takes the runnable, if there is one.
    pub(crate) fn take(&self) -> Option<Task> {
        // A load first: the slot is empty most of the time, and a load is cheaper than a swap.
        if self.0.load(Ordering::Relaxed).is_null() {
            None
        } else {
            self.swap(ptr::null_mut())
        }
    }

    fn swap(&self, raw: *mut Header) -> Option<Task> {
        // AcqRel: hands the task's memory from who put it in to who takes it out.
        let old = self.0.swap(raw, Ordering::AcqRel);
        // SAFETY: the slot holds null or pointers from `into_raw`, and a swap hands each to one
        // caller.
        (!old.is_null()).then(|| unsafe { Task::from_raw(old) })
    }
}

impl Drop for NextSlot {
    fn drop(&mut self) {
        drop(self.take());
    }
}

crate::sync::models!();
