//! Receiving and sending on stream connections, TCP and Unix.

mod common;

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{assert_well_formed, pair, run, run_threads};
use gannet_net::error::{self, is_closed, is_deadline, raw_os_error};
use gannet_net::{Conn, TcpStream, UnixStream};
use gannet_runtime::{spawn, yield_now};
use gannet_sys::errno;

const STREAMS: [&str; 4] = ["tcp", "tcp4", "tcp6", "unix"];

fn past() -> Option<Instant> {
    Instant::now().checked_sub(Duration::from_millis(1))
}

/// Polls a future once; panics if it is ready.
async fn poll_pending<T>(future: impl Future<Output = T>) {
    let mut future = pin!(future);
    let pending = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
    assert!(pending, "the operation should have waited");
}

/// Sends until the kernel takes no more.
async fn fill(conn: &Conn) -> usize {
    let block = vec![7; 64 << 10];
    let mut sent = 0;
    loop {
        match conn.try_write(&block) {
            Ok(taken) => sent += taken,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => return sent,
            Err(err) => panic!("{err}"),
        }
    }
}

#[test]
fn read_empty_buffer_returns_zero_at_once() {
    for network in STREAMS {
        run(async {
            let (client, server) = pair(network).await;
            for conn in [&client, &server] {
                assert_eq!(conn.read(&mut []).await.unwrap(), 0);
                conn.set_read_deadline(past()).unwrap();
                assert_eq!(
                    conn.read(&mut []).await.unwrap(),
                    0,
                    "before the deadline check"
                );
                conn.close().await.unwrap();
                assert!(
                    is_closed(&conn.read(&mut []).await.unwrap_err()),
                    "after the closed check"
                );
            }
        });
    }
}

#[test]
fn shutdown_write_ends_one_direction_only() {
    for network in STREAMS {
        run(async {
            let (client, server) = pair(network).await;
            let mut buf = [0; 8];
            client.write_all(b"bye").await.unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(server.read(&mut buf).await.unwrap(), 3);
            assert_eq!(server.read(&mut buf).await.unwrap(), 0);
            assert_eq!(server.read(&mut buf).await.unwrap(), 0, "the end stays");

            server.write_all(b"still here").await.unwrap();
            assert_eq!(client.read(&mut buf).await.unwrap(), 8);
            let err = client.write(b"x").await.unwrap_err();
            assert_eq!(raw_os_error(&err), Some(errno::EPIPE), "{err}");
            assert_well_formed(&err);
        });
    }
}

#[test]
fn shutdown_read_ends_a_blocked_read() {
    for network in STREAMS {
        run_threads(async {
            let (client, _server) = pair(network).await;
            let client = Arc::new(client);
            let reader = spawn({
                let client = client.clone();
                async move { client.read(&mut [0; 8]).await }
            });
            client.readable_or_pending().await;
            client.shutdown(Shutdown::Read).unwrap();
            assert_eq!(reader.await.unwrap().unwrap(), 0);
        });
    }
}

/// Gives a spawned reader a chance to block first; the tests hold either way.
trait Settle {
    async fn readable_or_pending(&self);
}

impl Settle for Conn {
    async fn readable_or_pending(&self) {
        for _ in 0..10 {
            yield_now().await;
        }
    }
}

#[test]
fn write_to_reset_connection_fails_without_a_signal() {
    run(async {
        let (client, server) = pair("tcp").await;
        let server = TcpStream::try_from(server).unwrap();
        server.set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        let err = client.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::ECONNRESET));
        assert_eq!(err.kind(), io::ErrorKind::ConnectionReset);
        assert!(!error::is_temporary(&err) && !error::is_timeout(&err));
        assert!(
            err.to_string()
                .ends_with(": read: connection reset by peer"),
            "{err}"
        );
        let err = client.write(b"x").await.unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::EPIPE), "{err}");
        assert_eq!(err.kind(), io::ErrorKind::BrokenPipe);

        for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
            client.shutdown(how).expect("ENOTCONN is success");
        }
    });
}

