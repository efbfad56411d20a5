//! Sockets with the semantics of Go's `net`, on the gannet runtime.
//!
//! [`ListenConfig`] opens listeners and packet sockets, [`Dialer`] connects. Both take Go's network
//! names, as text or as [`Network`], and a hook that runs on each new socket before it is bound or
//! connected. What they return is neutral as to the family: [`Listener`], [`Conn`], [`PacketConn`].
//! [`TcpListener`], [`TcpStream`], [`UdpSocket`], [`UnixListener`], [`UnixStream`],
//! [`UnixSeqpacket`], [`UnixDatagram`], [`IpSocket`] and [`LinkSocket`] add what only that family has, and convert both ways. All share [`Socket`]:
//! deadlines that can be moved under a blocked call, a close that unblocks everyone, addresses and
//! options.
//!
//! [`UdpSocket`] sends and receives in batches, with [`RecvBatch`] and [`Transmit`]; [`AddressWatch`]
//! tells when the network of this machine has changed. [`copy_bidirectional`] relays inside the
//! kernel, and [`Conn::send_file`] sends from there.
//!
//! Every method of a socket takes `&self`, so that many tasks may use one socket; one receives and one sends at
//! a time. Errors read as Go's do, and are explained in [`error`].
//!
//! ```
//! use gannet_net as net;
//!
//! # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
//! let listener = net::listen_stream("tcp", "127.0.0.1:0").await?;
//! let client = net::dial("tcp", listener.local_addr()?).await?;
//! let (server, _peer) = listener.accept().await?;
//!
//! client.write_all(b"hello").await?;
//! let mut buf = [0; 1024];
//! let len = server.read(&mut buf).await?;
//! server.write_all(&buf[..len]).await?;
//! client.read_exact(&mut buf[..len]).await?;
//! assert_eq!(&buf[..len], b"hello");
//!
//! let err = net::dial("tcp", "127.0.0.1").await.unwrap_err();
//! assert_eq!(err.to_string(), "dial tcp: address 127.0.0.1: missing port in address");
//! # Ok::<_, std::io::Error>(()) })?;
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! All sockets belong to the runtime of the thread that opened them: outside of one, opening fails
//! with an error that says so.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;

mod activation;
mod addr;
mod adopt;
mod conn;
mod connect;
mod control;
mod copy;
mod database;
mod dial;
mod ecn;
pub mod error;
mod family;
mod hostport;
mod ip;
mod keepalive;
mod linger;
mod link;
mod listen;
mod listener;
mod network;
mod open;
mod packet;
mod pause;
mod race;
mod raw;
mod resolve;
mod resolver;
mod send_file;
mod server;
mod sharded;
mod socket;
mod split;
mod tcp;
mod udp;
mod unix;
mod watch;
mod zero_copy;

pub use activation::{InheritedSocket, inherited_sockets};
pub use addr::{Addr, HardwareAddr, LinkAddr, PacketType, UnixAddr};
pub use adopt::KindError;
pub use conn::Conn;
pub use control::{ControlInfo, RawSocket};
pub use copy::{Copier, Relay, copy, copy_bidirectional};
pub use dial::Dialer;
pub use ecn::Ecn;
pub use error::OpError;
pub use gannet_sys::option::LinkMembership;
pub use hostport::{join_host_port, split_host_port};
pub use ip::IpSocket;
pub use keepalive::KeepAlive;
pub use link::{LinkMsg, LinkSocket};
pub use listen::ListenConfig;
pub use listener::Listener;
pub use network::{Network, ToNetwork};
pub use packet::PacketConn;
pub use resolver::{Lookup, Resolver, StaticResolver, SystemResolver};
pub use server::{Accepted, Server, ServerStats, Serving};
pub use socket::Socket;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use tcp::{TcpInfo, TcpListener, TcpState, TcpStream};
pub use udp::{
    DatagramReport, Datagrams, MtuDiscovery, Origin, RecvBatch, RecvDatagram, RecvMsg, SendMsg,
    Transmit, UdpReceiver, UdpSender, UdpSocket,
};
pub use unix::{
    Credentials, UnixDatagram, UnixListener, UnixRecvMsg, UnixSendMsg, UnixSeqpacket, UnixStream,
};
pub use watch::{AddressWatch, NetworkChange};
pub use zero_copy::{Loan, ZeroCopy, ZeroCopyFallback, ZeroCopyStats};

/// Connects to `address` with the default [`Dialer`]. See [`Dialer::dial`].
///
/// # Cancel safety
/// Dropping the future gives up; the socket is closed.
///
/// # Errors
/// Those of [`Dialer::dial`].
pub async fn dial(network: impl ToNetwork, address: impl fmt::Display) -> io::Result<Conn> {
    Dialer::new().dial(network, address).await
}

/// Listens on `address` with the default [`ListenConfig`]. See [`ListenConfig::listen_stream`].
///
/// # Cancel safety
/// Dropping the future leaves no socket behind.
///
/// # Errors
/// Those of [`ListenConfig::listen_stream`].
pub async fn listen_stream(
    network: impl ToNetwork,
    address: impl fmt::Display,
) -> io::Result<Listener> {
    ListenConfig::new().listen_stream(network, address).await
}

/// Opens a packet socket on `address` with the default [`ListenConfig`]. See
/// [`ListenConfig::listen_packet`].
///
/// # Cancel safety
/// Dropping the future leaves no socket behind.
///
/// # Errors
/// Those of [`ListenConfig::listen_packet`].
pub async fn listen_packet(
    network: impl ToNetwork,
    address: impl fmt::Display,
) -> io::Result<PacketConn> {
    ListenConfig::new().listen_packet(network, address).await
}
