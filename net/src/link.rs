//! Packet sockets: packets as a link carries them, below IP.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};

use gannet_sys::errno;
use gannet_sys::frame;
use gannet_sys::interface;
use gannet_sys::option::LinkMembership;
use gannet_sys::sockaddr::{HardwareAddr, LinkAddr, SockAddr};

use crate::addr::Addr;
use crate::error::{AddrError, Op, syscall};
use crate::listen::ListenConfig;
use crate::network::ToNetwork;
use crate::packet::PacketConn;
use crate::socket::built_on;

/// A packet socket: what a network interface receives and sends, below IP.
///
/// Dereferences to [`PacketConn`], which receives and sends, and through it to
/// [`Socket`](crate::Socket). There are two networks, each followed by a colon and a protocol, which is
/// an EtherType as a number (`packet:0x88b5`), or `all`, `arp`, `ip`, `ipv6`, `lldp` or `vlan`:
///
/// | network | what is received and sent |
/// |---|---|
/// | `packet:arp` | whole packets, the link's header included |
/// | `packetgram:arp` | what follows the header, which the kernel takes off and makes |
///
/// The text of an address is the name of an interface, or its number, for what is received by that
/// one; empty is every interface. To send to, it has a slash and a hardware address behind it:
/// `eth0/02:00:5e:00:53:af`; see [`Addr::packet`]. A whole packet has its destination in itself, so
/// the interface alone does.
///
/// Nothing is received before the socket is bound, so that a control hook may attach a filter in
/// time. What this machine sends is received only with the protocol `all`, and with
/// [`PacketType::Outgoing`](crate::PacketType::Outgoing). Opening a socket takes the privilege
/// `CAP_NET_RAW`:
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Addr, HardwareAddr, LinkSocket};
///
/// // An EtherType that is left for experiments, and the loopback interface.
/// let socket = match LinkSocket::bind("packetgram:0x88b5", "lo").await {
///     Ok(socket) => socket,
///     Err(err) if err.to_string().ends_with("(packet sockets take CAP_NET_RAW)") => return Ok(()),
///     Err(err) => return Err(err),
/// };
/// socket.send_to(b"hello", &Addr::packet("lo/00:00:00:00:00:00")?).await?;
/// let mut buf = [0; 64];
/// let got = socket.recv_msg(&mut buf).await?;
/// assert_eq!(&buf[..got.len], b"hello");
/// assert_eq!((got.from.interface_name()?.as_str(), got.from.protocol), ("lo", 0x88b5));
/// assert_eq!(Some(got.from.hardware), HardwareAddr::new(&[0; 6]));
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// When its interface goes down or away, a socket tells it once, as `ENETDOWN`, and receives again
/// when the interface comes up again.
///
/// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html).
pub struct LinkSocket {
    packet: PacketConn,
}

built_on!(LinkSocket, PacketConn, packet);

/// What [`LinkSocket::recv_msg`] received. See [`LinkSocket`] for an example.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LinkMsg {
    /// How many bytes of the packet are in the buffer.
    pub len: usize,
    /// The sender's hardware address, with the interface, the protocol, and for whom it was.
    pub from: LinkAddr,
    /// Whether it was longer than the buffer, and its rest is lost.
    pub truncated: bool,
    /// How long it was, in bytes, after [`set_recv_auxdata`](LinkSocket::set_recv_auxdata).
    pub whole_len: Option<usize>,
    /// The tag of its virtual network (IEEE 802.1Q), which the kernel takes out of the packet, after
    /// [`set_recv_auxdata`](LinkSocket::set_recv_auxdata).
    pub vlan: Option<u16>,
}

impl LinkSocket {
    pub(crate) fn new(packet: PacketConn) -> Self {
        LinkSocket { packet }
    }

    /// Opens a socket for `network`, such as `packet:arp`, on the interface called `address`, or on
    /// every one if that is empty.
    ///
    /// Does not wait.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no socket behind.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`; `ENODEV` without such an interface; otherwise those of
    /// [`ListenConfig::listen_packet`]. An interface that is down is no error here: the first receive
    /// tells it.
    ///
    /// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html).
    pub async fn bind(network: impl ToNetwork, address: impl fmt::Display) -> io::Result<Self> {
        let packet = ListenConfig::new().listen_packet(network, address).await?;
        Ok(LinkSocket::try_from(packet)?)
    }

    /// Returns the interface and protocol that the socket is bound to, and the interface's hardware
    /// address.
    ///
    /// # Errors
    /// The closed error after close, if nobody asked before.
    ///
    /// Reference: [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_link(&self) -> io::Result<LinkAddr> {
        match self.local_addr()? {
            Addr::Packet(link) => Ok(link),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Receives one packet into `buf`, and all that the kernel tells of it. Nothing is allocated.
    ///
    /// Waits for a packet, the read deadline or close. An empty `buf` waits, too.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: no packet is taken from the kernel before it completes.
    ///
    /// # Errors
    /// `ENETDOWN`, once, when the interface has gone down or away; the socket goes on working. Else
    /// those of [`PacketConn::recv_from`].
    ///
    /// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html).
    pub fn recv_msg(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<LinkMsg>> {
        let mut guard = self.fd.begin_read();
        poll_fn(move |cx| {
            let received = ready!(guard.poll_read_with(cx, |fd| frame::recv(fd, buf)));
            let got = received.map_err(|err| self.failed(Op::Read, "recvmsg", err))?;
            Poll::Ready(Ok(LinkMsg {
                len: got.len,
                from: got.from.ok_or_else(|| self.not_link())?,
                truncated: got.truncated,
                whole_len: got.whole,
                vlan: got.vlan,
            }))
        })
    }

    /// Makes packets come with their whole length and the tag of their virtual network, or not. Off by
    /// default.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html),
    /// `PACKET_AUXDATA`.
    pub fn set_recv_auxdata(&self, on: bool) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_recv_auxdata(on))
    }

