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
use std::num::NonZeroU32;
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

/// A place in a queue. They are given out in turn, and come round after four thousand million.
pub(crate) type Ticket = NonZeroU32;

/// Tasks that wait for one direction's lock, first come first served.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Ticket, Waker)>,
    /// The ticket that owns the lock already and has not noticed yet.
    handed_to: Option<Ticket>,
}

#[derive(Debug)]
struct Waiters {
    read: Queue,
    write: Queue,
    next_ticket: Ticket,
    /// Tasks that wait until the descriptor is gone.
    closers: Vec<Waker>,
}

impl Default for Waiters {
    fn default() -> Self {
        Self {
            read: Queue::default(),
            write: Queue::default(),
            next_ticket: Ticket::MIN,
            closers: Vec::new(),
        }
    }
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

#[inline]
fn check_refs(word: u64) {
    assert!(
        word / REF < REFS_MAX,
        "too many concurrent operations on a single descriptor"
    );
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
            check_refs(word);
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
        self.try_acquire_for(side, false)
    }

    /// Takes the lock of one direction if it is free and nobody queues for it, and with it a reference
    /// for the system call that follows at once, if `enters`.
    #[inline]
    pub(crate) fn try_acquire_for(&self, side: Side, enters: bool) -> Result<bool, Stop> {
        let reference = if enters { REF } else { 0 };
        let taken = self.update(|word| {
            if word & CLOSED != 0 {
                Err(Some(Stop::Closed))
            } else if word & (side.locked() | side.queued()) != 0 {
                Err(None)
            } else {
                check_refs(word);
                Ok((word | side.locked()) + reference)
            }
        });
        match taken {
            Ok(()) => Ok(true),
            Err(None) => Ok(false),
            Err(Some(stop)) => Err(stop),
        }
    }

    /// Gives a reference and the lock of one direction back, in one step where nobody queues.
    #[inline]
    pub(crate) fn leave_and_release(&self, side: Side) -> After {
        let mut last = false;
        let freed = self.update(|word| {
            debug_assert!(word & side.locked() != 0, "inconsistent descriptor lock");
            debug_assert!(word >= REF, "inconsistent descriptor lock");
            last = word & CLOSED != 0 && word / REF == 1;
            if word & side.queued() != 0 {
                Err(())
            } else {
                Ok((word & !side.locked()) - REF)
            }
        });
        if freed.is_err() {
            let after = self.leave();
            self.hand_over(side);
            after
        } else if last {
            After::Destroy
        } else {
            After::Nothing
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

    #[cold]
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

    /// Waits for the lock of one direction. Fair: tasks get it in the order in which they asked.
    ///
    /// `ticket` is the caller's place in the queue, if it has one; who gives up while it does calls
    /// [`abandon`](Self::abandon).
    pub(crate) fn poll_acquire(
        &self,
        side: Side,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Stop>> {
        match *ticket {
            Some(place) => self.look(side, ticket, place, cx.waker().clone()),
            None => match self.try_acquire(side)? {
                true => Poll::Ready(Ok(())),
                false => self.enqueue(side, ticket, cx.waker().clone()),
            },
        }
    }

    /// Queues, unless the lock became free in the meantime.
    fn enqueue(
        &self,
        side: Side,
        ticket: &mut Option<Ticket>,
        waker: Waker,
    ) -> Poll<Result<(), Stop>> {
        let mut waiters = self.waiters.lock();
        loop {
            if self.try_acquire(side)? {
                return Poll::Ready(Ok(()));
            }
            let queued = self.update(|word| {
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
        let place = waiters.next_ticket;
        waiters.next_ticket = place.checked_add(1).unwrap_or(Ticket::MIN);
        waiters.side(side).waiting.push_back((place, waker));
        *ticket = Some(place);
        Poll::Pending
    }

    /// Looks what became of a place in the queue.
    fn look(
        &self,
        side: Side,
        ticket: &mut Option<Ticket>,
        place: Ticket,
        waker: Waker,
    ) -> Poll<Result<(), Stop>> {
        let mut waiters = self.waiters.lock();
        let queue = waiters.get_or_insert_default().side(side);
        if queue.handed_to == Some(place) {
            queue.handed_to = None;
            *ticket = None;
            return Poll::Ready(Ok(()));
        }
        let Some((_, known)) = queue.waiting.iter_mut().find(|(t, _)| *t == place) else {
            *ticket = None;
            return Poll::Ready(Err(Stop::Closed));
        };
        let old = std::mem::replace(known, waker);
        drop(waiters);
        drop(old); // Dropping a waker runs foreign code, so not under the lock.
        Poll::Pending
    }

    /// Leaves the queue, or passes on the lock that was handed over already.
    #[cold]
    pub(crate) fn abandon(&self, side: Side, ticket: Ticket) {
        let mut waiters = self.waiters.lock();
        let queue = waiters.get_or_insert_default().side(side);
        if queue.handed_to == Some(ticket) {
            queue.handed_to = None;
            drop(waiters);
            self.release(side);
            return;
        }
        let place = queue.waiting.iter().position(|(t, _)| *t == ticket);
        let left = place.and_then(|place| queue.waiting.remove(place));
        if left.is_some() && queue.waiting.is_empty() {
            self.word.fetch_and(!side.queued(), Ordering::AcqRel);
        }
        drop(waiters);
        drop(left);
    }

    /// Applies `change` to the word until it sticks or refuses.
    #[inline]
    fn update<E>(&self, mut change: impl FnMut(u64) -> Result<u64, E>) -> Result<(), E> {
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

crate::sync::models!();

#[cfg(test)]
mod tests;
