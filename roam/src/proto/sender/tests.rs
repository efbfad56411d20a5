use super::*;
use crate::{Blob, Output};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(20);
const RTO: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_millis(150);

/// A sender, and a clock that a test moves.
struct Bench {
    sender: Sender<Blob>,
    start: Instant,
    now: Instant,
}

/// All diffs of a test fit.
const ROOM: usize = usize::MAX;

impl Bench {
    fn new() -> Self {
        Bench::with(8, false)
    }

    fn with(min_delay: u64, probes: bool) -> Self {
        let start = gannet_sys::clock::now();
        let min_delay = Duration::from_millis(min_delay);
        Bench {
            sender: Sender::new(Blob::new(), start, min_delay, probes),
            start,
            now: start,
        }
    }

    fn pace(&self) -> Pace {
        Pace {
            now: self.now,
            rto: RTO,
            interval: INTERVAL,
        }
    }

    fn set(&mut self, text: &str) {
        self.sender.update(|blob| *blob = Blob::from(text));
        self.sender.observe(self.now);
    }

    /// Waits for what is sent next; returns it, and how many milliseconds after the start.
    fn next(&mut self) -> (u128, Update) {
        for _ in 0..3 {
            let pace = self.pace();
            self.now = self.now.max(self.sender.deadline(&pace));
            let pace = self.pace();
            if let Tick::Due(update) = self.sender.tick(&pace, ROOM) {
                return ((self.now - self.start).as_millis(), update);
            }
        }
        panic!("the deadline passes and nothing is due");
    }

    /// Sends the first state and has it confirmed.
    fn settled() -> Self {
        let mut bench = Bench::new();
        bench.set("a");
        bench.next();
        bench.sender.confirmed(1);
        bench.sender.heard(bench.now, 1, false);
        bench.start = bench.now;
        bench
    }
}

fn numbers(update: &Update) -> (u64, u64, u64) {
    (update.old, update.new, update.throwaway)
}

#[test]
fn first_datagram_is_due_at_once_and_heartbeats_every_three_seconds() {
    let mut bench = Bench::new();
    for (at, number) in [(0, 1), (3000, 2), (6000, 3)] {
        let (time, update) = bench.next();
        assert_eq!((time, update.new), (at, number));
        assert!(update.diff.is_empty());
        bench.sender.confirmed(number);
    }
}

#[test]
fn change_waits_for_the_least_delay_and_the_frame() {
    for (min_delay, wait, expected) in [(8, 0, 20), (8, 15, 23), (1, 15, 20), (1, 100, 101)] {
        let mut bench = Bench::with(min_delay, false);
        assert_eq!(bench.next().0, 0);
        bench.now += Duration::from_millis(wait);
        bench.set("a");
        assert_eq!(bench.next().0, expected, "delay {min_delay}, after {wait}");
    }
}

#[test]
fn two_changes_share_a_frame_and_the_third_waits() {
    let mut bench = Bench::settled();
    bench.now += MS * 500;
    let mut sent = Vec::new();
    for text in ["b", "c", "d", "e"] {
        bench.set(text);
        sent.push(bench.next().0);
    }
    assert_eq!(sent, [508, 516, 528, 536]);
}

#[test]
fn data_is_confirmed_within_a_hundred_milliseconds() {
    let mut bench = Bench::settled();
    bench.now += MS * 500;
    bench.sender.heard(bench.now, 7, true);
    bench.sender.observe(bench.now);
    let (time, update) = bench.next();
    assert_eq!((time, update.ack), (600, 7));
    bench.sender.heard(bench.now, 8, false);
    assert_eq!(bench.next().0, 3600, "nobody waits for that one");
}

#[test]
fn unconfirmed_change_is_resent_ever_more_seldom() {
    let mut bench = Bench::settled();
    bench.set("b");
    let sent: Vec<u128> = (0..9).map(|_| bench.next().0 - 20).collect();
    assert_eq!(sent, [0, 150, 300, 600, 1200, 2400, 4800, 7800, 10_800]);
    // Ten seconds after the peer was heard only heartbeats are left, which say the same.
    let (time, update) = bench.next();
    assert_eq!((time - 20, update.again), (13_800, true));
    assert_eq!(numbers(&update), (1, 2, 1));
}

#[test]
fn second_change_starts_from_the_assumed_state_or_from_all_if_that_is_cheap() {
    for (length, old) in [(50, 1), (400, 2)] {
        let mut bench = Bench::settled();
        bench.set(&"b".repeat(length));
        assert_eq!(numbers(&bench.next().1), (1, 2, 1));
        bench.set(&"b".repeat(length + 1));
        assert_eq!(numbers(&bench.next().1), (old, 3, 1), "{length} octets");
        bench.now += PATIENCE;
        bench.set(&"b".repeat(length + 2));
        assert_eq!(numbers(&bench.next().1), (1, 4, 1), "no more assumed");
    }
}

