//! How a server begins: a key, a port, and the session that waits there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use gannet_net::UdpSocket;
use gannet_sys::clock;

use crate::connection::Connection;
use crate::key::generate_key;
use crate::proto::constants::SERVER_PORTS;
use crate::proto::{self, Datagrams, Key, State};
use crate::session::{self, Session};
use crate::sockets::{self, Sockets};

/// How to begin one end of a session that waits for its client.
///
/// A session has a key and a port of its own: no handshake and no identifier tells sessions apart.
/// Give both to the client by a way that is already safe, as mosh does through ssh.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_roam::{Blob, Client, Server};
///
/// let bound = Server::new().address("127.0.0.1".parse().unwrap()).bind().await?;
/// let (key, addr) = (bound.key().clone(), bound.local_addr());
/// let server = bound.session(Blob::new(), Blob::new());
///
/// let client = Client::new(key, addr).session(Blob::new(), Blob::new())?;
/// client.update(|reading| *reading = Blob::from("21.5 degrees"));
/// let reading = server.recv().await.expect("a state");
/// assert_eq!(reading.as_ref(), b"21.5 degrees");
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Server {
    address: Option<IpAddr>,
    ports: RangeInclusive<u16>,
    key: Option<Key>,
}

impl Server {
    /// Any address, the first free port of 60001 to 60999, and a new key.
    pub fn new() -> Self {
        Server {
            address: None,
            ports: SERVER_PORTS,
            key: None,
        }
    }

    /// Wishes for a local address. If no port of it is to be had, any address is taken instead, and
    /// [`Bound::address_failure`] tells why.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Takes the first free port of a range; `0..=0` has the kernel choose one. Any other that begins
    /// with 0 is refused, and so is an empty one.
    #[must_use]
    pub fn ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ports = ports;
        self
    }

    /// Uses this key rather than a new one. Never use one for two sessions: the second would seal with
    /// the nonces of the first, which gives both away.
    #[must_use]
    pub fn key(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }

    /// Binds the port, and waits for nothing. What arrives from now on is there for the session.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no socket behind.
    ///
    /// # Errors
    /// `EADDRINUSE` if no port of the range is free, `EACCES` for one that needs a privilege,
    /// `InvalidInput` for what is no range; those of [`generate_key`].
    ///
    /// Reference: [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html).
    pub async fn bind(self) -> io::Result<Bound> {
        let key = match self.key {
            Some(key) => key,
            None => generate_key()?,
        };
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let (socket, address_failure) = match self.address {
            None => (try_ports(any, self.ports).await?, None),
            Some(address) => match try_ports(address, self.ports.clone()).await {
                Ok(socket) => (socket, None),
                Err(err) => (try_ports(any, self.ports).await?, Some(err)),
            },
        };
        Ok(Bound {
            local: socket.local_addr()?,
            socket,
            key,
            address_failure,
        })
    }
}

impl Default for Server {
    fn default() -> Self {
        Server::new()
    }
}

/// Binds the first port that is to be had.
async fn try_ports(address: IpAddr, ports: RangeInclusive<u16>) -> io::Result<UdpSocket> {
    // The kernel's choice is no port of a range.
    if *ports.start() == 0 && *ports.end() != 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut failure = io::ErrorKind::InvalidInput.into();
    for port in ports {
        match sockets::bind(SocketAddr::new(address, port)).await {
            Ok(socket) => return Ok(socket),
            Err(err) => failure = err,
        }
    }
    Err(failure)
}

/// A port and a key that wait for a session.
///
/// See [`Server`] for an example.
#[derive(Debug)]
pub struct Bound {
    socket: UdpSocket,
    local: SocketAddr,
    key: Key,
    address_failure: Option<io::Error>,
}

impl Bound {
    /// The key, for the client.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Where the client finds it. The address is unspecified unless one was wished for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Why the address that was wished for was not to be had, if any address was taken instead.
    pub fn address_failure(&self) -> Option<&io::Error> {
        self.address_failure.as_ref()
    }

    /// Begins a session that keeps `local` and the client's state in step; both must begin as they do
    /// at the client. It is silent until the client speaks.
    ///
    /// # Panics
    /// On a thread without a runtime.
    pub fn session<L, R>(self, local: L, remote: R) -> Session<L, R>
    where
        L: State + Send + 'static,
        R: State + Send + 'static,
    {
        let random = session::chaff();
        let protocol = proto::Session::server(&self.key, local, remote, clock::now(), random);
        Session::start(protocol, Sockets::bound(self.socket), None, self.local)
    }

    /// Begins a connection that carries datagrams. It is silent until the client speaks.
    ///
    /// # Panics
    /// On a thread without a runtime.
    pub fn datagrams(self) -> Connection {
        let protocol = Datagrams::server(&self.key, clock::now());
        Connection::start(protocol, Sockets::bound(self.socket), None, self.local)
    }
}
