//! Deadlines of sockets: what Go's own tests check of them, and what moves under a blocked call.
//!
//! Each test names the Go test whose behaviour it holds. Lower bounds are exact: nothing times out
//! early. Upper bounds are those of the watchdog, except where time is the subject.

mod support;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gannet::net::error::{self, Op};
use gannet::net::{Dialer, dial, listen_stream};
use gannet::{Builder, spawn, time};

use support::net::{
    PACKETS, STREAMS, after, any_address, assert_deadline, assert_well_formed, black_hole,
    connected_packets, error_of, fill, on_both, packet_pair, past, poll_once, spawn_blocked,
    stream_pair,
};
use support::watchdog::Watchdog;

const MS: Duration = Duration::from_millis(1);

/// Go: TestDialTimeout.
#[test]
fn dial_with_a_short_limit_times_out_and_not_before() {
    on_both(|| async {
        let (listener, _queued) = black_hole().await;
        let addr = listener.local_addr().unwrap();
        let s = Duration::from_secs;
        for (timeout, deadline) in [
            (Some(Duration::ZERO), None),
            (None, past()),
            (Some(Duration::ZERO), after(s(5))),
            (Some(Duration::from_nanos(1)), None),
            (None, after(Duration::from_nanos(1))),
            (Some(MS), None),
            (None, after(MS)),
            (Some(MS), after(s(5))),
            (Some(30 * MS), None),
        ] {
            let start = Instant::now();
            let dialer = Dialer::new().timeout(timeout).deadline(deadline);
            let err = error_of(dialer.dial("tcp4", &addr).await);
            assert_deadline(&err);
            assert_eq!(error::op_error(&err).unwrap().op, Op::Dial);
            let early = timeout.is_some_and(|timeout| start.elapsed() < timeout);
            assert!(!early, "{timeout:?} was over after {:?}", start.elapsed());
        }
    });
}

