//! The user's terminal: raw, on its other screen, and given back as it was.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic;
use std::sync::Arc;

use gannet::AsyncFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::screen::{Screen, Size};
use crate::select::{First, first};

/// To the other screen, which is left blank: what `shown` begins with.
const ENTER: &str = "\x1b[?1049h";
const BLANK: &str = "\x1b[r\x1b[0m\x1b[?25h\x1b[H\x1b[2J";

/// Ends whatever sequence was cut off, and takes back every mode that a screen may have set:
/// attributes, cursor, keys, paste, mouse, region.
const LEAVE: &str = concat!(
    "\x18\x1b[0m\x1b[?25h\x1b[0 q\x1b[?1l\x1b>\x1b[?2004l",
    "\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[r",
);
const LEAVE_SCREEN: &str = "\x1b[?1049l";

/// A terminal that shows frames. Restored when dropped, and before the message of a panic.
pub(crate) struct Terminal {
    input: AsyncFd,
    output: AsyncFd,
    restore: Arc<Restore>,
    /// What it shows once `unwritten` is written.
    shown: Screen,
    unwritten: Vec<u8>,
}

impl Terminal {
    /// Takes over standard input and output. `other_screen` says whether to keep what is on it.
    ///
    /// # Errors
    /// `ENOTTY` if one of them is no terminal; those of opening it again.
    pub(crate) fn open(other_screen: bool) -> io::Result<Self> {
        let terminal = Self::on(io::stdin().as_fd(), io::stdout().as_fd(), other_screen)?;
        let restore = terminal.restore.clone();
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore.restore();
            hook(info);
        }));
        Ok(terminal)
    }

    fn on(input: BorrowedFd<'_>, output: BorrowedFd<'_>, other_screen: bool) -> io::Result<Self> {
        let restore = Restore {
            modes: tcgetattr(input)?,
            input: input.try_clone_to_owned()?,
            output: output.try_clone_to_owned()?,
            other_screen,
        };
        let size = window_size(output)?;
        // Opened again, because reading must not block and the shell has the same description.
        let reopened = (again(input)?, again(output)?);
        let (input, output) = (AsyncFd::new(reopened.0)?, AsyncFd::new(reopened.1)?);
        let mut raw = restore.modes.clone();
        raw.make_raw();
        tcsetattr(&restore.input, OptionalActions::Now, &raw)?;
        let enter = if other_screen { ENTER } else { "" };
        Ok(Terminal {
            input,
            output,
            // From here on, dropping it restores.
            restore: Arc::new(restore),
            shown: Screen::blank(size),
            unwritten: [enter, BLANK].concat().into_bytes(),
        })
    }

    /// The window's size. One that no screen has counts as 24 rows of 80 columns.
    ///
    /// # Errors
    /// Those of `ioctl(2)`, if the terminal is gone.
    pub(crate) fn size(&self) -> io::Result<Size> {
        window_size(self.restore.output.as_fd())
    }

    /// Waits for what the user types; 0 if the terminal is gone.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub(crate) async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self
            .input
            .read_with(|fd| Ok(rustix::io::read(fd, &mut *buf)?));
        match read.await {
            Err(err) if err.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(0),
            result => result,
        }
    }

    /// Makes a frame the next to be shown, unless one is still being written: a terminal that is
    /// slow skips frames. Returns whether it was taken.
    pub(crate) fn show(&mut self, frame: &Screen) -> bool {
        if !self.unwritten.is_empty() {
            return false;
        }
        self.unwritten = frame.terminal_bytes(&self.shown).into_bytes();
        self.shown = frame.clone();
        true
    }

    /// Forgets what is shown: after a change of the window's size that is the terminal's own affair.
    ///
    /// # Errors
    /// As [`size`](Self::size).
    pub(crate) fn resized(&mut self) -> io::Result<()> {
        let mut blank = Screen::blank(self.size()?);
        // A title is not lost, and a bell has rung.
        blank.marks = self.shown.marks.clone();
        let reset = blank.cells.input_mode_diff(&self.shown.cells);
        self.unwritten.extend([BLANK, &reset].concat().bytes());
        self.shown = blank;
        Ok(())
    }

    /// Waits until the terminal has taken everything; at once if there is nothing.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: the next call goes on.
    ///
    /// # Errors
    /// Those of `write(2)`, if the terminal is gone.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while !self.unwritten.is_empty() {
            let unwritten = &self.unwritten;
            let written = self
                .output
                .write_with(|fd| Ok(rustix::io::write(fd, unwritten)?))
                .await?;
            self.unwritten.drain(..written);
        }
        Ok(())
    }
}

impl Terminal {
    /// Waits until the user typed something, and returns its length, or until some of what there
    /// was to be written is written, and returns `None`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of [`read`](Self::read) and [`flush`](Self::flush).
    pub(crate) async fn exchange(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        if self.unwritten.is_empty() {
            return self.read(buf).await.map(Some);
        }
        let write = self
            .output
            .write_with(|fd| Ok(rustix::io::write(fd, &self.unwritten)?));
        match first(self.read(buf), write).await {
            First::Left(len) => len.map(Some),
            First::Right(written) => {
                self.unwritten.drain(..written?);
                Ok(None)
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore.restore();
    }
}

/// What a terminal was before.
struct Restore {
    modes: Termios,
    input: OwnedFd,
    output: OwnedFd,
    other_screen: bool,
}

impl Restore {
    /// Gives the terminal back. Safe to repeat.
    fn restore(&self) {
        let screen = if self.other_screen {
            LEAVE_SCREEN
        } else {
            "\r\n"
        };
        // If the terminal is gone, there is nothing to be restored.
        let _ = rustix::io::write(&self.output, [LEAVE, screen].concat().as_bytes());
        let _ = tcsetattr(&self.input, OptionalActions::Now, &self.modes);
    }
}

/// Opens the terminal behind a descriptor once more.
fn again(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}

fn window_size(fd: BorrowedFd<'_>) -> io::Result<Size> {
    let size = tcgetwinsize(fd)?;
    Ok(Size::new(size.ws_row, size.ws_col).unwrap_or_default())
}

#[cfg(test)]
#[path = "terminal/tests.rs"]
mod tests;
