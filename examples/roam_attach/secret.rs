//! The key, out of the environment.
//!
//! A variable that a process removes is still in `/proc/PID/environ`, where it was at the start. So
//! this program puts the key into a pipe and starts itself anew without the variable.

use std::env;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};

/// The variable that the `mosh` script sets.
const VARIABLE: &str = "MOSH_KEY";

/// The hidden option that names the pipe.
pub(crate) const KEY_PIPE: &str = "key-pipe";

/// Returns the key's text. Does not return, but starts this program anew, if the key stands in the
/// environment; `pipe` is the option [`KEY_PIPE`] of the new one.
///
/// # Errors
/// If there is no key, or as `pipe(2)` and `execve(2)`.
pub(crate) fn take_key(pipe: Option<&u32>) -> io::Result<String> {
    if let Some(pipe) = pipe {
        return fs::read_to_string(format!("/proc/self/fd/{pipe}"));
    }
    let key = env::var(VARIABLE).map_err(|_| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("{VARIABLE} environment variable not found."),
        )
    })?;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // As much as any key fits; a longer text is no key, and is cut.
    rustix::io::write(&writer, key.as_bytes())?;
    fcntl_setfd(&reader, FdFlags::empty())?;
    let mut again = Command::new(env::current_exe()?);
    again.arg(format!("--{KEY_PIPE}={}", reader.as_raw_fd()));
    again.args(env::args_os().skip(1));
    Err(again.env_remove(VARIABLE).exec())
}
