//! Sockets: making, naming and connecting them, and moving data through them.
//!
//! Sends never raise `SIGPIPE`: a socket whose peer is gone gives `EPIPE`.
#![allow(unsafe_code, reason = "system calls")]

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr;

use libc::c_int;

use crate::fd::SLICES_MAX;
use crate::option;
use crate::sockaddr::{RawAddr, SockAddr};
use crate::{cvt, cvt_len, message};

const FLAGS: c_int = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;

/// The family of a socket's addresses.
///
/// ```
/// use gannet_sys::option::socket_domain;
/// use gannet_sys::socket::{Domain, Kind, socket};
/// use std::os::fd::AsFd;
///
/// let fd = socket(Domain::Inet, Kind::Datagram)?;
/// assert_eq!(socket_domain(fd.as_fd())?, Domain::Inet);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// IPv4.
    Inet,
    /// IPv6, and IPv4 mapped into it unless the socket is IPv6-only.
    Inet6,
    /// Unix: paths and abstract names.
    Unix,
    /// Packets of a link, below IP.
    Packet,
}

impl Domain {
    pub(crate) const fn to_raw(self) -> c_int {
        match self {
            Self::Inet => libc::AF_INET,
            Self::Inet6 => libc::AF_INET6,
            Self::Unix => libc::AF_UNIX,
            Self::Packet => libc::AF_PACKET,
        }
    }

    pub(crate) const fn from_raw(raw: c_int) -> Option<Self> {
        match raw {
            libc::AF_INET => Some(Self::Inet),
            libc::AF_INET6 => Some(Self::Inet6),
            libc::AF_UNIX => Some(Self::Unix),
            libc::AF_PACKET => Some(Self::Packet),
            _ => None,
        }
    }
}

/// How a socket carries data.
///
/// ```
/// use gannet_sys::option::socket_kind;
/// use gannet_sys::socket::{Kind, socketpair};
/// use std::os::fd::AsFd;
///
/// let (left, _right) = socketpair(Kind::SeqPacket)?;
/// assert_eq!(socket_kind(left.as_fd())?, Kind::SeqPacket);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A stream of bytes: TCP, Unix.
    Stream,
    /// Datagrams: UDP, Unix.
    Datagram,
    /// Datagrams on a connection, in order: Unix.
    SeqPacket,
    /// Packets below the transport: IP. Whole packets of a link.
    Raw,
}

impl Kind {
    pub(crate) const fn to_raw(self) -> c_int {
        match self {
            Self::Stream => libc::SOCK_STREAM,
            Self::Datagram => libc::SOCK_DGRAM,
            Self::SeqPacket => libc::SOCK_SEQPACKET,
            Self::Raw => libc::SOCK_RAW,
        }
    }

    pub(crate) const fn from_raw(raw: c_int) -> Option<Self> {
        match raw {
            libc::SOCK_STREAM => Some(Self::Stream),
            libc::SOCK_DGRAM => Some(Self::Datagram),
            libc::SOCK_SEQPACKET => Some(Self::SeqPacket),
            libc::SOCK_RAW => Some(Self::Raw),
            _ => None,
        }
    }
}

/// Makes a socket of the family's usual protocol (TCP, UDP), non-blocking and close-on-exec.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM` when something ran out, `EAFNOSUPPORT` without the
/// family (IPv6 switched off), `EPROTONOSUPPORT` or `ESOCKTNOSUPPORT` if the family has no such
/// kind, `EACCES` where a filter forbids it.
///
/// Reference: [`socket(2)`](https://man7.org/linux/man-pages/man2/socket.2.html).
pub fn socket(domain: Domain, kind: Kind) -> io::Result<OwnedFd> {
    socket_of(domain, kind, 0)
}

/// Multipath TCP (`IPPROTO_MPTCP`), for [`socket_of`].
pub const MULTIPATH: i32 = 262;

