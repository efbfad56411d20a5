//! What the workers of one runtime, its handles, tasks and descriptors share.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::idle::{Idle, Place};
use super::inject::Inject;
use super::next::NextSlot;
use super::pace::Pace;
use super::queue::Queue as Ring;
use super::watch::Watch;
use super::worker::Local;
use crate::block_on::Seat;
use crate::blocking::Pool;
use crate::context;
use crate::error::Stop;
use crate::poll::poller::Poller;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex};
use crate::task::join::{JoinError, JoinHandle};
use crate::task::raw::{Queue, Schedule, Task};
use crate::task::registry::Registry;

/// What a worker shows to the others.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) queue: Ring,
    pub(crate) next: NextSlot,
    /// How many tasks the worker has begun to run.
    pub(crate) stamp: AtomicU64,
    /// The stamp at the last watch.
    pub(crate) seen: AtomicU64,
    /// The worker was found in the same task by two watches. It takes that back.
    pub(crate) stuck: AtomicBool,
    /// The worker waits, or there is none. A hint for the watch.
    pub(crate) resting: AtomicBool,
    pub(crate) parks: AtomicU64,
    pub(crate) steals: AtomicU64,
}

impl Remote {
    fn new() -> Self {
        Self {
            queue: Ring::new(),
            next: NextSlot::new(),
            stamp: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
            resting: AtomicBool::new(true),
            parks: AtomicU64::new(0),
            steals: AtomicU64::new(0),
        }
    }
}

/// Worker threads that have not ended.
#[derive(Debug, Default)]
struct LiveWorkers {
    running: usize,
    /// The last one has dropped the tasks.
    cleaned_up: bool,
}

impl LiveWorkers {
    /// Whether all have ended, and the last has cleaned up.
    fn is_over(&self) -> bool {
        self.running == 0 && self.cleaned_up
    }
}

/// One runtime.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Whoever takes it drives a current-thread runtime; a multi-thread one has none.
    pub(crate) seat: Option<Seat>,
    pub(crate) poller: Poller,
    pub(crate) registry: Registry,
    pub(crate) inject: Inject,
    pub(crate) idle: Idle,
    pub(crate) pace: Pace,
    pub(crate) remotes: Box<[Remote]>,
    pub(crate) blocking: Pool,
    /// Whether the timer that looks for stuck workers is set.
    pub(crate) watch: Watch,
    shutdown: AtomicBool,
    /// Worker threads that have not ended; the last one cleans up.
    live_workers: Mutex<LiveWorkers>,
    all_ended: Condvar,
    process: u32,
}

impl Shared {
    /// Makes the state of a runtime whose workers are yet to be started.
    pub(crate) fn new(workers: usize, blocking: Pool, seat: Option<Seat>) -> io::Result<Self> {
        Ok(Self {
            seat,
            poller: Poller::new()?,
            registry: Registry::new(workers),
            inject: Inject::new(),
            idle: Idle::new(workers),
            pace: Pace::new(workers),
            remotes: (0..workers).map(|_| Remote::new()).collect(),
            blocking,
            watch: Watch::new(),
            shutdown: AtomicBool::new(false),
            live_workers: Mutex::new(LiveWorkers::default()),
            all_ended: Condvar::new(),
            process: gannet_sys::fork::generation(),
        })
    }

