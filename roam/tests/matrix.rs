//! Two ends through a bad network in virtual time: every combination of faults ends in the exact
//! state, with each change applied once.

mod support;

use std::time::Duration;

use fastrand::Rng;
use gannet_roam::proto::{Key, Session};
use gannet_roam::{Output, UserStream};
use support::net::{Faults, Net, SERVER};

type Client = Session<UserStream, Output>;
type Server = Session<Output, UserStream>;

const MS: Duration = Duration::from_millis(1);

fn pair(faults: Faults, seed: u64) -> Net<Client, Server> {
    let start = gannet_sys::clock::now();
    let key = Key::from_bytes([7; 16]);
    let random = |seed| {
        let mut rng = Rng::with_seed(seed);
        Box::new(move |octets: &mut [u8]| rng.fill(octets))
    };
    let states = (UserStream::new(), Output::new());
    let client =
        Session::client(&key, vec![SERVER], states, start, random(seed)).expect("a client");
    let states = (Output::new(), UserStream::new());
    let server = Session::server(&key, states.0, states.1, start, random(seed + 1));
    Net::new(start, client, server, faults, seed)
}

/// The cell's name is its faults, and its seed the number of the cell.
fn cells() -> Vec<Faults> {
    let mut cells = Vec::new();
    for delay in [0, 50, 200, 1000] {
        for loss in [0, 5, 20, 50] {
            for duplicate in [0, 10] {
                for reorder in [0, 25] {
                    for corrupt in [0, 1] {
                        cells.push(Faults {
                            delay: MS * delay,
                            loss,
                            duplicate,
                            reorder,
                            corrupt,
                        });
                    }
                }
            }
        }
    }
    cells
}

/// Both sides change 60 times within six seconds, then the network heals.
fn run(faults: Faults, seed: u64) {
    let mut net = pair(faults, seed);
    let (mut typed, mut printed) = (Vec::new(), Vec::new());
    let (mut read, mut seen) = (Vec::new(), Vec::new());
    for step in 0..60u32 {
        let keys = format!("k{step};");
        net.client
            .update(net.now, |stream| stream.type_keys(keys.as_bytes()));
        typed.extend_from_slice(keys.as_bytes());
        let output = format!("line {step}\r\n").repeat(1 + step as usize % 7 * 40);
        net.server
            .update(net.now, |screen| screen.print(output.as_bytes()));
        printed.extend_from_slice(output.as_bytes());
        net.run_for(MS * 100);
        take(&mut net, &mut read, &mut seen);
    }
    net.faults = Faults {
        delay: faults.delay,
        ..Faults::default()
    };
    let healed = net.now;
    // Three round trips and an RTO, and what the resend timer may have backed off to.
    let limit = faults.delay * 6 + Duration::from_secs(5) + Duration::from_secs(3);
    let quiet = net.run_while(healed + limit, |net| {
        !(net.client.is_confirmed() && net.server.is_confirmed())
    });
    take(&mut net, &mut read, &mut seen);
    assert!(quiet, "{faults:?}: not quiet {limit:?} after healing");
    assert_eq!(read, typed, "{faults:?}: keys");
    assert_eq!(seen, printed, "{faults:?}: output");
}

/// Reads on, as an application does.
fn take(net: &mut Net<Client, Server>, read: &mut Vec<u8>, seen: &mut Vec<u8>) {
    use gannet_roam::proto::UserEvent;
    for event in net.server.take_remote().since(read.len() as u64) {
        if let UserEvent::Keys(keys) = event {
            read.extend_from_slice(&keys);
        }
    }
    seen.extend_from_slice(&net.client.take_remote().since(seen.len() as u64));
}

#[test]
fn every_cell_ends_in_the_exact_state() {
    let cells = cells();
    assert_eq!(cells.len(), 128);
    for (seed, cell) in cells.into_iter().enumerate() {
        run(cell, seed as u64);
    }
}
