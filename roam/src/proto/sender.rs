//! Which states go to the peer, and when (mosh-wire §7).
//!
//! `sent` holds what the peer may know: the first entry it has confirmed, of the others we hope so. A
//! state is sent as the difference from one that the peer holds (`first`) or is assumed to hold, because
//! its time to be confirmed is not over yet.
//!
//! ```text
//!                                 gathered, and at most
//!            changed               one sent this frame             confirmed
//!   settled ─────────▶ new state ─────────────────▶ in flight ───────────────▶ settled
//!                                                    │     ▲
//!                                      RTO + ACK_DELAY,    │ again, from `first`
//!                                      then twice as long  │
//!                                                    └─────┘
//! ```
//!
//! A frame interval sees two states at most: the one before the newest has to be that old.
//!
//! mosh sends an unconfirmed state again every frame while it hears the peer. Here each round waits
//! twice as long as the one before, up to the heartbeat: a path that works one way costs a handful of
//! datagrams rather than hundreds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::constants::{
    ACK_DELAY, ACK_INTERVAL, ACTIVE_RETRY_TIMEOUT, RESEND_EXTRA_MAX, RESEND_LEN_MAX,
    SENT_STATES_DROPPED, SENT_STATES_MAX, SHUTDOWN, SHUTDOWN_RETRIES, SHUTDOWN_TIMEOUT,
};
use super::state::State;

/// A state that was given a number.
#[derive(Debug)]
struct Sent<L> {
    number: u64,
    at: Instant,
    version: u64,
    state: L,
}

/// What is to be transmitted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) old: u64,
    pub(super) new: u64,
    pub(super) ack: u64,
    pub(super) throwaway: u64,
    pub(super) diff: Vec<u8>,
    /// The number has gone out before.
    pub(super) again: bool,
}

/// What a look at the clock has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tick {
    /// Nothing is due.
    Early,
    /// Something is due that is too long for the path as it is.
    Blocked,
    Due(Update),
}

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nobody has said that it ends.
    None,
    /// We have said so and wait for the peer's word.
    Asked { since: Instant, tries: u32 },
    /// The peer has said so; we have confirmed it this often.
    Answering { answers: u32 },
}

#[derive(Debug)]
pub(super) struct Sender<L> {
    current: L,
    /// Which version of the state `current` is: equal versions are equal states.
    version: u64,
    /// The newest version there ever was. `version` goes back when a change is taken back.
    versions: u64,
    sent: VecDeque<Sent<L>>,
    /// The least time between a change and the datagram that tells of it, to gather what follows.
    min_delay: Duration,
    changed_at: Option<Instant>,
    next_ack: Instant,
    /// When the state before the newest was sent, or the newest itself before it was sent again.
    before_last_at: Instant,
    ack: u64,
    /// The peer sent something that it waits to be confirmed.
    ack_pending: bool,
    /// When the newest state of the peer came; at first, when the session began.
    heard_at: Instant,
    /// How often the peer's newest state came again, and when to answer that the next time.
    repeats: u32,
    answer_repeat_at: Instant,
    /// How often the newest state was sent in vain.
    rounds: u32,
    /// What was sent until then is lost, as far as we know.
    lost_until: Option<Instant>,
    /// The oldest state that asks for an answer: its number and when it was sent first.
    asked: Option<(u64, Instant)>,
    /// The next state has to have a number of its own.
    challenge: bool,
    /// When the first challenge since the newest confirmation had no room for what is new.
    asking_since: Option<Instant>,
    /// Heartbeats carry a probe.
    probes: bool,
    pub(super) ending: Ending,
}

/// The clock and the path, as they are now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) now: Instant,
    pub(super) rto: Duration,
    pub(super) interval: Duration,
}

impl<L: State> Sender<L> {
    pub(super) fn new(initial: L, now: Instant, min_delay: Duration, probes: bool) -> Self {
        let first = Sent {
            number: 0,
            at: now,
            version: 0,
            state: initial.clone(),
        };
        Sender {
            current: initial,
            version: 0,
            versions: 0,
            sent: VecDeque::from([first]),
            min_delay,
            changed_at: None,
            next_ack: now,
            before_last_at: now,
            ack: 0,
            ack_pending: false,
            heard_at: now,
            repeats: 0,
            answer_repeat_at: now,
            rounds: 0,
            lost_until: None,
            asked: None,
            challenge: false,
            asking_since: None,
            probes,
            ending: Ending::None,
        }
    }

    pub(super) fn current(&self) -> &L {
        &self.current
    }

    /// Changes the state. In vain once the session ends.
    pub(super) fn update<R>(&mut self, change: impl FnOnce(&mut L) -> R) -> R {
        if self.ending != Ending::None {
            return change(&mut self.current.clone());
        }
        let result = change(&mut self.current);
        let last = self.last();
        if self.current == last.state {
            self.version = last.version;
        } else {
            self.versions += 1;
            self.version = self.versions;
        }
        result
    }

