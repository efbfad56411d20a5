//! The task cell: the only place that turns task pointers into references. The argument is in
//! [`task`](super).
#![allow(unsafe_code)] // Type erasure and sharing by the rules of the module above.

use std::any::Any;
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::join::JoinError;
use super::list::Links;
use super::state::{Completed, Detached, Idle, Run, State, Wake};
use crate::foreign;
use crate::sync::UnsafeCell;

/// Where a task's runnables go, and who keeps it alive until it is done.
pub(crate) trait Schedule: Send + Sync + 'static {
    /// A queue, with what keeps it alive: once a runnable is in it, the task may be gone, and this
    /// scheduler, which lies in the task's cell, with it.
    type Queue: Queue;

    /// Where this thread queues the task.
    fn queue(&self) -> Self::Queue;

    /// Gives up the registry's reference, if it still has it.
    fn release(&self, task: &Task) -> Option<Task>;
}

/// Takes one runnable.
pub(crate) trait Queue {
    /// Queues a task that was woken.
    fn push(self, task: Task);
}

/// The part of a task that does not depend on its future. First in the cell, so that both have one
/// address.
pub(crate) struct Header {
    state: State,
    vtable: &'static VTable,
    /// Neighbours in the registry.
    links: Links,
    /// Who waits for the output: the `JoinHandle`'s until it sets `JOIN_WAKER`, then the
    /// completer's.
    join_waker: UnsafeCell<Option<Waker>>,
}

struct VTable {
    poll: unsafe fn(NonNull<Header>) -> bool,
    schedule: unsafe fn(NonNull<Header>),
    cancel: unsafe fn(NonNull<Header>, JoinError),
    take_output: unsafe fn(NonNull<Header>, *mut ()),
    drop_output: unsafe fn(NonNull<Header>),
    free: unsafe fn(NonNull<Header>),
}

enum Stage<F: Future> {
    Future(F),
    Output(Result<F::Output, JoinError>),
    Empty,
}

#[repr(C)]
struct Cell<F: Future, S> {
    header: Header,
    scheduler: S,
    stage: UnsafeCell<Stage<F>>,
}

/// One reference to a task. As a run queue entry it also carries the right to run it.
pub(crate) struct Task {
    header: NonNull<Header>,
}

// SAFETY: the cell behind the pointer is shared by the rules of the module above; future, output
// and scheduler are `Send` by the bounds of `Task::new`, and the stage is touched by one thread at
// a time.
unsafe impl Send for Task {}
// SAFETY: a shared `Task` gives access to the state; to the links, which their list's lock guards;
// and to the join waker, which the state guards.
unsafe impl Sync for Task {}

impl Task {
    /// Makes a task whose place in the registry is `home`. Returns the run queue entry, the
    /// registry's reference and the `JoinHandle`'s.
    #[inline]
    pub(crate) fn new<F, S>(future: F, scheduler: S, home: u16) -> [Task; 3]
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
        S: Schedule,
    {
        let header = Header {
            state: State::new(home),
            vtable: const {
                &VTable {
                    poll: poll::<F, S>,
                    schedule: schedule::<F, S>,
                    cancel: cancel::<F, S>,
                    take_output: take_output::<F, S>,
                    drop_output: drop_output::<F, S>,
                    free: free::<F, S>,
                }
            },
            links: Links::new(),
            join_waker: UnsafeCell::new(None),
        };
        let cell = Box::new(Cell {
            header,
            scheduler,
            stage: UnsafeCell::new(Stage::Future(future)),
        });
        let header = NonNull::from(Box::leak(cell)).cast::<Header>();
        // The state starts with three references.
        [Task { header }, Task { header }, Task { header }]
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: `self` is a counted reference, so the cell is alive; a header is only shared,
        // never `&mut`.
        unsafe { self.header.as_ref() }
    }

    /// Runs a run queue entry: polls the future once. Gives the entry back if the task was woken
    /// meanwhile, to be queued behind the others.
    #[inline]
    #[must_use]
    pub(crate) fn run(self) -> Option<Task> {
        let task = ManuallyDrop::new(self);
        // SAFETY: the vtable is the cell's own, and the entry's reference moves into the call.
        let again = unsafe { (task.header().vtable.poll)(task.header) };
        again.then(|| ManuallyDrop::into_inner(task))
    }

