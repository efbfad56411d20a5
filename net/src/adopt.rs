//! Conversions: family-neutral types and their families, descriptors, and the types of the standard
//! library.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use gannet_runtime::AsyncFd;
use gannet_sys::errno;
use gannet_sys::option;
use gannet_sys::sockaddr::SockAddr;
use gannet_sys::socket::{self, Domain, Kind};

use crate::conn::Conn;
use crate::error::{Op, OpError, syscall};
use crate::family::Family;
use crate::ip::IpSocket;
use crate::keepalive::KeepAlive;
use crate::link::LinkSocket;
use crate::listener::Listener;
use crate::network::{Network, Protocol};
use crate::packet::PacketConn;
use crate::socket::Socket;
use crate::tcp::{TcpListener, TcpStream};
use crate::udp::UdpSocket;
use crate::unix::{UnixDatagram, UnixListener, UnixSeqpacket, UnixStream};

/// A socket that is of another kind than the one wanted, given back.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Conn, TcpStream, UnixStream};
///
/// let conn = Conn::from(UnixStream::pair()?.0);
/// let err = TcpStream::try_from(conn).unwrap_err();
/// assert_eq!(err.to_string(), "a unix socket is no TcpStream");
/// let _conn: Conn = err.into_socket();
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct KindError<S> {
    socket: S,
    network: Network,
    wanted: &'static str,
}

impl<S> KindError<S> {
    /// Returns the socket.
    pub fn into_socket(self) -> S {
        self.socket
    }
}

impl<S> fmt::Debug for KindError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KindError")
            .field("network", &self.network)
            .field("wanted", &self.wanted)
            .finish()
    }
}

impl<S> fmt::Display for KindError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} socket is no {}", self.network, self.wanted)
    }
}

impl<S> Error for KindError<S> {}

impl<S> From<KindError<S>> for io::Error {
    /// Keeps the text and drops the socket.
    fn from(err: KindError<S>) -> Self {
        io::Error::new(io::ErrorKind::InvalidInput, err.to_string())
    }
}

/// What a descriptor must be to be adopted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Conn,
    Listener,
    Packet,
}

/// Adopts a descriptor as a socket of this role. A failure closes it.
fn adopt(fd: OwnedFd, role: Role) -> io::Result<Socket> {
    let (network, family) = identify(&fd, role).map_err(not_adopted)?;
    let peer = socket::peer_addr(fd.as_fd()).ok();
    let fd = AsyncFd::new(fd).map_err(|err| not_adopted(err.into()))?;
    let socket = Socket::new(fd, network, family, peer);
    let _ = socket.local_sock_addr();
    if role == Role::Conn && network.protocol() == Protocol::Tcp {
        // As in Go, and as for a connection that was dialled or accepted here.
        let _ = socket.with_raw(|raw| {
            let _ = raw.set_nodelay(true);
            raw.set_keep_alive(Some(KeepAlive::default()))
        });
        socket.follow_linger().map_err(not_adopted)?;
    }
    Ok(socket)
}

/// Finds out what a descriptor is, and whether it can play `role`.
fn identify(fd: &OwnedFd, role: Role) -> io::Result<(Network, Option<Family>)> {
    let asked = |err| syscall("getsockopt", err);
    let kind = option::socket_kind(fd.as_fd()).map_err(asked)?;
    let (network, family) = match (option::socket_domain(fd.as_fd()).map_err(asked)?, kind) {
        (Domain::Inet, Kind::Stream) => (Network::Tcp, Some(Family::V4)),
        (Domain::Inet6, Kind::Stream) => (Network::Tcp, Some(Family::V6)),
        (Domain::Unix, Kind::Stream) => (Network::Unix, None),
        (Domain::Inet, Kind::Datagram) => (Network::Udp, Some(Family::V4)),
        (Domain::Inet6, Kind::Datagram) => (Network::Udp, Some(Family::V6)),
        (Domain::Unix, Kind::Datagram) => (Network::Unixgram, None),
        (Domain::Unix, Kind::SeqPacket) => (Network::Unixpacket, None),
        (Domain::Inet, Kind::Raw) => (Network::Ip(raw_protocol(fd)?), Some(Family::V4)),
        (Domain::Inet6, Kind::Raw) => (Network::Ip(raw_protocol(fd)?), Some(Family::V6)),
        (Domain::Packet, Kind::Raw) => (Network::Packet(ether_type(fd)?), None),
        (Domain::Packet, Kind::Datagram) => (Network::Packetgram(ether_type(fd)?), None),
        _ => {
            return Err(syscall(
                "getsockopt",
                io::Error::from_raw_os_error(errno::EPROTONOSUPPORT),
            ));
        }
    };
    let listening =
        network.protocol().has_listeners() && option::is_listening(fd.as_fd()).map_err(asked)?;
    let fits = match role {
        Role::Conn => !listening,
        Role::Listener => listening,
        Role::Packet => !network.protocol().has_listeners(),
    };
    if fits {
        Ok((network, family))
    } else {
        Err(invalid())
    }
}

