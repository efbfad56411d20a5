//! Notices forks, so that a runtime can refuse to run in a forked child.
//!
//! A child made by `fork` has one thread, and shares every descriptor with its parent: an epoll
//! instance used by both eats the other's events. [`watch`] installs handlers that count, and two
//! numbers tell what happened: [`generation`] is different in a forked child, and [`forks`] counts
//! the forks in the parent.
//!
//! Children made by `posix_spawn`, which is what [`std::process::Command`] uses when it can, run
//! no handlers; they `exec` at once and share nothing that is close-on-exec.
#![allow(unsafe_code, reason = "registers C callbacks")]

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static FORKS: AtomicU32 = AtomicU32::new(0);
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Starts to count forks; later calls do nothing.
///
/// ```
/// use gannet_sys::fork;
///
/// fork::watch();
/// let born = fork::generation();
/// // In a forked child this would differ:
/// assert_eq!(fork::generation(), born);
/// ```
///
/// # Panics
/// If the C library has no memory left for the registration.
///
/// Reference: [`pthread_atfork(3)`](https://man7.org/linux/man-pages/man3/pthread_atfork.3.html).
pub fn watch() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: both handlers are functions of this program, so they outlive the registration,
        // and do nothing but add to an atomic, which a child of a threaded process may do.
        let rc = unsafe { libc::pthread_atfork(None, Some(in_parent), Some(in_child)) };
        assert_eq!(rc, 0, "the C library has memory for a fork handler");
    });
}

/// Returns how many times this process has forked since [`watch`]; it wraps.
///
/// A fork that another thread is in the midst of may not be counted yet.
#[inline]
pub fn forks() -> u32 {
    // Relaxed: the thread that forked has it in its own order, and others learn it when they can.
    FORKS.load(Ordering::Relaxed)
}

/// Returns a number that differs between a forked child and its parent.
#[inline]
pub fn generation() -> u32 {
    // Relaxed: the child's only thread wrote it itself.
    GENERATION.load(Ordering::Relaxed)
}

extern "C" fn in_parent() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
