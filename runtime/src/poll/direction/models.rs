//! L4 and L5: no edge, no close and no deadline is missed by the operation that waits.

use std::future::poll_fn;

use loom::sync::Arc;

use super::*;
use crate::sync::atomic::AtomicUsize;
use crate::sync::model::{block_on, model};
use crate::sync::thread;

const GENERATION: u64 = GENERATION_MASK;

/// A direction, and what the kernel has for its reader.
struct Source {
    direction: Direction,
    drained: Drained,
    /// Relaxed: only the readiness word makes the reader see what came with an edge.
    arrived: AtomicUsize,
}

impl Source {
    fn new(drained: bool) -> Arc<Self> {
        let source = Self {
            direction: Direction::new(),
            drained: Drained::new(),
            arrived: AtomicUsize::new(0),
        };
        source.direction.open(GENERATION);
        source.drained.set(drained);
        Arc::new(source)
    }

    /// Data comes, and the poller delivers the edge.
    fn deliver(&self) {
        self.arrived.fetch_add(1, Ordering::Relaxed);
        wake(self.direction.notify(GENERATION, true));
    }

    /// Reads until `len` have come, as the retry loop does. After a read that got something, it
    /// holds that the queue was emptied.
    fn read(&self, len: usize) -> Result<(), Stop> {
        let mut seen = 0;
        while seen < len {
            seen = block_on(poll_fn(|cx| {
                loop {
                    if self.direction.prepare(&self.drained)? == Next::Try {
                        let arrived = self.arrived.load(Ordering::Relaxed);
                        if arrived > seen {
                            self.drained.set(true);
                            return Poll::Ready(Ok(arrived));
                        }
                    }
                    std::task::ready!(self.direction.poll_ready(cx, &self.drained))?;
                }
            }))?;
        }
        Ok(())
    }
}

impl Direction {
    /// Whether the owner of `generation` would find an edge.
    pub(crate) fn is_ready_for(&self, generation: u64) -> bool {
        let word = self.word.load(Ordering::Acquire);
        word >> GENERATION_SHIFT == generation && word & READY != 0
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// L4: consuming an edge, before the call or in the wait, never removes a newer one, and the call
/// that follows sees what came with it; nor does the note that the queue was empty.
///
/// Mutant: direction_publish_is_relaxed: publishing does not release what the poller saw.
/// Mutant: direction_publish_trusts_ready: it leaves a word alone that says READY already.
/// Mutant: direction_consume_is_relaxed: consuming an edge does not acquire it.
/// Mutant: direction_drained_outranks_ready: the wait overlooks an edge that stands beside the note
/// that the queue is empty.
/// Mutant: direction_drained_outlives_the_edge: consuming an edge leaves that note.
/// Mutant: direction_waits_in_two_steps: setting WAITING wipes an edge that came in between.
/// Mutant: direction_waits_unpublished: WAITING is set without releasing the cell.
#[test]
fn edge_racing_a_read_is_not_lost() {
    model("direction_edge", Some(3), || {
        let source = Source::new(true);
        let kernel = source.clone();
        thread::spawn(move || {
            kernel.deliver();
            kernel.deliver();
        });
        assert_eq!(source.read(2), Ok(()));
    });
}

/// L4: an edge and a close at the same time: the wait ends with the closed error, and the edge
/// keeps neither close nor generation from being seen.
///
/// Mutant: direction_consume_in_two_steps: consuming an edge wipes a close that came in between.
/// Mutant: direction_stop_wakes_nobody: `stop` leaves the waiter asleep.
#[test]
fn close_racing_edge_and_wait_ends_the_wait() {
    model("direction_close", Some(3), || {
        let source = Source::new(true);
        let kernel = source.clone();
        thread::spawn(move || kernel.deliver());
        let closer = source.clone();
        thread::spawn(move || wake(closer.direction.stop(Stop::Closed)));
        assert_eq!(source.read(2), Err(Stop::Closed));
    });
}

/// L5: a deadline that expires ends a wait that begins at the same time.
///
/// Mutant: direction_expire_wakes_first: `expire` looks for a waiter before it publishes.
/// Mutant: direction_expire_wakes_nobody: `expire` leaves the waiter asleep.
/// Mutant: direction_waits_without_a_look: the deadline is not looked at after WAITING is set.
#[test]
fn deadline_racing_wait_ends_the_wait() {
    model("direction_deadline", None, || {
        let source = Source::new(true);
        source.direction.set_deadline(5);
        let other = source.clone();
        thread::spawn(move || wake(other.direction.expire(5).expect("it is due")));
        assert_eq!(source.read(1), Err(Stop::Deadline));
    });
}

/// L18: a deadline that is moved while the old one expires stays as it was moved.
///
/// Mutant: direction_expire_in_two_steps: `expire` stores, and overwrites a deadline that was
/// moved in between.
#[test]
fn moved_deadline_is_not_overwritten() {
    model("direction_moved", None, || {
        let source = Source::new(true);
        source.direction.set_deadline(5);
        let other = source.clone();
        let timer = thread::spawn(move || match other.direction.expire(5) {
            Ok(waker) => wake(waker),
            Err(later) => assert_eq!(later, 9),
        });
        source.direction.set_deadline(9);
        timer.join().unwrap();
        assert_eq!(source.direction.deadline(), 9);
    });
}

/// L4: a reader that was cancelled leaves no waiter, and no edge goes with it.
///
/// Mutant: direction_cancel_consumes: giving up the wait consumes the edge too.
#[test]
fn edge_racing_cancel_is_kept() {
    model("direction_cancel", None, || {
        let source = Source::new(true);
        let kernel = source.clone();
        let poller = thread::spawn(move || kernel.deliver());
        let mut cx = Context::from_waker(Waker::noop());
        let first = source.direction.poll_ready(&mut cx, &source.drained);
        if first.is_pending() {
            source.direction.forget_waiter();
            poller.join().unwrap();
            assert!(
                source.direction.is_ready(),
                "the edge is there for the next"
            );
        }
        assert_eq!(source.read(1), Ok(()));
    });
}
