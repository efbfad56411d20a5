use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::thread;

use super::*;

fn key() -> Key {
    "GHe3rr+vIkWSshPEDJebSQ".parse().expect("a key")
}

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

fn sealed(seal: &mut Seal, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    seal.seal(plain, &mut out).expect("within the limits");
    out
}

/// The worked example of `mosh-wire.md` §3.5.
#[test]
fn first_datagram_of_a_mosh_client_opens_and_seals_the_same() {
    let datagram = octets(
        "0000000000000000c71848e097d1a7090d74bf781f3b84d187424ea0676fc5175f75eb5f694b7567\
         426d2a84c833292532844cc08e382895a14ef8bca725221d28abdf7c7a97778ef816d07be97e88",
    );
    let plain = octets(
        "274dffff00000000000000018000789ce360126090605460d06030e2e0629362d1083090b0e266f7\
         3ef1284ee0659c91c54a00415a06ad",
    );
    let server = Seal::new(&key(), Side::Server);
    let mut copy = datagram.clone();
    let opened = server.open(&mut copy).expect("authentic");
    assert_eq!((opened.seq, opened.payload), (0, &plain[..]));
    let mut client = Seal::new(&key(), Side::Client);
    assert_eq!(sealed(&mut client, &plain), datagram);
}

#[test]
fn nonce_carries_direction_and_number() {
    let mut server = Seal::starting_at(&key(), Side::Server, 7, 0);
    let mut datagram = sealed(&mut server, b"");
    assert_eq!(datagram[..8], [0x80, 0, 0, 0, 0, 0, 0, 7]);
    assert_eq!(datagram.len(), 24);
    let client = Seal::new(&key(), Side::Client);
    let opened = client.open(&mut datagram).expect("authentic");
    assert_eq!((opened.seq, opened.payload), (7, &b""[..]));
}

#[test]
fn seal_appends_and_keeps_what_was_there() {
    let mut client = Seal::new(&key(), Side::Client);
    let mut out = b"before".to_vec();
    client.seal(b"payload", &mut out).expect("short");
    assert_eq!(out[..6], *b"before");
    let server = Seal::new(&key(), Side::Server);
    assert_eq!(
        server.open(&mut out[6..]).expect("authentic").payload,
        b"payload"
    );
}

#[test]
fn datagram_sent_back_to_its_maker_is_refused() {
    for side in [Side::Client, Side::Server] {
        let mut seal = Seal::new(&key(), side);
        let mut datagram = sealed(&mut seal, b"echo");
        assert_eq!(
            seal.open(&mut datagram),
            Err(PeerError::Direction),
            "{side:?}"
        );
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let mut client = Seal::new(&key(), Side::Client);
    let server = Seal::new(&key(), Side::Server);
    // Around full blocks, and long enough for the widest path through the cipher.
    for len in [0, 4, 15, 16, 17, 1100] {
        let datagram = sealed(&mut client, &vec![0x33; len]);
        for bit in 0..datagram.len() * 8 {
            let mut flipped = datagram.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                server.open(&mut flipped),
                Err(PeerError::Forged),
                "bit {bit} of {len} octets"
            );
        }
    }
}

#[test]
fn datagram_cut_or_lengthened_is_refused() {
    let mut client = Seal::new(&key(), Side::Client);
    let server = Seal::new(&key(), Side::Server);
    let datagram = sealed(&mut client, &[0x33; 50]);
    for len in 0..datagram.len() {
        let error = if len < 24 {
            PeerError::Short
        } else {
            PeerError::Forged
        };
        assert_eq!(
            server.open(&mut datagram[..len].to_vec()),
            Err(error),
            "{len}"
        );
    }
    let mut longer = datagram;
    longer.push(0);
    assert_eq!(server.open(&mut longer), Err(PeerError::Forged));
}

#[test]
fn datagram_of_another_key_is_refused() {
    let mut client = Seal::new(&Key::from_bytes([0; 16]), Side::Client);
    let server = Seal::new(&key(), Side::Server);
    assert_eq!(
        server.open(&mut sealed(&mut client, b"x")),
        Err(PeerError::Forged)
    );
}

#[test]
fn longest_datagram_opens_and_a_longer_one_does_not() {
    let mut client = Seal::new(&key(), Side::Client);
    let server = Seal::new(&key(), Side::Server);
    let mut datagram = sealed(&mut client, &[1; Seal::PLAIN_MAX]);
    assert_eq!(datagram.len(), RECEIVE_BUFFER);
    assert!(server.open(&mut datagram).is_ok());
    datagram.push(0);
    assert_eq!(server.open(&mut datagram), Err(PeerError::Oversize));
    let mut out = Vec::new();
    let error = LocalError::TooLong {
        len: Seal::PLAIN_MAX + 1,
        limit: Seal::PLAIN_MAX,
    };
    assert_eq!(client.seal(&[1; Seal::PLAIN_MAX + 1], &mut out), Err(error));
    assert!(out.is_empty());
    assert_eq!(client.seal(&[], &mut out), Ok(1), "no number was spent");
}

#[test]
fn last_sequence_number_is_used_and_none_after_it() {
    let last = SEQUENCE_NUMBERS - 1;
    let mut server = Seal::starting_at(&key(), Side::Server, last, 0);
    let mut out = Vec::new();
    assert_eq!(server.seal(b"x", &mut out), Ok(last));
    assert_eq!(out[..8], [0xFF; 8]);
    let len = out.len();
    for _ in 0..3 {
        assert_eq!(server.seal(b"x", &mut out), Err(LocalError::KeyExhausted));
        assert_eq!(out.len(), len);
    }
    let client = Seal::new(&key(), Side::Client);
    assert_eq!(client.open(&mut out).expect("authentic").seq, last);
}

#[test]
fn last_block_is_sealed_and_none_after_it() {
    let mut client = Seal::starting_at(&key(), Side::Client, 0, KEY_BLOCKS_MAX - 2);
    let mut out = Vec::new();
    assert_eq!(
        client.seal(&[0; 33], &mut out),
        Err(LocalError::KeyExhausted)
    );
    assert_eq!(client.seal(&[0; 17], &mut out), Ok(0), "two blocks");
    assert_eq!(
        client.seal(&[0; 1], &mut out),
        Err(LocalError::KeyExhausted)
    );
}

#[test]
fn threads_that_share_a_seal_never_share_a_nonce() {
    const THREADS: u64 = 4;
    const EACH: u64 = if cfg!(debug_assertions) {
        20_000
    } else {
        1_000_000
    };
    let seal = Arc::new(Mutex::new(Seal::new(&key(), Side::Client)));
    let workers: Vec<_> = (0..THREADS)
        .map(|_| {
            let seal = Arc::clone(&seal);
            thread::spawn(move || {
                let mut out = Vec::new();
                let one = |_| {
                    out.clear();
                    let mut seal = seal.lock().expect("no holder panics");
                    seal.seal(b"", &mut out).expect("far from the limit");
                    <[u8; 8]>::try_from(&out[..8]).expect("a nonce")
                };
                (0..EACH).map(one).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut nonces = HashSet::new();
    for worker in workers {
        for nonce in worker.join().expect("sealed all") {
            assert!(nonces.insert(nonce), "{nonce:?} came twice");
        }
    }
    assert_eq!(nonces.len() as u64, THREADS * EACH);
}
