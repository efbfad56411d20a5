//! The monotonic clock: the only place of the project that reads it.
#![allow(unsafe_code, reason = "system calls")]

use std::time::{Duration, Instant};

/// Returns the monotonic time now.
///
/// A simulated kernel answers with virtual time, so nothing outside this crate calls
/// [`Instant::now`].
///
/// ```
/// use gannet_sys::clock;
///
/// let start = clock::now();
/// assert!(clock::now() >= start);
/// ```
///
/// Reference: [`clock_gettime(2)`](https://man7.org/linux/man-pages/man2/clock_gettime.2.html).
#[inline]
pub fn now() -> Instant {
    Instant::now()
}

/// Returns the time since some point in the past, as of the kernel's last tick: late by 1 to 10 ms,
/// at a seventh of the cost.
///
/// ```
/// use gannet_sys::clock;
///
/// let start = clock::coarse();
/// assert!(clock::coarse() >= start);
/// ```
///
/// Reference: [`clock_gettime(2)`](https://man7.org/linux/man-pages/man2/clock_gettime.2.html),
/// `CLOCK_MONOTONIC_COARSE`.
#[inline]
#[must_use]
pub fn coarse() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a timespec that lives across the call, and the kernel only writes it.
    let ret = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    debug_assert_eq!(ret, 0, "the clock exists since Linux 2.6.32");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::wait_until;

    #[test]
    fn coarse_never_goes_back_and_moves_on() {
        let start = coarse();
        let mut last = start;
        wait_until("the coarse clock moves", || {
            let next = coarse();
            assert!(next >= last);
            last = next;
            next > start
        });
    }

    #[test]
    fn now_never_goes_back_and_moves_on() {
        let start = now();
        let mut last = start;
        wait_until("the clock moves", || {
            let next = now();
            assert!(next >= last);
            last = next;
            next > start
        });
    }
}
