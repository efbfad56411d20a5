//! Where a server waits (mosh-wire §4.7): a port of a range, and the address that was wished for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use gannet_net::UdpSocket;
use gannet_net::error::raw_os_error;
use gannet_roam::{Blob, Bound, Client, Server};

use crate::namespace::{in_namespace, ip as configure};
use crate::pair::{ip, run, tell};

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

const EACCES: i32 = 13;
const EADDRINUSE: i32 = 98;
const EADDRNOTAVAIL: i32 = 99;

async fn bind(address: Option<&str>, ports: RangeInclusive<u16>) -> std::io::Result<Bound> {
    let server = Server::new().ports(ports);
    let server = match address {
        Some(address) => server.address(ip(address)),
        None => server,
    };
    server.bind().await
}

/// Takes a port at any address, and of `::` the IPv6 side only.
async fn take(address: &str, port: u16) -> UdpSocket {
    let addr = SocketAddr::new(ip(address), port);
    UdpSocket::bind(addr).await.expect("a free port")
}

/// Ports are each test's own in a namespace: others may take those of the machine at any time.
#[test]
fn ports_and_addresses_are_taken_as_mosh_does() {
    in_namespace(
        "address::ports_and_addresses_are_taken_as_mosh_does",
        || {
            run(async {
                the_default_range_is_tried_in_order().await;
                the_first_free_port_of_a_range_is_taken().await;
                a_busy_port_is_tried_elsewhere().await;
                an_address_that_is_not_here_is_a_wish().await;
                what_is_no_range_is_refused().await;
                ipv6_is_taken_by_wish().await;
            });
        },
    );
}

async fn the_default_range_is_tried_in_order() {
    let first = Server::new().bind().await.expect("a port");
    assert_eq!(first.local_addr(), SocketAddr::new(ANY, 60001));
    let second = Server::new().bind().await.expect("a port");
    assert_eq!(second.local_addr(), SocketAddr::new(ANY, 60002));
    drop(first);
    let third = Server::new().bind().await.expect("a port");
    assert_eq!(third.local_addr().port(), 60001);
    let chosen = bind(None, 0..=0).await.expect("a port");
    assert_ne!(chosen.local_addr().port(), 0);
}

async fn the_first_free_port_of_a_range_is_taken() {
    let busy = [take("0.0.0.0", 61000).await, take("0.0.0.0", 61001).await];
    let bound = bind(None, 61000..=61003).await.expect("a port");
    assert_eq!(bound.local_addr().port(), 61002);
    let all = bind(None, 61000..=61002).await.expect_err("all are taken");
    assert_eq!(raw_os_error(&all), Some(EADDRINUSE));
    drop(busy);
    let one = bind(None, 61001..=61001).await.expect("it is free now");
    assert_eq!(one.local_addr().port(), 61001);
}

/// The address that is wished for first, then any other, then nothing.
async fn a_busy_port_is_tried_elsewhere() {
    let busy = take("127.0.0.1", 61100).await;
    let elsewhere = bind(Some("127.0.0.2"), 61100..=61100)
        .await
        .expect("its own");
    assert!(elsewhere.address_failure().is_none());
    let none = bind(Some("127.0.0.1"), 61100..=61100).await;
    let err = none.expect_err("any address has the busy one in it");
    assert_eq!(raw_os_error(&err), Some(EADDRINUSE));
    let next = bind(Some("127.0.0.1"), 61100..=61101)
        .await
        .expect("a port");
    assert_eq!(next.local_addr(), SocketAddr::new(ip("127.0.0.1"), 61101));
    drop(busy);
    // Without a privilege in this namespace it would be `EACCES`.
    let low = bind(None, 1..=1).await;
    assert!(low.is_ok() || low.is_err_and(|err| raw_os_error(&err) == Some(EACCES)));
}

async fn an_address_that_is_not_here_is_a_wish() {
    let bound = bind(Some("192.0.2.1"), 61200..=61202)
        .await
        .expect("a port");
    assert_eq!(bound.local_addr(), SocketAddr::new(ANY, 61200));
    let failure = bound.address_failure().expect("it is told");
    assert_eq!(raw_os_error(failure), Some(EADDRNOTAVAIL));
    let six = bind(Some("2001:db8::1"), 61201..=61201)
        .await
        .expect("a port");
    assert_eq!(six.local_addr(), SocketAddr::new(ANY, 61201));
    assert!(six.address_failure().is_some());
}

#[allow(clippy::reversed_empty_ranges, reason = "that is what is tried")]
async fn what_is_no_range_is_refused() {
    for ports in [0..=5, 9..=8] {
        for address in [None, Some("127.0.0.1")] {
            let err = bind(address, ports.clone()).await.expect_err("no range");
            assert_eq!(err.kind(), std::io::ErrorKind::InvalidInput, "{ports:?}");
        }
    }
}

/// `::1`, an IPv4 address written as IPv6, and `::` for both versions of IP.
async fn ipv6_is_taken_by_wish() {
    for (wish, reached_at) in [
        ("::1", "::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::", "::1"),
        ("::", "127.0.0.1"),
    ] {
        let bound = bind(Some(wish), 61300..=61310).await.expect("a port");
        assert!(bound.address_failure().is_none(), "{wish}");
        let to = SocketAddr::new(ip(reached_at), bound.local_addr().port());
        let client = Client::new(bound.key().clone(), to);
        let server = bound.session(Blob::new(), Blob::new());
        let client = client.session(Blob::new(), Blob::new()).expect("a client");
        tell(&client, &server, reached_at.as_bytes()).await;
        tell(&server, &client, wish.as_bytes()).await;
        assert!(client.shut_down().await);
    }
}

/// A client may be given an IPv4 address in the clothes of an IPv6 one.
#[test]
fn a_mapped_address_is_one_to_send_to() {
    run(async {
        let bound = crate::pair::bound("127.0.0.1").await;
        let to = SocketAddr::new(ip("::ffff:127.0.0.1"), bound.local_addr().port());
        let client = Client::new(bound.key().clone(), to);
        let server = bound.session(Blob::new(), Blob::new());
        let client = client.session(Blob::new(), Blob::new()).expect("a client");
        tell(&client, &server, b"mapped").await;
        tell(&server, &client, b"back").await;
    });
}

/// A path whose links carry less than a datagram: the kernel cuts it, or shorter ones are made.
#[test]
fn a_narrow_link_carries_a_session() {
    in_namespace("address::a_narrow_link_carries_a_session", || {
        configure("link set lo mtu 600");
        run(async {
            let (client, server) = crate::pair::blobs("127.0.0.1").await;
            let mut rng = fastrand::Rng::with_seed(1);
            let octets: Vec<u8> = (0..20_000).map(|_| rng.u8(..)).collect();
            tell(&client, &server, &octets).await;
            tell(&server, &client, &octets[1..]).await;
        });
    });
}
