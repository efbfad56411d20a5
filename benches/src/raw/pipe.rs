//! A pipe of a chosen size, and moving bytes through it inside the kernel.

// `splice(2)` and `F_SETPIPE_SZ` have no safe form in `std`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::ptr;

use super::cvt;

/// Makes a pipe that holds `len` bytes; its reading end comes first.
pub(crate) fn pipe(len: usize) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read_end, write_end) = io::pipe()?;
    let len = libc::c_int::try_from(len).map_err(io::Error::other)?;
    // SAFETY: `F_SETPIPE_SZ` takes an integer; `write_end` owns its descriptor, which stays open.
    cvt(unsafe { libc::fcntl(write_end.as_raw_fd(), libc::F_SETPIPE_SZ, len) })?;
    Ok((read_end.into(), write_end.into()))
}

/// Moves at most `len` bytes between two descriptors, one of which is a pipe, without waiting for the
/// pipe; 0 is the end of `from`.
pub(crate) fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    let flags = libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE;
    // SAFETY: no offsets are passed, so the kernel touches no memory of ours; both descriptors were
    // borrowed, so they stay open for the call.
    let moved = unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), len, flags) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}
