//! Packet sockets, on a pair of Ethernet interfaces in a namespace: there the tests have the
//! privilege.

mod common;

use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use common::namespace::{in_namespace, ip, programs, without_raw_sockets};
use common::{assert_well_formed, run};
use gannet_net::error::{is_deadline, raw_os_error};
use gannet_net::{
    Addr, AddressWatch, HardwareAddr, LinkMembership, LinkSocket, ListenConfig, Network,
    PacketConn, PacketType, UdpSocket, dial, listen_packet,
};
use gannet_runtime::time;
use gannet_sys::errno;

/// An EtherType that is left for experiments.
const OURS: u16 = 0x88b5;

/// Makes two interfaces, `v0` and `v1`, each the other's far end.
async fn veth() {
    ip("link add v0 type veth peer name v1");
    up().await;
}

/// Switches both on, and waits until the kernel has: before, it drops what is sent.
async fn up() {
    let mut watch = AddressWatch::new().unwrap();
    for name in ["v0", "v1"] {
        ip(&format!("link set {name} up"));
    }
    while !["v0", "v1"]
        .iter()
        .all(|name| shown(name).contains("state UP"))
    {
        watch.changed().await.unwrap();
    }
}

/// What `ip` tells of an interface.
fn shown(name: &str) -> String {
    let output = Command::new("ip")
        .args(["-details", "link", "show", "dev", name])
        .output()
        .expect("ip runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

async fn bind(network: &str, address: &str) -> LinkSocket {
    LinkSocket::bind(network, address).await.unwrap()
}

/// The hardware address of an interface.
async fn hardware(name: &str) -> HardwareAddr {
    // Protocol 0 is none: nothing is received.
    let socket = bind("packet:0", name).await;
    socket.local_link().unwrap().hardware
}

/// A packet with its header.
fn whole(to: HardwareAddr, from: HardwareAddr, protocol: u16, data: &[u8]) -> Vec<u8> {
    let protocol = protocol.to_be_bytes();
    [to.bytes(), from.bytes(), &protocol[..], data].concat()
}

#[test]
fn arp_is_answered_in_both_modes() {
    in_namespace("arp_is_answered_in_both_modes", || {
        run(async {
            veth().await;
            ip("address add 10.77.0.1/24 dev v1");
            let (near, far) = (hardware("v0").await, hardware("v1").await);
            // Who has 10.77.0.1? Asked from no address, as one does before one takes it.
            let head = [0, 1, 8, 0, 6, 4, 0, 1];
            let nobody = [0; 10];
            let probe = [&head, near.bytes(), &nobody[..], &[10, 77, 0, 1]].concat();
            for (network, header) in [("packet:arp", 14), ("packetgram:arp", 0)] {
                let socket = bind(network, "v0").await;
                let all = Addr::packet("v0/ff:ff:ff:ff:ff:ff").unwrap();
                let asked = match header {
                    0 => probe.clone(),
                    _ => whole(HardwareAddr::BROADCAST, near, 0x806, &probe),
                };
                assert_eq!(socket.send_to(&asked, &all).await.unwrap(), asked.len());
                let mut buf = [0; 128];
                let (len, from) = socket.recv_from(&mut buf).await.unwrap();
                let answer = [&[0, 1, 8, 0, 6, 4, 0, 2], far.bytes(), &[10, 77, 0, 1]].concat();
                assert_eq!(buf[header..header + answer.len()], answer, "{network}");
                assert!(len >= header + 28);
                let Addr::Packet(from) = from else {
                    panic!("{from} is none of a link");
                };
                assert_eq!(from.interface_name().unwrap(), "v0");
                assert_eq!((from.hardware, from.protocol), (far, 0x806));
                assert_eq!(
                    (from.hardware_type, from.packet_type),
                    (1, PacketType::Host)
                );
            }
        });
    });
}

#[test]
fn packets_are_cut_tagged_and_told_of() {
    in_namespace("packets_are_cut_tagged_and_told_of", || {
        run(async {
            veth().await;
            let (near, far) = (hardware("v0").await, hardware("v1").await);
            let sender = bind("packet:0x88b5", "v0").await;
            let wholes = bind("packet:0x88b5", "v1").await;
            let datas = bind("packetgram:0x88b5", "v1").await;
            for socket in [&wholes, &datas] {
                socket.set_recv_auxdata(true).unwrap();
                assert!(socket.control(|raw| raw.recv_auxdata()).unwrap());
            }
            // By the interface that the socket is bound to.
            let frame = whole(far, near, OURS, &[7; 100]);
            assert_eq!(sender.send(&frame).await.unwrap(), 114);
            let mut buf = [0; 20];
            for (socket, wanted, len) in [(&wholes, &frame[..20], 114), (&datas, &[7; 20][..], 100)]
            {
                let got = socket.recv_msg(&mut buf).await.unwrap();
                assert_eq!(&buf[..got.len], wanted);
                assert_eq!((got.truncated, got.whole_len), (true, Some(len)));
                assert_eq!((got.from.hardware, got.vlan), (near, None));
            }
            // What fits is not cut; peeking leaves it there; the rest is as for any datagram.
            sender.send(&whole(far, near, OURS, b"fits")).await.unwrap();
            assert_eq!(datas.peek_from(&mut buf).await.unwrap().0, 4);
            datas.set_recv_auxdata(false).unwrap();
            let got = datas.recv_msg(&mut buf).await.unwrap();
            assert_eq!((got.len, got.truncated, got.whole_len), (4, false, None));

            // The kernel takes tags off; sockets of every protocol are told of them.
            let every = bind("packetgram:all", "v1").await;
            every.set_recv_auxdata(true).unwrap();
            let tag = [0x60, 5, 0x88, 0xb5];
            let tagged = whole(far, near, 0x8100, &[&tag[..], b"tagged"].concat());
            sender.send(&tagged).await.unwrap();
            let got = loop {
                let got = every.recv_msg(&mut buf).await.unwrap();
                if got.from.protocol == OURS {
                    break got;
                }
            };
            assert_eq!((&buf[..got.len], got.vlan), (&b"tagged"[..], Some(0x6005)));
        });
    });
}

#[test]
fn kinds_of_packets_are_told_apart() {
    in_namespace("kinds_of_packets_are_told_apart", || {
        run(async {
            veth().await;
            let (near, far) = (hardware("v0").await, hardware("v1").await);
            let sender = bind("packetgram:0x88b5", "v0").await;
            let receiver = bind("packetgram:0x88b5", "v1").await;
            // Two see everything that v0 sends, but one does not want to.
            let sees = bind("packetgram:all", "v0").await;
            let hook = ListenConfig::new().control(|info, raw| {
                assert_eq!(info.network, Network::Packetgram(3));
                raw.set_ignore_outgoing(true)
            });
            let passes = hook.listen_packet("packetgram:all", "v0").await.unwrap();
            let passes = LinkSocket::try_from(passes).unwrap();
            assert!(passes.control(|raw| raw.ignore_outgoing()).unwrap());

            let link = sender.local_link().unwrap().interface;
            let mut buf = [0; 64];
            for (to, kind) in [
                (far.to_string(), PacketType::Host),
                ("ff:ff:ff:ff:ff:ff".to_owned(), PacketType::Broadcast),
                ("01:00:5e:00:53:01".to_owned(), PacketType::Multicast),
                ("02:00:5e:00:53:01".to_owned(), PacketType::OtherHost),
            ] {
                let to = Addr::packet(&format!("{link}/{to}")).unwrap();
                sender.send_to(b"whom", &to).await.unwrap();
                let got = receiver.recv_msg(&mut buf).await.unwrap();
                assert_eq!(
                    (&buf[..got.len], got.from.packet_type),
                    (&b"whom"[..], kind)
                );
                assert_eq!((got.from.hardware, got.from.protocol), (near, OURS));
                let sent = loop {
                    let got = sees.recv_msg(&mut buf).await.unwrap();
                    if got.from.protocol == OURS {
                        break got.from;
                    }
                };
                assert_eq!(
                    (sent.packet_type, sent.hardware),
                    (PacketType::Outgoing, near)
                );
            }
            // An answer comes by the same interface, and is the first that the other sees.
            let back = Addr::packet(&format!("v1/{near}")).unwrap();
            receiver.send_to(b"back", &back).await.unwrap();
            let from = loop {
                let got = passes.recv_msg(&mut buf).await.unwrap();
                assert_ne!(got.from.packet_type, PacketType::Outgoing);
                if got.from.protocol == OURS {
                    break got.from;
                }
            };
            assert_eq!((from.hardware, from.packet_type), (far, PacketType::Host));
        });
    });
}

#[test]
fn nothing_of_other_interfaces_is_received_before_the_bind() {
    let name = "nothing_of_other_interfaces_is_received_before_the_bind";
    in_namespace(name, || {
        run(async {
            veth().await;
            let frame = whole(hardware("v1").await, hardware("v0").await, OURS, b"early");
            let witness = bind("packet:0x88b5", "v1").await;
            let sender = Mutex::new(Some(bind("packet:0x88b5", "v0").await));
            let config = ListenConfig::new().control(move |_, _| {
                let sender = sender.lock().unwrap().take().expect("it runs once");
                gannet_sys::socket::send(sender.as_fd(), &frame).map(drop)
            });
            let socket = config.listen_packet("packet:0x88b5", "lo").await.unwrap();
            let mut buf = [0; 64];
            let (len, _) = witness.recv_from(&mut buf).await.unwrap();
            assert_eq!(&buf[14..len], b"early");
            let err = socket.try_recv_from(&mut buf).unwrap_err();
            assert_eq!(err.kind(), io::ErrorKind::WouldBlock);
        });
    });
}

#[test]
fn memberships_last_until_left_or_closed() {
    in_namespace("memberships_last_until_left_or_closed", || {
        run(async {
            veth().await;
            let socket = bind("packet:0x88b5", "v1").await;
            let lldp = HardwareAddr::parse("01:80:c2:00:00:0e").unwrap();
            let has = |text: &str| shown("v1").contains(text);
            socket.join(LinkMembership::Promiscuous).unwrap();
            socket.join(LinkMembership::Promiscuous).unwrap();
            socket.join(LinkMembership::AllMulticast).unwrap();
            socket.join(LinkMembership::Multicast(lldp)).unwrap();
            assert!(
                has("promiscuity 1 ") && has("allmulti 1 "),
                "{}",
                shown("v1")
            );
            socket.leave(LinkMembership::Promiscuous).unwrap();
            assert!(has("promiscuity 1 "), "as often as it was joined");
            socket.leave(LinkMembership::Promiscuous).unwrap();
            socket.leave(LinkMembership::Multicast(lldp)).unwrap();
            assert!(
                has("promiscuity 0 ") && has("allmulti 1 "),
                "{}",
                shown("v1")
            );
            socket.join(LinkMembership::Promiscuous).unwrap();
            socket.close().await.unwrap();
            assert!(
                has("promiscuity 0 ") && has("allmulti 0 "),
                "{}",
                shown("v1")
            );

            let short = LinkMembership::Multicast(HardwareAddr::new(&[1]).unwrap());
            let socket = bind("packet:0x88b5", "v1").await;
            let err = socket.join(short).unwrap_err();
            assert_eq!(raw_os_error(&err), Some(errno::EINVAL));
            let every = bind("packet:0x88b5", "").await;
            let err = every.join(LinkMembership::Promiscuous).unwrap_err();
            assert!(
                err.to_string().ends_with("setsockopt: no such device"),
                "{err}"
            );
            assert_well_formed(&err);
        });
    });
}

#[test]
fn interface_that_goes_down_or_away_leaves_the_socket_alive() {
    in_namespace(
        "interface_that_goes_down_or_away_leaves_the_socket_alive",
        || {
            run(async {
                veth().await;
                let sender = bind("packetgram:0x88b5", "v1").await;
                let socket = bind("packetgram:0x88b5", "v0").await;
                let to = Addr::packet(&format!("v1/{}", hardware("v0").await)).unwrap();
                let mut buf = [0; 64];
                {
                    let mut waits = std::pin::pin!(socket.recv_from(&mut buf));
                    assert!(common::is_pending(waits.as_mut()).await);
                    ip("link set v0 down");
                    let err = waits.await.unwrap_err();
                    assert_eq!(raw_os_error(&err), Some(errno::ENETDOWN));
                    assert!(
                        err.to_string().ends_with("recvfrom: network is down"),
                        "{err}"
                    );
                    assert_well_formed(&err);
                }
                up().await;
                sender.send_to(b"again", &to).await.unwrap();
                assert_eq!(socket.recv_from(&mut buf).await.unwrap().0, 5);

                ip("link delete v0");
                let err = socket.recv_msg(&mut buf).await.unwrap_err();
                assert_eq!(raw_os_error(&err), Some(errno::ENETDOWN));
                let err = sender.send_to(b"gone", &to).await.unwrap_err();

                assert!(
                    err.to_string().contains(": sendto: no such device"),
                    "{err}"
                );
                socket.set_read_deadline(Some(time::now())).unwrap();
                let err = socket.recv_msg(&mut buf).await.unwrap_err();
                assert!(is_deadline(&err), "told once: {err}");
                socket.close().await.unwrap();
            });
        },
    );
}

#[test]
fn packet_sockets_convert_and_are_adopted() {
    in_namespace("packet_sockets_convert_and_are_adopted", || {
        run(async {
            for (network, name) in [
                ("packet:0x88b5", "packet"),
                ("packetgram:0x88b5", "packetgram"),
            ] {
                let socket = bind(network, "lo").await;
                assert_eq!(
                    (
                        socket.network().as_str(),
                        socket.network().to_string().as_str()
                    ),
                    (name, network)
                );
                let fd = OwnedFd::try_from(socket).unwrap();
                let socket = PacketConn::try_from(fd).unwrap();
                assert_eq!(socket.network().to_string(), network);
                let err = UdpSocket::try_from(socket).unwrap_err();
                assert_eq!(
                    err.to_string(),
                    format!("a {network} socket is no UdpSocket")
                );
                let socket = LinkSocket::try_from(err.into_socket()).unwrap();
                let local = socket.local_addr().unwrap();
                assert_eq!(local.network(), "packet");
                assert!(local.to_string().ends_with("/00:00:00:00:00:00"), "{local}");
                // The text of an address opens another.
                bind(network, &local.to_string()).await;
                let udp = Addr::Udp("127.0.0.1:9".parse().unwrap());
                let err = socket.send_to(b"x", &udp).await.unwrap_err();
                assert!(
                    err.to_string().ends_with("unexpected address type"),
                    "{err}"
                );
                assert_well_formed(&err);
            }
            let err = dial("packet:0x88b5", "lo").await.unwrap_err();
            assert!(
                err.to_string()
                    .ends_with("connect: operation not supported"),
                "{err}"
            );
            let err = listen_packet("packet:arp", "nonesuch").await.unwrap_err();
            assert_eq!(raw_os_error(&err), Some(errno::ENODEV));
            assert_eq!(
                err.to_string(),
                "listen packet: if_nametoindex: no such device"
            );
            let err = listen_packet("packet:arp", "4000000000").await.unwrap_err();
            assert_eq!(raw_os_error(&err), Some(errno::ENODEV));
        });
    });
}

#[test]
fn raw_sockets_name_the_privilege_that_is_missing() {
    without_raw_sockets("raw_sockets_name_the_privilege_that_is_missing", || {
        run(async {
            for (network, address, text) in [
                (
                    "packet:arp",
                    "lo",
                    "listen packet 1: socket: operation not permitted (packet sockets take CAP_NET_RAW)",
                ),
                (
                    "packetgram:arp",
                    "lo",
                    "listen packetgram 1: socket: operation not permitted (packet sockets take CAP_NET_RAW)",
                ),
                (
                    "ip4:icmp",
                    "127.0.0.1",
                    "listen ip4 127.0.0.1: socket: operation not permitted (raw sockets take CAP_NET_RAW)",
                ),
            ] {
                let err = listen_packet(network, address).await.unwrap_err();
                assert_eq!(err.to_string(), text);
                assert_eq!(raw_os_error(&err), Some(errno::EPERM));
                assert_well_formed(&err);
            }
        });
    });
}

/// Python's own packet socket as a peer on `v1`: tells when it is ready, answers the first packet, and
/// tells what it received and from whom.
const PYTHON: &str = "
import socket, sys
kind, header = (socket.SOCK_RAW, 14) if sys.argv[1] == 'packet' else (socket.SOCK_DGRAM, 0)
sock = socket.socket(socket.AF_PACKET, kind, socket.htons(0x88b5))
sock.bind(('v1', 0x88b5))
print('ready', flush=True)
data, (name, protocol, packet_type, hardware_type, hardware) = sock.recvfrom(2000)
print(data[header:].decode(), name, hex(protocol), packet_type, hardware.hex(':'), flush=True)
if header:
    sock.send(hardware + sock.getsockname()[4] + data[12:14] + b'from python')
else:
    sock.sendto(b'from python', ('v1', 0x88b5, 0, 0, hardware))
";

fn python(network: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new("python3")
        .args(["-c", PYTHON, network])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let stdout = child.stdout.take().expect("piped");
    (child, BufReader::new(stdout))
}

#[test]
fn python_exchanges_packets_in_both_modes() {
    if !programs::has("python3") {
        return;
    }
    in_namespace("python_exchanges_packets_in_both_modes", || {
        run(veth());
        for network in ["packet", "packetgram"] {
            let (mut child, mut told) = python(network);
            let mut line = String::new();
            told.read_line(&mut line).expect("text");
            assert_eq!(line, "ready\n");
            run(async {
                let socket = bind(&format!("{network}:0x88b5"), "v0").await;
                let (near, far) = (hardware("v0").await, hardware("v1").await);
                let header = whole(far, near, OURS, b"");
                let header = [&[][..], &header][usize::from(network == "packet")];
                let to = Addr::packet(&format!("v0/{far}")).unwrap();
                let data = [header, b"from gannet"].concat();
                socket.send_to(&data, &to).await.unwrap();
                let mut buf = [0; 200];
                let got = socket.recv_msg(&mut buf).await.unwrap();
                assert_eq!(&buf[header.len()..got.len], b"from python");
                assert_eq!((got.from.hardware, got.from.protocol), (far, OURS));
                line.clear();
                told.read_line(&mut line).expect("text");
                assert_eq!(line, format!("from gannet v1 0x88b5 0 {near}\n"));
            });
            assert!(child.wait().expect("a child").success());
        }
    });
}
