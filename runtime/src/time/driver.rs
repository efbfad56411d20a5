//! The runtime's timers: one wheel, one kernel alarm.
//!
//! The alarm is a timerfd in the poller's epoll set, so that the kernel wakes *some* waiting worker
//! when a timer is due. No worker is the keeper of time: one that is stuck in a task holds up its
//! own timers and nobody else's.
//!
//! ```text
//! alarm UNSET or later than the wheel's next ──insert, process──▶ alarm at the wheel's next tick
//! alarm earlier than the wheel's next: left alone; it rings, finds nothing due, and is set anew
//! ```
//! Both the wheel and the alarm are changed under one lock: an earlier timer can't slip in between
//! computing when to wake and saying so to the kernel.
//!
//! What the wheel holds are not deadlines but promises to look, at a descriptor or at the timer of a
//! sleep. Those who set a deadline take the lock only if the wheel would look too late (see [`Arming`]
//! and [`Timer`]): a deadline that is moved away again and again, before it comes, costs no lock.
//!
//! [`Arming`]: super::arming::Arming

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::timer::{Holder, Look, Timer};
use super::wheel::{Key, TICK_MAX, Wheel};
use crate::foreign;
use crate::poll::desc::{Descriptor, Released, Side};
use crate::poll::direction::NO_DEADLINE;
use crate::poll::slots::Slots;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// A tick is 2^18 ns = 0.26 ms: timers are late by at most that and what the scheduler adds.
const TICK_BITS: u32 = 18;
/// Timers this far away (about 146 years) never fire.
pub(crate) const NEVER: u64 = u64::MAX >> 2;
/// The first instant that is neither "no deadline" nor "past".
const FIRST: u64 = 2;

/// What rings when the earliest timer is due; the kernel's timerfd, but for models.
pub(crate) trait Alarm {
    /// Rings once, `delay` from now, instead of whenever it was set to before.
    fn ring_after(&self, delay: Duration);

    /// What `clock` shows. That of a model stands still: each run of it must be the same.
    fn now(&self, clock: &Clock) -> u64 {
        clock.now()
    }
}

/// Nanoseconds since the runtime was built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    base: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            base: gannet_sys::clock::now(),
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.at(gannet_sys::clock::now())
    }

    /// Converts an instant; one before the runtime's birth is its birth.
    #[inline]
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.base);
        // Whole seconds fit: NEVER is 2^62 ns, and both factors are checked by the saturation.
        since
            .as_secs()
            .saturating_mul(1_000_000_000)
            .saturating_add(since.subsec_nanos().into())
            .min(NEVER - FIRST)
            + FIRST
    }
}

#[derive(Debug)]
enum Entry {
    /// Wakes a task, if it still waits.
    Sleep(Arc<Timer>),
    /// Looks at the deadlines of a descriptor.
    Descriptor(u32),
}

#[derive(Debug)]
struct Inner {
    wheel: Wheel<Entry>,
    /// The tick for which the alarm is set.
    alarm_at: Option<u64>,
    /// The runtime has shut down.
    shut: bool,
}

/// What a look at the timers brought, for the caller to act on without a lock.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Due {
    wakers: Vec<Waker>,
    released: Vec<Released>,
    /// Timers that nobody waits for. They may hold a waker, whose drop is foreign code.
    idle: Vec<Arc<Timer>>,
}

impl Due {
    /// Looks at a sleep's timer, and returns it if it is to be looked at later.
    fn look(&mut self, timer: Arc<Timer>, now: u64) -> Option<(u64, Arc<Timer>)> {
        match timer.look(now) {
            Look::Fired(waker) => self.wakers.extend(waker),
            Look::Idle => self.idle.push(timer),
            Look::Later(at) => return Some((at, timer)),
        }
        None
    }

    /// Wakes everyone; returns whether there was anyone.
    pub(crate) fn wake(self) -> bool {
        let any = !(self.wakers.is_empty() && self.released.is_empty());
        self.wakers.into_iter().for_each(foreign::wake);
        self.released.into_iter().for_each(Released::wake);
        self.idle.into_iter().for_each(foreign::drop_contained);
        any
    }
}

