//! Keep-alive probes of TCP connections.

use std::time::Duration;

/// When and how often an idle TCP connection is probed.
///
/// The default is Go's: after 15 s of silence, every 15 s, given up after 9 probes without an
/// answer. `None` in a field leaves the kernel's own value.
///
/// ```
/// use gannet_net::KeepAlive;
/// use std::time::Duration;
///
/// let patient = KeepAlive { idle: Some(Duration::from_secs(300)), ..KeepAlive::default() };
/// assert_eq!(patient.count, Some(9));
/// ```
///
/// Reference: [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeepAlive {
    /// Silence before the first probe, rounded up to whole seconds, 1 s to 32767 s.
    pub idle: Option<Duration>,
    /// Time between two probes, rounded up to whole seconds, 1 s to 32767 s.
    pub interval: Option<Duration>,
    /// Probes without an answer before the connection is given up, 1 to 127.
    pub count: Option<u32>,
}

impl Default for KeepAlive {
    fn default() -> Self {
        const PERIOD: Duration = Duration::from_secs(15);
        KeepAlive {
            idle: Some(PERIOD),
            interval: Some(PERIOD),
            count: Some(9),
        }
    }
}
