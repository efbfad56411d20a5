//! Names with several addresses: which are tried, in which order, and who wins.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gannet_net::{Conn, Dialer, ListenConfig, Listener, StaticResolver, TcpListener};

use crate::common::run;

const HOUR: Duration = Duration::from_secs(3600);

/// A resolver that knows one name, `name.example`, with these addresses.
fn hosts(addresses: &[&str]) -> StaticResolver {
    let ips = addresses.iter().map(|ip| ip.parse::<IpAddr>().unwrap());
    StaticResolver::new().host("name.example", ips)
}

/// The addresses of the name that dialling tries, in order, or why there are none.
fn tried(network: &str, addresses: &[&str]) -> Result<Vec<String>, String> {
    let tried = Arc::new(Mutex::new(Vec::new()));
    let dialer = Dialer::new().resolver(hosts(addresses)).control({
        let tried = tried.clone();
        move |info, _| {
            tried.lock().unwrap().push(info.address.clone());
            Err(io::Error::other("tried, not dialled"))
        }
    });
    let err = run(dialer.dial(network, "name.example:1")).unwrap_err();
    let tried = std::mem::take(&mut *tried.lock().unwrap());
    match tried.is_empty() {
        true => Err(err.to_string()),
        false => Ok(tried),
    }
}

#[test]
fn addresses_of_a_name_are_filtered_by_network_and_take_turns_by_family() {
    const A4: &str = "127.0.0.1";
    const B4: &str = "192.0.2.1";
    const A6: &str = "::1";
    const B6: &str = "2001:db8::1";
    let (a4, b4, a6, b6) = ("127.0.0.1:1", "192.0.2.1:1", "[::1]:1", "[2001:db8::1]:1");
    for (addresses, any, only4, only6) in [
        (&[A4][..], &[a4][..], &[a4][..], &[][..]),
        (&[A4, B4], &[a4, b4], &[a4, b4], &[]),
        (&[A6], &[a6], &[], &[a6]),
        (&[A6, B6], &[a6, b6], &[], &[a6, b6]),
        (&[A4, A6], &[a4, a6], &[a4], &[a6]),
        (&[A6, A4], &[a6, a4], &[a4], &[a6]),
        (&[A4, B4, A6, B6], &[a4, a6, b4, b6], &[a4, b4], &[a6, b6]),
        (&[A6, B6, A4, B4], &[a6, a4, b6, b4], &[a4, b4], &[a6, b6]),
        (&[A4, A6, B4, B6], &[a4, a6, b4, b6], &[a4, b4], &[a6, b6]),
        (&[A6, A4, B4, B6], &[a6, a4, b6, b4], &[a4, b4], &[a6, b6]),
        // In its IPv6 form it is IPv4 all the same.
        (&["::ffff:127.0.0.1"], &[a4], &[a4], &[]),
        (&[A6, "::ffff:127.0.0.1"], &[a6, a4], &[a4], &[a6]),
    ] {
        for (network, want) in [("tcp", any), ("tcp4", only4), ("tcp6", only6)] {
            let got = tried(network, addresses);
            match want.is_empty() {
                false => assert_eq!(got.as_deref(), Ok(&want.map_owned()[..]), "{addresses:?}"),
                true => {
                    let rule = "address name.example: no suitable address found";
                    assert_eq!(got, Err(format!("dial {network}: {rule}")));
                }
            }
        }
    }
}

/// Text of one's own.
trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for [&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|&text| text.to_owned()).collect()
    }
}

#[test]
fn listener_takes_the_first_ipv4_address_of_a_name() {
    run(async {
        for (network, addresses, host) in [
            ("tcp", &["::1", "127.0.0.2", "127.0.0.1"][..], "127.0.0.2"),
            ("tcp", &["::1"], "::1"),
            ("tcp4", &["::1", "127.0.0.1"], "127.0.0.1"),
            ("tcp6", &["127.0.0.1", "::1"], "::1"),
        ] {
            let config = ListenConfig::new().resolver(hosts(addresses));
            let listener = config
                .listen_stream(network, "name.example:0")
                .await
                .unwrap();
            let addr = listener.local_addr().unwrap().socket_addr().unwrap();
            assert_eq!(addr.ip().to_string(), host, "{network} {addresses:?}");
        }
    });
}

/// What an address does when it is dialled.
#[derive(Clone, Copy, Debug)]
enum Acts {
    Answers,
    Refuses,
    /// Says nothing.
    Silent,
}

/// Addresses that act as told, and what keeps them so.
struct Stage {
    addrs: Vec<SocketAddr>,
    _listeners: Vec<Listener>,
    _peers: Vec<Conn>,
}

