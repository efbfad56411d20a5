//! Names: resolvers, services, and addresses that race.

mod common;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{assert_well_formed, run, run_threads};
use gannet_net::error::{LookupError, is_deadline, op_error, raw_os_error};
use gannet_net::{
    Conn, Dialer, ListenConfig, Listener, StaticResolver, SystemResolver, TcpListener, UdpSocket,
};
use gannet_runtime::spawn;
use gannet_sys::errno;

const NEVER: Duration = Duration::from_secs(3600);

/// Makes a resolver whose every name has these addresses, ports included.
fn always(addrs: Vec<SocketAddr>) -> impl gannet_net::Resolver + 'static {
    move |_host: String, _port: u16| std::future::ready(Ok(addrs.clone()))
}

fn closed() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A listener whose queue is full, so that connecting to it takes for ever, and the peers that fill
/// it.
async fn black_hole() -> (SocketAddr, Listener, Vec<Conn>) {
    let config = ListenConfig::new().backlog(0);
    let listener = config.listen_stream("tcp", "127.0.0.1:0").await.unwrap();
    let dialer = Dialer::new().timeout(Duration::from_millis(100));
    let mut peers = Vec::new();
    while let Ok(peer) = dialer.dial("tcp", listener.local_addr().unwrap()).await {
        peers.push(peer);
        assert!(peers.len() < 100, "the queue never fills");
    }
    let addr = listener.local_addr().unwrap().socket_addr().unwrap();
    (addr, listener, peers)
}

#[test]
fn race_passes_by_addresses_that_do_not_answer() {
    run(async {
        let (silent, _listener, _peers) = black_hole().await;
        let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = live.local_addr().unwrap();
        let names = always(vec![silent, silent, addr]);
        let dialer = Dialer::new().resolver(names);
        let dialer = dialer.fallback_delay(Duration::from_millis(1));
        let conn = dialer.dial("tcp", "name:1").await.unwrap();
        assert_eq!(conn.peer_addr().unwrap().socket_addr(), Some(addr));
    });
}

#[test]
fn race_goes_on_at_once_after_a_refusal() {
    run(async {
        let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = live.local_addr().unwrap();
        let dialer = Dialer::new().resolver(always(vec![closed(), closed(), addr]));
        // With a pause it would hang.
        let dialer = dialer.fallback_delay(NEVER);
        let conn = dialer.dial("tcp", "name:1").await.unwrap();
        assert_eq!(conn.peer_addr().unwrap().socket_addr(), Some(addr));
    });
}

#[test]
fn race_keeps_one_connection_and_closes_the_others() {
    run(async {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addrs = vec![first.local_addr().unwrap(), second.local_addr().unwrap()];
        let dialer = Dialer::new().resolver(always(addrs.clone()));
        let dialer = dialer.fallback_delay(Duration::ZERO);
        for _ in 0..20 {
            let conn = dialer.dial("tcp", "name:1").await.unwrap();
            let peer = conn.peer_addr().unwrap().socket_addr();
            let won = addrs.iter().position(|&addr| Some(addr) == peer).unwrap();
            let (winner, loser) = [(&first, &second), (&second, &first)][won];
            conn.write_all(b"x").await.unwrap();
            let (server, _) = winner.accept().await.unwrap();
            server.read_exact(&mut [0]).await.unwrap();
            // The loser connected or not; what it sent is nothing, and it is gone.
            let _ = loser.set_read_deadline(Some(gannet_runtime::time::now()));
            while let Ok((server, _)) = loser.accept().await {
                assert!(!matches!(server.read(&mut [0]).await, Ok(1..)));
            }
            loser.set_read_deadline(None).unwrap();
        }
    });
}

#[test]
fn race_lost_by_all_tells_of_the_first() {
    run(async {
        let (first, second) = (closed(), closed());
        let dialer = Dialer::new().resolver(always(vec![first, second]));
        let err = dialer.dial("tcp", "name:1").await.unwrap_err();
        let text = format!("dial tcp {first}: connect: connection refused");
        assert_eq!(err.to_string(), text);
        assert_eq!(raw_os_error(&err), Some(errno::ECONNREFUSED));
        assert_well_formed(&err);
    });
}

#[test]
fn race_ends_at_the_deadline() {
    run(async {
        let (silent, _listener, _peers) = black_hole().await;
        for delay in [Some(Duration::ZERO), Some(NEVER), None] {
            let dialer = Dialer::new().resolver(always(vec![silent, silent]));
            let dialer = dialer.fallback_delay(delay);
            let dialer = dialer.timeout(Duration::from_millis(50));
            let err = dialer.dial("tcp", "name:1").await.unwrap_err();
            assert!(is_deadline(&err), "{err}");
            assert_well_formed(&err);
        }
    });
}

