//! IPv4 datagrams by the batch: `recvmmsg(2)`, `sendmmsg(2)`, and the options by which the kernel cuts
//! a message into datagrams and joins datagrams into a message.

// These calls and options have no safe form in `std`.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::cvt;
use super::socket::set_option;

/// `UDP_SEGMENT` of `<linux/udp.h>`.
const UDP_SEGMENT: libc::c_int = 103;
/// `UDP_GRO` of the same.
const UDP_GRO: libc::c_int = 104;

/// Has the kernel cut all that `socket` sends into datagrams of `bytes`.
pub(crate) fn set_segment(socket: &UdpSocket, bytes: u16) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_UDP, UDP_SEGMENT, bytes.into())
}

/// Lets the kernel join what `socket` receives.
pub(crate) fn set_gro(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_UDP, UDP_GRO, 1)
}

/// Asks for a receive buffer of `bytes`, which the kernel caps.
pub(crate) fn set_receive_buffer(socket: &impl AsRawFd, bytes: i32) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes)
}

/// Where the messages of a [`Batch`] go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// To the peer of the connected socket.
    Peer,
    /// Back to where each came from.
    Senders,
}

/// Buffers of equal size for messages, with all that the kernel wants to know of them filled in once.
pub(crate) struct Batch {
    headers: Vec<libc::mmsghdr>,
    /// What the headers refer to, one of each a header. None of them grows, so none of them moves.
    vectors: Vec<libc::iovec>,
    addrs: Vec<libc::sockaddr_in>,
    data: Vec<u8>,
    bytes_each: usize,
}

impl Batch {
    /// Makes `count` buffers of `bytes_each`.
    pub(crate) fn new(count: usize, bytes_each: usize) -> Self {
        // SAFETY: these are structures of integers and pointers, for which all bits zero is a value.
        let (header, addr): (libc::mmsghdr, libc::sockaddr_in) = unsafe { mem::zeroed() };
        let mut batch = Self {
            headers: vec![header; count],
            vectors: Vec::with_capacity(count),
            addrs: vec![addr; count],
            data: vec![0; count * bytes_each],
            bytes_each,
        };
        for buffer in batch.data.chunks_exact_mut(bytes_each) {
            batch.vectors.push(libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            });
        }
        let places = batch.vectors.iter_mut().zip(&mut batch.addrs);
        for (header, (vector, addr)) in batch.headers.iter_mut().zip(places) {
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = ptr::from_mut(addr).cast();
        }
        batch
    }

    /// Receives as many messages as are there, at least one; returns how many.
    pub(crate) fn receive(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        for (header, vector) in self.headers.iter_mut().zip(&mut self.vectors) {
            header.msg_hdr.msg_namelen = ADDR_SIZE;
            vector.iov_len = self.bytes_each;
        }
        let (headers, count) = (self.headers.as_mut_ptr(), self.headers.len() as _);
        // SAFETY: there are `count` headers, each of which refers to a vector and an address of its
        // own, and its vector to a chunk of `data` of its own, of the length given. All of them are
        // exclusively borrowed, and none moves before the call returns. No timeout: null.
        let got =
            cvt(unsafe { libc::recvmmsg(fd.as_raw_fd(), headers, count, 0, ptr::null_mut()) })?;
        Ok(got as usize)
    }

    /// Returns message `index` of those received.
    pub(crate) fn message(&self, index: usize) -> &[u8] {
        let len = self.headers[index].msg_len as usize;
        let buffer = &self.data[index * self.bytes_each..][..self.bytes_each];
        &buffer[..len.min(buffer.len())]
    }

    /// Returns the whole of buffer `index`, to be filled.
    pub(crate) fn buffer(&mut self, index: usize) -> &mut [u8] {
        &mut self.data[index * self.bytes_each..][..self.bytes_each]
    }

    /// Says that message `index` is to be sent with `bytes`, no more than there are.
    pub(crate) fn set_len(&mut self, index: usize, bytes: usize) {
        self.headers[index].msg_len = bytes.min(self.bytes_each) as u32;
    }

    /// Sends the messages from `first` up to `end`, as long as the lengths that were received or set;
    /// returns how many were taken.
    pub(crate) fn send(
        &mut self,
        fd: BorrowedFd<'_>,
        first: usize,
        end: usize,
        to: To,
    ) -> io::Result<usize> {
        let vectors = &mut self.vectors[first..end];
        let headers = &mut self.headers[first..end];
        for (header, vector) in headers.iter_mut().zip(vectors) {
            vector.iov_len = header.msg_len as usize;
            header.msg_hdr.msg_namelen = if to == To::Senders { ADDR_SIZE } else { 0 };
        }
        let (pointer, count) = (headers.as_mut_ptr(), headers.len() as _);
        let flags = libc::MSG_NOSIGNAL as _;
        // SAFETY: there are `count` headers, which refer to initialised memory of this batch as in
        // `receive`; the lengths are at most a buffer's. The kernel reads it, and writes the
        // lengths in the headers, which are exclusively borrowed.
        let sent = cvt(unsafe { libc::sendmmsg(fd.as_raw_fd(), pointer, count, flags) })?;
        Ok(sent as usize)
    }
}

const ADDR_SIZE: libc::socklen_t = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    fn pair() -> (UdpSocket, UdpSocket) {
        let (server, client) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        client.connect(server.local_addr().unwrap()).unwrap();
        server.set_nonblocking(true).unwrap();
        (server, client)
    }

    #[test]
    fn a_batch_goes_back_to_its_senders() {
        let (server, client) = pair();
        client.send(b"one").unwrap();
        client.send(b"three").unwrap();
        let mut batch = Batch::new(4, 16);
        assert_eq!(batch.receive(server.as_fd()).unwrap(), 2);
        assert_eq!(
            (batch.message(0), batch.message(1)),
            (&b"one"[..], &b"three"[..])
        );
        assert_eq!(batch.send(server.as_fd(), 0, 2, To::Senders).unwrap(), 2);
        let mut buf = [0; 16];
        assert_eq!(client.recv(&mut buf).unwrap(), 3);
        assert_eq!(client.recv(&mut buf).unwrap(), 5);
        let err = batch.receive(server.as_fd()).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_message_is_cut_and_joined_again() {
        let (server, client) = pair();
        set_segment(&client, 4).unwrap();
        let mut out = Batch::new(1, 16);
        out.buffer(0)[..10].copy_from_slice(b"0123456789");
        out.set_len(0, 10);
        let mut batch = Batch::new(4, 16);
        assert_eq!(out.send(client.as_fd(), 0, 1, To::Peer).unwrap(), 1);
        assert_eq!(batch.receive(server.as_fd()).unwrap(), 3);
        assert_eq!(batch.message(2), b"89");
        set_gro(&server).unwrap();
        out.set_len(0, 10);
        assert_eq!(out.send(client.as_fd(), 0, 1, To::Peer).unwrap(), 1);
        assert_eq!(batch.receive(server.as_fd()).unwrap(), 1);
        assert_eq!(batch.message(0), b"0123456789");
    }

    #[test]
    fn a_receive_buffer_that_is_asked_for_holds_more() {
        let (server, client) = pair();
        set_receive_buffer(&server, 1 << 20).unwrap();
        set_segment(&client, 1400).unwrap();
        client.send(&[7; 46 * 1400]).unwrap();
        let mut batch = Batch::new(64, 1400);
        assert_eq!(batch.receive(server.as_fd()).unwrap(), 46);
    }
}
