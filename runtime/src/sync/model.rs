//! The harness of all models: explores one with loom, says how far it got, and fails if it was cut
//! off. With it come the wakers that models use.

use std::env;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::atomic::AtomicUsize;
use loom::sync::{Condvar, Mutex};
use loom::thread;

/// Steps of one execution: beyond any model that makes progress, so only one that spins for ever
/// gets there, and loom then panics.
const MAX_BRANCHES: usize = 20_000;

/// Runs `f` under every interleaving and every value that a load may return.
///
/// `bound` is how often at most a thread is preempted; `LOOM_MAX_PREEMPTIONS` can raise it. `None`
/// explores everything.
pub(crate) fn model(name: &str, bound: Option<usize>, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    assert!(
        builder.max_duration.is_none() && builder.max_permutations.is_none(),
        "loom passes a model that it cut off: unset LOOM_MAX_DURATION and LOOM_MAX_PERMUTATIONS"
    );
    builder.max_branches = MAX_BRANCHES;
    builder.preemption_bound = bound.map(|bound| bound.max(asked_for().unwrap_or(0)));
    let permutations = Arc::new(AtomicU64::new(0));
    let counter = permutations.clone();
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        f();
    });
    println!(
        "model {name}: {} permutations",
        permutations.load(Ordering::Relaxed)
    );
}

fn asked_for() -> Option<usize> {
    let bound = env::var("LOOM_MAX_PREEMPTIONS").ok()?;
    Some(bound.parse().expect("LOOM_MAX_PREEMPTIONS is a number"))
}

/// Polls `future` until it is ready, and between two polls waits for its waker. A wake that is lost
/// leaves the thread waiting for ever, which loom reports as a deadlock.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let signal = Arc::new(Signal {
        is_woken: Mutex::new(false),
        woken: Condvar::new(),
    });
    let waker = Waker::from(signal.clone());
    let mut at_once = 0;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        at_once = if signal.wait() { 0 } else { at_once + 1 };
        if at_once > 1 {
            // A task that keeps waking itself waits for another to get on. Not the first time: what
            // a thread reads after it yielded is never stale, and that would hide a missing order.
            thread::yield_now();
        }
    }
}

struct Signal {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Signal {
    /// Waits for a wake; returns whether it had to.
    fn wait(&self) -> bool {
        let mut is_woken = self.is_woken.lock().unwrap();
        let waits = !*is_woken;
        while !*is_woken {
            is_woken = self.woken.wait(is_woken).unwrap();
        }
        *is_woken = false;
        waits
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock().unwrap() = true;
        self.woken.notify_one();
    }
}

/// A waker that counts its wakes.
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let wakes = Arc::new(Self(AtomicUsize::new(0)));
        (wakes.clone(), Waker::from(wakes))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Plain memory: loom reports a read that no ordering puts after the write.
pub(crate) struct Plain(UnsafeCell<bool>);

impl Plain {
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(false))
    }

    pub(crate) fn write(&self) {
        self.0.with_mut(|_| ());
    }

    pub(crate) fn read(&self) {
        self.0.with(|_| ());
    }
}
