//! A counter with a descriptor, to wake a thread that waits in epoll.
#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{cvt, fd};

/// An eventfd, non-blocking and close-on-exec: readable while its counter is not zero.
///
/// ```
/// use gannet_sys::eventfd::EventFd;
///
/// let bell = EventFd::new()?;
/// bell.notify()?;
/// bell.notify()?;
/// assert_eq!(bell.drain()?, 2);
/// assert_eq!(bell.drain()?, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct EventFd {
    fd: OwnedFd,
}

impl EventFd {
    /// Creates an eventfd whose counter is zero.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE` when descriptors ran out, `ENOMEM`.
    ///
    /// Reference: [`eventfd(2)`](https://man7.org/linux/man-pages/man2/eventfd.2.html).
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call takes two integers and no pointer.
        let fd = cvt(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel has just returned `fd`, so it is open and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// Adds one to the counter. Every call raises an edge, also when the counter was not zero.
    ///
    /// A counter at its limit would refuse with `EAGAIN`; that is a success here, because the
    /// descriptor is readable, which is all that was asked.
    ///
    /// # Errors
    /// `EINTR` if a signal came first; the counter is then unchanged.
    ///
    /// Reference: [`eventfd(2)`](https://man7.org/linux/man-pages/man2/eventfd.2.html).
    pub fn notify(&self) -> io::Result<()> {
        match fd::write(self.as_fd(), &1u64.to_ne_bytes()) {
            Err(err) if err.kind() != io::ErrorKind::WouldBlock => Err(err),
            _ => Ok(()),
        }
    }

    /// Takes the counter down to zero and returns what it was; zero means that nobody notified.
    ///
    /// # Errors
    /// `EINTR` if a signal came first; the counter is then unchanged.
    ///
    /// Reference: [`eventfd(2)`](https://man7.org/linux/man-pages/man2/eventfd.2.html).
    pub fn drain(&self) -> io::Result<u64> {
        read_counter(self.as_fd())
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Reads the 8-byte counter of an eventfd or a timerfd; an empty one is zero and not `EAGAIN`.
pub(crate) fn read_counter(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut counter = [0; 8];
    match fd::read(fd, &mut counter) {
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(err) => Err(err),
        // Either kind transfers 8 bytes or fails.
        Ok(_) => Ok(u64::from_ne_bytes(counter)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fd::PollDirection;

    #[test]
    fn new_is_nonblocking_and_cloexec() {
        let bell = EventFd::new().expect("a descriptor is free");
        assert!(fd::is_nonblocking(bell.as_fd()).expect("open"));
        assert!(fd::is_cloexec(bell.as_fd()).expect("open"));
    }

    #[test]
    fn notify_makes_it_readable_until_drained() {
        let bell = EventFd::new().expect("a descriptor is free");
        assert!(!fd::poll(bell.as_fd(), PollDirection::Read).expect("open"));
        assert_eq!(bell.drain().expect("an empty counter is no error"), 0);
        for _ in 0..3 {
            bell.notify().expect("there is room");
        }
        assert!(fd::poll(bell.as_fd(), PollDirection::Read).expect("open"));
        assert_eq!(bell.drain().expect("open"), 3);
        assert!(!fd::poll(bell.as_fd(), PollDirection::Read).expect("open"));
    }

    #[test]
    fn notify_full_counter_is_success() {
        let bell = EventFd::new().expect("a descriptor is free");
        let limit = u64::MAX - 1;
        fd::write(bell.as_fd(), &limit.to_ne_bytes()).expect("the limit itself fits");
        let err = fd::write(bell.as_fd(), &1u64.to_ne_bytes()).expect_err("the counter is full");
        assert_eq!(err.kind(), io::ErrorKind::WouldBlock);
        bell.notify().expect("a full counter is readable");
        assert_eq!(bell.drain().expect("open"), limit);
    }
}
