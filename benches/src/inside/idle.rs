//! A runtime that has nothing to do.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::runtime::Runtime;
use super::signal::Signal;
use super::{Plan, tasks};
use crate::report::Report;

/// Runs some tasks and a timer, then nothing for `plan.units` milliseconds, and tells how often the
/// runtime's threads woke up meanwhile.
pub(super) async fn idle<R: Runtime>(runtime: R, plan: Plan) -> io::Result<Report> {
    tasks::spawn_many(runtime, 10_000).await;
    runtime.sleep(Duration::from_millis(2)).await;
    let period = Duration::from_millis(plan.units);
    let over = Arc::new(Signal::default());
    let (sender, receiver) = mpsc::channel();
    let end = Arc::clone(&over);
    thread::Builder::new()
        .name("observer".to_owned())
        .spawn(move || {
            // What ends by itself soon after work (a spin, a timer that was set) is not idling.
            thread::sleep(period / 10);
            let told = observe(period);
            // The receiver waits until the signal.
            let _ = sender.send(told);
            end.raise();
        })?;
    over.wait().await;
    let wake_ups = receiver.recv().map_err(io::Error::other)??;
    let mut report = Report::new();
    report.add("wake_ups", wake_ups as f64);
    report.add("period_s", period.as_secs_f64());
    Ok(report)
}

/// Counts how often the threads of this process but this one give up their processor for `period`.
fn observe(period: Duration) -> io::Result<u64> {
    let before = voluntary_switches()?;
    thread::sleep(period);
    Ok(voluntary_switches()?.saturating_sub(before))
}

/// A thread that wakes up and waits again has one voluntary switch more.
fn voluntary_switches() -> io::Result<u64> {
    let this = fs::read_link("/proc/thread-self")?;
    let mut sum = 0;
    for entry in fs::read_dir("/proc/self/task")? {
        let path = entry?.path();
        if path.file_name() == this.file_name() {
            continue;
        }
        // A thread may end between the listing and the reading.
        let Ok(status) = fs::read_to_string(path.join("status")) else {
            continue;
        };
        let count = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
            .and_then(|count| count.trim().parse::<u64>().ok());
        sum += count.ok_or_else(|| io::Error::other("a status file without switches"))?;
    }
    Ok(sum)
}
