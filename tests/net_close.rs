//! Closing and shutting down sockets: what Go's own tests check, and who is woken.

mod support;

use std::future::poll_fn;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use gannet::net::error::{self, Op};
use gannet::net::{ListenConfig, dial, listen_packet, listen_stream};
use gannet::{spawn, time, yield_now};

use support::net::{
    PACKETS, STREAMS, any_address, assert_closed, assert_well_formed, error_of, fill, on_both,
    packet_pair, spawn_blocked, stream_pair,
};

/// How long anything may take that should be there at once.
const LIMIT: Duration = Duration::from_secs(10);

/// Go: TestClosingListener.
#[test]
fn close_of_a_listener_frees_its_address_before_it_returns() {
    on_both(|| async {
        for network in ["tcp4", "tcp6"] {
            let listener = Arc::new(listen_stream(network, any_address(network)).await.unwrap());
            let addr = listener.local_addr().unwrap();
            let accepting = listener.clone();
            let accepts = spawn(async move { while accepting.accept().await.is_ok() {} });
            // Accepted once, so that the loop is known to run.
            dial(network, &addr).await.unwrap();
            listener.close().await.unwrap();
            let again = listen_stream(network, &addr).await;
            again.unwrap_or_else(|err| panic!("the address is not free: {err}"));
            accepts.await.unwrap();
        }
    });
}

#[test]
fn close_of_a_unix_listener_removes_its_file_at_once() {
    on_both(|| async {
        let dir = support::TempDir::new();
        let path = dir.file("s");
        for _ in 0..2 {
            let listener = listen_stream("unix", &path)
                .await
                .expect("the name is free");
            assert!(std::path::Path::new(&path).exists());
            drop(listener.close());
            assert!(
                !std::path::Path::new(&path).exists(),
                "not awaited, but called"
            );
        }
    });
}

/// Go: TestCloseRead.
#[test]
fn read_after_shutdown_of_reading_ends() {
    on_both(|| async {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            client.shutdown(Shutdown::Read).unwrap();
            assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0, "{network}");
            client
                .write_all(b"x")
                .await
                .expect("the other direction goes on");
            assert_eq!(server.read(&mut [0; 16]).await.unwrap(), 1);
        }
    });
}

/// Go: TestCloseWrite.
#[test]
fn shutdown_of_writing_ends_the_peers_reading_and_later_writes() {
    on_both(|| async {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            let mut buf = [0; 16];
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(server.read(&mut buf).await.unwrap(), 0);
            server.shutdown(Shutdown::Write).unwrap();
            assert_well_formed(&error_of(server.write(b"x").await));
            assert_eq!(client.read(&mut buf).await.unwrap(), 0);
            let err = error_of(client.write(b"x").await);
            assert_well_formed(&err);
            assert_eq!(
                err.kind(),
                std::io::ErrorKind::BrokenPipe,
                "no signal either"
            );
        }
    });
}

/// Go: TestConnClose.
#[test]
fn every_operation_after_close_fails_as_closed() {
    on_both(|| async {
        for network in STREAMS {
            let (client, _server) = stream_pair(network).await;
            client.close().await.unwrap();
            let mut buf = [0; 16];
            assert_closed(&error_of(client.read(&mut buf).await));
            assert_closed(&error_of(client.read(&mut []).await));
            assert_closed(&error_of(client.read_exact(&mut buf).await));
            assert_closed(&error_of(client.peek(&mut buf).await));
            assert_closed(&error_of(client.try_read(&mut buf)));
            assert_closed(&error_of(client.readable().await));
            assert_closed(&error_of(client.write(b"x").await));
            assert_closed(&error_of(client.write(b"").await));
            assert_closed(&error_of(client.write_all(b"x").await));
            assert_closed(&error_of(client.try_write(b"x")));
            assert_closed(&error_of(client.writable().await));
            assert_closed(&error_of(client.shutdown(Shutdown::Both)));
            assert_closed(&error_of(client.set_deadline(None)));
            assert_closed(&error_of(client.set_read_deadline(None)));
            assert_closed(&error_of(client.set_write_deadline(None)));
            assert_closed(&error_of(client.recv_buffer_size()));
            assert_closed(&error_of(client.close().await));
            client.local_addr().expect("still known");
            client.peer_addr().expect("still known");
        }
    });
}

