//! Sending files inside the kernel.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};

use gannet_sys::{errno, socket, transfer};

use crate::conn::{Conn, progressed};
use crate::copy::bytes;
use crate::error::{Op, syscall};

/// How much one system call is asked for. A task makes 128 of them at most before others have their
/// turn, which are some milliseconds if the receiver keeps up.
const CHUNK_LEN: usize = 128 << 10;
/// The buffer of a file that the kernel does not send by itself, on the stack of the thread that is
/// here.
const BUFFER_LEN: usize = 32 << 10;

impl Conn {
    /// Sends `len` bytes of a file, from `offset` bytes on, or as many as it has; returns how many.
    ///
    /// The bytes go from the kernel's page cache to the socket (`sendfile(2)`); what the kernel does not
    /// send so, such as files of `/proc`, goes through a buffer. The file's own position stays, so that
    /// many tasks may send one file. Other tasks' writes do not come in between. Waits for room, the
    /// write deadline or close; between chunks other tasks run.
    ///
    /// What is not in the page cache is read from the disk meanwhile, and that blocks the thread, as
    /// files always do. Where disks are slow, read ahead in
    /// [`spawn_blocking`](gannet_runtime::spawn_blocking).
    ///
    /// # Cancel safety
    /// Not cancel safe: how much was sent before the future is dropped is not known. A deadline loses
    /// nothing.
    ///
    /// # Errors
    /// Those of [`write`](Self::write) and of reading the file; [`error::moved`](crate::error::moved)
    /// tells how many bytes were sent before, so that sending can go on behind them. `InvalidInput` if
    /// the connection is no stream.
    ///
    /// ```
    /// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use gannet_net::UnixStream;
    /// use std::fs::File;
    ///
    /// let file = File::open("Cargo.toml")?;
    /// let (left, right) = UnixStream::pair()?;
    /// assert_eq!(left.send_file(&file, 1, 8).await?, 8);
    /// let mut buf = [0; 16];
    /// assert_eq!(right.read(&mut buf).await?, 8);
    /// assert_eq!(&buf[..8], b"package]");
    /// # Ok::<_, std::io::Error>(()) })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// Reference: [`sendfile(2)`](https://man7.org/linux/man-pages/man2/sendfile.2.html).
    pub async fn send_file(&self, file: &File, offset: u64, len: u64) -> io::Result<u64> {
        let part = Part {
            file: file.as_fd(),
            offset,
            rest: len,
            buffered: !transfer::sigpipe_is_ignored(),
        };
        self.send_part(part).await
    }

    async fn send_part(&self, mut part: Part<'_>) -> io::Result<u64> {
        let len = part.rest;
        let failed = |call, err, sent| {
            let err = self.op_error(Op::Write, syscall(call, err));
            io::Error::from(err.after(bytes(sent)))
        };
        if !self.is_stream() {
            let err = io::Error::new(io::ErrorKind::InvalidInput, "not a stream");
            return Err(failed("sendfile", err, 0));
        }
        if len == 0 {
            return self.check_open(Op::Write).map(|()| 0);
        }
        let mut sender = self.sender();
        loop {
            let result = poll_fn(|cx| sender.poll(cx, |to| part.send(to))).await;
            match result {
                Ok(()) => return Ok(len - part.rest),
                Err(err) if !part.buffered && cannot_send(&err) => part.buffered = true,
                Err(err) => {
                    let call = if part.buffered { "write" } else { "sendfile" };
                    return Err(failed(call, err, len - part.rest));
                }
            }
        }
    }
}

/// What of a file is still to be sent.
struct Part<'a> {
    file: BorrowedFd<'a>,
    offset: u64,
    rest: u64,
    /// The kernel does not send this file by itself.
    buffered: bool,
}

impl Part<'_> {
    /// Sends a piece, and tells whether there is more.
    fn send(&mut self, to: BorrowedFd<'_>) -> io::Result<ControlFlow<()>> {
        let sent = if self.buffered {
            self.send_buffered(to)?
        } else {
            let len = self.rest.min(CHUNK_LEN as u64) as usize;
            transfer::sendfile(to, self.file, self.offset, len)?
        };
        self.offset += sent as u64;
        self.rest -= sent as u64;
        // A file that ends early is no error, as it is none to read.
        if self.rest == 0 || sent == 0 {
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn send_buffered(&self, to: BorrowedFd<'_>) -> io::Result<usize> {
        let mut buf = [0; BUFFER_LEN];
        let len = self.rest.min(BUFFER_LEN as u64) as usize;
        let read = loop {
            match transfer::read_at(self.file, &mut buf[..len], self.offset) {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if read == 0 {
            return Ok(0);
        }
        let sent = socket::send(to, &buf[..read])?;
        progressed(sent).map(|()| sent)
    }
}

/// Whether the kernel refuses to send this file: `EPERM` is how filters of system calls say so.
fn cannot_send(err: &io::Error) -> bool {
    use errno::{EINVAL, ENOSYS, EOPNOTSUPP, EPERM};
    matches!(
        err.raw_os_error(),
        Some(EINVAL | ENOSYS | EOPNOTSUPP | EPERM)
    )
}

#[cfg(test)]
mod tests;
