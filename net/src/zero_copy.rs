//! Sending large buffers over TCP without copying them into the kernel.
//!
//! The kernel sends from the buffer itself, and needs it until the peer has acknowledged the last byte,
//! perhaps longer. So buffers are *lent*: whoever sends gives them away, they stand in a table
//! ([`loans`]), and are dropped when the kernel says that it is done. It says so in the socket's error
//! queue, which wakes whoever waits for the socket; the queue is emptied by the sends themselves, and by
//! who waits for the end of one. Both do it under the write lock of the descriptor, so that a
//! notification is never read before its send stands in the table. The table has a mutex, for who asks
//! for figures; nothing is called or dropped under it.
//!
//! A socket that is closed tells nothing any more, though the kernel goes on sending. So the type owns
//! its connection and lends out only halves, which cannot close it, and one that ends while buffers are
//! lent ends in a task ([`closing`]).

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gannet_runtime::{Handle, JoinHandle};
use gannet_sys::{errno, fork, option, socket, zero_copy};

use crate::conn::{Conn, STREAM_LEN_MAX, progressed};
use crate::error::{Op, syscall};
use crate::split::{ReadHalf, WriteHalf};
use crate::tcp::TcpStream;

mod closing;
mod loans;

use closing::Remains;
use loans::Loans;

/// What is shorter is copied: to pin pages and to be told costs more than that.
const LEN_MIN: usize = 32 << 10;
/// The most that one call lends. The kernel counts what is asked of it as locked memory, not what it
/// takes, and an unprivileged process may lock but some MiB.
const LEND_MAX: usize = 1 << 20;
/// `IPPROTO_TCP`: over multipath TCP the kernel ignores the wish, and would never say that it is done.
const TCP: i32 = 6;

/// A buffer that is lent.
type Lent = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A TCP connection that sends large buffers without copying them.
///
/// Where much is sent by a network card, that saves some 50 µs of a processor for a MiB, and costs a
/// notification for some of the sends. So it is worth it from about 32 KiB a buffer on; what is shorter
/// is copied. Where the kernel copies after all, as between sockets of one machine, or refuses, all is
/// sent as by [`Conn::write_all`] from then on; [`stats`](Self::stats) tells. What is lent counts as
/// locked memory of the user (`RLIMIT_MEMLOCK`, except with `CAP_IPC_LOCK`): what would be too much is
/// copied.
///
/// A buffer is given away, and dropped once the kernel is done with it: its own `Drop` can put it back
/// into a pool, and an `Arc<[u8]>` can be sent again and again meanwhile. It must not change before: the
/// peer would get what it has then.
///
/// # Other uses of the connection
/// [`split`](Self::split) gives the halves, which read and make small writes. Each notification wakes a
/// task that reads or writes for one attempt more, and from the first on each read makes one system
/// call more. Nobody else may send without copies on this socket, by `try_clone` or a raw descriptor:
/// the kernel's numbers would be mixed up. A socket on which that was allowed before is not used so.
///
/// # Closing
/// The kernel goes on sending from lent memory when a connection is closed, and tells nothing then. So
/// one that is closed or dropped with buffers lent says goodbye to the peer as always, and lives on
/// in a task until they are back: while the peer takes at least something each minute, ten minutes at
/// most. Then it is reset, which gives the rest back. If the runtime ends first, that of the task or that
/// of the connection, the peer gets everything all the same, and the memory of what is lent then is lost:
/// [`close`](Self::close) waits.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::{TcpListener, TcpStream, ZeroCopy};
/// use std::sync::Arc;
///
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// let (server, _) = listener.accept().await?;
///
/// let movie: Arc<[u8]> = vec![7; 100_000].into();
/// let client = ZeroCopy::new(client);
/// let loan = client.write_all(movie.clone()).await?;
/// server.read_exact(&mut vec![0; 100_000]).await?;
/// client.released(loan).await?;
/// assert_eq!(Arc::strong_count(&movie), 1);
///
/// let stats = client.stats();
/// assert_eq!((stats.lent + stats.plain, stats.pending), (100_000, 0));
/// if let Some(why) = stats.fallback {
///     println!("no more without copies: {why:?}");
/// }
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`MSG_ZEROCOPY`](https://docs.kernel.org/networking/msg_zerocopy.html).
pub struct ZeroCopy {
    parts: Arc<Parts>,
    runtime: Option<Handle>,
    /// Another process that inherited this must not touch the connection.
    generation: u32,
    closing: bool,
}

/// The connection and what it has lent.
struct Parts {
    conn: Conn,
    loans: Mutex<Loans<Lent>>,
    len_min: usize,
    /// How long a peer may take nothing once the connection has been closed.
    patience: Duration,
}

/// A buffer that [`ZeroCopy::write_all`] has sent, for [`ZeroCopy::released`].
///
/// See [`ZeroCopy`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loan {
    /// The number after that of its last send.
    next: u64,
}

