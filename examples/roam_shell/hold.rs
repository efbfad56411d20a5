//! The process that will be the command, until it may be.
//!
//! The command is to have its terminal from the start, and to run only once somebody looks at it.
//! So this program is started in its place, makes the terminal its own, waits there for one line,
//! and turns into the command.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{ioctl_tiocsctty, setsid};

use crate::program;

/// Asks this program to hold: followed by the command's argv[0], its file and its arguments.
pub(crate) const HOLD: &str = "--hold";

/// What a shell returns if a command cannot be started.
const NOT_STARTED: u8 = 127;

/// If this process is to hold a command, does so, and returns only if that failed.
pub(crate) fn hold_if_asked() -> Option<ExitCode> {
    let mut args = env::args_os().skip(1);
    if args.next()? != HOLD {
        return None;
    }
    let (Some(name), Some(file)) = (args.next(), args.next()) else {
        return Some(ExitCode::from(NOT_STARTED));
    };
    match wait_and_become(name, &file, args) {
        // Nobody came.
        Ok(()) => Some(ExitCode::FAILURE),
        Err(err) => {
            let shown = file.to_string_lossy();
            program::complain("roam_shell", &format_args!("{shown}: {err}"));
            Some(ExitCode::from(NOT_STARTED))
        }
    }
}

fn wait_and_become(
    name: OsString,
    file: &OsString,
    args: impl Iterator<Item = OsString>,
) -> io::Result<()> {
    let terminal = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    setsid()?;
    ioctl_tiocsctty(&terminal)?;
    if !wait_for_line(&terminal)? {
        return Ok(());
    }
    drop(terminal);
    Err(Command::new(file).arg0(name).args(args).exec())
}

/// Reads to the end of the first line, and no further: what follows is for the command.
fn wait_for_line(mut terminal: &File) -> io::Result<bool> {
    let mut byte = [0];
    loop {
        match terminal.read(&mut byte) {
            Ok(0) => return Ok(false),
            Ok(_) if byte == *b"\n" => return Ok(true),
            Ok(_) => {}
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}
