//! How long tasks take, and whether a second worker would have a processor to itself: what a wake-up
//! must pay for.
//!
//! Waking a thread on another processor costs the waker some 7 µs and takes 15 to 25 µs until it
//! runs. For tasks of 5 µs that pays once there are ten of them in the queue; for one of 300 µs
//! always. On a machine whose processors are all busy it never pays: a second worker then takes its
//! time from the first one, or from whom both serve.
//!
//! The kernel does not say whether a processor is free. But a worker that is preempted shares its
//! own, so one fewer are to be active for a while; then it is tried with one more.
//!
//! All figures are hints. Whatever they are, no runnable is forgotten, and none waits for a stuck
//! worker longer than the [watch](super::watch) takes.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Nanoseconds of work for which waking a worker pays: about twice what a wake-up costs and takes.
const WORTH: u64 = 50_000;
/// A long task makes the mean at most so long, and is forgotten after some hundred short ones.
const MEAN_MAX: u64 = 1_000_000;
/// Tasks over which the mean is taken, more or less.
const MEMORY: u64 = 128;
/// Nanoseconds after which it is tried with one active worker more.
const TRY_AFTER: u64 = 250_000_000;

#[derive(Debug)]
pub(crate) struct Pace {
    /// Nanoseconds that a task takes, on average, or did if one was long of late.
    mean: AtomicU64,
    /// How many workers may be active for a backlog of short tasks.
    limit: AtomicU64,
    /// When the limit may rise; 0 if it need not.
    rises_at: AtomicU64,
    workers: u64,
}

impl Pace {
    /// Expects long tasks, until it knows.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            mean: AtomicU64::new(2 * WORTH),
            limit: AtomicU64::new(workers as u64),
            rises_at: AtomicU64::new(0),
            workers: workers as u64,
        }
    }

    /// One of `active` workers ran `ran` tasks one after the other, which took `sample` nanoseconds
    /// each. `was_preempted` costs a system call, and is asked only if that is much.
    pub(crate) fn note(
        &self,
        now: u64,
        sample: u64,
        ran: u64,
        active: u64,
        was_preempted: impl FnOnce() -> bool,
    ) {
        let rises_at = self.rises_at.load(Ordering::Relaxed);
        if rises_at != 0 && rises_at <= now {
            let limit = self.limit.load(Ordering::Relaxed) + 1;
            self.set_limit(limit, now);
        }
        if sample < WORTH {
            let mean = self.mean.load(Ordering::Relaxed);
            let weight = ran.min(MEMORY / 8);
            let mean = (mean * (MEMORY - weight) + sample * weight) / MEMORY;
            self.mean.store(mean, Ordering::Relaxed);
        } else if was_preempted() {
            self.set_limit(active.saturating_sub(1).max(1), now);
        } else {
            // At once: until now it was wrong to leave the network to one worker.
            self.mean.store(sample.min(MEAN_MAX), Ordering::Relaxed);
        }
    }

    fn set_limit(&self, limit: u64, now: u64) {
        let is_full = limit >= self.workers;
        let rises_at = if is_full { 0 } else { now + TRY_AFTER };
        self.limit.store(limit, Ordering::Relaxed);
        self.rises_at.store(rises_at, Ordering::Relaxed);
    }

    /// Returns whether each task is worth a wake-up.
    pub(crate) fn is_slow(&self) -> bool {
        self.mean.load(Ordering::Relaxed) >= WORTH
    }

    /// Returns whether it pays that `active` workers, one more than without, share `backlog`
    /// runnables.
    pub(crate) fn pays(&self, backlog: u64, active: u64) -> bool {
        let mean = self.mean.load(Ordering::Relaxed);
        mean.saturating_mul(backlog) >= WORTH
            && (mean >= WORTH || active <= self.limit.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: u64 = WORTH / 10;

    /// A pace that has seen many short tasks.
    fn fast(workers: usize) -> Pace {
        let pace = Pace::new(workers);
        for _ in 0..50 {
            pace.note(1, FAST, 16, 1, || unreachable!("it took no time"));
        }
        pace
    }

    #[test]
    fn new_pace_expects_long_tasks() {
        let pace = Pace::new(2);
        assert!(pace.is_slow());
        assert!(pace.pays(1, 2));
        assert!(!pace.pays(0, 2), "nothing to share");
    }

    #[test]
    fn short_tasks_pay_by_the_dozen() {
        let pace = fast(2);
        assert!(!pace.is_slow());
        assert!(!pace.pays(5, 2));
        assert!(pace.pays(20, 2));
    }

    #[test]
    fn long_task_changes_the_pace_at_once_and_not_for_ever() {
        let pace = fast(2);
        pace.note(1, u64::MAX, 1, 1, || false);
        assert!(pace.is_slow());
        let until_fast = (0..1000).take_while(|_| {
            pace.note(1, FAST, 1, 1, || unreachable!("it took no time"));
            pace.is_slow()
        });
        assert!((200..500).contains(&until_fast.count()));
    }

    #[test]
    fn preempted_worker_was_not_slow_and_lowers_the_limit_for_a_while() {
        let pace = fast(3);
        assert!(pace.pays(100, 3));
        pace.note(1, 10 * WORTH, 1, 3, || true);
        assert!(!pace.is_slow());
        assert!(pace.pays(100, 2) && !pace.pays(100, 3));
        pace.note(2, 10 * WORTH, 1, 1, || true);
        assert!(pace.pays(100, 1) && !pace.pays(100, 2), "one goes on");
        pace.note(2 + TRY_AFTER, FAST, 16, 1, || false);
        assert!(pace.pays(100, 2) && !pace.pays(100, 3));
        pace.note(2 + 2 * TRY_AFTER, FAST, 16, 1, || false);
        assert!(pace.pays(100, 3));
        pace.note(2 + 9 * TRY_AFTER, FAST, 16, 1, || false);
        assert!(!pace.pays(100, 4), "there are only three");
    }
}
