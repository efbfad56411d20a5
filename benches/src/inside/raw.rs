//! The floor: tasks that are polled in turns by one thread, whether they have been woken or not, with
//! wakers that do nothing. What is left is what the subject itself does, an allocation for each task,
//! and a place for the output of one that is joined. It is the floor where every turn brings a task
//! on, and no more than a busy loop where tasks wait long.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{self, Future};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::runtime::Runtime;

thread_local! {
    static TASKS: RefCell<VecDeque<Pin<Box<dyn Future<Output = ()>>>>> = RefCell::default();
}

/// Inside the loop of [`run`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw;

impl Runtime for Raw {
    fn spawn<T, F>(self, future: F) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let place = Arc::new(Mutex::new(None));
        let there = Arc::clone(&place);
        self.detach(async move {
            let output = future.await;
            *there.lock().unwrap_or_else(PoisonError::into_inner) = Some(output);
        });
        future::poll_fn(move |_| {
            let output = place.lock().unwrap_or_else(PoisonError::into_inner).take();
            output.map_or(Poll::Pending, Poll::Ready)
        })
    }

    fn detach<F>(self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        TASKS.with_borrow_mut(|tasks| tasks.push_back(Box::pin(future)));
    }

    async fn yield_now(self) {
        let mut yielded = false;
        future::poll_fn(|_| {
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            Poll::Pending
        })
        .await;
    }

    async fn sleep_until(self, deadline: Instant) {
        future::poll_fn(|_| {
            if Instant::now() < deadline {
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    async fn sleep(self, duration: Duration) {
        self.sleep_until(Instant::now() + duration).await;
    }

    async fn timeout<F>(self, limit: Duration, future: F) -> bool
    where
        F: Future<Output = ()> + Send,
    {
        let deadline = Instant::now() + limit;
        let mut future = pin!(future);
        future::poll_fn(|cx| {
            if future.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            if Instant::now() < deadline {
                return Poll::Pending;
            }
            Poll::Ready(false)
        })
        .await
    }
}

/// Runs `root`, and the tasks that it starts between its turns. Those that are left are dropped.
pub(super) fn run<T>(root: impl Future<Output = T>) -> T {
    let mut cx = Context::from_waker(Waker::noop());
    let mut root = pin!(root);
    let output = loop {
        if let Poll::Ready(output) = root.as_mut().poll(&mut cx) {
            break output;
        }
        let turn = TASKS.with_borrow(VecDeque::len);
        for _ in 0..turn {
            let task = TASKS.with_borrow_mut(VecDeque::pop_front);
            let mut task = task.expect("only this loop takes tasks");
            if task.as_mut().poll(&mut cx).is_pending() {
                TASKS.with_borrow_mut(|tasks| tasks.push_back(task));
            }
        }
    };
    drop(TASKS.take());
    output
}
