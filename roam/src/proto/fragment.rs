//! One instruction in several datagrams: cutting it up, and putting it together again.

use std::sync::Arc;

use super::constants::{FRAGMENT_HEADER_LEN, FRAGMENTS_MAX, INFLATE_MAX, OVERHEAD};
use super::error::{LocalError, PeerError};
use super::instruction::Instruction;

/// The bit beside a fragment's number that marks the final one.
const FINAL: u16 = 1 << 15;

/// The most compressed octets of one instruction: what zlib makes of the longest one if it stores
/// all of it, five octets per block, and room for empty blocks.
const CONTENTS_MAX: usize = INFLATE_MAX + INFLATE_MAX / 64;

/// A piece of a compressed instruction.
///
/// ```
/// use gannet_roam::proto::Fragment;
///
/// let fragment = Fragment::decode(b"\0\0\0\0\0\0\0\x01\x80\0piece")?;
/// assert_eq!((fragment.id, fragment.number, fragment.last), (1, 0, true));
/// assert_eq!(fragment.contents, b"piece");
/// # Ok::<(), gannet_roam::proto::PeerError>(())
/// ```
///
/// Reference: `mosh-wire.md` §5.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fragment<'a> {
    /// The transmission it belongs to.
    pub id: u64,
    /// Its place, from 0; below 2^15.
    pub number: u16,
    /// Whether it is the final one of its transmission.
    pub last: bool,
    /// The octets.
    pub contents: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Reads the fragment that follows a datagram's timestamps.
    ///
    /// # Errors
    /// [`PeerError::FragmentShort`] below ten octets.
    pub fn decode(payload: &'a [u8]) -> Result<Self, PeerError> {
        let (&header, contents) = payload
            .split_first_chunk::<FRAGMENT_HEADER_LEN>()
            .ok_or(PeerError::FragmentShort)?;
        let [id @ .., a, b] = header;
        let place = u16::from_be_bytes([a, b]);
        Ok(Self {
            id: u64::from_be_bytes(id),
            number: place & !FINAL,
            last: place & FINAL != 0,
            contents,
        })
    }

    /// Returns the ten octets that stand before the contents.
    #[must_use]
    pub fn encode_header(&self) -> [u8; FRAGMENT_HEADER_LEN] {
        let place = (self.number & !FINAL) | if self.last { FINAL } else { 0 };
        let mut header = [0; FRAGMENT_HEADER_LEN];
        header[..8].copy_from_slice(&self.id.to_be_bytes());
        header[8..].copy_from_slice(&place.to_be_bytes());
        header
    }
}

/// Numbers the transmissions of one side and cuts them up.
///
/// ```
/// use gannet_roam::proto::{Assembler, Fragment, Fragmenter, Instruction};
///
/// let (instruction, limit) = (Instruction::default(), 200);
/// let blob = vec![7; 500];
/// let mut fragments = Fragmenter::new().split(&instruction, blob.as_slice().into(), limit)?;
/// assert_eq!((fragments.id(), fragments.remaining()), (1, 4));
///
/// let (mut assembler, mut whole) = (Assembler::new(), None);
/// let mut piece = Vec::new();
/// while fragments.next_into(&mut piece) {
///     whole = assembler.add(Fragment::decode(&piece)?)?;
///     piece.clear();
/// }
/// assert_eq!(whole, Some(blob));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// Reference: `mosh-wire.md` §5.
#[derive(Default)]
pub struct Fragmenter {
    /// The newest id; 0 before the first transmission.
    id: u64,
    /// What bore that id, so that the same again bears the same.
    newest: Option<Transmission>,
}

/// What makes two transmissions the same: pieces of one complete the other at the receiver.
#[derive(PartialEq)]
struct Transmission {
    numbers: [u64; 5],
    chaff: Vec<u8>,
    limit: usize,
    /// Compared too, since pieces of one id that differ would end a mosh at the other side.
    blob: Arc<[u8]>,
}

