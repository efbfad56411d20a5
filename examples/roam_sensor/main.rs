//! Devices that report a reading each, wherever they are, and a collector of a thousand of them: the
//! roaming transport without a terminal.
//!
//! The collector gives each device a port and a key, and writes them, a line each, to standard output
//! or a file. Devices take such lines; each keeps its newest reading in step with the collector, and
//! sends nothing but a heartbeat while it does not change. A key is good for one session: the list is
//! removed when it is read. With `--roam` they move to a fresh port now
//! and then, as a phone does that changes its network.
//!
//! A thousand devices in one process need two thousand descriptors (`ulimit -n`).
//!
//! ```text
//! cargo run --release --example roam_sensor -- collect --devices 1000 --list /tmp/devices
//! cargo run --release --example roam_sensor -- report /tmp/devices --every 5 --roam 20
//! ```

#[path = "../support/program.rs"]
mod program;
#[path = "../support/select.rs"]
mod select;
#[path = "../support/signals.rs"]
mod signals;

mod collector;
mod device;
mod reading;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, Command, value_parser};
use gannet::Builder;

fn command() -> Command {
    let seconds = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("SECONDS")
            .value_parser(program::seconds)
            .help(help)
    };
    let collect = Command::new("collect")
        .about("Collects the readings of devices, and says once a second what came.")
        .arg(
            Arg::new("devices")
                .long("devices")
                .value_name("N")
                .value_parser(value_parser!(u16).range(1..))
                .default_value("1000")
                .help("How many"),
        )
        .arg(
            Arg::new("address")
                .long("address")
                .value_name("IP")
                .value_parser(value_parser!(IpAddr))
                .default_value("127.0.0.1")
                .help("Where the devices find it"),
        )
        .arg(
            Arg::new("list")
                .long("list")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Write `NAME ADDRESS KEY` of each device there [default: standard output]"),
        )
        .arg(seconds("for", "End after this time [default: on a signal]"));
    let report = Command::new("report")
        .about("Runs the devices of a list, each with a reading of its own, and removes the list.")
        .arg(
            Arg::new("list")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(seconds("every", "How often a reading changes").default_value("1"))
        .arg(seconds("roam", "How often a device moves to a fresh port"))
        .arg(seconds("for", "End after this time [default: on a signal]"));
    Command::new("roam_sensor")
        .about("Readings of devices that roam.")
        .subcommand_required(true)
        .subcommand(collect)
        .subcommand(report)
}

fn main() -> ExitCode {
    program::run(command(), |matches| {
        let runtime = Builder::new_multi_thread().build()?;
        runtime.block_on(async {
            match matches.subcommand() {
                Some(("collect", matches)) => collector::collect(matches).await,
                Some((_, matches)) => device::report(matches).await,
                None => Ok(()),
            }
        })
    })
}

/// Waits for the end: a signal, or the time that was given.
async fn ended(stop: &signals::StopSignal, limit: Option<Duration>) {
    match limit {
        None => stop.wait().await,
        Some(limit) => {
            let _ = gannet::time::timeout(limit, stop.wait()).await;
        }
    }
}
