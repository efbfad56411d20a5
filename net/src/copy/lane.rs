//! One direction of a relay: bytes go from a descriptor into a pipe, and from there to a socket.
//!
//! The pipe is filled only when it is empty, and emptied before it is filled again. So "would block"
//! means that the *source* has nothing while it is filled, and that the *socket* has no room while it
//! is emptied; and a sender faster than the receiver is held up by its own window.
//!
//! ```text
//! empty ──take──▶ loaded ──send──▶ empty ─ ··· ─▶ end of the source
//! ```
//!
//! What was taken and not yet sent is the *load*. It outlives errors, deadlines and futures that are
//! dropped, so that nothing is lost.

use std::io;
use std::ops::ControlFlow;
use std::task::{Context, Poll, ready};

use gannet_runtime::{ReadGuard, WriteGuard};
use gannet_sys::{errno, fd, socket, transfer};

use super::pipe::{self, PIPE_LEN, Pipe};
use crate::conn::progressed;
use crate::pause::Sender;

/// A direction with what is on its way.
#[derive(Debug, Default)]
pub(super) struct Lane {
    load: Option<Load>,
    /// One of the two cannot be spliced: bytes go through a buffer, for good.
    buffered: bool,
    moved: u64,
}

/// Bytes that were taken and not yet sent; at least one.
#[derive(Debug)]
enum Load {
    Pipe { pipe: Pipe, len: usize },
    Bytes { bytes: Vec<u8>, sent: usize },
}

/// The two that a lane joins, for the length of a future.
pub(super) struct Ends<'a> {
    pub(super) from: ReadGuard<'a>,
    pub(super) to: Sender<WriteGuard<'a>>,
    /// A read that does not fill its buffer proves that the source is empty.
    pub(super) drains: bool,
}

