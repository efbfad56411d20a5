//! Nobody starves: tasks that never wait, workers that are stuck, queues that never end.

mod common;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{
    Gate, MS, adopt, blocked, current, half_pair, joined, multi, on_both, read, within, write,
};
use gannet_runtime::time::{now, sleep};
use gannet_runtime::{Runtime, spawn, yield_now};

/// When another must have had its turn. Much sooner would be right, but the machine may be busy. What
/// would wait for the stuck one waits for much longer, see [`hold`].
const SOON: Duration = Duration::from_secs(10);

/// A flag that a busy task looks at.
#[derive(Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn stop(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Runs tasks, made by `busy`, that never wait until they are told to stop, and beside them a task, a
/// timer and a socket, which must all have their turn.
fn starves_nobody(runtime: &Runtime, busy: impl Fn(Stop)) {
    runtime.block_on(async {
        joined(
            spawn({
                let stop = Stop::default();
                busy(stop.clone());
                async move {
                    yield_now().await;
                    let task = spawn(async {});
                    joined(task.await);
                    sleep(MS).await;
                    let (ours, mut peer) = half_pair();
                    let reader = blocked(read(&ours, 1)).await;
                    std::thread::spawn(move || peer.write_all(b"x").map(|()| peer));
                    assert_eq!(reader.await.expect("data comes"), b"x");
                    stop.stop();
                }
            })
            .await,
        );
    });
}

fn on_each_runtime(busy: fn(Stop)) {
    within(move || {
        for runtime in [current(), multi(1), multi(2)] {
            starves_nobody(&runtime, busy);
        }
    });
}

#[test]
fn yield_loops_starve_no_task_timer_or_socket() {
    on_each_runtime(|stop| {
        for _ in 0..4 {
            let stop = stop.clone();
            drop(spawn(async move {
                while !stop.is_set() {
                    yield_now().await;
                }
            }));
        }
    });
}

/// Two tasks that wake each other go through the slot for the next runnable, time and again.
#[test]
fn ping_pong_starves_no_task_timer_or_socket() {
    on_each_runtime(|stop| {
        let (a, b) = common::pair();
        for (fd, serves) in [(a, true), (b, false)] {
            let stop = stop.clone();
            drop(spawn(async move {
                if serves {
                    write(&fd, b"x").await.expect("room");
                }
                while !stop.is_set() {
                    if read(&fd, 1).await.expect("no error").is_empty() {
                        break;
                    }
                    if write(&fd, b"x").await.is_err() {
                        break;
                    }
                }
            }));
        }
        // And one pair without the kernel in between.
        wake_each_other(&stop);
    });
}

fn wake_each_other(stop: &Stop) {
    use std::task::Poll;
    type Wakers = std::sync::Mutex<[Option<std::task::Waker>; 2]>;
    let wakers: Arc<Wakers> = Arc::default();
    for me in 0..2 {
        let (stop, wakers) = (stop.clone(), wakers.clone());
        drop(spawn(std::future::poll_fn(move |cx| {
            let other = {
                let mut wakers = wakers.lock().expect("not poisoned");
                wakers[me] = Some(cx.waker().clone());
                wakers[1 - me].clone()
            };
            if let Some(other) = other {
                other.wake();
            }
            if stop.is_set() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })));
    }
}

/// A descriptor that always has data: the budget makes its reader give way.
#[test]
fn reads_that_never_wait_starve_no_task_timer_or_socket() {
    on_each_runtime(|stop| {
        let (a, b) = common::pair();
        drop(spawn(async move {
            write(&b, &[0; 1000]).await.expect("room");
            while !stop.is_set() {
                let got = read(&a, 100).await.expect("open");
                write(&b, &got).await.expect("room");
            }
        }));
    });
}

#[test]
fn joins_that_never_wait_starve_nobody() {
    on_each_runtime(|stop| {
        drop(spawn(async move {
            let mut set = gannet_runtime::JoinSet::new();
            while !stop.is_set() {
                for n in 0..200 {
                    set.spawn(async move { n });
                }
                while let Some(member) = set.join_next().await {
                    joined(member);
                }
            }
        }));
    });
}

#[test]
fn timers_that_are_always_due_starve_nobody() {
    on_each_runtime(|stop| {
        drop(spawn(async move {
            while !stop.is_set() {
                sleep(Duration::ZERO).await;
            }
        }));
    });
}

/// Holds a worker until the gate opens, or for so long that the test has failed.
fn hold(gate: &Gate) -> bool {
    gate.wait_at_most(2 * SOON)
}

