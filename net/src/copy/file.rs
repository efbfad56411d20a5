//! Receiving into a file inside the kernel.
//!
//! A file takes all that it is given while the call lasts, so a piece goes from the socket into a pipe
//! and on into the file in one and the same poll: between polls nothing is on its way. The read lock
//! stays between the pieces, which a single read (`poll_read_with`) would give back.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use gannet_runtime::ReadGuard;
use gannet_sys::{fd, transfer};

use super::lane::{BUFFER_LEN, TURN_LEN, cannot_splice, lacks_resources};
use super::pipe::{self, PIPE_LEN, Pipe};
use super::{bytes, no_stream};
use crate::conn::{Conn, progressed};
use crate::error::{Op, syscall};
use crate::network::Protocol;

impl Conn {
    /// Receives `len` bytes into a file, from `offset` bytes on, or as many as come until the end of
    /// the stream; returns how many.
    ///
    /// The bytes stay in the kernel (`splice(2)`, through a pipe); a file that the kernel does not
    /// write so, such as one that was opened for appending, is written from a buffer. The file's own
    /// position stays, so that many tasks may write one file; what was opened for appending is appended
    /// to, whatever the offset. Nothing behind the last byte is taken, and other tasks' reads do not
    /// come in between. Waits for bytes, the read deadline or close; after each MiB other tasks run.
    ///
    /// The file is written to on the thread that is here, as [`send_file`](Self::send_file) reads it:
    /// into the page cache, 150 to 300 µs for a MiB. It takes longer, and blocks that worker, where memory
    /// has to be found first, where the disk cannot follow and the kernel holds writers up
    /// (`/proc/sys/vm/dirty_ratio`), and where the file is on a network. There, read in the task and write in
    /// [`spawn_blocking`](gannet_runtime::spawn_blocking).
    ///
    /// Descriptors that come with the bytes of a Unix stream are closed.
    ///
    /// # Cancel safety
    /// Not cancel safe: how much was written before the future is dropped is not known, though all that
    /// was received is in the file. A deadline loses nothing.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), and those of writing the file (`ENOSPC`, `EFBIG`), which lose
    /// what was received and not written; [`error::moved`](crate::error::moved) tells how many bytes
    /// are in the file. `InvalidInput` if the connection is no stream.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::UnixStream;
    /// use std::fs::File;
    ///
    /// # let path = std::env::temp_dir().join(format!("gannet-doc-{}", std::process::id()));
    /// let file = File::create(&path)?;
    /// # std::fs::remove_file(&path)?;
    /// let (left, right) = UnixStream::pair()?;
    /// left.write_all(b"hello, world").await?;
    /// assert_eq!(right.recv_file(&file, 100, 5).await?, 5);
    /// assert_eq!(file.metadata()?.len(), 105);
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// Reference: [`splice(2)`](https://man7.org/linux/man-pages/man2/splice.2.html).
    pub async fn recv_file(&self, file: &File, offset: u64, len: u64) -> io::Result<u64> {
        let mut part = Part {
            file: file.as_fd(),
            offset,
            rest: len,
            buffered: false,
        };
        self.recv_part(&mut part).await?;
        Ok(len - part.rest)
    }

    async fn recv_part(&self, part: &mut Part<'_>) -> io::Result<()> {
        let len = part.rest;
        if !self.is_stream() {
            return Err(self.op_error(Op::Read, no_stream()).into());
        }
        if len == 0 {
            return self.check_open(Op::Read);
        }
        let drains = self.network().protocol() == Protocol::Tcp;
        let mut from = self.fd.begin_read();
        let result = poll_fn(|cx| part.poll(cx, &mut from, drains)).await;
        result.map_err(|failed| {
            let (op, call, err) = match failed {
                Failed::From(call, err) => (Op::Read, call, err),
                Failed::File(call, err) => (Op::WriteTo, call, err),
            };
            let err = self.op_error(op, syscall(call, err));
            err.after(bytes(len - part.rest)).into()
        })
    }
}

