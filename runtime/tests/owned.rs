//! Guards that own a share of their descriptor: waiting for many, the lock, the waker, the end.

mod common;

use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::task::Poll;

use common::{MS, current, drain, fill, on_both, pair, pipe, read, until, within, write_all};
use gannet_runtime::error::{is_closed, is_deadline};
use gannet_runtime::{AsyncFd, OwnedReadGuard, OwnedWriteGuard, spawn, time, yield_now};
use gannet_sys::fd;

/// Polls for a read of up to four bytes, once.
async fn poll_read(guard: &mut OwnedReadGuard) -> Poll<io::Result<Vec<u8>>> {
    poll_fn(|cx| {
        let mut buf = [0; 4];
        let polled = guard.poll_read_with(cx, |from| fd::read(from, &mut buf));
        Poll::Ready(polled.map_ok(|len| buf[..len].to_vec()))
    })
    .await
}

async fn read_owned(guard: &mut OwnedReadGuard) -> io::Result<Vec<u8>> {
    let mut buf = [0; 4];
    let len = poll_fn(|cx| guard.poll_read_with(cx, |from| fd::read(from, &mut buf))).await?;
    Ok(buf[..len].to_vec())
}

async fn write_owned(guard: &mut OwnedWriteGuard, data: &[u8]) -> io::Result<usize> {
    poll_fn(|cx| guard.poll_write_until(cx, |to| fd::write(to, data).map(ControlFlow::Break))).await
}

#[test]
fn one_task_waits_for_many_descriptors() {
    on_both(|| async {
        let (mut guards, mut writers) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let (reader, writer) = pipe();
            guards.push(reader.begin_read_owned()); // The guard is a handle by itself.
            writers.push(writer);
        }
        let task = spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < 100 {
                let (index, data) = poll_fn(|cx| {
                    for (index, guard) in guards.iter_mut().enumerate() {
                        let mut buf = [0; 1];
                        let polled = guard.poll_read_with(cx, |from| fd::read(from, &mut buf));
                        if let Poll::Ready(len) = polled {
                            return Poll::Ready((index, buf[..len.expect("open")].to_vec()));
                        }
                    }
                    Poll::Pending
                })
                .await;
                assert_eq!(data, [index as u8]);
                seen.push(index);
            }
            seen
        });
        for round in 0..10 {
            for (index, writer) in writers.iter().enumerate() {
                write_all(writer, &[index as u8]).await.expect("room");
                if round % 2 == 0 {
                    yield_now().await;
                }
            }
        }
        let mut seen = task.await.expect("no panic");
        seen.sort_unstable();
        let want: Vec<usize> = (0..100).map(|n| n / 10).collect();
        assert_eq!(seen, want);
    });
}

#[test]
fn waiting_guard_is_first_in_line_until_it_is_dropped_or_released() {
    on_both(|| async {
        let (reader, writer) = pipe();
        let mut first = reader.begin_read_owned();
        assert!(poll_read(&mut first).await.is_pending());
        let mut second = reader.begin_read_owned();
        assert!(poll_read(&mut second).await.is_pending());
        let queued = second.try_read_batch_with(4, |_| panic!("another has the lock"));
        assert_eq!(
            queued.expect_err("locked").kind(),
            io::ErrorKind::WouldBlock
        );
        first.release();
        write_all(&writer, b"1").await.expect("room");
        assert_eq!(read_owned(&mut second).await.expect("open"), b"1");
        assert!(poll_read(&mut second).await.is_pending());
        drop(second);
        write_all(&writer, b"2").await.expect("room");
        assert_eq!(read(&reader, 4).await.expect("open"), b"2");
    });
}

#[test]
fn close_deadline_and_end_reach_a_waiting_guard() {
    on_both(|| async {
        let (reader, writer) = pipe();
        let mut guard = reader.begin_read_owned();
        reader
            .set_read_deadline(Some(time::now() + MS))
            .expect("open");
        let err = read_owned(&mut guard).await.expect_err("late");
        assert!(is_deadline(&err), "{err}");
        let err = poll_fn(|cx| guard.poll_readable(cx)).await;
        assert!(is_deadline(&err.expect_err("late")));
        reader.set_read_deadline(None).expect("open");

        let waiting = spawn(async move {
            let end = read_owned(&mut guard).await.expect("the end");
            (guard, end)
        });
        yield_now().await;
        drop(writer);
        let (mut guard, end) = waiting.await.expect("no panic");
        assert_eq!(end, b"");

        let (reader, _writer) = pipe();
        let mut other = reader.begin_read_owned();
        assert!(poll_read(&mut other).await.is_pending());
        let waiting = spawn(async move { read_owned(&mut other).await });
        yield_now().await;
        reader.close().await.expect("the first close");
        let err = waiting.await.expect("no panic").expect_err("closed");
        assert!(is_closed(&err), "{err}");
        assert_eq!(read_owned(&mut guard).await.expect("still the end"), b"");
    });
}

