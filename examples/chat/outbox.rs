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
    /// The member's task, if it waits for a line.
    pub(crate) waiter: Option<Waker>,
}

/// How far behind a member may be, in bytes, beyond what the kernel keeps for him.
pub(crate) const COST_MAX: usize = 64 << 10;

/// How much is sent in one piece.
const PIECE_LEN: usize = 16 << 10;

/// The text itself is everybody's; this is its place in the queue.
fn cost(line: &str) -> usize {
    line.len() + size_of::<Arc<str>>()
}

impl Outbox {
    /// Adds a line, if there is room.
    #[must_use]
    pub(crate) fn push(&mut self, line: &Arc<str>) -> bool {
        let cost = self.cost + cost(line);
        if cost > COST_MAX {
            return false;
        }
        self.cost = cost;
        self.lines.push_back(line.clone());
        true
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
