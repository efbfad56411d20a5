//! The end of a server: gentle, unless the user is in a hurry.

use std::time::Duration;

use clap::{Arg, ArgMatches};
use gannet::net::Serving;

use crate::program;
use crate::select::{First, first};
use crate::signals::StopSignal;

/// How the connections of a server have ended.
#[allow(dead_code, reason = "not every example tells how many")]
pub(crate) enum Ended {
    /// By themselves, but for so many that took longer than they may.
    InTime(u64),
    /// At once, by another signal.
    Hurried,
}

/// The option `--drain SECONDS`, five by default.
pub(crate) fn option() -> Arg {
    Arg::new("drain")
        .long("drain")
        .value_name("SECONDS")
        .value_parser(program::seconds)
        .default_value("5")
        .help("Give connections so long to end after a signal; a second one ends them")
}

/// Lets the connections end for as long as `--drain` says, and cuts off those that are left then, or
/// when another signal comes.
pub(crate) async fn drain(serving: Serving, stop: &StopSignal, matches: &ArgMatches) -> Ended {
    let limit = matches.get_one("drain").copied();
    let draining = serving.drain(limit.unwrap_or(Duration::ZERO));
    // A drain that is dropped cuts everybody off.
    match first(draining, stop.wait()).await {
        First::Left(cut_off) => Ended::InTime(cut_off),
        First::Right(()) => Ended::Hurried,
    }
}
