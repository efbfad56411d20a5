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
    kernel: Kernel,
    /// The global queue: how many runnables it holds.
    queued: AtomicUsize,
    /// Runnables that are still to end.
    unfinished: Mutex<usize>,
    finished: Condvar,
}

impl Pool {
    /// A pool in which `parked` workers are about to wait, with `unfinished` runnables to come.
    fn new(parked: usize, unfinished: usize) -> Arc<Self> {
        let kernel = Kernel::new();
        let idle = Idle::new();
        for _ in 0..parked {
            idle.start_searching();
            idle.park();
        }
        Arc::new(Self {
            idle,
            wake: WakeFlag::new(kernel.clone()),
            kernel,
            queued: AtomicUsize::new(0),
            unfinished: Mutex::new(unfinished),
            finished: Condvar::new(),
        })
    }

    fn push(&self) {
        self.queued.fetch_add(1, Ordering::Release);
        self.notify();
    }

    fn notify(&self) {
        if self.idle.claim() {
            self.wake.raise();
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
            self.kernel.end();
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
}

/// One worker.
struct Worker {
    pool: Arc<Pool>,
    searching: bool,
}

impl Worker {
    fn new(pool: &Arc<Pool>) -> Self {
        Self {
            pool: pool.clone(),
            searching: false,
        }
    }

    /// Runs what is queued, each by `run`, until the model is over.
    fn work(&mut self, run: impl Fn(&Pool)) {
        loop {
            if self.pool.pop() || self.search() {
                self.stop_searching();
                run(&self.pool);
            } else if !self.park() {
                return;
            }
        }
    }

    fn search(&mut self) -> bool {
        if !self.searching {
            self.pool.idle.start_searching();
            self.searching = true;
        }
        self.pool.pop()
    }

    fn stop_searching(&mut self) {
        if std::mem::take(&mut self.searching)
            && self.pool.idle.stop_searching()
            && self.pool.has_work()
        {
            self.pool.notify();
        }
    }

    /// Returns whether the model goes on.
    fn park(&mut self) -> bool {
        self.searching = false;
        self.pool.idle.park();
        if self.pool.has_work() {
            self.pool.idle.unpark();
            return true;
        }
        self.wait()
    }

    /// Waits as one that is counted as parked.
    fn wait(&mut self) -> bool {
        let waited = self.pool.kernel.wait(true);
        self.pool.idle.unpark();
        self.take(waited)
    }

    fn take(&mut self, waited: Waited) -> bool {
        if waited == Waited::Woken {
            self.pool.wake.take();
            self.searching = self.pool.idle.inherit(self.searching);
        }
        waited != Waited::Over
    }
}

/// L3: a runnable that is pushed while workers go idle is run: never do all wait while one is
/// queued. (They would wait for ever here, which loom reports.)
///
/// Mutant: idle_park_without_fence: the last look at the queues is older than the count.
/// Mutant: idle_claim_without_fence: the look at the count is older than the push.
/// Mutant: idle_park_keeps_searching: a worker that waits is trusted to search.
#[test]
fn push_while_workers_park_is_run() {
    model("push_while_workers_park_is_run", Some(2), || {
        let pool = Pool::new(0, 1);
        let workers = [(); 2].map(|()| {
            let mut worker = Worker::new(&pool);
            thread::spawn(move || worker.work(Pool::finish))
        });
        pool.push();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

/// L3: of two runnables the second is run though the first holds its worker: a wake-up is passed on
/// while there is more work.
///
/// Mutant: idle_word_not_passed_on: the last searcher says that it was not.
/// Mutant: idle_stop_without_fence: a push trusts the last searcher, whose last look is older.
#[test]
fn wake_up_is_passed_on_to_a_parked_worker() {
    model("wake_up_is_passed_on_to_a_parked_worker", Some(2), || {
        let pool = Pool::new(2, 2);
        let first = Arc::new(AtomicBool::new(true));
        let workers = [(); 2].map(|()| {
            let (mut worker, first) = (Worker::new(&pool), first.clone());
            thread::spawn(move || {
                if worker.wait() {
                    worker.work(|pool| {
                        if first.swap(false, Ordering::Relaxed) {
                            pool.finish_last();
                        } else {
                            pool.finish();
                        }
                    });
                }
            })
        });
        pool.push();
        pool.push();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

/// L3: a busy worker that harvests another's wake-up from the poller, without waiting there, passes
/// it on before its task holds it.
///
/// Mutant: idle_inherits_nothing: the wake-up ends with whoever harvested it.
#[test]
fn harvested_wake_up_is_passed_on() {
    model("harvested_wake_up_is_passed_on", None, || {
        let pool = Pool::new(1, 2);
        let parked = {
            let mut worker = Worker::new(&pool);
            thread::spawn(move || {
                if worker.wait() {
                    worker.work(Pool::finish);
                }
            })
        };
        let busy = {
            let mut worker = Worker::new(&pool);
            thread::spawn(move || {
                let waited = worker.pool.kernel.wait(false);
                worker.take(waited);
                // A task of its own, that waits for the one that is pushed.
                worker.stop_searching();
                worker.pool.finish_last();
            })
        };
        pool.push();
        parked.join().unwrap();
        busy.join().unwrap();
    });
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
            let pool = Pool::new(0, 1);
            let woken = Arc::new(AtomicBool::new(false));
            let worker = {
                let (mut worker, woken) = (Worker::new(&pool), woken.clone());
                thread::spawn(move || {
                    while !woken.swap(false, Ordering::Acquire) {
                        assert!(!worker.search(), "nothing is pushed");
                        worker.searching = false;
                        worker.pool.idle.park();
                        if woken.load(Ordering::Acquire) {
                            worker.pool.idle.unpark();
                        } else {
                            worker.wait();
                        }
                    }
                })
            };
            woken.swap(true, Ordering::Release);
            // As `Shared::interrupt`.
            fence(Ordering::SeqCst);
            if pool.idle.parked() > 0 {
                pool.wake.raise();
            }
            worker.join().unwrap();
        },
    );
}

/// L3: a wake-up that no push claimed, such as that of shutdown, changes no count, though another
/// worker searches.
///
/// Mutant: idle_inherits_unclaimed: whoever takes it ends the search of the other.
#[test]
fn unclaimed_wake_up_changes_no_count() {
    model("unclaimed_wake_up_changes_no_count", None, || {
        let pool = Pool::new(1, 0);
        let searcher = {
            let mut worker = Worker::new(&pool);
            thread::spawn(move || {
                assert!(!worker.search(), "nothing is pushed");
                worker.stop_searching();
            })
        };
        let parked = {
            let mut worker = Worker::new(&pool);
            thread::spawn(move || {
                worker.wait();
                worker.stop_searching();
            })
        };
        pool.wake.raise();
        searcher.join().unwrap();
        parked.join().unwrap();
        assert_eq!(searching(pool.idle.word.load(Ordering::Relaxed)), 0);
        assert_eq!(pool.idle.parked(), 0);
    });
}
