//! `netcat` with each program as its peer, in both roles.

use crate::peers::{NETWORKS, Place, client, is_stream, server};
use crate::support::process::{Process, port};
use crate::support::watchdog::Watchdog;
use crate::support::{LIMIT, TempDir, programs};

const OURS: &[u8] = b"what netcat sends\n";
const THEIRS: &[u8] = b"what the other sends\n";

/// Which side connected.
#[derive(Clone, Copy, PartialEq)]
enum Client {
    Netcat,
    Peer,
}

/// Has both sides send; then both end, if their network has ends. The peer `lasts` if it goes on
/// after netcat has ended its direction.
#[track_caller]
fn talk(netcat: &mut Process, peer: &mut Process, network: &str, client: Client, lasts: bool) {
    // A datagram server knows whom to answer once it was addressed, so the client begins.
    let ours = |netcat: &mut Process, peer: &Process| {
        netcat.write(OURS);
        assert_eq!(
            text(&peer.read(OURS.len())),
            text(OURS),
            "to the peer over {network}"
        );
    };
    if client == Client::Netcat {
        ours(netcat, peer);
    }
    peer.write(THEIRS);
    assert_eq!(
        text(&netcat.read(THEIRS.len())),
        text(THEIRS),
        "to netcat over {network}"
    );
    if client == Client::Peer {
        ours(netcat, peer);
    }
    if is_stream(network) {
        end(netcat, peer, network, lasts);
    } else {
        netcat.signal("TERM");
    }
    netcat.succeeds();
}

/// Has netcat end its direction, and then the peer.
#[track_caller]
fn end(netcat: &mut Process, peer: &mut Process, network: &str, lasts: bool) {
    netcat.close_stdin();
    assert_eq!(text(&peer.read(OURS.len())), text(OURS));
    let mut wanted = THEIRS.to_vec();
    if lasts {
        peer.write(THEIRS);
        wanted.extend(THEIRS);
        assert_eq!(
            text(&netcat.read(wanted.len())),
            text(&wanted),
            "half-closed {network}"
        );
    }
    peer.close_stdin();
    assert_eq!(text(&netcat.read_to_end()), text(&wanted));
    assert_eq!(text(&peer.read_to_end()), text(OURS));
    peer.succeeds();
}

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// The options that netcat names a network by.
fn options(network: &str) -> Vec<&'static str> {
    let mut options = Vec::new();
    if !is_stream(network) {
        options.push("-u");
    }
    if network.starts_with("unix") {
        options.push("-U");
    }
    options
}

fn start<'a>(mut args: Vec<&'a str>, words: &'a [String]) -> Process {
    args.extend(words.iter().map(String::as_str));
    Process::example("netcat", &args)
}

/// Has netcat connect to `program`.
#[track_caller]
fn check_client(program: &str) {
    if !programs::has(program) {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 6);
    for network in NETWORKS {
        let dir = TempDir::new();
        let (mut peer, place) = server(program, network, &dir);
        let mut netcat = start(options(network), &place.words());
        // As listeners, nc and ncat end with their client's direction.
        let lasts = !matches!(program, "nc" | "ncat");
        talk(&mut netcat, &mut peer, network, Client::Netcat, lasts);
    }
}

/// Has `program` connect to netcat.
#[track_caller]
fn check_server(program: &str) {
    if !programs::has(program) {
        return;
    }
    let _watchdog = Watchdog::start(LIMIT * 6);
    for network in NETWORKS {
        let dir = TempDir::new();
        let asked = match network.starts_with("unix") {
            true => Place::Path(dir.file("netcat")),
            false => Place::inet(network, 0),
        };
        let args = [vec!["-l"], options(network)].concat();
        let mut netcat = start(args, &asked.words());
        let name = network.trim_end_matches(['4', '6']);
        let addr = netcat.error_line(&format!("listening {name} "));
        let place = match asked {
            Place::Path(_) => Place::Path(addr),
            Place::Inet { .. } => Place::inet(network, port(&addr)),
        };
        let mut peer = client(program, network, &place, &dir);
        talk(&mut netcat, &mut peer, network, Client::Peer, true);
        if let Place::Path(path) = place {
            let is_left = network == "unix" && std::path::Path::new(&path).exists();
            assert!(!is_left, "the socket file of a listener goes with it");
        }
    }
}

#[test]
fn netcat_as_client_talks_to_nc() {
    check_client("nc");
}

#[test]
fn netcat_as_client_talks_to_ncat() {
    check_client("ncat");
}

#[test]
fn netcat_as_client_talks_to_socat() {
    check_client("socat");
}

#[test]
fn netcat_as_client_talks_to_python() {
    check_client("python3");
}

#[test]
fn netcat_as_listener_talks_to_nc() {
    check_server("nc");
}

#[test]
fn netcat_as_listener_talks_to_ncat() {
    check_server("ncat");
}

#[test]
fn netcat_as_listener_talks_to_socat() {
    check_server("socat");
}

#[test]
fn netcat_as_listener_talks_to_python() {
    check_server("python3");
}

/// One side asks and ends; the other answers after that end, and ends too.
#[test]
fn proxy_passes_on_half_close_in_both_directions() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let mut server = Process::example("netcat", &["-l", "127.0.0.1", "0"]);
    let upstream = server.error_line("listening tcp ");
    let proxy = Process::example("proxy", &["127.0.0.1:0", &upstream]);
    let port = port(&proxy.line("listening tcp "));
    let mut client = Process::example("netcat", &["127.0.0.1", &port]);
    client.write(OURS);
    client.close_stdin();
    assert_eq!(text(&server.read(OURS.len())), text(OURS));
    server.write(THEIRS);
    server.close_stdin();
    assert_eq!(text(&client.read_to_end()), text(THEIRS));
    // The server ends only if the client's end came through.
    server.succeeds();
    client.succeeds();
}

/// An ICMP refusal of a datagram reaches whoever waits for an answer.
#[test]
fn netcat_sending_datagrams_to_nobody_exits_1() {
    let _watchdog = Watchdog::start(LIMIT * 4);
    let free = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("its address").port().to_string();
    drop(free);
    let mut netcat = Process::example("netcat", &["-u", "127.0.0.1", &port]);
    netcat.write(b"anybody?\n");
    assert_eq!(netcat.wait().code(), Some(1));
    let errors = netcat.errors();
    assert!(errors.ends_with(": connection refused\n"), "{errors}");
}
