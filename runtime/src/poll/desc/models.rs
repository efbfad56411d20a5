//! L4 and L18: two directions that do not disturb each other, and a timer entry that is never too
//! late for either deadline.

use std::future::poll_fn;
use std::os::fd::AsFd;

use loom::sync::{Arc, Mutex};

use super::*;
use crate::sync::model::{block_on, model};
use crate::sync::thread;
use gannet_sys::epoll::{Epoll, Events, Interest, Wait};
use gannet_sys::eventfd::EventFd;

/// A descriptor, and a wheel with room for its one entry: when the wheel will look.
struct Timed {
    descriptor: Descriptor,
    wheel: Mutex<Option<u64>>,
}

impl Timed {
    fn new() -> Arc<Self> {
        let timed = Self {
            descriptor: Descriptor::new(),
            wheel: Mutex::new(None),
        };
        timed.descriptor.open(1, true);
        Arc::new(timed)
    }

    fn set(&self, side: Side, deadline: u64) {
        if self.descriptor.set_deadline(side, deadline) {
            let mut wheel = self.wheel.lock().unwrap();
            if let Some((at, replaced)) = self.descriptor.arm() {
                assert_eq!(replaced.is_some(), wheel.is_some(), "one entry");
                *wheel = Some(at);
                self.descriptor.arming.armed_as(at);
            }
        }
    }

    /// The clock shows `now`.
    fn fire(&self, now: u64) {
        let mut wheel = self.wheel.lock().unwrap();
        if wheel.is_some_and(|at| at <= now) {
            let (released, next) = self.descriptor.look(now);
            *wheel = next;
            if let Some(at) = next {
                self.descriptor.arming.armed_as(at);
            }
            drop(wheel);
            released.wake();
        }
    }

    fn wheel(&self) -> Option<u64> {
        *self.wheel.lock().unwrap()
    }
}

/// L18: a deadline that is set while the wheel looks at the descriptor is in the wheel in the end:
/// the setter sees that the entry is gone, or the look sees the deadline. Moving it later touches
/// no wheel.
///
/// Mutant: desc_setter_stores: the setter may read an old arming after all.
/// Mutant: desc_look_loads: the look may read an old deadline after all.
/// Mutant: desc_look_disarms_last: the look says that the entry is gone after it read the
/// deadlines.
#[test]
fn deadline_set_while_the_wheel_looks_is_not_lost() {
    model("desc_dekker", None, || {
        let timed = Timed::new();
        // An entry that was left by a deadline since cleared.
        timed.set(Side::Read, 5);
        timed.set(Side::Read, NO_DEADLINE);
        let other = timed.clone();
        let timer = thread::spawn(move || other.fire(7));
        timed.set(Side::Read, 10);
        timer.join().unwrap();
        assert_eq!(timed.descriptor.read.deadline(), 10);
        let at = timed.wheel();
        assert!(at.is_some_and(|at| at <= 10), "looks in time: {at:?}");
    });
}

/// L18: deadlines of both directions, set at the same time while the wheel looks: the wheel's
/// entry is early enough for each.
///
/// Mutant: desc_setter_stores: the setter may read an old arming after all.
/// Mutant: desc_earlier_is_not_armed: a deadline is told to the wheel only if there is no entry.
/// Mutant: desc_looks_for_one: the look enters the later one of two deadlines.
#[test]
fn deadlines_of_both_sides_are_in_the_wheel() {
    model("desc_sides", Some(3), || {
        let timed = Timed::new();
        timed.set(Side::Read, 5);
        timed.set(Side::Read, NO_DEADLINE);
        let other = timed.clone();
        let timer = thread::spawn(move || other.fire(7));
        let other = timed.clone();
        let writer = thread::spawn(move || other.set(Side::Write, 9));
        timed.set(Side::Read, 10);
        timer.join().unwrap();
        writer.join().unwrap();
        let at = timed.wheel();
        assert!(at.is_some_and(|at| at <= 9), "looks in time: {at:?}");
        timed.fire(9);
        assert_eq!(timed.descriptor.write.deadline(), PAST);
        assert_eq!(timed.wheel(), Some(10), "for the other side");
        timed.fire(10);
        assert_eq!(timed.descriptor.read.deadline(), PAST);
    });
}

/// L18: a read that waits while its deadline is moved and fires is ended by the deadline that
/// holds in the end.
///
/// Mutant: desc_look_wakes_nobody: the look lets the deadline expire and keeps the reader.
#[test]
fn deadline_moved_under_a_wait_ends_it() {
    model("desc_wait", Some(3), || {
        let timed = Timed::new();
        timed.set(Side::Read, 5);
        let other = timed.clone();
        thread::spawn(move || {
            other.fire(5);
            other.set(Side::Read, 6);
            other.fire(6);
        });
        let result = block_on(poll_fn(|cx| {
            timed.descriptor.read.poll_ready(cx, &Drained::new())
        }));
        assert_eq!(result, Err(Stop::Deadline));
    });
}

/// What the kernel says of an eventfd, which may be read and written.
fn readable_and_writable() -> Ready {
    let (epoll, event) = (Epoll::new().unwrap(), EventFd::new().unwrap());
    event.notify().unwrap();
    epoll.add(event.as_fd(), Interest::READ_WRITE, 0).unwrap();
    let mut events = Events::with_capacity(1);
    epoll.wait(&mut events, 1, Wait::Poll).unwrap();
    events.iter().next().expect("one event").ready
}

/// L4: an event of one direction neither blocks nor wipes one of the other, and wakes only its own
/// waiter.
///
/// Mutant: desc_write_goes_to_read: writability is reported to the reader.
/// Mutant: desc_event_is_for_one: an event for both directions reaches the reader only.
#[test]
fn events_of_both_directions_reach_each() {
    let both = readable_and_writable();
    model("desc_directions", Some(3), move || {
        let timed = Timed::new();
        let poller = timed.clone();
        thread::spawn(move || poller.descriptor.notify(1, both).wake());
        let writer = timed.clone();
        let writer = thread::spawn(move || {
            assert_eq!(
                block_on(poll_fn(|cx| writer
                    .descriptor
                    .write
                    .poll_ready(cx, &Drained::new()))),
                Ok(())
            );
        });
        assert_eq!(
            block_on(poll_fn(|cx| timed
                .descriptor
                .read
                .poll_ready(cx, &Drained::new()))),
            Ok(())
        );
        writer.join().unwrap();
        assert!(!timed.descriptor.read.is_ready(), "one edge, one consumer");
        assert!(!timed.descriptor.write.is_ready(), "one edge, one consumer");
    });
}

/// L18: a slot is handed over while the wheel looks at the former owner's deadlines: the wheel is told
/// of the next owner's, or finds it.
///
/// Mutant: desc_open_stores: the former owner's deadline is overwritten by a store, from which the
/// next exchange acquires nothing.
#[test]
fn deadline_of_the_next_owner_is_not_lost() {
    model("desc_reuse", Some(3), || {
        let descriptor = Arc::new(Descriptor::new());
        descriptor.open(0, false);
        assert!(descriptor.set_deadline(Side::Read, 5));
        assert!(descriptor.arm().is_some());
        let _ = descriptor.set_deadline(Side::Read, 9);
        let other = descriptor.clone();
        let wheel = thread::spawn(move || other.look(5).1);
        descriptor.open(1, false);
        let is_late = descriptor.set_deadline(Side::Read, 7);
        let next = wheel.join().unwrap();
        assert!(
            is_late || next.is_some_and(|at| at <= 7),
            "the wheel looks at {next:?}"
        );
    });
}
