//! A network in virtual time between a client and a server: a seeded relay that delays, loses,
//! repeats, reorders, damages and redirects datagrams.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use fastrand::Rng;
use gannet_roam::proto::{
    Arrival, Event, PeerError, Port, PortChange, Protocol, SendFailure, Transmit,
};

/// What the network does to datagrams.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// One way.
    pub(crate) delay: Duration,
    /// In percent.
    pub(crate) loss: u32,
    pub(crate) duplicate: u32,
    pub(crate) reorder: u32,
    pub(crate) corrupt: u32,
}

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum To {
    Server,
    Client,
}

/// A datagram on its way, or at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flight {
    pub(crate) at: Instant,
    number: u64,
    pub(crate) to: To,
    /// Whom the receiver sees.
    pub(crate) from: SocketAddr,
    pub(crate) dest: SocketAddr,
    pub(crate) port: Port,
    pub(crate) octets: Vec<u8>,
}

impl Ord for Flight {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Two ends and what is between them.
pub(crate) struct Net<C, S> {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    pub(crate) client: C,
    pub(crate) server: S,
    pub(crate) faults: Faults,
    /// Datagrams to this side are lost.
    pub(crate) cut: [bool; 2],
    /// The host address that the client's datagrams come from.
    pub(crate) client_host: IpAddr,
    /// What the translator before the client has added to its ports.
    pub(crate) rebound: u16,
    /// The longest datagram that a kernel takes, in bytes.
    pub(crate) path_limit: usize,
    /// Where the client's kernel has no way to.
    pub(crate) refused: Vec<SocketAddr>,
    /// Ports of the client whose mapping is dead, both ways.
    pub(crate) dead: Vec<Port>,
    /// All datagrams that were sent, delivered or not.
    pub(crate) sent: Vec<Flight>,
    /// When each of them was sent.
    pub(crate) sent_at: Vec<Instant>,
    pub(crate) events: Vec<(To, Event)>,
    /// What was wrong with datagrams that arrived.
    pub(crate) errors: Vec<PeerError>,
    open: Vec<Port>,
    queue: BinaryHeap<Reverse<Flight>>,
    rng: Rng,
    number: u64,
}

/// Where the server is.
pub(crate) const SERVER: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1)), 60001);

/// Other addresses of the server, of the other version of IP.
pub(crate) const OTHERS: [SocketAddr; 2] = [other(1), other(2)];

const fn other(last: u16) -> SocketAddr {
    let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
    SocketAddr::new(IpAddr::V6(ip), 60001)
}

/// A host where the client can be.
pub(crate) fn host(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 77, 1, last))
}

impl<C: Protocol, S: Protocol> Net<C, S> {
    pub(crate) fn new(start: Instant, client: C, server: S, faults: Faults, seed: u64) -> Self {
        Net {
            now: start,
            start,
            client,
            server,
            faults,
            cut: [false; 2],
            client_host: host(2),
            rebound: 0,
            path_limit: usize::MAX,
            refused: Vec::new(),
            dead: Vec::new(),
            sent: Vec::new(),
            sent_at: Vec::new(),
            events: Vec::new(),
            errors: Vec::new(),
            open: Vec::new(),
            queue: BinaryHeap::new(),
            rng: Rng::with_seed(seed),
            number: 0,
        }
    }

    /// Whether `percent` out of a hundred times.
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    /// The address from which the client's port sends.
    pub(crate) fn client_addr(&self, port: Port) -> SocketAddr {
        let at = self.open.iter().position(|&open| open == port);
        let at = u16::try_from(at.unwrap_or(0)).expect("few ports");
        SocketAddr::new(self.client_host, 40_000 + at + self.rebound)
    }

    /// The port of the client that has this address.
    fn client_port(&self, addr: SocketAddr) -> Option<Port> {
        let at = usize::from(addr.port().checked_sub(40_000 + self.rebound)?);
        (addr.ip() == self.client_host)
            .then(|| self.open.get(at).copied())
            .flatten()
    }

    /// Lets both ends say what they have to say.
    fn drain(&mut self) {
        self.open_ports();
        let mut octets = Vec::new();
        while let Some(transmit) = self.client.poll_transmit(self.now, &mut octets) {
            // One that was refused may have had another port opened.
            self.open_ports();
            let from = self.client_addr(transmit.port);
            self.send(To::Server, from, transmit, std::mem::take(&mut octets));
        }
        while let Some(transmit) = self.server.poll_transmit(self.now, &mut octets) {
            self.send(To::Client, SERVER, transmit, std::mem::take(&mut octets));
        }
        while let Some(event) = self.client.poll_event() {
            self.events.push((To::Client, event));
        }
        while let Some(event) = self.server.poll_event() {
            self.events.push((To::Server, event));
        }
    }

