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
use super::state::{Idle, Run, State};
use crate::foreign;
use crate::sync::UnsafeCell;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::waker_slot::WakerSlot;

/// Where a task's runnables go, and who keeps it alive until it is done.
pub(crate) trait Schedule: Send + Sync + 'static {
    /// Queues the task. `yielded`: it woke itself while it ran, and goes behind the others.
    fn schedule(&self, task: Task, yielded: bool);

    /// Gives up the registry's reference, if it still has it.
    fn release(&self, task: &Task) -> Option<Task>;
}

/// The part of a task that does not depend on its future. First in the cell, so that both have one
/// address.
pub(crate) struct Header {
    state: State,
    vtable: &'static VTable,
    /// Place in the registry, set once before the task is published.
    registry_key: AtomicUsize,
    join_waker: WakerSlot,
}

struct VTable {
    poll: unsafe fn(NonNull<Header>),
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
// SAFETY: a shared `Task` gives access to atomics and the waker slot only.
unsafe impl Sync for Task {}

impl Task {
    /// Makes a task. Returns the run queue entry, the registry's reference and the `JoinHandle`'s.
    pub(crate) fn new<F, S>(future: F, scheduler: S) -> [Task; 3]
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
        S: Schedule,
    {
        let header = Header {
            state: State::new(),
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
            registry_key: AtomicUsize::new(usize::MAX),
            join_waker: WakerSlot::new(),
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

    fn header(&self) -> &Header {
        // SAFETY: `self` is a counted reference, so the cell is alive; a header is only shared,
        // never `&mut`.
        unsafe { self.header.as_ref() }
    }

    /// Runs a run queue entry: polls the future once.
    pub(crate) fn run(self) {
        let task = ManuallyDrop::new(self);
        // SAFETY: the vtable is the cell's own, and the entry's reference moves into the call.
        unsafe { (task.header().vtable.poll)(task.header) }
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

    pub(crate) fn join_waker(&self) -> &WakerSlot {
        &self.header().join_waker
    }

    pub(crate) fn same(&self, other: &Task) -> bool {
        self.header == other.header
    }

    pub(crate) fn registry_key(&self) -> usize {
        self.header().registry_key.load(Ordering::Relaxed)
    }

    /// Notes the place in the registry, before anybody else has the task.
    pub(crate) fn set_registry_key(&self, key: usize) {
        self.header().registry_key.store(key, Ordering::Relaxed);
    }

    /// Gives the `JoinHandle`'s interest up, and drops an output that waits for it.
    pub(crate) fn drop_join_interest(&self) {
        if self.header().state.drop_join_interest() {
            // SAFETY: the vtable is the cell's own; the task is complete with interest, so the
            // stage is the JoinHandle's, which calls this once.
            unsafe { (self.header().vtable.drop_output)(self.header) }
        }
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

    /// Turns the reference into a pointer for a queue.
    pub(crate) fn into_raw(self) -> *mut Header {
        ManuallyDrop::new(self).header.as_ptr()
    }

    /// Turns a pointer from [`into_raw`](Self::into_raw) back into the reference.
    ///
    /// # Safety
    /// The pointer comes from `into_raw`, and is turned back once.
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
    fn drop(&mut self) {
        if self.header().state.drop_ref() {
            // SAFETY: the vtable is the cell's own, and no other reference exists.
            unsafe { (self.header().vtable.free)(self.header) }
        }
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

/// # Safety
/// `header` belongs to a `Cell<F, S>`; the caller's run queue entry is its reference, which this
/// consumes.
unsafe fn poll<F: Future, S: Schedule>(header: NonNull<Header>) {
    let task = Task { header };
    // SAFETY: `task` keeps the cell alive until it is dropped, after the last use of `cell`.
    let cell = unsafe { cell::<F, S>(header) };
    match cell.header.state.start_running() {
        Run::Nothing => return,
        Run::Cancel => return finish(cell, &task, Err(JoinError::cancelled())),
        Run::Poll => {}
    }
    // The waker borrows the entry's reference: a future that does not keep it costs no counting.
    let waker = ManuallyDrop::new(waker_of(header));
    let mut cx = Context::from_waker(&waker);
    let polled = catch_unwind(AssertUnwindSafe(|| poll_stage(cell, &mut cx)));
    let output = match polled {
        Ok(Poll::Ready(output)) => Ok(output),
        Err(panic) => Err(JoinError::panicked(panic)),
        Ok(Poll::Pending) => match cell.header.state.stop_running() {
            Idle::Waits => return,
            // The new entry has a reference of its own: whoever runs it may be done with it before
            // `schedule`, whose scheduler lies in the cell, returns.
            Idle::Again => return cell.scheduler.schedule(Task { header }, true),
            Idle::Cancel => Err(JoinError::cancelled()),
        },
    };
    finish(cell, &task, output);
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
/// waits for it.
fn finish<F: Future, S: Schedule>(
    cell: &Cell<F, S>,
    task: &Task,
    output: Result<F::Output, JoinError>,
) {
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
        unsafe { *stage = Stage::Output(output) }
    });
    if cell.header.state.complete() {
        if let Some(waker) = cell.header.join_waker.take() {
            foreign::wake(waker);
        }
    } else {
        // Nobody will take the output. A panic in its drop concerns nobody either.
        foreign::drop_contained(drop_stage(cell));
    }
    drop(cell.scheduler.release(task));
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
    // SAFETY: the entry's reference, which moves into the queue below, keeps the cell alive; the
    // scheduler may drop it meanwhile, but then the caller of the waker still holds its own.
    let cell = unsafe { cell::<F, S>(header) };
    cell.scheduler.schedule(Task { header }, false);
}

/// # Safety
/// `header` belongs to a live `Cell<F, S>`, and the caller owns the stage by `State::shutdown`.
unsafe fn cancel<F: Future, S: Schedule>(header: NonNull<Header>, error: JoinError) {
    // SAFETY: alive by the caller's promise.
    let cell = unsafe { cell::<F, S>(header) };
    let task = ManuallyDrop::new(Task { header });
    finish(cell, &task, Err(error));
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
    let task = unsafe { task_of(data) };
    wake_task(&task);
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the contract of `RawWakerVTable`: `data` is that of a live waker, whose reference
    // stays.
    let task = ManuallyDrop::new(unsafe { task_of(data) });
    wake_task(&task);
}

fn wake_task(task: &Task) {
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