/// Who failed, and in which system call.
#[derive(Debug)]
pub(super) enum Failed {
    From(&'static str, io::Error),
    To(&'static str, io::Error),
}

/// How much is moved before other tasks get their turn: some 100 µs.
pub(super) const TURN_LEN: usize = 1 << 20;
/// The buffer of what cannot be spliced, on the stack of the thread that is here.
pub(super) const BUFFER_LEN: usize = 32 << 10;

impl Lane {
    /// How many bytes were sent.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// How many bytes were taken and not yet sent.
    pub(super) fn loaded(&self) -> usize {
        match &self.load {
            None => 0,
            Some(Load::Pipe { len, .. }) => *len,
            Some(Load::Bytes { bytes, sent }) => bytes.len() - sent,
        }
    }

    /// Takes the bytes on their way out of the lane.
    pub(super) fn take_load(&mut self) -> io::Result<Vec<u8>> {
        match self.load.take() {
            None => Ok(Vec::new()),
            Some(Load::Pipe { pipe, len }) => pipe.read_out(len),
            Some(Load::Bytes { mut bytes, sent }) => {
                bytes.drain(..sent);
                Ok(bytes)
            }
        }
    }

    /// Uses buffers if splicing to a peer that is gone would end the process by `SIGPIPE`.
    pub(super) fn heed_signals(&mut self) {
        self.buffered |= !transfer::sigpipe_is_ignored();
    }

    #[cfg(test)]
    pub(super) fn set_buffered(&mut self, on: bool) {
        self.buffered = on;
    }

    #[cfg(test)]
    pub(super) fn is_buffered(&self) -> bool {
        self.buffered
    }

    /// Moves bytes until the source ends.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
    ) -> Poll<Result<(), Failed>> {
        let start = self.moved;
        loop {
            if self.load.is_some() {
                ready!(self.poll_send(cx, ends))?;
            }
            if self.moved - start >= TURN_LEN as u64 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if ready!(self.poll_take(cx, ends))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Waits for bytes and takes some; 0 is the end.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
    ) -> Poll<Result<usize, Failed>> {
        if !self.buffered {
            match ready!(self.poll_fill_pipe(cx, ends)) {
                Err(err) if cannot_splice(&err) => self.buffered = true,
                // There is no pipe to be had now: this once, a buffer does.
                Err(err) if lacks_resources(&err) => {}
                result => return Poll::Ready(result.map_err(|err| Failed::From("splice", err))),
            }
        }
        self.poll_pass_on(cx, ends)
    }

    fn poll_fill_pipe(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
    ) -> Poll<io::Result<usize>> {
        let filled = pipe::poll_fill(PIPE_LEN, |attempt| ends.from.poll_read_with(cx, attempt));
        let filled = ready!(filled)?;
        let Some((pipe, len)) = filled else {
            return Poll::Ready(Ok(0));
        };
        self.load = Some(Load::Pipe { pipe, len });
        Poll::Ready(Ok(len))
    }

    /// Reads into a buffer, and sends from it what can be sent at once. Only the rest needs memory of
    /// its own.
    #[inline(never)] // The buffer would burden the stack of the common path.
    fn poll_pass_on(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
    ) -> Poll<Result<usize, Failed>> {
        let mut buf = [0; BUFFER_LEN];
        let drain_len = if ends.drains { buf.len() } else { 0 };
        let read = ends
            .from
            .poll_read_stream_with(cx, drain_len, |from| fd::read(from, &mut buf));
        let len = ready!(read).map_err(|err| Failed::From("read", err))?;
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        let mut sent = 0;
        let polled = ends.to.poll(cx, |to| {
            let taken = socket::send(to, &buf[sent..len])?;
            sent += taken;
            next(taken, len - sent)
        });
        self.moved += sent as u64;
        if sent < len {
            self.load = Some(Load::Bytes {
                bytes: buf[sent..len].to_vec(),
                sent: 0,
            });
        }
        ready!(polled).map_err(|err| Failed::To("write", err))?;
        Poll::Ready(Ok(len))
    }

    /// Waits for room until all of the load is sent.
    fn poll_send(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_>) -> Poll<Result<(), Failed>> {
        if let Some(Load::Pipe { pipe, len }) = &mut self.load {
            let moved = &mut self.moved;
            let polled = ends.to.poll(cx, |to| {
                let taken = transfer::splice(pipe.read_end(), to, *len)?;
                *moved += taken as u64;
                *len -= taken;
                next(taken, *len)
            });
            match ready!(polled) {
                Ok(()) => {
                    if let Some(Load::Pipe { pipe, .. }) = self.load.take() {
                        pipe.give_back();
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(err) if cannot_splice(&err) => {
                    self.buffered = true;
                    let bytes = self.take_load().map_err(|err| Failed::To("read", err))?;
                    self.load = Some(Load::Bytes { bytes, sent: 0 });
                }
                Err(err) => return Poll::Ready(Err(Failed::To("splice", err))),
            }
        }
        self.poll_send_bytes(cx, ends)
    }

    fn poll_send_bytes(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
    ) -> Poll<Result<(), Failed>> {
        if let Some(Load::Bytes { bytes, sent }) = &mut self.load {
            let moved = &mut self.moved;
            let polled = ends.to.poll(cx, |to| {
                let taken = socket::send(to, &bytes[*sent..])?;
                *moved += taken as u64;
                *sent += taken;
                next(taken, bytes.len() - *sent)
            });
            ready!(polled).map_err(|err| Failed::To("write", err))?;
            self.load = None;
        }
        Poll::Ready(Ok(()))
    }
}

/// Whether there is more to send after a call that took `taken` bytes and left `rest`.
fn next(taken: usize, rest: usize) -> io::Result<ControlFlow<()>> {
    if rest == 0 {
        return Ok(ControlFlow::Break(()));
    }
    progressed(taken).map(ControlFlow::Continue)
}

/// Whether the kernel refuses to splice this pair, rather than to do it now: `EPERM` is how filters
/// of system calls say so.
pub(super) fn cannot_splice(err: &io::Error) -> bool {
    use errno::{EINVAL, ENOSYS, EOPNOTSUPP, EPERM};
    matches!(
        err.raw_os_error(),
        Some(EINVAL | ENOSYS | EOPNOTSUPP | EPERM)
    )
}

/// Whether a pipe, or what it needs, is not to be had now.
pub(super) fn lacks_resources(err: &io::Error) -> bool {
    use errno::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(err.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}
