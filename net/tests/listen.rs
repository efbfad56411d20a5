//! Listening: addresses, options, hooks, and accepting.

mod common;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{assert_well_formed, listen, local, run, run_threads};
use gannet_net::error::{is_closed, is_deadline, op_error, raw_os_error};
use gannet_net::{Dialer, KeepAlive, ListenConfig, Network, RawSocket, TcpListener, TcpStream};
use gannet_runtime::{spawn, yield_now};
use gannet_sys::errno;
use gannet_sys::option;
use gannet_sys::socket::Domain;
use std::os::fd::AsFd;

fn past() -> Option<Instant> {
    Instant::now().checked_sub(Duration::from_millis(1))
}

#[test]
fn listen_address_decides_the_family() {
    let rows = [
        ("tcp", "", Domain::Inet6, false),
        ("tcp", ":0", Domain::Inet6, false),
        ("tcp", "0.0.0.0:0", Domain::Inet6, false),
        ("tcp", "[::ffff:0.0.0.0]:0", Domain::Inet6, false),
        ("tcp", "[::]:0", Domain::Inet6, false),
        ("tcp", "127.0.0.1:0", Domain::Inet, false),
        ("tcp", "[::ffff:127.0.0.1]:0", Domain::Inet, false),
        ("tcp", "[::1]:0", Domain::Inet6, false),
        ("tcp4", ":0", Domain::Inet, false),
        ("tcp4", "0.0.0.0:0", Domain::Inet, false),
        ("tcp4", "[::]:0", Domain::Inet, false),
        ("tcp4", "127.0.0.1:0", Domain::Inet, false),
        ("tcp6", ":0", Domain::Inet6, true),
        ("tcp6", "[::]:0", Domain::Inet6, true),
        ("tcp6", "[::1]:0", Domain::Inet6, true),
    ];
    run(async {
        for (network, address, domain, v6_only) in rows {
            for packet in [false, true] {
                let network = if packet {
                    network.replace("tcp", "udp")
                } else {
                    network.into()
                };
                // Asked in the hook: binding to one IPv6 address makes the kernel set it, too.
                let config = ListenConfig::new().control(move |info, socket| {
                    let got = option::socket_domain(socket.as_fd())?;
                    assert_eq!(got, domain, "{} {}", info.network, info.address);
                    let got = socket.ipv6_only().unwrap_or(false);
                    assert_eq!(got, v6_only, "{} {}", info.network, info.address);
                    Ok(())
                });
                let again = if packet {
                    let socket = config.listen_packet(&network, address).await.unwrap();
                    config
                        .listen_packet(&network, socket.local_addr().unwrap())
                        .await
                        .map(drop)
                } else {
                    let socket = config.listen_stream(&network, address).await.unwrap();
                    config
                        .listen_stream(&network, socket.local_addr().unwrap())
                        .await
                        .map(drop)
                };
                let err = again.expect_err("the address is in use");
                assert_eq!(
                    raw_os_error(&err),
                    Some(errno::EADDRINUSE),
                    "{network} {address}"
                );
            }
        }
    });
}

