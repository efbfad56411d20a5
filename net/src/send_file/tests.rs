use std::future::Future;
use std::io::{Seek, Write};
use std::time::Duration;

use gannet_runtime::{Builder, spawn, time};

use super::*;
use crate::error;
use crate::{TcpListener, TcpStream, UnixDatagram, UnixStream};

const LONG: usize = 6 << 20;

fn block_on<R>(future: impl Future<Output = R>) -> R {
    let runtime = Builder::new_multi_thread().worker_threads(2).build();
    runtime.unwrap().block_on(future)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 65521 % 251) as u8).collect()
}

/// A file with a content, which has no name any more.
fn file(content: &[u8]) -> File {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("gannet-send-file-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut options = File::options();
    let mut file = options.read(true).write(true).create_new(true).open(&path);
    std::fs::remove_file(&path).unwrap();
    let file = file.as_mut().unwrap();
    file.write_all(content).unwrap();
    file.try_clone().unwrap()
}

async fn tcp_pair() -> (Conn, Conn) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (server, _) = listener.accept().await.unwrap();
    (client.unwrap().into_conn(), server.into_conn())
}

fn unix_pair() -> (Conn, Conn) {
    let (left, right) = UnixStream::pair().unwrap();
    (left.into_conn(), right.into_conn())
}

async fn read_to_end(conn: Conn) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buf = vec![0; 100_000];
    loop {
        match conn.read(&mut buf).await.unwrap() {
            0 => return received,
            len => received.extend_from_slice(&buf[..len]),
        }
    }
}

#[track_caller]
fn check(sent: u64, received: &[u8], wanted: &[u8]) {
    assert_eq!(sent, wanted.len() as u64);
    assert!(received == wanted, "{} bytes differ", received.len());
}

#[test]
fn send_file_sends_ranges_and_leaves_the_position() {
    block_on(async {
        let content = pattern(LONG);
        let mut file = file(&content);
        file.seek(io::SeekFrom::Start(3)).unwrap();
        let all = LONG as u64;
        for (offset, len, wanted) in [
            (0, all, &content[..]),
            (0, u64::MAX, &content[..]),
            (1_000_001, 3_000_003, &content[1_000_001..4_000_004]),
            (all - 5, 100, &content[LONG - 5..]),
            (all, 1, &[]),
            (all + 7, 1, &[]),
            (5, 0, &[]),
        ] {
            for (sender, receiver) in [tcp_pair().await, unix_pair()] {
                let receiving = spawn(read_to_end(receiver));
                let sent = sender.send_file(&file, offset, len).await.unwrap();
                drop(sender);
                check(sent, &receiving.await.unwrap(), wanted);
            }
        }
        assert_eq!(file.stream_position().unwrap(), 3);
    });
}

#[test]
fn send_file_that_tells_no_length_sends_what_it_has() {
    block_on(async {
        let file = File::open("/proc/self/status").unwrap();
        let (sender, receiver) = tcp_pair().await;
        let sent = sender.send_file(&file, 0, u64::MAX).await.unwrap();
        drop(sender);
        let received = read_to_end(receiver).await;
        assert_eq!(sent, received.len() as u64);
        assert!(received.starts_with(b"Name:"), "{received:?}");
    });
}

#[test]
fn send_file_that_the_kernel_refuses_goes_through_a_buffer() {
    block_on(async {
        let content = pattern(LONG);
        let file = file(&content);
        for (sender, receiver) in [tcp_pair().await, unix_pair()] {
            let receiving = spawn(read_to_end(receiver));
            let part = Part {
                file: file.as_fd(),
                offset: 7,
                rest: u64::MAX,
                buffered: true,
            };
            let sent = sender.send_part(part).await.unwrap();
            drop(sender);
            check(sent, &receiving.await.unwrap(), &content[7..]);
        }
    });
}

#[test]
fn send_file_past_the_deadline_tells_progress_to_go_on_from() {
    block_on(async {
        let content = pattern(LONG);
        let file = file(&content);
        let (sender, receiver) = unix_pair();
        let deadline = time::now() + Duration::from_millis(30);
        sender.set_write_deadline(Some(deadline)).unwrap();
        let err = sender.send_file(&file, 0, LONG as u64).await.unwrap_err();
        assert!(error::is_deadline(&err), "{err}");
        let sent = error::moved(&err).unwrap() as u64;
        assert!(0 < sent && sent < LONG as u64, "{sent}");
        assert_eq!(error::written(&err), error::moved(&err));

        sender.set_write_deadline(None).unwrap();
        let receiving = spawn(read_to_end(receiver));
        let rest = sender.send_file(&file, sent, u64::MAX).await.unwrap();
        drop(sender);
        check(sent + rest, &receiving.await.unwrap(), &content);
    });
}

/// Two tasks that send at the same time do not mix.
#[test]
fn send_file_keeps_other_writes_out() {
    block_on(async {
        let content = vec![b'f'; LONG];
        let file = file(&content);
        let (sender, receiver) = tcp_pair().await;
        let sender = std::sync::Arc::new(sender);
        let second = sender.clone();
        let receiving = spawn(read_to_end(receiver));
        let sending = spawn(async move { sender.send_file(&file, 0, u64::MAX).await });
        let writing = spawn(async move { second.write_all(&[b'w'; 1000]).await });
        sending.await.unwrap().unwrap();
        writing.await.unwrap().unwrap();
        let mut received = receiving.await.unwrap();
        received.dedup();
        assert!(received == b"fw" || received == b"wf", "{received:?}");
    });
}

#[test]
fn send_file_to_nobody_fails() {
    block_on(async {
        let file = file(b"hello");
        let (sender, receiver) = unix_pair();
        drop(receiver);
        let err = sender.send_file(&file, 0, 5).await.unwrap_err();
        assert_eq!(error::raw_os_error(&err), Some(errno::EPIPE));
        assert_eq!(error::moved(&err), Some(0));
        assert_eq!(err.to_string(), "write unix @->@: sendfile: broken pipe");

        sender.close().await.unwrap();
        for len in [0, 5] {
            let err = sender.send_file(&file, 0, len).await.unwrap_err();
            assert!(error::is_closed(&err), "{err}");
        }
        let (datagrams, _peer) = UnixDatagram::pair().unwrap();
        let err = Conn::from(datagrams).send_file(&file, 0, 5).await;
        assert_eq!(err.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    });
}
