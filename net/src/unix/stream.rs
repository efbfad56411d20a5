//! Unix stream connections.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use gannet_runtime::{AdoptOptions, AsyncFd};
use gannet_sys::sockaddr::{SockAddr, UnixAddr};
use gannet_sys::socket::{self, Kind};

use crate::addr::{Addr, unix_addr};
use crate::conn::Conn;
use crate::dial::Dialer;
use crate::error::{Op, OpError, syscall};
use crate::network::Network;
use crate::socket::{Socket, built_on};
use crate::split::{ReadHalf, WriteHalf};

/// A Unix stream connection.
///
/// Dereferences to [`Conn`], which receives and sends, and through it to [`Socket`], which has
/// deadlines and close.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::UnixStream;
///
/// let (left, right) = UnixStream::pair()?;
/// left.write_all(b"ping").await?;
/// let mut buf = [0; 16];
/// assert_eq!(right.read(&mut buf).await?, 4);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html).
pub struct UnixStream {
    conn: Conn,
}

built_on!(UnixStream, Conn, conn);
super::message::messages!(UnixStream);

impl UnixStream {
    pub(crate) fn new(conn: Conn) -> Self {
        UnixStream { conn }
    }

    /// Connects to the listener called `path`: a file, or `@` and an abstract name.
    ///
    /// Does not wait.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket.
    ///
    /// # Errors
    /// `ENOENT` without such a file, `ECONNREFUSED` if nobody listens, `EAGAIN` if the listener's
    /// queue is full, `EACCES` without permission; `InvalidInput` for a path of more than 107
    /// bytes.
    ///
    /// Reference: [`connect(2)`](https://man7.org/linux/man-pages/man2/connect.2.html).
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        let remote = Addr::Unix(unix_addr(path.as_ref().as_os_str().as_bytes()));
        let conn = Dialer::new()
            .dial_addrs(Network::Unix, vec![remote])
            .await?;
        Ok(UnixStream { conn })
    }

    /// Makes two connections that are each other's peers, without names.
    ///
    /// # Errors
    /// `EMFILE` and `ENFILE` when descriptors ran out.
    ///
    /// Reference: [`socketpair(2)`](https://man7.org/linux/man-pages/man2/socketpair.2.html).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = pair(Network::Unix, Kind::Stream)?;
        Ok((
            UnixStream {
                conn: Conn::new(left),
            },
            UnixStream {
                conn: Conn::new(right),
            },
        ))
    }

    /// Returns the name of this end, which is most often none.
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

    /// Returns the name of the peer, which is none for one that was accepted and did not bind. No
    /// system call is made.
    ///
    /// # Errors
    /// `NotConnected` for an adopted socket that had no peer.
    ///
    /// Reference: [`getpeername(2)`](https://man7.org/linux/man-pages/man2/getpeername.2.html).
    pub fn peer_addr(&self) -> io::Result<UnixAddr> {
        match self.peer_sock_addr() {
            Some(peer) => Ok(super::name(peer)),
            None => Err(self
                .conn
                .peer_addr()
                .err()
                .unwrap_or_else(|| io::ErrorKind::NotConnected.into())),
        }
    }

    /// Splits the connection into two owned halves, as [`Conn::into_split`] does. Put together
    /// again they are a [`Conn`], which converts back.
    pub fn into_split(self) -> (ReadHalf<Arc<Conn>>, WriteHalf<Arc<Conn>>) {
        self.conn.into_split()
    }

    pub(crate) fn into_conn(self) -> Conn {
        self.conn
    }
}

/// Makes two connected sockets of `network`.
pub(super) fn pair(network: Network, kind: Kind) -> io::Result<(Socket, Socket)> {
    let wrap = |err| io::Error::from(OpError::new(Op::Dial, network.as_str(), err));
    let register = |fd| {
        let options = AdoptOptions {
            exclusive: true,
            fresh: true,
            lazy: true,
            ..AdoptOptions::default()
        };
        let fd = AsyncFd::with_options(fd, options).map_err(|err| wrap(err.into()))?;
        Ok::<_, io::Error>(Socket::new(
            fd,
            network,
            None,
            Some(SockAddr::Unix(UnixAddr::Unnamed)),
        ))
    };
    let (left, right) = socket::socketpair(kind).map_err(|err| wrap(syscall("socketpair", err)))?;
    Ok((register(left)?, register(right)?))
}
