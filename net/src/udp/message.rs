//! Single datagrams with all that can be said and told of them.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::task::{Poll, ready};

use gannet_sys::datagram::{self, Outgoing};

use crate::addr::{Addr, unmapped};
use crate::ecn::Ecn;
use crate::error::{AddrError, Op, WriteToConnectedError, syscall};
use crate::udp::UdpSocket;

/// A datagram to send with [`UdpSocket::send_msg`], and how.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Ecn, SendMsg, UdpSocket};
///
/// let socket = UdpSocket::bind("127.0.0.1:0").await?;
/// socket.set_recv_ttl(true)?;
/// socket.set_recv_local(true)?;
/// let mut msg = SendMsg::new(b"ping", socket.local_addr()?);
/// msg.ttl = Some(7);
/// msg.ecn = Some(Ecn::Ect0);
/// socket.send_msg(&msg).await?;
///
/// let mut buf = [0; 16];
/// let got = socket.recv_msg(&mut buf).await?;
/// assert_eq!((got.len, got.from), (4, socket.local_addr()?));
/// assert_eq!((got.ttl, got.local), (Some(7), Some(socket.local_addr()?.ip())));
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SendMsg<'a> {
    /// The data. Empty is an empty datagram.
    pub data: &'a [u8],
    /// Where to; `None` is the peer of a connected socket.
    pub to: Option<SocketAddr>,
    /// The local address to send from, one of this machine's; `None` is the kernel's choice or what
    /// the socket is bound to.
    pub from: Option<IpAddr>,
    /// The number of the interface to send by.
    pub interface: Option<u32>,
    /// The time to live or hop limit, in hops, at least 1; `None` is the socket's
    /// [`ttl`](crate::Socket::set_ttl).
    pub ttl: Option<u8>,
    /// The congestion mark; the upper six bits of the type of service are zero then. `None` sends
    /// with the socket's [`tos`](crate::Socket::set_tos).
    pub ecn: Option<Ecn>,
    /// The length in bytes of the datagrams that the kernel cuts the data into (`UDP_SEGMENT`), all
    /// but the last, which may be shorter. What the kernel does not cut is an error here;
    /// [`send_batch`](UdpSocket::send_batch) cuts it itself.
    pub segment_size: Option<u16>,
}

impl<'a> SendMsg<'a> {
    /// A datagram with the socket's own settings.
    pub fn new(data: &'a [u8], to: impl Into<Option<SocketAddr>>) -> Self {
        SendMsg {
            data,
            to: to.into(),
            from: None,
            interface: None,
            ttl: None,
            ecn: None,
            segment_size: None,
        }
    }
}

/// What [`UdpSocket::recv_msg`] received. See [`SendMsg`] for an example.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RecvMsg {
    /// How many bytes of the datagram are in the buffer. 0 is an empty datagram.
    pub len: usize,
    /// The sender. An IPv4 sender is shown as IPv4, also by an IPv6 socket.
    pub from: SocketAddr,
    /// The local address that it was sent to, after [`set_recv_local`](UdpSocket::set_recv_local);
    /// a broadcast or multicast address perhaps.
    pub local: Option<IpAddr>,
    /// The number of the interface that it came in by, after
    /// [`set_recv_local`](UdpSocket::set_recv_local).
    pub interface: Option<u32>,
    /// Its time to live or hop limit on arrival, in hops, after [`set_recv_ttl`](UdpSocket::set_recv_ttl).
    pub ttl: Option<u8>,
    /// Its congestion mark, after [`set_recv_ecn`](UdpSocket::set_recv_ecn).
    pub ecn: Option<Ecn>,
    /// If the kernel joined several datagrams, after [`set_gro`](UdpSocket::set_gro), the length of
    /// each, the last one perhaps excepted.
    pub segment_size: Option<usize>,
    /// Whether it was longer than the buffer, and its rest is lost.
    pub truncated: bool,
}

