//! Dialling: errors, deadlines, local addresses, hooks.

mod common;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{assert_well_formed, fresh_path, listen, run};
use gannet_net::error::{LookupError, is_deadline, op_error, raw_os_error};
use gannet_net::{Addr, Dialer, TcpListener, TcpStream, dial};
use gannet_sys::errno;

/// A port of this machine that nobody listens on.
fn closed_port() -> u16 {
    StdListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A listener whose queue is full, so that connecting to it takes for ever, and the peers that fill
/// it.
async fn black_hole() -> (gannet_net::Listener, Vec<gannet_net::Conn>) {
    let config = gannet_net::ListenConfig::new().backlog(0);
    let listener = config.listen_stream("tcp", "127.0.0.1:0").await.unwrap();
    let dialer = Dialer::new().timeout(Duration::from_millis(100));
    let mut peers = Vec::new();
    while let Ok(peer) = dialer.dial("tcp", listener.local_addr().unwrap()).await {
        peers.push(peer);
        assert!(peers.len() < 100, "the queue never fills");
    }
    (listener, peers)
}

#[test]
fn dial_refused_prints_as_go_prints_it() {
    run(async {
        let port = closed_port();
        let err = dial("tcp", format_args!("127.0.0.1:{port}"))
            .await
            .unwrap_err();
        let text = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
        assert_eq!(err.to_string(), text);
        assert_eq!(err.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(raw_os_error(&err), Some(errno::ECONNREFUSED));
        assert_well_formed(&err);

        let path = fresh_path();
        let err = dial("unix", path.display()).await.unwrap_err();
        let text = format!(
            "dial unix {}: connect: no such file or directory",
            path.display()
        );
        assert_eq!(err.to_string(), text);
        assert_eq!(err.kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn dial_bad_input_is_named() {
    run(async {
        let long = "x".repeat(108);
        for (network, address, text) in [
            ("foo", "", "dial foo: unknown network foo".to_owned()),
            ("bar", "baz", "dial bar: unknown network bar".into()),
            ("tcp", "", "dial tcp: missing address".into()),
            ("unix", "", "dial unix: missing address".into()),
            ("unixgram", "", "dial unixgram: missing address".into()),
            (
                "tcp",
                "127.0.0.1:☺",
                "dial tcp: lookup tcp/☺: unknown port".into(),
            ),
            (
                "udp",
                "127.0.0.1:-1",
                "dial udp: address -1: invalid port".into(),
            ),
            (
                "tcp",
                "127.0.0.1:123456789",
                "dial tcp: address 123456789: invalid port".into(),
            ),
            (
                "tcp",
                "127.0.0.1",
                "dial tcp: address 127.0.0.1: missing port in address".into(),
            ),
            (
                "tcp",
                "127.0.0.1:65536",
                "dial tcp: address 65536: invalid port".into(),
            ),
            (
                "unix",
                &long,
                format!("dial unix {long}: unix socket path of 108 bytes is over the limit of 107"),
            ),
        ] {
            let err = dial(network, address).await.unwrap_err();
            assert_eq!(err.to_string(), text);
            assert_eq!(
                err.kind(),
                match text.contains("unknown port") {
                    true => io::ErrorKind::NotFound,
                    false => io::ErrorKind::InvalidInput,
                }
            );
            assert_well_formed(&err);
        }
    });
}

#[test]
fn dial_ipv6_network_refuses_ipv4_literals() {
    run(async {
        let listener = TcpListener::bind(":0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "[::ffff:127.0.0.1]"] {
            let err = dial("tcp6", format_args!("{host}:{port}"))
                .await
                .unwrap_err();
            assert!(
                err.to_string().ends_with("no suitable address found"),
                "{err}"
            );
        }
        for (network, host) in [("tcp", ""), ("tcp4", ""), ("tcp4", "[::]"), ("tcp", "[::]")] {
            let conn = dial(network, format_args!("{host}:{port}")).await.unwrap();
            let peer = conn.peer_addr().unwrap().socket_addr().unwrap();
            assert!(peer.ip().is_loopback(), "{network} {host}: {peer}");
        }
    });
}

#[test]
fn dial_name_is_looked_up_off_the_worker() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let conn = TcpStream::connect(format_args!("localhost:{port}"))
            .await
            .unwrap();
        assert_eq!(conn.peer_addr().unwrap().port(), port);

        // A name longer than any may be: refused by the C library without asking the network.
        let name = "x".repeat(300);
        let err = dial("tcp", format_args!("{name}:80")).await.unwrap_err();
        let text = err.to_string();
        assert!(
            text.starts_with(&format!("dial tcp: lookup {name}: ")),
            "{text}"
        );
        assert!(
            op_error(&err)
                .unwrap()
                .err
                .get_ref()
                .unwrap()
                .is::<LookupError>()
        );
    });
}

#[test]
fn dial_without_time_left_fails_at_once() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let past = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        let future = Instant::now() + Duration::from_secs(3600);
        for dialer in [
            Dialer::new().timeout(Duration::ZERO),
            Dialer::new().deadline(past),
            Dialer::new().timeout(Duration::from_secs(9)).deadline(past),
            Dialer::new().timeout(Duration::ZERO).deadline(future),
        ] {
            let err = dialer.dial("tcp", addr).await.unwrap_err();
            assert!(is_deadline(&err), "{err}");
            assert_eq!(err.to_string(), format!("dial tcp {addr}: i/o timeout"));
        }
        let patient = Dialer::new().timeout(Duration::MAX);
        patient
            .dial("tcp", addr)
            .await
            .expect("the longest timeout is none");
    });
}

