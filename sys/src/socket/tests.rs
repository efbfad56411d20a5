//! Tests of sockets over loopback and Unix names.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::{ptr, thread};

use super::*;
use crate::fd::{self, PollDirection};
use crate::sockaddr::UnixAddr;
use crate::testing::{scratch_path, wait_ready};
use crate::{errno, option};

fn loopback() -> SockAddr {
    SocketAddr::from(([127, 0, 0, 1], 0)).into()
}

fn bound(domain: Domain, kind: Kind, addr: &SockAddr) -> (OwnedFd, SockAddr) {
    let fd = socket(domain, kind).expect("a descriptor is free");
    bind(fd.as_fd(), addr).expect("the address is free");
    let addr = local_addr(fd.as_fd()).expect("bound");
    (fd, addr)
}

fn listener(domain: Domain, kind: Kind, addr: &SockAddr) -> (OwnedFd, SockAddr) {
    let (fd, addr) = bound(domain, kind, addr);
    listen(fd.as_fd(), 16).expect("bound");
    (fd, addr)
}

/// Two ends of a TCP connection: dialled, accepted.
fn tcp_pair() -> (OwnedFd, OwnedFd) {
    let (listening, addr) = listener(Domain::Inet, Kind::Stream, &loopback());
    let dialled = socket(Domain::Inet, Kind::Stream).expect("a descriptor is free");
    let err = connect(dialled.as_fd(), &addr).expect_err("TCP never connects at once");
    assert_eq!(err.raw_os_error(), Some(errno::EINPROGRESS));
    wait_ready(dialled.as_fd(), PollDirection::Write);
    assert!(take_error(dialled.as_fd()).expect("a socket").is_none());
    wait_ready(listening.as_fd(), PollDirection::Read);
    let (accepted, peer) = accept(listening.as_fd()).expect("one waits");
    assert_eq!(peer, local_addr(dialled.as_fd()).expect("connected"));
    assert_eq!(addr, peer_addr(dialled.as_fd()).expect("connected"));
    (dialled, accepted)
}

#[track_caller]
fn check_errno<T: std::fmt::Debug>(result: io::Result<T>, errno: i32) {
    assert_eq!(result.expect_err("refused").raw_os_error(), Some(errno));
}

#[track_caller]
fn check_flags(fd: &OwnedFd) {
    assert!(fd::is_nonblocking(fd.as_fd()).expect("open"));
    assert!(fd::is_cloexec(fd.as_fd()).expect("open"));
}

#[test]
fn every_new_socket_is_nonblocking_and_cloexec() {
    check_flags(&socket(Domain::Inet6, Kind::Datagram).expect("a descriptor is free"));
    let (left, right) = socketpair(Kind::Datagram).expect("descriptors are free");
    check_flags(&left);
    check_flags(&right);
    let (dialled, accepted) = tcp_pair();
    check_flags(&dialled);
    check_flags(&accepted);
}

#[test]
fn socket_without_such_a_kind_is_refused() {
    check_errno(socket(Domain::Inet, Kind::SeqPacket), libc::ESOCKTNOSUPPORT);
}

#[test]
fn tcp_carries_data_and_half_close_both_ways() {
    let (a, b) = tcp_pair();
    let mut buf = [0; 16];
    check_errno(recv(a.as_fd(), &mut buf), errno::EAGAIN);
    assert_eq!(send(a.as_fd(), b"hello").expect("there is room"), 5);
    shutdown(a.as_fd(), Shutdown::Write).expect("connected");
    wait_ready(b.as_fd(), PollDirection::Read);
    assert_eq!(peek(b.as_fd(), &mut buf).expect("data waits"), 5);
    assert_eq!(recv(b.as_fd(), &mut buf).expect("peeking took nothing"), 5);
    assert_eq!(&buf[..5], b"hello");
    wait_ready(b.as_fd(), PollDirection::Read);
    assert_eq!(recv(b.as_fd(), &mut buf).expect("the end"), 0);
    check_errno(send(a.as_fd(), b"x"), errno::EPIPE);
    send(b.as_fd(), b"back").expect("the other direction is open");
    wait_ready(a.as_fd(), PollDirection::Read);
    let (len, from) = recv_from(a.as_fd(), &mut buf).expect("data waits");
    assert_eq!(
        (len, from),
        (4, UnixAddr::Unnamed.into()),
        "a stream tells no sender"
    );
}

