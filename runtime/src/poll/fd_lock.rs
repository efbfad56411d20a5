//! Who may use a descriptor, after Go's fdMutex: references, a lock for each direction, and
//! closing, in one word.
//!
//! ```text
//! bit 0 CLOSED · 1 READ_LOCKED · 2 WRITE_LOCKED · 3 READ_QUEUED · 4 WRITE_QUEUED · 5 GONE · 8.. references
//!
//! open, n references ──close──▶ CLOSED, n ──last release──▶ GONE     (the last one out closes the descriptor)
//! unlocked ──acquire──▶ locked ──release, nobody queued──▶ unlocked
//! locked ──release, queue not empty──▶ locked by the head of the queue (handed over, nobody barges in)
//! ```
//!
//! A *lock* is held for a whole operation, also while its task waits for an edge: one reader and
//! one writer at a time, so that two reads never interleave, and the wait has one waiter. A
//! *reference* is held only while a system call may be running: closing waits for microseconds, not
//! for tasks, and a future that is kept but never polled cannot hold up a close. The word is the
//! truth; the queues behind the mutex are touched only when somebody has to queue, is handed the
//! lock, or closes.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::desc::Side;
use crate::error::Stop;
use crate::foreign;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, width};

const CLOSED: u64 = 1;
const GONE: u64 = 1 << 5;
const REF: u64 = 1 << 8;
const REFS_MAX: u64 = (1 << width::FD_REFS) - 1;

impl Side {
    const fn locked(self) -> u64 {
        match self {
            Side::Read => 1 << 1,
            Side::Write => 1 << 2,
        }
    }

    const fn queued(self) -> u64 {
        match self {
            Side::Read => 1 << 3,
            Side::Write => 1 << 4,
        }
    }
}

/// Tasks that wait for one direction's lock, first come first served.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(u64, Waker)>,
    /// The ticket that owns the lock already and has not noticed yet.
    handed_to: Option<u64>,
}

#[derive(Debug, Default)]
struct Waiters {
    read: Queue,
    write: Queue,
    next_ticket: u64,
    /// Tasks that wait until the descriptor is gone.
    closers: Vec<Waker>,
}

impl Waiters {
    fn side(&mut self, side: Side) -> &mut Queue {
        match side {
            Side::Read => &mut self.read,
            Side::Write => &mut self.write,
        }
    }
}

/// The lock of one descriptor. Starts open, unlocked, without references.
#[derive(Debug)]
pub(crate) struct FdLock {
    word: AtomicU64,
    /// Boxed: most descriptors never see a second task in the same direction.
    waiters: Mutex<Option<Box<Waiters>>>,
}

/// What the caller has to do after it gave something back.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum After {
    Nothing,
    /// It was the last one out of a closed descriptor: close it, then call [`FdLock::gone`].
    Destroy,
}

impl FdLock {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            waiters: Mutex::new(None),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Takes a reference for the length of a system call.
    #[inline]
    pub(crate) fn enter(&self) -> Result<(), Stop> {
        self.update(|word| {
            assert!(
                word / REF < REFS_MAX,
                "too many concurrent operations on a single descriptor"
            );
            if word & CLOSED == 0 {
                Ok(word + REF)
            } else {
                Err(Stop::Closed)
            }
        })
    }

    /// Gives a reference back.
    #[inline]
    pub(crate) fn leave(&self) -> After {
        // AcqRel: the last one out sees what every other did with the descriptor before it closes
        // it.
        let before = self.word.fetch_sub(REF, Ordering::AcqRel);
        debug_assert!(before >= REF, "inconsistent descriptor lock");
        if before & CLOSED != 0 && before / REF == 1 {
            After::Destroy
        } else {
            After::Nothing
        }
    }

    /// Takes the lock of one direction if it is free and nobody queues for it.
    #[inline]
    pub(crate) fn try_acquire(&self, side: Side) -> Result<bool, Stop> {
        let taken = self.update(|word| {
            if word & CLOSED != 0 {
                Err(Some(Stop::Closed))
            } else if word & (side.locked() | side.queued()) != 0 {
                Err(None)
            } else {
                Ok(word | side.locked())
            }
        });
        match taken {
            Ok(()) => Ok(true),
            Err(None) => Ok(false),
            Err(Some(stop)) => Err(stop),
        }
    }

