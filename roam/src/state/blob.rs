//! An opaque value.

use std::sync::Arc;

use crate::proto::{PeerError, State};

/// Octets of whatever meaning, of which the newest count: a reading, a document, a serialised value.
///
/// A difference carries what stands between the common beginning and the common end, so that a small
/// change of a big value is small.
///
/// ```
/// use gannet_roam::Blob;
/// use gannet_roam::proto::State;
///
/// let (old, new) = (Blob::from("21.5 degrees"), Blob::from("21.6 degrees"));
/// let mut copy = old.clone();
/// copy.apply(&new.diff_from(&old))?;
/// assert_eq!(copy.as_ref(), b"21.6 degrees");
/// # Ok::<_, gannet_roam::proto::PeerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    octets: Arc<[u8]>,
}

/// The first octet of a difference.
const PROBE: u8 = 0;
const CHANGE: u8 = 1;

/// The lengths of the common beginning and the common end, in octets, big-endian.
const HEADER: usize = 1 + 4 + 4;

/// A value may not become longer than what an instruction may carry.
const LENGTH_MAX: usize = crate::proto::constants::INFLATE_MAX;

impl Blob {
    /// Returns an empty value, the usual initial state.
    pub fn new() -> Self {
        Blob::from(Vec::new())
    }
}

impl Default for Blob {
    fn default() -> Self {
        Blob::new()
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

impl From<Vec<u8>> for Blob {
    fn from(octets: Vec<u8>) -> Self {
        Blob {
            octets: octets.into(),
        }
    }
}

impl From<&str> for Blob {
    fn from(text: &str) -> Self {
        Blob::from(text.as_bytes().to_vec())
    }
}

impl State for Blob {
    fn diff_from(&self, base: &Self) -> Vec<u8> {
        if self == base {
            return Vec::new();
        }
        let (old, new) = (&base.octets[..], &self.octets[..]);
        let shorter = old.len().min(new.len());
        let same = |(a, b): &(&u8, &u8)| a == b;
        let head = old.iter().zip(new).take_while(same).count();
        let tail = old.iter().rev().zip(new.iter().rev()).take_while(same);
        let tail = tail.take(shorter - head).count();
        let mut diff = Vec::with_capacity(HEADER + new.len() - head - tail);
        diff.push(CHANGE);
        for length in [head, tail] {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            diff.extend_from_slice(&length.to_be_bytes());
        }
        diff.extend_from_slice(&new[head..new.len() - tail]);
        diff
    }

    fn apply(&mut self, diff: &[u8]) -> Result<(), PeerError> {
        match diff {
            [] | [PROBE] => return Ok(()),
            [CHANGE, ..] => {}
            _ => return Err(PeerError::Diff),
        }
        let (header, middle) = diff.split_at_checked(HEADER).ok_or(PeerError::Diff)?;
        let length = |at: usize| {
            let octets = header.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(u32::from_be_bytes(octets)).ok()
        };
        let (head, tail) = length(1).zip(length(5)).ok_or(PeerError::Diff)?;
        let old = &self.octets;
        let tail_at = old.len().checked_sub(tail).ok_or(PeerError::Diff)?;
        let head = old.get(..head).filter(|head| head.len() <= tail_at);
        let head = head.ok_or(PeerError::Diff)?;
        let new = [head, middle, &old[tail_at..]].concat();
        if new.len() > LENGTH_MAX {
            return Err(PeerError::Diff);
        }
        self.octets = new.into();
        Ok(())
    }

    fn probe() -> Vec<u8> {
        vec![PROBE]
    }

    fn size(&self) -> usize {
        self.octets.len() + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_change_of_a_big_value_is_small() {
        let mut octets = vec![7; 100_000];
        let old = Blob::from(octets.clone());
        octets[50_000] = 8;
        assert_eq!(Blob::from(octets).diff_from(&old).len(), HEADER + 1);
    }

    #[test]
    fn senseless_differences_are_refused() {
        let blob = Blob::from("abc");
        for diff in [
            &[2][..],
            &[0, 0],
            &[1],
            &[1, 0, 0, 0, 4, 0, 0, 0, 0],
            &[1, 0, 0, 0, 2, 0, 0, 0, 2],
            &[1, 255, 255, 255, 255, 255, 255, 255, 255],
        ] {
            assert_eq!(blob.clone().apply(diff), Err(PeerError::Diff), "{diff:?}");
        }
    }

    proptest! {
        #[test]
        fn difference_makes_the_new_value(old in "[ab]{0,12}", new in "[ab]{0,12}") {
            let (old, new) = (Blob::from(&old[..]), Blob::from(&new[..]));
            let diff = new.diff_from(&old);
            prop_assert_eq!(diff.is_empty(), old == new);
            let mut copy = old;
            copy.apply(&diff).expect("a difference");
            prop_assert_eq!(copy, new);
        }
    }
}