/// What of a file is still to be written.
struct Part<'a> {
    file: BorrowedFd<'a>,
    offset: u64,
    rest: u64,
    /// One of the two cannot be spliced: bytes go through a buffer, for good.
    buffered: bool,
}

/// Who failed, and in which system call.
enum Failed {
    From(&'static str, io::Error),
    File(&'static str, io::Error),
}

impl Part<'_> {
    /// Receives until nothing is left to be written or the source ends.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadGuard<'_>,
        drains: bool,
    ) -> Poll<Result<(), Failed>> {
        let start = self.rest;
        while self.rest > 0 {
            if start - self.rest >= TURN_LEN as u64 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if ready!(self.poll_piece(cx, from, drains))? == 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for bytes, and writes those that are there; 0 is the end.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadGuard<'_>,
        drains: bool,
    ) -> Poll<Result<usize, Failed>> {
        if !self.buffered {
            match ready!(self.poll_splice(cx, from)) {
                Err(Failed::From(_, err)) if cannot_splice(&err) => self.buffered = true,
                // There is no pipe to be had now: this once, a buffer does.
                Err(Failed::From(_, err)) if lacks_resources(&err) => {}
                result => return Poll::Ready(result),
            }
        }
        self.poll_buffered(cx, from, drains)
    }

    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadGuard<'_>,
    ) -> Poll<Result<usize, Failed>> {
        let filled = pipe::poll_fill(self.piece(PIPE_LEN), |attempt| {
            pin!(from.read_with(attempt)).poll(cx)
        });
        Poll::Ready(match ready!(filled) {
            Ok(None) => Ok(0),
            Ok(Some((pipe, len))) => self.write_pipe(pipe, len).map(|()| len),
            Err(err) => Err(Failed::From("splice", err)),
        })
    }

    /// Writes the `len` bytes that are in the pipe.
    fn write_pipe(&mut self, pipe: Pipe, len: usize) -> Result<(), Failed> {
        let mut left = len;
        while left > 0 {
            match transfer::splice_to_file(pipe.read_end(), self.file, self.offset, left) {
                Ok(0) => return Err(Failed::File("splice", io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.note(written);
                    left -= written;
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) if cannot_splice(&err) => {
                    self.buffered = true;
                    let bytes = pipe.read_out(left);
                    return self.write(&bytes.map_err(|err| Failed::From("read", err))?);
                }
                // The pipe is closed, with what is in it.
                Err(err) => return Err(Failed::File("splice", err)),
            }
        }
        pipe.give_back();
        Ok(())
    }

    #[inline(never)] // The buffer would burden the stack of the common path.
    fn poll_buffered(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadGuard<'_>,
        drains: bool,
    ) -> Poll<Result<usize, Failed>> {
        let mut buf = [0; BUFFER_LEN];
        let buf = &mut buf[..self.piece(BUFFER_LEN)];
        let drain_len = if drains { buf.len() } else { 0 };
        let read = pin!(from.read_stream_with(drain_len, |from| fd::read(from, buf))).poll(cx);
        let len = ready!(read).map_err(|err| Failed::From("read", err))?;
        Poll::Ready(self.write(&buf[..len]).map(|()| len))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = match transfer::write_at(self.file, rest, self.offset) {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                written => written.and_then(|written| progressed(written).map(|()| written)),
            };
            let written = written.map_err(|err| Failed::File("write", err))?;
            self.note(written);
            rest = &rest[written..];
        }
        Ok(())
    }

    /// How much to ask for at once.
    fn piece(&self, most: usize) -> usize {
        self.rest.min(most as u64) as usize
    }

    fn note(&mut self, written: usize) {
        // A file's end is below 2^63.
        self.offset += written as u64;
        self.rest -= written as u64;
    }
}

#[cfg(test)]
mod tests;
