//! Looking names up: many at once, given up, failed, and of several networks at the same time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gannet_net::error::{LookupError, is_deadline, is_timeout, op_error};
use gannet_net::{Dialer, StaticResolver, SystemResolver, dial};
use gannet_runtime::{spawn, time, yield_now};

use crate::common::{assert_well_formed, listen, run, run_threads};

#[test]
fn six_hundred_lookups_given_up_leave_room_for_another() {
    run_threads(async {
        let listener = listen("tcp").await;
        let port = listener.local_addr().unwrap().port().unwrap();
        // Few threads, so that most of the lookups are given up while they wait for one.
        let dialer = Dialer::new().resolver(SystemResolver::with_limit(4));
        let mut lookups = Vec::new();
        for _ in 0..600 {
            let dialer = dialer.clone();
            lookups.push(spawn(async move {
                let dialled = dialer.dial("tcp", format!("localhost:{port}"));
                time::timeout(Duration::ZERO, dialled).await.is_err()
            }));
        }
        for lookup in lookups {
            lookup.await.unwrap();
        }
        let address = format!("localhost:{port}");
        dialer.dial("tcp4", &address).await.unwrap();
    });
}

#[test]
fn five_thousand_lookups_without_an_answer_end_at_their_deadlines() {
    run_threads(async {
        let silent = |_: String, _: u16| std::future::pending::<io::Result<Vec<SocketAddr>>>();
        let dialer = Dialer::new()
            .resolver(silent)
            .timeout(Duration::from_millis(50));
        let mut lookups = Vec::new();
        for n in 0..5000 {
            let dialer = dialer.clone();
            lookups.push(spawn(async move {
                dialer
                    .dial("tcp", format!("host{n}.example:80"))
                    .await
                    .map(drop)
            }));
        }
        for lookup in lookups {
            let err = lookup.await.unwrap().unwrap_err();
            assert!(is_deadline(&err), "{err}");
        }
    });
}

#[test]
fn failed_lookup_shows_its_cause() {
    /// A cause of the resolver's own.
    #[derive(Debug, PartialEq)]
    struct OutOfOrder;
    impl std::fmt::Display for OutOfOrder {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("out of order")
        }
    }
    impl std::error::Error for OutOfOrder {}

    let dial = |fail: fn() -> io::Error| {
        let names = move |_: String, _: u16| std::future::ready(Err::<Vec<SocketAddr>, _>(fail()));
        let err = run(Dialer::new().resolver(names).dial("tcp", "name.example:1"));
        let err = err.unwrap_err();
        assert_well_formed(&err);
        err
    };
    let err = dial(gannet_net::error::deadline_exceeded);
    assert!(is_deadline(&err) && is_timeout(&err), "{err}");
    let err = dial(|| io::Error::other(OutOfOrder));
    let cause = op_error(&err).unwrap().err.get_ref().unwrap();
    assert_eq!(cause.downcast_ref(), Some(&OutOfOrder));
    assert!(!is_timeout(&err));
    let err = dial(|| LookupError::new("name.example", "no such host", true).into());
    assert_eq!(err.kind(), io::ErrorKind::NotFound);
    let err = dial(|| LookupError::new("name.example", "server misbehaving", false).into());
    let cause = op_error(&err).unwrap().err.get_ref().unwrap();
    assert!(!cause.downcast_ref::<LookupError>().unwrap().is_not_found);
}

#[test]
fn lookups_of_one_name_for_several_networks_do_not_mix() {
    run_threads(async {
        let v4: IpAddr = "127.0.0.1".parse().unwrap();
        let v6: IpAddr = "::1".parse().unwrap();
        let hosts = StaticResolver::new().host("name.example", [v6, v4]);
        let asked = Arc::new(AtomicUsize::new(0));
        let dialer = Dialer::new().resolver(hosts.clone());
        let other = Dialer::new().resolver({
            let asked = asked.clone();
            move |host: String, port: u16| {
                asked.fetch_add(1, Ordering::Relaxed);
                let hosts = hosts.clone();
                async move { gannet_net::Resolver::lookup(&hosts, &host, port).await }
            }
        });
        let mut dials = Vec::new();
        for _ in 0..5 {
            for (network, want) in [("udp", v6), ("udp4", v4), ("udp6", v6)] {
                for dialer in [dialer.clone(), other.clone()] {
                    dials.push(spawn(async move {
                        let conn = dialer.dial(network, "name.example:9").await.unwrap();
                        let peer = conn.peer_addr().unwrap().socket_addr().unwrap();
                        assert_eq!(peer.ip(), want, "{network}");
                    }));
                }
            }
        }
        for dial in dials {
            dial.await.unwrap();
        }
        assert_eq!(asked.load(Ordering::Relaxed), 15, "each resolver its own");
    });
}

#[test]
fn one_of_two_lookups_of_a_name_may_be_given_up() {
    run(async {
        let listener = listen("tcp").await;
        let addr = listener.local_addr().unwrap().socket_addr().unwrap();
        let given_up = Arc::new(AtomicBool::new(false));
        let slow = {
            let given_up = given_up.clone();
            move |_: String, _: u16| {
                let given_up = given_up.clone();
                async move {
                    while !given_up.load(Ordering::Relaxed) {
                        yield_now().await;
                    }
                    Ok::<_, io::Error>(vec![addr])
                }
            }
        };
        let dialer = Dialer::new().resolver(slow);
        let patient = dialer.clone();
        let patient = spawn(async move { patient.dial("tcp", "name.example:1").await });
        let hasty = dialer.timeout(Duration::from_millis(1));
        let err = hasty.dial("tcp", "name.example:1").await.unwrap_err();
        assert!(is_deadline(&err), "{err}");
        given_up.store(true, Ordering::Relaxed);
        patient.await.unwrap().unwrap();
    });
}

#[test]
fn literals_and_no_host_at_all_are_not_looked_up() {
    run(async {
        let listener = listen("tcp").await;
        let port = listener.local_addr().unwrap().port().unwrap();
        let never = |_: String, _: u16| -> std::future::Ready<io::Result<Vec<SocketAddr>>> {
            panic!("nothing to look up")
        };
        let dialer = Dialer::new().resolver(never);
        for host in ["127.0.0.1", "", "[::ffff:127.0.0.1]"] {
            dialer
                .dial("tcp", format_args!("{host}:{port}"))
                .await
                .unwrap();
        }
        dial("tcp", format_args!(":{port}")).await.unwrap();
    });
}