/// Why a connection does not send without copies any more.
///
/// See [`ZeroCopy`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ZeroCopyFallback {
    /// The kernel has copied four times in a row, though it was asked not to.
    Copied,
    /// The kernel does not do it for this socket.
    Refused,
    /// Somebody else did it, too, on the same socket.
    Foreign,
}

/// What sending without copies has come to, on one connection.
///
/// See [`ZeroCopy`] for an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZeroCopyStats {
    /// Bytes that were lent to the kernel.
    pub lent: u64,
    /// Bytes that were sent as any other: of short buffers, of ends, and after a fallback.
    pub plain: u64,
    /// System calls of which the kernel tells that it did not copy. Of neighbours it tells them
    /// together, as of the first.
    pub uncopied: u64,
    /// System calls of which the kernel tells that it copied after all.
    pub copied: u64,
    /// System calls whose buffers are lent now.
    pub pending: usize,
    /// Why nothing more is lent, if so.
    pub fallback: Option<ZeroCopyFallback>,
}

impl ZeroCopy {
    /// Takes a connection over. It never fails: where the kernel refuses, buffers are copied.
    ///
    /// Without a runtime on this thread, the memory of what is lent when it ends is lost.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        let conn = stream.into_conn();
        let mut loans = Loans::new();
        if !conn.fd.with_fd(is_allowed).unwrap_or(false) {
            loans.end(ZeroCopyFallback::Refused);
        }
        ZeroCopy {
            parts: Arc::new(Parts {
                conn,
                loans: Mutex::new(loans),
                len_min: LEN_MIN,
                patience: closing::PATIENCE,
            }),
            runtime: Handle::try_current().ok(),
            generation: fork::generation(),
            closing: false,
        }
    }

    /// Sends all of a buffer; returns what [`released`](Self::released) wants to know.
    ///
    /// Waits until the kernel has taken the last byte, the write deadline or close: not until the peer
    /// has it. The buffer is dropped when the kernel is done with it, which another call of this or of
    /// `released` notices. No other task's write comes in between.
    ///
    /// # Cancel safety
    /// Not cancel safe: how much was sent before the future is dropped is not known. The buffer stays
    /// lent as long as the kernel needs it. A deadline loses nothing.
    ///
    /// # Errors
    /// Those of [`Conn::write`]; [`error::written`](crate::error::written) tells how many bytes were
    /// sent before.
    ///
    /// Reference: [`send(2)`](https://man7.org/linux/man-pages/man2/send.2.html), `MSG_ZEROCOPY`.
    pub async fn write_all<B>(&self, buf: B) -> io::Result<Loan>
    where
        B: AsRef<[u8]> + Send + Sync + 'static,
    {
        let buf: Lent = Arc::new(buf);
        let parts = &*self.parts;
        let mut sent = 0;
        let mut sender = parts.conn.sender();
        let result = poll_fn(|cx| {
            sender.poll(cx, |fd| {
                parts.reap(fd)?;
                // Asked anew each time: who changes the length must not make us fail.
                let bytes: &[u8] = (*buf).as_ref();
                let rest = bytes.get(sent..).unwrap_or_default();
                let taken = parts.send(fd, &buf, rest)?;
                sent += taken;
                if taken == rest.len() {
                    let next = parts.loans().next();
                    return Ok(ControlFlow::Break(Loan { next }));
                }
                progressed(taken).map(ControlFlow::Continue)
            })
        });
        result.await.map_err(|err| {
            let err = parts.conn.op_error(Op::Write, syscall("write", err));
            err.after(sent).into()
        })
    }

    /// Waits until the kernel is done with a buffer, and with all that were sent before it.
    ///
    /// The peer's kernel has acknowledged the bytes then, or they will never be sent. Waits for that,
    /// the write deadline or close. Meanwhile other tasks' writes wait.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// The deadline error after the write deadline.
    ///
    /// Reference: [`MSG_ZEROCOPY`](https://docs.kernel.org/networking/msg_zerocopy.html).
    pub async fn released(&self, loan: Loan) -> io::Result<()> {
        // One of another connection may have a number that this one never comes to.
        let next = loan.next.min(self.parts.loans().next());
        let released = self.parts.wait(next).await;
        released.map_err(|err| self.parts.conn.failed(Op::Write, "recvmsg", err))
    }

    /// Waits until nothing is lent, as [`released`](Self::released) does for all that was sent before.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of `released`.
    ///
    /// Reference: [`MSG_ZEROCOPY`](https://docs.kernel.org/networking/msg_zerocopy.html).
    pub async fn all_released(&self) -> io::Result<()> {
        let next = self.parts.loans().next();
        self.released(Loan { next }).await
    }

    /// Returns what was lent and what came of it, as far as it was noticed.
    #[must_use]
    pub fn stats(&self) -> ZeroCopyStats {
        self.parts.loans().stats()
    }

    /// Returns the halves of the connection, to read, and to write what is short or only borrowed.
    pub fn split(&self) -> (ReadHalf<&Conn>, WriteHalf<&Conn>) {
        self.parts.conn.split()
    }

    /// Gives the connection back once nothing is lent any more. It cannot be made one that lends again.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection, as dropping this does.
    ///
    /// # Errors
    /// Those of [`released`](Self::released), and the connection is closed then.
    ///
    /// Reference: [`MSG_ZEROCOPY`](https://docs.kernel.org/networking/msg_zerocopy.html).
    pub async fn into_stream(self) -> io::Result<TcpStream> {
        self.all_released().await?;
        let parts = self.parts.clone();
        drop(self);
        // Only a task that closes has another share, and there is none while nothing is lent.
        let parts = Arc::into_inner(parts).expect("nobody else has the connection");
        Ok(TcpStream::new(parts.conn))
    }

    /// Closes the connection: the peer gets what was sent, and then the end of the stream.
    ///
    /// Waits until the kernel is done with all buffers and has closed the socket; see
    /// [*Closing*](Self#closing) for how long that takes at most.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the closing.
    ///
    /// # Errors
    /// Those of [`Socket::close`](crate::Socket::close).
    ///
    /// Reference: [`close(2)`](https://man7.org/linux/man-pages/man2/close.2.html).
    pub async fn close(mut self) -> io::Result<()> {
        if let Some(closing) = self.begin_closing() {
            // If the runtime ends meanwhile, what is lent is given up.
            let _ = closing.await;
        }
        self.parts.conn.close().await
    }

    /// Lets a task close the connection if something is lent.
    fn begin_closing(&mut self) -> Option<JoinHandle<()>> {
        let is_done = std::mem::replace(&mut self.closing, true);
        if is_done || self.generation != fork::generation() || self.parts.is_settled() {
            return None;
        }
        // Without a task it is dropped here, which gives up what is lent.
        let remains = Remains::new(self.parts.clone());
        let runtime = self.runtime.as_ref()?;
        Some(runtime.spawn(remains.settle()))
    }
}

