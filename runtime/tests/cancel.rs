//! The cancel sweep: every future is dropped after each number of polls, until it completes before
//! that. Afterwards no byte, lock, timer, task or descriptor may be lost.

mod common;

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;

use common::{
    Gate, MS, blocked, current, drain, fill, joined, multi, pair, poll_once, read, read_stream,
    until_blocking, within, write,
};
use gannet_runtime::time::{interval, sleep, timeout};
use gannet_runtime::{AsyncFd, JoinSet, Runtime, spawn, yield_now};

/// More polls than any of these futures takes.
const POLLS_MAX: usize = 60;

/// Polls `future` at most `polls` times, with `advance(n)` after the n-th, and drops it. Returns its
/// output if it completed.
async fn cut<F: Future>(
    future: F,
    polls: usize,
    mut advance: impl AsyncFnMut(usize),
) -> Option<F::Output> {
    let mut future = Box::pin(future);
    for n in 0..polls {
        if let Poll::Ready(output) = poll_once(future.as_mut()).await {
            return Some(output);
        }
        advance(n).await;
    }
    None
}

/// Lets the poller look at what happened. That it did is not relied upon: one more poll is needed
/// then.
async fn turn() {
    for _ in 0..4 {
        yield_now().await;
    }
    sleep(MS / 20).await;
}

type Sweep = fn(usize) -> Pin<Box<dyn Future<Output = bool>>>;

/// Runs one sweep on both flavours: `one` with each number of polls, until it says that the future
/// completed. Nothing may be left of it then.
fn sweep(one: Sweep) {
    within(move || {
        for runtime in [current(), multi(2)] {
            let mut completed = false;
            for polls in 0..POLLS_MAX {
                completed = runtime.block_on(one(polls));
                assert_nothing_kept(&runtime, polls);
                if completed {
                    break;
                }
            }
            assert!(completed, "it did not complete within {POLLS_MAX} polls");
        }
    });
}

#[track_caller]
fn assert_nothing_kept(runtime: &Runtime, polls: usize) {
    let metrics = runtime.metrics();
    assert_eq!(metrics.descriptors, 0, "descriptors after {polls} polls");
    // The task itself may be on its way out, and the runtime's own timer be set, for a moment.
    until_blocking(|| {
        let metrics = runtime.metrics();
        if metrics.timers > 0 {
            runtime.block_on(sleep(MS));
        }
        metrics.tasks_alive == 0 && metrics.timers == 0
    });
}

/// Both locks are free, and no byte was lost or doubled: what was sent and not received is there.
async fn assert_intact(a: &AsyncFd, b: &AsyncFd, unread: &[u8]) {
    for fd in [a, b] {
        drop(pin!(fd.lock_read()).as_mut().await.expect("open"));
        let free = poll_once(pin!(fd.lock_read())).await;
        assert!(matches!(free, Poll::Ready(Ok(_))), "the read lock is lost");
        let free = poll_once(pin!(fd.lock_write())).await;
        assert!(matches!(free, Poll::Ready(Ok(_))), "the write lock is lost");
    }
    write(b, b"!").await.expect("room");
    let mut got = Vec::new();
    while got.len() < unread.len() + 1 {
        got.extend(read(a, 64).await.expect("data is there"));
    }
    assert_eq!(got, [unread, b"!"].concat(), "bytes");
}

/// Cuts a future that reads from `a`. It queues for the lock first, then waits for data.
macro_rules! sweep_reading {
    ($a:ident => $operation:expr) => {
        sweep(|polls| {
            Box::pin(async move {
                let ($a, b) = pair();
                let mut lock = Some($a.lock_read().await.expect("open"));
                let mut sent = false;
                let output = cut($operation, polls, async |n| {
                    match n {
                        1 => drop(lock.take()),
                        3 => {
                            write(&b, b"data").await.expect("room");
                            sent = true;
                        }
                        _ => {}
                    }
                    turn().await;
                })
                .await;
                drop(lock);
                let got: Vec<u8> = output.clone().unwrap_or_default();
                let unread = if sent { &b"data"[got.len()..] } else { b"" };
                assert_eq!(got, b"data"[..got.len()], "what it read");
                assert_intact(&$a, &b, unread).await;
                output.is_some()
            })
        })
    };
}

