//! Models of the handle: how it hears of completion, and what it hears.

use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use loom::sync::Arc;

use super::super::models::Runner;
use crate::sync::model::{Wakes, block_on, model};
use crate::sync::thread;

/// L13: if the handle's waker is exchanged while the task completes, the new one is woken or the
/// exchange finds the output; the old one is dropped, and none is kept.
///
/// Mutant: join_registers_without_a_second_look: a completion right before is missed.
/// Mutant: join_exchanges_an_offered_waker: the handle and the completer have one waker.
/// Mutant: join_is_complete_relaxed: the output is taken before it is seen.
/// Mutant: task_complete_relaxed: the output is taken before it is written.
/// Mutant: task_join_waker_taken_early: a waker registered before completion is not found.
#[test]
fn join_waker_exchanged_during_completion_is_woken() {
    model(
        "join_waker_exchanged_during_completion_is_woken",
        Some(3),
        || {
            let runner = Runner::new();
            let mut handle = runner.spawn(ready(7));
            let observer = handle.abort_handle();
            let first = {
                let runner = runner.clone();
                thread::spawn(move || runner.run_all())
            };
            let (wakes, old) = Wakes::new();
            let output = match Pin::new(&mut handle).poll(&mut Context::from_waker(&old)) {
                Poll::Ready(output) => output,
                // A wake that is lost leaves this thread waiting for ever.
                Poll::Pending => block_on(&mut handle),
            };
            assert_eq!(output.unwrap(), 7);
            drop((handle, old));
            first.join().unwrap();
            assert!(wakes.count() <= 1, "woken more than once");
            assert_eq!(std::sync::Arc::strong_count(&wakes), 1, "the waker leaks");
            drop(observer);
            runner.assert_empty();
        },
    );
}

/// L13: a handle dropped while its task completes leaves no waker behind.
///
/// Mutant: join_waker_left_behind: a handle that is gone keeps its waker.
#[test]
fn dropped_handle_keeps_no_waker() {
    model("dropped_handle_keeps_no_waker", None, || {
        let runner = Runner::new();
        let mut handle = runner.spawn(ready(()));
        let observer = handle.abort_handle();
        let (wakes, waker) = Wakes::new();
        let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        let first = {
            let runner = runner.clone();
            thread::spawn(move || runner.run_all())
        };
        drop((handle, waker));
        first.join().unwrap();
        assert_eq!(std::sync::Arc::strong_count(&wakes), 1, "the waker leaks");
        drop(observer);
        runner.assert_empty();
    });
}

/// L14: an abort of a task that waits for ever ends it, at whatever moment it comes; one outcome,
/// one drop of the future. (Futures that are bound to a thread do not exist here.)
///
/// Mutant: task_stop_ignores_cancelled: an abort during the poll is forgotten.
/// Mutant: task_abort_queues_nothing: an idle task waits for a wake to hear of its abort.
#[test]
fn abort_ends_a_waiting_task() {
    model("abort_ends_a_waiting_task", Some(2), || {
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
        let second = {
            let (runner, abort) = (runner.clone(), handle.abort_handle());
            thread::spawn(move || {
                abort.abort();
                runner.run_all();
            })
        };
        assert!(block_on(handle).unwrap_err().is_cancelled());
        assert!(
            Arc::get_mut(&mut token).is_some(),
            "dropped before it is reported"
        );
        first.join().unwrap();
        second.join().unwrap();
        runner.assert_empty();
    });
}

/// L14: of an abort and a completion one wins, the output is handed over or was never made, and
/// nothing of it is left.
///
/// Mutant: task_complete_not_atomic: what the abort did to the word is undone.
#[test]
fn abort_and_completion_have_one_outcome() {
    model("abort_and_completion_have_one_outcome", Some(2), || {
        let runner = Runner::new();
        let mut token = Arc::new(());
        let handle = runner.spawn(ready(token.clone()));
        let first = {
            let runner = runner.clone();
            thread::spawn(move || runner.run_all())
        };
        let second = {
            let (runner, abort) = (runner.clone(), handle.abort_handle());
            thread::spawn(move || {
                abort.abort();
                runner.run_all();
            })
        };
        match block_on(handle) {
            Ok(output) => drop(output),
            Err(err) => assert!(err.is_cancelled()),
        }
        assert!(
            Arc::get_mut(&mut token).is_some(),
            "dropped once and by now"
        );
        first.join().unwrap();
        second.join().unwrap();
        runner.assert_empty();
    });
}
