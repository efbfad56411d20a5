//! A thousand sessions in one process, after which nothing is left of them.
//!
//! Alone in its process, because it counts the descriptors of all threads.

use std::fs;
use std::time::Duration;

use gannet_roam::{Blob, Client, Server, Session};
use gannet_runtime::{Builder, JoinSet, Runtime, time};

const SESSIONS: u32 = 1_000;
const LIMIT: Duration = Duration::from_secs(120);

type Pair = (Session<Blob, Blob>, Session<Blob, Blob>);

fn open_fds() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux").count()
}

async fn pair() -> Pair {
    let address = "127.0.0.1".parse().expect("an address");
    let server = Server::new().address(address).ports(0..=0);
    let bound = server.bind().await.expect("a port");
    let client = Client::new(bound.key().clone(), bound.local_addr());
    let server = bound.session(Blob::new(), Blob::new());
    let client = client.session(Blob::new(), Blob::new());
    (client.expect("a client"), server)
}

/// Each end tells the other something of its own.
async fn talk((client, server): &Pair, number: u32) {
    let (up, down) = (format!("up {number}"), format!("down {number}"));
    client.update(|value| *value = Blob::from(up.as_str()));
    assert_eq!(server.recv().await, Some(Blob::from(up.as_str())));
    server.update(|value| *value = Blob::from(down.as_str()));
    assert_eq!(client.recv().await, Some(Blob::from(down.as_str())));
}

/// Makes all sessions, lets them talk, and ends them: by one end's will, by the other's, and by
/// dropping the handle.
///
/// Whether they end cleanly is for how busy the machine is to say: 16 tries take less than a second.
async fn crowd() {
    let mut pairs = Vec::new();
    for _ in 0..SESSIONS {
        pairs.push(pair().await);
    }
    let mut tasks = JoinSet::new();
    for (number, pair) in (0..).zip(pairs) {
        tasks.spawn(async move {
            talk(&pair, number).await;
            pair
        });
    }
    let mut pairs = Vec::new();
    while let Some(talked) = tasks.join_next().await {
        pairs.push(talked.expect("a task that does not panic"));
    }
    let mut tasks = JoinSet::new();
    for (number, (client, server)) in (0..).zip(pairs) {
        tasks.spawn(async move {
            match number % 3 {
                0 => drop(client.shut_down().await),
                1 => drop(server.shut_down().await),
                _ => drop(client),
            }
            assert_eq!(server.recv().await, None);
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a task that does not panic");
    }
}

#[track_caller]
fn check(runtime: &Runtime) {
    let run = async {
        let first = pair().await; // For what is opened only once.
        talk(&first, 0).await;
        assert!(first.0.shut_down().await && first.1.shut_down().await);
        drop(first);
        // Its drivers have ended once both ends know that it is over, up to their last turn.
        for _ in 0..100 {
            gannet_runtime::yield_now().await;
        }
        let before = (open_fds(), runtime.metrics().descriptors);
        time::timeout(LIMIT, crowd()).await.expect("it hangs");
        settled(runtime, before.0, before.1).await;
    };
    runtime.block_on(run);
}

/// Waits until drivers that end on their own have ended: their descriptors are theirs till then.
async fn settled(runtime: &Runtime, fds: usize, registered: usize) {
    let settle = async {
        while open_fds() > fds || runtime.metrics().descriptors > registered {
            time::sleep(Duration::from_millis(10)).await;
        }
    };
    time::timeout(LIMIT, settle)
        .await
        .expect("descriptors are left");
}

#[test]
fn a_thousand_sessions_come_and_go() {
    check(&Builder::new_current_thread().build().expect("a runtime"));
    let threads = Builder::new_multi_thread().worker_threads(2).build();
    check(&threads.expect("a runtime"));
}
