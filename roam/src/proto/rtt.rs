//! The round-trip estimator, and the two paces that follow from it.

use std::time::Duration;

use super::constants::{
    FRAME_INTERVAL_MAX, FRAME_INTERVAL_MIN, RTO_MAX, RTO_MIN, RTT_SAMPLE_LIMIT, RTTVAR_INITIAL,
    SRTT_INITIAL,
};
use super::packet::Timestamp;

/// The smoothed round-trip time of a session: RFC 6298 with mosh's limits.
///
/// ```
/// use gannet_roam::proto::{Rtt, Timestamp};
/// use std::time::Duration;
///
/// let mut rtt = Rtt::new();
/// assert_eq!(rtt.rto(), Duration::from_millis(1000));
/// let now = Timestamp::from_millis(65_600); // 64 on the wire: the clock has wrapped.
/// assert_eq!(rtt.sample(now, Timestamp::from_millis(65_500)), Some(100));
/// assert_eq!(rtt.srtt(), Duration::from_millis(100));
/// assert_eq!(rtt.rto(), Duration::from_millis(300));
/// assert_eq!(rtt.frame_interval(), Duration::from_millis(50));
/// ```
///
/// Reference: `mosh-wire.md` §4.2; [RFC 6298](https://www.rfc-editor.org/rfc/rfc6298).
#[derive(Clone, Debug)]
pub struct Rtt {
    /// SRTT in milliseconds.
    srtt: f64,
    /// RTTVAR in milliseconds.
    rttvar: f64,
    sampled: bool,
}

impl Rtt {
    /// Starts without a sample.
    #[must_use]
    pub fn new() -> Self {
        Self {
            srtt: SRTT_INITIAL.as_secs_f64() * 1e3,
            rttvar: RTTVAR_INITIAL.as_secs_f64() * 1e3,
            sampled: false,
        }
    }

    /// Takes the peer's `reply` to a timestamp of ours, which came at `now` by the same clock.
    ///
    /// Returns the sample in milliseconds, or `None` if it is 5 s or more: then it is no round
    /// trip but a datagram that was long under way, and nothing changes.
    pub fn sample(&mut self, now: Timestamp, reply: Timestamp) -> Option<u16> {
        let millis = now.since(reply);
        if Duration::from_millis(millis.into()) >= RTT_SAMPLE_LIMIT {
            return None;
        }
        let r = f64::from(millis);
        if self.sampled {
            // The variation is taken from the old mean: RFC 6298 (2.3).
            self.rttvar = 0.75 * self.rttvar + 0.25 * (self.srtt - r).abs();
            self.srtt = 0.875 * self.srtt + 0.125 * r;
        } else {
            self.srtt = r;
            self.rttvar = r / 2.0;
            self.sampled = true;
        }
        Some(millis)
    }

    /// Returns the smoothed round-trip time; 1 s before the first sample.
    #[must_use]
    pub fn srtt(&self) -> Duration {
        Duration::from_secs_f64(self.srtt / 1e3)
    }

    /// Returns the mean variation of the round-trip time; 500 ms before the first sample.
    #[must_use]
    pub fn rttvar(&self) -> Duration {
        Duration::from_secs_f64(self.rttvar / 1e3)
    }

    /// Returns the retransmission timeout, in whole milliseconds from 50 to 1000.
    #[must_use]
    pub fn rto(&self) -> Duration {
        whole(self.srtt + 4.0 * self.rttvar).clamp(RTO_MIN, RTO_MAX)
    }

    /// Returns the time between two frames: half a round trip, in whole milliseconds from 20 to
    /// 250.
    #[must_use]
    pub fn frame_interval(&self) -> Duration {
        whole(self.srtt / 2.0).clamp(FRAME_INTERVAL_MIN, FRAME_INTERVAL_MAX)
    }

    /// Returns whether there has been a sample.
    #[must_use]
    pub fn sampled(&self) -> bool {
        self.sampled
    }
}

impl Default for Rtt {
    fn default() -> Self {
        Self::new()
    }
}

fn whole(millis: f64) -> Duration {
    Duration::from_millis(millis.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn feed(rtt: &mut Rtt, millis: u64) -> Option<u16> {
        rtt.sample(
            Timestamp::from_millis(60_000 + millis),
            Timestamp::from_millis(60_000),
        )
    }

    #[test]
    fn estimator_without_a_sample_gives_initial_values() {
        let rtt = Rtt::new();
        assert!(!rtt.sampled());
        assert_eq!(rtt.srtt(), SRTT_INITIAL);
        assert_eq!(rtt.rttvar(), RTTVAR_INITIAL);
        assert_eq!(rtt.rto(), RTO_MAX);
        assert_eq!(rtt.frame_interval(), FRAME_INTERVAL_MAX);
    }

    #[test]
    fn samples_move_mean_and_variation() {
        let mut rtt = Rtt::new();
        assert_eq!(feed(&mut rtt, 80), Some(80));
        assert_eq!((rtt.srtt(), rtt.rttvar()), (MS * 80, MS * 40));
        assert_eq!(feed(&mut rtt, 160), Some(160));
        // RTTVAR = 0.75 * 40 + 0.25 * |80 - 160|, SRTT = 0.875 * 80 + 0.125 * 160.
        assert_eq!((rtt.srtt(), rtt.rttvar()), (MS * 90, MS * 50));
        assert_eq!(rtt.rto(), MS * 290);
        assert_eq!(rtt.frame_interval(), MS * 45);
    }

    #[test]
    fn sample_at_the_limit_is_no_sample() {
        let mut rtt = Rtt::new();
        assert_eq!(feed(&mut rtt, 5000), None);
        assert!(!rtt.sampled());
        assert_eq!(feed(&mut rtt, 4999), Some(4999));
        assert!(rtt.sampled());
        let reversed = rtt.sample(Timestamp::from_millis(1), Timestamp::from_millis(2));
        assert_eq!(reversed, None, "a reply from the future");
    }

    #[test]
    fn paces_stay_within_their_limits() {
        let mut rtt = Rtt::new();
        feed(&mut rtt, 0);
        assert_eq!(
            (rtt.rto(), rtt.frame_interval()),
            (RTO_MIN, FRAME_INTERVAL_MIN)
        );
        let mut rtt = Rtt::new();
        feed(&mut rtt, 4999);
        assert_eq!(
            (rtt.rto(), rtt.frame_interval()),
            (RTO_MAX, FRAME_INTERVAL_MAX)
        );
        let mut rtt = Rtt::new();
        feed(&mut rtt, 41);
        assert_eq!(rtt.frame_interval(), MS * 21, "rounded up");
    }
}
