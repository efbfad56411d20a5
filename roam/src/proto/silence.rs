//! Whether the peer is heard, as the application is told.
//!
//! ```text
//!             first datagram         nothing newer for 6.5 s: Event::Silent
//!   unheard ─────────────────▶ heard ───────────────────────────────────────▶ silent
//!                                ▲                                              │
//!                                └──────────────────────────────────────────────┘
//!                                     one that is newer than all before: Event::Resumed
//! ```
//!
//! One that is late says nothing: it was on its way before the silence.
//!
//! Nobody is told of a silence before the first word: it is no news that nobody has come yet.

use std::time::{Duration, Instant};

use super::policy::SILENT_AFTER;

#[derive(Debug, Default)]
pub(super) struct Silence {
    /// When the newest datagram in order came.
    last_heard: Option<Instant>,
    is_told: bool,
}

impl Silence {
    /// A datagram has come that is newer than all before. True if the application believes in a silence.
    pub(super) fn heard(&mut self, now: Instant) -> bool {
        self.last_heard = Some(now);
        std::mem::take(&mut self.is_told)
    }

    /// When the peer will have been silent for so long that the application is told.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let heard = self.last_heard.filter(|_| !self.is_told)?;
        Some(heard + SILENT_AFTER)
    }

    /// How long the silence has lasted, if the application has to be told of it now.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Duration> {
        self.due_at().filter(|&at| at <= now)?;
        self.is_told = true;
        self.lasted(now)
    }

    /// How long ago the peer was heard, if it ever was.
    pub(super) fn lasted(&self, now: Instant) -> Option<Duration> {
        let heard = self.last_heard?;
        Some(now.saturating_duration_since(heard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_once_and_ends_once() {
        let start = gannet_sys::clock::now();
        let mut silence = Silence::default();
        assert_eq!(silence.due_at(), None, "nobody was heard yet");
        assert_eq!(silence.begin(start), None);
        assert!(!silence.heard(start), "there was none");
        let due = start + SILENT_AFTER;
        assert_eq!(silence.due_at(), Some(due));
        assert_eq!(silence.begin(due - Duration::from_millis(1)), None);
        assert_eq!(silence.begin(due), Some(SILENT_AFTER));
        assert_eq!((silence.due_at(), silence.begin(due)), (None, None));
        assert!(silence.heard(due) && !silence.heard(due));
    }
}
