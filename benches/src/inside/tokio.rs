//! tokio, in both its flavours.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::{task, time};

use super::runtime::Runtime;

/// Inside tokio.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokio;

impl Runtime for Tokio {
    fn spawn<T, F>(self, future: F) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let handle = tokio::spawn(future);
        async { handle.await.expect("no task panics or is cancelled") }
    }

    fn detach<F>(self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(future);
    }

    fn yield_now(self) -> impl Future<Output = ()> + Send {
        task::yield_now()
    }

    fn sleep_until(self, deadline: Instant) -> impl Future<Output = ()> + Send {
        time::sleep_until(deadline.into())
    }

    fn sleep(self, duration: Duration) -> impl Future<Output = ()> + Send {
        time::sleep(duration)
    }

    async fn timeout<F>(self, limit: Duration, future: F) -> bool
    where
        F: Future<Output = ()> + Send,
    {
        time::timeout(limit, future).await.is_ok()
    }
}

/// Runs `root` in a task on `workers` threads, or on this one without a number.
pub(super) fn run<T: Send + 'static>(
    workers: Option<usize>,
    root: impl Future<Output = T> + Send + 'static,
) -> io::Result<T> {
    let mut builder = match workers {
        Some(_) => Builder::new_multi_thread(),
        None => Builder::new_current_thread(),
    };
    let runtime = builder
        .worker_threads(workers.unwrap_or(1))
        .enable_all()
        .build()?;
    runtime
        .block_on(async { tokio::spawn(root).await })
        .map_err(io::Error::other)
}
