//! Single datagrams with what goes with them, and the errors that they meet.

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::namespace::{add_link, in_namespace, ip};
use common::{assert_well_formed, run};
use gannet_net::error::{WriteToConnectedError, is_deadline, op_error, raw_os_error};
use gannet_net::{Ecn, ListenConfig, Origin, SendMsg, UdpSocket};
use gannet_runtime::time;
use gannet_sys::errno;

async fn bind(address: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(address).await.unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// An address that nobody receives at.
async fn nobody(address: &str) -> SocketAddr {
    bind(address).await.1
}

fn ask_for_all(socket: &UdpSocket) {
    socket.set_recv_local(true).unwrap();
    socket.set_recv_ttl(true).unwrap();
    socket.set_recv_ecn(true).unwrap();
}

#[test]
fn message_tells_what_was_said() {
    run(async {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (socket, addr) = bind(address).await;
            let plain = SendMsg::new(b"plain", addr);
            socket.send_msg(&plain).await.unwrap();
            let mut buf = [0; 8];
            let got = socket.recv_msg(&mut buf).await.unwrap();
            assert_eq!((&buf[..got.len], got.from), (&b"plain"[..], addr));
            assert_eq!((got.local, got.interface, got.ttl), (None, None, None));
            assert_eq!(
                (got.ecn, got.segment_size, got.truncated),
                (None, None, false)
            );

            ask_for_all(&socket);
            let mut msg = SendMsg::new(b"everything", addr);
            msg.from = Some(addr.ip());
            msg.ttl = Some(9);
            msg.ecn = Some(Ecn::Ce);
            let lo = gannet_sys::interface::index("lo").unwrap();
            msg.interface = Some(lo);
            assert_eq!(socket.send_msg(&msg).await.unwrap(), 10);
            let got = socket.recv_msg(&mut buf).await.unwrap();
            assert_eq!((got.len, got.truncated, got.from), (8, true, addr));
            assert_eq!((got.local, got.interface), (Some(addr.ip()), Some(lo)));
            assert_eq!((got.ttl, got.ecn), (Some(9), Some(Ecn::Ce)));
        }
    });
}

#[test]
fn message_on_a_dual_stack_socket_shows_ipv4_as_ipv4() {
    run(async {
        let (server, addr) = bind(":0").await;
        ask_for_all(&server);
        for ip in ["127.0.0.1", "::ffff:127.0.0.1", "::1"] {
            let to = SocketAddr::new(ip.parse().unwrap(), addr.port());
            let mut msg = SendMsg::new(b"x", to);
            msg.ttl = Some(4);
            msg.ecn = Some(Ecn::Ect1);
            msg.from = Some(to.ip());
            server.send_msg(&msg).await.unwrap();
            let got = server.recv_msg(&mut [0; 4]).await.unwrap();
            assert_eq!(got.from.ip(), to.ip().to_canonical());
            assert_eq!(got.local, Some(to.ip().to_canonical()));
            assert_eq!((got.ttl, got.ecn), (Some(4), Some(Ecn::Ect1)));
        }
    });
}

#[test]
fn message_is_sent_from_the_address_that_it_names() {
    run(async {
        let (server, addr) = bind("127.0.0.1:0").await;
        let (client, _) = bind("0.0.0.0:0").await;
        let mut msg = SendMsg::new(b"x", addr);
        msg.from = Some(Ipv4Addr::new(127, 0, 0, 9).into());
        client.send_msg(&msg).await.unwrap();
        let got = server.recv_msg(&mut [0; 4]).await.unwrap();
        assert_eq!(got.from.ip(), IpAddr::from([127, 0, 0, 9]));

        msg.from = Some("::1".parse().unwrap());
        let err = client.send_msg(&msg).await.unwrap_err();
        assert!(err.to_string().contains("mismatched local address type"));
        assert_well_formed(&err);
        msg.from = Some("192.0.2.1".parse().unwrap());
        let err = client.send_msg(&msg).await.unwrap_err();
        assert!(raw_os_error(&err).is_some(), "{err}");
    });
}

#[test]
fn message_is_cut_into_segments() {
    run(async {
        let (socket, addr) = bind("127.0.0.1:0").await;
        let mut msg = SendMsg::new(b"0123456789", addr);
        msg.segment_size = Some(4);
        assert_eq!(socket.send_msg(&msg).await.unwrap(), 10);
        for len in [4, 4, 2] {
            assert_eq!(socket.recv_msg(&mut [0; 16]).await.unwrap().len, len);
        }
        socket.set_gro(true).unwrap();
        socket.send_msg(&msg).await.unwrap();
        let got = socket.recv_msg(&mut [0; 16]).await.unwrap();
        // Some kernels join, others do not.
        let joined = (10, Some(4));
        assert!([joined, (4, None)].contains(&(got.len, got.segment_size)));
    });
}

#[test]
fn message_has_one_destination() {
    run(async {
        let (server, addr) = bind("127.0.0.1:0").await;
        let client = UdpSocket::connect(addr).await.unwrap();
        let err = client.send_msg(&SendMsg::new(b"x", addr)).await;
        let err = err.unwrap_err();
        let cause = op_error(&err).unwrap().err.get_ref().unwrap();
        assert!(cause.is::<WriteToConnectedError>());
        client
            .send_msg(&SendMsg::new(b"to the peer", None))
            .await
            .unwrap();
        let got = server.recv_msg(&mut [0; 16]).await.unwrap();
        assert_eq!((got.len, got.from), (11, client.local_addr().unwrap()));

        let err = server
            .send_msg(&SendMsg::new(b"x", None))
            .await
            .unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::EDESTADDRREQ));
        let v6 = "[::1]:9".parse::<SocketAddr>().unwrap();
        let err = server.send_msg(&SendMsg::new(b"x", v6)).await.unwrap_err();
        assert!(err.to_string().contains("non-IPv4 address"), "{err}");
        assert_well_formed(&err);
    });
}