impl Stage {
    async fn new(cast: &[(&str, Acts)]) -> Self {
        let mut stage = Stage {
            addrs: Vec::new(),
            _listeners: Vec::new(),
            _peers: Vec::new(),
        };
        for &(host, acts) in cast {
            let backlog = if matches!(acts, Acts::Silent) { 0 } else { 16 };
            let config = ListenConfig::new().backlog(backlog);
            let listener = config
                .listen_stream("tcp", format_args!("{host}:0"))
                .await
                .unwrap();
            let addr = listener.local_addr().unwrap();
            stage.addrs.push(addr.socket_addr().unwrap());
            let limit = Dialer::new().timeout(Duration::from_millis(100));
            if matches!(acts, Acts::Silent) {
                while let Ok(peer) = limit.dial("tcp", &addr).await {
                    stage._peers.push(peer);
                }
            }
            if !matches!(acts, Acts::Refuses) {
                stage._listeners.push(listener);
            }
        }
        stage
    }

    /// A dialer whose every name has the addresses of the stage.
    fn dialer(&self, pause: Duration) -> Dialer {
        let addrs = self.addrs.clone();
        let names = move |_: String, _: u16| std::future::ready(Ok::<_, io::Error>(addrs.clone()));
        Dialer::new().resolver(names).fallback_delay(pause)
    }
}

#[test]
fn race_is_won_by_who_answers_whatever_the_others_do() {
    use Acts::{Answers, Refuses, Silent};
    const V4: &str = "127.0.0.1";
    const V6: &str = "[::1]";
    // With a pause of an hour only those end that need not wait for it.
    let pause = Duration::from_millis(20);
    for (cast, pause, winner) in [
        (&[(V4, Answers)][..], HOUR, Some(0)),
        (&[(V6, Answers)], HOUR, Some(0)),
        (&[(V4, Answers), (V6, Silent)], HOUR, Some(0)),
        (&[(V6, Answers), (V4, Silent)], HOUR, Some(0)),
        (&[(V4, Silent), (V6, Answers)], pause, Some(1)),
        (&[(V4, Answers), (V6, Refuses)], HOUR, Some(0)),
        (&[(V6, Answers), (V4, Refuses)], HOUR, Some(0)),
        (
            &[(V4, Silent), (V6, Refuses), (V4, Answers)],
            pause,
            Some(2),
        ),
        (&[(V4, Refuses), (V6, Answers)], HOUR, Some(1)),
        (&[(V6, Refuses), (V4, Answers)], HOUR, Some(1)),
        (&[(V4, Refuses)], HOUR, None),
        (&[(V4, Refuses), (V6, Refuses)], HOUR, None),
    ] {
        run(async {
            let stage = Stage::new(cast).await;
            let started = Instant::now();
            let dialled = stage.dialer(pause).dial("tcp", "name.example:1").await;
            let peer = dialled.map(|conn| conn.peer_addr().unwrap().socket_addr().unwrap());
            let want = winner.map(|index| stage.addrs[index]);
            assert_eq!(peer.ok(), want, "{cast:?}");
            if pause != HOUR {
                assert!(started.elapsed() >= pause, "{cast:?}");
            }
            // Given up in the middle, it returns all the same.
            let soon = stage.dialer(pause).timeout(Duration::from_millis(5));
            let _ = soon.dial("tcp", "name.example:1").await;
        });
    }
}

#[test]
fn race_of_a_thousand_equal_addresses_ends() {
    run(async {
        let stage = Stage::new(&[("[::1]", Acts::Answers)]).await;
        let addrs = vec![stage.addrs[0]; 1000];
        let names = move |_: String, _: u16| std::future::ready(Ok::<_, io::Error>(addrs.clone()));
        let dialer = Dialer::new().resolver(names).fallback_delay(HOUR);
        dialer.dial("tcp", "name.example:1").await.unwrap();

        let nobody = |_: String, _: u16| std::future::ready(Ok::<_, io::Error>(Vec::new()));
        let err = Dialer::new()
            .resolver(nobody)
            .dial("tcp", "name.example:1")
            .await;
        let text = "dial tcp: lookup name.example: no such host";
        assert_eq!(err.unwrap_err().to_string(), text);
    });
}

#[test]
fn name_of_both_families_is_reached_by_the_one_that_is_left() {
    run(async {
        let (v4, v6, port) = loop {
            let v4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = v4.local_addr().unwrap().port();
            // Another program may hold the port of the other family.
            if let Ok(v6) = TcpListener::bind(format_args!("[::1]:{port}")).await {
                break (v4, v6, port);
            }
        };
        let dialer = Dialer::new()
            .resolver(hosts(&["::1", "127.0.0.1"]))
            .fallback_delay(HOUR);
        let first = dialer
            .dial("tcp", format_args!("name.example:{port}"))
            .await
            .unwrap();
        let used = first.peer_addr().unwrap().socket_addr().unwrap();
        let gone = if used.is_ipv6() { &v6 } else { &v4 };
        gone.close().await.unwrap();
        let second = dialer
            .dial("tcp", format_args!("name.example:{port}"))
            .await
            .unwrap();
        let left = second.peer_addr().unwrap().socket_addr().unwrap();
        assert_ne!(left.is_ipv6(), used.is_ipv6());
    });
}
