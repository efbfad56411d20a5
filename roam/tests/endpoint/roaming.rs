//! Ways to the peer that are dead, change, or are given up.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gannet_net::UdpSocket;
use gannet_roam::proto::Event;
use gannet_roam::{Client, generate_key};
use gannet_runtime::time::now;
use gannet_runtime::yield_now;

use crate::namespace::{in_namespace, ip as configure};
use crate::pair::{Blobs, V4, V6, blobs, bound, ip, run, tell};

/// A server that is reached by the second of its client's addresses only, which is of the other
/// version of IP.
#[test]
fn a_dead_first_address_is_given_up_for_the_second() {
    for (dead, alive) in [(V4, V6), (V6, V4)] {
        run(async move {
            // Somebody who never answers.
            let silent = UdpSocket::bind(SocketAddr::new(ip(dead), 0)).await;
            let silent = silent.expect("a port").local_addr().expect("bound");
            let bound = bound(alive).await;
            let peer = bound.local_addr();
            let client = Client::new(bound.key().clone(), silent).or_address(peer);
            let server = bound.session("".into(), "".into());
            let client: Blobs = client.session("".into(), "".into()).expect("a client");
            client.update(|value| *value = "hello".into());
            assert_eq!(server.recv().await, Some("hello".into()));
            assert_eq!(client.event().await, Some(Event::Attached { peer }));
            tell(&server, &client, b"back").await;
            assert!(client.stats().port_hops >= 2);
        });
    }
}

/// As before, with a machine that has no way to the first address at all.
#[test]
fn an_address_without_a_route_is_given_up_for_the_second() {
    in_namespace(
        "roaming::an_address_without_a_route_is_given_up_for_the_second",
        || {
            run(async {
                let nowhere = SocketAddr::new(ip("2001:db8::1"), 60001);
                let key = generate_key().expect("a key");
                let lost = Client::new(key, nowhere);
                let lost: Blobs = lost.session("".into(), "".into()).expect("a client");
                while lost.path_error().is_none() {
                    yield_now().await;
                }
                let error = lost.path_error().expect("it is still there");
                assert_eq!(error.to, nowhere);
                assert!(error.to_string().contains("unreachable"), "{error}");

                let bound = bound(V4).await;
                let client =
                    Client::new(bound.key().clone(), nowhere).or_address(bound.local_addr());
                let server = bound.session("".into(), "".into());
                let client: Blobs = client.session("".into(), "".into()).expect("a client");
                client.update(|value| *value = "hello".into());
                assert_eq!(server.recv().await, Some("hello".into()));
                tell(&server, &client, b"back").await;
                assert!(client.stats().send_failures >= 1);
                assert_eq!(client.path_error(), None);
            });
        },
    );
}

/// Every hop is followed, and old sockets are closed in time.
#[test]
fn hops_are_followed() {
    run(async {
        let (client, server) = blobs(V4).await;
        tell(&client, &server, b"there").await;
        for hop in 1..=15u8 {
            let before = server.peer_addr();
            client.hop();
            tell(&client, &server, &[hop]).await;
            tell(&server, &client, &[hop]).await;
            assert_ne!(server.peer_addr(), before);
        }
        let stats = client.stats();
        assert_eq!((stats.port_hops, stats.ports), (15, 10));
        server.hop();
        assert_eq!(server.stats().port_hops, 0);
    });
}

const HEARTBEAT: Duration = Duration::from_secs(3);
const CHANGES: u32 = 12;

/// Addresses come and go: the client speaks at each, sooner than its heartbeats would. These alone
/// would take three seconds each.
#[test]
fn a_change_of_address_is_told_at_once() {
    in_namespace("roaming::a_change_of_address_is_told_at_once", || {
        run(async {
            let (client, server) = blobs(V4).await;
            tell(&client, &server, b"there").await;
            assert!(client.confirmed().await);
            let began = now();
            for change in 1..=CHANGES {
                let before = server.stats().datagrams_received;
                configure(&format!("addr add 10.77.0.{change}/32 dev lo"));
                heard_more(&server, before).await;
            }
            let by_heartbeats = heartbeats_since(began) + 1;
            assert!(
                CHANGES > by_heartbeats,
                "at most {by_heartbeats} were heartbeats"
            );
        });
    });
}

