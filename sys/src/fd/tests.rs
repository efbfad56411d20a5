//! Tests of the calls that any descriptor takes.

use std::fs::File;
use std::io::{ErrorKind, Seek, Write};
use std::os::fd::AsFd;

use super::*;
use crate::testing::scratch_path;

fn pipe_pair() -> (OwnedFd, OwnedFd) {
    pipe().expect("descriptors are free")
}

/// What `fd` refers to, as the kernel names it.
fn target_of(fd: BorrowedFd<'_>) -> std::path::PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("the descriptor is open")
}

#[test]
fn pipe_is_nonblocking_and_cloexec() {
    let (read_end, write_end) = pipe_pair();
    for end in [&read_end, &write_end] {
        assert!(is_nonblocking(end.as_fd()).expect("open"));
        assert!(is_cloexec(end.as_fd()).expect("open"));
    }
}

#[test]
fn set_nonblocking_changes_only_that_flag() {
    let (_read_end, write_end) = pipe_pair();
    let fd = write_end.as_fd();
    let before = status_flags(fd).expect("open");
    set_nonblocking(fd, false).expect("open");
    assert!(!is_nonblocking(fd).expect("open"));
    assert_eq!(status_flags(fd).expect("open"), before & !libc::O_NONBLOCK);
    set_nonblocking(fd, true).expect("open");
    set_nonblocking(fd, true).expect("open");
    assert_eq!(status_flags(fd).expect("open"), before);
}

#[test]
fn is_cloexec_tells_the_flag() {
    let (read_end, _write_end) = pipe_pair();
    // SAFETY: `F_SETFD` takes an integer, and the descriptor is open.
    let ret = unsafe { libc::fcntl(read_end.as_raw_fd(), libc::F_SETFD, 0) };
    cvt(ret).expect("open");
    assert!(!is_cloexec(read_end.as_fd()).expect("open"));
}

#[test]
fn dup_cloexec_shares_the_description() {
    let (read_end, write_end) = pipe_pair();
    let copy = dup_cloexec(write_end.as_fd()).expect("a descriptor is free");
    assert!(copy.as_raw_fd() >= 3);
    assert!(is_cloexec(copy.as_fd()).expect("open"));
    drop(write_end);
    write(copy.as_fd(), b"late").expect("the duplicate keeps the pipe open");
    let mut buf = [0; 8];
    assert_eq!(read(read_end.as_fd(), &mut buf).expect("data waits"), 4);
}

#[test]
fn close_closes_and_reports_success() {
    let (read_end, write_end) = pipe_pair();
    close(write_end).expect("a pipe has nothing to lose");
    let mut buf = [0; 8];
    assert_eq!(
        read(read_end.as_fd(), &mut buf).expect("the writer is gone"),
        0
    );
}

#[test]
fn replace_moves_the_number_to_the_other_description() {
    let (old_read, old_write) = pipe_pair();
    let (new_read, new_write) = pipe_pair();
    let old_write = Replaceable::new(old_write);
    assert_ne!(target_of(old_write.as_fd()), target_of(new_write.as_fd()));
    old_write.replace(new_write.as_fd()).expect("both are open");
    assert_eq!(target_of(old_write.as_fd()), target_of(new_write.as_fd()));
    assert!(is_cloexec(old_write.as_fd()).expect("open"));
    write(old_write.as_fd(), b"x").expect("there is room");
    let mut buf = [0; 8];
    assert_eq!(read(new_read.as_fd(), &mut buf).expect("data waits"), 1);
    assert_eq!(
        read(old_read.as_fd(), &mut buf).expect("its writer was closed"),
        0
    );
    let err = old_write
        .replace(old_write.as_fd())
        .expect_err("the same number");
    assert_eq!(err.raw_os_error(), Some(errno::EINVAL));
}

#[test]
fn poll_tells_each_direction() {
    let (read_end, write_end) = pipe_pair();
    let ready = |fd: &OwnedFd, dir| poll(fd.as_fd(), dir).expect("open");
    assert!(!ready(&read_end, PollDirection::Read));
    assert!(ready(&write_end, PollDirection::Write));
    while write(write_end.as_fd(), &[0; 4096]).is_ok() {}
    assert!(ready(&read_end, PollDirection::Read));
    assert!(!ready(&write_end, PollDirection::Write), "full");
    drop(read_end);
    assert!(
        ready(&write_end, PollDirection::Write),
        "an error is readiness"
    );
    let file = File::open("/proc/self/exe").expect("this program is a file");
    assert!(poll(file.as_fd(), PollDirection::Read).expect("open"));
}

