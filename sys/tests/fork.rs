//! Forks for real. In a process of its own, because a forked child holds copies of all
//! descriptors for a moment, and the tests of other modules wait for the ends of pipes.
#![allow(unsafe_code, reason = "forks, waits and exits")]

use gannet_sys::fork;

/// Forks, and returns the exit status that `child` computes there.
///
/// The child of a threaded process may only do what a signal handler may, so `child` must not
/// allocate, lock or panic.
fn in_forked_child(child: fn() -> u8) -> i32 {
    // SAFETY: the child calls `child`, which only reads atomics, and then `_exit`.
    let pid = unsafe { libc::fork() };
    assert_ne!(pid, -1, "a process can be made");
    if pid == 0 {
        let status = child();
        // SAFETY: `_exit` takes an integer, runs no destructor and does not return.
        unsafe { libc::_exit(i32::from(status)) };
    }
    let mut status = 0;
    // SAFETY: `status` is writable and lives across the call.
    let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!(waited, pid);
    assert!(libc::WIFEXITED(status), "the child exits by itself");
    libc::WEXITSTATUS(status)
}

#[test]
fn watch_counts_forks_in_the_parent_and_generations_in_the_child() {
    fork::watch();
    fork::watch();
    for n in 1..=3 {
        let in_child = in_forked_child(|| fork::generation() as u8);
        // One more and not two: the second `watch` installed nothing.
        assert_eq!(in_child, 1, "the child is one generation on");
        assert_eq!(fork::generation(), 0, "the parent keeps its own");
        assert_eq!(fork::forks(), n);
    }
    let forks_in_child = in_forked_child(|| fork::forks() as u8);
    assert_eq!(
        forks_in_child, 3,
        "the parent's handler does not run in the child"
    );
}
