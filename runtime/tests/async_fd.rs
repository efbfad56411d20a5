//! `AsyncFd`: what can be adopted, reading and writing, many tasks on one descriptor.

mod common;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use common::{
    adopt, blocked, current, drain, fill, half_pair, joined, multi, on_both, pair, pipe, read,
    read_stream, until, within, write, write_all,
};
use gannet_runtime::error::is_closed;
use gannet_runtime::{AdoptOptions, AsyncFd, error, spawn};
use gannet_sys::eventfd::EventFd;
use gannet_sys::fd;

#[test]
fn adopt_regular_file_is_refused_and_explained_and_returned() {
    on_both(|| async {
        let file = File::open("/proc/self/exe").expect("every process has one");
        let refused = AsyncFd::new(file).expect_err("a regular file is always ready");
        let text = refused.to_string();
        assert!(
            text.contains("EPERM") && text.contains("regular file"),
            "{text}"
        );
        assert_eq!(refused.error.kind(), io::ErrorKind::PermissionDenied);
        let mut magic = [0; 4];
        File::from(refused.fd)
            .read_exact(&mut magic)
            .expect("the descriptor came back open");
        assert_eq!(&magic, b"\x7fELF");
    });
}

/// The one way to the same number and description without `unsafe`: adopt as exclusive what is
/// not, so that the registration outlives the handle.
#[test]
fn adopt_registered_descriptor_is_refused_with_eexist_and_returned() {
    on_both(|| async {
        for _ in 0..1000 {
            let (stream, _peer) = UnixStream::pair().expect("a socketpair");
            let duplicate = stream.try_clone().expect("a duplicate");
            let number = stream.as_raw_fd();
            stream.set_nonblocking(true).expect("a socket");
            let options = AdoptOptions {
                exclusive: true,
                ..AdoptOptions::default()
            };
            drop(AsyncFd::with_options(stream, options).expect("adopted"));
            // Other tests of this process may take the number first; then it is tried again.
            let again: OwnedFd = duplicate.as_fd().try_clone_to_owned().expect("a duplicate");
            if again.as_raw_fd() != number {
                continue;
            }
            let refused = AsyncFd::new(again).expect_err("it is in the poller's list");
            assert!(refused.to_string().contains("EEXIST"), "{refused}");
            assert_eq!(refused.error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(refused.fd.as_raw_fd(), number);
            return;
        }
        panic!("the number never came back");
    });
}

#[test]
fn refused_adoptions_leak_no_slot() {
    within(|| {
        let runtime = current();
        runtime.block_on(async {
            for _ in 0..1000 {
                let file = File::open("/proc/self/exe").expect("every process has one");
                drop(AsyncFd::new(file).expect_err("a regular file"));
            }
        });
        assert_eq!(runtime.metrics().descriptors, 0);
    });
}

#[test]
fn adopted_blocking_descriptor_becomes_nonblocking_and_stays_so() {
    on_both(|| async {
        let (ours, _peer) = UnixStream::pair().expect("a socketpair");
        assert!(!fd::is_nonblocking(ours.as_fd()).expect("open"));
        let adopted = adopt(ours);
        assert!(fd::is_nonblocking(adopted.as_fd()).expect("open"));
        let ours = adopted.into_owned_fd().expect("the only handle");
        assert!(fd::is_nonblocking(ours.as_fd()).expect("open"));
    });
}

#[test]
fn adopt_without_a_runtime_is_refused_and_returned() {
    let (ours, mut peer) = UnixStream::pair().expect("a socketpair");
    let refused = AsyncFd::new(ours).expect_err("no runtime on this thread");
    let text = refused.to_string();
    assert!(text.contains("no gannet runtime on this thread"), "{text}");
    peer.write_all(b"x").expect("the other end came back open");
    drop(refused);
    assert_eq!(
        peer.write(b"x").expect_err("closed with the error").kind(),
        io::ErrorKind::BrokenPipe
    );
}

#[test]
fn adopt_after_shutdown_is_refused_with_the_shutdown_error() {
    within(|| {
        for runtime in [current(), multi(2)] {
            let handle = runtime.handle().clone();
            drop(runtime);
            let _entered = handle.enter();
            let (ours, _peer) = UnixStream::pair().expect("a socketpair");
            let refused = AsyncFd::new(ours).expect_err("shut down");
            assert!(error::is_shutdown(&refused.error), "{refused}");
        }
    });
}

#[test]
fn adopted_inside_enter_is_polled_by_the_runtime() {
    within(|| {
        let runtime = multi(1);
        let (ours, mut peer) = {
            let _entered = runtime.enter();
            half_pair()
        };
        peer.write_all(b"hello").expect("room");
        let got = runtime.block_on(read(&ours, 16)).expect("data is there");
        assert_eq!(got, b"hello");
    });
}

#[test]
fn blocked_read_gets_what_is_written_later() {
    on_both(|| async {
        for (a, b) in [pair(), pipe()] {
            let reader = blocked(read(&a, 16)).await;
            assert_eq!(write(&b, b"hello").await.expect("room"), 5);
            assert_eq!(reader.await.expect("data came"), b"hello");
        }
    });
}

#[test]
fn blocked_write_goes_on_once_the_reader_made_room() {
    on_both(|| async {
        for (a, b) in [pair(), pipe()] {
            let filled = fill(&b);
            let writer = blocked(write(&b, b"late")).await;
            assert_eq!(drain(&a), filled);
            assert_eq!(writer.await.expect("there is room"), 4);
            assert_eq!(read(&a, 16).await.expect("data is there"), b"late");
        }
    });
}

#[test]
fn stream_of_a_megabyte_arrives_whole() {
    on_both(|| async {
        let (a, b) = pair();
        let sent: Arc<Vec<u8>> =
            Arc::new((0..1_u32 << 20).map(|n| ((n * 31) >> 3) as u8).collect());
        let expected = sent.clone();
        let writer = spawn(async move { write_all(&b, &sent).await });
        let mut got = Vec::new();
        loop {
            let part = read_stream(&a, 10_000).await.expect("no error on a socket");
            if part.is_empty() {
                break;
            }
            got.extend(part);
        }
        joined(writer.await).expect("the reader is there");
        assert!(got == *expected, "{} bytes, or other ones", got.len());
    });
}

#[test]
fn many_readers_get_each_byte_once_in_the_order_they_asked() {
    on_both(|| async {
        let (ours, mut peer) = half_pair();
        let got = Arc::new(Mutex::new(Vec::new()));
        let mut readers = Vec::new();
        for index in 0..50_u8 {
            let (ours, got) = (ours.clone(), got.clone());
            let one = async move {
                let byte = read(&ours, 1).await.expect("a byte for each");
                got.lock().expect("not poisoned").push((index, byte[0]));
            };
            // The first poll takes the place in the queue; the tasks then run in any order.
            readers.push(blocked(one).await);
        }
        let tasks: Vec<_> = readers.into_iter().map(spawn).collect();
        let bytes: Vec<u8> = (0..50).collect();
        peer.write_all(&bytes).expect("room");
        for task in tasks {
            joined(task.await);
        }
        let mut got = got.lock().expect("not poisoned").clone();
        got.sort_unstable();
        let expected: Vec<_> = (0..50).map(|n| (n, n)).collect();
        assert_eq!(got, expected, "reader n gets byte n");
    });
}

#[test]
fn many_tasks_both_ways_lose_and_duplicate_nothing() {
    within(|| {
        let runtime = multi(4);
        runtime.block_on(async {
            let (a, b) = pair();
            let writers: Vec<_> = (0..8_u32)
                .map(|writer| {
                    let b = b.clone();
                    spawn(async move {
                        for n in 0..500 {
                            let message = (writer * 500 + n).to_ne_bytes();
                            // Under the lock, so that a message is not torn by another writer.
                            let mut lock = b.lock_write().await.expect("open");
                            let sent = lock.write_with(|fd| fd::write(fd, &message)).await;
                            assert_eq!(sent.expect("room comes"), 4);
                        }
                    })
                })
                .collect();
            let readers: Vec<_> = (0..8)
                .map(|_| {
                    let a = a.clone();
                    spawn(async move {
                        let mut got = Vec::new();
                        for _ in 0..500 {
                            let message = read(&a, 4).await.expect("a message for each");
                            got.push(u32::from_ne_bytes(message.try_into().expect("whole")));
                        }
                        got
                    })
                })
                .collect();
            for writer in writers {
                joined(writer.await);
            }
            let mut got = Vec::new();
            for reader in readers {
                got.extend(joined(reader.await));
            }
            got.sort_unstable();
            assert!(got.iter().copied().eq(0..4000), "each message once");
        });
    });
}

#[test]
fn writes_under_one_lock_are_not_interleaved() {
    on_both(|| async {
        let (a, b) = pair();
        let mut lock = b.lock_write().await.expect("open");
        let other = blocked(write(&b, b"other")).await;
        for part in [b"one ", b"two "] {
            lock.write_with(|fd| fd::write(fd, part))
                .await
                .expect("room");
        }
        drop(lock);
        other.await.expect("room");
        assert_eq!(read(&a, 64).await.expect("data is there"), b"one two other");
    });
}

#[test]
fn try_operations_do_not_wait() {
    on_both(|| async {
        let (a, b) = pair();
        assert!(would_block(&try_read(&a)), "nothing is there");
        assert_eq!(try_write(&b, b"x").expect("room"), 1);
        // An empty descriptor counts as such until the poller has seen the edge.
        until(|| !would_block(&try_read(&a))).await;

        let lock = a.lock_read().await.expect("open");
        try_write(&b, b"y").expect("room");
        assert!(would_block(&try_read(&a)), "another holds the lock");
        assert_eq!(try_write(&a, b"z").expect("the other lock"), 1);
        drop(lock);
        until(|| try_read(&a).is_ok_and(|got| got == b"y")).await;
    });
}

/// Nobody waits for writability here, so no edge of it will ever come.
#[test]
fn try_write_goes_on_once_there_is_room_again() {
    on_both(|| async {
        for (a, b) in [pair(), pipe()] {
            let filled = fill(&b);
            assert!(would_block(&try_write(&b, b"x")), "no room");
            assert_eq!(drain(&a), filled);
            until(|| try_write(&b, b"x").is_ok()).await;
        }
    });
}

fn try_read(fd: &AsyncFd) -> io::Result<Vec<u8>> {
    let mut buf = [0; 16];
    let n = fd.try_read_with(|fd| fd::read(fd, &mut buf))?;
    Ok(buf[..n].to_vec())
}

fn try_write(fd: &AsyncFd, buf: &[u8]) -> io::Result<usize> {
    fd.try_write_with(|fd| fd::write(fd, buf))
}

fn would_block<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(err) if err.kind() == io::ErrorKind::WouldBlock)
}

