//! What a session counts.

use std::time::Duration;

use super::error::PeerError;

/// What happened in a session so far, and how its path does. A snapshot.
///
/// ```
/// use gannet_roam::proto::{Arrival, Datagrams, Key, Port, Protocol};
/// use std::time::Instant;
///
/// let (key, now): (Key, _) = ("GHe3rr+vIkWSshPEDJebSQ".parse()?, Instant::now());
/// let mut server = Datagrams::server(&key, now);
/// let from = "127.0.0.1:4000".parse()?;
/// let arrival = Arrival { now, port: Port::FIRST, from, congested: false };
/// server.handle_datagram(&arrival, &mut [0; 64]).expect_err("nobody sealed it");
/// let stats = server.stats();
/// assert_eq!((stats.datagrams_received, stats.rejected.forged, stats.rejected.total()), (0, 1, 1));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams that were made. Some may not have reached the network.
    pub datagrams_sent: u64,
    /// Their bytes, without the headers of UDP and IP.
    pub bytes_sent: u64,
    /// Authentic datagrams that came in, in whatever order.
    pub datagrams_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Datagrams that were dropped, with what was wrong.
    pub rejected: Rejected,
    /// States that were sent again under the same number.
    pub resends: u64,
    /// States of the peer that became the newest.
    pub states_received: u64,
    /// Instructions that repeated what is held, or referred to what is not.
    pub instructions_ignored: u64,
    /// Payloads of the peer that were dropped because the application did not take those before.
    pub payloads_dropped: u64,
    /// Changes of the address that is sent to.
    pub roams: u64,
    /// Fresh ports that a client tried.
    pub port_hops: u64,
    /// Datagrams that a router marked "congestion experienced".
    pub congestion_marks: u64,
    /// Sends that the kernel refused.
    pub send_failures: u64,
    /// The smoothed round trip time: a second before the first sample.
    pub srtt: Duration,
    /// Its smoothed deviation.
    pub rttvar: Duration,
    /// How long a datagram may go unanswered before it counts as lost.
    pub rto: Duration,
    /// Bytes of memory in states and instructions, on both their ways, about.
    pub memory: usize,
    /// Sockets that are open.
    pub ports: usize,
}

/// Datagrams that were dropped, by what was wrong with them.
///
/// See [`Stats`] for an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    /// Not authentic: forged, damaged, too short, too long, or sealed with another key.
    pub forged: u64,
    /// Authentic, but seen before or our own.
    pub replayed: u64,
    /// Authentic, and makes no sense: the peer is broken or hostile.
    pub malformed: u64,
}

impl Rejected {
    pub(super) fn count(&mut self, error: PeerError) {
        let counter = match error {
            PeerError::Short | PeerError::Oversize | PeerError::Forged => &mut self.forged,
            PeerError::Direction | PeerError::Replayed => &mut self.replayed,
            _ => &mut self.malformed,
        };
        *counter += 1;
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.forged + self.replayed + self.malformed
    }
}
