//! A task whose sockets are always ready lets others run.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gannet::{spawn, time};

use support::net::{STREAMS, on_both, stream_pair};

/// An edge that was not consumed answers `readable` at once, each time: the budget must end that.
#[test]
fn readable_in_a_loop_lets_other_tasks_run() {
    on_both(|| async {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            // The second edge is nobody's: the first has answered already.
            for _ in 0..2 {
                server.write_all(b"x").await.unwrap();
                client.readable().await.unwrap();
                time::sleep(Duration::from_millis(5)).await;
            }
            server.write_all(b"x").await.unwrap();
            time::sleep(Duration::from_millis(5)).await;
            let ran = Arc::new(AtomicBool::new(false));
            let other = ran.clone();
            spawn(async move { other.store(true, Ordering::Release) });
            while !ran.load(Ordering::Acquire) {
                client.readable().await.unwrap();
            }
        }
    });
}

#[test]
fn reads_and_writes_in_a_loop_let_other_tasks_run() {
    on_both(|| async {
        for network in STREAMS {
            let (client, server) = stream_pair(network).await;
            let ran = Arc::new(AtomicBool::new(false));
            let other = ran.clone();
            spawn(async move { other.store(true, Ordering::Release) });
            // Each byte is there before it is read, so nothing ever waits.
            while !ran.load(Ordering::Acquire) {
                client.write_all(b"x").await.unwrap();
                server.read_exact(&mut [0]).await.unwrap();
            }
        }
    });
}