#[test]
fn deadline_in_the_past_fails_even_with_data() {
    for network in STREAMS {
        run(async {
            let (client, server) = pair(network).await;
            client.write_all(b"data").await.unwrap();
            server.readable().await.unwrap();
            server.set_deadline(past()).unwrap();
            let mut buf = [0; 8];
            for _ in 0..2 {
                let err = server.read(&mut buf).await.unwrap_err();
                assert!(
                    is_deadline(&err) && err.kind() == io::ErrorKind::TimedOut,
                    "{err}"
                );
                assert_well_formed(&err);
                let err = server.write(b"x").await.unwrap_err();
                assert!(is_deadline(&err), "{err}");
                assert!(is_deadline(&server.try_read(&mut buf).unwrap_err()));
                assert!(is_deadline(&server.readable().await.unwrap_err()));
                assert!(is_deadline(&server.peek(&mut buf).await.unwrap_err()));
            }
            server.set_deadline(None).unwrap();
            assert_eq!(
                server.read(&mut buf).await.unwrap(),
                4,
                "cleared, it goes on"
            );
        });
    }
}

#[test]
fn deadline_moved_to_the_past_ends_a_blocked_read() {
    run_threads(async {
        let (client, _server) = pair("tcp").await;
        let client = Arc::new(client);
        client
            .set_read_deadline(Some(Instant::now() + Duration::from_secs(3600)))
            .unwrap();
        let reader = spawn({
            let client = client.clone();
            async move { client.read(&mut [0; 8]).await }
        });
        client.readable_or_pending().await;
        client.set_read_deadline(past()).unwrap();
        assert!(is_deadline(&reader.await.unwrap().unwrap_err()));
    });
}

#[test]
fn deadline_error_names_both_ends() {
    run(async {
        let (client, _server) = pair("tcp").await;
        client
            .set_read_deadline(Some(Instant::now() + Duration::from_millis(2)))
            .unwrap();
        let err = client.read(&mut [0; 8]).await.unwrap_err();
        let (local, peer) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        assert_eq!(
            err.to_string(),
            format!("read tcp {local}->{peer}: i/o timeout")
        );
    });
}

#[test]
fn close_ends_every_blocked_operation() {
    for network in STREAMS {
        run_threads(async {
            let (client, server) = pair(network).await;
            let (local, peer) = (server.local_addr().unwrap(), server.peer_addr().unwrap());
            fill(&server).await;
            let server = Arc::new(server);
            let spawned = |write: bool| {
                let server = server.clone();
                spawn(async move {
                    match write {
                        true => server.write_all(&[0; 1 << 20]).await.unwrap_err(),
                        false => server.read(&mut [0; 8]).await.unwrap_err(),
                    }
                })
            };
            let tasks = [spawned(false), spawned(false), spawned(true), spawned(true)];
            server.readable_or_pending().await;
            server.close().await.unwrap();
            for task in tasks {
                let err = task.await.unwrap();
                assert!(is_closed(&err), "{err}");
                assert!(!error::is_timeout(&err) && !error::is_temporary(&err));
                assert_well_formed(&err);
                let text = format!(" {network} {local}->{peer}: use of closed network connection");
                assert!(err.to_string().ends_with(&text), "{err}");
            }
            assert!(is_closed(&server.close().await.unwrap_err()), "only once");
            assert!(is_closed(&server.set_deadline(None).unwrap_err()));
            assert!(is_closed(&server.shutdown(Shutdown::Both).unwrap_err()));
            drop(client);
        });
    }
}

