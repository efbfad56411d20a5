//! What a session says that it holds, in virtual time.

mod support;

use fastrand::Rng;
use gannet_roam::Blob;
use gannet_roam::proto::Session;
use support::net::{Net, SERVER};
use support::pair::{MS, SECOND, delayed, key, random};

type End = Session<Blob, Blob>;

/// What cannot be compressed.
const LENGTH: usize = 1_000_000;

/// What all else takes at most.
const LITTLE: usize = 10_000;

fn pair() -> Net<End, End> {
    let start = gannet_sys::clock::now();
    let states = || (Blob::new(), Blob::new());
    let client = Session::client(&key(), vec![SERVER], states(), start, random(1));
    let server = Session::server(&key(), Blob::new(), Blob::new(), start, random(2));
    Net::new(start, client.expect("a client"), server, delayed(5), 3)
}

/// Runs until the server has what the client has, and both know it.
fn settle(net: &mut Net<End, End>) {
    let until = net.now + SECOND * 20;
    let is_in_step = net.run_while(until, |net| !net.client.is_confirmed());
    assert!(is_in_step, "not in step");
    // The next heartbeat throws away what came before.
    net.run_for(SECOND * 4);
    assert!(net.client.is_confirmed());
}

fn assert_holds(end: &End, bigs: usize, what: &str) {
    let memory = end.stats().memory;
    let range = bigs * LENGTH..bigs * LENGTH + LITTLE;
    assert!(range.contains(&memory), "{memory} bytes: {what}");
}

#[test]
fn memory_counts_every_state_and_the_newest_instruction() {
    let mut net = pair();
    net.run_for(MS * 100);
    assert_holds(&net.client, 0, "nothing yet");
    let mut octets = vec![0; LENGTH];
    Rng::with_seed(4).fill(&mut octets);
    net.client.update(net.now, |blob| *blob = octets.into());
    assert_holds(&net.client, 1, "not sent yet");
    let until = net.now + SECOND * 20;
    assert!(net.run_while(until, |net| !net.client.is_confirmed()));
    assert_holds(
        &net.client,
        2,
        "the state, and the instruction that told of it",
    );
    assert_holds(&net.server, 1, "held");
    assert_eq!(net.server.take_remote().as_ref().len(), LENGTH);
    assert_holds(&net.server, 1, "held, and taken: they share it");
    net.client.update(net.now, |blob| *blob = Blob::from("x"));
    settle(&mut net);
    assert_holds(&net.client, 0, "replaced");
    assert_holds(&net.server, 1, "taken, and held no more");
    assert_eq!(net.server.take_remote(), Blob::from("x"));
    assert_holds(&net.server, 0, "replaced");
}
