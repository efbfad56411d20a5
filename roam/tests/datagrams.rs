//! The application's own datagrams through every combination of faults, in virtual time.

mod support;

use std::collections::HashSet;
use std::time::Instant;

use gannet_roam::proto::{Arrival, Datagrams, Event, LocalError, Port, Protocol};
use support::net::{Faults, Net, SERVER, To, host};
use support::pair::{MS, SECOND, delayed, key};

type Pair = Net<Datagrams, Datagrams>;

fn pair(faults: Faults, seed: u64) -> Pair {
    let start = gannet_sys::clock::now();
    let client = Datagrams::client(&key(), vec![SERVER], start).expect("a client");
    Net::new(
        start,
        client,
        Datagrams::server(&key(), start),
        faults,
        seed,
    )
}

/// A pair that has been idle for a while.
fn idle(seed: u64) -> Pair {
    let mut net = pair(delayed(50), seed);
    net.run_for(SECOND * 10);
    net
}

/// Numbers that arrived, each once.
#[derive(Default)]
struct Arrived {
    numbers: HashSet<u32>,
}

impl Arrived {
    fn take(&mut self, end: &mut Datagrams) {
        while let Some(payload) = end.recv() {
            let number = payload[..].try_into().expect("four octets");
            let is_new = self.numbers.insert(u32::from_be_bytes(number));
            assert!(is_new, "{number:?} twice");
        }
    }
}

#[test]
fn nothing_arrives_twice_or_damaged_whatever_the_faults() {
    let mut seed = 0;
    for delay in [0, 50, 200, 1000] {
        for (loss, duplicate) in [(0, 0), (0, 10), (5, 10), (20, 0), (50, 10)] {
            for (reorder, corrupt) in [(0, 0), (25, 0), (25, 1)] {
                let faults = Faults {
                    loss,
                    duplicate,
                    reorder,
                    corrupt,
                    ..delayed(delay)
                };
                seed += 1;
                through(faults, seed);
            }
        }
    }
}

fn through(faults: Faults, seed: u64) {
    let mut net = pair(faults, seed);
    net.run_for(SECOND * 8);
    let mut arrived = [Arrived::default(), Arrived::default()];
    for number in 0..100u32 {
        let payload = number.to_be_bytes();
        net.client.send(net.now, &payload).expect("room");
        net.server.send(net.now, &payload).expect("room");
        net.run_for(MS * 10);
        arrived[0].take(&mut net.server);
        arrived[1].take(&mut net.client);
    }
    net.run_for(faults.delay + SECOND * 3);
    arrived[0].take(&mut net.server);
    arrived[1].take(&mut net.client);
    let is_lossless = faults.loss == 0 && faults.corrupt == 0;
    for Arrived { numbers } in arrived {
        assert!(numbers.iter().all(|number| *number < 100), "{faults:?}");
        if is_lossless {
            assert_eq!(numbers.len(), 100, "{faults:?}");
        }
    }
    assert_eq!(net.client.stats().payloads_dropped, 0);
}

#[test]
fn idle_pair_beats_every_three_seconds() {
    let mut net = idle(1);
    let from = net.now;
    net.run_for(SECOND * 60);
    for to in [To::Client, To::Server] {
        let beats = net.sent_since(to, from).len();
        assert!((18..=21).contains(&beats), "{beats} to {to:?}");
    }
    assert!(net.client.recv().is_none() && net.server.recv().is_none());
    let silent = |(_, event): &(To, Event)| matches!(event, Event::Silent { .. });
    assert!(!net.events.iter().any(silent));
}

