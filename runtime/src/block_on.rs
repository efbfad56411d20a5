//! `block_on`: a plain thread waits for a future, and in a current-thread runtime runs its tasks
//! meanwhile.
//!
//! ```text
//! several threads in block_on of one current-thread runtime:
//!   WAITING ──seat free──▶ DRIVING (runs tasks, polls the network) ──future ready──▶ done, seat free, wakes the others
//!   WAITING ──future ready──▶ done
//! ```

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use crate::budget;
use crate::context;
use crate::park::Parker;
use crate::sched::shared::Shared;
use crate::sched::worker::Worker;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Who drives a current-thread runtime.
#[derive(Debug)]
pub(crate) struct Seat {
    taken: AtomicBool,
    /// Threads that would drive it if the seat became free.
    waiting: Mutex<Vec<Weak<Parker>>>,
}

impl Seat {
    pub(crate) fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            waiting: Mutex::new(Vec::new()),
        }
    }

    fn try_take(&self) -> bool {
        // Acquire: the worker's state as the last driver left it. Pairs with `free`.
        !self.taken.swap(true, Ordering::Acquire)
    }

    /// Enters a thread into the list of those that would drive, once.
    fn wait(&self, parker: &Arc<Parker>) {
        let parker = Arc::downgrade(parker);
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|known| known.ptr_eq(&parker)) {
            waiting.push(parker);
        }
    }

    fn free(&self) {
        self.taken.store(false, Ordering::Release);
        for parker in std::mem::take(&mut *self.waiting.lock()) {
            if let Some(parker) = parker.upgrade() {
                parker.unpark();
            }
        }
    }

    /// Runs `f` as the driver, or returns `None` if another thread is.
    pub(crate) fn drive<R>(
        &self,
        shared: &Arc<Shared>,
        f: impl FnOnce(&mut Worker) -> R,
    ) -> Option<R> {
        /// Frees the seat, also when the main future panics.
        struct Free<'a>(&'a Seat);
        impl Drop for Free<'_> {
            fn drop(&mut self) {
                self.0.free();
            }
        }
        if !self.try_take() {
            return None;
        }
        let _free = Free(self);
        let mut worker = Worker::new(shared.clone(), 0);
        let result = f(&mut worker);
        if shared.is_shut_down() {
            worker.drain();
        }
        Some(result)
    }
}

/// Refuses to block a thread that polls futures.
#[track_caller]
fn assert_may_block(shared: &Shared) {
    assert!(
        !context::polls_futures(),
        "block_on inside a task would block its worker: use .await, or spawn_blocking for the outer call"
    );
    assert!(
        !shared.is_forked(),
        "a gannet runtime cannot be used in a forked child: build a new one there"
    );
}

/// Waits for `future` on this thread, while the workers run the tasks.
#[track_caller]
pub(crate) fn multi_thread<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    assert_may_block(shared);
    let _entered = context::enter_polling(shared.clone(), None);
    let parker = Parker::new();
    let waker = parker.waker();
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = budget::with_fresh(|| future.as_mut().poll(&mut cx)) {
            return output;
        }
        parker.park();
    }
}

/// Wakes a thread in `block_on` of a current-thread runtime, wherever it waits.
struct MainWaker {
    woken: AtomicBool,
    /// The thread drives the runtime, and so may wait in the poller.
    driving: AtomicBool,
    parker: Arc<Parker>,
    shared: Arc<Shared>,
}

impl Wake for MainWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: publishes what the caller did. Acquire: sees that the thread drives, if its look came
        // before. Pairs with the swap in `poll_main`.
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.parker.unpark();
            if self.driving.load(Ordering::Relaxed) {
                self.shared.interrupt();
            }
        }
    }
}

/// Waits for `future` on this thread, and drives the runtime unless another thread does.
#[track_caller]
pub(crate) fn current_thread<F: Future>(shared: &Arc<Shared>, seat: &Seat, future: F) -> F::Output {
    assert_may_block(shared);
    let parker = Parker::new();
    let main = Arc::new(MainWaker {
        woken: AtomicBool::new(true),
        driving: AtomicBool::new(false),
        parker: parker.clone(),
        shared: shared.clone(),
    });
    let waker = Waker::from(main.clone());
    let mut future = pin!(future);
    let poll_main = |future: Pin<&mut F>| {
        if !main.woken.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        budget::with_fresh(|| future.poll(&mut Context::from_waker(&waker)))
    };
    loop {
        let driven = seat.drive(shared, |worker| {
            // Before the first look at `woken`: a wake-up that came earlier is seen there. Once set
            // it stays, because driving ends with the future.
            main.driving.store(true, Ordering::SeqCst);
            let _entered = context::enter_polling(shared.clone(), Some(worker.local()));
            worker.run(
                || poll_main(future.as_mut()),
                || main.woken.load(Ordering::Acquire),
            )
        });
        if let Some(output) = driven {
            return output;
        }
        {
            let _entered = context::enter_polling(shared.clone(), None);
            if let Poll::Ready(output) = poll_main(future.as_mut()) {
                return output;
            }
        }
        seat.wait(&parker);
        // The seat may have become free before we were in the list.
        if !seat.taken.load(Ordering::Acquire) {
            continue;
        }
        parker.park();
    }
}