/// After a short read the descriptor is known to be empty; a `try_` must not say so for ever.
#[test]
fn try_read_sees_data_that_came_after_a_short_stream_read() {
    on_both(|| async {
        let (ours, mut peer) = half_pair();
        peer.write_all(b"one").expect("room");
        assert_eq!(read_stream(&ours, 16).await.expect("data is there"), b"one");
        peer.write_all(b"two").expect("room");
        ours.readable().await.expect("open");
        let mut buf = [0; 16];
        let n = ours.try_read_with(|fd| fd::read(fd, &mut buf));
        assert_eq!(n.expect("readable said so"), 3);
    });
}

#[test]
fn readable_takes_nothing_and_waits_for_data() {
    on_both(|| async {
        for (a, b) in [pair(), pipe()] {
            let readable = blocked(a.readable()).await;
            write(&b, b"data").await.expect("room");
            readable.await.expect("data came");
            a.readable().await.expect("the data is there still");
            assert_eq!(read(&a, 16).await.expect("data is there"), b"data");
            drop(blocked(a.readable()).await);
        }
    });
}

#[test]
fn writable_waits_for_room() {
    on_both(|| async {
        for (a, b) in [pair(), pipe()] {
            b.writable().await.expect("room at once");
            fill(&b);
            let writable = blocked(b.writable()).await;
            drain(&a);
            writable.await.expect("there is room");
            assert_eq!(b.try_write_with(|fd| fd::write(fd, b"x")).expect("room"), 1);
        }
    });
}

