//! UDP sockets.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

use gannet_sys::sockaddr::SockAddr;

use crate::addr::{Addr, unmapped};
use crate::dial::Dialer;
use crate::error::Op;
use crate::family;
use crate::listen::ListenConfig;
use crate::packet::PacketConn;
use crate::socket::built_on;

mod message;
mod multicast;
mod options;
mod owned;
mod recv;
mod report;
mod send;

pub use message::{RecvMsg, SendMsg};
pub use options::MtuDiscovery;
pub use owned::{UdpReceiver, UdpSender};
pub use recv::{Datagrams, RecvBatch, RecvDatagram};
pub use report::{DatagramReport, Origin};
pub use send::Transmit;

use send::SegmentLimit;

/// A UDP socket.
///
/// Dereferences to [`PacketConn`], which receives and sends, and through it to
/// [`Socket`](crate::Socket). Its own methods take and give [`SocketAddr`] in place of [`Addr`].
/// Broadcast is allowed from the start.
///
/// Many datagrams go in one system call with [`recv_batch`](Self::recv_batch) and
/// [`send_batch`](Self::send_batch), which also tell and set more of each: the local address, the
/// congestion mark, segmentation. [`recv_msg`](Self::recv_msg) and [`send_msg`](Self::send_msg) do it for
/// one, with the time to live and the interface besides.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::UdpSocket;
///
/// let server = UdpSocket::bind("127.0.0.1:0").await?;
/// let client = UdpSocket::connect(server.local_addr()?).await?;
/// client.send(b"ping").await?;
///
/// let mut buf = [0; 16];
/// let (len, from) = server.recv_from(&mut buf).await?;
/// server.send_to(&buf[..len], from).await?;
/// assert_eq!(client.recv(&mut buf).await?, 4);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`udp(7)`](https://man7.org/linux/man-pages/man7/udp.7.html).
pub struct UdpSocket {
    packet: PacketConn,
    segments: SegmentLimit,
}

built_on!(UdpSocket, PacketConn, packet);

impl UdpSocket {
    pub(crate) fn new(packet: PacketConn) -> Self {
        UdpSocket {
            packet,
            segments: SegmentLimit::new(),
        }
    }

    /// Opens a socket on a local address, as [`ListenConfig::listen_packet`] does for `"udp"`.
    ///
    /// Waits only if `address` is a name.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no socket behind.
    ///
    /// # Errors
    /// Those of [`ListenConfig::listen_packet`].
    pub async fn bind(address: impl fmt::Display) -> io::Result<Self> {
        let packet = ListenConfig::new().listen_packet("udp", address).await?;
        Ok(UdpSocket::new(packet))
    }

    /// Opens a socket with `address` as its one peer, as [`Dialer::dial`] does for `"udp"`.
    ///
    /// Waits only if `address` is a name: no packet is exchanged.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no socket behind.
    ///
    /// # Errors
    /// Those of [`Dialer::dial`].
    pub async fn connect(address: impl fmt::Display) -> io::Result<Self> {
        let conn = Dialer::new().dial("udp", address).await?;
        Ok(UdpSocket::new(PacketConn::new(conn.into_socket())))
    }

    /// Receives one datagram into `buf`; returns its length in bytes and the sender. Nothing is
    /// allocated.
    ///
    /// Waits for a datagram, the read deadline or close. A datagram longer than `buf` is cut and
    /// the rest is lost without a word. Length 0 is an empty datagram, not an end. An IPv4 sender
    /// is shown as IPv4, also by an IPv6 socket.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: no datagram is taken from the kernel before it completes.
    ///
    /// # Errors
    /// Those of [`PacketConn::recv_from`].
    ///
    /// Reference: [`recvfrom(2)`](https://man7.org/linux/man-pages/man2/recvfrom.2.html).
    pub fn recv_from(
        &self,
        buf: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> {
        self.recv_map(buf, |len, from| Ok((len, self.inet(Op::Read, from)?)))
    }

    /// Receives as [`recv_from`](Self::recv_from), and leaves the datagram to be received again.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of [`PacketConn::recv_from`].
    ///
    /// Reference: [`recvfrom(2)`](https://man7.org/linux/man-pages/man2/recvfrom.2.html),
    /// `MSG_PEEK`.
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (len, from) = self.packet.peek_from(buf).await?;
        Ok((
            len,
            from.socket_addr().ok_or_else(|| self.not_inet(Op::Read))?,
        ))
    }

    /// Receives as [`recv_from`](Self::recv_from) without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is no datagram or another task is receiving; otherwise those of
    /// `recv_from`.
    ///
    /// Reference: [`recvfrom(2)`](https://man7.org/linux/man-pages/man2/recvfrom.2.html).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (len, from) = self.packet.try_recv_from(buf)?;
        Ok((
            len,
            from.socket_addr().ok_or_else(|| self.not_inet(Op::Read))?,
        ))
    }

    /// Sends `buf` as one datagram to `addr`; returns its length in bytes. Nothing is allocated.
    ///
    /// Waits for room in the kernel's buffer, the write deadline or close. Sent means given to the
    /// kernel; the network may still lose it.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: either nothing was sent or it has completed.
    ///
    /// # Errors
    /// Those of [`PacketConn::send_to`].
    ///
    /// Reference: [`sendto(2)`](https://man7.org/linux/man-pages/man2/sendto.2.html).
    pub fn send_to(&self, buf: &[u8], addr: SocketAddr) -> impl Future<Output = io::Result<usize>> {
        let mut sender = self.sender();
        poll_fn(move |cx| {
            let to = self.kernel_addr(addr)?;
            self.poll_send_to(&mut sender, cx, buf, &SockAddr::Inet(to))
        })
    }

    /// The address as this socket's family writes it.
    fn kernel_addr(&self, addr: SocketAddr) -> io::Result<SocketAddr> {
        self.family_addr(addr)
            .map_err(|err| self.send_failed(err, Addr::Udp(addr)))
    }

    fn family_addr(&self, addr: SocketAddr) -> io::Result<SocketAddr> {
        let family = self.family().ok_or_else(|| self.not_inet(Op::Write))?;
        Ok(family::socket_addr(&Addr::Udp(addr), family)?)
    }

    /// Returns the local address. The kernel is asked once; the answer is still there after close.
    ///
    /// # Errors
    /// The closed error after close, if nobody asked before.
    ///
    /// Reference: [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.packet
            .local_addr()?
            .socket_addr()
            .ok_or_else(|| self.not_inet(Op::Set))
    }

    /// Returns the address of the peer of a connected socket. No system call is made.
    ///
    /// # Errors
    /// `NotConnected` for a socket without a peer.
    ///
    /// Reference: [`getpeername(2)`](https://man7.org/linux/man-pages/man2/getpeername.2.html).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.packet
            .peer_addr()?
            .socket_addr()
            .ok_or_else(|| self.not_inet(Op::Set))
    }

    pub(crate) fn into_packet(self) -> PacketConn {
        self.packet
    }

    fn inet(&self, op: Op, addr: SockAddr) -> io::Result<SocketAddr> {
        match addr {
            SockAddr::Inet(addr) => Ok(unmapped(addr)),
            SockAddr::Unix(_) | SockAddr::Link(_) => Err(self.not_inet(op)),
        }
    }

    /// The kernel gave an address of another family than the socket's, which no Linux does.
    #[cold]
    fn not_inet(&self, op: Op) -> io::Error {
        self.failed(
            op,
            "socket",
            io::Error::from_raw_os_error(gannet_sys::errno::EAFNOSUPPORT),
        )
    }
}