    /// Cancels the task with `error` unless it runs or is complete; a runner cancels it instead.
    pub(crate) fn cancel(&self, error: JoinError) {
        if self.header().state.shutdown() {
            // SAFETY: the vtable is the cell's own; `shutdown` made this thread the owner of the
            // stage.
            unsafe { (self.header().vtable.cancel)(self.header, error) }
        }
    }

    /// Asks for cancellation at the task's next poll, which this causes.
    pub(crate) fn abort(&self) {
        if self.header().state.abort() {
            // SAFETY: the vtable is the cell's own, and `abort` counted the reference that the
            // entry takes.
            unsafe { (self.header().vtable.schedule)(self.header) }
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.header().state.is_complete()
    }

    /// Returns whether the task is complete; if not, `waker` will be woken when it is.
    ///
    /// # Safety
    /// The caller is the task's only `JoinHandle`.
    #[inline]
    pub(crate) unsafe fn poll_complete(&self, waker: &Waker) -> bool {
        let header = self.header();
        if header.state.is_complete()
            || header.state.is_join_waker_offered() && !header.state.withdraw_join_waker()
        {
            return true;
        }
        let former = header.join_waker.with_mut(|place| {
            // SAFETY: `JOIN_WAKER` is not set, so the place is the JoinHandle's, and the caller is
            // the only one.
            let place = unsafe { &mut *place };
            let known = place.as_ref().is_some_and(|known| known.will_wake(waker));
            // A clone that panics leaves the place as it was, and `JOIN_WAKER` not set.
            if known {
                None
            } else {
                place.replace(waker.clone())
            }
        });
        drop(former);
        if header.state.offer_join_waker() {
            return false;
        }
        // SAFETY: as above: `JOIN_WAKER` was not set by this call, and will not be.
        drop(
            header
                .join_waker
                .with_mut(|place| unsafe { (*place).take() }),
        );
        true
    }

    /// The task's place in the registry.
    #[inline]
    pub(crate) fn home(&self) -> u16 {
        self.header().state.home()
    }

    /// Gives the `JoinHandle`'s interest and its reference up, and drops what was meant for it: its
    /// waker, and an output that it has not `taken`.
    ///
    /// # Safety
    /// The caller is the task's only `JoinHandle`, and says rightly whether it has taken the output.
    #[inline]
    pub(crate) unsafe fn detach(self, taken: bool) {
        let task = ManuallyDrop::new(self);
        match task.header().state.drop_join_interest() {
            Detached::Nothing => return,
            Detached::Free => {
                // SAFETY: the vtable is the cell's own, and no reference is left.
                return unsafe { (task.header().vtable.free)(task.header) };
            }
            Detached::Waker => {
                // SAFETY: `drop_join_interest` took the waker back from who completes.
                let waker = |place: *mut Option<Waker>| unsafe { (*place).take() };
                drop(task.header().join_waker.with_mut(waker));
            }
            Detached::Output if taken => {}
            Detached::Output => {
                // SAFETY: the vtable is the cell's own; the task is complete with interest, so the
                // stage is the JoinHandle's, which calls this once.
                unsafe { (task.header().vtable.drop_output)(task.header) }
            }
        }
        drop(ManuallyDrop::into_inner(task));
    }

    /// Moves the output of a complete task to `output`.
    ///
    /// # Safety
    /// The caller is the task's only `JoinHandle`, has seen [`is_complete`](Self::is_complete),
    /// calls this once, and `T` is the output type of the task's future.
    pub(crate) unsafe fn take_output<T>(&self) -> Result<T, JoinError> {
        let mut output: Option<Result<T, JoinError>> = None;
        // SAFETY: the vtable is the cell's own, which writes an `Option<Result<T, JoinError>>` by
        // the caller's promise about `T`; the stage is the JoinHandle's by the caller's other
        // promises.
        unsafe { (self.header().vtable.take_output)(self.header, (&raw mut output).cast()) }
        output.expect("the output is taken once")
    }

    /// The pointer, while the reference stays.
    #[inline]
    pub(crate) fn header_pointer(&self) -> NonNull<Header> {
        self.header
    }

    /// Turns the reference into a pointer.
    #[inline]
    pub(crate) fn into_header(self) -> NonNull<Header> {
        ManuallyDrop::new(self).header
    }

    /// Turns a pointer from [`into_header`](Self::into_header) back into the reference.
    ///
    /// # Safety
    /// The pointer comes from `into_header`, and is turned back once.
    #[inline]
    pub(crate) unsafe fn from_header(header: NonNull<Header>) -> Self {
        Self { header }
    }

    /// Turns the reference into a pointer for a queue.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut Header {
        ManuallyDrop::new(self).header.as_ptr()
    }

