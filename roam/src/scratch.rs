//! Buffers that a driver needs only while it runs, shared by all sessions of a thread.

use std::cell::RefCell;
use std::ops::Range;

use gannet_net::RecvBatch;

use crate::proto::constants::RECEIVE_BUFFER;
use crate::proto::{Port, Transmit};

/// Datagrams that are received or sent at once.
pub(crate) const BATCH: usize = 32;

/// What 5,000 idle sessions must not have each.
pub(crate) struct Scratch {
    /// One octet more than a datagram may have, so that a longer one shows.
    pub(crate) batch: RecvBatch,
    pub(crate) outbox: Outbox,
}

thread_local! {
    static SCRATCH: RefCell<Option<Box<Scratch>>> = const { RefCell::new(None) };
}

impl Scratch {
    /// Takes this thread's, or makes one.
    pub(crate) fn take() -> Box<Self> {
        let left = SCRATCH.with(|scratch| scratch.borrow_mut().take());
        left.unwrap_or_else(|| {
            Box::new(Scratch {
                batch: RecvBatch::new(BATCH, RECEIVE_BUFFER + 1),
                outbox: Outbox::default(),
            })
        })
    }

    /// Leaves it to the next session of this thread.
    pub(crate) fn leave(self: Box<Self>) {
        SCRATCH.with(|scratch| *scratch.borrow_mut() = Some(self));
    }
}

/// Datagrams that are sealed and not sent yet.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) octets: Vec<u8>,
    items: Vec<(Transmit, Range<usize>)>,
    sent: usize,
}

impl Outbox {
    /// Notes that the octets from `start` on are a datagram.
    pub(crate) fn push(&mut self, transmit: Transmit, start: usize) {
        self.items.push((transmit, start..self.octets.len()));
    }

    pub(crate) fn is_full(&self) -> bool {
        self.items.len() >= BATCH
    }

    /// The datagrams that the next port sends, in order.
    pub(crate) fn next_port(&self) -> Option<(Port, Vec<gannet_net::Transmit<'_>>)> {
        let rest = self.items.get(self.sent..)?;
        let (first, _) = rest.first()?;
        let same = rest.iter().take_while(|(to, _)| to.port == first.port);
        let transmit = |(to, range): &(Transmit, Range<usize>)| {
            let octets = self.octets.get(range.clone()).unwrap_or_default();
            gannet_net::Transmit::new(octets, to.to)
        };
        Some((first.port, same.map(transmit).collect()))
    }

    /// Where the next datagram goes.
    pub(crate) fn next_transmit(&self) -> Option<Transmit> {
        self.items.get(self.sent).map(|(transmit, _)| *transmit)
    }

    /// The next `count` datagrams are done with.
    pub(crate) fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.sent >= self.items.len() {
            self.octets.clear();
            self.items.clear();
            self.sent = 0;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
