//! Datagram sockets, whatever their family: receiving and sending.

use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::task::{Context, Poll, ready};

use gannet_runtime::WriteGuard;
use gannet_sys::sockaddr::SockAddr;
use gannet_sys::socket;

use crate::addr::Addr;
use crate::error::{Op, WriteToConnectedError, syscall};
use crate::family::Family;
use crate::ip::strip_header;
use crate::network::{Network, Protocol};
use crate::open::sock_addr;
use crate::pause::Sender;
use crate::socket::{Socket, built_on};

/// A datagram socket: UDP, Unix, raw IP, or packets of a link.
///
/// Comes from [`ListenConfig::listen_packet`](crate::ListenConfig::listen_packet); converts to
/// [`UdpSocket`](crate::UdpSocket), [`UnixDatagram`](crate::UnixDatagram),
/// [`IpSocket`](crate::IpSocket) or [`LinkSocket`](crate::LinkSocket) with `try_from`, and back with
/// `into`. Dereferences to [`Socket`], which has deadlines, addresses, options and close.
///
/// Every method takes `&self`, so that tasks may share a socket by reference or in an `Arc`. One
/// receives and one sends at a time.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net as net;
///
/// let server = net::listen_packet("udp", "127.0.0.1:0").await?;
/// let client = net::listen_packet("udp", "127.0.0.1:0").await?;
/// client.send_to(b"ping", &server.local_addr()?).await?;
///
/// let mut buf = [0; 16];
/// let (len, from) = server.recv_from(&mut buf).await?;
/// assert_eq!((&buf[..len], from), (&b"ping"[..], client.local_addr()?));
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct PacketConn {
    socket: Socket,
}

built_on!(PacketConn, Socket, socket);

impl PacketConn {
    pub(crate) fn new(socket: Socket) -> Self {
        PacketConn { socket }
    }

    pub(crate) fn into_socket(self) -> Socket {
        self.socket
    }

    /// Receives one datagram into `buf`; returns its length in bytes and the sender.
    ///
    /// Waits for a datagram, the read deadline or close. A datagram longer than `buf` is cut and
    /// the rest is lost without a word. Length 0 is an empty datagram, not an end. An empty `buf`
    /// waits, too, and takes a datagram away. A Unix sender without a name is an unnamed address,
    /// which prints as `@`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: no datagram is taken from the kernel before it completes.
    ///
    /// # Errors
    /// The deadline error after the read deadline, even if a datagram is there; the closed error
    /// after close; `ECONNREFUSED`, once, on a connected socket whose peer did not receive an
    /// earlier datagram. The socket goes on working after that.
    ///
    /// Reference: [`recvfrom(2)`](https://man7.org/linux/man-pages/man2/recvfrom.2.html).
    pub fn recv_from(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<(usize, Addr)>> {
        self.recv_map(buf, |len, from| {
            Ok((len, Addr::from_kernel(self.network().protocol(), from)))
        })
    }

    /// Receives as [`recv_from`](Self::recv_from), and leaves the datagram to be received again.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from).
    ///
    /// Reference: [`recvfrom(2)`](https://man7.org/linux/man-pages/man2/recvfrom.2.html),
    /// `MSG_PEEK`.
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, Addr)> {
        let received = self.fd.read_with(|fd| socket::peek_from(fd, buf)).await;
        let (len, from) = received.map_err(|err| self.failed(Op::Read, "recvfrom", err))?;
        let len = self.payload(buf, len);
        Ok((len, Addr::from_kernel(self.network().protocol(), from)))
    }

