//! What becomes of a task's output: `JoinHandle`, `AbortHandle`, `JoinError`.
#![allow(unsafe_code)] // The JoinHandle takes the output out of the cell; the argument is in `task`.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use super::raw::Task;
use crate::budget;

/// Why a task has no output.
///
/// ```
/// let runtime = gannet_runtime::Builder::new_current_thread().build()?;
/// let task = runtime.spawn(std::future::pending::<()>());
/// task.abort();
/// let err = runtime.block_on(task).unwrap_err();
/// assert!(err.is_cancelled());
/// assert_eq!(err.to_string(), "task was cancelled");
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct JoinError {
    /// `None` if it was cancelled. Boxed, because every task has room for one.
    why: Option<Box<Why>>,
}

enum Why {
    /// In a mutex to be `Sync`: the payload is only ever moved out.
    Panicked(Mutex<Box<dyn Any + Send>>),
    NotStarted(io::Error),
}

impl JoinError {
    pub(crate) fn cancelled() -> Self {
        Self { why: None }
    }

    pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Self {
        Self {
            why: Some(Box::new(Why::Panicked(Mutex::new(payload)))),
        }
    }

    pub(crate) fn not_started(err: io::Error) -> Self {
        Self {
            why: Some(Box::new(Why::NotStarted(err))),
        }
    }

    /// Returns whether the task was aborted, or dropped at the runtime's shutdown.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.why.is_none()
    }

    /// Returns whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.why.as_deref(), Some(Why::Panicked(_)))
    }

    /// Returns why the task could not be started: no thread for a blocking call, or a runtime of a
    /// forked parent.
    #[must_use]
    pub fn not_started_error(&self) -> Option<&io::Error> {
        match self.why.as_deref() {
            Some(Why::NotStarted(err)) => Some(err),
            Some(Why::Panicked(_)) | None => None,
        }
    }

    /// Returns what the task panicked with, for [`resume_unwind`].
    ///
    /// # Errors
    /// Returns the error itself if the task did not panic.
    ///
    /// ```
    /// let runtime = gannet_runtime::Builder::new_current_thread().build()?;
    /// let err = runtime.block_on(runtime.spawn(async { std::panic::panic_any(7) })).unwrap_err();
    /// let payload = err.try_into_panic().expect("it panicked");
    /// assert_eq!(payload.downcast_ref::<i32>(), Some(&7));
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.why.map(|why| *why) {
            Some(Why::Panicked(payload)) => {
                Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
            why => Err(Self {
                why: why.map(Box::new),
            }),
        }
    }

    /// Panics with what the task panicked with; otherwise returns the error itself.
    #[must_use]
    pub fn resume_panic(self) -> Self {
        match self.try_into_panic() {
            Ok(payload) => resume_unwind(payload),
            Err(err) => err,
        }
    }

    /// The panic's message, where it is text.
    fn message(&self) -> Option<String> {
        let Some(Why::Panicked(payload)) = self.why.as_deref() else {
            return None;
        };
        let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| payload.downcast_ref::<String>().cloned())
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why.as_deref() {
            None => f.write_str("task was cancelled"),
            Some(Why::NotStarted(err)) => write!(f, "task was not started: {err}"),
            Some(Why::Panicked(_)) => match self.message() {
                Some(message) => write!(f, "task panicked: {message}"),
                None => f.write_str("task panicked"),
            },
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(err: JoinError) -> Self {
        let kind = if err.is_cancelled() {
            io::ErrorKind::Interrupted
        } else {
            io::ErrorKind::Other
        };
        io::Error::new(kind, err)
    }
}

/// Waits for a spawned task's output.
///
/// Dropping the handle *detaches* the task: it goes on. [`abort`](Self::abort) cancels it.
///
/// # Cancel safety
/// Awaiting `&mut handle` and dropping that future loses nothing.
///
/// ```
/// let runtime = gannet_runtime::Builder::new_multi_thread().worker_threads(1).build()?;
/// runtime.block_on(async {
///     let sum = gannet_runtime::spawn(async { 40 + 2 });
///     assert_eq!(sum.await.unwrap(), 42);
///     let failed = gannet_runtime::spawn(async { panic!("contained") });
///     assert!(failed.await.unwrap_err().is_panic());
/// });
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct JoinHandle<T> {
    task: ManuallyDrop<Task>,
    /// The output was handed out.
    taken: bool,
    output: PhantomData<fn() -> T>,
}

impl<T> JoinHandle<T> {
    /// Makes the handle from the `JoinHandle`'s reference of a task whose output is a `T`.
    pub(crate) fn new(task: Task) -> Self {
        Self {
            task: ManuallyDrop::new(task),
            taken: false,
            output: PhantomData,
        }
    }

    /// Asks the task to stop. Its future is dropped at its next turn, and the handle then gives a
    /// [`JoinError`] that [`is_cancelled`](JoinError::is_cancelled); a task that completes first
    /// keeps its output.
    ///
    /// A call of `spawn_blocking` that has begun cannot be stopped.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Returns a handle that can abort the task from elsewhere.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle {
            task: Task::clone(&self.task),
        }
    }

    /// Returns whether the task has completed, by its output, a panic or cancellation.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_complete()
    }

    /// Polls for the output without taking from the budget.
    pub(crate) fn poll_output(&mut self, cx: &Context<'_>) -> Poll<Result<T, JoinError>> {
        ready!(poll_complete(&self.task, cx));
        Poll::Ready(self.take_output())
    }

    /// Takes the output of a task that was seen complete.
    fn take_output(&mut self) -> Result<T, JoinError> {
        assert!(
            !std::mem::replace(&mut self.taken, true),
            "a JoinHandle was polled after it gave the output"
        );
        // SAFETY: this is the task's only JoinHandle, whose `T` is the output type; the task is
        // complete, and `taken` was not set before.
        unsafe { self.task.take_output() }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(poll_within_budget(&self.task, cx));
        Poll::Ready(self.take_output())
    }
}

/// As [`poll_complete`], and takes from the budget. Apart from `poll`, so that it is compiled once
/// and not for every type of output.
fn poll_within_budget(task: &Task, cx: &Context<'_>) -> Poll<()> {
    let unit = ready!(budget::poll_proceed(cx));
    ready!(poll_complete(task, cx));
    unit.spend();
    Poll::Ready(())
}

/// Polls for the completion of a `JoinHandle`'s task.
fn poll_complete(task: &Task, cx: &Context<'_>) -> Poll<()> {
    // SAFETY: called with the task of a JoinHandle, and there is one.
    if unsafe { task.poll_complete(cx.waker()) } {
        Poll::Ready(())
    } else {
        Poll::Pending
    }
}

impl<T> Drop for JoinHandle<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the handle is being dropped, so nobody uses the field again.
        let task = unsafe { ManuallyDrop::take(&mut self.task) };
        // SAFETY: this is the task's only JoinHandle; `taken` is set where the output is taken.
        unsafe { task.detach(self.taken) }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// Aborts a task without waiting for it. Dropping the handle does nothing.
///
/// ```
/// let runtime = gannet_runtime::Builder::new_current_thread().build()?;
/// let task = runtime.spawn(std::future::pending::<()>());
/// let abort = task.abort_handle();
/// abort.abort();
/// assert!(runtime.block_on(task).unwrap_err().is_cancelled());
/// assert!(abort.is_finished());
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct AbortHandle {
    task: Task,
}

impl AbortHandle {
    /// Asks the task to stop, as [`JoinHandle::abort`].
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Returns whether the task has completed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_complete()
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("finished", &self.is_finished())
            .finish()
    }
}

crate::sync::models!();
