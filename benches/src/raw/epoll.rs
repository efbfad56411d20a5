//! One epoll instance and the buffer its events land in.

// The system calls of `epoll(7)` have no safe form in `std`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::cvt;

/// Tells that a read may succeed.
pub(crate) const READABLE: u32 = libc::EPOLLIN as u32;
/// Tells that a write may succeed.
pub(crate) const WRITABLE: u32 = libc::EPOLLOUT as u32;
/// Asks for edges instead of levels.
pub(crate) const EDGE: u32 = libc::EPOLLET as u32;
/// Tells that the peer has shut its side down.
pub(crate) const PEER_SHUT: u32 = libc::EPOLLRDHUP as u32;
/// Tells that nothing more will come: the peer's end, or an error of the socket's own.
pub(crate) const ENDED: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
}

impl Epoll {
    /// Makes an empty instance, closed on exec.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: `epoll_create1` takes no pointer; the flag is one that it knows.
        let raw = cvt(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `raw` was just returned by the kernel, is ≥ 0, and no one else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self { fd })
    }

    /// Adds `fd`; its events carry `key`.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, interest: u32, key: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, key)
    }

    /// Replaces the interest of `fd`.
    pub(crate) fn modify(&self, fd: BorrowedFd<'_>, interest: u32, key: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, key)
    }

    fn control(&self, op: i32, fd: BorrowedFd<'_>, interest: u32, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest,
            u64: key,
        };
        // SAFETY: `event` is initialised and lives across the call, and the kernel only reads it.
        // Both descriptors are borrowed, so neither is closed and reused during the call.
        cvt(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), op, fd.as_raw_fd(), &mut event) })?;
        Ok(())
    }

    /// Waits for events, at most `timeout_ms` milliseconds (-1: without end), and stores them in
    /// `events` in place of what it held. An interrupted wait yields no event.
    pub(crate) fn wait(&self, events: &mut Events, timeout_ms: i32) -> io::Result<()> {
        events.filled = 0;
        let room = i32::try_from(events.list.len()).unwrap_or(i32::MAX);
        let list = events.list.as_mut_ptr();
        // SAFETY: `list` points to at least `room` initialised events that `events` owns and that
        // nothing else uses during the call; the kernel writes at most `room` of them.
        let result = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), list, room, timeout_ms) };
        match cvt(result) {
            Ok(filled) => events.filled = filled as usize,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
        Ok(())
    }
}

/// The events of one wait.
pub(crate) struct Events {
    list: Vec<libc::epoll_event>,
    filled: usize,
}

impl Events {
    /// Makes room for `capacity` events a wait.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            list: vec![libc::epoll_event { events: 0, u64: 0 }; capacity],
            filled: 0,
        }
    }

    /// Returns how many events the last wait brought.
    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    /// Returns key and readiness of event `index` of the last wait.
    pub(crate) fn at(&self, index: usize) -> (u64, u32) {
        let event = self.list[..self.filled][index];
        (event.u64, event.events)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn wait_after_peer_wrote_reports_key_and_readable() {
        let epoll = Epoll::new().unwrap();
        let (left, mut right) = UnixStream::pair().unwrap();
        epoll.add(left.as_fd(), READABLE | EDGE, 7).unwrap();
        let mut events = Events::with_capacity(4);
        epoll.wait(&mut events, 0).unwrap();
        assert_eq!(events.len(), 0);
        right.write_all(b"x").unwrap();
        epoll.wait(&mut events, 1000).unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events.at(0), (7, READABLE));
        epoll.wait(&mut events, 0).unwrap();
        assert_eq!(events.len(), 0, "an edge is told once");
        epoll.modify(left.as_fd(), READABLE, 9).unwrap();
        epoll.wait(&mut events, 1000).unwrap();
        assert_eq!(events.at(0), (9, READABLE));
    }
}
