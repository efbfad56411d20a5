//! Tasks that wake each other: through channels, by hand, and at a lock.
//!
//! The bounded channel and the mutex are async-channel and async-lock, which know no runtime, wake
//! through `Waker` alone, come with smol and are what libraries use that name no runtime; all rivals
//! share them. tokio's `mpsc` knows no runtime either, but for tokio's own budget, and is the second
//! channel, so that tokio is seen with its own.

use std::sync::Arc;

use smol::channel;
use smol::lock::Mutex;
use tokio::sync::mpsc;

use super::runtime::Runtime;
use super::signal::{Countdown, Signal};

/// Sends a number there and back through two channels of one place each, `units` times.
pub(super) async fn ping_pong<R: Runtime>(runtime: R, units: u64) {
    let (there, pings) = channel::bounded(1);
    let (back, pongs) = channel::bounded(1);
    runtime.detach(async move {
        while let Ok(number) = pings.recv().await {
            // The other side goes once it has enough, and then this fails.
            if back.send(number).await.is_err() {
                return;
            }
        }
    });
    for unit in 0..units {
        there.send(unit).await.expect("the other task receives");
        let number: u64 = pongs.recv().await.expect("the other task answers");
        assert_eq!(number, unit);
    }
}

/// The same through two of tokio's channels.
pub(super) async fn ping_pong_mpsc<R: Runtime>(runtime: R, units: u64) {
    let (there, mut pings) = mpsc::channel(1);
    let (back, mut pongs) = mpsc::channel(1);
    runtime.detach(async move {
        while let Some(number) = pings.recv().await {
            if back.send(number).await.is_err() {
                return;
            }
        }
    });
    for unit in 0..units {
        there.send(unit).await.expect("the other task receives");
        let number: u64 = pongs.recv().await.expect("the other task answers");
        assert_eq!(number, unit);
    }
}

/// Two tasks wake each other in turn, through wakers that they leave in two cells; a unit is one
/// wake-up.
pub(super) async fn wake<R: Runtime>(runtime: R, units: u64) {
    let cells = Arc::new((Signal::default(), Signal::default()));
    let other = Arc::clone(&cells);
    let rounds = units / 2;
    let echo = runtime.spawn(async move {
        for _ in 0..rounds {
            other.0.wait().await;
            other.1.raise();
        }
    });
    for _ in 0..rounds {
        cells.0.raise();
        cells.1.wait().await;
    }
    echo.await;
}

/// Has `tasks` tasks lock one mutex and count, some `units` times in all; with `held`, each yields
/// before it unlocks.
pub(super) async fn contend<R: Runtime>(runtime: R, tasks: u64, held: bool, units: u64) {
    let counter = Arc::new(Mutex::new(0_u64));
    let countdown = Arc::new(Countdown::new(tasks));
    for _ in 0..tasks {
        let (counter, countdown) = (Arc::clone(&counter), Arc::clone(&countdown));
        runtime.detach(async move {
            for _ in 0..units / tasks {
                let mut count = counter.lock().await;
                *count += 1;
                if held {
                    runtime.yield_now().await;
                }
            }
            countdown.done();
        });
    }
    countdown.wait().await;
    assert_eq!(*counter.lock().await, units / tasks * tasks);
}
