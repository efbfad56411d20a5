//! Two ends of a session with a network between them.

use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use gannet_roam::proto::{Key, Random, Session, UserEvent};
use gannet_roam::{Output, UserStream};

use super::net::{Faults, Net, SERVER};

pub(crate) type Client = Session<UserStream, Output>;
pub(crate) type Server = Session<Output, UserStream>;
pub(crate) type Pair = Net<Client, Server>;

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The key of every pair.
pub(crate) fn key() -> Key {
    Key::from_bytes([7; 16])
}

pub(crate) fn random(seed: u64) -> Random {
    let mut rng = Rng::with_seed(seed);
    Box::new(move |octets: &mut [u8]| rng.fill(octets))
}

/// A client and a server that have not spoken yet.
pub(crate) fn pair(faults: Faults, seed: u64) -> Pair {
    pair_to(&[SERVER], faults, seed)
}

/// As [`pair`], with a server that has these addresses.
pub(crate) fn pair_to(peers: &[SocketAddr], faults: Faults, seed: u64) -> Pair {
    let start = gannet_sys::clock::now();
    let states = (UserStream::new(), Output::new());
    let client = Session::client(&key(), peers.to_vec(), states, start, random(seed));
    let client = client.expect("a client");
    let states = (Output::new(), UserStream::new());
    let server = Session::server(&key(), states.0, states.1, start, random(seed + 1));
    Net::new(start, client, server, faults, seed)
}

/// A pair with a round trip of 100 ms that has settled.
pub(crate) fn settled(seed: u64) -> Pair {
    let mut net = pair(delayed(50), seed);
    net.client.update(net.now, |keys| keys.resize(80, 24));
    net.server.update(net.now, |screen| screen.print(b"$ "));
    net.run_for(SECOND * 5);
    assert!(in_step(&mut net), "does not settle");
    net
}

/// A network that only delays, by so many milliseconds each way.
pub(crate) fn delayed(millis: u32) -> Faults {
    Faults {
        delay: MS * millis,
        ..Faults::default()
    }
}

/// Whether each side knows that the other has its state.
pub(crate) fn in_step(net: &mut Pair) -> bool {
    net.client.is_confirmed() && net.server.is_confirmed()
}

/// Runs until both are in step; panics after `limit`.
pub(crate) fn reach_step(net: &mut Pair, limit: Duration) {
    let until = net.now + limit;
    assert!(
        net.run_while(until, |net| !in_step(net)),
        "not in step {limit:?} later"
    );
    assert_eq!(net.client.remote().1, net.server.local(), "screens");
    assert_eq!(net.server.remote().1, net.client.local(), "keys");
}

/// What both sides have read so far, as applications do.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Readers {
    pub(crate) keys: Vec<u8>,
    pub(crate) output: Vec<u8>,
    position: u64,
}

impl Readers {
    pub(crate) fn read(&mut self, net: &mut Pair) {
        let stream = net.server.take_remote();
        for event in stream.since(self.position) {
            if let UserEvent::Keys(keys) = event {
                self.keys.extend_from_slice(&keys);
            }
        }
        self.position = self.position.max(stream.end());
        let screen = net.client.take_remote();
        self.output
            .extend_from_slice(&screen.since(self.output.len() as u64));
    }
}
