//! Batches of datagrams: what is told and set with each, segmentation and its fallback, waiting.

mod common;

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use common::namespace::{in_namespace, ip, tc};
use common::{assert_well_formed, local, run, run_threads};
use gannet_net::error::{WriteToConnectedError, is_closed, is_deadline, op_error, raw_os_error};
use gannet_net::{
    Addr, Ecn, ListenConfig, MtuDiscovery, RecvBatch, Transmit, UdpReceiver, UdpSender, UdpSocket,
};
use gannet_runtime::{spawn, time, yield_now};
use gannet_sys::{errno, option};

const FAMILIES: [&str; 2] = ["udp4", "udp6"];

async fn open(network: &str) -> UdpSocket {
    let packet = ListenConfig::new()
        .listen_packet(network, local(network))
        .await
        .expect("a socket");
    UdpSocket::try_from(packet).expect("a UDP socket")
}

/// A socket for both versions of IP, and its port's address on the IPv4 loopback.
async fn open_dual() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("[::]:0").await.expect("a socket");
    let port = socket.local_addr().expect("bound").port();
    (socket, ([127, 0, 0, 1], port).into())
}

fn addr(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("bound")
}

/// A socket whose segments the kernel refuses to cut.
async fn open_without_segmentation() -> UdpSocket {
    let socket = open("udp4").await;
    socket
        .control(|raw| option::set_no_checksum(raw.as_fd(), true))
        .expect("an option");
    socket
}

