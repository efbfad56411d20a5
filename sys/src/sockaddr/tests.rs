//! Tests of the conversions: round trips, the 107-byte rule, and lengths that kernels report.

use super::*;

fn inet(text: &str) -> SockAddr {
    SockAddr::Inet(text.parse().expect("a literal address"))
}

fn path_of(len: usize) -> UnixAddr {
    UnixAddr::Path("p".repeat(len).into())
}

/// What the kernel would have written, followed by bytes of an earlier use.
fn raw(family: i32, body: &[u8], len: usize) -> RawAddr {
    let mut raw = RawAddr::with_family(family, len);
    raw.bytes[FAMILY_LEN..].fill(0xee);
    raw.put(FAMILY_LEN, body);
    raw
}

#[test]
fn every_address_survives_the_round_trip() {
    let flow = SocketAddrV6::new("::1".parse().expect("a literal"), 80, 0x000f_1234, 7);
    let table = [
        (inet("127.0.0.1:80"), 16),
        (inet("127.254.253.252:65535"), 16),
        (inet("[::ffff:127.1.2.3]:443"), 28),
        (SockAddr::Inet(flow.into()), 28),
        (UnixAddr::Unnamed.into(), 2),
        (UnixAddr::Path("/tmp/a".into()).into(), 2 + 7),
        (path_of(107).into(), 110),
        (UnixAddr::Abstract(b"bus".to_vec()).into(), 2 + 4),
        (UnixAddr::Abstract(Vec::new()).into(), 2 + 1),
        (UnixAddr::Abstract(b"a\0b\0".to_vec()).into(), 2 + 5),
        (UnixAddr::Abstract(vec![0xff; 107]).into(), 110),
    ];
    for (addr, len) in table {
        let raw = RawAddr::new(&addr).expect("a valid address");
        assert_eq!(raw.len, len, "{addr:?}");
        assert_eq!(raw.decode().expect("what was written can be read"), addr);
    }
}

#[test]
fn bytes_are_the_kernels() {
    let raw = RawAddr::new(&inet("127.2.3.4:258")).expect("valid");
    assert_eq!(raw.bytes[2..8], [1, 2, 127, 2, 3, 4]);
    let addr = SocketAddrV6::new(
        "::ffff:127.2.3.4".parse().expect("a literal"),
        513,
        0xa1b2_c3d4,
        5,
    );
    let raw = RawAddr::new(&SockAddr::Inet(addr.into())).expect("valid");
    assert_eq!(raw.bytes[2..4], [2, 1]);
    assert_eq!(raw.bytes[4..8], 0xa1b2_c3d4u32.to_ne_bytes());
    assert_eq!(raw.bytes[8..18], [0; 10]);
    assert_eq!(raw.bytes[18..24], [0xff, 0xff, 127, 2, 3, 4]);
    assert_eq!(raw.bytes[24..28], 5u32.to_ne_bytes());
}

#[test]
fn layout_fits_every_kernel_structure() {
    assert_eq!(offset_of!(RawAddr, bytes), 0);
    assert!(align_of::<RawAddr>() >= align_of::<sockaddr_storage>());
    assert_eq!(UnixAddr::NAME_MAX, 107);
}

#[test]
fn empty_path_is_unnamed() {
    assert_eq!(UnixAddr::from_path("").expect("valid"), UnixAddr::Unnamed);
    let raw = RawAddr::new(&UnixAddr::Path(PathBuf::new()).into()).expect("valid");
    assert_eq!(raw.len, 2);
    assert_eq!(raw.decode().expect("valid"), UnixAddr::Unnamed.into());
}

