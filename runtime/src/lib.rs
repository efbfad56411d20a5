//! The runtime of gannet: netpoller, scheduler, tasks, timers, descriptors.
//!
//! - [`Runtime`] and its [`Builder`]: worker threads, or the thread that is in `block_on`.
//! - [`spawn`] and [`JoinHandle`], which *detaches* when dropped; [`JoinSet`], which aborts;
//!   [`spawn_blocking`].
//! - [`AsyncFd`]: any pollable descriptor, with deadlines that can be moved under a blocked call,
//!   and a `close` that unblocks everyone.
//! - [`time`]: [`sleep`](time::sleep), [`timeout`](time::timeout), [`interval`](time::interval).
//!
//! Sockets are in `gannet-net`.
//!
//! ```
//! use gannet_runtime::{Builder, spawn, time};
//! use std::time::Duration;
//!
//! let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
//! let order = runtime.block_on(async {
//!     let slow = spawn(async {
//!         time::sleep(Duration::from_millis(5)).await;
//!         "slow"
//!     });
//!     let fast = spawn(async { "fast" });
//!     [fast.await.unwrap(), slow.await.unwrap()]
//! });
//! assert_eq!(order, ["fast", "slow"]);
//! # Ok::<_, std::io::Error>(())
//! ```

mod block_on;
mod blocking;
mod budget;
mod builder;
mod context;
pub mod error;
mod foreign;
mod metrics;
mod park;
mod poll;
mod runtime;
mod sched;
mod sync;
mod task;
pub mod time;
mod waker_slot;

use std::future::{Future, poll_fn};
use std::task::Poll;

pub use builder::Builder;
pub use metrics::{Metrics, WorkerMetrics};
pub use poll::adopt::{AdoptError, AdoptOptions};
pub use poll::closing::Close;
pub use poll::fd::AsyncFd;
pub use poll::owned::{OwnedReadGuard, OwnedWriteGuard};
pub use poll::series::{ReadGuard, WriteGuard};
pub use runtime::{EnterGuard, Handle, Runtime};
pub use task::join::{AbortHandle, JoinError, JoinHandle};
pub use task::set::JoinSet;

/// Spawns a task on the runtime of this thread.
///
/// It runs whether or not the handle is awaited; dropping the handle *detaches* it.
///
/// # Panics
/// Without a runtime on this thread.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match context::run_queue() {
        Ok(queue) => queue.spawn(future),
        Err(err) => panic!("spawn: {err}"),
    }
}

/// Runs a call that blocks on a thread of the runtime's pool, and gives its result through the
/// handle.
///
/// If all threads are busy and their number is at the builder's limit, the call waits. If no thread
/// can be made, the handle says so ([`JoinError::not_started_error`]). A call that has begun is not
/// stopped by `abort`, and delays shutdown by a second at most.
///
/// # Panics
/// Without a runtime on this thread.
///
/// ```
/// let runtime = gannet_runtime::Builder::new_current_thread().build()?;
/// let name = runtime.block_on(async {
///     gannet_runtime::spawn_blocking(|| std::fs::read_to_string("/proc/sys/kernel/ostype")).await
/// });
/// assert_eq!(name.unwrap()?.trim(), "Linux");
/// # Ok::<_, std::io::Error>(())
/// ```
#[track_caller]
pub fn spawn_blocking<F, T>(call: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match context::shared() {
        Ok(shared) => blocking::Pool::spawn(&shared, call),
        Err(err) => panic!("spawn_blocking: {err}"),
    }
}

/// Lets other tasks run before this one goes on: it waits for its next turn in the queue.
///
/// # Cancel safety
/// Dropping the future loses nothing.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
