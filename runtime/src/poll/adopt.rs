//! Taking a descriptor over: how, and what comes back if it can't be done.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

/// How [`AsyncFd::with_options`](crate::AsyncFd::with_options) adopts a descriptor.
///
/// ```
/// use gannet_runtime::{AdoptOptions, AsyncFd, Builder};
///
/// Builder::new_current_thread().build()?.block_on(async {
///     // Made non-blocking and close-on-exec by `pipe`, and known to nobody else.
///     let (_reader, writer) = gannet_sys::fd::pipe()?;
///     let options = AdoptOptions { exclusive: true, writable: true, ..AdoptOptions::default() };
///     let writer = AsyncFd::with_options(writer, options)?;
///     writer.writable().await
/// })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdoptOptions {
    /// The descriptor was created non-blocking and close-on-exec, and nobody else refers to its
    /// description: it is adopted without a look at its flags, and needs no `epoll_ctl` when it is
    /// closed.
    pub exclusive: bool,
    /// Report writability from the start, as a connecting socket needs; otherwise from the first
    /// write that would block.
    pub writable: bool,
    /// There is nothing to read yet, or the edge that registration delivers will tell: the first
    /// read waits instead of trying, with `lazy` until the task's next turn.
    pub fresh: bool,
    /// Register with the poller when an operation first has to wait, instead of now: a connection
    /// that is over before that never pays for it. What registration may refuse, that operation
    /// reports. Goes with `exclusive`, and not with `writable`.
    pub lazy: bool,
}

/// A descriptor that could not be adopted, and why. Nothing is lost: it is returned.
///
/// ```
/// use gannet_runtime::{AsyncFd, Builder};
///
/// Builder::new_current_thread().build()?.block_on(async {
///     let refused = AsyncFd::new(std::fs::File::open("/proc/self/exe")?).unwrap_err();
///     assert!(refused.to_string().contains("cannot be polled (EPERM)"));
///     assert!(std::fs::File::from(refused.fd).metadata()?.is_file());
///     Ok::<_, std::io::Error>(())
/// })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AdoptError {
    /// The descriptor. Its `O_NONBLOCK` flag may be set now.
    pub fd: OwnedFd,
    /// What refused it.
    pub error: io::Error,
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "adopt descriptor: {}", self.error)
    }
}

impl std::error::Error for AdoptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<AdoptError> for io::Error {
    /// Keeps the error and closes the descriptor.
    fn from(err: AdoptError) -> Self {
        err.error
    }
}