/// Asks for the protocol of a raw socket.
fn raw_protocol(fd: &OwnedFd) -> io::Result<u8> {
    let number = option::socket_protocol(fd.as_fd()).map_err(|err| syscall("getsockopt", err))?;
    u8::try_from(number).map_err(|_| invalid())
}

/// Asks for the protocol of a packet socket, which only its address tells.
fn ether_type(fd: &OwnedFd) -> io::Result<u16> {
    let local = socket::local_addr(fd.as_fd()).map_err(|err| syscall("getsockname", err))?;
    match local {
        SockAddr::Link(local) => Ok(local.protocol),
        _ => Err(invalid()),
    }
}

/// Wraps the error of adopting, as Go does.
fn not_adopted(err: io::Error) -> io::Error {
    OpError::new(Op::File, "file+net", err).into()
}

/// The error of a descriptor that is another kind of socket.
fn invalid() -> io::Error {
    syscall("getsockopt", io::Error::from_raw_os_error(errno::EINVAL))
}

/// Conversions between a type of one family and the neutral one, and with descriptors.
macro_rules! convert {
    ($own:ident, $neutral:ident, $protocol:ident, $into_neutral:ident) => {
        impl From<$own> for $neutral {
            fn from(socket: $own) -> Self {
                socket.$into_neutral()
            }
        }

        impl TryFrom<$neutral> for $own {
            type Error = KindError<$neutral>;

            fn try_from(socket: $neutral) -> Result<Self, Self::Error> {
                let network = socket.network();
                match network.protocol() {
                    Protocol::$protocol => Ok($own::new(socket)),
                    _ => Err(KindError {
                        socket,
                        network,
                        wanted: stringify!($own),
                    }),
                }
            }
        }

        impl TryFrom<OwnedFd> for $own {
            type Error = io::Error;

            /// Adopts a descriptor: sets `O_NONBLOCK` and registers it with the runtime of this
            /// thread.
            ///
            /// # Errors
            /// `EINVAL` for a socket of another kind, `ENOTSOCK` for what is none, and the errors
            /// of registering. The descriptor is closed then.
            fn try_from(fd: OwnedFd) -> io::Result<Self> {
                $own::try_from($neutral::try_from(fd)?).map_err(|err| not_adopted(err.into()))
            }
        }

        impl $own {
            /// Makes a second handle of the same socket, with a descriptor of its own: closing one
            /// leaves the other, and deadlines belong to each.
            ///
            /// # Errors
            /// `EMFILE` and `ENFILE` when descriptors ran out, the closed error after close.
            ///
            /// Reference: [`dup(2)`](https://man7.org/linux/man-pages/man2/dup.2.html).
            pub fn try_clone(&self) -> io::Result<Self> {
                let neutral: &$neutral = self;
                neutral.try_clone().map($own::new)
            }
        }

        impl TryFrom<$own> for OwnedFd {
            type Error = io::Error;

            /// Gives the descriptor away. It stays non-blocking.
            ///
            /// # Errors
            /// The closed error after close.
            fn try_from(socket: $own) -> io::Result<Self> {
                OwnedFd::try_from($neutral::from(socket))
            }
        }
    };
}

/// Conversions with the standard library.
macro_rules! convert_std {
    ($own:ident, $std:ty) => {
        impl TryFrom<$std> for $own {
            type Error = io::Error;

            /// Adopts a socket of the standard library, blocking or not. Fails as for its
            /// descriptor.
            fn try_from(socket: $std) -> io::Result<Self> {
                Self::try_from(OwnedFd::from(socket))
            }
        }

        impl $own {
            /// Gives the socket to the standard library. It stays non-blocking: use its
            /// `set_nonblocking` to change that.
            ///
            /// # Errors
            /// The closed error after close.
            ///
            /// Reference: [`fcntl(2)`](https://man7.org/linux/man-pages/man2/fcntl.2.html),
            /// `O_NONBLOCK`.
            pub fn into_std(self) -> io::Result<$std> {
                OwnedFd::try_from(self).map(<$std>::from)
            }
        }
    };
}

