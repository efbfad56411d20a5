//! The descriptor of a socket: borrowed, waited for, duplicated.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use gannet_runtime::AsyncFd;
use gannet_sys::fd::dup_cloexec;

use crate::conn::Conn;
use crate::error::{Op, OpError, syscall};
use crate::listener::Listener;
use crate::packet::PacketConn;
use crate::socket::Socket;

impl Socket {
    /// Runs `f` with the descriptor, at once and without waiting for other tasks.
    ///
    /// The socket cannot be closed meanwhile. `f` must neither close the descriptor nor make it
    /// blocking. [`control`](Self::control) has the options, typed.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use std::os::fd::AsRawFd;
    ///
    /// let socket = gannet_net::listen_packet("udp", "127.0.0.1:0").await?;
    /// assert!(socket.with_fd(|fd| fd.as_raw_fd())? > 2);
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`syscall.RawConn`](https://pkg.go.dev/syscall#RawConn) of Go, `Control`.
    pub fn with_fd<R>(&self, f: impl FnOnce(BorrowedFd<'_>) -> R) -> io::Result<R> {
        let result = self.fd.with_fd(f);
        result.map_err(|err| self.op_error(Op::RawControl, err).into())
    }

    /// Runs `f`, a system call of one's own that receives, again and again until it does not fail with
    /// `WouldBlock`.
    ///
    /// Waits for the socket to be readable between two calls of `f`, for the read deadline or for
    /// close. Nobody else receives meanwhile. `f` must not wait.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use std::io::Read;
    /// use std::os::unix::net::UnixStream as StdStream;
    /// let (left, right) = gannet_net::UnixStream::pair()?;
    /// left.write_all(b"ping").await?;
    /// let mut buf = [0; 8];
    /// let len = right
    ///     .read_with(|fd| StdStream::from(fd.try_clone_to_owned()?).read(&mut buf))
    ///     .await?;
    /// assert_eq!(&buf[..len], b"ping");
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: `f` runs only while it is polled.
    ///
    /// # Errors
    /// Those of `f`; the deadline error after the read deadline, the closed error after close.
    ///
    /// Reference: [`syscall.RawConn`](https://pkg.go.dev/syscall#RawConn) of Go, `Read`.
    pub async fn read_with<R>(
        &self,
        f: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        let result = self.fd.read_with(f).await;
        result.map_err(|err| self.op_error(Op::RawRead, err).into())
    }

    /// Runs `f`, a system call of one's own that sends, again and again until it does not fail with
    /// `WouldBlock`.
    ///
    /// Waits for the socket to be writable between two calls of `f`, for the write deadline or for
    /// close. Nobody else sends meanwhile. `f` must not wait.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: `f` runs only while it is polled.
    ///
    /// # Errors
    /// Those of `f`; the deadline error after the write deadline, the closed error after close.
    ///
    /// Reference: [`syscall.RawConn`](https://pkg.go.dev/syscall#RawConn) of Go, `Write`.
    pub async fn write_with<R>(
        &self,
        f: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        let result = self.fd.write_with(f).await;
        result.map_err(|err| self.op_error(Op::RawWrite, err).into())
    }

    /// Makes a second handle with a descriptor of its own.
    fn duplicate(&self) -> io::Result<Socket> {
        let failed = |err| io::Error::from(self.op_error(Op::File, err));
        self.check_open(Op::File)?;
        // By `as_fd`, which tells the poller that the socket has a second descriptor.
        let fd = dup_cloexec(self.fd.as_fd()).map_err(|err| failed(syscall("fcntl", err)))?;
        let fd = AsyncFd::new(fd).map_err(|err| {
            io::Error::from(OpError::new(Op::File, self.network().as_str(), err.into()))
        })?;
        let peer = self.peer_sock_addr();
        let socket = Socket::new(fd, self.network(), self.family(), peer);
        let _ = socket.local_sock_addr();
        // Whichever is closed last waits for the linger time.
        let followed = socket.follow_linger();
        followed.map_err(|err| failed(syscall("fcntl", err)))?;
        Ok(socket)
    }
}

impl Conn {
    /// Makes a second handle of the same connection, with a descriptor of its own: closing one leaves
    /// the other, deadlines belong to each, options, position and [`shutdown`](Self::shutdown) to
    /// both.
    ///
    /// Tasks of one process do better with one handle in an `Arc`.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::UnixStream;
    ///
    /// let (left, right) = UnixStream::pair()?;
    /// let other = left.try_clone()?;
    /// left.close().await?;
    /// other.write_all(b"still here").await?;
    /// assert_eq!(right.read(&mut [0; 16]).await?, 10);
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// `EMFILE` and `ENFILE` when descriptors ran out, the closed error after close.
    ///
    /// Reference: [`dup(2)`](https://man7.org/linux/man-pages/man2/dup.2.html).
    pub fn try_clone(&self) -> io::Result<Conn> {
        self.duplicate().map(Conn::new)
    }
}

impl PacketConn {
    /// Makes a second handle of the same socket, with a descriptor of its own: closing one leaves the
    /// other, deadlines belong to each, options and datagrams to both.
    ///
    /// # Errors
    /// Those of [`Conn::try_clone`].
    ///
    /// Reference: [`dup(2)`](https://man7.org/linux/man-pages/man2/dup.2.html).
    pub fn try_clone(&self) -> io::Result<PacketConn> {
        self.duplicate().map(PacketConn::new)
    }
}

impl Listener {
    /// Makes a second handle of the same listener, with a descriptor of its own: closing one leaves
    /// the other, and connections come to either. A socket file belongs to the first.
    ///
    /// # Errors
    /// Those of [`Conn::try_clone`].
    ///
    /// Reference: [`dup(2)`](https://man7.org/linux/man-pages/man2/dup.2.html).
    pub fn try_clone(&self) -> io::Result<Listener> {
        self.duplicate().map(|socket| Listener::new(socket, false))
    }
}
