//! Batches: many datagrams in one call, each with its address and what else is told of it.
//!
//! What the kernel tells of a received datagram is decided by the options of
//! [`option`](crate::option): [`set_recv_tos`](crate::option::set_recv_tos),
//! [`set_recv_pktinfo`](crate::option::set_recv_pktinfo),
//! [`set_udp_gro`](crate::option::set_udp_gro) and their kin.
#![allow(unsafe_code, reason = "system calls")]

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::slice;

use libc::c_int;

use crate::control::Control;
use crate::cvt;
use crate::message::empty_header;
use crate::sockaddr::{RawAddr, SockAddr};

/// The most datagrams that [`RecvBuffers`] holds, and so the most that one call receives.
pub const RECV_MAX: usize = 64;

/// The most messages that one [`send`] takes.
pub const SEND_MAX: usize = 32;

/// Buffers for several datagrams, used again and again.
///
/// ```
/// use gannet_sys::batch::{self, Outgoing, RecvBuffers};
/// use gannet_sys::sockaddr::SockAddr;
/// use gannet_sys::socket::{self, Domain, Kind};
/// use std::os::fd::AsFd;
///
/// let fd = socket::socket(Domain::Inet, Kind::Datagram)?;
/// socket::bind(fd.as_fd(), &SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0))))?;
/// let SockAddr::Inet(to) = socket::local_addr(fd.as_fd())? else { panic!("a UDP socket") };
///
/// let messages = [&b"one"[..], b"two"].map(|data| Outgoing::new(data, to));
/// assert_eq!(batch::send(fd.as_fd(), messages)?, 2);
///
/// let mut buffers = RecvBuffers::new(8, 1500);
/// assert_eq!(buffers.recv(fd.as_fd())?, 2);
/// let first = buffers.messages().next().expect("two were received");
/// assert_eq!((&*first.data, first.from), (&b"one"[..], Some(to)));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct RecvBuffers {
    /// The buffers, one after the other.
    data: Vec<u8>,
    bytes_each: usize,
    slots: Vec<Slot>,
    received: usize,
}

/// What belongs to a buffer.
struct Slot {
    addr: RawAddr,
    control: Control,
    /// How many bytes of the buffer were written.
    len: usize,
    flags: c_int,
}

/// A message that [`RecvBuffers::recv`] received: a datagram, or several of one sender that were
/// joined.
#[derive(Debug)]
pub struct Received<'a> {
    /// The data.
    pub data: &'a mut [u8],
    /// The sender; `None` if it has no IP address.
    pub from: Option<SocketAddr>,
    /// The address it was sent to, if asked for; IPv4 is never in its IPv6 form.
    pub local: Option<IpAddr>,
    /// The number of the interface it came in by, if asked for.
    pub interface: Option<u32>,
    /// Its type of service or traffic class, if asked for.
    pub tos: Option<u8>,
    /// If several were joined, the length of each, the last one perhaps excepted.
    pub segment: Option<usize>,
    /// Whether the message was longer than the buffer, and its rest is lost.
    pub truncated: bool,
}

impl RecvBuffers {
    /// Makes buffers for `count` datagrams, 1 to [`RECV_MAX`], of at most `bytes_each` bytes.
    ///
    /// # Panics
    /// If they are more bytes than an allocation may have.
    #[must_use]
    pub fn new(count: usize, bytes_each: usize) -> Self {
        let count = count.clamp(1, RECV_MAX);
        let bytes = count.checked_mul(bytes_each).expect("too many bytes");
        let slot = || Slot {
            addr: RawAddr::empty(),
            control: Control::EMPTY,
            len: 0,
            flags: 0,
        };
        Self {
            data: vec![0; bytes],
            bytes_each,
            slots: std::iter::repeat_with(slot).take(count).collect(),
            received: 0,
        }
    }

