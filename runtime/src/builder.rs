//! `Builder`: how many threads, how named, how large.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use crate::block_on::Seat;
use crate::blocking::{Pool, ThreadConfig};
use crate::context;
use crate::runtime::Runtime;
use crate::sched::shared::Shared;
use crate::sched::worker::Worker;

/// More worker threads than any machine has use for: a sign of a mistake.
const WORKERS_MAX: usize = 4096;
const BLOCKING_MAX: usize = 65_536;
const BLOCKING_DEFAULT: usize = 512;
/// PTHREAD_STACK_MIN on Linux; and 1 GiB, above which a mistake is more likely than a need.
const STACK: std::ops::RangeInclusive<usize> = 16 * 1024..=1 << 30;
const NAME_MAX: usize = 64;

/// Configures and builds a [`Runtime`].
///
/// ```
/// let runtime = gannet_runtime::Builder::new_multi_thread().worker_threads(2).thread_name("echo").build()?;
/// assert_eq!(runtime.metrics().workers, 2);
///
/// let refused = gannet_runtime::Builder::new_multi_thread().worker_threads(0).build().unwrap_err();
/// assert_eq!(refused.to_string(), "runtime builder: worker_threads is 0, must be 1 to 4096");
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    current_thread: bool,
    worker_threads: Option<usize>,
    blocking_threads: usize,
    thread_name: String,
    thread_stack_size: Option<usize>,
}

impl Builder {
    fn new(current_thread: bool) -> Self {
        Self {
            current_thread,
            worker_threads: None,
            blocking_threads: BLOCKING_DEFAULT,
            thread_name: "gannet".to_owned(),
            thread_stack_size: None,
        }
    }

    /// Starts with a runtime that has worker threads: one for each available core.
    #[must_use]
    pub fn new_multi_thread() -> Self {
        Self::new(false)
    }

    /// Starts with a runtime without threads of its own: tasks run on the thread that is in
    /// `block_on`.
    #[must_use]
    pub fn new_current_thread() -> Self {
        Self::new(true)
    }

    /// Sets the number of worker threads, 1 to 4096.
    #[must_use]
    pub fn worker_threads(mut self, threads: usize) -> Self {
        self.worker_threads = Some(threads);
        self
    }

    /// Sets how many threads may run blocking calls at a time, 1 to 65,536; more calls wait. 512
    /// unless set.
    #[must_use]
    pub fn max_blocking_threads(mut self, threads: usize) -> Self {
        self.blocking_threads = threads;
        self
    }

    /// Sets what the threads' names end with. The kernel shows the first 15 bytes of `wrk-NAME` and
    /// `blk-NAME`.
    #[must_use]
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// Sets the stack size of worker and blocking threads, in bytes, 16 KiB to 1 GiB.
    #[must_use]
    pub fn thread_stack_size(mut self, bytes: usize) -> Self {
        self.thread_stack_size = Some(bytes);
        self
    }

    /// Builds the runtime and starts its workers.
    ///
    /// # Errors
    /// `InvalidInput` that names the value and its range; an error that says so inside a task,
    /// where the runtime could not be waited on; the kernel's refusal of a descriptor or a thread
    /// (`EMFILE`, `EAGAIN`), after which nothing is left behind.
    ///
    /// Reference: [`epoll_create1(2)`](https://man7.org/linux/man-pages/man2/epoll_create.2.html),
    /// which each runtime has one of.
    pub fn build(&self) -> io::Result<Runtime> {
        if context::polls_futures() {
            return Err(io::Error::other(
                "runtime builder: this thread is inside a runtime's task or block_on; use Handle, or build it elsewhere",
            ));
        }
        let workers = self.workers()?;
        check(
            "max_blocking_threads",
            self.blocking_threads,
            1..=BLOCKING_MAX,
        )?;
        if let Some(bytes) = self.thread_stack_size {
            check("thread_stack_size", bytes, STACK)?;
        }
        if self.thread_name.contains('\0') || self.thread_name.len() > NAME_MAX {
            let why = format!(
                "runtime builder: thread_name {:?} must have at most {NAME_MAX} bytes and no NUL",
                self.thread_name
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let config = ThreadConfig {
            name: self.thread_name.clone(),
            stack_size: self.thread_stack_size,
        };
        let pool = Pool::new(self.blocking_threads, config.clone());
        let seat = self.current_thread.then(Seat::new);
        let shared = Arc::new(Shared::new(workers, pool, seat)?);
        let threads = if self.current_thread { 0 } else { workers };
        let starts = (0..threads).map(|index| {
            let config = config.clone();
            Box::new(move |shared: Arc<Shared>| start_worker(&config, shared, index)) as Box<_>
        });
        Runtime::start(shared, starts)
    }

    fn workers(&self) -> io::Result<usize> {
        if self.current_thread {
            return match self.worker_threads {
                None => Ok(1),
                Some(threads) => {
                    check("worker_threads of a current-thread runtime", threads, 1..=1)
                }
            };
        }
        let default = || {
            available_parallelism()
                .map_or(1, NonZero::get)
                .min(WORKERS_MAX)
        };
        check(
            "worker_threads",
            self.worker_threads.unwrap_or_else(default),
            1..=WORKERS_MAX,
        )
    }
}

fn check(name: &str, value: usize, range: std::ops::RangeInclusive<usize>) -> io::Result<usize> {
    if range.contains(&value) {
        return Ok(value);
    }
    let why = format!(
        "runtime builder: {name} is {value}, must be {} to {}",
        range.start(),
        range.end()
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Starts the thread of worker `index`.
fn start_worker(
    config: &ThreadConfig,
    shared: Arc<Shared>,
    index: usize,
) -> io::Result<std::thread::JoinHandle<()>> {
    /// Says that the worker has ended. If it panicked, all of them end: it may have been the one that
    /// waits for the network, and a runtime that is deaf should not look alive.
    struct Ended(Arc<Shared>);
    impl Drop for Ended {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.begin_shutdown();
            }
            self.0.worker_ended();
        }
    }
    let run = {
        let shared = shared.clone();
        move || {
            let _ended = Ended(shared.clone());
            let mut worker = Worker::new(shared.clone(), index);
            let _entered = context::enter_polling(shared.clone(), Some(worker.local()));
            let control = || {
                if shared.is_shut_down() {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            };
            worker.run(control, || shared.is_shut_down());
            worker.drain();
        }
    };
    // Counted before it runs: a shutdown that comes at once waits for it.
    shared.worker_started();
    config
        .start("wrk", run)
        .inspect_err(|_| shared.worker_not_started())
}
