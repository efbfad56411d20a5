use std::io::Write;
use std::os::fd::AsFd;

use super::*;
use crate::fd;
use crate::socket::{self, Kind};

/// A file with a content, which has no name any more.
fn file(content: &[u8]) -> std::fs::File {
    let mut options = std::fs::File::options();
    opened(options.read(true).write(true), content)
}

fn opened(options: &mut std::fs::OpenOptions, content: &[u8]) -> std::fs::File {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("gannet-sys-transfer-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut file = options
        .create_new(true)
        .open(&path)
        .expect("a fresh name in the folder for temporary files");
    std::fs::remove_file(&path).expect("it was just made");
    file.write_all(content)
        .expect("there is room for a few bytes");
    file
}

#[track_caller]
fn fails(result: io::Result<usize>, errno: i32) {
    assert_eq!(result.expect_err("it fails").raw_os_error(), Some(errno));
}

#[test]
fn splice_moves_bytes_and_tells_the_end() {
    let (left, right) = socket::socketpair(Kind::Stream).expect("a pair");
    let (out, back) = socket::socketpair(Kind::Stream).expect("a pair");
    let (read_end, write_end) = fd::pipe().expect("a pipe");
    fails(splice(right.as_fd(), write_end.as_fd(), 10), errno::EAGAIN);

    socket::send(left.as_fd(), b"hello").expect("room");
    let moved = splice(right.as_fd(), write_end.as_fd(), 3).expect("something to move");
    assert_eq!(moved, 3, "no more than asked for");
    let moved = splice(right.as_fd(), write_end.as_fd(), 100).expect("something to move");
    assert_eq!(moved, 2);
    let moved = splice(read_end.as_fd(), out.as_fd(), 100).expect("room");
    assert_eq!(moved, 5);
    let mut buf = [0; 16];
    let len = socket::recv(back.as_fd(), &mut buf).expect("bytes");
    assert_eq!(&buf[..len], b"hello");

    drop(left);
    let moved = splice(right.as_fd(), write_end.as_fd(), 10).expect("the end");
    assert_eq!(moved, 0);
}

#[test]
fn splice_without_a_pipe_is_refused() {
    let (left, right) = socket::socketpair(Kind::Stream).expect("a pair");
    fails(splice(left.as_fd(), right.as_fd(), 10), errno::EINVAL);
}

#[test]
fn splice_to_a_peer_that_is_gone_fails_without_killing() {
    let (left, right) = socket::socketpair(Kind::Stream).expect("a pair");
    let (read_end, write_end) = fd::pipe().expect("a pipe");
    fd::write(write_end.as_fd(), b"x").expect("room");
    drop(right);
    assert!(sigpipe_is_ignored(), "Rust's start ignores it");
    fails(splice(read_end.as_fd(), left.as_fd(), 10), errno::EPIPE);
}

#[test]
fn sendfile_sends_a_range_and_leaves_the_position() {
    let file = file(b"0123456789");
    let (left, right) = socket::socketpair(Kind::Stream).expect("a pair");
    let mut buf = [0; 16];
    for (offset, len, want) in [(0, 3, &b"012"[..]), (7, 100, b"789"), (4, 2, b"45")] {
        let sent = sendfile(left.as_fd(), file.as_fd(), offset, len).expect("room");
        assert_eq!(sent, want.len());
        let len = socket::recv(right.as_fd(), &mut buf).expect("bytes");
        assert_eq!(&buf[..len], want);
    }
    let sent = sendfile(left.as_fd(), file.as_fd(), 10, 5).expect("the end");
    assert_eq!(sent, 0);
    fails(
        sendfile(left.as_fd(), file.as_fd(), u64::MAX, 5),
        errno::EINVAL,
    );
    // Where writing left it: nothing is there to be read.
    assert_eq!(fd::read(file.as_fd(), &mut buf).expect("the end"), 0);
}

#[test]
fn sendfile_from_a_socket_is_refused() {
    let (left, right) = socket::socketpair(Kind::Stream).expect("a pair");
    let result = sendfile(left.as_fd(), right.as_fd(), 0, 5);
    let errno = result.expect_err("a socket has no pages").raw_os_error();
    assert!(
        matches!(errno, Some(errno::EINVAL | libc::ESPIPE)),
        "{errno:?}"
    );
}

#[test]
fn read_at_reads_a_range_and_leaves_the_position() {
    let file = file(b"0123456789");
    let mut buf = [0; 4];
    assert_eq!(read_at(file.as_fd(), &mut buf, 8).expect("bytes"), 2);
    assert_eq!(&buf[..2], b"89");
    assert_eq!(read_at(file.as_fd(), &mut buf, 10).expect("the end"), 0);
    let (read_end, _write_end) = fd::pipe().expect("a pipe");
    fails(read_at(read_end.as_fd(), &mut buf, 0), libc::ESPIPE);
}

#[test]
fn splice_to_file_writes_a_range_and_leaves_the_position() {
    let file = file(b"0123456789");
    let (read_end, write_end) = fd::pipe().expect("a pipe");
    let pipe = read_end.as_fd();
    fails(splice_to_file(pipe, file.as_fd(), 0, 10), errno::EAGAIN);
    fd::write(write_end.as_fd(), b"abcdef").expect("room");
    assert_eq!(splice_to_file(pipe, file.as_fd(), 2, 3).expect("bytes"), 3);
    assert_eq!(splice_to_file(pipe, file.as_fd(), 9, 9).expect("bytes"), 3);
    let mut buf = [0; 16];
    assert_eq!(read_at(file.as_fd(), &mut buf, 0).expect("bytes"), 12);
    assert_eq!(&buf[..12], b"01abc5678def");
    // Where writing left it.
    assert_eq!(fd::read(file.as_fd(), &mut buf).expect("bytes"), 2);
    fd::write(write_end.as_fd(), b"x").expect("room");
    fails(
        splice_to_file(pipe, file.as_fd(), u64::MAX, 5),
        errno::EINVAL,
    );
    drop(write_end);
    assert_eq!(splice_to_file(pipe, file.as_fd(), 0, 9).expect("bytes"), 1);
    assert_eq!(splice_to_file(pipe, file.as_fd(), 0, 9).expect("end"), 0);
}

#[test]
fn splice_to_file_that_appends_is_refused_and_write_at_appends() {
    let mut options = std::fs::File::options();
    let file = opened(options.read(true).append(true), b"0123");
    let (read_end, write_end) = fd::pipe().expect("a pipe");
    fd::write(write_end.as_fd(), b"ab").expect("room");
    let refused = splice_to_file(read_end.as_fd(), file.as_fd(), 0, 2);
    fails(refused, errno::EINVAL);
    assert_eq!(write_at(file.as_fd(), b"ab", 0).expect("room"), 2);
    let mut buf = [0; 16];
    assert_eq!(read_at(file.as_fd(), &mut buf, 0).expect("bytes"), 6);
    assert_eq!(&buf[..6], b"0123ab");
}

#[test]
fn write_at_writes_a_range_and_leaves_the_position() {
    let file = file(b"0123456789");
    assert_eq!(write_at(file.as_fd(), b"ab", 9).expect("room"), 2);
    let mut buf = [0; 16];
    assert_eq!(read_at(file.as_fd(), &mut buf, 8).expect("bytes"), 3);
    assert_eq!(&buf[..3], b"8ab");
    assert_eq!(fd::read(file.as_fd(), &mut buf).expect("bytes"), 1);
    fails(write_at(file.as_fd(), b"ab", u64::MAX), errno::EINVAL);
    let (_read_end, write_end) = fd::pipe().expect("a pipe");
    fails(write_at(write_end.as_fd(), b"ab", 0), libc::ESPIPE);
}

#[test]
fn pipe_size_is_set_and_rounded_up() {
    let (read_end, write_end) = fd::pipe().expect("a pipe");
    let before = pipe_size(read_end.as_fd()).expect("a pipe has a size");
    let wanted = before / 2 - 1;
    let got = set_pipe_size(write_end.as_fd(), wanted).expect("smaller is allowed");
    assert_eq!(got, before / 2);
    assert_eq!(pipe_size(read_end.as_fd()).expect("a pipe has a size"), got);
    fails(set_pipe_size(write_end.as_fd(), 1 << 31), errno::EINVAL);
    let (left, _right) = socket::socketpair(Kind::Stream).expect("a pair");
    fails(pipe_size(left.as_fd()), errno::EBADF);
}
