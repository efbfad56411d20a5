//! Forked children: they are told that the runtime is not theirs, can build their own, and disturb
//! the parent by nothing they do. In a program of its own, because children hold copies of all
//! descriptors for a moment.
#![allow(unsafe_code, reason = "runs code between fork and exec")]

mod common;

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{MS, blocked, current, half_pair, joined, multi, read, within, write};
use gannet_runtime::time::{now, sleep, timeout};
use gannet_runtime::{AsyncFd, Handle, Runtime, spawn};

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `child` in a forked child, which then executes `true`, and returns what it wrote.
fn in_child(mut child: impl FnMut(&mut dyn Write) + Send + Sync + 'static) -> String {
    let (mut told, mut tell) = UnixStream::pair().expect("a socketpair");
    let mut command = Command::new("true");
    let run = move || {
        child(&mut tell);
        Ok(())
    };
    // SAFETY: the child has one thread. What `run` does there beyond system calls is to allocate,
    // which the C library allows after fork, and to take locks of the standard library and of the
    // runtime that no thread of the parent holds: the tests of this program run one at a time, and
    // the parent's workers are idle.
    unsafe { command.pre_exec(run) };
    let mut process = command.spawn().expect("it forks and executes");
    drop(command); // And with it the parent's copy of the child's end.
    let mut text = String::new();
    told.read_to_string(&mut text).expect("text");
    assert!(process.wait().expect("it ends").success());
    text
}

/// What the child of a test says about each way to use the parent's runtime.
fn use_all(out: &mut dyn Write, handle: &Handle, fd: &AsyncFd) {
    let say = |out: &mut dyn Write, what: &str, result: Result<(), String>| {
        let answer = match result {
            Ok(()) => "worked".to_owned(),
            Err(text) => text,
        };
        writeln!(out, "{what}: {answer}").expect("the parent reads");
    };
    let text = |err: io::Error| err.to_string();
    let own = current();
    let task = own.block_on(handle.spawn(async {}));
    say(out, "spawn", task.map_err(|err| err.to_string()));
    let call = own.block_on(handle.spawn_blocking(|| ()));
    say(out, "spawn_blocking", call.map_err(|err| err.to_string()));
    let adopted = {
        let _entered = handle.enter();
        let (ours, _peer) = UnixStream::pair().expect("a socketpair");
        AsyncFd::new(ours)
            .map(drop)
            .map_err(|refused| refused.to_string())
    };
    say(out, "adopt", adopted);
    say(
        out,
        "deadline",
        fd.set_read_deadline(Some(now() + MS)).map_err(text),
    );
    let reading = own.block_on(timeout(5000 * MS, read(fd, 1)));
    say(
        out,
        "read",
        reading
            .map_err(|_| "hangs".into())
            .and_then(|read| read.map(drop).map_err(text)),
    );
    let readable = own.block_on(timeout(5000 * MS, fd.readable()));
    say(
        out,
        "readable",
        readable
            .map_err(|_| "hangs".into())
            .and_then(|ready| ready.map_err(text)),
    );
}

#[test]
fn child_that_uses_the_parents_runtime_is_told_so() {
    let _alone = alone();
    within(|| {
        for runtime in [current(), multi(2)] {
            let (fd, mut peer) = {
                let _entered = runtime.enter();
                half_pair()
            };
            let (handle, inherited) = (runtime.handle().clone(), fd.clone());
            let told = in_child(move |out| use_all(out, &handle, &inherited));
            let lines: Vec<&str> = told.lines().collect();
            assert_eq!(lines.len(), 6, "{told}");
            for line in lines {
                assert!(line.contains("forked child"), "{line}");
            }
            // And the parent is none the worse for it.
            peer.write_all(b"x").expect("room");
            let got = runtime.block_on(read(&fd, 1)).expect("data is there");
            assert_eq!(got, b"x");
            assert_undisturbed(&runtime);
        }
    });
}

/// The child of a threaded process aborts where others unwind.
#[test]
fn block_on_of_the_parents_runtime_in_a_child_panics_and_says_why() {
    let _alone = alone();
    within(|| {
        for runtime in [current(), multi(2)] {
            let handle = runtime.handle().clone();
            let mut command = Command::new("true");
            command.stderr(Stdio::piped());
            let run = move || {
                handle.block_on(async {});
                Ok(())
            };
            // SAFETY: as in `in_child`; the panic's message is written by one system call or more,
            // under a lock that no other thread holds.
            unsafe { command.pre_exec(run) };
            let process = command.spawn().expect("it forks");
            let output = process.wait_with_output().expect("it ends");
            assert!(!output.status.success(), "block_on returned");
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(text.contains("forked child"), "{text}");
            assert_undisturbed(&runtime);
        }
    });
}

#[track_caller]
fn assert_undisturbed(runtime: &Runtime) {
    runtime.block_on(async {
        let start = now();
        sleep(5 * MS).await;
        assert!(now() - start >= 5 * MS);
        let (a, b) = common::pair();
        let reader = spawn(async move { read(&a, 1).await });
        write(&b, b"x").await.expect("room");
        assert_eq!(joined(reader.await).expect("data came"), b"x");
    });
}

