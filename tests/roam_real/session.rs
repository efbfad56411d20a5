//! A server program and a client program in a world, with a command on the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::process::{Process, send_signal};
use crate::support::{TempDir, programs, until};
use crate::terminal::{PTY, Terminal, USUAL, Window};
use crate::world::{self, PORT, Place, World};

/// How long anything may take that needs the network. A client of mosh notices a dead path after
/// 15 s, gives a server that never answers up after 19 s, and the machine may be busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// What the shell of [`Session::shell`] prints when it waits for a command.
pub(crate) const PROMPT: &str = "ready>";

/// The two addresses of the server.
pub(crate) const SERVER_4: &str = "10.77.2.2";
pub(crate) const SERVER_6: &str = "fd77:2::2";

/// A server program and a client program that are tried together.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// Run as `SERVER new -i IP -p PORT -c 256 -l LC_ALL=C.UTF-8 -- COMMAND`.
    pub(crate) server: PathBuf,
    /// Run as `MOSH_KEY=KEY CLIENT IP PORT`.
    pub(crate) client: PathBuf,
    /// What the client prints when no server ever answered.
    pub(crate) gives_up: &'static str,
}

impl Pair {
    /// What the two are called.
    pub(crate) fn name(&self) -> String {
        format!("{}+{}", file_name(&self.server), file_name(&self.client))
    }

    /// Whether a test can use them; tells that it is skipped if not. A path is there, as cargo
    /// built it.
    #[track_caller]
    pub(crate) fn can_be_used(&self) -> bool {
        let is_here =
            |program: &PathBuf| program.is_absolute() || programs::has(file_name(program));
        world::can_be_made() && is_here(&self.server) && is_here(&self.client)
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .expect("a program's name is text")
}

/// A session of both programs.
pub(crate) struct Session {
    // The client first: it is dropped before its world.
    pub(crate) client: Terminal,
    pub(crate) server: Server,
    cues: u32,
}

impl Session {
    /// A session of programs that were started already.
    pub(crate) fn of(client: Terminal, server: Server) -> Self {
        Session {
            client,
            server,
            cues: 0,
        }
    }

    /// Starts the server with a command, and the client to it.
    #[track_caller]
    pub(crate) fn start(pair: &Pair, ip: &str, window: Window, command: &[&str]) -> Self {
        let server = Server::start(pair, World::new(), ip, command);
        let client = server.client(&server.key, window);
        Session::of(client, server)
    }

    /// As [`start`](Self::start) with the usual window, in a world that `prepare` has changed.
    #[track_caller]
    pub(crate) fn start_behind(
        pair: &Pair,
        ip: &str,
        command: &[&str],
        prepare: impl FnOnce(&World),
    ) -> Self {
        let world = World::new();
        prepare(&world);
        let server = Server::start(pair, world, ip, command);
        let client = server.client(&server.key, USUAL);
        Session::of(client, server)
    }

    /// As [`start`](Self::start) with both programs on the server's host.
    #[track_caller]
    pub(crate) fn on_loopback(pair: &Pair, command: &[&str]) -> Self {
        let server = Server::start(pair, World::new(), "127.0.0.1", command);
        let client = server.client_at(Place::Server, &server.key, USUAL);
        Session::of(client, server)
    }

    /// As [`start`](Self::start) over IPv4, with a shell that waits for a command.
    #[track_caller]
    pub(crate) fn shell(pair: &Pair) -> Self {
        Self::shell_at(pair, SERVER_4)
    }

    /// As [`shell`](Self::shell), at another address of the server.
    #[track_caller]
    pub(crate) fn shell_at(pair: &Pair, ip: &str) -> Self {
        let session = Self::start(pair, ip, USUAL, &shell_words());
        session.client.shows(PROMPT, LIMIT);
        session
    }

    pub(crate) fn world(&self) -> &World {
        &self.server.world
    }

    /// Has the shell show a word that it must put together itself: nobody but the server's end can
    /// have done so.
    #[track_caller]
    pub(crate) fn answers(&mut self, word: &str) {
        self.client.write(&format!("echo {word}-$((6 * 7))\n"));
        self.client.shows(&format!("{word}-42"), LIMIT);
    }

    /// Has the shell show a word by itself, once [`Cue::give`] is called.
    #[track_caller]
    pub(crate) fn cue(&mut self, word: &str) -> Cue {
        let dir = TempDir::new();
        // An earlier one's may be on the screen still.
        self.cues += 1;
        let word = format!("{word}{}", self.cues);
        let path = dir.file("cue");
        let wait = format!("echo {word}-$((5 * 5)); read -r x <{path}; echo {word}-$((6 * 7))");
        self.client
            .write(&format!("clear; mkfifo {path}; {wait}\n"));
        self.client.shows(&format!("{word}-25"), LIMIT);
        Cue {
            _dir: dir,
            path,
            shows: format!("{word}-42"),
        }
    }

