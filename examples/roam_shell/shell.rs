//! The command with its terminal and its screen: everything on this side of the session.

use std::future::pending;
use std::io;
use std::process::ExitStatus;
use std::time::Instant;

use gannet::roam::proto::UserEvent;

use crate::echo_ack::EchoAck;
use crate::emulator::Emulator;
use crate::pty::{Pty, RELEASE};
use crate::screen::{Screen, Size};
use crate::select::{First, first};

/// How much is read from the terminal at a time.
const READ_LEN: usize = 16 * 1024;

/// What a command that does not read leaves unread at most. More is lost, as a terminal's own queue
/// loses what is typed when it is full.
const TYPED_MAX: usize = 1 << 20;

/// A command that one user sees and types to.
pub(crate) struct Shell {
    pty: Pty,
    emulator: Emulator,
    echo_ack: EchoAck,
    /// What the command has still to be given.
    typed: Vec<u8>,
    is_released: bool,
    /// How the command ended, if it did. Others may have its terminal and go on.
    status: Option<ExitStatus>,
}

/// What a step of the command was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The screen may look different.
    Output,
    /// Nobody has the terminal open: the session ends.
    End,
}

impl Shell {
    /// Takes a terminal whose command was not released.
    pub(crate) fn new(pty: Pty) -> Self {
        Shell {
            pty,
            emulator: Emulator::new(Size::default()),
            echo_ack: EchoAck::default(),
            typed: Vec::new(),
            is_released: false,
            status: None,
        }
    }

    /// Takes what a new state of the user brought. The first one releases the command.
    ///
    /// A size that no screen has changes nothing.
    ///
    /// # Errors
    /// Those of changing the terminal's size.
    pub(crate) fn user(
        &mut self,
        state: u64,
        events: &[UserEvent],
        now: Instant,
    ) -> io::Result<()> {
        let mut had_keys = false;
        let mut size = None;
        for event in events {
            match event {
                UserEvent::Keys(keys) => {
                    let room = TYPED_MAX.saturating_sub(self.typed.len());
                    self.typed.extend_from_slice(&keys[..keys.len().min(room)]);
                    had_keys = true;
                }
                // Of several that come at once only the last is shown: each costs a new screen.
                &UserEvent::Resize { width, height } => size = Some((width, height)),
            }
        }
        if let Some((width, height)) = size {
            self.resize(width, height)?;
        }
        if had_keys {
            self.echo_ack.input(state, now);
        }
        if !self.is_released {
            self.is_released = true;
            self.typed.splice(0..0, RELEASE.iter().copied());
        }
        Ok(())
    }

    fn resize(&mut self, width: i32, height: i32) -> io::Result<()> {
        let Some(size) = Size::new(height, width) else {
            return Ok(());
        };
        self.emulator.resize(size);
        self.pty.resize(size)
    }

    /// Waits for output of the command, and gives it what was typed meanwhile.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of reading the terminal.
    pub(crate) async fn step(&mut self) -> io::Result<Step> {
        let mut output = [0; READ_LEN];
        loop {
            let done = {
                let read = self.pty.read(&mut output);
                let write = async {
                    match self.typed.as_slice() {
                        [] => pending().await,
                        typed => self.pty.write(typed).await,
                    }
                };
                let ended = async {
                    match self.status {
                        None => self.pty.ended().await,
                        Some(_) => pending().await,
                    }
                };
                match first(first(read, write), ended).await {
                    First::Left(moved) => moved,
                    First::Right(status) => {
                        self.status = Some(status?);
                        continue;
                    }
                }
            };
            match done {
                First::Left(Ok(0)) => return Ok(Step::End),
                First::Left(Ok(len)) => {
                    self.emulator.write(&output[..len]);
                    let room = TYPED_MAX.saturating_sub(self.typed.len());
                    self.typed
                        .extend(self.emulator.take_answers().into_iter().take(room));
                    return Ok(Step::Output);
                }
                First::Left(Err(err)) => return Err(err),
                First::Right(Ok(written)) => drop(self.typed.drain(..written)),
                // The terminal is closed, which reading tells next, after the last output.
                First::Right(Err(_)) => self.typed.clear(),
            }
        }
    }

    /// The screen as it is now.
    pub(crate) fn screen(&mut self, now: Instant) -> Screen {
        let echo_ack = self.echo_ack.at(now);
        self.emulator.screen(echo_ack)
    }

    /// How the command ended, if that was seen.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// When the screen changes next by the passing of time alone.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.echo_ack.next_deadline()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    use gannet::Builder;

    use super::*;
    use crate::pty::tests::held;

