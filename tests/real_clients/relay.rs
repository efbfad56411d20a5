//! `proxy`: bytes in both directions, what the kernel does and refuses to do, what is left behind.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use crate::support::process::{Echo, Process, port};
use crate::support::sockets::{open_fds, resident};
use crate::support::traced::{Traced, count};
use crate::support::watchdog::Watchdog;
use crate::support::{LIMIT, programs, until};

const LONG: usize = 6 << 20;

/// Bytes that repeat late; each seed has others.
fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len)
        .map(|at| ((at + seed) % 65521 % 251) as u8)
        .collect()
}

/// Sends `bytes` and then the end, in a thread, and reads to the end meanwhile.
#[track_caller]
fn exchange(mut conn: TcpStream, bytes: Vec<u8>) -> Vec<u8> {
    conn.set_read_timeout(Some(LIMIT)).expect("an option");
    let mut writing = conn.try_clone().expect("a descriptor");
    let sending = thread::spawn(move || {
        writing.write_all(&bytes).expect("the proxy takes all");
        writing.shutdown(Shutdown::Write).expect("it is connected");
    });
    let mut received = Vec::new();
    conn.read_to_end(&mut received).expect("an end");
    sending.join().expect("all was sent");
    received
}

/// A proxy, and a server behind it that sends `back` to one client and returns what it got.
struct Relayed {
    proxy: Process,
    server: JoinHandle<Vec<u8>>,
}

impl Relayed {
    fn start(back: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let upstream = listener.local_addr().expect("its address").to_string();
        let server = thread::spawn(move || {
            let (conn, _) = listener.accept().expect("the proxy connects");
            exchange(conn, back)
        });
        let args = ["127.0.0.1:0", &upstream, "--workers", "2"];
        Relayed {
            proxy: Process::example("proxy", &args),
            server,
        }
    }

    /// Sends megabytes both ways, and the ends, and compares.
    #[track_caller]
    fn check(proxy: &Process, server: JoinHandle<Vec<u8>>, back: usize) {
        let addr = proxy.line("listening tcp ");
        let client = TcpStream::connect(addr).expect("the proxy listens");
        let received = exchange(client, pattern(LONG, 1));
        assert!(received == pattern(back, 2), "what came back");
        let arrived = server.join().expect("the server is well");
        assert!(arrived == pattern(LONG, 1), "what arrived");
    }
}

#[test]
fn proxy_splices_both_directions_and_passes_the_ends_on() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let back = LONG / 2 + 1;
    let Relayed { proxy, server } = Relayed::start(pattern(back, 2));
    let traced = Traced::attach(&proxy, &["-e", "trace=splice,read,write,recvfrom,sendto"]);
    Relayed::check(&proxy, server, back);
    let trace = traced.detach();
    assert!(count(&trace, "splice", "= 0") >= 2, "both ends: {trace}");
    assert!(count(&trace, "splice", "SPLICE_F") > 4, "{trace}");
    for copying in ["recvfrom", "sendto"] {
        assert_eq!(count(&trace, copying, ""), 0, "{trace}");
    }
}