    /// Returns whether this is a forked child of the process that built the runtime: its workers
    /// are not here, and the kernel's list of descriptors is the parent's.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        gannet_sys::fork::generation() != self.process
    }

    /// Refuses a forked child. Costs a load; asked before anything that a thread of the parent may
    /// have been in at the fork, or that would reach the parent through what the two share.
    #[inline]
    pub(crate) fn check_fork(&self) -> Result<(), Stop> {
        if self.is_forked() {
            Err(Stop::Forked)
        } else {
            Ok(())
        }
    }

    /// Counts a worker as active again that was found stuck.
    pub(crate) fn unstick(&self, worker: &Remote) {
        // SeqCst: Dekker between a worker that begins to wait and one that finds it stuck.
        if worker.stuck.swap(false, Ordering::SeqCst) {
            self.idle.unmark_stuck();
        }
    }

    /// Queues a runnable from a thread that is no worker of this runtime.
    pub(crate) fn schedule_remote(&self, task: Task) {
        if self.is_forked() {
            return; // Its locks may be held by a thread of the parent, for ever.
        }
        if self.inject.push(task) {
            if self.idle.is_quiet() {
                self.poller.wake();
            } else if self.pace.is_slow() {
                self.call();
            }
        }
    }

    /// Wakes a worker that waits, if one does: the caller is active, but has too much to do.
    pub(crate) fn call(&self) {
        match self.idle.helper_for_push() {
            Some(Place::Spare) => self.poller.call(),
            Some(Place::Keeper) => self.poller.wake(),
            None => {}
        }
    }

    /// Returns whether any queue holds a runnable that an idle worker could take.
    pub(crate) fn has_work(&self) -> bool {
        self.inject.len() > 0 || self.remotes.iter().any(|remote| !remote.queue.is_empty())
    }

    /// Wakes the one worker of a current-thread runtime for its main future, if it waits in the
    /// poller.
    pub(crate) fn interrupt(&self) {
        if self.idle.is_quiet() {
            self.poller.wake();
        }
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.shutdown.load(Ordering::Acquire)
    }

    /// Tells the workers to stop. Idempotent.
    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.store(true, Ordering::Release);
        // Unconditional: the event stays in the poller until a worker takes it, which passes it on
        // as it ends.
        self.wake_all();
    }

    /// Wakes a worker at each place, which passes it on.
    fn wake_all(&self) {
        self.poller.wake();
        self.poller.call();
    }

    /// Drops every task, and fails whoever waits for a descriptor. Called once no worker runs a
    /// task, or after the time to wait for that is over; then the tasks that still run are dropped
    /// by whoever runs them.
    pub(crate) fn clean_up(self: &Arc<Self>) {
        // As a thread that polls futures: one that blocks in its drop would never end.
        let _entered = context::enter_polling(self.clone(), None);
        self.registry.close();
        self.inject.close();
        self.poller.slots.shut();
        self.poller.timers.shut().wake();
    }

    pub(crate) fn worker_started(&self) {
        self.live_workers.lock().running += 1;
    }

    /// The thread of a worker that was counted could not be made.
    pub(crate) fn worker_not_started(&self) {
        self.live_workers.lock().running -= 1;
    }

    /// A worker thread ends. The last one cleans up before it says so.
    pub(crate) fn worker_ended(self: &Arc<Self>) {
        // Passes the wake-up on to the next worker that waits.
        self.wake_all();
        // Counted down in one step with the look: of two that end together, one is the last.
        let last = {
            let mut live = self.live_workers.lock();
            live.running -= 1;
            live.running == 0
        };
        if last {
            self.clean_up();
            self.live_workers.lock().cleaned_up = true;
            self.all_ended.notify_all();
        }
    }

    /// Waits until every worker thread has ended; `limit` of `None` is for ever. Returns whether
    /// they have.
    pub(crate) fn wait_for_workers(&self, limit: Option<Duration>) -> bool {
        let started = gannet_sys::clock::now();
        let mut live = self.live_workers.lock();
        while !live.is_over() {
            let left = match limit {
                None => Duration::from_secs(3600),
                Some(limit) => match limit.checked_sub(gannet_sys::clock::now() - started) {
                    Some(left) => left,
                    None => return false,
                },
            };
            live = self.all_ended.wait_timeout(live, left);
        }
        true
    }
}

/// Where a thread queues a runtime's tasks.
pub(crate) enum RunQueue {
    /// The own queue of the worker on this thread.
    Worker(Rc<Local>),
    /// The global queue: the thread is no worker of the runtime.
    Global(Arc<Shared>),
}

impl RunQueue {
    fn shared(&self) -> &Arc<Shared> {
        match self {
            RunQueue::Worker(local) => local.shared(),
            RunQueue::Global(shared) => shared,
        }
    }

    /// Spawns a task, whose first poll is queued here.
    pub(crate) fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let [entry, registered, join] = Task::new(future, self.shared().clone(), self.home());
        self.admit(entry, registered, &join);
        JoinHandle::new(join)
    }

    fn home(&self) -> u16 {
        match self {
            RunQueue::Worker(local) => local.shared().registry.home(Some(local.index())),
            RunQueue::Global(shared) => shared.registry.home(None),
        }
    }

    /// Registers and queues a new task, or cancels it. Apart from `spawn`, so that it is compiled
    /// once and not for every future.
    fn admit(self, entry: Task, registered: Task, join: &Task) {
        let shared = self.shared();
        if shared.is_forked() {
            join.cancel(JoinError::not_started(Stop::Forked.into()));
        } else if let Err(refused) = shared.registry.insert(registered) {
            refused.cancel(JoinError::cancelled());
        } else {
            self.push(entry);
        }
    }
}

impl Queue for RunQueue {
    fn push(self, task: Task) {
        match self {
            RunQueue::Worker(local) => local.schedule(task, false),
            RunQueue::Global(shared) => shared.schedule_remote(task),
        }
    }
}

impl Schedule for Arc<Shared> {
    type Queue = RunQueue;

    fn queue(&self) -> RunQueue {
        context::run_queue_of(self)
    }

    fn release(&self, task: &Task) -> Option<Task> {
        // In a forked child the registry's lock may be held for ever; the reference is leaked there.
        if self.is_forked() {
            return None;
        }
        self.registry.remove(task)
    }
}
