//! What a thread knows of the runtime it belongs to.

use std::cell::RefCell;
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use crate::sched::shared::Shared;
use crate::sched::worker::Local;

/// How a thread belongs to a runtime.
struct Context {
    /// Tells the entry from others, for leaving in any order.
    serial: u64,
    shared: Arc<Shared>,
    /// The worker's own part, on worker threads and in a current-thread `block_on`.
    local: Option<Rc<Local>>,
    /// The thread polls futures: it must not be blocked by another `block_on`.
    polls_futures: bool,
}

thread_local! {
    /// What was entered and not left, the innermost last.
    static CONTEXTS: RefCell<Vec<Context>> = const { RefCell::new(Vec::new()) };
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
            let mut contexts = contexts.borrow_mut();
            let place = contexts
                .iter()
                .rposition(|context| context.serial == self.serial)?;
            Some(contexts.remove(place))
        });
        drop(left);
    }
}

fn push(shared: Arc<Shared>, local: Option<Rc<Local>>, polls_futures: bool) -> Entered {
    CONTEXTS.with(|contexts| {
        let mut contexts = contexts.borrow_mut();
        let serial = contexts
            .iter()
            .map(|context| context.serial)
            .max()
            .map_or(0, |max| max + 1);
        contexts.push(Context {
            serial,
            shared,
            local,
            polls_futures,
        });
        Entered {
            serial,
            not_send: PhantomData,
        }
    })
}

/// Makes `shared` the thread's runtime, for `spawn` and new descriptors.
pub(crate) fn enter(shared: Arc<Shared>) -> Entered {
    push(shared, None, false)
}

/// As [`enter`], for a thread that is going to poll futures.
pub(crate) fn enter_polling(shared: Arc<Shared>, local: Option<Rc<Local>>) -> Entered {
    push(shared, local, true)
}

/// Looks at the innermost context.
fn with_innermost<R>(f: impl FnOnce(&Context) -> Option<R>) -> Option<R> {
    CONTEXTS
        .try_with(|contexts| contexts.borrow().last().and_then(f))
        .ok()
        .flatten()
}

/// Returns whether the thread polls futures, of whatever runtime. Entering something else on top
/// makes it no thread that may block; leaving in another order does not leave it one that may not.
pub(crate) fn polls_futures() -> bool {
    CONTEXTS
        .try_with(|contexts| {
            contexts
                .borrow()
                .iter()
                .any(|context| context.polls_futures)
        })
        .unwrap_or(false)
}

/// The thread's runtime.
pub(crate) fn shared() -> io::Result<Arc<Shared>> {
    let shared = with_innermost(|context| Some(context.shared.clone())).ok_or_else(|| {
        io::Error::other(
            "no gannet runtime on this thread: call this inside Runtime::block_on, a task, \
             or Handle::enter",
        )
    })?;
    shared.check_fork()?;
    Ok(shared)
}

/// The thread's own part of `shared`, if it is one of its workers at this moment.
pub(crate) fn local(shared: &Shared) -> Option<Rc<Local>> {
    // Cloned out (a plain increment): what the caller does with it may run foreign code that looks
    // here again.
    with_innermost(|context| {
        let local = context.local.as_ref()?;
        local.is_worker_of(shared).then(|| local.clone())
    })
}
