//! What the examples have in common as programs: arguments, messages, exit status.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};
use gannet::Builder;

/// Parses the arguments and runs `main` with them. The exit status is 0, or 1 after a message.
pub(crate) fn run(command: Command, main: impl FnOnce(&ArgMatches) -> io::Result<()>) -> ExitCode {
    let name = command.get_name().to_owned();
    let matches = match command.try_get_matches() {
        Ok(matches) => matches,
        Err(err) => {
            // Help goes to standard output. If that is gone, there is nobody left to tell.
            let _ = err.print();
            return ExitCode::from(u8::from(err.use_stderr()));
        }
    };
    match main(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            complain(&name, &err);
            ExitCode::FAILURE
        }
    }
}

/// Prints `NAME: ERROR` on standard error. `eprintln!` would panic if nobody reads there.
pub(crate) fn complain(name: &str, err: &dyn Display) {
    let _ = writeln!(io::stderr(), "{name}: {err}");
}

/// Tells the user, or the program that waits for this line, that a socket is ready.
#[allow(dead_code, reason = "not every example listens")]
pub(crate) fn announce(network: &str, address: &dyn Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening {network} {address}")
        .and_then(|()| stdout.flush())
        .map_err(|err| io::Error::new(err.kind(), format!("standard output: {err}")))
}

/// The option `--workers N`, which [`with_workers`] heeds.
#[allow(dead_code, reason = "not every example has workers")]
pub(crate) fn workers() -> Arg {
    Arg::new("workers")
        .long("workers")
        .value_name("N")
        .value_parser(value_parser!(usize))
        .help("Run N worker threads instead of one for each core")
}

/// Gives a runtime as many workers as the user wants.
#[allow(dead_code, reason = "not every example has workers")]
pub(crate) fn with_workers(builder: Builder, matches: &ArgMatches) -> Builder {
    match matches.get_one("workers") {
        Some(&workers) => builder.worker_threads(workers),
        None => builder,
    }
}

/// The option `--connections N`, 10,000 by default.
#[allow(dead_code, reason = "not every example has a limit")]
pub(crate) fn connections() -> Arg {
    Arg::new("connections")
        .long("connections")
        .value_name("N")
        .value_parser(value_parser!(usize))
        .default_value("10000")
        .help("Serve at most N connections at once")
}

/// Parses a positive number of seconds, such as `5` or `0.5`.
#[allow(dead_code, reason = "not every example takes a time")]
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let duration = f64::from_str(text).ok().map(Duration::try_from_secs_f64);
    match duration {
        Some(Ok(duration)) if !duration.is_zero() => Ok(duration),
        _ => Err("must be a positive number of seconds".to_owned()),
    }
}
