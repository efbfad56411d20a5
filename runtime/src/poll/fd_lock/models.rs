//! L25 and the descriptor lock: one operation per direction, first come first served, and a
//! descriptor that is closed once, when nobody uses it.

use std::future::Future;
use std::pin::Pin;

use loom::sync::Arc;

use super::*;
use crate::sync::atomic::AtomicUsize;
use crate::sync::model::{Plain, Wakes, block_on, model};
use crate::sync::thread;

/// A descriptor with its lock, and plain memory in place of what the lock guards.
struct Fd {
    lock: FdLock,
    /// Written by every holder of the read lock.
    reads: Plain,
    /// Read by every system call, written by the close.
    fd: Plain,
    closes: AtomicUsize,
}

impl Fd {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            lock: FdLock::new(),
            reads: Plain::new(),
            fd: Plain::new(),
            closes: AtomicUsize::new(0),
        })
    }

    /// A whole operation under the read lock. Fails if the descriptor is closed.
    fn read(&self) -> Result<(), Stop> {
        block_on(self.lock.acquire(Side::Read))?;
        self.reads.write();
        self.lock.release(Side::Read);
        Ok(())
    }

    fn call(&self) -> Result<(), Stop> {
        self.lock.enter()?;
        self.fd.read();
        self.leave();
        Ok(())
    }

    fn close(&self) -> Result<(), Stop> {
        self.lock.close()?;
        self.leave();
        Ok(())
    }

    fn leave(&self) {
        if self.lock.leave() == After::Destroy {
            self.destroy();
        }
    }

    fn destroy(&self) {
        self.fd.write();
        self.closes.fetch_add(1, Ordering::Relaxed);
        self.lock.gone();
    }

    fn closes(&self) -> usize {
        self.closes.load(Ordering::Relaxed)
    }
}

/// A wait for the lock. Dropped after it queued, it leaves the queue or passes the lock on.
struct Acquire<'a> {
    lock: &'a FdLock,
    side: Side,
    ticket: Option<Ticket>,
}

impl FdLock {
    fn acquire(&self, side: Side) -> Acquire<'_> {
        Acquire {
            lock: self,
            side,
            ticket: None,
        }
    }
}

impl Future for Acquire<'_> {
    type Output = Result<(), Stop>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (lock, side) = (self.lock, self.side);
        lock.poll_acquire(side, &mut self.ticket, cx)
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.lock.abandon(self.side, ticket);
        }
    }
}

fn poll(acquire: &mut Acquire<'_>, waker: &Waker) -> Poll<Result<(), Stop>> {
    Pin::new(acquire).poll(&mut Context::from_waker(waker))
}

/// Two readers exclude each other, both get their turn, and the lock is free in the end. Each sees
/// what the other did.
///
/// Mutant: lock_is_relaxed: taking and giving back the lock orders nothing.
/// Mutant: lock_ignores_the_holder: a lock that is held may be taken.
/// Mutant: lock_hands_over_in_silence: the next in the queue is not woken.
/// Mutant: lock_queues_without_a_look: a task queues though the lock became free, and nobody will
/// hand it over.
/// Mutant: lock_release_leaves_the_queue: `release` unlocks and hands over to nobody.
#[test]
fn two_readers_take_turns() {
    model("lock_exclusion", Some(3), || {
        let fd = Fd::new();
        let readers = [fd.clone(), fd.clone()];
        let readers = readers.map(|fd| thread::spawn(move || assert_eq!(fd.read(), Ok(()))));
        for reader in readers {
            reader.join().unwrap();
        }
        assert_eq!(
            fd.lock.word.load(Ordering::Relaxed),
            0,
            "free, nobody queues"
        );
    });
}

/// A reader and a writer do not wait for each other.
///
/// Mutant: lock_is_one_for_both: the write lock is the read lock.
#[test]
fn reader_and_writer_do_not_wait_for_each_other() {
    model("lock_sides", None, || {
        let fd = Fd::new();
        assert_eq!(fd.lock.try_acquire(Side::Read), Ok(true));
        let other = fd.clone();
        let writer = thread::spawn(move || {
            assert_eq!(other.lock.try_acquire(Side::Write), Ok(true));
            other.lock.release(Side::Write);
        });
        fd.lock.release(Side::Read);
        writer.join().unwrap();
        assert_eq!(
            fd.lock.word.load(Ordering::Relaxed),
            0,
            "free, nobody queues"
        );
    });
}

