//! Timers: set and dropped, raced against, and fired.

use std::future::{self, Future};
use std::hint::black_box;
use std::io;
use std::pin::{Pin, pin};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::runtime::Runtime;
use super::signal::Countdown;
use super::{Plan, nanos_each};
use crate::procfs::Usage;
use crate::report::Report;

/// A limit that is not reached.
pub(super) const FAR: Duration = Duration::from_secs(30);
/// Where the timers begin that are pending beside the measured ones, and how far apart they are.
const PENDING_FROM: Duration = Duration::from_secs(60);
const PENDING_STEP: Duration = Duration::from_millis(1);
/// How far apart the sleepers are: 100,000 of them wake up within a second.
const SLEEPER_STEP: Duration = Duration::from_micros(10);
/// Units that a task does at a time. It must yield sometimes, as every task does, and seldom enough
/// for that not to be seen.
pub(super) const STRETCH: u64 = 1_000;

/// Polls `future` once.
pub(super) async fn poll_once<F: Future>(mut future: Pin<&mut F>) {
    future::poll_fn(|cx| {
        let _ = black_box(future.as_mut().poll(cx));
        Poll::Ready(())
    })
    .await;
}

/// Cuts `units` into the lengths of stretches.
pub(super) fn stretches(units: u64) -> impl Iterator<Item = u64> {
    (0..units.div_ceil(STRETCH)).map(move |index| (units - index * STRETCH).min(STRETCH))
}

/// Starts `count` tasks that sleep longer than the measurement.
pub(super) fn leave_pending<R: Runtime>(runtime: R, count: u32) {
    let from = Instant::now() + PENDING_FROM;
    for index in 0..count {
        runtime.detach(async move { runtime.sleep_until(from + PENDING_STEP * index).await });
    }
}

/// Makes a sleep, polls it and drops it, `units` times in all in `tasks` tasks.
pub(super) async fn timer_drop<R: Runtime>(runtime: R, tasks: u64, units: u64) {
    let countdown = Arc::new(Countdown::new(tasks));
    for _ in 0..tasks {
        let countdown = Arc::clone(&countdown);
        runtime.detach(async move {
            for length in stretches(units / tasks) {
                for _ in 0..length {
                    poll_once(pin!(runtime.sleep(FAR))).await;
                }
                runtime.yield_now().await;
            }
            countdown.done();
        });
    }
    countdown.wait().await;
}

/// Waits `units` times for a future that yields once, under a limit.
pub(super) async fn timeout<R: Runtime>(runtime: R, units: u64) {
    for _ in 0..units {
        let in_time = runtime.timeout(FAR, runtime.yield_now()).await;
        assert!(in_time, "the limit is far away");
    }
}

/// Has many tasks sleep until instants that are spread evenly, and tells what that costs and how
/// late they wake up.
pub(super) async fn sleepers<R: Runtime>(runtime: R, plan: Plan) -> io::Result<Report> {
    if plan.warm_up > 0 {
        sleep_all(runtime, plan.warm_up).await?;
    }
    sleep_all(runtime, plan.units).await
}

async fn sleep_all<R: Runtime>(runtime: R, units: u64) -> io::Result<Report> {
    let spread = SLEEPER_STEP.saturating_mul(u32::try_from(units).unwrap_or(u32::MAX));
    let late_us: Arc<[AtomicU64]> = (0..units).map(|_| AtomicU64::new(0)).collect();
    let countdown = Arc::new(Countdown::new(units));
    let before = Usage::read(process::id())?;
    let begun = Instant::now();
    // Time enough for all to be set before the first fires.
    let first = begun + spread;
    for index in 0..units {
        let (late_us, countdown) = (Arc::clone(&late_us), Arc::clone(&countdown));
        runtime.detach(async move {
            let deadline = first + SLEEPER_STEP * index as u32;
            runtime.sleep_until(deadline).await;
            let late = Instant::now().saturating_duration_since(deadline);
            late_us[index as usize].store(late.as_micros() as u64, Ordering::Relaxed);
            countdown.done();
        });
    }
    runtime.sleep_until(begun + spread.mul_f64(0.9)).await;
    let set = Usage::read(process::id())?;
    countdown.wait().await;
    let elapsed = begun.elapsed();
    let fired = Usage::read(process::id())?;
    let spent = fired.since(&before);
    let mut report = Report::new();
    report.add("units", units as f64);
    report.add("cpu_ns", nanos_each(spent.user + spent.system, units));
    let setting = set.since(&before);
    report.add(
        "set_cpu_ns",
        nanos_each(setting.user + setting.system, units),
    );
    report.add("user_ns", nanos_each(spent.user, units));
    report.add("switches", spent.switches as f64 / units as f64);
    report.add("elapsed_ms", elapsed.as_secs_f64() * 1e3);
    let mut late: Vec<u64> = late_us
        .iter()
        .map(|late| late.load(Ordering::Relaxed))
        .collect();
    report.add("late_last_us", late[late.len() - 1] as f64);
    late.sort_unstable();
    report.add("late_p50_us", late[late.len() / 2] as f64);
    report.add("late_p99_us", late[(late.len() - 1) * 99 / 100] as f64);
    report.add("late_max_us", late[late.len() - 1] as f64);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_cover_all_units() {
        let lengths = |units| stretches(units).collect::<Vec<_>>();
        assert_eq!(lengths(0), [0; 0]);
        assert_eq!(lengths(1), [1]);
        assert_eq!(lengths(STRETCH), [STRETCH]);
        assert_eq!(lengths(2 * STRETCH + 7), [STRETCH, STRETCH, 7]);
    }
}
