//! What a session's driver and its handles share: the protocol, and who waits for it.
//!
//! ```text
//!   handle: change ──▶ protocol ──▶ takes the driver's waker, wakes it
//!   driver: drive  ──▶ protocol ──▶ takes all waiters, wakes them, if it has news
//!   handle: wait   ──▶ protocol ──▶ leaves a waker unless it finds what it wants
//! ```
//!
//! Everything happens under one lock, so nobody can look, find nothing, and be missed by the one who
//! comes next. Wakers are cloned before it is taken, and called and dropped after it is given back.
//! What runs under it is the protocol, with the application's `State`: that is what the lock is for, so
//! a `State` must not call its own session.

use std::mem;
use std::task::{Context, Poll, Waker};

use crate::error::PathError;
use crate::proto::Protocol;
use crate::sync::Mutex;

pub(crate) struct Shared<P> {
    inner: Mutex<Inner<P>>,
    /// Why the newest datagram has not left this machine, if it has not.
    path_error: Mutex<Option<PathError>>,
}

struct Inner<P> {
    protocol: P,
    /// The driver, unless it was woken since it last looked.
    driver: Option<Waker>,
    /// Who waits for news of the protocol.
    waiters: Vec<Waker>,
}

impl<P: Protocol> Shared<P> {
    pub(crate) fn new(protocol: P) -> Self {
        Shared {
            inner: Mutex::new(Inner {
                protocol,
                driver: None,
                waiters: Vec::new(),
            }),
            path_error: Mutex::new(None),
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

    /// Lets the driver at the protocol. It will be woken by the next change. `drive` says whether
    /// there is news.
    pub(crate) fn drive<T>(&self, waker: &Waker, drive: impl FnOnce(&mut P) -> (T, bool)) -> T {
        let waker = waker.clone();
        let (result, waiters, before) = {
            let mut inner = self.inner.lock();
            let before = inner.driver.replace(waker);
            let (result, news) = drive(&mut inner.protocol);
            let waiters = if news {
                mem::take(&mut inner.waiters)
            } else {
                Vec::new()
            };
            (result, waiters, before)
        };
        drop(before);
        for waiter in waiters {
            waiter.wake();
        }
        result
    }

    /// Waits until `find` finds something. `None` once the protocol is over and there is nothing left.
    pub(crate) fn poll_find<T>(
        &self,
        cx: &mut Context<'_>,
        find: impl FnOnce(&mut P) -> Option<T>,
    ) -> Poll<Option<T>> {
        let waker = cx.waker().clone();
        let mut inner = self.inner.lock();
        if let Some(found) = find(&mut inner.protocol) {
            return Poll::Ready(Some(found));
        }
        if inner.protocol.is_closed() {
            return Poll::Ready(None);
        }
        if !inner.waiters.iter().any(|other| other.will_wake(&waker)) {
            inner.waiters.push(waker);
        }
        Poll::Pending
    }
}
