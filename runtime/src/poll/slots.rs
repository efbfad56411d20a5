//! Type-stable storage for poll descriptors: a slot, once made, stays where it is until the poller
//! goes.
//!
//! An event that the kernel queued for an earlier owner may be delivered at any time, so a slot is
//! never freed; the generation in the event tells whose it is. Storage grows in chunks, four for
//! each doubling, so that a lookup takes some shifts and two loads, at most a quarter is unused, and
//! a small program pays for 16 descriptors.
#![allow(unsafe_code)] // The way to a slot, which needs no search because slots stay where they are.

use super::desc::Descriptor;
use crate::error::Stop;
use crate::sched::shared::Shared;
use crate::sync::{Mutex, width};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

/// The size at which counting starts, as a power of two; the first chunk is a quarter of it.
const FIRST_SIZE: u32 = width::FIRST_SIZE;
/// Enough for 2^31 descriptors, more than a process may open.
const CHUNKS: usize = 4 * (31 - FIRST_SIZE as usize);
const GENERATION_MASK: u32 = ((1_u64 << width::GENERATION) - 1) as u32;

/// Names one owner of one slot; travels in the epoll event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Key {
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            generation: (bits >> 32) as u32,
        }
    }
}

#[derive(Debug, Default)]
struct Free {
    /// Slots without an owner, last freed first.
    list: Vec<u32>,
    /// Slots made so far.
    made: u32,
    /// Set by shutdown: nobody may open a slot any more.
    shut: bool,
}

/// All poll descriptors of one poller.
#[derive(Debug)]
pub(crate) struct Slots {
    chunks: [OnceLock<Box<[Descriptor]>>; CHUNKS],
    free: Mutex<Free>,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CHUNKS],
            free: Mutex::new(Free::default()),
        }
    }

    /// Hands a slot to a new owner. `drained`: the first read waits for an edge without trying.
    pub(crate) fn open(&self, drained: bool) -> Result<Key, Stop> {
        let mut free = self.free.lock();
        if free.shut {
            return Err(Stop::Shutdown);
        }
        let index = free.list.pop().unwrap_or_else(|| {
            free.made += 1;
            free.made - 1
        });
        let (chunk, offset) = locate(index);
        let descriptor = &self.chunks[chunk]
            .get_or_init(|| (0..chunk_len(chunk)).map(|_| Descriptor::new()).collect())[offset];
        // The successor of what the last owner had: its events are told from ours by this alone.
        let generation = descriptor.generation().wrapping_add(1) & GENERATION_MASK;
        descriptor.open(generation, drained);
        Ok(Key { index, generation })
    }

    /// Takes the slot back. The owner has closed it, and its descriptor is out of the kernel's
    /// list.
    pub(crate) fn release(&self, key: Key) {
        debug_assert_eq!(self.slot(key.index).generation(), key.generation);
        self.free.lock().list.push(key.index);
    }

    /// Returns the slot of an index that was handed out once.
    #[inline]
    pub(crate) fn slot(&self, index: u32) -> &Descriptor {
        let (chunk, offset) = locate(index);
        &self.chunks[chunk]
            .get()
            .expect("a key is handed out after its chunk is made")[offset]
    }

    /// Ends every wait, now and later. Slots opened before or not at all: none slips through,
    /// because `open` and this take turns under the lock.
    pub(crate) fn shut(&self) {
        let made = {
            let mut free = self.free.lock();
            free.shut = true;
            free.made
        };
        for index in 0..made {
            self.slot(index).stop(Stop::Shutdown).wake();
        }
    }

    /// How many slots have an owner.
    pub(crate) fn len(&self) -> usize {
        let free = self.free.lock();
        free.made as usize - free.list.len()
    }
}

/// A way to a slot that its owner keeps, and that takes no search.
#[derive(Debug)]
pub(crate) struct Place {
    slot: NonNull<Descriptor>,
    shared: Arc<Shared>,
}

// SAFETY: `slot` is a shared reference in all but its lifetime, and `Descriptor` is `Sync`; `shared` is
// an `Arc` of what is `Send + Sync`.
unsafe impl Send for Place {}
// SAFETY: as for `Send`.
unsafe impl Sync for Place {}

impl Place {
    /// Finds the slot of a key that the runtime's poller handed out.
    pub(crate) fn new(shared: Arc<Shared>, key: Key) -> Self {
        let slot = NonNull::from(shared.poller.slots.slot(key.index));
        Self { slot, shared }
    }

    #[inline]
    pub(crate) fn descriptor(&self) -> &Descriptor {
        // SAFETY: the slot lies in a chunk of `shared.poller.slots`, which frees a chunk only when it
        // is dropped itself, with `shared`; and that lives as long as `self`. It is only shared.
        unsafe { self.slot.as_ref() }
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// Finds chunk and offset of a slot.
///
/// Counted from the first size on, the number's highest bit tells the doubling, the two bits below
/// it the quarter of that, and the others the offset.
fn locate(index: u32) -> (usize, usize) {
    let number = u64::from(index) + (1 << FIRST_SIZE);
    let doubling = number.ilog2();
    let quarter = doubling - 2;
    let chunk = u64::from(4 * (doubling - FIRST_SIZE)) + (number >> quarter & 3);
    (chunk as usize, (number & ((1 << quarter) - 1)) as usize)
}

/// How many slots a chunk holds.
fn chunk_len(chunk: usize) -> usize {
    1 << (FIRST_SIZE as usize - 2 + chunk / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locate_covers_every_index_once() {
        let mut expected = (0, 0);
        for index in 0..100_000 {
            assert_eq!(locate(index), expected, "index {index}");
            expected.1 += 1;
            if expected.1 == chunk_len(expected.0) {
                expected = (expected.0 + 1, 0);
            }
        }
        assert!(locate((1 << 31) - (1 << FIRST_SIZE) - 1).0 < CHUNKS);
    }

    #[test]
    fn reopened_slot_has_a_new_generation() {
        let slots = Slots::new();
        let first = slots.open(false).unwrap();
        slots.release(first);
        let second = slots.open(false).unwrap();
        assert_eq!(first.index, second.index);
        assert_ne!(first.generation, second.generation);
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn open_after_shut_is_refused() {
        let slots = Slots::new();
        slots.shut();
        assert_eq!(slots.open(false), Err(Stop::Shutdown));
    }

    #[test]
    fn key_survives_the_kernel() {
        let key = Key {
            index: 0xfeed_beef,
            generation: 0x8000_0001,
        };
        assert_eq!(Key::from_bits(key.to_bits()), key);
    }
}

crate::sync::models!();
