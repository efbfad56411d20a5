//! The wheel against a sorted map that does the same slowly.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One step of a random run. Ticks are relative to the present.
#[derive(Debug, Clone)]
enum Step {
    Insert(u64),
    Remove(usize),
    Advance(u64),
}

/// Distances of every magnitude, boundaries of digits and of 2^30..2^32 ms (in ticks of 2^18 ns)
/// among them.
fn distance() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..200_u64,
        (0..46_u32, 0..3_u64).prop_map(|(bit, off)| (1_u64 << bit) + off - 1),
        (0..8_u32, 0..130_u64).prop_map(|(level, n)| n << (6 * level).min(40)),
        Just(4_096_000_000_000_u64),
        Just(16_384_000_000_000_u64),
        Just(u64::MAX >> 2),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => distance().prop_map(Step::Insert),
        1 => any::<usize>().prop_map(Step::Remove),
        3 => distance().prop_map(|d| Step::Advance(d.min(1 << 44))),
    ]
}

#[derive(Default)]
struct Oracle {
    due: BTreeMap<(u64, u64), Key>,
    now: u64,
}

#[track_caller]
fn check(steps: &[Step]) {
    let mut wheel = Wheel::new();
    let mut oracle = Oracle::default();
    for (id, step) in (0_u64..).zip(steps) {
        match *step {
            Step::Insert(distance) => {
                let tick = oracle
                    .now
                    .saturating_add(distance)
                    .clamp(oracle.now + 1, TICK_MAX);
                let key = wheel.insert(oracle.now.saturating_add(distance), (tick, id));
                oracle.due.insert((tick, id), key);
            }
            Step::Remove(nth) if !oracle.due.is_empty() => {
                let entry = *oracle
                    .due
                    .keys()
                    .nth(nth % oracle.due.len())
                    .expect("in range");
                let key = oracle.due.remove(&entry).expect("just found");
                assert_eq!(wheel.remove(key), Some(entry), "removing {entry:?}");
                assert_eq!(wheel.remove(key), None, "a stale key finds nothing");
            }
            Step::Remove(_) => {}
            Step::Advance(distance) => {
                oracle.now = (oracle.now + distance).min(TICK_MAX - 1);
                let later = oracle.due.split_off(&(oracle.now + 1, 0));
                // Now in one go, now in portions.
                let portion = [usize::MAX, 3, 1][id as usize % 3];
                let mut fired = Vec::new();
                loop {
                    let before = fired.len();
                    wheel.advance(oracle.now, portion, |entry| fired.push(entry));
                    assert!(fired.len() - before <= portion);
                    if wheel.next_tick().is_none_or(|next| next > oracle.now) {
                        break;
                    }
                }
                let expected: Vec<_> = std::mem::replace(&mut oracle.due, later)
                    .into_keys()
                    .collect();
                assert!(
                    fired.is_sorted_by_key(|(tick, _)| *tick),
                    "out of order: {fired:?}"
                );
                fired.sort_unstable();
                assert_eq!(fired, expected, "at {}", oracle.now);
            }
        }
        assert_eq!(wheel.values().count(), oracle.due.len());
        let earliest = oracle.due.keys().next().map(|(tick, _)| *tick);
        match (wheel.next_tick(), earliest) {
            (None, None) => {}
            (Some(next), Some(earliest)) => {
                assert!(oracle.now < next && next <= earliest, "{next} {earliest}")
            }
            other => panic!("next_tick disagrees: {other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wheel_agrees_with_sorted_map(steps in prop::collection::vec(step(), 1..80)) {
        check(&steps);
    }
}

#[test]
fn year_of_one_second_timers_fires_each_on_its_tick() {
    // 400 days of one timer after the other: each power of two up to 2^37 ticks is crossed.
    let second = 3815;
    let mut wheel = Wheel::new();
    let mut now = 0;
    wheel.insert(u64::MAX, 0);
    for n in 1..=400 * 86_400_u64 / 64 {
        wheel.insert(n * 64 * second, n);
        let mut fired = None;
        while fired.is_none() {
            now = wheel.next_tick().expect("a timer is pending");
            wheel.advance(now, usize::MAX, |n| fired = Some(n));
        }
        assert_eq!((fired, now), (Some(n), n * 64 * second));
    }
    assert_eq!(wheel.values().count(), 1, "the far timer is still there");
}

#[test]
fn entry_removed_on_its_own_tick_does_not_fire() {
    let mut wheel = Wheel::new();
    let (a, _b) = (wheel.insert(5, 'a'), wheel.insert(5, 'b'));
    wheel.advance(4, usize::MAX, |c| panic!("{c} fired early"));
    assert_eq!(wheel.remove(a), Some('a'));
    let mut fired = String::new();
    wheel.advance(5, usize::MAX, |c| fired.push(c));
    assert_eq!(fired, "b");
}

/// Mutant: timers_key_is_an_index: a key names a place and not the entry that was put there.
#[test]
fn stale_key_does_not_hit_the_entry_that_has_its_place() {
    let mut wheel = Wheel::new();
    let stale = wheel.insert(5, 'a');
    assert_eq!(wheel.remove(stale), Some('a'));
    let key = wheel.insert(5, 'b');
    assert_eq!(key.index, stale.index);
    assert_eq!(wheel.remove(stale), None);
    assert_eq!(wheel.remove(key), Some('b'));
}
