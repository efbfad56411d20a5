//! Signals as futures.

use std::ffi::c_int;
use std::io;
use std::os::unix::net::UnixStream as Std;

use gannet::net::UnixStream;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::low_level::pipe;

/// The signals that a program with a terminal gets.
pub(crate) struct Signals {
    stop: UnixStream,
    resized: UnixStream,
}

impl Signals {
    /// Catches them from here on: none of them ends the process by itself.
    ///
    /// # Errors
    /// Those of making socket pairs and of `sigaction(2)`.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Signals {
            stop: caught(&[SIGHUP, SIGINT, SIGTERM])?,
            resized: caught(&[SIGWINCH])?,
        })
    }

    /// Waits until the program is to end.
    ///
    /// # Cancel safety
    /// Dropping the future loses no signal.
    pub(crate) async fn stop(&self) {
        // An error would mean that signals can no longer be heard: ending is the safe answer.
        let _ = self.stop.read(&mut [0; 16]).await;
    }

    /// Waits until the terminal has another size; several changes may be one.
    ///
    /// # Cancel safety
    /// As [`stop`](Self::stop).
    pub(crate) async fn resized(&self) {
        if self.resized.read(&mut [0; 16]).await.is_err() {
            std::future::pending().await
        }
    }
}

fn caught(signals: &[c_int]) -> io::Result<UnixStream> {
    let (receiver, sender) = Std::pair()?;
    for &signal in signals {
        // The handler writes one byte, which is all that a signal handler may safely do.
        pipe::register(signal, sender.try_clone()?)?;
    }
    UnixStream::try_from(receiver)
}
