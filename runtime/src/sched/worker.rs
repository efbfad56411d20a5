//! The loop of a worker, and what only its own thread touches.
//!
//! Order of looking for work: the next slot (three times in a row at most), the own ring, the global
//! queue, the others' rings; then the worker waits. Every 64 turns, or sooner if they take long, it
//! lets in what waits outside: some of the global queue, and the network and the timers without
//! waiting, so that a long queue delays none of them.
//!
//! # One worker suffices, or it does not
//! Where an idle worker waits, and when it is woken, depends on the [`pace`](super::pace). While tasks
//! are short, whoever is active attends to the network too, and calls a spare worker when the backlog
//! is worth it. When they are long, all idle workers wait for the network, and each runnable that
//! another could run wakes one.
//!
//! # Stuck workers
//! A task that does not return in time holds its worker, and with it the runnables in that worker's
//! queue, and the network if it was the only one to attend to it. While several workers run, a timer
//! lets one of them look at the others: a worker that is still in the same task as the time before is
//! relieved of its queue, and does not count as active any more. Set when a worker goes to work, not
//! set again once all are idle, it costs an idle runtime nothing.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use gannet_sys::epoll::{Events, Wait};
use gannet_sys::thread;

use super::idle::Place;
use super::queue::CAPACITY;
use super::shared::{Remote, Shared};
use super::watch::Ring;
use crate::budget;
use crate::poll::poller::Turn;
use crate::sync::atomic::Ordering;
use crate::task::raw::Task;

/// Turns between two looks at the clock.
const CHECK_AFTER: u8 = 16;
/// Looks at the clock between two looks at what waits outside.
const POLL_AFTER: u8 = 4;
/// Nanoseconds after which a look at the clock becomes one at what waits outside, whatever the count:
/// long tasks must not stretch it.
const POLL_AFTER_NANOS: u64 = 200_000;
/// Runnables taken from the next slot in a row: two tasks that wake each other must not starve the
/// queue.
const NEXT_STREAK_MAX: u8 = 3;
/// Events taken although the ring has no room, so that tasks which fill it again and again cannot shut
/// the network out.
const EVENTS_MIN: usize = 8;
/// Runnables taken from the global queue at once.
const INJECT_BATCH_MAX: usize = 128;
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
                self.call_others(1);
            }
        } else if let Some(former) = self.remote().next.replace(task) {
            self.push(former);
            self.call_others(0);
        }
    }

    fn push(&self, task: Task) {
        self.remote().queue.push(task, |spilled| {
            self.shared.inject.push(spilled);
        });
    }

    /// Wakes another worker if it pays to let it have some of what this one has queued, but for
    /// `own`, which it runs itself at once.
    fn call_others(&self, own: u64) {
        let shared = &self.shared;
        let helper = if shared.pace.is_slow() {
            shared.idle.helper_for_push()
        } else {
            shared.idle.helper()
        };
        if helper.is_none() {
            return;
        }
        let backlog = self.remote().queue.len() + shared.inject.len() as u64;
        let active = shared.idle.active_now() + 1;
        if shared.pace.pays(backlog.saturating_sub(own), active) {
            shared.call();
        }
    }

    /// Counts the worker as active again after it was found stuck.
    fn unstick(&self) {
        if self.remote().stuck.load(Ordering::Relaxed) {
            self.shared.unstick(self.remote());
        }
    }

    fn now(&self) -> u64 {
        self.shared.poller.timers.clock.now()
    }
}

