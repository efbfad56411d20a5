//! Multicast. What needs a link of its own runs in a namespace.

mod common;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};

use common::namespace::{add_link, in_namespace, programs};
use common::{assert_well_formed, run};
use gannet_net::error::{op_error, raw_os_error};
use gannet_net::{ListenConfig, UdpSocket};
use gannet_sys::errno;

const GROUP: &str = "233.252.0.7";

fn group() -> IpAddr {
    GROUP.parse().unwrap()
}

async fn member(address: &str) -> UdpSocket {
    let config = ListenConfig::new();
    config
        .listen_multicast("udp", address, Some("lo"))
        .await
        .unwrap()
}

async fn sender() -> UdpSocket {
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    sender.set_multicast_interface(Some("lo")).unwrap();
    sender
}

/// Asserts that nothing has come; what was sent before on the loopback is there already.
#[track_caller]
fn assert_empty(socket: &UdpSocket) {
    let err = socket.try_recv_from(&mut [0; 16]).unwrap_err();
    assert_eq!(err.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn members_all_receive_and_nothing_but_the_group() {
    in_namespace("members_all_receive_and_nothing_but_the_group", || {
        run(async {
            let first = member(&format!("{GROUP}:0")).await;
            let addr = first.local_addr().unwrap();
            assert_eq!(addr.ip(), group());
            let second = member(&addr.to_string()).await;
            let sender = sender().await;
            sender.send_to(b"to all", addr).await.unwrap();
            for member in [&first, &second] {
                let (len, from) = member.recv_from(&mut [0; 16]).await.unwrap();
                assert_eq!((len, from), (6, sender.local_addr().unwrap()));
            }
            // Bound to the group: what comes to the port otherwise is not for them.
            let direct = SocketAddr::from(([127, 0, 0, 1], addr.port()));
            let _ = sender.send_to(b"direct", direct).await;
            assert_empty(&first);
        });
    });
}

#[test]
fn members_join_and_leave() {
    in_namespace("members_join_and_leave", || {
        run(async {
            let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
            let to = SocketAddr::new(group(), socket.local_addr().unwrap().port());
            let sender = sender().await;
            sender.send_to(b"before", to).await.unwrap();
            assert_empty(&socket);
            socket.join_multicast(group(), Some("lo")).unwrap();
            sender.send_to(b"within", to).await.unwrap();
            let mut buf = [0; 16];
            let (len, _) = socket.recv_from(&mut buf).await.unwrap();
            assert_eq!(&buf[..len], b"within");
            let err = socket.join_multicast(group(), Some("lo")).unwrap_err();
            assert_eq!(raw_os_error(&err), Some(errno::EADDRINUSE));
            assert_well_formed(&err);
            socket.leave_multicast(group(), Some("lo")).unwrap();
            sender.send_to(b"after", to).await.unwrap();
            assert_empty(&socket);
            let err = socket.leave_multicast(group(), Some("lo")).unwrap_err();
            assert_eq!(raw_os_error(&err), Some(errno::EADDRNOTAVAIL));
        });
    });
}

#[test]
fn members_choose_their_sources() {
    in_namespace("members_choose_their_sources", || {
        run(async {
            let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
            let to = SocketAddr::new(group(), socket.local_addr().unwrap().port());
            let wanted = IpAddr::from([127, 0, 0, 2]);
            socket
                .join_multicast_source(group(), wanted, Some("lo"))
                .unwrap();
            for ip in ["127.0.0.3:0", "127.0.0.2:0"] {
                let sender = UdpSocket::bind(ip).await.unwrap();
                sender.set_multicast_interface(Some("lo")).unwrap();
                sender.send_to(b"x", to).await.unwrap();
            }
            let (_, from) = socket.recv_from(&mut [0; 16]).await.unwrap();
            assert_eq!(from.ip(), wanted);
            assert_empty(&socket);
            socket
                .leave_multicast_source(group(), wanted, Some("lo"))
                .unwrap();
        });
    });
}

#[test]
fn sender_decides_about_loop_and_hops() {
    in_namespace("sender_decides_about_loop_and_hops", || {
        run(async {
            let member = member(&format!("{GROUP}:0")).await;
            member.set_recv_ttl(true).unwrap();
            let to = member.local_addr().unwrap();
            let sender = sender().await;
            assert_eq!(sender.multicast_ttl().unwrap(), 1);
            sender.set_multicast_ttl(5).unwrap();
            assert_eq!(sender.multicast_ttl().unwrap(), 5);
            sender.send_to(b"x", to).await.unwrap();
            let got = member.recv_msg(&mut [0; 4]).await.unwrap();
            assert_eq!(got.ttl, Some(5));
        });
        add_link("gn0", "10.77.0.1/24");
        run(async {
            let config = ListenConfig::new();
            let member = config.listen_multicast("udp4", format!("{GROUP}:0"), Some("gn0"));
            let member = member.await.unwrap();
            let to = member.local_addr().unwrap();
            assert!(member.multicast_loop().unwrap());
            member.send_to(b"heard", to).await.unwrap();
            assert_eq!(member.recv_from(&mut [0; 16]).await.unwrap().0, 5);
            member.set_multicast_loop(false).unwrap();
            assert!(!member.multicast_loop().unwrap());
            member.send_to(b"unheard", to).await.unwrap();
            assert_empty(&member);
        });
    });
}

#[test]
fn ipv6_members_receive_by_their_link() {
    in_namespace("ipv6_members_receive_by_their_link", || {
        add_link("gn0", "fd77::1/64");
        run(async {
            let config = ListenConfig::new();
            for group in [
                "[ff02::db8:0:114%gn0]:0",
                "[ff02::db8:0:114]:0",
                "[ff01::db8:0:114]:0",
                "[ff05::db8:0:114]:0",
            ] {
                let member = config.listen_multicast("udp6", group, Some("gn0"));
                let member = member.await.unwrap();
                let mut to = member.local_addr().unwrap();
                let sender = UdpSocket::bind("[fd77::1]:0").await.unwrap();
                sender.set_multicast_interface(Some("gn0")).unwrap();
                if let SocketAddr::V6(to) = &mut to {
                    assert_eq!(to.ip().segments()[7], 0x114);
                }
                sender.send_to(b"x", to).await.unwrap();
                let (_, from) = member.recv_from(&mut [0; 4]).await.unwrap();
                assert_eq!(from, sender.local_addr().unwrap(), "{group}");
            }
        });
    });
}

#[test]
fn groups_and_interfaces_that_are_none_are_refused() {
    run(async {
        let config = ListenConfig::new();
        for (network, address, interface, text) in [
            ("udp", "127.0.0.1:0", None, "not a multicast address"),
            ("udp", ":0", None, "not a multicast address"),
            ("tcp", "233.252.0.7:0", None, "not a multicast address"),
            ("foo", "233.252.0.7:0", None, "unknown network foo"),
            (
                "udp",
                "233.252.0.7:0",
                Some("gannet-none"),
                "no such device",
            ),
            ("udp6", "233.252.0.7:0", None, "no suitable address found"),
        ] {
            let err = config.listen_multicast(network, address, interface).await;
            let err = err.unwrap_err();
            assert!(err.to_string().contains(text), "{err}");
            assert_eq!(op_error(&err).unwrap().op, gannet_net::error::Op::Listen);
            assert_well_formed(&err);
        }
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let err = socket
            .join_multicast([127, 0, 0, 1].into(), Some("lo"))
            .unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::EINVAL));
        assert!(socket.multicast_all().unwrap());
        socket.set_multicast_all(false).unwrap();
        assert!(!socket.multicast_all().unwrap());
    });
}