    /// Ends the shell, and expects the end of both programs.
    #[track_caller]
    pub(crate) fn exit(mut self) {
        self.client.write("exit 3\n");
        self.ends();
    }

    /// Expects both programs to end, the client with a success.
    #[track_caller]
    pub(crate) fn ends(mut self) {
        assert_eq!(self.client.end(LIMIT), 0, "the client's exit status");
        self.server.ends();
    }
}

/// The words that start a shell whose prompt is known.
pub(crate) fn shell_words() -> [&'static str; 4] {
    ["env", "PS1=ready> ", "sh", "-i"]
}

/// Output of the command that comes when the test says so, without a key being typed.
pub(crate) struct Cue {
    _dir: TempDir,
    path: String,
    shows: String,
}

impl Cue {
    /// Has it come; returns what the screen will show.
    #[track_caller]
    pub(crate) fn give(&self) -> &str {
        fs::write(&self.path, "now\n").expect("the command reads");
        &self.shows
    }
}

/// A server program that waits for its client, in a world of its own.
pub(crate) struct Server {
    pub(crate) world: World,
    pub(crate) key: String,
    pair: Pair,
    ip: String,
    /// What started it; the server itself leaves it.
    _process: Option<Process>,
}

impl Server {
    /// Starts it with the command that a client is to see.
    #[track_caller]
    pub(crate) fn start(pair: &Pair, world: World, ip: &str, command: &[&str]) -> Self {
        let mut line = world.command(Place::Server, &pair.server);
        line.args([
            "new",
            "-i",
            ip,
            "-p",
            PORT,
            "-c",
            "256",
            "-l",
            "LC_ALL=C.UTF-8",
            "--",
        ]);
        line.args(command);
        set_environment(&mut line);
        let process = Process::of(line);
        let place = process.line("MOSH CONNECT ");
        let (port, key) = place.trim().split_once(' ').expect("a port and a key");
        assert_eq!(port, PORT);
        assert_eq!(key.len(), 22, "the key's length");
        Server {
            world,
            key: key.to_owned(),
            pair: pair.clone(),
            ip: ip.to_owned(),
            _process: Some(process),
        }
    }

    /// One that another program has started in `world`.
    pub(crate) fn already(pair: &Pair, world: World) -> Self {
        Server {
            world,
            key: String::new(),
            pair: pair.clone(),
            ip: String::new(),
            _process: None,
        }
    }

    /// Starts a client of it.
    #[track_caller]
    pub(crate) fn client(&self, key: &str, window: Window) -> Terminal {
        self.client_at(Place::Client, key, window)
    }

    fn client_at(&self, place: Place, key: &str, window: Window) -> Terminal {
        let mut command = on_terminal(&self.world, place, window);
        command.arg(&self.pair.client).args([&self.ip, PORT]);
        command.env("MOSH_KEY", key);
        Terminal::start(command, window)
    }

    /// The server program's process, once a client has come.
    #[track_caller]
    pub(crate) fn pid(&self) -> u32 {
        let pids = self
            .world
            .processes(Place::Server, file_name(&self.pair.server));
        assert_eq!(pids.len(), 1, "one server: {pids:?}");
        pids[0]
    }

    /// Sends it a signal, such as `"TERM"`.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        send_signal(self.pid(), name);
    }

    /// Stops it, and waits until it has: on a busy machine that is not at once.
    #[track_caller]
    pub(crate) fn stop(&self) {
        self.signal("STOP");
        let stat = format!("/proc/{}/stat", self.pid());
        until("the server to stop", || {
            let stat = fs::read_to_string(&stat).expect("the server lives");
            let (_, after_name) = stat.rsplit_once(')')?;
            after_name.trim_start().starts_with('T').then_some(())
        });
    }

    /// Waits until no process of it is left.
    #[track_caller]
    pub(crate) fn ends(&self) {
        let name = file_name(&self.pair.server);
        until("the server's end", || {
            self.world
                .processes(Place::Server, name)
                .is_empty()
                .then_some(())
        });
    }
}

/// The start of a command on a terminal: the program and its arguments are to follow.
pub(crate) fn on_terminal(world: &World, place: Place, window: Window) -> Command {
    let mut command = world.command(place, "python3");
    command.args([
        "-c",
        PTY,
        &window.rows.to_string(),
        &window.columns.to_string(),
    ]);
    set_environment(&mut command);
    command
}

/// An environment that does not depend on the machine. Nothing may be shown before the server said
/// so: no predictions.
fn set_environment(command: &mut Command) {
    command
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "xterm-256color");
    command
        .env("SHELL", "/bin/sh")
        .env("MOSH_PREDICTION_DISPLAY", "never");
    command.env_remove("ENV").env_remove("MOSH_KEY");
}
