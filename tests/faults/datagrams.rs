//! A server of datagrams whose system calls fail.

use std::io::ErrorKind;
use std::net::UdpSocket;

use crate::support::process::Echo;
use crate::support::traced::Traced;
use crate::support::watchdog::Watchdog;
use crate::support::{LIMIT, programs};

/// What becomes of the datagram that meets the fault.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// It is answered.
    Answered,
    /// It is answered, since the failed call has taken nothing, and the error is told, once.
    Told(&'static str),
    /// Its answer is lost, and the error is told, once.
    Lost(&'static str),
    /// It is answered once another one comes: the edge was used up by the call that found nothing.
    Later,
}
use Expected::{Answered, Later, Lost, Told};

const ROWS: [(&str, Expected); 15] = [
    (
        "recvfrom:error=ECONNREFUSED:when=1",
        Told("connection refused"),
    ),
    (
        "recvfrom:error=EHOSTUNREACH:when=1",
        Told("no route to host"),
    ),
    ("recvfrom:error=EMSGSIZE:when=1", Told("message too long")),
    (
        "recvfrom:error=ENOMEM:when=1",
        Told("cannot allocate memory"),
    ),
    ("recvfrom:error=EINTR:when=1+2", Answered),
    ("recvfrom:error=EAGAIN:when=1", Later),
    ("sendto:error=EINTR:when=1..3", Answered),
    ("sendto:error=EAGAIN:when=1", Answered),
    ("sendto:error=ENOBUFS:when=1..3", Answered),
    ("sendto:error=EPERM:when=1", Lost("operation not permitted")),
    ("sendto:error=EMSGSIZE:when=1", Lost("message too long")),
    (
        "sendto:error=ENETUNREACH:when=1",
        Lost("network is unreachable"),
    ),
    (
        "sendto:error=ECONNREFUSED:when=1",
        Lost("connection refused"),
    ),
    ("epoll_wait:error=EINTR:when=1+2", Answered),
    ("recvfrom,sendto,epoll_wait:delay_enter=20ms", Answered),
];

#[track_caller]
fn check((fault, expected): (&str, Expected)) {
    println!("echo of datagrams with {fault}: {expected:?}");
    let mut echo = Echo::start(&["--udp", "127.0.0.1:0", "--current-thread"]);
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
    client.connect(echo.addr("udp")).expect("loopback");
    client.set_read_timeout(Some(LIMIT)).expect("an option");
    let send = |text: &str| {
        client.send(text.as_bytes()).expect("loopback takes it");
    };
    let answered = |text: &str| {
        let mut buf = [0; 64];
        let len = loop {
            match client.recv(&mut buf) {
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                received => break received.unwrap_or_else(|err| panic!("{fault}: {err}")),
            }
        };
        assert_eq!(String::from_utf8_lossy(&buf[..len]), text, "{fault}");
    };
    send("before");
    answered("before");
    let calls = fault.split(':').next().unwrap_or_default();
    let (trace, inject) = (format!("trace={calls}"), format!("inject={fault}"));
    let traced = Traced::attach(&echo.process, &["-e", &trace, "-e", &inject]);
    send("one");
    if let Later = expected {
        traced.sees("INJECTED");
    } else if !matches!(expected, Lost(_)) {
        answered("one");
    } else {
        echo.process.error_line("echo: ");
    }
    send("two");
    if let Later = expected {
        answered("one");
    }
    answered("two");
    send("after");
    answered("after");
    echo.process.signal("TERM");
    echo.process.succeeds();
    let trace = traced.finish();
    let injected = trace.matches("INJECTED").count();
    assert!(injected < 100, "{fault}: {trace}");
    let errors = echo.process.errors();
    match expected {
        Told(text) | Lost(text) => {
            assert!(errors.trim_end().ends_with(text), "{fault}: {errors}");
            assert_eq!(errors.lines().count(), 1, "{fault}: {errors}");
        }
        Answered | Later => assert_eq!(errors, "", "{fault}"),
    }
}

#[test]
fn echo_of_datagrams_whose_calls_fail_goes_on() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    ROWS.into_iter().for_each(check);
}
