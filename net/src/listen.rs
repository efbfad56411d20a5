//! Opening listeners and packet sockets.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use gannet_sys::option;
use gannet_sys::socket;

use crate::addr::Addr;
use crate::control::{Control, ControlInfo, RawSocket};
use crate::error::{AddrError, Op, OpError, syscall};
use crate::family::Ends;
use crate::keepalive::KeepAlive;
use crate::listener::Listener;
use crate::network::{Network, Protocol, ToNetwork};
use crate::open::{NewSocket, State};
use crate::packet::PacketConn;
use crate::resolve::resolve_listen;
use crate::resolver::{Names, Resolver};
use crate::socket::Socket;

/// How to open listeners and packet sockets.
///
/// The order of system calls is a contract:
///
/// | kind | calls |
/// |---|---|
/// | TCP | `socket`, `IPV6_V6ONLY`, `SO_REUSEADDR`, inherited ones, **hook**, `bind`, `listen` |
/// | Unix stream, packets | `socket`, `SO_REUSEADDR`, **hook**, `bind`, `listen` |
/// | UDP | `socket`, `IPV6_V6ONLY`, `SO_BROADCAST`, **hook**, `bind` |
/// | raw IP | `socket`, `SO_BROADCAST`, **hook**, `bind` |
/// | Unix datagram | `socket`, **hook**, `bind` |
/// | packets of a link | `socket` without a protocol, **hook**, `bind` to it |
///
/// `IPV6_V6ONLY` is set for IPv6. Connections inherit `TCP_NODELAY` (no delay), keep-alive and what
/// the hook sets from their listener.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::ListenConfig;
///
/// let socket = ListenConfig::new()
///     .control(|_info, socket| socket.set_reuse_port(true)) // runs between socket(2) and bind(2)
///     .listen_packet("udp", "127.0.0.1:0").await?;
/// assert!(socket.control(|raw| raw.reuse_port())?);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a configuration opens nothing by itself"]
pub struct ListenConfig {
    control: Control,
    backlog: Option<u32>,
    keep_alive: Option<KeepAlive>,
    fast_open: Option<u32>,
    multipath: bool,
    names: Names,
}

impl Default for ListenConfig {
    fn default() -> Self {
        ListenConfig {
            control: Control::default(),
            backlog: None,
            keep_alive: Some(KeepAlive::default()),
            fast_open: None,
            multipath: false,
            names: Names::default(),
        }
    }
}

impl ListenConfig {
    /// Returns the defaults: no hook, the longest backlog that the kernel grants, keep-alive as
    /// [`KeepAlive::default`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a hook that runs on each new socket after its default options, which it may override,
    /// and before `bind`.
    ///
    /// It is told the network with its version of IP decided (`udp4`, never `udp`) and the address,
    /// and borrows the socket for the call only. An error from it closes the socket and fails the
    /// listen. It must not wait.
    pub fn control(
        mut self,
        hook: impl Fn(&ControlInfo, &RawSocket<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.control = Control::new(hook);
        self
    }

    /// Sets how many connections may wait to be accepted. The kernel caps it at
    /// `/proc/sys/net/core/somaxconn`, which is the default.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::{KeepAlive, ListenConfig};
    ///
    /// let config = ListenConfig::new().backlog(16).keep_alive(KeepAlive::default());
    /// let listener = config.listen_stream("tcp", "127.0.0.1:0").await?;
    /// assert_ne!(listener.local_addr()?.port(), Some(0));
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = Some(connections);
        self
    }

    /// Sets the keep-alive probes of accepted TCP connections; `None` leaves the kernel's default,
    /// which is none.
    pub fn keep_alive(mut self, config: impl Into<Option<KeepAlive>>) -> Self {
        self.keep_alive = config.into();
        self
    }

