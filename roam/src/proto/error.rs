//! What goes wrong, by whose fault it is.

use std::error::Error;
use std::fmt;

/// A datagram or an instruction that is dropped because of what the peer, or a stranger, sent.
///
/// Whoever meets one drops the input, counts it and goes on: nothing is answered, nothing is
/// logged, and no state is made of it. What was authentic until there still counts: the datagram's
/// number, timestamps and address are taken, its fragment may have ended another instruction, and
/// states that it throws away are gone. Making one allocates nothing.
///
/// ```
/// use gannet_roam::proto::{Key, PeerError, Seal, Side};
///
/// let key: Key = "GHe3rr+vIkWSshPEDJebSQ".parse().unwrap();
/// let server = Seal::new(&key, Side::Server);
/// assert_eq!(server.open(&mut [0; 8]), Err(PeerError::Short));
/// assert_eq!(server.open(&mut [0; 24]), Err(PeerError::Forged));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum PeerError {
    /// A datagram shorter than nonce and tag.
    Short,
    /// A datagram longer than the receive buffer.
    Oversize,
    /// The tag does not fit: another key, or octets that were changed.
    Forged,
    /// Authentic, but sealed by our own side: a datagram that was sent back to us.
    Direction,
    /// A sequence number that has been seen.
    Replayed,
    /// Authentic, but without room for the two timestamps.
    NoTimestamps,
    /// A payload shorter than a fragment's header.
    FragmentShort,
    /// A fragment whose number came before with other contents.
    FragmentConflict,
    /// A fragment numbered above the final one, or a final one below what came before.
    FragmentNumber,
    /// An instruction longer than the limit, compressed or not.
    TooLong,
    /// No complete zlib stream, or octets after its end.
    Inflate,
    /// No instruction in protobuf's encoding.
    Instruction,
    /// An instruction of another version of the protocol.
    Version,
    /// State numbers that go backwards, or refer to what the peer gave up.
    Numbers,
    /// A diff that does not parse or does not apply.
    Diff,
    /// More states or events than are kept.
    TooMany,
}

impl PeerError {
    fn text(self) -> &'static str {
        match self {
            Self::Short => "datagram shorter than nonce and tag",
            Self::Oversize => "datagram longer than the receive buffer",
            Self::Forged => "datagram failed its integrity check",
            Self::Direction => "datagram of our own direction",
            Self::Replayed => "datagram seen before",
            Self::Numbers => "instruction with impossible state numbers",
            Self::NoTimestamps => "datagram without timestamps",
            Self::FragmentShort => "fragment shorter than its header",
            Self::FragmentConflict => "fragment repeated with other contents",
            Self::FragmentNumber => "fragment numbered above the final one",
            Self::TooLong => "instruction longer than the limit",
            Self::Inflate => "instruction is not one zlib stream",
            Self::Instruction => "instruction does not parse",
            Self::Version => "mosh protocol version mismatch",
            Self::Diff => "diff does not parse or apply",
            Self::TooMany => "too many states or events",
        }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Error for PeerError {}

/// What our own side cannot do: a limit of the key or of the format.
///
/// ```
/// use gannet_roam::proto::{Key, LocalError, Seal, Side};
///
/// let key: Key = "GHe3rr+vIkWSshPEDJebSQ".parse().unwrap();
/// let mut client = Seal::new(&key, Side::Client);
/// let (len, limit) = (Seal::PLAIN_MAX + 1, Seal::PLAIN_MAX);
/// let refused = client.seal(&vec![0; len], &mut Vec::new());
/// assert_eq!(refused, Err(LocalError::TooLong { len, limit }));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum LocalError {
    /// The key has sealed all that it may. The session ends: there is no other key.
    KeyExhausted,
    /// A client was given no address of its server.
    NoAddress,
    /// An empty payload, which is what a heartbeat looks like.
    Empty,
    /// Too many datagrams wait to be sent.
    QueueFull,
    /// The session is over.
    Closed,
    /// Something to send is longer than fits.
    TooLong {
        /// Its length in octets.
        len: usize,
        /// The longest that fits, in octets.
        limit: usize,
    },
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyExhausted => f.write_str("the key has sealed all that it may"),
            Self::NoAddress => f.write_str("the server has no address"),
            Self::Empty => f.write_str("an empty datagram cannot be told from a heartbeat"),
            Self::QueueFull => f.write_str("too many datagrams wait to be sent"),
            Self::Closed => f.write_str("the session is over"),
            Self::TooLong { len, limit } => {
                write!(f, "{len} octets to send, at most {limit} fit")
            }
        }
    }
}

impl Error for LocalError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_error_displays_both_lengths() {
        let error = LocalError::TooLong { len: 9, limit: 4 };
        assert_eq!(error.to_string(), "9 octets to send, at most 4 fit");
    }

    #[test]
    fn peer_error_of_another_version_displays_as_mosh_says_it() {
        assert_eq!(
            PeerError::Version.to_string(),
            "mosh protocol version mismatch"
        );
    }
}
