//! Datagrams: UDP and Unix.

mod common;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{assert_well_formed, fresh_path, is_pending, local, run, run_threads};
use gannet_net::error::{
    AddrError, WriteToConnectedError, is_closed, is_deadline, op_error, raw_os_error,
};
use gannet_net::{Addr, Dialer, ListenConfig, PacketConn, UdpSocket, UnixAddr, UnixDatagram, dial};
use gannet_runtime::{spawn, yield_now};
use gannet_sys::errno;

const PACKETS: [&str; 4] = ["udp", "udp4", "udp6", "unixgram"];

async fn open(network: &str) -> PacketConn {
    ListenConfig::new()
        .listen_packet(network, local(network))
        .await
        .expect("a socket")
}

#[test]
fn datagrams_keep_their_bounds_and_tell_their_sender() {
    for network in PACKETS {
        run(async {
            let (left, right) = (open(network).await, open(network).await);
            let (to_left, to_right) = (left.local_addr().unwrap(), right.local_addr().unwrap());
            for data in [&b"one"[..], b"", b"three"] {
                assert_eq!(left.send_to(data, &to_right).await.unwrap(), data.len());
            }
            let mut buf = [0; 16];
            for data in [&b"one"[..], b"", b"three"] {
                assert_eq!(
                    right.peek_from(&mut buf).await.unwrap(),
                    (data.len(), to_left.clone())
                );
                let (len, from) = right.recv_from(&mut buf).await.unwrap();
                assert_eq!((&buf[..len], &from), (data, &to_left));
            }
            let err = right.try_recv_from(&mut buf).unwrap_err();
            assert_eq!(err.kind(), io::ErrorKind::WouldBlock);
        });
    }
}

#[test]
fn datagram_longer_than_the_buffer_is_cut() {
    for network in PACKETS {
        run(async {
            let (left, right) = (open(network).await, open(network).await);
            let to_right = right.local_addr().unwrap();
            left.send_to(b"0123456789", &to_right).await.unwrap();
            left.send_to(b"next", &to_right).await.unwrap();
            let mut buf = [0; 4];
            assert_eq!(right.recv_from(&mut buf).await.unwrap().0, 4);
            assert_eq!(&buf, b"0123");
            assert_eq!(right.recv(&mut buf).await.unwrap(), 4);
            assert_eq!(&buf, b"next");
        });
    }
}

#[test]
fn recv_from_empty_buffer_waits_and_takes_a_datagram() {
    for network in PACKETS {
        run(async {
            let (left, right) = (open(network).await, open(network).await);
            assert!(is_pending(right.recv_from(&mut [])).await, "no shortcut");
            assert_eq!(right.recv(&mut []).await.unwrap(), 0, "a shortcut");
            left.send_to(b"gone", &right.local_addr().unwrap())
                .await
                .unwrap();
            assert_eq!(right.recv_from(&mut []).await.unwrap().0, 0);
            assert!(
                is_pending(right.recv_from(&mut [])).await,
                "the datagram was taken"
            );
        });
    }
}

#[test]
fn close_ends_a_blocked_receive() {
    for network in PACKETS {
        run_threads(async {
            let socket = Arc::new(open(network).await);
            let reader = spawn({
                let socket = socket.clone();
                async move { socket.recv_from(&mut []).await.map(drop).unwrap_err() }
            });
            for _ in 0..5 {
                yield_now().await;
            }
            socket.close().await.unwrap();
            let err = reader.await.unwrap();
            assert!(is_closed(&err), "{err}");
            assert_well_formed(&err);
            assert!(is_closed(&socket.send(b"x").await.unwrap_err()));
            assert!(is_closed(&socket.close().await.unwrap_err()));
        });
    }
}

#[test]
fn deadline_in_the_past_fails_even_with_a_datagram() {
    for network in PACKETS {
        run(async {
            let (left, right) = (open(network).await, open(network).await);
            let (to_left, to_right) = (left.local_addr().unwrap(), right.local_addr().unwrap());
            left.send_to(b"data", &to_right).await.unwrap();
            right
                .set_deadline(Instant::now().checked_sub(Duration::from_secs(5)))
                .unwrap();
            for _ in 0..2 {
                let err = right.recv_from(&mut [0; 8]).await.unwrap_err();
                assert!(is_deadline(&err), "{err}");
                assert_eq!(
                    err.to_string(),
                    format!("read {network} {to_right}: i/o timeout")
                );
                let err = right.send_to(b"x", &to_left).await.unwrap_err();
                let text = format!("write {network} {to_right}->{to_left}: i/o timeout");
                assert_eq!(err.to_string(), text);
            }
            right.set_deadline(None).unwrap();
            assert_eq!(right.recv_from(&mut [0; 8]).await.unwrap().0, 4);
        });
    }
}

#[test]
fn connected_socket_refuses_a_destination() {
    for network in PACKETS {
        run(async {
            let server = open(network).await;
            let addr = server.local_addr().unwrap();
            let client = PacketConn::try_from(dial(network, &addr).await.unwrap()).unwrap();
            let err = client.send_to(b"x", &addr).await.unwrap_err();
            let cause = op_error(&err).unwrap().err.get_ref().unwrap();
            assert!(cause.is::<WriteToConnectedError>(), "{err}");
            assert!(
                err.to_string()
                    .ends_with("use of WriteTo with pre-connected connection")
            );
            assert_eq!(client.send(b"ok").await.unwrap(), 2);
            let mut buf = [0; 8];
            assert_eq!(server.recv_from(&mut buf).await.unwrap().0, 2);
            assert_eq!(client.peer_addr().unwrap(), addr);
        });
    }
}