    /// Passes over what this machine sends, which the protocol `all` shows by default, or not.
    ///
    /// # Errors
    /// `ENOPROTOOPT` before Linux 4.20, the closed error after close.
    ///
    /// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html),
    /// `PACKET_IGNORE_OUTGOING`.
    pub fn set_ignore_outgoing(&self, on: bool) -> io::Result<()> {
        self.option("setsockopt", |raw| raw.set_ignore_outgoing(on))
    }

    /// Makes the socket's interface take more than what is for this machine, such as everything
    /// ([`LinkMembership::Promiscuous`]), until [`leave`](Self::leave) or the last close.
    ///
    /// It is counted: what was joined twice must be left twice.
    ///
    /// # Errors
    /// `ENODEV` for a socket of every interface, or if the interface is gone; `EINVAL` for a group's
    /// address that does not fit the hardware; the closed error after close.
    ///
    /// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html),
    /// `PACKET_ADD_MEMBERSHIP`.
    pub fn join(&self, membership: LinkMembership) -> io::Result<()> {
        let interface = self.local_link()?.interface;
        self.option("setsockopt", |raw| raw.join_link(interface, membership))
    }

    /// Undoes one [`join`](Self::join). To leave what was not joined does nothing on newer kernels.
    ///
    /// # Errors
    /// The closed error after close.
    ///
    /// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html),
    /// `PACKET_DROP_MEMBERSHIP`.
    pub fn leave(&self, membership: LinkMembership) -> io::Result<()> {
        let interface = self.local_link()?.interface;
        self.option("setsockopt", |raw| raw.leave_link(interface, membership))
    }

    pub(crate) fn into_packet(self) -> PacketConn {
        self.packet
    }

    /// The kernel gave an address of another family than the socket's, which no Linux does.
    #[cold]
    fn not_link(&self) -> io::Error {
        let err = io::Error::from_raw_os_error(errno::EAFNOSUPPORT);
        self.failed(Op::Read, "recvmsg", err)
    }
}

/// Returns the address that `text` means: `interface/hardware`, the interface by its name or number.
pub(crate) fn parse(text: &str) -> io::Result<LinkAddr> {
    let (name, hardware) = match text.split_once('/') {
        Some((name, hardware)) => (name, HardwareAddr::parse(hardware)),
        None => (text, Some(HardwareAddr::NONE)),
    };
    let hardware = hardware.ok_or_else(|| AddrError::new("invalid hardware address", text))?;
    if name.is_empty() {
        return Ok(LinkAddr::new(0, hardware));
    }
    let interface = match (interface::index(name), name.parse()) {
        (Ok(index), _) | (Err(_), Ok(index)) => index,
        (Err(err), Err(_)) => return Err(syscall("if_nametoindex", err)),
    };
    Ok(LinkAddr::new(interface, hardware))
}

/// Returns the text of an address, with the interface by its number.
pub(crate) fn text(addr: &LinkAddr) -> String {
    match addr.hardware {
        HardwareAddr::NONE => addr.interface.to_string(),
        hardware => format!("{}/{hardware}", addr.interface),
    }
}

/// Returns `addr` for a socket of `protocol`, which counts unless the address has one.
pub(crate) fn sock_addr(addr: &LinkAddr, protocol: u16) -> SockAddr {
    let mut addr = *addr;
    if addr.protocol == 0 {
        addr.protocol = protocol;
    }
    SockAddr::Link(addr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_text_is_interface_and_hardware() {
        let lo = interface::index("lo").unwrap();
        for (given, index, hardware) in [
            ("", 0, ""),
            ("lo", lo, ""),
            ("4000000000", 4_000_000_000, ""),
            ("lo/02:00:5e:00:53:af", lo, "02:00:5e:00:53:af"),
            ("/ff:ff", 0, "ff:ff"),
        ] {
            let addr = parse(given).unwrap();
            assert_eq!(addr.interface, index, "{given}");
            assert_eq!(addr.hardware.to_string(), hardware, "{given}");
            assert_eq!(parse(&text(&addr)).unwrap(), addr, "{given}");
        }
        for (given, want) in [
            ("lo/", "address lo/: invalid hardware address"),
            ("lo/2:0", "address lo/2:0: invalid hardware address"),
            ("nonesuch", "if_nametoindex: no such device"),
            ("4294967296", "if_nametoindex: no such device"),
        ] {
            assert_eq!(parse(given).unwrap_err().to_string(), want, "{given}");
        }
    }

    #[test]
    fn protocol_of_the_socket_counts_unless_the_address_has_one() {
        let mut addr = LinkAddr::new(1, HardwareAddr::NONE);
        for (own, want) in [(0, 7), (9, 9)] {
            addr.protocol = own;
            let SockAddr::Link(got) = sock_addr(&addr, 7) else {
                panic!("a link address was expected");
            };
            assert_eq!(got.protocol, want);
        }
    }
}
