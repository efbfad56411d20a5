//! Models of the idle protocol: workers as `worker` has them, around this module's word, with the
//! real wake flag and a modelled eventfd.

use loom::sync::{Arc, Condvar, Mutex};

use super::*;
use crate::poll::wake::{Channel, WakeFlag};
use crate::sync::atomic::{AtomicBool, AtomicUsize};
use crate::sync::model::model;
use crate::sync::thread;

/// An eventfd in an edge-triggered epoll, as the kernel has them.
#[derive(Clone)]
struct Kernel(Arc<KernelState>);

struct KernelState {
    event: Mutex<Event>,
    changed: Condvar,
}

#[derive(Default)]
struct Event {
    /// A write came that no wait has reported.
    is_listed: bool,
    /// The counter is not zero; otherwise a listed event is not reported.
    is_readable: bool,
    /// The model is over: all that was queued is done.
    is_over: bool,
}

/// What a wait gave.
#[derive(PartialEq)]
enum Waited {
    Woken,
    Nothing,
    Over,
}

impl Kernel {
    fn new() -> Self {
        Self(Arc::new(KernelState {
            event: Mutex::new(Event::default()),
            changed: Condvar::new(),
        }))
    }

    fn wait(&self, may_block: bool) -> Waited {
        let mut event = self.0.event.lock().unwrap();
        loop {
            if event.is_over {
                return Waited::Over;
            }
            if std::mem::take(&mut event.is_listed) && event.is_readable {
                return Waited::Woken;
            }
            if !may_block {
                return Waited::Nothing;
            }
            event = self.0.changed.wait(event).unwrap();
        }
    }

    fn end(&self) {
        self.0.event.lock().unwrap().is_over = true;
        self.0.changed.notify_all();
    }
}

impl Channel for Kernel {
    fn notify(&self) {
        let mut event = self.0.event.lock().unwrap();
        (event.is_listed, event.is_readable) = (true, true);
        self.0.changed.notify_one();
    }

    fn drain(&self) {
        self.0.event.lock().unwrap().is_readable = false;
    }
}

/// What the workers share.
struct Pool {
    idle: Idle,
    wake: WakeFlag<Kernel>,
    poller: Kernel,
    call: WakeFlag<Kernel>,
    reserve: Kernel,
    /// All queues: how many runnables they hold.
    queued: AtomicUsize,
    /// Runnables that are still to end.
    unfinished: Mutex<usize>,
    finished: Condvar,
}

impl Pool {
    /// A pool of `workers`, with `unfinished` runnables to come.
    fn new(workers: usize, unfinished: usize) -> Arc<Self> {
        let (poller, reserve) = (Kernel::new(), Kernel::new());
        Arc::new(Self {
            idle: Idle::new(workers),
            wake: WakeFlag::new(poller.clone()),
            poller,
            call: WakeFlag::new(reserve.clone()),
            reserve,
            queued: AtomicUsize::new(0),
            unfinished: Mutex::new(unfinished),
            finished: Condvar::new(),
        })
    }

    /// As `Shared::schedule_remote`.
    fn push(&self) {
        self.queued.fetch_add(1, Ordering::Release);
        if self.idle.is_quiet() {
            self.wake.raise();
        }
    }

    /// As `Local::push` and `Shared::call`.
    fn push_as_worker(&self) {
        self.queued.fetch_add(1, Ordering::Release);
        match self.idle.helper_for_push() {
            Some(Place::Spare) => drop(self.call.raise()),
            Some(Place::Keeper) => drop(self.wake.raise()),
            None => {}
        }
    }

    fn has_work(&self) -> bool {
        self.queued.load(Ordering::Acquire) > 0
    }

    fn pop(&self) -> bool {
        let less = |queued: usize| queued.checked_sub(1);
        self.queued
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less)
            .is_ok()
    }

    /// Ends a runnable, and the model with the last.
    fn finish(&self) {
        let mut unfinished = self.unfinished.lock().unwrap();
        *unfinished -= 1;
        self.finished.notify_all();
        if *unfinished == 0 {
            self.poller.end();
            self.reserve.end();
        }
    }

    /// Holds the thread, as a long task does, until no other runnable is unfinished.
    fn finish_last(&self) {
        let mut unfinished = self.unfinished.lock().unwrap();
        while *unfinished > 1 {
            unfinished = self.finished.wait(unfinished).unwrap();
        }
        drop(unfinished);
        self.finish();
    }

    /// Runs what is queued as one worker, until the model is over.
    fn work(&self, eager: bool) {
        loop {
            if self.pop() {
                self.finish();
                continue;
            }
            let (place, looks) = self.idle.park(eager);
            if looks && self.has_work() {
                self.idle.unpark(place);
            } else if !self.wait(place) {
                return;
            }
        }
    }

    /// Waits as one that is counted there. Returns whether the model goes on.
    fn wait(&self, place: Place) -> bool {
        let (kernel, flag) = match place {
            Place::Keeper => (&self.poller, &self.wake),
            Place::Spare => (&self.reserve, &self.call),
        };
        let waited = kernel.wait(true);
        self.idle.unpark(place);
        if waited == Waited::Woken {
            flag.take();
        }
        waited != Waited::Over
    }
}

