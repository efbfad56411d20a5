//! One end of a session below its payloads: sequence numbers, timestamps, round trips, and the way to
//! the peer (mosh-wire §4).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::constants::{
    ACK_DELAY, CE_PENALTY, MTU_IPV4, MTU_IPV6, MTU_LAST_RESORT, NONCE_SENT_LEN, RTT_SAMPLE_LIMIT,
    TAG_LEN, TIMESTAMP_HOLD_LIMIT, TIMESTAMPS_LEN,
};
use super::error::{LocalError, PeerError};
use super::event::Event;
use super::key::Key;
use super::packet::{Header, Timestamp};
use super::paths::Paths;
use super::policy::{HOP_GRACE, NETWORK_CHANGE_SPACING};
use super::ports::{Port, PortChange, Ports};
use super::protocol::SendFailure;
use super::replay::{Order, Replay};
use super::rtt::Rtt;
use super::seal::{Seal, Side};
use super::silence::Silence;
use super::stats::Stats;

/// What a datagram is longer than its payload.
pub(super) const PACKET_OVERHEAD: usize = NONCE_SENT_LEN + TIMESTAMPS_LEN + TAG_LEN;

/// Where a datagram has to go.
///
/// See [`Protocol`](super::Protocol) for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The socket that sends it.
    pub port: Port,
    /// The address that it goes to.
    pub to: SocketAddr,
}

/// Where a datagram came from, and what the network did to it.
///
/// See [`Protocol`](super::Protocol) for an example.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// When it was received.
    pub now: Instant,
    /// The socket that received it.
    pub port: Port,
    /// Who sent it.
    pub from: SocketAddr,
    /// Whether a router marked it "congestion experienced" (RFC 3168, section 5).
    pub congested: bool,
}

/// What a datagram carried.
#[derive(Debug)]
pub(super) struct Received<'a> {
    pub(super) payload: &'a [u8],
    /// Its timestamp answered one of ours: the peer heard us of late.
    pub(super) answers: bool,
}

/// The way to the peer, which only a client chooses and only a server follows.
#[derive(Debug)]
enum Way {
    Client(Ports),
    Server(Paths),
}

pub(super) struct Connection {
    seal: Seal,
    replay: Replay,
    /// Timestamps count from here.
    epoch: Instant,
    /// The newest timestamp of the peer that was not answered, and when it came.
    held: Option<(Timestamp, Instant)>,
    rtt: Rtt,
    way: Way,
    /// The path does not carry full datagrams: the last resort from now on.
    small_datagrams: bool,
    /// The address that the application was told of.
    announced: Option<SocketAddr>,
    silence: Silence,
    /// When the newest change of the network was answered, or will be.
    network_answered_at: Option<Instant>,
    /// How it ended, once it has: whether both ends know it.
    outcome: Option<bool>,
    events: VecDeque<Event>,
    /// How many events there were.
    told: u64,
    pub(super) stats: Stats,
    plain: Vec<u8>,
}

impl Connection {
    /// A server, which learns where its client is when that speaks.
    pub(super) fn server(key: &Key, now: Instant) -> Self {
        Connection::new(key, Side::Server, Way::Server(Paths::default()), now)
    }

    /// A client of a server that has these addresses, of which there is one at least.
    pub(super) fn client(
        key: &Key,
        peers: Vec<SocketAddr>,
        now: Instant,
    ) -> Result<Self, LocalError> {
        if peers.is_empty() {
            return Err(LocalError::NoAddress);
        }
        let ports = Ports::new(peers, now);
        Ok(Connection::new(key, Side::Client, Way::Client(ports), now))
    }

    fn new(key: &Key, side: Side, way: Way, epoch: Instant) -> Self {
        Connection {
            seal: Seal::new(key, side),
            replay: Replay::new(),
            epoch,
            held: None,
            rtt: Rtt::new(),
            way,
            small_datagrams: false,
            announced: None,
            silence: Silence::default(),
            network_answered_at: None,
            outcome: None,
            events: VecDeque::new(),
            told: 0,
            stats: Stats::default(),
            plain: Vec::new(),
        }
    }