    /// Receives as [`recv_from`](Self::recv_from) without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is no datagram or another task is receiving; otherwise those of
    /// `recv_from`.
    ///
    /// Reference: [`recvfrom(2)`](https://man7.org/linux/man-pages/man2/recvfrom.2.html).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, Addr)> {
        let received = self.fd.try_read_with(|fd| socket::recv_from(fd, buf));
        let (len, from) = received.map_err(|err| self.try_failed(Op::Read, "recvfrom", err))?;
        let len = self.payload(buf, len);
        Ok((len, Addr::from_kernel(self.network().protocol(), from)))
    }

    /// Receives one datagram into `buf`; returns its length in bytes.
    ///
    /// Waits as [`recv_from`](Self::recv_from), except that an empty `buf` returns 0 at once.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: no datagram is taken from the kernel before it completes.
    ///
    /// # Errors
    /// Those of [`recv_from`](Self::recv_from).
    ///
    /// Reference: [`recv(2)`](https://man7.org/linux/man-pages/man2/recv.2.html).
    pub fn recv(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        let mut guard = self.fd.begin_read();
        poll_fn(move |cx| {
            if buf.is_empty() {
                return Poll::Ready(self.check_open(Op::Read).map(|()| 0));
            }
            guard
                .poll_read_with(cx, |fd| socket::recv(fd, buf))
                .map_err(|err| self.failed(Op::Read, "read", err))
        })
    }

    /// Sends `buf` as one datagram to `addr`; returns its length in bytes. An empty `buf` is an
    /// empty datagram.
    ///
    /// Waits for room in the kernel's buffer, the write deadline or close. Sent means given to the
    /// kernel; the network may still lose it.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: either nothing was sent or it has completed.
    ///
    /// # Errors
    /// [`WriteToConnectedError`] on a socket that has its one peer;
    /// [`AddrError`](crate::error::AddrError) for an address that this socket cannot reach, such as
    /// IPv6 from IPv4; `EMSGSIZE` if `buf` is too long for a datagram; `ENETUNREACH` and
    /// `EHOSTUNREACH` without a route; the deadline error after the write deadline, the closed
    /// error after close.
    ///
    /// Reference: [`sendto(2)`](https://man7.org/linux/man-pages/man2/sendto.2.html).
    pub async fn send_to(&self, buf: &[u8], addr: &Addr) -> io::Result<usize> {
        if addr.protocol() != self.network().protocol() {
            let err = crate::error::AddrError::new("unexpected address type", addr.to_string());
            return Err(self.send_failed(err.into(), addr.clone()));
        }
        let to = sock_addr(addr, self.network(), self.family());
        let to = to.map_err(|err| self.send_failed(err, addr.clone()))?;
        self.send_sock_addr(buf, &to).await
    }

    /// Sends `buf` as one datagram to the peer of a connected socket; returns its length in bytes.
    ///
    /// Waits as [`send_to`](Self::send_to).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: either nothing was sent or it has completed.
    ///
    /// # Errors
    /// `EDESTADDRREQ` (UDP) or `ENOTCONN` (Unix) on a socket without a peer, where whole packets of a
    /// link go by the interface that the socket is bound to; `ECONNREFUSED`, once,
    /// if the peer did not receive an earlier datagram; otherwise those of
    /// [`send_to`](Self::send_to).
    ///
    /// Reference: [`send(2)`](https://man7.org/linux/man-pages/man2/send.2.html).
    pub fn send(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> {
        self.socket
            .send_with(Op::Write, "write", move |fd| socket::send(fd, buf))
    }

    /// Waits until receiving would not wait: for a datagram, an error, the read deadline or close.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// The deadline error after the read deadline, the closed error after close.
    ///
    /// Reference: [`poll(2)`](https://man7.org/linux/man-pages/man2/poll.2.html).
    pub fn readable(&self) -> impl Future<Output = io::Result<()>> {
        self.socket.readable()
    }

    /// Waits until sending would not wait: for room, an error, the write deadline or close.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// The deadline error after the write deadline, the closed error after close.
    ///
    /// Reference: [`poll(2)`](https://man7.org/linux/man-pages/man2/poll.2.html).
    pub fn writable(&self) -> impl Future<Output = io::Result<()>> {
        self.socket.writable()
    }

    /// Receives a datagram, and makes something of its length and its sender.
    #[inline]
    pub(crate) fn recv_map<R>(
        &self,
        buf: &mut [u8],
        mut make: impl FnMut(usize, SockAddr) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        let mut guard = self.fd.begin_read();
        poll_fn(move |cx| {
            let received = ready!(guard.poll_read_with(cx, |fd| socket::recv_from(fd, buf)));
            Poll::Ready(match received {
                Ok((len, from)) => make(self.payload(buf, len), from),
                Err(err) => Err(self.failed(Op::Read, "recvfrom", err)),
            })
        })
    }

    /// Takes off what the kernel puts before the data, which it does for raw IPv4 sockets; returns how
    /// much is left.
    #[inline]
    fn payload(&self, buf: &mut [u8], len: usize) -> usize {
        if self.network().protocol() == Protocol::Ip && self.family() == Some(Family::V4) {
            strip_header(buf, len)
        } else {
            len
        }
    }

    /// Sends a datagram to an address that the socket can reach.
    #[inline]
    pub(crate) fn poll_send_to(
        &self,
        sender: &mut Sender<WriteGuard<'_>>,
        cx: &mut Context<'_>,
        buf: &[u8],
        to: &SockAddr,
    ) -> Poll<io::Result<usize>> {
        let polled = if self.is_connected() {
            Poll::Ready(Err(WriteToConnectedError.into()))
        } else {
            sender.poll(cx, |fd| {
                socket::send_to(fd, buf, to).map(ControlFlow::Break)
            })
        };
        polled.map_err(|err| self.sock_addr_failed(err, to))
    }

    pub(crate) async fn send_sock_addr(&self, buf: &[u8], to: &SockAddr) -> io::Result<usize> {
        if self.network() == Network::Unixgram && !self.is_connected() {
            // Boxed, because its pauses would make every sender's task bigger.
            let sent = Box::pin(self.send_to_queue(|fd| socket::send_to(fd, buf, to))).await;
            return sent.map_err(|err| self.sock_addr_failed(err, to));
        }
        let mut sender = self.socket.sender();
        poll_fn(|cx| self.poll_send_to(&mut sender, cx, buf, to)).await
    }

    #[cold]
    fn sock_addr_failed(&self, err: io::Error, to: &SockAddr) -> io::Error {
        let to = Addr::from_kernel(self.network().protocol(), to.clone());
        self.send_failed(err, to)
    }

    /// Wraps an error of a datagram that was to go to `to`.
    #[cold]
    pub(crate) fn send_failed(&self, err: io::Error, to: Addr) -> io::Error {
        self.op_error(Op::Write, syscall("sendto", err))
            .to(to)
            .into()
    }
}
