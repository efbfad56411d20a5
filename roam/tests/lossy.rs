//! Instructions of many fragments through a network that loses some of them.

mod support;

use support::net::Faults;
use support::pair::{SECOND, delayed, reach_step, settled};

/// Octets that do not get shorter.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..len).map(|_| rng.u8(..)).collect()
}

/// That all of a hundred fragments come at the first try is out of the question, one way or both: what
/// is sent again completes what was lost.
#[test]
fn big_states_arrive_through_losses() {
    let big = 120_000;
    for (loss, up, down) in [(5, 0, big), (5, big, 0), (5, big, big), (10, 0, big)] {
        for seed in 0..3 {
            let mut net = settled(seed);
            net.faults = Faults {
                loss,
                ..delayed(20)
            };
            net.client
                .update(net.now, |keys| keys.type_keys(&noise(up, seed)));
            net.server
                .update(net.now, |screen| screen.print(&noise(down, seed + 9)));
            reach_step(&mut net, SECOND * 10);
        }
    }
}
