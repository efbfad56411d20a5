//! Deadlines: set, moved earlier and later, cleared, from anywhere, under a blocked call or not.

mod common;

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use common::{
    MS, blocked, drain, fill, joined, multi, on_both, pair, pipe, poll_once, read, within, write,
    write_all,
};
use gannet_runtime::error::{is_closed, is_deadline};
use gannet_runtime::time::{now, sleep_until};
use gannet_runtime::{AsyncFd, spawn};

const HOUR: Duration = Duration::from_secs(3600);
/// Later than any timer may be, on a machine that does much else.
const LATE: Duration = Duration::from_secs(5);

fn past() -> Option<Instant> {
    now().checked_sub(5 * MS)
}

fn after(delay: Duration) -> Option<Instant> {
    Some(now() + delay)
}

#[track_caller]
fn assert_deadline<T: std::fmt::Debug>(result: io::Result<T>) {
    let err = result.expect_err("the deadline has passed");
    assert!(is_deadline(&err), "{err}");
    assert_eq!(err.kind(), io::ErrorKind::TimedOut);
    assert_eq!(err.to_string(), "i/o timeout");
}

#[test]
fn past_deadline_fails_reads_even_if_data_is_there() {
    on_both(|| async {
        for (a, b) in [pair(), pipe()] {
            write(&b, b"data").await.expect("room");
            a.set_read_deadline(past()).expect("open");
            assert_deadline(read(&a, 16).await);
            assert_deadline(read(&a, 16).await);
            assert_deadline(a.readable().await);
            assert_deadline(a.try_read_with(|_| Ok(())));
            a.set_read_deadline(None).expect("open");
            assert_eq!(
                read(&a, 16).await.expect("cleared"),
                b"data",
                "nothing was taken"
            );
        }
    });
}

#[test]
fn past_deadline_fails_writes_even_if_there_is_room() {
    on_both(|| async {
        for (a, b) in [pair(), pipe()] {
            b.set_write_deadline(past()).expect("open");
            assert_deadline(write(&b, b"x").await);
            assert_deadline(write(&b, b"x").await);
            assert_deadline(b.writable().await);
            assert_deadline(b.try_write_with(|_| Ok(())));
            b.set_write_deadline(None).expect("open");
            assert_eq!(drain(&a), 0, "nothing was written");
            assert_eq!(write(&b, b"x").await.expect("cleared"), 1);
        }
    });
}

#[test]
fn deadline_of_one_side_leaves_the_other_alone() {
    on_both(|| async {
        let (a, b) = pair();
        a.set_read_deadline(past()).expect("open");
        assert_eq!(write(&a, b"x").await.expect("no write deadline"), 1);
        assert_deadline(read(&a, 1).await);
        b.set_write_deadline(past()).expect("open");
        assert_eq!(read(&b, 1).await.expect("no read deadline"), b"x");
        assert_deadline(write(&b, b"x").await);
    });
}

#[test]
fn deadline_of_both_sides_ends_both_and_the_stream_can_be_revived() {
    on_both(|| async {
        let (a, b) = pair();
        let filled = fill(&a);
        let start = now();
        a.set_deadline(Some(start + 20 * MS)).expect("open");
        let (reader, writer) = (blocked(read(&a, 1)).await, blocked(write(&a, b"x")).await);
        assert_deadline(reader.await);
        assert_deadline(writer.await);
        assert!(now() - start >= 20 * MS, "early");
        a.set_deadline(None).expect("open");
        assert_eq!(drain(&b), filled);
        assert_eq!(write(&a, b"ping").await.expect("cleared"), 4);
        assert_eq!(read(&b, 16).await.expect("arrives"), b"ping");
        assert_eq!(write(&b, b"pong").await.expect("room"), 4);
        assert_eq!(read(&a, 16).await.expect("cleared"), b"pong");
    });
}

