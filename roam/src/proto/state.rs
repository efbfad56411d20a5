//! What is synchronised: the trait of a state.

use super::error::PeerError;

/// An object of which the peer is to hold a copy.
///
/// A session carries one in each direction. The sender compares snapshots and sends what turns one
/// that the receiver holds into the newest; those in between may never arrive. So a state is what
/// counts now (a screen, a reading), or a log that keeps what the peer has not confirmed.
///
/// ```
/// use gannet_roam::proto::{PeerError, State};
///
/// /// The newest reading of a sensor.
/// #[derive(Clone, PartialEq, Default)]
/// struct Reading(i64);
///
/// impl State for Reading {
///     fn diff_from(&self, base: &Self) -> Vec<u8> {
///         if self == base { Vec::new() } else { self.0.to_be_bytes().to_vec() }
///     }
///
///     fn apply(&mut self, diff: &[u8]) -> Result<(), PeerError> {
///         if diff.is_empty() {
///             return Ok(()); // A probe.
///         }
///         let octets = diff.try_into().map_err(|_| PeerError::Diff)?;
///         self.0 = i64::from_be_bytes(octets);
///         Ok(())
///     }
///
///     fn size(&self) -> usize {
///         size_of::<Self>()
///     }
/// }
///
/// let mut copy = Reading(1);
/// copy.apply(&Reading(2).diff_from(&copy))?;
/// assert!(copy == Reading(2));
/// # Ok::<_, PeerError>(())
/// ```
///
/// Cloning must be cheap, because every snapshot is kept until the peer confirms a newer one: put
/// big parts into an [`Arc`](std::sync::Arc).
pub trait State: Clone + PartialEq {
    /// Returns the octets that turn `base` into `self`: none exactly if the two are equal, and the
    /// same ones each time for the same pair.
    fn diff_from(&self, base: &Self) -> Vec<u8>;

    /// Applies octets that [`diff_from`](Self::diff_from) made at the other end.
    ///
    /// They come from an authenticated peer, which may still be hostile: must not panic, and must
    /// not make `self` bigger than the application can bear. An empty diff, and a
    /// [`probe`](Self::probe), change nothing.
    ///
    /// # Errors
    /// [`PeerError::Diff`] for octets that make no sense. `self` is thrown away then.
    fn apply(&mut self, diff: &[u8]) -> Result<(), PeerError>;

    /// Returns a diff that changes nothing, for asking the peer whether it hears us.
    ///
    /// Empty, as it is unless overridden, asks by an empty diff, which mosh answers only with its
    /// next heartbeat, up to three seconds later.
    fn probe() -> Vec<u8> {
        Vec::new()
    }

    /// Forgets what `known` holds, too, if this state is a log: both ends have it, so no diff will
    /// start before it.
    fn forget(&mut self, known: &Self) {
        let _ = known;
    }

    /// Returns the bytes of memory that this takes, about. What the peer makes us hold is bounded
    /// by it.
    fn size(&self) -> usize;
}
