//! Foreign wakers: they may panic, and they may call back into the runtime from `wake` and `drop`.

mod common;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use common::{
    Gate, MS, blocked, counter, fill, half_pair, joined, multi, on_both, pair, read, until, within,
    write,
};
use gannet_runtime::time::{now, sleep};
use gannet_runtime::{AsyncFd, Handle, JoinSet, spawn};

/// Panics when it wakes, and counts that.
struct Panics(Arc<AtomicUsize>);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("a foreign waker panics");
    }
}

type Registered<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Polls `future` once with `waker`, which then waits wherever the future waits.
fn register<'a>(waker: &Waker, future: impl Future<Output = ()> + Send + 'a) -> Registered<'a> {
    let mut future: Registered<'a> = Box::pin(future);
    let polled = future.as_mut().poll(&mut Context::from_waker(waker));
    assert!(polled.is_pending(), "it should have to wait");
    future
}

#[test]
fn panicking_waker_of_an_event_costs_no_worker_and_no_other_event() {
    on_both(|| async {
        let calls = counter();
        let waker = Waker::from(Arc::new(Panics(calls.clone())));
        for round in 1..=20 {
            let (bad, bad_peer) = pair();
            let (good, good_peer) = pair();
            let other = spawn(async move { read(&good, 1).await });
            let kept = register(&waker, async {
                let _ = read(&bad, 1).await;
            });
            write(&bad_peer, b"x").await.expect("room");
            write(&good_peer, b"x").await.expect("room");
            assert_eq!(joined(other.await).expect("data came"), b"x");
            until(|| calls.load(Ordering::SeqCst) == round).await;
            drop(kept);
        }
    });
}

#[test]
fn panicking_waker_of_a_timer_costs_no_worker_and_no_other_timer() {
    on_both(|| async {
        let calls = counter();
        let waker = Waker::from(Arc::new(Panics(calls.clone())));
        for round in 1..=20 {
            let at = now() + MS;
            let sleeping = |at| gannet_runtime::time::sleep_until(at);
            let others: Vec<_> = (0..5).map(|_| spawn(sleeping(at))).collect();
            let kept = register(&waker, sleeping(now() + MS));
            for other in others {
                joined(other.await);
            }
            until(|| calls.load(Ordering::SeqCst) == round).await;
            drop(kept);
        }
    });
}

#[test]
fn panicking_waker_of_a_join_costs_no_worker() {
    on_both(|| async {
        let calls = counter();
        let waker = Waker::from(Arc::new(Panics(calls.clone())));
        for round in 1..=20 {
            let gate = Gate::default();
            let mut task = spawn({
                let gate = gate.clone();
                async move { gate.wait().await }
            });
            let kept = register(&waker, async {
                let _ = (&mut task).await;
            });
            gate.open();
            until(|| calls.load(Ordering::SeqCst) == round).await;
            drop(kept);
            joined(task.await);
        }
    });
}

/// The wakes that run on the caller's thread: the caller did nothing wrong either.
#[test]
fn panicking_waker_of_a_lock_close_or_deadline_spares_the_caller_and_the_others() {
    on_both(|| async {
        let calls = counter();
        let waker = Waker::from(Arc::new(Panics(calls.clone())));
        let reading = |fd: &AsyncFd| {
            let fd = fd.clone();
            async move {
                let _ = read(&fd, 1).await;
            }
        };
        let (a, _b) = pair();
        let lock = a.lock_read().await.expect("open");
        let kept = register(&waker, reading(&a));
        drop(lock); // Handed over to the one that does not wake up.
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        drop(kept);

        let kept = register(&waker, reading(&a));
        a.set_read_deadline(now().checked_sub(MS)).expect("open");
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        drop(kept);
        a.set_read_deadline(None).expect("open");

        let holder = register(&waker, reading(&a));
        let queued = register(&waker, reading(&a));
        let other = blocked(read(&a, 1)).await;
        a.close().await.expect("the first");
        assert_eq!(calls.load(Ordering::SeqCst), 4);
        assert!(gannet_runtime::error::is_closed(
            &other.await.expect_err("closed")
        ));
        drop((holder, queued));
    });
}

#[test]
fn task_that_panics_on_an_event_costs_no_other_event() {
    within(|| {
        let runtime = multi(1);
        runtime.block_on(async {
            let mut tasks = Vec::new();
            let mut peers = Vec::new();
            for n in 0..50 {
                let (ours, peer) = half_pair();
                peers.push(peer);
                tasks.push(spawn(async move {
                    read(&ours, 1).await.expect("data comes");
                    assert!(n % 2 == 0, "every other one panics");
                }));
            }
            for peer in &mut peers {
                std::io::Write::write_all(peer, b"x").expect("room");
            }
            for (n, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.is_ok(), n % 2 == 0);
            }
        });
    });
}

/// Calls back into everything that has a lock, when woken and when dropped.
struct Reentrant {
    handle: Handle,
    fd: AsyncFd,
    calls: Arc<AtomicUsize>,
}

