//! `echo` as the server of each program.

use crate::peers::{self, NETWORKS, Place, client, is_stream};
use crate::support::process::Echo;
use crate::support::watchdog::Watchdog;
use crate::support::{LIMIT, TempDir, programs};

/// Has `program` talk to `echo` over every network.
#[track_caller]
fn check(program: &str) {
    if !programs::has(program) {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 6);
    let dir = TempDir::new();
    for network in NETWORKS {
        let option = format!("--{}", network.trim_end_matches(['4', '6']));
        let asked = match network {
            "unix" | "unixgram" => dir.file(network),
            _ => format!("{}:0", bracketed(peers::host(network))),
        };
        let echo = Echo::start(&[&option, &asked]);
        let addr = echo.addr(option.trim_start_matches('-'));
        let place = match network {
            "unix" | "unixgram" => Place::Path(addr),
            _ => Place::inet(network, echo.port(option.trim_start_matches('-'))),
        };

        let mut client = client(program, network, &place, &dir);
        client.write(b"first\n");
        assert_eq!(text(&client.read(6)), "first\n", "{program} over {network}");
        client.write(b"second\n");
        if is_stream(network) {
            // The end of what it sends is told, and all comes back, and then the end.
            client.close_stdin();
            assert_eq!(
                text(&client.read_to_end()),
                "first\nsecond\n",
                "{program} over {network}"
            );
            client.succeeds();
        } else {
            assert_eq!(
                text(&client.read(13)),
                "first\nsecond\n",
                "{program} over {network}"
            );
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

#[test]
fn echo_answers_nc_over_every_network() {
    check("nc");
}

#[test]
fn echo_answers_ncat_over_every_network() {
    check("ncat");
}

#[test]
fn echo_answers_socat_over_every_network() {
    check("socat");
}

#[test]
fn echo_answers_python_over_every_network() {
    check("python3");
}

/// The sockets of one process serve side by side.
#[test]
fn echo_with_every_listener_prints_a_line_for_each() {
    let dir = TempDir::new();
    let (stream, datagram) = (dir.file("s"), dir.file("d"));
    let echo = Echo::start(&[
        "--tcp",
        "127.0.0.1:0",
        "--tcp",
        "[::1]:0",
        "--udp",
        "127.0.0.1:0",
        "--unix",
        &stream,
        "--unixgram",
        &datagram,
        "--workers",
        "2",
        "--reuse-port",
        "--deadline",
        "60",
    ]);
    for line in [
        "tcp 127.0.0.1:",
        "tcp [::1]:",
        "udp 127.0.0.1:",
        "unix ",
        "unixgram ",
    ] {
        let rest = echo.process.line(&format!("listening {line}"));
        assert_ne!(rest, "0", "the real port of {line}");
    }
    assert_eq!(echo.addr("unix"), stream);
    assert_eq!(echo.addr("unixgram"), datagram);
}

/// Two processes share a port only if both ask for it.
#[test]
fn echo_with_reuse_port_shares_a_port() {
    let first = Echo::start(&["--tcp", "127.0.0.1:0", "--reuse-port"]);
    let addr = first.addr("tcp");
    let second = Echo::start(&["--tcp", &addr, "--reuse-port"]);
    assert_eq!(second.addr("tcp"), addr);
    let mut third = Echo::start(&["--tcp", &addr]);
    assert_eq!(third.process.wait().code(), Some(1));
    assert!(
        third
            .process
            .errors()
            .contains("bind: address already in use")
    );
}
