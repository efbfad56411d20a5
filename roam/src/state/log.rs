//! An append-only log of octets whose snapshots share their memory.

use std::collections::VecDeque;
use std::sync::Arc;

/// Octets that were appended, of which the oldest may have been forgotten.
///
/// Positions count from the log's beginning. Two snapshots of one log are equal if they end at the
/// same position.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// Position of the first octet of the first chunk.
    start: u64,
    end: u64,
    chunks: VecDeque<Arc<Vec<u8>>>,
}

/// Octets that a chunk grows to, so that a log of single keystrokes is not a list of single octets.
const CHUNK: usize = 1024;

impl Log {
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes that are kept.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.end - self.start).unwrap_or(usize::MAX)
    }

    pub(super) fn append(&mut self, octets: &[u8]) {
        if octets.is_empty() {
            return;
        }
        self.end = self.end.saturating_add(octets.len() as u64);
        if let Some(last) = self.chunks.back_mut()
            && last.len() + octets.len() <= CHUNK
            && let Some(last) = Arc::get_mut(last)
        {
            last.extend_from_slice(octets);
            return;
        }
        self.chunks.push_back(Arc::new(octets.to_vec()));
    }

    /// Reads on from `position`, or from where the log begins now, once through the log in all.
    pub(super) fn reader(&self, position: u64) -> Reader<'_, impl Iterator<Item = &[u8]>> {
        Reader {
            at: position.max(self.start),
            pieces: self.pieces_from(position),
            piece: &[],
        }
    }

    /// The octets from `position` on, as far as they are kept, in pieces.
    pub(super) fn pieces_from(&self, position: u64) -> impl Iterator<Item = &[u8]> {
        let mut at = self.start;
        self.chunks.iter().filter_map(move |chunk| {
            let from = position.saturating_sub(at);
            at += chunk.len() as u64;
            let from = usize::try_from(from).ok()?;
            chunk.get(from..).filter(|piece| !piece.is_empty())
        })
    }

    /// The octets from `position` on, as far as they are kept.
    pub(super) fn since(&self, position: u64) -> Vec<u8> {
        self.pieces_from(position).flatten().copied().collect()
    }

    /// Forgets whole chunks before `position`.
    pub(super) fn forget(&mut self, position: u64) {
        while let Some(chunk) = self.chunks.front() {
            let after = self.start + chunk.len() as u64;
            if after > position {
                return;
            }
            self.start = after;
            self.chunks.pop_front();
        }
    }

    /// Bytes of memory, about: a chunk has a head of its own.
    pub(super) fn size(&self) -> usize {
        self.len() + self.chunks.len() * 64
    }
}

/// Reads a log in order.
pub(super) struct Reader<'a, I> {
    at: u64,
    pieces: I,
    /// What is left of the piece before.
    piece: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a [u8]>> Reader<'a, I> {
    /// The octets up to `position`.
    pub(super) fn read_to(&mut self, position: u64) -> Vec<u8> {
        let mut octets = Vec::new();
        while self.at < position {
            if self.piece.is_empty() {
                let Some(piece) = self.pieces.next() else {
                    break;
                };
                self.piece = piece;
            }
            let wanted = usize::try_from(position - self.at).unwrap_or(usize::MAX);
            let (read, left) = self.piece.split_at(wanted.min(self.piece.len()));
            octets.extend_from_slice(read);
            self.at += read.len() as u64;
            self.piece = left;
        }
        octets
    }
}

impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        self.end == other.end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A log answers as the octets themselves do, whatever was forgotten and shared.
        #[test]
        fn log_agrees_with_its_octets(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1500), 0..12),
            forget in any::<prop::sample::Index>(),
            from in any::<prop::sample::Index>(),
        ) {
            let (mut log, mut whole, mut snapshots) = (Log::default(), Vec::new(), Vec::new());
            for part in &parts {
                log.append(part);
                whole.extend_from_slice(part);
                snapshots.push((log.clone(), whole.len()));
            }
            let position = forget.index(whole.len() + 1);
            log.forget(position as u64);
            prop_assert!(log.start() <= position as u64);
            prop_assert_eq!(log.end(), whole.len() as u64);
            let kept = usize::try_from(log.start()).expect("small");
            let from = kept + from.index(whole.len() - kept + 1);
            prop_assert_eq!(log.since(from as u64), &whole[from..]);
            for (snapshot, length) in snapshots {
                prop_assert_eq!(snapshot.since(0), &whole[..length]);
            }
        }
    }
}