/// What comes late was on its way before the silence, which goes on: it was told once, and is not over.
#[test]
fn late_datagram_ends_no_silence() {
    let mut net = idle(9);
    let [mut late, mut last, mut newest] = [b"late", b"last", b"news"].map(|payload| {
        let mut octets = Vec::new();
        net.server.send(net.now, payload).expect("room");
        net.server
            .poll_transmit(net.now, &mut octets)
            .expect("a client that was heard");
        octets
    });
    let mut hear = |now: Instant, datagram: Option<&mut [u8]>| {
        let arrival = Arrival {
            now,
            port: Port::FIRST,
            from: SERVER,
            congested: false,
        };
        if let Some(datagram) = datagram {
            let heard = net.client.handle_datagram(&arrival, datagram);
            heard.expect("an honest one");
        }
        net.client.handle_timeout(now);
        std::iter::from_fn(|| net.client.poll_event()).collect::<Vec<Event>>()
    };
    assert_eq!(hear(net.now, Some(&mut last)), []);
    let silent = net.now + SECOND * 7;
    let told = hear(silent, None);
    assert!(matches!(told[..], [Event::Silent { .. }]), "{told:?}");
    assert_eq!(hear(silent, Some(&mut late)), []);
    assert_eq!(hear(silent, Some(&mut newest)), [Event::Resumed]);
}

#[test]
fn dead_port_is_left_within_four_seconds() {
    let mut net = idle(2);
    let received = net.client.stats().datagrams_received;
    net.dead.push(Port::FIRST);
    let until = net.now + SECOND * 4;
    let flows = net.run_while(until, |net| {
        net.client.stats().datagrams_received == received
    });
    assert!(flows);
    assert!(net.client.stats().port_hops >= 1);
}

/// An idle client proves its new address all the same, so the server may send as much as it likes.
#[test]
fn server_sends_freely_soon_after_an_idle_client_has_moved() {
    for moves in [false, true] {
        let mut net = idle(3);
        if moves {
            net.client_host = host(9);
            net.run_for(SECOND * 8);
        }
        for number in 0..200u32 {
            let payload = number.to_be_bytes().repeat(250);
            net.server.send(net.now, &payload).expect("room");
        }
        net.run_for(SECOND);
        let mut received = 0;
        while net.client.recv().is_some() {
            received += 1;
        }
        assert_eq!(received, 200, "after a move: {moves}");
    }
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut net = idle(4);
    let now = net.now;
    assert_eq!(net.client.send(now, b""), Err(LocalError::Empty));
    assert_eq!(net.client.payload_max(now), 1252 - 28);
    let (len, limit) = (1225, 1224);
    let too_long = Err(LocalError::TooLong { len, limit });
    assert_eq!(net.client.send(now, &[7; 1225]), too_long);
    for _ in 0..256 {
        assert_eq!(net.client.send(now, &[7; 1224]), Ok(()));
    }
    assert_eq!(net.client.send(now, b"x"), Err(LocalError::QueueFull));
    net.run_for(SECOND);
    assert_eq!(net.server.stats().payloads_dropped, 0);
    assert_eq!(net.client.send(net.now, b"x"), Ok(()));
    net.run_for(SECOND);
    assert_eq!(net.server.stats().payloads_dropped, 1, "nobody takes them");
    net.client.shut_down(net.now);
    assert_eq!(net.client.send(net.now, b"x"), Err(LocalError::Closed));
}

#[test]
fn refused_length_makes_payloads_shorter() {
    let mut net = idle(5);
    net.path_limit = 600;
    net.client.send(net.now, &[7; 1000]).expect("room");
    net.run_for(SECOND);
    assert_eq!(net.client.payload_max(net.now), 500 - 28);
    net.client.send(net.now, &[7; 472]).expect("room");
    net.run_for(SECOND);
    assert_eq!(net.server.recv(), Some(vec![7; 472]));
}

#[test]
fn server_without_a_word_of_its_client_detaches_and_rests() {
    let mut net = idle(6);
    net.cut[To::Server as usize] = true;
    net.run_for(SECOND * 45);
    assert!(net.events.contains(&(To::Server, Event::Detached)));
    assert_eq!(net.server.poll_timeout(net.now), None);
    net.server.send(net.now, b"kept").expect("room");
    net.cut[To::Server as usize] = false;
    net.run_for(SECOND * 11);
    assert_eq!(net.client.recv(), Some(b"kept".to_vec()));
}
