//! Models of the local run queue. Its indices are 3 bits wide here and its ring holds 4.

use loom::sync::Arc;

use super::super::models::{Runnables, assert_each_once};
use super::*;
use crate::sync::model::model;
use crate::sync::thread;

/// Takes all that is left in `queue`, whose owner calls this.
fn drain(queue: &Queue, runnables: &Runnables) -> Vec<usize> {
    std::iter::from_fn(|| queue.pop())
        .map(|task| runnables.read(task))
        .collect()
}

/// Steals from `queue` once, and takes all that came of it.
fn steal(queue: &Queue, runnables: &Runnables) -> Vec<usize> {
    let own = Queue::new();
    let first = queue.steal_into(&own);
    let mut taken: Vec<usize> = first.map(|task| runnables.read(task)).into_iter().collect();
    taken.extend(drain(&own, runnables));
    taken
}

/// L8: what the owner pushes and pops while another steals is taken once, with what its pusher
/// wrote, also where the indices wrap.
///
/// Mutant: queue_push_tail_relaxed: a thief takes what it does not see.
/// Mutant: queue_pop_moves_steal: the owner overwrites what a thief copies.
/// Mutant: queue_push_over_thief: a push counts only from the head, and overwrites the same.
/// Mutant: queue_steal_claims_nothing: the thief gives up its slots before it has copied them.
/// Mutant: queue_distance_does_not_wrap: a queue across the wrap seems to be empty.
#[test]
fn push_pop_and_steal_take_each_once() {
    model("push_pop_and_steal_take_each_once", Some(3), || {
        let (runnables, entries) = Runnables::new(6);
        let queue = Arc::new(Queue::starting_at(6));
        let mut entries = entries.into_iter();
        let mut injected = Vec::new();
        let mut push = |queue: &Queue| {
            let task = entries.next().expect("enough entries");
            runnables.write(&task);
            queue.push(task, |spilled| injected.push(runnables.read(spilled)));
        };
        let thief = {
            let (queue, runnables) = (queue.clone(), runnables.clone());
            thread::spawn(move || steal(&queue, &runnables))
        };
        let mut taken = Vec::new();
        push(&queue);
        push(&queue);
        push(&queue);
        taken.extend(queue.pop().map(|task| runnables.read(task)));
        push(&queue);
        push(&queue);
        push(&queue);
        taken.extend(drain(&queue, &runnables));
        taken.extend(thief.join().unwrap());
        taken.extend(drain(&queue, &runnables));
        taken.append(&mut injected);
        assert_each_once(taken, 6);
    });
}

/// L8: a push to a full ring hands each of the older half over once, though a thief is after them.
///
/// Mutant: queue_overflow_unclaimed: the owner hands over what a thief takes too.
#[test]
fn overflow_and_steal_take_each_once() {
    model("overflow_and_steal_take_each_once", None, || {
        let (runnables, entries) = Runnables::new(5);
        let queue = Arc::new(Queue::starting_at(5));
        let mut entries = entries.into_iter();
        let mut injected = Vec::new();
        for task in entries.by_ref().take(4) {
            runnables.write(&task);
            queue.push(task, |_| unreachable!("the ring holds four"));
        }
        let thief = {
            let (queue, runnables) = (queue.clone(), runnables.clone());
            thread::spawn(move || steal(&queue, &runnables))
        };
        let last = entries.next().expect("the fifth");
        runnables.write(&last);
        queue.push(last, |spilled| injected.push(runnables.read(spilled)));
        let mut taken = drain(&queue, &runnables);
        taken.extend(thief.join().unwrap());
        taken.extend(drain(&queue, &runnables));
        taken.append(&mut injected);
        assert_each_once(taken, 5);
    });
}

