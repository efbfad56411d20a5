//! The driver and the handles of a session do not miss each other.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc as StdArc;
use std::task::{Wake, Waker};
use std::time::Instant;

use loom::sync::Arc;
use loom::thread;

use self::harness::block_on;
use super::*;
use crate::proto::{Arrival, Event, PeerError, Port, PortChange, SendFailure, Transmit};

/// As for the runtime's models.
#[path = "../../../runtime/src/sync/model.rs"]
#[allow(dead_code, reason = "it serves the models of the runtime")]
mod harness;

fn model(name: &str, body: impl Fn() + Sync + Send + 'static) {
    harness::model(name, Some(3), body);
}

/// A protocol of which only the news count: what is asked, and what the driver answers.
#[derive(Default)]
struct Letters {
    asked: u64,
    answered: u64,
    closed: bool,
}

impl Protocol for Letters {
    fn handle_datagram(&mut self, _: &Arrival, _: &mut [u8]) -> Result<(), PeerError> {
        Ok(())
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn handle_network_change(&mut self, _: Instant) {}

    fn handle_send_failure(&mut self, _: Instant, _: Port, _: SendFailure) {}

    fn poll_transmit(&mut self, _: Instant, _: &mut Vec<u8>) -> Option<Transmit> {
        None
    }

    fn poll_timeout(&self, _: Instant) -> Option<Instant> {
        None
    }

    fn poll_port(&mut self) -> Option<PortChange> {
        None
    }

    fn poll_event(&mut self) -> Option<Event> {
        None
    }

    fn news(&self) -> u64 {
        self.answered + u64::from(self.closed)
    }

    fn shut_down(&mut self, _: Instant) {
        self.closed = true;
    }

    fn abandon(&mut self) {
        self.closed = true;
    }

    fn is_closed(&self) -> bool {
        self.closed
    }
}

type Post = Shared<Letters>;

fn post() -> Arc<Post> {
    Arc::new(Shared::new(Letters::default()))
}

/// A driver that answers until `count` letters are answered.
fn answer(shared: &Post, count: u64) {
    block_on(poll_fn(|cx| {
        let answered = shared.drive(cx.waker(), |letters| {
            letters.answered = letters.asked;
            letters.answered
        });
        if answered < count {
            return Poll::Pending;
        }
        Poll::Ready(())
    }));
}

/// Waits for the answer to letter `number`, and takes none away from others.
async fn answered(shared: &Post, number: u64) -> bool {
    let found = shared.find(|letters| (letters.answered >= number).then_some(()));
    found.await.is_some()
}

/// A change wakes the driver, and its answer wakes who asked: neither is missed, whoever comes first.
///
/// Mutant: shared_change_leaves_the_driver: `change` wakes nobody.
/// Mutant: shared_change_takes_the_driver_early: `change` takes the driver before it has changed.
/// Mutant: shared_drive_leaves_no_waker: `drive` looks before it leaves its waker.
/// Mutant: shared_drive_wakes_nobody: `drive` leaves the waiters where they are.
/// Mutant: shared_drive_takes_waiters_early: `drive` takes the waiters before it looks.
/// Mutant: shared_find_registers_late: `find` gives the lock back before it leaves its waker.
#[test]
fn question_and_answer() {
    model("question_and_answer", || {
        let shared = post();
        let driver = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || answer(&shared, 1))
        };
        shared.change(|letters| letters.asked += 1);
        assert!(block_on(answered(&shared, 1)));
        driver.join().expect("no panic");
    });
}

/// Of two who ask, each gets its answer.
///
/// Mutant: shared_drive_wakes_one: `drive` wakes only the last of those who wait.
#[test]
fn two_who_ask() {
    model("two_who_ask", || {
        let shared = post();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                assert!(block_on(answered(&shared, 1)));
            })
        };
        let driver = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || answer(&shared, 1))
        };
        shared.change(|letters| letters.asked += 1);
        assert!(block_on(answered(&shared, 1)));
        other.join().expect("no panic");
        driver.join().expect("no panic");
    });
}

/// A driver that goes ends the wait.
///
/// Mutant: shared_abandon_wakes_nobody: `abandon` leaves the waiters where they are.
/// Mutant: shared_abandon_takes_waiters_early: `abandon` looks for news before it ends the protocol.
#[test]
fn driver_that_goes() {
    model("driver_that_goes", || {
        let shared = post();
        let driver = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.abandon())
        };
        assert!(!block_on(answered(&shared, 1)));
        driver.join().expect("no panic");
    });
}

/// What a handle ends by itself is news for the others at the driver's next look.
///
/// Mutant: shared_change_leaves_the_driver: `change` wakes nobody.
#[test]
fn handle_that_ends_it() {
    model("handle_that_ends_it", || {
        let shared = post();
        let waiting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                assert!(!block_on(answered(&shared, 1)));
            })
        };
        let driver = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                block_on(poll_fn(|cx| {
                    let closed = shared.drive(cx.waker(), |letters| letters.closed);
                    if closed { Poll::Ready(()) } else { Poll::Pending }
                }));
            })
        };
        shared.change(|letters| letters.closed = true);
        waiting.join().expect("no panic");
        driver.join().expect("no panic");
    });
}

/// A waker that uses the session when it is woken or dropped, as an executor may that runs a task
/// in place.
struct Inquisitive(StdArc<Post>);

impl Wake for Inquisitive {
    fn wake(self: StdArc<Self>) {
        self.0.look(|letters| letters.asked);
    }
}

impl Drop for Inquisitive {
    fn drop(&mut self) {
        self.0.look(|letters| letters.asked);
    }
}

fn inquisitive(shared: &StdArc<Post>) -> Waker {
    Waker::from(StdArc::new(Inquisitive(StdArc::clone(shared))))
}

/// Wakers are woken and dropped outside the lock: loom reports the deadlock otherwise.
///
/// Mutant: shared_change_wakes_inside: `change` wakes the driver under the lock.
/// Mutant: shared_drive_wakes_inside: `drive` wakes those who wait under the lock.
/// Mutant: shared_find_drops_inside: `find` drops the waker before it under the lock.
/// Mutant: shared_forget_drops_inside: a dropped future drops its waker under the lock.
/// Mutant: shared_forget_keeps_it: a dropped future leaves its waker there.
#[test]
fn wakers_that_look() {
    model("wakers_that_look", || {
        let shared = StdArc::new(Shared::new(Letters::default()));
        for _ in 0..2 {
            shared.drive(&inquisitive(&shared), |_| ());
        }
        shared.change(|letters| letters.asked += 1);
        let mut find = pin!(shared.find(never));
        for _ in 0..2 {
            poll(find.as_mut(), &inquisitive(&shared));
        }
        shared.drive(&inquisitive(&shared), |letters| letters.answered += 1);
        poll(find.as_mut(), &inquisitive(&shared));
        find.set(shared.find(never));
        assert_eq!(shared.inner.lock().waiters.take().len(), 0);
        poll(find.as_mut(), &inquisitive(&shared));
        shared.abandon();
        assert!(shared.inner.lock().driver.is_none());
    });
}

fn never(letters: &mut Letters) -> Option<()> {
    (letters.answered > 9).then_some(())
}

fn poll(future: Pin<&mut impl Future<Output = Option<()>>>, waker: &Waker) {
    let polled = future.poll(&mut Context::from_waker(waker));
    assert!(polled.is_pending());
}
