//! `Metrics`: a snapshot of a runtime's figures.

use crate::sched::shared::Shared;
use crate::sync::atomic::Ordering;

/// Figures of one worker. Counters start at zero with the runtime and only grow.
///
/// ```
/// let runtime = gannet_runtime::Builder::new_current_thread().build()?;
/// runtime.block_on(async { gannet_runtime::spawn(async {}).await }).unwrap();
/// let [worker] = &runtime.metrics().per_worker[..] else { panic!("one worker") };
/// assert!(worker.polls >= 1);
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// Runnables in the worker's own queue.
    pub queue_len: usize,
    /// Task polls so far.
    pub polls: u64,
    /// Times the worker waited.
    pub parks: u64,
    /// Times it stole from another worker.
    pub steals: u64,
}

/// A snapshot of a runtime's figures, each read by itself: between two of them the runtime moves
/// on.
///
/// ```
/// let runtime = gannet_runtime::Builder::new_current_thread().build()?;
/// let metrics = runtime.metrics();
/// assert_eq!((metrics.workers, metrics.tasks_alive, metrics.descriptors), (1, 0, 0));
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Workers of the runtime.
    pub workers: usize,
    /// Workers that wait at the moment.
    pub workers_parked: usize,
    /// Runnables in the global queue.
    pub inject_queue_len: usize,
    /// Tasks spawned so far.
    pub tasks_spawned: u64,
    /// Tasks that have not completed.
    pub tasks_alive: usize,
    /// Wake-ups written to an eventfd so far.
    pub wakes: u64,
    /// Descriptors that are registered.
    pub descriptors: usize,
    /// Timers that are set; those of descriptors with a deadline count once each.
    pub timers: usize,
    /// Threads for blocking calls.
    pub blocking_threads: usize,
    /// Blocking calls that wait for a thread.
    pub blocking_queue_len: usize,
    /// Figures of each worker.
    pub per_worker: Vec<WorkerMetrics>,
}

impl Metrics {
    pub(crate) fn of(shared: &Shared) -> Self {
        let (tasks_alive, tasks_spawned) = shared.registry.counts();
        let (blocking_threads, blocking_queue_len) = shared.blocking.counts();
        let per_worker = shared.remotes.iter().map(|remote| WorkerMetrics {
            queue_len: remote.queue.len() as usize,
            polls: remote.stamp.load(Ordering::Relaxed),
            parks: remote.parks.load(Ordering::Relaxed),
            steals: remote.steals.load(Ordering::Relaxed),
        });
        Self {
            workers: shared.remotes.len(),
            workers_parked: shared.idle.parked() as usize,
            inject_queue_len: shared.inject.len(),
            tasks_spawned,
            tasks_alive,
            wakes: shared.poller.wakes(),
            descriptors: shared.poller.slots.len(),
            timers: shared.poller.timers.len(),
            blocking_threads,
            blocking_queue_len,
            per_worker: per_worker.collect(),
        }
    }
}
