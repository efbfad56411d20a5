//! A session: a state in each direction, kept in step with the peer's copy.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::connection::{Arrival, Connection, PACKET_OVERHEAD, Transmit};
use super::constants::{CHAFF_MAX, FRAGMENT_HEADER_LEN, MINDELAY_CLIENT, PROTOCOL_VERSION};
use super::deflate::{deflate, inflate};
use super::error::{LocalError, PeerError};
use super::event::Event;
use super::fragment::{Assembler, Fragment, Fragmenter, Fragments};
use super::instruction::Instruction;
use super::key::Key;
use super::pacer::Pacer;
use super::policy::GATHER_SERVER;
use super::ports::{Port, PortChange};
use super::protocol::{Protocol, SendFailure};
use super::receiver::{Outcome, Receiver};
use super::sender::{Ending, Pace, Sender, Tick, Update};
use super::state::State;
use super::stats::Stats;

/// Fills a buffer with random octets.
pub type Random = Box<dyn FnMut(&mut [u8]) + Send>;

/// One end of a session that keeps a state `L` of ours and a state `R` of the peer's in step.
///
/// Does nothing by itself: see [`Protocol`] for how it is driven. Both ends must be given equal
/// initial states, which are never sent.
///
/// ```
/// use gannet_roam::Blob;
/// use gannet_roam::proto::{Arrival, Key, Port, Protocol, Session};
/// use std::time::Instant;
///
/// let key: Key = "GHe3rr+vIkWSshPEDJebSQ".parse()?;
/// let (here, there) = ("127.0.0.1:4000".parse()?, "127.0.0.1:60001".parse()?);
/// let mut now = Instant::now();
/// let (blob, random) = (Blob::new, || Box::new(|octets: &mut [u8]| octets.fill(7)));
/// let mut client = Session::client(&key, vec![there], (blob(), blob()), now, random())?;
/// let mut server = Session::server(&key, blob(), blob(), now, random());
/// client.update(now, |state| *state = Blob::from("21.5 degrees"));
///
/// while !server.is_fresh() {
///     now = client.poll_timeout(now).expect("something to send");
///     client.handle_timeout(now);
///     let mut datagram = Vec::new();
///     while client.poll_transmit(now, &mut datagram).is_some() {
///         let arrival = Arrival { now, port: Port::FIRST, from: here, congested: false };
///         server.handle_datagram(&arrival, &mut datagram)?;
///         datagram.clear();
///     }
/// }
/// assert_eq!(server.take_remote().as_ref(), b"21.5 degrees");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Session<L, R> {
    connection: Connection,
    sender: Sender<L>,
    receiver: Receiver<R>,
    fragmenter: Fragmenter,
    assembler: Assembler,
    /// The fragments of the instruction that is on its way out.
    train: Option<Fragments>,
    pacer: Pacer,
    /// When the next fragment may go.
    paced_until: Option<Instant>,
    /// The new address has had as much as it may get before it answers.
    blocked: bool,
    /// How often the peer came to hold our state, or changed its own.
    changes: u64,
    /// The peer's state has changed since the application took it.
    fresh: bool,
    random: Random,
    /// The next fragment, before it is sealed.
    piece: Vec<u8>,
}

impl<L: State, R: State> Session<L, R> {
    /// A server. It is silent until its client speaks, and `random` fills the chaff of its
    /// instructions, which hides their lengths.
    pub fn server(key: &Key, local: L, remote: R, now: Instant, random: Random) -> Self {
        let connection = Connection::server(key, now);
        let sender = Sender::new(local, now, GATHER_SERVER, false);
        Session::new(connection, sender, remote, now, random)
    }

    /// A client of a server with these addresses, the preferred one first. It speaks at once.
    ///
    /// # Errors
    /// [`LocalError::NoAddress`] if there is none.
    pub fn client(
        key: &Key,
        peers: Vec<SocketAddr>,
        states: (L, R),
        now: Instant,
        random: Random,
    ) -> Result<Self, LocalError> {
        let connection = Connection::client(key, peers, now)?;
        let sender = Sender::new(states.0, now, MINDELAY_CLIENT, true);
        Ok(Session::new(connection, sender, states.1, now, random))
    }

    fn new(
        connection: Connection,
        sender: Sender<L>,
        remote: R,
        now: Instant,
        random: Random,
    ) -> Self {
        Session {
            connection,
            sender,
            receiver: Receiver::new(remote),
            fragmenter: Fragmenter::new(),
            assembler: Assembler::new(),
            train: None,
            pacer: Pacer::new(now),
            paced_until: None,
            blocked: false,
            changes: 0,
            fresh: false,
            random,
            piece: Vec::new(),
        }
    }

    /// Our state.
    pub fn local(&self) -> &L {
        self.sender.current()
    }

    /// Changes our state. In vain once the session is being shut down.
    pub fn update<T>(&mut self, now: Instant, change: impl FnOnce(&mut L) -> T) -> T {
        let before = self.sender.is_confirmed();
        let result = self.sender.update(change);
        self.note_confirmed(before);
        self.sender.observe(now);
        result
    }

