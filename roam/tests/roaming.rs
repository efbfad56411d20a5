//! A client whose address changes, whose port dies, and who is gone for a while, in virtual time.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use gannet_roam::proto::{Event, Port, Protocol};
use support::net::{OTHERS, SERVER, To, host};
use support::pair::{MS, Pair, Readers, SECOND, delayed, in_step, pair_to, reach_step, settled};

/// Where the server's newest datagram went.
fn target(net: &Pair) -> std::net::IpAddr {
    let to_client = net.sent.iter().rev().find(|flight| flight.to == To::Client);
    to_client.expect("a datagram").dest.ip()
}

#[test]
fn address_change_while_typing_is_followed_by_the_next_datagram() {
    let mut net = settled(1);
    net.client_host = host(3);
    let moved = net.now;
    net.client.update(net.now, |keys| keys.type_keys(b"x"));
    net.run_for(SECOND);
    let heard = moved + MS * 51;
    for (at, flight) in net.sent_since(To::Client, heard) {
        assert_eq!(flight.dest.ip(), host(3), "{:?} later", at - moved);
    }
    reach_step(&mut net, SECOND);
    assert_eq!(net.server.peer_addr().map(|peer| peer.ip()), Some(host(3)));
    assert_eq!(net.server.stats().roams, 1);
}

#[test]
fn address_change_while_idle_is_followed_with_the_next_heartbeat() {
    let mut net = settled(2);
    net.client_host = host(3);
    net.run_for(SECOND * 3 + MS * 200);
    assert_eq!(target(&net), host(3));
    net.server.update(net.now, |screen| screen.print(b"back"));
    reach_step(&mut net, MS * 400);
}

#[test]
fn server_follows_rebinding_at_any_pace() {
    for (seconds, by_port) in [(1, false), (1, true), (5, false), (5, true), (30, false)] {
        let mut net = settled(3);
        let mut readers = Readers::default();
        let (mut typed, mut printed) = (Vec::new(), b"$ ".to_vec());
        for step in 0..4u8 {
            if by_port {
                net.rebound += 1;
            } else {
                net.client_host = host(10 + step);
            }
            let moved = net.now;
            for _ in 0..seconds * 5 {
                net.client.update(net.now, |keys| keys.type_keys(&[step]));
                net.server.update(net.now, |screen| screen.print(&[step]));
                typed.push(step);
                printed.push(step);
                net.run_for(MS * 200);
                readers.read(&mut net);
            }
            let followed = net.sent_since(To::Client, moved + MS * 51);
            let first = followed.first().expect("an answer");
            assert!(first.0 < moved + MS * 160, "within a round trip");
            let speaks_from = net.sent_since(To::Server, moved);
            for (at, flight) in followed {
                let is_there = speaks_from.iter().any(|(_, said)| said.from == flight.dest);
                assert!(is_there, "{} after {:?}", flight.dest, at - moved);
            }
        }
        reach_step(&mut net, SECOND);
        readers.read(&mut net);
        assert_eq!((readers.keys, readers.output), (typed, printed));
    }
}

#[test]
fn dead_port_is_left_within_four_seconds_of_the_last_round_trip() {
    for idle in 0..6 {
        let mut net = settled(4 + idle);
        net.run_for(MS * 500 * u32::try_from(idle).expect("small"));
        let received = net.client.stats().datagrams_received;
        let last = net.now - net.client.silence(net.now).expect("heard");
        net.dead.push(Port::FIRST);
        let flows = net.run_while(last + SECOND * 4, |net| {
            net.client.stats().datagrams_received == received
        });
        assert!(flows, "nothing flows 4 s after the last round trip");
        assert!(net.client.stats().port_hops >= 1);
    }
}

#[test]
fn black_hole_of_any_length_ends_with_the_exact_state() {
    for outage in [5, 60, 600] {
        let mut net = settled(20);
        net.cut = [true; 2];
        for _ in 0..20 {
            net.client.update(net.now, |keys| keys.type_keys(b"k"));
            net.server
                .update(net.now, |screen| screen.print(b"line\r\n"));
            net.run_for(Duration::from_secs(outage) / 20);
        }
        let memory = net.server.stats().memory + net.client.stats().memory;
        assert!(memory < 200_000, "{memory} bytes after {outage} s");
        net.cut = [false; 2];
        reach_step(&mut net, SECOND * 4);
    }
}

/// A change that waits while nothing comes back, or while nothing arrives.
#[test]
fn one_way_outage_costs_ten_datagrams_at_most() {
    for cut in [To::Client, To::Server] {
        for changes in [To::Client, To::Server] {
            let mut net = settled(30);
            net.cut[cut as usize] = true;
            let from = net.now;
            if changes == To::Server {
                net.client.update(net.now, |keys| keys.type_keys(b"k"));
            } else {
                net.server.update(net.now, |screen| screen.print(b"k"));
            }
            net.run_for(SECOND * 4);
            let sent = net.sent_since(changes, from).len();
            assert!(sent <= 10, "{sent} to {changes:?} while {cut:?} is cut");
            net.cut = [false; 2];
            reach_step(&mut net, SECOND * 4);
        }
    }
}

