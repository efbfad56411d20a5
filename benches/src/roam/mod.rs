//! The benches of sessions: what idle ones cost, what forgeries do to an honest one, and how fast
//! datagrams are sealed.
//!
//! `roam SUBJECT` is one measurement, and prints a report. Where both ends are of interest each has a
//! process of its own: `roam-idle` and `roam-forged` start this program once more for the clients.

mod forged;
mod idle;
mod openssl;
mod seal;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use gannet::roam::{Blob, Client, Server, Session};
use gannet::{Builder, Runtime};

use crate::args::Args;
use crate::report::Report;

/// A session of values, either end.
type Values = Session<Blob, Blob>;

/// How long another process may take to answer.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs `roam SUBJECT ...` and prints the report.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let args = Args::parse(words, &[], &["--seconds", "--connections"])?;
    let seconds = args.seconds("--seconds", 3.0)?;
    let sessions = args.count("--connections", 5_000, 1..=9_000)?;
    let report = match args.only("SUBJECT")? {
        "roam-idle" => idle::measure(sessions, seconds)?,
        "roam-idle-clients" => return idle::clients().map_err(|err| err.to_string()),
        "roam-forged" => forged::measure(seconds)?,
        "roam-forged-clients" => return forged::clients(seconds).map_err(|err| err.to_string()),
        "roam-seal" => seal::measure(seconds)?,
        other => return Err(format!("unknown subject {other}")),
    };
    print!("{report}");
    Ok(())
}

/// A runtime whose tasks run while this thread does something else.
fn runtime() -> Result<Runtime, String> {
    let builder = Builder::new_multi_thread().worker_threads(1);
    builder.build().map_err(|err| err.to_string())
}

/// A server's end, and the line that tells a client of it.
async fn server() -> io::Result<(Values, String)> {
    let address = [127, 0, 0, 1].into();
    let bound = Server::new().address(address).ports(0..=0).bind().await?;
    let line = format!("{} {}", bound.local_addr(), *bound.key().to_text());
    Ok((bound.session(Blob::new(), Blob::new()), line))
}

/// The client's end of the server that a line tells of.
fn client(line: &str) -> io::Result<Values> {
    let wrong = || io::Error::other(format!("no address and key: {line}"));
    let (addr, key) = line.trim().split_once(' ').ok_or_else(wrong)?;
    let addr: SocketAddr = addr.parse().map_err(|_| wrong())?;
    let client = Client::new(key.parse().map_err(|_| wrong())?, addr);
    client.session(Blob::new(), Blob::new())
}

/// Reads a line of the process that started this one; empty at its end.
fn line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Makes a report of figures with their names.
fn reported(figures: &[(&str, f64)]) -> Report {
    let mut report = Report::new();
    for (name, value) in figures {
        report.add(name, *value);
    }
    report
}
