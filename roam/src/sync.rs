//! The one place that knows about loom.

#[cfg(loom)]
use loom as imp;
#[cfg(not(loom))]
use std as imp;

use std::sync::PoisonError;

pub(crate) use imp::sync::MutexGuard;
pub(crate) use imp::sync::atomic::{AtomicU64, Ordering};

/// Declares the child module `models` with this module's loom models, in builds for loom.
macro_rules! models {
    () => {
        #[cfg(all(test, loom))]
        mod models;
    };
}
pub(crate) use models;

/// A mutex that ignores poisoning: a protocol whose user panicked in it is still one.
pub(crate) struct Mutex<T>(imp::sync::Mutex<T>);

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(imp::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
