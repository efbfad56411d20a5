//! Timers: never early, never lost, for any duration.

mod common;

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{
    Counted, Gate, MS, Random, blocked, counter, current, joined, multi, on_both, poll_once, until,
    within,
};
use gannet_runtime::time::{
    MissedTickBehavior, interval, interval_at, now, sleep, sleep_until, timeout, timeout_at,
};
use gannet_runtime::{JoinSet, spawn, yield_now};

/// Later than any timer may be, on a machine that does much else.
const LATE: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn thousand_random_sleeps_are_never_early() {
    on_both(|| async {
        let mut random = Random(0x5eed);
        let mut set = JoinSet::new();
        for _ in 0..1000 {
            let delay = Duration::from_nanos(random.below(30_000_000));
            set.spawn(async move {
                let start = now();
                sleep(delay).await;
                (delay, now() - start)
            });
        }
        while let Some(slept) = set.join_next().await {
            let (delay, took) = joined(slept);
            assert!(took >= delay, "{delay:?}: early, after {took:?}");
            assert!(took < delay + LATE, "{delay:?}: late, after {took:?}");
        }
    });
}

#[test]
fn zero_and_past_are_ready_at_once() {
    on_both(|| async {
        assert!(poll_once(pin!(sleep(Duration::ZERO))).await.is_ready());
        let past = now().checked_sub(MS).expect("the machine is up for longer");
        assert!(poll_once(pin!(sleep_until(past))).await.is_ready());
        assert!(
            poll_once(pin!(timeout(Duration::ZERO, pending::<()>())))
                .await
                .is_ready()
        );
        assert!(
            timeout_at(past, async { 1 }).await.is_ok(),
            "the inner future goes first"
        );
    });
}

#[test]
fn longest_durations_wait_for_ever_and_do_not_panic() {
    within(|| {
        let runtime = multi(1);
        runtime.block_on(async {
            let year = 366 * 24 * HOUR;
            for delay in [
                Duration::MAX,
                Duration::MAX / 2,
                100 * year,
                146 * year,
                500 * year,
            ] {
                drop(blocked(sleep(delay)).await);
                drop(blocked(timeout(delay, pending::<()>())).await);
                assert!(timeout(delay, yield_now()).await.is_ok());
                let mut ticks = interval(delay);
                ticks.tick().await;
                drop(blocked(ticks.tick()).await);
                if let Some(at) = now().checked_add(delay) {
                    drop(blocked(sleep_until(at)).await);
                    drop(blocked(timeout_at(at, pending::<()>())).await);
                    drop(blocked(async { interval_at(at, MS).tick().await }).await);
                }
            }
            // The far ones must not hide the near ones.
            let far = blocked(sleep(500 * year)).await;
            sleep(2 * MS).await;
            drop(far);
        });
        common::until_blocking(|| runtime.metrics().timers == 0);
    });
}

#[test]
fn hundred_thousand_sleepers_all_wake() {
    within(|| {
        for runtime in [current(), multi(2)] {
            let woken = counter();
            runtime.block_on(async {
                let mut random = Random(7);
                let tasks: Vec<_> = (0..100_000)
                    .map(|_| {
                        let delay = Duration::from_micros(random.below(200_000));
                        let woken = woken.clone();
                        spawn(async move {
                            sleep(delay).await;
                            woken.fetch_add(1, Ordering::Relaxed);
                        })
                    })
                    .collect();
                for task in tasks {
                    joined(task.await);
                }
            });
            assert_eq!(woken.load(Ordering::Relaxed), 100_000);
            common::until_blocking(|| runtime.metrics().timers == 0);
        }
    });
}

#[test]
fn sleepers_of_one_instant_all_wake_once() {
    on_both(|| async {
        let at = now() + 5 * MS;
        let tasks: Vec<_> = (0..10_000)
            .map(|_| {
                spawn(async move {
                    sleep_until(at).await;
                    assert!(now() >= at, "early");
                })
            })
            .collect();
        for task in tasks {
            joined(task.await);
        }
    });
}

