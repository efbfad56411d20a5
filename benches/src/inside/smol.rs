//! smol: one async-executor that the workers run, as its documentation shows. A timeout is a race
//! against a `Timer`, since smol has none of its own.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use smol::future::FutureExt as _;
use smol::{Executor, Timer};

use super::runtime::Runtime;
use super::signal::Signal;

/// Inside smol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Smol {
    executor: &'static Executor<'static>,
}

impl Smol {
    /// Makes an executor, which stays for the rest of the process as a static one would.
    pub(super) fn new() -> Self {
        Self {
            executor: Box::leak(Box::new(Executor::new())),
        }
    }
}

impl Runtime for Smol {
    fn spawn<T, F>(self, future: F) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.executor.spawn(future)
    }

    fn detach<F>(self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.executor.spawn(future).detach();
    }

    fn yield_now(self) -> impl Future<Output = ()> + Send {
        smol::future::yield_now()
    }

    async fn sleep_until(self, deadline: Instant) {
        Timer::at(deadline).await;
    }

    async fn sleep(self, duration: Duration) {
        Timer::after(duration).await;
    }

    async fn timeout<F>(self, limit: Duration, future: F) -> bool
    where
        F: Future<Output = ()> + Send,
    {
        let in_time = async {
            future.await;
            true
        };
        let late = async {
            Timer::after(limit).await;
            false
        };
        in_time.or(late).await
    }
}

/// Runs `root` in a task on `workers` threads, of which this one is the first.
pub(super) fn run<T: Send + 'static>(
    smol: Smol,
    workers: usize,
    root: impl Future<Output = T> + Send + 'static,
) -> io::Result<T> {
    let ends: Vec<Arc<Signal>> = (1..workers).map(|_| Arc::default()).collect();
    for end in &ends {
        let end = Arc::clone(end);
        thread::Builder::new()
            .spawn(move || smol::block_on(smol.executor.run(async { end.wait().await })))?;
    }
    let task = smol.executor.spawn(root);
    let output = smol::block_on(smol.executor.run(task));
    for end in ends {
        end.raise();
    }
    Ok(output)
}
