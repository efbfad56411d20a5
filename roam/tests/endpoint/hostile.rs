//! Those who do not have the key.

use std::net::SocketAddr;
use std::time::Duration;

use gannet_net::UdpSocket;
use gannet_roam::proto::{
    Event, Fragmenter, Header, Instruction, Key, Protocol, Seal, Session, Side, State, deflate,
};
use gannet_roam::{Blob, Client, generate_key};
use gannet_runtime::time::now;

use crate::pair::{Blobs, V4, V6, blobs, bound, ip, run, run_both, tell};

/// A socket of somebody's own.
async fn socket(address: &str) -> UdpSocket {
    let addr = SocketAddr::new(ip(address), 0);
    UdpSocket::bind(addr).await.expect("a port")
}

/// What an honest client would say first.
fn greeting(key: &Key, to: SocketAddr) -> Vec<u8> {
    let random = Box::new(|octets: &mut [u8]| octets.fill(0));
    let states = (Blob::new(), Blob::new());
    let client = Session::client(key, vec![to], states, now(), random);
    let (mut client, mut out) = (client.expect("a client"), Vec::new());
    client.update(now(), |value| *value = Blob::from("x"));
    // What has changed waits a moment for more.
    let sent = client.poll_transmit(now() + Duration::from_millis(1), &mut out);
    assert_eq!(sent.map(|transmit| transmit.to), Some(to));
    out
}

/// Datagrams that are wrong, each in its own way.
fn wrong(key: &Key, to: SocketAddr) -> Vec<Vec<u8>> {
    let other = generate_key().expect("a key");
    let honest = greeting(key, to);
    let mut all = vec![
        greeting(&other, to),
        Vec::new(),
        vec![0; 1],
        honest[..23].to_vec(),
        honest[..honest.len() - 1].to_vec(),
        [&honest[..], &[0]].concat(),
        vec![0; 2048],
        vec![0xff; 2049],
        vec![0x80; 9000],
    ];
    let mut rng = fastrand::Rng::with_seed(3);
    all.extend((24..128).map(|len| (0..len).map(|_| rng.u8(..)).collect()));
    all.extend((0..honest.len()).map(|at| {
        let mut damaged = honest.clone();
        damaged[at] ^= 1 << (at % 8);
        damaged
    }));
    all
}

/// Nothing is answered: the first datagram that the server ever sends bears the number 0, and goes
/// to the first who has the key.
#[test]
fn nothing_answers_a_wrong_key() {
    for address in [V4, V6] {
        run_both(|| async move {
            let bound = bound(address).await;
            let (key, to) = (bound.key().clone(), bound.local_addr());
            let server: Blobs = bound.session(Blob::new(), Blob::new());
            let peer = socket(address).await;
            let wrong = wrong(&key, to);
            for datagram in &wrong {
                peer.send_to(datagram, to).await.expect("room");
                gannet_runtime::yield_now().await;
            }
            peer.send_to(&greeting(&key, to), to).await.expect("room");
            let mut octets = [0; 2048];
            let (len, from) = peer.recv_from(&mut octets).await.expect("an answer");
            assert_eq!(from, to);
            let seal = Seal::new(&key, Side::Client);
            let opened = seal.open(&mut octets[..len]).expect("it is authentic");
            assert_eq!(opened.seq, 0);
            let stats = server.stats();
            assert_eq!(stats.rejected.total(), wrong.len() as u64);
            assert_eq!(stats.rejected.forged, wrong.len() as u64);
            assert_eq!(server.peer_addr(), Some(peer.local_addr().expect("bound")));
        });
    }
}

/// A replayed or reflected datagram moves nobody and is not answered.
#[test]
fn repeated_datagrams_change_nothing() {
    run(async {
        let bound = bound(V4).await;
        let (key, to) = (bound.key().clone(), bound.local_addr());
        let server: Blobs = bound.session(Blob::new(), Blob::new());
        let (peer, thief) = (socket(V4).await, socket(V4).await);
        let greeting = greeting(&key, to);
        peer.send_to(&greeting, to).await.expect("room");
        let mut answer = [0; 2048];
        let (len, _) = peer.recv_from(&mut answer).await.expect("an answer");
        thief.send_to(&greeting, to).await.expect("room");
        thief.send_to(&answer[..len], to).await.expect("room");
        while server.stats().rejected.total() < 2 {
            gannet_runtime::yield_now().await;
        }
        assert_eq!(server.stats().rejected.replayed, 2);
        let peer = peer.local_addr().expect("bound");
        assert_eq!(server.peer_addr(), Some(peer));
        assert_eq!(server.event().await, Some(Event::Attached { peer }));
        assert_eq!(server.remote().1, Blob::from("x"));
    });
}

