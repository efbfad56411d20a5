//! The one place that knows about loom: atomics, locks, threads and parking under the same names
//! for both.
//!
//! Everything else in the crate says `use crate::sync::...`. Packed counters take their widths from
//! [`width`], so that a model reaches their wrap within a few steps.

#[cfg(loom)]
use loom as imp;
#[cfg(not(loom))]
use std as imp;

pub(crate) use imp::sync::atomic;
pub(crate) use imp::thread;

pub(crate) use imp::sync::MutexGuard;
use std::sync::PoisonError;

/// Declares the child module `models` with this module's loom models, in builds for loom.
macro_rules! models {
    () => {
        #[cfg(all(test, loom))]
        mod models;
    };
}
pub(crate) use models;

#[cfg(all(test, loom))]
pub(crate) mod model;

/// Widths of packed counters, in bits.
#[cfg(not(loom))]
pub(crate) mod width {
    /// Generation of a poll descriptor, in the epoll key and in each direction's word.
    pub(crate) const GENERATION: u32 = 32;
    /// Index into a local run queue; the ring holds `1 << QUEUE_RING` runnables.
    pub(crate) const QUEUE_INDEX: u32 = 32;
    /// Capacity of a local run queue, as a power of two.
    pub(crate) const QUEUE_RING: u32 = 8;
    /// References of a descriptor lock: the most operations in flight on one descriptor.
    pub(crate) const FD_REFS: u32 = 32;
    /// Poll descriptors at which the growth of their storage starts, as a power of two.
    pub(crate) const FIRST_SIZE: u32 = 6;
}

/// Widths of packed counters, in bits.
#[cfg(loom)]
pub(crate) mod width {
    pub(crate) const GENERATION: u32 = 2;
    pub(crate) const QUEUE_INDEX: u32 = 3;
    pub(crate) const QUEUE_RING: u32 = 2;
    pub(crate) const FD_REFS: u32 = 3;
    pub(crate) const FIRST_SIZE: u32 = 2;
}

/// A mutex that ignores poisoning: what it guards is consistent between any two statements.
#[derive(Debug)]
pub(crate) struct Mutex<T>(imp::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A condition variable for [`Mutex`].
#[derive(Debug)]
pub(crate) struct Condvar(imp::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(imp::sync::Condvar::new())
    }

    /// Waits for a notification, at most `timeout`. Returns early on a spurious wake.
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: std::time::Duration,
    ) -> MutexGuard<'a, T> {
        match self.0.wait_timeout(guard, timeout) {
            Ok((guard, _)) => guard,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A cell whose every access goes through a closure, so that loom sees it.
#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;

/// A cell whose every access goes through a closure, so that loom sees it.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Passes an exclusive pointer to the content. The caller makes sure that nobody else looks.
    #[inline]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