/// Go: TestDialTimeoutMaxDuration.
#[test]
fn dial_with_endless_limits_succeeds() {
    on_both(|| async {
        let listener = listen_stream("tcp", "127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let century = Instant::now().checked_add(Duration::from_secs(100 * 366 * 86_400));
        for (timeout, deadline) in [
            (Some(Duration::MAX), None),
            (None, century),
            (Some(Duration::MAX), century),
        ] {
            let dialer = Dialer::new().timeout(timeout).deadline(deadline);
            let conn = dialer.dial("tcp", &addr).await.expect("nothing overflows");
            conn.set_deadline(century).expect("nor here");
        }
    });
}

/// Go: TestReadTimeoutUnblocksRead.
#[test]
fn read_deadline_moved_to_the_past_unblocks_a_read() {
    on_both(|| async {
        for network in STREAMS {
            let (client, _server) = stream_pair(network).await;
            let client = Arc::new(client);
            let reader = client.clone();
            let read = spawn_blocked(async move { reader.read(&mut [0; 1]).await }).await;
            client.set_read_deadline(past()).unwrap();
            assert_deadline(&error_of(read.await.unwrap()));
        }
    });
}

#[test]
fn write_deadline_moved_to_the_past_unblocks_a_write() {
    on_both(|| async {
        for network in STREAMS {
            let (client, _server) = stream_pair(network).await;
            let client = Arc::new(client);
            fill(&client).await;
            let writer = client.clone();
            // More than any room that the kernel finds on second thoughts.
            let block = vec![b'x'; 32_000_000];
            let write = spawn_blocked(async move { writer.write_all(&block).await }).await;
            client.set_write_deadline(past()).unwrap();
            assert_deadline(&error_of(write.await.unwrap()));
        }
    });
}

#[test]
fn read_deadline_moved_to_the_past_unblocks_accept_and_recv_from() {
    on_both(|| async {
        for network in STREAMS {
            let listener = Arc::new(listen_stream(network, any_address(network)).await.unwrap());
            let acceptor = listener.clone();
            let accept = spawn_blocked(async move { acceptor.accept().await }).await;
            listener.set_read_deadline(past()).unwrap();
            assert_deadline(&error_of(accept.await.unwrap()));
        }
        for network in PACKETS {
            let socket = Arc::new(packet_pair(network).await.0);
            let receiver = socket.clone();
            let receive = spawn_blocked(async move { receiver.recv_from(&mut [0; 1]).await }).await;
            socket.set_read_deadline(past()).unwrap();
            assert_deadline(&error_of(receive.await.unwrap()));
        }
    });
}

#[test]
fn read_deadline_moved_earlier_ends_a_blocked_read_by_the_earlier() {
    on_both(|| async {
        let (client, _server) = stream_pair("tcp4").await;
        let client = Arc::new(client);
        client
            .set_read_deadline(after(Duration::from_secs(3600)))
            .unwrap();
        let reader = client.clone();
        let read = spawn_blocked(async move { reader.read(&mut [0; 1]).await }).await;
        let deadline = Instant::now() + 20 * MS;
        client.set_read_deadline(Some(deadline)).unwrap();
        assert_deadline(&error_of(read.await.unwrap()));
        assert!(Instant::now() >= deadline, "early");
    });
}

#[test]
fn read_deadline_moved_later_or_cleared_leaves_a_read_blocked() {
    on_both(|| async {
        for later in [after(Duration::from_secs(3600)), None] {
            let (client, server) = stream_pair("tcp4").await;
            let first = Instant::now() + 20 * MS;
            client.set_read_deadline(Some(first)).unwrap();
            let mut buf = [0; 1];
            let mut read = pin!(client.read(&mut buf));
            assert!(poll_once(&mut read).await.is_pending());
            client.set_read_deadline(later).unwrap();
            // Past the first deadline, which must have been forgotten.
            let waited = time::timeout_at(first + 50 * MS, read.as_mut()).await;
            assert!(waited.is_err(), "{later:?}: {waited:?}");
            server.write_all(b"x").await.unwrap();
            assert_eq!(read.await.unwrap(), 1);
        }
    });
}

/// Go: TestAcceptTimeout.
#[test]
fn accept_after_its_deadline_times_out_even_with_a_peer() {
    on_both(|| async {
        for network in ["tcp4", "tcp6", "unix"] {
            let listener = listen_stream(network, any_address(network)).await.unwrap();
            let addr = listener.local_addr().unwrap();
            let _waiting = dial(network, &addr).await.unwrap();
            for deadline in [past(), after(10 * MS)] {
                listener.set_read_deadline(deadline).unwrap();
                time::sleep_until(deadline.unwrap() + MS).await;
                let err = error_of(listener.accept().await);
                assert_deadline(&err);
                assert_eq!(error::op_error(&err).unwrap().op, Op::Accept);
            }
            listener.set_deadline(None).unwrap();
            listener.accept().await.expect("the peer is still there");
        }
    });
}

/// Go: TestAcceptTimeoutMustReturn.
#[test]
fn accept_blocked_at_its_deadline_times_out() {
    on_both(|| async {
        let listener = listen_stream("tcp", "127.0.0.1:0").await.unwrap();
        listener.set_deadline(None).unwrap();
        let deadline = after(10 * MS);
        listener.set_deadline(deadline).unwrap();
        assert_deadline(&error_of(listener.accept().await));
        assert!(Instant::now() >= deadline.unwrap(), "early");
    });
}

/// Go: TestReadTimeout, and `ReadTimeout` of nettest.
#[test]
fn read_after_its_deadline_times_out_even_with_data() {
    on_both(|| async {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            server.write_all(b"READ TIMEOUT TEST").await.unwrap();
            client.readable().await.unwrap();
            let mut buf = [0; 4];
            client.set_read_deadline(past()).unwrap();
            for _ in 0..2 {
                assert_deadline(&error_of(client.read(&mut buf).await));
                assert_deadline(&error_of(client.peek(&mut buf).await));
                assert_deadline(&error_of(client.readable().await));
                assert_deadline(&error_of(client.try_read(&mut buf)));
            }
            client
                .write_all(b"still writes")
                .await
                .expect("the other direction has none");
            client.set_read_deadline(after(50 * MS)).unwrap();
            let deadline = Instant::now() + 49 * MS;
            let mut received = Vec::new();
            let err = loop {
                match client.read(&mut buf).await {
                    Ok(len) => received.extend_from_slice(&buf[..len]),
                    Err(err) => break err,
                }
            };
            assert_deadline(&err);
            assert!(Instant::now() >= deadline, "early");
            assert_eq!(
                received, b"READ TIMEOUT TEST",
                "nothing was lost to the deadlines"
            );
        }
    });
}

