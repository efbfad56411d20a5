//! Options of packet sockets.

use std::io;

use gannet_sys::option::{self, LinkMembership};

use crate::control::RawSocket;

impl RawSocket<'_> {
    /// Tells whether packets come with their whole length and the tag of their virtual network.
    pub fn recv_auxdata(&self) -> io::Result<bool> {
        option::auxdata(self.fd)
    }

    /// Makes packets come with their whole length and the tag of their virtual network, or not.
    pub fn set_recv_auxdata(&self, on: bool) -> io::Result<()> {
        option::set_auxdata(self.fd, on)
    }

    /// Tells whether a packet socket passes over what this machine sends.
    pub fn ignore_outgoing(&self) -> io::Result<bool> {
        option::ignore_outgoing(self.fd)
    }

    /// Makes a packet socket pass over what this machine sends, or not.
    pub fn set_ignore_outgoing(&self, on: bool) -> io::Result<()> {
        option::set_ignore_outgoing(self.fd, on)
    }

    /// Makes the interface with this number take more than what is for this machine.
    pub fn join_link(&self, interface: u32, membership: LinkMembership) -> io::Result<()> {
        option::join_link(self.fd, interface, membership)
    }

    /// Undoes one [`join_link`](Self::join_link).
    pub fn leave_link(&self, interface: u32, membership: LinkMembership) -> io::Result<()> {
        option::leave_link(self.fd, interface, membership)
    }
}
