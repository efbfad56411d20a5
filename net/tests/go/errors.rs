//! What fails, and how the error looks.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gannet_net::error::{
    self, AddrError, LookupError, Op, OpError, SyscallError, UnknownNetworkError,
    WriteToConnectedError, is_closed, is_deadline, is_temporary, is_timeout, raw_os_error,
};
use gannet_net::{
    Dialer, KindError, ListenConfig, ReuniteError, Socket, TcpListener, TcpStream, UdpSocket,
    UnixDatagram, UnixListener, UnixStream,
};
use gannet_sys::errno;

use crate::common::{assert_well_formed, run};

/// Input that fails before there is a socket.
const BAD: [(&str, &str); 14] = [
    ("foo", ""),
    ("bar", "baz"),
    ("datakit", "mh/astro/r70"),
    ("tcp", "127.0.0.1"),
    ("tcp", "127.0.0.1:☺"),
    ("tcp", "mh/astro/r70:http"),
    ("tcp", "127.0.0.1:-1"),
    ("tcp", "127.0.0.1:123456789"),
    ("udp", "127.0.0.1:☺"),
    ("udp", "127.0.0.1:-1"),
    ("udp", "127.0.0.1:123456789"),
    ("tcp4", "[::1]:80"),
    ("udp6", "127.0.0.1:80"),
    ("ip", "127.0.0.1"),
];

#[test]
fn bad_input_fails_before_there_is_a_socket() {
    let sockets = Arc::new(AtomicUsize::new(0));
    let count = || {
        let sockets = sockets.clone();
        move |_: &_, _: &gannet_net::RawSocket<'_>| {
            sockets.fetch_add(1, Ordering::Relaxed);
            Err(io::Error::other("a socket was made"))
        }
    };
    let dialer = Dialer::new().control(count());
    let config = ListenConfig::new().control(count());
    // No name may be so long, so that no server is asked for it.
    let no_name = format!("{}:80", "x".repeat(300));
    run(async {
        for (network, address) in BAD.into_iter().chain([("tcp", &*no_name)]) {
            let err = dialer.dial(network, address).await.unwrap_err();
            assert_well_formed(&err);
            let err = config.listen_stream(network, address).await.unwrap_err();
            assert_well_formed(&err);
            let err = config.listen_packet(network, address).await.unwrap_err();
            assert_well_formed(&err);
        }
        for network in ["tcp", "udp", "unix", "unixgram", "unixpacket"] {
            let err = dialer.dial(network, "").await.unwrap_err();
            assert!(err.to_string().ends_with(": missing address"), "{err}");
        }
    });
    assert_eq!(sockets.load(Ordering::Relaxed), 0);
}

#[test]
fn names_that_lead_nowhere_fail_at_the_system_call() {
    run(async {
        for network in ["unix", "unixgram", "unixpacket"] {
            let err = gannet_net::dial(network, "/nonexistent/gannet")
                .await
                .unwrap_err();
            assert_eq!(raw_os_error(&err), Some(errno::ENOENT));
            assert_well_formed(&err);
        }
        let err = gannet_net::listen_stream("unix", "/nonexistent/gannet")
            .await
            .unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::ENOENT));
        let err = gannet_net::listen_packet("unixgram", "/nonexistent/gannet").await;
        assert_eq!(raw_os_error(&err.unwrap_err()), Some(errno::ENOENT));
    });
}

#[test]
fn typed_dials_and_listens_fail_well_formed() {
    run(async {
        let far = "127.0.0.1:65536";
        for err in [
            TcpStream::connect(far).await.unwrap_err(),
            UdpSocket::connect(far).await.unwrap_err(),
            TcpListener::bind(far).await.unwrap_err(),
            UdpSocket::bind(far).await.unwrap_err(),
        ] {
            assert!(
                err.to_string().ends_with(": address 65536: invalid port"),
                "{err}"
            );
            assert_well_formed(&err);
        }
        // A folder is no socket.
        for err in [
            UnixStream::connect("//").await.unwrap_err(),
            UnixDatagram::connect("//").await.unwrap_err(),
            UnixListener::bind("//").await.unwrap_err(),
            UnixDatagram::bind("//").await.unwrap_err(),
        ] {
            assert!(raw_os_error(&err).is_some(), "{err}");
            assert_well_formed(&err);
        }
    });
}

#[test]
fn every_error_is_one() {
    fn is_error<T: Error + Send + Sync + 'static>() {}
    is_error::<AddrError>();
    is_error::<KindError<Socket>>();
    is_error::<LookupError>();
    is_error::<OpError>();
    is_error::<ReuniteError>();
    is_error::<SyscallError>();
    is_error::<UnknownNetworkError>();
    is_error::<WriteToConnectedError>();

    let addr = || gannet_net::split_host_port("x").unwrap_err();
    for (err, timeout, temporary) in [
        (error::closed(), false, false),
        (error::deadline_exceeded(), true, true),
        (addr().into(), false, false),
        (
            LookupError::new("x", "no such host", true).into(),
            false,
            false,
        ),
        (UnknownNetworkError("x".into()).into(), false, false),
        (WriteToConnectedError.into(), false, false),
        (
            OpError::new(Op::Read, "tcp", addr().into()).into(),
            false,
            false,
        ),
    ] {
        assert_eq!(
            (is_timeout(&err), is_temporary(&err)),
            (timeout, temporary),
            "{err}"
        );
        let wrapped = io::Error::from(OpError::new(Op::Read, "tcp", err));
        assert_eq!(
            (is_timeout(&wrapped), is_temporary(&wrapped)),
            (timeout, temporary)
        );
    }
    let err = error::closed();
    assert!(is_closed(&err) && !is_deadline(&err));
    assert_eq!(err.to_string(), "use of closed network connection");
}

#[test]
fn errno_is_found_in_every_wrapping() {
    for number in [errno::EADDRNOTAVAIL, errno::EINVAL] {
        let bare = || io::Error::from_raw_os_error(number);
        let call = || error::syscall("connect", bare());
        for err in [
            bare(),
            call(),
            OpError::new(Op::Dial, "tcp", bare()).into(),
            OpError::new(Op::Dial, "tcp", call()).into(),
        ] {
            assert_eq!(raw_os_error(&err), Some(number), "{err:?}");
            assert_eq!(err.kind(), bare().kind());
        }
    }
}
