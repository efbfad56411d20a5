//! Pauses before another attempt at what the kernel lacks resources for.
//!
//! No edge announces that descriptors or buffers are free again, so a timer has to. The pause is
//! spent inside an operation of the descriptor that always "would block": close and the deadline
//! end it at once.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gannet_runtime::time::{Sleep, sleep, timeout};
use gannet_runtime::{OwnedWriteGuard, ReadGuard, WriteGuard};
use gannet_sys::errno;

/// Lengths of pauses: the first, and twice as long each time, up to the longest.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Backoff {
            next: first,
            longest,
        }
    }

    /// Returns the length of the next pause.
    pub(crate) fn advance(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }
}

/// Pauses a reader. Ends early, with an error, at the read deadline and at close.
pub(crate) async fn pause_reading(guard: &mut ReadGuard<'_>, pause: Duration) -> io::Result<()> {
    end_of_pause(timeout(pause, guard.read_with(|_| blocked())).await.ok())
}

/// Pauses a writer. Ends early, with an error, at the write deadline and at close.
pub(crate) async fn pause_writing(guard: &mut WriteGuard<'_>, pause: Duration) -> io::Result<()> {
    end_of_pause(timeout(pause, guard.write_with(|_| blocked())).await.ok())
}

/// The write lock of a socket, borrowed or shared.
pub(crate) trait WriteLock {
    fn poll_until<R>(
        &mut self,
        cx: &mut Context<'_>,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<ControlFlow<R>>,
    ) -> Poll<io::Result<R>>;

    fn release(&mut self);
}

impl WriteLock for WriteGuard<'_> {
    #[inline]
    fn poll_until<R>(
        &mut self,
        cx: &mut Context<'_>,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<ControlFlow<R>>,
    ) -> Poll<io::Result<R>> {
        self.poll_write_until(cx, op)
    }

    fn release(&mut self) {
        WriteGuard::release(self);
    }
}

impl WriteLock for OwnedWriteGuard {
    #[inline]
    fn poll_until<R>(
        &mut self,
        cx: &mut Context<'_>,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<ControlFlow<R>>,
    ) -> Poll<io::Result<R>> {
        self.poll_write_until(cx, op)
    }

    fn release(&mut self) {
        OwnedWriteGuard::release(self);
    }
}

/// One send, or several in a row, under the write lock. While the kernel lacks buffers (`ENOBUFS`) it
/// pauses, a quarter of a second in all, and tries again: nothing announces that there are some.
pub(crate) struct Sender<G> {
    guard: G,
    /// Boxed: the rare path should not make every task that sends bigger.
    shortage: Option<Box<Shortage>>,
}

struct Shortage {
    backoff: Backoff,
    /// The length of the pause, and its end.
    pause: Duration,
    end: Sleep,
}

impl Shortage {
    const LONGEST: Duration = Duration::from_millis(128);

    fn begin() -> Self {
        let mut backoff = Backoff::new(Duration::from_millis(1), Self::LONGEST);
        let pause = backoff.advance();
        let end = sleep(pause);
        Shortage {
            backoff,
            pause,
            end,
        }
    }
}

impl Sender<OwnedWriteGuard> {
    /// Runs `send` once without waiting; a poll that waits goes on waiting.
    pub(crate) fn try_once<R>(
        &mut self,
        send: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        let result = self.guard.try_write_with(send);
        let blocks = matches!(&result, Err(err) if err.kind() == io::ErrorKind::WouldBlock);
        if !blocks {
            self.shortage = None;
        }
        result
    }
}

impl<G: WriteLock> Sender<G> {
    /// Stops waiting, and gives the lock back.
    pub(crate) fn release(&mut self) {
        self.shortage = None;
        self.guard.release();
    }

    #[inline]
    pub(crate) fn new(guard: G) -> Self {
        Sender {
            guard,
            shortage: None,
        }
    }

    /// Runs `send` again and again until it breaks off.
    ///
    /// # Errors
    /// Those of `send`, as they come; `ENOBUFS` only after the last pause.
    #[inline]
    pub(crate) fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnMut(BorrowedFd<'_>) -> io::Result<ControlFlow<R>>,
    ) -> Poll<io::Result<R>> {
        let polled = self.poll_attempts(cx, send);
        if matches!(polled, Poll::Ready(Err(_))) {
            // The lock goes with the answer: who keeps the completed future keeps nobody out.
            self.guard.release();
        }
        polled
    }

    #[inline]
    fn poll_attempts<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(BorrowedFd<'_>) -> io::Result<ControlFlow<R>>,
    ) -> Poll<io::Result<R>> {
        loop {
            if self.shortage.is_some() {
                ready!(self.poll_pause(cx))?;
            }
            let mut progress = false;
            let polled = self.guard.poll_until(cx, |fd| {
                let sent = send(fd)?;
                progress |= sent.is_continue();
                Ok(sent)
            });
            if progress {
                self.shortage = None;
            }
            match ready!(polled) {
                Err(err) if lacks_buffers(&err) && self.may_pause_again() => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Waits for the end of the pause, the write deadline or close.
    #[cold]
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(shortage) = &mut self.shortage else {
            return Poll::Ready(Ok(()));
        };
        let blocked = self
            .guard
            .poll_until(cx, |_| blocked().map(ControlFlow::Break));
        if let Poll::Ready(interrupted) = blocked {
            return Poll::Ready(end_of_pause(Some(interrupted)));
        }
        Pin::new(&mut shortage.end).poll(cx).map(Ok)
    }

    /// Begins the next pause, unless the last one is over.
    #[cold]
    fn may_pause_again(&mut self) -> bool {
        match &mut self.shortage {
            Some(shortage) if shortage.pause == Shortage::LONGEST => return false,
            Some(shortage) => {
                shortage.pause = shortage.backoff.advance();
                shortage.end = sleep(shortage.pause);
            }
            None => self.shortage = Some(Box::new(Shortage::begin())),
        }
        true
    }
}

fn lacks_buffers(err: &io::Error) -> bool {
    err.raw_os_error() == Some(errno::ENOBUFS)
}

fn blocked() -> io::Result<Infallible> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// Turns what ended the pause, nothing if its time was over, into its result.
fn end_of_pause(interrupted: Option<io::Result<Infallible>>) -> io::Result<()> {
    match interrupted {
        Some(Err(err)) => Err(err),
        Some(Ok(never)) => match never {},
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_longest() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(5), ms(1000));
        let pauses: Vec<_> = std::iter::repeat_with(|| backoff.advance())
            .take(10)
            .collect();
        let want = [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000].map(ms);
        assert_eq!(pauses, want);
    }
}