#[test]
fn cut_read_loses_nothing() {
    sweep_reading!(a => async { read(&a, 64).await.expect("open") });
}

#[test]
fn cut_read_of_a_part_loses_nothing() {
    sweep_reading!(a => async { read(&a, 2).await.expect("open") });
}

#[test]
fn cut_stream_read_loses_nothing() {
    sweep_reading!(a => async { read_stream(&a, 64).await.expect("open") });
}

#[test]
fn cut_wait_for_readability_loses_nothing() {
    sweep_reading!(a => async {
        a.readable().await.expect("open");
        Vec::new()
    });
}

#[test]
fn cut_read_lock_loses_nothing() {
    sweep_reading!(a => async {
        drop(a.lock_read().await.expect("open"));
        Vec::new()
    });
}

#[test]
fn cut_read_under_a_held_lock_loses_nothing() {
    sweep_reading!(a => async {
        let mut lock = a.lock_read().await.expect("open");
        let mut buf = [0; 64];
        let n = lock.read_with(|fd| gannet_sys::fd::read(fd, &mut buf)).await;
        buf[..n.expect("open")].to_vec()
    });
}

#[test]
fn cut_read_inside_a_timeout_loses_nothing() {
    sweep_reading!(a => async {
        let reading = timeout(3600 * MS, read(&a, 64));
        reading.await.expect("not for an hour").expect("open")
    });
}

/// Cuts a future that writes to `b`, whose queue is full at first.
macro_rules! sweep_writing {
    ($b:ident => $operation:expr) => {
        sweep(|polls| {
            Box::pin(async move {
                let (a, $b) = pair();
                fill(&$b);
                let mut lock = Some($b.lock_write().await.expect("open"));
                let output = cut($operation, polls, async |n| {
                    match n {
                        1 => drop(lock.take()),
                        3 => drop(drain(&a)),
                        _ => {}
                    }
                    turn().await;
                })
                .await;
                drop(lock);
                // What it says it wrote is there, and nothing else.
                let written: usize = output.unwrap_or_default();
                let mut tail = Vec::new();
                if polls <= 3 {
                    drain(&a);
                } else {
                    let mut buf = [0; 64];
                    let got = a.try_read_with(|fd| gannet_sys::fd::read(fd, &mut buf));
                    tail.extend(&buf[..got.unwrap_or(0)]);
                }
                if written > 0 && tail.is_empty() {
                    tail = read(&a, 64).await.expect("it was written");
                }
                assert_eq!(tail, b"data"[..written], "what it wrote");
                assert_intact(&a, &$b, b"").await;
                output.is_some()
            })
        })
    };
}

#[test]
fn cut_write_loses_and_doubles_nothing() {
    sweep_writing!(b => async { write(&b, b"data").await.expect("open") });
}

#[test]
fn cut_wait_for_writability_loses_nothing() {
    sweep_writing!(b => async {
        b.writable().await.expect("open");
        0
    });
}

#[test]
fn cut_write_lock_loses_nothing() {
    sweep_writing!(b => async {
        drop(b.lock_write().await.expect("open"));
        0
    });
}

#[test]
fn cut_write_under_a_held_lock_loses_nothing() {
    sweep_writing!(b => async {
        let mut lock = b.lock_write().await.expect("open");
        lock.write_with(|fd| gannet_sys::fd::write(fd, b"data")).await.expect("open")
    });
}

/// A close that waits for a system call under way on another thread.
#[test]
fn cut_close_closes_all_the_same() {
    sweep(|polls| {
        Box::pin(async move {
            let (a, b) = pair();
            let (inside, leave) = (Gate::default(), Gate::default());
            let call = {
                let (a, inside, leave) = (a.clone(), inside.clone(), leave.clone());
                std::thread::spawn(move || {
                    a.with_fd(|_| {
                        inside.open();
                        leave.wait_blocking();
                    })
                })
            };
            inside.wait().await;
            let closing = async { a.close().await.expect("the first") };
            let output = cut(closing, polls, async |n| {
                if n == 2 {
                    leave.open();
                }
                turn().await;
            })
            .await;
            leave.open();
            call.join()
                .expect("it does not panic")
                .expect("open when it began");
            let was_begun = polls > 0;
            assert_eq!(a.is_closed(), was_begun);
            drop(a);
            assert_eq!(read(&b, 1).await.expect("the end"), b"");
            output.is_some()
        })
    });
}

