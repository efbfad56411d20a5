//! How fast the fragments of one instruction may follow each other.

use std::time::{Duration, Instant};

/// A bucket of datagrams: some at once, the rest at a rate.
///
/// mosh sends all fragments of an instruction at once, which for a big one is more than a socket
/// buffer holds.
#[derive(Debug)]
pub(super) struct Pacer {
    left: u32,
    refill_at: Instant,
}

/// Datagrams that may be sent at once: about what a small receive buffer and a home router hold.
const BURST: u32 = 32;

/// The bursts in a round trip.
const BURSTS_PER_ROUND_TRIP: u32 = 8;
const REFILL_MIN: Duration = Duration::from_millis(1);
const REFILL_MAX: Duration = Duration::from_millis(50);

impl Pacer {
    pub(super) fn new(now: Instant) -> Self {
        Pacer {
            left: BURST,
            refill_at: now,
        }
    }

    /// Takes leave to send one datagram; otherwise says when to ask again.
    pub(super) fn take(&mut self, now: Instant, srtt: Duration) -> Result<(), Instant> {
        if now >= self.refill_at {
            self.left = BURST;
            self.refill_at = now + (srtt / BURSTS_PER_ROUND_TRIP).clamp(REFILL_MIN, REFILL_MAX);
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.refill_at),
        }
    }
}
