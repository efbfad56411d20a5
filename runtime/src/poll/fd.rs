//! `AsyncFd`: a descriptor that tasks can wait for. How it is given up is in `closing.rs`.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Instant;

use gannet_sys::fd::Replaceable;

use super::adopt::{AdoptError, AdoptOptions};
use super::desc::{Descriptor, Side};
use super::fd_lock::{After, FdLock};
use super::guard::{Guard, Reading, Reference, Sided, Writing, is_short};
use super::owned::{OwnedReadGuard, OwnedWriteGuard};
use super::series::{ReadGuard, WriteGuard};
use super::slots::{Key, Place};
use crate::context;
use crate::error::Stop;
use crate::sched::shared::Shared;

/// A descriptor and all that belongs to it, shared by its handles.
pub(crate) struct Inner {
    pub(crate) lock: FdLock,
    /// `None` only while the last handle gives it away.
    pub(crate) fd: Option<Replaceable>,
    index: u32,
    /// The runtime, and the slot in it.
    place: Place,
    /// The `errno` of a close that failed, or 0.
    pub(super) close_errno: AtomicI32,
    /// Somebody else may refer to the same description.
    may_be_shared: AtomicBool,
}

/// An owned descriptor whose readiness tasks can wait for.
///
/// Cloning makes another handle on the same descriptor; the last one closes it. Any number of tasks
/// may use it at the same time: one reads and one writes at a time, the others queue, first come
/// first served.
///
/// Anything that `epoll` accepts can be adopted: sockets, pipes, terminals, eventfds, timerfds,
/// inotify, pidfds. Adopting takes ownership, so that no number is ever polled after somebody else
/// closed it, and sets `O_NONBLOCK`.
///
/// ```
/// use gannet_runtime::{AsyncFd, Builder};
/// use std::os::fd::AsFd;
///
/// let runtime = Builder::new_current_thread().build()?;
/// runtime.block_on(async {
///     let (reader, writer) = gannet_sys::fd::pipe()?;
///     let pipe = AsyncFd::new(reader)?;
///     gannet_sys::fd::write(writer.as_fd(), b"hello")?;
///     let mut buf = [0; 16];
///     let n = pipe.read_with(|fd| gannet_sys::fd::read(fd, &mut buf)).await?;
///     assert_eq!(&buf[..n], b"hello");
///     Ok::<_, std::io::Error>(())
/// })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`epoll(7)`](https://man7.org/linux/man-pages/man7/epoll.7.html).
#[derive(Clone)]
pub struct AsyncFd {
    pub(super) inner: Arc<Inner>,
}

impl AsyncFd {
    /// Adopts a descriptor: sets `O_NONBLOCK` and registers it with the runtime of this thread.
    ///
    /// # Errors
    /// `EPERM`, explained, for what cannot be polled (a regular file); `EEXIST` for what is
    /// registered already; `ENOSPC` beyond `/proc/sys/fs/epoll/max_user_watches`; an error that
    /// says so without a runtime on this thread or after its shutdown. The descriptor comes back
    /// with the error.
    ///
    /// Reference: [`epoll_ctl(2)`](https://man7.org/linux/man-pages/man2/epoll_ctl.2.html).
    pub fn new(fd: impl Into<OwnedFd>) -> Result<Self, AdoptError> {
        Self::with_options(fd, AdoptOptions::default())
    }

    /// Adopts a descriptor about which more is known.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// Reference: [`epoll_ctl(2)`](https://man7.org/linux/man-pages/man2/epoll_ctl.2.html).
    pub fn with_options(fd: impl Into<OwnedFd>, options: AdoptOptions) -> Result<Self, AdoptError> {
        let fd = fd.into();
        let register = || -> io::Result<_> {
            let shared = context::shared()?;
            if !options.exclusive {
                gannet_sys::fd::set_nonblocking(fd.as_fd(), true)?;
            }
            let key = if options.lazy {
                shared.poller.slots.open(options.fresh)?
            } else {
                let (write, drained) = (options.writable, options.fresh);
                shared.poller.register(fd.as_fd(), write, drained)?
            };
            Ok((shared, key))
        };
        match register() {
            Err(error) => Err(AdoptError { fd, error }),
            Ok((shared, key)) => {
                let may_be_shared = AtomicBool::new(!options.exclusive);
                let inner = Inner {
                    lock: FdLock::new(),
                    fd: Some(Replaceable::new(fd)),
                    index: key.index,
                    place: Place::new(shared, key),
                    close_errno: AtomicI32::new(0),
                    may_be_shared,
                };
                Ok(Self {
                    inner: Arc::new(inner),
                })
            }
        }
    }

