//! Edge-triggered epoll: the list of watched descriptors and the wait for their edges.
//!
//! An edge is told once. A descriptor that was readable and was not read until `EAGAIN` gives no
//! second event by itself, so whoever uses this list tries first and waits after `EAGAIN`.
//!
//! Reference: [`epoll(7)`](https://man7.org/linux/man-pages/man7/epoll.7.html).
#![allow(unsafe_code, reason = "system calls")]

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use libc::c_int;

use crate::cvt;

/// What a registration asks to be told about; always edge-triggered.
///
/// ```
/// use gannet_sys::epoll::Interest;
///
/// assert_ne!(Interest::READ, Interest::READ_WRITE);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(u32);

impl Interest {
    /// Data, end of data, urgent data.
    pub const READ: Self =
        Self((libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLPRI | libc::EPOLLET) as u32);
    /// What [`READ`](Self::READ) asks, and room to write.
    pub const READ_WRITE: Self = Self(Self::READ.0 | libc::EPOLLOUT as u32);
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::READ {
            "READ"
        } else {
            "READ_WRITE"
        })
    }
}

/// What the kernel reported about a descriptor.
///
/// The kernel reports errors and hang-ups unasked, and each of them unblocks both directions: a
/// reader learns the error by reading, a writer by writing.
///
/// ```
/// use gannet_sys::epoll::Ready;
///
/// let nothing = Ready::from_bits(0);
/// assert!(!nothing.is_readable() && !nothing.is_writable());
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Ready(u32);

impl Ready {
    const READABLE: u32 =
        (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;
    const WRITABLE: u32 = (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) as u32;
    const HANG_UP: u32 = (libc::EPOLLHUP | libc::EPOLLRDHUP) as u32;

    /// Returns whether a read may succeed, report the end or report an error.
    #[inline]
    pub const fn is_readable(self) -> bool {
        self.0 & Self::READABLE != 0
    }

    /// Returns whether a write may succeed or report an error.
    #[inline]
    pub const fn is_writable(self) -> bool {
        self.0 & Self::WRITABLE != 0
    }

    /// Returns whether the peer closed its writing half, or both halves are closed.
    #[inline]
    pub const fn is_hup(self) -> bool {
        self.0 & Self::HANG_UP != 0
    }

    /// Returns whether an error is pending.
    #[inline]
    pub const fn is_error(self) -> bool {
        self.0 & libc::EPOLLERR as u32 != 0
    }

    /// Returns whether urgent data came.
    #[inline]
    pub const fn is_priority(self) -> bool {
        self.0 & libc::EPOLLPRI as u32 != 0
    }

    /// Returns the kernel's event bits.
    #[inline]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Wraps event bits, as [`bits`](Self::bits) gave them; unknown ones are kept and ignored.
    #[inline]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(c_int, &str); 6] = [
            (libc::EPOLLIN, "IN"),
            (libc::EPOLLOUT, "OUT"),
            (libc::EPOLLPRI, "PRI"),
            (libc::EPOLLERR, "ERR"),
            (libc::EPOLLHUP, "HUP"),
            (libc::EPOLLRDHUP, "RDHUP"),
        ];
        let mut separator = "";
        f.write_str("Ready(")?;
        for (_, name) in NAMES.iter().filter(|(bit, _)| self.0 & *bit as u32 != 0) {
            write!(f, "{separator}{name}")?;
            separator = "|";
        }
        f.write_str(")")
    }
}

/// One reported edge: what became ready, and the key of the registration.
///
/// The key is the caller's number from [`Epoll::add`]; see there for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What became ready.
    pub ready: Ready,
    /// The number that the registration carried.
    pub key: u64,
}

/// A reusable buffer that [`Epoll::wait`] fills.
///
/// ```
/// use gannet_sys::epoll::Events;
///
/// let events = Events::with_capacity(256);
/// assert_eq!(events.capacity(), 256);
/// assert!(events.is_empty());
/// ```
pub struct Events {
    /// Initialised in full, so that a short count from the kernel exposes no garbage.
    list: Box<[libc::epoll_event]>,
    len: usize,
}

impl Events {
    /// Makes a buffer for `capacity` events; zero is raised to one, the least the kernel takes.
    pub fn with_capacity(capacity: usize) -> Self {
        // The kernel counts events in an `int`.
        let capacity = capacity.clamp(1, c_int::MAX as usize);
        let empty = libc::epoll_event { events: 0, u64: 0 };
        Self {
            list: vec![empty; capacity].into_boxed_slice(),
            len: 0,
        }
    }

    /// Iterates over the events of the last wait.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Event> + '_ {
        self.list[..self.len].iter().map(|event| Event {
            ready: Ready(event.events),
            key: event.u64,
        })
    }

    /// Returns how many events the last wait brought.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the last wait brought no event.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many events fit.
    pub fn capacity(&self) -> usize {
        self.list.len()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// How long [`Epoll::wait`] may block the thread.
///
/// ```
/// use gannet_sys::epoll::Wait;
/// use std::time::Duration;
///
/// assert_ne!(Wait::Poll, Wait::For(Duration::from_millis(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    Poll,
    /// Until an event comes.
    Forever,
    /// At most about this long: rounded up to whole milliseconds, so that a timer waited for is
    /// due on return, and capped at `i32::MAX` milliseconds (24.8 days).
    For(Duration),
}