/// Makes a socket of the protocol with this number, non-blocking and close-on-exec.
///
/// # Errors
/// Those of [`socket`]; `EPERM` for a raw socket, or one of packets, without the privilege
/// `CAP_NET_RAW`.
///
/// Reference: [`socket(2)`](https://man7.org/linux/man-pages/man2/socket.2.html).
pub fn socket_of(domain: Domain, kind: Kind, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes three integers and no pointer.
    let fd = cvt(unsafe { libc::socket(domain.to_raw(), kind.to_raw() | FLAGS, protocol) })?;
    // SAFETY: the kernel has just returned `fd`, so it is open and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes two Unix sockets connected to each other, non-blocking and close-on-exec.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM` when something ran out.
///
/// Reference: [`socketpair(2)`](https://man7.org/linux/man-pages/man2/socketpair.2.html).
pub fn socketpair(kind: Kind) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    // SAFETY: `fds` has room for the two descriptors that the kernel writes.
    cvt(unsafe { libc::socketpair(libc::AF_UNIX, kind.to_raw() | FLAGS, 0, fds.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so the first is open and nobody else owns it.
    let left = unsafe { OwnedFd::from_raw_fd(fds[0]) };
    // SAFETY: the call succeeded, so the second is open and nobody else owns it.
    let right = unsafe { OwnedFd::from_raw_fd(fds[1]) };
    Ok((left, right))
}

/// Gives a socket its local address. A Unix path is created as a file, an unnamed Unix address
/// lets the kernel choose an abstract name, port zero a free port.
///
/// # Errors
/// `EADDRINUSE` (also for a stale socket file), `EADDRNOTAVAIL` if no interface has the address,
/// `EACCES` for a port below 1024 or a directory that may not be written, `EINVAL` if the socket
/// is bound already, `EAFNOSUPPORT` if the family differs, `ENOENT` if the directory is missing;
/// kind `InvalidInput` for a bad Unix name.
///
/// Reference: [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html).
pub fn bind(fd: BorrowedFd<'_>, addr: &SockAddr) -> io::Result<()> {
    let raw = RawAddr::new(addr)?;
    // SAFETY: `raw` has at least `len` initialised bytes, is aligned for any address and lives
    // across the call, and the kernel only reads it.
    cvt(unsafe { libc::bind(fd.as_raw_fd(), raw.as_ptr(), raw.len) }).map(drop)
}

/// Makes a socket accept connections and hold up to `backlog` that wait to be accepted.
///
/// The kernel cuts the backlog to [`somaxconn`] silently. Calling it again changes the backlog.
///
/// # Errors
/// `EADDRINUSE` if another socket listens there (or no free port is left for an unbound one),
/// `EOPNOTSUPP` for datagrams, `EINVAL` if the socket is connected.
///
/// Reference: [`listen(2)`](https://man7.org/linux/man-pages/man2/listen.2.html).
pub fn listen(fd: BorrowedFd<'_>, backlog: u32) -> io::Result<()> {
    let backlog = c_int::try_from(backlog).unwrap_or(c_int::MAX);
    // SAFETY: the call takes two integers and no pointer.
    cvt(unsafe { libc::listen(fd.as_raw_fd(), backlog) }).map(drop)
}

/// Takes one waiting connection: its socket, non-blocking and close-on-exec, and its peer.
///
/// # Errors
/// - `EAGAIN`: none is waiting.
/// - `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`: something ran out and the connection still waits.
///   No new edge tells when to try again, so the caller comes back by timer.
/// - `ECONNABORTED`, `EINTR`, `EPROTO`, `EPERM`, `ENETDOWN`, `EHOSTUNREACH`, `ENETUNREACH`,
///   `EOPNOTSUPP` on a listener: this one is lost, the next may be had at once.
/// - `EINVAL`: the socket does not listen (any more). `EOPNOTSUPP`: it has datagrams.
/// - Kind `InvalidData`: the peer's family is unknown to this crate; the connection is closed.
///
/// Reference: [`accept4(2)`](https://man7.org/linux/man-pages/man2/accept.2.html).
pub fn accept(fd: BorrowedFd<'_>) -> io::Result<(OwnedFd, SockAddr)> {
    let mut raw = RawAddr::empty();
    // SAFETY: `bytes` is writable for `len` bytes and aligned for any address; both live across
    // the call, and nobody else refers to them.
    let ret = unsafe {
        libc::accept4(
            fd.as_raw_fd(),
            raw.bytes.as_mut_ptr().cast(),
            &mut raw.len,
            FLAGS,
        )
    };
    let new = cvt(ret)?;
    // SAFETY: the kernel has just returned `new`, so it is open and nobody else owns it.
    let new = unsafe { OwnedFd::from_raw_fd(new) };
    Ok((new, raw.decode()?))
}

/// Connects a socket to a peer; for datagrams this fixes the peer and sends nothing.
///
/// # Errors
/// - `EINPROGRESS`: it goes on in the background, as TCP does. `EINTR` means the same. When
///   the socket becomes writable, [`take_error`] and then [`peer_addr`] tell how it ended.
/// - `EALREADY`: one is under way. `EISCONN`: it is connected.
/// - `ECONNREFUSED`, `ENETUNREACH`, `EHOSTUNREACH`, `ETIMEDOUT`: nobody is there.
/// - `EADDRNOTAVAIL`: no local port is free. `EAFNOSUPPORT`: the family differs.
/// - Unix: `EAGAIN` if the listener's backlog is full, `ENOENT` without the file, `EACCES`,
///   `EPROTOTYPE` if the kinds differ; kind `InvalidInput` for a bad name.
///
/// Reference: [`connect(2)`](https://man7.org/linux/man-pages/man2/connect.2.html).
pub fn connect(fd: BorrowedFd<'_>, addr: &SockAddr) -> io::Result<()> {
    let raw = RawAddr::new(addr)?;
    // SAFETY: `raw` has at least `len` initialised bytes, is aligned for any address and lives
    // across the call, and the kernel only reads it.
    cvt(unsafe { libc::connect(fd.as_raw_fd(), raw.as_ptr(), raw.len) }).map(drop)
}

/// Takes the peer from a socket. A TCP connection ends by a reset, and what was not sent is thrown
/// away; the socket stays open.
///
/// # Errors
/// None that a caller can act on.
///
/// Reference: [`connect(2)`](https://man7.org/linux/man-pages/man2/connect.2.html), `AF_UNSPEC`.
pub fn disconnect(fd: BorrowedFd<'_>) -> io::Result<()> {
    // `AF_UNSPEC` is 0, and the rest does not count.
    let raw = RawAddr::from_bytes(&[0; size_of::<libc::sockaddr_in>()]);
    // SAFETY: as in `connect`.
    cvt(unsafe { libc::connect(fd.as_raw_fd(), raw.as_ptr(), raw.len) }).map(drop)
}

/// Ends one or both directions of a connection, for all duplicates of the descriptor.
///
/// # Errors
/// `ENOTCONN` if there is no connection (any more), which callers take for a success.
///
/// Reference: [`shutdown(2)`](https://man7.org/linux/man-pages/man2/shutdown.2.html).
pub fn shutdown(fd: BorrowedFd<'_>, how: Shutdown) -> io::Result<()> {
    let how = match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: the call takes two integers and no pointer.
    cvt(unsafe { libc::shutdown(fd.as_raw_fd(), how) }).map(drop)
}

/// Returns the address that a socket is bound to; one that is not bound has the wildcard address
/// and port zero, or no name.
///
/// # Errors
/// `ENOTSOCK`, `ENOBUFS`; kind `InvalidData` for a family that this crate does not know.
///
/// Reference: [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
pub fn local_addr(fd: BorrowedFd<'_>) -> io::Result<SockAddr> {
    let mut raw = RawAddr::empty();
    // SAFETY: `bytes` is writable for `len` bytes and aligned for any address; both live across
    // the call, and nobody else refers to them.
    let ret =
        unsafe { libc::getsockname(fd.as_raw_fd(), raw.bytes.as_mut_ptr().cast(), &mut raw.len) };
    cvt(ret)?;
    raw.decode()
}

/// Returns the address of the peer that a socket is connected to.
///
/// # Errors
/// `ENOTCONN` without a peer, `ENOTSOCK`, `ENOBUFS`; kind `InvalidData` for a family that this
/// crate does not know.
///
/// Reference: [`getpeername(2)`](https://man7.org/linux/man-pages/man2/getpeername.2.html).
pub fn peer_addr(fd: BorrowedFd<'_>) -> io::Result<SockAddr> {
    let mut raw = RawAddr::empty();
    // SAFETY: `bytes` is writable for `len` bytes and aligned for any address; both live across
    // the call, and nobody else refers to them.
    let ret =
        unsafe { libc::getpeername(fd.as_raw_fd(), raw.bytes.as_mut_ptr().cast(), &mut raw.len) };
    cvt(ret)?;
    raw.decode()
}

/// Takes the error that waits on a socket (`SO_ERROR`), such as that of a connect; `None` if there
/// is none. Asking clears it.
///
/// # Errors
/// The outer error is that of asking: `ENOTSOCK`.
///
/// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
pub fn take_error(fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    let errno = option::int(fd, libc::SOL_SOCKET, libc::SO_ERROR)?;
    Ok((errno != 0).then(|| io::Error::from_raw_os_error(errno)))
}

/// Removes the file of a Unix socket.
///
/// # Errors
/// `ENOENT` if there is none; `EACCES`, `EPERM` if its folder cannot be written to.
///
/// Reference: [`unlink(2)`](https://man7.org/linux/man-pages/man2/unlink.2.html).
pub fn unlink(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Returns the longest backlog that the kernel grants: `/proc/sys/net/core/somaxconn`, and 128 if
/// that cannot be read. Each call reads the file; callers keep the answer.
///
/// Reference: [`listen(2)`](https://man7.org/linux/man-pages/man2/listen.2.html).
pub fn somaxconn() -> u32 {
    let limit = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    backlog_max(&limit, &release)
}

/// Computes the longest backlog from the two files' texts.
fn backlog_max(limit: &str, release: &str) -> u32 {
    const DEFAULT: u32 = 128;
    let first = limit
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().next());
    let max = match first.and_then(|field| field.parse::<u64>().ok()) {
        None | Some(0) => return DEFAULT,
        Some(max) => u32::try_from(max).unwrap_or(u32::MAX),
    };
    // Before 4.1 the kernel kept the backlog in 16 bits and a longer one wrapped around.
    if is_before_4_1(release) {
        max.min(u32::from(u16::MAX))
    } else {
        max
    }
}

/// Tells whether a release such as `6.1.0-18-amd64` is older than 4.1; an unreadable one is not.
fn is_before_4_1(release: &str) -> bool {
    let mut parts = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse::<u32>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < (4, 1),
        _ => false,
    }
}

/// Receives into `buf` and returns the length. Zero is the end of a stream, an empty datagram, or
/// an empty `buf`; what of a datagram does not fit is lost.
///
/// # Errors
/// `EAGAIN` if nothing is there, `EINTR`, `ECONNRESET`, `ETIMEDOUT`, `EHOSTUNREACH`; for UDP
/// `ECONNREFUSED` once after the peer refused a datagram; `ENOTCONN` for a stream without a peer.
///
/// Reference: [`recv(2)`](https://man7.org/linux/man-pages/man2/recv.2.html).
#[inline]
pub fn recv(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    recv_flags(fd, buf, 0)
}

/// Receives as [`recv`] does and leaves the data in the socket.
///
/// # Errors
/// Those of [`recv`].
///
/// Reference: [`recv(2)`](https://man7.org/linux/man-pages/man2/recv.2.html).
#[inline]
pub fn peek(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    recv_flags(fd, buf, libc::MSG_PEEK)
}

/// Receives into several buffers, filling each before the next; at most the first 1024 are used.
///
/// # Errors
/// Those of [`recv`].
///
/// Reference: [`recvmsg(2)`](https://man7.org/linux/man-pages/man2/recv.2.html).
#[inline]
pub fn recv_vectored(fd: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let used = bufs.len().min(SLICES_MAX);
    let mut header = message::empty_header();
    header.msg_iov = bufs.as_mut_ptr().cast();
    header.msg_iovlen = used as _;
    // SAFETY: `IoSliceMut` has the layout of `iovec`, `used` is no more than there are, and each
    // is borrowed mutably and writable for its length; name and control are null and empty.
    cvt_len(unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, 0) })
}

