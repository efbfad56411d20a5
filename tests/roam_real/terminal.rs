//! A program on a terminal, whose screen a test reads.

use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use vt100::{Parser, Screen};

/// Gives a program a terminal, and passes what is typed and shown.
pub(crate) const PTY: &str = include_str!("pty.py");

/// The size of a terminal's window in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
}

impl Window {
    fn size(self) -> (NonZero<u16>, NonZero<u16>) {
        let size = |count| NonZero::new(count).expect("a window has a size");
        (size(self.rows), size(self.columns))
    }
}

/// The usual size.
pub(crate) const USUAL: Window = Window {
    rows: 24,
    columns: 80,
};

/// A terminal with the program on it, killed when dropped.
pub(crate) struct Terminal {
    child: Child,
    /// Messages to `pty.py`.
    messages: ChildStdin,
    shown: Arc<Shown>,
}

/// What the program has shown.
struct Shown {
    state: Mutex<State>,
    grown: Condvar,
}

struct State {
    parser: Parser,
    ended: bool,
}

impl Terminal {
    /// Starts a command whose first words run `pty.py`, up to the program and its arguments.
    #[track_caller]
    pub(crate) fn start(mut command: Command, window: Window) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("nsenter starts");
        let messages = child.stdin.take().expect("piped");
        let (rows, columns) = window.size();
        let parser = Parser::new(rows, columns, 0);
        let state = State {
            parser,
            ended: false,
        };
        let shown = Arc::new(Shown {
            state: Mutex::new(state),
            grown: Condvar::new(),
        });
        let stdout = child.stdout.take().expect("piped");
        let shared = shown.clone();
        thread::spawn(move || shared.follow(stdout));
        Terminal {
            child,
            messages,
            shown,
        }
    }

    /// Types text.
    #[track_caller]
    pub(crate) fn write(&mut self, text: &str) {
        self.send(b'k', text.as_bytes());
    }

    /// Changes the window's size.
    #[track_caller]
    pub(crate) fn resize(&mut self, window: Window) {
        let (rows, columns) = window.size();
        let mut state = self.shown.lock();
        state.parser.screen_mut().set_size(rows, columns);
        drop(state);
        let [rows, columns] = [window.rows, window.columns].map(u16::to_be_bytes);
        self.send(b'w', &[rows, columns].concat());
    }

    /// Sends the program a signal by its number.
    #[track_caller]
    pub(crate) fn signal(&mut self, number: u8) {
        self.send(b's', &[number]);
    }

    #[track_caller]
    fn send(&mut self, kind: u8, data: &[u8]) {
        let length = u16::try_from(data.len()).expect("a short message");
        let message = [&[kind], &length.to_be_bytes()[..], data].concat();
        let sent = self
            .messages
            .write_all(&message)
            .and_then(|()| self.messages.flush());
        if let Err(err) = sent {
            panic!(
                "the program has ended: {err}; {}",
                self.shown.lock().described()
            );
        }
    }

    /// Waits until `is_there` is true of the screen's lines, which have no blanks at their ends.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, limit: Duration, is_there: impl Fn(&[String]) -> bool) {
        self.wait_state(what, limit, |state| {
            is_there(&lines(state.parser.screen())).then_some(())
        });
    }

    /// Waits until the screen shows `text` in one of its lines.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str, limit: Duration) {
        self.wait(text, limit, |lines| {
            lines.iter().any(|line| line.contains(text))
        });
    }

    /// The screen's lines as they are, without the blanks at their ends.
    pub(crate) fn lines(&self) -> Vec<String> {
        lines(self.shown.lock().parser.screen())
    }

    /// Whether `text` is in one of the screen's lines now.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.lines().iter().any(|line| line.contains(text))
    }

    /// Waits until the program ends, and returns its exit status.
    #[track_caller]
    pub(crate) fn end(&mut self, limit: Duration) -> i32 {
        self.wait_state("the end", limit, |state| state.ended.then_some(()));
        let status = self.child.wait().expect("the child is ours");
        status.code().expect("`pty.py` exits")
    }

    #[track_caller]
    fn wait_state<T>(&self, what: &str, limit: Duration, look: impl Fn(&State) -> Option<T>) -> T {
        let end = Instant::now() + limit;
        let mut state = self.shown.lock();
        loop {
            if let Some(found) = look(&state) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !state.ended,
                "no {what:?} after {:?}; {}",
                limit - left,
                state.described()
            );
            let waited = self.shown.grown.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shown {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that fails holds it to describe the screen.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes everything that is printed, to the end.
    fn follow(&self, mut stdout: ChildStdout) {
        let mut buf = vec![0; 64 * 1024];
        loop {
            let len = stdout.read(&mut buf).unwrap_or(0);
            let mut state = self.lock();
            state.parser.process(&buf[..len]);
            state.ended = len == 0;
            self.grown.notify_all();
            if len == 0 {
                return;
            }
        }
    }
}

impl State {
    fn described(&self) -> String {
        let screen = lines(self.parser.screen()).join("\n");
        let state = if self.ended { "ended" } else { "running" };
        format!("the program is {state}, its screen:\n{}", screen.trim_end())
    }
}

fn lines(screen: &Screen) -> Vec<String> {
    let (_, columns) = screen.size();
    let rows = screen.rows(0, columns.get());
    rows.map(|row| row.trim_end().to_owned()).collect()
}