    /// Runs `op` until it no longer answers "would block", and returns its answer.
    ///
    /// Waits for the read lock, and after "would block" for an edge, the read deadline, or close.
    /// `op` makes one non-blocking read-like call on the descriptor; it may run several times.
    /// `EINTR` is retried here.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing unless `op` took something and kept it to itself: it is
    /// not called between its success and the end of the future.
    ///
    /// # Errors
    /// Those of `op`; [`is_deadline`](crate::error::is_deadline) after the deadline, even if data
    /// is there; [`is_closed`](crate::error::is_closed) after `close`.
    ///
    /// Reference: [`epoll(7)`](https://man7.org/linux/man-pages/man7/epoll.7.html).
    pub fn read_with<R>(
        &self,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        let mut guard = Guard::<_, Reading>::new(&*self.inner);
        poll_fn(move |cx| guard.poll_once_with(cx, &mut op, |_| false))
    }

    /// Runs `op` until it no longer answers "would block", for write-like calls.
    ///
    /// Waits as [`read_with`](Self::read_with), with the write lock and the write deadline.
    ///
    /// # Cancel safety
    /// As `read_with`.
    ///
    /// # Errors
    /// As `read_with`.
    ///
    /// Reference: [`epoll(7)`](https://man7.org/linux/man-pages/man7/epoll.7.html).
    pub fn write_with<R>(
        &self,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        let mut guard = Guard::<_, Writing>::new(&*self.inner);
        poll_fn(move |cx| guard.poll_once_with(cx, &mut op, |_| false))
    }

    /// Reads from a stream socket by `op` into `len` bytes of buffer, and returns the count.
    ///
    /// A short count proves that the kernel's queue was empty, so the next read waits at once and
    /// saves the system call that would say so. That holds for TCP. It does not for Unix sockets,
    /// where a read ends early at passed descriptors; anything but TCP uses `read_with`.
    ///
    /// # Cancel safety
    /// As `read_with`.
    ///
    /// # Errors
    /// As `read_with`.
    ///
    /// Reference: [`epoll(7)`](https://man7.org/linux/man-pages/man7/epoll.7.html), question 9.
    pub fn read_stream_with(
        &self,
        len: usize,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> impl Future<Output = io::Result<usize>> {
        let mut guard = Guard::<_, Reading>::new(&*self.inner);
        poll_fn(move |cx| guard.poll_once_with(cx, &mut op, |&n| is_short(n, len)))
    }

    /// Runs `op` once without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if another task holds the read lock or `op` says so; otherwise as
    /// [`read_with`](Self::read_with).
    ///
    /// ```
    /// use gannet_runtime::{AsyncFd, Builder};
    /// use gannet_sys::fd;
    ///
    /// Builder::new_current_thread().build()?.block_on(async {
    ///     let (reader, writer) = fd::pipe()?;
    ///     let (reader, writer) = (AsyncFd::new(reader)?, AsyncFd::new(writer)?);
    ///     let err = reader.try_read_with(|from| fd::read(from, &mut [0; 8])).unwrap_err();
    ///     assert_eq!(err.kind(), std::io::ErrorKind::WouldBlock);
    ///     assert_eq!(writer.try_write_with(|to| fd::write(to, b"ping"))?, 4);
    ///     reader.readable().await?;
    ///     assert_eq!(reader.try_read_with(|from| fd::read(from, &mut [0; 8]))?, 4);
    ///     Ok::<_, std::io::Error>(())
    /// })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn try_read_with<R>(
        &self,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        self.try_with::<_, Reading>(op, |_| false)
    }

    /// Runs `op` once without waiting, for a stream socket; see [`read_stream_with`].
    ///
    /// # Errors
    /// As [`try_read_with`](Self::try_read_with).
    ///
    /// [`read_stream_with`]: Self::read_stream_with
    pub fn try_read_stream_with(
        &self,
        len: usize,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.try_with::<_, Reading>(op, |&n| is_short(n, len))
    }

    /// Runs `op` once without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if another task holds the write lock or `op` says so; otherwise as
    /// [`write_with`](Self::write_with).
    pub fn try_write_with<R>(
        &self,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        self.try_with::<_, Writing>(op, |_| false)
    }

