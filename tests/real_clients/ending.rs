//! How the examples end: signals, closed pipes, bad arguments.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::peers::start_python;
use crate::support::process::{Echo, Process, example, port};
use crate::support::sockets::wait_for_path;
use crate::support::watchdog::Watchdog;
use crate::support::{LIMIT, TempDir, programs};

/// How long `echo` may take to end: five seconds for peers that do not read, and one to spare.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(6);

#[test]
fn echo_on_signal_during_traffic_finishes_and_removes_its_files() {
    if !programs::has("python3") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    for (signal, flavor) in [
        ("TERM", &["--workers", "2"][..]),
        ("INT", &["--current-thread"]),
        ("TERM", &["--deadline", "30"]),
    ] {
        let dir = TempDir::new();
        let (stream, datagram) = (dir.file("s"), dir.file("d"));
        let sockets = [
            "--tcp",
            "127.0.0.1:0",
            "--udp",
            "127.0.0.1:0",
            "--unix",
            &stream,
        ];
        let args = [&sockets[..], &["--unixgram", &datagram], flavor].concat();
        let mut echo = Echo::start(&args);
        wait_for_path(&datagram);
        let port = echo.port("tcp");
        let mut clients: Vec<_> = (0..4)
            .map(|_| start_python(&["traffic", "127.0.0.1", &port]))
            .collect();
        clients
            .iter()
            .for_each(|client| drop(client.line("flowing")));

        let start = Instant::now();
        echo.process.signal(signal);
        echo.process.succeeds();
        assert!(start.elapsed() < SHUTDOWN_LIMIT, "{:?}", start.elapsed());
        assert!(
            !Path::new(&stream).exists() && !Path::new(&datagram).exists(),
            "files are left"
        );
        for client in &mut clients {
            client.line("ended");
            client.succeeds();
        }
        assert_eq!(echo.process.errors(), "");
    }
}

/// Bytes that have arrived before the signal are sent back, and then comes the end.
#[test]
fn echo_on_signal_sends_back_what_has_arrived() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    for flavor in [
        &["--workers", "2"][..],
        &["--current-thread"],
        &["--deadline", "30"],
    ] {
        let mut echo = Echo::start(&[&["--tcp", "127.0.0.1:0"], flavor].concat());
        let connect = || TcpStream::connect(echo.addr("tcp")).expect("echo listens");
        let (mut idle, mut busy) = (connect(), connect());
        let mut buf = [0; 6];
        for client in [&mut idle, &mut busy] {
            client.set_read_timeout(Some(LIMIT)).expect("an option");
            client.write_all(b"hello\n").expect("a connection");
            client.read_exact(&mut buf).expect("an answer");
        }
        // Stopped, so that both the bytes and the signal are there when it goes on.
        echo.process.signal("STOP");
        busy.write_all(b"late words\n")
            .expect("the kernel takes them");
        echo.process.signal("TERM");
        echo.process.signal("CONT");
        let mut rest = String::new();
        busy.read_to_string(&mut rest)
            .expect("an end without a reset");
        assert_eq!(rest, "late words\n", "{flavor:?}");
        assert_eq!(idle.read(&mut buf).expect("an end without a reset"), 0);
        echo.process.succeeds();
    }
}

/// A peer that never reads cannot hold the server for longer than five seconds.
#[test]
fn echo_on_signal_with_a_stuck_peer_ends_in_time() {
    if !programs::has("python3") {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 4);
    let mut echo = Echo::start(&["--tcp", "127.0.0.1:0"]);
    let slow = start_python(&["slow", "127.0.0.1", &echo.port("tcp")]);
    slow.line("stuck ");
    let start = Instant::now();
    echo.process.signal("TERM");
    echo.process.succeeds();
    assert!(start.elapsed() < SHUTDOWN_LIMIT, "{:?}", start.elapsed());
}

#[test]
fn netcat_and_proxy_on_signal_exit_0() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let echo = Echo::start(&["--tcp", "127.0.0.1:0"]);
    for signal in ["TERM", "INT"] {
        let mut proxy = Process::example("proxy", &["127.0.0.1:0", &echo.addr("tcp")]);
        let port = port(&proxy.line("listening tcp "));
        let mut netcat = Process::example("netcat", &["127.0.0.1", &port]);
        netcat.write(b"hello\n");
        assert_eq!(netcat.read(6), b"hello\n");
        netcat.signal(signal);
        netcat.succeeds();
        let mut waiting = Process::example("netcat", &["-l", "127.0.0.1", "0"]);
        waiting.error_line("listening tcp ");
        waiting.signal(signal);
        waiting.succeeds();
        proxy.signal(signal);
        proxy.succeeds();
    }
}

