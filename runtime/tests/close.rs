//! `close`: unblocks everyone, closes once, keeps the number while handles live.

mod common;

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{
    Gate, Random, adopt, blocked, counter, fill, half_pair, joined, multi, on_both, pair, pipe,
    poll_once, read, within, write,
};
use gannet_runtime::error::is_closed;
use gannet_runtime::spawn;

#[track_caller]
fn assert_closed<T>(result: io::Result<T>) {
    let err = result.err().expect("it is closed");
    assert!(is_closed(&err), "{err}");
    assert_eq!(err.to_string(), "use of closed network connection");
}

#[test]
fn close_unblocks_the_reader_and_everyone_in_the_queue() {
    on_both(|| async {
        for (a, b) in [pair(), pipe()] {
            let mut readers = Vec::new();
            for _ in 0..5 {
                readers.push(blocked(read(&a, 1)).await);
            }
            let (lock, readable) = (blocked(a.lock_read()).await, blocked(a.readable()).await);
            a.close().await.expect("the first");
            for reader in readers {
                assert_closed(reader.await);
            }
            assert_closed(lock.await);
            assert_closed(readable.await);
            drop(b);
        }
    });
}

#[test]
fn close_unblocks_the_writer_and_everyone_in_the_queue() {
    on_both(|| async {
        for (a, b) in [pair(), pipe()] {
            fill(&b);
            let mut writers = Vec::new();
            for _ in 0..5 {
                writers.push(blocked(write(&b, b"x")).await);
            }
            let (lock, writable) = (blocked(b.lock_write()).await, blocked(b.writable()).await);
            b.close().await.expect("the first");
            for writer in writers {
                assert_closed(writer.await);
            }
            assert_closed(lock.await);
            assert_closed(writable.await);
            drop(a);
        }
    });
}

async fn done<T>(operation: impl Future<Output = io::Result<T>>) -> io::Result<()> {
    operation.await.map(drop)
}

#[test]
fn close_from_another_task_unblocks_tasks() {
    on_both(|| async {
        let (a, _b) = pair();
        fill(&a);
        let tasks: Vec<_> = (0..10)
            .map(|n| {
                let a = a.clone();
                spawn(async move {
                    match n % 2 {
                        0 => done(read(&a, 1)).await,
                        _ => done(write(&a, &vec![0; 1 << 20])).await,
                    }
                })
            })
            .collect();
        let closer = a.clone();
        joined(spawn(async move { closer.close().await }).await).expect("the first");
        for task in tasks {
            assert_closed(joined(task.await));
        }
    });
}

#[test]
fn everything_after_close_is_the_closed_error() {
    on_both(|| async {
        let (a, _b) = pair();
        assert!(!a.is_closed());
        a.close().await.expect("the first");
        assert!(a.is_closed());
        for _ in 0..3 {
            assert_closed(a.close().await);
        }
        assert_closed(read(&a, 1).await);
        assert_closed(write(&a, b"x").await);
        assert_closed(a.readable().await);
        assert_closed(a.writable().await);
        assert_closed(a.lock_read().await);
        assert_closed(a.lock_write().await);
        assert_closed(a.try_read_with(|_| Ok(())));
        assert_closed(a.try_write_with(|_| Ok(())));
        assert_closed(a.with_fd(|_| ()));
        assert_closed(a.set_read_deadline(None));
        assert_closed(a.set_write_deadline(None));
        assert_closed(a.set_deadline(None));
        assert_closed(a.into_owned_fd());
    });
}

#[test]
fn close_awaited_means_that_the_peer_sees_the_end() {
    on_both(|| async {
        let (ours, peer) = half_pair();
        let other = ours.clone();
        ours.close().await.expect("the first");
        let mut buf = [0; 1];
        // Non-blocking by the kernel's own means: there is an answer now.
        peer.set_nonblocking(true).expect("a socket");
        let n = gannet_sys::fd::read(peer.as_fd(), &mut buf).expect("the end is there");
        assert_eq!(n, 0);
        drop(other);
    });
}

#[test]
fn close_without_await_closes_too() {
    on_both(|| async {
        let (ours, peer) = half_pair();
        drop(ours.close());
        assert!(ours.is_closed());
        peer.set_nonblocking(true).expect("a socket");
        let n = gannet_sys::fd::read(peer.as_fd(), &mut [0; 1]).expect("the end is there");
        assert_eq!(n, 0);
    });
}

