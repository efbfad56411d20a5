//! Options of TCP sockets.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::{flag, set_flag, set_unsigned, unsigned};

/// Returns whether small segments leave at once (`TCP_NODELAY`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn nodelay(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY)
}

/// Lets small segments leave at once, or holds them back for more (`TCP_NODELAY`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn set_nodelay(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, on)
}

/// Returns whether acknowledgements leave at once, until the kernel decides otherwise
/// (`TCP_QUICKACK`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn quickack(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_TCP, libc::TCP_QUICKACK)
}

/// Lets acknowledgements leave at once, or delays them (`TCP_QUICKACK`). The kernel goes back to
/// its own judgement as the connection lives on.
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn set_quickack(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_TCP, libc::TCP_QUICKACK, on)
}

/// Returns how long sent data may stay unacknowledged before TCP drops the connection; `None` is
/// the system's own rule (`TCP_USER_TIMEOUT`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn tcp_user_timeout(fd: BorrowedFd<'_>) -> io::Result<Option<Duration>> {
    let ms = unsigned(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT)?;
    Ok((ms != 0).then(|| Duration::from_millis(ms.into())))
}

/// Sets how long sent data may stay unacknowledged before TCP drops the connection, rounded up to
/// whole milliseconds and at least one; `None` is the system's own rule (`TCP_USER_TIMEOUT`).
///
/// # Errors
/// `EINVAL` over `i32::MAX` milliseconds (24.8 days).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn set_tcp_user_timeout(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<()> {
    let ms = timeout.map_or(0, |timeout| timeout.as_nanos().div_ceil(1_000_000).max(1));
    let ms = u32::try_from(ms).unwrap_or(u32::MAX);
    set_unsigned(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, ms)
}