impl UdpSocket {
    /// Receives one datagram into `buf`, with what the socket's options make the kernel tell of it.
    /// Nothing is allocated.
    ///
    /// Waits for a datagram, the read deadline or close. An empty `buf` waits, too.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: no datagram is taken from the kernel before it completes.
    ///
    /// # Errors
    /// Those of [`PacketConn::recv_from`](crate::PacketConn::recv_from).
    ///
    /// Reference: [`recvmsg(2)`](https://man7.org/linux/man-pages/man2/recvmsg.2.html).
    pub fn recv_msg(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<RecvMsg>> {
        let mut guard = self.fd.begin_read();
        poll_fn(move |cx| {
            let received = ready!(guard.poll_read_with(cx, |fd| datagram::recv(fd, buf)));
            let got = received.map_err(|err| self.failed(Op::Read, "recvmsg", err))?;
            Poll::Ready(Ok(RecvMsg {
                len: got.len,
                from: unmapped(got.from.ok_or_else(|| self.not_inet(Op::Read))?),
                local: got.local,
                interface: got.interface,
                ttl: got.ttl,
                ecn: got.tos.map(Ecn::from_tos),
                segment_size: got.segment,
                truncated: got.truncated,
            }))
        })
    }

    /// Sends one datagram, or several if it has a segment size; returns how many bytes were sent.
    /// Nothing is allocated.
    ///
    /// Waits for room in the kernel's buffer, the write deadline or close.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: either nothing was sent or it has completed.
    ///
    /// # Errors
    /// Those of [`PacketConn::send_to`](crate::PacketConn::send_to); `EDESTADDRREQ` without a
    /// destination and without a peer; `ENETUNREACH`, `EINVAL` or `ENODEV` for a local address or an
    /// interface that is none of this machine's, [`AddrError`] for a local address of another version
    /// of IP; `EINVAL`, `EIO` or `EMSGSIZE` for segments that the kernel does not cut.
    ///
    /// Reference: [`sendmsg(2)`](https://man7.org/linux/man-pages/man2/sendmsg.2.html).
    pub fn send_msg(&self, msg: &SendMsg<'_>) -> impl Future<Output = io::Result<usize>> {
        let mut sender = self.sender();
        poll_fn(move |cx| {
            let out = self
                .outgoing(msg)
                .map_err(|err| self.msg_failed(err, msg))?;
            sender
                .poll(cx, |fd| datagram::send(fd, &out).map(ControlFlow::Break))
                .map_err(|err| self.msg_failed(err, msg))
        })
    }

    fn outgoing<'a>(&self, msg: &SendMsg<'a>) -> io::Result<Outgoing<'a>> {
        let to = match (msg.to, self.is_connected()) {
            (Some(_), true) => return Err(WriteToConnectedError.into()),
            (Some(to), false) => Some(self.family_addr(to)?),
            (None, _) => None,
        };
        let peer = self
            .peer_sock_addr()
            .and_then(|peer| self.inet(Op::Write, peer).ok());
        let is_v4 = |ip: IpAddr| ip.to_canonical().is_ipv4();
        let goes_v4 = msg.to.or(peer).is_none_or(|to| is_v4(to.ip()));
        if let Some(from) = msg.from.filter(|&from| is_v4(from) != goes_v4) {
            // The kernel would take no notice of it.
            return Err(AddrError::new("mismatched local address type", from.to_string()).into());
        }
        Ok(Outgoing {
            from: msg.from,
            interface: msg.interface,
            tos: msg.ecn.map(Ecn::bits),
            ttl: msg.ttl,
            segment: msg
                .segment_size
                .filter(|&len| len > 0 && msg.data.len() > usize::from(len)),
            is_v4: goes_v4,
            ..Outgoing::new(msg.data, to)
        })
    }

    #[cold]
    fn msg_failed(&self, err: io::Error, msg: &SendMsg<'_>) -> io::Error {
        let err = self.op_error(Op::Write, syscall("sendmsg", err));
        match msg.to {
            Some(to) => err.to(Addr::Udp(to)).into(),
            None => err.into(),
        }
    }
}
