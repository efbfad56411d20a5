//! Waiting without a channel and without a runtime: the wakers that the subjects pass by hand.

use std::future;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

/// A flag that one task waits for and that anyone raises. Waiting lowers it again.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: AtomicBool,
    waiter: Mutex<Option<Waker>>,
}

impl Signal {
    /// Raises the flag and wakes the task that waits.
    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        // The lock orders this after the waiter's second look, or before it.
        let waiter = self.lock().take();
        if let Some(waker) = waiter {
            waker.wake();
        }
    }

    /// Waits until the flag is up, and lowers it.
    pub(crate) async fn wait(&self) {
        future::poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.lower() {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let old = self.lock().replace(waker);
        drop(old);
        if self.lower() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn lower(&self) -> bool {
        self.raised.swap(false, Ordering::Acquire)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        // Nothing that can panic runs under the lock.
        self.waiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a number of tasks without holding their handles.
#[derive(Debug)]
pub(super) struct Countdown {
    left: AtomicU64,
    zero: Signal,
}

impl Countdown {
    /// Counts down from `tasks`, which is not 0.
    pub(super) fn new(tasks: u64) -> Self {
        assert!(tasks > 0, "nobody would count down");
        Self {
            left: AtomicU64::new(tasks),
            zero: Signal::default(),
        }
    }

    /// Says that a task is done.
    pub(super) fn done(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.zero.raise();
        }
    }

    /// Waits until all are done.
    pub(super) async fn wait(&self) {
        self.zero.wait().await;
    }
}
