//! Hands open files over to another process.
//!
//! Shows packets on a Unix connection, descriptors in messages, and whose they are.
//!
//! ```text
//! cargo run --release --example fdpass -- receive /tmp/files.sock
//! cargo run --release --example fdpass -- send /tmp/files.sock Cargo.toml
//! ```

#[path = "../support/program.rs"]
mod program;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use gannet::{Builder, net, spawn_blocking};
use net::{UnixSendMsg, UnixSeqpacket};

fn command() -> Command {
    let path = Arg::new("PATH").required(true).help("Name of the socket");
    let file = Arg::new("FILE")
        .required(true)
        .help("File to open and hand over");
    Command::new("fdpass")
        .about("Hands an open file over to another process.")
        .subcommand_required(true)
        .subcommand(
            Command::new("receive")
                .about("Waits for a file, and prints it")
                .arg(path.clone()),
        )
        .subcommand(
            Command::new("send")
                .about("Hands a file over")
                .arg(path)
                .arg(file),
        )
}

fn main() -> ExitCode {
    program::run(command(), |matches| {
        let runtime = Builder::new_current_thread().build()?;
        runtime.block_on(async {
            match matches.subcommand() {
                Some(("send", matches)) => send(matches).await,
                Some((_, matches)) => receive(matches).await,
                None => Ok(()),
            }
        })
    })
}

fn argument<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    let text: &String = matches.get_one(name).expect("clap requires it");
    text
}

async fn send(matches: &ArgMatches) -> io::Result<()> {
    let name = argument(matches, "FILE");
    let file = File::open(name)?;
    let peer = UnixSeqpacket::connect(argument(matches, "PATH")).await?;
    let msg = UnixSendMsg {
        fds: &[file.as_fd()],
        ..UnixSendMsg::new(name.as_bytes())
    };
    peer.send_msg(&msg).await?;
    Ok(())
}

async fn receive(matches: &ArgMatches) -> io::Result<()> {
    let listener = net::listen_stream("unixpacket", argument(matches, "PATH")).await?;
    writeln!(io::stderr(), "listening on {}", listener.local_addr()?)?;
    let (peer, _) = listener.accept().await?;
    let peer = UnixSeqpacket::try_from(peer)?;
    let sender = peer.peer_credentials()?;
    let mut name = [0; 4096];
    let mut msg = peer.recv_msg(&mut name).await?;
    let fd = msg.fds.pop().ok_or(io::ErrorKind::UnexpectedEof)?;
    let name = String::from_utf8_lossy(&name[..msg.len]);
    writeln!(
        io::stderr(),
        "{name} from process {} of user {}",
        sender.pid,
        sender.uid
    )?;
    // A file blocks: it is read on a thread that may.
    let text = spawn_blocking(move || {
        let mut text = Vec::new();
        File::from(fd).read_to_end(&mut text).map(|_| text)
    });
    io::stdout().write_all(&text.await??)
}
