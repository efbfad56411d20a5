//! Closing that waits: a connection with a linger time is closed by a thread that may block.
//!
//! The kernel makes the thread wait that gives the last descriptor of such a socket back. So a second
//! one is kept, which outlives the first and is closed on the blocking pool.
//!
//! The time may be set by a method, which is seen; by a control hook or in `Socket::control`, after
//! which the kernel is asked; and by either for a listener, whose connections inherit it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use gannet_runtime::Handle;
use gannet_sys::fd::dup_cloexec;

use crate::control::RawSocket;

/// Whether closing waits with this linger time.
pub(crate) fn waits(after: Option<Duration>) -> bool {
    after.is_some_and(|after| !after.is_zero())
}

/// Whether closing this socket, or a connection that inherits its options, waits.
pub(crate) fn is_set(socket: &RawSocket<'_>) -> bool {
    socket.linger().is_ok_and(waits)
}

/// The second descriptor of a connection that lingers. Dropping it closes it elsewhere.
pub(crate) struct Lingering {
    fd: Option<OwnedFd>,
    runtime: Handle,
}

impl Lingering {
    /// Keeps a second descriptor of `fd`'s socket.
    pub(crate) fn new(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Lingering {
            runtime: Handle::try_current()?,
            fd: Some(dup_cloexec(fd)?),
        })
    }

    /// Closes the descriptor on the blocking pool, and waits until it is closed.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the closing.
    pub(crate) async fn close(mut self) {
        if let Some(fd) = self.fd.take() {
            // If the runtime ends meanwhile, it closes the descriptor.
            let _ = self.runtime.spawn_blocking(move || drop(fd)).await;
        }
    }

    /// Closes the descriptor here and now: it is not the last.
    pub(crate) fn forget(mut self) {
        self.fd = None;
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take() {
            drop(self.runtime.spawn_blocking(move || drop(fd)));
        }
    }
}
