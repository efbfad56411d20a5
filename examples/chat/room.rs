//! The room: who is in, under which name, and what everybody has still to be sent.
//!
//! One lock guards all of it, so everybody hears everything in the same order. A member goes through
//! these states, and the table of members has an entry for the first two:
//!
//! ```text
//! present ── leave ──▶ leaving ── seat dropped ──▶ gone
//!    │                  (hears nothing new, is sent what he has heard)
//!    └── queue overflows, or seat dropped ──▶ gone, connection closed
//! ```
//!
//! Those whom one line was too much for go together, and what is told of them is never too much for
//! another: else a hundred who do not read would take everybody with them, one after the other.
//!
//! The room itself is open, and once closing it stays so. What must not happen under the lock, waking
//! tasks and closing connections, is put down in an [`After`] and done when it is released.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use gannet::net::Conn;

use crate::outbox::Outbox;

/// The longest name in bytes.
const NAME_LEN_MAX: usize = 24;
/// How many names a list of those present has at most, so that it fits into every queue.
const LISTED_MAX: usize = 100;

/// Why a member leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reason {
    /// He wants to, or his connection broke.
    Left,
    /// He has said nothing for too long.
    Idle,
    /// He does not read what is said.
    Slow,
}

impl Reason {
    fn told(self) -> &'static str {
        match self {
            Reason::Left => "",
            Reason::Idle => " (said nothing for too long)",
            Reason::Slow => " (does not read)",
        }
    }
}

/// The one room of the server.
pub(crate) struct Room {
    members_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    members: BTreeMap<u64, Member>,
    is_closing: bool,
}

struct Member {
    name: String,
    conn: Arc<Conn>,
    outbox: Outbox,
    is_leaving: bool,
}

/// What is done once the lock is released.
#[derive(Default)]
struct After {
    wakers: Vec<Waker>,
    closing: Vec<Member>,
}

impl After {
    fn run(self) {
        self.wakers.into_iter().for_each(Waker::wake);
        for member in &self.closing {
            // The closing happens in the call: who waits in a read or a write gets an error.
            drop(member.conn.close());
        }
    }
}

impl Room {
    pub(crate) fn new(members_max: usize) -> Self {
        Room {
            members_max,
            state: Mutex::default(),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State, &mut After) -> T) -> T {
        let mut after = After::default();
        let mut state = self
            .state
            .lock()
            // Nothing in here panics half way.
            .unwrap_or_else(|poison| poison.into_inner());
        let result = act(&mut state, &mut after);
        drop(state);
        after.run();
        result
    }

    /// Lets a member in under a name that nobody has; `None` if there is no place.
    pub(crate) fn join(room: &Arc<Self>, conn: &Arc<Conn>) -> Option<Seat> {
        let id = room.with(|state, after| {
            if state.present().count() >= room.members_max || state.is_closing {
                return None;
            }
            let (id, name) = state.next_guest();
            state.tell_all(None, &format!("* {name} has joined\n"), after);
            let names = state.names();
            let member = Member {
                name,
                conn: conn.clone(),
                outbox: Outbox::default(),
                is_leaving: false,
            };
            let welcome = format!(
                "* you are {}; here are: {names}; /help for help\n",
                member.name
            );
            state.members.insert(id, member);
            state.tell(id, &welcome, after);
            Some(id)
        })?;
        Some(Seat {
            room: room.clone(),
            id,
        })
    }

    /// Tells everybody that it is over: nobody hears anything after that.
    pub(crate) fn close(&self) {
        self.with(|state, after| {
            state.tell_all(None, "* the server is closing\n", after);
            state.is_closing = true;
        });
    }
}

