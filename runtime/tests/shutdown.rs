//! Shutdown: nothing is left behind, whatever was going on. These tests count the descriptors of the
//! whole process, so they run one after the other.

mod common;

use std::future::pending;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{
    Counted, Gate, MS, Random, adopt, blocked, counter, current, half_pair, multi, pair, read,
    until_blocking, within, write,
};
use gannet_runtime::error::{is_closed, is_shutdown};
use gannet_runtime::time::{now, sleep};
use gannet_runtime::{Builder, JoinHandle, Runtime, spawn, spawn_blocking, yield_now};

/// Within this long after its runtime, everything must be gone. The bar is one second; the rest is
/// for a machine on which a thread may wait that long before it first runs.
const GONE: Duration = Duration::from_secs(5);

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn descriptors() -> usize {
    // One of them is the listing's own, each time.
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}

/// The names of this process's threads.
fn names() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .collect()
}

/// The threads of runtimes in this process.
fn threads() -> usize {
    let is_ours = |name: &&String| name.starts_with("wrk-") || name.starts_with("blk-");
    names().iter().filter(is_ours).count()
}

/// Waits until threads and descriptors are down to what they were.
#[track_caller]
fn assert_nothing_left(before: usize) {
    let start = now();
    until_blocking(|| {
        let (threads, descriptors) = (threads(), descriptors());
        if threads == 0 && descriptors == before {
            return true;
        }
        assert!(
            now() - start < GONE,
            "{threads} threads and {descriptors} descriptors, which were {before}, after {GONE:?}: {:?}",
            names()
        );
        false
    });
}

/// Tasks of every sort, none of which ends by itself. Each holds a guard that counts its drop.
fn load(runtime: &Runtime, seed: u64, guard: &dyn Fn() -> Counted) -> Vec<JoinHandle<()>> {
    let _entered = runtime.enter();
    let mut random = Random(seed);
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (a, b) = pair();
        for (fd, serves) in [(a, true), (b, false)] {
            let guard = guard();
            tasks.push(spawn(async move {
                let _guard = guard;
                if serves {
                    write(&fd, b"x").await.expect("room");
                }
                while let Ok(got) = read(&fd, 16).await {
                    if got.is_empty() || write(&fd, &got).await.is_err() {
                        break;
                    }
                }
                pending::<()>().await;
            }));
        }
        let (guard_a, guard_b, guard_c) = (guard(), guard(), guard());
        let delay = Duration::from_micros(random.below(2000));
        tasks.push(spawn(async move {
            let _guard = guard_a;
            loop {
                sleep(delay).await;
            }
        }));
        tasks.push(spawn(async move {
            let _guard = guard_b;
            loop {
                yield_now().await;
            }
        }));
        tasks.push(spawn(async move {
            let _guard = guard_c;
            loop {
                let _ = spawn_blocking(|| ()).await;
                let _ = spawn(async {}).await;
            }
        }));
    }
    tasks
}

#[test]
fn runtime_dropped_under_load_leaves_no_thread_descriptor_or_task() {
    let _alone = alone();
    within(|| {
        let before = descriptors();
        for round in 1..=200_u64 {
            let runtime = if round % 4 == 0 { current() } else { multi(3) };
            let (made, dropped) = (counter(), counter());
            let guard = || {
                made.fetch_add(1, Ordering::SeqCst);
                Counted(dropped.clone())
            };
            let tasks = load(&runtime, round * 0x9e37, &guard);
            // At some moment or other.
            let moment = Duration::from_micros(Random(round * 77).below(3000));
            runtime.block_on(sleep(moment));
            drop(runtime);
            assert_eq!(
                dropped.load(Ordering::SeqCst),
                made.load(Ordering::SeqCst),
                "round {round}: guards dropped of those made"
            );
            let resolver = current();
            for task in tasks {
                let ended = resolver.block_on(task);
                assert!(ended.expect_err("it never ends by itself").is_cancelled());
            }
            drop(resolver);
            assert_nothing_left(before);
        }
    });
}

