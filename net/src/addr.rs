//! Addresses of sockets, as Go prints them.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use gannet_sys::sockaddr::SockAddr;

use crate::link;
use crate::network::Protocol;

pub use gannet_sys::sockaddr::{HardwareAddr, LinkAddr, PacketType, UnixAddr};

/// The address of a socket: an IP address and port, the name of a Unix socket, or one of a link.
///
/// Displays as Go prints it: `127.0.0.1:80`, `[::1]:80`, `/run/app.sock`, `@abstract`, and `@` for
/// a Unix socket that has no name. An IPv4 address that the kernel reports in its IPv6 form is
/// shown, and stored, as IPv4.
///
/// ```
/// use gannet_net::Addr;
///
/// let addr = Addr::Tcp("[::1]:80".parse().unwrap());
/// assert_eq!(addr.network(), "tcp");
/// assert_eq!(addr.to_string(), "[::1]:80");
/// assert_eq!(Addr::unix("@name").to_string(), "@name");
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Addr {
    /// A TCP endpoint.
    Tcp(SocketAddr),
    /// A UDP endpoint.
    Udp(SocketAddr),
    /// A Unix stream socket.
    Unix(UnixAddr),
    /// A Unix datagram socket.
    Unixgram(UnixAddr),
    /// A Unix socket of packets on a connection.
    Unixpacket(UnixAddr),
    /// The address of a raw IP socket, with the number of its IPv6 zone or 0.
    Ip(IpAddr, u32),
    /// The address of a packet socket: a network interface, and hardware on its link.
    Packet(LinkAddr),
    /// A TCP port on no host in particular, as in `:80`. Only errors and control hooks show it: an
    /// open socket has a host, if only the wildcard.
    TcpPort(u16),
    /// A UDP port on no host in particular.
    UdpPort(u16),
}

impl Addr {
    /// Returns the address of the Unix stream socket `name`: a path, or `@` and an abstract name,
    /// or empty for none.
    pub fn unix(name: impl AsRef<[u8]>) -> Addr {
        Addr::Unix(unix_addr(name.as_ref()))
    }

    /// Returns the address of the Unix datagram socket `name`: a path, or `@` and an abstract name,
    /// or empty for none.
    pub fn unixgram(name: impl AsRef<[u8]>) -> Addr {
        Addr::Unixgram(unix_addr(name.as_ref()))
    }

    /// Returns the address of the Unix packet socket `name`: a path, or `@` and an abstract name, or
    /// empty for none.
    pub fn unixpacket(name: impl AsRef<[u8]>) -> Addr {
        Addr::Unixpacket(unix_addr(name.as_ref()))
    }

    /// Returns the address on a link that `text` means: the name or number of an interface and, to send
    /// to, a slash and a hardware address, such as `eth0/02:00:5e:00:53:af`. Displays so, too, with the
    /// number.
    ///
    /// ```
    /// use gannet_net::{Addr, HardwareAddr};
    ///
    /// let Addr::Packet(all) = Addr::packet("lo/ff:ff:ff:ff:ff:ff")? else { panic!("a link's") };
    /// assert_eq!((all.interface_name()?.as_str(), all.hardware), ("lo", HardwareAddr::BROADCAST));
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// `ENODEV` without such an interface; [`AddrError`](crate::error::AddrError) for what is no
    /// hardware address.
    ///
    /// Reference: [`packet(7)`](https://man7.org/linux/man-pages/man7/packet.7.html).
    pub fn packet(text: &str) -> io::Result<Addr> {
        link::parse(text).map(Addr::Packet)
    }