#[test]
fn netcat_whose_output_is_closed_says_so_and_exits_1() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let echo = Echo::start(&["--tcp", "127.0.0.1:0"]);
    // `true` ends at once, and with it the pipe: SIGPIPE would make the status 141.
    let run = r#"{ "$0" 127.0.0.1 "$1" </dev/zero 2>"$2"; echo "status $?" >>"$2"; } | true"#;
    let dir = TempDir::new();
    let mut command = Command::new("sh");
    command.args(["-c", &format!(r#"{run}; cat "$2""#)]);
    command
        .arg(example("netcat"))
        .arg(echo.port("tcp"))
        .arg(dir.file("errors"));
    let output = command.stdin(Stdio::null()).output().expect("sh runs");
    let errors = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        errors,
        "netcat: standard output: Broken pipe (os error 32)\nstatus 1\n"
    );
}

/// The shell's terminal or pipe is the same description as ours: it must block again afterwards.
#[test]
fn netcat_leaves_standard_input_blocking() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let echo = Echo::start(&["--tcp", "127.0.0.1:0"]);
    let flags = r#"sed -n 's/^flags:[[:space:]]*//p' /proc/self/fdinfo/0"#;
    let script = format!(r#"{flags}; "$0" -w 0.3 127.0.0.1 "$1"; echo "status $?"; {flags}"#);
    let netcat = example("netcat");
    let args = [
        "-c",
        &script,
        netcat.to_str().expect("UTF-8"),
        &echo.port("tcp"),
    ];
    let mut shell = Process::start("sh", &args);
    // Standard input stays open and silent: netcat ends by its time limit.
    let all = String::from_utf8(shell.read_to_end()).expect("text");
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines[1], "status 0", "{all}");
    assert_eq!(lines[0], lines[2], "the flags of standard input");
    shell.succeeds();
}

#[test]
fn netcat_dialling_nobody_exits_1_as_go_says() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    // A port that was just free, and is nobody's.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("its address").port().to_string();
    drop(free);
    let mut netcat = Process::example("netcat", &["127.0.0.1", &port]);
    assert_eq!(netcat.wait().code(), Some(1));
    let wanted = format!("netcat: dial tcp 127.0.0.1:{port}: connect: connection refused\n");
    assert_eq!(netcat.errors(), wanted);
}

/// Runs an example that must refuse its arguments; standard error must hold all of `wanted`.
#[track_caller]
fn refused(name: &str, args: &[&str], wanted: &[&str]) {
    let mut process = Process::example(name, args);
    assert_eq!(process.wait().code(), Some(1), "{name} {args:?}");
    let errors = process.errors();
    for text in wanted {
        assert!(
            errors.contains(text),
            "{name} {args:?}: no {text:?} in {errors:?}"
        );
    }
}

#[test]
fn bad_arguments_exit_1_and_are_named_with_the_rule() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let long = format!("/tmp/{}", "x".repeat(103));
    refused(
        "echo",
        &["--tcp", "127.0.0.1"],
        &["address 127.0.0.1", "missing port in address"],
    );
    refused(
        "echo",
        &["--udp", "127.0.0.1:65536"],
        &["65536", "invalid port"],
    );
    refused("echo", &["--unix", &long], &[&long, "108 bytes", "107"]);
    refused(
        "echo",
        &["--unixgram", "/nowhere/at/all"],
        &["/nowhere/at/all", "no such file"],
    );
    refused(
        "echo",
        &["--workers", "0"],
        &["worker_threads is 0", "must be 1 to 4096"],
    );
    refused("echo", &["--workers", "many"], &["many", "--workers"]);
    refused(
        "echo",
        &["--workers", "1", "--current-thread"],
        &["--workers", "--current-thread"],
    );
    refused("echo", &["--deadline", "-1"], &["-1"]);
    refused(
        "echo",
        &["--deadline=0"],
        &["'0'", "positive number of seconds"],
    );
    refused("echo", &["--nonsense"], &["--nonsense"]);
    refused("netcat", &["127.0.0.1"], &["127.0.0.1", "HOST and PORT"]);
    refused("netcat", &["-U", "a", "b"], &["a b", "one PATH"]);
    refused(
        "netcat",
        &["127.0.0.1", "99999"],
        &["99999", "invalid port"],
    );
    refused("netcat", &["-w", "x", "127.0.0.1", "1"], &["'x'", "-w"]);
    refused("netcat", &[], &["HOST"]);
    refused("proxy", &["127.0.0.1:0"], &["UPSTREAM"]);
    refused(
        "proxy",
        &["127.0.0.1:0", "nowhere"],
        &["address nowhere", "missing port"],
    );
    refused(
        "files",
        &["/nowhere/at/all", "127.0.0.1:0"],
        &["/nowhere/at/all", "No such file"],
    );
    refused(
        "files",
        &["/dev/null", "127.0.0.1:0"],
        &["/dev/null", "not a directory"],
    );
    refused("files", &["/"], &["ADDR"]);
}

#[test]
fn bad_arguments_of_servers_exit_1_and_are_named_with_the_rule() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    refused(
        "proxy",
        &["127.0.0.1:0", "127.0.0.1:1", "--drain", "0"],
        &["'0'"],
    );
    refused("chat", &["nowhere"], &["address nowhere", "missing port"]);
    refused(
        "chat",
        &["/nowhere/at/all"],
        &["/nowhere/at/all", "no such file"],
    );
    refused("chat", &["127.0.0.1:0", "--rate", "0"], &["0", "--rate"]);
}

#[test]
fn help_exits_0() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    for (name, word) in [
        ("echo", "--unixgram"),
        ("netcat", "SECONDS"),
        ("proxy", "UPSTREAM"),
        ("files", "ROOT"),
        ("chat", "unix:NAME"),
    ] {
        let mut process = Process::example(name, &["--help"]);
        process.succeeds();
        let help = String::from_utf8(process.read_to_end()).expect("text");
        assert!(help.contains(word), "{name}: {help}");
    }
}
