//! `Sleep`: a future that is ready at an instant.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use super::timer::Holder;
use crate::budget;
use crate::context;
use crate::sched::shared::Shared;

/// Waits for `duration`. See [`Sleep`].
///
/// ```
/// use gannet_runtime::time;
/// use std::time::Duration;
///
/// let runtime = gannet_runtime::Builder::new_current_thread().build()?;
/// runtime.block_on(async {
///     let start = time::now();
///     time::sleep(Duration::from_millis(2)).await;
///     assert!(time::now() - start >= Duration::from_millis(2), "never early");
/// });
/// # Ok::<_, std::io::Error>(())
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep {
        deadline: super::now().checked_add(duration),
        may_be_past: duration.is_zero(),
        set: None,
    }
}

/// Waits until `deadline`. See [`Sleep`].
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline: Some(deadline),
        may_be_past: true,
        set: None,
    }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It is ready when the clock says so, not when a timer fired: it can't be early.
///
/// See [`sleep`] for an example.
///
/// # Cancel safety
/// Dropping it cancels the timer.
///
/// # Panics
/// When it has to wait on a thread without a runtime, or whose runtime has shut down.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Sleep {
    /// `None` lies beyond the clock: never.
    deadline: Option<Instant>,
    /// The clock is asked before the timer is set. A deadline that lies ahead of the moment at which
    /// the sleep was made needs no second look: if it passes until the first poll, the timer fires.
    may_be_past: bool,
    /// The timer, while it is set.
    set: Option<Box<Set>>,
}

/// A timer, and the runtime that keeps its time. In a box, because it is handed on more often than
/// it is made.
struct Set {
    shared: Arc<Shared>,
    holder: Holder,
}

impl Drop for Set {
    fn drop(&mut self) {
        if !self.shared.is_forked() {
            self.shared.poller.timers.remove_sleep(&self.holder);
        }
    }
}

/// Timers that a thread's sleeps left behind, still in the wheel: the next ones take them over.
///
/// Last in, first out, which suits timeouts that are nested. Few: as many as one task has at the same
/// time are enough, and each may keep a waker, and with it the memory of a task that is gone.
#[expect(clippy::vec_box, reason = "they come and go in their boxes")]
struct Left {
    /// The runtime of the thread, whose timers these are; null without one.
    runtime: Cell<*const Shared>,
    timers: RefCell<ManuallyDrop<Vec<Box<Set>>>>,
}

const LEFT_MAX: usize = 16;

thread_local! {
    /// Not dropped at thread exit, and so need not be asked whether it is too late: it is empty, and
    /// without a runtime, once the thread has left its last.
    static LEFT: Left = const {
        Left {
            runtime: Cell::new(ptr::null()),
            timers: RefCell::new(ManuallyDrop::new(Vec::new())),
        }
    };
}

/// The thread enters or leaves a runtime, and `runtime` is its innermost from now on. Returns what was
/// left for the one before, to be dropped where foreign code may run.
#[must_use]
pub(crate) fn leave_timers_for(runtime: Option<&Arc<Shared>>) -> impl Sized + use<> {
    LEFT.with(|left| {
        left.runtime.set(runtime.map_or(ptr::null(), Arc::as_ptr));
        ManuallyDrop::into_inner(left.timers.take())
    })
}

/// Takes over what a sleep left behind.
#[inline]
fn take_left() -> Option<Box<Set>> {
    LEFT.with(|left| left.timers.borrow_mut().pop())
}

/// Leaves a timer behind for the next sleep, unless there are enough, or it is another runtime's.
#[inline]
fn leave(set: Box<Set>) {
    set.holder.rest();
    let refused = LEFT.with(|left| {
        let mut timers = left.timers.borrow_mut();
        if left.runtime.get() == Arc::as_ptr(&set.shared) && timers.len() < LEFT_MAX {
            timers.push(set);
            None
        } else {
            Some(set)
        }
    });
    drop(refused); // Its waker is foreign code.
}

impl Sleep {
    /// Returns the instant at which it is ready; `None` for one beyond the clock.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Moves the deadline. The task that waits is polled again at the new one, if it polls this
    /// before that.
    ///
    /// ```
    /// use gannet_runtime::{Builder, time};
    /// use std::time::Duration;
    ///
    /// Builder::new_current_thread().build()?.block_on(async {
    ///     let start = time::now();
    ///     let mut sleep = time::sleep_until(start + Duration::from_secs(3600));
    ///     assert!(!sleep.is_elapsed());
    ///     sleep.reset(start);
    ///     sleep.await;
    /// });
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn reset(&mut self, deadline: Instant) {
        self.unset();
        self.deadline = Some(deadline);
        self.may_be_past = true;
    }

    /// Returns whether the deadline has passed.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| super::now() >= deadline)
    }

    /// Leaves the timer to the next sleep, or takes it out.
    #[inline]
    fn unset(&mut self) {
        if let Some(set) = self.set.take() {
            if !set.holder.is_fired() {
                leave(set);
            }
        }
    }

    /// Polls without taking from the budget.
    pub(crate) fn poll_elapsed(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        if let Some(set) = &self.set {
            if set.holder.is_fired() {
                self.set = None;
            }
            self.may_be_past = true;
        }
        if self.may_be_past && super::now() >= deadline {
            self.unset();
            return Poll::Ready(());
        }
        if matches!(&self.set, Some(set) if set.holder.wakes(cx.waker())) {
            return Poll::Pending;
        }
        self.set(deadline, cx.waker());
        Poll::Pending
    }

    /// Sets a timer: its own for another waker, one that another sleep left, or a new one.
    fn set(&mut self, deadline: Instant, waker: &Waker) {
        if let Some(mut set) = self.set.take().or_else(take_left) {
            let timers = &set.shared.poller.timers;
            let at = timers.clock.at(deadline);
            if !set.shared.is_forked() && timers.set_sleep(&mut set.holder, at, waker) {
                self.set = Some(set);
                return;
            }
        }
        let shared = context::shared().unwrap_or_else(|err| panic!("sleep: {err}"));
        let timers = &shared.poller.timers;
        let holder = timers
            .insert_sleep(timers.clock.at(deadline), waker)
            .expect("sleep: the gannet runtime of this thread has shut down");
        self.set = Some(Box::new(Set { shared, holder }));
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let unit = ready!(budget::poll_proceed(cx));
        ready!(self.poll_elapsed(cx));
        unit.spend();
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.unset();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
