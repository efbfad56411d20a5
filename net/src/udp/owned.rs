//! Receiving from and sending to sockets that are shared, by futures made by hand.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use gannet_runtime::{OwnedReadGuard, OwnedWriteGuard};

use crate::error::Op;
use crate::pause::Sender;
use crate::udp::UdpSocket;
use crate::udp::recv::RecvBatch;
use crate::udp::send::{Progress, Transmit};

/// One receiver of a shared [`UdpSocket`], for a future made by hand that waits for many sockets.
///
/// It borrows nothing and has no buffer: the batch is given anew at each poll, so one batch serves any
/// number of sockets, and a socket that is idle costs these few words. A future that should not even
/// have a batch while all are idle polls [`poll_readable`](Self::poll_readable), and takes one for
/// [`try_recv`](Self::try_recv).
///
/// # Wakers
/// A socket keeps one waker for receiving and one for sending. A poll that is pending leaves that of
/// its context, in place of the one of its earlier poll. While it waits, the receiver has the read lock:
/// other tasks that receive from the same socket, by another receiver or by the socket's own methods,
/// queue behind it, and the socket's `try_` methods find the lock taken. Each datagram goes to one of
/// them, first come first served, and no wake-up is lost. An answer gives the lock back, and so does
/// dropping the receiver.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{RecvBatch, UdpReceiver, UdpSocket};
/// use std::future::poll_fn;
/// use std::sync::Arc;
/// use std::task::Poll;
///
/// let (first, second) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("[::1]:0").await?);
/// let to = second.local_addr()?;
/// let mut paths = [first, second].map(|socket| UdpReceiver::new(Arc::new(socket)));
/// UdpSocket::connect(to).await?.send(b"ping").await?;
///
/// let mut batch = RecvBatch::new(32, 1500);
/// let path = poll_fn(|cx| {
///     for (index, path) in paths.iter_mut().enumerate() {
///         if let Poll::Ready(received) = path.poll_recv(cx, &mut batch) {
///             return Poll::Ready(received.map(|_| index));
///         }
///     }
///     Poll::Pending
/// })
/// .await?;
/// assert_eq!(path, 1);
/// assert_eq!(batch.datagrams().next().unwrap().data, b"ping");
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct UdpReceiver {
    socket: Arc<UdpSocket>,
    guard: OwnedReadGuard,
}

impl UdpReceiver {
    /// Makes a receiver. Nothing happens before its first poll.
    pub fn new(socket: Arc<UdpSocket>) -> Self {
        let guard = socket.fd.begin_read_owned();
        UdpReceiver { socket, guard }
    }

    /// Returns the socket.
    pub fn socket(&self) -> &Arc<UdpSocket> {
        &self.socket
    }

    /// Polls as [`UdpSocket::recv_batch`] waits. The batch is empty unless this is ready with a number.
    ///
    /// # Errors
    /// Those of `UdpSocket::recv_batch`.
    pub fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut RecvBatch,
    ) -> Poll<io::Result<usize>> {
        let buffers = batch.buffers();
        buffers.clear();
        let len = buffers.capacity();
        self.guard
            .poll_read_batch_with(cx, len, |fd| buffers.recv(fd))
            .map_err(|err| self.socket.failed(Op::Read, "recvmmsg", err))
    }

    /// Polls until receiving would not wait: for a datagram, an error, the read deadline or close.
    ///
    /// Ready again and again until [`try_recv`](Self::try_recv) finds nothing more.
    ///
    /// # Errors
    /// The deadline error after the read deadline, the closed error after close.
    ///
    /// Reference: [`epoll(7)`](https://man7.org/linux/man-pages/man7/epoll.7.html).
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.guard
            .poll_readable(cx)
            .map_err(|err| self.socket.failed(Op::Read, "poll", err))
    }

    /// Receives as [`UdpSocket::try_recv_batch`]. A poll that waits goes on waiting if there is nothing.
    ///
    /// # Errors
    /// Those of `UdpSocket::try_recv_batch`.
    pub fn try_recv(&mut self, batch: &mut RecvBatch) -> io::Result<usize> {
        let buffers = batch.buffers();
        buffers.clear();
        let len = buffers.capacity();
        self.guard
            .try_read_batch_with(len, |fd| buffers.recv(fd))
            .map_err(|err| self.socket.try_failed(Op::Read, "recvmmsg", err))
    }

    /// Receives as [`UdpSocket::recv_batch`].
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing. The receiver stays first in line until it is polled to its
    /// end, released or dropped.
    ///
    /// # Errors
    /// Those of `UdpSocket::recv_batch`.
    pub fn recv(&mut self, batch: &mut RecvBatch) -> impl Future<Output = io::Result<usize>> {
        poll_fn(|cx| self.poll_recv(cx, batch))
    }

    /// Stops waiting: gives the read lock, or the place in the queue, back, and forgets the waker.
    pub fn release(&mut self) {
        self.guard.release();
    }
}