    /// Whether the peer holds what the state is now, and nothing else is on its way there.
    pub(super) fn is_confirmed(&self) -> bool {
        self.sent.iter().all(|sent| sent.version == self.version)
    }

    /// The first entry: there always is one.
    fn first(&self) -> &Sent<L> {
        &self.sent[0]
    }

    fn last(&self) -> &Sent<L> {
        &self.sent[self.sent.len() - 1]
    }

    /// The entry that the peer holds unless something was lost.
    fn assumed(&self, pace: &Pace) -> &Sent<L> {
        let in_time = |sent: &&Sent<L>| {
            pace.now.saturating_duration_since(sent.at) < pace.rto + ACK_DELAY
                && self.lost_until.is_none_or(|until| sent.at > until)
        };
        let held = self.sent.iter().skip(1).take_while(in_time).last();
        held.unwrap_or_else(|| self.first())
    }

    /// When there will be something to do.
    pub(super) fn deadline(&self, pace: &Pace) -> Instant {
        let (ack, send) = self.timers(pace);
        send.map_or(ack, |send| send.min(ack))
    }

    /// When to send what need not be sent sooner, and when to send what has changed.
    fn timers(&self, pace: &Pace) -> (Instant, Option<Instant>) {
        let last = self.last();
        let mut ack = self.next_ack;
        match self.ending {
            Ending::None if self.ack != SHUTDOWN => {}
            _ => ack = last.at + pace.interval,
        }
        let send = if self.version != last.version {
            let changed = self.changed_at.unwrap_or(pace.now) + self.min_delay;
            Some(changed.max(self.next_frame_at(pace)))
        } else if !self.is_confirmed() && self.is_heard(pace.now) {
            Some(last.at + self.resend_after(pace))
        } else {
            None
        };
        (ack, send)
    }

    /// Whether the peer was heard of late, so that sending again may be of use.
    fn is_heard(&self, now: Instant) -> bool {
        now < self.heard_at + ACTIVE_RETRY_TIMEOUT
    }

    /// How long after the newest state the same is sent again.
    fn resend_after(&self, pace: &Pace) -> Duration {
        let patience = pace.rto + ACK_DELAY;
        // The first two rounds are alike: one loss is not yet a path that is gone.
        let doubled = self.rounds.saturating_sub(1).min(6);
        (patience * (1 << doubled)).min(ACK_INTERVAL)
    }

    /// When another state may follow: two within a frame interval, so that a key need not wait because
    /// something else was just said. mosh sends one.
    fn next_frame_at(&self, pace: &Pace) -> Instant {
        if self.rounds < PATIENT_ROUNDS {
            return self.before_last_at + pace.interval;
        }
        let spacing = self.resend_after(pace).min(SPACING_MAX);
        self.last().at + spacing.max(pace.interval)
    }

    /// Takes note of what has changed since, so that waiting starts now.
    pub(super) fn observe(&mut self, now: Instant) {
        if self.version != self.last().version {
            self.changed_at.get_or_insert(now);
        }
        if self.ack_pending {
            self.next_ack = self.next_ack.min(now + ACK_DELAY);
        }
    }

    /// What is due, if anything is, and fits into `room` bytes of diff.
    pub(super) fn tick(&mut self, pace: &Pace, room: usize) -> Tick {
        self.observe(pace.now);
        let (ack, send) = self.timers(pace);
        let ack_due = ack <= pace.now;
        let send_due = send.is_some_and(|send| send <= pace.now);
        if !ack_due && !send_due {
            return Tick::Early;
        }
        if self.challenge {
            return Tick::Due(self.challenging(pace, room));
        }
        let (old, diff) = self.difference(pace);
        if diff.len() > room {
            return Tick::Blocked;
        }
        if diff.is_empty() && !send_due {
            return Tick::Due(self.heartbeat(pace, old));
        }
        let again = self.version == self.last().version && !self.is_ending();
        let waited = pace.now.saturating_duration_since(self.last().at);
        if again && waited >= pace.rto + ACK_DELAY {
            self.rounds = self.rounds.saturating_add(1);
        }
        Tick::Due(self.commit(pace, old, diff, again))
    }

