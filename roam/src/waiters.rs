//! Who waits for what others do.

use std::mem;
use std::task::Waker;

/// One who waits.
pub(crate) struct Waiter {
    key: u64,
    waker: Waker,
}

/// Wakers under keys, of which there is one for each who ever waits. To be kept under a lock, so what
/// it does not keep is returned, to be dropped after the lock is given back.
#[derive(Default)]
pub(crate) struct Waiters {
    list: Vec<Waiter>,
    next_key: u64,
}

impl Waiters {
    /// Leaves `waker` under `key`, which is given on the first time. What it replaces is in its place
    /// then.
    pub(crate) fn leave(&mut self, key: &mut Option<u64>, waker: &mut Option<Waker>) {
        let key = *key.get_or_insert_with(|| {
            self.next_key += 1;
            self.next_key
        });
        let waiting = self.list.iter_mut().find(|waiter| waiter.key == key);
        match (waiting, waker.take()) {
            (Some(waiting), Some(newer)) => *waker = Some(mem::replace(&mut waiting.waker, newer)),
            (None, Some(waker)) => self.list.push(Waiter { key, waker }),
            (_, None) => {}
        }
    }

    /// Takes one away, if it is still there.
    pub(crate) fn forget(&mut self, key: u64) -> Option<Waiter> {
        let at = self.list.iter().position(|waiter| waiter.key == key);
        at.map(|at| self.list.swap_remove(at))
    }

    /// Takes all, to be woken.
    pub(crate) fn take(&mut self) -> Vec<Waiter> {
        mem::take(&mut self.list)
    }
}

/// Wakes them.
pub(crate) fn wake(waiters: Vec<Waiter>) {
    for waiter in waiters {
        waiter.waker.wake();
    }
}
