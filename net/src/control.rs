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

    /// Binds the socket to the network interface `name`, or to none.
    pub fn set_bind_device(&self, name: Option<&str>) -> io::Result<()> {
        option::set_bind_device(self.fd, name)
    }

    /// Tells whether an IPv6 socket refuses IPv4.
    pub fn ipv6_only(&self) -> io::Result<bool> {
        option::ipv6_only(self.fd)
    }

    /// Makes an IPv6 socket refuse IPv4. Decided by the network's name unless a hook overrides it
    /// before the bind.
    pub fn set_ipv6_only(&self, on: bool) -> io::Result<()> {
        option::set_ipv6_only(self.fd, on)
    }

    /// Returns how long closing the socket waits for unsent data; `None` if the kernel sends it in
    /// the background.
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
    pub fn set_linger(&self, after: Option<Duration>) -> io::Result<()> {
        option::set_linger(self.fd, after)
    }

    /// Returns the mark of the packets sent.
    pub fn mark(&self) -> io::Result<u32> {
        option::mark(self.fd)
    }

    /// Sets the mark of the packets sent, for routing and filters. Takes the privilege
    /// `CAP_NET_ADMIN`.
    pub fn set_mark(&self, mark: u32) -> io::Result<()> {
        option::set_mark(self.fd, mark)
    }

    /// Returns the size of the receive buffer, in bytes, the kernel's overhead included.
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        option::recv_buffer_size(self.fd)
    }

    /// Asks for a receive buffer of `bytes` bytes; the kernel doubles the figure and caps it.
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        option::set_recv_buffer_size(self.fd, bytes)
    }

    /// Tells whether the address may be in use by connections of an earlier listener.
    pub fn reuse_address(&self) -> io::Result<bool> {
        option::reuse_address(self.fd)
    }

    /// Allows an address that connections of an earlier listener still use. On by default for
    /// stream listeners.
    pub fn set_reuse_address(&self, on: bool) -> io::Result<()> {
        option::set_reuse_address(self.fd, on)
    }

    /// Tells whether several sockets may share the address.
    pub fn reuse_port(&self) -> io::Result<bool> {
        option::reuse_port(self.fd)
    }

    /// Lets several sockets of one user share the address; the kernel spreads connections and
    /// datagrams among them.
    pub fn set_reuse_port(&self, on: bool) -> io::Result<()> {
        option::set_reuse_port(self.fd, on)
    }

    /// Returns the size of the send buffer, in bytes, the kernel's overhead included.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        option::send_buffer_size(self.fd)
    }

    /// Asks for a send buffer of `bytes` bytes; the kernel doubles the figure and caps it.
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        option::set_send_buffer_size(self.fd, bytes)
    }

    /// Returns the type of service, or IPv6 traffic class, of the packets sent.
    pub fn tos(&self) -> io::Result<u8> {
        match self.family {
            Some(Family::V6) => option::tclass_v6(self.fd),
            _ => option::tos(self.fd),
        }
    }

    /// Sets the type of service, or IPv6 traffic class, of the packets sent. On a socket for both
    /// versions of IP it holds for both.
    pub fn set_tos(&self, tos: u8) -> io::Result<()> {
        if self.family == Some(Family::V6) {
            option::set_tclass_v6(self.fd, tos)?;
            // IPv4 traffic of a dual-stack socket obeys the IPv4 option; without IPv4 it may fail.
            let _ = option::set_tos(self.fd, tos);
            return Ok(());
        }
        option::set_tos(self.fd, tos)
    }

    /// Returns the time to live, or IPv6 hop limit, of the packets sent.
    pub fn ttl(&self) -> io::Result<u32> {
        match self.family {
            Some(Family::V6) => option::unicast_hops_v6(self.fd),
            _ => option::ttl(self.fd),
        }
    }

    /// Sets the time to live, or IPv6 hop limit, of the packets sent, in hops, 1 to 255. On a
    /// socket for both versions of IP it holds for both.
    pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
        if self.family == Some(Family::V6) {
            option::set_unicast_hops_v6(self.fd, hops)?;
            // As for the type of service.
            let _ = option::set_ttl(self.fd, hops);
            return Ok(());
        }
        option::set_ttl(self.fd, hops)
    }

    /// Returns which process, user and group made the other end of a Unix socket.
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        option::peer_credentials(self.fd)
    }

    /// Tells whether the messages of a Unix socket come with their sender's credentials.
    pub fn pass_credentials(&self) -> io::Result<bool> {
        option::pass_credentials(self.fd)
    }

    /// Makes the messages of a Unix socket come with their sender's credentials, or not.
    pub fn set_pass_credentials(&self, on: bool) -> io::Result<()> {
        option::set_pass_credentials(self.fd, on)
    }
}

impl AsFd for RawSocket<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd
    }
}
