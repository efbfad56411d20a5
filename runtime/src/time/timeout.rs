//! `timeout`: a future with a limit.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::sleep::{Sleep, sleep, sleep_until};

/// Waits for `future`, at most for `limit`, and drops it then. See [`Timeout`].
///
/// ```
/// use gannet_runtime::time;
/// use std::time::Duration;
///
/// let runtime = gannet_runtime::Builder::new_current_thread().build()?;
/// runtime.block_on(async {
///     assert_eq!(time::timeout(Duration::MAX, async { 42 }).await, Ok(42));
///     assert!(time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await.is_err());
/// });
/// # Ok::<_, std::io::Error>(())
/// ```
pub fn timeout<F: Future>(limit: Duration, future: F) -> Timeout<F> {
    Timeout {
        future,
        sleep: sleep(limit),
    }
}

/// Waits for `future`, at most until `deadline`. See [`Timeout`].
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Timeout {
        future,
        sleep: sleep_until(deadline),
    }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`]. The inner future is polled first: one that is
    /// ready wins.
    ///
    /// See [`timeout`] for an example.
    ///
    /// # Cancel safety
    /// That of the inner future, which is dropped with this one.
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        // Without a look at the budget: the future may have used it up, as often as it is polled.
        this.sleep.poll_elapsed(cx).map(|()| Err(Elapsed(())))
    }
}

impl<F> fmt::Debug for Timeout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout")
            .field("deadline", &self.sleep.deadline())
            .finish_non_exhaustive()
    }
}

/// The limit of a [`timeout`] has passed.
///
/// See [`timeout`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timeout elapsed")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
