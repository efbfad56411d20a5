//! Tests of batches, over loopback.

use std::os::fd::{AsFd, OwnedFd};

use super::*;
use crate::socket::{self, Domain, Kind};
use crate::{errno, option};

/// A socket on a free port of `ip`, and its address.
fn bound(ip: &str) -> (OwnedFd, SocketAddr) {
    let addr = SocketAddr::new(ip.parse().expect("an address"), 0);
    let domain = match addr {
        SocketAddr::V4(_) => Domain::Inet,
        SocketAddr::V6(_) => Domain::Inet6,
    };
    let fd = socket::socket(domain, Kind::Datagram).expect("a descriptor is free");
    socket::bind(fd.as_fd(), &addr.into()).expect("a port is free");
    match socket::local_addr(fd.as_fd()).expect("it is bound") {
        SockAddr::Inet(addr) => (fd, addr),
        other => panic!("a UDP socket at {other:?}"),
    }
}

#[test]
fn batch_keeps_bounds_order_and_senders() {
    for ip in ["127.0.0.1", "::1"] {
        let ((left, from), (right, to)) = (bound(ip), bound(ip));
        let sent = [&b"one"[..], b"", b"three"];
        let messages = sent.map(|data| Outgoing::new(data, to));
        assert_eq!(send(left.as_fd(), messages).expect("sent"), 3);
        let mut buffers = RecvBuffers::new(8, 16);
        assert_eq!(buffers.recv(right.as_fd()).expect("received"), 3);
        assert_eq!(buffers.len(), 3);
        for (index, data) in sent.into_iter().enumerate() {
            let received = buffers.messages().nth(index).expect("three came");
            assert_eq!((&*received.data, received.from), (data, Some(from)));
            assert!(!received.truncated);
            assert_eq!((received.tos, received.local), (None, None), "not asked");
        }
        assert!(buffers.messages().nth(3).is_none());
        let err = buffers.recv(right.as_fd()).expect_err("nothing more");
        assert_eq!(err.raw_os_error(), Some(errno::EAGAIN));
        assert!(
            buffers.is_empty() && buffers.messages().next().is_none(),
            "stale"
        );
    }
}

#[test]
fn more_than_fits_waits_for_the_next_call() {
    let (fd, to) = bound("127.0.0.1");
    let messages = (0..40).map(|_| Outgoing::new(b"x", to));
    assert_eq!(send(fd.as_fd(), messages).expect("sent"), SEND_MAX);
    let mut buffers = RecvBuffers::new(20, 1);
    assert_eq!(buffers.recv(fd.as_fd()).expect("received"), 20);
    assert_eq!(buffers.recv(fd.as_fd()).expect("received"), 12);
    assert_eq!(RecvBuffers::new(0, 1).capacity(), 1);
    assert_eq!(RecvBuffers::new(1000, 1).capacity(), RECV_MAX);
}

#[test]
fn long_datagram_is_cut_and_says_so() {
    let (fd, to) = bound("127.0.0.1");
    for room in [4, 0] {
        let messages = [&b"0123456789"[..], b""].map(|data| Outgoing::new(data, to));
        assert_eq!(send(fd.as_fd(), messages).expect("sent"), 2);
        let mut buffers = RecvBuffers::new(2, room);
        assert_eq!(buffers.recv(fd.as_fd()).expect("received"), 2);
        let first = buffers.messages().next().expect("two came");
        assert_eq!(&*first.data, &b"0123456789"[..room]);
        assert!(first.truncated);
        assert!(!buffers.messages().nth(1).expect("two came").truncated);
    }
}

#[test]
fn service_byte_and_addresses_are_told() {
    let (v4, v4_to) = bound("127.0.0.1");
    option::set_recv_tos(v4.as_fd(), true).expect("an option");
    option::set_recv_pktinfo(v4.as_fd(), true).expect("an option");
    let (v6, v6_to) = bound("::1");
    option::set_recv_tclass_v6(v6.as_fd(), true).expect("an option");
    option::set_recv_pktinfo_v6(v6.as_fd(), true).expect("an option");
    let lo = crate::interface::index("lo").expect("there is a loopback");
    for (fd, to) in [(v4, v4_to), (v6, v6_to)] {
        for tos in [0, 1, 2, 3, 0xb9] {
            let mut message = Outgoing::new(b"x", to);
            message.tos = Some(tos);
            message.from = Some(to.ip());
            assert_eq!(send(fd.as_fd(), [message]).expect("sent"), 1);
            let mut buffers = RecvBuffers::new(1, 1);
            buffers.recv(fd.as_fd()).expect("received");
            let received = buffers.messages().next().expect("one came");
            assert_eq!(received.tos, Some(tos), "to {to}");
            assert_eq!(received.local, Some(to.ip()));
            assert_eq!(received.interface, Some(lo));
        }
    }
}