#[test]
fn acknowledgement_of_what_was_never_sent_is_ignored() {
    let mut bench = Bench::settled();
    for number in [0, 2, 1 << 62, SHUTDOWN] {
        assert_eq!(bench.sender.confirmed(number), None);
    }
    assert_eq!(bench.sender.over(bench.now), None);
    bench.set("b");
    assert_eq!(numbers(&bench.next().1), (1, 2, 1));
}

#[test]
fn list_keeps_thirty_two_states_and_drops_from_its_middle() {
    let mut bench = Bench::settled();
    for step in 0..40 {
        bench.set(&format!("b{step}"));
        bench.next();
        assert!(bench.sender.sent.len() <= SENT_STATES_MAX);
    }
    let held: Vec<u64> = bench.sender.sent.iter().map(|sent| sent.number).collect();
    assert_eq!(held.len(), 32);
    assert_eq!((held[0], held[31]), (1, 41));
    // The 33rd entry, state 33, dropped the one with index 17, state 18, and so on.
    let dropped: Vec<u64> = (1..=41).filter(|number| !held.contains(number)).collect();
    assert_eq!(dropped, [18, 19, 20, 21, 22, 23, 24, 25, 26]);
}

/// Versions are told apart for ever: equal ones are taken for equal states.
#[test]
fn change_taken_back_and_made_anew_is_another_version() {
    let mut bench = Bench::settled();
    for text in ["b", "c"] {
        bench.set(&text.repeat(500));
        bench.next();
    }
    // The second challenge makes the newest number tell of the first state again.
    for later in [MS, PATIENCE * 2] {
        bench.now += later;
        let pace = bench.pace();
        bench.sender.challenging(&pace, 0);
    }
    assert_eq!(bench.sender.last().state.as_ref(), b"a");
    for text in ["a", "d"] {
        bench.set(text);
    }
    let version = bench.sender.version;
    let held = bench.sender.sent.iter();
    assert!(held.into_iter().all(|sent| sent.version != version));
    for number in 2..=5 {
        bench.sender.confirmed(number);
        assert!(!bench.sender.is_confirmed(), "by state {number}");
    }
}

/// However long ago the newest state was sent: its confirmation may be what was lost.
#[test]
fn challenge_that_has_no_room_takes_nothing_back() {
    let mut bench = Bench::settled();
    bench.set(&"b".repeat(500));
    bench.next();
    bench.now += PATIENCE * 2;
    bench.set(&"c".repeat(500));
    bench.sender.challenge(bench.now);
    let pace = bench.pace();
    let Tick::Due(update) = bench.sender.tick(&pace, 10) else {
        panic!("a challenge is due at once");
    };
    assert_eq!(numbers(&update), (2, 3, 1), "from the newest");
    assert_eq!(update.diff, Blob::probe());
    assert_eq!(bench.sender.current().as_ref(), "c".repeat(500).as_bytes());
    assert_eq!(bench.next().1.new, 4, "the change follows");
}

#[test]
fn lost_datagrams_are_replaced_at_once() {
    let mut bench = Bench::settled();
    bench.set(&"b".repeat(500));
    let (_, lost) = bench.next();
    bench.sender.resend(bench.now);
    let (time, update) = bench.next();
    assert_eq!(time, 20);
    assert_eq!(numbers(&update), (1, 2, 1));
    assert_eq!((update.diff, update.again), (lost.diff, true));
}

#[test]
fn shutdown_is_asked_sixteen_times_with_the_whole_last_state() {
    let mut bench = Bench::settled();
    bench.set(&"b".repeat(500));
    bench.sender.shut_down(bench.now);
    let mut asked = 0;
    while bench.sender.over(bench.now).is_none() {
        let (_, update) = bench.next();
        assert_eq!(numbers(&update), (1, SHUTDOWN, 1));
        assert!(update.diff.len() > 500);
        asked += 1;
    }
    assert_eq!(asked, SHUTDOWN_RETRIES);
    assert_eq!(bench.sender.over(bench.now), Some(false));
}

#[test]
fn shutdown_is_given_up_after_ten_seconds() {
    let mut bench = Bench::settled();
    bench.sender.shut_down(bench.now);
    bench.next();
    let end = bench.start + SHUTDOWN_TIMEOUT;
    assert_eq!(bench.sender.gives_up_at(), Some(end));
    assert_eq!(bench.sender.over(end - MS), None);
    assert_eq!(bench.sender.over(end), Some(false));
}

#[test]
fn shutdown_that_is_confirmed_is_clean() {
    let mut bench = Bench::settled();
    bench.sender.shut_down(bench.now);
    bench.set("too late");
    assert_eq!(bench.sender.current().as_ref(), b"a");
    bench.next();
    bench.sender.confirmed(SHUTDOWN);
    assert_eq!(bench.sender.over(bench.now), Some(true));
}

