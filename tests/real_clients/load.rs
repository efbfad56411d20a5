//! Many clients, slow clients, rude clients, and too few descriptors.

use std::time::Duration;

use crate::peers::start_python;
use crate::support::process::{Echo, Process, example, port};
use crate::support::sockets::{cpu_ticks, open_fds, resident};
use crate::support::watchdog::Watchdog;
use crate::support::{LIMIT, programs, until};

/// An `echo` on TCP with enough descriptors for any test here, and its port.
fn echo(args: &[&str]) -> (Echo, String) {
    let args = [&["--tcp", "127.0.0.1:0"], args].concat();
    let echo = Echo {
        process: Process::limited(4096, example("echo"), &args),
    };
    let port = echo.port("tcp");
    (echo, port)
}

#[test]
fn echo_with_a_thousand_connections_at_once_serves_all() {
    if !programs::has("python3") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    for flavor in [&["--workers", "2"][..], &["--current-thread"]] {
        let (echo, port) = echo(flavor);
        let before = open_fds(echo.process.pid());
        let mut clients = start_python(&["many", "127.0.0.1", &port, "1000"]);
        assert_eq!(clients.line("served "), "1000");
        clients.succeeds();
        until("all connections to be closed", || {
            (open_fds(echo.process.pid()) == before).then_some(())
        });
    }
}

#[test]
fn proxy_with_many_connections_relays_all() {
    if !programs::has("python3") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let (echo, _port) = echo(&[]);
    let args = ["127.0.0.1:0", &echo.addr("tcp"), "--workers", "2"];
    let proxy = Process::limited(4096, example("proxy"), &args);
    let port = port(&proxy.line("listening tcp "));
    let before = open_fds(proxy.pid());
    let mut clients = start_python(&["many", "127.0.0.1", &port, "500"]);
    assert_eq!(clients.line("served "), "500");
    clients.succeeds();
    until("all connections to be closed", || {
        // Each worker may keep four pipes, of two descriptors each.
        (open_fds(proxy.pid()) <= before + 2 * 4 * 2).then_some(())
    });
}

#[test]
fn echo_with_a_peer_that_does_not_read_stops_reading() {
    if !programs::has("python3") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let (echo, port) = echo(&[]);
    slow_peer_is_not_read(echo.process.pid(), &port);
}

/// A peer that sends and does not read gets stuck, with what is in flight in the kernel's buffers and
/// one read's worth at most in the process `pid`; once it reads, everything arrives.
#[track_caller]
fn slow_peer_is_not_read(pid: u32, port: &str) {
    let before = resident(pid);
    let mut slow = start_python(&["slow", "127.0.0.1", port]);
    let stuck: u64 = slow.line("stuck ").parse().expect("a count");
    let grown = resident(pid).saturating_sub(before);
    assert!(
        grown < 1024 * 1024,
        "the process grew by {grown} bytes for {stuck} sent"
    );
    slow.write(b"read\n");
    assert_eq!(
        slow.line("read "),
        stuck.to_string(),
        "all that was sent comes back"
    );
    slow.succeeds();
}

#[test]
fn proxy_with_a_peer_that_does_not_read_stops_reading() {
    if !programs::has("python3") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let (echo, _port) = echo(&[]);
    let proxy = Process::example("proxy", &["127.0.0.1:0", &echo.addr("tcp")]);
    let port = port(&proxy.line("listening tcp "));
    slow_peer_is_not_read(proxy.pid(), &port);
}

/// mio#577 and others: a write to a peer that is gone raised SIGPIPE, and the process was no more.
#[test]
fn echo_with_peers_that_reset_serves_the_next() {
    if !programs::has("python3") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let (echo, port) = echo(&[]);
    let before = open_fds(echo.process.pid());
    let mut rude = start_python(&["reset", "127.0.0.1", &port, "200"]);
    assert_eq!(rude.line("reset "), "200");
    rude.succeeds();
    let clients = start_python(&["many", "127.0.0.1", &port, "10"]);
    assert_eq!(clients.line("served "), "10");
    until("all connections to be closed", || {
        (open_fds(echo.process.pid()) == before).then_some(())
    });
}

#[test]
fn proxy_with_a_reset_client_ends_the_other_side() {
    if !programs::has("python3") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let upstream = start_python(&["wait_for_end", "127.0.0.1", "0"]);
    let addr = format!("127.0.0.1:{}", upstream.line("port "));
    let proxy = Process::example("proxy", &["127.0.0.1:0", &addr]);
    let port = port(&proxy.line("listening tcp "));
    let mut client = start_python(&["reset_after", "127.0.0.1", &port]);
    client.line("answered");
    client.write(b"reset\n");
    client.line("reset");
    assert_eq!(upstream.line("ended "), "eof");
}

/// Catalogue, rows 58 and 60: an accept that lacks descriptors spins, or stalls for ever
/// because no edge tells of the connections that wait already.
#[test]
fn echo_with_64_descriptors_serves_200_clients_as_they_leave() {
    if !programs::has("python3") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let args = ["--tcp", "127.0.0.1:0", "--workers", "2"];
    let echo = Echo {
        process: Process::limited(64, example("echo"), &args),
    };
    let port = echo.port("tcp");
    let mut clients = start_python(&["leave_one_by_one", "127.0.0.1", &port, "200"]);
    clients.line("connected");
    // A descriptor inherited from whoever runs the tests may have a number beyond the limit.
    until("the server to lack descriptors", || {
        (open_fds(echo.process.pid()) >= 64).then_some(())
    });
    // While they wait, the server does: spinning, it would use all of a processor.
    let ticks = cpu_ticks(echo.process.pid());
    std::thread::sleep(Duration::from_secs(1));
    let used = cpu_ticks(echo.process.pid()) - ticks;
    println!("64 descriptors, 200 clients: {used} % of a processor while they wait");
    assert!(used < 25, "{used} % of a processor for nothing");
    clients.write(b"leave\n");
    assert_eq!(clients.line("served "), "200");
    clients.succeeds();
}

/// The deadline is of each operation, not of the connection.
#[test]
fn echo_with_a_deadline_closes_a_silent_peer_quietly() {
    if !programs::has("python3") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let (mut echo, port) = echo(&["--deadline", "0.5"]);
    let mut silent = start_python(&["silent", "127.0.0.1", &port]);
    silent.line("answered");
    assert_eq!(silent.line("ended "), "0", "the end of the stream");
    silent.succeeds();
    echo.process.signal("TERM");
    echo.process.succeeds();
    assert_eq!(
        echo.process.errors(),
        "",
        "a deadline is no error of the server's"
    );
}