    /// Waits until a read would not block: data, end of stream or an error is there.
    ///
    /// Nothing is read, so no buffer is needed while a connection is idle. Another task may read
    /// first: a read after this may still have to wait.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`read_with`](Self::read_with).
    ///
    /// Reference: [`poll(2)`](https://man7.org/linux/man-pages/man2/poll.2.html).
    pub fn readable(&self) -> impl Future<Output = io::Result<()>> {
        self.ready::<Reading>()
    }

    /// Waits until a write would not block.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`write_with`](Self::write_with).
    ///
    /// Reference: [`poll(2)`](https://man7.org/linux/man-pages/man2/poll.2.html).
    pub fn writable(&self) -> impl Future<Output = io::Result<()>> {
        self.ready::<Writing>()
    }

    fn ready<S: Sided>(&self) -> impl Future<Output = io::Result<()>> {
        let mut guard = Guard::<_, S>::new(&*self.inner);
        let mut asked = false;
        poll_fn(move |cx| guard.poll_edge(cx, &mut asked))
    }

    /// Begins a series of reads: the first takes the read lock, and the guard holds it until dropped.
    #[inline]
    pub fn begin_read(&self) -> ReadGuard<'_> {
        ReadGuard {
            guard: Guard::<_, Reading>::new(&*self.inner),
        }
    }

    /// Begins a series of writes, so that those of other tasks do not come in between: the first takes
    /// the write lock, and the guard holds it until dropped.
    #[inline]
    pub fn begin_write(&self) -> WriteGuard<'_> {
        WriteGuard {
            guard: Guard::<_, Writing>::new(&*self.inner),
        }
    }

    /// Begins reads of a future made by hand that outlives every borrow. This is another handle.
    #[must_use]
    pub fn begin_read_owned(&self) -> OwnedReadGuard {
        OwnedReadGuard::new(self.inner.clone())
    }

    /// Begins writes of a future made by hand that outlives every borrow. This is another handle.
    #[must_use]
    pub fn begin_write_owned(&self) -> OwnedWriteGuard {
        OwnedWriteGuard::new(self.inner.clone())
    }

    /// Takes the read lock for several operations in a row.
    ///
    /// Waits until tasks that came before have read, or for close; for no deadline.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place in the queue up.
    ///
    /// # Errors
    /// [`is_closed`](crate::error::is_closed) after `close`.
    pub async fn lock_read(&self) -> io::Result<ReadGuard<'_>> {
        let mut series = self.begin_read();
        poll_fn(|cx| series.guard.poll_lock(cx)).await?;
        Ok(series)
    }

    /// Takes the write lock for several operations in a row.
    ///
    /// Waits until tasks that came before have written, or for close; for no deadline.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place in the queue up.
    ///
    /// # Errors
    /// [`is_closed`](crate::error::is_closed) after `close`.
    pub async fn lock_write(&self) -> io::Result<WriteGuard<'_>> {
        let mut series = self.begin_write();
        poll_fn(|cx| series.guard.poll_lock(cx)).await?;
        Ok(series)
    }

    /// Runs `f` on the descriptor at once: for options, addresses, shutdown. Neither lock is
    /// needed.
    ///
    /// # Errors
    /// [`is_closed`](crate::error::is_closed) after `close`.
    ///
    /// Reference: [`syscall.RawConn`](https://pkg.go.dev/syscall#RawConn) of Go, `Control`.
    pub fn with_fd<R>(&self, f: impl FnOnce(BorrowedFd<'_>) -> R) -> io::Result<R> {
        let _reference = Reference::take(&self.inner)?;
        Ok(f(self.inner.fd()))
    }

    /// Sets both deadlines. See [`set_read_deadline`](Self::set_read_deadline).
    ///
    /// # Errors
    /// [`is_closed`](crate::error::is_closed) after `close`.
    ///
    /// Reference: [`net.Conn`](https://pkg.go.dev/net#Conn) of Go, `SetDeadline`.
    pub fn set_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.set_read_deadline(deadline)?;
        self.set_write_deadline(deadline)
    }

    /// Sets, moves or clears the instant after which reads fail, those that wait now included.
    ///
    /// An expired deadline stays: reads fail at once, even if data is there, until it is moved or
    /// cleared. Moving it further away costs an exchange and a load. One that has passed already takes
    /// effect at once; if the one before is overdue as well, and no worker came to it yet, with that.
    ///
    /// # Errors
    /// [`is_closed`](crate::error::is_closed) after `close`.
    ///
    /// ```
    /// use gannet_runtime::{AsyncFd, Builder, error, time};
    /// use std::time::Duration;
    ///
    /// Builder::new_current_thread().build()?.block_on(async {
    ///     let (reader, _writer) = gannet_sys::fd::pipe()?;
    ///     let reader = AsyncFd::new(reader)?;
    ///     reader.set_read_deadline(Some(time::now() + Duration::from_millis(1)))?;
    ///     assert!(error::is_deadline(&reader.readable().await.unwrap_err()));
    ///     reader.set_read_deadline(None)?;
    ///     Ok::<_, std::io::Error>(())
    /// })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// Reference: [`net.Conn`](https://pkg.go.dev/net#Conn) of Go, `SetReadDeadline`.
    pub fn set_read_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.set_side_deadline(Side::Read, deadline)
    }

    /// Sets, moves or clears the instant after which writes fail, those that wait now included.
    ///
    /// # Errors
    /// [`is_closed`](crate::error::is_closed) after `close`.
    ///
    /// Reference: [`net.Conn`](https://pkg.go.dev/net#Conn) of Go, `SetWriteDeadline`.
    pub fn set_write_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.set_side_deadline(Side::Write, deadline)
    }

    fn set_side_deadline(&self, side: Side, deadline: Option<Instant>) -> io::Result<()> {
        let inner = &*self.inner;
        // In a forked child the alarm is the parent's.
        inner.shared().check_fork()?;
        if self.is_closed() {
            return Err(Stop::Closed.into());
        }
        let timers = &inner.shared().poller.timers;
        timers.set_deadline(inner.descriptor(), inner.index, side, deadline);
        Ok(())
    }

    fn try_with<R, S: Sided>(
        &self,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
        drains: impl Fn(&R) -> bool,
    ) -> io::Result<R> {
        let mut guard = Guard::<_, S>::new(&*self.inner);
        if guard.try_lock()? {
            guard.try_with(op, drains)
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }
}