/// What the kernel may answer to a splice, and where no pipe is to be had: the bytes are the same.
#[test]
fn proxy_whose_splices_fail_relays_all_the_same() {
    if !programs::has("strace") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 8);
    for (inject, falls_back) in [
        ("splice:error=EINVAL", Some(true)),
        ("splice:error=ENOSYS", Some(true)),
        ("splice:error=EPERM", Some(true)),
        // Not the first: bytes are on their way, and must be read out of their pipe.
        ("splice:error=EINVAL:when=2", Some(true)),
        ("splice:error=EINVAL:when=6+3", Some(true)),
        ("splice:error=EINTR:when=1+2", Some(false)),
        // Whether the one that has room now is a splice or a send depends on who ran short.
        ("splice:error=ENOBUFS:when=2+7", None),
        ("pipe2:error=EMFILE", Some(true)),
        // Each worker meets it once, with bytes to relay by then or not.
        ("pipe2:error=ENFILE:when=1", None),
        ("fcntl:error=EPERM", Some(true)),
    ] {
        let back = LONG / 3;
        let Relayed { proxy, server } = Relayed::start(pattern(back, 2));
        let (traced, inject) = (
            "trace=splice,pipe2,fcntl,sendto",
            format!("inject={inject}"),
        );
        let traced = Traced::attach(&proxy, &["-e", traced, "-e", &inject]);
        Relayed::check(&proxy, server, back);
        let trace = traced.detach();
        assert!(trace.contains("(INJECTED)"), "{inject}: {trace}");
        let buffers = count(&trace, "sendto", "= ");
        if let Some(falls_back) = falls_back {
            assert_eq!(buffers > 0, falls_back, "{inject}: {trace}");
        }
    }
}

/// After a thousand relays, some of which ended badly, the proxy holds what it held before, but for
/// the few pipes that its threads keep.
#[test]
fn proxy_after_a_thousand_relays_holds_no_more() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let echo = Echo::start(&["--tcp", "127.0.0.1:0"]);
    let args = ["127.0.0.1:0", &echo.addr("tcp"), "--workers", "2"];
    let proxy = Process::example("proxy", &args);
    let addr = proxy.line("listening tcp ");
    let relay = |number: usize| {
        let mut conn = TcpStream::connect(&addr).expect("the proxy listens");
        conn.set_read_timeout(Some(LIMIT)).expect("an option");
        let sent = pattern(number * 37 % 5000 + 1, number);
        conn.write_all(&sent).expect("the proxy takes it");
        if number % 4 == 3 {
            return; // With bytes on their way.
        }
        let mut received = vec![0; sent.len()];
        conn.read_exact(&mut received).expect("the echo");
        assert!(received == sent, "relay {number}");
    };
    (0..100).for_each(relay);
    let (fds, memory) = (open_fds(proxy.pid()), resident(proxy.pid()));
    (0..1000).for_each(relay);
    // Four pipes a thread, of two descriptors each.
    until("the descriptors of the relays to be closed", || {
        (open_fds(proxy.pid()) <= fds.max(20) + 2 * 4 * 2).then_some(())
    });
    let grown = resident(proxy.pid()).saturating_sub(memory);
    assert!(grown < 4 << 20, "{grown} bytes more than before");
    ends_well(proxy);
}

#[track_caller]
fn ends_well(mut proxy: Process) {
    proxy.signal("TERM");
    proxy.succeeds();
    assert_eq!(proxy.errors(), "");
}

/// A proxy that gives its relays long to end, and tells how they did.
fn patient_proxy(echo: &Echo) -> Process {
    let upstream = echo.addr("tcp");
    let args = ["127.0.0.1:0", &upstream, "--drain", "600", "--stats"];
    Process::example("proxy", &args)
}

/// Relays that are open when the signal comes go on, and nobody else comes in.
#[test]
fn proxy_on_signal_lets_its_relays_end() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let echo = Echo::start(&["--tcp", "127.0.0.1:0"]);
    let mut proxy = patient_proxy(&echo);
    let addr = proxy.line("listening tcp ");
    let mut conn = TcpStream::connect(&addr).expect("the proxy listens");
    comes_back(&mut conn, b"before");
    proxy.signal("TERM");
    until("the listener to be closed", || {
        TcpStream::connect(&addr).is_err().then_some(())
    });
    assert_eq!(exchange(conn, b"after".to_vec()), b"after");
    proxy.succeeds();
    let stats = proxy.line("accepted ");
    assert!(stats.ends_with(": 0 cut off"), "{stats}");
    assert_eq!(proxy.errors(), "");
}