#[test]
fn tcp_over_ipv6_keeps_addresses() {
    let v6: SocketAddr = "[::1]:0".parse().expect("a literal");
    let (listening, addr) = listener(Domain::Inet6, Kind::Stream, &v6.into());
    let dialled = socket(Domain::Inet6, Kind::Stream).expect("a descriptor is free");
    check_errno(connect(dialled.as_fd(), &addr), errno::EINPROGRESS);
    wait_ready(listening.as_fd(), PollDirection::Read);
    let (_accepted, peer) = accept(listening.as_fd()).expect("one waits");
    assert_eq!(peer, local_addr(dialled.as_fd()).expect("connected"));
    assert!(matches!(peer, SockAddr::Inet(SocketAddr::V6(peer)) if peer.ip().is_loopback()));
}

#[test]
fn accept_errors_are_the_documented_ones() {
    let (listening, _) = listener(Domain::Inet, Kind::Stream, &loopback());
    check_errno(accept(listening.as_fd()), errno::EAGAIN);
    shutdown(listening.as_fd(), Shutdown::Both).expect("a listener");
    check_errno(accept(listening.as_fd()), errno::EINVAL);
    let (datagrams, _) = bound(Domain::Inet, Kind::Datagram, &loopback());
    check_errno(accept(datagrams.as_fd()), errno::EOPNOTSUPP);
    check_errno(listen(datagrams.as_fd(), 1), errno::EOPNOTSUPP);
}

#[test]
fn connect_refused_is_told_by_take_error_once() {
    // Bound and not listening: the port is taken by us and refuses.
    let (_holder, addr) = bound(Domain::Inet, Kind::Stream, &loopback());
    let dialled = socket(Domain::Inet, Kind::Stream).expect("a descriptor is free");
    check_errno(peer_addr(dialled.as_fd()), errno::ENOTCONN);
    check_errno(shutdown(dialled.as_fd(), Shutdown::Both), errno::ENOTCONN);
    match connect(dialled.as_fd(), &addr)
        .expect_err("nobody listens")
        .raw_os_error()
    {
        Some(errno::EINPROGRESS) => {
            wait_ready(dialled.as_fd(), PollDirection::Write);
            let err = take_error(dialled.as_fd())
                .expect("a socket")
                .expect("refused");
            assert_eq!(err.raw_os_error(), Some(errno::ECONNREFUSED));
        }
        other => assert_eq!(other, Some(errno::ECONNREFUSED)),
    }
    assert!(
        take_error(dialled.as_fd()).expect("a socket").is_none(),
        "asking cleared it"
    );
    check_errno(peer_addr(dialled.as_fd()), errno::ENOTCONN);
}

