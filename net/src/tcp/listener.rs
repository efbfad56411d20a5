//! TCP listeners.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::addr::unmapped;
use crate::conn::Conn;
use crate::error::Op;
use crate::listen::ListenConfig;
use crate::listener::Listener;
use crate::socket::built_on;
use crate::tcp::TcpStream;
use gannet_sys::sockaddr::SockAddr;

/// A TCP listener.
///
/// Dereferences to [`Listener`], which says how accepting deals with errors, and through it to
/// [`Socket`](crate::Socket), which has the deadline of accepting and close. Accepted connections
/// inherit the listener's options; accepting one costs two system calls.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// let (server, _peer) = listener.accept().await?;
/// assert!(server.nodelay()?);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub struct TcpListener {
    listener: Listener,
}

built_on!(TcpListener, Listener, listener);

impl TcpListener {
    pub(crate) fn new(listener: Listener) -> Self {
        TcpListener { listener }
    }

    /// Listens on a local address, as [`ListenConfig::listen_stream`] does for `"tcp"`. Port 0 lets
    /// the kernel choose.
    ///
    /// Waits only if `address` is a name.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no socket behind.
    ///
    /// # Errors
    /// Those of [`ListenConfig::listen_stream`].
    pub async fn bind(address: impl fmt::Display) -> io::Result<Self> {
        Ok(TcpListener {
            listener: ListenConfig::new().listen_stream("tcp", address).await?,
        })
    }

    /// Accepts a connection; returns it with the address of its peer. See [`Listener::accept`].
    ///
    /// Waits for a peer, the read deadline or close.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of [`Listener::accept`].
    ///
    /// Reference: [`accept4(2)`](https://man7.org/linux/man-pages/man2/accept4.2.html).
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.accept_socket().await?;
        let SockAddr::Inet(peer) = peer else {
            return Err(self.not_inet(Op::Accept));
        };
        Ok((TcpStream::new(Conn::new(socket)), unmapped(peer)))
    }

    /// Returns the address listened on, with the port that the kernel chose.
    ///
    /// # Errors
    /// The closed error after close, if nobody asked before.
    ///
    /// Reference: [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener
            .local_addr()?
            .socket_addr()
            .ok_or_else(|| self.not_inet(Op::Set))
    }

    pub(crate) fn into_listener(self) -> Listener {
        self.listener
    }

    /// The kernel gave an address of another family than the socket's, which no Linux does.
    #[cold]
    fn not_inet(&self, op: Op) -> io::Error {
        self.failed(
            op,
            "accept4",
            io::Error::from_raw_os_error(gannet_sys::errno::EAFNOSUPPORT),
        )
    }
}
