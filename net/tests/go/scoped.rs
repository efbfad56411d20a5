//! Link-local addresses, in the zones of interfaces that come and go.

use gannet_net::{Addr, dial, listen_stream};

use crate::common::namespace::{add_link, in_namespace, ip};
use crate::common::run;

/// The number of an address's zone.
fn zone(addr: &Addr) -> u32 {
    match addr.socket_addr() {
        Some(std::net::SocketAddr::V6(addr)) => addr.scope_id(),
        _ => 0,
    }
}

#[test]
fn link_local_addresses_carry_their_zone() {
    in_namespace("scoped::link_local_addresses_carry_their_zone", || {
        add_link("gn0", "fe80::77/64");
        run(async {
            for network in ["tcp", "tcp6"] {
                let listener = listen_stream(network, "[fe80::77%gn0]:0").await.unwrap();
                let addr = listener.local_addr().unwrap();
                let client = dial(network, &addr).await.unwrap();
                let (server, peer) = listener.accept().await.unwrap();
                for addr in [
                    &addr,
                    &peer,
                    &client.local_addr().unwrap(),
                    &client.peer_addr().unwrap(),
                    &server.local_addr().unwrap(),
                ] {
                    assert_ne!(zone(addr), 0, "{addr}");
                }
                client.write_all(b"link").await.unwrap();
                let mut buf = [0; 4];
                server.read_exact(&mut buf).await.unwrap();
                server.write_all(&buf).await.unwrap();
                client.read_exact(&mut buf).await.unwrap();
                assert_eq!(&buf, b"link");
            }
        });
    });
}

#[test]
fn interface_that_came_later_is_found_by_its_name() {
    in_namespace(
        "scoped::interface_that_came_later_is_found_by_its_name",
        || {
            add_link("gn0", "fe80::77/64");
            run(async {
                listen_stream("tcp", "[fe80::77%gn0]:0").await.unwrap();
                let later = "[fe80::77%gn1]:0";
                listen_stream("tcp", later)
                    .await
                    .expect_err("it is not there");
                add_link("gn1", "fe80::77/64");
                let listener = listen_stream("tcp", later).await.unwrap();
                let first = zone(&listener.local_addr().unwrap());
                drop(listener);
                ip("link del gn1");
                listen_stream("tcp", later).await.expect_err("it has gone");
                add_link("gn1", "fe80::77/64");
                let listener = listen_stream("tcp", later).await.unwrap();
                assert_ne!(zone(&listener.local_addr().unwrap()), first, "another one");
            });
        },
    );
}
