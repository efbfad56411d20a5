//! `Runtime` and `Handle`: what a program holds of a runtime.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle as Thread;
use std::time::Duration;

use crate::block_on;
use crate::blocking::Pool;
use crate::context::{self, Entered};
use crate::metrics::Metrics;
use crate::sched::shared::Shared;
use crate::task::join::JoinHandle;

/// How long dropping a runtime waits for blocking calls.
const BLOCKING_LIMIT: Duration = Duration::from_secs(1);

/// Refers to a runtime: spawns on it, waits on it, observes it. Cheap to clone; does not keep the
/// runtime running.
///
/// ```
/// let runtime = gannet_runtime::Builder::new_multi_thread().worker_threads(1).build()?;
/// let handle = runtime.block_on(async { gannet_runtime::Handle::try_current() })?;
/// let sum = std::thread::spawn(move || handle.block_on(async { 40 + 2 })).join().unwrap();
/// assert_eq!(sum, 42);
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Returns a handle on the runtime of this thread.
    ///
    /// # Errors
    /// One that says so if there is none: call this inside `block_on`, a task, or [`enter`](Self::enter).
    pub fn try_current() -> io::Result<Self> {
        Ok(Self {
            shared: context::shared()?,
        })
    }

    /// Spawns a task.
    ///
    /// The handle *detaches* when dropped. After shutdown the task is dropped at once, and the
    /// handle says that it was cancelled.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        context::run_queue_of(&self.shared).spawn(future)
    }

    /// Runs a call that blocks on a thread of its own. See
    /// [`spawn_blocking`](crate::spawn_blocking).
    pub fn spawn_blocking<F, T>(&self, call: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Pool::spawn(&self.shared, call)
    }

    /// Waits on this thread until `future` is ready, and returns its output.
    ///
    /// In a current-thread runtime this thread runs the tasks meanwhile, unless another thread in
    /// `block_on` does.
    ///
    /// # Panics
    /// In a task or another `block_on`, which it would block; in a forked child of the process that
    /// built the runtime; and if `future` panics.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.shared.seat {
            None => block_on::multi_thread(&self.shared, future),
            Some(seat) => block_on::current_thread(&self.shared, seat, future),
        }
    }

    /// Makes this the thread's runtime until the guard is dropped, for [`spawn`](crate::spawn) and
    /// for descriptors that are adopted outside of tasks. Guards may be dropped in any order.
    pub fn enter(&self) -> EnterGuard {
        EnterGuard {
            _entered: context::enter(self.shared.clone()),
        }
    }

    /// Takes a snapshot of the runtime's figures.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::of(&self.shared)
    }
}

/// Two handles are equal if they are of the same runtime.
impl PartialEq for Handle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Handle {}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("workers", &self.shared.remotes.len())
            .finish_non_exhaustive()
    }
}

/// Makes a runtime the thread's own while it lives. Made by [`Handle::enter`].
///
/// ```
/// let runtime = gannet_runtime::Builder::new_multi_thread().worker_threads(1).build()?;
/// let entered = runtime.enter();
/// let task = gannet_runtime::spawn(async { "spawned outside of a task" });
/// drop(entered);
/// assert!(runtime.block_on(task).is_ok());
/// # Ok::<_, std::io::Error>(())
/// ```
#[must_use = "the runtime is left when the guard is dropped"]
pub struct EnterGuard {
    _entered: Entered,
}

impl fmt::Debug for EnterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnterGuard")
    }
}

/// A scheduler, a netpoller, timers, and a pool for blocking calls. Made by
/// [`Builder`](crate::Builder).
///
/// Dropping it shuts it down: workers end, every task is dropped, descriptors that tasks own are
/// closed, and operations on descriptors that others own fail. It waits for polls that are under
/// way, and one second for blocking calls; those that take longer go on alone. Dropped inside a
/// task, it does all that without waiting.
///
/// ```
/// let runtime = gannet_runtime::Builder::new_multi_thread().build()?;
/// let answer = runtime.block_on(async { gannet_runtime::spawn(async { 42 }).await });
/// assert_eq!(answer.unwrap(), 42);
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct Runtime {
    handle: Handle,
    threads: Vec<Thread<()>>,
    /// Shutdown was seen to, by one of the calls that take the runtime.
    done: bool,
}

