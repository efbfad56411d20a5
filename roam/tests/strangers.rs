//! Whoever has no key: forgeries, replays, and datagrams forwarded from elsewhere, in virtual time.

mod support;

use std::net::SocketAddr;
use std::time::Instant;

use fastrand::Rng;
use gannet_roam::proto::{Arrival, Event, PeerError, Port, Protocol, Stats};
use support::net::{Flight, To, host};
use support::pair::{MS, Pair, SECOND, reach_step, settled};

fn third() -> SocketAddr {
    SocketAddr::new(host(66), 4000)
}

/// What a stranger could change, and what follows from it.
fn observable(net: &Pair) -> (Stats, Option<SocketAddr>, Option<Instant>, u64, String) {
    let mut stats = net.server.stats();
    stats.rejected = Default::default();
    let remote = net.server.remote();
    let texts = format!("{:?} {:?}", remote.1, net.server.local());
    let timeout = net.server.poll_timeout(net.now);
    (stats, net.server.peer_addr(), timeout, remote.0, texts)
}

/// Gives the server a datagram from `from`.
fn inject(net: &mut Pair, from: SocketAddr, octets: &[u8]) -> Result<(), PeerError> {
    let arrival = Arrival {
        now: net.now,
        port: Port::FIRST,
        from,
        congested: false,
    };
    net.server.handle_datagram(&arrival, &mut octets.to_vec())
}

/// A session in which each side has sent this many datagrams.
fn recorded(datagrams: usize) -> Pair {
    let mut net = settled(1);
    let to_server = |net: &Pair| net.client.stats().datagrams_sent;
    while to_server(&net) < datagrams as u64 {
        net.client.update(net.now, |keys| keys.type_keys(b"k"));
        net.run_for(MS * 50);
    }
    reach_step(&mut net, SECOND);
    net.run_for(SECOND);
    net
}

fn of_client(net: &Pair) -> Vec<Flight> {
    let all = net.sent.iter();
    all.filter(|flight| flight.to == To::Server)
        .cloned()
        .collect()
}

#[test]
fn replays_from_anywhere_change_nothing() {
    let mut net = recorded(2500);
    let (before, recording) = (observable(&net), of_client(&net));
    let (now, sent) = (net.now, net.sent.len());
    for flight in recording.iter().cycle().take(10_000) {
        for from in [flight.from, third()] {
            let taken = inject(&mut net, from, &flight.octets);
            assert_eq!(taken, Err(PeerError::Replayed));
        }
        assert_eq!(net.server.poll_transmit(now, &mut Vec::new()), None);
    }
    assert_eq!(observable(&net), before);
    net.run_for(SECOND * 10);
    assert!(net.sent.len() > sent, "the session goes on");
    assert_eq!(net.bytes_to(third().ip()), 0);
    assert_eq!(net.server.stats().roams, 0);
}

#[test]
fn reflected_datagrams_change_nothing() {
    let mut net = recorded(50);
    let before = observable(&net);
    for flight in net.sent.clone() {
        if flight.to == To::Client {
            let taken = inject(&mut net, third(), &flight.octets);
            assert_eq!(taken, Err(PeerError::Direction));
        }
    }
    assert_eq!(observable(&net), before);
}

#[test]
fn forgeries_change_nothing() {
    let mut net = recorded(50);
    let recording = of_client(&net);
    let (before, mut rng) = (observable(&net), Rng::with_seed(1));
    for round in 0..100_000 {
        let flight = &recording[rng.usize(0..recording.len())];
        let mut octets = flight.octets.clone();
        match round % 4 {
            0 => rng.fill(&mut octets),
            1 => octets.truncate(rng.usize(0..octets.len())),
            2 => octets.resize(rng.usize(octets.len() + 1..2300), 7),
            _ => {
                for _ in 0..rng.usize(1..4) {
                    let bit = rng.usize(0..octets.len() * 8);
                    octets[bit / 8] ^= 1 << (bit % 8);
                }
            }
        }
        if octets == flight.octets {
            continue;
        }
        let from = if round % 2 == 0 { third() } else { flight.from };
        assert!(inject(&mut net, from, &octets).is_err());
    }
    assert_eq!(observable(&net), before);
    assert_eq!(net.server.poll_transmit(net.now, &mut Vec::new()), None);
    assert_eq!(net.server.poll_event(), None);
    let rejected = net.server.stats().rejected;
    assert!(rejected.forged > 99_000, "{rejected:?}");
}

/// Another session's datagrams, with another key.
#[test]
fn another_key_opens_nothing() {
    let mut net = recorded(50);
    let before = observable(&net);
    let key = gannet_roam::proto::Key::from_bytes([8; 16]);
    let mut seal = gannet_roam::proto::Seal::new(&key, gannet_roam::proto::Side::Client);
    for len in 0..1000 {
        let mut datagram = Vec::new();
        seal.seal(&vec![0; len], &mut datagram)
            .expect("short enough");
        let taken = inject(&mut net, third(), &datagram);
        assert_eq!(taken, Err(PeerError::Forged));
    }
    assert_eq!(observable(&net), before);
}

/// Somebody on the path who forwards the newest datagram from an address of his choice turns the
/// server there, for three times its length at most, and until the client speaks again.
#[test]
fn forwarded_datagram_turns_little_away_and_not_for_long() {
    let mut net = settled(2);
    let genuine = net.client_host;
    net.cut[To::Server as usize] = true;
    net.client.update(net.now, |keys| keys.type_keys(b"k"));
    net.run_for(MS * 10);
    let stolen = of_client(&net).pop().expect("a datagram");
    assert_eq!(inject(&mut net, third(), &stolen.octets), Ok(()));
    net.cut[To::Server as usize] = false;
    let output = [7; 5000];
    net.server.update(net.now, |screen| screen.print(&output));
    net.run_for(MS * 100);
    assert!(net.bytes_to(third().ip()) > 0, "followed at first");
    reach_step(&mut net, SECOND * 4);
    let peer = net.server.peer_addr().map(|peer| peer.ip());
    assert_eq!(peer, Some(genuine));
    assert!(net.bytes_to(third().ip()) <= 3 * stolen.octets.len());
}

/// The same, and the client says nothing more for a long time.
#[test]
fn address_that_never_answers_gets_three_times_its_bytes() {
    for had_a_client in [true, false] {
        let mut net = settled(3);
        let stolen = if had_a_client {
            net.cut[To::Server as usize] = true;
            net.client.update(net.now, |keys| keys.type_keys(b"k"));
            net.run_for(MS * 10);
            of_client(&net).pop().expect("a datagram")
        } else {
            net = support::pair::pair(support::pair::delayed(50), 3);
            net.cut[To::Server as usize] = true;
            net.run_for(MS * 10);
            of_client(&net).pop().expect("a datagram")
        };
        net.server.update(net.now, |screen| screen.print(&[7; 50]));
        assert_eq!(inject(&mut net, third(), &stolen.octets), Ok(()));
        for _ in 0..100 {
            net.server.update(net.now, |screen| screen.print(&[7; 500]));
            net.run_for(MS * 600);
        }
        let turned_away = net.bytes_to(third().ip());
        assert!(turned_away <= 3 * stolen.octets.len(), "{turned_away}");
        assert!(turned_away > 0);
        // After the trial the server tries the one that answered before, until that is silent too.
        let back = net.bytes_to(net.client_host) > 5_000;
        assert_eq!(back, had_a_client);
        assert!(net.events.contains(&(To::Server, Event::Detached)));
        assert_eq!(net.server.poll_timeout(net.now), None);
    }
}