#[test]
fn panics_in_drops_at_shutdown_leave_nothing_behind() {
    struct PanicsWhenDropped;
    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let _alone = alone();
    within(|| {
        let before = descriptors();
        for runtime in [current(), multi(2)] {
            let dropped = counter();
            let tasks: Vec<_> = (0..20)
                .map(|n| {
                    let guard = Counted(dropped.clone());
                    runtime.spawn(async move {
                        let _guard = guard;
                        let _bad = (n % 2 == 0).then_some(PanicsWhenDropped);
                        pending::<()>().await;
                    })
                })
                .collect();
            runtime.block_on(sleep(MS));
            drop(runtime);
            assert_eq!(dropped.load(Ordering::SeqCst), 20);
            assert!(tasks.iter().all(JoinHandle::is_finished));
        }
        assert_nothing_left(before);
    });
}

#[test]
fn thousand_runtimes_made_and_dropped_leave_nothing() {
    let _alone = alone();
    within(|| {
        let before = descriptors();
        for round in 0..1000_u32 {
            let runtime = match round % 3 {
                0 => current(),
                1 => multi(1),
                _ => multi(4),
            };
            if round % 2 == 0 {
                runtime.block_on(async {
                    let _ = spawn(async {}).await;
                });
            }
        }
        assert_nothing_left(before);
    });
}

#[test]
fn runtime_dropped_inside_its_own_task_ends_without_waiting_for_itself() {
    let _alone = alone();
    within(|| {
        let before = descriptors();
        for _ in 0..50 {
            let runtime = multi(2);
            let handle = runtime.handle().clone();
            let (dropped, done) = (counter(), Gate::default());
            let guard = Counted(dropped.clone());
            drop(handle.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            }));
            let opened = done.clone();
            drop(handle.spawn(async move {
                drop(runtime);
                opened.open();
            }));
            done.wait_blocking();
            until_blocking(|| dropped.load(Ordering::SeqCst) == 1);
            drop(handle);
            assert_nothing_left(before);
        }
    });
}

#[test]
fn runtime_dropped_inside_its_own_block_on_ends() {
    let _alone = alone();
    within(|| {
        let before = descriptors();
        for runtime in [current(), multi(2)] {
            let handle = runtime.handle().clone();
            let dropped = counter();
            let guard = Counted(dropped.clone());
            let task = handle.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            handle.block_on(async {
                yield_now().await;
                drop(runtime);
                assert!(task.await.expect_err("shut down").is_cancelled());
            });
            assert_eq!(dropped.load(Ordering::SeqCst), 1);
            drop(handle);
        }
        assert_nothing_left(before);
    });
}

#[test]
fn current_thread_runtime_dropped_while_another_thread_drives_it() {
    let _alone = alone();
    within(|| {
        let before = descriptors();
        for _ in 0..100 {
            let runtime = current();
            let (handle, driving) = (runtime.handle().clone(), Gate::default());
            let task = runtime.spawn(async {
                loop {
                    yield_now().await;
                }
            });
            let opened = driving.clone();
            let driver = std::thread::spawn(move || {
                handle.block_on(async {
                    opened.open();
                    task.await
                })
            });
            driving.wait_blocking();
            drop(runtime);
            let ended = driver.join().expect("it does not panic");
            assert!(ended.expect_err("it never ends by itself").is_cancelled());
        }
        assert_nothing_left(before);
    });
}

#[test]
fn shutdown_with_a_limit_tells_whether_all_ended() {
    let _alone = alone();
    within(|| {
        let before = descriptors();
        assert!(multi(2).shutdown_timeout(10 * GONE), "nothing to wait for");
        assert!(current().shutdown_timeout(10 * GONE), "nothing to wait for");

        let runtime = multi(2);
        let (inside, leave) = (Gate::default(), Gate::default());
        let task = runtime.spawn({
            let (inside, leave) = (inside.clone(), leave.clone());
            async move {
                inside.open();
                leave.wait_blocking();
                "late"
            }
        });
        inside.wait_blocking();
        assert!(!runtime.shutdown_timeout(5 * MS), "one is stuck");
        leave.open();
        until_blocking(|| task.is_finished());
        assert_eq!(current().block_on(task).expect("it completed"), "late");
        assert_nothing_left(before);

        let runtime = multi(2);
        drop(runtime.spawn(pending::<()>()));
        runtime.shutdown_background();
        assert_nothing_left(before);
    });
}