    /// The difference to send, and the number of the state that it is from.
    fn difference(&self, pace: &Pace) -> (u64, Vec<u8>) {
        let (assumed, first) = (self.assumed(pace), self.first());
        if self.last().number == SHUTDOWN {
            // Always the same number, so it has to be the same step: one from itself leads nowhere.
            return (first.number, self.current.diff_from(&first.state));
        }
        let diff = self.current.diff_from(&assumed.state);
        if assumed.number == first.number {
            return (first.number, diff);
        }
        // What repeats all that is unconfirmed is as good, if it is hardly longer.
        let whole = self.current.diff_from(&first.state);
        let cheap = whole.len() < RESEND_LEN_MAX && whole.len() < diff.len() + RESEND_EXTRA_MAX;
        if whole.len() <= diff.len() || cheap {
            (first.number, whole)
        } else {
            (assumed.number, diff)
        }
    }

    /// A state that changes nothing. With a probe it asks for an answer.
    fn heartbeat(&mut self, pace: &Pace, old: u64) -> Update {
        let probe = if self.probes && !self.is_ending() {
            L::probe()
        } else {
            Vec::new()
        };
        if probe.is_empty() {
            return self.commit(pace, old, probe, false);
        }
        // From a state that the peer surely holds: an answer that never comes must mean a lost path.
        let first = self.first();
        let (number, diff) = (first.number, self.current.diff_from(&first.state));
        let diff = if diff.is_empty() { probe } else { diff };
        self.commit(pace, number, diff, false)
    }

    /// A state with a number that has gone nowhere yet, as big as the path may bear.
    pub(super) fn challenging(&mut self, pace: &Pace, room: usize) -> Update {
        self.challenge = false;
        let first = self.first();
        let number = first.number;
        let diff = self.current.diff_from(&first.state);
        if diff.is_empty() {
            return self.commit(pace, number, L::probe(), false);
        }
        if diff.len() <= room {
            return self.commit(pace, number, diff, false);
        }
        self.ask(pace)
    }

    /// Asks the peer about what it has already, because what is new is too big before the path is
    /// proved. From a state that it has left behind it would take its copy back, so the newest one
    /// comes first, and another only when an answer to that is overdue.
    fn ask(&mut self, pace: &Pace) -> Update {
        let last = self.last().number;
        let asking_since = *self.asking_since.get_or_insert(pace.now);
        let known = if last == SHUTDOWN {
            self.first()
        } else if pace.now < asking_since + pace.rto + ACK_DELAY {
            self.last()
        } else {
            self.assumed(pace)
        };
        let (old, version, state) = (known.number, known.version, known.state.clone());
        // The last number is for the last state, and nothing comes after it: then only the timestamps
        // of the answer tell that the path works.
        let new = if last == SHUTDOWN { old } else { last + 1 };
        if new != old {
            let sent = Sent {
                number: new,
                at: pace.now,
                version,
                state,
            };
            self.append(sent);
        }
        self.started(pace);
        self.update_to(old, new, L::probe(), new == old)
    }

    /// Numbers the current state, unless it has a number, and starts the clocks.
    fn commit(&mut self, pace: &Pace, old: u64, diff: Vec<u8>, again: bool) -> Update {
        let (last, last_at) = (self.last().number, self.last().at);
        let repeats = again || last == SHUTDOWN;
        self.before_last_at = last_at;
        if repeats {
            if let Some(last) = self.sent.back_mut() {
                last.at = pace.now;
            }
        } else {
            let number = if self.is_ending() { SHUTDOWN } else { last + 1 };
            self.append(Sent {
                number,
                at: pace.now,
                version: self.version,
                state: self.current.clone(),
            });
        }
        let new = self.last().number;
        if !diff.is_empty() {
            self.asked.get_or_insert((new, pace.now));
        }
        self.started(pace);
        if let Ending::Asked { tries, .. } = &mut self.ending {
            *tries += 1;
        }
        self.update_to(old, new, diff, repeats)
    }

    /// Something goes out: starts the clocks.
    fn started(&mut self, pace: &Pace) {
        self.next_ack = pace.now + ACK_INTERVAL;
        self.changed_at = None;
        self.ack_pending = false;
        if let Ending::Answering { answers } = &mut self.ending {
            *answers += 1;
        }
    }

    fn update_to(&self, old: u64, new: u64, diff: Vec<u8>, again: bool) -> Update {
        Update {
            old,
            new,
            ack: self.ack,
            throwaway: self.first().number,
            diff,
            again,
        }
    }

    fn append(&mut self, sent: Sent<L>) {
        self.sent.push_back(sent);
        if self.sent.len() > SENT_STATES_MAX {
            self.sent.remove(self.sent.len() - SENT_STATES_DROPPED);
        }
    }

    /// The peer holds state `number`, and says so for the first time or again. Returns when that was
    /// sent last; `None` if it is no number that we still know.
    pub(super) fn confirmed(&mut self, number: u64) -> Option<Instant> {
        let at = self.sent.iter().position(|sent| sent.number == number)?;
        if at > 0 {
            self.sent.drain(..at);
            self.rounds = 0;
            self.asking_since = None;
            self.forget();
        }
        if self.asked.is_some_and(|(asked, _)| number >= asked) {
            self.asked = None;
        }
        self.settle();
        Some(self.first().at)
    }

