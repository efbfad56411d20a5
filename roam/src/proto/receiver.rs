//! Which states of the peer are held (mosh-wire §8).
//!
//! Every instruction names the state that its difference applies to, so several are held until the
//! peer says which it will not refer to any more. Their number and their size are bounded, and so is
//! the work for those that there is no room for: they are refused before they are made. How big one
//! becomes only shows once it is made, so after one that was too big the others are refused for a
//! while, or until something is given up.

use std::collections::VecDeque;
use std::time::Instant;

use super::constants::{QUENCH_TIME, RECEIVED_STATES_MAX};
use super::error::PeerError;
use super::instruction::Instruction;
use super::policy::{FULL_PAUSE, RECEIVED_BYTES_MAX};
use super::state::State;

#[derive(Debug)]
struct Held<R> {
    number: u64,
    /// The state that it was made from.
    old: u64,
    state: R,
    size: usize,
}

#[derive(Debug)]
pub(super) struct Receiver<R> {
    /// In the order of their numbers; never empty.
    held: VecDeque<Held<R>>,
    /// The sum of the sizes.
    memory: usize,
    /// When one may be taken although there are too many.
    quench_until: Option<Instant>,
    /// Until when the memory counts as full.
    full_until: Option<Instant>,
    /// What the application has taken: a log may not forget beyond it.
    taken: (u64, R),
}

/// What became of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It made the newest state. `asks`: the peer waits for our word. `changed`: the state differs
    /// from the one before.
    Newest { asks: bool, changed: bool },
    /// It made a state that is older than the newest.
    Late,
    /// Its state is held already.
    Known,
    /// It refers to a state that is not held, because one was lost or forgotten.
    Unknown,
    /// Too many states are held, or too big ones.
    Full,
}

impl<R: State> Receiver<R> {
    pub(super) fn new(initial: R) -> Self {
        let size = initial.size();
        Receiver {
            taken: (0, initial.clone()),
            held: VecDeque::from([Held {
                number: 0,
                old: 0,
                state: initial,
                size,
            }]),
            memory: size,
            quench_until: None,
            full_until: None,
        }
    }

    fn newest(&self) -> &Held<R> {
        &self.held[self.held.len() - 1]
    }

    /// The newest state and its number.
    pub(super) fn current(&self) -> (u64, &R) {
        let newest = self.newest();
        (newest.number, &newest.state)
    }

    /// The newest state, which the application has seen then.
    pub(super) fn take(&mut self) -> R {
        let newest = self.newest();
        let taken = (newest.number, newest.state.clone());
        self.taken = taken.clone();
        self.trim();
        taken.1
    }

    /// Makes the state that an instruction tells of.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        instruction: &Instruction,
    ) -> Result<Outcome, PeerError> {
        let (old, new) = (instruction.old_num, instruction.new_num);
        if self.find(new).is_some() {
            return Ok(Outcome::Known);
        }
        if new <= old || old < instruction.throwaway_num {
            return Err(PeerError::Numbers);
        }
        if self.find(old).is_none() {
            return Ok(Outcome::Unknown);
        }
        self.forget_below(instruction.throwaway_num);
        if self.is_full(now) {
            return Ok(Outcome::Full);
        }
        let Some(base) = self.find(old) else {
            return Ok(Outcome::Unknown);
        };
        let mut state = base.state.clone();
        state.apply(&instruction.diff)?;
        let size = state.size();
        if self.memory.saturating_add(size) > RECEIVED_BYTES_MAX {
            self.full_until = Some(now + FULL_PAUSE);
            return Ok(Outcome::Full);
        }
        if self.held.len() > RECEIVED_STATES_MAX {
            self.quench_until = Some(now + QUENCH_TIME);
        }
        let after = self.held.partition_point(|held| held.number < new);
        let outcome = if after == self.held.len() {
            let changed = state != self.newest().state;
            // A change may need no octets, if it is back to what the peer knows that we hold.
            let asks = changed || !instruction.diff.is_empty();
            Outcome::Newest { asks, changed }
        } else {
            Outcome::Late
        };
        self.memory += size;
        self.held.insert(
            after,
            Held {
                number: new,
                old,
                state,
                size,
            },
        );
        Ok(outcome)
    }

    /// State `number`, if it is held.
    fn find(&self, number: u64) -> Option<&Held<R>> {
        let at = self.held.binary_search_by_key(&number, |held| held.number);
        self.held.get(at.ok()?)
    }

    /// Forgets the states that the peer will not refer to, and of logs what both ends have.
    fn forget_below(&mut self, number: u64) {
        let gone = self.held.partition_point(|held| held.number < number);
        // The peer's number may be above all that is held: the newest stays.
        let gone = gone.min(self.held.len() - 1);
        if gone == 0 {
            return;
        }
        self.held.drain(..gone);
        self.trim();
    }

    /// Forgets of logs what the peer will not refer to and the application has taken.
    fn trim(&mut self) {
        let first = &self.held[0];
        let known = if self.taken.0 < first.number {
            Some(self.taken.1.clone())
        } else {
            self.has_taken(first.number).then(|| first.state.clone())
        };
        if let Some(known) = &known {
            self.taken.1.forget(known);
        }
        let before = std::mem::take(&mut self.memory);
        for held in &mut self.held {
            if let Some(known) = &known {
                held.state.forget(known);
            }
            held.size = held.state.size();
            self.memory += held.size;
        }
        if self.memory < before {
            self.full_until = None;
        }
    }

    /// Whether the application has taken state `number`, which is held, or one that was made from it.
    /// A newer one may have been made from an older one, so that it lacks what came between.
    fn has_taken(&self, number: u64) -> bool {
        let mut taken = self.taken.0;
        while taken > number {
            match self.find(taken) {
                Some(held) => taken = held.old,
                None => return false,
            }
        }
        taken == number
    }

    /// Whether another state is one too many, whatever its size.
    fn is_full(&self, now: Instant) -> bool {
        let is_before = |until: Option<Instant>| until.is_some_and(|until| now < until);
        let count = self.held.len();
        is_before(self.full_until)
            || count > 2 * RECEIVED_STATES_MAX
            || (count > RECEIVED_STATES_MAX && is_before(self.quench_until))
    }

    /// Bytes of memory in the states that are held, and in the one that was taken if it is not held
    /// any more.
    pub(super) fn memory(&self) -> usize {
        let (number, taken) = &self.taken;
        match self.find(*number) {
            Some(_) => self.memory,
            None => self.memory + taken.size(),
        }
    }
}

#[cfg(test)]
mod tests;
