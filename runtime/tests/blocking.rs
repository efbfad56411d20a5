//! `spawn_blocking`: a bounded pool, whose every call runs or says why not.

mod common;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Counted, Gate, counter, current, joined, on_both, until, until_blocking, within};
use gannet_runtime::{Builder, Runtime, spawn, spawn_blocking};

fn bounded(threads: usize) -> Runtime {
    Builder::new_current_thread()
        .max_blocking_threads(threads)
        .build()
        .expect("a runtime")
}

#[test]
fn calls_run_beside_the_tasks_and_give_their_output() {
    on_both(|| async {
        let gate = Gate::default();
        let call = spawn_blocking({
            let gate = gate.clone();
            move || {
                gate.wait_blocking();
                "output"
            }
        });
        // Would hang if the call held a worker of the current-thread flavour.
        joined(spawn(async move { gate.open() }).await);
        assert_eq!(joined(call.await), "output");
    });
}

#[test]
fn ten_thousand_calls_all_run_on_no_more_threads_than_allowed() {
    within(|| {
        let runtime = bounded(3);
        let (running, most) = (counter(), counter());
        let calls: Vec<_> = (0..10_000_u32)
            .map(|n| {
                let (running, most) = (running.clone(), most.clone());
                runtime.spawn_blocking(move || {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    running.fetch_sub(1, Ordering::SeqCst);
                    n
                })
            })
            .collect();
        assert!(runtime.metrics().blocking_threads <= 3);
        runtime.block_on(async {
            for (n, call) in calls.into_iter().enumerate() {
                assert_eq!(joined(call.await), n as u32);
            }
        });
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(runtime.metrics().blocking_queue_len, 0);
    });
}

#[test]
fn as_many_calls_as_allowed_run_at_the_same_time() {
    within(|| {
        let runtime = bounded(4);
        let (inside, leave) = (counter(), Gate::default());
        let calls: Vec<_> = (0..6)
            .map(|_| {
                let (inside, leave) = (inside.clone(), leave.clone());
                runtime.spawn_blocking(move || {
                    inside.fetch_add(1, Ordering::SeqCst);
                    leave.wait_blocking();
                })
            })
            .collect();
        until_blocking(|| inside.load(Ordering::SeqCst) == 4);
        let metrics = runtime.metrics();
        assert_eq!(
            (metrics.blocking_threads, metrics.blocking_queue_len),
            (4, 2)
        );
        leave.open();
        runtime.block_on(async {
            for call in calls {
                joined(call.await);
            }
        });
    });
}

#[test]
fn call_that_panics_is_contained_and_its_thread_goes_on() {
    within(|| {
        let runtime = bounded(1);
        for _ in 0..5 {
            let call = runtime.spawn_blocking(|| panic!("in a call"));
            let err = runtime.block_on(call).expect_err("it panics");
            assert_eq!(err.to_string(), "task panicked: in a call");
            assert_eq!(joined(runtime.block_on(runtime.spawn_blocking(|| 1))), 1);
        }
        assert_eq!(runtime.metrics().blocking_threads, 1);
    });
}

#[test]
fn call_that_waits_for_a_thread_can_be_aborted_and_a_running_one_not() {
    within(|| {
        let runtime = bounded(1);
        let (inside, leave, ran) = (Gate::default(), Gate::default(), counter());
        let first = runtime.spawn_blocking({
            let (inside, leave) = (inside.clone(), leave.clone());
            move || {
                inside.open();
                leave.wait_blocking();
                7
            }
        });
        inside.wait_blocking();
        let second = runtime.spawn_blocking({
            let ran = ran.clone();
            move || ran.fetch_add(1, Ordering::SeqCst)
        });
        first.abort();
        second.abort();
        leave.open();
        assert_eq!(joined(runtime.block_on(first)), 7);
        assert!(
            runtime
                .block_on(second)
                .expect_err("aborted")
                .is_cancelled()
        );
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn calls_may_spawn_calls_and_tasks() {
    on_both(|| async {
        let call = spawn_blocking(|| {
            let inner = spawn_blocking(|| 20);
            let task = spawn(async { 22 });
            (inner, task)
        });
        let (inner, task) = joined(call.await);
        assert_eq!(joined(inner.await) + joined(task.await), 42);
    });
}

/// Threads that wait for work and new calls pass each other: no call is left behind.
#[test]
fn calls_from_many_threads_are_never_left_behind() {
    within(|| {
        let runtime = Arc::new(bounded(2));
        let ran = counter();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let ran = ran.clone();
                        let call = runtime.spawn_blocking(move || {
                            ran.fetch_add(1, Ordering::SeqCst);
                        });
                        until_blocking(|| call.is_finished());
                    }
                });
            }
        });
        assert_eq!(ran.load(Ordering::SeqCst), 2000);
    });
}