#[test]
fn eventfd_counts_and_wakes_at_each_notification() {
    on_both(|| async {
        let bell = EventFd::new().expect("a descriptor is free");
        let ours = adopt(bell.as_fd().try_clone_to_owned().expect("a duplicate"));
        for round in 1..=100_u64 {
            let reader = blocked(read(&ours, 8)).await;
            for _ in 0..round % 3 + 1 {
                bell.notify().expect("there is room");
            }
            let counted = reader.await.expect("it was notified");
            assert_eq!(
                u64::from_ne_bytes(counted.try_into().expect("8 bytes")),
                round % 3 + 1
            );
        }
    });
}

#[test]
fn interrupted_operation_is_tried_again() {
    on_both(|| async {
        let (a, _b) = pair();
        let mut calls = 0;
        let answer = a.read_with(|_| {
            calls += 1;
            if calls < 5 {
                Err(io::ErrorKind::Interrupted.into())
            } else {
                Ok(calls)
            }
        });
        assert_eq!(answer.await.expect("the fifth call answers"), 5);
    });
}

#[test]
fn operation_that_fails_gives_its_own_error_and_frees_the_lock() {
    on_both(|| async {
        let (a, b) = pair();
        let failed = a.read_with(|_| Err::<(), _>(io::Error::from_raw_os_error(5)));
        assert_eq!(failed.await.expect_err("EIO").raw_os_error(), Some(5));
        write(&b, b"x").await.expect("room");
        assert_eq!(read(&a, 1).await.expect("the lock is free"), b"x");
    });
}

