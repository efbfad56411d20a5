//! The key, out of the environment.
//!
//! A variable that a process removes is still in `/proc/PID/environ`, where it was at the start. So
//! this program puts the key into a pipe and starts itself anew without the variable.
//!
//! The buffers of this program are wiped. What nobody can wipe from here is the environment in which
//! the first start found the key, which goes with its memory when the second one replaces it, and the
//! kernel's page of the pipe.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use zeroize::Zeroizing;

/// The variable that the `mosh` script sets.
const VARIABLE: &str = "MOSH_KEY";

/// The most that is read of a key's text, in bytes: a key has 22, and a longer text is none.
const TEXT_MAX: usize = 64;

/// The hidden option that names the pipe.
pub(crate) const KEY_PIPE: &str = "key-pipe";

/// Returns the key's text. Does not return, but starts this program anew, if the key stands in the
/// environment; `pipe` is the option [`KEY_PIPE`] of the new one.
///
/// # Errors
/// If there is no key, or as `pipe(2)` and `execve(2)`.
pub(crate) fn take_key(pipe: Option<&u32>) -> io::Result<Zeroizing<String>> {
    if let Some(pipe) = pipe {
        // Long enough not to grow, which would leave a copy behind.
        let mut text = Zeroizing::new(String::with_capacity(2 * TEXT_MAX));
        let pipe = File::open(format!("/proc/self/fd/{pipe}"))?;
        pipe.take(TEXT_MAX as u64).read_to_string(&mut text)?;
        return Ok(text);
    }
    let key = env::var(VARIABLE).map(Zeroizing::new).map_err(|_| {
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
