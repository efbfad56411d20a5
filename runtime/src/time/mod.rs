//! Timers: [`sleep`], [`timeout`], [`interval`].
//!
//! A timer never fires early. It fires late by at most 0.26 ms (the wheel's tick) and what the
//! scheduler adds. Durations may be anything up to `Duration::MAX`: what lies beyond the clock
//! never fires.

pub(crate) mod arming;
pub(crate) mod driver;
pub(crate) mod interval;
pub(crate) mod sleep;
pub(crate) mod timeout;
pub(crate) mod timer;
pub(crate) mod wheel;

pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};

use std::time::Instant;

/// Returns the present instant on the clock that all timers and deadlines use.
///
/// Reference: [`clock_gettime(2)`](https://man7.org/linux/man-pages/man2/clock_gettime.2.html),
/// `CLOCK_MONOTONIC`.
#[must_use]
pub fn now() -> Instant {
    gannet_sys::clock::now()
}
