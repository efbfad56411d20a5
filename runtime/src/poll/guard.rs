//! Holding a direction of a descriptor, and the one retry loop of the crate.

use std::io;
use std::marker::PhantomData;
use std::ops::{ControlFlow, Deref};
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll, ready};

use gannet_sys::fd::PollDirection;

use super::desc::Side;
use super::direction::{Direction, Drained, Next};
use super::fd::Inner;
use super::fd_lock::Ticket;
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
        self.0.act(self.0.lock.leave());
    }
}

/// How far an operation has got with its direction's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// It has not asked.
    Outside,
    /// It waits in the queue.
    Queued(Ticket),
    /// It has the lock.
    Held,
    /// It has the lock, and a reference for the system call it is about to make. Between two polls
    /// no operation is here, so that one that waits holds up no close.
    Entered,
}

/// A side as a type, so that the common path knows it when it is compiled.
pub(crate) trait Sided {
    const SIDE: Side;
}

/// The side that reads.
#[derive(Debug)]
pub(crate) enum Reading {}

impl Sided for Reading {
    const SIDE: Side = Side::Read;
}

/// The side that writes.
#[derive(Debug)]
pub(crate) enum Writing {}

impl Sided for Writing {
    const SIDE: Side = Side::Write;
}

/// One direction of a descriptor, for the length of an operation: takes the lock when first polled,
/// and gives it back when dropped.
///
/// `H` holds the descriptor: a reference, or a share of it for what outlives every borrow.
pub(crate) struct Guard<H: Deref<Target = Inner>, S: Sided> {
    pub(crate) inner: H,
    hold: Hold,
    side: PhantomData<S>,
}

impl<H: Deref<Target = Inner>, S: Sided> Guard<H, S> {
    #[inline]
    pub(crate) fn new(inner: H) -> Self {
        Self {
            inner,
            hold: Hold::Outside,
            side: PhantomData,
        }
    }

    #[inline]
    fn direction(&self) -> &Direction {
        self.inner.descriptor().side(S::SIDE)
    }

    #[inline]
    fn drained(&self) -> &Drained {
        self.inner.descriptor().drained(S::SIDE)
    }

    /// Waits for the lock, unless it is held.
    #[inline]
    pub(crate) fn poll_lock(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        match self.hold {
            Hold::Held | Hold::Entered => return Poll::Ready(Ok(())),
            Hold::Outside => {
                if self.try_lock()? {
                    return Poll::Ready(Ok(()));
                }
            }
            Hold::Queued(_) => {}
        }
        self.poll_queue(cx)
    }

    #[cold]
    fn poll_queue(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        let mut ticket = match self.hold {
            Hold::Queued(ticket) => Some(ticket),
            _ => None,
        };
        let polled = self.inner.lock.poll_acquire(S::SIDE, &mut ticket, cx);
        self.hold = match (&polled, ticket) {
            (Poll::Ready(Ok(())), _) => Hold::Held,
            (_, Some(ticket)) => Hold::Queued(ticket),
            (_, None) => Hold::Outside,
        };
        polled
    }

    /// Takes the lock if it is free, and with it a reference unless it is known that a call would
    /// block. The lock is not held, and nothing waits for it.
    #[inline]
    pub(crate) fn try_lock(&mut self) -> Result<bool, Stop> {
        self.inner.shared().check_fork()?;
        let enters = !self.direction().would_block(self.drained());
        let taken = self.inner.lock.try_acquire_for(S::SIDE, enters)?;
        if taken {
            self.hold = if enters { Hold::Entered } else { Hold::Held };
        }
        Ok(taken)
    }

    /// Takes a reference for a system call, unless there is one. The lock is held.
    #[inline]
    fn enter(&mut self) -> Result<(), Stop> {
        if self.hold == Hold::Held {
            self.inner.lock.enter()?;
            self.hold = Hold::Entered;
        }
        Ok(())
    }

    /// Gives the reference back; the lock stays.
    #[inline]
    fn leave(&mut self) {
        if self.hold == Hold::Entered {
            self.hold = Hold::Held;
            let after = self.inner.lock.leave();
            self.inner.act(after);
        }
    }

    /// Takes a unit of the budget. Who has to come again for one holds up no close.
    #[inline]
    fn poll_proceed(&mut self, cx: &Context<'_>) -> Poll<budget::Unit> {
        let unit = budget::poll_proceed(cx);
        if unit.is_pending() {
            self.leave();
        }
        unit
    }

