//! Calls that any descriptor takes: flags, duplication, closing, polling, reading and writing.
#![allow(unsafe_code, reason = "system calls")]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use libc::c_int;

use crate::{cvt, cvt_len, errno};

/// The most slices that the kernel takes in one call (`UIO_MAXIOV`).
pub(crate) const SLICES_MAX: usize = 1024;

/// Sets or clears `O_NONBLOCK`, which is shared by all duplicates of `fd`.
///
/// The flags are read first and written only if they change, so a descriptor that is right already
/// costs one call. Descriptors made by this crate are non-blocking from birth; this is for adopted
/// ones.
///
/// # Errors
/// None that a caller can act on for an open descriptor.
///
/// Reference: [`fcntl(2)`](https://man7.org/linux/man-pages/man2/fcntl.2.html).
pub fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    let old = status_flags(fd)?;
    let new = if on {
        old | libc::O_NONBLOCK
    } else {
        old & !libc::O_NONBLOCK
    };
    if new != old {
        // SAFETY: `F_SETFL` takes an integer; `fd` is borrowed, so it stays open for the call.
        cvt(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, new) })?;
    }
    Ok(())
}

/// Returns whether `O_NONBLOCK` is set.
///
/// # Errors
/// None that a caller can act on for an open descriptor.
///
/// Reference: [`fcntl(2)`](https://man7.org/linux/man-pages/man2/fcntl.2.html).
pub fn is_nonblocking(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(status_flags(fd)? & libc::O_NONBLOCK != 0)
}

/// Returns whether `fd` is closed in a program started by `exec`.
///
/// # Errors
/// None that a caller can act on for an open descriptor.
///
/// Reference: [`fcntl(2)`](https://man7.org/linux/man-pages/man2/fcntl.2.html).
pub fn is_cloexec(fd: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: `F_GETFD` takes no argument; `fd` is borrowed, so it stays open for the call.
    let flags = cvt(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) })?;
    Ok(flags & libc::FD_CLOEXEC != 0)
}

