//! Moving bytes inside the kernel: from descriptor to descriptor through a pipe, and from a file.
//!
//! None of these calls takes `MSG_NOSIGNAL`: writing to a socket or a pipe whose reader is gone also
//! raises `SIGPIPE`. Rust programs ignore it from their start; [`sigpipe_is_ignored`] tells.
#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use crate::{cvt, cvt_len, errno};

/// Moves at most `len` bytes from `from` to `to`, one of which is a pipe, and returns how many; zero
/// is the end of `from`.
///
/// Nothing is copied where the kernel can pass pages on. The call waits for neither side as long as
/// both are non-blocking.
///
/// # Errors
/// `EAGAIN` if `from` has nothing or `to` no room, which it does not tell apart; `EINVAL` if neither
/// is a pipe, or the other cannot be spliced; `EINTR`; those of a read from `from` and of a write to
/// `to`, `EPIPE` with its signal included.
///
/// ```
/// use gannet_sys::socket::{self, Kind};
/// use gannet_sys::{fd, transfer};
/// use std::os::fd::AsFd;
///
/// let (left, right) = socket::socketpair(Kind::Stream)?;
/// let (read_end, write_end) = fd::pipe()?;
/// socket::send(left.as_fd(), b"hello")?;
/// assert_eq!(transfer::splice(right.as_fd(), write_end.as_fd(), 1 << 16)?, 5);
/// let mut buf = [0; 16];
/// assert_eq!(fd::read(read_end.as_fd(), &mut buf)?, 5);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Reference: [`splice(2)`](https://man7.org/linux/man-pages/man2/splice.2.html).
pub fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
    // SAFETY: no offsets are passed, so the kernel touches no memory of ours; both descriptors are
    // borrowed, so they stay open for the call.
    cvt_len(unsafe {
        libc::splice(
            from.as_raw_fd(),
            ptr::null_mut(),
            to.as_raw_fd(),
            ptr::null_mut(),
            len,
            libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE,
        )
    })
}

/// Moves at most `len` bytes out of a pipe into a file, from `offset` bytes on, and returns how many;
/// zero is the end of the pipe. The file's own position stays.
///
/// The file is waited for, whatever the flags of the descriptors: for pages that are read first, and
/// while the disk is behind.
///
/// # Errors
/// `EAGAIN` if the pipe is empty; `EINVAL` if `file` was opened for appending, cannot be spliced to,
/// or `offset` is beyond what a file can have; `ESPIPE` if it has no positions; `EINTR`; those of
/// [`write_at`].
///
/// Reference: [`splice(2)`](https://man7.org/linux/man-pages/man2/splice.2.html).
pub fn splice_to_file(
    pipe: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    len: usize,
) -> io::Result<usize> {
    let mut offset = file_offset(offset)?;
    // SAFETY: `offset` is initialised, writable and lives across the call; the pipe gets no offset.
    // Both descriptors are borrowed, so they stay open.
    cvt_len(unsafe {
        libc::splice(
            pipe.as_raw_fd(),
            ptr::null_mut(),
            file.as_raw_fd(),
            &mut offset,
            len,
            libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE,
        )
    })
}

/// Sends at most `len` bytes of a file, from `offset` bytes on, and returns how many; zero is the end
/// of the file. The file's own position stays.
///
/// What of the file is not in memory is waited for, whatever the flags of the descriptors.
///
/// # Errors
/// `EAGAIN` if `to` has no room; `EINVAL`, `ENOSYS` or `EOPNOTSUPP` if `file` cannot be sent like this,
/// or `offset` is beyond what a file can have; `EINTR`; those of a read from `file` and of a write to
/// `to`, `EPIPE` with its signal included.
///
/// Reference: [`sendfile(2)`](https://man7.org/linux/man-pages/man2/sendfile.2.html).
pub fn sendfile(
    to: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    len: usize,
) -> io::Result<usize> {
    let mut offset = file_offset(offset)?;
    // SAFETY: `offset` is initialised, writable and lives across the call; both descriptors are
    // borrowed, so they stay open.
    cvt_len(unsafe { libc::sendfile64(to.as_raw_fd(), file.as_raw_fd(), &mut offset, len) })
}