impl fmt::Debug for UdpReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpReceiver")
            .field("socket", &self.socket)
            .finish()
    }
}

/// One sender on a shared [`UdpSocket`], for a future made by hand.
///
/// What [`UdpReceiver`] says of wakers holds here for sending.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Transmit, UdpSender, UdpSocket};
/// use std::sync::Arc;
///
/// let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
/// let mut sender = UdpSender::new(socket.clone());
/// let transmits = [Transmit::new(b"ping", socket.local_addr()?)];
/// assert_eq!(sender.try_send(&transmits)?, 1);
/// assert_eq!(std::future::poll_fn(|cx| sender.poll_send(cx, &transmits)).await?, 1);
/// assert_eq!(sender.send(&transmits).await?, 1);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct UdpSender {
    socket: Arc<UdpSocket>,
    sender: Sender<OwnedWriteGuard>,
    progress: Progress,
}

impl UdpSender {
    /// Makes a sender. Nothing happens before its first poll.
    pub fn new(socket: Arc<UdpSocket>) -> Self {
        let sender = Sender::new(socket.fd.begin_write_owned());
        UdpSender {
            socket,
            sender,
            progress: Progress::default(),
        }
    }

    /// Returns the socket.
    pub fn socket(&self) -> &Arc<UdpSocket> {
        &self.socket
    }

    /// Polls as [`UdpSocket::send_batch`] waits.
    ///
    /// After "pending" come again with the same first transmit, or [`release`](Self::release) first: if
    /// its datagrams are cut here, some may have gone, and the sender remembers how many.
    ///
    /// # Errors
    /// Those of `UdpSocket::send_batch`.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        transmits: &[Transmit<'_>],
    ) -> Poll<io::Result<usize>> {
        self.progress
            .poll(&self.socket, &mut self.sender, cx, transmits)
    }

    /// Sends as [`UdpSocket::send_batch`] without waiting; "would block" means what "pending" means to
    /// [`poll_send`](Self::poll_send), except that no waker is left.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room or another task is sending; `ENOBUFS` at once; otherwise those
    /// of `UdpSocket::send_batch`.
    pub fn try_send(&mut self, transmits: &[Transmit<'_>]) -> io::Result<usize> {
        let (socket, progress) = (&self.socket, &mut self.progress);
        let sent = self
            .sender
            .try_once(|fd| progress.attempt(socket, fd, transmits));
        sent.map_err(|err| {
            if err.kind() == io::ErrorKind::WouldBlock {
                return err;
            }
            progress.give_up();
            socket.batch_failed(err, transmits)
        })
    }

    /// Sends as [`UdpSocket::send_batch`].
    ///
    /// # Cancel safety
    /// As `UdpSocket::send_batch`; [`release`](Self::release) before other transmits are sent. The sender
    /// stays first in line until it is polled to its end, released or dropped.
    ///
    /// # Errors
    /// Those of `UdpSocket::send_batch`.
    pub fn send(&mut self, transmits: &[Transmit<'_>]) -> impl Future<Output = io::Result<usize>> {
        poll_fn(|cx| self.poll_send(cx, transmits))
    }

    /// Stops waiting: gives the write lock, or the place in the queue, back, and forgets the waker and
    /// the transmit.
    pub fn release(&mut self) {
        self.sender.release();
        self.progress.give_up();
    }
}

impl fmt::Debug for UdpSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSender")
            .field("socket", &self.socket)
            .finish()
    }
}
