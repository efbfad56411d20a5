//! The four octets before each fragment: a timestamp and the answer to one of the peer's.

use std::time::{Duration, Instant};

use super::constants::TIMESTAMPS_LEN;
use super::error::PeerError;

/// What stands on the wire where there is no timestamp.
const NONE: u16 = u16::MAX;

/// A time in milliseconds, modulo 2^16, since a moment that its own side chose.
///
/// Never 65535, which means "none" on the wire and is replaced by 0.
///
/// ```
/// use gannet_roam::proto::Timestamp;
/// use std::time::Duration;
///
/// let sent = Timestamp::from_millis(65_530);
/// let heard = sent.plus(Duration::from_millis(16));
/// assert_eq!((heard.as_millis(), heard.since(sent)), (10, 16));
/// ```
///
/// Reference: `mosh-wire.md` §4.1.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Timestamp(u16);

impl Timestamp {
    /// Returns the timestamp of `now`, counted from `epoch`; of `epoch` itself if that is later.
    #[must_use]
    pub fn at(now: Instant, epoch: Instant) -> Self {
        Self::from_millis(now.saturating_duration_since(epoch).as_millis() as u64)
    }

    /// Returns the timestamp of a clock that reads `millis`.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        match millis as u16 {
            NONE => Self(0),
            millis => Self(millis),
        }
    }

    /// Returns the milliseconds, modulo 2^16.
    #[must_use]
    pub fn as_millis(self) -> u16 {
        self.0
    }

    /// Returns the timestamp `time` later, in whole milliseconds.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self::from_millis(u64::from(self.0.wrapping_add(time.as_millis() as u16)))
    }

    /// Returns the timestamp `time` earlier, in whole milliseconds.
    #[must_use]
    pub fn minus(self, time: Duration) -> Self {
        Self::from_millis(u64::from(self.0.wrapping_sub(time.as_millis() as u16)))
    }

    /// Returns the milliseconds since `earlier`, modulo 2^16.
    #[must_use]
    pub fn since(self, earlier: Self) -> u16 {
        self.0.wrapping_sub(earlier.0)
    }

    fn from_wire(octets: [u8; 2]) -> Option<Self> {
        match u16::from_be_bytes(octets) {
            NONE => None,
            millis => Some(Self(millis)),
        }
    }

    fn to_wire(timestamp: Option<Self>) -> [u8; 2] {
        timestamp.map_or(NONE, |t| t.0).to_be_bytes()
    }
}

/// The two timestamps of a datagram.
///
/// ```
/// use gannet_roam::proto::{Header, Timestamp};
///
/// let header = Header { timestamp: Some(Timestamp::from_millis(10_061)), reply: None };
/// assert_eq!(header.encode(), [0x27, 0x4d, 0xff, 0xff]);
/// assert_eq!(Header::decode(b"\x27\x4d\xff\xffrest"), Ok((header, &b"rest"[..])));
/// ```
///
/// Reference: `mosh-wire.md` §3.5.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Header {
    /// When it was sent, by the sender's clock.
    pub timestamp: Option<Timestamp>,
    /// The newest timestamp of the receiver, plus the time that the sender has held it.
    pub reply: Option<Timestamp>,
}

impl Header {
    /// Returns the octets on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; TIMESTAMPS_LEN] {
        let [a, b] = Timestamp::to_wire(self.timestamp);
        let [c, d] = Timestamp::to_wire(self.reply);
        [a, b, c, d]
    }

    /// Splits an opened payload into timestamps and fragment.
    ///
    /// # Errors
    /// [`PeerError::NoTimestamps`] below four octets.
    pub fn decode(payload: &[u8]) -> Result<(Self, &[u8]), PeerError> {
        let (&[a, b, c, d], rest) = payload
            .split_first_chunk::<TIMESTAMPS_LEN>()
            .ok_or(PeerError::NoTimestamps)?;
        let header = Self {
            timestamp: Timestamp::from_wire([a, b]),
            reply: Timestamp::from_wire([c, d]),
        };
        Ok((header, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn timestamp_wraps_and_is_never_none() {
        let epoch = Instant::now();
        for (millis, expected) in [
            (0, 0),
            (65_534, 65_534),
            (65_535, 0),
            (65_536, 0),
            (65_537, 1),
            (131_071, 0),
        ] {
            let timestamp = Timestamp::at(epoch + MS * millis, epoch);
            assert_eq!(timestamp.as_millis(), expected, "{millis} ms");
        }
        assert_eq!(Timestamp::at(epoch, epoch + MS).as_millis(), 0, "reversed");
    }

    #[test]
    fn timestamp_arithmetic_wraps() {
        let late = Timestamp::from_millis(65_530);
        assert_eq!(late.plus(MS * 4).as_millis(), 65_534);
        assert_eq!(late.plus(MS * 5).as_millis(), 0, "65535 means none");
        assert_eq!(late.plus(MS * 10).as_millis(), 4);
        let early = Timestamp::from_millis(400);
        assert_eq!(early.minus(MS * 500).as_millis(), 65_436);
        assert_eq!(early.minus(MS * 401).as_millis(), 0, "65535 means none");
        assert_eq!(early.since(late), 406);
    }

    #[test]
    fn header_round_trips_for_every_timestamp() {
        for octets in 0..=u16::MAX {
            let [a, b] = octets.to_be_bytes();
            let wire = [a, b, b, a, 7];
            let (header, rest) = Header::decode(&wire).expect("long enough");
            assert_eq!(header.encode(), wire[..4], "{octets}");
            assert_eq!(header.timestamp.is_none(), octets == NONE);
            assert_eq!(rest, [7]);
        }
    }

    #[test]
    fn header_cut_anywhere_is_refused() {
        for len in 0..TIMESTAMPS_LEN {
            let cut = Header::decode(&[1, 2, 3, 4][..len]);
            assert_eq!(cut, Err(PeerError::NoTimestamps), "{len} octets");
        }
    }
}
