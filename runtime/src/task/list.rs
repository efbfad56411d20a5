//! A list of tasks that is threaded through the tasks themselves: to enter one and to take it out
//! from anywhere in the list costs no memory and no search.
//!
//! ```text
//! FREE ──push──▶ LINKED ──remove, pop──▶ FREE
//! ```
//!
//! A list lives in one part of the registry, under that part's lock, and a task is in no other list
//! than that of its home. So the lock guards the links of all tasks whose home it is.
#![allow(unsafe_code)] // Links are plain pointers between cells; the list owns a reference to each.

use std::ptr::NonNull;

use super::raw::{Header, Task};
use crate::sync::UnsafeCell;

/// A task's neighbours in the list of its home. Touched by whoever has that list, and so its lock.
pub(crate) struct Links(UnsafeCell<Ends>);

#[derive(Default)]
struct Ends {
    before: Option<NonNull<Header>>,
    after: Option<NonNull<Header>>,
}

impl Links {
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(Ends::default()))
    }
}

/// Tasks, with one reference to each; the youngest first.
#[derive(Debug, Default)]
pub(crate) struct List {
    first: Option<NonNull<Header>>,
}

// SAFETY: `first` owns references to tasks, and those are `Send`; the links are touched by whoever
// has the list.
unsafe impl Send for List {}

impl List {
    /// Enters a task that is in no list, and whose home this is.
    #[inline]
    pub(crate) fn push(&mut self, task: Task) {
        let task = task.into_header();
        let after = self.first.replace(task);
        // SAFETY: the reference that the list now owns keeps the task alive, and this is its list.
        unsafe { change(task, |ends| ends.after = after) };
        if let Some(after) = after {
            // SAFETY: the task was linked, so the list has a reference to it.
            unsafe { change(after, |ends| ends.before = Some(task)) };
        }
    }

    /// Takes a task out, if it is in. Its home is this.
    #[inline]
    pub(crate) fn remove(&mut self, task: &Task) -> Option<Task> {
        let header = task.header_pointer();
        // SAFETY: the caller's reference keeps the task alive, and this is its list.
        let Ends { before, after } = unsafe { change(header, std::mem::take) };
        match before {
            // SAFETY: a neighbour is linked, so the list has a reference to it.
            Some(before) => unsafe { change(before, |ends| ends.after = after) },
            // The first, or in no list.
            None if self.first == Some(header) => self.first = after,
            None => return None,
        }
        if let Some(after) = after {
            // SAFETY: a neighbour is linked, so the list has a reference to it.
            unsafe { change(after, |ends| ends.before = before) };
        }
        // SAFETY: `push` turned the list's reference into this pointer, and the task was linked
        // until now, so it is turned back once.
        Some(unsafe { Task::from_header(header) })
    }

    /// Takes the first task out.
    pub(crate) fn pop(&mut self) -> Option<Task> {
        let first = self.first?;
        // SAFETY: the task is linked, so the list has a reference to it.
        let Ends { after, .. } = unsafe { change(first, std::mem::take) };
        self.first = after;
        if let Some(after) = after {
            // SAFETY: a neighbour is linked, so the list has a reference to it.
            unsafe { change(after, |ends| ends.before = None) };
        }
        // SAFETY: as in `remove`.
        Some(unsafe { Task::from_header(first) })
    }
}

/// Reads and changes a task's links.
///
/// # Safety
/// The task is alive, and the caller has its list to itself.
#[inline]
unsafe fn change<R>(task: NonNull<Header>, change: impl FnOnce(&mut Ends) -> R) -> R {
    // SAFETY: alive by the caller's promise; a header is only shared, never `&mut`.
    let header = unsafe { task.as_ref() };
    header.links().0.with_mut(|ends| {
        // SAFETY: the caller has the list, and so the links of its tasks, to itself.
        change(unsafe { &mut *ends })
    })
}

impl Drop for List {
    fn drop(&mut self) {
        while let Some(task) = self.pop() {
            drop(task);
        }
    }
}