    /// Returns the name of the network: `"tcp"`, `"udp"`, `"ip"`, `"unix"`, `"unixgram"`,
    /// `"unixpacket"` or `"packet"`, without a version of IP.
    pub fn network(&self) -> &'static str {
        self.protocol().as_str()
    }

    /// Returns the IP address and port, if this is an IP endpoint with a host; the port of a raw socket
    /// is 0.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Addr::Tcp(addr) | Addr::Udp(addr) => Some(*addr),
            Addr::Ip(IpAddr::V6(ip), zone) => Some(SocketAddrV6::new(*ip, 0, 0, *zone).into()),
            Addr::Ip(ip, _) => Some(SocketAddr::new(*ip, 0)),
            _ => None,
        }
    }

    /// Returns the Unix name, if this is a Unix socket.
    pub fn unix_addr(&self) -> Option<&UnixAddr> {
        match self {
            Addr::Unix(addr) | Addr::Unixgram(addr) | Addr::Unixpacket(addr) => Some(addr),
            _ => None,
        }
    }

    /// Returns the port, if this is an IP endpoint.
    pub fn port(&self) -> Option<u16> {
        match self {
            Addr::Tcp(addr) | Addr::Udp(addr) => Some(addr.port()),
            Addr::TcpPort(port) | Addr::UdpPort(port) => Some(*port),
            Addr::Unix(_)
            | Addr::Unixgram(_)
            | Addr::Unixpacket(_)
            | Addr::Ip(..)
            | Addr::Packet(_) => None,
        }
    }

    /// Returns the address that the kernel reports for a socket of `protocol`.
    pub(crate) fn from_kernel(protocol: Protocol, addr: SockAddr) -> Addr {
        match (addr, protocol) {
            (SockAddr::Inet(addr), Protocol::Udp) => Addr::Udp(unmapped(addr)),
            (SockAddr::Inet(addr), Protocol::Ip) => Addr::inet(protocol, unmapped(addr)),
            (SockAddr::Inet(addr), _) => Addr::Tcp(unmapped(addr)),
            (SockAddr::Unix(addr), Protocol::Unixgram) => Addr::Unixgram(addr),
            (SockAddr::Unix(addr), Protocol::Unixpacket) => Addr::Unixpacket(addr),
            (SockAddr::Unix(addr), _) => Addr::Unix(addr),
            (SockAddr::Link(addr), _) => Addr::Packet(addr),
        }
    }

    /// Returns the IP endpoint of `protocol`.
    pub(crate) fn inet(protocol: Protocol, addr: SocketAddr) -> Addr {
        match protocol {
            Protocol::Udp => Addr::Udp(addr),
            Protocol::Ip => match addr {
                SocketAddr::V4(addr) => Addr::Ip((*addr.ip()).into(), 0),
                SocketAddr::V6(addr) => Addr::Ip((*addr.ip()).into(), addr.scope_id()),
            },
            _ => Addr::Tcp(addr),
        }
    }

    /// The protocol of the network that this is an address of.
    pub(crate) fn protocol(&self) -> Protocol {
        match self {
            Addr::Tcp(_) | Addr::TcpPort(_) => Protocol::Tcp,
            Addr::Udp(_) | Addr::UdpPort(_) => Protocol::Udp,
            Addr::Unix(_) => Protocol::Unix,
            Addr::Unixgram(_) => Protocol::Unixgram,
            Addr::Unixpacket(_) => Protocol::Unixpacket,
            Addr::Ip(..) => Protocol::Ip,
            Addr::Packet(_) => Protocol::Packet,
        }
    }

    /// Whether every local address is meant: no host, `0.0.0.0` or `::`.
    pub(crate) fn is_wildcard(&self) -> bool {
        match self {
            Addr::Tcp(addr) | Addr::Udp(addr) => addr.ip().to_canonical().is_unspecified(),
            Addr::Ip(ip, _) => ip.to_canonical().is_unspecified(),
            Addr::TcpPort(_) | Addr::UdpPort(_) => true,
            Addr::Unix(_) | Addr::Unixgram(_) | Addr::Unixpacket(_) | Addr::Packet(_) => false,
        }
    }

    /// Whether an IPv4 socket can use this address: IPv4, its IPv6 form, or no host at all.
    pub(crate) fn fits_v4(&self) -> bool {
        self.socket_addr()
            .is_none_or(|addr| addr.ip().to_canonical().is_ipv4())
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Addr::Tcp(addr) | Addr::Udp(addr) => unmapped(*addr).fmt(f),
            Addr::Ip(ip, 0) => ip.to_canonical().fmt(f),
            Addr::Ip(ip, zone) => f.pad(&format!("{ip}%{zone}")),
            Addr::Packet(addr) => f.pad(&link::text(addr)),
            Addr::TcpPort(port) | Addr::UdpPort(port) => f.pad(&format!(":{port}")),
            Addr::Unix(name) | Addr::Unixgram(name) | Addr::Unixpacket(name) => {
                f.pad(&unix_text(name))
            }
        }
    }
}

