//! Tasks without anything to wait for: started, joined, yielding.

use std::hint::black_box;
use std::sync::Arc;

use super::runtime::Runtime;
use super::signal::Countdown;

/// Tasks alive at a time where many are.
const CROWD: u64 = 1_000;

/// Starts a task that returns a number and waits for it, `units` times, one after the other.
pub(super) async fn spawn_join<R: Runtime>(runtime: R, units: u64) {
    for unit in 0..units {
        black_box(runtime.spawn(async move { black_box(unit) }).await);
    }
}

/// Starts `units` tasks that nobody joins, in crowds that are waited for.
pub(super) async fn spawn_many<R: Runtime>(runtime: R, units: u64) {
    let mut left = units;
    while left > 0 {
        let crowd = left.min(CROWD);
        let countdown = Arc::new(Countdown::new(crowd));
        for _ in 0..crowd {
            let countdown = Arc::clone(&countdown);
            runtime.detach(async move { countdown.done() });
        }
        countdown.wait().await;
        left -= crowd;
    }
}

/// Yields `units` times in this task.
pub(super) async fn yield_alone<R: Runtime>(runtime: R, units: u64) {
    for _ in 0..units {
        runtime.yield_now().await;
    }
}

/// Yields some `units` times in all in a crowd of tasks.
pub(super) async fn yield_in_crowd<R: Runtime>(runtime: R, units: u64) {
    let countdown = Arc::new(Countdown::new(CROWD));
    for _ in 0..CROWD {
        let countdown = Arc::clone(&countdown);
        runtime.detach(async move {
            yield_alone(runtime, units / CROWD).await;
            countdown.done();
        });
    }
    countdown.wait().await;
}
