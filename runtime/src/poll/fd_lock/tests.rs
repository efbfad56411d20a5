//! The lock as its users see it, with one thread and with many; the models look at every order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Wake;
use std::thread;

use super::*;

const SIDES: [Side; 2] = [Side::Read, Side::Write];

/// Counts how often it is woken, and unparks the thread that made it.
struct Counter {
    wakes: AtomicUsize,
    thread: thread::Thread,
}

impl Counter {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            wakes: AtomicUsize::new(0),
            thread: thread::current(),
        })
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        self.thread.unpark();
    }
}

/// Takes the lock of one direction, and blocks the thread until it is there.
fn acquire(lock: &FdLock, side: Side) -> Result<(), Stop> {
    let waker = Waker::from(Counter::new());
    let mut ticket = None;
    loop {
        let polled = lock.poll_acquire(side, &mut ticket, &mut Context::from_waker(&waker));
        match polled {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn lock_of_an_open_descriptor_never_ends_it() {
    let lock = FdLock::new();
    for side in SIDES {
        assert_eq!(lock.enter(), Ok(()));
        assert_eq!(lock.leave(), After::Nothing);
        assert_eq!(lock.try_acquire(side), Ok(true));
        assert_eq!(lock.try_acquire(side), Ok(false));
        lock.release(side);
        assert_eq!(lock.try_acquire_for(side, true), Ok(true));
        assert_eq!(lock.leave_and_release(side), After::Nothing);
    }
    assert!(!lock.is_closed());
}

#[test]
fn lock_of_a_closed_descriptor_refuses_everything() {
    let lock = FdLock::new();
    assert_eq!(lock.close(), Ok(()));
    assert!(lock.is_closed());
    assert_eq!(lock.enter(), Err(Stop::Closed));
    for side in SIDES {
        assert_eq!(lock.try_acquire(side), Err(Stop::Closed));
        assert_eq!(acquire(&lock, side), Err(Stop::Closed));
    }
    assert_eq!(lock.close(), Err(Stop::Closed));
    assert_eq!(
        lock.leave(),
        After::Destroy,
        "the reference of the close was the last"
    );
}

#[test]
fn close_fails_four_who_queue_and_the_holder_ends_the_descriptor() {
    let lock = FdLock::new();
    assert_eq!(lock.try_acquire_for(Side::Read, true), Ok(true));
    let counter = Counter::new();
    let waker = Waker::from(counter.clone());
    let mut tickets = [None; 4];
    let poll = |ticket: &mut Option<Ticket>| {
        lock.poll_acquire(Side::Read, ticket, &mut Context::from_waker(&waker))
    };
    for ticket in &mut tickets {
        assert_eq!(poll(ticket), Poll::Pending);
    }
    assert_eq!(counter.wakes.load(Ordering::Relaxed), 0);
    assert_eq!(lock.close(), Ok(()));
    assert_eq!(counter.wakes.load(Ordering::Relaxed), 4);
    for ticket in &mut tickets {
        assert_eq!(poll(ticket), Poll::Ready(Err(Stop::Closed)));
    }
    assert_eq!(lock.leave(), After::Nothing, "somebody is reading");
    assert_eq!(lock.leave_and_release(Side::Read), After::Destroy);
}

#[test]
#[cfg(debug_assertions)]
fn giving_back_what_was_not_taken_panics() {
    let panics = |misuse: &dyn Fn(&FdLock)| {
        let lock = FdLock::new();
        let misused = std::panic::AssertUnwindSafe(|| misuse(&lock));
        std::panic::catch_unwind(misused).expect_err("it is misuse");
        lock
    };
    panics(&|lock| drop(lock.leave()));
    for side in SIDES {
        for lock in [
            panics(&|lock| lock.release(side)),
            panics(&|lock| drop(lock.leave_and_release(side))),
        ] {
            assert_eq!(lock.try_acquire_for(side, true), Ok(true), "it still works");
            assert_eq!(lock.leave_and_release(side), After::Nothing);
        }
    }
}

#[test]
fn eight_threads_exclude_each_other_and_one_ends_the_descriptor() {
    const TURNS: u32 = 50_000;
    let lock = FdLock::new();
    let held = [AtomicBool::new(false), AtomicBool::new(false)];
    let ends = AtomicUsize::new(0);
    let count = |after: After| {
        if after == After::Destroy {
            ends.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for seed in 1..=8_u32 {
            let (lock, held) = (&lock, &held);
            scope.spawn(move || {
                let mut random = seed;
                for _ in 0..TURNS {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let index = match random >> 30 {
                        0 | 3 => {
                            lock.enter().unwrap();
                            assert_eq!(lock.leave(), After::Nothing);
                            continue;
                        }
                        index => index as usize - 1,
                    };
                    acquire(lock, SIDES[index]).unwrap();
                    assert!(!held[index].swap(true, Ordering::Acquire), "two at a time");
                    held[index].store(false, Ordering::Release);
                    lock.release(SIDES[index]);
                }
            });
        }
    });
    assert_eq!(lock.enter(), Ok(()));
    assert_eq!(lock.close(), Ok(()));
    thread::scope(|scope| {
        scope.spawn(|| count(lock.leave()));
        scope.spawn(|| count(lock.leave()));
    });
    assert_eq!(ends.load(Ordering::Relaxed), 1);
}