    /// Tries `op` once, also if it is thought that it would block: a hint is no answer.
    pub(crate) fn try_with<R>(
        &mut self,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
        drains: impl Fn(&R) -> bool,
    ) -> io::Result<R> {
        self.direction().prepare(self.drained())?;
        self.enter()?;
        loop {
            match op(self.inner.fd()) {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    if result.as_ref().is_ok_and(&drains) {
                        self.drained().set(true);
                    }
                    return result;
                }
            }
        }
    }

    /// Tries `op` once for an owner that may be waiting: after "would block" it waits as before. Any
    /// other answer gives the lock back.
    pub(crate) fn try_once_with<R>(
        &mut self,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
        drains: impl Fn(&R) -> bool,
    ) -> io::Result<R> {
        let waits = self.hold == Hold::Held;
        if !waits && (self.hold != Hold::Outside || !self.try_lock()?) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = self.try_with(op, drains);
        let blocks = matches!(&result, Err(err) if err.kind() == io::ErrorKind::WouldBlock);
        if blocks && S::SIDE == Side::Read {
            // The next wait need not ask what has just been answered. For writes it would be a guess:
            // a full queue of another's has no edges.
            self.drained().set(true);
        }
        if blocks && waits {
            self.leave();
        } else {
            self.unlock();
        }
        result
    }

    /// The one retry loop: every operation that may wait goes through here, so interruption, "would
    /// block", close, deadlines and the budget are handled once.
    ///
    /// An edge is consumed before each try and awaited only after "would block": an edge that comes
    /// in between is seen, at the price of one more try. `drains` tells from an answer that the
    /// kernel's queue is empty now.
    ///
    /// With its answer comes a reference, perhaps, which the caller gives back.
    #[inline]
    fn poll_tries<R>(
        &mut self,
        cx: &mut Context<'_>,
        op: &mut impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
        drains: impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        ready!(self.poll_lock(cx))?;
        let unit = ready!(self.poll_proceed(cx));
        let result = loop {
            match self.direction().prepare(self.drained()) {
                Err(stop) => break Err(stop.into()),
                Ok(Next::Wait) => {}
                Ok(Next::Try) => {
                    if let Err(stop) = self.enter() {
                        break Err(stop.into());
                    }
                    match op(self.inner.fd()) {
                        Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                        Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                        result => {
                            if result.as_ref().is_ok_and(&drains) {
                                self.drained().set(true);
                            }
                            break result;
                        }
                    }
                }
            }
            if let Err(err) = ready!(self.poll_wait(cx)) {
                break Err(err);
            }
        };
        // Whatever the answer: who asks again and again must let others run.
        unit.spend();
        Poll::Ready(result)
    }

    /// One operation of a series: the lock stays.
    pub(crate) fn poll_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
        drains: impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        let result = ready!(self.poll_tries(cx, &mut op, drains));
        self.leave();
        Poll::Ready(result)
    }

    /// An operation by itself: the lock is given back with the answer, so that who keeps the
    /// completed future keeps nobody out.
    #[inline]
    pub(crate) fn poll_once_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
        drains: impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        let result = ready!(self.poll_tries(cx, &mut op, drains));
        self.unlock();
        Poll::Ready(result)
    }

    /// Several operations, until one breaks off. The lock is given back then, and stays after an
    /// error.
    #[inline]
    pub(crate) fn poll_until<R>(
        &mut self,
        cx: &mut Context<'_>,
        op: &mut impl FnMut(BorrowedFd<'_>) -> io::Result<ControlFlow<R>>,
    ) -> Poll<io::Result<R>> {
        loop {
            match ready!(self.poll_tries(cx, op, |_| false)) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(answer)) => {
                    self.unlock();
                    return Poll::Ready(Ok(answer));
                }
                Err(err) => {
                    self.leave();
                    return Poll::Ready(Err(err));
                }
            }
        }
    }

    /// Waits for an edge, the deadline or close.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // In a forked child the poller is the parent's: it would never wake us, and is not ours to
        // change.
        self.inner.shared().check_fork()?;
        if !self.inner.descriptor().is_armed(S::SIDE) {
            ready!(self.poll_arm(cx))?;
        }
        self.leave();
        self.direction()
            .poll_ready(cx, self.drained())
            .map_err(io::Error::from)
    }

    /// Registers this side with the poller, at its first wait.
    #[cold]
    fn poll_arm(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if S::SIDE == Side::Read && self.inner.descriptor().defer() {
            self.leave();
            self.drained().set(false);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.enter()?;
        let (fd, key) = (self.inner.fd(), self.inner.key());
        Poll::Ready(self.inner.shared().poller.arm(fd, key, S::SIDE))
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
        let unit = ready!(self.poll_proceed(cx));
        let result = ready!(self.poll_known_edge(cx, asked));
        unit.spend();
        self.unlock();
        Poll::Ready(result)
    }

    fn poll_known_edge(&mut self, cx: &mut Context<'_>, asked: &mut bool) -> Poll<io::Result<()>> {
        let direction = self.direction();
        direction.check()?;
        if direction.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if !std::mem::replace(asked, true) && direction.prepare(self.drained())? == Next::Try {
            let of_interest = match S::SIDE {
                Side::Read => PollDirection::Read,
                Side::Write => PollDirection::Write,
            };
            self.enter()?;
            if poll_now(self.inner.fd(), of_interest)? {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_wait(cx)
    }

    /// Gives the lock, or the place in the queue, back.
    #[inline]
    pub(crate) fn unlock(&mut self) {
        let hold = std::mem::replace(&mut self.hold, Hold::Outside);
        if matches!(hold, Hold::Held | Hold::Entered) {
            self.direction().forget_waiter();
        }
        let lock = &self.inner.lock;
        match hold {
            Hold::Outside => {}
            Hold::Queued(ticket) => lock.abandon(S::SIDE, ticket),
            Hold::Held => lock.release(S::SIDE),
            Hold::Entered => self.inner.act(lock.leave_and_release(S::SIDE)),
        }
    }
}

impl<H: Deref<Target = Inner>, S: Sided> Drop for Guard<H, S> {
    #[inline]
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
