//! Socket options: a getter and a setter for each, sorted by name; those of datagrams, packets, TCP and
//! Unix sockets in files of their own.
//!
//! A getter is one `getsockopt`, a setter one `setsockopt`. Beyond what each page says, all can
//! fail with `ENOTSOCK`, and with `ENOPROTOOPT` or `EOPNOTSUPP` where the kind of socket does not
//! have the option.
//!
//! ```
//! use gannet_sys::option;
//! use gannet_sys::socket::{Domain, Kind, socket};
//! use std::os::fd::AsFd;
//!
//! let fd = socket(Domain::Inet, Kind::Stream)?;
//! assert!(!option::nodelay(fd.as_fd())?);
//! option::set_nodelay(fd.as_fd(), true)?;
//! assert!(option::nodelay(fd.as_fd())?);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! References: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html),
//! [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html),
//! [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html),
//! [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use libc::{c_int, socklen_t};

use crate::socket::{Domain, Kind};
use crate::{cvt, errno};

mod datagram;
mod multicast;
mod packet;
mod tcp;
mod tcp_info;
mod unix;

pub use datagram::*;
pub use multicast::*;
pub use packet::*;
pub use tcp::*;
pub use tcp_info::*;
pub use unix::*;

/// Returns how many connections wait in a TCP listener to be accepted (`TCP_INFO`).
///
/// A seventh of the price of an accept that finds none.
///
/// # Errors
/// `EINVAL` for a TCP socket that does not listen (any more); `EOPNOTSUPP` or `ENOPROTOOPT` for any
/// other.
///
/// ```
/// use gannet_sys::option;
/// use gannet_sys::sockaddr::SockAddr;
/// use gannet_sys::socket::{self, Domain, Kind};
/// use std::os::fd::AsFd;
///
/// let listener = socket::socket(Domain::Inet, Kind::Stream)?;
/// let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
/// socket::bind(listener.as_fd(), &SockAddr::from(any))?;
/// socket::listen(listener.as_fd(), 16)?;
/// assert_eq!(option::accept_queue(listener.as_fd())?, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn accept_queue(fd: BorrowedFd<'_>) -> io::Result<u32> {
    /// The fields of `tcp_info` up to the one after `tcpi_unacked`, which for a listener counts this
    /// queue. All but the first eight bytes are 32 bits wide.
    const UNACKED: usize = 6;
    /// The first byte is the state; this is the kernel's number for "listens".
    const TCP_LISTEN: u8 = 10;
    let mut info = [0_u32; UNACKED + 2];
    let mut len = size_of_val(&info) as socklen_t;
    // SAFETY: `info` is writable for the length given and lives across the call, and any bits are
    // numbers; the kernel writes a prefix of its structure, no more than that length.
    let ret = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &mut len,
        )
    };
    cvt(ret)?;
    if info[0].to_ne_bytes()[0] != TCP_LISTEN {
        return Err(io::Error::from_raw_os_error(errno::EINVAL));
    }
    Ok(info[UNACKED])
}

/// Binds a socket to an interface by name, or frees it with `None` (`SO_BINDTODEVICE`).
///
/// # Errors
/// `ENODEV` if there is none of this name, `EPERM` without the privilege to change a binding; kind
/// `InvalidInput` for a name over 15 bytes or with a NUL byte, which the kernel would cut silently.
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn set_bind_device(fd: BorrowedFd<'_>, name: Option<&str>) -> io::Result<()> {
    const NAME_MAX: usize = libc::IFNAMSIZ - 1;
    let name = name.unwrap_or("");
    let len = name.len();
    if len > NAME_MAX || name.contains('\0') {
        let text = format!("interface name of {len} bytes: at most {NAME_MAX}, without NUL");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    // SAFETY: `name` is borrowed and readable for `len` bytes, and the kernel only reads it.
    let ret = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            name.as_ptr().cast(),
            len as socklen_t,
        )
    };
    cvt(ret).map(drop)
}

/// Returns whether datagrams may go to a broadcast address (`SO_BROADCAST`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn broadcast(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::SOL_SOCKET, libc::SO_BROADCAST)
}

/// Allows or forbids datagrams to a broadcast address (`SO_BROADCAST`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn set_broadcast(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::SOL_SOCKET, libc::SO_BROADCAST, on)
}

/// Returns whether an IPv6 socket leaves IPv4 alone (`IPV6_V6ONLY`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn ipv6_only(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)
}

