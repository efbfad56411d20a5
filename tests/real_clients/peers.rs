//! How each program is told to connect or to listen.

use crate::support::process::Process;
use crate::support::sockets::{port_of, wait_for_path};
use crate::support::{TempDir, programs};

/// The networks, by the names that the tests use.
pub(crate) const NETWORKS: [&str; 6] = ["tcp4", "tcp6", "udp4", "udp6", "unix", "unixgram"];

/// The script that gives Python's sockets a command line.
const PYTHON: &str = include_str!("peer.py");

/// Whether `network` has streams with an end.
pub(crate) fn is_stream(network: &str) -> bool {
    matches!(network, "tcp4" | "tcp6" | "unix")
}

/// The loopback address of `network`.
pub(crate) fn host(network: &str) -> &'static str {
    if network.ends_with('6') {
        "::1"
    } else {
        "127.0.0.1"
    }
}

/// Where a server is: a host and a port, or a path.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Inet { host: String, port: String },
    Path(String),
}

impl Place {
    /// A port of loopback.
    pub(crate) fn inet(network: &str, port: impl ToString) -> Self {
        Place::Inet {
            host: host(network).to_owned(),
            port: port.to_string(),
        }
    }

    /// The arguments that nc, ncat and our netcat name it by.
    pub(crate) fn words(&self) -> Vec<String> {
        match self {
            Place::Inet { host, port } => vec![host.clone(), port.clone()],
            Place::Path(path) => vec![path.clone()],
        }
    }

    /// The text that socat names it by.
    fn socat(&self) -> String {
        match self {
            Place::Inet { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Place::Inet { host, port } => format!("{host}:{port}"),
            Place::Path(path) => path.clone(),
        }
    }
}

/// Starts `program` as a client of `place`.
#[track_caller]
pub(crate) fn client(program: &str, network: &str, place: &Place, dir: &TempDir) -> Process {
    let mut args = match program {
        "nc" => words(if is_stream(network) { "-N" } else { "-u" }),
        "ncat" => words(if is_stream(network) { "" } else { "-u" }),
        "socat" => return start(program, &socat_client(network, place, dir)),
        _ => python(&["connect", network]),
    };
    if program != "python3" && network.starts_with("unix") {
        args.push("-U".to_owned());
    }
    args.extend(place.words());
    start(program, &args)
}

/// Starts `program` as a server that takes one peer, and waits until it is ready.
#[track_caller]
pub(crate) fn server(program: &str, network: &str, dir: &TempDir) -> (Process, Place) {
    let asked = match network.starts_with("unix") {
        true => Place::Path(dir.file("server")),
        false => Place::inet(network, 0),
    };
    let mut args = match program {
        "nc" if is_stream(network) => words("-l -N"),
        "nc" | "ncat" => words("-l"),
        "socat" => socat_server(network, &asked),
        _ => python(&["listen", network]),
    };
    if matches!(program, "nc" | "ncat") {
        args.extend(words(if is_stream(network) { "" } else { "-u" }));
        args.extend(words(if network.starts_with("unix") {
            "-U"
        } else {
            ""
        }));
    }
    if program != "socat" {
        args.extend(asked.words());
    }
    let process = start(program, &args);
    let place = match asked {
        Place::Path(path) => {
            wait_for_path(&path);
            Place::Path(path)
        }
        Place::Inet { .. } => Place::inet(network, port_of(process.pid(), table(network))),
    };
    (process, place)
}

/// The name of the kernel's table of a network.
fn table(network: &str) -> &str {
    network.trim_end_matches('4')
}

fn socat_client(network: &str, place: &Place, dir: &TempDir) -> Vec<String> {
    let place = place.socat();
    let address = match network {
        "tcp4" => format!("TCP4:{place}"),
        "tcp6" => format!("TCP6:{place}"),
        "udp4" => format!("UDP4:{place}"),
        "udp6" => format!("UDP6:{place}"),
        "unix" => format!("UNIX-CONNECT:{place}"),
        // Bound, because a socket without a name cannot be answered.
        _ => format!("UNIX-SENDTO:{place},bind={}", dir.file("socat")),
    };
    // -t: how long the other direction may go on after one has ended.
    vec!["-t30".to_owned(), "-".to_owned(), address]
}

fn socat_server(network: &str, place: &Place) -> Vec<String> {
    let address = match (network, place) {
        ("tcp4", _) => "TCP4-LISTEN:0,bind=127.0.0.1".to_owned(),
        ("tcp6", _) => "TCP6-LISTEN:0,bind=[::1]".to_owned(),
        ("udp4", _) => "UDP4-LISTEN:0,bind=127.0.0.1".to_owned(),
        ("udp6", _) => "UDP6-LISTEN:0,bind=[::1]".to_owned(),
        ("unix", place) => format!("UNIX-LISTEN:{}", place.socat()),
        (_, place) => format!("UNIX-RECVFROM:{}", place.socat()),
    };
    vec!["-t30".to_owned(), "-".to_owned(), address]
}

/// The arguments that make Python run the script.
pub(crate) fn python(args: &[&str]) -> Vec<String> {
    let script = ["-u", "-c", PYTHON];
    script
        .iter()
        .chain(args)
        .map(|&arg| arg.to_owned())
        .collect()
}

/// Starts the script of Python's.
#[track_caller]
pub(crate) fn start_python(args: &[&str]) -> Process {
    start("python3", &python(args))
}

#[track_caller]
fn start(program: &str, args: &[String]) -> Process {
    let path = programs::find(program).expect("the test asked for it");
    Process::start(path, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
