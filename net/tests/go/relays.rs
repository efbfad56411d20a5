//! Copies between connections, from pipes and from files.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use gannet_net::error::is_deadline;
use gannet_net::{Conn, copy};
use gannet_runtime::{AsyncFd, Builder, spawn};
use gannet_sys::fd;

use crate::common::{pair, run_threads};

/// Bytes that repeat late.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 65_521 % 251) as u8).collect()
}

/// A file that has no name any more, with its position at the start.
fn file(content: &[u8]) -> File {
    let path = crate::common::fresh_path();
    let mut options = File::options();
    let file = options.read(true).write(true).create_new(true).open(&path);
    std::fs::remove_file(path).unwrap();
    let mut file = file.unwrap();
    file.write_all(content).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file
}

/// Receives until the end.
async fn rest(conn: Conn) -> Vec<u8> {
    let (mut received, mut buf) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        match conn.read(&mut buf).await.unwrap() {
            0 => return received,
            len => received.extend_from_slice(&buf[..len]),
        }
    }
}

#[test]
fn copy_passes_on_what_comes_in_pieces_of_any_size() {
    for (from, to) in [
        ("tcp", "tcp"),
        ("unix", "tcp"),
        ("tcp", "unix"),
        ("unix", "unix"),
    ] {
        for (total, piece) in [(0, 1), (128, 128), (1 << 20, 4096), (12 << 20, 5 << 20)] {
            run_threads(async {
                let (client, near) = pair(from).await;
                let (far, server) = pair(to).await;
                let sending = spawn(async move {
                    for piece in pattern(total).chunks(piece) {
                        client.write_all(piece).await.unwrap();
                    }
                });
                let copying = spawn(async move {
                    let copied = copy(&near, &far).await.unwrap();
                    // The end is not passed on: more may be said.
                    far.write_all(b"bye").await.unwrap();
                    copied
                });
                let received = rest(server).await;
                sending.await.unwrap();
                assert_eq!(copying.await.unwrap(), total as u64, "{from} to {to}");
                let want = [&pattern(total)[..], b"bye"].concat();
                assert!(received == want, "{from} to {to}: {} bytes", received.len());
            });
        }
    }
}

#[test]
fn copy_from_what_was_closed_fails_and_leaves_the_other_usable() {
    run_threads(async {
        let (_client, near) = pair("tcp").await;
        let (far, server) = pair("tcp").await;
        near.close().await.unwrap();
        copy(&near, &far).await.unwrap_err();
        far.write_all(b"bye").await.unwrap();
        drop(far);
        assert_eq!(rest(server).await, b"bye");
    });
}

#[test]
fn file_is_sent_whole_and_in_parts() {
    const LEN: usize = 567_198;
    run_threads(async {
        let content = pattern(LEN);
        let file = file(&content);
        for len in [LEN as u64, u64::MAX] {
            let (client, server) = pair("tcp").await;
            let received = spawn(rest(server));
            assert_eq!(client.send_file(&file, 0, len).await.unwrap(), LEN as u64);
            drop(client);
            assert!(received.await.unwrap() == content);
        }
        let (client, server) = pair("tcp").await;
        for offset in [0, 3, 6] {
            assert_eq!(client.send_file(&file, offset, 3).await.unwrap(), 3);
        }
        let sought = (65 << 10) as usize;
        let sent = client
            .send_file(&file, sought as u64, 10 << 10)
            .await
            .unwrap();
        assert_eq!(sent, 10 << 10);
        drop(client);
        let want = [&content[..9], &content[sought..sought + (10 << 10)]].concat();
        assert!(rest(server).await == want);
    });
}