/// Sends from `buf` and returns how much was taken: a part for a stream, all or nothing for a
/// datagram.
///
/// # Errors
/// `EAGAIN` if there is no room, `EINTR`, `EPIPE` if the peer or [`shutdown`] closed the direction,
/// `ECONNRESET`, `ETIMEDOUT`, `EHOSTUNREACH`; for datagrams also `EMSGSIZE`, `ENOBUFS`, `EPERM`,
/// `ENETUNREACH`, `ECONNREFUSED`, `EDESTADDRREQ` without a peer; for streams `ENOTCONN`.
///
/// Reference: [`send(2)`](https://man7.org/linux/man-pages/man2/send.2.html).
#[inline]
pub fn send(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    flagged_send(fd, buf, 0)
}

/// Sends as [`send`] does, with more flags.
#[inline]
pub(crate) fn flagged_send(fd: BorrowedFd<'_>, buf: &[u8], flags: c_int) -> io::Result<usize> {
    // SAFETY: `buf` is borrowed and readable for its length, and the kernel only reads it. There is
    // no address: null and 0.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_sendto,
            fd.as_raw_fd(),
            buf.as_ptr(),
            buf.len(),
            libc::MSG_NOSIGNAL | flags,
            ptr::null::<libc::sockaddr>(),
            0,
        )
    };
    cvt_len(ret as isize)
}