/// The lock goes to those who queue, in their order, and no newcomer gets in between.
///
/// Mutant: lock_last_come_first_served: the queue is served from its end.
/// Mutant: lock_unlocks_before_handing_over: the lock is free for a moment while it is handed over.
#[test]
fn queue_is_served_in_order() {
    model("lock_order", None, || {
        let fd = Fd::new();
        assert_eq!(fd.lock.try_acquire(Side::Read), Ok(true));
        let (first_wakes, first_waker) = Wakes::new();
        let (second_wakes, second_waker) = Wakes::new();
        let mut first = fd.lock.acquire(Side::Read);
        let mut second = fd.lock.acquire(Side::Read);
        assert!(poll(&mut first, &first_waker).is_pending());
        assert!(poll(&mut second, &second_waker).is_pending());
        let other = fd.clone();
        let newcomer = thread::spawn(move || {
            let barged = other.lock.try_acquire(Side::Read);
            assert_eq!(barged, Ok(false), "others were first");
        });
        fd.lock.release(Side::Read);
        assert_eq!((first_wakes.count(), second_wakes.count()), (1, 0));
        assert!(poll(&mut second, &second_waker).is_pending());
        assert_eq!(poll(&mut first, &first_waker), Poll::Ready(Ok(())));
        fd.lock.release(Side::Read);
        newcomer.join().unwrap();
        assert_eq!((first_wakes.count(), second_wakes.count()), (1, 1));
        assert_eq!(poll(&mut second, &second_waker), Poll::Ready(Ok(())));
        fd.lock.release(Side::Read);
        assert_eq!(
            fd.lock.word.load(Ordering::Relaxed),
            0,
            "free, nobody queues"
        );
    });
}

/// A task that gives up while the lock is being handed to it passes it on, and one that gives up
/// earlier leaves the queue: the reader behind it gets its turn.
///
/// Mutant: lock_cancelled_keeps_it: a cancelled task keeps the lock that it was handed.
/// Mutant: lock_cancelled_stays_queued: a cancelled task stays in the queue, and is handed the
/// lock.
/// Mutant: lock_empty_queue_keeps_it: whoever finds the queue empty, because its last task just
/// left, does not unlock.
#[test]
fn cancelled_task_passes_the_lock_on() {
    model("lock_cancel", Some(3), || {
        let fd = Fd::new();
        assert_eq!(fd.lock.try_acquire(Side::Read), Ok(true));
        let other = fd.clone();
        let quitter = thread::spawn(move || {
            let mut acquire = other.lock.acquire(Side::Read);
            if poll(&mut acquire, Waker::noop()).is_ready() {
                other.lock.release(Side::Read);
            }
        });
        let other = fd.clone();
        let reader = thread::spawn(move || assert_eq!(other.read(), Ok(())));
        fd.lock.release(Side::Read);
        quitter.join().unwrap();
        reader.join().unwrap();
        assert_eq!(
            fd.lock.word.load(Ordering::Relaxed),
            0,
            "free, nobody queues"
        );
    });
}

/// `close` fails whoever queues or is about to, while the holder keeps the lock.
///
/// Mutant: lock_close_wakes_nobody: `close` leaves those asleep who queue.
/// Mutant: lock_queues_when_closed: a task queues on a closed descriptor.
#[test]
fn close_fails_the_queue() {
    model("lock_close", None, || {
        let fd = Fd::new();
        assert_eq!(fd.lock.try_acquire(Side::Read), Ok(true));
        let other = fd.clone();
        let reader = thread::spawn(move || assert_eq!(other.read(), Err(Stop::Closed)));
        assert_eq!(fd.close(), Ok(()));
        // The holder still has it; only now does it give it back.
        reader.join().unwrap();
        fd.lock.release(Side::Read);
        assert_eq!(fd.lock.word.load(Ordering::Relaxed), CLOSED | GONE);
    });
}

