//! L18 and L19: a timer fires once or is cancelled, and the alarm rings for the earliest.

use std::sync::Arc as StdArc;
use std::sync::atomic::AtomicU64 as StdAtomicU64;
use std::task::Wake;

use loom::sync::{Arc, Condvar, Mutex as LoomMutex};

use super::*;
use crate::sync::atomic::AtomicBool;
use crate::sync::model::{Wakes, model};
use crate::sync::thread;

const HOUR: u64 = 3600 * 1_000_000_000;

/// A timerfd in an edge-triggered epoll set.
struct Bell {
    /// Where the hand of the clock stands, in hours.
    hour: StdAtomicU64,
    state: LoomMutex<BellState>,
    rings: Condvar,
}

#[derive(Default)]
struct BellState {
    set_to: Option<Duration>,
    rings: bool,
}

impl Bell {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            hour: StdAtomicU64::new(12),
            state: LoomMutex::default(),
            rings: Condvar::new(),
        })
    }

    /// Waits until it rings.
    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        while !std::mem::take(&mut state.rings) {
            state = self.rings.wait(state).unwrap();
        }
    }

    /// The time has come for which it was set.
    fn ring(&self) {
        let mut state = self.state.lock().unwrap();
        assert!(state.set_to.take().is_some(), "only a bell that is set");
        state.rings = true;
        self.rings.notify_one();
    }

    /// In how many hours it will ring, to the nearest.
    fn hours(&self) -> Option<u64> {
        let delay = self.state.lock().unwrap().set_to?;
        Some((delay.as_secs() + 1800) / 3600)
    }
}

impl Alarm for Arc<Bell> {
    fn ring_after(&self, delay: Duration) {
        let mut state = self.state.lock().unwrap();
        state.rings = delay.is_zero();
        if delay.is_zero() {
            self.rings.notify_one();
        } else {
            state.set_to = Some(delay);
        }
    }

    fn now(&self, _: &Clock) -> u64 {
        self.hour.load(Ordering::Relaxed) * HOUR
    }
}

/// Timers at whole hours of a day on which it is noon.
fn timers(bell: &Arc<Bell>) -> Timers<Arc<Bell>> {
    Timers::new(Clock::start(), bell.clone())
}

/// L19: a timer that is due at once rings a bell that a waiting worker hears, and whoever hears it
/// finds the timer, even if it was inserted at this very moment.
///
/// Mutant: timers_ring_before_saying_when: the alarm is set before the hint says that there is
/// something to look at.
/// Mutant: timers_alarm_is_not_moved: the alarm stays at a later tick.
#[test]
fn worker_that_hears_the_alarm_finds_the_timer() {
    model("timers_alarm", None, || {
        let bell = Bell::new();
        let timers = Arc::new(timers(&bell));
        let slots = Slots::new();
        let (_, later) = Wakes::new();
        timers.insert_sleep(20 * HOUR, &later);
        let (wakes, waker) = Wakes::new();
        let other = timers.clone();
        thread::spawn(move || other.insert_sleep(6 * HOUR, &waker));
        while wakes.count() == 0 {
            bell.wait();
            let _ = timers.process(&slots, 9).wake();
        }
        assert_eq!(bell.hours(), Some(8), "set anew for what is left");
    });
}

/// L19: an alarm that was set for a timer since cancelled rings, finds nothing due, and is set
/// anew, also when another timer is inserted at this moment.
///
/// Mutant: timers_hint_is_the_wheels: the hint says when the wheel wants a look, not when the alarm
/// rings, and whoever hears the alarm turns away.
/// Mutant: timers_alarm_is_forgotten: the alarm that rang counts as set.
#[test]
fn alarm_that_rings_for_nothing_is_set_anew() {
    model("timers_idle_ring", None, || {
        let bell = Bell::new();
        let timers = timers(&bell);
        let slots = Slots::new();
        let (_, waker) = Wakes::new();
        let cancelled = timers.insert_sleep(14 * HOUR, &waker).unwrap();
        timers.insert_sleep(16 * HOUR, &waker);
        timers.remove_sleep(&cancelled);
        bell.hour.store(15, Ordering::Relaxed);
        let timers = Arc::new(timers);
        let other = timers.clone();
        let inserter = thread::spawn(move || other.insert_sleep(18 * HOUR, &waker));
        bell.ring();
        bell.wait();
        let _ = timers.process(&slots, 9).wake();
        inserter.join().unwrap();
        assert_eq!(bell.hours(), Some(1), "for the timer at 16");
    });
}

/// L19: timers inserted while a worker lets others fire: the alarm rings for the earliest that is
/// left.
///
/// Mutant: timers_alarm_is_not_moved: the alarm stays at a later tick.
/// Mutant: timers_look_ahead_unlocked: the alarm is set for what was the earliest before the lock
/// was taken again.
/// Mutant: timers_alarm_is_forgotten: the alarm that rang counts as set.
#[test]
fn earlier_timer_inserted_while_others_fire_moves_the_alarm() {
    model("timers_earlier", None, || {
        let bell = Bell::new();
        let timers = Arc::new(timers(&bell));
        let slots = Slots::new();
        let (wakes, waker) = Wakes::new();
        timers.insert_sleep(11 * HOUR, &waker);
        timers.insert_sleep(20 * HOUR, &waker);
        let others = [(timers.clone(), 14), (timers.clone(), 17)];
        let inserters = others.map(|(timers, hour)| {
            let waker = waker.clone();
            thread::spawn(move || timers.insert_sleep(hour * HOUR, &waker))
        });
        let _ = timers.process(&slots, 9).wake();
        for inserter in inserters {
            inserter.join().unwrap();
        }
        // The wheel may want a look before, to move what is far away nearer.
        assert!(matches!(bell.hours(), Some(1 | 2)), "for the timer at 14");
        assert_eq!((wakes.count(), timers.len()), (1, 3));
    });
}