impl Drop for ZeroCopy {
    fn drop(&mut self) {
        drop(self.begin_closing());
    }
}

impl fmt::Debug for ZeroCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.conn.debug("ZeroCopy", f)
    }
}

impl Parts {
    fn loans(&self) -> MutexGuard<'_, Loans<Lent>> {
        self.loans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends of `rest`, the last part of `buf`, by one system call. The caller has the write lock.
    fn send(&self, fd: BorrowedFd<'_>, buf: &Lent, rest: &[u8]) -> io::Result<usize> {
        if rest.len() >= self.len_min && self.loans().is_lending() {
            match zero_copy::send(fd, &rest[..rest.len().min(LEND_MAX)]) {
                Ok(taken) => {
                    self.loans().lend(buf.clone(), taken);
                    return Ok(taken);
                }
                Err(err) => self.judge(err)?,
            }
        }
        let taken = socket::send(fd, &rest[..rest.len().min(STREAM_LEN_MAX)])?;
        self.loans().note_plain(taken);
        Ok(taken)
    }

    /// Decides whether a send that failed is to be made with a copy, and whether all others are, too.
    fn judge(&self, err: io::Error) -> io::Result<()> {
        use errno::{EFAULT, EINVAL, ENOBUFS, ENOMEM, EOPNOTSUPP};
        match err.raw_os_error() {
            // What is lent, by other connections of this user, too, takes up what there is of memory for
            // notifications, or of memory that may be locked. It comes back.
            Some(ENOBUFS | ENOMEM) => Ok(()),
            // This memory cannot be pinned.
            Some(EFAULT) => Ok(()),
            Some(EINVAL | EOPNOTSUPP) => {
                self.loans().end(ZeroCopyFallback::Refused);
                Ok(())
            }
            _ => Err(err),
        }
    }

