//! What is fuzzed: each target takes any octets and panics if something is wrong.
//!
//! `fuzz/` runs them under libFuzzer, and `fuzz_corpus.rs` over the committed corpora.

use std::time::{Duration, Instant};

use gannet_roam::proto::{
    Arrival, Assembler, Fragment, Fragmenter, HostEvent, Instruction, Key, Port, Protocol, Seal,
    Session, Side, State, UserEvent, deflate, inflate,
};
use gannet_roam::{Blob, Output, UserStream};

/// What a session may hold because of its peer.
const MEMORY_MAX: usize = 64 << 20;

/// The longest instruction.
const INFLATE_MAX: usize = 4 << 20;

/// The seeds of `f1_open` are sealed with it: they are from a session of mosh.
fn key() -> Key {
    "GHe3rr+vIkWSshPEDJebSQ".parse().expect("a key")
}

/// Anything as a datagram, to both sides of a session.
pub(crate) fn open(data: &[u8]) {
    let is_authentic = [Side::Client, Side::Server].map(|side| {
        let seal = Seal::new(&key(), side);
        let mut datagram = data.to_vec();
        seal.open(&mut datagram).is_ok()
    });
    assert!(
        !(is_authentic[0] && is_authentic[1]),
        "from both sides at once"
    );
    let mut bench = Bench::new();
    let mut datagram = data.to_vec();
    let taken = bench
        .server
        .handle_datagram(&bench.arrival(), &mut datagram);
    assert!(taken.is_err() || is_authentic[1], "not sealed by a client");
    bench.settle();
    if !is_authentic[1] {
        assert_eq!(bench.sent, 0, "an answer to a stranger");
    }
}

/// Authentic fragments of any kind, to the assembler and to a session.
pub(crate) fn fragments(data: &[u8]) {
    let (mut assembler, mut bench) = (Assembler::new(), Bench::new());
    let mut input = Input(data);
    while let Some(header) = input.take(4) {
        let number = u16::from_be_bytes([header[1], header[2]]);
        let fragment = Fragment {
            id: u64::from(header[0] >> 4),
            number: number & 0x7FFF,
            last: number & 0x8000 != 0,
            contents: input.up_to(usize::from(header[3]) << (header[0] & 3)),
        };
        let mut payload = fragment.encode_header().to_vec();
        payload.extend_from_slice(fragment.contents);
        assert_eq!(Fragment::decode(&payload), Ok(fragment));
        if let Ok(Some(blob)) = assembler.add(fragment) {
            assert!(blob.len() <= data.len(), "octets that never came");
        }
        assert!(assembler.memory() <= 4096 + 16 * data.len(), "memory");
        bench.deliver(&payload);
    }
    bench.settle();
}

/// Anything as a compressed instruction, and as one that is not compressed.
pub(crate) fn inflating(data: &[u8]) {
    let plain = inflate(data);
    if let Ok(plain) = &plain {
        assert!(plain.len() <= INFLATE_MAX, "{} octets", plain.len());
        let again = deflate(plain).expect("short enough");
        assert_eq!(inflate(&again).as_ref(), Ok(plain));
    }
    for octets in [plain.as_deref().unwrap_or_default(), data] {
        if let Ok(instruction) = Instruction::decode(octets) {
            let again = Instruction::decode(&instruction.encode());
            assert_eq!(again, Ok(instruction));
        }
    }
}

/// Authentic instructions with any numbers, to a session that has something to say, too.
pub(crate) fn instructions(data: &[u8]) {
    let mut bench = Bench::new();
    let mut input = Input(data);
    let mut fragmenter = Fragmenter::new();
    while let Some(&[what, old, new, ack, throwaway]) = input.take(5).map(|five| {
        let five: &[u8; 5] = five.try_into().expect("five");
        five
    }) {
        let number = |octet: u8| match octet {
            248.. => u64::MAX - u64::from(255 - octet),
            octet => octet.into(),
        };
        let instruction = Instruction {
            old_num: number(old),
            new_num: number(new),
            ack_num: number(ack),
            throwaway_num: number(throwaway),
            diff: input.up_to((what & 31).into()).to_vec(),
            ..Instruction::new()
        };
        let blob = deflate(&instruction.encode()).expect("short enough");
        let split = fragmenter.split(&instruction, blob.into(), 1252);
        let mut payload = Vec::new();
        assert!(split.expect("short enough").next_into(&mut payload));
        bench.now += Duration::from_millis(u64::from(what >> 5) * 50);
        if what & 32 != 0 {
            bench.server.update(bench.now, |screen| screen.print(b"x"));
        }
        bench.deliver(&payload);
    }
    bench.settle();
}

