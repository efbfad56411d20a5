//! Options of datagram sockets: what is told with each datagram, and how datagrams are cut.

use std::io;
use std::os::fd::BorrowedFd;

use libc::c_int;

use super::{flag, int, set_flag, set_int, unsupported};

/// `UDP_GRO` of `<linux/udp.h>`, which the C library's headers may lack.
const UDP_GRO: c_int = 104;
/// `SO_NO_CHECK` of `<asm-generic/socket.h>`.
const SO_NO_CHECK: c_int = 11;

/// What the kernel does about datagrams that are longer than the path takes.
///
/// ```
/// use gannet_sys::option::{self, MtuDiscovery};
/// use gannet_sys::socket::{Domain, Kind, socket};
/// use std::os::fd::AsFd;
///
/// let fd = socket(Domain::Inet, Kind::Datagram)?;
/// option::set_mtu_discovery(fd.as_fd(), MtuDiscovery::Probe)?;
/// assert_eq!(option::mtu_discovery(fd.as_fd())?, MtuDiscovery::Probe);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_MTU_DISCOVER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MtuDiscovery {
    /// Packets are fragmented wherever they must be.
    Dont,
    /// Packets are fragmented here, to what is known of the path, and nowhere else.
    Want,
    /// Packets are not fragmented; one longer than what is known of the path is refused
    /// (`EMSGSIZE`).
    Do,
    /// Packets are not fragmented; one longer than the interface takes is refused, and what is
    /// known of the path is disregarded.
    Probe,
}

impl MtuDiscovery {
    // The values are the same for IPv4 and IPv6.
    const fn to_raw(self) -> c_int {
        match self {
            Self::Dont => libc::IP_PMTUDISC_DONT,
            Self::Want => libc::IP_PMTUDISC_WANT,
            Self::Do => libc::IP_PMTUDISC_DO,
            Self::Probe => libc::IP_PMTUDISC_PROBE,
        }
    }

    fn from_raw(raw: c_int) -> io::Result<Self> {
        match raw {
            libc::IP_PMTUDISC_DONT => Ok(Self::Dont),
            libc::IP_PMTUDISC_WANT => Ok(Self::Want),
            libc::IP_PMTUDISC_DO => Ok(Self::Do),
            libc::IP_PMTUDISC_PROBE => Ok(Self::Probe),
            raw => Err(unsupported("MTU discovery", raw)),
        }
    }
}

/// Returns how IPv4 datagrams that are too long are treated (`IP_MTU_DISCOVER`).
///
/// # Errors
/// Kind `Unsupported` for a mode that is none of [`MtuDiscovery`].
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn mtu_discovery(fd: BorrowedFd<'_>) -> io::Result<MtuDiscovery> {
    MtuDiscovery::from_raw(int(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER)?)
}

/// Sets how IPv4 datagrams that are too long are treated (`IP_MTU_DISCOVER`), also those that an
/// IPv6 socket sends.
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn set_mtu_discovery(fd: BorrowedFd<'_>, mode: MtuDiscovery) -> io::Result<()> {
    let raw = mode.to_raw();
    set_int(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, raw)
}

/// Returns how IPv6 datagrams that are too long are treated (`IPV6_MTU_DISCOVER`).
///
/// # Errors
/// Kind `Unsupported` for a mode that is none of [`MtuDiscovery`].
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn mtu_discovery_v6(fd: BorrowedFd<'_>) -> io::Result<MtuDiscovery> {
    MtuDiscovery::from_raw(int(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER)?)
}

/// Sets how IPv6 datagrams that are too long are treated (`IPV6_MTU_DISCOVER`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn set_mtu_discovery_v6(fd: BorrowedFd<'_>, mode: MtuDiscovery) -> io::Result<()> {
    let raw = mode.to_raw();
    set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, raw)
}

/// Returns whether IPv4 datagrams come with the address and interface they were sent to
/// (`IP_PKTINFO`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn recv_pktinfo(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IP, libc::IP_PKTINFO)
}