#[test]
fn sleep_moved_earlier_and_later_is_ready_at_its_last_deadline() {
    on_both(|| async {
        let mut moved = blocked(sleep(HOUR)).await;
        let soon = now() + 3 * MS;
        moved.reset(soon);
        moved.await;
        assert!(now() >= soon && now() < soon + LATE);

        let start = now();
        let mut moved = Box::pin(sleep_until(start + MS));
        let polled = poll_once(moved.as_mut()).await;
        if polled.is_pending() {
            moved.reset(start + 20 * MS);
            assert!(!moved.is_elapsed() || now() >= start + 20 * MS);
            moved.await;
            assert!(now() - start >= 20 * MS, "woken by its former deadline");
        }
        let mut again = Box::pin(sleep(Duration::ZERO));
        again.as_mut().await;
        again.reset(now() + MS);
        again.await;
    });
}

#[test]
fn timeout_drops_the_inner_future_with_itself_and_keeps_what_is_ready() {
    on_both(|| async {
        let dropped = counter();
        let guard = Counted(dropped.clone());
        let start = now();
        let elapsed = timeout(3 * MS, async move {
            let _guard = guard;
            pending::<()>().await;
        });
        let err = elapsed.await.expect_err("it waits for ever");
        assert!(now() - start >= 3 * MS, "early");
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert_eq!(err.to_string(), "timeout elapsed");
        assert_eq!(
            std::io::Error::from(err).kind(),
            std::io::ErrorKind::TimedOut
        );
        assert_eq!(timeout(HOUR, async { 42 }).await, Ok(42));
        assert_eq!(
            timeout(HOUR, async {
                yield_now().await;
                43
            })
            .await,
            Ok(43)
        );
    });
}

/// Always-ready work inside a timeout: the budget lets the timer have its say.
#[test]
fn timeout_of_work_that_is_always_ready_elapses() {
    on_both(|| async {
        let busy = async {
            loop {
                sleep(Duration::ZERO).await;
            }
        };
        timeout(2 * MS, busy).await.expect_err("it never ends");
    });
}

#[test]
fn interval_ticks_at_once_and_then_each_period_and_never_early() {
    on_both(|| async {
        let start = now();
        let mut ticks = interval_at(start, 2 * MS);
        assert_eq!(ticks.period(), 2 * MS);
        for n in 0..10 {
            let due = ticks.tick().await;
            assert_eq!(due, start + n * 2 * MS, "tick {n}");
            assert!(now() >= due, "tick {n}: early");
        }
    });
}

#[test]
fn interval_taken_late_gives_what_its_behavior_says() {
    on_both(|| async {
        for behavior in [
            MissedTickBehavior::Burst,
            MissedTickBehavior::Delay,
            MissedTickBehavior::Skip,
        ] {
            let period = 20 * MS;
            let start = now()
                .checked_sub(3 * period + period / 2)
                .expect("up for longer");
            let mut ticks = interval_at(start, period);
            ticks.set_missed_tick_behavior(behavior);
            assert_eq!(ticks.missed_tick_behavior(), behavior);
            let before = now();
            assert_eq!(
                ticks.tick().await,
                start,
                "the first is the one that is due"
            );
            let next = ticks.tick().await;
            match behavior {
                MissedTickBehavior::Burst => assert_eq!(next, start + period),
                MissedTickBehavior::Delay => assert!(next >= before + period),
                MissedTickBehavior::Skip => {
                    let since = next - start;
                    assert!(next > before, "it lies ahead");
                    assert_eq!(since.as_nanos() % period.as_nanos(), 0, "on the grid");
                }
            }
            assert!(now() >= next, "{behavior:?}: early");
        }
    });
}

#[test]
fn interval_reset_ticks_a_period_later() {
    on_both(|| async {
        let mut ticks = interval(3 * MS);
        ticks.tick().await;
        let reset = now();
        ticks.reset();
        let next = ticks.tick().await;
        assert!(next >= reset + 3 * MS && now() >= next);
    });
}

#[test]
#[should_panic(expected = "the period of an interval must not be zero")]
fn interval_of_zero_is_refused() {
    drop(interval(Duration::ZERO));
}

