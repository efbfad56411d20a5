//! Tests of the options: one line each, and the default differs from the value set.

use std::fmt::Debug;
use std::os::fd::{AsFd, OwnedFd};

use super::*;
use crate::socket;

type Get<T> = fn(BorrowedFd<'_>) -> io::Result<T>;
type Set<T> = fn(BorrowedFd<'_>, T) -> io::Result<()>;

fn tcp() -> OwnedFd {
    socket::socket(Domain::Inet, Kind::Stream).expect("a descriptor is free")
}

fn tcp6() -> OwnedFd {
    socket::socket(Domain::Inet6, Kind::Stream).expect("a descriptor is free")
}

fn udp() -> OwnedFd {
    socket::socket(Domain::Inet, Kind::Datagram).expect("a descriptor is free")
}

/// Sets an option to a value that it does not have yet, reads it back, and restores it.
#[track_caller]
fn check<T: Copy + Debug + PartialEq>(fd: OwnedFd, get: Get<T>, set: Set<T>, value: T) {
    let fd = fd.as_fd();
    let default = get(fd).expect("the option exists");
    assert_ne!(default, value, "the default differs");
    set(fd, value).expect("a valid value");
    assert_eq!(get(fd).expect("the option exists"), value);
    set(fd, default).expect("the default is valid");
    assert_eq!(get(fd).expect("the option exists"), default);
}

#[track_caller]
fn check_errno(result: io::Result<()>, errno: i32) {
    assert_eq!(result.expect_err("refused").raw_os_error(), Some(errno));
}

#[test]
fn options_read_back_what_was_set() {
    let secs = Duration::from_secs;
    check(udp(), broadcast, set_broadcast, true);
    check(tcp6(), ipv6_only, set_ipv6_only, true);
    check(tcp(), keepalive, set_keepalive, true);
    check(tcp(), keepalive_count, set_keepalive_count, 5);
    check(tcp(), keepalive_idle, set_keepalive_idle, secs(33));
    check(tcp(), keepalive_interval, set_keepalive_interval, secs(17));
    check(tcp(), linger, set_linger, Some(secs(10)));
    check(tcp(), linger, set_linger, Some(Duration::ZERO));
    check(tcp(), nodelay, set_nodelay, true);
    check(tcp(), quickack, set_quickack, false);
    check(tcp(), reuse_address, set_reuse_address, true);
    check(tcp(), reuse_port, set_reuse_port, true);
    check(tcp6(), tclass_v6, set_tclass_v6, 0xb8);
    check(
        tcp(),
        tcp_user_timeout,
        set_tcp_user_timeout,
        Some(Duration::from_millis(1234)),
    );
    check(udp(), tos, set_tos, 0x2b);
    check(tcp(), ttl, set_ttl, 3);
    check(tcp6(), unicast_hops_v6, set_unicast_hops_v6, 5);
    check(tcp(), zero_copy, set_zero_copy, true);
}

fn udp6() -> OwnedFd {
    socket::socket(Domain::Inet6, Kind::Datagram).expect("a descriptor is free")
}

#[test]
fn datagram_options_read_back_what_was_set() {
    for mode in [MtuDiscovery::Dont, MtuDiscovery::Do, MtuDiscovery::Probe] {
        check(udp(), mtu_discovery, set_mtu_discovery, mode);
        check(udp6(), mtu_discovery, set_mtu_discovery, mode);
        check(udp6(), mtu_discovery_v6, set_mtu_discovery_v6, mode);
    }
    check(udp(), no_checksum, set_no_checksum, true);
    check(udp(), recv_pktinfo, set_recv_pktinfo, true);
    check(udp6(), recv_pktinfo_v6, set_recv_pktinfo_v6, true);
    check(udp6(), recv_tclass_v6, set_recv_tclass_v6, true);
    check(udp(), recv_tos, set_recv_tos, true);
    check(udp6(), recv_tos, set_recv_tos, true);
    check(udp(), udp_gro, set_udp_gro, true);
    check(udp6(), udp_gro, set_udp_gro, true);
}

#[test]
fn buffer_sizes_are_doubled() {
    let fd = tcp();
    set_recv_buffer_size(fd.as_fd(), 9000).expect("any size is taken");
    assert_eq!(recv_buffer_size(fd.as_fd()).expect("exists"), 18_000);
    set_send_buffer_size(fd.as_fd(), 10_000).expect("any size is taken");
    assert_eq!(send_buffer_size(fd.as_fd()).expect("exists"), 20_000);
}

#[test]
fn buffer_size_beyond_an_int_is_bounded_by_the_system() {
    let fd = tcp();
    let max: usize = std::fs::read_to_string("/proc/sys/net/core/rmem_max")
        .expect("the kernel tells")
        .trim()
        .parse()
        .expect("a number");
    set_recv_buffer_size(fd.as_fd(), usize::MAX).expect("any size is taken");
    assert_eq!(recv_buffer_size(fd.as_fd()).expect("exists"), 2 * max);
}

#[test]
fn durations_round_up() {
    let fd = tcp();
    let fd = fd.as_fd();
    set_keepalive_idle(fd, Duration::from_millis(1001)).expect("valid");
    assert_eq!(keepalive_idle(fd).expect("exists"), Duration::from_secs(2));
    set_keepalive_interval(fd, Duration::from_nanos(1)).expect("valid");
    assert_eq!(
        keepalive_interval(fd).expect("exists"),
        Duration::from_secs(1)
    );
    // Half a second must not become the zero that resets the connection.
    set_linger(fd, Some(Duration::from_millis(500))).expect("valid");
    assert_eq!(linger(fd).expect("exists"), Some(Duration::from_secs(1)));
    // Nor a nanosecond the zero that means the system's rule.
    set_tcp_user_timeout(fd, Some(Duration::ZERO)).expect("valid");
    assert_eq!(
        tcp_user_timeout(fd).expect("exists"),
        Some(Duration::from_millis(1))
    );
    assert_eq!(whole_seconds(Duration::MAX), c_int::MAX);
    assert_eq!(whole_seconds(Duration::ZERO), 0);
}

#[test]
fn values_out_of_range_are_refused_and_change_nothing() {
    let fd = tcp();
    let fd = fd.as_fd();
    let before = ttl(fd).expect("exists");
    // u32::MAX would be -1, the kernel's word for "back to the default".
    for bad in [0, 256, u32::MAX] {
        check_errno(set_ttl(fd, bad), errno::EINVAL);
    }
    assert_eq!(ttl(fd).expect("exists"), before);
    check_errno(set_keepalive_count(fd, 0), errno::EINVAL);
    check_errno(set_keepalive_count(fd, 128), errno::EINVAL);
    check_errno(set_keepalive_idle(fd, Duration::ZERO), errno::EINVAL);
    check_errno(set_keepalive_idle(fd, Duration::MAX), errno::EINVAL);
    check_errno(
        set_keepalive_interval(fd, Duration::from_secs(32_768)),
        errno::EINVAL,
    );
    check_errno(set_tcp_user_timeout(fd, Some(Duration::MAX)), errno::EINVAL);
    let fd = tcp6();
    check_errno(set_unicast_hops_v6(fd.as_fd(), 256), errno::EINVAL);
    check_errno(set_unicast_hops_v6(fd.as_fd(), u32::MAX), errno::EINVAL);
}

#[test]
fn mark_is_set_or_refused_for_want_of_privilege() {
    let fd = udp();
    let value = 0xffff_fff7;
    assert_eq!(mark(fd.as_fd()).expect("exists"), 0);
    let expected = match set_mark(fd.as_fd(), value) {
        Ok(()) => value,
        Err(err) => {
            assert_eq!(err.raw_os_error(), Some(errno::EPERM));
            0
        }
    };
    assert_eq!(mark(fd.as_fd()).expect("exists"), expected);
}

#[test]
fn bind_device_takes_loopback_and_refuses_bad_names() {
    let fd = udp();
    let fd = fd.as_fd();
    set_bind_device(fd, Some("lo")).expect("every network namespace has lo");
    let raw = int(fd, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX).expect("exists");
    assert_eq!(raw as u32, crate::interface::index("lo").expect("lo"));
    check_errno(set_bind_device(fd, Some("gannet-none")), libc::ENODEV);
    for bad in ["sixteen-letters!", "l\0o"] {
        let err = set_bind_device(fd, Some(bad)).expect_err("refused");
        assert_eq!(err.kind(), io::ErrorKind::InvalidInput, "{bad:?}");
    }
}

#[test]
fn bind_device_none_frees_the_socket() {
    let fd = udp();
    let fd = fd.as_fd();
    set_bind_device(fd, None).expect("freeing a free socket is allowed");
    assert_eq!(
        int(fd, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX).expect("exists"),
        0
    );
}

#[test]
fn socket_domain_and_kind_tell_what_was_asked() {
    let table = [
        (Domain::Inet, Kind::Stream),
        (Domain::Inet, Kind::Datagram),
        (Domain::Inet6, Kind::Stream),
        (Domain::Inet6, Kind::Datagram),
        (Domain::Unix, Kind::Stream),
        (Domain::Unix, Kind::Datagram),
        (Domain::Unix, Kind::SeqPacket),
    ];
    for (domain, kind) in table {
        let fd = socket::socket(domain, kind).expect("a descriptor is free");
        assert_eq!(socket_domain(fd.as_fd()).expect("known"), domain);
        assert_eq!(socket_kind(fd.as_fd()).expect("known"), kind);
        assert!(!is_listening(fd.as_fd()).expect("exists"));
    }
}

#[test]
fn socket_domain_unknown_is_unsupported() {
    use std::os::fd::FromRawFd;
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes three integers and no pointer.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
    let fd = cvt(fd).expect("netlink needs no privilege");
    // SAFETY: the kernel has just returned `fd`, so it is open and nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let err = socket_domain(fd.as_fd()).expect_err("not known here");
    assert_eq!(err.kind(), io::ErrorKind::Unsupported);
    assert_eq!(socket_kind(fd.as_fd()).expect("known"), Kind::Raw);
    let err = socket::local_addr(fd.as_fd()).expect_err("an address of another family");
    assert_eq!(err.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn is_listening_after_listen() {
    let fd = tcp();
    socket::listen(fd.as_fd(), 1).expect("an unbound socket gets a port");
    assert!(is_listening(fd.as_fd()).expect("exists"));
}

#[test]
fn option_on_another_descriptor_is_an_errno() {
    let file = std::fs::File::open("/proc/self/exe").expect("this program is a file");
    let err = keepalive(file.as_fd()).expect_err("no socket");
    assert_eq!(err.raw_os_error(), Some(errno::ENOTSOCK));
    let (left, _right) = socket::socketpair(Kind::Stream).expect("descriptors are free");
    check_errno(set_nodelay(left.as_fd(), true), errno::EOPNOTSUPP);
}
