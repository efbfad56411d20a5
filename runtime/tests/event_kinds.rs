//! Which end of which kind of descriptor is woken by what: hang-ups, errors, half-closes, resets,
//! urgent data. A waiter that the kernel's event does not reach sleeps for ever; one that is told
//! over and over burns a core.

mod common;

use std::io::{self, Write};
use std::net::{Shutdown, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{
    MS, adopt, blocked, fill, half_pair, joined, multi, on_both, read, read_stream, tcp_pair,
    within, write,
};
use gannet_runtime::{AsyncFd, spawn, time};
use gannet_sys::{errno, option, socket};

/// An adopted descriptor and what its other end is held by.
struct Ends {
    name: &'static str,
    ours: AsyncFd,
    peer: OwnedFd,
}

fn streams() -> [Ends; 2] {
    let (unix, unix_peer) = half_pair();
    let (tcp, tcp_peer) = tcp_pair();
    [
        Ends {
            name: "unix",
            ours: unix,
            peer: unix_peer.into(),
        },
        Ends {
            name: "tcp",
            ours: tcp,
            peer: tcp_peer.into(),
        },
    ]
}

fn pipe_reader() -> Ends {
    let (reader, writer) = gannet_sys::fd::pipe().expect("a pipe");
    Ends {
        name: "pipe",
        ours: adopt(reader),
        peer: writer,
    }
}

fn pipe_writer() -> Ends {
    let (reader, writer) = gannet_sys::fd::pipe().expect("a pipe");
    Ends {
        name: "pipe",
        ours: adopt(writer),
        peer: reader,
    }
}

#[test]
fn writer_gone_gives_a_blocked_reader_the_end() {
    on_both(|| async {
        for Ends { name, ours, peer } in streams().into_iter().chain([pipe_reader()]) {
            let reader = blocked(read(&ours, 1)).await;
            drop(peer);
            assert_eq!(reader.await.expect(name), b"", "{name}");
            assert_eq!(read(&ours, 1).await.expect(name), b"", "{name}: again");
        }
    });
}

#[test]
fn writer_gone_makes_a_blocked_wait_for_readability_return() {
    on_both(|| async {
        for Ends { name, ours, peer } in streams().into_iter().chain([pipe_reader()]) {
            let readable = blocked(ours.readable()).await;
            drop(peer);
            readable.await.expect(name);
            ours.readable().await.expect(name);
        }
    });
}

#[test]
fn reader_gone_gives_a_blocked_writer_an_error_and_no_signal() {
    on_both(|| async {
        for Ends { name, ours, peer } in streams().into_iter().chain([pipe_writer()]) {
            fill(&ours);
            let writer = blocked(write(&ours, b"x")).await;
            drop(peer);
            let err = writer.await.expect_err(name);
            // A TCP peer that dies with unread data resets; the others break the pipe.
            let expected = [errno::EPIPE, errno::ECONNRESET];
            assert!(
                expected.contains(&err.raw_os_error().expect("the kernel's")),
                "{name}: {err}"
            );
            for _ in 0..20 {
                let err = write(&ours, b"x").await.expect_err(name);
                assert_eq!(err.kind(), io::ErrorKind::BrokenPipe, "{name}");
            }
        }
    });
}

#[test]
fn reader_gone_makes_a_blocked_wait_for_writability_return() {
    on_both(|| async {
        for Ends { name, ours, peer } in streams().into_iter().chain([pipe_writer()]) {
            fill(&ours);
            let writable = blocked(ours.writable()).await;
            drop(peer);
            writable.await.expect(name);
            ours.writable().await.expect(name);
        }
    });
}

#[test]
fn half_close_of_the_peer_ends_reading_and_leaves_writing_alone() {
    on_both(|| async {
        for Ends { name, ours, peer } in streams() {
            let reader = blocked(read(&ours, 1)).await;
            socket::shutdown(peer.as_fd(), Shutdown::Write).expect(name);
            assert_eq!(reader.await.expect(name), b"", "{name}");

            fill(&ours);
            let writer = blocked(write(&ours, b"x")).await;
            let drained = spawn(async move {
                let peer = adopt(peer);
                while !read(&peer, 1 << 16).await.expect("open").contains(&b'x') {}
            });
            assert_eq!(writer.await.expect(name), 1, "{name}");
            joined(drained.await);
        }
    });
}

#[test]
fn own_shutdown_ends_the_blocked_operation_of_that_side() {
    on_both(|| async {
        for Ends { name, ours, peer } in streams() {
            let reader = blocked(read(&ours, 1)).await;
            let done = ours.with_fd(|fd| socket::shutdown(fd, Shutdown::Read));
            done.expect("open").expect(name);
            assert_eq!(reader.await.expect(name), b"", "{name}");

            fill(&ours);
            let writer = blocked(write(&ours, b"x")).await;
            let done = ours.with_fd(|fd| socket::shutdown(fd, Shutdown::Write));
            done.expect("open").expect(name);
            let err = writer.await.expect_err(name);
            assert_eq!(err.kind(), io::ErrorKind::BrokenPipe, "{name}");
            drop(peer);
        }
    });
}

#[test]
fn reset_ends_a_blocked_reader_and_a_blocked_writer() {
    on_both(|| async {
        let (ours, peer) = tcp_pair();
        fill(&ours);
        let reader = blocked(read(&ours, 1)).await;
        let writer = blocked(write(&ours, b"x")).await;
        option::set_linger(peer.as_fd(), Some(Duration::ZERO)).expect("a socket");
        drop(peer); // With a linger of zero that is a reset.
        let ends = [
            reader.await.map(|_| 0).expect_err("reset"),
            writer.await.expect_err("reset"),
        ];
        let reset = |err: &io::Error| err.raw_os_error() == Some(errno::ECONNRESET);
        assert!(ends.iter().any(reset), "one of the two is told: {ends:?}");
    });
}

#[test]
fn reset_before_anybody_waits_is_not_lost() {
    on_both(|| async {
        let (ours, peer) = tcp_pair();
        option::set_linger(peer.as_fd(), Some(Duration::ZERO)).expect("a socket");
        drop(peer);
        let err = read(&ours, 1).await.expect_err("reset");
        assert_eq!(err.raw_os_error(), Some(errno::ECONNRESET));
        assert_eq!(read(&ours, 1).await.expect("then the end"), b"");
    });
}

#[test]
fn refusal_by_icmp_ends_a_blocked_receive() {
    on_both(|| async {
        let closed = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let ours = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        ours.connect(closed.local_addr().expect("bound"))
            .expect("a local address");
        drop(closed);
        let ours = adopt(ours);
        for round in 0..5 {
            let reader = blocked(read(&ours, 16)).await;
            let sent = ours.try_write_with(|fd| socket::send(fd, b"anybody?"));
            assert_eq!(sent.expect("it leaves"), 8, "round {round}");
            let err = reader.await.expect_err("refused");
            assert_eq!(
                err.raw_os_error(),
                Some(errno::ECONNREFUSED),
                "round {round}"
            );
        }
    });
}

/// The end of a stream may come with the edge that announces the last bytes: the short-read rule
/// must not wait for another one.
#[test]
fn end_that_comes_with_the_last_data_is_not_lost() {
    on_both(|| async {
        for round in 0..300 {
            for Ends { name, ours, peer } in streams() {
                let reader = if round % 2 == 0 {
                    Some(blocked(read_stream(&ours, 64)).await)
                } else {
                    None
                };
                socket::send(peer.as_fd(), b"last").expect("room");
                drop(peer);
                let got = match reader {
                    Some(reader) => reader.await,
                    None => read_stream(&ours, 64).await,
                };
                assert_eq!(got.expect(name), b"last", "{name}, round {round}");
                assert_eq!(read_stream(&ours, 64).await.expect(name), b"", "{name}");
            }
        }
    });
}

#[test]
fn end_that_comes_while_a_short_read_is_handled_is_not_lost() {
    within(|| {
        let runtime = multi(2);
        runtime.block_on(async {
            for _ in 0..1000 {
                let (ours, mut peer) = half_pair();
                let reader = spawn(async move {
                    let mut parts = 0;
                    while !read_stream(&ours, 64).await.expect("no error").is_empty() {
                        parts += 1;
                    }
                    parts
                });
                // On this thread, beside the worker that reads.
                peer.write_all(b"one").expect("room");
                peer.write_all(b"two").expect("room");
                drop(peer);
                assert!((1..=2).contains(&joined(reader.await)));
            }
        });
    });
}

/// Sends what the standard library can't: a byte out of band, between normal ones.
const URGENT: &str = "
import socket, sys
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
s.sendall(b'before')
s.send(b'!', socket.MSG_OOB)
sys.stdin.read(1)
s.sendall(b'after')
sys.stdin.read(1)
";

/// Urgent data is not in the stream: a read that its event wakes gets the bytes before it or
/// "would block", and later bytes still arrive.
#[test]
fn urgent_data_does_not_hang_a_stream_reader() {
    on_both(|| async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let mut python = Command::new("python3")
            .args(["-c", URGENT, &port.to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .expect("python3 is here");
        let (accepted, _) = listener.accept().expect("it connects");
        let ours = adopt(accepted);
        let mut cue = python.stdin.take().expect("piped");
        let mut got = Vec::new();
        while got.len() < 6 {
            got.extend(read_stream(&ours, 64).await.expect("open"));
        }
        assert_eq!(got, b"before");
        let reader = read_stream(&ours, 64);
        cue.write_all(b"x").expect("it reads");
        assert_eq!(reader.await.expect("open"), b"after");
        cue.write_all(b"x").expect("it reads");
        assert_eq!(read_stream(&ours, 64).await.expect("open"), b"");
        assert!(python.wait().expect("it ends").success());
    });
}

/// What stays readable, hung up or in error is reported once, not for ever.
#[test]
fn hang_up_that_nobody_reads_costs_no_wake_ups() {
    within(|| {
        let runtime = multi(1);
        runtime.block_on(async {
            let mut kept = Vec::new();
            for Ends { ours, peer, .. } in streams().into_iter().chain([pipe_reader()]) {
                let _ = ours.as_fd();
                drop(blocked(read(&ours, 1)).await);
                drop(peer);
                kept.push((ours, None));
            }
            for Ends { ours, peer, .. } in streams() {
                socket::shutdown(peer.as_fd(), Shutdown::Write).expect("a socket");
                assert_eq!(read(&ours, 1).await.expect("half-closed"), b"");
                kept.push((ours, Some(peer)));
            }
            let parks = |runtime: &gannet_runtime::Runtime| runtime.metrics().per_worker[0].parks;
            let before = parks(&runtime);
            // About time: a spin would park and wake many thousand times meanwhile.
            time::sleep(100 * MS).await;
            let spent = parks(&runtime) - before;
            assert!(spent < 50, "{spent} wake-ups in 100 ms");
            drop(kept);
        });
    });
}

/// A duplicate keeps the description alive after the adopted handle is gone.
#[test]
fn descriptor_that_lives_on_in_a_duplicate_is_not_polled_any_more() {
    within(|| {
        let runtime = multi(1);
        runtime.block_on(async {
            let (ours, mut peer) = UnixStream::pair().expect("a socketpair");
            let duplicate = ours.try_clone().expect("a duplicate");
            drop(adopt(ours));
            let before = runtime.metrics().per_worker[0].parks;
            for _ in 0..100 {
                peer.write_all(b"x").expect("room");
            }
            time::sleep(20 * MS).await;
            let spent = runtime.metrics().per_worker[0].parks - before;
            assert!(
                spent < 50,
                "{spent} wake-ups for a descriptor that is closed"
            );
            drop(duplicate);
        });
    });
}
