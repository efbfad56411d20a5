//! AES-128-OCB3 with a 96-bit nonce and a 128-bit tag: RFC 7253, whose names are kept here.
//!
//! The hardest idea is where the code runs. The cipher finds out at run time how wide the
//! machine's instructions are and calls a closure inside code compiled for them; each such call
//! first lays out the round keys, which costs as much as a dozen blocks. So a seal is one call and
//! an opening two, everything inside is inlined there, and the masks are made by doubling, which
//! those wide instructions do well. A second implementation, written by others, agrees in the
//! tests.

use aes::Aes128;
use aes::cipher::{
    Array, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncBackend,
    BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U16,
    inout::InOutBuf,
};
use zeroize::Zeroize;

use super::constants::{NONCE_LEN, RECEIVE_BUFFER, TAG_LEN};

const BLOCK_LEN: usize = 16;

/// Masks of the longest message, the one before its first block included.
const MASKS: usize = RECEIVE_BUFFER / BLOCK_LEN;

/// How often one mask doubles until there are enough.
const DOUBLINGS: usize = MASKS.ilog2() as usize;

/// The longest message, in octets. No datagram holds as much beside its nonce and its tag.
const TEXT_MAX: usize = MASKS * BLOCK_LEN - 1;

const _: () = assert!(MASKS.is_power_of_two());

/// A block as one number in the octet order of the wire, for sums of a few.
type Word = u128;

/// The offsets of a message's blocks. As octets, because the compiler does loops over those in the
/// widest registers and loops over [`Word`] in the narrowest.
type Masks = [[u8; BLOCK_LEN]; MASKS];

/// The mode under one key. The key schedule and the masks' steps are wiped when it is dropped.
pub(crate) struct Ocb {
    cipher: Aes128,
    /// `L_*`, for a last block that is not full.
    l_star: Word,
    /// `L_$`, for the tag.
    l_dollar: Word,
    /// `L_0`, then `L_i xor L_(i-1)`: what leads from `Offset_j` to `Offset_(2^i + j)`.
    ///
    /// An offset is the sum of the `L` that the Gray code of its number names, and the code of
    /// `2^i + j` is that of `j` with the bits `i` and `i - 1` flipped, for each `j` below `2^i`.
    steps: [Word; DOUBLINGS],
}

/// The tag did not fit: other key, other nonce, or other octets.
#[derive(Debug, PartialEq)]
pub(crate) struct Forged;

impl Ocb {
    /// Expands `key`.
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        let cipher = Aes128::new(&Array::from(*key));
        let mut zero = aes::Block::default();
        cipher.encrypt_block(&mut zero);
        let l_star = word(&zero);
        zero.zeroize();
        let l_dollar = double(l_star);
        let (mut below, mut l) = (0, double(l_dollar));
        let steps = std::array::from_fn(|_| {
            let step = l ^ below;
            (below, l) = (l, double(l));
            step
        });
        Self {
            cipher,
            l_star,
            l_dollar,
            steps,
        }
    }

    /// Encrypts `text` in place and returns its tag, which also covers `associated`.
    ///
    /// # Panics
    /// If `text` is longer than a datagram: the callers check that.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        text: &mut [u8],
    ) -> [u8; TAG_LEN] {
        assert!(text.len() <= TEXT_MAX, "the caller checks the length");
        let mut tag = 0;
        self.cipher.encrypt_with_backend(Seal {
            ocb: self,
            nonce,
            associated,
            text,
            tag: &mut tag,
        });
        octets(tag)
    }

    /// Decrypts `text` in place if `tag` fits; else wipes it, so that nobody reads what nobody
    /// vouches for.
    ///
    /// # Panics
    /// If `text` is longer than a datagram: the callers check that.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Forged> {
        assert!(text.len() <= TEXT_MAX, "the caller checks the length");
        let mut around = Around {
            masks: [[0; BLOCK_LEN]; MASKS],
            pad: 0,
            hash: 0,
        };
        self.cipher.encrypt_with_backend(Prepare {
            ocb: self,
            nonce,
            associated,
            text_len: text.len(),
            around: &mut around,
        });
        let mut difference = 1;
        self.cipher.decrypt_with_backend(Open {
            ocb: self,
            around: &around,
            text,
            tag: Word::from_ne_bytes(*tag),
            difference: &mut difference,
        });
        // One comparison of all the octets: how many fit must not show in the time it takes.
        if difference == 0 {
            return Ok(());
        }
        text.fill(0);
        Err(Forged)
    }

    /// The offsets up to number `count` at least, with `offset_0` before the first block.
    #[inline(always)]
    fn fill(&self, masks: &mut Masks, offset_0: Word, count: usize) {
        masks[0] = octets(offset_0);
        let mut have = 1;
        for step in self.steps {
            if have > count {
                return;
            }
            let step = octets(step);
            let (old, new) = masks.split_at_mut(have);
            for (new, old) in new.iter_mut().zip(old) {
                for ((new, old), step) in new.iter_mut().zip(old).zip(step) {
                    *new = *old ^ step;
                }
            }
            have *= 2;
        }
    }

    /// HASH(K, A) of the RFC; 0 for no associated data, which is all that mosh has.
    #[inline(always)]
    fn hash<B: BlockCipherEncBackend<BlockSize = U16>>(
        &self,
        backend: &B,
        associated: &[u8],
    ) -> Word {
        let (mut sum, mut offset) = (0, 0);
        let chunks = associated.chunks_exact(BLOCK_LEN);
        let tail = chunks.remainder();
        for (number, chunk) in (1_usize..).zip(chunks) {
            offset ^= self.l(number.trailing_zeros());
            sum ^= encipher(backend, padded(chunk) ^ offset);
        }
        if !tail.is_empty() {
            sum ^= encipher(backend, padded(tail) ^ offset ^ self.l_star);
        }
        sum
    }

    /// `L_i` of the RFC, made anew: only associated data asks for it.
    fn l(&self, i: u32) -> Word {
        (0..=i).fold(self.l_dollar, |l, _| double(l))
    }
}