impl Runtime {
    /// Starts the workers, of which a current-thread runtime has none.
    pub(crate) fn start(
        shared: Arc<Shared>,
        workers: impl Iterator<Item = Box<dyn FnOnce(Arc<Shared>) -> io::Result<Thread<()>>>>,
    ) -> io::Result<Self> {
        let mut runtime = Self {
            handle: Handle { shared },
            threads: Vec::new(),
            done: false,
        };
        for start in workers {
            // On failure, dropping the runtime ends the workers that were started.
            runtime.threads.push(start(runtime.handle.shared.clone())?);
        }
        Ok(runtime)
    }

    /// Returns a handle on the runtime.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Spawns a task. See [`Handle::spawn`].
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs a call that blocks on a thread of its own. See
    /// [`spawn_blocking`](crate::spawn_blocking).
    pub fn spawn_blocking<F, T>(&self, call: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.handle.spawn_blocking(call)
    }

    /// Waits on this thread until `future` is ready, and returns its output. See
    /// [`Handle::block_on`].
    ///
    /// # Panics
    /// As `Handle::block_on`.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// Makes this the thread's runtime until the guard is dropped. See [`Handle::enter`].
    pub fn enter(&self) -> EnterGuard {
        self.handle.enter()
    }

    /// Takes a snapshot of the runtime's figures.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.handle.metrics()
    }

    /// Shuts down and waits at most `limit`, for polls under way and for blocking calls. Returns
    /// whether all ended; what did not ends by itself later.
    ///
    /// ```
    /// use gannet_runtime::Builder;
    /// use std::time::Duration;
    ///
    /// let runtime = Builder::new_current_thread().build()?;
    /// let waiting = runtime.spawn(std::future::pending::<()>());
    /// assert!(runtime.shutdown_timeout(Duration::from_secs(10)));
    /// assert!(waiting.is_finished(), "it was cancelled");
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn shutdown_timeout(mut self, limit: Duration) -> bool {
        self.shut_down(Some(limit), limit)
    }

    /// Shuts down without waiting.
    pub fn shutdown_background(mut self) {
        self.shut_down(Some(Duration::ZERO), Duration::ZERO);
    }

    /// Ends everything; see the type's documentation.
    fn shut_down(&mut self, workers: Option<Duration>, blocking: Duration) -> bool {
        self.done = true;
        let shared = &self.handle.shared;
        if shared.is_forked() {
            // The threads are the parent's, and so may be every lock they held.
            self.threads.drain(..).for_each(std::mem::forget);
            return false;
        }
        shared.begin_shutdown();
        let ended = match &shared.seat {
            None if self.threads.is_empty() => {
                shared.clean_up();
                true
            }
            None => shared.wait_for_workers(workers),
            Some(seat) => {
                shared.clean_up();
                // Another thread that is driving drains the queue as it leaves.
                seat.drive(shared, |_worker| ()).is_some()
            }
        };
        if ended {
            for thread in self.threads.drain(..) {
                // A worker's panic is ours and was printed; nothing is to be done about it here.
                let _ = thread.join();
            }
        }
        if !ended {
            // Not by the last worker, which is still in a poll: that task is dropped by its runner.
            shared.clean_up();
        }
        self.threads.clear();
        shared.blocking.shut_down(blocking) && ended
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if context::polls_futures() {
            self.shut_down(Some(Duration::ZERO), Duration::ZERO);
        } else {
            self.shut_down(None, BLOCKING_LIMIT);
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}
