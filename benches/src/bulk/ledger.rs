//! What sender and receiver of a bulk transfer know of each other, in memory that they share, and the
//! questions that the load asks about it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::{BURST, SERIAL_BYTES, WINDOW};
use crate::inside::Signal;

/// The state of a transfer. Datagrams are numbered from 0 on.
///
/// The sender alone moves `sent`, the receiver `arrived` and `passed`, the load `limit`; `room` is
/// raised when the sender may have something to do that waited for one of the others.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// How many datagrams may be sent in all.
    limit: AtomicU64,
    /// How many were sent.
    sent: AtomicU64,
    /// How many arrived.
    arrived: AtomicU64,
    /// One more than the highest number that arrived or was given up: what came before it and has
    /// not arrived is lost, for on the loopback nothing is overtaken.
    passed: AtomicU64,
    room: Signal,
}

/// A look at a [`Ledger`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Datagrams sent since the start.
    pub(crate) sent: u64,
    /// Datagrams that arrived since the start.
    pub(crate) arrived: u64,
}

impl Ledger {
    /// Waits until there is something to send: the numbers of a burst. No more than a window is on
    /// its way.
    pub(crate) async fn burst(&self) -> std::ops::Range<u64> {
        loop {
            if let Some(burst) = self.try_burst() {
                return burst;
            }
            self.room.wait().await;
        }
    }

    /// Returns the numbers of a burst, if one may be sent.
    pub(crate) fn try_burst(&self) -> Option<std::ops::Range<u64>> {
        // SeqCst: either this sees what the receiver passed, or the receiver sees what was sent
        // before, and raises the signal.
        let sent = self.sent.load(Ordering::SeqCst);
        let count = BURST.min(self.limit.load(Ordering::SeqCst).saturating_sub(sent));
        let has_room = room(sent, self.passed.load(Ordering::SeqCst)) >= BURST;
        (has_room && count > 0).then(|| sent..sent + count)
    }

    /// Says that all datagrams below `end` have been sent.
    pub(crate) fn sent_up_to(&self, end: u64) {
        self.sent.store(end, Ordering::SeqCst);
    }

    /// Says that `count` datagrams arrived, of which the last had the number `last`.
    pub(crate) fn arrived(&self, count: u64, last: u64) {
        self.arrived.fetch_add(count, Ordering::Relaxed);
        self.pass(last + 1);
    }

    /// Lets the sender go on as if everything below `end` were settled.
    fn pass(&self, end: u64) {
        let before = self.passed.fetch_max(end, Ordering::SeqCst);
        let sent = self.sent.load(Ordering::SeqCst);
        // The sender waits for room only where there was too little for a burst before.
        if room(sent, before) < BURST && room(sent, end.max(before)) >= BURST {
            self.room.raise();
        }
    }

    fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::SeqCst);
        self.room.raise();
    }

    fn counts(&self) -> Counts {
        Counts {
            sent: self.sent.load(Ordering::SeqCst),
            arrived: self.arrived.load(Ordering::Relaxed),
        }
    }
}

/// How many datagrams may join those on their way.
fn room(sent: u64, passed: u64) -> u64 {
    (passed + WINDOW).saturating_sub(sent)
}

/// Reads the number of a datagram; none if it is too short to have one.
pub(crate) fn serial(datagram: &[u8]) -> Option<u64> {
    datagram
        .first_chunk::<SERIAL_BYTES>()
        .map(|bytes| u64::from_le_bytes(*bytes))
}

/// Writes the number of a datagram into its beginning.
pub(crate) fn set_serial(datagram: &mut [u8], serial: u64) {
    if let Some(head) = datagram.first_chunk_mut::<SERIAL_BYTES>() {
        *head = serial.to_le_bytes();
    }
}

