//! Raw IP: what addresses mean, and names of sockets. In namespaces, where there is the privilege.

use std::time::{Duration, Instant};

use gannet_net::error::is_deadline;
use gannet_net::{Addr, Dialer, dial, listen_packet};

use crate::common::namespace::in_namespace;
use crate::common::{assert_well_formed, run};

/// Network, address, and what is dialled.
const GOOD: [(&str, &str, &str); 11] = [
    ("ip:icmp", "127.0.0.1", "127.0.0.1"),
    ("ip4:icmp", "127.0.0.1", "127.0.0.1"),
    ("ip4:ICMP", "127.0.0.1", "127.0.0.1"),
    ("ip4:1", "::ffff:127.0.0.1", "127.0.0.1"),
    ("ip:ipv6-icmp", "::1", "::1"),
    ("ip6:ipv6-icmp", "::1", "::1"),
    ("ip6:IPv6-ICMP", "::1", "::1"),
    ("ip6:58", "::1%lo", "::1%1"),
    ("ip:58", "::1%1", "::1%1"),
    ("ip4:47", "127.0.0.1", "127.0.0.1"),
    ("ip6:47", "::1", "::1"),
];

#[test]
fn raw_address_means_what_it_means_in_go() {
    in_namespace("ip::raw_address_means_what_it_means_in_go", || {
        run(async {
            for (network, address, want) in GOOD {
                let dialer = Dialer::new().control(move |info, _| {
                    assert_eq!(info.address, want);
                    Err(std::io::Error::other("asked, not dialled"))
                });
                let err = dialer.dial(network, address).await.unwrap_err();
                assert!(
                    err.to_string().ends_with("asked, not dialled"),
                    "{network}: {err}"
                );
            }
            for (network, address, rule) in [
                ("ip4:icmp", "::1", "no suitable address found"),
                ("ip6:ipv6-icmp", "127.0.0.1", "no suitable address found"),
                ("l2tp", "127.0.0.1", "unknown network l2tp"),
                ("l2tp:gre", "127.0.0.1", "unknown network l2tp:gre"),
                ("ip:icmp", "", "missing address"),
            ] {
                let err = dial(network, address).await.unwrap_err();
                assert!(err.to_string().ends_with(rule), "{err}");
                assert_well_formed(&err);
            }
        });
    });
}

#[test]
fn raw_connection_names_its_peer() {
    in_namespace("ip::raw_connection_names_its_peer", || {
        run(async {
            let local = Addr::Ip([127, 0, 0, 1].into(), 0);
            let dialer = Dialer::new().local_addr(local.clone());
            let conn = dialer.dial("ip:tcp", "127.0.0.1").await.unwrap();
            assert_eq!(conn.peer_addr().unwrap(), local);
            assert_eq!(conn.local_addr().unwrap(), local);
        });
    });
}

#[test]
fn raw_socket_obeys_deadlines_and_has_buffers() {
    in_namespace("ip::raw_socket_obeys_deadlines_and_has_buffers", || {
        run(async {
            let socket = listen_packet("ip4:253", "127.0.0.1").await.unwrap();
            let to = socket.local_addr().unwrap();
            let hour = Instant::now().checked_add(Duration::from_secs(3600));
            socket.set_deadline(hour).unwrap();
            socket.set_read_deadline(hour).unwrap();
            socket.set_write_deadline(hour).unwrap();
            let before = socket.recv_buffer_size().unwrap();
            socket.set_recv_buffer_size(2048).unwrap();
            socket.set_send_buffer_size(4096).unwrap();
            assert!(socket.recv_buffer_size().unwrap() < before);
            socket.send_to(b"IPCONN TEST", &to).await.unwrap();
            let mut buf = [0; 64];
            let (len, from) = socket.recv_from(&mut buf).await.unwrap();
            assert_eq!((&buf[..len], from), (&b"IPCONN TEST"[..], to.clone()));
            let past = Instant::now().checked_sub(Duration::from_secs(5));
            socket.set_deadline(past).unwrap();
            assert!(is_deadline(&socket.recv_from(&mut buf).await.unwrap_err()));
            assert!(is_deadline(&socket.send_to(b"x", &to).await.unwrap_err()));
        });
    });
}