#[test]
fn sockets_that_outlive_their_runtime_get_its_error_and_can_be_closed() {
    let _alone = alone();
    within(|| {
        let before = descriptors();
        for runtime in [current(), multi(2)] {
            let (fd, mut peer) = {
                let _entered = runtime.enter();
                half_pair()
            };
            let other = current();
            let reader = other.block_on(blocked({
                let fd = fd.clone();
                async move { read(&fd, 1).await }
            }));
            peer.write_all(b"").expect("open");
            drop(runtime);
            other.block_on(async {
                let err = reader.await.expect_err("nobody polls it any more");
                assert!(is_shutdown(&err) && !is_closed(&err), "{err}");
                assert!(is_shutdown(&read(&fd, 1).await.expect_err("shut down")));
                assert!(is_shutdown(&write(&fd, b"x").await.expect_err("shut down")));
                assert!(is_shutdown(&fd.readable().await.expect_err("shut down")));
                assert!(is_shutdown(
                    &fd.try_read_with(|_| Ok(())).expect_err("shut down")
                ));
                fd.with_fd(|_| ()).expect("options need no poller");
                fd.close().await.expect("the first");
                assert!(is_closed(&fd.close().await.expect_err("the second")));
                let peer = adopt(peer);
                assert_eq!(read(&peer, 1).await.expect("the end"), b"");
            });
        }
        assert_nothing_left(before);
    });
}

#[test]
fn descriptor_of_a_dead_runtime_can_be_taken_back_and_adopted_by_another() {
    let _alone = alone();
    within(|| {
        let before = descriptors();
        let first = current();
        let (fd, mut peer) = {
            let _entered = first.enter();
            half_pair()
        };
        drop(first);
        let taken = fd.into_owned_fd().expect("the only handle");
        current().block_on(async {
            let again = adopt(taken);
            peer.write_all(b"x").expect("room");
            assert_eq!(read(&again, 1).await.expect("data is there"), b"x");
        });
        drop(peer);
        assert_nothing_left(before);
    });
}

/// Each call of `build` that the kernel refuses at another place leaves nothing.
#[test]
fn build_without_descriptors_fails_and_leaves_nothing() {
    let _alone = alone();
    within(|| {
        let (soft, _) = gannet_sys::fd::fd_limit().expect("a limit");
        let before = descriptors();
        let highest = std::fs::read_dir("/proc/self/fd")
            .expect("procfs")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok())
            .max()
            .expect("at least its own");
        // Plug the holes, so that the limit alone counts.
        let mut plugs = Vec::new();
        loop {
            let plug = std::fs::File::open("/dev/null").expect("room");
            let number = std::os::fd::AsRawFd::as_raw_fd(&plug);
            plugs.push(plug);
            if u64::try_from(number).expect("positive") > highest {
                break;
            }
        }
        let limit = plugs
            .last()
            .map(|plug| std::os::fd::AsRawFd::as_raw_fd(&plug.as_fd()));
        let first_free = limit.expect("one at least") as u64 + 1;
        let mut refused = 0;
        for room in 0..=8 {
            gannet_sys::fd::set_fd_limit(first_free + room).expect("below the hard limit");
            for builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
                match builder.build() {
                    Ok(runtime) => drop(runtime),
                    Err(err) => {
                        assert_eq!(err.raw_os_error(), Some(gannet_sys::errno::EMFILE), "{err}");
                        refused += 1;
                    }
                }
            }
        }
        gannet_sys::fd::set_fd_limit(soft).expect("as it was");
        assert!((8..18).contains(&refused), "{refused} of 18 were refused");
        drop(plugs);
        assert_nothing_left(before);
    });
}

#[test]
fn failed_and_dropped_descriptors_leave_the_count_unchanged() {
    let _alone = alone();
    within(|| {
        let runtime = multi(2);
        let before = descriptors();
        runtime.block_on(async {
            for round in 0..1000 {
                let (a, b) = pair();
                match round % 4 {
                    0 => drop((a, b)),
                    1 => drop((a.close(), b.close())),
                    2 => drop((a.into_owned_fd(), blocked(b.readable()).await)),
                    _ => {
                        let file = std::fs::File::open("/proc/self/exe").expect("procfs");
                        drop(gannet_runtime::AsyncFd::new(file).expect_err("a regular file"));
                    }
                }
            }
        });
        assert_eq!(descriptors(), before);
        assert_eq!(runtime.metrics().descriptors, 0);
    });
}
