//! What a user does: keys and window sizes, from client to server.

use std::collections::VecDeque;

use super::log::Log;
use crate::proto::{PeerError, State, UserEvent};

/// The events of a user since a session began: what mosh's client sends (mosh-wire §9).
///
/// A log: the client appends, the server reads on from where it was. What the server has confirmed
/// and read is forgotten. Positions count octets typed and window sizes, each as one.
///
/// ```
/// use gannet_roam::UserStream;
/// use gannet_roam::proto::{State, UserEvent};
///
/// let mut client = UserStream::new();
/// client.resize(80, 24);
/// client.type_keys(b"ls\r");
///
/// let mut server = UserStream::new();
/// server.apply(&client.diff_from(&server))?;
/// let events = server.since(0);
/// assert_eq!(events[1], UserEvent::Keys(b"ls\r".to_vec()));
/// assert_eq!(server.end(), 4);
/// # Ok::<_, gannet_roam::proto::PeerError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct UserStream {
    keys: Log,
    /// Sizes, each with the number of keys before it.
    sizes: VecDeque<(u64, i32, i32)>,
    /// How many sizes were forgotten.
    sizes_forgotten: u64,
}

impl UserStream {
    /// Returns a stream without events, with which every session begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends octets that were typed, in UTF-8 as terminals send them.
    pub fn type_keys(&mut self, keys: &[u8]) {
        self.keys.append(keys);
    }

    /// Appends a new size of the window, in columns and rows.
    pub fn resize(&mut self, width: i32, height: i32) {
        self.sizes.push_back((self.keys.end(), width, height));
    }

    /// The position after the newest event.
    pub fn end(&self) -> u64 {
        self.keys.end() + self.sizes_end()
    }

    fn sizes_end(&self) -> u64 {
        self.sizes_forgotten + self.sizes.len() as u64
    }

    /// Bytes of keys that are kept, because the peer may not have them yet, or the application has not
    /// taken them. A session whose difference passes 4 MiB cannot go on.
    pub fn kept(&self) -> usize {
        self.keys.len()
    }

    /// The events from `position` on, as far as they are kept; octets that follow each other are one
    /// event.
    pub fn since(&self, position: u64) -> Vec<UserEvent> {
        let mut events = Vec::new();
        // The position's share of keys, when its sizes are taken off.
        let mut skipped = self.sizes_forgotten;
        let mut sizes = self.sizes.iter().peekable();
        while let Some(&&(at, _, _)) = sizes.peek()
            && at + skipped < position
        {
            skipped += 1;
            sizes.next();
        }
        let from = position.saturating_sub(skipped).max(self.keys.start());
        let mut keys = self.keys.reader(from);
        for &(at, width, height) in sizes {
            push_keys(&mut events, keys.read_to(at));
            events.push(UserEvent::Resize { width, height });
        }
        push_keys(&mut events, keys.read_to(self.keys.end()));
        events
    }
}

fn push_keys(events: &mut Vec<UserEvent>, keys: Vec<u8>) {
    if !keys.is_empty() {
        events.push(UserEvent::Keys(keys));
    }
}

/// Streams of one session are equal if they end alike, whatever they have forgotten.
impl PartialEq for UserStream {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys && self.sizes_end() == other.sizes_end()
    }
}

impl State for UserStream {
    fn diff_from(&self, base: &Self) -> Vec<u8> {
        UserEvent::encode(&self.since(base.end()))
    }

    fn apply(&mut self, diff: &[u8]) -> Result<(), PeerError> {
        for event in UserEvent::decode(diff)? {
            match event {
                UserEvent::Keys(keys) => self.type_keys(&keys),
                UserEvent::Resize { width, height } => self.resize(width, height),
            }
        }
        Ok(())
    }

    /// No keys: mosh's server confirms them, and does nothing else.
    fn probe() -> Vec<u8> {
        UserEvent::encode(&[UserEvent::Keys(Vec::new())])
    }

    fn forget(&mut self, known: &Self) {
        while self.sizes_forgotten < known.sizes_end()
            && let Some(&(at, _, _)) = self.sizes.front()
            && at <= known.keys.end()
        {
            self.sizes.pop_front();
            self.sizes_forgotten += 1;
        }
        self.keys.forget(known.keys.end());
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.keys.size() + self.sizes.len() * size_of::<(u64, i32, i32)>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Splits events into single ones.
    fn single(events: &[UserEvent]) -> Vec<UserEvent> {
        let split = |event: &UserEvent| match event {
            UserEvent::Keys(keys) => keys.iter().map(|&key| UserEvent::Keys(vec![key])).collect(),
            size @ UserEvent::Resize { .. } => vec![size.clone()],
        };
        events.iter().flat_map(split).collect()
    }

    fn push(stream: &mut UserStream, event: &UserEvent) {
        match event {
            UserEvent::Keys(keys) => stream.type_keys(keys),
            &UserEvent::Resize { width, height } => stream.resize(width, height),
        }
    }

    fn events() -> impl Strategy<Value = Vec<UserEvent>> {
        let event = prop_oneof![
            prop::collection::vec(any::<u8>(), 1..4).prop_map(UserEvent::Keys),
            (1i32..9, 1i32..9).prop_map(|(width, height)| UserEvent::Resize { width, height }),
        ];
        prop::collection::vec(event, 0..12)
    }

    proptest! {
        /// A stream is a list of single events, also after it has forgotten some.
        #[test]
        fn stream_agrees_with_a_list(
            events in events(),
            base in any::<prop::sample::Index>(),
            position in any::<prop::sample::Index>(),
        ) {
            let (mut stream, mut snapshots) = (UserStream::new(), vec![UserStream::new()]);
            for event in &events {
                push(&mut stream, event);
                snapshots.push(stream.clone());
            }
            let list = single(&events);
            prop_assert_eq!(stream.end(), list.len() as u64);
            let base = &snapshots[base.index(snapshots.len())];
            let mut copy = base.clone();
            copy.apply(&stream.diff_from(base)).expect("a difference");
            prop_assert_eq!(single(&copy.since(0)), list.clone());
            prop_assert_eq!(stream.diff_from(base).is_empty(), &stream == base);

            stream.forget(base);
            let base_end = usize::try_from(base.end()).expect("small");
            let at = base_end + position.index(list.len() - base_end + 1);
            prop_assert_eq!(single(&stream.since(at as u64)), &list[at..]);
        }
    }

    #[test]
    fn stream_that_has_forgotten_is_still_equal() {
        let mut stream = UserStream::new();
        stream.resize(80, 24);
        stream.type_keys(b"ls");
        let mut forgetful = stream.clone();
        forgetful.forget(&stream);
        assert!(forgetful.size() < stream.size());
        assert_eq!(forgetful, stream);
        stream.resize(81, 24);
        assert_ne!(forgetful, stream);
    }

    /// In one pass: a copy of the rest for each size would be 50 GB here.
    #[test]
    fn many_sizes_among_keys_are_read_in_one_pass() {
        let mut stream = UserStream::new();
        for _ in 0..32_768 {
            stream.type_keys(&[b'k'; 100]);
            stream.resize(80, 24);
        }
        let events = stream.since(50);
        assert_eq!(events.len(), 65_536);
        assert_eq!(events[0], UserEvent::Keys(vec![b'k'; 50]));
        assert_eq!(events[65_534], UserEvent::Keys(vec![b'k'; 100]));
    }

    #[test]
    fn probe_changes_nothing() {
        let mut stream = UserStream::new();
        stream.apply(&UserStream::probe()).expect("a probe");
        assert_eq!(stream, UserStream::new());
        assert!(!UserStream::probe().is_empty());
    }
}
