//! What the kernel knows of the calling thread.
#![allow(unsafe_code, reason = "system calls")]

use std::mem::MaybeUninit;

/// Returns how often the thread lost its processor to another although it could have gone on.
///
/// ```
/// use gannet_sys::thread;
///
/// let before = thread::preemptions();
/// assert!(thread::preemptions() >= before);
/// ```
///
/// Reference: [`getrusage(2)`](https://man7.org/linux/man-pages/man2/getrusage.2.html),
/// `RUSAGE_THREAD`, `ru_nivcsw`.
#[must_use]
pub fn preemptions() -> u64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is writable, large enough and lives across the call.
    let ret = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    debug_assert_eq!(ret, 0, "RUSAGE_THREAD exists since Linux 2.6.26");
    // SAFETY: all of it is integers, for which zeroes, and whatever the kernel wrote, are values.
    let usage = unsafe { usage.assume_init() };
    usage.ru_nivcsw as u64
}