#[test]
fn ports_stay_few_over_hundreds_of_hops() {
    let mut net = settled(40);
    net.cut = [true; 2];
    for _ in 0..100 {
        net.run_for(SECOND * 30);
        assert!(net.client.stats().ports <= 10);
    }
    assert!(net.client.stats().port_hops >= 290, "every ten seconds");
    net.cut = [false; 2];
    net.client.update(net.now, |keys| keys.type_keys(b"k"));
    reach_step(&mut net, SECOND * 14);
    net.run_for(SECOND * 65);
    assert_eq!(net.client.stats().ports, 1, "old ones serve a minute");
}

#[test]
fn server_detaches_after_forty_seconds_and_attaches_again() {
    let mut net = settled(50);
    net.events.clear();
    net.cut[To::Server as usize] = true;
    let cut = net.now;
    net.run_for(SECOND * 60);
    let detached = net.events.contains(&(To::Server, Event::Detached));
    assert!(detached, "{:?}", net.events);
    let late = net.sent_since(To::Client, cut + SECOND * 41);
    assert_eq!(late.len(), 0, "sends on");
    assert_eq!(net.server.poll_timeout(net.now), None, "and wakes up");
    net.server.update(net.now, |screen| screen.print(b"missed"));
    net.cut = [false; 2];
    reach_step(&mut net, SECOND * 10);
    assert!(in_step(&mut net));
    let is_attached =
        |(to, event): &(To, Event)| *to == To::Server && matches!(event, Event::Attached { .. });
    assert!(net.events.iter().any(is_attached), "{:?}", net.events);
}

/// A storm of changes is answered by a few datagrams, the first at once.
#[test]
fn changes_of_the_network_are_answered_at_once_and_seldom() {
    let mut net = settled(9);
    let (before, start) = (net.sent.len(), net.now);
    for _ in 0..1000 {
        net.client.handle_network_change(net.now);
        net.run_for(MS);
    }
    let spoken: Vec<_> = net.sent[before..]
        .iter()
        .filter(|flight| flight.to == To::Server)
        .collect();
    assert_eq!(
        spoken.first().map(|flight| flight.at),
        Some(start + MS * 50)
    );
    assert!((19..=22).contains(&spoken.len()), "{}", spoken.len());
}

/// The datagrams of the client, by where they went.
fn said_to(net: &Pair, dest: SocketAddr) -> usize {
    let to_server = net.sent.iter().filter(|flight| flight.to == To::Server);
    to_server.filter(|flight| flight.dest == dest).count()
}

#[test]
fn refused_address_is_left_for_the_next_at_once() {
    for refused in 0..=2 {
        let peers = [SERVER, OTHERS[0], OTHERS[1]];
        let mut net = pair_to(&peers, delayed(50), 60);
        net.refused = peers[..refused].to_vec();
        net.client.update(net.now, |keys| keys.type_keys(b"k"));
        // The delay of a client, and half a round trip.
        net.run_for(MS * 51);
        assert_eq!(net.server.remote().1.end(), 1, "{refused} refused");
        assert_eq!(net.client.stats().port_hops, refused as u64);
        reach_step(&mut net, SECOND);
        assert_eq!(net.client.peer_addr(), Some(peers[refused]));
        assert!(said_to(&net, peers[refused]) > 0);
    }
}

#[test]
fn address_that_is_refused_later_is_left_with_the_next_key() {
    let mut net = pair_to(&[SERVER, OTHERS[0]], delayed(50), 61);
    net.run_for(SECOND * 5);
    net.refused = vec![SERVER];
    net.client.update(net.now, |keys| keys.type_keys(b"k"));
    net.run_for(MS * 60);
    assert_eq!(net.server.remote().1.end(), 1);
    assert_eq!(net.client.stats().port_hops, 1);
    // And back, once that one is refused and the network has changed.
    net.run_for(SECOND * 5);
    net.refused = vec![OTHERS[0]];
    net.client.handle_network_change(net.now);
    net.run_for(MS * 60);
    assert_eq!(net.client.stats().port_hops, 2);
    reach_step(&mut net, SECOND);
}

#[test]
fn addresses_that_are_all_refused_are_tried_ever_more_seldom() {
    let mut net = pair_to(&[SERVER, OTHERS[0], OTHERS[1]], delayed(50), 62);
    net.refused = vec![SERVER, OTHERS[0], OTHERS[1]];
    net.client.update(net.now, |keys| keys.type_keys(b"k"));
    net.run_for(SECOND * 60);
    let stats = net.client.stats();
    assert_eq!(stats.datagrams_sent, stats.send_failures);
    assert!(stats.send_failures <= 100, "{stats:?}");
    assert!(stats.ports <= 10, "{stats:?}");
    net.refused.truncate(2);
    reach_step(&mut net, SECOND * 14);
}