#[test]
fn write_all_deadline_in_the_middle_reports_progress() {
    for network in STREAMS {
        run(async {
            let (client, server) = pair(network).await;
            client
                .set_write_deadline(Some(Instant::now() + Duration::from_millis(20)))
                .unwrap();
            let data = [0u8, 1, 2, 3, 4, 5, 6].repeat(2 << 20);
            let err = client.write_all(&data).await.unwrap_err();
            assert!(is_deadline(&err), "{err}");
            let written = error::written(&err).expect("a count");
            assert!(0 < written && written < data.len());
            assert_eq!(error::received(&err), None);

            // The rest follows, and nothing was lost or sent twice.
            client.set_write_deadline(None).unwrap();
            let (mut reading, mut writing) = (Vec::new(), pin!(client.write_all(&data[written..])));
            let mut buf = vec![0; 1 << 20];
            let mut done = false;
            while reading.len() < data.len() {
                if !done {
                    let poll = poll_fn(|cx| Poll::Ready(writing.as_mut().poll(cx))).await;
                    done = poll.is_ready();
                }
                match server.try_read(&mut buf) {
                    Ok(n) => reading.extend_from_slice(&buf[..n]),
                    Err(err) if err.kind() == io::ErrorKind::WouldBlock => yield_now().await,
                    Err(err) => panic!("{err}"),
                }
            }
            assert!(reading == data, "the bytes differ");
        });
    }
}

#[test]
fn write_all_of_two_tasks_do_not_interleave() {
    for network in STREAMS {
        run_threads(async {
            const LEN: usize = 1 << 20;
            let (client, server) = pair(network).await;
            let client = Arc::new(client);
            let writers = [b'a', b'b', b'c'].map(|byte| {
                let client = client.clone();
                spawn(async move { client.write_all(&vec![byte; LEN]).await })
            });
            let mut data = vec![0; 3 * LEN];
            server.read_exact(&mut data).await.unwrap();
            for chunk in data.chunks(LEN) {
                assert!(chunk.iter().all(|byte| *byte == chunk[0]), "interleaved");
            }
            for writer in writers {
                writer.await.unwrap().unwrap();
            }
        });
    }
}

#[test]
fn read_exact_at_early_end_reports_progress() {
    for network in STREAMS {
        run(async {
            let (client, server) = pair(network).await;
            client.write_all(b"abc").await.unwrap();
            drop(client);
            let mut buf = [0; 8];
            let err = server.read_exact(&mut buf).await.unwrap_err();
            assert_eq!(err.kind(), io::ErrorKind::UnexpectedEof);
            assert_eq!(error::received(&err), Some(3));
            assert_eq!(&buf[..3], b"abc");
            assert_well_formed(&err);
            assert!(err.to_string().ends_with(": unexpected EOF"), "{err}");
            server
                .read_exact(&mut [])
                .await
                .expect("nothing is there at once");
        });
    }
}

#[test]
fn peek_leaves_data_for_read() {
    for network in STREAMS {
        run(async {
            let (client, server) = pair(network).await;
            client.write_all(b"data").await.unwrap();
            let mut buf = [0; 8];
            for _ in 0..2 {
                assert_eq!(server.peek(&mut buf).await.unwrap(), 4);
            }
            assert_eq!(server.read(&mut buf[..2]).await.unwrap(), 2);
            assert_eq!(server.peek(&mut buf).await.unwrap(), 2);
            assert_eq!(server.read(&mut buf).await.unwrap(), 2);
            assert_eq!(&buf[..2], b"ta");
        });
    }
}