    pub(super) fn is_client(&self) -> bool {
        matches!(self.way, Way::Client(_))
    }

    pub(super) fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// How long ago the peer was heard, if it ever was.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        self.silence.lasted(now)
    }

    /// When a datagram counts as lost. mosh's RTO ends at a second, which on a slower path would have
    /// everything sent twice.
    pub(super) fn rto(&self) -> Duration {
        let rto = self.rtt.rto();
        if !self.rtt.sampled() {
            return rto;
        }
        rto.max((self.rtt.srtt() + self.rtt.rttvar() * 4).min(RTT_SAMPLE_LIMIT))
    }

    /// How long an answer to what is sent now may take.
    pub(super) fn patience(&self) -> Duration {
        self.rto() + ACK_DELAY
    }

    /// Opens a datagram, and takes what this layer needs of it.
    pub(super) fn receive<'a>(
        &mut self,
        arrival: &Arrival,
        datagram: &'a mut [u8],
    ) -> Result<Received<'a>, PeerError> {
        let bytes = datagram.len();
        let opened = self.seal.open(datagram)?;
        let (header, payload) = Header::decode(opened.payload)?;
        let order = self.replay.note(opened.seq);
        if matches!(order, Order::Repeated | Order::Ancient) {
            // Of an ancient one nobody knows whether it came before. Whoever has recorded it could
            // interrupt the fragments of another instruction with it.
            return Err(PeerError::Replayed);
        }
        self.stats.datagrams_received += 1;
        self.stats.bytes_received += bytes as u64;
        let mut answers = false;
        if order == Order::Newest {
            answers = self.in_order(arrival, &header, bytes);
        }
        if let Way::Client(ports) = &mut self.way {
            ports.heard(arrival.now);
        }
        Ok(Received { payload, answers })
    }

    /// Counts a datagram in which something was wrong.
    pub(super) fn count(&mut self, taken: Result<(), PeerError>) -> Result<(), PeerError> {
        if let Err(error) = taken {
            self.stats.rejected.count(error);
        }
        taken
    }

    /// Takes the timestamps of a datagram that is newer than all before, and its sender's address.
    fn in_order(&mut self, arrival: &Arrival, header: &Header, bytes: usize) -> bool {
        let now = arrival.now;
        if self.silence.heard(now) {
            self.tell(Event::Resumed);
        }
        if let Some(timestamp) = header.timestamp {
            let penalty = if arrival.congested {
                CE_PENALTY
            } else {
                Duration::ZERO
            };
            self.held = Some((timestamp.minus(penalty), now));
        }
        if arrival.congested {
            self.stats.congestion_marks += 1;
        }
        let sample = header
            .reply
            .and_then(|reply| self.rtt.sample(Timestamp::at(now, self.epoch), reply));
        let trial = self.patience() * TRIAL_ROUNDS;
        if let Way::Server(paths) = &mut self.way {
            if let Some(round_trip) = sample {
                let round_trip = Duration::from_millis(round_trip.into());
                paths.timestamp_came_back(now, arrival.from, round_trip);
            }
            paths.heard(now, arrival.from, bytes, trial);
        }
        // At a client an address counts as the peer's once that has answered there.
        let is_newest = self
            .target(now)
            .is_some_and(|target| target.port == arrival.port);
        if is_newest || !self.is_client() {
            self.announce_target(now);
        }
        sample.is_some()
    }

    /// Does what the time asks for, when the oldest question without an answer was asked at `asked`.
    /// True if a fresh port is tried: then something should be sent by it.
    pub(super) fn handle_timeout(&mut self, now: Instant, asked: Option<Instant>) -> bool {
        // Where a client is may have changed by the passing of time.
        if !self.is_client() {
            self.announce_target(now);
        }
        let hops = self.hop_at(asked).is_some_and(|at| at <= now);
        if hops {
            self.hop(now);
        }
        if let Some(since) = self.silence.begin(now) {
            self.tell(Event::Silent { since });
        }
        hops
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn timeout(&self, now: Instant, asked: Option<Instant>) -> Option<Instant> {
        let way_changes_at = match &self.way {
            Way::Client(_) => None,
            Way::Server(paths) => paths.changes_at(now),
        };
        [self.hop_at(asked), self.silence.due_at(), way_changes_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn announce_target(&mut self, now: Instant) {
        let target = self.target(now).map(|transmit| transmit.to);
        let Some(to) = target else { return };
        if target == self.announced {
            return;
        }
        let event = match self.announced {
            None => Event::Attached { peer: to },
            Some(from) => {
                self.stats.roams += 1;
                Event::Roamed { from, to }
            }
        };
        self.tell(event);
        self.announced = target;
    }

    /// Where a datagram would go now.
    pub(super) fn target(&self, now: Instant) -> Option<Transmit> {
        match &self.way {
            Way::Client(ports) => ports.newest().map(|(port, to)| Transmit { port, to }),
            Way::Server(paths) => paths.target(now).map(|to| Transmit {
                port: Port::FIRST,
                to,
            }),
        }
    }

    /// Where the peer is, if it was heard.
    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        self.announced
    }

    /// How many bytes of UDP payload may be sent now, headers and tags included.
    pub(super) fn budget(&self, now: Instant) -> u64 {
        match &self.way {
            Way::Client(_) => u64::MAX,
            Way::Server(paths) => paths.budget(now),
        }
    }

    /// The longest UDP payload toward the peer, in bytes.
    pub(super) fn mtu(&self, now: Instant) -> usize {
        let is_ipv6 = self.target(now).is_some_and(|target| target.to.is_ipv6());
        match (self.small_datagrams, is_ipv6) {
            (true, _) => MTU_LAST_RESORT,
            (false, true) => MTU_IPV6,
            (false, false) => MTU_IPV4,
        }
    }

    /// Seals `payload` as the next datagram, appends it to `out`, and says where it goes. `None`
    /// without a peer.
    pub(super) fn seal(
        &mut self,
        now: Instant,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Transmit>, LocalError> {
        let Some(target) = self.target(now) else {
            return Ok(None);
        };
        let header = Header {
            timestamp: Some(Timestamp::at(now, self.epoch)),
            reply: self.reply(now),
        };
        self.plain.clear();
        self.plain.extend_from_slice(&header.encode());
        self.plain.extend_from_slice(payload);
        let before = out.len();
        self.seal.seal(&self.plain, out)?;
        let bytes = out.len() - before;
        self.stats.datagrams_sent += 1;
        self.stats.bytes_sent += bytes as u64;
        if let Way::Server(paths) = &mut self.way {
            paths.sent(now, target.to, bytes);
        }
        Ok(Some(target))
    }

    /// The held timestamp and the time it was held, once.
    fn reply(&mut self, now: Instant) -> Option<Timestamp> {
        let (timestamp, at) = self.held.take()?;
        let hold = now.saturating_duration_since(at);
        (hold < TIMESTAMP_HOLD_LIMIT).then(|| timestamp.plus(hold))
    }

    /// The network of this machine has changed: when a client should speak. `None` for a server.
    pub(super) fn network_changed(&mut self, now: Instant) -> Option<Instant> {
        match &mut self.way {
            Way::Client(ports) => ports.network_changed(),
            Way::Server(_) => return None,
        }
        let at = match self.network_answered_at {
            Some(coming) if coming > now => coming,
            Some(last) => now.max(last + NETWORK_CHANGE_SPACING),
            None => now,
        };
        self.network_answered_at = Some(at);
        Some(at)
    }

    /// The kernel refused a datagram of `port`. True if the next ones are shorter, or go to another
    /// address: then what was said should be said again.
    pub(super) fn send_failed(&mut self, now: Instant, port: Port, failure: SendFailure) -> bool {
        self.stats.send_failures += 1;
        match (failure, &mut self.way) {
            (SendFailure::TooLong, _) => !std::mem::replace(&mut self.small_datagrams, true),
            (SendFailure::Unreachable, Way::Client(ports)) => {
                let hops = ports.refused(now, port);
                self.stats.port_hops += u64::from(hops);
                hops
            }
            (SendFailure::Unreachable, Way::Server(_)) => false,
        }
    }

    /// What was sent at `at`, the state with this number, has reached the peer, and we heard so.
    pub(super) fn confirmed(&mut self, at: Instant, number: u64) {
        match &mut self.way {
            Way::Client(ports) => ports.confirmed(at),
            Way::Server(paths) => paths.confirmed(number),
        }
    }

    /// Whether the peer's new address has to be asked for a proof.
    pub(super) fn wants_challenge(&self, now: Instant) -> bool {
        matches!(&self.way, Way::Server(paths) if paths.wants_challenge(now))
    }

    pub(super) fn set_challenge(&mut self, number: u64) {
        if let Way::Server(paths) = &mut self.way {
            paths.set_challenge(number);
        }
    }

    /// Lets go of a client of which nothing was heard for long. True if there was one.
    pub(super) fn detach_if_silent(&mut self, now: Instant) -> bool {
        let Way::Server(paths) = &mut self.way else {
            return false;
        };
        let detached = paths.detach_if_silent(now);
        if detached {
            self.announced = None;
            self.tell(Event::Detached);
        }
        detached
    }

    /// When a client gives the newest port up, because what it asked at `asked` is not answered.
    fn hop_at(&self, asked: Option<Instant>) -> Option<Instant> {
        let due = asked? + self.patience() + HOP_GRACE;
        match &self.way {
            Way::Client(ports) => Some(ports.hop_at(due, self.patience())),
            Way::Server(_) => None,
        }
    }

    /// Moves a client to a fresh port.
    pub(super) fn hop(&mut self, now: Instant) {
        if let Way::Client(ports) = &mut self.way {
            ports.hop(now);
            self.stats.port_hops += 1;
        }
    }

    /// Ends, because nothing can be said any more, not even that.
    pub(super) fn fail(&mut self, error: LocalError) {
        self.tell(Event::Failed(error));
        self.close(false);
    }

    /// Ends, unless it has already. `clean`: both ends know it.
    pub(super) fn close(&mut self, clean: bool) {
        if self.outcome.is_none() {
            self.outcome = Some(clean);
            self.tell(Event::Closed { clean });
        }
    }

    /// How it ended, once it has: whether both ends know it.
    pub(super) fn outcome(&self) -> Option<bool> {
        self.outcome
    }

    pub(super) fn is_closed(&self) -> bool {
        self.outcome.is_some()
    }

    /// Keeps an event for the application; of too many the oldest are lost, since a peer that roams
    /// with every datagram makes as many as it likes.
    fn tell(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
        self.told += 1;
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How many events there were so far.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// The counters, with what the path is like now.
    pub(super) fn snapshot(&self) -> Stats {
        Stats {
            srtt: self.rtt.srtt(),
            rttvar: self.rtt.rttvar(),
            rto: self.rto(),
            ports: match &self.way {
                Way::Client(ports) => ports.len(),
                Way::Server(_) => 1,
            },
            ..self.stats.clone()
        }
    }

    pub(super) fn poll_port(&mut self) -> Option<PortChange> {
        match &mut self.way {
            Way::Client(ports) => ports.poll_change(),
            Way::Server(_) => None,
        }
    }
}

/// How many answers a new address may miss before the one that answered last is used again.
const TRIAL_ROUNDS: u32 = 5;

/// Events that are kept for an application that does not take them.
const EVENTS_MAX: usize = 64;
