//! `netcat` whose system calls fail while it dials and after.

use std::io::Write;
use std::net::TcpListener;

use crate::support::process::Echo;
use crate::support::traced::Launched;
use crate::support::watchdog::Watchdog;
use crate::support::{LIMIT, TempDir, programs};

/// What fails, and how the error ends that netcat tells; nothing, if it does its work.
const TCP: [(&str, &str); 14] = [
    ("socket:error=EMFILE:when=2", "socket: too many open files"),
    ("connect:error=ECONNREFUSED", "connect: connection refused"),
    (
        "connect:error=ENETUNREACH",
        "connect: network is unreachable",
    ),
    (
        "connect:error=EADDRNOTAVAIL",
        "connect: cannot assign requested address",
    ),
    (
        "connect:error=EAGAIN",
        "connect: resource temporarily unavailable",
    ),
    // Begun, says the error, and yet it was not: no readiness and no lack of an error is taken for a
    // connection, nor is a peer that the kernel does not know of.
    ("connect:error=EINPROGRESS", "i/o timeout"),
    ("connect:error=EINTR", "i/o timeout"),
    ("getpeername:error=ENOTCONN", "i/o timeout"),
    (
        "epoll_ctl:error=ENOSPC:when=7",
        "see /proc/sys/fs/epoll/max_user_watches",
    ),
    // Memory comes from elsewhere.
    ("brk:error=ENOMEM", ""),
    ("sendto:error=EAGAIN:when=1", ""),
    ("sendto:error=ENOBUFS:when=1..3", ""),
    ("epoll_wait:error=EINTR:when=1+2", ""),
    ("recvfrom,sendto,connect,epoll_wait:delay_enter=20ms", ""),
];

const UNIX: [(&str, &str); 3] = [
    // The queue of the listener is full.
    (
        "connect:error=EAGAIN",
        "connect: resource temporarily unavailable",
    ),
    ("connect:error=ECONNREFUSED", "connect: connection refused"),
    ("connect:error=EACCES", "connect: permission denied"),
];

#[track_caller]
fn check(rows: &[(&str, &str)], target: &[&str]) {
    for (fault, told) in rows {
        println!("netcat {target:?} with {fault}: {told:?}");
        // With a limit for what would never end; what is done is done long before.
        let limit = if told.is_empty() { "600" } else { "0.5" };
        let args = [&["-w", limit], target].concat();
        let mut launched = Launched::start(fault, "netcat", &args);
        if told.is_empty() {
            launched.process.write(b"said\n");
            launched.process.close_stdin();
            assert_eq!(launched.process.read_to_end(), b"said\n", "{fault}");
        }
        let status = launched.process.wait();
        let errors = launched.process.errors();
        let code = if told.is_empty() { 0 } else { 1 };
        assert_eq!(status.code(), Some(code), "{fault}: {errors}");
        let errors = errors.trim_end();
        assert!(errors.ends_with(told), "{fault}: {errors}");
        assert!(errors.lines().count() <= 1, "{fault}: {errors}");
    }
}

#[test]
fn netcat_whose_calls_fail_says_why_or_goes_on() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    let dir = TempDir::new();
    let path = dir.file("echo");
    let echo = Echo::start(&["--tcp", "127.0.0.1:0", "--unix", &path]);
    check(&TCP, &["127.0.0.1", &echo.port("tcp")]);
    check(&UNIX, &["-U", &path]);
}

/// The peer has gone already, so there is nobody to tell of the end: that is no failure.
#[test]
fn netcat_that_cannot_shut_down_ends_well() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener
        .local_addr()
        .expect("its address")
        .port()
        .to_string();
    let fault = "shutdown:error=ENOTCONN";
    let mut launched = Launched::start(fault, "netcat", &["127.0.0.1", &port]);
    let (mut conn, _) = listener.accept().expect("netcat connects");
    launched.process.close_stdin();
    launched.is_injected();
    conn.write_all(b"the last").expect("it is taken");
    drop(conn);
    assert_eq!(launched.process.read_to_end(), b"the last");
    launched.process.succeeds();
    assert_eq!(launched.process.errors(), "");
}
