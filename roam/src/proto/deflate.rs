//! Instructions as zlib streams, within a bound whoever made them.
//!
//! All sessions of a thread take turns with one state for each direction: a compressor holds some 300
//! KiB, which a server with thousands of sessions, most of them idle, cannot keep for each. To make it
//! anew for each call would leave holes of that size between what lasts.

use std::cell::Cell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::constants::INFLATE_MAX;
use super::error::{LocalError, PeerError};

/// What mosh uses: zlib's default.
const LEVEL: u32 = 6;

/// Room that a stream needs beyond its input if nothing in it can be compressed, per block and in
/// all.
const SLACK: usize = 64;

/// What the output starts at, and the factor it is thought to grow by, before it is known.
const GROWTH: usize = 4;

thread_local! {
    static COMPRESS: Cell<Option<Compress>> = const { Cell::new(None) };
    static DECOMPRESS: Cell<Option<Decompress>> = const { Cell::new(None) };
}

/// Compresses `plain` into a zlib stream, as RFC 1950 has it, at level 6.
///
/// # Errors
/// [`LocalError::TooLong`] above 4 MiB, which the peer would refuse.
///
/// ```
/// use gannet_roam::proto::{deflate, inflate};
///
/// let stream = deflate(b"to be or not to be")?;
/// assert_eq!(stream[..2], [0x78, 0x9c]);
/// assert_eq!(inflate(&stream)?, b"to be or not to be");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Reference: `mosh-wire.md` §5; [RFC 1950](https://www.rfc-editor.org/rfc/rfc1950).
pub fn deflate(plain: &[u8]) -> Result<Vec<u8>, LocalError> {
    let too_long = LocalError::TooLong {
        len: plain.len(),
        limit: INFLATE_MAX,
    };
    if plain.len() > INFLATE_MAX {
        return Err(too_long);
    }
    let mut stream = Vec::with_capacity(plain.len() + plain.len() / SLACK + SLACK);
    let fresh = || Compress::new(Compression::new(LEVEL), true);
    let mut compress = COMPRESS.take().unwrap_or_else(fresh);
    compress.reset();
    let result = loop {
        let taken = compress.total_in() as usize;
        match compress.compress_vec(&plain[taken..], &mut stream, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => break Ok(stream),
            Ok(_) => stream.reserve(SLACK),
            // Only a stream in an impossible state fails, and this one is as if new.
            Err(_) => break Err(too_long),
        }
    };
    COMPRESS.set(Some(compress));
    result
}

/// Decompresses `stream`, which must be one whole zlib stream and nothing else.
///
/// Memory follows the octets that come out, up to 4 MiB.
///
/// # Errors
/// [`PeerError::TooLong`] if more than 4 MiB come out, and [`PeerError::Inflate`] if the stream is
/// broken, cut, or followed by something.
///
/// Reference: `mosh-wire.md` §5.
pub fn inflate(stream: &[u8]) -> Result<Vec<u8>, PeerError> {
    let fresh = || Decompress::new(true);
    let mut decompress = DECOMPRESS.take().unwrap_or_else(fresh);
    decompress.reset(true);
    let result = inflate_with(&mut decompress, stream);
    DECOMPRESS.set(Some(decompress));
    result
}

fn inflate_with(decompress: &mut Decompress, stream: &[u8]) -> Result<Vec<u8>, PeerError> {
    let first = stream.len().saturating_mul(GROWTH).max(SLACK);
    let mut plain = Vec::with_capacity(first.min(INFLATE_MAX + 1));
    loop {
        let taken = decompress.total_in() as usize;
        let (before, room) = (plain.len(), plain.capacity());
        let status = decompress
            .decompress_vec(&stream[taken..], &mut plain, FlushDecompress::Finish)
            .map_err(|_| PeerError::Inflate)?;
        if plain.len() > INFLATE_MAX {
            return Err(PeerError::TooLong);
        }
        let is_all = decompress.total_in() as usize == stream.len();
        match status {
            Status::StreamEnd if is_all => return Ok(plain),
            Status::StreamEnd => return Err(PeerError::Inflate),
            // Out of room: one octet above the limit is enough to see that it is passed.
            _ if plain.len() == room => {
                let more = room.max(SLACK).min(INFLATE_MAX + 1 - room);
                plain.reserve_exact(more);
            }
            // Room is left and nothing came, so the stream is cut.
            _ if plain.len() == before => return Err(PeerError::Inflate),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
