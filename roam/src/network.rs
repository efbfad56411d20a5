//! Changes of this machine's network, for all clients that begin on a thread.
//!
//! One socket hears of them, in a task of its own, and every session is told:
//!
//! ```text
//!   task:    watch ──▶ tell: counts, takes all waiters, wakes them
//!   session: poll  ──▶ news, if more is counted than it has seen
//!                  └─▶ leaves a waker otherwise
//! ```
//!
//! The count changes under the lock of the waiters, so nobody can look, see nothing new, and be missed
//! by the one who tells. A session whose waker is there looks at the count alone: what it does not see
//! there yet has taken that waker, and will wake it.
//!
//! The first session of a thread begins the task, the last one ends it. It is a thread's and not the
//! process's, because a network namespace is a thread's, too, and a forked child finds no lock.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use gannet_net::AddressWatch;
use gannet_runtime::{AbortHandle, Handle};

use crate::sync::{AtomicU64, Mutex, Ordering, models};
use crate::waiters::{Waiters, wake};

models!();

thread_local! {
    /// The ear of this thread, while it has sessions.
    static EAR: RefCell<Weak<Ear>> = const { RefCell::new(Weak::new()) };
}

/// What hears of changes, while sessions hold it.
struct Ear {
    runtime: Handle,
    news: Arc<News>,
    task: AbortHandle,
}

impl Ear {
    fn open(runtime: Handle) -> Option<Arc<Self>> {
        let watch = AddressWatch::new().ok()?;
        let news = Arc::new(News::default());
        let task = runtime.spawn(listen(watch, Arc::clone(&news)));
        Some(Arc::new(Ear {
            runtime,
            news,
            task: task.abort_handle(),
        }))
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Tells of changes until there are no more to be had: then heartbeats find out.
async fn listen(mut watch: AddressWatch, news: Arc<News>) {
    while let Ok(change) = watch.changed().await {
        if change.addresses || change.routes {
            news.tell();
        }
    }
}

/// A session's part in the ear of the thread that it began on.
pub(crate) struct Network {
    listener: Listener,
    /// Held for its end.
    _ear: Arc<Ear>,
}

impl Network {
    /// Hears of changes from now on. `None` where they are not told, as in some sandboxes.
    pub(crate) fn join() -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        let known = EAR.with_borrow(Weak::upgrade);
        // One of another runtime is not driven with this one, and one whose task has ended is deaf.
        let hears = |ear: &Arc<Ear>| ear.runtime == runtime && !ear.task.is_finished();
        let ear = match known.filter(hears) {
            Some(ear) => ear,
            None => {
                let ear = Ear::open(runtime)?;
                EAR.set(Arc::downgrade(&ear));
                ear
            }
        };
        Some(Network {
            listener: Listener::new(Arc::clone(&ear.news)),
            _ear: ear,
        })
    }

    /// Polls for a change since the last that was told of. It has to be polled again after one.
    pub(crate) fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.listener.poll(cx)
    }
}

/// How many changes there were, and who waits for more.
#[derive(Default)]
struct News {
    /// Changes under the lock of `waiters`.
    count: AtomicU64,
    waiters: Mutex<Waiters>,
}

impl News {
    fn tell(&self) {
        let waiters = {
            let mut waiters = self.waiters.lock();
            // Relaxed: the lock orders it for those who look under it, the waker for those who do not.
            self.count.fetch_add(1, Ordering::Relaxed);
            waiters.take()
        };
        wake(waiters);
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

struct Listener {
    news: Arc<News>,
    /// How many changes it has told of.
    seen: u64,
    /// Names its waker among the waiters.
    key: Option<u64>,
    /// The waker that it has left there since the last change.
    left: Option<Waker>,
}

impl Listener {
    fn new(news: Arc<News>) -> Self {
        Listener {
            seen: news.count(),
            news,
            key: None,
            left: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.left.as_ref();
        if left.is_some_and(|left| left.will_wake(cx.waker())) && self.news.count() == self.seen {
            return Poll::Pending;
        }
        let mut waker = Some(cx.waker().clone());
        let count = {
            let mut waiters = self.news.waiters.lock();
            let count = self.news.count();
            if count == self.seen {
                waiters.leave(&mut self.key, &mut waker);
            }
            count
        };
        // What was replaced, or not needed: after the lock.
        drop(waker);
        if count == self.seen {
            self.left = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.seen = count;
        self.left = None;
        Poll::Ready(())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waiter = self.news.waiters.lock().forget(key);
            drop(waiter);
        }
    }
}
