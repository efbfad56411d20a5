//! A client's sockets: which are open, which one sends, and when to try a fresh one.
//!
//! ```text
//!             open                     a fresh one opens          too many, or a minute
//!   (none) ─────────▶ newest: sends ─────────────────────▶ old: listens ────────────▶ closed
//! ```
//!
//! Only the newest sends. Old ones listen, because an answer may be on its way to them. `Session` and
//! `Datagrams` know what was asked; this decides what to do when the answer is overdue. A peer's address
//! that this machine has no way to is left at once for the next, in one pass over all of them: then it
//! is time's turn again, or a change of the network's.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::constants::{OLD_SOCKET_AGE_MAX, PORT_HOP_INTERVAL, PORTS_OPEN_MAX};

/// Names one local socket of a session. Numbers are not used again.
///
/// See [`Protocol`](super::Protocol) for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port(pub(super) u32);

impl Port {
    /// The only socket of a server, and the first of a client.
    pub const FIRST: Port = Port(0);
}

/// What the driver has to do to its sockets.
///
/// See [`Protocol`](super::Protocol) for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChange {
    /// Open a socket for `peer`'s family, with a port that the kernel chooses.
    Open {
        /// Its name from now on.
        port: Port,
        /// Where it will send to.
        peer: SocketAddr,
    },
    /// Close the socket.
    Close(Port),
}

#[derive(Debug)]
pub(super) struct Ports {
    /// The peer's addresses, in the order in which they are tried.
    peers: Vec<SocketAddr>,
    /// Oldest first. Each with the index of its peer's address.
    open: VecDeque<(Port, usize)>,
    next: u32,
    /// When the newest was opened.
    chosen_at: Instant,
    /// The newest time at which something was sent that the peer has confirmed since.
    round_trip_at: Option<Instant>,
    /// How many fresh ports were tried since the peer last confirmed anything.
    tries: u32,
    /// How many addresses in a row could not be sent to, of one pass over them.
    refused: usize,
    changes: VecDeque<PortChange>,
}

impl Ports {
    /// Starts with one port, toward the first of `peers`, which are not none.
    pub(super) fn new(peers: Vec<SocketAddr>, now: Instant) -> Self {
        let mut ports = Ports {
            peers,
            open: VecDeque::new(),
            next: Port::FIRST.0,
            chosen_at: now,
            round_trip_at: None,
            tries: 0,
            refused: 0,
            changes: VecDeque::new(),
        };
        ports.add(0);
        ports
    }

    /// The port that sends, and where to.
    pub(super) fn newest(&self) -> Option<(Port, SocketAddr)> {
        let &(port, peer) = self.open.back()?;
        Some((port, *self.peers.get(peer)?))
    }

    pub(super) fn poll_change(&mut self) -> Option<PortChange> {
        self.changes.pop_front()
    }

    /// What was sent at `at` has reached the peer, and we heard so.
    pub(super) fn confirmed(&mut self, at: Instant) {
        if self.round_trip_at.is_none_or(|before| before < at) {
            self.round_trip_at = Some(at);
            self.tries = 0;
            self.refused = 0;
        }
    }

    /// The network of this machine has changed: what was refused may not be any more.
    pub(super) fn network_changed(&mut self) {
        self.refused = 0;
    }

    /// A datagram arrived: the time to see whether old ports have served long enough.
    pub(super) fn heard(&mut self, now: Instant) {
        self.prune(now);
    }

    /// When an answer that was due at `due` should be given up and a fresh port tried.
    pub(super) fn hop_at(&self, due: Instant, patience: Duration) -> Instant {
        if self.tries == 0 {
            return due;
        }
        let wait = patience.saturating_mul(1 << self.tries.min(6));
        due.max(self.chosen_at + wait.clamp(HOP_MIN, PORT_HOP_INTERVAL))
    }

    /// Opens a fresh port, toward the peer's next address if it has several.
    pub(super) fn hop(&mut self, now: Instant) {
        let before = self.open.back().map_or(0, |&(_, peer)| peer);
        self.tries = self.tries.saturating_add(1);
        self.refused = 0;
        // The first keeps to the address, since a mapping dies more often than a family.
        let peer = if self.tries >= 2 {
            (before + 1) % self.peers.len().max(1)
        } else {
            before
        };
        self.open(now, peer);
    }

    /// What `port` should have sent was refused. True if it was the newest, and another address of the
    /// peer is tried instead.
    pub(super) fn refused(&mut self, now: Instant, port: Port) -> bool {
        let newest = self.open.back().filter(|newest| newest.0 == port);
        let Some(&(_, peer)) = newest else {
            return false;
        };
        if self.refused + 1 >= self.peers.len() {
            return false;
        }
        self.refused += 1;
        self.open(now, (peer + 1) % self.peers.len());
        true
    }

    fn open(&mut self, now: Instant, peer: usize) {
        self.chosen_at = now;
        self.add(peer);
        self.prune(now);
    }

    fn add(&mut self, peer: usize) {
        let port = Port(self.next);
        self.next = self.next.wrapping_add(1);
        self.open.push_back((port, peer));
        if let Some(&peer) = self.peers.get(peer) {
            self.changes.push_back(PortChange::Open { port, peer });
        }
    }

    /// Closes the oldest beyond the limit, and all old ones once the newest has served long enough.
    fn prune(&mut self, now: Instant) {
        let keep = if now.saturating_duration_since(self.chosen_at) > OLD_SOCKET_AGE_MAX {
            1
        } else {
            PORTS_OPEN_MAX
        };
        while self.open.len() > keep {
            if let Some((port, _)) = self.open.pop_front() {
                self.changes.push_back(PortChange::Close(port));
            }
        }
    }

    /// How many sockets are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}

/// The least time between two hops, after the first.
const HOP_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
