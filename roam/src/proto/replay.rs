//! Which sequence numbers have been seen.

/// How many numbers below the newest are remembered.
const SPAN: u64 = 1024;
const WORD: u64 = 64;
const WORDS: usize = (SPAN / WORD) as usize;

/// A sliding window over the peer's sequence numbers, in the manner of RFC 4303, appendix A2.
///
/// mosh has none: its states make a repeated datagram harmless. Dropping one here spares the work, and
/// datagrams without states need it.
#[derive(Debug)]
pub(super) struct Replay {
    /// The number after the newest one: 0 before the first.
    expected: u64,
    /// One bit a number, at its place modulo the span.
    seen: [u64; WORDS],
}

/// What a sequence number is, relative to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Newer than all before.
    Newest,
    /// Older than the newest, and not seen before.
    Late,
    /// So old that nobody knows whether it was seen.
    Ancient,
    /// Seen before.
    Repeated,
}

impl Replay {
    pub(super) fn new() -> Self {
        Replay {
            expected: 0,
            seen: [0; WORDS],
        }
    }

    /// Notes that `sequence` has arrived, and says what it is.
    pub(super) fn note(&mut self, sequence: u64) -> Order {
        if sequence >= self.expected {
            self.advance(sequence);
            return Order::Newest;
        }
        if self.expected - sequence > SPAN {
            return Order::Ancient;
        }
        let (word, bit) = place(sequence);
        if self.seen[word] & bit != 0 {
            return Order::Repeated;
        }
        self.seen[word] |= bit;
        Order::Late
    }

    /// Makes `sequence` the newest: forgets the numbers whose places are used again.
    fn advance(&mut self, sequence: u64) {
        let skipped = sequence - self.expected;
        if skipped >= SPAN {
            self.seen = [0; WORDS];
        } else {
            for number in self.expected..sequence {
                let (word, bit) = place(number);
                self.seen[word] &= !bit;
            }
        }
        let (word, bit) = place(sequence);
        self.seen[word] |= bit;
        self.expected = sequence + 1;
    }
}

/// Where the bit of a number is.
fn place(sequence: u64) -> (usize, u64) {
    let at = sequence % SPAN;
    ((at / WORD) as usize, 1 << (at % WORD))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn newest_late_repeated_ancient() {
        let mut replay = Replay::new();
        assert_eq!(replay.note(5), Order::Newest);
        assert_eq!(replay.note(5), Order::Repeated);
        assert_eq!(replay.note(4), Order::Late);
        assert_eq!(replay.note(4), Order::Repeated);
        assert_eq!(replay.note(5 + SPAN), Order::Newest);
        assert_eq!(replay.note(5), Order::Ancient);
        assert_eq!(replay.note(6), Order::Late);
        let last = (1 << 63) - 1;
        assert_eq!(replay.note(last), Order::Newest);
        assert_eq!(replay.note(last), Order::Repeated);
        assert_eq!(replay.note(7 + SPAN), Order::Ancient);
    }

    proptest! {
        /// Within the span the window agrees with a set that forgets nothing.
        #[test]
        fn window_agrees_with_a_set(steps in prop::collection::vec(0u64..3 * SPAN, 1..400)) {
            let (mut replay, mut seen, mut newest) = (Replay::new(), HashSet::new(), None);
            for sequence in steps {
                let expected = match newest {
                    Some(newest) if sequence <= newest && newest - sequence >= SPAN => Order::Ancient,
                    _ if seen.contains(&sequence) => Order::Repeated,
                    Some(newest) if sequence < newest => Order::Late,
                    _ => Order::Newest,
                };
                prop_assert_eq!(replay.note(sequence), expected);
                seen.insert(sequence);
                newest = newest.max(Some(sequence));
            }
        }
    }
}
