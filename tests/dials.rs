//! Many dials, however they end, leave nothing behind: no descriptor, no task, and no memory.
//!
//! Each kind is done some thousand times for what is made only once, and then as often as
//! `GANNET_DIALS` says; `cargo xtask soak dials` has each done 100,000 times. Connections end by a reset,
//! so that no port has to rest.
//!
//! Alone in its process, because it counts the descriptors and the memory of all threads.

mod support;

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use gannet::net::{Conn, Dialer, Listener, TcpStream, dial, error, listen_stream};
use gannet::{Builder, JoinSet, Runtime, spawn};

use support::net::{black_hole, poll_once};
use support::sockets::{open_fds, resident};
use support::until;
use support::watchdog::Watchdog;

/// How often each kind is done unless `GANNET_DIALS` says otherwise.
const COUNT: usize = 5000;
/// How many are under way at the same time.
const TASKS: usize = 16;
/// How much memory may be added, whatever the count: 10 bytes a dial in a full run.
const GROWTH_MAX: u64 = 1 << 20;

/// Whom there is to dial.
struct Peers {
    listener: Listener,
    live: SocketAddr,
    silent: SocketAddr,
    _queue: (Listener, Conn),
}

impl Peers {
    async fn new() -> Self {
        let listener = listen_stream("tcp4", "127.0.0.1:0").await.expect("a port");
        let queue = black_hole().await;
        let addr = |listener: &Listener| {
            let addr = listener.local_addr().expect("its address");
            addr.socket_addr().expect("an Internet address")
        };
        Peers {
            live: addr(&listener),
            silent: addr(&queue.0),
            listener,
            _queue: queue,
        }
    }

    /// Takes one of those who have connected, after they were all made.
    async fn end(&self, client: Conn) {
        let (server, _) = self.listener.accept().await.expect("it has connected");
        let client = TcpStream::try_from(client).expect("a TCP connection");
        client.set_linger(Some(Duration::ZERO)).expect("an option");
        drop(client);
        drop(server);
    }
}

#[track_caller]
fn fails_with(result: io::Result<Conn>, kind: io::ErrorKind) {
    let err = result.expect_err("there is nobody");
    assert_eq!(err.kind(), kind, "{err}");
}

async fn accepted(peers: Arc<Peers>) {
    let client = dial("tcp4", peers.live).await.expect("it listens");
    peers.end(client).await;
}

async fn refused(_peers: Arc<Peers>) {
    fails_with(
        dial("tcp4", "127.0.0.1:1").await,
        io::ErrorKind::ConnectionRefused,
    );
    fails_with(
        dial("unix", "/nowhere/at/all").await,
        io::ErrorKind::NotFound,
    );
}

/// Nobody can have a connection to a broadcast address.
async fn unreachable(_peers: Arc<Peers>) {
    let result = dial("tcp4", "127.255.255.255:9").await;
    fails_with(result, io::ErrorKind::NetworkUnreachable);
}

async fn dropped(peers: Arc<Peers>) {
    let mut dialling = pin!(dial("tcp4", peers.silent));
    assert!(poll_once(&mut dialling).await.is_pending());
}

async fn aborted(peers: Arc<Peers>) {
    let silent = peers.silent;
    let task = spawn(async move { dial("tcp4", silent).await.map(drop) });
    gannet::yield_now().await;
    task.abort();
    assert!(task.await.expect_err("it waits for ever").is_cancelled());
}

async fn timed_out(peers: Arc<Peers>) {
    let dialer = Dialer::new().timeout(Duration::from_millis(1));
    let err = dialer.dial("tcp4", peers.silent).await;
    let err = err.expect_err("nobody answers");
    assert!(error::is_deadline(&err), "{err}");
}

/// Of two addresses the one that answers wins; dialling the other is given up.
async fn raced(peers: Arc<Peers>) {
    let addrs = vec![peers.silent, peers.live];
    let dialer = Dialer::new()
        .resolver(move |_: String, _: u16| ready(Ok(addrs.clone())))
        .fallback_delay(Duration::ZERO);
    let client = dialer.dial("tcp", "name:1").await.expect("one listens");
    assert_eq!(
        client.peer_addr().expect("it has one").socket_addr(),
        Some(peers.live)
    );
    peers.end(client).await;
}

/// The same of one who gave up before anybody had won.
async fn race_given_up(peers: Arc<Peers>) {
    let addrs = vec![peers.silent; 3];
    let dialer = Dialer::new()
        .resolver(move |_: String, _: u16| ready(Ok(addrs.clone())))
        .fallback_delay(Duration::ZERO)
        .timeout(Duration::from_millis(1));
    let err = dialer
        .dial("tcp", "name:1")
        .await
        .expect_err("nobody answers");
    assert!(error::is_deadline(&err), "{err}");
}

/// Does one kind `count` times, in several tasks.
fn rounds<F>(runtime: &Runtime, peers: &Arc<Peers>, count: usize, kind: fn(Arc<Peers>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let peers = peers.clone();
    runtime.block_on(async move {
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let peers = peers.clone();
            let share = count / TASKS + usize::from(task < count % TASKS);
            tasks.spawn(async move {
                for _ in 0..share {
                    kind(peers.clone()).await;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(err) = ended {
                panic!("{}", err.resume_panic());
            }
        }
    });
}

/// Does one kind `count` times, and looks what is left.
#[track_caller]
fn check<F>(what: &str, count: usize, kind: fn(Arc<Peers>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = Builder::new_multi_thread().worker_threads(2).build();
    let runtime = runtime.expect("a runtime");
    let peers = Arc::new(runtime.block_on(Peers::new()));
    rounds(&runtime, &peers, (count / 10).max(1000), kind);
    let me = process::id();
    let before = (
        open_fds(me),
        runtime.metrics().descriptors,
        runtime.metrics().tasks_alive,
    );
    let memory = resident(me);

    rounds(&runtime, &peers, count, kind);
    // A task that was aborted is dropped by the worker that has it.
    until(&format!("all to be as before {what}"), || {
        let metrics = runtime.metrics();
        let now = (open_fds(me), metrics.descriptors, metrics.tasks_alive);
        (now == before).then_some(())
    });
    let grown = resident(me).saturating_sub(memory);
    println!(
        "{count} times {what}: {} descriptors, {grown} bytes more",
        before.0
    );
    assert!(
        grown < GROWTH_MAX,
        "{grown} bytes more after {count} times {what}"
    );
}

#[test]
fn dials_leave_no_descriptor_no_task_and_no_memory() {
    let count = std::env::var("GANNET_DIALS").ok();
    let count = count.map_or(COUNT, |text| {
        text.parse().expect("GANNET_DIALS is a number")
    });
    let _watchdog =
        Watchdog::start(Duration::from_secs(240) + Duration::from_millis(10) * count as u32);
    check("accepted", count, accepted);
    check("refused", count, refused);
    check("unreachable", count, unreachable);
    check("dropped", count, dropped);
    check("aborted", count, aborted);
    check("timed out", count, timed_out);
    check("raced", count, raced);
    check("given up in a race", count, race_given_up);
}