/// L18: a sleep that is moved to another waker while it fires wakes exactly one of the two, and
/// says which.
///
/// Mutant: timers_set_keeps_the_old: `set_sleep` does not replace the waker.
/// Mutant: timers_set_always_succeeds: `set_sleep` does not say that the sleep fired.
#[test]
fn sleep_updated_while_it_fires_wakes_one() {
    model("timers_update", None, || {
        let timers = Arc::new(timers(&Bell::new()));
        let (old_wakes, old) = Wakes::new();
        let (new_wakes, new) = Wakes::new();
        let mut holder = timers.insert_sleep(11 * HOUR, &old).unwrap();
        let other = timers.clone();
        let worker = thread::spawn(move || other.process(&Slots::new(), 9).wake());
        let is_updated = timers.set_sleep(&mut holder, 11 * HOUR, &new);
        // If the look came while the waker was replaced, the next one finds it.
        let fired = worker.join().unwrap();
        assert!(fired != timers.process_at(13 * HOUR, &Slots::new(), 9).wake());
        let expected = if is_updated { (0, 1) } else { (1, 0) };
        assert_eq!((old_wakes.count(), new_wakes.count()), expected);
        assert_eq!(timers.len(), 0);
    });
}

/// L18: two workers and a cancellation: a sleep fires once at most, and not if it was cancelled
/// before any worker came to it. Cancelling it late does not hit the timer that has its place now.
///
/// Mutant: timers_cancel_does_nothing: `remove_sleep` leaves the timer in the wheel.
#[test]
fn cancel_racing_fire_hits_its_own_timer_only() {
    model("timers_cancel", None, || {
        let timers = Arc::new(timers(&Bell::new()));
        let slots = Arc::new(Slots::new());
        let (wakes, waker) = Wakes::new();
        let (next_wakes, next_waker) = Wakes::new();
        let holder = timers.insert_sleep(11 * HOUR, &waker).unwrap();
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let (other, others_slots) = (timers.clone(), slots.clone());
        let was_cancelled = is_cancelled.clone();
        let worker = thread::spawn(move || {
            let was_cancelled = was_cancelled.load(Ordering::Acquire);
            let fired = other.process(&others_slots, 9).wake();
            assert!(
                !(was_cancelled && fired),
                "not once cancelling has returned"
            );
            other.insert_sleep(11 * HOUR, &next_waker);
            fired
        });
        timers.remove_sleep(&holder);
        is_cancelled.store(true, Ordering::Release);
        let fired_before = wakes.count();
        let fired = worker.join().unwrap();
        assert!(fired_before <= 1 && wakes.count() == usize::from(fired));
        let _ = timers.process_at(13 * HOUR, &slots, 9).wake();
        assert_eq!(next_wakes.count(), 1, "the next one is not lost");
        assert_eq!(
            wakes.count(),
            usize::from(fired),
            "cancelled, or fired once"
        );
        assert_eq!(timers.len(), 0);
    });
}

/// Inserts another timer when woken, as a task that is polled at once might.
struct Inserter(Arc<Timers<Arc<Bell>>>, Waker);

impl Wake for Inserter {
    fn wake(self: StdArc<Self>) {
        self.0.insert_sleep(20 * HOUR, &self.1);
    }
}

impl Drop for Inserter {
    fn drop(&mut self) {
        // This takes the lock.
        assert!(self.0.len() <= 4);
    }
}

/// Wakers are woken and dropped without the lock: they may come back for it.
///
/// Mutant: timers_wake_under_the_lock: due timers are woken while the wheel is locked.
/// Mutant: timers_drop_under_the_lock: what nobody waits for is dropped while the wheel is locked.
#[test]
fn wakers_run_without_the_lock() {
    model("timers_foreign_code", None, || {
        let timers = Arc::new(timers(&Bell::new()));
        let (_, waker) = Wakes::new();
        let inserter =
            |timers: &Arc<Timers<_>>| StdArc::new(Inserter(timers.clone(), waker.clone()));
        let mut kept = timers
            .insert_sleep(22 * HOUR, &inserter(&timers).into())
            .unwrap();
        timers.insert_sleep(11 * HOUR, &inserter(&timers).into());
        let left = timers.insert_sleep(10 * HOUR, &inserter(&timers).into());
        left.as_ref().unwrap().rest();
        drop(left);
        let other = timers.clone();
        let worker = thread::spawn(move || other.process(&Slots::new(), 9).wake());
        assert!(
            timers.set_sleep(&mut kept, 22 * HOUR, &waker),
            "it has not fired"
        );
        assert!(worker.join().unwrap());
        assert_eq!(
            timers.len(),
            2,
            "the one that was kept, the one that was inserted"
        );
        timers.remove_sleep(&kept);
    });
}