/// All timers of one runtime.
#[derive(Debug)]
pub(crate) struct Timers<A> {
    pub(crate) clock: Clock,
    inner: Mutex<Inner>,
    /// When the alarm rings, in nanoseconds; `u64::MAX` if it is not set. A hint that saves the lock.
    next: AtomicU64,
    alarm: A,
}

impl<A: Alarm> Timers<A> {
    pub(crate) fn new(clock: Clock, alarm: A) -> Self {
        let inner = Inner {
            wheel: Wheel::new(),
            alarm_at: None,
            shut: false,
        };
        Self {
            clock,
            inner: Mutex::new(inner),
            next: AtomicU64::new(u64::MAX),
            alarm,
        }
    }

    /// How many timers are set. Looks at each, under the lock: for metrics.
    pub(crate) fn len(&self) -> usize {
        let is_set = |entry: &&Entry| match entry {
            Entry::Sleep(timer) => timer.is_set(),
            Entry::Descriptor(_) => true,
        };
        self.inner.lock().wheel.values().filter(is_set).count()
    }

    /// Wakes `waker` at `at`. `None` after [`shut`](Self::shut), when nobody would.
    pub(crate) fn insert_sleep(&self, at: u64, waker: &Waker) -> Option<Holder> {
        let holder = Holder::new(at, waker);
        self.arm(holder.timer(), at).then_some(holder)
    }

    /// Lets a timer wake `waker` at `at` instead of what it was set to before. Returns `false` if it
    /// can't any more: it has fired, or the runtime has shut down.
    #[inline]
    pub(crate) fn set_sleep(&self, holder: &mut Holder, at: u64, waker: &Waker) -> bool {
        let Ok((is_late, former)) = holder.set(at, waker) else {
            return false;
        };
        let is_armed = !is_late || self.arm(holder.timer(), at);
        drop(former);
        is_armed
    }

    #[cold]
    fn arm(&self, timer: &Arc<Timer>, at: u64) -> bool {
        let mut inner = self.inner.lock();
        if inner.shut {
            return false;
        }
        if let Some(replaced) = timer.arming.arm(at) {
            // Not its last reference, so no waker is dropped here.
            replaced.and_then(|entry| inner.wheel.remove(Key::from_bits(entry)));
            let entry = Entry::Sleep(timer.clone());
            let key = inner.wheel.insert(tick_after(at), entry);
            timer.arming.armed_as(key.to_bits());
            self.set_alarm(&mut inner);
        }
        true
    }

    /// Takes a timer out that is not set again. It wakes nobody once this has returned, unless it
    /// fired before.
    pub(crate) fn remove_sleep(&self, holder: &Holder) {
        // Not whether it is armed: a look under way may arm it again.
        if holder.is_fired() {
            return;
        }
        let mut inner = self.inner.lock();
        if let Some(entry) = holder.timer().arming.disarm() {
            inner.wheel.remove(Key::from_bits(entry));
        }
    }

    /// Takes every sleep out, for the caller to wake: nobody keeps the time any more, and each is to
    /// find that out. Those that come later are refused.
    pub(crate) fn shut(&self) -> Due {
        let mut due = Due::default();
        let mut inner = self.inner.lock();
        inner.shut = true;
        std::mem::replace(&mut inner.wheel, Wheel::new()).advance(TICK_MAX, usize::MAX, |entry| {
            if let Entry::Sleep(timer) = entry {
                due.look(timer, u64::MAX);
            }
        });
        drop(inner);
        due
    }

    /// Sets a deadline on one side of `descriptor`, which is in slot `index`.
    ///
    /// The clock is read only if the wheel must be told. So a deadline in the past is missed here if
    /// the wheel's entry is overdue itself; but then the wheel is about to look, and finds it.
    #[inline]
    pub(crate) fn set_deadline(
        &self,
        descriptor: &Descriptor,
        index: u32,
        side: Side,
        deadline: Option<Instant>,
    ) {
        let at = deadline.map_or(NO_DEADLINE, |instant| self.clock.at(instant));
        if descriptor.set_deadline(side, at) {
            self.arm_descriptor(descriptor, index, side, at);
        }
    }

