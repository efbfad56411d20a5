//! `Sleep`: a future that is ready at an instant.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::wheel::Key;
use crate::budget;
use crate::context;
use crate::sched::shared::Shared;

/// Waits for `duration`. See [`Sleep`].
///
/// ```
/// use gannet_runtime::time;
/// use std::time::Duration;
///
/// let runtime = gannet_runtime::Builder::new_current_thread().build()?;
/// runtime.block_on(async {
///     let start = time::now();
///     time::sleep(Duration::from_millis(2)).await;
///     assert!(time::now() - start >= Duration::from_millis(2), "never early");
/// });
/// # Ok::<_, std::io::Error>(())
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep {
        deadline: super::now().checked_add(duration),
        entry: None,
    }
}

/// Waits until `deadline`. See [`Sleep`].
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline: Some(deadline),
        entry: None,
    }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It is ready when the clock says so, not when a timer fired: it can't be early.
///
/// # Cancel safety
/// Dropping it cancels the timer.
///
/// # Panics
/// When it has to wait on a thread without a runtime, or whose runtime has shut down.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Sleep {
    /// `None` lies beyond the clock: never.
    deadline: Option<Instant>,
    /// Where the timer is set.
    entry: Option<(Arc<Shared>, Key)>,
}

impl Sleep {
    /// Returns the instant at which it is ready; `None` for one beyond the clock.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Moves the deadline. The task that waits is polled again at the new one, if it polls this
    /// before that.
    pub fn reset(&mut self, deadline: Instant) {
        self.disarm();
        self.deadline = Some(deadline);
    }

    /// Returns whether the deadline has passed.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| super::now() >= deadline)
    }

    fn disarm(&mut self) {
        if let Some((shared, key)) = self.entry.take() {
            if !shared.is_forked() {
                shared.poller.timers.remove_sleep(key);
            }
        }
    }
}

impl Sleep {
    /// Polls without taking from the budget.
    pub(crate) fn poll_elapsed(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        if super::now() >= deadline {
            self.disarm();
            return Poll::Ready(());
        }
        if let Some((shared, key)) = &self.entry {
            if shared.poller.timers.update_sleep(*key, cx.waker()) {
                return Poll::Pending;
            }
        }
        let shared = context::shared().unwrap_or_else(|err| panic!("sleep: {err}"));
        let timers = &shared.poller.timers;
        let key = timers
            .insert_sleep(timers.clock.at(deadline), cx.waker().clone())
            .expect("sleep: the gannet runtime of this thread has shut down");
        self.entry = Some((shared, key));
        Poll::Pending
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let unit = ready!(budget::poll_proceed(cx));
        ready!(self.poll_elapsed(cx));
        unit.spend();
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
