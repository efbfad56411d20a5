//! The socket side: connecting, listening, and what streams and datagrams do differently.

use std::io::{self, Write};
use std::net::Shutdown;
use std::time::Duration;

use gannet::net::{Addr, Conn, Dialer, PacketConn, join_host_port};
use gannet::net::{listen_packet, listen_stream};

use crate::standard::PIPE_LEN;

/// What the user named.
pub(crate) struct Target {
    network: &'static str,
    address: String,
}

impl Target {
    pub(crate) fn inet(datagrams: bool, host: &str, port: &str) -> Self {
        let network = if datagrams { "udp" } else { "tcp" };
        Target {
            network,
            address: join_host_port(host, port),
        }
    }

    pub(crate) fn unix(datagrams: bool, path: &str) -> Self {
        let network = if datagrams { "unixgram" } else { "unix" };
        Target {
            network,
            address: path.to_owned(),
        }
    }
}

/// The socket, with its one peer.
pub(crate) enum Endpoint {
    /// TCP or a Unix stream.
    Stream(Conn),
    /// A datagram socket that the kernel has connected.
    Datagrams(PacketConn),
    /// A datagram socket of ours with the peer that it answers to.
    Addressed(PacketConn, Addr),
}

impl Endpoint {
    /// Connects to the target.
    pub(crate) async fn dial(target: &Target, limit: Option<Duration>) -> io::Result<Self> {
        match target.network {
            // A Unix socket without a name cannot be answered: the kernel chooses one.
            "unixgram" => {
                let socket = listen_packet("unixgram", "").await?;
                Ok(Endpoint::Addressed(socket, Addr::unixgram(&target.address)))
            }
            network => {
                let conn = Dialer::new()
                    .timeout(limit)
                    .dial(network, &target.address)
                    .await?;
                Ok(if network == "udp" {
                    Endpoint::Datagrams(conn.try_into()?)
                } else {
                    Endpoint::Stream(conn)
                })
            }
        }
    }

    /// Waits for one peer, and listens no longer.
    pub(crate) async fn listen(target: &Target) -> io::Result<Self> {
        if matches!(target.network, "tcp" | "unix") {
            let listener = listen_stream(target.network, &target.address).await?;
            announce(target.network, &listener.local_addr()?);
            let (conn, _peer) = listener.accept().await?;
            listener.close().await?;
            return Ok(Endpoint::Stream(conn));
        }
        let socket = listen_packet(target.network, &target.address).await?;
        announce(target.network, &socket.local_addr()?);
        // Looked at only: it is the first to be received.
        let (_, peer) = socket.peek_from(&mut [0]).await?;
        Ok(Endpoint::Addressed(socket, peer))
    }

    /// How much to read from standard input at a time, if that likes blocks of `wanted` bytes.
    pub(crate) fn block_len(&self, wanted: usize) -> usize {
        match self {
            Endpoint::Stream(_) => wanted,
            _ => DATAGRAM_LEN,
        }
    }

    /// Receives some bytes, or one datagram; nothing is the end of a stream.
    pub(crate) async fn receive(&self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Endpoint::Stream(conn) => Ok(Some(conn.read(buf).await?).filter(|&len| len > 0)),
            Endpoint::Datagrams(socket) => socket.recv(buf).await.map(Some),
            Endpoint::Addressed(socket, peer) => loop {
                let (len, from) = socket.recv_from(buf).await?;
                if from == *peer {
                    return Ok(Some(len));
                }
            },
        }
    }

    /// Sends all of `data`, which is one datagram if it is not a stream.
    pub(crate) async fn send(&self, data: &[u8]) -> io::Result<()> {
        match self {
            Endpoint::Stream(conn) => conn.write_all(data).await,
            Endpoint::Datagrams(socket) => socket.send(data).await.map(drop),
            Endpoint::Addressed(socket, peer) => socket.send_to(data, peer).await.map(drop),
        }
    }

    /// Tells the peer that no more will come, if that can be told.
    pub(crate) fn finish(&self) -> io::Result<()> {
        match self {
            Endpoint::Stream(conn) => conn.shutdown(Shutdown::Write),
            _ => Ok(()),
        }
    }
}

/// A datagram that every network of ours carries.
const DATAGRAM_LEN: usize = PIPE_LEN / 4;

/// Tells where we listen, on standard error: standard output belongs to the peer.
fn announce(network: &str, addr: &Addr) {
    let _ = writeln!(io::stderr(), "listening {network} {addr}");
}
