use std::future::Future;
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use gannet_runtime::{Builder, spawn, time};
use gannet_sys::errno;

use super::*;
use crate::copy::tests::{Family, pair, pattern};
use crate::error;

const LONG: usize = 6 << 20;

fn block_on<R>(future: impl Future<Output = R>) -> R {
    let runtime = Builder::new_multi_thread().worker_threads(2).build();
    runtime.unwrap().block_on(future)
}

/// A file with a content, which has no name any more.
fn opened(options: &mut std::fs::OpenOptions, content: &[u8]) -> File {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("gannet-recv-file-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut file = options.create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(content).unwrap();
    file
}

fn file(content: &[u8]) -> File {
    opened(File::options().read(true).write(true), content)
}

fn content(file: &mut File) -> Vec<u8> {
    let mut content = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut content).unwrap();
    content
}

#[track_caller]
fn check(file: &mut File, wanted: &[&[u8]]) {
    let content = content(file);
    assert!(content == wanted.concat(), "{} bytes differ", content.len());
}

/// Receives by parts, through the kernel or through buffers.
async fn receives_exactly(family: Family, buffered: bool) {
    let (client, server) = pair(family).await;
    let sending = spawn(async move {
        client.write_all(&pattern(LONG)).await.unwrap();
    });
    let mut file = file(b"01234");
    file.seek(SeekFrom::Start(1)).unwrap();
    let mut at = 3;
    // What is behind a part stays where it is; the last part ends with the stream.
    for (len, comes) in [
        (1, 1),
        (0, 0),
        (3 << 20, 3 << 20),
        (u64::MAX, (3 << 20) - 1),
    ] {
        let mut part = Part {
            file: file.as_fd(),
            offset: at,
            rest: len,
            buffered,
        };
        server.recv_part(&mut part).await.unwrap();
        assert_eq!((len - part.rest, part.buffered), (comes, buffered));
        at += comes;
    }
    sending.await.unwrap();
    assert_eq!(file.stream_position().unwrap(), 1);
    check(&mut file, &[b"012", &pattern(LONG)]);
}

#[test]
fn recv_file_writes_ranges_and_leaves_the_position() {
    for family in [Family::Tcp, Family::Unix] {
        block_on(receives_exactly(family, false));
        block_on(receives_exactly(family, true));
    }
}

#[test]
fn recv_file_that_appends_goes_through_a_buffer_and_loses_nothing() {
    block_on(async {
        let (client, server) = pair(Family::Tcp).await;
        let sending = spawn(async move {
            client.write_all(&pattern(LONG)).await.unwrap();
        });
        let mut file = opened(File::options().read(true).append(true), b"before");
        let mut part = Part {
            file: file.as_fd(),
            offset: 0,
            rest: u64::MAX,
            buffered: false,
        };
        server.recv_part(&mut part).await.unwrap();
        assert!(part.buffered, "the kernel does not splice to it");
        sending.await.unwrap();
        check(&mut file, &[b"before", &pattern(LONG)]);
    });
}

#[test]
fn recv_file_past_a_deadline_tells_progress_to_go_on_from() {
    block_on(async {
        let (client, server) = pair(Family::Tcp).await;
        let mut file = file(b"");
        client.write_all(b"hello").await.unwrap();
        let deadline = time::now() + Duration::from_millis(30);
        server.set_read_deadline(Some(deadline)).unwrap();
        let err = server.recv_file(&file, 0, 100).await.unwrap_err();
        assert!(error::is_deadline(&err), "{err}");
        let moved = error::moved(&err).unwrap();

        server.set_read_deadline(None).unwrap();
        client.write_all(b", world").await.unwrap();
        drop(client);
        let rest = server.recv_file(&file, moved as u64, 100).await.unwrap();
        assert_eq!(moved as u64 + rest, 12);
        check(&mut file, &[b"hello, world"]);
    });
}

#[test]
fn recv_file_dropped_while_it_waits_has_written_all_that_came() {
    block_on(async {
        let (client, server) = pair(Family::Unix).await;
        let mut file = file(b"");
        client.write_all(b"hello").await.unwrap();
        server.readable().await.unwrap();
        {
            let mut receiving = Box::pin(server.recv_file(&file, 0, 100));
            let polled = poll_fn(|cx| Poll::Ready(receiving.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
        }
        check(&mut file, &[b"hello"]);
        client.write_all(b"more").await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(server.read(&mut buf).await.unwrap(), 4, "for the next");
    });
}

#[test]
fn recv_file_that_cannot_be_written_tells_why() {
    block_on(async {
        let (client, server) = pair(Family::Tcp).await;
        client.write_all(b"hello").await.unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let err = server.recv_file(&full, 0, 3).await.unwrap_err();
        assert_eq!(error::moved(&err), Some(0));
        assert_eq!(error::raw_os_error(&err), Some(errno::ENOSPC), "{err}");
        assert!(err.to_string().starts_with("writeto tcp "), "{err}");
        let read_only = File::open("/proc/self/status").unwrap();
        let err = server.recv_file(&read_only, 0, 3).await.unwrap_err();
        assert_eq!(error::raw_os_error(&err), Some(errno::EBADF), "{err}");
    });
}

#[test]
fn recv_file_from_what_has_ended_or_is_no_stream() {
    block_on(async {
        let file = file(b"");
        let (client, server) = pair(Family::Tcp).await;
        drop(client);
        assert_eq!(server.recv_file(&file, 0, 3).await.unwrap(), 0);
        server.close().await.unwrap();
        for len in [0, 3] {
            let err = server.recv_file(&file, 0, len).await.unwrap_err();
            assert!(error::is_closed(&err), "{err}");
        }
        let (datagrams, _peer) = crate::UnixDatagram::pair().unwrap();
        let err = Conn::from(datagrams).recv_file(&file, 0, 3).await;
        assert_eq!(err.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(file.metadata().unwrap().len(), 0);
    });
}

/// Neither through the kernel nor through a buffer, though it waits in between.
async fn keeps_other_reads_out(buffered: bool) {
    let (client, server) = pair(Family::Tcp).await;
    let mut file = file(b"");
    let mut part = Part {
        file: file.as_fd(),
        offset: 0,
        rest: 5,
        buffered,
    };
    let mut buf = [0; 4];
    let mut receiving = Box::pin(server.recv_part(&mut part));
    let mut reading = Box::pin(server.read_exact(&mut buf));
    for (comes, len) in [("be", 2), ("gi", 4)] {
        client.write_all(comes.as_bytes()).await.unwrap();
        while file.metadata().unwrap().len() < len {
            let polled = poll_fn(|cx| Poll::Ready(receiving.as_mut().poll(cx))).await;
            assert!(polled.is_pending(), "more is to come");
            gannet_runtime::yield_now().await;
        }
        let polled = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await;
        assert!(polled.is_pending(), "it is not its turn");
    }
    client.write_all(b"nnext").await.unwrap();
    let mut is_received = false;
    let both = poll_fn(|cx| {
        is_received = is_received || receiving.as_mut().poll(cx).is_ready();
        let polled = reading.as_mut().poll(cx);
        assert!(is_received || polled.is_pending(), "it is not its turn yet");
        polled
    });
    both.await.unwrap();
    drop((receiving, reading));
    assert_eq!(&buf, b"next");
    check(&mut file, &[b"begin"]);
}

#[test]
fn recv_file_keeps_other_reads_out() {
    block_on(keeps_other_reads_out(false));
    block_on(keeps_other_reads_out(true));
}
