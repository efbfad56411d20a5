//! What the subjects ask of a runtime, so that each is written once for all rivals.

use std::future::{self, Future};
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use super::timers::{FAR, poll_once, stretches};

/// A runtime whose workers run the caller. A copy of it goes wherever tasks are made.
pub(super) trait Runtime: Copy + Send + Sync + 'static {
    /// Starts a task; what is returned waits for its output.
    fn spawn<T, F>(self, future: F) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static;

    /// Starts a task that nobody waits for.
    fn detach<F>(self, future: F)
    where
        F: Future<Output = ()> + Send + 'static;

    /// Lets other tasks run.
    fn yield_now(self) -> impl Future<Output = ()> + Send;

    /// Waits until `deadline`.
    fn sleep_until(self, deadline: Instant) -> impl Future<Output = ()> + Send;

    /// Waits for `duration`.
    fn sleep(self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// Waits for `future` but no longer than `limit`; tells whether it was in time.
    fn timeout<F>(self, limit: Duration, future: F) -> impl Future<Output = bool> + Send
    where
        F: Future<Output = ()> + Send;

    /// Limits the time of `units` operations, none of which is tried. A runtime whose sockets have
    /// no deadlines wraps each in a timeout, which is polled once, as by an operation that waits.
    fn set_deadlines(self, units: u64) -> impl Future<Output = io::Result<()>> + Send {
        async move {
            for length in stretches(units) {
                for _ in 0..length {
                    poll_once(pin!(self.timeout(FAR, future::pending()))).await;
                }
                self.yield_now().await;
            }
            Ok(())
        }
    }
}
