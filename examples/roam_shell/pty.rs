//! The command's terminal, seen from the other side.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use gannet::AsyncFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{InputModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::command::Program;
use crate::hold::HOLD;
use crate::screen::Size;

/// What lets the command run, if it is the first that is written.
pub(crate) const RELEASE: &[u8] = b"\n";

/// What the terminal shows of it, before anything else.
const RELEASE_ECHO: &[u8] = b"\r\n";

/// A command that has its terminal and does not run yet.
///
/// It is started before this process has a runtime and threads.
pub(crate) struct Held {
    master: OwnedFd,
    child: Child,
}

impl Held {
    /// Starts `holder`, which is this program, in place of the command.
    ///
    /// # Errors
    /// Those of `posix_openpt(3)` and of starting a process. A command that cannot be started tells
    /// so on its terminal, once it is released.
    pub(crate) fn start(holder: &Path, program: &Program) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let slave = ioctl_tiocgptpeer(&master, flags)?;
        set_size(&slave, Size::default())?;
        let mut modes = tcgetattr(&slave)?;
        // Erasing a character erases all of its bytes.
        modes.input_modes.insert(InputModes::IUTF8);
        tcsetattr(&slave, OptionalActions::Now, &modes)?;

        let mut command = Command::new(holder);
        command.arg(HOLD).arg(&program.name).arg(&program.file);
        command.args(&program.args);
        command.envs(program.set.iter().map(|(name, value)| (name, value)));
        for name in &program.remove {
            command.env_remove(name);
        }
        if let Some(folder) = &program.folder {
            command.current_dir(folder);
        }
        command.stdin(slave.try_clone()?);
        command.stdout(slave.try_clone()?);
        command.stderr(slave);
        let child = command.spawn()?;
        Ok(Held { master, child })
    }

    /// Gives the terminal to the runtime of this thread.
    ///
    /// # Errors
    /// Those of [`AsyncFd::new`] and `pidfd_open(2)`.
    pub(crate) fn adopt(self) -> io::Result<Pty> {
        let ended = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?;
        Ok(Pty {
            control: self.master.try_clone()?,
            master: AsyncFd::new(self.master)?,
            ended: AsyncFd::new(ended)?,
            child: Mutex::new(self.child),
            hidden: AtomicUsize::new(RELEASE_ECHO.len()),
        })
    }
}

/// A terminal with a command in it. The command is hung up when this is dropped.
pub(crate) struct Pty {
    master: AsyncFd,
    /// The same, for calls that never wait, also while a write does.
    control: OwnedFd,
    ended: AsyncFd,
    child: Mutex<Child>,
    /// Octets of output that are left out: the echo of the release. It stays on meanwhile, or the first
    /// keys of a fast typist would not be echoed.
    hidden: AtomicUsize,
}

impl Pty {
    /// Waits for output of the command, and returns its length; 0 once nobody has the terminal open.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub(crate) async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self
                .master
                .read_with(|fd| Ok(rustix::io::read(fd, &mut *buf)?));
            let len = match read.await {
                Ok(len) => len,
                // The end of a terminal, where other files return 0.
                Err(err) if err.raw_os_error() == Some(Errno::IO.raw_os_error()) => return Ok(0),
                Err(err) => return Err(err),
            };
            let hidden = self.hidden.load(Ordering::Relaxed).min(len);
            self.hidden.fetch_sub(hidden, Ordering::Relaxed);
            buf.copy_within(hidden..len, 0);
            if len == 0 || len > hidden {
                return Ok(len - hidden);
            }
        }
    }

    /// Writes what the user typed, as much as there is room for; returns how much that was.
    ///
    /// Waits until there is room for some. A command that does not read leaves none.
    ///
    /// # Cancel safety
    /// Dropping the future writes nothing, or it had completed.
    ///
    /// # Errors
    /// `EIO` once nobody has the terminal open.
    pub(crate) async fn write(&self, keys: &[u8]) -> io::Result<usize> {
        let write = self
            .master
            .write_with(|fd| Ok(rustix::io::write(fd, keys)?));
        write.await
    }

    /// Tells the command, by SIGWINCH, that its terminal has another size.
    ///
    /// # Errors
    /// Those of `ioctl(2)`.
    pub(crate) fn resize(&self, size: Size) -> io::Result<()> {
        set_size(&self.control, size)
    }

    /// Waits until the command has ended, and takes its status. Others may still have the terminal.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of `waitpid(2)`.
    pub(crate) async fn ended(&self) -> io::Result<ExitStatus> {
        let try_wait = || {
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            child.try_wait()?.ok_or(io::ErrorKind::WouldBlock.into())
        };
        self.ended.read_with(|_| try_wait()).await
    }
}

fn set_size(fd: impl AsFd, size: Size) -> io::Result<()> {
    let size = Winsize {
        ws_row: size.rows.get(),
        ws_col: size.columns.get(),
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(fd, size).map_err(io::Error::from)
}

#[cfg(test)]
#[path = "pty/tests.rs"]
pub(crate) mod tests;
