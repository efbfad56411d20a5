//! `Interval`: ticks at a fixed rate.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::sleep::{Sleep, sleep_until};

/// What an [`Interval`] does after ticks that nobody took in time.
///
/// ```
/// use gannet_runtime::time::{MissedTickBehavior, interval};
///
/// let mut beat = interval(std::time::Duration::from_secs(1));
/// beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
/// assert_eq!(beat.missed_tick_behavior(), MissedTickBehavior::Skip);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Gives the missed ticks at once, one after the other, until it has caught up.
    #[default]
    Burst,
    /// Gives one tick at once, and the next a full period after that.
    Delay,
    /// Gives one tick at once, and the next at the next multiple of the period from the start.
    Skip,
}

/// Ticks every `period`, the first time at once. See [`Interval`].
///
/// # Panics
/// If `period` is zero.
///
/// ```
/// use gannet_runtime::time;
/// use std::time::Duration;
///
/// let runtime = gannet_runtime::Builder::new_current_thread().build()?;
/// runtime.block_on(async {
///     let mut interval = time::interval(Duration::from_millis(1));
///     let first = interval.tick().await;
///     let second = interval.tick().await;
///     assert_eq!(second - first, Duration::from_millis(1));
/// });
/// # Ok::<_, std::io::Error>(())
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(super::now(), period)
}

/// Ticks every `period`, the first time at `start`. See [`Interval`].
///
/// # Panics
/// If `period` is zero.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(
        !period.is_zero(),
        "the period of an interval must not be zero"
    );
    Interval {
        next: Some(start),
        sleep: sleep_until(start),
        period,
        missed: MissedTickBehavior::default(),
    }
}

/// A clock that ticks at a fixed rate, however long the work in between takes.
///
/// See [`interval`] for an example.
#[derive(Debug)]
pub struct Interval {
    /// When the next tick is due; `None` lies beyond the clock.
    next: Option<Instant>,
    sleep: Sleep,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick and returns the instant at which it was due.
    ///
    /// # Cancel safety
    /// Dropping the future loses no tick.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        let Some(due) = self.next else {
            return Poll::Pending;
        };
        ready!(Pin::new(&mut self.sleep).poll(cx));
        self.next = self.after(due, super::now());
        if let Some(next) = self.next {
            self.sleep.reset(next);
        }
        Poll::Ready(due)
    }

    /// The tick that follows the one due at `due`, which was taken at `now`.
    fn after(&self, due: Instant, now: Instant) -> Option<Instant> {
        let regular = due.checked_add(self.period)?;
        if now < regular || self.missed == MissedTickBehavior::Burst {
            return Some(regular);
        }
        if self.missed == MissedTickBehavior::Delay {
            return now.checked_add(self.period);
        }
        let into_period = (now - due).as_nanos() % self.period.as_nanos();
        let rest = self.period.as_nanos() - into_period;
        // A rest is at most a period, which fits by its type.
        let rest = Duration::new((rest / 1_000_000_000) as u64, (rest % 1_000_000_000) as u32);
        now.checked_add(rest)
    }

    /// Lets the next tick come a full period from now.
    pub fn reset(&mut self) {
        self.next = super::now().checked_add(self.period);
        if let Some(next) = self.next {
            self.sleep.reset(next);
        }
    }

    /// Returns the time between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Returns what happens after missed ticks.
    #[must_use]
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Sets what happens after missed ticks.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[track_caller]
    fn check(missed: MissedTickBehavior, taken: Duration, expected: Duration) {
        let start = super::super::now();
        let mut interval = interval_at(start, 10 * MS);
        interval.set_missed_tick_behavior(missed);
        let next = interval.after(start, start + taken).expect("near");
        assert_eq!(
            next - start,
            expected,
            "{missed:?}, tick taken {taken:?} after it was due"
        );
    }

    #[test]
    fn tick_taken_in_time_is_followed_by_the_regular_one() {
        for missed in [
            MissedTickBehavior::Burst,
            MissedTickBehavior::Delay,
            MissedTickBehavior::Skip,
        ] {
            check(missed, Duration::ZERO, 10 * MS);
            check(missed, 9 * MS, 10 * MS);
        }
    }

    #[test]
    fn tick_taken_late_is_followed_by_what_the_behavior_says() {
        check(MissedTickBehavior::Burst, 25 * MS, 10 * MS);
        check(MissedTickBehavior::Delay, 25 * MS, 35 * MS);
        check(MissedTickBehavior::Skip, 25 * MS, 30 * MS);
        check(MissedTickBehavior::Skip, 30 * MS, 40 * MS);
        check(MissedTickBehavior::Skip, 10 * MS, 20 * MS);
    }

    #[test]
    fn largest_period_never_ticks_again() {
        let start = super::super::now();
        assert_eq!(interval_at(start, Duration::MAX).after(start, start), None);
    }
}
