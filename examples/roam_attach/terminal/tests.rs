use std::fs::File;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gannet::Builder;
use rustix::fs::fcntl_getfl;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcsetwinsize};

use super::*;
use crate::emulator::Emulator;

/// A terminal of the test: `user` is what shows it and types on it.
struct Ends {
    user: OwnedFd,
    program: OwnedFd,
}

impl Ends {
    fn new(rows: u16, columns: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let user = openpt(flags).expect("a terminal");
        grantpt(&user)
            .and_then(|()| unlockpt(&user))
            .expect("our terminal");
        let program = ioctl_tiocgptpeer(&user, flags).expect("its other end");
        let ends = Ends { user, program };
        ends.resize(rows, columns);
        ends
    }

    fn resize(&self, ws_row: u16, ws_col: u16) {
        let size = Winsize {
            ws_row,
            ws_col,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.user, size).expect("a terminal has a size");
    }

    fn terminal(&self) -> Terminal {
        let fd = self.program.as_fd();
        Terminal::on(fd, fd, true).expect("a terminal")
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(&self.program)
            .expect("a terminal has modes")
            .local_modes
    }

    /// What the program has written since the last call.
    fn written(&self) -> String {
        // A terminal hands on what was written when it pleases, but in order.
        let mark = "\x1b_mark\x1b\\";
        rustix::io::write(&self.program, mark.as_bytes()).expect("room");
        let mut text = Vec::new();
        let mut buf = [0; 16 * 1024];
        while !text.ends_with(mark.as_bytes()) {
            let len = rustix::io::read(&self.user, &mut buf).expect("output");
            text.extend_from_slice(&buf[..len]);
        }
        text.truncate(text.len() - mark.len());
        String::from_utf8(text).expect("text")
    }
}

fn run(future: impl Future<Output = ()>) {
    Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future);
}

fn shown(rows: u16, columns: u16, output: &str) -> Screen {
    let mut emulator = Emulator::new(Size::new(rows, columns).expect("a size"));
    emulator.write(output.as_bytes());
    emulator.screen(0)
}

#[test]
fn terminal_is_raw_and_restored_when_dropped() {
    let ends = Ends::new(5, 20);
    let before = ends.modes();
    assert!(before.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));
    run(async {
        let mut terminal = ends.terminal();
        let raw = ends.modes();
        assert!(!raw.intersects(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));
        terminal.flush().await.expect("it is open");
        assert_eq!(ends.written(), format!("{ENTER}{BLANK}"));
        drop(terminal);
        assert_eq!(ends.written(), format!("{LEAVE}{LEAVE_SCREEN}"));
    });
    assert_eq!(ends.modes(), before);
}

#[test]
fn terminal_is_restored_by_a_panic_and_by_an_error() {
    let ends = Ends::new(5, 20);
    let before = ends.modes();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        run(async {
            let _terminal = ends.terminal();
            panic!("on purpose");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(ends.written(), format!("{LEAVE}{LEAVE_SCREEN}"));
    assert_eq!(ends.modes(), before);

    run(async {
        let failing = || -> io::Result<()> {
            let _terminal = ends.terminal();
            Err(io::ErrorKind::Other.into())
        };
        assert!(failing().is_err());
    });
    assert_eq!(ends.written(), format!("{LEAVE}{LEAVE_SCREEN}"));
    assert_eq!(ends.modes(), before);
}

#[test]
fn description_of_the_shell_goes_on_blocking() {
    let ends = Ends::new(5, 20);
    run(async {
        let _terminal = ends.terminal();
        let flags = fcntl_getfl(&ends.program).expect("an open descriptor");
        assert!(!flags.contains(OFlags::NONBLOCK));
    });
}

#[test]
fn what_is_no_terminal_is_refused() {
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .expect("it exists");
    run(async {
        let refused = Terminal::on(null.as_fd(), null.as_fd(), true).err();
        let errno = refused.and_then(|err| err.raw_os_error());
        assert_eq!(errno, Some(Errno::NOTTY.raw_os_error()));
    });
}

#[test]
fn keys_are_read_as_typed() {
    let ends = Ends::new(5, 20);
    run(async {
        let terminal = ends.terminal();
        rustix::io::write(&ends.user, b"\x03a\r\x1e").expect("room");
        let mut buf = [0; 10];
        let len = terminal.read(&mut buf).await.expect("it is open");
        assert_eq!(buf[..len], *b"\x03a\r\x1e");
    });
}

#[test]
fn end_of_the_terminal_ends_reading() {
    let ends = Ends::new(5, 20);
    run(async {
        let terminal = ends.terminal();
        drop(ends.user);
        assert_eq!(terminal.read(&mut [0; 10]).await.expect("an end"), 0);
    });
}

#[test]
fn frames_are_shown_one_after_the_other() {
    let ends = Ends::new(5, 20);
    let mut display = Emulator::new(Size::new(5, 20).expect("a size"));
    run(async {
        let mut terminal = ends.terminal();
        let first = shown(5, 20, "one \x1b[31mtwo 中");
        assert!(!terminal.show(&first), "the entry is not written yet");
        terminal.flush().await.expect("it is open");
        for frame in [&first, &shown(5, 20, "\x1b[?25l\x1b]2;t\x07three")] {
            assert!(terminal.show(frame));
            assert!(!terminal.show(&first), "the last one is not written yet");
            terminal.flush().await.expect("it is open");
            display.write(ends.written().as_bytes());
            assert!(display.screen(0) == *frame);
        }
    });
}

#[test]
fn other_size_is_painted_anew() {
    let ends = Ends::new(5, 20);
    run(async {
        let mut terminal = ends.terminal();
        terminal.flush().await.expect("it is open");
        let frame = shown(5, 20, "text\x1b[?1000h\x1b[?1h");
        assert!(terminal.show(&frame));
        terminal.flush().await.expect("it is open");
        let mut display = Emulator::new(Size::new(5, 20).expect("a size"));
        display.write(ends.written().as_bytes());

        ends.resize(7, 30);
        let size = Size::new(7, 30).expect("a size");
        assert_eq!(terminal.size().expect("it is open"), size);
        display.resize(size);
        display.write(b"\x1b[3;3Hwhat the terminal makes of it");
        terminal.resized().expect("it is open");
        terminal.flush().await.expect("it is open");
        let frame = shown(7, 30, "other text");
        assert!(terminal.show(&frame));
        terminal.flush().await.expect("it is open");
        display.write(ends.written().as_bytes());
        assert!(display.screen(0) == frame);
    });
}
