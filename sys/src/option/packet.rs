//! Options of packet sockets.

use std::io;
use std::os::fd::BorrowedFd;

use libc::c_int;

use super::{flag, set_bytes, set_flag};
use crate::sockaddr::HardwareAddr;

/// `PACKET_IGNORE_OUTGOING` of `<linux/if_packet.h>`, which the C library's headers may lack.
const IGNORE_OUTGOING: c_int = 23;

/// What an interface takes for a packet socket beyond what is for this machine.
///
/// Each is taken as long as some socket asks for it.
///
/// ```
/// use gannet_sys::option::LinkMembership;
/// use gannet_sys::sockaddr::HardwareAddr;
///
/// // What bridges tell each other of their links.
/// let lldp = HardwareAddr::parse("01:80:c2:00:00:0e").unwrap();
/// assert_ne!(LinkMembership::Multicast(lldp), LinkMembership::AllMulticast);
/// ```
///
/// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html),
/// `PACKET_ADD_MEMBERSHIP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkMembership {
    /// What is for a group.
    Multicast(HardwareAddr),
    /// What is for any group.
    AllMulticast,
    /// Everything: the promiscuous mode.
    Promiscuous,
}

/// Asks an interface to take more (`PACKET_ADD_MEMBERSHIP`). Closing the socket takes it back.
///
/// # Errors
/// `ENODEV` without such an interface, `EINVAL` for a group's address of the wrong length, `ENOBUFS`
/// for too many.
///
/// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html).
pub fn join_link(fd: BorrowedFd<'_>, interface: u32, membership: LinkMembership) -> io::Result<()> {
    set_membership(fd, libc::PACKET_ADD_MEMBERSHIP, interface, membership)
}

/// Takes back one [`join_link`] with the same arguments (`PACKET_DROP_MEMBERSHIP`).
///
/// # Errors
/// `EADDRNOTAVAIL` for what was not asked for; newer kernels take no notice.
///
/// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html).
pub fn leave_link(
    fd: BorrowedFd<'_>,
    interface: u32,
    membership: LinkMembership,
) -> io::Result<()> {
    set_membership(fd, libc::PACKET_DROP_MEMBERSHIP, interface, membership)
}

/// Sets an option whose value is `struct packet_mreq`.
fn set_membership(
    fd: BorrowedFd<'_>,
    name: c_int,
    interface: u32,
    membership: LinkMembership,
) -> io::Result<()> {
    let (kind, hardware) = match membership {
        LinkMembership::Multicast(group) => (libc::PACKET_MR_MULTICAST, group),
        LinkMembership::AllMulticast => (libc::PACKET_MR_ALLMULTI, HardwareAddr::NONE),
        LinkMembership::Promiscuous => (libc::PACKET_MR_PROMISC, HardwareAddr::NONE),
    };
    let mut value = [0; 8 + HardwareAddr::MAX];
    let bytes = hardware.bytes();
    value[..4].copy_from_slice(&interface.to_ne_bytes());
    value[4..6].copy_from_slice(&(kind as u16).to_ne_bytes());
    value[6..8].copy_from_slice(&(bytes.len() as u16).to_ne_bytes());
    value[8..8 + bytes.len()].copy_from_slice(bytes);
    set_bytes(fd, libc::SOL_PACKET, name, &value)
}

/// Returns whether packets come with what [`frame::recv`](crate::frame::recv) tells of them
/// (`PACKET_AUXDATA`).
///
/// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html).
pub fn auxdata(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::SOL_PACKET, libc::PACKET_AUXDATA)
}

/// Makes packets come with what [`frame::recv`](crate::frame::recv) tells of them, or not
/// (`PACKET_AUXDATA`).
///
/// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html).
pub fn set_auxdata(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, on)
}

/// Returns whether a packet socket passes over what this machine sends (`PACKET_IGNORE_OUTGOING`).
///
/// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html).
pub fn ignore_outgoing(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::SOL_PACKET, IGNORE_OUTGOING)
}

/// Makes a packet socket pass over what this machine sends, or not (`PACKET_IGNORE_OUTGOING`).
///
/// # Errors
/// `ENOPROTOOPT` before Linux 4.20.
///
/// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html).
pub fn set_ignore_outgoing(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, libc::SOL_PACKET, IGNORE_OUTGOING, on)
}
