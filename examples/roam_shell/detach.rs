//! Into the background: the process that was called tells the port and the key, and ends.
//!
//! ```text
//! called ──starts──▶ itself, with --detached: binds, makes the key
//!    │                  │
//!    ◀──port and key────┘ then lets go of the terminal
//!    └─ prints them, ends
//! ```
//!
//! A new process and not a fork: one that has a runtime or threads cannot be forked safely, and
//! this needs no care about what has been made before.
//!
//! The key's text is wiped here once it is told. Copies remain in the kernel's buffer of the pair until
//! they are read, and wherever standard output leads.

use std::env;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use zeroize::Zeroizing;

use crate::args::{Arguments, DETACHED};

/// Room for the line with the key, in bytes, so that its buffer does not grow and leave a copy behind.
const LINE_ROOM: usize = 128;

/// What this process has to do.
pub(crate) enum Role {
    /// Nothing more.
    Done,
    /// Serve, once it has announced where.
    Serve(Announcement),
}

/// How the caller is told where the server is.
pub(crate) enum Announcement {
    /// By this process, which stays in the foreground.
    Print,
    /// By the process that was called, which waits for it on standard input.
    Pass {
        /// Standard error is kept for reports.
        verbose: bool,
    },
}

/// Finds out what this process is, and goes into the background unless asked to stay.
///
/// # Errors
/// If the process in the background cannot be started, or ends before it serves; it has told why.
pub(crate) fn detach(arguments: &Arguments) -> io::Result<Role> {
    if arguments.detached {
        // Out of the session of the one who called: its end is not to end this.
        setsid()?;
        let verbose = arguments.verbose;
        return Ok(Role::Serve(Announcement::Pass { verbose }));
    }
    if arguments.foreground {
        return Ok(Role::Serve(Announcement::Print));
    }
    let (mut announced, announcer) = UnixStream::pair()?;
    let server = start(announcer)?;
    let mut announcement = Zeroizing::new(String::with_capacity(LINE_ROOM));
    announced.read_to_string(&mut announcement)?;
    if announcement.is_empty() {
        return Err(io::Error::other("the server ended before it served"));
    }
    print(&announcement)?;
    let mut errors = io::stderr().lock();
    write!(
        errors,
        "\nroam_shell ({} {})\n\n[roam_shell detached, pid = {}]\n",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        server.id()
    )?;
    Ok(Role::Done)
}

/// Starts this program again, to serve. It has the only copy of `announcer`.
fn start(announcer: UnixStream) -> io::Result<Child> {
    let mut server = Command::new(env::current_exe()?);
    server.arg(format!("--{DETACHED}"));
    server.args(env::args_os().skip(1));
    server.stdin(OwnedFd::from(announcer));
    server.spawn()
}

impl Announcement {
    /// Tells the port and the key, and lets go of the caller's standard streams.
    ///
    /// # Errors
    /// Those of writing. The caller is then gone.
    pub(crate) fn tell(self, port: u16, key: &str) -> io::Result<()> {
        let mut line = Zeroizing::new(String::with_capacity(LINE_ROOM));
        writeln!(line, "MOSH CONNECT {port} {key}").map_err(io::Error::other)?;
        let Announcement::Pass { verbose } = self else {
            return print(&line);
        };
        let announced = io::stdin().as_fd().try_clone_to_owned()?;
        UnixStream::from(announced).write_all(line.as_bytes())?;
        let null = File::options().read(true).write(true).open("/dev/null")?;
        // The streams of ssh stay open until nobody has them, and so would its session.
        if !verbose {
            dup2_stdout(&null)?;
            dup2_stderr(&null)?;
        }
        // The last: its end is what the one who was called waits for.
        dup2_stdin(&null)?;
        Ok(())
    }
}

fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    if io::stdin().is_terminal() {
        // The prompt of ssh may stand at the beginning of this one.
        stdout.write_all(b"\n")?;
    }
    stdout.write_all(line.as_bytes())?;
    stdout.flush()
}