    /// Takes all notifications that are there, and drops the buffers that they give back. The caller
    /// has the write lock, or nobody else has the connection.
    fn reap(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        while !self.loans().is_empty() {
            match zero_copy::released(fd) {
                Ok(released) => {
                    let back = self.loans().take_back(released);
                    drop(back); // Foreign code, so not under the mutex.
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }

    /// Waits until all sends with numbers below `next` are back.
    async fn wait(&self, next: u64) -> io::Result<()> {
        if self.loans().are_back(next) {
            return Ok(());
        }
        let mut sender = self.conn.sender();
        let waiting = poll_fn(|cx| {
            sender.poll(cx, |fd| {
                self.reap(fd)?;
                match self.loans().are_back(next) {
                    true => Ok(ControlFlow::Break(())),
                    false => Err(io::ErrorKind::WouldBlock.into()),
                }
            })
        });
        waiting.await
    }
}

/// Asks the kernel to take sends without a copy. Not if somebody has asked before: the numbers of such
/// sends would not begin at 0.
fn is_allowed(fd: BorrowedFd<'_>) -> bool {
    // Of two handles on one socket, taken over at the same time, one is the first. A forked child does
    // not take its parent's lock, which a thread that it has not may hold.
    static ASKING: [Mutex<()>; 8] = [const { Mutex::new(()) }; 8];
    let asking = &ASKING[fork::generation() as usize % ASKING.len()];
    let _asking = asking.lock().unwrap_or_else(PoisonError::into_inner);
    let is_ours = || -> io::Result<bool> {
        if option::socket_protocol(fd)? != TCP || option::zero_copy(fd)? {
            return Ok(false);
        }
        option::set_zero_copy(fd, true).map(|()| true)
    };
    is_ours().unwrap_or(false)
}

#[cfg(test)]
mod tests;
