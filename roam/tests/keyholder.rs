//! Whoever has the key and means harm: nothing panics, hangs or grows, and an honest word is still
//! understood afterwards.

mod support;

use std::net::SocketAddr;
use std::time::Instant;

use gannet_roam::UserStream;
use gannet_roam::proto::{
    Arrival, Fragment, Fragmenter, Instruction, PeerError, Port, Protocol, Seal, Side, State,
    UserEvent, deflate,
};
use support::pair::{MS, SECOND, Server, delayed, key, pair};

const MEMORY_MAX: usize = 64 << 20;

/// A server, and a client that says what it likes.
struct Attack {
    server: Server,
    seal: Seal,
    fragmenter: Fragmenter,
    now: Instant,
}

impl Attack {
    fn new() -> Self {
        let net = pair(delayed(0), 1);
        Attack {
            now: net.now,
            server: net.server,
            seal: Seal::new(&key(), Side::Client),
            fragmenter: Fragmenter::new(),
        }
    }

    /// Seals what follows the timestamps, and has the server take it.
    fn say(&mut self, payload: &[u8]) -> Result<(), PeerError> {
        let plain = [&[0, 1, 0xFF, 0xFF], payload].concat();
        let mut datagram = Vec::new();
        self.seal.seal(&plain, &mut datagram).expect("short enough");
        let arrival = Arrival {
            now: self.now,
            port: Port::FIRST,
            from: SocketAddr::from(([192, 0, 2, 7], 7)),
            congested: false,
        };
        let taken = self.server.handle_datagram(&arrival, &mut datagram);
        let memory = self.server.stats().memory;
        assert!(memory <= MEMORY_MAX, "{memory} bytes");
        taken
    }

    fn fragment(
        &mut self,
        id: u64,
        number: u16,
        last: bool,
        contents: &[u8],
    ) -> Result<(), PeerError> {
        let fragment = Fragment {
            id,
            number,
            last,
            contents,
        };
        let mut payload = fragment.encode_header().to_vec();
        payload.extend_from_slice(contents);
        self.say(&payload)
    }

    /// Says an instruction; returns what came of its last fragment.
    fn instruct(&mut self, instruction: &Instruction) -> Result<(), PeerError> {
        let blob = deflate(&instruction.encode()).expect("short enough");
        let split = self.fragmenter.split(instruction, blob.into(), 1252);
        let mut fragments = split.expect("few enough");
        let mut taken = Ok(());
        let mut payload = Vec::new();
        while fragments.next_into(&mut payload) {
            taken = self.say(&payload);
            payload.clear();
        }
        taken
    }

    /// Lets the server say what it has to; returns how many datagrams that are.
    fn hear(&mut self) -> usize {
        let (mut out, mut datagrams) = (Vec::new(), 0);
        self.server.handle_timeout(self.now);
        while self.server.poll_transmit(self.now, &mut out).is_some() {
            datagrams += 1;
            assert!(datagrams < 1000, "no end");
        }
        while self.server.poll_event().is_some() {}
        datagrams
    }

    /// An honest key is understood, and time passes.
    fn assert_alive(&mut self, old: u64, new: u64) {
        let before = self.server.remote().1.end();
        assert_eq!(self.instruct(&keys(old, new, b"k")), Ok(()));
        let (number, stream) = self.server.remote();
        assert_eq!((number, stream.end()), (new, before.max(stream.end())));
        let mut wakes = 0;
        let until = self.now + SECOND * 30;
        while let Some(at) = self.server.poll_timeout(self.now).filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.hear();
            wakes += 1;
            assert!(wakes < 500, "spins");
        }
        self.now = until;
    }
}

fn step(old: u64, new: u64, diff: Vec<u8>) -> Instruction {
    Instruction {
        old_num: old,
        new_num: new,
        diff,
        ..Instruction::new()
    }
}

fn keys(old: u64, new: u64, keys: &[u8]) -> Instruction {
    step(
        old,
        new,
        UserEvent::encode(&[UserEvent::Keys(keys.to_vec())]),
    )
}

/// Each of these ends a mosh server.
#[test]
fn six_ways_to_end_mosh_are_dropped_and_counted() {
    let mut attack = Attack::new();
    assert_eq!(attack.say(&[0; 9]), Err(PeerError::FragmentShort));
    assert_eq!(attack.say(&[]), Err(PeerError::FragmentShort));
    let garbage = deflate(b"\xFF\xFF\xFF").expect("short");
    let taken = attack.fragment(90, 0, true, &garbage);
    assert_eq!(taken, Err(PeerError::Instruction));
    let broken = step(0, 1, vec![0xFF; 9]);
    assert_eq!(attack.instruct(&broken), Err(PeerError::Diff));
    assert_eq!(attack.fragment(91, 0, false, b"a"), Ok(()));
    let taken = attack.fragment(91, 0, false, b"b");
    assert_eq!(taken, Err(PeerError::FragmentConflict));
    assert_eq!(attack.fragment(92, 3, true, b"a"), Ok(()));
    let taken = attack.fragment(92, 4, false, b"b");
    assert_eq!(taken, Err(PeerError::FragmentNumber));
    let throwing = Instruction {
        throwaway_num: 5,
        ..keys(0, 1, b"k")
    };
    assert_eq!(attack.instruct(&throwing), Err(PeerError::Numbers));
    let another = Instruction {
        protocol_version: 3,
        ..keys(0, 1, b"k")
    };
    assert_eq!(attack.instruct(&another), Err(PeerError::Version));
    assert_eq!(attack.server.stats().rejected.malformed, 8);
    assert_eq!(attack.server.remote().0, 0);
    attack.assert_alive(0, 1);
}