impl AsFd for AsyncFd {
    /// Lends the descriptor. The number stays this descriptor's until the last handle is dropped,
    /// also after `close`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // The borrower may duplicate it, and then closing alone would not end the registration.
        self.inner.may_be_shared.store(true, Ordering::Relaxed);
        self.inner.fd()
    }
}

impl fmt::Debug for AsyncFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd")
            .field("fd", &self.inner.fd)
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl Inner {
    #[inline]
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd
            .as_ref()
            .expect("present until the last handle gives it away")
            .as_fd()
    }

    #[inline]
    pub(crate) fn descriptor(&self) -> &Descriptor {
        self.place.descriptor()
    }

    /// The runtime that the descriptor is registered with.
    #[inline]
    pub(crate) fn shared(&self) -> &Shared {
        self.place.shared()
    }

    /// The key of the slot, whose present owner this is.
    pub(crate) fn key(&self) -> Key {
        Key {
            index: self.index,
            generation: self.descriptor().generation(),
        }
    }

    fn may_be_shared(&self) -> bool {
        self.may_be_shared.load(Ordering::Relaxed)
    }

    /// Does what giving something back to the lock left to do.
    #[inline]
    pub(crate) fn act(&self, after: After) {
        if after == After::Destroy {
            self.destroy();
        }
    }

    /// Closes the description; called by whoever is last out of a closed descriptor.
    #[cold]
    fn destroy(&self) {
        if !self.shared().is_forked() {
            self.shared()
                .poller
                .deregister(self.fd(), self.key(), self.may_be_shared());
        }
        let fd = self
            .fd
            .as_ref()
            .expect("present until the last handle gives it away");
        if let Err(err) = self.shared().poller.replace_by_stub(fd) {
            // The number is beyond a limit that was lowered since: it is closed with the last
            // handle. Until then a socket at least tells its peer.
            let _ = gannet_sys::socket::shutdown(fd.as_fd(), std::net::Shutdown::Both);
            self.close_errno
                .store(err.raw_os_error().unwrap_or(0), Ordering::Relaxed);
        }
        self.lock.gone();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.shared().is_forked() {
            return; // The slots and the epoll set belong to the parent; the descriptor's copy is ours to close.
        }
        if let Some(fd) = &self.fd {
            if !self.lock.is_closed() {
                self.shared()
                    .poller
                    .deregister(fd.as_fd(), self.key(), self.may_be_shared());
            }
        }
        self.shared().poller.slots.release(self.key());
    }
}
