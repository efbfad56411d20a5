//! Series of operations under one lock, as users hold them, and single ones for futures made by hand.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

use super::fd::Inner;
use super::guard::{Guard, Reading, Writing, is_short};

/// A series of reads of an [`AsyncFd`]: holds the read lock from its first use until it is dropped.
///
/// ```
/// use gannet_runtime::{AsyncFd, Builder};
/// use gannet_sys::fd;
///
/// Builder::new_current_thread().build()?.block_on(async {
///     let (reader, writer) = gannet_sys::fd::pipe()?;
///     let (reader, writer) = (AsyncFd::new(reader)?, AsyncFd::new(writer)?);
///     let mut series = writer.begin_write();
///     for piece in ["a ", "whole ", "line"] {
///         series.write_with(|to| fd::write(to, piece.as_bytes())).await?;
///     }
///     drop(series);
///
///     let mut line = [0; 12];
///     let mut series = reader.begin_read();
///     let (word, rest) = line.split_at_mut(2);
///     series.read_with(|from| fd::read(from, word)).await?;
///     series.read_with(|from| fd::read(from, rest)).await?;
///     assert_eq!(&line, b"a whole line");
///     Ok::<_, std::io::Error>(())
/// })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// [`AsyncFd`]: crate::AsyncFd
pub struct ReadGuard<'a> {
    pub(crate) guard: Guard<&'a Inner, Reading>,
}

impl ReadGuard<'_> {
    /// As [`AsyncFd::read_with`](crate::AsyncFd::read_with), as the next of the series.
    ///
    /// # Cancel safety
    /// As `AsyncFd::read_with`; the lock stays.
    ///
    /// # Errors
    /// As `AsyncFd::read_with`.
    pub fn read_with<R>(
        &mut self,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        poll_fn(move |cx| self.guard.poll_with(cx, &mut op, |_| false))
    }

    /// As [`AsyncFd::read_stream_with`](crate::AsyncFd::read_stream_with), as the next of
    /// the series.
    ///
    /// # Cancel safety
    /// As `AsyncFd::read_with`; the lock stays.
    ///
    /// # Errors
    /// As `AsyncFd::read_with`.
    pub fn read_stream_with(
        &mut self,
        len: usize,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> impl Future<Output = io::Result<usize>> {
        poll_fn(move |cx| self.guard.poll_with(cx, &mut op, |&n| is_short(n, len)))
    }

    /// Polls for one read by itself, for futures made by hand: as [`AsyncFd::read_with`], with the
    /// operation given anew at each poll. The lock is given back with the answer.
    ///
    /// # Errors
    /// As `AsyncFd::read_with`.
    ///
    /// [`AsyncFd::read_with`]: crate::AsyncFd::read_with
    #[inline]
    pub fn poll_read_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.guard.poll_once_with(cx, op, |_| false)
    }

    /// Polls for one read of a stream socket by itself: as [`AsyncFd::read_stream_with`], with the
    /// operation given anew at each poll. The lock is given back with the answer.
    ///
    /// # Errors
    /// As `AsyncFd::read_with`.
    ///
    /// [`AsyncFd::read_stream_with`]: crate::AsyncFd::read_stream_with
    #[inline]
    pub fn poll_read_stream_with(
        &mut self,
        cx: &mut Context<'_>,
        len: usize,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.guard.poll_once_with(cx, op, |&n| is_short(n, len))
    }
}

impl fmt::Debug for ReadGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadGuard")
            .field("fd", &self.guard.inner.fd)
            .finish()
    }
}

/// A series of writes of an [`AsyncFd`]: holds the write lock from its first use until it is
/// dropped.
///
/// ```
/// use gannet_runtime::{AsyncFd, Builder};
/// use gannet_sys::fd;
///
/// Builder::new_current_thread().build()?.block_on(async {
///     let (reader, writer) = gannet_sys::fd::pipe()?;
///     let (reader, writer) = (AsyncFd::new(reader)?, AsyncFd::new(writer)?);
///     let mut series = writer.begin_write();
///     for piece in ["a ", "whole ", "line"] {
///         series.write_with(|to| fd::write(to, piece.as_bytes())).await?;
///     }
///     drop(series);
///
///     let mut line = [0; 12];
///     let mut series = reader.begin_read();
///     let (word, rest) = line.split_at_mut(2);
///     series.read_with(|from| fd::read(from, word)).await?;
///     series.read_with(|from| fd::read(from, rest)).await?;
///     assert_eq!(&line, b"a whole line");
///     Ok::<_, std::io::Error>(())
/// })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// [`AsyncFd`]: crate::AsyncFd
pub struct WriteGuard<'a> {
    pub(crate) guard: Guard<&'a Inner, Writing>,
}

impl WriteGuard<'_> {
    /// As [`AsyncFd::write_with`](crate::AsyncFd::write_with), as the next of the series.
    ///
    /// # Cancel safety
    /// As `AsyncFd::read_with`; the lock stays.
    ///
    /// # Errors
    /// As `AsyncFd::read_with`.
    pub fn write_with<R>(
        &mut self,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        poll_fn(move |cx| self.guard.poll_with(cx, &mut op, |_| false))
    }

    /// Polls for a write in pieces: runs `op` again and again until it breaks off. Other tasks' writes
    /// do not come in between.
    ///
    /// `op` sends a piece, notes how far it got, and says whether there is more. The lock is given
    /// back with what it breaks off with; an error leaves it, for another attempt or
    /// [`release`](Self::release).
    ///
    /// Waits as [`AsyncFd::write_with`](crate::AsyncFd::write_with).
    ///
    /// # Errors
    /// As `AsyncFd::write_with`.
    #[inline]
    pub fn poll_write_until<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<ControlFlow<R>>,
    ) -> Poll<io::Result<R>> {
        self.guard.poll_until(cx, &mut op)
    }

    /// Gives the write lock back before the guard is dropped. The next operation takes it anew.
    pub fn release(&mut self) {
        self.guard.unlock();
    }
}

impl fmt::Debug for WriteGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteGuard")
            .field("fd", &self.guard.inner.fd)
            .finish()
    }
}
