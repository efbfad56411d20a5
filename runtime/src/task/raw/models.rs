//! Models of the task cell: who owns the stage when, and that a wake is never lost.

use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::{Poll, Wake, Waker};

use loom::cell::Cell;
use loom::sync::Arc;

use super::super::join::JoinError;
use super::super::models::Runner;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::model::{block_on, model};
use crate::sync::{Mutex, thread};

/// Where a future leaves its waker.
type Desk = Arc<Mutex<Option<Waker>>>;

fn desk() -> Desk {
    Arc::new(Mutex::new(None))
}

fn take(desk: &Desk) -> Option<Waker> {
    desk.lock().take()
}

/// A future that leaves its waker at `desk` at its first poll, and gives `output` at its second.
fn ready_at_second_poll<T: Send + 'static>(
    desk: Desk,
    output: T,
) -> impl Future<Output = T> + Send {
    let mut output = Some(output);
    let is_second = Cell::new(false);
    poll_fn(move |cx| {
        if is_second.get() {
            return Poll::Ready(output.take().expect("a complete task is not polled"));
        }
        *desk.lock() = Some(cx.waker().clone());
        // After leaving the waker, so that the desk's lock does not bring it along.
        is_second.set(true);
        Poll::Pending
    })
}

/// L11: a task has one poller at a time, its future and its output are dropped once, and its
/// references end, whoever wakes it, runs it and gives up its handle meanwhile.
///
/// Mutant: task_update_unreleased: a poll does not see what the poll before it wrote.
/// Mutant: task_drop_ref_relaxed: the cell is freed before what others did to it is seen.
/// Mutant: task_wake_forgets_running: an entry is made while the task runs, and refused.
/// Mutant: task_wake_keeps_its_reference: the reference of a coalesced wake is never dropped.
/// Mutant: task_waits_with_its_reference: the reference of an entry is never dropped.
#[test]
fn task_has_one_poller_at_a_time() {
    model("task_has_one_poller_at_a_time", Some(3), || {
        let runner = Runner::new();
        let desk = desk();
        let mut token = Arc::new(());
        let handle = runner.spawn(ready_at_second_poll(desk.clone(), token.clone()));
        let first = {
            let runner = runner.clone();
            thread::spawn(move || runner.run_all())
        };
        let second = {
            let (runner, desk) = (runner.clone(), desk.clone());
            thread::spawn(move || {
                if let Some(waker) = take(&desk) {
                    waker.wake();
                    runner.run_all();
                }
            })
        };
        drop(handle);
        first.join().unwrap();
        second.join().unwrap();
        if let Some(waker) = take(&desk) {
            waker.wake();
        }
        runner.run_all();
        runner.assert_empty();
        assert!(Arc::get_mut(&mut token).is_some(), "dropped by now");
    });
}

/// L11: of a completing task and a handle that is dropped, exactly one drops the output, while
/// others still refer to the task.
///
/// Mutant: task_complete_ignores_interest: completion leaves the output to a handle that is gone.
/// Mutant: task_drop_interest_leaves_output: the handle leaves the output of a complete task.
/// Mutant: task_complete_unreleased: the handle drops an output that it does not see.
#[test]
fn output_is_dropped_by_one_side() {
    model("output_is_dropped_by_one_side", None, || {
        let runner = Runner::new();
        let mut token = Arc::new(());
        let handle = runner.spawn(ready(token.clone()));
        // Keeps the cell alive, so that freeing it is not what drops the output.
        let observer = handle.abort_handle();
        let first = {
            let runner = runner.clone();
            thread::spawn(move || runner.run_all())
        };
        drop(handle);
        first.join().unwrap();
        assert!(Arc::get_mut(&mut token).is_some(), "dropped by now");
        assert!(observer.is_finished());
        runner.assert_empty();
    });
}

/// L11: shutdown and a runner never own the stage both, and the handle learns the one outcome.
///
/// Mutant: task_start_ignores_running: a runner polls what shutdown is dropping.
/// Mutant: task_shutdown_ignores_running: shutdown drops what a runner is polling.
/// Mutant: task_shutdown_leaves_no_word: the runner that shutdown leaves the task to is not told.
#[test]
fn shutdown_and_runner_share_no_stage() {
    model("shutdown_and_runner_share_no_stage", None, || {
        let runner = Runner::new();
        let mut token = Arc::new(());
        let held = token.clone();
        let handle = runner.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        let first = {
            let runner = runner.clone();
            thread::spawn(move || runner.run_all())
        };
        let registered = runner.unregister().expect("a pending task is registered");
        registered.cancel(JoinError::cancelled());
        drop(registered);
        let result = block_on(handle);
        assert!(result.unwrap_err().is_cancelled());
        first.join().unwrap();
        assert!(Arc::get_mut(&mut token).is_some(), "dropped by now");
        runner.assert_empty();
    });
}