fn numbers(instruction: &Instruction) -> [u64; 5] {
    [
        instruction.protocol_version.into(),
        instruction.old_num,
        instruction.new_num,
        instruction.ack_num,
        instruction.throwaway_num,
    ]
}

impl Fragmenter {
    /// Starts before the first transmission, whose id will be 1.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The chaff of the newest transmission, if it bore the numbers that `instruction` does. The same
    /// again completes at the receiver what was lost of it; with other chaff it would begin anew, and
    /// an instruction of a thousand pieces would never get through a lossy path.
    #[must_use]
    pub fn chaff_for(&self, instruction: &Instruction) -> Option<&[u8]> {
        let newest = self.newest.as_ref()?;
        (newest.numbers == numbers(instruction)).then_some(&newest.chaff)
    }

    /// Cuts `blob`, which is `instruction` compressed, for datagrams of at most `limit` octets of
    /// UDP payload.
    ///
    /// The id is the newest one if all is as it was then, and the next one otherwise.
    ///
    /// # Errors
    /// [`LocalError::TooLong`] if `blob` would need more than 2^15 pieces, or `limit` leaves no
    /// room for contents. The id is not used up.
    pub fn split(
        &mut self,
        instruction: &Instruction,
        blob: Arc<[u8]>,
        limit: usize,
    ) -> Result<Fragments, LocalError> {
        let room = limit.saturating_sub(OVERHEAD);
        if blob.len() > room.saturating_mul(FRAGMENTS_MAX) || room == 0 {
            return Err(LocalError::TooLong {
                len: blob.len(),
                limit: room.saturating_mul(FRAGMENTS_MAX),
            });
        }
        let transmission = Transmission {
            numbers: numbers(instruction),
            chaff: instruction.chaff.clone(),
            limit,
            blob: Arc::clone(&blob),
        };
        if self.newest.as_ref() != Some(&transmission) {
            // Wrapping it would take more datagrams than the key can seal.
            self.id = self.id.wrapping_add(1);
            self.newest = Some(transmission);
        }
        Ok(Fragments {
            id: self.id,
            blob,
            room,
            number: 0,
        })
    }

    /// Returns about how many octets of memory the newest transmission takes, which is kept to be
    /// compared with the next. Its [`Fragments`] share them.
    #[must_use]
    pub fn memory(&self) -> usize {
        let newest = self.newest.as_ref();
        newest.map_or(0, |newest| newest.blob.len() + newest.chaff.capacity())
    }
}

/// The pieces of one transmission that are still to be sent, in order.
///
/// They are taken one by one, so that a sender can pace them. Dropping it sends no more.
///
/// See [`Fragmenter`] for an example.
#[derive(Clone)]
pub struct Fragments {
    id: u64,
    blob: Arc<[u8]>,
    /// Octets of contents in each piece but the final one.
    room: usize,
    /// Pieces taken.
    number: usize,
}

impl Fragments {
    /// Appends the next piece, header and contents, to `out`; returns whether there was one.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> bool {
        if self.is_empty() {
            return false;
        }
        let start = self.number * self.room;
        let end = self.blob.len().min(start + self.room);
        let fragment = Fragment {
            id: self.id,
            number: self.number as u16,
            last: end == self.blob.len(),
            contents: &self.blob[start..end],
        };
        out.extend_from_slice(&fragment.encode_header());
        out.extend_from_slice(fragment.contents);
        self.number += 1;
        true
    }

    /// Returns the id that all its pieces bear.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns how many pieces are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        // An empty blob has one piece too, which says that there is nothing.
        self.blob.len().div_ceil(self.room).max(1) - self.number
    }

    /// Returns whether all pieces are taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }
}

