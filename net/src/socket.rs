//! What every open socket has: a descriptor, a network, addresses, deadlines, options, and an end.
//!
//! Each public type is built on [`Socket`] and dereferences to it, as Go's types embed one another:
//!
//! ```text
//! TcpStream, UnixStream, UnixSeqpacket ─▶ Conn ────────┐
//! TcpListener, UnixListener ────────────▶ Listener ────┼─▶ Socket
//! UdpSocket, UnixDatagram, IpSocket,
//! LinkSocket ───────────────────────────▶ PacketConn ──┘
//! ```

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gannet_runtime::{AsyncFd, WriteGuard};
use gannet_sys::errno;
use gannet_sys::sockaddr::SockAddr;
use gannet_sys::socket;

use crate::addr::Addr;
use crate::control::RawSocket;
use crate::error::{Op, OpError, syscall};
use crate::family::Family;
use crate::linger::{self, Lingering};
use crate::network::{Network, Protocol};
use crate::pause::Sender;

/// What every socket has, whatever its kind: addresses, deadlines, options, close.
///
/// Reached through the sockets, which all dereference to it. Every method takes `&self`: many tasks
/// may use a socket at the same time. One of them receives and one sends at a time, the others
/// queue, first come first served.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::ListenConfig;
/// use gannet_runtime::time;
/// use std::time::Duration;
///
/// let socket = ListenConfig::new().listen_packet("udp", "127.0.0.1:0").await?;
/// socket.set_ttl(3)?;
/// socket.set_read_deadline(Some(time::now() + Duration::from_millis(1)))?;
/// let err = socket.recv_from(&mut [0; 16]).await.unwrap_err();
/// assert!(gannet_net::error::is_deadline(&err));
/// socket.close().await?;
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct Socket {
    pub(crate) fd: AsyncFd,
    network: Network,
    family: Option<Family>,
    peer: Peer,
    /// Asked from the kernel when it is first wanted: most accepted connections never want it.
    /// Boxed, because an idle connection should be small.
    local: OnceLock<Box<SockAddr>>,
    /// After the descriptor, so that it is closed last.
    lingering: Mutex<Option<Box<Lingering>>>,
    /// Connections that this listener accepts may come with a linger time.
    passes_linger_on: AtomicBool,
}

/// The address of the peer, in little room: an idle connection should be small, and most have an
/// IPv4 peer.
enum Peer {
    None,
    V4(SocketAddrV4),
    Other(Box<SockAddr>),
}

impl Peer {
    fn new(addr: Option<SockAddr>) -> Self {
        match addr {
            None => Peer::None,
            Some(SockAddr::Inet(SocketAddr::V4(addr))) => Peer::V4(addr),
            Some(addr) => Peer::Other(Box::new(addr)),
        }
    }
}

impl Socket {
    pub(crate) fn new(
        fd: AsyncFd,
        network: Network,
        family: Option<Family>,
        peer: Option<SockAddr>,
    ) -> Self {
        Socket {
            fd,
            network,
            family,
            peer: Peer::new(peer),
            local: OnceLock::new(),
            lingering: Mutex::new(None),
            passes_linger_on: AtomicBool::new(false),
        }
    }

    /// Returns the network that the socket was opened for, as the caller named it: `tcp`, or
    /// `tcp4`.
    #[inline]
    pub fn network(&self) -> Network {
        self.network
    }

