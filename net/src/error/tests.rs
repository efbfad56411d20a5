use super::*;

fn tcp(text: &str) -> Addr {
    Addr::Tcp(text.parse().unwrap())
}

#[track_caller]
fn check(err: OpError, text: &str) {
    assert_eq!(io::Error::from(err).to_string(), text);
}

#[test]
fn missing_privilege_is_named_and_keeps_its_errno() {
    let err = MissingPrivilegeError::new("socket", errno::EPERM, "raw sockets take CAP_NET_RAW");
    let err = io::Error::from(OpError::new(Op::Listen, "ip4", err.into()));
    let text = "listen ip4: socket: operation not permitted (raw sockets take CAP_NET_RAW)";
    assert_eq!(err.to_string(), text);
    assert_eq!(raw_os_error(&err), Some(errno::EPERM));
    assert_eq!(err.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn op_error_display_is_go_text() {
    let refused = || syscall("connect", io::Error::from_raw_os_error(errno::ECONNREFUSED));
    let in_use = syscall("bind", io::Error::from_raw_os_error(errno::EADDRINUSE));
    let bad_port = AddrError::new("invalid port", "99999");
    let (a, b) = (tcp("127.0.0.1:1"), tcp("[::1]:2"));

    check(
        OpError::new(Op::Dial, "tcp", refused()).to(a.clone()),
        "dial tcp 127.0.0.1:1: connect: connection refused",
    );
    check(
        OpError::new(Op::Dial, "tcp", refused()).between(b.clone(), a.clone()),
        "dial tcp [::1]:2->127.0.0.1:1: connect: connection refused",
    );
    check(
        OpError::new(Op::Listen, "tcp", in_use).to(a.clone()),
        "listen tcp 127.0.0.1:1: bind: address already in use",
    );
    check(
        OpError::new(Op::Listen, "tcp", bad_port.into()),
        "listen tcp: address 99999: invalid port",
    );
    check(
        OpError::new(Op::Read, "tcp", deadline_exceeded()).between(a.clone(), b),
        "read tcp 127.0.0.1:1->[::1]:2: i/o timeout",
    );
    check(
        OpError::new(Op::Read, "tcp4", closed()).between(a, None),
        "read tcp4 127.0.0.1:1: use of closed network connection",
    );
    check(
        OpError::new(Op::Dial, "foo", UnknownNetworkError("foo".into()).into()),
        "dial foo: unknown network foo",
    );
}

#[test]
fn wrapped_errno_stays_reachable() {
    let cause = syscall("connect", io::Error::from_raw_os_error(errno::ECONNREFUSED));
    let err = io::Error::from(OpError::new(Op::Dial, "tcp", cause));
    let twice = io::Error::other(err);

    assert_eq!(twice.raw_os_error(), None, "std loses it");
    assert_eq!(raw_os_error(&twice), Some(errno::ECONNREFUSED));
    assert_eq!(
        op_error(&twice).map(|op| op.kind()),
        Some(io::ErrorKind::ConnectionRefused)
    );
    assert_eq!(raw_os_error(&io::Error::other("text")), None);
}

#[test]
fn closed_and_deadline_are_told_apart_through_wrappers() {
    let wrap = |err| io::Error::from(OpError::new(Op::Read, "udp", err));
    let (closed, late) = (wrap(closed()), wrap(deadline_exceeded()));

    assert!(is_closed(&closed) && !is_deadline(&closed));
    assert!(!is_timeout(&closed) && !is_temporary(&closed));
    assert!(is_deadline(&late) && !is_closed(&late));
    assert!(is_timeout(&late) && is_temporary(&late));
    assert_eq!(late.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn temporary_depends_on_errno_and_operation() {
    let err = |op, errno| {
        let cause = syscall("x", io::Error::from_raw_os_error(errno));
        io::Error::from(OpError::new(op, "tcp", cause))
    };
    for (op, errno, temporary, timeout) in [
        (Op::Accept, errno::EMFILE, true, false),
        (Op::Accept, errno::ECONNABORTED, true, false),
        (Op::Read, errno::ECONNRESET, false, false),
        (Op::Read, errno::ETIMEDOUT, true, true),
        (Op::Read, errno::EINTR, true, false),
        (Op::Dial, errno::ECONNREFUSED, false, false),
    ] {
        let err = err(op, errno);
        assert_eq!(is_temporary(&err), temporary, "{err}");
        assert_eq!(op_error(&err).unwrap().is_temporary(), temporary, "{err}");
        assert_eq!(is_timeout(&err), timeout, "{err}");
    }
}

#[test]
fn progress_belongs_to_its_direction() {
    let err = |op| io::Error::from(OpError::new(op, "tcp", deadline_exceeded()).after(7));
    assert_eq!(
        (written(&err(Op::Write)), received(&err(Op::Write))),
        (Some(7), None)
    );
    assert_eq!(
        (written(&err(Op::Read)), received(&err(Op::Read))),
        (None, Some(7))
    );
    assert_eq!(written(&io::Error::other("text")), None);
}
