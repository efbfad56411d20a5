//! What a session's driver and its handles share: the protocol, and who waits for it.
//!
//! ```text
//!   handle: change ──▶ protocol ──▶ takes the driver's waker, wakes it
//!   driver: drive  ──▶ protocol ──▶ takes all waiters, wakes them, if there is news
//!   handle: find   ──▶ protocol ──▶ leaves a waker unless it finds what it wants
//! ```
//!
//! Everything happens under one lock, so nobody can look, find nothing, and be missed by the one who
//! comes next. Wakers are cloned before it is taken, and called and dropped after it is given back.
//! What runs under it is the protocol, with the application's `State`: that is what the lock is for, so
//! a `State` must not call its own session.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use gannet_sys::fork;

use crate::error::PathError;
use crate::proto::Protocol;
use crate::sync::{Mutex, models};
use crate::waiters::{Waiter, Waiters, wake};

models!();

pub(crate) struct Shared<P> {
    inner: Mutex<Inner<P>>,
    /// Why the newest datagram has not left this machine, if it has not.
    path_error: Mutex<Option<PathError>>,
    /// The process whose driver it is.
    process: u32,
}

struct Inner<P> {
    protocol: P,
    /// The driver, unless it was woken since it last looked.
    driver: Option<Waker>,
    /// Who waits for news of the protocol.
    waiters: Waiters,
    /// The news that waiters were woken for.
    news: u64,
}

impl<P: Protocol> Shared<P> {
    pub(crate) fn new(protocol: P) -> Self {
        Shared {
            inner: Mutex::new(Inner {
                news: protocol.news(),
                protocol,
                driver: None,
                waiters: Waiters::default(),
            }),
            path_error: Mutex::new(None),
            process: fork::generation(),
        }
    }

    pub(crate) fn path_error(&self) -> Option<PathError> {
        *self.path_error.lock()
    }

    pub(crate) fn set_path_error(&self, error: Option<PathError>) {
        *self.path_error.lock() = error;
    }

    /// Looks at the protocol.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut P) -> T) -> T {
        look(&mut self.inner.lock().protocol)
    }

    /// Changes the protocol, and has the driver see what there is to send.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut P) -> T) -> T {
        let (result, driver) = {
            let mut inner = self.inner.lock();
            (change(&mut inner.protocol), inner.driver.take())
        };
        if let Some(driver) = driver {
            driver.wake();
        }
        result
    }

    /// Lets the driver at the protocol. It will be woken by the next change.
    pub(crate) fn drive<T>(&self, waker: &Waker, drive: impl FnOnce(&mut P) -> T) -> T {
        let waker = waker.clone();
        let (result, waiters, before) = {
            let mut inner = self.inner.lock();
            let before = inner.driver.replace(waker);
            let result = drive(&mut inner.protocol);
            (result, inner.waiters_for_news(), before)
        };
        drop(before);
        wake(waiters);
        result
    }

    /// Ends the protocol at once: its driver is gone.
    pub(crate) fn abandon(&self) {
        let (waiters, driver) = {
            let mut inner = self.inner.lock();
            inner.protocol.abandon();
            (inner.waiters_for_news(), inner.driver.take())
        };
        drop(driver);
        wake(waiters);
    }

    /// Waits until `find` finds something. `None` once the protocol is over and there is nothing left,
    /// and in a forked child, which has no driver.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind. What `find` takes is returned.
    pub(crate) fn find<T, F>(&self, find: F) -> Find<'_, P, F>
    where
        F: FnMut(&mut P) -> Option<T>,
    {
        Find {
            shared: self,
            find,
            key: None,
        }
    }

    fn poll_find<T>(
        &self,
        cx: &mut Context<'_>,
        key: &mut Option<u64>,
        find: &mut impl FnMut(&mut P) -> Option<T>,
    ) -> Poll<Option<T>> {
        // Declared before the lock, and so dropped after it, with a waker in it that was left before.
        let mut waker = Some(cx.waker().clone());
        let mut inner = self.inner.lock();
        if let Some(found) = find(&mut inner.protocol) {
            return Poll::Ready(Some(found));
        }
        if inner.protocol.is_closed() || fork::generation() != self.process {
            return Poll::Ready(None);
        }
        inner.waiters.leave(key, &mut waker);
        Poll::Pending
    }

    /// Takes the waker of a waiter away, if it is still there.
    fn forget(&self, key: u64) {
        let waiter = self.inner.lock().waiters.forget(key);
        drop(waiter);
    }
}

impl<P: Protocol> Inner<P> {
    /// Takes all waiters, if anything is new to them.
    fn waiters_for_news(&mut self) -> Vec<Waiter> {
        let news = self.protocol.news();
        if mem::replace(&mut self.news, news) == news {
            return Vec::new();
        }
        self.waiters.take()
    }
}

/// Waits for something in a protocol: see [`Shared::find`].
pub(crate) struct Find<'a, P: Protocol, F> {
    shared: &'a Shared<P>,
    find: F,
    /// Names the waker that it has left, if any.
    key: Option<u64>,
}

/// Nothing in it is pinned.
impl<P: Protocol, F> Unpin for Find<'_, P, F> {}

impl<P, F, T> Future for Find<'_, P, F>
where
    P: Protocol,
    F: FnMut(&mut P) -> Option<T>,
{
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        this.shared.poll_find(cx, &mut this.key, &mut this.find)
    }
}

impl<P: Protocol, F> Drop for Find<'_, P, F> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.shared.forget(key);
        }
    }
}