/// `close` while the lock is handed over: each task gets the lock or the error, nobody hangs.
///
/// Mutant: lock_close_wakes_nobody: `close` leaves those asleep who queue.
/// Mutant: lock_empty_queue_keeps_it: whoever finds the queue empty, because `close` emptied it,
/// does not unlock.
#[test]
fn close_racing_hand_over_ends_in_lock_or_error() {
    model("lock_close_hand_over", Some(3), || {
        let fd = Fd::new();
        assert_eq!(fd.lock.try_acquire(Side::Read), Ok(true));
        let other = fd.clone();
        let reader = thread::spawn(move || {
            // Either answer is right.
            let _ = other.read();
        });
        let other = fd.clone();
        let closer = thread::spawn(move || assert_eq!(other.close(), Ok(())));
        fd.lock.release(Side::Read);
        reader.join().unwrap();
        closer.join().unwrap();
        assert_eq!(fd.lock.word.load(Ordering::Relaxed), CLOSED | GONE);
    });
}

/// L25: the descriptor is closed once, after the last system call in flight, by whoever comes out
/// last; of two who close it, one is told that it was closed.
///
/// Mutant: lock_leave_is_relaxed: the last one out does not see what the others did.
/// Mutant: lock_enter_ignores_close: a system call begins on a closed descriptor.
/// Mutant: lock_everyone_destroys: everyone who leaves a closed descriptor closes it.
/// Mutant: lock_close_takes_no_reference: `close` gives back a reference that it did not take.
/// Mutant: lock_closes_twice: `close` of a closed descriptor succeeds.
#[test]
fn descriptor_is_closed_once_after_the_last_call() {
    model("lock_halves", Some(3), || {
        let fd = Fd::new();
        let other = fd.clone();
        let half = thread::spawn(move || {
            let _ = other.call();
            other.close().is_ok()
        });
        let other = fd.clone();
        let caller = thread::spawn(move || {
            // After `close` it fails, and touches nothing.
            let _ = other.call();
        });
        let was_first = fd.close().is_ok();
        assert_ne!(half.join().unwrap(), was_first, "one of the two closed it");
        caller.join().unwrap();
        assert_eq!(fd.closes(), 1);
        assert_eq!(fd.call(), Err(Stop::Closed));
    });
}

/// L25: the lock and a reference, taken and given back in one step each, are what they are in two:
/// readers exclude each other and each gets its turn, or the closed error, and the last one out
/// closes.
///
/// Mutant: lock_step_takes_no_reference: the lock is taken without the reference.
/// Mutant: lock_step_leaves_the_queue: both are given back, and the lock is handed to nobody.
/// Mutant: lock_step_never_destroys: the last one out does not see that it is.
#[test]
fn one_step_is_as_good_as_two() {
    model("lock_step", Some(3), || {
        let fd = Fd::new();
        let other = fd.clone();
        let reader = thread::spawn(move || other.read().is_ok());
        let other = fd.clone();
        let closer = thread::spawn(move || assert_eq!(other.close(), Ok(())));
        if fd.lock.try_acquire_for(Side::Read, true) == Ok(true) {
            fd.reads.write();
            fd.fd.read();
            if fd.lock.leave_and_release(Side::Read) == After::Destroy {
                fd.destroy();
            }
        }
        let _ = reader.join().unwrap();
        closer.join().unwrap();
        assert_eq!(fd.closes(), 1);
        assert_eq!(fd.lock.word.load(Ordering::Relaxed), CLOSED | GONE);
    });
}

/// L25: whoever waits for the descriptor to be gone is woken when it is, and the close comes
/// before.
///
/// Mutant: lock_gone_wakes_nobody: `gone` leaves those asleep who wait.
/// Mutant: lock_gone_is_missed: `poll_gone` queues without a look under the mutex.
#[test]
fn closer_is_woken_when_the_descriptor_is_gone() {
    model("lock_gone", None, || {
        let fd = Fd::new();
        fd.lock.enter().unwrap();
        let other = fd.clone();
        thread::spawn(move || {
            other.fd.read();
            other.leave();
        });
        assert_eq!(fd.close(), Ok(()));
        block_on(std::future::poll_fn(|cx| fd.lock.poll_gone(cx)));
        fd.fd.read();
        assert_eq!(fd.closes(), 1);
    });
}
