//! What this machine does to a session: clocks that jump, and kernels that refuse, in virtual time.

mod support;

use gannet_roam::proto::{Protocol, SendFailure};
use support::net::To;
use support::pair::{MS, Readers, SECOND, delayed, pair, reach_step, settled};

#[test]
fn round_trips_survive_the_wrap_of_timestamps() {
    let mut net = settled(1);
    // Longer than 2^16 ms, twice.
    for _ in 0..140 {
        net.client.update(net.now, |keys| keys.type_keys(b"k"));
        net.run_for(SECOND);
        let srtt = net.client.stats().srtt;
        assert!((MS * 99..MS * 120).contains(&srtt), "{srtt:?}");
    }
}

#[test]
fn hour_of_sleep_costs_no_burst() {
    for pending in [false, true] {
        let mut net = settled(2);
        if pending {
            net.client.update(net.now, |keys| keys.type_keys(b"k"));
            net.server.update(net.now, |screen| screen.print(b"k"));
        }
        net.now += SECOND * 3600;
        let woken = net.now;
        net.run_for(SECOND);
        for to in [To::Client, To::Server] {
            let sent = net.sent_since(to, woken).len();
            assert!(sent <= 12, "{sent} to {to:?} in the first second");
        }
        reach_step(&mut net, SECOND * 4);
    }
}

#[test]
fn refused_length_falls_back_to_the_last_resort() {
    let mut net = pair(delayed(50), 3);
    net.path_limit = 600;
    let mut readers = Readers::default();
    let output: Vec<u8> = (0..20_000u32)
        .flat_map(|n| n.wrapping_mul(7919).to_be_bytes())
        .collect();
    net.server.update(net.now, |screen| screen.print(&output));
    reach_step(&mut net, SECOND * 10);
    readers.read(&mut net);
    assert_eq!(readers.output, output);
    let longest = net.sent.iter().map(|flight| flight.octets.len()).max();
    assert_eq!(longest, Some(500));
    assert!(net.server.stats().send_failures >= 1);
}

#[test]
fn refused_state_is_sent_again_at_once() {
    let mut net = settled(4);
    net.path_limit = 600;
    let output: Vec<u8> = (0..1000u32)
        .flat_map(|n| n.wrapping_mul(7919).to_be_bytes())
        .collect();
    net.server.update(net.now, |screen| screen.print(&output));
    // A frame, half a round trip, the answer's delay and the other half.
    reach_step(&mut net, MS * 350);
}

#[test]
fn nothing_spins_when_every_send_fails() {
    let mut net = settled(5);
    net.cut = [true; 2];
    net.client.update(net.now, |keys| keys.type_keys(b"k"));
    let mut wakes = 0;
    let until = net.now + SECOND * 60;
    let mut out = Vec::new();
    while let Some(at) = net.client.poll_timeout(net.now).filter(|&at| at <= until) {
        net.now = net.now.max(at);
        wakes += 1;
        net.client.handle_timeout(net.now);
        while let Some(transmit) = net.client.poll_transmit(net.now, &mut out) {
            let failure = SendFailure::Unreachable;
            net.client
                .handle_send_failure(net.now, transmit.port, failure);
            out.clear();
        }
        while net.client.poll_port().is_some() {}
    }
    assert!(wakes <= 80, "{wakes} wake-ups in a minute");
}
