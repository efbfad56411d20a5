//! Faults that need a test of their own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::process::{Echo, Process};
use crate::support::traced::{Traced, count};
use crate::support::watchdog::Watchdog;
use crate::support::{LIMIT, TempDir, programs};

#[track_caller]
fn connect(addr: &str) -> TcpStream {
    let conn = TcpStream::connect(addr).expect("it listens");
    conn.set_read_timeout(Some(LIMIT)).expect("an option");
    conn
}

#[track_caller]
fn comes_back(conn: &mut TcpStream, text: &str) {
    conn.write_all(text.as_bytes()).expect("it is taken");
    hears(conn, text);
}

#[track_caller]
fn hears(conn: &mut TcpStream, text: &str) {
    let mut back = vec![0; text.len()];
    conn.read_exact(&mut back).expect("the echo");
    assert_eq!(String::from_utf8_lossy(&back), text);
}

/// A shortage that lasts: who is served already is served on, accepting is tried ever more seldom, and
/// whoever waits is let in when the shortage ends, though no edge tells of him.
#[test]
fn echo_that_lacks_descriptors_for_long_serves_whom_it_has() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    for flavor in [&["--current-thread"][..], &["--workers", "2"]] {
        let echo = Echo::start(&[&["--tcp", "127.0.0.1:0"], flavor].concat());
        let addr = echo.addr("tcp");
        let mut old = connect(&addr);
        comes_back(&mut old, "old");
        let fault = ["-e", "trace=accept4", "-e", "inject=accept4:error=EMFILE"];
        let traced = Traced::attach(&echo.process, &fault);
        let begun = Instant::now();
        let mut new = connect(&addr);
        new.write_all(b"new").expect("the kernel takes it");
        for tries in 1..=7 {
            comes_back(&mut old, "old");
            traced.sees_times("INJECTED", tries);
        }
        // 5, 10, 20 to 160 ms lie between seven tries: a timer is never early.
        let passed = begun.elapsed();
        assert!(passed >= Duration::from_millis(315), "{passed:?}");
        traced.detach();
        hears(&mut new, "new");
        comes_back(&mut connect(&addr), "next");
    }
}

/// A read that finds nothing though there is something: it waits, without spinning, for the next edge,
/// and reads all then.
#[test]
fn echo_that_reads_nothing_waits_for_more() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    let echo = Echo::start(&["--tcp", "127.0.0.1:0", "--current-thread"]);
    let mut conn = connect(&echo.addr("tcp"));
    comes_back(&mut conn, "before");
    let fault = "inject=recvfrom:error=EAGAIN:when=1";
    let traced = Traced::attach(
        &echo.process,
        &["-e", "trace=recvfrom,epoll_wait", "-e", fault],
    );
    conn.write_all(b"one").expect("it is taken");
    traced.sees("INJECTED");
    conn.write_all(b"two").expect("it is taken");
    hears(&mut conn, "onetwo");
    let trace = traced.detach();
    let waits = count(&trace, "epoll_wait", "");
    assert!(waits < 10, "{trace}");
}

/// The same of an accept: who came waits until the next one comes, and then both are served.
#[test]
fn echo_that_accepts_nobody_waits_for_the_next() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    let echo = Echo::start(&["--tcp", "127.0.0.1:0", "--current-thread"]);
    let addr = echo.addr("tcp");
    comes_back(&mut connect(&addr), "before");
    let fault = "inject=accept4:error=EAGAIN:when=1";
    let traced = Traced::attach(&echo.process, &["-e", "trace=accept4", "-e", fault]);
    let mut first = connect(&addr);
    traced.sees("INJECTED");
    let mut second = connect(&addr);
    comes_back(&mut second, "second");
    comes_back(&mut first, "first");
    traced.detach();
}