    /// The peer's newest state and its number, which grows with each state that arrives.
    pub fn remote(&self) -> (u64, &R) {
        self.receiver.current()
    }

    /// Takes a copy of the peer's newest state. A log may forget, from now on, what both ends have.
    pub fn take_remote(&mut self) -> R {
        self.fresh = false;
        self.receiver.take()
    }

    /// Whether the peer's state has changed since it was taken.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether the peer has confirmed what our state is now.
    pub fn is_confirmed(&self) -> bool {
        self.sender.is_confirmed()
    }

    /// Counts it as news if the peer holds our state now, and did not `before`.
    fn note_confirmed(&mut self, before: bool) {
        self.changes += u64::from(!before && self.sender.is_confirmed());
    }

    /// How it ended, once it has: whether both ends know it.
    pub fn outcome(&self) -> Option<bool> {
        self.connection.outcome()
    }

    /// Where the peer is, if it was heard.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.connection.peer_addr()
    }

    /// How long ago the newest state that the peer has confirmed was sent.
    pub fn confirmed_age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.sender.confirmed_at())
    }

    /// Whether one of the ends has asked for the end.
    pub fn is_ending(&self) -> bool {
        self.sender.ending != Ending::None
    }

    /// Moves a client to a fresh port at once.
    pub fn hop(&mut self, now: Instant) {
        if !self.is_closed() && self.connection.is_client() {
            self.connection.hop(now);
            self.sender.hurry(now);
        }
    }

    /// What happened so far.
    pub fn stats(&self) -> Stats {
        let mut stats = self.connection.snapshot();
        stats.memory = self.sender.memory()
            + self.fragmenter.memory()
            + self.receiver.memory()
            + self.assembler.memory();
        stats
    }

    /// How long ago the peer was heard, if it ever was.
    pub fn silence(&self, now: Instant) -> Option<Duration> {
        self.connection.silence(now)
    }

    fn take_datagram(&mut self, arrival: &Arrival, datagram: &mut [u8]) -> Result<(), PeerError> {
        let received = self.connection.receive(arrival, datagram)?;
        self.blocked = false;
        let fragment = Fragment::decode(received.payload)?;
        if let Some(blob) = self.assembler.add(fragment)? {
            // Each of these may take megabytes, and is gone when the next but one is made.
            let octets = inflate(&blob)?;
            drop(blob);
            let instruction = Instruction::decode(&octets)?;
            drop(octets);
            self.take_instruction(arrival.now, &instruction)?;
        }
        if self.connection.wants_challenge(arrival.now) {
            self.sender.challenge(arrival.now);
        }
        Ok(())
    }

    fn take_instruction(
        &mut self,
        now: Instant,
        instruction: &Instruction,
    ) -> Result<(), PeerError> {
        instruction.check_version()?;
        let before = self.sender.is_confirmed();
        if let Some(at) = self.sender.confirmed(instruction.ack_num) {
            self.connection.confirmed(at, instruction.ack_num);
            self.note_confirmed(before);
        }
        match self.receiver.receive(now, instruction)? {
            Outcome::Newest { asks, changed } => {
                self.connection.stats.states_received += 1;
                self.fresh |= changed;
                self.changes += u64::from(changed);
                self.sender.heard(now, instruction.new_num, asks);
                // What changes nothing is a question, or a client's heartbeat, which is one.
                if !changed && (asks || !self.connection.is_client()) {
                    self.sender.hurry(now);
                }
            }
            Outcome::Known | Outcome::Unknown => {
                self.connection.stats.instructions_ignored += 1;
                if !instruction.diff.is_empty() {
                    self.sender.heard_again(now);
                }
            }
            Outcome::Late | Outcome::Full => {
                self.connection.stats.instructions_ignored += 1;
            }
        }
        self.sender.observe(now);
        Ok(())
    }

    fn pace(&self, now: Instant) -> Pace {
        Pace {
            now,
            rto: self.connection.rto(),
            interval: self.connection.rtt().frame_interval(),
        }
    }

    /// Bytes of diff that an instruction may carry toward an address that has not answered yet.
    fn room(&self, now: Instant) -> usize {
        let budget = self.connection.budget(now).try_into().unwrap_or(usize::MAX);
        budget.saturating_sub(PACKET_OVERHEAD + FRAGMENT_HEADER_LEN + INSTRUCTION_OVERHEAD)
    }

    /// Makes the fragments of an update.
    fn load(&mut self, now: Instant, update: Update) {
        if self.connection.wants_challenge(now) && !update.again {
            self.connection.set_challenge(update.new);
        }
        if update.again {
            self.connection.stats.resends += 1;
        }
        let mut instruction = Instruction {
            protocol_version: PROTOCOL_VERSION,
            old_num: update.old,
            new_num: update.new,
            ack_num: update.ack,
            throwaway_num: update.throwaway,
            diff: update.diff,
            chaff: Vec::new(),
        };
        instruction.chaff = match self.fragmenter.chaff_for(&instruction) {
            Some(chaff) => chaff.to_vec(),
            None => self.chaff(),
        };
        let limit = self.connection.mtu(now);
        let train = deflate(&instruction.encode())
            .and_then(|blob| self.fragmenter.split(&instruction, blob.into(), limit));
        match train {
            Ok(train) => self.train = Some(train),
            Err(error) => self.fail(error),
        }
    }

    /// Random octets of a random length.
    fn chaff(&mut self) -> Vec<u8> {
        let mut octets = [0; CHAFF_MAX + 1];
        (self.random)(&mut octets);
        let length = usize::from(octets[CHAFF_MAX]) % (CHAFF_MAX + 1);
        octets[..length].to_vec()
    }

    /// The next fragment as a datagram, if it may go now.
    fn next_fragment(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        if self.piece.is_empty() && !self.train.as_mut()?.next_into(&mut self.piece) {
            self.train = None;
            return None;
        }
        let bytes = self.piece.len() + PACKET_OVERHEAD;
        if self.connection.budget(now) < bytes as u64 {
            self.blocked = true;
            return None;
        }
        self.paced_until = self.pacer.take(now, self.connection.rtt().srtt()).err();
        if self.paced_until.is_some() {
            return None;
        }
        let sealed = self.connection.seal(now, &self.piece, out);
        self.piece.clear();
        if self.train.as_ref().is_some_and(Fragments::is_empty) {
            self.train = None;
        }
        sealed.unwrap_or_else(|error| {
            self.fail(error);
            None
        })
    }

    /// Ends, because nothing can be said any more.
    fn fail(&mut self, error: LocalError) {
        self.drop_train();
        self.connection.fail(error);
    }

    fn close(&mut self, clean: bool) {
        self.drop_train();
        self.connection.close(clean);
    }

    /// What is left of the instruction on its way out will not be sent.
    fn drop_train(&mut self) {
        self.train = None;
        self.piece.clear();
    }
}

