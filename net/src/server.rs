//! A server's frame: accepting, limits, panics, draining.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use gannet_runtime::{JoinHandle, spawn, time};

use crate::addr::Addr;
use crate::conn::Conn;
use crate::error::is_closed;
use crate::listener::Listener;

mod crowd;

use crowd::{Crowd, Outcome, Place};

/// How to serve the connections of some listeners: how many at once, and how long each.
///
/// Each connection is a task of its own: a panic ends that connection and no other. A listener that
/// runs out of descriptors pauses and goes on, as [`Listener::accept`] says.
///
/// ```
/// # gannet_runtime::Builder::new_multi_thread().worker_threads(1).build()?.block_on(async {
/// use gannet_net::{Server, dial, listen_stream};
/// use std::time::Duration;
///
/// let listener = listen_stream("tcp", "127.0.0.1:0").await?;
/// let addr = listener.local_addr()?;
/// let serving = Server::new()
///     .connections_max(1000)
///     .connection_timeout(Duration::from_secs(60))
///     .serve([listener], async |accepted| accepted.conn.write_all(b"hello\n").await);
///
/// let client = dial("tcp", addr).await?;
/// let mut buf = [0; 6];
/// client.read_exact(&mut buf).await?;
/// assert_eq!(&buf, b"hello\n");
///
/// let cut_off = serving.drain(Duration::from_secs(5)).await;
/// assert_eq!(cut_off, 0);
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`accept4(2)`](https://man7.org/linux/man-pages/man2/accept4.2.html).
#[derive(Clone, Debug)]
#[must_use = "a configuration serves nothing by itself"]
pub struct Server {
    connections_max: usize,
    connection_timeout: Option<Duration>,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            connections_max: usize::MAX,
            connection_timeout: None,
        }
    }
}

impl Server {
    /// Returns the defaults: no limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many connections are served at once, at least 1. One more for each listener is
    /// accepted and waits its turn; the others wait in the kernel.
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections.max(1);
        self
    }

    /// Sets how long a connection may be served before it is dropped. Deadlines of single operations
    /// are the handler's.
    pub fn connection_timeout(mut self, limit: Duration) -> Self {
        self.connection_timeout = Some(limit);
        self
    }

    /// Begins to accept from `listeners`, and to run `handler` on each connection, in a task of its
    /// own.
    ///
    /// Dropping what this returns ends everything at once; [`Serving::drain`] ends it gently.
    ///
    /// # Panics
    /// Without a runtime on this thread.
    pub fn serve<L, H, F>(&self, listeners: L, handler: H) -> Serving
    where
        L: IntoIterator<Item: Into<Listener>>,
        H: Fn(Accepted) -> F + Send + Sync + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let crowd = Arc::new(Crowd::new(self.connections_max));
        let handler = Arc::new(handler);
        let listeners = listeners.into_iter().map(|each| Arc::new(each.into()));
        let listeners: Vec<Arc<Listener>> = listeners.collect();
        let begin = |listener: &Arc<Listener>| {
            let acceptor = Acceptor {
                crowd: crowd.clone(),
                handler: handler.clone(),
                timeout: self.connection_timeout,
            };
            spawn(acceptor.run(listener.clone()))
        };
        Serving {
            acceptors: listeners.iter().map(begin).collect(),
            listeners,
            crowd,
        }
    }
}

/// A connection that a [`Server`] accepted, as its handler gets it.
///
/// ```
/// use gannet_net::Accepted;
/// use std::io;
///
/// /// Sends back what comes, until the peer or the server ends.
/// async fn echo(accepted: Accepted) -> io::Result<()> {
///     let mut buf = [0; 1024];
///     while !accepted.is_draining() {
///         let len = accepted.conn.read(&mut buf).await?;
///         if len == 0 {
///             break;
///         }
///         accepted.conn.write_all(&buf[..len]).await?;
///     }
///     Ok(())
/// }
/// # let _ = echo;
/// ```
pub struct Accepted {
    /// The connection.
    pub conn: Conn,
    /// The address of its peer.
    pub peer: Addr,
    crowd: Arc<Crowd>,
}

