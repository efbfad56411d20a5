//! How a descriptor is given up: closed, or given away.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::fd::{AsyncFd, Inner};
use crate::error::Stop;

impl AsyncFd {
    /// Closes the descriptor: every operation that waits, and every later one, fails with the
    /// closed error.
    ///
    /// The closing happens in this call, whether the future is awaited or not. The future resolves
    /// when the kernel has closed it, which waits at most for system calls that other threads are
    /// in. The *number* is not reused until the last handle is dropped, so that a number obtained
    /// through `as_fd` never comes to mean something else; until then it stands for an unconnected
    /// socket.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the closing.
    ///
    /// # Errors
    /// [`is_closed`](crate::error::is_closed) if it was closed before; `EBADF` if the limit of open
    /// files was lowered to the number or below: then a socket is shut down in both directions, and
    /// closed with the last handle.
    ///
    /// Reference: [`close(2)`](https://man7.org/linux/man-pages/man2/close.2.html).
    pub fn close(&self) -> Close {
        let closed = self.inner.lock.close();
        if closed.is_ok() {
            self.inner.descriptor().stop(Stop::Closed).wake();
            self.inner.act(self.inner.lock.leave());
        }
        Close {
            inner: self.inner.clone(),
            closed,
        }
    }

    /// Returns whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.lock.is_closed()
    }

    /// Gives the descriptor away, still non-blocking, and ends its registration.
    ///
    /// # Errors
    /// [`is_closed`](crate::error::is_closed) after `close`; `ResourceBusy` while other handles
    /// exist.
    ///
    /// ```
    /// use gannet_runtime::{AsyncFd, Builder};
    /// use gannet_sys::fd;
    ///
    /// Builder::new_current_thread().build()?.block_on(async {
    ///     let (reader, _writer) = fd::pipe()?;
    ///     let reader = AsyncFd::new(reader)?;
    ///     let raw: std::os::fd::OwnedFd = reader.into_owned_fd()?;
    ///     assert!(AsyncFd::new(raw).is_ok(), "it can be adopted again");
    ///     Ok::<_, std::io::Error>(())
    /// })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// Reference: [`epoll_ctl(2)`](https://man7.org/linux/man-pages/man2/epoll_ctl.2.html),
    /// `EPOLL_CTL_DEL`.
    pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
        self.inner.shared().check_fork()?;
        if self.is_closed() {
            return Err(Stop::Closed.into());
        }
        let mut inner = Arc::try_unwrap(self.inner).map_err(|_| {
            io::Error::new(
                io::ErrorKind::ResourceBusy,
                "other handles on the descriptor exist",
            )
        })?;
        inner
            .shared()
            .poller
            .deregister(inner.fd(), inner.key(), true);
        let fd = inner.fd.take();
        Ok(fd
            .expect("present until the last handle gives it away")
            .into_owned())
    }
}

/// The future of [`AsyncFd::close`].
///
/// ```
/// use gannet_runtime::{AsyncFd, Builder, error};
///
/// Builder::new_current_thread().build()?.block_on(async {
///     let (reader, _writer) = gannet_sys::fd::pipe()?;
///     let pipe = AsyncFd::new(reader)?;
///     pipe.close().await?;
///     assert!(error::is_closed(&pipe.readable().await.unwrap_err()));
///     Ok::<_, std::io::Error>(())
/// })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// # Cancel safety
/// Dropping it stops the waiting, not the closing.
#[must_use = "the descriptor is being closed; await to know when it is gone, or drop"]
pub struct Close {
    inner: Arc<Inner>,
    closed: Result<(), Stop>,
}

impl Future for Close {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.closed?;
        // `gone` comes after the error is stored, and `poll_gone` acquires it.
        self.inner.lock.poll_gone(cx).map(|()| {
            match self.inner.close_errno.load(Ordering::Relaxed) {
                0 => Ok(()),
                errno => Err(io::Error::from_raw_os_error(errno)),
            }
        })
    }
}

impl fmt::Debug for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Close")
            .field("fd", &self.inner.fd)
            .field("first", &self.closed.is_ok())
            .finish()
    }
}