#[test]
fn cut_sleep_leaves_no_timer() {
    sweep(|polls| {
        Box::pin(async move {
            cut(sleep(MS), polls, async |_| turn().await)
                .await
                .is_some()
        })
    });
}

#[test]
fn cut_timeout_leaves_no_timer() {
    sweep(|polls| {
        Box::pin(async move {
            let waiting = timeout(MS, std::future::pending::<()>());
            cut(waiting, polls, async |_| turn().await).await.is_some()
        })
    });
}

#[test]
fn cut_tick_is_given_to_the_next_who_asks() {
    sweep(|polls| {
        Box::pin(async move {
            let mut ticks = interval(2 * MS);
            let first = ticks.tick().await;
            let output = cut(ticks.tick(), polls, async |_| turn().await).await;
            let second = match output {
                Some(second) => second,
                None => ticks.tick().await,
            };
            assert_eq!(second, first + 2 * MS);
            output.is_some()
        })
    });
}

#[test]
fn cut_join_leaves_the_output_to_the_next_who_asks() {
    sweep(|polls| {
        Box::pin(async move {
            let gate = Gate::default();
            let mut task = spawn({
                let gate = gate.clone();
                async move {
                    gate.wait().await;
                    "output"
                }
            });
            let output = cut(&mut task, polls, async |n| {
                if n == 2 {
                    gate.open();
                }
                turn().await;
            })
            .await;
            gate.open();
            let completed = output.is_some();
            let output = match output {
                Some(output) => output,
                None => task.await,
            };
            assert_eq!(joined(output), "output");
            completed
        })
    });
}

#[test]
fn cut_join_of_a_set_loses_no_member() {
    sweep(|polls| {
        Box::pin(async move {
            let gates: Vec<Gate> = (0..3).map(|_| Gate::default()).collect();
            let mut set = JoinSet::new();
            for (n, gate) in gates.iter().cloned().enumerate() {
                set.spawn(async move {
                    gate.wait().await;
                    n
                });
            }
            let output = cut(set.join_next(), polls, async |n| {
                if n > 0 {
                    gates[(n - 1) % 3].open();
                }
                turn().await;
            })
            .await;
            gates.iter().for_each(Gate::open);
            let completed = output.is_some();
            let mut got: Vec<_> = output.flatten().into_iter().map(joined).collect();
            while let Some(member) = set.join_next().await {
                got.push(joined(member));
            }
            got.sort_unstable();
            assert_eq!(got, [0, 1, 2]);
            completed
        })
    });
}

#[test]
fn cut_yield_is_no_trouble() {
    sweep(|polls| Box::pin(async move { cut(yield_now(), polls, async |_| ()).await.is_some() }));
}

/// The same on a task that is aborted: its future is dropped wherever it is.
#[test]
fn aborted_readers_lose_no_byte_to_each_other() {
    within(|| {
        let runtime = multi(2);
        runtime.block_on(async {
            let (a, b) = pair();
            let mut expected = Vec::new();
            let mut got = Vec::new();
            for round in 0..2000_u32 {
                let byte = [round as u8];
                expected.extend(byte);
                let reader = spawn({
                    let a = a.clone();
                    async move { read(&a, 1).await }
                });
                if round % 3 == 0 {
                    yield_now().await;
                }
                write(&b, &byte).await.expect("room");
                reader.abort();
                if let Ok(read) = reader.await {
                    got.extend(read.expect("open"));
                }
                // Before the queue is full, and the write would wait for a reader.
                while expected.len() - got.len() > 100 {
                    got.extend(read(&a, 64).await.expect("data is there"));
                }
            }
            let left = expected.len() - got.len();
            // A byte is taken in the same poll that completes the task, so those that were taken
            // came out; the rest is still there, in order.
            for _ in 0..left {
                got.extend(read(&a, 1).await.expect("data is there"));
            }
            got.sort_unstable();
            expected.sort_unstable();
            assert!(got == expected, "bytes were lost or doubled");
            drop(blocked(read(&a, 1)).await);
        });
    });
}
