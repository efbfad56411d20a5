//! Options of packet sockets.

use std::io;

use gannet_sys::option::{self, LinkMembership};

use crate::control::RawSocket;

impl RawSocket<'_> {
    /// Tells whether packets come with their whole length and the tag of their virtual network.
    ///
    /// See [`set_recv_auxdata`](Self::set_recv_auxdata).
    ///
    /// # Errors
    /// `ENOPROTOOPT` for other kinds of sockets.
    pub fn recv_auxdata(&self) -> io::Result<bool> {
        option::auxdata(self.fd)
    }

    /// Makes packets come with their whole length and the tag of their virtual network, or not.
    ///
    /// Off by default.
    ///
    /// # Errors
    /// `ENOPROTOOPT` for other kinds of sockets.
    ///
    /// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html), `PACKET_AUXDATA`.
    pub fn set_recv_auxdata(&self, on: bool) -> io::Result<()> {
        option::set_auxdata(self.fd, on)
    }

    /// Tells whether a packet socket passes over what this machine sends.
    ///
    /// See [`set_ignore_outgoing`](Self::set_ignore_outgoing).
    ///
    /// # Errors
    /// `ENOPROTOOPT` for other kinds of sockets, and before Linux 4.20.
    pub fn ignore_outgoing(&self) -> io::Result<bool> {
        option::ignore_outgoing(self.fd)
    }

    /// Makes a packet socket pass over what this machine sends, or not.
    ///
    /// Off by default.
    ///
    /// # Errors
    /// `ENOPROTOOPT` for other kinds of sockets, and before Linux 4.20.
    ///
    /// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html), `PACKET_IGNORE_OUTGOING`.
    pub fn set_ignore_outgoing(&self, on: bool) -> io::Result<()> {
        option::set_ignore_outgoing(self.fd, on)
    }

    /// Makes the interface with this number take more than what is for this machine.
    ///
    /// It is counted, and undone at the last close. See [`LinkSocket::join`](crate::LinkSocket::join).
    ///
    /// # Errors
    /// `ENODEV` if there is no such interface; `EINVAL` for a group's address that does not fit the
    /// hardware; `ENOPROTOOPT` for other kinds of sockets.
    ///
    /// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html), `PACKET_ADD_MEMBERSHIP`.
    pub fn join_link(&self, interface: u32, membership: LinkMembership) -> io::Result<()> {
        option::join_link(self.fd, interface, membership)
    }

    /// Undoes one [`join_link`](Self::join_link).
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` on older kernels if it was not joined; `ENOPROTOOPT` for other kinds of sockets.
    ///
    /// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html), `PACKET_DROP_MEMBERSHIP`.
    pub fn leave_link(&self, interface: u32, membership: LinkMembership) -> io::Result<()> {
        option::leave_link(self.fd, interface, membership)
    }
}