impl State {
    fn present(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| !member.is_leaving)
    }

    fn next_guest(&mut self) -> (u64, String) {
        loop {
            self.next_id += 1;
            let name = format!("guest{}", self.next_id);
            if !self.is_taken(&name, None) {
                return (self.next_id, name);
            }
        }
    }

    fn is_taken(&self, name: &str, but_for: Option<u64>) -> bool {
        let is_other = |id: u64| Some(id) != but_for;
        let has = |member: &Member| !member.is_leaving && member.name.eq_ignore_ascii_case(name);
        let mut members = self.members.iter();
        members.any(|(&id, member)| is_other(id) && has(member))
    }

    fn names(&self) -> String {
        let count = self.present().count();
        let listed = self.present().take(LISTED_MAX);
        let names: Vec<_> = listed.map(|member| member.name.as_str()).collect();
        match (count, count.saturating_sub(LISTED_MAX)) {
            (0, _) => "nobody else".to_owned(),
            (_, 0) => names.join(", "),
            (_, more) => format!("{} and {more} more", names.join(", ")),
        }
    }

    fn tell(&mut self, id: u64, line: &str, after: &mut After) {
        self.deliver(line, after, |other| other == id);
    }

    fn tell_all(&mut self, but_for: Option<u64>, line: &str, after: &mut After) {
        self.deliver(line, after, |id| Some(id) != but_for);
    }

    /// Puts a line into the queues of the members that `is_for` names. Who has no room is gone, and
    /// everybody hears of it.
    fn deliver(&mut self, line: &str, after: &mut After, is_for: impl Fn(u64) -> bool) {
        let line: Arc<str> = line.into();
        let mut all_have_room = true;
        for (_, member) in self.hearing().filter(|&(&id, _)| is_for(id)) {
            all_have_room &= member.outbox.push(&line);
            after.wakers.extend(member.outbox.waiter.take());
        }
        if !all_have_room {
            self.part_with_the_slow(after);
        }
    }

    /// Those who hear what is new.
    fn hearing(&mut self) -> impl Iterator<Item = (&u64, &mut Member)> {
        let members = (!self.is_closing).then_some(&mut self.members);
        let members = members.into_iter().flatten();
        members.filter(|(_, member)| !member.is_leaving)
    }

    fn part_with_the_slow(&mut self, after: &mut After) {
        let slow = self.hearing().filter(|(_, member)| member.outbox.is_over());
        let slow: Vec<u64> = slow.map(|(&id, _)| id).collect();
        let gone = slow.iter().filter_map(|id| self.members.remove(id));
        let mut gone: Vec<Member> = gone.collect();
        let named = gone.iter().take(LISTED_MAX);
        let mut told: String = named
            .map(|member| left(&member.name, Reason::Slow))
            .collect();
        if let Some(more @ 1..) = gone.len().checked_sub(LISTED_MAX) {
            told += &format!("* {more} more have left{}\n", Reason::Slow.told());
        }
        after.closing.append(&mut gone);
        let told: Arc<str> = told.into();
        for (_, member) in self.hearing() {
            member.outbox.push_beyond(&told);
            after.wakers.extend(member.outbox.waiter.take());
        }
    }
}

fn left(name: &str, reason: Reason) -> String {
    format!("* {name} has left{}\n", reason.told())
}

/// A place in the room, given up when dropped.
pub(crate) struct Seat {
    room: Arc<Room>,
    id: u64,
}

impl Seat {
    /// Tells a line of the member's to all others.
    pub(crate) fn say(&self, text: &str) {
        self.room.with(|state, after| {
            if let Some(member) = state.members.get(&self.id) {
                let line = format!("<{}> {text}\n", member.name);
                state.tell_all(Some(self.id), &line, after);
            }
        });
    }

    /// Tells the member something that nobody else hears.
    pub(crate) fn tell(&self, text: &str) {
        let line = format!("* {text}\n");
        self.room
            .with(|state, after| state.tell(self.id, &line, after));
    }

    /// Gives the member another name, and tells everybody; or tells the member why not.
    pub(crate) fn rename(&self, name: &str) {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || name.len() > NAME_LEN_MAX || !name.bytes().all(is_fit) {
            return self.tell(&format!(
                "a name has 1 to {NAME_LEN_MAX} letters, digits, - or _"
            ));
        }
        self.room.with(|state, after| {
            if state.is_taken(name, Some(self.id)) {
                return state.tell(self.id, &format!("* {name} is taken\n"), after);
            }
            if let Some(member) = state.members.get_mut(&self.id) {
                let old = std::mem::replace(&mut member.name, name.to_owned());
                state.tell_all(None, &format!("* {old} is now {name}\n"), after);
            }
        });
    }

    /// Tells the member who is here.
    pub(crate) fn list(&self) {
        self.room.with(|state, after| {
            let line = format!("* here are: {}\n", state.names());
            state.tell(self.id, &line, after);
        });
    }

    /// Lets the member hear nothing new, and tells the others.
    pub(crate) fn leave(&self, reason: Reason) {
        self.room.with(|state, after| {
            let Some(member) = state.members.get_mut(&self.id) else {
                return;
            };
            if !std::mem::replace(&mut member.is_leaving, true) {
                after.wakers.extend(member.outbox.waiter.take());
                let line = left(&member.name, reason);
                state.tell_all(None, &line, after);
            }
        });
    }

    /// Notes whether what the member is sent waits until he reads. Who is only behind because others
    /// had their turn before him may have far more to hear.
    pub(crate) fn stall(&self, stalls: bool) {
        self.room.with(|state, _| {
            if let Some(member) = state.members.get_mut(&self.id) {
                member.outbox.stalls = stalls;
            }
        });
    }

    /// Waits for something that the member has to be sent; `None` if there will be nothing more.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&self) -> Option<String> {
        poll_fn(|cx| {
            // Cloned, and the old one or the one that is not needed dropped, without the lock.
            let mut waker = Some(cx.waker().clone());
            self.room.with(|state, _| {
                let is_closing = state.is_closing;
                let Some(member) = state.members.get_mut(&self.id) else {
                    return Poll::Ready(None);
                };
                match member.outbox.take() {
                    None if is_closing || member.is_leaving => Poll::Ready(None),
                    None => {
                        std::mem::swap(&mut member.outbox.waiter, &mut waker);
                        Poll::Pending
                    }
                    piece => Poll::Ready(piece),
                }
            })
        })
        .await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave(Reason::Left);
        // The entry is dropped without the lock.
        let _entry = self.room.with(|state, _| state.members.remove(&self.id));
    }
}
