//! Datagrams of the application's own protocol, sealed and roaming, without states.
//!
//! A payload is the application's; an empty one is a heartbeat. A client sends one when nothing has
//! answered it for three seconds, and a server answers each at once: that is how both know that the path
//! works, and what keeps mappings of address translators alive. A server that does not know yet whether
//! its client hears it answers twice; a client that gets an answer to nothing answers in turn, soon
//! enough for the timestamp in it to be a proof.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::connection::{Arrival, Connection, PACKET_OVERHEAD, Transmit};
use super::constants::{ACK_INTERVAL, TIMESTAMP_HOLD_LIMIT};
use super::error::{LocalError, PeerError};
use super::event::Event;
use super::key::Key;
use super::ports::{Port, PortChange};
use super::protocol::{Protocol, SendFailure};
use super::stats::Stats;

/// One end of a connection that carries sealed datagrams, unordered, of which some may be lost but none
/// arrives twice.
///
/// Does nothing by itself. See [`Protocol`] for an example of how it is driven.
pub struct Datagrams {
    connection: Connection,
    outgoing: VecDeque<Vec<u8>>,
    incoming: VecDeque<Vec<u8>>,
    /// How many datagrams were put into `incoming` so far.
    taken: u64,
    /// When a client sends a heartbeat, unless something answers it before.
    heartbeat_at: Instant,
    /// Answers that a server owes its client.
    answers: u8,
    /// When the oldest heartbeat was sent that nothing has answered.
    asked_at: Option<Instant>,
}

/// Datagrams that wait in each direction; more are refused, or dropped when they came from the peer.
const QUEUE_MAX: usize = 256;

/// How soon a client answers a server that asks. Less than a timestamp is held, and seldom enough for
/// a server that goes on asking.
const PROOF_DELAY: Duration = Duration::from_millis(250);
const _: () = assert!(PROOF_DELAY.as_millis() * 2 < TIMESTAMP_HOLD_LIMIT.as_millis());

impl Datagrams {
    /// A server. It cannot send before its client has spoken.
    pub fn server(key: &Key, now: Instant) -> Self {
        Datagrams::new(Connection::server(key, now), now)
    }

    /// A client of a server with these addresses, the preferred one first. It speaks at once.
    ///
    /// # Errors
    /// [`LocalError::NoAddress`] if there is none.
    pub fn client(key: &Key, peers: Vec<SocketAddr>, now: Instant) -> Result<Self, LocalError> {
        Ok(Datagrams::new(Connection::client(key, peers, now)?, now))
    }

    fn new(connection: Connection, now: Instant) -> Self {
        Datagrams {
            connection,
            outgoing: VecDeque::new(),
            incoming: VecDeque::new(),
            taken: 0,
            heartbeat_at: now,
            answers: 0,
            asked_at: None,
        }
    }

    /// Queues a datagram.
    ///
    /// # Errors
    /// [`LocalError::Empty`] for an empty payload, which is a heartbeat; [`LocalError::TooLong`] if it
    /// is longer than [`payload_max`](Self::payload_max); [`LocalError::QueueFull`] if too many wait;
    /// [`LocalError::Closed`] after close.
    pub fn send(&mut self, now: Instant, payload: &[u8]) -> Result<(), LocalError> {
        if self.is_closed() {
            return Err(LocalError::Closed);
        }
        if payload.is_empty() {
            return Err(LocalError::Empty);
        }
        let limit = self.payload_max(now);
        if payload.len() > limit {
            return Err(LocalError::TooLong {
                len: payload.len(),
                limit,
            });
        }
        if self.outgoing.len() >= QUEUE_MAX {
            return Err(LocalError::QueueFull);
        }
        self.outgoing.push_back(payload.to_vec());
        Ok(())
    }

    /// The longest payload, in bytes. It shrinks when the path turns out to carry less.
    pub fn payload_max(&self, now: Instant) -> usize {
        self.connection.mtu(now) - PACKET_OVERHEAD
    }

    /// The next datagram of the peer.
    pub fn recv(&mut self) -> Option<Vec<u8>> {
        self.incoming.pop_front()
    }

    /// What happened so far.
    pub fn stats(&self) -> Stats {
        let mut stats = self.connection.snapshot();
        let queued = self.incoming.iter().chain(&self.outgoing);
        stats.memory = queued.map(Vec::len).sum();
        stats
    }

