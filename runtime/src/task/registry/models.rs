//! Models of shutdown: the registry and the global queue close while tasks are spawned, woken and
//! run.

use std::future::{Future, pending, poll_fn, ready};
use std::task::{Poll, Waker};

use loom::sync::Arc;

use super::super::join::JoinHandle;
use super::super::raw::{Queue, Schedule};
use super::*;
use crate::sched::inject::Inject;
use crate::sync::model::{block_on, model};
use crate::sync::thread;

/// What of a runtime takes part: the rest of `Shared` is not modelled.
struct Shared {
    registry: Registry,
    inject: Inject,
}

#[derive(Clone)]
struct Runtime(Arc<Shared>);

impl Schedule for Runtime {
    type Queue = Self;

    fn queue(&self) -> Self {
        self.clone()
    }

    fn release(&self, task: &Task) -> Option<Task> {
        self.0.registry.remove(task)
    }
}

impl Queue for Runtime {
    fn push(self, task: Task) {
        self.0.inject.push(task);
    }
}

impl Runtime {
    fn new() -> Self {
        Self(Arc::new(Shared {
            registry: Registry::new(0),
            inject: Inject::new(),
        }))
    }

    /// As `Shared::spawn`.
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let [entry, registered, join] = Task::new(future, self.clone(), 0);
        if let Err(refused) = self.0.registry.insert(registered) {
            refused.cancel(JoinError::cancelled());
        } else {
            self.clone().push(entry);
        }
        JoinHandle::new(join)
    }

    /// As `Shared::clean_up`.
    fn close(&self) {
        self.0.registry.close();
        self.0.inject.close();
    }

    fn run_all(&self) {
        let next = || self.0.inject.pop(1, |_| unreachable!("one was asked for"));
        while let Some(task) = next() {
            if let Some(again) = task.run() {
                self.clone().push(again);
            }
        }
    }

    fn assert_empty(&self) {
        assert_eq!(self.0.registry.counts().0, 0, "a task is still registered");
        assert_eq!(self.0.inject.len(), 0, "a runnable is still queued");
    }
}

/// L16: a task that is spawned while the runtime shuts down completes or is cancelled; its handle
/// says so, and nothing of it is left.
///
/// Mutant: registry_takes_after_close: a task comes when nobody will run or cancel it.
/// Mutant: registry_closes_last: the same, between the last look and the end.
/// Mutant: registry_remove_unchecked: a task gives up a place that shutdown emptied.
#[test]
fn spawn_racing_shutdown_resolves() {
    model("spawn_racing_shutdown_resolves", Some(2), || {
        let runtime = Runtime::new();
        let mut token = Arc::new(());
        let closer = {
            let runtime = runtime.clone();
            thread::spawn(move || runtime.close())
        };
        let handle = runtime.spawn(ready(token.clone()));
        let worker = {
            let runtime = runtime.clone();
            thread::spawn(move || runtime.run_all())
        };
        match block_on(handle) {
            Ok(output) => drop(output),
            Err(err) => assert!(err.is_cancelled()),
        }
        worker.join().unwrap();
        closer.join().unwrap();
        assert!(Arc::get_mut(&mut token).is_some(), "dropped by now");
        runtime.assert_empty();
    });
}

/// L16: a task that is woken, and run, while the runtime shuts down completes or is cancelled.
///
/// Mutant: registry_forgets_running: shutdown does not tell the runner of a task that it skips.
#[test]
fn wake_racing_shutdown_resolves() {
    model("wake_racing_shutdown_resolves", Some(3), || {
        let runtime = Runtime::new();
        let mut token = Arc::new(());
        let (desk, held) = (Arc::new(Mutex::new(None::<Waker>)), token.clone());
        let handle = {
            let desk = desk.clone();
            runtime.spawn(poll_fn(move |cx| {
                let _held = &held;
                *desk.lock() = Some(cx.waker().clone());
                Poll::<()>::Pending
            }))
        };
        runtime.run_all();
        let waker = desk.lock().take().expect("left at the first poll");
        let closer = {
            let runtime = runtime.clone();
            thread::spawn(move || runtime.close())
        };
        waker.wake();
        runtime.run_all();
        assert!(block_on(handle).unwrap_err().is_cancelled());
        closer.join().unwrap();
        drop(desk.lock().take());
        assert!(Arc::get_mut(&mut token).is_some(), "dropped by now");
        runtime.assert_empty();
    });
}

/// Spawns, and wakes another task, as it is dropped.
struct BusyDrop {
    runtime: Runtime,
    other: Option<Waker>,
    spawned: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Drop for BusyDrop {
    fn drop(&mut self) {
        if let Some(waker) = self.other.take() {
            waker.wake();
        }
        *self.spawned.lock() = Some(self.runtime.spawn(pending()));
    }
}

/// L16: a future whose drop wakes another task and spawns a third, at shutdown or before, neither
/// deadlocks nor leaves any of them unresolved.
///
/// Mutant: registry_cancels_under_the_lock: a drop that spawns waits for its own thread.
#[test]
fn drop_that_wakes_and_spawns_at_shutdown_resolves() {
    model(
        "drop_that_wakes_and_spawns_at_shutdown_resolves",
        Some(2),
        || {
            let runtime = Runtime::new();
            let desk = Arc::new(Mutex::new(None::<Waker>));
            let other = {
                let desk = desk.clone();
                runtime.spawn(poll_fn(move |cx| {
                    *desk.lock() = Some(cx.waker().clone());
                    Poll::<()>::Pending
                }))
            };
            runtime.run_all();
            let spawned = Arc::new(Mutex::new(None));
            let busy = BusyDrop {
                runtime: runtime.clone(),
                other: desk.lock().take(),
                spawned: spawned.clone(),
            };
            let first = runtime.spawn(async move {
                let _busy = busy;
                pending::<()>().await;
            });
            runtime.run_all();
            let closer = {
                let runtime = runtime.clone();
                thread::spawn(move || runtime.close())
            };
            first.abort();
            runtime.run_all();
            assert!(block_on(first).unwrap_err().is_cancelled());
            assert!(block_on(other).unwrap_err().is_cancelled());
            let third = spawned
                .lock()
                .take()
                .expect("spawned as the first was dropped");
            assert!(block_on(third).unwrap_err().is_cancelled());
            closer.join().unwrap();
            drop(desk.lock().take());
            runtime.assert_empty();
        },
    );
}