    /// Runs `test` with a shell that executes `script` once it is released.
    fn with_shell<F: Future<Output = ()>>(script: &str, test: impl FnOnce(Shell) -> F) {
        let held = held("sh", &["-c", script]);
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            test(Shell::new(held.adopt().expect("a terminal can be polled"))).await;
        });
    }

    fn keys(text: &str) -> UserEvent {
        UserEvent::Keys(text.as_bytes().to_vec())
    }

    fn resize(width: i32, height: i32) -> UserEvent {
        UserEvent::Resize { width, height }
    }

    /// Steps until the screen holds the text, or to the end, without letting time pass.
    async fn step_until(shell: &mut Shell, text: &str, now: Instant) -> Screen {
        loop {
            let step = shell.step().await.expect("a terminal is readable");
            let screen = shell.screen(now);
            if step == Step::End || screen.text().contains(text) {
                return screen;
            }
        }
    }

    #[test]
    fn first_state_sets_the_size_and_releases_the_command() {
        with_shell("stty size; tput cols", |mut shell| async move {
            let now = Instant::now();
            let events = [resize(10, 10), resize(100, 30)];
            shell.user(1, &events, now).expect("a size");
            let screen = step_until(&mut shell, "no such text", now).await;
            assert!(screen.text().starts_with("30 100"), "{:?}", screen.text());
            assert_eq!(screen.cells_size(), Size::new(30, 100).expect("a size"));
        });
    }

    #[test]
    fn keys_are_typed_and_acknowledged_later() {
        with_shell(
            "stty -echo; echo ready; read line; echo got $line",
            |mut shell| async move {
                let now = Instant::now();
                shell.user(1, &[resize(80, 24)], now).expect("a size");
                step_until(&mut shell, "ready", now).await;
                shell
                    .user(2, &[keys("one "), keys("two\n")], now)
                    .expect("keys");
                let screen = step_until(&mut shell, "got one two", now).await;
                assert_eq!(screen.text(), "ready\ngot one two");
                let due = now + Duration::from_millis(50);
                assert_eq!(shell.screen(now).echo_ack, 0);
                assert_eq!(shell.next_deadline(), Some(due));
                assert_eq!(shell.screen(due).echo_ack, 2);
            },
        );
    }

    #[test]
    fn question_of_the_command_is_answered_on_its_terminal() {
        let script = "stty raw -echo; printf '\\033[6n'; head -c 6 | od -An -c";
        with_shell(script, |mut shell| async move {
            let now = Instant::now();
            shell.user(1, &[], now).expect("no events");
            let screen = step_until(&mut shell, "R", now).await;
            assert_eq!(screen.text().trim(), "033   [   1   ;   1   R");
        });
    }

    #[test]
    fn size_that_no_screen_has_changes_nothing() {
        with_shell("stty size", |mut shell| async move {
            let now = Instant::now();
            for (width, height) in [(0, 24), (80, -1), (i32::MAX, i32::MAX), (65_535, 65_535)] {
                shell
                    .user(1, &[resize(width, height)], now)
                    .expect("ignored");
            }
            assert_eq!(step_until(&mut shell, "80", now).await.text(), "24 80");
        });
    }

    #[test]
    fn typing_that_nobody_reads_is_bounded() {
        with_shell("exit", |mut shell| async move {
            let now = Instant::now();
            for state in 1..=3 {
                let events = [UserEvent::Keys(vec![b'x'; TYPED_MAX])];
                shell.user(state, &events, now).expect("keys");
            }
            assert!(
                shell.typed.len() <= TYPED_MAX + RELEASE.len(),
                "{}",
                shell.typed.len()
            );
        });
    }

    #[test]
    fn end_of_the_command_is_seen_while_others_have_its_terminal() {
        let script = "trap '' HUP; exec 3<&0; read line <&3 & echo go; exit 4";
        with_shell(script, |mut shell| async move {
            let now = Instant::now();
            shell.user(1, &[], now).expect("no events");
            step_until(&mut shell, "go", now).await;
            shell.pty.ended().await.expect("a child is waited for");
            // The rest of the line may still come. After it, a step waits: the terminal is open.
            loop {
                let mut step = Box::pin(shell.step());
                match poll_fn(|cx| Poll::Ready(step.as_mut().poll(cx))).await {
                    Poll::Ready(step) => assert_eq!(step.expect("output"), Step::Output),
                    Poll::Pending => break,
                }
            }
            assert_eq!(shell.status().and_then(|status| status.code()), Some(4));
        });
    }

    #[test]
    fn last_output_is_shown_before_the_end() {
        with_shell("echo last words", |mut shell| async move {
            let now = Instant::now();
            shell.user(1, &[], now).expect("no events");
            let screen = step_until(&mut shell, "no such text", now).await;
            assert_eq!(screen.text(), "last words");
        });
    }
}
