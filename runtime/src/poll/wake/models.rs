//! L2: a wake-up ends a wait, whatever it races with.

use loom::sync::{Arc, Condvar, Mutex};

use super::*;
use crate::sync::atomic::AtomicUsize;
use crate::sync::model::model;
use crate::sync::thread;

/// An eventfd in an edge-triggered epoll set.
struct Kernel {
    state: Mutex<State>,
    event: Condvar,
}

#[derive(Default)]
struct State {
    is_counting: bool,
    has_edge: bool,
}

impl State {
    fn harvest(&mut self) -> bool {
        // An edge whose cause is gone at the time of the wait is not reported.
        std::mem::take(&mut self.has_edge) && self.is_counting
    }
}

impl Channel for Arc<Kernel> {
    fn notify(&self) {
        let mut state = self.state.lock().unwrap();
        (state.is_counting, state.has_edge) = (true, true);
        self.event.notify_one();
    }

    fn drain(&self) {
        self.state.lock().unwrap().is_counting = false;
    }
}

impl Kernel {
    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        while !state.harvest() {
            state = self.event.wait(state).unwrap();
        }
    }

    fn poll(&self) -> bool {
        self.state.lock().unwrap().harvest()
    }
}

struct Setup {
    kernel: Arc<Kernel>,
    flag: Arc<WakeFlag<Arc<Kernel>>>,
    queue: Arc<[AtomicUsize; 2]>,
}

impl Setup {
    fn new() -> Self {
        let kernel = Arc::new(Kernel {
            state: Mutex::default(),
            event: Condvar::new(),
        });
        Self {
            flag: Arc::new(WakeFlag::new(kernel.clone())),
            kernel,
            queue: Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]),
        }
    }

    /// Pushes `times` to queue `at`, each push with its wake-up, on a thread.
    fn push(&self, at: usize, times: usize) {
        let (flag, queue) = (self.flag.clone(), self.queue.clone());
        thread::spawn(move || {
            for n in 1..=times {
                queue[at].store(n, Ordering::Relaxed);
                flag.raise();
            }
        });
    }

    fn has(&self, at: usize, times: usize) -> bool {
        self.queue[at].load(Ordering::Relaxed) == times
    }
}

/// L2: every `raise` ends a wait after which its caller's push is seen: one that comes alone, one
/// that is coalesced, one between drain and lowering.
///
/// Mutant: wake_raise_is_relaxed: a coalesced `raise` does not publish its push.
/// Mutant: wake_take_is_a_store: `take` does not read the flag that it lowers, so misses what a
/// coalesced `raise` published.
/// Mutant: wake_take_is_relaxed: `take` acquires nothing.
/// Mutant: wake_lowered_before_drain: `take` lowers first, and drains a wake-up that came between.
/// Mutant: wake_take_leaves_flag: `take` does not lower, so nobody writes again.
#[test]
fn wake_racing_take_ends_a_wait() {
    model("wake_flag", Some(3), || {
        let setup = Setup::new();
        setup.push(0, 2);
        setup.push(1, 1);
        while !(setup.has(0, 2) && setup.has(1, 1)) {
            setup.kernel.wait();
            setup.flag.take();
        }
    });
}

/// L2: a worker that polls without waiting and harvests the wake-up can pass it on: after `take`
/// the next `raise` writes again, so the waiting worker comes back.
///
/// Mutant: wake_take_leaves_flag: `take` does not lower, so passing on writes nothing.
/// Mutant: wake_lowered_before_drain: `take` drains the wake-up of a push that came between.
#[test]
fn wake_harvested_by_a_poll_can_be_passed_on() {
    model("wake_harvest", Some(3), || {
        let setup = Setup::new();
        setup.push(0, 2);
        let (kernel, flag) = (setup.kernel.clone(), setup.flag.clone());
        thread::spawn(move || {
            if kernel.poll() {
                flag.take();
                flag.raise();
            }
        });
        while !setup.has(0, 2) {
            setup.kernel.wait();
            setup.flag.take();
        }
    });
}