impl Reentrant {
    fn call_back(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        drop(self.handle.spawn(async {}));
        self.handle.spawn(std::future::pending::<()>()).abort();
        let _entered = self.handle.enter();
        let mut cx = Context::from_waker(Waker::noop());
        // At shutdown it panics instead, because nobody keeps the time any more.
        let _ = std::panic::catch_unwind(|| {
            let mut cx = Context::from_waker(Waker::noop());
            pin!(sleep(1000 * MS)).poll(&mut cx).is_pending()
        });
        let _ = self.handle.metrics();
        let _ = self.fd.set_deadline(Some(now() + 3600 * MS));
        let _ = self.fd.set_deadline(None);
        let _ = self.fd.try_read_with(|_| Ok(()));
        let mut waiting = pin!(self.fd.lock_write());
        let _ = waiting.as_mut().poll(&mut cx);
        let (ours, _peer) = std::os::unix::net::UnixStream::pair().expect("a socketpair");
        drop(AsyncFd::new(ours));
    }
}

impl Wake for Reentrant {
    fn wake(self: Arc<Self>) {
        self.call_back();
    }
}

impl Drop for Reentrant {
    fn drop(&mut self) {
        self.call_back();
    }
}

/// Registers a fresh reentrant waker with the future that `start` makes, lets `finish` cause the
/// wake, and waits for the calls of wake and drop.
macro_rules! reentrant {
    ($runtime:expr, $fd:expr, $future:expr, $cause:expr) => {{
        let calls = counter();
        let waker = Waker::from(Arc::new(Reentrant {
            handle: $runtime.clone(),
            fd: $fd.clone(),
            calls: calls.clone(),
        }));
        let kept = register(&waker, async {
            let _ = $future.await;
        });
        drop(waker);
        $cause;
        until(|| calls.load(Ordering::SeqCst) >= 1).await;
        drop(kept);
        until(|| calls.load(Ordering::SeqCst) >= 2).await;
    }};
}

fn reentrant_everywhere(runtime: gannet_runtime::Runtime) {
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let (a, b) = pair();
        let (other, _other_peer) = pair();
        reentrant!(handle, a, read(&a, 1), write(&b, b"x").await.expect("room"));
        assert_eq!(read(&a, 1).await.expect("it is there still"), b"x");
        reentrant!(handle, other, sleep(MS), drop(gannet_runtime::yield_now()));
        let past = now().checked_sub(MS);
        reentrant!(handle, a, read(&a, 1), {
            a.set_read_deadline(past).expect("open");
        });
        a.set_read_deadline(None).expect("open");
        let later = Some(now() + MS);
        reentrant!(handle, other, read(&a, 1), {
            a.set_read_deadline(later).expect("open");
        });
        a.set_read_deadline(None).expect("open");

        let lock = a.lock_read().await.expect("open");
        reentrant!(handle, a, read(&a, 1), drop(lock));
        fill(&a);
        reentrant!(handle, b, write(&a, b"x"), common::drain(&b));

        let gate = Gate::default();
        let waiting = gate.clone();
        let task = spawn(async move { waiting.wait().await });
        reentrant!(handle, a, task, gate.open());

        let mut set = JoinSet::new();
        let gate = Gate::default();
        let waiting = gate.clone();
        set.spawn(async move { waiting.wait().await });
        reentrant!(handle, a, set.join_next(), gate.open());

        let lock = a.lock_read().await.expect("open");
        reentrant!(handle, a, read(&a, 1), drop(a.close()));
        drop(lock);
    });
    // Woken and dropped by the shutdown itself.
    let calls = counter();
    let (fd, _peer) = {
        let _entered = handle.enter();
        pair()
    };
    let waker = Waker::from(Arc::new(Reentrant {
        handle: handle.clone(),
        fd: fd.clone(),
        calls: calls.clone(),
    }));
    let kept = register(&waker, async {
        let _ = read(&fd, 1).await;
    });
    drop(waker);
    drop(runtime);
    drop(kept);
    assert!(calls.load(Ordering::SeqCst) >= 1, "woken by the shutdown");
}

#[test]
fn wakers_that_call_back_from_wake_and_drop_deadlock_nowhere() {
    within(|| reentrant_everywhere(common::current()));
    within(|| reentrant_everywhere(multi(2)));
}

/// Dropping a task's future at shutdown may wake, spawn and close.
#[test]
fn futures_that_call_back_when_dropped_at_shutdown_deadlock_nowhere() {
    struct CallsBack(Reentrant);
    impl Future for CallsBack {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            let _ = &self.0;
            Poll::Pending
        }
    }
    within(|| {
        for runtime in [common::current(), multi(2)] {
            let calls = counter();
            let (fd, _peer) = {
                let _entered = runtime.enter();
                pair()
            };
            for _ in 0..20 {
                let reentrant = Reentrant {
                    handle: runtime.handle().clone(),
                    fd: fd.clone(),
                    calls: calls.clone(),
                };
                drop(runtime.spawn(CallsBack(reentrant)));
            }
            runtime.block_on(gannet_runtime::yield_now());
            // Its metrics and spawns still answer while it goes down.
            drop(runtime);
            assert_eq!(calls.load(Ordering::SeqCst), 20, "every future was dropped");
        }
    });
}
