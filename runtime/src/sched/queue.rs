//! A worker's own run queue: a ring of runnables that its owner fills and empties, and others steal
//! half of.
//!
//! ```text
//!          steal         head          tail
//!  ─────────┼─────────────┼─────────────┼────────
//!  empty    │ being moved │  runnable   │  empty
//!           │  by a thief │             │
//! ```
//! `heads` packs two indices: `head`, where owner and thieves take, and `steal`, up to which slots
//! may be overwritten. They are equal unless a thief is copying: it claims `[head, head+n)` by
//! moving `head` alone, copies, and then lets `steal` catch up. One thief at a time; the owner goes
//! on meanwhile. Indices count modulo their width, which is far wider than the ring, so that an
//! exchange can't succeed on an index that went all the way round.
#![allow(unsafe_code)] // Runnables lie in the ring as pointers; each is taken out once, by whoever moved `head` past it.

use std::ptr;

use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::sync::width::{QUEUE_INDEX, QUEUE_RING};
use crate::task::raw::{Header, Task};

/// How many runnables the ring holds.
pub(crate) const CAPACITY: u64 = 1 << QUEUE_RING;
const INDEX_MASK: u64 = (1 << QUEUE_INDEX) - 1;

const _: () = assert!(
    QUEUE_INDEX > QUEUE_RING,
    "a full ring is told from an empty one"
);

/// The two indices at the front of the ring.
#[derive(Clone, Copy)]
struct Heads {
    steal: u64,
    head: u64,
}

impl Heads {
    fn unpack(word: u64) -> Self {
        Self {
            steal: word >> 32,
            head: word & u64::from(u32::MAX),
        }
    }

    fn pack(self) -> u64 {
        self.steal << 32 | self.head
    }

    fn is_stolen_from(self) -> bool {
        self.steal != self.head
    }

    /// Moves `head` on by `n`, and `steal` with it unless a thief is copying.
    fn advance(self, n: u64) -> Self {
        let head = add(self.head, n);
        Self {
            steal: if self.is_stolen_from() {
                self.steal
            } else {
                head
            },
            head,
        }
    }
}

fn add(index: u64, n: u64) -> u64 {
    (index + n) & INDEX_MASK
}

/// How far `to` is ahead of `from`.
fn distance(from: u64, to: u64) -> u64 {
    to.wrapping_sub(from) & INDEX_MASK
}

