//! Options of Unix sockets: who is at the other end.

use std::io;
use std::os::fd::BorrowedFd;

use super::{bytes, flag, set_flag};
use crate::rights::Credentials;

/// Returns who made the other end of a connected Unix socket, as of `connect`, `listen` or
/// `socketpair` (`SO_PEERCRED`). Where there is none it is process 0, user and group `u32::MAX`.
///
/// # Errors
/// `ENODATA` from a kernel that says less.
///
/// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html).
pub fn peer_credentials(fd: BorrowedFd<'_>) -> io::Result<Credentials> {
    let mut raw = [0; size_of::<libc::ucred>()];
    let len = bytes(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, &mut raw)?;
    let known = Credentials::parse(&raw[..len]);
    known.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODATA))
}

/// Returns whether messages come with their sender's credentials (`SO_PASSCRED`).
///
/// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html).
pub fn pass_credentials(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::SOL_SOCKET, libc::SO_PASSCRED)
}

/// Makes messages come with their sender's credentials, or not (`SO_PASSCRED`). A socket without a
/// name is given one when it next connects or sends.
///
/// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html).
pub fn set_pass_credentials(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::SOL_SOCKET, libc::SO_PASSCRED, on)
}