    /// Lets TCP peers that come again send data with their first packet (TCP Fast Open): at most
    /// `connections` of them at once. That data may come twice; `None`, the default, is for protocols
    /// that cannot bear it. A kernel that does not do it is no error.
    ///
    /// Reference: [RFC 7413](https://www.rfc-editor.org/rfc/rfc7413).
    pub fn fast_open(mut self, connections: impl Into<Option<u32>>) -> Self {
        self.fast_open = connections.into();
        self
    }

    /// Listens for multipath TCP as well, or not. Off by default, other than in Go; where the kernel
    /// does not do it, plain TCP does. [`TcpStream::is_multipath`](crate::TcpStream::is_multipath)
    /// tells what a connection has become.
    ///
    /// Reference: [RFC 8684](https://www.rfc-editor.org/rfc/rfc8684).
    pub fn multipath(mut self, on: bool) -> Self {
        self.multipath = on;
        self
    }

    /// Sets what finds the addresses of host names, in place of
    /// [`SystemResolver`](crate::SystemResolver).
    pub fn resolver(mut self, resolver: impl Resolver + 'static) -> Self {
        self.names = Names::new(resolver);
        self
    }

    /// Listens for stream connections on `address`: `host:port` for `tcp`, `tcp4` and `tcp6`; for
    /// `unix` and `unixpacket` a path, `@` and an abstract name, or empty for an abstract name that the
    /// kernel chooses.
    ///
    /// No host, `0.0.0.0` and `[::]` mean every local address, over IPv4 and IPv6 for `tcp`; no
    /// port and port 0 let the kernel choose one. A host name that has several addresses is
    /// listened on at one, IPv4 if there is one.
    ///
    /// Waits only if the host is a name.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no socket behind.
    ///
    /// # Errors
    /// An [`OpError`] with an [`AddrError`] for an address that breaks a rule, `EADDRINUSE`,
    /// `EADDRNOTAVAIL` for an address that is not local, `EACCES`, or the hook's error.
    ///
    /// Reference: [`listen(2)`](https://man7.org/linux/man-pages/man2/listen.2.html).
    pub async fn listen_stream(
        &self,
        network: impl ToNetwork,
        address: impl fmt::Display,
    ) -> io::Result<Listener> {
        let (network, local) = self
            .resolve(network.to_network(), address.to_string())
            .await?;
        self.listen_stream_addr(network, &local)
    }

    /// Opens a packet socket on `address`: `host:port` for `udp`, `udp4` and `udp6`; a host for `ip`,
    /// `ip4` and `ip6` with a colon and an IP protocol, such as `ip4:icmp`; for `unixgram`
    /// a path, `@` and an abstract name, or empty for an abstract name that the kernel chooses; for
    /// `packet` and `packetgram`, with a colon and an EtherType, an interface, or empty for every one
    /// ([`LinkSocket`](crate::LinkSocket)).
    ///
    /// Hosts and ports mean what they mean to [`listen_stream`](Self::listen_stream). Waits only if
    /// the host is a name.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no socket behind.
    ///
    /// # Errors
    /// Those of [`listen_stream`](Self::listen_stream); `EPERM` for raw and packet sockets without
    /// `CAP_NET_RAW`.
    ///
    /// Reference: [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html).
    pub async fn listen_packet(
        &self,
        network: impl ToNetwork,
        address: impl fmt::Display,
    ) -> io::Result<PacketConn> {
        let (network, local) = self
            .resolve(network.to_network(), address.to_string())
            .await?;
        self.listen_packet_addr(network, &local)
    }

    /// Finds the network and the address to listen on.
    pub(crate) async fn resolve(
        &self,
        network: Result<Network, crate::error::UnknownNetworkError>,
        address: String,
    ) -> io::Result<(Network, Addr)> {
        let network = network.map_err(|err| OpError::new(Op::Listen, err.0.clone(), err.into()))?;
        match resolve_listen(network, &address, &self.names).await {
            Ok(local) => Ok((network, local)),
            Err(err) => Err(OpError::new(Op::Listen, network.as_str(), err).into()),
        }
    }