#[test]
fn worker_that_is_stuck_holds_up_no_task_timer_or_socket() {
    within(|| {
        for _ in 0..20 {
            let runtime = multi(2);
            let (stuck, free) = (Gate::default(), Gate::default());
            let blocker = runtime.spawn({
                let (stuck, free) = (stuck.clone(), free.clone());
                async move {
                    stuck.open();
                    assert!(hold(&free), "the others waited for the stuck worker");
                }
            });
            stuck.wait_blocking();
            let start = now();
            starves_nobody(&runtime, |_| ());
            assert!(now() - start < SOON);
            free.open();
            joined(runtime.block_on(blocker));
        }
    });
}

#[test]
fn worker_that_spins_holds_up_no_task_timer_or_socket() {
    within(|| {
        let runtime = multi(2);
        let (spinning, free) = (Gate::default(), Stop::default());
        let blocker = runtime.spawn({
            let (spinning, free) = (spinning.clone(), free.clone());
            async move {
                spinning.open();
                let end = now() + 2 * SOON;
                while !free.is_set() {
                    assert!(now() < end, "the others waited for the spinning worker");
                    std::thread::yield_now();
                }
            }
        });
        spinning.wait_blocking();
        starves_nobody(&runtime, |_| ());
        free.stop();
        joined(runtime.block_on(blocker));
    });
}

/// What a stuck task has spawned or woken lies in its worker's own queue: others take it over.
async fn wait_in_place_for_a_child() {
    let done = Gate::default();
    drop(spawn({
        let done = done.clone();
        async move { done.open() }
    }));
    assert!(hold(&done), "the child waited for the stuck worker");
}

#[test]
fn child_of_a_stuck_task_runs_elsewhere() {
    within(|| {
        let runtime = multi(2);
        for _ in 0..20 {
            joined(runtime.block_on(async { spawn(wait_in_place_for_a_child()).await }));
        }
    });
}

/// As above, on a runtime so young that no worker has waited yet.
#[test]
fn child_of_a_task_stuck_at_once_runs_elsewhere() {
    within(|| {
        for _ in 0..50 {
            let runtime = multi(2);
            let task = runtime.spawn(wait_in_place_for_a_child());
            joined(runtime.block_on(task));
        }
    });
}

/// As above, after the worker was busy for so long that the look for stuck workers fell to itself.
#[test]
fn child_of_a_task_stuck_after_a_busy_while_runs_elsewhere() {
    within(|| {
        let runtime = multi(2);
        for _ in 0..20 {
            let task = runtime.spawn(async {
                let end = now() + 25 * MS;
                while now() < end {
                    yield_now().await;
                }
                wait_in_place_for_a_child().await;
            });
            joined(runtime.block_on(task));
        }
    });
}

#[test]
fn queue_of_a_stuck_worker_is_taken_over_whole() {
    within(|| {
        let runtime = multi(2);
        for _ in 0..5 {
            let task = runtime.spawn(async {
                let gates: Vec<Gate> = (0..500).map(|_| Gate::default()).collect();
                for gate in &gates {
                    let gate = gate.clone();
                    drop(spawn(async move { gate.open() }));
                }
                for gate in &gates {
                    assert!(hold(gate), "a child waited for the stuck worker");
                }
            });
            joined(runtime.block_on(task));
        }
    });
}

#[test]
fn block_on_future_that_yields_for_ever_starves_no_task() {
    within(|| {
        for runtime in [current(), multi(1)] {
            let stop = Stop::default();
            drop(runtime.spawn({
                let stop = stop.clone();
                async move {
                    sleep(MS).await;
                    stop.stop();
                }
            }));
            runtime.block_on(async {
                while !stop.is_set() {
                    yield_now().await;
                }
            });
        }
    });
}

#[test]
fn wakes_from_other_threads_reach_a_busy_and_an_idle_runtime() {
    on_both(|| async {
        for _ in 0..300 {
            let gate = Gate::default();
            let opener = {
                let gate = gate.clone();
                std::thread::spawn(move || gate.open())
            };
            gate.wait().await;
            opener.join().expect("it does not panic");
        }
    });
}

#[test]
fn two_hundred_sockets_under_a_yield_loop_are_all_served() {
    on_both(|| async {
        let stop = Stop::default();
        drop(spawn({
            let stop = stop.clone();
            async move {
                while !stop.is_set() {
                    yield_now().await;
                }
            }
        }));
        let mut tasks = Vec::new();
        let mut peers = Vec::new();
        for _ in 0..100 {
            let (ours, peer) = half_pair();
            peers.push(peer);
            tasks.push(spawn(async move {
                let got = read(&ours, 1).await.expect("data comes");
                write(&ours, &got).await.expect("room");
                ours
            }));
        }
        for peer in &mut peers {
            peer.write_all(b"x").expect("room");
        }
        for peer in peers {
            assert_eq!(read(&adopt(peer), 1).await.expect("an answer comes"), b"x");
        }
        for task in tasks {
            joined(task.await);
        }
        stop.stop();
    });
}
