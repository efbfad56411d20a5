//! A hierarchical timing wheel: insert, remove and fire in constant time, for any deadline a `u64`
//! of ticks can hold.
//!
//! Eight levels of 64 slots. A slot of level `l` spans `64^l` ticks. An entry goes to the level of
//! the highest digit (base 64) in which its tick differs from `elapsed`, so all entries of a level
//! share the digits above with `elapsed` and lie ahead of it: the lowest occupied slot of the
//! lowest occupied level comes next, and no index ever wraps. When the wheel reaches a slot of a
//! higher level, its entries move down.
//!
//! The wheel knows no clock and wakes nobody: `advance` hands out what is due.

use slab::Slab;

/// Bits of a digit; a level has `1 << DIGIT` slots.
const DIGIT: u32 = 6;
const SLOTS: usize = 1 << DIGIT;
/// Enough levels for every tick below 2^48.
const LEVELS: usize = 8;
/// The latest tick that the wheel tells from others; anything later counts as this.
pub(crate) const TICK_MAX: u64 = (1 << (DIGIT * LEVELS as u32)) - 1;

const NIL: u32 = u32::MAX;

/// Names one entry; stale once the entry fired or was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    index: u32,
    /// Tells the entry from others that used the same index.
    serial: u32,
}

impl Key {
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.serial) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            serial: (bits >> 32) as u32,
        }
    }
}

#[derive(Debug)]
struct Node<T> {
    tick: u64,
    serial: u32,
    level: u8,
    slot: u8,
    prev: u32,
    next: u32,
    value: T,
}

#[derive(Debug)]
struct Level {
    occupied: u64,
    heads: [u32; SLOTS],
}

/// A timing wheel of `T`s.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    /// Everything before this tick has been handed out, and this tick too but for what `advance` left.
    elapsed: u64,
    nodes: Slab<Node<T>>,
    levels: Box<[Level; LEVELS]>,
    next_serial: u32,
}

impl<T> Wheel<T> {
    pub(crate) fn new() -> Self {
        let levels = Box::new(
            [const {
                Level {
                    occupied: 0,
                    heads: [NIL; SLOTS],
                }
            }; LEVELS],
        );
        Self {
            elapsed: 0,
            nodes: Slab::new(),
            levels,
            next_serial: 0,
        }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.nodes.iter().map(|(_, node)| &node.value)
    }

    /// Enters `value` for `tick`. A tick that has been reached already counts as the next one.
    pub(crate) fn insert(&mut self, tick: u64, value: T) -> Key {
        self.next_serial = self.next_serial.wrapping_add(1);
        let serial = self.next_serial;
        let tick = tick.clamp(self.elapsed + 1, TICK_MAX.max(self.elapsed + 1));
        let node = Node {
            tick,
            serial,
            level: 0,
            slot: 0,
            prev: NIL,
            next: NIL,
            value,
        };
        let index =
            u32::try_from(self.nodes.insert(node)).expect("fewer than 2^32 timers fit into memory");
        self.link(index);
        Key { index, serial }
    }

    /// Takes an entry out, unless it fired or was removed before.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get_mut(key)?;
        self.unlink(key.index);
        Some(self.nodes.remove(key.index as usize).value)
    }

    /// Returns the value of an entry that has not fired.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let node = self.nodes.get_mut(key.index as usize)?;
        (node.serial == key.serial).then_some(&mut node.value)
    }

    /// When to call [`advance`](Self::advance) next: no entry is due earlier.
    pub(crate) fn next_tick(&self) -> Option<u64> {
        self.next_slot().map(|(_, _, start)| start)
    }

    /// Moves on to `now` and hands out what is due by then, in order of ticks, but not more than
    /// `max`. What is left is due at [`next_tick`](Self::next_tick).
    pub(crate) fn advance(&mut self, now: u64, mut max: usize, mut fire: impl FnMut(T)) {
        while let Some((level, slot, start)) = self.next_slot() {
            if start > now {
                break;
            }
            debug_assert!(start >= self.elapsed);
            self.elapsed = start;
            let mut index = std::mem::replace(&mut self.levels[level].heads[slot], NIL);
            self.levels[level].occupied &= !(1 << slot);
            while index != NIL {
                let next = self.nodes[index as usize].next;
                if level > 0 {
                    self.link(index);
                } else if max > 0 {
                    max -= 1;
                    fire(self.nodes.remove(index as usize).value);
                } else {
                    self.nodes[index as usize].prev = NIL;
                    self.levels[level].heads[slot] = index;
                    self.levels[level].occupied |= 1 << slot;
                    return;
                }
                index = next;
            }
        }
        self.elapsed = self.elapsed.max(now);
    }

    /// The next occupied slot: level, index, and the tick at which it begins.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        let slot = self.levels[level].occupied.trailing_zeros() as usize;
        let shift = DIGIT * level as u32;
        let above = self.elapsed >> (shift + DIGIT) << (shift + DIGIT);
        Some((level, slot, above | (slot as u64) << shift))
    }

    fn link(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        let differing = (node.tick ^ self.elapsed) | 1;
        let level = (differing.ilog2() / DIGIT) as usize;
        let slot = (node.tick >> (DIGIT * level as u32)) as usize % SLOTS;
        let list = &mut self.levels[level];
        let head = std::mem::replace(&mut list.heads[slot], index);
        list.occupied |= 1 << slot;
        node.level = level as u8;
        node.slot = slot as u8;
        node.prev = NIL;
        node.next = head;
        if head != NIL {
            self.nodes[head as usize].prev = index;
        }
    }

    fn unlink(&mut self, index: u32) {
        let Node {
            level,
            slot,
            prev,
            next,
            ..
        } = self.nodes[index as usize];
        let (level, slot) = (usize::from(level), usize::from(slot));
        if next != NIL {
            self.nodes[next as usize].prev = prev;
        }
        if prev != NIL {
            self.nodes[prev as usize].next = next;
            return;
        }
        let list = &mut self.levels[level];
        list.heads[slot] = next;
        if next == NIL {
            list.occupied &= !(1 << slot);
        }
    }
}

#[cfg(test)]
mod tests;