/// The worker sleeps until the far timer; another thread brings a nearer one.
#[test]
fn timer_earlier_than_the_one_the_poller_waits_for_wakes_it() {
    within(|| {
        let runtime = multi(1);
        for _ in 0..50 {
            let far = runtime.spawn(sleep(HOUR));
            common::until_blocking(|| runtime.metrics().workers_parked == 1);
            let start = now();
            runtime.block_on(sleep(MS));
            let took = now() - start;
            assert!(took >= MS && took < LATE, "{took:?}");
            far.abort();
        }
    });
}

/// The alarm was set for a timer that is gone when it rings; the next one must still ring.
#[test]
fn timer_behind_a_cancelled_one_fires() {
    within(|| {
        for runtime in [current(), multi(1), multi(2)] {
            for _ in 0..100 {
                runtime.block_on(async {
                    let earlier = blocked(sleep(MS)).await;
                    let later = blocked(sleep(2 * MS)).await;
                    drop(earlier);
                    later.await;
                });
            }
            common::until_blocking(|| runtime.metrics().timers == 0);
        }
    });
}

/// An alarm so near that it rings while it is being set.
#[test]
fn timers_of_microseconds_are_never_lost() {
    within(|| {
        for runtime in [current(), multi(1), multi(2)] {
            runtime.block_on(async {
                let task = spawn(async {
                    for n in 0..1000_u32 {
                        let (delay, start) = (n % 300 * MS / 1000, now());
                        sleep(delay).await;
                        assert!(now() - start >= delay, "early");
                    }
                });
                joined(task.await);
            });
        }
    });
}

#[test]
fn dropped_and_fired_timers_leave_nothing_behind() {
    within(|| {
        let runtime = multi(2);
        runtime.block_on(async {
            for round in 0..1000_u32 {
                let mut one = blocked(sleep(HOUR)).await;
                one.reset(now() + HOUR / 2);
                assert!(poll_once(one.as_mut()).await.is_pending());
                if round % 2 == 0 {
                    let _ = timeout(Duration::from_micros(1), one).await;
                }
            }
        });
        common::until_blocking(|| runtime.metrics().timers == 0);
    });
}

/// A loop with a timeout around each step: each takes over the timer that the one before left behind,
/// which wakes nobody, and the last one fires for its own deadline.
#[test]
fn timers_taken_over_again_and_again_fire_for_the_last_deadline_only() {
    on_both(|| async {
        let deadlines = [HOUR, 40 * MS, 2 * HOUR, 20 * MS, HOUR, 5 * MS, 10 * MS];
        for round in 0..30 {
            let start = now();
            for &delay in &deadlines[round % deadlines.len()..] {
                drop(blocked(sleep(delay)).await);
            }
            assert!(timeout(HOUR, yield_now()).await.is_ok());
            let delay = (round % 3 + 1) as u32 * MS;
            sleep(delay).await;
            assert!(now() - start >= delay, "early");
            assert!(now() - start < delay + LATE, "late");
        }
    });
}

/// What sleeps of one task left behind is taken over by another's: the waker is the new one.
#[test]
fn timer_left_by_one_task_wakes_the_next_one() {
    on_both(|| async {
        for _ in 0..50 {
            for _ in 0..2 {
                let left = spawn(async { drop(blocked(sleep(MS)).await) });
                joined(left.await);
            }
            joined(spawn(sleep(2 * MS)).await);
        }
    });
}

/// More at the same time than a thread keeps, with deadlines so far away that a timer which stayed in
/// the wheel would stay for the test's whole life.
#[test]
fn many_sleeps_dropped_at_once_leave_nothing_behind() {
    within(|| {
        for runtime in [current(), multi(2)] {
            runtime.block_on(async {
                let mut sleeping = Vec::new();
                for _ in 0..1000 {
                    sleeping.push(blocked(sleep(HOUR)).await);
                }
                assert!(runtime.metrics().timers >= 1000);
                drop(sleeping);
                assert!(runtime.metrics().timers <= 1, "but for the watch");
            });
            common::until_blocking(|| runtime.metrics().timers == 0);
        }
    });
}