/// L8: two thieves at one queue take each runnable once, and the owner may push meanwhile.
///
/// Mutant: queue_two_thieves: a thief claims while another copies.
#[test]
fn two_thieves_take_each_once() {
    model("two_thieves_take_each_once", Some(3), || {
        let (runnables, entries) = Runnables::new(6);
        let queue = Arc::new(Queue::starting_at(6));
        let mut entries = entries.into_iter();
        let mut injected = Vec::new();
        for task in entries.by_ref().take(4) {
            runnables.write(&task);
            queue.push(task, |_| unreachable!("the ring holds four"));
        }
        let thieves = [(); 2].map(|()| {
            let (queue, runnables) = (queue.clone(), runnables.clone());
            thread::spawn(move || steal(&queue, &runnables))
        });
        for task in entries {
            runnables.write(&task);
            queue.push(task, |spilled| injected.push(runnables.read(spilled)));
        }
        let mut taken = Vec::new();
        for thief in thieves {
            taken.extend(thief.join().unwrap());
        }
        taken.extend(drain(&queue, &runnables));
        taken.append(&mut injected);
        assert_each_once(taken, 6);
    });
}

/// A chain of queues: one thread steals from `from` into `by`, which is its own, and another steals
/// from `by`.
#[derive(Clone)]
struct Chain {
    from: Arc<Queue>,
    by: Arc<Queue>,
    runnables: Runnables,
    count: usize,
}

impl Chain {
    /// Puts four runnables into `from`, and the others of `count` into `by`.
    fn new(count: usize) -> Self {
        let (runnables, entries) = Runnables::new(count);
        let from = Arc::new(Queue::starting_at(7));
        let by = Arc::new(Queue::starting_at(6));
        for (number, task) in entries.into_iter().enumerate() {
            runnables.write(&task);
            let queue = if number < 4 { &from } else { &by };
            queue.push(task, |_| unreachable!("there is room"));
        }
        Self {
            from,
            by,
            runnables,
            count,
        }
    }

    /// What the owner of `by` takes, in two steals.
    fn owner(&self) -> Vec<usize> {
        let mut taken = Vec::new();
        for _ in 0..2 {
            let first = self.from.steal_into(&self.by);
            taken.extend(first.map(|task| self.runnables.read(task)));
        }
        taken.extend(drain(&self.by, &self.runnables));
        taken
    }

    /// What the other takes, in two steals.
    fn other(&self) -> Vec<usize> {
        let mut taken = steal(&self.by, &self.runnables);
        taken.extend(steal(&self.by, &self.runnables));
        taken
    }

    fn assert_each_once(&self, mut taken: Vec<usize>) {
        taken.extend(drain(&self.by, &self.runnables));
        taken.extend(drain(&self.from, &self.runnables));
        assert_each_once(taken, self.count);
    }
}

// Which of the two threads is the first matters: loom compares an exchange or a store with the last
// access before it only, and if that was the thread's own load, it does not try the other order
// with what came before. Each model starts with the thread whose exchange the other must see.

/// L9: what was stolen is stolen again with all that belongs to it, once.
///
/// Mutant: queue_stolen_tail_relaxed: what was stolen is stolen again before it is seen.
#[test]
fn chained_steal_takes_each_once() {
    model("chained_steal_takes_each_once", None, || {
        let chain = Chain::new(4);
        let other = {
            let chain = chain.clone();
            thread::spawn(move || chain.other())
        };
        let mut taken = chain.owner();
        taken.extend(other.join().unwrap());
        chain.assert_each_once(taken);
    });
}

/// L9: a thief that is stolen from fills only slots that are free.
///
/// Mutant: queue_room_ignores_thief: the thief counts slots as free that are being copied.
#[test]
fn steal_into_a_full_queue_overwrites_nothing() {
    model("steal_into_a_full_queue_overwrites_nothing", None, || {
        let chain = Chain::new(8);
        let owner = {
            let chain = chain.clone();
            thread::spawn(move || chain.owner())
        };
        let mut taken = chain.other();
        taken.extend(owner.join().unwrap());
        chain.assert_each_once(taken);
    });
}