/// Go: TestReadTimeoutMustNotReturn.
#[test]
fn read_with_its_deadline_cleared_blocks_until_close() {
    on_both(|| async {
        let (client, _server) = stream_pair("tcp4").await;
        let client = Arc::new(client);
        client.set_deadline(past()).unwrap();
        client.set_write_deadline(past()).unwrap();
        client.set_read_deadline(None).unwrap();
        let reader = client.clone();
        let read = spawn_blocked(async move { reader.read(&mut [0; 1]).await }).await;
        time::sleep(100 * MS).await;
        assert!(!read.is_finished(), "it returned");
        client.close().await.unwrap();
        let err = error_of(read.await.unwrap());
        assert!(
            !error::is_timeout(&err) && !error::is_temporary(&err),
            "{err}"
        );
        assert_well_formed(&err);
    });
}

/// Go: TestReadFromTimeout.
#[test]
fn recv_from_after_its_deadline_times_out_even_with_a_datagram() {
    on_both(|| async {
        for network in PACKETS {
            let (receiver, sender) = packet_pair(network).await;
            sender
                .send_to(b"datagram", &receiver.local_addr().unwrap())
                .await
                .unwrap();
            receiver.readable().await.unwrap();
            let mut buf = [0; 16];
            receiver.set_read_deadline(past()).unwrap();
            for _ in 0..2 {
                assert_deadline(&error_of(receiver.recv_from(&mut buf).await));
                assert_deadline(&error_of(receiver.peek_from(&mut buf).await));
                assert_deadline(&error_of(receiver.recv(&mut buf).await));
                assert_deadline(&error_of(receiver.try_recv_from(&mut buf)));
            }
            receiver.set_read_deadline(after(30 * MS)).unwrap();
            assert_eq!(receiver.recv_from(&mut buf).await.unwrap().0, 8);
            assert_deadline(&error_of(receiver.recv_from(&mut buf).await));
        }
    });
}

/// Go: TestWriteTimeout.
#[test]
fn write_after_its_deadline_times_out_even_with_room() {
    on_both(|| async {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            client.set_write_deadline(past()).unwrap();
            for _ in 0..2 {
                assert_deadline(&error_of(client.write(b"x").await));
                let err = error_of(client.write_all(b"x").await);
                assert_deadline(&err);
                assert_eq!(error::written(&err), Some(0));
                assert_deadline(&error_of(client.writable().await));
                assert_deadline(&error_of(client.try_write(b"x")));
            }
            let deadline = Instant::now() + 10 * MS;
            client.set_write_deadline(Some(deadline)).unwrap();
            let mut written = 0;
            let err = loop {
                match client.write(&[b'x'; 4096]).await {
                    Ok(len) => written += len,
                    Err(err) => break err,
                }
            };
            assert_deadline(&err);
            assert!(Instant::now() >= deadline, "early");
            assert_deadline(&error_of(client.write(b"x").await));
            client.close().await.unwrap();
            let mut received = 0;
            let mut buf = vec![0; 65_536];
            while let Ok(len @ 1..) = server.read(&mut buf).await {
                received += len;
            }
            assert_eq!(received, written, "what was written, and no more, arrives");
        }
    });
}

