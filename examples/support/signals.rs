//! SIGINT and SIGTERM as a future.

use std::io;
use std::os::unix::net::UnixStream as Std;

use gannet::net::UnixStream;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// Tells when the user wants the program to end, by Ctrl-C or by SIGTERM.
pub(crate) struct StopSignal {
    pipe: UnixStream,
}

impl StopSignal {
    /// Catches both signals from here on: they no longer end the process by themselves.
    ///
    /// # Errors
    /// Those of making a socket pair and of `sigaction(2)`.
    pub(crate) fn catch() -> io::Result<Self> {
        StopSignal::catch_these(&[SIGINT, SIGTERM])
    }

    /// Catches these signals instead.
    ///
    /// # Errors
    /// As [`catch`](Self::catch).
    pub(crate) fn catch_these(signals: &[i32]) -> io::Result<Self> {
        let (receiver, sender) = Std::pair()?;
        for &signal in signals {
            // The handler writes one byte, which is all that a signal handler may safely do.
            pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(StopSignal {
            pipe: UnixStream::try_from(receiver)?,
        })
    }

    /// Waits for a signal.
    ///
    /// # Cancel safety
    /// Dropping the future loses no signal.
    pub(crate) async fn wait(&self) {
        // An error would mean that signals can no longer be heard: ending is the safe answer.
        let _ = self.pipe.read(&mut [0]).await;
    }
}
