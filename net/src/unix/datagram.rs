//! Unix datagram sockets.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gannet_sys::sockaddr::{SockAddr, UnixAddr};
use gannet_sys::socket::Kind;

use crate::addr::{Addr, unix_addr};
use crate::dial::Dialer;
use crate::error::Op;
use crate::listen::ListenConfig;
use crate::network::Network;
use crate::packet::PacketConn;
use crate::socket::built_on;

/// A Unix datagram socket.
///
/// Dereferences to [`PacketConn`], which receives and sends, and through it to
/// [`Socket`](crate::Socket). Its own methods take and give [`UnixAddr`] in place of [`Addr`].
/// Unlike a listener's, its file is never unlinked.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::UnixDatagram;
///
/// // An empty name: the kernel chooses an abstract one.
/// let server = UnixDatagram::bind("").await?;
/// let client = UnixDatagram::bind("").await?;
/// client.send_to(b"ping", &server.local_addr()?).await?;
///
/// let mut buf = [0; 16];
/// let (len, from) = server.recv_from(&mut buf).await?;
/// assert_eq!((len, from), (4, client.local_addr()?));
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html).
pub struct UnixDatagram {
    packet: PacketConn,
}

built_on!(UnixDatagram, PacketConn, packet);
super::message::messages!(UnixDatagram);

impl UnixDatagram {
    pub(crate) fn new(packet: PacketConn) -> Self {
        UnixDatagram { packet }
    }

    /// Opens a socket under a name: a file, `@` and an abstract name, or empty for an abstract name
    /// that the kernel chooses.
    ///
    /// Does not wait.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no socket behind.
    ///
    /// # Errors
    /// Those of [`ListenConfig::listen_packet`].
    ///
    /// Reference: [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html).
    pub async fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let local = Addr::Unixgram(unix_addr(path.as_ref().as_os_str().as_bytes()));
        let packet = ListenConfig::new().listen_packet_addr(Network::Unixgram, &local)?;
        Ok(UnixDatagram { packet })
    }

    /// Opens a socket without a name whose one peer is the socket called `path`.
    ///
    /// Does not wait. The peer cannot answer a socket without a name: to be answered, dial with
    /// [`Dialer::local_addr`].
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket.
    ///
    /// # Errors
    /// Those of [`UnixStream::connect`](crate::UnixStream::connect), and `EPROTOTYPE` if the name
    /// is a stream socket's.
    ///
    /// Reference: [`connect(2)`](https://man7.org/linux/man-pages/man2/connect.2.html).
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        let remote = Addr::Unixgram(unix_addr(path.as_ref().as_os_str().as_bytes()));
        let conn = Dialer::new()
            .dial_addrs(Network::Unixgram, vec![remote])
            .await?;
        Ok(UnixDatagram {
            packet: PacketConn::new(conn.into_socket()),
        })
    }

    /// Makes two sockets that are each other's peers, without names.
    ///
    /// # Errors
    /// `EMFILE` and `ENFILE` when descriptors ran out.
    ///
    /// Reference: [`socketpair(2)`](https://man7.org/linux/man-pages/man2/socketpair.2.html).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = super::stream::pair(Network::Unixgram, Kind::Datagram)?;
        let datagram = |socket| UnixDatagram {
            packet: PacketConn::new(socket),
        };
        Ok((datagram(left), datagram(right)))
    }

    /// Receives one datagram into `buf`; returns its length in bytes and the sender's name.
    ///
    /// Waits for a datagram, the read deadline or close. A datagram longer than `buf` is cut and
    /// the rest is lost without a word. Length 0 is an empty datagram, not an end.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: no datagram is taken from the kernel before it completes.
    ///
    /// # Errors
    /// Those of [`PacketConn::recv_from`].
    ///
    /// Reference: [`recvfrom(2)`](https://man7.org/linux/man-pages/man2/recvfrom.2.html).
    pub fn recv_from(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<(usize, UnixAddr)>> {
        self.recv_map(buf, |len, from| Ok((len, super::name(from))))
    }

    /// Sends `buf` as one datagram to the socket called `addr`; returns its length in bytes.
    ///
    /// Waits for room in the receiver's queue, the write deadline or close.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: either nothing was sent or it has completed.
    ///
    /// # Errors
    /// `ENOENT` without such a file, `ECONNREFUSED` if nobody has it open; otherwise those of
    /// [`PacketConn::send_to`].
    ///
    /// Reference: [`sendto(2)`](https://man7.org/linux/man-pages/man2/sendto.2.html).
    pub async fn send_to(&self, buf: &[u8], addr: &UnixAddr) -> io::Result<usize> {
        self.send_sock_addr(buf, &SockAddr::Unix(addr.clone()))
            .await
    }

    /// Returns the name of this socket. The kernel is asked once; the answer is still there after
    /// close.
    ///
    /// # Errors
    /// The closed error after close, if nobody asked before.
    ///
    /// Reference: [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<UnixAddr> {
        let local = self.local_sock_addr();
        local
            .map(super::name)
            .map_err(|err| self.failed(Op::Set, "getsockname", err))
    }

    pub(crate) fn into_packet(self) -> PacketConn {
        self.packet
    }
}
