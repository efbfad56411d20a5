//! A timer with a descriptor, for waits finer than the milliseconds of epoll.
#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use crate::cvt;
use crate::eventfd::read_counter;

/// The longest delay that is armed, about 31 years: it fits the kernel's clock on any machine.
const DELAY_MAX: Duration = Duration::from_secs(1_000_000_000);

/// A one-shot timer on the monotonic clock, non-blocking and close-on-exec.
///
/// It is readable from the moment it expires until it is drained, set again or disarmed.
///
/// ```
/// use gannet_sys::epoll::{Epoll, Events, Interest, Wait};
/// use gannet_sys::timerfd::TimerFd;
/// use std::os::fd::AsFd;
/// use std::time::Duration;
///
/// let timer = TimerFd::new()?;
/// let epoll = Epoll::new()?;
/// epoll.add(timer.as_fd(), Interest::READ, 1)?;
/// timer.set_after(Duration::from_micros(50))?;
///
/// let mut events = Events::with_capacity(1);
/// assert_eq!(epoll.wait(&mut events, 1, Wait::Forever)?, 1);
/// assert_eq!(timer.drain()?, 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TimerFd {
    fd: OwnedFd,
}

impl TimerFd {
    /// Creates a disarmed timer.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE` when descriptors ran out, `ENOMEM`.
    ///
    /// Reference: [`timerfd_create(2)`][man].
    ///
    /// [man]: https://man7.org/linux/man-pages/man2/timerfd_create.2.html
    pub fn new() -> io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: the call takes two integers and no pointer.
        let fd = cvt(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        // SAFETY: the kernel has just returned `fd`, so it is open and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// Arms the timer to expire once, `delay` from now, and forgets what it was set to before.
    ///
    /// A zero delay is one nanosecond, because zero would disarm. A delay over a billion seconds
    /// (31 years) is cut to that.
    ///
    /// # Errors
    /// None that a caller can act on: the descriptor and the value are valid by construction.
    ///
    /// Reference: [`timerfd_settime(2)`][man].
    ///
    /// [man]: https://man7.org/linux/man-pages/man2/timerfd_create.2.html
    pub fn set_after(&self, delay: Duration) -> io::Result<()> {
        self.set(delay.clamp(Duration::from_nanos(1), DELAY_MAX))
    }

    /// Disarms the timer; an expiry that was not drained is forgotten.
    ///
    /// # Errors
    /// None that a caller can act on.
    ///
    /// Reference: [`timerfd_settime(2)`][man].
    ///
    /// [man]: https://man7.org/linux/man-pages/man2/timerfd_create.2.html
    pub fn disarm(&self) -> io::Result<()> {
        self.set(Duration::ZERO)
    }

    /// Returns 1 if the timer expired since it was set or drained last, else 0, and makes it
    /// unreadable.
    ///
    /// # Errors
    /// `EINTR` if a signal came first; the expiry is then kept.
    ///
    /// Reference: [`timerfd_create(2)`][man].
    ///
    /// [man]: https://man7.org/linux/man-pages/man2/timerfd_create.2.html
    pub fn drain(&self) -> io::Result<u64> {
        read_counter(self.as_fd())
    }

    fn set(&self, delay: Duration) -> io::Result<()> {
        let value = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            // Both fit: `delay` is at most `DELAY_MAX`, and there are 10^9 nanoseconds.
            it_value: libc::timespec {
                tv_sec: delay.as_secs() as _,
                tv_nsec: delay.subsec_nanos() as _,
            },
        };
        // SAFETY: `value` is initialised and lives across the call, the kernel only reads it, and
        // a null pointer asks it not to write the old setting.
        let ret = unsafe { libc::timerfd_settime(self.fd.as_raw_fd(), 0, &value, ptr::null_mut()) };
        cvt(ret).map(drop)
    }
}

impl AsFd for TimerFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::fd::{self, PollDirection};
    use crate::testing::wait_until;

    fn is_expired(timer: &TimerFd) -> bool {
        fd::poll(timer.as_fd(), PollDirection::Read).expect("the timer is open")
    }

    /// Reads back how long is left, and zero for a disarmed timer.
    fn left(timer: &TimerFd) -> Duration {
        let zero = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut value = libc::itimerspec {
            it_interval: zero,
            it_value: zero,
        };
        // SAFETY: `value` is writable and lives across the call.
        let ret = unsafe { libc::timerfd_gettime(timer.fd.as_raw_fd(), &mut value) };
        cvt(ret).expect("the timer is open");
        Duration::new(value.it_value.tv_sec as u64, value.it_value.tv_nsec as u32)
    }

    #[test]
    fn new_is_disarmed_nonblocking_and_cloexec() {
        let timer = TimerFd::new().expect("a descriptor is free");
        assert!(fd::is_nonblocking(timer.as_fd()).expect("open"));
        assert!(fd::is_cloexec(timer.as_fd()).expect("open"));
        assert_eq!(left(&timer), Duration::ZERO);
        assert_eq!(timer.drain().expect("nothing expired is no error"), 0);
    }

    #[test]
    fn set_after_expires_once_and_not_early() {
        let timer = TimerFd::new().expect("a descriptor is free");
        let delay = Duration::from_millis(3);
        let start = clock::now();
        timer.set_after(delay).expect("a valid delay");
        wait_until("the timer expires", || is_expired(&timer));
        assert!(clock::now() - start >= delay);
        assert_eq!(timer.drain().expect("open"), 1);
        assert!(!is_expired(&timer));
        assert_eq!(left(&timer), Duration::ZERO, "one shot");
    }

    #[test]
    fn set_after_zero_expires_at_once() {
        let timer = TimerFd::new().expect("a descriptor is free");
        timer.set_after(Duration::ZERO).expect("zero is rounded up");
        wait_until("the timer expires", || is_expired(&timer));
    }

    #[test]
    fn set_after_huge_delay_is_capped() {
        let timer = TimerFd::new().expect("a descriptor is free");
        timer
            .set_after(Duration::MAX)
            .expect("a huge delay is capped");
        assert!(left(&timer) > DELAY_MAX - Duration::from_secs(60));
        assert!(left(&timer) <= DELAY_MAX);
    }

    #[test]
    fn disarm_forgets_an_expiry() {
        let timer = TimerFd::new().expect("a descriptor is free");
        timer.set_after(Duration::ZERO).expect("a valid delay");
        wait_until("the timer expires", || is_expired(&timer));
        timer.disarm().expect("open");
        assert!(!is_expired(&timer));
        timer
            .set_after(Duration::from_secs(600))
            .expect("a valid delay");
        assert!(left(&timer) > Duration::ZERO);
        timer.disarm().expect("open");
        assert_eq!(left(&timer), Duration::ZERO);
    }
}