async fn is_pending<T>(future: impl Future<Output = T>) -> bool {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

/// Receives `count` datagrams, and returns their data.
async fn receive(socket: &UdpSocket, batch: &mut RecvBatch, count: usize) -> Vec<Vec<u8>> {
    let mut data = Vec::new();
    while data.len() < count {
        socket.recv_batch(batch).await.expect("received");
        data.extend(batch.datagrams().map(|datagram| datagram.data.to_vec()));
    }
    data
}

/// Sends all of `transmits`.
async fn send_all(socket: &UdpSocket, mut transmits: &[Transmit<'_>]) {
    while !transmits.is_empty() {
        let sent = socket.send_batch(transmits).await.expect("sent");
        transmits = &transmits[sent..];
    }
}

fn segmented(data: &[u8], to: SocketAddr, size: u16) -> Transmit<'_> {
    let mut transmit = Transmit::new(data, to);
    transmit.segment_size = Some(size);
    transmit
}

#[test]
fn ecn_is_set_and_seen_for_each_datagram() {
    run(async {
        let (dual, v4_of_dual) = open_dual().await;
        let (v4, v6) = (open("udp4").await, open("udp6").await);
        for (from, to, to_addr) in [
            (&v4, &v4, addr(&v4)),
            (&v6, &v6, addr(&v6)),
            (&v4, &dual, v4_of_dual),
            (&dual, &v4, addr(&v4)),
            (&dual, &dual, v4_of_dual),
        ] {
            to.set_recv_ecn(true).expect("an option");
            assert!(to.recv_ecn().expect("an option"));
            let marks = [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce];
            let transmits = marks.map(|mark| {
                let mut transmit = Transmit::new(b"x", to_addr);
                transmit.ecn = Some(mark);
                transmit
            });
            assert_eq!(from.send_batch(&transmits).await.expect("sent"), 4);
            let mut batch = RecvBatch::new(8, 16);
            assert_eq!(to.recv_batch(&mut batch).await.expect("received"), 4);
            let seen: Vec<_> = batch.datagrams().map(|datagram| datagram.ecn).collect();
            assert_eq!(seen, marks.map(Some), "{from:?} to {to:?}");
            to.set_recv_ecn(false).expect("an option");
        }
    });
}

#[test]
fn local_address_is_told_and_chosen() {
    run(async {
        let (dual, v4_of_dual) = open_dual().await;
        let (v4, v6) = (open("udp4").await, open("udp6").await);
        let lo = gannet_sys::interface::index("lo").expect("a loopback");
        for (socket, to) in [(&dual, v4_of_dual), (&v4, addr(&v4)), (&v6, addr(&v6))] {
            assert!(!socket.recv_local().expect("an option"));
            socket.set_recv_local(true).expect("an option");
            assert!(socket.recv_local().expect("an option"));
            let mut transmit = Transmit::new(b"x", to);
            transmit.from = Some(to.ip());
            socket.send_batch(&[transmit]).await.expect("sent");
            let mut batch = RecvBatch::new(1, 16);
            socket.recv_batch(&mut batch).await.expect("received");
            let datagram = batch.datagrams().next().expect("one came");
            assert_eq!(datagram.local, Some(to.ip()), "never mapped");
            assert_eq!(datagram.interface, Some(lo));
            assert_eq!(datagram.from, to, "never mapped");
            assert_eq!(datagram.ecn, None, "not asked for");
        }
        let any = UdpSocket::bind("0.0.0.0:0").await.expect("a socket");
        let chosen: [IpAddr; 2] = ["127.0.0.7", "127.0.0.8"].map(|ip| ip.parse().unwrap());
        let transmits = chosen.map(|ip| {
            let mut transmit = Transmit::new(b"x", addr(&v4));
            transmit.from = Some(ip);
            transmit
        });
        assert_eq!(any.send_batch(&transmits).await.expect("sent"), 2);
        let mut batch = RecvBatch::new(2, 16);
        assert_eq!(v4.recv_batch(&mut batch).await.expect("received"), 2);
        let seen: Vec<_> = batch
            .datagrams()
            .map(|datagram| datagram.from.ip())
            .collect();
        assert_eq!(seen, chosen);
    });
}

#[test]
fn options_may_be_set_before_bind() {
    run(async {
        let config = ListenConfig::new().control(|_, raw| {
            raw.set_recv_ecn(true)?;
            raw.set_recv_local(true)?;
            raw.set_gro(true)?;
            raw.set_mtu_discovery(MtuDiscovery::Probe)
        });
        for network in ["udp4", "udp6", "udp"] {
            let packet = config.listen_packet(network, ":0").await.expect("a socket");
            let socket = UdpSocket::try_from(packet).expect("a UDP socket");
            assert!(socket.recv_ecn().unwrap() && socket.recv_local().unwrap());
            assert!(socket.gro().unwrap());
            assert_eq!(socket.mtu_discovery().unwrap(), MtuDiscovery::Probe);
            socket.set_mtu_discovery(MtuDiscovery::Dont).unwrap();
            assert_eq!(socket.mtu_discovery().unwrap(), MtuDiscovery::Dont);
        }
    });
}

#[test]
fn long_datagrams_are_cut_and_say_so() {
    run(async {
        let socket = open("udp4").await;
        let transmits =
            [&b"0123456789"[..], b"next"].map(|data| Transmit::new(data, addr(&socket)));
        send_all(&socket, &transmits).await;
        let mut batch = RecvBatch::new(2, 4);
        assert_eq!(socket.recv_batch(&mut batch).await.expect("received"), 2);
        let mut datagrams = batch.datagrams();
        let first = datagrams.next().expect("two came");
        assert_eq!((&*first.data, first.truncated), (&b"0123"[..], true));
        let second = datagrams.next().expect("two came");
        assert_eq!((&*second.data, second.truncated), (&b"next"[..], false));
        assert!(datagrams.next().is_none());
    });
}

#[test]
fn segments_are_single_datagrams_to_the_receiver() {
    for network in FAMILIES {
        run(async {
            let (left, right) = (open(network).await, open(network).await);
            let data: Vec<u8> = (0..=u8::MAX).cycle().take(30_000).collect();
            let sent = left
                .send_batch(&[segmented(&data, addr(&right), 1200)])
                .await;
            assert_eq!(sent.expect("sent"), 1, "one transmit");
            let mut batch = RecvBatch::new(64, 1500);
            let got = receive(&right, &mut batch, 25).await;
            assert_eq!(got, data.chunks(1200).collect::<Vec<_>>());
            assert_eq!(left.segment_size_max(), u16::MAX, "the kernel did it");
        });
    }
}

#[test]
fn messages_that_were_joined_are_sent_on_as_they_came() {
    for network in FAMILIES {
        run(async {
            let (left, right) = (open(network).await, open(network).await);
            right.set_gro(true).expect("an option");
            let data = b"0123456789";
            let mut batch = RecvBatch::new(8, RecvBatch::BYTES_MAX);
            let mut pieces = RecvBatch::new(8, 16);
            for (size, want) in [(4, Some(4)), (5, Some(5)), (10, None)] {
                left.send_batch(&[segmented(data, addr(&right), size)])
                    .await
                    .expect("sent");
                right.recv_batch(&mut batch).await.expect("joined");
                let mut messages: Vec<_> = batch.messages().collect();
                let [message] = messages.as_mut_slice() else {
                    panic!("one message by {size}: {messages:?}")
                };
                assert_eq!((&*message.data, message.segment_size), (&data[..], want));
                assert_eq!((message.from, message.truncated), (addr(&left), false));
                let mut echo = Transmit::new(message.data, message.from);
                echo.segment_size = message.segment_size;
                right.send_batch(&[echo]).await.expect("sent on");
                let chunks: Vec<_> = data.chunks(usize::from(size)).collect();
                let got = receive(&left, &mut pieces, chunks.len()).await;
                assert_eq!(got, chunks, "by {size}");
            }
        });
    }
}

#[test]
fn joined_datagrams_are_handed_out_single() {
    for network in FAMILIES {
        run(async {
            let (left, right) = (open(network).await, open(network).await);
            right.set_gro(true).expect("an option");
            let data = b"0123456789";
            let mut batch = RecvBatch::new(8, RecvBatch::BYTES_MAX);
            for (size, want) in [(4, &[4, 4, 2][..]), (5, &[5, 5]), (10, &[10])] {
                left.send_batch(&[segmented(data, addr(&right), size)])
                    .await
                    .expect("sent");
                assert_eq!(right.recv_batch(&mut batch).await.expect("joined"), 1);
                let lengths: Vec<_> = batch.datagrams().map(|one| one.data.len()).collect();
                assert_eq!(lengths, want, "by {size}");
                let all: Vec<u8> = batch
                    .datagrams()
                    .flat_map(|one| one.data.to_vec())
                    .collect();
                assert_eq!(all, data);
                assert!(batch.datagrams().all(|one| one.from == addr(&left)));
                assert!(batch.datagrams().all(|one| one.segment_size.is_none()));
            }
            // A buffer that is too short loses the end, and only what it cut is said to be cut.
            left.send_batch(&[segmented(data, addr(&right), 4)])
                .await
                .expect("sent");
            let mut short = RecvBatch::new(1, 6);
            right.recv_batch(&mut short).await.expect("joined");
            let seen: Vec<_> = short
                .datagrams()
                .map(|one| (one.data.to_vec(), one.truncated))
                .collect();
            assert_eq!(seen, [(b"0123".to_vec(), false), (b"45".to_vec(), true)]);
        });
    }
}

#[test]
fn empty_datagrams_count() {
    run(async {
        let socket = open("udp4").await;
        let transmits = [&b""[..], b"x", b""].map(|data| segmented(data, addr(&socket), 4));
        send_all(&socket, &transmits).await;
        let mut batch = RecvBatch::new(8, 16);
        let got = receive(&socket, &mut batch, 3).await;
        assert_eq!(got, [&b""[..], b"x", b""]);
        assert_eq!(socket.send_batch(&[]).await.expect("nothing to do"), 0);
    });
}

#[test]
fn sixteen_peers_get_theirs_by_one_call() {
    run(async {
        let hub = open("udp4").await;
        let mut peers = Vec::new();
        for _ in 0..16 {
            peers.push(open("udp4").await);
        }
        let names: Vec<String> = (0..16).map(|n| format!("peer {n}")).collect();
        let transmits: Vec<_> = peers
            .iter()
            .zip(&names)
            .map(|(peer, name)| Transmit::new(name.as_bytes(), addr(peer)))
            .collect();
        assert_eq!(hub.send_batch(&transmits).await.expect("sent"), 16);
        let mut batch = RecvBatch::new(16, 64);
        for (peer, name) in peers.iter().zip(&names) {
            assert_eq!(receive(peer, &mut batch, 1).await, [name.as_bytes()]);
            peer.send_to(name.as_bytes(), addr(&hub))
                .await
                .expect("sent");
        }
        assert_eq!(hub.recv_batch(&mut batch).await.expect("received"), 16);
        let senders: Vec<_> = batch.datagrams().map(|datagram| datagram.from).collect();
        assert_eq!(senders, peers.iter().map(addr).collect::<Vec<_>>());
    });
}

#[test]
fn error_names_the_datagram_and_stops_nothing_else() {
    run(async {
        let socket = open("udp4").await;
        let near = addr(&socket);
        let far: SocketAddr = "[2001:db8::1]:9".parse().unwrap();
        let long = vec![0; 66_000];
        let mut spoofed = Transmit::new(b"spoofed", near);
        spoofed.from = Some("192.0.2.1".parse().unwrap());
        let mut mixed = Transmit::new(b"mixed", near);
        mixed.from = Some("2001:db8::1".parse().unwrap());
        let all = [
            Transmit::new(b"0", near),
            Transmit::new(b"1", near),
            Transmit::new(b"far", far),
            Transmit::new(b"3", near),
            Transmit::new(&long, near),
            spoofed,
            mixed,
            Transmit::new(b"7", near),
        ];
        let mut rest = &all[..];
        let mut refused = Vec::new();
        while let [first, others @ ..] = rest {
            match socket.send_batch(rest).await {
                Ok(sent) => rest = &rest[sent..],
                Err(err) => {
                    assert_well_formed(&err);
                    let op = op_error(&err).expect("an OpError");
                    assert_eq!(op.addr, Some(Addr::Udp(first.to)), "{err}");
                    refused.push((all.len() - rest.len(), raw_os_error(&err)));
                    rest = others;
                }
            }
        }
        let wanted = [
            (2, None),
            (4, Some(errno::EMSGSIZE)),
            (5, Some(errno::ENETUNREACH)),
            (6, None),
        ];
        assert_eq!(refused, wanted);
        let mut batch = RecvBatch::new(8, 16);
        let got = receive(&socket, &mut batch, 4).await;
        assert_eq!(got, [b"0", b"1", b"3", b"7"]);
        assert_eq!(socket.segment_size_max(), u16::MAX, "none was segmented");
    });
}

#[test]
fn connected_socket_sends_to_its_peer_only() {
    run(async {
        let server = open("udp6").await;
        let client = UdpSocket::connect(addr(&server)).await.expect("a socket");
        let good = Transmit::new(b"good", addr(&server));
        let bad = Transmit::new(b"bad", addr(&client));
        assert_eq!(client.send_batch(&[good, bad]).await.expect("one"), 1);
        let err = client.send_batch(&[bad]).await.expect_err("another peer");
        let cause = &op_error(&err).expect("an OpError").err;
        assert!(
            cause
                .get_ref()
                .is_some_and(|cause| cause.is::<WriteToConnectedError>()),
            "{err}"
        );
        let mut batch = RecvBatch::new(8, 16);
        assert_eq!(receive(&server, &mut batch, 1).await, [b"good"]);
    });
}

#[test]
fn refused_segmentation_is_done_here_from_then_on() {
    run(async {
        let (left, right) = (open_without_segmentation().await, open("udp4").await);
        let to = addr(&right);
        let mut batch = RecvBatch::new(64, 64);
        // More pieces than one call takes.
        let data: Vec<u8> = (0..100).collect();
        for round in 0..2 {
            let transmits = [
                Transmit::new(b"before", to),
                segmented(&data, to, 2),
                Transmit::new(b"after", to),
            ];
            send_all(&left, &transmits).await;
            let got = receive(&right, &mut batch, 52).await;
            let mut want = vec![&b"before"[..]];
            want.extend(data.chunks(2));
            want.push(b"after");
            assert_eq!(got, want, "round {round}");
            assert_eq!(left.segment_size_max(), 0);
        }
    });
}

#[test]
fn segments_that_are_refused_by_themselves_blame_nobody() {
    run(async {
        let socket = open("udp4").await;
        // Port zero is no destination.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let transmit = segmented(b"0123456789", nowhere, 4);
        let err = socket.send_batch(&[transmit]).await.expect_err("refused");
        assert_eq!(raw_os_error(&err), Some(errno::EINVAL), "{err}");
        assert_eq!(socket.segment_size_max(), u16::MAX);
    });
}

#[test]
fn segments_longer_than_the_path_are_sent_whole() {
    in_namespace("segments_longer_than_the_path_are_sent_whole", || {
        ip("link set lo mtu 1400");
        run(async {
            let (left, right) = (open("udp4").await, open("udp4").await);
            left.set_mtu_discovery(MtuDiscovery::Dont)
                .expect("an option");
            let data: Vec<u8> = (0..=u8::MAX).cycle().take(6000).collect();
            let mut batch = RecvBatch::new(8, 2000);
            for (size, limit) in [(1300, u16::MAX), (1390, 1389), (1300, 1389), (1389, 1388)] {
                send_all(&left, &[segmented(&data, addr(&right), size)]).await;
                let want: Vec<_> = data.chunks(size.into()).collect();
                assert_eq!(receive(&right, &mut batch, want.len()).await, want);
                assert_eq!(left.segment_size_max(), limit, "after {size}");
            }
            // Where datagrams must not be fragmented, the pieces are refused too.
            let strict = open("udp4").await;
            strict
                .set_mtu_discovery(MtuDiscovery::Do)
                .expect("an option");
            let transmit = segmented(&data, addr(&right), 1390);
            let err = strict.send_batch(&[transmit]).await.expect_err("refused");
            assert_eq!(raw_os_error(&err), Some(errno::EMSGSIZE), "{err}");
            assert_eq!(strict.segment_size_max(), u16::MAX);
        });
    });
}

#[test]
fn pieces_wait_for_room_and_go_once() {
    in_namespace("pieces_wait_for_room_and_go_once", || {
        // Packets on their way count against the send buffer, so a slow path fills it.
        tc("qdisc add dev lo root tbf rate 8mbit burst 4kb limit 4mb");
        run(async {
            let (left, right) = (open_without_segmentation().await, open("udp4").await);
            left.set_send_buffer_size(1)
                .expect("the least that there is");
            let data: Vec<u8> = (0..60_000_u32).map(|n| (n / 1000) as u8).collect();
            let left = Arc::new(left);
            let mut sender = UdpSender::new(left.clone());
            let transmits = [segmented(&data, addr(&right), 1000)];
            let err = sender.try_send(&transmits).expect_err("no room for all");
            assert_eq!(err.kind(), io::ErrorKind::WouldBlock);
            assert!(is_pending(sender.send(&transmits)).await, "it waits");
            let sent = sender.send(&transmits).await;
            assert_eq!(sent.expect("room in the end"), 1);
            let mut batch = RecvBatch::new(64, 1500);
            let got = receive(&right, &mut batch, 60).await;
            assert_eq!(got, data.chunks(1000).collect::<Vec<_>>());
            assert!(is_pending(right.recv_batch(&mut batch)).await, "each once");
        });
    });
}

#[test]
fn cancelled_receive_takes_nothing() {
    run(async {
        let socket = open("udp4").await;
        let mut batch = RecvBatch::new(4, 16);
        for _ in 0..3 {
            assert!(is_pending(socket.recv_batch(&mut batch)).await);
            let err = socket.try_recv_batch(&mut batch).expect_err("nothing");
            assert_eq!(err.kind(), io::ErrorKind::WouldBlock);
        }
        let to = addr(&socket);
        send_all(&socket, &[Transmit::new(b"1", to), Transmit::new(b"2", to)]).await;
        drop(socket.recv_batch(&mut batch));
        assert!(batch.is_empty(), "not polled");
        assert_eq!(receive(&socket, &mut batch, 2).await, [b"1", b"2"]);
        assert!(is_pending(socket.recv_batch(&mut batch)).await);
        assert!(batch.is_empty(), "nothing stale");
    });
}

#[test]
fn deadline_and_close_end_a_receive() {
    run_threads(async {
        let socket = Arc::new(open("udp4").await);
        let mut receiver = UdpReceiver::new(socket.clone());
        let mut batch = RecvBatch::new(4, 16);
        for _ in 0..2 {
            let soon = time::now() + Duration::from_millis(1);
            socket.set_read_deadline(Some(soon)).expect("open");
            let err = socket.recv_batch(&mut batch).await.expect_err("late");
            assert!(is_deadline(&err), "{err}");
            assert_well_formed(&err);
            let err = receiver.recv(&mut batch).await.expect_err("late");
            assert!(is_deadline(&err), "{err}");
            let err = poll_fn(|cx| receiver.poll_readable(cx)).await;
            assert!(is_deadline(&err.expect_err("late")));
        }
        socket.set_read_deadline(None).expect("open");
        let mut waiting = Vec::new();
        for _ in 0..2 {
            let socket = socket.clone();
            waiting.push(spawn(async move {
                let mut batch = RecvBatch::new(4, 16);
                socket.recv_batch(&mut batch).await.expect_err("closed")
            }));
        }
        waiting.push(spawn(async move {
            receiver.recv(&mut batch).await.expect_err("closed")
        }));
        for _ in 0..5 {
            yield_now().await;
        }
        socket.close().await.expect("the first close");
        for task in waiting {
            let err = task.await.expect("no panic");
            assert!(is_closed(&err), "{err}");
            assert_well_formed(&err);
        }
        let transmit = Transmit::new(b"x", addr(&socket));
        let err = socket.send_batch(&[transmit]).await.expect_err("closed");
        assert!(is_closed(&err), "{err}");
        let err = UdpSender::new(socket).try_send(&[transmit]);
        assert!(is_closed(&err.expect_err("closed")));
    });
}