    /// Returns how many datagrams there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Returns how many messages the last [`recv`](Self::recv) received; none if it failed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.received
    }

    /// Returns whether there are no messages.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.received == 0
    }

    /// Receives as many datagrams as are there and as there is room for, at least one, in place of
    /// the earlier ones. Returns how many: fewer than there was room for means that the queue is
    /// empty, or that an error waits.
    ///
    /// # Errors
    /// Those of [`recv_msg`](crate::message::recv_msg).
    ///
    /// Reference: [`recvmmsg(2)`](https://man7.org/linux/man-pages/man2/recvmmsg.2.html).
    pub fn recv(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        self.received = 0;
        let count = self.slots.len();
        let mut vectors = [const { MaybeUninit::uninit() }; RECV_MAX];
        let mut headers = [const { MaybeUninit::uninit() }; RECV_MAX];
        // `chunks_mut` wants a length; without bytes there are no chunks, and the vectors stay null.
        let mut buffers = self.data.chunks_mut(self.bytes_each.max(1));
        let places = vectors.iter_mut().zip(&mut headers);
        for (slot, (vector, header)) in self.slots.iter_mut().zip(places) {
            let vector = vector.write(EMPTY_VECTOR);
            if let Some(buffer) = buffers.next() {
                vector.iov_base = buffer.as_mut_ptr().cast();
                vector.iov_len = buffer.len();
            }
            let header = &mut header.write(EMPTY_MESSAGE).msg_hdr;
            header.msg_name = slot.addr.bytes.as_mut_ptr().cast();
            header.msg_namelen = slot.addr.bytes.len() as _;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control = slot.control.bytes.as_mut_ptr().cast();
            header.msg_controllen = slot.control.bytes.len() as _;
        }
        let headers: *mut libc::mmsghdr = headers.as_mut_ptr().cast();
        // SAFETY: the first `count` headers were filled in above, and there are as many. Each refers
        // to a vector, an address and control bytes of its own, writable for the lengths given, and
        // its vector to a chunk of `data` of its own, or to nothing. `data` and `slots` are borrowed
        // mutably, nobody else refers to them, and none of it moves before the call returns. There
        // is no timeout: null.
        let ret = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                headers,
                count as _,
                libc::MSG_CMSG_CLOEXEC as _,
                ptr::null_mut(),
            )
        };
        let received = (cvt(ret)? as usize).min(count);
        // SAFETY: the first `count` headers were filled in above, `received` is no more, and nobody
        // writes them any more.
        let headers = unsafe { slice::from_raw_parts(headers, received) };
        for (slot, message) in self.slots.iter_mut().zip(headers) {
            slot.addr.len = message.msg_hdr.msg_namelen;
            slot.control.len = message.msg_hdr.msg_controllen as _;
            slot.len = message.msg_len as usize;
            slot.flags = message.msg_hdr.msg_flags;
        }
        self.received = received;
        Ok(received)
    }

    /// Forgets what was received.
    pub fn clear(&mut self) {
        self.received = 0;
    }

    /// Iterates over the messages of the last [`recv`](Self::recv).
    pub fn messages(&mut self) -> Messages<'_> {
        Messages {
            data: &mut self.data,
            bytes_each: self.bytes_each,
            slots: self.slots[..self.received].iter(),
        }
    }
}

/// What [`RecvBuffers`] hold, one message after the other.
///
/// ```
/// let mut buffers = gannet_sys::batch::RecvBuffers::new(8, 1500);
/// assert_eq!(buffers.messages().count(), 0);
/// ```
pub struct Messages<'a> {
    /// The buffers of the messages to come.
    data: &'a mut [u8],
    bytes_each: usize,
    slots: std::slice::Iter<'a, Slot>,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Received<'a>;

    fn next(&mut self) -> Option<Received<'a>> {
        let slot = self.slots.next()?;
        let data = std::mem::take(&mut self.data);
        let (buffer, rest) = data.split_at_mut(self.bytes_each.min(data.len()));
        self.data = rest;
        let told = slot.control.told();
        let from = match slot.addr.decode() {
            Ok(SockAddr::Inet(addr)) => Some(addr),
            _ => None,
        };
        let len = slot.len.min(buffer.len());
        Some(Received {
            data: &mut buffer[..len],
            from,
            local: told.local,
            interface: told.interface,
            tos: told.tos,
            segment: told.segment,
            truncated: slot.flags & libc::MSG_TRUNC != 0,
        })
    }
}

impl fmt::Debug for Messages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("len", &self.slots.len())
            .finish()
    }
}

impl fmt::Debug for RecvBuffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvBuffers")
            .field("capacity", &self.capacity())
            .field("bytes_each", &self.bytes_each)
            .field("received", &self.received)
            .finish()
    }
}