/// The part that others see.
#[derive(Debug)]
pub(crate) struct Queue {
    heads: AtomicU64,
    /// Written by the owner alone.
    tail: AtomicU64,
    ring: Box<[AtomicPtr<Header>]>,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self::starting_at(0)
    }

    /// An empty queue whose indices start at `index`; near the wrap, for models.
    fn starting_at(index: u64) -> Self {
        Self {
            heads: AtomicU64::new(
                Heads {
                    steal: index,
                    head: index,
                }
                .pack(),
            ),
            tail: AtomicU64::new(index),
            ring: (0..CAPACITY)
                .map(|_| AtomicPtr::new(ptr::null_mut()))
                .collect(),
        }
    }

    /// How many runnables there are to take, roughly unless called by the owner.
    pub(crate) fn len(&self) -> u64 {
        let heads = Heads::unpack(self.heads.load(Ordering::Acquire));
        distance(heads.head, self.tail.load(Ordering::Acquire)).min(CAPACITY)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many runnables fit in. Called by the owner.
    pub(crate) fn room(&self) -> u64 {
        let heads = Heads::unpack(self.heads.load(Ordering::Acquire));
        CAPACITY - distance(heads.steal, self.tail.load(Ordering::Relaxed))
    }

    /// Appends a runnable. If the ring is full, half of it and the new one go to `overflow`
    /// instead, in their order.
    ///
    /// Called by the owner alone.
    pub(crate) fn push(&self, task: Task, mut overflow: impl FnMut(Task)) {
        let tail = self.tail.load(Ordering::Relaxed);
        loop {
            // Acquire: a slot that a thief emptied is written only after it was read. Pairs with
            // its last exchange.
            let word = self.heads.load(Ordering::Acquire);
            let heads = Heads::unpack(word);
            if distance(heads.steal, tail) < CAPACITY {
                self.slot(tail).store(task.into_raw(), Ordering::Relaxed);
                // Release: who sees the new tail sees the slot.
                self.tail.store(add(tail, 1), Ordering::Release);
                return;
            }
            if heads.is_stolen_from() {
                // The thief makes room soon, but the owner waits for nobody.
                return overflow(task);
            }
            let half = CAPACITY / 2;
            let next = heads.advance(half).pack();
            // AcqRel: claims the first half against thieves; what they read before is read.
            if self
                .heads
                .compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                for n in 0..half {
                    overflow(self.take(add(heads.head, n)));
                }
                return overflow(task);
            }
        }
    }

    /// Takes the oldest runnable. Called by the owner alone.
    pub(crate) fn pop(&self) -> Option<Task> {
        let tail = self.tail.load(Ordering::Relaxed);
        let mut word = self.heads.load(Ordering::Acquire);
        loop {
            let heads = Heads::unpack(word);
            if heads.head == tail {
                return None;
            }
            // AcqRel: as for `push`.
            match self.heads.compare_exchange_weak(
                word,
                heads.advance(1).pack(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(self.take(heads.head)),
                Err(now) => word = now,
            }
        }
    }

    /// Moves half of the runnables, rounded up, to `thief`'s own queue, and returns one of them to
    /// run at once.
    ///
    /// Called by the owner of `thief`. Returns `None` if there is nothing to steal, if another
    /// thief is at it, or if `thief` has no room.
    pub(crate) fn steal_into(&self, thief: &Queue) -> Option<Task> {
        if thief.room() < CAPACITY / 2 {
            return None;
        }
        let (from, n) = self.claim()?;
        let tail = thief.tail.load(Ordering::Relaxed);
        let first = self.take(from);
        for i in 1..n {
            let task = self.take(add(from, i));
            thief
                .slot(add(tail, i - 1))
                .store(task.into_raw(), Ordering::Relaxed);
        }
        self.unclaim();
        // Release: who sees the new tail sees the slots.
        thief.tail.store(add(tail, n - 1), Ordering::Release);
        Some(first)
    }

    /// Claims half of the runnables for copying: their first index and count.
    fn claim(&self) -> Option<(u64, u64)> {
        let mut word = self.heads.load(Ordering::Acquire);
        loop {
            let heads = Heads::unpack(word);
            // Acquire: the slots up to this tail are written. Pairs with `push`.
            let len = distance(heads.head, self.tail.load(Ordering::Acquire));
            // More than the ring holds: `tail` was read long after `word`, and the exchange below
            // would fail.
            if heads.is_stolen_from() || len == 0 || len > CAPACITY {
                return None;
            }
            let n = len.div_ceil(2);
            let next = Heads {
                steal: heads.steal,
                head: add(heads.head, n),
            }
            .pack();
            match self
                .heads
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some((heads.head, n)),
                Err(now) => word = now,
            }
        }
    }

    /// Ends a claim: the copied slots may be overwritten.
    fn unclaim(&self) {
        let mut word = self.heads.load(Ordering::Acquire);
        loop {
            let head = Heads::unpack(word).head;
            let next = Heads { steal: head, head }.pack();
            // AcqRel: the copies come before the owner's next writes to the slots. Pairs with
            // `push`.
            match self
                .heads
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    fn slot(&self, index: u64) -> &AtomicPtr<Header> {
        &self.ring[(index % CAPACITY) as usize]
    }

    /// Takes the runnable at an index that the caller moved `head` past.
    fn take(&self, index: u64) -> Task {
        let raw = self.slot(index).load(Ordering::Relaxed);
        // SAFETY: `push` and `steal_into` store pointers from `into_raw` before they publish the
        // index; whoever moved `head` past an index is the only one to take it, and its slot is not
        // overwritten before that.
        unsafe { Task::from_raw(raw) }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        while let Some(task) = self.pop() {
            drop(task);
        }
    }
}

crate::sync::models!();
