//! Dialling that is given up, and the keep-alive probes of what was dialled.

use std::os::fd::AsFd;
use std::time::Duration;

use gannet_net::{Dialer, KeepAlive, ListenConfig, TcpStream, dial};
use gannet_runtime::{spawn, time};
use gannet_sys::option;

use crate::common::{listen, run, run_threads};

#[test]
fn connection_outlives_the_task_that_dialled_it() {
    run_threads(async {
        let listener = listen("tcp").await;
        for _ in 0..10 {
            let (give, take) = std::sync::mpsc::channel();
            let addr = listener.local_addr().unwrap();
            let dialler = spawn(async move {
                give.send(dial("tcp", addr).await.unwrap()).unwrap();
                std::future::pending::<()>().await;
            });
            let (server, _) = listener.accept().await.unwrap();
            let client = loop {
                match take.try_recv() {
                    Ok(client) => break client,
                    Err(_) => gannet_runtime::yield_now().await,
                }
            };
            dialler.abort();
            assert!(dialler.await.unwrap_err().is_cancelled());

            client.write_all(b"line\n").await.unwrap();
            let mut buf = [0; 5];
            server.read_exact(&mut buf).await.unwrap();
            server.write_all(&buf).await.unwrap();
            drop(server);
            client.read_exact(&mut buf).await.unwrap();
            assert_eq!(&buf, b"line\n");
            assert_eq!(client.read(&mut buf).await.unwrap(), 0);
        }
    });
}

#[test]
fn dial_given_up_at_any_time_never_succeeds_where_nobody_listens() {
    run(async {
        // Bound and not listening: nobody else can take the port meanwhile.
        let held = gannet_sys::socket::socket(
            gannet_sys::socket::Domain::Inet,
            gannet_sys::socket::Kind::Stream,
        );
        let held = held.unwrap();
        let any = gannet_sys::sockaddr::SockAddr::Inet("127.0.0.1:0".parse().unwrap());
        gannet_sys::socket::bind(held.as_fd(), &any).unwrap();
        let gannet_sys::sockaddr::SockAddr::Inet(addr) =
            gannet_sys::socket::local_addr(held.as_fd()).unwrap()
        else {
            panic!("an IP socket has an IP address")
        };
        for n in 0..2_000 {
            let limit = Duration::from_micros(n * 7919 % 200);
            let dialled = time::timeout(limit, dial("tcp", addr)).await;
            assert!(!matches!(dialled, Ok(Ok(_))), "connected to nobody");
        }
    });
}

/// Given values, Go's defaults, and what the kernel has: each for idle time, interval and count.
fn configs(kernel: KeepAlive) -> Vec<(KeepAlive, KeepAlive)> {
    let given = KeepAlive {
        idle: Some(Duration::from_secs(5)),
        interval: Some(Duration::from_secs(3)),
        count: Some(10),
    };
    let untouched = KeepAlive {
        idle: None,
        interval: None,
        count: None,
    };
    // What to set, and what the kernel has then.
    let kinds = [
        (given, given),
        (KeepAlive::default(), KeepAlive::default()),
        (untouched, kernel),
    ];
    let mut configs = Vec::new();
    for (idle, idle_then) in kinds {
        for (interval, interval_then) in kinds {
            for (count, count_then) in kinds {
                let pick = |idle: KeepAlive, interval: KeepAlive, count: KeepAlive| KeepAlive {
                    idle: idle.idle,
                    interval: interval.interval,
                    count: count.count,
                };
                configs.push((
                    pick(idle, interval, count),
                    pick(idle_then, interval_then, count_then),
                ));
            }
        }
    }
    configs
}

/// What the kernel has for connections without probes.
async fn kernel_keep_alive(listener: &gannet_net::Listener) -> KeepAlive {
    let conn = Dialer::new().keep_alive(None);
    let conn = conn
        .dial("tcp", listener.local_addr().unwrap())
        .await
        .unwrap();
    assert!(!option::keepalive(conn.as_fd()).unwrap());
    KeepAlive {
        idle: Some(option::keepalive_idle(conn.as_fd()).unwrap()),
        interval: Some(option::keepalive_interval(conn.as_fd()).unwrap()),
        count: Some(option::keepalive_count(conn.as_fd()).unwrap()),
    }
}

#[test]
fn keep_alive_of_a_dialer_sets_what_it_names() {
    run(async {
        let config = ListenConfig::new().keep_alive(None);
        let listener = config.listen_stream("tcp", "127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        for (set, then) in configs(kernel_keep_alive(&listener).await) {
            let conn = Dialer::new()
                .keep_alive(set)
                .dial("tcp", &addr)
                .await
                .unwrap();
            let conn = TcpStream::try_from(conn).unwrap();
            assert_eq!(conn.keep_alive().unwrap(), Some(then), "{set:?}");
            let (server, _) = listener.accept().await.unwrap();
            drop(server);
        }
        let plain = dial("tcp", &addr).await.unwrap();
        let plain = TcpStream::try_from(plain).unwrap();
        assert_eq!(plain.keep_alive().unwrap(), Some(KeepAlive::default()));
        let without = Dialer::new()
            .keep_alive(None)
            .dial("tcp", &addr)
            .await
            .unwrap();
        let without = TcpStream::try_from(without).unwrap();
        assert_eq!(without.keep_alive().unwrap(), None);
    });
}

#[test]
fn keep_alive_of_a_connection_sets_what_it_names() {
    run(async {
        let listener = listen("tcp").await;
        let addr = listener.local_addr().unwrap();
        for (set, then) in configs(kernel_keep_alive(&listener).await) {
            let conn = Dialer::new()
                .keep_alive(None)
                .dial("tcp", &addr)
                .await
                .unwrap();
            let conn = TcpStream::try_from(conn).unwrap();
            assert_eq!(conn.keep_alive().unwrap(), None);
            conn.set_keep_alive(set).unwrap();
            assert_eq!(conn.keep_alive().unwrap(), Some(then), "{set:?}");
        }
    });
}