/// Sends from several buffers, one after the other, and returns how much was taken.
///
/// At most the first 1024 buffers are used, so a datagram must not have more; to be refused then,
/// use [`send_msg`](crate::message::send_msg).
///
/// # Errors
/// Those of [`send`].
///
/// Reference: [`sendmsg(2)`](https://man7.org/linux/man-pages/man2/send.2.html).
#[inline]
pub fn send_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let used = bufs.len().min(SLICES_MAX);
    let mut header = message::empty_header();
    header.msg_iov = bufs.as_ptr().cast_mut().cast();
    header.msg_iovlen = used as _;
    // SAFETY: `IoSlice` has the layout of `iovec`, `used` is no more than there are, each is
    // borrowed and readable for its length, and the kernel only reads them and the header; name
    // and control are null and empty.
    cvt_len(unsafe { libc::sendmsg(fd.as_raw_fd(), &header, libc::MSG_NOSIGNAL) })
}

/// Receives one datagram and its sender. What does not fit `buf` is lost.
///
/// A stream has no sender to tell and a datagram may come from a socket without a name: both give
/// [`UnixAddr::Unnamed`](crate::sockaddr::UnixAddr::Unnamed).
///
/// # Errors
/// Those of [`recv`].
///
/// Reference: [`recvfrom(2)`](https://man7.org/linux/man-pages/man2/recv.2.html).
pub fn recv_from(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<(usize, SockAddr)> {
    recv_from_flags(fd, buf, 0)
}

/// Receives as [`recv_from`] does and leaves the datagram in the socket.
///
/// # Errors
/// Those of [`recv`].
///
/// Reference: [`recvfrom(2)`](https://man7.org/linux/man-pages/man2/recv.2.html).
pub fn peek_from(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<(usize, SockAddr)> {
    recv_from_flags(fd, buf, libc::MSG_PEEK)
}

/// Sends one datagram to `addr` and returns its length.
///
/// A connected datagram socket sends there too, this once. A connected TCP or sequenced-packet
/// socket ignores `addr` and sends to its peer.
///
/// # Errors
/// Those of [`send`]; `EISCONN` for a connected Unix stream, `EAFNOSUPPORT` or `EINVAL` if the
/// family differs, for Unix `ENOENT`, `ECONNREFUSED`, `EAGAIN` if the receiver's queue is full;
/// kind `InvalidInput` for a bad Unix name.
///
/// Reference: [`sendto(2)`](https://man7.org/linux/man-pages/man2/send.2.html).
pub fn send_to(fd: BorrowedFd<'_>, buf: &[u8], addr: &SockAddr) -> io::Result<usize> {
    let raw = RawAddr::new(addr)?;
    // SAFETY: `buf` is borrowed and readable for its length. `raw` has at least `len` initialised
    // bytes, is aligned for any address and lives across the call. The kernel only reads both.
    let ret = unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            buf.as_ptr().cast(),
            buf.len(),
            libc::MSG_NOSIGNAL,
            raw.as_ptr(),
            raw.len,
        )
    };
    cvt_len(ret)
}

