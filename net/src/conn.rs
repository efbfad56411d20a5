//! Connections, whatever their family: receiving and sending.

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Poll;

use gannet_sys::errno;
use gannet_sys::socket;

use crate::error::{Op, syscall};
use crate::network::Protocol;
use crate::socket::{Socket, built_on};
use crate::split::{ReadHalf, WriteHalf};

/// A connection: TCP, Unix stream, or a datagram socket that has its one peer.
///
/// Comes from [`Dialer::dial`](crate::Dialer::dial) and
/// [`Listener::accept`](crate::Listener::accept); converts to [`TcpStream`](crate::TcpStream),
/// [`UnixStream`](crate::UnixStream), [`UdpSocket`](crate::UdpSocket) or
/// [`UnixDatagram`](crate::UnixDatagram) with `try_from`, and back with `into`. Dereferences to
/// [`Socket`], which has deadlines, addresses, options and close.
///
/// Every method takes `&self`, so that tasks may share a connection by reference or in an `Arc`.
/// One receives and one sends at a time. A connection that waits holds no buffer if it waits in
/// [`readable`](Self::readable).
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net as net;
///
/// let listener = net::listen_stream("tcp", "127.0.0.1:0").await?;
/// let client = net::dial("tcp", listener.local_addr()?).await?;
/// let (server, _peer) = listener.accept().await?;
///
/// client.write_all(b"ping").await?;
/// let mut buf = [0; 4];
/// server.read_exact(&mut buf).await?;
/// assert_eq!(&buf, b"ping");
///
/// drop(client);
/// assert_eq!(server.read(&mut buf).await?, 0);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct Conn {
    socket: Socket,
}

built_on!(Conn, Socket, socket);

impl Conn {
    pub(crate) fn new(socket: Socket) -> Self {
        Conn { socket }
    }

    pub(crate) fn into_socket(self) -> Socket {
        self.socket
    }

    /// Receives into `buf`; returns how many bytes. 0 is the end of a stream, or an empty datagram.
    ///
    /// Waits for data, the read deadline or close. One call asks a stream for at most 1 GiB. An
    /// empty `buf` returns 0 at once, even after the deadline. Of a datagram longer than `buf` the
    /// rest is lost.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: nothing is taken from the kernel before it completes.
    ///
    /// # Errors
    /// The deadline error after the read deadline, even if data is there; the closed error after
    /// close; `ECONNRESET` after a reset; `ECONNREFUSED`, once, if nobody received an earlier
    /// datagram; `ENOSPC` or `ENOMEM` if an accepted connection that has to wait for the first time
    /// cannot be registered with the poller.
    ///
    /// Reference: [`recv(2)`](https://man7.org/linux/man-pages/man2/recv.2.html).
    #[inline]
    pub fn read(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        // By hand, as the other operations of the common path: an `async fn` keeps its arguments
        // twice, and a future within for its work, in every task that reads.
        let mut guard = self.fd.begin_read();
        poll_fn(move |cx| {
            if buf.is_empty() {
                return Poll::Ready(self.check_open(Op::Read).map(|()| 0));
            }
            let buf = self.capped_mut(buf);
            guard
                .poll_read_stream_with(cx, self.drain_len(buf.len()), |fd| socket::recv(fd, buf))
                .map_err(|err| self.failed(Op::Read, "read", err))
        })
    }

    /// Receives until `buf` is full.
    ///
    /// Waits for as many bytes as fit, the read deadline or close. No other task's read comes in
    /// between.
    ///
    /// # Cancel safety
    /// Not cancel safe: what was received before the future is dropped is lost. A deadline loses
    /// nothing.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), and `UnexpectedEof` if the stream ends before;
    /// [`error::received`](crate::error::received) tells how many bytes of `buf` are filled.
    ///
    /// Reference: [`recv(2)`](https://man7.org/linux/man-pages/man2/recv.2.html).
    pub async fn read_exact(&self, buf: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        let result = self.fill(buf, &mut filled).await;
        result.map_err(|err| {
            self.op_error(Op::Read, syscall("read", err))
                .after(filled)
                .into()
        })
    }