#[test]
fn vectored_io_keeps_order_beyond_the_kernel_limit() {
    for network in STREAMS {
        run_threads(async {
            let (client, server) = pair(network).await;
            let data: Vec<u8> = (0..10_000u32).map(|i| (i % 256) as u8).collect();
            let empty = std::iter::once(IoSlice::new(&[]));
            let mut slices: Vec<_> = empty.chain(data.chunks(3).map(IoSlice::new)).collect();
            assert!(slices.len() > 2 * 1024);
            client.write_all_vectored(&mut slices).await.unwrap();
            client
                .write_all_vectored(&mut [IoSlice::new(&[])])
                .await
                .unwrap();

            let (mut head, mut tail) = ([0; 100], vec![0; data.len()]);
            let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
            let got = server.read_vectored(&mut bufs).await.unwrap();
            assert!(got > 100, "fills the second buffer too");
            server
                .read_exact(&mut tail[got - 100..data.len() - 100])
                .await
                .unwrap();
            assert_eq!(head, data[..100]);
            assert_eq!(tail[..data.len() - 100], data[100..]);
            let len = client
                .write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"c")])
                .await
                .unwrap();
            assert_eq!(len, 3);
            let mut bufs: Vec<_> = (0..2000).map(|_| [0; 1]).collect();
            let mut many: Vec<_> = bufs.iter_mut().map(|buf| IoSliceMut::new(buf)).collect();
            assert_eq!(server.read_vectored(&mut many).await.unwrap(), 3);
        });
    }
}

#[test]
fn try_operations_never_wait() {
    for network in STREAMS {
        run(async {
            let (client, server) = pair(network).await;
            let mut buf = [0; 8];
            let err = server.try_read(&mut buf).unwrap_err();
            assert_eq!(err.kind(), io::ErrorKind::WouldBlock);
            let filled = fill(&client).await;
            assert!(filled > 0);
            server.readable().await.unwrap();
            assert_eq!(server.try_read(&mut buf).unwrap(), 8);
            assert_eq!(server.try_read(&mut []).unwrap(), 0);
        });
    }
}

#[test]
fn writable_waits_for_room() {
    for network in STREAMS {
        run(async {
            let (client, server) = pair(network).await;
            client.writable().await.unwrap();
            let mut filled = fill(&client).await;
            poll_pending(client.writable()).await;
            let mut buf = vec![0; 1 << 20];
            while filled > 0 {
                filled -= server.read(&mut buf).await.unwrap();
            }
            client.writable().await.unwrap();
        });
    }
}

#[test]
fn dropped_read_loses_no_byte() {
    for network in STREAMS {
        run(async {
            let (client, server) = pair(network).await;
            let mut buf = [0; 8];
            for byte in 0..50 {
                poll_pending(server.read(&mut buf)).await;
                client.write_all(&[byte]).await.unwrap();
                assert_eq!(server.read(&mut buf).await.unwrap(), 1);
                assert_eq!(buf[0], byte);
            }
        });
    }
}

#[test]
fn split_halves_work_at_the_same_time() {
    for network in STREAMS {
        run_threads(async {
            let (client, server) = pair(network).await;
            let (mut reading, mut writing) = server.into_split();
            let echo = spawn(async move {
                let mut buf = [0; 4096];
                loop {
                    match reading.read(&mut buf).await? {
                        0 => break,
                        len => writing.write_all(&buf[..len]).await?,
                    }
                }
                writing.shutdown()?;
                io::Result::Ok(reading.reunite(writing).expect("the same connection"))
            });
            let data = vec![9; 8 << 20];
            let (mut down, mut up) = client.split();
            let sender = async {
                up.write_all(&data).await.unwrap();
                up.shutdown().unwrap();
            };
            let receiver = async {
                let mut back = vec![0; data.len()];
                down.read_exact(&mut back).await.unwrap();
                assert_eq!(down.read(&mut [0; 1]).await.unwrap(), 0);
                assert!(back == data);
            };
            join(sender, receiver).await;
            echo.await.unwrap().unwrap();
        });
    }
}