/// Makes IPv4 datagrams come with the address and interface they were sent to, or not
/// (`IP_PKTINFO`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn set_recv_pktinfo(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, on)
}

/// Returns whether datagrams on an IPv6 socket, IPv4 among them, come with the address and interface
/// they were sent to (`IPV6_RECVPKTINFO`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn recv_pktinfo_v6(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
}

/// Makes datagrams on an IPv6 socket, IPv4 among them, come with the address and interface they were
/// sent to, or not (`IPV6_RECVPKTINFO`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn set_recv_pktinfo_v6(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, on)
}

/// Returns whether IPv6 datagrams come with their traffic class (`IPV6_RECVTCLASS`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn recv_tclass_v6(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS)
}

/// Makes IPv6 datagrams come with their traffic class, or not (`IPV6_RECVTCLASS`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn set_recv_tclass_v6(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, on)
}

/// Returns whether IPv4 datagrams come with their type-of-service byte (`IP_RECVTOS`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn recv_tos(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IP, libc::IP_RECVTOS)
}

/// Makes IPv4 datagrams come with their type-of-service byte, or not (`IP_RECVTOS`). An IPv6 socket
/// takes it too, for the IPv4 datagrams that it receives.
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn set_recv_tos(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_IP, libc::IP_RECVTOS, on)
}

/// Returns whether IPv4 datagrams come with their time to live (`IP_RECVTTL`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn recv_ttl(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IP, libc::IP_RECVTTL)
}

/// Makes IPv4 datagrams come with their time to live, or not (`IP_RECVTTL`). An IPv6 socket takes it
/// too, for the IPv4 datagrams that it receives.
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn set_recv_ttl(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_IP, libc::IP_RECVTTL, on)
}

/// Returns whether IPv6 datagrams come with their hop limit (`IPV6_RECVHOPLIMIT`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn recv_hop_limit_v6(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT)
}

/// Makes IPv6 datagrams come with their hop limit, or not (`IPV6_RECVHOPLIMIT`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn set_recv_hop_limit_v6(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, on)
}

/// Returns whether errors that IPv4 datagrams meet are queued (`IP_RECVERR`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn recv_errors(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IP, libc::IP_RECVERR)
}

/// Queues the errors that IPv4 datagrams meet, for [`recv_report`](crate::datagram::recv_report), or
/// not (`IP_RECVERR`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn set_recv_errors(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_IP, libc::IP_RECVERR, on)
}

/// Returns whether errors that IPv6 datagrams meet are queued (`IPV6_RECVERR`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn recv_errors_v6(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
}

/// Queues the errors that IPv6 datagrams meet, or not (`IPV6_RECVERR`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn set_recv_errors_v6(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, on)
}

/// Returns whether UDP datagrams of one sender may be received joined (`UDP_GRO`).
///
/// Reference: [`udp(7)`](https://man7.org/linux/man-pages/man7/udp.7.html).
pub fn udp_gro(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_UDP, UDP_GRO)
}

/// Lets UDP datagrams of one sender be received joined, up to 65,535 bytes, or not (`UDP_GRO`).
///
/// # Errors
/// `ENOPROTOOPT` before Linux 5.0.
///
/// Reference: [`udp(7)`](https://man7.org/linux/man-pages/man7/udp.7.html).
pub fn set_udp_gro(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_UDP, UDP_GRO, on)
}

/// Returns whether UDP datagrams over IPv4 are sent without a checksum (`SO_NO_CHECK`).
///
/// Reference: [RFC 768](https://www.rfc-editor.org/rfc/rfc768), "Checksum".
pub fn no_checksum(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::SOL_SOCKET, SO_NO_CHECK)
}

/// Sends UDP datagrams over IPv4 without a checksum, or with it (`SO_NO_CHECK`). The kernel refuses
/// to segment datagrams without one (`EINVAL`).
///
/// Reference: [RFC 768](https://www.rfc-editor.org/rfc/rfc768), "Checksum".
pub fn set_no_checksum(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::SOL_SOCKET, SO_NO_CHECK, on)
}
