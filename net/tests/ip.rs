//! Raw IP sockets, in namespaces: there the tests have the privilege.

mod common;

use std::os::fd::OwnedFd;

use common::namespace::in_namespace;
use common::{assert_well_formed, run};
use gannet_net::error::raw_os_error;
use gannet_net::{Addr, IpSocket, Network, PacketConn, UdpSocket, dial, listen_packet};
use gannet_sys::errno;

/// An ICMP echo request, or by its first byte the reply, without data.
fn echo(kind: u8) -> [u8; 8] {
    [kind, 0, 0xf7 + (8 - kind), 0xfd, 0, 1, 0, 1]
}

#[test]
fn echo_is_answered_without_its_header() {
    in_namespace("echo_is_answered_without_its_header", || {
        run(async {
            let socket = IpSocket::bind("ip4:icmp", "127.0.0.1").await.unwrap();
            assert_eq!(socket.network(), Network::Ip4(1));
            assert_eq!(socket.local_ip().unwrap().to_string(), "127.0.0.1");
            let to = Addr::Ip([127, 0, 0, 1].into(), 0);
            assert_eq!(socket.send_to(&echo(8), &to).await.unwrap(), 8);
            let mut buf = [0; 64];
            let (len, from) = socket.recv_from(&mut buf).await.unwrap();
            assert_eq!((&buf[..len], &from), (&echo(8)[..], &to), "the own request");
            let (len, _) = socket.recv_from(&mut buf).await.unwrap();
            assert_eq!(&buf[..len], &echo(0)[..]);

            socket.send_to(&echo(8), &to).await.unwrap();
            let len = socket.recv(&mut buf).await.unwrap();
            assert_eq!(
                (len, buf[0]),
                (28, 0x45),
                "plain receiving keeps the header"
            );
        });
    });
}

#[test]
fn ipv6_packets_come_without_header() {
    in_namespace("ipv6_packets_come_without_header", || {
        run(async {
            // A protocol number that is left for experiments.
            let server = listen_packet("ip6:253", "::1").await.unwrap();
            let client = dial("ip6:253", "::1").await.unwrap();
            assert_eq!(client.peer_addr().unwrap().to_string(), "::1");
            assert_eq!(client.local_addr().unwrap().network(), "ip");
            client.write(b"experiment").await.unwrap();
            let mut buf = [0; 64];
            let (len, from) = server.recv_from(&mut buf).await.unwrap();
            assert_eq!(&buf[..len], b"experiment");
            assert_eq!(from.to_string(), "::1");
        });
    });
}

#[test]
fn raw_sockets_convert_and_are_adopted() {
    in_namespace("raw_sockets_convert_and_are_adopted", || {
        run(async {
            let socket = IpSocket::bind("ip4:253", "").await.unwrap();
            let fd = OwnedFd::try_from(socket).unwrap();
            let socket = PacketConn::try_from(fd).unwrap();
            assert_eq!(socket.network().to_string(), "ip:253");
            let err = UdpSocket::try_from(socket).unwrap_err();
            assert_eq!(err.to_string(), "a ip:253 socket is no UdpSocket");
            let socket = IpSocket::try_from(err.into_socket()).unwrap();
            let v6 = Addr::Ip("::1".parse().unwrap(), 0);
            let err = socket.send_to(b"x", &v6).await.unwrap_err();
            assert!(err.to_string().contains("non-IPv4 address"), "{err}");
            assert_well_formed(&err);
        });
    });
}

#[test]
fn networks_without_a_protocol_are_unknown() {
    run(async {
        for network in [
            "ip",
            "ip:",
            "ip::",
            "ip4",
            "ip4:",
            "ip6::",
            "ip4:nonesuch",
            "ip4:256",
        ] {
            let text = format!("unknown network {network}");
            let err = listen_packet(network, "127.0.0.1").await.unwrap_err();
            assert!(err.to_string().ends_with(&text), "{err}");
            let err = dial(network, "127.0.0.1").await.unwrap_err();
            assert!(err.to_string().ends_with(&text), "{err}");
            assert_well_formed(&err);
        }
        let err = dial("ip4:icmp", "").await.unwrap_err();
        assert_eq!(err.to_string(), "dial ip4: missing address");
        match listen_packet("ip4:icmp", "127.0.0.1").await {
            Ok(_) => {}
            Err(err) => {
                assert_eq!(raw_os_error(&err), Some(errno::EPERM));
                assert!(
                    err.to_string().ends_with("(raw sockets take CAP_NET_RAW)"),
                    "{err}"
                );
            }
        }
    });
}
