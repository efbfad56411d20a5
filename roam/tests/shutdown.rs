//! How sessions end, in virtual time: from either end, from both, with losses, with much to say.

mod support;

use gannet_roam::proto::{Event, Protocol};
use support::net::{Faults, To, host};
use support::pair::{MS, Pair, SECOND, delayed, pair, settled};

/// Runs until both sides are closed; returns how each has ended.
fn ending(net: &mut Pair) -> [bool; 2] {
    let until = net.now + SECOND * 60;
    let ended = net.run_while(until, |net| {
        !(net.client.is_closed() && net.server.is_closed())
    });
    assert!(ended, "a minute later");
    assert_eq!(net.client.poll_timeout(net.now), None);
    assert_eq!(net.server.poll_timeout(net.now), None);
    [To::Client, To::Server].map(|side| {
        let closed = net.events.iter().find_map(|(to, event)| match event {
            Event::Closed { clean } if *to == side => Some(*clean),
            _ => None,
        });
        closed.expect("an event")
    })
}

#[test]
fn either_end_closes_cleanly() {
    for side in 0..3 {
        let mut net = settled(1);
        net.client.update(net.now, |keys| keys.type_keys(b"exit"));
        net.server.update(net.now, |screen| screen.print(b"bye"));
        if side != 1 {
            net.client.shut_down(net.now);
        }
        if side != 0 {
            net.server.shut_down(net.now);
        }
        assert_eq!(ending(&mut net), [true; 2], "side {side}");
        if side != 0 {
            assert_eq!(net.client.remote().1, net.server.local(), "side {side}");
        }
        if side != 1 {
            assert_eq!(net.server.remote().1, net.client.local(), "side {side}");
        }
    }
}

/// One end asks; its last state arrives if it closes cleanly. The other end closes in any case, unless
/// it hears nothing, which no protocol can prevent.
#[test]
fn last_state_arrives_through_losses() {
    let mut clean = 0;
    for seed in 0..40 {
        let mut net = settled(100 + seed);
        net.faults = Faults {
            loss: 20,
            ..delayed(50)
        };
        let last: Vec<u8> = (0..150u8).map(|n| n.wrapping_mul(73)).collect();
        net.server.update(net.now, |screen| screen.print(&last));
        net.server.shut_down(net.now);
        net.run_for(SECOND * 12);
        assert!(net.server.is_closed());
        if net.server.outcome() == Some(true) {
            clean += 1;
            assert!(net.client.is_ending());
            assert_eq!(net.client.remote().1, net.server.local());
        }
    }
    assert!(clean >= 38, "{clean} of 40 clean");
}

#[test]
fn both_ends_at_once_close_cleanly_through_losses() {
    let mut clean = 0;
    for seed in 0..20 {
        let mut net = settled(200 + seed);
        net.faults = Faults {
            loss: 20,
            ..delayed(50)
        };
        net.client.shut_down(net.now);
        net.server.shut_down(net.now);
        clean += ending(&mut net).iter().filter(|clean| **clean).count();
    }
    assert!(clean >= 38, "{clean} of 40 clean");
}

#[test]
fn unanswered_end_is_given_up_after_sixteen_tries() {
    let mut net = settled(2);
    net.cut[To::Server as usize] = true;
    let asked = net.now;
    net.client.shut_down(net.now);
    net.run_for(SECOND * 11);
    assert_eq!(net.client.outcome(), Some(false));
    assert_eq!(net.sent_since(To::Server, asked).len(), 16);
}

#[test]
fn detached_server_closes_at_once() {
    let mut net = settled(3);
    net.cut = [true; 2];
    net.run_for(SECOND * 45);
    net.server.shut_down(net.now);
    assert_eq!(net.server.outcome(), Some(false));
}

#[test]
fn server_that_never_had_a_client_closes_at_once() {
    let mut net = pair(delayed(50), 4);
    net.server.shut_down(net.now);
    assert!(net.server.is_closed());
}

/// The last state is too big for an address that has not answered: neither is the number of the end
/// wasted on less, nor does anything spin.
#[test]
fn end_waits_for_the_proof_of_a_new_address() {
    let mut net = settled(5);
    let last: Vec<u8> = (0..20_000u32)
        .flat_map(|n| n.wrapping_mul(7919).to_be_bytes())
        .collect();
    net.client_host = host(9);
    net.client.update(net.now, |keys| keys.type_keys(b"k"));
    net.run_for(MS * 52);
    net.server.update(net.now, |screen| screen.print(&last));
    net.server.shut_down(net.now);
    assert_eq!(ending(&mut net), [true; 2]);
    assert_eq!(net.client.remote().1, net.server.local());
}

#[test]
fn end_toward_an_address_that_never_answers_is_given_up() {
    let mut net = pair(delayed(50), 6);
    net.cut[To::Client as usize] = true;
    let last: Vec<u8> = (0..20_000u32)
        .flat_map(|n| n.wrapping_mul(7919).to_be_bytes())
        .collect();
    net.server.update(net.now, |screen| screen.print(&last));
    net.run_for(MS * 60);
    net.server.shut_down(net.now);
    net.run_for(SECOND * 12);
    assert_eq!(net.server.outcome(), Some(false));
}

/// The time is over while fragments wait for their turn: nothing spins until then, and none follows.
#[test]
fn end_is_given_up_in_the_middle_of_a_long_state() {
    let mut net = pair(delayed(400), 7);
    net.run_for(SECOND * 10);
    net.cut[To::Client as usize] = true;
    let last: Vec<u8> = (0..250_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    net.server.update(net.now, |screen| screen.print(&last));
    let asked = net.now;
    net.server.shut_down(net.now);
    net.run_for(SECOND * 12);
    assert_eq!(net.server.outcome(), Some(false));
    let late = net.sent_since(To::Client, asked + SECOND * 10);
    assert_eq!(late.len(), 0);
    let just_before = net.sent_since(To::Client, asked + MS * 9900);
    assert!(!just_before.is_empty(), "fragments were on their way");
}