/// Go: TestWriteToTimeout.
#[test]
fn send_to_after_its_deadline_times_out() {
    on_both(|| async {
        for network in PACKETS {
            let (sender, receiver) = packet_pair(network).await;
            let to = receiver.local_addr().unwrap();
            for deadline in [past(), after(10 * MS)] {
                sender.set_write_deadline(deadline).unwrap();
                time::sleep_until(deadline.unwrap() + MS).await;
                for _ in 0..2 {
                    assert_deadline(&error_of(sender.send_to(b"x", &to).await));
                }
            }
            sender.set_write_deadline(None).unwrap();
            sender.send_to(b"only", &to).await.unwrap();
            let mut buf = [0; 16];
            assert_eq!(
                receiver.recv_from(&mut buf).await.unwrap().0,
                4,
                "the others were not sent"
            );
        }
    });
}

/// How long a deadline may take in all, and how far beyond it may be: a tenth, as in Go. A machine
/// that is busy gets another, longer, try.
async fn fluctuation<F: Future<Output = io::Error>>(operation: impl Fn(Instant) -> F) {
    let mut timeout = MS;
    loop {
        let start = Instant::now();
        let deadline = start + timeout;
        assert_deadline(&operation(deadline).await);
        let actual = start.elapsed();
        assert!(
            Instant::now() >= deadline,
            "{timeout:?} was over after {actual:?}"
        );
        if actual <= timeout * 11 / 10 {
            return;
        }
        timeout = actual * 5 / 4;
        assert!(
            timeout <= Duration::from_secs(4),
            "a deadline took {actual:?}"
        );
    }
}

/// Go: TestReadTimeoutFluctuation.
#[test]
fn read_deadline_is_met_within_a_tenth() {
    on_both(|| async {
        for network in STREAMS {
            let (client, _server) = stream_pair(network).await;
            let client = &client;
            fluctuation(|deadline| async move {
                client.set_read_deadline(Some(deadline)).unwrap();
                error_of(client.read(&mut [0; 256]).await)
            })
            .await;
        }
    });
}

/// Go: TestReadFromTimeoutFluctuation.
#[test]
fn recv_deadline_of_a_connected_socket_is_met_within_a_tenth() {
    on_both(|| async {
        for network in PACKETS {
            let (_client, server) = connected_packets(network).await;
            let server = &server;
            fluctuation(|deadline| async move {
                server.set_read_deadline(Some(deadline)).unwrap();
                error_of(server.recv_from(&mut [0; 256]).await)
            })
            .await;
        }
    });
}

/// Go: TestWriteTimeoutFluctuation.
#[test]
fn write_deadline_is_met_within_a_tenth() {
    on_both(|| async {
        for network in STREAMS {
            let (client, _server) = stream_pair(network).await;
            fill(&client).await;
            let client = &client;
            fluctuation(|deadline| async move {
                loop {
                    client.set_write_deadline(Some(deadline)).unwrap();
                    // Until the kernel has stopped finding room.
                    if let Err(err) = client.write(&[b'x'; 1024]).await {
                        return err;
                    }
                }
            })
            .await;
        }
    });
}

/// Reads what comes without end, under deadlines of every size.
async fn various_deadlines() {
    let listener = listen_stream("tcp", "127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = spawn(async move {
        while let Ok((conn, _)) = listener.accept().await {
            spawn(async move { while conn.write(&[b'a'; 8192]).await.is_ok() {} });
        }
    });
    let us = Duration::from_micros;
    let nanos = [1, 2, 5, 50, 100, 200, 500, 750].map(Duration::from_nanos);
    let micros = [1, 5, 25, 250, 500].map(us);
    let millis = [1, 5, 100, 250, 500].map(Duration::from_millis);
    for timeout in nanos.into_iter().chain(micros).chain(millis) {
        for _ in 0..if timeout < 5 * MS { 3 } else { 1 } {
            let conn = dial("tcp", &addr).await.unwrap();
            let start = Instant::now();
            conn.set_deadline(Some(start + timeout)).unwrap();
            let mut buf = vec![0; 65_536];
            let err = loop {
                if let Err(err) = conn.read(&mut buf).await {
                    break err;
                }
            };
            assert_deadline(&err);
            assert!(start.elapsed() >= timeout, "{timeout:?} was early");
        }
    }
    server.abort();
}

