//! The control hook: what runs between `socket(2)` and `bind(2)` or `connect(2)`, and what it may
//! touch.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use gannet_sys::option;

use crate::error::syscall;
use crate::family::Family;
use crate::network::Network;
use crate::unix::Credentials;

mod datagram;
mod link;
mod tcp;

/// What a control hook is told about the socket it is given.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use gannet_net::ListenConfig;
///
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// let config = ListenConfig::new().control(|info, _socket| {
///     assert_eq!(info.network.as_str(), "udp4");
///     assert_eq!(info.address, "127.0.0.1:0");
///     Ok(())
/// });
/// config.listen_packet("udp", "127.0.0.1:0").await?;
/// # Ok(()) })
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ControlInfo {
    /// The network of this socket, its version of IP decided: `tcp4` or `tcp6`, never `tcp`.
    pub network: Network,
    /// The address to listen on, as the caller wrote it once names are resolved, or the address to
    /// dial.
    pub address: String,
}

/// A control hook.
pub(crate) type Hook = dyn Fn(&ControlInfo, &RawSocket<'_>) -> io::Result<()> + Send + Sync;

/// The hook of a configuration, if it has one.
#[derive(Clone, Default)]
pub(crate) struct Control(Option<Arc<Hook>>);

impl Control {
    pub(crate) fn new(
        hook: impl Fn(&ControlInfo, &RawSocket<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Control(Some(Arc::new(hook)))
    }

    /// Returns a hook that does something else first.
    pub(crate) fn preceded_by(
        self,
        first: impl Fn(&RawSocket<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Control::new(move |info, socket| {
            first(socket)?;
            self.0.as_ref().map_or(Ok(()), |hook| hook(info, socket))
        })
    }

    /// Whether there is a hook.
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Runs the hook on a new socket.
    pub(crate) fn run(
        &self,
        network: Network,
        address: impl fmt::Display,
        socket: &RawSocket<'_>,
    ) -> io::Result<()> {
        let Some(hook) = &self.0 else { return Ok(()) };
        let network = network.resolved(socket.family);
        hook(
            &ControlInfo {
                network,
                address: address.to_string(),
            },
            socket,
        )
        .map_err(|err| syscall("control", err))
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Some(hook)"
        } else {
            "None"
        })
    }
}

/// A borrowed socket with its options, typed. Options that are missing here can be set through
/// [`AsFd`].
///
/// A control hook gets one before the socket is bound or connected;
/// [`Socket::control`](crate::Socket::control) gives one for an open socket. The descriptor stays
/// open for the borrow and belongs to its socket: do not close it.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use gannet_net::ListenConfig;
///
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// let shared = ListenConfig::new().control(|_info, socket| socket.set_reuse_port(true));
/// let first = shared.listen_packet("udp", "127.0.0.1:0").await?;
/// let second = shared.listen_packet("udp", first.local_addr()?).await?;
/// assert!(second.control(|socket| socket.reuse_port())?);
/// # Ok(()) })
/// # }
/// ```
///
/// Every method returns the errno of
/// [`setsockopt(2)`](https://man7.org/linux/man-pages/man2/setsockopt.2.html) unwrapped: `EPERM`
/// without the privilege, `EINVAL` out of range, `ENOPROTOOPT` or `EOPNOTSUPP` on a socket of
/// another kind. The options are explained in
/// [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html),
/// [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html) and
/// [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
#[derive(Clone, Copy, Debug)]
pub struct RawSocket<'fd> {
    fd: BorrowedFd<'fd>,
    family: Option<Family>,
}

impl<'fd> RawSocket<'fd> {
    pub(crate) fn new(fd: BorrowedFd<'fd>, family: Option<Family>) -> Self {
        RawSocket { fd, family }
    }

    /// Binds the socket to the network interface `name`, by which alone it sends and receives then,
    /// or to none, as at first.
    ///
    /// # Errors
    /// `ENODEV` if there is no such interface, `EPERM` without `CAP_NET_RAW` for a socket that is
    /// bound to one already (before Linux 5.7, for any); kind `InvalidInput` for a name over 15
    /// bytes or with a NUL byte.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html),
    /// `SO_BINDTODEVICE`.
    pub fn set_bind_device(&self, name: Option<&str>) -> io::Result<()> {
        option::set_bind_device(self.fd, name)
    }

    /// Tells whether an IPv6 socket refuses IPv4.
    ///
    /// # Errors
    /// `EOPNOTSUPP` or `ENOPROTOOPT` on a socket that is not IPv6.
    ///
    /// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html), `IPV6_V6ONLY`.
    pub fn ipv6_only(&self) -> io::Result<bool> {
        option::ipv6_only(self.fd)
    }

