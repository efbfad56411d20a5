//! Programs whose system calls fail at their start: they say what failed, and end.

use crate::support::traced::Launched;
use crate::support::watchdog::Watchdog;
use crate::support::{LIMIT, programs};

/// What fails, and what `echo` says of it.
const ECHO: [(&str, &str); 20] = [
    ("epoll_create1:error=EMFILE", "Too many open files"),
    (
        "epoll_create1:error=ENOMEM:when=2",
        "Cannot allocate memory",
    ),
    ("eventfd2:error=EMFILE", "Too many open files"),
    ("timerfd_create:error=EMFILE", "Too many open files"),
    (
        "timerfd_create:error=ENOMEM:when=2",
        "Cannot allocate memory",
    ),
    // The poller's own descriptors, those of the reserve, the signal's, the listener.
    ("epoll_ctl:error=ENOSPC:when=1", "No space left on device"),
    ("epoll_ctl:error=ENOMEM:when=3", "Cannot allocate memory"),
    ("epoll_ctl:error=ENOMEM:when=6", "Cannot allocate memory"),
    (
        "epoll_ctl:error=ENOSPC:when=7",
        "see /proc/sys/fs/epoll/max_user_watches",
    ),
    (
        "epoll_ctl:error=EEXIST:when=7",
        "registered with this runtime already",
    ),
    ("epoll_ctl:error=EPERM:when=7", "cannot be polled"),
    (
        "clone3:error=EAGAIN:when=1",
        "Resource temporarily unavailable",
    ),
    (
        "clone3:error=EAGAIN:when=2",
        "Resource temporarily unavailable",
    ),
    ("socketpair:error=ENFILE", "Too many open files in system"),
    ("socket:error=EMFILE:when=2", "socket: too many open files"),
    (
        "socket:error=EAFNOSUPPORT:when=2",
        "socket: address family not supported",
    ),
    ("bind:error=EACCES", "bind: permission denied"),
    ("bind:error=EADDRINUSE", "bind: address already in use"),
    ("listen:error=EADDRINUSE", "listen: address already in use"),
    ("getsockname:error=ENOBUFS", "no buffer space available"),
];

#[track_caller]
fn refuses(fault: &str, name: &str, args: &[&str], told: &str) {
    println!("{name} with {fault}: {told}");
    let mut launched = Launched::start(fault, name, args);
    let status = launched.process.wait();
    let errors = launched.process.errors();
    assert_eq!(status.code(), Some(1), "{fault}: {errors}");
    assert!(errors.contains(told), "{fault}: {errors}");
    assert_eq!(
        launched.process.read_to_end(),
        b"",
        "{fault}: no socket is announced"
    );
}

#[test]
fn echo_whose_start_fails_says_why() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    for (fault, told) in ECHO {
        refuses(
            fault,
            "echo",
            &["--tcp", "127.0.0.1:0", "--workers", "2"],
            told,
        );
    }
}

/// Keys need random bytes: there is nothing instead.
#[test]
fn session_without_random_bytes_is_refused() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    let args = ["new", "-i", "127.0.0.1", "--", "true"];
    refuses(
        "getrandom:error=ENOSYS",
        "roam_shell",
        &args,
        "Function not implemented",
    );
}

/// An interrupted one is asked again.
#[test]
fn session_whose_random_bytes_are_interrupted_begins() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    let dir = crate::support::TempDir::new();
    let list = dir.file("list");
    let args = ["collect", "--devices", "2", "--list", &list];
    let launched = Launched::start("getrandom:error=EINTR:when=1+2", "roam_sensor", &args);
    launched.is_injected();
    crate::support::until("keys", || {
        let text = std::fs::read_to_string(&list).ok()?;
        (text.lines().count() == 2).then_some(())
    });
}