#[test]
fn dial_timeout_ends_a_connect_that_nobody_answers() {
    run(async {
        let (listener, _peers) = black_hole().await;
        let addr = listener.local_addr().unwrap();
        let limit = Duration::from_millis(30);
        let started = Instant::now();
        let err = Dialer::new()
            .timeout(limit)
            .dial("tcp", &addr)
            .await
            .unwrap_err();
        assert!(
            is_deadline(&err) && err.kind() == io::ErrorKind::TimedOut,
            "{err}"
        );
        assert!(started.elapsed() >= limit, "early");
        assert_well_formed(&err);
    });
}

#[test]
fn dial_deadline_does_not_limit_the_connection() {
    run(async {
        let listener = listen("tcp").await;
        let dialer = Dialer::new().timeout(Duration::from_millis(200));
        let client = dialer
            .dial("tcp", listener.local_addr().unwrap())
            .await
            .unwrap();
        gannet_runtime::time::sleep(Duration::from_millis(250)).await;
        client
            .write_all(b"x")
            .await
            .expect("no deadline is left behind");
    });
}

#[test]
fn dial_local_address_is_used() {
    run(async {
        let listener = listen("tcp").await;
        let addr = listener.local_addr().unwrap();
        let local: Addr = Addr::Tcp("127.0.0.2:0".parse().unwrap());
        let conn = Dialer::new()
            .local_addr(local)
            .dial("tcp", &addr)
            .await
            .unwrap();
        let got = conn.local_addr().unwrap().socket_addr().unwrap();
        assert_eq!(got.ip().to_string(), "127.0.0.2");

        let taken = Dialer::new().local_addr(addr.clone());
        let err = taken.dial("tcp", &addr).await.unwrap_err();
        assert_eq!(
            err.to_string(),
            format!("dial tcp {addr}->{addr}: bind: address already in use")
        );

        let udp = Dialer::new().local_addr(Addr::Udp("127.0.0.1:0".parse().unwrap()));
        let err = udp.dial("tcp", &addr).await.unwrap_err();
        assert!(
            err.to_string().ends_with("mismatched local address type"),
            "{err}"
        );
    });
}

#[test]
fn dial_unix_local_name_is_bound() {
    run(async {
        let listener = listen("unix").await;
        let path = fresh_path();
        let name = Addr::unix(path.to_str().unwrap());
        let conn = Dialer::new().local_addr(name.clone());
        let conn = conn
            .dial("unix", listener.local_addr().unwrap())
            .await
            .unwrap();
        let (_server, peer) = listener.accept().await.unwrap();
        assert_eq!((conn.local_addr().unwrap(), peer), (name.clone(), name));
        std::fs::remove_file(path).expect("a dialler's file is not unlinked");
    });
}

