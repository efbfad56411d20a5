//! An HTTP file server: what is below one folder, over plain HTTP/1.1.
//!
//! Shows `Server` (limits, draining on a signal, panics that end one connection) and `send_file`: a
//! file of any size goes from the kernel's cache to the socket, and the program holds none of it. It
//! answers GET and HEAD with ranges, keeps connections, and bounds what a client may make it hold.
//! The kernel keeps it inside its folder, whatever links are put there meanwhile (`openat2`).
//!
//! ```text
//! cargo run --release --example files -- /usr/share/doc 127.0.0.1:8080
//! curl -r 0-99 http://127.0.0.1:8080/bash/README.gz
//! ```

#[path = "../support/drain.rs"]
mod drain;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/report.rs"]
mod report;
#[path = "../support/select.rs"]
mod select;
#[path = "../support/signals.rs"]
mod signals;

mod connection;
mod folder;
mod range;
mod request;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command};
use gannet::Builder;
use gannet::net::{Accepted, Server, error, listen_stream};

use connection::Connection;
use folder::Folder;
use report::Report;
use signals::StopSignal;

fn command() -> Command {
    Command::new("files")
        .about("Serves the files below a folder over HTTP/1.1.")
        .arg(
            Arg::new("root")
                .value_name("ROOT")
                .required(true)
                .help("The folder"),
        )
        .arg(
            Arg::new("addr")
                .value_name("ADDR")
                .required(true)
                .help("HOST:PORT to listen on"),
        )
        .arg(program::connections())
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

/// Serves until a signal comes.
async fn serve(matches: &ArgMatches) -> io::Result<()> {
    let argument = |name| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let folder = Arc::new(Folder::open(Path::new(&argument("root")))?);
    let connections = matches.get_one("connections").copied().unwrap_or(1);
    let stop = StopSignal::catch()?;
    let listener = listen_stream("tcp", argument("addr")).await?;
    program::announce("tcp", &listener.local_addr()?)?;

    let report = Arc::new(Report::new("files"));
    let serving =
        Server::new()
            .connections_max(connections)
            .serve([listener], move |accepted: Accepted| {
                let (folder, report) = (folder.clone(), report.clone());
                async move {
                    let result = Connection::new(&folder, accepted).serve().await;
                    if let Err(err) = &result {
                        // Clients that go away or stall are no trouble of ours.
                        let is_theirs =
                            error::raw_os_error(err).is_some() || error::is_deadline(err);
                        if !is_theirs {
                            report.error(err);
                        }
                    }
                    result
                }
            });
    stop.wait().await;
    drain::drain(serving, &stop, matches).await;
    Ok(())
}
