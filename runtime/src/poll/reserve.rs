//! Where workers wait that need not attend to the network: an epoll set of their own, with an
//! eventfd that calls one of them and the timer of the watch.
//!
//! The timer rings in the poller too: when all idle workers wait there, one of them watches.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use gannet_sys::epoll::{Epoll, Events, Interest, Wait};
use gannet_sys::eventfd::EventFd;
use gannet_sys::timerfd::TimerFd;

use super::wake::WakeFlag;
use crate::time::driver::Alarm;

const CALL_KEY: u64 = 0;
const WATCH_KEY: u64 = 1;

/// The waiting place of spare workers.
#[derive(Debug)]
pub(crate) struct Reserve {
    epoll: Epoll,
    call: WakeFlag<EventFd>,
    watch: TimerFd,
}

impl Reserve {
    pub(crate) fn new() -> io::Result<Self> {
        let (epoll, call, watch) = (Epoll::new()?, EventFd::new()?, TimerFd::new()?);
        epoll.add(call.as_fd(), Interest::READ, CALL_KEY)?;
        epoll.add(watch.as_fd(), Interest::READ, WATCH_KEY)?;
        Ok(Self {
            epoll,
            call: WakeFlag::new(call),
            watch,
        })
    }

    pub(crate) fn watch_timer(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }

    /// Calls one worker, unless a call is on its way. Returns whether that took a write.
    pub(crate) fn call(&self) -> bool {
        self.call.raise()
    }

    /// Has the watch ring `delay` from now, here and in the poller.
    pub(crate) fn watch_after(&self, delay: Duration) {
        self.watch.ring_after(delay);
    }

    /// Waits for a call or the watch. Returns whether the watch rang.
    pub(crate) fn wait(&self, events: &mut Events) -> bool {
        match self.epoll.wait(events, 2, Wait::Forever) {
            Ok(_) => {}
            // The caller comes back.
            Err(err) if err.kind() == io::ErrorKind::Interrupted => return false,
            Err(err) => panic!("epoll_wait on the reserve's own descriptor failed: {err}"),
        }
        let mut rang = false;
        for event in events.iter() {
            match event.key {
                CALL_KEY => self.call.take(),
                _ => rang = true,
            }
        }
        rang
    }
}
