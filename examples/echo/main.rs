//! An echo server over TCP, UDP and Unix sockets.
//!
//! Shows listening on many sockets at once, a control hook (`--reuse-port`), deadlines that are
//! armed anew for each operation (`--deadline`), connections that hold no buffer while they are
//! idle, and a shutdown that loses nothing: on SIGTERM or Ctrl-C the listeners close, what was
//! received is sent back, and the program ends, within five seconds.
//!
//! ```text
//! cargo run --release --example echo
//! nc 127.0.0.1 7007
//! ```

#[path = "../support/forward.rs"]
mod forward;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/report.rs"]
mod report;
#[path = "../support/signals.rs"]
mod signals;

mod connections;
mod datagram;
mod server;
mod stream;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use gannet::net::{ListenConfig, Listener, PacketConn};
use gannet::{Builder, JoinSet, time};

use datagram::SocketFile;
use server::Server;
use signals::StopSignal;

const DEFAULT_ADDRESS: &str = "127.0.0.1:7007";
/// How long a shutdown waits for peers that do not read.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

fn command() -> Command {
    let many = |name: &'static str, value: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .action(ArgAction::Append)
    };
    Command::new("echo")
        .about("Sends back what it receives, over TCP, UDP and Unix sockets.")
        .after_help(
            "Without a listener: TCP and UDP on 127.0.0.1:7007. Port 0 lets the kernel choose.",
        )
        .arg(many("tcp", "ADDR").help("Listen for TCP connections on HOST:PORT"))
        .arg(many("udp", "ADDR").help("Receive UDP datagrams on HOST:PORT"))
        .arg(many("unix", "PATH").help("Listen on a Unix stream socket; @NAME is an abstract one"))
        .arg(many("unixgram", "PATH").help("Receive on a Unix datagram socket"))
        .arg(program::workers().conflicts_with("current-thread"))
        .arg(
            Arg::new("current-thread")
                .long("current-thread")
                .action(ArgAction::SetTrue)
                .help("Run on the main thread only"),
        )
        .arg(
            Arg::new("deadline")
                .long("deadline")
                .value_name("SECONDS")
                .value_parser(program::seconds)
                .help("Close a connection when a read or a write takes longer"),
        )
        .arg(
            Arg::new("reuse-port")
                .long("reuse-port")
                .action(ArgAction::SetTrue)
                .help("Share the ports with other processes (SO_REUSEPORT)"),
        )
}

fn main() -> ExitCode {
    program::run(command(), |matches| {
        let builder = match matches.get_flag("current-thread") {
            true => Builder::new_current_thread(),
            false => Builder::new_multi_thread(),
        };
        program::with_workers(builder, matches)
            .build()?
            .block_on(serve(matches))
    })
}

/// The sockets that were asked for.
#[derive(Default)]
struct Sockets {
    listeners: Vec<Listener>,
    packets: Vec<PacketConn>,
    files: Vec<SocketFile>,
}

impl Sockets {
    async fn open(matches: &ArgMatches) -> io::Result<Self> {
        let reuse_port = matches.get_flag("reuse-port");
        let config = ListenConfig::new().control(move |info, socket| {
            // The kernel knows no sharing of Unix names.
            let is_inet = !info.network.as_str().starts_with("unix");
            if reuse_port && is_inet {
                socket.set_reuse_port(true)
            } else {
                Ok(())
            }
        });
        let mut sockets = Sockets::default();
        let asked = |network| matches.get_many::<String>(network).into_iter().flatten();
        for network in ["tcp", "udp", "unix", "unixgram"] {
            for address in asked(network) {
                sockets.add(&config, network, address).await?;
            }
        }
        if sockets.listeners.is_empty() && sockets.packets.is_empty() {
            sockets.add(&config, "tcp", DEFAULT_ADDRESS).await?;
            sockets.add(&config, "udp", DEFAULT_ADDRESS).await?;
        }
        Ok(sockets)
    }

    async fn add(&mut self, config: &ListenConfig, network: &str, address: &str) -> io::Result<()> {
        if matches!(network, "tcp" | "unix") {
            let listener = config.listen_stream(network, address).await?;
            program::announce(network, &listener.local_addr()?)?;
            self.listeners.push(listener);
        } else {
            let packet = config.listen_packet(network, address).await?;
            self.files.extend(SocketFile::of(&packet));
            program::announce(network, &packet.local_addr()?)?;
            self.packets.push(packet);
        }
        Ok(())
    }
}

/// Serves until a signal comes, then ends what is in flight.
async fn serve(matches: &ArgMatches) -> io::Result<()> {
    let stop = StopSignal::catch()?;
    let sockets = Sockets::open(matches).await?;
    let server = Arc::new(Server::new(matches.get_one("deadline").copied()));

    let mut loops = JoinSet::new();
    let listeners: Vec<_> = sockets.listeners.into_iter().map(Arc::new).collect();
    for listener in &listeners {
        loops.spawn(stream::accept_all(server.clone(), listener.clone()));
    }
    let packets: Vec<_> = sockets.packets.into_iter().map(Arc::new).collect();
    for packet in &packets {
        loops.spawn(datagram::echo_all(server.clone(), packet.clone()));
    }

    stop.wait().await;
    for listener in &listeners {
        // Awaited or not, it is closed now, and its socket file is gone.
        drop(listener.close());
    }
    server.stop(&packets);
    let finished = async {
        while loops.join_next().await.is_some() {}
        server.connections.finished().await;
    };
    // Who has not read its echo by then does not get it.
    let _ = time::timeout(SHUTDOWN_LIMIT, finished).await;
    drop(sockets.files);
    Ok(())
}