#[test]
fn read_and_write_report_what_callers_branch_on() {
    let (read_end, write_end) = pipe_pair();
    let mut buf = [0; 8];
    let err = read(read_end.as_fd(), &mut buf).expect_err("nothing there");
    assert_eq!(err.raw_os_error(), Some(errno::EAGAIN));
    assert_eq!(err.kind(), ErrorKind::WouldBlock);
    let err = write(read_end.as_fd(), b"x").expect_err("not open for writing");
    assert_eq!(err.raw_os_error(), Some(errno::EBADF));
    assert_eq!(
        write(write_end.as_fd(), b"hello").expect("there is room"),
        5
    );
    assert_eq!(
        read(read_end.as_fd(), &mut buf[..2]).expect("data waits"),
        2
    );
    assert_eq!(
        read(read_end.as_fd(), &mut []).expect("nothing is asked"),
        0
    );
    assert_eq!(
        read(read_end.as_fd(), &mut buf[2..]).expect("data waits"),
        3
    );
    assert_eq!(&buf[..5], b"hello");
    // The standard library's start-up ignores SIGPIPE, so the error is seen.
    drop(read_end);
    let err = write(write_end.as_fd(), b"x").expect_err("nobody reads");
    assert_eq!(err.raw_os_error(), Some(errno::EPIPE));
}

#[test]
fn readv_and_writev_cross_slice_bounds() {
    let (read_end, write_end) = pipe_pair();
    let parts = [
        IoSlice::new(b"ab"),
        IoSlice::new(b""),
        IoSlice::new(b"cdefg"),
    ];
    assert_eq!(writev(write_end.as_fd(), &parts).expect("there is room"), 7);
    let (mut head, mut tail) = ([0; 3], [0; 9]);
    let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
    assert_eq!(readv(read_end.as_fd(), &mut bufs).expect("data waits"), 7);
    assert_eq!((&head, &tail[..4]), (b"abc", b"defg".as_slice()));
}

#[test]
fn readv_and_writev_use_the_first_1024_slices() {
    let (read_end, write_end) = pipe_pair();
    let parts = vec![IoSlice::new(b"x"); 1025];
    assert_eq!(
        writev(write_end.as_fd(), &parts).expect("there is room"),
        1024
    );
    assert_eq!(write(write_end.as_fd(), b"y").expect("there is room"), 1);
    let mut bytes = vec![0u8; 1025];
    let mut bufs: Vec<_> = bytes.chunks_mut(1).map(IoSliceMut::new).collect();
    assert_eq!(
        readv(read_end.as_fd(), &mut bufs).expect("data waits"),
        1024
    );
    assert!(bytes[..1024].iter().all(|&byte| byte == b'x'));
    assert_eq!(bytes[1024], 0);
}

#[test]
fn readv_of_a_file_ends_with_zero() {
    let path = scratch_path("readv");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path);
    let file = file.as_mut().expect("the temporary directory is writable");
    std::fs::remove_file(&path).expect("just made");
    file.write_all(b"123").expect("there is room");
    file.rewind().expect("a file seeks");
    let mut buf = [0; 8];
    let mut bufs = [IoSliceMut::new(&mut buf)];
    assert_eq!(readv(file.as_fd(), &mut bufs).expect("data waits"), 3);
    assert_eq!(readv(file.as_fd(), &mut bufs).expect("the end"), 0);
}

#[test]
fn fd_limit_is_set_within_the_hard_limit() {
    let (soft, hard) = fd_limit().expect("the kernel tells");
    assert!(soft > 0 && soft <= hard);
    set_fd_limit(soft - 1).expect("lowering is allowed");
    assert_eq!(fd_limit().expect("the kernel tells"), (soft - 1, hard));
    set_fd_limit(soft).expect("raising to the hard limit is allowed");
    assert_eq!(fd_limit().expect("the kernel tells"), (soft, hard));
    if let Some(over) = hard.checked_add(1) {
        let err = set_fd_limit(over).expect_err("over the hard limit");
        assert_eq!(err.raw_os_error(), Some(errno::EINVAL));
    }
}