/// Makes an IPv6 socket leave IPv4 alone, or take it in too (`IPV6_V6ONLY`).
///
/// # Errors
/// `EINVAL` once the socket is bound.
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn set_ipv6_only(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, on)
}

/// Returns whether a socket listens for connections (`SO_ACCEPTCONN`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn is_listening(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN)
}

/// Returns whether an idle connection is probed (`SO_KEEPALIVE`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn keepalive(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE)
}

/// Turns the probing of an idle connection on or off (`SO_KEEPALIVE`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn set_keepalive(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, on)
}

/// Returns after how many unanswered probes a connection is dropped (`TCP_KEEPCNT`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn keepalive_count(fd: BorrowedFd<'_>) -> io::Result<u32> {
    unsigned(fd, libc::IPPROTO_TCP, libc::TCP_KEEPCNT)
}

/// Sets after how many unanswered probes a connection is dropped, 1 to 127 (`TCP_KEEPCNT`).
///
/// # Errors
/// `EINVAL` outside that range.
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn set_keepalive_count(fd: BorrowedFd<'_>, count: u32) -> io::Result<()> {
    set_unsigned(fd, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, count)
}

/// Returns how long a connection is idle before the first probe (`TCP_KEEPIDLE`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn keepalive_idle(fd: BorrowedFd<'_>) -> io::Result<Duration> {
    seconds(fd, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE)
}

/// Sets how long a connection is idle before the first probe, rounded up to whole seconds, 1 to
/// 32767 (`TCP_KEEPIDLE`).
///
/// # Errors
/// `EINVAL` outside that range.
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn set_keepalive_idle(fd: BorrowedFd<'_>, idle: Duration) -> io::Result<()> {
    set_int(
        fd,
        libc::IPPROTO_TCP,
        libc::TCP_KEEPIDLE,
        whole_seconds(idle),
    )
}

/// Returns the time between two probes (`TCP_KEEPINTVL`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn keepalive_interval(fd: BorrowedFd<'_>) -> io::Result<Duration> {
    seconds(fd, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL)
}

/// Sets the time between two probes, rounded up to whole seconds, 1 to 32767 (`TCP_KEEPINTVL`).
///
/// # Errors
/// `EINVAL` outside that range.
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn set_keepalive_interval(fd: BorrowedFd<'_>, interval: Duration) -> io::Result<()> {
    set_int(
        fd,
        libc::IPPROTO_TCP,
        libc::TCP_KEEPINTVL,
        whole_seconds(interval),
    )
}

/// Returns how long a close waits for unsent data; `None` is the default, in the background
/// (`SO_LINGER`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn linger(fd: BorrowedFd<'_>) -> io::Result<Option<Duration>> {
    // Two integers: whether, and how long.
    let mut raw = [0; 2 * size_of::<c_int>()];
    bytes(fd, libc::SOL_SOCKET, libc::SO_LINGER, &mut raw)?;
    let [a, b, c, d, e, f, g, h] = raw;
    let on = c_int::from_ne_bytes([a, b, c, d]) != 0;
    let after = c_int::from_ne_bytes([e, f, g, h]);
    let after = Duration::from_secs(u64::try_from(after).unwrap_or(0));
    Ok(on.then_some(after))
}

/// Sets how long a close waits for unsent data, rounded up to whole seconds (`SO_LINGER`).
///
/// Zero discards the data and resets the connection. Anything longer blocks the thread that closes,
/// also for a non-blocking socket. `None` is the default: the kernel sends in the background.
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn set_linger(fd: BorrowedFd<'_>, after: Option<Duration>) -> io::Result<()> {
    let on = c_int::from(after.is_some()).to_ne_bytes();
    let after = after.map_or(0, whole_seconds).to_ne_bytes();
    let raw = [on, after].concat();
    set_bytes(fd, libc::SOL_SOCKET, libc::SO_LINGER, &raw)
}

/// Returns the mark that packets carry for routing and filters (`SO_MARK`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn mark(fd: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(int(fd, libc::SOL_SOCKET, libc::SO_MARK)? as u32)
}