    /// Makes an IPv6 socket refuse IPv4, or take it in too. Decided by the network's name unless a
    /// hook overrides it before the bind.
    ///
    /// # Errors
    /// `EOPNOTSUPP` or `ENOPROTOOPT` on a socket that is not IPv6, `EINVAL` once the socket is
    /// bound.
    ///
    /// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html), `IPV6_V6ONLY`.
    pub fn set_ipv6_only(&self, on: bool) -> io::Result<()> {
        option::set_ipv6_only(self.fd, on)
    }

    /// Returns how long closing the socket waits for unsent data, in whole seconds; `None` if the
    /// kernel sends it in the background.
    ///
    /// # Errors
    /// None: every kind of socket has the option.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_LINGER`.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        option::linger(self.fd)
    }

    /// Sets how long closing the socket waits for unsent data, in whole seconds rounded up.
    ///
    /// `None`, the default, leaves the sending to the kernel. Zero throws the data away and resets
    /// the connection. Any other time makes closing wait, up to that long, but no worker: in a control
    /// hook, in [`Socket::control`](crate::Socket::control), and in
    /// [`TcpStream::set_linger`](crate::TcpStream::set_linger). The connections of a listener inherit
    /// what its hook has set; set on one that listens already, it does block whoever closes them.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::ListenConfig;
    /// use std::time::Duration;
    ///
    /// let config = ListenConfig::new().control(|_info, socket| {
    ///     socket.set_recv_buffer_size(64 * 1024)?;
    ///     socket.set_ttl(3)?;
    ///     socket.set_linger(Some(Duration::ZERO))
    /// });
    /// let listener = config.listen_stream("tcp", "127.0.0.1:0").await?;
    /// assert_eq!(listener.control(|socket| socket.linger())?, Some(Duration::ZERO));
    /// assert_eq!(listener.recv_buffer_size()?, 128 * 1024);
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// None: every kind of socket has the option.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_LINGER`.
    pub fn set_linger(&self, after: Option<Duration>) -> io::Result<()> {
        option::set_linger(self.fd, after)
    }

    /// Returns the mark of the packets sent, 0 at first.
    ///
    /// # Errors
    /// None: every kind of socket has the option.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_MARK`.
    pub fn mark(&self) -> io::Result<u32> {
        option::mark(self.fd)
    }

    /// Sets the mark of the packets sent, for routing and filters.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_ADMIN` or, since Linux 5.17, `CAP_NET_RAW`.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_MARK`.
    pub fn set_mark(&self, mark: u32) -> io::Result<()> {
        option::set_mark(self.fd, mark)
    }

    /// Returns the size of the receive buffer, in bytes, the kernel's overhead included.
    ///
    /// At first it is that of `/proc/sys/net/core/rmem_default`; for TCP the second of
    /// `/proc/sys/net/ipv4/tcp_rmem`, and it grows as the connection needs it.
    ///
    /// # Errors
    /// None: every kind of socket has the option.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_RCVBUF`.
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        option::recv_buffer_size(self.fd)
    }

    /// Asks for a receive buffer of `bytes` bytes. The kernel caps the figure at
    /// `/proc/sys/net/core/rmem_max`, doubles it for its overhead, and leaves a buffer of TCP as it
    /// is from then on.
    ///
    /// # Errors
    /// None: every kind of socket has the option.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_RCVBUF`.
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        option::set_recv_buffer_size(self.fd, bytes)
    }

    /// Tells whether the address may be in use by connections of an earlier listener.
    ///
    /// # Errors
    /// None: every kind of socket has the option.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html),
    /// `SO_REUSEADDR`.
    pub fn reuse_address(&self) -> io::Result<bool> {
        option::reuse_address(self.fd)
    }

    /// Allows an address that connections of an earlier listener still use; for datagrams, one that
    /// other sockets have which allow it too. On by default for stream listeners.
    ///
    /// # Errors
    /// None: every kind of socket has the option. One in use is `EADDRINUSE` from the bind.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html),
    /// `SO_REUSEADDR`.
    pub fn set_reuse_address(&self, on: bool) -> io::Result<()> {
        option::set_reuse_address(self.fd, on)
    }

    /// Tells whether several sockets may share the address.
    ///
    /// # Errors
    /// None: every kind of socket has the option.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html),
    /// `SO_REUSEPORT`.
    pub fn reuse_port(&self) -> io::Result<bool> {
        option::reuse_port(self.fd)
    }

    /// Lets several sockets of one user share the address, if all of them ask before they are
    /// bound; the kernel spreads connections and datagrams among them. Off at first.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket of newer kernels. One not shared is `EADDRINUSE` from the
    /// bind.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html),
    /// `SO_REUSEPORT`.
    pub fn set_reuse_port(&self, on: bool) -> io::Result<()> {
        option::set_reuse_port(self.fd, on)
    }

    /// Returns the size of the send buffer, in bytes, the kernel's overhead included.
    ///
    /// At first it is that of `/proc/sys/net/core/wmem_default`; for TCP the second of
    /// `/proc/sys/net/ipv4/tcp_wmem`, and it grows as the connection needs it.
    ///
    /// # Errors
    /// None: every kind of socket has the option.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_SNDBUF`.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        option::send_buffer_size(self.fd)
    }

    /// Asks for a send buffer of `bytes` bytes. The kernel caps the figure at
    /// `/proc/sys/net/core/wmem_max`, doubles it for its overhead, and leaves a buffer of TCP as it
    /// is from then on.
    ///
    /// # Errors
    /// None: every kind of socket has the option.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_SNDBUF`.
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        option::set_send_buffer_size(self.fd, bytes)
    }

    /// Returns the type of service, or IPv6 traffic class, of the packets sent: one byte, 0 at
    /// first.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_TOS`; RFC 3542,
    /// section 6.5, `IPV6_TCLASS`.
    pub fn tos(&self) -> io::Result<u8> {
        match self.family {
            Some(Family::V6) => option::tclass_v6(self.fd),
            _ => option::tos(self.fd),
        }
    }

    /// Sets the type of service, or IPv6 traffic class, of the packets sent; TCP keeps the two
    /// lowest bits, which are for congestion, to itself. On a socket for both versions of IP it
    /// holds for both.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_TOS`; RFC 3542,
    /// section 6.5, `IPV6_TCLASS`.
    pub fn set_tos(&self, tos: u8) -> io::Result<()> {
        if self.family == Some(Family::V6) {
            option::set_tclass_v6(self.fd, tos)?;
            // IPv4 traffic of a dual-stack socket obeys the IPv4 option; without IPv4 it may fail.
            let _ = option::set_tos(self.fd, tos);
            return Ok(());
        }
        option::set_tos(self.fd, tos)
    }

    /// Returns the time to live, or IPv6 hop limit, of the packets sent, in hops; 64 at first, if
    /// the system has no other default. Multicast has one of its own.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_TTL`; `ipv6(7)`,
    /// `IPV6_UNICAST_HOPS`.
    pub fn ttl(&self) -> io::Result<u32> {
        match self.family {
            Some(Family::V6) => option::unicast_hops_v6(self.fd),
            _ => option::ttl(self.fd),
        }
    }

    /// Sets the time to live, or IPv6 hop limit, of the packets sent, in hops, 1 to 255. On a
    /// socket for both versions of IP it holds for both.
    ///
    /// # Errors
    /// `EINVAL` outside that range (0 is in it for IPv6), `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_TTL`; `ipv6(7)`,
    /// `IPV6_UNICAST_HOPS`.
    pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
        if self.family == Some(Family::V6) {
            option::set_unicast_hops_v6(self.fd, hops)?;
            // As for the type of service.
            let _ = option::set_ttl(self.fd, hops);
            return Ok(());
        }
        option::set_ttl(self.fd, hops)
    }

    /// Returns which process, user and group made the other end of a Unix socket, as of its
    /// `connect`, `listen` or `socketpair`. Where there is none it is process 0, user and group
    /// `u32::MAX`.
    ///
    /// # Errors
    /// `ENODATA` from a kernel that says less.
    ///
    /// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html), `SO_PEERCRED`.
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        option::peer_credentials(self.fd)
    }

    /// Tells whether the messages of a Unix socket come with their sender's credentials.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on any other socket of newer kernels.
    ///
    /// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html), `SO_PASSCRED`.
    pub fn pass_credentials(&self) -> io::Result<bool> {
        option::pass_credentials(self.fd)
    }

    /// Makes the messages of a Unix socket come with their sender's credentials, or not. Off at
    /// first. A socket without a name is given one when it next connects or sends.
    ///
    /// # Errors
    /// Those of [`pass_credentials`](Self::pass_credentials).
    ///
    /// Reference: [`unix(7)`](https://man7.org/linux/man-pages/man7/unix.7.html), `SO_PASSCRED`.
    pub fn set_pass_credentials(&self, on: bool) -> io::Result<()> {
        option::set_pass_credentials(self.fd, on)
    }
}

impl AsFd for RawSocket<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd
    }
}
