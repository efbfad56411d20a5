//! Holding a direction of a descriptor, and the one retry loop of the crate.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use gannet_sys::fd::PollDirection;

use super::desc::Side;
use super::direction::Next;
use super::fd::Inner;
use super::fd_lock::{Acquire, After};
use crate::budget;
use crate::error::Stop;

/// A reference on the descriptor for the length of a system call.
pub(crate) struct Reference<'a>(&'a Inner);

impl<'a> Reference<'a> {
    pub(crate) fn take(inner: &'a Inner) -> Result<Self, Stop> {
        inner.lock.enter()?;
        Ok(Self(inner))
    }
}

impl Drop for Reference<'_> {
    fn drop(&mut self) {
        if self.0.lock.leave() == After::Destroy {
            self.0.destroy();
        }
    }
}

/// How far an operation has got with its direction's lock.
enum Hold<'a> {
    /// It has not asked.
    Outside,
    /// It waits in the queue.
    Queued(Acquire<'a>),
    /// It has the lock.
    Held,
    /// It has the lock, and its task may be registered as the direction's waiter.
    Waiting,
}

/// One direction of a descriptor, for the length of an operation: takes the lock when first polled,
/// and gives it back when dropped.
pub(crate) struct Guard<'a> {
    inner: &'a Inner,
    side: Side,
    hold: Hold<'a>,
}

impl<'a> Guard<'a> {
    pub(crate) fn new(inner: &'a Inner, side: Side) -> Self {
        let hold = Hold::Outside;
        Self { inner, side, hold }
    }

    /// Waits for the lock, unless it is held.
    pub(crate) fn poll_lock(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        loop {
            match &mut self.hold {
                Hold::Held | Hold::Waiting => return Poll::Ready(Ok(())),
                Hold::Queued(acquire) => {
                    ready!(Pin::new(acquire).poll(cx))?;
                    self.hold = Hold::Held;
                }
                Hold::Outside => {
                    self.inner.shared.check_fork()?;
                    if !self.try_lock()? {
                        self.hold = Hold::Queued(self.inner.lock.acquire(self.side));
                    }
                }
            }
        }
    }

    /// Takes the lock if it is free. It is not held, and nothing waits for it.
    pub(crate) fn try_lock(&mut self) -> Result<bool, Stop> {
        let taken = self.inner.lock.try_acquire(self.side)?;
        if taken {
            self.hold = Hold::Held;
        }
        Ok(taken)
    }

