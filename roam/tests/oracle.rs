//! Sessions against an oracle: whatever the network and the applications do, in whatever order, each
//! change arrives exactly once and in order. Seeded; `GANNET_SESSIONS` runs more of them.

mod support;

use std::time::Duration;

use fastrand::Rng;
use gannet_roam::proto::Port;
use support::net::{Faults, host};
use support::pair::{MS, Pair, Readers, SECOND, delayed, pair, reach_step};

/// What both sides have said.
#[derive(Default)]
struct Said {
    keys: Vec<u8>,
    output: Vec<u8>,
    /// Fills octets that tell what is missing.
    next: u8,
}

impl Said {
    fn octets(&mut self, length: usize) -> Vec<u8> {
        let mut next = || {
            self.next = self.next.wrapping_add(1);
            self.next
        };
        (0..length).map(|_| next()).collect()
    }
}

fn faults(rng: &mut Rng) -> Faults {
    Faults {
        delay: MS * [0, 10, 100, 700][rng.usize(0..4)],
        loss: [0, 0, 5, 30][rng.usize(0..4)],
        duplicate: [0, 10][rng.usize(0..2)],
        reorder: [0, 25][rng.usize(0..2)],
        corrupt: [0, 2][rng.usize(0..2)],
    }
}

/// One thing that happens.
fn happen(net: &mut Pair, said: &mut Said, readers: &mut Readers, rng: &mut Rng) {
    match rng.u32(0..12) {
        0..=2 => {
            let keys = said.octets(rng.usize(1..20));
            net.client.update(net.now, |stream| stream.type_keys(&keys));
            said.keys.extend_from_slice(&keys);
        }
        3..=4 => {
            let length = [1, 80, 3000, 20_000][rng.usize(0..4)];
            let octets = said.octets(length);
            net.server.update(net.now, |screen| screen.print(&octets));
            said.output.extend_from_slice(&octets);
        }
        5 => {
            let width = rng.i32(1..200);
            net.client
                .update(net.now, |stream| stream.resize(width, 24));
        }
        6 => net.client_host = host(rng.u8(2..250)),
        7 => net.rebound = rng.u16(0..1000),
        8 => net.cut = [rng.u8(0..3) == 0, rng.u8(0..3) == 0],
        9 if net.dead.is_empty() => net.dead.push(Port::FIRST),
        10 => net.faults = faults(rng),
        _ => readers.read(net),
    }
    let pause = [1, 30, 200, 2000][rng.usize(0..4)];
    net.run_for(MS * rng.u32(0..pause));
}

fn run(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut net = pair(faults(&mut rng), seed);
    let (mut said, mut readers) = (Said::default(), Readers::default());
    for _ in 0..rng.usize(10..60) {
        happen(&mut net, &mut said, &mut readers, &mut rng);
        readers.read(&mut net);
        assert!(said.keys.starts_with(&readers.keys), "seed {seed}: keys");
        let shown = &readers.output;
        assert!(said.output.starts_with(shown), "seed {seed}: output");
    }
    net.cut = [false; 2];
    net.faults = delayed(20);
    // The longest wait for a fresh port, and for a heartbeat from it.
    reach_step(&mut net, SECOND * 14);
    readers.read(&mut net);
    assert_eq!(readers.keys, said.keys, "seed {seed}");
    assert_eq!(readers.output, said.output, "seed {seed}");
    let memory = net.client.stats().memory + net.server.stats().memory;
    assert!(memory < 64 << 20, "seed {seed}: {memory} bytes");
    net.run_for(Duration::from_secs(3));
}

#[test]
fn every_session_agrees_with_the_oracle() {
    let sessions = std::env::var("GANNET_SESSIONS").ok();
    let sessions = sessions.map_or(200, |text| text.parse().expect("a number"));
    for seed in 0..sessions {
        run(seed);
    }
}