    /// Returns the local address.
    ///
    /// The kernel is asked once; the answer is still there after close.
    ///
    /// # Errors
    /// The closed error after close, if nobody asked before.
    ///
    /// Reference: [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<Addr> {
        let local = self
            .local_sock_addr()
            .map_err(|err| self.failed(Op::Set, "getsockname", err))?;
        Ok(Addr::from_kernel(self.network.protocol(), local))
    }

    /// Returns the address of the peer of a connected socket. No system call is made.
    ///
    /// # Errors
    /// `NotConnected` (`ENOTCONN`) for a listener or a socket without a peer.
    ///
    /// Reference: [`getpeername(2)`](https://man7.org/linux/man-pages/man2/getpeername.2.html).
    pub fn peer_addr(&self) -> io::Result<Addr> {
        self.known_peer().ok_or_else(|| {
            self.failed(
                Op::Set,
                "getpeername",
                io::Error::from_raw_os_error(errno::ENOTCONN),
            )
        })
    }

    /// Sets the deadline of receiving and sending. See
    /// [`set_read_deadline`](Self::set_read_deadline).
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`net.Conn`](https://pkg.go.dev/net#Conn) of Go, `SetDeadline`.
    pub fn set_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.deadline_result(self.fd.set_deadline(deadline))
    }

    /// Sets, moves or clears the instant after which receiving and accepting fail, for tasks that
    /// wait now as well.
    ///
    /// A deadline that has passed stays: everything fails at once, even if data is there, until it
    /// is moved or cleared. Setting one anew before every operation costs a few nanoseconds.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`net.Conn`](https://pkg.go.dev/net#Conn) of Go, `SetReadDeadline`.
    pub fn set_read_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.deadline_result(self.fd.set_read_deadline(deadline))
    }

    /// Sets, moves or clears the instant after which sending fails, for tasks that wait now as
    /// well.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`net.Conn`](https://pkg.go.dev/net#Conn) of Go, `SetWriteDeadline`.
    pub fn set_write_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.deadline_result(self.fd.set_write_deadline(deadline))
    }

    /// Closes the socket: every operation that waits, and every later one, fails with the closed
    /// error.
    ///
    /// The closing happens in this call, awaited or not. The future resolves when the kernel has
    /// closed the socket, so that its address is free; it waits for nothing but system calls that
    /// other threads are in at this moment, and for the linger time of a TCP connection that has one.
    /// Dropping the last owner of a socket closes it too.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the closing.
    ///
    /// # Errors
    /// The closed error if it was closed before.
    ///
    /// Reference: [`close(2)`](https://man7.org/linux/man-pages/man2/close.2.html).
    pub fn close(&self) -> impl Future<Output = io::Result<()>> + Send + '_ {
        // Asked now, because the errors of operations that this ends want to say whose they are.
        let _ = self.local_sock_addr();
        let closing = self.fd.close();
        let lingering = self.lingering().take();
        async move {
            let closed = closing.await;
            if let Some(lingering) = lingering {
                lingering.close().await;
            }
            closed.map_err(|err| self.failed(Op::Close, "close", err))
        }
    }

    /// Returns whether the socket was closed by [`close`](Self::close).
    pub fn is_closed(&self) -> bool {
        self.fd.is_closed()
    }

    /// Runs `f` with the socket's options and descriptor at hand, at once and without waiting for
    /// other tasks.
    ///
    /// The socket cannot be closed meanwhile. `f` must neither close the descriptor nor make it
    /// blocking.
    ///
    /// # Errors
    /// Those of `f`; the closed error after close.
    ///
    /// Reference: [`syscall.RawConn`](https://pkg.go.dev/syscall#RawConn) of Go, `Control`.
    pub fn control<R>(&self, f: impl FnOnce(&RawSocket<'_>) -> io::Result<R>) -> io::Result<R> {
        let result = self.with_raw(f);
        let followed = self.follow_linger();
        result
            .and_then(|value| followed.map(|()| value))
            .map_err(|err| self.failed(Op::RawControl, "control", err))
    }

    /// Returns the size of the kernel's receive buffer, in bytes, its overhead included. At first it is
    /// the system's, and that of TCP grows as the connection needs it.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        self.option("getsockopt", |raw| raw.recv_buffer_size())
    }

    /// Asks for a receive buffer of `bytes` bytes; the kernel caps the figure at
    /// `/proc/sys/net/core/rmem_max` and doubles it.
    ///
    /// A TCP window can only grow beyond its default if this is set before the socket is connected
    /// or listens: use a control hook.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_recv_buffer_size(bytes))
    }

    /// Returns the size of the kernel's send buffer, in bytes, its overhead included. At first it is the
    /// system's, and that of TCP grows as the connection needs it.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        self.option("getsockopt", |raw| raw.send_buffer_size())
    }

    /// Asks for a send buffer of `bytes` bytes; the kernel caps the figure at
    /// `/proc/sys/net/core/wmem_max` and doubles it.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html).
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_send_buffer_size(bytes))
    }

    /// Returns the type of service, or IPv6 traffic class, of the packets sent: one byte, 0 at first.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket, the closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
    pub fn tos(&self) -> io::Result<u8> {
        self.option("getsockopt", |raw| raw.tos())
    }

    /// Sets the type of service, or IPv6 traffic class, of the packets sent; TCP keeps the two lowest
    /// bits, which are for congestion, to itself.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket, the closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
    pub fn set_tos(&self, tos: u8) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_tos(tos))
    }

    /// Returns the time to live, or IPv6 hop limit, of the packets sent, in hops.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket, the closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
    pub fn ttl(&self) -> io::Result<u32> {
        self.option("getsockopt", |raw| raw.ttl())
    }

    /// Sets the time to live, or IPv6 hop limit, of the packets sent, in hops, 1 to 255.
    ///
    /// # Errors
    /// `EINVAL` outside that range, `EOPNOTSUPP` on a Unix socket, the closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
    pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_ttl(hops))
    }

    /// The version of IP; none for a Unix socket.
    pub(crate) fn family(&self) -> Option<Family> {
        self.family
    }

    /// Whether the socket has its one peer.
    pub(crate) fn is_connected(&self) -> bool {
        !matches!(self.peer, Peer::None)
    }

    /// Reads or sets an option; an error is that of the system call `call`.
    pub(crate) fn option<R>(
        &self,
        call: &'static str,
        f: impl FnOnce(&RawSocket<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        self.with_raw(f)
            .map_err(|err| self.failed(Op::Set, call, err))
    }

    /// Fails once the socket is closed: all that an operation on no bytes does.
    pub(crate) fn check_open(&self, op: Op) -> io::Result<()> {
        self.fd
            .with_fd(|_| ())
            .map_err(|err| self.op_error(op, err).into())
    }

    /// Waits until receiving would not wait.
    pub(crate) fn readable(&self) -> impl Future<Output = io::Result<()>> {
        let mut ready = self.fd.readable();
        poll_fn(move |cx| {
            let polled = Pin::new(&mut ready).poll(cx);
            polled.map_err(|err| self.failed(Op::Read, "poll", err))
        })
    }

    /// Waits until sending would not wait.
    pub(crate) fn writable(&self) -> impl Future<Output = io::Result<()>> {
        let mut ready = self.fd.writable();
        poll_fn(move |cx| {
            let polled = Pin::new(&mut ready).poll(cx);
            polled.map_err(|err| self.failed(Op::Write, "poll", err))
        })
    }

    /// Runs `send`, one system call that sends something, until it neither would block nor lacks
    /// buffers.
    pub(crate) fn send_with<R>(
        &self,
        op: Op,
        call: &'static str,
        mut send: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        let mut sender = self.sender();
        poll_fn(move |cx| {
            let polled = sender.poll(cx, |fd| send(fd).map(ControlFlow::Break));
            polled.map_err(|err| self.failed(op, call, err))
        })
    }

    /// Begins to send.
    #[inline]
    pub(crate) fn sender(&self) -> Sender<WriteGuard<'_>> {
        Sender::new(self.fd.begin_write())
    }

    /// Wraps an error: `call` names it if the kernel gave it, and the addresses are added.
    #[cold]
    pub(crate) fn failed(&self, op: Op, call: &'static str, err: io::Error) -> io::Error {
        self.op_error(op, syscall(call, err)).into()
    }

    /// Wraps an error of an operation that does not wait: "would block" stays as light as it comes.
    pub(crate) fn try_failed(&self, op: Op, call: &'static str, err: io::Error) -> io::Error {
        if err.kind() == io::ErrorKind::WouldBlock {
            err
        } else {
            self.failed(op, call, err)
        }
    }

    /// Wraps an error with the addresses of this socket.
    pub(crate) fn op_error(&self, op: Op, err: io::Error) -> OpError {
        OpError::new(op, self.network.as_str(), err).between(self.known_local(), self.known_peer())
    }

    /// The local address, if it is known or can be asked.
    pub(crate) fn known_local(&self) -> Option<Addr> {
        let local = self.local_sock_addr().ok()?;
        Some(Addr::from_kernel(self.network.protocol(), local))
    }

    pub(crate) fn local_sock_addr(&self) -> io::Result<SockAddr> {
        if let Some(local) = self.local.get() {
            return Ok((**local).clone());
        }
        let local = self.fd.with_fd(socket::local_addr)??;
        Ok((**self.local.get_or_init(|| Box::new(local))).clone())
    }

    pub(crate) fn peer_sock_addr(&self) -> Option<SockAddr> {
        match &self.peer {
            Peer::None => None,
            Peer::V4(peer) => Some(SockAddr::Inet((*peer).into())),
            Peer::Other(peer) => Some((**peer).clone()),
        }
    }

    /// Sets the linger time, and sees to it that no worker waits for it.
    pub(crate) fn set_linger(&self, after: Option<Duration>) -> io::Result<()> {
        self.with_raw(|raw| raw.set_linger(after))?;
        self.keep_lingering(linger::waits(after))
    }

    /// Does for a linger time that a hook set, or that was inherited, what
    /// [`set_linger`](Self::set_linger) does: asks the kernel for that of a TCP connection, or for that
    /// which a listener passes on.
    pub(crate) fn follow_linger(&self) -> io::Result<()> {
        if self.network.protocol() != Protocol::Tcp || self.is_closed() {
            return Ok(());
        }
        let waits = self.with_raw(|raw| Ok(linger::is_set(raw)))?;
        if self.is_connected() {
            return self.keep_lingering(waits);
        }
        // Nothing waits in a listener; its second descriptor would go on listening. When the time is
        // taken back, some that are not accepted yet have it.
        self.passes_linger_on.fetch_or(waits, Ordering::Relaxed);
        Ok(())
    }

    /// Whether accepted connections may come with a linger time.
    pub(crate) fn passes_linger_on(&self) -> bool {
        self.passes_linger_on.load(Ordering::Relaxed)
    }

    fn keep_lingering(&self, waits: bool) -> io::Result<()> {
        let mut kept = self.lingering();
        if waits == kept.is_some() {
            return Ok(());
        }
        let before = match waits {
            // By `as_fd`, which tells the poller that the socket has a second descriptor.
            true => kept.replace(Box::new(Lingering::new(self.fd.as_fd())?)),
            false => kept.take(),
        };
        drop(kept);
        if let Some(before) = before {
            before.forget();
        }
        Ok(())
    }

    fn lingering(&self) -> MutexGuard<'_, Option<Box<Lingering>>> {
        self.lingering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the descriptor away.
    pub(crate) fn into_owned_fd(self) -> io::Result<OwnedFd> {
        if let Some(lingering) = self.lingering().take() {
            lingering.forget();
        }
        let network = self.network;
        let wrap = |err| OpError::new(Op::File, network.as_str(), err).into();
        self.fd.into_owned_fd().map_err(wrap)
    }

    /// Formats the socket as a type of this name.
    pub(crate) fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct(name);
        fields.field("network", &format_args!("{}", self.network));
        if let Some(local) = self.known_local() {
            fields.field("local", &format_args!("{local}"));
        }
        if let Some(peer) = self.known_peer() {
            fields.field("peer", &format_args!("{peer}"));
        }
        fields.field("closed", &self.is_closed()).finish()
    }

    fn known_peer(&self) -> Option<Addr> {
        let peer = self.peer_sock_addr()?;
        Some(Addr::from_kernel(self.network.protocol(), peer))
    }

    pub(crate) fn with_raw<R>(
        &self,
        f: impl FnOnce(&RawSocket<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        self.fd.with_fd(|fd| f(&RawSocket::new(fd, self.family)))?
    }

    fn deadline_result(&self, result: io::Result<()>) -> io::Result<()> {
        result.map_err(|err| {
            OpError::new(Op::Set, self.network.as_str(), err)
                .to(self.known_local())
                .into()
        })
    }
}

impl AsFd for Socket {
    /// Lends the descriptor, for options and the like. It must stay non-blocking; reading and
    /// writing belong to the socket's own methods, which know what has been read.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.debug("Socket", f)
    }
}

/// Gives a socket type what all have in common: the methods of the type it is built on, its
/// descriptor, its `Debug`.
macro_rules! built_on {
    ($socket:ident, $base:ident, $field:tt) => {
        impl std::ops::Deref for $socket {
            type Target = $base;

            fn deref(&self) -> &$base {
                &self.$field
            }
        }

        impl std::os::fd::AsFd for $socket {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.$field.as_fd()
            }
        }

        impl std::fmt::Debug for $socket {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.debug(stringify!($socket), f)
            }
        }
    };
}
pub(crate) use built_on;