#[inline]
fn recv_flags(fd: BorrowedFd<'_>, buf: &mut [u8], flags: c_int) -> io::Result<usize> {
    // Not by the C library's function, nor in `send`: it is a point of thread cancellation, which
    // nobody here uses and which costs as much again as entering the kernel does in user mode.
    // SAFETY: `buf` is borrowed mutably and writable for its length; the kernel writes no more.
    // `MSG_TRUNC`, which would return more than the length, is not among the flags passed here. No
    // address is asked for: null and null.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_recvfrom,
            fd.as_raw_fd(),
            buf.as_mut_ptr(),
            buf.len(),
            flags,
            ptr::null::<libc::sockaddr>(),
            ptr::null::<libc::socklen_t>(),
        )
    };
    cvt_len(ret as isize)
}

fn recv_from_flags(
    fd: BorrowedFd<'_>,
    buf: &mut [u8],
    flags: c_int,
) -> io::Result<(usize, SockAddr)> {
    let mut raw = RawAddr::empty();
    // SAFETY: `buf` is borrowed mutably and writable for its length. `bytes` is writable for `len`
    // bytes and aligned for any address. All live across the call; nobody else refers to them.
    let ret = unsafe {
        libc::recvfrom(
            fd.as_raw_fd(),
            buf.as_mut_ptr().cast(),
            buf.len(),
            flags,
            raw.bytes.as_mut_ptr().cast(),
            &mut raw.len,
        )
    };
    let len = cvt_len(ret)?;
    Ok((len, raw.decode()?))
}

#[cfg(test)]
mod tests;
