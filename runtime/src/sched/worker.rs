//! The loop of a worker, and what only its own thread touches.
//!
//! Order of looking for work: the next slot (three times in a row at most), the own ring, the global
//! queue, the others' rings; then the worker waits in the poller. Every 61st turn, and after 4 ms, it
//! lets in what waits outside: some of the global queue, and the network and the timers without
//! waiting, so that a long queue delays none of them.
//!
//! # Stuck workers
//! A task that does not return in time holds its worker, and with it the runnables in that worker's
//! queue. While several workers run, a timer (10 ms) lets one of them look at the others: a worker
//! that is still in the same task as the time before is relieved of its queue. Set when a worker
//! goes to work, not set again once all are idle, it costs an idle runtime nothing.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use gannet_sys::clock;
use gannet_sys::epoll::{Events, Wait};

use super::queue::CAPACITY;
use super::shared::{Remote, Shared};
use crate::budget;
use crate::poll::poller::Turn;
use crate::sync::atomic::Ordering;
use crate::task::raw::Task;

/// At most so much time passes between two looks at the network, give or take a task and the coarse
/// clock's tick: long tasks must not stretch the count below.
const POLL_AFTER: Duration = Duration::from_millis(4);
/// Turns between two looks at what waits outside. Prime, as in Go: it falls into
/// no rhythm.
const INTERVAL: u32 = 61;
/// Runnables taken from the next slot in a row: two tasks that wake each other must not starve the
/// queue.
const NEXT_STREAK_MAX: u8 = 3;
/// Events taken although the ring has no room, so that tasks which fill it again and again cannot shut
/// the network out.
const EVENTS_MIN: usize = 8;
/// Runnables taken from the global queue at once.
const INJECT_BATCH_MAX: usize = 128;
/// Nanoseconds between two looks for stuck workers.
const WATCH_INTERVAL: u64 = 10_000_000;

/// A worker's own part of the runtime. Stays on its thread.
pub(crate) struct Local {
    shared: Arc<Shared>,
    index: usize,
    /// There is a worker on this thread; not so once it gave up its place.
    live: Cell<bool>,
    /// The worker is delivering a batch of events: wake order is kept, and others are called once
    /// at its end.
    delivering: Cell<bool>,
}

impl Local {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The worker's number.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Returns whether this thread is one of `shared`'s workers at this moment.
    pub(crate) fn is_worker_of(&self, shared: &Shared) -> bool {
        self.live.get() && std::ptr::eq(&*self.shared, shared)
    }

    fn remote(&self) -> &Remote {
        &self.shared.remotes[self.index]
    }

    /// Queues a runnable on this worker.
    pub(crate) fn schedule(&self, task: Task, yielded: bool) {
        if yielded || self.delivering.get() {
            self.push(task);
            if !self.delivering.get() {
                self.call_others();
            }
        } else if let Some(former) = self.remote().next.replace(task) {
            self.push(former);
            self.shared.notify();
        }
    }

    fn push(&self, task: Task) {
        self.remote().queue.push(task, |spilled| {
            self.shared.inject.push(spilled);
        });
    }

    /// Wakes another worker if this one has more than it will run next.
    fn call_others(&self) {
        if self.remote().queue.len() > 1 || self.shared.inject.len() > 0 {
            self.shared.notify();
        }
    }
}

/// One worker, on the thread that runs it.
pub(crate) struct Worker {
    local: Rc<Local>,
    events: Events,
    tick: u32,
    /// When the worker last looked at the network, on the coarse clock.
    last_poll: Duration,
    searching: bool,
    next_streak: u8,
    /// Nobody may be set to look whether this worker is stuck.
    unwatched: bool,
}

impl Worker {
    /// Makes the worker `index`. There is one at a time per index.
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Self {
        let local = Rc::new(Local {
            shared,
            index,
            live: Cell::new(true),
            delivering: Cell::new(false),
        });
        let events = Events::with_capacity(CAPACITY as usize);
        Self {
            local,
            events,
            tick: 0,
            last_poll: clock::coarse(),
            searching: false,
            next_streak: 0,
            unwatched: true,
        }
    }