#[test]
fn refusal_is_told_once_and_the_socket_lives() {
    run(async {
        let gone = nobody("127.0.0.1:0").await;
        let client = UdpSocket::connect(gone).await.unwrap();
        client.send(b"x").await.unwrap();
        let err = client.recv(&mut [0; 4]).await.unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::ECONNREFUSED));
        let server = UdpSocket::bind(gone).await.unwrap();
        client.send(b"y").await.unwrap();
        let (len, from) = server.recv_from(&mut [0; 4]).await.unwrap();
        server.send_to(b"back", from).await.unwrap();
        assert_eq!((len, client.recv(&mut [0; 4]).await.unwrap()), (1, 4));
    });
}

#[test]
fn reports_name_the_datagram_that_met_the_error() {
    run(async {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (socket, own) = bind(address).await;
            assert!(!socket.recv_errors().unwrap());
            socket.set_recv_errors(true).unwrap();
            assert!(socket.recv_errors().unwrap());
            let mut buf = [0; 16];
            assert_eq!(socket.try_recv_report(&mut buf).unwrap(), None);

            let gone = [nobody(address).await, nobody(address).await];
            for to in gone {
                // An error of the first may come back by the second, which then is not sent.
                while socket.send_to(b"hello?", to).await.is_err() {}
            }
            for to in gone {
                let report = socket.recv_report(&mut buf).await.unwrap();
                assert_eq!(report.to, Some(to));
                assert_eq!(&buf[..report.len], b"hello?");
                assert_eq!(report.errno, errno::ECONNREFUSED);
                assert_ne!(report.origin, Origin::Local);
                assert_eq!(report.offender, Some(to.ip()));
                assert_eq!(report.to_string(), format!("{to}: connection refused"));
                assert_eq!((report.icmp.is_some(), report.mtu), (true, None));
            }
            assert_eq!(socket.try_recv_report(&mut buf).unwrap(), None, "drained");
            // One operation at most still fails, and then all is well.
            while socket.send_to(b"self", own).await.is_err() {}
            let got = loop {
                if let Ok((len, _)) = socket.recv_from(&mut buf).await {
                    break len;
                }
            };
            assert_eq!(got, 4);
        }
    });
}

#[test]
fn report_waits_for_the_deadline() {
    run(async {
        let (socket, _) = bind("127.0.0.1:0").await;
        socket.set_recv_errors(true).unwrap();
        let soon = time::now() + Duration::from_millis(10);
        socket.set_read_deadline(Some(soon)).unwrap();
        let err = socket.recv_report(&mut [0; 4]).await.unwrap_err();
        assert!(is_deadline(&err), "{err}");
        assert_well_formed(&err);
        socket.close().await.unwrap();
        assert!(socket.try_recv_report(&mut [0; 4]).is_err());
    });
}

#[test]
fn report_tells_the_mtu_of_the_path() {
    in_namespace("report_tells_the_mtu_of_the_path", || {
        ip("link set lo mtu 1400");
        run(async {
            let (socket, addr) = bind("127.0.0.1:0").await;
            socket.set_recv_errors(true).unwrap();
            socket
                .set_mtu_discovery(gannet_net::MtuDiscovery::Do)
                .unwrap();
            let err = socket.send_to(&[0; 2000], addr).await.unwrap_err();
            assert_eq!(raw_os_error(&err), Some(errno::EMSGSIZE));
            let report = socket.recv_report(&mut [0; 4]).await.unwrap();
            assert_eq!((report.errno, report.mtu), (errno::EMSGSIZE, Some(1400)));
            assert_eq!((report.origin, report.icmp), (Origin::Local, None));
        });
    });
}

#[test]
fn broadcast_reaches_the_subnet() {
    in_namespace("broadcast_reaches_the_subnet", || {
        add_link("gn0", "10.77.0.1/24");
        run(async {
            let server = ListenConfig::new().listen_packet("udp4", ":0").await;
            let server = UdpSocket::try_from(server.unwrap()).unwrap();
            server.set_recv_local(true).unwrap();
            let port = server.local_addr().unwrap().port();
            let client = UdpSocket::bind("10.77.0.1:0").await.unwrap();
            let all = SocketAddr::from(([10, 77, 0, 255], port));
            assert!(client.control(|raw| raw.broadcast()).unwrap());
            client.send_to(b"to all", all).await.unwrap();
            let got = server.recv_msg(&mut [0; 16]).await.unwrap();
            assert_eq!((got.len, got.local), (6, Some(all.ip())));

            client.control(|raw| raw.set_broadcast(false)).unwrap();
            let err = client.send_to(b"to all", all).await.unwrap_err();
            assert_eq!(raw_os_error(&err), Some(errno::EACCES));
        });
    });
}

#[test]
fn local_names_have_a_port_whatever_was_asked() {
    run(async {
        for (network, address) in [
            ("udp4", "127.0.0.1:0"),
            ("udp4", ":0"),
            ("udp4", ""),
            ("udp", ":"),
            ("udp6", "[::1]:0"),
        ] {
            let socket = gannet_net::listen_packet(network, address).await.unwrap();
            let local = socket.local_addr().unwrap();
            assert_ne!(local.port(), Some(0), "{network} {address}");
            let err = socket.peer_addr().unwrap_err();
            assert_eq!(raw_os_error(&err), Some(errno::ENOTCONN));
        }
    });
}