    /// Turns a pointer from [`into_raw`](Self::into_raw) back into the reference.
    ///
    /// # Safety
    /// The pointer comes from `into_raw`, and is turned back once.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: *mut Header) -> Self {
        // SAFETY: `into_raw` gave a pointer that was not null.
        let header = unsafe { NonNull::new_unchecked(raw) };
        Self { header }
    }
}

impl Clone for Task {
    fn clone(&self) -> Self {
        self.header().state.add_ref();
        Self {
            header: self.header,
        }
    }
}

impl Drop for Task {
    #[inline]
    fn drop(&mut self) {
        if self.header().state.drop_refs(1) {
            // SAFETY: the vtable is the cell's own, and no other reference exists.
            unsafe { (self.header().vtable.free)(self.header) }
        }
    }
}

impl Header {
    /// The task's links, for the list that it is in.
    #[inline]
    pub(crate) fn links(&self) -> &Links {
        &self.links
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("state", &self.header().state)
            .finish()
    }
}

/// Borrows the cell behind a header.
///
/// # Safety
/// `header` belongs to a live `Cell<F, S>` for the lifetime `'a`.
unsafe fn cell<'a, F: Future, S>(header: NonNull<Header>) -> &'a Cell<F, S> {
    // SAFETY: the header is the first field of a `repr(C)` cell; the cell is only shared, never
    // `&mut`.
    unsafe { header.cast().as_ref() }
}

/// Polls the task once. Returns whether its entry must be queued again.
///
/// # Safety
/// `header` belongs to a `Cell<F, S>`; the caller's run queue entry is its reference, which this
/// consumes unless it returns `true`.
unsafe fn poll<F: Future, S: Schedule>(header: NonNull<Header>) -> bool {
    // SAFETY: the entry's reference keeps the cell alive until it is dropped, and that is the last
    // thing done to the cell in each case below.
    let cell = unsafe { cell::<F, S>(header) };
    let output = match cell.header.state.start_running() {
        Run::Nothing => return false,
        Run::Free => {
            // SAFETY: no reference is left.
            unsafe { free::<F, S>(header) };
            return false;
        }
        Run::Cancel => Err(JoinError::cancelled()),
        Run::Poll => {
            // The waker borrows the entry's reference: a future that does not keep it costs no
            // counting.
            let waker = ManuallyDrop::new(waker_of(header));
            let mut cx = Context::from_waker(&waker);
            let polled = catch_unwind(AssertUnwindSafe(|| poll_stage(cell, &mut cx)));
            match polled {
                Ok(Poll::Ready(output)) => Ok(output),
                Err(panic) => Err(JoinError::panicked(panic)),
                Ok(Poll::Pending) => match cell.header.state.stop_running() {
                    Idle::Waits => return false,
                    Idle::Again => return true,
                    Idle::Free => {
                        // SAFETY: no reference is left.
                        unsafe { free::<F, S>(header) };
                        return false;
                    }
                    Idle::Cancel => Err(JoinError::cancelled()),
                },
            }
        }
    };
    // SAFETY: the cell is alive by the entry's reference, which goes with the completion; `RUNNING`
    // is ours.
    unsafe { finish::<F, S>(header, output, 1) };
    false
}

/// Polls the future in the stage. This thread owns the stage.
fn poll_stage<F: Future, S>(cell: &Cell<F, S>, cx: &mut Context<'_>) -> Poll<F::Output> {
    cell.stage.with_mut(|stage| {
        // SAFETY: `RUNNING` is ours, so nobody else touches the stage (rule 1).
        let stage = unsafe { &mut *stage };
        let Stage::Future(future) = stage else {
            unreachable!("a running task has its future")
        };
        // SAFETY: the future lives in a heap cell and is dropped in place, never moved out (see
        // `replace`).
        unsafe { Pin::new_unchecked(future) }.poll(cx)
    })
}

