//! What a session tells its application.

use std::net::SocketAddr;
use std::time::Duration;

use super::error::LocalError;

/// Something that happened to a session, in the order in which it happened.
///
/// See [`Protocol`](super::Protocol) for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The peer was heard for the first time, or again after [`Detached`](Self::Detached).
    Attached {
        /// Where it is.
        peer: SocketAddr,
    },
    /// The peer is reached at another address from now on: it moved, or its new one did not answer.
    Roamed {
        /// Where it was.
        from: SocketAddr,
        /// Where it is.
        to: SocketAddr,
    },
    /// Nothing was heard for some time. The session goes on.
    Silent {
        /// How long ago the peer was heard.
        since: Duration,
    },
    /// The peer is heard again after [`Silent`](Self::Silent).
    Resumed,
    /// A server has not heard its client for so long that it stops sending. The session goes on as
    /// soon as the client speaks.
    Detached,
    /// Something that cannot be sent: a state whose difference is longer than the peer would take, or
    /// a key that is used up. The session ends.
    Failed(LocalError),
    /// The session is over.
    Closed {
        /// Whether both ends know it.
        clean: bool,
    },
}