#[test]
fn shutdown_of_the_peer_is_answered_three_times() {
    for asks_too in [false, true] {
        let mut bench = Bench::settled();
        if asks_too {
            bench.sender.shut_down(bench.now);
            bench.next();
        }
        bench.sender.heard(bench.now, SHUTDOWN, false);
        bench.sender.confirmed(SHUTDOWN);
        for _ in 0..SHUTDOWN_ANSWERS {
            assert_eq!(bench.sender.over(bench.now), None);
            let (_, update) = bench.next();
            assert_eq!(update.ack, SHUTDOWN);
            assert_eq!(update.new == SHUTDOWN, asks_too);
        }
        assert_eq!(bench.sender.over(bench.now), Some(true));
    }
}

#[test]
fn challenge_in_vain_is_followed_by_one_from_what_the_peer_surely_has() {
    let mut bench = Bench::settled();
    bench.set(&"b".repeat(500));
    bench.next();
    for (later, old) in [(PATIENCE * 2, 2), (PATIENCE - MS, 3), (MS, 1)] {
        bench.now += later;
        let pace = bench.pace();
        let update = bench.sender.challenging(&pace, 0);
        assert_eq!(update.old, old);
        assert!(!bench.sender.is_confirmed());
    }
    bench.sender.confirmed(2);
    assert!(
        !bench.sender.is_confirmed(),
        "the challenges are on their way"
    );
    let pace = bench.pace();
    assert_eq!(bench.sender.challenging(&pace, 0).diff, Blob::probe());
    let newest = bench.sender.last().number;
    bench.sender.confirmed(newest);
    assert!(bench.sender.is_confirmed());
}

/// A log must keep what a challenge from an old state may have taken from the peer.
#[test]
fn challenge_from_an_old_state_leaves_nothing_forgotten() {
    let start = gannet_sys::clock::now();
    let mut sender = Sender::new(Output::new(), start, MS, false);
    let pace = |now| Pace {
        now,
        rto: RTO,
        interval: INTERVAL,
    };
    sender.update(|output| output.print(&[7; 2000]));
    assert!(matches!(sender.tick(&pace(start + MS), ROOM), Tick::Due(_)));
    // The second challenge, an answer's time after the first, starts from nothing again.
    for (now, old) in [(start + MS * 2, 1), (start + SECOND, 0)] {
        assert_eq!(sender.challenging(&pace(now), 0).old, old);
    }
    sender.confirmed(1);
    sender.confirmed(3);
    assert!(!sender.is_confirmed());
    let now = start + SECOND * 2;
    sender.observe(now - SECOND);
    let Tick::Due(update) = sender.tick(&pace(now), ROOM) else {
        panic!("the peer has nothing");
    };
    assert_eq!(update.old, 3);
    assert!(update.diff.len() > 2000, "{} octets", update.diff.len());
    sender.confirmed(update.new);
    assert!(sender.is_confirmed());
    assert_eq!(sender.current().since(0), b"", "forgotten in the end");
}

/// The last number is for the last state, also when that has no room.
#[test]
fn challenge_at_the_end_does_not_spend_the_last_number() {
    let mut bench = Bench::settled();
    bench.set(&"b".repeat(500));
    bench.sender.shut_down(bench.now);
    let pace = bench.pace();
    let update = bench.sender.challenging(&pace, 0);
    assert_eq!(numbers(&update), (1, 2, 1));
    assert_eq!(numbers(&bench.next().1), (1, SHUTDOWN, 1));
    let pace = bench.pace();
    let update = bench.sender.challenging(&pace, 0);
    assert_eq!(
        numbers(&update),
        (1, 1, 1),
        "the peer knows it, and answers"
    );
    assert_eq!(update.diff, Blob::probe());
}

#[test]
fn question_is_open_until_it_or_a_later_one_is_answered() {
    let mut bench = Bench::with(1, true);
    let (_, update) = bench.next();
    assert_eq!(update.diff, Blob::probe(), "a client's heartbeat asks");
    assert_eq!(bench.sender.asked_at(), Some(bench.now));
    bench.set("a");
    bench.next();
    assert_eq!(bench.sender.asked_at(), Some(bench.start), "the oldest");
    bench.sender.confirmed(2);
    assert_eq!(bench.sender.asked_at(), None);
}

#[test]
fn repeated_states_are_answered_ever_more_seldom() {
    let mut bench = Bench::settled();
    let mut answers = Vec::new();
    // The peer repeats itself every 20 ms for four seconds.
    for step in 0..200 {
        let now = bench.start + INTERVAL * step;
        bench.sender.heard_again(now);
        bench.now = now;
        let pace = bench.pace();
        if let Tick::Due(_) = bench.sender.tick(&pace, ROOM) {
            answers.push(step);
        }
    }
    assert!((4..=6).contains(&answers.len()), "{answers:?}");
}
