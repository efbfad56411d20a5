//! What the tests of several modules share: a bounded wait, and scratch names.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::clock;
use crate::fd::{self, PollDirection};

/// Asks `condition` until it holds, and fails the test after ten seconds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = clock::now() + Duration::from_secs(10);
    while !condition() {
        assert!(clock::now() < deadline, "{what}: not within 10 s");
        std::thread::yield_now();
    }
}

/// Waits until `fd` is ready in a direction.
#[track_caller]
pub(crate) fn wait_ready(fd: BorrowedFd<'_>, dir: PollDirection) {
    wait_until("readiness", || {
        fd::poll(fd, dir).expect("the descriptor is open")
    });
}

/// Returns a path in the temporary directory that no other test uses.
pub(crate) fn scratch_path(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("gannet-sys-{}-{n}-{name}", std::process::id()))
}
