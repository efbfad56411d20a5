//! gannet, in both its flavours.

use std::future::Future;
use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use gannet::Builder;
use gannet::net::{TcpListener, TcpStream};
use gannet::time;

use super::runtime::Runtime;
use super::timers::{FAR, STRETCH, stretches};

/// Inside gannet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gannet;

impl Runtime for Gannet {
    fn spawn<T, F>(self, future: F) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let handle = gannet::spawn(future);
        async { handle.await.expect("no task panics or is cancelled") }
    }

    fn detach<F>(self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        gannet::spawn(future);
    }

    fn yield_now(self) -> impl Future<Output = ()> + Send {
        gannet::yield_now()
    }

    fn sleep_until(self, deadline: Instant) -> impl Future<Output = ()> + Send {
        time::sleep_until(deadline)
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

    async fn set_deadlines(self, units: u64) -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        let start = Instant::now() + FAR;
        // At hand, so that no arithmetic is counted; and each a little later, as in an exchange.
        let deadlines: Vec<Instant> = (0..STRETCH)
            .map(|step| start + Duration::from_micros(step))
            .collect();
        for length in stretches(units) {
            for deadline in &deadlines[..length as usize] {
                stream.set_read_deadline(black_box(Some(*deadline)))?;
            }
            self.yield_now().await;
        }
        Ok(())
    }
}

/// Runs `root` in a task on `workers` threads, or on this one without a number.
pub(super) fn run<T: Send + 'static>(
    workers: Option<usize>,
    root: impl Future<Output = T> + Send + 'static,
) -> io::Result<T> {
    let runtime = match workers {
        Some(threads) => Builder::new_multi_thread()
            .worker_threads(threads)
            .build()?,
        None => Builder::new_current_thread().build()?,
    };
    runtime
        .block_on(async { gannet::spawn(root).await })
        .map_err(io::Error::other)
}
