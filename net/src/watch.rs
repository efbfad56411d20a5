//! Noticing that the network of this machine has changed.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use gannet_runtime::{AdoptOptions, AsyncFd, OwnedReadGuard};
use gannet_sys::errno;
use gannet_sys::netlink;

use crate::error::{Op, OpError, syscall};

pub use gannet_sys::netlink::NetworkChange;

/// How many announcements become one change at most, so that a storm of them holds up nobody.
const ANNOUNCEMENTS_MAX: usize = 64;

/// Tells when addresses, routes or interfaces of this machine come, go or change: when to look for
/// other paths to a peer.
///
/// It tells of changes after [`new`](Self::new), in the network namespace of the thread that called it.
/// What they are is not told, because it may be over by then: look at what there is now. A change may
/// be of no consequence, such as a lifetime that was renewed.
///
/// One watch is enough for a process. It has no buffer while it waits.
///
/// ```
/// # gannet_runtime::Builder::new_current_thread().build()?.block_on(async {
/// use gannet_net::AddressWatch;
/// use gannet_runtime::time;
/// use std::time::Duration;
///
/// async fn watch() -> std::io::Result<()> {
///     let mut watch = AddressWatch::new()?;
///     loop {
///         let change = watch.changed().await?;
///         if change.addresses || change.routes {
///             println!("there may be another way now");
///         }
///     }
/// }
/// // For ever, in a program that has other tasks.
/// let ended = time::timeout(Duration::from_millis(10), watch()).await;
/// assert!(ended.is_err(), "it failed: {ended:?}");
/// # Ok::<_, std::io::Error>(()) })?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// Reference: [`rtnetlink(7)`](https://man7.org/linux/man-pages/man7/rtnetlink.7.html).
pub struct AddressWatch {
    guard: OwnedReadGuard,
}

impl AddressWatch {
    /// Begins to watch. No privilege is needed.
    ///
    /// # Errors
    /// `EMFILE` and `ENFILE` without a free descriptor, `EPROTONOSUPPORT` or `EACCES` where netlink is
    /// not to be had, and an error that says so without a runtime on this thread.
    ///
    /// Reference: [`netlink(7)`](https://man7.org/linux/man-pages/man7/netlink.7.html).
    pub fn new() -> io::Result<Self> {
        let failed = |err| io::Error::from(OpError::new(Op::Listen, "netlink", err));
        let fd = netlink::watch_network().map_err(|err| failed(syscall("socket", err)))?;
        let options = AdoptOptions {
            exclusive: true,
            ..AdoptOptions::default()
        };
        let fd = AsyncFd::with_options(fd, options).map_err(|err| failed(err.into()))?;
        Ok(AddressWatch {
            guard: fd.begin_read_owned(),
        })
    }

    /// Waits for the next change, and takes with it what else has changed meanwhile.
    ///
    /// If there were more changes than the kernel keeps, this is a change of everything.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: no announcement is taken before it completes, unless it is
    /// about nothing.
    ///
    /// # Errors
    /// `ENOMEM`, and the error that says so once the runtime has shut down.
    ///
    /// Reference: [`rtnetlink(7)`](https://man7.org/linux/man-pages/man7/rtnetlink.7.html).
    pub fn changed(&mut self) -> impl Future<Output = io::Result<NetworkChange>> {
        poll_fn(|cx| self.poll_changed(cx))
    }

    /// Polls for the next change, as [`changed`](Self::changed) waits. The waker of the last poll is
    /// woken.
    ///
    /// # Errors
    /// Those of `changed`.
    pub fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<NetworkChange>> {
        self.guard
            .poll_read_with(cx, |fd| gather(|| netlink::recv_change(fd)))
            .map_err(|err| OpError::new(Op::Read, "netlink", syscall("recvfrom", err)).into())
    }
}

impl fmt::Debug for AddressWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressWatch").finish_non_exhaustive()
    }
}

/// Joins announcements until there is no other. An error ends it, and is the answer only if nothing
/// has changed so far: what lasts comes again.
fn gather(mut recv: impl FnMut() -> io::Result<NetworkChange>) -> io::Result<NetworkChange> {
    let mut all = NetworkChange::default();
    for _ in 0..ANNOUNCEMENTS_MAX {
        match recv() {
            Ok(change) => all = all | change,
            // Some were lost.
            Err(err) if err.raw_os_error() == Some(errno::ENOBUFS) => all = NetworkChange::ALL,
            Err(err) if all.is_nothing() => return Err(err),
            Err(_) => break,
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: NetworkChange = NetworkChange {
        addresses: false,
        routes: false,
        links: false,
    };
    const ROUTES: NetworkChange = NetworkChange {
        routes: true,
        ..NOTHING
    };
    const LINKS: NetworkChange = NetworkChange {
        links: true,
        ..NOTHING
    };

    fn errno(number: i32) -> io::Result<NetworkChange> {
        Err(io::Error::from_raw_os_error(number))
    }

    /// Gathers from these answers; a test that asks for more of them fails.
    fn gathered(answers: Vec<io::Result<NetworkChange>>) -> io::Result<NetworkChange> {
        let mut answers = answers.into_iter();
        gather(|| answers.next().expect("no more is asked for"))
    }

    #[test]
    fn announcements_become_one_change() {
        let all = gathered(vec![
            Ok(NOTHING),
            Ok(ROUTES),
            Ok(LINKS),
            errno(errno::EAGAIN),
        ]);
        assert_eq!(all.unwrap(), ROUTES | LINKS);
        let storm = vec![ROUTES; ANNOUNCEMENTS_MAX];
        assert_eq!(
            gathered(storm.into_iter().map(Ok).collect()).unwrap(),
            ROUTES
        );
    }

    #[test]
    fn lost_announcements_are_a_change_of_everything() {
        let all = gathered(vec![errno(errno::ENOBUFS), errno(errno::EAGAIN)]);
        assert_eq!(all.unwrap(), NetworkChange::ALL);
    }

    #[test]
    fn announcements_of_nothing_are_no_change() {
        for end in [errno::EAGAIN, errno::EINTR, errno::ENOMEM] {
            let err = gathered(vec![Ok(NOTHING), errno(end)]).unwrap_err();
            assert_eq!(err.raw_os_error(), Some(end));
        }
    }
}
