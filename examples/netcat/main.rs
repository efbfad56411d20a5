//! Standard input to a socket, and the socket to standard output.
//!
//! Shows both roles over TCP, UDP and Unix sockets, half-close, descriptors that are not sockets
//! (`AsyncFd` for pipes and terminals) and files, which cannot be polled, on blocking threads.
//!
//! ```text
//! cargo run --release --example netcat -- -l 127.0.0.1 7008 >copy
//! cargo run --release --example netcat -- 127.0.0.1 7008 <file
//! ```

#[path = "../support/program.rs"]
mod program;
#[path = "../support/select.rs"]
mod select;
#[path = "../support/signals.rs"]
mod signals;

mod endpoint;
mod standard;

use std::cell::Cell;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, ArgMatches, Command};
use gannet::{Builder, time};

use endpoint::{Endpoint, Target};
use select::{First, both, first};
use signals::StopSignal;
use standard::{Input, Output};

fn command() -> Command {
    let flag = |name: &'static str| {
        Arg::new(name)
            .short(name.chars().next())
            .action(ArgAction::SetTrue)
    };
    Command::new("netcat")
        .about("Connects standard input and output to a socket.")
        .override_usage(concat!(
            "netcat [-l] [-u] [-w SECONDS] HOST PORT\n",
            "       netcat [-l] [-u] [-w SECONDS] -U PATH"
        ))
        .after_help(concat!(
            "Ends when standard input and the peer have both ended. ",
            "Datagrams (-u) have no end: use -w or Ctrl-C."
        ))
        .arg(flag("l").help("Wait for one peer instead of connecting to one"))
        .arg(flag("u").help("Send and receive datagrams"))
        .arg(flag("U").help("Use a Unix socket"))
        .arg(
            Arg::new("w")
                .short('w')
                .value_name("SECONDS")
                .value_parser(program::seconds)
                .help("Give up if connecting takes longer; end when nothing moves for so long"),
        )
        .arg(
            Arg::new("target")
                .value_names(["HOST", "PORT"])
                .num_args(1..=2)
                .required(true)
                .help("HOST and PORT, or PATH with -U"),
        )
}

fn main() -> ExitCode {
    program::run(command(), |matches| {
        let target = target(matches)?;
        let limit = matches.get_one::<Duration>("w").copied();
        let runtime = Builder::new_current_thread().build()?;
        runtime.block_on(async {
            let stop = StopSignal::catch()?;
            match first(stop.wait(), run(&target, matches.get_flag("l"), limit)).await {
                First::Left(()) => Ok(()),
                First::Right(result) => result,
            }
        })
    })
}

/// What the arguments name.
fn target(matches: &ArgMatches) -> io::Result<Target> {
    let values: Vec<&String> = matches.get_many("target").into_iter().flatten().collect();
    let datagrams = matches.get_flag("u");
    match (matches.get_flag("U"), values.as_slice()) {
        (false, [host, port]) => Ok(Target::inet(datagrams, host, port)),
        (true, [path]) => Ok(Target::unix(datagrams, path)),
        (false, _) => Err(invalid(format!("{}: HOST and PORT are needed", values[0]))),
        (true, _) => Err(invalid(format!(
            "{} {}: -U takes one PATH",
            values[0], values[1]
        ))),
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Connects or waits for a peer, and moves bytes until both directions have ended.
async fn run(target: &Target, listen: bool, limit: Option<Duration>) -> io::Result<()> {
    let endpoint = match listen {
        true => Endpoint::listen(target).await?,
        false => Endpoint::dial(target, limit).await?,
    };
    // After connecting: until then the terminal is left alone.
    let (input, output) = (Input::open()?, Output::open()?);
    let moved = Cell::new(time::now());
    let transfer = both(
        send(&endpoint, input, &moved),
        receive(&endpoint, output, &moved),
    );
    match limit {
        None => transfer.await,
        Some(limit) => match first(transfer, idle(&moved, limit)).await {
            First::Left(result) => result,
            First::Right(()) => Ok(()),
        },
    }
}

/// Standard input to the peer, and then the end of the stream.
async fn send(endpoint: &Endpoint, mut input: Input, moved: &Cell<Instant>) -> io::Result<()> {
    let mut buf = vec![0; endpoint.block_len(input.block_len())];
    loop {
        let len = input
            .read(&mut buf)
            .await
            .map_err(|err| named("standard input", &err))?;
        if len == 0 {
            return endpoint.finish();
        }
        endpoint.send(&buf[..len]).await?;
        moved.set(time::now());
    }
}

/// The peer's bytes to standard output, until the peer has ended its stream.
async fn receive(endpoint: &Endpoint, mut output: Output, moved: &Cell<Instant>) -> io::Result<()> {
    let mut buf = vec![0; standard::PIPE_LEN];
    while let Some(len) = endpoint.receive(&mut buf).await? {
        output
            .write_all(&buf[..len])
            .await
            .map_err(|err| named("standard output", &err))?;
        moved.set(time::now());
    }
    output
        .finish()
        .await
        .map_err(|err| named("standard output", &err))
}

fn named(what: &str, err: &io::Error) -> io::Error {
    io::Error::new(err.kind(), format!("{what}: {err}"))
}

/// Waits until nothing has moved for so long.
async fn idle(moved: &Cell<Instant>, limit: Duration) {
    while let Some(end) = moved
        .get()
        .checked_add(limit)
        .filter(|end| *end > time::now())
    {
        time::sleep_until(end).await;
    }
    if moved.get().checked_add(limit).is_none() {
        // Longer than the clock can tell: never.
        std::future::pending().await
    }
}
