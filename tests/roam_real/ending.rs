//! How a session ends from either side, and how the wrapper starts one.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::session::{LIMIT, PROMPT, Pair, SERVER_4, Server, Session, on_terminal, shell_words};
use crate::support::{TempDir, programs};
use crate::terminal::{Terminal, USUAL};
use crate::world::{Place, World};

/// Stands for ssh: runs the command on the server, in the manner of `ssh [OPTION]... HOST COMMAND`.
const SSH: &str = r#"#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
exec ip netns exec server sh -c "$*"
"#;

/// The keys that end a client: Ctrl-^ and a full stop.
const ESCAPE: &str = "\u{1e}.";

/// SIGTERM.
const TERM: u8 = 15;

pub(crate) fn end_by_the_shell(pair: &Pair) {
    let mut session = Session::shell(pair);
    session.client.write("exit 0\n");
    session.ends();
}

pub(crate) fn end_by_the_escape_key(pair: &Pair) {
    let mut session = Session::shell(pair);
    session.client.write(ESCAPE);
    session.ends();
}

pub(crate) fn end_by_a_signal_to_the_client(pair: &Pair) {
    let mut session = Session::shell(pair);
    session.client.signal(TERM);
    session.ends();
}

pub(crate) fn end_by_a_signal_to_the_server(pair: &Pair) {
    let session = Session::shell(pair);
    session.server.signal("TERM");
    session.ends();
}

/// The wrapper of mosh finds the server program's line, and starts the client program with it.
pub(crate) fn wrapper(pair: &Pair) {
    if !programs::has("mosh") {
        return;
    }
    let dir = TempDir::new();
    let ssh = dir.file("ssh");
    fs::write(&ssh, SSH).expect("a file");
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("our file");
    let world = World::new();
    let mut command = on_terminal(&world, Place::Client, USUAL);
    command.arg("mosh").arg(format!("--ssh={ssh}"));
    command.arg(format!("--server={}", pair.server.display()));
    command.arg(format!("--client={}", pair.client.display()));
    // Without the proxy, which only a real ssh would start.
    command.args([
        "--experimental-remote-ip=local",
        "--bind-server=any",
        "-p",
        "60001",
    ]);
    command.args([SERVER_4, "--"]).args(shell_words());
    let client = Terminal::start(command, USUAL);
    client.shows(PROMPT, LIMIT);
    let mut session = Session::of(client, Server::already(pair, world));
    session.answers("wrapped");
    session.exit();
}