/// Go: TestPacketConnClose.
#[test]
fn every_packet_operation_after_close_fails_as_closed() {
    on_both(|| async {
        for network in PACKETS {
            let (socket, peer) = packet_pair(network).await;
            let to = peer.local_addr().unwrap();
            socket.close().await.unwrap();
            let mut buf = [0; 16];
            assert_closed(&error_of(socket.recv_from(&mut buf).await));
            assert_closed(&error_of(socket.peek_from(&mut buf).await));
            assert_closed(&error_of(socket.recv(&mut buf).await));
            assert_closed(&error_of(socket.try_recv_from(&mut buf)));
            assert_closed(&error_of(socket.readable().await));
            assert_closed(&error_of(socket.send_to(b"x", &to).await));
            assert_closed(&error_of(socket.send(b"x").await));
            assert_closed(&error_of(socket.writable().await));
            assert_closed(&error_of(socket.close().await));
        }
    });
}

/// Go: TestCloseUnblocksReadUDP.
#[test]
fn recv_from_into_nothing_blocks_until_close() {
    on_both(|| async {
        for network in PACKETS {
            let socket = Arc::new(listen_packet(network, any_address(network)).await.unwrap());
            let receiver = socket.clone();
            // There is no shortcut for an empty buffer.
            let receive = spawn_blocked(async move { receiver.recv_from(&mut []).await }).await;
            socket.close().await.unwrap();
            assert_closed(&error_of(receive.await.unwrap()));
        }
    });
}

/// Go: TestCloseError.
#[test]
fn close_and_shutdown_again_fail_as_closed_or_not_at_all() {
    on_both(|| async {
        let listener = listen_stream("tcp", "127.0.0.1:0").await.unwrap();
        let conn = dial("tcp", listener.local_addr().unwrap()).await.unwrap();
        for how in [Shutdown::Read, Shutdown::Write] {
            for _ in 0..3 {
                if let Err(err) = conn.shutdown(how) {
                    assert_well_formed(&err);
                }
            }
        }
        conn.close().await.unwrap();
        listener.close().await.unwrap();
        let packet = listen_packet("udp", "127.0.0.1:0").await.unwrap();
        packet.close().await.unwrap();
        for _ in 0..2 {
            assert_closed(&error_of(conn.close().await));
            assert_closed(&error_of(listener.close().await));
            assert_closed(&error_of(packet.close().await));
        }
    });
}

/// Go: TestTCPListenAfterClose.
#[test]
fn accept_after_close_never_returns_a_queued_connection() {
    on_both(|| async {
        for network in STREAMS {
            let listener = listen_stream(network, any_address(network)).await.unwrap();
            let addr = listener.local_addr().unwrap();
            let _dialled = (
                dial(network, &addr).await.unwrap(),
                dial(network, &addr).await.unwrap(),
            );
            listener.accept().await.unwrap();
            listener.close().await.unwrap();
            let err = error_of(listener.accept().await);
            assert_closed(&err);
            assert_eq!(error::op_error(&err).unwrap().op, Op::Accept);
            assert_closed(&error_of(listener.readable().await));
        }
    });
}

#[test]
fn close_wakes_everyone_who_waits_on_a_connection() {
    on_both(|| async {
        for network in STREAMS {
            let (client, _server) = stream_pair(network).await;
            fill(&client).await;
            let client = Arc::new(client);
            let mut readers = Vec::new();
            let mut writers = Vec::new();
            // The first of each waits for the kernel, the others for the first.
            for _ in 0..4 {
                let (reader, writer) = (client.clone(), client.clone());
                let read = async move { reader.read(&mut [0; 8]).await };
                readers.push(spawn_blocked(read).await);
                let write = async move { writer.write_all(&vec![b'x'; 32_000_000]).await };
                writers.push(spawn_blocked(write).await);
            }
            client.close().await.unwrap();
            for reader in readers {
                assert_closed(&error_of(reader.await.unwrap()));
            }
            for writer in writers {
                let err = error_of(writer.await.unwrap());
                assert_closed(&err);
                assert!(error::written(&err).is_some(), "it tells how much was sent");
            }
        }
    });
}

#[test]
fn close_wakes_everyone_who_accepts() {
    on_both(|| async {
        for network in STREAMS {
            let listener = Arc::new(listen_stream(network, any_address(network)).await.unwrap());
            let mut accepts = Vec::new();
            for _ in 0..4 {
                let acceptor = listener.clone();
                let accept = async move { acceptor.accept().await.map(drop) };
                accepts.push(spawn_blocked(accept).await);
            }
            listener.close().await.unwrap();
            for accept in accepts {
                assert_closed(&error_of(accept.await.unwrap()));
            }
        }
    });
}

/// The peer learns of a close when its future is ready, not only of the last drop.
#[test]
fn close_ends_the_peers_reading_while_handles_are_left() {
    on_both(|| async {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            let client = Arc::new(client);
            let other = client.clone();
            client.close().await.unwrap();
            assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
            assert!(other.is_closed());
        }
    });
}

