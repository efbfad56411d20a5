//! Interrupts a worker that waits in the poller, with at most one `eventfd` write in flight.
//!
//! ```text
//! LOWERED ──raise──▶ RAISED   (writes the eventfd)
//! RAISED  ──raise──▶ RAISED   (nothing to do: the write is on its way)
//! RAISED  ──take───▶ LOWERED  (drains the eventfd first, lowers second)
//! ```
//! Drained before lowered: a wake-up that comes in between finds the flag still up and writes
//! nothing, and the worker sees what it announced, because it looks at the queues after it lowered
//! the flag. The other way round its write would be drained and lost.
//!
//! The eventfd is edge-triggered, so exactly one waiting worker comes back for a write. A worker
//! that polls without waiting may harvest the event instead; it is active then, so it looks at all
//! queues before it parks (see [`Idle`](crate::sched::idle::Idle)).

use crate::sync::atomic::{AtomicBool, Ordering};

/// The channel that a wake-up travels through; the kernel's eventfd, but for models.
pub(crate) trait Channel {
    fn notify(&self);
    fn drain(&self);
}

impl Channel for gannet_sys::eventfd::EventFd {
    fn notify(&self) {
        // EINTR can't lose it: the call is repeated. Any other error means that the descriptor is
        // not an eventfd.
        while let Err(err) = self.notify() {
            assert!(
                err.kind() == std::io::ErrorKind::Interrupted,
                "eventfd of the poller: {err}"
            );
        }
    }

    fn drain(&self) {
        while let Err(err) = self.drain() {
            assert!(
                err.kind() == std::io::ErrorKind::Interrupted,
                "eventfd of the poller: {err}"
            );
        }
    }
}

/// Coalesces wake-ups.
#[derive(Debug)]
pub(crate) struct WakeFlag<C> {
    raised: AtomicBool,
    channel: C,
}

impl<C: Channel> WakeFlag<C> {
    pub(crate) fn new(channel: C) -> Self {
        Self {
            raised: AtomicBool::new(false),
            channel,
        }
    }

    /// Wakes one waiting worker. Returns whether that took a write.
    pub(crate) fn raise(&self) -> bool {
        // Release: publishes what the caller queued. Pairs with `take`.
        let first = !self.raised.swap(true, Ordering::Release);
        if first {
            self.channel.notify();
        }
        first
    }

    /// Takes the wake-up whose event the poller delivered. The caller looks at the queues
    /// afterwards.
    pub(crate) fn take(&self) {
        self.channel.drain();
        // Acquire: sees what every coalesced `raise` queued. A swap and not a store, because only a
        // read-modify-write reads the value that it replaces. Pairs with `raise`.
        self.raised.swap(false, Ordering::Acquire);
    }
}

crate::sync::models!();