/// Runs two futures to their ends.
async fn join(left: impl Future<Output = ()>, right: impl Future<Output = ()>) {
    let (mut left, mut right) = (pin!(left), pin!(right));
    let (mut left_done, mut right_done) = (false, false);
    poll_fn(|cx| {
        left_done = left_done || left.as_mut().poll(cx).is_ready();
        right_done = right_done || right.as_mut().poll(cx).is_ready();
        if left_done && right_done {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[test]
fn owned_write_half_dropped_does_not_end_the_stream() {
    run(async {
        let (left, right) = UnixStream::pair().unwrap();
        let (reading, writing) = left.into_split();
        drop(writing);
        poll_pending(right.read(&mut [0; 1])).await;
        drop(reading);
        assert_eq!(
            right.read(&mut [0; 1]).await.unwrap(),
            0,
            "closed with the last half"
        );
    });
}

#[test]
fn unix_read_after_passed_descriptor_sees_the_rest() {
    // A Unix stream stops a read short where descriptors were attached; that is no proof of an
    // empty queue.
    run(async {
        let (left, right) = UnixStream::pair().unwrap();
        let mut buf = [0; 64];
        poll_pending(right.read(&mut buf)).await;
        left.write_all(b"first").await.unwrap();
        send_with_descriptor(&left, b"second");
        left.write_all(b"third").await.unwrap();
        let mut got = Vec::new();
        while got.len() < 16 {
            let len = right.read(&mut buf).await.unwrap();
            got.extend_from_slice(&buf[..len]);
        }
        assert_eq!(got, b"firstsecondthird");
    });
}

/// Sends `data` with a descriptor attached.
fn send_with_descriptor(conn: &UnixStream, data: &[u8]) {
    use std::os::fd::{AsFd, AsRawFd};
    // A control message: length, level SOL_SOCKET, type SCM_RIGHTS, one descriptor, padded to eight
    // bytes.
    let mut control = Vec::new();
    control.extend_from_slice(&20u64.to_ne_bytes());
    control.extend_from_slice(&1i32.to_ne_bytes());
    control.extend_from_slice(&1i32.to_ne_bytes());
    control.extend_from_slice(&conn.as_fd().as_raw_fd().to_ne_bytes());
    control.extend_from_slice(&[0; 4]);
    let bufs = [IoSlice::new(data)];
    gannet_sys::message::send_msg(conn.as_fd(), &bufs, &control, None).expect("a message");
}

#[test]
fn options_read_back_what_was_set() {
    run(async {
        let (client, server) = pair("tcp").await;
        let (client, server) = (
            TcpStream::try_from(client).unwrap(),
            TcpStream::try_from(server).unwrap(),
        );
        for stream in [&client, &server] {
            assert!(stream.nodelay().unwrap(), "on from the start");
            stream.set_nodelay(false).unwrap();
            assert!(!stream.nodelay().unwrap());

            assert_eq!(stream.keep_alive().unwrap(), Some(Default::default()));
            stream.set_keep_alive(None).unwrap();
            assert_eq!(stream.keep_alive().unwrap(), None);

            assert_eq!(stream.linger().unwrap(), None);
            stream.set_linger(Some(Duration::from_secs(3))).unwrap();
            assert_eq!(stream.linger().unwrap(), Some(Duration::from_secs(3)));
            stream.set_linger(None).unwrap();

            assert_ne!(stream.ttl().unwrap(), 9);
            stream.set_ttl(9).unwrap();
            assert_eq!(stream.ttl().unwrap(), 9);
            assert_eq!(
                raw_os_error(&stream.set_ttl(256).unwrap_err()),
                Some(errno::EINVAL)
            );

            assert_ne!(stream.tos().unwrap(), 0x10);
            stream.set_tos(0x10).unwrap();
            assert_eq!(stream.tos().unwrap(), 0x10);

            let before = stream.recv_buffer_size().unwrap();
            stream.set_recv_buffer_size(before * 2).unwrap();
            assert_ne!(stream.recv_buffer_size().unwrap(), before);
            let before = stream.send_buffer_size().unwrap();
            stream.set_send_buffer_size(before / 4).unwrap();
            assert_ne!(stream.send_buffer_size().unwrap(), before);
        }
        let debug = format!("{client:?}");
        assert!(
            debug.starts_with("TcpStream { network: tcp, local: 127.0.0.1:"),
            "{debug}"
        );
        assert!(debug.ends_with(", closed: false }"), "{debug}");
    });
}
