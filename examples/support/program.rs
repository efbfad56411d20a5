//! What the examples have in common as programs: arguments, messages, exit status.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgMatches, Command};

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

/// Parses a positive number of seconds, such as `5` or `0.5`.
#[allow(dead_code, reason = "not every example takes a time")]
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let duration = f64::from_str(text).ok().map(Duration::try_from_secs_f64);
    match duration {
        Some(Ok(duration)) if !duration.is_zero() => Ok(duration),
        _ => Err("must be a positive number of seconds".to_owned()),
    }
}
