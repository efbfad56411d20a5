//! Messages: data in several buffers, with an address and with control data.
//!
//! Control data is passed as bytes in the kernel's form (`cmsghdr`).
#![allow(unsafe_code, reason = "system calls")]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::c_int;

use crate::cvt_len;
use crate::sockaddr::{RawAddr, SockAddr};

/// What [`recv_msg`] received.
///
/// ```
/// use gannet_sys::message::{recv_msg, send_msg};
/// use gannet_sys::socket::{Kind, socketpair};
/// use std::io::{IoSlice, IoSliceMut};
/// use std::os::fd::AsFd;
///
/// let (left, right) = socketpair(Kind::Datagram)?;
/// send_msg(left.as_fd(), &[IoSlice::new(b"head"), IoSlice::new(b"body")], &[], None)?;
///
/// let mut buf = [0; 6];
/// let msg = recv_msg(right.as_fd(), &mut [IoSliceMut::new(&mut buf)], &mut [])?;
/// assert_eq!((msg.len, msg.truncated), (6, true));
/// assert_eq!(&buf, b"headbo");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecvMsg {
    /// How many bytes of data came, over all buffers.
    pub len: usize,
    /// How many bytes of control data came.
    pub control_len: usize,
    /// The sender; [`UnixAddr::Unnamed`](crate::sockaddr::UnixAddr::Unnamed) where none is told.
    pub addr: SockAddr,
    /// Whether the datagram was longer than the buffers, and its rest is lost.
    pub truncated: bool,
    /// Whether there was more control data than room, and the rest is lost.
    pub control_truncated: bool,
}

/// Receives one message with its sender and its control data.
///
/// Descriptors that came in the control data are close-on-exec, and whoever reads them out owns
/// them. With an empty `control` the kernel closes them, and reports `control_truncated`.
///
/// # Errors
/// Those of [`recv`](crate::socket::recv); `EMSGSIZE` for more than 1024 buffers.
///
/// Reference: [`recvmsg(2)`](https://man7.org/linux/man-pages/man2/recv.2.html).
pub fn recv_msg(
    fd: BorrowedFd<'_>,
    bufs: &mut [IoSliceMut<'_>],
    control: &mut [u8],
) -> io::Result<RecvMsg> {
    flagged_recv_msg(fd, bufs, control, libc::MSG_CMSG_CLOEXEC)
}

/// Receives one message as [`recv_msg`] does, with other flags, of which `MSG_TRUNC` is none. Where
/// descriptors may come, `MSG_CMSG_CLOEXEC` is one; packet sockets refuse it.
pub(crate) fn flagged_recv_msg(
    fd: BorrowedFd<'_>,
    bufs: &mut [IoSliceMut<'_>],
    control: &mut [u8],
    flags: c_int,
) -> io::Result<RecvMsg> {
    let mut raw = RawAddr::empty();
    let mut header = empty_header();
    header.msg_name = raw.bytes.as_mut_ptr().cast();
    header.msg_namelen = raw.len;
    header.msg_iov = bufs.as_mut_ptr().cast();
    header.msg_iovlen = bufs.len() as _;
    if !control.is_empty() {
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control.len() as _;
    }
    // SAFETY: `IoSliceMut` has the layout of `iovec`, and each is borrowed mutably and writable
    // for its length. `bytes` and `control` are writable for the lengths given. All live across
    // the call, and nobody else refers to them.
    let ret = unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, flags) };
    let len = cvt_len(ret)?;
    raw.len = header.msg_namelen;
    Ok(RecvMsg {
        len,
        control_len: header.msg_controllen as _,
        addr: raw.decode()?,
        truncated: header.msg_flags & libc::MSG_TRUNC != 0,
        control_truncated: header.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

/// Sends one message, with control data if `control` is not empty, to `addr` or to the peer that
/// the socket is connected to. Returns how much data was taken.
///
/// # Errors
/// Those of [`send`](crate::socket::send) and [`send_to`](crate::socket::send_to); `EMSGSIZE` for
/// more than 1024 buffers, `EINVAL` or `EIO` for control data that the socket or the path does not
/// take.
///
/// Reference: [`sendmsg(2)`](https://man7.org/linux/man-pages/man2/send.2.html).
pub fn send_msg(
    fd: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    control: &[u8],
    addr: Option<&SockAddr>,
) -> io::Result<usize> {
    let raw = addr.map(RawAddr::new).transpose()?;
    let mut header = empty_header();
    if let Some(raw) = &raw {
        header.msg_name = raw.as_ptr().cast_mut().cast();
        header.msg_namelen = raw.len;
    }
    header.msg_iov = bufs.as_ptr().cast_mut().cast();
    header.msg_iovlen = bufs.len() as _;
    if !control.is_empty() {
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = control.len() as _;
    }
    // SAFETY: `IoSlice` has the layout of `iovec`, and each is borrowed and readable for its
    // length. `raw` and `control` are readable for the lengths given. All live across the call,
    // and the kernel only reads them.
    cvt_len(unsafe { libc::sendmsg(fd.as_raw_fd(), &header, libc::MSG_NOSIGNAL) })
}

/// Makes a header that refers to nothing.
#[inline]
pub(crate) const fn empty_header() -> libc::msghdr {
    // Some C libraries have private padding in it, so it cannot be written as a literal.
    // SAFETY: `msghdr` has only integers and raw pointers, for which all-zero bytes are values.
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
mod tests;