/// Puts the pieces of one transmission together, in whatever order they come.
///
/// It holds one transmission: a piece of another, older or newer, drops what there was. Memory
/// follows the octets that came, never what a header claims, and ends a little above 4 MiB.
///
/// See [`Fragmenter`] for an example.
///
/// Reference: `mosh-wire.md` §5 and §12.
#[derive(Default)]
pub struct Assembler {
    id: Option<u64>,
    /// The contents of all pieces held, in the order in which they came.
    octets: Vec<u8>,
    /// The pieces held, by number.
    pieces: Vec<Piece>,
    /// The number of the final piece, once it is here.
    last: Option<u16>,
}

/// Where the contents of a piece lie in the octets held.
#[derive(Clone, Copy)]
struct Piece {
    number: u16,
    len: u16,
    start: u32,
}

impl Piece {
    fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + usize::from(self.len)
    }
}

impl Assembler {
    /// Starts with nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a piece; returns the compressed instruction if this was the one that was missing.
    ///
    /// A piece that is here already is taken as new information about nothing.
    ///
    /// # Errors
    /// [`PeerError::FragmentConflict`] and [`PeerError::FragmentNumber`] drop the piece and keep
    /// the others. [`PeerError::TooLong`] drops all of them.
    pub fn add(&mut self, fragment: Fragment<'_>) -> Result<Option<Vec<u8>>, PeerError> {
        if self.id != Some(fragment.id) {
            self.clear();
            self.id = Some(fragment.id);
        }
        let at = match self.place(&fragment)? {
            Ok(at) => at,
            Err(Repeated) => return Ok(None),
        };
        // Both fit their types: a datagram is shorter than 2^16, and the sum is limited here.
        let (start, len) = (self.octets.len(), fragment.contents.len());
        if len > u16::MAX.into() || start + len > CONTENTS_MAX {
            self.clear();
            return Err(PeerError::TooLong);
        }
        self.octets.extend_from_slice(fragment.contents);
        let piece = Piece {
            number: fragment.number,
            len: len as u16,
            start: start as u32,
        };
        self.pieces.insert(at, piece);
        if fragment.last {
            self.last = Some(fragment.number);
        }
        let is_whole = |last| self.pieces.len() == usize::from(last) + 1;
        Ok(self.last.is_some_and(is_whole).then(|| self.join()))
    }

    /// Returns about how many octets of memory the pieces take.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.octets.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    /// Where among the pieces `fragment` belongs.
    fn place(&self, fragment: &Fragment<'_>) -> Result<Result<usize, Repeated>, PeerError> {
        let newest = self.pieces.last().map(|piece| piece.number);
        let is_above = self.last.is_some_and(|last| fragment.number > last);
        let ends_below = fragment.last && newest.is_some_and(|newest| fragment.number < newest);
        if is_above || ends_below {
            return Err(PeerError::FragmentNumber);
        }
        match self
            .pieces
            .binary_search_by_key(&fragment.number, |piece| piece.number)
        {
            Err(at) => Ok(Ok(at)),
            Ok(at) => {
                let same_place = fragment.last == (self.last == Some(fragment.number));
                let same = self.octets[self.pieces[at].range()] == *fragment.contents;
                match same_place && same {
                    true => Ok(Err(Repeated)),
                    false => Err(PeerError::FragmentConflict),
                }
            }
        }
    }

    /// Takes out everything, in order.
    fn join(&mut self) -> Vec<u8> {
        let in_order = self
            .pieces
            .windows(2)
            .all(|pair| pair[0].start <= pair[1].start);
        let whole = if in_order {
            std::mem::take(&mut self.octets)
        } else {
            let ranges = self.pieces.iter().map(|piece| piece.range());
            ranges
                .flat_map(|range| &self.octets[range])
                .copied()
                .collect()
        };
        self.clear();
        whole
    }

    /// Forgets the pieces, and gives their memory back: most sessions get one piece at a time.
    fn clear(&mut self) {
        self.octets = Vec::new();
        self.pieces = Vec::new();
        self.last = None;
    }
}

/// A piece that is here already.
struct Repeated;

#[cfg(test)]
mod tests;