#[test]
fn shutdown_cancels_queued_calls_and_detaches_a_running_one_after_its_limit() {
    within(|| {
        let runtime = bounded(1);
        let (inside, leave, dropped) = (Gate::default(), Gate::default(), counter());
        let running = runtime.spawn_blocking({
            let (inside, leave) = (inside.clone(), leave.clone());
            move || {
                inside.open();
                leave.wait_blocking();
                "late"
            }
        });
        inside.wait_blocking();
        let queued: Vec<_> = (0..10)
            .map(|_| {
                let guard = Counted(dropped.clone());
                runtime.spawn_blocking(move || drop(guard))
            })
            .collect();
        assert!(
            !runtime.shutdown_timeout(Duration::from_millis(20)),
            "one goes on"
        );
        assert_eq!(
            dropped.load(Ordering::SeqCst),
            10,
            "their closures were dropped"
        );
        current().block_on(async {
            for call in queued {
                assert!(call.await.expect_err("it never ran").is_cancelled());
            }
            assert!(!running.is_finished());
            leave.open();
            assert_eq!(joined(running.await), "late");
        });
    });
}

#[test]
fn shutdown_waits_for_a_call_that_ends_in_time() {
    within(|| {
        let runtime = bounded(2);
        let (inside, done) = (Gate::default(), counter());
        let call = runtime.spawn_blocking({
            let (inside, done) = (inside.clone(), done.clone());
            move || {
                inside.open();
                for _ in 0..1000 {
                    std::thread::yield_now();
                }
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
        inside.wait_blocking();
        assert!(
            runtime.shutdown_timeout(Duration::from_secs(30)),
            "all ended"
        );
        assert_eq!(done.load(Ordering::SeqCst), 1);
        joined(current().block_on(call));
    });
}

#[test]
fn shutdown_in_the_background_does_not_wait() {
    within(|| {
        let runtime = bounded(1);
        let (inside, leave) = (Gate::default(), Gate::default());
        let call = runtime.spawn_blocking({
            let (inside, leave) = (inside.clone(), leave.clone());
            move || {
                inside.open();
                leave.wait_blocking();
            }
        });
        inside.wait_blocking();
        runtime.shutdown_background();
        assert!(!call.is_finished(), "it goes on");
        leave.open();
        until_blocking(|| call.is_finished());
    });
}

#[test]
fn call_queued_while_the_runtime_ends_is_run_or_cancelled() {
    within(|| {
        for _ in 0..200 {
            let runtime = bounded(2);
            let handle = runtime.handle().clone();
            let ran = counter();
            let spawner = std::thread::spawn({
                let ran = ran.clone();
                move || {
                    let call = || {
                        let ran = ran.clone();
                        handle.spawn_blocking(move || ran.fetch_add(1, Ordering::SeqCst))
                    };
                    (0..20).map(|_| call()).collect::<Vec<_>>()
                }
            });
            drop(runtime);
            let calls = spawner.join().expect("it does not panic");
            let completed = current().block_on(async {
                let mut completed = 0;
                for call in calls {
                    match call.await {
                        Ok(_) => completed += 1,
                        Err(err) => assert!(err.is_cancelled(), "{err}"),
                    }
                }
                completed
            });
            assert_eq!(ran.load(Ordering::SeqCst), completed);
        }
    });
}

const LIMITED: &str = "GANNET_TEST_LIMITED";

/// No thread can be made: the address space is too small for its stack. The limit is the process's,
/// so the test runs itself again in a process of its own.
#[test]
fn call_for_which_no_thread_can_be_made_says_so() {
    if std::env::var_os(LIMITED).is_some() {
        return without_room_for_threads();
    }
    let name = "call_for_which_no_thread_can_be_made_says_so";
    let script = "ulimit -v 1000000 && exec \"$0\" --exact \"$1\" --nocapture";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().expect("this program"))
        .arg(name)
        .env(LIMITED, "1")
        .output()
        .expect("sh is here");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stdout.contains("the handle said so"),
        "{stdout}\n{stderr}"
    );
}

fn without_room_for_threads() {
    let build = |multi: bool| {
        let builder = if multi {
            Builder::new_multi_thread().worker_threads(2)
        } else {
            Builder::new_current_thread()
        };
        builder.thread_stack_size(1 << 30).build()
    };
    let refused = build(true).expect_err("no room for a worker's stack");
    assert!(refused.raw_os_error().is_some(), "the kernel's: {refused}");

    let runtime = build(false).expect("it has no threads");
    let dropped = Arc::new(AtomicUsize::new(0));
    for _ in 0..3 {
        let guard = Counted(dropped.clone());
        let call = runtime.spawn_blocking(move || drop(guard));
        let err = runtime.block_on(call).expect_err("no room for its stack");
        let why = err.not_started_error().expect("it was not started");
        assert!(
            why.to_string()
                .contains("start a thread for a blocking call"),
            "{why}"
        );
        assert!(!err.is_cancelled() && !err.is_panic());
    }
    assert_eq!(dropped.load(Ordering::SeqCst), 3);
    assert_eq!(runtime.metrics().blocking_threads, 0);
    println!("the handle said so");
}

#[test]
fn dropped_handle_does_not_stop_a_call() {
    on_both(|| async {
        let ran = counter();
        drop(spawn_blocking({
            let ran = ran.clone();
            move || ran.fetch_add(1, Ordering::SeqCst)
        }));
        until(|| ran.load(Ordering::SeqCst) == 1).await;
    });
}