    /// Forgets of logs what the peer has, unless a challenge may have taken its copy back: then it needs
    /// that again.
    fn forget(&mut self) {
        let first = self.first();
        if self.sent.iter().any(|sent| sent.version < first.version) {
            return;
        }
        let known = first.state.clone();
        self.current.forget(&known);
        for sent in &mut self.sent {
            sent.state.forget(&known);
        }
    }

    /// When the newest state that the peer has confirmed was sent.
    pub(super) fn confirmed_at(&self) -> Instant {
        self.first().at
    }

    /// A newer state of the peer has come. `asks`: it waits for our word.
    pub(super) fn heard(&mut self, now: Instant, number: u64, asks: bool) {
        self.ack = number;
        self.heard_at = now;
        self.repeats = 0;
        self.ack_pending |= asks;
        // Also if both ends asked and neither has heard the other yet: who is confirmed first must not
        // leave the other without an answer.
        let settled = self.first().number == SHUTDOWN;
        if number == SHUTDOWN && !settled && !matches!(self.ending, Ending::Answering { .. }) {
            self.ending = Ending::Answering { answers: 0 };
        }
        self.settle();
    }

    /// If both ends have asked, the one that hears the other's word first must still give its own.
    fn settle(&mut self) {
        let both = self.ack == SHUTDOWN && self.first().number == SHUTDOWN;
        if both && self.is_ending() {
            self.ending = Ending::Answering { answers: 0 };
        }
    }

    /// The peer has sent again what we hold: our word was lost, or is on its way. It is repeated
    /// ever more seldom, since a path that works one way brings hundreds of these.
    pub(super) fn heard_again(&mut self, now: Instant) {
        if now >= self.answer_repeat_at {
            self.ack_pending = true;
            self.repeats = self.repeats.saturating_add(1);
            let wait = ACK_DELAY * (1 << self.repeats.min(5));
            self.answer_repeat_at = now + wait.min(ACK_INTERVAL);
        }
    }

    /// Sends something at once: the peer asks, or the network has changed.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.next_ack = self.next_ack.min(now);
    }

    /// Sends what is unconfirmed again at once, as if for the first time.
    pub(super) fn resend(&mut self, now: Instant) {
        self.rounds = 0;
        self.lost_until = Some(now);
        self.hurry(now);
    }

    /// Gives what is sent next a number that nothing sent before bears, and sends it at once.
    pub(super) fn challenge(&mut self, now: Instant) {
        self.challenge = true;
        self.hurry(now);
    }

    /// When the oldest question that the peer has not answered was asked.
    pub(super) fn asked_at(&self) -> Option<Instant> {
        self.asked.map(|(_, at)| at)
    }

    /// Whether we have asked for the end.
    fn is_ending(&self) -> bool {
        matches!(self.ending, Ending::Asked { .. })
    }

    /// Ends the session: the current state is the last one.
    pub(super) fn shut_down(&mut self, now: Instant) {
        if self.ending == Ending::None {
            self.ending = Ending::Asked {
                since: now,
                tries: 0,
            };
            self.hurry(now);
        }
    }

    /// Whether the session is over, and if so, whether both ends know it.
    pub(super) fn over(&self, now: Instant) -> Option<bool> {
        match self.ending {
            Ending::None => None,
            Ending::Asked { .. } if self.first().number == SHUTDOWN => Some(true),
            Ending::Answering { answers } => (answers >= SHUTDOWN_ANSWERS).then_some(true),
            Ending::Asked { since, tries } => {
                (tries >= SHUTDOWN_RETRIES || now >= since + SHUTDOWN_TIMEOUT).then_some(false)
            }
        }
    }

    /// When a session that ends is over although the peer has not confirmed it.
    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        match self.ending {
            Ending::Asked { since, .. } => Some(since + SHUTDOWN_TIMEOUT),
            _ => None,
        }
    }

    /// Bytes of memory in the states that wait to be confirmed, and in what was not sent yet.
    pub(super) fn memory(&self) -> usize {
        let sent = self.sent.iter().map(|sent| sent.state.size());
        let is_sent = self.version == self.last().version;
        let current = (!is_sent).then(|| self.current.size());
        sent.chain(current).sum()
    }
}

/// Rounds in vain after which new states, too, are sent more seldom.
const PATIENT_ROUNDS: u32 = 3;

/// The longest time between two new states while nothing is confirmed.
const SPACING_MAX: Duration = Duration::from_secs(1);

/// How often the end of a session is confirmed. mosh does it once, and its peer then often waits in
/// vain.
const SHUTDOWN_ANSWERS: u32 = 3;

#[cfg(test)]
mod tests;
