//! The connections that a server has: who is in, who waits for a place, who for the end.

use std::collections::HashMap;
use std::future::poll_fn;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use gannet_runtime::AbortHandle;

use super::ServerStats;

/// What all tasks of a server share.
#[derive(Debug)]
pub(super) struct Crowd {
    places_max: usize,
    state: Mutex<State>,
    draining: AtomicBool,
    /// Those who wait for a place, and for the last connection to end.
    leavings: Waiters,
    /// Those who wait to hear that the server is draining.
    drain: Waiters,
    accepted: AtomicU64,
    accept_errors: AtomicU64,
    outcomes: [AtomicU64; Outcome::COUNT],
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    /// The connections being served; without a handle until their task has begun.
    tasks: HashMap<u64, Option<AbortHandle>>,
    /// Everybody was cut off: whoever begins now is late.
    is_over: bool,
}

/// How a connection has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Completed,
    Failed,
    Panicked,
    TimedOut,
    CutOff,
}

impl Outcome {
    const COUNT: usize = Outcome::CutOff as usize + 1;
}

impl Crowd {
    pub(super) fn new(places_max: usize) -> Self {
        Crowd {
            places_max,
            state: Mutex::default(),
            draining: AtomicBool::new(false),
            leavings: Waiters::default(),
            drain: Waiters::default(),
            accepted: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            outcomes: Default::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }

    /// Waits for a place; `None` once the server is draining.
    pub(super) async fn place(crowd: &Arc<Self>) -> Option<Place> {
        let take = || {
            if crowd.is_draining() {
                return Some(None);
            }
            let mut state = crowd.state();
            if state.tasks.len() >= crowd.places_max {
                return None;
            }
            let id = state.next_id;
            state.next_id += 1;
            state.tasks.insert(id, None);
            Some(Some(id))
        };
        let id = crowd.leavings.until(take).await?;
        crowd.accepted.fetch_add(1, Ordering::Relaxed);
        Some(Place {
            crowd: crowd.clone(),
            id,
            outcome: None,
        })
    }

    /// Keeps the means to cut a connection off, unless it has ended already.
    pub(super) fn set_abort_handle(&self, id: u64, handle: AbortHandle) {
        let mut state = self.state();
        if state.is_over {
            drop(state);
            handle.abort();
        } else if let Some(task) = state.tasks.get_mut(&id) {
            *task = Some(handle);
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        // Acquire: who hears of it sees what was done before. Pairs with `begin_drain`.
        self.draining.load(Ordering::Acquire)
    }

    /// Waits until the server is draining.
    pub(super) async fn draining(crowd: Arc<Self>) {
        let heard = || crowd.is_draining().then_some(());
        crowd.drain.until(heard).await;
    }

    /// Tells everybody that the server is draining.
    pub(super) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.drain.wake();
        self.leavings.wake();
    }

    /// Waits until nobody is served.
    pub(super) async fn idle(&self) {
        let is_idle = || self.state().tasks.is_empty().then_some(());
        self.leavings.until(is_idle).await;
    }

    /// Cuts off whoever is still served; returns how many.
    pub(super) fn cut_off(&self) -> u64 {
        let mut state = self.state();
        state.is_over = true;
        let tasks: Vec<_> = state.tasks.values().flatten().cloned().collect();
        drop(state);
        // Not under the lock: aborting drops the handler's future, which leaves its place.
        tasks.iter().for_each(AbortHandle::abort);
        tasks.len() as u64
    }

    pub(super) fn count_accept_error(&self) {
        self.accept_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> ServerStats {
        let count = |outcome: Outcome| self.outcomes[outcome as usize].load(Ordering::Relaxed);
        ServerStats {
            active: self.state().tasks.len() as u64,
            accepted: self.accepted.load(Ordering::Relaxed),
            completed: count(Outcome::Completed),
            failed: count(Outcome::Failed),
            panicked: count(Outcome::Panicked),
            timed_out: count(Outcome::TimedOut),
            cut_off: count(Outcome::CutOff),
            accept_errors: self.accept_errors.load(Ordering::Relaxed),
            accept_pauses: 0,
        }
    }
}

/// A connection's place among those that are served, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    id: u64,
    outcome: Option<Outcome>,
}

impl Place {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Gives the place up, and tells how the connection has ended.
    pub(super) fn leave(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let outcome = self.outcome.unwrap_or(if std::thread::panicking() {
            Outcome::Panicked
        } else {
            Outcome::CutOff
        });
        self.crowd.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
        let handle = self.crowd.state().tasks.remove(&self.id);
        drop(handle);
        self.crowd.leavings.wake();
    }
}

/// Tasks that wait for something to change.
#[derive(Debug, Default)]
struct Waiters(Mutex<(u64, HashMap<u64, Waker>)>);

impl Waiters {
    /// Waits until `look` finds something. It looks at first, and after each [`wake`](Self::wake).
    async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let mut waiter = Waiter {
            waiters: self,
            id: None,
        };
        poll_fn(|cx| {
            if let Some(found) = look() {
                return Poll::Ready(found);
            }
            waiter.wait(cx);
            // Again, because it may have changed before the waker was there.
            look().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn wake(&self) {
        // Wakers run foreign code: outside of the lock.
        let waiting = mem::take(&mut self.lock().1);
        waiting.into_values().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<u64, Waker>)> {
        self.0.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

/// One that waits; taken off the list when dropped.
struct Waiter<'a> {
    waiters: &'a Waiters,
    id: Option<u64>,
}

impl Waiter<'_> {
    fn wait(&mut self, cx: &mut Context<'_>) {
        let waker = cx.waker().clone();
        let mut waiters = self.waiters.lock();
        let id = *self.id.get_or_insert_with(|| {
            waiters.0 += 1;
            waiters.0
        });
        let old = waiters.1.insert(id, waker);
        drop(waiters);
        drop(old); // Foreign code as well.
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let waker = self.waiters.lock().1.remove(&id);
            drop(waker);
        }
    }
}