#[test]
fn unconnected_socket_needs_a_destination() {
    run(async {
        let udp = open("udp").await;
        let err = udp.send(b"x").await.unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::EDESTADDRREQ));
        let err = open("unixgram").await.send(b"x").await.unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::ENOTCONN));
        let err = udp.peer_addr().unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::NotConnected);

        let unix = Addr::unixgram("x");
        let err = udp.send_to(b"x", &unix).await.unwrap_err();
        assert!(
            err.to_string()
                .ends_with("->x: address x: unexpected address type"),
            "{err}"
        );
        let v6 = Addr::Udp("[::1]:9".parse().unwrap());
        let err = udp.send_to(b"x", &v6).await.unwrap_err();
        assert!(
            err.to_string()
                .ends_with("->[::1]:9: address ::1: non-IPv4 address"),
            "{err}"
        );
        assert!(
            op_error(&err)
                .unwrap()
                .err
                .get_ref()
                .unwrap()
                .is::<AddrError>()
        );
    });
}

#[test]
fn refused_datagram_is_reported_once_and_the_socket_lives() {
    run(async {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = server.local_addr().unwrap();
        let client = UdpSocket::connect(addr).await.unwrap();
        server.close().await.unwrap();
        client.send(b"into the void").await.unwrap();
        let err = client.recv(&mut [0; 8]).await.unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::ECONNREFUSED));
        assert!(
            err.to_string().ends_with("->".to_owned().as_str())
                || err.to_string().contains(": read: ")
        );
        assert!(is_pending(client.recv(&mut [0; 8])).await, "reported once");

        let server = UdpSocket::bind(addr).await.unwrap();
        client.send(b"hello").await.unwrap();
        let (_, from) = server.recv_from(&mut [0; 8]).await.unwrap();
        server.send_to(b"back", from).await.unwrap();
        assert_eq!(client.recv(&mut [0; 8]).await.unwrap(), 4);
    });
}

#[test]
fn dual_stack_socket_shows_and_takes_ipv4_as_ipv4() {
    run(async {
        let server = UdpSocket::bind(":0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client
            .send_to(b"4", ([127, 0, 0, 1], port).into())
            .await
            .unwrap();
        let (_, from) = server.recv_from(&mut [0; 8]).await.unwrap();
        assert_eq!(from, client.local_addr().unwrap());
        server.send_to(b"back", from).await.unwrap();
        assert_eq!(client.recv_from(&mut [0; 8]).await.unwrap().0, 4);

        let six = UdpSocket::bind("[::1]:0").await.unwrap();
        six.send_to(b"6", format!("[::1]:{port}").parse().unwrap())
            .await
            .unwrap();
        let (_, from) = server.recv_from(&mut [0; 8]).await.unwrap();
        assert_eq!(from, six.local_addr().unwrap());
    });
}

#[test]
fn udp_socket_may_broadcast() {
    run(async {
        assert!(open("udp").await.control(|raw| raw.broadcast()).unwrap());
        let dialled = dial("udp", "127.0.0.1:9").await.unwrap();
        assert!(dialled.control(|raw| raw.broadcast()).unwrap());
        assert!(
            !open("unixgram")
                .await
                .control(|raw| raw.broadcast())
                .unwrap()
        );
    });
}

#[test]
fn datagram_too_long_is_an_error() {
    run(async {
        let (left, right) = (open("udp").await, open("udp").await);
        let to = right.local_addr().unwrap();
        let err = left.send_to(&[0; 70_000], &to).await.unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::EMSGSIZE));
        assert!(
            err.to_string().ends_with(": sendto: message too long"),
            "{err}"
        );
        left.send_to(b"fits", &to).await.expect("the socket lives");
    });
}

#[test]
fn unixgram_autobind_gives_a_name_to_answer_to() {
    run(async {
        let server = UnixDatagram::bind("").await.unwrap();
        let name = server.local_addr().unwrap();
        assert!(
            matches!(&name, UnixAddr::Abstract(name) if name.len() == 5),
            "{name:?}"
        );
        let text = Addr::Unixgram(name).to_string();
        let client = dial("unixgram", &text).await.unwrap();
        assert_eq!(client.peer_addr().unwrap().to_string(), text);
        client.write_all(b"ping").await.unwrap();
        let (len, from) = server.recv_from(&mut [0; 8]).await.unwrap();
        assert_eq!((len, from), (4, UnixAddr::Unnamed));
    });
}

#[test]
fn unixgram_dialled_with_a_local_name_is_answered() {
    run(async {
        let server = open("unixgram").await;
        let path = fresh_path();
        let dialer = Dialer::new().local_addr(Addr::unixgram(path.to_str().unwrap()));
        let client = dialer
            .dial("unixgram", server.local_addr().unwrap())
            .await
            .unwrap();
        client.write(b"ping").await.unwrap();
        let (_, from) = server.recv_from(&mut [0; 8]).await.unwrap();
        assert_eq!(from.to_string(), path.to_str().unwrap());
        server.send_to(b"pong", &from).await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 4);
        drop(client);
        std::fs::remove_file(path).expect("a datagram socket's file is not unlinked");
    });
}

#[test]
fn unixgram_receiver_full_makes_the_sender_wait() {
    run_threads(async {
        let (left, right) = UnixDatagram::pair().unwrap();
        let sender = spawn(async move {
            for byte in 0..=255 {
                left.send(&[byte; 100]).await.unwrap();
            }
        });
        let mut buf = [0; 200];
        for byte in 0..=255 {
            assert_eq!(right.recv(&mut buf).await.unwrap(), 100);
            assert_eq!(buf[0], byte);
        }
        sender.await.unwrap();
    });
}