#[test]
fn blocked_operation_ends_at_its_deadline_and_not_before() {
    on_both(|| async {
        for delay in [50 * MS / 1000, MS, 2 * MS, 5 * MS, 20 * MS, 70 * MS] {
            for (a, b) in [pair(), pipe()] {
                fill(&b);
                drain(&a);
                let start = now();
                a.set_read_deadline(Some(start + delay)).expect("open");
                assert_deadline(read(&a, 1).await);
                let took = now() - start;
                assert!(took >= delay, "read, {delay:?}: after {took:?}");
                assert!(took < delay + LATE, "read, {delay:?}: after {took:?}");

                fill(&b);
                let start = now();
                b.set_write_deadline(Some(start + delay)).expect("open");
                assert_deadline(write(&b, b"x").await);
                let took = now() - start;
                assert!(took >= delay, "write, {delay:?}: after {took:?}");
                assert!(took < delay + LATE, "write, {delay:?}: after {took:?}");
            }
        }
    });
}

#[test]
fn deadline_ends_waiting_for_readiness_too() {
    on_both(|| async {
        let (a, _b) = pair();
        fill(&a);
        let start = now();
        a.set_deadline(Some(start + 5 * MS)).expect("open");
        assert_deadline(a.readable().await);
        assert_deadline(a.writable().await);
        assert!(now() - start >= 5 * MS, "early");
    });
}

#[test]
fn operations_succeed_until_the_deadline_and_fail_after_it() {
    on_both(|| async {
        let (a, b) = pair();
        let deadline = now() + 20 * MS;
        b.set_write_deadline(Some(deadline)).expect("open");
        let failed = loop {
            match write(&b, b"x").await {
                Ok(n) => assert_eq!(n, 1),
                Err(err) => break err,
            }
            drain(&a);
        };
        assert_deadline::<()>(Err(failed));
        assert!(now() >= deadline, "early");
        assert_deadline(write(&b, b"x").await);
    });
}

#[test]
fn deadline_set_to_the_past_ends_a_blocked_read_and_write_at_once() {
    on_both(|| async {
        let (a, b) = pair();
        fill(&a);
        let (reader, writer) = (blocked(read(&a, 1)).await, blocked(write(&a, b"x")).await);
        let setter = a.clone();
        joined(spawn(async move { setter.set_deadline(past()) }).await).expect("open");
        assert_deadline(reader.await);
        assert_deadline(writer.await);
        drop(b);
    });
}

#[test]
fn deadline_moved_earlier_under_a_blocked_read_ends_it_at_the_new_one() {
    on_both(|| async {
        let (a, _b) = pair();
        a.set_read_deadline(after(HOUR)).expect("open");
        let reader = blocked(read(&a, 1)).await;
        let setter = a.clone();
        let start = now();
        let moved = spawn(async move { setter.set_read_deadline(Some(start + 10 * MS)) });
        joined(moved.await).expect("open");
        assert_deadline(reader.await);
        let took = now() - start;
        assert!(took >= 10 * MS && took < 10 * MS + LATE, "{took:?}");
    });
}

/// Blocks a read under a deadline, has another task change that in time, and looks after the old
/// one whether the read still waits. On a machine that was too slow to change it in time, tries
/// again with a longer one.
async fn outlives_its_former_deadline(change: fn(&AsyncFd) -> io::Result<()>) {
    for patience in [50, 200, 1000, 5000] {
        let (a, b) = pair();
        let former = now() + patience * MS;
        a.set_read_deadline(Some(former)).expect("open");
        let mut reader = blocked(read(&a, 1)).await;
        let setter = a.clone();
        joined(spawn(async move { change(&setter) }).await).expect("open");
        if now() >= former {
            continue;
        }
        sleep_until(former + 5 * MS).await;
        assert!(
            poll_once(reader.as_mut()).await.is_pending(),
            "ended by the former deadline"
        );
        write(&b, b"x").await.expect("room");
        assert_eq!(reader.await.expect("data came"), b"x");
        return;
    }
    panic!("no deadline could be changed within 5 s");
}

