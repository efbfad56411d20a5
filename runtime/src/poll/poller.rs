//! One epoll instance: registration, waiting, and delivery of events to poll descriptors.
//!
//! Who waits in `epoll_wait` is decided in [`idle`](crate::sched::idle): at least one worker while none
//! is active, all idle ones while tasks are long; the others wait in the [`reserve`](super::reserve).
//! The kernel wakes one per event, last in first out. Nothing is handed over, and no thread holds a
//! lock while it waits.
//!
//! Keys: generation and index of a slot, or one of two reserved values whose index no slot has.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use gannet_sys::epoll::{Epoll, Events, Interest, Wait};
use gannet_sys::eventfd::EventFd;
use gannet_sys::fd::Replaceable;
use gannet_sys::socket::{Domain, Kind};
use gannet_sys::timerfd::TimerFd;

use super::desc::Side;
use super::reserve::Reserve;
use super::slots::{Key, Slots};
use super::wake::WakeFlag;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::driver::{Alarm, Clock, Due, Timers};

const WAKE_KEY: u64 = u64::MAX;
const TIMER_KEY: u64 = u64::MAX - 1;
const WATCH_KEY: u64 = u64::MAX - 2;

impl Alarm for TimerFd {
    fn ring_after(&self, delay: Duration) {
        // It fails only for a descriptor that is no timerfd, or values that the wrapper caps.
        self.set_after(delay)
            .expect("the poller's timerfd can be set");
    }
}

/// What one look at the kernel brought, beyond the descriptors that were notified.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Turn {
    /// A wake-up was taken.
    pub(crate) woken: bool,
    /// Timers fired.
    pub(crate) timers: bool,
    /// The scheduler's own timer rang.
    pub(crate) watch: bool,
    /// How many descriptor events were delivered.
    pub(crate) events: usize,
}