    /// Tries `op` once, also if it is thought that it would block: a hint is no answer.
    pub(crate) fn try_with<R>(
        &self,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
        drains: impl Fn(&R) -> bool,
    ) -> io::Result<R> {
        let _reference = Reference::take(self.inner)?;
        let direction = self.inner.descriptor().side(self.side);
        direction.prepare()?;
        loop {
            match op(self.inner.fd()) {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    if result.as_ref().is_ok_and(&drains) {
                        direction.mark_drained();
                    }
                    return result;
                }
            }
        }
    }

    /// The one retry loop: every operation that may wait goes through here, so interruption, "would
    /// block", close, deadlines and the budget are handled once.
    ///
    /// An edge is consumed before each try and awaited only after "would block": an edge that comes
    /// in between is seen, at the price of one more try. `drains` tells from an answer that the
    /// kernel's queue is empty now.
    pub(crate) fn poll_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
        drains: impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        ready!(self.poll_lock(cx))?;
        let unit = ready!(budget::poll_proceed(cx));
        let result = ready!(self.poll_tries(cx, op, drains));
        // Whatever the answer: who asks again and again must let others run.
        unit.spend();
        Poll::Ready(result)
    }

    fn poll_tries<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
        drains: impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        let _reference = Reference::take(self.inner)?;
        let direction = self.inner.descriptor().side(self.side);
        loop {
            if direction.prepare()? == Next::Try {
                match op(self.inner.fd()) {
                    Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                    Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                    result => {
                        if result.as_ref().is_ok_and(&drains) {
                            direction.mark_drained();
                        }
                        return Poll::Ready(result);
                    }
                }
            }
            ready!(self.poll_wait(cx))?;
        }
    }

    /// As [`poll_with`](Self::poll_with), and gives the lock back with the answer: who keeps the
    /// completed future keeps nobody out.
    pub(crate) fn poll_once_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
        drains: impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        let result = ready!(self.poll_with(cx, op, drains));
        self.unlock();
        Poll::Ready(result)
    }

    /// Waits for an edge, the deadline or close.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.inner.shared.is_forked() {
            // The poller is the parent's: it would never wake us, and is not ours to change.
            return Poll::Ready(Err(Stop::Forked.into()));
        }
        self.inner.shared.check_fork()?;
        if self.side == Side::Write {
            self.inner
                .shared
                .poller
                .arm_write(self.inner.fd(), self.inner.key)?;
        }
        let result = self.inner.descriptor().side(self.side).poll_ready(cx);
        self.hold = if result.is_pending() {
            Hold::Waiting
        } else {
            Hold::Held
        };
        result.map_err(io::Error::from)
    }

    /// Waits until a call of this direction would not block.
    ///
    /// An edge answers by itself; only if nothing is known of the descriptor is the kernel asked,
    /// once.
    pub(crate) fn poll_edge(
        &mut self,
        cx: &mut Context<'_>,
        asked: &mut bool,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_lock(cx))?;
        let unit = ready!(budget::poll_proceed(cx));
        let result = ready!(self.poll_known_edge(cx, asked));
        unit.spend();
        self.unlock();
        Poll::Ready(result)
    }

    fn poll_known_edge(&mut self, cx: &mut Context<'_>, asked: &mut bool) -> Poll<io::Result<()>> {
        let _reference = Reference::take(self.inner)?;
        let direction = self.inner.descriptor().side(self.side);
        direction.check()?;
        if direction.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if !std::mem::replace(asked, true) && direction.prepare()? == Next::Try {
            let of_interest = match self.side {
                Side::Read => PollDirection::Read,
                Side::Write => PollDirection::Write,
            };
            if poll_now(self.inner.fd(), of_interest)? {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_wait(cx)
    }
}

impl Guard<'_> {
    /// Gives the lock, or the place in the queue, back.
    fn unlock(&mut self) {
        match std::mem::replace(&mut self.hold, Hold::Outside) {
            Hold::Outside | Hold::Queued(_) => return,
            Hold::Held => {}
            Hold::Waiting => self.inner.descriptor().side(self.side).forget_waiter(),
        }
        self.inner.lock.release(self.side);
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.unlock();
    }
}

/// Asks the kernel whether an operation would block. `poll(2)` is interrupted by a signal that is
/// pending even if it does not wait.
fn poll_now(fd: BorrowedFd<'_>, direction: PollDirection) -> io::Result<bool> {
    loop {
        match gannet_sys::fd::poll(fd, direction) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether reading `n` bytes from a stream into room for `len` proves that its queue is empty.
///
/// None at all is the end of the stream, which stays readable.
pub(crate) fn is_short(n: usize, len: usize) -> bool {
    0 < n && n < len
}

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
    pub(crate) guard: Guard<'a>,
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
    pub(crate) guard: Guard<'a>,
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

    /// Runs `op` as [`write_with`](Self::write_with) does, again and again until it breaks off.
    ///
    /// For a write in pieces: `op` sends a piece, notes how far it got, and says whether there is
    /// more.
    ///
    /// # Cancel safety
    /// Dropping the future ends the series after some piece; `op` knows which.
    ///
    /// # Errors
    /// As `AsyncFd::write_with`.
    pub fn write_until<R>(
        &mut self,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<ControlFlow<R>>,
    ) -> impl Future<Output = io::Result<R>> {
        poll_fn(move |cx| {
            loop {
                if let ControlFlow::Break(answer) =
                    ready!(self.guard.poll_with(cx, &mut op, |_| false))?
                {
                    return Poll::Ready(Ok(answer));
                }
            }
        })
    }
}

impl fmt::Debug for WriteGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteGuard")
            .field("fd", &self.guard.inner.fd)
            .finish()
    }
}
