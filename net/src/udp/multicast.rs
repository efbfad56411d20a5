//! Multicast: groups, and how datagrams for them travel.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use gannet_sys::interface;

use crate::addr::Addr;
use crate::error::{AddrError, Op, OpError, syscall};
use crate::listen::ListenConfig;
use crate::network::{Protocol, ToNetwork};
use crate::packet::PacketConn;
use crate::udp::UdpSocket;

impl ListenConfig {
    /// Opens a UDP socket that receives what is sent to a multicast group: `address` is the group and
    /// a port, such as `224.0.0.251:5353`. With `interface` it joins on the interface of that name
    /// and sends multicast by it, and a group of one link is that of its link; otherwise the kernel
    /// chooses.
    ///
    /// The order of system calls is that of UDP, with `SO_REUSEADDR` before the hook, and after
    /// `bind` the interface and the group. Several sockets may have the same group and port; each
    /// receives every datagram. The socket is bound to the group, so that it receives nothing else
    /// (in Go it receives all that comes to the port). What this machine sends to the group comes
    /// back, unless the sender turns off [`set_multicast_loop`](UdpSocket::set_multicast_loop).
    ///
    /// For several groups, or a group's datagrams of certain sources only, bind to the wildcard
    /// address and join with [`join_multicast`](UdpSocket::join_multicast).
    ///
    /// Waits only if the host is a name.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no socket behind.
    ///
    /// # Errors
    /// Those of [`listen_packet`](Self::listen_packet); [`AddrError`] for an address that is no
    /// group; `ENODEV` without such an interface, or without a route to choose one.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::{ListenConfig, UdpSocket};
    ///
    /// let member = ListenConfig::new().listen_multicast("udp4", "233.252.0.7:0", Some("lo")).await?;
    /// let group = member.local_addr()?;
    /// let sender = UdpSocket::bind("127.0.0.1:0").await?;
    /// sender.set_multicast_interface(Some("lo"))?;
    /// sender.send_to(b"to all", group).await?;
    /// let (len, from) = member.recv_from(&mut [0; 16]).await?;
    /// assert_eq!((len, from), (6, sender.local_addr()?));
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_ADD_MEMBERSHIP`.
    pub async fn listen_multicast(
        &self,
        network: impl ToNetwork,
        address: impl fmt::Display,
        interface: Option<&str>,
    ) -> io::Result<UdpSocket> {
        let (network, group) = self
            .resolve(network.to_network(), address.to_string())
            .await?;
        let group = zoned(group, interface);
        let listened = |err| OpError::new(Op::Listen, network.as_str(), err).to(group.clone());
        let ip = group.socket_addr().map(|group| group.ip());
        let ip = match ip.filter(|ip| ip.to_canonical().is_multicast()) {
            Some(ip) if network.protocol() == Protocol::Udp => ip,
            _ => {
                let err = AddrError::new("not a multicast address", group.to_string());
                return Err(listened(err.into()).into());
            }
        };
        let socket = self.open_multicast(network, &group).map_err(listened)?;
        let socket = UdpSocket::new(PacketConn::new(socket));
        let joined = socket.with_interface(interface, |raw, interface| {
            if interface != 0 {
                raw.set_multicast_interface(interface)?;
            }
            raw.join_multicast(ip, None, interface)
        });
        joined.map_err(|err| listened(syscall("setsockopt", err)))?;
        Ok(socket)
    }
}

/// Gives a group of one link the interface as its zone, without which it cannot be bound to.
fn zoned(group: Addr, name: Option<&str>) -> Addr {
    let scope = |ip: &Ipv6Addr| ip.octets()[1] & 0x0f;
    match (group, name) {
        (Addr::Udp(SocketAddr::V6(mut addr)), Some(name))
            if addr.scope_id() == 0 && addr.ip().is_multicast() && scope(addr.ip()) <= LINK =>
        {
            // An interface that there is not is an error of binding.
            addr.set_scope_id(interface::index(name).unwrap_or(0));
            Addr::Udp(addr.into())
        }
        (group, _) => group,
    }
}

/// The scope of a group that does not leave the link; smaller ones do not leave the machine.
/// Reference: [RFC 4291, section 2.7](https://www.rfc-editor.org/rfc/rfc4291#section-2.7).
const LINK: u8 = 2;

impl UdpSocket {
    /// Receives what is sent to `group`, too, on the interface of this name or on one of the kernel's
    /// choice.
    ///
    /// A socket bound to the wildcard address receives what is sent to its port for any group that
    /// some socket of this machine joined, unless
    /// [`set_multicast_all`](Self::set_multicast_all) is off.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::UdpSocket;
    /// use std::net::Ipv4Addr;
    ///
    /// let group = Ipv4Addr::new(233, 252, 0, 8);
    /// let member = UdpSocket::bind("0.0.0.0:0").await?;
    /// member.join_multicast(group.into(), Some("lo"))?;
    /// let sender = UdpSocket::bind("127.0.0.1:0").await?;
    /// sender.set_multicast_interface(Some("lo"))?;
    /// sender.set_multicast_ttl(0)?; // Not even to the link.
    /// sender.send_to(b"to all", (group, member.local_addr()?.port()).into()).await?;
    /// assert_eq!(member.recv_from(&mut [0; 16]).await?.0, 6);
    /// member.leave_multicast(group.into(), Some("lo"))?;
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// `EINVAL` for what is no group, `ENODEV` without such an interface, `EADDRINUSE` if it was
    /// joined already, `ENOBUFS` past the 20 groups of `/proc/sys/net/ipv4/igmp_max_memberships`, the
    /// closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_ADD_MEMBERSHIP`.
    pub fn join_multicast(&self, group: IpAddr, interface: Option<&str>) -> io::Result<()> {
        self.membership(interface, |raw, interface| {
            raw.join_multicast(group, None, interface)
        })
    }

