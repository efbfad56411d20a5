//! The message of the transport layer: which state follows from which, and what is acknowledged.

use prost::Message;

use super::constants::{INFLATE_MAX, PROTOCOL_VERSION};
use super::error::PeerError;

/// One step of the peer's object, with the acknowledgement of ours.
///
/// All seven fields are written, empty ones too, in this order, as mosh does. A field that does
/// not come reads as 0 or empty; unknown ones are skipped.
///
/// ```
/// use gannet_roam::proto::Instruction;
///
/// let instruction = Instruction { old_num: 0, new_num: 1, ..Instruction::new() };
/// let octets = instruction.encode();
/// assert_eq!(octets, b"\x08\x02\x10\x00\x18\x01\x20\x00\x28\x00\x32\x00\x3a\x00");
/// assert_eq!(Instruction::decode(&octets)?, instruction);
/// # Ok::<(), gannet_roam::proto::PeerError>(())
/// ```
///
/// Reference: `mosh-wire.md` §6.
#[derive(Clone, Eq, Message, PartialEq)]
pub struct Instruction {
    /// The version of the protocol: 2.
    #[prost(uint32, required, tag = "1")]
    pub protocol_version: u32,
    /// The state that the diff applies to.
    #[prost(uint64, required, tag = "2")]
    pub old_num: u64,
    /// The state that results; 2^64 - 1 shuts down.
    #[prost(uint64, required, tag = "3")]
    pub new_num: u64,
    /// The newest state of the receiver that the sender holds.
    #[prost(uint64, required, tag = "4")]
    pub ack_num: u64,
    /// The receiver may forget the sender's states below this one.
    #[prost(uint64, required, tag = "5")]
    pub throwaway_num: u64,
    /// What turns the old state into the new one; empty if nothing changed.
    #[prost(bytes = "vec", required, tag = "6")]
    pub diff: Vec<u8>,
    /// Up to 16 random octets that hide the length of the rest.
    #[prost(bytes = "vec", required, tag = "7")]
    pub chaff: Vec<u8>,
}

impl Instruction {
    /// Makes one of our version, with nothing else in it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            protocol_version: PROTOCOL_VERSION,
            ..Self::default()
        }
    }

    /// Returns the octets on the wire, before compression.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// Reads an instruction. The version is not looked at: see [`check_version`].
    ///
    /// # Errors
    /// [`PeerError::TooLong`] above 4 MiB and [`PeerError::Instruction`] for what is no such
    /// message.
    ///
    /// [`check_version`]: Self::check_version
    pub fn decode(octets: &[u8]) -> Result<Self, PeerError> {
        if octets.len() > INFLATE_MAX {
            return Err(PeerError::TooLong);
        }
        Message::decode(octets).map_err(|_| PeerError::Instruction)
    }

    /// Refuses an instruction of a version that is not ours, or that names none.
    ///
    /// # Errors
    /// [`PeerError::Version`].
    pub fn check_version(&self) -> Result<(), PeerError> {
        match self.protocol_version {
            PROTOCOL_VERSION => Ok(()),
            _ => Err(PeerError::Version),
        }
    }
}

#[cfg(test)]
mod tests;
