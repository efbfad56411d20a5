//! Pauses before another attempt at what the kernel lacks resources for.
//!
//! No edge announces that descriptors or buffers are free again, so a timer has to. The pause is
//! spent inside an operation of the descriptor that always "would block": close and the deadline
//! end it at once.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use gannet_runtime::time::timeout;
use gannet_runtime::{ReadGuard, WriteGuard};

/// Lengths of pauses: the first, and twice as long each time, up to the longest.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Backoff {
            next: first,
            longest,
        }
    }

    /// Returns the length of the next pause.
    pub(crate) fn advance(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }
}

/// Pauses a reader. Ends early, with an error, at the read deadline and at close.
pub(crate) async fn pause_reading(guard: &mut ReadGuard<'_>, pause: Duration) -> io::Result<()> {
    end_of_pause(timeout(pause, guard.read_with(|_| blocked())).await.ok())
}

/// Pauses a writer. Ends early, with an error, at the write deadline and at close.
pub(crate) async fn pause_writing(guard: &mut WriteGuard<'_>, pause: Duration) -> io::Result<()> {
    end_of_pause(timeout(pause, guard.write_with(|_| blocked())).await.ok())
}

fn blocked() -> io::Result<Infallible> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// Turns what ended the pause, nothing if its time was over, into its result.
fn end_of_pause(interrupted: Option<io::Result<Infallible>>) -> io::Result<()> {
    match interrupted {
        Some(Err(err)) => Err(err),
        Some(Ok(never)) => match never {},
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_longest() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(5), ms(1000));
        let pauses: Vec<_> = std::iter::repeat_with(|| backoff.advance())
            .take(10)
            .collect();
        let want = [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000].map(ms);
        assert_eq!(pauses, want);
    }
}
