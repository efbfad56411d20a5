//! The kernel's edge of gannet: every system call behind a safe signature.
//!
//! No other crate of the project names `libc` or a raw system call. Time ([`clock`]) and random
//! bytes ([`random`]) come from here too, so that a simulated kernel can stand behind the same
//! functions and run a whole server deterministically from a seed.
//!
//! # The contract
//! Every public function keeps these rules; its own page tells only what it adds.
//! - **Descriptors.** [`BorrowedFd`](std::os::fd::BorrowedFd) goes in and
//!   [`OwnedFd`](std::os::fd::OwnedFd) comes out. None takes or gives a bare integer, so a
//!   descriptor is open for the whole call, and nothing is closed twice.
//! - **Flags.** What is created here is close-on-exec and non-blocking from birth: the flags
//!   travel in the creating call, never in a later `fcntl`, so no `fork` and `exec` in another
//!   thread can see a descriptor without them.
//! - **Errors.** [`std::io::Error`] from the errno, nothing added; compare
//!   [`raw_os_error`](std::io::Error::raw_os_error) with the constants of [`errno`]. An argument
//!   that no system call could take (a Unix path of 108 bytes) is an error of kind
//!   [`InvalidInput`](std::io::ErrorKind::InvalidInput) whose text names the rule.
//! - **Interruption.** `EINTR` is handed to the caller, who knows his deadline. Two exceptions:
//!   [`fd::close`] reports it and must not be called again, and [`random::fill`] retries.
//! - **Waiting.** Only [`epoll::Epoll::wait`] waits, and only when it is asked to, as long as
//!   the descriptors are non-blocking. An adopted blocking descriptor makes any call wait.
//! - **One call.** A function is one system call unless its page says otherwise, and the calls
//!   of a data path allocate nothing.
//! - **Types.** No signature shows a `libc` type.
//!
//! # Example
//! ```
//! use gannet_sys::socket::{self, Kind};
//! use std::os::fd::AsFd;
//!
//! let (left, right) = socket::socketpair(Kind::Stream)?;
//! socket::send(left.as_fd(), b"ping")?;
//! let mut buf = [0; 16];
//! let len = socket::recv(right.as_fd(), &mut buf)?;
//! assert_eq!(&buf[..len], b"ping");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io;

use libc::{c_int, ssize_t};

pub mod batch;
pub mod clock;
mod control;
pub mod datagram;
pub mod epoll;
pub mod errno;
pub mod eventfd;
pub mod fd;
pub mod fork;
pub mod frame;
pub mod interface;
pub mod message;
pub mod netlink;
pub mod option;
pub mod random;
pub mod reuseport;
pub mod rights;
pub mod sockaddr;
pub mod socket;
#[cfg(test)]
mod testing;
pub mod thread;
pub mod timerfd;
pub mod transfer;
pub mod zero_copy;

/// Turns the `-1` of a system call into the error that errno holds.
#[inline]
pub(crate) fn cvt(ret: c_int) -> io::Result<c_int> {
    if ret == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(ret)
    }
}

/// Turns the length that a data call returned into `usize`, or its `-1` into errno's error.
#[inline]
pub(crate) fn cvt_len(ret: ssize_t) -> io::Result<usize> {
    usize::try_from(ret).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code, reason = "needs a system call that sets errno")]
    fn cvt_minus_one_is_errno() {
        // SAFETY: `close` takes an integer, and -1 is no descriptor, so nothing is closed.
        let ret = unsafe { libc::close(-1) };
        let err = cvt(ret).expect_err("closing -1 fails");
        assert_eq!(err.raw_os_error(), Some(errno::EBADF));
        assert_eq!(cvt(0).expect("zero is success"), 0);
        assert_eq!(cvt(7).expect("a descriptor is success"), 7);
    }

    #[test]
    fn cvt_len_keeps_lengths() {
        assert_eq!(cvt_len(0).expect("zero is the end of a file"), 0);
        assert_eq!(cvt_len(4096).expect("a length is success"), 4096);
        assert!(cvt_len(-1).is_err());
    }
}