#[test]
fn close_with_unread_data_resets_the_peer() {
    on_both(|| async {
        let (client, server) = stream_pair("tcp4").await;
        server.write_all(b"never read").await.unwrap();
        client.readable().await.unwrap();
        client.close().await.unwrap();
        let err = error_of(server.read(&mut [0; 8]).await);
        assert_well_formed(&err);
        assert_eq!(err.kind(), std::io::ErrorKind::ConnectionReset);
        // Catalogue, row 62: writing to a peer that is gone is an error, not a signal.
        assert_eq!(
            error_of(server.write(b"x").await).kind(),
            std::io::ErrorKind::BrokenPipe
        );
        server
            .shutdown(Shutdown::Both)
            .expect("nothing is left to shut down");
    });
}

/// Halves close once, after the last.
#[test]
fn connection_closes_with_its_last_half() {
    on_both(|| async {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            let (reading, mut writing) = client.into_split();
            drop(reading);
            writing.write_all(b"x").await.expect("one half is left");
            assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 1);
            drop(writing);
            assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        }
    });
}

/// Catalogue, row 66: a late operation must not reach whoever has the number next.
#[test]
fn close_racing_operations_never_touches_another_socket() {
    on_both(|| async {
        let config = ListenConfig::new();
        let listener = config.listen_stream("tcp4", "127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        for _ in 0..200 {
            let client = Arc::new(dial("tcp4", &addr).await.unwrap());
            let (server, _) = listener.accept().await.unwrap();
            let writer = client.clone();
            let writing = spawn(async move {
                while writer.write(b"old").await.is_ok() {
                    yield_now().await;
                }
            });
            let closer = client.clone();
            let closing = spawn(async move { closer.close().await });
            // Takes the lowest number that is free, which is the closed one's if it is too early.
            let fresh = dial("tcp4", &addr).await.unwrap();
            let (peer, _) = listener.accept().await.unwrap();
            closing.await.unwrap().unwrap();
            writing.await.unwrap();
            drop((client, server));
            fresh.write_all(b"new").await.unwrap();
            drop(fresh);
            let mut all = Vec::new();
            let mut buf = [0; 64];
            while let len @ 1.. = peer.read(&mut buf).await.unwrap() {
                all.extend_from_slice(&buf[..len]);
            }
            assert_eq!(all, b"new");
        }
    });
}

/// Closing while the runtime's other worker is busy with the socket ends, and soon.
#[test]
fn close_racing_reads_and_writes_ends_them_all() {
    on_both(|| async {
        for _ in 0..100 {
            let (client, server) = stream_pair("tcp4").await;
            let client = Arc::new(client);
            let reader = client.clone();
            let reading = spawn(async move {
                let mut buf = [0; 512];
                loop {
                    if let Err(err) = reader.read(&mut buf).await {
                        return err;
                    }
                }
            });
            let echo = spawn(async move {
                let mut buf = [0; 512];
                while let Ok(len @ 1..) = server.read(&mut buf).await {
                    if server.write_all(&buf[..len]).await.is_err() {
                        return;
                    }
                }
            });
            for _ in 0..5 {
                client.write_all(&[b'x'; 100]).await.unwrap();
            }
            client.close().await.unwrap();
            assert_closed(&reading.await.unwrap());
            gannet::time::timeout(Duration::from_secs(20), echo)
                .await
                .unwrap()
                .unwrap();
        }
    });
}

/// A future that was polled and is kept holds up nobody: neither a close, when it has to come again for
/// want of budget, nor the next write, once it has failed.
#[test]
fn kept_futures_hold_up_neither_close_nor_the_next_write() {
    on_both(|| async {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            client.set_write_deadline(Some(time::now())).unwrap();
            {
                let mut failed = pin!(client.write(b"x"));
                assert!(error::is_deadline(&failed.as_mut().await.unwrap_err()));
                client.set_write_deadline(None).unwrap();
                let next = time::timeout(LIMIT, client.write(b"y")).await;
                next.expect("it keeps no lock").unwrap();
            }

            let kept = spawn(async move {
                // More operations in one poll than any budget grants.
                for written in 0..1000 {
                    let mut write = pin!(client.write(b"z"));
                    if poll_once(write.as_mut()).await.is_pending() {
                        time::timeout(LIMIT, client.close())
                            .await
                            .expect("it keeps no reference")
                            .unwrap();
                        return written;
                    }
                }
                panic!("the budget is without end");
            });
            assert!(kept.await.unwrap() > 0);
            drop(server);
        }
    });
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}
