//! What is ours to decide: numbers that no peer can tell from mosh's.

use std::time::Duration;

/// Bytes toward an address that has not answered yet, for each byte that came from it. RFC 9000,
/// section 8.
pub(super) const AMPLIFICATION_LIMIT: u64 = 3;

/// How much later than an answer may be due a client tries a fresh port. Covers the peer's own
/// scheduling.
pub(super) const HOP_GRACE: Duration = Duration::from_millis(100);

/// The silence after which the application is told: mosh shows its banner then.
pub(super) const SILENT_AFTER: Duration = super::constants::BANNER_CONTACT;

/// Bytes in the states of the peer that are held. mosh bounds their number only, which a hostile
/// peer fills with big ones.
pub(super) const RECEIVED_BYTES_MAX: usize = 32 << 20;

/// How long after a state that was too big the next one is refused unseen. To make one takes
/// milliseconds, and an honest peer does not send again any sooner.
pub(super) const FULL_PAUSE: Duration = super::constants::RTO_MIN;

/// How long a server gathers what follows a change. mosh waits 8 ms; what a program prints at once is
/// there within less, and the frame interval bounds the rate anyway.
pub(super) const GATHER_SERVER: Duration = Duration::from_millis(2);

/// The least time between two answers to changes of the network: a machine whose interfaces come and go
/// by the hundred must not send as many datagrams.
pub(super) const NETWORK_CHANGE_SPACING: Duration = Duration::from_millis(50);
