//! What is kept in step: a reading.

use gannet::roam::{PeerError, State};

/// The newest reading of a device, and how many there were.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// Which one it is, counted from 1; 0 before the first.
    pub(crate) count: u32,
    /// In thousandths of a degree.
    pub(crate) millidegrees: i32,
}

impl State for Reading {
    fn diff_from(&self, base: &Self) -> Vec<u8> {
        if self == base {
            return Vec::new();
        }
        [self.count.to_be_bytes(), self.millidegrees.to_be_bytes()].concat()
    }

    fn apply(&mut self, diff: &[u8]) -> Result<(), PeerError> {
        // One octet is a probe, and none changes nothing either.
        if diff.len() <= 1 {
            return Ok(());
        }
        let (count, rest) = diff.split_first_chunk().ok_or(PeerError::Diff)?;
        let millidegrees = rest.try_into().map_err(|_| PeerError::Diff)?;
        self.count = u32::from_be_bytes(*count);
        self.millidegrees = i32::from_be_bytes(millidegrees);
        Ok(())
    }

    fn probe() -> Vec<u8> {
        vec![0]
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