convert!(TcpStream, Conn, Tcp, into_conn);
convert!(TcpListener, Listener, Tcp, into_listener);
convert!(UdpSocket, PacketConn, Udp, into_packet);
convert!(IpSocket, PacketConn, Ip, into_packet);
convert!(LinkSocket, PacketConn, Packet, into_packet);
convert!(UnixStream, Conn, Unix, into_conn);
convert!(UnixSeqpacket, Conn, Unixpacket, into_conn);
convert!(UnixListener, Listener, Unix, into_listener);
convert!(UnixDatagram, PacketConn, Unixgram, into_packet);

convert_std!(TcpStream, std::net::TcpStream);
convert_std!(TcpListener, std::net::TcpListener);
convert_std!(UdpSocket, std::net::UdpSocket);
convert_std!(UnixStream, std::os::unix::net::UnixStream);
convert_std!(UnixListener, std::os::unix::net::UnixListener);
convert_std!(UnixDatagram, std::os::unix::net::UnixDatagram);

impl TryFrom<OwnedFd> for Conn {
    type Error = io::Error;

    /// Adopts a socket of any family that does not listen. Fails as for the types of one family.
    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        adopt(fd, Role::Conn).map(Conn::new)
    }
}

impl TryFrom<OwnedFd> for Listener {
    type Error = io::Error;

    /// Adopts a listening socket of any family. Its socket file stays. Fails as for the types of
    /// one family.
    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        let listener = Listener::new(adopt(fd, Role::Listener)?, false);
        listener.follow_linger().map_err(not_adopted)?;
        Ok(listener)
    }
}

impl TryFrom<OwnedFd> for PacketConn {
    type Error = io::Error;

    /// Adopts a datagram socket of any family. Fails as for the types of one family.
    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        adopt(fd, Role::Packet).map(PacketConn::new)
    }
}

impl TryFrom<Conn> for OwnedFd {
    type Error = io::Error;

    /// Gives the descriptor away. It stays non-blocking. Fails after close.
    fn try_from(conn: Conn) -> io::Result<Self> {
        conn.into_socket().into_owned_fd()
    }
}

impl TryFrom<Listener> for OwnedFd {
    type Error = io::Error;

    /// Gives the descriptor away, and leaves the socket file. It stays non-blocking. Fails after
    /// close.
    fn try_from(listener: Listener) -> io::Result<Self> {
        listener.into_owned_fd()
    }
}

impl TryFrom<PacketConn> for OwnedFd {
    type Error = io::Error;

    /// Gives the descriptor away. It stays non-blocking. Fails after close.
    fn try_from(packet: PacketConn) -> io::Result<Self> {
        packet.into_socket().into_owned_fd()
    }
}

impl From<PacketConn> for Conn {
    fn from(packet: PacketConn) -> Self {
        Conn::new(packet.into_socket())
    }
}

impl From<UdpSocket> for Conn {
    fn from(socket: UdpSocket) -> Self {
        socket.into_packet().into()
    }
}

impl From<UnixDatagram> for Conn {
    fn from(socket: UnixDatagram) -> Self {
        socket.into_packet().into()
    }
}

impl TryFrom<Conn> for PacketConn {
    type Error = KindError<Conn>;

    fn try_from(conn: Conn) -> Result<Self, Self::Error> {
        use Protocol::{Ip, Packet, Udp, Unixgram};
        datagram(conn, &[Udp, Unixgram, Ip, Packet], "PacketConn")
    }
}

impl TryFrom<Conn> for UdpSocket {
    type Error = KindError<Conn>;

    fn try_from(conn: Conn) -> Result<Self, Self::Error> {
        datagram(conn, &[Protocol::Udp], "UdpSocket").map(UdpSocket::new)
    }
}

impl TryFrom<Conn> for UnixDatagram {
    type Error = KindError<Conn>;

    fn try_from(conn: Conn) -> Result<Self, Self::Error> {
        datagram(conn, &[Protocol::Unixgram], "UnixDatagram").map(UnixDatagram::new)
    }
}

/// Takes a connection for a datagram socket if it is one of these protocols.
fn datagram(
    conn: Conn,
    protocols: &[Protocol],
    wanted: &'static str,
) -> Result<PacketConn, KindError<Conn>> {
    let network = conn.network();
    if protocols.contains(&network.protocol()) {
        Ok(PacketConn::new(conn.into_socket()))
    } else {
        Err(KindError {
            socket: conn,
            network,
            wanted,
        })
    }
}