    /// The wheel would look too late for a new deadline, if it has not passed already.
    #[cold]
    fn arm_descriptor(&self, descriptor: &Descriptor, index: u32, side: Side, at: u64) {
        if at <= self.alarm.now(&self.clock) {
            // Unless another has moved it since.
            if let Ok(Some(waker)) = descriptor.side(side).expire(at) {
                foreign::wake(waker);
            }
            return;
        }
        let mut inner = self.inner.lock();
        if let Some((at, replaced)) = descriptor.arm() {
            replaced.and_then(|entry| inner.wheel.remove(Key::from_bits(entry)));
            let key = inner.wheel.insert(tick_after(at), Entry::Descriptor(index));
            descriptor.arming.armed_as(key.to_bits());
            self.set_alarm(&mut inner);
        }
    }

    /// The alarm was heard. The next [`process`](Self::process) looks and sets it anew, even if the
    /// clock has it that its time is still to come: it will not ring again by itself.
    pub(crate) fn rang(&self) {
        self.inner.lock().alarm_at = None;
        self.next.store(0, Ordering::Release);
    }

    /// Collects what is due, at most `max`: more tasks than the caller has room for would wait longer
    /// there than here. Costs a load when nothing is; `now` is read from the clock only if timers
    /// exist.
    pub(crate) fn process(&self, slots: &Slots, max: usize) -> Due {
        // Acquire: none to pair with for memory; a stale value is corrected by the alarm.
        let next = self.next.load(Ordering::Acquire);
        if next == u64::MAX {
            return Due::default();
        }
        let now = self.alarm.now(&self.clock);
        if next > now {
            Due::default()
        } else {
            self.process_at(now, slots, max)
        }
    }

    fn process_at(&self, now: u64, slots: &Slots, max: usize) -> Due {
        let mut due = Due::default();
        let mut inner = self.inner.lock();
        let mut looks = Vec::new();
        let mut later = Vec::new();
        inner
            .wheel
            .advance(now >> TICK_BITS, max, |entry| match entry {
                Entry::Sleep(timer) => later.extend(due.look(timer, now)),
                Entry::Descriptor(index) => looks.push(index),
            });
        for (at, timer) in later {
            let key = inner
                .wheel
                .insert(tick_after(at), Entry::Sleep(timer.clone()));
            timer.arming.armed_as(key.to_bits());
        }
        for index in looks {
            let descriptor = slots.slot(index);
            let (released, next) = descriptor.look(now);
            if released.read.is_some() || released.write.is_some() {
                due.released.push(released);
            }
            if let Some(at) = next {
                let key = inner.wheel.insert(tick_after(at), Entry::Descriptor(index));
                descriptor.arming.armed_as(key.to_bits());
            }
        }
        // An alarm for a tick that has come has rung, or is about to.
        if inner.alarm_at.is_some_and(|at| at <= now >> TICK_BITS) {
            inner.alarm_at = None;
        }
        self.set_alarm(&mut inner);
        due
    }

    /// Makes sure that the alarm rings when the wheel wants to be looked at, or before.
    fn set_alarm(&self, inner: &mut Inner) {
        let earlier = inner
            .wheel
            .next_tick()
            .filter(|&tick| inner.alarm_at.is_none_or(|at| at > tick));
        inner.alarm_at = earlier.or(inner.alarm_at);
        // The alarm's tick and not the wheel's, which may be later: whoever hears the alarm must
        // come in and set it anew, even if what it was set for is gone. Stored before the alarm is
        // set, because that may ring at once, and whoever hears it looks here.
        let look_at = inner.alarm_at.map_or(u64::MAX, |tick| tick << TICK_BITS);
        self.next.store(look_at, Ordering::Release);
        if let Some(tick) = earlier {
            let delay = (tick << TICK_BITS).saturating_sub(self.alarm.now(&self.clock));
            self.alarm.ring_after(Duration::from_nanos(delay));
        }
    }
}

/// The first tick at whose beginning `at` has passed: timers are never early.
fn tick_after(at: u64) -> u64 {
    (at >> TICK_BITS) + 1
}

crate::sync::models!();
