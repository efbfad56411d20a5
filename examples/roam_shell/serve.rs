//! The session: what the user does goes to the shell, and its screen to the user.

use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use gannet::roam::proto::constants::SERVER_LONELY_TIMEOUT;
use gannet::roam::{Bound, Event, Server, Session, UserStream};
use gannet::time;
use signal_hook::consts::{SIGHUP, SIGUSR1};

use crate::args::Arguments;
use crate::detach::Announcement;
use crate::limits::Limits;
use crate::program::complain;
use crate::pty::Held;
use crate::screen::{Screen, Size};
use crate::select::{First, first};
use crate::shell::{Shell, Step};
use crate::signals::StopSignal;

/// Announces the server, and serves until the command ends, the client leaves or a signal comes.
///
/// # Errors
/// If no port is to be had, or no client came.
pub(crate) async fn serve(
    arguments: &Arguments,
    held: Held,
    announcement: Announcement,
) -> io::Result<()> {
    // The one who started the server may hang up; that it was caught is all there is to do.
    signal_hook::flag::register(SIGHUP, Arc::new(AtomicBool::new(false)))?;
    let stop = StopSignal::catch()?;
    let bound = bind(arguments).await?;
    let (port, key) = (bound.local_addr().port(), bound.key().to_text());
    let mut serving = Serving {
        session: bound.session(Screen::blank(Size::default()), UserStream::new()),
        shell: Shell::new(held.adopt()?),
        read: 0,
        stop_if_silent: StopSignal::catch_these(&[SIGUSR1])?,
        limits: Limits::of_environment(),
        verbose: arguments.verbose,
    };
    announcement.tell(port, key.as_str())?;
    drop(key);
    let result = match first(stop.wait(), serving.run()).await {
        First::Left(()) => Ok(()),
        First::Right(result) => result,
    };
    serving.end().await;
    result
}

/// Binds the address that is wanted, or any.
async fn bind(arguments: &Arguments) -> io::Result<Bound> {
    let mut server = Server::new().ports(arguments.ports.clone());
    if let Some(ip) = &arguments.ip {
        match ip.parse::<IpAddr>() {
            Ok(ip) => server = server.address(ip),
            Err(err) => complain("roam_shell", &format_args!("{ip}: {err}")),
        }
    }
    let bound = server.bind().await?;
    if let (Some(ip), Some(err)) = (&arguments.ip, bound.address_failure()) {
        complain(
            "roam_shell",
            &format_args!("{ip}: {err}; listening on any address"),
        );
    }
    Ok(bound)
}

/// A session with the client and the command.
struct Serving {
    session: Session<Screen, UserStream>,
    shell: Shell,
    /// How far the user's events were given to the shell.
    read: u64,
    stop_if_silent: StopSignal,
    limits: Limits,
    /// Says on standard error where the client is.
    verbose: bool,
}

/// What happens next.
enum Next {
    User(u64, UserStream),
    Closed,
    Shell(Step),
    Event(Event),
    /// SIGUSR1: the end, if the client is silent.
    Asked,
    Time,
}

impl Serving {
    /// Serves until the command has ended or the client leaves.
    async fn run(&mut self) -> io::Result<()> {
        let limit = time::timeout(SERVER_LONELY_TIMEOUT, self.session.recv_numbered()).await;
        let Ok(first_state) = limit else {
            let seconds = SERVER_LONELY_TIMEOUT.as_secs();
            let why = format!("No connection within {seconds} seconds.");
            return Err(io::Error::other(why));
        };
        let mut is_open = first_state.is_some();
        if let Some((number, user)) = first_state {
            self.take_events(number, &user)?;
        }
        while is_open {
            let now = time::now();
            let screen = self.shell.screen(now);
            self.session.update(|shown| *shown = screen);
            match self.next().await? {
                Next::User(number, user) => self.take_events(number, &user)?,
                Next::Closed | Next::Shell(Step::End) => is_open = false,
                Next::Shell(Step::Output) => {}
                Next::Event(event) => self.report(&event),
                Next::Asked => is_open = self.silence() < self.limits.signal,
                Next::Time => is_open = !self.is_given_up(),
            }
        }
        let screen = self.shell.screen(time::now());
        self.session.update(|shown| *shown = screen);
        Ok(())
    }

    /// Tells the client, if there is one, and waits until it knows or is not there any more.
    async fn end(self) {
        if self.session.peer_addr().is_some() {
            self.session.shut_down().await;
        }
        if let Some(status) = self.shell.status() {
            complain("roam_shell", &format_args!("the command ended: {status}"));
        }
    }

    async fn next(&mut self) -> io::Result<Next> {
        let end = self.limits.network.map(|limit| {
            let left = limit.saturating_sub(self.silence());
            time::now() + left
        });
        let deadline = [self.shell.next_deadline(), end]
            .into_iter()
            .flatten()
            .min();
        let (session, shell) = (&self.session, &mut self.shell);
        let asked = async {
            self.stop_if_silent.wait().await;
            Next::Asked
        };
        let user = async {
            let state = session.recv_numbered().await;
            state.map_or(Next::Closed, |(number, user)| Next::User(number, user))
        };
        let told = async {
            let event = session.event().await;
            event.map_or(Next::Closed, Next::Event)
        };
        let late = async {
            sleep_until(deadline).await;
            Next::Time
        };
        let outside = either(either(user, told), either(asked, late));
        match first(outside, shell.step()).await {
            First::Left(next) => Ok(next),
            First::Right(step) => step.map(Next::Shell),
        }
    }

    /// How long ago the client was heard.
    fn silence(&self) -> Duration {
        self.session.silence().unwrap_or_default()
    }

    /// Whether the client has been silent for longer than it may be.
    fn is_given_up(&self) -> bool {
        let limit = self.limits.network;
        limit.is_some_and(|limit| self.silence() >= limit)
    }

    /// Says where the client is, if that is wanted.
    fn report(&self, event: &Event) {
        if !self.verbose {
            return;
        }
        match event {
            Event::Attached { peer } => {
                complain("roam_shell", &format_args!("attached to client at {peer}"));
            }
            Event::Roamed { to, .. } => {
                complain("roam_shell", &format_args!("client moved to {to}"));
            }
            Event::Detached => complain("roam_shell", &"detached from client"),
            _ => {}
        }
    }

    /// Gives the shell what the user did since the last time.
    fn take_events(&mut self, state: u64, user: &UserStream) -> io::Result<()> {
        let events = user.since(self.read);
        self.read = user.end();
        self.shell.user(state, &events, time::now())
    }
}

/// Waits for one of two things of the same kind.
async fn either<T>(left: impl Future<Output = T>, right: impl Future<Output = T>) -> T {
    match first(left, right).await {
        First::Left(output) | First::Right(output) => output,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => time::sleep_until(deadline).await,
        None => pending().await,
    }
}
