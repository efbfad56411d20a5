//! The session: what the user types goes to the server, and its screen to the terminal.

use std::future::pending;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gannet::roam::proto::constants::CLIENT_LONELY_TIMEOUT;
use gannet::roam::{Client, Key, Session, UserStream};
use gannet::time;

use crate::banner::{Contact, frame};
use crate::keys::Keys;
use crate::screen::{Screen, Size};
use crate::select::{First, first};
use crate::signals::Signals;
use crate::terminal::Terminal;

/// What both ends hold.
pub(crate) type Shell = Session<UserStream, Screen>;

/// Begins a session with a user of a terminal of this size.
///
/// # Errors
/// Those of [`Client::session`].
pub(crate) fn start(key: Key, server: SocketAddr, size: Size) -> io::Result<Shell> {
    let session =
        Client::new(key, server).session(UserStream::new(), Screen::blank(Size::default()))?;
    resize(&session, size);
    Ok(session)
}

fn resize(session: &Shell, size: Size) {
    let (columns, rows) = (size.columns.get(), size.rows.get());
    session.update(|user| user.resize(columns.into(), rows.into()));
}

/// A session with a terminal.
pub(crate) struct Attached {
    session: Shell,
    terminal: Terminal,
    signals: Signals,
    keys: Keys,
    size: Size,
    screen: Screen,
    contact: Contact,
}

/// What happens next.
enum Next {
    Screen(Screen),
    Typed(usize),
    Resized,
    /// The user or a signal ends it, or the server does.
    End,
    /// The banner changes, or a frame was written.
    Frame,
}

impl Attached {
    /// Begins a session that the terminal shows.
    ///
    /// # Errors
    /// Those of the terminal and of [`start`].
    pub(crate) fn new(
        key: Key,
        server: SocketAddr,
        keys: Keys,
        terminal: Terminal,
    ) -> io::Result<Self> {
        let signals = Signals::catch()?;
        let size = terminal.size()?;
        let started = time::now();
        Ok(Attached {
            session: start(key, server, size)?,
            terminal,
            signals,
            keys,
            size,
            screen: Screen::blank(size),
            contact: Contact {
                port: server.port(),
                started,
                heard: None,
                acknowledged: started,
                fault: None,
            },
        })
    }

    /// Shows the screen until the session ends. Returns whether both ends know that it did.
    ///
    /// # Errors
    /// Those of the terminal, or that the server was never heard.
    pub(crate) async fn run(mut self) -> io::Result<bool> {
        let mut buf = [0; 4096];
        loop {
            let now = time::now();
            self.look(now);
            if self.contact.is_hopeless(now) {
                self.session.shut_down().await;
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the server was never heard; does a firewall let its UDP port through?",
                ));
            }
            let banner = self.contact.banner(now);
            let frame = frame(&self.screen, self.size, banner.as_deref());
            self.terminal.show(&frame);
            match self.next(&mut buf, now).await? {
                Next::Screen(screen) => self.screen = screen,
                Next::Typed(0) | Next::End => break,
                Next::Typed(len) => {
                    let typed = self.keys.typed(&buf[..len]);
                    self.session.update(|user| user.type_keys(&typed.keys));
                    if typed.quit {
                        break;
                    }
                }
                Next::Resized => {
                    self.terminal.resized()?;
                    self.size = self.terminal.size()?;
                    resize(&self.session, self.size);
                }
                Next::Frame => {}
            }
        }
        // Who asks twice does not want to wait for the server.
        let clean = match first(self.session.shut_down(), self.signals.stop()).await {
            First::Left(clean) => clean,
            First::Right(()) => false,
        };
        // The last screen stays, if the terminal has no other.
        self.terminal.show(&self.session.remote().1);
        let _ = time::timeout(LAST_FRAME, self.terminal.flush()).await;
        Ok(clean)
    }

    /// Looks how the connection does.
    fn look(&mut self, now: Instant) {
        let ago = |age| now.checked_sub(age).unwrap_or(now);
        self.contact.heard = self.session.silence().map(ago);
        self.contact.acknowledged = ago(self.session.confirmed_age());
        self.contact.fault = self.session.path_error().map(|err| err.to_string());
    }

    async fn next(&mut self, buf: &mut [u8], now: Instant) -> io::Result<Next> {
        let deadline = self.contact.next_deadline(now);
        let (session, signals) = (&self.session, &self.signals);
        let told = first(signals.stop(), signals.resized());
        let seen = first(session.recv(), sleep_until(deadline));
        let outside = first(told, seen);
        match first(outside, self.terminal.exchange(buf)).await {
            First::Left(First::Left(First::Left(()))) => Ok(Next::End),
            First::Left(First::Left(First::Right(()))) => Ok(Next::Resized),
            First::Left(First::Right(First::Left(Some(screen)))) => Ok(Next::Screen(screen)),
            First::Left(First::Right(First::Left(None))) => Ok(Next::End),
            First::Left(First::Right(First::Right(()))) => Ok(Next::Frame),
            First::Right(Ok(Some(len))) => Ok(Next::Typed(len)),
            First::Right(Ok(None)) => Ok(Next::Frame),
            First::Right(Err(err)) => Err(err),
        }
    }
}

/// How long a terminal may take for the last frame.
const LAST_FRAME: Duration = Duration::from_secs(1);

/// When nothing more came for so long, a command is thought to have said what it has to say.
const QUIET: Duration = Duration::from_secs(1);

/// Types a line, and prints what the screen shows once it stays as it is, or the session ends.
/// Returns whether both ends know that it did.
///
/// # Errors
/// If the server is not heard.
pub(crate) async fn run_command(session: Shell, line: &str) -> io::Result<bool> {
    // The first screen may look as the blank one does, so it is no screen that is waited for.
    if !time::timeout(CLIENT_LONELY_TIMEOUT, session.confirmed())
        .await
        .unwrap_or(false)
    {
        let why = "the server was never heard";
        return Err(io::Error::new(io::ErrorKind::TimedOut, why));
    }
    let mut screen = session.remote().1;
    let before = screen.echo_ack;
    session.update(|user| user.type_keys(format!("{line}\r").as_bytes()));
    loop {
        let is_answered = screen.echo_ack > before;
        match time::timeout(QUIET, session.recv()).await {
            Ok(Some(newer)) => screen = newer,
            Ok(None) => break,
            Err(_) if is_answered => break,
            Err(_)
                if session
                    .silence()
                    .is_none_or(|silence| silence > CLIENT_LONELY_TIMEOUT) =>
            {
                let why = "the server is not heard any more";
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            Err(_) => {}
        }
    }
    let clean = session.shut_down().await;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", session.remote().1.text())?;
    stdout.flush()?;
    Ok(clean)
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => time::sleep_until(deadline).await,
        None => pending().await,
    }
}
