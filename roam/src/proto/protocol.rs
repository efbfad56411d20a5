//! What a driver needs of a protocol: datagrams in, datagrams out, and the time.

use std::time::Instant;

use super::connection::{Arrival, Transmit};
use super::error::PeerError;
use super::event::Event;
use super::ports::{Port, PortChange};

/// One end of a session as its driver sees it: a state machine that is told what arrives and what time
/// it is, and asked what to send and when to look again.
///
/// After any call, drain [`poll_port`](Self::poll_port), then [`poll_transmit`](Self::poll_transmit),
/// then [`poll_event`](Self::poll_event), and set a timer by [`poll_timeout`](Self::poll_timeout).
/// Times may stand still between calls, but must not go back.
///
/// ```
/// use gannet_roam::proto::{Arrival, Datagrams, Event, Key, Port, Protocol, SendFailure};
/// use std::time::Instant;
///
/// let key: Key = "GHe3rr+vIkWSshPEDJebSQ".parse()?;
/// let (here, there) = ("127.0.0.1:4000".parse()?, "127.0.0.1:60001".parse()?);
/// let now = Instant::now();
/// let mut client = Datagrams::client(&key, vec![there], now)?;
/// let mut server = Datagrams::server(&key, now);
/// client.send(now, b"ping")?;
///
/// let mut datagram = Vec::new();
/// while let Some(transmit) = client.poll_transmit(now, &mut datagram) {
///     assert_eq!((transmit.port, transmit.to), (Port::FIRST, there));
///     let arrival = Arrival { now, port: Port::FIRST, from: here, congested: false };
///     server.handle_datagram(&arrival, &mut datagram)?;
///     datagram.clear();
/// }
/// assert_eq!(server.poll_event(), Some(Event::Attached { peer: here }));
/// assert_eq!(server.recv().as_deref(), Some(&b"ping"[..]));
///
/// // Had the kernel refused to send one:
/// client.handle_send_failure(now, Port::FIRST, SendFailure::Unreachable);
/// assert_eq!(client.stats().send_failures, 1);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub trait Protocol {
    /// Takes a datagram, which is opened in place.
    ///
    /// # Errors
    /// What is wrong with it. It is counted and dropped; the session goes on.
    fn handle_datagram(&mut self, arrival: &Arrival, datagram: &mut [u8]) -> Result<(), PeerError>;

    /// Does what the time asks for.
    fn handle_timeout(&mut self, now: Instant);

    /// An address or a route of this machine has changed: speaks at once, whatever was due.
    fn handle_network_change(&mut self, now: Instant);

    /// The kernel refused a datagram that [`poll_transmit`](Self::poll_transmit) wanted sent by `port`:
    /// says it again at once if it can be shorter, or if the peer has another address.
    fn handle_send_failure(&mut self, now: Instant, port: Port, failure: SendFailure);

    /// Appends the next datagram to `out` and says where it goes; `None` if there is none now.
    fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit>;

    /// When to call [`handle_timeout`](Self::handle_timeout) and `poll_transmit` again, if nothing
    /// else happens. `None`: there is nothing to wait for.
    fn poll_timeout(&self, now: Instant) -> Option<Instant>;

    /// A socket to open or close.
    fn poll_port(&mut self) -> Option<PortChange>;

    /// Something for the application.
    fn poll_event(&mut self) -> Option<Event>;

    /// How much has happened so far that an application may wait for: grows with each such thing.
    fn news(&self) -> u64;

    /// Ends it: as politely as the protocol can.
    fn shut_down(&mut self, now: Instant);

    /// Ends it at once, because nobody drives it any more.
    fn abandon(&mut self);

    /// Whether it is over: nothing will be sent any more.
    fn is_closed(&self) -> bool;
}

/// Why the kernel did not take a datagram.
///
/// See [`Protocol`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendFailure {
    /// It is longer than the path allows (`EMSGSIZE`).
    TooLong,
    /// There is no way there, or another reason that may pass.
    Unreachable,
}