#[test]
fn close_on_a_thread_without_runtime_unblocks_tasks() {
    on_both(|| async {
        let (a, _b) = pair();
        let reader = blocked(read(&a, 1)).await;
        let closer = a.clone();
        std::thread::spawn(move || drop(closer.close()))
            .join()
            .expect("it does not panic");
        assert_closed(reader.await);
    });
}

/// A future that is kept but not polled holds a lock, and must hold up nothing.
#[test]
fn close_does_not_wait_for_a_future_that_nobody_polls() {
    on_both(|| async {
        let (a, _b) = pair();
        fill(&a);
        let kept = (blocked(read(&a, 1)).await, blocked(write(&a, b"x")).await);
        a.close().await.expect("the first");
        assert_closed(kept.0.await);
        assert_closed(kept.1.await);
    });
}

/// Closing waits for system calls that other threads are in, so that none hits another's file.
#[test]
fn close_resolves_after_the_system_call_that_is_under_way() {
    within(|| {
        let runtime = multi(2);
        runtime.block_on(async {
            let (a, peer) = half_pair();
            let (inside, leave) = (Gate::default(), Gate::default());
            let operation = spawn({
                let (a, inside, leave) = (a.clone(), inside.clone(), leave.clone());
                async move {
                    a.read_with(|_| {
                        inside.open();
                        leave.wait_blocking();
                        Ok(())
                    })
                    .await
                }
            });
            inside.wait().await;
            let mut closing = Box::pin(a.close());
            assert!(
                poll_once(closing.as_mut()).await.is_pending(),
                "a call is under way"
            );
            assert_closed(a.with_fd(|_| ()));
            peer.set_nonblocking(true).expect("a socket");
            let early = gannet_sys::fd::read(peer.as_fd(), &mut [0; 1]);
            assert_eq!(
                early.expect_err("still open").kind(),
                io::ErrorKind::WouldBlock
            );
            leave.open();
            closing.await.expect("the first");
            joined(operation.await).expect("it was under way before");
        });
    });
}

#[test]
fn number_is_not_reused_while_handles_live() {
    on_both(|| async {
        let (ours, _peer) = half_pair();
        let number = ours.as_fd().as_raw_fd();
        ours.close().await.expect("the first");
        let others: Vec<_> = (0..50).map(|_| half_pair()).collect();
        for (adopted, peer) in &others {
            assert_ne!(adopted.as_fd().as_raw_fd(), number);
            assert_ne!(peer.as_raw_fd(), number);
        }
        let mut buf = [0; 1];
        let stub = gannet_sys::socket::recv(ours.as_fd(), &mut buf);
        assert!(stub.is_err(), "the number stands for an unconnected socket");
    });
}

#[test]
fn dropping_the_last_handle_closes() {
    on_both(|| async {
        let (ours, peer) = half_pair();
        peer.set_nonblocking(true).expect("a socket");
        let mut handles: Vec<_> = (0..10).map(|_| ours.clone()).collect();
        drop(ours);
        while let Some(handle) = handles.pop() {
            let peeked = gannet_sys::fd::read(peer.as_fd(), &mut [0; 1]);
            assert_eq!(
                peeked.expect_err("a handle lives").kind(),
                io::ErrorKind::WouldBlock
            );
            drop(handle);
        }
        let n = gannet_sys::fd::read(peer.as_fd(), &mut [0; 1]).expect("the end is there");
        assert_eq!(n, 0);
    });
}

/// Eight threads read and write while one closes: each gets a byte or the closed error, and close
/// resolves.
#[test]
fn close_races_eight_tasks_of_reads_and_writes() {
    within(|| {
        let runtime = multi(4);
        runtime.block_on(async {
            for round in 0..1000_u32 {
                let (a, b) = pair();
                let tasks: Vec<_> = (0..8)
                    .map(|n| {
                        let (a, b) = (a.clone(), b.clone());
                        spawn(async move {
                            loop {
                                let result = match n % 4 {
                                    0 => done(read(&a, 1)).await,
                                    1 => done(write(&a, b"x")).await,
                                    2 => done(a.readable()).await,
                                    _ => done(write(&b, b"y")).await,
                                };
                                match result {
                                    Ok(()) => {}
                                    Err(err) if n % 4 == 3 => {
                                        let gone = err.kind() == io::ErrorKind::BrokenPipe
                                            || err.kind() == io::ErrorKind::ConnectionReset;
                                        break assert!(gone || is_closed(&err), "{err}");
                                    }
                                    Err(err) => break assert!(is_closed(&err), "{err}"),
                                }
                            }
                        })
                    })
                    .collect();
                if round % 2 == 0 {
                    gannet_runtime::yield_now().await;
                }
                a.close().await.expect("the first");
                b.close().await.expect("the first");
                for task in tasks {
                    joined(task.await);
                }
            }
        });
        assert_eq!(runtime.metrics().descriptors, 0);
    });
}

