//! A model of one end of a session: what it must know at any time, from what was captured.

use std::collections::HashMap;

use gannet_roam::proto::{Assembler, Fragmenter, Rtt, Timestamp, UserEvent};

/// Between the moment of capture and the clock that the other process had read, in milliseconds.
pub(crate) const SLACK_MS: f64 = 60.0;

/// A timestamp of the peer, and when it came.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) timestamp: Timestamp,
    pub(crate) at: f64,
}

impl Held {
    /// The reply that it becomes at `now`, in milliseconds modulo 2^16.
    pub(crate) fn reply(self, now: f64) -> i64 {
        (f64::from(self.timestamp.as_millis()) + now - self.at) as i64
    }
}

/// One thing that a user did, as small as it can be.
#[derive(Clone, PartialEq)]
pub(crate) enum Deed {
    Key(u8),
    Resize(i32, i32),
}

pub(crate) fn deeds(events: &[UserEvent]) -> Vec<Deed> {
    let mut deeds = Vec::new();
    for event in events {
        match event {
            UserEvent::Keys(keys) => deeds.extend(keys.iter().copied().map(Deed::Key)),
            &UserEvent::Resize { width, height } => deeds.push(Deed::Resize(width, height)),
        }
    }
    deeds
}

pub(crate) struct End {
    // What it has received.
    pub(crate) expected: u64,
    pub(crate) held: Option<Held>,
    /// The one before, which it may have held still when the next datagram was under way.
    pub(crate) held_before: Option<Held>,
    pub(crate) assembler: Assembler,
    pub(crate) received: Vec<u64>,
    pub(crate) acks: History,
    pub(crate) rtt: Rtt,
    // What it has sent.
    pub(crate) next_seq: u64,
    pub(crate) sent: Vec<u64>,
    pub(crate) newest_sent: u64,
    pub(crate) known: History,
    pub(crate) fragment_id: u64,
    pub(crate) fragmenter: Fragmenter,
    pub(crate) sent_assembler: Assembler,
    /// The pieces of the transmission under way, as they were sent.
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) stream: HashMap<u64, Vec<Deed>>,
}

impl End {
    pub(crate) fn new() -> Self {
        Self {
            expected: 0,
            held: None,
            held_before: None,
            assembler: Assembler::new(),
            received: vec![0],
            acks: History::new(),
            rtt: Rtt::new(),
            next_seq: 0,
            sent: vec![0],
            newest_sent: 0,
            known: History::new(),
            fragment_id: 0,
            fragmenter: Fragmenter::new(),
            sent_assembler: Assembler::new(),
            pieces: Vec::new(),
            stream: HashMap::from([(0, Vec::new())]),
        }
    }
}

/// A number that changes, with the times of its changes.
pub(crate) struct History(Vec<(f64, u64)>);

impl History {
    fn new() -> Self {
        Self(vec![(0.0, 0)])
    }

    pub(crate) fn newest(&self) -> u64 {
        self.0.last().map_or(0, |&(_, value)| value)
    }

    pub(crate) fn push(&mut self, at: f64, value: u64) {
        self.0.push((at, value));
    }

    /// Whether `value` is what it was at `now`, give or take what the process had not yet seen.
    pub(crate) fn around(&self, now: f64, value: u64) -> bool {
        let past: Vec<_> = self.0.iter().filter(|(at, _)| *at <= now + 2.0).collect();
        let recent = past.iter().filter(|(at, _)| *at > now - SLACK_MS).count();
        // The recent ones, and the one that held before the first of them.
        past.iter()
            .rev()
            .take(recent + 1)
            .any(|(_, known)| *known == value)
    }
}
