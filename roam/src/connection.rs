//! A connection that carries datagrams, in use.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use gannet_sys::clock;

use crate::driver::Driver;
use crate::error::PathError;
use crate::network::Network;
use crate::proto::{Datagrams, Event, LocalError, Protocol, Stats};
use crate::shared::Shared;
use crate::sockets::Sockets;

/// Sealed datagrams that follow their peer from address to address, for those who bring a protocol of
/// their own.
///
/// They come in any order, and some not at all; none comes twice, and none that the peer has not
/// sealed. Begins with [`Server`](crate::Server) or [`Client`](crate::Client). A task runs it; this is
/// its handle, which tasks may share by reference or in an [`Arc`]. Dropping it ends the connection;
/// the peer is not told.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_roam::{Client, Server};
///
/// let bound = Server::new().address("127.0.0.1".parse().unwrap()).bind().await?;
/// let (key, addr) = (bound.key().clone(), bound.local_addr());
/// let server = bound.datagrams();
///
/// let client = Client::new(key, addr).datagrams()?;
/// client.send(b"ping").expect("room in the queue");
/// assert_eq!(server.recv().await.as_deref(), Some(&b"ping"[..]));
/// server.send(b"pong").expect("room in the queue");
/// assert_eq!(client.recv().await.as_deref(), Some(&b"pong"[..]));
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct Connection {
    shared: Arc<Shared<Datagrams>>,
    local: SocketAddr,
}

impl Connection {
    pub(crate) fn start(
        protocol: Datagrams,
        sockets: Sockets,
        network: Option<Network>,
        local: SocketAddr,
    ) -> Self {
        let shared = Arc::new(Shared::new(protocol));
        let driver = Driver::new(Arc::clone(&shared), sockets, network);
        // It ends by itself, once the connection is over.
        drop(gannet_runtime::spawn(driver));
        Connection { shared, local }
    }

    /// Queues a datagram. It is sent as soon as the peer's address is known; the network may lose it.
    ///
    /// # Errors
    /// [`LocalError::Empty`] for an empty payload, [`LocalError::TooLong`] for one longer than
    /// [`payload_max`](Self::payload_max), [`LocalError::QueueFull`] if 256 wait already,
    /// [`LocalError::Closed`] once the connection is over.
    pub fn send(&self, payload: &[u8]) -> Result<(), LocalError> {
        let now = clock::now();
        self.shared.change(|protocol| protocol.send(now, payload))
    }

    /// Returns the longest payload, in bytes. It shrinks when the path turns out to carry less.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_roam::{Client, LocalError, generate_key};
    ///
    /// let client = Client::new(generate_key()?, "127.0.0.1:9".parse().unwrap()).datagrams()?;
    /// let limit = client.payload_max();
    /// let refused = client.send(&vec![0; limit + 1]);
    /// assert_eq!(refused, Err(LocalError::TooLong { len: limit + 1, limit }));
    /// client.close();
    /// assert_eq!(client.send(b"too late"), Err(LocalError::Closed));
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn payload_max(&self) -> usize {
        let now = clock::now();
        self.shared.look(|protocol| protocol.payload_max(now))
    }

    /// Waits for the next datagram; `None` once the connection is over. Of datagrams that nobody takes
    /// the first 256 are kept.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: a datagram is taken when it completes.
    pub fn recv(&self) -> impl Future<Output = Option<Vec<u8>>> {
        self.shared.find(Datagrams::recv)
    }

    /// Waits for the next event; `None` after [`Event::Closed`].
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: an event is taken when it completes.
    pub fn event(&self) -> impl Future<Output = Option<Event>> {
        self.shared.find(Datagrams::poll_event)
    }

    /// Ends the connection at once. Who waits gets `None`; what is queued is not sent any more.
    pub fn close(&self) {
        let now = clock::now();
        self.shared.change(|protocol| protocol.shut_down(now));
    }

    /// Returns what happened so far, and how the path does.
    pub fn stats(&self) -> Stats {
        self.shared.look(|protocol| protocol.stats())
    }

    /// Returns the address that a server waits at; unspecified for a client.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Returns why the newest datagram has not left this machine, if it has not.
    pub fn path_error(&self) -> Option<PathError> {
        self.shared.path_error()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}
