use super::*;

const MS: Duration = Duration::from_millis(1);
const TRIAL: Duration = Duration::from_millis(500);

fn addr(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

/// Paths whose client at host 1 is proved, at some time, and that time.
fn proved() -> (Paths, Instant) {
    let now = gannet_sys::clock::now();
    let mut paths = Paths::default();
    paths.heard(now, addr(1, 1), 100, TRIAL);
    paths.sent(now, addr(1, 1), 100);
    paths.set_challenge(1);
    paths.confirmed(1);
    assert_eq!(paths.budget(now), u64::MAX);
    (paths, now)
}

#[test]
fn nobody_heard_means_no_target() {
    let now = gannet_sys::clock::now();
    let mut paths = Paths::default();
    assert_eq!(paths.target(now), None);
    assert_eq!(paths.changes_at(now), None);
    assert!(!paths.wants_challenge(now));
    assert!(!paths.detach_if_silent(now + Duration::from_secs(3600)));
}

#[test]
fn candidate_gets_three_times_what_came_from_its_host() {
    let (mut paths, now) = proved();
    paths.heard(now, addr(2, 5), 100, TRIAL);
    assert_eq!(paths.target(now), Some(addr(2, 5)));
    assert_eq!(paths.budget(now), 300);
    paths.sent(now, addr(2, 5), 299);
    assert_eq!(paths.budget(now), 1);
    paths.heard(now, addr(2, 6), 10, TRIAL);
    assert_eq!(paths.target(now), Some(addr(2, 6)), "another port of it");
    assert_eq!(paths.budget(now), 31);
}

#[test]
fn another_port_of_a_proved_host_is_proved() {
    let (mut paths, now) = proved();
    paths.heard(now, addr(2, 5), 100, TRIAL);
    paths.heard(now, addr(1, 9), 100, TRIAL);
    assert_eq!(paths.target(now), Some(addr(1, 9)));
    assert_eq!(paths.budget(now), u64::MAX);
    assert_eq!(paths.target(now + TRIAL), Some(addr(1, 9)), "no candidate");
}

#[test]
fn trial_over_returns_to_the_proved_address() {
    let (mut paths, now) = proved();
    paths.heard(now, addr(2, 5), 100, TRIAL);
    assert_eq!(paths.changes_at(now), Some(now + TRIAL));
    assert_eq!(paths.target(now + TRIAL - MS), Some(addr(2, 5)));
    assert_eq!(paths.target(now + TRIAL), Some(addr(1, 1)));
    assert_eq!(paths.budget(now + TRIAL), u64::MAX);
    assert!(!paths.wants_challenge(now + TRIAL));
    paths.heard(now + TRIAL, addr(2, 5), 100, TRIAL);
    assert_eq!(paths.target(now + TRIAL), Some(addr(2, 5)), "speaks again");
}

#[test]
fn first_client_stays_the_target_without_a_proof() {
    let now = gannet_sys::clock::now();
    let mut paths = Paths::default();
    paths.heard(now, addr(1, 1), 100, TRIAL);
    assert_eq!(paths.target(now + TRIAL * 9), Some(addr(1, 1)));
    assert_eq!(paths.budget(now + TRIAL * 9), 300);
}

#[test]
fn confirmed_challenge_proves() {
    for (number, is_proof) in [(4, false), (5, true), (6, true)] {
        let (mut paths, now) = proved();
        paths.heard(now, addr(2, 5), 100, TRIAL);
        assert!(paths.wants_challenge(now));
        paths.set_challenge(5);
        assert!(!paths.wants_challenge(now));
        paths.confirmed(number);
        assert_eq!(paths.budget(now) == u64::MAX, is_proof, "state {number}");
    }
}

#[test]
fn challenge_that_may_have_gone_elsewhere_proves_nothing() {
    let (mut paths, now) = proved();
    paths.heard(now, addr(2, 5), 100, TRIAL);
    paths.set_challenge(5);
    paths.sent(now + TRIAL, addr(1, 1), 100);
    paths.heard(now + TRIAL, addr(2, 5), 100, TRIAL);
    paths.confirmed(5);
    assert_ne!(paths.budget(now + TRIAL), u64::MAX);
    assert!(paths.wants_challenge(now + TRIAL), "a new one is needed");
}

/// A timestamp is a proof if it cannot have been sent to anybody else.
#[test]
fn timestamp_proves_if_nothing_went_elsewhere_for_long_enough() {
    let round_trip = MS * 100;
    let oldest = round_trip + TIMESTAMP_HOLD_LIMIT;
    for (later, is_proof) in [(oldest, false), (oldest + MS, true)] {
        let (mut paths, sent_to_first) = proved();
        let now = sent_to_first + later;
        paths.heard(now, addr(2, 5), 100, TRIAL);
        paths.timestamp_came_back(now, addr(2, 5), round_trip);
        assert_ne!(paths.budget(now), u64::MAX, "nothing was sent there");
        paths.sent(now, addr(2, 5), 50);
        paths.timestamp_came_back(now, addr(2, 5), round_trip);
        assert_eq!(paths.budget(now) == u64::MAX, is_proof, "{later:?} later");
    }
}

/// The echo of what went to one candidate, forwarded from another host, is no proof of the other.
#[test]
fn timestamp_sent_to_another_candidate_proves_nothing() {
    let now = gannet_sys::clock::now();
    let mut paths = Paths::default();
    paths.heard(now, addr(1, 1), 100, TRIAL);
    paths.sent(now, addr(1, 1), 100);
    paths.heard(now + MS, addr(66, 1), 100, TRIAL);
    paths.sent(now + MS, addr(66, 1), 100);
    paths.timestamp_came_back(now + MS * 60, addr(66, 1), MS * 50);
    assert_eq!(paths.budget(now), 200);
}

#[test]
fn silent_client_is_detached_after_forty_seconds() {
    for has_candidate in [false, true] {
        let (mut paths, mut heard) = proved();
        if has_candidate {
            heard += MS * 7;
            paths.heard(heard, addr(2, 5), 100, TRIAL);
        }
        let gone = heard + SERVER_ASSOCIATION_TIMEOUT;
        assert_eq!(paths.changes_at(heard + TRIAL), Some(gone));
        assert!(!paths.detach_if_silent(gone - MS));
        assert!(paths.detach_if_silent(gone));
        assert_eq!(paths.target(gone), None);
        assert_eq!(paths.changes_at(gone), None);
        assert!(!paths.detach_if_silent(gone), "once");
        paths.heard(gone, addr(3, 1), 100, TRIAL);
        assert_eq!(paths.target(gone), Some(addr(3, 1)), "attached again");
        assert_eq!(paths.budget(gone), 300);
    }
}