#[test]
fn dial_hook_runs_before_connect_and_is_told_the_family() {
    run(async {
        for (network, want) in [
            ("tcp", "tcp4"),
            ("tcp4", "tcp4"),
            ("tcp6", "tcp6"),
            ("unix", "unix"),
        ] {
            let listener = listen(network).await;
            let addr = listener.local_addr().unwrap();
            let seen = Arc::new(Mutex::new(Vec::new()));
            let dialer = Dialer::new().control({
                let seen = seen.clone();
                move |info, socket| {
                    let peer = gannet_sys::socket::peer_addr(socket.as_fd()).unwrap_err();
                    assert_eq!(peer.raw_os_error(), Some(errno::ENOTCONN));
                    if want != "unix" {
                        socket.set_ttl(7)?;
                    }
                    seen.lock()
                        .unwrap()
                        .push((info.network.to_string(), info.address.clone()));
                    Ok(())
                }
            });
            let conn = dialer.dial(network, &addr).await.unwrap();
            assert_eq!(*seen.lock().unwrap(), [(want.to_owned(), addr.to_string())]);
            if want != "unix" {
                assert_eq!(conn.ttl().unwrap(), 7);
            }
        }
        let refuse = Dialer::new().control(|_, _| Err(io::Error::other("not today")));
        let err = refuse.dial("tcp", "127.0.0.1:9").await.unwrap_err();
        assert_eq!(err.to_string(), "dial tcp 127.0.0.1:9: not today");
    });
}

#[test]
fn dial_many_times_to_a_closing_listener_never_yields_half_a_connection() {
    // Writability without a connection (Go#14548): a connection that was returned can always be
    // written to, unless its peer has gone.
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        for round in 0..300 {
            if round == 150 {
                listener.close().await.unwrap();
            }
            let Ok(conn) = Dialer::new()
                .timeout(Duration::from_secs(1))
                .dial("tcp", addr)
                .await
            else {
                continue;
            };
            if let Err(err) = conn.write(b"x").await {
                assert_ne!(raw_os_error(&err), Some(errno::ENOTCONN), "{err}");
            }
        }
    });
}

#[test]
fn dial_that_connects_to_itself_is_tried_again() {
    run(async {
        let addr: SocketAddr = format!("127.0.0.1:{}", closed_port()).parse().unwrap();
        for (unlucky, attempts, connects) in [(1, 2, false), (2, 3, false), (9, 3, true)] {
            let count = Arc::new(AtomicUsize::new(0));
            let dialer = Dialer::new().control({
                let count = count.clone();
                move |_, socket| match count.fetch_add(1, Ordering::Relaxed) < unlucky {
                    // What the kernel may choose by accident: the port that is dialled.
                    true => {
                        // Closed by a reset, so that the port is free for the next attempt.
                        socket.set_linger(Some(Duration::ZERO))?;
                        gannet_sys::socket::bind(socket.as_fd(), &addr.into())
                    }
                    false => Ok(()),
                }
            });
            let result = dialer.dial("tcp", addr).await;
            assert_eq!(count.load(Ordering::Relaxed), attempts, "{result:?}");
            match result {
                Ok(conn) => {
                    assert!(connects && conn.local_addr().unwrap() == conn.peer_addr().unwrap())
                }
                Err(err) => assert!(!connects && raw_os_error(&err) == Some(errno::ECONNREFUSED)),
            }
        }
    });
}

#[test]
fn dial_without_a_free_port_is_tried_again() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        for (local, unlucky, attempts, connects) in [
            (None, 2, 3, true),
            (None, 3, 3, false),
            (Some(Addr::Tcp("127.0.0.1:0".parse().unwrap())), 2, 3, true),
            (
                Some(Addr::Tcp(
                    format!("127.0.0.1:{}", closed_port()).parse().unwrap(),
                )),
                1,
                1,
                false,
            ),
        ] {
            let count = Arc::new(AtomicUsize::new(0));
            let dialer = Dialer::new().local_addr(local).control({
                let count = count.clone();
                move |_, _| match count.fetch_add(1, Ordering::Relaxed) < unlucky {
                    true => Err(io::Error::from_raw_os_error(errno::EADDRNOTAVAIL)),
                    false => Ok(()),
                }
            });
            let result = dialer.dial("tcp", addr).await;
            assert_eq!(count.load(Ordering::Relaxed), attempts, "{result:?}");
            assert_eq!(result.is_ok(), connects);
        }
    });
}