#[test]
fn racing_closes_have_one_winner() {
    within(|| {
        let runtime = multi(4);
        runtime.block_on(async {
            for _ in 0..500 {
                let (a, _b) = pair();
                let winners = counter();
                let closers: Vec<_> = (0..8)
                    .map(|_| {
                        let (a, winners) = (a.clone(), winners.clone());
                        spawn(async move {
                            match a.close().await {
                                Ok(()) => winners.fetch_add(1, Ordering::SeqCst),
                                Err(err) => {
                                    assert!(is_closed(&err), "{err}");
                                    0
                                }
                            };
                        })
                    })
                    .collect();
                for closer in closers {
                    joined(closer.await);
                }
                assert_eq!(winners.load(Ordering::SeqCst), 1);
            }
        });
    });
}

/// Go's mutex stress: each direction is exclusive, references are not, and all are given back.
#[test]
fn directions_are_exclusive_under_eight_tasks() {
    within(|| {
        let runtime = multi(4);
        runtime.block_on(async {
            let (a, _b) = pair();
            let inside = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
            let entered = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (1..=8_u64)
                .map(|seed| {
                    let (a, inside, entered) = (a.clone(), inside.clone(), entered.clone());
                    spawn(async move {
                        let mut random = Random(seed * 0x9e37_79b9);
                        for _ in 0..10_000 {
                            let side = random.below(3) as usize;
                            let critical = |side: usize| {
                                let former = inside[side].swap(true, Ordering::SeqCst);
                                assert!(!former, "two at once");
                                inside[side].store(false, Ordering::SeqCst);
                                Ok(())
                            };
                            match side {
                                0 => a.read_with(|_| critical(0)).await.expect("open"),
                                1 => a.write_with(|_| critical(1)).await.expect("open"),
                                _ => a.with_fd(|_| ()).expect("open"),
                            }
                            entered.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            for task in tasks {
                joined(task.await);
            }
            assert_eq!(entered.load(Ordering::Relaxed), 80_000);
            a.close().await.expect("every reference was given back");
        });
    });
}

/// The lock is handed to a waiter that gave up in the same moment: it goes to the next.
#[test]
fn lock_handed_to_a_dropped_waiter_goes_to_the_next() {
    on_both(|| async {
        let (a, _b) = pair();
        let holder = a.lock_read().await.expect("open");
        let first = blocked(a.lock_read()).await;
        let second = blocked(a.lock_read()).await;
        drop(holder); // Handed to `first`, which has not noticed.
        drop(first);
        let second = second.await.expect("open");
        drop(second);
        drop(a.lock_read().await.expect("free again"));
    });
}

#[test]
fn waiter_that_left_the_queue_is_not_handed_the_lock() {
    on_both(|| async {
        let (a, b) = pair();
        let holder = a.lock_read().await.expect("open");
        let first = blocked(a.lock_read()).await;
        let second = blocked(a.lock_read()).await;
        let third = blocked(a.lock_read()).await;
        drop(second);
        drop(holder);
        drop(first.await.expect("the first in the queue"));
        drop(third.await.expect("the next that is still there"));
        write(&b, b"x").await.expect("room");
        assert_eq!(read(&a, 1).await.expect("the lock is free"), b"x");
    });
}

#[test]
fn data_written_before_close_reaches_the_peer() {
    on_both(|| async {
        let (ours, peer) = half_pair();
        write(&ours, b"goodbye").await.expect("room");
        ours.close().await.expect("the first");
        let peer = adopt(peer);
        assert_eq!(read(&peer, 64).await.expect("in flight"), b"goodbye");
        assert_eq!(read(&peer, 64).await.expect("the end"), b"");
    });
}
