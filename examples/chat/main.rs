//! A chat over TCP and Unix sockets; nc is a client.
//!
//! Shows one room that many tasks share, `Server` over listeners of two families at once, and what a
//! server owes those who behave: a member who does not read, says nothing, or says too much, costs the
//! others nothing. Everybody has a queue of bounded length, and who lets it overflow is closed by
//! whoever speaks, while his own task waits in a write. On SIGTERM or Ctrl-C everybody gets what was
//! said, and a word of farewell; a second signal ends at once.
//!
//! ```text
//! cargo run --release --example chat -- 127.0.0.1:7010 unix:/tmp/chat
//! nc 127.0.0.1 7010
//! nc -U /tmp/chat
//! ```

#[path = "../support/drain.rs"]
mod drain;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/select.rs"]
mod select;
#[path = "../support/signals.rs"]
mod signals;

mod line;
mod member;
mod outbox;
mod room;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use gannet::Builder;
use gannet::net::{Accepted, Listener, Server, listen_stream};

use member::Manners;
use room::Room;
use signals::StopSignal;

const DEFAULT_ADDRESS: &str = "127.0.0.1:7010";

fn command() -> Command {
    Command::new("chat")
        .about("Passes lines between all who are connected.")
        .after_help("In the chat, /help lists what there is.")
        .arg(
            Arg::new("addr")
                .value_name("ADDR")
                .action(ArgAction::Append)
                .default_value(DEFAULT_ADDRESS)
                .help("HOST:PORT, or a Unix socket: unix:NAME, or a path with a slash"),
        )
        .arg(
            Arg::new("members")
                .long("members")
                .value_name("N")
                .value_parser(value_parser!(usize))
                .default_value("1000")
                .help("Let in at most N at once"),
        )
        .arg(
            Arg::new("idle")
                .long("idle")
                .value_name("SECONDS")
                .value_parser(program::seconds)
                .default_value("3600")
                .help("Part with who says nothing for so long"),
        )
        .arg(
            Arg::new("rate")
                .long("rate")
                .value_name("LINES")
                .value_parser(value_parser!(u32).range(1..=1_000_000_000))
                .default_value("10")
                .help("Slow down who says more lines a second than that"),
        )
        .arg(program::workers())
        .arg(drain::option())
}

fn main() -> ExitCode {
    program::run(command(), |matches| {
        program::with_workers(Builder::new_multi_thread(), matches)
            .build()?
            .block_on(serve(matches))
    })
}

/// How many may be told at once that there is no place, beyond those who have one.
const REFUSALS_MAX: usize = 64;

/// Serves until a signal comes.
async fn serve(matches: &ArgMatches) -> io::Result<()> {
    let stop = StopSignal::catch()?;
    let mut listeners = Vec::new();
    for address in matches.get_many::<String>("addr").into_iter().flatten() {
        listeners.push(listen(address).await?);
    }
    let members_max = matches.get_one("members").copied().unwrap_or(1);
    let hour = Duration::from_secs(3600);
    let idle = matches.get_one("idle").copied().unwrap_or(hour);
    let rate: u32 = matches.get_one("rate").copied().unwrap_or(1);
    let manners = Manners::new(idle, rate);

    let room = Arc::new(Room::new(members_max));
    let shared = room.clone();
    let serving = Server::new()
        .connections_max(members_max.saturating_add(REFUSALS_MAX))
        .serve(listeners, move |accepted: Accepted| {
            member::attend(shared.clone(), accepted, manners)
        });
    stop.wait().await;
    room.close();
    drain::drain(serving, &stop, matches).await;
    Ok(())
}

async fn listen(address: &str) -> io::Result<Listener> {
    let (network, address) = match address.strip_prefix("unix:") {
        Some(name) => ("unix", name),
        None if address.contains('/') => ("unix", address),
        None => ("tcp", address),
    };
    let listener = listen_stream(network, address).await?;
    program::announce(network, &listener.local_addr()?)?;
    Ok(listener)
}