/// Authentic nonsense is counted, and the session goes on.
#[test]
fn authentic_nonsense_is_dropped() {
    run(async {
        let bound = bound(V4).await;
        let (key, to) = (bound.key().clone(), bound.local_addr());
        let server: Blobs = bound.session(Blob::new(), Blob::new());
        let (peer, mut seal) = (socket(V4).await, Seal::new(&key, Side::Client));
        let header = Header {
            timestamp: None,
            reply: None,
        };
        for length in 0..40 {
            let mut out = Vec::new();
            let plain = [&header.encode()[..], &vec![0xa5; length]].concat();
            seal.seal(&plain, &mut out).expect("a number");
            peer.send_to(&out, to).await.expect("room");
        }
        while server.stats().datagrams_received < 40 {
            gannet_runtime::yield_now().await;
        }
        let rejected = server.stats().rejected;
        assert!(
            rejected.malformed > 30 && rejected.forged == 0,
            "{rejected:?}"
        );
        assert_eq!(server.remote(), (0, Blob::new()));
        let mut honest = Vec::new();
        let _ = seal.seal(&header.encode(), &mut honest);
        assert!(!server.is_closed());
    });
}

const FLOOD: usize = 4_000;

/// Forgeries at once, which fit into any receive buffer with room for a word of the client.
const WAVE: usize = 50;

/// While 4,000 forgeries come in, an honest session goes on as if they did not.
#[test]
fn a_flood_of_forgeries_changes_nothing() {
    run_both(|| async {
        let (client, server) = blobs(V4).await;
        tell(&client, &server, b"there").await;
        let to = server.local_addr();
        let forger = socket(V4).await;
        let mut rng = fastrand::Rng::with_seed(9);
        let mut datagram = vec![0; 1280];
        for round in 0..FLOOD / WAVE {
            for _ in 0..WAVE {
                rng.fill(&mut datagram[..64]);
                let length = rng.usize(1..datagram.len());
                forger.send_to(&datagram[..length], to).await.expect("room");
            }
            let told = (round as u32).to_be_bytes();
            tell(&client, &server, &told).await;
            tell(&server, &client, &told).await;
        }
        let stats = server.stats();
        assert!(
            stats.rejected.forged > FLOOD as u64 / 2,
            "{:?}",
            stats.rejected
        );
        assert_eq!(stats.rejected.malformed, 0);
        // A client that is kept waiting tries fresh ports, which the server follows, but no forger.
        assert!(stats.roams <= client.stats().port_hops, "{stats:?}");
        assert_ne!(server.peer_addr(), forger.local_addr().ok());
        assert_eq!(client.stats().rejected.total(), 0);
        assert!(client.shut_down().await);
    });
}

/// A client takes no answer but its server's, whoever finds its port.
#[test]
fn a_client_is_not_taken_in() {
    run(async {
        let listener = socket(V4).await;
        let to = listener.local_addr().expect("bound");
        let key = generate_key().expect("a key");
        let client = Client::new(key.clone(), to);
        let client: Blobs = client
            .session(Blob::from("a"), Blob::new())
            .expect("a client");
        let mut octets = [0; 2048];
        let (len, from) = listener.recv_from(&mut octets).await.expect("a greeting");
        let wrong = wrong(&key, from);
        for datagram in &wrong {
            listener.send_to(datagram, from).await.expect("room");
            gannet_runtime::yield_now().await;
        }
        listener.send_to(&octets[..len], from).await.expect("room");
        while client.stats().rejected.total() < wrong.len() as u64 + 1 {
            gannet_runtime::yield_now().await;
        }
        assert_eq!(client.stats().rejected.replayed, 1, "its own");
        assert_eq!((client.peer_addr(), client.silence()), (None, None));
        assert!(!client.is_closed());
    });
}

/// Datagrams at once, which fit into any receive buffer.
const BURST: u64 = 16;

/// Who has the key of one session and sends the costliest states to be had, a mebibyte in each
/// datagram, keeps no other session of the same thread from its own.
#[test]
fn a_flood_of_costly_states_starves_no_other_session() {
    run(async {
        let bound = bound(V4).await;
        let (key, to) = (bound.key().clone(), bound.local_addr());
        let flooded: Blobs = bound.session(Blob::new(), Blob::new());
        let (peer, seal) = (socket(V4).await, Seal::new(&key, Side::Client));
        let (mut seal, mut fragmenter) = (seal, Fragmenter::new());
        let (client, server) = blobs(V4).await;
        let costly = Blob::from(vec![0; 1 << 20]).diff_from(&Blob::new());
        for round in 0..6 {
            for number in 1..=BURST {
                let instruction = Instruction {
                    new_num: round * BURST + number,
                    diff: costly.clone(),
                    ..Instruction::new()
                };
                let blob = deflate(&instruction.encode()).expect("short enough");
                let fragments = fragmenter.split(&instruction, blob.into(), 1252);
                let (mut plain, mut datagram) = (vec![0xFF; 4], Vec::new());
                assert!(fragments.expect("one").next_into(&mut plain));
                seal.seal(&plain, &mut datagram).expect("a number");
                peer.send_to(&datagram, to).await.expect("room");
            }
            let told = round.to_be_bytes();
            tell(&client, &server, &told).await;
            tell(&server, &client, &told).await;
            while flooded.stats().datagrams_received < (round + 1) * BURST {
                gannet_runtime::yield_now().await;
            }
        }
        let stats = flooded.stats();
        assert_eq!(stats.rejected.total(), 0, "{:?}", stats.rejected);
        assert!((1..=31).contains(&stats.states_received), "{stats:?}");
        assert!(stats.memory <= 40 << 20, "{stats:?}");
        assert!(client.shut_down().await);
    });
}
