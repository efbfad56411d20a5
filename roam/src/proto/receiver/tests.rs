use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::{Blob, Output};

fn step(old: u64, new: u64, throwaway: u64, text: &str) -> Instruction {
    let mut output = Output::new();
    output.print(text.as_bytes());
    Instruction {
        old_num: old,
        new_num: new,
        throwaway_num: throwaway,
        diff: output.diff_from(&Output::new()),
        ..Instruction::new()
    }
}

const NEWEST: Result<Outcome, PeerError> = Ok(Outcome::Newest {
    asks: true,
    changed: true,
});

fn is_newest(outcome: Result<Outcome, PeerError>) -> bool {
    matches!(outcome, Ok(Outcome::Newest { .. }))
}

fn text(receiver: &Receiver<Output>) -> String {
    String::from_utf8(receiver.current().1.since(0)).expect("text")
}

#[test]
fn instructions_are_sorted_by_what_they_refer_to() {
    let now = gannet_sys::clock::now();
    let mut receiver = Receiver::new(Output::new());
    for (instruction, expected) in [
        (step(0, 1, 0, "a"), NEWEST),
        (step(0, 1, 0, "a"), Ok(Outcome::Known)),
        (step(7, 8, 0, "?"), Ok(Outcome::Unknown)),
        (step(1, 5, 0, "bcde"), NEWEST),
        (step(1, 3, 0, "bc"), Ok(Outcome::Late)),
        (step(3, 4, 0, "d"), Ok(Outcome::Late)),
        (step(5, 6, 5, "f"), NEWEST),
        (step(3, 9, 0, "!"), Ok(Outcome::Unknown)),
        (step(6, 6, 0, "!"), Ok(Outcome::Known)),
        (step(6, 2, 0, "!"), Err(PeerError::Numbers)),
        (step(6, 10, 7, "!"), Err(PeerError::Numbers)),
        (step(6, 10, u64::MAX, "!"), Err(PeerError::Numbers)),
        (step(6, u64::MAX, 6, "g"), NEWEST),
        (step(u64::MAX, u64::MAX, 6, ""), Ok(Outcome::Known)),
    ] {
        assert_eq!(receiver.receive(now, &instruction), expected);
    }
    assert_eq!(text(&receiver), "abcdefg");
    assert_eq!(receiver.current().0, u64::MAX);
}

#[test]
fn probes_and_heartbeats_change_nothing() {
    let now = gannet_sys::clock::now();
    let mut receiver = Receiver::new(Output::new());
    let mut probe = step(0, 1, 0, "");
    for (new, diff, asks) in [(1, Vec::new(), false), (2, Output::probe(), true)] {
        (probe.new_num, probe.diff) = (new, diff);
        let expected = Outcome::Newest {
            asks,
            changed: false,
        };
        assert_eq!(receiver.receive(now, &probe), Ok(expected));
    }
}

/// A change may need no octets: back to a state that the peer holds.
#[test]
fn change_without_octets_asks_too() {
    let now = gannet_sys::clock::now();
    let mut receiver = Receiver::new(Output::new());
    assert_eq!(receiver.receive(now, &step(0, 1, 0, "a")), NEWEST);
    assert_eq!(receiver.receive(now, &step(0, 2, 0, "")), NEWEST);
    assert_eq!(text(&receiver), "");
}

#[test]
fn senseless_difference_leaves_what_is_held() {
    let now = gannet_sys::clock::now();
    let mut receiver = Receiver::new(Output::new());
    let mut broken = step(0, 1, 0, "");
    broken.diff = vec![0xFF];
    assert_eq!(receiver.receive(now, &broken), Err(PeerError::Diff));
    assert_eq!(receiver.current().0, 0);
    assert_eq!(receiver.receive(now, &step(0, 1, 0, "a")), NEWEST);
}

#[test]
fn too_many_states_are_quenched() {
    let start = gannet_sys::clock::now();
    let mut receiver = Receiver::new(Output::new());
    for new in 1..=1024 {
        assert!(is_newest(receiver.receive(start, &step(0, new, 0, "a"))));
    }
    // One more per fifteen seconds, up to twice the number.
    let mut now = start;
    for new in 2000..3024 {
        assert!(is_newest(receiver.receive(now, &step(0, new, 0, "a"))));
        let next = step(0, new + 1, 0, "a");
        let soon = now + QUENCH_TIME - Duration::from_millis(1);
        assert_eq!(receiver.receive(soon, &next), Ok(Outcome::Full));
        now += QUENCH_TIME;
    }
    assert_eq!(
        receiver.receive(now, &step(0, 4000, 0, "a")),
        Ok(Outcome::Full)
    );
    let throwing = step(3023, 4000, 3023, "b");
    assert_eq!(receiver.receive(now, &throwing), NEWEST);
    assert_eq!(receiver.receive(now, &step(4000, 4001, 0, "c")), NEWEST);
}