/// A message to be sent by [`send`].
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The data.
    pub data: &'a [u8],
    /// Where to, in the form of the socket's family.
    pub to: SocketAddr,
    /// Whether the socket is connected to there: then the kernel is not told, since for an address
    /// that it is told it looks the route up.
    pub is_connected: bool,
    /// The local address to send from.
    pub from: Option<IpAddr>,
    /// The type of service or traffic class.
    pub tos: Option<u8>,
    /// The length in bytes of the datagrams that the kernel cuts the data into (`UDP_SEGMENT`).
    pub segment: Option<u16>,
}

impl<'a> Outgoing<'a> {
    /// A datagram about which nothing else is said.
    #[must_use]
    pub fn new(data: &'a [u8], to: SocketAddr) -> Self {
        Self {
            data,
            to,
            is_connected: false,
            from: None,
            tos: None,
            segment: None,
        }
    }

    fn has_control(&self) -> bool {
        self.segment.is_some() || self.tos.is_some() || self.from.is_some()
    }

    fn control(&self) -> Control {
        let mut control = Control::EMPTY;
        let is_v4 = self.to.ip().to_canonical().is_ipv4();
        if let Some(segment) = self.segment {
            control.put_segment(segment);
        }
        if let Some(tos) = self.tos {
            control.put_tos(is_v4, tos);
        }
        if let Some(from) = self.from {
            control.put_local(from.to_canonical().is_ipv4(), Some(from), 0);
        }
        control
    }
}

/// Sends messages, the first [`SEND_MAX`] at most, and returns how many were taken: at least one
/// unless there are none. It stops at the first that is refused; an error is that of the very first.
///
/// # Errors
/// Those of [`send_to`](crate::socket::send_to); `ENETUNREACH` or `EINVAL` for a local address that is
/// none of this machine's; `EIO`, `EINVAL` or `EMSGSIZE` if the data cannot be cut into datagrams.
///
/// Reference: [`sendmmsg(2)`](https://man7.org/linux/man-pages/man2/sendmmsg.2.html).
pub fn send<'a>(
    fd: BorrowedFd<'_>,
    messages: impl IntoIterator<Item = Outgoing<'a>>,
) -> io::Result<usize> {
    // Only what is used is written: all of it would be 13 KB a call.
    let mut addrs = [const { MaybeUninit::uninit() }; SEND_MAX];
    let mut controls = [const { MaybeUninit::uninit() }; SEND_MAX];
    let mut vectors = [const { MaybeUninit::uninit() }; SEND_MAX];
    let mut headers = [const { MaybeUninit::uninit() }; SEND_MAX];
    let places = addrs.iter_mut().zip(&mut controls);
    let places = places.zip(&mut vectors).zip(&mut headers);
    let mut count = 0;
    for (message, (((addr, control), vector), header)) in messages.into_iter().zip(places) {
        let header = &mut header.write(EMPTY_MESSAGE).msg_hdr;
        if !message.is_connected {
            let addr: &RawAddr = addr.write(RawAddr::new(&SockAddr::Inet(message.to))?);
            header.msg_name = addr.as_ptr().cast_mut().cast();
            header.msg_namelen = addr.len;
        }
        header.msg_iov = vector.write(libc::iovec {
            iov_base: message.data.as_ptr().cast_mut().cast(),
            iov_len: message.data.len(),
        });
        header.msg_iovlen = 1;
        if message.has_control() {
            let control = control.write(message.control());
            header.msg_control = control.bytes.as_mut_ptr().cast();
            header.msg_controllen = control.len as _;
        }
        count += 1;
    }
    if count == 0 {
        return Ok(0);
    }
    let headers: *mut libc::mmsghdr = headers.as_mut_ptr().cast();
    // SAFETY: the first `count` headers were filled in above. Each refers to an address, control
    // bytes and a vector in the arrays here, initialised for the lengths given, and its vector to
    // data that is borrowed for `'a`. All live across the call. The kernel only reads them, and
    // writes the lengths in `headers`, which nobody else refers to.
    let ret = unsafe { libc::sendmmsg(fd.as_raw_fd(), headers, count, libc::MSG_NOSIGNAL as _) };
    Ok(cvt(ret)? as usize)
}

const EMPTY_VECTOR: libc::iovec = libc::iovec {
    iov_base: ptr::null_mut(),
    iov_len: 0,
};

const EMPTY_MESSAGE: libc::mmsghdr = libc::mmsghdr {
    msg_hdr: empty_header(),
    msg_len: 0,
};

#[cfg(test)]
mod tests;