#[test]
fn deadline_moved_later_under_a_blocked_read_lets_it_wait_on() {
    on_both(|| outlives_its_former_deadline(|fd| fd.set_read_deadline(after(HOUR))));
}

#[test]
fn deadline_cleared_under_a_blocked_read_lets_it_wait_on() {
    on_both(|| outlives_its_former_deadline(|fd| fd.set_read_deadline(None)));
}

#[test]
fn cleared_read_deadline_leaves_the_read_blocked_until_close() {
    on_both(|| async {
        for (a, b) in [pair(), pipe()] {
            a.set_deadline(past()).expect("open");
            a.set_write_deadline(past()).expect("open");
            a.set_read_deadline(None).expect("open");
            let reader = blocked(read(&a, 1)).await;
            a.close().await.expect("the first");
            let err = reader.await.expect_err("closed");
            assert!(is_closed(&err) && !is_deadline(&err), "{err}");
            drop(b);
        }
    });
}

#[test]
fn cleared_deadline_leaves_the_read_blocked_until_the_other_end_closes() {
    on_both(|| async {
        for (a, b) in [pair(), pipe()] {
            a.set_read_deadline(past()).expect("open");
            a.set_read_deadline(None).expect("open");
            let reader = blocked(read(&a, 1)).await;
            drop(b);
            assert_eq!(reader.await.expect("the end is no error"), b"");
        }
    });
}

/// The deadline is the descriptor's: those who queue for the lock meet it when they get their turn.
#[test]
fn expired_deadline_ends_everyone_in_the_queue() {
    on_both(|| async {
        let (a, _b) = pair();
        let readers: Vec<_> = (0..10)
            .map(|_| {
                let a = a.clone();
                spawn(async move { read(&a, 1).await })
            })
            .collect();
        a.set_read_deadline(after(5 * MS)).expect("open");
        for reader in readers {
            assert_deadline(joined(reader.await));
        }
    });
}

#[test]
fn deadline_that_is_moved_before_every_operation_never_strikes() {
    on_both(|| async {
        let (a, b) = pair();
        let echo = spawn(async move {
            for _ in 0..1000 {
                b.set_deadline(after(HOUR)).expect("open");
                let byte = read(&b, 1).await.expect("prolonged");
                write(&b, &byte).await.expect("prolonged");
            }
        });
        for n in 0..1000_u32 {
            a.set_deadline(after(HOUR)).expect("open");
            write(&a, &[n as u8]).await.expect("prolonged");
            assert_eq!(read(&a, 1).await.expect("prolonged"), [n as u8]);
        }
        joined(echo.await);
    });
}

#[test]
fn deadline_far_beyond_the_clock_is_no_overflow() {
    on_both(|| async {
        let (a, b) = pair();
        for years in [1, 100, 146, 200, 500] {
            let far = now().checked_add(years * 366 * 24 * HOUR);
            a.set_deadline(Some(far.expect("the clock reaches that far")))
                .expect("open");
            let reader = blocked(read(&a, 1)).await;
            write(&b, b"x").await.expect("room");
            assert_eq!(reader.await.expect("not for years"), b"x");
        }
    });
}

/// The wheel's entry is overdue, because the worker was busy, when the deadline is moved to the present.
#[test]
fn deadline_moved_to_now_while_the_former_is_overdue_ends_the_read() {
    on_both(|| async {
        for _ in 0..20 {
            let (a, _b) = pair();
            let former = now() + MS;
            a.set_read_deadline(Some(former)).expect("open");
            while now() < former + MS {
                std::hint::spin_loop();
            }
            a.set_read_deadline(Some(now())).expect("open");
            assert_deadline(read(&a, 1).await);
            a.set_read_deadline(after(HOUR)).expect("open");
            a.set_read_deadline(Some(now())).expect("open");
            assert_deadline(a.try_read_with(|_| Ok(())));
        }
    });
}