    /// The same configuration, with `SO_REUSEPORT` set before the hook runs.
    pub(crate) fn reusing_port(&self) -> Self {
        let hook = self.control.clone();
        let mut shared = self.clone();
        shared.control = hook.preceded_by(|socket| socket.set_reuse_port(true));
        shared
    }

    /// Listens on a resolved address.
    pub(crate) fn listen_stream_addr(
        &self,
        network: Network,
        local: &Addr,
    ) -> io::Result<Listener> {
        let listener = match network.protocol().has_listeners() {
            true => self.open_stream(network, local),
            false => Err(unexpected(local)),
        };
        listener.map_err(|err| {
            OpError::new(Op::Listen, network.as_str(), err)
                .to(local.clone())
                .into()
        })
    }

    /// Opens a packet socket on a resolved address.
    pub(crate) fn listen_packet_addr(
        &self,
        network: Network,
        local: &Addr,
    ) -> io::Result<PacketConn> {
        let packet = match network.protocol().has_listeners() {
            true => Err(unexpected(local)),
            false => self.open_packet(network, local),
        };
        packet.map_err(|err| {
            OpError::new(Op::Listen, network.as_str(), err)
                .to(local.clone())
                .into()
        })
    }

    fn open_stream(&self, network: Network, local: &Addr) -> io::Result<Listener> {
        let mut new = NewSocket::open(network, Ends::Listen(local), self.multipath)?;
        option::set_reuse_address(new.as_fd(), true).map_err(|err| syscall("setsockopt", err))?;
        let addr = new.sock_addr(local)?;
        if network.protocol() == Protocol::Tcp {
            // For the connections, which inherit it: set once here, it costs them nothing. As in
            // Go, a kernel that refuses is no reason to refuse service.
            let _ = new.raw().set_nodelay(true);
            if self.keep_alive.is_some() {
                let _ = new.raw().set_keep_alive(self.keep_alive);
            }
            if let Some(connections) = self.fast_open {
                let _ = new.raw().set_fast_open(connections);
            }
        }
        new.control(&self.control, local)?;
        new.bind(&addr)?;
        let backlog = self.backlog.unwrap_or_else(somaxconn);
        socket::listen(new.as_fd(), backlog).map_err(|err| syscall("listen", err))?;
        let listener = Listener::new(bound(new, network)?, true);
        if self.control.is_set() {
            listener.follow_linger()?;
        }
        Ok(listener)
    }

    /// Opens a UDP socket that shares the address of a multicast group.
    pub(crate) fn open_multicast(&self, network: Network, group: &Addr) -> io::Result<Socket> {
        let mut new = NewSocket::open(network, Ends::Listen(group), false)?;
        option::set_reuse_address(new.as_fd(), true).map_err(|err| syscall("setsockopt", err))?;
        let addr = new.sock_addr(group)?;
        new.control(&self.control, group)?;
        new.bind(&addr)?;
        bound(new, network)
    }

    fn open_packet(&self, network: Network, local: &Addr) -> io::Result<PacketConn> {
        let mut new = NewSocket::open(network, Ends::Listen(local), false)?;
        let addr = new.sock_addr(local)?;
        new.control(&self.control, local)?;
        new.bind(&addr)?;
        Ok(PacketConn::new(bound(new, network)?))
    }
}

/// Registers a bound socket and asks for its address, so that it is known even after close.
fn bound(new: NewSocket, network: Network) -> io::Result<Socket> {
    let family = new.family();
    let socket = Socket::new(new.register(State::Bound)?, network, family, None);
    // As in Go, a socket without a known address is still a socket.
    let _ = socket.local_sock_addr();
    Ok(socket)
}

fn unexpected(local: &Addr) -> io::Error {
    AddrError::new("unexpected address type", local.to_string()).into()
}

/// The kernel's longest backlog, read once a process.
fn somaxconn() -> u32 {
    static SOMAXCONN: OnceLock<u32> = OnceLock::new();
    *SOMAXCONN.get_or_init(socket::somaxconn)
}