/// Answers the load's questions about `ledger` in a thread of its own; returns where to ask.
///
/// A question is the new limit, an answer what was sent and what arrived. Where nothing has arrived
/// between two questions, what is on its way is given up: it was lost.
pub(crate) fn answer(ledger: Arc<Ledger>) -> io::Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addr = socket.local_addr()?;
    let serve = move || -> io::Result<()> {
        let mut before = Counts::default();
        loop {
            let mut question = [0; SERIAL_BYTES];
            let (_, from) = socket.recv_from(&mut question)?;
            let counts = ledger.counts();
            if counts.arrived == before.arrived && counts.sent == before.sent {
                ledger.pass(counts.sent);
            }
            ledger.set_limit(u64::from_le_bytes(question));
            before = counts;
            socket.send_to(&counts.to_bytes(), from)?;
        }
    };
    thread::Builder::new()
        .name("ledger".to_owned())
        .spawn(serve)?;
    Ok(addr)
}

impl Counts {
    fn to_bytes(self) -> [u8; 2 * SERIAL_BYTES] {
        let mut bytes = [0; 2 * SERIAL_BYTES];
        set_serial(&mut bytes, self.sent);
        set_serial(&mut bytes[SERIAL_BYTES..], self.arrived);
        bytes
    }

    /// Reads the answer to a question.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            sent: serial(bytes)?,
            arrived: serial(bytes.get(SERIAL_BYTES..)?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_keep_to_the_window_and_to_the_limit() {
        let ledger = Ledger::default();
        assert_eq!(ledger.try_burst(), None, "nothing may be sent yet");
        ledger.set_limit(WINDOW + 5);
        assert_eq!(ledger.try_burst(), Some(0..BURST));
        ledger.sent_up_to(WINDOW);
        assert_eq!(ledger.try_burst(), None, "a window is on its way");
        ledger.arrived(BURST - 1, BURST - 2);
        assert_eq!(ledger.try_burst(), None, "no room for a whole burst");
        ledger.arrived(1, BURST - 1);
        assert_eq!(ledger.try_burst(), Some(WINDOW..WINDOW + 5));
        ledger.sent_up_to(WINDOW + 5);
        ledger.arrived(5, WINDOW + 4);
        assert_eq!(ledger.try_burst(), None, "no more than the limit");
        let (sent, arrived) = (WINDOW + 5, BURST + 5);
        assert_eq!(ledger.counts(), Counts { sent, arrived });
    }

    #[test]
    fn what_arrives_late_moves_nothing_back() {
        let ledger = Ledger::default();
        ledger.set_limit(u64::MAX);
        ledger.sent_up_to(WINDOW);
        ledger.pass(WINDOW);
        ledger.arrived(1, 0);
        assert_eq!(ledger.try_burst(), Some(WINDOW..WINDOW + BURST));
    }

    #[test]
    fn answers_tell_the_counts_and_give_up_what_does_not_come() {
        let ledger = Arc::new(Ledger::default());
        let addr = answer(ledger.clone()).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ask = |limit: u64| {
            socket.send_to(&limit.to_le_bytes(), addr).unwrap();
            let mut answer = [0; 64];
            let n = socket.recv(&mut answer).unwrap();
            Counts::from_bytes(&answer[..n]).unwrap()
        };
        assert_eq!(ask(u64::MAX), Counts::default());
        ledger.sent_up_to(WINDOW);
        let counts = Counts {
            sent: WINDOW,
            arrived: 0,
        };
        assert_eq!(ask(u64::MAX), counts);
        assert_eq!(ledger.try_burst(), None);
        assert_eq!(ask(u64::MAX), counts);
        assert_eq!(ledger.try_burst(), Some(WINDOW..WINDOW + BURST));
        assert_eq!(Counts::from_bytes(&[0; 15]), None);
    }

    #[test]
    fn serials_are_read_as_written() {
        let mut datagram = [9; 10];
        set_serial(&mut datagram, 0x0102);
        assert_eq!(serial(&datagram), Some(0x0102));
        assert_eq!(datagram[8..], [9; 2]);
        assert_eq!(serial(&datagram[..7]), None);
    }
}
