//! Tasks: spawn, join, abort, detach, panics; and the ways to run them.

mod common;

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use common::{Counted, Gate, counter, current, joined, multi, on_both, until, within};
use gannet_runtime::{Builder, error, spawn, time, yield_now};

/// What a panic said.
fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}

#[test]
fn joined_task_gives_its_output() {
    on_both(|| async {
        let task = spawn(async {
            yield_now().await;
            "output".to_owned()
        });
        assert_eq!(joined(task.await), "output");
    });
}

#[test]
fn ten_thousand_tasks_that_spawn_tasks_all_run() {
    on_both(|| async {
        let ran = counter();
        let outer: Vec<_> = (0..100)
            .map(|_| {
                let ran = ran.clone();
                spawn(async move {
                    let inner: Vec<_> = (0..100)
                        .map(|_| {
                            let ran = ran.clone();
                            spawn(async move { ran.fetch_add(1, Ordering::Relaxed) })
                        })
                        .collect();
                    for task in inner {
                        joined(task.await);
                    }
                })
            })
            .collect();
        for task in outer {
            joined(task.await);
        }
        assert_eq!(ran.load(Ordering::Relaxed), 10_000);
    });
}

#[test]
fn detached_task_goes_on() {
    on_both(|| async {
        let (go, done) = (Gate::default(), Gate::default());
        drop(spawn({
            let (go, done) = (go.clone(), done.clone());
            async move {
                go.wait().await;
                done.open();
            }
        }));
        go.open();
        done.wait().await;
    });
}

