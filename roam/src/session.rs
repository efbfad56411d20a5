//! A session in use.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gannet_sys::clock;

use crate::driver::Driver;
use crate::error::PathError;
use crate::network::Network;
use crate::proto::{self, Event, Protocol, Random, State, Stats};
use crate::shared::Shared;
use crate::sockets::Sockets;

/// A state of ours that the peer gets to see, and one of the peer's that we do, over whatever path
/// there is between the two.
///
/// Begins with [`Server`](crate::Server) or [`Client`](crate::Client). A task runs it; this is its
/// handle, which tasks may share by reference or in an [`Arc`]. Dropping it ends the session as
/// [`shut_down`](Self::shut_down) does, without waiting.
///
/// The methods of the states run under the session's lock: they must not call the session.
///
/// See [`Server`](crate::Server) for an example.
pub struct Session<L: State, R: State> {
    shared: Arc<Shared<proto::Session<L, R>>>,
    local: SocketAddr,
}

impl<L, R> Session<L, R>
where
    L: State + Send + 'static,
    R: State + Send + 'static,
{
    pub(crate) fn start(
        protocol: proto::Session<L, R>,
        sockets: Sockets,
        network: Option<Network>,
        local: SocketAddr,
    ) -> Self {
        let shared = Arc::new(Shared::new(protocol));
        let driver = Driver::new(Arc::clone(&shared), sockets, network);
        // It ends by itself, once the session is over.
        drop(gannet_runtime::spawn(driver));
        Session { shared, local }
    }
}

impl<L: State, R: State> Session<L, R> {
    /// Changes our state. The peer gets what has changed as soon as the path allows; several changes
    /// become one.
    ///
    /// Runs `change` under the session's lock: it must not call the session. In vain once the session
    /// is being shut down.
    pub fn update<T>(&self, change: impl FnOnce(&mut L) -> T) -> T {
        let now = clock::now();
        self.shared.change(|session| session.update(now, change))
    }

    /// Looks at our state, as it is now.
    pub fn local<T>(&self, look: impl FnOnce(&L) -> T) -> T {
        self.shared.look(|session| look(session.local()))
    }

    /// Waits until the peer's state has changed since the last call, and returns it; `None` once the
    /// session is over.
    ///
    /// What changed twice meanwhile is seen once, as it is now. The session is over, too, when the
    /// runtime that it began on is gone, and in a forked child.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: a state is taken when it completes.
    pub fn recv(&self) -> impl Future<Output = Option<R>> {
        self.shared
            .find(|session| session.is_fresh().then(|| session.take_remote()))
    }

    /// Waits as [`recv`](Self::recv), and returns the state's number with it, which grows with each that
    /// arrives: what an echo acknowledgement names.
    ///
    /// # Cancel safety
    /// As `recv`.
    pub fn recv_numbered(&self) -> impl Future<Output = Option<(u64, R)>> {
        self.shared.find(|session| {
            session.is_fresh().then(|| {
                let number = session.remote().0;
                (number, session.take_remote())
            })
        })
    }

    /// Returns the peer's newest state and its number, without waiting. [`recv`](Self::recv) still
    /// returns it.
    ///
    /// A log may have forgotten what came before the state that `recv` returned last: to read a log on,
    /// use what `recv` returns.
    pub fn remote(&self) -> (u64, R) {
        self.shared.look(|session| {
            let (number, remote) = session.remote();
            (number, remote.clone())
        })
    }

    /// Waits until the peer holds our state as it is now; false if the session ends before.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn confirmed(&self) -> bool {
        let found = self
            .shared
            .find(|session| session.is_confirmed().then_some(()));
        found.await.is_some()
    }

    /// Waits for the next event; `None` after [`Event::Closed`]. Of events that nobody takes the newest
    /// 64 are kept.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: an event is taken when it completes.
    pub fn event(&self) -> impl Future<Output = Option<Event>> {
        self.shared.find(proto::Session::poll_event)
    }

    /// Ends the session, and waits until it is over: true if the peer knows it, false if it has not
    /// answered 16 times or for ten seconds. Our state as it is now is the last that the peer gets.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the ending.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_roam::{Blob, Client, Event, Server};
    ///
    /// let bound = Server::new().address("127.0.0.1".parse().unwrap()).bind().await?;
    /// let (key, addr) = (bound.key().clone(), bound.local_addr());
    /// let server = bound.session(Blob::new(), Blob::new());
    /// let client = Client::new(key, addr).session(Blob::new(), Blob::new())?;
    ///
    /// client.update(|state| *state = Blob::from("done"));
    /// assert!(client.confirmed().await);
    /// assert!(matches!(server.event().await, Some(Event::Attached { .. })));
    /// assert!(client.shut_down().await, "the server knows");
    /// assert_eq!(server.recv().await, Some(Blob::from("done")));
    /// assert!(server.recv().await.is_none());
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub async fn shut_down(&self) -> bool {
        let now = clock::now();
        self.shared.change(|session| session.shut_down(now));
        let outcome = self.shared.find(|session| session.outcome());
        outcome.await.unwrap_or(false)
    }

    /// Moves a client to a fresh port at once, as it does by itself when an answer is overdue: for
    /// applications that know sooner, such as by a user who asks to reconnect. Nothing at a server.
    pub fn hop(&self) {
        let now = clock::now();
        self.shared.change(|session| session.hop(now));
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.shared.look(|session| session.is_closed())
    }

    /// Returns what happened so far, and how the path does.
    pub fn stats(&self) -> Stats {
        self.shared.look(|session| session.stats())
    }

    /// Returns where the peer is, if it was heard.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.shared.look(|session| session.peer_addr())
    }

    /// Returns the address that a server waits at; unspecified for a client, which has as many as its
    /// networks give it.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Returns how long ago the peer was heard; `None` if it never was.
    pub fn silence(&self) -> Option<Duration> {
        let now = clock::now();
        self.shared.look(|session| session.silence(now))
    }

    /// Returns how long ago the newest state that the peer has confirmed was sent: how old what it
    /// knows of us is.
    pub fn confirmed_age(&self) -> Duration {
        let now = clock::now();
        self.shared.look(|session| session.confirmed_age(now))
    }

    /// Returns why the newest datagram has not left this machine, if it has not.
    pub fn path_error(&self) -> Option<PathError> {
        self.shared.path_error()
    }
}

impl<L: State, R: State> Drop for Session<L, R> {
    fn drop(&mut self) {
        let now = clock::now();
        self.shared.change(|session| session.shut_down(now));
    }
}

impl<L: State, R: State> fmt::Debug for Session<L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("local", &self.local)
            .field("peer", &self.peer_addr())
            .finish_non_exhaustive()
    }
}

/// The random octets that hide the lengths of instructions.
pub(crate) fn chaff() -> Random {
    // Chaff is no secret: without a random source its octets are zeros.
    Box::new(|octets| drop(gannet_sys::random::fill(octets)))
}
