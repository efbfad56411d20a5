//! UDP: names of sockets, and the version of IP of their peers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use gannet_net::error::AddrError;
use gannet_net::{Addr, Dialer, RecvBatch, Transmit, UdpSocket, dial, listen_packet};

use crate::common::run;

#[test]
fn udp_socket_always_has_a_port() {
    run(async {
        for (network, address) in [
            ("udp4", "127.0.0.1:0"),
            ("udp4", ":0"),
            ("udp4", ""),
            ("udp", ""),
            ("udp6", "[::1]:0"),
        ] {
            let socket = listen_packet(network, address).await.unwrap();
            let addr = socket.local_addr().unwrap();
            assert_ne!(addr.port(), Some(0), "{network} {address}");
            assert_eq!(addr.network(), "udp");
            socket.peer_addr().expect_err("it has no peer");
        }
    });
}

#[test]
fn udp_connection_has_both_names() {
    run(async {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let server = listen_packet("udp", address).await.unwrap();
            let to = server.local_addr().unwrap();
            let local = Addr::Udp(address.parse().unwrap());
            for dialer in [Dialer::new(), Dialer::new().local_addr(local)] {
                let client = dialer.dial("udp", &to).await.unwrap();
                assert_eq!(client.peer_addr().unwrap(), to);
                let from = client.local_addr().unwrap();
                assert_ne!(from.port(), Some(0));
                client.write(b"x").await.unwrap();
                assert_eq!(server.recv_from(&mut [0; 8]).await.unwrap(), (1, from));
            }
        }
    });
}

#[test]
fn udp4_socket_shows_ipv4_as_such() {
    run(async {
        let socket = listen_packet("udp4", "127.0.0.1:0").await.unwrap();
        let socket = UdpSocket::try_from(socket).unwrap();
        let addr = socket.local_addr().unwrap();
        for _ in 0..2 {
            socket.send_to(b"x", addr).await.unwrap();
        }
        let (_, from) = socket.recv_from(&mut [0; 8]).await.unwrap();
        assert!(from.is_ipv4(), "{from}");
        let mut batch = RecvBatch::new(1, 8);
        assert_eq!(socket.recv_batch(&mut batch).await.unwrap(), 1);
        assert!(batch.datagrams().all(|datagram| datagram.from.is_ipv4()));
    });
}

/// Loopback of a port, as IPv4, as IPv4 in its IPv6 form, and as IPv6.
fn spellings(port: u16) -> [SocketAddr; 3] {
    ["127.0.0.1", "::ffff:127.0.0.1", "::1"]
        .map(|ip| SocketAddr::new(ip.parse::<IpAddr>().unwrap(), port))
}

#[test]
fn dual_stack_socket_sends_to_every_spelling() {
    run(async {
        let server = UdpSocket::bind(":0").await.unwrap();
        let client = UdpSocket::bind(":0").await.unwrap();
        for to in spellings(server.local_addr().unwrap().port()) {
            client.send_to(b"x", to).await.unwrap();
            let (_, from) = server.recv_from(&mut [0; 8]).await.unwrap();
            assert_eq!(from.ip(), to.ip().to_canonical());
            let batch = [Transmit::new(b"xy", to)];
            assert_eq!(client.send_batch(&batch).await.unwrap(), 1);
            assert_eq!(server.recv_from(&mut [0; 8]).await.unwrap().0, 2);
        }
    });
}

#[test]
fn udp4_socket_sends_to_the_spellings_of_ipv4() {
    run(async {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = listen_packet("udp4", ":0").await.unwrap();
        let client = UdpSocket::try_from(client).unwrap();
        let [v4, mapped, v6] = spellings(server.local_addr().unwrap().port());
        for to in [v4, mapped] {
            client.send_to(b"x", to).await.unwrap();
            let (_, from) = server.recv_from(&mut [0; 8]).await.unwrap();
            assert_eq!(from.ip(), Ipv4Addr::LOCALHOST);
        }
        let err = client.send_to(b"x", v6).await.unwrap_err();
        let cause = &gannet_net::error::op_error(&err).unwrap().err;
        assert!(cause.get_ref().unwrap().is::<AddrError>(), "{err}");
        client
            .send_batch(&[Transmit::new(b"x", v6)])
            .await
            .unwrap_err();
    });
}

#[test]
fn udp_connection_takes_no_destination_in_a_batch_but_its_peer() {
    run(async {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = dial("udp", server.local_addr().unwrap()).await.unwrap();
        let client = UdpSocket::try_from(client).unwrap();
        let strange = Transmit::new(b"x", other.local_addr().unwrap());
        client.send_batch(&[strange]).await.unwrap_err();
        assert_eq!(client.send(b"ok").await.unwrap(), 2);
        assert_eq!(server.recv_from(&mut [0; 8]).await.unwrap().0, 2);
    });
}