#[test]
fn bind_errors_are_the_documented_ones() {
    let (taken, addr) = listener(Domain::Inet, Kind::Stream, &loopback());
    let other = socket(Domain::Inet, Kind::Stream).expect("a descriptor is free");
    check_errno(bind(other.as_fd(), &addr), errno::EADDRINUSE);
    check_errno(bind(taken.as_fd(), &loopback()), errno::EINVAL);
    let v6: SocketAddr = "[::1]:0".parse().expect("a literal");
    check_errno(bind(other.as_fd(), &v6.into()), errno::EAFNOSUPPORT);
    let missing = UnixAddr::Path(scratch_path("missing").join("socket"));
    let unix = socket(Domain::Unix, Kind::Stream).expect("a descriptor is free");
    check_errno(bind(unix.as_fd(), &missing.into()), errno::ENOENT);
    let long = UnixAddr::Path("x".repeat(108).into());
    let err = bind(unix.as_fd(), &long.into()).expect_err("too long");
    assert_eq!(err.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn unix_path_and_abstract_names_connect() {
    let path = scratch_path("stream");
    let name = format!("gannet-sys-{}", std::process::id()).into_bytes();
    for addr in [UnixAddr::Path(path.clone()), UnixAddr::Abstract(name)] {
        let addr = SockAddr::Unix(addr);
        let (listening, local) = listener(Domain::Unix, Kind::Stream, &addr);
        assert_eq!(local, addr);
        let dialled = socket(Domain::Unix, Kind::Stream).expect("a descriptor is free");
        connect(dialled.as_fd(), &addr).expect("Unix connects at once");
        assert_eq!(peer_addr(dialled.as_fd()).expect("connected"), addr);
        let (_accepted, peer) = accept(listening.as_fd()).expect("one waits");
        assert_eq!(peer, UnixAddr::Unnamed.into());
    }
    let late = socket(Domain::Unix, Kind::Stream).expect("a descriptor is free");
    let addr = UnixAddr::Path(path.clone()).into();
    check_errno(connect(late.as_fd(), &addr), errno::ECONNREFUSED);
    check_errno(bind(late.as_fd(), &addr), errno::EADDRINUSE);
    std::fs::remove_file(&path).expect("bind made a file");
    check_errno(connect(late.as_fd(), &addr), errno::ENOENT);
}

#[test]
fn unix_longest_names_reach_the_kernel_and_come_back() {
    let directory = std::env::temp_dir();
    let mut path = scratch_path("long")
        .into_os_string()
        .into_string()
        .expect("plain");
    path.extend(std::iter::repeat_n('x', UnixAddr::NAME_MAX - path.len()));
    assert!(path.starts_with(directory.to_str().expect("plain")));
    let addr = SockAddr::Unix(UnixAddr::Path(path.clone().into()));
    let (_fd, local) = bound(Domain::Unix, Kind::Datagram, &addr);
    assert_eq!(local, addr);
    std::fs::remove_file(path).expect("bind made a file");

    let mut name = format!("gannet-sys-{}-\0-", std::process::id()).into_bytes();
    name.resize(UnixAddr::NAME_MAX, 0xff);
    let addr = SockAddr::Unix(UnixAddr::Abstract(name));
    let (_fd, local) = bound(Domain::Unix, Kind::Datagram, &addr);
    assert_eq!(local, addr);
}

#[test]
fn unix_unnamed_bind_lets_the_kernel_choose() {
    let (_fd, addr) = bound(Domain::Unix, Kind::Datagram, &UnixAddr::Unnamed.into());
    match addr {
        SockAddr::Unix(UnixAddr::Abstract(name)) => {
            assert_eq!(name.len(), 5);
            assert!(name.iter().all(u8::is_ascii_hexdigit), "{name:?}");
        }
        other => panic!("an abstract name was expected, not {other:?}"),
    }
}

#[test]
fn unix_connect_to_a_full_backlog_would_block() {
    let (listening, addr) = bound(Domain::Unix, Kind::Stream, &UnixAddr::Unnamed.into());
    listen(listening.as_fd(), 0).expect("bound");
    let first = socket(Domain::Unix, Kind::Stream).expect("a descriptor is free");
    connect(first.as_fd(), &addr).expect("the first fits");
    let second = socket(Domain::Unix, Kind::Stream).expect("a descriptor is free");
    check_errno(connect(second.as_fd(), &addr), errno::EAGAIN);
    // A longer backlog, beyond what an `int` holds, takes effect on a listening socket.
    listen(listening.as_fd(), u32::MAX).expect("bound");
    connect(second.as_fd(), &addr).expect("now there is room");
}

#[test]
fn udp_datagrams_carry_their_sender() {
    let (a, a_addr) = bound(Domain::Inet, Kind::Datagram, &loopback());
    let (b, b_addr) = bound(Domain::Inet, Kind::Datagram, &loopback());
    assert_eq!(
        send_to(a.as_fd(), b"datagram", &b_addr).expect("there is room"),
        8
    );
    assert_eq!(
        send_to(a.as_fd(), b"", &b_addr).expect("an empty one is one"),
        0
    );
    wait_ready(b.as_fd(), PollDirection::Read);
    let mut buf = [0; 4];
    let expected = (4, a_addr.clone());
    assert_eq!(peek_from(b.as_fd(), &mut buf).expect("it came"), expected);
    assert_eq!(
        recv_from(b.as_fd(), &mut buf).expect("it is still there"),
        expected
    );
    assert_eq!(&buf, b"data");
    wait_ready(b.as_fd(), PollDirection::Read);
    assert_eq!(
        recv_from(b.as_fd(), &mut buf).expect("it came"),
        (0, a_addr)
    );
    check_errno(recv_from(b.as_fd(), &mut buf), errno::EAGAIN);
    check_errno(send(a.as_fd(), b"x"), errno::EDESTADDRREQ);
    check_errno(send_to(a.as_fd(), &[0; 70_000], &b_addr), errno::EMSGSIZE);
}

#[test]
fn udp_refusal_is_told_once_and_the_socket_lives() {
    let (a, _) = bound(Domain::Inet, Kind::Datagram, &loopback());
    let (b, b_addr) = bound(Domain::Inet, Kind::Datagram, &loopback());
    connect(a.as_fd(), &b_addr).expect("datagrams connect at once");
    drop(b);
    send(a.as_fd(), b"anyone?").expect("there is room");
    wait_ready(a.as_fd(), PollDirection::Read);
    let mut buf = [0; 4];
    check_errno(recv(a.as_fd(), &mut buf), errno::ECONNREFUSED);
    check_errno(recv(a.as_fd(), &mut buf), errno::EAGAIN);
}

#[test]
fn unix_datagram_sender_is_named_only_if_bound() {
    let (named, named_addr) = bound(Domain::Unix, Kind::Datagram, &UnixAddr::Unnamed.into());
    let nameless = socket(Domain::Unix, Kind::Datagram).expect("a descriptor is free");
    let (to, to_addr) = bound(Domain::Unix, Kind::Datagram, &UnixAddr::Unnamed.into());
    let mut buf = [0; 4];
    for (from, addr) in [(named, named_addr), (nameless, UnixAddr::Unnamed.into())] {
        send_to(from.as_fd(), b"hi", &to_addr).expect("there is room");
        assert_eq!(recv_from(to.as_fd(), &mut buf).expect("it came"), (2, addr));
    }
}

#[test]
fn seqpacket_keeps_bounds_and_ends() {
    let (left, right) = socketpair(Kind::SeqPacket).expect("descriptors are free");
    send(left.as_fd(), b"one").expect("there is room");
    send(left.as_fd(), b"three").expect("there is room");
    drop(left);
    let mut buf = [0; 16];
    let lengths = [3, 5, 0].map(|_| recv(right.as_fd(), &mut buf).expect("data, then the end"));
    assert_eq!(lengths, [3, 5, 0]);
}

#[test]
fn vectored_data_crosses_slice_bounds_and_stops_at_1024() {
    let (left, right) = socketpair(Kind::Stream).expect("descriptors are free");
    let parts = [
        IoSlice::new(b"ab"),
        IoSlice::new(b""),
        IoSlice::new(b"cdefg"),
    ];
    assert_eq!(
        send_vectored(left.as_fd(), &parts).expect("there is room"),
        7
    );
    let (mut head, mut tail) = ([0; 3], [0; 9]);
    let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
    assert_eq!(
        recv_vectored(right.as_fd(), &mut bufs).expect("data waits"),
        7
    );
    assert_eq!((&head, &tail[..4]), (b"abc", b"defg".as_slice()));

    let many = vec![IoSlice::new(b"x"); 1025];
    assert_eq!(
        send_vectored(left.as_fd(), &many).expect("there is room"),
        1024
    );
    send(left.as_fd(), b"y").expect("there is room");
    let mut bytes = vec![0u8; 1025];
    let mut bufs: Vec<_> = bytes.chunks_mut(1).map(IoSliceMut::new).collect();
    assert_eq!(
        recv_vectored(right.as_fd(), &mut bufs).expect("data waits"),
        1024
    );
    assert_eq!(bytes[1024], 0);
}

/// Whether a SIGPIPE waits for this thread, which has it blocked.
fn sigpipe_pending() -> bool {
    // SAFETY: `sigset_t` is a set of bits, for which all-zero bytes are the empty set.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is writable and lives across the call.
    cvt(unsafe { libc::sigpending(&mut set) }).expect("the set is ours");
    // SAFETY: `set` is initialised and only read.
    cvt(unsafe { libc::sigismember(&set, libc::SIGPIPE) }).expect("a valid signal") == 1
}

#[test]
fn sends_to_a_closed_peer_raise_no_sigpipe() {
    // A thread of its own: a blocked signal stays pending for it, where it can be looked at.
    let body = || {
        // SAFETY: `sigset_t` is a set of bits, for which all-zero bytes are the empty set.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: `set` is writable and lives across the call.
        cvt(unsafe { libc::sigaddset(&mut set, libc::SIGPIPE) }).expect("a valid signal");
        // SAFETY: `set` is initialised and only read; a null pointer asks for no old mask.
        let rc = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut()) };
        assert_eq!(rc, 0);

        let (left, right) = socketpair(Kind::Stream).expect("descriptors are free");
        drop(right);
        let (fd, parts) = (left.as_fd(), [IoSlice::new(b"x")]);
        check_errno(send(fd, b"x"), errno::EPIPE);
        check_errno(send_vectored(fd, &parts), errno::EPIPE);
        check_errno(message::send_msg(fd, &parts, &[], None), errno::EPIPE);
        let (datagrams, gone) = socketpair(Kind::SeqPacket).expect("descriptors are free");
        drop(gone);
        check_errno(send(datagrams.as_fd(), b"x"), errno::EPIPE);
        let (dialled, _accepted) = tcp_pair();
        let to = peer_addr(dialled.as_fd()).expect("connected");
        shutdown(dialled.as_fd(), Shutdown::Write).expect("connected");
        check_errno(send_to(dialled.as_fd(), b"x", &to), errno::EPIPE);
        assert!(!sigpipe_pending());
        // The same through write(2) does raise it, so this test can tell.
        check_errno(fd::write(fd, b"x"), errno::EPIPE);
        assert!(sigpipe_pending());
    };
    thread::spawn(body)
        .join()
        .expect("the thread does not panic");
}

