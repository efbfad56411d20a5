//! What a thread knows of the runtime it belongs to.
//!
//! What a worker asks for at every wake and spawn is kept apart from the list of what was entered,
//! and is not dropped at thread exit: so a look at it is a few plain loads. It changes only as a
//! thread starts or stops to drive a runtime.

use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;

use crate::sched::shared::{RunQueue, Shared};
use crate::sched::worker::Local;
use crate::time::sleep;

/// How a thread belongs to a runtime.
struct Context {
    /// Tells the entry from others, for leaving in any order.
    serial: u64,
    shared: Arc<Shared>,
    /// On worker threads and in a current-thread `block_on`: the worker's own part is in `WORKER`.
    is_worker: bool,
    /// The thread polls futures: it must not be blocked by another `block_on`.
    polls_futures: bool,
}

/// What a thread has entered and not left. It goes with the thread, even if its guards do not.
struct Contexts(Vec<Context>);

impl Drop for Contexts {
    fn drop(&mut self) {
        drop(sleep::leave_timers_for(None));
    }
}

thread_local! {
    /// What was entered and not left, the innermost last.
    static CONTEXTS: RefCell<Contexts> = const { RefCell::new(Contexts(Vec::new())) };
    /// The worker's own part, from entering until leaving. Not dropped at thread exit: leaving does
    /// that, and access need not ask whether it is too late.
    static WORKER: RefCell<Option<ManuallyDrop<Rc<Local>>>> = const { RefCell::new(None) };
    /// The innermost context is the worker's.
    static IN_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Leaves the context when dropped. Guards may be dropped in any order: each takes out its own.
#[must_use]
pub(crate) struct Entered {
    serial: u64,
    /// The context belongs to this thread.
    not_send: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        // At thread exit the list may be gone already. Taken out first: dropping the last reference
        // to a runtime runs foreign code, which may look here.
        let left = CONTEXTS.try_with(|contexts| {
            let contexts = &mut contexts.borrow_mut().0;
            let place = contexts
                .iter()
                .rposition(|context| context.serial == self.serial)?;
            let left = contexts.remove(place);
            IN_WORKER.set(contexts.last().is_some_and(|context| context.is_worker));
            let innermost = contexts.last().map(|context| &context.shared);
            Some((left, sleep::leave_timers_for(innermost)))
        });
        let is_worker = matches!(&left, Ok(Some((context, _))) if context.is_worker);
        let local = is_worker.then(|| WORKER.take()).flatten();
        drop(local.map(ManuallyDrop::into_inner));
        drop(left);
    }
}

fn push(shared: Arc<Shared>, is_worker: bool, polls_futures: bool) -> Entered {
    let (entered, left) = CONTEXTS.with(|contexts| {
        let contexts = &mut contexts.borrow_mut().0;
        let serial = contexts
            .iter()
            .map(|context| context.serial)
            .max()
            .map_or(0, |max| max + 1);
        let left = sleep::leave_timers_for(Some(&shared));
        contexts.push(Context {
            serial,
            shared,
            is_worker,
            polls_futures,
        });
        IN_WORKER.set(is_worker);
        let entered = Entered {
            serial,
            not_send: PhantomData,
        };
        (entered, left)
    });
    drop(left);
    entered
}

/// Makes `shared` the thread's runtime, for `spawn` and new descriptors.
pub(crate) fn enter(shared: Arc<Shared>) -> Entered {
    push(shared, false, false)
}

/// As [`enter`], for a thread that is going to poll futures.
pub(crate) fn enter_polling(shared: Arc<Shared>, local: Option<Rc<Local>>) -> Entered {
    let is_worker = local.is_some();
    if let Some(local) = local {
        let former = WORKER.replace(Some(ManuallyDrop::new(local)));
        debug_assert!(former.is_none(), "a thread drives one runtime at a time");
    }
    push(shared, is_worker, true)
}

/// Returns whether the thread polls futures, of whatever runtime. Entering something else on top
/// makes it no thread that may block; leaving in another order does not leave it one that may not.
pub(crate) fn polls_futures() -> bool {
    CONTEXTS
        .try_with(|contexts| {
            contexts
                .borrow()
                .0
                .iter()
                .any(|context| context.polls_futures)
        })
        .unwrap_or(false)
}

/// The thread's runtime.
pub(crate) fn shared() -> io::Result<Arc<Shared>> {
    let innermost = CONTEXTS.try_with(|contexts| {
        let contexts = contexts.borrow();
        contexts.0.last().map(|context| context.shared.clone())
    });
    let shared = innermost.ok().flatten().ok_or_else(|| {
        io::Error::other(
            "no gannet runtime on this thread: call this inside Runtime::block_on, a task, \
             or Handle::enter",
        )
    })?;
    shared.check_fork()?;
    Ok(shared)
}

/// Where this thread queues the tasks that it spawns.
pub(crate) fn run_queue() -> io::Result<RunQueue> {
    if !IN_WORKER.get() {
        return shared().map(|shared| run_queue_of(&shared));
    }
    let local = WORKER.with_borrow(|worker| worker.as_deref().cloned());
    let local = local.expect("a worker's context comes with its part");
    local.shared().check_fork()?;
    Ok(RunQueue::Worker(local))
}

/// Where this thread queues tasks of `shared`.
pub(crate) fn run_queue_of(shared: &Arc<Shared>) -> RunQueue {
    // Cloned out (a plain increment): what the caller does with it may run foreign code that looks
    // here again.
    let local = WORKER.with_borrow(|worker| {
        let local = worker.as_deref()?;
        local.is_worker_of(shared).then(|| local.clone())
    });
    match local {
        Some(local) => RunQueue::Worker(local),
        None => RunQueue::Global(shared.clone()),
    }
}
