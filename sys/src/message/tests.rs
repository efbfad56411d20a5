//! Tests of messages: addresses, truncation, and descriptors in the control data.

use std::net::SocketAddr;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use super::*;
use crate::errno;
use crate::fd::{self, PollDirection};
use crate::sockaddr::UnixAddr;
use crate::socket::{Domain, Kind, bind, local_addr, socket, socketpair};
use crate::testing::wait_ready;

fn udp() -> (OwnedFd, SockAddr) {
    let fd = socket(Domain::Inet, Kind::Datagram).expect("a descriptor is free");
    bind(fd.as_fd(), &SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port is free");
    let addr = local_addr(fd.as_fd()).expect("bound");
    (fd, addr)
}

/// Control data that carries one descriptor, in the kernel's form.
fn rights(fd: BorrowedFd<'_>) -> Vec<u8> {
    let header = size_of::<libc::cmsghdr>();
    let mut control = Vec::new();
    control.extend_from_slice(&(header + 4).to_ne_bytes());
    control.extend_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
    control.extend_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
    control.extend_from_slice(&fd.as_raw_fd().to_ne_bytes());
    control.resize(control.len().next_multiple_of(8), 0);
    control
}

/// Takes the one descriptor out of received control data.
fn take_right(control: &[u8]) -> OwnedFd {
    let header = size_of::<libc::cmsghdr>();
    let bytes = control[header..header + 4].try_into().expect("four bytes");
    let number = i32::from_ne_bytes(bytes);
    assert!(number > 2, "a descriptor came");
    // SAFETY: the kernel made `number` for this process with the message, and nobody else took it.
    unsafe { OwnedFd::from_raw_fd(number) }
}

#[test]
fn udp_message_carries_addresses_and_all_buffers() {
    let ((a, a_addr), (b, b_addr)) = (udp(), udp());
    let parts = [IoSlice::new(b"one"), IoSlice::new(b"two")];
    assert_eq!(
        send_msg(a.as_fd(), &parts, &[], Some(&b_addr)).expect("there is room"),
        6
    );
    wait_ready(b.as_fd(), PollDirection::Read);
    let (mut head, mut tail) = ([0; 2], [0; 10]);
    let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
    let msg = recv_msg(b.as_fd(), &mut bufs, &mut []).expect("it came");
    let expected = RecvMsg {
        len: 6,
        control_len: 0,
        addr: a_addr,
        truncated: false,
        control_truncated: false,
    };
    assert_eq!(msg, expected);
    assert_eq!((&head, &tail[..4]), (b"on", b"etwo".as_slice()));
}

#[test]
fn message_longer_than_the_buffers_is_marked() {
    let (left, right) = socketpair(Kind::Datagram).expect("descriptors are free");
    send_msg(left.as_fd(), &[IoSlice::new(&[7; 100])], &[], None).expect("there is room");
    let mut buf = [0; 10];
    let bufs = &mut [IoSliceMut::new(&mut buf)];
    let msg = recv_msg(right.as_fd(), bufs, &mut []).expect("it came");
    assert_eq!((msg.len, msg.truncated), (10, true));
    assert_eq!(msg.addr, UnixAddr::Unnamed.into());
    let err = recv_msg(right.as_fd(), bufs, &mut []).expect_err("the rest is lost");
    assert_eq!(err.raw_os_error(), Some(errno::EAGAIN));
}

#[test]
fn more_buffers_than_the_kernel_takes_are_refused_whole() {
    let (left, right) = socketpair(Kind::Datagram).expect("descriptors are free");
    let parts = vec![IoSlice::new(b"x"); 1025];
    let err = send_msg(left.as_fd(), &parts, &[], None).expect_err("a cut datagram is worse");
    assert_eq!(err.raw_os_error(), Some(errno::EMSGSIZE));
    let mut bytes = vec![0u8; 1025];
    let mut bufs: Vec<_> = bytes.chunks_mut(1).map(IoSliceMut::new).collect();
    let err = recv_msg(right.as_fd(), &mut bufs, &mut []).expect_err("as in sending");
    assert_eq!(err.raw_os_error(), Some(errno::EMSGSIZE));
}

#[test]
fn stream_message_has_no_sender_and_its_end_is_empty() {
    let (left, right) = socketpair(Kind::Stream).expect("descriptors are free");
    send_msg(left.as_fd(), &[IoSlice::new(b"data")], &[], None).expect("there is room");
    drop(left);
    let mut buf = [0; 10];
    let bufs = &mut [IoSliceMut::new(&mut buf)];
    let msg = recv_msg(right.as_fd(), bufs, &mut []).expect("it came");
    assert_eq!((msg.len, msg.addr), (4, UnixAddr::Unnamed.into()));
    let end = recv_msg(right.as_fd(), bufs, &mut []).expect("the end");
    assert_eq!((end.len, end.truncated), (0, false));
    let err = send_msg(right.as_fd(), &[IoSlice::new(b"x")], &[], None).expect_err("no reader");
    assert_eq!(err.raw_os_error(), Some(errno::EPIPE));
}

#[test]
fn passed_descriptor_arrives_cloexec() {
    let (left, right) = socketpair(Kind::Stream).expect("descriptors are free");
    let (read_end, write_end) = fd::pipe().expect("descriptors are free");
    let control = rights(write_end.as_fd());
    send_msg(left.as_fd(), &[IoSlice::new(b"!")], &control, None).expect("there is room");
    drop(write_end);
    let (mut buf, mut control) = ([0; 4], [0; 64]);
    let bufs = &mut [IoSliceMut::new(&mut buf)];
    let msg = recv_msg(right.as_fd(), bufs, &mut control).expect("it came");
    assert_eq!(msg.len, 1);
    assert!(msg.control_len >= size_of::<libc::cmsghdr>() + 4 && !msg.control_truncated);
    let arrived = take_right(&control[..msg.control_len]);
    assert!(fd::is_cloexec(arrived.as_fd()).expect("open"));
    fd::write(arrived.as_fd(), b"via").expect("it is the pipe's end");
    let mut buf = [0; 8];
    assert_eq!(fd::read(read_end.as_fd(), &mut buf).expect("data waits"), 3);
}

#[test]
fn passed_descriptor_without_room_is_closed_and_marked() {
    let (left, right) = socketpair(Kind::Stream).expect("descriptors are free");
    let (read_end, write_end) = fd::pipe().expect("descriptors are free");
    let control = rights(write_end.as_fd());
    send_msg(left.as_fd(), &[IoSlice::new(b"!")], &control, None).expect("there is room");
    drop(write_end);
    let mut buf = [0; 4];
    let msg = recv_msg(right.as_fd(), &mut [IoSliceMut::new(&mut buf)], &mut []).expect("came");
    assert_eq!(
        (msg.len, msg.control_len, msg.control_truncated),
        (1, 0, true)
    );
    // The end of the pipe shows that no copy of its writer is left.
    assert_eq!(
        fd::read(read_end.as_fd(), &mut buf).expect("the writer is gone"),
        0
    );
}

#[test]
fn malformed_control_data_is_refused() {
    let (left, _right) = socketpair(Kind::Stream).expect("descriptors are free");
    // A header that claims less than its own size.
    let err = send_msg(left.as_fd(), &[IoSlice::new(b"!")], &[0; 24], None).expect_err("refused");
    assert_eq!(err.raw_os_error(), Some(errno::EINVAL));
}