#[test]
fn race_can_be_spawned_and_dropped() {
    run_threads(async {
        let (silent, _listener, _peers) = black_hole().await;
        let dialer = Dialer::new().resolver(always(vec![silent, silent]));
        let dialer = dialer.fallback_delay(Duration::ZERO);
        let dial = spawn(async move { dialer.dial("tcp", "name:1").await.map(drop) });
        gannet_runtime::yield_now().await;
        dial.abort();
        assert!(dial.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn resolver_is_asked_for_names_only_and_by_listeners_too() {
    run(async {
        let asked = Arc::new(AtomicUsize::new(0));
        let names = {
            let asked = Arc::clone(&asked);
            move |host: String, port: u16| {
                asked.fetch_add(1, Ordering::Relaxed);
                assert_eq!(host, "here.example");
                std::future::ready(Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]))
            }
        };
        let config = ListenConfig::new().resolver(names);
        for address in ["127.0.0.1:0", "[::1]:0", ":0", ""] {
            config.listen_packet("udp", address).await.unwrap();
        }
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        let socket = config.listen_packet("udp4", "here.example:0").await;
        let addr = socket.unwrap().local_addr().unwrap();
        assert_eq!(addr.socket_addr().unwrap().ip(), Ipv4Addr::LOCALHOST);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn static_resolver_knows_its_hosts_by_any_case() {
    run(async {
        let live = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = live.local_addr().unwrap().port();
        let hosts = StaticResolver::new()
            .host("Db.Example.", [IpAddr::from([127, 0, 0, 1])])
            .host("empty", []);
        let dialer = Dialer::new().resolver(hosts);
        for name in ["db.example", "DB.EXAMPLE."] {
            let conn = dialer.dial("udp", format_args!("{name}:{port}")).await;
            assert_eq!(conn.unwrap().peer_addr().unwrap().port(), Some(port));
        }
        for name in ["other", "empty"] {
            let err = dialer.dial("udp", format_args!("{name}:1")).await;
            let err = err.unwrap_err();
            let text = format!("dial udp: lookup {name}: no such host");
            assert_eq!(err.to_string(), text);
            assert_eq!(err.kind(), io::ErrorKind::NotFound);
        }
    });
}

#[test]
fn resolver_error_and_deadline_are_the_dials() {
    run(async {
        let down = |host: String, _port: u16| async move {
            let err = LookupError::new(host, "server misbehaving", false);
            Err::<Vec<SocketAddr>, _>(err.into())
        };
        let err = Dialer::new().resolver(down).dial("tcp", "name:1").await;
        let err = err.unwrap_err();
        assert_eq!(err.to_string(), "dial tcp: lookup name: server misbehaving");
        assert!(op_error(&err).unwrap().addr.is_none());

        let silent = |_host: String, _port: u16| std::future::pending();
        let dialer = Dialer::new().resolver(silent);
        let dialer = dialer.timeout(Duration::from_millis(10));
        let err = dialer.dial("tcp", "name:1").await.unwrap_err();
        assert!(is_deadline(&err), "{err}");
    });
}

#[test]
fn system_resolver_finds_localhost_within_its_limit() {
    run_threads(async {
        let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = live.local_addr().unwrap().port();
        let dialer = Dialer::new().resolver(SystemResolver::with_limit(1));
        let dials = (0..8).map(|_| {
            let dialer = dialer.clone();
            spawn(async move {
                let conn = dialer.dial("tcp4", format!("localhost:{port}")).await;
                conn.unwrap().peer_addr().unwrap().port()
            })
        });
        for dial in dials.collect::<Vec<_>>() {
            assert_eq!(dial.await.unwrap(), Some(port));
        }
    });
}

#[test]
fn service_of_the_system_has_its_port() {
    run(async {
        let text = fs::read_to_string("/etc/services").unwrap_or_default();
        let known = text.lines().find_map(|line| {
            let mut fields = line.split('#').next()?.split_whitespace();
            let name = fields.next()?;
            let port = fields.next()?.strip_suffix("/udp")?.parse().ok()?;
            Some((name.to_uppercase(), port))
        });
        let (name, port) = known.unwrap_or(("domain".to_owned(), 53_u16));
        let conn = gannet_net::dial("udp", format_args!("127.0.0.1:{name}")).await;
        assert_eq!(conn.unwrap().peer_addr().unwrap().port(), Some(port));

        let err = gannet_net::dial("udp", "127.0.0.1:no-such-service").await;
        let text = "dial udp: lookup udp/no-such-service: unknown port";
        assert_eq!(err.unwrap_err().to_string(), text);
    });
}