#[test]
fn fragments_up_to_the_last_number_stay_bounded() {
    for contents in [0, 150] {
        let mut attack = Attack::new();
        let contents = vec![7; contents];
        // Upwards, so that each is put at the end.
        for number in 0..32_767 {
            let _ = attack.fragment(900, number, false, &contents);
        }
        let _ = attack.fragment(900, 32_767, true, &contents);
        attack.assert_alive(0, 1);
    }
}

#[test]
fn bombs_stay_bounded() {
    let mut attack = Attack::new();
    let zeros = vec![0; (4 << 20) - 64];
    for number in 1..12 {
        assert_eq!(attack.instruct(&keys(0, number, &zeros)), Ok(()));
    }
    // More than an instruction may be.
    let bomb: Vec<u8> = deflate(&[0; 4 << 20]).expect("just short enough");
    assert!(bomb.len() < 5000);
    let taken = attack.fragment(99, 0, true, &bomb[..1200]);
    assert_eq!(taken, Err(PeerError::Inflate));
    let resize = UserEvent::Resize {
        width: i32::MAX,
        height: i32::MIN,
    };
    let resizes = UserEvent::encode(&vec![resize; 1 << 16]);
    for number in 20..30 {
        let _ = attack.instruct(&step(0, number, resizes.clone()));
    }
    let held = attack.server.remote().0;
    let small = Instruction {
        throwaway_num: held,
        ..keys(held, 100, b"k")
    };
    assert_eq!(
        attack.instruct(&small),
        Ok(()),
        "what is held can be given up"
    );
    attack.server.take_remote();
    attack.assert_alive(100, 101);
}

#[test]
fn thousands_of_states_stay_bounded() {
    let mut attack = Attack::new();
    for number in 1..4000 {
        assert_eq!(attack.instruct(&keys(0, number * 2, b"k")), Ok(()));
        if number % 10 == 0 {
            attack.now += MS;
            attack.hear();
        }
    }
    let held = attack.server.remote().0;
    let giving_up = Instruction {
        throwaway_num: held,
        ..keys(held, 10_000, b"k")
    };
    assert_eq!(attack.instruct(&giving_up), Ok(()));
    attack.assert_alive(10_000, 10_001);
}

#[test]
fn numbers_from_the_far_future_confuse_nobody() {
    let mut attack = Attack::new();
    attack
        .server
        .update(attack.now, |screen| screen.print(b"$ "));
    attack.hear();
    for ack in [1 << 20, 1 << 62, u64::MAX - 1, u64::MAX] {
        let instruction = Instruction {
            ack_num: ack,
            ..step(0, 0, Vec::new())
        };
        let _ = attack.instruct(&instruction);
        assert!(!attack.server.is_confirmed(), "by {ack}");
    }
    for (old, new) in [
        (1 << 62, (1 << 62) + 1),
        (u64::MAX, u64::MAX),
        (u64::MAX - 1, u64::MAX),
        (u64::MAX, 0),
        (0, 0),
    ] {
        let _ = attack.instruct(&keys(old, new, b"k"));
        assert_eq!(attack.server.remote().0, 0, "{old} to {new}");
    }
    assert!(!attack.server.is_ending());
    attack.assert_alive(0, u64::MAX - 2);
    attack.assert_alive(u64::MAX - 2, u64::MAX - 1);
}

#[test]
fn games_with_the_last_number_end_the_session_at_most() {
    let mut attack = Attack::new();
    assert_eq!(attack.instruct(&keys(0, u64::MAX, b"k")), Ok(()));
    assert!(attack.server.is_ending());
    for (old, new, ack) in [
        (u64::MAX, u64::MAX, u64::MAX),
        (0, 5, u64::MAX),
        (5, 6, 0),
        (u64::MAX, 7, 0),
        (0, u64::MAX, 0),
    ] {
        let instruction = Instruction {
            ack_num: ack,
            ..keys(old, new, b"x")
        };
        let _ = attack.instruct(&instruction);
        attack
            .server
            .update(attack.now, |screen| screen.print(b"y"));
        attack.server.shut_down(attack.now);
        attack.hear();
        attack.now += MS * 300;
    }
    for _ in 0..4 {
        attack.now += SECOND;
        attack.hear();
    }
    assert!(attack.server.is_closed());
    assert_eq!(attack.server.poll_timeout(attack.now), None);
    assert_eq!(attack.say(b"anything"), Ok(()), "nobody listens");
}

/// A state's size is what it is held to, whatever the events.
#[test]
fn events_of_nothing_cost_nothing() {
    let nothing = UserEvent::encode(&vec![UserEvent::Keys(Vec::new()); 1 << 16]);
    let mut stream = UserStream::new();
    assert_eq!(stream.apply(&nothing), Ok(()));
    assert_eq!(stream.size(), UserStream::new().size());
    let more = UserEvent::encode(&vec![UserEvent::Keys(Vec::new()); (1 << 16) + 1]);
    assert_eq!(stream.apply(&more), Err(PeerError::TooMany));
}
