//! Loss, outages and a server that does not run.

use std::thread;
use std::time::Duration;

use crate::session::{LIMIT, PROMPT, Pair, SERVER_4, Server, Session, shell_words};
use crate::support::{TempDir, until};
use crate::terminal::USUAL;
use crate::world::World;

/// How long the server stands still.
const STOPPED: Duration = Duration::from_secs(30);
/// How long an outage of one direction lasts: longer than a heartbeat's interval, twice.
const OUTAGE: Duration = Duration::from_secs(8);

/// Every fourth datagram is lost in each direction, from the first one to the last.
pub(crate) fn loss_of_a_quarter(pair: &Pair) {
    let lossy = |world: &World| world.lose("numgen random mod 100 < 25");
    let mut session = Session::start_behind(pair, SERVER_4, &shell_words(), lossy);
    session.client.shows(PROMPT, LIMIT);
    for word in ["first", "second", "third", "fourth", "fifth"] {
        session.answers(word);
    }
    // More than one fragment, of which no piece may be missing.
    session.client.write("seq -s, 1 400\n");
    session.client.shows("399,400", LIMIT);
    session.answers("last");
    session.exit();
}

/// What is typed while the server stands still is there when it goes on.
pub(crate) fn stopped_server(pair: &Pair) {
    let mut session = Session::shell(pair);
    session.answers("before");
    session.server.stop();
    session.client.write("echo held-$((6 * 7))\n");
    thread::sleep(STOPPED);
    assert!(
        !session.client.has("held-42"),
        "a stopped server does not answer"
    );
    session.server.signal("CONT");
    session.client.shows("held-42", LIMIT);
    session.answers("after");
    session.exit();
}

/// Nothing reaches the server: its output still comes, and keys are kept.
pub(crate) fn outage_to_the_server(pair: &Pair) {
    let mut session = Session::shell(pair);
    let cue = session.cue("down");
    session.world().lose("udp dport 60001");
    session.client.write("echo held-$((6 * 7))\n");
    session.client.shows(cue.give(), LIMIT);
    thread::sleep(OUTAGE);
    assert!(!session.client.has("held-42"), "nothing reaches the server");
    session.world().heal();
    session.client.shows("held-42", LIMIT);
    session.answers("after");
    session.exit();
}

/// Nothing reaches the client: its keys still do their work, and the screen follows later.
pub(crate) fn outage_to_the_client(pair: &Pair) {
    let dir = TempDir::new();
    let mut session = Session::shell(pair);
    session.answers("before");
    session.world().lose("udp sport 60001");
    let file = dir.path().join("done");
    session
        .client
        .write(&format!("touch {}; echo held-$((6 * 7))\n", file.display()));
    until("the command", || file.exists().then_some(()));
    thread::sleep(OUTAGE);
    assert!(!session.client.has("held-42"), "nothing reaches the client");
    session.world().heal();
    session.client.shows("held-42", LIMIT);
    session.answers("after");
    session.exit();
}

/// A client without the right key gets no answer at all, says that, and fails; it does not keep the
/// one with the key out.
pub(crate) fn wrong_key(pair: &Pair) {
    let server = Server::start(pair, World::new(), SERVER_4, &shell_words());
    let first = if server.key.starts_with('A') {
        "B"
    } else {
        "A"
    };
    let mut stranger = server.client(&format!("{first}{}", &server.key[1..]), USUAL);
    assert_eq!(stranger.end(LIMIT), 1, "the exit status");
    stranger.shows(pair.gives_up, LIMIT);
    assert!(server.world.count("up") > 1, "the client tried");
    assert_eq!(server.world.count("down"), 0, "the server answered");
    let client = server.client(&server.key, USUAL);
    let mut session = Session::of(client, server);
    session.answers("right");
    session.exit();
}

/// A second client with the same key starts at sequence number 0 again: it is a replay, gets no
/// answer, and the first one keeps its session.
pub(crate) fn second_client(pair: &Pair) {
    let mut session = Session::shell(pair);
    use_up_numbers(&mut session);
    let mut second = session.server.client(&session.server.key, USUAL);
    session.answers("beside");
    assert_eq!(second.end(LIMIT), 1, "the exit status");
    second.shows(pair.gives_up, LIMIT);
    session.answers("after");
    session.exit();
}

/// As [`second_client`], after the first one was killed: its session is no one's, and waits.
pub(crate) fn client_after_a_killed_one(pair: &Pair) {
    let mut session = Session::shell(pair);
    use_up_numbers(&mut session);
    session.client.signal(9);
    assert_eq!(session.client.end(LIMIT), 128 + 9, "the exit status");
    let mut second = session.server.client(&session.server.key, USUAL);
    assert_eq!(second.end(LIMIT), 1, "the exit status");
    second.shows(pair.gives_up, LIMIT);
    // Fails unless it runs.
    session.server.pid();
}

/// Has the client send more datagrams than a second one will in its whole life, which is 21 for
/// mosh's: as long as that, no number of the second is new to the server.
fn use_up_numbers(session: &mut Session) {
    let mut word = 0;
    while session.world().count("up") < 60 {
        word += 1;
        session.answers(&format!("word{word}"));
    }
}