impl Drop for Ocb {
    fn drop(&mut self) {
        // The cipher wipes its own schedule.
        self.l_star.zeroize();
        self.l_dollar.zeroize();
        self.steps.zeroize();
    }
}

/// A seal, for the cipher to call.
struct Seal<'a> {
    ocb: &'a Ocb,
    nonce: &'a [u8; NONCE_LEN],
    associated: &'a [u8],
    text: &'a mut [u8],
    tag: &'a mut Word,
}

impl BlockSizeUser for Seal<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Seal<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let (blocks, tail) = Array::slice_as_chunks_mut(self.text);
        let mut masks = [[0; BLOCK_LEN]; MASKS];
        let offset_0 = offset_0(backend, self.nonce);
        self.ocb.fill(&mut masks, offset_0, blocks.len());
        let mut offset = Word::from_ne_bytes(masks[blocks.len()]);
        let mut checksum = 0;
        for block in &*blocks {
            checksum ^= word(block);
        }
        mask_blocks(blocks, &masks[1..]);
        let (chunks, rest) = InOutBuf::from(&mut *blocks).into_chunks();
        for chunk in chunks {
            backend.encrypt_par_blocks(chunk);
        }
        backend.encrypt_tail_blocks(rest);
        mask_blocks(blocks, &masks[1..]);
        if !tail.is_empty() {
            offset ^= self.ocb.l_star;
            checksum ^= padded(tail);
            mask_tail(tail, encipher(backend, offset));
        }
        *self.tag = encipher(backend, checksum ^ offset ^ self.ocb.l_dollar)
            ^ self.ocb.hash(backend, self.associated);
    }
}

/// What an opening needs from the cipher in the direction of encryption.
struct Around {
    masks: Masks,
    /// Masks a last block that is not full.
    pad: Word,
    hash: Word,
}

/// The first half of an opening, for the cipher to call.
struct Prepare<'a> {
    ocb: &'a Ocb,
    nonce: &'a [u8; NONCE_LEN],
    associated: &'a [u8],
    text_len: usize,
    around: &'a mut Around,
}

impl BlockSizeUser for Prepare<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Prepare<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let full = self.text_len / BLOCK_LEN;
        let masks = &mut self.around.masks;
        self.ocb.fill(masks, offset_0(backend, self.nonce), full);
        if !self.text_len.is_multiple_of(BLOCK_LEN) {
            self.around.pad = encipher(backend, Word::from_ne_bytes(masks[full]) ^ self.ocb.l_star);
        }
        self.around.hash = self.ocb.hash(backend, self.associated);
    }
}

/// The second half of an opening, for the cipher to call.
struct Open<'a> {
    ocb: &'a Ocb,
    around: &'a Around,
    text: &'a mut [u8],
    tag: Word,
    /// Between what the tag stands for and what the message gives; 0 if it is authentic.
    difference: &'a mut Word,
}