#[test]
fn file_of_two_gibibytes_is_sent_by_one_call() {
    const LEN: u64 = 1 << 31;
    let runtime = Builder::new_multi_thread().worker_threads(2).build();
    // Beside other tests on a busy machine it takes longer than the limit of those.
    runtime.unwrap().block_on(async {
        let file = file(b"");
        // All of it is a hole, which takes no room on the disk.
        file.set_len(LEN).unwrap();
        let (client, server) = pair("tcp").await;
        let receiving = spawn(async move {
            let (mut received, mut buf) = (0, vec![1; 1 << 20]);
            loop {
                match server.read(&mut buf).await.unwrap() {
                    0 => return received,
                    len => received += len as u64,
                }
                assert_eq!(buf[0], 0);
            }
        });
        assert_eq!(client.send_file(&file, 0, LEN).await.unwrap(), LEN);
        drop(client);
        assert_eq!(receiving.await.unwrap(), LEN);
    });
}

#[test]
fn file_of_ten_mebibytes_goes_by_a_connection_into_another() {
    run_threads(async {
        let content = pattern(10 << 20);
        let source = file(&content);
        let (client, server) = pair("tcp").await;
        let receiving = spawn(async move {
            let (mut copy, mut buf) = (file(b""), vec![0; 1 << 16]);
            loop {
                match server.read(&mut buf).await.unwrap() {
                    0 => return copy,
                    len => copy.write_all(&buf[..len]).unwrap(),
                }
            }
        });
        client.send_file(&source, 0, u64::MAX).await.unwrap();
        drop(client);
        let mut copy = receiving.await.unwrap();
        copy.seek(SeekFrom::Start(0)).unwrap();
        let mut copied = Vec::new();
        copy.read_to_end(&mut copied).unwrap();
        assert!(copied == content);
    });
}

/// Sends `size` bytes, and receives at most `limit` of them into a file behind what it has.
async fn receives_into_a_file(network: &str, size: usize, limit: u64) {
    let mut file = file(b"before");
    let (client, server) = pair(network).await;
    let sending = spawn(async move {
        client.write_all(&pattern(size)).await.unwrap();
    });
    let received = server.recv_file(&file, 6, limit).await.unwrap();
    sending.await.unwrap();
    assert_eq!(received, limit.min(size as u64), "{network}, {size} bytes");
    let beyond = rest(server).await;
    assert_eq!(beyond.len() as u64, size as u64 - received, "is left");
    assert_eq!(file.stream_position().unwrap(), 0, "the position stays");
    let (mut content, want) = (Vec::new(), pattern(size));
    file.read_to_end(&mut content).unwrap();
    assert!(content[6..] == want[..received as usize] && beyond == want[received as usize..]);
}

#[test]
fn file_takes_what_a_connection_brings_up_to_a_limit() {
    for network in ["tcp", "unix"] {
        for size in [1, 42, 1025, 4097, 32_769] {
            run_threads(async {
                let all = size as u64;
                for limit in [u64::MAX, all - 1, all / 2, all + 1] {
                    receives_into_a_file(network, size, limit).await;
                }
            });
        }
    }
}

#[test]
fn pipe_keeps_its_deadlines_after_it_was_copied_from() {
    run_threads(async {
        let (reader, writer) = fd::pipe().unwrap();
        let (reader, writer) = (AsyncFd::new(reader).unwrap(), AsyncFd::new(writer).unwrap());
        let (client, server) = pair("tcp").await;
        writer.write_with(|end| fd::write(end, b"x")).await.unwrap();
        let soon = Instant::now().checked_add(Duration::from_millis(20));
        reader.set_read_deadline(soon).unwrap();
        let err = client.read_from(&reader).await.unwrap_err();
        assert!(is_deadline(&err), "{err}");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(server).await, b"x", "what came before it");

        writer.write_with(|end| fd::write(end, b"y")).await.unwrap();
        let mut byte = [0];
        let late = reader.read_with(|end| fd::read(end, &mut byte)).await;
        assert!(gannet_runtime::error::is_deadline(&late.unwrap_err()));
        reader.set_read_deadline(None).unwrap();
        let read = reader.read_with(|end| fd::read(end, &mut byte)).await;
        assert_eq!((read.unwrap(), byte), (1, *b"y"));
    });
}