    pub(crate) fn local(&self) -> Rc<Local> {
        self.local.clone()
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.local.shared
    }

    /// Runs tasks until `control`, asked before each, gives a result. `interrupted` tells, before
    /// the worker waits, that `control` wants to be asked again; whoever makes it true wakes the
    /// poller.
    pub(crate) fn run<R>(
        &mut self,
        mut control: impl FnMut() -> Poll<R>,
        interrupted: impl Fn() -> bool,
    ) -> R {
        loop {
            if let Poll::Ready(result) = control() {
                self.stop_searching();
                return result;
            }
            self.tick = self.tick.wrapping_add(1);
            if self.tick % INTERVAL == 0 || clock::coarse() - self.last_poll >= POLL_AFTER {
                self.admit();
            }
            match self.next_task().or_else(|| self.search()) {
                Some(task) => self.run_task(task),
                None => self.park(&interrupted),
            }
        }
    }

    /// Drops the runnables that are left. Their tasks are cancelled by shutdown.
    pub(crate) fn drain(&self) {
        while let Some(task) = self.local.remote().next.take() {
            drop(task);
        }
        while let Some(task) = self.local.remote().queue.pop() {
            drop(task);
        }
    }

    fn run_task(&mut self, task: Task) {
        self.stop_searching();
        if std::mem::take(&mut self.unwatched) {
            self.local.watch_while_running();
        }
        let stamp = &self.local.remote().stamp;
        // Only this thread writes the stamp; the others compare it with what it was 10 ms ago.
        stamp.store(
            stamp.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
        let again = budget::with_fresh(|| task.run());
        stamp.store(
            stamp.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
        if let Some(task) = again {
            self.local.schedule(task, true);
        }
    }

    /// Lets in what waits outside, while there is work inside: runnables of the global queue into
    /// half of the ring's room at most, what the network brings into the rest.
    ///
    /// Never more than there is room for: what does not fit would spill, oldest first, and wait in
    /// the global queue while later arrivals are served.
    fn admit(&mut self) {
        let inject = &self.shared().inject;
        if inject.len() > 0 {
            let share = inject.len() / self.shared().remotes.len() + 1;
            let half = (self.local.remote().queue.room() as usize / 2).max(1);
            let mut rest = Vec::new();
            let first = inject.pop(share.min(half), |task| rest.push(task));
            first
                .into_iter()
                .chain(rest)
                .for_each(|task| self.local.push(task));
        }
        self.poll_network(Wait::Poll);
    }

    fn next_task(&mut self) -> Option<Task> {
        if let Some(task) = self.local.remote().next.take() {
            if self.next_streak < NEXT_STREAK_MAX {
                self.next_streak += 1;
                return Some(task);
            }
            self.local.push(task);
        }
        self.next_streak = 0;
        self.local
            .remote()
            .queue
            .pop()
            .or_else(|| self.take_injected())
    }

    /// Takes this worker's share of the global queue.
    fn take_injected(&self) -> Option<Task> {
        let shared = self.shared();
        let share = shared.inject.len() / shared.remotes.len() + 1;
        let room = self.local.remote().queue.room() as usize;
        shared
            .inject
            .pop(share.min(INJECT_BATCH_MAX).min(room + 1), |task| {
                self.local.push(task)
            })
    }

    /// Looks for work that others have.
    fn search(&mut self) -> Option<Task> {
        if !self.searching {
            self.shared().idle.start_searching();
            self.searching = true;
        }
        let workers = self.shared().remotes.len();
        // A different first victim each time, so that searchers do not queue at one.
        let first = self.tick as usize;
        let victims = (0..workers)
            .map(|n| (first + n) % workers)
            .filter(|&victim| victim != self.local.index);
        for victim in victims {
            let stolen = self.shared().remotes[victim]
                .queue
                .steal_into(&self.local.remote().queue);
            if stolen.is_some() {
                self.local.remote().steals.fetch_add(1, Ordering::Relaxed);
                return stolen;
            }
        }
        self.take_injected()
    }

    /// Ends a search. The last searcher passes the word on if there is more to do.
    fn stop_searching(&mut self) {
        if std::mem::take(&mut self.searching)
            && self.shared().idle.stop_searching()
            && self.shared().has_work()
        {
            self.shared().notify();
        }
    }

    /// Waits in the poller until an event, a timer or another thread brings work.
    fn park(&mut self, interrupted: &impl Fn() -> bool) {
        debug_assert!(self.searching, "a worker searches before it parks");
        if let Err(forked) = self.shared().check_fork() {
            // Waiting here would take events, and the alarm, from the parent.
            panic!("{forked}");
        }
        self.searching = false;
        self.shared().idle.park();
        if interrupted() || self.shared().has_work() {
            self.shared().idle.unpark();
            return;
        }
        self.local.remote().parks.fetch_add(1, Ordering::Relaxed);
        self.poll_network(Wait::Forever);
    }

    /// Asks the poller for events, delivers them, and tends to timers and wake-ups.
    fn poll_network(&mut self, wait: Wait) {
        let shared = self.local.shared.clone();
        let max = match self.local.remote().queue.room() as usize {
            0 => EVENTS_MIN,
            room => room,
        };
        let turn = {
            let _delivering = Delivering::start(&self.local.delivering);
            shared.poller.turn(&mut self.events, max, wait, || {
                if wait == Wait::Forever {
                    shared.idle.unpark();
                }
            })
        };
        self.unwatched |= wait == Wait::Forever;
        self.last_poll = clock::coarse();
        self.after_turn(&turn);
    }

    fn after_turn(&mut self, turn: &Turn) {
        if turn.woken {
            self.searching = self.shared().idle.inherit(self.searching);
        }
        if turn.watch {
            self.watch();
            // If all others wait, nobody was set to watch this worker, and it may still find work.
            self.unwatched = true;
        }
        if turn.events > 0 || turn.timers {
            self.local.call_others();
        }
    }

    /// Relieves workers that have been in one task since the last watch, and sets the next one.
    fn watch(&self) {
        let shared = self.shared();
        for (index, remote) in shared.remotes.iter().enumerate() {
            let stamp = remote.stamp.load(Ordering::Relaxed);
            let seen = remote.seen.swap(stamp, Ordering::Relaxed);
            if index != self.local.index && stamp % 2 == 1 && stamp == seen {
                self.relieve(remote);
            }
        }
        if shared.watch.renew(&shared.idle, shared.remotes.len()) {
            self.local.set_watch_timer();
        }
    }

    fn relieve(&self, stuck: &Remote) {
        let next = stuck.next.take();
        while let Some(task) = stuck.queue.steal_into(&self.local.remote().queue) {
            self.local.push(task);
            if self.local.remote().queue.room() < CAPACITY / 2 {
                break;
            }
        }
        if let Some(task) = next {
            self.local.push(task);
        }
        self.local.call_others();
    }
}

impl Local {
    /// Sets the timer that looks for stuck workers, unless it is set, or there is nobody to look.
    fn watch_while_running(&self) {
        if self.shared.remotes.len() > 1 && self.shared.watch.set() {
            self.set_watch_timer();
        }
    }

    fn set_watch_timer(&self) {
        let timers = &self.shared.poller.timers;
        timers.insert_watch(timers.clock.now() + WATCH_INTERVAL);
    }
}

impl Drop for Worker {
    /// Gives the place up, also when the main future of a `block_on` panics: who still knows the
    /// thread's part finds it dead, and the others do not wait for a searcher that is gone.
    fn drop(&mut self) {
        self.local.live.set(false);
        self.stop_searching();
    }
}

/// Marks the delivery of a batch, also when a waker panics.
struct Delivering<'a>(&'a Cell<bool>);

impl<'a> Delivering<'a> {
    fn start(flag: &'a Cell<bool>) -> Self {
        flag.set(true);
        Self(flag)
    }
}

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
