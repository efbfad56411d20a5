//! Bulk transfer: a sender and a receiver of datagrams in one process, on each rival.
//!
//! Datagrams of [`BYTES`] bytes go from one socket to another, as fast as both ends can, with no more
//! than [`WINDOW`] on their way: what a protocol's acknowledgements would see to is done in memory
//! that both share (`ledger`), so that the figures are those of the sockets and nothing is sent in vain.
//! One a call, or joined: cut and joined by the kernel (GSO and GRO), where tokio has quinn-udp.

pub(crate) mod gannet;
mod ledger;
mod quinn;
pub(crate) mod raw;
pub(crate) mod tokio;

use std::net::{Ipv4Addr, SocketAddrV4};

pub(crate) use self::ledger::{Counts, Ledger};
use self::ledger::{answer, serial, set_serial};

/// The payload of a datagram.
pub(crate) const BYTES: usize = 1400;
/// How many datagrams the kernel cuts out of the longest message that it takes, of 65,507 bytes.
const SEGMENTS: usize = 65_507 / BYTES;
/// Messages of a batch.
const MESSAGES: usize = 4;
/// Datagrams that are sent at a time: a batch, or as many by themselves.
pub(crate) const BURST: u64 = (MESSAGES * SEGMENTS) as u64;
/// The most datagrams on their way. With twice as many the tasks of those that join are so long that
/// gannet calls its second worker, and the data goes from cache to cache.
pub(crate) const WINDOW: u64 = BURST;
/// Buffers for a batch that is received, each for as much as the kernel joins.
const BUFFERS: usize = 2 * MESSAGES;
const BUFFER_BYTES: usize = u16::MAX as usize;
/// The receive buffer that is asked for. A window of single datagrams takes the kernel some 450 KB.
pub(crate) const RECEIVE_BUFFER: i32 = 4 << 20;
/// The bytes of a datagram's number, at its beginning.
const SERIAL_BYTES: usize = 8;

/// Where sender and receiver live.
const LOCAL: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);

/// What one call received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    count: u64,
    last: u64,
}

impl Tally {
    /// Counts a datagram, if it is one of the transfer's.
    fn note(&mut self, datagram: &[u8]) {
        if let Some(serial) = serial(datagram).filter(|_| datagram.len() == BYTES) {
            self.count += 1;
            self.last = serial;
        }
    }

    /// Enters all that was counted.
    fn enter(self, ledger: &Ledger) {
        if self.count > 0 {
            ledger.arrived(self.count, self.last);
        }
    }
}

/// The datagrams of one burst, one behind the other.
struct Burst {
    data: Vec<u8>,
}

impl Burst {
    fn new() -> Self {
        let data = vec![0x55; BURST as usize * BYTES];
        Self { data }
    }

    /// Numbers the datagrams and returns them.
    fn fill(&mut self, serials: std::ops::Range<u64>) -> &[u8] {
        let len = (serials.end - serials.start) as usize * BYTES;
        for (datagram, serial) in self.data.chunks_exact_mut(BYTES).zip(serials) {
            set_serial(datagram, serial);
        }
        &self.data[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_counts_only_whole_datagrams() {
        let mut burst = Burst::new();
        let data = burst.fill(7..10).to_vec();
        assert_eq!(data.len(), 3 * BYTES);
        let mut tally = Tally::default();
        for datagram in data.chunks(BYTES) {
            tally.note(datagram);
        }
        assert_eq!(tally, Tally { count: 3, last: 9 });
        tally.note(&data[..BYTES - 1]);
        tally.note(&[]);
        assert_eq!(tally, Tally { count: 3, last: 9 });
    }

    #[test]
    fn a_message_is_no_longer_than_the_kernel_takes() {
        assert_eq!(SEGMENTS, 46);
        const { assert!(SEGMENTS <= 64 && BURST <= WINDOW) };
        // Half as much again for what the kernel adds to each.
        assert!(WINDOW as usize * BYTES * 3 / 2 < RECEIVE_BUFFER as usize);
    }
}
