use std::future::Future;
use std::io;
use std::time::Duration;

use gannet_runtime::{AsyncFd, Builder, spawn, time};

use super::*;
use crate::error;
use crate::{TcpListener, TcpStream, UnixStream};

/// More than pipes and socket buffers hold together.
const LONG: usize = 8 << 20;

fn block_on<R>(future: impl Future<Output = R>) -> R {
    let runtime = Builder::new_multi_thread().worker_threads(2).build();
    runtime.unwrap().block_on(future)
}

/// Bytes that repeat late, and with a period that no page or buffer has.
pub(super) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 65521 % 251) as u8).collect()
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Family {
    Tcp,
    Unix,
}

/// Two ends of a connection.
pub(super) async fn pair(family: Family) -> (Conn, Conn) {
    match family {
        Family::Unix => {
            let (left, right) = UnixStream::pair().unwrap();
            (left.into_conn(), right.into_conn())
        }
        Family::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap());
            let client = client.await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            (client.into_conn(), server.into_conn())
        }
    }
}

/// Sends a pattern and then the end, while it receives until the end.
async fn exchange(conn: Conn, len: usize) -> Vec<u8> {
    let (mut reading, mut writing) = conn.into_split();
    let sending = spawn(async move {
        writing.write_all(&pattern(len)).await.unwrap();
        writing.shutdown().unwrap();
        writing
    });
    let mut received = Vec::new();
    let mut buf = vec![0; 100_000];
    loop {
        match reading.read(&mut buf).await.unwrap() {
            0 => break,
            len => received.extend_from_slice(&buf[..len]),
        }
    }
    drop(sending.await.unwrap());
    received
}

async fn relays_exactly(left: Family, right: Family, buffered: bool) {
    let (client, near) = pair(left).await;
    let (far, server) = pair(right).await;
    let (forth, back) = (LONG, LONG / 3 + 1);
    let relaying = spawn(async move {
        let mut relay = Relay::new();
        relay.forth.lane.set_buffered(buffered);
        relay.back.lane.set_buffered(buffered);
        let moved = relay.run(&near, &far).await.unwrap();
        assert_eq!(
            relay.forth.lane.is_buffered(),
            buffered,
            "{left:?} to {right:?}"
        );
        moved
    });
    let client = spawn(exchange(client, forth));
    let server = spawn(exchange(server, back));
    assert!(
        server.await.unwrap() == pattern(forth),
        "{left:?} to {right:?}"
    );
    assert!(
        client.await.unwrap() == pattern(back),
        "{right:?} to {left:?}"
    );
    assert_eq!(relaying.await.unwrap(), (forth as u64, back as u64));
}

#[test]
fn relay_passes_all_bytes_and_both_ends_on() {
    for (left, right) in [
        (Family::Tcp, Family::Tcp),
        (Family::Tcp, Family::Unix),
        (Family::Unix, Family::Tcp),
        (Family::Unix, Family::Unix),
    ] {
        block_on(relays_exactly(left, right, false));
    }
}

#[test]
fn relay_through_buffers_passes_all_bytes_and_both_ends_on() {
    for (left, right) in [(Family::Tcp, Family::Tcp), (Family::Unix, Family::Unix)] {
        block_on(relays_exactly(left, right, true));
    }
}

#[test]
fn relay_passes_the_end_on_while_the_other_direction_goes_on() {
    block_on(async {
        let (client, near) = pair(Family::Tcp).await;
        let (far, server) = pair(Family::Tcp).await;
        let relaying = spawn(async move { copy_bidirectional(&near, &far).await });
        client.shutdown(Shutdown::Write).unwrap();
        let mut buf = [0; 8];
        assert_eq!(server.read(&mut buf).await.unwrap(), 0);
        for _ in 0..3 {
            server.write_all(b"more").await.unwrap();
            client.read_exact(&mut buf[..4]).await.unwrap();
        }
        drop(server);
        assert_eq!(client.read(&mut buf).await.unwrap(), 0);
        assert_eq!(relaying.await.unwrap().unwrap(), (0, 12));
    });
}

/// A receiver that reads nothing holds the sender up, and the relay holds no more than a pipe.
async fn holds_little(buffered: bool) {
    let (client, from) = pair(Family::Unix).await;
    let (to, server) = pair(Family::Unix).await;
    let mut copier = Copier::new();
    copier.lane.set_buffered(buffered);
    let sending = spawn(async move {
        client.write_all(&pattern(LONG)).await.unwrap();
    });
    // Dropped again and again, wherever it is, until the receiver is full; and then some more.
    let short = Duration::from_millis(3);
    let mut stuck = 0;
    while stuck < 10 {
        let result = time::timeout(short, copier.run(&from, &to)).await;
        assert!(result.is_err(), "nobody reads");
        assert!(
            copier.in_flight() <= pipe::PIPE_LEN,
            "{}",
            copier.in_flight()
        );
        stuck += u32::from(copier.in_flight() > 0);
    }
    assert!(!sending.is_finished(), "the sender waits");

    let receiving = spawn(async move {
        let mut received = Vec::new();
        let mut buf = vec![0; 10_000];
        loop {
            match server.read(&mut buf).await.unwrap() {
                0 => return received,
                len => received.extend_from_slice(&buf[..len]),
            }
        }
    });
    while time::timeout(short, copier.run(&from, &to)).await.is_err() {}
    assert_eq!((copier.moved(), copier.in_flight()), (LONG as u64, 0));
    sending.await.unwrap();
    drop(to);
    assert!(receiving.await.unwrap() == pattern(LONG), "bytes were lost");
}

