//! The client's address changes, by its own host or by a router on the way.

use std::thread;
use std::time::Duration;

use crate::session::{LIMIT, PROMPT, Pair, SERVER_4, SERVER_6, Session, shell_words};
use crate::terminal::USUAL;

/// The addresses that the client's interface has, one after the other; the first as the world is
/// made.
const ADDRESSES_4: [&str; 4] = ["10.77.1.2", "10.77.1.3", "10.77.1.4", "10.77.1.5"];
const ADDRESSES_6: [&str; 4] = ["fd77:1::2", "fd77:1::3", "fd77:1::4", "fd77:1::5"];

/// The pause between two keys of somebody who types fast.
const KEY_PAUSE: Duration = Duration::from_millis(50);

/// With nobody typing, output reaches the client at its new address, and keys go on from there.
fn move_while_idle(pair: &Pair, ip: &str, addresses: [&str; 4]) {
    let mut session = Session::shell_at(pair, ip);
    for step in addresses.windows(2) {
        let cue = session.cue("moved");
        session.world().move_client(step[0], step[1]);
        session.client.shows(cue.give(), LIMIT);
    }
    session.answers("after");
    let peers = session.world().peers();
    for address in addresses {
        assert!(
            peers.iter().any(|peer| peer.starts_with(address)),
            "no {address}: {peers:?}"
        );
    }
    session.exit();
}

pub(crate) fn address_change_while_idle(pair: &Pair) {
    move_while_idle(pair, SERVER_4, ADDRESSES_4);
}

pub(crate) fn address_change_while_idle_over_ipv6(pair: &Pair) {
    move_while_idle(pair, SERVER_6, ADDRESSES_6);
}

/// No key is lost, doubled or out of order while the address changes under them.
pub(crate) fn address_change_while_typing(pair: &Pair) {
    let mut session = Session::start(pair, SERVER_4, USUAL, &["cat"]);
    let mut typed = String::new();
    // Somebody is there before anything moves.
    type_key(&mut session, '!', &mut typed);
    session.client.shows("!", LIMIT);
    for step in ADDRESSES_4.windows(2) {
        for key in "abcdefghij".chars() {
            type_key(&mut session, key, &mut typed);
        }
        session.world().move_client(step[0], step[1]);
        for key in "0123456789".chars() {
            type_key(&mut session, key, &mut typed);
        }
    }
    session
        .client
        .wait("every key", LIMIT, |lines| lines.concat() == typed);
    let heard = [2, 3, 4, 5].map(|host| session.world().heard_from(host));
    assert!(!heard.contains(&0), "datagrams of each address: {heard:?}");
    // Twice, as the line is not empty.
    session.client.write("\u{4}\u{4}");
    session.ends();
}

fn type_key(session: &mut Session, key: char, typed: &mut String) {
    typed.push(key);
    session.client.write(&key.to_string());
    thread::sleep(KEY_PAUSE);
}

/// A translator that forgets, and gives the client another port each time.
pub(crate) fn rebinding_by_a_translator(pair: &Pair) {
    let mut session = translated(pair);
    for word in ["first", "second", "third"] {
        let cue = session.cue("idle");
        session.world().forget_translations();
        session.client.shows(cue.give(), LIMIT);
        session.world().forget_translations();
        session.answers(word);
    }
    let peers = session.world().peers();
    assert!(peers.len() > 3, "the port did not change: {peers:?}");
    assert!(
        peers.iter().all(|peer| peer.starts_with("10.77.2.1 ")),
        "not translated: {peers:?}"
    );
    session.exit();
}

/// A translator that loses both ways what belongs to the client's port: only another port helps.
/// The key that is typed then is not lost.
pub(crate) fn dead_translation_while_typing(pair: &Pair) {
    let mut session = translated(pair);
    session.answers("before");
    let dead = session.world().kill_flows();
    session.answers("after");
    expect_other_port(&session, &dead);
    session.exit();
}

/// As [`dead_translation_while_typing`], with nobody typing: the client must find out by itself.
pub(crate) fn dead_translation_while_idle(pair: &Pair) {
    let mut session = translated(pair);
    let cue = session.cue("idle");
    let dead = session.world().kill_flows();
    session.client.shows(cue.give(), LIMIT);
    expect_other_port(&session, &dead);
    session.exit();
}

/// A session with a shell, behind a translator from its first datagram on.
fn translated(pair: &Pair) -> Session {
    let session = Session::start_behind(pair, SERVER_4, &shell_words(), |world| world.translate());
    session.client.shows(PROMPT, LIMIT);
    session
}

#[track_caller]
fn expect_other_port(session: &Session, dead: &[String]) {
    assert!(!dead.is_empty(), "there was a port");
    let ports = session.world().flows();
    assert!(
        ports.iter().any(|port| !dead.contains(port)),
        "{ports:?}, all dead"
    );
}
