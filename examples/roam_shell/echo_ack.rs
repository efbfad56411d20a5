//! Which input of the user has had time to be echoed.

use std::collections::VecDeque;
use std::time::Instant;

use gannet::roam::proto::constants::ECHO_ACK_DELAY;

/// The acknowledgement of input that a screen carries. It tells the client that what it predicted
/// and does not see by now is not coming.
#[derive(Default)]
pub(crate) struct EchoAck {
    newest: u64,
    /// States that brought input, in order, with the time when they did.
    waiting: VecDeque<(u64, Instant)>,
}

impl EchoAck {
    /// Notes that a state of the user brought input.
    pub(crate) fn input(&mut self, state: u64, now: Instant) {
        let last = self.waiting.back().map_or(self.newest, |last| last.0);
        // States may be skipped, but none comes twice or goes back.
        if state > last {
            self.waiting.push_back((state, now));
        }
    }

    /// Returns the newest state whose input came long enough ago.
    pub(crate) fn at(&mut self, now: Instant) -> u64 {
        while let Some(&(state, came)) = self.waiting.front() {
            if came + ECHO_ACK_DELAY > now {
                break;
            }
            self.newest = state;
            self.waiting.pop_front();
        }
        self.newest
    }

    /// When the acknowledgement changes next, if nothing else comes.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|&(_, came)| came + ECHO_ACK_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn input_is_acknowledged_after_the_delay_and_never_taken_back() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut ack = EchoAck::default();
        assert_eq!((ack.at(at(0)), ack.next_deadline()), (0, None));
        ack.input(3, at(0));
        ack.input(5, at(20));
        ack.input(5, at(21));
        ack.input(4, at(22));
        assert_eq!(ack.next_deadline(), Some(at(50)));
        for (ms, acknowledged, next) in [
            (49, 0, Some(at(50))),
            (50, 3, Some(at(70))),
            (69, 3, Some(at(70))),
            (70, 5, None),
            (500, 5, None),
        ] {
            assert_eq!(ack.at(at(ms)), acknowledged, "at {ms} ms");
            assert_eq!(ack.next_deadline(), next, "at {ms} ms");
        }
        ack.input(5, at(600));
        assert_eq!(ack.next_deadline(), None, "acknowledged already");
    }
}
