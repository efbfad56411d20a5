//! Two ends through a bad network in virtual time: every combination of faults ends in the exact
//! state, with each change applied once.

mod support;

use std::time::Duration;

use support::net::Faults;
use support::pair::{MS, Readers, pair};

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
    let mut readers = Readers::default();
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
        readers.read(&mut net);
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
    readers.read(&mut net);
    assert!(quiet, "{faults:?}: not quiet {limit:?} after healing");
    assert_eq!(readers.keys, typed, "{faults:?}: keys");
    assert_eq!(readers.output, printed, "{faults:?}: output");
}

#[test]
fn every_cell_ends_in_the_exact_state() {
    let cells = cells();
    assert_eq!(cells.len(), 128);
    for (seed, cell) in cells.into_iter().enumerate() {
        run(cell, seed as u64);
    }
}