#[test]
fn memory_is_bounded_and_given_back() {
    let now = gannet_sys::clock::now();
    let mut receiver = Receiver::new(Blob::new());
    let big = |number: u64| Blob::from(vec![number as u8; 4_000_000]);
    let step = |old, new, throwaway| Instruction {
        old_num: old,
        new_num: new,
        throwaway_num: throwaway,
        diff: big(new).diff_from(&Blob::new()),
        ..Instruction::new()
    };
    let outcomes: Vec<_> = (1..20)
        .map(|new| receiver.receive(now, &step(0, new, 0)))
        .collect();
    let taken = outcomes
        .iter()
        .filter(|outcome| **outcome == NEWEST)
        .count();
    assert_eq!(taken, 8);
    assert_eq!(outcomes[8], Ok(Outcome::Full));
    assert!(receiver.memory() <= RECEIVED_BYTES_MAX);
    let mut last = step(8, 20, 8);
    last.diff = Blob::new().diff_from(&big(8));
    assert_eq!(receiver.receive(now, &last), NEWEST);
    assert!(receiver.memory() < 4_001_000, "{}", receiver.memory());
}

/// What a log forgets at the peer's word must not look like a change.
#[test]
fn heartbeat_that_throws_away_changes_nothing() {
    let now = gannet_sys::clock::now();
    let mut receiver = Receiver::new(Output::new());
    assert_eq!(receiver.receive(now, &step(0, 1, 0, "a")), NEWEST);
    assert_eq!(receiver.take().since(0), b"a");
    let expected = Outcome::Newest {
        asks: false,
        changed: false,
    };
    assert_eq!(receiver.receive(now, &step(1, 2, 1, "")), Ok(expected));
    assert_eq!(receiver.take().since(1), b"");
}

/// The application has taken a state that is newer by its number, but lacks the octets.
#[test]
fn octets_that_were_not_taken_are_not_forgotten() {
    let now = gannet_sys::clock::now();
    let mut receiver = Receiver::new(Output::new());
    assert_eq!(receiver.receive(now, &step(0, 1, 0, "abc")), NEWEST);
    assert!(is_newest(receiver.receive(now, &step(0, 2, 0, ""))));
    assert_eq!(receiver.take().since(0), b"");
    assert!(is_newest(receiver.receive(now, &step(1, 3, 1, "de"))));
    assert_eq!(receiver.take().since(0), b"abcde");
    assert!(is_newest(receiver.receive(now, &step(3, 4, 3, "f"))));
    assert_eq!(receiver.current().1.since(5), b"f");
}

/// A state that counts how often it was made anew, and is as big as the difference says, in MiB.
#[derive(Clone)]
struct Costly {
    size: usize,
    made: Rc<Cell<u32>>,
}

impl PartialEq for Costly {
    fn eq(&self, other: &Self) -> bool {
        self.size == other.size
    }
}

impl State for Costly {
    fn diff_from(&self, _: &Self) -> Vec<u8> {
        Vec::new()
    }

    fn apply(&mut self, diff: &[u8]) -> Result<(), PeerError> {
        self.made.set(self.made.get() + 1);
        self.size = usize::from(*diff.first().ok_or(PeerError::Diff)?) << 20;
        Ok(())
    }

    fn size(&self) -> usize {
        self.size
    }
}

/// A receiver of these, and how many were made.
fn costly() -> (Receiver<Costly>, Rc<Cell<u32>>) {
    let made = Rc::default();
    let first = Costly {
        size: 0,
        made: Rc::clone(&made),
    };
    (Receiver::new(first), made)
}

fn big(new: u64, throwaway: u64, size: u8) -> Instruction {
    Instruction {
        old_num: throwaway,
        new_num: new,
        throwaway_num: throwaway,
        diff: vec![size],
        ..Instruction::new()
    }
}

#[test]
fn state_without_room_is_refused_before_it_is_made() {
    let now = gannet_sys::clock::now();
    let (mut receiver, made) = costly();
    assert!(is_newest(receiver.receive(now, &big(1, 0, 20))));
    for new in 2..100 {
        let refused = receiver.receive(now, &big(new, 0, 20));
        assert_eq!(refused, Ok(Outcome::Full));
    }
    assert_eq!(made.get(), 2, "one showed that there is no room");
    let later = now + FULL_PAUSE;
    assert!(is_newest(receiver.receive(later, &big(100, 0, 12))));
    let refused = receiver.receive(later, &big(101, 0, 1));
    assert_eq!((refused, made.get()), (Ok(Outcome::Full), 4));
    // What is given up makes room at once.
    assert!(is_newest(receiver.receive(later, &big(102, 100, 20))));
    assert_eq!((made.get(), receiver.memory()), (5, 32 << 20));
}

#[test]
fn state_beyond_the_number_is_refused_before_it_is_made() {
    let now = gannet_sys::clock::now();
    let (mut receiver, made) = costly();
    for new in 1..3000 {
        let _ = receiver.receive(now, &big(new, 0, 0));
    }
    assert_eq!(made.get(), 1025);
}