/// What a server does: each operation moves the deadline. Only the first touches the timers.
#[test]
fn million_deadlines_moved_later_make_one_timer() {
    within(|| {
        let runtime = multi(1);
        let (a, _b) = runtime.block_on(async { pair() });
        let start = now() + HOUR;
        for n in 0..1_000_000_u64 {
            let later = start + Duration::from_micros(n);
            a.set_read_deadline(Some(later)).expect("open");
            if n % 1000 == 0 {
                a.set_write_deadline(Some(later)).expect("open");
                assert!(
                    runtime.metrics().timers <= 1,
                    "{} timers",
                    runtime.metrics().timers
                );
            }
        }
        assert!(
            runtime.metrics().timers <= 1,
            "{} timers",
            runtime.metrics().timers
        );
    });
}

#[test]
fn deadlines_moved_to_and_fro_make_one_timer_a_descriptor() {
    within(|| {
        let runtime = multi(1);
        let pairs: Vec<_> = runtime.block_on(async { (0..10).map(|_| pair()).collect() });
        for n in 0..10_000_u32 {
            let (a, _b) = &pairs[n as usize % pairs.len()];
            // Mostly earlier than the one before, which replaces the timer.
            a.set_read_deadline(after(HOUR * (20_000 - n) / 20_000))
                .expect("open");
            a.set_write_deadline(after(HOUR * (n % 7 + 1)))
                .expect("open");
        }
        let timers = runtime.metrics().timers;
        assert!(
            timers <= pairs.len(),
            "{timers} timers for {} descriptors",
            pairs.len()
        );
    });
}

#[track_caller]
fn assert_well_formed<T>(result: io::Result<T>) {
    if let Err(err) = result {
        assert!(is_deadline(&err), "{err}");
    }
}

/// Runs one of these on each side of a pair, on four workers.
fn race<F>(tasks: usize, body: fn(AsyncFd) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    within(move || {
        let runtime = multi(4);
        runtime.block_on(async {
            let (a, b) = pair();
            let tasks: Vec<_> = (0..tasks)
                .flat_map(|_| [a.clone(), b.clone()])
                .map(|fd| spawn(body(fd)))
                .collect();
            for task in tasks {
                joined(task.await);
            }
            for fd in [a, b] {
                fd.set_deadline(None).expect("open");
                drain(&fd);
                fd.close().await.expect("no reference is left");
            }
        });
    });
}

#[test]
fn deadlines_of_two_microseconds_race_reads_and_writes() {
    race(3, |fd| async move {
        for _ in 0..1000 {
            fd.set_deadline(after(2 * MS / 1000)).expect("open");
            assert_well_formed(read(&fd, 1).await);
            assert_well_formed(write(&fd, b"x").await);
        }
    });
}

#[test]
fn deadlines_of_a_millisecond_race_ten_readers_and_writers() {
    race(5, |fd| async move {
        for n in 0..100 {
            fd.set_deadline(after(MS)).expect("open");
            assert_well_formed(read(&fd, 1024).await);
            assert_well_formed(write_all(&fd, &[b'.'; 700]).await);
            if n % 10 == 0 {
                fd.set_deadline(past()).expect("open");
            }
        }
    });
}

/// Every deadline is seen, also when it is set at the moment in which the reader goes to wait.
#[test]
fn deadline_set_while_the_reader_goes_to_wait_is_not_lost() {
    within(|| {
        let runtime = multi(2);
        runtime.block_on(async {
            let (a, _b) = pair();
            for n in 0..2000_u32 {
                a.set_read_deadline(None).expect("open");
                let reader = spawn({
                    let a = a.clone();
                    async move { read(&a, 1).await }
                });
                let at = if n % 2 == 0 { past() } else { after(MS / 10) };
                a.set_read_deadline(at).expect("open");
                assert_deadline(joined(reader.await));
            }
        });
    });
}
