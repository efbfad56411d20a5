//! Datagrams: nonce, ciphertext, tag. Whatever opens was sealed by the holder of the same key.

use super::constants::{
    KEY_BLOCKS_MAX, NONCE_LEN, NONCE_SENT_LEN, RECEIVE_BUFFER, SEQUENCE_NUMBERS, TAG_LEN,
};
use super::error::{LocalError, PeerError};
use super::key::Key;
use super::ocb::Ocb;

/// Octets that a cipher's block holds, for counting what a key has sealed.
const BLOCK_LEN: usize = 16;

/// The nonce's top bit: set in what the server sends.
const TO_CLIENT: u64 = 1 << 63;

/// Which end of the session we are.
///
/// See [`Seal`] for an example.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Side {
    /// The end that speaks first, and that roams.
    Client,
    /// The end that answers.
    Server,
}

impl Side {
    /// Returns the other end.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// The direction bit of what this side sends.
    fn direction(self) -> u64 {
        match self {
            Self::Client => 0,
            Self::Server => TO_CLIENT,
        }
    }
}

/// Seals what one side sends and opens what the other side sent.
///
/// It hands out the sequence numbers, each once, and therefore cannot be cloned. Two of them with
/// the same key and side would use each nonce twice, which gives away the plaintext: make one per
/// session, and a new key for each session.
///
/// ```
/// use gannet_roam::proto::{Key, Seal, Side};
///
/// let key: Key = "GHe3rr+vIkWSshPEDJebSQ".parse()?;
/// let mut client = Seal::new(&key, Side::Client);
/// let server = Seal::new(&key, Side::Server);
///
/// let mut datagram = Vec::new();
/// assert_eq!(client.seal(b"hello", &mut datagram)?, 0);
/// let opened = server.open(&mut datagram)?;
/// assert_eq!((opened.seq, opened.payload), (0, &b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Reference: `mosh-wire.md` §3; [RFC 7253](https://www.rfc-editor.org/rfc/rfc7253).
pub struct Seal {
    ocb: Ocb,
    side: Side,
    /// The next sequence number.
    next: u64,
    /// Blocks of plaintext sealed so far.
    blocks: u64,
}

/// What [`Seal::open`] found in a datagram.
///
/// See [`Seal`] for an example.
#[derive(Debug, PartialEq)]
pub struct Opened<'a> {
    /// The peer's sequence number.
    pub seq: u64,
    /// The plaintext: two timestamps, then a fragment.
    pub payload: &'a [u8],
}

impl Seal {
    /// The longest plaintext in octets: any longer and the peer refuses the datagram.
    pub const PLAIN_MAX: usize = RECEIVE_BUFFER - NONCE_SENT_LEN - TAG_LEN;

    /// Starts at sequence number 0 as `side`.
    #[must_use]
    pub fn new(key: &Key, side: Side) -> Self {
        Self::starting_at(key, side, 0, 0)
    }

    /// As [`new`](Self::new), with numbers and blocks already spent, to reach the limits in tests.
    fn starting_at(key: &Key, side: Side, next: u64, blocks: u64) -> Self {
        let ocb = Ocb::new(key.as_bytes());
        Self {
            ocb,
            side,
            next,
            blocks,
        }
    }

    /// Appends `plain` as a sealed datagram to `out`; returns its sequence number.
    ///
    /// The number is spent, whether or not the datagram is sent.
    ///
    /// # Errors
    /// [`LocalError::TooLong`] if `plain` is longer than [`PLAIN_MAX`](Self::PLAIN_MAX), and
    /// [`LocalError::KeyExhausted`] after 2^63 datagrams or 2^47 blocks of 16 octets. Neither
    /// changes `out` or spends a number.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<u64, LocalError> {
        if plain.len() > Self::PLAIN_MAX {
            return Err(LocalError::TooLong {
                len: plain.len(),
                limit: Self::PLAIN_MAX,
            });
        }
        let blocks = self.blocks + plain.len().div_ceil(BLOCK_LEN) as u64;
        if self.next >= SEQUENCE_NUMBERS || blocks > KEY_BLOCKS_MAX {
            return Err(LocalError::KeyExhausted);
        }
        let seq = self.next;
        // Spent before anything else is done with it.
        self.next += 1;
        self.blocks = blocks;
        let sent = (self.side.direction() | seq).to_be_bytes();
        out.reserve(NONCE_SENT_LEN + plain.len() + TAG_LEN);
        out.extend_from_slice(&sent);
        let start = out.len();
        out.extend_from_slice(plain);
        let tag = self.ocb.seal(&nonce(sent), &[], &mut out[start..]);
        out.extend_from_slice(&tag);
        Ok(seq)
    }

    /// Opens `datagram` in place. Costs one decryption, whatever the datagram holds.
    ///
    /// Any sequence number is taken, also one that came before: what an old number may still do
    /// is for the layers above.
    ///
    /// # Errors
    /// In this order: [`PeerError::Oversize`], [`PeerError::Short`], [`PeerError::Forged`] (the
    /// datagram is then wiped) and [`PeerError::Direction`].
    pub fn open<'a>(&self, datagram: &'a mut [u8]) -> Result<Opened<'a>, PeerError> {
        if datagram.len() > RECEIVE_BUFFER {
            return Err(PeerError::Oversize);
        }
        let (&mut sent, sealed) = datagram.split_first_chunk_mut().ok_or(PeerError::Short)?;
        let (text, &mut tag) = sealed.split_last_chunk_mut().ok_or(PeerError::Short)?;
        self.ocb
            .open(&nonce(sent), &[], text, &tag)
            .map_err(|_| PeerError::Forged)?;
        let number = u64::from_be_bytes(sent);
        if number & TO_CLIENT != self.side.peer().direction() {
            return Err(PeerError::Direction);
        }
        Ok(Opened {
            seq: number & !TO_CLIENT,
            payload: text,
        })
    }
}

/// The cipher's nonce: zeros before the octets that are sent.
fn nonce(sent: [u8; NONCE_SENT_LEN]) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - NONCE_SENT_LEN..].copy_from_slice(&sent);
    nonce
}

#[cfg(test)]
mod tests;
