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
    pub fn broadcast(&self) -> io::Result<bool> {
        option::broadcast(self.fd)
    }

    /// Allows datagrams to go to broadcast addresses. On by default for UDP.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        option::set_broadcast(self.fd, on)
    }

    /// Tells whether the kernel may join received UDP datagrams.
    pub fn gro(&self) -> io::Result<bool> {
        option::udp_gro(self.fd)
    }

    /// Lets the kernel join received UDP datagrams of one sender; see
    /// [`UdpSocket::set_gro`](crate::UdpSocket::set_gro).
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        option::set_udp_gro(self.fd, on)
    }

    /// Returns what the kernel does about datagrams that are longer than the path takes.
    pub fn mtu_discovery(&self) -> io::Result<MtuDiscovery> {
        match self.family {
            Some(Family::V6) => option::mtu_discovery_v6(self.fd),
            _ => option::mtu_discovery(self.fd),
        }
    }

    /// Sets what the kernel does about datagrams that are longer than the path takes. On a socket for
    /// both versions of IP it holds for both.
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
    pub fn recv_ecn(&self) -> io::Result<bool> {
        match self.family {
            Some(Family::V6) => option::recv_tclass_v6(self.fd),
            _ => option::recv_tos(self.fd),
        }
    }

    /// Makes received datagrams come with their congestion mark. On a socket for both versions of IP it
    /// holds for both.
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
    pub fn recv_local(&self) -> io::Result<bool> {
        match self.family {
            Some(Family::V6) => option::recv_pktinfo_v6(self.fd),
            _ => option::recv_pktinfo(self.fd),
        }
    }

    /// Makes received datagrams come with the local address and the interface. On a socket for both
    /// versions of IP it holds for both.
    pub fn set_recv_local(&self, on: bool) -> io::Result<()> {
        match self.family {
            Some(Family::V6) => option::set_recv_pktinfo_v6(self.fd, on),
            _ => option::set_recv_pktinfo(self.fd, on),
        }
    }

    /// Tells whether received datagrams come with their time to live.
    pub fn recv_ttl(&self) -> io::Result<bool> {
        match self.family {
            Some(Family::V6) => option::recv_hop_limit_v6(self.fd),
            _ => option::recv_ttl(self.fd),
        }
    }

    /// Makes received datagrams come with their time to live. On a socket for both versions of IP it holds for
    /// both.
    pub fn set_recv_ttl(&self, on: bool) -> io::Result<()> {
        self.for_both(
            |fd| option::set_recv_hop_limit_v6(fd, on),
            |fd| option::set_recv_ttl(fd, on),
        )
    }

    /// Tells whether the errors that datagrams meet are queued.
    pub fn recv_errors(&self) -> io::Result<bool> {
        match self.family {
            Some(Family::V6) => option::recv_errors_v6(self.fd),
            _ => option::recv_errors(self.fd),
        }
    }

    /// Queues the errors that datagrams meet. On a socket for both versions of IP it holds for
    /// both.
    pub fn set_recv_errors(&self, on: bool) -> io::Result<()> {
        self.for_both(
            |fd| option::set_recv_errors_v6(fd, on),
            |fd| option::set_recv_errors(fd, on),
        )
    }

    /// Joins a multicast group on the interface with this number, 0 for the kernel's choice; only for
    /// what `source` sends, if there is one.
    pub fn join_multicast(
        &self,
        group: IpAddr,
        source: Option<IpAddr>,
        interface: u32,
    ) -> io::Result<()> {
        option::join_multicast(self.fd, group, source, interface)
    }

    /// Leaves what [`join_multicast`](Self::join_multicast) joined.
    pub fn leave_multicast(
        &self,
        group: IpAddr,
        source: Option<IpAddr>,
        interface: u32,
    ) -> io::Result<()> {
        option::leave_multicast(self.fd, group, source, interface)
    }

    /// Sends multicast by the interface with this number, 0 for the kernel's choice. On a socket for
    /// both versions of IP it holds for both.
    pub fn set_multicast_interface(&self, interface: u32) -> io::Result<()> {
        self.for_both(
            |fd| option::set_multicast_interface_v6(fd, interface),
            |fd| option::set_multicast_interface(fd, interface),
        )
    }

    /// Tells whether multicast comes back to members on this machine.
    pub fn multicast_loop(&self) -> io::Result<bool> {
        match self.family {
            Some(Family::V6) => option::multicast_loop_v6(self.fd),
            _ => option::multicast_loop(self.fd),
        }
    }

    /// Lets multicast come back to members on this machine. On a socket for both versions of IP it holds for
    /// both.
    pub fn set_multicast_loop(&self, on: bool) -> io::Result<()> {
        self.for_both(
            |fd| option::set_multicast_loop_v6(fd, on),
            |fd| option::set_multicast_loop(fd, on),
        )
    }

    /// Tells whether the socket receives for groups that only other sockets joined.
    pub fn multicast_all(&self) -> io::Result<bool> {
        match self.family {
            Some(Family::V6) => option::multicast_all_v6(self.fd),
            _ => option::multicast_all(self.fd),
        }
    }

    /// Lets the socket receive for groups that only other sockets joined. On a socket for both versions of IP it holds for
    /// both.
    pub fn set_multicast_all(&self, on: bool) -> io::Result<()> {
        self.for_both(
            |fd| option::set_multicast_all_v6(fd, on),
            |fd| option::set_multicast_all(fd, on),
        )
    }

    /// Returns the time to live, or hop limit, of multicast.
    pub fn multicast_ttl(&self) -> io::Result<u8> {
        match self.family {
            Some(Family::V6) => option::multicast_hops_v6(self.fd),
            _ => option::multicast_ttl(self.fd),
        }
    }

    /// Sets the time to live, or hop limit, of multicast. On a socket for both versions of IP it holds for
    /// both.
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