#[test]
fn aborted_task_drops_its_future_and_says_cancelled() {
    on_both(|| async {
        let (started, dropped) = (Gate::default(), counter());
        let task = spawn({
            let (started, guard) = (started.clone(), Counted(dropped.clone()));
            async move {
                let _guard = guard;
                started.open();
                pending::<()>().await;
            }
        });
        started.wait().await;
        assert!(!task.is_finished());
        task.abort();
        task.abort();
        let err = task.await.expect_err("aborted");
        assert!(err.is_cancelled() && !err.is_panic(), "{err}");
        assert_eq!(err.to_string(), "task was cancelled");
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn task_aborted_before_its_first_poll_never_runs() {
    within(|| {
        let runtime = current();
        let ran = counter();
        let task = runtime.spawn({
            let ran = ran.clone();
            async move { ran.fetch_add(1, Ordering::SeqCst) }
        });
        let abort = task.abort_handle();
        abort.abort();
        let err = runtime.block_on(task).expect_err("aborted");
        assert!(err.is_cancelled());
        assert!(abort.is_finished());
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn task_aborted_after_it_completed_keeps_its_output() {
    on_both(|| async {
        let task = spawn(async { 42 });
        until(|| task.is_finished()).await;
        task.abort();
        assert_eq!(joined(task.await), 42);
    });
}

#[test]
fn task_that_aborts_itself_is_cancelled_at_its_next_wait() {
    on_both(|| async {
        let handle = Arc::new(Mutex::new(None::<gannet_runtime::AbortHandle>));
        let (ready, dropped) = (Gate::default(), counter());
        let task = spawn({
            let (handle, ready, guard) = (handle.clone(), ready.clone(), Counted(dropped.clone()));
            async move {
                let _guard = guard;
                ready.wait().await;
                handle
                    .lock()
                    .expect("not poisoned")
                    .as_ref()
                    .expect("set")
                    .abort();
                yield_now().await;
                unreachable!("it waits once more after the abort");
            }
        });
        *handle.lock().expect("not poisoned") = Some(task.abort_handle());
        ready.open();
        assert!(task.await.expect_err("aborted").is_cancelled());
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn abort_races_completion_with_either_result() {
    within(|| {
        let runtime = multi(2);
        let (mut completed, mut cancelled) = (0, 0);
        runtime.block_on(async {
            for round in 0..5000 {
                let dropped = counter();
                let guard = Counted(dropped.clone());
                let task = spawn(async move {
                    yield_now().await;
                    drop(guard);
                });
                for _ in 0..round % 50 {
                    std::hint::spin_loop();
                }
                task.abort();
                match task.await {
                    Ok(()) => completed += 1,
                    Err(err) if err.is_cancelled() => cancelled += 1,
                    Err(err) => panic!("{err}"),
                }
                assert_eq!(dropped.load(Ordering::SeqCst), 1);
            }
        });
        assert_eq!(completed + cancelled, 5000);
    });
}

#[test]
fn panic_is_contained_and_handed_over() {
    on_both(|| async {
        let task = spawn(async { panic!("as {}", "told") });
        let err = task.await.expect_err("it panics");
        assert!(err.is_panic() && !err.is_cancelled());
        assert_eq!(err.to_string(), "task panicked: as told");
        let payload = err.try_into_panic().expect("a panic");
        assert_eq!(text(&*payload), "as told");
        assert_eq!(joined(spawn(async { 1 }).await), 1, "the worker goes on");
    });
}

struct PanicsWhenDropped(&'static str);

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        std::panic::panic_any(self.0);
    }
}

#[test]
fn panic_in_the_drop_of_an_aborted_future_is_reported_as_the_tasks() {
    on_both(|| async {
        let started = Gate::default();
        let task = spawn({
            let started = started.clone();
            async move {
                let _bad = PanicsWhenDropped("in drop");
                started.open();
                pending::<()>().await;
            }
        });
        started.wait().await;
        task.abort();
        let err = task.await.expect_err("aborted");
        assert!(err.is_panic(), "{err}");
        assert_eq!(joined(spawn(async { 1 }).await), 1, "the worker goes on");
    });
}

#[test]
fn panic_in_the_drop_of_an_output_nobody_wants_is_contained() {
    on_both(|| async {
        let go = Gate::default();
        for round in 0..10 {
            let task = spawn({
                let go = go.clone();
                async move {
                    go.wait().await;
                    PanicsWhenDropped("output")
                }
            });
            if round % 2 == 0 {
                drop(task); // Detached: the runner drops the output.
                go.open();
            } else {
                go.open();
                until(|| task.is_finished()).await;
                drop(task); // Complete: the handle drops it.
            }
            assert_eq!(joined(spawn(async { 1 }).await), 1, "the worker goes on");
        }
    });
}

/// A future whose drop panics and whose output's drop panics: one is reported, and nothing hangs.
#[test]
fn panics_in_the_drops_of_future_and_output_leave_the_worker_alive() {
    struct Ready {
        _bad: PanicsWhenDropped,
    }
    impl Future for Ready {
        type Output = PanicsWhenDropped;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(PanicsWhenDropped("output"))
        }
    }
    on_both(|| async {
        let task = spawn(Ready {
            _bad: PanicsWhenDropped("future"),
        });
        let err = match task.await {
            Ok(output) => {
                std::mem::forget(output);
                panic!("the future's drop panicked");
            }
            Err(err) => err,
        };
        assert!(err.is_panic(), "{err}");
        assert_eq!(joined(spawn(async { 1 }).await), 1, "the worker goes on");
    });
}

#[test]
fn yield_lets_the_others_run_first() {
    within(|| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let runtime = current();
        let tasks: Vec<_> = (0..3)
            .map(|n| {
                let order = order.clone();
                runtime.spawn(async move {
                    for _ in 0..3 {
                        order.lock().expect("not poisoned").push(n);
                        yield_now().await;
                    }
                })
            })
            .collect();
        runtime.block_on(async {
            for task in tasks {
                joined(task.await);
            }
        });
        let order = order.lock().expect("not poisoned").clone();
        assert_eq!(order, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    });
}

#[test]
fn block_on_from_several_threads_of_a_current_thread_runtime() {
    within(|| {
        let runtime = current();
        let sum = Arc::new(AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for n in 1..=8_usize {
                let (handle, sum) = (runtime.handle().clone(), sum.clone());
                scope.spawn(move || {
                    for _ in 0..200 {
                        let got = handle.block_on(async move {
                            let task = spawn(async move {
                                yield_now().await;
                                n
                            });
                            time::sleep(common::MS / 50).await;
                            joined(task.await)
                        });
                        sum.fetch_add(got, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(sum.load(Ordering::Relaxed), 200 * 36);
    });
}

/// The driver leaves while another still waits: the seat is passed on.
#[test]
fn block_on_that_outlives_the_driver_takes_its_seat() {
    within(|| {
        let runtime = current();
        let (first, second) = (Gate::default(), Gate::default());
        std::thread::scope(|scope| {
            let waiting = first.clone();
            let driver = scope.spawn(|| runtime.block_on(async move { waiting.wait().await }));
            let waiting = second.clone();
            let other = scope.spawn(|| {
                runtime.block_on(async move {
                    let task = spawn(async move { waiting.wait().await });
                    joined(task.await);
                });
            });
            first.open();
            driver.join().expect("it does not panic");
            second.open();
            other.join().expect("it does not panic");
        });
    });
}

#[test]
fn nested_block_on_panics_and_says_why() {
    on_both(|| async {
        let inner = std::thread::spawn(current).join().expect("built elsewhere");
        let nested = catch_unwind(AssertUnwindSafe(|| inner.block_on(async {})));
        let panic = nested.expect_err("it would block the worker");
        assert!(
            text(&*panic).contains("block_on inside a task"),
            "{}",
            text(&*panic)
        );
        std::thread::spawn(move || drop(inner))
            .join()
            .expect("dropped elsewhere");
    });
}

#[test]
fn runtime_built_inside_a_task_is_refused_and_says_why() {
    on_both(|| async {
        for builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let err = builder.build().expect_err("inside a task");
            assert!(err.to_string().contains("inside a runtime's task"), "{err}");
        }
    });
}

#[test]
fn absurd_values_are_refused_by_name_and_range() {
    let multi = Builder::new_multi_thread;
    for (builder, name) in [
        (multi().worker_threads(0), "worker_threads is 0"),
        (multi().worker_threads(5000), "worker_threads is 5000"),
        (multi().max_blocking_threads(0), "max_blocking_threads is 0"),
        (multi().thread_stack_size(1), "thread_stack_size is 1"),
        (
            multi().thread_stack_size(usize::MAX),
            "thread_stack_size is",
        ),
        (multi().thread_name("a\0b"), "thread_name"),
        (multi().thread_name("x".repeat(65)), "thread_name"),
        (
            Builder::new_current_thread().worker_threads(2),
            "worker_threads",
        ),
    ] {
        let err = builder.build().expect_err(name);
        assert_eq!(err.kind(), std::io::ErrorKind::InvalidInput, "{err}");
        assert!(err.to_string().contains(name), "{err}");
    }
}

#[test]
fn enter_makes_spawn_work_on_a_plain_thread_and_nests() {
    within(|| {
        let (outer, inner) = (multi(1), multi(1));
        let panic = catch_unwind(|| drop(spawn(async {}))).expect_err("no runtime here");
        assert!(text(&*panic).contains("no gannet runtime on this thread"));
        let first = outer.enter();
        let second = inner.enter();
        let task = spawn(async {});
        drop(second);
        let other = spawn(async {});
        drop(first);
        assert!(
            catch_unwind(|| drop(spawn(async {}))).is_err(),
            "left again"
        );
        joined(inner.block_on(task));
        joined(outer.block_on(other));
        assert_eq!(inner.metrics().tasks_spawned, 1);
        assert_eq!(outer.metrics().tasks_spawned, 1);
    });
}

#[test]
fn spawn_after_shutdown_is_cancelled() {
    within(|| {
        for runtime in [current(), multi(2)] {
            let handle = runtime.handle().clone();
            drop(runtime);
            let dropped = counter();
            let guard = Counted(dropped.clone());
            let task = handle.spawn(async move {
                let _guard = guard;
            });
            assert_eq!(dropped.load(Ordering::SeqCst), 1, "dropped at once");
            assert!(task.is_finished());
            let blocking = handle.spawn_blocking(|| ());
            // A fresh runtime: the old one has nobody who would wait.
            current().block_on(async {
                assert!(task.await.expect_err("shut down").is_cancelled());
                assert!(blocking.await.expect_err("shut down").is_cancelled());
            });
        }
    });
}

/// What needs neither tasks nor the poller is still served; the rest is refused, not waited for.
#[test]
fn block_on_after_shutdown_does_not_hang() {
    within(|| {
        for runtime in [current(), multi(2)] {
            let handle = runtime.handle().clone();
            drop(runtime);
            assert_eq!(handle.block_on(async { 42 }), 42);
            let (ours, _peer) = std::os::unix::net::UnixStream::pair().expect("a socketpair");
            let refused = handle.block_on(async { gannet_runtime::AsyncFd::new(ours) });
            assert!(error::is_shutdown(&refused.expect_err("shut down").error));
        }
    });
}

#[test]
fn metrics_count_what_goes_on() {
    within(|| {
        let runtime = multi(2);
        let gate = Gate::default();
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let gate = gate.clone();
                runtime.spawn(async move { gate.wait().await })
            })
            .collect();
        let metrics = runtime.metrics();
        assert_eq!((metrics.workers, metrics.tasks_alive), (2, 10));
        assert_eq!((metrics.tasks_spawned, metrics.per_worker.len()), (10, 2));
        gate.open();
        runtime.block_on(async {
            for task in tasks {
                joined(task.await);
            }
        });
        common::until_blocking(|| runtime.metrics().tasks_alive == 0);
        let polls: u64 = runtime.metrics().per_worker.iter().map(|w| w.polls).sum();
        assert!((10..=20).contains(&polls), "{polls} polls of ten tasks");
    });
}
