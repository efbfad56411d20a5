//! What the kernel still reads: buffers by the numbers of the sends that lent them.
//!
//! ```text
//! a send:      lent ──notification──▶ back ──all older ones back──▶ forgotten
//! the whole:   lending ──copied, COPIED_MAX times in a row──▶ off (Copied)
//!              lending ──the kernel refuses for good──▶ off (Refused)
//!              lending ──a number that is not lent──▶ off (Foreign)
//! ```
//! Off is final; what is lent then comes back as before. A send that is refused this once is made as any
//! other, and leaves no trace here.
//!
//! The kernel counts sends in 32 bits, which wrap; here they are counted in 64, of which it names the
//! lower half. It joins notifications of neighbours, and gives them out of order where packets were lost
//! or thrown away.

use std::collections::VecDeque;

use gannet_sys::zero_copy::Released;

use super::{ZeroCopyFallback, ZeroCopyStats};

/// So many copies in a row say that the path always copies. More than one, because who listens to an
/// interface (`tcpdump`) makes the kernel copy what passes while he does.
const COPIED_MAX: u32 = 4;

/// Buffers that are lent, and what came of those that were.
#[derive(Debug)]
pub(super) struct Loans<B> {
    /// The number of the oldest that is not back.
    oldest: u64,
    /// That one and all that were lent since; `None` is back before it.
    lent: VecDeque<Option<B>>,
    stats: ZeroCopyStats,
    /// How many of the last ones were copied, up to the one that was not.
    copied_row: u32,
    copied_max: u32,
}

impl<B> Loans<B> {
    pub(super) fn new() -> Self {
        Loans {
            oldest: 0,
            lent: VecDeque::new(),
            stats: ZeroCopyStats::default(),
            copied_row: 0,
            copied_max: COPIED_MAX,
        }
    }

    /// The figures so far.
    pub(super) fn stats(&self) -> ZeroCopyStats {
        ZeroCopyStats {
            pending: self.lent.iter().flatten().count(),
            ..self.stats
        }
    }

    /// Whether sends may be tried without a copy.
    pub(super) fn is_lending(&self) -> bool {
        self.stats.fallback.is_none()
    }

    /// Whether nothing is lent.
    pub(super) fn is_empty(&self) -> bool {
        self.lent.is_empty()
    }

    /// The number that the next send gets.
    pub(super) fn next(&self) -> u64 {
        self.oldest + self.lent.len() as u64
    }

    /// Whether all sends with numbers below `next` are back.
    pub(super) fn are_back(&self, next: u64) -> bool {
        self.oldest >= next
    }

    /// Lends a buffer: the kernel took `bytes` bytes of it without a copy.
    pub(super) fn lend(&mut self, buf: B, bytes: usize) {
        self.lent.push_back(Some(buf));
        self.stats.lent += bytes as u64;
    }

    /// Counts bytes of a send as any other.
    pub(super) fn note_plain(&mut self, bytes: usize) {
        self.stats.plain += bytes as u64;
    }

    /// Ends lending; the first reason stays.
    pub(super) fn end(&mut self, why: ZeroCopyFallback) {
        self.stats.fallback.get_or_insert(why);
    }

    /// Takes a notification, and returns the buffers that it gives back. The caller drops them once it
    /// holds no lock.
    #[must_use]
    pub(super) fn take_back(&mut self, released: Released) -> Vec<B> {
        let Some(range) = self.range(released) else {
            self.end(ZeroCopyFallback::Foreign);
            return Vec::new();
        };
        let count = range.len() as u64;
        if released.copied {
            self.stats.copied += count;
            self.copied_row = self.copied_row.saturating_add(1);
            if self.copied_row >= self.copied_max {
                self.end(ZeroCopyFallback::Copied);
            }
        } else {
            self.stats.uncopied += count;
            self.copied_row = 0;
        }
        let back = self
            .lent
            .range_mut(range)
            .filter_map(Option::take)
            .collect();
        while let Some(None) = self.lent.front() {
            self.lent.pop_front();
            self.oldest += 1;
        }
        back
    }

    /// Where in the queue the released ones are, if all of them are lent.
    fn range(&self, released: Released) -> Option<std::ops::Range<usize>> {
        let len = released.last.wrapping_sub(released.first) as usize;
        let at = released.first.wrapping_sub(self.oldest as u32) as usize;
        let range = at..at.checked_add(len)?.checked_add(1)?;
        let is_lent = |at: usize| self.lent.get(at).is_some_and(Option::is_some);
        // The first that is not ends the search, so what is long is not searched long.
        range.clone().all(is_lent).then_some(range)
    }

    /// Leaves the buffers to the kernel for ever: their memory is never used for anything else.
    pub(super) fn abandon(&mut self) {
        self.oldest = self.next();
        self.lent.drain(..).for_each(std::mem::forget);
    }

    #[cfg(test)]
    pub(super) fn set_copied_max(&mut self, max: u32) {
        self.copied_max = max;
    }
}

