//! Threads for calls that block: name lookup, file I/O, long computations. Never shared with the
//! workers.
//!
//! ```text
//!             spawn, all busy, below the cap           call                   queue empty
//!  (no thread) ──────────────────────────────▶ BUSY ◀───────── WAITING ◀───────────────── BUSY
//!                                                                 │ 10 s without work, or shutdown
//!                                                                 ▼
//!                                                               ENDED
//! ```
//! One mutex holds the queue and all counts. A thread counts itself as waiting before it waits and
//! as not waiting after: a call in the queue beyond the number of waiting threads has nobody, and
//! gets a new thread.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use crate::context;
use crate::error::Stop;
use crate::sched::shared::Shared;
use crate::sync::{Condvar, Mutex};
use crate::task::join::{JoinError, JoinHandle};
use crate::task::raw::{Queue, Schedule, Task};

/// How long a thread waits for work before it ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Makes threads with the builder's name and stack size.
#[derive(Debug, Clone)]
pub(crate) struct ThreadConfig {
    pub(crate) name: String,
    pub(crate) stack_size: Option<usize>,
}

impl ThreadConfig {
    pub(crate) fn start(
        &self,
        kind: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<thread::JoinHandle<()>> {
        // The kernel keeps 15 bytes; the kind goes first, because it tells threads apart.
        let mut builder = thread::Builder::new().name(format!("{kind}-{}", self.name));
        if let Some(bytes) = self.stack_size {
            builder = builder.stack_size(bytes);
        }
        builder.spawn(run)
    }
}

#[derive(Debug)]
struct Inner {
    queue: VecDeque<Task>,
    waiting: usize,
    threads: HashMap<u64, Option<thread::JoinHandle<()>>>,
    next_id: u64,
    shut: bool,
}

/// The pool of blocking threads of one runtime.
#[derive(Debug)]
pub(crate) struct Pool {
    inner: Mutex<Inner>,
    work: Condvar,
    ended: Condvar,
    max: usize,
    config: ThreadConfig,
}

/// A closure as a future that is ready at its first poll.
struct Call<F>(Option<F>);

// The closure is moved out before it runs, so it is never pinned.
impl<F> Unpin for Call<F> {}

impl<F: FnOnce() -> T, T> Future for Call<F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        let call = self.0.take().expect("a blocking call is polled once");
        Poll::Ready(call())
    }
}

/// Blocking calls are queued once, by [`Pool::spawn`], and nobody wakes them.
struct Unscheduled;

impl Schedule for Unscheduled {
    type Queue = Self;

    fn queue(&self) -> Self {
        Self
    }

    fn release(&self, _task: &Task) -> Option<Task> {
        None
    }
}

impl Queue for Unscheduled {
    fn push(self, task: Task) {
        drop(task);
    }
}

impl Pool {
    pub(crate) fn new(max: usize, config: ThreadConfig) -> Self {
        let inner = Inner {
            queue: VecDeque::new(),
            waiting: 0,
            threads: HashMap::new(),
            next_id: 0,
            shut: false,
        };
        Self {
            inner: Mutex::new(inner),
            work: Condvar::new(),
            ended: Condvar::new(),
            max,
            config,
        }
    }

    /// Threads there are, and calls that wait for one.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        (inner.threads.len(), inner.queue.len())
    }

    /// Runs `call` on a thread of the pool of `shared`.
    pub(crate) fn spawn<F, T>(shared: &Arc<Shared>, call: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // The registry's reference is not needed: the pool itself finds its calls at shutdown.
        let [entry, _unregistered, join] = Task::new(Call(Some(call)), Unscheduled, 0);
        if shared.is_forked() {
            entry.cancel(JoinError::not_started(Stop::Forked.into()));
        } else {
            shared.blocking.submit(shared, entry);
        }
        JoinHandle::new(join)
    }

    fn submit(&self, shared: &Arc<Shared>, task: Task) {
        let new_thread = {
            let mut inner = self.inner.lock();
            if inner.shut {
                drop(inner);
                return task.cancel(JoinError::cancelled());
            }
            inner.queue.push_back(task);
            if inner.queue.len() <= inner.waiting {
                self.work.notify_one();
                None
            } else if inner.threads.len() < self.max {
                let id = inner.next_id;
                inner.next_id += 1;
                // Counted before it exists: nobody else starts a thread for the same call.
                inner.threads.insert(id, None);
                Some(id)
            } else {
                None
            }
        };
        if let Some(id) = new_thread {
            self.start(shared, id);
        }
    }

    fn start(&self, shared: &Arc<Shared>, id: u64) {
        let runner = shared.clone();
        match self
            .config
            .start("blk", move || runner.blocking.work(&runner, id))
        {
            Ok(handle) => {
                // It may have ended already, and then it is detached here.
                if let Some(place) = self.inner.lock().threads.get_mut(&id) {
                    *place = Some(handle);
                }
            }
            Err(err) => self.not_started(id, &err),
        }
    }

    /// A thread could not be made. Others will do the work; without any, the calls fail and say why.
    fn not_started(&self, id: u64, err: &io::Error) {
        let failed = {
            let mut inner = self.inner.lock();
            inner.threads.remove(&id);
            self.ended.notify_all();
            if inner.threads.is_empty() {
                std::mem::take(&mut inner.queue)
            } else {
                VecDeque::new()
            }
        };
        for task in failed {
            let why = io::Error::new(
                err.kind(),
                format!("start a thread for a blocking call: {err}"),
            );
            task.cancel(JoinError::not_started(why));
        }
    }

    /// The life of a thread.
    fn work(&self, shared: &Arc<Shared>, id: u64) {
        let entered = context::enter(shared.clone());
        let mut inner = self.inner.lock();
        loop {
            if let Some(task) = inner.queue.pop_front() {
                drop(inner);
                let again = task.run();
                debug_assert!(
                    again.is_none(),
                    "a blocking call is ready at its first poll"
                );
                inner = self.inner.lock();
                continue;
            }
            if inner.shut {
                break;
            }
            let since = gannet_sys::clock::now();
            inner.waiting += 1;
            inner = self.work.wait_timeout(inner, KEEP_ALIVE);
            inner.waiting -= 1;
            if inner.queue.is_empty() && gannet_sys::clock::now() - since >= KEEP_ALIVE {
                break;
            }
        }
        drop(entered);
        // The handle is dropped, and so the thread detached, unless shutdown has taken it to join.
        let handle = inner.threads.remove(&id);
        self.ended.notify_all();
        drop(inner);
        drop(handle);
    }

    /// Cancels what has not begun, ends waiting threads, and waits at most `limit` for the others;
    /// those that take longer are detached and end by themselves. Returns whether all have ended.
    /// Idempotent.
    pub(crate) fn shut_down(&self, limit: Duration) -> bool {
        let queued = {
            let mut inner = self.inner.lock();
            inner.shut = true;
            self.work.notify_all();
            std::mem::take(&mut inner.queue)
        };
        queued
            .into_iter()
            .for_each(|task| task.cancel(JoinError::cancelled()));
        let started = gannet_sys::clock::now();
        let mut inner = self.inner.lock();
        let handles: Vec<_> = inner
            .threads
            .values_mut()
            .filter_map(Option::take)
            .collect();
        while !inner.threads.is_empty() {
            let Some(left) = limit.checked_sub(gannet_sys::clock::now() - started) else {
                return false;
            };
            inner = self.ended.wait_timeout(inner, left);
        }
        drop(inner);
        // All have left their loops, so joining waits for their last instructions only.
        for handle in handles {
            let _ = handle.join();
        }
        true
    }
}