/// L12: a wake during a poll causes one more poll, which sees what the waker's owner wrote before;
/// so does a wake that finds the task notified already.
///
/// Mutant: task_stop_ignores_notified: a wake during the poll is forgotten.
/// Mutant: task_coalesced_wake_unstored: the second of two wakes publishes nothing.
/// Mutant: task_wake_queues_running_task: the entry is refused while the task runs.
/// Mutant: task_update_unacquired: the poll does not see what the owner of a coalesced wake wrote.
#[test]
fn wake_during_poll_causes_another_that_sees_it() {
    model("wake_during_poll_causes_another_that_sees_it", None, || {
        let runner = Runner::new();
        let desk = desk();
        let (data, polls) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let handle = {
            let (desk, data, polls) = (desk.clone(), data.clone(), polls.clone());
            runner.spawn(poll_fn(move |cx| {
                if polls.fetch_add(1, Ordering::Relaxed) == 0 {
                    *desk.lock() = Some(cx.waker().clone());
                }
                // Relaxed: only the wake itself can bring the data along.
                if data.load(Ordering::Relaxed) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }))
        };
        runner.run_all();
        let waker = take(&desk).expect("left at the first poll");
        // This wake brings nothing; the other is coalesced with it, or comes during its poll.
        waker.wake_by_ref();
        let second = {
            let (runner, data) = (runner.clone(), data.clone());
            thread::spawn(move || {
                data.store(true, Ordering::Relaxed);
                waker.wake_by_ref();
                drop(waker);
                runner.run_all();
            })
        };
        runner.run_all();
        second.join().unwrap();
        runner.run_all();
        assert!(handle.is_finished(), "the second wake was lost");
        let polls = polls.load(Ordering::Relaxed);
        assert!(polls <= 3, "{polls} polls for two wakes");
        runner.assert_empty();
    });
}

/// A panic without a message, so that thousands of executions print nothing.
fn panic_quietly() -> ! {
    resume_unwind(Box::new(()))
}

/// L15: a task whose poll panics ends with that panic, which its handle reports.
///
/// Mutant: task_panic_in_poll_uncaught: the panic ends the runner, not the task.
#[test]
fn panic_in_poll_ends_the_task() {
    model("panic_in_poll_ends_the_task", None, || {
        let runner = Runner::new();
        let mut token = Arc::new(());
        let held = token.clone();
        let handle = runner.spawn(poll_fn(move |_| -> Poll<()> {
            let _held = &held;
            panic_quietly()
        }));
        let first = {
            let runner = runner.clone();
            thread::spawn(move || runner.run_all())
        };
        assert!(block_on(handle).unwrap_err().is_panic());
        first.join().unwrap();
        assert!(Arc::get_mut(&mut token).is_some(), "dropped by now");
        runner.assert_empty();
    });
}

/// Panics when dropped.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic_quietly();
    }
}

/// L15: a task whose future panics as it is dropped ends with that panic.
///
/// Mutant: task_panic_in_drop_uncaught: the task stays running for ever.
#[test]
fn panic_in_drop_ends_the_task() {
    model("panic_in_drop_ends_the_task", Some(3), || {
        let runner = Runner::new();
        let handle = runner.spawn(async {
            let _bomb = PanicsInDrop;
            pending::<()>().await;
        });
        runner.run_all();
        let abort = handle.abort_handle();
        let first = {
            let runner = runner.clone();
            thread::spawn(move || {
                abort.abort();
                runner.run_all();
            })
        };
        assert!(block_on(handle).unwrap_err().is_panic());
        first.join().unwrap();
        runner.assert_empty();
    });
}

/// A join waker that panics.
struct PanicsInWake;

impl Wake for PanicsInWake {
    fn wake(self: std::sync::Arc<Self>) {
        panic_quietly();
    }
}

/// L15: a join waker that panics harms neither the runner nor the task, which is released.
///
/// Mutant: task_panic_in_join_waker_uncaught: the runner unwinds, and the task is never released.
#[test]
fn panic_in_join_waker_ends_the_task() {
    model("panic_in_join_waker_ends_the_task", None, || {
        let runner = Runner::new();
        let mut handle = Box::pin(runner.spawn(ready(())));
        let first = {
            let runner = runner.clone();
            thread::spawn(move || runner.run_all())
        };
        let waker = Waker::from(std::sync::Arc::new(PanicsInWake));
        let mut cx = std::task::Context::from_waker(&waker);
        // Registering may meet the completion, and then wakes at once: this thread's own panic.
        let polled = catch_unwind(AssertUnwindSafe(|| handle.as_mut().poll(&mut cx)));
        first.join().expect("the runner goes on");
        if !matches!(polled, Ok(Poll::Ready(_))) {
            assert!(handle.is_finished());
        }
        drop(handle);
        runner.assert_empty();
    });
}