/// One worker, on the thread that runs it.
pub(crate) struct Worker {
    local: Rc<Local>,
    events: Events,
    /// Turns that are left until the next look at the clock.
    turns_left: u8,
    /// How many there were at the last look.
    turns: u8,
    /// Looks at the clock that are left until the next look at what waits outside.
    checks_left: u8,
    /// Nanoseconds on the runtime's clock at the last look at what waits outside.
    last_poll: u64,
    /// Nanoseconds on the runtime's clock when the worker began to run `ran` tasks one after the other.
    began: u64,
    ran: u32,
    /// How many tasks the worker has run.
    stamp: u64,
    /// How often it had been preempted when it last asked.
    preemptions: u64,
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
        let remote = local.remote();
        remote.resting.store(false, Ordering::Relaxed);
        let stamp = remote.stamp.load(Ordering::Relaxed);
        let now = local.now();
        Self {
            local,
            events: Events::with_capacity(CAPACITY as usize),
            turns_left: CHECK_AFTER,
            turns: CHECK_AFTER,
            checks_left: POLL_AFTER,
            last_poll: now,
            began: now,
            ran: 0,
            stamp,
            preemptions: 0,
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
                return result;
            }
            if self.turns_left == 0 {
                self.check();
            }
            self.turns_left -= 1;
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
        if std::mem::take(&mut self.unwatched) {
            self.local.watch_while_running();
            self.pass_on();
        }
        self.ran += 1;
        self.stamp += 1;
        // Only this thread writes it; the others compare it with what it was a while ago.
        let stamp = &self.local.remote().stamp;
        stamp.store(self.stamp, Ordering::Relaxed);
        if let Some(task) = budget::with_fresh(|| task.run()) {
            self.local.schedule(task, true);
        }
    }

    /// Wakes another worker for what a wake-up stood for beside the task at hand: many pushes make one.
    fn pass_on(&self) {
        let shared = self.shared();
        if shared.pace.is_slow() && shared.has_work() {
            shared.call();
        } else {
            self.local.call_others(0);
        }
    }

    /// Looks at the clock, and if it is time, at what waits outside. After long turns it comes back
    /// sooner.
    fn check(&mut self) {
        self.local.unstick();
        let began = self.began;
        let now = self.note_pace();
        self.checks_left = self.checks_left.saturating_sub(1);
        if self.checks_left == 0 || now - self.last_poll >= POLL_AFTER_NANOS {
            self.last_poll = now;
            self.admit();
        }
        let is_slow = now - began >= POLL_AFTER_NANOS || self.shared().pace.is_slow();
        self.turns = if is_slow {
            1
        } else {
            (2 * self.turns).min(CHECK_AFTER)
        };
        self.turns_left = self.turns;
    }

    /// Tells how long the last tasks took. Returns the time.
    fn note_pace(&mut self) -> u64 {
        let now = self.local.now();
        if self.ran > 0 {
            let ran = u64::from(self.ran);
            let sample = (now - self.began) / ran;
            let last = &mut self.preemptions;
            let shared = &self.local.shared;
            shared
                .pace
                .note(now, sample, ran, shared.idle.active_now(), || {
                    let before = std::mem::replace(last, thread::preemptions());
                    *last != before
                });
        }
        (self.began, self.ran) = (now, 0);
        self.see_to_keeper();
        now
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

    /// Looks for work that others have, and takes it if that pays, or if they are stuck.
    fn search(&mut self) -> Option<Task> {
        let shared = self.shared();
        let workers = shared.remotes.len();
        // A different first victim each time, so that searchers do not queue at one.
        let first = self.stamp as usize;
        for victim in (0..workers).map(|n| (first + n) % workers) {
            let remote = &shared.remotes[victim];
            // This worker is awake, so less suffices than would be worth waking it.
            let is_worth = || {
                let active = shared.idle.active_now();
                shared.pace.pays(2 * remote.queue.len(), active)
                    || remote.stuck.load(Ordering::Relaxed)
            };
            if victim == self.local.index || remote.queue.is_empty() || !is_worth() {
                continue;
            }
            let stolen = remote.queue.steal_into(&self.local.remote().queue);
            if stolen.is_some() {
                self.local.remote().steals.fetch_add(1, Ordering::Relaxed);
                self.local.call_others(0);
                return stolen;
            }
        }
        None
    }

    /// Waits until an event, a timer or another thread brings work.
    fn park(&mut self, interrupted: &impl Fn() -> bool) {
        if let Err(forked) = self.shared().check_fork() {
            // Waiting here would take events, and the alarm, from the parent.
            panic!("{forked}");
        }
        self.local.unstick();
        self.note_pace();
        let shared = self.shared().clone();
        let (place, looks) = shared.idle.park(shared.pace.is_slow());
        if interrupted() || looks && shared.has_work() {
            shared.idle.unpark(place);
            // Whoever watched meanwhile took this worker for one that waits.
            self.unwatched = true;
            return;
        }
        let remote = self.local.remote();
        remote.parks.fetch_add(1, Ordering::Relaxed);
        // SeqCst: Dekker with `relieve`. One that waits does not stay counted as stuck, too.
        remote.resting.store(true, Ordering::SeqCst);
        shared.unstick(remote);
        match place {
            Place::Keeper => self.poll_network(Wait::Forever),
            Place::Spare => self.rest(),
        }
        self.local.remote().resting.store(false, Ordering::Relaxed);
        self.local.unstick();
        self.began = self.local.now();
        self.last_poll = self.began;
        self.unwatched = true;
        self.see_to_keeper();
    }

    /// Has somebody wait for the network while tasks are long: a spare that is called finds nothing
    /// to do, and parks as eager.
    fn see_to_keeper(&self) {
        let shared = self.shared();
        if shared.pace.is_slow() && shared.idle.lacks_keeper() {
            shared.poller.call();
        }
    }

    /// Waits in the reserve.
    fn rest(&mut self) {
        let shared = self.local.shared.clone();
        let rang = shared.poller.reserve.wait(&mut self.events);
        shared.idle.unpark(Place::Spare);
        if rang {
            self.watch();
        }
    }

    /// Asks the poller for events, delivers them, and tends to timers and wake-ups.
    fn poll_network(&mut self, wait: Wait) {
        let shared = self.local.shared.clone();
        let max = match self.local.remote().queue.room() as usize {
            0 => EVENTS_MIN,
            room => room,
        };
        let turn: Turn = {
            let _delivering = Delivering::start(&self.local.delivering);
            shared.poller.turn(&mut self.events, max, wait, || {
                if wait == Wait::Forever {
                    shared.idle.unpark(Place::Keeper);
                }
            })
        };
        self.checks_left = POLL_AFTER;
        if turn.watch {
            self.watch();
        }
        if turn.woken && wait == Wait::Poll {
            // It was for a worker that waits.
            self.pass_on();
        }
        if turn.events > 0 || turn.timers {
            self.local.call_others(1);
        }
    }

    /// Relieves workers that have been in one task since the last watch, and sets the next one.
    fn watch(&mut self) {
        let shared = self.local.shared.clone();
        match shared.watch.take(self.local.now()) {
            Ring::Due => {}
            Ring::Early(left) => return shared.poller.reserve.watch_after(left),
            Ring::Taken => return,
        }
        let mut found = false;
        for (index, remote) in shared.remotes.iter().enumerate() {
            let stamp = remote.stamp.load(Ordering::Relaxed);
            let seen = remote.seen.swap(stamp, Ordering::Relaxed);
            let is_resting = remote.resting.load(Ordering::Relaxed);
            if index != self.local.index && stamp == seen && !is_resting {
                self.relieve(remote);
                found = true;
            }
        }
        // Nobody may have looked at the network meanwhile, whether or not one is stuck.
        self.turns_left = 0;
        self.checks_left = 1;
        shared.watch.tell(found);
        let now = || self.local.now();
        let again = shared.watch.renew(&shared.idle, shared.remotes.len(), now);
        if let Some(delay) = again {
            shared.poller.reserve.watch_after(delay);
        }
        // If all others wait, nobody was set to watch this worker, and it may still find work.
        self.unwatched = true;
    }

    fn relieve(&self, stuck: &Remote) {
        let idle = &self.shared().idle;
        // Counted before it is told: taken back before it was counted, the count would wrap.
        idle.mark_stuck();
        if stuck.stuck.swap(true, Ordering::SeqCst) {
            idle.unmark_stuck();
        }
        if stuck.resting.load(Ordering::SeqCst) {
            self.shared().unstick(stuck);
        }
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
        self.local.call_others(1);
    }
}

impl Local {
    /// Sets the timer that looks for stuck workers, unless it is set, or there is nobody to look.
    fn watch_while_running(&self) {
        if self.shared.remotes.len() == 1 {
            return;
        }
        if let Some(delay) = self.shared.watch.set(|| self.now()) {
            self.shared.poller.reserve.watch_after(delay);
        }
    }
}

impl Drop for Worker {
    /// Gives the place up, also when the main future of a `block_on` panics: who still knows the
    /// thread's part finds it dead.
    fn drop(&mut self) {
        self.local.live.set(false);
        self.local.unstick();
        self.local.remote().resting.store(true, Ordering::Relaxed);
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
