//! How a client begins.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use gannet_sys::clock;

use crate::connection::Connection;
use crate::network::Network;
use crate::proto::{self, Datagrams, Key, LocalError, State};
use crate::session::{self, Session};
use crate::sockets::Sockets;

/// How to begin one end of a session with a server that waits.
///
/// It speaks at once, and nothing is known of the server before that answers: there is no handshake.
/// [`Session::event`] tells when it did.
///
/// See [`Server`](crate::Server) for an example.
#[derive(Debug)]
pub struct Client {
    key: Key,
    addrs: Vec<SocketAddr>,
}

impl Client {
    /// A client of the server that has this key and waits at `addr`.
    ///
    /// Never use a key for two sessions, not even one after the other: the second would seal with the
    /// nonces of the first, which gives both away, and the server takes it for a replay.
    pub fn new(key: Key, addr: SocketAddr) -> Self {
        Client {
            key,
            addrs: vec![addr],
        }
    }

    /// Another address of the same server, of the other version of IP or on another network: tried
    /// when the one in use does not answer, and at once if this machine has no way to that one.
    #[must_use]
    pub fn or_address(mut self, addr: SocketAddr) -> Self {
        self.addrs.push(addr);
        self
    }

    /// Begins a session that keeps `local` and the server's state in step; both must begin as they do
    /// at the server.
    ///
    /// # Errors
    /// None today: what goes wrong on the way is told by [`Session::path_error`].
    ///
    /// Reference: [`AddressWatch`](gannet_net::AddressWatch), by which it hears of changes of the network.
    ///
    /// # Panics
    /// On a thread without a runtime.
    pub fn session<L, R>(self, local: L, remote: R) -> io::Result<Session<L, R>>
    where
        L: State + Send + 'static,
        R: State + Send + 'static,
    {
        let (states, random) = ((local, remote), session::chaff());
        let protocol = proto::Session::client(&self.key, self.addrs, states, clock::now(), random);
        let protocol = protocol.map_err(invalid)?;
        let network = Network::join();
        Ok(Session::start(protocol, Sockets::default(), network, ANY))
    }

    /// Begins a connection that carries datagrams.
    ///
    /// # Errors
    /// As [`session`](Self::session).
    ///
    /// Reference: [`AddressWatch`](gannet_net::AddressWatch), by which it hears of changes of the network.
    ///
    /// # Panics
    /// On a thread without a runtime.
    pub fn datagrams(self) -> io::Result<Connection> {
        let protocol = Datagrams::client(&self.key, self.addrs, clock::now()).map_err(invalid)?;
        let network = Network::join();
        Ok(Connection::start(
            protocol,
            Sockets::default(),
            network,
            ANY,
        ))
    }
}

/// A client has no address of its own to speak of.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fn invalid(err: LocalError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, err)
}