impl<L: State, R: State> Protocol for Session<L, R> {
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
        if self.connection.detach_if_silent(now) {
            self.drop_train();
            if self.is_ending() {
                self.close(false);
                return;
            }
        }
        // The trial of a new address may be over: the one before has no limit.
        if self.blocked && self.connection.budget(now) == u64::MAX {
            self.blocked = false;
        }
        if self.connection.handle_timeout(now, self.sender.asked_at()) {
            self.sender.hurry(now);
        }
    }

    fn handle_network_change(&mut self, now: Instant) {
        if let Some(at) = self.connection.network_changed(now) {
            self.sender.resend(at);
        }
    }

    fn handle_send_failure(&mut self, now: Instant, port: Port, failure: SendFailure) {
        if self.connection.send_failed(now, port, failure) {
            self.drop_train();
            self.sender.resend(now);
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        while !self.is_closed() {
            let gives_up = self.sender.gives_up_at().is_some_and(|at| at <= now);
            if self.train.is_some() && !gives_up {
                return self.next_fragment(now, out);
            }
            if let Some(clean) = self.sender.over(now) {
                self.close(clean);
                return None;
            }
            if self.blocked || self.connection.target(now).is_none() {
                return None;
            }
            match self.sender.tick(&self.pace(now), self.room(now)) {
                Tick::Early => return None,
                Tick::Blocked => {
                    self.blocked = true;
                    if self.room(now) > 0 {
                        let update = self.sender.challenging(&self.pace(now), 0);
                        self.load(now, update);
                    }
                }
                Tick::Due(update) => self.load(now, update),
            }
        }
        None
    }

    fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.is_closed() {
            return None;
        }
        self.connection.target(now)?;
        let send = match (self.blocked, &self.train) {
            (true, _) => None,
            (false, Some(_)) => self.paced_until,
            (false, None) => Some(self.sender.deadline(&self.pace(now))),
        };
        let connection = self.connection.timeout(now, self.sender.asked_at());
        [send, connection, self.sender.gives_up_at()]
            .into_iter()
            .flatten()
            .min()
    }

    fn poll_port(&mut self) -> Option<PortChange> {
        self.connection.poll_port()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.connection.poll_event()
    }

    fn news(&self) -> u64 {
        self.changes + self.connection.told()
    }

    /// What our state is now is the last that the peer gets.
    fn shut_down(&mut self, now: Instant) {
        self.sender.shut_down(now);
        if self.connection.target(now).is_none() {
            self.close(false);
        }
    }

    fn abandon(&mut self) {
        self.close(false);
    }

    fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }
}

impl<L, R> fmt::Debug for Session<L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("outcome", &self.connection.outcome())
            .finish_non_exhaustive()
    }
}

/// What an instruction is longer than its diff at most, with the chaff and what zlib adds.
const INSTRUCTION_OVERHEAD: usize = 56;