#[test]
fn listen_address_in_use_prints_as_go_prints_it() {
    run(async {
        let first = TcpListener::bind(":0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let err = TcpListener::bind(format_args!(":{port}"))
            .await
            .unwrap_err();
        assert_eq!(
            err.to_string(),
            format!("listen tcp :{port}: bind: address already in use")
        );
        assert_eq!(err.kind(), io::ErrorKind::AddrInUse);
        assert_well_formed(&err);
    });
}

#[test]
fn listen_families_of_one_port_conflict_as_in_go() {
    let conflicts = ["", "0.0.0.0", "[::]", "[::ffff:0.0.0.0]"];
    run(async {
        for first in conflicts {
            for second in conflicts {
                let held = TcpListener::bind(format_args!("{first}:0")).await.unwrap();
                let port = held.local_addr().unwrap().port();
                let err = TcpListener::bind(format_args!("{second}:{port}"))
                    .await
                    .unwrap_err();
                let errno = raw_os_error(&err);
                assert_eq!(errno, Some(errno::EADDRINUSE), "{first} {second}");
            }
        }
        for ((net1, host1), (net2, host2)) in [
            (("tcp4", ""), ("tcp6", "")),
            (("tcp6", ""), ("tcp4", "")),
            (("tcp4", "0.0.0.0"), ("tcp6", "[::]")),
            (("tcp", "127.0.0.1"), ("tcp", "[::1]")),
            (("tcp6", "[::1]"), ("tcp4", "127.0.0.1")),
        ] {
            let mut tries = 0;
            loop {
                let config = ListenConfig::new();
                let held = config
                    .listen_stream(net1, format_args!("{host1}:0"))
                    .await
                    .unwrap();
                let port = held.local_addr().unwrap().port().unwrap();
                match config
                    .listen_stream(net2, format_args!("{host2}:{port}"))
                    .await
                {
                    Ok(_) => break,
                    // Another program may hold the port of the other family.
                    Err(err) if tries == 5 => panic!("{net1} {host1}, {net2} {host2}: {err}"),
                    Err(_) => tries += 1,
                }
            }
        }
    });
}

/// Network, address, and what listening for streams there fails with.
const BAD_INPUT: [(&str, &str, &str); 11] = [
    ("foo", "", "foo: unknown network foo"),
    (
        "tcp",
        "127.0.0.1",
        "tcp: address 127.0.0.1: missing port in address",
    ),
    ("tcp", "127.0.0.1:65536", "tcp: address 65536: invalid port"),
    ("tcp", "127.0.0.1:99999", "tcp: address 99999: invalid port"),
    ("tcp", "127.0.0.1:-1", "tcp: address -1: invalid port"),
    ("tcp", "127.0.0.1:☺", "tcp: lookup tcp/☺: unknown port"),
    (
        "tcp",
        "fd77::1:x",
        "tcp: address fd77::1:x: too many colons in address",
    ),
    (
        "tcp6",
        "127.0.0.1:0",
        "tcp6: address 127.0.0.1: no suitable address found",
    ),
    ("udp", ":0", "udp :0: address :0: unexpected address type"),
    (
        "unixgram",
        "x",
        "unixgram x: address x: unexpected address type",
    ),
    (
        "unix",
        "/nonexistent/x",
        "unix /nonexistent/x: bind: no such file or directory",
    ),
];

#[test]
fn listen_bad_input_is_named() {
    run(async {
        let config = ListenConfig::new();
        for (network, address, text) in BAD_INPUT {
            let err = config.listen_stream(network, address).await.unwrap_err();
            assert_eq!(err.to_string(), format!("listen {text}"));
            assert_well_formed(&err);
        }
        let long = "x".repeat(108);
        let err = config.listen_stream("unix", &long).await.unwrap_err();
        let rule = "unix socket path of 108 bytes is over the limit of 107";
        assert_eq!(err.to_string(), format!("listen unix {long}: {rule}"));
        assert_well_formed(&err);
        let err = config.listen_packet("tcp", ":0").await.unwrap_err();
        let text = "listen tcp :0: address :0: unexpected address type";
        assert_eq!(err.to_string(), text);
    });
}

#[test]
fn listen_hook_runs_before_bind_and_is_told_the_family() {
    let rows = [
        ("tcp", "127.0.0.1:0", "tcp4", "127.0.0.1:0"),
        ("tcp", ":0", "tcp6", ":0"),
        ("tcp", "[::1]:0", "tcp6", "[::1]:0"),
        ("tcp4", ":0", "tcp4", ":0"),
        ("tcp6", ":0", "tcp6", ":0"),
        ("unix", "@gannet-hook", "unix", "@gannet-hook"),
        ("udp", "127.0.0.1:0", "udp4", "127.0.0.1:0"),
        ("udp6", ":0", "udp6", ":0"),
        ("unixgram", "", "unixgram", "@"),
    ];
    run(async {
        for (network, address, want_network, want_address) in rows {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let config = ListenConfig::new().control({
                let seen = seen.clone();
                move |info, socket| {
                    let local = gannet_sys::socket::local_addr(socket.as_fd())?;
                    let bound =
                        matches!(local, gannet_sys::sockaddr::SockAddr::Inet(a) if a.port() != 0);
                    assert!(!bound, "the hook runs before bind");
                    let defaults = match info.network {
                        Network::Udp4 | Network::Udp6 => socket.broadcast()?,
                        Network::Unixgram => true,
                        _ => socket.reuse_address()?,
                    };
                    assert!(defaults, "the hook runs after the defaults");
                    seen.lock()
                        .unwrap()
                        .push((info.network.to_string(), info.address.clone()));
                    Ok(())
                }
            });
            match network.starts_with("udp") || network == "unixgram" {
                true => drop(config.listen_packet(network, address).await.unwrap()),
                false => drop(config.listen_stream(network, address).await.unwrap()),
            }
            let want = vec![(want_network.to_owned(), want_address.to_owned())];
            assert_eq!(*seen.lock().unwrap(), want, "{network} {address}: once");
        }
    });
}

#[test]
fn listen_hook_error_fails_the_listen() {
    run(async {
        let refuse = |_: &_, _: &RawSocket<'_>| Err(io::Error::other("not today"));
        let err = ListenConfig::new()
            .control(refuse)
            .listen_stream("tcp", "127.0.0.1:0")
            .await;
        assert_eq!(
            err.unwrap_err().to_string(),
            "listen tcp 127.0.0.1:0: not today"
        );
        let config = ListenConfig::new().control(|_, socket| socket.set_ttl(300));
        let err = config
            .listen_packet("udp", "127.0.0.1:0")
            .await
            .unwrap_err();
        assert_eq!(
            err.to_string(),
            "listen udp 127.0.0.1:0: control: invalid argument"
        );
        assert_eq!(raw_os_error(&err), Some(errno::EINVAL));
    });
}

#[test]
fn reuse_port_hook_lets_two_listeners_share_an_address() {
    run(async {
        let config = ListenConfig::new().control(|_, socket| socket.set_reuse_port(true));
        let first = config.listen_stream("tcp", "127.0.0.1:0").await.unwrap();
        let second = config
            .listen_stream("tcp", first.local_addr().unwrap())
            .await
            .unwrap();
        assert_eq!(first.local_addr().unwrap(), second.local_addr().unwrap());
    });
}

#[test]
fn accepted_connection_inherits_the_listeners_options() {
    let s = Duration::from_secs;
    let config = KeepAlive {
        idle: Some(s(33)),
        interval: Some(s(5)),
        count: Some(4),
    };
    run(async {
        for (listen, want) in [
            (ListenConfig::new(), Some(KeepAlive::default())),
            (ListenConfig::new().keep_alive(config), Some(config)),
            (ListenConfig::new().keep_alive(None), None),
        ] {
            let listener = listen.listen_stream("tcp", "127.0.0.1:0").await.unwrap();
            let dialer = Dialer::new().keep_alive(config);
            let client = dialer
                .dial("tcp", listener.local_addr().unwrap())
                .await
                .unwrap();
            let (server, _) = listener.accept().await.unwrap();
            let server = TcpStream::try_from(server).unwrap();
            assert!(server.nodelay().unwrap());
            assert_eq!(server.keep_alive().unwrap(), want);
            let client = TcpStream::try_from(client).unwrap();
            assert!(client.nodelay().unwrap());
            assert_eq!(client.keep_alive().unwrap(), Some(config));
        }
    });
}

#[test]
fn accepted_addresses_are_those_of_the_dialler() {
    for network in ["tcp", "tcp4", "tcp6", "unix"] {
        run(async {
            let listener = listen(network).await;
            let addr = listener.local_addr().unwrap();
            let client = gannet_net::dial(network, &addr).await.unwrap();
            let (server, peer) = listener.accept().await.unwrap();
            assert_eq!(server.local_addr().unwrap(), addr);
            assert_eq!(client.peer_addr().unwrap(), addr);
            assert_eq!(server.peer_addr().unwrap(), peer);
            assert_eq!(client.local_addr().unwrap(), peer);
            assert_eq!(server.network().as_str(), network);
            assert!(network.starts_with(addr.network()));
        });
    }
}

#[test]
fn dual_stack_listener_shows_ipv4_peers_as_ipv4() {
    run(async {
        let listener = TcpListener::bind(":0").await.unwrap();
        let local = listener.local_addr().unwrap();
        assert_eq!(local.ip().to_string(), "::");
        let client = TcpStream::connect(format_args!("127.0.0.1:{}", local.port()))
            .await
            .unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_ipv4());
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(server.local_addr().unwrap(), client.peer_addr().unwrap());
    });
}

