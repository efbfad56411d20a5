//! Errors of a server on standard error, at most one a second.

use std::fmt::Display;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::program::complain;

/// Prints errors; those that come too fast are counted and mentioned by the next.
pub(crate) struct Report {
    name: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl Report {
    /// Returns a report that prints errors as those of the program `name`.
    pub(crate) fn new(name: &'static str) -> Self {
        Report {
            name,
            state: Mutex::default(),
        }
    }

    /// Prints an error, unless one was printed in the last second.
    pub(crate) fn error(&self, err: &dyn Display) {
        let left_out = {
            let mut state = self
                .state
                .lock()
                .unwrap_or_else(|poison| poison.into_inner());
            let now = Instant::now();
            if state.last.is_some_and(|last| now < last + INTERVAL) {
                state.left_out += 1;
                return;
            }
            state.last = Some(now);
            std::mem::take(&mut state.left_out)
        };
        match left_out {
            0 => complain(self.name, err),
            count => complain(
                self.name,
                &format_args!("{err} (and {count} errors before)"),
            ),
        }
    }
}

const INTERVAL: Duration = Duration::from_secs(1);