impl BlockSizeUser for Open<'_> {
    type BlockSize = U16;
}

impl BlockCipherDecClosure for Open<'_> {
    #[inline(always)]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(self, backend: &B) {
        let (blocks, tail) = Array::slice_as_chunks_mut(self.text);
        let masks = &self.around.masks;
        mask_blocks(blocks, &masks[1..]);
        let (chunks, rest) = InOutBuf::from(&mut *blocks).into_chunks();
        for chunk in chunks {
            backend.decrypt_par_blocks(chunk);
        }
        backend.decrypt_tail_blocks(rest);
        let mut checksum = 0;
        mask_blocks(blocks, &masks[1..]);
        for block in &*blocks {
            checksum ^= word(block);
        }
        let mut offset = Word::from_ne_bytes(masks[blocks.len()]);
        if !tail.is_empty() {
            offset ^= self.ocb.l_star;
            mask_tail(tail, self.around.pad);
            checksum ^= padded(tail);
        }
        // Deciphering the tag that came compares as well as enciphering the one expected, since
        // the cipher is a permutation, and it saves going back to the other direction.
        let mut sealed = octets(self.tag ^ self.around.hash).into();
        backend.decrypt_block_inplace(&mut sealed);
        *self.difference = word(&sealed) ^ checksum ^ offset ^ self.ocb.l_dollar;
    }
}

/// The mask before the first block: the nonce, enciphered, and shifted by its own last six bits.
#[inline(always)]
fn offset_0<B: BlockCipherEncBackend<BlockSize = U16>>(
    backend: &B,
    nonce: &[u8; NONCE_LEN],
) -> Word {
    let mut top = [0; BLOCK_LEN];
    // Seven bits say the tag's length modulo 128, which is 0; a one bit precedes the nonce.
    top[BLOCK_LEN - NONCE_LEN - 1] = 1;
    top[BLOCK_LEN - NONCE_LEN..].copy_from_slice(nonce);
    let bottom = u32::from(top[BLOCK_LEN - 1] & 0x3F);
    top[BLOCK_LEN - 1] &= 0xC0;
    let ktop = u128::from_be_bytes(octets(encipher(backend, Word::from_ne_bytes(top))));
    // `Stretch` is `Ktop` and 64 bits more: its first 64 xored with those that start an octet
    // later.
    let more = ((ktop >> 64) ^ (ktop >> 56)) as u64;
    let shifted = ktop << bottom | u128::from(more) >> (64 - bottom);
    Word::from_ne_bytes(shifted.to_be_bytes())
}

#[inline(always)]
fn encipher<B: BlockCipherEncBackend<BlockSize = U16>>(backend: &B, input: Word) -> Word {
    let mut block = octets(input).into();
    backend.encrypt_block_inplace(&mut block);
    word(&block)
}

#[inline(always)]
fn word(block: &aes::Block) -> Word {
    Word::from_ne_bytes(block.0)
}

#[inline(always)]
fn octets(word: Word) -> [u8; BLOCK_LEN] {
    word.to_ne_bytes()
}

/// Applies to each block the mask of its number, in one loop over all the octets.
#[inline(always)]
fn mask_blocks(blocks: &mut [aes::Block], masks: &[[u8; BLOCK_LEN]]) {
    let octets = Array::slice_as_flattened_mut(blocks);
    for (octet, mask) in octets.iter_mut().zip(masks.as_flattened()) {
        *octet ^= mask;
    }
}

#[inline(always)]
fn mask_tail(tail: &mut [u8], pad: Word) {
    for (octet, mask) in tail.iter_mut().zip(octets(pad)) {
        *octet ^= mask;
    }
}

/// `part` as a block; one that is not full gets a one bit and zeros after its end.
#[inline(always)]
fn padded(part: &[u8]) -> Word {
    let mut block = [0; BLOCK_LEN];
    block[..part.len()].copy_from_slice(part);
    if let Some(end) = block.get_mut(part.len()) {
        *end = 0x80;
    }
    Word::from_ne_bytes(block)
}

/// Multiplies by x in GF(2^128), without a branch on the secret.
fn double(word: Word) -> Word {
    let value = u128::from_be_bytes(octets(word));
    let carry = 0x87 & (value >> 127).wrapping_neg();
    Word::from_ne_bytes((value << 1 ^ carry).to_be_bytes())
}

#[cfg(test)]
mod tests;