/// Sets the mark that packets carry for routing and filters (`SO_MARK`).
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` or `CAP_NET_RAW`.
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn set_mark(fd: BorrowedFd<'_>, mark: u32) -> io::Result<()> {
    set_int(fd, libc::SOL_SOCKET, libc::SO_MARK, mark as c_int)
}

/// Returns the size of the receive buffer in bytes, the kernel's overhead included (`SO_RCVBUF`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn recv_buffer_size(fd: BorrowedFd<'_>) -> io::Result<usize> {
    size(fd, libc::SOL_SOCKET, libc::SO_RCVBUF)
}

/// Sets the size of the receive buffer in bytes (`SO_RCVBUF`). The kernel doubles the value for its
/// overhead, bounds it by `net.core.rmem_max`, and stops tuning the buffer itself.
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn set_recv_buffer_size(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    set_size(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes)
}

/// Returns whether a local address may be bound while old connections use it (`SO_REUSEADDR`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn reuse_address(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR)
}

/// Allows to bind a local address that old connections use (`SO_REUSEADDR`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn set_reuse_address(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, on)
}

/// Returns whether several sockets may share one local address (`SO_REUSEPORT`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn reuse_port(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT)
}

/// Lets several sockets share one local address, if all of them ask before they bind
/// (`SO_REUSEPORT`).
///
/// # Errors
/// `EOPNOTSUPP` for Unix sockets on newer kernels.
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn set_reuse_port(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, on)
}

/// Returns the size of the send buffer in bytes, the kernel's overhead included (`SO_SNDBUF`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn send_buffer_size(fd: BorrowedFd<'_>) -> io::Result<usize> {
    size(fd, libc::SOL_SOCKET, libc::SO_SNDBUF)
}

/// Sets the size of the send buffer in bytes (`SO_SNDBUF`). The kernel doubles the value for its
/// overhead, bounds it by `net.core.wmem_max`, and stops tuning the buffer itself.
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn set_send_buffer_size(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    set_size(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, bytes)
}

/// Returns the address family of a socket (`SO_DOMAIN`).
///
/// # Errors
/// Kind `Unsupported` for a family that [`Domain`] does not have.
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn socket_domain(fd: BorrowedFd<'_>) -> io::Result<Domain> {
    let raw = int(fd, libc::SOL_SOCKET, libc::SO_DOMAIN)?;
    Domain::from_raw(raw).ok_or_else(|| unsupported("family", raw))
}

/// Returns how a socket carries data (`SO_TYPE`).
///
/// # Errors
/// Kind `Unsupported` for a type that [`Kind`] does not have.
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn socket_kind(fd: BorrowedFd<'_>) -> io::Result<Kind> {
    let raw = int(fd, libc::SOL_SOCKET, libc::SO_TYPE)?;
    Kind::from_raw(raw).ok_or_else(|| unsupported("type", raw))
}

/// Returns the number of a socket's protocol (`SO_PROTOCOL`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn socket_protocol(fd: BorrowedFd<'_>) -> io::Result<i32> {
    int(fd, libc::SOL_SOCKET, libc::SO_PROTOCOL)
}

/// Returns the traffic class of IPv6 packets (`IPV6_TCLASS`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn tclass_v6(fd: BorrowedFd<'_>) -> io::Result<u8> {
    byte(fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
}

/// Sets the traffic class of IPv6 packets (`IPV6_TCLASS`); TCP keeps the two ECN bits to itself.
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn set_tclass_v6(fd: BorrowedFd<'_>, class: u8) -> io::Result<()> {
    set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, class.into())
}

/// Returns the type-of-service byte of IPv4 packets (`IP_TOS`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn tos(fd: BorrowedFd<'_>) -> io::Result<u8> {
    byte(fd, libc::IPPROTO_IP, libc::IP_TOS)
}

/// Sets the type-of-service byte of IPv4 packets (`IP_TOS`); TCP keeps the two ECN bits to itself.
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn set_tos(fd: BorrowedFd<'_>, tos: u8) -> io::Result<()> {
    set_int(fd, libc::IPPROTO_IP, libc::IP_TOS, tos.into())
}

/// Returns the time to live of IPv4 packets (`IP_TTL`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn ttl(fd: BorrowedFd<'_>) -> io::Result<u32> {
    unsigned(fd, libc::IPPROTO_IP, libc::IP_TTL)
}

/// Sets the time to live of IPv4 packets, 1 to 255 (`IP_TTL`).
///
/// # Errors
/// `EINVAL` outside that range.
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn set_ttl(fd: BorrowedFd<'_>, ttl: u32) -> io::Result<()> {
    set_unsigned(fd, libc::IPPROTO_IP, libc::IP_TTL, ttl)
}

/// Returns the hop limit of IPv6 packets (`IPV6_UNICAST_HOPS`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn unicast_hops_v6(fd: BorrowedFd<'_>) -> io::Result<u32> {
    unsigned(fd, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS)
}

/// Sets the hop limit of IPv6 packets, 0 to 255 (`IPV6_UNICAST_HOPS`).
///
/// # Errors
/// `EINVAL` outside that range.
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn set_unicast_hops_v6(fd: BorrowedFd<'_>, hops: u32) -> io::Result<()> {
    set_unsigned(fd, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, hops)
}

/// Returns whether sends may ask not to be copied (`SO_ZEROCOPY`).
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn zero_copy(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::SOL_SOCKET, libc::SO_ZEROCOPY)
}

/// Lets sends ask not to be copied, or not (`SO_ZEROCOPY`). See [`zero_copy`](crate::zero_copy).
///
/// # Errors
/// `EOPNOTSUPP` or `ENOPROTOOPT` if the kernel does not do it for this kind of socket.
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn set_zero_copy(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::SOL_SOCKET, libc::SO_ZEROCOPY, on)
}

/// Reads an option that is an `int`.
pub(crate) fn int(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<c_int> {
    let mut value: c_int = 0;
    let mut len = size_of::<c_int>() as socklen_t;
    // SAFETY: `value` is writable for the `len` bytes given; both live across the call.
    let ret = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &mut len,
        )
    };
    cvt(ret)?;
    Ok(value)
}

/// Reads an option that is a structure into `value`, and returns how many bytes the kernel wrote.
fn bytes(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: &mut [u8]) -> io::Result<usize> {
    let mut len = socklen_t::try_from(value.len()).unwrap_or(socklen_t::MAX);
    // SAFETY: `value` is writable for the `len` bytes given; both live across the call.
    let ret = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &mut len,
        )
    };
    cvt(ret)?;
    Ok((len as usize).min(value.len()))
}

/// Sets an option that is a structure.
fn set_bytes(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: &[u8]) -> io::Result<()> {
    let len = socklen_t::try_from(value.len()).unwrap_or(socklen_t::MAX);
    // SAFETY: `value` is readable for the length given and lives across the call, and the kernel
    // only reads it.
    let ret = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), len) };
    cvt(ret).map(drop)
}

fn set_int(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let len = size_of::<c_int>() as socklen_t;
    // SAFETY: `value` is initialised for the length given and lives across the call, and the
    // kernel only reads it.
    let ret =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    cvt(ret).map(drop)
}

fn flag(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<bool> {
    Ok(int(fd, level, name)? != 0)
}

fn set_flag(fd: BorrowedFd<'_>, level: c_int, name: c_int, on: bool) -> io::Result<()> {
    set_int(fd, level, name, c_int::from(on))
}

/// Reads an option that the kernel keeps at zero or above.
fn unsigned(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<u32> {
    Ok(u32::try_from(int(fd, level, name)?).unwrap_or(0))
}

/// Sets an option to a number. One over `i32::MAX` would turn negative, which several options take
/// for "the default" silently, so it is refused as the kernel refuses others out of range.
fn set_unsigned(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: u32) -> io::Result<()> {
    match c_int::try_from(value) {
        Ok(value) => set_int(fd, level, name, value),
        Err(_) => Err(io::Error::from_raw_os_error(errno::EINVAL)),
    }
}

/// Reads an option that is one byte in an `int`.
fn byte(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<u8> {
    Ok(int(fd, level, name)? as u8)
}

fn size(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<usize> {
    Ok(usize::try_from(int(fd, level, name)?).unwrap_or(0))
}

/// Sets a size in bytes. The kernel bounds it anyway, so what is over an `int` is cut to that.
fn set_size(fd: BorrowedFd<'_>, level: c_int, name: c_int, bytes: usize) -> io::Result<()> {
    set_int(
        fd,
        level,
        name,
        c_int::try_from(bytes).unwrap_or(c_int::MAX),
    )
}

fn seconds(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<Duration> {
    Ok(Duration::from_secs(unsigned(fd, level, name)?.into()))
}

/// Rounds up to whole seconds, as Go does: half a second must not become zero, which means
/// something else.
fn whole_seconds(duration: Duration) -> c_int {
    let up = u64::from(duration.subsec_nanos() > 0);
    c_int::try_from(duration.as_secs().saturating_add(up)).unwrap_or(c_int::MAX)
}

fn unsupported(what: &str, raw: c_int) -> io::Error {
    let text = format!("socket {what} {raw} is not one of those known here");
    io::Error::new(io::ErrorKind::Unsupported, text)
}

#[cfg(test)]
mod tests;