/// Returns the Unix address that `name` means: a leading `@` or NUL makes it abstract, empty means
/// none.
pub(crate) fn unix_addr(name: &[u8]) -> UnixAddr {
    use std::os::unix::ffi::OsStringExt;
    match name {
        [] => UnixAddr::Unnamed,
        [b'@' | 0, rest @ ..] => UnixAddr::Abstract(rest.to_vec()),
        path => UnixAddr::Path(std::ffi::OsString::from_vec(path.to_vec()).into()),
    }
}

/// Returns the text of a Unix address. An abstract name is shown up to its first NUL, as Go shows
/// it.
pub(crate) fn unix_text(addr: &UnixAddr) -> String {
    match addr {
        UnixAddr::Unnamed => "@".to_owned(),
        UnixAddr::Path(path) => path.to_string_lossy().into_owned(),
        UnixAddr::Abstract(name) => {
            let shown = name.split(|&byte| byte == 0).next().unwrap_or_default();
            format!("@{}", String::from_utf8_lossy(shown))
        }
    }
}

/// Returns `addr` as IPv4 if it is IPv4 in its IPv6 form, which is how a dual-stack socket sees
/// IPv4 peers.
pub(crate) fn unmapped(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddrV4::new(ip, addr.port()).into(),
        IpAddr::V6(_) => addr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addr_display_is_go_text() {
        let inet = |text: &str| Addr::Udp(text.parse().unwrap());
        for (addr, text) in [
            (inet("127.0.0.1:80"), "127.0.0.1:80"),
            (inet("[::1]:80"), "[::1]:80"),
            (inet("[::ffff:127.0.0.1]:80"), "127.0.0.1:80"),
            (inet("[2001:db8:0:0:1:0:0:1]:0"), "[2001:db8::1:0:0:1]:0"),
            (inet("[fd77::1%3]:9"), "[fd77::1%3]:9"),
            (Addr::TcpPort(80), ":80"),
            (Addr::UdpPort(0), ":0"),
            (Addr::unix("/run/a.sock"), "/run/a.sock"),
            (Addr::unix("a.sock"), "a.sock"),
            (Addr::unixgram("@name"), "@name"),
            (Addr::unix("\0name"), "@name"),
            (Addr::unixgram("@name\0\0"), "@name"),
            (Addr::unix(""), "@"),
        ] {
            assert_eq!(addr.to_string(), text);
        }
    }

    #[test]
    fn addr_network_has_no_ip_version() {
        assert_eq!(Addr::TcpPort(1).network(), "tcp");
        assert_eq!(Addr::UdpPort(1).network(), "udp");
        assert_eq!(Addr::unix("x").network(), "unix");
        assert_eq!(Addr::unixgram("x").network(), "unixgram");
        assert_eq!(Addr::unixpacket("x").network(), "unixpacket");
    }

    #[test]
    fn wildcard_and_family_of_addresses() {
        let inet = |text: &str| Addr::Tcp(text.parse().unwrap());
        for (addr, wildcard, fits_v4) in [
            (inet("0.0.0.0:1"), true, true),
            (inet("[::]:1"), true, false),
            (inet("[::ffff:0.0.0.0]:1"), true, true),
            (Addr::TcpPort(1), true, true),
            (inet("127.0.0.1:1"), false, true),
            (inet("[::ffff:127.0.0.1]:1"), false, true),
            (inet("[::1]:1"), false, false),
        ] {
            assert_eq!(addr.is_wildcard(), wildcard, "{addr}");
            assert_eq!(addr.fits_v4(), fits_v4, "{addr}");
        }
    }
}