/// On one thread no edge is delivered before the task waits, so the attempts can be counted.
#[test]
fn batch_that_is_not_full_waits_without_another_attempt() {
    within(|| {
        current().block_on(async {
            // A full batch proves nothing; a short one proves that the queue is empty.
            for (room, attempts_wanted) in [(5, 0), (4, 1)] {
                let (left, right) = pair();
                let mut guard = left.begin_read_owned();
                write_all(&right, b"abcd").await.expect("room");
                let mut buf = [0; 5];
                let len = poll_fn(|cx| {
                    guard.poll_read_batch_with(cx, room, |from| fd::read(from, &mut buf[..room]))
                });
                assert_eq!(len.await.expect("open"), 4);
                let mut attempts = 0;
                let polled = poll_fn(|cx| {
                    Poll::Ready(guard.poll_read_batch_with(cx, room, |from| {
                        attempts += 1;
                        fd::read(from, &mut buf[..room])
                    }))
                });
                assert!(polled.await.is_pending());
                assert_eq!(attempts, attempts_wanted, "room for {room}");
                // Nor is what an attempt has just found out asked again.
                guard.release();
                let tried = guard.try_read_batch_with(room, |from| fd::read(from, &mut buf));
                assert_eq!(tried.expect_err("empty").kind(), io::ErrorKind::WouldBlock);
                let polled = poll_fn(|cx| {
                    Poll::Ready(guard.poll_read_batch_with(cx, room, |_| panic!("it is known")))
                });
                assert!(polled.await.is_pending());
            }
        });
    });
}

#[test]
fn attempt_that_blocks_keeps_nobody_out() {
    on_both(|| async {
        let (left, right) = pair();
        let mut reader = left.begin_read_owned();
        let tried = reader.try_read_batch_with(4, |from| fd::read(from, &mut [0; 4]));
        assert_eq!(tried.expect_err("empty").kind(), io::ErrorKind::WouldBlock);
        write_all(&right, b"1").await.expect("room");
        assert_eq!(read(&left, 4).await.expect("nobody else waits"), b"1");

        let mut writer = left.begin_write_owned();
        fill(&left);
        let tried = writer.try_write_with(|to| fd::write(to, b"x"));
        assert_eq!(tried.expect_err("full").kind(), io::ErrorKind::WouldBlock);
        until(|| drain(&right) == 0).await;
        write_all(&left, b"2").await.expect("nobody else waits");
    });
}

#[test]
fn attempt_that_blocks_leaves_the_waiting_as_it_was() {
    on_both(|| async {
        let (reader, writer) = pipe();
        let waiting = spawn(async move {
            let mut guard = reader.begin_read_owned();
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                let polled = guard.poll_readable(cx);
                if polled.is_pending() {
                    let mut buf = [0; 4];
                    let tried = guard.try_read_batch_with(4, |from| fd::read(from, &mut buf));
                    match tried {
                        // It came in between.
                        Ok(len) => return Poll::Ready(buf[..len].to_vec()),
                        Err(err) => assert_eq!(err.kind(), io::ErrorKind::WouldBlock),
                    }
                    return Poll::Pending;
                }
                let mut buf = [0; 4];
                match guard.try_read_batch_with(4, |from| fd::read(from, &mut buf)) {
                    Ok(len) => Poll::Ready(buf[..len].to_vec()),
                    Err(err) => panic!("{err}"),
                }
            })
            .await
        });
        for _ in 0..3 {
            yield_now().await;
        }
        write_all(&writer, b"x").await.expect("room");
        assert_eq!(waiting.await.expect("no panic"), b"x");
    });
}

#[test]
fn owned_writer_waits_for_room() {
    on_both(|| async {
        let (left, right) = pair();
        let mut guard = left.begin_write_owned();
        let filled = fill(&left);
        let err = guard.try_write_with(|to| fd::write(to, b"x"));
        assert_eq!(err.expect_err("full").kind(), io::ErrorKind::WouldBlock);
        let waiting = spawn(async move {
            write_owned(&mut guard, b"x").await.expect("room");
            guard
        });
        yield_now().await;
        let mut drained = 0;
        until(|| {
            drained += drain(&right);
            drained == filled + 1
        })
        .await;
        let guard = waiting.await.expect("no panic");
        assert_kept_by_guard(left, &guard);
    });
}

/// A guard is a handle: the descriptor cannot be given away while there is one.
fn assert_kept_by_guard(fd: AsyncFd, _guard: &OwnedWriteGuard) {
    let err = fd.into_owned_fd().expect_err("another handle");
    assert_eq!(err.kind(), io::ErrorKind::ResourceBusy);
}