/// Reads from a file, from `offset` bytes on, and returns the length; zero is its end. The file's own
/// position stays.
///
/// # Errors
/// `ESPIPE` if `file` has no positions; `EINVAL` if `offset` is beyond what a file can have; those of
/// [`fd::read`](crate::fd::read).
///
/// Reference: [`pread(2)`](https://man7.org/linux/man-pages/man2/pread.2.html).
pub fn read_at(file: BorrowedFd<'_>, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let offset = file_offset(offset)?;
    // SAFETY: `buf` is borrowed mutably and writable for its length; the kernel writes no more.
    cvt_len(unsafe { libc::pread64(file.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), offset) })
}

/// Writes to a file, from `offset` bytes on, and returns how much was taken. The file's own position
/// stays. What was opened for appending is appended to, whatever the offset.
///
/// # Errors
/// `ESPIPE` if `file` has no positions; `EINVAL` if `offset` is beyond what a file can have; `EFBIG`,
/// `ENOSPC`; those of [`fd::write`](crate::fd::write).
///
/// Reference: [`pwrite(2)`](https://man7.org/linux/man-pages/man2/pwrite.2.html).
pub fn write_at(file: BorrowedFd<'_>, buf: &[u8], offset: u64) -> io::Result<usize> {
    let offset = file_offset(offset)?;
    // SAFETY: `buf` is borrowed and readable for its length; the kernel only reads it.
    cvt_len(unsafe { libc::pwrite64(file.as_raw_fd(), buf.as_ptr().cast(), buf.len(), offset) })
}

fn file_offset(offset: u64) -> io::Result<i64> {
    i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(errno::EINVAL))
}

/// Returns how many bytes a pipe holds at most, if they fill its pages.
///
/// # Errors
/// `EBADF` if `pipe` is none.
///
/// Reference: [`pipe(7)`](https://man7.org/linux/man-pages/man7/pipe.7.html), `F_GETPIPE_SZ`.
pub fn pipe_size(pipe: BorrowedFd<'_>) -> io::Result<usize> {
    // SAFETY: `F_GETPIPE_SZ` takes no argument; `pipe` is borrowed, so it stays open for the call.
    let size = cvt(unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_GETPIPE_SZ) })?;
    // The kernel gives no negative size with success.
    Ok(usize::try_from(size).unwrap_or(0))
}

/// Makes a pipe hold at least `bytes` bytes, and returns how many it holds now: a power of two of
/// pages.
///
/// # Errors
/// `EPERM` above `/proc/sys/fs/pipe-max-size`, or beyond what all pipes of this user may hold
/// (`/proc/sys/fs/pipe-user-pages-soft`), without the privilege; `EBUSY` if it holds more already
/// than it would then; `ENOMEM`; `EINVAL` above 2 GiB.
///
/// Reference: [`pipe(7)`](https://man7.org/linux/man-pages/man7/pipe.7.html), `F_SETPIPE_SZ`.
pub fn set_pipe_size(pipe: BorrowedFd<'_>, bytes: usize) -> io::Result<usize> {
    let bytes = i32::try_from(bytes).map_err(|_| io::Error::from_raw_os_error(errno::EINVAL))?;
    // SAFETY: `F_SETPIPE_SZ` takes an integer; `pipe` is borrowed, so it stays open for the call.
    let size = cvt(unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) })?;
    Ok(usize::try_from(size).unwrap_or(0))
}

/// Returns whether the process survives a `SIGPIPE`: it is ignored, or a handler is called.
///
/// Reference: [`sigaction(2)`](https://man7.org/linux/man-pages/man2/sigaction.2.html).
#[must_use]
pub fn sigpipe_is_ignored() -> bool {
    // SAFETY: `sigaction` has only integers, sets of bits and pointers that may be null, for which
    // all-zero bytes are values.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: no new action is passed, so nothing changes; `action` is writable and lives across the
    // call.
    let ret = unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), &mut action) };
    ret == 0 && action.sa_sigaction != libc::SIG_DFL
}

#[cfg(test)]
mod tests;
