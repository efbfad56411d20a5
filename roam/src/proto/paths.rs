//! A server's way to its client: which address it sends to, and how much.
//!
//! ```text
//!                newer datagram              answered from there
//!   detached ───────────────────▶ candidate ─────────────────────▶ proved
//!       ▲                          │     ▲                           │
//!       │      trial over: back to │     │ newer datagram from       │
//!       │      the proved one      ▼     │ another address           │
//!       └───────────────────────  proved ◀───────────────────────────┘
//!         nothing heard for 40 s
//! ```
//!
//! mosh sends everything to wherever the newest authentic datagram came from. So does this, but for a
//! host that has not answered yet: it gets at most three times what came from it, as in QUIC (RFC 9000,
//! section 8), and the one that answered last is kept. Somebody who forwards a datagram from an address
//! of his choice can turn little traffic there, and only until the client speaks again or the trial is
//! over. Another port of the same host is followed at once: clients try fresh ones by themselves.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::constants::{SERVER_ASSOCIATION_TIMEOUT, TIMESTAMP_HOLD_LIMIT};
use super::policy::AMPLIFICATION_LIMIT;

/// A host that has not answered yet, and the port that it spoke from.
#[derive(Debug)]
struct Candidate {
    peer: SocketAddr,
    /// Bytes that came from it and went to it.
    received: u64,
    sent: u64,
    /// Until when it is sent to although it has not answered.
    trial_until: Instant,
    /// The state number that proves the path once it is confirmed.
    challenge: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Paths {
    proved: Option<SocketAddr>,
    candidate: Option<Candidate>,
    last_heard: Option<Instant>,
    /// When anything was sent the last time, to whomever.
    sent_at: Option<Instant>,
    /// When something went elsewhere than to the candidate the last time.
    sent_elsewhere_at: Option<Instant>,
}

impl Paths {
    /// A datagram of `bytes` has arrived in order from `from`.
    pub(super) fn heard(&mut self, now: Instant, from: SocketAddr, bytes: usize, trial: Duration) {
        self.last_heard = Some(now);
        let bytes = bytes as u64;
        match (&mut self.candidate, &mut self.proved) {
            (candidate, Some(proved)) if proved.ip() == from.ip() => {
                *proved = from;
                *candidate = None;
            }
            (Some(candidate), _) if candidate.peer.ip() == from.ip() => {
                candidate.peer = from;
                candidate.received = candidate.received.saturating_add(bytes);
                candidate.trial_until = now + trial;
            }
            (candidate, _) => {
                self.sent_elsewhere_at = self.sent_at;
                *candidate = Some(Candidate {
                    peer: from,
                    received: bytes,
                    sent: 0,
                    trial_until: now + trial,
                    challenge: None,
                });
            }
        }
    }

    /// Where the next datagram goes.
    pub(super) fn target(&self, now: Instant) -> Option<SocketAddr> {
        match (&self.candidate, self.proved) {
            (Some(candidate), Some(proved)) if now >= candidate.trial_until => Some(proved),
            (Some(candidate), _) => Some(candidate.peer),
            (None, proved) => proved,
        }
    }

    /// How many bytes may go to the target now.
    pub(super) fn budget(&self, now: Instant) -> u64 {
        match &self.candidate {
            Some(candidate) if self.target(now) == Some(candidate.peer) => candidate
                .received
                .saturating_mul(AMPLIFICATION_LIMIT)
                .saturating_sub(candidate.sent),
            _ => u64::MAX,
        }
    }

    /// When the target changes by itself: back to the proved one, or to none.
    pub(super) fn changes_at(&self, now: Instant) -> Option<Instant> {
        let trial_until = self
            .candidate
            .as_ref()
            .map(|candidate| candidate.trial_until)
            .filter(|&until| self.proved.is_some() && now < until);
        trial_until.into_iter().chain(self.detach_at()).min()
    }

    /// A datagram of `bytes` goes to `to`.
    pub(super) fn sent(&mut self, now: Instant, to: SocketAddr, bytes: usize) {
        self.sent_at = Some(now);
        let Some(candidate) = &mut self.candidate else {
            return;
        };
        if candidate.peer == to {
            candidate.sent = candidate.sent.saturating_add(bytes as u64);
        } else {
            self.sent_elsewhere_at = Some(now);
            // What is confirmed from now on may have gone the other way.
            candidate.challenge = None;
        }
    }

    /// Whether the target should be asked for a proof, by a state that goes nowhere else.
    pub(super) fn wants_challenge(&self, now: Instant) -> bool {
        self.candidate.as_ref().is_some_and(|candidate| {
            candidate.challenge.is_none() && self.target(now) == Some(candidate.peer)
        })
    }

    /// State `number` goes to the candidate, and has gone nowhere else.
    pub(super) fn set_challenge(&mut self, number: u64) {
        if let Some(candidate) = &mut self.candidate {
            candidate.challenge.get_or_insert(number);
        }
    }

    /// The peer has confirmed the state with this number.
    pub(super) fn confirmed(&mut self, number: u64) {
        let asked = self
            .candidate
            .as_ref()
            .and_then(|candidate| candidate.challenge);
        if asked.is_some_and(|asked| number >= asked) {
            self.prove();
        }
    }

    /// A timestamp came back from `from`, in a datagram in order. The peer had held it for less than
    /// the limit: which proves the candidate if nothing went elsewhere since before that.
    pub(super) fn timestamp_came_back(
        &mut self,
        now: Instant,
        from: SocketAddr,
        round_trip: Duration,
    ) {
        let Some(candidate) = &self.candidate else {
            return;
        };
        let came_here = candidate.peer.ip() == from.ip() && candidate.sent > 0;
        let oldest = round_trip + TIMESTAMP_HOLD_LIMIT;
        let elsewhere = self.sent_elsewhere_at.is_some_and(|at| now <= at + oldest);
        if came_here && !elsewhere {
            self.prove();
        }
    }

    fn prove(&mut self) {
        if let Some(candidate) = self.candidate.take() {
            self.proved = Some(candidate.peer);
        }
    }

    /// When a client of which nothing is heard is forgotten, if there is one.
    fn detach_at(&self) -> Option<Instant> {
        let is_attached = self.proved.is_some() || self.candidate.is_some();
        let heard = self.last_heard.filter(|_| is_attached)?;
        Some(heard + SERVER_ASSOCIATION_TIMEOUT)
    }

    /// Forgets a client of which nothing was heard for long. True if there was one.
    pub(super) fn detach_if_silent(&mut self, now: Instant) -> bool {
        self.detach_at().is_some_and(|at| at <= now)
            && (self.proved.take().is_some() | self.candidate.take().is_some())
    }
}

#[cfg(test)]
mod tests;