/// The netlink sockets of this process that hear of something.
fn listening() -> usize {
    let table = fs::read_to_string("/proc/self/net/netlink").expect("Linux");
    let sockets = table.lines().filter_map(|line| {
        let inode = line.split_whitespace().next_back()?;
        Some(format!("socket:[{inode}]"))
    });
    let sockets: HashSet<String> = sockets.collect();
    let open = fs::read_dir("/proc/self/fd").expect("Linux");
    let links = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links
        .filter(|link| sockets.contains(&*link.to_string_lossy()))
        .count()
}

/// All clients of a thread hear of changes by one socket, which goes with the last of them.
#[test]
fn clients_share_what_they_hear() {
    in_namespace("roaming::clients_share_what_they_hear", || {
        run(async {
            let first = blobs(V4).await;
            assert_eq!(listening(), 1);
            let second = blobs(V4).await;
            for (client, server) in [&first, &second] {
                tell(client, server, b"there").await;
                assert!(client.confirmed().await);
            }
            assert_eq!(listening(), 1);
            assert!(first.0.shut_down().await);
            assert_eq!(listening(), 1, "the second still hears");
            let third = blobs(V4).await;
            tell(&third.0, &third.1, b"there").await;
            assert!(third.0.confirmed().await);
            let pairs = [&second, &third];
            let began = now();
            for change in 1..=CHANGES {
                let heard = pairs.map(|(_, server)| server.stats().datagrams_received);
                configure(&format!("addr add 10.77.0.{change}/32 dev lo"));
                for ((_, server), heard) in pairs.into_iter().zip(heard) {
                    heard_more(server, heard).await;
                }
            }
            let by_heartbeats = heartbeats_since(began) + 1;
            assert!(
                CHANGES > by_heartbeats,
                "at most {by_heartbeats} were heartbeats"
            );
            drop((second, third));
            while listening() > 0 {
                yield_now().await;
            }
        });
        // Another runtime of the same thread has an ear of its own.
        run(async {
            let (client, server) = blobs(V4).await;
            tell(&client, &server, b"there").await;
            assert_eq!(listening(), 1);
        });
    });
}

/// A client whose only way goes away and comes back under another address is heard from there.
#[test]
fn a_client_is_followed_to_its_new_address() {
    in_namespace("roaming::a_client_is_followed_to_its_new_address", || {
        configure("addr add 10.77.1.1/32 dev lo");
        configure("addr add 10.77.0.1/32 dev lo");
        configure("route replace local 10.77.1.1 dev lo src 10.77.0.1");
        run(async {
            let (client, server) = blobs("10.77.1.1").await;
            tell(&client, &server, b"there").await;
            assert_eq!(
                server.peer_addr().map(|peer| peer.ip()),
                Some(ip("10.77.0.1"))
            );
            configure("addr add 10.77.0.2/32 dev lo");
            configure("route replace local 10.77.1.1 dev lo src 10.77.0.2");
            loop {
                let event = server.event().await.expect("the session goes on");
                let Event::Roamed { to, .. } = event else {
                    continue;
                };
                assert_eq!(to.ip(), ip("10.77.0.2"));
                break;
            }
            tell(&server, &client, b"moved").await;
            tell(&client, &server, b"indeed").await;
        });
    });
}

async fn heard_more(session: &Blobs, before: u64) {
    while session.stats().datagrams_received == before {
        yield_now().await;
    }
}

fn heartbeats_since(began: Instant) -> u32 {
    let elapsed = now().saturating_duration_since(began).as_millis();
    u32::try_from(elapsed / HEARTBEAT.as_millis()).expect("a short test")
}
