//! Connecting a socket: readiness is not connection.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use gannet_runtime::AsyncFd;
use gannet_sys::errno::{EALREADY, EINPROGRESS, EINTR, EISCONN, ENOTCONN};
use gannet_sys::sockaddr::SockAddr;
use gannet_sys::socket;

use crate::error::syscall;
use crate::open::{NewSocket, State};

/// Connects `new` to `remote`, and registers it. Dropping the future, or an error, closes the
/// socket.
///
/// Waits for the peer's answer or the deadline.
///
/// # Errors
/// The deadline error; the error of `connect(2)`, at once or in the end.
pub(crate) async fn connect(
    new: NewSocket,
    remote: &SockAddr,
    deadline: Option<Instant>,
) -> io::Result<(AsyncFd, SockAddr)> {
    match socket::connect(new.as_fd(), remote).map_err(|err| (err.raw_os_error(), err)) {
        Ok(()) | Err((Some(EISCONN), _)) => {
            let peer = socket::peer_addr(new.as_fd()).unwrap_or_else(|_| remote.clone());
            Ok((new.register(State::Connected)?, peer))
        }
        // An interrupted connect goes on by itself.
        Err((Some(EINPROGRESS | EALREADY | EINTR), _)) => {
            let fd = new.register(State::Connecting)?;
            let peer = complete(&fd, deadline).await?;
            Ok((fd, peer))
        }
        Err((_, err)) => Err(syscall("connect", err)),
    }
}

/// Waits until a connecting socket has connected.
async fn complete(fd: &AsyncFd, deadline: Option<Instant>) -> io::Result<SockAddr> {
    if deadline.is_some() {
        fd.set_write_deadline(deadline)?;
    }
    fd.writable().await?;
    let peer = fd.write_with(arrived).await;
    if deadline.is_some() {
        fd.set_write_deadline(None)?;
    }
    peer.map_err(|err| syscall("connect", err))
}

/// Returns the peer of a writable socket if it is connected: if it has no error, *and* it has a
/// peer.
///
/// Writability alone may be spurious (Go#14548), and then another edge will come.
fn arrived(fd: BorrowedFd<'_>) -> io::Result<SockAddr> {
    let blocked = || Err(io::ErrorKind::WouldBlock.into());
    if let Some(err) = socket::take_error(fd)? {
        match err.raw_os_error() {
            Some(EISCONN) => {}
            Some(EINPROGRESS | EALREADY | EINTR) => return blocked(),
            _ => return Err(err),
        }
    }
    match socket::peer_addr(fd) {
        Err(err) if err.raw_os_error() == Some(ENOTCONN) => blocked(),
        result => result,
    }
}
