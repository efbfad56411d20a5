//! Options of multicast: groups, and how far and by which interface datagrams for them go.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use libc::c_int;

use super::{byte, flag, set_bytes, set_flag, set_int};
use crate::sockaddr::{RawAddr, SockAddr};

/// `MCAST_*` of `<linux/in.h>`, one numbering for both versions of IP.
const JOIN: c_int = 42;
const LEAVE: c_int = 45;
const JOIN_SOURCE: c_int = 46;
const LEAVE_SOURCE: c_int = 47;
/// `IP_MULTICAST_ALL` and `IPV6_MULTICAST_ALL` of the same.
const ALL: c_int = 49;
const ALL_V6: c_int = 29;

/// The interface's number, padded to the alignment of an address.
const INTERFACE: usize = 8;

/// Receives what is sent to `group` on the interface with this number, 0 for the kernel's choice; only
/// from `source` if one is given (`MCAST_JOIN_GROUP`, `MCAST_JOIN_SOURCE_GROUP`).
///
/// # Errors
/// `EINVAL` for what is no group, `ENODEV` without such an interface, or without any route to choose
/// one; `EADDRINUSE` for a group that was joined already, `EADDRNOTAVAIL` for such a source of one;
/// `ENOBUFS` past the system's limit of groups.
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn join_multicast(
    fd: BorrowedFd<'_>,
    group: IpAddr,
    source: Option<IpAddr>,
    interface: u32,
) -> io::Result<()> {
    let name = [JOIN, JOIN_SOURCE][usize::from(source.is_some())];
    set_membership(fd, name, group, source, interface)
}

/// Undoes [`join_multicast`] with the same arguments (`MCAST_LEAVE_GROUP`,
/// `MCAST_LEAVE_SOURCE_GROUP`).
///
/// # Errors
/// `EADDRNOTAVAIL` for one that was not joined, `EINVAL` for a source of a group of which none was.
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn leave_multicast(
    fd: BorrowedFd<'_>,
    group: IpAddr,
    source: Option<IpAddr>,
    interface: u32,
) -> io::Result<()> {
    let name = [LEAVE, LEAVE_SOURCE][usize::from(source.is_some())];
    set_membership(fd, name, group, source, interface)
}

/// Sets an option whose value is `struct group_req` or `struct group_source_req`.
fn set_membership(
    fd: BorrowedFd<'_>,
    name: c_int,
    group: IpAddr,
    source: Option<IpAddr>,
    interface: u32,
) -> io::Result<()> {
    let level = match group {
        IpAddr::V4(_) => libc::IPPROTO_IP,
        IpAddr::V6(_) => libc::IPPROTO_IPV6,
    };
    let mut value = vec![0; INTERFACE];
    value[..size_of::<u32>()].copy_from_slice(&interface.to_ne_bytes());
    for ip in std::iter::once(group).chain(source) {
        let raw = RawAddr::new(&SockAddr::Inet((ip, 0).into()))?;
        value.extend_from_slice(&raw.bytes);
    }
    set_bytes(fd, level, name, &value)
}

/// Sends IPv4 multicast by the interface with this number, 0 for the kernel's choice
/// (`IP_MULTICAST_IF`).
///
/// # Errors
/// `EADDRNOTAVAIL` without such an interface.
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn set_multicast_interface(fd: BorrowedFd<'_>, interface: u32) -> io::Result<()> {
    // `struct ip_mreqn`: the group, which does not matter, a local address, and the interface.
    let mut value = [0; 12];
    value[8..].copy_from_slice(&interface.to_ne_bytes());
    set_bytes(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &value)
}

/// Sends IPv6 multicast by the interface with this number, 0 for the kernel's choice
/// (`IPV6_MULTICAST_IF`).
///
/// # Errors
/// `ENODEV` without such an interface.
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn set_multicast_interface_v6(fd: BorrowedFd<'_>, interface: u32) -> io::Result<()> {
    let value = interface.to_ne_bytes();
    set_bytes(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, &value)
}

/// Returns whether IPv4 multicast comes back to members on this machine (`IP_MULTICAST_LOOP`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn multicast_loop(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP)
}

/// Lets IPv4 multicast come back to members on this machine, or not (`IP_MULTICAST_LOOP`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn set_multicast_loop(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, on)
}

/// Returns whether IPv6 multicast comes back to members on this machine (`IPV6_MULTICAST_LOOP`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn multicast_loop_v6(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP)
}

/// Lets IPv6 multicast come back to members on this machine, or not (`IPV6_MULTICAST_LOOP`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn set_multicast_loop_v6(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP, on)
}

/// Returns the time to live of IPv4 multicast (`IP_MULTICAST_TTL`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn multicast_ttl(fd: BorrowedFd<'_>) -> io::Result<u8> {
    byte(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_TTL)
}

/// Sets the time to live of IPv4 multicast (`IP_MULTICAST_TTL`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn set_multicast_ttl(fd: BorrowedFd<'_>, hops: u8) -> io::Result<()> {
    set_int(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, hops.into())
}

/// Returns the hop limit of IPv6 multicast (`IPV6_MULTICAST_HOPS`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn multicast_hops_v6(fd: BorrowedFd<'_>) -> io::Result<u8> {
    byte(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS)
}

/// Sets the hop limit of IPv6 multicast (`IPV6_MULTICAST_HOPS`).
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn set_multicast_hops_v6(fd: BorrowedFd<'_>, hops: u8) -> io::Result<()> {
    let hops = hops.into();
    set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, hops)
}

/// Returns whether an IPv4 socket receives what is sent to groups that other sockets of this machine
/// joined (`IP_MULTICAST_ALL`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn multicast_all(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IP, ALL)
}

/// Lets an IPv4 socket receive what is sent to groups that other sockets of this machine joined, or
/// not (`IP_MULTICAST_ALL`).
///
/// Reference: [`ip(7)`](https://man7.org/linux/man-pages/man7/ip.7.html).
pub fn set_multicast_all(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_IP, ALL, on)
}

/// As [`multicast_all`] for IPv6 (`IPV6_MULTICAST_ALL`).
///
/// # Errors
/// `ENOPROTOOPT` before Linux 4.20.
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn multicast_all_v6(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IPV6, ALL_V6)
}

/// As [`set_multicast_all`] for IPv6 (`IPV6_MULTICAST_ALL`).
///
/// # Errors
/// `ENOPROTOOPT` before Linux 4.20.
///
/// Reference: [`ipv6(7)`](https://man7.org/linux/man-pages/man7/ipv6.7.html).
pub fn set_multicast_all_v6(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::IPPROTO_IPV6, ALL_V6, on)
}