    /// Leaves a group again, on the interface that was named when joining.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if it was not joined, `ENODEV` without such an interface, the closed error.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html),
    /// `IP_DROP_MEMBERSHIP`.
    pub fn leave_multicast(&self, group: IpAddr, interface: Option<&str>) -> io::Result<()> {
        self.membership(interface, |raw, interface| {
            raw.leave_multicast(group, None, interface)
        })
    }

    /// Receives what `source` sends to `group`, too. Called again with other sources, it adds them.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if it was joined already; otherwise those of
    /// [`join_multicast`](Self::join_multicast).
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html),
    /// `IP_ADD_SOURCE_MEMBERSHIP`.
    pub fn join_multicast_source(
        &self,
        group: IpAddr,
        source: IpAddr,
        interface: Option<&str>,
    ) -> io::Result<()> {
        self.membership(interface, |raw, interface| {
            raw.join_multicast(group, Some(source), interface)
        })
    }

    /// Leaves a source of a group again.
    ///
    /// # Errors
    /// `EINVAL` if no source of the group was joined; otherwise those of
    /// [`leave_multicast`](Self::leave_multicast).
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html),
    /// `IP_DROP_SOURCE_MEMBERSHIP`.
    pub fn leave_multicast_source(
        &self,
        group: IpAddr,
        source: IpAddr,
        interface: Option<&str>,
    ) -> io::Result<()> {
        self.membership(interface, |raw, interface| {
            raw.leave_multicast(group, Some(source), interface)
        })
    }

    /// Sends multicast by the interface of this name; `None` leaves it to the kernel's routes.
    ///
    /// # Errors
    /// `ENODEV` without such an interface, the closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_IF`.
    pub fn set_multicast_interface(&self, interface: Option<&str>) -> io::Result<()> {
        self.membership(interface, |raw, interface| {
            raw.set_multicast_interface(interface)
        })
    }

    /// Tells whether multicast comes back to members on this machine.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_LOOP`.
    pub fn multicast_loop(&self) -> io::Result<bool> {
        self.option("getsockopt", |raw| raw.multicast_loop())
    }

    /// Lets multicast come back to members on this machine, this socket among them, or not. On at
    /// first, other than in Go.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_LOOP`.
    pub fn set_multicast_loop(&self, on: bool) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_multicast_loop(on))
    }

    /// Returns the time to live, or hop limit, of multicast, in hops.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_TTL`.
    pub fn multicast_ttl(&self) -> io::Result<u8> {
        self.option("getsockopt", |raw| raw.multicast_ttl())
    }

    /// Sets the time to live, or hop limit, of multicast, in hops. 1 at first: it stays on the link.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_TTL`.
    pub fn set_multicast_ttl(&self, hops: u8) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_multicast_ttl(hops))
    }

    /// Tells whether the socket receives for groups that only other sockets joined.
    ///
    /// # Errors
    /// The closed error after close; `ENOPROTOOPT` for IPv6 before Linux 4.20.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_ALL`.
    pub fn multicast_all(&self) -> io::Result<bool> {
        self.option("getsockopt", |raw| raw.multicast_all())
    }

    /// Lets a socket that is bound to the wildcard address receive for groups that only other sockets
    /// of this machine joined, or not. On at first.
    ///
    /// # Errors
    /// The closed error after close; `ENOPROTOOPT` for IPv6 before Linux 4.20.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_ALL`.
    pub fn set_multicast_all(&self, on: bool) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_multicast_all(on))
    }

    /// Runs `f` with the number of an interface, 0 for none.
    fn membership(
        &self,
        name: Option<&str>,
        f: impl FnOnce(&crate::RawSocket<'_>, u32) -> io::Result<()>,
    ) -> io::Result<()> {
        self.with_interface(name, f)
            .map_err(|err| self.failed(Op::Set, "setsockopt", err))
    }

    fn with_interface(
        &self,
        name: Option<&str>,
        f: impl FnOnce(&crate::RawSocket<'_>, u32) -> io::Result<()>,
    ) -> io::Result<()> {
        let index = name.map(interface::index).transpose();
        let index = index.map_err(|err| syscall("if_nametoindex", err))?;
        self.with_raw(|raw| f(raw, index.unwrap_or(0)))
    }
}