/// Go: TestVariousDeadlines1Proc.
#[test]
fn deadlines_of_every_size_end_reads_on_one_thread() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(various_deadlines());
}

/// Go: TestVariousDeadlines4Proc.
#[test]
fn deadlines_of_every_size_end_reads_on_four_threads() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let runtime = Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    runtime.block_on(various_deadlines());
}

/// Go: TestReadWriteProlongedTimeout.
#[test]
fn deadlines_set_before_each_byte_never_expire() {
    on_both(|| async {
        let (client, server) = stream_pair("tcp4").await;
        let server = Arc::new(server);
        let hour = Duration::from_secs(3600);
        let reader = server.clone();
        let reading = spawn(async move {
            loop {
                reader
                    .set_read_deadline(after(hour))
                    .expect("a live connection");
                if reader.read(&mut [0]).await.expect("no timeout") == 0 {
                    return;
                }
            }
        });
        let writing = spawn(async move {
            for _ in 0..1000 {
                server
                    .set_write_deadline(after(hour))
                    .expect("a live connection");
                server.write_all(b"s").await.expect("no timeout");
            }
        });
        for _ in 0..1000 {
            client.write_all(b"c").await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
        }
        client.shutdown(std::net::Shutdown::Write).unwrap();
        reading.await.unwrap();
        writing.await.unwrap();
    });
}

/// Go: TestReadWriteDeadlineRace.
#[test]
fn deadlines_racing_reads_and_writes_give_well_formed_errors() {
    on_both(|| async {
        let (client, _server) = stream_pair("tcp4").await;
        let client = Arc::new(client);
        let setter = client.clone();
        let setting = spawn(async move {
            for _ in 0..1000 {
                let deadline = after(Duration::from_micros(2));
                setter.set_read_deadline(deadline).unwrap();
                setter.set_write_deadline(deadline).unwrap();
                gannet::yield_now().await;
            }
        });
        let reader = client.clone();
        let reading = spawn(async move {
            for _ in 0..1000 {
                assert_well_formed(&error_of(reader.read(&mut [0]).await));
                gannet::yield_now().await;
            }
        });
        let writing = spawn(async move {
            for _ in 0..1000 {
                if let Err(err) = client.write(b"x").await {
                    assert_well_formed(&err);
                }
                gannet::yield_now().await;
            }
        });
        setting.await.unwrap();
        reading.await.unwrap();
        writing.await.unwrap();
    });
}

/// A deadline in the middle of many bytes tells how many were moved, and they go on from there.
#[test]
fn write_all_and_read_exact_go_on_after_a_deadline() {
    on_both(|| async {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            let data: Vec<u8> = (0..32_000_000u32).map(|i| (i % 251) as u8).collect();
            client.set_write_deadline(after(5 * MS)).unwrap();
            let err = error_of(client.write_all(&data).await);
            assert_deadline(&err);
            let written = error::written(&err).expect("a count");
            assert!(written < data.len(), "no socket holds that much");

            // More than has been sent, so that this deadline falls into the middle as well; late
            // enough for what has been.
            let mut buf = vec![0; data.len()];
            server.set_read_deadline(after(200 * MS)).unwrap();
            let err = error_of(server.read_exact(&mut buf).await);
            assert_deadline(&err);
            let received = error::received(&err).expect("a count");
            assert_eq!(received, written);

            client.set_write_deadline(None).unwrap();
            server.set_read_deadline(None).unwrap();
            let rest = data.clone();
            let writing = spawn(async move { client.write_all(&rest[written..]).await });
            server.read_exact(&mut buf[received..]).await.unwrap();
            writing.await.unwrap().unwrap();
            assert!(buf == data, "the stream is whole");
        }
    });
}