impl Wait {
    fn as_millis(self) -> c_int {
        match self {
            Self::Poll => 0,
            Self::Forever => -1,
            Self::For(timeout) => {
                let millis = timeout.as_nanos().div_ceil(1_000_000);
                c_int::try_from(millis).unwrap_or(c_int::MAX)
            }
        }
    }
}

/// An epoll instance, close-on-exec.
///
/// ```
/// use gannet_sys::epoll::{Epoll, Events, Interest, Wait};
/// use gannet_sys::eventfd::EventFd;
/// use std::os::fd::AsFd;
///
/// let epoll = Epoll::new()?;
/// let bell = EventFd::new()?;
/// epoll.add(bell.as_fd(), Interest::READ, 7)?;
/// bell.notify()?;
///
/// let mut events = Events::with_capacity(8);
/// epoll.wait(&mut events, 8, Wait::Forever)?;
/// let event = events.iter().next().expect("the eventfd is readable");
/// assert_eq!(event.key, 7);
/// assert!(event.ready.is_readable());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
}

impl Epoll {
    /// Creates an instance with an empty list.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE` when descriptors ran out, `ENOMEM`.
    ///
    /// Reference: [`epoll_create1(2)`](https://man7.org/linux/man-pages/man2/epoll_create.2.html).
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call takes a flag and no pointer.
        let fd = cvt(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just returned `fd`, so it is open and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// Adds `fd` to the list, edge-triggered; its events carry `key`.
    ///
    /// The registration belongs to the open file description: it ends with [`delete`](Self::delete)
    /// or when the last duplicate of `fd` is closed. A descriptor that is ready already gives an
    /// event at once.
    ///
    /// # Errors
    /// `EEXIST` if `fd` is on the list already, `EPERM` if it cannot be polled (a regular file),
    /// `ENOSPC` beyond `/proc/sys/fs/epoll/max_user_watches`, `ENOMEM`, `EINVAL` if `fd` is this
    /// instance itself.
    ///
    /// Reference: [`epoll_ctl(2)`](https://man7.org/linux/man-pages/man2/epoll_ctl.2.html).
    pub fn add(&self, fd: BorrowedFd<'_>, interest: Interest, key: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, key)
    }

    /// Changes the interest and the key of `fd`; what is ready now gives a new event.
    ///
    /// # Errors
    /// `ENOENT` if `fd` is not on the list, `ENOMEM`.
    ///
    /// Reference: [`epoll_ctl(2)`](https://man7.org/linux/man-pages/man2/epoll_ctl.2.html).
    pub fn modify(&self, fd: BorrowedFd<'_>, interest: Interest, key: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, key)
    }

    /// Takes `fd` off the list; events that a wait has returned before are not called back.
    ///
    /// # Errors
    /// `ENOENT` if `fd` is not on the list.
    ///
    /// Reference: [`epoll_ctl(2)`](https://man7.org/linux/man-pages/man2/epoll_ctl.2.html).
    pub fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: the kernel ignores the event of a deletion, and takes a null pointer since
        // 2.6.9. Both descriptors are borrowed, so neither is closed and reused during the call.
        let ret = unsafe {
            libc::epoll_ctl(
                self.fd.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                fd.as_raw_fd(),
                ptr::null_mut(),
            )
        };
        cvt(ret).map(drop)
    }

    /// Waits for events and returns how many came; `events` then holds exactly these.
    ///
    /// At most `max` are taken, clamped to `1..=events.capacity()`. The rest stays in the kernel
    /// for the next wait. After an error the buffer is empty.
    ///
    /// # Errors
    /// `EINTR` if a signal came first: the caller recomputes its timeout.
    ///
    /// Reference: [`epoll_wait(2)`](https://man7.org/linux/man-pages/man2/epoll_wait.2.html).
    pub fn wait(&self, events: &mut Events, max: usize, timeout: Wait) -> io::Result<usize> {
        events.len = 0;
        let max = max.clamp(1, events.list.len());
        // SAFETY: `list` holds at least `max` initialised events, `max` fits an `int` because
        // `with_capacity` bounds the list, and the buffer is borrowed mutably for the whole call,
        // so only the kernel writes to it.
        let ret = unsafe {
            libc::epoll_wait(
                self.fd.as_raw_fd(),
                events.list.as_mut_ptr(),
                max as c_int,
                timeout.as_millis(),
            )
        };
        events.len = cvt(ret)? as usize;
        Ok(events.len)
    }

    fn control(
        &self,
        op: c_int,
        fd: BorrowedFd<'_>,
        interest: Interest,
        key: u64,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest.0,
            u64: key,
        };
        // SAFETY: `event` is initialised and lives across the call, and the kernel only reads it.
        // Both descriptors are borrowed, so neither is closed and reused during the call.
        let ret = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), op, fd.as_raw_fd(), &mut event) };
        cvt(ret).map(drop)
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests;
