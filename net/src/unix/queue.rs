//! Sending to a queue that is not ours.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::pause::{Backoff, pause_writing};
use crate::socket::Socket;

impl Socket {
    /// Sends to a Unix socket whose queue may be full.
    ///
    /// No edge tells when a queue that is not ours has room. What edges there are come from the
    /// refused attempt itself, whose buffer the kernel frees, and would be followed for ever: so this
    /// pauses.
    pub(crate) async fn send_to_queue(
        &self,
        mut send: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut series = self.fd.begin_write();
        let mut backoff = Backoff::new(QUEUE_PAUSE_MIN, QUEUE_PAUSE_MAX);
        loop {
            let sent = series.write_with(|fd| match send(fd) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(None),
                sent => sent.map(Some),
            });
            match sent.await? {
                Some(len) => return Ok(len),
                None => pause_writing(&mut series, backoff.advance()).await?,
            }
        }
    }
}

/// Pauses before another attempt at a full queue: the first, doubling up to the longest.
const QUEUE_PAUSE_MIN: Duration = Duration::from_millis(1);
const QUEUE_PAUSE_MAX: Duration = Duration::from_millis(64);