    fn take_datagram(&mut self, arrival: &Arrival, datagram: &mut [u8]) -> Result<(), PeerError> {
        let received = self.connection.receive(arrival, datagram)?;
        let (payload, answers) = (received.payload, received.answers);
        let is_asked = self.asked_at.is_none();
        if answers {
            self.heartbeat_at = arrival.now + ACK_INTERVAL;
            if let Some(asked) = self.asked_at.take() {
                self.connection.confirmed(asked, 0);
            }
        }
        if payload.is_empty() {
            self.take_heartbeat(arrival.now, is_asked);
        } else if self.incoming.len() < QUEUE_MAX {
            self.incoming.push_back(payload.to_vec());
            self.taken += 1;
        } else {
            self.connection.stats.payloads_dropped += 1;
        }
        Ok(())
    }

    /// `is_asked`: nothing of ours waits for an answer, so this is a question.
    fn take_heartbeat(&mut self, now: Instant, is_asked: bool) {
        if !self.connection.is_client() {
            self.answers = 1 + u8::from(self.connection.wants_challenge(now));
        } else if is_asked {
            self.heartbeat_at = self.heartbeat_at.min(now + PROOF_DELAY);
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.answers > 0 || (self.connection.is_client() && now >= self.heartbeat_at)
    }

    /// A heartbeat goes out.
    fn beat(&mut self, now: Instant) {
        self.answers = self.answers.saturating_sub(1);
        self.heartbeat_at = now + ACK_INTERVAL;
        if self.connection.is_client() {
            self.asked_at.get_or_insert(now);
        }
    }
}

impl Protocol for Datagrams {
    fn handle_datagram(&mut self, arrival: &Arrival, datagram: &mut [u8]) -> Result<(), PeerError> {
        if self.is_closed() {
            return Ok(());
        }
        let taken = self.take_datagram(arrival, datagram);
        self.connection.count(taken)
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.is_closed() {
            return;
        }
        self.connection.detach_if_silent(now);
        if self.connection.handle_timeout(now, self.asked_at) {
            self.heartbeat_at = now;
        }
    }

    fn handle_network_change(&mut self, now: Instant) {
        if let Some(at) = self.connection.network_changed(now) {
            self.heartbeat_at = self.heartbeat_at.min(at);
        }
    }

    fn handle_send_failure(&mut self, now: Instant, port: Port, failure: SendFailure) {
        if self.connection.send_failed(now, port, failure) {
            self.heartbeat_at = self.heartbeat_at.min(now);
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        if self.is_closed() {
            return None;
        }
        self.connection.target(now)?;
        if self.outgoing.is_empty() && !self.is_due(now) {
            return None;
        }
        let beats = self.is_due(now);
        let length = match self.outgoing.front() {
            Some(payload) if !beats => payload.len(),
            _ => 0,
        };
        if self.connection.budget(now) < (length + PACKET_OVERHEAD) as u64 {
            return None;
        }
        let payload = if beats {
            self.beat(now);
            Vec::new()
        } else {
            self.outgoing.pop_front().unwrap_or_default()
        };
        match self.connection.seal(now, &payload, out) {
            Ok(transmit) => transmit,
            Err(error) => {
                self.outgoing.clear();
                self.connection.fail(error);
                None
            }
        }
    }

    fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.is_closed() {
            return None;
        }
        self.connection.target(now)?;
        let heartbeat = self.connection.is_client().then_some(self.heartbeat_at);
        let connection = self.connection.timeout(now, self.asked_at);
        heartbeat.into_iter().chain(connection).min()
    }

    fn poll_port(&mut self) -> Option<PortChange> {
        self.connection.poll_port()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.connection.poll_event()
    }

    fn news(&self) -> u64 {
        self.taken + self.connection.told()
    }

    /// Nothing is said to the peer, which finds it out by the silence.
    fn shut_down(&mut self, _now: Instant) {
        self.abandon();
    }

    fn abandon(&mut self) {
        self.outgoing.clear();
        self.connection.close(false);
    }

    fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }
}

impl fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagrams")
            .field("closed", &self.connection.is_closed())
            .finish_non_exhaustive()
    }
}
