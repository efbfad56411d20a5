//! A TCP relay: what comes to one address goes to another, and back.
//!
//! The bytes stay in the kernel: `copy_bidirectional` splices both directions in one task. It keeps
//! back-pressure (no more is read than can be passed on, but for a pipe) and half-close: the end of
//! one direction is passed on while the other goes on. A connection that is reset ends its counterpart
//! at once. `Server` keeps the limit and the count of connections. On SIGTERM or Ctrl-C no more are
//! accepted, and those that are open have some time to end (`--drain`); a second signal ends them at once.
//!
//! ```text
//! cargo run --release --example proxy -- 127.0.0.1:7009 127.0.0.1:7007
//! ```

#[path = "support/drain.rs"]
mod drain;
#[path = "support/program.rs"]
mod program;
#[path = "support/report.rs"]
mod report;
#[path = "support/select.rs"]
mod select;
#[path = "support/signals.rs"]
mod signals;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};
use gannet::Builder;
use gannet::net::{
    Accepted, Conn, Server, ServerStats, copy_bidirectional, dial, error, listen_stream,
};

use drain::Ended;
use report::Report;
use signals::StopSignal;

fn command() -> Command {
    Command::new("proxy")
        .about("Relays TCP connections to another address.")
        .arg(
            Arg::new("listen")
                .value_name("LISTEN")
                .required(true)
                .help("HOST:PORT to listen on"),
        )
        .arg(
            Arg::new("upstream")
                .value_name("UPSTREAM")
                .required(true)
                .help("HOST:PORT to connect to"),
        )
        .arg(program::connections())
        .arg(program::workers())
        .arg(drain::option())
        .arg(
            Arg::new("stats")
                .long("stats")
                .action(ArgAction::SetTrue)
                .help("Tell on a signal what was done, and how it ended"),
        )
}

fn main() -> ExitCode {
    program::run(command(), |matches| {
        program::with_workers(Builder::new_multi_thread(), matches)
            .build()?
            .block_on(serve(matches))
    })
}

/// Relays until a signal comes.
async fn serve(matches: &ArgMatches) -> io::Result<()> {
    let argument = |name| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let upstream = argument("upstream");
    gannet::net::split_host_port(&upstream)?;
    let stop = StopSignal::catch()?;
    let listener = listen_stream("tcp", argument("listen")).await?;
    program::announce("tcp", &listener.local_addr()?)?;

    let proxy = Arc::new(Proxy {
        upstream,
        report: Report::new("proxy"),
    });
    let serving = Server::new()
        .connections_max(matches.get_one("connections").copied().unwrap_or(1))
        .serve([listener], move |accepted: Accepted| {
            relay(proxy.clone(), accepted.conn)
        });
    stop.wait().await;
    let stats = serving.stats();
    let ended = drain::drain(serving, &stop, matches).await;
    if matches.get_flag("stats") {
        tell(&stats, &ended);
    }
    Ok(())
}

fn tell(stats: &ServerStats, ended: &Ended) {
    let ended = match ended {
        Ended::InTime(cut_off) => format!("{cut_off} cut off"),
        Ended::Hurried => "the rest hurried".to_owned(),
    };
    // Nobody may be left to read it.
    let _ = writeln!(
        io::stdout(),
        "accepted {}, completed {}, failed {}, active {}: {ended}",
        stats.accepted,
        stats.completed,
        stats.failed,
        stats.active,
    );
}

/// What all connections share.
struct Proxy {
    upstream: String,
    report: Report,
}

/// Relays one connection until both directions have ended, or one has failed.
async fn relay(proxy: Arc<Proxy>, client: Conn) -> io::Result<()> {
    let server = match dial("tcp", &proxy.upstream).await {
        Ok(server) => server,
        Err(err) => {
            proxy.report.error(&err);
            return Err(err);
        }
    };
    let relayed = copy_bidirectional(&client, &server).await;
    if let Err(err) = &relayed {
        // One with a number is a reset, or the like: passed on by closing the other side.
        if error::raw_os_error(err).is_none() {
            proxy.report.error(err);
        }
    }
    relayed.map(drop)
}
