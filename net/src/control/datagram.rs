//! Options of datagram sockets.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use gannet_sys::option;

use crate::control::RawSocket;
use crate::family::Family;
use crate::udp::MtuDiscovery;

impl RawSocket<'_> {
    /// Tells whether datagrams may go to broadcast addresses.
    ///
    /// # Errors
    /// None: every kind of socket has the option.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html),
    /// `SO_BROADCAST`.
    pub fn broadcast(&self) -> io::Result<bool> {
        option::broadcast(self.fd)
    }

    /// Allows datagrams to go to broadcast addresses, or not: sending one fails with `EACCES` then.
    /// On by default for UDP.
    ///
    /// # Errors
    /// None: every kind of socket has the option.
    ///
    /// Reference: [`socket(7)`](https://man7.org/linux/man-pages/man7/socket.7.html),
    /// `SO_BROADCAST`.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        option::set_broadcast(self.fd, on)
    }

    /// Tells whether the kernel may join received UDP datagrams.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not UDP, and before Linux 5.0.
    ///
    /// Reference: [`udp(7)`](https://man7.org/linux/man-pages/man7/udp.7.html), `UDP_GRO`.
    pub fn gro(&self) -> io::Result<bool> {
        option::udp_gro(self.fd)
    }

    /// Lets the kernel join received UDP datagrams of one sender, or not. Off at first. See
    /// [`UdpSocket::set_gro`](crate::UdpSocket::set_gro) for what becomes of them.
    ///
    /// # Errors
    /// `ENOPROTOOPT` or `EOPNOTSUPP` on a socket that is not UDP, and before Linux 5.0.
    ///
    /// Reference: [`udp(7)`](https://man7.org/linux/man-pages/man7/udp.7.html), `UDP_GRO`.
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        option::set_udp_gro(self.fd, on)
    }

    /// Returns what the kernel does about datagrams that are longer than the path takes.
    ///
    /// At first it finds out how long they may be and cuts longer ones, unless
    /// `/proc/sys/net/ipv4/ip_no_pmtu_disc` says otherwise.
    ///
    /// # Errors
    /// Kind `Unsupported` for a mode that is none of [`MtuDiscovery`], `EOPNOTSUPP` on a Unix
    /// socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MTU_DISCOVER`.
    pub fn mtu_discovery(&self) -> io::Result<MtuDiscovery> {
        match self.family {
            Some(Family::V6) => option::mtu_discovery_v6(self.fd),
            _ => option::mtu_discovery(self.fd),
        }
    }

    /// Sets what the kernel does about datagrams that are longer than the path takes. On a socket
    /// for both versions of IP it holds for both.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MTU_DISCOVER`.
    pub fn set_mtu_discovery(&self, mode: MtuDiscovery) -> io::Result<()> {
        if self.family == Some(Family::V6) {
            option::set_mtu_discovery_v6(self.fd, mode)?;
            // As for the type of service.
            let _ = option::set_mtu_discovery(self.fd, mode);
            return Ok(());
        }
        option::set_mtu_discovery(self.fd, mode)
    }

    /// Tells whether received datagrams come with their congestion mark.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVTOS`; RFC
    /// 3542, section 6.5, `IPV6_RECVTCLASS`.
    pub fn recv_ecn(&self) -> io::Result<bool> {
        match self.family {
            Some(Family::V6) => option::recv_tclass_v6(self.fd),
            _ => option::recv_tos(self.fd),
        }
    }

    /// Makes received datagrams come with their congestion mark, or not. Off at first. On a socket
    /// for both versions of IP it holds for both.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVTOS`; RFC
    /// 3542, section 6.5, `IPV6_RECVTCLASS`.
    pub fn set_recv_ecn(&self, on: bool) -> io::Result<()> {
        if self.family == Some(Family::V6) {
            option::set_recv_tclass_v6(self.fd, on)?;
            // As for the type of service.
            let _ = option::set_recv_tos(self.fd, on);
            return Ok(());
        }
        option::set_recv_tos(self.fd, on)
    }

    /// Tells whether received datagrams come with the local address and the interface.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_PKTINFO`;
    /// `ipv6(7)`, `IPV6_RECVPKTINFO`.
    pub fn recv_local(&self) -> io::Result<bool> {
        match self.family {
            Some(Family::V6) => option::recv_pktinfo_v6(self.fd),
            _ => option::recv_pktinfo(self.fd),
        }
    }

    /// Makes received datagrams come with the local address and the interface, or not. Off at
    /// first. On a socket for both versions of IP it holds for both.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::{ListenConfig, UdpSocket};
    ///
    /// let config = ListenConfig::new().control(|_info, socket| {
    ///     socket.set_recv_local(true)?;
    ///     socket.set_recv_ttl(true)?;
    ///     socket.set_recv_ecn(true)
    /// });
    /// let server = UdpSocket::try_from(config.listen_packet("udp4", "0.0.0.0:0").await?)?;
    /// let client = UdpSocket::bind("127.0.0.1:0").await?;
    /// let to = std::net::SocketAddr::from(([127, 0, 0, 1], server.local_addr()?.port()));
    /// client.send_to(b"ping", to).await?;
    /// let got = server.recv_msg(&mut [0; 16]).await?;
    /// assert_eq!((got.local, got.ttl), (Some(to.ip()), Some(64)));
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_PKTINFO`;
    /// `ipv6(7)`, `IPV6_RECVPKTINFO`.
    pub fn set_recv_local(&self, on: bool) -> io::Result<()> {
        match self.family {
            Some(Family::V6) => option::set_recv_pktinfo_v6(self.fd, on),
            _ => option::set_recv_pktinfo(self.fd, on),
        }
    }

    /// Tells whether received datagrams come with their time to live, or hop limit.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVTTL`;
    /// `ipv6(7)`, `IPV6_RECVHOPLIMIT`.
    pub fn recv_ttl(&self) -> io::Result<bool> {
        match self.family {
            Some(Family::V6) => option::recv_hop_limit_v6(self.fd),
            _ => option::recv_ttl(self.fd),
        }
    }

    /// Makes received datagrams come with their time to live, or hop limit, or not. Off at first.
    /// On a socket for both versions of IP it holds for both.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVTTL`;
    /// `ipv6(7)`, `IPV6_RECVHOPLIMIT`.
    pub fn set_recv_ttl(&self, on: bool) -> io::Result<()> {
        self.for_both(
            |fd| option::set_recv_hop_limit_v6(fd, on),
            |fd| option::set_recv_ttl(fd, on),
        )
    }

    /// Tells whether the errors that datagrams meet are queued.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVERR`.
    pub fn recv_errors(&self) -> io::Result<bool> {
        match self.family {
            Some(Family::V6) => option::recv_errors_v6(self.fd),
            _ => option::recv_errors(self.fd),
        }
    }

    /// Queues the errors that datagrams meet, or forgets them and those in the queue. Off at first.
    /// On a socket for both versions of IP it holds for both.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVERR`.
    pub fn set_recv_errors(&self, on: bool) -> io::Result<()> {
        self.for_both(
            |fd| option::set_recv_errors_v6(fd, on),
            |fd| option::set_recv_errors(fd, on),
        )
    }

    /// Joins a multicast group on the interface with this number, 0 for the kernel's choice; only
    /// for what `source` sends, if there is one.
    ///
    /// # Errors
    /// `EINVAL` for what is no group, `ENODEV` without such an interface or without a route to choose
    /// one; `EADDRINUSE` for a group that was joined already, `EADDRNOTAVAIL` for such a source of one;
    /// `ENOBUFS` past the 20 groups of `/proc/sys/net/ipv4/igmp_max_memberships`.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_ADD_MEMBERSHIP`;
    /// RFC 3678, section 5.1, `MCAST_JOIN_GROUP`.
    pub fn join_multicast(
        &self,
        group: IpAddr,
        source: Option<IpAddr>,
        interface: u32,
    ) -> io::Result<()> {
        option::join_multicast(self.fd, group, source, interface)
    }

    /// Leaves what [`join_multicast`](Self::join_multicast) joined with the same arguments. A
    /// socket that is closed leaves all.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` for what was not joined, `EINVAL` for a source of a group of which no source was.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_DROP_MEMBERSHIP`;
    /// RFC 3678, section 5.1, `MCAST_LEAVE_GROUP`.
    pub fn leave_multicast(
        &self,
        group: IpAddr,
        source: Option<IpAddr>,
        interface: u32,
    ) -> io::Result<()> {
        option::leave_multicast(self.fd, group, source, interface)
    }

    /// Sends multicast by the interface with this number, or by the kernel's choice with 0, as at
    /// first. On a socket for both versions of IP it holds for both.
    ///
    /// # Errors
    /// Without such an interface, `EADDRNOTAVAIL` on an IPv4 socket and `ENODEV` on an IPv6 one;
    /// `EINVAL` if the socket is bound to another.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_IF`.
    pub fn set_multicast_interface(&self, interface: u32) -> io::Result<()> {
        self.for_both(
            |fd| option::set_multicast_interface_v6(fd, interface),
            |fd| option::set_multicast_interface(fd, interface),
        )
    }

    /// Tells whether multicast comes back to members on this machine.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_LOOP`.
    pub fn multicast_loop(&self) -> io::Result<bool> {
        match self.family {
            Some(Family::V6) => option::multicast_loop_v6(self.fd),
            _ => option::multicast_loop(self.fd),
        }
    }

    /// Lets multicast come back to members on this machine, or not. On at first. On a socket for
    /// both versions of IP it holds for both.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_LOOP`.
    pub fn set_multicast_loop(&self, on: bool) -> io::Result<()> {
        self.for_both(
            |fd| option::set_multicast_loop_v6(fd, on),
            |fd| option::set_multicast_loop(fd, on),
        )
    }

    /// Tells whether the socket receives for groups that only other sockets joined.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket; `ENOPROTOOPT` for IPv6 before Linux 4.20.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_ALL`.
    pub fn multicast_all(&self) -> io::Result<bool> {
        match self.family {
            Some(Family::V6) => option::multicast_all_v6(self.fd),
            _ => option::multicast_all(self.fd),
        }
    }

    /// Lets the socket receive for groups that only other sockets joined, or not. On at first. On a
    /// socket for both versions of IP it holds for both.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket; `ENOPROTOOPT` for IPv6 before Linux 4.20.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_ALL`.
    pub fn set_multicast_all(&self, on: bool) -> io::Result<()> {
        self.for_both(
            |fd| option::set_multicast_all_v6(fd, on),
            |fd| option::set_multicast_all(fd, on),
        )
    }

    /// Returns the time to live, or hop limit, of multicast, in hops.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_TTL`.
    pub fn multicast_ttl(&self) -> io::Result<u8> {
        match self.family {
            Some(Family::V6) => option::multicast_hops_v6(self.fd),
            _ => option::multicast_ttl(self.fd),
        }
    }

    /// Sets the time to live, or hop limit, of multicast, in hops. 1 at first: it stays on the
    /// link. On a socket for both versions of IP it holds for both.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on a Unix socket, `EINVAL` or `ENOPROTOOPT` on a TCP one.
    ///
    /// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MULTICAST_TTL`.
    pub fn set_multicast_ttl(&self, hops: u8) -> io::Result<()> {
        self.for_both(
            |fd| option::set_multicast_hops_v6(fd, hops),
            |fd| option::set_multicast_ttl(fd, hops),
        )
    }

    /// Sets an option of both versions of IP on an IPv6 socket, that of IPv4 on any other.
    fn for_both(
        &self,
        v6: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
        v4: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.family == Some(Family::V6) {
            v6(self.fd)?;
            // IPv4 traffic of a dual-stack socket obeys the IPv4 option; without IPv4 it may fail.
            let _ = v4(self.fd);
            return Ok(());
        }
        v4(self.fd)
    }
}