impl Accepted {
    /// Returns whether the server is draining, so that the handler should end soon.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.crowd.is_draining()
    }

    /// Waits until the server is draining. A handler that waits for its peer's next request waits for
    /// this as well.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + use<> {
        Crowd::draining(self.crowd.clone())
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("conn", &self.conn)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// What a [`Server`] has done so far.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{Server, listen_stream};
///
/// let listener = listen_stream("tcp", "127.0.0.1:0").await?;
/// let serving = Server::new().serve([listener], async |_accepted| Ok(()));
/// let stats = serving.stats();
/// assert_eq!((stats.accepted, stats.active), (0, 0));
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections that were accepted and handed to the handler.
    pub accepted: u64,
    /// Those that are being served now.
    pub active: u64,
    /// Those whose handler has returned `Ok`.
    pub completed: u64,
    /// Those whose handler has returned an error.
    pub failed: u64,
    /// Those whose handler has panicked.
    pub panicked: u64,
    /// Those that took longer than they may.
    pub timed_out: u64,
    /// Those that were cut off at the end of the server.
    pub cut_off: u64,
    /// How often accepting has paused because descriptors or memory ran out.
    pub accept_pauses: u64,
    /// How often accepting has failed for another reason.
    pub accept_errors: u64,
}

/// A server at work, from [`Server::serve`]. Dropping it closes the listeners and cuts every
/// connection off.
///
/// See [`Server`] for an example.
pub struct Serving {
    crowd: Arc<Crowd>,
    listeners: Vec<Arc<Listener>>,
    acceptors: Vec<JoinHandle<()>>,
}

impl Serving {
    /// Returns what was done so far.
    #[must_use]
    pub fn stats(&self) -> ServerStats {
        let pauses = self.listeners.iter().map(|each| each.accept_pauses());
        ServerStats {
            accept_pauses: pauses.sum(),
            ..self.crowd.stats()
        }
    }

    /// Closes the listeners, tells the handlers, waits until they have ended, but for `limit` at most,
    /// and cuts off the rest. Returns how many those were.
    ///
    /// # Cancel safety
    /// Dropping the future cuts every connection off.
    pub async fn drain(mut self, limit: Duration) -> u64 {
        self.crowd.begin_drain();
        for listener in &self.listeners {
            // Somebody else may have closed it: it is closed then.
            let _ = listener.close().await;
        }
        for acceptor in self.acceptors.drain(..) {
            // It cannot panic, and nobody else aborts it.
            let _ = acceptor.await;
        }
        let _ = time::timeout(limit, self.crowd.idle()).await;
        let cut_off = self.crowd.cut_off();
        self.crowd.idle().await;
        cut_off
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.crowd.begin_drain();
        for listener in &self.listeners {
            // The closing happens in the call.
            drop(listener.close());
        }
        for acceptor in &self.acceptors {
            acceptor.abort();
        }
        self.crowd.cut_off();
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("listeners", &self.listeners)
            .field("stats", &self.stats())
            .finish()
    }
}

/// The task that accepts from one listener.
struct Acceptor<H> {
    crowd: Arc<Crowd>,
    handler: Arc<H>,
    timeout: Option<Duration>,
}

/// The pause after an error of a listener that is neither shortage nor the end.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

impl<H, F> Acceptor<H>
where
    H: Fn(Accepted) -> F + Send + Sync + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    async fn run(self, listener: Arc<Listener>) {
        loop {
            match listener.accept().await {
                Ok((conn, peer)) => {
                    let Some(place) = Crowd::place(&self.crowd).await else {
                        return;
                    };
                    self.begin(place, conn, peer);
                }
                Err(err) if is_closed(&err) => return,
                Err(_) => {
                    self.crowd.count_accept_error();
                    time::sleep(ERROR_PAUSE).await;
                }
            }
        }
    }

    fn begin(&self, place: Place, conn: Conn, peer: Addr) {
        let accepted = Accepted {
            conn,
            peer,
            crowd: self.crowd.clone(),
        };
        let (handler, timeout, id) = (self.handler.clone(), self.timeout, place.id());
        let task = spawn(async move {
            // Called here, so that its panics are those of this task.
            let serving = handler(accepted);
            let result = match timeout {
                None => Ok(serving.await),
                Some(limit) => time::timeout(limit, serving).await,
            };
            place.leave(match result {
                Ok(Ok(())) => Outcome::Completed,
                Ok(Err(_)) => Outcome::Failed,
                Err(_) => Outcome::TimedOut,
            });
        });
        self.crowd.set_abort_handle(id, task.abort_handle());
    }
}

#[cfg(test)]
mod tests;