/// Whatever made the table go, a panic in somebody's `Drop` for one: the kernel still reads them.
impl<B> Drop for Loans<B> {
    fn drop(&mut self) {
        self.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(first: u32, last: u32) -> Released {
        Released {
            first,
            last,
            copied: false,
        }
    }

    /// Loans that begin at a number.
    fn loans(oldest: u64, count: u64) -> Loans<u64> {
        let mut loans = Loans::new();
        loans.oldest = oldest;
        for number in oldest..oldest + count {
            assert_eq!(loans.next(), number);
            loans.lend(number, 10);
        }
        loans
    }

    #[test]
    fn loans_in_order_come_back_one_by_one_and_joined() {
        let mut loans = loans(0, 6);
        assert_eq!(loans.take_back(released(0, 0)), [0]);
        assert_eq!(loans.take_back(released(1, 3)), [1, 2, 3]);
        assert!(loans.are_back(4) && !loans.are_back(5));
        assert_eq!(loans.take_back(released(4, 5)), [4, 5]);
        assert!(loans.is_empty() && loans.are_back(6));
        let stats = loans.stats();
        assert_eq!((stats.lent, stats.uncopied, stats.pending), (60, 6, 0));
        assert_eq!(stats.fallback, None);
    }

    #[test]
    fn loans_out_of_order_come_back_at_once_and_count_in_order() {
        let mut loans = loans(0, 5);
        assert_eq!(loans.take_back(released(3, 4)), [3, 4]);
        assert_eq!(loans.take_back(released(1, 1)), [1]);
        assert_eq!(loans.stats().pending, 2);
        assert!(!loans.are_back(1), "the first is still lent");
        assert_eq!(loans.take_back(released(0, 0)), [0]);
        assert!(loans.are_back(2) && !loans.are_back(3));
        loans.lend(5, 10);
        assert_eq!(loans.take_back(released(2, 2)), [2]);
        assert!(loans.are_back(5) && !loans.are_back(6));
        assert_eq!(loans.take_back(released(5, 5)), [5]);
        assert!(loans.is_empty());
    }

    #[test]
    fn loans_whose_numbers_wrap_come_back() {
        let oldest = (7 << 32) - 3;
        let mut loans = loans(oldest, 8);
        let first = u32::MAX - 2;
        assert_eq!(loans.take_back(released(2, 3)), [oldest + 5, oldest + 6]);
        let across: Vec<_> = (oldest..oldest + 5).collect();
        assert_eq!(loans.take_back(released(first, 1)), across);
        assert_eq!(loans.next(), oldest + 8);
        assert_eq!(loans.take_back(released(4, 4)), [oldest + 7]);
        assert!(loans.is_empty());
        assert_eq!(loans.stats().fallback, None);
    }

    #[test]
    fn numbers_that_are_not_lent_give_nothing_back_and_end_the_lending() {
        for wrong in [
            released(4, 4),
            released(2, 4),
            released(1, 1),
            released(0, 2),
            released(u32::MAX, 0),
            released(3, 2),
            released(0, u32::MAX),
        ] {
            let mut loans = loans(0, 4);
            assert_eq!(loans.take_back(released(1, 1)), [1]);
            assert!(loans.take_back(wrong).is_empty(), "{wrong:?}");
            assert_eq!(loans.stats().fallback, Some(ZeroCopyFallback::Foreign));
            assert_eq!(loans.stats().pending, 3);
            // What is lent comes back as before.
            assert_eq!(loans.take_back(released(2, 3)), [2, 3]);
            assert_eq!(loans.take_back(released(0, 0)), [0]);
            assert!(loans.is_empty());
        }
    }

    #[test]
    fn copies_in_a_row_end_the_lending() {
        let mut loans = loans(0, 20);
        let copied = |number| Released {
            copied: true,
            ..released(number, number)
        };
        for number in 0..COPIED_MAX - 1 {
            assert_eq!(loans.take_back(copied(number)).len(), 1);
        }
        assert_eq!(loans.take_back(released(3, 3)), [3]);
        for number in 4..3 + COPIED_MAX {
            assert_eq!(loans.take_back(copied(number)).len(), 1);
        }
        assert!(loans.is_lending(), "one between them was not copied");
        assert_eq!(loans.take_back(copied(3 + COPIED_MAX)).len(), 1);
        assert_eq!(loans.stats().fallback, Some(ZeroCopyFallback::Copied));
        loans.end(ZeroCopyFallback::Refused);
        assert_eq!(loans.stats().fallback, Some(ZeroCopyFallback::Copied));
        assert_eq!(loans.stats().copied, u64::from(COPIED_MAX) * 2 - 1);
    }

    #[test]
    fn loans_abandoned_are_never_dropped() {
        let buf = std::rc::Rc::new(());
        let mut loans = Loans::new();
        loans.lend(buf.clone(), 1);
        loans.abandon();
        assert!(loans.is_empty() && loans.are_back(1));
        loans.lend(buf.clone(), 1);
        drop(loans);
        assert_eq!(std::rc::Rc::strong_count(&buf), 3);
    }
}