/// Completes a task that this thread runs: drops the future, publishes the output, and wakes who
/// waits for it. Drops `refs` references of the caller's.
///
/// # Safety
/// `header` belongs to a live `Cell<F, S>`, whose stage the caller owns by `RUNNING`, and the caller
/// has the references that it lets this drop.
unsafe fn finish<F: Future, S: Schedule>(
    header: NonNull<Header>,
    output: Result<F::Output, JoinError>,
    refs: u64,
) {
    // SAFETY: alive by the caller's promise, until its references are dropped, and that is the last
    // thing done to the cell in each case below.
    let cell = unsafe { cell::<F, S>(header) };
    // A panic in the future's drop must not leave the task running for ever, and is reported as the
    // task's own.
    let output = match drop_stage(cell) {
        Ok(()) => output,
        Err(panic) => {
            // One panic is reported; one in the drop of the output that it replaces is not.
            foreign::drop_contained(output);
            Err(JoinError::panicked(panic))
        }
    };
    cell.stage.with_mut(|stage| {
        // SAFETY: `RUNNING` is ours (rule 1), and the stage is empty by `drop_stage`, so nothing is
        // dropped here.
        unsafe { stage.write(Stage::Output(output)) }
    });
    let task = ManuallyDrop::new(Task { header });
    // The registry's reference goes with the caller's.
    let released = cell.scheduler.release(&task).map(Task::into_header);
    let refs = refs + u64::from(released.is_some());
    let (is_last, waker) = match cell.header.state.complete(refs) {
        Completed::Done => (false, None),
        Completed::Wake => {
            // SAFETY: the task was complete while `JOIN_WAKER` was set, so the waker is ours.
            let waker = |place: *mut Option<Waker>| unsafe { (*place).take() };
            let waker = cell.header.join_waker.with_mut(waker);
            (cell.header.state.drop_refs(refs), waker)
        }
        Completed::Unwanted => {
            // Nobody will take the output. A panic in its drop concerns nobody either.
            foreign::drop_contained(drop_stage(cell));
            (cell.header.state.complete_unwanted(refs), None)
        }
    };
    if is_last {
        // SAFETY: no reference is left.
        unsafe { free::<F, S>(header) };
    }
    if let Some(waker) = waker {
        foreign::wake(waker);
    }
}

/// Empties the stage, which this thread owns, and catches what its content's drop throws.
fn drop_stage<F: Future, S>(cell: &Cell<F, S>) -> Result<(), Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(|| {
        cell.stage.with_mut(|stage| {
            /// Marks the stage empty even if dropping its content panics.
            struct Emptied<F: Future>(*mut Stage<F>);
            impl<F: Future> Drop for Emptied<F> {
                fn drop(&mut self) {
                    // SAFETY: the pointer is the stage that the caller owns; its content was
                    // dropped in place, so it is overwritten without being dropped again.
                    unsafe { self.0.write(Stage::Empty) }
                }
            }
            let emptied = Emptied(stage);
            // SAFETY: this thread owns the stage, and `Emptied` overwrites what is dropped here,
            // come what may.
            unsafe { emptied.0.drop_in_place() }
        });
    }))
}

/// # Safety
/// `header` belongs to a `Cell<F, S>`; the reference of the new entry is counted already, and this
/// consumes it.
unsafe fn schedule<F: Future, S: Schedule>(header: NonNull<Header>) {
    // SAFETY: the entry's reference keeps the cell alive until it moves into the queue below, which
    // does not lie in the cell.
    let cell = unsafe { cell::<F, S>(header) };
    let queue = cell.scheduler.queue();
    queue.push(Task { header });
}

/// # Safety
/// `header` belongs to a live `Cell<F, S>`, to which the caller keeps a reference, and the caller
/// owns the stage by `State::shutdown`.
unsafe fn cancel<F: Future, S: Schedule>(header: NonNull<Header>, error: JoinError) {
    // SAFETY: alive by the caller's promise, which keeps its reference.
    unsafe { finish::<F, S>(header, Err(error), 0) };
}