/// Anything as a difference of each state.
pub(crate) fn diffs(data: &[u8]) {
    apply::<UserStream>(&UserStream::new(), data);
    apply::<Output>(&Output::new(), data);
    apply::<Blob>(&Blob::from("some octets to begin with"), data);
    if let Ok(events) = UserEvent::decode(data) {
        assert_eq!(UserEvent::decode(&UserEvent::encode(&events)), Ok(events));
    }
    if let Ok(events) = HostEvent::decode(data) {
        assert_eq!(HostEvent::decode(&HostEvent::encode(&events)), Ok(events));
    }
}

/// Applies the octets, then the rest of them after each cut, as far as they make sense.
fn apply<S: State>(initial: &S, data: &[u8]) {
    let mut state = initial.clone();
    for diff in [data, &data[data.len() / 2..], data] {
        let mut next = state.clone();
        if next.apply(diff).is_err() {
            continue;
        }
        // An event of no octets may be as small as two octets, and a chunk has a head.
        let grown = next.size().saturating_sub(state.size());
        assert!(grown <= 64 + 40 * diff.len(), "{grown} from {}", diff.len());
        let mut copy = state.clone();
        copy.apply(&next.diff_from(&state)).expect("our own");
        assert!(copy == next, "the difference does not lead there");
        let mut forgetful = next.clone();
        forgetful.forget(&state);
        assert!(forgetful == next, "forgetting has changed it");
        state = next;
    }
}

/// A server, and the means of whoever has its key.
struct Bench {
    now: Instant,
    server: Session<Output, UserStream>,
    seal: Seal,
    /// Datagrams that the server has sent.
    sent: usize,
}

impl Bench {
    fn new() -> Self {
        let now = gannet_sys::clock::now();
        let states = (Output::new(), UserStream::new());
        let random = Box::new(|octets: &mut [u8]| octets.fill(7));
        Bench {
            now,
            server: Session::server(&key(), states.0, states.1, now, random),
            seal: Seal::new(&key(), Side::Client),
            sent: 0,
        }
    }

    fn arrival(&self) -> Arrival {
        Arrival {
            now: self.now,
            port: Port::FIRST,
            from: ([192, 0, 2, 7], 4000).into(),
            congested: false,
        }
    }

    /// Seals a fragment, gives it to the server, and hears what that says.
    fn deliver(&mut self, fragment: &[u8]) {
        let mut datagram = Vec::new();
        let plain = [&[0; 4], fragment].concat();
        self.seal.seal(&plain, &mut datagram).expect("short enough");
        let arrival = self.arrival();
        let _ = self.server.handle_datagram(&arrival, &mut datagram);
        self.drain();
        assert!(self.server.stats().memory <= MEMORY_MAX, "memory");
    }

    fn drain(&mut self) {
        let mut out = Vec::new();
        while self.server.poll_transmit(self.now, &mut out).is_some() {
            assert!(out.len() <= 1252, "too long for the path");
            out.clear();
            self.sent += 1;
        }
        while self.server.poll_event().is_some() {}
    }

    /// Lets some heartbeats pass, in which nothing may spin.
    fn settle(&mut self) {
        let until = self.now + Duration::from_secs(12);
        for _ in 0..1000 {
            self.server.handle_timeout(self.now);
            self.drain();
            match self.server.poll_timeout(self.now) {
                Some(at) if at <= until => self.now = self.now.max(at),
                _ => return,
            }
        }
        panic!("a thousand timeouts in twelve seconds");
    }
}

/// Octets that are taken piece by piece.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (octets, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(octets)
    }

    fn up_to(&mut self, len: usize) -> &'a [u8] {
        let (octets, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        octets
    }
}