/// A timer that was left under one runtime is not set under another that the thread has entered: the
/// first is not driven.
#[test]
fn timer_left_in_a_runtime_that_nobody_drives_is_not_taken_over() {
    within(|| {
        let (idle, driven) = (current(), current());
        let _entered = idle.handle().enter();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..3 {
            let mut left = Box::pin(sleep(HOUR));
            assert!(left.as_mut().poll(&mut cx).is_pending());
        }
        driven.block_on(sleep(2 * MS));
        let left = Box::pin(sleep(HOUR));
        drop(left);
        driven.block_on(async {
            let mut of_idle = Box::pin(sleep(HOUR));
            {
                let _entered = idle.handle().enter();
                assert!(poll_once(of_idle.as_mut()).await.is_pending());
            }
            drop(of_idle);
            sleep(2 * MS).await;
        });
    });
}

/// A sleep may be polled by one task and then another: the last one is woken.
#[test]
fn sleep_handed_to_another_task_wakes_that_one() {
    on_both(|| async {
        let sleeping = blocked(sleep(5 * MS)).await;
        joined(spawn(sleeping).await);
    });
}

#[test]
fn sleep_raced_by_its_drop_is_no_trouble() {
    within(|| {
        let runtime = multi(4);
        runtime.block_on(async {
            let tasks: Vec<_> = (1..=8)
                .map(|seed| {
                    spawn(async move {
                        let mut random = Random(seed * 77);
                        for _ in 0..300 {
                            let (a, b) = (random.below(600), random.below(600));
                            let inner = sleep(Duration::from_micros(a));
                            let _ = timeout(Duration::from_micros(b), inner).await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                joined(task.await);
            }
        });
        assert_eq!(
            runtime.metrics().timers,
            usize::from(runtime.metrics().timers == 1)
        );
    });
}

/// A sleep that was set on a runtime which then ended can be finished on another.
#[test]
fn sleep_that_outlives_its_runtime_ends_on_another() {
    within(|| {
        let mut sleeping = Box::pin(sleep(20 * MS));
        let first = current();
        first.block_on(async { assert!(poll_once(sleeping.as_mut()).await.is_pending()) });
        drop(first);
        current().block_on(sleeping);
    });
}

/// A sleep in `block_on` while the runtime is shut down by another thread.
#[test]
fn sleep_in_block_on_of_a_runtime_that_ends_does_not_hang() {
    within(|| {
        let runtime = multi(1);
        let handle = runtime.handle().clone();
        let waits = Gate::default();
        let sleeper = {
            let waits = waits.clone();
            std::thread::spawn(move || {
                handle.block_on(async {
                    let sleeping = blocked(sleep(50 * MS)).await;
                    waits.open();
                    sleeping.await;
                })
            })
        };
        waits.wait_blocking();
        drop(runtime);
        // It may end in time or by a panic that says why; it must end.
        let _ = sleeper.join();
    });
}

#[test]
fn sleep_without_a_runtime_panics_and_says_why() {
    let panic = std::panic::catch_unwind(|| {
        let mut sleeping = pin!(sleep(HOUR));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        sleeping.as_mut().poll(&mut cx).is_ready()
    });
    let panic = panic.expect_err("nobody keeps the time here");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.contains("no gannet runtime on this thread"), "{text}");
}

#[test]
fn timers_fire_while_the_worker_is_busy() {
    on_both(|| async {
        let done = Gate::default();
        drop(spawn({
            let done = done.clone();
            async move {
                sleep(MS).await;
                done.open();
            }
        }));
        until(|| done.is_open()).await;
    });
}

/// The clock decides, not the timer: a task that polls again and again need not wait for the alarm.
#[test]
fn sleep_polled_again_and_again_is_ready_in_time() {
    on_both(|| async {
        let mut sleeping = pin!(sleep(2 * MS));
        let start = now();
        while poll_once(sleeping.as_mut()).await.is_pending() {
            assert!(now() - start < LATE, "still pending");
        }
        assert!(now() - start >= 2 * MS);
    });
}