#[test]
fn local_address_is_chosen_for_each_datagram() {
    let (fd, _) = bound("0.0.0.0");
    let (peer, to) = bound("127.0.0.1");
    let from = ["127.0.0.2", "127.0.0.3"].map(|ip| ip.parse::<IpAddr>().expect("an address"));
    let messages = from.map(|ip| Outgoing {
        from: Some(ip),
        ..Outgoing::new(b"x", to)
    });
    assert_eq!(send(fd.as_fd(), messages).expect("sent"), 2);
    let mut buffers = RecvBuffers::new(2, 1);
    assert_eq!(buffers.recv(peer.as_fd()).expect("received"), 2);
    for (index, ip) in from.into_iter().enumerate() {
        let received = buffers.messages().nth(index).expect("two came");
        assert_eq!(received.from.map(|addr| addr.ip()), Some(ip));
    }
}

#[test]
fn segments_arrive_single_or_joined() {
    for ip in ["127.0.0.1", "::1"] {
        let ((left, _), (right, to)) = (bound(ip), bound(ip));
        let message = Outgoing {
            segment: Some(4),
            ..Outgoing::new(b"0123456789", to)
        };
        assert_eq!(send(left.as_fd(), [message]).expect("sent"), 1);
        let mut buffers = RecvBuffers::new(8, 65_535);
        assert_eq!(buffers.recv(right.as_fd()).expect("received"), 3);
        let data = [0, 1, 2].map(|i| buffers.messages().nth(i).expect("three came").data.to_vec());
        assert_eq!(data, [&b"0123"[..], b"4567", b"89"]);

        option::set_udp_gro(right.as_fd(), true).expect("an option");
        assert_eq!(send(left.as_fd(), [message]).expect("sent"), 1);
        assert_eq!(buffers.recv(right.as_fd()).expect("received"), 1);
        let joined = buffers.messages().next().expect("one came");
        assert_eq!(
            (&*joined.data, joined.segment),
            (&b"0123456789"[..], Some(4))
        );
    }
}

#[test]
fn error_is_that_of_the_first_and_others_end_the_call() {
    let (fd, to) = bound("127.0.0.1");
    let v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 9));
    let good = Outgoing::new(b"x", to);
    let bad = Outgoing::new(b"x", v6);
    assert_eq!(send(fd.as_fd(), [good, bad, good]).expect("one"), 1);
    let err = send(fd.as_fd(), [bad, good]).expect_err("the first");
    assert_eq!(err.raw_os_error(), Some(errno::EAFNOSUPPORT));
    assert_eq!(send(fd.as_fd(), []).expect("nothing to do"), 0);
}

#[test]
fn connected_socket_needs_no_address() {
    let ((left, _), (right, to)) = (bound("127.0.0.1"), bound("127.0.0.1"));
    let message = Outgoing {
        is_connected: true,
        ..Outgoing::new(b"x", to)
    };
    let err = send(left.as_fd(), [message]).expect_err("no peer yet");
    assert_eq!(err.raw_os_error(), Some(errno::EDESTADDRREQ));
    crate::socket::connect(left.as_fd(), &to.into()).expect("a peer");
    assert_eq!(send(left.as_fd(), [message; 2]).expect("sent"), 2);
    let mut buffers = RecvBuffers::new(2, 1);
    assert_eq!(buffers.recv(right.as_fd()).expect("received"), 2);
}

#[test]
fn kernel_refuses_to_segment_without_checksums() {
    let (fd, to) = bound("127.0.0.1");
    option::set_no_checksum(fd.as_fd(), true).expect("an option");
    let message = Outgoing {
        segment: Some(4),
        ..Outgoing::new(b"0123456789", to)
    };
    let err = send(fd.as_fd(), [message]).expect_err("refused");
    assert_eq!(err.raw_os_error(), Some(errno::EINVAL));
}
