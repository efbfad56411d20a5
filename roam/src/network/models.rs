//! No change of the network is missed by a session that waits for one.

use std::future::poll_fn;
use std::task::{Wake, ready};

use loom::thread;

use self::harness::block_on;
use super::*;

/// As for the runtime's models.
#[path = "../../../runtime/src/sync/model.rs"]
#[allow(dead_code, reason = "it serves the models of the runtime")]
mod harness;

fn model(name: &str, body: impl Fn() + Sync + Send + 'static) {
    harness::model(name, Some(3), body);
}

/// Waits until `listener` has seen `count` changes, with one waker as a task does.
fn hear(mut listener: Listener, count: u64) {
    block_on(poll_fn(|cx| {
        while listener.seen < count {
            ready!(listener.poll(cx));
        }
        Poll::Ready(())
    }));
}

/// Each of two sessions hears of each of two changes, or of both at once.
///
/// Mutant: network_tell_wakes_nobody: `tell` leaves the waiters where they are.
/// Mutant: network_tell_counts_late: `tell` counts after it has woken.
/// Mutant: network_poll_looks_early: `poll` looks before it takes the lock.
/// Mutant: network_poll_trusts_its_waker: `poll` takes a waker that it left once for one that is there.
#[test]
fn changes_are_heard() {
    model("changes_are_heard", || {
        let news = Arc::new(News::default());
        let [listener, other] = [(); 2].map(|()| Listener::new(Arc::clone(&news)));
        let other = thread::spawn(move || hear(other, 2));
        let teller = {
            let news = Arc::clone(&news);
            thread::spawn(move || {
                news.tell();
                news.tell();
            })
        };
        hear(listener, 2);
        other.join().expect("no panic");
        teller.join().expect("no panic");
        assert_eq!(news.waiters.lock().take().len(), 0);
    });
}

/// A waker that looks at the news when it is woken or dropped.
struct Inquisitive(Arc<News>);

impl Inquisitive {
    fn look(&self) {
        drop(self.0.waiters.lock());
    }
}

impl Wake for Inquisitive {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}

impl Drop for Inquisitive {
    fn drop(&mut self) {
        self.look();
    }
}

/// Wakers are woken and dropped outside the lock: loom reports the deadlock otherwise.
///
/// Mutant: network_tell_wakes_inside: `tell` wakes under the lock.
/// Mutant: network_poll_drops_inside: `poll` drops the waker before it under the lock.
/// Mutant: network_drop_drops_inside: a listener that goes drops its waker under the lock.
/// Mutant: network_drop_keeps_it: a listener that goes leaves its waker there.
#[test]
fn wakers_that_look() {
    model("network_wakers_that_look", || {
        let news = Arc::new(News::default());
        let mut listener = Listener::new(Arc::clone(&news));
        let poll = |listener: &mut Listener| {
            let waker = Waker::from(Arc::new(Inquisitive(Arc::clone(&news))));
            listener.poll(&mut Context::from_waker(&waker))
        };
        assert!(poll(&mut listener).is_pending());
        assert!(poll(&mut listener).is_pending());
        news.tell();
        assert!(poll(&mut listener).is_ready());
        assert!(poll(&mut listener).is_pending());
        drop(listener);
        assert_eq!(news.waiters.lock().take().len(), 0);
    });
}
