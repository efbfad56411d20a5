//! What goes wrong on the way to the peer.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// A datagram did not leave this machine: there is no route, no address, no permission.
///
/// The session goes on: it speaks again by itself, at once when the network changes.
///
/// ```
/// use gannet_roam::PathError;
///
/// let err = PathError { to: "127.0.0.1:60001".parse()?, errno: 101 };
/// assert_eq!(err.to_string(), "sendto 127.0.0.1:60001: Network is unreachable (os error 101)");
/// # Ok::<_, std::net::AddrParseError>(())
/// ```
///
/// Reference: [`sendto(2)`](https://man7.org/linux/man-pages/man2/sendto.2.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathError {
    /// Where it was to go.
    pub to: SocketAddr,
    /// What the kernel said, as a number of `errno(3)`; 0 if it was not the kernel.
    pub errno: i32,
}

impl PathError {
    pub(crate) fn new(to: SocketAddr, err: &io::Error) -> Self {
        let errno = gannet_net::error::raw_os_error(err).unwrap_or(0);
        PathError { to, errno }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            0 => write!(f, "sendto {}: no socket", self.to),
            errno => write!(
                f,
                "sendto {}: {}",
                self.to,
                io::Error::from_raw_os_error(errno)
            ),
        }
    }
}

impl std::error::Error for PathError {}