/// A panic in the user's closure unwinds through the task; the descriptor serves others after it.
#[test]
fn operation_that_panics_frees_the_lock_and_the_reference() {
    on_both(|| async {
        let (a, b) = pair();
        let panicking = a.clone();
        let task = spawn(async move {
            let _ = panicking
                .read_with(|_| -> io::Result<()> { panic!("in the operation") })
                .await;
        });
        assert!(task.await.expect_err("it panics").is_panic());
        write(&b, b"x").await.expect("room");
        assert_eq!(read(&a, 1).await.expect("the lock is free"), b"x");
        a.close().await.expect("no reference is left");
    });
}

#[test]
fn into_owned_fd_gives_the_descriptor_back_and_ends_its_registration() {
    on_both(|| async {
        let (ours, mut peer) = half_pair();
        let other = ours.clone();
        let busy = ours.into_owned_fd().expect_err("another handle exists");
        assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
        let number = other.as_fd().as_raw_fd();
        let given = other.into_owned_fd().expect("the only handle");
        assert_eq!(given.as_raw_fd(), number);
        // Registered no more: it can be adopted anew, and works.
        let again = adopt(given);
        peer.write_all(b"x").expect("room");
        assert_eq!(read(&again, 1).await.expect("data is there"), b"x");

        let _closing = again.close();
        assert!(is_closed(&again.into_owned_fd().expect_err("closed")));
    });
}

#[test]
fn two_hundred_descriptors_each_get_their_own_data() {
    within(|| {
        let runtime = multi(2);
        runtime.block_on(async {
            let mut tasks = Vec::new();
            let mut peers = Vec::new();
            for index in 0..200_u32 {
                let (ours, peer) = half_pair();
                peers.push((index, peer));
                tasks.push(spawn(async move {
                    let got = read(&ours, 4).await.expect("data comes");
                    assert_eq!(got, index.to_ne_bytes());
                }));
            }
            for (index, peer) in peers.iter_mut().rev() {
                peer.write_all(&index.to_ne_bytes()).expect("room");
            }
            for task in tasks {
                joined(task.await);
            }
        });
        assert_eq!(runtime.metrics().descriptors, 0, "all were dropped");
    });
}

/// Slots are reused: an event of the former owner must not reach the next one.
#[test]
fn reused_slot_gets_no_event_of_its_former_owner() {
    on_both(|| async {
        let mut duplicates = Vec::new();
        for _ in 0..500 {
            let (ours, mut peer) = half_pair();
            duplicates.push(ours.as_fd().try_clone_to_owned().expect("a duplicate"));
            // Ready and dropped at once; the duplicate keeps the description alive.
            peer.write_all(b"x").expect("room");
            drop(ours);
            drop(peer);
            let (next, _peer) = half_pair();
            drop(blocked(read(&next, 1)).await);
            duplicates.truncate(20);
        }
    });
}
