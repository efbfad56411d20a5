//! L18: a timer that is set while the wheel looks at it fires for the deadline and the waker that it
//! was set to last.

use loom::sync::{Arc, Mutex};

use super::*;
use crate::sync::model::{Wakes, model};
use crate::sync::thread;

/// A wheel with room for one entry: when it will look.
struct OneWheel(Mutex<Option<u64>>);

impl OneWheel {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None)))
    }

    fn insert(&self, at: u64, waker: &Waker) -> Holder {
        let holder = Holder::new(at, waker);
        self.arm(holder.timer(), at);
        holder
    }

    fn set(&self, holder: &mut Holder, at: u64, waker: &Waker) -> Result<(), Fired> {
        let (is_late, former) = holder.set(at, waker)?;
        if is_late {
            self.arm(holder.timer(), at);
        }
        drop(former);
        Ok(())
    }

    fn arm(&self, timer: &Timer, at: u64) {
        let mut wheel = self.0.lock().unwrap();
        if let Some(replaced) = timer.arming.arm(at) {
            assert_eq!(replaced.is_some(), wheel.is_some(), "one entry");
            *wheel = Some(at);
            timer.arming.armed_as(at);
        }
    }

    /// The clock shows `now`. Returns whether it fired.
    fn fire(&self, timer: &Timer, now: u64) -> bool {
        let mut wheel = self.0.lock().unwrap();
        if wheel.is_none_or(|at| at > now) {
            return false;
        }
        let look = timer.look(now);
        *wheel = match look {
            Look::Later(at) => Some(at),
            Look::Fired(_) | Look::Idle => None,
        };
        if let Look::Later(at) = look {
            timer.arming.armed_as(at);
        }
        drop(wheel);
        match look {
            Look::Fired(waker) => {
                waker.expect("it was set").wake();
                true
            }
            Look::Idle | Look::Later(_) => false,
        }
    }

    fn looks_at(&self) -> Option<u64> {
        *self.0.lock().unwrap()
    }
}

/// A timer that was left behind and is taken over while the wheel comes to it: it has an entry that is
/// early enough, also if it is set to the very deadline that it had; or it fired for what was left, and
/// the holder is told.
///
/// Mutant: timer_set_ignores_arming: the setter tells the wheel only of an earlier deadline.
/// Mutant: timer_look_disarms_last: the look says that the entry is gone after it read the deadline.
/// Mutant: timer_look_loads: the look may read an old deadline after all.
/// Mutant: timer_look_forgets_later: the look enters no moved deadline again.
#[test]
fn timer_taken_over_while_the_wheel_looks_is_armed() {
    for at in [5, 10] {
        model(&format!("timer_taken_over_{at}"), None, move || {
            let wheel = OneWheel::new();
            let (wakes, waker) = Wakes::new();
            let mut holder = wheel.insert(5, &waker);
            holder.rest();
            let (other, timer) = (wheel.clone(), holder.timer().clone());
            let worker = thread::spawn(move || other.fire(&timer, 7));
            let set = wheel.set(&mut holder, at, &waker);
            let fired = worker.join().unwrap();
            if set == Err(Fired) {
                assert!(fired, "for the deadline that was left");
                return;
            }
            if !fired {
                let looks = wheel.looks_at();
                assert!(looks.is_some_and(|looks| looks <= at), "{looks:?}");
                assert!(wheel.fire(holder.timer(), at));
            }
            assert_eq!(wakes.count(), 1);
        });
    }
}

/// A timer that is set for another waker, or moved, while it is due: it fires for the former or the
/// later, the holder is told which, and both threads never have the cell at the same time.
///
/// Mutant: timer_replaces_unclaimed: the waker is replaced without moving the word first.
/// Mutant: timer_fires_in_two_steps: the look stores FIRED, over a deadline that was moved.
/// Mutant: timer_set_is_relaxed: what was set is not published to the look.
/// Mutant: timer_look_acquires_nothing: the look does not see the waker that it takes.
#[test]
fn timer_set_for_another_while_due_wakes_one() {
    model("timer_another", None, || {
        let wheel = OneWheel::new();
        let (old_wakes, old) = Wakes::new();
        let (new_wakes, new) = Wakes::new();
        let mut holder = wheel.insert(5, &old);
        let (other, timer) = (wheel.clone(), holder.timer().clone());
        let worker = thread::spawn(move || other.fire(&timer, 7));
        let set = wheel.set(&mut holder, 6, &new);
        let fired = worker.join().unwrap() || wheel.fire(holder.timer(), 7);
        assert!(fired);
        let expected = if set.is_ok() { (0, 1) } else { (1, 0) };
        assert_eq!((old_wakes.count(), new_wakes.count()), expected);
    });
}

/// A timer that is left behind wakes nobody once that is known, whatever deadline it had.
///
/// Mutant: timer_look_ignores_idle: the look fires what nobody waits for.
/// Mutant: timer_rest_says_nothing: a look that comes later does not know.
#[test]
fn timer_left_behind_wakes_nobody() {
    model("timer_left", None, || {
        let wheel = OneWheel::new();
        let (_, waker) = Wakes::new();
        let holder = wheel.insert(5, &waker);
        let is_dropped = Arc::new(AtomicBool::new(false));
        let (other, timer, was_dropped) =
            (wheel.clone(), holder.timer().clone(), is_dropped.clone());
        let worker = thread::spawn(move || {
            let was_dropped = was_dropped.load(Ordering::Acquire);
            assert!(
                !(was_dropped && other.fire(&timer, 7)),
                "it woke a dropped sleep"
            );
        });
        holder.rest();
        is_dropped.store(true, Ordering::Release);
        worker.join().unwrap();
    });
}

/// A timer whose waker is kept across: set again and again while it fires, no wake is lost and none
/// comes twice.
///
/// Mutant: timer_keeps_idle: a timer that is taken over still counts as left behind.
#[test]
fn timer_set_again_while_due_fires_once() {
    model("timer_again", None, || {
        let wheel = OneWheel::new();
        let (wakes, waker) = Wakes::new();
        let mut holder = wheel.insert(5, &waker);
        let (other, timer) = (wheel.clone(), holder.timer().clone());
        let worker = thread::spawn(move || other.fire(&timer, 7));
        holder.rest();
        let set = wheel.set(&mut holder, 6, &waker);
        let fired = worker.join().unwrap();
        match set {
            Err(Fired) => assert!(fired, "it fired before it was set again"),
            Ok(()) => assert!(fired || wheel.fire(holder.timer(), 7)),
        }
        assert_eq!(wakes.count(), 1);
    });
}