/// The netpoller of one runtime.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: Epoll,
    wake: WakeFlag<EventFd>,
    pub(crate) timers: Timers<TimerFd>,
    pub(crate) slots: Slots,
    /// Where workers wait that are not needed here.
    pub(crate) reserve: Reserve,
    /// An unconnected socket that stands in for closed descriptors (see
    /// [`AsyncFd::close`](super::fd::AsyncFd::close)).
    stub: OwnedFd,
    wakes: AtomicU64,
    forks: u32,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        gannet_sys::fork::watch();
        let (epoll, wake, timer) = (Epoll::new()?, EventFd::new()?, TimerFd::new()?);
        epoll.add(wake.as_fd(), Interest::READ, WAKE_KEY)?;
        epoll.add(timer.as_fd(), Interest::READ, TIMER_KEY)?;
        let reserve = Reserve::new()?;
        epoll.add(reserve.watch_timer(), Interest::READ, WATCH_KEY)?;
        Ok(Self {
            epoll,
            wake: WakeFlag::new(wake),
            timers: Timers::new(Clock::start(), timer),
            slots: Slots::new(),
            reserve,
            stub: gannet_sys::socket::socket(Domain::Unix, Kind::Stream)?,
            wakes: AtomicU64::new(0),
            forks: gannet_sys::fork::forks(),
        })
    }

    /// Starts to report edges of `fd`; `drained` as in [`Slots::open`].
    pub(crate) fn register(
        &self,
        fd: BorrowedFd<'_>,
        write: bool,
        drained: bool,
    ) -> io::Result<Key> {
        let key = self.slots.open(drained)?;
        let interest = if write {
            Interest::READ_WRITE
        } else {
            Interest::READ
        };
        if let Err(err) = self.epoll.add(fd, interest, key.to_bits()) {
            self.slots.release(key);
            return Err(explain(err));
        }
        self.slots.slot(key.index).note_armed(write);
        Ok(key)
    }

    /// Asks for edges of one side, at the first operation that would block. The caller holds that
    /// side's lock.
    ///
    /// Most sockets never wait to write, and so never pay for an event that says "writable" at
    /// birth; some are never registered at all. The kernel reports the present state anew, so no
    /// edge is lost. The other side may do the same at this moment: whoever comes second finds the
    /// descriptor on the list, and only this side ever asks for writability.
    pub(crate) fn arm(&self, fd: BorrowedFd<'_>, key: Key, side: Side) -> io::Result<()> {
        let descriptor = self.slots.slot(key.index);
        let write = side == Side::Write;
        let interest = if write {
            Interest::READ_WRITE
        } else {
            Interest::READ
        };
        let is_known = descriptor.is_armed(Side::Read)
            || match self.epoll.add(fd, interest, key.to_bits()) {
                Err(err) if err.raw_os_error() == Some(gannet_sys::errno::EEXIST) => true,
                added => added.map(|()| false).map_err(explain)?,
            };
        if is_known && write {
            self.epoll.modify(fd, interest, key.to_bits())?;
        }
        descriptor.note_armed(write);
        Ok(())
    }

    /// Takes `fd` out of the kernel's list before it is closed, if closing alone might not: a
    /// description that lives on elsewhere (a duplicate, a forked child) would report events of a
    /// dead key for ever.
    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>, key: Key, may_be_shared: bool) {
        let is_known = self.slots.slot(key.index).is_armed(Side::Read);
        if is_known && (may_be_shared || gannet_sys::fork::forks() != self.forks) {
            // ENOENT, if the user took it out behind our back, leaves what we want.
            let _ = self.epoll.delete(fd);
        }
    }

    /// Lets the number of a closed descriptor refer to the stub, which closes what it referred to.
    pub(crate) fn replace_by_stub(&self, fd: &Replaceable) -> io::Result<()> {
        loop {
            match fd.replace(self.stub.as_fd()) {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Wakes one worker that waits in [`turn`](Self::turn).
    pub(crate) fn wake(&self) {
        if self.wake.raise() {
            self.wakes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Wakes one worker that waits in the reserve.
    pub(crate) fn call(&self) {
        if self.reserve.call() {
            self.wakes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many wake-ups were written so far.
    pub(crate) fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Relaxed)
    }

    /// Asks the kernel for at most `max` events, waits for the first if told to, delivers them, and
    /// lets due timers fire. Wakers run here, on the caller's thread, without a lock. `returned`
    /// runs first, when the wait is over.
    pub(crate) fn turn(
        &self,
        events: &mut Events,
        max: usize,
        wait: Wait,
        returned: impl FnOnce(),
    ) -> Turn {
        let mut turn = Turn::default();
        let result = self.epoll.wait(events, max, wait);
        returned();
        match result {
            Ok(_) => {}
            // The caller comes back, and nothing was consumed.
            Err(err) if err.kind() == io::ErrorKind::Interrupted => return turn,
            Err(err) => panic!("epoll_wait on the poller's own descriptor failed: {err}"),
        }
        for event in events.iter() {
            match event.key {
                WAKE_KEY => {
                    self.wake.take();
                    turn.woken = true;
                }
                WATCH_KEY => turn.watch = true,
                TIMER_KEY => self.timers.rang(),
                bits => {
                    let key = Key::from_bits(bits);
                    turn.events += 1;
                    self.slots
                        .slot(key.index)
                        .notify(key.generation, event.ready)
                        .wake();
                }
            }
        }
        let room = max.saturating_sub(turn.events).max(1);
        let due: Due = self.timers.process(&self.slots, room);
        turn.timers = due.wake();
        turn
    }
}

/// Says what the kernel's refusal to poll a descriptor means.
fn explain(err: io::Error) -> io::Error {
    use gannet_sys::errno;
    let why = match err.raw_os_error() {
        Some(errno::EPERM) => {
            "this kind of descriptor cannot be polled (EPERM): a regular file or directory is always ready"
        }
        Some(errno::EEXIST) => "the descriptor is registered with this runtime already (EEXIST)",
        Some(errno::ENOSPC) => {
            "the user's limit of polled descriptors is reached (ENOSPC): see /proc/sys/fs/epoll/max_user_watches"
        }
        _ => return err,
    };
    io::Error::new(err.kind(), Refused { why, err })
}

/// A registration that the kernel refused, with what that means.
#[derive(Debug)]
struct Refused {
    why: &'static str,
    err: io::Error,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "register with the poller: {}", self.why)
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.err)
    }
}
