use std::future::{Future, pending};

use gannet_runtime::Builder;

use super::*;
use crate::{dial, listen_stream};

fn block_on<R>(future: impl Future<Output = R>) -> R {
    let runtime = Builder::new_multi_thread().worker_threads(2).build();
    runtime.unwrap().block_on(future)
}

async fn listener() -> (Listener, Addr) {
    let listener = listen_stream("tcp", "127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Waits for what cannot be awaited: a counter.
async fn until(serving: &Serving, is_so: impl Fn(&ServerStats) -> bool) -> ServerStats {
    loop {
        let stats = serving.stats();
        if is_so(&stats) {
            return stats;
        }
        time::sleep(Duration::from_millis(1)).await;
    }
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn server_contains_panics_and_counts_how_connections_end() {
    block_on(async {
        let (listener, addr) = listener().await;
        let server = Server::new().connection_timeout(Duration::from_millis(200));
        let serving = server.serve([listener], async |accepted: Accepted| {
            let mut order = [0];
            accepted.conn.read_exact(&mut order).await?;
            match order[0] {
                b'p' => panic!("as the client wished"),
                b'f' => Err(io::ErrorKind::InvalidData.into()),
                b'w' => pending().await,
                _ => accepted.conn.write_all(b"done").await,
            }
        });
        for order in [b"p", b"f", b"w", b"d"] {
            let client = dial("tcp", &addr).await.unwrap();
            client.write_all(order).await.unwrap();
            let mut answer = [0; 8];
            let len = client.read(&mut answer).await.unwrap();
            assert_eq!(len, if order == b"d" { 4 } else { 0 });
        }
        let stats = until(&serving, |stats| stats.active == 0).await;
        let wanted = ServerStats {
            accepted: 4,
            completed: 1,
            failed: 1,
            panicked: 1,
            timed_out: 1,
            ..ServerStats::default()
        };
        assert_eq!(stats, wanted);
        assert_eq!(serving.drain(LONG).await, 0);
    });
}

#[test]
fn server_keeps_connections_within_the_limit() {
    block_on(async {
        let (first, addr) = listener().await;
        let (second, other) = listener().await;
        let serving =
            Server::new()
                .connections_max(2)
                .serve([first, second], async |accepted: Accepted| {
                    accepted.conn.write_all(b"hello").await?;
                    accepted.conn.read(&mut [0]).await.map(drop)
                });
        let mut clients = Vec::new();
        for number in 0..8 {
            let addr = if number % 2 == 0 { &addr } else { &other };
            clients.push(dial("tcp", addr).await.unwrap());
        }
        until(&serving, |stats| stats.active == 2).await;
        let mut greeted = 0;
        while let Some(client) = clients.pop() {
            assert!(serving.stats().active <= 2);
            // Whoever was let in leaves, so that the others have their turn.
            if time::timeout(Duration::from_millis(5), client.readable())
                .await
                .is_err()
            {
                clients.insert(0, client);
                continue;
            }
            let mut buf = [0; 5];
            client.read_exact(&mut buf).await.unwrap();
            greeted += 1;
        }
        assert_eq!(greeted, 8);
        let stats = until(&serving, |stats| stats.active == 0).await;
        assert_eq!((stats.accepted, stats.completed), (8, 8));
    });
}

#[test]
fn server_drains_those_who_listen_and_cuts_the_rest_off() {
    block_on(async {
        let (listener, addr) = listener().await;
        let serving = Server::new().serve([listener], async |accepted: Accepted| {
            let mut order = [0];
            accepted.conn.read_exact(&mut order).await?;
            accepted.conn.write_all(b"ok").await?;
            if order[0] == b's' {
                return pending().await;
            }
            accepted.draining().await;
            assert!(accepted.is_draining());
            accepted.conn.write_all(b"bye").await
        });
        let mut clients = Vec::new();
        for order in [b"g", b"s", b"g"] {
            let client = dial("tcp", &addr).await.unwrap();
            client.write_all(order).await.unwrap();
            client.read_exact(&mut [0; 2]).await.unwrap();
            clients.push((order, client));
        }
        let cut_off = serving.drain(Duration::from_millis(100)).await;
        assert_eq!(cut_off, 1);
        for (order, client) in clients {
            let mut rest = [0; 8];
            let len = client.read(&mut rest).await.unwrap();
            assert_eq!(&rest[..len], if order == b"g" { &b"bye"[..] } else { b"" });
        }
        assert!(dial("tcp", &addr).await.is_err(), "the listener is closed");
    });
}

#[test]
fn server_dropped_closes_everything() {
    block_on(async {
        let (listener, addr) = listener().await;
        let serving = Server::new().serve([listener], async |accepted: Accepted| {
            accepted.conn.write_all(b"hello").await?;
            pending().await
        });
        let client = dial("tcp", &addr).await.unwrap();
        client.read_exact(&mut [0; 5]).await.unwrap();
        let crowd = serving.crowd.clone();
        drop(serving);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        crowd.idle().await;
        assert_eq!(crowd.stats().cut_off, 1);
        assert!(dial("tcp", &addr).await.is_err(), "the listener is closed");
    });
}

#[test]
fn server_at_its_limit_drains() {
    block_on(async {
        let (listener, addr) = listener().await;
        let serving =
            Server::new()
                .connections_max(1)
                .serve([listener], async |accepted: Accepted| {
                    accepted.conn.write_all(b"hello").await?;
                    accepted.draining().await;
                    Ok(())
                });
        let client = dial("tcp", &addr).await.unwrap();
        client.read_exact(&mut [0; 5]).await.unwrap();
        let waiting = dial("tcp", &addr).await.unwrap();
        assert_eq!(serving.drain(LONG).await, 0);
        // Accepted or not, it is let go without an answer.
        assert!(!matches!(waiting.read(&mut [0]).await, Ok(1)));
    });
}