#[test]
fn accept_deadline_in_the_past_fails_even_with_a_peer() {
    for network in ["tcp", "unix"] {
        run(async {
            let listener = listen(network).await;
            let addr = listener.local_addr().unwrap();
            let _client = gannet_net::dial(network, &addr).await.unwrap();
            listener.readable().await.unwrap();
            listener.set_deadline(past()).unwrap();
            let err = listener.accept().await.unwrap_err();
            assert!(is_deadline(&err), "{err}");
            assert_eq!(
                err.to_string(),
                format!("accept {network} {addr}: i/o timeout")
            );
            assert_well_formed(&err);
            listener.set_deadline(None).unwrap();
            listener.accept().await.expect("the peer still waits");
            listener
                .set_deadline(Some(Instant::now() + Duration::from_millis(3)))
                .unwrap();
            assert!(is_deadline(&listener.accept().await.unwrap_err()));
        });
    }
}

#[test]
fn close_ends_blocked_accepts_and_frees_the_address() {
    for network in ["tcp", "unix"] {
        run_threads(async {
            for _ in 0..20 {
                let listener = Arc::new(listen(network).await);
                let addr = listener.local_addr().unwrap();
                let acceptors: Vec<_> = (0..3)
                    .map(|_| {
                        let listener = listener.clone();
                        spawn(async move { listener.accept().await.map(drop).unwrap_err() })
                    })
                    .collect();
                for _ in 0..5 {
                    yield_now().await;
                }
                listener.close().await.unwrap();
                let again = ListenConfig::new().listen_stream(network, &addr).await;
                again.expect("the address is free once close returns");
                for acceptor in acceptors {
                    let err = acceptor.await.unwrap();
                    assert!(is_closed(&err), "{err}");
                    assert_eq!(op_error(&err).unwrap().addr, Some(addr.clone()));
                }
                assert!(is_closed(&listener.close().await.unwrap_err()));
            }
        });
    }
}