/// L3: a runnable that is pushed while workers go idle is run: never do all wait while one is
/// queued. (They would wait for ever here, which loom reports.)
///
/// Mutant: idle_park_without_fence: the last look at the queues is older than the count.
/// Mutant: idle_quiet_without_fence: the look at the count is older than the push.
/// Mutant: idle_parks_in_two_steps: both take the other for one that is active.
/// Mutant: idle_last_is_a_spare: all wait in the reserve.
#[test]
fn push_while_workers_park_is_run() {
    model("push_while_workers_park_is_run", Some(2), || {
        let pool = Pool::new(2, 1);
        let workers = [(); 2].map(|()| {
            let pool = pool.clone();
            thread::spawn(move || pool.work(false))
        });
        pool.push();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

/// L3: a worker that is active beside a keeper harvests the keeper's wake-up, and then parks: it is
/// the last to look, though it is not the keeper.
///
/// Mutant: idle_spare_never_looks: only a keeper looks at the queues.
#[test]
fn push_while_the_last_parks_beside_a_keeper_is_run() {
    model(
        "push_while_the_last_parks_beside_a_keeper_is_run",
        Some(3),
        || {
            let pool = Pool::new(2, 1);
            assert!(pool.idle.park(true) == (Place::Keeper, true));
            let keeper = {
                let pool = pool.clone();
                thread::spawn(move || {
                    if pool.wait(Place::Keeper) {
                        pool.work(false);
                    }
                })
            };
            let last = {
                let pool = pool.clone();
                thread::spawn(move || {
                    if pool.poller.wait(false) == Waited::Woken {
                        pool.wake.take();
                    }
                    pool.work(false);
                })
            };
            pool.push();
            keeper.join().unwrap();
            last.join().unwrap();
        },
    );
}

/// L3: a push is run while one worker is stuck in a task, once another has found it stuck.
///
/// Mutant: idle_stuck_is_active: who is stuck is trusted to look.
#[test]
fn push_beside_a_stuck_worker_is_run() {
    model("push_beside_a_stuck_worker_is_run", Some(2), || {
        let pool = Pool::new(2, 2);
        let told = Arc::new(AtomicBool::new(false));
        let stuck = {
            let (pool, told) = (pool.clone(), told.clone());
            thread::spawn(move || {
                pool.finish_last();
                if told.swap(false, Ordering::Relaxed) {
                    pool.idle.unmark_stuck();
                }
                pool.work(false);
            })
        };
        let watcher = {
            let pool = pool.clone();
            thread::spawn(move || {
                pool.idle.mark_stuck();
                told.store(true, Ordering::Relaxed);
                pool.work(false);
            })
        };
        pool.push();
        stuck.join().unwrap();
        watcher.join().unwrap();
    });
}

/// L3: what an active worker queues, and then cannot run itself, is run by one that parks meanwhile,
/// if tasks are known to be long.
///
/// Mutant: idle_helper_without_fence: the look at the count is older than the push.
/// Mutant: idle_eager_does_not_look: it trusts the active one.
#[test]
fn push_of_an_active_worker_beside_an_eager_one_is_run() {
    model(
        "push_of_an_active_worker_beside_an_eager_one_is_run",
        None,
        || {
            let pool = Pool::new(2, 2);
            let eager = {
                let pool = pool.clone();
                thread::spawn(move || pool.work(true))
            };
            pool.push_as_worker();
            pool.finish_last();
            eager.join().unwrap();
        },
    );
}

/// L3: a wake of the main future of a current-thread runtime is not lost to a worker that parks.
///
/// Mutant: idle_park_without_fence_interrupted: the last look at the flag is older than the count.
#[test]
fn main_future_woken_while_its_worker_parks_is_polled() {
    model(
        "main_future_woken_while_its_worker_parks_is_polled",
        None,
        || {
            let pool = Pool::new(1, 1);
            let woken = Arc::new(AtomicBool::new(false));
            let worker = {
                let (pool, woken) = (pool.clone(), woken.clone());
                thread::spawn(move || {
                    while !woken.swap(false, Ordering::Acquire) {
                        let (place, looks) = pool.idle.park(false);
                        assert!(place == Place::Keeper && looks, "it is the last one");
                        if woken.load(Ordering::Acquire) {
                            pool.idle.unpark(place);
                        } else {
                            pool.wait(place);
                        }
                    }
                })
            };
            woken.swap(true, Ordering::Release);
            // As `Shared::interrupt`.
            if pool.idle.is_quiet() {
                pool.wake.raise();
            }
            worker.join().unwrap();
        },
    );
}
