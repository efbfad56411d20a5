//! Ends the process when a test hangs: a message is worth more than a job that is cut off.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Aborts the process unless it is dropped in time.
pub(crate) struct Watchdog {
    _alive: Sender<()>,
}

impl Watchdog {
    /// Starts the time of the test that runs on this thread.
    pub(crate) fn start(limit: Duration) -> Self {
        let name = thread::current().name().unwrap_or("a test").to_owned();
        let (alive, ended) = channel::<()>();
        thread::spawn(move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                // Not `println!`, which the harness would keep to itself.
                let _ = std::io::Write::write_fmt(
                    &mut std::io::stderr(),
                    format_args!("{name}: still running after {limit:?}\n"),
                );
                std::process::abort();
            }
        });
        Watchdog { _alive: alive }
    }
}