#[test]
fn proxy_on_a_second_signal_ends_at_once() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let echo = Echo::start(&["--tcp", "127.0.0.1:0"]);
    let mut proxy = patient_proxy(&echo);
    let mut conn = TcpStream::connect(proxy.line("listening tcp ")).expect("it listens");
    comes_back(&mut conn, b"before");
    proxy.signal("TERM");
    proxy.signal("INT");
    proxy.succeeds();
    let stats = "1, completed 0, failed 0, active 1: the rest hurried";
    assert_eq!(proxy.line("accepted "), stats);
    let ended = conn.read(&mut [0]);
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");
}

/// Who comes beyond the limit waits, and is served once another has ended.
#[test]
fn proxy_with_its_limit_of_connections_serves_one_after_the_other() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let upstream = listener.local_addr().expect("its address").to_string();
    let args = ["127.0.0.1:0", &upstream, "--connections", "1", "--stats"];
    let mut proxy = Process::example("proxy", &args);
    let addr = proxy.line("listening tcp ");
    let clients = [(); 3].map(|()| TcpStream::connect(&addr).expect("it listens"));
    for mut client in clients {
        let (mut server, _) = listener.accept().expect("the proxy connects");
        client.write_all(b"x").expect("it is taken");
        server.read_exact(&mut [0]).expect("it is passed on");
        listener.set_nonblocking(true).expect("an option");
        let others = listener.accept().map(drop).expect_err("nobody else");
        assert_eq!(others.kind(), std::io::ErrorKind::WouldBlock);
        listener.set_nonblocking(false).expect("an option");
        drop((client, server));
    }
    proxy.signal("TERM");
    proxy.succeeds();
    let stats = proxy.line("accepted ");
    assert!(stats.starts_with("3, "), "{stats}");
}

#[track_caller]
fn comes_back(conn: &mut TcpStream, text: &[u8]) {
    conn.set_read_timeout(Some(LIMIT)).expect("an option");
    conn.write_all(text).expect("it is taken");
    let mut back = vec![0; text.len()];
    conn.read_exact(&mut back).expect("the echo");
    assert_eq!(back, text);
}

#[test]
fn iperf3_through_proxy_in_both_directions() {
    if !programs::has("iperf3") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    for direction in [&[][..], &["-R"], &["-P", "3"]] {
        // It tells no port that the kernel has chosen.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let upstream = free.local_addr().expect("its address");
        drop(free);
        let server_port = upstream.port().to_string();
        let args = [
            "-s",
            "-1",
            "-B",
            "127.0.0.1",
            "-p",
            &server_port,
            "--forceflush",
        ];
        let server = Process::start("iperf3", &args);
        until("iperf3 to listen", || {
            let said = server.read(1);
            String::from_utf8_lossy(&said).contains('-').then_some(())
        });
        until("its port", || {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
            let listens = format!(":{:04X} 00000000:0000 0A", upstream.port());
            table.contains(&listens).then_some(())
        });
        let proxy = Process::example("proxy", &["127.0.0.1:0", &upstream.to_string()]);
        let proxy_port = port(&proxy.line("listening tcp "));
        let args = ["-c", "127.0.0.1", "-p", &proxy_port, "-n", "256M", "-J"];
        let mut client = Process::start("iperf3", &[&args[..], direction].concat());
        client.succeeds();
        let report = String::from_utf8(client.read_to_end()).expect("JSON");
        // It ends when all is sent, and does not wait for what is still in buffers: those of four
        // sockets a stream, up to some 20 MB.
        let received = report
            .split("\"sum_received\"")
            .nth(1)
            .and_then(|rest| rest.split("\"bytes\":").nth(1))
            .and_then(|rest| rest.split(',').next())
            .and_then(|number| number.trim().parse::<u64>().ok())
            .unwrap_or_else(|| panic!("no sum in {report}"));
        assert!(received >= 128 << 20, "{received} bytes, {direction:?}");
        ends_well(proxy);
    }
}
