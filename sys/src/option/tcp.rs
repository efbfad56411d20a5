//! Options of TCP sockets.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use libc::c_int;

use super::{bytes, flag, int, set_bytes, set_flag, set_int, set_unsigned, unsigned};
use crate::errno;

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

/// Returns whether TCP holds back segments that are not full (`TCP_CORK`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn cork(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_TCP, libc::TCP_CORK)
}

/// Makes TCP hold back segments that are not full, for 200 ms at most, or send what it held back
/// (`TCP_CORK`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn set_cork(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_TCP, libc::TCP_CORK, on)
}

/// Returns how many connections that began with data a listener takes at once; 0 is none
/// (`TCP_FASTOPEN`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn fast_open(fd: BorrowedFd<'_>) -> io::Result<u32> {
    unsigned(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN)
}

/// Sets how many connections that began with data a listener takes at once (`TCP_FASTOPEN`). The
/// system must allow it, too: bit 1 of `/proc/sys/net/ipv4/tcp_fastopen`.
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn set_fast_open(fd: BorrowedFd<'_>, connections: u32) -> io::Result<()> {
    set_unsigned(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, connections)
}

/// Returns whether a connect waits for data to send with it (`TCP_FASTOPEN_CONNECT`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn fast_open_connect(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT)
}

/// Makes a connect wait for data to send with it, if the peer is known to take it, or not
/// (`TCP_FASTOPEN_CONNECT`).
///
/// # Errors
/// `EOPNOTSUPP` if the system does not allow it: bit 0 of `/proc/sys/net/ipv4/tcp_fastopen`.
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn set_fast_open_connect(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, on)
}

/// Returns below how many unsent bytes a socket counts as writable (`TCP_NOTSENT_LOWAT`); 0, as at
/// first, is the system's figure, `/proc/sys/net/ipv4/tcp_notsent_lowat`.
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn not_sent_low(fd: BorrowedFd<'_>) -> io::Result<u32> {
    // All of the 32 bits count: -1 is no bound.
    Ok(int(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT)? as u32)
}

/// Sets below how many unsent bytes a socket counts as writable (`TCP_NOTSENT_LOWAT`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn set_not_sent_low(fd: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    let bytes = c_int::from_ne_bytes(bytes.to_ne_bytes());
    set_int(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, bytes)
}

/// Returns the name of the congestion control (`TCP_CONGESTION`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn congestion(fd: BorrowedFd<'_>) -> io::Result<String> {
    let mut name = [0; 16];
    let len = bytes(fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, &mut name)?;
    let name = name[..len].split(|&byte| byte == 0).next();
    Ok(String::from_utf8_lossy(name.unwrap_or_default()).into_owned())
}

/// Sets the congestion control (`TCP_CONGESTION`).
///
/// # Errors
/// `ENOENT` for an unknown name, `EPERM` for one that takes a privilege.
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn set_congestion(fd: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    set_bytes(fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, name.as_bytes())
}

/// Returns whether a connection goes by multipath TCP, and has not fallen back to plain TCP
/// (`MPTCP_INFO`).
///
/// Reference: [`mptcp`](https://docs.kernel.org/networking/mptcp.html).
pub fn is_multipath(fd: BorrowedFd<'_>) -> io::Result<bool> {
    /// `SOL_MPTCP` and `MPTCP_INFO` of `<linux/mptcp.h>`.
    const SOL_MPTCP: c_int = 284;
    const MPTCP_INFO: c_int = 1;
    match bytes(fd, SOL_MPTCP, MPTCP_INFO, &mut [0; 64]) {
        Ok(_) => Ok(true),
        Err(err) => match err.raw_os_error() {
            Some(errno::EOPNOTSUPP | errno::ENOPROTOOPT) => Ok(false),
            _ => Err(err),
        },
    }
}
