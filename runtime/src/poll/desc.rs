//! What the poller keeps for one descriptor: two independent directions and the timer entry they
//! share.

use std::task::Waker;

use super::direction::{Direction, Drained, NO_DEADLINE, PAST};
use crate::error::Stop;
use crate::foreign;
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::time::arming::Arming;
use gannet_sys::epoll::Ready;

/// A direction of data flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Read,
    Write,
}

/// A poll descriptor. It lives in a slot that is never freed and is handed from owner to owner by
/// generation.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub(crate) read: Direction,
    pub(crate) write: Direction,
    /// When the wheel will look at this descriptor. It outlives its owner: there is one entry per
    /// slot at most, and one that fires for nothing costs a look.
    pub(crate) arming: Arming,
    /// Generation of the present or next owner. Changed under the lock of the free list only.
    generation: AtomicU32,
    /// Whether the kernel reports edges at all, and of writability too.
    armed_sides: [AtomicBool; 2],
    /// Whether registering was put off once already.
    deferred: AtomicBool,
    /// What each side's last call told; none of the two is another's.
    drained: [Drained; 2],
}

/// The waiters that an event or a deadline releases, to be woken when no lock is held.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Released {
    pub(crate) read: Option<Waker>,
    pub(crate) write: Option<Waker>,
}

impl Released {
    /// Wakes both waiters.
    pub(crate) fn wake(self) {
        if let Some(waker) = self.read {
            foreign::wake(waker);
        }
        if let Some(waker) = self.write {
            foreign::wake(waker);
        }
    }
}

impl Descriptor {
    pub(crate) fn new() -> Self {
        Self {
            read: Direction::new(),
            write: Direction::new(),
            arming: Arming::new(),
            generation: AtomicU32::new(0),
            armed_sides: [AtomicBool::new(false), AtomicBool::new(false)],
            deferred: AtomicBool::new(false),
            drained: [Drained::new(), Drained::new()],
        }
    }

    pub(crate) fn side(&self, side: Side) -> &Direction {
        match side {
            Side::Read => &self.read,
            Side::Write => &self.write,
        }
    }

    #[inline]
    pub(crate) fn drained(&self, side: Side) -> &Drained {
        &self.drained[side as usize]
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Prepares the slot for the owner of `generation`.
    pub(crate) fn open(&self, generation: u32, drained: bool) {
        self.generation.store(generation, Ordering::Relaxed);
        for armed in &self.armed_sides {
            armed.store(false, Ordering::Relaxed);
        }
        self.deferred.store(false, Ordering::Relaxed);
        self.drained(Side::Read).set(drained);
        self.drained(Side::Write).set(false);
        self.read.open(generation.into());
        self.write.open(generation.into());
    }

    /// Delivers an event to the owner of `generation`; an earlier owner's event changes nothing.
    pub(crate) fn notify(&self, generation: u32, ready: Ready) -> Released {
        let hinted = !(ready.is_hup() || ready.is_error() || ready.is_priority());
        let mut released = Released::default();
        if ready.is_readable() || ready.is_priority() {
            released.read = self.read.notify(generation.into(), hinted);
        }
        if ready.is_writable() {
            released.write = self.write.notify(generation.into(), true);
        }
        released
    }

    /// Ends every wait of the present owner.
    pub(crate) fn stop(&self, stop: Stop) -> Released {
        Released {
            read: self.read.stop(stop),
            write: self.write.stop(stop),
        }
    }

    /// Returns whether the kernel reports edges of one side. A false "no", which another thread is
    /// about to correct, costs a system call.
    #[inline]
    pub(crate) fn is_armed(&self, side: Side) -> bool {
        self.armed_sides[side as usize].load(Ordering::Relaxed)
    }

    /// Notes that the kernel reports edges, and of writability too if `write`.
    pub(crate) fn note_armed(&self, write: bool) {
        self.armed_sides[Side::Read as usize].store(true, Ordering::Relaxed);
        if write {
            self.armed_sides[Side::Write as usize].store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether registering for reading should be put off until the task's next turn, as it
    /// should once: by then the peer of a short connection may have said its next word, or ended it.
    pub(crate) fn defer(&self) -> bool {
        // Only the holder of the read lock asks.
        !self.deferred.load(Ordering::Relaxed) && {
            self.deferred.store(true, Ordering::Relaxed);
            true
        }
    }

    /// Stores a deadline for one side. Returns whether the wheel must be told.
    ///
    /// The wheel is told only when it would look too late: moving a deadline further away is an
    /// exchange and a load.
    #[inline]
    pub(crate) fn set_deadline(&self, side: Side, deadline: u64) -> bool {
        self.side(side).set_deadline(deadline);
        deadline != NO_DEADLINE && self.arming.is_late_for(deadline)
    }

    /// Returns when the wheel must look, if that is earlier than it would, and the entry that this
    /// replaces. The caller holds the wheel's lock and reports the new entry to `arming`.
    pub(crate) fn arm(&self) -> Option<(u64, Option<u64>)> {
        let next = [&self.read, &self.write]
            .into_iter()
            .map(Direction::deadline)
            .filter(|&at| at != NO_DEADLINE && at != PAST)
            .min()?;
        Some((next, self.arming.arm(next)?))
    }

    /// Lets due deadlines expire and returns when to look again. The wheel's entry is gone; the
    /// caller holds the wheel's lock, enters the result there and reports it to `arming`.
    pub(crate) fn look(&self, now: u64) -> (Released, Option<u64>) {
        self.arming.disarm();
        let mut next = None;
        let mut expire = |direction: &Direction| match direction.expire(now) {
            Ok(waker) => waker,
            Err(later) => {
                next = Some(next.map_or(later, |at: u64| at.min(later)));
                None
            }
        };
        let released = Released {
            read: expire(&self.read),
            write: expire(&self.write),
        };
        if let Some(at) = next {
            self.arming.arm(at);
        }
        (released, next)
    }
}

crate::sync::models!();