/// Joins, tells what port it has, and answers what comes by multicast.
const PEER: &str = r#"
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 0))
lo = socket.inet_aton("233.252.0.7") + struct.pack("=4si", b"\0" * 4, socket.if_nametoindex("lo"))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, lo)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, lo)
s.connect(("127.0.0.1", PORT))
s.send(b"ready")
t = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
t.bind(("233.252.0.7", PORT))
t.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, lo)
t.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, lo)
t.sendto(b"from python", ("233.252.0.7", PORT))
"#;

#[test]
fn python_is_a_member_too() {
    in_namespace("python_is_a_member_too", || {
        if !programs::has("python3") {
            return;
        }
        run(async {
            let member = member(&format!("{GROUP}:0")).await;
            let port = member.local_addr().unwrap().port();
            let control = UdpSocket::bind(format!("127.0.0.1:{port}")).await.unwrap();
            let mut python = Command::new("python3")
                .args(["-c", &PEER.replace("PORT", &port.to_string())])
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            let mut buf = [0; 16];
            assert_eq!(control.recv(&mut buf).await.unwrap(), 5);
            let (len, _) = member.recv_from(&mut buf).await.unwrap();
            assert_eq!(&buf[..len], b"from python");
            assert!(python.wait().unwrap().success());
        });
    });
}