/// # Safety
/// `header` belongs to a live `Cell<F, S>`, `output` points to an `Option<Result<F::Output,
/// JoinError>>`, and the caller owns the stage as the `JoinHandle` of a complete task.
unsafe fn take_output<F: Future, S>(header: NonNull<Header>, output: *mut ()) {
    // SAFETY: alive by the caller's promise.
    let cell = unsafe { cell::<F, S>(header) };
    let stage = cell.stage.with_mut(|stage| {
        // SAFETY: the stage is the caller's; a complete task's stage holds no pinned future any
        // more.
        mem::replace(unsafe { &mut *stage }, Stage::Empty)
    });
    if let Stage::Output(result) = stage {
        // SAFETY: `output` is valid for this write, and of this type, by the caller's promise.
        unsafe { *output.cast::<Option<Result<F::Output, JoinError>>>() = Some(result) }
    }
}

/// # Safety
/// `header` belongs to a live `Cell<F, S>`, and the caller owns the stage as the `JoinHandle` of a
/// complete task.
unsafe fn drop_output<F: Future, S>(header: NonNull<Header>) {
    // SAFETY: alive by the caller's promise.
    let cell = unsafe { cell::<F, S>(header) };
    // The one who drops a JoinHandle did not ask for the output, and is not the place for its
    // panic.
    foreign::drop_contained(drop_stage(cell));
}

/// # Safety
/// `header` belongs to a `Cell<F, S>` to which no reference is left.
unsafe fn free<F: Future, S>(header: NonNull<Header>) {
    // SAFETY: the pointer came from `Box::leak` of this type, and nobody else has it any more.
    drop(unsafe { Box::from_raw(header.cast::<Cell<F, S>>().as_ptr()) });
}

/// One vtable for the wakers of all tasks.
static WAKER: RawWakerVTable = RawWakerVTable::new(clone_waker, wake, wake_by_ref, drop_waker);

/// Wakes if `waker` is a task's, otherwise gives it back. A task's waker runs no foreign code.
#[inline]
pub(crate) fn wake_if_ours(waker: Waker) -> Result<(), Waker> {
    if !std::ptr::eq(waker.vtable(), &raw const WAKER) {
        return Err(waker);
    }
    let waker = ManuallyDrop::new(waker);
    // SAFETY: the waker's own vtable says that `data` is what `wake` expects; the reference moves
    // into the call.
    unsafe { wake(waker.data()) };
    Ok(())
}

fn waker_of(header: NonNull<Header>) -> Waker {
    // SAFETY: the functions of `WAKER` expect a header pointer that owns a reference, and are
    // thread-safe. The caller either passes such a reference or keeps the waker from being dropped.
    unsafe { Waker::from_raw(RawWaker::new(header.as_ptr().cast_const().cast(), &WAKER)) }
}

/// Turns the data pointer of a task's waker back into its reference.
///
/// # Safety
/// `data` comes from [`waker_of`], and the waker's reference is either consumed or kept from being
/// dropped.
unsafe fn task_of(data: *const ()) -> Task {
    // SAFETY: by the caller's promise `data` is the header pointer, which is not null.
    unsafe { Task::from_raw(data.cast_mut().cast()) }
}

unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: the contract of `RawWakerVTable`: `data` is that of a live waker, whose reference
    // stays.
    let task = ManuallyDrop::new(unsafe { task_of(data) });
    task.header().state.add_ref();
    RawWaker::new(data, &WAKER)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the contract of `RawWakerVTable`: `data` is that of a live waker, whose reference
    // this consumes.
    let task = ManuallyDrop::new(unsafe { task_of(data) });
    match task.header().state.wake() {
        Wake::Nothing => {}
        // SAFETY: the vtable is the cell's own, and the waker's reference is the entry's now.
        Wake::Queue => unsafe { (task.header().vtable.schedule)(task.header) },
        // SAFETY: the vtable is the cell's own, and no reference is left.
        Wake::Free => unsafe { (task.header().vtable.free)(task.header) },
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the contract of `RawWakerVTable`: `data` is that of a live waker, whose reference
    // stays.
    let task = ManuallyDrop::new(unsafe { task_of(data) });
    if task.header().state.wake_by_ref() {
        // SAFETY: the vtable is the cell's own, and `wake_by_ref` counted the reference that the
        // entry takes.
        unsafe { (task.header().vtable.schedule)(task.header) }
    }
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: the contract of `RawWakerVTable`: `data` is that of a live waker, whose reference
    // this consumes.
    drop(unsafe { task_of(data) });
}

crate::sync::models!();