#[test]
fn child_can_build_a_runtime_of_its_own() {
    let _alone = alone();
    within(|| {
        let runtime = multi(2);
        let told = in_child(|out| {
            let own = multi(2);
            own.block_on(async {
                sleep(MS).await;
                let (a, b) = common::pair();
                let reader = spawn(async move { read(&a, 1).await });
                write(&b, b"x").await.expect("room");
                assert_eq!(joined(reader.await).expect("data came"), b"x");
            });
            drop(own);
            out.write_all(b"worked").expect("the parent reads");
        });
        assert_eq!(told, "worked");
        assert_undisturbed(&runtime);
    });
}

/// The child drops its copies of everything, with waiters and timers of the parent among them.
#[test]
fn child_that_drops_its_copies_does_not_disturb_the_parent() {
    let _alone = alone();
    within(|| {
        for runtime in [current(), multi(2)] {
            let (fd, mut peer) = {
                let _entered = runtime.enter();
                half_pair()
            };
            runtime.block_on(async {
                let reader = blocked(read(&fd, 1)).await;
                let sleeper = blocked(sleep(30 * MS)).await;
                fd.set_write_deadline(Some(now() + 3600 * 1000 * MS))
                    .expect("open");
                let inherited = Mutex::new(Some(fd.clone()));
                let told = in_child(move |out| {
                    let inherited = inherited.lock().expect("not poisoned").take();
                    let inherited = inherited.expect("the closure runs once");
                    drop(inherited.close());
                    drop(inherited);
                    out.write_all(b"dropped").expect("the parent reads");
                });
                assert_eq!(told, "dropped");
                sleeper.await;
                peer.write_all(b"x").expect("room");
                assert_eq!(reader.await.expect("data came"), b"x");
            });
            assert_undisturbed(&runtime);
        }
    });
}

/// Descriptors that were there during a fork are deregistered for good when they are closed.
#[test]
fn descriptor_that_lives_on_in_a_child_is_not_polled_any_more() {
    let _alone = alone();
    within(|| {
        let runtime = multi(1);
        let (fd, mut peer) = {
            let _entered = runtime.enter();
            half_pair()
        };
        let (go, mut cue) = UnixStream::pair().expect("a socketpair");
        let mut command = Command::new("true");
        let mut go = Some(go);
        let wait = move || {
            // Holds the copies of the parent's descriptors until it is told to go on.
            go.take().map_or(Ok(0), |mut go| go.read(&mut [0]))?;
            Ok(())
        };
        // SAFETY: the closure reads from a socket, which allocates nothing and takes no lock.
        unsafe { command.pre_exec(wait) };
        let child = std::thread::spawn(move || command.status());
        // The child exists once the fork was counted.
        common::until_blocking(|| gannet_sys::fork::forks() > 0);
        drop(fd);
        let parks = || runtime.metrics().per_worker[0].parks;
        common::until_blocking(|| runtime.metrics().workers_parked == 1);
        let before = parks();
        let _ = peer.write_all(b"x");
        drop(peer);
        runtime.block_on(sleep(20 * MS));
        let spent = parks() - before;
        assert!(
            spent < 20,
            "{spent} wake-ups for a descriptor that is closed"
        );
        cue.write_all(b"x").expect("it reads");
        assert!(
            child
                .join()
                .expect("it does not panic")
                .expect("it ran")
                .success()
        );
    });
}

/// What the descriptors of a process refer to.
fn links(directory: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).expect("procfs");
    entries
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn program_that_is_executed_inherits_no_descriptor_of_the_runtime() {
    let _alone = alone();
    within(|| {
        let before = links("/proc/self/fd");
        let runtime = multi(2);
        let _kept: Vec<_> = {
            let _entered = runtime.enter();
            let closed = common::pair();
            drop(closed.0.close());
            vec![common::pair(), common::pipe(), closed]
        };
        let list = "import os\nfor n in os.listdir('/proc/self/fd'):\n  try: print(os.readlink('/proc/self/fd/' + n))\n  except OSError: pass";
        // One by spawn, the other by fork and exec.
        for forks in [false, true] {
            let mut command = Command::new("python3");
            command.args(["-c", list]);
            if forks {
                // SAFETY: the closure does nothing; it only keeps `Command` from its shortcut.
                unsafe { command.pre_exec(|| Ok(())) };
            }
            let output = command.output().expect("python3 is here");
            let inherited: BTreeSet<String> = String::from_utf8_lossy(&output.stdout)
                .lines()
                .map(str::to_owned)
                .collect();
            assert!(!inherited.is_empty(), "it lists its own at least");
            let ours: BTreeSet<String> = links("/proc/self/fd")
                .difference(&before)
                .cloned()
                .collect();
            assert!(ours.len() > 5, "there is something to inherit: {ours:?}");
            let leaked: Vec<_> = inherited.intersection(&ours).collect();
            assert!(leaked.is_empty(), "inherited {leaked:?}");
        }
    });
}