#[test]
fn accept_after_close_never_returns_a_queued_peer() {
    run(async {
        let listener = listen("tcp").await;
        let addr = listener.local_addr().unwrap();
        let _first = gannet_net::dial("tcp", &addr).await.unwrap();
        let _second = gannet_net::dial("tcp", &addr).await.unwrap();
        listener.accept().await.unwrap();
        listener.close().await.unwrap();
        assert!(is_closed(&listener.accept().await.unwrap_err()));
    });
}

#[test]
fn concurrent_accepts_share_the_peers() {
    run_threads(async {
        const PEERS: usize = 100;
        let listener = Arc::new(listen("tcp").await);
        let addr = listener.local_addr().unwrap();
        let acceptors: Vec<_> = (0..10)
            .map(|_| {
                let listener = listener.clone();
                spawn(async move {
                    let mut accepted = 0;
                    while let Ok((conn, _)) = listener.accept().await {
                        conn.write_all(b"x").await.unwrap();
                        accepted += 1;
                    }
                    accepted
                })
            })
            .collect();
        for _ in 0..PEERS {
            let conn = gannet_net::dial("tcp", &addr).await.unwrap();
            conn.read_exact(&mut [0]).await.unwrap();
        }
        listener.close().await.unwrap();
        let mut accepted = 0;
        for acceptor in acceptors {
            accepted += acceptor.await.unwrap();
        }
        assert_eq!(accepted, PEERS);
        assert_eq!(listener.accept_pauses(), 0);
    });
}

#[test]
fn backlog_limits_the_queue() {
    run(async {
        let config = ListenConfig::new().backlog(0);
        let listener = config.listen_stream("unix", local("unix")).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let _first = gannet_net::dial("unix", &addr).await.unwrap();
        let err = gannet_net::dial("unix", &addr).await.unwrap_err();
        assert_eq!(raw_os_error(&err), Some(errno::EAGAIN), "the queue is full");
        let text = format!("dial unix {addr}: connect: resource temporarily unavailable");
        assert_eq!(err.to_string(), text);
    });
}

/// A connection whose edge comes while earlier ones are still being accepted is accepted too: what
/// the kernel told of its queue before that is not the last word.
#[test]
fn connections_that_come_while_others_are_accepted_are_not_forgotten() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut peers = Vec::new();
        for wave in 1..=5 {
            for _ in 0..wave {
                // Blocking, so that this thread sees no edge meanwhile.
                peers.push(std::net::TcpStream::connect(addr).unwrap());
            }
            listener.accept().await.unwrap();
            // Its edges are delivered now, and the next accept finds them.
            for _ in 0..200 {
                yield_now().await;
            }
        }
        let soon = Instant::now() + Duration::from_secs(10);
        listener.set_read_deadline(Some(soon)).unwrap();
        for _ in 5..peers.len() {
            listener.accept().await.expect("none is forgotten");
        }
        listener.set_read_deadline(past()).unwrap();
        assert!(is_deadline(&listener.accept().await.unwrap_err()));
    });
}

/// A listener that was shut down elsewhere fails, also after it has told that none waits.
#[test]
fn accept_on_a_listener_that_was_shut_down_fails() {
    run(async {
        for accepts_before in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if accepts_before {
                let _peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                listener.accept().await.unwrap();
            }
            let fd = listener.as_fd();
            gannet_sys::socket::shutdown(fd, std::net::Shutdown::Both).unwrap();
            // Its edge is delivered, and the next accept finds it.
            for _ in 0..200 {
                yield_now().await;
            }
            let soon = Instant::now() + Duration::from_secs(10);
            listener.set_read_deadline(Some(soon)).unwrap();
            let err = listener.accept().await.unwrap_err();
            assert_eq!(raw_os_error(&err), Some(errno::EINVAL), "{err}");
        }
    });
}