#[test]
fn bad_unix_names_are_refused_by_rule_length_and_limit() {
    let table = [
        (
            path_of(108),
            "unix socket path of 108 bytes is over the limit of 107",
        ),
        (
            path_of(5000),
            "unix socket path of 5000 bytes is over the limit of 107",
        ),
        (
            UnixAddr::Abstract(vec![b'a'; 108]),
            "unix socket abstract name of 108 bytes is over the limit of 107",
        ),
        (
            UnixAddr::Path("a/\0b".into()),
            "unix socket path of 4 bytes (limit 107) has a NUL byte at offset 2",
        ),
        (
            UnixAddr::Path("\0abstract".into()),
            "unix socket path of 9 bytes (limit 107) has a NUL byte at offset 0",
        ),
    ];
    for (addr, text) in table {
        let err = RawAddr::new(&addr.into()).err().expect("refused");
        assert_eq!(err.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(err.to_string(), text);
    }
    assert!(UnixAddr::from_path("p".repeat(107)).is_ok());
    assert!(UnixAddr::from_path("p".repeat(108)).is_err());
}

#[test]
fn absent_addresses_are_unnamed() {
    // Streams report length 0 for the sender; garbage in the buffer must not matter.
    for len in [0, 1] {
        let addr = raw(libc::AF_INET, &[1; 20], len)
            .decode()
            .expect("no address");
        assert_eq!(addr, UnixAddr::Unnamed.into(), "length {len}");
    }
    let addr = raw(libc::AF_UNIX, b"stale", 2).decode().expect("no name");
    assert_eq!(addr, UnixAddr::Unnamed.into());
}

#[test]
fn unix_paths_end_at_nul_or_at_the_length() {
    let table: [(&[u8], usize, &str); 4] = [
        (b"/a\0", 2 + 3, "/a"),
        (b"/a\0junk", 2 + 7, "/a"),
        // No NUL within the length: the length ends it.
        (b"/abc", 2 + 4, "/abc"),
        (b"/abcdef", 2 + 3, "/ab"),
    ];
    for (body, len, path) in table {
        let addr = raw(libc::AF_UNIX, body, len).decode().expect("a path");
        assert_eq!(addr, UnixAddr::Path(path.into()).into());
    }
}

#[test]
fn unix_path_of_the_whole_field_is_read_in_full() {
    // A path of 108 bytes has no room for its NUL; the kernel then reports 111, one more than
    // the structure has.
    let mut body = [b'p'; 109];
    body[108] = 0;
    let addr = raw(libc::AF_UNIX, &body, 111).decode().expect("a path");
    assert_eq!(addr, path_of(108).into());
}

#[test]
fn lengths_beyond_the_storage_are_cut() {
    let addr = raw(libc::AF_UNIX, &[b'p'; 126], 4096)
        .decode()
        .expect("a path");
    assert_eq!(addr, path_of(126).into());
    let long = raw(libc::AF_INET, &[0, 80, 127, 0, 0, 1], usize::from(u16::MAX));
    assert_eq!(long.decode().expect("an address"), inet("127.0.0.1:80"));
}

#[test]
fn short_inet_addresses_are_errors_or_read_as_far_as_they_go() {
    for (family, len) in [(libc::AF_INET, 7), (libc::AF_INET, 2), (libc::AF_INET6, 23)] {
        let err = raw(family, &[], len).decode().expect_err("too short");
        assert_eq!(err.kind(), io::ErrorKind::InvalidData);
        assert!(err.to_string().contains(&format!("{len} bytes")), "{err}");
    }
    // The form of RFC 2133 has no scope id.
    let mut old = RawAddr::new(&inet("[::1]:9")).expect("valid");
    old.len = 24;
    assert_eq!(
        old.decode().expect("complete but for the scope"),
        inet("[::1]:9")
    );
}

#[test]
fn any_bytes_decode_without_panic() {
    for family in 0..=50 {
        for len in 0..=140 {
            let known = [
                libc::AF_INET,
                libc::AF_INET6,
                libc::AF_UNIX,
                libc::AF_PACKET,
            ]
            .contains(&family);
            let result = raw(family, &[], len).decode();
            assert_eq!(
                result.is_err() && len >= 2,
                result.is_err(),
                "family {family} len {len}"
            );
            assert!(
                known || len < 2 || result.is_err(),
                "family {family} len {len}"
            );
        }
    }
    let err = raw(libc::AF_NETLINK, &[], 12)
        .decode()
        .expect_err("not ours");
    assert!(err.to_string().contains("family 16"), "{err}");
}
