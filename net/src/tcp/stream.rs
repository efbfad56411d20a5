//! TCP connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::conn::Conn;
use crate::dial::Dialer;
use crate::error::Op;
use crate::keepalive::KeepAlive;
use crate::socket::built_on;
use crate::split::{ReadHalf, WriteHalf};

/// A TCP connection.
///
/// Dereferences to [`Conn`], which receives and sends, and through it to [`Socket`](crate::Socket),
/// which has deadlines and close. Small segments are sent at once and keep-alive probes are on,
/// until told otherwise.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// let (server, peer) = listener.accept().await?;
/// assert_eq!(peer, client.local_addr()?);
///
/// client.write_all(b"hello").await?;
/// let mut buf = [0; 16];
/// assert_eq!(server.read(&mut buf).await?, 5);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub struct TcpStream {
    conn: Conn,
}

built_on!(TcpStream, Conn, conn);

impl TcpStream {
    pub(crate) fn new(conn: Conn) -> Self {
        TcpStream { conn }
    }

    /// Connects to `address`, as [`Dialer::dial`] does for `"tcp"`.
    ///
    /// Waits for the lookup of a name and for the peer's answer; the kernel gives up after about
    /// two minutes.
    ///
    /// # Cancel safety
    /// Dropping the future gives up; the socket is closed.
    ///
    /// # Errors
    /// Those of [`Dialer::dial`].
    pub async fn connect(address: impl fmt::Display) -> io::Result<Self> {
        Ok(TcpStream {
            conn: Dialer::new().dial("tcp", address).await?,
        })
    }

    /// Returns the local address. The kernel is asked once; the answer is still there after close.
    ///
    /// # Errors
    /// The closed error after close, if nobody asked before.
    ///
    /// Reference: [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.conn
            .local_addr()?
            .socket_addr()
            .ok_or_else(|| self.not_inet())
    }

    /// Returns the address of the peer. No system call is made.
    ///
    /// # Errors
    /// `NotConnected` for an adopted socket that had no peer.
    ///
    /// Reference: [`getpeername(2)`](https://man7.org/linux/man-pages/man2/getpeername.2.html).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.conn
            .peer_addr()?
            .socket_addr()
            .ok_or_else(|| self.not_inet())
    }

    /// Tells whether small segments are sent at once.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_NODELAY`.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.option("getsockopt", |raw| raw.nodelay())
    }

    /// Sends small segments at once, or gathers them (Nagle's algorithm). At once by default.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_NODELAY`.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_nodelay(on))
    }

    /// Returns the keep-alive settings, or `None` if no probes are sent.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_KEEPIDLE`.
    pub fn keep_alive(&self) -> io::Result<Option<KeepAlive>> {
        self.option("getsockopt", |raw| raw.keep_alive())
    }

    /// Sends keep-alive probes while the connection is idle, or none.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::{KeepAlive, TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// stream.set_keep_alive(KeepAlive { count: Some(3), ..KeepAlive::default() })?;
    /// assert_eq!(stream.keep_alive()?.and_then(|probes| probes.count), Some(3));
    /// stream.set_nodelay(false)?;
    /// assert!(!stream.nodelay()?);
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// `EINVAL` if a setting is out of range; the ones before it are in force then. The closed
    /// error after close.
    ///
    /// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_KEEPIDLE`.
    pub fn set_keep_alive(&self, config: impl Into<Option<KeepAlive>>) -> io::Result<()> {
        let config = config.into();
        self.option("setsockopt", |raw| raw.set_keep_alive(config))
    }

    /// Returns how long closing waits for unsent data; `None` if the kernel sends it in the
    /// background.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_LINGER`.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.option("getsockopt", |raw| raw.linger())
    }

    /// Sets what closing does with unsent data: `None`, the default, leaves the sending to the
    /// kernel, and zero throws it away and resets the connection.
    ///
    /// Any other time, in whole seconds rounded up, makes closing wait for the data to be sent and
    /// acknowledged, up to that long: the future of [`close`](crate::Socket::close) does, and no
    /// worker. The kernel blocks a thread meanwhile, one of the blocking pool. The connection takes a
    /// second descriptor for that.
    ///
    /// # Errors
    /// `EMFILE`, with the linger time set and closing as blocking as the kernel has it; the closed
    /// error after close.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_LINGER`.
    pub fn set_linger(&self, after: Option<Duration>) -> io::Result<()> {
        self.conn
            .set_linger(after)
            .map_err(|err| self.failed(Op::Set, "setsockopt", err))
    }

    /// Splits the connection into two owned halves, as [`Conn::into_split`] does. Put together
    /// again they are a [`Conn`], which converts back.
    pub fn into_split(self) -> (ReadHalf<Arc<Conn>>, WriteHalf<Arc<Conn>>) {
        self.conn.into_split()
    }

    pub(crate) fn into_conn(self) -> Conn {
        self.conn
    }

    /// The kernel gave an address of another family than the socket's, which no Linux does.
    #[cold]
    fn not_inet(&self) -> io::Error {
        let err = io::Error::from_raw_os_error(gannet_sys::errno::EAFNOSUPPORT);
        self.failed(Op::Set, "getsockname", err)
    }
}