    async fn fill(&self, buf: &mut [u8], filled: &mut usize) -> io::Result<()> {
        let mut guard = self.fd.begin_read();
        while *filled < buf.len() {
            let rest = self.capped_mut(&mut buf[*filled..]);
            match guard
                .read_stream_with(self.drain_len(rest.len()), |fd| socket::recv(fd, rest))
                .await?
            {
                0 => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "unexpected EOF",
                    ));
                }
                received => *filled += received,
            }
        }
        Ok(())
    }

    /// Receives into several buffers, filling one after the other; returns how many bytes in all.
    ///
    /// Waits and fails as [`read`](Self::read). At most 1024 buffers are used.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    ///
    /// Reference: [`recvmsg(2)`](https://man7.org/linux/man-pages/man2/recvmsg.2.html).
    pub async fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        if len == 0 {
            return self.check_open(Op::Read).map(|()| 0);
        }
        // Only so many buffers are passed on: more would look like a short read.
        let used = if bufs.len() > BUFS_MAX {
            0
        } else {
            self.drain_len(len)
        };
        let received = self
            .fd
            .read_stream_with(used, |fd| socket::recv_vectored(fd, bufs))
            .await;
        received.map_err(|err| self.failed(Op::Read, "recvmsg", err))
    }

    /// Receives into `buf` without taking the data out of the kernel: the next read gets it again.
    ///
    /// Waits as [`read`](Self::read). An empty `buf` returns 0 at once.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    ///
    /// Reference: [`recv(2)`](https://man7.org/linux/man-pages/man2/recv.2.html), `MSG_PEEK`.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return self.check_open(Op::Read).map(|()| 0);
        }
        let received = self.fd.read_with(|fd| socket::peek(fd, buf)).await;
        received.map_err(|err| self.failed(Op::Read, "recv", err))
    }

    /// Receives into `buf` without waiting; returns how many bytes.
    ///
    /// # Errors
    /// `WouldBlock` if there is nothing to read or another task is reading; otherwise those of
    /// [`read`](Self::read).
    ///
    /// Reference: [`recv(2)`](https://man7.org/linux/man-pages/man2/recv.2.html).
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return self.check_open(Op::Read).map(|()| 0);
        }
        let buf = self.capped_mut(buf);
        let received = self
            .fd
            .try_read_stream_with(self.drain_len(buf.len()), |fd| socket::recv(fd, buf));
        received.map_err(|err| self.try_failed(Op::Read, "read", err))
    }

    /// Waits until a read would not wait: for data, the end of the stream, an error, the read
    /// deadline or close.
    ///
    /// Takes nothing, so that an idle connection needs no buffer. A server that keeps thousands of them
    /// takes one from a pool, or from the stack as here, only when there is something to read:
    ///
    /// ```
    /// use gannet_net::Conn;
    /// use std::io;
    ///
    /// /// Reads what is there. The buffer lives for one attempt, which waits for nothing.
    /// fn read_now(conn: &Conn, each: impl FnOnce(&[u8])) -> io::Result<usize> {
    ///     let mut buf = [0; 16 * 1024];
    ///     let len = conn.try_read(&mut buf)?;
    ///     each(&buf[..len]);
    ///     Ok(len)
    /// }
    ///
    /// async fn count(conn: Conn) -> io::Result<usize> {
    ///     let mut bytes = 0;
    ///     loop {
    ///         conn.readable().await?; // Waits without a buffer.
    ///         match read_now(&conn, |received| bytes += received.len()) {
    ///             Ok(0) => return Ok(bytes),
    ///             Err(err) if err.kind() != io::ErrorKind::WouldBlock => return Err(err),
    ///             _ => {}
    ///         }
    ///     }
    /// }
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let (left, right) = gannet_net::UnixStream::pair()?;
    /// # left.write_all(b"hello").await?;
    /// # drop(left);
    /// # assert_eq!(count(right.into()).await?, 5);
    /// # Ok::<_, io::Error>(()) })?;
    /// # Ok::<_, io::Error>(())
    /// ```
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

    /// Sends bytes of `buf`, by one system call; returns how many the kernel took, at least one
    /// unless `buf` is empty.
    ///
    /// Waits for room in the kernel's buffer, the write deadline or close. One call offers a stream
    /// at most 1 GiB. An empty `buf` is sent, too: for a datagram socket it is an empty datagram.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: either nothing was sent or it has completed.
    ///
    /// # Errors
    /// The deadline error after the write deadline; the closed error after close; `EPIPE` or
    /// `ECONNRESET` once the peer is gone (no signal is raised); `ENOBUFS` if the kernel lacks
    /// buffers for longer than some pauses.
    ///
    /// Reference: [`send(2)`](https://man7.org/linux/man-pages/man2/send.2.html).
    #[inline]
    pub fn write(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> {
        let buf = self.capped(buf);
        self.socket
            .send_with(Op::Write, "write", move |fd| socket::send(fd, buf))
    }

    /// Sends all of `buf`.
    ///
    /// Waits until the kernel has taken the last byte, the write deadline or close. No other task's
    /// write comes in between. An empty `buf` is sent as [`write`](Self::write) does.
    ///
    /// # Cancel safety
    /// Not cancel safe: how much was sent before the future is dropped is not known. A deadline
    /// loses nothing.
    ///
    /// # Errors
    /// Those of [`write`](Self::write); [`error::written`](crate::error::written) tells how many
    /// bytes were sent before.
    ///
    /// Reference: [`send(2)`](https://man7.org/linux/man-pages/man2/send.2.html).
    #[inline]
    pub fn write_all(&self, buf: &[u8]) -> impl Future<Output = io::Result<()>> {
        let mut sent = 0;
        let mut sender = self.socket.sender();
        poll_fn(move |cx| {
            let polled = sender.poll(cx, |fd| {
                let taken = socket::send(fd, self.capped(&buf[sent..]))?;
                sent += taken;
                if sent == buf.len() {
                    return Ok(ControlFlow::Break(()));
                }
                progressed(taken).map(ControlFlow::Continue)
            });
            polled.map_err(|err| self.write_failed("write", err, sent))
        })
    }

    /// Wraps an error that came after `sent` bytes.
    #[cold]
    fn write_failed(&self, call: &'static str, err: io::Error, sent: usize) -> io::Error {
        self.op_error(Op::Write, syscall(call, err))
            .after(sent)
            .into()
    }

    /// Sends bytes of several buffers, in order, by one system call; returns how many the kernel
    /// took.
    ///
    /// Waits and fails as [`write`](Self::write). At most 1024 buffers are used.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    ///
    /// Reference: [`sendmsg(2)`](https://man7.org/linux/man-pages/man2/sendmsg.2.html).
    pub async fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let sent = self
            .socket
            .send_with(Op::Write, "writev", |fd| socket::send_vectored(fd, bufs));
        sent.await
    }

    /// Sends all of several buffers, in order, however many they are. `bufs` is used up.
    ///
    /// Waits as [`write_all`](Self::write_all), and likewise keeps other tasks' writes out.
    ///
    /// # Cancel safety
    /// Not cancel safe: how much was sent before the future is dropped is not known. A deadline
    /// loses nothing.
    ///
    /// # Errors
    /// Those of [`write`](Self::write); [`error::written`](crate::error::written) tells how many
    /// bytes were sent before.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::UnixStream;
    /// use std::io::{IoSlice, IoSliceMut};
    ///
    /// let (left, right) = UnixStream::pair()?;
    /// left.write_all_vectored(&mut [IoSlice::new(b"head"), IoSlice::new(b"body")]).await?;
    /// assert_eq!(right.peek(&mut [0; 2]).await?, 2);
    /// let (mut head, mut body) = ([0; 4], [0; 8]);
    /// let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
    /// assert_eq!(right.read_vectored(&mut bufs).await?, 8);
    /// assert_eq!((&head, &body[..4]), (b"head", &b"body"[..]));
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// Reference: [`sendmsg(2)`](https://man7.org/linux/man-pages/man2/sendmsg.2.html).
    pub async fn write_all_vectored(&self, bufs: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut bufs = bufs;
        let mut sent = 0;
        IoSlice::advance_slices(&mut bufs, 0); // Drops empty buffers, which would never be used up.
        if bufs.is_empty() {
            return Ok(());
        }
        let mut sender = self.socket.sender();
        let result = poll_fn(|cx| {
            sender.poll(cx, |fd| {
                let taken = socket::send_vectored(fd, bufs)?;
                sent += taken;
                IoSlice::advance_slices(&mut bufs, taken);
                if bufs.is_empty() {
                    return Ok(ControlFlow::Break(()));
                }
                progressed(taken).map(ControlFlow::Continue)
            })
        });
        result
            .await
            .map_err(|err| self.write_failed("writev", err, sent))
    }

    /// Sends bytes of `buf` without waiting; returns how many the kernel took.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room or another task is sending; otherwise those of
    /// [`write`](Self::write).
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::UnixStream;
    /// use std::io::ErrorKind;
    ///
    /// let (left, _right) = UnixStream::pair()?;
    /// let mut sent = 0;
    /// let full = loop {
    ///     match left.try_write(&[7; 4096]) {
    ///         Ok(len) => sent += len,
    ///         Err(err) => break err,
    ///     }
    /// };
    /// assert_eq!(full.kind(), ErrorKind::WouldBlock);
    /// assert!(sent > 0);
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// Reference: [`send(2)`](https://man7.org/linux/man-pages/man2/send.2.html).
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let buf = self.capped(buf);
        let sent = self.fd.try_write_with(|fd| socket::send(fd, buf));
        sent.map_err(|err| self.try_failed(Op::Write, "write", err))
    }

    /// Waits until a write would not wait: for room, an error, the write deadline or close.
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

    /// Ends one direction of the connection, or both, for every task that uses it.
    ///
    /// `Shutdown::Write` sends what is queued and then the end of the stream; the other direction
    /// goes on. A task that waits to read sees the end of the stream after `Shutdown::Read`.
    /// Nothing happens if the peer is gone already.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`shutdown(2)`](https://man7.org/linux/man-pages/man2/shutdown.2.html).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let result = self
            .fd
            .with_fd(|fd| socket::shutdown(fd, how))
            .and_then(|result| result);
        match result {
            // The peer reset the connection first: both directions have ended.
            Err(err) if err.raw_os_error() == Some(errno::ENOTCONN) => Ok(()),
            result => result.map_err(|err| self.failed(Op::Close, "shutdown", err)),
        }
    }

    /// Splits the connection into a half that reads and one that writes, for two futures of one
    /// task.
    pub fn split(&self) -> (ReadHalf<&Conn>, WriteHalf<&Conn>) {
        (ReadHalf::new(self), WriteHalf::new(self))
    }

    /// Splits the connection into two owned halves, for two tasks.
    ///
    /// The connection closes when both are dropped. Dropping the writing half ends nothing by
    /// itself, as in Go: call [`shutdown`](WriteHalf::shutdown) to tell the peer that no more will
    /// come.
    pub fn into_split(self) -> (ReadHalf<Arc<Conn>>, WriteHalf<Arc<Conn>>) {
        let conn = Arc::new(self);
        (ReadHalf::new(conn.clone()), WriteHalf::new(conn))
    }

    /// The length to compare a count with, if a smaller one proves that the kernel's queue is
    /// empty; otherwise 0.
    ///
    /// That holds for TCP. A datagram may always be shorter than the buffer, and a Unix stream also
    /// stops short where descriptors or credentials were attached to the bytes.
    #[inline]
    fn drain_len(&self, len: usize) -> usize {
        if self.network().protocol() == Protocol::Tcp {
            len
        } else {
            0
        }
    }

    #[inline]
    fn capped<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        if self.is_stream() {
            &buf[..buf.len().min(STREAM_LEN_MAX)]
        } else {
            buf
        }
    }

    #[inline]
    fn capped_mut<'a>(&self, buf: &'a mut [u8]) -> &'a mut [u8] {
        let len = if self.is_stream() {
            buf.len().min(STREAM_LEN_MAX)
        } else {
            buf.len()
        };
        &mut buf[..len]
    }

    #[inline]
    pub(crate) fn is_stream(&self) -> bool {
        self.network().protocol().is_stream()
    }
}

/// Fails if a send with bytes left took none of them, which would go on for ever.
pub(crate) fn progressed(taken: usize) -> io::Result<()> {
    if taken > 0 {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// The most that one call asks of a stream, as in Go: some kernels refuse more than 2 GiB less a
/// page.
pub(crate) const STREAM_LEN_MAX: usize = 1 << 30;
/// The most buffers that the kernel takes in one call (`IOV_MAX`).
const BUFS_MAX: usize = 1024;