    fn open_ports(&mut self) {
        while let Some(change) = self.client.poll_port() {
            if let PortChange::Open { port, .. } = change {
                self.open.push(port);
            }
        }
    }

    fn send(&mut self, to: To, from: SocketAddr, transmit: Transmit, octets: Vec<u8>) {
        let mut delay = self.faults.delay;
        if self.chance(self.faults.reorder) {
            delay += Duration::from_millis(self.rng.u64(1..200));
        }
        self.number += 1;
        let mut flight = Flight {
            at: self.now + delay,
            number: self.number,
            to,
            from,
            dest: transmit.to,
            port: transmit.port,
            octets,
        };
        let failure = if flight.octets.len() > self.path_limit {
            Some(SendFailure::TooLong)
        } else {
            let is_refused = self.refused.contains(&transmit.to);
            is_refused.then_some(SendFailure::Unreachable)
        };
        if let Some(failure) = failure {
            let (now, port) = (self.now, transmit.port);
            return match to {
                To::Server => self.client.handle_send_failure(now, port, failure),
                To::Client => self.server.handle_send_failure(now, port, failure),
            };
        }
        self.sent.push(flight.clone());
        self.sent_at.push(self.now);
        let is_dead = to == To::Server && self.dead.contains(&transmit.port);
        if self.cut[to as usize] || is_dead || self.chance(self.faults.loss) {
            return;
        }
        if self.chance(self.faults.corrupt) {
            let bit = self.rng.usize(0..flight.octets.len() * 8);
            flight.octets[bit / 8] ^= 1 << (bit % 8);
        }
        if self.chance(self.faults.duplicate) {
            let mut twin = flight.clone();
            twin.at += Duration::from_millis(self.rng.u64(0..100));
            self.queue.push(Reverse(twin));
        }
        self.queue.push(Reverse(flight));
    }

    /// Gives a datagram to whom it is for.
    pub(crate) fn deliver(&mut self, mut flight: Flight) {
        let port = match flight.to {
            To::Server => Port::FIRST,
            To::Client => match self.client_port(flight.dest) {
                Some(port) if !self.dead.contains(&port) => port,
                _ => return,
            },
        };
        let arrival = Arrival {
            now: self.now,
            port,
            from: flight.from,
            congested: false,
        };
        let taken = match flight.to {
            To::Server => self.server.handle_datagram(&arrival, &mut flight.octets),
            To::Client => self.client.handle_datagram(&arrival, &mut flight.octets),
        };
        if let Err(error) = taken {
            self.errors.push(error);
        }
    }

    /// The datagrams sent to this side since `since`, with the time.
    pub(crate) fn sent_since(&self, to: To, since: Instant) -> Vec<(Instant, &Flight)> {
        let all = self.sent_at.iter().copied().zip(&self.sent);
        all.filter(|(at, flight)| flight.to == to && *at >= since)
            .collect()
    }

    /// The bytes that were sent to this host.
    pub(crate) fn bytes_to(&self, host: IpAddr) -> usize {
        let there = self.sent.iter().filter(|flight| flight.dest.ip() == host);
        there.map(|flight| flight.octets.len()).sum()
    }

    /// Runs until `until`.
    pub(crate) fn run_until(&mut self, until: Instant) {
        self.run_while(until, |_| true);
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Runs as long as `go_on` says, and not beyond `until`. Returns whether it stopped before.
    pub(crate) fn run_while(&mut self, until: Instant, go_on: impl Fn(&mut Self) -> bool) -> bool {
        let mut idle = 0;
        loop {
            self.drain();
            if !go_on(self) {
                return true;
            }
            let timeouts = [
                self.client.poll_timeout(self.now),
                self.server.poll_timeout(self.now),
                self.queue.peek().map(|Reverse(flight)| flight.at),
            ];
            let next = timeouts.into_iter().flatten().min();
            let Some(next) = next.filter(|&next| next <= until) else {
                self.now = until;
                return false;
            };
            idle = if next > self.now { 0 } else { idle + 1 };
            assert!(
                idle < 10_000,
                "time stands still: {timeouts:?} at {:?}",
                self.now
            );
            self.now = self.now.max(next);
            while let Some(Reverse(flight)) = self.queue.peek()
                && flight.at <= self.now
            {
                let flight = flight.clone();
                self.queue.pop();
                self.deliver(flight);
            }
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
        }
    }
}
