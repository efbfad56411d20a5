//! What one member has still to be sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

/// Lines in the order in which they were said, of bounded length together.
#[derive(Default)]
pub(crate) struct Outbox {
    lines: VecDeque<Arc<str>>,
    /// What the lines cost together, by [`cost`].
    cost: usize,
    /// What is sent waits until the member reads.
    pub(crate) stalls: bool,
    /// A line was refused.
    overflowed: bool,
    /// The member's task, if it waits for a line.
    pub(crate) waiter: Option<Waker>,
}

/// How far behind a member may be who does not read, in bytes, beyond what the kernel keeps for him.
const STALLED_COST_MAX: usize = 64 << 10;

/// How far behind a member may be whose task has not had its turn: what hundreds say at once is more
/// than the bound for those who do not read, and then nobody would be left.
const COST_MAX: usize = 4 << 20;

/// How much is sent in one piece.
const PIECE_LEN: usize = 16 << 10;

/// The text itself is everybody's; this is its place in the queue.
fn cost(line: &str) -> usize {
    line.len() + size_of::<Arc<str>>()
}

impl Outbox {
    /// Adds a line; false if there is no room.
    #[must_use]
    pub(crate) fn push(&mut self, line: &Arc<str>) -> bool {
        if self.cost + cost(line) > self.cost_max() {
            self.overflowed = true;
            return false;
        }
        self.push_beyond(line);
        true
    }

    /// Adds a line even if there is no room. To be done to those only who are not [over](Self::is_over)
    /// their bound, so that they go beyond it by one line at most.
    pub(crate) fn push_beyond(&mut self, line: &Arc<str>) {
        self.cost += cost(line);
        self.lines.push_back(line.clone());
    }

    /// Whether more was to be added, or was, than there is room for.
    pub(crate) fn is_over(&self) -> bool {
        self.overflowed || self.cost > self.cost_max()
    }

    fn cost_max(&self) -> usize {
        match self.stalls {
            true => STALLED_COST_MAX,
            false => COST_MAX,
        }
    }

    /// Takes some lines out, in one piece.
    pub(crate) fn take(&mut self) -> Option<String> {
        let mut piece = String::new();
        while let Some(line) = self.lines.front() {
            if !piece.is_empty() && piece.len() + line.len() > PIECE_LEN {
                break;
            }
            piece.push_str(line);
            self.cost -= cost(line);
            self.lines.pop_front();
        }
        (!piece.is_empty()).then_some(piece)
    }
}