/// A descriptor that could not be closed is not closed again: the number may be another's by then.
#[test]
fn echo_whose_close_fails_does_not_close_twice() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    for errno in ["EINTR", "EIO", "ENOSPC"] {
        let mut echo = Echo::start(&["--tcp", "127.0.0.1:0", "--current-thread"]);
        let addr = echo.addr("tcp");
        let mut old = connect(&addr);
        comes_back(&mut old, "old");
        let fault = format!("inject=close:error={errno}:when=1");
        let traced = Traced::attach(&echo.process, &["-e", "trace=close", "-e", &fault]);
        let mut new = connect(&addr);
        comes_back(&mut new, "new");
        drop(new);
        traced.sees("INJECTED");
        comes_back(&mut old, "old");
        let mut next = connect(&addr);
        comes_back(&mut next, "next");
        drop((next, old));
        echo.process.signal("TERM");
        echo.process.succeeds();
        let trace = traced.detach();
        let injected = trace.lines().find(|line| line.contains("INJECTED"));
        let call = injected.and_then(|line| line.split_once("close(")?.1.split(')').next());
        let number = call.expect("a call that failed");
        let call = format!("close({number})");
        assert_eq!(trace.matches(&call).count(), 1, "{trace}");
        assert_eq!(echo.process.errors(), "");
    }
}

/// What is out of the poller already need not be taken out: that is all that was wanted.
#[test]
fn echo_that_cannot_deregister_ends_well() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    for errno in ["ENOENT", "EBADF"] {
        let mut echo = Echo::start(&["--tcp", "127.0.0.1:0", "--workers", "1"]);
        comes_back(&mut connect(&echo.addr("tcp")), "before");
        let fault = format!("inject=epoll_ctl:error={errno}");
        let traced = Traced::attach(&echo.process, &["-e", "trace=epoll_ctl", "-e", &fault]);
        echo.process.signal("TERM");
        echo.process.succeeds();
        let trace = traced.finish();
        assert!(count(&trace, "epoll_ctl", "INJECTED") > 0, "{trace}");
        assert!(trace.contains("EPOLL_CTL_DEL"), "{trace}");
        assert_eq!(echo.process.errors(), "");
    }
}

/// Nobody can wait any more: the runtime ends, says why, and the program with it.
#[test]
fn echo_whose_poller_is_broken_ends_and_says_so() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    for (flavor, call) in [
        (&["--current-thread"][..], "epoll_wait"),
        (&["--workers", "1"], "epoll_wait"),
        (&["--workers", "2"], "epoll_wait"),
        // Of one worker only: the others end with it.
        (&["--workers", "2"], "timerfd_settime"),
    ] {
        for errno in ["EBADF", "EINVAL"] {
            let mut echo = Echo::start(&[&["--tcp", "127.0.0.1:0"], flavor].concat());
            let mut conn = connect(&echo.addr("tcp"));
            comes_back(&mut conn, "before");
            let (trace, fault) = (
                format!("trace={call}"),
                format!("inject={call}:error={errno}"),
            );
            let _traced = Traced::attach(&echo.process, &["-e", &trace, "-e", &fault]);
            // Whoever waits now was there before the fault, so some are still served.
            let mut back = [0];
            while conn.write_all(b"x").is_ok() && conn.read_exact(&mut back).is_ok() {}
            echo.process.wait();
            let errors = echo.process.errors();
            let told = [
                "epoll_wait on the poller's own descriptor failed",
                "timerfd can be set",
            ];
            assert!(told.iter().any(|told| errors.contains(told)), "{errors}");
        }
    }
}

/// No thread for a blocking call: who asked gets an error, and the next asks again.
#[test]
fn files_without_threads_answers_and_recovers() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    // A thread's stack is mapped.
    for fault in ["clone3:error=EAGAIN", "mmap:error=ENOMEM"] {
        let dir = TempDir::new();
        std::fs::write(dir.file("index.html"), "the index").expect("a file is written");
        let root = dir.path().to_str().expect("UTF-8").to_owned();
        let mut files = Process::example("files", &[&root, "127.0.0.1:0", "--workers", "1"]);
        let addr = files.line("listening tcp ");
        let ask = || {
            let mut conn = connect(&addr);
            let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            conn.write_all(request).expect("it is taken");
            let mut answer = String::new();
            conn.read_to_string(&mut answer).expect("an answer");
            answer
        };
        let traced = Traced::attach(&files, &["-e", &format!("inject={fault}")]);
        let answer = ask();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{fault}: {answer}");
        assert!(traced.detach().contains("INJECTED"), "{fault}");
        let answer = ask();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{fault}: {answer}");
        files.signal("TERM");
        files.succeeds();
        assert_eq!(files.errors(), "", "{fault}");
    }
}
