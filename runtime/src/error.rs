//! The errors that every waiting operation may end with, with fixed texts and a function to
//! recognise each.

use std::error::Error;
use std::fmt;
use std::io;

/// Why an operation was refused or interrupted by us and not by the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The descriptor was closed.
    Closed,
    /// The direction's deadline has passed.
    Deadline,
    /// The runtime that polls the descriptor has shut down.
    Shutdown,
    /// The runtime belongs to the parent of this forked process.
    Forked,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stop::Closed => "use of closed network connection",
            Stop::Deadline => "i/o timeout",
            Stop::Shutdown => "the gannet runtime of this descriptor has shut down",
            Stop::Forked => {
                "a gannet runtime cannot be used in a forked child: build a new one there"
            }
        })
    }
}

impl Error for Stop {}

impl From<Stop> for io::Error {
    fn from(stop: Stop) -> Self {
        let kind = match stop {
            Stop::Deadline => io::ErrorKind::TimedOut,
            Stop::Closed => io::ErrorKind::NotConnected,
            Stop::Shutdown | Stop::Forked => io::ErrorKind::Other,
        };
        io::Error::new(kind, stop)
    }
}

/// Returns the error of an operation on a closed descriptor: "use of closed network connection".
#[must_use]
pub fn closed() -> io::Error {
    Stop::Closed.into()
}

/// Returns the error of an operation whose deadline has passed: "i/o timeout", of kind `TimedOut`.
#[must_use]
pub fn deadline_exceeded() -> io::Error {
    Stop::Deadline.into()
}

/// Returns whether `err` came about because the descriptor was closed on our side, however deeply
/// it is wrapped.
///
/// ```
/// let err = std::io::Error::other(gannet_runtime::error::closed());
/// assert!(gannet_runtime::error::is_closed(&err));
/// ```
#[must_use]
pub fn is_closed(err: &io::Error) -> bool {
    find(err) == Some(Stop::Closed)
}

/// Returns whether `err` came about because a read or write deadline passed, however deeply it is
/// wrapped.
///
/// An `ETIMEDOUT` of the kernel is not one of these.
///
/// ```
/// use gannet_runtime::error;
/// assert!(error::is_deadline(&error::deadline_exceeded()));
/// assert!(!error::is_deadline(&std::io::ErrorKind::TimedOut.into()));
/// ```
#[must_use]
pub fn is_deadline(err: &io::Error) -> bool {
    find(err) == Some(Stop::Deadline)
}

/// Returns whether `err` came about because the runtime has shut down, however deeply it is
/// wrapped.
#[must_use]
pub fn is_shutdown(err: &io::Error) -> bool {
    find(err) == Some(Stop::Shutdown)
}

/// Looks for a [`Stop`] through `io::Error` wrappers and `source` chains.
///
/// `io::Error::source` skips its own payload and asks that one's source, hence the step through
/// `get_ref`.
fn find(err: &io::Error) -> Option<Stop> {
    let mut next: Option<&(dyn Error + 'static)> = err.get_ref().map(|e| e as _);
    while let Some(err) = next {
        if let Some(stop) = err.downcast_ref::<Stop>() {
            return Some(*stop);
        }
        next = match err.downcast_ref::<io::Error>() {
            Some(inner) => inner.get_ref().map(|e| e as _),
            None => err.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapper(io::Error);

    impl fmt::Display for Wrapper {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "read tcp: {}", self.0)
        }
    }

    impl Error for Wrapper {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn wrapped_errors_are_recognised() {
        let wrapped = io::Error::new(io::ErrorKind::TimedOut, Wrapper(deadline_exceeded()));
        assert!(is_deadline(&wrapped));
        assert!(!is_closed(&wrapped));
        assert_eq!(wrapped.to_string(), "read tcp: i/o timeout");
        assert!(is_closed(&io::Error::other(Wrapper(io::Error::other(
            closed()
        )))));
    }

    #[test]
    fn foreign_errors_are_not_ours() {
        for err in [
            io::Error::from_raw_os_error(110),
            io::Error::other("i/o timeout"),
        ] {
            assert!(
                !is_deadline(&err) && !is_closed(&err) && !is_shutdown(&err),
                "{err:?}"
            );
        }
    }
}
