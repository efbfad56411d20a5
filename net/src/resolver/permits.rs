//! Turns: at most so many hold one at once, the others wait, first come first served.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Permits to do something, shared by clones.
#[derive(Clone)]
pub(super) struct Permits(Arc<Mutex<Inner>>);

struct Inner {
    free: usize,
    waiting: VecDeque<Arc<Mutex<Turn>>>,
}

/// What one waits for.
enum Turn {
    Waiting(Option<Waker>),
    Given,
    /// The permit was taken out, or nobody waits any more.
    Over,
}

/// A permit. Dropping it hands it to who has waited longest.
pub(super) struct Permit(Permits);

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        Permits(Arc::new(Mutex::new(Inner {
            free: count,
            waiting: VecDeque::new(),
        })))
    }

    /// Waits for a permit.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue, and hands on a permit that had been given
    /// meanwhile.
    pub(super) async fn acquire(&self) -> Permit {
        let turn = {
            let mut inner = lock(&self.0);
            if inner.free > 0 {
                inner.free -= 1;
                return Permit(self.clone());
            }
            let turn = Arc::new(Mutex::new(Turn::Waiting(None)));
            inner.waiting.push_back(Arc::clone(&turn));
            turn
        };
        let place = Place {
            permits: self,
            turn,
        };
        poll_fn(|cx| {
            // Cloned before the lock, and the old one dropped behind it: a waker is foreign code.
            let mut next = Turn::Waiting(Some(cx.waker().clone()));
            let mut turn = lock(&place.turn);
            if matches!(*turn, Turn::Given) {
                next = Turn::Over;
            }
            let before = mem::replace(&mut *turn, next);
            drop(turn);
            match before {
                Turn::Given => Poll::Ready(Permit(self.clone())),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Gives a permit to who has waited longest, or keeps it.
    fn hand_on(&self) {
        let mut inner = lock(&self.0);
        let waker = loop {
            let Some(turn) = inner.waiting.pop_front() else {
                inner.free += 1;
                return;
            };
            let mut turn = lock(&turn);
            if let Turn::Waiting(waker) = &mut *turn {
                let waker = waker.take();
                *turn = Turn::Given;
                break waker;
            }
        };
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A place in the queue.
struct Place<'a> {
    permits: &'a Permits,
    turn: Arc<Mutex<Turn>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let before = mem::replace(&mut *lock(&self.turn), Turn::Over);
        match before {
            Turn::Over => return,
            Turn::Given => return self.permits.hand_on(),
            Turn::Waiting(_) => {}
        }
        let mut inner = lock(&self.permits.0);
        inner.waiting.retain(|turn| !Arc::ptr_eq(turn, &self.turn));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.hand_on();
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = lock(&self.0);
        f.debug_struct("Permits")
            .field("free", &inner.free)
            .field("waiting", &inner.waiting.len())
            .finish()
    }
}

/// Locks. A panic cannot happen under these locks, so a poisoned one is as good as new.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>, count: &Arc<Count>) -> Option<T> {
        let waker = Waker::from(Arc::clone(count));
        match future.poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn permits_go_round_first_come_first_served() {
        let permits = Permits::new(1);
        let count = Arc::new(Count::default());
        let (mut first, mut second) = (pin!(permits.acquire()), pin!(permits.acquire()));
        let held = poll(pin!(permits.acquire()), &count).expect("one is free");
        assert!(poll(first.as_mut(), &count).is_none());
        assert!(poll(second.as_mut(), &count).is_none());
        drop(held);
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "one is woken");
        assert!(poll(second.as_mut(), &count).is_none(), "not its turn");
        let held = poll(first.as_mut(), &count).expect("its turn");
        drop(held);
        assert!(poll(second.as_mut(), &count).is_some());
    }

    #[test]
    fn who_gives_up_hands_on_what_it_was_given() {
        let permits = Permits::new(1);
        let count = Arc::new(Count::default());
        let held = poll(pin!(permits.acquire()), &count).expect("one is free");
        let mut gone = Box::pin(permits.acquire());
        let mut given = Box::pin(permits.acquire());
        let mut last = pin!(permits.acquire());
        for place in [&mut gone, &mut given] {
            assert!(poll(place.as_mut(), &count).is_none());
        }
        assert!(poll(last.as_mut(), &count).is_none());
        drop(gone);
        drop(held);
        drop(given);
        let held = poll(last.as_mut(), &count).expect("all before it have gone");
        drop(held);
        assert_eq!(
            format!("{permits:?}"),
            "Permits { free: 1, waiting: 0 }",
            "nothing is lost"
        );
    }
}