    /// Waits for the lock of one direction. Fair: tasks get it in the order in which they asked.
    pub(crate) fn acquire(&self, side: Side) -> Acquire<'_> {
        Acquire {
            lock: self,
            side,
            ticket: None,
        }
    }

    /// Gives the lock of one direction to the next in the queue, or back.
    #[inline]
    pub(crate) fn release(&self, side: Side) {
        let freed = self.update(|word| {
            debug_assert!(word & side.locked() != 0, "inconsistent descriptor lock");
            if word & side.queued() != 0 {
                Err(())
            } else {
                Ok(word & !side.locked())
            }
        });
        if freed.is_err() {
            self.hand_over(side);
        }
    }

    fn hand_over(&self, side: Side) {
        let next = {
            let mut waiters = self.waiters.lock();
            let queue = waiters.get_or_insert_default().side(side);
            let next = queue.waiting.pop_front();
            queue.handed_to = next.as_ref().map(|(ticket, _)| *ticket);
            // Under the mutex, as every change of a QUEUED bit: the bit and the queue agree.
            if queue.waiting.is_empty() {
                self.word.fetch_and(!side.queued(), Ordering::AcqRel);
            }
            if next.is_none() {
                // Closing emptied the queue. AcqRel as in `release`.
                self.word.fetch_and(!side.locked(), Ordering::AcqRel);
            }
            next
        };
        if let Some((_, waker)) = next {
            foreign::wake(waker);
        }
    }

    /// Closes: refuses new references and locks, and fails everyone who queues. Returns `Err` if it
    /// was closed before.
    ///
    /// The caller then stops the waits on the poll descriptor, and calls [`leave`](Self::leave) for
    /// the reference that this takes on its behalf.
    pub(crate) fn close(&self) -> Result<(), Stop> {
        self.update(|word| {
            if word & CLOSED == 0 {
                Ok((word | CLOSED) + REF)
            } else {
                Err(Stop::Closed)
            }
        })?;
        let queued: Vec<Waker> = {
            let mut waiters = self.waiters.lock();
            self.word.fetch_and(
                !(Side::Read.queued() | Side::Write.queued()),
                Ordering::AcqRel,
            );
            waiters
                .iter_mut()
                .flat_map(|w| w.read.waiting.drain(..).chain(w.write.waiting.drain(..)))
                .map(|(_, w)| w)
                .collect()
        };
        queued.into_iter().for_each(foreign::wake);
        Ok(())
    }

    /// Reports that the descriptor is closed for good, and wakes those who wait for it.
    pub(crate) fn gone(&self) {
        let closers = {
            let mut waiters = self.waiters.lock();
            self.word.fetch_or(GONE, Ordering::AcqRel);
            waiters
                .as_mut()
                .map(|waiters| std::mem::take(&mut waiters.closers))
                .unwrap_or_default()
        };
        closers.into_iter().for_each(foreign::wake);
    }

    /// Waits until a closed descriptor is gone.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.word.load(Ordering::Acquire) & GONE != 0 {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let mut waiters = self.waiters.lock();
        // Under the mutex, because `gone` sets the bit there.
        if self.word.load(Ordering::Acquire) & GONE != 0 {
            return Poll::Ready(());
        }
        let closers = &mut waiters.get_or_insert_default().closers;
        if !closers.iter().any(|known| known.will_wake(&waker)) {
            closers.push(waker);
        }
        Poll::Pending
    }

    /// Applies `change` to the word until it sticks or refuses.
    #[inline]
    fn update<E>(&self, change: impl Fn(u64) -> Result<u64, E>) -> Result<(), E> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            // AcqRel: what the holder before did comes before what the holder after does.
            match self.word.compare_exchange_weak(
                word,
                change(word)?,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }
}

/// The future of [`FdLock::acquire`]. Dropped after it queued, it leaves the queue or passes the
/// lock on.
#[derive(Debug)]
#[must_use]
pub(crate) struct Acquire<'a> {
    lock: &'a FdLock,
    side: Side,
    ticket: Option<u64>,
}

impl Acquire<'_> {
    /// Queues, unless the lock became free in the meantime.
    fn enqueue(&mut self, waker: Waker) -> Poll<Result<(), Stop>> {
        let (lock, side) = (self.lock, self.side);
        let mut waiters = lock.waiters.lock();
        loop {
            if lock.try_acquire(side)? {
                return Poll::Ready(Ok(()));
            }
            let queued = lock.update(|word| {
                let held = word & (side.locked() | side.queued()) != 0;
                if word & CLOSED == 0 && held {
                    Ok(word | side.queued())
                } else {
                    Err(())
                }
            });
            if queued.is_ok() {
                break;
            }
        }
        let waiters = waiters.get_or_insert_default();
        waiters.next_ticket += 1;
        let ticket = waiters.next_ticket;
        waiters.side(side).waiting.push_back((ticket, waker));
        self.ticket = Some(ticket);
        Poll::Pending
    }

    /// Looks what became of our place in the queue.
    fn look(&mut self, ticket: u64, waker: Waker) -> Poll<Result<(), Stop>> {
        let mut waiters = self.lock.waiters.lock();
        let queue = waiters.get_or_insert_default().side(self.side);
        if queue.handed_to == Some(ticket) {
            queue.handed_to = None;
            self.ticket = None;
            return Poll::Ready(Ok(()));
        }
        let Some((_, place)) = queue.waiting.iter_mut().find(|(t, _)| *t == ticket) else {
            self.ticket = None;
            return Poll::Ready(Err(Stop::Closed));
        };
        let old = std::mem::replace(place, waker);
        drop(waiters);
        drop(old); // Dropping a waker runs foreign code, so not under the lock.
        Poll::Pending
    }
}

impl Future for Acquire<'_> {
    type Output = Result<(), Stop>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.ticket {
            Some(ticket) => self.look(ticket, cx.waker().clone()),
            None => match self.lock.try_acquire(self.side)? {
                true => Poll::Ready(Ok(())),
                false => self.enqueue(cx.waker().clone()),
            },
        }
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut waiters = self.lock.waiters.lock();
        let queue = waiters.get_or_insert_default().side(self.side);
        if queue.handed_to == Some(ticket) {
            queue.handed_to = None;
            drop(waiters);
            self.lock.release(self.side);
            return;
        }
        let place = queue.waiting.iter().position(|(t, _)| *t == ticket);
        let left = place.and_then(|place| queue.waiting.remove(place));
        if left.is_some() && queue.waiting.is_empty() {
            self.lock
                .word
                .fetch_and(!self.side.queued(), Ordering::AcqRel);
        }
        drop(waiters);
        drop(left);
    }
}

crate::sync::models!();