#[test]
fn send_to_on_a_connected_socket_is_as_documented() {
    let to = UnixAddr::Abstract(b"nobody".to_vec()).into();
    let (left, _right) = socketpair(Kind::Stream).expect("descriptors are free");
    check_errno(send_to(left.as_fd(), b"x", &to), errno::EISCONN);
    let (left, right) = socketpair(Kind::SeqPacket).expect("descriptors are free");
    send_to(left.as_fd(), b"x", &to).expect("the address is ignored");
    assert_eq!(recv(right.as_fd(), &mut [0; 4]).expect("it came"), 1);
    let (left, _right) = socketpair(Kind::Datagram).expect("descriptors are free");
    check_errno(send_to(left.as_fd(), b"x", &to), errno::ECONNREFUSED);
}

#[test]
fn socket_calls_on_a_pipe_say_so() {
    let (read_end, _write_end) = fd::pipe().expect("descriptors are free");
    check_errno(local_addr(read_end.as_fd()), errno::ENOTSOCK);
    check_errno(take_error(read_end.as_fd()), errno::ENOTSOCK);
    check_errno(option::is_listening(read_end.as_fd()), errno::ENOTSOCK);
}

#[test]
fn backlog_max_follows_the_two_files() {
    let table = [
        ("4096\n", "6.1.0-18-amd64\n", 4096),
        ("128", "5.4.0", 128),
        ("70000\n", "6.1.0", 70_000),
        ("70000\n", "4.1.0", 70_000),
        ("70000\n", "4.0.9", 65_535),
        ("70000\n", "3.10.0-1160.el7", 65_535),
        ("65535", "3.10.0", 65_535),
        ("70000", "unreadable", 70_000),
        ("99999999999", "6.1.0", u32::MAX),
        ("511 junk\nmore", "6.1.0", 511),
        ("0\n", "6.1.0", 128),
        ("", "6.1.0", 128),
        ("-5", "6.1.0", 128),
        ("many", "6.1.0", 128),
    ];
    for (limit, release, expected) in table {
        assert_eq!(
            backlog_max(limit, release),
            expected,
            "{limit:?} on {release:?}"
        );
    }
    let file = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("the kernel tells");
    assert_eq!(somaxconn().to_string(), file.trim());
}

#[test]
fn unlink_removes_the_file_and_says_when_there_is_none() {
    let path = std::env::temp_dir().join(format!("gannet-sys-unlink-{}", std::process::id()));
    std::fs::write(&path, "").expect("the folder for temporary files can be written to");
    unlink(&path).expect("it is there");
    let err = unlink(&path).expect_err("it is gone");
    assert_eq!(err.raw_os_error(), Some(errno::ENOENT));
}