#[test]
fn copy_dropped_and_run_again_loses_nothing() {
    block_on(holds_little(false));
    block_on(holds_little(true));
}

#[test]
fn copy_past_a_deadline_tells_progress_and_goes_on() {
    block_on(async {
        let (client, from) = pair(Family::Tcp).await;
        let (to, server) = pair(Family::Tcp).await;
        client.write_all(b"hello").await.unwrap();
        let mut copier = Copier::new();
        from.set_read_deadline(Some(time::now() + Duration::from_millis(20)))
            .unwrap();
        let err = copier.run(&from, &to).await.unwrap_err();
        assert!(error::is_deadline(&err), "{err}");
        assert_eq!(error::moved(&err), Some(5));
        assert!(err.to_string().starts_with("read tcp "), "{err}");

        from.set_read_deadline(None).unwrap();
        to.set_write_deadline(Some(time::now())).unwrap();
        client.write_all(b", world").await.unwrap();
        let err = copier.run(&from, &to).await.unwrap_err();
        assert!(error::is_deadline(&err), "{err}");
        assert!(err.to_string().starts_with("write tcp "), "{err}");
        assert_eq!((copier.moved(), copier.in_flight()), (5, 7));

        to.set_write_deadline(None).unwrap();
        drop(client);
        assert_eq!(copier.run(&from, &to).await.unwrap(), 7);
        let mut buf = [0; 12];
        server.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"hello, world");
    });
}

#[test]
fn copy_ends_when_either_is_closed() {
    block_on(async {
        for closes_source in [true, false] {
            let (_client, from) = pair(Family::Tcp).await;
            let (to, _server) = pair(Family::Tcp).await;
            let (from, to) = (std::sync::Arc::new(from), std::sync::Arc::new(to));
            let both = (from.clone(), to.clone());
            let copying = spawn(async move { copy_bidirectional(&both.0, &both.1).await });
            let closed = if closes_source { from } else { to };
            closed.close().await.unwrap();
            let err = copying.await.unwrap().unwrap_err();
            assert!(error::is_closed(&err), "{err}");
        }
    });
}

#[test]
fn copy_to_a_peer_that_is_gone_keeps_the_bytes() {
    block_on(async {
        for buffered in [false, true] {
            let (client, from) = pair(Family::Unix).await;
            let (to, server) = pair(Family::Unix).await;
            drop(server);
            client.write_all(b"hello").await.unwrap();
            let mut copier = Copier::new();
            copier.lane.set_buffered(buffered);
            let err = copier.run(&from, &to).await.unwrap_err();
            assert_eq!(error::raw_os_error(&err), Some(gannet_sys::errno::EPIPE));
            assert_eq!(error::moved(&err), Some(0));
            assert_eq!(copier.take_in_flight().unwrap(), b"hello");
            assert_eq!(copier.in_flight(), 0);
        }
    });
}

#[test]
fn copy_of_datagrams_is_refused() {
    block_on(async {
        let (left, _right) = crate::UnixDatagram::pair().unwrap();
        let datagrams = Conn::from(left);
        let (stream, _peer) = pair(Family::Unix).await;
        for result in [
            copy(&datagrams, &stream).await,
            copy(&stream, &datagrams).await,
        ] {
            let err = result.unwrap_err();
            assert_eq!(err.kind(), io::ErrorKind::InvalidInput, "{err}");
        }
    });
}

#[test]
fn read_from_pipe_sends_until_its_end() {
    block_on(async {
        let (reader, writer) = gannet_sys::fd::pipe().unwrap();
        let (reader, writer) = (AsyncFd::new(reader).unwrap(), AsyncFd::new(writer).unwrap());
        let (left, right) = pair(Family::Tcp).await;
        let sending = spawn(async move { left.read_from(&reader).await });
        let mut received = [0; 1];
        for byte in [b"a", b"b"] {
            let write = writer.write_with(|fd| gannet_sys::fd::write(fd, byte));
            write.await.unwrap();
            right.read_exact(&mut received).await.unwrap();
            assert_eq!(&received, byte);
        }
        drop(writer);
        assert_eq!(sending.await.unwrap().unwrap(), 2);
        assert_eq!(right.read(&mut received).await.unwrap(), 0);
    });
}

#[test]
fn copy_that_waits_holds_no_pipe() {
    Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async {
            let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
            let mut relays = Vec::new();
            let mut clients = Vec::new();
            let mut before = 0;
            for index in 0..40 {
                let (client, near) = pair(Family::Unix).await;
                let (far, server) = pair(Family::Unix).await;
                relays.push(spawn(async move { copy_bidirectional(&near, &far).await }));
                client.write_all(b"ping").await.unwrap();
                server.read_exact(&mut [0; 4]).await.unwrap();
                clients.push((client, server));
                if index == 9 {
                    before = open();
                }
            }
            // Other tests of this process open and close some; a pipe each would be 60 more.
            let grown = open() - before;
            assert!((30 * 4 - 40..30 * 4 + 40).contains(&grown), "{grown}");
        });
}
