//! What the kernel knows of a TCP connection.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::bytes;

/// The state of a TCP connection.
///
/// Reference: [RFC 9293, section 3.3.2](https://www.rfc-editor.org/rfc/rfc9293#section-3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are those of the RFC")]
pub enum TcpState {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Closed,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    /// One that is unknown here.
    Other(u8),
}

impl TcpState {
    fn from_raw(raw: u8) -> Self {
        match raw {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            other => Self::Other(other),
        }
    }
}

/// What the kernel knows of a TCP connection (`TCP_INFO`). What an older kernel does not tell is
/// zero.
///
/// ```
/// use gannet_sys::option::{TcpState, tcp_info};
/// use gannet_sys::socket::{Domain, Kind, socket};
/// use std::os::fd::AsFd;
///
/// let fd = socket(Domain::Inet, Kind::Stream)?;
/// assert_eq!(tcp_info(fd.as_fd())?.state, TcpState::Closed);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state.
    pub state: TcpState,
    /// Whether data went with the first packet and was taken (TCP Fast Open).
    pub fast_open_used: bool,
    /// How long a segment may stay unacknowledged before it is sent again.
    pub retransmission_timeout: Duration,
    /// The smoothed time of a round trip.
    pub rtt: Duration,
    /// How much that varies.
    pub rtt_variance: Duration,
    /// The shortest time of a round trip of late.
    pub min_rtt: Duration,
    /// The longest segment sent, in bytes of data.
    pub send_mss: u32,
    /// The longest packet that the path takes, in bytes.
    pub path_mtu: u32,
    /// How many segments may be on their way.
    pub congestion_window: u32,
    /// How many segments are on their way.
    pub unacked: u32,
    /// How many of them are taken for lost.
    pub lost: u32,
    /// How often the segment that waits longest was sent again without an answer.
    pub retransmits: u8,
    /// How many segments were sent again so far.
    pub total_retransmits: u32,
    /// How many bytes wait to be sent for the first time.
    pub not_sent: u32,
    /// How many bytes were sent, those sent again included.
    pub bytes_sent: u64,
    /// How many bytes were acknowledged, the first packet counting for one.
    pub bytes_acked: u64,
    /// How many bytes were sent again.
    pub bytes_retransmitted: u64,
    /// How many bytes were received.
    pub bytes_received: u64,
    /// How many bytes a second arrive at the peer, at the best of late.
    pub delivery_rate: u64,
    /// How many bytes a second are sent at most; `u64::MAX` is no limit.
    pub pacing_rate: u64,
    /// How long ago data was last sent.
    pub last_sent: Duration,
    /// How long ago data was last received.
    pub last_received: Duration,
}

/// Returns what the kernel knows of a TCP connection (`TCP_INFO`).
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
pub fn tcp_info(fd: BorrowedFd<'_>) -> io::Result<TcpInfo> {
    let mut raw = [0; 256];
    bytes(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut raw)?;
    Ok(parse(&raw))
}

/// Reads `struct tcp_info` at the offsets of `<linux/tcp.h>`, which only grows.
fn parse(raw: &[u8; 256]) -> TcpInfo {
    const SYN_DATA: u8 = 32;
    let word = |at: usize| {
        raw[at..]
            .first_chunk()
            .map_or(0, |raw| u32::from_ne_bytes(*raw))
    };
    let long = |at: usize| {
        raw[at..]
            .first_chunk()
            .map_or(0, |raw| u64::from_ne_bytes(*raw))
    };
    let micros = |at| Duration::from_micros(word(at).into());
    let millis = |at| Duration::from_millis(word(at).into());
    TcpInfo {
        state: TcpState::from_raw(raw[0]),
        retransmits: raw[2],
        fast_open_used: raw[5] & SYN_DATA != 0,
        retransmission_timeout: micros(8),
        send_mss: word(16),
        unacked: word(24),
        lost: word(32),
        last_sent: millis(44),
        last_received: millis(52),
        path_mtu: word(60),
        rtt: micros(68),
        rtt_variance: micros(72),
        congestion_window: word(80),
        total_retransmits: word(100),
        pacing_rate: long(104),
        bytes_acked: long(120),
        bytes_received: long(128),
        not_sent: word(144),
        min_rtt: micros(148),
        delivery_rate: long(160),
        bytes_sent: long(200),
        bytes_retransmitted: long(208),
    }
}