/// Duplicates `fd`, close-on-exec; both share the open file description, `O_NONBLOCK` included.
///
/// The new number is 3 or more, so it never becomes standard input, output or error.
///
/// # Errors
/// `EMFILE` when descriptors ran out.
///
/// Reference: [`fcntl(2)`](https://man7.org/linux/man-pages/man2/fcntl.2.html).
pub fn dup_cloexec(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: `F_DUPFD_CLOEXEC` takes an integer; `fd` is borrowed, so it stays open for the call.
    let new = cvt(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the kernel has just returned `new`, so it is open and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

/// Takes the descriptors 3 to 2 + `count`, which whoever started this process has left open for it, and
/// makes them close-on-exec. Only the first call of a process gets any.
///
/// # Errors
/// `EBADF` if one of them is not open; then none is taken.
///
/// Reference: [`sd_listen_fds(3)`](https://man7.org/linux/man-pages/man3/sd_listen_fds.3.html).
pub fn take_inherited(count: u32) -> io::Result<Vec<OwnedFd>> {
    const FIRST: c_int = 3;
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let end = c_int::try_from(count)
        .ok()
        .and_then(|count| FIRST.checked_add(count))
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?;
    if count == 0 || TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    for raw in FIRST..end {
        // SAFETY: the call takes integers and no pointer; on a descriptor that is not open it fails.
        cvt(unsafe { libc::fcntl(raw, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    }
    let own = |raw| {
        // SAFETY: the descriptor is open. Who started this process says that it is meant to be taken,
        // and by the flag above nobody has taken it here before.
        unsafe { OwnedFd::from_raw_fd(raw) }
    };
    Ok((FIRST..end).map(own).collect())
}

/// Closes `fd` and reports what the kernel says; dropping an [`OwnedFd`] hides it.
///
/// The descriptor is gone whatever the result: a retry after an error could close a descriptor
/// that another thread has opened in between, so there is none.
///
/// # Errors
/// `EINTR`, `EIO`, and for files on a network `ENOSPC`: data written earlier may be lost.
///
/// Reference: [`close(2)`](https://man7.org/linux/man-pages/man2/close.2.html).
pub fn close(fd: OwnedFd) -> io::Result<()> {
    // SAFETY: `into_raw_fd` gives up the ownership, so `fd` is open and nobody closes it again.
    cvt(unsafe { libc::close(fd.into_raw_fd()) }).map(drop)
}

/// A descriptor whose number may come to stand for another file.
///
/// A function that did that to any borrowed descriptor would pull the file from under its owner.
/// Here the owner has agreed, by giving the descriptor to this type.
#[derive(Debug)]
pub struct Replaceable(OwnedFd);

impl Replaceable {
    /// Takes the descriptor over.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Makes the number refer to the open file description of `with`, close-on-exec.
    ///
    /// What it referred to is closed first, in one step with the replacement, so that no other
    /// thread can be given the number in between; its close errors are lost. Whoever borrows the
    /// descriptor talks to `with`'s file from now on, and an epoll registration of the old file ends
    /// unless a duplicate keeps it open.
    ///
    /// # Errors
    /// `EBADF` if the number is not below the limit of open files (`RLIMIT_NOFILE`), which may have
    /// been lowered since; `EINVAL` if both are the same descriptor; `EBUSY` in a race with a thread
    /// that opens one; `EINTR`.
    ///
    /// Reference: [`dup3(2)`](https://man7.org/linux/man-pages/man2/dup.2.html).
    pub fn replace(&self, with: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: the call takes integers. Both descriptors are open: one is owned here, the other
        // borrowed. Ours stays open, with another file behind it, as its owner has agreed.
        let ret = unsafe { libc::dup3(with.as_raw_fd(), self.0.as_raw_fd(), libc::O_CLOEXEC) };
        cvt(ret).map(drop)
    }

    /// Gives the descriptor back.
    #[must_use]
    pub fn into_owned(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for Replaceable {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes a pipe and returns its reading and its writing end, non-blocking and close-on-exec.
///
/// # Errors
/// `EMFILE`, `ENFILE` when descriptors ran out.
///
/// Reference: [`pipe2(2)`](https://man7.org/linux/man-pages/man2/pipe.2.html).
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    // SAFETY: `fds` has room for the two descriptors that the kernel writes.
    cvt(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
    // SAFETY: the call succeeded, so the first is open and nobody else owns it.
    let read_end = unsafe { OwnedFd::from_raw_fd(fds[0]) };
    // SAFETY: the call succeeded, so the second is open and nobody else owns it.
    let write_end = unsafe { OwnedFd::from_raw_fd(fds[1]) };
    Ok((read_end, write_end))
}

/// The direction that [`poll`] asks about.
///
/// ```
/// use gannet_sys::fd::{self, PollDirection};
/// use std::os::fd::AsFd;
///
/// let (read_end, write_end) = fd::pipe()?;
/// assert!(!fd::poll(read_end.as_fd(), PollDirection::Read)?);
/// fd::write(write_end.as_fd(), b"x")?;
/// assert!(fd::poll(read_end.as_fd(), PollDirection::Read)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollDirection {
    /// Would a read succeed, report the end or report an error?
    Read,
    /// Would a write succeed or report an error?
    Write,
}

/// Returns whether `fd` is ready in a direction, without waiting.
///
/// An error or a hang-up is readiness in both directions. A regular file is always ready.
///
/// # Errors
/// `EINTR`, `ENOMEM`.
///
/// Reference: [`poll(2)`](https://man7.org/linux/man-pages/man2/poll.2.html).
pub fn poll(fd: BorrowedFd<'_>, dir: PollDirection) -> io::Result<bool> {
    let events = match dir {
        PollDirection::Read => libc::POLLIN | libc::POLLRDHUP,
        PollDirection::Write => libc::POLLOUT,
    };
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: `entry` is one initialised entry, as the count says, and lives across the call.
    cvt(unsafe { libc::poll(&mut entry, 1, 0) })?;
    if entry.revents & libc::POLLNVAL != 0 {
        return Err(io::Error::from_raw_os_error(errno::EBADF));
    }
    Ok(entry.revents != 0)
}

/// Reads into `buf` and returns the length; zero is the end of the file, or an empty `buf`.
///
/// # Errors
/// `EAGAIN` if nothing is there, `EINTR`, `EBADF` if `fd` is not open for reading, `EIO`.
///
/// Reference: [`read(2)`](https://man7.org/linux/man-pages/man2/read.2.html).
#[inline]
pub fn read(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `buf` is borrowed mutably and writable for its length; the kernel writes no more.
    cvt_len(unsafe { libc::read(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) })
}

/// Writes from `buf` and returns how much was taken, which may be less than all.
///
/// On a pipe or a socket whose reader is gone the kernel also raises `SIGPIPE`; sockets have
/// [`send`](crate::socket::send), which does not.
///
/// # Errors
/// `EAGAIN` if there is no room, `EINTR`, `EPIPE` if nobody will read, `EBADF` if `fd` is not open
/// for writing, `ENOSPC`, `EIO`.
///
/// Reference: [`write(2)`](https://man7.org/linux/man-pages/man2/write.2.html).
#[inline]
pub fn write(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    // SAFETY: `buf` is borrowed and readable for its length, and the kernel only reads it.
    cvt_len(unsafe { libc::write(fd.as_raw_fd(), buf.as_ptr().cast(), buf.len()) })
}

/// Reads into several buffers, filling each before the next; at most the first 1024 are used.
///
/// # Errors
/// Those of [`read`].
///
/// Reference: [`readv(2)`](https://man7.org/linux/man-pages/man2/readv.2.html).
pub fn readv(fd: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let count = bufs.len().min(SLICES_MAX) as c_int;
    // SAFETY: `IoSliceMut` has the layout of `iovec`, `count` is no more than there are, and each
    // is borrowed mutably and writable for its length.
    cvt_len(unsafe { libc::readv(fd.as_raw_fd(), bufs.as_mut_ptr().cast(), count) })
}

/// Writes from several buffers, one after the other; at most the first 1024 are used.
///
/// # Errors
/// Those of [`write()`].
///
/// Reference: [`writev(2)`](https://man7.org/linux/man-pages/man2/readv.2.html).
pub fn writev(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let count = bufs.len().min(SLICES_MAX) as c_int;
    // SAFETY: `IoSlice` has the layout of `iovec`, `count` is no more than there are, each is
    // borrowed and readable for its length, and the kernel only reads them.
    cvt_len(unsafe { libc::writev(fd.as_raw_fd(), bufs.as_ptr().cast(), count) })
}

/// Returns how many descriptors this process may have: the soft limit, which is in force, and the
/// hard limit, up to which the soft one may be raised.
///
/// # Errors
/// None that a caller can act on.
///
/// Reference: [`getrlimit(2)`](https://man7.org/linux/man-pages/man2/getrlimit.2.html).
pub fn fd_limit() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is writable and lives across the call.
    cvt(unsafe { libc::getrlimit64(libc::RLIMIT_NOFILE, &mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets the soft limit of descriptors and leaves the hard one as it is. Takes two calls.
///
/// # Errors
/// `EINVAL` above the hard limit.
///
/// Reference: [`setrlimit(2)`](https://man7.org/linux/man-pages/man2/getrlimit.2.html).
pub fn set_fd_limit(soft: u64) -> io::Result<()> {
    let (_, hard) = fd_limit()?;
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: `limit` is initialised and lives across the call, and the kernel only reads it.
    cvt(unsafe { libc::setrlimit64(libc::RLIMIT_NOFILE, &limit) }).map(drop)
}

fn status_flags(fd: BorrowedFd<'_>) -> io::Result<c_int> {
    // SAFETY: `F_GETFL` takes no argument; `fd` is borrowed, so it stays open for the call.
    cvt(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })
}

#[cfg(test)]
mod tests;
