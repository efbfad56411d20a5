//! Guards that own a share of the descriptor: for futures made by hand that wait for many of them.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::fd::Inner;
use super::guard::{Guard, Reading, Writing, is_short};

/// One reader of an [`AsyncFd`], as a value that a future keeps between its polls, with no borrow and
/// no buffer: 32 bytes for each descriptor that it waits for.
///
/// While it waits it holds the read lock, and the descriptor keeps the waker of its last poll. Another
/// reader queues behind it, first come first served. An answer gives the lock back, and so does
/// dropping it.
///
/// ```
/// use gannet_runtime::{AsyncFd, Builder};
/// use gannet_sys::fd;
/// use std::future::poll_fn;
/// use std::task::Poll;
///
/// Builder::new_current_thread().build()?.block_on(async {
///     let pipes = [fd::pipe()?, fd::pipe()?];
///     let mut readers = Vec::new();
///     let mut writers = Vec::new();
///     for (reader, writer) in pipes {
///         readers.push(AsyncFd::new(reader)?.begin_read_owned());
///         writers.push(AsyncFd::new(writer)?);
///     }
///     writers[1].write_with(|to| fd::write(to, b"hello")).await?;
///
///     let mut buf = [0; 16]; // One for all, and only once there is something to read.
///     let (from, len) = poll_fn(|cx| {
///         for (index, reader) in readers.iter_mut().enumerate() {
///             if let Poll::Ready(read) = reader.poll_read_with(cx, |fd| fd::read(fd, &mut buf)) {
///                 return Poll::Ready(read.map(|len| (index, len)));
///             }
///         }
///         Poll::Pending
///     })
///     .await?;
///     assert_eq!((from, &buf[..len]), (1, &b"hello"[..]));
///     Ok::<_, std::io::Error>(())
/// })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// [`AsyncFd`]: crate::AsyncFd
pub struct OwnedReadGuard {
    guard: Guard<Arc<Inner>, Reading>,
    /// Whether the kernel was asked since something was read.
    asked: bool,
}

impl OwnedReadGuard {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        OwnedReadGuard {
            guard: Guard::new(inner),
            asked: false,
        }
    }

    /// Polls for one read, with the operation given anew at each poll: as
    /// [`AsyncFd::read_with`](crate::AsyncFd::read_with).
    ///
    /// # Errors
    /// As `AsyncFd::read_with`.
    #[inline]
    pub fn poll_read_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.asked = false;
        self.guard.poll_once_with(cx, op, |_| false)
    }

    /// Polls for one read that fills up to `len` places, as `recvmmsg(2)` does, and returns how many.
    ///
    /// Fewer than `len` prove that the kernel's queue was empty, so the next poll waits at once and
    /// saves the system call that would say so.
    ///
    /// # Errors
    /// As [`AsyncFd::read_with`](crate::AsyncFd::read_with).
    #[inline]
    pub fn poll_read_batch_with(
        &mut self,
        cx: &mut Context<'_>,
        len: usize,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.asked = false;
        self.guard.poll_once_with(cx, op, |&n| is_short(n, len))
    }

    /// Runs `op`, of the kind of [`poll_read_batch_with`](Self::poll_read_batch_with), once without
    /// waiting. `op` may say "would block" only if the kernel did.
    ///
    /// A poll that waits goes on waiting after "would block".
    ///
    /// # Errors
    /// `WouldBlock` if another reader holds the lock or `op` says so; otherwise as
    /// [`AsyncFd::read_with`](crate::AsyncFd::read_with).
    pub fn try_read_batch_with(
        &mut self,
        len: usize,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.asked = false;
        self.guard.try_once_with(op, |&n| is_short(n, len))
    }

    /// Polls until a read would not block: something to read, an error or the end is there.
    ///
    /// It is ready again and again until a read finds nothing more.
    ///
    /// # Errors
    /// As [`AsyncFd::read_with`](crate::AsyncFd::read_with).
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.guard.poll_edge(cx, &mut self.asked);
        if polled.is_ready() {
            self.asked = false;
        }
        polled
    }

    /// Gives the read lock, or the place in the queue, back, and forgets the waker.
    pub fn release(&mut self) {
        self.asked = false;
        self.guard.unlock();
    }
}

impl fmt::Debug for OwnedReadGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedReadGuard")
            .field("fd", &self.guard.inner.fd)
            .finish()
    }
}

/// One writer of an [`AsyncFd`], as a value that a future keeps between its polls, without a borrow.
///
/// While it waits it holds the write lock, and the descriptor keeps the waker of its last poll.
///
/// ```
/// use gannet_runtime::{AsyncFd, Builder};
/// use gannet_sys::fd;
/// use std::future::poll_fn;
/// use std::ops::ControlFlow;
///
/// Builder::new_current_thread().build()?.block_on(async {
///     let (reader, writer) = fd::pipe()?;
///     let (reader, writer) = (AsyncFd::new(reader)?, AsyncFd::new(writer)?);
///     let mut writer = writer.begin_write_owned();
///     poll_fn(|cx| {
///         writer.poll_write_until(cx, |to| fd::write(to, b"hello").map(ControlFlow::Break))
///     })
///     .await?;
///     let mut buf = [0; 16];
///     assert_eq!(reader.read_with(|from| fd::read(from, &mut buf)).await?, 5);
///     Ok::<_, std::io::Error>(())
/// })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// [`AsyncFd`]: crate::AsyncFd
pub struct OwnedWriteGuard {
    guard: Guard<Arc<Inner>, Writing>,
}

impl OwnedWriteGuard {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        OwnedWriteGuard {
            guard: Guard::new(inner),
        }
    }

    /// Polls for a write in pieces, as
    /// [`WriteGuard::poll_write_until`](crate::WriteGuard::poll_write_until).
    ///
    /// # Errors
    /// As [`AsyncFd::write_with`](crate::AsyncFd::write_with).
    #[inline]
    pub fn poll_write_until<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<ControlFlow<R>>,
    ) -> Poll<io::Result<R>> {
        self.guard.poll_until(cx, &mut op)
    }

    /// Runs `op` once without waiting. A poll that waits goes on waiting after "would block".
    ///
    /// # Errors
    /// `WouldBlock` if another writer holds the lock or `op` says so; otherwise as
    /// [`AsyncFd::write_with`](crate::AsyncFd::write_with).
    pub fn try_write_with<R>(
        &mut self,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        self.guard.try_once_with(op, |_| false)
    }

    /// Gives the write lock, or the place in the queue, back, and forgets the waker.
    pub fn release(&mut self) {
        self.guard.unlock();
    }
}

impl fmt::Debug for OwnedWriteGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedWriteGuard")
            .field("fd", &self.guard.inner.fd)
            .finish()
    }
}
