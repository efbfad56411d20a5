//! A path that works one way only: what the peer holds never goes back, whatever is asked of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gannet_roam::Blob;
use gannet_roam::proto::{Arrival, Key, Port, Protocol, Session};

type End = Session<Blob, Blob>;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Hands all that `from` has to send to `to`.
fn pass(from: &mut End, to: &mut End, source: SocketAddr, now: Instant) {
    from.handle_timeout(now);
    let mut octets = Vec::new();
    while from.poll_transmit(now, &mut octets).is_some() {
        let arrival = Arrival {
            now,
            port: Port::FIRST,
            from: source,
            congested: false,
        };
        to.handle_datagram(&arrival, &mut octets)
            .expect("it is authentic");
        octets.clear();
    }
}

/// A server may send little to an address that has not answered. What it asks there once it has sent
/// too much is about the newest state that may have arrived.
#[test]
fn a_state_never_goes_back() {
    let start = gannet_sys::clock::now();
    let (client_at, server_at) = (address("127.0.0.1:1"), address("127.0.0.1:2"));
    for size in 1..300u32 {
        let key = Key::from_bytes([7; 16]);
        let chaff = || Box::new(|octets: &mut [u8]| octets.fill(16));
        let states = (Blob::new(), Blob::new());
        let client = Session::client(&key, vec![server_at], states, start, chaff());
        let mut client: End = client.expect("a client");
        let mut server: End = Session::server(&key, Blob::new(), Blob::new(), start, chaff());
        pass(&mut client, &mut server, client_at, start);
        // What the client says from now on is lost.
        let mut rng = fastrand::Rng::with_seed(size.into());
        let octets: Vec<u8> = (0..size).map(|_| rng.u8(..)).collect();
        server.update(start, |value| *value = Blob::from(octets.clone()));
        let mut seen = 0;
        for step in 1..100 {
            let now = start + Duration::from_millis(100) * step;
            pass(&mut server, &mut client, server_at, now);
            let length = client.remote().1.as_ref().len();
            assert!(length >= seen, "{size}: {length} octets after {seen}");
            seen = length;
        }
        // What a first datagram has paid for arrives.
        assert!(seen > 0 || size > 40, "{size}");
    }
}
